"""The few lines that training cells share: the learning rate, and logs for TensorBoard."""

import math
import numbers

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
