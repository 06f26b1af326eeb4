"""The questions of lesson 9: failover."""

from __future__ import annotations

import functools
import math
from typing import Any, Final

from accrual.course.checking import Hint, called, close, number, question
from accrual.detectors import PhiNormal
from accrual.recovery import Cluster, Crash, Partition, simulate, split_vote, waiting_cost
from accrual.show.failover import Price, price, writable_again

OUTAGES: Final = [0.4, 0.6, 1.2, 2.0, 2.5, 3.0, 4.0, 6.0, 9.0, 15.0, 40.0, 300.0]
CUT: Final = Partition(at=2, until=5, groups=((0, "c0"), (1, 2, "c1", "c2", "c3")))


@question("09.1")
def _first_ok(answer: Any) -> str:
    """Take the writes that were answered with "ok" by a node that did not answer before the fault: the first `end`."""
    for seed, (k, at, reads) in enumerate(((5, 2.0, 0.5), (3, 1.5, 0.9), (8, 2.2, 0.2))):
        cluster = Cluster(nodes=4, threshold=k, clients=4, reads=reads)
        run = simulate(cluster, [Crash(at=at)], seconds=5, seed=seed)
        given, right = number(called(answer, run)), writable_again(run)
        if close(given, right, 1e-3):
            continue
        case = f"A crash at {at:g} s with k = {k}: "
        if close(given, right + at, 1e-3):
            raise Hint(case + "that is when it was, since the run began. How long after the fault?")
        if close(given, run.outcome.detection, 1e-3):
            raise Hint(case + "that is until a backup suspects. Nobody has been promoted yet.")
        if close(given, run.outcome.detection + run.outcome.election, 1e-3):
            raise Hint(case + "that is until there is a new primary. A client has to find it, too.")
        if given < run.outcome.detection:
            raise Hint(case + f"you say {given:.3g} s, but nobody had suspected anything by then. Who answered?")
        raise Hint(case + f"your function says {given:.4g} s. Writes alone, by their end, and the first of them.")
    return "Detection makes up most of it."


@functools.cache
def _price(who: str) -> Price:
    """What the question is about; computed once, for it takes a moment."""
    return price(PhiNormal(window=100), 1.0, who)


@question("09.2")
def _needless(answer: Any) -> str:
    """What does k = 3 save in a year, and what does one needless failover cost?"""
    given = number(answer)
    found = _price("one backup")
    each = found.unavailable / found.needless
    if close(given, 2 / each, 0.02):
        raise Hint("That is for one crash. There are ten a year.")
    if close(given, 20 / found.unavailable, 0.02):
        raise Hint("Those seconds were of all needless failovers together. What does one cost?")
    if close(given, each, 0.05) or close(given, 20, 0.02):
        raise Hint("Now divide: what is saved in a year, by what one needless failover costs.")
    together = _price("a majority")
    if close(given, 20 / (together.unavailable / together.needless), 0.05):
        raise Hint("That is one of a majority's failovers. One backup decides.")
    if not close(given, 20 / each, 0.05):  # also of a cost that was rounded to 0.07 s
        raise Hint("Ten times 2 s are saved; a needless failover costs so many seconds; how many of them eat that up?")
    return "By seconds alone you may be wrong nearly every day. Seconds are not all of it: see below."


@question("09.3")
def _range(answer: Any) -> str:
    """Try ranges, wider and wider, until the formula says 0.01 or less."""
    given = number(answer)
    if not 5 <= given < math.inf:
        raise Hint("In milliseconds, and not less than a message takes.")
    if split_vote(5, 4, 5 / given) > 0.01 * (1 + 1e-6):
        raise Hint(f"With it {split_vote(5, 4, 5 / given):.2%} of the first votes are split: wider.")
    if split_vote(5, 4, 5 / (given * 0.97)) <= 0.01:
        raise Hint("Few enough are split; but a narrower range would do, and elect sooner.")
    return "Some 24 times a message's way. Raft's own advice is ten to twenty, and more than that costs little."


@question("09.4")
def _safe(answer: Any) -> str:
    """One thing keeps the old primary from going on, another says what OK means: the table above has both."""
    if not isinstance(answer, Cluster):
        raise Hint("A Cluster is asked for: Cluster(clients=4, ...).")
    if answer.clients != 4 or answer.nodes != 3:
        raise Hint("Three nodes and clients=4, so that node 0 and client 0 are cut off as above.")
    for seed in range(3):
        outcome = simulate(answer, [CUT], seconds=8, seed=seed).outcome
        if not outcome.failovers:
            raise Hint("Nobody takes over while node 0 is cut off. That is safe, and no failover.")
        if outcome.split_brain:
            also = f", and {outcome.lost_writes} acknowledged writes are lost" if outcome.lost_writes else ""
            raise Hint(f"For {outcome.split_brain:.2f} s two nodes take themselves for the primary{also}.")
        if outcome.lost_writes:
            raise Hint(f"One primary; but {outcome.lost_writes} acknowledged writes are lost. What does OK mean?")
    return "It has a price: writing stands still for longer, and a commit takes a message there and back."


@question("09.5")
def _wait(answer: Any) -> str:
    """Give `waiting_cost` the outages, many waits, and the three figures of the question."""
    given = number(answer)
    if not 0 <= given < math.inf:
        raise Hint("A wait is 0 s or more, and finite.")
    at = {"failover": 2.0, "penalty": 20.0, "permanent": 0.05}
    cost = float(waiting_cost(OUTAGES, [given], **at).cost[0])
    least = float(waiting_cost(OUTAGES, [0.0, *OUTAGES], **at).cost.min())  # between outages a wait only costs
    if close(cost, least, 0.02):
        return "It is worth while to wait for what ends soon, and for nothing beyond."
    for name, said in (("permanent", "one in twenty never ends"), ("penalty", "a failover costs 20 s besides")):
        other = waiting_cost(OUTAGES, [0.0, *OUTAGES], **(at | {name: 0.0}))
        if close(given, other.best, 0.02):
            raise Hint(f"You seem to have left something out: {said}.")
    raise Hint(f"With that wait an outage costs {cost:.3g} s on average, {cost / least - 1:.0%} more than it need.")
