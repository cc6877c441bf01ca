"""Answers to the exercises of notebook 2."""

import math
from decimal import Decimal
from fractions import Fraction

import numpy as np

from cnn_utils import tf


def span(kernel, dilation):
    return dilation * (kernel - 1) + 1


def counted(size, kernel, stride, padding, dilation):
    """Try every place."""
    return len(
        [
            place
            for place in range(0, size + 2 * padding, stride)
            if place + span(kernel, dilation) <= size + 2 * padding
        ]
    )


def slide(image, kernel, stride, *, cell=lambda w, k: (w * k).sum(), step=None, trim=0, dtype=float):
    """A reader's loop with one thing wrong."""
    step = step or stride
    rows = (image.shape[0] - kernel.shape[0]) // stride + 1 - trim
    columns = (image.shape[1] - kernel.shape[1]) // stride + 1 - trim
    output = np.zeros((rows, columns), dtype)
    for row in range(rows):
        for column in range(columns):
            top, left = row * step, column * step
            output[row, column] = cell(
                image[top : top + kernel.shape[0], left : left + kernel.shape[1]], kernel
            )
    return output


def sliding(**wrong):
    return lambda image, kernel, stride: slide(image, kernel, stride, **wrong)


def by_tensorflow(image, kernel, stride):
    image, kernel = tf.constant(image, tf.float32), tf.constant(kernel, tf.float32)
    return tf.nn.conv2d(image[None, :, :, None], kernel[:, :, None, None], stride, "VALID")[0, :, :, 0]


def nested_lists(image, kernel, stride, extra=1):
    rows, columns = kernel.shape
    return [
        [
            sum(image[top + r, left + c] * kernel[r, c] for r in range(rows) for c in range(columns))
            for left in range(0, image.shape[1] - columns + extra, stride)
        ]
        for top in range(0, image.shape[0] - rows + extra, stride)
    ]


RIGHT = {
    "2.1": [np.int64(55), 55.0, Fraction(55), (224 + 4 - 11) // 4 + 1],
    "2.2": [
        lambda size, kernel, stride, padding, dilation: math.floor(
            (size + 2 * padding - span(kernel, dilation)) / stride + 1
        ),
        lambda i, k, s, p, d: np.floor((i + 2 * p - d * k + d - 1) / s) + 1,
        lambda i, k, s, p, d: -(-(i + 2 * p - span(k, d) + 1) // s),
        counted,
    ],
    "2.3": [[2, 3], np.array([2, 3]), (2.0, 3.0), (Decimal(2), np.int8(3))],
    "2.4": [sliding(), by_tensorflow, nested_lists],
    "2.5": [
        np.array([[0.5, 2, 1], [0, -1, 0], [1, 2, 0.5]]),
        [[0.1 + 0.2, 1, 0], [2, 5, 2], [0, 1, 0.3]],
        [[0, 1, 0], [1, -4, 1], [0, 1, 0]],
    ],
    "2.6": [(6, 2, 2), [8, 2, 3], (4.0, 2.0, 1.0), (33, 1, 0), (11, 3, 20)],
}

WRONG = {
    "2.1": [
        (55.25, "quarter"),
        (56, "fits only in part"),
        (54, "first window counts"),
        (111, "swapped"),
        (214, "stride 1"),
        (224, "input's width"),
        (7, "once more"),
    ],
    "2.2": [
        (lambda i, k, s, p, d: (i + 2 * p - span(k, d)) / s + 1, "use // to round down"),
        (lambda i, k, s, p, d: math.ceil((i + 2 * p - span(k, d)) / s) + 1, "rounds up"),
        (lambda i, k, s, p, d: round((i + 2 * p - span(k, d)) / s) + 1, "nearest"),
        (lambda i, k, s, p, d: (i + 2 * p - span(k, d)) // s, "first window counts"),
        (lambda i, k, s, p, d: (i + p - span(k, d)) // s + 1, "both sides"),
        (lambda i, k, s, p, d: (i - span(k, d)) // s + 1, "padding is not used"),
        (lambda i, k, s, p, d: (i + 2 * p - k) // s + 1, "dilation is not used"),
        (lambda i, k, s, p, d: i + 2 * p - span(k, d) + 1, "stride is not used"),
        (lambda i, k, s, p, d: (i + 2 * p - k * d) // s + 1, "D(F − 1) + 1"),
        (lambda i, k, s, p, d: (i + 2 * s - span(k, d)) // (p or 1) + 1, "swapped"),
        (lambda i, k, s, p, d: (i + 2 * p - span(k, d)) // (s - 1) + 1, "raises ZeroDivisionError"),
        (
            lambda i, k, s, p, d: i // s,
            "for size=7, kernel=1, stride=1, padding=1, dilation=1 the result is 7. In (W",
        ),
    ],
    "2.3": [
        ((3, 2), "wrong way round"),
        ((3, 3), "other frameworks"),
        ((2, 2), "the odd zero is lost"),
        ((2.5, 2.5), "whole numbers"),
        ((1, 4), "evenly"),
        ((5, 0), "evenly"),
        ((0, 0), "how many more than 224"),
        (5, "give a pair (before, after); this is one number"),
    ],
    "2.4": [
        (lambda image, kernel, stride: slide(image, kernel[::-1, ::-1], stride), "flipped"),
        (lambda image, kernel, stride: slide(image, kernel, 1), "stride is not used"),
        (sliding(step=1), "row * stride"),
        (sliding(trim=1), "last window"),
        (lambda image, kernel, stride: nested_lists(image, kernel, stride, extra=0), "just fits at the edge"),
        (sliding(dtype=int), "array of floats"),
        (sliding(cell=lambda w, k: w.sum()), "multiply"),
        (sliding(cell=lambda w, k: (w * k).mean()), "mean"),
        (sliding(cell=lambda w, k: (w * k).max()), "largest"),
        (sliding(cell=lambda w, k: 0), "the result is [[0, 0, 0, 0]"),
        (lambda image, kernel, stride: image, "has the shape (5, 6); a right one has the shape (3, 4)"),
        (lambda image, kernel, stride: slide(image, kernel.T, stride), "Output (row, column) reads"),
    ],
    "2.5": [
        ([[1, 0, 1], [0, 1, 0], [1, 0, 1]], "2 different numbers"),
        ([[1, 2, 3], [2, 5, 6], [3, 6, 9]], "transpose"),
        ([[1, 2, 3], [4, 5, 6], [7, 8, 9]], "entry (0, 0) is 1, and after the flip 9"),
        ([[1e-9, 2e-9, 0], [0, 0, 0], [0, 0, 0]], "entry (0, 0) is 1e-09"),
        ([1, 2, 3], "3×3"),
    ],
    "2.6": [
        ((3, 2, 1), "remainder"),
        ((2, 2, 0), "larger than the stride"),
        ((3, 1, 1), "become 64"),
        ((4, 0, 1), "no such layer: stride=0"),
        ((4e30, 2, 1), "no such layer: kernel=4"),
        ((70, 2, 1), "no such layer: kernel=70 does not fit"),
        ((3, 2, 0.5), "whole numbers"),
        (4, "three numbers"),
    ],
}
