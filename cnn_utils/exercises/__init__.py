"""The exercises' checkers: each accepts every right answer and answers a wrong one with a hint about that mistake.

The exercises of a notebook have their checkers in the module that is named like it. Such a module holds
``CHECKERS``, one comparer (see ``comparing``) for each number, and is imported when an exercise of it is first checked.
"""

import importlib
import importlib.util
import warnings
from dataclasses import dataclass

import numpy as np

from cnn_utils.exercises.comparing import Hint, Unanswered, untouched

NOTEBOOKS = {
    "0": "images_and_tensors",
    "1": "computational_graphs",
    "2": "convolution_arithmetic",
    "3": "pooling",
    "4": "nonlinearities",
    "5": "backpropagation",
    "6": "mnist_convnet",
    "7": "inside_the_convnet",
    "8": "fashion_mnist",
    "9": "architectures",
    "10": "beyond_one_label",
    "11": "scaling_out",
}


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

    A function that is the answer runs on a few cases, without a limit of time: Jupyter's stop button ends a loop
    that does not end by itself. What it prints is shown for the first case only.

    Returns
    -------
    Verdict

    Raises
    ------
    ValueError
        When there is no such exercise.
    """
    checker = checkers(number.partition(".")[0]).get(number) if isinstance(number, str) else None
    if checker is None:
        known = [name for notebook in NOTEBOOKS for name in checkers(notebook)]
        raise ValueError(f"number={number!r}: there is no such exercise; there are {', '.join(known)}")
    try:
        if untouched(answer):
            raise Unanswered
        with np.errstate(all="ignore"), warnings.catch_warnings(action="ignore"):
            checker.judge(answer)
    except Unanswered:
        return Verdict("unanswered", f"{number} · not answered yet")
    except Hint as hint:
        return Verdict("wrong", f"{number} · not yet: {hint}")
    return Verdict("right", f"{number} · right")


def checkers(notebook):
    """The checkers of one notebook, such as "2", by the number of their exercise; none when it has no exercises."""
    module = f"{__name__}.{NOTEBOOKS.get(notebook, '')}"
    known = notebook in NOTEBOOKS and importlib.util.find_spec(module)
    return importlib.import_module(module).CHECKERS if known else {}
