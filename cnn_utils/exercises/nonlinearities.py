"""The checkers of notebook 4."""

import math

import numpy as np

from cnn_utils.exercises.comparing import Example, Function, Hint, Value, short

INPUTS = np.array([1.0, 2.0])  # what the unit of 4.6 sees; its targets are zero


def leaky_relu(x, leak):
    slopes = np.where(x > 0, 1, leak)
    return slopes * x, slopes


def deadly_rate(rate):
    if rate <= 0:
        raise Hint("a learning rate is larger than zero.")
    errors = INPUTS + 0.5
    sums = (1 - rate * np.mean(errors * INPUTS)) * INPUTS + 0.5 - rate * np.mean(errors)
    if (sums > 0).any():
        raise Hint(f"after the step the sums are {short(sums)}; a dead unit has none above zero.")


CHECKERS = {
    "4.1": Value(
        right=1 + 3 * (5 - 1),
        hints={
            3 * 5: "neighbouring kernels overlap: each further layer adds F − 1, not F.",
            5: "one layer sees 5 pixels; the next one sees pixels that each see 5.",
            9: "that is two layers.",
            7: "that is three layers of 3×3.",
            12: "each layer adds F − 1 to the pixel in the middle; that one counts too.",
            5**3: "widths add up, they do not multiply.",
            169: "that is the number of its weights; the width is asked for.",
        },
        otherwise="a single pixel, and each layer adds F − 1.",
    ),
    "4.2": Value(
        right=math.exp(2),
        hints={
            math.exp(4): "that is at temperature 1; divide the scores by 2 first.",
            math.exp(8): "the temperature divides the scores; this multiplies them.",
            math.exp(-2): "that is the second over the first; turn it round.",
            math.exp(3): "that compares the first with the third.",
            7 / 3: "that compares the scores; take exponentials first.",
            2: "that is the difference of the divided scores; the probabilities are exponentials.",
            4: "that is the difference of the scores; divide by the temperature and take the exponential.",
            math.exp(4) / 2: "the temperature divides the scores, not the probabilities.",
        },
        otherwise="both are divided by the same sum: which exponential remains when one divides them?",
        tolerance=0.02,
    ),
    "4.3": Value(
        right=(-3 / 4, 1 / 4, 1 / 2),
        wanted="a row of three numbers",
        hints={
            (3 / 4, -1 / 4, -1 / 2): "the right size; it is p − y, not y − p.",
            (1 / 4, 1 / 4, 1 / 2): "those are the probabilities; subtract the truth.",
            (1 / 4, -3 / 4, 1 / 2): "the right class is the first, not the second.",
            (1 / 4, 1 / 4, -1 / 2): "the right class is the first, not the third.",
            (-1, 0, math.log(2)): "subtract the truth from the probabilities, not from the scores.",
            (-3 / 4, 0, 0): "the wrong classes have gradients too: their probabilities.",
            (0, 1, 2): "divide the exponentials by their sum before the truth is subtracted.",
        },
        otherwise="exponentials 1, 1, 2, divided by their sum; then minus 1 for the right class.",
        tolerance=2e-3,
    ),
    "4.4": Function(
        right=leaky_relu,
        cases=[(np.array([-2.0, -0.5, 0.25, 3.0]), 0.1), (np.array([1.5, -4.0, 2.0, -1.0]), 0.01)],
        mistakes={
            "that is ReLU itself: negative numbers are to keep a part of their size.": lambda x, leak: (
                leaky_relu(x, 0)
            ),
            "the values are right; the slope left of zero is `leak`, not 0.": lambda x, leak: (
                leaky_relu(x, leak)[0],
                np.where(x > 0, 1, 0),
            ),
            "the right two, the wrong way round: values first.": lambda x, leak: leaky_relu(x, leak)[::-1],
            "a negative number keeps its sign: leak times x.": lambda x, leak: (
                np.where(x > 0, x, -leak * x),
                leaky_relu(x, leak)[1],
            ),
            "left of zero the value is leak *times x*, not leak.": lambda x, leak: (
                np.where(x > 0, x, leak),
                leaky_relu(x, leak)[1],
            ),
            "the slope right of zero is 1, whatever x is.": lambda x, leak: (
                leaky_relu(x, leak)[0],
                np.where(x > 0, x, leak),
            ),
            "those are the values; return the slopes behind them.": lambda x, leak: leaky_relu(x, leak)[0],
            "the leak belongs to the other side: positive numbers pass as they are.": lambda x, leak: (
                np.where(x > 0, leak * x, x),
                np.where(x > 0, leak, 1),
            ),
        },
        otherwise="Right of zero: x, and slope 1. Left of it: leak · x, and slope leak.",
    ),
    "4.5": Value(
        right=4**10,
        hints={
            0.25**10: "that is what it is multiplied by; how many times smaller is that?",
            4 * 10: "each layer divides what the one behind it has left: powers, not products.",
            2**10: "a half is the sigmoid's value at zero; its slope there is smaller.",
            10**4: "the right two numbers, the wrong one on top.",
            4**9: "that is nine layers.",
            1: "that would be tanh, whose slope at zero is 1.",
            4: "that is a single layer.",
        },
        otherwise="the sigmoid's steepest slope is σ(0)(1 − σ(0)); take it to the power of ten.",
        tolerance=0.5,
    ),
    "4.6": Example("one learning rate", (), deadly_rate),
}
