"""The checkers of notebook 8."""

import numpy as np

from cnn_utils.exercises.comparing import Example, Function, Hint, Value

CHANNEL = (0, 1, 2)  # the axes over which batch normalisation takes the statistics of a channel


def normalised(x, epsilon):
    return _over(CHANNEL)(x, epsilon)


def _over(axes, ddof=0):
    """Normalise over these axes, with the variance of the sample (``ddof=1``) or the batch."""

    def normalise(x, epsilon):
        variance = x.var(axis=axes, ddof=ddof, keepdims=True)
        return (x - x.mean(axis=axes, keepdims=True)) / np.sqrt(variance + epsilon)

    return normalise


def epsilon_outside(x, epsilon):
    return (x - x.mean(CHANNEL)) / (x.std(CHANNEL) + epsilon)


def no_root(x, epsilon):
    return (x - x.mean(CHANNEL)) / (x.var(CHANNEL) + epsilon)


def no_mean(x, epsilon):
    return x / np.sqrt(x.var(CHANNEL) + epsilon)


def moving_average(means, momentum):
    return _moved(means, momentum, 0)


def _moved(means, momentum, average):
    for mean in means:
        average = momentum * average + (1 - momentum) * mean
    return average


def pushed_down(others):
    batch = np.array([5, *others])
    batch = batch / np.abs(batch).max()
    if np.ptp(batch) == 0:
        raise Hint("all four are alike: the variance is 0, and each becomes 0 (with ε in the root).")
    value = (batch[0] - batch.mean()) / batch.std()
    if value >= 0:
        raise Hint(f"5 becomes {value:.2f}: it is not below the batch's mean. Make the others larger.")
    if value > -1.5:
        raise Hint(f"5 becomes {value:.2f}: below the mean, but the others spread as well as it does.")


random = np.random.default_rng(8)
SMALL, TALL = random.normal(3, 2, (4, 3, 3, 2)), random.normal(-1, 3, (2, 5, 1, 3))
MEANS = random.normal(2, 1, (5, 3))

CHECKERS = {
    "8.1": Value(
        right=1.9,
        hints={
            1: "that is after one batch.",
            2: "the second batch adds 1 as well, but only nine tenths of the first one's share are kept.",
            9.9: "that takes momentum for the share of the new batch, as PyTorch does; here it is the share kept.",
            8.1: "that is what is still missing.",
            10: "a moving average that starts at 0 does not arrive at once.",
            0.19: "that is the share of the way; how far is it on the way to 10?",
        },
        otherwise="after each batch: 0.9 of the old average and 0.1 of the batch's mean. It starts at 0.",
    ),
    "8.2": Value(
        right=(1.5, -1),
        wanted="two numbers, the kernel's and the bias",
        hints={
            (0.375, 0.5): "divide by the deviation, the root of 16.",
            (1.5, 3): "the mean is taken away, and so is its part in the bias.",
            (1.5, 1): "the mean is missing in the bias.",
            (1.5, -2): "β is missing in the bias.",
            (1.5, -3): "the mean is scaled too before it is taken away.",
            (3, -1): "the kernel is scaled too.",
            (0.75, 0): "γ is missing: the scale is γ over the deviation.",
            (-1, 1.5): "the kernel's number first, then the bias.",
        },
        otherwise="the scale is γ over the deviation; which bias makes scale · (3x − μ) + β of kernel · x + bias?",
    ),
    "8.3": Function(
        right=normalised,
        cases=[(SMALL, 1e-3), (TALL, 0.5)],
        mistakes={
            "each pixel has its own mean: of a channel, all places belong together.": _over((0,)),
            "each image has its own mean: that is instance normalisation; take all images together.": _over(
                (1, 2)
            ),
            "each pixel of each image is normalised over its channels; keep channels apart instead.": _over(
                (3,)
            ),
            "all channels share one mean and variance: each needs its own.": _over((0, 1, 2, 3)),
            "the variance divides by the number of values, not by one less.": _over(CHANNEL, ddof=1),
            "epsilon is added to the deviation: add it to the variance, before the root.": epsilon_outside,
            "divided by the variance: take its root.": no_root,
            "the mean is not taken away.": no_mean,
        },
        otherwise="Mean and variance of each channel over all images and places; epsilon under the root.",
    ),
    "8.4": Function(
        right=moving_average,
        cases=[(MEANS, 0.9), (MEANS[:2], 0.7), (MEANS[:1], 0.99)],
        mistakes={
            "momentum is taken for the share of the new batch: here it is the share of the old that is kept.": (
                lambda means, momentum: _moved(means, 1 - momentum, 0)
            ),
            "that is the plain mean of all batches.": lambda means, momentum: means.mean(axis=0),
            "the average starts at 0, not at the first batch's mean.": lambda means, momentum: _moved(
                means[1:], momentum, means[0]
            ),
            "the batches are taken from the last to the first.": lambda means, momentum: _moved(
                means[::-1], momentum, 0
            ),
            "that is corrected for the start at 0, as Adam does; Keras does not correct.": lambda means, momentum: (
                _moved(means, momentum, 0) / (1 - momentum ** len(means))
            ),
        },
        otherwise="Start at 0; after each batch: momentum * average + (1 - momentum) * mean.",
    ),
    "8.5": Example("three numbers", (3,), pushed_down),
}
