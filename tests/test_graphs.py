"""Graphs as TensorBoard would open them: the names in the code, an edge where a value flows."""

import json
import re
import threading
import urllib.request
from types import SimpleNamespace

import IPython
import numpy as np
import pytest
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

import cnn_utils
from cnn_utils import graphs, keras, models, tf
from tests.oracles import W_NODES


@tf.function
def named(w1, w2):
    w3, w4 = tf.cos(w1, name="w3"), tf.sin(w1, name="w4")
    w5, w6 = tf.multiply(w3, w4, name="w5"), tf.divide(w1, w2, name="w6")
    return tf.add(w5, w6, name="w7")


def sequential():
    layers = keras.layers
    return keras.Sequential(
        [
            keras.Input((8, 8, 1)),
            layers.Conv2D(2, 3, activation="relu", name="conv2d"),  # Keras numbers layers and scopes alike
            layers.Conv2D(3, 3, name="conv2d_1"),
            layers.BatchNormalization(name="norm"),
            layers.Dropout(0.5, name="drop"),
            layers.Flatten(name="flatten"),
            layers.Dense(4, name="logits"),
        ],
        name="net",
    )


def two_branches():
    layers = keras.layers
    left, right = keras.Input((6, 6, 1), name="left"), keras.Input((6, 6, 1), name="right")
    shared = layers.Conv2D(2, 3, name="shared")
    flat_left, flat_right = layers.Flatten(name="flat_left"), layers.Flatten(name="flat_right")
    joined = layers.Concatenate(name="joined")([flat_left(shared(left)), flat_right(shared(right))])
    return keras.Model([left, right], layers.Dense(3, name="scores")(joined), name="twins")


def nested():
    inner = keras.Sequential([keras.Input((4,)), keras.layers.Dense(4, name="dense1")], name="inner")
    x = keras.Input((4,), name="x")
    return keras.Model(x, inner(inner(x)) + 2 * x, name="outer")


def boxes():
    """Two residual blocks, each a model that holds a model, with layers of the same names."""
    layers, x = keras.layers, keras.Input((4, 4, 2), name="image")

    def block(name):
        within = keras.Input((4, 4, 2))
        convs = keras.Sequential([keras.Input((4, 4, 2)), layers.Conv2D(2, 1, name="conv")], name="convs")
        return keras.Model(within, layers.Add(name="sum")([convs(within), within]), name=name)

    return keras.Model(x, layers.Flatten(name="last")(block("second")(block("first")(x))))


def numbered():
    left, right = keras.Input((4,), name="image"), keras.Input((4,), name="image_1")
    return keras.Model([left, right], keras.layers.Add(name="sum")([left, right]))


@pytest.mark.parametrize("concrete", [False, True])
def test_the_w_graph_has_exactly_the_nodes_w1_to_w7(concrete, tmp_path):
    if concrete:
        scalar = tf.TensorSpec((), tf.float32)
        graphs.write_function_graph(named.get_concrete_function(scalar, scalar), tmp_path)
    else:
        graphs.write_function_graph(named, tmp_path, 2.0, 3.0)
    assert graphs.nodes(graphs.read_graph(tmp_path)) == W_NODES


def test_a_graph_read_back_still_computes_the_function(tmp_path):
    graphs.write_function_graph(named, tmp_path, 2.0, 3.0)
    graph = graphs.read_graph(tmp_path)
    imported = tf.compat.v1.wrap_function(lambda: tf.compat.v1.import_graph_def(graph, name=""), [])
    w7 = imported.prune(["w1:0", "w2:0"], "w7:0")
    assert float(w7(tf.constant(2.0), tf.constant(3.0))) == pytest.approx(
        np.cos(2) * np.sin(2) + 2 / 3, rel=1e-6
    )


def test_tensorboards_own_reader_finds_the_same_graph(tmp_path):
    graphs.write_function_graph(named, tmp_path, 2.0, 3.0)
    reader = EventAccumulator(str(tmp_path)).Reload()
    assert [node.name for node in reader.Graph().node] == [name for name, _, _ in W_NODES]


def test_edges_carry_shapes(tmp_path):
    graphs.write_function_graph(named, tmp_path, np.ones((2, 3), "float32"), 3.0)
    shapes = {
        node.name: node.attr["_output_shapes"].list.shape[0] for node in graphs.read_graph(tmp_path).node
    }
    assert [dim.size for dim in shapes["w7"].dim] == [2, 3]
    assert [dim.size for dim in shapes["w2"].dim] == []


def test_an_argument_with_two_uses_keeps_its_own_name():
    @tf.function
    def function(x):
        return tf.identity(x, name="copy") + tf.square(x, name="square")

    assert "x" in [name for name, _, _ in graphs.nodes(graphs.function_graph(function, 1.0))]


def test_several_outputs_and_order_only_edges_leave_no_stray_nodes():
    total = tf.Variable(0.0)

    @tf.function
    def function(x):
        total.assign_add(x)
        return {"double": tf.multiply(x, 2.0, name="double"), "half": tf.divide(x, 2.0, name="half")}

    nodes = graphs.nodes(graphs.function_graph(function, 1.0))
    names = [name for name, _, _ in nodes]
    assert not [name for name in names if name.startswith(("Identity", "NoOp"))]
    assert {source for _, _, inputs in nodes for source in inputs} <= set(names)


def test_second_outputs_and_waiting_count_as_edges_from_the_node():
    @tf.function
    def function(x):
        low, high = tf.split(x, 2, name="halves")
        with tf.control_dependencies([tf.square(low, name="square")]):
            return tf.negative(high, name="minus")

    nodes = {name: inputs for name, _, inputs in graphs.nodes(graphs.function_graph(function, [1.0, 2.0]))}
    assert nodes["minus"] == ("halves", "square")


def test_layers_appear_in_order_with_shapes_and_parameters():
    model = models.lenet5()
    names = ["image", "conv1", "pool1", "conv2", "pool2", "flatten", "dense1", "dense2", "logits"]
    graph = graphs.model_graph(model)
    assert [(name, inputs) for name, _, inputs in graphs.nodes(graph)] == [
        (name, tuple(names[index - 1 : index])) for index, name in enumerate(names)
    ]
    for node in list(graph.node)[1:]:
        layer = model.get_layer(node.name)
        assert node.op == type(layer).__name__
        assert node.attr["parameters"].i == layer.count_params()
        assert node.attr["output_shape"].s.decode() == str(tuple(layer.output.shape)).replace("None", "?")


def test_a_shared_layer_appears_once_per_use_and_its_parameters_count_once():
    model = two_branches()
    graph = graphs.model_graph(model)
    nodes = {name: inputs for name, _, inputs in graphs.nodes(graph)}
    assert {nodes["shared"], nodes["shared_2"]} == {("left",), ("right",)}
    assert nodes["joined"] == ("flat_left", "flat_right")
    assert nodes[nodes["flat_left"][0]] == ("left",)
    assert sum(node.attr["parameters"].i for node in graph.node) == model.count_params()


def test_a_model_inside_a_model_is_a_box_with_its_layers_for_each_use():
    model = nested()
    graph = graphs.model_graph(model)
    layers = {name: inputs for name, _, inputs in graphs.nodes(graph)}
    assert layers["inner/dense1"] == ("x",) and layers["inner_2/dense1"] == ("inner/dense1",)
    assert not {"inner", "inner_2", "inner/input"} & set(layers)
    assert sum(node.attr["parameters"].i for node in graph.node) == model.count_params() > 0


def test_boxes_hold_boxes_and_layers_of_the_same_name():
    graph = graphs.model_graph(boxes())
    assert [(name, inputs) for name, _, inputs in graphs.nodes(graph)] == [
        ("image", ()),
        ("first/convs/conv", ("image",)),
        ("first/sum", ("first/convs/conv", "image")),
        ("second/convs/conv", ("first/sum",)),
        ("second/sum", ("second/convs/conv", "first/sum")),
        ("last", ("second/sum",)),
    ]


@pytest.mark.parametrize("build", [sequential, two_branches, nested, boxes, numbered])
def test_names_are_unique_and_every_input_exists_before_it_is_used(build):
    seen = set()
    for name, _, inputs in graphs.nodes(graphs.model_graph(build())):
        assert name not in seen
        assert set(inputs) <= seen
        seen.add(name)


def test_drawing_a_model_leaves_its_layers_as_they_were():
    model = models.lenet5()
    before = model.get_layer("conv1").output, len(model.variables)
    graphs.model_graph(model)
    assert (model.get_layer("conv1").output, len(model.variables)) == before


def test_a_model_s_graph_is_a_run_of_its_own_on_which_tensorboard_opens(tmp_path):
    graphs.write_model_graph(models.lenet5(), tmp_path)
    (run,) = tmp_path.iterdir()
    assert run.name == "layers" and len(list(run.iterdir())) == 1
    assert graphs.read_graph(tmp_path) == graphs.read_graph(run)


def test_the_newest_of_several_graphs_is_read(tmp_path):
    graphs.write_function_graph(named, tmp_path, 2.0, 3.0)
    graphs.write_function_graph(tf.function(lambda last: tf.square(last, name="only")), tmp_path, 2.0)
    assert [name for name, _, _ in graphs.nodes(graphs.read_graph(tmp_path))] == ["last", "only"]


def test_a_damaged_file_is_named(tmp_path):
    graphs.write_function_graph(named, tmp_path, 2.0, 3.0)
    (file,) = tmp_path.iterdir()
    whole = file.read_bytes()
    for content in (
        whole[:-7],
        whole[:100] + bytes([whole[100] ^ 1]) + whole[101:],
        b"a file of another kind",
    ):
        file.write_bytes(content)
        with pytest.raises(
            ValueError, match=f"^log_dir='{tmp_path}': a file in {tmp_path} is damaged: run the cell"
        ):
            graphs.read_graph(tmp_path)


def subclassed():
    class Net(keras.Model):
        def call(self, x):
            return x

    return Net(name="mine")


@pytest.mark.parametrize(
    ("model", "named_as"),
    [
        (lambda: keras.Sequential([keras.layers.Dense(2)], name="unbuilt"), "model='unbuilt' (Sequential)"),
        (subclassed, "model='mine' (Net)"),
        (lambda: keras.layers.Dense(2, name="alone"), "model='alone' (Dense)"),
        (lambda: 3, "model=3 (int)"),
    ],
)
def test_a_model_without_a_graph_of_layers_is_refused_and_nothing_is_written(model, named_as, tmp_path):
    with pytest.raises(ValueError, match="begins with keras.Input") as error:
        graphs.write_model_graph(model(), tmp_path / "runs")
    assert str(error.value).startswith(named_as)
    assert not (tmp_path / "runs").exists()


def test_other_bad_input_is_refused_by_name(tmp_path):
    with pytest.raises(ValueError, match="^function=.*decorate a Python function with @tf.function"):
        graphs.write_function_graph(lambda x: x, tmp_path / "runs", 1.0)
    with pytest.raises(ValueError, match="^examples=.*one for each argument"):
        graphs.write_function_graph(named, tmp_path / "runs", 1.0)
    assert not (tmp_path / "runs").exists()
    with pytest.raises(ValueError, match="^log_dir=.*has no graph"):
        graphs.read_graph(tmp_path / "runs")


def test_a_log_dir_that_cannot_be_written_is_named(tmp_path):
    (tmp_path / "file").write_text("in the way")
    for log_dir in (tmp_path / "file", tmp_path / "file" / "below"):
        with pytest.raises(ValueError, match=f"^log_dir='{log_dir}' cannot be written: "):
            graphs.write_function_graph(named, log_dir, 1.0, 2.0)
    assert (tmp_path / "file").read_text() == "in the way"


class TestLogDirectory:
    @pytest.fixture(autouse=True)
    def runs(self, tmp_path, monkeypatch):
        monkeypatch.setenv("CNN_UTILS_RUNS", str(tmp_path / "runs"))
        return tmp_path / "runs"

    def test_is_made_and_emptied_on_each_call(self, runs):
        folder = graphs.log_directory("01_graphs")
        assert folder == runs / "01_graphs" and folder.is_dir()
        (folder / "train").mkdir()
        (folder / "train" / "old").write_text("old")
        graphs.log_directory("02_other")
        assert (folder / "train" / "old").exists()
        assert list(graphs.log_directory("01_graphs").iterdir()) == []

    @pytest.mark.parametrize(
        "name", ["", ".", "..", "../x", "a/../../x", "/tmp", "a/b", ".a", "a\\b", "a b", "a\n", None, 6]
    )
    def test_refuses_names_that_could_lead_elsewhere(self, name, runs):
        with pytest.raises(ValueError, match="^name=.*letters, digits"):
            graphs.log_directory(name)
        assert not runs.exists()

    def test_deletes_nothing_behind_a_link(self, runs, tmp_path):
        outside = tmp_path / "outside"
        outside.mkdir()
        (outside / "precious").write_text("keep")
        runs.mkdir()
        (runs / "link").symlink_to(outside)
        with pytest.raises(ValueError, match="^name='link'.*link cannot be emptied: .* symbolic link"):
            graphs.log_directory("link")
        (graphs.log_directory("real") / "inner").symlink_to(outside)
        assert list(graphs.log_directory("real").iterdir()) == []
        assert (outside / "precious").read_text() == "keep"

    def test_refuses_a_file_in_its_place(self, runs):
        runs.mkdir()
        (runs / "taken").write_text("keep")
        with pytest.raises(ValueError, match="^name='taken'.*taken cannot be emptied: Not a directory"):
            graphs.log_directory("taken")
        assert (runs / "taken").read_text() == "keep"

    def test_says_when_the_folder_of_runs_cannot_be_made(self, tmp_path, monkeypatch):
        (tmp_path / "file").write_text("")
        monkeypatch.setenv("CNN_UTILS_RUNS", str(tmp_path / "file"))
        with pytest.raises(ValueError, match="^name='x': .*cannot be emptied"):
            graphs.log_directory("x")

    @pytest.mark.parametrize("name", ["x" * 256, "y" * 4000])
    def test_says_when_a_name_is_too_long(self, name):
        with pytest.raises(ValueError, match="^name='[xy]*': .* cannot be emptied: File name too long$"):
            graphs.log_directory(name)

    def test_says_when_there_is_no_such_home_folder(self, monkeypatch):
        monkeypatch.setenv("CNN_UTILS_RUNS", "~nobody-of-this-name/runs")
        problem = (
            "^CNN_UTILS_RUNS=~nobody-of-this-name/runs: there is no such home folder: give a path without ~$"
        )
        with pytest.raises(ValueError, match=problem):
            graphs.log_directory("x")

    def test_stands_beside_pyproject_unless_told_otherwise(self, monkeypatch):
        monkeypatch.delenv("CNN_UTILS_RUNS")
        folder = cnn_utils.folder("CNN_UTILS_RUNS", "runs")
        assert folder.name == "runs" and (folder.parent / "pyproject.toml").exists()

    def test_stands_in_the_working_directory_when_installed_elsewhere(self, tmp_path, monkeypatch):
        monkeypatch.delenv("CNN_UTILS_RUNS")
        monkeypatch.setattr(
            cnn_utils, "__file__", str(tmp_path / "site-packages" / "cnn_utils" / "__init__.py")
        )
        monkeypatch.chdir(tmp_path)
        assert graphs.log_directory("x") == tmp_path / "runs" / "x"


@pytest.mark.parametrize("allow_stdin", [None, False])
def test_tensorboard_is_not_started_where_nobody_watches(allow_stdin, tmp_path, monkeypatch, capsys):
    if allow_stdin is not None:  # a kernel that runs for nbconvert
        in_jupyter(monkeypatch, allow_stdin)
    graphs.write_function_graph(named, tmp_path, 1.0, 2.0)
    before = set(threading.enumerate())
    graphs.show_tensorboard(tmp_path)
    assert set(threading.enumerate()) == before
    assert capsys.readouterr().out.endswith("make tensorboard\n")


@pytest.mark.filterwarnings("ignore:html5lib")  # inside TensorBoard
def test_a_folder_has_one_tensorboard_and_each_call_shows_what_is_there_now(tmp_path, monkeypatch, capsys):
    in_jupyter(monkeypatch, True)
    monkeypatch.setattr(graphs, "_servers", {})
    before = set(threading.enumerate())
    addresses = []
    for run in ("first", "second", "third"):
        graphs.write_function_graph(named, tmp_path / run, 1.0, 2.0)
        graphs.show_tensorboard(tmp_path if run == "first" else str(tmp_path / "first" / ".."))
        addresses += re.findall(r"http://127\.0\.0\.1:\d+/", capsys.readouterr().out)
        with urllib.request.urlopen(f"{addresses[-1]}data/runs") as answer:
            assert set(json.load(answer)) == {path.name for path in tmp_path.iterdir()}
    assert len(addresses) == 3 and len(set(addresses)) == 1
    serving = {thread for thread in set(threading.enumerate()) - before if thread.name == "TensorBoard"}
    assert len(serving) == 1
    graphs._servers[tmp_path.resolve()].shutdown()


def test_tensorboard_opens_on_the_tab_that_is_asked_for(tmp_path, monkeypatch):
    in_jupyter(monkeypatch, True)
    shown = []
    monkeypatch.setattr(graphs, "_serve", lambda folder: "http://here/")
    monkeypatch.setattr(IPython.display, "display", shown.append)
    graphs.write_function_graph(named, tmp_path, 1.0, 2.0)
    graphs.show_tensorboard(tmp_path)
    graphs.show_tensorboard(tmp_path, tab="histograms")
    assert [frame.src for frame in shown] == ["http://here/#graphs", "http://here/#histograms"]


def in_jupyter(monkeypatch, allow_stdin):
    """A kernel's shell, as far as it is asked."""
    request = {"content": {"allow_stdin": allow_stdin}}
    shell = SimpleNamespace(kernel=None, get_parent=lambda: request)
    monkeypatch.setattr(IPython, "get_ipython", lambda: shell)


def test_tensorboard_on_an_empty_folder_says_what_to_do(tmp_path):
    with pytest.raises(ValueError, match="log_dir=.* has nothing to show: run the cell that writes the logs"):
        graphs.show_tensorboard(tmp_path)
