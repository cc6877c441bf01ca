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
    return (
        answer is None
        or answer is ...
        or (isinstance(answer, tuple | list) and any(part is None or part is ... for part in answer))
    )


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
        result = answer(
            *(argument.copy() if isinstance(argument, np.ndarray) else argument for argument in case)
        )
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
    result, case = next(
        (r, c) for r, c in zip(results, cases, strict=True) if not _close(r, right(*c), tolerance)
    )
    shape, wanted = np.shape(result), np.shape(right(*case))
    if shape != wanted:
        return f"for {_call(case)} the result has the shape {shape}; {wanted} is wanted. {otherwise}".strip()
    return f"for {_call(case)} the result is {_short(result)}. {otherwise}".strip()


def _close(result, expected, tolerance):
    return np.shape(result) == np.shape(expected) and np.allclose(
        np.asarray(result, float), expected, rtol=tolerance, atol=tolerance
    )


def _call(case):
    return "(" + ", ".join(_short(argument) for argument in case) + ")"


def _short(value):
    value = np.asarray(value)
    return (
        f"an array of shape {value.shape}"
        if value.size > 16
        else np.array2string(value, precision=4, separator=", ").replace("\n", "")
    )


# ------------------------------------------------------------------------------------------------ 1 · computational graphs


def _slope_in_y(answer):
    x, y = 3, 2
    hints = {
        x / y**2: "the size is right; which way does x/y move when y grows?",
        1 / y: "that is the slope of x/y in x; y is asked for.",
        -1 / 4: "that is the slope at x = 1, y = 2; here x is 3.",
        -x / y: "the slope of 1/y is −1/y²: the square is missing.",
        np.cos(x) ** 2 - np.sin(x) ** 2 + 1 / y: "that is ∂f/∂x; y is asked for.",
    }
    return _number(
        answer, -x / y**2, hints, "only w6 = w1 / w2 reads y; what is the slope of x/y in y?", tolerance=1e-3
    )


def _walk_back(answer):
    def slope(x, y):
        return 1 - np.tanh(x * y) ** 2

    mistakes = {
        "a second path leads back to x, directly from the sum; add it.": lambda x, y: (
            slope(x, y) * y,
            slope(x, y) * x,
        ),
        "the right two, the wrong way round: ∂g/∂x comes first.": lambda x, y: (
            slope(x, y) * x,
            slope(x, y) * y + 1,
        ),
        "the slope of the tanh is missing along the path through the product.": lambda x, y: (y + 1, x),
        "the slope of a product is the *other* factor.": lambda x, y: (slope(x, y) * x + 1, slope(x, y) * y),
        "the direct path leads to x only, not to y.": lambda x, y: (slope(x, y) * y + 1, slope(x, y) * x + 1),
        "the slope of the tanh is 1 − tanh², not tanh itself.": lambda x, y: (
            np.tanh(x * y) * y + 1,
            np.tanh(x * y) * x,
        ),
    }
    cases = [(0.5, 2.0), (-1.0, 0.3), (0.2, 0.0)]
    return _function(answer, lambda x, y: (slope(x, y) * y + 1, slope(x, y) * x), cases, mistakes)


def _one_step(answer):
    mistakes = {
        "this walks uphill: the gradient points to where the cost grows.": lambda theta, g, rate: (
            theta + rate * g
        ),
        "the learning rate is not used.": lambda theta, g, rate: theta - g,
        "this is the change only; add it to where you are.": lambda theta, g, rate: -rate * g,
        "the rate scales the gradient, not the place.": lambda theta, g, rate: rate * theta - g,
    }
    cases = [
        (np.array([1.0, -2.0]), np.array([0.5, 3.0]), 0.1),
        (np.array([0.0, 4.0]), np.array([-1.0, 2.0]), 2.0),
    ]
    return _function(answer, lambda theta, g, rate: theta - rate * g, cases, mistakes)


def _edge_of_three(answer):
    hints = {
        2 / 3: "3θ² is c/2 · θ² with c = 6, not 3.",
        1 / 6: "that is 1/c, the rate that arrives in one step; the edge is further out.",
        6: "that is the curvature; the edge is two divided by it.",
        3: "that is c/2; the edge is that turned over, 2/c.",
        1: "that is the edge of θ², which is c/2 · θ² with c = 2.",
    }
    return _number(answer, 2 / 6, hints, "write the cost as c/2 · θ² and divide 2 by c.", tolerance=5e-3)


def _start_of_divergence(answer):
    start = float(answer)
    if not math.isfinite(start):
        return f"one finite number is wanted, and this is {answer!r}."
    if abs(start) > math.sqrt(5):  # not simulated: rounding would drive √5 itself away, a huge start overflow
        return None
    return f"from {start:g} the walk stays: each step multiplies θ by 1 − 0.4 θ²; when is that below −1?"


# ------------------------------------------------------------------------------------------- 2 · convolution arithmetic


def _alexnet_width(answer):
    size = partial(arithmetic.conv_output_size, 224, 11)
    hints = {
        (224 + 4 - 11) / 4 + 1: "a quarter of a step is no step; round down.",
        size(stride=4, padding=2) + 1: "a window that fits only in part does not count; round down.",
        size(stride=4, padding=2)
        - 1: "one short: the first window counts too (+ 1), and the padding is on both sides (2P).",
        size(stride=2, padding=4): "that is stride 2 and padding 4; the two are swapped.",
        224: "that is the input's width; the kernel and the stride shrink it.",
    }
    return _number(
        answer, size(stride=4, padding=2), hints, "put the numbers into (W − F + 2P) / S + 1 once more."
    )


def _output_size(answer):
    cases = [
        (size, k, s, p, d)
        for size in (7, 10, 28)
        for k in (1, 2, 3)
        for s in (1, 2, 3)
        for p in (0, 1, 2)
        for d in (1, 2)
    ]
    mistakes = {
        "the division leaves a fraction; use // to round down.": lambda i, k, s, p, d: (
            (i + 2 * p - d * (k - 1) - 1) / s + 1
        ),
        "it rounds up; a window that fits only in part does not count.": lambda i, k, s, p, d: (
            -(-(i + 2 * p - d * (k - 1) - 1) // s) + 1
        ),
        "one short: the first window counts too (+ 1).": lambda i, k, s, p, d: (
            (i + 2 * p - d * (k - 1) - 1) // s
        ),
        "the padding stands on both sides: 2P.": lambda i, k, s, p, d: (i + p - d * (k - 1) - 1) // s + 1,
        "the padding is not used.": lambda i, k, s, p, d: (i - d * (k - 1) - 1) // s + 1,
        "the dilation is not used.": lambda i, k, s, p, d: (i + 2 * p - k) // s + 1,
        "a dilated kernel reaches over D(F − 1) + 1 pixels, not over D·F.": lambda i, k, s, p, d: (
            (i + 2 * p - d * k) // s + 1
        ),
        "stride and padding are swapped.": lambda i, k, s, p, d: (
            (i + 2 * s - d * (k - 1) - 1) // max(p, 1) + 1
        ),
    }
    if callable(answer) and any(
        isinstance(answer(*case), float) and not float(answer(*case)).is_integer() for case in cases
    ):
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
    if any(zeros != int(zeros) for zeros in given):
        return "zeros come in whole numbers; the odd one goes to one side."
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
        "the kernel is flipped; deep learning's convolution does not flip it.": lambda x, k, s: right(
            x, k[::-1, ::-1], s
        ),
        "the stride is not used.": lambda x, k, s: right(x, k, 1),
        "the output has the right size, but its windows are one pixel apart: start them at row * stride.": lambda x, k, s: (
            right(x, k, 1)[: right(x, k, s).shape[0], : right(x, k, s).shape[1]]
        ),
        "the last window is missing in each direction: + 1 comes after the division.": lambda x, k, s: right(
            x, k, s
        )[:-1, :-1],
        "multiply the window by the kernel before adding up.": lambda x, k, s: right(x, np.ones_like(k), s),
        "this takes the mean of the products; a convolution takes their sum.": lambda x, k, s: (
            right(x, k, s) / k.size
        ),
        "this takes the largest product; a convolution adds them up.": lambda x, k, s: np.array(
            [
                [
                    (x[r * s : r * s + k.shape[0], c * s : c * s + k.shape[1]] * k).max()
                    for c in range(right(x, k, s).shape[1])
                ]
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
    after = kernel[::-1, ::-1][row, column]
    return f"entry ({row}, {column}) is {kernel[row, column]:g}, and after the flip {after:g} stands there."


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


# ------------------------------------------------------------------------------------------------------------ 3 · pooling


def _three_pools(answer):
    hints = {
        28
        * 28
        * 64
        // 64: "one in four, three times over, needs a size that halves three times; 7 does not.",
        4 * 4 * 64: "7 becomes 3, not 4: without padding a window that fits only in part does not count.",
        3 * 3: "that is one channel; a pool keeps the depth.",
        3 * 3 * 8: "the depth stays; only height and width are halved.",
        7 * 7 * 64: "that is after two pools.",
        3: "that is the width; count all the numbers of the volume.",
    }
    return _number(
        answer,
        3 * 3 * 64,
        hints,
        "follow the width through the three pools: floor((W − 2) / 2) + 1 each time.",
    )


def _middle_gradient(answer):
    hints = {
        1: "windows overlap: the middle pixel wins in more than one, and its gradients add up.",
        4: "that is stride 2; with stride 1 there are more windows.",
        3: "three windows in each direction; count both directions.",
        1 / 9: "that is the share of a mean; a maximum gives its winner everything.",
        25: "a window must fit: it has three places in each direction, not five.",
    }
    return _number(answer, 9, hints, "count the windows that hold the middle pixel.")


def _strided_average(answer):
    random = np.random.default_rng(3)
    cases = [
        (random.integers(-9, 10, shape).astype(float), pool, stride)
        for *shape, pool, stride in [(6, 6, 2, 2), (7, 9, 3, 2), (8, 7, 2, 3)]
    ]

    def every(layer, step=None):
        return lambda image, pool, stride: layer(image[None, :, :, None], pool, stride=step or stride)[
            0, :, :, 0
        ]

    right = every(reference.average_pool2d)
    mistakes = {
        "that is the maximum of each window; the mean is wanted.": every(reference.max_pool2d),
        "that is the sum; divide by the number of pixels in a window.": lambda x, pool, s: (
            right(x, pool, s) * pool**2
        ),
        "divide by all the pixels of a window, pool times pool.": lambda x, pool, s: right(x, pool, s) * pool,
        "the stride is not used: windows are one pixel apart.": every(reference.average_pool2d, 1),
        "the windows are `pool` pixels apart; they should be `stride` apart.": lambda x, pool, s: right(
            x, pool, pool
        ),
        "the output has the right size, but its windows are one pixel apart: start them at row * stride.": lambda x, pool, s: (
            right(x, pool, 1)[: right(x, pool, s).shape[0], : right(x, pool, s).shape[1]]
        ),
        "the last window is missing in each direction: + 1 comes after the division.": lambda x, pool, s: (
            right(x, pool, s)[:-1, :-1]
        ),
    }
    return _function(answer, right, cases, mistakes)


def _routed_gradient(answer):
    tied = np.array([[2.0, 2, 0, 0], [1, 2, 0, 0], [1, 5, 3, 4], [5, 2, 4, 1]])
    wide = -np.hstack([tied, tied[::-1, 1:3]])  # negative, and not square
    cases = [(tied, np.array([[1.0, 2], [3, 4]])), (wide, np.array([[0.5, -1, 1], [2, 3, -2]]))]

    def right(image, arriving):
        return reference.max_pool2d_gradient(image[None, :, :, None], arriving[None, :, :, None])[0, :, :, 0]

    def windows(image):
        return image.reshape(image.shape[0] // 2, 2, -1, 2)

    def spread(arriving):
        return arriving.repeat(2, 0).repeat(2, 1)

    def winners(image):
        return image == spread(windows(image).max(axis=(1, 3)))

    def shared(image, arriving):
        return winners(image) * spread(arriving / windows(winners(image)).sum(axis=(1, 3)))

    mistakes = {
        "every tied winner gets the gradient; only the first one should.": lambda x, g: (
            winners(x) * spread(g)
        ),
        "tied winners share the gradient; here the first takes it all.": shared,
        "of tied winners the last one gets it; the first one should.": lambda x, g: right(
            x[::-1, ::-1], g[::-1, ::-1]
        )[::-1, ::-1],
        "each window is searched column by column; reading order goes row by row.": lambda x, g: (
            right(x.T, g.T).T
        ),
        "the winners are right, but what arrives at their windows is not used.": lambda x, g: right(
            x, np.ones_like(g)
        ),
        "that spreads the gradient evenly, as average pooling does.": lambda x, g: spread(g) / 4,
        "the smallest pixel of each window gets it; the largest should.": lambda x, g: right(-x, g),
    }
    return _function(answer, right, cases, mistakes)


def _unstable_row(answer):
    row = np.asarray(answer, float)
    if row.shape != (8,):
        return f"a row of eight numbers is wanted, and this has the shape {row.shape}."
    if not np.isin(row, (0, 1)).all():
        return "use zeros and ones only."
    before, after = (moved.reshape(4, 2).max(axis=1) for moved in (row, np.roll(row, 1)))
    unchanged = np.flatnonzero(before == after)
    if len(unchanged) == 0:
        return None
    pooled = f"it pools to {_short(before)}, and one place further right to {_short(after)}"
    if len(unchanged) == 4:
        return f"{pooled}: nothing changes."
    return f"{pooled}: {4 - len(unchanged)} of 4 change. What must leave or enter window {unchanged[0]}?"


# ------------------------------------------------------------------------------------------------------ 6 · MNIST ConvNet


def _conv2_parameters(answer):
    hints = {
        32 * 3 * 3 * 16: "each filter has a bias as well.",
        32 * (3 * 3 + 1): "each filter has weights for all 16 input channels.",
        32 * 16 * (3 * 3 + 1): "one bias for each filter, not one for each channel.",
        arithmetic.conv_parameters(5, 16, 32): "that is the count with 5×5 kernels.",
    }
    otherwise = "count (height × width × input channels + 1) × filters."
    return _number(answer, arithmetic.conv_parameters(3, 16, 32), hints, otherwise)


def _flattened(answer):
    hints = {
        5 * 5 * 32: "that is with padding; without it conv1 gives 24 pixels.",
        4 * 4: "4×4 pixels, but in each of 32 channels.",
        6 * 6 * 32: "conv2 shrinks its input as well: a 5-wide kernel without padding.",
        8 * 8 * 32: "pool2 still halves that.",
        4 * 4 * 16: "16 channels is what conv1 has; conv2 has 32.",
    }
    otherwise = "follow the width: conv1, pool1, conv2, pool2; then width × width × channels."
    return _number(answer, 4 * 4 * 32, hints, otherwise)


def _loss_of_ignorance(answer):
    hints = {
        -math.log(10): "the right size; the loss is *minus* the logarithm.",
        math.log2(10): "that is in bits; Keras uses the natural logarithm.",
        1.0: "that is with the logarithm to base ten; Keras uses the natural one.",
        0.1: "that is the probability of the right digit; the loss is minus its logarithm.",
        0.9: "the loss is not the error rate; it is minus the logarithm of the right digit's probability.",
    }
    return _number(
        answer,
        math.log(10),
        hints,
        "ten equal probabilities; take minus the logarithm of one of them.",
        tolerance=5e-3,
    )


def _accuracy_of(answer):
    random = np.random.default_rng(6)
    cases = [(random.normal(size=(count, 10)), random.integers(0, 10, count)) for count in (7, 40)]
    cases = [
        (np.where(np.eye(10)[labels] * (np.arange(len(labels)) % 3 > 0)[:, None] > 0, 5.0, scores), labels)
        for scores, labels in cases
    ]
    mistakes = {
        "this counts the right answers; divide by how many there are.": lambda s, y: (
            s.argmax(axis=1) == y
        ).sum(),
        "this is the error rate: the share of wrong answers.": lambda s, y: (s.argmax(axis=1) != y).mean(),
        "between 0 and 1, please, not per cent.": lambda s, y: 100 * (s.argmax(axis=1) == y).mean(),
        "the largest score is not the answer; its place is: argmax.": lambda s, y: (
            s.max(axis=1) == y
        ).mean(),
    }
    return _function(
        answer,
        lambda scores, labels: (scores.argmax(axis=1) == labels).mean(),
        cases,
        mistakes,
        "Compare the place of each row's largest score with the label.",
    )


def _overflow(answer):
    scores = np.asarray(answer, np.float32)
    if scores.shape != (10,):
        return f"ten scores are wanted, and this has the shape {scores.shape}."
    if not np.isfinite(scores).all():
        return "the scores themselves should be ordinary numbers."
    with np.errstate(all="ignore"):
        shares = np.exp(scores) / np.exp(scores).sum()
    if not np.isclose(shares.sum(), 1, atol=1e-3):
        return None
    largest = np.exp(scores.max())
    return f"those still give probabilities: the largest exponential is {largest:.3g}, and float32 ends near 3.4e38."


def _softmax(answer):
    def right(scores):
        powers = np.exp(scores - scores.max(axis=-1, keepdims=True))
        return powers / powers.sum(axis=-1, keepdims=True)

    random = np.random.default_rng(6)
    small, large = random.normal(size=(3, 10)), np.array([[1e5, 99999.0, 0.0], [-1e5, -1e5, -100001.0]])
    mistakes = {
        "the exponentials are divided by the sum of all rows; each row is to sum to one.": lambda s: (
            np.exp(s) / np.exp(s).sum()
        ),
        "it sums over the rows; each row on its own is to sum to one (axis −1).": lambda s: (
            np.exp(s) / np.exp(s).sum(axis=0)
        ),
        "this divides the scores by their sum; take the exponentials first.": lambda s: (
            s / s.sum(axis=-1, keepdims=True)
        ),
        "this puts everything on the largest score; softmax shares.": lambda s: np.eye(s.shape[-1])[
            s.argmax(axis=-1)
        ],
    }
    with np.errstate(all="ignore"):
        hint = _function(
            answer, right, [(small,), (small[0],)], mistakes, "Exponentials, divided by the sum of their row."
        )
        return hint or _function(
            answer,
            right,
            [(large,)],
            {},
            "Subtract the largest score of each row before taking exponentials.",
        )


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
    "3.1": _three_pools,
    "3.2": _middle_gradient,
    "3.3": _strided_average,
    "3.4": _routed_gradient,
    "3.5": _unstable_row,
    "6.1": _conv2_parameters,
    "6.2": _flattened,
    "6.3": _loss_of_ignorance,
    "6.4": _accuracy_of,
    "6.5": _overflow,
    "6.6": _softmax,
}
