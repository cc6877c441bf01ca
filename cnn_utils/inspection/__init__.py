"""What one unit of one layer computed, number by number, and the activations of every layer at once.

Every layer's output is read as (rows, columns, channels); a vector of n units is one row, one column
and n channels. So a dense layer is a 1×1 convolution, a global pool is a pool as large as its map, and one rule
follows a unit's window back through the whole network. Which layers there are is in `layers`, which windows
they look through in `windows`, the arithmetic here.
"""

from dataclasses import dataclass, field
from math import prod

import numpy as np

from cnn_utils.arithmetic import whole_number
from cnn_utils.inspection.layers import KINDS, Function, Kind, Step, read
from cnn_utils.inspection.windows import Axis, Box, trace, values_in, window_of

__all__ = ["KINDS", "Axis", "Box", "Explanation", "Function", "Kind", "Step"]
__all__ += ["activations", "as_images", "explain", "steps"]


@dataclass(frozen=True, eq=False)
class Explanation:
    """How one unit got its value. A field that its layer does not have is None.

    `patch`, `kernel` and `products` are (rows, columns, channels) for layers that look through a window,
    (inputs,) for dense layers. `sum` is the sum of the products, `pre_activation` adds the bias,
    `activation` applies `function` to it. `output` is the same number as the model itself computed it, with
    the `precision` of the layer; the two differ by no more than `tolerance`, the rounding that it allows.
    """

    layer: str
    kind: str
    unit: tuple[int, ...]  # (row, column), or (index,) in a vector
    channel: int | None
    output: float
    activation: float
    precision: str
    function: str
    sources: tuple[str, ...]  # the layers before
    boxes: dict[str, Box]  # what the unit sees in every layer on the way back, cut off at its edge
    receptive_field: Box | None  # and in the input; None if it sees padding only
    tolerance: float = 0.0
    window: Box | None = None  # in the layer before; may reach over its edge, into the padding
    padded: np.ndarray | None = None  # (rows, columns): True where the window covers padding
    patch: np.ndarray | None = None
    kernel: np.ndarray | None = None
    products: np.ndarray | None = None
    sum: float | None = None
    bias: float | None = None
    pre_activation: float | None = None
    winner: tuple[int, int, int] | None = None  # max pooling: (row, column, channel) in the layer before
    scores: np.ndarray | None = None  # softmax: what goes in,
    exponentials: np.ndarray | None = None  # and exp(score - largest score)
    terms: dict[str, float] = field(default_factory=dict)  # of the layer's formula, by name

    def __repr__(self) -> str:
        place = f"unit {self.unit[0]}" if self.channel is None else f"{self.unit} of channel {self.channel}"
        said = f"{self.layer}, {place}:"
        if self.products is not None:
            said += f" {self.products.size} products sum to {self.sum:.4g};"
        if self.winner is not None:
            said += f" the largest of {(~self.padded).sum()} values;"
        if self.bias is not None:
            said += f" {self.sum:.4g} + bias {self.bias:.4g} = {self.pre_activation:.4g};"
        return f"{said} {'' if self.function == 'linear' else self.function + ' gives '}{self.activation:.4g}"


def steps(model) -> tuple[Step, ...]:
    """The model's layers in the order they are computed, input first.

    A model that ends in logits gets one more step, `softmax`: not a layer of the model, but the
    probabilities a reader wants to see. A layer called twice appears twice, as `conv1` and `conv1 (2)`.

    Raises ValueError if the model is not a built Sequential or Functional model with one input of fixed size
    and one output, or has a layer whose arithmetic this module does not know (the message names it).

    >>> from cnn_utils import models
    >>> [step.name for step in steps(models.lenet5())]
    ['image', 'conv1', 'pool1', 'conv2', 'pool2', 'flatten', 'dense1', 'dense2', 'logits', 'softmax']
    """
    return tuple(read(model)[0].values())


def activations(model, image) -> dict[str, np.ndarray]:
    """What every layer makes of one image, float32: {layer name: its output, shaped as in Keras}.

    It always uses the model's current weights and layers; from the ninth call on it is compiled, and takes about
    a millisecond for LeNet. `image` has the shape of the model's input; a channel axis of one may be left out, a
    leading batch axis of one is allowed.

    >>> from cnn_utils import models
    >>> values = activations(models.lenet5(), np.ones((28, 28)))
    >>> values["conv2"].shape, values["dense1"].shape
    ((10, 10, 16), (120,))
    """
    known, run = read(model)
    images = as_images(image, next(iter(known.values())))
    if len(images) > 1:
        raise ValueError(f"image has shape {np.shape(image)}: that is {len(images)} images, give one")
    return {name: value.numpy()[0] for name, value in zip(known, run(images), strict=True)}


def as_images(image, step):
    """One image or a batch of them as ``(images, *shape of the input)``, float32; `step` is the model's first."""
    image, shape = np.asarray(image), step.keras_shape
    if image.dtype.kind not in "biufV" or not np.isfinite(image.astype(float)).all():
        raise ValueError(f"image ({image.dtype}) holds values that are no finite numbers: each pixel is one")
    for fitting in {shape, (*shape, 1), shape[:2]} if step.shape[2] == 1 and not step.vector else {shape}:
        if image.shape[-len(fitting) :] == fitting and image.ndim - len(fitting) in (0, 1) and image.size:
            return np.ascontiguousarray(image.reshape(-1, *shape), dtype=np.float32)
    raise ValueError(f"image has shape {image.shape}: the model's input is {shape}, or a batch of those")


def explain(model, image, layer, unit=None, channel=None, *, values=None) -> Explanation:
    """How one unit of `layer` got its value, for one image.

    Parameters
    ----------
    unit : (row, column), or an index in a layer that is a vector; the most active one if None
    channel : which feature map; None in a vector
    values : the result of `activations(model, image)`, if it is at hand already

    Raises ValueError if there is no such layer or unit; or if the arithmetic does not give what the model
    itself gives, by more than the precision of the layer explains.

    >>> from cnn_utils import models
    >>> seen = explain(models.lenet5(), np.ones((28, 28)), "pool2", unit=(0, 4), channel=3)
    >>> seen.window, seen.receptive_field
    (Box(rows=(0, 2), cols=(8, 10), channels=(3, 4)), Box(rows=(0, 14), cols=(14, 28), channels=(0, 1)))
    """
    known, _ = read(model)
    values = activations(model, image) if values is None else values
    if not isinstance(layer, str) or layer not in known:
        raise ValueError(f"layer={layer!r} is not in the model: it has {', '.join(known)}")
    if {name: np.shape(v) for name, v in values.items()} != {s.name: s.keras_shape for s in known.values()}:
        raise ValueError("values are not those of this model: give what activations(model, image) returns")
    maps = {name: value.reshape(known[name].shape) for name, value in values.items()}
    step = known[layer]
    place = _place(step, unit, channel, maps[layer])
    unit, channel = (place[2:], None) if step.vector else (place[:2], place[2])
    output, inputs = float(maps[layer][place]), [maps[source] for source in step.sources]
    numbers = _numbers(step, inputs, place) if inputs else {"activation": output}
    numbers |= {"output": output, "precision": step.layer.compute_dtype, "function": step.function.name}
    boxes = trace(known, step, place)
    seen = {"sources": step.sources, "boxes": boxes, "receptive_field": boxes.get(next(iter(known)))}
    found = Explanation(layer, step.kind.name, unit, channel, **numbers, **seen)
    same = np.array_equal(found.activation, output, equal_nan=True)  # infinite or not a number, too
    if not same and not abs(found.activation - output) <= found.tolerance:
        said = f"layer {layer!r} is not explained: for {found!r}, but the model gives {output:.6g}"
        raise ValueError(f"{said}, and {found.precision} makes that no more than {found.tolerance:.1g} apart")
    return found


def _place(step, unit, channel, output):
    """(row, column, channel) of the unit asked for, checked; the most active of those left open."""
    asked = (None,) * (1 if step.vector else 2) if unit is None else unit if np.iterable(unit) else (unit,)
    asked = (*asked,) if step.vector and channel is None else (*asked, channel)
    asked = (0, 0, *asked) if step.vector else asked  # its only row and column
    try:
        indices = [index if index is None else whole_number("unit", index, 0) for index in asked]
        choices = [range(n) if i is None else [i] for i, n in zip(indices, step.shape, strict=True)]
        free = output[np.ix_(*choices)]
    except (ValueError, IndexError):
        has = "a vector of {2} units" if step.vector else "{} rows by {} columns by {} channels"
        where = f"{step.name} is {has.format(*step.shape)}, counted from 0"
        raise ValueError(f"unit={unit!r}, channel={channel!r} does not fit: {where}") from None
    best = np.unravel_index(free.argmax(), free.shape)
    return tuple(int(choice[i]) for choice, i in zip(choices, best, strict=True))


def _numbers(step, inputs, place):
    """The fields of an `Explanation` that its arithmetic gives; `inputs` are the values of its sources."""
    source, window = window_of(step, place)
    patch, padded = values_in(window, inputs[source], step.axes)
    if step.kind.rule == "total":
        patch = np.array([values[place] for values in inputs], float)
    numbers = {"window": window, "patch": patch, "padded": padded}
    x, size = float(patch.sum()), np.abs(patch).sum()  # size: of all that is added, for the rounding
    match step.kind.rule:
        case "total":
            numbers["sum"] = x
        case "bend":
            numbers["pre_activation"] = x
        case "max":
            visible = np.where(padded[..., None], -np.inf, patch)
            row, col, _ = np.unravel_index(visible.argmax(), visible.shape)
            numbers["winner"] = (window.rows[0] + int(row), window.cols[0] + int(col), place[2])
            x, size = float(visible.max()), np.abs(patch).max()
        case "sum":
            kernel, addends, terms = step.kind.weights(step)
            mean = np.where(padded, 0.0, 1 / (~padded).sum())  # of the cells inside the map, as in TensorFlow
            kernel = mean if kernel is None else np.asarray(kernel[..., place[2]], float)
            shape = patch.size if step.vector and step.kind.shows == "contributions" else patch.shape
            weighed, kernel = patch.reshape(shape), kernel.reshape(shape)
            products, addends = weighed * kernel, [float(values[place[2]]) for values in addends]
            total, bias = float(products.sum()), sum(addends) if addends else None
            x, size = total + (bias or 0.0), np.abs(products).sum() + np.abs(addends).sum()
            numbers |= {"patch": weighed, "kernel": kernel, "products": products, "sum": total, "bias": bias}
            numbers |= {"pre_activation": x, "terms": {k: float(v[place[2]]) for k, v in terms.items()}}
    if step.function.name == "softmax":
        return numbers | _softmax(step, inputs, place)
    error = _rounding(step, size, patch.shape)
    value, low, high = step.function(x, x - error, x + error).tolist()
    smooth = step.function.name not in ("linear", "relu")  # as exp(x) - 1, made of numbers near one
    tolerance = max(abs(low - value), abs(high - value)) + _rounding(step, abs(value) + smooth)
    return numbers | {"activation": value, "tolerance": tolerance}


def _softmax(step, inputs, place):
    """Softmax needs the scores beside it: of a sum, the other filters at the same place."""
    if step.kind.rule == "sum":
        plain = step._replace(function=Function())
        others = [_numbers(plain, inputs, (*place[:2], channel)) for channel in range(step.shape[2])]
        scores = np.array([other["activation"] for other in others])
        error = max(other["tolerance"] for other in others)
    else:
        scores = inputs[0][place[:2]].astype(float)
        error = _rounding(step, np.abs(scores).max())
    exponentials = np.exp(scores - scores.max())
    value = float(exponentials[place[2]] / exponentials.sum())
    tolerance = value * float(np.expm1(2 * error)) + _rounding(step, 1.0)
    return {"scores": scores, "exponentials": exponentials, "activation": value, "tolerance": tolerance}


def _rounding(step, size, shape=(1, 1, 1)):
    """How far a right sum may be from the model's own, when the absolute values of its addends sum to `size`.

    Inputs, weights, the result and every partial sum are rounded, each by at most half an epsilon. TensorFlow adds
    up the places of a window in the layer's precision, where errors go either way and grow like the square root
    of their number, and the channels in float32.
    """
    limits = {"float16": (2.0**-10, 2.0**-24), "bfloat16": (2.0**-7, 2.0**-126)}
    epsilon, smallest = limits.get(step.layer.compute_dtype, (2.0**-23, 2.0**-126))  # smallest: surely kept
    parts = (2 + np.sqrt(prod(shape[:2])) / 2) * epsilon + prod(shape) / 2 * 2.0**-23
    return float(size * parts) + smallest
