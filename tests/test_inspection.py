"""Every number an explanation shows, against what Keras computes."""

import ast
import functools
import gc
import re
import weakref
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from cnn_utils import inspection, keras, models, tf
from tests import networks
from tests.networks import randomised

L = keras.layers


def image_for(model, seed=1):
    return np.random.default_rng(seed).normal(size=model.input_shape[1:]).astype("float32")


def sequential(*layers, shape=(9, 8, 2), seed=0, positive=False):
    return randomised(keras.Sequential([L.Input(shape), *layers]), seed, positive)


def as_unit(place):
    """An index into a layer's output, as (unit, channel)."""
    return (place, None) if len(place) == 1 else (place[:2], (*place, 0)[2])


def check_units(model, image, units=4, seed=2):
    """Explain random units of every layer: the arithmetic must give the model's own values."""
    rng = np.random.default_rng(seed)
    values = inspection.activations(model, image)
    for step in inspection.steps(model):
        output = values[step.name]
        for _ in range(units):
            place = tuple(int(rng.integers(n)) for n in output.shape)
            e = inspection.explain(model, image, step.name, *as_unit(place), values=values)
            assert (e.unit, e.channel) == as_unit(place)
            if e.precision == "float32":
                assert e.activation == pytest.approx(output[place], rel=1e-4, abs=1e-5), (step.name, place)
            assert e.output == output[place] and abs(e.activation - e.output) <= e.tolerance
            if e.kernel is not None:
                assert e.patch.shape == e.kernel.shape == e.products.shape
                assert (e.patch * e.kernel).sum() + (e.bias or 0) == pytest.approx(e.pre_activation)
            if e.scores is not None:
                share = e.exponentials[place[-1]] / e.exponentials.sum()
                assert share == pytest.approx(output[place], rel=1e-4, abs=e.tolerance)


def relu(x):
    """A reader's own function: what it computes is its own, whatever its name."""
    return -x


def branches():
    """Layers to be put one after the other, each list on the same map of 9×8 pixels and 2 channels."""
    leaky = functools.partial(tf.nn.leaky_relu, alpha=0.3)
    return [
        [L.Conv2D(3, (3, 2))],
        [L.Conv2D(3, 3, strides=2, padding="same", activation="relu")],
        [L.Conv2D(4, 3, dilation_rate=(2, 1), padding="same", activation="tanh")],
        [L.Conv2D(4, 1), L.Conv2D(6, 3, groups=2, use_bias=False, activation="sigmoid")],
        [L.Conv2D(4, 2, strides=2, activation="softmax")],
        [L.DepthwiseConv2D(3, depth_multiplier=2, padding="same")],
        [L.DepthwiseConv2D(3, strides=2, activation="relu")],
        [L.MaxPooling2D(2)],
        [L.MaxPooling2D((3, 2), strides=(2, 1), padding="same")],
        [L.AveragePooling2D((2, 3))],
        [L.AveragePooling2D(3, strides=2, padding="same")],
        [L.GlobalAveragePooling2D(), L.Dense(3)],
        [L.GlobalMaxPooling2D(keepdims=True)],
        [L.Flatten(), L.Dense(5, "tanh"), L.Dropout(0.5), L.Dense(4, "softmax")],
        [L.Dense(3, activation="relu")],
        [L.Activation("tanh"), L.Activation("sigmoid"), L.ReLU(), L.Softmax()],
        [L.ReLU(max_value=0.6, negative_slope=0.2, threshold=0.1)],
        [L.BatchNormalization(), L.BatchNormalization(scale=False, center=False)],
        [L.Flatten(), L.BatchNormalization()],
        [L.ZeroPadding2D(((1, 2), (0, 3))), L.Conv2D(2, 3)],
        [L.LeakyReLU(), L.Activation("leaky_relu"), L.Activation("relu6"), L.Activation(L.ReLU(0.4))],
        [L.Conv2D(2, 3, activation=L.LeakyReLU(0.1)), L.Dense(4, L.ReLU(0.4)), L.Dense(3, L.Softmax())],
        [L.Conv2D(2, 3, activation=tf.nn.relu), L.Dense(2, tf.nn.leaky_relu), L.Dense(3, tf.nn.softmax)],
        [L.Dense(2, relu), L.Dense(2, lambda x: x * x), L.Dense(2, leaky), L.Dense(2, "gelu")],
        [L.Rescaling(1 / 255, -0.5), L.Rescaling([2, -1], [0.3, 0])],
        [L.SeparableConv2D(4, 3, strides=2, padding="same", activation="silu")],
        [L.SeparableConv2D(3, (2, 3), depth_multiplier=2, dilation_rate=2, use_bias=False)],
        [L.UpSampling2D((3, 2)), L.Conv2D(2, 3)],
        [L.Reshape((12, 4, 3)), L.Conv2D(2, 3), L.Reshape((40,)), L.Reshape((8, 5)), L.Flatten()],
    ]


def test_units_of_every_kind_of_layer_have_the_value_keras_computes():
    inputs = L.Input((9, 8, 2))
    ends = [functools.reduce(lambda x, layer: layer(x), layers, inputs) for layers in branches()]
    model = keras.Model(inputs, L.Concatenate()([L.Flatten()(end) for end in ends]))
    check_units(randomised(model), image_for(model), units=5)


@pytest.mark.parametrize("seed", range(3))
def test_units_of_random_networks_have_the_value_keras_computes(seed):
    model = networks.random_network(seed)
    check_units(model, image_for(model, seed))


@pytest.mark.parametrize("dtype", ["float32", "mixed_float16"])
@pytest.mark.parametrize("build", networks.EVERY_KIND, ids=lambda build: build.__name__)
def test_every_kind_of_layer_has_the_value_keras_computes_in_every_precision(build, dtype):
    model = build(dtype)
    check_units(model, image_for(model))


def test_the_networks_hold_every_kind_of_layer():
    layers = {
        type(step.layer).__name__ for build in networks.EVERY_KIND for step in inspection.steps(build())
    }
    assert layers - {"NoneType"} == set(inspection.KINDS)


@pytest.mark.parametrize("dtype", ["float32", "mixed_bfloat16"])
def test_no_right_explanation_is_flagged_in_hundreds_of_units(dtype):
    """Positive numbers are the worst case: no error cancels, every partial sum is as large as it can be."""
    options = {"dtype": dtype}
    layers = [
        L.Conv2D(16, 3, padding="same", **options),
        L.DepthwiseConv2D(7, padding="same", **options),
        L.BatchNormalization(**options),
        L.AveragePooling2D(5, strides=2, **options),
        L.Conv2D(24, 5, activation="relu", **options),
        L.Dense(12, activation="tanh", **options),
        L.GlobalAveragePooling2D(**options),
        L.Dense(100, activation="sigmoid", **options),
        L.Dense(8, activation="softmax", **options),
    ]
    model = keras.Sequential([L.Input((16, 16, 3)), *layers])
    for seed, positive in enumerate((True, False)):
        randomised(model, seed, positive)
        image = image_for(model)
        check_units(model, np.abs(image) if positive else image, units=12, seed=seed)


def test_a_half_precision_network_fresh_from_training_is_explained():
    rng = np.random.default_rng(0)
    model = models.quicknet(dtype="mixed_bfloat16")
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile("adam", loss, run_eagerly=True)
    images = rng.random((32, 28, 28, 1))
    model.fit(images, rng.integers(10, size=32), batch_size=8, verbose=0)
    check_units(model, images[0], units=12)
    assert inspection.explain(model, images[0], "conv2").precision == "bfloat16"


def small():
    return sequential(L.Conv2D(3, 3, name="c"), L.Flatten(), L.Dense(4, name="d"))


CHANGES = {
    "activation replaced": lambda model: setattr(model.get_layer("c"), "activation", keras.activations.relu),
    "lora": lambda model: (model.get_layer("c").enable_lora(2), model.get_layer("d").enable_lora(1)),
    "precision": lambda model: setattr(model.get_layer("d"), "dtype_policy", "mixed_bfloat16"),
}


@pytest.mark.parametrize("name", CHANGES)
def test_a_layer_changed_after_the_first_look_is_explained_as_it_is_now(name):
    model = small()
    image = image_for(model)
    check_units(model, image, units=2)
    CHANGES[name](model)
    randomised(model, seed=4)
    for layer, value in zip(
        model.layers, list(inspection.activations(model, image).values())[1:], strict=False
    ):
        expected = keras.Model(model.inputs[0], layer.output)(image[None])
        np.testing.assert_allclose(value, tf.cast(expected, tf.float32)[0], rtol=1e-4, atol=1e-4)
    check_units(model, image)


def test_an_option_of_an_activation_layer_may_change_too():
    model = sequential(L.Conv2D(3, 3, activation=L.ReLU(), name="c"))
    check_units(model, image_for(model))
    model.get_layer("c").activation.max_value = 0.1
    assert inspection.activations(model, image_for(model))["c"].max() == pytest.approx(0.1)
    check_units(model, image_for(model))


def test_a_quantized_layer_is_refused_also_after_the_first_look():
    model = small()
    inspection.steps(model)
    model.get_layer("d").quantize("int8")
    with pytest.raises(ValueError, match="layer 'd' has quantization_mode='int8'"):
        inspection.steps(model)


@pytest.mark.parametrize("dtype", ["float32", "mixed_float16"])
def test_an_explanation_that_is_not_the_models_own_value_is_an_error(dtype, monkeypatch):
    model = randomised(keras.Sequential([L.Input((8, 8, 1)), L.Conv2D(2, 3, dtype=dtype, name="c")]))
    values = inspection.activations(model, image_for(model))
    row, col, channel = (int(i) for i in np.unravel_index(values["c"].argmin(), values["c"].shape))
    assert values["c"][row, col, channel] < -1
    values["c"] = np.maximum(values["c"], 0)  # as if an activation had been put in behind its back
    with pytest.raises(
        ValueError, match=r"layer 'c' is not explained: for c, .* = -\d.*, but the model gives 0, and"
    ):
        inspection.explain(model, None, "c", (row, col), channel, values=values)


def test_an_activation_that_needs_more_than_the_number_is_an_error():
    model = sequential(L.Dense(2, activation=L.Softmax(axis=1), name="d"))
    with pytest.raises(ValueError, match="layer 'd' is not explained"):
        inspection.explain(model, image_for(model), "d", (1, 2), 0)


def test_the_most_active_unit_may_be_minus_infinite():
    model = sequential(L.Flatten(), L.Dense(3, name="d"))
    model.get_layer("d").bias.assign([-np.inf] * 3)
    e = inspection.explain(model, image_for(model), "d", 2)
    assert (e.unit, e.output, e.activation) == ((2,), -np.inf, -np.inf)
    model.get_layer("d").bias.assign([np.nan] * 3)
    assert np.isnan(inspection.explain(model, image_for(model), "d", 1).activation)


def test_a_kind_of_layer_is_one_record(monkeypatch):
    """Cropping is not in the table: with a record it has windows, fields, numbers and words, and nothing else."""

    def cropped(layer, shape):
        return tuple(inspection.Axis(before=-amounts[0]) for amounts in layer.cropping)

    record = replace(inspection.KINDS["ZeroPadding2D"], name="cropping", axes=cropped)
    model = sequential(L.Cropping2D(((1, 2), (0, 3)), name="cropped"), L.Conv2D(2, 3))
    with pytest.raises(ValueError, match="layer 'cropped' is a Cropping2D"):
        inspection.steps(model)
    monkeypatch.setitem(inspection.KINDS, "Cropping2D", record)
    check_units(model, image_for(model))
    assert inspection.explain(model, image_for(model), "cropped", (0, 0), 0).receptive_field.rows == (1, 2)


def test_no_kind_of_layer_is_named_outside_its_record():
    package = Path(inspection.__file__).parent.parent
    kinds = {kind.name for kind in inspection.KINDS.values()} | set(inspection.KINDS)
    assert {"conv", "batch_norm", "Softmax"} <= kinds
    python = {*package.glob("inspection/*.py"), *package.glob("explorer/*.py")}
    for file in python - {package / "inspection" / "layers.py"}:
        words = {
            node.value for node in ast.walk(ast.parse(file.read_text())) if isinstance(node, ast.Constant)
        }
        assert words & kinds <= {"input", "activation", "InputLayer", "Softmax"}, file
    page = "".join(file.read_text() for file in package.glob("explorer/*.js"))
    words = set(re.findall(r"\w+(?=[\"'`]|:)", page))
    assert words & kinds <= {"input", "activation"}


def test_activations_are_those_of_the_model_layer_by_layer():
    model = sequential(
        L.Conv2D(3, 3, activation="relu", name="c"), L.MaxPooling2D(2, name="p"), L.Flatten(name="f")
    )
    image = image_for(model)
    values = inspection.activations(model, image)
    assert list(values)[1:] == ["c", "p", "f"]
    np.testing.assert_array_equal(next(iter(values.values())), image)
    for name in "cpf":
        keras_says = keras.Model(model.inputs[0], model.get_layer(name).output)(image[None]).numpy()[0]
        np.testing.assert_allclose(values[name], keras_says, rtol=1e-5, atol=1e-6)


def test_activations_follow_the_weights_and_the_layers_of_the_model():
    model = sequential(L.Conv2D(2, 3, name="c"))
    image = image_for(model)
    before = inspection.activations(model, image)["c"]
    model.layers[0].bias.assign(model.layers[0].bias + 1.0)
    np.testing.assert_allclose(inspection.activations(model, image)["c"], before + 1, rtol=1e-5, atol=1e-5)
    model.add(L.Flatten(name="f"))
    assert inspection.activations(model, image)["f"].shape == (before.size,)


@pytest.mark.parametrize("functional", [False, True])
def test_a_model_is_read_once_and_let_go_when_it_is_deleted(functional):
    model = sequential(L.Conv2D(2, 3), L.Flatten(), L.Dense(3))
    if functional:
        model = keras.Model(model.inputs, model.outputs)
    inspection.activations(model, image_for(model))
    assert list(map(id, inspection.steps(model))) == list(map(id, inspection.steps(model)))
    gone = weakref.ref(model), weakref.ref(model.layers[-1])
    del model
    for _ in range(2):  # the model goes first, then what was kept for it
        gc.collect()
    assert [reference() for reference in gone] == [None, None]


def test_reading_a_model_again_and_again_leaves_nothing_on_its_layers():
    model = sequential(L.Flatten(), L.Dense(3, name="logits"))
    layer = model.get_layer("logits")
    calls = [len(layer._outbound_nodes), len(layer._inbound_nodes)]
    for activation in (keras.activations.tanh, keras.activations.linear, keras.activations.relu):
        layer.activation = activation
        inspection.activations(model, image_for(model))
    assert [len(layer._outbound_nodes), len(layer._inbound_nodes)] == calls


def test_logits_get_a_softmax_of_their_own():
    model = sequential(L.Flatten(), L.Dense(3, name="logits"))
    image = image_for(model)
    scores = model(image[None]).numpy()[0]
    np.testing.assert_allclose(
        inspection.activations(model, image)["softmax"], tf.nn.softmax(scores), rtol=1e-5
    )
    np.testing.assert_allclose(inspection.explain(model, image, "softmax", 1).scores, scores, rtol=1e-5)


# A positive network lets no gradient cancel: the pixels with a gradient are exactly those the unit sees.
FIELDS = {
    "same padding, strides": lambda: [
        L.Conv2D(2, 5, strides=2, padding="same"),
        L.Conv2D(2, 3, padding="same"),
    ],
    "dilation": lambda: [L.Conv2D(2, 2), L.Conv2D(2, (3, 2), dilation_rate=(2, 3)), L.AveragePooling2D(2)],
    "zero padding": lambda: [
        L.ZeroPadding2D(((2, 0), (1, 3))),
        L.AveragePooling2D(3, strides=2),
        L.Conv2D(2, 2),
    ],
    "groups": lambda: [
        L.DepthwiseConv2D(3, depth_multiplier=2),
        L.Conv2D(4, 2, groups=2),
        L.BatchNormalization(),
    ],
    "vector": lambda: [L.AveragePooling2D(2), L.Flatten(), L.Dropout(0.5)],
    "dense": lambda: [L.Conv2D(2, 3), L.Flatten(), L.Dense(3)],
    "softmax": lambda: [L.DepthwiseConv2D(2), L.Softmax()],
    "softmax of its own": lambda: [L.DepthwiseConv2D(2, depth_multiplier=2, activation="softmax")],
    "global": lambda: [L.Conv2D(2, 3, strides=2), L.GlobalAveragePooling2D()],
}


def gradient_box(model, image, place):
    """Rows, columns and channels of the input that the unit's gradient reaches; None if there are none."""
    x = tf.constant(image[None])
    with tf.GradientTape() as tape:
        tape.watch(x)
        unit = model(x)[(0, *place)]
    reached = np.nonzero(tape.gradient(unit, x).numpy()[0])
    return tuple((int(i.min()), int(i.max()) + 1) for i in reached) if reached[0].size else None


@pytest.mark.parametrize("name", FIELDS)
def test_receptive_field_is_where_the_gradient_of_the_unit_reaches(name):
    model = sequential(*FIELDS[name](), shape=(12, 11, 2), positive=True)
    image, rng, size = np.abs(image_for(model)), np.random.default_rng(3), model.output_shape[1:]
    corners = [tuple(0 for _ in size), tuple(n - 1 for n in size)]
    for place in corners + [tuple(int(rng.integers(n)) for n in size) for _ in range(3)]:
        e = inspection.explain(model, image, model.layers[-1].name, *as_unit(place))
        assert e.receptive_field == gradient_box(model, image, place), place


def test_receptive_field_of_branches_covers_both():
    inputs = L.Input((12, 12, 1))
    both = L.Add()([L.Conv2D(1, 5, padding="same")(inputs), L.Conv2D(1, (1, 9), padding="same")(inputs)])
    model = randomised(keras.Model(inputs, L.Concatenate(name="both")([both, inputs])), positive=True)
    image = np.abs(image_for(model))
    for place in [(6, 6, 0), (0, 11, 0), (3, 4, 1)]:
        field = inspection.explain(model, image, "both", *as_unit(place)).receptive_field
        assert field == gradient_box(model, image, place)


def test_padding_under_a_window_is_marked():
    model = sequential(L.Conv2D(1, 3, padding="same", name="c"), shape=(9, 8, 2))
    e = inspection.explain(model, image_for(model), "c", (0, 7), 0)
    assert (e.window.rows, e.window.cols) == ((-1, 2), (6, 9))
    np.testing.assert_array_equal(e.padded, [[1, 1, 1], [0, 0, 1], [0, 0, 1]])


def test_a_unit_that_sees_only_padding_has_no_receptive_field():
    model = sequential(L.ZeroPadding2D(3, name="z"), L.Conv2D(1, 2, name="c"))
    e = inspection.explain(model, image_for(model), "c", (0, 0), 0)
    assert e.receptive_field is None and e.boxes["z"].rows == (0, 2)


def test_winner_of_a_max_pool_is_where_its_gradient_goes():
    model = sequential(L.MaxPooling2D(3, strides=2, padding="same", name="p"))
    image = image_for(model) - 5.0  # all negative: padding must not win
    for place in np.ndindex(*model.output_shape[1:]):
        winner = inspection.explain(model, image, "p", *as_unit(place)).winner
        assert gradient_box(model, image, place) == tuple((i, i + 1) for i in winner)


def test_a_layer_called_twice_is_explained_twice():
    inputs = L.Input((6, 6, 2))
    shared = L.Conv2D(2, 3, padding="same", name="shared")
    model = randomised(keras.Model(inputs, shared(L.ReLU()(shared(inputs)))))
    assert [step.name for step in inspection.steps(model)][1::2] == ["shared", "shared (2)"]
    check_units(model, image_for(model))


def test_layers_of_a_model_inside_a_model_are_explained_wherever_it_is_called():
    inner = keras.Sequential([L.Input((6, 6, 2)), L.Conv2D(2, 3, padding="same", name="c")], name="inner")
    middle = keras.Sequential([inner, L.ReLU(name="r")], name="middle")
    inputs = L.Input((6, 6, 2), name="image")
    x = inner(L.Rescaling(0.5, name="r")(inputs))
    model = randomised(keras.Model(inputs, L.Flatten(name="f")(L.Add(name="a")([x, middle(x)]))))
    names = [step.name for step in inspection.steps(model)]
    assert names == ["image", "r", "inner/c", "middle/inner/c (2)", "middle/r", "a", "f"]
    image = image_for(model)
    check_units(model, image)
    np.testing.assert_allclose(inspection.activations(model, image)["f"], model(image[None])[0], rtol=1e-5)
    inner.get_layer("c").activation = keras.activations.relu
    assert inspection.activations(model, image)["inner/c"].min() == 0


def test_most_active_unit_is_explained_unless_one_is_chosen():
    model = sequential(L.Conv2D(3, 3, name="c"))
    image = image_for(model)
    output = inspection.activations(model, image)["c"]
    assert inspection.explain(model, image, "c").output == output.max()
    assert inspection.explain(model, image, "c", channel=1).output == output[:, :, 1].max()
    assert inspection.explain(model, image, "c", unit=(2, 3)).output == output[2, 3].max()


def test_an_explanation_reads_as_one_line():
    model = sequential(
        L.Conv2D(1, 2, activation="relu", name="c"), L.MaxPooling2D(2, name="p"), positive=True
    )
    image = np.ones(model.input_shape[1:])
    for weight, value in zip(model.weights, (0.25, -0.5), strict=True):
        weight.assign(np.full(weight.shape, value))
    assert repr(inspection.explain(model, image, "c", (1, 2), 0)) == (
        "c, (1, 2) of channel 0: 8 products sum to 2; 2 + bias -0.5 = 1.5; relu gives 1.5"
    )
    assert repr(inspection.explain(model, image, "p", (0, 0), 0)) == (
        "p, (0, 0) of channel 0: the largest of 4 values; 1.5"
    )


@pytest.fixture(scope="module")
def named():
    return sequential(L.Conv2D(3, 3, name="c"), L.Flatten(name="f"), L.Dense(2, name="d"))


@pytest.mark.parametrize(
    "options, message",
    [
        (("nope",), "layer='nope' is not in the model: it has .*, c, f, d"),
        ((["c"],), r"layer=\['c'\] is not in the model"),
        (("c", (7, 0)), r"unit=\(7, 0\), .*fit: c is 7 rows by 6 columns by 3 channels, counted from 0"),
        (("c", (-1, 0)), r"unit=\(-1, 0\), channel=None does not fit"),
        (("c", 3), "unit=3, channel=None does not fit"),
        (("c", (1.5, 2)), r"unit=\(1.5, 2\), channel=None does not fit"),
        (("c", "ab"), "unit='ab', channel=None does not fit"),
        (("c", (True, 1)), r"unit=\(True, 1\), channel=None does not fit"),
        (("c", (0, 1, 2)), r"unit=\(0, 1, 2\), channel=None does not fit"),
        (("c", (0, 0), 3), r"unit=\(0, 0\), channel=3 does not fit: c is .* by 3 channels"),
        (("c", (0, 0), 1.0), "channel=1.0 does not fit"),
        (("c", None, -1), "unit=None, channel=-1 does not fit"),
        (("d", 2), "unit=2, channel=None does not fit: d is a vector of 2 units"),
        (("d", 1, 0), "unit=1, channel=0 does not fit: d is a vector"),
    ],
)
def test_a_unit_that_is_not_there_is_an_error(named, options, message):
    with pytest.raises(ValueError, match=message):
        inspection.explain(named, image_for(named), *options)


def test_a_unit_of_a_network_of_vectors_is_explained():
    model = sequential(L.Dense(5, "relu", name="d"), shape=(49,))
    check_units(model, image_for(model))
    e = inspection.explain(model, image_for(model), "d", 3)
    assert e.receptive_field == ((0, 1), (0, 1), (0, 49)) and e.patch.shape == (49,)


def test_an_image_may_come_without_channels():
    model = sequential(L.ReLU(), L.Reshape((7, 6, 1)), L.Conv2D(2, 3), shape=(7, 6))
    check_units(model, image_for(model))
    check_units(sequential(L.Flatten(), L.Dense(2), shape=(7, 6)), image_for(model))
    for layer in (L.Dense(3, name="x"), L.BatchNormalization(name="x"), L.Softmax(name="x")):
        with pytest.raises(
            ValueError, match=r"layer 'x' reads \(7, 6\): it must be \(rows, columns, channels\)"
        ):
            inspection.steps(sequential(layer, shape=(7, 6)))


class Conv2D(L.Conv2D):
    """A reader's own layer: what its call computes is unknown, whatever its name."""


@pytest.mark.parametrize(
    "layer, message",
    [
        (lambda: L.GaussianNoise(0.1, name="noise"), "layer 'noise' is a GaussianNoise"),
        (lambda: Conv2D(2, 3, name="mine"), "layer 'mine' is a Conv2D"),
        (lambda: keras.Sequential([L.GaussianNoise(1, name="n")], name="inner"), "layer 'inner/n' is a Gau"),
        (lambda: L.Softmax(axis=1, name="s"), "layer 's' has axis=1"),
        (lambda: L.BatchNormalization(axis=1, name="b"), "layer 'b' has axis=1"),
        (lambda: L.Concatenate(axis=1, name="k"), "layer 'k' has axis=1"),
        (lambda: L.Reshape((4, 4, 3, 3), name="r"), r"layer 'r' gives \(4, 4, 3, 3\)"),
        (lambda: L.Dense(2, activation=L.PReLU(), name="d"), "layer 'd' has activation=<PReLU"),
        (lambda: L.Activation(L.Dense(2), name="a"), "layer 'a' has activation=<Dense"),
        (lambda: L.MaxPooling2D(2, data_format="channels_first", name="p"), "layer 'p' has data_format"),
        (lambda: L.Conv1D(2, 3, name="c"), "layer 'c' is a Conv1D"),
        (lambda: L.Conv2DTranspose(2, 3, name="t"), "layer 't' is a Conv2DTranspose"),
        (lambda: L.UpSampling2D(2, interpolation="bilinear", name="u"), "layer 'u' has interpolation='bili"),
        (lambda: L.Cropping2D(1, name="c"), "layer 'c' is a Cropping2D"),
    ],
)
def test_a_layer_without_an_explanation_is_named(layer, message):
    inputs = L.Input((9, 8) if "Conv1D" in message else (9, 8, 2))
    layer = layer()
    with pytest.raises(ValueError, match=message):
        inspection.steps(keras.Model(inputs, layer([inputs, inputs] if layer.name == "k" else inputs)))


@pytest.mark.parametrize(
    "call, message",
    [
        (lambda x: L.Dropout(0.5, name="d")(x, training=True), "layer 'd' is called with training=True"),
        (
            lambda x: L.BatchNormalization(name="b")(x, training=True),
            "layer 'b' is called with training=True",
        ),
        (lambda x: L.Softmax(name="s")(x, mask=L.ReLU()(x)), "layer 's' is called with mask="),
        (lambda x: L.Add(name="a")([x, L.GlobalMaxPooling2D(keepdims=True)(x)]), "layer 'a' adds shapes"),
        (lambda x: x + x, "is a Add, which has no explanation here"),
    ],
)
def test_a_call_without_an_explanation_is_named(call, message):
    inputs = L.Input((4, 4, 2))
    with pytest.raises(ValueError, match=message):
        inspection.steps(keras.Model(inputs, call(inputs)))


def test_a_model_without_one_input_of_fixed_size_and_one_output_is_an_error():
    one, two = L.Input((4, 4, 1)), L.Input((4, 4, 1))
    with pytest.raises(ValueError, match="2 inputs and 1 outputs"):
        inspection.steps(keras.Model([one, two], L.Add()([one, two])))
    with pytest.raises(ValueError, match="0 inputs and 0 outputs: .* built"):
        inspection.steps(keras.Sequential([L.Dense(2)]))
    with pytest.raises(ValueError, match="fixed"):
        inspection.steps(sequential(L.Conv2D(2, 3), shape=(None, None, 1)))


def test_an_image_of_another_shape_is_an_error():
    model = sequential(L.Flatten(name="f"), shape=(4, 4, 1))
    for shape in [(4, 4), (4, 4, 1), (1, 4, 4, 1)]:
        assert inspection.activations(model, np.ones(shape))["f"].shape == (16,)
    with pytest.raises(ValueError, match=r"image has shape \(4, 5\): the model's input is \(4, 4, 1\)"):
        inspection.activations(model, np.ones((4, 5)))
    with pytest.raises(ValueError, match="that is 2 images, give one"):
        inspection.activations(model, np.ones((2, 4, 4)))
    with pytest.raises(ValueError, match="values are not those of this model"):
        inspection.explain(model, np.ones((4, 4)), "f", values={})
    for wrong in (
        np.full((4, 4), np.nan),
        np.full((4, 4), -np.inf),
        np.full((4, 4), "a"),
        np.full((4, 4), 1j),
    ):
        with pytest.raises(ValueError, match="holds values that are no finite numbers"):
            inspection.activations(model, wrong)
