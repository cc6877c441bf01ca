"""The explorer without a browser: its arguments, what it tells the page, and its still picture."""

import base64
import gzip
import json
import re
import subprocess
import sys

import matplotlib.pyplot as plt
import numpy as np
import pytest

from cnn_utils import inspection, keras, models, tf
from cnn_utils.explorer import LayerExplorer, network, picture, saved
from tests import networks

L = keras.layers


@pytest.fixture(scope="module")
def model():
    keras.utils.set_random_seed(3)
    return keras.Sequential(
        [
            L.Input((8, 8, 1)),
            L.Conv2D(3, 3, activation="relu", name="conv"),
            L.MaxPooling2D(2, name="pool"),
            L.Flatten(name="flatten"),
            L.Dense(4, name="logits"),
        ],
        name="small",
    )


IMAGES = np.random.default_rng(0).random((3, 8, 8, 1))


@pytest.fixture
def explorer(model):
    return LayerExplorer(model, IMAGES, class_names=list("abcd"))


def layers(explorer):
    """What the page knows of each layer that it shows, by name."""
    return {layer["name"]: layer for layer in explorer._network["layers"] if layer["shown"]}


def numbers(explorer, place):
    """An array of the network, as the page reads it."""
    arrays = np.frombuffer(explorer._network["arrays"], "f4")
    return arrays[place["start"] :][: np.prod(place["shape"], dtype=int)].reshape(place["shape"])


def test_it_starts_on_the_first_image_and_the_most_active_unit_of_the_first_layer(explorer, model):
    np.testing.assert_array_equal(explorer.image, IMAGES[0].astype("float32"))
    shown = explorer.explain()
    assert shown.layer == "conv" and shown.output == inspection.activations(model, IMAGES[0])["conv"].max()


def test_a_unit_selected_in_code_is_explained_and_known_to_the_page(explorer, model):
    explorer.select("conv", unit=(4, 5), channel=2)
    expected = inspection.explain(model, IMAGES[0], "conv", (4, 5), 2)
    assert repr(explorer.explain()) == repr(expected)
    assert explorer._selected == ["conv", [4, 5], 2]
    explorer.select("logits")
    assert explorer._selected == ["logits", [explorer.explain().unit[0]], None]


def test_the_page_has_weights_images_and_what_keras_makes_of_a_probe(explorer, model):
    conv = layers(explorer)["conv"]
    kernel, bias = (numbers(explorer, place) for place in (conv["kernel"], conv["addends"][0]))
    np.testing.assert_array_equal(kernel, model.get_layer("conv").kernel)
    np.testing.assert_array_equal(bias, model.get_layer("conv").bias)
    np.testing.assert_array_equal(np.frombuffer(explorer._images, "f4"), IMAGES.ravel().astype("f4"))
    values = inspection.activations(model, numbers(explorer, explorer._network["probe"]))
    for name, layer in layers(explorer).items():
        expected = layer["expected"]
        np.testing.assert_allclose(
            numbers(explorer, expected["values"]), values[name].ravel()[expected["at"]], rtol=1e-5
        )


def test_a_drawing_on_the_page_becomes_the_image_and_its_unit_the_one_explained(explorer):
    drawn = np.zeros((8, 8, 1), "f4")
    drawn[2:6, 4] = 1
    explorer.set_state({"_image": memoryview(drawn.tobytes()), "_selected": ["pool", [1, 2], 0]})
    np.testing.assert_array_equal(explorer.image, drawn)
    assert (explorer.explain().layer, explorer.explain().unit) == ("pool", (1, 2))
    assert explorer.explain().output == inspection.activations(explorer._model, drawn)["pool"][1, 2, 0]


def test_what_the_page_is_told_is_plain_json(explorer):
    json.dumps(explorer._network | {"arrays": None}, allow_nan=False)


def test_an_image_can_be_assigned(explorer):
    explorer.image = np.eye(8)
    np.testing.assert_array_equal(explorer.image[..., 0], np.eye(8))
    np.testing.assert_array_equal(np.frombuffer(explorer._image, "f4"), np.eye(8).ravel())


def test_weights_changed_by_training_are_explained_at_once_and_on_the_page_after_a_refresh(explorer, model):
    before, bias = explorer.explain().output, model.get_layer("conv").bias
    place = layers(explorer)["conv"]["addends"][0]
    bias.assign(bias + 1)
    assert explorer.explain().output == pytest.approx(before + 1, abs=1e-5)
    assert not np.allclose(numbers(explorer, place), bias)
    explorer.refresh()
    np.testing.assert_array_equal(numbers(explorer, place), bias)
    bias.assign(bias - 1)


def test_a_layer_replaced_is_refreshed_too():
    model = keras.Sequential(
        [L.Input((6, 6, 1)), L.Conv2D(2, 3, name="conv"), L.Flatten(name="f"), L.Dense(2, name="d")]
    )
    explorer = LayerExplorer(model)
    explorer.select("d")
    model.pop()
    model.get_layer("conv").activation = keras.activations.tanh
    explorer.refresh()
    assert layers(explorer)["conv"]["function"]["call"] == "tanh"
    assert explorer.explain().layer == list(layers(explorer))[-1] == "f"
    assert len(explorer._network["classes"]) == 32


def test_only_the_layers_asked_for_are_shown(model):
    explorer = LayerExplorer(model, layers=["pool", "softmax"])
    assert list(layers(explorer))[1:] == ["pool", "softmax"]
    with pytest.raises(ValueError, match="layer='conv' is not shown here: choose one of .*, pool, softmax"):
        explorer.select("conv")


def test_without_an_image_it_starts_blank(model):
    assert LayerExplorer(model).image.sum() == 0


def test_the_still_picture_is_part_of_the_output_and_the_text_has_no_address(explorer):
    data, _ = explorer._repr_mimebundle_()
    assert data["text/plain"] == "LayerExplorer of small, 5 layers"
    assert base64.b64decode(data["image/png"]).startswith(b"\x89PNG")
    assert "application/vnd.jupyter.widget-view+json" in data


def test_the_first_picture_of_a_notebook_may_be_the_explorers(explorer, monkeypatch):
    """Jupyter's backend turns `interactive` on at the first figure; turned off again, no later figure is shown."""
    figure = plt.figure

    def first_figure(*arguments, **options):
        plt.rcParams["interactive"] = True
        return figure(*arguments, **options)

    monkeypatch.setitem(plt.rcParams, "interactive", False)
    monkeypatch.setattr(plt, "figure", first_figure)
    explorer.figure()
    assert plt.rcParams["interactive"]


@pytest.mark.parametrize("layer", ["conv", "pool", "flatten", "logits", "softmax"])
def test_the_figure_names_the_unit_and_every_layer(explorer, layer):
    explorer.select(layer)
    top, bottom = explorer.figure().subfigs
    assert bottom.get_suptitle() == repr(explorer.explain())
    titles = [axes.get_title().split("\n")[0] for axes in top.axes]
    assert titles == ["input", "conv", "pool", "flatten", "logits", "softmax"]


def test_the_figure_outlines_the_window_in_the_layer_before_and_the_field_in_the_input(explorer):
    explorer.select("pool", (1, 2), 0)  # a 2x2 window of conv, which sees 4x4 pixels
    top, _ = explorer.figure().subfigs
    boxes = [{(*p.get_xy(), p.get_width(), p.get_height()) for p in axes.patches} for axes in top.axes]
    assert boxes[:3] == [{(3.5, 1.5, 4, 4)}, {(3.5, 1.5, 2, 2)}, {(1.5, 0.5, 1, 1)}]


@pytest.mark.parametrize(
    "options, message",
    [
        ({"image": np.zeros((8, 8), np.uint8)}, "image is uint8, 0 to 255: .* image / 255"),
        ({"image": np.zeros((9, 8))}, r"image has shape \(9, 8\): the model's input is \(8, 8, 1\)"),
        ({"image": np.zeros((0, 8, 8))}, r"image has shape \(0, 8, 8\)"),
        ({"class_names": ["a"]}, "class_names has 1 names: the model has 4 outputs"),
        ({"layers": ["conv", "nope"]}, "layers names nope: the model has .*, conv, pool"),
        ({"layers": "conv"}, r"layers='conv' must be a list of names, such as \['conv'\]"),
        ({"image": np.full((8, 8), 255)}, "image is int64, 0 to 255: .* image / 255"),
        ({"image": np.full((8, 8), np.nan)}, "image .* holds values that are no finite numbers"),
    ],
)
def test_arguments_that_do_not_fit_the_model_are_errors(model, options, message):
    with pytest.raises(ValueError, match=message):
        LayerExplorer(model, **options)


def test_gradients_are_those_of_the_whole_model(explorer, model):
    """The page is compared with `gradients`; here that is compared with TensorFlow on the model as it stands."""
    image = tf.constant(IMAGES[:1], tf.float32)
    for of in ("score", "loss"):
        explorer.backward("c", of)
        with tf.GradientTape() as tape:
            tape.watch(image)
            scores = model(image)
            loss = keras.losses.sparse_categorical_crossentropy(np.array([2]), scores, from_logits=True)
            target = scores[0, 2] if of == "score" else loss
        found = explorer.gradients()
        np.testing.assert_allclose(
            next(iter(found.values())), tape.gradient(target, image)[0], rtol=1e-4, atol=1e-6
        )
        assert {name: slopes.shape for name, slopes in found.items()} == {
            name: values.shape for name, values in inspection.activations(model, IMAGES[0]).items()
        }
    probabilities = np.exp(scores[0]) / np.exp(scores[0]).sum()
    np.testing.assert_allclose(found["logits"], probabilities - np.eye(4)[2], atol=1e-6)


def test_the_score_of_a_layer_with_softmax_is_what_stands_before_it():
    inputs = L.Input((6,))
    scores = L.Dense(3, name="d")(inputs)
    plain = networks.randomised(keras.Model(inputs, scores))
    fused = keras.Sequential([inputs, L.Dense(3, "softmax", name="d")])
    fused.set_weights(plain.get_weights())
    explorers = [LayerExplorer(model, np.linspace(-1, 1, 6)) for model in (plain, fused)]
    for of in ("score", "loss"):
        for explorer in explorers:
            explorer.backward(1, of)
        one, two = (explorer.gradients()["d"] for explorer in explorers)
        np.testing.assert_allclose(one, two, atol=1e-6)
    assert fused.get_layer("d").activation is keras.activations.softmax


def test_what_is_sent_back_is_known_to_the_page_and_drawn(explorer):
    with pytest.raises(ValueError, match="nothing is sent back yet"):
        explorer.gradients()
    explorer.backward()
    best = int(inspection.activations(explorer._model, explorer.image)["logits"].argmax())
    assert explorer._target == {"of": "score", "index": best}
    figure = explorer.figure()
    assert figure.get_suptitle() == f"gradients of the score of {'abcd'[best]}, by what each layer gives"
    picture = figure.axes[1].get_images()[0].get_array()
    conv = explorer.gradients()["conv"]
    np.testing.assert_allclose(picture[:6, 7:13], conv[..., 1] / np.abs(conv).max(), rtol=1e-5)
    explorer.forward()
    assert explorer._target == {} and len(explorer.figure().subfigs) == 2


@pytest.mark.parametrize(
    "options, message",
    [
        ({"index": 4}, "index=4 must be one of 0 … 3, or a class's name"),
        ({"index": "e"}, "index='e' must be one of"),
        ({"of": "accuracy"}, "of='accuracy' must be 'score'; or 'loss', if the model ends in"),
    ],
)
def test_a_target_that_is_not_there_is_an_error(explorer, options, message):
    with pytest.raises(ValueError, match=message):
        explorer.backward(**options)


def test_of_an_output_that_is_a_map_the_target_is_a_number_or_a_place():
    model = keras.Sequential([L.Input((6, 6, 1)), L.Conv2D(2, 3, name="scores")])
    explorer = LayerExplorer(model, np.ones((6, 6)), class_names=["edge", "bar"])
    explorer.backward((1, 2, 1))
    assert explorer._target["index"] == 1 * 8 + 2 * 2 + 1
    assert explorer.gradients()["scores"][1, 2, 1] == 1 and explorer.gradients()["scores"].sum() == 1
    assert explorer.figure().get_suptitle().startswith("gradients of the score of (1, 2) of channel 1")
    explorer.backward(1)  # no class of that number: a unit of the map
    assert explorer.figure().get_suptitle().startswith("gradients of the score of (0, 0) of channel 1")
    for index in ((4, 0, 0), (1, 2), "bar", 32):
        with pytest.raises(ValueError, match=r"must be one of 0 … 31, or a place in \(4, 4, 2\)"):
            explorer.backward(index)


def test_a_layer_it_cannot_explain_is_named():
    model = keras.Sequential([L.Input((4, 4, 1)), L.GaussianNoise(0.1, name="noise")])
    with pytest.raises(ValueError, match="layer 'noise' is a GaussianNoise"):
        LayerExplorer(model)


@pytest.mark.parametrize("build", networks.EVERY_KIND, ids=lambda build: build.__name__)
def test_every_kind_of_layer_has_its_card_and_its_picture(build):
    model = build()
    image = np.random.default_rng(2).random(model.input_shape[1:])
    explorer = LayerExplorer(model, image)
    np.testing.assert_array_equal(explorer.image, image.astype("float32"))
    drawn = set()
    for name, layer in layers(explorer).items():
        assert layer["says"] and (layer["caption"] or name == "tanh")
        explorer.select(name)
        way = layer["shows"], explorer.explain().scores is not None
        if way in drawn:
            continue  # one picture for each way to show a unit
        drawn.add(way)
        assert explorer.figure().subfigs[1].get_suptitle() == repr(explorer.explain())


def test_an_image_given_as_a_vector_is_drawn_as_a_square(model):
    (input_card, hidden, *_) = LayerExplorer(networks.dense_only())._network["layers"]
    assert input_card["layout"] == {"rows": 7, "cols": 7, "tiles": 1, "across": 1}
    assert hidden["layout"] == {"rows": 6, "cols": 4, "tiles": 1, "across": 1}


def test_page_and_picture_place_the_maps_alike(explorer):
    assert layers(explorer)["conv"]["layout"] == {"rows": 6, "cols": 6, "tiles": 3, "across": 2}
    pictures = [axes.get_images()[0].get_array() for axes in explorer.figure().subfigs[0].axes]
    conv = inspection.activations(explorer._model, explorer.image)["conv"]
    conv = conv / np.abs(conv).max()
    np.testing.assert_allclose(pictures[1][:6, 7:13], conv[..., 1], rtol=1e-6)
    np.testing.assert_allclose(pictures[1][7:13, :6], conv[..., 2], rtol=1e-6)


@pytest.mark.filterwarnings("ignore:You are using a softmax over axis 1")  # that is the point
@pytest.mark.parametrize("activation", [L.Softmax(axis=1), "log_softmax", lambda x: x * x, keras.ops.cos])
def test_an_activation_that_the_page_cannot_compute_is_named(activation):
    model = keras.Sequential([L.Input((4, 4, 1)), L.Conv2D(2, 3, activation=activation, name="mine")])
    with pytest.raises(
        ValueError, match="layer 'mine' has activation='.*': the page computes Keras' own, and"
    ):
        LayerExplorer(model)


def relu(x):
    """A reader's own function: what it computes is its own, whatever its name."""
    return -x


def test_a_readers_own_activation_goes_to_the_page_as_a_table_once():
    options = {"activation": relu}
    model = keras.Sequential([L.Input((4, 4, 1)), L.Conv2D(2, 2, **options), L.Conv2D(2, 2, **options)])
    first, second = [layer["function"] for layer in LayerExplorer(model)._network["layers"][1:]]
    assert first == second and (first["call"], first["options"]) == ("table", [-1, -1])


def test_a_network_too_large_for_a_page_is_an_error(model, monkeypatch):
    monkeypatch.setattr(network, "LARGEST", 500)
    with pytest.raises(ValueError, match="'small' has 0.000.* MB of weights: the page .* up to 0.0005 MB"):
        LayerExplorer(model)


# ---- the saved file; tests/browser opens it ----


def test_a_saved_file_holds_everything_and_asks_nothing_of_the_network(explorer, tmp_path):
    path = tmp_path / "page.html"
    assert explorer.save(path) == path.stat().st_size < 120_000
    page = path.read_text("utf-8")
    assert "http" not in page.lower().replace("http-equiv", "")
    assert "default-src 'none'" in page
    state = json.loads(re.search(r'id="state">(.*?)</script>', page)[1])
    weights = gzip.decompress(base64.b64decode(state["_network"]["arrays"]))
    assert weights == explorer._network["arrays"]
    assert gzip.decompress(base64.b64decode(state["_images"])) == IMAGES.astype("f4").tobytes()
    assert [file.name for file in tmp_path.iterdir()] == ["page.html"]


def test_a_saved_file_has_the_weights_of_now_and_names_that_are_markup(model, tmp_path):
    explorer = LayerExplorer(model, IMAGES, class_names=["<b>", "</script>", "&", "d"])
    bias = model.get_layer("conv").bias
    bias.assign(bias + 1)
    explorer.save(tmp_path / "a.html")
    np.testing.assert_array_equal(numbers(explorer, layers(explorer)["conv"]["addends"][0]), bias)
    assert (tmp_path / "a.html").read_text("utf-8").count("</script>") == 2
    bias.assign(bias - 1)


def test_a_file_that_would_be_too_large_is_an_error_and_leaves_the_old_one(explorer, tmp_path, monkeypatch):
    path = tmp_path / "page.html"
    path.write_text("old")
    monkeypatch.setattr(saved, "LARGEST", 1000)
    with pytest.raises(ValueError, match=r"page.html' would be 0.\d+ MB, .* a file may have 0.001 MB"):
        explorer.save(path)
    assert path.read_text() == "old" and len(list(tmp_path.iterdir())) == 1


def test_a_file_is_written_whole_or_not_at_all(explorer, tmp_path, monkeypatch):
    monkeypatch.setattr(saved.os, "replace", lambda *_: (_ for _ in ()).throw(OSError("disk")))
    with pytest.raises(OSError, match="disk"):
        explorer.save(tmp_path / "page.html")
    assert list(tmp_path.iterdir()) == []


def test_strongest_contributions_of_a_dense_unit_say_where_they_come_from():
    pool, dense = L.MaxPooling2D(2, name="p"), L.Dense(3, name="d")
    model = keras.Sequential([L.Input((6, 8, 2)), pool, L.Flatten(), L.Dropout(0.2), dense])
    image = np.random.default_rng(7).normal(size=(6, 8, 2))
    e, steps = inspection.explain(model, image, "d", 2), inspection.steps(model)
    pooled = inspection.activations(model, image)["p"]
    top = picture.strongest({step.name: step for step in steps}, e)
    sizes = [abs(c.product) for c in top]
    assert sizes == sorted(sizes, reverse=True) and sizes[0] == np.abs(e.products).max() and len(top) == 10
    for c in top:
        layer, (row, col), channel = c.place
        assert layer == "p" and pooled[row, col, channel] == pytest.approx(c.value)
        assert c.weight == pytest.approx(float(model.get_layer("d").kernel[c.index, 2]))


def test_the_page_asks_nothing_of_another_host():
    source = str(LayerExplorer._esm)
    assert "http" not in source and "import " not in source


def test_importing_the_explorer_does_not_import_tensorflow():
    code = (
        "import sys, cnn_utils.explorer; sys.exit('tensorflow' in sys.modules or 'matplotlib' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0


@pytest.mark.parametrize("place", [".", "missing/network.html"])
def test_save_names_a_path_that_is_no_files(place, tmp_path):
    with pytest.raises(ValueError, match="^path='.*' must be a file's, in a folder that exists"):
        LayerExplorer(models.lenet5()).save(tmp_path / place)
    assert list(tmp_path.iterdir()) == []
