"""Which windows: what a unit sees in the layer before it and, followed back, in the input."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np


class Box(NamedTuple):
    """A block of a layer's output: rows, columns and channels, each as (first, last + 1)."""

    rows: tuple[int, int]
    cols: tuple[int, int]
    channels: tuple[int, int]


class Axis(NamedTuple):
    """One axis of a window: output i sees before-padded inputs i·stride + (0 … kernel-1)·dilation."""

    kernel: int = 1
    stride: int = 1
    dilation: int = 1
    before: int = 0


def unit_box(row, col, channel):
    return Box((row, row + 1), (col, col + 1), (channel, channel + 1))


def window_of(step, box):
    """Which source a box of the step sees, and what of it; may reach over its edge, into the padding.

    The first source, except in a concatenation.
    """
    seen = ((number, step.kind.sees(step, box, number)) for number in range(len(step.sources)))
    return next((number, window) for number, window in seen if window)


def values_in(window, x, axes):
    """The values in a window (rows, columns, channels), zero where it covers padding, and where that is."""
    rows, cols = (np.arange(*limits, axis.dilation) for limits, axis in zip(window[:2], axes, strict=True))
    inside = ((rows >= 0) & (rows < x.shape[0]))[:, None] & ((cols >= 0) & (cols < x.shape[1]))
    found = x[rows.clip(0, x.shape[0] - 1)][:, cols.clip(0, x.shape[1] - 1), slice(*window.channels)]
    return np.where(inside[..., None], found, 0.0).astype(float), ~inside


def trace(steps, step, box):
    """The box that `box` of `step` sees in every layer before it, cut off at each layer's edge."""
    boxes = {step.name: box}
    for later in reversed(steps.values()):
        box = boxes.get(later.name)
        if box and later.function.name == "softmax":  # each probability depends on every score
            box = box._replace(channels=(0, later.shape[2]))
        for number, source in enumerate(later.sources if box else ()):
            seen = later.kind.sees(later, box, number)
            limits = zip(seen or (), later.before[number], strict=False)
            cut = Box(*((max(first, 0), min(last, size)) for (first, last), size in limits)) if seen else None
            if cut and all(first < last for first, last in cut):
                known = boxes.get(source, cut)
                hull = ((min(a[0], b[0]), max(a[1], b[1])) for a, b in zip(known, cut, strict=True))
                boxes[source] = Box(*hull)
    return boxes


def origin(steps, step, box):
    """The place (layer, (row, column), channel) in the last map before that a vector's number is passed on from."""
    while step.vector and step.sources and step.kind.rule == "pass":
        number, box = window_of(step, box)
        step = steps[step.sources[number]]
    (row, _), (col, _), (channel, _) = box
    return None if step.vector else (step.name, (row, col), channel)


# What a box sees of source number `source`, for the records of `layers`: a Box, or None if nothing.


def grouped(step, box, source):
    """Through a window; of the channels, those of the same group. Without mixing, each is its own group."""
    rows, cols = (
        (first * a.stride - a.before, (last - 1) * a.stride - a.before + (a.kernel - 1) * a.dilation + 1)
        for (first, last), a in zip(box[:2], step.axes, strict=True)
    )
    channels, (first, last) = step.before[source][2], box.channels
    groups = getattr(step.layer, "groups", 1) if step.kind.mixes else channels
    filters, width = step.shape[2] // groups, channels // groups
    return Box(rows, cols, (first // filters * width, ((last - 1) // filters + 1) * width))


def stacked(step, box, source):
    """The channels that this source has given."""
    start = sum(shape[2] for shape in step.before[:source])
    first, last = max(box.channels[0] - start, 0), min(box.channels[1] - start, step.before[source][2])
    return box._replace(channels=(first, last)) if first < last else None


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
