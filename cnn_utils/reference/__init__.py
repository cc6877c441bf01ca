"""The layers of the course in NumPy: what each one computes, and how a gradient flows back through it.

Images are (batch, height, width, channels), kernels (height, width, in_channels, filters), as Keras stores
them. ``stride``, ``dilation`` and ``pool`` are an int or a pair (rows, columns). ``padding`` is ``"valid"``,
``"same"`` (TensorFlow's rule), an int, or ``((top, bottom), (left, right))``.

Arrays are never changed in place. float32 stays float32 and float64 stays float64; of several arrays NumPy's
``result_type`` decides; what is not floating point by then (pixels stored as integers) becomes float64.

The batch is worked through in chunks: beside its inputs (copied if their type must change) and its result, a
layer needs at most about ``CHUNK_BYTES`` of memory, or what one image needs if that is more. A size or shape
that makes no sense raises a ``ValueError`` that names the argument, its value and the rule.
"""

from numbers import Real
from typing import NamedTuple

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

from cnn_utils.arithmetic import padding_amounts, pair, place_windows, transposed_conv_output_size

CHUNK_BYTES = 4 * 2**20  # about what stays in a processor's cache


def conv2d(x, kernel, bias=None, *, stride=1, padding="valid", dilation=1):
    """Convolution (in truth cross-correlation, as in every deep-learning library) of a batch of images.

    All windows of a chunk of images are laid out as the rows of one matrix ("im2col"), so that one matrix
    product takes all their dot products. Result: (batch, output rows, output columns, filters).
    Source: Chellapilla et al., "High performance convolutional neural networks", 2006.

    >>> image = np.arange(9.0).reshape(1, 3, 3, 1)
    >>> conv2d(image, np.ones((2, 2, 1, 1)))[0, :, :, 0]
    array([[ 8., 12.],
           [20., 24.]])
    """
    x, kernel, bias = _arrays(x=x, kernel=kernel, bias=bias)
    rows, columns = _conv_axes(x, kernel, stride, padding, dilation)
    filters = kernel.shape[-1]
    _check_bias(bias, filters)
    kernel_matrix = kernel.reshape(-1, filters)
    output = np.empty((len(x), rows.outputs, columns.outputs, filters), x.dtype)
    room = _room(x, rows, columns)
    for part in _chunks(x, rows, columns):
        patches = _patches(x[part], rows, columns, room)
        np.matmul(patches, kernel_matrix, out=output[part].reshape(-1, filters))
    if bias is not None:
        output += bias
    return output


def conv2d_gradients(x, kernel, output_gradient, *, stride=1, padding="valid", dilation=1):
    """Gradients ``(dx, dkernel, dbias)`` of a loss, from its gradient with respect to the output of `conv2d`.

    Forward, output = patches @ kernel_matrix + bias. So dkernel = patches.T @ output_gradient, dbias is the
    sum of output_gradient, and output_gradient @ kernel_matrix.T is what patches hand back to their pixels.

    >>> image, kernel = np.arange(9.0).reshape(1, 3, 3, 1), np.ones((2, 2, 1, 1))
    >>> dx, dkernel, dbias = conv2d_gradients(image, kernel, np.ones((1, 2, 2, 1)))
    >>> dx[0, :, :, 0]
    array([[1., 2., 1.],
           [2., 4., 2.],
           [1., 2., 1.]])
    """
    x, kernel, output_gradient = _arrays(x=x, kernel=kernel, output_gradient=output_gradient)
    rows, columns = _conv_axes(x, kernel, stride, padding, dilation)
    filters = kernel.shape[-1]
    _check_gradient(output_gradient, (len(x), rows.outputs, columns.outputs, filters))
    dx, dkernel, dbias = np.zeros_like(x), np.zeros_like(kernel), np.zeros(filters, x.dtype)
    room = _room(x, rows, columns)
    for part in _chunks(x, rows, columns):
        gradient_matrix = output_gradient[part].reshape(-1, filters)
        patches = _patches(x[part], rows, columns, room)
        dkernel += (patches.T @ gradient_matrix).reshape(kernel.shape)
        dbias += np.ones(len(gradient_matrix), x.dtype) @ gradient_matrix
    _add_stamps(dx, kernel, output_gradient, rows, columns, room)
    return dx, dkernel, dbias


def conv2d_transpose(x, kernel, bias=None, *, stride=1, padding="valid"):
    """Transposed convolution: each pixel stamps the kernel, times its value, on the result; stamps add up.

    It is the dx of a `conv2d` with this stride and padding. As Keras stores it, ``kernel`` is (height,
    width, filters, in_channels). Sizes: `cnn_utils.arithmetic.transposed_conv_output_size`.
    Source: Dumoulin & Visin (arXiv:1603.07285), section 4.

    >>> image, kernel = np.array([1.0, 2.0]).reshape(1, 1, 2, 1), np.ones((1, 3, 1, 1))
    >>> conv2d_transpose(image, kernel, stride=(1, 2)).ravel()
    array([1., 1., 3., 2., 2.])
    """
    x, kernel, bias = _arrays(x=x, kernel=kernel, bias=bias)
    _check_channels(x, kernel, "height, width, filters, in_channels", in_channels=-1)
    _check_bias(bias, kernel.shape[2])
    rows, columns = (
        _transposed_axis(*axis)
        for axis in zip(
            x.shape[1:], kernel.shape, pair("stride", stride), _padding_of_axes(padding), strict=False
        )
    )
    output = np.zeros((len(x), rows.size, columns.size, kernel.shape[2]), x.dtype)
    _add_stamps(output, kernel, x, rows, columns, room=_room(output, rows, columns))
    if bias is not None:
        output += bias
    return output


def max_pool2d(x, pool=2, *, stride=None, padding="valid"):
    """The largest value of each window, channel by channel. ``stride`` is ``pool`` unless given.

    Padding never wins: it holds no value. A NaN makes its windows NaN.

    >>> max_pool2d(np.arange(16.0).reshape(1, 4, 4, 1))[0, :, :, 0]
    array([[ 5.,  7.],
           [13., 15.]])
    """
    (x,) = _arrays(x=x)
    rows, columns = _pool_axes(x, pool, stride, padding)
    output = np.full((len(x), rows.outputs, columns.outputs, x.shape[-1]), -np.inf, x.dtype)
    for part in _chunks(x, rows, columns):
        largest = np.full((len(x[part]), rows.outputs, *x.shape[2:]), -np.inf, x.dtype)  # of each column
        for i in range(rows.window):
            pixels, windows = rows.meet(i)
            np.maximum(largest[:, windows], x[part][:, pixels], out=largest[:, windows])
        for j in range(columns.window):  # the largest of the columns' largest, on fewer numbers
            pixels, windows = columns.meet(j)
            some = output[part][:, :, windows]
            np.maximum(some, largest[:, :, pixels], out=some)
    return output


def max_pool2d_gradient(x, output_gradient, pool=2, *, stride=None, padding="valid"):
    """Gradient of `max_pool2d` with respect to ``x``: each window hands its gradient to its maximum.

    Of several equal maxima the first gets it, row by row, as in TensorFlow. A pixel that is the maximum of
    several windows gets the sum.

    >>> max_pool2d_gradient(np.array([[3, 1], [3, 2]]).reshape(1, 2, 2, 1), np.ones((1, 1, 1, 1)))[0, :, :, 0]
    array([[1., 0.],
           [0., 0.]])
    """
    x, output_gradient = _arrays(x=x, output_gradient=output_gradient)
    rows, columns = _pool_axes(x, pool, stride, padding)
    _check_gradient(output_gradient, (len(x), rows.outputs, columns.outputs, x.shape[-1]))
    dx = np.zeros_like(x)
    for part in _chunks(x, rows, columns):
        largest = max_pool2d(x[part], pool, stride=stride, padding=padding)
        waiting = np.ones(largest.shape, bool)  # windows whose maximum has not been met yet
        for _, pixels, windows in _taps(rows, columns):
            met = waiting[windows] & (x[part][pixels] == largest[windows])
            waiting[windows] ^= met
            dx[part][pixels] += np.where(met, output_gradient[part][windows], 0)
    return dx


def average_pool2d(x, pool=2, *, stride=None, padding="valid"):
    """The mean of each window. Padding does not count: the sum is divided by the number of real pixels.

    >>> average_pool2d(np.arange(16.0).reshape(1, 4, 4, 1))[0, :, :, 0]
    array([[ 2.5,  4.5],
           [10.5, 12.5]])
    """
    return _mean(x, np.ones(pair("pool", pool)), stride, padding)


def average_pool2d_gradient(x, output_gradient, pool=2, *, stride=None, padding="valid"):
    """Gradient of `average_pool2d` with respect to ``x``: each window spreads its gradient evenly.

    >>> average_pool2d_gradient(np.zeros((1, 2, 2, 1)), np.ones((1, 1, 1, 1)))[0, :, :, 0]
    array([[0.25, 0.25],
           [0.25, 0.25]])
    """
    return _mean_gradient(x, output_gradient, np.ones(pair("pool", pool)), stride, padding)


def lp_pool2d(x, pool=2, *, p=2, stride=None, padding="valid"):
    """The p-norm of each window, (sum of abs(x) ** p) ** (1 / p), for p from 1 up; padding adds nothing.

    p=1 adds the absolute values, p=2 gives their length, and the larger p, the nearer to the largest of them.
    Source: Sermanet et al., "Convolutional neural networks applied to house numbers" (arXiv:1204.3968).

    >>> lp_pool2d(np.array([[3.0, 0.0], [0.0, -4.0]]).reshape(1, 2, 2, 1)).item()
    5.0
    """
    (x,), p = _arrays(x=x), _check_p(p)
    rows, columns = _pool_axes(x, pool, stride, padding)
    output = np.empty((len(x), rows.outputs, columns.outputs, x.shape[-1]), x.dtype)
    for part in _chunks(x, rows, columns):
        output[part] = _norm(x[part], p, rows, columns)
    return output


def lp_pool2d_gradient(x, output_gradient, pool=2, *, p=2, stride=None, padding="valid"):
    """Gradient of `lp_pool2d` with respect to ``x``: sign(x) * (abs(x) / norm) ** (p - 1) for each window.

    A window of zeros has no slope of its own; its gradient is taken to be zero.

    >>> image = np.array([[3.0, 0.0], [0.0, -4.0]]).reshape(1, 2, 2, 1)
    >>> lp_pool2d_gradient(image, np.ones((1, 1, 1, 1))).ravel()
    array([ 0.6,  0. ,  0. , -0.8])
    """
    x, output_gradient = _arrays(x=x, output_gradient=output_gradient)
    rows, columns = _pool_axes(x, pool, stride, padding)
    _check_gradient(output_gradient, (len(x), rows.outputs, columns.outputs, x.shape[-1]))
    p, dx = _check_p(p), np.zeros_like(x)
    for part in _chunks(x, rows, columns):
        norm = _norm(x[part], p, rows, columns)
        norm[norm == 0] = 1
        for _, pixels, windows in _taps(rows, columns):
            slope = np.sign(x[part][pixels]) * (np.abs(x[part][pixels]) / norm[windows]) ** (p - 1)
            dx[part][pixels] += slope * output_gradient[part][windows]
    return dx


def weighted_pool2d(x, pool=2, *, stride=None, padding="valid"):
    """The mean of each window, weighted by `distance_weights`: the centre counts more than the corners.

    As in `average_pool2d`, padding does not count: the weights of the real pixels are scaled to sum to one.
    In a 2 x 2 pool every pixel is equally far from the centre, and the result is the plain average.

    >>> dot = np.pad([[[[1.0]]]], ((0, 0), (1, 1), (1, 1), (0, 0)))
    >>> [round(layer(dot, 3).item(), 3) for layer in (average_pool2d, weighted_pool2d)]
    [0.111, 0.148]
    """
    return _mean(x, distance_weights(pool), stride, padding)


def weighted_pool2d_gradient(x, output_gradient, pool=2, *, stride=None, padding="valid"):
    """Gradient of `weighted_pool2d` with respect to ``x``: each window spreads its gradient by the weights.

    >>> weighted_pool2d_gradient(np.zeros((1, 1, 3, 1)), np.ones((1, 1, 1, 1)), (1, 3)).ravel().round(3)
    array([0.308, 0.384, 0.308])
    """
    return _mean_gradient(x, output_gradient, distance_weights(pool), stride, padding)


def distance_weights(pool):
    """Weights of a pooling window that fall with the distance from its centre and sum to one.

    A Gaussian of the distance, whose standard deviation on each axis is half the window.

    >>> distance_weights(3).round(3)
    array([[0.095, 0.118, 0.095],
           [0.118, 0.148, 0.118],
           [0.095, 0.118, 0.095]])
    """
    height, width = pair("pool", pool)
    y, x = (np.arange(side) - (side - 1) / 2 for side in (height, width))
    squared_distance = (y[:, None] / (height / 2)) ** 2 + (x / (width / 2)) ** 2  # in standard deviations
    weights = np.exp(-squared_distance / 2)
    return weights / weights.sum()


# The windows: where they lie, which pixels they meet, and how they become a matrix.


class _Axis(NamedTuple):
    """The windows along one axis: ``outputs`` of them, ``stride`` apart, the first at pixel ``-before``."""

    size: int
    window: int
    stride: int
    dilation: int
    before: int
    after: int
    outputs: int

    def meet(self, tap):
        """Pixels that place ``tap`` of the window meets, and the windows it meets them in, as two slices."""
        offset = tap * self.dilation - self.before  # window number o meets pixel o * stride + offset
        first = max(0, -(offset // self.stride))
        last = max(first, min(self.outputs, (self.size - 1 - offset) // self.stride + 1))
        pixels = slice(first * self.stride + offset, last * self.stride + offset, self.stride)
        return pixels, slice(first, last)


def _taps(rows, columns):
    """Each place (i, j) of the window with the pixels it meets and the windows it meets them in, as indices.

    Places that fall on padding are left out, so padding needs no pixels of its own.
    """
    for i in range(rows.window):
        for j in range(columns.window):
            (pixel_rows, window_rows), (pixel_columns, window_columns) = rows.meet(i), columns.meet(j)
            yield (i, j), np.s_[:, pixel_rows, pixel_columns], np.s_[:, window_rows, window_columns]


def _patches(x, rows, columns, room):
    """Every window as a row of a matrix, in ``room``: (batch * rows * columns, height * width * channels)."""
    if rows.before or rows.after or columns.before or columns.after:
        x = np.pad(x, ((0, 0), (rows.before, rows.after), (columns.before, columns.after), (0, 0)))
    spans = [axis.dilation * (axis.window - 1) + 1 for axis in (rows, columns)]
    windows = sliding_window_view(x, spans, axis=(1, 2))  # (batch, rows, columns, channels, height, width)
    windows = windows[:, :: rows.stride, :: columns.stride, :, :: rows.dilation, :: columns.dilation]
    one_channel = x.shape[-1] == 1  # then copy an output row at a time: longer runs, less time
    windows = windows.transpose((3, 4, 5, 0, 1, 2) if one_channel else (0, 1, 2, 4, 5, 3))
    patches = room[: windows.size].reshape(windows.shape)
    np.copyto(patches, windows)
    width = rows.window * columns.window * x.shape[-1]
    return patches.reshape(width, -1).T if one_channel else patches.reshape(-1, width)


def _add_stamps(target, kernel, values, rows, columns, room):
    """Add the kernel, times each of ``values``, to that value's window of ``target``: `_patches` reversed."""
    channels, filters = kernel.shape[2:]
    one_channel = channels == 1  # then one product for all places of the kernel: many thin ones take longer
    places = rows.window * columns.window if one_channel else 1
    images = room.size // (places * rows.outputs * columns.outputs * channels)  # as many as fit in `room`
    for start in range(0, len(values), images):
        some_target, some_values = target[start : start + images], values[start : start + images]
        matrix = some_values.reshape(-1, filters)
        products = room[: places * len(matrix) * channels]
        if one_channel:
            np.matmul(kernel.reshape(places, filters), matrix.T, out=products.reshape(places, -1))
        for number, (place, pixels, windows) in enumerate(_taps(rows, columns)):
            if one_channel:
                stamps = products.reshape(places, -1)[number]
            else:
                stamps = np.matmul(matrix, kernel[place].T, out=products.reshape(-1, channels))
            some_target[pixels] += stamps.reshape(*some_values.shape[:3], channels)[windows]


def _mean(x, weights, stride, padding):
    """Weighted mean of each window over its real pixels."""
    (x,) = _arrays(x=x)
    rows, columns = _pool_axes(x, weights.shape, stride, padding)
    weights, total = weights.astype(x.dtype), _total_weight(weights, rows, columns).astype(x.dtype)
    output = np.zeros((len(x), rows.outputs, columns.outputs, x.shape[-1]), x.dtype)
    for part in _chunks(x, rows, columns):
        for place, pixels, windows in _taps(rows, columns):
            output[part][windows] += weights[place] * x[part][pixels]
        output[part] /= total
    return output


def _mean_gradient(x, output_gradient, weights, stride, padding):
    """Gradient of `_mean` with respect to ``x``."""
    x, output_gradient = _arrays(x=x, output_gradient=output_gradient)
    rows, columns = _pool_axes(x, weights.shape, stride, padding)
    _check_gradient(output_gradient, (len(x), rows.outputs, columns.outputs, x.shape[-1]))
    weights, total = weights.astype(x.dtype), _total_weight(weights, rows, columns).astype(x.dtype)
    dx = np.zeros_like(x)
    for part in _chunks(x, rows, columns):
        shares = output_gradient[part] / total
        for place, pixels, windows in _taps(rows, columns):
            dx[part][pixels] += weights[place] * shares[windows]
    return dx


def _total_weight(weights, rows, columns):
    """Sum of the weights that fall on real pixels, for each window: (1, output rows, output columns, 1)."""
    total = np.zeros((1, rows.outputs, columns.outputs, 1))
    for place, _, windows in _taps(rows, columns):
        total[windows] += weights[place]
    return total


def _norm(x, p, rows, columns):
    """The p-norm of each window, scaled by its largest value so that no power overflows."""
    largest = np.zeros((len(x), rows.outputs, columns.outputs, x.shape[-1]), x.dtype)
    for _, pixels, windows in _taps(rows, columns):
        np.maximum(largest[windows], np.abs(x[pixels]), out=largest[windows])
    scale, total = np.where(largest > 0, largest, 1), np.zeros_like(largest)
    for _, pixels, windows in _taps(rows, columns):
        total[windows] += (np.abs(x[pixels]) / scale[windows]) ** p
    return largest * total ** (1 / p)


def _chunks(x, rows, columns):
    """Slices of the batch, each of as many images as `CHUNK_BYTES` have room for."""
    images = _images_per_chunk(x, rows, columns)
    return [slice(start, start + images) for start in range(0, len(x), images)]


def _room(x, rows, columns):
    """A buffer for the patches of one chunk: filled anew for each, for fresh memory costs time."""
    patches = rows.outputs * rows.window * columns.outputs * columns.window
    return np.empty(_images_per_chunk(x, rows, columns) * patches * x.shape[-1], x.dtype)


def _images_per_chunk(x, rows, columns):
    pixels = (rows.size + rows.before + rows.after) * (columns.size + columns.before + columns.after)
    windows = rows.outputs * columns.outputs
    numbers = pixels + windows * (rows.window * columns.window + 5)  # 5: what the pools keep for each window
    images = CHUNK_BYTES // (numbers * x.shape[-1] * x.itemsize)
    return max(1, min(images, len(x)))


# What is checked before anything is computed.


def _arrays(**arguments):
    """The arguments as arrays of one floating-point type. A bias may be None and stays it."""
    given = {
        name: _array(name, value) for name, value in arguments.items() if name != "bias" or value is not None
    }
    dtype = np.result_type(*given.values())
    dtype = dtype if dtype.kind == "f" else np.float64
    return [given[name].astype(dtype, copy=False) if name in given else None for name in arguments]


def _array(name, value):
    if value is None:
        raise ValueError(f"{name}=None must be an array")
    try:
        array = np.asarray(value)
    except ValueError:
        raise ValueError(f"{name} is ragged: every row must be as long as the others") from None
    if array.dtype.kind not in "biuf":
        raise ValueError(f"{name} holds {array.dtype}: it must hold real numbers")
    return array


def _conv_axes(x, kernel, stride, padding, dilation):
    _check_channels(x, kernel, "height, width, in_channels, filters", in_channels=2)
    return _axes(x, kernel.shape[:2], stride, padding, dilation, "kernel")


def _pool_axes(x, pool, stride, padding):
    _check_rank("x", x, "batch, height, width, channels")
    return _axes(x, pair("pool", pool), pool if stride is None else stride, padding, 1, "pool")


def _axes(x, window, stride, padding, dilation, name):
    """Rows and columns of windows on ``x``."""
    stride, dilation, padding = pair("stride", stride), pair("dilation", dilation), _padding_of_axes(padding)
    for axis, measure in enumerate(("high", "wide")):
        settings = {"stride": stride[axis], "dilation": dilation[axis]}
        places = x.shape[1 + axis], window[axis], padding[axis]
        outputs, before, after = place_windows(*places, **settings, name=name, measure=measure)
        yield _Axis(*places[:2], **settings, before=before, after=after, outputs=outputs)


def _transposed_axis(size, kernel, stride, padding):
    """The windows on the result of a transposed convolution, one for each of ``size`` input pixels."""
    output = transposed_conv_output_size(size, kernel, stride=stride, padding=padding)
    before, after = padding_amounts(output, kernel, padding, stride=stride)
    return _Axis(output, kernel, stride, 1, before, after, outputs=size)


def _padding_of_axes(padding):
    """Padding of the rows and of the columns, each in a form that `arithmetic` understands."""
    if not isinstance(padding, (tuple, list)):
        return padding, padding
    if len(padding) != 2 or not all(isinstance(side, (tuple, list)) for side in padding):
        raise ValueError(
            f'padding={padding!r} must be "valid", "same", a whole number, or ((top, bottom), (left, right))'
        )
    return padding


def _check_rank(name, array, axes):
    if array.ndim != 4 or 0 in array.shape[name == "x" :]:
        raise ValueError(
            f"{name} has shape {array.shape}: it must have four axes, ({axes}), none of them empty"
        )


def _check_channels(x, kernel, kernel_axes, in_channels):
    _check_rank("x", x, "batch, height, width, channels")
    _check_rank("kernel", kernel, kernel_axes)
    if kernel.shape[in_channels] != x.shape[-1]:
        raise ValueError(
            f"kernel has shape {kernel.shape}, ({kernel_axes}): its in_channels={kernel.shape[in_channels]} "
            f"must equal the channels of x, {x.shape[-1]}"
        )


def _check_bias(bias, filters):
    if bias is not None and bias.shape != (filters,):
        raise ValueError(f"bias has shape {bias.shape}: it must be ({filters},), one number for each filter")


def _check_gradient(output_gradient, shape):
    if output_gradient.shape != shape:
        raise ValueError(
            f"output_gradient has shape {output_gradient.shape}: it must be that of the output, {shape}"
        )


def _check_p(p):
    if isinstance(p, bool) or not isinstance(p, Real) or not 1 <= p < np.inf:
        raise ValueError(f"p={p!r} must be a finite number, 1 or more")
    return float(p)
