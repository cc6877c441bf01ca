"""Every exercise: its folded solution is accepted, typical wrong answers are rejected with a fitting hint, none is calm."""

import re

import numpy as np
import pytest

from cnn_utils import exercises
from tests import notebooks

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
            window = image[row * step : row * step + kernel.shape[0], column * step : column * step + kernel.shape[1]]
            output[row, column] = cell(window, kernel)
    return output


def sliding(**wrong):
    return lambda image, kernel, stride: slide(image, kernel, stride, **wrong)


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
    ("1.5", "far", "ValueError"),
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
    ("2.4", sliding(step=1), "row \\* stride"),
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
]  # fmt: skip


@pytest.mark.parametrize(("number", "answer", "hint"), WRONG, ids=[f"{number}-{hint}" for number, _, hint in WRONG])
def test_a_wrong_answer_is_rejected_with_a_hint_about_it(number, answer, hint):
    verdict = exercises.grade(number, answer)
    assert verdict.status == "wrong"
    assert re.search(hint, verdict.message), verdict.message


RIGHT = [
    ("1.1", -0.75),
    ("1.2", lambda x, y: np.array([tanh_slope(x, y) * y + 1, tanh_slope(x, y) * x])),
    ("1.4", 0.333),
    ("1.5", -100),
    ("1.5", np.float64(2.25)),
    ("2.1", np.int64(55)),
    ("2.1", 55.0),
    ("2.3", [2, 3]),
    ("2.3", np.array([2, 3])),
    ("2.4", sliding()),
    ("2.5", np.array([[0.5, 2, 1], [0, -1, 0], [1, 2, 0.5]])),
    ("2.6", (6, 2, 2)),
    ("2.6", [8, 2, 3]),
]


@pytest.mark.parametrize(("number", "answer"), RIGHT)
def test_a_right_answer_in_another_form_is_accepted(number, answer):
    verdict = exercises.grade(number, answer)
    assert verdict.status == "right", verdict.message
