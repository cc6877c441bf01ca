"""Pooling: the largest value, the mean, the weighted mean or the p-norm of each window, and their gradients."""

from numbers import Real

import numpy as np

from cnn_utils.arithmetic import pair
from cnn_utils.reference.windows import arrays, check_gradient, chunks, taps, window_axes


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

    Of several equal maxima the first gets it, row by row, as in TensorFlow. A pixel that is the maximum of
    several windows gets the sum.

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
    return _mean(x, np.ones(pair("pool", pool)), stride, padding)


def average_pool2d_gradient(x, output_gradient, pool=2, *, stride=None, padding="valid"):
    """Gradient of `average_pool2d` with respect to ``x``: each window spreads its gradient evenly.

    >>> average_pool2d_gradient(np.zeros((1, 2, 2, 1)), np.ones((1, 1, 1, 1))).ravel()
    array([0.25, 0.25, 0.25, 0.25])
    """
    return _mean_gradient(x, output_gradient, np.ones(pair("pool", pool)), stride, padding)


def lp_pool2d(x, pool=2, *, p=2, stride=None, padding="valid"):
    """The p-norm of each window, (sum of abs(x) ** p) ** (1 / p), for p from 1 up; padding adds nothing.

    p=1 adds the absolute values, p=2 gives their length, and the larger p, the nearer to the largest of them.
    Source: Sermanet et al., "Convolutional neural networks applied to house numbers" (arXiv:1204.3968).

    >>> lp_pool2d(np.array([[3.0, 0.0], [0.0, -4.0]]).reshape(1, 2, 2, 1)).item()
    5.0
    """
    p = _norm_power(p)
    x, rows, columns, output = _start(pool, stride, padding, x=x)
    for part in chunks(x, rows, columns):
        scale, root = _norm(x[part], p, rows, columns)
        np.multiply(scale, root, out=output[part])
    return output


def lp_pool2d_gradient(x, output_gradient, pool=2, *, p=2, stride=None, padding="valid"):
    """Gradient of `lp_pool2d` with respect to ``x``: sign(x) * (abs(x) / norm) ** (p - 1) for each window.

    A window of zeros has no slope of its own; its gradient is taken to be zero. Infinities count as equal.

    >>> image = np.array([[3.0, 0.0], [0.0, -4.0]]).reshape(1, 2, 2, 1)
    >>> lp_pool2d_gradient(image, np.ones((1, 1, 1, 1))).ravel()
    array([ 0.6,  0. ,  0. , -0.8])
    """
    p = _norm_power(p)
    x, arriving, rows, columns, dx = _start(pool, stride, padding, x=x, output_gradient=output_gradient)
    for part in chunks(x, rows, columns):
        scale, root = _norm(x[part], p, rows, columns)
        root[root == 0] = 1
        for _, pixels, windows in taps(rows, columns):
            slope = (_share(x[part][pixels], scale[windows]) / root[windows]) ** (p - 1)
            dx[part][pixels] += np.sign(x[part][pixels]) * slope * arriving[part][windows]
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
    y = (np.arange(height) - (height - 1) / 2) / (height / 2)  # in standard deviations
    x = (np.arange(width) - (width - 1) / 2) / (width / 2)
    weights = np.exp(-(y[:, None] ** 2 + x**2) / 2)
    return weights / weights.sum()


def _mean(x, weights, stride, padding):
    """Weighted mean of each window over its real pixels."""
    x, rows, columns, output = _start(weights.shape, stride, padding, x=x)
    weights, total = _weights(x, weights, rows, columns)
    for part in chunks(x, rows, columns):
        for place, pixels, windows in taps(rows, columns):
            output[part][windows] += weights[place] * x[part][pixels]
        output[part] /= total
    return output


def _mean_gradient(x, output_gradient, weights, stride, padding):
    """Gradient of `_mean` with respect to ``x``."""
    given = {"x": x, "output_gradient": output_gradient}
    x, arriving, rows, columns, dx = _start(weights.shape, stride, padding, **given)
    weights, total = _weights(x, weights, rows, columns)
    for part in chunks(x, rows, columns):
        shares = arriving[part] / total
        for place, pixels, windows in taps(rows, columns):
            dx[part][pixels] += weights[place] * shares[windows]
    return dx


def _weights(x, weights, rows, columns):
    """The weights, and their sum over the real pixels of each window: (1, output rows, output columns, 1)."""
    total = np.zeros((1, rows.outputs, columns.outputs, 1))
    for place, _, windows in taps(rows, columns):
        total[windows] += weights[place]
    return weights.astype(x.dtype), total.astype(x.dtype)


def _norm(x, p, rows, columns):
    """The p-norm of each window as two factors, so that no power overflows: its largest value, and a root."""
    scale = np.zeros((len(x), rows.outputs, columns.outputs, x.shape[-1]), x.dtype)
    for _, pixels, windows in taps(rows, columns):
        np.maximum(scale[windows], np.abs(x[pixels]), out=scale[windows])
    scale[scale == 0] = 1
    total = np.zeros_like(scale)
    for _, pixels, windows in taps(rows, columns):
        total[windows] += _share(x[pixels], scale[windows]) ** p
    return scale, total ** (1 / p)


def _share(x, scale):
    """abs(x) / scale; of two infinities, one."""
    with np.errstate(invalid="ignore"):
        share = np.abs(x) / scale
    if np.isinf(scale).any():
        share[np.isinf(x) & np.isinf(scale)] = 1
    return share


def _norm_power(p):
    if isinstance(p, bool) or not isinstance(p, Real) or not 1 <= p < np.inf:
        raise ValueError(f"p={p!r} must be a finite number, 1 or more")
    return float(p)


def _start(pool, stride, padding, **given):
    """The arrays, the rows and columns of their windows, and zeros for the output or for the gradient of x."""
    x, *gradient = arrays(**given)
    stride = pool if stride is None else stride
    rows, columns = window_axes(x, pair("pool", pool), stride, padding, name="pool")
    shape = len(x), rows.outputs, columns.outputs, x.shape[-1]
    if gradient:
        check_gradient(*gradient, *shape)
    return x, *gradient, rows, columns, np.zeros(x.shape if gradient else shape, x.dtype)
