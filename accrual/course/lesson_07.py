"""The questions of lesson 7."""

from __future__ import annotations

import math
from typing import Any, Final

from accrual.course.checking import Hint, called, close, number, question
from accrual.isolation import LEVELS, plan_pools
from accrual.lab import recorded
from accrual.show.neighbours import levels, phases

__all__ = ["STATEMENTS"]


@question("07.1")
def _patient_enough(answer: Any) -> str:
    """How long was the longest interval beside the hogs, and how many periods of 10 ms is that?"""
    given = number(answer)
    found = recorded("containers")
    [longest] = [phase.longest for phase in phases(found) if phase.name == "hog"]
    right = math.ceil(longest / found.parameters["period"])
    if given != int(given):
        raise Hint("k counts whole periods here.")
    if given < right:
        raise Hint(f"{given:g} periods are {10 * given:g} ms, and the longest interval was {1e3 * longest:.6g} ms.")
    if given > right:
        raise Hint("That is patient enough; but a smaller k would have been, too.")
    return "Detection takes that long in all three phases then, also in the two calm ones."


@question("07.2")
def _longest_gap(answer: Any) -> str:
    """For how long is the group held back? And how long before that may its last heartbeat have left?"""
    for share, quota, period in ((0.2, 0.1, 0.01), (0.5, 0.02, 0.001), (0.9, 0.5, 0.1), (0.05, 0.1, 0.02)):
        given = number(called(answer, share, quota, period))
        held = quota * (1 - share)
        if close(given, held + period):
            continue
        where = f"With {share:g} of each {quota:g} s and a heartbeat each {period:g} s"
        if close(given, held):
            raise Hint("That is how long it is held back. Its last heartbeat may have left earlier than that.")
        if close(given, quota * share + period) or close(given, quota * share):
            raise Hint("That is about how long it runs; the rest of the time it is held back.")
        if close(given, quota + period):
            raise Hint(f"{where}: it is not held back for all of that time; it runs for a share of it.")
        if close(given, held - period):
            raise Hint("Both make the gap longer: being held back, and the period before it.")
        raise Hint(f"{where} you give {given:g} s.")
    return "Counted over a shorter time, the same share makes shorter gaps."


STATEMENTS: Final = {
    "a": (True, "It is a process like any other to the host's kernel, so root of the host sees it, and may end it."),
    "b": (False, "There is one kernel, the host's. A kernel of one's own is what a virtual machine has."),
    "c": (True, "Namespaces and a control group hold as many processes as one likes; one service is a custom."),
    "d": (True, "A view of one's own is no cap: that is another part, and it has to be asked for."),
    "e": (False, "What they have in common are files to start from. Memory each process has to itself."),
    "f": (True, "The kernel is a shared fate."),
}
"""The quiz on what a container is: whether each statement is so, and why."""


@question("07.3")
def _quiz(answer: Any) -> str:
    """Which of the four (process, namespaces, control group, image) is each statement about?"""
    if not isinstance(answer, dict):
        raise Hint('A dict is asked for: {"a": True, "b": False, ...}.')
    missing = [letter for letter in STATEMENTS if answer.get(letter) is None]
    if missing:
        raise Hint(f"Still open: {', '.join(missing)}.")
    wrong = [letter for letter, (right, _) in STATEMENTS.items() if bool(answer[letter]) != right]
    if wrong:
        raise Hint(f"Think again about {wrong[0]}. {STATEMENTS[wrong[0]][1]}")
    return "A process, seen through namespaces, held by a control group, started from an image."


@question("07.4")
def _lease(answer: Any) -> str:
    """When was the last renewal before the crash, at the earliest and at the latest? And who looks how often?"""
    try:
        first, last = (number(one) for one in answer)
    except (TypeError, ValueError):
        raise Hint("A pair is asked for: the earliest and the latest, in seconds after the crash.") from None
    if first > last:
        raise Hint("The earliest comes first.")
    if close(first, 50):
        raise Hint("50 s count from the last renewal. That may have been some seconds before the crash.")
    if close(last, 50):
        raise Hint("A lease that has run out is only noticed when the controller looks.")
    if close(last, 60) or close(last, 65):
        raise Hint("After the crash nothing is renewed any more: the last renewal is at the crash at the latest.")
    if not close(first, 40):
        raise Hint(f"{first:g} s is not the earliest. How old can the last renewal be when the node crashes?")
    if not close(last, 55):
        raise Hint(f"{last:g} s is not the latest. When does the controller look for the last time before it knows?")
    return "Nothing learned, nothing adapted: k x T, and the rest is where in the period the crash falls."


@question("07.5")
def _price(answer: Any) -> str:
    """How many workers does each bulkhead need, how many the one pool? `iso.workers_for(load, reject)` says it."""
    for services, load in ((3, 6.0), (1, 4.0), (12, 4.0), (16, 96.0)):
        each = (load / services / 0.05, 0.05)
        plan = plan_pools({f"service-{k}": each for k in range(services)})
        given = number(called(answer, services, load))
        if given == plan.price:
            continue
        where = f"{services} service{'s' * (services > 1)} with {load:g} busy workers in all"
        if given == -plan.price:
            raise Hint("The other way round: how many more do the bulkheads need?")
        if given == plan.price + plan.shared.workers:
            raise Hint("That is what the bulkheads need in all. How many more is that than one pool needs?")
        if given == plan.bulkheads[0].workers - plan.shared.workers:
            raise Hint("There is more than one bulkhead.")
        raise Hint(f"{where}: you say {given:g} more.")
    return "The price is highest where many services have little to do each."


_ASKED: Final = (
    ("segfault",),
    ("hang",),
    ("segfault", "memory-hog", "bridge"),
    ("kernel-panic",),
    ("hang", "plug"),
    ("switch", "kill"),
    ("blackout",),
    ("bridge", "kernel-panic", "segfault"),
)


@question("07.6")
def _finest(answer: Any) -> str:
    """Go through the levels from the finest on. At which does each of the faults take one service only?"""
    taken = levels().taken
    for faults in _ASKED:
        given = called(answer, list(faults))
        enough = [level for level in LEVELS if all(taken[level][fault][0] == 1 for fault in faults)]
        if given not in LEVELS:
            raise Hint(f"A level's name is asked for, one of {', '.join(LEVELS)}; you give {given!r}.")
        if given == enough[0]:
            continue
        if given not in enough:
            raise Hint(f"With {' and '.join(faults)} you say {given}: others would be taken along there.")
        raise Hint(f"With {' and '.join(faults)} you say {given}: that is enough, and coarser than it has to be.")
    return "Each boundary has its price: take the finest that stops what you fear."
