"""The questions of lesson 2: the fixed timeout."""

from __future__ import annotations

import math
from typing import Any

from accrual.course.checking import Hint, called, close, number, question
from accrual.detectors import FixedTimeout
from accrual.qos import curve
from accrual.show.fixed import crash, thinned, topology
from accrual.traces import load


@question("02.1")
def _messages(answer: Any) -> str:
    """How many others does each node send to, and how many periods has a second?"""
    nodes, period, given = 100, 0.2, number(answer)
    a_period = topology("mesh", nodes).messages
    if close(given, a_period):
        raise Hint("That is in one period. There are several in a second.")
    if close(given, nodes**2 / period):
        raise Hint("Nearly: does a node send to itself?")
    if close(given, a_period / 2 / period):
        raise Hint("Each pair is two messages: a must hear of b, and b of a.")
    if close(given, a_period * period):
        raise Hint("Multiplied where it should be divided: a shorter period makes more messages.")
    if not close(given, a_period / period):
        raise Hint("Take one node first: to how many does it send, how often a second? Then all of them.")
    return "A ring of as many needs a hundredth of it."


@question("02.2")
def _detection_time(answer: Any) -> str:
    """The timeout starts when the last heartbeat arrives, and the detection time when the sender crashes."""
    for after, k, period, transit in (
        (0.0, 5, 0.2, 0.03),
        (0.19, 5, 0.2, 0.03),
        (0.5, 3, 1.0, 0.0),
        (0.01, 1, 0.1, 0.25),
    ):
        given = number(called(answer, after, k, period, transit))
        right = crash(2 * period + after, period, k, transit).detection_time
        if close(given, right):
            continue
        case = f"after={after:g}, k={k:g}, period={period:g}, transit={transit:g}"
        if close(given, k * period):
            raise Hint(f"With {case} you give k × T. The last heartbeat still has to arrive, and the crash came later.")
        if close(given, right - transit):
            raise Hint("When does the watcher's clock start: when the heartbeat is sent, or when it arrives?")
        if close(given, right + after):
            raise Hint("Count from the crash on, not from the heartbeat that was sent before it.")
        if close(given, right + 2 * after):
            raise Hint("A later crash is nearer to the suspicion: mind the sign.")
        raise Hint(f"With {case} you give {given:.4g} s; the widget says otherwise. Which instant comes after which?")
    return "It is longest at after = 0, and then it is more than k × T."


@question("02.3")
def _largest_k(answer: Any) -> str:
    """What is the worst case for k = 10? Then go down."""
    budget, period, transit, given = 1.0, 0.1, 0.03, number(answer)
    if not (0 < given < math.inf and given == int(given)):
        raise Hint("k is a whole number of misses, one or more.")
    if crash(2 * period, period, given, transit).detection_time > budget:
        raise Hint(
            "A crash just after a heartbeat was sent: the heartbeat is still under way, and then come k periods."
        )
    if crash(2 * period, period, given + 1, transit).detection_time <= budget:
        raise Hint("Within the second; but one miss more would still be.")
    return "In the worst case it leaves a few hundredths of a second."


@question("02.4")
def _smallest_k(answer: Any) -> str:
    """Move k at T = 10 ms until the mistake rate is low enough; or ask ac.curve, which also knows what lies between."""
    given = number(answer)
    if not (0 < given < math.inf and given == int(given)):
        raise Hint("k is a whole number of misses, one or more.")
    found = curve(load("contended"), FixedTimeout(period=0.01), [max(given - 1, 0.5), given])
    before, at = found.mistake_rate
    if at > 1 / 60:
        raise Hint(
            f"There it is wrong {found.mistakes[1]:,} times in {found[1].observed:.0f} s: more than once a minute."
        )
    if before <= 1 / 60:
        raise Hint(
            "Rarely enough; but a smaller k would be, too. The widget's slider leaves some out; ac.curve does not."
        )
    return f"A crash is then noticed in {1000 * found.detection_time[1]:.0f} ms at worst."


@question("02.5")
def _times_as_many(answer: Any) -> str:
    """Two numbers of one column, one divided by the other."""
    given = number(answer)
    bursts, single = (
        {
            every: curve(thinned(load(name), every), FixedTimeout(period=0.1 * every), [10 / every])[0].mistakes
            for every in (1, 5)
        }
        for name in ("synthetic-bursty", "synthetic-stationary")
    )
    right = bursts[5] / bursts[1]
    if close(given, 1 / right, 0.03):
        raise Hint("The other way round: 2 × 500 ms makes more of them.")
    if close(given, bursts[5] - bursts[1], 0.03):
        raise Hint("That is how many more; how many times as many?")
    if close(given, single[5], 0.03):
        raise Hint("That is the column of single losses.")
    if not close(given, right, 0.03):
        raise Hint("The column of bursts, first and third row.")
    return "The same timeout and detection time; only fewer heartbeats in it."
