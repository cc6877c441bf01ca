"""Answers to the exercises of notebook 9."""

from fractions import Fraction

import numpy as np

from cnn_utils import arithmetic, keras, tf


def by_hand(channels, one, reduce3, three, reduce5, five, projection):
    ones = channels * (one + reduce3 + reduce5 + projection)
    biases = one + reduce3 + three + reduce5 + five + projection
    return ones + 9 * reduce3 * three + 25 * reduce5 * five + biases


def by_keras(channels, one, reduce3, three, reduce5, five, projection):
    conv, x = keras.layers.Conv2D, keras.Input((5, 5, int(channels)))
    wide = [conv(int(three), 3)(conv(int(reduce3), 1)(x)), conv(int(five), 5)(conv(int(reduce5), 1)(x))]
    return keras.Model(x, [*wide, conv(int(one), 1)(x), conv(int(projection), 1)(x)]).count_params()


def naive(channels, one, reduce3, three, reduce5, five, projection):
    return channels * (one + 9 * three + 25 * five + projection) + one + three + five + projection


def unreduced(channels, one, reduce3, three, reduce5, five, projection):
    reductions = (channels + 1) * (reduce3 + reduce5)
    return naive(channels, one, reduce3, three, reduce5, five, projection) + reductions


def in_tensorflow(x, first, second):
    x = tf.constant(x)[None]
    return tf.nn.relu(x + tf.nn.relu(x @ first) @ second)[0]


def unit_by_unit(x, first, second):
    hidden = [max(float(np.dot(x, column)), 0) for column in first.T]
    return [max(value + float(np.dot(hidden, column)), 0) for value, column in zip(x, second.T, strict=True)]


def relu(a):
    return np.maximum(a, 0)


RIGHT = {
    "9.1": [14_765_988.0, tf.constant(14_765_988), 14_714_688 + arithmetic.dense_parameters(512, 100)],
    "9.2": [[5, Fraction(45, 121)], np.array([5, 0.372]), (tf.constant(5), 5 * (3 / 11) ** 2)],
    "9.3": [by_hand, by_keras],
    "9.4": [in_tensorflow, unit_by_unit],
    "9.5": [20.0, np.int8(20), next(n for n in range(99) if 2 ** (n / 2) > 1000)],
}

WRONG = {
    "9.1": [
        (14_714_688, "on top"),
        (14_765_888, "bias"),
        (51_300, "dense layer alone"),
        (17_223_588, "7·7·512"),
        (138_357_544, "three dense layers"),
        (15e6, "with biases"),
    ],
    "9.2": [
        ((5, 121 / 45), "other way round"),
        ((4, 36 / 121), "four see 9"),
        ((5, 9 / 121), "one of the five"),
        ((5, 15 / 121), "nine weights"),
        ((5, 15 / 11), "two sides"),
        ((5, 37.19), "per cent"),
        ((6, 54 / 121), "six see 13"),
        ((5, 1), "1 + 2n"),
        (5, "a pair"),
    ],
    "9.3": [
        (lambda *given: by_hand(*given) - sum(given[1:]), "bias"),
        (naive, "without reductions"),
        (unreduced, "not all channels"),
        (lambda *given: by_hand(*given) - (given[0] + 1) * (given[2] + given[4]), "reductions have weights"),
        (lambda *given: by_hand(*given) - (given[0] + 1) * given[6], "behind the pool is missing"),
        (lambda channels, *filters: channels * sum(filters), "Six convolutions"),
    ],
    "9.4": [
        (lambda x, first, second: relu(relu(x @ first) @ second), "nothing is skipped"),
        (lambda x, first, second: x + relu(relu(x @ first) @ second), "after the addition"),
        (lambda x, first, second: relu(x + relu(relu(x @ first) @ second)), "not the branch"),
        (lambda x, first, second: x + relu(x @ first) @ second, "at the end"),
        (lambda x, first, second: relu(x + (x @ first) @ second), "between the two layers"),
        (lambda x, first, second: x, "relu(x + relu"),
    ],
    "9.5": [
        (10, "its root"),
        (19, "724"),
        (1000, "not as much as at the start"),
        (1_000_000, "not as much as at the start"),
        (19.9316, "round up"),
        (9.9658, "for the variance"),
        (21, "doubles"),
    ],
}
