"""Draw a digit, see every number: an explorer for the reader's own Keras model, inside the notebook.

The page gets the network once and computes everything itself (`engine.js`), with the kernel busy or gone; the
kernel follows which image and which unit it shows. `network` says what the page must know, `picture` draws the
still one.
"""

from __future__ import annotations

import base64
import io
from pathlib import Path

import anywidget
import numpy as np
import traitlets

from cnn_utils import inspection
from cnn_utils.explorer import gradients, network, picture, saved

_HERE = Path(__file__).parent
_OFFERED = 60  # images to pick from that fit on a page


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
        If the model has a layer or an activation that the page cannot explain, or the other arguments do not
        fit the model.
    """

    _esm = "\n".join((_HERE / name).read_text("utf-8") for name in ("engine.js", "explorer.js"))
    _css = (_HERE / "explorer.css").read_text("utf-8")
    # what kernel and page share; CBytes, because what the page sends never reaches a Bytes
    _network = traitlets.Dict().tag(sync=True)
    _images = traitlets.CBytes().tag(sync=True)  # float32, those offered
    _image = traitlets.CBytes().tag(sync=True, echo_update=False)  # float32, the one on the pad
    _selected = traitlets.List().tag(sync=True, echo_update=False)  # layer, unit, channel
    _target = traitlets.Dict().tag(
        sync=True, echo_update=False
    )  # backward: of what, which output; else empty

    def __init__(self, model, image=None, class_names=None, layers=None):
        self._model, self._class_names, self._layers = model, class_names, layers
        steps = inspection.steps(model)
        images = _batch(image, steps[0])
        ink = (float(images.min()), float(images.max()))
        self._ink = ink if image is not None and ink[0] < ink[1] else (0.0, 1.0)
        described = self._describe()
        first = next((name for name in list(self._steps)[1:]), steps[0].name)
        selected = _place(inspection.explain(model, images[0], first))
        pictures = {"_images": images[:_OFFERED].tobytes(), "_image": images[0].tobytes()}
        super().__init__(_network=described, _selected=selected, **pictures)

    @property
    def image(self):
        """The image on the drawing pad, shaped as the model's input, float32; assign another to show it."""
        shape = next(iter(self._steps.values())).keras_shape
        return np.frombuffer(self._image, np.float32).reshape(shape).copy()

    @image.setter
    def image(self, image):
        self._image = _batch(image, next(iter(self._steps.values())))[0].tobytes()

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
        self._selected = _place(inspection.explain(self._model, self.image, layer, unit, channel))

    def backward(self, index=None, of="score"):
        """Show gradients: by how much a target changes with every number of every layer.

        The target is the score of output `index` (its class's name will do, in a map its (row, column, channel); the
        highest if None) before its softmax or sigmoid; or, of="loss", the cross-entropy if this were the right class.

        >>> from cnn_utils import models
        >>> explorer = LayerExplorer(models.lenet5(), np.ones((28, 28)))
        >>> explorer.backward(7, of="loss")
        >>> explorer.gradients()["logits"].shape
        (10,)
        """
        last = inspection.steps(self._model)[-1]
        if of not in ("score", "loss") or (of == "loss" and not gradients.has_shares(last)):
            rule = "'score'; or 'loss', if the model ends in scores, softmax or sigmoid"
            raise ValueError(f"of={of!r} must be {rule}")
        if index is None:
            index = int(inspection.activations(self._model, self.image)[last.name].argmax())
        elif last.vector and index in self._classes:
            index = self._classes.index(index)
        elif isinstance(index, tuple) and not last.vector and index in np.ndindex(last.shape):
            index = int(np.ravel_multi_index(index, last.shape))
        count = int(np.prod(last.shape))
        if index not in range(count):
            other = "a class's name" if last.vector else f"a place in {last.shape}"
            raise ValueError(f"index={index!r} must be one of 0 … {count - 1}, or {other}")
        self._target = {"of": of, "index": int(index)}

    def forward(self):
        """Show what every layer computes, as at the start."""
        self._target = {}

    def gradients(self):
        """The gradients on the page, by TensorFlow: {layer: array}; the score's or loss's of the last `backward`."""
        if not self._target:
            raise ValueError("nothing is sent back yet: call backward() first")
        return gradients.of_target(self._model, self.image, **self._target)

    def refresh(self):
        """Show the model as it is now, on every page: call it after more training."""
        self._network = self._describe()
        if self._selected[0] not in self._steps:
            self.select(list(self._steps)[-1])

    def explain(self):
        """The numbers on the page, as an `inspection.Explanation`."""
        return inspection.explain(self._model, self.image, *self._selected)

    def figure(self):
        """The same view as a Matplotlib figure: for pages without a kernel, slides and print."""
        if self._target:
            of, index = self._target.values()
            name = self._named(index)
            what = f"the score of {name}" if of == "score" else f"the loss if {name} were right"
            title = f"gradients of {what}, by what each layer gives"
            return picture.draw_gradients(self._steps, self.gradients(), title)
        values = inspection.activations(self._model, self.image)
        seen = inspection.explain(self._model, self.image, *self._selected, values=values)
        return picture.draw(self._steps, values, seen, self._classes)

    def save(self, path):
        """Write the explorer as one HTML file; return its size in bytes.

        It holds the page, the weights as they are now and the images offered. Any browser opens it from disk, on
        a phone too, and needs no Python, no server and no network. Raises ValueError above 64 MB.
        """
        self.refresh()
        return saved.write(path, self, f"{self._model.name}, layer by layer")

    def __repr__(self):
        # nothing here depends on trained weights, so that a saved text output stays true
        return f"LayerExplorer of {self._model.name}, {len(self._steps) - 1} layers"

    def _repr_mimebundle_(self, **kwargs):
        self.refresh()
        bundle = super()._repr_mimebundle_(**kwargs)
        data, metadata = bundle if isinstance(bundle, tuple) else (bundle, {})
        still = io.BytesIO()
        self.figure().savefig(still, format="png")
        return data | {"image/png": base64.b64encode(still.getvalue()).decode()}, metadata

    def _named(self, index):
        last = inspection.steps(self._model)[-1]
        if last.vector:
            return self._classes[index] if index < len(self._classes) else f"not {self._classes[0]}"
        row, column, channel = np.unravel_index(index, last.shape)
        return f"({row}, {column}) of channel {channel}"

    def _describe(self):
        """The model as it is now, for the page."""
        steps = inspection.steps(self._model)
        self._steps = {step.name: step for step in steps if _is_shown(step, steps, self._layers)}
        self._classes = _names(self._class_names, steps[-1].shape[2])
        return network.describe(self._model, steps, self._steps) | {
            "classes": self._classes,
            "ink": self._ink,
        }


def _place(found):
    return [found.layer, list(found.unit), found.channel]


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
