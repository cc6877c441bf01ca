"""Answers to the exercises of notebook 7."""

from fractions import Fraction

import numpy as np
from scipy import ndimage

from cnn_utils import arithmetic, keras, tf


def box_sums(image, weights, size):
    return ndimage.convolve(weights * image, np.ones((size, size)), mode="constant")


def by_copies(image, weights, size):
    copies = np.repeat(image[None], image.size, axis=0)
    reach = size // 2
    for copy, (row, column) in zip(copies, np.ndindex(*image.shape), strict=True):
        copy[max(0, row - reach) : row + reach + 1, max(0, column - reach) : column + reach + 1] = 0
    return ((image - copies) * weights).sum(axis=(1, 2)).reshape(image.shape).tolist()


def pixel_by_pixel(image, down, right):
    result = np.zeros_like(image)
    for row, column in np.ndindex(image.shape):
        if 0 <= row + down < len(image) and 0 <= column + right < image.shape[1]:
            result[row + down, column + right] = image[row, column]
    return result


def rolled_and_blanked(image, down, right):
    image = np.roll(image, (down, right), (0, 1))
    for axis, way in enumerate((down, right)):
        lines = np.moveaxis(image, axis, 0)
        lines[slice(way) if way > 0 else slice(len(lines) + way, None)] = 0
    return image


def left_hidden(image, weights, size):
    drops, before = [], np.sum(weights * image)
    for row, column in np.ndindex(image.shape):
        image[
            max(0, row - size // 2) : row + size // 2 + 1, max(0, column - size // 2) : column + size // 2 + 1
        ] = 0
        drops.append(before - np.sum(weights * image))
    return np.reshape(drops, image.shape)


def cut_off_wrongly(image, weights, size):
    drops, reach = [], size // 2
    for row in range(len(image)):
        for column in range(image.shape[1]):
            copy = image.copy()
            copy[row - reach : row + reach + 1, column - reach : column + reach + 1] = 0
            drops.append(np.sum(weights * (image - copy)))
    return np.reshape(drops, image.shape)


def from_the_corner(image, weights, size):
    padded = np.pad(weights * image, ((0, size - 1), (0, size - 1)))
    return np.array(
        [
            [padded[row : row + size, column : column + size].sum() for column in range(image.shape[1])]
            for row in range(image.shape[0])
        ]
    )


RIGHT = {
    "7.1": [
        32.0,
        tf.constant(32),
        arithmetic.receptive_field([(5, 1), (2, 2), (5, 1), (2, 2), (5, 1)]).size,
    ],
    "7.2": [
        0.8,
        Fraction(4, 5),
        np.var([2, 2, 6, 6]) / np.var([1, 3, 5, 7]),
        np.corrcoef([1, 3, 5, 7], [0, 0, 1, 1])[0, 1] ** 2,
    ],
    "7.3": [box_sums, by_copies, lambda i, w, s: ndimage.uniform_filter(i * w, s, mode="constant") * s**2],
    "7.4": [
        pixel_by_pixel,
        rolled_and_blanked,
        lambda image, down, right: ndimage.shift(image, (down, right), order=0),
        lambda image, down, right: ndimage.affine_transform(image, np.eye(2), (-down, -right), order=0),
    ],
    "7.5": [2, 1.5, tf.constant(3.0), np.float32(1e6), keras.ops.convert_to_tensor(7)],
}

WRONG = {
    "7.1": [
        (20, "further apart"),
        (24, "two pools for one"),
        (36, "4 steps"),
        (16, "pool2 itself"),
        (14, "window of conv2"),
        (13, "without pools"),
        (15, "no stride"),
        (64, "how many pixels"),
    ],
    "7.2": [
        (0.2, "within"),
        (4, "divide by all"),
        (1, "within a class"),
        (5, "which share"),
        (0.25, "between over all"),
        (80, "per cent"),
        (0.6, "not by one less"),
        (0.5, "class means"),
    ],
    "7.3": [
        (lambda image, weights, size: -box_sums(image, weights, size), "sign"),
        (
            lambda image, weights, size: np.sum(weights * image) - box_sums(image, weights, size),
            "after hiding",
        ),
        (lambda image, weights, size: image * weights, "one pixel"),
        (left_hidden, "stays hidden"),
        (from_the_corner, "in its middle"),
        (cut_off_wrongly, "negative"),
        (lambda image, weights, size: np.zeros(image.shape), "black in a copy"),
    ],
    "7.4": [
        (lambda image, down, right: np.roll(np.roll(image, down, 0), right, 1), "comes in on the other"),
        (lambda image, down, right: pixel_by_pixel(image, -down, -right), "other way"),
        (lambda image, down, right: pixel_by_pixel(image, right, down), "exchanged"),
        (lambda image, down, right: pixel_by_pixel(image, down, 0), "only the rows"),
        (lambda image, down, right: pixel_by_pixel(image, 0, right), "only the columns"),
        (lambda image, down, right: image, "row + down"),
    ],
    "7.5": [(0.5, "slope is 1"), (-3, "slope is 1"), (1, "corner")],
}
