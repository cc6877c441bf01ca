"""Answers to the exercises of notebook 4."""

from fractions import Fraction

import numpy as np

from cnn_utils import keras, tf


def leaky(value, slope=lambda x, leak: np.where(x > 0, 1, leak)):
    return lambda x, leak: (value(x, leak), slope(x, leak))


def right_value(x, leak):
    return np.maximum(x, leak * x)


def taped(x, leak):
    x = tf.constant(x)
    with tf.GradientTape() as tape:
        tape.watch(x)
        y = keras.ops.leaky_relu(x, leak)
    return y, tape.gradient(y, x)


RIGHT = {
    "4.1": [13.0, np.int64(13), tf.constant(13)],
    "4.2": [7.39, np.exp(2), np.divide(*np.exp([7 / 2, 3 / 2]))],
    "4.3": [
        (Fraction(-3, 4), 0.25, 0.5),
        np.array([-0.75, 0.25, 0.5]),
        tf.nn.softmax([0.0, 0.0, np.log(2)]) - [1.0, 0.0, 0.0],
    ],
    "4.4": [
        leaky(right_value),
        taped,
        lambda x, leak: np.stack([right_value(x, leak), (x > 0) + leak * (x < 0)]),
    ],
    "4.5": [1048576, 1 / 0.25**10, 2.0**20],
    "4.6": [0.3, 1, tf.constant(5.0), Fraction(5, 17), 1e9],
}

WRONG = {
    "4.1": [
        (15, "overlap"),
        (5, "pixels that each see 5"),
        (9, "two layers"),
        (7, "3×3"),
        (12, "counts too"),
        (125, "do not multiply"),
        (169, "number of its weights"),
        (21, "each layer adds"),
        ((13, 13), "give one number"),
    ],
    "4.2": [
        (np.exp(4), "temperature 1"),
        (np.exp(8), "this multiplies"),
        (np.exp(-2), "the second over the first"),
        (np.exp(3), "the third"),
        (7 / 3, "compares the scores"),
        (2, "difference of the divided scores"),
        (4, "difference of the scores"),
        (np.exp(4) / 2, "not the probabilities"),
        (0.5, "which exponential remains"),
    ],
    "4.3": [
        ((0.75, -0.25, -0.5), "not y − p"),
        ((0.25, 0.25, 0.5), "those are the probabilities"),
        ((0.25, -0.75, 0.5), "not the second"),
        ((0.25, 0.25, -0.5), "not the third"),
        ((-1, 0, np.log(2)), "not from the scores"),
        ((-0.75, 0, 0), "wrong classes"),
        ((0, 1, 2), "divide the exponentials"),
        ((1, 2, 3), "exponentials 1, 1, 2"),
        (-0.75, "a row of three numbers"),
    ],
    "4.4": [
        (lambda x, leak: (np.maximum(x, 0), x > 0), "ReLU itself"),
        (leaky(right_value, lambda x, leak: (x > 0) * 1), "not 0"),
        (lambda x, leak: (np.where(x > 0, 1, leak), right_value(x, leak)), "values first"),
        (leaky(lambda x, leak: np.where(x > 0, x, leak * np.abs(x))), "keeps its sign"),
        (leaky(lambda x, leak: np.where(x > 0, x, leak)), "*times x*"),
        (leaky(right_value, lambda x, leak: np.where(x > 0, x, leak)), "slope right of zero is 1"),
        (right_value, "return the slopes"),
        (lambda x, leak: (np.minimum(x, leak * x), np.where(x < 0, 1, leak)), "other side"),
        (lambda x, leak: (x, np.ones_like(x)), "Right of zero: x"),
    ],
    "4.5": [
        (0.25**10, "how many times smaller"),
        (40, "powers"),
        (1024, "a half is"),
        (10_000, "on top"),
        (4**9, "nine layers"),
        (1, "tanh"),
        (4, "a single layer"),
        (999, "to the power of ten"),
    ],
    "4.6": [
        (0.1, "after the step the sums are [0.975, 1.65]"),
        (0.29, "a dead unit has none above zero"),
        (-1, "larger than zero"),
        ((0.3, 0.3), "give one learning rate"),
    ],
}
