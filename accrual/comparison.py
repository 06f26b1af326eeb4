"""Detectors compared fairly: by their mistakes at *equal* detection time, on the same blocks of the same trace.

The same threshold, or the same window, compares nothing: each detector pays for fewer mistakes with slower detection.
A fixed timeout and a multiple of the mean are always among those compared: what does not beat them is not worth having.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from accrual.blocks import FEWEST, Blocks, as_seed
from accrual.detectors import NS, Detector, FixedTimeout, PhiExponential, as_detector
from accrual.matching import AT, Matched, as_times, match
from accrual.qos import QoS, Scoring
from accrual.replay import Replay, as_trace, full_from
from accrual.tables import aligned, as_html, figure, plain
from accrual.traces.trace import Trace, TraceError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.typing import ArrayLike, NDArray

__all__ = ["Compared", "Comparison", "compare"]

SHARES: Final = (0.05, 0.01, 0.001)
"""The default detection times are those at which a fixed timeout errs on these shares of the heartbeats."""

_SEEN: Final = 5  # mistakes that a share has to be of, to be looked at
_WINDOW: Final = 1000  # of the multiple of the mean, where no detector has one


@dataclass(frozen=True, kw_only=True)
class Compared:
    """A detector at a wanted detection time.

    Attributes
    ----------
    detector : Detector
    wanted : float [s]
        The detection time that all were set to.
    threshold : float
        The one that brings it; nan where none does.
    refused : str
        Why there is none.
    qos : QoS or None
        What the detector did there.
    rate_low, rate_high : float [1/s]
        95 % interval of the mistake rate; from 0 to 3.0 / observed where no mistake was seen, nan where the trace has
        too few blocks.
    dispersion : float
        Variance over mean of the mistakes in a block: 1 where they come independently, more where they cluster.
    ratio, ratio_low, ratio_high : float
        Mistakes over those of the reference, half a mistake added to both, and its 95 % interval over the same blocks.
    verdict : str
        ``fewer``, ``more`` or ``no difference``; ``too short`` where there are no intervals.
    """

    detector: Detector
    wanted: float
    threshold: float
    refused: str
    qos: QoS | None
    rate_low: float
    rate_high: float
    dispersion: float
    ratio: float
    ratio_low: float
    ratio_high: float
    verdict: str

    def to_dict(self) -> dict[str, Any]:
        """Plain values by name; those of the QoS too, None where the detector cannot be set so."""
        own = {f.name: plain(getattr(self, f.name)) for f in dataclasses.fields(self) if f.name != "qos"}
        own["detector"] = str(self.detector)
        known = dict.fromkeys(QoS.__dataclass_fields__) if self.qos is None else self.qos.to_dict()
        return own | known


@dataclass(frozen=True, eq=False, repr=False, kw_only=True)
class Comparison:
    """What `compare` found: a row for each wanted detection time and detector.

    ``comparison.at_time(0.15)`` gives the rows of a detection time, `difference` compares any two detectors.

    Attributes
    ----------
    at : str
        Which detection time was made equal: ``mean`` or ``p99``.
    detection_times : list of float [s]
    detectors : list of Detector
        The first is the reference: a fixed timeout, tuned on the trace itself.
    rows : list of Compared
        Sorted by detection time, then as `detectors`.
    skip, heartbeats : int
        Where observation started, and how many intervals it had.
    observed : float [s]
    blocks : Blocks
        What the intervals rest on.
    notes : list of str
        What has to be known to read it.
    """

    at: str
    detection_times: list[float]
    detectors: list[Detector]
    rows: list[Compared]
    skip: int
    heartbeats: int
    observed: float
    blocks: Blocks
    notes: list[str]
    _counts: dict[tuple[Detector, float], NDArray[np.int64]] = field(repr=False)

    def at_time(self, detection_time: float) -> list[Compared]:
        """The rows of a detection time [s], one of those that were asked for."""
        if detection_time not in self.detection_times:
            raise ValueError(
                f"detection_time must be one of {', '.join(map(repr, self.detection_times))}, got {detection_time!r}"
            )
        return [row for row in self.rows if row.wanted == detection_time]

    def difference(self, detector: Detector, other: Detector, detection_time: float) -> tuple[float, float, float]:
        """One detector's mistakes over another's at a detection time, and the 95 % interval; nan if one is not there.

        An interval that holds 1 is no difference.
        """
        self.at_time(detection_time)
        counts = []
        for each in (detector, other):
            if each not in self.detectors:
                raise ValueError(f"detector must be one of those compared, got {each}")
            counts.append(self._counts.get((each, detection_time)))
        if counts[0] is None or counts[1] is None:
            return np.nan, np.nan, np.nan
        return self.blocks.ratio(counts[0], counts[1])

    def title(self, detection_time: float | None = None) -> str:
        """What is in a table."""
        kind = {"mean": "mean", "p99": "99 % quantile of the"}[self.at]
        time = "" if detection_time is None else f" {figure(detection_time)} s"
        return f"equal {kind} detection time{time}, worst case"

    def table(self, detection_time: float) -> list[list[str]]:
        """The rows of a detection time as texts, under a head."""
        head = ["detector", "threshold", "T_D mean", "T_D p99", "mistakes", "rate [95 %]", "T_M", "suspected"]
        head.append(f"against {self.detectors[0].name}")
        rows = [head, ["", "", "s", "s", "", "1/s", "s", "%", ""]]
        for row in self.at_time(detection_time):
            rows.append([str(row.detector), *_cells(row)])
        return rows

    def __repr__(self) -> str:
        """All the tables."""
        about = (
            f"{self.heartbeats:,} heartbeats in {self.observed:,.1f} s, from arrival {self.skip:,} on; "
            f"{self.blocks.count} blocks of {figure(self.blocks.length)} s"
        )
        tables = [f"{self.title(time)}\n{aligned(self.table(time), names=True)}" for time in self.detection_times]
        return "\n\n".join([about, *tables]) + "".join(f"\nnote: {note}" for note in self.notes)

    def _repr_html_(self) -> str:
        tables = [as_html(self.title(time), self.table(time)) for time in self.detection_times]
        return "".join(tables) + "".join(f"<p>{note}</p>" for note in self.notes)

    def to_dict(self) -> dict[str, Any]:
        """Plain values; the rows as dictionaries."""
        return {
            "at": self.at,
            "reference": str(self.detectors[0]),
            "skip": self.skip,
            "heartbeats": self.heartbeats,
            "observed": self.observed,
            **self.blocks.to_dict(),
            "notes": list(self.notes),
            "rows": [row.to_dict() for row in self.rows],
        }

    def to_pandas(self):  # type: ignore[no-untyped-def]
        """A DataFrame, one row for each detection time and detector."""
        import pandas as pd

        return pd.DataFrame([row.to_dict() for row in self.rows])


def _cells(row: Compared) -> list[str]:
    """A row's figures as texts."""
    q = row.qos
    if q is None:
        return ["-", "", "", "", "", "", "", row.refused]
    rate = f"{figure(q.mistake_rate)} [{figure(row.rate_low)}, {figure(row.rate_high)}]"
    if q.mistakes == 0:
        rate = f"< {figure(q.mistake_rate_upper)}"
    against = ""
    if row.verdict:
        against = f"x {figure(row.ratio)} [{figure(row.ratio_low)}, {figure(row.ratio_high)}] {row.verdict}"
    return [
        f"{row.threshold:.5g}", figure(q.detection_time), figure(q.detection_time_p99), f"{q.mistakes:,}", rate,
        figure(q.mistake_duration), f"{100 * (1 - q.query_accuracy):.3g}", against,
    ]  # fmt: skip


def compare(
    trace: Trace | ArrayLike,
    detectors: Sequence[Detector] | Detector,
    detection_time: ArrayLike | None = None,
    *,
    at: str = "mean",
    skip: int | None = None,
    transit: float = 0.0,
    block: float | None = None,
    seed: int = 0,
    threads: int = 1,
    progress: Callable[[str], None] | None = None,
) -> Comparison:
    """Compare detectors by their mistakes at equal detection time.

    For each detector and each wanted detection time the threshold is found that has it, on the real curve. Mistakes
    cluster, so intervals come from blocks of time, longer than the longest outage, drawn again and again; ratios to the
    reference, a fixed timeout tuned on this very trace, from the same blocks of both. Nothing is corrected for the
    number of rows: of twenty without a difference one will look as if there was one.

    Parameters
    ----------
    trace : Trace or array of int64, shape (n,)
        Arrivals in ns. Where the trace has ``sent`` (on the receiver's clock), detection times count from there.
    detectors : sequence of Detector
        A `FixedTimeout` and a `PhiExponential` (a multiple of the mean) are added where none is among them. A
        ``learn_below`` stays what it is, whatever the threshold.
    detection_time : float or array, optional [s]
        From a crash just after a heartbeat was sent; by default those at which the fixed timeout errs on 5 %, 1 % and
        0.1 % of the heartbeats.
    at : str
        Which detection time is equal: ``mean``, or ``p99``, which 99 % of them do not exceed.
    skip : int, optional
        Observation starts at this arrival; by default where every detector's window is full.
    transit : float
        Mean time under way, s, added where the trace has no ``sent``.
    block : float, optional
        Length of a block, s, longer than the longest interval; see `accrual.blocks.Blocks`.
    seed : int
        What chance begins with.
    threads : int
        Threads to use; never changes a bit of the result.
    progress : callable, optional
        Is told what is being done.

    Raises
    ------
    ValueError
        If a parameter is out of bounds.
    TraceError
        If a window is never full, or nothing is left to score.

    Examples
    --------
    >>> import accrual as ac
    >>> late = [n * n % 37 * 10**6 for n in range(5000)]  # ns, up to 36 ms
    >>> arrivals = [n * 10**8 + late[n] for n in range(5000)]
    >>> found = ac.compare(arrivals, [ac.Chen(period=0.1)], detection_time=0.12)
    >>> [(row.detector.name, row.qos.mistakes, row.verdict) for row in found.rows]
    [('fixed-timeout', 397, ''), ('phi-exponential', 397, 'no difference'), ('chen', 0, 'fewer')]
    """
    trace, seed = as_trace(trace), as_seed(seed)
    if at not in AT:
        raise ValueError(f"at must be {' or '.join(AT)}, got {at!r}")
    wanted = None if detection_time is None else as_times("detection_time", detection_time)
    compared = _with_baselines(trace, [detectors] if isinstance(detectors, Detector) else list(detectors))
    if skip is None:
        skip = full_from(trace, compared)
    fixed = Scoring(trace, compared[0], skip, transit, threads)
    blocks = Blocks(fixed, block, seed)
    if wanted is None:
        wanted = _usual_times(fixed, AT[at])
    found: dict[tuple[Detector, float], Matched] = {}
    counts: dict[tuple[Detector, float], NDArray[np.int64]] = {}
    for number, detector in enumerate(compared, 1):
        label = f"{number} of {len(compared)}: {detector}"
        tell = None if progress is None else (lambda step, label=label: progress(f"{label}, {step}"))
        scoring = Scoring(trace, detector, skip, transit, threads)
        matched = match(scoring, wanted, at, tell)
        replay = Replay(trace, detector, threads, scoring.chain)
        for point in matched:
            found[detector, point.wanted] = point
            if point.qos is not None:
                begins = replay.begins(point.threshold)[scoring.low : scoring.high]
                counts[detector, point.wanted] = blocks.counts(begins)
                quantiles = scoring.curve(np.array([point.threshold]), quantiles=True)[0]
                found[detector, point.wanted] = point._replace(qos=quantiles)
    rows = []
    for time in wanted:
        reference = counts.get((compared[0], time))
        for detector in compared:
            row = _compared(detector, found[detector, time], counts.get((detector, time)), reference, blocks)
            rows.append(dataclasses.replace(row, verdict="") if detector == compared[0] else row)
    return Comparison(
        at=at,
        detection_times=wanted,
        detectors=compared,
        rows=rows,
        skip=skip,
        heartbeats=fixed.high - fixed.low,
        observed=blocks.observed,
        blocks=blocks,
        notes=_notes(compared, blocks),
        _counts=counts,
    )


def _with_baselines(trace: Trace, detectors: list[Detector]) -> list[Detector]:
    """The detectors, each once, after a fixed timeout and a multiple of the mean."""
    given = list(dict.fromkeys(map(as_detector, detectors)))
    if not given:
        raise ValueError("detectors must be one or more, got none")
    fixed = [d for d in given if isinstance(d, FixedTimeout)]
    multiples = [d for d in given if isinstance(d, PhiExponential)]
    if not multiples:
        windows = [getattr(d, "window", getattr(d, "long", 0)) for d in given]
        window = max(windows) or min(_WINDOW, max(len(trace) // 8, 1))
        multiples = [PhiExponential(window=window)]
    if not fixed:
        fixed = [FixedTimeout(period=_period(trace))]
    return list(dict.fromkeys([*fixed, *multiples, *given]))


def _period(trace: Trace) -> float:
    """The sender's interval [s], for the units of k: the nominal one or the median."""
    if trace.period is not None:
        return trace.period
    intervals = np.diff(trace.arrivals)
    intervals = intervals[intervals > 0]
    if not len(intervals):
        raise TraceError(f"nothing to compare: no time passes between {len(trace):,} heartbeats")
    return float(np.median(intervals)) / NS


def _usual_times(fixed: Scoring, name: str) -> list[float]:
    """The detection times at which the fixed timeout errs on the usual shares of the heartbeats."""
    intervals = np.diff(fixed.arrivals[fixed.low : fixed.high + 1])
    shares = [share for share in SHARES if share * len(intervals) >= _SEEN] or [SHARES[0]]
    timeouts = np.maximum(np.quantile(intervals, [1 - share for share in shares], method="inverted_cdf"), 1)
    thresholds = np.unique(timeouts / NS / fixed.detector.period)  # type: ignore[attr-defined]
    times = [getattr(q, name) for q in fixed.curve(thresholds, quantiles=name != "detection_time").points]
    kept = [time for time, before in zip(times, [0.0, *times], strict=False) if time > before * 1.001]
    if not kept:
        raise TraceError("nothing to compare: detection takes no time here; give detection_time")
    return kept


def _compared(
    detector: Detector,
    point: Matched,
    counts: NDArray[np.int64] | None,
    reference: NDArray[np.int64] | None,
    blocks: Blocks,
) -> Compared:
    nan = float("nan")
    low = high = dispersion = nan
    ratio = ratio_low = ratio_high = nan
    verdict = ""
    if counts is not None:
        low, high = (bound / blocks.observed for bound in blocks.interval(counts))
        dispersion = blocks.dispersion(counts)
    if counts is not None and reference is not None:
        ratio, ratio_low, ratio_high = blocks.ratio(counts, reference)
        verdict = "no difference"
        if not blocks.enough:
            verdict = "too short"
        elif ratio_high < 1:
            verdict = "fewer"
        elif ratio_low > 1:
            verdict = "more"
    return Compared(
        detector=detector,
        wanted=point.wanted,
        threshold=point.threshold,
        refused=point.refused,
        qos=point.qos,
        rate_low=low,
        rate_high=high,
        dispersion=dispersion,
        ratio=ratio,
        ratio_low=ratio_low,
        ratio_high=ratio_high,
        verdict=verdict,
    )


def _notes(detectors: list[Detector], blocks: Blocks) -> list[str]:
    notes = []
    if not blocks.enough:
        notes.append(
            f"no intervals: {blocks.observed:,.4g} s have {blocks.count} blocks longer than the longest interval, "
            f"{blocks.longest:,.4g} s, and it takes {FEWEST}"
        )
    for detector in detectors:
        learns = getattr(detector, "learn_below", None)
        if learns is not None:
            notes.append(f"{detector.name} learns below a level of {learns:g}, whatever its threshold here")
    return notes
