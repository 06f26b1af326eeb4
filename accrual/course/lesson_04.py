"""The questions of lesson 4, and the day that it hides until the reader has chosen."""

from __future__ import annotations

import math
from functools import cache
from typing import Any, Final, NamedTuple

import numpy as np

from accrual.course.checking import Hint, called, close, number, question
from accrual.detectors import Detector, FixedTimeout, PhiNormal
from accrual.qos import QoS, curve, qos
from accrual.show.tradeoff import cost, matched
from accrual.traces import Trace, load
from accrual.traces.synthetic import synthesize

__all__ = ["Bill", "bill", "first_hours", "whole_day"]

MISTAKE: Final = 5.0
"""What one costs on the hidden day [s of an undetected crash]."""
CRASHES: Final = 4.0
"""How many there are in an hour of it."""
SEEN: Final = 7200
"""Heartbeats of it that the reader sees."""
ACCEPTABLE: Final = 8.0
"""The bill of a good choice [s an hour]. The best phi pays 5.4, the best timeout 7.0, both knowing the day."""


@cache
def whole_day() -> Trace:
    """The hidden day: one heartbeat a second, calm at midnight, busy at noon, none lost.

    Examples
    --------
    >>> len(whole_day())
    86400
    """
    return synthesize(
        86_400,
        period=1.0,
        seed=94,
        jitter="exponential:mean=1ms",
        base=0.03,
        delay="gamma:mean=10ms,deviation=7ms",
        diurnal="peak=20",
    )


def first_hours() -> Trace:
    """What the reader may see of the hidden day before choosing: its first two hours.

    Examples
    --------
    >>> first_hours()
    Trace(7,200 heartbeats over 7,199.0 s, period 1 s, with sequence and sent)
    """
    seen = whole_day()[:SEEN]
    return Trace(seen.arrivals, sequence=seen.sequence, sent=seen.sent, period=seen.period, title="The first two hours")


class Bill(NamedTuple):
    """What a choice costs on the hidden day, from the third hour on.

    Attributes
    ----------
    mistakes : int
    detection_time : float
        Mean, worst case [s].
    accuracy : float
        The share of the time without suspicion.
    cost : float
        In an hour [s of an undetected crash].
    """

    mistakes: int
    detection_time: float
    accuracy: float
    cost: float


def bill(detector: Detector, threshold: float) -> Bill:
    """Judge a choice by the hidden day.

    Examples
    --------
    >>> paid = bill(FixedTimeout(period=1), 10)
    >>> paid.mistakes, round(paid.cost, 2)
    (0, 38.58)
    """
    points = curve(whole_day(), detector, [threshold], skip=SEEN)
    [found] = points.points
    return Bill(found.mistakes, found.detection_time, found.query_accuracy, float(cost(points, MISTAKE, CRASHES)[0]))


@question("04.1")
def _equally_quick(answer: Any) -> str:
    """How much detection time does each further k add? And how much is there at k = 1?"""
    given = number(answer)
    phi, fixed = matched(load("synthetic-regime-switching"), [3.0])
    right = float(fixed.thresholds[0])
    if close(given, float(phi.detection_time[0]), 0.01):
        raise Hint("That is the detection time, in seconds. Which k brings a timeout there?")
    if close(given, float(phi.detection_time[0]) / 0.1, 0.01):
        raise Hint("The detection time also has the time under way in it, which is there whatever k is.")
    if close(given, right * 0.1, 0.01):
        raise Hint("That is the timeout in seconds; k is how many periods it has.")
    if not close(given, right, 0.01):
        quick = "sooner" if given < right else "later"
        raise Hint(f"A timeout with that k notices a crash {quick} than phi does.")
    return f"With it a timeout makes {fixed[0].mistakes:,} mistakes where phi makes {phi[0].mistakes:,}."


@question("04.2")
def _tuned(answer: Any) -> str:
    """Which points of the curve are good enough? Of those, which has the smallest detection time?"""
    mixed = np.random.default_rng(4).permutation(np.arange(2, 120) / 2)  # in no order
    beats = load("contended")[:20_000]
    for points in (
        curve(beats, FixedTimeout(period=0.01), mixed),
        curve(beats, PhiNormal(window=100), [500.0, 1.0, 3.0, 50.0], skip=1000),
    ):
        for target in (0.2, 0.1):
            enough = points.mistake_rate <= target
            if not enough.any():
                continue
            given = number(called(answer, points, target))
            index = np.flatnonzero(points.thresholds == given)
            if not len(index):
                raise Hint(f"You give {given:g}, which is none of the curve's thresholds.")
            if not enough[index[0]]:
                raise Hint(
                    f"With a target of {target:g} /s you choose one that makes {points.mistake_rate[index[0]]:.3g} /s."
                )
            if points.detection_time[index[0]] > points.detection_time[enough].min():
                raise Hint(
                    "It keeps the target; but another that does detects sooner. The thresholds may be in any order."
                )
    return "That is all there is to tuning to a target."


@question("04.3")
def _cost(answer: Any) -> str:
    """Mistakes in an hour, times their price; and what crashes cost in an hour."""
    beats = load("contended")[:20_000]
    for k, mistake, crashes in ((5, 0.01, 1), (20, 2.0, 4), (3, 0.0, 2), (3, 1.0, 0)):
        found: QoS = qos(beats, FixedTimeout(period=0.01), k)
        right = float(cost(curve(beats, FixedTimeout(period=0.01), [k]), mistake, crashes)[0])
        given = number(called(answer, found, mistake, crashes))
        if close(given, right):
            continue
        mistakes = found.mistake_rate * mistake
        if close(given, 3600 * mistakes + crashes * found.detection_time):
            raise Hint("Crashes come at any time, not always at the worst: which detection time is meant for that?")
        if close(given, mistakes + crashes * found.detection_time_uniform):
            raise Hint("The mistake rate is per second, the crashes are per hour.")
        if close(given, found.mistakes * mistake + crashes * found.detection_time_uniform):
            raise Hint("You take all mistakes that were seen; how many are there in an hour?")
        if close(given, 3600 * mistakes + found.detection_time_uniform):
            raise Hint("There may be more than one crash in an hour, or none.")
        raise Hint(
            f"With a price of {mistake:g} s and {crashes:g} crashes an hour {right:.4g} s was expected; "
            f"you give {given:.4g}."
        )
    return "The price is yours to say; the rest is measured."


@question("04.4")
def _choice(answer: Any) -> str:
    """A detector and its threshold, as a pair. What will the path be like at noon?"""
    try:
        detector, threshold = answer
    except (TypeError, ValueError):
        raise Hint("A pair is asked for: a detector, and its threshold.") from None
    if isinstance(detector, type):
        raise Hint(f"{detector.__name__} is a kind of detector; make one: {detector.__name__}(...).")
    if not isinstance(detector, Detector):
        raise Hint("The first of the two is to be a detector, such as ac.FixedTimeout(period=1).")
    if not math.isfinite(number(threshold)):
        raise Hint("The second of the two is to be a number.")
    paid = bill(detector, number(threshold))
    if not paid.accuracy > 0.5:  # one suspicion that never ends is one mistake, and finds every crash beforehand
        raise Hint("It suspects the service most of the time. Nobody would know when it really crashed.")
    if paid.cost > ACCEPTABLE:
        reason = (
            f"{paid.mistakes:,} mistakes in the rest of the day. You know the night only"
            if paid.mistakes > 10
            else f"It takes {paid.detection_time:.1f} s to detect a crash, and hardly ever errs: too patient"
        )
        raise Hint(f"{reason}. The bill comes to {paid.cost:,.1f} s an hour.")
    return f"{paid.mistakes:,} mistakes, detection in {paid.detection_time:.2f} s: {paid.cost:.2f} s an hour."
