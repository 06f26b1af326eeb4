"""Neighbours with and without caps, what they share, how far away they are, what a bulkhead costs: lesson 7's widgets.

Numbers, picture and widget are kept apart as in `accrual.show.phi`. Nothing here asks the kernel while a slider moves.
"""

from __future__ import annotations

import itertools
import math
from dataclasses import asdict, dataclass
from functools import cache
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from traitlets import Dict, Float, Int, List, TraitError, Unicode, validate

from accrual.detectors import FixedTimeout, PhiNormal
from accrual.isolation import COSTS, FAULTS, LEVELS, OUTAGES, RULES, SHOP, compare_levels, plan_pools
from accrual.isolation.labs.compare import STAND_INS
from accrual.isolation.placement import DOMAINS, Instance, Placement
from accrual.isolation.result import Result, as_count, as_positive, as_share
from accrual.lab import LabResult, recorded
from accrual.qos import curve
from accrual.show.widget import Widget, source
from accrual.traces import Trace, load
from accrual.traces.synthetic import synthesize

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

__all__ = [
    "Distance",
    "Fate",
    "HogNextDoor",
    "Levels",
    "Phase",
    "Quota",
    "Room",
    "Rung",
    "Utilisation",
    "levels",
    "patience",
    "phases",
    "room",
    "rungs",
    "sent",
]

# ---- numbers --------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, kw_only=True)
class Phase:
    """A victim's heartbeats in one phase of the lab `containers`.

    Attributes
    ----------
    name, title : str
    heartbeats : int
        That came.
    mean, deviation, longest : float
        Of the intervals between them [s].
    fixed_mistakes : int
        Of 3 x T, as the lab counted them.
    phi_mistakes : int
        Of phi >= 8 over a window of 100.
    """

    name: str
    title: str
    heartbeats: int
    mean: float
    deviation: float
    longest: float
    fixed_mistakes: int
    phi_mistakes: int


_PHASES: Final = {
    "alone": "alone",
    "hog": "hogs beside it, no cap",
    "capped": "the same hogs, behind a cap",
}


def phases(found: LabResult) -> list[Phase]:
    """The three phases of the hog next door, from a result of the lab `containers`.

    Raises
    ------
    ValueError
        The result is of another lab, or of one that left this part out.

    Examples
    --------
    >>> [phase.name for phase in phases(recorded("containers"))]
    ['alone', 'hog', 'capped']
    """
    if found.lab != "containers" or "hog_mean" not in found.facts:
        raise ValueError(f"found must be a result of the lab containers with the part hog, got one of {found.lab!r}")
    return [
        Phase(
            name=name,
            title=title,
            **{
                key: found.facts[f"{name}_{key}"]
                for key in ("heartbeats", "mean", "deviation", "longest", "fixed_mistakes", "phi_mistakes")
            },
        )
        for name, title in _PHASES.items()
    ]


def patience(phase: Phase, threshold: float) -> float:
    """For how long phi waits for a peer with such intervals, once its window holds nothing else [s].

    Examples
    --------
    >>> alone, hog, _ = phases(recorded("containers"))
    >>> round(patience(alone, 8), 3), round(patience(hog, 8), 3)
    (0.011, 0.063)
    """
    return phase.mean + PhiNormal().compiled.inverse(threshold) * phase.deviation


def sent(share: float, quota: float, period: float, duration: float = 1.0) -> list[float]:
    """When heartbeats leave a group that may run for a share of each `quota` seconds, and always has work to do [s].

    A heartbeat that is due while the group is held back leaves when it may run again; what was due besides in that time
    is not made up for.

    Parameters
    ----------
    share : float
        Of one processor, above 0.
    quota : float
        Over which the share is counted [s], to the microsecond.
    period : float
        Of the heartbeats [s], to the microsecond.
    duration : float
        For how long [s].

    Examples
    --------
    >>> sent(0.2, quota=0.1, period=0.01, duration=0.2)
    [0.0, 0.01, 0.1, 0.11]
    """
    share = as_share("share", share)
    micro = [round(1e6 * as_positive(*one, "seconds")) for one in (("quota", quota), ("period", period))]
    end = round(1e6 * as_positive("duration", duration, "seconds"))
    if not share or not all(micro):
        raise ValueError(f"share, quota and period must be above 0, got {share:g}, {quota:g} s and {period:g} s")
    [quota_us, period_us] = micro
    runs = share * quota_us
    due, found = 0, []
    while due < end:
        left = due if due % quota_us < runs else (due // quota_us + 1) * quota_us
        if left >= end:
            break
        found.append(left / 1e6)
        due = (left // period_us + 1) * period_us
    return found


@dataclass(frozen=True, kw_only=True)
class Rung:
    """A distance between watcher and watched, and what it does to heartbeats.

    Attributes
    ----------
    level : str
        One of `accrual.isolation.LEVELS`.
    title, source : str
        What stands for it, and whether it was recorded or assumed.
    round_trip : float
        A question and its answer [s].
    deviation : float
        Of the intervals [s].
    fixed_rate, fixed_detection : tuple of float
        Mistakes in a minute, and mean detection time [s], of a timeout at each of `TIMEOUTS`.
    phi_rate, phi_detection : float
        The same of phi >= 8 over the last 100 intervals.
    needs : float or None
        The shortest of `TIMEOUTS` with one mistake in a minute at most [s].
    """

    level: str
    title: str
    source: str
    round_trip: float
    deviation: float
    fixed_rate: tuple[float, ...]
    fixed_detection: tuple[float, ...]
    phi_rate: float
    phi_detection: float
    needs: float | None


TIMEOUTS: Final = (0.025, 0.03, 0.04, 0.05, 0.06, 0.08, 0.1, 0.15, 0.2, 0.3, 0.5, 1.0, 2.0, 3.0)
"""Stops for one timeout on all rungs [s]."""
WARM: Final = 1000
"""Heartbeats that are not judged."""
_WINDOW: Final = 100

# Of hosts and clusters the package has no recording: half of the round trip of COSTS, and a deviation that is assumed.
_RUNGS: Final = (
    ("process", "a process on an idle core", "idle", "recorded"),
    ("container", "a container at its CPU quota", "cpu-quota", "recorded"),
    ("vm", "a virtual machine, stopped at times", "vm", "recorded"),
    ("host", "another host in the rack", "gamma:mean=0.25ms,deviation=0.1ms", "assumed"),
    ("cluster", "another cluster of the building", "gamma:mean=0.5ms,deviation=0.3ms", "assumed"),
    ("datacenter", "another city, a queue on the way", "jittery", "recorded over an emulated path"),
)


@cache
def rungs() -> tuple[Rung, ...]:
    """The ladder from a process to another city: heartbeats of each rung under one timeout and under phi.

    Examples
    --------
    >>> [rung.level for rung in rungs()]
    ['process', 'container', 'vm', 'host', 'cluster', 'datacenter']
    """
    found = []
    for level, title, what, how in _RUNGS:
        beats = synthesize(60_000, period=0.01, delay=what, seed=7) if ":" in what else load(what)
        found.append(_rung(level, title, f"{how}: {what}", beats))
    return tuple(found)


def _rung(level: str, title: str, made: str, beats: Trace) -> Rung:
    assert beats.period is not None  # all of these have one
    fixed = curve(beats, FixedTimeout(period=beats.period), np.array(TIMEOUTS) / beats.period, skip=WARM)
    phi = curve(beats, PhiNormal(window=_WINDOW), [8.0], skip=WARM)[0]
    rate = tuple(60 * one for one in fixed.mistake_rate.tolist())
    return Rung(
        level=level,
        title=title,
        source=made,
        round_trip=COSTS[level].round_trip,
        deviation=float(np.diff(beats.arrivals).std()) / 1e9,
        fixed_rate=rate,
        fixed_detection=tuple(fixed.detection_time.tolist()),
        phi_rate=60 * phi.mistake_rate,
        phi_detection=phi.detection_time,
        needs=next((timeout for timeout, found in zip(TIMEOUTS, rate, strict=True) if found <= 1), None),
    )


MACHINE: Final = 8
"""Workers that a machine of one's own has room for."""
LATENCY: Final = 0.05
"""What a request keeps a worker busy [s]."""


@dataclass(frozen=True, kw_only=True)
class Room:
    """Workers that the same services need in three arrangements, each with at most 1 % of requests refused.

    Attributes
    ----------
    name : str
        ``machines`` (one or more for each service), ``bulkheads`` (a container for each, on shared machines) or
        ``pool`` (one for all).
    workers : int
        Paid for.
    utilisation : float
        Share of them that are busy.
    refused : float
        Share of all requests that is refused while the first service hangs.
    """

    name: str
    workers: int
    utilisation: float
    refused: float


def room(services: int, load: float, machine: int = MACHINE) -> list[Room]:
    """What isolation does to utilisation: a machine for each service, a bulkhead for each, one pool for all.

    A machine of one's own is paid for whole, with room for `machine` workers. What is left of a shared one is others'.

    Parameters
    ----------
    services : int
        As many, with the same load each.
    load : float
        The workers that all of them keep busy on average.
    machine : int
        Workers of one machine.

    Examples
    --------
    >>> [(one.name, one.workers, round(one.utilisation, 2)) for one in room(3, 6.0)]
    [('machines', 24, 0.25), ('bulkheads', 21, 0.28), ('pool', 13, 0.46)]
    """
    services = as_count("services", services, 1, 1000)
    load = as_positive("load", load, "busy workers")
    machine = as_count("machine", machine)
    one = (load / services / LATENCY, LATENCY)
    plan = plan_pools({f"service-{k}": one for k in range(1, services + 1)}, hang="service-1")
    apart = sum(pool.workers for pool in plan.bulkheads)
    whole = sum(math.ceil(pool.workers / machine) * machine for pool in plan.bulkheads)
    busy = sum(pool.utilisation * pool.workers for pool in plan.bulkheads)
    stuck = sum(pool.stuck for pool in plan.bulkheads) / services
    # A whole machine refuses less than a bulkhead of one per cent does.
    [own] = plan_pools({"service-1": one}, workers=whole // services, hang="service-1").bulkheads
    return [
        Room(
            name="machines",
            workers=whole,
            utilisation=own.utilisation,
            refused=(own.stuck + (services - 1) * own.missed) / services,
        ),
        Room(name="bulkheads", workers=apart, utilisation=busy / apart, refused=stuck),
        Room(name="pool", workers=plan.shared.workers, utilisation=plan.shared.utilisation, refused=plan.shared.stuck),
    ]


# ---- the table of strategies ----------------------------------------------------------------------------------------

_OWN: Final = {
    "thread": "a pool of threads",
    "process": "memory",
    "container": "caps, a view",
    "vm": "a kernel",
    "host": "a machine",
    "cluster": "a network",
    "datacenter": "a building",
}
_TABLED: Final = ("hang", "memory-hog", "segfault", "kill", "bridge", "kernel-panic", "plug", "switch", "blackout")


@dataclass(frozen=True, kw_only=True, repr=False)
class Levels(Result):
    """The lecture's table of strategies: what the labs measured, and where they did not, what the model says.

    Attributes
    ----------
    taken : dict
        By level and fault: of three services, those that a fault in payment takes, and whether a lab did it.
    start, memory, round_trip : dict
        By level: seconds, MB and seconds, and whether a lab measured it.
    """

    taken: Mapping[str, Mapping[str, tuple[int, bool]]]
    start: Mapping[str, tuple[float, bool]]
    memory: Mapping[str, tuple[float, bool]]
    round_trip: Mapping[str, tuple[float, bool]]

    def title(self) -> str:
        """What the marks mean."""
        return "services taken by a fault in payment, of 3, and what a level costs (* measured in a lab)"

    def table(self) -> list[list[str]]:
        """A column for each level."""
        rows = [["", *LEVELS], ["its own", *(_OWN[level] for level in LEVELS)]]
        rows += [
            [fault, *(f"{count}{'*' * lab}" for count, lab in (self.taken[level][fault] for level in LEVELS))]
            for fault in _TABLED
        ]
        for name, by_level, unit in (
            ("start [s]", self.start, 1.0),
            ("memory [MB]", self.memory, 1.0),
            ("round trip [ms]", self.round_trip, 1e3),
        ):
            rows.append([name, *(_cost(unit, *by_level[level]) for level in LEVELS)])
        return rows

    def records(self) -> list[dict[str, Any]]:
        """A row for each level."""
        return [
            {
                "level": level,
                "own": _OWN[level],
                **{fault: count for fault, (count, _) in self.taken[level].items()},
                "start": self.start[level][0],
                "memory": self.memory[level][0],
                "round_trip": self.round_trip[level][0],
                "measured": [fault for fault, (_, lab) in self.taken[level].items() if lab]
                + [n for n in ("start", "memory", "round_trip") if getattr(self, n)[level][1]],
            }
            for level in LEVELS
        ]


def _cost(unit: float, value: float, lab: bool) -> str:
    text = f"{unit * value:,.0f}" if unit * value >= 1000 else f"{unit * value:.3g}"
    return text + "*" * lab


def levels(results: Sequence[LabResult] | None = None) -> Levels:
    """The table of strategies, with the figures of some labs in the place of the model's.

    What the lab's host costs is left out: a network namespace stands in for it.

    Parameters
    ----------
    results : sequence of LabResult, optional
        Of the labs compare, containers, vm and hosts; the recorded ones by default.

    Raises
    ------
    ValueError
        One is of another lab.

    Examples
    --------
    >>> table = levels()
    >>> table.taken["thread"]["segfault"], table.taken["process"]["segfault"], table.taken["cluster"]["blackout"]
    ((3, True), (1, True), (3, False))
    """
    rows = {row.level: row for row in compare_levels().rows}
    taken = {
        level: {fault: (round(row.taken[fault] * len(SHOP)), False) for fault in _TABLED} for level, row in rows.items()
    }
    costs = {
        name: {level: (float(getattr(row.cost, name)), False) for level, row in rows.items()}
        for name in ("start", "memory", "round_trip")
    }
    wanted = ("vm", "hosts", "containers", "compare")  # where two measured the same, the later one counts
    given = {found.lab: found for found in (map(recorded, wanted) if results is None else results)}
    if not set(given) <= set(wanted):
        raise ValueError(f"results must be of the labs {', '.join(wanted)}, got {', '.join(given)}")
    for lab in wanted:
        if lab in given:
            for level, name, value in _READ[lab](given[lab]):
                (costs[name] if name in costs else taken[level])[level if name in costs else name] = (value, True)
    return Levels(taken=taken, **costs)


def _read_compare(found: LabResult) -> list[tuple[str, str, Any]]:
    return [
        (row["level"], name, row[name])
        for row in found.rows
        for name in (*_TABLED, *(() if row["level"] in STAND_INS else ("start", "memory", "round_trip")))
        if name in row
    ]


def _read_containers(found: LabResult) -> list[tuple[str, str, Any]]:
    """Payment was the hog, with order and delivery beside it; on the bridge were two, and if both are cut off, all."""
    by_fault = {row["fault"]: row for row in found.rows}
    rows: list[tuple[str, str, Any]] = []
    if "memory-hog" in by_fault:
        rows.append(("container", "memory-hog", 1 + by_fault["memory-hog"]["neighbours_harmed"]))
    bridge = by_fault.get("bridge-down")
    if bridge and bridge["neighbours_harmed"] == bridge["neighbours"]:
        rows.append(("container", "bridge", len(SHOP)))
    return rows


def _read_vm(found: LabResult) -> list[tuple[str, str, Any]]:
    known = {"memory-hog": "memory-hog", "panic": "kernel-panic", "kill": "kill"}
    rows = [("vm", known[row["fault"]], 1 + row["others_lost"]) for row in found.rows if row["fault"] in known]
    return [*rows, ("vm", "start", found.facts["boot"]), ("vm", "memory", found.facts["memory_of_one"] / 1e6)]


def _read_hosts(found: LabResult) -> list[tuple[str, str, Any]]:
    return [("host", "plug", 1 + row["others_cut_off"]) for row in found.rows if row["fault"] == "plug"]


_READ: Final = {
    "compare": _read_compare,
    "containers": _read_containers,
    "vm": _read_vm,
    "hosts": _read_hosts,
}


# ---- widgets --------------------------------------------------------------------------------------------------------


def _when(found: LabResult) -> str:
    machine = f"{found.machine.get('processors', '?')} cores, {found.machine.get('system', '?').split('-')[0]}"
    return f"recorded {found.recorded} on {machine}" if found.recorded else f"measured here: {machine}"


KS: Final = tuple(range(1, 11))
"""Stops for k."""
PHIS: Final = (1.0, 2.0, 3.0, 5.0, 8.0, 12.0)
"""Stops for Phi."""


def _nearest(stops: Sequence[float], name: str, value: float) -> Any:
    """The stop that is the fewest times larger or smaller."""
    if not 0 < value < math.inf:
        raise TraitError(f"{name} must be more than 0, got {value!r}")
    return min(stops, key=lambda stop: abs(math.log(stop / value)))


class HogNextDoor(Widget):
    """A victim's intervals while it is alone, beside hogs, and beside hogs with a cap; and how long two detectors wait.

    Parameters
    ----------
    found : LabResult, optional
        Of the lab `containers`; the recorded one by default.

    Attributes
    ----------
    k : int
        Of the fixed timeout k x T.
    threshold : float
        Phi. Set it, and it goes to the nearest stop.

    Examples
    --------
    >>> HogNextDoor()
    HogNextDoor(3 x T waits 30 ms for all; phi >= 8 waits 10.8 ms alone, 63 ms with hog, 14.6 ms with capped)
    """

    _esm = source("controls.js", "hog_next_door.js")
    _css = source("phi.css", "neighbours.css")

    stops = Dict().tag(sync=True)
    phases: List[Any] = List().tag(sync=True)
    period = Float().tag(sync=True)
    about = Unicode().tag(sync=True)
    k = Int(3).tag(sync=True)
    threshold = Float(8.0).tag(sync=True)

    def __init__(self, found: LabResult | None = None) -> None:
        found = recorded("containers") if found is None else found
        self._phases = phases(found)
        super().__init__(
            stops={"k": KS, "threshold": PHIS},
            period=found.parameters["period"],
            phases=[asdict(one) | {"patience": [patience(one, phi) for phi in PHIS]} for one in self._phases],
            about=_when(found),
        )

    @validate("k", "threshold")
    def _stop(self, proposal: dict[str, Any]) -> Any:
        name = proposal["trait"].name
        return _nearest(KS if name == "k" else PHIS, name, proposal["value"])

    def describe(self) -> str:
        """What the widget shows now, in words."""
        alone, *others = (f"{1e3 * patience(one, self.threshold):.3g} ms" for one in self._phases)
        with_names = ", ".join(f"{wait} with {one.name}" for wait, one in zip(others, self._phases[1:], strict=True))
        return (
            f"{self.k} x T waits {1e3 * self.k * self.period:.3g} ms for all; phi >= {self.threshold:g} waits {alone} "
            f"alone, {with_names}"
        )


SHARES: Final = (0.05, 0.1, 0.2, 0.3, 0.5, 0.7, 0.9, 1.0)
"""Stops for the share of a processor."""
QUOTAS: Final = (0.01, 0.02, 0.05, 0.1, 0.2, 0.5)
"""Stops for the period over which it is counted [s]; the kernel's own is 0.1."""
_BEAT: Final = 0.01
_SPAN: Final = 0.5


class Quota(Widget):
    """A group at its CPU quota: when it runs, when it is held back, and when its heartbeats leave.

    Attributes
    ----------
    share : float
        Of one processor.
    quota : float
        Over which that is counted [s].

    Examples
    --------
    >>> Quota()
    Quota(20 % of each 100 ms: heartbeats up to 90 ms apart, so k must be 9 or more)
    """

    _esm = source("controls.js", "quota.js")
    _css = source("phi.css", "neighbours.css")

    stops = Dict().tag(sync=True)
    found: List[Any] = List().tag(sync=True)
    period = Float(_BEAT).tag(sync=True)
    span = Float(_SPAN).tag(sync=True)
    share = Float(0.2).tag(sync=True)
    quota = Float(0.1).tag(sync=True)

    def __init__(self) -> None:
        super().__init__(
            stops={"share": SHARES, "quota": QUOTAS},
            found=[[self._look(share, quota) for quota in QUOTAS] for share in SHARES],
        )

    @staticmethod
    def _look(share: float, quota: float) -> dict[str, Any]:
        beats = sent(share, quota, _BEAT, 2 * _SPAN)
        longest = max(round(b - a, 6) for a, b in itertools.pairwise(beats))
        return {
            "beats": [beat for beat in beats if beat < _SPAN],
            "longest": longest,
            # A timeout of exactly the longest interval does not run out: a peer is late after it.
            "k": math.ceil(round(longest / _BEAT, 6)),
        }

    @validate("share", "quota")
    def _stop(self, proposal: dict[str, Any]) -> Any:
        name = proposal["trait"].name
        return _nearest(SHARES if name == "share" else QUOTAS, name, proposal["value"])

    def describe(self) -> str:
        """What the widget shows now, in words."""
        now = self._look(self.share, self.quota)
        return (
            f"{100 * self.share:g} % of each {1e3 * self.quota:g} ms: heartbeats up to {1e3 * now['longest']:g} ms "
            f"apart, so k must be {now['k']} or more"
        )


# Six services and where they are: each is one boundary farther from payment.
_NEST: Final = {
    "payment": (1, 1, 1, 1, 1, 1),
    "order": (2, 1, 1, 1, 1, 1),
    "delivery": (3, 2, 2, 1, 1, 1),
    "search": (4, 3, 3, 2, 1, 1),
    "stock": (5, 4, 4, 3, 2, 1),
    "archive": (6, 5, 5, 4, 3, 2),
}
_KINDS: Final = ("container", "network", "vm", "host", "cluster", "datacenter")
FATES: Final = ("segfault", "memory-hog", "bridge", "kernel-panic", "plug", "switch", "blackout")
"""What may strike, from the inside out."""


def nest() -> Placement:
    """The services of the picture, each one boundary farther from payment, with caps.

    Examples
    --------
    >>> [len(nest().reach(fault, "payment")) for fault in FATES]
    [1, 1, 2, 2, 3, 4, 5]
    """
    return Placement(
        capped=True,
        instances=tuple(
            Instance(
                service=service,
                copy=0,
                domains=dict.fromkeys(DOMAINS, f"{service}")
                | {kind: f"{kind}-{number}" for kind, number in zip(_KINDS, where, strict=True)},
            )
            for service, where in _NEST.items()
        ),
    )


def _measured() -> dict[str, str]:
    """What the labs saw of these faults, from their recordings."""
    boxes = {row["fault"]: row for row in recorded("containers").rows}
    machines = {row["fault"]: row for row in recorded("vm").rows}
    hosts = {row["fault"]: row for row in recorded("hosts").rows}
    by_level = {row["level"]: row for row in recorded("compare").rows}
    hog, bridge, panic, plug = boxes["memory-hog"], boxes["bridge-down"], machines["panic"], hosts["plug"]
    return {
        "segfault": f"With a process each, the lab lost {by_level['process']['segfault']} of 3 services.",
        "memory-hog": f"Under a cap the hog was {hog['what_happened']}; {hog['neighbours_harmed']} of "
        f"{hog['neighbours']} neighbours were harmed.",
        "bridge": f"The lab's containers were {bridge['what_happened']}: alive, and of no use to anybody.",
        "kernel-panic": f"The lab's virtual machine ended, suspected after {panic['suspected_after']:.2f} s; "
        f"{panic['others_lost']} of {panic['others']} others did.",
        "plug": f"The lab's client saw {plug['client_sees']}, a detector suspected after {plug['suspected_after']:.2f} "
        f"s; {plug['others_cut_off']} of {plug['others']} other hosts were cut off.",
    }


class Fate(Widget):
    """Boxes in boxes: a container, its bridge and kernel, its host, cluster and datacenter; and where a fault ends.

    Attributes
    ----------
    fault : int
        Which of `FATES`, from the inside out.

    Examples
    --------
    >>> Fate()
    Fate(bridge: takes payment, order of 6)
    """

    _esm = source("controls.js", "fate.js")
    _css = source("phi.css", "neighbours.css")

    services: List[Any] = List().tag(sync=True)
    faults: List[Any] = List().tag(sync=True)
    fault = Int(FATES.index("bridge")).tag(sync=True)

    def __init__(self) -> None:
        placed, seen = nest(), _measured()
        super().__init__(
            services=[{"name": name, "where": where} for name, where in _NEST.items()],
            faults=[
                {
                    "name": name,
                    "title": (FAULTS | OUTAGES)[name].title,
                    "domain": "container" if placed.stopped_by(name) == "process" else placed.stopped_by(name),
                    "why": RULES[name].why,
                    "taken": [instance.service for instance in placed.reach(name, "payment")],
                    "measured": seen.get(name, ""),
                }
                for name in FATES
            ],
        )

    @validate("fault")
    def _within(self, proposal: dict[str, Any]) -> int:
        return int(min(max(proposal["value"], 0), len(FATES) - 1))

    def describe(self) -> str:
        """What the widget shows now, in words."""
        name = FATES[self.fault]
        reached = [instance.service for instance in nest().reach(name, "payment")]
        return f"{name}: takes {', '.join(reached)} of {len(_NEST)}"


class Distance(Widget):
    """One timeout on every rung of the ladder, from a process next door to another city, and phi beside it.

    Attributes
    ----------
    timeout : float
        On all rungs [s]. Set it, and it goes to the nearest stop.
    """

    _esm = source("controls.js", "distance.js")
    _css = source("phi.css", "neighbours.css")

    stops: List[Any] = List().tag(sync=True)
    rungs: List[Any] = List().tag(sync=True)
    timeout = Float(0.03).tag(sync=True)

    def __init__(self) -> None:
        super().__init__(stops=list(TIMEOUTS), rungs=[asdict(rung) for rung in rungs()])

    @validate("timeout")
    def _stop(self, proposal: dict[str, Any]) -> Any:
        return _nearest(TIMEOUTS, "timeout", proposal["value"])

    def describe(self) -> str:
        """What the widget shows now, in words."""
        at = TIMEOUTS.index(self.timeout)
        return f"{1e3 * self.timeout:g} ms on all rungs, mistakes in a minute: " + ", ".join(
            f"{rung.level} {rung.fixed_rate[at]:.3g}" for rung in rungs()
        )


SERVICES: Final = (1, 2, 3, 4, 6, 8, 12, 16)
"""Stops for the number of services."""
LOADS: Final = (1.0, 2.0, 4.0, 6.0, 12.0, 24.0, 48.0, 96.0)
"""Stops for the workers that all of them keep busy."""


class Utilisation(Widget):
    """Does isolation raise utilisation? The same services on machines of their own, in bulkheads, and in one pool.

    Attributes
    ----------
    services : int
    load : float
        Workers that all of them keep busy on average. Set either, and it goes to the nearest stop.

    Examples
    --------
    >>> Utilisation()
    Utilisation(3 services, 6 busy workers: machines 24 workers, 25 % busy; bulkheads 21, 28.5 %; pool 13, 45.9 %)
    """

    _esm = source("controls.js", "utilisation.js")
    _css = source("phi.css", "neighbours.css")

    stops = Dict().tag(sync=True)
    found: List[Any] = List().tag(sync=True)
    services = Int(3).tag(sync=True)
    load = Float(6.0).tag(sync=True)

    def __init__(self) -> None:
        super().__init__(
            stops={"services": SERVICES, "load": LOADS},
            found=[[[asdict(one) for one in room(services, load)] for load in LOADS] for services in SERVICES],
        )

    @validate("services", "load")
    def _stop(self, proposal: dict[str, Any]) -> Any:
        name = proposal["trait"].name
        return _nearest(SERVICES if name == "services" else LOADS, name, proposal["value"])

    def describe(self) -> str:
        """What the widget shows now, in words."""
        first, *others = room(self.services, self.load)
        said = f"{first.name} {first.workers} workers, {100 * first.utilisation:.3g} % busy; "
        said += "; ".join(f"{one.name} {one.workers}, {100 * one.utilisation:.3g} %" for one in others)
        return f"{self.services} service{'s' * (self.services > 1)}, {self.load:g} busy workers: {said}"
