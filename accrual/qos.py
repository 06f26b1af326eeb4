"""Quality of service: what a detector's mistakes and its detection time are over a trace.

The metrics are those of Chen, Toueg and Aguilera (2002), defined without polling: two numbers for each heartbeat, the
lateness just before the next one and just after this one, decide about every threshold at once.
"""

from __future__ import annotations

import dataclasses
import itertools
import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from accrual.core import engine
from accrual.core.engine import EARLY, FIXED_UNITS, LATE, RESUMED, STARTS, TOTAL
from accrual.detectors import NS, Detector, as_detector, seconds
from accrual.replay import Chain, Replay, as_given, as_threads, chains, on_threads
from accrual.traces.trace import Trace, TraceError, exact_sum

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import ArrayLike, NDArray

    from accrual.traces.scan import ScannedTrace

__all__ = ["Curve", "QoS", "curve", "qos"]

CELLS = 4096
AT_A_TIME = 2**20  # detection times that are looked at together
UNIT = FIXED_UNITS * NS  # units of the fixed-point sums in a second


@dataclass(frozen=True, kw_only=True)
class QoS:
    """What a detector at one threshold did over a trace; nan where there is nothing to tell.

    Attributes
    ----------
    detection_time : float [s]
        T_D, mean: from a crash just after a heartbeat was sent (the worst case) until the suspicion.
    detection_time_uniform : float [s]
        The same for a crash at a uniformly random time: half a period less.
    detection_time_p99, detection_time_max : float [s]
        Order statistics of T_D: the smallest that 99 % do not exceed, and the largest.
    mistakes : int
        Suspicions of the peer, which was alive.
    mistake_rate : float [1/s]
        lambda_M: mistakes in a second.
    mistake_rate_upper : float [1/s]
        Upper 95 % bound if mistakes come independently; 3.0 / observed where there were none.
    mistake_duration : float [s]
        T_M: the time under suspicion over the number of mistakes; one that is open at the end is left out of both.
    mistake_recurrence, good_period : float [s]
        T_MR and T_G, means: from the start of a mistake, and from its end, to the start of the next.
    query_accuracy : float
        P_A: the share of the time without suspicion.
    observed : float [s]
        Time that was scored.
    heartbeats, lost : int
        Intervals that were scored, and sequence numbers missing in them.
    """

    detection_time: float
    detection_time_uniform: float
    detection_time_p99: float
    detection_time_max: float
    mistakes: int
    mistake_rate: float
    mistake_rate_upper: float
    mistake_duration: float
    mistake_recurrence: float
    good_period: float
    query_accuracy: float
    observed: float
    heartbeats: int
    lost: int

    # What it was made of, in exact integers; set by _as_qos. The type is a comment, for an annotation makes a field.
    _sums = None  # type: _Sums | None

    @property
    def standing(self) -> float:
        """The share of the heartbeats that came during a suspicion and did not end it; nan where nobody counted."""
        return math.nan if self._sums is None else self._sums.late.touching / self.heartbeats

    def __add__(self, later: QoS) -> QoS:
        """The quality of service over this piece of a trace and the next, bit for bit that of the two as one.

        Of the same detector at the same threshold, and `later` observed from where this ends (``skip``) on a trace that
        still has what came before. Order statistics (detection_time_p99, detection_time_max) do not add: they are nan.

        Examples
        --------
        >>> import accrual as ac
        >>> t, d = ac.Trace([0, 100, 200, 450, 500, 620, 700, 990]), ac.FixedTimeout(period=1e-7)
        >>> (ac.qos(t[:5], d, 2, skip=0) + ac.qos(t, d, 2, skip=4)).mistake_rate == ac.qos(t, d, 2, skip=0).mistake_rate
        True
        """
        if not isinstance(later, QoS):
            return NotImplemented
        if self._sums is None or later._sums is None:
            raise ValueError("only what qos, curve and additions of their results give can be added")
        return _as_qos(self._sums.then(later._sums))

    def to_dict(self) -> dict[str, float | int | None]:
        """Plain numbers by name, None (JSON null) for what is not a number."""
        return {name: _plain(value) for name, value in dataclasses.asdict(self).items()}

    def _repr_html_(self) -> str:
        rows = "".join(
            f"<tr><th>{name}</th><td>{_show(value)}</td><td>{UNITS.get(name, '')}</td></tr>"
            for name, value in dataclasses.asdict(self).items()
        )
        return f"<table>{rows}</table>"


UNITS = {
    **dict.fromkeys(
        ["detection_time", "detection_time_uniform", "detection_time_p99", "detection_time_max", "mistake_duration",
         "mistake_recurrence", "good_period", "observed"], "s"),
    **dict.fromkeys(["mistake_rate", "mistake_rate_upper"], "1/s"),
}  # fmt: skip


def _plain(value: Any) -> float | int | None:
    return None if isinstance(value, float) and not math.isfinite(value) else value


def _show(value: float | int) -> str:
    return f"{value:,}" if isinstance(value, int) else f"{value:.6g}"


@dataclass(frozen=True, eq=False, repr=False)
class Curve:
    """The quality of service of a detector at many thresholds: :class:`QoS`'s fields as arrays.

    ``curve[k]`` is the QoS at the k-th threshold; ``len(curve)`` says how many there are.
    """

    detector: Detector
    thresholds: NDArray[np.float64]
    points: list[QoS]

    def __repr__(self) -> str:
        """What the extremes of the thresholds bring, not 14 arrays."""
        least, most = int(np.argmin(self.thresholds)), int(np.argmax(self.thresholds))
        shown = "".join(
            f", {name} {_show(getattr(self[least], name))} to {_show(getattr(self[most], name))}{unit}"
            for name, unit in (("detection_time", " s"), ("mistakes", ""))
        )
        name = self.detector.threshold_name
        between = f"{name} {self.thresholds[least]:g} to {self.thresholds[most]:g}"
        return f"Curve({self.detector}, {len(self)} thresholds: {between}{shown})"

    def __len__(self) -> int:
        return len(self.points)

    def __getitem__(self, k: int) -> QoS:
        return self.points[k]

    def __getattr__(self, name: str) -> NDArray[Any]:
        if name not in QoS.__dataclass_fields__:
            raise AttributeError(f"Curve has no field {name!r}")
        return np.array([getattr(point, name) for point in self.points])

    def __dir__(self) -> list[str]:
        return [*super().__dir__(), *QoS.__dataclass_fields__]

    def to_dict(self) -> dict[str, Any]:
        """Lists by field name, and the detector as the command line writes it."""
        points = [point.to_dict() for point in self.points]
        return {
            "detector": str(self.detector),
            "threshold": [_plain(float(t)) for t in self.thresholds],
            **{name: [point[name] for point in points] for name in QoS.__dataclass_fields__},
        }

    def to_pandas(self):  # type: ignore[no-untyped-def]
        """A DataFrame, one row for each threshold."""
        import pandas as pd

        columns = {name: getattr(self, name) for name in QoS.__dataclass_fields__}
        return pd.DataFrame({"threshold": self.thresholds, **columns})

    def _repr_html_(self) -> str:
        names = ["detection_time", "mistakes", "mistake_rate", "mistake_duration", "query_accuracy"]
        head = "".join(f"<th>{name} {f'[{UNITS[name]}]' if name in UNITS else ''}</th>" for name in names)
        rows = "".join(
            f"<tr><td>{t:g}</td>" + "".join(f"<td>{_show(getattr(p, name))}</td>" for name in names) + "</tr>"
            for t, p in zip(self.thresholds, self.points, strict=True)
        )
        head = f"<tr><th>{self.detector.threshold_name}</th>{head}</tr>"
        return f"<table><caption>{self.detector}</caption>{head}{rows}</table>"


def qos(
    trace: Trace | ScannedTrace | ArrayLike,
    detector: Detector,
    threshold: float,
    skip: int | None = None,
    transit: float = 0.0,
) -> QoS:
    """The quality of service of a detector at one threshold over a trace.

    Parameters
    ----------
    trace : Trace or array of int64, shape (n,)
        Arrivals in ns. Where the trace has ``sent`` (on the receiver's clock), detection times count from there. One of
        `accrual.scan_trace` is read in pieces, in bounded memory but for 16 bytes for each hundredth heartbeat, which
        detection_time_p99 takes; the result has the same bits.
    detector : Detector
    threshold : float
        As level; what it means is the detector's own.
    skip : int, optional
        Observation starts at this arrival; by default the first after which a level is known.
    transit : float
        Mean time under way, s, added to detection times where the trace has no ``sent``.

    Raises
    ------
    ValueError
        If a parameter is out of bounds.
    TraceError
        If no interval is left to score, or one is too long (2**54 ns, 208 days).

    Examples
    --------
    >>> import accrual as ac
    >>> q = ac.qos([0, 100_000_000, 200_000_000, 450_000_000, 500_000_000], ac.FixedTimeout(period=0.1), threshold=2)
    >>> q.mistakes, q.detection_time, q.mistake_duration
    (1, 0.2, 0.05)
    """
    return curve(trace, detector, [engine.as_threshold(threshold)], skip, transit, quantiles=True)[0]


def curve(
    trace: Trace | ScannedTrace | ArrayLike,
    detector: Detector,
    thresholds: ArrayLike | None = None,
    skip: int | None = None,
    transit: float = 0.0,
    quantiles: bool = False,
    threads: int = 1,
) -> Curve:
    """The quality of service at many thresholds, from one pass over the trace.

    Parameters
    ----------
    trace, detector, skip, transit
        As :func:`accrual.qos`.
    thresholds : array, shape (m,), optional
        In any order; by default the detector's own.
    quantiles : bool
        Whether to give detection_time_p99 and detection_time_max, which need a pass each, and 16 bytes for each
        hundredth heartbeat and threshold.
    threads : int
        Threads to use; never changes a bit of the result.

    Raises
    ------
    ValueError, TraceError
        As :func:`accrual.qos`.

    Examples
    --------
    >>> import accrual as ac
    >>> arrivals = [0, 100_000_000, 200_000_000, 450_000_000, 500_000_000]
    >>> ac.curve(arrivals, ac.FixedTimeout(period=0.1), thresholds=[1.5, 2, 3]).mistakes
    array([1, 1, 0])
    """
    trace, detector = as_given(trace), as_detector(detector)
    thresholds = as_thresholds(detector.thresholds if thresholds is None else thresholds)
    if isinstance(trace, Trace):
        return Scoring(trace, detector, skip, transit, threads).curve(thresholds, quantiles)
    return _curve_of_pieces(trace, detector, thresholds, skip, transit, quantiles, threads)


def _curve_of_pieces(
    trace: ScannedTrace,
    detector: Detector,
    thresholds: NDArray[np.float64],
    skip: int | None,
    transit: float,
    quantiles: bool,
    threads: int,
) -> Curve:
    sweep = _Sweep(detector, thresholds, len(trace), quantiles)
    accepted, first = 0, skip
    for chain in chains(trace, detector.compiled):
        scoring = Scoring(chain.trace, detector, skip, transit, threads, chain, sweep.begun)
        accepted += len(scoring.arrivals) - chain.fresh
        if skip is None and (first is None or first >= chain.place + chain.fresh):  # not known before
            first = chain.place + scoring.first
        if scoring.low < scoring.high:
            sweep.add(scoring)
    if not sweep.begun:
        raise _nothing_to_score(len(trace), accepted, first)
    return sweep.curve()


def _nothing_to_score(heartbeats: int, accepted: int, first: int | None) -> TraceError:
    return TraceError(
        f"nothing to score: {heartbeats} heartbeats, of which {accepted} count, "
        f"and observation starts at number {first}"
    )


def as_thresholds(thresholds: ArrayLike) -> NDArray[np.float64]:
    """One or more numbers in one dimension; no strings, bools or complex ones, which NumPy would make into numbers."""
    try:
        array = np.asarray(thresholds)
        if array.dtype.kind not in "iuf":
            array = np.array([engine.as_threshold(threshold) for threshold in array.tolist()])
        array = array.astype(np.float64)
    except (TypeError, ValueError):  # the latter also for rows of unequal lengths
        array = np.empty(0)
    if array.ndim != 1 or not len(array) or np.isnan(array).any():
        raise ValueError(f"thresholds must be one or more numbers, got {thresholds!r}")
    return array


def as_skip(skip: int) -> int:
    """Check the number of an arrival."""
    if isinstance(skip, bool) or not isinstance(skip, int | np.integer) or skip < 0:
        raise ValueError(f"skip must be an arrival's number, 0 or more, got {skip!r}")
    return int(skip)


_States = tuple["NDArray[np.int32]", "NDArray[np.int64]", "NDArray[np.float64]"]


class _Sweep:
    """Thresholds over a trace, whole or one piece after another."""

    def __init__(self, detector: Detector, thresholds: NDArray[np.float64], heartbeats: int, quantiles: bool) -> None:
        self.detector, self.thresholds = detector, thresholds
        compiled = detector.compiled
        # Thresholds of one lateness are one, but where that depends on how many intervals are known.
        z = thresholds if compiled.asks else [compiled.inverse(threshold) for threshold in thresholds]
        self.z, self.where = np.unique(z, return_inverse=True)
        self.sums: list[_Sums] = []
        self.longest = [_Longest(heartbeats) for _ in self.z] if quantiles else []

    @property
    def begun(self) -> bool:
        """Whether anything was scored."""
        return bool(self.sums)

    def add(self, scoring: Scoring) -> None:
        """Score the trace, or its next piece."""
        found = scoring.sums(self.z, self.longest)
        self.sums = [one.then(other) for one, other in zip(self.sums, found, strict=True)] if self.sums else found
        _check_observed(self.sums[0].whole.observed)

    def curve(self) -> Curve:
        """The QoS at every threshold."""
        ranks = [times.ranks() for times in self.longest] or [(math.nan, math.nan)] * len(self.sums)
        points = [_as_qos(point, *rank) for point, rank in zip(self.sums, ranks, strict=True)]
        return Curve(self.detector, self.thresholds, [points[k] for k in self.where])


class _Longest:
    """The longest detection times of a trace, as many as tell which 99 % do not exceed."""

    def __init__(self, heartbeats: int) -> None:
        self.room = heartbeats // 100 + 1
        self.count = self.held = 0
        self.bound = -math.inf  # none up to it is among them
        self.parts: list[NDArray[np.float64]] = []

    def add(self, times: NDArray[np.float64]) -> None:
        """Take in those of a piece [s]."""
        self.count += len(times)
        self.parts.append(times[times > self.bound])
        self.held += len(self.parts[-1])
        if self.held > 2 * self.room:
            times = np.concatenate(self.parts)
            self.parts = [np.partition(times, -self.room)[-self.room :].copy()]  # not a view of all
            self.held, self.bound = self.room, float(self.parts[0].min())

    def ranks(self) -> tuple[float, float]:
        """detection_time_p99 and detection_time_max; NaN where there are none."""
        if not self.count:
            return math.nan, math.nan
        times = np.sort(np.concatenate(self.parts))
        return float(times[math.ceil(0.99 * self.count) - 1 - self.count]), float(times[-1])


def _check_observed(observed: int) -> None:
    if observed >= engine.INSTANT_LIMIT:
        raise TraceError(f"{observed / NS:g} s of observation are too long to be scored: 2**62 ns, 146 years")


class Scoring:
    """A detector over a trace, ready to be scored at any thresholds.

    Attributes
    ----------
    first : int
        Observation starts at this heartbeat.
    low, high : int
        Scored are the intervals after the accepted heartbeats low ... high - 1.
    arrivals : int64 array [ns]
        Those of the accepted heartbeats.

    Parameters
    ----------
    chain : Chain, optional
        Of a piece of a trace, which may have nothing to score.
    begun : bool
        Whether a piece before was scored.
    """

    def __init__(
        self,
        trace: Trace,
        detector: Detector,
        skip: int | None = None,
        transit: float = 0.0,
        threads: int = 1,
        chain: Chain | None = None,
        begun: bool = False,
    ) -> None:
        self.trace, self.detector, self.threads = trace, detector, as_threads(threads)
        self.transit = seconds("transit", transit)
        self.chain = Chain(trace, detector.compiled) if chain is None else chain
        whole = slice(None)
        accepted = whole if self.chain.accepted is None else self.chain.accepted
        arrivals = trace.arrivals[accepted]
        self.replay = None
        self.held: _States | None = None  # all states, where they are not read piece by piece
        self.state = None
        if not self.chain.one_to_one or detector.compiled.asks:
            self.replay = Replay(trace, detector, threads, self.chain)
            self.held = self.replay.states
            self.state = np.arange(len(arrivals)) if self.chain.state is None else self.chain.state[accepted]
        # A later piece begins with the last accepted heartbeat of the past, where the observation ended.
        last = max(self.chain.fresh - 1, 0)
        if begun:
            self.first = last
        elif skip is None:
            self.first = self._first_known()
        else:
            self.first = max(as_skip(skip) - self.chain.place, last)
        # Interval i follows accepted heartbeat i. Scored are those that end at an arrival after `first`.
        if self.chain.accepted is None:
            self.low = self.first
        else:
            self.low = max(int(np.searchsorted(self.chain.accepted, self.first, side="right")) - 1, 0)
        self.high = len(arrivals) - 1
        self.arrivals = arrivals
        if self.low >= self.high:
            if chain is None:
                raise _nothing_to_score(len(trace), len(arrivals), self.first)
            return
        observed = int(arrivals[-1]) - int(arrivals[self.low])
        if self.state is not None:  # else the clock never went back
            observed = exact_sum(self._interval(self.low, self.high))
        _check_observed(observed)
        self.sent = None if trace.sent is None else trace.sent[accepted]
        self.sequence = None if trace.sequence is None else trace.sequence[accepted]
        self.epoch = None if trace.epoch is None else trace.epoch[accepted]

    def _first_known(self) -> int:
        """The first arrival after which a level is known; one past the end where there is none."""
        if self.replay is None or self.chain.state is None:
            needed, accepted = self.detector.compiled.min_samples, self.chain.accepted
            if accepted is None:
                return min(needed, len(self.trace))
            return int(accepted[needed]) if needed < len(accepted) else len(self.trace)
        known = np.flatnonzero(self.replay.samples[self.chain.state] >= 0)
        return int(known[0]) if len(known) else len(self.trace)

    # ---- the pass ----

    def _states(self, low: int, high: int) -> tuple[_States, NDArray[np.int64] | None]:
        """States, and which of them hold after accepted heartbeats low ... high (None: just these, in order)."""
        if self.held is not None and self.state is not None:
            return self.held, self.state[low : high + 1]
        size = high + 1 - low
        states = np.empty(size, np.int32), np.empty(size, np.int64), np.empty(size)
        self.chain.check(engine.states(self.detector.compiled, self.chain.instants, 0, low, high, *states))
        return states, None

    def _lateness(self, at: int, elapsed: int) -> float:
        """The lateness so long after accepted heartbeat `at`."""
        states, state = self._states(at, at)
        z = np.empty(1)
        state = np.zeros(1, np.int64) if state is None else state
        engine.latenesses(self.detector.compiled, *states, state, np.array([elapsed]), z)
        return float(z[0])

    def _interval(self, low: int, high: int) -> NDArray[np.int64]:
        return np.maximum(np.diff(self.arrivals[low : high + 1]), 0)

    def _pieces(self) -> list[tuple[int, ...]]:
        """Neighbouring ranges of intervals, one for each thread."""
        threads = self.threads if self.replay is None else 1
        size = max(-(-(self.high - self.low) // threads), 4 * self.chain.window, 50_000)
        cuts = [*range(self.low, self.high, size if threads > 1 else len(self.arrivals)), self.high]
        return list(itertools.pairwise(cuts))

    def _tally(self, low: int, high: int) -> _Tally:
        """Score intervals low ... high - 1."""
        previous = self._lateness(low - 1, int(self._interval(low - 1, low)[0])) if low else math.nan
        # Pieces after the first are of a trace whose clock never went back.
        elapsed = 0 if low == self.low else int(self.arrivals[low] - self.arrivals[self.low])
        tally, compiled = _Tally(self.z, low, elapsed, previous), self.detector.compiled
        if self.held is None or self.state is None:
            bad, too_long = tally.engine.add_chain(compiled, self.chain.instants, low, high)
            self.chain.check(-1 if too_long else bad)
        else:
            bad = tally.engine.add(compiled, *self.held, self.state[low:high], self._interval(low, high))
        if bad >= 0:
            raise TraceError(f"{self.chain.interval(bad)} is too long to be scored: 208 days")
        return tally

    def _known(self) -> slice | NDArray[np.bool_]:
        """Which of the scored intervals begin with a level, among all of the trace."""
        if self.replay is None or self.state is None:
            return slice(max(self.low, self.detector.compiled.min_samples), self.high)
        known = self.replay.samples[self.state] >= 0
        known[: self.low] = known[self.high :] = False
        return known

    def under_way(self) -> int:
        """Time from sending to arrival, summed over the heartbeats that scored intervals with a level follow, ns."""
        if self.sent is None:
            return round(self.transit * NS) * len(self.arrivals[self._known()])
        return exact_sum((self.arrivals - self.sent)[self._known()])

    def lost(self) -> int:
        """Sequence numbers missing in the scored intervals; none across a restart."""
        if self.sequence is None:
            return 0
        steps = np.diff(self.sequence[self.low : self.high + 1].view(np.uint64)) - np.uint64(1)
        if self.epoch is not None:
            steps = steps[np.diff(self.epoch[self.low : self.high + 1]) == 0]
        return exact_sum(steps)

    # ---- what becomes of it ----

    def curve(self, thresholds: NDArray[np.float64], quantiles: bool = False) -> Curve:
        """The QoS at every threshold."""
        sweep = _Sweep(self.detector, thresholds, len(self.trace), quantiles)
        sweep.add(self)
        return sweep.curve()

    def sums(self, z: NDArray[np.float64], longest: list[_Longest]) -> list[_Sums]:
        """What makes the QoS at each z; detection times go to `longest`, unless that is empty.

        For laws that ask for the number of intervals z are the thresholds themselves.
        """
        found: list[_Sums] = []
        for asked in self._passes(z):
            tallies = on_threads(self._tally, self._pieces(), self.threads)
            for low, high in itertools.pairwise([*range(self.low, self.high, AT_A_TIME), self.high]) if longest else ():
                for times, keeper in zip(self._detection_times(low, high), longest[len(found) :], strict=False):
                    keeper.add(times)
            found += _added_up(self, tallies, asked)
        return found

    def _passes(self, z: NDArray[np.float64]) -> Iterator[list[float]]:
        """What tells the thresholds of each pass apart; `z` is set for it."""
        if self.replay is None or not self.detector.compiled.asks:
            self.z = z
            yield z.tolist()
            return
        for threshold in z.tolist():
            self.held, self.z = self._moved(self.replay, threshold), np.zeros(1)
            yield [threshold]

    def _moved(self, replay: Replay, threshold: float) -> _States:
        """States whose location is the deadline, so that the threshold is 0: for laws whose z depends on n."""
        samples, unit = replay.samples, FIXED_UNITS
        pause = self.detector.compiled.parameters["pause"]
        return (
            np.where(samples >= 0, unit, samples).astype(np.int32),
            replay.waits(threshold) - pause * unit,
            np.full(len(samples), float(unit)),
        )

    def _detection_times(self, low: int, high: int) -> Iterator[NDArray[np.float64]]:
        """For each z the detection times of intervals low ... high - 1, where there is a level [s]."""
        (samples, total, denominators), state = self._states(low, high)
        if state is not None:
            few = slice(int(state[0]), int(state[-1]) + 1)  # states follow each other
            samples, total, denominators, state = samples[few], total[few], denominators[few], state - few.start
        location, scale = np.empty((2, len(samples)), np.int64)
        engine.fixed_points(self.detector.compiled, samples, total, denominators, location, scale)
        if state is not None:
            location, scale = location[state], scale[state]
        known = scale[:-1] >= 0
        location, scale = location[:-1][known], scale[:-1][known]
        under_way = np.full(len(location), self.transit * UNIT)
        if self.sent is not None:
            under_way = (self.arrivals[low:high] - self.sent[low:high])[known] * float(FIXED_UNITS)
        # z * scale may outgrow a double where the seconds do not: a power of two makes room, and rounds nothing.
        room = 2.0**-64
        least, step = location * room, scale * room
        for z in self.z:
            wait = np.maximum(least + z * step, 0) if math.isfinite(z) else np.full(len(least), max(z, 0.0))
            with np.errstate(over="ignore"):  # to infinity, as the mean
                times = (wait + under_way * room) / UNIT / room
            yield times

    def still_late(self, before: float) -> float:
        """The lateness that a suspicion exceeds which is open at the end; `before`: just before the last heartbeat."""
        return float(np.minimum(before, self._lateness(self.high, 0)))  # NaN, none, if either is unknown


class _Tally:
    """One thread's share of the pass: neighbouring intervals."""

    def __init__(self, z: NDArray[np.float64], number: int, elapsed: int, previous: float) -> None:
        self.late = np.zeros((len(z) + 1, LATE["columns"]), np.int64)
        self.early = np.zeros((len(z) + 1, EARLY["columns"]), np.int64)
        self.resumed = np.zeros((len(z), RESUMED["columns"]), np.int64)
        self.whole = np.zeros(TOTAL["columns"], np.int64)
        for table, names in ((self.late, LATE), (self.resumed, RESUMED)):
            table[:, names["first"]] = table[:, names["last"]] = -1
        self.resumed[:, RESUMED["lead"]] = -1
        cells = np.zeros(CELLS, np.int32)
        self.engine = engine.Tally(z, self.late, self.early, self.resumed, self.whole, cells, number, elapsed, previous)


Start = tuple[int, ...]
"""Where a suspicion begins: its interval's number, observed time before that [ns], location and scale [2^-8 ns]."""


def _column(tables: list[NDArray[np.int64]], column: int) -> list[int]:
    """A column of counts, added up over the threads."""
    return np.sum([table[:, column] for table in tables], axis=0).tolist()  # type: ignore[no-any-return]


def _wide_column(tables: list[NDArray[np.int64]], column: int) -> list[int]:
    """A column of 128-bit sums in two words, added up over the threads as Python integers."""
    total = np.zeros(len(tables[0]), object)
    for table in tables:
        words = table[:, column : column + 2].astype(object)
        total += (words[:, 1] << 64) + (words[:, 0] & 0xFFFFFFFFFFFFFFFF)
    return list(total)


def _leads(tallies: list[_Tally]) -> list[int]:
    """Until when a suspicion from before the observation goes on, maybe past a thread's share; -1: to the end."""
    lead = np.full(len(tallies[0].resumed), -1)
    for tally in tallies:
        lead = np.where(lead < 0, tally.resumed[:, RESUMED["lead"]], lead)
    return lead.tolist()


def _starts(tables: list[NDArray[np.int64]], column: int) -> list[list[Start]]:
    """For each row the starts that the threads noted there."""
    rows = np.stack([table[:, column : column + STARTS] for table in tables], axis=1).tolist()
    return [[tuple(start) for start in row if start[0] >= 0] for row in rows]


@dataclass(frozen=True)
class _Whole:
    """What holds at every threshold. Locations and scales in 2^-8 ns, summed over the intervals with a level."""

    start: int  # arrivals that the scored intervals lie between, ns
    end: int
    intervals: int
    known: int
    observed: int  # ns
    location: int
    scale: int
    lost: int
    under_way: int  # ns, summed
    period: float | None  # nominal, s
    still_late: float  # the lateness that is exceeded by a suspicion which is open at the end

    def then(self, later: _Whole) -> _Whole:
        """Both together."""
        added = ("intervals", "known", "observed", "location", "scale", "lost", "under_way")
        sums = {name: getattr(self, name) + getattr(later, name) for name in added}
        return dataclasses.replace(later, start=self.start, **sums)


@dataclass
class _Late:
    """What the intervals add up to at whose end the lateness exceeded a threshold."""

    count: int = 0
    excess: int = 0  # interval - location
    scale: int = 0
    early_location: int = 0  # of those that are late from their first ns on
    early_scale: int = 0
    touching: int = 0
    until: int = 0
    first: Start | None = None
    last: Start | None = None

    def then(self, later: _Late, intervals: int, observed: int) -> _Late:
        """Both together; so many intervals and so long were observed before the later one."""

        def moved(start: Start | None) -> Start | None:
            return start and (start[0] + intervals, start[1] + observed, *start[2:])

        added = ("count", "excess", "scale", "early_location", "early_scale", "touching")
        return _Late(
            **{name: getattr(self, name) + getattr(later, name) for name in added},
            until=later.until + observed if later.count else self.until,
            first=self.first or moved(later.first),
            last=moved(later.last) or self.last,
        )


@dataclass(frozen=True)
class _Sums:
    """All that makes a QoS."""

    detector: Detector
    asked: float  # what tells one threshold from another
    z: float
    whole: _Whole
    late: _Late
    lead: int  # observed time until which a suspicion from before the observation goes on, ns; -1: beyond its end

    def then(self, later: _Sums) -> _Sums:
        """Of two neighbouring pieces together. A suspicion across the seam is none that begins in the later one."""
        if (self.detector, self.asked) != (later.detector, later.asked):
            raise ValueError("only pieces with the same detector and threshold can be added")
        if (self.whole.end, self.whole.period) != (later.whole.start, later.whole.period):
            raise ValueError(
                "only neighbouring pieces of one trace can be added: the first ends at the arrival "
                f"{self.whole.end}, the second starts at {later.whole.start}"
            )
        lead = self.lead
        if lead < 0:
            lead = later.lead if later.lead < 0 else self.whole.observed + later.lead
        late = self.late.then(later.late, self.whole.intervals, self.whole.observed)
        return dataclasses.replace(later, whole=self.whole.then(later.whole), late=late, lead=lead)


def _added_up(scoring: Scoring, tallies: list[_Tally], asked: list[float]) -> list[_Sums]:
    """What makes the QoS at each z.

    A row of a tally counts at every threshold that it passed, so sums run from the top down.
    """
    late, early, resumed = ([getattr(tally, name) for tally in tallies] for name in ("late", "early", "resumed"))
    whole = [tally.whole[np.newaxis] for tally in tallies]
    same = _Whole(
        start=int(scoring.arrivals[scoring.low]),
        end=int(scoring.arrivals[scoring.high]),
        intervals=_column(whole, TOTAL["intervals"])[0],
        known=_column(whole, TOTAL["known"])[0],
        observed=_wide_column(whole, TOTAL["observed"])[0],
        location=_wide_column(whole, TOTAL["location"])[0],
        scale=_wide_column(whole, TOTAL["scale"])[0],
        lost=scoring.lost(),
        under_way=scoring.under_way(),
        period=scoring.trace.period,
        still_late=scoring.still_late(tallies[-1].engine.previous),
    )
    rows = zip(
        _column(late, LATE["count"]),
        _wide_column(late, LATE["excess"]),
        _wide_column(late, LATE["scale"]),
        _wide_column(early, EARLY["location"]),
        _wide_column(early, EARLY["scale"]),
        _column(early, EARLY["touching"]),
        np.max([table[:, LATE["until"]] for table in late], axis=0).tolist(),
        _starts(late, LATE["first"]),
        _starts(late, LATE["last"]),
        strict=True,
    )
    thresholds = zip(
        scoring.z.tolist(),
        asked,
        _leads(tallies),
        _starts(resumed, RESUMED["first"]),
        _starts(resumed, RESUMED["last"]),
        strict=True,
    )
    points, sums = [], _Late()
    for row, (z, threshold, lead, first, last) in zip(list(rows)[:0:-1], list(thresholds)[::-1], strict=True):
        sums.count += row[0]
        sums.excess += row[1]
        sums.scale += row[2]
        sums.early_location += row[3]
        sums.early_scale += row[4]
        sums.touching += row[5]
        sums.until = max(sums.until, row[6])
        sums.first = min([*row[7], *filter(None, [sums.first])], default=None)
        sums.last = max([*row[8], *filter(None, [sums.last])], default=None)
        here = dataclasses.replace(
            sums,
            first=min([*first, *filter(None, [sums.first])], default=None),
            last=max([*last, *filter(None, [sums.last])], default=None),
        )
        points.append(_Sums(scoring.detector, threshold, z, same, here, lead))
    return points[::-1]


def _as_qos(sums: _Sums, p99: float = math.nan, longest: float = math.nan) -> QoS:
    """The QoS at one z, in exact integers until the last division.

    z is the fraction top / bottom; times below are integers in units of 2^-8 ns / bottom.
    """
    z, whole, late = sums.z, sums.whole, sums.late
    lead = sums.lead if sums.lead >= 0 else whole.observed
    period = whole.period or whole.observed / NS / (whole.intervals + whole.lost)
    top, bottom = z.as_integer_ratio() if math.isfinite(z) else (0, 1)
    second = UNIT * bottom
    observed = whole.observed * FIXED_UNITS * bottom

    def begun(start: Start) -> int:
        _, since, location, scale = start
        wait = location * bottom + scale * top if math.isfinite(z) else 0
        return since * FIXED_UNITS * bottom + max(0, wait)

    mistakes = late.count - late.touching
    suspicion = (late.excess + late.early_location) * bottom + (late.early_scale - late.scale) * top
    suspicion = max(suspicion, 0)  # rounding L and S may leave less than nothing of a suspicion of no length
    is_open = mistakes > 0 and whole.still_late > z
    closed = mistakes - is_open
    last_one = late.until * FIXED_UNITS * bottom - begun(late.last) if late.last else 0

    reaction = (whole.location - late.early_location) * bottom + (whole.scale - late.early_scale) * top
    detection_time = math.nan
    if whole.known:
        try:
            detection_time = (reaction + whole.under_way * FIXED_UNITS * bottom) / (whole.known * second)
        except OverflowError:  # a threshold so high that no double holds the wait
            detection_time = math.inf
        if z == math.inf:
            detection_time = math.inf
    recurrence = good = math.nan
    if mistakes > 1 and late.first and late.last:
        apart = begun(late.last) - begun(late.first)
        between = suspicion - last_one - lead * FIXED_UNITS * bottom  # mistakes but the last
        recurrence, good = apart / ((mistakes - 1) * second), (apart - between) / ((mistakes - 1) * second)
    duration = whole.observed / NS
    found = QoS(
        detection_time=detection_time,
        detection_time_uniform=detection_time - period / 2,
        detection_time_p99=p99,
        detection_time_max=longest,
        mistakes=mistakes,
        mistake_rate=mistakes / duration if duration else math.nan,
        mistake_rate_upper=_most_mistakes(mistakes) / duration if duration else math.nan,
        mistake_duration=(suspicion - last_one * is_open) / (closed * second) if closed else math.nan,
        mistake_recurrence=recurrence,
        good_period=good,
        query_accuracy=(observed - suspicion) / observed if observed else math.nan,
        observed=duration,
        heartbeats=whole.intervals,
        lost=whole.lost,
    )
    object.__setattr__(found, "_sums", sums)  # frozen, and no field: neither shown nor compared
    return found


def _most_mistakes(mistakes: int) -> float:
    """Upper 95 % bound of a Poisson mean after so many mistakes; 3.0 for none, the field's rule of three."""
    if mistakes == 0:
        return 3.0
    from scipy.special import gammaincinv  # here, for it takes longer to import than all of accrual

    return float(gammaincinv(mistakes + 1, 0.95))
