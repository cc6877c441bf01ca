"""A model read as a list of layer calls, each with its record, and run on one image."""

from __future__ import annotations

import operator
import weakref
from typing import Any, NamedTuple

import numpy as np

from cnn_utils.inspection.layers import FUNCTIONS, KINDS, Function, Kind, kind_of
from cnn_utils.inspection.windows import Axis


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

    @property
    def precision(self) -> str:
        """What the layer computes in: float32, or half of it in mixed precision."""
        return self.layer.compute_dtype if self.layer else "float32"


class Network(NamedTuple):
    steps: dict[str, Step]
    run: Any  # one image -> all activations, end to end
    settings: list  # of its layers, when they were read


_networks: weakref.WeakKeyDictionary = weakref.WeakKeyDictionary()


def read(model) -> Network:
    """The model's steps and compiled forward pass; made once, kept while the model lives unchanged."""
    inputs, outputs = (getattr(model, name, None) or () for name in ("inputs", "outputs"))
    if len(inputs) != 1 or len(outputs) != 1:
        raise ValueError(
            f"model={getattr(model, 'name', model)!r} has {len(inputs)} inputs and {len(outputs)} outputs: "
            "it must be a Sequential or Functional model with one of each, and built (give it an Input)"
        )
    known = _networks.get(model)
    now = _settings(known.steps, outputs[0]) if known else []
    if not now or len(now) != len(known.settings) or not all(map(operator.is_, now, known.settings)):
        steps: dict[str, Step] = {}
        tensors: dict[str, Any] = {}
        _walk(outputs[0], steps, tensors, {})
        run = _compiled(inputs[0], steps, list(tensors.values()))
        known = _networks[model] = Network(steps, run, _settings(steps, outputs[0]))
    return known


def _settings(steps, output):
    """Every attribute of every layer: an activation replaced, LoRA or quantisation changes one of them."""
    layers = [step.layer for step in steps.values() if step.layer]
    functions = [layer.activation for layer in layers if hasattr(layer, "activation")]
    attributes = [getattr(owner, "__dict__", {}) for owner in layers + functions]
    return [output, *layers, *functions, *(value for values in attributes for value in values.values())]


def _walk(tensor, steps, tensors, names):
    """Add the step that made `tensor`, after all steps before it; return its name."""
    layer, call, _ = tensor._keras_history
    if (id(layer), call) not in names:
        node = layer._inbound_nodes[call]
        sources = [_walk(t, steps, tensors, names) for t in node.input_tensors]
        calls = sum(key[0] == id(layer) for key in names)
        name = names[id(layer), call] = layer.name if not calls else f"{layer.name} ({calls + 1})"
        steps[name] = _read(layer, name, tuple(tensor.shape[1:]), [steps[s] for s in sources], node)
        tensors[name] = tensor
    return names[id(layer), call]


def _read(layer, name, shape, sources, node):
    """The step of one call, or an error that says why its arithmetic is not known."""
    kind = kind_of(layer)
    if kind is None:
        known = ", ".join(k for k in KINDS if k != "InputLayer")
        raise ValueError(
            f"layer {name!r} is a {type(layer).__name__}, which has no explanation here: only {known}"
        )
    before = tuple(source.shape for source in sources)
    function = kind.function(layer)
    why = _refusal(layer, kind, shape, sources, function, node) or kind.refuses(layer, before)
    if why:
        raise ValueError(f"layer {name!r} {why}")
    full = {1: (1, 1, *shape), 2: (*shape, 1), 3: shape}[len(shape)]
    axes = kind.axes(layer, before[0] if before else full)
    return Step(name, kind, layer, tuple(s.name for s in sources), before, full, shape, axes, function)


def _refusal(layer, kind, shape, sources, function, node):
    if not 1 <= len(shape) <= 3 or None in shape:
        return f"gives {shape}: it must be (rows, columns, channels) or (units,), fixed"
    options = [f"{k}={v!r}" for k, v in node.arguments.kwargs.items() if v is not None and v is not False]
    if options:
        return f"is called with {', '.join(options)}: only a call with its input alone is explained"
    if getattr(layer, "quantization_mode", None):
        return f"is quantized to {layer.quantization_mode}: only layers that compute with floats are"
    activation = getattr(layer, "activation", None)
    if function is None:
        shown, known = getattr(activation, "__name__", activation), ", ".join(FUNCTIONS)
        return f"has activation={shown!r}: only {known} of Keras or TensorFlow are explained"
    if getattr(layer, "data_format", None) == "channels_first":
        return "has data_format='channels_first': only 'channels_last' is explained"
    for axis in (getattr(part, "axis", -1) for part in (layer, activation)):
        if tuple(np.atleast_1d(axis)) not in ((-1,), (len(shape),)):
            return f"has axis={axis}: only the last axis is explained"
    flat = [source.keras_shape for source in sources if len(source.keras_shape) == 2]
    if flat and not (kind.flat and function.name != "softmax"):
        return f"reads {flat[0]}: it must be (rows, columns, channels) or (units,); a Reshape adds channels"
    return None


def _compiled(model_input, steps, tensors):
    """One function from a batch of one image to all activations, end to end in one float32 array.

    Logits get a step of their own that turns them into probabilities.
    """
    from cnn_utils import keras, tf

    last = list(steps.values())[-1]
    many = last.vector and last.shape[2] > 1
    if many and last.kind.scores and last.function.name == "linear" and "softmax" not in steps:
        place = (last.name,), (last.shape,), last.shape, last.keras_shape, last.axes
        steps["softmax"] = Step("softmax", KINDS["Softmax"], None, *place, FUNCTIONS["softmax"])
    network = keras.Model(model_input, tensors)

    @tf.function(input_signature=[tf.TensorSpec((1, *model_input.shape[1:]), tf.float32)])
    def forward(image):
        values = [tf.cast(v, tf.float32) for v in network(image, training=False)]
        values += [tf.nn.softmax(values[-1])] * (len(steps) - len(values))
        return tf.concat([tf.reshape(v, [-1]) for v in values], axis=0)

    return lambda image: forward(tf.constant(image)).numpy()


def as_images(image, step):
    """One image or a batch of them as (images, *shape of the input), float32; `step` is the model's first."""
    image, shape = np.asarray(image), step.keras_shape
    if image.dtype.kind not in "biufV" or not np.isfinite(image.astype(float)).all():
        raise ValueError(f"image ({image.dtype}) holds values that are no finite numbers: each pixel is one")
    for fitting in {shape, (*shape, 1), shape[:2]} if step.shape[2] == 1 and not step.vector else {shape}:
        if image.shape[-len(fitting) :] == fitting and image.ndim - len(fitting) in (0, 1) and image.size:
            return np.ascontiguousarray(image.reshape(-1, *shape), dtype=np.float32)
    raise ValueError(f"image has shape {image.shape}: the model's input is {shape}, or a batch of those")
