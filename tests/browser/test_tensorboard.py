"""TensorBoard, as `make tensorboard` starts it, on what the notebooks and the callback wrote."""

import io
import json
import os
import re
import shutil
import struct
import sys
import time
from pathlib import Path
from urllib.parse import urlencode

import matplotlib.pyplot as plt
import numpy as np
import pytest
from google.protobuf import text_format

from cnn_utils import graphs, keras, models, tf, training
from tests.browser.conftest import fetch, local_page, running, wait_until
from tools import notebooks

W_NODES = {
    "w1": [],
    "w2": [],
    "w3": ["w1"],
    "w4": ["w1"],
    "w5": ["w3", "w4"],
    "w6": ["w1", "w2"],
    "w7": ["w5", "w6"],
}
CONVNET = ["image", "conv1", "pool1", "conv2", "pool2", "flatten", "dense1", "dense2", "logits"]
MODELS = {
    "sequential": ["x", "hidden", "scores"],
    "functional": ["left", "wide", "sum", "scores"],
    "twins": ["left", "right", "shared", "shared_2", "joined", "scores"],  # one layer, used twice
}

pytestmark = pytest.mark.filterwarnings("ignore:html5lib")  # inside TensorBoard


@pytest.fixture(scope="module")
def runs(request, tmp_path_factory):
    """The folder of runs after the notebooks that write some: what they wrote in this session, or in JupyterLab now."""
    folder, tested = tmp_path_factory.mktemp("runs"), Path(os.environ["CNN_UTILS_RUNS"])
    in_session = {item.path for item in request.session.items if hasattr(item, "cell")}
    for path in notebooks.paths():
        if path.name[:2] not in ("01", "04", "06"):
            continue
        # another worker may be at its last cells
        patience = time.monotonic() + (120 if path in in_session else 0)
        while not (ended := (tested / "ended" / path.stem).exists()) and time.monotonic() < patience:
            time.sleep(1)
        if not ended:
            lab = request.getfixturevalue("lab")
            with local_page(request.getfixturevalue("browser")) as page:
                lab.run_notebook(page, path)
        shutil.copytree((tested if ended else lab.runs) / path.stem, folder / path.stem)
    return folder


@pytest.fixture(scope="module")
def remedies(browser, tmp_path_factory):
    """What notebook 8's own cells on its many runs leave behind, on few images that make no sense."""
    random = np.random.default_rng(0)
    given = {"np": np, "full": False}
    for kind, count in (("half", 200), ("new", 100)):
        given[f"x_{kind}"] = random.random((count, 14, 14, 1), "float32")
        given[f"y_{kind}"] = random.integers(0, 10, count)
    given["cross_entropy"] = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    notebook = notebooks.read(notebooks.FOLDER / "08_fashion_mnist.ipynb")
    sources = [cell.source for cell in notebooks.code_cells(notebook)]
    words = ("def network(", "def train(", "remedies = ", "records = ")
    network, train, first, last = (
        next(place for place, source in enumerate(sources) if word in source) for word in words
    )
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("CNN_UTILS_RUNS", str(tmp_path_factory.mktemp("remedies")))
        for source in (sources[network], sources[train], *sources[first : last + 1]):
            exec(source, given)
    return given


@pytest.fixture(scope="module")
def board(runs, tmp_path_factory):
    """The address of a TensorBoard that has read all of ``runs``. When it ends, it leaves no info file."""
    home = tmp_path_factory.mktemp("tensorboard")
    command = [
        sys.executable,
        "-m",
        "tensorboard.main",
        "--logdir",
        str(runs),
        "--host=127.0.0.1",
        "--port=0",
    ]
    with running(command, home / "log", os.environ | {"TMPDIR": str(home)}) as server:
        find = lambda: re.search(r"http://127\.0\.0\.1:\d+/", (home / "log").read_text())  # noqa: E731
        address = wait_until(find, server, home / "log")[0]
        written = {str(file.parent.relative_to(runs)) for file in runs.rglob("*.tfevents.*")}
        read = lambda: json.loads(fetch(f"{address}data/runs") or "[]")  # noqa: E731
        wait_until(
            lambda: set(read()) == written and len(_ask(address, "scalars/tags")) >= 2, server, home / "log"
        )
        yield address
    assert not list(home.rglob("*.info"))


def test_the_formula_s_graph_has_exactly_w1_to_w7(board):
    assert _nodes(board, "01_computational_graphs") == W_NODES


def test_the_convnet_s_graph_has_its_layers_in_order(board):
    chain = zip(CONVNET, [None, *CONVNET[:-1]], strict=True)
    assert list(_nodes(board, "06_mnist_convnet/layers").items()) == [
        (name, [before] if before else []) for name, before in chain
    ]


@pytest.mark.parametrize("run", ["train", "validation"])
@pytest.mark.parametrize("tag", ["epoch_accuracy", "epoch_loss"])
def test_accuracy_and_loss_are_served(board, run, tag):
    run = f"06_mnist_convnet/{run}"
    assert tag in _ask(board, "scalars/tags")[run]
    values = [value for _, _, value in _ask(board, "scalars/scalars", run=run, tag=tag)]
    assert len(values) >= 2 and all(0 < value < 2.5 for value in values)  # guessing has a loss of 2.3
    assert values[-1] > values[0] if tag == "epoch_accuracy" else values[-1] < values[0]


def test_sixteen_digits_are_served_as_images(board):
    run = {"run": "06_mnist_convnet/images", "tag": "images"}
    shown = [_ask(board, "images/images", **run, sample=sample)[-1] for sample in range(16)]
    pictures = [fetch(f"{board}data/plugin/images/individualImage?{image['query']}") for image in shown]
    assert {(picture[1:4], *struct.unpack(">II", picture[16:24])) for picture in pictures} == {
        (b"PNG", 28, 28)
    }


@pytest.mark.parametrize(("run", "decades"), [("sigmoid", 19), ("relu_he", 0)])
def test_the_gradients_histograms_are_served_for_every_layer(run, decades, board):
    run = {"run": f"04_nonlinearities/{run}", "tag": "gradients, log10"}
    layers = _ask(board, "histograms/histograms", **run)
    assert [layer for _, layer, _ in layers] == list(range(31))
    first, last = (np.array(buckets) for _, _, buckets in (layers[0], layers[-1]))
    centre = lambda buckets: np.average(buckets[:, :2].mean(axis=1), weights=buckets[:, 2])  # noqa: E731
    assert abs(centre(last) - centre(first) - decades) < 1


def test_the_graphs_tab_opens_on_the_drawn_formula(board, page):
    page.goto(f"{board}#graphs")
    assert _drawn(page, "w7") == sorted(W_NODES)


def test_the_graphs_tab_draws_the_convnet_when_it_is_chosen(board, page):
    page.goto(f"{board}#graphs")
    assert _drawn(page, "w7")
    page.locator("paper-dropdown-menu").first.click()
    page.locator("paper-item").filter(has_text="06_mnist_convnet/layers").click()
    assert _drawn(page, "logits") == sorted(CONVNET)


@pytest.mark.parametrize("kind", list(MODELS))
def test_the_graphs_tab_opens_on_the_layers_that_the_callback_wrote(kind, browser, page, tmp_path):
    _train(kind, tmp_path)
    page.goto(f"{graphs._serve(tmp_path)}#graphs")
    assert _drawn(page, MODELS[kind][-1]) == sorted(MODELS[kind])


def test_a_model_inside_a_model_is_a_box_that_opens_on_its_layers(page, tmp_path):
    graphs.write_model_graph(_two_blocks(), tmp_path)
    page.goto(f"{graphs._serve(tmp_path)}#graphs")
    assert _drawn(page, "logits") == ["block1", "block2", "image", "logits"]
    page.locator("g.node[data-name='block1'] .nodeshape").first.dblclick()
    page.locator("g.node[data-name='block1/add']").wait_for()
    shown = page.locator("g.node[data-name^='block1/']").evaluate_all("all => all.map(n => n.dataset.name)")
    assert sorted(shown) == ["block1/add", "block1/conv1", "block1/conv2"]


@pytest.mark.parametrize("tag", ["epoch_accuracy", "epoch_loss"])
def test_scalars_draws_a_curve_for_training_and_one_for_validation(tag, board, page):
    page.goto(f"{board}#scalars")
    group = page.locator("tf-category-paginated-view").filter(has_text=tag)
    group.wait_for()
    if not group.locator("tf-scalar-card").count():  # only the first groups are open
        group.get_by_role("button").first.click()
    curves = group.locator("path.line[d*=L]")  # with a way from one point to the next
    curves.nth(3).wait_for(state="attached")  # each as it is, and smoothed
    assert len({curve.evaluate("line => getComputedStyle(line).stroke") for curve in curves.all()}) == 2


@pytest.mark.parametrize("tag", ["epoch_accuracy", "epoch_loss"])
def test_time_series_names_training_and_validation_under_the_curves(tag, board, page):
    page.goto(f"{board}?tagFilter={tag}#timeseries")
    card = page.locator("scalar-card")
    for run in ("train", "validation"):
        card.get_by_text(f"06_mnist_convnet/{run}").wait_for()
    assert card.count() == card.locator("canvas").count() == 1


def test_the_histograms_tab_draws_a_hill_for_every_layer(board, page):
    page.goto(f"{board}#histograms")
    cards = page.locator("vz-histogram-timeseries")
    cards.nth(3).locator("g.histogram").nth(30).wait_for(state="attached")
    assert [card.locator("g.histogram").count() for card in cards.all()] == [31] * 4  # 2 tags, 2 runs


def test_the_projector_opens_on_the_digits_each_where_its_vector_is(page, tmp_path, monkeypatch):
    monkeypatch.setenv("CNN_UTILS_RUNS", str(tmp_path))
    folder = _embed(*_two_kinds_of_images())
    with page.expect_response(re.compile("/sprite_image")) as sprite:
        page.goto(f"{graphs._serve(folder)}#projector")
    assert sprite.value.body() == (folder / "sprite.png").read_bytes()
    page.get_by_role("tab", name="projector").wait_for()  # not among the inactive
    frame = page.frame(url=re.compile("projector_binary"))
    frame.get_by_text(re.compile(r"Points:\s*500")).wait_for()
    frame.get_by_text(re.compile(r"Dimension:\s*100")).wait_for()
    frame.locator("#z-checkbox").click()  # two components, seen from the front: nothing turns
    blue, orange = _inks(frame.locator("#scatter canvas").first)
    middles = blue.mean(axis=0), orange.mean(axis=0)
    for places, own, other in ((blue, *middles), (orange, *middles[::-1])):
        nearer = np.linalg.norm(places - own, axis=1) < np.linalg.norm(places - other, axis=1)
        assert nearer.mean() > 0.95


def test_the_hparams_tab_has_a_row_for_each_run_with_its_settings_and_its_accuracy(remedies, page):
    page.goto(f"{graphs._serve(remedies['folder'])}#hparams")
    cells = page.locator("vaadin-grid-cell-content")
    cells.get_by_text(remedies["run"].name).wait_for()  # the last one
    shown = [text.strip() for text in cells.all_inner_texts() if text.strip()]
    heads = ["Trial ID", "Show Metrics", "dropout", "flip and move", "seed", "weight decay", "new images"]
    assert shown[:7] == heads and len(remedies["records"]) == 4 * len(remedies["seeds"])
    rows = {shown[place]: shown[place + 1 : place + 6] for place in range(7, len(shown), 6)}
    for (name, seed), record in remedies["records"].items():
        settings = remedies["remedies"][name]
        dropout, moved, number, decay, accuracy = rows.pop(f"{name}-seed-{seed}".replace(" ", "-"))
        assert moved == str(settings["flip and move"]).lower()
        assert [float(dropout), float(decay)] == [settings["dropout"], settings["weight decay"]]
        assert float(number) == seed and float(accuracy) == pytest.approx(
            record["val_accuracy"][-1], abs=1e-4
        )
    assert not rows


def test_time_series_draws_the_curves_of_all_runs_in_one_card(remedies, page):
    page.goto(f"{graphs._serve(remedies['folder'])}?tagFilter=epoch_accuracy#timeseries")
    card = page.locator("scalar-card")
    card.get_by_text(f"{remedies['run'].name}/validation").wait_for()
    assert card.count() == card.locator("canvas").count() == 1
    words = card.inner_text().split()
    for (name, seed), record in remedies["records"].items():
        place = words.index(f"{name}-seed-{seed}/validation".replace(" ", "-"))
        value = float(words[place + 2])  # behind the smoothed one
        assert value == pytest.approx(record["val_accuracy"][-1], abs=1e-3)


def _embed(x_test, y_test, model):
    """Run the notebook's own cells on the projector with these images and this network; return their folder."""
    given = {"np": np, "keras": keras, "tf": tf, "graphs": graphs}
    given |= {"x_test": x_test, "y_test": y_test, "model": model}
    notebook = notebooks.read(notebooks.FOLDER / "07_inside_the_convnet.ipynb")
    sources = [cell.source for cell in notebooks.code_cells(notebook)]
    about = [place for place, source in enumerate(sources) if "projector" in source]
    for source in sources[about[0] : about[-1] + 1]:
        exec(source, given)
    return given["folder"]


def _two_kinds_of_images():
    """Images with ink on the left (0) or on the top (1), in any order, and a network that tells them apart.

    A tile that stood at another image's vector would show: each kind is a crowd of its own, in its own ink.
    """
    keras.utils.set_random_seed(0)
    random = np.random.default_rng(0)
    labels = random.integers(2, size=600)
    images = random.uniform(0.9, 1, (600, 32, 32, 1)).astype("float32")
    images[labels == 0, :, 16:] = 0
    images[labels == 1, 16:] = 0
    return images, labels, models.lenet5((32, 32, 1), units=(120, 100))


def _inks(canvas, seconds=60):
    """Where on a canvas the pixels of the notebook's first two inks are, once both are drawn: (row, column)."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        picture = plt.imread(io.BytesIO(canvas.screenshot()))
        more_blue = picture[..., 2] - picture[..., 0]
        blue, orange = np.argwhere(more_blue > 0.4), np.argwhere(more_blue < -0.4)
        if min(len(blue), len(orange)) > 500:
            return blue, orange
    raise AssertionError(f"{len(blue)} blue and {len(orange)} orange pixels are drawn")


def _two_blocks():
    """A network of two residual blocks, each a model of its own."""

    def block(name):
        x = keras.Input((8, 8, 4))
        convolutions = [keras.layers.Conv2D(4, 3, padding="same", name=f"conv{n}") for n in (1, 2)]
        y = convolutions[1](convolutions[0](x))
        return keras.Model(x, keras.layers.Add(name="add")([x, y]), name=name)

    image = keras.Input((8, 8, 4), name="image")
    return keras.Model(image, keras.layers.Dense(2, name="logits")(block("block2")(block("block1")(image))))


def _train(kind, log_dir):
    dense, x, y = keras.layers.Dense, np.ones((8, 4)), np.ones((8, 2))
    first, second = keras.Input((4,), name="left"), keras.Input((4,), name="right")
    if kind == "sequential":
        model = keras.Sequential(
            [keras.Input((4,), name="x"), dense(3, name="hidden"), dense(2, name="scores")]
        )
    elif kind == "functional":
        total = keras.layers.Add(name="sum")([first, dense(4, name="wide")(first)])
        model = keras.Model(first, dense(2, name="scores")(total))
    else:
        shared, x = dense(3, name="shared"), [x, x]
        joined = keras.layers.Concatenate(name="joined")([shared(first), shared(second)])
        model = keras.Model([first, second], dense(2, name="scores")(joined))
    model.compile("sgd", "mse")
    model.fit(x, y, verbose=0, callbacks=[training.TensorBoard(log_dir)])


def _ask(board, what, **query):
    answer = fetch(f"{board}data/plugin/{what}?{urlencode(query)}")
    return json.loads(answer) if answer else {}


def _nodes(board, run):
    """The nodes of a served graph with their inputs, in the order in which they were written."""
    text = fetch(f"{board}data/plugin/graphs/graph?{urlencode({'run': run})}")
    graph = text_format.Parse(text, tf.compat.v1.GraphDef())
    return {node.name: list(node.input) for node in graph.node}


def _drawn(page, last):
    """Names of the nodes on the page once ``last`` is there. TensorBoard must not say that it failed."""
    failure = page.get_by_text(re.compile("Graph visualization failed|Malformed GraphDef"))
    page.locator(f"g.node[data-name='{last}']").or_(failure).first.wait_for()
    assert failure.all_inner_texts() == []
    nodes = page.locator("g.node")
    assert all(node.is_visible() for node in nodes.all())
    return sorted(nodes.evaluate_all("nodes => nodes.map(node => node.dataset.name)"))
