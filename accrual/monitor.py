"""Watching one peer, one heartbeat at a time."""

from __future__ import annotations

import dataclasses
import enum
import logging
import math
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Self, cast

from accrual.core import engine
from accrual.detectors import DETECTORS, NS, seconds
from accrual.replay import as_detector

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable

    from accrual.detectors import Detector

__all__ = ["Change", "ManualClock", "Monitor", "State", "Stats"]

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
        Of these, s; the deviation with divisor n and without floor. NaN where there are none.
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
