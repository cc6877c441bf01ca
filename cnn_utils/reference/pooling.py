"""Pooling: the largest value, the mean or the p-norm of each window, and the gradients of the first two."""

import numpy as np

from cnn_utils.arithmetic import pair
from cnn_utils.reference.windows import arrays, check_gradient, chunks, is_number, taps, window_axes


def max_pool2d(x, pool=2, *, stride=None, padding="valid"):
    """The largest value of each window, channel by channel. ``stride`` is ``pool`` unless given.

    Padding never wins: it holds no value. A NaN makes its windows NaN.

    >>> max_pool2d(np.arange(16.0).reshape(1, 4, 4, 1)).ravel()
    array([ 5.,  7., 13., 15.])
    """
    x, rows, columns, output = _start(pool, stride, padding, x=x)
    for part in chunks(x, rows, columns):
        largest = np.full((len(x[part]), rows.outputs, *x.shape[2:]), -np.inf, x.dtype)  # of each column
        for i in range(rows.window):
            pixels, windows = rows.meet(i)
            np.maximum(largest[:, windows], x[part][:, pixels], out=largest[:, windows])
        output[part] = -np.inf
        for j in range(columns.window):  # the largest of the columns' largest, on fewer numbers
            pixels, windows = columns.meet(j)
            some = output[part][:, :, windows]
            np.maximum(some, largest[:, :, pixels], out=some)
    return output


def max_pool2d_gradient(x, output_gradient, pool=2, *, stride=None, padding="valid"):
    """Gradient of `max_pool2d` with respect to ``x``: each window hands its gradient to its maximum.

    Of equal maxima the first gets it, row by row, as in TensorFlow. A maximum of several windows gets the sum.

    >>> max_pool2d_gradient(np.array([[3, 1], [3, 2]]).reshape(1, 2, 2, 1), np.ones((1, 1, 1, 1))).ravel()
    array([1., 0., 0., 0.])
    """
    x, arriving, rows, columns, dx = _start(pool, stride, padding, x=x, output_gradient=output_gradient)
    for part in chunks(x, rows, columns):
        largest = max_pool2d(x[part], pool, stride=stride, padding=padding)
        waiting = np.ones(largest.shape, bool)  # windows whose maximum has not been met yet
        for _, pixels, windows in taps(rows, columns):
            met = waiting[windows] & (x[part][pixels] == largest[windows])
            waiting[windows] ^= met
            dx[part][pixels] += np.where(met, arriving[part][windows], 0)
    return dx


def average_pool2d(x, pool=2, *, stride=None, padding="valid"):
    """The mean of each window. Padding does not count: the sum is divided by the number of real pixels.

    >>> average_pool2d(np.arange(16.0).reshape(1, 4, 4, 1)).ravel()
    array([ 2.5,  4.5, 10.5, 12.5])
    """
    x, rows, columns, output = _start(pool, stride, padding, x=x)
    count = np.outer(_real(rows), _real(columns))[..., None].astype(x.dtype)
    for part in chunks(x, rows, columns):
        for _, pixels, windows in taps(rows, columns):
            output[part][windows] += x[part][pixels]
        output[part] /= count
    return output


def average_pool2d_gradient(x, output_gradient, pool=2, *, stride=None, padding="valid"):
    """Gradient of `average_pool2d` with respect to ``x``: each window spreads its gradient evenly.

    >>> average_pool2d_gradient(np.zeros((1, 2, 2, 1)), np.ones((1, 1, 1, 1))).ravel()
    array([0.25, 0.25, 0.25, 0.25])
    """
    x, arriving, rows, columns, dx = _start(pool, stride, padding, x=x, output_gradient=output_gradient)
    count = np.outer(_real(rows), _real(columns))[..., None].astype(x.dtype)
    for part in chunks(x, rows, columns):
        shares = arriving[part] / count
        for _, pixels, windows in taps(rows, columns):
            dx[part][pixels] += shares[windows]
    return dx


def lp_pool2d(x, pool=2, *, p=2, stride=None, padding="valid"):
    """The p-norm of each window, (sum of abs(x) ** p) ** (1 / p), for p from 1 up; padding adds nothing.

    p=1 adds the absolute values, p=2 gives their length, and the larger p, the nearer to the largest of them.
    Source: Sermanet et al., "Convolutional neural networks applied to house numbers" (arXiv:1204.3968).

    >>> lp_pool2d(np.array([[3.0, 0.0], [0.0, -4.0]]).reshape(1, 2, 2, 1)).item()
    5.0
    """
    if not is_number(p) or p < 1:
        raise ValueError(f"p={p!r} must be a finite number, 1 or more")
    x, rows, columns, output = _start(pool, stride, padding, x=x)
    for part in chunks(x, rows, columns):
        values = np.abs(x[part])
        scale = max_pool2d(values, pool, stride=stride, padding=padding)  # so that no power overflows
        scale[(scale == 0) | np.isinf(scale)] = 1
        with np.errstate(over="ignore"):  # beside an infinite value
            for _, pixels, windows in taps(rows, columns):
                output[part][windows] += (values[pixels] / scale[windows]) ** float(p)
        output[part] **= 1 / p
        output[part] *= scale
    return output


def _real(axis):
    """The number of real pixels, not of padding, in each window along one axis."""
    starts = np.arange(axis.outputs) * axis.stride - axis.before
    return np.minimum(starts + axis.window, axis.size) - np.maximum(starts, 0)


def _start(pool, stride, padding, **given):
    """The arrays, the rows and columns of their windows, and zeros for the output or for the gradient of x."""
    x, *gradient = arrays(**given)
    stride = pool if stride is None else stride
    rows, columns = window_axes(x, pair("pool", pool), stride, padding, name="pool")
    shape = len(x), rows.outputs, columns.outputs, x.shape[-1]
    if gradient:
        check_gradient(*gradient, *shape)
    return x, *gradient, rows, columns, np.zeros(x.shape if gradient else shape, x.dtype)
