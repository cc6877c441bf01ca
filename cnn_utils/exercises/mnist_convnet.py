"""The checkers of notebook 6."""

import math

import numpy as np

from cnn_utils.exercises.comparing import Example, Function, Hint, Value


def accuracy_of(scores, labels):
    return (scores.argmax(axis=1) == labels).mean()


def scored(count):
    """Scores of images and their labels; two in three are read rightly, the others are left to chance."""
    random = np.random.default_rng(count)
    scores, labels, images = random.normal(size=(count, 10)), random.integers(0, 10, count), np.arange(count)
    clear = images[images % 3 > 0]
    scores[clear, labels[clear]] = 5
    return scores, labels


def overflow(scores):
    powers = np.exp(scores.astype(np.float32))
    if np.isclose((powers / powers.sum()).sum(), 1, atol=1e-3):
        largest = f"the largest exponential is {powers.max():.3g}"
        raise Hint(f"those still give probabilities: {largest}, and float32 ends near 3.4e38.")


def softmax(scores):
    return naive_softmax(scores - scores.max(axis=-1, keepdims=True))


def naive_softmax(scores):
    return np.exp(scores) / np.exp(scores).sum(axis=-1, keepdims=True)


SCORES = np.random.default_rng(6).normal(size=(3, 10))

CHECKERS = {
    "6.1": Value(
        right=32 * (3 * 3 * 16 + 1),
        hints={
            32 * 3 * 3 * 16: "each filter has a bias as well.",
            32 * (3 * 3 + 1): "each filter has weights for all 16 input channels.",
            32 * 16 * (3 * 3 + 1): "one bias for each filter, not one for each channel.",
            32 * (5 * 5 * 16 + 1): "that is the count with 5×5 kernels.",
            16 * (3 * 3 * 32 + 1): "32 filters read 16 channels, not the other way round.",
        },
        otherwise="count (height × width × input channels + 1) × filters.",
    ),
    "6.2": Value(
        right=4 * 4 * 32,
        hints={
            5 * 5 * 32: "that is with padding; without it conv1 gives 24 pixels.",
            4 * 4: "4×4 pixels, but in each of 32 channels.",
            6 * 6 * 32: "conv2 shrinks its input as well: a 5-wide kernel without padding.",
            7 * 7 * 32: "that is with padding in both; without it each kernel takes four pixels away.",
            8 * 8 * 32: "pool2 still halves that.",
            4 * 4 * 16: "16 channels is what conv1 has; conv2 has 32.",
        },
        otherwise="follow the width: conv1, pool1, conv2, pool2; then width × width × channels.",
    ),
    "6.3": Value(
        right=math.log(10),
        hints={
            -math.log(10): "the right size; the loss is *minus* the logarithm.",
            math.log2(10): "that is in bits; Keras uses the natural logarithm.",
            -math.log2(10): "that is in bits, and without the minus; Keras uses the natural logarithm.",
            1: "that is with the logarithm to base ten; Keras uses the natural one.",
            -1: "that is with the logarithm to base ten, and without the minus; Keras uses the natural one.",
            0.1: "that is the probability of the right digit; the loss is minus its logarithm.",
            0.9: "the loss is not the error rate; it is minus the logarithm of the right digit's probability.",
            math.log(10) / 10: "only the right digit's logarithm counts; there is no mean over the ten.",
            10 * math.log(10): "only the right digit's logarithm counts; there is no sum over the ten.",
            0: "a loss of zero is for who is sure and right.",
        },
        otherwise="ten equal probabilities; take minus the logarithm of one of them.",
        tolerance=5e-3,
    ),
    "6.4": Function(
        right=accuracy_of,
        cases=[scored(7), scored(40)],
        mistakes={
            "this counts the right answers; divide by how many there are.": lambda s, y: (
                s.argmax(1) == y
            ).sum(),
            "this is the error rate: the share of wrong answers.": lambda s, y: (s.argmax(1) != y).mean(),
            "between 0 and 1, please, not per cent.": lambda s, y: 100 * accuracy_of(s, y),
            "the largest score is not the answer; its place is: argmax.": lambda s, y: (s.max(1) == y).mean(),
            "`argmax` without an axis finds one winner in the whole table; each row has its own.": lambda s, y: (
                np.mean(s.argmax() == y)
            ),
            "this says of each image whether it is read rightly; take the mean.": lambda s, y: (
                s.argmax(1) == y
            ),
        },
        otherwise="Compare the place of each row's largest score with the label.",
    ),
    "6.5": Example("ten scores", (10,), overflow),
    "6.6": Function(
        right=softmax,
        cases=[(SCORES,), (SCORES[0],), (np.array([[1e5, 99999.0, 0.0], [-1e5, -100000.5, -100001.0]]),)],
        mistakes={
            "the exponentials are divided by the sum of all rows; each row is to sum to one.": lambda s: (
                np.exp(s) / np.exp(s).sum()
            ),
            "it sums over the rows; each row on its own is to sum to one (axis −1).": lambda s: (
                np.exp(s) / np.exp(s).sum(axis=0)
            ),
            "this divides the scores by their sum; take the exponentials first.": lambda s: (
                s / s.sum(axis=-1, keepdims=True)
            ),
            "this puts everything on the largest score; softmax shares.": lambda s: np.eye(s.shape[-1])[
                s.argmax(axis=-1)
            ],
            "exponentials alone; divide them by the sum of their row.": np.exp,
            "that is the logarithm of softmax.": lambda s: np.log(softmax(s)),
            "small scores are shared rightly, large ones are not: subtract the largest score of each row first.": (
                naive_softmax
            ),
        },
        otherwise="Exponentials, divided by the sum of their row.",
    ),
}
