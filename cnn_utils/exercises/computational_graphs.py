"""The checkers of notebook 1."""

import math

import numpy as np

from cnn_utils.exercises.comparing import Example, Function, Hint, Value


def slope_of_tanh(x, y):
    return 1 - np.tanh(x * y) ** 2


def walk_back(x, y):
    return slope_of_tanh(x, y) * y + 1, slope_of_tanh(x, y) * x


def one_step(theta, gradient, rate):
    return theta - rate * gradient


def flies_away(start):
    # The walk is not simulated: rounding would drive √5 itself away, and a huge start would overflow.
    if abs(start) <= math.sqrt(5):
        step = "each step multiplies θ by 1 − 0.4 θ²; when is that below −1?"
        raise Hint(f"from {start:g} the walk stays: {step}")


CHECKERS = {
    "1.1": Value(
        right=-3 / 4,
        hints={
            3 / 4: "the size is right; which way does x/y move when y grows?",
            1 / 2: "that is the slope of x/y in x; y is asked for.",
            -1 / 4: "that is the slope at x = 1, y = 2; here x is 3.",
            -3 / 2: "the slope of 1/y is −1/y²: the square is missing.",
            math.cos(6) + 1 / 2: "that is ∂f/∂x; y is asked for.",
            math.cos(6) - 3 / 4: "w5 reads w1 only: moving y leaves it where it is.",
            math.sin(3) * math.cos(3) + 3 / 2: "that is f itself; its slope is asked for.",
        },
        otherwise="only w6 = w1 / w2 reads y; what is the slope of x/y in y?",
        tolerance=1e-3,
    ),
    "1.2": Function(
        right=walk_back,
        cases=[(0.5, 2.0), (-1.0, 0.3), (0.2, 0.0)],
        mistakes={
            "a second path leads back to x, directly from the sum; add it.": lambda x, y: (
                slope_of_tanh(x, y) * y,
                slope_of_tanh(x, y) * x,
            ),
            "the right two, the wrong way round: ∂g/∂x comes first.": lambda x, y: walk_back(x, y)[::-1],
            "the slope of the tanh is missing along the path through the product.": lambda x, y: (y + 1, x),
            "the slope of a product is the *other* factor.": lambda x, y: (
                slope_of_tanh(x, y) * x + 1,
                slope_of_tanh(x, y) * y,
            ),
            "the direct path leads to x only, not to y.": lambda x, y: (
                slope_of_tanh(x, y) * y + 1,
                slope_of_tanh(x, y) * x + 1,
            ),
            "the slope of the tanh is 1 − tanh², not tanh itself.": lambda x, y: (
                np.tanh(x * y) * y + 1,
                np.tanh(x * y) * x,
            ),
            "the slope of the tanh belongs to the path through the product, not to the direct one.": lambda x, y: (
                slope_of_tanh(x, y) * (y + 1),
                slope_of_tanh(x, y) * x,
            ),
        },
        otherwise="Take one path at a time: multiply along it, and add where two of them meet.",
    ),
    "1.3": Function(
        right=one_step,
        cases=[
            (np.array([1.0, -2.0]), np.array([0.5, 3.0]), 0.1),
            (np.array([0.0, 4.0]), np.array([-1.0, 2.0]), 2.0),
        ],
        mistakes={
            "this walks uphill: the gradient points to where the cost grows.": lambda theta, gradient, rate: (
                theta + rate * gradient
            ),
            "the learning rate is not used.": lambda theta, gradient, rate: theta - gradient,
            "this is the change only; add it to where you are.": lambda theta, gradient, rate: (
                -rate * gradient
            ),
            "the rate scales the gradient, not the place.": lambda theta, gradient, rate: (
                rate * theta - gradient
            ),
            "this is where you were: nothing has moved.": lambda theta, gradient, rate: theta,
        },
        otherwise="From the place, take away the rate times the gradient.",
    ),
    "1.4": Value(
        right=2 / 6,
        hints={
            2 / 3: "3θ² is c/2 · θ² with c = 6, not 3.",
            1 / 6: "that is 1/c, the rate that arrives in one step; the edge is further out.",
            6: "that is the curvature; the edge is two divided by it.",
            3: "that is c/2; the edge is that turned over, 2/c.",
            1: "that is the edge of θ², which is c/2 · θ² with c = 2.",
        },
        otherwise="write the cost as c/2 · θ² and divide 2 by c.",
        tolerance=5e-3,
    ),
    "1.5": Example("one number", (), flies_away),
}
