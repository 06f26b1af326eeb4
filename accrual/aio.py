"""Watching monitors under asyncio: one timer on the earliest deadline, no polling."""

from __future__ import annotations

import asyncio
import heapq
import logging
import math
from collections import deque
from collections.abc import Mapping
from functools import partial
from typing import TYPE_CHECKING, Any

from accrual.detectors import NS, seconds
from accrual.monitor import Change, ManualClock, Monitor, State

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Callable, Hashable, Iterable

__all__ = ["watch"]

log = logging.getLogger("accrual")


def watch(
    monitors: Mapping[Any, Monitor] | Iterable[Monitor], *, lateness: float = 0.1, grace: float = 1.0
) -> AsyncGenerator[Change, None]:
    """Give the changes of the monitors' states as they come: ``async for change in watch(monitors)``.

    It begins with the monitors that are suspected now; then come all changes, of one monitor in order, each once.
    Heartbeats and queries may come from any thread. One timer stands at the earliest instant at which a state can
    change; a heartbeat wakes the watch only if that comes nearer. Cancelling the task, or closing the generator
    (``contextlib.aclosing``), leaves nothing behind.

    **Local pause.** When its timer comes late, this process has stalled (a blocked event loop, a suspended container),
    and heartbeats may wait unread: for a grace period nobody is reported as suspected. Who is still suspected then is
    reported then. Levels, states and `Monitor.on_change` are untouched. A loop that is late all the time suspects
    nobody; the logger "accrual" warns of each pause.

    Parameters
    ----------
    monitors : mapping of name to Monitor, or iterable of Monitor
        All of one clock. `Change.name` is the name, or None.
    lateness : float
        A timer that comes later than this, s, means a local pause.
    grace : float
        How long after it nobody is suspected, s: some heartbeats' time.

    Raises
    ------
    TypeError
        If one of them is no Monitor.
    ValueError
        If their clocks differ, or lateness or grace is no duration.

    Examples
    --------
    >>> import asyncio, accrual as ac, accrual.aio
    >>> async def main():
    ...     clock = ac.ManualClock()
    ...     m = ac.Monitor(ac.FixedTimeout(period=1), threshold=3, clock=clock)
    ...     m.heartbeat()
    ...     changes = ac.aio.watch({"db": m})
    ...     clock.advance(5)
    ...     async for change in changes:
    ...         return change
    >>> change = asyncio.run(main())
    >>> change.name, change.new, change.at
    ('db', <State.SUSPECTED: 'suspected'>, 3000000000)
    """
    named: list[tuple[Hashable, Monitor]] = (
        list(monitors.items()) if isinstance(monitors, Mapping) else [(None, monitor) for monitor in monitors]
    )
    for _, monitor in named:
        if not isinstance(monitor, Monitor):
            raise TypeError(f"monitors must be accrual.Monitor objects, got {monitor!r}")
        if monitor.clock != named[0][1].clock:
            raise ValueError(f"monitors must have one clock, got {named[0][1].clock!r} and {monitor.clock!r}")
    return _changes(named, seconds("lateness", lateness), seconds("grace", grace))


async def _changes(
    named: list[tuple[Hashable, Monitor]], lateness: float, grace: float
) -> AsyncGenerator[Change, None]:
    if not named:
        return
    watcher = _Watcher(named, lateness, grace)
    try:
        watcher.start()
        while True:
            while watcher.reports:
                yield watcher.reports.popleft()
            if watcher.failure is not None:
                raise watcher.failure
            watcher.news.clear()
            await watcher.news.wait()
    finally:
        watcher.stop()


class _Watched:
    """One monitor of a watch."""

    def __init__(self, name: Hashable, monitor: Monitor, listener: Callable[..., None]) -> None:
        self.name = name
        self.monitor = monitor
        self.listener = listener
        self.reported = State.UNKNOWN if math.isnan(monitor.level()) else State.TRUSTED
        self.due: int | None = None  # when to look at it next


class _Watcher:
    """Works in the event loop's own callbacks, so that a slow reader of its reports delays no judgement."""

    def __init__(self, named: list[tuple[Hashable, Monitor]], lateness: float, grace: float) -> None:
        self.loop = asyncio.get_running_loop()
        self.clock = named[0][1].clock
        self.lateness, self.grace = lateness, grace
        self.watched = [_Watched(name, monitor, partial(self.hear, i)) for i, (name, monitor) in enumerate(named)]
        self.heard: deque[tuple[int, Change | None]] = deque()  # by any thread: number of the watched, what it said
        self.waking = False  # the loop was told that something was heard
        self.dues: list[tuple[int, int]] = []  # heap of (when, number); void where the watched one's `due` differs
        self.timer: asyncio.TimerHandle | None = None
        self.quiet_until = -math.inf  # loop time; nobody is reported as suspected before
        self.withheld = set(range(len(named)))  # to be judged once it is not quiet: at first all
        self.reports: deque[Change] = deque()
        self.news = asyncio.Event()
        self.failure: Exception | None = None
        self.stopped = False

    def start(self) -> None:
        for i, watched in enumerate(self.watched):
            watched.monitor._subscribe(watched.listener, watched.listener)
            self.heard.append((i, None))
        if isinstance(self.clock, ManualClock):
            self.clock._moved.append(self.wake)
        self.look()

    def stop(self) -> None:
        self.stopped = True
        if self.timer is not None:
            self.timer.cancel()
        if isinstance(self.clock, ManualClock):
            self.clock._moved.remove(self.wake)
        for watched in self.watched:
            watched.monitor._unsubscribe(watched.listener, watched.listener)

    def hear(self, i: int, change: Change | None = None) -> None:
        """Note a change, or that the next one came nearer; called in whatever thread noticed it."""
        self.heard.append((i, change))
        self.wake()

    def wake(self) -> None:
        if not self.waking:
            self.waking = True
            self.loop.call_soon_threadsafe(self.look_safely)

    def look_safely(self) -> None:
        try:
            if not self.stopped:
                self.look()
        except Exception as error:  # the user's clock, say: for the reader of the changes, not for the loop's log
            self.failure = error
            self.news.set()

    def look(self) -> None:
        """Judge what was heard and what is due, then wait for the next."""
        self.waking = False
        self.mind_the_pause()
        now = self.clock()
        while self.dues and self.dues[0][0] <= now:
            due, i = heapq.heappop(self.dues)
            if self.watched[i].due == due:
                self.watched[i].due = None
                self.heard.append((i, None))
        touched = set()
        while self.heard:
            i, change = self.heard.popleft()
            touched.add(i)
            if change is None:
                self.watched[i].monitor.state(now)  # what it notices is heard
            else:
                self.judge(i, change.new, change.at, change.level)
        if self.withheld and self.loop.time() >= self.quiet_until:
            for i in sorted(self.withheld):
                monitor = self.watched[i].monitor
                self.judge(i, monitor.state(now), now, monitor.level(now))
            self.withheld.clear()
        for i in touched:
            self.await_change(i, now)
        self.set_timer(now)

    def mind_the_pause(self) -> None:
        late = self.loop.time() - self.timer.when() if self.timer is not None else 0.0
        if late > self.lateness:
            self.quiet_until = self.loop.time() + self.grace
            log.warning("local pause: a timer came %.3f s late, so nobody is suspected for %.3f s", late, self.grace)

    def judge(self, i: int, new: State, at: int, level: float) -> None:
        watched = self.watched[i]
        if new is State.SUSPECTED and self.loop.time() < self.quiet_until:
            self.withheld.add(i)
        elif new is not watched.reported:
            self.reports.append(
                Change(old=watched.reported, new=new, at=at, level=level, monitor=watched.monitor, name=watched.name)
            )
            watched.reported = new
            self.news.set()

    def await_change(self, i: int, now: int) -> None:
        watched = self.watched[i]
        due = watched.monitor._await_change(now)
        if due is not None and due != watched.due:
            heapq.heappush(self.dues, (due, i))
        watched.due = due

    def set_timer(self, now: int) -> None:
        if self.timer is not None:
            self.timer.cancel()
        delay = (self.dues[0][0] - now) / NS if self.dues else math.inf
        when = min(self.loop.time() + delay, self.quiet_until if self.withheld else math.inf)
        self.timer = self.loop.call_at(when, self.look_safely) if when < math.inf else None
