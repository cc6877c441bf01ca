"""A network as the explorer's page computes it: its layers in JSON, all their numbers in one run of float32."""

from __future__ import annotations

import numpy as np

from cnn_utils import inspection

_WORDS = ("rule", "says", "shows", "formula", "bias")  # of a layer's record
_FUNCTIONS = (
    "linear relu leaky_relu relu6 sigmoid tanh exponential elu selu softplus softsign hard_sigmoid silu"
)
_FUNCTIONS = (*_FUNCTIONS.split(), "hard_silu", "mish", "gelu", "softmax")  # as in engine.js
LARGEST = 256e6  # bytes of weights that a page can be expected to hold
_REACH, _STEP = 32, 1 / 512  # of the table of a reader's own function
_PROBES = 16  # values of each layer that the page checks its own against


class _Arrays:
    """Float32 numbers one after the other; `place` says where an array has gone."""

    def __init__(self):
        self.parts, self.length, self.known = [], 0, {}

    def place(self, array):
        array = np.ascontiguousarray(array, np.float32)
        self.parts.append(array.tobytes())
        self.length += array.size
        return {"start": self.length - array.size, "shape": array.shape}


def describe(model, steps, shown):
    """The layers, those in `shown` marked; `arrays`, their weights; what Keras makes of a `probe`, an image of noise.

    Raises ValueError for an activation that the page has no function for, and for more weights than it can hold.
    """
    arrays = _Arrays()
    noise = np.random.default_rng(0).random(steps[0].keras_shape, np.float32)
    values = inspection.activations(model, noise)
    layers = []
    for step in steps:
        some = np.linspace(0, values[step.name].size - 1, min(_PROBES, values[step.name].size)).astype(int)
        expected = {"at": some.tolist(), "values": arrays.place(values[step.name].ravel()[some])}
        layers.append(_layer(step, arrays) | {"shown": step.name in shown, "expected": expected})
    if 4 * arrays.length > LARGEST:
        raise ValueError(
            f"model={model.name!r} has {arrays.length * 4e-6:.3g} MB of weights: the page computes with up to "
            f"{LARGEST / 1e6:.3g} MB; `inspection.explain` explains any"
        )
    return {"layers": layers, "probe": arrays.place(noise), "arrays": b"".join(arrays.parts)}


def _layer(step, arrays):
    """What the page must know of a layer: what it computes, its record's words, where its maps stand."""
    kernel, addends, terms = step.kind.weights(step)
    if kernel is not None:
        kernel = np.asarray(kernel, np.float32)
        kernel = arrays.place(kernel.reshape((1,) * (4 - kernel.ndim) + kernel.shape))
    layer = {name: getattr(step, name) for name in ("name", "sources", "shape", "vector")}
    layer |= {word: getattr(step.kind, word) for word in _WORDS} | {"sees": step.kind.sees.__name__}
    layer |= {
        "axes": [axis._replace(stride=float(axis.stride))._asdict() for axis in step.axes],
        "groups": _groups(step),
        "kernel": kernel,
    }
    layer |= {"addends": [arrays.place(addend) for addend in addends], "function": _function(step, arrays)}
    layer |= {"terms": {name: arrays.place(values) for name, values in terms.items()}}
    shares = step.function.name in ("softmax", "sigmoid") and step.vector
    layer |= {"precision": step.layer.compute_dtype, "shares": shares}
    layer["ties"] = hasattr(step.layer, "keepdims")  # a global pool's winners share what comes back
    return layer | {"caption": _caption(step), "layout": layout(step)}


def _groups(step):
    channels = (step.before or (step.shape,))[0][2]
    return getattr(step.layer, "groups", 1) if step.kind.mixes else channels


def _function(step, arrays):
    """The name a reader sees, what the page calls, and its options."""
    from cnn_utils import keras, tf

    name, call = step.function
    layer = getattr(call, "__self__", None)  # of an activation that is a layer
    if hasattr(layer, "negative_slope"):
        most = getattr(layer, "max_value", None)
        options = [float(layer.negative_slope), float(getattr(layer, "threshold", 0))]
        return {"name": name, "call": "bent", "options": options + ([] if most is None else [float(most)])}
    own = inspection.Function().call if name == "linear" else None
    known = [own, getattr(keras.activations, name, None), getattr(tf.nn, name, None)]
    over_channels = name == "softmax" and getattr(layer, "axis", -1) in (-1, len(step.keras_shape))
    if name in _FUNCTIONS and (call in known or over_channels):
        return {"name": name, "call": name, "options": []}
    return {"name": name, "call": "table"} | _table(step, arrays)


def _table(step, arrays):
    """A reader's own function, from -32 to 32 in small steps, and its slopes beyond.

    Raises ValueError if the function is none of one number alone, or no straight line out there.
    """
    f, rng, at = step.function, np.random.default_rng(0), np.arange(-_REACH, _REACH + _STEP, _STEP, float)
    key = f.call, "table"
    block = rng.normal(size=(2, 2, 2, 3))
    alone = np.allclose(np.ravel(f.call(block.astype(np.float32))), f(*block.ravel()), atol=1e-5)
    values = f(*at)
    (lowest, highest), others = (
        f(-2.0 * _REACH, 2.0 * _REACH),
        [*rng.uniform(-_REACH, _REACH, 500), -500, 500],
    )
    slopes = (values[0] - lowest) / _REACH, (highest - values[-1]) / _REACH
    x = np.concatenate([[-1000], at, [1000]])
    ends = values[0] - slopes[0] * (1000 - _REACH), values[-1] + slopes[1] * (1000 - _REACH)
    guess, right = np.interp(others, x, [ends[0], *values, ends[1]]), f(*others)
    if not (alone and (np.abs(guess - right) <= 1e-5 * np.maximum(1, np.abs(right))).all()):
        raise ValueError(
            f"layer {step.name!r} has activation={f.name!r}: the page computes Keras' own, and functions of one number "
            f"that are straight lines below -{_REACH} and above {_REACH}; `inspection.explain` explains any"
        )
    if key not in arrays.known:
        arrays.known[key] = {"table": arrays.place(values), "slopes": arrays.place(_slopes(f.call, at))}
        arrays.known[key]["table"]["reach"] = _REACH
    return {"options": [float(slope) for slope in slopes]} | arrays.known[key]


def _slopes(call, at):
    from cnn_utils import tf

    x = tf.constant(at.reshape(-1, 1, 1, 1), tf.float32)
    with tf.GradientTape() as tape:
        tape.watch(x)
        y = call(x)
    return np.ravel(tape.gradient(y, x, unconnected_gradients="zero"))


def _caption(step):
    size = "×".join(str(axis.kernel) for axis in step.axes)
    what = "" if step.kind.rule == "bend" else step.kind.name.replace("_", " ")
    what += f" {size}" if step.kind.shows in ("window", "products") else ""
    return ", ".join(filter(None, (what, "" if step.function.name == "linear" else step.function.name)))


def layout(step):
    """How a layer's maps stand in one picture: so many side by side, each (rows, cols); a vector is one map."""
    rows, cols, tiles = step.shape
    if step.vector:
        root = round(np.sqrt(tiles))
        square = not step.sources and root > 4 and root * root == tiles  # an image given as a vector
        cols = root if square else 1 if tiles <= 16 else int(np.ceil(np.sqrt(tiles / 2)))
        rows, tiles = -(-tiles // cols), 1
    across = min(tiles, int(np.ceil(np.sqrt(tiles * rows / cols / 2))))
    return {"rows": rows, "cols": cols, "tiles": tiles, "across": across}
