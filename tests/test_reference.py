"""The NumPy layers against TensorFlow, Keras, SciPy and finite differences."""

import inspect
import itertools
import tracemalloc
import warnings

import numpy as np
import pytest
import scipy.signal
from hypothesis import given, settings
from hypothesis import strategies as st

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
        theirs = sum(
            scipy.signal.correlate2d(x[image, :, :, c], kernel[:, :, c, filter_], "valid") for c in range(2)
        )
        close(output[image, :, :, filter_], theirs)


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
    arrays = [np.tile(array, (times, 1, 1, 1)) if np.shape(array)[:1] == (40,) else array for array in arrays]
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
PAIR = "must be a whole number, 1 or more, or a pair of them"
CHANNELS = "its in_channels=3 must equal the channels of x, 2"
conv2d, gradients, transpose = reference.conv2d, reference.conv2d_gradients, reference.conv2d_transpose
max_pool2d, lp_pool2d = reference.max_pool2d, reference.lp_pool2d
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
    (lambda: lp_pool2d(X, p=0.5), "p=0.5 must be a finite number, 1 or more"),
    (lambda: lp_pool2d(X, p=np.inf), "p=inf must be a finite number"),
    (lambda: lp_pool2d(X, p=np.nan), "p=nan must be a finite number"),
    (lambda: lp_pool2d(X, p="2"), "p='2' must be a finite number"),
    (lambda: lp_pool2d(X, p=True), "p=True must be a finite number"),
    (lambda: lp_pool2d(X, p=2j), "p=2j must be a finite number"),
    (lambda: lp_pool2d(X, p=None), "p=None must be a finite number"),
]


test_bad_input_is_named_with_its_value_and_the_rule = bad_input_is_named(REFUSED)
