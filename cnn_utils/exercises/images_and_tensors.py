"""The checkers of notebook 0."""

import numpy as np

from cnn_utils.exercises.comparing import Example, Function, Hint, Value

BATCH = (32, 160, 224, 3)


def top_right_blue(indices):
    whole = indices.astype(int)
    if (whole != indices).any():
        raise Hint("indices are whole numbers.")
    for place, (index, size) in enumerate(zip(whole, BATCH, strict=True)):
        if not -size <= index < size:
            raise Hint(f"index {place} is {index}; that axis has {size} places, 0 to {size - 1}.")
    image, row, column, channel = whole % BATCH
    if image != 2:
        raise Hint(f"that is photograph number {image + 1}: counting starts at zero.")
    if (row, column) == (0, 0):
        raise Hint("that is the top left; columns count from the left.")
    if row == BATCH[1] - 1:
        raise Hint("the last row is the bottom; rows count from the top.")
    if (row, column) != (0, BATCH[2] - 1):
        raise Hint(f"row {row} and column {column} are not the top right corner.")
    if channel != 2:
        raise Hint(f"channel {channel} is {('red', 'green')[channel]}.")


def prepare(images):
    return images / 255


def to_keras(batch):
    return np.moveaxis(batch, 1, -1)


def mean_that_ran_over(pair):
    if (pair != pair.astype(int)).any() or pair.min() < 0 or pair.max() > 255:
        raise Hint("a byte is a whole number from 0 to 255.")
    a, b = pair.astype(int)
    if a != b:
        raise Hint(f"{a} and {b} are not equal.")
    if a == 0:
        raise Hint("the mean of two zeros is 0 in any type; find one that is wrong.")
    mean = (a + b) % 256 // 2
    if mean:
        raise Hint(f"{a} + {b} leaves {(a + b) % 256} in a byte, and half of that is {mean}.")


CHECKERS = {
    "0.1": Value(
        right=BATCH,
        wanted="four numbers",
        hints={
            (32, 224, 160, 3): "height and width are swapped: the number of rows comes first.",
            (32, 3, 160, 224): "that is NCHW; Keras has the channels last.",
            (160, 224, 3, 32): "which image it is comes first, not last.",
            (32, 160, 224, 1): "that is one channel; a colour photograph has more.",
        },
        otherwise="image, row, column, channel: how many of each?",
    ),
    "0.2": Value(
        right=4,
        hints={
            260: "a byte ends at 255.",
            255: "a byte does not stop at its end; it starts again.",
            5: "there are 256 different bytes: zero is one of them.",
            -6: "that is a signed byte's way to run over; a `uint8` is never negative.",
        },
        otherwise="count on from 250: where does the counter start again?",
    ),
    "0.3": Example("a row of four numbers", (4,), top_right_blue),
    "0.4": Function(
        right=prepare,
        cases=[
            (np.array([[0, 51], [102, 200]], np.uint8),),
            (np.arange(0, 96, 4, dtype=np.uint8).reshape(2, 3, 4, 1),),
        ],
        mistakes={
            "255 should become one, so divide by that.": lambda images: images / 256,
            "// drops what stands behind the point; use /.": lambda images: images // 255,
            "the numbers are floats now, but still run up to 255.": lambda images: images.astype(float),
            "divide by 255, not by the brightest pixel of these images: a dark picture should stay dark.": lambda images: (
                images / images.max()
            ),
            "that runs from −1 to 1; from 0 to 1 is wanted.": lambda images: images / 127.5 - 1,
        },
        otherwise="0 should become 0, and 255 should become 1.",
    ),
    "0.5": Function(
        right=to_keras,
        cases=[(np.arange(2.0 * 3 * 4 * 4).reshape(2, 3, 4, 4),), (np.arange(120.0).reshape(1, 2, 6, 10),)],
        mistakes={
            "the shape is right, the pictures are scrambled: move axes, do not cut anew.": lambda x: (
                x.reshape(len(x), *x.shape[2:], x.shape[1])
            ),
            "rows and columns are swapped: the pictures are mirrored in their diagonals.": lambda x: (
                x.transpose(0, 3, 2, 1)
            ),
            "that is the way from Keras to PyTorch; the other way is wanted.": lambda x: x.transpose(
                0, 3, 1, 2
            ),
            "the axes are where they were.": lambda x: x,
        },
        otherwise="The channels, axis 1, go to the end; all others keep their order.",
    ),
    "0.6": Example("two bytes", (2,), mean_that_ran_over),
}
