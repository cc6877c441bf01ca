"""The checkers of notebook 5."""

import numpy as np

from cnn_utils import reference
from cnn_utils.exercises.comparing import Example, Function, Hint, Value

OUTPUTS, SLOPES = np.array([0.2, 0.4, 0.1, 0.3]), np.array([0.2, 0.4, -0.9, 0.3])


def tanh_back(y, g):
    return g * (1 - y**2)


def one_window_with_a_tie(image):
    """Exactly one of the four 2×2 windows has its largest value more than once."""
    largest = reference.max_pool2d(image[None, :, :, None])[0, :, :, 0]
    winners = (image == largest.repeat(2, axis=0).repeat(2, axis=1)).reshape(2, 2, 2, 2).sum(axis=(1, 3))
    wrong = np.sum(winners > 1)
    if not wrong:
        raise Hint("each window has one maximum, so each hands on what arrived. When is ≥ true twice?")
    if wrong > 1:
        raise Hint(f"{wrong} of the four windows hand on more than arrived; exactly one should.")


CHECKERS = {
    "5.1": Value(
        right=(5, 5, 6, 16),
        hints={
            (32, 10, 10, 16): "that is the output; the gradient belongs to the kernel.",
            (32, 14, 14, 6): "that is the input; the gradient belongs to the kernel.",
            (5, 5, 16, 6): "the right numbers; Keras stores height, width, input channels, filters.",
            (
                32,
                5,
                5,
                16,
            ): "each image has a share in the gradient, but the shares add up: no axis for images.",
            (5, 5, 1, 16): "a filter is as deep as its input.",
        },
        otherwise="a gradient has the shape of what it belongs to: here height, width, input channels, filters.",
        wanted="a shape of four numbers",
    ),
    "5.2": Value(
        right=tuple(OUTPUTS - SLOPES / 2),
        hints={
            tuple(OUTPUTS + SLOPES / 2): "that is a step uphill: the slope points to where the error grows.",
            tuple(OUTPUTS - SLOPES): "that is a step with rate 1; it arrives at the target.",
            tuple(-SLOPES / 2): "that is the change only; add it to the outputs.",
            tuple(SLOPES / 2): "that is rate times slope; take it away from the outputs.",
            (0.1, 0.1, 0.7, 0.1): "those are the quoted outputs, which no single rate gives.",
        },
        otherwise="output − rate · slope, and the slope of each output is output − target.",
        wanted="a row of four numbers",
        tolerance=1e-3,
    ),
    "5.3": Value(
        right=2**10,
        hints={
            2 * 10: "the choices multiply: each of the two ways back from a node splits again.",
            10: "that is the number of steps; at each of them there are two ways back.",
            11: "that is the number of nodes; count the ways from the last to the first.",
            2**11: "that is one step too many: 11 nodes have ten steps between them.",
            2**9: "that is one step too few: 11 nodes have ten steps between them.",
            10**2: "the other way round: two choices, ten times over.",
            1: "each sum reads the node before twice: that makes two ways back, not one.",
        },
        otherwise="each step has two ways back; how many are there after two steps, after three?",
    ),
    "5.4": Value(
        right=(1, 2, 5, 4, 6),
        hints={
            (3, 2, 7, 4, 2): "the stamp is the kernel as it is: input i meets weight 1 of output i.",
            (1, 2, 3, 4, 6): "where stamps overlap they add up: the middle number lies under two of them.",
            (1, 2, 2, 4, 6): "where stamps overlap they add up: the middle number lies under two of them.",
            (1, 2, 3, 0, 0): "that is the first output's stamp; the third has one too.",
            (0, 0, 2, 4, 6): "that is the third output's stamp; the first has one too.",
            (1, 2, 4, 2, 3): "each stamp is multiplied by what arrives: the third by 2.",
        },
        otherwise="output 0 reads inputs 0, 1, 2, output 2 reads inputs 2, 3, 4: lay the kernel there, times what arrives.",
        wanted="a row of five numbers",
    ),
    "5.5": Function(
        right=tanh_back,
        cases=[
            (np.array([-0.8, 0.6, -0.1, 0.25]), np.array([1.0, -2.0, 4.0, 0.5])),
            (np.array([[0.9, -0.5], [0.0, 0.4]]), np.array([[-1.0, -2.0], [3.0, 0.25]])),
        ],
        mistakes={
            "y is the output already: no second tanh.": lambda y, g: g * (1 - np.tanh(y) ** 2),
            "that is the slope alone; multiply it by what arrives.": lambda y, g: 1 - y**2,
            "that is the sigmoid's slope; tanh's is another.": lambda y, g: g * y * (1 - y),
            "what arrives is multiplied by the slope, not by the output.": lambda y, g: g * y,
            "tanh climbs everywhere, so its slope is not negative: the signs are turned round.": lambda y, g: (
                g * (y**2 - 1)
            ),
            "what arrives is multiplied by the slope, not divided by it.": lambda y, g: g / (1 - y**2),
            "the other way round: y gives the slope, and g is what it multiplies.": lambda y, g: (
                y * (1 - g**2)
            ),
            "the square belongs to y alone.": lambda y, g: g * (1 - y) ** 2,
        },
        otherwise="From the input, tanh's slope is 1 − tanh(x)²; here y is tanh(x).",
    ),
    "5.6": Example("an image of 4×4 numbers", (4, 4), one_window_with_a_tie),
}
