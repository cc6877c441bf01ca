"""Answers to the exercises of notebook 3."""

from decimal import Decimal

import numpy as np

from cnn_utils import tf


def pool_by_loops(image, pool, stride, *, cell=np.mean, step=None, trim=0, dtype=float):
    """A reader's pooling loop with one thing wrong."""
    step = step or stride
    rows, columns = ((side - pool) // stride + 1 - trim for side in image.shape)
    output = np.zeros((rows, columns), dtype)
    for row, column in np.ndindex(rows, columns):
        output[row, column] = cell(
            image[row * step : row * step + pool, column * step : column * step + pool]
        )
    return output


def pooling(**wrong):
    return lambda image, pool, stride: pool_by_loops(image, pool, stride, **wrong)


def by_tensorflow(image, pool, stride):
    return tf.nn.avg_pool2d(image[None, :, :, None].astype(np.float32), pool, stride, "VALID")[0, :, :, 0]


def short_of_the_edge(image, pool, stride):
    rows, columns = (range(0, side - pool, stride) for side in image.shape)
    return [[image[top : top + pool, left : left + pool].mean() for left in columns] for top in rows]


def first(window):
    """Where the first maximum is, row by row: the right rule."""
    mask = np.zeros(window.size)
    mask[window.argmax()] = 1
    return mask.reshape(window.shape)


def routing(share, value=lambda window, arriving: arriving):
    """A reader's gradient of 2×2 max pooling: `share` says what part of the gradient each pixel of a window gets."""

    def gradient(image, arriving):
        result = np.zeros(image.shape)
        for (row, column), number in np.ndenumerate(arriving):
            place = slice(2 * row, 2 * row + 2), slice(2 * column, 2 * column + 2)
            result[place] += share(image[place]) * value(image[place], number)
        return result

    return gradient


def taped(image, arriving):
    image = tf.constant(image, tf.float32)[None, :, :, None]
    with tf.GradientTape() as tape:
        tape.watch(image)
        pooled = tf.nn.max_pool2d(image, 2, 2, "VALID")
    return tape.gradient(pooled, image, tf.constant(arriving, tf.float32)[None, :, :, None])[0, :, :, 0]


RIGHT = {
    "3.1": [np.int64(576), tf.constant(576), 576.0],
    "3.2": [9.0, np.uint8(9), Decimal("9.0")],
    "3.3": [pooling(), by_tensorflow, pooling(cell=lambda window: window.sum() / window.size)],
    "3.4": [routing(first), taped],
    "3.5": [
        (0, 0, 0, 1, 0, 0, 0, 1),
        np.array([False, True, False, False] * 2),
        [0.0, 1.0, 0, 0, False, True, 0, 0],
    ],
}

WRONG = {
    "3.1": [
        (900, "15 does not"),
        (4 * 4 * 64, "not 4"),
        (9, "keeps the depth"),
        (72, "depth stays"),
        (7 * 7 * 64, "after two pools"),
        (3, "the width"),
        (100, "follow the width"),
        ((3, 3, 64), "give one number; this is a row of 3"),
    ],
    "3.2": [
        (1, "overlap"),
        (4, "stride 2"),
        (3, "both directions"),
        (1 / 9, "share of a mean"),
        (25, "must fit"),
        (8, "count the windows"),
    ],
    "3.3": [
        (pooling(cell=np.max), "maximum"),
        (pooling(cell=np.sum), "sum"),
        (pooling(cell=lambda window: window.sum() / len(window)), "pool times pool"),
        (lambda image, pool, stride: pool_by_loops(image, pool, pool), "`stride` apart"),
        (lambda image, pool, stride: pool_by_loops(image, pool, 1), "stride is not used"),
        (pooling(step=1), "row * stride"),
        (pooling(trim=1), "last window"),
        (short_of_the_edge, "just fits at the edge"),
        (pooling(dtype=int), "array of floats"),
        (lambda image, pool, stride: image, "has the shape (6, 8); a right one has the shape (3, 4)"),
        (lambda image, pool, stride: image.mean(), "is one number; a right one has the shape (3, 4)"),
        (pooling(cell=np.median), "is the mean of the window"),
    ],
    "3.4": [
        (routing(lambda window: window == window.max()), "every tied winner"),
        (routing(lambda window: (window == window.max()) / (window == window.max()).sum()), "share"),
        (routing(lambda window: first(window[::-1, ::-1])[::-1, ::-1]), "the last one"),
        (routing(lambda window: first(window.T).T), "column by column"),
        (routing(first, lambda window, arriving: 1), "not used"),
        (routing(lambda window: np.full((2, 2), 1 / 4)), "average pooling"),
        (routing(lambda window: first(np.maximum(window, 0))), "may be negative"),
        (routing(lambda window: first(-window)), "smallest"),
        (routing(first, lambda window, arriving: window.max()), "what is put there is the pixel"),
        (lambda image, arriving: arriving, "has the shape (2, 2); a right one has the shape (4, 4)"),
        (routing(lambda window: window), "Find the winner of each window"),
    ],
    "3.5": [
        ([0] * 8, "0 of 4 change"),
        ([0, 0, 1, 1, 0, 0, 1, 1], "2 of 4 change. What must leave or enter window 2 of 4?"),
        ([1, 0] * 4, "it pools to [1, 1, 1, 1], and one place further right to [1, 1, 1, 1]"),
        ([1, 0, 0, 0, 1, 0, 0, 0], "0 of 4"),
        ([0, 1, 0, 0, 0, 1, 1, 0], "3 of 4 change. What must leave or enter window 4 of 4?"),
        ([1, 2, 3, 4, 5, 6, 7, 8], "zeros and ones"),
        ([0, 1, 0, 0], "eight numbers"),
    ],
}
