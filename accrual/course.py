"""Checking the exercises of the lessons, here and now: a verdict and a hint, never the answer.

A question is one function below: it raises `Hint` when the answer is wrong, returns a remark when it is right, and its
docstring is the hint for those who have not answered yet. Right values come from the library.
"""

from __future__ import annotations

import math
import statistics
import textwrap
from collections.abc import Callable
from typing import Any, Final

import numpy as np

from accrual.detectors import PhiNormal
from accrual.qos import curve
from accrual.traces import load

__all__ = ["check"]


class Hint(Exception):  # noqa: N818  # a wrong answer is no error
    """What helps with a wrong answer."""


_QUESTIONS: Final[dict[str, Callable[[Any], str]]] = {}


def _question(name: str) -> Callable[[Callable[[Any], str]], Callable[[Any], str]]:
    def enter(judge: Callable[[Any], str]) -> Callable[[Any], str]:
        _QUESTIONS[name] = judge
        return judge

    return enter


def check(question: str, answer: Any = None) -> None:
    """Print whether an answer is right, and a hint if it is not. Never raises.

    Parameters
    ----------
    question : str
        Its number, as in the lesson: ``"03.1"``.
    answer
        What the lesson asks for: a number, or a function. Any road to the right answer will do.

    Examples
    --------
    >>> check("03.1", 12)
    03.1 ✗ not yet. The window has ten slots, whatever came before: count the gaps between ten things in
    a row.
    """
    print(textwrap.fill(_verdict(question, answer), 100))  # a cell's output is about that wide


def _verdict(question: str, answer: Any) -> str:
    judge = _QUESTIONS.get(question) if isinstance(question, str) else None
    if judge is None:
        return f"There is no question {question!r}. There are {', '.join(_QUESTIONS)}."
    if answer is None or answer is ...:
        return f"{question} … no answer yet. {judge.__doc__}"
    try:
        remark = judge(answer)
    except Hint as hint:
        return f"{question} ✗ not yet. {hint}"
    except (Exception, SystemExit) as error:  # whatever the learner's function does
        return f"{question} ✗ not yet. Your answer stopped with {type(error).__name__}: {error}"
    return f"{question} ✓ right. {remark}"


# ---- reading answers ----


def _number(answer: Any) -> float:
    try:
        return float(answer)
    except (TypeError, ValueError, OverflowError):
        raise Hint(f"A single number is asked for; this is {_kind(answer)}.") from None


def _called(answer: Any, *arguments: Any) -> Any:
    if not callable(answer):
        raise Hint(f"A function is asked for, by its name without brackets; this is {_kind(answer)}.")
    result = answer(*arguments)
    if result is None or result is ...:
        raise Hint("Your function does not return anything yet.")
    return result


def _kind(answer: Any) -> str:
    name = type(answer).__name__
    return f"{'an' if name[0] in 'aeiouAEIOU' else 'a'} {name}"


def _close(a: float, b: float, tolerance: float = 1e-6) -> bool:
    return math.isclose(a, b, rel_tol=tolerance, abs_tol=1e-15)


# ---- lesson 3: phi in three steps ----


@_question("03.1")
def _intervals_known(answer: Any) -> str:
    """Step the widget to heartbeat 11 and count the bars."""
    slots, given = 10, _number(answer)
    if given == slots:
        raise Hint("Ten is how many times it holds. An interval lies between two of them.")
    if given == slots - 2:
        raise Hint("Is the interval that ends with the newest heartbeat among those you counted?")
    if given != slots - 1:
        raise Hint("The window has ten slots, whatever came before: count the gaps between ten things in a row.")
    return "And it stays so with every further heartbeat."


@_question("03.2")
def _mean_and_deviation(answer: Any) -> str:
    """The mean first; then how far the intervals are from it: square, average, root."""
    for intervals in ([0.9, 1.1, 1.0, 1.4], [0.010, 0.012], [2.0, 2.0, 2.0]):
        result = _called(answer, np.array(intervals))
        try:
            mean, deviation = (_number(part) for part in result)
        except (TypeError, ValueError):
            raise Hint("Return two numbers: the mean, and then the deviation.") from None
        true_mean, true_deviation = statistics.fmean(intervals), statistics.pstdev(intervals)
        if _close(mean, true_deviation) and _close(deviation, true_mean):
            raise Hint("The right two numbers in the wrong order.")
        if not _close(mean, true_mean):
            raise Hint(f"The mean of {intervals} comes out as {mean:g}. Add up, then divide by how many there are.")
        if not _close(deviation, true_deviation):
            if _close(deviation, true_deviation**2):
                raise Hint("That is the variance; the deviation has the unit of the intervals, seconds.")
            if _close(deviation, statistics.stdev(intervals)):
                raise Hint("So close: you divide by n - 1. That has its place (lesson 5); phi divides by n.")
            raise Hint(f"The mean is right; the deviation of {intervals} comes out as {deviation:g}.")
    return "Every detector in this lesson starts from these two numbers."


@_question("03.3")
def _p_later(answer: Any) -> str:
    """The area under the normal density to the right of t; math.erfc is two steps away from it."""
    normal = PhiNormal().compiled
    for mean, deviation in ((1.0, 0.1), (0.01, 0.002)):
        for z in (0.0, 1.0, 3.0, -2.0, 5.0):
            later = _number(_called(answer, mean + z * deviation, mean, deviation))
            true = 10.0 ** -normal.level(z)
            if _close(later, 1 - true) and not _close(later, true):
                raise Hint("That is F(t), the chance that the heartbeat has come by then. Later is the rest.")
            if not _close(later, true, 1e-5):  # 1 - F(t) keeps no more digits at 5 deviations
                raise Hint(
                    f"With mean {mean:g} s and deviation {deviation:g} s, a silence of {mean + z * deviation:g} s "
                    f"is {z:g} deviations from the mean; you give {later:.3g}. Does the widget agree?"
                )
    if _number(_called(answer, 11.0, 1.0, 1.0)) <= 0:
        return "One thing to keep in mind: ten deviations out it returns 0, which no probability here is. More below."
    return "Even ten deviations out it finds something above 0: a good choice of formula."


@_question("03.4")
def _as_probability(answer: Any) -> str:
    """Take the definition of phi and solve it for P_later."""
    phi, given = 2.5, _number(answer)
    right = 10.0**-phi
    if _close(given, 100 * right, 0.02):
        raise Hint("As a share of 1, please, not in per cent.")
    if _close(given, 1 / right, 0.02):
        raise Hint("You have found one in how many. As a share of 1, please.")
    if _close(given, math.exp(-phi), 0.02):
        raise Hint("The logarithm in phi is the decimal one.")
    if not _close(given, right, 0.02):
        raise Hint("It lies between what phi = 2 and what phi = 3 stand for; and not in the middle.")
    return "Half a unit of phi is a factor of about three."


@_question("03.5")
def _promise_kept(answer: Any) -> str:
    """Run the cell above with a window of 50, and count per 1000 heartbeats."""
    from scipy import stats

    window, threshold, given = 50, 3, _number(answer)
    z = PhiNormal().compiled.inverse(threshold)
    # Exact for normal intervals: mean and deviation are estimated, so lateness follows Student's law.
    right = 1000 * float(stats.t.sf(z * math.sqrt((window - 1) / (window + 1)), window - 1))
    if _close(given, 1000 * 10.0**-threshold, 0.05):
        raise Hint("That is the promise. What does the measurement say?")
    if _close(given, right / 10, 0.15) or _close(given, right / 1000, 0.15):
        raise Hint("Mind the unit: mistakes in 1000 heartbeats.")
    if not _close(given, right, 0.15):  # what 400,000 heartbeats drawn by chance can tell
        raise Hint("Between the rows for 20 and for 100, at Phi = 3. Is the window 50, and the count per 1000?")
    return "Small windows know the mean and the deviation only roughly, and promise too much."


@_question("03.6")
def _threshold_for(answer: Any) -> str:
    """Move Phi until the mistake rate is below the target; then back by one stop: is it above?"""
    target, given = 0.1, _number(answer)
    if not 0 < given < math.inf:
        raise Hint("Phi is a positive number.")
    tried = curve(load("contended"), PhiNormal(window=1000), [given / 1.3, given, given * 1.03], skip=5000)
    below, _, at = tried.mistake_rate
    if at > target:
        raise Hint(f"There it is wrong {tried.mistakes[1]:,} times in {tried[1].observed:.0f} s: too often.")
    if below <= target:
        raise Hint("Rarely enough; but a smaller Phi would do too, and detect sooner.")
    return f"It pays with a detection time of {1000 * tried.detection_time[1]:.1f} ms."
