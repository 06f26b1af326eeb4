"""Checking the exercises of the lessons, here and now: a verdict and a hint, never the answer.

A question is a function in the module of its lesson, `lesson_NN`: it raises `Hint` when the answer is wrong, returns a
remark when it is right, and its docstring is the hint for those who have not answered yet. Right values come from the
library.
"""

from __future__ import annotations

import contextlib
import importlib
import math
import pkgutil
import textwrap
from collections.abc import Callable
from typing import Any, Final

__all__ = ["Hint", "called", "check", "close", "number", "question"]


class Hint(Exception):  # noqa: N818  # a wrong answer is no error
    """What helps with a wrong answer."""


_QUESTIONS: Final[dict[str, Callable[[Any], str]]] = {}


def question(name: str) -> Callable[[Callable[[Any], str]], Callable[[Any], str]]:
    """Enter a question under its number."""

    def enter(judge: Callable[[Any], str]) -> Callable[[Any], str]:
        _QUESTIONS[name] = judge
        return judge

    return enter


def check(name: str, answer: Any = None) -> None:
    """Print whether an answer is right, and a hint if it is not. Never raises.

    Parameters
    ----------
    name : str
        The question's number, as in the lesson: ``"03.1"``.
    answer
        What the lesson asks for: a number, or a function. Any road to the right answer will do.

    Examples
    --------
    >>> check("03.1", 12)
    03.1 ✗ not yet. The window has ten slots, whatever came before: count the gaps between ten things in
    a row.
    """
    print(textwrap.fill(_verdict(name, answer), 100))  # a cell's output is about that wide


def questions() -> dict[str, Callable[[Any], str]]:
    """Every question of every lesson, by its number."""
    for module in _modules():
        importlib.import_module(f"accrual.course.{module.name}")
    return _QUESTIONS


def _judge(name: str) -> Callable[[Any], str] | None:
    """The question of this number; only its lesson's module is loaded, for others may need more than is installed."""
    lesson = name.partition(".")[0]
    if lesson in {module.name.removeprefix("lesson_") for module in _modules()}:
        importlib.import_module(f"accrual.course.lesson_{lesson}")
    return _QUESTIONS.get(name)


def _modules() -> list[pkgutil.ModuleInfo]:
    found = pkgutil.iter_modules(importlib.import_module("accrual.course").__path__)
    return [module for module in found if module.name.startswith("lesson_")]


def _verdict(name: str, answer: Any) -> str:
    judge = _judge(name) if isinstance(name, str) else None
    if judge is None:
        questions()
        return f"There is no question {name!r}. There are {', '.join(_QUESTIONS)}."
    if answer is None or answer is ...:
        return f"{name} … no answer yet. {judge.__doc__}"
    try:
        remark = judge(answer)
    except Hint as hint:
        return f"{name} ✗ not yet. {hint}"
    except (Exception, SystemExit) as error:  # whatever the learner's function does
        said = ""
        with contextlib.suppress(Exception):  # its words are the learner's too
            said = f": {error}"
        return f"{name} ✗ not yet. Your answer stopped with {type(error).__name__}{said}"
    return f"{name} ✓ right. {remark}"


# ---- reading answers ----


def number(answer: Any) -> float:
    """The answer as a number, or a hint."""
    try:
        return float(answer)
    except (TypeError, ValueError, OverflowError):
        raise Hint(f"A single number is asked for; this is {_kind(answer)}.") from None


def called(answer: Any, *arguments: Any) -> Any:
    """What the answer, a function, returns for these arguments, or a hint."""
    if not callable(answer):
        raise Hint(f"A function is asked for, by its name without brackets; this is {_kind(answer)}.")
    result = answer(*arguments)
    if result is None or result is ...:
        raise Hint("Your function does not return anything yet.")
    return result


def _kind(answer: Any) -> str:
    name = type(answer).__name__
    return f"{'an' if name[0] in 'aeiouAEIOU' else 'a'} {name}"


def close(a: float, b: float, tolerance: float = 1e-6) -> bool:
    """Whether two numbers agree up to a share."""
    return math.isclose(a, b, rel_tol=tolerance, abs_tol=1e-15)
