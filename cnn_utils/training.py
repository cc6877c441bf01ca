"""The few lines that every training cell shares: the learning rate, and what to watch."""

import math
import numbers
import re
import time

import numpy as np

import cnn_utils
from cnn_utils import graphs, keras
from cnn_utils.arithmetic import whole_number


def one_cycle(peak, steps, *, warmup=0.3):
    """Learning rate: climbs in a line from ``peak / 25`` to ``peak``, falls to zero in a half cosine.

    Large rates in the middle move fast and regularise; small ones at the end settle. ``steps`` are epochs times
    batches per epoch, ``warmup`` the part of them spent climbing. The schedule is one of Keras' own, so a saved
    model loads without this package. Source: Smith & Topin, "Super-convergence" (arXiv:1708.07120), where the
    way down is a line too; the cosine is from "SGDR" (arXiv:1608.03983).

    Raises ValueError if ``peak`` is not above zero, or there is no step for one of the slopes.

    >>> rate = one_cycle(0.01, 100, warmup=0.25)
    >>> [round(float(rate(step)), 4) for step in (0, 25, 62.5, 100)]
    [0.0004, 0.01, 0.005, 0.0]
    """
    steps = whole_number("steps", steps, 2)
    if not (isinstance(peak, numbers.Real) and 0 < peak < math.inf):
        raise ValueError(f"peak={peak!r} must be a number above zero")
    climb = round(steps * warmup) if isinstance(warmup, numbers.Real) and 0 < warmup < 1 else 0
    if not 0 < climb < steps:
        raise ValueError(f"warmup={warmup!r} must leave at least one of steps={steps} for each slope")
    decay = keras.optimizers.schedules.CosineDecay
    return decay(peak / 25, steps - climb, warmup_target=peak, warmup_steps=climb)


def quick_fit(model, x, y, *, epochs=1, batch_size=128, peak=0.015, callbacks=None):
    """Train a network that returns logits in about one pass over the data: `models.quicknet` on MNIST.

    One cycle of the learning rate. Adam with short memories, as there are few steps to remember. Smoothed labels
    (a tenth of the target spread over all classes), so that the loss does not chase certainty: Szegedy et al.
    (arXiv:1512.00567), section 7. Fifty steps run for one call from Python; no metric is computed on the way.

    ``x`` are images (count, height, width, channels), ``y`` their labels (count,), whole numbers from 0 up.
    Returns Keras' history. Raises ValueError if ``x`` and ``y`` differ in length, a label is none of the
    network's classes, or there are fewer than two batches.
    """
    x, y = _examples(x, y)
    epochs, batch_size = whole_number("epochs", epochs), whole_number("batch_size", batch_size)
    batches, classes = math.ceil(len(x) / batch_size), model.output_shape[-1]
    if y.ndim != 1 or not np.isin(y, np.arange(classes)).all():
        found = f"y has shape {y.shape} and values from {y.min()} to {y.max()}"
        raise ValueError(f"{found}: give each image one label, a whole number from 0 to {classes - 1}")
    if epochs * batches < 2:
        raise ValueError(f"batch_size={batch_size} makes one step of {len(x)} examples: the rate needs two")
    rate = one_cycle(peak, epochs * batches)
    model.compile(
        keras.optimizers.Adam(rate, beta_1=0.7, beta_2=0.9),
        keras.losses.CategoricalCrossentropy(from_logits=True, label_smoothing=0.1),
        steps_per_execution=min(50, batches),
    )
    targets = keras.utils.to_categorical(y, classes)
    return model.fit(x, targets, batch_size=batch_size, epochs=epochs, verbose=0, callbacks=callbacks)


class Progress(keras.callbacks.Callback):
    """Show training as one line per epoch; in Jupyter the current line keeps itself up to date.

    Use it with ``fit(..., verbose=0, callbacks=[Progress()])``.
    """

    def on_epoch_begin(self, epoch, logs=None):
        self.epoch, self.began, self.shown, self.width = epoch + 1, time.perf_counter(), 0.0, 0

    def on_train_batch_end(self, batch, logs=None):
        if cnn_utils.watched() and time.perf_counter() - self.shown > 0.2:  # five times a second
            self.shown, steps = time.perf_counter(), self.params["steps"] or math.inf
            done = min(batch + 1, steps)  # Keras counts on to the end of several steps at once
            self._print(logs, f"batch {done}/{self.params['steps'] or '?'}", end="\r")  # to be written over

    def on_epoch_end(self, epoch, logs=None):
        self._print(logs)

    def _print(self, logs, *parts, end="\n"):
        for name in sorted(logs, key=lambda name: (name.startswith("val_"), not name.endswith("loss"))):
            values = " ".join(f"{value:.3f}" for value in np.ravel(logs[name]))
            parts = (*parts, re.sub("^val_", "validation ", name) + f" {values}")
        parts = (*parts, f"{time.perf_counter() - self.began:.0f} s")
        line = " · ".join([f"epoch {self.epoch}/{self.params['epochs']}", *parts]).ljust(self.width)
        self.width = len(line) if end == "\r" else 0
        print(line, end=end, flush=True)


class StepHistory(keras.callbacks.Callback):
    """Record loss and metrics of every batch, and of the examples ``x`` and ``y`` after every epoch or more often.

    ``StepHistory(x, y, every=100)`` evaluates the model on these examples after every 100 batches and each epoch,
    and leaves training as it is. ``train`` and ``validation`` are lists by name, such as ``"loss"``; under
    ``"step"`` the batches seen.

    Keras keeps sums since the epoch began; a batch's own value is what it added. What is no mean (F1 score, AUC)
    has no such value: it is recorded for validation only. Raises ValueError for unequal lengths; when training
    begins, if ``steps_per_execution`` hides single batches, as in `quick_fit`.
    """

    def __init__(self, x, y, *, every=None):
        super().__init__()
        if isinstance(y, dict):  # of several outputs, by name
            self.examples = x, {name: _examples(x, labels)[1] for name, labels in y.items()}
        else:
            self.examples = _examples(x, y)
        self.every = math.inf if every is None else whole_number("every", every)
        self.train, self.validation = {"step": []}, {"step": []}

    def on_train_begin(self, logs=None):
        self.train, self.validation, self.steps, self._means = {"step": []}, {"step": []}, 0, None
        if self.model.steps_per_execution > 1:
            have = f"steps_per_execution={self.model.steps_per_execution}"
            raise ValueError(f"{have} must be 1 (see compile): StepHistory records single batches")

    def on_epoch_begin(self, epoch, logs=None):
        self._sums = {}

    def on_train_batch_end(self, batch, logs=None):
        self._means = self._means or _means(self.model)
        self.steps, values = self.steps + 1, {}
        for name, metric in self._means.items():
            sums = np.array([metric.total, metric.count], "float64")
            total, count = sums - self._sums.get(name, 0)
            values[name] = float(total / count) if count else math.nan
            self._sums[name] = sums
        self._record(self.train, values)
        if self.steps % self.every == 0:
            self._evaluate()

    def on_epoch_end(self, epoch, logs=None):
        if self.validation["step"][-1:] != [self.steps]:
            self._evaluate()

    def curves(self, name, *, window=25):
        """Lines to draw: the running mean over ``window`` training batches, and the validation values.

        Raises ValueError if nothing was recorded under ``name``.
        """
        window, lines = whole_number("window", window), {}
        if name in self.train:
            ends = range(1, len(self.train[name]) + 1)
            means = [np.mean(self.train[name][max(0, end - window) : end]) for end in ends]
            lines["training"] = (self.train["step"], means)
        if name in self.validation:
            lines["validation"] = (self.validation["step"], self.validation[name])
        if name == "step" or not lines:
            recorded = sorted({*self.train, *self.validation} - {"step"})
            raise ValueError(f"name={name!r} was not recorded: choose from {recorded}")
        return lines

    def _evaluate(self):
        """Evaluate, in the middle of an epoch perhaps, and leave the model's running sums as they were."""
        sums = [variable.numpy() for variable in self.model.metrics_variables]
        found = self.model.evaluate(*self.examples, batch_size=256, verbose=0, return_dict=True)
        for variable, value in zip(self.model.metrics_variables, sums, strict=True):
            variable.assign(value)
        self._record(self.validation, found)

    def _record(self, table, values):
        for name, value in {"step": self.steps, **values}.items():
            table.setdefault(name, []).append(value)


class TensorBoard(keras.callbacks.TensorBoard):
    """Write what TensorBoard shows: scalars of training and validation, and the network's graph.

    Keras' own callback writes a graph on which the Graphs tab fails (tensorboard issue 7006); this one writes
    those of `graphs.write_model_graph`. ``log_dir`` is best a fresh one from `graphs.log_directory`;
    ``histogram_freq`` is the number of epochs between histograms of the weights, 0 for none. Raises ValueError
    when training begins, if the model has no graph of layers.
    """

    def __init__(self, log_dir, *, histogram_freq=0):
        super().__init__(str(log_dir), write_graph=False, histogram_freq=histogram_freq)

    def on_train_begin(self, logs=None):
        graphs.write_model_graph(self.model, self.log_dir)
        super().on_train_begin(logs)


def _examples(x, y):
    """Both as arrays, checked to have one label for each example."""
    x, y = np.asarray(x), np.asarray(y)
    if not x.ndim or x.shape[:1] != y.shape[:1]:
        raise ValueError(f"y has shape {y.shape}, x has {x.shape}: give one label for each example of x")
    return x, y


def _means(model):
    """The metrics of a model in training that are means, by the names they have in Keras' logs."""
    metrics = [part for metric in model.metrics for part in getattr(metric, "metrics", [metric])]
    named = zip(model.get_metrics_result(), metrics, strict=True)
    return {name: metric for name, metric in named if type(metric).result is keras.metrics.Mean.result}
