"""The checkers of notebook 7."""

import numpy as np

from cnn_utils.exercises.comparing import Example, Function, Hint, Value


def occlusion(image, weights, size):
    return _drops(image, weights, _around(size))


def never_restored(image, weights, size):
    return _drops(image, weights, _around(size), restored=False)


def cut_off_wrongly(image, weights, size):
    return _drops(image, weights, lambda middle: slice(middle - size // 2, middle + size // 2 + 1))


def down_and_right(image, weights, size):
    return _drops(image, weights, lambda first: slice(first, first + size))


def moved(image, down, right):
    framed = np.pad(image, max(abs(down), abs(right)))
    height, width = image.shape
    top, left = (framed.shape[0] - height) // 2 - down, (framed.shape[1] - width) // 2 - right
    return framed[top : top + height, left : left + width]


def saturated(x):
    if x < 1:
        slope = f"at x = {x:g} the slope is 1, so saliency is 1, not 0"
        raise Hint(f"{slope}: ReLU(1 − x) is above zero there.")
    if x == 1:
        raise Hint(
            "at x = 1 the score has its corner, and which slope a program gives there is a convention."
        )


def _around(size):
    return lambda middle: slice(max(middle - size // 2, 0), middle + size // 2 + 1)


def _drops(image, weights, side, restored=True):
    """By how much the score drops when the rows and columns that ``side`` gives for a pixel are hidden."""
    drops, hidden = np.zeros(image.shape), image.copy()
    for row, column in np.ndindex(image.shape):
        hidden = image.copy() if restored else hidden
        hidden[side(row), side(column)] = 0
        drops[row, column] = np.sum(weights * image) - np.sum(weights * hidden)
    return drops


random = np.random.default_rng(7)
IMAGE, WEIGHTS = random.random((6, 5)), random.normal(size=(6, 5))
TALL = random.random((5, 4))

CHECKERS = {
    "7.1": Value(
        right=32,
        hints={
            20: "4 wider holds for neighbours one pixel apart; units of pool2 lie further apart in the image.",
            24: "that takes the two pools for one: neighbours in pool2 lie 2·2 pixels apart.",
            36: "a kernel of 5 reaches over 5 units, which is 4 steps from the first to the last.",
            16: "that is the window of pool2 itself.",
            14: "that is the window of conv2.",
            13: "that is three 5×5 layers without pools; each pool doubles the distance of what follows.",
            15: "that counts all five windows but no stride; each pool doubles the distance of what follows.",
        },
        otherwise="16 pixels, and 4 steps more; how many pixels is one step between neighbours of pool2?",
    ),
    "7.2": Value(
        right=0.8,
        hints={
            0.2: "that is the share within the classes; the class share is the rest.",
            4: "that is the variance between the classes; divide by all of it.",
            1: "that is the variance within a class; take the one between them, as a share of all.",
            5: "that is the whole variance; which share of it lies between the classes?",
            0.25: "that is within over between; take between over all.",
            80: "between 0 and 1, please, not per cent.",
            0.6: "divide by the number of values, not by one less, as notebook 7's function does.",
        },
        otherwise="the variance of the two class means, 2 and 6, over the variance of 1, 3, 5 and 7.",
        tolerance=1e-3,
    ),
    "7.3": Function(
        right=occlusion,
        cases=[(IMAGE, WEIGHTS, 3), (IMAGE, WEIGHTS, 1), (TALL, TALL, 5)],
        mistakes={
            "the sign: the score drops by what it was before less what it is after.": lambda image, weights, size: (
                -occlusion(image, weights, size)
            ),
            "these are the scores after hiding; subtract each from the score of the whole image.": lambda image, weights, size: (
                np.sum(weights * image) - occlusion(image, weights, size)
            ),
            "one pixel is hidden, not a square.": lambda image, weights, size: weights * image,
            "what was hidden stays hidden; start each time from the whole image.": never_restored,
            "at the upper and left edge `row - reach` is negative, and a slice from −1 starts at the end.": (
                cut_off_wrongly
            ),
            "the square starts at the pixel; put the pixel in its middle.": down_and_right,
        },
        otherwise="Make the square black in a copy; the score of the image less the score of the copy.",
    ),
    "7.4": Function(
        right=moved,
        cases=[(TALL, 1, 0), (TALL, 0, -2), (IMAGE, -2, 1), (IMAGE, 0, 0)],
        mistakes={
            "what leaves on one side comes in on the other; black should come in.": lambda image, down, right: (
                np.roll(image, (down, right), (0, 1))
            ),
            "the other way: a positive `down` moves the picture down.": lambda image, down, right: moved(
                image, -down, -right
            ),
            "rows and columns are exchanged.": lambda image, down, right: moved(image, right, down),
            "only the rows have moved.": lambda image, down, right: moved(image, down, 0),
            "only the columns have moved.": lambda image, down, right: moved(image, 0, right),
        },
        otherwise="Pixel (row, column) goes to (row + down, column + right); what comes in is 0.",
    ),
    "7.5": Example("one number", (), saturated),
}
