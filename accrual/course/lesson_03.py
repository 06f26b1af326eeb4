"""The questions of lesson 3: phi in three steps."""

from __future__ import annotations

import math
import statistics
from typing import Any

import numpy as np

from accrual.course.checking import Hint, called, close, number, question
from accrual.detectors import PhiNormal
from accrual.qos import curve
from accrual.traces import load


@question("03.1")
def _intervals_known(answer: Any) -> str:
    """Step the widget to heartbeat 11 and count the bars."""
    slots, given = 10, number(answer)
    if given == slots:
        raise Hint("Ten is how many times it holds. An interval lies between two of them.")
    if given == slots - 2:
        raise Hint("Is the interval that ends with the newest heartbeat among those you counted?")
    if given != slots - 1:
        raise Hint("The window has ten slots, whatever came before: count the gaps between ten things in a row.")
    return "And it stays so with every further heartbeat."


@question("03.2")
def _mean_and_deviation(answer: Any) -> str:
    """The mean first; then how far the intervals are from it: square, average, root."""
    for intervals in ([0.9, 1.1, 1.0, 1.4], [0.010, 0.012], [2.0, 2.0, 2.0]):
        result = called(answer, np.array(intervals))
        try:
            mean, deviation = (number(part) for part in result)
        except (TypeError, ValueError):
            raise Hint("Return two numbers: the mean, and then the deviation.") from None
        true_mean, true_deviation = statistics.fmean(intervals), statistics.pstdev(intervals)
        if close(mean, true_deviation) and close(deviation, true_mean):
            raise Hint("The right two numbers in the wrong order.")
        if not close(mean, true_mean):
            raise Hint(f"The mean of {intervals} comes out as {mean:g}. Add up, then divide by how many there are.")
        if not close(deviation, true_deviation):
            if close(deviation, true_deviation**2):
                raise Hint("That is the variance; the deviation has the unit of the intervals, seconds.")
            if close(deviation, statistics.stdev(intervals)):
                raise Hint("So close: you divide by n - 1. That has its place (lesson 5); phi divides by n.")
            raise Hint(f"The mean is right; the deviation of {intervals} comes out as {deviation:g}.")
    return "Every detector in this lesson starts from these two numbers."


@question("03.3")
def _p_later(answer: Any) -> str:
    """The area under the normal density to the right of t; math.erfc is two steps away from it."""
    normal = PhiNormal().compiled
    for mean, deviation in ((1.0, 0.1), (0.01, 0.002)):
        for z in (0.0, 1.0, 3.0, -2.0, 5.0):
            later = number(called(answer, mean + z * deviation, mean, deviation))
            true = 10.0 ** -normal.level(z)
            if close(later, 1 - true) and not close(later, true):
                raise Hint("That is F(t), the chance that the heartbeat has come by then. Later is the rest.")
            if not close(later, true, 1e-5):  # 1 - F(t) keeps no more digits at 5 deviations
                raise Hint(
                    f"With mean {mean:g} s and deviation {deviation:g} s, a silence of {mean + z * deviation:g} s "
                    f"is {z:g} deviations from the mean; you give {later:.3g}. Does the widget agree?"
                )
    if number(called(answer, 11.0, 1.0, 1.0)) <= 0:
        return "One thing to keep in mind: ten deviations out it returns 0, which no probability here is. More below."
    return "Even ten deviations out it finds something above 0: a good choice of formula."


@question("03.4")
def _as_probability(answer: Any) -> str:
    """Take the definition of phi and solve it for P_later."""
    phi, given = 2.5, number(answer)
    right = 10.0**-phi
    if close(given, 100 * right, 0.02):
        raise Hint("As a share of 1, please, not in per cent.")
    if close(given, 1 / right, 0.02):
        raise Hint("You have found one in how many. As a share of 1, please.")
    if close(given, math.exp(-phi), 0.02):
        raise Hint("The logarithm in phi is the decimal one.")
    if not close(given, right, 0.02):
        raise Hint("It lies between what phi = 2 and what phi = 3 stand for; and not in the middle.")
    return "Half a unit of phi is a factor of about three."


@question("03.5")
def _promise_kept(answer: Any) -> str:
    """Run the cell above with a window of 50, and count per 1000 heartbeats."""
    from scipy import stats

    window, threshold, given = 50, 3, number(answer)
    z = PhiNormal().compiled.inverse(threshold)
    # Exact for normal intervals: mean and deviation are estimated, so lateness follows Student's law.
    right = 1000 * float(stats.t.sf(z * math.sqrt((window - 1) / (window + 1)), window - 1))
    if close(given, 1000 * 10.0**-threshold, 0.05):
        raise Hint("That is the promise. What does the measurement say?")
    if close(given, right / 10, 0.15) or close(given, right / 1000, 0.15):
        raise Hint("Mind the unit: mistakes in 1000 heartbeats.")
    if not close(given, right, 0.15):  # what 400,000 heartbeats drawn by chance can tell
        raise Hint("Between the rows for 20 and for 100, at Phi = 3. Is the window 50, and the count per 1000?")
    return "Small windows know the mean and the deviation only roughly, and promise too much."


@question("03.6")
def _threshold_for(answer: Any) -> str:
    """Move Phi until the mistake rate is below the target; then back by one stop: is it above?"""
    target, given = 0.1, number(answer)
    if not 0 < given < math.inf:
        raise Hint("Phi is a positive number.")
    tried = curve(load("contended"), PhiNormal(window=1000), [given / 1.3, given, given * 1.03], skip=5000)
    below, _, at = tried.mistake_rate
    if at > target:
        raise Hint(f"There it is wrong {tried.mistakes[1]:,} times in {tried[1].observed:.0f} s: too often.")
    if below <= target:
        raise Hint("Rarely enough; but a smaller Phi would do too, and detect sooner.")
    return f"It pays with a detection time of {1000 * tried.detection_time[1]:.1f} ms."
