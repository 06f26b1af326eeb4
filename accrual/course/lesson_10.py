"""The questions of lesson 10: replication."""

from __future__ import annotations

from typing import Any, Final

from accrual.course.checking import Hint, called, close, number, question
from accrual.recovery import lost_writes
from accrual.show.replication import dies_while_it_waits

BACKUPS: Final = 4
DEATHS: Final = 2  # machines that may die, the primary among them; as many may be away


@question("10.1")
def _lost(answer: Any) -> str:
    """For how long is a write told OK, and not yet safe on the backup? How many are sent in that time?"""
    for rate, delay, wait in ((1000, 0.02, 0.0), (100, 0.1, 0.04), (50, 0.3, 0.1), (100, 0.02, 0.04), (20, 0.1, 0.1)):
        given, right = number(called(answer, rate, delay, wait)), lost_writes(rate, delay, wait)
        if close(given, right) or abs(given - right) < 1e-9:
            continue
        case = f"{rate} writes a second, delay {delay:g} s, wait {wait:g} s"
        if given < 0:
            raise Hint(f"{case}: fewer than none cannot be lost. What if the OK comes after the write is safe?")
        if close(given, rate * delay):
            raise Hint(f"{case}: that would be so without waiting. The client is not told OK at once here.")
        raise Hint(f"{case}: your function says {given:g}.")
    return "And where the wait is longer than the delay, no acknowledged write is lost."


@question("10.2")
def _waited_for(answer: Any) -> str:
    """With k acknowledgements k machines may die, and all backups but k may be away."""
    given = number(answer)
    if given != int(given) or not 0 <= given <= BACKUPS:
        raise Hint(f"So many of the {BACKUPS} backups: a whole number from 0 to {BACKUPS}.")
    if given == DEATHS + 1:
        raise Hint("So many nodes have the write then, if you count the primary. How many of them are backups?")
    if given < DEATHS:
        raise Hint("The primary may die together with every backup that has the write.")
    if given > BACKUPS - DEATHS:
        raise Hint("With two backups away there are not so many left to answer: writes stop.")
    return "With the primary that is three of five: a majority."


@question("10.3")
def _phantom(answer: Any) -> str:
    """Go through `run.operations`. A read was answered if its status is "ok"; its `value` is the number of a write."""
    for wait_point, seed in (("after commit", 3), ("after commit", 2), ("before commit", 3), ("after commit", 17)):
        run = dies_while_it_waits(wait_point, seed)
        reads = {o.number for o in run.operations if o.kind == "read"}
        right = {read.number for read, _ in run.findings.phantom}
        given = _numbers(called(answer, run))
        if given == right:
            continue
        case = f"Wait {wait_point}, seed {seed}: "
        if given - reads:
            raise Hint(case + f"{min(given - reads)} is not the number of a read. The *reads* are asked for.")
        silent = {o.number for o in run.operations if o.kind == "read" and o.status != "ok"}
        if given & silent:
            raise Hint(case + f"read {min(given & silent)} was never answered: it gave nothing.")
        if given > right:
            raise Hint(case + f"read {min(given - right)} gave something that did last, or nothing yet (None).")
        raise Hint(case + f"you find {len(given & right)} of {len(right)}. Which writes lasted is in `run.survivors`.")
    return "None of these reads was wrong when it was answered. They became so."


def _numbers(answer: Any) -> set[int]:
    """Numbers of operations, or the operations themselves, in any order."""
    try:
        return {int(getattr(one, "number", one)) for one in answer}
    except (TypeError, ValueError):
        raise Hint("Return a list of numbers, those of the reads.") from None


@question("10.4")
def _lost_after_cut(answer: Any) -> str:
    """What are the clients told that have waited until the timeout? And if the primary dies before that?"""
    for rate, outage, timeout in ((20, 6, 2), (200, 3, 1), (20, 3, 10), (50, 12, 10), (50, 0.5, 1)):
        given = number(called(answer, rate, outage, timeout))
        right = rate * outage if outage > timeout else 0
        if close(given, right):
            continue
        case = f"{rate} writes a second, the primary dies after {outage:g} s, timeout {timeout:g} s"
        if outage <= timeout:
            raise Hint(f"{case}: nobody has been told OK by then, so no acknowledged write is lost.")
        if close(given, rate * (outage - timeout)):
            raise Hint(f"{case}: those that waited are told OK as well, at the fallback. Does the backup have them?")
        if close(given, rate * timeout):
            raise Hint(f"{case}: those are only the ones that waited. More are told OK after the fallback.")
        raise Hint(f"{case}: your function says {given:g}.")
    return "The timeout does not bound the loss; it says when it begins."
