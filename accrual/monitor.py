"""Watching peers: one, a heartbeat at a time, or a million, in batches."""

from __future__ import annotations

import dataclasses
import enum
import json
import logging
import math
import os
import threading
import time
import zlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, BinaryIO, Final, Self, SupportsIndex, cast

import numpy as np

from accrual.core import engine
from accrual.detectors import DETECTORS, NS, as_detector, seconds
from accrual.traces.files import replacing
from accrual.traces.trace import as_instants, as_int64

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable

    from numpy.typing import ArrayLike, NDArray

    from accrual.detectors import Detector

__all__ = ["Bank", "Change", "ManualClock", "Monitor", "State", "Stats"]

log = logging.getLogger("accrual")

FORMAT, VERSION = "accrual.Monitor", 1


class State(enum.Enum):
    """What a monitor makes of its peer."""

    UNKNOWN = "unknown"
    """There is no level yet, and the peer is not overdue."""
    TRUSTED = "trusted"
    SUSPECTED = "suspected"


STATES = tuple(State)  # in the order of the core's numbers


@dataclass(frozen=True, kw_only=True)
class Change:
    """A transition of a monitor's state.

    Attributes
    ----------
    old, new : State
    at : int
        When the state changed, ns: the deadline itself, whenever it was noticed.
    level : float
        The level then; NaN where it was unknown.
    monitor : Monitor
    name : hashable or None
        What `accrual.aio.watch` was told to call the monitor.
    """

    old: State
    new: State
    at: int
    level: float
    monitor: Monitor = dataclasses.field(repr=False)
    name: Hashable = None


@dataclass(frozen=True, kw_only=True)
class Stats:
    """What a monitor has heard and learned, all of one moment.

    Attributes
    ----------
    n : int
        Intervals in the window.
    mean, deviation : float
        Of these, s; the deviation with divisor n and without floor. NaN where there are none, or centuries of them.
    last : int or None
        Arrival of the last accepted heartbeat, ns.
    accepted, ignored, clock_steps, restarts, unlearned : int
        As the attributes of `Monitor`.
    """

    n: int
    mean: float
    deviation: float
    last: int | None
    accepted: int
    ignored: int
    clock_steps: int
    restarts: int
    unlearned: int


class ManualClock:
    """A clock that stands until it is moved: for tests that never sleep.

    Parameters
    ----------
    now : int
        Its first reading, ns.

    Examples
    --------
    >>> import accrual as ac
    >>> clock = ac.ManualClock()
    >>> m = ac.Monitor(ac.FixedTimeout(period=1), threshold=3, clock=clock)
    >>> m.heartbeat()
    True
    >>> clock.advance(2.5)
    2500000000
    >>> m.level(), m.state()
    (2.5, <State.TRUSTED: 'trusted'>)
    >>> clock.set(m.deadline())
    3000000000
    >>> m.state()
    <State.SUSPECTED: 'suspected'>
    """

    def __init__(self, now: int = 0) -> None:
        self._now = 0
        self._moved: list[Callable[[], object]] = []  # who waits for it, as one waits for a timer
        self.set(now)

    def __call__(self) -> int:
        """Its reading, ns."""
        return self._now

    def advance(self, seconds: float = 0, *, ns: int = 0) -> int:
        """Move on by so many seconds and ns, or back by negative ones; gives the new reading, ns."""
        if not math.isfinite(seconds):
            raise ValueError(f"seconds must be finite, got {seconds!r}")
        return self.set(self._now + round(seconds * NS) + ns)

    def set(self, now: int) -> int:
        """Move to an instant, ns, later or earlier; gives it back."""
        self._now = engine.as_instant(now, "now")
        for moved in tuple(self._moved):
            moved()
        return self._now

    def __repr__(self) -> str:
        return f"ManualClock({self._now})"

    def __reduce__(self) -> tuple[type[ManualClock], tuple[int]]:
        return ManualClock, (self._now,)


class Monitor(engine.Peer):
    """Says of one peer how suspicious its silence is, and whether that is too much.

    Instants are int64 nanoseconds of one clock; every `now` defaults to the clock's reading. What a network or a
    clock can deliver (late, duplicate, reordered heartbeats, time going back) is counted, never an error.

    All methods may be called from any thread.

    Parameters
    ----------
    detector : Detector
        For instance ``accrual.PhiNormal(window=1000)``.
    threshold : float
        The level from which on the peer is suspected.
    clock : callable
        Gives the present instant, ns. The default, ``time.monotonic_ns``, stands still on Linux while the machine
        is suspended. In tests a `ManualClock`.
    stable_after : float
        For so long, s, after a heartbeat that ended a suspicion `state()` stays SUSPECTED: against flapping.
        `suspected()` and `deadline()` do not wait.
    unknown_after : float, optional
        A heartbeat that leaves the level unknown makes the peer suspected after so much further silence, s. Without
        it a peer that falls silent before its level is known stays UNKNOWN, unless `expect` was called.
    on_change : callable, optional
        Called with each `Change` of the state. Transitions are noticed at every heartbeat and whenever `state()` is
        asked, those of the silence before included: each once, in order, with the instant at which it came to be,
        so what is delivered does not depend on how often one asks. For being called at the deadline, ask `state()`
        then, or use `accrual.aio.watch`. The call is made in the thread that noticed, outside any lock (a change
        noticed during a call is delivered after it); exceptions are logged to "accrual", not raised. A change of
        threshold, `expect` and `reset` have no time of their own: what they lead to counts from when it is noticed.

    Attributes
    ----------
    threshold : float
        May be changed at any time.
    detector : Detector
        May be changed at any time: the new one learns the intervals that the window holds.
    clock, stable_after, unknown_after, on_change
        As given.
    accepted, ignored, clock_steps, restarts, unlearned : int
        Heartbeats that counted; that did not (late, duplicate, reordered); at which the clock had gone back; that
        began a new epoch; whose interval was too long for the window's exact sums (centuries, or months many times).
    last : int or None
        Arrival of the last accepted heartbeat, ns.
    samples : int
        Intervals in the window.

    Raises
    ------
    TypeError, ValueError
        For arguments of the wrong kind or out of bounds; nothing has changed then.

    Examples
    --------
    >>> import accrual as ac
    >>> m = ac.Monitor(ac.FixedTimeout(period=0.1), threshold=3)
    >>> m.heartbeat(now=1_000_000_000)
    True
    >>> m.level(now=1_150_000_000), m.suspected(now=1_150_000_000), m.deadline()
    (1.5, False, 1300000000)
    """

    def __init__(
        self,
        detector: Detector,
        threshold: float = 8.0,
        clock: Callable[[], int] = time.monotonic_ns,
        stable_after: float = 0.0,
        unknown_after: float | None = None,
        on_change: Callable[[Change], object] | None = None,
    ) -> None:
        self._stable_after = seconds("stable_after", stable_after)
        self._unknown_after = None if unknown_after is None else seconds("unknown_after", unknown_after)
        _check_callable(clock, on_change)
        super().__init__(
            as_detector(detector),
            threshold,
            clock,
            round(self._stable_after * NS),
            -1 if self._unknown_after is None else round(self._unknown_after * NS),
        )
        self._delivering = threading.Lock()  # held while a listener is called; nobody ever waits for it
        self._waiters: list[Callable[[], object]] = []  # called when the next transition may have come nearer
        self._report_to(on_change)

    def _report_to(self, on_change: Callable[[Change], object] | None) -> None:
        self._on_change = on_change
        if on_change is not None:
            self._listen(on_change)

    def __repr__(self) -> str:
        return f"<Monitor {self.detector} threshold={self.threshold:g} last={self.last} samples={self.samples}>"

    @property
    def detector(self) -> Detector:
        """The detector in use; setting another keeps what the window holds."""
        return cast("Detector", super().detector)

    @detector.setter
    def detector(self, detector: Detector) -> None:
        self._change_detector(as_detector(detector))

    @property
    def stable_after(self) -> float:
        """How long the return to TRUSTED is delayed, s."""
        return self._stable_after

    @property
    def unknown_after(self) -> float | None:
        """How much silence a peer whose level is unknown is granted, s."""
        return self._unknown_after

    @property
    def on_change(self) -> Callable[[Change], object] | None:
        """Who is called with each transition."""
        return self._on_change

    def state(self, now: int | None = None) -> State:
        """Give the state at `now` (ns; the clock's reading by default), and notice transitions up to then.

        At an instant before the last noticed one nothing is noticed. Of the state machine: in silence UNKNOWN turns
        SUSPECTED at the expected instant, TRUSTED at the deadline, and SUSPECTED turns TRUSTED `stable_after` after
        the heartbeat that ended the suspicion; a heartbeat may lead to any state.
        """
        return STATES[self._look(now)]

    def stats(self) -> Stats:
        """Give what was heard and learned so far."""
        n, mean, deviation, last, counters = self._stats()
        return Stats(n=n, mean=mean / NS, deviation=deviation / NS, last=last, **counters)

    def _tell(self, nearer: bool) -> None:
        """Deliver the noticed transitions, and to waiters that the next one came `nearer` than they were told.

        Only one thread at a time delivers, or the order would be lost; another leaves its transitions to that one, and
        so does a listener that causes new ones.
        """
        while self._waiting and self._delivering.acquire(blocking=False):
            try:
                while (transition := self._next_transition()) is not None:
                    old, new, at, level = transition
                    change = Change(old=STATES[old], new=STATES[new], at=at, level=level, monitor=self)
                    self._call(self._listeners, change)
            finally:
                self._delivering.release()
        if nearer:
            self._call(self._waiters)

    def _call(self, listeners: list[Callable[..., object]], *change: Change) -> None:
        for listener in tuple(listeners):
            try:
                listener(*change)
            except Exception:
                log.exception("%r: %r raised", self, listener)

    def _subscribe(self, listener: Callable[[Change], object], waiter: Callable[[], object]) -> None:
        """Call `listener` with each transition, and `waiter` when the next one may have come nearer."""
        self._waiters.append(waiter)
        self._listen(listener)

    def _unsubscribe(self, listener: Callable[[Change], object], waiter: Callable[[], object]) -> None:
        self._listeners.remove(listener)
        self._waiters.remove(waiter)

    def snapshot(self) -> dict[str, Any]:
        """Give everything but the clock and `on_change` as a dict that JSON can hold; see `restore`.

        A restored monitor goes on with equal bits.

        Examples
        --------
        >>> import accrual as ac, json
        >>> m = ac.Monitor(ac.PhiNormal(window=3), threshold=1)
        >>> for now in (0, 10, 22, 33):
        ...     _ = m.heartbeat(now=now)
        >>> text = json.dumps(m.snapshot())
        >>> ac.Monitor.restore(json.loads(text)).level(now=50) == m.level(now=50)
        True
        """
        detector, threshold, saved = self._save()
        return {
            "format": FORMAT,
            "version": VERSION,
            "detector": detector.name,
            "parameters": dataclasses.asdict(detector),
            "threshold": threshold if math.isfinite(threshold) else str(threshold),  # JSON has no infinity
            "stable_after": self._stable_after,
            "unknown_after": self._unknown_after,
            **saved,
        }

    @classmethod
    def restore(
        cls,
        snapshot: Mapping[str, Any],
        clock: Callable[[], int] = time.monotonic_ns,
        on_change: Callable[[Change], object] | None = None,
    ) -> Self:
        """Make a monitor that goes on where `snapshot` was taken.

        Parameters
        ----------
        snapshot : mapping
            What `snapshot` gave.
        clock : callable
            It must count from the same zero: ``time.monotonic_ns`` does until the machine is restarted.
        on_change : callable, optional
            Called with the transitions that the old one's was not called with.

        Raises
        ------
        ValueError
            If that is no snapshot, is one of another version, or is truncated or inconsistent.
        """
        _check_callable(clock, on_change)
        if not isinstance(snapshot, Mapping):
            raise TypeError(f"snapshot must be a mapping, got {snapshot!r}")
        found = snapshot.get("format"), snapshot.get("version")
        if found != (FORMAT, VERSION):
            raise ValueError(f"snapshot must be of {FORMAT}, version {VERSION}, got {found[0]!r}, version {found[1]!r}")
        try:
            monitor = cls(
                DETECTORS[snapshot["detector"]](**snapshot["parameters"]),
                threshold=float(snapshot["threshold"]),
                clock=clock,
                stable_after=snapshot["stable_after"],
                unknown_after=snapshot["unknown_after"],
            )
            monitor._load(snapshot)
            # What it would save now tells whether everything was taken as it stood, missing and unknown keys included.
            again = monitor.snapshot()
            wrong = [key for key in {**again, **snapshot} if key not in again or again[key] != snapshot[key]]
        except KeyError as error:
            raise ValueError(f"snapshot lacks or does not know {error}") from error
        except (TypeError, ValueError, OverflowError) as error:
            raise ValueError(f"snapshot has a wrong value: {error}") from error
        if wrong:
            raise ValueError(f"snapshot is inconsistent in {', '.join(map(str, wrong))}")
        monitor._report_to(on_change)
        return monitor

    def __reduce__(self) -> tuple[Any, ...]:
        # The clock and on_change go by reference: pickle itself says where one, a lambda say, cannot go along.
        return type(self).restore, (self.snapshot(), self.clock, self._on_change)


def _check_callable(clock: object, on_change: object) -> None:
    if not callable(clock):
        raise TypeError(f"clock must be callable, got {clock!r}")
    if on_change is not None and not callable(on_change):
        raise TypeError(f"on_change must be callable or None, got {on_change!r}")


# ---- many peers ------------------------------------------------------------------------------------------------------

MOST_PEERS: Final = 2**40
MAGIC: Final = b"accrual bank 1\n"
"""First line of a bank's file; the number is the format's."""
LONGEST_HEADER: Final = 2**28
"""Of a bank's file [bytes]: names of 256 MB, and no more memory for a file that is none."""
PIECE: Final = 2**25
"""Bytes of rings that are moved, read or written at a time: room for them is needed beside the bank's own."""


class Bank:
    """Says of many peers how suspicious their silence is: a :class:`Monitor` for each, with equal bits, in arrays.

    Heartbeats come in batches, levels and suspects are asked for of all. Instants are int64 nanoseconds of one clock,
    which the caller reads: one reading serves a batch. Calls from several threads take turns.

    A peer takes 64 B + 8 B x window, and 8 B more where its heartbeats carry an epoch; with a detector that expects an
    arrival 160 B + 16 B x window. Memory that no heartbeat has touched yet is not taken from the system.

    Parameters
    ----------
    detector : Detector
        For instance ``accrual.PhiNormal(window=100)``.
    peers : int
        How many, 0 to 2**40, numbered from 0. With `names` their number, and may be left out.
    threshold : float
        The level from which on a peer is suspected. ``bank.threshold`` may be changed at any time: it renews every
        deadline.
    names : sequence of str, optional
        The peers' names, each once. Methods then take names as well as numbers; they give numbers, which
        ``bank.names`` turns back.

    Attributes
    ----------
    threshold : float
    names : tuple of str, or None
    deadlines : int64 array, shape (peers,) [ns]
        When each peer will be suspected if it stays silent; ``accrual.NEVER`` where that is unknown. A read-only
        view of what the bank keeps: the next heartbeats change it, and `resize` leaves it behind.
    accepted, ignored, clock_steps, restarts, unlearned : int
        Heartbeats of all peers, counted as in :class:`Monitor`.

    Raises
    ------
    ValueError
        If a parameter is out of bounds or a name is there twice.
    MemoryError
        If the system has no room for so many windows.

    Examples
    --------
    >>> import accrual as ac
    >>> bank = ac.Bank(ac.FixedTimeout(period=1e-7), threshold=3, names=["a", "b", "c"])
    >>> bank.heartbeat(["a", "b", "a"], [1000, 1010, 1100])
    array([ True,  True,  True])
    >>> bank.levels(now=1310)
    array([2.1, 3. , nan])
    >>> bank.suspected(now=1310), bank.deadlines[:2]
    (array([1]), array([1400, 1310]))
    """

    def __init__(
        self, detector: Detector, peers: int = 1_000_000, threshold: float = 8.0, names: Sequence[str] | None = None
    ) -> None:
        self.detector = as_detector(detector)
        self._lock = threading.Lock()
        self._counts = np.zeros(len(engine.VERDICT), np.int64)
        self._index = None if names is None else _numbered(names)
        self.names = None if self._index is None else tuple(self._index)
        if self.names is not None:
            if peers not in (1_000_000, len(self.names)):
                raise ValueError(f"peers must be the number of names, {len(self.names)}, got {peers!r}")
            peers = len(self.names)
        self._settle(threshold, *self._allocate(_as_size(peers)))

    def _allocate(self, peers: int) -> tuple[NDArray[Any], ...]:
        """Accounts, sequence numbers, epochs, schedules and rings of peers never heard: zeros that nobody touches."""
        compiled = self.detector.compiled
        row = compiled.columns * compiled.window
        try:
            return (
                np.zeros(peers, engine.ACCOUNT),
                np.zeros(peers, np.int64),
                np.zeros(peers, np.int64),
                np.zeros((peers, compiled.words), np.int64),
                np.zeros((peers, row), np.int64),
            )
        except (MemoryError, ValueError):  # NumPy says ValueError where the size does not even fit 64 bits
            need = peers * (64 + 8 * (compiled.words + row)) / 2**30
            raise MemoryError(f"{peers} peers with a window of {compiled.window} need {need:.3g} GiB") from None

    def _settle(self, threshold: float, *arrays: NDArray[Any]) -> None:
        """Let these arrays be the bank's, once the core has found them sound."""
        accounts, *others = arrays
        deadlines = np.empty(len(accounts), np.int64)
        self._core = engine.Peers(self.detector.compiled, threshold, accounts, deadlines, *others)
        self._arrays = arrays
        self.deadlines = deadlines.view()
        self.deadlines.flags.writeable = False

    def __len__(self) -> int:
        return len(self.deadlines)

    def __repr__(self) -> str:
        return f"Bank({self.detector!r}, peers={len(self)}, threshold={self.threshold})"

    @property
    def threshold(self) -> float:
        """The level from which on a peer is suspected."""
        return self._core.threshold

    @threshold.setter
    def threshold(self, threshold: float) -> None:
        with self._lock:
            self._core.threshold = threshold

    def _count(self, *verdicts: str) -> int:
        return int(sum(self._counts[engine.VERDICT[verdict]] for verdict in verdicts))

    @property
    def accepted(self) -> int:
        """Heartbeats that counted."""
        return self._count(*(engine.VERDICT.keys() - {"ignored"}))

    @property
    def ignored(self) -> int:
        """Heartbeats that did not count: late, duplicate, reordered."""
        return self._count("ignored")

    @property
    def clock_steps(self) -> int:
        """Heartbeats at which the clock had gone back."""
        return self._count("step")

    @property
    def restarts(self) -> int:
        """Heartbeats that began a new epoch."""
        return self._count("restart")

    @property
    def unlearned(self) -> int:
        """Heartbeats whose interval was too long for the window's exact sums."""
        return self._count("unlearned")

    def _numbers(self, peers: ArrayLike | Sequence[str]) -> NDArray[np.int64]:
        """Peers as int64, whether by number or by name; the core looks at the bounds."""
        values = [peers] if isinstance(peers, str | SupportsIndex) and np.ndim(peers) == 0 else peers
        if self._index is not None and len(values) and isinstance(values[0], str):  # type: ignore[arg-type, index]
            try:
                return np.fromiter(map(self._index.__getitem__, values), np.int64)  # type: ignore[arg-type]
            except (KeyError, TypeError):
                bad = next(i for i, name in enumerate(values) if name not in self._index)  # type: ignore[arg-type]
                raise ValueError(f"peers[{bad}] = {values[bad]!r} is no name in this bank") from None  # type: ignore[index]
        return _whole(values, "peers")

    def heartbeat(
        self,
        peers: ArrayLike | Sequence[str],
        now: ArrayLike,
        sequence: ArrayLike | None = None,
        epoch: ArrayLike | None = None,
    ) -> NDArray[np.bool_]:
        """Take in heartbeats, in order; a peer may be there more than once.

        Parameters
        ----------
        peers : array of int, or of names, shape (n,)
            Whose heartbeats. One alone needs no array, here and below.
        now : array of int, shape (n,), or int [ns]
            When they arrived, strictly inside +-2**62 ns.
        sequence, epoch : array of int, shape (n,), or int, optional
            Their sequence numbers, and their senders' boot ids.

        Returns
        -------
        bool array, shape (n,)
            Which were accepted: a late, duplicate or reordered one (by `sequence`) is counted and ignored.

        Raises
        ------
        ValueError
            If a peer, an instant or a number is none, or lengths differ: names the parameter, the index and the
            value. No heartbeat was taken in.
        """
        with self._lock:
            numbers = self._numbers(peers)
            n = len(numbers)
            columns = (
                _column(now, "now", n, as_instants),
                None if sequence is None else _column(sequence, "sequence", n),
                None if epoch is None else _column(epoch, "epoch", n),
            )
            accepted = np.empty(n, np.uint8)
            self._core.heartbeat(numbers, *columns, accepted, self._counts)
        return accepted.view(np.bool_)

    def levels(self, now: SupportsIndex) -> NDArray[np.float64]:
        """The suspicion level of every peer at `now` (ns); NaN where too little is known. float64, shape (peers,)."""
        with self._lock:
            out = np.empty(len(self))
            self._core.levels(now, out)
        return out

    def suspected(self, now: SupportsIndex) -> NDArray[np.int64]:
        """The peers that are suspected at `now` (ns), by number, ascending. An unknown level is not."""
        with self._lock:
            return self._core.suspected(now, lambda count: np.empty(count, np.int64))

    def reset(self, peers: ArrayLike | Sequence[str]) -> None:
        """Forget the heartbeats of these peers, not the counters: as after a restart, but of this side's own will."""
        with self._lock:
            self._core.reset(self._numbers(peers))

    def resize(self, peers: int | Sequence[str]) -> None:
        """Grow or shrink the bank; what stays keeps its state. Old and new arrays are there together for a moment.

        Parameters
        ----------
        peers : int, or sequence of str
            How many there are from now on: the last ones go, new ones come after the last. In a bank with names, the
            names that there are from now on, in their new order; a peer is who has its name.
        """
        with self._lock:
            index = None
            if self._index is None:
                size = _as_size(peers)
                new = old = np.arange(min(size, len(self)))
            else:
                if isinstance(peers, SupportsIndex):
                    raise ValueError(f"peers must be the new names, got {peers!r}")
                index = _numbered(peers)
                size = len(index)
                stay = index.keys() & self._index.keys()
                new = np.array([index[name] for name in stay], np.int64)
                old = np.array([self._index[name] for name in stay], np.int64)
            heard = self._arrays[0]["heard"][old] == 1  # who was never heard has nothing to move
            new, old = new[heard], old[heard]
            arrays = self._allocate(size)
            for array, before in zip(arrays, self._arrays, strict=True):
                rows = max(1, PIECE // (before.itemsize * before[:1].size or 1))
                for low in range(0, len(new), rows):
                    array[new[low : low + rows]] = before[old[low : low + rows]]
            self._settle(self.threshold, *arrays)
            self._index, self.names = index, None if index is None else tuple(index)

    def snapshot(self, path: str | os.PathLike[str]) -> None:
        """Write the bank to one file, whole or not at all: beside it first, renamed when all of it is on the disk.

        The file holds the detector, the threshold, the names, the counters, each peer's state and the intervals that
        it knows. Other calls wait while it is written.
        """
        with replacing(path) as stream, self._lock:
            file = _Summed(stream)
            about = {
                "detector": self.detector.name,
                "parameters": dataclasses.asdict(self.detector),
                "threshold": self.threshold,
                "peers": len(self),
                "names": self.names,
                "counts": {verdict: self._count(verdict) for verdict in engine.VERDICT},
            }
            file.write(MAGIC + json.dumps(about).encode() + b"\n")
            for column in self._arrays[:-1]:
                file.write(_bytes(column))
            for ring, kept in self._pieces():
                file.write(_bytes(ring[kept]))
            stream.write(file.sum.to_bytes(4, "little"))

    def _pieces(self) -> Iterator[tuple[NDArray[np.int64], NDArray[np.bool_]]]:
        """Of a few peers at a time: their rings, and which places hold something."""
        accounts, ring = self._arrays[0], self._arrays[-1]
        window, columns = self.detector.compiled.window, self.detector.compiled.columns
        rows = max(1, PIECE // (8 * window or 1))
        for low in range(0, len(accounts) if ring.shape[1] else 0, rows):
            some = accounts[low : low + rows]
            known = np.where(some["full"], window, some["slot"])
            yield ring[low : low + rows], np.tile(np.arange(window) < known[:, None], columns)

    @classmethod
    def restore(cls, path: str | os.PathLike[str], detector: Detector | None = None) -> Self:
        """The bank that a file of `snapshot` holds.

        Parameters
        ----------
        path : path
        detector : Detector, optional
            What the file has to be about.

        Raises
        ------
        ValueError
            If the file is none of this version's, damaged, cut short, or about another detector: names the file.
        OSError
            If it cannot be read.

        Examples
        --------
        >>> import accrual as ac, os, tempfile
        >>> bank = ac.Bank(ac.PhiNormal(window=3), peers=2, threshold=5)
        >>> bank.heartbeat([1, 1, 1, 1], [0, 100, 210, 300]).all()
        np.True_
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     bank.snapshot(os.path.join(folder, "peers.bank"))
        ...     again = ac.Bank.restore(os.path.join(folder, "peers.bank"), detector=ac.PhiNormal(window=3))
        >>> bank.levels(now=405).round(3), again.levels(now=405).round(3)
        (array([  nan, 0.568]), array([  nan, 0.568]))
        """
        try:
            with open(path, "rb") as stream:
                return cls._read(stream, detector)
        except (ValueError, TypeError, KeyError, AttributeError, OverflowError, RecursionError) as error:
            raise ValueError(f"{os.fspath(path)}: no bank that can be restored: {error}") from error

    @classmethod
    def _read(cls, stream: BinaryIO, detector: Detector | None) -> Self:
        file = _Summed(stream)
        if file.read(len(MAGIC)) != MAGIC:
            raise ValueError(f"it does not begin with {MAGIC.decode().strip()!r}")
        about = json.loads(file.readline(LONGEST_HEADER))
        written = DETECTORS[about["detector"]](**about["parameters"])
        if detector not in (None, written):
            raise ValueError(f"it is about {written!r}, not {detector!r}")
        peers = _as_size(about["peers"])
        # Before any memory is asked for: a file says how many peers it holds by its size, too.
        if peers * 64 > os.fstat(stream.fileno()).st_size:
            raise ValueError("it is cut short")
        bank = cls(written, peers, about["threshold"], about["names"])
        bank._counts[:] = [about["counts"][verdict] for verdict in engine.VERDICT]
        for column in bank._arrays[:-1]:
            file.read_into(column)
        if (bank._arrays[0]["slot"] > written.compiled.window).any():
            raise ValueError("an account is damaged")
        for ring, kept in bank._pieces():
            intervals = np.empty(np.count_nonzero(kept), np.int64)
            file.read_into(intervals)
            ring[kept] = intervals
        if stream.read(5) != file.sum.to_bytes(4, "little"):
            raise ValueError("its checksum is wrong: it was damaged")
        bank._settle(bank.threshold, *bank._arrays)  # adds up the sums anew: the file's own are not believed
        return bank


class _Summed:
    """A stream that adds up the CRC-32 of what goes through."""

    def __init__(self, stream: BinaryIO) -> None:
        self.stream = stream
        self.sum = 0

    def write(self, data: bytes | memoryview) -> None:
        self.sum = zlib.crc32(data, self.sum)
        self.stream.write(data)

    def read(self, size: int) -> bytes:
        data = self.stream.read(size)
        self.sum = zlib.crc32(data, self.sum)
        return data

    def readline(self, size: int) -> bytes:
        data = self.stream.readline(size)
        self.sum = zlib.crc32(data, self.sum)
        return data

    def read_into(self, array: NDArray[Any]) -> None:
        """Fill an array, or refuse."""
        data = _bytes(array)
        if self.stream.readinto(data) != len(data):  # type: ignore[attr-defined]
            raise ValueError("it is cut short")
        self.sum = zlib.crc32(data, self.sum)


def _bytes(array: NDArray[Any]) -> memoryview:
    """The bytes of a contiguous array."""
    return array.reshape(-1).view(np.uint8).data


def _numbered(names: Sequence[str]) -> dict[str, int]:
    """Each name's number."""
    if isinstance(names, str):
        raise ValueError(f"names must be a sequence of str, got one: {names!r}")
    index: dict[str, int] = {}
    for i, name in enumerate(names):
        if not isinstance(name, str):
            raise ValueError(f"names[{i}] = {name!r} is no str")
        if index.setdefault(name, i) != i:
            raise ValueError(f"names[{i}] = {name!r} is names[{index[name]}] too")
    return index


def _as_size(peers: Any) -> int:
    """Check a number of peers."""
    if isinstance(peers, bool) or not isinstance(peers, int | np.integer) or not 0 <= peers <= MOST_PEERS:
        raise ValueError(f"peers must be a whole number from 0 to 2**40, got {peers!r}")
    return int(peers)


def _whole(values: Any, name: str, convert: Callable[[Any, str], NDArray[np.int64]] = as_int64) -> NDArray[np.int64]:
    """An int64 array, by the rules of a trace's, but that floats are a mistake here even where they are whole."""
    column = convert(values, name)
    if len(column) and np.asarray(values).dtype.kind == "f":
        raise ValueError(f"{name} must hold integers, got floats")
    return column


def _column(
    values: Any, name: str, length: int, convert: Callable[[Any, str], NDArray[np.int64]] = as_int64
) -> NDArray[np.int64]:
    """As many values as there are heartbeats; a single one is all of them."""
    if np.ndim(values) == 0:
        return np.full(length, _whole([values], name, convert)[0])
    column = _whole(values, name, convert)
    if len(column) != length:
        raise ValueError(f"{name} has {len(column)} values, peers has {length}")
    return column
