"""The few lines that every training cell shares: a validation split, the learning rate, what to watch."""

import sys
import time
from pathlib import Path

import numpy as np

from cnn_utils import graphs, keras, tf
from cnn_utils.arithmetic import whole_number


def split(x, y, held_out, *, seed=0):
    """Shuffle and hold ``held_out`` examples out for validation: ``((x_train, y_train), (x_val, y_val))``.

    Raises ValueError if ``x`` and ``y`` differ in length, or if either part would be empty.

    >>> (x_train, y_train), (x_val, y_val) = split(np.arange(5), np.arange(5) ** 2, 2)
    >>> len(x_train), len(x_val), bool((y_val == x_val**2).all())
    (3, 2, True)
    """
    if len(x) != len(y):
        raise ValueError(f"y has {len(y)} labels for the {len(x)} examples of x: give one for each")
    if whole_number("held_out", held_out) >= len(x):
        raise ValueError(f"held_out={held_out} leaves nothing to train on: there are {len(x)} examples")
    order = np.random.default_rng(seed).permutation(len(x))
    train, validation = order[held_out:], order[:held_out]
    return (x[train], y[train]), (x[validation], y[validation])


def one_cycle(peak, steps, *, warmup=0.3):
    """Learning rate: climbs in a line from ``peak / 25`` to ``peak``, falls to zero in a half cosine.

    Large rates in the middle move fast and regularise; small ones at the end settle. The schedule is one of
    Keras' own, so a saved model loads without this package. Source: Smith & Topin, "Super-convergence" (2018,
    arXiv:1708.07120), where the way down is a line too; the cosine is from "SGDR" (arXiv:1608.03983).

    Parameters
    ----------
    peak : float
    steps : int
        Batches in the whole training: epochs times batches per epoch.
    warmup : float
        Part of the steps spent climbing, between 0 and 1.

    Raises
    ------
    ValueError
        If ``peak`` is not positive, ``steps`` is below 2, or ``warmup`` leaves no step for one of the slopes.

    >>> rate = one_cycle(0.01, 100, warmup=0.25)
    >>> [round(float(rate(step)), 4) for step in (0, 25, 62.5, 100)]
    [0.0004, 0.01, 0.005, 0.0]
    """
    climb = round(whole_number("steps", steps, 2) * warmup)
    if not peak > 0:
        raise ValueError(f"peak={peak} must be above zero")
    if not 0 < climb < steps:
        raise ValueError(f"warmup={warmup} must leave at least one of steps={steps} for each slope")
    return keras.optimizers.schedules.CosineDecay(
        peak / 25, steps - climb, warmup_target=peak, warmup_steps=climb
    )


def quick_fit(model, x, y, *, epochs=1, batch_size=128, peak=0.015, callbacks=None):
    """Train a network that returns logits in about one pass over the data: `models.quicknet` on MNIST.

    One cycle of the learning rate over all steps. Adam with short memories (0.7 and 0.9 for 0.9 and 0.999), as
    there are few steps to remember. Labels are smoothed (a tenth of the target is spread evenly over the
    classes), so that the loss does not chase certainty. Fifty steps run for one call from Python. No metric is
    computed on the way: measure afterwards. Source of the smoothing: Szegedy et al. (arXiv:1512.00567), section 7.

    Parameters
    ----------
    x, y : images (count, height, width, channels), labels (count,)
        Labels are whole numbers from 0 up.
    peak : float
        Highest learning rate.

    Returns Keras' history of the training; raises ValueError if ``x`` and ``y`` differ in length.
    """
    if len(x) != len(y):
        raise ValueError(f"y has {len(y)} labels for the {len(x)} examples of x: give one for each")
    steps = epochs * -(-len(x) // batch_size)
    model.compile(
        keras.optimizers.Adam(one_cycle(peak, steps), beta_1=0.7, beta_2=0.9),
        keras.losses.CategoricalCrossentropy(from_logits=True, label_smoothing=0.1),
        steps_per_execution=min(50, steps // epochs),
    )
    targets = keras.utils.to_categorical(y, model.output_shape[-1])
    return model.fit(x, targets, batch_size=batch_size, epochs=epochs, verbose=0, callbacks=callbacks)


class Progress(keras.callbacks.Callback):
    """Show training as one line per epoch; in Jupyter the current line keeps itself up to date.

    Use it with ``fit(..., verbose=0, callbacks=[Progress()])``.
    """

    def on_train_begin(self, logs=None):
        self.lines, self.display = [], _display_handle()

    def on_epoch_begin(self, epoch, logs=None):
        self.epoch, self.began, self.shown = epoch + 1, time.perf_counter(), 0.0

    def on_train_batch_end(self, batch, logs=None):
        now = time.perf_counter()
        if self.display and now - self.shown > 0.2:  # five times a second
            self.shown = now
            self._show(self._line(logs, f"batch {batch + 1}/{self.params['steps'] or '?'}"))

    def on_epoch_end(self, epoch, logs=None):
        self.lines.append(self._line(logs))
        if self.display:
            self._show()
        else:
            print(self.lines[-1], flush=True)

    def _line(self, logs, *parts):
        names = sorted(logs, key=lambda name: (name.startswith("val_"), not name.endswith("loss")))
        numbers = [f"{name.replace('val_', 'validation ')} {logs[name]:.3f}" for name in names]
        seconds = f"{time.perf_counter() - self.began:.0f} s"
        return " · ".join([f"epoch {self.epoch}/{self.params['epochs']}", *parts, *numbers, seconds])

    def _show(self, *current):
        self.display.update({"text/plain": "\n".join([*self.lines, *current])}, raw=True)


class StepHistory(keras.callbacks.Callback):
    """Record loss and metrics of every batch, and of the validation set after every epoch.

    Keras reports means since the epoch began; a batch's own value is recovered from two neighbouring means, to
    about four decimals. (A smaller last batch of an epoch comes out nearer to the mean than it was.)

    Attributes
    ----------
    train, validation : dict of str to list
        Values by name, such as ``"loss"``; under ``"step"`` the number of batches seen.
    """

    def on_train_begin(self, logs=None):
        self.train, self.validation, self.steps, self._means = {"step": []}, {"step": []}, 0, {}

    def on_train_batch_end(self, batch, logs=None):
        self.steps += 1
        values = {name: (batch + 1) * mean - batch * self._means.get(name, 0) for name, mean in logs.items()}
        self._means = dict(logs)
        self._record(self.train, {name: round(value, 4) for name, value in values.items()})

    def on_epoch_end(self, epoch, logs=None):
        validation = {name[4:]: value for name, value in logs.items() if name.startswith("val_")}
        self._record(self.validation, validation)

    def curves(self, name, *, window=25):
        """Lines to draw: the running mean of ``window`` training batches, and validation after each epoch.

        Raises ValueError if nothing was recorded under ``name``.
        """
        if name not in self.train:
            raise ValueError(f"name={name!r} was not recorded: choose from {sorted(self.train)}")
        values = self.train[name]
        means = [np.mean(values[max(0, end - window) : end]) for end in range(1, len(values) + 1)]
        lines = {"training": (self.train["step"], means)}
        if name in self.validation:
            lines["validation"] = (self.validation["step"], self.validation[name])
        return lines

    def _record(self, table, values):
        for name, value in {"step": self.steps, **values}.items():
            table.setdefault(name, []).append(value)


class TensorBoard(keras.callbacks.TensorBoard):
    """Write what TensorBoard shows: scalars of training and validation, the network's graph, and images.

    Keras' own callback writes a graph on which the Graphs tab fails (tensorboard issue 7006). This one leaves
    it out and writes those of `graphs.write_model_graph`. Its runs: layers, operations, train, validation,
    images.

    Parameters
    ----------
    log_dir : path
        Best a fresh one from `graphs.log_directory`.
    images : array (batch, height, width, channels), optional
        Pictures to show: uint8, or floats from 0 to 1.
    histogram_freq : int
        Epochs between histograms of the weights; 0 for none.

    Raises
    ------
    ValueError
        If ``images`` has another shape; when training begins, if the model has no graph of layers.
    """

    def __init__(self, log_dir, *, images=None, histogram_freq=0):
        super().__init__(str(log_dir), write_graph=False, histogram_freq=histogram_freq)
        if images is not None and np.ndim(images) != 4:
            raise ValueError(f"images has shape {np.shape(images)}: give (batch, height, width, channels)")
        self.images = images

    def on_train_begin(self, logs=None):
        graphs.write_model_graph(self.model, self.log_dir)
        if self.images is not None:
            writer = tf.summary.create_file_writer(str(Path(self.log_dir) / "images"))
            with writer.as_default():
                tf.summary.image("images", self.images, step=0, max_outputs=len(self.images))
            writer.close()
        super().on_train_begin(logs)


def _display_handle():
    """Jupyter's handle to an output that can change; None in a terminal."""
    shell = sys.modules["IPython"].get_ipython() if "IPython" in sys.modules else None
    if not hasattr(shell, "kernel"):
        return None
    return sys.modules["IPython"].display.display({"text/plain": ""}, raw=True, display_id=True)
