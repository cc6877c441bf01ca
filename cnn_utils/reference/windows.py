"""What the layers share: where their windows lie, the chunks of a batch, and what is checked first."""

from numbers import Real
from typing import NamedTuple

import numpy as np

from cnn_utils.arithmetic import pair, place_windows, transposed_conv_output_size

CHUNK_BYTES = 4 * 2**20  # about what stays in a processor's cache


class Axis(NamedTuple):
    """The windows along one axis: ``outputs`` of them, ``stride`` apart, the first at pixel ``-before``."""

    size: int
    window: int
    stride: int
    dilation: int
    outputs: int
    before: int
    after: int

    def meet(self, tap):
        """Pixels that place ``tap`` of the window meets, and the windows it meets them in, as two slices."""
        offset = tap * self.dilation - self.before  # window number o meets pixel o * stride + offset
        first = max(0, -(offset // self.stride))
        last = max(first, min(self.outputs, (self.size - 1 - offset) // self.stride + 1))
        pixels = slice(first * self.stride + offset, last * self.stride + offset, self.stride)
        return pixels, slice(first, last)


def window_axes(x, window, stride, padding, dilation=1, *, name="kernel", transposed=False):
    """Rows and columns of windows on the images ``x``; transposed, on what ``x`` is stamped on."""
    check_axes("x", x, "batch, height, width, channels")
    stride, dilation = pair("stride", stride), pair("dilation", dilation)
    if not isinstance(padding, (tuple, list)):
        padding = padding, padding
    elif len(padding) != 2 or not all(isinstance(side, (tuple, list)) for side in padding):
        rule = 'must be "valid", "same", a whole number, or ((top, bottom), (left, right))'
        raise ValueError(f"padding={padding!r} {rule}")
    axes = zip(x.shape[1:3], window, padding, stride, dilation, ("high", "wide"), strict=True)
    for size, length, amount, step, gap, measure in axes:
        if transposed:
            size = transposed_conv_output_size(size, length, stride=step, padding=amount, dilation=gap)
        places = place_windows(size, length, amount, stride=step, dilation=gap, name=name, measure=measure)
        yield Axis(size, length, step, gap, *places)


def taps(rows, columns):
    """Each place (i, j) of the window with the pixels it meets and the windows it meets them in, as indices.

    Places that fall on padding are left out, so padding needs no pixels of its own.
    """
    for i in range(rows.window):
        for j in range(columns.window):
            (pixel_rows, window_rows), (pixel_columns, window_columns) = rows.meet(i), columns.meet(j)
            yield (i, j), np.s_[:, pixel_rows, pixel_columns], np.s_[:, window_rows, window_columns]


def chunks(x, rows, columns, held=7):
    """Slices of the batch, each of as many images as `CHUNK_BYTES` have room for.

    ``held`` numbers are kept for each window of each channel, beside the padded image; 7 are enough for a pool.
    """
    pixels = (rows.size + rows.before + rows.after) * (columns.size + columns.before + columns.after)
    numbers = (pixels + rows.outputs * columns.outputs * held) * x.shape[-1]
    images = max(1, CHUNK_BYTES // (numbers * x.itemsize))
    return [slice(start, start + images) for start in range(0, len(x), images)]


def arrays(**given):
    """The arrays in one floating-point type, in the order given. A bias may be None and stays it."""
    found = {name: as_array(name, one) for name, one in given.items() if one is not None or name != "bias"}
    dtype = np.result_type(*found.values())
    dtype = dtype if dtype.kind == "f" else np.float64
    return [found[name].astype(dtype, copy=False) if name in found else None for name in given]


def as_array(name, value):
    """``value`` as an array of real numbers, of whatever type."""
    if value is None:
        raise ValueError(f"{name}=None must be an array")
    try:
        array = np.asarray(value)
    except ValueError:
        raise ValueError(f"{name} is ragged: every row must be as long as the others") from None
    if array.dtype.kind not in "biuf":
        raise ValueError(f"{name} holds {array.dtype}: it must hold real numbers")
    return array


def check_axes(name, array, axes):
    """Refuse an array without these four axes, or with one that holds nothing; but a batch may be empty."""
    sides = array.shape[1:] if name == "x" else array.shape
    if array.ndim != 4 or 0 in sides:
        rule = f"it must have four axes, ({axes}), none of them empty"
        raise ValueError(f"{name} has shape {array.shape}: {rule}")


def check_gradient(output_gradient, *shape):
    """Refuse a gradient that has another shape than the output it belongs to."""
    if (given := output_gradient.shape) != shape:
        raise ValueError(f"output_gradient has shape {given}: it must be that of the output, {shape}")


def is_number(value):
    """Whether ``value`` is a finite real number."""
    return isinstance(value, Real) and not isinstance(value, bool) and -np.inf < value < np.inf
