"""The comparers that checkers are made of: each holds what is right, and a hint for every typical mistake.

``judge(answer)`` returns when the answer is right, and raises ``Hint`` or ``Unanswered`` when it is not. Numbers are
taken as they come: whole or not, from NumPy, TensorFlow or ``fractions``, in lists, tuples, arrays or tensors.
"""

import contextlib
import dis
import functools
import inspect
import io
import sys
import textwrap
from collections.abc import Callable, Iterator, Mapping, Set
from dataclasses import dataclass

import numpy as np

_NOTHING = {step.opname for step in dis.get_instructions(lambda: None)} | {"NOP"}


class Hint(Exception):
    """What the reader is told about a wrong answer."""


class Unanswered(Exception):
    """The exercise is still as the page has it."""


@dataclass(frozen=True)
class Value:
    """One right number, or one right row of them; `hints` maps typical wrong ones to what went wrong."""

    right: float | tuple
    hints: dict
    otherwise: str
    wanted: str = "one number"
    tolerance: float = 1e-6

    def judge(self, answer):
        given = _of_shape(np.shape(self.right), answer, self.wanted)
        if np.allclose(given, self.right, rtol=0, atol=self.tolerance):
            return
        for wrong, hint in self.hints.items():
            if np.allclose(given, wrong, rtol=0, atol=self.tolerance):
                raise Hint(hint)
        raise Hint(self.otherwise)


@dataclass(frozen=True)
class Example:
    """Any numbers with a certain property: `examine` raises the hint when they lack it."""

    wanted: str
    shape: tuple
    examine: Callable
    truth: bool = False  # whether True and False may stand for 1 and 0

    def judge(self, answer):
        self.examine(_of_shape(self.shape, answer, self.wanted, self.truth))


@dataclass(frozen=True)
class Function:
    """A function that does on `cases` what `right` does; hints speak of the parameters by the names they have in `right`.

    `mistakes` maps a hint to a function that goes wrong in that way; a case for which that gives nan or infinity is
    left out of the comparison. `otherwise` follows what the first wrong result was.
    """

    right: Callable
    cases: list
    mistakes: dict
    otherwise: str
    tolerance: float = 1e-4  # float32 is good enough

    def judge(self, answer):
        if not callable(answer):
            raise Hint("give the function itself: its name, without brackets behind it.")
        results = []
        for case in self.cases:  # what the reader's function prints is shown for the first of them only
            with contextlib.redirect_stdout(io.StringIO() if results else sys.stdout):
                results.append(self._result(answer, case))
        if self._agree(results, self.right):
            return
        for hint, wrong in self.mistakes.items():
            if self._agree(results, wrong):
                raise Hint(hint)
        for case, result in zip(self.cases, results, strict=True):
            expected = np.asarray(self.right(*case), float)
            if not self._close(result, expected):
                raise Hint(f"for {self._words(case)} {self._difference(result, expected)}. {self.otherwise}")

    def _result(self, answer, case):
        """Call the reader's function on copies, and turn what it returns into an array."""
        given = {name: np.copy(value) if np.ndim(value) else value for name, value in self._named(case)}
        call = _call_of(answer, given)
        try:
            result = call()
        except (Exception, SystemExit) as error:
            words = textwrap.shorten(f"{type(error).__name__}: {error}", 200, placeholder=" …")
            raise Hint(f"for {self._words(case)} the function raises {words}") from None
        if result is ... or (result is None and _does_nothing(answer)):
            raise Unanswered
        if result is None:
            for name, value in self._named(case):
                if not np.array_equal(given[name], value):
                    raise Hint(f"the function changes `{name}` and returns nothing; `return` the result.")
            raise Hint(f"for {self._words(case)} the function returns nothing; is there a `return`?")
        try:
            return numbers(result, truth=True).copy()  # the next call may write into the same array
        except Hint as problem:
            raise Hint(f"for {self._words(case)} the result {problem}.") from None

    def _agree(self, results, function):
        pairs = zip(results, self.cases, strict=True)
        return all(self._close(result, np.asarray(function(*case), float)) for result, case in pairs)

    def _close(self, result, expected):
        if result.shape != expected.shape:
            return False
        tolerance = 0.02 if result.dtype == np.float16 else self.tolerance
        left_out = not np.isfinite(expected).all()
        return left_out or np.allclose(result, expected, rtol=tolerance, atol=tolerance)

    def _difference(self, result, expected):
        if result.shape != expected.shape:
            return f"the result {_form(result)}; a right one {_form(expected)}"
        if result.size <= 16:
            return f"the result is {short(result)}"
        place = next(i for i in np.ndindex(result.shape) if not self._close(result[i], expected[i]))
        return f"result[{', '.join(map(str, place))}] is {short(result[place])}"

    def _words(self, case):
        return ", ".join(
            f"{name}={short(value)}" if np.size(value) <= 16 else f"{name} of shape {np.shape(value)}"
            for name, value in self._named(case)
        )

    def _named(self, case):
        return list(zip(inspect.signature(self.right).parameters, case, strict=True))


def sliding_mistakes(right):
    """What goes wrong in a loop over windows, whatever is done in them; `right(image, window, stride)` does it right."""

    def neighbouring(image, window, stride):
        rows, columns = right(image, window, stride).shape
        return right(image, window, 1)[:rows, :columns]

    def short_of_the_edge(image, window, stride):
        free = (
            np.array(right(image, window, 1).shape) - 1
        )  # how far a window can move: where range() stops, it stands
        rows, columns = -(-free // stride)
        return right(image, window, stride)[:rows, :columns]

    return {
        "the stride is not used: windows are one pixel apart.": lambda x, window, s: right(x, window, 1),
        "the right size, but the windows are one pixel apart: start them at row * stride.": neighbouring,
        "the last window is missing in each direction: + 1 comes after the division.": lambda x, window, s: (
            right(x, window, s)[:-1, :-1]
        ),
        "the window that just fits at the edge is missing: range() ends before its stop.": short_of_the_edge,
        "what stands behind the point is lost: make the output an array of floats.": lambda x, window, s: (
            np.trunc(right(x, window, s))
        ),
    }


def numbers(answer, truth=False):
    """Turn an answer into an array of numbers; the hint that it raises when it cannot is the end of a sentence.

    >>> from fractions import Fraction
    >>> numbers([1, Fraction(1, 2), np.float32(0.25)])
    array([1.  , 0.5 , 0.25])
    >>> numbers([[1, 2], [3]])
    Traceback (most recent call last):
    cnn_utils.exercises.comparing.Hint: has parts of different shapes, (2,) and (1,)
    """
    if answer is None or answer is ...:
        raise Hint("still has a gap in it: None (or ...) where a number belongs")
    if isinstance(answer, Mapping | Set | Iterator):
        raise Hint(f"is of the type {type(answer).__name__}; make it a list")
    if isinstance(answer, list | tuple):
        try:
            parts = [numbers(part, truth) for part in answer]
        except RecursionError:
            raise Hint("holds itself") from None
        shapes = list(dict.fromkeys(part.shape for part in parts))
        if len(shapes) > 1:
            raise Hint(f"has parts of different shapes, {shapes[0]} and {shapes[1]}")
        return np.array(parts)
    try:
        array = np.asarray(answer)
    except Exception:  # whatever the answer's own conversion raises; one bfloat16 is a number all the same
        return _number_of(answer)
    kind = array.dtype.kind
    if kind == "O":
        alone = array.ndim == 0 and array.item() is answer
        return _number_of(answer) if alone else numbers(array.tolist(), truth)
    if kind in "SUT":
        raise Hint("is text; leave the quotes out")
    if kind == "b" and not truth:
        raise Hint("says True or False, and a number says how much")
    if kind == "c":
        raise Hint("is complex; a real number is wanted")
    if kind in "Mm" or array.dtype.type is np.void:
        raise Hint(f"is of the type {array.dtype}, which is no number")
    return array if kind in "iuf" else array.astype(np.float16 if kind == "V" else float)  # V: bfloat16


def _number_of(thing):
    """Turn what is neither a list nor an array into one number: a Fraction, a Decimal, whatever float() can read."""
    if callable(thing):
        raise Hint("is a function; call it first")
    try:
        return np.asarray(float(thing))
    except OverflowError:
        raise Hint("is larger than any float") from None
    except Exception:
        raise Hint(f"is of the type {type(thing).__name__}, which is no number") from None


def short(value):
    """Write down a number or a small array on one line."""
    style = {"float_kind": "{:.6g}".format, "int": str}
    return np.array2string(np.asarray(value), separator=", ", formatter=style).replace("\n", "")


def untouched(answer):
    """Whether an answer is still the page's None or `...`, alone or in every place of a pair."""
    if isinstance(answer, list | tuple) and answer:
        return all(part is None or part is ... for part in answer)
    return answer is None or answer is ...


def _of_shape(shape, answer, wanted, truth=False):
    """Turn an answer into finite numbers of the shape that is wanted."""
    try:
        array = numbers(answer, truth)
    except Hint as problem:
        raise Hint(f"give {wanted}; this {problem}.") from None
    if array.shape != shape:
        raise Hint(f"give {wanted}; this {_form(array)}.")
    if not np.isfinite(array).all():
        raise Hint(f"give {wanted}; this is not finite: {short(array)}.")
    return array.astype(float)[()]


def _form(array):
    if array.ndim < 2:
        return f"is a row of {array.size}" if array.ndim else "is one number"
    return f"has the shape {array.shape}"


def _call_of(function, given):
    """Bind the arguments by name where the reader kept the page's names, else in their order."""
    try:
        signature = inspect.signature(function)
    except (TypeError, ValueError):  # some functions that are not written in Python have none
        return functools.partial(function, *given.values())
    by_name, in_order = ((), given), (given.values(), {})
    kept = set(given) <= set(signature.parameters)
    for arguments, named in (by_name, in_order) if kept else (in_order, by_name):
        with contextlib.suppress(TypeError):
            signature.bind(*arguments, **named)
            return functools.partial(function, *arguments, **named)
    raise Hint(f"the function is called with ({', '.join(given)}); yours takes {signature}.")


def _does_nothing(function):
    """Whether a function's body is still the page's `...`, or as empty as that."""
    function = inspect.unwrap(getattr(function, "func", function))  # `func`: what a partial calls
    if not hasattr(function, "__code__"):
        function = type(function).__call__
    code = getattr(function, "__code__", None)
    return code is not None and {step.opname for step in dis.get_instructions(code)} <= _NOTHING
