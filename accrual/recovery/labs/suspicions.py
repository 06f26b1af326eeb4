"""Who suspects whom: heartbeats between all nodes of a network, and a detector for each pair."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import time
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any, Final, Self

from accrual.detectors import PhiNormal
from accrual.monitor import Monitor
from accrual.recovery.partition import Recognised, recognise
from accrual.traces import wire

if TYPE_CHECKING:
    from accrual.lab import Scene
    from accrual.recovery.labs.network import Place

__all__ = ["Suspicions", "check_watching"]

_PORT: Final = 7007
_LOOK: Final = 0.05  # how long a receiver waits before it looks whether it shall end [s]


def check_watching(period: float, threshold: float, settle: float) -> None:
    """Refuse what no one can watch with.

    Raises
    ------
    ValueError
        See `Suspicions`.
    """
    if not 0.001 <= period <= 1:
        raise ValueError(f"period must be from 0.001 to 1 s, got {period!r}")
    if not 0 < threshold <= 100:
        raise ValueError(f"threshold must be above 0 and at most 100, got {threshold!r}")
    if not 0 <= settle <= 5:
        raise ValueError(f"settle must be from 0 to 5 s, got {settle!r}")


class Suspicions:
    """Every node sends heartbeats to every other (processes of their own, UDP) and watches the others with a `Monitor`.

    Parameters
    ----------
    scene : Scene
        Where the senders are started; their recognitions are told there.
    places : list of Place
        The nodes.
    period : float
        Sending interval, 0.001 to 1 [s].
    threshold : float
        Phi above which a peer is suspected, up to 100.
    settle : float
        How long, up to 5, the matrix has to stand still until it is judged [s]: while a fault is being detected some
        suspect already and others do not, which looks one-way for a moment.

    Attributes
    ----------
    silent : set of str
        Nodes that do not report, for they are dead: their rows do not count.
    recognised : Recognised or None
        The latest finding.
    judged : dict of dict of bool
        The matrix that it was made from.
    history : list of (float, str)
        When the kind of finding changed (seconds of the scene), and to what.

    Notes
    -----
    The detector is `PhiNormal` with a floor of half a period on the deviation: over a bridge heartbeats keep time to
    0.3 ms, and what delays them is a busy machine, whose time slices are some milliseconds.
    """

    def __init__(
        self, scene: Scene, places: list[Place], period: float = 0.05, threshold: float = 8.0, settle: float = 0.3
    ) -> None:
        check_watching(period, threshold, settle)
        self._scene, self._places, self._period, self._settle = scene, places, period, settle
        detector = PhiNormal(window=200, min_samples=5, min_deviation=period / 2)
        self._monitors = {a.name: {b.name: Monitor(detector, threshold) for b in places if b is not a} for a in places}
        self._names = {place.host: place.name for place in places}
        self._locks = {place.name: threading.Lock() for place in places}
        self._senders: dict[str, list[subprocess.Popen[Any]]] = {place.name: [] for place in places}
        self._ended = threading.Event()
        self._seen: tuple[float, dict[str, dict[str, bool]]] = (-1.0, {})
        self.silent: set[str] = set()
        self.recognised: Recognised | None = None
        self.judged: dict[str, dict[str, bool]] = {}
        self.history: list[tuple[float, str]] = []

    def __enter__(self) -> Self:
        """Start receivers and senders."""
        with ExitStack() as stack:
            for place in self._places:
                with place.inside():
                    receiver = stack.enter_context(wire.Receiver(place.host, _PORT))
                thread = threading.Thread(target=self._receive, args=(place.name, receiver), daemon=True)
                thread.start()
                stack.callback(thread.join)
                stack.callback(self._ended.set)  # called first
            self._open = stack.pop_all()
        for place in self._places:
            self.revive(place.name)
        return self

    def __exit__(self, *exception: object) -> None:
        """End them."""
        for name in self._senders:
            self.kill(name)
        self._open.close()

    def revive(self, name: str) -> None:
        """Start a node's senders, a process for each peer."""
        self.silent.discard(name)
        [place] = [place for place in self._places if place.name == name]
        for peer in self._places:
            if peer is place:
                continue
            words = [str(os.getpid()), peer.host, str(_PORT), repr(self._period), str(time.monotonic_ns())]
            command = [sys.executable, "-IS", wire.__file__, *words]
            with place.inside():
                process = self._scene.spawn(command, f"heartbeats-{name}", stdin=subprocess.PIPE)
            self._senders[name].append(process)

    def kill(self, name: str) -> None:
        """Kill a node's senders."""
        self.silent.add(name)
        for process in self._senders[name]:
            process.kill()
        for process in self._senders[name]:
            process.wait()
            assert process.stdin is not None
            process.stdin.close()
        self._senders[name] = []

    def _receive(self, name: str, receiver: wire.Receiver) -> None:
        monitors = self._monitors[name]
        while not self._ended.is_set():
            datagram = receiver.receive(_LOOK)
            heartbeat = wire.decode(datagram.data) if datagram else None
            peer = self._names.get(datagram.host) if datagram else None
            if datagram and heartbeat and peer in monitors:
                with self._locks[name]:
                    monitors[peer].heartbeat(datagram.arrival, sequence=heartbeat.sequence, epoch=heartbeat.epoch)

    def matrix(self) -> dict[str, dict[str, bool]]:
        """Who suspects whom now; who does not report has no row. Nobody is suspected who never spoke."""
        now = time.monotonic_ns()
        found = {}
        for name, monitors in self._monitors.items():
            if name not in self.silent:
                with self._locks[name]:
                    found[name] = {peer: monitor.suspected(now) for peer, monitor in monitors.items()}
        return found

    def ready(self) -> bool:
        """Whether every node has heard enough of every other to judge it."""
        for name, monitors in self._monitors.items():
            with self._locks[name]:
                if not all(monitor.deadline() is not None for monitor in monitors.values()):
                    return False
        return True

    def look(self) -> Recognised | None:
        """Read the matrix; when it has changed and stood still since, say what it shows. To be called often."""
        now, matrix = self._scene.now(), self.matrix()
        if matrix != self._seen[1]:
            self._seen = (now, matrix)
        if now - self._seen[0] >= self._settle:
            found = recognise(matrix, nodes=list(self._monitors), silent=self.silent)
            if self.recognised is None or found != self.recognised:
                self.recognised, self.judged = found, matrix
                self.history.append((now, found.kind))
                self._scene.tell("recogniser", f"{found.kind}{_told(found)}")
        return self.recognised


def _told(found: Recognised) -> str:
    words = [f"{' '.join(map(str, found.down))} down"] if found.down else []
    words += [f"{a} and {b} do not hear each other" for a, b in found.cut] if found.kind != "whole" else []
    words += [f"{b} does not hear {a}" for a, b in found.one_way]
    words += [" | ".join(" ".join(map(str, group)) for group in found.groups)] if len(found.groups) > 1 else []
    return f": {', '.join(words)}" if words else ""
