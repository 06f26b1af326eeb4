"""Indicators of health, each computed from what happened: how a fault shows in each, and how soon (lesson 12).

Numbers, widget and rehearsal are kept apart. An indicator at an instant uses only what was known by then: a call that
hangs has failed once its client's patience is over, and its latency is known when its answer comes.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from traitlets import Dict, Float, List, TraitError, Unicode, validate

from accrual.detectors import NS, Detector
from accrual.isolation import Run, simulate
from accrual.isolation.placement import RULES
from accrual.recovery import FailoverController
from accrual.recovery import Run as Recovery
from accrual.replay import NEVER, as_trace, replay
from accrual.show.widget import Widget, source
from accrual.tables import aligned, as_html

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

    from accrual.lab import LabResult
    from accrual.traces import Trace

__all__ = [
    "INDICATORS",
    "SCENARIOS",
    "Incident",
    "Indicator",
    "Moves",
    "Rehearsal",
    "Symptoms",
    "SymptomsOfFaults",
    "incidents",
    "outages",
    "rehearse",
    "share_of_detection",
    "symptoms",
]

# ---- what a fault shows in ------------------------------------------------------------------------------------------


@dataclass(frozen=True, kw_only=True)
class Indicator:
    """Something that is watched.

    Attributes
    ----------
    title, unit : str
    short : str
        The head of a column.
    worse : {"up", "down"}
        Where it goes when all is not well.
    """

    title: str
    short: str
    unit: str
    worse: str


INDICATORS: Final[dict[str, Indicator]] = {
    "in_flight": Indicator(
        title="saturation: requests in the works for each worker", short="saturation", unit="", worse="up"
    ),
    "good": Indicator(title="good answers in the last second", short="good answers", unit="/s", worse="down"),
    "errors": Indicator(title="error rate, all services", short="errors, all", unit="%", worse="up"),
    "errors_worst": Indicator(title="error rate, worst service", short="errors, worst service", unit="%", worse="up"),
    "p50": Indicator(title="latency, median of the answered", short="latency p50", unit="ms", worse="up"),
    "p99": Indicator(title="latency, 99 % of the answered", short="latency p99", unit="ms", worse="up"),
    "silence": Indicator(title="time since the last heartbeat", short="heartbeat", unit="s", worse="up"),
    "users": Indicator(title="blast radius: users hit so far", short="users hit", unit="%", worse="up"),
    "availability": Indicator(title="availability since the start", short="availability", unit="%", worse="down"),
}
"""What is watched, by name. Rates and quantiles are those of the last second."""

PERIOD: Final = 0.1
"""Of payment's heartbeats [s]."""
PATIENCE: Final = 5
"""Periods after which it is suspected."""
DEADLINE: Final = 0.5
"""After which a client gives up [s]; as `accrual.isolation.simulate` has it."""
STEP: Final = 0.1
"""Between two looks at the indicators [s]."""
WARM: Final = 5.0
"""From when on they are looked at [s]."""

SCENARIOS: Final[dict[str, dict[str, Any]]] = {
    "hang, one pool for all": {"fault": "hang", "shared_pool": True},
    "hang, a pool each": {"fault": "hang"},
    "slow answers, a pool each": {"fault": "slow"},
    "exception": {"fault": "exception"},
    "segmentation fault, a process each": {"fault": "segfault", "level": "process"},
    "corrupt data, one process": {"fault": "corrupt"},
    "C code that holds the GIL, a process each": {"fault": "hold-gil", "level": "process"},
}
"""Faults in payment, as `accrual.isolation.simulate` takes them."""


@dataclass(frozen=True, eq=False, kw_only=True)
class Symptoms:
    """How a fault shows in each indicator.

    Attributes
    ----------
    run : Run
        With the fault.
    times : float64 array [s]
    values : dict of str to float64 array
        Of each indicator at these times; nan where nothing was answered.
    band : dict of str to float
        The worst that each did in the same run without the fault; of the silence, the timeout.
    """

    run: Run
    times: NDArray[np.float64]
    values: dict[str, NDArray[np.float64]]
    band: dict[str, float]

    def moved(self) -> dict[str, float]:
        """How long after the strike each indicator is first worse than in the same run without a fault, soonest first.

        Inf for those that never are [s].
        """
        since = self.times - self.run.window[0]
        found = {}
        for name, indicator in INDICATORS.items():
            worse = np.greater if indicator.worse == "up" else np.less
            with np.errstate(invalid="ignore"):
                beyond = (since > 0) & worse(self.values[name], self.band[name])
            found[name] = float(since[np.argmax(beyond)]) if beyond.any() else math.inf
        return dict(sorted(found.items(), key=lambda item: item[1]))


def _known(run: Run) -> NDArray[np.float64]:
    """When it is known what became of each request [s]: at its answer, or when the client gives up."""
    waits = np.where(np.isnan(run.latency), np.where(_lost(run), DEADLINE, 0.0), run.latency)
    return run.arrivals + np.minimum(waits, DEADLINE)


def _lost(run: Run) -> NDArray[np.bool_]:
    lost: NDArray[np.bool_] = run.outcome == 4  # OUTCOMES
    return lost


def _in_flight(run: Run, times: NDArray[np.float64]) -> NDArray[np.float64]:
    """Requests in the works for each worker, in the pool that has most."""
    leaves = np.where(np.isnan(run.latency), run.arrivals, run.arrivals + run.latency)
    leaves = np.where(_lost(run), np.maximum(run.arrivals, run.window[0]), leaves)
    fullest = np.zeros(len(times))
    for number, of in enumerate(run.services):
        mine = np.ones(len(leaves), bool) if run.shared_pool else run.service == number
        came = np.searchsorted(np.sort(run.arrivals[mine]), times, side="right")
        left = np.searchsorted(np.sort(leaves[mine]), times, side="right")
        workers = run.workers["shared" if run.shared_pool else of.service]
        fullest = np.maximum(fullest, (came - left) / workers)
    return fullest


def _silence(run: Run, times: NDArray[np.float64]) -> NDArray[np.float64]:
    """Since the last heartbeat of the struck service's process: it beats on unless the process is gone or frozen."""
    beats = PERIOD * np.arange(math.ceil(run.duration / PERIOD) + 1)
    if run.fault and RULES[run.fault].effect in ("ends", "freezes"):
        begins, ends = run.window
        beats = beats[(beats < begins) | (beats >= ends)]
    since: NDArray[np.float64] = times - beats[np.searchsorted(beats, times + 1e-9, side="right") - 1]
    return since


def _watch(run: Run, times: NDArray[np.float64]) -> dict[str, NDArray[np.float64]]:
    """Every indicator at these times."""
    known, bad = _known(run), run.outcome != 0
    order = np.argsort(known, kind="stable")
    known, bad, service, user = known[order], bad[order], run.service[order], run.user[order]
    low, high = (np.searchsorted(known, t, side="right") for t in (times - 1, times))

    def errors(mine: NDArray[np.bool_]) -> NDArray[np.float64]:
        asked = np.concatenate([[0], np.cumsum(mine)])
        failed = np.concatenate([[0], np.cumsum(mine & bad)])
        with np.errstate(invalid="ignore"):
            return np.asarray(100 * (failed[high] - failed[low]) / (asked[high] - asked[low]))

    everything = np.ones(len(bad), bool)
    every = np.concatenate([[0], np.cumsum(bad)])
    good = (high - low) - (every[high] - every[low])
    by_service = np.array([errors(service == k) for k in range(len(run.services))])
    first_hit = np.array([known[bad & (user == one)][0] for one in np.unique(user[bad])])

    answered = ~np.isnan(run.latency)
    arrives = (run.arrivals + run.latency)[answered]
    ranked = np.argsort(arrives, kind="stable")
    arrives, latency = arrives[ranked], 1000 * run.latency[answered][ranked]
    begin, end = (np.searchsorted(arrives, t, side="right") for t in (times - 1, times))
    quantiles = np.array(
        [np.quantile(latency[a:b], [0.5, 0.99]) if b > a else [np.nan, np.nan] for a, b in zip(begin, end, strict=True)]
    )
    return {
        "in_flight": _in_flight(run, times),
        "good": good.astype(np.float64),
        "errors": errors(everything),
        "errors_worst": np.nanmax(by_service, axis=0),
        "p50": quantiles[:, 0],
        "p99": quantiles[:, 1],
        "silence": _silence(run, times),
        "users": 100 * np.searchsorted(np.sort(first_hit), times, side="right") / len(np.unique(run.user)),
        "availability": 100 * (1 - every[high] / np.maximum(high, 1)),
    }


def symptoms(
    *, seed: int = 12, duration: float = 45.0, strikes: float = 20.0, lasts: float = 10.0, **fault: Any
) -> Symptoms:
    """Run the shop with a fault and without, and watch both by every indicator.

    Parameters
    ----------
    seed, duration, strikes, lasts, **fault
        As `accrual.isolation.simulate` takes them; the deadline is its default.

    Raises
    ------
    ValueError
        As `accrual.isolation.simulate`; a strike before 10 s, for the band is learnt before.

    Examples
    --------
    >>> found = symptoms(fault="hang", shared_pool=True)
    >>> next(iter(found.moved()))
    'in_flight'
    """
    if not strikes >= 2 * WARM:
        raise ValueError(f"strikes must be {2 * WARM:g} s or more, got {strikes!r}")
    run = simulate(seed=seed, duration=duration, strikes=strikes, lasts=lasts, deadline=DEADLINE, **fault)
    well = simulate(
        seed=seed, duration=duration, strikes=strikes, lasts=lasts, deadline=DEADLINE, **{**fault, "fault": None}
    )
    times = np.round(np.arange(WARM, duration + STEP / 2, STEP), 9)
    band = {
        name: float((np.nanmax if INDICATORS[name].worse == "up" else np.nanmin)(values))
        for name, values in _watch(well, times).items()
    }
    band["silence"] = PATIENCE * PERIOD
    return Symptoms(run=run, times=times, values=_watch(run, times), band=band)


@dataclass(frozen=True, eq=False, repr=False)
class Moves:
    """Which indicator moves when for each fault, as a table.

    Parameters
    ----------
    found : mapping of str to Symptoms
        By the fault's name.
    """

    found: Mapping[str, Symptoms]

    def table(self) -> list[list[str]]:
        """Seconds after the strike, with a mark where an indicator is the first; a dash where it never moves."""
        rows = [["fault", *(indicator.short for indicator in INDICATORS.values())]]
        for name, symptoms_ in self.found.items():
            moved = symptoms_.moved()
            first = min(moved.values())
            rows.append([name, *(_when(moved[one], moved[one] == first) for one in INDICATORS)])
        return rows

    def __repr__(self) -> str:
        return aligned(self.table(), names=True)

    def _repr_html_(self) -> str:
        return as_html("Seconds after the strike; ▲ moves first, – never", self.table())


def _when(seconds: float, first: bool) -> str:
    if math.isinf(seconds):
        return "–"
    return f"▲ {seconds:.1f}" if first else f"{seconds:.1f}"


# ---- what an outage costs -------------------------------------------------------------------------------------------


@dataclass(frozen=True, kw_only=True)
class Incident:
    """One fault of a simulated cluster, and what it cost.

    Attributes
    ----------
    struck : float [s]
    detect : float
        From then until a backup suspected the primary; nan where none did [s].
    repair : float
        From then until writes are good again: to the end of the last bad one's turn; 0 where none was bad, inf where
        they never were good again [s].
    lost : int
        Writes that were acknowledged in this time and did not survive.
    lost_span : float
        From the sending of the first of them to the last's acknowledgement: the recovery point is so far back [s].
    """

    struck: float
    detect: float
    repair: float
    lost: int
    lost_span: float


def incidents(run: Recovery) -> list[Incident]:
    """What each fault of a run cost, up to the next fault.

    Examples
    --------
    >>> from accrual.recovery import Cluster, Crash, simulate
    >>> [found] = incidents(simulate(Cluster(nodes=3), [Crash(at=10)], seconds=20))
    >>> 0.4 < found.detect < found.repair < 1, found.lost
    (True, 0)
    """
    strikes = sorted({fault.at for fault in run.faults})
    writes = [o for o in run.operations if o.kind == "write"]
    found = []
    for begin, end in zip(strikes, [*strikes[1:], math.inf], strict=True):
        suspected = (h.time for h in run.timeline if begin <= h.time < end and h.what == "suspects")
        mine = [o for o in writes if begin <= o.start < end]
        bad = [k for k, o in enumerate(mine) if o.status != "ok" or o.end - o.start > run.cluster.patience]
        repair = 0.0 if not bad else math.inf if bad[-1] == len(mine) - 1 else mine[bad[-1] + 1].start - begin
        lost = [o for o in run.findings.lost if begin <= o.end < end]
        span = max(o.end for o in lost) - min(o.start for o in lost) if lost else 0.0
        found.append(
            Incident(
                struck=begin,
                detect=next(suspected, math.nan) - begin,
                repair=repair,
                lost=len(lost),
                lost_span=span,
            )
        )
    return found


def share_of_detection(result: LabResult) -> str:
    """How much of each outage in the lab `failover` went to detection, a line for each driver.

    Examples
    --------
    >>> from accrual.lab import recorded
    >>> share_of_detection(recorded("failover")).splitlines()[0].split(": ")[-1]
    '95 %'
    """
    lines = []
    for row in result.rows:
        detection, writable = row["detection"], row["writable"]
        if detection is None or writable is None:
            told = "writes did not come back while it was watched"
        else:
            told = (
                f"detected in {detection:.2f} s, writes again in {writable:.2f} s: {100 * detection / writable:.0f} %"
            )
        lines.append(f"{row['driver']:41} {told}")
    return "\n".join(lines)


# ---- the capstone ---------------------------------------------------------------------------------------------------


def outages(trace: Trace | ArrayLike, detector: Detector, threshold: float, skip: int = 0) -> NDArray[np.float64]:
    """How long each suspicion of a peer that was alive lasted, in order [s]: how long one would have had to wait.

    Examples
    --------
    >>> import accrual as ac
    >>> outages([0, 10**9, 5 * 10**9], ac.FixedTimeout(period=1), 2)
    array([2.])
    """
    trace = as_trace(trace)
    found = replay(trace, detector).mistakes(threshold)
    chosen = (found.end != NEVER) & (found.start >= trace.arrivals[skip])
    lasted: NDArray[np.float64] = np.maximum(found.end - found.start, 0)[chosen] / NS
    return lasted


@dataclass(frozen=True, kw_only=True)
class Rehearsal:
    """What a failover controller did over a trace of a primary that was alive, and then crashed.

    Attributes
    ----------
    needless : int
        Failovers while the primary lived.
    averted : int
        Suspicions that passed while it waited.
    promoted_after : float
        From the last heartbeat to the promotion [s]; inf: none in 10 minutes, nan: not tried.
    order : tuple of str
        What it called after the crash.
    observed : float
        How long it was looked at before [s].
    """

    needless: int
    averted: int
    promoted_after: float
    order: tuple[str, ...]
    observed: float

    def __str__(self) -> str:
        """What happened, in two sentences."""
        lived = (
            f"In {self.observed:.0f} s in which the primary lived: {_times(self.needless, 'needless failover')},"
            f" {_times(self.averted, 'suspicion')} averted by the wait."
        )
        if math.isnan(self.promoted_after):
            return f"{lived} It was not looked at any further."
        if math.isinf(self.promoted_after):
            return f"{lived} Then it crashed, and ten minutes later nobody was promoted."
        order = ", then ".join(self.order)
        return f"{lived} Then it crashed: {order}, {self.promoted_after:.2f} s after its last heartbeat."


def _times(n: int, noun: str) -> str:
    return f"{n} {noun}{'' if n == 1 else 's'}"


def rehearse(
    build: Callable[..., FailoverController], trace: Trace | ArrayLike, warm: int = 1000, most: int = 20
) -> Rehearsal:
    """Let a controller watch the heartbeats of a primary that lives; at the end of the trace it crashes.

    After a needless failover the operators put all back: a new controller is built, and learns from the heartbeats
    before. The backup is always heard in time.

    Parameters
    ----------
    build : callable
        ``build(fence, promote)`` gives a `FailoverController` of the nodes "primary" and "backup".
    trace : Trace or array of int64
        Heartbeats of the primary.
    warm : int
        So many it hears before it counts.
    most : int
        After so many needless failovers it is not looked at any further.

    Raises
    ------
    TypeError
        If `build` gives something else.
    ValueError
        If the trace is not longer than `warm`.
    """
    arrivals = np.maximum.accumulate(as_trace(trace).arrivals).tolist()
    if not len(arrivals) > warm:
        raise ValueError(f"trace must have more than {warm:,} heartbeats, has {len(arrivals):,}")
    called: list[str] = []

    def begin(at: int) -> FailoverController:
        made = build(lambda old, term: called.append("fence"), lambda new, term: called.append("promote"))
        if not isinstance(made, FailoverController):
            raise TypeError(f"a FailoverController was expected, got {type(made).__name__}")
        called.clear()
        for instant in arrivals[max(0, at - warm) : at]:
            made.heartbeat("backup", now=instant)
            made.heartbeat("primary", now=instant)
        return made

    def wait(made: FailoverController, since: int, until: int) -> int:
        """Tick whenever something is due, until then or until a promotion; when that was."""
        instant = since
        while "promote" not in called:
            due = made.deadline()
            if due is None or (instant := max(due, instant + 1)) > until:  # each time later than the last
                return until
            made.heartbeat("backup", now=instant)
            made.tick(now=instant)
        return instant

    needless = averted = 0
    controller = begin(warm)
    for k in range(warm, len(arrivals)):
        wait(controller, arrivals[k - 1], arrivals[k])
        if "promote" in called:
            needless += 1
            averted += controller.averted
            if needless == most:
                seen = (arrivals[k] - arrivals[warm - 1]) / NS
                return Rehearsal(
                    needless=needless, averted=averted, promoted_after=math.nan, order=tuple(called), observed=seen
                )
            controller = begin(k)
        controller.heartbeat("backup", now=arrivals[k])
        controller.heartbeat("primary", now=arrivals[k])
        controller.tick(now=arrivals[k])
    called.clear()
    crash = arrivals[-1]
    promoted = wait(controller, crash, crash + 600 * NS)
    return Rehearsal(
        needless=needless,
        averted=averted + controller.averted,
        promoted_after=(promoted - crash) / NS if "promote" in called else math.inf,
        order=tuple(called),
        observed=(crash - arrivals[warm - 1]) / NS,
    )


# ---- widget ---------------------------------------------------------------------------------------------------------


class SymptomsOfFaults(Widget):
    """Each indicator while a fault strikes the shop: which moves first?

    Parameters
    ----------
    scenarios : mapping of str to dict, optional
        As `symptoms` takes them, by name; by default `SCENARIOS`.
    seed : int

    Attributes
    ----------
    shown : str
        Which of them is.
    at : float
        Up to when it is shown, from the strike [s]. Set it, and it goes to the nearest stop.
    found : dict of str to Symptoms
    """

    _esm = source("controls.js", "choices.js", "tradeoff.js", "symptoms.js")
    _css = source("phi.css", "tradeoff.css", "health.css")

    shown = Unicode().tag(sync=True)
    at = Float(0.0).tag(sync=True)
    stops: List[Any] = List().tag(sync=True)
    indicators = Dict().tag(sync=True)
    scenarios = Dict().tag(sync=True)

    def __init__(self, scenarios: Mapping[str, Mapping[str, Any]] | None = None, seed: int = 12) -> None:
        chosen = SCENARIOS if scenarios is None else scenarios
        if not chosen:
            raise ValueError("scenarios must be one or more, got none")
        self.found = {name: symptoms(seed=seed, **fault) for name, fault in chosen.items()}
        super().__init__(
            scenarios={name: self._for_the_browser(found) for name, found in self.found.items()},
            indicators={name: dict(vars(indicator)) for name, indicator in INDICATORS.items()},
            stops=[round(STEP * k, 1) for k in range(round(15 / STEP) + 1)],
            shown=next(iter(self.found)),
        )

    @staticmethod
    def _for_the_browser(found: Symptoms) -> dict[str, Any]:
        since = np.round(found.times - found.run.window[0], 3)
        drawn = (since >= -3) & (since <= 15)
        plain = {
            name: [None if math.isnan(v) else v for v in np.round(values[drawn], 4).tolist()]
            for name, values in found.values.items()
        }
        moved = {name: None if math.isinf(when) else round(when, 3) for name, when in found.moved().items()}
        ends = min(found.run.window[1] - found.run.window[0], 15.0)
        return {"since": since[drawn].tolist(), "values": plain, "band": found.band, "moved": moved, "ends": ends}

    @validate("shown")
    def _known(self, proposal: dict[str, Any]) -> Any:
        if proposal["value"] not in self.scenarios:
            raise TraitError(f"shown must be one of {', '.join(self.scenarios)}, got {proposal['value']!r}")
        return proposal["value"]

    @validate("at")
    def _nearest(self, proposal: dict[str, Any]) -> float:
        if not math.isfinite(proposal["value"]):
            raise TraitError(f"at must be a time in seconds, got {proposal['value']!r}")
        return float(min(self.stops, key=lambda stop: abs(stop - proposal["value"])))

    def describe(self) -> str:
        """What the widget shows now, in words."""
        moved = [
            f"{INDICATORS[name].title} after {when:.1f} s"
            for name, when in self.found[self.shown].moved().items()
            if when <= self.at + 1e-9
        ]
        return f"{self.shown}, {self.at:g} s after the strike: {'; '.join(moved) or 'nothing has moved'}"
