"""The checkers of notebook 9."""

import numpy as np

from cnn_utils.arithmetic import conv_parameters
from cnn_utils.exercises.comparing import Function, Value


def inception(channels, one, reduce3, three, reduce5, five, projection):
    branches = _ones(channels, (one, reduce3, reduce5, projection))
    return branches + conv_parameters(3, reduce3, three) + conv_parameters(5, reduce5, five)


def without_biases(channels, one, reduce3, three, reduce5, five, projection):
    filters = one + reduce3 + three + reduce5 + five + projection
    return inception(channels, one, reduce3, three, reduce5, five, projection) - filters


def without_reductions(channels, one, reduce3, three, reduce5, five, projection):
    wide = conv_parameters(3, channels, three) + conv_parameters(5, channels, five)
    return wide + _ones(channels, (one, projection))


def reductions_forgotten(channels, one, reduce3, three, reduce5, five, projection):
    return inception(channels, one, reduce3, three, reduce5, five, projection) - _ones(
        channels, (reduce3, reduce5)
    )


def wide_on_all(channels, one, reduce3, three, reduce5, five, projection):
    return without_reductions(channels, one, reduce3, three, reduce5, five, projection) + _ones(
        channels, (reduce3, reduce5)
    )


def projection_forgotten(channels, one, reduce3, three, reduce5, five, projection):
    return inception(channels, one, reduce3, three, reduce5, five, projection) - _ones(
        channels, (projection,)
    )


def block(x, first, second):
    return _relu(x + _branch(x, first, second))


def _ones(channels, filters):
    return sum(conv_parameters(1, channels, count) for count in filters)


def _branch(x, first, second):
    return _relu(x @ first) @ second


def _relu(a):
    return np.maximum(a, 0)


random = np.random.default_rng(9)
BLOCKS = [tuple(random.normal(size=size) for size in ((4,), (4, 6), (6, 4))) for _ in range(4)]

CHECKERS = {
    "9.1": Value(
        right=14_765_988,
        hints={
            14_714_688: "these are the convolutions; the dense layer comes on top.",
            14_765_888: "each of the 100 units has a bias, too.",
            51_300: "that is the dense layer alone; the convolutions come on top.",
            17_223_588: "that dense layer reads 7·7·512 numbers; behind the pooling there are 512.",
            138_357_544: "that is VGG-16 with its three dense layers, for 1,000 classes.",
        },
        otherwise="14,714,688 and a dense layer from 512 numbers to 100, with biases.",
    ),
    "9.2": Value(
        right=(5, 45 / 121),
        hints={
            (5, 121 / 45): "the share is the other way round: of the small ones in the large one.",
            (4, 36 / 121): "four see 9 pixels: the first sees 3, each one more adds 2.",
            (5, 9 / 121): "that is the share of one of the five.",
            (5, 15 / 121): "a 3×3 kernel has nine weights.",
            (5, 15 / 11): "the kernels have two sides: 9 weights and 121.",
            (5, 4500 / 121): "a share between 0 and 1, please, not per cent.",
            (6, 54 / 121): "six see 13 pixels: the first sees 3, each one more adds 2.",
        },
        otherwise="n layers see 1 + 2n pixels; they have n·9 weights where the one has 121.",
        wanted="a pair, layers and share",
        tolerance=2e-3,
    ),
    "9.3": Function(
        right=inception,
        cases=[(192, 64, 96, 128, 16, 32, 32), (7, 6, 5, 4, 3, 2, 1), (480, 192, 96, 208, 16, 48, 64)],
        mistakes={
            "each filter has a bias, too.": without_biases,
            "that is the module without reductions: 3×3 and 5×5 read what their reductions give.": without_reductions,
            "3×3 and 5×5 read their reductions, not all channels.": wide_on_all,
            "the reductions have weights, too.": reductions_forgotten,
            "the projection behind the pool is missing.": projection_forgotten,
        },
        otherwise="Six convolutions: four of 1×1 on `channels`, one 3×3 and one 5×5 on their reductions.",
    ),
    "9.4": Function(
        right=block,
        cases=BLOCKS,
        mistakes={
            "nothing is skipped: add `x`.": lambda x, first, second: _relu(_branch(x, first, second)),
            "the last ReLU comes after the addition.": lambda x, first, second: (
                x + _relu(_branch(x, first, second))
            ),
            "only the sum goes through the last ReLU, not the branch before it.": lambda x, first, second: (
                _relu(x + _relu(_branch(x, first, second)))
            ),
            "the ReLU at the end is missing.": lambda x, first, second: x + _branch(x, first, second),
            "the ReLU between the two layers is missing.": lambda x, first, second: _relu(
                x + x @ first @ second
            ),
        },
        otherwise="relu(x + relu(x @ first) @ second).",
    ),
    "9.5": Value(
        right=20,
        hints={
            10: "after 10 the variance is 1,024 times that of the start; the standard deviation is its root.",
            19: "after 19 it is 724 times: 2 to the power of 9.5.",
            1000: "each block adds as much as is there by then, not as much as at the start.",
            1_000_000: "each block adds as much as is there by then, not as much as at the start.",
            2 * np.log2(1000): "a whole number of blocks: round up.",
            np.log2(1000): "that is for the variance, and a whole number is wanted.",
        },
        otherwise="the variance doubles in each block; it must exceed 1,000 squared.",
        tolerance=1e-3,
    ),
}
