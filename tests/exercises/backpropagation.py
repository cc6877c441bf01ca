"""Answers to the exercises of notebook 5."""

from fractions import Fraction

import numpy as np

from cnn_utils import keras, tf


def by_tape(y, g):
    x = tf.constant(np.arctanh(y))
    with tf.GradientTape() as tape:
        tape.watch(x)
        y = tf.tanh(x)
    return tape.gradient(y, x, g)


def by_loop(y, g):
    result = np.zeros(y.shape)
    for place, value in np.ndenumerate(y):
        result[place] = g[place] - g[place] * value * value
    return result


TIED = np.array([[5, 5, 1, 2], [0, 1, 3, 4], [1, 2, 1, 2], [3, 4, 3, 4]])

RIGHT = {
    "5.1": [[5, 5, 6, 16], tf.TensorShape([5, 5, 6, 16]).as_list(), np.zeros((5, 5, 6, 16)).shape],
    "5.2": [[0.1, 0.2, 0.55, 0.15], tf.constant([0.1, 0.2, 0.55, 0.15]), [Fraction(1, 10), 0.2, 0.55, 0.15]],
    "5.3": [1024.0, np.prod([2] * 10), tf.constant(1024)],
    "5.4": [(1, 2, 5, 4, 6), np.convolve([1, 0, 2], [1, 2, 3]), [1.0, 2, 5, 4, 6]],
    "5.5": [
        by_tape,
        by_loop,
        lambda y, g: g / np.cosh(np.arctanh(y)) ** 2,
        lambda y, g: g * (1 + y) * (1 - y),
    ],
    "5.6": [TIED, TIED[::-1] - 9.5, keras.ops.convert_to_tensor(TIED / 2)],
}

WRONG = {
    "5.1": [
        ((32, 10, 10, 16), "that is the output"),
        ((32, 14, 14, 6), "that is the input"),
        ((5, 5, 16, 6), "height, width, input channels, filters"),
        ((32, 5, 5, 16), "no axis for images"),
        ((5, 5, 1, 16), "as deep as its input"),
        ((3, 3, 6, 16), "the shape of what it belongs to"),
        ((5, 5), "four numbers; this is a row of 2"),
        (5 * 5 * 6 * 16, "this is one number"),
    ],
    "5.2": [
        ([0.3, 0.6, -0.35, 0.45], "uphill"),
        ([0, 0, 1, 0], "rate 1"),
        ([-0.1, -0.2, 0.45, -0.15], "the change only"),
        ([0.1, 0.2, -0.45, 0.15], "take it away"),
        ([0.1, 0.1, 0.7, 0.1], "no single rate"),
        ([0.2, 0.4, 0.1, 0.3], "output − target"),
        (0.55, "give a row of four numbers; this is one number"),
    ],
    "5.3": [
        (20, "multiply"),
        (10, "number of steps"),
        (11, "number of nodes"),
        (2048, "too many"),
        (512, "too few"),
        (100, "other way round"),
        (1, "not one"),
        (55, "after two steps"),
    ],
    "5.4": [
        ([3, 2, 7, 4, 2], "as it is"),
        ([1, 2, 3, 4, 6], "overlap"),
        ([1, 2, 2, 4, 6], "overlap"),
        ([1, 2, 3, 0, 0], "first output's stamp"),
        ([0, 0, 2, 4, 6], "third output's stamp"),
        ([1, 2, 4, 2, 3], "the third by 2"),
        ([1, 0, 2, 0, 0], "lay the kernel there"),
        ([1, 5, 6], "five numbers; this is a row of 3"),
    ],
    "5.5": [
        (lambda y, g: g * (1 - np.tanh(y) ** 2), "output already"),
        (lambda y, g: 1 - y**2, "the slope alone"),
        (lambda y, g: g * y * (1 - y), "the sigmoid's"),
        (lambda y, g: g * y, "not by the output"),
        (lambda y, g: -g * (1 - y * y), "turned round"),
        (lambda y, g: g / (1 - y**2), "not divided by it"),
        (lambda y, g: y * (1 - g**2), "the other way round"),
        (lambda y, g: g * (1 - y) ** 2, "to y alone"),
        (lambda y, g: g * (1 - y**3), "here y is tanh(x)"),
        (lambda y, g: np.sum(g * (1 - y**2)), "is one number"),
    ],
    "5.6": [
        (np.arange(16).reshape(4, 4), "each window has one maximum"),
        (np.zeros((4, 4)), "4 of the four"),
        (np.array([[5, 5, 2, 2], [0, 1, 1, 0], [1, 2, 1, 2], [3, 4, 3, 4]]), "2 of the four"),
        (np.array([[1, 1, 0, 3], [1, 4, 0, 2], [5, 6, 7, 8], [1, 2, 3, 4]]), "each window has one maximum"),
        ([[5, 5], [0, 1]], "4×4 numbers; this has the shape (2, 2)"),
    ],
}
