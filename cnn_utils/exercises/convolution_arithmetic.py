"""The checkers of notebook 2."""

from itertools import product

import numpy as np

from cnn_utils import arithmetic, reference
from cnn_utils.exercises.comparing import Example, Function, Hint, Value, sliding_mistakes


def output_size(size, kernel, stride, padding, dilation):
    return arithmetic.conv_output_size(size, kernel, stride=stride, padding=padding, dilation=dilation)


def free(size, kernel, padding, dilation):
    """How many pixels the window can move."""
    return size + 2 * padding - dilation * (kernel - 1) - 1


def strided_convolution(image, kernel, stride):
    return reference.conv2d(image[None, :, :, None], kernel[:, :, None, None], stride=stride)[0, :, :, 0]


def images_and_kernels():
    """Whole numbers, which a reader can follow, and a kernel of fractions; no image is as high as wide."""
    random = np.random.default_rng(2)
    shapes = [((5, 6), (3, 3), 1), ((6, 8), (3, 2), 2), ((9, 7), (2, 3), 3), ((6, 7), (3, 3), 2)]
    for image, kernel, stride in shapes:
        yield random.integers(-5, 6, image), random.integers(-5, 6, kernel), stride
    yield random.integers(-5, 6, (5, 4)), random.normal(size=(2, 2)), 1


def largest_product(image, kernel, stride):
    windows = np.lib.stride_tricks.sliding_window_view(image, kernel.shape)[::stride, ::stride]
    return (windows * kernel).max(axis=(2, 3))


def undecided_kernel(kernel):
    turned, rounding = kernel[::-1, ::-1], 1e-6 * np.abs(kernel).max()
    if len(np.unique(kernel)) < 3:
        raise Hint(f"it holds {len(np.unique(kernel))} different numbers; use at least three.")
    if np.allclose(kernel, turned, atol=rounding):
        return
    if np.array_equal(kernel, kernel.T):
        raise Hint("it equals its transpose, but the flip is another one: upside down and left to right.")
    row, column = np.argwhere(~np.isclose(kernel, turned, atol=rounding))[0]
    before, after = kernel[row, column], turned[row, column]
    raise Hint(f"entry ({row}, {column}) is {before:g}, and after the flip {after:g} stands there.")


def halving_layer(answer):
    if (answer != answer.round()).any():
        raise Hint("kernel, stride and padding are whole numbers.")
    kernel, stride, padding = (int(number) for number in answer)
    try:
        size = arithmetic.conv_output_size(64, kernel, stride=stride, padding=padding)
    except ValueError as error:
        raise Hint(f"there is no such layer: {error}.") from None
    if size != 32:
        raise Hint(f"64 pixels become {size}.")
    if (64 + 2 * padding - kernel) % stride:
        raise Hint("32 comes out, but the division leaves a remainder: the last pixel or zero goes unread.")
    if kernel <= stride:
        raise Hint(f"32 comes out, but the kernel ({kernel}) should be larger than the stride ({stride}).")


CHECKERS = {
    "2.1": Value(
        right=55,
        hints={
            55.25: "a quarter of a step is no step; round down.",
            56: "a window that fits only in part does not count; round down.",
            54: "one short: the first window counts too (+ 1), and the padding is on both sides (2P).",
            111: "that is stride 2 and padding 4; the two are swapped.",
            214: "that is stride 1 without padding; the window moves four pixels at a time.",
            224: "that is the input's width; the kernel and the stride shrink it.",
        },
        otherwise="put the numbers into (W − F + 2P) / S + 1 once more.",
    ),
    "2.2": Function(
        right=output_size,
        cases=list(product((7, 10, 28), (1, 2, 3), (1, 2, 3), (0, 1, 2), (1, 2))),
        mistakes={
            "the division leaves a fraction; use // to round down.": lambda i, k, s, p, d: (
                free(i, k, p, d) / s + 1
            ),
            "it rounds up; a window that fits only in part does not count.": lambda i, k, s, p, d: (
                -(-free(i, k, p, d) // s) + 1
            ),
            "it rounds to the nearest; however large the part that fits, the window does not count.": lambda i, k, s, p, d: (
                round(free(i, k, p, d) / s) + 1
            ),
            "one short: the first window counts too (+ 1).": lambda i, k, s, p, d: free(i, k, p, d) // s,
            "the padding stands on both sides: 2P.": lambda i, k, s, p, d: (free(i, k, p, d) - p) // s + 1,
            "the padding is not used.": lambda i, k, s, p, d: free(i, k, 0, d) // s + 1,
            "the dilation is not used.": lambda i, k, s, p, d: free(i, k, p, 1) // s + 1,
            "the stride is not used.": lambda i, k, s, p, d: free(i, k, p, d) + 1,
            "a dilated kernel reaches over D(F − 1) + 1 pixels, not over D·F.": lambda i, k, s, p, d: (
                (i + 2 * p - d * k) // s + 1
            ),
            "stride and padding are swapped.": lambda i, k, s, p, d: free(i, k, s, d) // max(p, 1) + 1,
        },
        otherwise="In (W − F + 2P) / S + 1, put what the dilated kernel reaches over in the place of F.",
    ),
    "2.3": Value(
        right=(2, 3),
        wanted="a pair (before, after)",
        hints={
            (3, 2): "the right two numbers, the wrong way round: the odd zero goes to the end.",
            (3, 3): "one zero more than the last window needs; that is the padding of other frameworks.",
            (2, 2): "the odd zero is lost: only the share in front is rounded down.",
            (2.5, 2.5): "zeros come in whole numbers; the odd one goes to one side.",
            **dict.fromkeys([(0, 5), (1, 4), (4, 1), (5, 0)], "the sum is right; share it evenly."),
        },
        otherwise="count the pixels that 112 windows, two apart and 7 wide, reach over; how many more than 224 is that?",
    ),
    "2.4": Function(
        right=strided_convolution,
        cases=list(images_and_kernels()),
        mistakes={
            "the kernel is flipped; deep learning's convolution does not flip it.": lambda x, k, s: (
                strided_convolution(x, k[::-1, ::-1], s)
            ),
            **sliding_mistakes(strided_convolution),
            "multiply the window by the kernel before adding up.": lambda x, k, s: strided_convolution(
                x, np.ones_like(k), s
            ),
            "this takes the mean of the products; a convolution takes their sum.": lambda x, k, s: (
                strided_convolution(x, k, s) / k.size
            ),
            "this takes the largest product; a convolution adds them up.": largest_product,
        },
        otherwise="Output (row, column) reads the window whose corner is at (row * stride, column * stride).",
    ),
    "2.5": Example("a kernel of 3×3 numbers", (3, 3), undecided_kernel),
    "2.6": Example("three numbers (kernel, stride, padding)", (3,), halving_layer),
}
