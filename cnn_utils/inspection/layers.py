"""Which layers: one record for each kind that can be explained, and a model read as a list of them.

Nothing outside the table asks which kind a layer is: the windows, the arithmetic, the still picture and the
page of the explorer follow its record.
"""

import weakref
from collections.abc import Callable
from dataclasses import dataclass, replace
from fractions import Fraction
from itertools import count
from typing import Any, NamedTuple

import numpy as np

import cnn_utils
from cnn_utils.arithmetic import padding_amounts
from cnn_utils.inspection.windows import Axis, grouped, reshaped, stacked


@dataclass(frozen=True)
class Kind:
    """All there is to know of one kind of layer.

    In the sentences stand {count} and {visible} (values in the window; those not padding), {source} (the layer
    before), {row} and {col} (of the winner), {function}, {x} and the terms by name, for the page to fill in.
    """

    name: str
    says: str  # how a unit gets its value
    rule: str = "pass"  # one value on, or "bend" it; the "max" in a window, its weighted "sum"; the "total"
    shows: str = ""  # the numbers on the page: the "window", its "products", "contributions", "terms"
    formula: str = ""  # the same with all numbers filled in
    bias: str = "bias"
    axes: Callable = lambda layer, shape: (Axis(), Axis())  # of the window over a map of this shape
    sees: Callable = grouped  # (step, box, source) -> Box in that source
    mixes: bool = False  # a unit sees all channels of its group, not only its own
    # step -> kernel (rows, columns, channels of a group, filters), addends of the bias and terms, for each filter;
    # without a kernel, each value that is not padding counts the same
    weights: Callable = lambda step: (None, (), {})


def _sliding(layer, shape):
    kernels = getattr(layer, "pool_size", getattr(layer, "kernel_size", shape[:2]))  # global: the whole map
    strides, dilations = (getattr(layer, name, (1, 1)) for name in ("strides", "dilation_rate"))
    padding, axes = getattr(layer, "padding", "valid"), []
    for size, kernel, stride, dilation in zip(shape[:2], kernels, strides, dilations, strict=True):
        before, _ = padding_amounts(size, kernel, padding, stride=stride, dilation=dilation)
        axes.append(Axis(kernel, stride, dilation, before))
    return tuple(axes)


def _border(layer, shape):
    return tuple(Axis(before=amounts[0]) for amounts in layer.padding)


def _repeated(layer, shape):
    return tuple(Axis(stride=Fraction(1, times)) for times in layer.size)


def _filter(step):
    layer, kernel = step.layer, step.layer.kernel
    if hasattr(layer, "depth_multiplier"):  # (rows, columns, channels, filters of each): a group a channel
        kernel = np.reshape(kernel, (*kernel.shape[:2], 1, -1))
    return kernel, (layer.bias,) if layer.use_bias else (), {}


def _separable(step):
    layer, depthwise = step.layer, step.layer.depthwise_kernel  # (rows, columns, channels, filters of each)
    pointwise = np.reshape(layer.pointwise_kernel, (*depthwise.shape[2:], -1))
    return np.einsum("hwcm,cmf->hwcf", depthwise, pointwise), (layer.bias,) if layer.use_bias else (), {}


def _scale(step):
    scale, offset = (np.resize(part, step.shape[2]) for part in (step.layer.scale, step.layer.offset))
    return scale[None, None, None], (offset,), {"scale": scale, "offset": offset}


def _normalisation(step):
    layer = step.layer
    mean, variance = np.asarray(layer.moving_mean, float), np.asarray(layer.moving_variance, float)
    gamma = np.asarray(layer.gamma, float) if layer.scale else np.ones_like(mean)
    beta = np.asarray(layer.beta, float) if layer.center else np.zeros_like(mean)
    scale, epsilon = gamma / np.sqrt(variance + layer.epsilon), np.full_like(mean, layer.epsilon)
    terms = {"mean": mean, "variance": variance, "epsilon": epsilon, "gamma": gamma, "beta": beta}
    return scale[None, None, None], (beta, -mean * scale), terms


_CONV = Kind("conv", "sum of {count} products", "sum", "products", axes=_sliding, mixes=True, weights=_filter)
_AT_ONCE = "sum of {count} products with both its kernels at once"
_LARGEST = "the largest of {visible} values, from row {row}, column {col}"
_MAX = Kind("max_pool", _LARGEST, "max", "window", axes=_sliding)
_AVERAGE = Kind("average_pool", "sum of {visible} values ÷ {visible}", "sum", "window", axes=_sliding)
_ACTIVATION = Kind("activation", "{function} of", "bend")
_RESHAPE = Kind("reshape", "the value at its place in {source}, in reading order", sees=reshaped)
_NORMED = "{gamma} (γ) × ({x} − {mean} (mean)) ÷ √({variance} (variance) + {epsilon}) + {beta} (β)"

KINDS = {
    "InputLayer": Kind("input", "the pixel's own value"),
    "Conv2D": _CONV,
    "DepthwiseConv2D": replace(_CONV, name="depthwise", mixes=False),
    "SeparableConv2D": replace(_CONV, name="separable", says=_AT_ONCE, weights=_separable),
    "Dense": replace(_CONV, name="dense", shows="contributions", axes=Kind.axes),
    "MaxPooling2D": _MAX,
    "GlobalMaxPooling2D": _MAX,
    "AveragePooling2D": _AVERAGE,
    "GlobalAveragePooling2D": _AVERAGE,
    "Activation": _ACTIVATION,
    "ReLU": _ACTIVATION,
    "LeakyReLU": _ACTIVATION,
    "Softmax": replace(_ACTIVATION, says="softmax of the score"),
    "BatchNormalization": Kind("batch_norm", "scaled", "sum", "", _NORMED, "shift", weights=_normalisation),
    "Rescaling": Kind("rescaling", "scaled", "sum", "", "{scale} × {x} + {offset}", "offset", weights=_scale),
    "UpSampling2D": Kind("upsampling", "passed on unchanged, to each of its copies", axes=_repeated),
    "Dropout": Kind("dropout", "passed on unchanged: dropout only acts in training"),
    "Flatten": replace(_RESHAPE, name="flatten"),
    "Reshape": _RESHAPE,
    "ZeroPadding2D": Kind("zero_padding", "passed on unchanged", axes=_border),
    "Add": Kind("add", "sum of {count} values", "total", "terms"),
    "Concatenate": Kind("concatenate", "passed on from the layer it came from", sees=stacked),
}


def kind_of(layer):
    """The record of a layer; None if it has none. A subclass has none: its call may compute anything."""
    name = type(layer).__name__
    return KINDS.get(name) if type(layer) is getattr(cnn_utils.keras.layers, name, None) else None


class Function(NamedTuple):
    """What a layer does to each number: its own activation, called on that number alone."""

    name: str = "linear"
    call: Callable = np.asarray

    def __call__(self, *numbers):
        return np.ravel(self.call(np.reshape(numbers, (-1, 1, 1, 1)))).astype(float)


def function_of(layer):
    """The activation of a layer, which may be a layer itself; None if that is of no kind known here."""
    function = getattr(layer, "activation", layer if kind_of(layer).rule == "bend" else None)
    if function is None:
        return Function()
    if not isinstance(function, cnn_utils.keras.layers.Layer):
        name = getattr(function, "__name__", type(function).__name__)
        return Function(name.removesuffix("_v2"), function)  # TensorFlow's softmax is called softmax_v2
    if getattr(kind_of(function), "rule", None) != "bend":
        return None
    options = ((name, getattr(function, name, 0)) for name in ("negative_slope", "threshold", "max_value"))
    said = ", ".join(f"{name} {value:g}" for name, value in options if value)
    name = type(function).__name__.replace("Softmax", "softmax")
    return Function(f"{name} ({said})" if said else name, function.call)


class Step(NamedTuple):
    """One call of one layer; `shape` is (rows, columns, channels), also if it is a vector: (1, 1, units)."""

    name: str
    kind: Kind
    layer: Any
    sources: tuple[str, ...]
    before: tuple[tuple[int, int, int], ...]  # the shapes of the sources
    shape: tuple[int, int, int]
    keras_shape: tuple[int, ...]  # (rows, columns, channels), (rows, columns) or (units,)
    axes: tuple[Axis, Axis]
    function: Function

    @property
    def vector(self) -> bool:
        return len(self.keras_shape) == 1

    def output(self, values):
        """What the layer itself makes of the values of all steps before it, by their names."""
        given = [values[name] for name in self.sources]
        several = self.kind.rule == "total" or self.kind.sees is stacked
        return self.layer(given if several else given[0], training=False)


_networks: weakref.WeakKeyDictionary = weakref.WeakKeyDictionary()


def read(model):
    """The model's steps by name, and a function from a batch of one image to the output of each.

    Made once, kept while the model lives unchanged. Logits get a step of their own: their softmax.
    """
    inputs, outputs = (getattr(model, name, None) or () for name in ("inputs", "outputs"))
    if len(inputs) != 1 or len(outputs) != 1:
        found = f"model={getattr(model, 'name', model)!r} has {len(inputs)} inputs and {len(outputs)} outputs"
        rule = "it must be a Sequential or Functional model with one of each, and built (give it an Input)"
        raise ValueError(f"{found}: {rule}")
    layers = list(model.layers)
    for layer in layers:  # a model among them puts its own behind
        layers += getattr(layer, "layers", ())
    # every attribute of every layer: an activation replaced, LoRA or quantisation changes one of them
    owners = [part for layer in layers for part in (layer, getattr(layer, "activation", None))]
    state = [value for owner in owners for value in getattr(owner, "__dict__", {}).values()]
    state += [outputs[0], *owners]
    steps, run, known = _networks.get(model, ({}, None, []))
    if list(map(id, state)) == list(map(id, known)):
        return steps, run
    steps = {}
    last = steps[_walk(outputs[0], steps, {})]
    logits = last.kind.rule in ("sum", "bend") and last.function.name == "linear"
    if logits and last.vector and last.shape[2] > 1 and "softmax" not in steps:
        layer = cnn_utils.keras.layers.Softmax(name="softmax", dtype="float32")
        seen = (last.name,), (last.shape,), last.shape, last.keras_shape, (Axis(), Axis())
        steps["softmax"] = Step("softmax", kind_of(layer), layer, *seen, function_of(layer))

    def forward(image):
        values = {}  # the layers themselves are called, not the model: those of a model in it are seen, too
        for step in steps.values():
            values[step.name] = step.output(values) if step.sources else image
        return [cnn_utils.tf.cast(value, "float32") for value in values.values()]

    compiled, calls = cnn_utils.tf.function(forward, autograph=False), count()

    def run(image):  # compiling takes as long as some eight calls: a few images need not wait for it
        return (forward if next(calls) < 8 else compiled)(cnn_utils.tf.constant(image))

    _networks[model] = steps, run, state
    return steps, run


def _walk(tensor, steps, names, inside=""):
    """Add the step that made `tensor`, after all before it; return its name, which `names` holds by the tensor's id."""
    if id(tensor) in names:
        return names[id(tensor)]
    layer, call, _ = tensor._keras_history
    node = layer._inbound_nodes[call]
    sources = [steps[_walk(source, steps, names, inside)] for source in node.input_tensors]
    calls = sum(step.layer is layer for step in steps.values())
    name = inside + (f"{layer.name} ({calls + 1})" if calls else layer.name)
    nested = type(layer).__module__.startswith("keras.src.models") and len(sources) == len(layer.outputs) == 1
    kind, shape = kind_of(layer), tuple(tensor.shape[1:])
    if why := _refusal(layer, kind, shape, sources, node, nested):
        raise ValueError(f"layer {name!r} {why}")
    if nested:
        name = _walk(layer.outputs[0], steps, {id(layer.inputs[0]): sources[0].name}, f"{name}/")
    else:
        full = {1: (1, 1, *shape), 2: (*shape, 1), 3: shape}[len(shape)]
        given, before = tuple(s.name for s in sources), tuple(s.shape for s in sources)
        axes = kind.axes(layer, before[0] if before else full)
        steps[name] = Step(name, kind, layer, given, before, full, shape, axes, function_of(layer))
    names[id(tensor)] = name
    return name


def _refusal(layer, kind, shape, sources, node, nested):
    """Why the arithmetic of one call is not known here; None if it is. A model's layers are asked one by one."""
    options = [f"{k}={v!r}" for k, v in node.arguments.kwargs.items() if v is not None and v is not False]
    if options:
        return f"is called with {', '.join(options)}: only a call with its input alone is explained"
    if nested:
        return None
    if kind is None:
        known = ", ".join(name for name in KINDS if name != "InputLayer")
        return f"is a {type(layer).__name__}, which has no explanation here: only {known}"
    if not 1 <= len(shape) <= 3 or None in shape:
        return f"gives {shape}: it must be (rows, columns, channels) or (units,), fixed"
    only = {"axis": -1, "data_format": "channels_last", "quantization_mode": None, "interpolation": "nearest"}
    for option, known in only.items():
        value = getattr(layer, option, known)  # the last axis may be counted from the first, too
        if value != known and (option, value) != ("axis", len(shape)):
            return f"has {option}={value!r}: only {known!r} is explained"
    function = function_of(layer)
    if function is None:
        return f"has activation={layer.activation!r}: only functions, ReLU, LeakyReLU, Softmax are explained"
    before = [source.keras_shape for source in sources]
    if kind.rule == "total" and len(set(before)) > 1:
        return f"adds shapes {tuple(before)}: they must be the same"
    over_channels = kind.mixes or function.name == "softmax" or hasattr(layer, "axis")
    if over_channels and any(len(shape) == 2 for shape in before):
        return f"reads {before[0]}: it must be (rows, columns, channels) or (units,); a Reshape adds channels"
    return None
