"""Whether Phi keeps its promise, and what helps where it does not: the widgets of lesson 5.

Numbers, picture and widget are kept apart as in `accrual.show.phi`. Nothing here asks the kernel while a slider moves.
"""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import logging
import math
import selectors
import threading
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import numpy as np
from traitlets import Bool, Dict, Float, Int, List, TraitError, validate

from accrual.aio import watch
from accrual.comparison import compare
from accrual.detectors import Chen, Empirical, ExpectedArrival, FixedTimeout, PhiNormal, PhiStudent
from accrual.monitor import Monitor, State
from accrual.reliability import calibration
from accrual.show.own import heartbeats, nominal_period
from accrual.show.phi import COLUMNS, NS, stops
from accrual.show.widget import Gallery, Widget, source
from accrual.traces import load
from accrual.traces.synthetic import synthesize

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

    from accrual.comparison import Comparison
    from accrual.detectors import Detector
    from accrual.reliability import Calibration
    from accrual.traces import Trace

__all__ = [
    "OwnPause",
    "Promise",
    "Promises",
    "Repairs",
    "Report",
    "SmallWindow",
    "SmallWindows",
    "equal_time",
    "gallery",
    "normal_intervals",
    "own_pause",
    "patience",
    "promise",
    "really",
    "single_causes",
    "small_window",
    "usable",
]

PHIS: Final = [float(phi) for phi in np.arange(0.5, 8.25, 0.5)]
"""Where the sliders of Phi stop, and where promises are tested."""
WINDOWS: Final = [int(window) for window in stops(5, 1000, (1, 2, 5))]
LARGEST: Final = 1_000_000
"""Heartbeats of a trace that are looked at: some 3 s of work."""
COMPARED: Final = 200_000
"""Heartbeats of a trace that are compared, which means many replays: some 15 s of work."""

# ---- numbers: small windows -----------------------------------------------------------------------------------------


def really(threshold: float, window: int) -> float:
    """The phi that a threshold of PhiNormal really is, where intervals are normal and the window is full. Exact.

    A window of n intervals knows mean and deviation only roughly. Seen from it, the next interval is not normal but
    Student's with n - 1 degrees of freedom: a threshold z deviations after the mean is outlived with the probability
    that t exceeds z ((n - 1) / (n + 1))^(1/2), the deviation being the one with divisor n.

    Parameters
    ----------
    threshold : float
        Phi.
    window : int
        n, intervals; 2 or more.

    Returns
    -------
    float
        -log10 of the share of heartbeats that come later.

    Examples
    --------
    >>> round(really(8, window=20), 2), round(really(8, window=1000), 2)
    (4.73, 7.87)
    """
    if window < 2:
        raise ValueError(f"window must be 2 or more, got {window!r}")
    z = PhiNormal().compiled.inverse(threshold)
    return PhiStudent().compiled.level(z * math.sqrt((window - 1) / (window + 1)), window - 1)


def patience(threshold: float, window: int) -> tuple[float, float]:
    """How long PhiNormal and PhiStudent wait after the mean, in deviations (divisor n) of a full window.

    Examples
    --------
    >>> tuple(round(deviations, 2) for deviations in patience(8, window=20))
    (5.61, 9.67)
    """
    if window < 2:
        raise ValueError(f"window must be 2 or more, got {window!r}")
    student = PhiStudent().compiled.inverse(threshold, window - 1)
    return PhiNormal().compiled.inverse(threshold), student * math.sqrt((window + 1) / (window - 1))


class SmallWindow(NamedTuple):
    """A window on normal intervals: what theory says, and what was measured.

    Attributes
    ----------
    window : int
    really : list of float
        By theory, for each of the thresholds.
    phi, student : Calibration
        Of PhiNormal and PhiStudent.
    """

    window: int
    really: list[float]
    phi: Calibration
    student: Calibration


def small_window(trace: Trace | ArrayLike, window: int, skip: int = WINDOWS[-1]) -> SmallWindow:
    """Test the promises of a window of this size, on a trace of normal intervals.

    Examples
    --------
    >>> found = small_window(normal_intervals(20_000), window=20)
    >>> found.phi.verdicts[3], found.student.verdicts[3], PHIS[3]
    ('more', 'kept', 2.0)
    """
    return SmallWindow(
        window,
        [really(threshold, window) for threshold in PHIS],
        calibration(trace, PhiNormal(window=window), PHIS, skip=skip),
        calibration(trace, PhiStudent(window=window), PHIS, skip=skip),
    )


# ---- numbers: the gallery -------------------------------------------------------------------------------------------


def normal_intervals(heartbeats: int = 400_000) -> Trace:
    """Intervals as the phi paper assumes them: normal, 100 ms and 5 ms, and independent.

    Examples
    --------
    >>> round(float(np.std(np.diff(normal_intervals(1000).arrivals))) / 1e6, 1)  # ms
    5.1
    """
    return synthesize(heartbeats, period=0.1, jitter="normal:mean=0,deviation=5ms", sleeping=True, seed=71)


CAUSES: Final[dict[str, dict[str, Any]]] = {
    "steady and normal": {},
    "single losses": {"loss": "independent:loss=0.01"},
    "bursts of losses": {"loss": "gilbert:loss=0.01,burst=5"},
    "heavy tail": {"delay": "lognormal:mean=10ms,deviation=20ms"},
    "day and night": {"delay": "gamma:mean=5ms,deviation=5ms", "diurnal": "peak=20,day=3600"},
    "another route": {"regimes": "every=10min,lasts=2min,delay=gamma:mean=50ms,deviation=30ms"},
    "stalls": {"stalls": "every=30,length=exponential:mean=0.3"},
    "no schedule": {"sleeping": True},
}
"""What there may be on a path, one thing at a time: parts of `synthesize`, on top of a schedule and normal jitter."""


def single_causes(heartbeats: int = 100_000) -> dict[str, Trace]:
    """Synthetic traces, each with one thing that is not as phi assumes, and one with none.

    Examples
    --------
    >>> [len(trace) for trace in single_causes(1000).values()][:3]
    [1000, 990, 992]
    """
    return {
        name: synthesize(heartbeats, period=0.1, jitter="normal:mean=0,deviation=5ms", seed=71, **parts)
        for name, parts in CAUSES.items()
    }


def gallery() -> dict[str, Trace]:
    """The traces of lesson 5: one cause at a time, and then every recording that comes with the library.

    Examples
    --------
    >>> len(gallery())
    17
    """
    recorded = ("idle", "contended", "cpu-quota", "gc", "jittery", "lossy", "partitioned", "paused", "vm")
    return single_causes() | {name: load(name) for name in recorded}


def usable(trace: Trace | ArrayLike, most: int) -> tuple[Trace, list[str]]:
    """A trace that the widgets of this lesson can show, `most` heartbeats of it, and what has to be said about it.

    Raises
    ------
    TypeError, ValueError
        As `accrual.show.own.heartbeats`, which also warns; or the heartbeats come at once.

    Examples
    --------
    >>> usable([0] * 100, most=50)
    Traceback (most recent call last):
    ...
    ValueError: half of the intervals are 0: these are no heartbeats
    """
    trace = heartbeats(trace)
    notes = []
    intervals = np.diff(trace.arrivals)
    back = int(np.count_nonzero(intervals < 0))
    if back:
        notes.append(f"{back:,} {'arrivals are' if back > 1 else 'arrival is'} earlier than the one before")
    if not np.median(np.maximum(intervals, 0)):
        raise ValueError("half of the intervals are 0: these are no heartbeats")
    if len(trace) > most:
        notes.append(f"the first {most:,} of {len(trace):,} heartbeats")
        trace = trace[:most]
    return trace, notes


def _full(trace: Trace, window: int, notes: list[str]) -> int:
    """The window, or a quarter of a trace that is too short for it."""
    if window <= len(trace) // 4:
        return window
    notes.append(f"a window of {len(trace) // 4}, a quarter of the trace, and not of {window}")
    return len(trace) // 4


@dataclass(frozen=True, eq=False)
class Promise:
    """Promised and measured, for a trace.

    Attributes
    ----------
    phi : Calibration
        Of PhiNormal at all `PHIS`.
    sample : Calibration
        Of Empirical, which counts the intervals of its window and assumes no law: as far as these can promise.
    longest : array of float
        The longest interval in each column of a picture of the whole trace [medians].
    notes : list of str
        What has to be said about the trace.
    """

    phi: Calibration
    sample: Calibration
    longest: NDArray[np.float64]
    notes: list[str]


def promise(trace: Trace | ArrayLike, window: int = 1000) -> Promise:
    """Ask a trace what Phi promises there, and what it keeps.

    Parameters
    ----------
    trace : Trace or array of int64
        Arrivals in ns, at least 100.
    window : int
        Intervals; a quarter of the trace at most.

    Examples
    --------
    >>> found = promise(single_causes(20_000)["single losses"])
    >>> k = PHIS.index(3)
    >>> found.phi.verdicts[k], found.sample.verdicts[k]
    ('more', 'kept')
    """
    trace, notes = usable(trace, LARGEST)
    window = _full(trace, window, notes)
    # Of n intervals k are outlived with a probability of (n + 1 - k) / (n + 1), whatever their law: n + 1 is the most
    # that n intervals can say.
    beyond = [round((window + 1) * 10**-phi) for phi in PHIS if (window + 1) * 10**-phi >= 1]
    intervals = np.maximum(np.diff(np.maximum.accumulate(trace.arrivals)), 0)
    columns = np.array_split(intervals, min(COLUMNS, len(intervals)))
    return Promise(
        phi=calibration(trace, PhiNormal(window=window), PHIS, skip=window),
        sample=calibration(trace, Empirical(window=window), [(window + 1 - k) / window for k in beyond], skip=window),
        longest=np.array([column.max() for column in columns]) / np.median(np.maximum(intervals, 0)),
        notes=notes,
    )


# ---- numbers: repairs -----------------------------------------------------------------------------------------------


def equal_time(trace: Trace | ArrayLike, window: int = 1000) -> Comparison:
    """Compare phi and three repairs with a fixed timeout, at the detection times at which that errs now and then.

    Examples
    --------
    >>> found = equal_time(single_causes(20_000)["bursts of losses"])
    >>> [row.verdict for row in found.at_time(found.detection_times[0]) if row.detector.name in ("phi-normal", "chen")]
    ['more', 'fewer']
    """
    trace, notes = usable(trace, COMPARED)
    window = _full(trace, window, notes)
    found = compare(
        trace,
        [
            FixedTimeout(period=nominal_period(trace)),
            PhiNormal(window=window),
            Empirical(window=window),
            Chen(period=trace.period, window=min(window, 100)),
            ExpectedArrival(),
        ],
    )
    return dataclasses.replace(found, notes=[*notes, *found.notes])


# ---- numbers: the watcher's own pause -------------------------------------------------------------------------------

PEERS: Final = "abcdefgh"
STALL: Final = 25.0
"""When the watcher stalls [s]."""
STOPPED: Final = (25.05, 35.0)
"""From when to when the last of the peers really is silent [s]."""
SHOWN: Final = (20.0, 40.0)
LATENESS: Final = 0.1
GRACE: Final = 1.0
LENGTHS: Final = [0.0, 0.05, 0.1, 0.2, 0.3, 0.5, 1.0, 2.0, 5.0]


class _Waiting(selectors.DefaultSelector):
    """Time passes where an event loop would wait."""

    elapsed = 0.0

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        ready = super().select(0)
        if not ready:
            self.elapsed += timeout or 0.0
        return ready


class _Loop(asyncio.SelectorEventLoop):
    """An event loop whose time is a number, so that a minute takes no time and is the same each time."""

    def __init__(self) -> None:
        self.waiting = _Waiting()
        super().__init__(self.waiting)

    def time(self) -> float:
        return self.waiting.elapsed

    def now(self) -> int:
        """The same time for monitors [ns]."""
        return round(self.waiting.elapsed * NS)

    def stall(self, seconds: float) -> None:
        """What a call that blocks does to a loop."""
        self.waiting.elapsed += seconds


class _Quiet(logging.Filter):
    """Keeps what a thread logs to itself."""

    def __init__(self) -> None:
        super().__init__()
        self.thread = threading.get_ident()
        self.heard: list[str] = []

    def filter(self, record: logging.LogRecord) -> bool:
        if record.thread == self.thread:
            self.heard.append(record.getMessage())
        return record.thread != self.thread


class Report(NamedTuple):
    """A suspicion that a watcher reported.

    Attributes
    ----------
    peer : str
    at : float
        When it was reported [s].
    until : float or None
        When trust was reported again [s].
    """

    peer: str
    at: float
    until: float | None

    @property
    def true(self) -> bool:
        """Whether the peer really was silent when it was reported."""
        return self.peer == PEERS[-1] and STOPPED[0] <= self.at <= STOPPED[1]


def heartbeats_of_peers() -> dict[str, NDArray[np.float64]]:
    """When eight peers' heartbeats reach the watcher's machine [s]: every tenth of `idle`, one of them silent for long.

    Examples
    --------
    >>> {peer: len(times) for peer, times in heartbeats_of_peers().items()}["h"]
    300
    """
    recorded = load("idle").arrivals
    each = round(SHOWN[1] * 100)
    peers = {}
    for k, peer in enumerate(PEERS):
        piece = recorded[k * each : (k + 1) * each : 10]
        peers[peer] = (piece - piece[0]) / NS + 0.013 * k  # not all in the same moment
    last = peers[PEERS[-1]]
    peers[PEERS[-1]] = last[(last < STOPPED[0]) | (last > STOPPED[1])]
    return peers


def own_pause(length: float, guarded: bool) -> list[Report]:
    """What `accrual.aio.watch` reports about eight peers when the watcher itself stalls for a while.

    It is the library's own watch, and its own monitors, in an event loop whose time is simulated. Heartbeats that come
    during the stall wait, as they do in a socket's buffer, and are read after it, all at once.

    Parameters
    ----------
    length : float
        Of the stall [s]; 0 to 10.
    guarded : bool
        Whether the watch minds its own pauses.

    Examples
    --------
    >>> len(own_pause(1.0, guarded=False)), len(own_pause(1.0, guarded=True))
    (8, 1)
    """
    if not 0 <= length <= 10:
        raise ValueError(f"length must be 0 to 10 s, got {length!r}")
    with ThreadPoolExecutor(1) as elsewhere:  # a notebook's own thread has a loop already
        return elsewhere.submit(_watched, length, LATENESS if guarded else SHOWN[1]).result()


def _watched(length: float, lateness: float) -> list[Report]:
    loop, log, quiet = _Loop(), logging.getLogger("accrual"), _Quiet()
    detector = PhiNormal(window=100, min_deviation=0.02)
    monitors = {peer: Monitor(detector, threshold=8, clock=loop.now) for peer in PEERS}
    since: dict[str, float] = {}
    reports: list[Report] = []

    async def main() -> None:
        for peer, times in heartbeats_of_peers().items():
            for at in times.tolist():
                loop.call_at(at, monitors[peer].heartbeat)
        if length:
            loop.call_at(STALL, loop.stall, length)
        async with contextlib.aclosing(watch(monitors, lateness=lateness, grace=GRACE)) as changes:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout_at(SHOWN[1]):
                    async for change in changes:
                        peer = str(change.name)
                        if change.new is State.SUSPECTED:
                            since[peer] = loop.time()
                        elif peer in since:
                            reports.append(Report(peer, since.pop(peer), loop.time()))

    log.addFilter(quiet)
    try:
        loop.run_until_complete(main())
    finally:
        log.removeFilter(quiet)
        loop.close()
    return sorted([*reports, *(Report(peer, at, None) for peer, at in since.items())])


# ---- widgets --------------------------------------------------------------------------------------------------------


def _nearest(choices: list[float], name: str, wanted: float) -> float:
    if not math.isfinite(wanted):
        raise TraitError(f"{name} must be a finite number, got {wanted!r}")
    return min(choices, key=lambda choice: abs(choice - wanted))


def _table(found: Calibration) -> dict[str, Any]:
    table = found.to_dict()
    return {name: table[name] for name in ("promised", "late", "share", "low", "high", "verdict")}


class SmallWindows(Widget):
    """What Phi really is when the window is small and the intervals are as normal as can be.

    Parameters
    ----------
    trace : Trace, optional
        Of normal intervals; by default 400,000 synthetic ones.

    Attributes
    ----------
    window, threshold : int, float
        Where the sliders are. Set one, and it goes to the nearest stop.
    found : dict of int to SmallWindow
    """

    _esm = source("controls.js", "choices.js", "lies.js", "small_windows.js")
    _css = source("phi.css", "tradeoff.css", "lies.css")

    window = Int(1000).tag(sync=True)
    threshold = Float(3.0).tag(sync=True)
    stops = Dict().tag(sync=True)
    windows: List[Any] = List().tag(sync=True)

    def __init__(self, trace: Trace | None = None) -> None:
        intervals = normal_intervals() if trace is None else heartbeats(trace)
        self.found = {window: small_window(intervals, window) for window in WINDOWS}
        super().__init__(
            stops={"window": WINDOWS, "threshold": PHIS},
            windows=[
                {
                    "heartbeats": found.phi.heartbeats,
                    "really": found.really,
                    "patience": [patience(threshold, window) for threshold in PHIS],
                    "phi": _table(found.phi),
                    "student": _table(found.student),
                }
                for window, found in self.found.items()
            ],
        )

    @validate("window")
    def _stop(self, proposal: dict[str, Any]) -> int:
        if proposal["value"] < 1:
            raise TraitError(f"window must be 1 or more, got {proposal['value']!r}")
        return min(WINDOWS, key=lambda window: abs(math.log(window / proposal["value"])))

    @validate("threshold")
    def _stop_of_phi(self, proposal: dict[str, Any]) -> float:
        return _nearest(PHIS, "threshold", proposal["value"])

    def describe(self) -> str:
        """What the widget shows now, in words."""
        found, k = self.found[self.window], PHIS.index(self.threshold)
        return (
            f"window {self.window}: Phi = {self.threshold:g} is really {found.really[k]:.2f}; of "
            f"{found.phi.heartbeats:,} heartbeats {found.phi.late[k]:,} were late, with Student's phi "
            f"{found.student.late[k]:,}"
        )


class Promises(Gallery):
    """Promised and measured: how many heartbeats come later than Phi says, trace by trace.

    Parameters
    ----------
    traces : mapping of str to Trace, or Trace
        At least 100 heartbeats each. Of a trace of more than a million the first million are looked at.
    window : int
        Intervals; a quarter of a trace at most.

    Attributes
    ----------
    threshold : float
        Phi. Set it, and it goes to the nearest stop.
    shown : str
        Which trace is.
    found : dict of str to Promise
    """

    _esm = source("controls.js", "tradeoff.js", "choices.js", "lies.js", "promises.js")
    _css = source("phi.css", "tradeoff.css", "lies.css")

    threshold = Float(3.0).tag(sync=True)

    def __init__(self, traces: Mapping[str, Trace] | Trace | ArrayLike, window: int = 1000) -> None:
        self.found: dict[str, Promise] = self.look_at(traces, lambda trace: promise(trace, window))
        super().__init__(
            stops={"threshold": PHIS},
            traces={
                name: {
                    "window": _window(found.phi.detector),
                    "heartbeats": found.phi.heartbeats,
                    "phi": _table(found.phi),
                    "sample": _table(found.sample),
                    "outlived": found.sample.thresholds.tolist(),
                    "longest": np.round(found.longest, 4).tolist(),
                    "notes": found.notes,
                }
                for name, found in self.found.items()
            },
            shown=next(iter(self.found)),
        )

    @validate("threshold")
    def _stop(self, proposal: dict[str, Any]) -> float:
        return _nearest(PHIS, "threshold", proposal["value"])

    def describe(self) -> str:
        """What the widget shows now, in words."""
        phi, k = self.found[self.shown].phi, PHIS.index(self.threshold)
        return (
            f"{self.shown}, Phi = {self.threshold:g}: {phi.promised[k]:.3g} of the heartbeats may be late, "
            f"{phi.share[k]:.3g} are ({phi.late[k]:,} of {phi.heartbeats:,})"
        )


def _window(detector: Detector) -> int:
    assert isinstance(detector, PhiNormal | Empirical)  # promise made it
    return detector.window


class Repairs(Gallery):
    """Mistakes of phi and of three repairs over those of a fixed timeout that detects as fast, trace by trace.

    Parameters
    ----------
    traces : mapping of str to Trace, or Trace
        At least 100 heartbeats each. The first 200,000 of a longer trace are compared.
    window : int
        Of phi [intervals]; a quarter of a trace at most.

    Attributes
    ----------
    time : int
        Which of the detection times: 0 is the shortest.
    shown : str
        Which trace is.
    found : dict of str to Comparison
    """

    _esm = source("controls.js", "tradeoff.js", "choices.js", "lies.js", "repairs.js")
    _css = source("phi.css", "tradeoff.css", "lies.css")

    time = Int(0).tag(sync=True)

    def __init__(self, traces: Mapping[str, Trace] | Trace | ArrayLike, window: int = 1000) -> None:
        self.found: dict[str, Comparison] = self.look_at(traces, lambda trace: equal_time(trace, window))
        shown = {}
        for name, found in self.found.items():
            shown[name] = {
                "times": found.detection_times,
                "notes": found.notes,
                "observed": float(found.observed),
                "rows": [
                    [
                        row.to_dict() | {"name": row.detector.name, "code": repr(row.detector)}
                        for row in found.at_time(time)
                        if row.detector.name != "phi-exponential"  # compare's other baseline
                    ]
                    for time in found.detection_times
                ],
            }
        super().__init__(traces=shown, shown=next(iter(shown)))

    @validate("time")
    def _stop(self, proposal: dict[str, Any]) -> int:
        most = max(len(found.detection_times) for found in self.found.values()) - 1
        return int(min(max(proposal["value"], 0), most))

    def describe(self) -> str:
        """What the widget shows now, in words."""
        found = self.found[self.shown]
        time = found.detection_times[min(self.time, len(found.detection_times) - 1)]
        rows = [row for row in found.at_time(time) if row.detector.name != "phi-exponential"]
        said = ", ".join(
            f"{row.detector.name} {row.qos.mistakes:,}" if row.qos else f"{row.detector.name} cannot be set so"
            for row in rows
        )
        return f"{self.shown}, detection in {time:.3g} s: mistakes of {said}"


class OwnPause(Widget):
    """Eight peers and a watcher that stalls: what it reports, with and without a guard.

    Attributes
    ----------
    length : float
        Of the stall [s]. Set it, and it goes to the nearest stop.
    guarded : bool
    found : dict of (float, bool) to list of Report
        For each length, and without and with the guard.
    """

    _esm = source("controls.js", "choices.js", "lies.js", "own_pause.js")
    _css = source("phi.css", "tradeoff.css", "lies.css")

    length = Float(1.0).tag(sync=True)
    guarded = Bool(False).tag(sync=True)
    stops = Dict().tag(sync=True)
    about = Dict().tag(sync=True)
    reports: List[Any] = List().tag(sync=True)

    def __init__(self) -> None:
        self.found = {(length, guard): own_pause(length, guard) for length in LENGTHS for guard in (False, True)}
        super().__init__(
            stops={"length": LENGTHS},
            about={"peers": PEERS, "stall": STALL, "stopped": STOPPED, "shown": SHOWN, "grace": GRACE},
            reports=[
                [
                    [{**report._asdict(), "true": report.true} for report in self.found[length, guard]]
                    for guard in (False, True)
                ]
                for length in LENGTHS
            ],
        )

    @validate("length")
    def _stop(self, proposal: dict[str, Any]) -> float:
        return _nearest(LENGTHS, "length", proposal["value"])

    def describe(self) -> str:
        """What the widget shows now, in words."""
        reports = self.found[self.length, self.guarded]
        wrong = sum(not report.true for report in reports)
        return (
            f"a stall of {self.length:g} s {'with' if self.guarded else 'without'} a guard: "
            f"{len(reports)} suspicion{'s' * (len(reports) != 1)} reported, {wrong} wrong"
        )
