"""The question of lesson 0: how questions work."""

from __future__ import annotations

from typing import Any

from accrual.course.checking import Hint, number, question
from accrual.traces import datasets


@question("00.1")
def _heartbeats(answer: Any) -> str:
    """The table above has a row for it, and len() of a trace is the number of its heartbeats."""
    idle, given = datasets()["idle"], number(answer)
    if given == round(idle.duration):
        raise Hint("Those are the seconds that it lasts. How many heartbeats came in them?")
    if given == idle.heartbeats - 1:
        raise Hint("So many intervals lie between them. One heartbeat more!")
    if given != idle.heartbeats:
        raise Hint(f"It lasts {idle.duration:,.0f} s, and a heartbeat is sent every {1000 * idle.period:g} ms.")
    return "That is how all questions go: answer, run the cell, read the hint, try again."
