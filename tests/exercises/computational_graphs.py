"""Answers to the exercises of notebook 1."""

from fractions import Fraction

import numpy as np

from cnn_utils import tf


def slope(x, y):
    return 1 / np.cosh(x * y) ** 2


def taped(x, y):
    x, y = tf.constant(x), tf.constant(y)
    with tf.GradientTape() as tape:
        tape.watch([x, y])
        g = tf.tanh(x * y) + x
    return tape.gradient(g, (x, y))


def finite_differences(x, y, step=1e-6):
    def g(x, y):
        return np.tanh(x * y) + x

    return [(g(x + step, y) - g(x, y)) / step, (g(x, y + step) - g(x, y)) / step]


def in_place(theta, gradient, rate):
    theta -= rate * gradient
    return theta


RIGHT = {
    "1.1": [-0.75, Fraction(-3, 4), -0.7501],
    "1.2": [lambda x, y: np.array([slope(x, y) * y + 1, slope(x, y) * x]), taped, finite_differences],
    "1.3": [
        in_place,
        lambda theta, gradient, rate: [t - rate * g for t, g in zip(theta, gradient, strict=True)],
        lambda theta, gradient, rate: theta + rate * -gradient,
    ],
    "1.4": [0.333, Fraction(1, 3)],
    "1.5": [-100, 1e200, np.float64(2.25)],
}

WRONG = {
    "1.1": [
        (0.75, "which way"),
        (0.5, "slope of x/y in x"),
        (-1.5, "square"),
        (-0.25, "here x is 3"),
        (np.cos(6) + 0.5, "∂f/∂x"),
        (np.cos(3) ** 2 - np.sin(3) ** 2 - 3 / 2**2, "w5 reads w1 only"),
        (np.sin(3) * np.cos(3) + 3 / 2, "f itself"),
        (10, "only w6"),
    ],
    "1.2": [
        (lambda x, y: (slope(x, y) * y, slope(x, y) * x), "second path"),
        (lambda x, y: (slope(x, y) * x, slope(x, y) * y + 1), "wrong way round"),
        (lambda x, y: (y + 1, x), "slope of the tanh is missing"),
        (lambda x, y: (slope(x, y) * x + 1, slope(x, y) * y), "other"),
        (lambda x, y: (slope(x, y) * y + 1, slope(x, y) * x + 1), "x only"),
        (lambda x, y: (np.tanh(x * y) * y + 1, np.tanh(x * y) * x), "not tanh itself"),
        (lambda x, y: ((y + 1) * slope(x, y), x * slope(x, y)), "not to the direct one"),
        (lambda x, y: slope(x, y), "is one number; a right one is a row of 2"),
        (lambda x, y: (x, y), "for x=0.5, y=2 the result is [0.5, 2]. Take one path at a time"),
    ],
    "1.3": [
        (lambda theta, gradient, rate: theta + rate * gradient, "uphill"),
        (lambda theta, gradient, rate: theta - gradient, "rate is not used"),
        (lambda theta, gradient, rate: -rate * gradient, "change only"),
        (lambda theta, gradient, rate: theta * rate - gradient, "not the place"),
        (lambda theta, gradient, rate: theta, "nothing has moved"),
        (lambda theta, gradient, rate: theta * (1 - rate * gradient), "take away the rate times"),
    ],
    "1.4": [
        (2 / 3, "c = 6"),
        (1 / 6, "one step"),
        (6, "curvature"),
        (3, "turned over"),
        (1, "edge of θ²"),
        (0.5, "write the cost as"),
    ],
    "1.5": [(1, "from 1 the walk stays"), (2.2, "stays"), (5**0.5, "stays"), (0, "from 0"), (-2, "stays")],
}
