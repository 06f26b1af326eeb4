"""Phi in three steps, and phi against k x T: the widgets of lesson 3.

Three layers, kept apart:

* *numbers*: functions of plain parameters that return small result objects. All that a widget shows is computed here,
  by the library; no formula is written a second time in JavaScript.
* *picture*: one JavaScript file for each widget, beside this one, that draws such numbers.
* *widget*: a class that hands the numbers over. It requests nothing from the network.
"""

from __future__ import annotations

import math
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import numpy as np
from traitlets import Dict, Float, Int, List, TraitError, observe, validate

from accrual.detectors import FixedTimeout, PhiNormal
from accrual.monitor import Monitor
from accrual.qos import curve
from accrual.replay import as_trace, replay
from accrual.show.own import heartbeats, nominal_period
from accrual.show.widget import Widget, source

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import ArrayLike, NDArray

    from accrual.qos import Curve
    from accrual.replay import Replay
    from accrual.traces import Trace

__all__ = [
    "PhiAgainstFixed",
    "SamplingWindow",
    "Statistics",
    "Tail",
    "TailNumbers",
    "Timeline",
    "WindowStep",
    "sampling_window",
    "stops",
    "tail",
    "telling_timeouts",
    "timeline",
    "window_statistics",
]

NS: Final = 1_000_000_000
COLUMNS: Final = 720
"""Columns of a timeline: one for each unit of its picture's width."""


# ---- numbers --------------------------------------------------------------------------------------------------------


def stops(low: float, high: float, mantissas: Sequence[float]) -> list[float]:
    """Where a logarithmic slider stops: numbers that people can say, from `low` to `high`.

    Examples
    --------
    >>> stops(5, 200, (1, 2, 5))
    [5.0, 10.0, 20.0, 50.0, 100.0, 200.0]
    """
    decades = range(math.floor(math.log10(low)), math.floor(math.log10(high)) + 1)
    numbers = (float(f"{mantissa}e{decade}") for decade in decades for mantissa in mantissas)
    return [number for number in numbers if low <= number <= high]


class Statistics(NamedTuple):
    """What a sampling window knows after each heartbeat: how many intervals, their mean and deviation [s]."""

    samples: NDArray[np.int32]
    mean: NDArray[np.float64]
    deviation: NDArray[np.float64]


def window_statistics(trace_or_arrivals: Trace | ArrayLike, window: int) -> Statistics:
    """Mean and deviation (divisor n) of the last `window` intervals, after each heartbeat.

    Exact up to one rounding, as all detectors see them. A deviation below 1 ns is 1 ns; without an interval both are
    NaN.

    Examples
    --------
    >>> known = window_statistics([0, 1_000_000_000, 3_000_000_000, 6_000_000_000], window=2)
    >>> known.samples.tolist(), known.mean, known.deviation[2:]
    ([0, 1, 2, 2], array([nan, 1. , 1.5, 2.5]), array([0.5, 0.5]))
    """
    story = replay(trace_or_arrivals, PhiNormal(window=window, min_samples=1))
    taken_in = slice(None) if story.chain.state is None else story.chain.state
    known = story.samples >= 0
    samples = np.where(known, story.samples, 0)
    scale = np.where(known, samples * float(NS), np.nan)
    mean, deviation = story.total / scale, story.denominators / scale
    return Statistics(samples[taken_in], mean[taken_in], deviation[taken_in])


@dataclass(frozen=True)
class WindowStep:
    """The sampling window after one more heartbeat. Heartbeats are numbered from 1, as in the lecture.

    Attributes
    ----------
    arrived : int
        Heartbeats so far.
    at : float
        When this one came [s].
    slots : list of int or None
        Which heartbeat's arrival time each slot of the ring holds.
    evicted : int or None
        Whose arrival time had to give way.
    intervals : list of float
        Between the times in the ring, oldest first [s]; the last one ends at this heartbeat.
    mean, deviation : float or None
        Of those intervals [s].
    """

    arrived: int
    at: float
    slots: list[int | None]
    evicted: int | None
    intervals: list[float]
    mean: float | None
    deviation: float | None


def sampling_window(arrivals: ArrayLike, slots: int = 10) -> list[WindowStep]:
    """Fill a window of the last `slots` arrival times, one heartbeat after the other.

    Parameters
    ----------
    arrivals : array of int64
        Arrival times, ascending [ns].
    slots : int
        How many arrival times the window holds, 2 or more.

    Examples
    --------
    >>> steps = sampling_window([0, 10, 25, 30], slots=3)
    >>> steps[3].slots, steps[3].evicted, len(steps[3].intervals)
    ([4, 2, 3], 1, 2)
    """
    if slots < 2:
        raise ValueError(f"slots must be 2 or more, got {slots!r}")
    times = as_trace(arrivals).arrivals
    known = window_statistics(times, window=slots - 1)
    steps = []
    for arrived in range(1, len(times) + 1):
        oldest = max(arrived - slots, 0)
        ring: list[int | None] = [None] * slots
        for heartbeat in range(oldest + 1, arrived + 1):
            ring[(heartbeat - 1) % slots] = heartbeat
        has_intervals = arrived > 1
        steps.append(
            WindowStep(
                arrived=arrived,
                at=float(times[arrived - 1]) / NS,
                slots=ring,
                evicted=oldest or None,
                intervals=(np.diff(times[oldest:arrived]) / NS).tolist(),
                mean=float(known.mean[arrived - 1]) if has_intervals else None,
                deviation=float(known.deviation[arrived - 1]) if has_intervals else None,
            )
        )
    return steps


@dataclass(frozen=True, eq=False)
class TailNumbers:
    """What a full window thinks of each length of silence; times in s.

    Attributes
    ----------
    intervals : int
        How many the window holds.
    mean, deviation : float
        Of them.
    edges, counts : arrays, shapes (bins + 1,) and (bins,)
        Their histogram.
    beyond : int
        Intervals longer than the last edge.
    elapsed : array, shape (m,)
        Lengths of silence: from 5 deviations below the mean to 9 above, in tenths of a deviation.
    later, phi : arrays, shape (m,)
        P_later = P(interval > elapsed) under the fitted normal law, and -log10 of it.
    expected : array, shape (m,)
        Intervals that the law expects in a bin of the histogram centred there.
    outlived : array, shape (m,)
        Intervals of the window that were in fact longer.
    """

    intervals: int
    mean: float
    deviation: float
    edges: NDArray[np.float64]
    counts: NDArray[np.int64]
    beyond: int
    elapsed: NDArray[np.float64]
    later: NDArray[np.float64]
    phi: NDArray[np.float64]
    expected: NDArray[np.float64]
    outlived: NDArray[np.int64]


def tail(arrivals: ArrayLike) -> TailNumbers:
    """The distribution of the intervals between `arrivals` [ns], its tail and phi, as silence goes on.

    Examples
    --------
    >>> numbers = tail([0, 9_000_000, 20_000_000, 30_000_000])
    >>> at_the_mean = int(np.argmin(abs(numbers.elapsed - numbers.mean)))
    >>> round(float(numbers.later[at_the_mean]), 3), round(float(numbers.phi[at_the_mean]), 3)
    (0.5, 0.301)
    """
    times = as_trace(arrivals).arrivals
    if len(times) < 3:
        raise ValueError(f"arrivals must be 3 or more, got {len(times)}")
    monitor = Monitor(PhiNormal(window=len(times) - 1))
    for now in times.tolist():
        monitor.heartbeat(now=now)
    known = window_statistics(times, window=len(times) - 1)
    mean, deviation = float(known.mean[-1]), float(known.deviation[-1])

    tenth = deviation * NS / 10
    first = max(-50, -math.floor(mean * NS / tenth))  # silence has no negative length
    silence = np.rint(mean * NS + tenth * np.arange(first, 91)).astype(np.int64)
    last = int(times[-1])
    phi, phi_sooner, phi_later = (
        np.array([monitor.level(now=last + max(t + shift, 0)) for t in silence.tolist()])
        for shift in (0, -round(tenth), round(tenth))
    )
    intervals = np.diff(times)
    # Bins of a fifth of a deviation, centred on every other stop: the law's share of a bin is a difference of tails.
    edges = mean * NS + tenth * np.arange(first - 1, 92, 2)
    return TailNumbers(
        intervals=len(intervals),
        mean=mean,
        deviation=deviation,
        edges=edges / NS,
        counts=np.histogram(intervals, edges)[0],
        beyond=int(np.count_nonzero(intervals > edges[-1])),
        elapsed=silence / NS,
        later=10**-phi,
        phi=phi,
        expected=len(intervals) * (10**-phi_sooner - 10**-phi_later),
        outlived=len(intervals) - np.searchsorted(np.sort(intervals), silence, side="right"),
    )


@dataclass(frozen=True, eq=False)
class Timeline:
    """A stretch of a trace in columns of equal time: what is highest in each.

    Attributes
    ----------
    start, end : float
        The stretch, from the first arrival on [s].
    level : array
        The detector's highest level in each column; NaN where it is unknown all along.
    silence : array
        The longest time since the last heartbeat in each column [s].
    """

    start: float
    end: float
    level: NDArray[np.float64]
    silence: NDArray[np.float64]


def timeline(story: Replay, start: float, end: float, columns: int = COLUMNS) -> Timeline:
    """Level and silence over a stretch of a replayed trace, few enough numbers for a picture, no peak lost.

    Both only rise between heartbeats, so that their highest values in a column are found at its arrivals and its end.

    Parameters
    ----------
    story : Replay
        Of a detector over a trace.
    start, end : float
        The stretch, from the first arrival on [s].
    columns : int
        How many.

    Examples
    --------
    >>> import accrual as ac
    >>> beats = [0, 1_000_000_000, 2_000_000_000, 4_500_000_000, 5_000_000_000]
    >>> timeline(ac.replay(beats, ac.FixedTimeout(period=1)), 0, 5, columns=5).level
    array([1. , 1. , 1. , 2. , 2.5])
    """
    # A clock that went back stands still here: a picture has one direction of time.
    clock = np.maximum.accumulate(story.trace.arrivals)
    latest = np.arange(len(clock)) if story.chain.latest is None else story.chain.latest

    edges = clock[0] + np.rint(np.linspace(start * NS, end * NS, columns + 1)).astype(np.int64)
    heard = np.searchsorted(clock, edges[1:], side="right") - 1
    silence = np.maximum(edges[1:] - story.trace.arrivals[latest[heard]], 0)
    level = story.levels_after(heard, silence)

    # The heartbeats of a column follow each other: one pass over them, however many there are.
    bounds = np.searchsorted(clock, edges, side="right")
    low, high = max(int(bounds[0]), 1), int(bounds[-1])  # before the first heartbeat there was no silence
    starts = np.clip(bounds[:-1], low, high)
    some = np.flatnonzero(np.diff(np.append(starts, high)))
    if len(some):
        arrivals = story.trace.arrivals
        waited = arrivals[low:high] - arrivals[latest[low - 1 : high - 1]]
        level[some] = np.fmax(level[some], np.fmax.reduceat(story.levels[low:high], starts[some] - low))
        silence[some] = np.maximum(silence[some], np.maximum.reduceat(waited, starts[some] - low))
    return Timeline(start, end, level, silence / NS)


def telling_timeouts(arrivals: ArrayLike, points: int = 120) -> NDArray[np.float64]:
    """Timeouts [s], ascending, that draw the whole curve of a fixed timeout: no mistakes at the last of them.

    The curve changes at the intervals and nowhere else; these are every one of the longest, and fewer further down.

    Examples
    --------
    >>> telling_timeouts([0, 10_000_000, 30_000_000, 60_000_000])
    array([0.01, 0.02, 0.03])
    """
    intervals = np.sort(np.diff(as_trace(arrivals).arrivals))
    ranks = np.unique(np.geomspace(1, len(intervals), points).astype(int))
    return np.unique(intervals[-ranks][intervals[-ranks] > 0]) / NS


# ---- widgets --------------------------------------------------------------------------------------------------------


def _plain(values: NDArray[Any]) -> list[float | None]:
    """For JSON, which knows no NaN."""
    return [None if value != value else value for value in values.tolist()]


EXAMPLE: Final = tuple(
    round(second * NS) for second in (0.0, 1.0, 2.1, 3.0, 4.2, 5.1, 6.1, 7.0, 8.2, 9.1, 10.1, 11.3, 12.2, 13.1)
)
"""Arrival times for the lecture's window of ten slots, about a second apart [ns]."""


class SamplingWindow(Widget):
    """Step 1: heartbeats enter a ring of slots, one at a time, and back.

    Parameters
    ----------
    arrivals : array of int64
        Arrival times, ascending [ns]; one to `MOST` of them, for each is a step.
    slots : int
        How many the window holds.

    Examples
    --------
    >>> SamplingWindow()
    SamplingWindow(1 heartbeat arrived: 1 time, 0 intervals)
    """

    _esm = source("controls.js", "sampling_window.js")

    MOST: Final = 1000

    steps: List[Any] = List().tag(sync=True)
    arrived = Int(1).tag(sync=True)

    def __init__(self, arrivals: ArrayLike = EXAMPLE, slots: int = 10) -> None:
        times = heartbeats(arrivals, least=1).arrivals
        if len(times) > self.MOST:
            raise ValueError(f"arrivals must be {self.MOST} or fewer, got {len(times):,}: show some, as arrivals[:100]")
        self._steps = sampling_window(times, slots)
        super().__init__(steps=[asdict(step) for step in self._steps])

    @validate("arrived")
    def _within(self, proposal: dict[str, Any]) -> int:
        return int(min(max(proposal["value"], 1), len(self._steps)))

    def describe(self) -> str:
        """What the widget shows now, in words."""
        step = self._steps[self.arrived - 1]
        times = len(step.slots) - step.slots.count(None)
        return (
            f"{step.arrived} heartbeat{'s' * (step.arrived > 1)} arrived: "
            f"{times} time{'s' * (times > 1)}, {len(step.intervals)} interval{'s' * (len(step.intervals) != 1)}"
        )


class Tail(Widget):
    """Steps 2 and 3: the window's distribution, the tail beyond the silence so far, and phi.

    Parameters
    ----------
    arrivals : array of int64
        Arrival times [ns]; the window holds all their intervals.

    Examples
    --------
    >>> Tail(EXAMPLE)
    Tail(after 1.008 s of silence: P_later = 0.5, phi = 0.301)
    """

    _esm = source("controls.js", "tail.js")

    numbers = Dict().tag(sync=True)
    stop = Int(0).tag(sync=True)

    def __init__(self, arrivals: ArrayLike) -> None:
        self._numbers = tail(heartbeats(arrivals, least=3).arrivals)
        shown = {
            name: value.tolist() if isinstance(value, np.ndarray) else value
            for name, value in vars(self._numbers).items()
        }
        at_the_mean = int(np.argmin(np.abs(self._numbers.elapsed - self._numbers.mean)))
        super().__init__(numbers=shown, stop=at_the_mean)

    @validate("stop")
    def _within(self, proposal: dict[str, Any]) -> int:
        return int(min(max(proposal["value"], 0), len(self._numbers.elapsed) - 1))

    def describe(self) -> str:
        """What the widget shows now, in words."""
        n, k = self._numbers, self.stop
        return f"after {n.elapsed[k]:.4g} s of silence: P_later = {n.later[k]:.3g}, phi = {n.phi[k]:.3g}"


METRICS: Final = (
    "detection_time",
    "mistakes",
    "mistake_rate",
    "mistake_rate_upper",
    "mistake_duration",
    "query_accuracy",
)
THRESHOLDS: Final = stops(0.5, 1000, (1, 1.2, 1.5, 2, 2.5, 3, 4, 5, 6, 7, 8, 9))
WINDOWS: Final = [int(window) for window in stops(10, 5000, (1, 2, 5))]
BEATS: Final = stops(1, 20, (1, 1.2, 1.5, 2, 2.5, 3, 4, 5, 6, 8))
PERIODS: Final = stops(0.5, 20, (1, 2, 5))  # in periods of the trace


class PhiAgainstFixed(Widget):
    """Phi accrual and a fixed timeout k x T over the same trace, side by side.

    Both are scored over the same stretch: from the heartbeat on at which the largest window of the slider is full.
    Moving Phi, k or T looks up curves that the browser already has; the window is replayed by the kernel.

    Parameters
    ----------
    trace : Trace
        With a period, or the median interval stands in for it. At least 100 heartbeats.

    Attributes
    ----------
    threshold, window, k, period : float, int, float, float [s]
        Where the sliders are. Set one, and it goes to the nearest stop.
    stretch : (float, float) [s]
        The piece of the timeline that is shown, from the first arrival on.
    phi : Curve
        PhiNormal at the present window, at all stops of Phi.
    fixed : list of Curve
        FixedTimeout at all stops of k, for each stop of T.
    skip : int
        Where scoring starts, as in `accrual.qos`.
    """

    _esm = source("controls.js", "tradeoff.js", "phi_against_fixed.js")

    threshold = Float(8.0).tag(sync=True)
    window = Int(0).tag(sync=True)
    k = Float(5.0).tag(sync=True)
    period = Float().tag(sync=True)
    stretch = List(Float()).tag(sync=True)

    stops = Dict().tag(sync=True)
    about = Dict().tag(sync=True)
    phi_curve = Dict().tag(sync=True)
    fixed_curves: List[Any] = List().tag(sync=True)
    fixed_line = Dict().tag(sync=True)
    columns = Dict().tag(sync=True)

    def __init__(self, trace: Trace) -> None:
        trace = heartbeats(trace)
        arrivals = np.maximum.accumulate(trace.arrivals)
        self.trace = trace
        self.span = float(arrivals[-1] - arrivals[0]) / NS
        nominal = nominal_period(trace)
        self._stops: dict[str, Sequence[float]] = {
            "threshold": THRESHOLDS,
            "window": [window for window in WINDOWS if window <= len(trace) // 4],
            "k": BEATS,
            "period": [round(multiple * nominal, 12) for multiple in PERIODS],
        }
        self.skip = int(self._stops["window"][-1])
        self.fixed: list[Curve] = [
            curve(trace, FixedTimeout(period=period), self._stops["k"], skip=self.skip)
            for period in self._stops["period"]
        ]
        # On a recording only the product k x T counts, so that all timeouts lie on one line.
        least, timeouts = self._stops["period"][0] * BEATS[0], telling_timeouts(arrivals)
        timeouts = np.append(least, timeouts[timeouts > least])
        line = curve(trace, FixedTimeout(period=nominal), timeouts / nominal, skip=self.skip)
        super().__init__(
            stops=self._stops,
            fixed_line=_for_the_browser(line),
            about={
                "name": str(trace.about.get("title", "The trace")),
                "span": self.span,
                "observed": float(self.fixed[0][0].observed),
                "skip": self.skip,
                "nominal": nominal,
            },
            fixed_curves=[_for_the_browser(c) for c in self.fixed],
            period=nominal,
            window=min(1000, self.skip),
            stretch=[0.0, self.span],
        )

    @validate("threshold", "window", "k", "period")
    def _nearest(self, proposal: dict[str, Any]) -> float:
        choices = np.array(self._stops[proposal["trait"].name])
        if not 0 < proposal["value"] < math.inf:
            raise TraitError(f"{proposal['trait'].name} must be more than 0, got {proposal['value']!r}")
        nearest = choices[np.argmin(np.abs(np.log(choices / proposal["value"])))]
        return nearest.item()  # type: ignore[no-any-return]

    @validate("stretch")
    def _inside(self, proposal: dict[str, Any]) -> list[float]:
        start, end = proposal["value"]
        if not end > start:
            raise TraitError(f"stretch must be a start and a later end, got {proposal['value']!r}")
        width = min(end - start, self.span)
        start = min(max(start, 0.0), self.span - width)
        return [start, start + width]

    @observe("window")
    def _replay(self, _change: object = None) -> None:
        detector = PhiNormal(window=self.window)

        def told() -> Replay:
            story = replay(self.trace, detector)
            story.levels  # noqa: B018  # kept for the timeline
            return story

        # Side by side, for both take as long; most of it is the core's, which leaves Python to others meanwhile.
        with ThreadPoolExecutor(1) as other:
            coming = other.submit(told)
            self.phi = curve(self.trace, detector, THRESHOLDS, skip=self.skip)
            self.story = coming.result()
        # One message, so that the browser never draws the curve of one window over the timeline of another.
        with self.hold_sync():
            self.phi_curve = {"window": self.window, **_for_the_browser(self.phi)}
            self._look()

    @observe("stretch")
    def _look(self, _change: object = None) -> None:
        if hasattr(self, "story"):  # traits may be set before there is anything to look at
            start, end = self.stretch
            seen = timeline(self.story, start, end)
            self.columns = {
                "window": self.window,
                "stretch": self.stretch,
                "phi": _plain(seen.level),
                "silence": seen.silence.tolist(),
            }

    def describe(self) -> str:
        """What the widget shows now, in words."""
        phi = self.phi[THRESHOLDS.index(self.threshold)]
        fixed = self.fixed[self._stops["period"].index(self.period)][BEATS.index(self.k)]
        return (
            f"Phi = {self.threshold:g}, window {self.window}: "
            f"{phi.mistakes:,} mistakes, detection in {phi.detection_time:.3g} s; "
            f"{self.k:g} x {self.period:g} s: {fixed.mistakes:,} mistakes, detection in {fixed.detection_time:.3g} s"
        )


def _for_the_browser(points: Curve) -> dict[str, Any]:
    table = points.to_dict()
    return {name: table[name] for name in METRICS}
