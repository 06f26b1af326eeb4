"""A threshold for a wanted quality of service, learnt on the first part of a trace and judged on the rest.

A threshold that is found and judged on the same heartbeats promises too much. "Cannot be met" is an answer, and so is
that the trace is too short to say.
"""

from __future__ import annotations

import dataclasses
import itertools
import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from accrual.blocks import Blocks, as_seed
from accrual.detectors import Detector, as_detector
from accrual.matching import AT, as_times, match
from accrual.qos import QoS, Scoring
from accrual.replay import Replay, as_trace, full_from
from accrual.tables import aligned, as_html, figure, plain
from accrual.traces.trace import Trace, TraceError

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import ArrayLike, NDArray

__all__ = ["Tuned", "tune", "tune_cost"]

SLACK: Final = 0.01
"""By what share a detection time may exceed the wanted one on heartbeats that nobody had seen."""

_AT_ONCE: Final = 16  # thresholds asked of the curve in a round of a search


@dataclass(frozen=True, kw_only=True, repr=False)
class Tuned:
    """A threshold, what was wanted of it, and what came of it.

    Attributes
    ----------
    detector : Detector
    threshold : float
        nan where what is wanted cannot be met.
    mistake_rate : float or None [1/s]
    detection_time : float or None [s]
        What was wanted.
    at : str
        Whether that is the ``mean`` or the ``p99`` of the detection time.
    skip, cut : int
        Learnt from arrival `skip` to arrival `cut`, judged from there on.
    learnt, judged : QoS or None
        On the first part of the trace, and on the rest.
    rate_low, rate_high : float [1/s]
        95 % interval of the mistake rate of the rest, as `accrual.compare` gives it.
    cost : float
        Of `tune_cost`: the share of time lost by what was judged; else nan.
    met : bool or None
        Whether the rest bears it out; None where it cannot tell: the interval holds the wanted rate.
    verdict : str
        The same in words.
    """

    detector: Detector
    threshold: float
    skip: int
    cut: int
    mistake_rate: float | None = None
    detection_time: float | None = None
    at: str = "mean"
    learnt: QoS | None = None
    judged: QoS | None = None
    rate_low: float = math.nan
    rate_high: float = math.nan
    cost: float = math.nan
    met: bool | None = None
    verdict: str = ""

    def to_dict(self) -> dict[str, Any]:
        """Plain values; learnt and judged as dictionaries."""
        values = {f.name: plain(getattr(self, f.name)) for f in dataclasses.fields(self)}
        values["detector"] = str(self.detector)
        for name in ("learnt", "judged"):
            found: QoS | None = getattr(self, name)
            values[name] = None if found is None else found.to_dict()
        return values

    def title(self) -> str:
        """The detector and its threshold."""
        return f"{self.detector}, {self.detector.threshold_name} = {figure(self.threshold)}: {self.verdict}"

    def table(self) -> list[list[str]]:
        """What was learnt and what was judged, as texts under a head."""
        rows = [
            ["", "T_D mean", "T_D p99", "mistakes", "rate", "suspected", "observed"],
            ["", "s", "s", "", "1/s", "%", "s"],
        ]
        for name in ("learnt", "judged"):
            q: QoS | None = getattr(self, name)
            if q is not None:
                rate = figure(q.mistake_rate) if q.mistakes else f"< {figure(q.mistake_rate_upper)}"
                rows.append(
                    [name, figure(q.detection_time), figure(q.detection_time_p99), f"{q.mistakes:,}", rate,
                     f"{100 * (1 - q.query_accuracy):.3g}", figure(q.observed)]
                )  # fmt: skip
        return rows

    def __repr__(self) -> str:
        """The verdict and the figures."""
        return self.title() + ("" if self.learnt is None else f"\n{aligned(self.table(), names=True)}")

    def _repr_html_(self) -> str:
        return as_html(self.title(), self.table())


def tune(
    trace: Trace | ArrayLike,
    detector: Detector,
    mistake_rate: float | None = None,
    detection_time: float | None = None,
    *,
    at: str = "mean",
    share: float = 0.5,
    skip: int | None = None,
    transit: float = 0.0,
    seed: int = 0,
    threads: int = 1,
    progress: Callable[[str], None] | None = None,
) -> Tuned:
    """Find a threshold for a wanted mistake rate or detection time, and judge it on heartbeats that it never saw.

    Given a mistake rate, the fastest threshold is taken that keeps to it on the first part; given a detection time, the
    one that has it; given both, the one that has the detection time, if it keeps to the rate.

    Parameters
    ----------
    trace, detector, skip, transit, threads
        As :func:`accrual.qos`; but observation starts where the detector's window is full.
    mistake_rate : float, optional [1/s]
    detection_time : float, optional [s]
        Wanted; one at least.
    at : str
        Whether `detection_time` is the ``mean`` or the ``p99``.
    share : float
        Of the heartbeats, how many of them are to learn from; above 0 and below 1.
    seed : int
        What chance begins with, in the interval of the judged rate.
    progress : callable, optional
        Is told what is being done.

    Raises
    ------
    ValueError, TraceError
        As :func:`accrual.compare`.

    Examples
    --------
    >>> import accrual as ac
    >>> arrivals = [n * 10**8 + n * n % 37 * 10**6 for n in range(5000)]  # up to 36 ms late
    >>> tuned = ac.tune(arrivals, ac.FixedTimeout(period=0.1), mistake_rate=1.0)
    >>> tuned.verdict, round(tuned.threshold, 3), tuned.learnt.mistakes, tuned.judged.mistakes
    ('met', 1.2, 203, 202)
    """
    wanted_rate = None if mistake_rate is None else _as_rate(mistake_rate)
    wanted_time = None if detection_time is None else _as_time("detection_time", detection_time)
    if at not in AT:
        raise ValueError(f"at must be {' or '.join(AT)}, got {at!r}")
    if wanted_rate is None and wanted_time is None:
        raise ValueError("mistake_rate or detection_time must be given, got neither")
    halves = _Halves(trace, detector, share, skip, transit, seed, threads, progress)
    wanted = {"mistake_rate": wanted_rate, "detection_time": wanted_time, "at": at}
    if wanted_time is None:
        assert wanted_rate is not None, "one of the two is given"
        allowed = math.floor(wanted_rate * halves.observed)
        threshold = halves.fastest(allowed)
        if threshold is None:
            worst = halves.learn.curve(np.array([halves.candidates[-1]]))[0]
            return halves.refused(f"{worst.mistakes:,} mistakes in {worst.observed:,.4g} s at the least", **wanted)
    else:
        [point] = match(halves.learn, [wanted_time], at, progress)
        if point.qos is None:
            return halves.refused(point.refused, **wanted)
        threshold = point.threshold
        if wanted_rate is not None and point.qos.mistake_rate > wanted_rate:
            return halves.refused(f"{point.qos.mistake_rate:.4g} mistakes/s at that detection time", **wanted)
    return halves.judged(threshold, **wanted)


def tune_cost(
    trace: Trace | ArrayLike,
    detector: Detector,
    time_to_failure: float,
    failover: float,
    *,
    share: float = 0.5,
    skip: int | None = None,
    transit: float = 0.0,
    seed: int = 0,
    threads: int = 1,
) -> Tuned:
    """Find the threshold that loses the least time: to late detection of crashes, and to failovers for nothing.

    A crash comes once in `time_to_failure` and costs the detection time; a mistake costs `failover`. The share of time
    lost is detection_time / time_to_failure + mistake_rate * failover; without a trace, see
    :func:`accrual.optimal_timeout`.

    Parameters
    ----------
    time_to_failure : float [s]
        Mean time between crashes of the peer.
    failover : float [s]
        Lost with each mistake.
    trace, detector, share, skip, transit, seed, threads
        As :func:`accrual.tune`.

    Raises
    ------
    ValueError, TraceError
        As :func:`accrual.compare`.

    Examples
    --------
    >>> import accrual as ac
    >>> arrivals = [n * 10**8 + n * n % 37 * 10**6 for n in range(5000)]
    >>> tuned = ac.tune_cost(arrivals, ac.FixedTimeout(period=0.1), time_to_failure=3600, failover=1)
    >>> round(tuned.threshold, 3), tuned.judged.mistakes, round(tuned.cost * 3600, 3)  # seconds lost in an hour
    (1.31, 0, 0.131)
    """
    time_to_failure = _as_time("time_to_failure", time_to_failure)
    failover = _as_time("failover", failover)
    halves = _Halves(trace, detector, share, skip, transit, seed, threads, None)

    def cost(q: QoS) -> float:
        # A standing suspicion detects at once and errs once: it is none that anybody could act on.
        return q.detection_time / time_to_failure + q.mistake_rate * failover if q.standing <= 0.5 else math.inf

    threshold = halves.cheapest(
        cost, lambda fast, few: fast.detection_time / time_to_failure + few.mistake_rate * failover
    )
    tuned = halves.judged(threshold)
    assert tuned.judged is not None, "there is a threshold"
    lost = cost(tuned.judged)
    return dataclasses.replace(tuned, cost=lost, met=None, verdict=f"loses {lost:.3g} of the time")


def _as_rate(rate: float) -> float:
    """Check a mistake rate [1/s]."""
    if isinstance(rate, bool) or not isinstance(rate, int | float | np.number) or not 0 < rate < math.inf:
        raise ValueError(f"mistake_rate must be a number of mistakes a second above 0, got {rate!r}")
    return float(rate)


def _as_time(name: str, time: float) -> float:
    if np.ndim(time):
        raise ValueError(f"{name} must be one number of seconds above 0, got {time!r}")
    return as_times(name, time)[0]


class _Halves:
    """A trace to learn from and to judge by."""

    def __init__(
        self,
        trace: Trace | ArrayLike,
        detector: Detector,
        share: float,
        skip: int | None,
        transit: float,
        seed: int,
        threads: int,
        progress: Callable[[str], None] | None,
    ) -> None:
        whole, self.detector, self.seed = as_trace(trace), as_detector(detector), as_seed(seed)
        if isinstance(share, bool) or not isinstance(share, int | float | np.number) or not 0 < share < 1:
            raise ValueError(f"share must be a number above 0 and below 1, got {share!r}")
        first = full_from(whole, [detector]) if skip is None else skip
        Scoring(whole, detector, first, transit, threads)  # a skip or transit that is none is named as such
        cut = first + max(round(share * (len(whole) - 1 - first)), 1)
        if cut >= len(whole) - 1:
            raise TraceError(f"nothing to judge by: {len(whole):,} heartbeats, of which {cut + 1:,} are to learn from")
        self.place: dict[str, Any] = {"skip": int(first), "cut": cut}
        self.learn = Scoring(whole[: cut + 1], detector, first, transit, threads)
        self.judge = Scoring(whole, detector, cut, transit, threads)
        self.tell = progress or (lambda step: None)
        self.candidates = self._candidates()
        self.observed = self._ask(self.candidates[-1:])[0].observed
        if not self.observed:
            raise TraceError("nothing to learn from: no time passes between the heartbeats")

    def _candidates(self) -> NDArray[np.float64]:
        """The thresholds, in rising order, just above which a mistake less is made."""
        compiled = self.detector.compiled
        if compiled.sample:
            return np.arange(1, compiled.window + 1) / compiled.window
        replay = Replay(self.learn.trace, self.detector, self.learn.threads, self.learn.chain)
        accepted = replay.chain.accepted
        levels = replay.levels if accepted is None else replay.levels[accepted]
        levels = np.unique(levels[self.learn.low + 1 : self.learn.high + 1])
        levels = levels[np.isfinite(levels)]
        if not len(levels):
            raise TraceError("nothing to learn from: no level is known")
        # A level goes to a lateness and back by bisection: a little room for the last bits of both.
        return levels + 1e-12 * np.abs(levels) + 1e-300

    def _ask(self, thresholds: NDArray[np.float64]) -> list[QoS]:
        return self.learn.curve(thresholds).points

    def fastest(self, allowed: int) -> float | None:
        """The lowest candidate with so few mistakes; they fall while it rises. None where there is none."""
        low, high = -1, len(self.candidates) - 1  # at `low` there are more, at `high` there are not
        if self._ask(self.candidates[-1:])[0].mistakes > allowed:
            return None
        while high - low > 1:
            asked = np.unique(np.linspace(low, high, _AT_ONCE + 2).astype(int)[1:-1])
            asked = asked[(asked > low) & (asked < high)]
            self.tell(f"{high - low:,} thresholds left")
            few = [q.mistakes <= allowed for q in self._ask(self.candidates[asked])]
            low = max([low, *asked[~np.array(few)].tolist()])
            high = min(k for k in [high, *asked[few].tolist()] if k > low)
        return float(self.candidates[high])

    def cheapest(self, cost: Callable[[QoS], float], least: Callable[[QoS, QoS], float]) -> float:
        """The candidate of the least cost; `least` bounds it between two, by the faster and the more accurate."""
        count = len(self.candidates)
        known: dict[int, QoS] = {}
        new = np.unique(np.linspace(0, count - 1, 4 * _AT_ONCE).astype(int)).tolist()
        while new:
            known.update(zip(new, self._ask(self.candidates[new]), strict=True))
            places = sorted(known)
            best = min(cost(known[k]) for k in places)
            gaps = [(a, b) for a, b in itertools.pairwise(places) if b - a > 1]
            new = [(a + b) // 2 for a, b in gaps if least(known[a], known[b]) < best]
        return float(self.candidates[min(known, key=lambda k: (cost(known[k]), k))])

    def refused(self, why: str, **wanted: Any) -> Tuned:
        """No threshold will do."""
        why = f"cannot be met: {why}"
        return Tuned(detector=self.detector, threshold=math.nan, met=False, verdict=why, **self.place, **wanted)

    def judged(self, threshold: float, **wanted: Any) -> Tuned:
        """What the rest says of a threshold."""
        asked = np.array([threshold])
        learnt = self.learn.curve(asked, quantiles=True)[0]
        judged = self.judge.curve(asked, quantiles=True)[0]
        blocks = Blocks(self.judge, None, self.seed)
        replay = Replay(self.judge.trace, self.detector, self.judge.threads, self.judge.chain)
        counts = blocks.counts(replay.begins(threshold)[self.judge.low : self.judge.high])
        low, high = (bound / blocks.observed for bound in blocks.interval(counts))
        met: bool | None = True
        words = "met"
        rate, time = wanted.get("mistake_rate"), wanted.get("detection_time")
        if rate is not None and not high <= rate:
            met = False if low > rate else None
            words = f"not met: {judged.mistake_rate:.4g} mistakes/s"
            if met is None:
                seen = "met as far as it goes" if judged.mistake_rate <= rate else "not met, maybe by chance"
                words = f"{seen}: {low:.4g} to {high:.4g} mistakes/s"
                if math.isnan(high):
                    words = f"{seen}: too short for an interval"
        if rate is not None and rate * learnt.observed < 3:
            words += f"; learnt from {learnt.observed:.4g} s, where {3 / rate:.4g} s would show such a rate"
        taken = getattr(judged, AT[wanted.get("at", "mean")])
        if time is not None and taken > time * (1 + SLACK):
            words = f"not met: detection in {taken:.4g} s" + ("" if met else f"; {words}")
            met = False
        return Tuned(
            detector=self.detector,
            threshold=threshold,
            learnt=learnt,
            judged=judged,
            rate_low=low,
            rate_high=high,
            met=met,
            verdict=words,
            **self.place,
            **wanted,
        )
