"""Levels, deadlines and mistakes of a detector over a trace.

No polling: what a detector says between two heartbeats follows from the state after the first of them.
"""

from __future__ import annotations

import itertools
import math
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np

from accrual.core import engine
from accrual.detectors import Detector, as_detector
from accrual.traces.scan import ScannedTrace
from accrual.traces.trace import Trace, TraceError, joined, taken

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from numpy.typing import ArrayLike, NDArray

Result = TypeVar("Result")

__all__ = ["Chain", "Mistakes", "Replay", "full_from", "levels", "replay"]

NEVER: int = engine.NEVER
"""The deadline that never comes: int64's maximum."""

SHOWN = 100  # mistakes in a notebook's table


@dataclass(frozen=True)
class Past:
    """What the heartbeats so far mean to those that follow, so that a trace may be gone through piece by piece.

    All of it ends at the last accepted heartbeat but one; the last is taken in again with the next piece, so that its
    interval is at hand where that is to be scored. The chain is all the memory that most detectors have: whatever they
    refused to learn is not in it. Some have a schedule as well.

    Attributes
    ----------
    instants, numbers : int64 array
        The end of the chain, as far back as the window reaches; the last instant is the heartbeat's own arrival.
    schedule : list or None
        Of detectors whose pieces could not begin within a stretch: what the schedule knows beside its window.
    heartbeats : Trace
        The last accepted heartbeat but one, as often as there are `instants`, and the last.
    place : int
        How many heartbeats there were.
    """

    instants: NDArray[np.int64]
    numbers: NDArray[np.int64]
    schedule: list[float] | None
    heartbeats: Trace
    place: int


class Chain:
    """Which heartbeats of a trace count, and the intervals that a detector learns of it.

    Attributes
    ----------
    trace : Trace
        The heartbeats; of a later piece of a trace, with its past before them.
    past : Past or None
        What came before this piece.
    known : int
        How many heartbeats stand for the chain that the past left; the one after them is its last.
    fresh : int
        Index of the first heartbeat that is new.
    place : int
        What to add to an index for the heartbeat's number in the whole trace.
    instants : int64 array [ns]
        Their differences are the learned intervals. The arrivals themselves where every heartbeat counts and the
        detector learns all intervals and nothing else.
    numbers : int64 array or None
        For detectors that expect an arrival: their differences are the steps from each instant to the next.
    starts : int64 array
        Where in `instants` a stretch begins: at 0 and at each restart, with the samples that a first heartbeat brings;
        for detectors that expect an arrival also where a heartbeat cannot be of the schedule of those before.
    accepted : int64 array or None
        Indices of the accepted heartbeats; None where that is all of them and each has its instant.
    state : int64 array or None
        For each heartbeat, once it was taken in: the index in `instants` of the last learned one.
    latest : int64 array or None
        For each heartbeat, once it was taken in: the index of the last accepted one.
    ignored, clock_steps, restarts : int
        How many heartbeats were.
    plain : bool
        Whether what the detector learns are all intervals and nothing else.
    left : int
        Index in `instants` of the last learned one at the last accepted heartbeat but one; -1 where there is none.
    schedule : list or None
        What the schedule knows there beside its window; a `Replay` of the chain notes it.
    """

    numbers: NDArray[np.int64] | None = None
    accepted: NDArray[np.int64] | None = None
    state: NDArray[np.int64] | None = None
    latest: NDArray[np.int64] | None = None
    schedule: list[float] | None = None

    def __init__(self, trace: Trace, detector: engine.Detector, past: Past | None = None) -> None:
        self.window, self.sequential, self.plain = detector.window, detector.sequential, detector.plain
        self.held = detector.window if detector.columns else 0  # without a ring the window only counts
        self.past, self.known, self.fresh, self.place = past, 0, 0, 0
        if past is not None:
            trace = joined(past.heartbeats, trace)
            self.known, self.fresh = len(past.instants), len(past.heartbeats)
            self.place = past.place - self.fresh
        self.trace, self.arrivals, n = trace, trace.arrivals, len(trace)
        self.ignored = self.clock_steps = self.restarts = 0
        self.instants = trace.arrivals
        self.starts, self.left = np.zeros(min(1, n), np.int64), n - 2
        if detector.plain and self._every_heartbeat_counts():
            if past is not None:
                self.instants = np.concatenate([past.instants, trace.arrivals[self.known :]])
            return
        state, latest = np.empty((2, n), np.int64)
        restarts = 0 if trace.epoch is None else np.count_nonzero(np.diff(trace.epoch))
        starts = np.empty(n if detector.scheduled else restarts + 1, np.int64)
        chain = np.empty(n + detector.seeds * len(starts), np.int64)
        numbers = np.empty(len(chain) if detector.scheduled else 0, np.int64)
        if past is not None:
            chain[: self.known] = past.instants
            numbers[: len(past.numbers)] = past.numbers
        length, stretches, self.ignored, self.clock_steps, self.restarts = engine.accept_all(
            detector, trace.arrivals, trace.sequence, trace.epoch, chain, numbers, starts, state, latest, self.known
        )
        self.instants, self.starts = chain[:length], starts[:stretches]
        self.numbers = numbers[:length] if detector.scheduled else None
        self.state, self.latest = state, latest
        self.accepted = np.flatnonzero(latest == np.arange(n))
        self.left = int(state[self.accepted[-2]]) if len(self.accepted) > 1 else -1

    def _every_heartbeat_counts(self) -> bool:
        """Whether all that follow the known ones do, in order."""
        trace, since = self.trace, slice(max(self.known - 1, 0), None)
        return engine.every_heartbeat_counts(
            trace.arrivals[since],
            None if trace.sequence is None else trace.sequence[since],
            None if trace.epoch is None else trace.epoch[since],
        )

    def as_past(self) -> Past:
        """What these heartbeats, of which there is one at least, mean to the next piece."""
        n = len(self.trace)
        two = np.arange(n)[-2:] if self.accepted is None else self.accepted[-2:]
        instants = numbers = np.empty(0, np.int64)
        if self.left >= 0:
            start = int(self.starts[np.searchsorted(self.starts, self.left, side="right") - 1])
            end = slice(max(start, self.left - self.window), self.left + 1)
            instants = self.instants[end]
            instants = instants - instants[-1:] + self.arrivals[two[:1]]  # may wrap, and only differences count
            numbers = numbers if self.numbers is None else self.numbers[end].copy()
        kept = np.concatenate([np.repeat(two[:1], len(instants)), two[-1:]])
        return Past(instants, numbers, self.schedule, taken(self.trace, kept), self.place + n)

    def stretches(self) -> list[tuple[int, int]]:
        """First and last instant of each stretch."""
        ends = np.append(self.starts, len(self.instants))[1:] - 1
        return list(zip(self.starts.tolist(), ends.tolist(), strict=True))

    def full_from(self) -> int | None:
        """The first heartbeat after which the window is full, if there is one; None where it never is."""
        last = np.arange(len(self.arrivals)) if self.state is None else self.state
        begin = self.starts[np.searchsorted(self.starts, last, side="right") - 1]
        full = np.flatnonzero(last - begin >= self.held)
        return int(full[0]) if len(full) else None

    def reach_back(self, heartbeat: int, intervals: int) -> int:
        """From which heartbeat on a piece of the trace has so many learned intervals before that heartbeat.

        It is one that counts, and brought an interval or began a stretch, so that the piece takes the next ones as the
        whole does; at most the first.
        """
        if self.state is None:
            return max(heartbeat - intervals, 0)
        return int(np.searchsorted(self.state, self.state[heartbeat] - intervals))

    @property
    def one_to_one(self) -> bool:
        """Whether each accepted heartbeat but the first brought one learned interval, up to it from the one before.

        So it is in order, and also where all that happened is that some were ignored: late ones, and doubles.
        """
        ignored_only = self.past is None and len(self.starts) == 1 and not self.clock_steps
        return self.accepted is None or (self.plain and ignored_only)

    def run(self, work: Callable[[int, int, int], int], threads: int) -> None:
        """Call ``work(start, low, high)`` for pieces that make up the chain, on threads where that pays.

        `work` gives the index of an interval that the sums cannot hold, or -1. A piece repeats the last window of the
        one before it to open its own, so it should be longer than that.
        """
        length = len(self.instants)
        size = max(-(-length // threads), 4 * self.window, 50_000) if threads > 1 else max(length, 1)
        tasks: list[list[tuple[int, int, int]]] = []  # of about `size` each: handing over costs
        room = 0
        for start, end in self.stretches():
            first = max(start, self.known - 1)  # before it is the past
            cuts = [first, end] if self.sequential or end == first else [*range(first, end, size), end]
            for low, high in itertools.pairwise(cuts):
                if room <= 0:
                    tasks.append([])
                    room = size
                tasks[-1].append((start, low, high))
                room -= high - low + 1
        refused = on_threads(lambda *pieces: [work(*piece) for piece in pieces], tasks, threads)
        self.check(min((index for task in refused for index in task if index >= 0), default=-1))

    def check(self, refused: int) -> None:
        """Raise TraceError if the core refused an interval, by its index."""
        if refused >= 0:
            seconds = (int(self.instants[refused + 1]) - int(self.instants[refused])) / 1e9
            raise TraceError(
                f"{self.interval(refused)}, {seconds:g} s, would make the window's exact sums "
                "outgrow their bits: 62 for the intervals (146 years), 128 for n times their squares"
            )

    def interval(self, index: int) -> str:
        """Name an interval in messages; in a later piece they are counted from where its past begins."""
        since = "" if self.past is None else f" from number {max(self.place, 0)} on"
        return f"interval {index} of the heartbeats that count{since}"


def chains(trace: Trace | ScannedTrace, detector: engine.Detector) -> Iterator[Chain]:
    """The chain of a trace, in pieces where it is read in pieces.

    For sequential detectors a `Replay` of each has to be made before the next is asked for.
    """
    if isinstance(trace, Trace):
        yield Chain(trace, detector)
        return
    chain: Chain | None = None
    for piece in trace.pieces(4 * detector.window):  # longer than the past that comes with each
        chain = Chain(piece, detector, chain.as_past() if chain else None)
        yield chain


def on_threads(work: Callable[..., Result], pieces: Sequence[Sequence[Any]], threads: int) -> list[Result]:
    """``work(*piece)`` for each piece, in order; on threads, for the core lets go of the interpreter's lock."""
    if threads == 1 or len(pieces) == 1:
        return [work(*piece) for piece in pieces]
    from concurrent.futures import ThreadPoolExecutor  # here, for it takes a tenth of accrual's import time

    with ThreadPoolExecutor(threads) as pool:
        return list(pool.map(lambda piece: work(*piece), pieces))


def as_trace(trace_or_arrivals: Trace | ScannedTrace | ArrayLike) -> Trace:
    """A trace as it is, one on disk read whole; anything else as the arrivals of one."""
    trace = as_given(trace_or_arrivals)
    return trace.read() if isinstance(trace, ScannedTrace) else trace


def as_given(trace_or_arrivals: Trace | ScannedTrace | ArrayLike) -> Trace | ScannedTrace:
    """A trace as it is, in memory or on disk; anything else as the arrivals of one."""
    return trace_or_arrivals if isinstance(trace_or_arrivals, Trace | ScannedTrace) else Trace(trace_or_arrivals)


def as_threads(threads: int) -> int:
    """Check a number of threads."""
    if isinstance(threads, bool) or not isinstance(threads, int | np.integer) or not 1 <= threads <= 1024:
        raise ValueError(f"threads must be a whole number from 1 to 1024, got {threads!r}")
    return int(threads)


def full_from(trace: Trace, detectors: Sequence[Detector]) -> int:
    """The first arrival after which the windows of all detectors are full: where to compare them from.

    Raises
    ------
    TraceError
        If the trace is too short for one of them.

    Examples
    --------
    >>> import accrual as ac
    >>> full_from(ac.Trace(range(0, 1000, 10)), [ac.PhiNormal(window=20), ac.PhiStudent(window=30)])
    30
    """
    latest = 0
    for detector in detectors:
        full = Chain(trace, detector.compiled).full_from()
        if full is None:
            raise TraceError(f"too short: {len(trace):,} heartbeats never fill the window of {detector}")
        latest = max(latest, full)
    return latest


def levels(
    trace_or_arrivals: Trace | ScannedTrace | ArrayLike,
    detector: Detector,
    threads: int = 1,
    out: NDArray[np.float64] | None = None,
) -> NDArray[np.float64]:
    """The suspicion level at each arrival, just before that heartbeat counts.

    Parameters
    ----------
    trace_or_arrivals : Trace or array of int64, shape (n,)
        Arrivals in ns, in any order; a trace brings its sequence numbers and epochs. One of `accrual.scan_trace` is
        read in pieces; the result has the same bits.
    detector : Detector
        For instance ``accrual.PhiNormal(window=1000)``.
    threads : int
        Threads to use; never changes a bit of the result.
    out : float64 array, shape (n,), optional
        Where to put the result, which takes 8 bytes a heartbeat: for a trace larger than memory a file, such as
        ``numpy.lib.format.open_memmap("levels.npy", "w+", shape=(len(trace),))`` gives.

    Returns
    -------
    float64 array, shape (n,)
        NaN where too few intervals are known.

    Raises
    ------
    ValueError
        If the arrivals are not exact int64 instants within 146 years of zero.
    TraceError
        If intervals are so long that a window's exact sums would outgrow their bits.

    Examples
    --------
    >>> import accrual as ac
    >>> ac.levels([0, 10, 20, 30, 41], ac.PhiNormal(window=3, min_deviation=1e-9)).round(4)
    array([   nan,    nan,    nan, 0.301 , 0.7995])
    """
    trace, compiled = as_given(trace_or_arrivals), as_detector(detector).compiled
    threads = as_threads(threads)
    if out is None:
        out = np.empty(len(trace))
    elif not (
        isinstance(out, np.ndarray)
        and out.dtype == np.float64
        and out.shape == (len(trace),)
        and out.flags.c_contiguous
        and out.flags.writeable
    ):
        raise ValueError(f"out must be a writeable, contiguous float64 array of shape ({len(trace)},)")
    elif isinstance(trace, Trace) and np.may_share_memory(out, trace.arrivals):
        raise ValueError("out must not share memory with the arrivals, which are read while it is written")
    for chain in chains(trace, compiled):
        size = len(chain.trace)
        found = np.empty(size) if chain.fresh else out[:size]
        _levels(chain, detector, threads, found)
        if chain.fresh:
            out[chain.place + chain.fresh : chain.place + size] = found[chain.fresh :]
    return out


def _levels(
    chain: Chain, detector: Detector, threads: int, out: NDArray[np.float64], story: Replay | None = None
) -> None:
    """The levels of a piece, from the last heartbeat of its past on; `story`: its replay, where there is one."""
    compiled = detector.compiled
    if chain.state is not None or compiled.sample:
        (story or Replay(chain.trace, detector, threads, chain))._levels(out)
        return
    out[:1] = np.nan
    chain.run(
        lambda start, low, high: engine.levels(compiled, chain.instants, start, low, high, out),
        threads,
    )  # fmt: skip


@dataclass(frozen=True)
class Mistakes:
    """Suspicions of a peer that was alive: each from `start` until the heartbeat that ended it.

    Attributes
    ----------
    start, end : int64 array [ns]
        `start` is a deadline, rounded up to the ns, so it may equal `end`; and on a clock that went back during the
        suspicion it may be later than `end`. A suspicion still open when the trace ends has `end` =
        ``accrual.NEVER``.
    """

    start: NDArray[np.int64]
    end: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.start)

    def to_dict(self) -> dict[str, list[int]]:
        """Plain lists."""
        return {"start": self.start.tolist(), "end": self.end.tolist()}

    def to_pandas(self):  # type: ignore[no-untyped-def]
        """A DataFrame with the columns start and end [ns]."""
        import pandas as pd

        return pd.DataFrame({"start": self.start, "end": self.end})

    def _repr_html_(self) -> str:
        shown = list(zip(self.start.tolist(), self.end.tolist(), strict=True))[:SHOWN]
        rows = "".join(
            f"<tr><td>{start}</td><td>{'still open' if end == NEVER else end}</td></tr>" for start, end in shown
        )
        more = f", the first {SHOWN}" if len(self) > SHOWN else ""
        caption = f"{len(self):,} mistake{'' if len(self) == 1 else 's'}{more}"
        return f"<table><caption>{caption}</caption><tr><th>start [ns]</th><th>end [ns]</th></tr>{rows}</table>"


@dataclass(frozen=True, eq=False, repr=False)
class Replay:
    """A detector's whole story over a trace; made by :func:`replay`.

    Attributes
    ----------
    trace, detector
        As given.
    samples, total, denominators : int32, int64 [ns], float64 [ns] arrays
        What the estimator knows after each instant of the chain: n (negative, -1 - n, where that is too little),
        n times the location without the pause, and n times the scale; 256 times for those that expect an arrival.
    """

    trace: Trace
    detector: Detector
    threads: int
    chain: Chain = field(repr=False)

    def __post_init__(self) -> None:
        size, compiled = len(self.chain.instants), self.detector.compiled
        samples, total, denominators = np.empty(size, np.int32), np.empty(size, np.int64), np.empty(size)
        chain, known = self.chain, self.chain.known
        samples[:known], total[:known], denominators[:known] = -1, 0, 1.0  # the past's are not known again

        def work(start: int, low: int, high: int) -> int:
            piece = slice(low, high + 1)
            states = samples[piece], total[piece], denominators[piece]
            if chain.numbers is None:
                return int(engine.states(compiled, chain.instants, start, low, high, *states))
            before = chain.past.schedule if chain.past and start < known else None
            left = engine.expectations(
                compiled, chain.instants, chain.numbers, start, low, high, *states, before, chain.left
            )
            if chain.sequential and left is not None:
                chain.schedule = left
            return -1

        self.chain.run(work, self.threads)
        for name, value in (("samples", samples), ("total", total), ("denominators", denominators)):
            object.__setattr__(self, name, value)

    samples: NDArray[np.int32] = field(init=False, repr=False)
    total: NDArray[np.int64] = field(init=False, repr=False)
    denominators: NDArray[np.float64] = field(init=False, repr=False)

    @property
    def states(self) -> tuple[NDArray[np.int32], NDArray[np.int64], NDArray[np.float64]]:
        """samples, total and denominators together."""
        return self.samples, self.total, self.denominators

    @cached_property
    def levels(self) -> NDArray[np.float64]:
        """The level at each arrival, just before that heartbeat counts; as :func:`accrual.levels`."""
        out = np.empty(len(self.trace))
        _levels(self.chain, self.detector, self.threads, out, self)  # at a million heartbeats 10 ms instead of 50
        return out

    def _levels(self, out: NDArray[np.float64]) -> NDArray[np.float64]:
        arrivals, latest = self.trace.arrivals, np.arange(max(len(self.trace) - 1, 0))
        last = arrivals[:-1] if self.chain.latest is None else arrivals[self.chain.latest[:-1]]
        out[:1] = np.nan
        self._levels_after(latest, np.maximum(arrivals[1:] - last, 0), out[1:])
        return out

    def levels_after(self, heartbeats: NDArray[np.int64], silence: NDArray[np.int64]) -> NDArray[np.float64]:
        """The level after so much silence, for any instants.

        Parameters
        ----------
        heartbeats : int array
            The number of the last heartbeat before each instant, in the trace.
        silence : int64 array [ns]
            From the last accepted heartbeat to the instant.
        """
        return self._levels_after(heartbeats, silence, np.empty(len(heartbeats)))

    def _levels_after(
        self, heartbeats: NDArray[np.int64], silence: NDArray[np.int64], out: NDArray[np.float64]
    ) -> NDArray[np.float64]:
        state = heartbeats if self.chain.state is None else self.chain.state[heartbeats]
        self._lateness(state, silence, out)
        engine.levels_of_lateness(self.detector.compiled, self.samples, state, out)
        return out

    def _lateness(
        self, state: NDArray[np.int64], elapsed: NDArray[np.int64], out: NDArray[np.float64] | None = None
    ) -> NDArray[np.float64]:
        """z, so long [ns] after the heartbeat that left the estimator in that state; NaN where unknown."""
        compiled, z = self.detector.compiled, np.empty(len(state)) if out is None else out
        if not compiled.sample:
            engine.latenesses(compiled, *self.states, state, elapsed, z)
            return z

        def work(low: int, high: int) -> None:
            piece = slice(low, high)
            engine.outlived(compiled, self.chain.instants, self.chain.starts, state[piece], elapsed[piece], z[piece])

        on_threads(work, self._pieces(len(state)), self.threads)
        return z

    def _pieces(self, size: int) -> list[tuple[int, ...]]:
        """Ranges of states, one for each thread; each has to open its own window."""
        step = max(-(-size // self.threads), 4 * self.chain.window, 50_000)
        return list(itertools.pairwise([*range(0, size, step), size]))

    def _outlive(self, counts: NDArray[np.float64], bits: int) -> NDArray[np.int64]:
        """For each state: how long a silence outlives so many intervals of its window [2^-bits ns]."""
        wait = np.empty(len(counts), np.int64)

        def work(low: int, high: int) -> None:
            piece = slice(low, high)
            engine.waits(
                self.detector.compiled, self.chain.instants, self.chain.starts, low, counts[piece], bits, wait[piece]
            )

        on_threads(work, self._pieces(len(counts)), self.threads)
        return wait

    def counts(self) -> dict[str, int]:
        """What became of the heartbeats."""
        chain, n = self.chain, len(self.trace)
        return {
            "heartbeats": n,
            "accepted": n - chain.ignored,
            "ignored": chain.ignored,
            "clock_steps": chain.clock_steps,
            "restarts": chain.restarts,
        }

    def to_dict(self) -> dict[str, Any]:
        """The detector as the command line writes it, what became of the heartbeats, arrivals and levels as lists."""
        levels = [None if math.isnan(level) else level for level in self.levels.tolist()]
        return {
            "detector": str(self.detector),
            **self.counts(),
            "arrivals": self.trace.arrivals.tolist(),
            "levels": levels,
        }

    def __repr__(self) -> str:
        counts = ", ".join(f"{count:,} {name.replace('_', ' ')}" for name, count in self.counts().items())
        return f"Replay({self.detector}: {counts})"

    def _repr_html_(self) -> str:
        rows = "".join(
            f"<tr><th>{name.replace('_', ' ')}</th><td>{count:,}</td></tr>" for name, count in self.counts().items()
        )
        return f"<table><caption>{self.detector}</caption>{rows}</table>"

    def reached(self, threshold: float) -> NDArray[np.float64]:
        """For each instant of the chain: the lateness at which the level reaches the threshold; NaN where unknown."""
        z = np.empty(len(self.samples))
        engine.reached(self.detector.compiled, self.samples, engine.as_threshold(threshold), z)
        return z

    def waits(self, threshold: float) -> NDArray[np.int64]:
        """For each instant of the chain: from the last heartbeat to the suspicion, unrounded, in 2^-8 ns.

        0 where unknown; 208 days, which outlast every interval that is scored, where it is as long or longer.
        """
        longest, unit = engine.SCORED_LIMIT * engine.FIXED_UNITS - 1, engine.FIXED_UNITS
        known = self.samples >= 0
        if self.detector.compiled.sample:
            counts = self.reached(threshold)
            wait = np.where(counts <= 0, -longest, np.minimum(self._outlive(counts, 8), longest))
            return np.where(known, wait, 0)
        compiled = self.detector.compiled
        # What location and scale were multiplied by: see estimators.pxd.
        pause, n = compiled.parameters["pause"], unit if compiled.scheduled else np.where(known, self.samples, 1)
        with np.errstate(over="ignore"):
            wait = np.rint((self.total / n + self.reached(threshold) * (self.denominators / n) + pause) * unit)
        # Cut again as an integer: the double next to the limit is too large.
        wait = np.where(known, np.clip(wait, -longest, longest), 0).astype(np.int64)
        return np.clip(wait, -longest, longest)

    def deadlines(self, threshold: float) -> NDArray[np.int64]:
        """After each heartbeat: the first ns at which the level reaches the threshold if none follows.

        ``accrual.NEVER`` where there is none or the level is unknown. int64, shape (n,) [ns].
        """
        compiled, z = self.detector.compiled, self.reached(threshold)
        if compiled.sample:
            timeout = self._outlive(z, 0)
        else:
            timeout = np.empty(len(self.samples), np.int64)
            engine.timeouts(compiled, *self.states, z, timeout)
        last = self.trace.arrivals
        if self.chain.state is not None and self.chain.latest is not None:
            timeout, last = timeout[self.chain.state], last[self.chain.latest]
        never = timeout > NEVER - 1 - np.maximum(last, 0)
        return np.where(never, NEVER, last + np.where(never, 0, timeout))

    @property
    def _counted(self) -> slice | NDArray[np.int64]:
        """Which heartbeats were accepted."""
        return slice(None) if self.chain.accepted is None else self.chain.accepted

    @property
    def _state(self) -> NDArray[np.int64]:
        """The instant of the chain that tells the state after each accepted heartbeat."""
        return np.arange(len(self.trace)) if self.chain.state is None else self.chain.state[self._counted]

    @cached_property
    def _around(self) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Of the accepted heartbeats: the lateness just before the next one, and just after this one."""
        arrivals, state = self.trace.arrivals[self._counted], self._state
        before = self._lateness(state[:-1], np.maximum(np.diff(arrivals), 0))
        return before, self._lateness(state, np.zeros_like(arrivals))

    def _suspected(self, threshold: float) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
        """For accepted heartbeats: whether the next one finds a suspicion, and whether this one leaves it."""
        if self.detector.compiled.sample:  # its level has steps: it may be the threshold for a while, and suspicious
            arrivals, state = self.trace.arrivals[self._counted], self._state
            known, wait = self.samples[state] >= 0, self.waits(threshold)[state]
            late = np.maximum(np.diff(arrivals), 0) > wait[:-1] // engine.FIXED_UNITS
            return late & known[:-1], (wait < 0) & known
        before, after = self._around
        z = self.reached(threshold)[self._state]
        return before > z[:-1], after > z

    def known(self) -> NDArray[np.bool_]:
        """For each accepted heartbeat but the last: whether there is a level after it."""
        return self.samples[self._state[:-1]] >= 0

    def late(self, threshold: float) -> NDArray[np.bool_]:
        """For each accepted heartbeat but the last: whether the next one finds the peer suspected."""
        return self._suspected(threshold)[0]

    def begins(self, threshold: float) -> NDArray[np.bool_]:
        """For each accepted heartbeat but the last: whether a mistake begins before the next one comes."""
        late, stays = self._suspected(threshold)
        late[1:] &= ~(late[:-1] & stays[1:-1])  # suspected before a heartbeat inside the trace, and still after it
        return late

    def mistakes(self, threshold: float) -> Mistakes:
        """Every suspicion of the trace, from its first known level on, touching ones merged.

        As many as ``accrual.qos(..., skip=0)`` counts.
        """
        late, stays = self._suspected(threshold)
        begins, ends = self.begins(threshold), late.copy()
        ends[:-1] &= ~(late[:-1] & stays[1:-1])
        deadlines, until = self.deadlines(threshold)[self._counted], self.trace.arrivals[self._counted][1:].copy()
        if len(late) and late[-1] and stays[-1]:
            until[-1] = NEVER
        return Mistakes(deadlines[:-1][begins], until[ends])


def replay(trace: Trace | ScannedTrace | ArrayLike, detector: Detector, threads: int = 1) -> Replay:
    """Replay a trace: levels, deadlines and mistakes at any threshold.

    Parameters
    ----------
    trace : Trace or array of int64, shape (n,)
        Arrivals in ns, in any order; a trace brings its sequence numbers and epochs. What a replay holds is as long as
        the trace, some 40 bytes a heartbeat, so one of `accrual.scan_trace` is read whole; `levels`, `qos` and `curve`
        go through it in pieces.
    detector : Detector
        For instance ``accrual.PhiNormal(window=1000)``.
    threads : int
        Threads to use; never changes a bit of the result.

    Raises
    ------
    ValueError, TraceError
        As :func:`accrual.levels`.

    Examples
    --------
    >>> import accrual as ac
    >>> r = ac.replay([0, 100, 200, 450, 500], ac.FixedTimeout(period=1e-7))
    >>> r.levels
    array([nan, 1. , 1. , 2.5, 0.5])
    >>> r.deadlines(2)
    array([200, 300, 400, 650, 700])
    >>> r.mistakes(2)
    Mistakes(start=array([400]), end=array([450]))
    """
    trace, detector = as_trace(trace), as_detector(detector)
    return Replay(trace, detector, as_threads(threads), Chain(trace, detector.compiled))
