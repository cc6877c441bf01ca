"""What one unit of one layer computed, number by number, and the activations of every layer at once.

Every layer's output is read as (rows, columns, channels); a vector of n units is one row, one column
and n channels. So a dense layer is a 1×1 convolution, a global pool is a pool as large as its map,
and one rule follows a unit's window back through the whole network.
"""

from __future__ import annotations

import operator
import weakref
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np

from cnn_utils.arithmetic import padding_amounts

_KINDS = {
    "InputLayer": "input",
    "Conv2D": "conv",
    "DepthwiseConv2D": "depthwise",
    "Dense": "dense",
    "MaxPooling2D": "max_pool",
    "GlobalMaxPooling2D": "max_pool",
    "AveragePooling2D": "average_pool",
    "GlobalAveragePooling2D": "average_pool",
    "Activation": "activation",
    "ReLU": "activation",
    "Softmax": "activation",
    "BatchNormalization": "batch_norm",
    "Dropout": "dropout",
    "Flatten": "flatten",
    "ZeroPadding2D": "zero_padding",
    "Add": "add",
    "Concatenate": "concatenate",
}
_FUNCTIONS = ("linear", "relu", "tanh", "sigmoid", "softmax")


class Box(NamedTuple):
    """A block of a layer's output: rows, columns and channels, each as (first, last + 1)."""

    rows: tuple[int, int]
    cols: tuple[int, int]
    channels: tuple[int, int]


class Contribution(NamedTuple):
    """One product of a dense unit; `place` is (layer, (row, column), channel) when it comes from a map."""

    index: int
    value: float
    weight: float
    product: float
    place: tuple[str, tuple[int, int], int] | None


@dataclass(frozen=True, eq=False)
class Explanation:
    """How one unit got its value. A field that its layer does not have is None.

    `patch`, `kernel` and `products` are (rows, columns, channels) for layers that look through a window,
    (inputs,) for dense layers. `sum` is the sum of the products, `pre_activation` adds the bias,
    `activation` applies `function` to it. `output` is the same number as the model itself computed it.
    """

    layer: str
    kind: str
    unit: tuple[int, ...]  # (row, column), or (index,) in a vector
    channel: int | None
    activation: float
    output: float
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
    terms: dict[str, float] = field(default_factory=dict)  # batch normalisation: its numbers by name

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


class Axis(NamedTuple):
    """One axis of a window: output i sees before-padded inputs i·stride + (0 … kernel-1)·dilation."""

    kernel: int = 1
    stride: int = 1
    dilation: int = 1
    before: int = 0


class Step(NamedTuple):
    """One call of one layer; `shape` is (rows, columns, channels), also if it is a vector."""

    name: str
    kind: str
    layer: Any
    sources: tuple[str, ...]
    shape: tuple[int, int, int]
    vector: bool
    axes: tuple[Axis, Axis]
    function: str


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
    return tuple(_network(model).steps.values())


def activations(model, image) -> dict[str, np.ndarray]:
    """What every layer makes of one image: {layer name: (rows, columns, channels) or (units,)}, float32.

    The forward pass is compiled once per model, so a call takes about a millisecond for LeNet; it always
    uses the model's current weights. `image` is (rows, columns, channels), the channels may be
    left out if there is one, a leading batch axis of one is allowed.

    >>> from cnn_utils import models
    >>> values = activations(models.lenet5(), np.ones((28, 28)))
    >>> values["conv2"].shape, values["dense1"].shape
    ((10, 10, 16), (120,))
    """
    network = _network(model)
    flat, values, start = network.run(_as_input(image, network)), {}, 0
    for step in network.steps.values():
        stop = start + int(np.prod(step.shape))
        values[step.name] = flat[start:stop].reshape(step.shape[2:] if step.vector else step.shape)
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
        If there is no such layer, unit or channel.

    >>> from cnn_utils import models
    >>> seen = explain(models.lenet5(), np.ones((28, 28)), "pool2", unit=(0, 4), channel=3)
    >>> seen.window, seen.receptive_field
    (Box(rows=(0, 2), cols=(8, 10), channels=(3, 4)), Box(rows=(0, 14), cols=(14, 28), channels=(0, 1)))
    """
    network = _network(model)
    values = activations(model, image) if values is None else values
    if layer not in network.steps:
        raise ValueError(f"layer={layer!r} is not in the model: it has {', '.join(network.steps)}")
    step = network.steps[layer]
    output = values[step.name].reshape(step.shape)
    row, col, channel = _place(step, unit, channel, output)
    box = Box((row, row + 1), (col, col + 1), (channel, channel + 1))
    boxes = _trace(network, step, box)
    inputs = [values[source].reshape(network.steps[source].shape) for source in step.sources]
    numbers = _arithmetic(network, step, inputs, row, col, channel)
    return Explanation(
        layer=step.name,
        kind=step.kind,
        unit=(channel,) if step.vector else (row, col),
        channel=None if step.vector else channel,
        output=float(output[row, col, channel]),
        sources=step.sources,
        receptive_field=boxes.get(next(iter(network.steps))),
        boxes=boxes,
        function=step.function,
        **{"activation": float(output[row, col, channel]), **numbers},
    )


# ---- the arithmetic of one unit ----------------------------------------------------------------------


def _arithmetic(network, step, inputs, row, col, channel):
    if step.kind == "input":
        return {}
    source = _source_of(network, step, channel)
    window = _seen(network, step, Box((row, row + 1), (col, col + 1), (channel, channel + 1)), source)
    numbers = {"window": window}
    patch, padded = _patch(inputs[source], step, window)
    if step.kind == "add":
        terms = np.array([x[row, col, channel] for x in inputs], float)
        return numbers | {"patch": terms, "sum": float(terms.sum()), "activation": float(terms.sum())}
    if step.kind == "max_pool":
        visible = np.where(padded[..., None], -np.inf, patch)
        i, j, _ = np.unravel_index(visible.argmax(), visible.shape)
        winner = (window.rows[0] + int(i), window.cols[0] + int(j), channel)
        numbers |= {"winner": winner, "activation": float(visible.max())}
    elif step.kind == "activation":
        x = float(patch[0, 0, 0])
        scores = inputs[0][row, col].astype(float) if step.function == "softmax" else None
        numbers |= {"pre_activation": x} | _apply(step, x, scores, channel)
    elif step.kind in ("flatten", "dropout", "concatenate", "zero_padding"):
        numbers["activation"] = float(patch.sum())  # one value, or the zero of the padding
    else:
        numbers |= _weighted_sum(network, step, patch, padded, channel)
        scores = None
        if step.function == "softmax":  # needs the scores beside it: the other filters at the same place
            plain = step._replace(function="linear")
            others = (_arithmetic(network, plain, inputs, row, col, c) for c in range(step.shape[2]))
            scores = np.array([other["pre_activation"] for other in others])
        numbers |= _apply(step, numbers["pre_activation"], scores, channel)
    return {"patch": patch} | numbers | {"padded": padded}


def _weighted_sum(network, step, patch, padded, channel):
    kernel, bias, terms = _weights(step, padded, channel)
    products = patch * kernel
    total = float(products.sum())
    numbers = {"sum": total, "bias": bias, "pre_activation": total + (bias or 0.0), "terms": terms}
    if step.kind == "dense":
        numbers["top"] = _strongest(network, step, patch.ravel(), kernel.ravel())
    if step.vector and step.kind == "dense":
        patch, kernel, products = patch.ravel(), kernel.ravel(), products.ravel()
    return numbers | {"patch": patch, "kernel": kernel, "products": products}


def _weights(step, padded, channel):
    """Kernel (as the patch), bias (or None) and named terms of one output channel."""
    layer = step.layer
    if step.kind == "average_pool":  # TensorFlow divides by the cells inside the map, not by the window
        return np.where(padded, 0.0, 1 / (~padded).sum())[..., None], None, {}
    if step.kind == "batch_norm":
        mean, variance = (float(v[channel]) for v in (layer.moving_mean, layer.moving_variance))
        gamma = float(layer.gamma[channel]) if layer.scale else 1.0
        beta = float(layer.beta[channel]) if layer.center else 0.0
        scale = gamma / np.sqrt(variance + layer.epsilon)
        terms = {"mean": mean, "variance": variance, "epsilon": layer.epsilon, "gamma": gamma, "beta": beta}
        return np.full((1, 1, 1), scale), beta - mean * scale, terms
    if step.kind == "depthwise":
        kernel = layer.kernel[:, :, channel // layer.depth_multiplier, channel % layer.depth_multiplier]
        kernel = np.asarray(kernel, float)[..., None]
    else:  # (rows, columns, channels), or (inputs,) in a dense layer
        kernel = np.asarray(layer.kernel[..., channel], float)
    return kernel.reshape(padded.shape + (-1,)), float(layer.bias[channel]) if layer.use_bias else None, {}


def _apply(step, x, scores, channel):
    """The activation function of one number; softmax also needs the scores beside it."""
    if step.function == "softmax":
        exponentials = np.exp(scores - scores.max())
        value = exponentials[channel] / exponentials.sum()
        return {"activation": float(value), "scores": scores, "exponentials": exponentials}
    if step.function == "relu":
        slope = getattr(step.layer, "negative_slope", 0.0)
        threshold = getattr(step.layer, "threshold", 0.0)
        largest = getattr(step.layer, "max_value", None)
        value = x if x >= threshold else slope * (x - threshold) + 0.0  # not -0
        return {"activation": float(value if largest is None else min(value, largest))}
    functions = {"linear": float, "tanh": np.tanh, "sigmoid": lambda x: np.exp(-np.logaddexp(0, -x))}
    return {"activation": float(functions[step.function](x))}


def _strongest(network, step, values, weights, count=10):
    """The largest products of a dense unit, and where in the last map before it each came from."""
    source = network.steps[step.sources[0]]
    while source.kind == "dropout":
        source = network.steps[source.sources[0]]
    before = network.steps[source.sources[0]] if source.kind == "flatten" else None
    top = []
    for index in np.argsort(-np.abs(values * weights), kind="stable")[:count].tolist():
        place = None
        if before is not None and not before.vector:
            row, col, channel = (int(i) for i in np.unravel_index(index, before.shape))
            place = (before.name, (row, col), channel)
        value, weight = float(values[index]), float(weights[index])
        top.append(Contribution(index, value, weight, value * weight, place))
    return tuple(top)


# ---- windows and receptive fields --------------------------------------------------------------------


def _trace(network, step, box):
    """The box that `box` of `step` sees in every layer before it, cut off at each layer's edge."""
    boxes = {step.name: box}
    for later in reversed(network.steps.values()):
        box = boxes.get(later.name)
        if box and later.function == "softmax":  # each probability depends on every score
            box = box._replace(channels=(0, later.shape[2]))
        for number, source in enumerate(later.sources if box else ()):
            seen = _seen(network, later, box, number)
            limits = zip(seen or (), network.steps[source].shape, strict=False)
            cut = Box(*((max(first, 0), min(last, size)) for (first, last), size in limits)) if seen else None
            if cut and all(first < last for first, last in cut):
                known = boxes.get(source, cut)
                hull = ((min(a[0], b[0]), max(a[1], b[1])) for a, b in zip(known, cut, strict=True))
                boxes[source] = Box(*hull)
    return boxes


def _seen(network, step, box, source):
    """What `box` sees of the step's source number `source`: may reach into the padding; None if nothing."""
    rows, cols = (
        (first * a.stride - a.before, (last - 1) * a.stride - a.before + (a.kernel - 1) * a.dilation + 1)
        for (first, last), a in zip(box[:2], step.axes, strict=True)
    )
    before = network.steps[step.sources[source]]
    first, last = box.channels
    if step.kind == "dense":
        first, last = 0, before.shape[2]
    elif step.kind == "conv":
        filters, width = step.shape[2] // step.layer.groups, before.shape[2] // step.layer.groups
        first, last = first // filters * width, ((last - 1) // filters + 1) * width
    elif step.kind == "depthwise":
        multiplier = step.layer.depth_multiplier
        first, last = first // multiplier, (last - 1) // multiplier + 1
    elif step.kind == "concatenate":
        start = sum(network.steps[name].shape[2] for name in step.sources[:source])
        first, last = max(first - start, 0), min(last - start, before.shape[2])
        if first >= last:
            return None
    elif step.kind == "flatten":
        ends = [np.unravel_index(i, before.shape) for i in (first, last - 1)]
        if first + 1 < last:  # a whole stretch of units: take all columns and channels of its rows
            ends = [(ends[0][0], 0, 0), (ends[1][0], before.shape[1] - 1, before.shape[2] - 1)]
        return Box(*((int(a), int(b) + 1) for a, b in zip(*ends, strict=True)))
    return Box(rows, cols, (first, last))


def _source_of(network, step, channel):
    """Which of the step's sources this channel comes from: the first, except in a concatenation."""
    if step.kind == "concatenate":
        ends = np.cumsum([network.steps[name].shape[2] for name in step.sources])
        return int(np.searchsorted(ends, channel, side="right"))
    return 0


def _patch(x, step, window):
    """The values in the window (rows, columns, channels), zero where it covers padding, and where that is."""
    dilation = (1, 1) if step.kind == "flatten" else (axis.dilation for axis in step.axes)
    rows, cols = (np.arange(*limits, d) for limits, d in zip(window[:2], dilation, strict=True))
    inside = ((rows >= 0) & (rows < x.shape[0]))[:, None] & ((cols >= 0) & (cols < x.shape[1]))
    found = x[rows.clip(0, x.shape[0] - 1)][:, cols.clip(0, x.shape[1] - 1), slice(*window.channels)]
    return np.where(inside[..., None], found, 0.0).astype(float), ~inside


def _place(step, unit, channel, output):
    """(row, column, channel) of the unit asked for, checked."""
    if step.vector and channel is not None:
        raise ValueError(f"channel={channel} does not fit: {step.name} is a vector, choose a unit only")
    sizes = step.shape[2:] if step.vector else step.shape[:2]
    unit = unit if unit is None or np.iterable(unit) else (unit,)
    wanted = (None,) * len(sizes) if unit is None else tuple(operator.index(i) for i in unit)
    if len(wanted) != len(sizes) or not all(
        i is None or 0 <= i < n for i, n in zip(wanted, sizes, strict=True)
    ):
        kind = f"a vector of {sizes[0]} units" if step.vector else f"{sizes[0]} rows by {sizes[1]} columns"
        raise ValueError(f"unit={unit} does not fit: {step.name} is {kind}, counted from 0")
    if channel is not None and not 0 <= operator.index(channel) < step.shape[2]:
        raise ValueError(
            f"channel={channel} does not fit: {step.name} has {step.shape[2]} channels, counted from 0"
        )
    wanted = (0, 0, *wanted) if step.vector else (*wanted, channel)
    free = np.ones(step.shape, bool)
    for axis, i in enumerate(wanted):
        if i is not None:
            free &= np.arange(step.shape[axis]).reshape([-1 if a == axis else 1 for a in range(3)]) == i
    return tuple(int(i) for i in np.unravel_index(np.where(free, output, -np.inf).argmax(), step.shape))


# ---- reading the model -------------------------------------------------------------------------------


class _Network(NamedTuple):
    output: Any
    steps: dict[str, Step]
    run: Any


_networks: weakref.WeakKeyDictionary = weakref.WeakKeyDictionary()


def _network(model):
    """The model's steps and compiled forward pass; made once, kept while the model lives unchanged."""
    inputs, outputs = (getattr(model, name, None) or () for name in ("inputs", "outputs"))
    if len(inputs) != 1 or len(outputs) != 1:
        raise ValueError(
            f"model={getattr(model, 'name', model)!r} has {len(inputs)} inputs and {len(outputs)} outputs: "
            "it must be a Sequential or Functional model with one of each, and built (give it an Input)"
        )
    known = _networks.get(model)
    if known is None or known.output is not outputs[0]:
        tensors: dict[str, Any] = {}
        found: dict[str, Step] = {}
        _walk(outputs[0], found, tensors, {})
        run = _compiled(inputs[0], tensors, found)
        known = _networks[model] = _Network(outputs[0], found, run)
    return known


def _walk(tensor, found, tensors, names):
    """Add the step that made `tensor`, after all steps before it; return its name."""
    layer, node, _ = tensor._keras_history
    if (id(layer), node) not in names:
        sources = tuple(_walk(t, found, tensors, names) for t in layer._inbound_nodes[node].input_tensors)
        calls = sum(key[0] == id(layer) for key in names)
        name = names[id(layer), node] = layer.name if not calls else f"{layer.name} ({calls + 1})"
        found[name] = _read(layer, name, tensor, sources, found)
        tensors[name] = tensor
    return names[id(layer), node]


def _read(layer, name, tensor, sources, found):
    from cnn_utils import keras

    kind = _KINDS.get(type(layer).__name__)
    if kind is None or type(layer) is not getattr(keras.layers, type(layer).__name__, None):
        known = ", ".join(k for k in _KINDS if k != "InputLayer")
        raise ValueError(
            f"layer {name!r} is a {type(layer).__name__}, which has no explanation here: only {known}"
        )
    shape = tuple(tensor.shape[1:])
    if len(shape) not in (1, 3) or None in shape:
        raise ValueError(
            f"layer {name!r} gives {shape}: it must be (rows, columns, channels) or (units,), fixed"
        )
    if getattr(layer, "data_format", None) == "channels_first":
        raise ValueError(
            f"layer {name!r} has data_format='channels_first': only 'channels_last' is explained"
        )
    before = [found[source].shape for source in sources]
    vector = len(shape) == 1
    axis = getattr(layer, "axis", -1)
    if axis not in (-1, len(shape), [-1], [len(shape)]):
        raise ValueError(f"layer {name!r} has axis={axis}: only the last axis is explained")
    if kind == "add" and len(set(before)) > 1:
        raise ValueError(f"layer {name!r} adds shapes {before}: they must be the same")
    shape = (1, 1, *shape) if vector else shape
    return Step(name, kind, layer, sources, shape, vector, _axes(layer, kind, before), _function(layer, name))


def _axes(layer, kind, before):
    if kind == "zero_padding":
        return tuple(Axis(before=amounts[0]) for amounts in layer.padding)
    if kind in ("max_pool", "average_pool") and not hasattr(layer, "pool_size"):
        return tuple(Axis(kernel=size) for size in before[0][:2])  # a global pool
    if kind not in ("conv", "depthwise", "max_pool", "average_pool"):
        return Axis(), Axis()
    kernels = layer.pool_size if hasattr(layer, "pool_size") else layer.kernel_size
    dilations = getattr(layer, "dilation_rate", (1, 1))
    axes = []
    for size, kernel, stride, dilation in zip(before[0][:2], kernels, layer.strides, dilations, strict=True):
        amount, _ = padding_amounts(size, kernel, layer.padding, stride=stride, dilation=dilation)
        axes.append(Axis(kernel, stride, dilation, amount))
    return tuple(axes)


def _function(layer, name):
    if type(layer).__name__ in ("ReLU", "Softmax"):
        return type(layer).__name__.lower()
    function = getattr(getattr(layer, "activation", None), "__name__", "linear")
    if function not in _FUNCTIONS:
        raise ValueError(
            f"layer {name!r} has activation={function!r}: only {', '.join(_FUNCTIONS)} are explained"
        )
    return function


def _compiled(model_input, tensors, found):
    """One function from a batch of one image to all activations, end to end in one float32 array."""
    from cnn_utils import keras, tf

    last = list(found.values())[-1]
    outputs = list(tensors.values())
    logits = (
        last.vector
        and last.function == "linear"
        and last.shape[2] > 1
        and last.kind in ("dense", "activation")
    )
    if logits and "softmax" not in found:
        found["softmax"] = last._replace(
            name="softmax", kind="activation", layer=None, sources=(last.name,), function="softmax"
        )
    network = keras.Model(model_input, outputs)

    @tf.function(input_signature=[tf.TensorSpec((1, *model_input.shape[1:]), tf.float32)])
    def forward(image):
        values = [tf.cast(v, tf.float32) for v in network(image, training=False)]
        values += [tf.nn.softmax(values[-1])] * (len(found) - len(values))
        return tf.concat([tf.reshape(v, [-1]) for v in values], axis=0)

    return lambda image: forward(tf.constant(image)).numpy()


def _as_input(image, network):
    image = np.asarray(image, dtype=np.float32)
    shape = next(iter(network.steps.values())).shape
    if image.shape not in (shape, (1, *shape), shape[:2] if shape[2] == 1 else shape):
        raise ValueError(f"image has shape {image.shape}: the model's input is {shape}")
    return image.reshape(1, *shape)
