"""The arithmetic of convolution: output sizes, padding, receptive fields, parameter and operation counts.

Pure functions of whole numbers, one axis at a time: call them once for the height and once for the width.
The formulas are those of Dumoulin & Visin, "A guide to convolution arithmetic for deep learning"
(arXiv:1603.07285), extended to padding that differs before and after, as TensorFlow's ``"same"`` needs.

Sizes are whole numbers, NumPy's too. All else raises a ``ValueError`` that names argument, value and rule.
"""

import math
import operator
from collections.abc import Iterable
from contextlib import suppress
from typing import NamedTuple


class ReceptiveField(NamedTuple):
    """What an output of a stack sees: ``size`` pixels; what its neighbour sees begins ``jump`` pixels on."""

    size: int
    jump: int


def conv_output_size(size, kernel, *, stride=1, padding=0, dilation=1):
    """Number of outputs of a convolution along one axis: floor((size + padding - span) / stride) + 1.

    ``span`` is the width of the dilated kernel, dilation * (kernel - 1) + 1. ``padding`` is ``"valid"``
    (none), ``"same"`` (TensorFlow's rule), an int for both sides, or ``(before, after)``.
    Source: Dumoulin & Visin, relationships 1 to 6 and 15.

    >>> conv_output_size(28, 5), conv_output_size(28, 5, padding=2), conv_output_size(28, 5, stride=2)
    (24, 28, 12)
    >>> conv_output_size(5, 7)
    Traceback (most recent call last):
    ValueError: kernel=7 does not fit: the input is 5 wide, 5 with padding (0)
    """
    return place_windows(size, kernel, padding, stride=stride, dilation=dilation)[0]


def pool_output_size(size, pool, *, stride=None, padding=0):
    """Number of outputs of a pooling layer along one axis. ``stride`` is ``pool`` unless given.

    The same formula as for a convolution, with one more rule: explicit padding is smaller than the pool, for
    otherwise a window would hold no pixel at all. Source: Dumoulin & Visin, relationship 7.

    >>> pool_output_size(28, 2), pool_output_size(7, 3, stride=2), pool_output_size(7, 2, padding="same")
    (14, 3, 4)
    """
    return place_windows(size, pool, padding, stride=pool if stride is None else stride, name="pool")[0]


def transposed_conv_output_size(size, kernel, *, stride=1, padding=0, output_padding=0, dilation=1):
    """Size that a transposed convolution gives: (size - 1) * stride + span - padding + output_padding.

    ``padding`` is the padding of the convolution that is being turned round, so here it *shrinks* the result.
    With a stride, several sizes shrink to the same one; ``output_padding`` says which of them to return to.
    The words follow Keras: ``"same"`` gives size * stride, ``"valid"`` what padding 0 gives; but a kernel narrower
    than the stride counts as wide as the stride. Source: Dumoulin & Visin, relationships 8 to 14.

    >>> [transposed_conv_output_size(7, 3, stride=2, padding=padding) for padding in ("valid", "same", 1)]
    [15, 14, 13]
    >>> conv_output_size(5, 3, stride=2, padding=1), conv_output_size(6, 3, stride=2, padding=1)
    (3, 3)
    >>> [transposed_conv_output_size(3, 3, stride=2, padding=1, output_padding=extra) for extra in (0, 1)]
    [5, 6]
    """
    size, stride = whole_number("size", size), whole_number("stride", stride)
    span = max(_span(kernel, dilation), stride if isinstance(padding, str) else 1)
    extra = whole_number("output_padding", output_padding, minimum=0)
    if extra and isinstance(padding, str):
        raise ValueError(f"output_padding={extra} needs padding in numbers: {padding!r} fixes the size")
    if extra >= max(stride, dilation):
        rule = f"must be smaller than the stride ({stride}) or the dilation ({dilation})"
        raise ValueError(f"output_padding={extra} {rule}")
    before, after = padding_amounts(size * stride, kernel, padding, stride=stride, dilation=dilation)
    output = (size - 1) * stride + span - before - after + extra
    if output < 1:
        raise ValueError(f"padding={padding} takes away too much: the result would be {output} wide")
    return output


def same_padding(size, kernel, *, stride=1, dilation=1):
    """Padding ``(before, after)`` that TensorFlow's ``"same"`` adds: enough for ceil(size / stride) outputs.

    An odd amount puts the extra zero after, not before: ``"same"`` is not "P on both sides".
    Source: the notes on padding in the documentation of ``tf.nn``.

    >>> same_padding(28, 5), same_padding(28, 5, stride=2), same_padding(28, 2, stride=2)
    ((2, 2), (1, 2), (0, 0))
    """
    size, stride = whole_number("size", size), whole_number("stride", stride)
    outputs = -(-size // stride)
    total = max((outputs - 1) * stride + _span(kernel, dilation) - size, 0)
    return total // 2, total - total // 2


def padding_amounts(size, kernel, padding, *, stride=1, dilation=1):
    """Turn any way to write ``padding`` into numbers ``(before, after)`` for one axis.

    >>> [padding_amounts(28, 5, padding, stride=2) for padding in ("valid", "same", 2, (0, 3))]
    [(0, 0), (1, 2), (2, 2), (0, 3)]
    """
    rule = 'must be "valid", "same", a whole number, 0 or more, or a pair (before, after) of them'
    words = {"valid": (0, 0), "same": same_padding(size, kernel, stride=stride, dilation=dilation)}
    if isinstance(padding, str) and padding in words:
        return words[padding]
    return pair("padding", padding, minimum=0, rule=rule)


def receptive_field(layers):
    """Receptive field of one output of a stack of layers, each ``(kernel, stride)`` or with a dilation third.

    Each layer widens the field by (span - 1) times the distance, in pixels, between its neighbouring inputs.
    Source: Araujo et al., "Computing receptive fields of convolutional neural networks" (Distill, 2019).

    >>> receptive_field([(3, 1), (3, 1)])
    ReceptiveField(size=5, jump=1)
    >>> receptive_field([(5, 1), (2, 2), (5, 1), (2, 2)])
    ReceptiveField(size=16, jump=4)
    """
    size = jump = 1
    for layer in layers if isinstance(layers, Iterable) else [layers]:
        if not isinstance(layer, (tuple, list)) or len(layer) not in (2, 3):
            rule = "it must hold (kernel, stride) or (kernel, stride, dilation)"
            raise ValueError(f"layers holds {layer!r}: {rule}")
        kernel, stride, dilation = (*layer, 1)[:3]
        size += (_span(kernel, dilation) - 1) * jump
        jump *= whole_number("stride", stride)
    return ReceptiveField(size, jump)


def conv_parameters(kernel, in_channels, filters, *, bias=True):
    """Weights of a convolution; the size of the image plays no part. ``kernel``: an int (square) or a tuple.

    >>> conv_parameters(5, 1, 6), conv_parameters((3, 3), 64, 128, bias=False), conv_parameters((7,), 1, 4)
    (156, 73728, 32)
    """
    weights = math.prod(_sides("kernel", kernel)) * whole_number("in_channels", in_channels)
    return (weights + bool(bias)) * whole_number("filters", filters)


def dense_parameters(inputs, units, *, bias=True):
    """Weights of a dense layer: one for each pair of input and unit, and one bias for each unit.

    Without ``bias`` they are also the layer's multiply-adds on one example.

    >>> dense_parameters(28 * 28, 10), dense_parameters(28 * 28, 10, bias=False)
    (7850, 7840)
    """
    return (whole_number("inputs", inputs) + bool(bias)) * whole_number("units", units)


def conv_multiply_adds(output_size, kernel, in_channels, filters):
    """Multiply-adds of a convolution on one image: its weights, without biases, once for each output.

    ``output_size`` and ``kernel``: an int (square) or a tuple with as many axes as the other.

    >>> conv_multiply_adds(28, 5, 1, 6), conv_multiply_adds((10, 10), 5, 6, 16), conv_multiply_adds(60, (7,), 1, 4)
    (117600, 240000, 1680)
    """
    axes = len(kernel) if isinstance(kernel, (tuple, list)) else 2
    places = _sides("output_size", output_size, axes)
    kernel = _sides("kernel", kernel, len(places))
    if len(kernel) != len(places):
        raise ValueError(f"kernel={kernel} must have as many axes as output_size={places}")
    return math.prod(places) * conv_parameters(kernel, in_channels, filters, bias=False)


def whole_number(name, value, minimum=1):
    """``value`` as an int, or a ``ValueError`` that names the argument, its value and the rule."""
    if type(value) not in (int, bool):  # True is not a size
        with suppress(TypeError):
            value = operator.index(value)
    if type(value) is not int or value < minimum:
        raise ValueError(f"{name}={value!r} must be a whole number, {minimum} or more")
    return value


def pair(name, value, minimum=1, rule=None):
    """An int for both axes, or a pair of them, as two ints."""
    try:
        first, second = value if isinstance(value, (tuple, list)) else (value, value)
        return whole_number(name, first, minimum), whole_number(name, second, minimum)
    except ValueError:  # of three parts, too
        rule = rule or f"must be a whole number, {minimum} or more, or a pair of them"
        raise ValueError(f"{name}={value!r} {rule}") from None


def place_windows(size, window, padding, *, stride=1, dilation=1, name="kernel", measure="wide"):
    """Number of windows along one axis and the padding they need: ``(outputs, before, after)``.

    ``name`` ("kernel" or "pool") and ``measure`` ("wide" or "high") put the error in the reader's words.
    """
    size, window = whole_number("size", size), whole_number(name, window)
    stride, span = whole_number("stride", stride), _span(window, dilation)
    before, after = padding_amounts(size, window, padding, stride=stride, dilation=dilation)
    if name == "pool" and max(before, after) >= window:
        raise ValueError(f"padding={padding} must be smaller than pool={window}, or a window holds no pixel")
    padded = size + before + after
    if span > padded:
        window = f"{window} with dilation={dilation} spans {span} and" if span > window else window
        have = f"the input is {size} {measure}, {padded} with padding ({padding})"
        raise ValueError(f"{name}={window} does not fit: {have}")
    return (padded - span) // stride + 1, before, after


def _span(kernel, dilation):
    """Width of a kernel whose taps are ``dilation`` pixels apart."""
    return whole_number("dilation", dilation) * (whole_number("kernel", kernel) - 1) + 1


def _sides(name, value, axes=2):
    """An int for each axis, or a tuple of ints, as a tuple."""
    if not isinstance(value, (tuple, list)):
        return (whole_number(name, value),) * axes
    if not value:
        raise ValueError(f"{name}={value!r} must have at least one axis")
    return tuple(whole_number(name, side) for side in value)
