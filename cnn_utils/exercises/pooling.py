"""The checkers of notebook 3."""

import numpy as np

from cnn_utils import reference
from cnn_utils.exercises.comparing import Example, Function, Hint, Value, short, sliding_mistakes


def average(image, pool, stride):
    return reference.average_pool2d(image[None, :, :, None], pool, stride=stride)[0, :, :, 0]


def maximum(image, pool, stride):
    return reference.max_pool2d(image[None, :, :, None], pool, stride=stride)[0, :, :, 0]


def images_and_pools():
    random = np.random.default_rng(3)
    for height, width, pool, stride in [(6, 8, 2, 2), (7, 9, 3, 2), (8, 7, 2, 3)]:
        yield random.integers(-9, 10, (height, width)).astype(float), pool, stride


def routed_back(image, arriving):
    return reference.max_pool2d_gradient(image[None, :, :, None], arriving[None, :, :, None])[0, :, :, 0]


def spread(arriving):
    return arriving.repeat(2, axis=0).repeat(2, axis=1)


def of_windows(image, function):
    """One number for each 2×2 window."""
    return function(image.reshape(image.shape[0] // 2, 2, -1, 2), axis=(1, 3))


def winners(image):
    return image == spread(of_windows(image, np.max))


TIED = np.array([[2.0, 2, 0, 0], [1, 2, 0, 0], [1, 5, 3, 4], [5, 2, 4, 1]])
WIDE = -np.hstack([TIED, TIED[::-1, 1:3]])  # negative, and not square


def unstable_row(row):
    if not np.isin(row, (0, 1)).all():
        raise Hint("use zeros and ones only.")
    before, after = (moved.reshape(4, 2).max(axis=1) for moved in (row, np.roll(row, 1)))
    changed = np.sum(before != after)
    if changed < 4:
        pooled = f"it pools to {short(before)}, and one place further right to {short(after)}"
        window = np.flatnonzero(before == after)[0] + 1
        raise Hint(f"{pooled}: {changed} of 4 change. What must leave or enter window {window} of 4?")


CHECKERS = {
    "3.1": Value(
        right=3 * 3 * 64,
        hints={
            30 * 30: "one in four, three times over, needs a size that halves three times; 15 does not.",
            4 * 4 * 64: "7 becomes 3, not 4: without padding a window that fits only in part does not count.",
            3 * 3: "that is one channel; a pool keeps the depth.",
            3 * 3 * 8: "the depth stays; only height and width are halved.",
            7 * 7 * 64: "that is after two pools.",
            3: "that is the width; count all the numbers of the volume.",
        },
        otherwise="follow the width through the three pools: floor((W − 2) / 2) + 1 each time.",
    ),
    "3.2": Value(
        right=9,
        hints={
            1: "windows overlap: the middle pixel wins in more than one, and its gradients add up.",
            4: "that is stride 2; with stride 1 there are more windows.",
            3: "three windows in each direction; count both directions.",
            1 / 9: "that is the share of a mean; a maximum gives its winner everything.",
            25: "a window must fit: it has three places in each direction, not five.",
        },
        otherwise="count the windows that hold the middle pixel.",
    ),
    "3.3": Function(
        right=average,
        cases=list(images_and_pools()),
        mistakes={
            "that is the maximum of each window; the mean is wanted.": maximum,
            "that is the sum; divide by the number of pixels in a window.": lambda x, pool, s: (
                average(x, pool, s) * pool**2
            ),
            "divide by all the pixels of a window, pool times pool.": lambda x, pool, s: (
                average(x, pool, s) * pool
            ),
            "the windows are `pool` pixels apart; they should be `stride` apart.": lambda x, pool, s: average(
                x, pool, pool
            ),
            **sliding_mistakes(average),
        },
        otherwise="Output (row, column) is the mean of the window whose corner is at (row * stride, column * stride).",
    ),
    "3.4": Function(
        right=routed_back,
        cases=[(TIED, np.array([[1.0, 2], [3, 4]])), (WIDE, np.array([[0.5, -1, 1], [2, 3, -2]]))],
        mistakes={
            "every tied winner gets the gradient; only the first one should.": lambda x, g: (
                winners(x) * spread(g)
            ),
            "tied winners share the gradient; here the first takes it all.": lambda x, g: (
                winners(x) * spread(g / of_windows(winners(x), np.sum))
            ),
            "of tied winners the last one gets it; the first one should.": lambda x, g: routed_back(
                x[::-1, ::-1], g[::-1, ::-1]
            )[::-1, ::-1],
            "each window is searched column by column; reading order goes row by row.": lambda x, g: (
                routed_back(x.T, g.T).T
            ),
            "the winners are right, but what arrives at their windows is not used.": lambda x, g: routed_back(
                x, np.ones_like(g)
            ),
            "pixels may be negative: begin with the window's first pixel, not with 0.": lambda x, g: (
                routed_back(np.maximum(x, 0), g)
            ),
            "that spreads the gradient evenly, as average pooling does.": lambda x, g: spread(g) / 4,
            "the smallest pixel of each window gets it; the largest should.": lambda x, g: routed_back(-x, g),
            "the place is right; what is put there is the pixel, not what arrives.": lambda x, g: routed_back(
                x, of_windows(x, np.max)
            ),
        },
        otherwise="Find the winner of each window, and put there what arrives at the window; zeros elsewhere.",
    ),
    "3.5": Example("a row of eight numbers", (8,), unstable_row, truth=True),
}
