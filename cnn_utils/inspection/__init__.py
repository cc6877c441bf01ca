"""What one unit of one layer computed, number by number, and the activations of every layer at once.

Every layer's output is read as (rows, columns, channels); a vector of n units is one row, one column
and n channels. So a dense layer is a 1×1 convolution, a global pool is a pool as large as its map,
and one rule follows a unit's window back through the whole network.

Three questions, three rooms: which layers (`layers`, and `network` that reads a model as a list of them),
which windows (`windows`), which arithmetic (`units`).
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from cnn_utils.arithmetic import whole_number
from cnn_utils.inspection.layers import KINDS, Function, Kind
from cnn_utils.inspection.network import Step, as_images, read
from cnn_utils.inspection.units import Contribution, numbers_of
from cnn_utils.inspection.windows import Axis, Box, trace, unit_box

__all__ = ["KINDS", "Axis", "Box", "Contribution", "Explanation", "Function", "Kind", "Step"]
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
    activation: float
    output: float
    precision: str = "float32"
    tolerance: float = 0.0
    sources: tuple[str, ...] = ()  # the layers before
    window: Box | None = None  # in the layer before; may reach over its edge, into the padding
    padded: np.ndarray | None = None  # (rows, columns): True where the window covers padding
    receptive_field: Box | None = None  # in the input, cut off at its edge; None if it sees padding only
    boxes: dict[str, Box] = field(default_factory=dict)  # the same for every layer on the way back
    patch: np.ndarray | None = None
    kernel: np.ndarray | None = None
    products: np.ndarray | None = None
    sum: float | None = None
    bias: float | None = None
    pre_activation: float | None = None
    function: str = "linear"
    winner: tuple[int, int, int] | None = None  # max pooling: (row, column, channel) in the layer before
    top: tuple[Contribution, ...] = ()  # dense layers: strongest first
    scores: np.ndarray | None = None  # softmax: what goes in,
    exponentials: np.ndarray | None = None  # and exp(score - largest score)
    terms: dict[str, float] = field(
        default_factory=dict
    )  # batch normalisation, rescaling: its numbers by name

    def __repr__(self) -> str:
        place = f"unit {self.unit[0]}" if self.channel is None else f"{self.unit} of channel {self.channel}"
        steps = [f"{self.layer}, {place}:"]
        if self.products is not None and self.kernel is not None:
            steps.append(f"{self.products.size} products sum to {self.sum:.4g};")
        if self.winner is not None:
            steps.append(f"the largest of {self.patch.size - int(self.padded.sum())} values;")
        if self.bias is not None:
            steps.append(f"{self.sum:.4g} + bias {self.bias:.4g} = {self.pre_activation:.4g};")
        steps.append(f"{'' if self.function == 'linear' else self.function + ' gives '}{self.activation:.4g}")
        return " ".join(steps)


def steps(model) -> tuple[Step, ...]:
    """The model's layers in the order they are computed, input first.

    A model that ends in logits gets one more step, `softmax`: not a layer of the model, but the
    probabilities a reader wants to see. A layer called twice appears twice, as `conv1` and `conv1 (2)`.

    Raises
    ------
    ValueError
        If the model is not a built Sequential or Functional model with one input of fixed size and
        one output, or has a layer whose arithmetic this module does not know (the message names it).

    >>> from cnn_utils import models
    >>> [step.name for step in steps(models.lenet5())]
    ['image', 'conv1', 'pool1', 'conv2', 'pool2', 'flatten', 'dense1', 'dense2', 'logits', 'softmax']
    """
    return tuple(read(model).steps.values())


def activations(model, image) -> dict[str, np.ndarray]:
    """What every layer makes of one image, float32: {layer name: its output, shaped as in Keras}.

    The forward pass is compiled once per model, so a call takes about a millisecond for LeNet; it always
    uses the model's current weights and layers. `image` has the shape of the model's input; a channel axis
    of one may be left out, a leading batch axis of one is allowed.

    >>> from cnn_utils import models
    >>> values = activations(models.lenet5(), np.ones((28, 28)))
    >>> values["conv2"].shape, values["dense1"].shape
    ((10, 10, 16), (120,))
    """
    network = read(model)
    images = as_images(image, next(iter(network.steps.values())))
    if len(images) > 1:
        raise ValueError(f"image has shape {np.shape(image)}: that is {len(images)} images, give one")
    flat, values, start = network.run(images), {}, 0
    for step in network.steps.values():
        stop = start + int(np.prod(step.shape))
        values[step.name] = flat[start:stop].reshape(step.keras_shape)
        start = stop
    return values


def explain(model, image, layer, unit=None, channel=None, *, values=None) -> Explanation:
    """How one unit of `layer` got its value, for one image.

    Parameters
    ----------
    unit : (row, column), or an index in a layer that is a vector; the most active one if None
    channel : which feature map; None in a vector
    values : the result of `activations(model, image)`, if it is at hand already

    Raises
    ------
    ValueError
        If there is no such layer, unit or channel; or if the arithmetic does not give what the model itself
        gives, by more than the precision of the layer explains.

    >>> from cnn_utils import models
    >>> seen = explain(models.lenet5(), np.ones((28, 28)), "pool2", unit=(0, 4), channel=3)
    >>> seen.window, seen.receptive_field
    (Box(rows=(0, 2), cols=(8, 10), channels=(3, 4)), Box(rows=(0, 14), cols=(14, 28), channels=(0, 1)))
    """
    known = read(model).steps
    values = activations(model, image) if values is None else values
    if not isinstance(layer, str) or layer not in known:
        raise ValueError(f"layer={layer!r} is not in the model: it has {', '.join(known)}")
    if {name: np.shape(v) for name, v in values.items()} != {s.name: s.keras_shape for s in known.values()}:
        raise ValueError("values are not those of this model: give what activations(model, image) returns")
    step = known[layer]
    output = values[layer].reshape(step.shape)
    place = _place(step, unit, channel, output)
    row, col, channel = place
    inputs = [values[source].reshape(known[source].shape) for source in step.sources]
    boxes = trace(known, step, unit_box(*place))
    found = Explanation(
        layer=layer,
        kind=step.kind.name,
        unit=(channel,) if step.vector else (row, col),
        channel=None if step.vector else channel,
        output=float(output[place]),
        precision=step.precision,
        sources=step.sources,
        receptive_field=boxes.get(next(iter(known))),
        boxes=boxes,
        function=step.function.name,
        **(numbers_of(known, step, inputs, place) if inputs else {"activation": float(output[place])}),
    )
    same = np.array_equal(found.activation, found.output, equal_nan=True)  # infinite or not a number, too
    if not same and not abs(found.activation - found.output) <= found.tolerance:
        raise ValueError(
            f"layer {layer!r} is not explained: for unit {found.unit} of channel {channel} its arithmetic gives "
            f"{found.activation:.6g}, the model {found.output:.6g}, and {step.precision} makes that no more "
            f"than {found.tolerance:.1g} apart"
        )
    return found


def _place(step, unit, channel, output):
    """(row, column, channel) of the unit asked for, checked; the most active of those left open."""
    if step.vector and channel is not None:
        raise ValueError(f"channel={channel} does not fit: {step.name} is a vector, choose a unit only")
    sizes = step.shape[2:] if step.vector else step.shape[:2]
    unit = (None,) * len(sizes) if unit is None else tuple(unit) if np.iterable(unit) else (unit,)
    if not _fits(unit, sizes):
        kind = f"a vector of {sizes[0]} units" if step.vector else f"{sizes[0]} rows by {sizes[1]} columns"
        raise ValueError(f"unit={unit} does not fit: {step.name} is {kind}, counted from 0")
    if not _fits((channel,), step.shape[2:]):
        has = f"{step.name} has {step.shape[2]} channels, counted from 0"
        raise ValueError(f"channel={channel} does not fit: {has}")
    wanted = (0, 0, *unit) if step.vector else (*unit, channel)
    free = output[tuple(slice(None) if i is None else slice(i, i + 1) for i in wanted)]
    best = np.unravel_index(free.argmax(), free.shape)
    return tuple(int(b if i is None else i) for i, b in zip(wanted, best, strict=True))


def _fits(indices, sizes):
    try:
        inside = [i is None or whole_number("unit", i, 0) < n for i, n in zip(indices, sizes, strict=True)]
    except ValueError:  # of zip, too: too many or too few
        return False
    return all(inside)
