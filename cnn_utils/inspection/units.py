"""Which arithmetic: the numbers of one unit, from the activations of the layers before it."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from cnn_utils.inspection.windows import origin, unit_box, values_in, window_of

# The distance from 1 to the next number, and the smallest number above 0 that is sure to be kept.
_FLOAT32 = 2.0**-23, 2.0**-126
_PRECISIONS = {"bfloat16": (2.0**-7, 2.0**-126), "float16": (2.0**-10, 2.0**-24)}


class Contribution(NamedTuple):
    """One product of a dense unit; `place` is (layer, (row, column), channel) when it comes from a map."""

    index: int
    value: float
    weight: float
    product: float
    place: tuple[str, tuple[int, int], int] | None


def numbers_of(steps, step, inputs, place):
    """The fields of an `Explanation` that its arithmetic gives; `inputs` are the values of its sources."""
    row, col, channel = place
    source, window = window_of(step, unit_box(row, col, channel))
    patch, padded = values_in(window, inputs[source], step.axes)
    numbers = {"window": window, "patch": patch, "padded": padded}
    match step.kind.rule:
        case "sum":
            numbers, size = _weighted_sum(steps, step, numbers, place)
            x, error = numbers["pre_activation"], rounding(step.precision, size, patch.shape)
        case "max":
            visible = np.where(padded[..., None], -np.inf, patch)
            i, j, _ = np.unravel_index(visible.argmax(), visible.shape)
            numbers["winner"] = (window.rows[0] + int(i), window.cols[0] + int(j), channel)
            x, error = float(visible.max()), rounding(step.precision, np.abs(patch).max())
        case "total":
            patch = np.array([values[place] for values in inputs], float)
            x, error = float(patch.sum()), rounding(step.precision, np.abs(patch).sum(), patch.shape)
            numbers |= {"patch": patch, "sum": x}
        case rule:  # one value, or the zero of the padding
            x, error = float(patch.sum()), rounding(step.precision, abs(patch.sum()))
            numbers |= {"pre_activation": x} if rule == "bend" else {}
    if step.function.name == "softmax":
        return numbers | _softmax(steps, step, inputs, place)
    value = step.function(x)
    spread = max(abs(step.function(end) - value) for end in (x - error, x + error))
    tolerance = spread + rounding(step.precision, abs(value))
    return numbers | {"activation": value, "tolerance": tolerance}


def _weighted_sum(steps, step, numbers, place):
    """Products, bias and what they add up to; and the sum of the absolute values of all that is added."""
    patch = numbers["patch"]
    kernel, addends, terms = step.kind.weights(step, numbers["padded"], place[2])
    products = patch * kernel
    total, bias = float(products.sum()), sum(addends) if addends else None
    numbers |= {"sum": total, "bias": bias, "pre_activation": total + (bias or 0.0), "terms": terms}
    if step.kind.shows == "contributions":
        numbers["top"] = _strongest(steps, step, patch.ravel(), kernel.ravel(), place)
    arrays = {"patch": patch, "kernel": kernel, "products": products}
    if step.vector and step.kind.mixes:
        arrays = {name: array.ravel() for name, array in arrays.items()}
    return numbers | arrays, np.abs(products).sum() + np.abs(addends).sum()


def _softmax(steps, step, inputs, place):
    """Softmax needs the scores beside it: of a sum, the other filters at the same place."""
    if step.kind.rule == "sum":
        plain = step._replace(function=step.function._replace(name="linear"))
        others = [numbers_of(steps, plain, inputs, (*place[:2], c)) for c in range(step.shape[2])]
        scores = np.array([other["activation"] for other in others])
        error = max(other["tolerance"] for other in others)
    else:
        scores = inputs[0][place[:2]].astype(float)
        error = rounding(step.precision, np.abs(scores).max())
    exponentials = np.exp(scores - scores.max())
    value = float(exponentials[place[2]] / exponentials.sum())
    tolerance = value * float(np.expm1(2 * error)) + rounding(step.precision, 1.0)
    shown = {"scores": scores, "exponentials": exponentials}
    return shown | {"activation": value, "tolerance": tolerance}


def _strongest(steps, step, values, weights, place, count=10):
    """The largest products of a dense unit, and where in the last map before it each came from."""
    top = []
    for index in np.argsort(-np.abs(values * weights), kind="stable")[:count].tolist():
        value, weight = float(values[index]), float(weights[index])
        where = origin(steps, steps[step.sources[0]], unit_box(*place[:2], index))
        top.append(Contribution(index, value, weight, value * weight, where))
    return tuple(top)


def rounding(precision, size, shape=(1, 1, 1)):
    """How far a right sum may be from the model's own, when the absolute values of its addends sum to `size`.

    Inputs, weights and the result are rounded, each by at most half an epsilon of the layer's precision, and so
    is every partial sum. TensorFlow adds up the places of a window in that precision, where the errors go either
    way and grow like the square root of their number, and what is left in float32.
    """
    epsilon, smallest = _PRECISIONS.get(precision, _FLOAT32)
    places, all_addends = np.prod(shape[:2]), np.prod(shape)
    parts = (2 + np.sqrt(places) / 2) * epsilon + all_addends / 2 * _FLOAT32[0]
    return float(size * parts) + smallest
