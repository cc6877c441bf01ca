"""The exercises' checkers: each accepts every right answer and answers a wrong one with a hint about that mistake.

A checker is a function of the answer that returns a hint, or None when the answer is right.
"""

import math
from dataclasses import dataclass
from functools import partial

import numpy as np

from cnn_utils import arithmetic, reference


@dataclass(frozen=True)
class Verdict:
    """What became of an answer: `status` is "right", "wrong" or "unanswered"; `message` is what the reader sees."""

    status: str
    message: str


def check(number, answer):
    """Print the verdict on an answer to an exercise.

    >>> check("2.1", None)
    2.1 · not answered yet
    >>> check("2.1", 56)
    2.1 · not yet: a window that fits only in part does not count; round down.
    >>> check("2.1", 55)
    2.1 · right
    """
    print(grade(number, answer).message)


def grade(number, answer):
    """Judge an answer to the exercise `number`, such as "2.1".

    Returns
    -------
    Verdict

    Raises
    ------
    ValueError
        When there is no such exercise.
    """
    if number not in _CHECKERS:
        raise ValueError(f"number={number!r}: there is no such exercise; there are {', '.join(_CHECKERS)}")
    try:
        hint = None if _missing(answer) else _CHECKERS[number](answer)
        unanswered = _missing(answer)
    except _Unanswered:
        hint, unanswered = None, True
    except Exception as error:  # the reader's own code, or an answer of a kind nobody thought of
        hint, unanswered = f"checking it raised {type(error).__name__}: {error}", False
    if unanswered:
        return Verdict("unanswered", f"{number} · not answered yet")
    if hint:
        return Verdict("wrong", f"{number} · not yet: {hint}")
    return Verdict("right", f"{number} · right")


class _Unanswered(Exception):
    """The reader's function has no body yet."""


def _missing(answer):
    return answer is None or answer is ... or (isinstance(answer, tuple | list) and any(part is None or part is ... for part in answer))


def _number(answer, right, hints, otherwise, tolerance=0.0):
    """Compare a number with the right one; `hints` maps typical wrong numbers to what went wrong."""
    if isinstance(answer, str) or np.ndim(answer):
        return f"one number is wanted, and this is {answer!r}."
    if abs(answer - right) <= tolerance:
        return None
    for wrong, hint in hints.items():
        if math.isclose(answer, wrong, abs_tol=max(tolerance, 1e-9)):
            return hint
    return otherwise


def _function(answer, right, cases, mistakes, otherwise="", tolerance=1e-6):
    """Try the reader's function on cases; `mistakes` maps what went wrong to a function that goes wrong like that."""
    if not callable(answer):
        return f"a function is wanted, and this is {type(answer).__name__}."
    results = []
    for case in cases:
        result = answer(*(argument.copy() if isinstance(argument, np.ndarray) else argument for argument in case))
        if result is None:
            if results:
                return f"for {_call(case)} the function returns nothing."
            raise _Unanswered
        results.append(result)
    if all(_close(result, right(*case), tolerance) for result, case in zip(results, cases, strict=True)):
        return None
    for hint, wrong in mistakes.items():
        if all(_close(result, wrong(*case), tolerance) for result, case in zip(results, cases, strict=True)):
            return hint
    result, case = next((r, c) for r, c in zip(results, cases, strict=True) if not _close(r, right(*c), tolerance))
    if np.shape(result) != np.shape(right(*case)):
        return f"for {_call(case)} the result has the shape {np.shape(result)}; {np.shape(right(*case))} is wanted. {otherwise}".strip()
    return f"for {_call(case)} the result is {_short(result)}. {otherwise}".strip()


def _close(result, expected, tolerance):
    return np.shape(result) == np.shape(expected) and np.allclose(np.asarray(result, float), expected, rtol=tolerance, atol=tolerance)


def _call(case):
    return "(" + ", ".join(_short(argument) for argument in case) + ")"


def _short(value):
    value = np.asarray(value)
    return f"an array of shape {value.shape}" if value.size > 16 else np.array2string(value, precision=4, separator=", ").replace("\n", "")


# ------------------------------------------------------------------------------------------------ 1 · computational graphs


def _slope_in_y(answer):
    x, y = 3, 2
    hints = {
        x / y**2: "the size is right; which way does x/y move when y grows?",
        1 / y: "that is the slope of x/y in x; y is asked for.",
        -x / y: "the slope of 1/y is −1/y²: the square is missing.",
        np.cos(x) ** 2 - np.sin(x) ** 2 + 1 / y: "that is ∂f/∂x; y is asked for.",
    }
    return _number(answer, -x / y**2, hints, "only w6 = w1 / w2 reads y; what is the slope of x/y in y?", tolerance=1e-3)


def _walk_back(answer):
    def slope(x, y):
        return 1 - np.tanh(x * y) ** 2

    mistakes = {
        "a second path leads back to x, directly from the sum; add it.": lambda x, y: (slope(x, y) * y, slope(x, y) * x),
        "the slope of the tanh is missing along the path through the product.": lambda x, y: (y + 1, x),
        "the slope of a product is the *other* factor.": lambda x, y: (slope(x, y) * x + 1, slope(x, y) * y),
        "the direct path leads to x only, not to y.": lambda x, y: (slope(x, y) * y + 1, slope(x, y) * x + 1),
        "the slope of the tanh is 1 − tanh², not tanh itself.": lambda x, y: (np.tanh(x * y) * y + 1, np.tanh(x * y) * x),
    }
    cases = [(0.5, 2.0), (-1.0, 0.3), (0.2, 0.0)]
    return _function(answer, lambda x, y: (slope(x, y) * y + 1, slope(x, y) * x), cases, mistakes)


def _one_step(answer):
    mistakes = {
        "this walks uphill: the gradient points to where the cost grows.": lambda theta, g, rate: theta + rate * g,
        "the learning rate is not used.": lambda theta, g, rate: theta - g,
        "this is the change only; add it to where you are.": lambda theta, g, rate: -rate * g,
        "the rate scales the gradient, not the place.": lambda theta, g, rate: rate * theta - g,
    }
    cases = [(np.array([1.0, -2.0]), np.array([0.5, 3.0]), 0.1), (np.array([0.0, 4.0]), np.array([-1.0, 2.0]), 2.0)]
    return _function(answer, lambda theta, g, rate: theta - rate * g, cases, mistakes)


def _edge_of_three(answer):
    hints = {
        2 / 3: "3θ² is c/2 · θ² with c = 6, not 3.",
        1 / 6: "that is 1/c, the rate that arrives in one step; the edge is further out.",
        6: "that is the curvature; the edge is two divided by it.",
        3: "that is c/2 turned over: the edge is 2/c.",
    }
    return _number(answer, 2 / 6, hints, "write the cost as c/2 · θ² and divide 2 by c.", tolerance=5e-3)


def _start_of_divergence(answer):
    theta = start = float(answer)
    for _ in range(200):
        theta -= 0.1 * 4 * theta**3
        if abs(theta) > 1e6:
            return None
    return f"from {start:g} the walk stays: each step multiplies θ by 1 − 0.4 θ²; when is that below −1?"


# ------------------------------------------------------------------------------------------- 2 · convolution arithmetic


def _alexnet_width(answer):
    size = partial(arithmetic.conv_output_size, 224, 11)
    hints = {
        (224 + 4 - 11) / 4 + 1: "a quarter of a step is no step; round down.",
        size(stride=4, padding=2) + 1: "a window that fits only in part does not count; round down.",
        size(stride=4, padding=2) - 1: "one short: the first window counts too (+ 1), and the padding is on both sides (2P).",
        size(stride=2, padding=4): "that is stride 2 and padding 4; the two are swapped.",
        224: "that is the input's width; the kernel and the stride shrink it.",
    }
    return _number(answer, size(stride=4, padding=2), hints, "put the numbers into (W − F + 2P) / S + 1 once more.")


def _output_size(answer):
    cases = [(size, k, s, p, d) for size in (7, 10, 28) for k in (1, 2, 3) for s in (1, 2, 3) for p in (0, 1, 2) for d in (1, 2)]
    mistakes = {
        "the division leaves a fraction; use // to round down.": lambda i, k, s, p, d: (i + 2 * p - d * (k - 1) - 1) / s + 1,
        "it rounds up; a window that fits only in part does not count.": lambda i, k, s, p, d: -(-(i + 2 * p - d * (k - 1) - 1) // s) + 1,
        "one short: the first window counts too (+ 1).": lambda i, k, s, p, d: (i + 2 * p - d * (k - 1) - 1) // s,
        "the padding stands on both sides: 2P.": lambda i, k, s, p, d: (i + p - d * (k - 1) - 1) // s + 1,
        "the padding is not used.": lambda i, k, s, p, d: (i - d * (k - 1) - 1) // s + 1,
        "the dilation is not used.": lambda i, k, s, p, d: (i + 2 * p - k) // s + 1,
        "a dilated kernel reaches over D(F − 1) + 1 pixels, not over D·F.": lambda i, k, s, p, d: (i + 2 * p - d * k) // s + 1,
        "stride and padding are swapped.": lambda i, k, s, p, d: (i + 2 * s - d * (k - 1) - 1) // max(p, 1) + 1,
    }
    if callable(answer) and any(isinstance(answer(*case), float) and not float(answer(*case)).is_integer() for case in cases):
        return "the division leaves a fraction; use // to round down."

    def right(size, kernel, stride, padding, dilation):
        return arithmetic.conv_output_size(size, kernel, stride=stride, padding=padding, dilation=dilation)

    return _function(answer, right, cases, mistakes)


def _resnet_same(answer):
    before, after = arithmetic.same_padding(224, 7, stride=2)
    if np.shape(answer) != (2,):
        return f"a pair (before, after) is wanted, and this is {answer!r}."
    given = tuple(answer)
    if given == (before, after):
        return None
    if given == (after, before):
        return "the right two numbers, the wrong way round: the odd zero goes to the end."
    if given == (3, 3):
        return "six zeros are one more than the last window needs; that is the padding of other frameworks."
    if sum(given) == before + after:
        return "the sum is right; now share it as evenly as it goes."
    return f"{sum(given)} zeros in all; count what 112 windows, two pixels apart and 7 wide, reach over."


def _strided_convolution(answer):
    random = np.random.default_rng(2)
    shapes = [(5, 5, 3, 3, 1), (6, 8, 3, 2, 2), (9, 7, 2, 3, 3), (6, 6, 3, 3, 2)]
    cases = [(random.integers(-5, 6, (h, w)), random.integers(-5, 6, (a, b)), s) for h, w, a, b, s in shapes]

    def right(image, kernel, stride):
        return reference.conv2d(image[None, :, :, None], kernel[:, :, None, None], stride=stride)[0, :, :, 0]

    mistakes = {
        "the kernel is flipped; deep learning's convolution does not flip it.": lambda x, k, s: right(x, k[::-1, ::-1], s),
        "the stride is not used.": lambda x, k, s: right(x, k, 1),
        "the output has the right size, but its windows are one pixel apart: start them at row * stride.": lambda x, k, s: right(x, k, 1)[
            : right(x, k, s).shape[0], : right(x, k, s).shape[1]
        ],
        "the last window is missing in each direction: + 1 comes after the division.": lambda x, k, s: right(x, k, s)[:-1, :-1],
        "multiply the window by the kernel before adding up.": lambda x, k, s: right(x, np.ones_like(k), s),
        "this takes the mean of the products; a convolution takes their sum.": lambda x, k, s: right(x, k, s) / k.size,
        "this takes the largest product; a convolution adds them up.": lambda x, k, s: np.array(
            [
                [(x[r * s : r * s + k.shape[0], c * s : c * s + k.shape[1]] * k).max() for c in range(right(x, k, s).shape[1])]
                for r in range(right(x, k, s).shape[0])
            ]
        ),
    }
    return _function(answer, right, cases, mistakes)


def _undecided_kernel(answer):
    kernel = np.asarray(answer, float)
    if kernel.shape != (3, 3):
        return f"a kernel of 3×3 numbers is wanted, and this has the shape {kernel.shape}."
    if len(np.unique(kernel)) < 3:
        return f"it holds {len(np.unique(kernel))} different numbers; use at least three."
    if np.array_equal(kernel, kernel[::-1, ::-1]):
        return None
    if np.array_equal(kernel, kernel.T):
        return "it equals its transpose, but the flip is another one: upside down and left to right."
    row, column = np.argwhere(kernel != kernel[::-1, ::-1])[0]
    return f"entry ({row}, {column}) is {kernel[row, column]:g}, and after the flip {kernel[::-1, ::-1][row, column]:g} stands there."


def _halving_layer(answer):
    if np.shape(answer) != (3,):
        return f"three numbers (kernel, stride, padding) are wanted, and this is {answer!r}."
    kernel, stride, padding = answer
    size = arithmetic.conv_output_size(64, kernel, stride=stride, padding=padding)
    if size != 32:
        return f"64 pixels become {size}."
    if (64 + 2 * padding - kernel) % stride:
        return "32 comes out, but the division leaves a remainder: the last pixel or zero goes unread."
    if kernel <= stride:
        return f"32 comes out, but the kernel ({kernel}) should be larger than the stride ({stride})."
    return None


_CHECKERS = {
    "1.1": _slope_in_y,
    "1.2": _walk_back,
    "1.3": _one_step,
    "1.4": _edge_of_three,
    "1.5": _start_of_divergence,
    "2.1": _alexnet_width,
    "2.2": _output_size,
    "2.3": _resnet_same,
    "2.4": _strided_convolution,
    "2.5": _undecided_kernel,
    "2.6": _halving_layer,
}
