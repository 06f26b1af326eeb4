"""What etcd and ZooKeeper have in common for a lab: three servers, a leader among them, writes that are acknowledged.

A write that was sent and not answered is *unknown*: the server may have taken it and died before it said so. It counts
neither as acknowledged nor as failed, and a lab that called it failed would find writes that "came back".
"""

from __future__ import annotations

import os
import signal
import subprocess
import threading
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import Any, ClassVar, Final, NamedTuple

from accrual.lab import LabError, Lack, Scene
from accrual.lab.scene import free_port
from accrual.recovery.labs.network import Place

__all__ = ["Attempt", "Ensemble", "NotTakenError", "UnknownOutcomeError", "Writer", "check_size", "on_loopback"]

START: Final = 25.0
"""How long servers may take until they have a leader [s]; one to three seconds are the rule."""
STALE: Final = 0.25
"""How long a client waits for an answer before it tries elsewhere [s]. A follower forwards a write to the leader that
has just died and says nothing: with 5 s here the measured gap is 5 s."""
_SIZES: Final = (3, 5, 7)


class NotTakenError(Exception):
    """The server has not taken the write, for certain: it was not reached, or said so."""


class UnknownOutcomeError(Exception):
    """The write was sent and not answered."""


class Reads(NamedTuple):
    """What a read gave: the keys, or why not."""

    keys: set[str] | None
    said: str


def check_size(nodes: int) -> None:
    """Refuse sizes that are no good for a majority.

    Raises
    ------
    ValueError
        If it is not 3, 5 or 7.
    """
    if nodes not in _SIZES:
        raise ValueError(
            f"nodes must be 3, 5 or 7, got {nodes!r}: an even number tolerates no more failures than one less, "
            "and more than seven only cost time"
        )


def on_loopback(nodes: int) -> list[Place]:
    """Places for that many nodes on 127.0.0.1."""
    return [Place(f"n{i}", "127.0.0.1", nullcontext()) for i in range(1, nodes + 1)]


class Ensemble(ABC):
    """Servers that elect a leader by majority.

    Parameters
    ----------
    scene : Scene
    places : list of Place
        Where they run.

    Attributes
    ----------
    processes : list of Popen or None
        The servers; None that was not started yet.
    """

    system: ClassVar[str]
    ports_each: ClassVar[int]

    def __init__(self, scene: Scene, places: Sequence[Place]) -> None:
        self.scene, self.places = scene, list(places)
        self.processes: list[subprocess.Popen[Any] | None] = [None] * len(places)
        self.ports = [[free_port() for _ in range(self.ports_each)] for _ in places]
        self._stopped: set[int] = set()

    @staticmethod
    @abstractmethod
    def lacking() -> list[Lack]:
        """What this machine lacks for it."""

    @abstractmethod
    def version(self) -> str:
        """Of the servers."""

    @abstractmethod
    def _spawn(self, node: int) -> subprocess.Popen[Any]:
        """Start one server."""

    @abstractmethod
    def is_leader(self, node: int) -> bool:
        """Whether that server says that it leads; False where it says nothing."""

    @abstractmethod
    def term(self, node: int) -> int | None:
        """The term (ZooKeeper: epoch) that it is in; None where it says nothing."""

    @abstractmethod
    def client(self, node: int) -> Client:
        """A client of that server, to be used by one thread. It connects with its first write or read."""

    def folder(self, node: int) -> Path:
        """Where a server keeps its data."""
        folder = self.scene.folder / f"{self.system}-{self.places[node].name}"
        folder.mkdir(exist_ok=True)
        return folder

    def start(self) -> int:
        """Start all, and wait until they have a leader and take writes; which one leads."""
        for node in range(len(self.places)):
            self.revive(node)
        leader = self.wait_for_leader(range(len(self.places)), START)
        self.scene.wait_until(self._all_serve, START, f"{self.system}: all servers in service")
        return leader

    def _all_serve(self) -> bool:
        self.check()
        return all(self.term(node) is not None for node in range(len(self.places)))

    def revive(self, node: int) -> None:
        """Start a server that was not started or was killed, with the data that it has."""
        with self.places[node].inside:
            self.processes[node] = self._spawn(node)

    def check(self) -> None:
        """Raise LabError if a server that should run has ended, with what it said."""
        for node, process in enumerate(self.processes):
            if process is not None and process.poll() is not None and process.returncode != -signal.SIGKILL:
                name = self.places[node].name
                said = self.scene.log_of(f"{self.system}-{name}", 3)
                raise LabError(f"{self.system} {name} ended with status {process.returncode}: {said}")

    def leader(self, among: Sequence[int] | range) -> int | None:
        """Which of these servers leads, if any."""
        return next((node for node in among if self.is_leader(node)), None)

    def wait_for_leader(self, among: Sequence[int] | range, patience: float = 15.0) -> int:
        """Wait until one of these servers leads; which."""

        def found() -> list[int]:
            self.check()
            leader = self.leader(among)
            return [] if leader is None else [leader]

        [leader] = self.scene.wait_until(found, patience, f"{self.system}: a leader")
        return leader

    def signal(self, node: int, number: int) -> None:
        """Send a server a signal."""
        process = self.processes[node]
        assert process is not None
        process.send_signal(number)
        if number == signal.SIGKILL:
            process.wait()


class Client(ABC):
    """A client of one server, used by one thread, which creates it in the server's or its own namespace."""

    @abstractmethod
    def write(self, key: str, timeout: float = STALE) -> None:
        """Write a key; returns if the server acknowledges it within `timeout` [s].

        Raises
        ------
        NotTakenError
            It was not taken.
        UnknownOutcomeError
            Nobody knows.
        """

    @abstractmethod
    def read(self, timeout: float, stale: bool = False) -> set[str]:
        """All keys; with `stale`, those that this server knows, without asking the others.

        Raises
        ------
        NotTakenError, UnknownOutcomeError
            It did not answer, or refused.
        """

    @abstractmethod
    def close(self) -> None:
        """Give the connection back."""


class Attempt(NamedTuple):
    """One write: its key, where it went, when it began and ended (s of the scene), and what became of it."""

    key: str
    node: int
    began: float
    ended: float
    outcome: str  # "acknowledged", "refused" or "unknown"


class Writer:
    """A thread that writes a key after the other, to one server as long as it answers, then to the next.

    Parameters
    ----------
    scene : Scene
    name : str
        Its keys begin with it.
    client : callable
        Gives a client of a server by its number.
    targets : sequence of int
        The servers that it may use, the first first.
    pace : float
        Between one write's end and the next one's beginning [s].
    inside : context manager
        Where it runs.
    """

    def __init__(
        self,
        scene: Scene,
        name: str,
        client: Callable[[int], Client],
        targets: Sequence[int],
        pace: float = 0.005,
        inside: Any = None,
    ) -> None:
        self.name, self.attempts = name, list[Attempt]()
        self._scene, self._client, self._targets = scene, client, list(targets)
        self._pace, self._inside = pace, inside or nullcontext()
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)

    def __enter__(self) -> Writer:
        """Begin."""
        self._thread.start()
        return self

    def __exit__(self, *exception: object) -> None:
        """End; the last write is waited for."""
        self._ended.set()
        self._thread.join()

    def _run(self) -> None:
        with self._inside, _all(self._client, self._targets) as clients:
            turn = number = 0
            while not self._ended.wait(self._pace):
                node = self._targets[turn % len(self._targets)]
                number += 1
                key, began = f"{self.name}-{number:06d}", self._scene.now()
                try:
                    clients[node].write(key)
                    outcome = "acknowledged"
                except NotTakenError:
                    outcome = "refused"
                except UnknownOutcomeError:
                    outcome = "unknown"
                self.attempts.append(Attempt(key, node, began, self._scene.now(), outcome))
                if outcome != "acknowledged":
                    turn += 1

    def keys(self, outcome: str, since: float = 0.0, until: float = float("inf")) -> set[str]:
        """The keys of the writes that began in a span of time and had this outcome."""
        return {one.key for one in list(self.attempts) if one.outcome == outcome and since <= one.began < until}

    def acknowledged_since(self, instant: float) -> Attempt | None:
        """The first write that began after an instant and was acknowledged."""
        attempts = iter(list(self.attempts))
        return next((one for one in attempts if one.outcome == "acknowledged" and one.began > instant), None)

    def gap_at(self, instant: float) -> float | None:
        """How long nothing was acknowledged around an instant [s]; None if it lasts."""
        acknowledged = [one.ended for one in list(self.attempts) if one.outcome == "acknowledged"]
        after = self.acknowledged_since(instant)
        before = max((end for end in acknowledged if end <= instant), default=None)
        return None if after is None or before is None else after.ended - before


@contextmanager
def _all(client: Callable[[int], Client], targets: Sequence[int]) -> Iterator[dict[int, Client]]:
    clients = {node: client(node) for node in targets}
    try:
        yield clients
    finally:
        for one in clients.values():
            one.close()


def pause(scene: Scene, seconds: float, look: Callable[[], object] = lambda: None) -> None:
    """Let a time pass, looking at something now and then."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        look()
        time.sleep(min(0.01, max(0.0, end - time.monotonic())))


def version_at_least(text: str, least: tuple[int, ...]) -> bool:
    """Whether a dotted version is at least that; False for what is none.

    Examples
    --------
    >>> version_at_least("3.5.1", (3, 4)), version_at_least("3.3.25", (3, 4)), version_at_least("?", (3, 4))
    (True, False, False)
    """
    parts = text.split(".")
    return all(part.isdigit() for part in parts[:2]) and tuple(map(int, parts[:2])) >= least


def java_environment() -> dict[str, str]:
    """Of a Java program that is not to take more than a small machine has."""
    return {"JAVA_TOOL_OPTIONS": ""} if "JAVA_TOOL_OPTIONS" in os.environ else {}
