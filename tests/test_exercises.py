"""Every exercise: its folded solution is accepted, typical wrong answers are rejected with a fitting hint, none is calm.

The answers are in `tests/exercises/`, one file for each notebook.
"""

import ast
import functools
import importlib
import inspect
import re
import subprocess
import sys
from collections import deque, namedtuple
from decimal import Decimal
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

from cnn_utils import exercises, keras, tf
from cnn_utils.exercises import comparing
from tools import notebooks

CHECK = re.compile(r'exercises\.check\("(\d+\.\d+)", (\w+)\)')
SOLUTION = re.compile(r"<details><summary>Solution</summary>.*?```python\n(.*?)```.*?</details>", re.DOTALL)
FOLDER = Path(exercises.__file__).parent
CHECKERS = {
    name: checker for part in exercises.NOTEBOOKS for name, checker in exercises.checkers(part).items()
}


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
    answer = run(setup, cell)[name]
    assert exercises.grade(number, answer) == exercises.Verdict("unanswered", f"{number} · not answered yet")
    if callable(answer):  # hints speak of the page's parameters
        assert list(inspect.signature(answer).parameters) == list(
            inspect.signature(CHECKERS[number].right).parameters
        )


# ------------------------------------------------------------------------------------------------- the tables of answers


def answers(table):
    """Yield (number, answer) or (number, answer, words) from the tables RIGHT or WRONG of all notebooks."""
    for file in sorted((Path(__file__).parent / "exercises").glob("[a-z]*.py")):
        rows = getattr(importlib.import_module(f"tests.exercises.{file.stem}"), table)
        for number, given in rows.items():
            for row in given:
                yield (number, row) if table == "RIGHT" else (number, *row)


RIGHT, WRONG = list(answers("RIGHT")), list(answers("WRONG"))


@pytest.mark.parametrize(("number", "answer"), RIGHT)
def test_a_right_answer_in_another_form_is_accepted(number, answer):
    verdict = exercises.grade(number, answer)
    assert verdict.status == "right", verdict.message


@pytest.mark.parametrize(
    ("number", "answer", "words"), WRONG, ids=[f"{number}-{words}" for number, _, words in WRONG]
)
def test_a_wrong_answer_is_rejected_with_a_hint_about_it(number, answer, words):
    verdict = exercises.grade(number, answer)
    assert verdict.status == "wrong"
    assert words in verdict.message, verdict.message


# ----------------------------------------------------------------------------------------- whatever a number comes as


class Measured:
    """What can be read as a number, as SymPy's can."""

    def __float__(self):
        return 55.0


FORMS = [
    int,
    float,
    np.uint8,
    np.float16,
    np.longdouble,
    np.array,
    Fraction,
    Decimal,
    tf.constant,
    tf.Variable,
    keras.Variable,
    keras.ops.convert_to_tensor,
    lambda number: tf.constant(number, tf.bfloat16),
    lambda number: np.array(Fraction(number)),
    lambda number: Measured(),
]


@pytest.mark.parametrize("form", FORMS)
def test_a_number_may_come_in_any_form(form):
    assert exercises.grade("2.1", form(55)).status == "right"


Layer = namedtuple("Layer", "kernel stride padding")


@pytest.mark.parametrize(
    "row",
    [
        [4, 2, 1],
        Layer(4, 2, 1),
        deque([4, 2, 1]),
        np.array([4, 2, 1], object),
        tf.constant([4.0, 2, 1]),
        (tf.constant(4), Fraction(2), np.int8(1)),
    ],
)
def test_a_row_may_come_in_any_form(row):
    assert exercises.grade("2.6", row).status == "right"


def in_itself():
    row = []
    row.append(row)
    return row


class Broken:
    def __array__(self, *_, **__):
        raise RuntimeError("no")


NO_NUMBERS = [  # alone, inside a list, and as the result of a function
    ("55", "is text; leave the quotes out"),
    (np.array("55"), "is text"),
    (b"55", "is text"),
    (np.array("55", np.dtypes.StringDType()), "is text"),
    (np.void(b"55"), "is of the type |V2, which is no number"),
    (tf.constant("55"), "is text"),
    (55 + 0j, "is complex"),
    (True, "says True or False"),
    (np.bool_(True), "says True or False"),
    ({55}, "is of the type set; make it a list"),
    ({"width": 55}, "is of the type dict; make it a list"),
    ((number for number in [55]), "is of the type generator; make it a list"),
    ([[1, 2], [3]], "parts of different shapes, (2,) and (1,)"),
    ([1, None], "still has a gap in it"),
    (10**400, "larger than any float"),
    (Decimal("sNaN"), "is of the type Decimal, which is no number"),
    (lambda: 55, "is a function; call it first"),
    (object(), "is of the type object, which is no number"),
    (Broken(), "is of the type Broken, which is no number"),
    (np.datetime64("2020-01-01"), "is of the type datetime64"),
    (keras.Input((55,)), "is of the type KerasTensor, which is no number"),
]
ODD = [
    *NO_NUMBERS,
    (float("nan"), "this is not finite: nan"),
    ([4, 2, np.inf], "this is a row of 3"),
    (in_itself(), "this holds itself"),
    ([], "this is a row of 0"),
    ([[55]], "this has the shape (1, 1)"),
]


@pytest.mark.parametrize(("answer", "words"), ODD, ids=[words for _, words in ODD])
def test_what_is_no_number_is_named_in_plain_words(answer, words):
    verdict = exercises.grade("2.1", answer)
    assert verdict.status == "wrong"
    assert verdict.message.startswith("2.1 · not yet: give one number; this ")
    assert words in verdict.message


@pytest.mark.parametrize(("answer", "words"), NO_NUMBERS, ids=[words for _, words in NO_NUMBERS])
def test_what_is_no_number_is_found_inside_a_list_and_in_a_result(answer, words):
    assert words in exercises.grade("2.6", [answer, 2, 1]).message
    if not isinstance(answer, bool | np.bool_):  # a function may well say True where 1 is meant
        assert words in exercises.grade("1.3", lambda *_: answer).message


@pytest.mark.parametrize("number", CHECKERS)
def test_no_odd_answer_ends_in_a_traceback_or_is_taken_for_right(number):
    for answer, _ in ODD:
        for odd in (answer, [answer] * 3, lambda *_, answer=answer: answer):
            verdict = exercises.grade(number, odd)
            assert verdict.status == "wrong", odd
            assert len(verdict.message) < 450 and "\n" not in verdict.message


def test_a_pair_that_is_half_filled_in_is_told_so():
    assert exercises.grade("2.3", (None, None)).status == "unanswered"
    assert "still has a gap" in exercises.grade("2.3", (2, None)).message


# ------------------------------------------------------------------------------------------ whatever a function looks like


class Step:
    def __call__(self, theta, gradient, rate):
        return theta - rate * gradient

    def method(self, theta, gradient, rate):
        return theta - rate * gradient


def by_name_only(*, rate, gradient, theta):
    return theta - rate * gradient


def into_one_array(theta, gradient, rate, place=np.zeros(2)):  # noqa: B008 · the same array at every call
    place[:] = theta - rate * gradient
    return place


STEPS = [
    lambda a, b, c: a - c * b,
    lambda rate, theta, gradient: theta - rate * gradient,
    lambda theta, gradient, /, rate: theta - rate * gradient,
    lambda theta, gradient, rate, momentum=0: theta - rate * gradient,
    lambda *given: given[0] - given[2] * given[1],
    lambda **given: given["theta"] - given["rate"] * given["gradient"],
    by_name_only,
    into_one_array,
    Step(),
    Step().method,
    functools.partial(lambda sign, theta, gradient, rate: theta + sign * rate * gradient, -1),
    tf.function(lambda theta, gradient, rate: theta - rate * gradient),
    np.vectorize(lambda theta, gradient, rate: theta - rate * gradient),
    lambda theta, gradient, rate: (theta - rate * gradient).astype(np.float16),
    lambda theta, gradient, rate: tf.cast(theta - rate * gradient, tf.bfloat16),
    lambda theta, gradient, rate: tuple(tf.constant(theta - rate * gradient)),
    lambda theta, gradient, rate: [
        Fraction(t) - Fraction(rate) * Fraction(g) for t, g in np.stack([theta, gradient]).T
    ],
]


@pytest.mark.parametrize("step", STEPS)
def test_a_function_may_look_as_it_likes(step):
    verdict = exercises.grade("1.3", step)
    assert verdict.status == "right", verdict.message


def documented(theta, gradient, rate):
    """Still to do."""


class Empty:
    def __call__(self, theta, gradient, rate): ...


@pytest.mark.parametrize(
    "empty",
    [
        documented,
        Empty(),
        tf.function(documented),
        functools.partial(documented),
        lambda *_: None,
        lambda *_: ...,
    ],
)
def test_a_body_that_does_nothing_is_unanswered(empty):
    assert exercises.grade("1.3", empty).status == "unanswered"


def forgotten(theta, gradient, rate):
    theta - rate * gradient  # noqa: B018


def in_place(theta, gradient, rate):
    theta -= rate * gradient


def yields(theta, gradient, rate):
    yield theta - rate * gradient


def leaves(theta, gradient, rate):
    raise SystemExit("bye")


def sometimes(theta, gradient, rate):
    return theta - rate * gradient if rate < 1 else None


BROKEN = [
    (
        forgotten,
        "for theta=[1, -2], gradient=[0.5, 3], rate=0.1 the function returns nothing; is there a `return`?",
    ),
    (in_place, "changes `theta` and returns nothing; `return` the result"),
    (sometimes, "rate=2 the function returns nothing"),
    (tf.function(forgotten), "returns nothing"),
    (Step().method(np.ones(2), np.ones(2), 1), "give the function itself"),
    (Step, "the function is called with (theta, gradient, rate); yours takes ()"),
    (
        lambda theta, gradient: theta,
        "the function is called with (theta, gradient, rate); yours takes (theta, gradient)",
    ),
    (lambda theta, gradient, rate: theta / nothing, "raises NameError: name 'nothing' is not defined"),  # noqa: F821
    (leaves, "raises SystemExit: bye"),
    (lambda theta, gradient, rate: leaves(theta, gradient, "\n" * 400), "raises SystemExit"),
    (lambda theta, gradient, rate: np.matmul(np.ones((2, 3)), theta), "raises ValueError: matmul"),
    (yields, "the result is of the type generator"),
    (lambda theta, gradient, rate: theta * np.nan, "the result is [nan, nan]"),
    (lambda theta, gradient, rate: {"theta": theta}, "the result is of the type dict"),
]


@pytest.mark.parametrize(("function", "words"), BROKEN, ids=[words for _, words in BROKEN])
def test_a_function_that_fails_is_told_where(function, words):
    verdict = exercises.grade("1.3", function)
    assert verdict.status == "wrong"
    assert words in verdict.message and "\n" not in verdict.message, verdict.message


def test_a_large_result_is_shown_by_its_first_wrong_number():
    def capped(scores):
        return np.minimum(tf.nn.softmax(scores), 0.2)

    assert "for scores of shape (3, 10) result[0, 1] is 0.2." in exercises.grade("6.6", capped).message


def test_what_a_function_prints_is_shown_once(capsys):
    def chatty(theta, gradient, rate):
        print("rate", rate)
        return theta - rate * gradient

    assert exercises.grade("1.3", chatty).status == "right"
    assert capsys.readouterr().out == "rate 0.1\n"


def test_warnings_of_an_answer_are_not_shown(recwarn):
    def empty_mean(theta, gradient, rate):
        return np.mean(theta[:0]) + np.log(-np.ones(2))

    assert exercises.grade("1.3", empty_mean).status == "wrong"
    assert not recwarn.list


def test_a_loop_that_does_not_end_can_be_stopped():
    def endless(theta, gradient, rate):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        exercises.grade("1.3", endless)


# ------------------------------------------------------------------------------------------ rules for every exercise


def templates(checker):
    """The hints that a checker holds as data."""
    hints = getattr(checker, "hints", {}).values() or getattr(checker, "mistakes", {})
    return {*hints, getattr(checker, "otherwise", "")}


def raised():
    """Yield the hints that code raises, as patterns: what stands in braces may be anything."""
    for file in sorted(FOLDER.glob("*.py")):
        for node in ast.walk(ast.parse(file.read_text())):
            if isinstance(node, ast.Raise) and isinstance(node.exc, ast.Call) and node.exc.func.id == "Hint":
                (text,) = node.exc.args
                parts = getattr(text, "values", [text])
                pattern = [re.escape(p.value) if isinstance(p, ast.Constant) else ".*" for p in parts]
                if pattern != [".*"]:  # a variable: a hint held as data
                    yield pytest.param("".join(pattern), id=f"{file.stem}-{node.lineno}")


@functools.cache
def messages():
    """What the tables make the checkers say: exercise -> all messages."""
    said = {number: [] for number in CHECKERS}
    for number, answer, _ in WRONG:
        said[number].append(exercises.grade(number, answer).message)
    said["2.1"] += [exercises.grade("2.1", answer).message for answer, _ in ODD]
    said["1.3"] += [exercises.grade("1.3", function).message for function, _ in BROKEN]
    said["1.3"].append(exercises.grade("1.3", lambda *_: "text").message)
    return said


@pytest.mark.parametrize("number", CHECKERS)
def test_every_exercise_has_three_wrong_answers_and_an_unusual_right_one(number):
    assert sum(row[0] == number for row in WRONG) >= 3
    assert sum(row[0] == number for row in RIGHT) >= 1


@pytest.mark.parametrize("number", CHECKERS)
def test_every_hint_is_reached_by_a_wrong_answer_of_its_exercise(number):
    said = messages()[number]
    for hint in templates(CHECKERS[number]):
        assert any(hint in message for message in said), hint


@pytest.mark.parametrize("pattern", list(raised()))
def test_every_hint_in_the_code_is_reached_too(pattern):
    said = "\n".join(message for part in messages().values() for message in part)
    assert re.search(pattern, said), pattern


def test_no_hint_gives_the_answer_away():
    for number, checker in CHECKERS.items():
        if isinstance(checker, comparing.Value) and np.ndim(checker.right) == 0:
            right = re.compile(rf"(?<![\d.]){re.escape(f'{checker.right:.4g}')}(?!\d|\.\d)")
            assert not [hint for hint in templates(checker) if right.search(hint)], number


def test_every_checker_has_an_exercise_and_the_other_way_round():
    assert [param.values[0] for param in PUBLISHED] == list(CHECKERS)


def test_numbers_have_no_gap_and_every_notebook_has_four_to_six():
    for path in notebooks.paths():
        part = str(int(path.name[:2]))
        numbers = list(exercises.checkers(part))
        assert numbers == [f"{part}.{place}" for place in range(1, len(numbers) + 1)]
        assert 4 <= len(numbers) <= 6 or path.name == "12_every_case.ipynb", path.name


def test_files_are_named_like_the_notebooks():
    for path in notebooks.paths():
        assert exercises.NOTEBOOKS.get(str(int(path.name[:2])), "every_case") == path.stem[3:]
    files = {file.stem for file in FOLDER.glob("[a-z]*.py")} - {"comparing"}
    assert files == {file.stem for file in (Path(__file__).parent / "exercises").glob("[a-z]*.py")}
    assert files <= set(exercises.NOTEBOOKS.values())


def test_checkers_wait_for_their_notebook_and_need_no_tensorflow():
    code = """
import sys
from cnn_utils import exercises
early = [name for name in sys.modules if name.startswith("cnn_utils.exercises.")]
for part in exercises.NOTEBOOKS:
    for number in exercises.checkers(part):
        exercises.grade(number, 1)
print(early, "tensorflow" in sys.modules, "cnn_utils.exercises.pooling" in sys.modules)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "['cnn_utils.exercises.comparing'] False True\n"


@pytest.mark.parametrize("number", ["9.9", "2.7", "2", "", 2.1, None, ["2.1"]])
def test_an_unknown_exercise_is_an_error_that_lists_the_known_ones(number):
    with pytest.raises(ValueError, match=rf"number={re.escape(repr(number))}: .*2\.1"):
        exercises.grade(number, 1)
