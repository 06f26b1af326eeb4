"""The questions of lesson 11: partitions."""

from __future__ import annotations

import math
from typing import Any

from accrual.course.checking import Hint, called, number, question
from accrual.lab import recorded
from accrual.recovery import Cluster, simulate
from accrual.show.partition import BASE, CUT, acted_wrongly, verdicts


@question("11.1")
def _safe(answer: Any) -> str:
    """What makes a primary that has lost its majority stop by itself, in time?"""
    if not isinstance(answer, Cluster):
        raise Hint("A Cluster is asked for, as `Cluster(**BASE, ...)` makes it.")
    if wrong := [name for name, value in BASE.items() if getattr(answer, name) != value]:
        raise Hint(f"Keep the workload as it is, `**BASE`: you have changed {', '.join(wrong)}.")
    for seed in (1, 2, 3):
        found = simulate(answer, [CUT], seconds=14, seed=seed).outcome
        if found.lost_writes:
            raise Hint(f"{found.lost_writes} acknowledged writes are lost. Who has to have a write before it counts?")
        if found.stale_reads:
            raise Hint(
                f"No write is lost, but {found.stale_reads} reads are stale: the old primary still answers client 0. "
                "Something must run out for it."
            )
        if found.split_brain:
            raise Hint(f"Two nodes took themselves for the primary for {found.split_brain:.2f} s.")
        if found.acknowledged_writes < found.requests / 3:
            raise Hint(
                f"Safe, for it hardly answers: {found.acknowledged_writes} writes of some {found.requests // 2}. "
                "The side of the majority should go on."
            )
    return "The primary stops before anybody else may start; that is what the clients of the minority pay for."


@question("11.2")
def _last_writer(answer: Any) -> str:
    """Take the last write to each key on each side; where both sides have one, the earlier is lost."""
    one = [(1.0, "x", 1), (4.0, "x", 2), (2.0, "y", 3), (6.0, "z", 4), (6.5, "w", 9)]
    two = [(3.0, "x", 5), (5.0, "y", 6), (1.0, "y", 7), (2.5, "z", 8), (0.5, "v", 10)]
    for here, there, right in (
        (one, two, {5, 3, 8}),
        (two, one, {5, 3, 8}),
        (one, [], set()),
        (one[::-1], two, {5, 3, 8}),
    ):
        given = called(answer, list(here), list(there))
        try:
            lost = set(given)
        except TypeError:
            raise Hint("A set of the writes' numbers is asked for.") from None
        if lost == right:
            continue
        if lost == {2, 6, 4}:
            raise Hint("These are the ones that stay. Which are lost?")
        if lost >= right and lost & {1, 7}:
            raise Hint("A write that its own side has replaced is not lost by the merge. Take each side's last one.")
        if lost & {9, 10}:
            raise Hint("A key that only one side has written has nobody to lose to.")
        raise Hint(f"With {here} and {there} your function says {sorted(map(str, lost))}.")
    return "And nobody was told: both clients had their OK."


@question("11.3")
def _stable_after(answer: Any) -> str:
    """How long did the wrong verdict on the partial partition stand?"""
    given, said = number(answer), verdicts(recorded("recognition"))
    if not 0 <= given < math.inf:
        raise Hint("A wait is 0 s or more, and finite.")
    # What the lesson prints is rounded: a hundredth of a second too little is not the student's mistake.
    if wrong := acted_wrongly(said, given + 0.01):
        raise Hint(f"With {given:g} s somebody acts on a wrong verdict: {', '.join(wrong)}.")
    if given >= 0.1 and not acted_wrongly(said, given - 0.1):
        raise Hint("That is safe, and longer than it need be: a tenth of a second less would do.")
    return "On this machine. What must be waited for is the difference between the first and the last to notice."


@question("11.4")
def _may_go_on(answer: Any) -> str:
    """If this side may go on, what is left over must not be able to."""
    if not callable(answer):
        raise Hint("A function is asked for, by its name without brackets.")
    for nodes in range(1, 10):
        for reached in range(1, nodes + 1):
            given = called(answer, reached, nodes)
            case = f"{reached} of {nodes} nodes"
            if bool(given) and 2 * reached == nodes:
                raise Hint(f"{case}: the other half may go on by the same rule. Then there are two.")
            if bool(given) and 2 * reached < nodes:
                raise Hint(f"{case}: the others are more, and may go on as well.")
            if not given and 2 * reached > nodes:
                raise Hint(f"{case}: that is a majority, and nobody else can have one.")
    return "So the fourth node buys nothing: 4 nodes stand the loss of one, as 3 do."
