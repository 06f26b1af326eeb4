"""Faults, seen from outside: availability, what silence hides, and recovery. The stories and widgets of lesson 1.

In three layers, as in `accrual.show.phi`: numbers from functions of plain parameters, a JavaScript file that draws
them, a class that hands them over.
"""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from traitlets import Dict, Int, List, Unicode, validate

from accrual.isolation.uptime import YEAR, Availability, availability, service, time_to_outage
from accrual.show.widget import Widget, source

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

__all__ = [
    "Availability",
    "Nines",
    "Recovery",
    "Story",
    "WhichFailed",
    "availability",
    "fitting",
    "service",
    "stories",
    "time_to_outage",
]

MINUTE: Final = 60.0
HOUR: Final = 3600.0
DAY: Final = 86_400.0


# ---- numbers --------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Story:
    """What happens to a peer that beats once a second, and what an observer gets to see of it.

    Attributes
    ----------
    name : str
    truth : str
        What happened, in a sentence.
    place : str
        Where the fault is: ``"node"`` or ``"network"``.
    heartbeats : tuple of (int, float, float or None)
        Of each its sequence number, when it is sent, and when it arrives if it does [s].
    """

    name: str
    truth: str
    place: str
    heartbeats: tuple[tuple[int, float, float | None], ...]

    def seen(self, at: float) -> list[tuple[float, int]]:
        """What has arrived by then: times and sequence numbers. The observer knows nothing else."""
        return sorted((arrives, n) for n, _, arrives in self.heartbeats if arrives is not None and arrives <= at)


STRIKES: Final = 10.3
"""When the fault strikes [s]."""
ENDS: Final = 30.46
"""When it ends, where it does [s]."""
_DELAY: Final = 0.04  # of a heartbeat on a sound network [s]
_QUEUED: Final = 0.05  # between two heartbeats out of a queue that empties [s]


def stories(until: int = 60) -> list[Story]:
    """Five things that can happen to a peer after `STRIKES`; up to `until` [s].

    Examples
    --------
    >>> [story.name for story in stories()]
    ['crash', 'cut cable', 'partition', 'pause', 'slow network']
    >>> {tuple(story.seen(at=30)) == tuple(stories()[0].seen(at=30)) for story in stories()}
    {True}
    """
    beats = [(n, float(n)) for n in range(1, until + 1)]
    before, after = ([beat for beat in beats if (beat[1] < STRIKES) == early] for early in (True, False))
    sound = [(n, sent, sent + _DELAY) for n, sent in before]
    lost = [(n, sent, None) for n, sent in after]
    healed = [(n, sent, sent + _DELAY if sent >= ENDS else None) for n, sent in after]
    # A stopped process sends what it was about to send when it goes on, and then once a second again.
    resumed = [(n, ENDS + k, ENDS + k + _DELAY) for k, (n, _) in enumerate(after)]
    queued = [(n, sent, max(sent + _DELAY, ENDS + _DELAY + k * _QUEUED)) for k, (n, sent) in enumerate(after)]
    nothing: list[tuple[int, float, float | None]] = []
    told = (
        ("crash", "The process ended, and will not come back by itself.", "node", nothing),
        ("cut cable", "The peer is well and beats on; the only cable to it is cut for good.", "network", lost),
        ("partition", "For twenty seconds nothing got through; the peer was well all the time.", "network", healed),
        ("pause", "The peer stood still for twenty seconds (memory reclaim, a suspended machine).", "node", resumed),
        ("slow network", "Heartbeats queued for up to twenty seconds; none was lost.", "network", queued),
    )
    return [
        Story(name, truth, place, tuple(sound + [beat for beat in rest if beat[1] <= until]))
        for name, truth, place, rest in told
    ]


def fitting(told: Sequence[Story], case: Story, at: float) -> list[str]:
    """Which of the stories an observer of `case` cannot rule out by then: those that look the same so far.

    Examples
    --------
    >>> told = stories()
    >>> fitting(told, told[0], at=20)
    ['crash', 'cut cable', 'partition', 'pause', 'slow network']
    >>> fitting(told, told[0], at=60)
    ['crash', 'cut cable']
    """
    view = case.seen(at)
    return [story.name for story in told if story.seen(at) == view]


# ---- widgets --------------------------------------------------------------------------------------------------------


_FAILURE_TIMES: Final = (
    *((hours * HOUR, f"{hours} h") for hours in (1, 6)),
    *((days * DAY, f"{days} day{'s' * (days > 1)}") for days in (1, 3, 7, 14, 30, 90, 180)),
    *((years * YEAR, f"{years} year{'s' * (years > 1)}") for years in (1, 3, 10)),
)
_REPAIR_TIMES: Final = (
    *((float(s), f"{s} s") for s in (1, 5, 10, 30)),
    *((minutes * MINUTE, f"{minutes} min") for minutes in (1, 2, 5, 15, 30)),
    *((hours * HOUR, f"{hours} h") for hours in (1, 2, 4, 8)),
    *((days * DAY, f"{days} day{'s' * (days > 1)}") for days in (1, 3, 7)),
)


class Nines(Widget):
    """Mean times to failure and to repair, and the availability that they make.

    Attributes
    ----------
    mttf, mttr : int
        Which stop each slider is at.

    Examples
    --------
    >>> Nines()
    Nines(works for 30 days, repaired in 4 h: 99.448 % available, down 48.4 h a year)
    """

    _css = source("phi.css", "faults.css")
    _esm = source("controls.js", "nines.js")

    stops = Dict().tag(sync=True)
    table: List[Any] = List().tag(sync=True)
    mttf = Int(6).tag(sync=True)
    mttr = Int(11).tag(sync=True)

    def __init__(self) -> None:
        self._table = [[availability(mttf, mttr) for mttr, _ in _REPAIR_TIMES] for mttf, _ in _FAILURE_TIMES]
        super().__init__(
            stops={
                "mttf": [{"seconds": s, "text": text} for s, text in _FAILURE_TIMES],
                "mttr": [{"seconds": s, "text": text} for s, text in _REPAIR_TIMES],
            },
            table=[[asdict(found) for found in row] for row in self._table],
        )

    @validate("mttf", "mttr")
    def _within(self, proposal: dict[str, Any]) -> int:
        last = len(_FAILURE_TIMES if proposal["trait"].name == "mttf" else _REPAIR_TIMES) - 1
        return int(min(max(proposal["value"], 0), last))

    def describe(self) -> str:
        """What the widget shows now, in words."""
        found = self._table[self.mttf][self.mttr]
        return (
            f"works for {_FAILURE_TIMES[self.mttf][1]}, repaired in {_REPAIR_TIMES[self.mttr][1]}: "
            f"{100 * found.share:.5g} % available, down {found.downtime / HOUR:.3g} h a year"
        )


class WhichFailed(Widget):
    """A game: a peer falls silent, and you say what happened to it.

    Parameters
    ----------
    seed : int
        Of the order in which the cases come.

    Attributes
    ----------
    case : int
        Which case is looked at, from 0.
    stop : int
        How far time has come, in half seconds.
    guess : str
        The name of the story that was guessed; empty before.

    Examples
    --------
    >>> WhichFailed()
    WhichFailed(case 1 of 5 after 15 s: 10 heartbeats, silent for 4.96 s, 5 explanations fit)
    """

    _css = source("phi.css", "faults.css")
    _esm = source("controls.js", "choices.js", "which_failed.js")

    cases: List[Any] = List().tag(sync=True)
    names = List(Unicode()).tag(sync=True)
    times: List[Any] = List().tag(sync=True)
    case = Int(0).tag(sync=True)
    stop = Int(30).tag(sync=True)
    guess = Unicode().tag(sync=True)

    def __init__(self, seed: int = 5) -> None:
        told = stories()
        self._times = [stop / 2 for stop in range(121)]
        self._cases = [told[k] for k in np.random.default_rng(seed).permutation(len(told))]
        self._fitting = [[fitting(told, case, at) for at in self._times] for case in self._cases]
        super().__init__(
            cases=[asdict(case) | {"fitting": fits} for case, fits in zip(self._cases, self._fitting, strict=True)],
            names=[story.name for story in told],
            times=self._times,
        )

    @validate("case", "stop")
    def _within(self, proposal: dict[str, Any]) -> int:
        last = len(self._cases if proposal["trait"].name == "case" else self._times) - 1
        return int(min(max(proposal["value"], 0), last))

    def describe(self) -> str:
        """What the widget shows now, in words."""
        at = self._times[self.stop]
        seen = self._cases[self.case].seen(at)
        silent = f", silent for {at - seen[-1][0]:.4g} s" if seen else ""
        fit = len(self._fitting[self.case][self.stop])
        return (
            f"case {self.case + 1} of {len(self._cases)} after {at:g} s: {len(seen)} heartbeats{silent}, "
            f"{fit} explanation{'s fit' if fit > 1 else ' fits'}"
        )


NODE_MTTF: Final = 30 * DAY
"""How long a node of the `Recovery` widget works on average [s]."""
_MTTRS: Final = (
    (MINUTE, "1 min"),
    (HOUR, "1 h"),
    (8 * HOUR, "8 h"),
    *((days * DAY, f"{days} day{'s' * (days > 1)}") for days in (1, 3, 7, 14, 30)),
)
_MOST_NODES: Final = 5


class Recovery(Widget):
    """A few nodes, isolated when they fail; with and without recovery, over a year.

    Attributes
    ----------
    nodes : int
    repair : int
        Which stop the slider of the time to repair is at.

    Examples
    --------
    >>> Recovery()
    Recovery(3 nodes, repaired in 1 day: after a year 99.9966 % in service, isolated only 0.0016 %)
    """

    _css = source("phi.css", "faults.css")
    _esm = source("controls.js", "recovery.js")

    days: List[Any] = List().tag(sync=True)
    repairs: List[Any] = List().tag(sync=True)
    isolated: List[Any] = List().tag(sync=True)
    recovered: List[Any] = List().tag(sync=True)
    nodes = Int(3).tag(sync=True)
    repair = Int(3).tag(sync=True)

    def __init__(self) -> None:
        days = np.linspace(0, 365, 147)
        numbers = range(1, _MOST_NODES + 1)
        self._isolated = [_course(nodes, math.inf, days) for nodes in numbers]
        self._recovered = [[_course(nodes, mttr, days) for mttr, _ in _MTTRS] for nodes in numbers]
        super().__init__(
            days=days.tolist(),
            repairs=[text for _, text in _MTTRS],
            isolated=self._isolated,
            recovered=self._recovered,
        )

    @validate("nodes")
    def _some(self, proposal: dict[str, Any]) -> int:
        return int(min(max(proposal["value"], 1), _MOST_NODES))

    @validate("repair")
    def _within(self, proposal: dict[str, Any]) -> int:
        return int(min(max(proposal["value"], 0), len(_MTTRS) - 1))

    def describe(self) -> str:
        """What the widget shows now, in words."""
        isolated = self._isolated[self.nodes - 1]["service"][-1]
        recovered = self._recovered[self.nodes - 1][self.repair]["service"][-1]
        return (
            f"{self.nodes} node{'s' * (self.nodes > 1)}, repaired in {_MTTRS[self.repair][1]}: after a year "
            f"{100 * recovered:.6g} % in service, isolated only {100 * isolated:.2g} %"
        )


def _course(nodes: int, mttr: float, days: NDArray[np.float64]) -> dict[str, Any]:
    return {
        "service": service(nodes, NODE_MTTF, mttr, days * DAY).tolist(),
        "outage": time_to_outage(nodes, NODE_MTTF, mttr),
    }
