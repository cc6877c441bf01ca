"""Every number an explanation shows, against what Keras computes."""

import gc
import weakref

import numpy as np
import pytest

from cnn_utils import inspection, keras, tf

L = keras.layers


def randomised(model, seed=0, positive=False):
    """Give every weight, and the statistics of batch normalisation, a random value."""
    rng = np.random.default_rng(seed)
    for weight in model.weights:
        values = rng.normal(size=weight.shape) * 0.5
        weight.assign(np.abs(values) + 0.1 if positive or "variance" in weight.path else values)
    return model


def image_for(model, seed=1):
    return np.random.default_rng(seed).normal(size=model.input_shape[1:]).astype("float32")


def sequential(*layers, shape=(9, 8, 2), seed=0, positive=False):
    return randomised(keras.Sequential([L.Input(shape), *layers]), seed, positive)


def as_unit(place):
    """An index into a layer's output, as (unit, channel)."""
    return (place, None) if len(place) == 1 else (place[:2], place[2])


def check_units(model, image, units=6, seed=2):
    """Explain random units of every layer: the arithmetic must give the model's own values."""
    rng = np.random.default_rng(seed)
    values = inspection.activations(model, image)
    for step in inspection.steps(model):
        output = values[step.name]
        for _ in range(units):
            place = tuple(int(rng.integers(n)) for n in output.shape)
            e = inspection.explain(model, image, step.name, *as_unit(place), values=values)
            assert (e.unit, e.channel) == as_unit(place)
            assert e.activation == pytest.approx(output[place], rel=1e-4, abs=1e-5), (step.name, place)
            assert e.output == output[place]
            if e.kernel is not None:
                assert e.patch.shape == e.kernel.shape == e.products.shape
                assert (e.patch * e.kernel).sum() + (e.bias or 0) == pytest.approx(e.pre_activation)
            if e.scores is not None:
                share = e.exponentials[place[-1]] / e.exponentials.sum()
                assert share == pytest.approx(output[place], rel=1e-4)


LAYERS = {
    "conv": lambda: [L.Conv2D(3, (3, 2))],
    "conv with stride": lambda: [L.Conv2D(3, 3, strides=2, padding="same", activation="relu")],
    "conv with dilation": lambda: [L.Conv2D(4, 3, dilation_rate=(2, 1), padding="same", activation="tanh")],
    "conv with groups": lambda: [
        L.Conv2D(4, 1),
        L.Conv2D(6, 3, groups=2, use_bias=False, activation="sigmoid"),
    ],
    "conv with softmax": lambda: [L.Conv2D(4, 2, groups=2, activation="softmax")],
    "depthwise": lambda: [L.DepthwiseConv2D(3, depth_multiplier=2, padding="same")],
    "depthwise with stride": lambda: [L.DepthwiseConv2D(3, strides=2, activation="relu")],
    "max pool": lambda: [L.MaxPooling2D(2)],
    "max pool, overlapping": lambda: [L.MaxPooling2D((3, 2), strides=(2, 1), padding="same")],
    "average pool": lambda: [L.AveragePooling2D((2, 3))],
    "average pool over padding": lambda: [L.AveragePooling2D(3, strides=2, padding="same")],
    "global average pool": lambda: [L.GlobalAveragePooling2D(), L.Dense(3)],
    "global max pool": lambda: [L.GlobalMaxPooling2D(keepdims=True)],
    "dense": lambda: [L.Flatten(), L.Dense(5, "tanh"), L.Dropout(0.5), L.Dense(4, "softmax")],
    "dense on a map": lambda: [L.Dense(3, activation="relu")],
    "activations": lambda: [L.Activation("tanh"), L.Activation("sigmoid"), L.ReLU(), L.Softmax()],
    "leaky, capped ReLU": lambda: [L.ReLU(max_value=0.6, negative_slope=0.2, threshold=0.1)],
    "batch normalisation": lambda: [L.BatchNormalization(), L.BatchNormalization(scale=False, center=False)],
    "batch normalisation of a vector": lambda: [L.Flatten(), L.BatchNormalization()],
    "zero padding": lambda: [L.ZeroPadding2D(((1, 2), (0, 3))), L.Conv2D(2, 3)],
}


@pytest.mark.parametrize("name", LAYERS)
def test_units_of_every_kind_of_layer_have_the_value_keras_computes(name):
    model = sequential(*LAYERS[name]())
    check_units(model, image_for(model), units=25)


@pytest.mark.parametrize("seed", range(8))
def test_units_of_random_networks_have_the_value_keras_computes(seed):
    rng = np.random.default_rng(seed)
    x = inputs = L.Input((int(rng.integers(8, 14)), int(rng.integers(8, 14)), int(rng.integers(1, 4))))
    for _ in range(5):
        kernel = int(rng.integers(1, 4))
        stride, dilation = [(1, 1), (2, 1), (1, 2)][rng.integers(3)]
        padding = str(rng.choice(["same", "valid"])) if min(x.shape[1:3]) > 5 else "same"
        match rng.integers(6):
            case 0:
                x = L.Conv2D(4, kernel, strides=stride, dilation_rate=dilation, padding=padding)(x)
            case 1:
                x = L.DepthwiseConv2D(kernel, dilation_rate=dilation, padding=padding, activation="relu")(x)
            case 2:
                x = L.MaxPooling2D(kernel, strides=stride, padding=padding)(x)
            case 3:
                x = L.AveragePooling2D(kernel, strides=stride, padding="same")(x)
            case 4:
                x = L.Add()([x, L.BatchNormalization()(x), L.Activation("tanh")(x)])
            case 5:
                x = L.Concatenate()([x, L.Conv2D(2, 3, padding="same", activation="sigmoid")(x)])
    x = L.Dense(6, activation="relu")(L.Dropout(0.3)(L.Flatten()(x)))
    model = randomised(keras.Model(inputs, L.Dense(4)(x)), seed)
    check_units(model, image_for(model, seed))


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


def test_a_model_is_read_once_and_let_go_when_it_is_deleted():
    model = sequential(L.Conv2D(2, 3), L.Flatten(), L.Dense(3))
    inspection.activations(model, image_for(model))
    assert all(a is b for a, b in zip(inspection.steps(model), inspection.steps(model), strict=True))
    gone = weakref.ref(model)
    del model
    gc.collect()
    assert gone() is None


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
    "softmax over groups": lambda: [L.Conv2D(4, 3, groups=2, activation="softmax")],
    "softmax": lambda: [L.DepthwiseConv2D(2), L.Softmax()],
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
    for place in corners + [tuple(int(rng.integers(n)) for n in size) for _ in range(6)]:
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


def test_strongest_contributions_of_a_dense_unit_say_where_they_come_from():
    model = sequential(L.MaxPooling2D(2, name="p"), L.Flatten(), L.Dropout(0.2), L.Dense(3, name="d"))
    image = image_for(model)
    e = inspection.explain(model, image, "d", 2)
    pooled = inspection.activations(model, image)["p"]
    sizes = [abs(c.product) for c in e.top]
    assert sizes == sorted(sizes, reverse=True) and sizes[0] == np.abs(e.products).max()
    for c in e.top:
        layer, (row, col), channel = c.place
        assert layer == "p" and pooled[row, col, channel] == pytest.approx(c.value)
        assert c.weight == pytest.approx(float(model.get_layer("d").kernel[c.index, 2]))


def test_a_layer_called_twice_is_explained_twice():
    inputs = L.Input((6, 6, 2))
    shared = L.Conv2D(2, 3, padding="same", name="shared")
    model = randomised(keras.Model(inputs, shared(L.ReLU()(shared(inputs)))))
    assert [step.name for step in inspection.steps(model)][1::2] == ["shared", "shared (2)"]
    check_units(model, image_for(model))


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


@pytest.mark.parametrize(
    "options, message",
    [
        (("nope",), "layer='nope' is not in the model: it has .*, c, f, d"),
        (("c", (7, 0)), r"unit=\(7, 0\) does not fit: c is 7 rows by 6 columns, counted from 0"),
        (("c", (-1, 0)), r"unit=\(-1, 0\) does not fit"),
        (("c", 3), r"unit=\(3,\) does not fit"),
        (("c", (0, 0), 3), "channel=3 does not fit: c has 3 channels, counted from 0"),
        (("d", 2), r"unit=\(2,\) does not fit: d is a vector of 2 units"),
        (("d", 1, 0), "channel=0 does not fit: d is a vector"),
    ],
)
def test_a_unit_that_is_not_there_is_an_error(options, message):
    model = sequential(L.Conv2D(3, 3, name="c"), L.Flatten(name="f"), L.Dense(2, name="d"))
    with pytest.raises(ValueError, match=message):
        inspection.explain(model, image_for(model), *options)


class Conv2D(L.Conv2D):
    """A reader's own layer: what its call computes is unknown, whatever its name."""


@pytest.mark.parametrize(
    "layer, message",
    [
        (lambda: L.GaussianNoise(0.1, name="noise"), "layer 'noise' is a GaussianNoise"),
        (lambda: Conv2D(2, 3, name="mine"), "layer 'mine' is a Conv2D"),
        (lambda: keras.Sequential([L.ReLU()], name="inner"), "layer 'inner' is a"),
        (lambda: L.Conv2D(2, 3, activation="gelu", name="c"), "layer 'c' has activation='gelu'"),
        (lambda: L.Softmax(axis=1, name="s"), "layer 's' has axis=1"),
        (lambda: L.BatchNormalization(axis=1, name="b"), "layer 'b' has axis=1"),
        (lambda: L.Reshape((8, 18), name="r"), "layer 'r' is a Reshape"),
    ],
)
def test_a_layer_without_an_explanation_is_named(layer, message):
    with pytest.raises(ValueError, match=message):
        inspection.steps(sequential(layer()))


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
