"""What there is in a trace before any detector is asked: how many heartbeats, what was lost, how late, where the gaps.

All of it in bounded memory: a trace on disk is gone through several times, a piece at a time, and nothing is
approximate. Quantiles are found by counting: each pass tells 16 more bits of them.
"""

from __future__ import annotations

import html
import math
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, Final, NamedTuple

import numpy as np
import numpy.typing as npt

from accrual.core import engine
from accrual.detectors import NS, FixedTimeout
from accrual.traces.scan import ScannedTrace
from accrual.traces.stored import Ledger
from accrual.traces.trace import Int64Array, Trace, exact_sum, joined, taken

__all__ = ["Description", "Gap", "Picture", "describe"]

QUANTILES: Final = {"p1": 0.01, "p5": 0.05, "p25": 0.25, "p50": 0.5, "p75": 0.75, "p95": 0.95, "p99": 0.99,
                    "p99.9": 0.999, "p99.99": 0.9999}  # fmt: skip
_LONGEST: Final = 10  # gaps and clock steps that are listed
_BITS: Final = 16  # of an order statistic that a pass finds
_MOST_OPEN: Final = 2**20  # bursts of losses that wait for late heartbeats
_BINS: Final = 1000  # of the picture, along the trace
_PER_OCTAVE: Final = 8  # of its histogram


class Gap(NamedTuple):
    """An interval, or a clock's step back: which heartbeat ended it, when since the first arrival, and how long."""

    number: int
    start: float  # s
    duration: float  # s


@dataclass(frozen=True, eq=False)
class Picture:
    """What a picture of the intervals shows: their range along the trace, and how often each length occurs.

    Attributes
    ----------
    time : float array
        Of each part of the trace, since the first arrival [s].
    least, mean, most : float array
        Of its intervals [s].
    lengths : float array
        Where the bins of the histogram begin [s], equally wide on a logarithmic scale; one more than `counts`.
    counts : int array
        Intervals in each.
    """

    time: npt.NDArray[np.float64]
    least: npt.NDArray[np.float64]
    mean: npt.NDArray[np.float64]
    most: npt.NDArray[np.float64]
    lengths: npt.NDArray[np.float64]
    counts: Int64Array


@dataclass(frozen=True, kw_only=True)
class Description:
    """What is in a trace; None for what cannot be told, as losses without sequence numbers.

    Attributes
    ----------
    heartbeats, accepted : int
        All, and those that count: not late, not duplicates.
    duration : float [s]
        From the earliest arrival to the latest.
    period : float or None [s]
        Nominal sending interval; the median of the intervals is ``intervals["p50"]``.
    lost : int or None
        Sequence numbers that never came; `loss` is their share of all that were sent.
    bursts, burst_mean, burst_longest : int, float, int or None
        Losses in a row: how many, and of how many heartbeats.
    reordered, duplicates : int or None
        Late heartbeats: with a number that was missing, and with one that had come.
    restarts, clock_steps : int
        How often the epoch changed, and how often the receiver's clock went back.
    intervals : dict
        Mean, quantiles (exact, of the intervals between heartbeats that count) and largest [s].
    delays : dict or None
        The same of the time from sending to arrival, where the trace has ``sent``.
    gaps, steps : list of Gap
        The longest intervals and the largest steps of the clock, ten at most.
    in_order : dict
        For each column whether it is: arrivals and send times never fall, numbers rise, the epoch stays.
    sha256 : str or None
        Of the file, where the trace is on disk.
    verified : bool or None
        Whether the file says what its columns' checksums are; they were found to be right. None: no file.
    picture : Picture
        What `accrual describe --plot` draws.
    """

    heartbeats: int
    accepted: int
    duration: float
    period: float | None
    lost: int | None
    loss: float | None
    bursts: int | None
    burst_mean: float | None
    burst_longest: int | None
    reordered: int | None
    duplicates: int | None
    restarts: int
    clock_steps: int
    intervals: dict[str, float]
    delays: dict[str, float] | None
    gaps: list[Gap]
    steps: list[Gap]
    in_order: dict[str, bool]
    sha256: str | None
    verified: bool | None
    picture: Picture = field(repr=False, compare=False)

    def to_dict(self) -> dict[str, Any]:
        """Plain numbers, lists and dicts by name; without the picture."""
        found = {name: value for name, value in vars(self).items() if name != "picture"}
        return found | {"gaps": [gap._asdict() for gap in self.gaps], "steps": [step._asdict() for step in self.steps]}

    def _rows(self) -> list[tuple[str, str]]:
        """What a table shows, without what cannot be told."""

        def seconds(values: dict[str, float]) -> str:
            return ", ".join(f"{name} {value:.6g}" for name, value in values.items()) + " s"

        def places(gaps: list[Gap]) -> str:
            return ", ".join(f"{gap.duration:.6g} s at {gap.start:,.1f} s" for gap in gaps[:3])

        rows = [("heartbeats", f"{self.heartbeats:,}, of which {self.accepted:,} count")]
        rows.append(("duration", f"{self.duration:,.3f} s"))
        nominal = "unknown" if self.period is None else f"{self.period:g} s nominal"
        median = f", {self.intervals['p50']:.6g} s median" if self.intervals else ""
        rows.append(("period", nominal + median))
        if self.lost is not None and self.loss is not None:
            rows.append(("lost", f"{self.lost:,} ({self.loss:.4%})"))
            if self.bursts:
                shown = f"{self.bursts:,}, mean {self.burst_mean:.4g}, longest {self.burst_longest:,}"
                rows.append(("bursts of losses", shown))
            rows.append(("reordered", f"{self.reordered:,}"))
            rows.append(("duplicates", f"{self.duplicates:,}"))
        rows.append(("restarts", f"{self.restarts:,}"))
        steps = f", largest {places(self.steps)}" if self.steps else ""
        rows.append(("clock steps", f"{self.clock_steps:,}{steps}"))
        if self.intervals:
            rows.append(("intervals", seconds(self.intervals)))
            rows.append(("longest gaps", places(self.gaps)))
        if self.delays:
            rows.append(("delays", seconds(self.delays)))
        unordered = [name for name, good in self.in_order.items() if not good]
        rows.append(("in order", "all columns" if not unordered else f"all but {', '.join(unordered)}"))
        if self.sha256 is not None:
            checked = "columns as they were written" if self.verified else "the file has no checksums of its columns"
            rows.append(("sha256", f"{self.sha256}; {checked}"))
        return rows

    def __repr__(self) -> str:
        rows = self._rows()
        width = max(len(name) for name, _ in rows)
        return "\n".join(f"{name.ljust(width)}  {text}" for name, text in rows)

    def _repr_html_(self) -> str:
        rows = "".join(f"<tr><th>{name}</th><td>{html.escape(text)}</td></tr>" for name, text in self._rows())
        return f"<table>{rows}</table>"


def describe(trace: Trace | ScannedTrace | npt.ArrayLike) -> Description:
    """Describe a trace: count, losses, bursts, reorderings, quantiles, gaps and steps of the clock.

    Parameters
    ----------
    trace : Trace or array of int64, shape (n,)
        Arrivals in ns. One of `accrual.scan_trace` is gone through three to five times, a piece at a time, and what
        the file says about its columns is checked on the way.

    Raises
    ------
    TraceError
        The file is damaged, or its columns are not those that were written.

    Examples
    --------
    >>> import accrual as ac
    >>> ac.describe(ac.Trace([0, 10**9, 2 * 10**9, 7 * 10**9], sequence=[0, 1, 2, 7], period=1))
    heartbeats        4, of which 4 count
    duration          7.000 s
    period            1 s nominal, 1 s median
    lost              4 (50.0000%)
    bursts of losses  1, mean 4, longest 4
    reordered         0
    duplicates        0
    restarts          0
    clock steps       0
    intervals         mean 2.33333, p1 1, p5 1, p25 1, p50 1, p75 5, p95 5, p99 5, p99.9 5, p99.99 5, max 5 s
    longest gaps      5 s at 2.0 s, 1 s at 0.0 s, 1 s at 1.0 s
    in order          all columns
    """
    if not isinstance(trace, Trace | ScannedTrace):
        trace = Trace(trace)
    count, losses, ledger, picture = _Count(), _Losses(), Ledger(), _Sketch(len(trace))
    for piece in _pieces(trace):
        ledger.add(piece.all)
        count.add(piece)
        losses.add(piece)
        picture.add(piece)
    losses.end()
    intervals, delays = count.intervals.asked(), count.delays.asked()
    while intervals.open or delays.open:
        for piece in _pieces(trace):
            intervals.add(piece.intervals)
            delays.add(piece.delays)
        intervals.narrow()
        delays.narrow()
    numbered, timed = "sequence" in trace.columns, "sent" in trace.columns
    sent = losses.lost + count.accepted + losses.reordered
    return Description(
        heartbeats=len(trace),
        accepted=count.accepted,
        duration=(count.arrivals.most - count.arrivals.least) / NS,
        period=trace.period,
        lost=losses.lost if numbered else None,
        loss=(losses.lost / sent if sent else 0.0) if numbered else None,
        bursts=losses.bursts if numbered else None,
        burst_mean=losses.lost / losses.bursts if losses.bursts else None,
        burst_longest=losses.longest if losses.bursts else None,
        reordered=losses.reordered if numbered else None,
        duplicates=losses.duplicates if numbered else None,
        restarts=count.restarts,
        clock_steps=count.clock_steps,
        intervals=count.intervals.described(intervals),
        delays=count.delays.described(delays) if timed else None,
        gaps=[Gap(number, (at - count.first) / NS, -long / NS) for long, number, at in count.gaps],
        steps=[Gap(number, (at - count.first) / NS, -back / NS) for back, number, at in count.steps],
        in_order={name: bool(noted["in_order"]) for name, noted in ledger.noted().items()},
        sha256=trace.sha256() if isinstance(trace, ScannedTrace) else None,
        verified=trace.agrees_with(ledger) if isinstance(trace, ScannedTrace) else None,
        picture=picture.drawn(count.first),
    )


# ---- one pass --------------------------------------------------------------------------------------------------------


@dataclass
class _Piece:
    """Heartbeats that count, after the last one of those before; and those that do not.

    `place` is the number of each in the trace, `run` of the epoch that each belongs to.
    """

    arrivals: Int64Array
    sequence: Int64Array | None
    place: Int64Array
    run: Int64Array
    late: Int64Array | None  # numbers of the heartbeats that do not count
    late_run: Int64Array
    fresh: int  # index of the first of those that count which is new
    all: Trace  # that are new

    def __post_init__(self) -> None:
        steps = np.diff(self.arrivals)
        same = np.diff(self.run) == 0
        self.back = same & (steps < 0)
        self.forward = same & ~self.back
        self.intervals = steps[self.forward]

    @property
    def delays(self) -> Int64Array:
        """From sending to arrival, of all that are new; none where that is unknown."""
        return self.all.arrivals[:0] if self.all.sent is None else self.all.arrivals - self.all.sent


def _pieces(trace: Trace | ScannedTrace) -> Iterator[_Piece]:
    """Go through a trace."""
    detector = FixedTimeout(period=1.0).compiled  # which heartbeats count is the same for every detector
    last: Trace | None = None
    done = run = place = 0
    for piece in trace.pieces() if isinstance(trace, ScannedTrace) else [trace]:
        known = int(last is not None)
        whole = piece if last is None else joined(last, piece)
        columns, n = (whole.arrivals, whole.sequence, whole.epoch), len(whole)
        counts = np.ones(n, bool)
        if not engine.every_heartbeat_counts(*columns):
            state, latest = np.empty((2, n), np.int64)
            restarts = 0 if whole.epoch is None else np.count_nonzero(np.diff(whole.epoch))
            chain, starts, numbers = whole.arrivals.copy(), np.empty(restarts + 1, np.int64), np.empty(0, np.int64)
            engine.accept_all(detector, *columns, chain, numbers, starts, state, latest, known)
            counts = latest == np.arange(n)
        places = np.arange(done - known, done - known + n)
        places[:known] = place
        runs = np.full(n, run)
        if whole.epoch is not None:  # a late heartbeat is of the epoch that holds, else it would be a restart
            runs[1:] += np.cumsum(np.diff(whole.epoch) != 0)
        yield _Piece(
            arrivals=whole.arrivals[counts],
            sequence=None if whole.sequence is None else whole.sequence[counts],
            place=places[counts],
            run=runs[counts],
            late=None if whole.sequence is None else whole.sequence[~counts],
            late_run=runs[~counts],
            fresh=known,
            all=piece,
        )
        done += len(piece)
        if n:
            at = np.flatnonzero(counts)[-1:]
            run, place, last = int(runs[-1]), int(places[at[0]]), taken(whole, at)


class _Count:
    """What adds up."""

    def __init__(self) -> None:
        self.accepted = self.restarts = self.clock_steps = self.first = 0
        self.arrivals, self.intervals, self.delays = _Range(), _Range(), _Range()
        self.gaps: list[tuple[int, int, int]] = []
        self.steps: list[tuple[int, int, int]] = []

    def add(self, piece: _Piece) -> None:
        if len(piece.all) and not self.arrivals.count:
            self.first = int(piece.arrivals[0])
        self.arrivals.add(piece.all.arrivals)
        self.intervals.add(piece.intervals)
        self.delays.add(piece.delays)
        self.accepted += len(piece.arrivals) - piece.fresh
        self.restarts += int(np.count_nonzero(np.diff(piece.run)))
        self.clock_steps += int(np.count_nonzero(piece.back))
        self.gaps = _smallest(self.gaps, piece, piece.forward, -1)
        self.steps = _smallest(self.steps, piece, piece.back, 1)


def _smallest(
    known: list[tuple[int, int, int]], piece: _Piece, chosen: npt.NDArray[np.bool_], sign: int
) -> list[tuple[int, int, int]]:
    """The smallest differences of arrivals times `sign`, the number of the heartbeat that ends each, its start."""
    at = np.flatnonzero(chosen)
    values = sign * (piece.arrivals[at + 1] - piece.arrivals[at])
    if len(values) > _LONGEST:
        bound = np.partition(values, _LONGEST - 1)[_LONGEST - 1]
        # Of equal ones the first: some below the bound, and as many at it as there is room for.
        below, equal = np.flatnonzero(values < bound), np.flatnonzero(values == bound)
        few = np.concatenate([below, equal[: _LONGEST - len(below)]])
        at, values = at[few], values[few]
    new = zip(values.tolist(), piece.place[at + 1].tolist(), piece.arrivals[at].tolist(), strict=True)
    return sorted([*known, *new])[:_LONGEST]


class _Range:
    """How many integers, their sum, the least and the largest."""

    def __init__(self) -> None:
        self.count = self.total = self.least = self.most = 0

    def add(self, values: Int64Array) -> None:
        if len(values):
            low, high = int(values.min()), int(values.max())
            self.least, self.most = (min(self.least, low), max(self.most, high)) if self.count else (low, high)
            self.count += len(values)
            self.total += exact_sum(values)

    def asked(self) -> _OrderStatistics:
        """For the quantiles: the smallest value that a share of all do not exceed."""
        ranks = {name: math.ceil(share * self.count) - 1 for name, share in QUANTILES.items() if self.count}
        return _OrderStatistics(ranks, self.least, self.most)

    def described(self, found: _OrderStatistics) -> dict[str, float]:
        if not self.count:
            return {}
        mean = self.total / self.count / NS
        return {"mean": mean, **{name: value / NS for name, value in found.values().items()}, "max": self.most / NS}


class _OrderStatistics:
    """The values at some ranks, among integers that are gone through again and again."""

    def __init__(self, ranks: dict[str, int], least: int, most: int) -> None:
        # Each lies in a range of 2**bits values from `low` on, and is that with `rank` among those in it.
        bits = (most - least).bit_length()
        self._places = {name: (least, bits, rank) for name, rank in ranks.items()}
        self._begin()

    def _begin(self) -> None:
        ranges = {(low, bits) for low, bits, _ in self._places.values() if bits}
        self._counts = {(low, bits): np.zeros(1 << min(bits, _BITS), np.int64) for low, bits in ranges}

    @property
    def open(self) -> bool:
        """Whether another pass is needed."""
        return bool(self._counts)

    def add(self, values: Int64Array) -> None:
        for (low, bits), counts in self._counts.items():
            # Without a sign: the range may be 2**64 wide, and what is below it becomes too large for it.
            inside = values.view(np.uint64) - np.uint64(low & (2**64 - 1))
            if bits < 64:
                inside = inside[inside < 1 << bits]
            parts = (inside >> max(bits - _BITS, 0)).astype(np.int64)
            counts += np.bincount(parts, minlength=len(counts))

    def narrow(self) -> None:
        """End a pass."""
        for name, (low, bits, rank) in self._places.items():
            if not bits:
                continue
            through = np.cumsum(self._counts[low, bits])
            part, left = int(np.searchsorted(through, rank, side="right")), max(bits - _BITS, 0)
            below = int(through[part - 1]) if part else 0
            self._places[name] = (low + (part << left), left, rank - below)
        self._begin()

    def values(self) -> dict[str, int]:
        return {name: low for name, (low, _, _) in self._places.items()}


class _Losses:
    """Which numbers are missing, and what becomes of them when late heartbeats come."""

    def __init__(self) -> None:
        self.lost = self.bursts = self.longest = self.reordered = self.duplicates = 0
        # Missing numbers that may still come, in ranges: the epoch's run, the first and the last number of each.
        self._missing = np.empty((3, 0), np.int64)
        self._lowest = 0  # first number of the epoch that holds

    def add(self, piece: _Piece) -> None:
        if piece.sequence is None or piece.late is None or not len(piece.sequence):
            return
        sequence, run = piece.sequence, piece.run

        def lowest(of: int) -> int:
            at = int(np.searchsorted(run, of))
            return int(sequence[at]) if at or not piece.fresh else self._lowest

        before = np.flatnonzero((np.diff(run) == 0) & (np.diff(sequence.view(np.uint64)) != 1))
        found = np.stack([run[before], sequence[before] + 1, sequence[before + 1] - 1])
        missing = np.concatenate([self._missing, found], axis=1)
        parts, done = [], 0
        for of in np.unique(piece.late_run).tolist():
            low, high = np.searchsorted(missing[0], [of, of + 1])
            come = piece.late[slice(*np.searchsorted(piece.late_run, [of, of + 1]))]
            parts += [missing[:, done:low], self._without(missing[:, low:high], come, of, lowest(of))]
            done = high
        missing = np.concatenate([*parts, missing[:, done:]], axis=1)
        over = missing[0] < run[-1]
        over[: max(len(over) - _MOST_OPEN, 0)] = True
        self._close(missing[:, over])
        self._missing, self._lowest = missing[:, ~over], lowest(int(run[-1]))

    def _without(self, missing: Int64Array, come: Int64Array, run: int, lowest: int) -> Int64Array:
        """Ranges without the numbers of late heartbeats, of one run; below `lowest` none is known to be missing."""
        first, last, numbers = missing[1], missing[2], np.unique(come)
        at = np.searchsorted(first, numbers, side="right") - 1
        late = numbers[at >= 0]
        late = late[late <= last[at[at >= 0]]]
        earlier = int(np.count_nonzero(numbers < lowest))
        self.reordered += len(late) + earlier
        self.duplicates += len(come) - len(late) - earlier
        first, last = np.sort(np.concatenate([first, late + 1])), np.sort(np.concatenate([last, late - 1]))
        return np.stack([np.full(len(first), run), first, last])[:, first <= last]

    def _close(self, missing: Int64Array) -> None:
        """Nothing more comes of these."""
        if missing.shape[1]:
            sizes = missing[2].view(np.uint64) - missing[1].view(np.uint64) + np.uint64(1)
            self.lost += exact_sum(sizes)
            self.bursts += len(sizes)
            self.longest = max(self.longest, int(sizes.max()))

    def end(self) -> None:
        """Nothing more comes at all."""
        self._close(self._missing)


class _Sketch:
    """What a picture needs of the intervals."""

    def __init__(self, heartbeats: int) -> None:
        self._heartbeats = heartbeats
        self._least = np.full(_BINS, np.iinfo(np.int64).max)
        self._most, self._number, self._start = np.zeros((3, _BINS), np.int64)
        self._total = np.zeros(_BINS)
        self._counts = np.zeros(63 * _PER_OCTAVE + 1, np.int64)  # rounding may reach 2**63

    def add(self, piece: _Piece) -> None:
        intervals = piece.intervals
        if not len(intervals):
            return
        bins = piece.place[1:][piece.forward] * _BINS // self._heartbeats
        begins = np.flatnonzero(np.diff(bins, prepend=-1))
        at = bins[begins]
        empty = self._number[at] == 0
        self._start[at[empty]] = piece.arrivals[:-1][piece.forward][begins[empty]]
        self._least[at] = np.minimum(self._least[at], np.minimum.reduceat(intervals, begins))
        self._most[at] = np.maximum(self._most[at], np.maximum.reduceat(intervals, begins))
        self._total[at] += np.add.reduceat(intervals.astype(float), begins)
        self._number[at] += np.diff(begins, append=len(bins))
        length = (np.log2(np.maximum(intervals, 1)) * _PER_OCTAVE).astype(np.int64)
        self._counts += np.bincount(length, minlength=len(self._counts))

    def drawn(self, first: int) -> Picture:
        some = np.flatnonzero(self._number)
        used = np.flatnonzero(self._counts)
        low, high = (int(used[0]), int(used[-1]) + 1) if len(used) else (0, 0)
        return Picture(
            time=(self._start[some] - first) / NS,
            least=self._least[some] / NS,
            mean=self._total[some] / self._number[some] / NS,
            most=self._most[some] / NS,
            lengths=2.0 ** (np.arange(low, high + 1) / _PER_OCTAVE) / NS,
            counts=self._counts[low:high],
        )
