"""Convolution, its gradients, and the transposed convolution."""

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

from cnn_utils.reference.windows import arrays, check_axes, check_gradient, chunks, taps, window_axes


def conv2d(x, kernel, bias=None, *, stride=1, padding="valid", dilation=1):
    """Convolution (in truth cross-correlation, as in every deep-learning library) of a batch of images.

    All windows of a chunk of images are laid out as the rows of one matrix ("im2col"), so that one matrix
    product takes all their dot products. Result: (batch, output rows, output columns, filters).
    Source: Chellapilla et al., "High performance convolutional neural networks", 2006.

    >>> image = np.arange(9.0).reshape(1, 3, 3, 1)
    >>> conv2d(image, np.ones((2, 2, 1, 1)))[0, :, :, 0].tolist()
    [[8.0, 12.0], [20.0, 24.0]]
    """
    x, kernel, bias = arrays(x=x, kernel=kernel, bias=bias)
    rows, columns = _place(x, kernel, bias, stride, padding, dilation)
    filters = kernel.shape[-1]
    kernel_matrix = kernel.reshape(-1, filters)
    output = np.empty((len(x), rows.outputs, columns.outputs, filters), x.dtype)
    for part in chunks(x, rows, columns, held=rows.window * columns.window):
        np.matmul(_patches(x[part], rows, columns), kernel_matrix, out=output[part].reshape(-1, filters))
    if bias is not None:
        output += bias
    return output


def conv2d_gradients(x, kernel, output_gradient, *, stride=1, padding="valid", dilation=1):
    """Gradients ``(dx, dkernel, dbias)`` of a loss, from its gradient with respect to the output of `conv2d`.

    Forward, output = patches @ kernel_matrix + bias. So dkernel = patches.T @ output_gradient, dbias is the
    sum of output_gradient, and output_gradient @ kernel_matrix.T is what patches hand back to their pixels.

    >>> image, kernel = np.arange(9.0).reshape(1, 3, 3, 1), np.ones((2, 2, 1, 1))
    >>> dx, dkernel, dbias = conv2d_gradients(image, kernel, np.ones((1, 2, 2, 1)))
    >>> dx[0, :, :, 0].tolist()
    [[1.0, 2.0, 1.0], [2.0, 4.0, 2.0], [1.0, 2.0, 1.0]]
    """
    x, kernel, output_gradient = arrays(x=x, kernel=kernel, output_gradient=output_gradient)
    rows, columns = _place(x, kernel, None, stride, padding, dilation)
    filters = kernel.shape[-1]
    check_gradient(output_gradient, len(x), rows.outputs, columns.outputs, filters)
    dx, dkernel, dbias = np.zeros_like(x), np.zeros_like(kernel), np.zeros(filters, x.dtype)
    for part in chunks(x, rows, columns, held=rows.window * columns.window):
        gradient_matrix = output_gradient[part].reshape(-1, filters)
        dkernel += (_patches(x[part], rows, columns).T @ gradient_matrix).reshape(kernel.shape)
        dbias += np.ones(len(gradient_matrix), x.dtype) @ gradient_matrix
    _add_stamps(dx, kernel, output_gradient, rows, columns)
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
    x, kernel, bias = arrays(x=x, kernel=kernel, bias=bias)
    rows, columns = _place(x, kernel, bias, stride, padding, transposed=True)
    output = np.zeros((len(x), rows.size, columns.size, kernel.shape[2]), x.dtype)
    _add_stamps(output, kernel, x, rows, columns)
    if bias is not None:
        output += bias
    return output


def _place(x, kernel, bias, stride, padding, dilation=1, *, transposed=False):
    """Rows and columns of windows, once it is known that the arrays belong together."""
    order = "height, width, " + ("filters, in_channels" if transposed else "in_channels, filters")
    check_axes("kernel", kernel, order)
    rows, columns = window_axes(x, kernel.shape[:2], stride, padding, dilation, transposed=transposed)
    channels, filters = kernel.shape[:1:-1] if transposed else kernel.shape[2:]
    if channels != x.shape[-1]:
        rule = f"its in_channels={channels} must equal the channels of x, {x.shape[-1]}"
        raise ValueError(f"kernel has shape {kernel.shape}, ({order}): {rule}")
    if bias is not None and bias.shape != (filters,):
        raise ValueError(f"bias has shape {bias.shape}: it must be ({filters},), one number for each filter")
    return rows, columns


def _patches(x, rows, columns):
    """Every window as a row of a matrix: (batch * rows * columns, height * width * channels)."""
    if rows.before or rows.after or columns.before or columns.after:
        x = np.pad(x, ((0, 0), (rows.before, rows.after), (columns.before, columns.after), (0, 0)))
    spans = [axis.dilation * (axis.window - 1) + 1 for axis in (rows, columns)]
    windows = sliding_window_view(x, spans, axis=(1, 2))  # (batch, rows, columns, channels, height, width)
    windows = windows[:, :: rows.stride, :: columns.stride, :, :: rows.dilation, :: columns.dilation]
    width = rows.window * columns.window * x.shape[-1]
    if x.shape[-1] == 1:  # copy an output row at a time: longer runs, less time
        return windows.transpose(3, 4, 5, 0, 1, 2).reshape(width, -1).T
    return windows.transpose(0, 1, 2, 4, 5, 3).reshape(-1, width)


def _add_stamps(target, kernel, values, rows, columns):
    """Add the kernel, times each of ``values``, to that value's window of ``target``: `_patches` reversed."""
    channels, filters = kernel.shape[2:]
    one_channel = channels == 1  # then one product for all places of the kernel: many thin ones take longer
    for part in chunks(target, rows, columns, held=rows.window * columns.window if one_channel else 2):
        stamps = products = None  # let go of those of the chunk before
        matrix = values[part].reshape(-1, filters)
        if one_channel:
            products = kernel.reshape(-1, filters) @ matrix.T
        for number, (place, pixels, windows) in enumerate(taps(rows, columns)):
            stamps = products[number] if one_channel else matrix @ kernel[place].T
            target[part][pixels] += stamps.reshape(*values[part].shape[:3], channels)[windows]
