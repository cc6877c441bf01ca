"""Every exercise: its folded solution is accepted, typical wrong answers are rejected with a fitting hint, none is calm."""

import re

import numpy as np
import pytest

from cnn_utils import exercises
from tools import notebooks

CHECK = re.compile(r'exercises\.check\("(\d+\.\d+)", (\w+)\)')
SOLUTION = re.compile(r"<details><summary>Solution</summary>.*?```python\n(.*?)```.*?</details>", re.DOTALL)


def published():
    """Yield (number, set-up code, exercise code, name of the answer, solution) for each exercise in the notebooks."""
    for path in notebooks.paths():
        cells = notebooks.read(path).cells
        setup = next(cell.source for cell in cells if cell.cell_type == "code")
        for cell, following in zip(cells, [*cells[1:], None], strict=True):
            if cell.cell_type == "code" and (found := CHECK.search(cell.source)):
                folded = SOLUTION.match(following.source) if following is not None else None
                yield pytest.param(found[1], setup, cell.source, found[2], folded and folded[1], id=found[1])


def run(*sources):
    """Run pieces of a notebook one after the other, without their calls of the checker."""
    names = {}
    for source in sources:
        exec(CHECK.sub("", source), names)
    return names


PUBLISHED = list(published())


@pytest.mark.parametrize(("number", "setup", "cell", "name", "solution"), PUBLISHED)
def test_the_folded_solution_is_right(number, setup, cell, name, solution):
    assert solution, f"{number}: no folded solution under the exercise"
    verdict = exercises.grade(number, run(setup, cell, solution)[name])
    assert verdict.status == "right", verdict.message


@pytest.mark.parametrize(("number", "setup", "cell", "name", "solution"), PUBLISHED)
def test_the_exercise_as_published_counts_as_unanswered(number, setup, cell, name, solution):
    verdict = exercises.grade(number, run(setup, cell)[name])
    assert verdict == exercises.Verdict("unanswered", f"{number} · not answered yet")


def test_every_checker_has_an_exercise_and_the_other_way_round():
    assert [param.values[0] for param in PUBLISHED] == list(exercises._CHECKERS)


def test_every_notebook_has_four_to_six():
    numbers = [param.values[0].partition(".")[0] for param in PUBLISHED]
    for path in notebooks.paths():
        assert 4 <= numbers.count(str(int(path.name[:2]))) <= 6, path.name


def test_an_unknown_exercise_is_an_error_that_lists_the_known_ones():
    with pytest.raises(ValueError, match=r"number='9.9'.*2\.1"):
        exercises.grade("9.9", 1)


# --------------------------------------------------------------------------------- wrong and right answers, as readers write them


def tanh_slope(x, y):
    return 1 / np.cosh(x * y) ** 2


def sized(formula):
    return lambda size, kernel, stride, padding, dilation: formula(size, kernel, stride, padding, dilation)


def slide(image, kernel, stride, *, cell=lambda w, k: (w * k).sum(), step=None, trim=0, flip=False):
    """A reader's loop with one thing wrong."""
    kernel = kernel[::-1, ::-1] if flip else kernel
    step = step or stride
    rows = (image.shape[0] - kernel.shape[0]) // stride + 1 - trim
    columns = (image.shape[1] - kernel.shape[1]) // stride + 1 - trim
    output = np.zeros((rows, columns))
    for row in range(rows):
        for column in range(columns):
            window = image[
                row * step : row * step + kernel.shape[0], column * step : column * step + kernel.shape[1]
            ]
            output[row, column] = cell(window, kernel)
    return output


def sliding(**wrong):
    return lambda image, kernel, stride: slide(image, kernel, stride, **wrong)


def pool(image, pool, stride, *, cell=np.mean, step=None, trim=0):
    """A reader's pooling loop with one thing wrong."""
    step = step or stride
    rows, columns = ((side - pool) // stride + 1 - trim for side in image.shape)
    places = [(row * step, column * step) for row in range(rows) for column in range(columns)]
    return np.array([cell(image[top : top + pool, left : left + pool]) for top, left in places]).reshape(
        rows, columns
    )


def pooling(**wrong):
    return lambda image, size, stride: pool(image, size, stride, **wrong)


def first(window):
    """Where the first maximum is, row by row: the right rule."""
    mask = np.zeros(window.size)
    mask[window.argmax()] = 1
    return mask.reshape(window.shape)


def routing(share, used=True):
    """A reader's gradient of 2x2 max pooling: `share` says what part of the gradient each pixel of a window gets."""

    def gradient(image, arriving):
        result = np.zeros(image.shape)
        for (row, column), value in np.ndenumerate(arriving):
            place = slice(2 * row, 2 * row + 2), slice(2 * column, 2 * column + 2)
            result[place] += share(image[place]) * (value if used else 1)
        return result

    return gradient


WRONG = [
    ("1.1", 0.75, "which way"),
    ("1.1", 0.5, "slope of x/y in x"),
    ("1.1", -1.5, "square"),
    ("1.1", np.cos(6) + 0.5, "∂f/∂x"),
    ("1.1", 10, "only w6"),
    ("1.2", lambda x, y: (tanh_slope(x, y) * y, tanh_slope(x, y) * x), "second path"),
    ("1.2", lambda x, y: (y + 1, x), "slope of the tanh is missing"),
    ("1.2", lambda x, y: (tanh_slope(x, y) * x + 1, tanh_slope(x, y) * y), "other"),
    ("1.2", lambda x, y: (tanh_slope(x, y) * y + 1, tanh_slope(x, y) * x + 1), "x only"),
    ("1.2", lambda x, y: (np.tanh(x * y) * y + 1, np.tanh(x * y) * x), "not tanh itself"),
    ("1.2", lambda x, y: tanh_slope(x, y), "shape"),
    ("1.3", lambda theta, gradient, rate: theta + rate * gradient, "uphill"),
    ("1.3", lambda theta, gradient, rate: theta - gradient, "rate is not used"),
    ("1.3", lambda theta, gradient, rate: -rate * gradient, "change only"),
    ("1.3", lambda theta, gradient, rate: theta * rate - gradient, "not the place"),
    ("1.4", 2 / 3, "c = 6"),
    ("1.4", 1 / 6, "one step"),
    ("1.4", 6, "curvature"),
    ("1.4", 1, "c/2"),
    ("1.5", 1, "stays"),
    ("1.5", 2.2, "stays"),
    ("1.5", 5**0.5, "stays"),
    ("1.5", float("inf"), "finite"),
    ("1.5", "far", "ValueError"),
    ("1.1", -0.25, "here x is 3"),
    ("1.2", lambda x, y: (tanh_slope(x, y) * x, tanh_slope(x, y) * y + 1), "wrong way round"),
    ("2.3", (2.5, 2.5), "whole numbers"),
    ("2.1", 55.25, "round down"),
    ("2.1", 56, "round down"),
    ("2.1", 54, "first window counts"),
    ("2.1", 111, "swapped"),
    ("2.1", 224, "input's width"),
    ("2.1", 7, "once more"),
    ("2.1", "55", "one number"),
    ("2.1", [55], "one number"),
    ("2.2", sized(lambda i, k, s, p, d: (i + 2 * p - d * (k - 1) - 1) / s + 1), "round down"),
    ("2.2", sized(lambda i, k, s, p, d: -((d * (k - 1) + 1 - i - 2 * p) // s) + 1), "rounds up"),
    ("2.2", sized(lambda i, k, s, p, d: (i + 2 * p - d * (k - 1) - 1) // s), "first window counts"),
    ("2.2", sized(lambda i, k, s, p, d: (i + p - d * (k - 1) - 1) // s + 1), "both sides"),
    ("2.2", sized(lambda i, k, s, p, d: (i - d * (k - 1) - 1) // s + 1), "padding is not used"),
    ("2.2", sized(lambda i, k, s, p, d: (i + 2 * p - k) // s + 1), "dilation is not used"),
    ("2.2", sized(lambda i, k, s, p, d: (i + 2 * p - k * d) // s + 1), "D(F − 1) + 1"),
    ("2.2", sized(lambda i, k, s, p, d: i), "the result is 7"),
    ("2.2", sized(lambda i, k, s, p, d: i // 0), "ZeroDivisionError"),
    ("2.2", 12, "a function is wanted"),
    ("2.3", (3, 2), "wrong way round"),
    ("2.3", (3, 3), "other frameworks"),
    ("2.3", (1, 4), "evenly"),
    ("2.3", (0, 0), "0 zeros in all"),
    ("2.3", 5, "a pair"),
    ("2.4", sliding(flip=True), "flipped"),
    ("2.4", sliding(step=1), "row * stride"),
    ("2.4", sliding(trim=1), "last window"),
    ("2.4", sliding(cell=lambda w, k: w.sum()), "multiply"),
    ("2.4", sliding(cell=lambda w, k: (w * k).mean()), "mean"),
    ("2.4", sliding(cell=lambda w, k: (w * k).max()), "largest"),
    ("2.4", lambda image, kernel, stride: slide(image, kernel, 1), "stride is not used"),
    ("2.4", lambda image, kernel, stride: image, "shape"),
    ("2.5", [[1, 0, 1], [0, 1, 0], [1, 0, 1]], "different numbers"),
    ("2.5", [[1, 2, 3], [2, 5, 6], [3, 6, 9]], "transpose"),
    ("2.5", [[1, 2, 3], [4, 5, 6], [7, 8, 9]], "entry"),
    ("2.5", [1, 2, 3], "3×3"),
    ("2.6", (3, 2, 1), "remainder"),
    ("2.6", (2, 2, 0), "larger than the stride"),
    ("2.6", (3, 1, 1), "become 64"),
    ("2.6", 4, "three numbers"),
    ("3.1", 784, "does not"),
    ("3.1", 4 * 4 * 64, "not 4"),
    ("3.1", 9, "keeps the depth"),
    ("3.1", 72, "depth stays"),
    ("3.1", 7 * 7 * 64, "after two pools"),
    ("3.1", 3, "the width"),
    ("3.1", (3, 3, 64), "one number"),
    ("3.1", 100, "follow the width"),
    ("3.2", 1, "overlap"),
    ("3.2", 4, "stride 2"),
    ("3.2", 3, "both directions"),
    ("3.2", 1 / 9, "share of a mean"),
    ("3.2", 25, "must fit"),
    ("3.2", 8, "count the windows"),
    ("3.3", pooling(cell=np.max), "maximum"),
    ("3.3", pooling(cell=np.sum), "sum"),
    ("3.3", pooling(cell=lambda window: window.sum() / len(window)), "pool times pool"),
    ("3.3", lambda image, size, stride: pool(image, size, 1), "stride is not used"),
    ("3.3", lambda image, size, stride: pool(image, size, size), "`stride` apart"),
    ("3.3", pooling(step=1), "row * stride"),
    ("3.3", pooling(trim=1), "last window"),
    ("3.3", lambda image, size, stride: image, "shape"),
    ("3.3", lambda image, size, stride: image.mean(), "shape"),
    ("3.4", routing(lambda window: window == window.max()), "every tied winner"),
    ("3.4", routing(lambda window: (window == window.max()) / (window == window.max()).sum()), "share"),
    ("3.4", routing(lambda window: first(window[::-1, ::-1])[::-1, ::-1]), "the last one"),
    ("3.4", routing(lambda window: first(window.T).T), "column by column"),
    ("3.4", routing(first, used=False), "not used"),
    ("3.4", routing(lambda window: np.full((2, 2), 1 / 4)), "average pooling"),
    ("3.4", routing(lambda window: first(-window)), "smallest"),
    ("3.4", lambda image, arriving: arriving, "shape"),
    ("3.4", routing(lambda window: window), "the result is"),
    ("3.5", [0] * 8, "nothing changes"),
    ("3.5", [0, 0, 1, 1, 0, 0, 1, 1], "2 of 4"),
    ("3.5", [1, 0] * 4, "nothing changes"),
    ("3.5", [1, 0, 0, 0, 1, 0, 0, 0], "nothing changes"),
    ("3.5", [1, 2, 3, 4, 5, 6, 7, 8], "zeros and ones"),
    ("3.5", [0, 1, 0, 0], "eight numbers"),
]  # fmt: skip


WRONG += [
    ("6.1", 4608, "bias"),
    ("6.1", 320, "16 input channels"),
    ("6.1", 5120, "not one for each channel"),
    ("6.1", 12832, "5×5"),
    ("6.1", 880.5, "count"),
    ("6.2", 800, "with padding"),
    ("6.2", 16, "32 channels"),
    ("6.2", 1152, "conv2 shrinks"),
    ("6.2", 2048, "pool2"),
    ("6.2", 256, "conv1 has"),
    ("6.2", 10, "follow the width"),
    ("6.3", -2.3026, "minus"),
    ("6.3", 3.3219, "bits"),
    ("6.3", 1, "base ten"),
    ("6.3", 0.1, "probability of the right digit"),
    ("6.3", 0.9, "error rate"),
    ("6.3", 5, "ten equal"),
    ("6.4", lambda scores, labels: sum(np.argmax(scores, 1) == labels), "counts"),
    ("6.4", lambda scores, labels: 1 - np.mean(np.argmax(scores, 1) == labels), "error rate"),
    ("6.4", lambda scores, labels: 100 * np.mean(np.argmax(scores, 1) == labels), "per cent"),
    ("6.4", lambda scores, labels: np.mean(np.max(scores, 1) == labels), "argmax"),
    ("6.4", lambda scores, labels: scores.argmax(axis=1) == labels, "shape"),
    ("6.5", [1, 2, 3, 4, 5, 6, 7, 8, 9, 10], "3.4e38"),
    ("6.5", [80, 0, 0, 0, 0, 0, 0, 0, 0, 0], "3.4e38"),
    ("6.5", [np.inf] + [0] * 9, "ordinary"),
    ("6.5", [100], "shape"),
    ("6.6", lambda scores: np.exp(scores) / np.sum(np.exp(scores)), "each row is to sum"),
    ("6.6", lambda scores: np.exp(scores) / np.sum(np.exp(scores), axis=0), "axis −1"),
    ("6.6", lambda scores: scores / np.sum(scores, axis=-1, keepdims=True), "exponentials first"),
    (
        "6.6",
        lambda scores: np.exp(scores) / np.sum(np.exp(scores), axis=-1, keepdims=True),
        "Subtract the largest",
    ),
    (
        "6.6",
        lambda s: np.exp(s - s.mean()) / np.sum(np.exp(s - s.mean()), axis=-1, keepdims=True),
        "of each row",
    ),
    (
        "6.6",
        lambda s: np.exp(s - s.max()) / np.sum(np.exp(s - s.max()), axis=-1, keepdims=True),
        "of each row",
    ),
    ("6.6", lambda scores: 1.0 * (scores == scores.max(axis=-1, keepdims=True)), "softmax shares"),
]


@pytest.mark.parametrize(
    ("number", "answer", "hint"), WRONG, ids=[f"{number}-{hint}" for number, _, hint in WRONG]
)
def test_a_wrong_answer_is_rejected_with_a_hint_about_it(number, answer, hint):
    verdict = exercises.grade(number, answer)
    assert verdict.status == "wrong"
    assert hint in verdict.message, verdict.message


RIGHT = [
    ("6.1", 4640),
    ("6.3", 2.3026),
    (
        "6.4",
        lambda scores, labels: float(
            np.mean([np.argmax(row) == label for row, label in zip(scores, labels, strict=True)])
        ),
    ),
    ("6.5", np.array([-200.0] * 10)),
    ("6.6", lambda scores: np.exp(scores - np.logaddexp.reduce(scores, axis=-1, keepdims=True))),
    ("1.1", -0.75),
    ("1.2", lambda x, y: np.array([tanh_slope(x, y) * y + 1, tanh_slope(x, y) * x])),
    ("1.4", 0.333),
    ("1.5", -100),
    ("1.5", 1e200),
    ("1.5", np.float64(2.25)),
    ("2.1", np.int64(55)),
    ("2.1", 55.0),
    ("2.3", [2, 3]),
    ("2.3", np.array([2, 3])),
    ("2.4", sliding()),
    ("2.5", np.array([[0.5, 2, 1], [0, -1, 0], [1, 2, 0.5]])),
    ("2.6", (6, 2, 2)),
    ("2.6", [8, 2, 3]),
    ("3.1", np.int64(576)),
    ("3.2", 9.0),
    ("3.3", pooling()),
    ("3.4", routing(first)),
    ("3.5", (0, 0, 0, 1, 0, 0, 0, 1)),
    ("3.5", np.array([False, True, False, False] * 2)),
]


@pytest.mark.parametrize(("number", "answer"), RIGHT)
def test_a_right_answer_in_another_form_is_accepted(number, answer):
    verdict = exercises.grade(number, answer)
    assert verdict.status == "right", verdict.message
