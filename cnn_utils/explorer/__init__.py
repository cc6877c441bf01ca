"""Draw a digit, see every number: an explorer for the reader's own Keras model, inside the notebook.

The page (`explorer.js`) draws and listens; every number on it comes from `inspection`, here in the kernel.
"""

from __future__ import annotations

import base64
import io
from dataclasses import fields
from pathlib import Path

import anywidget
import numpy as np
import traitlets

from cnn_utils import inspection

_HERE = Path(__file__).parent
_OFFERED = 60  # images to pick from that fit on a page
_ARRAYS = ("patch", "kernel", "products")
_WORDS = ("says", "rule", "shows", "formula", "bias")  # of a layer's record, for the page


class LayerExplorer(anywidget.AnyWidget):
    """Look into every layer of `model`, down to the products behind one number.

    Parameters
    ----------
    model : keras.Model
        Sequential or Functional, one image in, one output; see `inspection.steps` for the layers it may have.
    image : array, optional
        Where to start: shaped as the model's input, in the range the model was trained on. Or a batch of
        images to pick from, (images, rows, columns, channels), of which the first 60 are offered. Blank by
        default.
    class_names : sequence of str, optional
        Names of the model's outputs; their numbers by default.
    layers : sequence of str, optional
        Names of the layers to show; all by default. The input is always there.

    Raises
    ------
    ValueError
        If the model has a layer without an explanation, or the other arguments do not fit the model.
    """

    _esm = _HERE / "explorer.js"
    _css = _HERE / "explorer.css"
    _spec = traitlets.Dict().tag(sync=True)
    _offered = traitlets.CBytes().tag(sync=True)  # uint8 pictures of the images to pick from

    def __init__(self, model, image=None, class_names=None, layers=None):
        steps = inspection.steps(model)
        self._model, self._input = model, steps[0]
        self._steps = {step.name: step for step in steps if _is_shown(step, steps, layers)}
        self._classes = _names(class_names, steps[-1].shape[2])
        self._images = _batch(image, self._input)
        ink = (float(self._images.min()), float(self._images.max()))
        self._ink = ink if image is not None and ink[0] < ink[1] else (0.0, 1.0)
        first = next((s.name for s in steps[1:] if s.name in self._steps), steps[0].name)
        self._selected = (first, None, None)
        self._show(self._images[0])
        spec = {"layers": [_card(step) for step in self._steps.values()], "classes": self._classes}
        spec |= {"ink": self._ink, "offered": len(self._images[:_OFFERED]) if len(self._images) > 1 else 0}
        super().__init__(_spec=spec, _offered=_pictures(self._images[: spec["offered"]], self._ink))
        self.on_msg(self._receive)

    @property
    def image(self):
        """The image on the drawing pad, shaped as the model's input, float32; assign another to show it."""
        return self._image.copy()

    @image.setter
    def image(self, image):
        self._show(_batch(image, self._input)[0])
        self._send_values()

    def select(self, layer, unit=None, channel=None):
        """Explain this unit: (row, column) and channel of a map, or index of a vector; else the most active.

        >>> from cnn_utils import models
        >>> explorer = LayerExplorer(models.lenet5())
        >>> explorer.select("conv2", unit=(4, 7), channel=2)
        >>> explorer.explain().window.rows
        (4, 9)
        """
        if layer not in self._steps:
            raise ValueError(f"layer={layer!r} is not shown here: choose one of {', '.join(self._steps)}")
        self._show(self._image, (layer, unit, channel))
        self._send_values()

    def explain(self):
        """The numbers on the page, as an `inspection.Explanation`."""
        return inspection.explain(self._model, self._image, *self._selected, values=self._values)

    def figure(self):
        """The same view as a Matplotlib figure: for pages without a kernel, slides and print."""
        return _figure(self._steps, self._values, self.explain(), self._classes)

    def __repr__(self):
        # nothing here depends on trained weights, so that a saved text output stays true
        return f"LayerExplorer of {self._model.name}, {len(self._steps) - 1} layers"

    def _repr_mimebundle_(self, **kwargs):
        bundle = super()._repr_mimebundle_(**kwargs)
        data, metadata = bundle if isinstance(bundle, tuple) else (bundle, {})
        picture = io.BytesIO()
        self.figure().savefig(picture, format="png")
        return data | {"image/png": base64.b64encode(picture.getvalue()).decode()}, metadata

    def _show(self, image, selected=None):
        """Run the model on `image`; then the unit is valid and its default known."""
        values = inspection.activations(self._model, image)
        found = inspection.explain(self._model, image, *(selected or self._selected), values=values)
        self._image, self._values = image, values
        self._selected = (found.layer, found.unit, found.channel)

    def _receive(self, _widget, message, buffers):
        """Answer the page: it names its question in `id`."""
        try:
            match message["type"]:
                case "draw":
                    self._show(np.frombuffer(buffers[0], np.float32).reshape(self._input.keras_shape))
                case "pick":
                    self._show(self._images[message["index"]])
                case "select":
                    unit = message["unit"] and tuple(message["unit"])
                    self._show(self._image, (message["layer"], unit, message["channel"]))
            self._send_values(message["type"], message["id"])
        except ValueError as error:  # such as a layer whose arithmetic is not the model's
            self.send({"id": message["id"], "error": str(error)})

    def _send_values(self, reason="code", question=None):
        """Everything the page shows: activations of the layers, then patch, kernel, products, as float32."""
        explanation = self.explain()
        message = {"reason": reason, "id": question, "unit": _message(explanation)}
        buffers = [_bytes(getattr(explanation, name)) for name in _ARRAYS]
        if reason != "select":
            buffers.append(b"".join(_bytes(self._values[name]) for name in self._steps))
        self.send(message, buffers)


def _is_shown(step, steps, layers):
    if isinstance(layers, str):
        raise ValueError(f"layers={layers!r} must be a list of names, such as [{layers!r}]")
    unknown = set(layers or ()) - {s.name for s in steps}
    if unknown:
        known = ", ".join(s.name for s in steps)
        raise ValueError(f"layers names {', '.join(sorted(map(str, unknown)))}: the model has {known}")
    return layers is None or step is steps[0] or step.name in layers


def _names(class_names, count):
    names = [str(name) for name in (range(count) if class_names is None else class_names)]
    if len(names) != count:
        raise ValueError(f"class_names has {len(names)} names: the model has {count} outputs")
    return names


def _batch(image, step):
    """The image or images as float32 (images, *shape of the model's input)."""
    if image is None:
        return np.zeros((1, *step.keras_shape), np.float32)
    image = np.asarray(image)
    if image.dtype.kind in "iu" and (image.dtype == np.uint8 or image.max(initial=0) > 1):
        raise ValueError(
            f"image is {image.dtype}, 0 to 255: give it as the model saw it in training, such as image / 255"
        )
    return inspection.as_images(image, step)


def _pictures(images, ink):
    return (255 * ((images - ink[0]) / (ink[1] - ink[0])).clip(0, 1)).astype(np.uint8).tobytes()


def _bytes(array):
    return b"" if array is None else np.asarray(array, np.float32).tobytes()


def _card(step):
    """What the page must know of a layer: its name and shape, its record's words, where its maps stand."""
    size = "×".join(str(axis.kernel) for axis in step.axes)
    what = "" if step.kind.rule == "bend" else step.kind.name.replace("_", " ")
    what += f" {size}" if step.kind.shows in ("window", "products") else ""
    function = "" if step.function.name == "linear" else step.function.name
    card = {name: getattr(step, name) for name in ("name", "sources", "shape", "vector")}
    card |= {word: getattr(step.kind, word) for word in _WORDS} | {"function": step.function.name}
    card |= {"caption": ", ".join(filter(None, (what, function))), "layout": _layout(step)}
    shares = step.function.name in ("softmax", "sigmoid") and step.vector
    return card | {"dilation": [axis.dilation for axis in step.axes], "shares": shares}


def _layout(step):
    """How a layer's maps stand in one picture: so many side by side, each (rows, cols); a vector is one map."""
    rows, cols, tiles = step.shape
    if step.vector:
        root = round(np.sqrt(tiles))
        square = not step.sources and root > 4 and root * root == tiles  # an image given as a vector
        cols = root if square else 1 if tiles <= 16 else int(np.ceil(np.sqrt(tiles / 2)))
        rows, tiles = -(-tiles // cols), 1
    across = min(tiles, int(np.ceil(np.sqrt(tiles * rows / cols / 2))))
    return {"rows": rows, "cols": cols, "tiles": tiles, "across": across}


def _message(explanation):
    """The explanation as JSON, without the large arrays, which travel beside it."""
    names = {field.name for field in fields(explanation)} - set(_ARRAYS)
    values = {name: _plain(getattr(explanation, name)) for name in names}
    return values | {"text": repr(explanation), "shape": np.shape(explanation.patch)}


def _plain(value):
    """JSON has no infinity: it travels as JavaScript writes it."""
    if isinstance(value, dict):
        return {key: _plain(part) for key, part in value.items()}
    if isinstance(value, np.ndarray):
        return _plain(tuple(value.tolist()))
    if isinstance(value, (tuple, list)):
        return tuple(_plain(part) for part in value)
    names = {"nan": "NaN", "inf": "Infinity", "-inf": "-Infinity"}
    return names.get(str(value), value) if isinstance(value, float) else value


# ---- the still picture -------------------------------------------------------------------------------


def _figure(steps, values, e, classes):
    """Every layer's maps with the unit and what it sees outlined; under them the unit's arithmetic."""
    import matplotlib.pyplot as plt

    from cnn_utils import plots

    pictures = {name: _mosaic(step, values[name]) for name, step in steps.items()}
    widths = [max(picture.shape[1] / picture.shape[0], 0.3) for picture, _ in pictures.values()]
    with plots.style():
        figure = plt.figure(figsize=(11, 4.6))
        top, bottom = figure.subfigures(2, 1, height_ratios=(1.1, 1))
        every = top.subplots(1, len(steps), width_ratios=widths, squeeze=False)[0]
        for axes, (name, (picture, corner)) in zip(every, pictures.items(), strict=True):
            axes.imshow(picture, cmap=_shades(), vmin=-1, vmax=1, interpolation="nearest")
            title = name if steps[name].sources else "input"
            axes.set_title(f"{title}\n" + "×".join(str(n) for n in values[name].shape), fontsize=8.5)
            axes.set(xticks=[], yticks=[])
            axes.spines[:].set(visible=True, color="#8a8a8a", lw=0.6)
            if values[name].shape == (len(classes),) and len(classes) <= 16:
                axes.set_yticks(range(len(classes)), classes, fontsize=7.5)
                axes.tick_params(length=0, pad=2)
            _outline(axes, steps[name], e, corner)
        bottom.suptitle(repr(e), fontsize=11)
        if steps[e.layer].kind.shows in ("window", "products"):
            _draw_windows(bottom, e, plots)
        elif e.top or e.scores is not None:
            _draw_bars(bottom.subplots(), e, classes, plots.COLORS)
    plt.close(figure)  # shown by whoever asked for it, once
    return figure


def _mosaic(step, values):
    """A layer's maps in one picture, scaled to -1 … 1 with nan between, and where each map starts."""
    rows, cols, tiles, across = _layout(step).values()
    maps = np.full(rows * cols * tiles, np.nan)
    maps[: values.size] = values.ravel()
    maps = maps.reshape(rows, cols, tiles)
    gap = 0 if tiles == 1 else max(1, rows // 12)
    picture = np.full(((-(-tiles // across)) * (rows + gap) - gap, across * (cols + gap) - gap), np.nan)

    def corner(tile):
        return tile // across * (rows + gap), tile % across * (cols + gap)

    for tile in range(tiles):
        top, left = corner(tile)
        picture[top : top + rows, left : left + cols] = maps[..., tile]
    shown = np.abs(picture[np.isfinite(picture)])
    return picture / (shown.max(initial=0) or 1), corner


def _shades():
    """Blue below zero, black at zero, white above; grey where there is no unit."""
    from matplotlib.colors import LinearSegmentedColormap

    shades = LinearSegmentedColormap.from_list("shades", ["#99d0ff", "#0072b2", "black", "#808080", "white"])
    return shades.with_extremes(bad="#e8e8e8")


def _outline(axes, step, e, corner):
    from matplotlib.patches import Rectangle

    box = e.boxes.get(step.name)
    if box is None:
        return
    own, direct = step.name == e.layer, step.name in e.sources
    color, line = "#1fd6a3" if own else "#56b4e9", "-" if own or direct else "--"
    (top, bottom), (left, right), channels = box
    if step.vector:  # a stretch of units, in rows of the one picture
        cols = _layout(step)["cols"]
        (top, left), (bottom, right) = divmod(channels[0], cols), divmod(channels[1] - 1, cols)
        left, right, bottom, channels = (
            (left, right + 1, bottom + 1, (0, 1)) if top == bottom else (0, cols, bottom + 1, (0, 1))
        )
    for tile in range(*channels):
        y, x = corner(tile)
        place = (x + left - 0.5, y + top - 0.5), right - left, bottom - top
        axes.add_patch(Rectangle(*place, fill=False, ec="black", lw=2.6, clip_on=False))
        axes.add_patch(Rectangle(*place, fill=False, ec=color, lw=1.3, ls=line, clip_on=False))


def _draw_windows(figure, e, plots):
    """The window; for sums of products also kernel and products, of the two channels that count most."""
    if e.winner is not None:
        axes = figure.subplots()
        plots.draw_grid(axes, np.where(e.padded, np.nan, e.patch[..., 0]), "input", None, 10)
        plots.draw_outline(axes, e.winner[0] - e.window.rows[0], e.winner[1] - e.window.cols[0], 1, 1)
        axes.set_title(f"channel {e.channel} of {e.sources[0]}, the winner marked", fontsize=9)
        return
    strongest = np.sort(np.argsort(-np.abs(e.products.sum((0, 1))), kind="stable")[:2])
    every = figure.subplots(1, 3 * len(strongest), squeeze=False)[0]
    for i, channel in enumerate(strongest):
        names = (f"{e.sources[0]}, channel {e.window.channels[0] + channel}", "× kernel", "= products")
        arrays = zip(names, (e.patch, e.kernel, e.products), ("input", "kernel", "output"), strict=True)
        for axes, (name, array, role) in zip(every[3 * i :], arrays, strict=False):
            plots.draw_grid(axes, np.round(array[..., channel], 2) + 0.0, role, 2, 7)
            axes.set_title(name, fontsize=9, color=plots.COLORS[role])


def _draw_bars(axes, e, classes, colors):
    """The strongest products of a dense unit, or the probabilities of a softmax."""
    if e.scores is not None:
        names = classes if len(classes) == len(e.scores) else range(len(e.scores))
        sizes = e.exponentials / e.exponentials.sum()
        labels = [f"{name}: score {score:.2f}" for name, score in zip(names, e.scores, strict=True)]
        order = np.sort(np.argsort(-sizes, kind="stable")[:10])
    else:
        sizes = np.array([c.product for c in e.top])
        places = [f"{c.place[0]} {c.place[1]} of channel {c.place[2]}" if c.place else c.index for c in e.top]
        labels = [f"{place}: {c.value:.2f} × {c.weight:.2f}" for place, c in zip(places, e.top, strict=True)]
        order = range(len(sizes))
    sizes = sizes[list(order)]
    axes.barh(range(len(sizes)), sizes, color=[colors["neutral" if size < 0 else "output"] for size in sizes])
    axes.set_yticks(range(len(sizes)), [labels[i] for i in order])
    axes.invert_yaxis()
    axes.tick_params(labelsize=8)
    axes.set_xlabel("probability" if e.scores is not None else "product", fontsize=9)
