"""The explorer without a browser: its arguments, what it tells the page, and its still picture."""

import base64
import json
import subprocess
import sys

import matplotlib.pyplot as plt
import numpy as np
import pytest

from cnn_utils import inspection, keras
from cnn_utils.explorer import LayerExplorer
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
    """An explorer that keeps what it sends to the page in `sent`."""
    explorer = LayerExplorer(model, IMAGES, class_names=list("abcd"))
    explorer.sent = []
    explorer.send = lambda message, buffers=None: explorer.sent.append((message, buffers))
    return explorer


def ask(explorer, **question):
    """Ask as the page does; return the answer."""
    buffers = question.pop("buffers", [])
    explorer._handle_custom_msg({"id": "q", **question}, buffers)
    return explorer.sent.pop()


def test_it_starts_on_the_first_image_and_the_most_active_unit_of_the_first_layer(explorer, model):
    np.testing.assert_array_equal(explorer.image, IMAGES[0].astype("float32"))
    shown = explorer.explain()
    assert shown.layer == "conv" and shown.output == inspection.activations(model, IMAGES[0])["conv"].max()


def test_a_unit_selected_in_code_is_explained_and_sent_to_the_page(explorer, model):
    explorer.select("conv", unit=(4, 5), channel=2)
    expected = inspection.explain(model, IMAGES[0], "conv", (4, 5), 2)
    assert repr(explorer.explain()) == repr(expected)
    message, (patch, kernel, products, activations) = explorer.sent.pop()
    assert (message["id"], tuple(message["unit"]["unit"]), message["unit"]["channel"]) == (None, (4, 5), 2)
    np.testing.assert_allclose(np.frombuffer(patch, "f4"), expected.patch.ravel(), rtol=1e-6)
    np.testing.assert_allclose(np.frombuffer(kernel, "f4"), expected.kernel.ravel(), rtol=1e-6)
    np.testing.assert_allclose(np.frombuffer(products, "f4"), expected.products.ravel(), rtol=1e-6)
    values = inspection.activations(model, IMAGES[0]).values()
    np.testing.assert_array_equal(
        np.frombuffer(activations, "f4"), np.concatenate([v.ravel() for v in values])
    )


def test_a_drawing_from_the_page_becomes_the_image_and_is_answered(explorer, model):
    drawn = np.zeros((8, 8, 1), "f4")
    drawn[2:6, 4] = 1
    message, buffers = ask(explorer, type="draw", buffers=[drawn.tobytes()])
    np.testing.assert_array_equal(explorer.image, drawn)
    assert (message["reason"], message["id"]) == ("draw", "q")
    probabilities = np.frombuffer(buffers[3], "f4")[-4:]
    np.testing.assert_allclose(probabilities, keras.ops.softmax(model(drawn[None]))[0], rtol=1e-5)


def test_the_page_can_pick_an_image_and_point_at_a_unit(explorer):
    ask(explorer, type="pick", index=2)
    np.testing.assert_array_equal(explorer.image, IMAGES[2].astype("float32"))
    message, buffers = ask(explorer, type="select", layer="pool", unit=[1, 2], channel=0)
    assert len(buffers) == 3  # the activations are the same as before
    assert (explorer.explain().layer, explorer.explain().unit) == ("pool", (1, 2))
    message, _ = ask(explorer, type="select", layer="logits", unit=None, channel=None)
    assert message["unit"]["output"] == explorer._values["logits"].max()


def test_a_message_is_plain_json(explorer):
    for layer in explorer._steps:
        explorer.select(layer)
        json.dumps(explorer.sent.pop()[0], allow_nan=False)


def test_an_image_can_be_assigned(explorer):
    explorer.image = np.eye(8)
    np.testing.assert_array_equal(explorer.image[..., 0], np.eye(8))
    assert explorer.sent[0][0]["reason"] == "code"


def test_weights_changed_by_training_show_at_the_next_look(explorer, model):
    before = explorer.explain().output
    bias = model.get_layer("conv").bias
    bias.assign(bias + 1)
    explorer.select(*explorer._selected)
    assert explorer.explain().output == pytest.approx(before + 1, abs=1e-5)
    bias.assign(bias - 1)


def test_only_the_layers_asked_for_are_shown(model):
    explorer = LayerExplorer(model, layers=["pool", "softmax"])
    assert [card["name"] for card in explorer._spec["layers"]][1:] == ["pool", "softmax"]
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


def test_a_layer_it_cannot_explain_is_named():
    model = keras.Sequential([L.Input((4, 4, 1)), L.GaussianNoise(0.1, name="noise")])
    with pytest.raises(ValueError, match="layer 'noise' is a GaussianNoise"):
        LayerExplorer(model)


@pytest.mark.parametrize("build", networks.EVERY_KIND, ids=lambda build: build.__name__)
def test_every_kind_of_layer_has_its_card_its_numbers_and_its_picture(build):
    model = build()
    image = np.random.default_rng(2).random(model.input_shape[1:])
    explorer = LayerExplorer(model, image)
    sent = []
    explorer.send = lambda message, buffers=None: sent.append((message, buffers))
    np.testing.assert_array_equal(explorer.image, image.astype("float32"))
    drawn = set()
    for card in explorer._spec["layers"]:
        assert card["says"] and (card["caption"] or card["name"] == "tanh")
        explorer.select(card["name"])
        json.dumps(sent[-1][0], allow_nan=False)
        way = card["shows"], explorer.explain().scores is not None
        if way in drawn:
            continue  # one picture for each way to show a unit
        drawn.add(way)
        assert explorer.figure().subfigs[1].get_suptitle() == repr(explorer.explain())
    answer = ask_bare(explorer, sent, type="draw", buffers=[np.zeros(model.input_shape[1:], "f4").tobytes()])
    assert answer["reason"] == "draw" and explorer.image.sum() == 0


def ask_bare(explorer, sent, *, buffers, **question):
    explorer._handle_custom_msg({"id": "q", **question}, buffers)
    return sent[-1][0]


def test_an_image_given_as_a_vector_is_drawn_as_a_square(model):
    (input_card, hidden, *_) = LayerExplorer(networks.dense_only())._spec["layers"]
    assert input_card["layout"] == {"rows": 7, "cols": 7, "tiles": 1, "across": 1}
    assert hidden["layout"] == {"rows": 6, "cols": 4, "tiles": 1, "across": 1}


def test_page_and_picture_place_the_maps_alike(explorer):
    cards = {card["name"]: card["layout"] for card in explorer._spec["layers"]}
    assert cards["conv"] == {"rows": 6, "cols": 6, "tiles": 3, "across": 2}
    pictures = [axes.get_images()[0].get_array() for axes in explorer.figure().subfigs[0].axes]
    conv = explorer._values["conv"] / np.abs(explorer._values["conv"]).max()
    np.testing.assert_allclose(pictures[1][:6, 7:13], conv[..., 1], rtol=1e-6)
    np.testing.assert_allclose(pictures[1][7:13, :6], conv[..., 2], rtol=1e-6)


def test_what_cannot_be_explained_is_said_on_the_page(explorer, monkeypatch):
    monkeypatch.setattr(
        inspection, "explain", lambda *_, **__: (_ for _ in ()).throw(ValueError("layer 'conv'"))
    )
    explorer._handle_custom_msg(
        {"id": "q", "type": "select", "layer": "conv", "unit": None, "channel": None}, []
    )
    assert explorer.sent.pop()[0] == {"id": "q", "error": "layer 'conv'"}


def test_infinity_travels_as_javascript_writes_it(model):
    weights = model.get_weights()
    model.get_layer("conv").bias.assign([np.inf, -np.inf, np.nan])
    explorer = LayerExplorer(model, IMAGES)
    explorer.sent = []
    explorer.send = lambda message, buffers=None: explorer.sent.append(message)
    for channel, expected in enumerate(("Infinity", 0.0, "NaN")):
        explorer.select("conv", (1, 1), channel)
        json.dumps(explorer.sent[-1], allow_nan=False)
        assert explorer.sent[-1]["unit"]["activation"] == expected
    model.set_weights(weights)


def test_the_page_asks_nothing_of_another_host():
    source = str(LayerExplorer._esm)
    assert "http" not in source and "import " not in source


def test_importing_the_explorer_does_not_import_tensorflow():
    code = (
        "import sys, cnn_utils.explorer; sys.exit('tensorflow' in sys.modules or 'matplotlib' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0
