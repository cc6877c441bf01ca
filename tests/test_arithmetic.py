"""Shapes and counts against TensorFlow, Keras and the convolution-arithmetic guide (arXiv:1603.07285)."""

import itertools
import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cnn_utils import arithmetic, keras, tf
from cnn_utils.arithmetic import conv_output_size, pool_output_size, same_padding, transposed_conv_output_size
from tests import oracles
from tests.oracles import DILATIONS, KERNELS, SIZES, STRIDES, bad_input_is_named, room_for

# What TensorFlow does with a column of pixels.


def tf_padding(padding):
    return oracles.tf_padding(padding, 0)  # for the height alone


def tf_conv_size(size, kernel, stride=1, padding="valid", dilation=1):
    image, weights = tf.zeros((1, size, 1, 1)), tf.zeros((kernel, 1, 1, 1))
    return tf.nn.conv2d(image, weights, (stride, 1), tf_padding(padding), dilations=(dilation, 1)).shape[1]


def tf_pool_size(size, pool, stride, padding="valid"):
    return tf.nn.max_pool2d(tf.zeros((1, size, 1, 1)), (pool, 1), (stride, 1), tf_padding(padding)).shape[1]


def tf_accepts_transposed(size, kernel, output, stride, padding):
    image, weights = tf.zeros((1, size, 1, 1)), tf.zeros((kernel, 1, 1, 1))
    shape = (1, output, 1, 1)
    return tf.nn.conv2d_transpose(image, weights, shape, (stride, 1), tf_padding(padding)).shape == shape


# The guide's fifteen relationships: which cases each is about, and what it says. In 1 to 7 and 15, i is the
# size of the input; in 8 to 14 the sentence is about the transposed convolution and i is i', its input.

FORWARD = {
    1: (lambda i, k, s, p, d: s == d == 1 and p == 0, lambda i, k, s, p, d: (i - k) + 1),
    2: (lambda i, k, s, p, d: s == d == 1, lambda i, k, s, p, d: (i - k) + 2 * p + 1),
    3: (lambda i, k, s, p, d: s == d == 1 and k % 2 == 1 and p == k // 2, lambda i, k, s, p, d: i),
    4: (lambda i, k, s, p, d: s == d == 1 and p == k - 1, lambda i, k, s, p, d: i + (k - 1)),
    5: (lambda i, k, s, p, d: d == 1 and p == 0, lambda i, k, s, p, d: (i - k) // s + 1),
    6: (lambda i, k, s, p, d: d == 1, lambda i, k, s, p, d: (i + 2 * p - k) // s + 1),
    15: (lambda i, k, s, p, d: True, lambda i, k, s, p, d: (i + 2 * p - k - (k - 1) * (d - 1)) // s + 1),
}
TRANSPOSED = {
    8: (lambda a, k, s, p: s == 1 and p == 0, lambda i, a, k, s, p: i + (k - 1)),
    9: (lambda a, k, s, p: s == 1, lambda i, a, k, s, p: i + (k - 1) - 2 * p),
    10: (lambda a, k, s, p: s == 1 and k % 2 == 1 and p == k // 2, lambda i, a, k, s, p: i),
    11: (lambda a, k, s, p: s == 1 and p == k - 1, lambda i, a, k, s, p: i - (k - 1)),
    12: (lambda a, k, s, p: p == 0 and a == 0, lambda i, a, k, s, p: s * (i - 1) + k),
    13: (lambda a, k, s, p: a == 0, lambda i, a, k, s, p: s * (i - 1) + k - 2 * p),
    14: (lambda a, k, s, p: True, lambda i, a, k, s, p: s * (i - 1) + a + k - 2 * p),
}


def sweep(*, dilations=DILATIONS):
    """Every case in which the kernel fits its padded input."""
    for i, k, s, p, d in itertools.product(SIZES, KERNELS, STRIDES, range(5), dilations):
        if d * (k - 1) + 1 <= i + 2 * p:
            yield i, k, s, p, d


@pytest.mark.parametrize("number", FORWARD)
def test_the_guide_and_tensorflow_agree_on_convolutions(number):
    applies, relationship = FORWARD[number]
    cases = [case for case in sweep() if applies(*case)]
    for i, k, s, p, d in cases:
        said = relationship(i, k, s, p, d)
        assert conv_output_size(i, k, stride=s, padding=p, dilation=d) == said, (i, k, s, p, d)
        assert tf_conv_size(i, k, s, p, d) == said, (i, k, s, p, d)
    assert len(cases) > 30


def test_the_guide_and_tensorflow_agree_on_pooling():  # relationship 7
    cases = [(i, k, s) for i, k, s in itertools.product(SIZES, KERNELS, STRIDES) if k <= i]
    for i, k, s in cases:
        assert pool_output_size(i, k, stride=s) == (i - k) // s + 1 == tf_pool_size(i, k, s)
    assert len(cases) > 100


@pytest.mark.parametrize("number", TRANSPOSED)
def test_the_guide_and_tensorflow_agree_on_transposed_convolutions(number):
    applies, relationship = TRANSPOSED[number]
    cases = [(i, k, s, p, (i + 2 * p - k) % s) for i, k, s, p, _ in sweep(dilations=[1]) if p < k]
    cases = [(i, k, s, p, a) for i, k, s, p, a in cases if applies(a, k, s, p)]
    for i, k, s, p, a in cases:
        small = tf_conv_size(i, k, s, p)  # the convolution that the transposed one turns round
        said = relationship(small, a, k, s, p)
        assert transposed_conv_output_size(small, k, stride=s, padding=p, output_padding=a) == said == i
        assert tf_accepts_transposed(small, k, said, s, p)
    assert len(cases) > 30


# Beyond the guide: the words, and padding that differs before and after.


@pytest.mark.parametrize("padding", ["valid", "same", (0, 1), (3, 1)])
def test_convolution_sizes_are_tensorflows(padding):
    cases = 0
    for case in itertools.product(SIZES, KERNELS, STRIDES, DILATIONS):
        size, kernel, stride, dilation = case
        if dilation * (kernel - 1) + 1 <= room_for(size, padding):
            ours = conv_output_size(size, kernel, stride=stride, padding=padding, dilation=dilation)
            assert ours == tf_conv_size(size, kernel, stride, padding, dilation), case
            cases += 1
    assert cases > 300


@pytest.mark.parametrize("padding", ["valid", "same", (0, 1), (2, 1)])
def test_pooling_sizes_are_tensorflows(padding):
    cases = 0
    for size, pool, stride in itertools.product(SIZES, KERNELS, STRIDES):
        smallest = {"valid": 1, "same": 1}.get(padding) or max(padding) + 1
        if smallest <= pool <= size:
            assert pool_output_size(size, pool, stride=stride, padding=padding) == tf_pool_size(
                size, pool, stride, padding
            )
            cases += 1
    assert cases > 50
    assert pool_output_size(12, 3) == tf_pool_size(12, 3, stride=3)


def test_same_padding_is_where_tensorflow_puts_it():
    rng = np.random.default_rng(0)
    for size, kernel, stride, dilation in itertools.product(SIZES, KERNELS, STRIDES, DILATIONS):
        image, weights = (
            tf.constant(rng.normal(size=(1, size, 1, 1))),
            tf.constant(rng.normal(size=(kernel, 1, 1, 1))),
        )
        amounts = same_padding(size, kernel, stride=stride, dilation=dilation)
        by_hand = tf.nn.conv2d(image, weights, (stride, 1), tf_padding(amounts), dilations=(dilation, 1))
        by_word = tf.nn.conv2d(image, weights, (stride, 1), "SAME", dilations=(dilation, 1))
        np.testing.assert_allclose(by_hand, by_word, atol=1e-12)


@pytest.mark.parametrize("padding", ["valid", "same"])
def test_transposed_words_are_keras(padding):
    for size, kernel, stride, dilation in itertools.product((1, 2, 5), KERNELS, range(1, 8), DILATIONS):
        if stride > 1 and dilation > 1:
            continue  # Keras refuses
        shapes = (1, size, 1, 1), (kernel, 1, 1, 1)
        # TensorFlow's CPU kernel knows no dilation here: then ask Keras for the shape without computing
        arrays = [tf.zeros(shape) if dilation == 1 else keras.KerasTensor(shape) for shape in shapes]
        theirs = keras.ops.conv_transpose(*arrays, (stride, 1), padding, dilation_rate=(dilation, 1))
        ours = transposed_conv_output_size(size, kernel, stride=stride, padding=padding, dilation=dilation)
        assert ours == theirs.shape[1], (size, kernel, stride, dilation)


def test_padding_amounts_reads_every_form():
    amounts = arithmetic.padding_amounts
    assert amounts(9, 4, "valid") == (0, 0)
    assert amounts(9, 4, "same") == (1, 2)
    assert amounts(9, 4, np.int64(3)) == (3, 3)
    assert amounts(9, 4, [0, np.int8(2)]) == (0, 2)


# Properties.

WINDOWS = {
    "size": st.integers(1, 300),
    "kernel": st.integers(1, 12),
    "stride": st.integers(1, 9),
    "dilation": st.integers(1, 5),
    "padding": st.sampled_from(["valid", "same"]) | st.integers(0, 20) | st.tuples(*[st.integers(0, 20)] * 2),
}
quickly = settings(derandomize=True, database=None, deadline=None, max_examples=200)


def sizes_or_none(function, *args, **kwargs):
    try:
        return function(*args, **kwargs)
    except ValueError as error:
        assert "does not fit" in str(error)
        return None


@quickly
@given(**WINDOWS)
def test_the_last_window_fits_and_one_more_would_not(size, kernel, stride, dilation, padding):
    outputs = sizes_or_none(conv_output_size, size, kernel, stride=stride, dilation=dilation, padding=padding)
    before, after = arithmetic.padding_amounts(size, kernel, padding, stride=stride, dilation=dilation)
    starts = range(0, size + before + after, stride)
    fitting = [start for start in starts if start + dilation * (kernel - 1) < size + before + after]
    assert len(fitting) == (outputs or 0)
    assert outputs is None or outputs >= 1


@quickly
@given(**WINDOWS)
def test_a_larger_input_never_gives_fewer_outputs(size, kernel, stride, dilation, padding):
    settings = {"stride": stride, "dilation": dilation, "padding": padding}
    smaller = sizes_or_none(conv_output_size, size, kernel, **settings)
    larger = sizes_or_none(conv_output_size, size + 1, kernel, **settings)
    assert (smaller or 0) <= (larger or 0) <= (smaller or 0) + 1


@quickly
@given(**WINDOWS)
def test_same_gives_as_many_outputs_as_strides_begin_and_pads_no_more_than_needed(
    size, kernel, stride, dilation, padding
):
    before, after = same_padding(size, kernel, stride=stride, dilation=dilation)
    assert 0 <= after - before <= 1
    assert before + after <= dilation * (kernel - 1)
    outputs = len(range(0, size, stride))
    assert conv_output_size(size, kernel, stride=stride, dilation=dilation, padding="same") == outputs
    if before + after:  # one zero less, and the last window no longer fits
        less = sizes_or_none(
            conv_output_size, size, kernel, stride=stride, dilation=dilation, padding=(before, after - 1)
        )
        assert (less or 0) == outputs - 1


@quickly
@given(**WINDOWS)
def test_a_transposed_convolution_returns_to_the_size_it_came_from(size, kernel, stride, dilation, padding):
    outputs = sizes_or_none(conv_output_size, size, kernel, stride=stride, dilation=dilation, padding=padding)
    if outputs is None:
        return
    before, after = arithmetic.padding_amounts(size, kernel, padding, stride=stride, dilation=dilation)
    lost = (size + before + after - dilation * (kernel - 1) - 1) % stride
    back = transposed_conv_output_size(
        outputs, kernel, stride=stride, padding=(before, after), output_padding=lost, dilation=dilation
    )
    assert back == size


# Receptive fields and counts.


@pytest.mark.parametrize(
    "layers",
    [
        [(3, 1)],
        [(5, 1), (2, 2), (5, 1), (2, 2)],
        [(7, 2), (3, 2), (3, 1), (3, 3)],
        [(3, 1, 1), (3, 1, 2), (3, 1, 4)],
        [(3, 2, 3), (2, 1, 2), (1, 2)],
    ],
)
def test_receptive_field_is_what_gradients_reach(layers):
    image = tf.ones((1, 200, 1, 1))

    def first_and_last_pixel_seen_by(output):
        with tf.GradientTape() as tape:
            tape.watch(image)
            signal = image
            for kernel, stride, *dilation in layers:
                step = (*dilation, 1)[0]
                weights = np.zeros((step * (kernel - 1) + 1, 1, 1, 1), np.float32)
                weights[::step] = 1  # the gaps written out: not every CPU has a gradient for `dilations`
                signal = tf.nn.conv2d(signal, weights, (stride, 1), "VALID")
            value = signal[0, output, 0, 0]
        pixels = np.flatnonzero(tape.gradient(value, image))
        return pixels[0], pixels[-1]

    (first, last), (neighbour, _) = first_and_last_pixel_seen_by(0), first_and_last_pixel_seen_by(1)
    assert arithmetic.receptive_field(layers) == (last - first + 1, neighbour - first)


def test_the_receptive_field_of_no_layer_is_one_pixel():
    assert arithmetic.receptive_field([]) == (1, 1)


@pytest.mark.parametrize("bias", [True, False])
def test_parameters_are_counted_as_keras_counts_them(bias):
    def count(layer, shape):
        layer.build((None, *shape))
        return layer.count_params()

    layers = keras.layers
    conv, dense = arithmetic.conv_parameters, arithmetic.dense_parameters
    assert conv(5, 3, 6, bias=bias) == count(layers.Conv2D(6, 5, use_bias=bias), (32, 32, 3))
    assert conv((1, 7), 4, 9, bias=bias) == count(layers.Conv2D(9, (1, 7), use_bias=bias), (32, 32, 4))
    assert conv((7,), 2, 4, bias=bias) == count(layers.Conv1D(4, 7, use_bias=bias), (60, 2))
    assert conv((3, 2, 4), 2, 5, bias=bias) == count(layers.Conv3D(5, (3, 2, 4), use_bias=bias), (8, 8, 8, 2))
    assert dense(400, 120, bias=bias) == count(layers.Dense(120, use_bias=bias), (400,))


def tf_multiply_adds(function, *shapes):
    """TensorFlow's own count of floating-point operations, two for each multiply-add."""
    graph = tf.function(function).get_concrete_function(*(tf.TensorSpec(shape) for shape in shapes)).graph
    options = tf.compat.v1.profiler.ProfileOptionBuilder.float_operation()
    options["output"] = "none"
    return tf.compat.v1.profiler.profile(graph, options=options).total_float_ops // 2


def test_multiply_adds_are_counted_as_tensorflow_counts_them():
    def conv(x, kernel):
        return tf.nn.conv2d(x, kernel, 2, "SAME")

    counted = tf_multiply_adds(conv, (1, 28, 20, 3), (5, 3, 3, 8))
    assert arithmetic.conv_multiply_adds((14, 10), (5, 3), 3, 8) == counted
    assert arithmetic.conv_multiply_adds(14, 5, 3, 8) == tf_multiply_adds(conv, (1, 28, 28, 3), (5, 5, 3, 8))
    assert arithmetic.dense_parameters(400, 120, bias=False) == tf_multiply_adds(
        tf.matmul, (1, 400), (400, 120)
    )


def test_multiply_adds_take_an_int_for_as_many_axes_as_the_other_has():
    count = arithmetic.conv_multiply_adds
    assert count(60, (7,), 2, 4) == count((60,), 7, 2, 4) == count((60,), (7,), 2, 4) == 60 * 7 * 2 * 4


# Bad input.


transposed, amounts = transposed_conv_output_size, arithmetic.padding_amounts

WORDS = 'must be "valid", "same"'
WHOLE = "must be a whole number, 1 or more"
REFUSED = [
    (lambda: conv_output_size(5, 7), "kernel=7 does not fit: the input is 5 wide, 5 with padding (0)"),
    (lambda: conv_output_size(5, 7, padding="valid"), "the input is 5 wide, 5 with padding (valid)"),
    (lambda: conv_output_size(5, 9, padding=(1, 2)), "the input is 5 wide, 8 with padding ((1, 2))"),
    (lambda: conv_output_size(5, 3, dilation=3), "kernel=3 with dilation=3 spans 7 and does not fit"),
    (lambda: conv_output_size(0, 1), f"size=0 {WHOLE}"),
    (lambda: conv_output_size(-4, 1), f"size=-4 {WHOLE}"),
    (lambda: conv_output_size(28.0, 5), f"size=28.0 {WHOLE}"),
    (lambda: conv_output_size(True, 1), f"size=True {WHOLE}"),
    (lambda: conv_output_size(np.True_, 1), "size=np.True_ must be"),
    (lambda: conv_output_size(None, 1), f"size=None {WHOLE}"),
    (lambda: conv_output_size("28", 1), f"size='28' {WHOLE}"),
    (lambda: conv_output_size(28, 0), f"kernel=0 {WHOLE}"),
    (lambda: conv_output_size(28, 2.5), f"kernel=2.5 {WHOLE}"),
    (lambda: conv_output_size(28, (5, 5)), f"kernel=(5, 5) {WHOLE}"),
    (lambda: conv_output_size(28, 5, stride=0), f"stride=0 {WHOLE}"),
    (lambda: conv_output_size(28, 5, stride=np.float32(0.5)), "stride=np.float32(0.5) must be"),
    (lambda: conv_output_size(28, 5, dilation=np.int64(-1)), f"dilation=-1 {WHOLE}"),
    (lambda: conv_output_size(28, 5, padding="full"), f"padding='full' {WORDS}"),
    (lambda: conv_output_size(28, 5, padding=-1), f"padding=-1 {WORDS}"),
    (lambda: conv_output_size(28, 5, padding=1.5), f"padding=1.5 {WORDS}"),
    (lambda: conv_output_size(28, 5, padding=(1, -2)), f"padding=(1, -2) {WORDS}"),
    (lambda: conv_output_size(28, 5, padding=(1, 2, 3)), "a pair (before, after)"),
    (lambda: conv_output_size(28, 5, padding=None), f"padding=None {WORDS}"),
    (lambda: pool_output_size(3, 4), "pool=4 does not fit: the input is 3 wide"),
    (lambda: pool_output_size(8, 0), f"pool=0 {WHOLE}"),
    (lambda: pool_output_size(8, 2.0), f"pool=2.0 {WHOLE}"),
    (lambda: pool_output_size(8, 2, stride=-1), f"stride=-1 {WHOLE}"),
    (lambda: pool_output_size(8, 2, padding=2), "padding=2 must be smaller than pool=2"),
    (lambda: pool_output_size(8, 2, padding=(0, 3)), "padding=(0, 3) must be smaller than pool=2"),
    (lambda: transposed(0, 3), f"size=0 {WHOLE}"),
    (lambda: transposed(4, 3, stride=1.0), f"stride=1.0 {WHOLE}"),
    (lambda: transposed(4, 3, stride=2, output_padding=2), "output_padding=2 must be smaller than the strid"),
    (lambda: transposed(4, 3, output_padding=-1), "output_padding=-1 must be a whole number, 0 or more"),
    (lambda: transposed(4, 3, stride=2, output_padding=1, padding="same"), "output_padding=1 needs padding"),
    (lambda: transposed(1, 3, padding=2), "padding=2 takes away too much: the result would be -1 wide"),
    (lambda: transposed(4, 3, padding="half"), f"padding='half' {WORDS}"),
    (lambda: amounts(0, 3, "valid"), f"size=0 {WHOLE}"),
    (lambda: amounts(9, -1, "valid"), f"kernel=-1 {WHOLE}"),
    (lambda: amounts(9, 3, 1, stride=0), f"stride=0 {WHOLE}"),
    (lambda: amounts(9, 3, (1, 0), dilation=1.5), f"dilation=1.5 {WHOLE}"),
    (lambda: same_padding(0, 3), f"size=0 {WHOLE}"),
    (lambda: same_padding(5, 3, stride="2"), f"stride='2' {WHOLE}"),
    (lambda: arithmetic.receptive_field(3), "layers holds 3: it must hold (kernel, stride)"),
    (lambda: arithmetic.receptive_field([3, 3]), "layers holds 3: it must hold (kernel, stride)"),
    (lambda: arithmetic.receptive_field([(3, 0)]), f"stride=0 {WHOLE}"),
    (lambda: arithmetic.receptive_field([(3, 1, 0)]), f"dilation=0 {WHOLE}"),
    (lambda: arithmetic.conv_parameters((5, 0), 1, 6), f"kernel=0 {WHOLE}"),
    (lambda: arithmetic.conv_parameters((), 1, 6), "kernel=() must have at least one axis"),
    (lambda: arithmetic.conv_parameters(5, 0, 6), f"in_channels=0 {WHOLE}"),
    (lambda: arithmetic.conv_parameters(5, 1, 6.0), f"filters=6.0 {WHOLE}"),
    (lambda: arithmetic.dense_parameters(-1, 6), f"inputs=-1 {WHOLE}"),
    (lambda: arithmetic.dense_parameters(1, 0), f"units=0 {WHOLE}"),
    (lambda: arithmetic.conv_multiply_adds(0, 5, 1, 6), f"output_size=0 {WHOLE}"),
    (lambda: arithmetic.conv_multiply_adds((9, 9), (5,), 1, 6), "kernel=(5,) must have as many axes as outp"),
    (lambda: arithmetic.dense_parameters(4, "6"), f"units='6' {WHOLE}"),
]


test_bad_input_is_named_with_its_value_and_the_rule = bad_input_is_named(REFUSED)


def test_integers_of_numpy_are_sizes():
    assert conv_output_size(np.int64(28), np.uint8(5), stride=np.int32(2), padding=np.int16(1)) == 13
    assert type(conv_output_size(np.int64(28), np.int64(5))) is int


def test_importing_arithmetic_imports_nothing_heavy():
    code = (
        "import sys, cnn_utils.arithmetic; print(sorted({'numpy', 'tensorflow', 'keras'} & set(sys.modules)))"
    )
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True).stdout.strip() == "[]"
