"""Which windows: what a unit sees in the layer before it and, followed back, in the input."""

from typing import NamedTuple

import numpy as np


class Box(NamedTuple):
    """A block of a layer's output: rows, columns and channels, each as (first, last + 1)."""

    rows: tuple[int, int]
    cols: tuple[int, int]
    channels: tuple[int, int]


class Axis(NamedTuple):
    """One axis of a window: output i sees before-padded inputs ⌊i·stride⌋ + (0 … kernel-1)·dilation."""

    kernel: int = 1
    stride: int = 1
    dilation: int = 1
    before: int = 0


def _unit_box(place):
    return Box(*((i, i + 1) for i in place))


def window_of(step, place):
    """Which source a unit sees, and what of it; may reach over its edge, into the padding."""
    for number, shape in enumerate(step.before):
        window = step.kind.sees(step, _unit_box(place), number)
        if 0 <= window.channels[0] < shape[2]:  # of sources put side by side, the one with this channel
            break
    return number, window


def values_in(window, x, axes):
    """The values in a window (rows, columns, channels), zero where it covers padding, and where that is."""
    rows, cols = (np.arange(*limits, axis.dilation) for limits, axis in zip(window[:2], axes, strict=True))
    inside = ((rows >= 0) & (rows < x.shape[0]))[:, None] & ((cols >= 0) & (cols < x.shape[1]))
    found = x[rows.clip(0, x.shape[0] - 1)][:, cols.clip(0, x.shape[1] - 1), slice(*window.channels)]
    return np.where(inside[..., None], found, 0.0).astype(float), ~inside


def trace(steps, step, place):
    """The box that a unit of `step` sees in every layer before it, cut off at each layer's edge."""
    boxes = {step.name: _unit_box(place)}
    for later in reversed(steps.values()):
        box = boxes.get(later.name)
        if box and later.function.name == "softmax":  # each probability depends on every score
            box = box._replace(channels=(0, later.shape[2]))
        for number, source in enumerate(later.sources if box else ()):
            seen = zip(later.kind.sees(later, box, number), later.before[number], strict=True)
            cut = Box(*((max(first, 0), min(last, size)) for (first, last), size in seen))
            if all(first < last for first, last in cut):
                both = zip(boxes.get(source, cut), cut, strict=True)
                boxes[source] = Box(*((min(a[0], b[0]), max(a[1], b[1])) for a, b in both))
    return boxes


# What a box sees of source number `source`, for the records of `layers`: `grouped`, `stacked` or `reshaped`.
def grouped(step, box, source):
    """Through a window; of the channels, those of the same group. Without mixing, each is its own group."""
    rows, cols = (
        (int(i * a.stride) - a.before, int((j - 1) * a.stride) - a.before + (a.kernel - 1) * a.dilation + 1)
        for (i, j), a in zip(box[:2], step.axes, strict=True)
    )
    channels, (first, last) = step.before[source][2], box.channels
    groups = getattr(step.layer, "groups", 1) if step.kind.mixes else channels
    filters, width = step.shape[2] // groups, channels // groups
    return Box(rows, cols, (first // filters * width, ((last - 1) // filters + 1) * width))


def stacked(step, box, source):
    """The channels that this source has given; those of others lie outside."""
    start = sum(shape[2] for shape in step.before[:source])
    return box._replace(channels=(box.channels[0] - start, box.channels[1] - start))


def reshaped(step, box, source):
    """The same numbers in reading order; of a stretch of them, all columns and channels of its rows."""
    before = step.before[source]
    if before == step.shape:
        return box
    corners = zip(*((first, last - 1) for first, last in box), strict=True)
    first, last = (np.unravel_index(np.ravel_multi_index(at, step.shape), before) for at in corners)
    if first != last:
        first, last = (first[0], 0, 0), (last[0], before[1] - 1, before[2] - 1)
    return Box(*((int(a), int(b) + 1) for a, b in zip(first, last, strict=True)))
