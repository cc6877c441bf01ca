"""Which layers: one record for each kind of Keras layer that can be explained.

Nothing outside this table asks which kind a layer is: the windows, the arithmetic, the still picture and the
page of the explorer follow its record.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np

from cnn_utils.arithmetic import padding_amounts
from cnn_utils.inspection.windows import Axis, grouped, reshaped, stacked


class Function(NamedTuple):
    """An activation function: its name, and where a piecewise linear one bends."""

    name: str = "linear"
    slope: float = 0.0  # below the threshold
    threshold: float = 0.0
    most: float | None = None

    def __call__(self, x):
        """The function of one number. (Softmax needs the scores beside it, too.)"""
        if self.name == "tanh":
            return float(np.tanh(x))
        if self.name == "sigmoid":
            return float(np.exp(-np.logaddexp(0, -x)))
        if "relu" in self.name and x < self.threshold:
            return self.slope * (x - self.threshold) if self.slope else 0.0
        return float(x if self.most is None else min(x, self.most))

    @property
    def words(self):
        """The name, with the options that matter: relu (slope 0.1, at most 6)."""
        options = {"slope": self.slope, "from": self.threshold, "at most": self.most or 0}
        said = ", ".join(f"{name} {value:g}" for name, value in options.items() if value)
        return self.name.replace("_", " ") + (f" ({said})" if said else "")


FUNCTIONS = {name: Function(name) for name in ("linear", "relu", "tanh", "sigmoid", "softmax")}
FUNCTIONS |= {"leaky_relu": Function("leaky_relu", slope=0.2), "relu6": Function("relu6", most=6.0)}


def function_of(layer):
    """The activation function of a layer; None if it is not known here.

    It is known by what it is, not by its name: a reader's own `relu` may compute anything.
    """
    from cnn_utils import keras, tf

    activation = getattr(layer, "activation", None)
    if isinstance(activation, keras.layers.Layer):
        kind = kind_of(activation)
        return kind.function(activation) if kind and kind.rule == "bend" else None
    for name, function in FUNCTIONS.items():
        if any(activation is getattr(home, name, "") for home in (keras.activations, keras.ops, tf.nn)):
            return function
    return None if activation else FUNCTIONS["linear"]


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
    outside: str = "outside the map: padding, which is zero"  # what to say there instead
    axes: Callable = lambda layer, shape: (Axis(), Axis())  # of the window over a map of this shape
    sees: Callable = grouped  # (step, box, source) -> Box in that source, or None
    mixes: bool = False  # a unit sees all channels of its group, not only its own
    weights: Callable | None = None  # (step, padded, channel) -> kernel, addends of the bias, terms
    function: Callable = function_of  # (layer) -> Function
    scores: bool = False  # as the last layer, its numbers may be logits
    flat: bool = False  # may read (rows, columns) without channels: it works on every number alone
    refuses: Callable = lambda layer, before: None  # why a layer after such shapes cannot be explained


def _sliding(layer, shape):
    kernels = layer.pool_size if hasattr(layer, "pool_size") else layer.kernel_size
    dilations = getattr(layer, "dilation_rate", (1, 1))
    axes = []
    for size, kernel, stride, dilation in zip(shape[:2], kernels, layer.strides, dilations, strict=True):
        before, _ = padding_amounts(size, kernel, layer.padding, stride=stride, dilation=dilation)
        axes.append(Axis(kernel, stride, dilation, before))
    return tuple(axes)


def _filter(step, padded, channel):
    one = (channel,) if step.kind.mixes else divmod(channel, step.layer.depth_multiplier)
    kernel = np.asarray(step.layer.kernel[..., *one], float)
    bias = (float(step.layer.bias[channel]),) if step.layer.use_bias else ()
    return kernel.reshape(*padded.shape, -1), bias, {}


def _mean(step, padded, channel):
    # TensorFlow divides by the cells inside the map, not by the window
    return np.where(padded, 0.0, 1 / (~padded).sum())[..., None], (), {}


def _normalisation(step, padded, channel):
    layer = step.layer
    mean, variance = float(layer.moving_mean[channel]), float(layer.moving_variance[channel])
    gamma = float(layer.gamma[channel]) if layer.scale else 1.0
    beta = float(layer.beta[channel]) if layer.center else 0.0
    scale = gamma / np.sqrt(variance + layer.epsilon)
    terms = {"mean": mean, "variance": variance, "epsilon": layer.epsilon, "gamma": gamma, "beta": beta}
    return np.full((1, 1, 1), scale), (beta, -mean * scale), terms


def _scale_and_offset(step, padded, channel):
    values = step.layer.scale, step.layer.offset
    scale, offset = (float(np.broadcast_to(v, step.keras_shape[-1:])[channel]) for v in values)
    return np.full((1, 1, 1), scale), (offset,), {"scale": scale, "offset": offset}


def _other_shapes(layer, before):
    return f"adds shapes {before}: they must be the same" if len(set(before)) > 1 else None


def _scale_by_place(layer, before):
    fits = all(np.ndim(v) == 0 or np.shape(v) == before[0][2:] for v in (layer.scale, layer.offset))
    return None if fits else "scales by place: only one scale and offset, or one a channel, is explained"


_CONV = Kind("conv", "sum of {count} products", "sum", "products", axes=_sliding, mixes=True, weights=_filter)
_DENSE = replace(_CONV, name="dense", shows="contributions", axes=Kind.axes, scores=True)
_MAX = Kind("max_pool", "the largest of {visible} values, from row {row}, column {col}", "max", "window")
_AVERAGE = Kind("average_pool", "sum of {visible} values ÷ {visible}", "sum", "window", weights=_mean)
_ACTIVATION = Kind("activation", "{function} of", "bend", scores=True, flat=True)
_RESHAPE = Kind("reshape", "the value at its place in {source}, in reading order", sees=reshaped, flat=True)
_SCALED = Kind("", "scaled", "sum")


def _whole_map(layer, shape):
    return Axis(kernel=shape[0]), Axis(kernel=shape[1])


KINDS = {
    "InputLayer": Kind("input", "the pixel's own value", flat=True),
    "Conv2D": _CONV,
    "DepthwiseConv2D": replace(_CONV, name="depthwise", mixes=False),
    "Dense": _DENSE,
    "MaxPooling2D": replace(_MAX, axes=_sliding),
    "GlobalMaxPooling2D": replace(_MAX, axes=_whole_map),
    "AveragePooling2D": replace(_AVERAGE, axes=_sliding),
    "GlobalAveragePooling2D": replace(_AVERAGE, axes=_whole_map),
    "Activation": _ACTIVATION,
    "ReLU": replace(
        _ACTIVATION,
        function=lambda layer: Function("relu", layer.negative_slope, layer.threshold, layer.max_value),
    ),
    "LeakyReLU": replace(_ACTIVATION, function=lambda layer: Function("leaky_relu", layer.negative_slope)),
    "Softmax": replace(_ACTIVATION, says="softmax of the score", function=lambda layer: FUNCTIONS["softmax"]),
    "BatchNormalization": replace(
        _SCALED,
        name="batch_norm",
        formula="{gamma} (γ) × ({x} − {mean} (mean)) ÷ √({variance} (variance) + {epsilon}) + {beta} (β)",
        bias="shift",
        weights=_normalisation,
    ),
    "Rescaling": replace(
        _SCALED,
        name="rescaling",
        formula="{x} × {scale} + {offset}",
        bias="offset",
        weights=_scale_and_offset,
        flat=True,
        refuses=_scale_by_place,
    ),
    "Dropout": Kind("dropout", "passed on unchanged: dropout only acts in training", flat=True),
    "Flatten": replace(_RESHAPE, name="flatten"),
    "Reshape": _RESHAPE,
    "ZeroPadding2D": Kind(
        "zero_padding",
        "passed on unchanged",
        axes=lambda layer, shape: tuple(Axis(before=amounts[0]) for amounts in layer.padding),
    ),
    "Add": Kind("add", "sum of {count} values", "total", "terms", flat=True, refuses=_other_shapes),
    "Concatenate": Kind("concatenate", "passed on from the layer it came from", sees=stacked),
}


def kind_of(layer):
    """The record of a layer; None if it has none. A subclass has none: its call may compute anything."""
    from cnn_utils import keras

    name = type(layer).__name__
    return KINDS.get(name) if type(layer) is getattr(keras.layers, name, None) else None
