"""The few lines that training cells share: the learning rate, batches, a quick recipe, logs for TensorBoard."""

import math
import numbers

import numpy as np

from cnn_utils import graphs, keras, tf
from cnn_utils.arithmetic import whole_number


def one_cycle(peak, steps, *, warmup=0.3):
    """Learning rate: climbs in a line from ``peak / 25`` to ``peak``, falls to zero in a half cosine.

    Large rates in the middle move fast and regularise; small ones at the end settle. ``steps`` are epochs times
    batches per epoch, ``warmup`` the part of them spent climbing. The schedule is one of Keras' own, so a saved
    model loads without this package. Source: Smith & Topin, "Super-convergence" (arXiv:1708.07120), where the
    way down is a line too; the cosine is from "SGDR" (arXiv:1608.03983). Raises ValueError if ``peak`` is not
    above zero, or there is no step for one of the slopes.

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


def batches(x, y, batch_size, *, shuffle=True, seed=None):
    """Examples and labels as batches for ``fit(..., shuffle=False)``, quicker than those it makes itself.

    Of arrays `fit` makes a pipeline that TensorFlow tunes; the tuner sleeps for ever longer times, up to a minute, and
    now and then an epoch does not end before it wakes. Here nothing is tuned. The order is another in every epoch; it
    follows ``seed`` and `keras.utils.set_random_seed`. Raises ValueError if ``x`` and ``y`` differ in length.

    >>> [labels.numpy().tolist() for _, labels in batches([[0.1], [0.2], [0.3]], [1, 2, 3], 2, shuffle=False)]
    [[1, 2], [3]]
    """
    x, y = _examples(x, y)
    options, rows = tf.data.Options(), tf.data.Dataset.from_tensor_slices((x, y))
    options.autotune.enabled = False
    rows = rows.shuffle(len(x), seed) if shuffle else rows
    return rows.batch(whole_number("batch_size", batch_size)).prefetch(2).with_options(options)


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
    steps, classes = math.ceil(len(x) / batch_size), model.output_shape[-1]
    if y.ndim != 1 or not np.isin(y, np.arange(classes)).all():
        found = f"y has shape {y.shape} and values from {y.min()} to {y.max()}"
        raise ValueError(f"{found}: give each image one label, a whole number from 0 to {classes - 1}")
    if epochs * steps < 2:
        raise ValueError(f"batch_size={batch_size} makes one step of {len(x)} examples: the rate needs two")
    adam = keras.optimizers.Adam(one_cycle(peak, epochs * steps), beta_1=0.7, beta_2=0.9)
    adam.build(model.trainable_variables)  # else the first step makes its variables, and is traced again
    loss = keras.losses.CategoricalCrossentropy(from_logits=True, label_smoothing=0.1)
    model.compile(adam, loss, steps_per_execution=min(50, steps))
    given = batches(x, keras.utils.to_categorical(y, classes), batch_size)
    return model.fit(given, epochs=epochs, shuffle=False, verbose=0, callbacks=callbacks)


def _examples(x, y):
    x, y = np.asarray(x), np.asarray(y)
    if not x.ndim or x.shape[:1] != y.shape[:1]:
        raise ValueError(f"y has shape {y.shape}, x has {x.shape}: give one label for each example of x")
    return x, y


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
