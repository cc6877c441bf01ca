"""The NumPy layers against TensorFlow, Keras, SciPy and finite differences."""

import inspect
import itertools
import tracemalloc
import warnings

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import ndimage

from cnn_utils import arithmetic, keras, reference, tf
from tests import oracles
from tests.oracles import DILATIONS, KERNELS, SIZES, STRIDES, bad_input_is_named, room_for

PADDINGS = ["valid", "same", "int", "explicit"]


# The sweep: every setting for the rows, each beside a setting drawn at random for the columns.


def axis_settings(padding):
    """(size, kernel, stride, dilation, padding) for one axis, as far as the kernel fits."""
    choices = {"int": [(1, 1), (2, 2)], "explicit": [(0, 1), (2, 1), (3, 0)]}.get(padding, [padding])
    for *setting, amount in itertools.product(SIZES, KERNELS, STRIDES, DILATIONS, choices):
        size, kernel, _, dilation = setting
        if dilation * (kernel - 1) + 1 <= room_for(size, amount):
            yield *setting, amount


def paired_settings(padding, keep=lambda setting: True, seed=0):
    """Settings for both axes. Of paddings in numbers, which have several amounts, half are left out."""
    rng = np.random.default_rng(seed)
    settings = [setting for setting in axis_settings(padding) if keep(setting)]
    for rows in settings:
        partners = [columns for columns in settings if padding != "int" or columns[-1] == rows[-1]]
        columns = partners[rng.integers(len(partners))]
        amount = {"int": rows[-1][0], "explicit": (rows[-1], columns[-1])}.get(padding, padding)
        if padding in ("valid", "same") or rng.random() < 0.5:
            yield rng, *zip(rows[:4], columns[:4], strict=True), amount


def tf_padding(padding):
    return oracles.tf_padding(*padding) if isinstance(padding, tuple) else oracles.tf_padding(padding)


def tf_conv(x, kernel, bias, stride, padding):
    return tf.nn.conv2d(x, kernel, stride, tf_padding(padding)) + bias


def spread_out(kernel, dilation):
    """The kernel with zeros between its weights. TensorFlow's CPU gradients know no other dilation."""
    spans = (d * (k - 1) + 1 for k, d in zip(kernel.shape, dilation, strict=False))
    spread = np.zeros((*spans, *kernel.shape[2:]))
    spread[:: dilation[0], :: dilation[1]] = kernel
    return spread


def tf_gradients(function, arrays, output_gradient, *settings):
    """What ``function`` gives, and how ``output_gradient`` flows back to each of the arrays."""
    arrays = [tf.constant(array) for array in arrays]
    with tf.GradientTape() as tape:
        tape.watch(arrays)
        output = function(*arrays, *settings)
    gradients = tape.gradient(output, arrays, output_gradients=tf.constant(output_gradient))
    return output.numpy(), [gradient.numpy() for gradient in gradients]


def close(ours, theirs, case=None):
    assert ours.shape == theirs.shape, case
    np.testing.assert_allclose(ours, theirs, rtol=1e-9, atol=1e-9, err_msg=str(case))


# Convolution.


@pytest.mark.parametrize("padding", PADDINGS)
def test_convolution_and_its_gradients_are_tensorflows(padding):
    cases = 0
    for rng, size, window, stride, dilation, amount in paired_settings(padding):
        case = size, window, stride, dilation, amount
        channels, filters = rng.integers(1, 4, size=2)
        x, kernel = rng.normal(size=(2, *size, channels)), rng.normal(size=(*window, channels, filters))
        bias, settings = rng.normal(size=filters), {"stride": stride, "padding": amount, "dilation": dilation}
        output = reference.conv2d(x, kernel, bias, **settings)
        output_gradient = rng.normal(size=output.shape)
        theirs, expected = tf_gradients(
            tf_conv, (x, spread_out(kernel, dilation), bias), output_gradient, stride, amount
        )
        close(output, theirs, case)
        dx, dkernel, dbias = reference.conv2d_gradients(x, kernel, output_gradient, **settings)
        close(dx, expected[0], case)
        close(dkernel, expected[1][:: dilation[0], :: dilation[1]], case)
        close(dbias, expected[2], case)
        cases += 1
    assert cases > 350, cases


@pytest.mark.parametrize("dilation", [(2, 2), (1, 3), (3, 2)])
def test_dilation_is_tensorflows_own(dilation):
    rng = np.random.default_rng(1)
    x, kernel = rng.normal(size=(2, 11, 12, 3)), rng.normal(size=(3, 2, 3, 4))
    for padding, stride in itertools.product(["valid", "same", ((1, 0), (2, 3))], [(1, 1), (2, 2), (3, 1)]):
        theirs = tf.nn.conv2d(x, kernel, stride, tf_padding(padding), dilations=dilation).numpy()
        close(reference.conv2d(x, kernel, stride=stride, padding=padding, dilation=dilation), theirs)


def test_convolution_is_scipys_cross_correlation():
    rng = np.random.default_rng(2)
    x, kernel = rng.normal(size=(3, 9, 8, 2)), rng.normal(size=(4, 3, 2, 5))
    output = reference.conv2d(x, kernel)
    for image, filter_ in itertools.product(range(3), range(5)):
        theirs = ndimage.correlate(x[image], kernel[..., filter_])  # its windows reach over the edges, too
        close(output[image, :, :, filter_], theirs[2:8, 1:7, 1])


def test_the_classic_binary_example():
    image = [[1, 1, 1, 0, 0], [0, 1, 1, 1, 0], [0, 0, 1, 1, 1], [0, 0, 1, 1, 0], [0, 1, 1, 0, 0]]
    kernel = [[1, 0, 1], [0, 1, 0], [1, 0, 1]]
    output = reference.conv2d(np.reshape(image, (1, 5, 5, 1)), np.reshape(kernel, (3, 3, 1, 1)))
    assert output[0, :, :, 0].tolist() == [[4, 3, 4], [2, 4, 3], [2, 3, 4]]


@pytest.mark.parametrize("padding", ["valid", "same"])
def test_transposed_convolution_is_keras(padding):
    rng = np.random.default_rng(3)
    settings = list(itertools.product((1, 2, 5), KERNELS, range(1, 5)))
    for rows in settings:
        size, window, stride = zip(rows, settings[rng.integers(len(settings))], strict=True)
        channels, filters = rng.integers(1, 4, size=2)
        x, kernel, bias = (
            rng.normal(size=shape) for shape in ((2, *size, channels), (*window, filters, channels), filters)
        )
        ours = reference.conv2d_transpose(x, kernel, bias, stride=stride, padding=padding)
        theirs = keras.ops.conv_transpose(x, kernel, stride, padding).numpy() + bias
        close(ours, theirs, (size, window, stride))


@pytest.mark.parametrize("padding", [1, 2, ((0, 1), (2, 0)), ((3, 1), (1, 4))])
def test_transposed_convolution_with_padding_in_numbers_is_tensorflows(padding):
    rng = np.random.default_rng(4)
    pairs = ((padding,) * 2,) * 2 if isinstance(padding, int) else padding
    for stride in itertools.product(STRIDES, STRIDES):
        x, kernel = rng.normal(size=(2, 6, 5, 3)), rng.normal(size=(5, 5, 2, 3))
        height, width = (
            (size - 1) * step + 5 - sum(amounts)
            for size, step, amounts in zip((6, 5), stride, pairs, strict=True)
        )
        theirs = tf.nn.conv2d_transpose(x, kernel, (2, height, width, 2), stride, tf_padding(padding)).numpy()
        close(reference.conv2d_transpose(x, kernel, stride=stride, padding=padding), theirs, stride)


# Pooling.


def pooling_settings(padding):
    """Settings for pooling: no dilation, and padding smaller than the pool."""
    return paired_settings(
        padding, lambda s: s[3] == 1 and (isinstance(s[4], str) or max(s[4]) < s[1]), seed=5
    )


def each_channel_alone(function):
    """Make a function of one-channel images into a function of images."""

    def on_channels(x):
        batch, height, width, channels = x.shape
        alone = function(tf.reshape(tf.transpose(x, (0, 3, 1, 2)), (batch * channels, height, width, 1)))
        return tf.transpose(tf.reshape(alone, (batch, channels, *alone.shape[1:3])), (0, 2, 3, 1))

    return on_channels


def tf_sums(x, window, stride, padding):
    return each_channel_alone(
        lambda image: tf.nn.conv2d(image, np.ones((*window, 1, 1)), stride, tf_padding(padding))
    )(x)


POOLS = {
    "max": (
        reference.max_pool2d,
        reference.max_pool2d_gradient,
        lambda x, window, stride, padding: tf.nn.max_pool2d(x, window, stride, tf_padding(padding)),
    ),
    "average": (
        reference.average_pool2d,
        reference.average_pool2d_gradient,
        lambda x, window, *settings: (
            tf_sums(x, window, *settings) / tf_sums(tf.ones_like(x), window, *settings)
        ),
    ),
}


@pytest.mark.parametrize("padding", PADDINGS)
@pytest.mark.parametrize("pool", POOLS)
def test_pooling_and_its_gradient_are_tensorflows(pool, padding):
    forward, backward, tf_pool = POOLS[pool]
    cases = 0
    for rng, size, window, stride, _, amount in pooling_settings(padding):
        x = rng.normal(size=(2, *size, 2))
        if pool == "max":
            x = np.round(x)  # many ties
        settings = {"stride": stride, "padding": amount}
        output = forward(x, window, **settings)
        output_gradient = rng.normal(size=output.shape)
        theirs, (dx,) = tf_gradients(tf_pool, (x,), output_gradient, window, stride, amount)
        case = size, window, stride, amount
        close(output, theirs, case)
        close(backward(x, output_gradient, window, **settings), dx, case)
        cases += 1
    assert cases > 80


@pytest.mark.parametrize("padding", PADDINGS)
@pytest.mark.parametrize("p", [1, 2, 3.5])
def test_the_norm_of_each_window_is_tensorflows(p, padding):
    for rng, size, window, stride, _, amount in pooling_settings(padding):
        x = rng.normal(size=(2, *size, 2))
        theirs = tf_sums(tf.abs(x) ** p, window, stride, amount) ** (1 / p)
        output = reference.lp_pool2d(x, window, p=p, stride=stride, padding=amount)
        close(output, theirs, (size, window, stride, amount))


@pytest.mark.parametrize("padding", ["valid", "same"])
def test_average_pooling_is_tensorflows_own(padding):
    rng = np.random.default_rng(6)
    for size, pool, stride in itertools.product((5, 8), (2, 3, 5), (1, 2, 3)):
        x = rng.normal(size=(2, size, size + 1, 3))
        settings = {"stride": stride, "padding": padding}
        output = reference.average_pool2d(x, pool, **settings)
        output_gradient = rng.normal(size=output.shape)
        theirs, (dx,) = tf_gradients(tf.nn.avg_pool2d, (x,), output_gradient, pool, stride, padding.upper())
        close(output, theirs)
        close(reference.average_pool2d_gradient(x, output_gradient, pool, **settings), dx)


def test_the_stride_of_a_pool_is_the_pool_unless_given():
    x = np.random.default_rng(8).normal(size=(1, 7, 9, 2))
    for forward, backward, _ in POOLS.values():
        output = forward(x, (2, 3))
        assert output.shape == (1, 3, 3, 2)
        close(output, forward(x, (2, 3), stride=(2, 3)))
        close(backward(x, output, (2, 3)), backward(x, output, (2, 3), stride=(2, 3)))
        close(forward(x), forward(x, 2, stride=2))


def test_of_equal_maxima_the_first_row_by_row_gets_the_gradient():
    dx = reference.max_pool2d_gradient(
        np.zeros((1, 4, 4, 1)), np.array([[1.0, 2], [3, 4]]).reshape(1, 2, 2, 1)
    )
    assert dx[0, :, :, 0].tolist() == [[1, 0, 2, 0], [0, 0, 0, 0], [3, 0, 4, 0], [0, 0, 0, 0]]


def test_overlapping_windows_add_up_at_a_shared_maximum():
    x = np.zeros((1, 3, 3, 1))
    x[0, 1, 1, 0] = 5
    dx = reference.max_pool2d_gradient(x, np.array([[1.0, 2], [3, 4]]).reshape(1, 2, 2, 1), 2, stride=1)
    assert dx[0, :, :, 0].tolist() == [[0, 0, 0], [0, 10, 0], [0, 0, 0]]


def test_padding_never_wins_a_maximum_and_never_counts_in_a_mean():
    x = np.full((1, 3, 3, 1), -7.0)
    for forward in (reference.max_pool2d, reference.average_pool2d):
        close(forward(x, 3, stride=1, padding="same"), x)
        close(forward(x, 3, stride=1, padding=2), np.full((1, 5, 5, 1), -7.0))
    lowest = np.full((1, 1, 1, 1), -np.inf)
    assert (
        reference.max_pool2d_gradient(lowest, np.ones((1, 1, 1, 1)), 2, padding=((1, 0), (1, 0))).item() == 1
    )


def test_the_norm_of_zeros_is_zero():
    for p in (1, 2, 3.5):
        assert not reference.lp_pool2d(np.zeros((1, 2, 2, 1)), p=p).any()


def test_the_norm_of_extreme_values_neither_overflows_nor_vanishes():
    for scale in (1e30, 1e-30):
        x = scale * np.ones((1, 2, 2, 1), np.float32)
        norm = reference.lp_pool2d(x, p=4)
        np.testing.assert_allclose(norm, scale * 4**0.25, rtol=1e-5)


@pytest.mark.parametrize("p", [1, 2, 3.5])
@pytest.mark.parametrize("window", [(np.inf, 1, -2, 1e30), (np.inf, -np.inf, 3, 0), (0, np.inf, np.nan, 1)])
def test_the_norm_of_infinities_is_infinite_and_of_nan_is_nan(window, p):
    x = np.reshape(window, (1, 2, 2, 1)).astype(np.float32)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        norm = reference.lp_pool2d(x, p=p)
    np.testing.assert_equal(norm.item(), np.linalg.norm(np.asarray(window), ord=p))


# Batch normalisation.

BATCHES = [(6, 5, 4, 3), (7, 2), (3, 6, 4), (2, 3, 2, 3, 2), (1, 3, 3, 1)]
each_batch = pytest.mark.parametrize("shape", BATCHES, ids=str)


def normalisation_case(shape):
    """Channels of different means and deviations, and gamma, beta, mean and variance of a layer for them."""
    rng = np.random.default_rng(10)
    spread, gamma, beta, mean, deviation = rng.normal(size=(5, shape[-1]))
    return rng.normal(9 * spread, np.exp(spread), size=shape), (gamma, beta, mean, deviation**2)


def keras_normalisation(shape, state, **options):
    layer = keras.layers.BatchNormalization(dtype="float64", **options)
    layer.build(shape)
    layer.set_weights(state)
    return layer


@each_batch
@pytest.mark.parametrize("options", [{}, {"epsilon": 0.5}], ids=str)
def test_batch_normalisation_is_keras_in_training_and_at_inference(shape, options):
    x, (gamma, beta, mean, variance) = normalisation_case(shape)
    layer = keras_normalisation(shape, (gamma, beta, mean, variance), **options)
    output = reference.batch_norm(x, gamma, beta, mean=mean, variance=variance, **options)
    close(output, layer(x, training=False).numpy())
    close(output, layer(x).numpy())  # not in training unless told
    close(reference.batch_norm(x, gamma, beta, **options), layer(x, training=True).numpy())


@each_batch
@pytest.mark.parametrize("momentum", [None, 0.6])
def test_keras_moving_averages_are_of_the_biased_variance(shape, momentum):
    """What a notebook adds to `batch_norm` for inference: one line for each average, momentum 0.99 unless given."""
    _, (gamma, beta, mean, variance) = normalisation_case(shape)
    options = {} if momentum is None else {"momentum": momentum}
    layer = keras_normalisation(shape, (gamma, beta, mean, variance), **options)
    rng, axes, kept = np.random.default_rng(11), tuple(range(len(shape) - 1)), momentum or 0.99
    for _ in range(3):
        x = rng.normal(3, 2, size=shape)
        layer(x, training=True)
        mean = kept * mean + (1 - kept) * x.mean(axes)
        variance = kept * variance + (1 - kept) * x.var(axes)
    close(mean, layer.moving_mean.numpy())
    close(variance, layer.moving_variance.numpy())
    close(reference.batch_norm(x, gamma, beta, mean=mean, variance=variance), layer(x).numpy())


@each_batch
@pytest.mark.parametrize("options", [{}, {"epsilon": 0.5}], ids=str)
def test_gradients_of_batch_normalisation_are_tensorflows(shape, options):
    def tf_batch_norm(x, gamma, beta):
        mean, variance = tf.nn.moments(x, list(range(len(shape) - 1)))
        return tf.nn.batch_normalization(x, mean, variance, beta, gamma, options.get("epsilon", 1e-3))

    x, (gamma, beta, *_) = normalisation_case(shape)
    output_gradient = np.random.default_rng(12).normal(size=shape)
    output, expected = tf_gradients(tf_batch_norm, (x, gamma, beta), output_gradient)
    close(reference.batch_norm(x, gamma, beta, **options), output)
    gradients = reference.batch_norm_gradients(x, gamma, output_gradient, **options)
    for ours, theirs in zip(gradients, expected, strict=True):
        close(ours, theirs)


@each_batch
def test_gradients_of_batch_normalisation_are_finite_differences(shape):
    x, (gamma, beta, *_) = normalisation_case(shape)
    output_gradient = np.random.default_rng(13).normal(size=shape)
    arrays, step = [x, gamma, beta], 1e-5
    for gradient, array in zip(
        reference.batch_norm_gradients(x, gamma, output_gradient), arrays, strict=True
    ):
        differences = np.empty(array.shape)
        for place in np.ndindex(array.shape):
            value, losses = array[place], []
            for array[place] in (value + step, value - step):
                losses.append((reference.batch_norm(*arrays) * output_gradient).sum())
            array[place] = value
            differences[place] = (losses[0] - losses[1]) / (2 * step)
        np.testing.assert_allclose(gradient, differences, rtol=1e-5, atol=1e-6)


def test_four_pixels_normalised_by_hand():
    """Mean 4, away from it -3 -1 1 3, variance 20 / 4 = 5; with epsilon 4 the deviation is 3."""
    x, output_gradient = (np.reshape(row, (2, 1, 2, 1)) for row in ([1, 3, 5, 7], [4, 1, 1, -2]))
    assert reference.batch_norm(x, [3], [10], epsilon=4).ravel().tolist() == [7, 9, 11, 13]
    dx, dgamma, dbeta = reference.batch_norm_gradients(x, [3], output_gradient, epsilon=4)
    close(dx.ravel(), np.array([1.5, -0.5, 0.5, -1.5]))  # 3 0 0 -3, and 6 / 4 of -1 -1/3 1/3 1
    close(np.array([dgamma, dbeta]), np.array([[-6.0], [4]]))


def test_what_shifts_or_scales_a_channel_has_no_gradient():
    """Its output stays as it is, but for epsilon."""
    x, (gamma, *_) = normalisation_case((6, 5, 4, 3))
    output_gradient = np.random.default_rng(14).normal(size=x.shape)
    dx, _, _ = reference.batch_norm_gradients(x, gamma, output_gradient, epsilon=1e-12)
    close(dx.sum((0, 1, 2)), np.zeros(3))
    close((dx * x).sum((0, 1, 2)), np.zeros(3))


@pytest.mark.parametrize(
    "x", [[[5.0, -3]], [[5.0, -3]] * 4, [[[[5.0, -3]]]]], ids=["one", "four equal", "a pixel"]
)
def test_without_any_variance_the_output_is_beta_and_no_gradient_flows(x):
    x = np.array(x)
    layer = keras_normalisation(x.shape, [np.array([2.0, 4]), np.array([7.0, 8]), np.zeros(2), np.ones(2)])
    output = reference.batch_norm(x, [2, 4], [7, 8])
    close(output, np.broadcast_to([7.0, 8], x.shape))
    close(output, layer(x, training=True).numpy())
    output_gradient = np.ones(x.shape)
    dx, dgamma, dbeta = reference.batch_norm_gradients(x, [2, 4], output_gradient)
    assert not dx.any() and not dgamma.any() and dbeta.tolist() == [x.size / 2] * 2


@pytest.mark.parametrize(
    ("dtype", "mean", "tolerance"),
    [(np.float64, 1e8, 1e-6), (np.float32, 1000, 1e-4), (np.float16, 100, 0.005)],
)
def test_statistics_of_many_small_numbers_far_from_zero_stay_exact(dtype, mean, tolerance):
    """In float16 the sum of such a channel is infinite; in float32 small terms get lost in a large sum."""
    x = np.random.default_rng(17).normal(mean, 1, size=(64, 28, 28, 2)).astype(dtype)
    exact = x.astype(np.float64)
    ones, zeros = np.ones(2, dtype), np.zeros(2, dtype)
    expected = (exact - exact.mean((0, 1, 2))) / np.sqrt(exact.var((0, 1, 2)) + 1e-3)
    np.testing.assert_allclose(reference.batch_norm(x, ones, zeros), expected, atol=tolerance)


def test_a_tiny_epsilon_is_not_lost_in_float16():
    x = np.zeros((2, 1), np.float16)
    zero, one = np.zeros(1, np.float16), np.ones(1, np.float16)
    close(reference.batch_norm(x, one, one, mean=zero, variance=zero, epsilon=1e-9), np.ones((2, 1)))


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_what_is_not_finite_spoils_its_own_channel_as_in_keras(value):
    x, state = normalisation_case((6, 5, 4, 3))
    x[0, 0, 0, 1] = value
    with np.errstate(invalid="ignore"):
        output = reference.batch_norm(x, *state[:2])
    assert np.isnan(output[..., 1]).all() and np.isfinite(output[..., [0, 2]]).all()
    close(output, keras_normalisation(x.shape, state)(x, training=True).numpy())


# What holds for every layer.

RNG = np.random.default_rng(9)
IMAGES, KERNEL, BIAS = RNG.normal(size=(40, 10, 9, 2)), RNG.normal(size=(3, 2, 2, 4)), RNG.normal(size=4)
GRADIENT, POOLED = RNG.normal(size=(40, 8, 8, 4)), RNG.normal(size=(40, 5, 4, 2))
IMAGE, FILTER = IMAGES[..., :1], KERNEL[:, :, :1]  # of one channel
LAYERS = {
    "conv2d": (reference.conv2d, (IMAGES, KERNEL, BIAS), {}),
    "conv2d_gradients": (reference.conv2d_gradients, (IMAGES, KERNEL, GRADIENT), {}),
    "conv2d of one channel": (reference.conv2d, (IMAGE, FILTER, BIAS), {"padding": "same"}),
    "conv2d_gradients of one channel": (reference.conv2d_gradients, (IMAGE, FILTER, GRADIENT), {}),
    "conv2d_gradients of 1 x 1": (
        reference.conv2d_gradients,
        (GRADIENT, KERNEL[:1, :1, :1].reshape(1, 1, 4, 1), GRADIENT[..., :1]),
        {},
    ),
    "conv2d_transpose": (reference.conv2d_transpose, (GRADIENT, KERNEL, BIAS[:2]), {"stride": 2}),
    "conv2d_transpose of one channel": (reference.conv2d_transpose, (GRADIENT, FILTER), {}),
}
UNITS, PER_CHANNEL = RNG.normal(size=(40, 3)), RNG.normal(size=3) ** 2
for name, batch in {"images": IMAGES, "units": UNITS}.items():
    gamma, beta, mean, variance = (PER_CHANNEL[: batch.shape[-1]] + number for number in range(4))
    moving = {"mean": mean, "variance": variance}
    LAYERS[f"batch_norm of {name}"] = reference.batch_norm, (batch, gamma, beta), {}
    LAYERS[f"batch_norm of {name} at inference"] = reference.batch_norm, (batch, gamma, beta), moving
    gradients = reference.batch_norm_gradients, (batch, gamma, batch[::-1] ** 2), {}
    LAYERS[f"batch_norm_gradients of {name}"] = gradients
for window, padding in ((1, "valid"), (3, "same")):  # every window is a pixel; windows overlap
    overlap = {"stride": 1, "padding": padding}
    for name, (forward, backward, _) in POOLS.items():
        LAYERS[f"{name} of {window} x {window}"] = forward, (IMAGES, window), overlap
        LAYERS[f"{name} gradient of {window} x {window}"] = backward, (IMAGES, IMAGES, window), overlap
    for p in (1, 3.5):
        norm = reference.lp_pool2d, (IMAGES, window), {**overlap, "p": p}
        LAYERS[f"l{p} of {window} x {window}"] = norm
for name, (forward, backward, _) in POOLS.items():
    LAYERS[name] = forward, (IMAGES,), {}
    LAYERS[f"{name} gradient"] = backward, (IMAGES, POOLED), {}
LAYERS["l2"] = reference.lp_pool2d, (IMAGES,), {}

each_layer = pytest.mark.parametrize("layer", LAYERS)


def test_no_layer_is_left_out():
    """A layer is what takes images: whoever adds one adds it to the tests below, of memory, chunks and types."""
    public = {function for _, function in inspect.getmembers(reference, inspect.isfunction)}
    layers = {function for function in public if "x" in inspect.signature(function).parameters}
    assert len(layers) >= 8 and layers == {function for function, _, _ in LAYERS.values()}


def call_of(layer, dtype=np.float64, times=1):
    """A layer's function, its arrays cast to ``dtype`` and its batch repeated, and its options."""
    function, arrays, options = LAYERS[layer]
    arrays = [array.astype(dtype) if isinstance(array, np.ndarray) else array for array in arrays]
    arrays = [np.concatenate([array] * times) if np.shape(array)[:1] == (40,) else array for array in arrays]
    options = {
        name: value.astype(dtype) if isinstance(value, np.ndarray) else value
        for name, value in options.items()
    }
    return function, arrays, options


def outputs_of(layer, dtype=np.float64):
    """The outputs of a layer as a tuple."""
    function, arrays, options = call_of(layer, dtype)
    outputs = function(*arrays, **options)
    return outputs if isinstance(outputs, tuple) else (outputs,)


@each_layer
def test_floating_types_are_kept_and_integers_become_float64(layer):
    for dtype, expected in [(np.float32, np.float32), (np.float64, np.float64), (np.int16, np.float64)]:
        assert {output.dtype for output in outputs_of(layer, dtype)} == {np.dtype(expected)}
    for single, double in zip(outputs_of(layer, np.float32), outputs_of(layer), strict=True):
        np.testing.assert_allclose(single, double, rtol=1e-3, atol=1e-3)


def test_of_mixed_types_result_type_decides():
    pixels, kernel = IMAGES.astype(np.uint8), KERNEL.astype(np.float32)
    assert reference.conv2d(pixels, kernel).dtype == np.float32
    assert reference.conv2d(IMAGES, kernel).dtype == np.float64
    assert reference.conv2d(pixels.tolist(), kernel).dtype == np.float64
    assert {g.dtype for g in reference.conv2d_gradients(pixels, kernel, GRADIENT)} == {np.dtype(np.float64)}


@each_layer
def test_inputs_are_left_alone(layer):
    function, arrays, options = LAYERS[layer]
    before = [np.copy(array) for array in arrays]
    function(*arrays, **options)
    for array, copy in zip(arrays, before, strict=True):
        np.testing.assert_array_equal(array, copy)
    for array in arrays:
        if isinstance(array, np.ndarray):
            array.flags.writeable = False
    function(*arrays, **options)


@each_layer
def test_chunks_do_not_show(layer, monkeypatch):
    at_once = outputs_of(layer)
    for chunk_bytes in (1, 50_000):
        monkeypatch.setattr(reference.windows, "CHUNK_BYTES", chunk_bytes)
        for output, expected in zip(outputs_of(layer), at_once, strict=True):
            close(output, expected)


@each_layer
def test_an_empty_batch_gives_an_empty_batch(layer):
    function, arrays, options = LAYERS[layer]
    batch = len(IMAGES)
    arrays = [array[:0] if np.ndim(array) and len(array) == batch else array for array in arrays]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        output = function(*arrays, **options)
    assert (output[0] if isinstance(output, tuple) else output).shape[0] == 0


def test_arrays_may_be_views_tensors_or_lists():
    x, kernel = IMAGES[::2, ::-1, :, ::-1], KERNEL.transpose(1, 0, 2, 3)
    output_gradient = np.broadcast_to(1.0, (20, 9, 7, 4))
    expected, gradients = tf_gradients(tf.nn.conv2d, (x, kernel), output_gradient, 1, "VALID")
    close(reference.conv2d(x, kernel), expected)
    close(reference.conv2d(tf.constant(x), tf.constant(kernel)), expected)
    close(reference.conv2d(x.tolist(), kernel.tolist()), expected)
    for ours, theirs in zip(reference.conv2d_gradients(x, kernel, output_gradient), gradients, strict=False):
        close(ours, theirs)


@each_layer
def test_memory_beside_the_result_does_not_grow_with_the_batch(layer, monkeypatch):
    monkeypatch.setattr(reference.windows, "CHUNK_BYTES", 2**19)
    for times in (20, 80):
        function, arrays, options = call_of(layer, np.float32, times)
        tracemalloc.start()
        try:
            outputs = function(*arrays, **options)
            _, peak = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()
        results = sum(array.nbytes for array in (outputs if isinstance(outputs, tuple) else (outputs,)))
        assert peak - results < 2**19 + 2**15, times  # one chunk, and a little for small things


@settings(derandomize=True, database=None, deadline=None, max_examples=100)
@given(
    size=st.tuples(*[st.integers(1, 14)] * 2),
    window=st.tuples(*[st.integers(1, 6)] * 2),
    stride=st.tuples(*[st.integers(1, 4)] * 2),
    dilation=st.tuples(*[st.integers(1, 3)] * 2),
    padding=st.sampled_from(["valid", "same"]) | st.integers(0, 4),
)
def test_arrays_have_the_shapes_that_arithmetic_predicts(size, window, stride, dilation, padding):
    def shape_or_error(function):
        try:
            return function()
        except ValueError as error:
            return "does not fit" if "does not fit" in str(error) else "must be smaller"

    axes = list(zip(size, window, stride, dilation, strict=True))
    x, kernel = np.ones((1, *size, 1)), np.ones((*window, 1, 1))
    assert shape_or_error(
        lambda: reference.conv2d(x, kernel, stride=stride, padding=padding, dilation=dilation).shape[1:3]
    ) == shape_or_error(
        lambda: tuple(
            arithmetic.conv_output_size(n, k, stride=s, padding=padding, dilation=d) for n, k, s, d in axes
        )
    )
    assert shape_or_error(
        lambda: reference.max_pool2d(x, window, stride=stride, padding=padding).shape[1:3]
    ) == shape_or_error(
        lambda: tuple(arithmetic.pool_output_size(n, k, stride=s, padding=padding) for n, k, s, _ in axes)
    )
    if isinstance(padding, str):
        assert reference.conv2d_transpose(x, kernel, stride=stride, padding=padding).shape[1:3] == tuple(
            arithmetic.transposed_conv_output_size(n, k, stride=s, padding=padding) for n, k, s, _ in axes
        )


# Bad input.

X, K = np.ones((2, 6, 5, 3)), np.ones((3, 3, 3, 4))
OUT, POOL_OUT = np.ones((2, 4, 3, 4)), np.ones((2, 3, 2, 3))
C, F = np.ones(3), np.ones(4)
PAIR = "must be a whole number, 1 or more, or a pair of them"
CHANNELS = "its in_channels=3 must equal the channels of x, 2"
conv2d, gradients, transpose = reference.conv2d, reference.conv2d_gradients, reference.conv2d_transpose
max_pool2d, lp_pool2d = reference.max_pool2d, reference.lp_pool2d
batch_norm = reference.batch_norm
norm_gradients = reference.batch_norm_gradients
REFUSED = [
    (lambda: conv2d(X[0], K), "x has shape (6, 5, 3): it must have four axes, (batch, height, width, channe"),
    (lambda: conv2d(X[:, :0], K), "x has shape (2, 0, 5, 3): it must have four axes"),
    (lambda: conv2d(X, K[..., 0]), "kernel has shape (3, 3, 3): it must have four axes, (height, width, in_"),
    (lambda: conv2d(X, K[:0]), "kernel has shape (0, 3, 3, 4)"),
    (lambda: conv2d(X[..., :2], K), CHANNELS),
    (lambda: conv2d(X, K, np.ones(3)), "bias has shape (3,): it must be (4,), one number for each filter"),
    (lambda: conv2d(X, K, 1.0), "bias has shape (): it must be (4,)"),
    (lambda: conv2d("digit", K), "x holds <U5: it must hold real numbers"),
    (lambda: conv2d(X, K * 1j), "kernel holds complex128: it must hold real numbers"),
    (lambda: conv2d(None, K), "x=None must be an array"),
    (lambda: conv2d([[1, 2], [3]], K), "x is ragged: every row must be as long as the others"),
    (lambda: conv2d(X, K, stride=0), f"stride=0 {PAIR}"),
    (lambda: conv2d(X, K, stride=(1, 2, 3)), f"stride=(1, 2, 3) {PAIR}"),
    (lambda: conv2d(X, K, stride=(1, 1.5)), f"stride=(1, 1.5) {PAIR}"),
    (lambda: conv2d(X, K, stride="2"), f"stride='2' {PAIR}"),
    (lambda: conv2d(X, K, dilation=-1), f"dilation=-1 {PAIR}"),
    (lambda: conv2d(X, K, dilation=(3, 1)), "kernel=3 with dilation=3 spans 7 and does not fit: the input"),
    (lambda: conv2d(X, K, dilation=(1, 3)), "the input is 5 wide, 5 with padding (valid)"),
    (lambda: conv2d(X, np.ones((3, 7, 3, 1))), "does not fit: the input is 5 wide, 5 with padding (valid)"),
    (lambda: conv2d(X, np.ones((9, 3, 3, 1)), padding=1), "fit: the input is 6 high, 8 with padding (1)"),
    (lambda: conv2d(X, K, padding="full"), 'padding=\'full\' must be "valid", "same"'),
    (lambda: conv2d(X, K, padding=-2), "padding=-2 must be"),
    (lambda: conv2d(X, K, padding=True), "padding=True must be"),
    (lambda: conv2d(X, K, padding=(1, 2)), '(1, 2) must be "valid", "same", a whole number, or ((top'),
    (lambda: conv2d(X, K, padding=((1, 2), (0, -1))), "padding=(0, -1) must be"),
    (lambda: gradients(X, K, OUT[:, 1:]), "(2, 3, 3, 4): it must be that of the output, (2, 4, 3, 4)"),
    (lambda: gradients(X[..., :2], K, OUT), CHANNELS),
    (lambda: gradients(X, K, None), "output_gradient=None must be an array"),
    (lambda: transpose(X, K), "(3, 3, 3, 4), (height, width, filters, in_channels): its in_channels=4 must"),
    (lambda: transpose(X, np.ones((3, 3, 4, 3)), np.ones(3)), "bias has shape (3,): it must be (4,)"),
    (lambda: transpose(X, np.ones((3, 3, 4, 3)), padding=4), "takes away too much: the result would be 0"),
    (lambda: transpose(X, np.ones((3, 3, 4, 3)), padding="full"), "padding='full' must be"),
    (lambda: max_pool2d(X[0]), "x has shape (6, 5, 3)"),
    (lambda: max_pool2d(X, 7), "pool=7 does not fit: the input is 6 high, 6 with padding (valid)"),
    (lambda: max_pool2d(X, 0), f"pool=0 {PAIR}"),
    (lambda: max_pool2d(X, 2, stride=2.0), f"stride=2.0 {PAIR}"),
    (lambda: max_pool2d(X, 2, padding=2), "padding=2 must be smaller than pool=2"),
    (lambda: reference.average_pool2d(X, (2, "3")), f"pool=(2, '3') {PAIR}"),
    (lambda: reference.max_pool2d_gradient(X, OUT), "it must be that of the output, (2, 3, 2, 3)"),
    (lambda: reference.average_pool2d_gradient(X, POOL_OUT[:1]), "output_gradient has shape (1, 3, 2, 3)"),
    (lambda: batch_norm(X[0, 0, 0], C, C), "x has shape (3,): it must have two axes or more, none of the"),
    (lambda: batch_norm(X[:, :0], C, C), "x has shape (2, 0, 5, 3): it must have two axes or more"),
    (lambda: batch_norm(X, C[:2], C), "gamma has shape (2,): it must be (3,), as x is (2, 6, 5, 3)"),
    (lambda: batch_norm(X, 1.0, C), "gamma has shape (): it must be (3,)"),
    (lambda: batch_norm(X, C, np.ones((1, 3))), "beta has shape (1, 3): it must be (3,)"),
    (lambda: batch_norm(X, None, C), "gamma=None must be an array"),
    (lambda: batch_norm(X, C, None), "beta=None must be an array"),
    (lambda: batch_norm("digit", C, C), "x holds <U5: it must hold real numbers"),
    (lambda: batch_norm(X, C, C, mean=C), "variance=None must be an array"),
    (lambda: batch_norm(X, C, C, variance=C), "mean=None must be an array"),
    (lambda: batch_norm(X, C, C, mean=C[:1], variance=C), "mean has shape (1,): it must be (3,)"),
    (lambda: batch_norm(X, C, C, mean=C, variance=1), "variance has shape (): it must be (3,)"),
    (lambda: batch_norm(X, C, C, mean=C, variance=[1, -0.5, 1]), "variance=[ 1.  -0.5  1. ] must hold "),
    (lambda: batch_norm(X, C, C, mean=C, variance=C * np.nan), "variance=[nan nan nan] must hold finite num"),
    (lambda: batch_norm(X, C, C, mean=C, variance=C * np.inf), "variance=[inf inf inf] must hold finite num"),
    (lambda: batch_norm(X, C, C, epsilon=0), "epsilon=0 must be a finite number above 0"),
    (lambda: batch_norm(X, C, C, epsilon=-1e-3), "epsilon=-0.001 must be a finite number above 0"),
    (lambda: batch_norm(X, C, C, epsilon=np.nan), "epsilon=nan must be a finite number above 0"),
    (lambda: batch_norm(X, C, C, epsilon=np.inf), "epsilon=inf must be a finite number above 0"),
    (lambda: batch_norm(X, C, C, epsilon="0.1"), "epsilon='0.1' must be a finite number above 0"),
    (lambda: batch_norm(X, C, C, epsilon=True), "epsilon=True must be a finite number above 0"),
    (lambda: norm_gradients(X, C[:2], X), "gamma has shape (2,): it must be (3,), as x is (2, 6, 5, 3)"),
    (lambda: norm_gradients(X, C, X[:1]), "gradient has shape (1, 6, 5, 3): it must be (2, 6, 5, 3), as x"),
    (lambda: norm_gradients(X, C, None), "output_gradient=None must be an array"),
    (lambda: norm_gradients(X, C, X, epsilon=0), "epsilon=0 must be a finite number above 0"),
    (lambda: lp_pool2d(X, p=0.5), "p=0.5 must be a finite number, 1 or more"),
    (lambda: lp_pool2d(X, p=np.inf), "p=inf must be a finite number"),
    (lambda: lp_pool2d(X, p=np.nan), "p=nan must be a finite number"),
    (lambda: lp_pool2d(X, p="2"), "p='2' must be a finite number"),
    (lambda: lp_pool2d(X, p=True), "p=True must be a finite number"),
    (lambda: lp_pool2d(X, p=2j), "p=2j must be a finite number"),
    (lambda: lp_pool2d(X, p=None), "p=None must be a finite number"),
]


test_bad_input_is_named_with_its_value_and_the_rule = bad_input_is_named(REFUSED)
