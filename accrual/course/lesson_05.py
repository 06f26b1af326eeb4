"""The questions of lesson 5: when phi lies."""

from __future__ import annotations

import math
from typing import Any, Final

import numpy as np

from accrual.course.checking import Hint, called, close, number, question
from accrual.detectors import PhiNormal
from accrual.reliability import calibration
from accrual.replay import replay
from accrual.show.lies import really
from accrual.traces import load

WANTED: Final = 0.001


@question("05.1")
def _share_late(answer: Any) -> str:
    """Which z does Phi stand for? Shrink it, and ask Student's tail instead of the normal one."""
    for threshold, window in ((1, 10), (3, 20), (2, 50), (8, 1000)):
        given, right = number(called(answer, threshold, window)), 10 ** -really(threshold, window)
        if close(given, right, 1e-4):
            continue
        if close(given, 10**-threshold, 1e-4):
            raise Hint("That is what Phi promises. What happens really depends on the window, too.")
        if close(given, really(threshold, window), 1e-4):
            raise Hint(
                "That is the phi that it really is; asked for is the share of late heartbeats, 10 to minus that."
            )
        if threshold < 8 and close(given, right, 0.1):
            raise Hint(
                f"Close: {given:.4g} with Phi = {threshold} and a window of {window}. Look at the degrees of freedom, "
                "and at the factor under the root."
            )
        raise Hint(f"With Phi = {threshold} and a window of {window} your function says {given:.3g} of the heartbeats.")
    return "And no simulation could have told you about Phi = 8."


@question("05.2")
def _one_in_1000(answer: Any) -> str:
    """Try thresholds, more and more of them, and look at the share of late heartbeats that each has."""
    given = number(answer)
    if not 0 < given < math.inf:
        raise Hint("A threshold is more than 0, and finite.")
    share, share_before = calibration(load("lossy"), PhiNormal(window=1000), [given, given / 1.1]).share
    if share > WANTED:
        raise Hint(
            f"With it one heartbeat in {1 / share:.0f} is late: still too many. Go on, further than you believe."
        )
    if share_before <= WANTED:
        raise Hint("Few enough are late; but with a smaller Phi they would be, too.")
    return f"By its own scale that is once in 10^{given:.0f} heartbeats; it happens once in 1000."


@question("05.3")
def _after_a_loss(answer: Any) -> str:
    """Of the late ones only: how many have a step of more than 1 in their sequence numbers?"""
    given, trace = number(answer), load("lossy")
    assert trace.sequence is not None  # the recording has them
    late, lost = replay(trace, PhiNormal(window=1000)).late(3), np.asarray(np.diff(trace.sequence) > 1)
    if close(given, float(np.mean(late[lost])), 0.005):
        raise Hint("That is the other way round: how many of the losses make the next heartbeat late.")
    if close(given, float(np.mean(lost & late)), 0.005):
        raise Hint("That is the share of all heartbeats; take the late ones alone.")
    if close(given, float(np.mean(lost)), 0.005):
        raise Hint("That is how often something is lost at all; take the late heartbeats alone.")
    if close(given, float(np.count_nonzero(lost & late)), 0.01):
        raise Hint("That is how many they are. Which share of the late ones is it?")
    right = float(np.mean(lost[late]))
    if not close(given if given <= 1 else given / 100, right, 0.01):
        raise Hint("Look at `np.diff(lossy.sequence)` where `late` is true; 1 means that nothing was lost.")
    return "Nearly all of what phi takes for slowness is loss, and the sequence numbers knew."


@question("05.4")
def _quiet_until(answer: Any) -> str:
    """How late was the timer? If that is more than the lateness that is allowed, count the grace from when it came."""
    for due, fired, lateness, grace in (
        (10.0, 10.0, 0.1, 1.0),
        (10.0, 10.05, 0.1, 1.0),
        (10.0, 12.5, 0.1, 1.0),
        (3.0, 3.75, 0.5, 2.0),
        (3.0, 3.25, 0.5, 2.0),
    ):
        case = f"due at {due:g} s, came at {fired:g} s, lateness {lateness:g} s, grace {grace:g} s"
        if not callable(answer):
            raise Hint("A function is asked for, by its name without brackets.")
        given = answer(due, fired, lateness, grace)
        if fired - due <= lateness:
            if given is not None and given is not ...:
                raise Hint(f"{case}: the watcher was punctual enough, so None; you say {given!r}.")
            continue
        if given is None or given is ...:
            raise Hint(f"{case}: it has stalled, but your function returns nothing.")
        if close(number(given), due + grace):
            raise Hint("You count the grace from when the timer was due. Then it may be over before anybody has read.")
        if close(number(given), grace):
            raise Hint("Until when, not for how long: an instant is asked for.")
        if not close(number(given), fired + grace):
            raise Hint(f"{case}: your function says {number(given):g} s.")
    return "What remains to be chosen is the grace: long enough to read what has waited, some heartbeats' time."
