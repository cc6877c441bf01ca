"""Answers to the exercises of notebook 6."""

from fractions import Fraction

import numpy as np

from cnn_utils import keras, tf


def counted(scores, labels):
    right = sum(int(np.argmax(row)) == label for row, label in zip(scores, labels, strict=True))
    return Fraction(right, len(labels))


def by_keras(scores, labels):
    return tf.reduce_mean(keras.metrics.sparse_categorical_accuracy(labels, scores))


def exponentials(scores, shift=0, axis=-1):
    powers = np.exp(scores - shift)
    return powers / powers.sum(axis=axis, keepdims=True)


RIGHT = {
    "6.1": [4640.0, np.int32(4640), 3 * 3 * 16 * 32 + 32],
    "6.2": [tf.constant(512), 512.0],
    "6.3": [
        2.3026,
        2.3,
        np.log(10),
        np.log1p(9),
        np.log2(10) * np.log(2),
        tf.math.log(10.0),
        keras.losses.SparseCategoricalCrossentropy(from_logits=True)(np.array([3]), np.zeros((1, 10))),
    ],
    "6.4": [counted, by_keras, lambda scores, labels: 1 - np.mean(np.argmax(scores, -1) != labels)],
    "6.5": [[-200.0] * 10, [88] * 10, np.arange(0, 100, 10), [1e39] + [0] * 9],
    "6.6": [
        lambda scores: np.exp(scores - np.logaddexp.reduce(scores, axis=-1, keepdims=True)),
        tf.nn.softmax,
        keras.layers.Softmax(),
    ],
}

WRONG = {
    "6.1": [
        (4608, "bias"),
        (320, "16 input channels"),
        (5120, "not one for each channel"),
        (12832, "5×5"),
        (16 * (3 * 3 * 32 + 1), "not the other way round"),
        (880.5, "count"),
    ],
    "6.2": [
        (800, "with padding"),
        (16, "32 channels"),
        (1152, "conv2 shrinks"),
        (1568, "with padding in both"),
        (2048, "pool2"),
        (256, "conv1 has"),
        (10, "follow the width"),
    ],
    "6.3": [
        (np.log(1 / 10), "minus"),
        (np.log2(10), "bits"),
        (np.log2(1 / 10), "bits, and without the minus"),
        (np.log10(10), "base ten"),
        (np.log10(1 / 10), "base ten, and without the minus"),
        (0.1, "probability of the right digit"),
        (0.9, "error rate"),
        (0.2303, "no mean over the ten"),
        (23.026, "no sum over the ten"),
        (0, "sure and right"),
        (5, "ten equal"),
    ],
    "6.4": [
        (lambda scores, labels: sum(np.argmax(scores, 1) == labels), "counts"),
        (lambda scores, labels: 1 - np.mean(np.argmax(scores, 1) == labels), "error rate"),
        (lambda scores, labels: 100 * np.mean(np.argmax(scores, 1) == labels), "per cent"),
        (lambda scores, labels: np.mean(np.max(scores, 1) == labels), "argmax"),
        (lambda scores, labels: np.mean(np.argmax(scores) == labels), "without an axis"),
        (lambda scores, labels: scores.argmax(axis=1) == labels, "take the mean"),
        (lambda scores, labels: np.mean(scores.argmax(axis=0) == labels), "raises ValueError"),
        (lambda scores, labels: 0.3, "Compare the place"),
    ],
    "6.5": [
        ([1, 2, 3, 4, 5, 6, 7, 8, 9, 10], "largest exponential is 2.2e+04"),
        ([80, 0, 0, 0, 0, 0, 0, 0, 0, 0], "3.4e38"),
        ([0] * 10, "3.4e38"),
        ([np.inf] + [0] * 9, "not finite"),
        ([100], "ten scores"),
    ],
    "6.6": [
        (lambda scores: np.exp(scores) / np.sum(np.exp(scores)), "each row is to sum"),
        (lambda scores: exponentials(scores, axis=0), "axis −1"),
        (lambda scores: exponentials(scores, scores.max(axis=0), axis=0), "axis −1"),
        (lambda scores: scores / np.sum(scores, axis=-1, keepdims=True), "exponentials first"),
        (lambda scores: 1.0 * (scores == scores.max(axis=-1, keepdims=True)), "softmax shares"),
        (np.exp, "exponentials alone"),
        (lambda scores: np.log(exponentials(scores)), "logarithm"),
        (exponentials, "subtract the largest"),
        (lambda scores: exponentials(scores, scores.mean()), "of each row"),
        (lambda scores: exponentials(scores, scores.max()), "of each row"),
        (lambda scores: 1 / (1 + np.exp(-scores)), "Exponentials, divided by"),
    ],
}
