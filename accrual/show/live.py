"""A real process that beats, and what phi and k x T make of it while you watch: the live widget of lesson 3.

Four layers, kept apart:

* *numbers*: `Watch` tells two monitors of heartbeats and looks at both fifty times for each second; it knows no
  process, no socket and no clock.
* *process*: `Sender` is a process that can be paused, slowed, stopped and killed, and does not outlive us.
* *picture*: ``live.js``.
* *widget*: `LivePhi`, a thread that carries the one to the other.

**How the picture gets its numbers.** Twenty times a second the kernel sends samples, fifty for each second, each a
level that the monitors gave for an instant that lies behind us, when all heartbeats up to it are known; the browser
plays them back a fifth of a second later, at its own frame rate. The other way, to send after each heartbeat the levels
still to come and let the browser run ahead, needs fewer messages and has no delay; but what it shows is a guess that
the next heartbeat takes back, and a kernel that is busy for a moment would look like a peer that is silent. Drawing
each message when it comes would be simpler than both, and jerky: messages to a page are up to 50 ms late, and not
alike.
"""

from __future__ import annotations

import atexit
import contextlib
import math
import os
import queue
import secrets
import signal
import threading
import time
import weakref
from collections import deque
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any, Final, NamedTuple, Self

from traitlets import Bool, Dict, Float, TraitError, observe, validate

from accrual.detectors import NS, FixedTimeout, PhiNormal
from accrual.monitor import Monitor, State
from accrual.show.phi import stops
from accrual.show.widget import Widget, source
from accrual.traces import helper, wire
from accrual.traces.child import Child

if TYPE_CHECKING:
    from collections.abc import Iterable

    from accrual.monitor import Change

__all__ = ["Beat", "LivePhi", "Sender", "Watch", "example"]


# ---- numbers --------------------------------------------------------------------------------------------------------


class Beat(NamedTuple):
    """A heartbeat that arrived: when [ns], and its number and boot id."""

    arrival: int
    sequence: int
    epoch: int


class Watch:
    """Phi and a fixed timeout over the same heartbeats, sampled densely enough for a picture that moves.

    Parameters
    ----------
    period : float
        Of the fixed timeout, and the sender's own [s].
    threshold, k : float
        From which on each of the two suspects.
    origin : int
        The instant that is 0 in what it gives [ns].

    Attributes
    ----------
    phi, fixed : Monitor
        ``PhiNormal(window=50, min_deviation=0.1)``, with Akka's floor: on loopback the deviation alone is a fraction of
        a millisecond, and each hiccup of the scheduler would be a suspicion. And ``FixedTimeout(period)``.

    Examples
    --------
    >>> watch = Watch(period=0.2, threshold=8, k=5)
    >>> watch.follow([Beat(n * 200_000_000, n, epoch=1) for n in range(10)], until=3_000_000_000)
    >>> for event in watch.take()["events"]:
    ...     print(event["who"], event["what"], round(event["at"] - 1.8, 2))
    phi suspects 0.76
    fixed suspects 1.0
    """

    STEP: Final = 20_000_000
    """Between two samples [ns]."""

    def __init__(self, period: float, threshold: float, k: float, origin: int = 0) -> None:
        self._origin = self._seen = origin
        self._next = origin
        self._piece = _empty()
        self.phi = Monitor(PhiNormal(window=50, min_deviation=0.1), threshold, on_change=self._noticed)
        self.fixed = Monitor(FixedTimeout(period=period), k, on_change=self._noticed)
        self._last: int | None = None

    def follow(self, beats: Iterable[Beat], until: int) -> None:
        """Take in heartbeats, and look at both levels up to an instant, all heartbeats before which are among them."""
        for beat in beats:
            self._look(beat.arrival)
            self._sample(beat.arrival)  # the highest level, just before
            for monitor in (self.phi, self.fixed):
                monitor.heartbeat(now=beat.arrival, sequence=beat.sequence, epoch=beat.epoch)
            self._last = beat.arrival
            self._sample(beat.arrival)
            self._piece["beats"].append(self._seconds(beat.arrival))
        self._look(until)
        for monitor in (self.phi, self.fixed):
            monitor.state(max(until, self._seen))

    def _look(self, until: int) -> None:
        while self._next <= until:
            self._sample(self._next)
            self._next += self.STEP

    def _sample(self, at: int) -> None:
        self._seen = at = max(at, self._seen)  # a stamp may be a hair older than what was looked at
        self._piece["t"].append(self._seconds(at))
        for name, monitor in (("phi", self.phi), ("fixed", self.fixed)):
            level = monitor.level(now=at)
            self._piece[name].append(level if level == level else None)  # JSON knows no NaN

    def _seconds(self, at: int) -> float:
        return round((at - self._origin) / NS, 6)

    def _noticed(self, change: Change) -> None:
        who = "phi" if change.monitor is self.phi else "fixed"
        if change.new is State.SUSPECTED:
            self.note(who, "suspects", change.at)
        elif change.old is State.SUSPECTED:
            self.note(who, "trusts", change.at)

    def note(self, who: str, what: str, at: int) -> None:
        """Enter what happened: who is ``"phi"``, ``"fixed"`` or ``"you"``."""
        silent = None if self._last is None else max(at - self._last, 0) / NS
        self._piece["events"].append({"who": who, "what": what, "at": self._seconds(at), "silent": silent})

    def take(self) -> dict[str, list[Any]]:
        """Samples and events since the last call: lists of times [s], of both levels, of heartbeats and of events."""
        piece, self._piece = self._piece, _empty()
        piece["events"].sort(key=lambda event: event["at"])
        return piece


def _empty() -> dict[str, list[Any]]:
    return {"t": [], "phi": [], "fixed": [], "beats": [], "events": []}


def example(period: float, threshold: float, k: float) -> dict[str, list[Any]]:
    """What the widget shows before anything has run: a sender that is paused for two seconds.

    Examples
    --------
    >>> [event["what"] for event in example(0.2, 8, 5)["events"]]
    ['pause', 'suspects', 'suspects', 'resume', 'trusts', 'trusts']
    """
    step, end = round(period * NS), 10 * NS
    paused, resumed = 5 * NS + step // 2, 7 * NS + step // 2
    beats = [at for at in range(NS, end, step) if not paused < at < resumed]
    beats = sorted([*beats, resumed])  # one at once, then the schedule
    watch = Watch(period, threshold, k)
    watch.follow([Beat(at, n, 1) for n, at in enumerate(beats) if at < resumed], until=resumed - 1)
    watch.note("you", "pause", paused)
    watch.note("you", "resume", resumed)
    watch.follow([Beat(at, n, 1) for n, at in enumerate(beats) if at >= resumed], until=end)
    return watch.take()


# ---- process --------------------------------------------------------------------------------------------------------


class Sender:
    """A process that sends heartbeats to a port of this machine, and what can be done to it.

    It ends with the ``with`` block, and with us however we end: it watches a pipe that we hold, and where the system
    can, it is killed with the thread that made it, which has to be the one that uses it.

    Parameters
    ----------
    port : int
        Where it sends to, on 127.0.0.1.
    period : float
        Sending interval [s].

    Attributes
    ----------
    pid, epoch : int
        Its process id, and the boot id in its heartbeats.
    """

    def __init__(self, port: int, period: float) -> None:
        self.epoch = secrets.randbits(63)
        self._child = Child(wire.__file__, os.getpid(), "127.0.0.1", port, period, self.epoch)
        self.pid = self._child.pid
        self._slowing: Child | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        """End it in order: it sends nothing more, and is gone afterwards. The network is told nothing."""
        self._at_full_speed()
        self._child.__exit__(*exception)

    def pause(self) -> None:
        """Stop it where it stands, as a suspended machine does."""
        self._at_full_speed()
        os.kill(self.pid, signal.SIGSTOP)

    def resume(self) -> None:
        """Let it go on, at full speed."""
        self._at_full_speed()
        os.kill(self.pid, signal.SIGCONT)

    def slow(self) -> None:
        """Let it go on, but stop it now and then for a third of a second or so, as a starved machine does."""
        self.resume()
        # A process of its own: this one may be busy. It lets the sender go on when it ends, whatever ends it.
        self._slowing = Child(helper.__file__, "pause", self.pid, 0.3, 0.3, 0.4, secrets.randbits(32))

    def kill(self) -> None:
        """Kill it at once."""
        self._at_full_speed()
        os.kill(self.pid, signal.SIGKILL)

    def ended(self) -> bool:
        """Whether it is gone, by whatever hand."""
        return self._child.ended()

    def _at_full_speed(self) -> None:
        if self._slowing is not None:
            slowing, self._slowing = self._slowing, None
            slowing.__exit__(None, None, None)


def _arrived(receiver: wire.Receiver, epoch: int | None, patience: float) -> tuple[list[Beat], int, int]:
    """Heartbeats of this boot id that arrive within so many seconds, the instant up to which none is missing [ns], and
    how many datagrams were something else.

    Anybody on this machine can send to the port. Rubbish costs time and nothing more: a flood of it is left off, and
    read on next time.
    """
    beats: list[Beat] = []
    ignored = 0

    def take(datagram: wire.Datagram) -> None:
        nonlocal ignored
        heartbeat = wire.decode(datagram.data)
        if heartbeat is None or heartbeat.epoch != epoch:
            ignored += 1
        else:
            beats.append(Beat(datagram.arrival, heartbeat.sequence, heartbeat.epoch))

    end = time.monotonic_ns() + round(patience * NS)
    while (now := time.monotonic_ns()) < end:
        if (datagram := receiver.receive((end - now) / NS)) is not None:
            take(datagram)
    until = time.monotonic_ns()
    for _ in range(_AT_ONCE):
        if (datagram := receiver.receive(0)) is None:
            return beats, until, ignored
        take(datagram)
        until_then = datagram.arrival
        if until_then > until:
            return beats, until, ignored
    return beats, until_then, ignored


_AT_ONCE: Final = 1000
"""Datagrams that are read after the waiting is over; five a second is what is expected."""


# ---- widget ---------------------------------------------------------------------------------------------------------

ALIVE: Final = ("beating", "paused", "slowed")
"""Phases in which there is a process."""

ACTIONS: Final[dict[str, dict[str, Any]]] = {
    "start": {
        "label": "Start",
        "title": "Start a process that sends heartbeats",
        "from": ["ready", "stopped", "killed", "gone", "ended"],
        "to": "beating",
    },
    "pause": {
        "label": "Pause",
        "title": "Stop the process where it stands: SIGSTOP",
        "from": ["beating", "slowed"],
        "to": "paused",
    },
    "resume": {
        "label": "Go on",
        "title": "Let the process go on at full speed: SIGCONT",
        "from": ["paused", "slowed"],
        "to": "beating",
    },
    "slow": {
        "label": "Slow",
        "title": "Stop the process again and again for a moment, as if it were starved of the processor",
        "from": ["beating", "paused"],
        "to": "slowed",
    },
    "stop": {
        "label": "Stop",
        "title": "Let the process end in order",
        "from": list(ALIVE),
        "to": "stopped",
    },
    "kill": {
        "label": "Kill",
        "title": "Kill the process: SIGKILL",
        "from": list(ALIVE),
        "to": "killed",
    },
}
"""What can be done to the sender, in which phases, and to which phase that leads."""

PHIS: Final = stops(1, 100, (1, 2, 3, 5, 8))
BEATS: Final = [float(k) for k in range(1, 11)]

_LIVE: weakref.WeakSet[LivePhi] = weakref.WeakSet()


class LivePhi(Widget):
    """Phi and k x T over the heartbeats of a real process, while they come.

    Nothing runs before somebody presses Start, or calls `do`. From then on the page sends a heartbeat of its own, once
    a second; when it has been silent for `PATIENCE`, or says goodbye, nobody is looking any more, and the process is
    ended.

    Parameters
    ----------
    period : float
        Between the sender's heartbeats [s], from 0.05 to 5.

    Attributes
    ----------
    threshold, k : float
        Where the sliders are: from which phi, and from how many missed periods, the sender is suspected. Set one, and
        it goes to the nearest stop.
    phase : str
        ``"ready"``, ``"beating"``, ``"paused"``, ``"slowed"``, ``"stopped"``, ``"killed"``, ``"gone"`` (not by us) or
        ``"ended"`` (as nobody looked).
    pid : int or None
        The sender's process id, while there is one.
    events : deque of dict
        What happened since Start: ``who`` (``"you"``, ``"phi"``, ``"fixed"``), ``what``, ``at`` [s], and for how long
        the sender had been ``silent`` then [s].
    ignored : int
        Datagrams that were none of our sender's.

    Examples
    --------
    >>> LivePhi()
    LivePhi(not started; it will send a heartbeat every 0.2 s: phi against 8, beside 5 x 0.2 s)
    """

    _esm = source("controls.js", "live.js")
    _css = source("phi.css", "faults.css", "live.css")

    TICK: Final = 0.05
    """Between two messages to the page [s]."""
    PATIENCE: Final = 8.0
    """For how long the page may be silent [s]: hidden tabs run their timers once a second."""
    REST: Final = 60.0
    """For how long silence is watched when there is no sender [s]."""
    SHOWN: Final = 12.0
    """How far the picture reaches back [s]."""

    threshold = Float(8.0).tag(sync=True)
    k = Float(5.0).tag(sync=True)
    period = Float().tag(sync=True)
    stops = Dict().tag(sync=True)
    actions = Dict().tag(sync=True)
    example = Dict().tag(sync=True)
    begun = Bool(False).tag(sync=True)

    _thread: threading.Thread | None = None

    def __init__(self, period: float = 0.2) -> None:
        if not 0.05 <= period <= 5:
            raise ValueError(f"period must be from 0.05 to 5 s, got {period!r}")
        self.phase = "ready"
        self.why = ""
        self.pid: int | None = None
        self.ignored = 0
        self.events: deque[dict[str, Any]] = deque(maxlen=1000)
        self._wishes: queue.SimpleQueue[str] = queue.SimpleQueue()
        self._lock = threading.Lock()
        self._watch: Watch | None = None
        self._views: set[str] = set()
        self._look = Monitor(FixedTimeout(period=1.0), self.PATIENCE)
        self._history: deque[dict[str, list[Any]]] = deque()
        self._newcomer = False
        super().__init__(
            period=period,
            stops={"threshold": PHIS, "k": BEATS},
            actions=ACTIONS,
        )
        self._draw_example()
        self.on_msg(self._heard)
        _LIVE.add(self)

    @validate("threshold", "k")
    def _nearest(self, proposal: dict[str, Any]) -> float:
        name = proposal["trait"].name
        if not 0 < proposal["value"] < math.inf:
            raise TraitError(f"{name} must be more than 0, got {proposal['value']!r}")
        return min(PHIS if name == "threshold" else BEATS, key=lambda stop: abs(stop - proposal["value"]))

    @observe("threshold", "k")
    def _moved(self, change: Any) -> None:
        if (watch := self._watch) is not None:
            (watch.phi if change["name"] == "threshold" else watch.fixed).threshold = change["new"]
        elif self.period:
            self._draw_example()

    def _draw_example(self) -> None:
        self.example = {
            "threshold": self.threshold,
            "k": self.k,
            **example(self.period, self.threshold, self.k),
        }

    # ---- what the page says ----

    def _heard(self, _widget: object, content: Any, _buffers: object) -> None:
        if not isinstance(content, dict):
            return
        view = str(content.get("view", ""))[:40]
        if content.get("gone"):
            self._views.discard(view)
            if not self._views and self._running():
                self._wishes.put("nobody looks: the page was closed or the cell run again")
            return
        self._look.heartbeat()
        if view not in self._views and len(self._views) < 100:
            self._views.add(view)
            self._newcomer = True  # it has seen nothing yet
        if isinstance(content.get("do"), str):
            self.do(content["do"])
        elif self._newcomer and not self._running():
            self._tell(_empty())

    def do(self, action: str) -> None:
        """Do one of `ACTIONS` to the sender; what its phase does not allow is ignored.

        Raises
        ------
        ValueError
            No such action.
        """
        if action not in ACTIONS:
            raise ValueError(f"action must be one of {', '.join(ACTIONS)}, got {action!r}")
        with self._lock:
            if self._running():
                self._wishes.put(action)
            elif action == "start":
                self.begun = True
                self._look.heartbeat()
                self._wishes = queue.SimpleQueue()  # of what was wished before, nothing
                self._wishes.put(action)
                self._thread = threading.Thread(target=self._run, name="accrual-live", daemon=True)
                self._thread.start()

    def end(self) -> None:
        """End the process, if there is one, and wait for that."""
        thread = self._thread
        if thread is not None and thread.is_alive() and thread is not threading.current_thread():
            self._wishes.put("it was closed")
            thread.join(Child.PATIENCE + 5)

    def close(self) -> None:
        """End the process and take the widget out of the page."""
        self.end()
        super().close()

    def _running(self) -> bool:
        return self._thread is not None and self._thread.is_alive()

    # ---- the thread ----

    def _run(self) -> None:
        """Own the port and the process, from Start until nobody looks."""
        why = ""
        try:
            with wire.Receiver() as receiver, ExitStack() as stack:
                why = self._serve(receiver, stack)
        except Exception as error:  # whatever the system refuses: it has to be seen where somebody looks
            why = f"{type(error).__name__}: {error}"
        if self.phase in ALIVE or self.phase == "ready":
            self.phase = "ended"
        self.pid, self.why = None, why
        self._newcomer = True
        with contextlib.suppress(Exception):  # the connection may be what ended
            self._tell(_empty())

    def _serve(self, receiver: wire.Receiver, stack: ExitStack) -> str:
        """Do what is wished, and send samples; returns why it is over."""
        origin = time.monotonic_ns()
        watch = self._watch = Watch(self.period, self.threshold, self.k, origin)
        self._history.clear()
        self.events.clear()
        self.why, self.phase = "", "ready"
        self._newcomer = True
        sender: Sender | None = None
        beheld = origin  # when there was a sender last
        while True:
            while not self._wishes.empty():
                wish = self._wishes.get()
                if wish not in ACTIONS:
                    return wish
                if self.phase not in ACTIONS[wish]["from"]:
                    continue
                if wish == "start":
                    stack.close()  # who was there before
                    sender = stack.enter_context(Sender(receiver.port, self.period))
                    self.pid = sender.pid
                elif wish == "stop":
                    stack.close()
                else:
                    getattr(sender, wish)()
                    if wish == "kill":
                        stack.close()  # or a zombie would keep its number
                self.phase = ACTIONS[wish]["to"]
                watch.note("you", wish, time.monotonic_ns())
            if sender is not None and self.phase in ALIVE and sender.ended():
                stack.close()
                self.phase = "gone"
                watch.note("sender", "gone", time.monotonic_ns())
            beats, until, ignored = _arrived(receiver, None if sender is None else sender.epoch, self.TICK)
            self.ignored += ignored
            watch.follow(beats, until)
            self._tell(watch.take())
            if self.phase in ALIVE:
                beheld = until
            else:
                self.pid = None
            if (until - beheld) / NS > self.REST:
                return "the sender has been gone for a minute"
            if self._look.suspected():
                self._views.clear()
                return f"nobody has looked for {self.PATIENCE:g} s"

    def _tell(self, piece: dict[str, list[Any]]) -> None:
        """Send a piece to all views; all of the picture, if one of them has none yet."""
        self.events.extend(piece["events"])
        if piece["t"]:
            self._history.append(piece)
            while self._history[0]["t"][-1] < piece["t"][-1] - self.SHOWN:
                self._history.popleft()
        whole, self._newcomer = self._newcomer, False
        if whole:
            piece = {name: [x for one in self._history for x in one[name]] for name in piece}
            piece["events"] = list(self.events)[-50:]
        self.send(
            {
                "phase": self.phase,
                "why": self.why,
                "pid": self.pid,
                "ignored": self.ignored,
                "whole": whole,
                **piece,
            }
        )

    def describe(self) -> str:
        """What the widget shows now, in words."""
        patience = f"phi against {self.threshold:g}, beside {self.k:g} x {self.period:g} s"
        watch = self._watch
        if watch is None:
            return f"not started; it will send a heartbeat every {self.period:g} s: {patience}"
        times = {who: sum(e["who"] == who and e["what"] == "suspects" for e in self.events) for who in ("phi", "fixed")}
        return (
            f"{self.phase}: {watch.phi.accepted} heartbeats, {patience}; "
            f"suspected {times['phi']} times by phi, {times['fixed']} by k x T"
        )


@atexit.register
def _end_all() -> None:
    for live in tuple(_LIVE):
        live.end()
