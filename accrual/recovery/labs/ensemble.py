"""What etcd and ZooKeeper have in common for a lab: an odd number of servers that elect a leader by majority.

A write that was sent and not answered is *unknown*: a server may have taken it and died before it said so. It counts
neither as acknowledged nor as failed, and a lab that called it failed would find writes that came back.
"""

from __future__ import annotations

import itertools
import signal
from abc import ABC, abstractmethod
from collections.abc import Sequence
from contextlib import nullcontext
from typing import ClassVar, Final, Protocol

from accrual.lab import LabError, Lack, Scene
from accrual.lab.scene import free_port
from accrual.recovery.labs.network import Place
from accrual.recovery.labs.servers import Server, complaint
from accrual.recovery.labs.writes import Session

__all__ = ["STALE", "Ensemble", "EnsembleSession", "Rotation", "check_size", "on_loopback"]

STALE: Final = 0.25
"""How long a client waits for an answer until it goes elsewhere [s]. A follower that forwards a write to the leader
that has just died says nothing: with 5 s here, the gap that one measures is 5 s."""

_START: Final = 30.0  # until servers have a leader [s]; one to three seconds are the rule
_READ: Final = 15.0  # until a read of all keys succeeds [s]
_SIZES: Final = (3, 5, 7)


class EnsembleSession(Session, Protocol):
    """A connection to one server."""

    def read(self, patience: float, stale: bool = False) -> set[str]:
        """All keys that a majority agrees on, or, with `stale`, those that this server has; OSError: no answer."""


def check_size(nodes: int) -> None:
    """Refuse sizes that are no good for a majority.

    Raises
    ------
    ValueError
        It is not 3, 5 or 7.
    """
    if nodes not in _SIZES:
        raise ValueError(
            f"nodes must be 3, 5 or 7, got {nodes!r}: of an even number no more may fail than of one less, "
            "and the majority of three is the least that outvotes anybody"
        )


def on_loopback(nodes: int) -> list[Place]:
    """Places n1, n2, ... for servers on 127.0.0.1."""
    return [Place(f"n{i}", "127.0.0.1", nullcontext) for i in range(1, nodes + 1)]


class Member(Server):
    """A server of an ensemble, in its place.

    Attributes
    ----------
    place : Place
    ports : list of int
        The client's first.
    """

    def __init__(self, scene: Scene, system: str, place: Place, ports: int) -> None:
        self.place, self.ports = place, [free_port() for _ in range(ports)]
        super().__init__(scene, f"{system}-{place.name}", self.ports[0], place.host, place.inside)


class Ensemble(ABC):
    """Servers that elect a leader by majority.

    Parameters
    ----------
    scene : Scene
    places : list of Place
        Where they run.

    Attributes
    ----------
    members : list of Member
    """

    system: ClassVar[str]
    ports_each: ClassVar[int]

    def __init__(self, scene: Scene, places: Sequence[Place]) -> None:
        self.scene = scene
        self.members = [Member(scene, self.system, place, self.ports_each) for place in places]

    @staticmethod
    @abstractmethod
    def lacking() -> list[Lack]:
        """What this machine lacks for it."""

    @abstractmethod
    def version(self) -> str:
        """Of the servers."""

    @abstractmethod
    def revive(self, node: int) -> None:
        """Start a server that was not started yet, or was killed, with the data that it has."""

    @abstractmethod
    def is_leader(self, node: int) -> bool:
        """Whether that server says that it leads; False where it says nothing."""

    @abstractmethod
    def term(self, node: int) -> int | None:
        """The term (ZooKeeper: epoch) of a server that is in service; None of one that is not."""

    @abstractmethod
    def session(self, node: int) -> EnsembleSession:
        """A connection to that server, from wherever the calling thread is; OSError: there is none."""

    def name(self, node: int) -> str:
        """Of a node."""
        return self.members[node].place.name

    def start(self) -> int:
        """Start all, and wait until they have a leader and are in service; which one leads."""
        everybody = range(len(self.members))
        for node in everybody:
            self.revive(node)
        leader = self.wait_for_leader(everybody, _START)
        self.scene.wait_until(
            lambda: self.check() and None not in map(self.term, everybody), _START, f"{self.system}: all in service"
        )
        return leader

    def check(self) -> bool:
        """Raise LabError if a server ended that was not killed, with what it said; else True."""
        for member in self.members:
            status = member.process.poll()
            if status not in (None, -signal.SIGKILL):
                raise LabError(f"{member.name} ended with status {status}: {complaint(self.scene, member.name)}")
        return True

    def wait_for_leader(self, among: Sequence[int], patience: float = 15.0) -> int:
        """Wait until one of these servers leads; which."""

        def leaders() -> list[int]:
            self.check()
            return [node for node in among if self.is_leader(node)]

        return self.scene.wait_until(leaders, patience, f"{self.system}: a leader")[0]

    def keys(self, node: int) -> set[str]:
        """All keys, by a read that asks the majority through a server; again while an election is on."""
        said: OSError | None = None

        def read() -> list[set[str]]:
            nonlocal said
            try:
                session = self.session(node)
                try:
                    return [session.read(5.0)]
                finally:
                    session.close()
            except OSError as error:
                said = error
                return []

        with self.members[node].place.inside():
            try:
                return self.scene.wait_until(read, _READ, f"{self.system}: a read of all keys")[0]
            except LabError as error:
                raise LabError(f"{error}: {said}") from None


class Rotation:
    """What a `Writer` connects with: to one server as long as it answers, then to the next.

    Attributes
    ----------
    node : int
        To which it connected last.
    """

    def __init__(self, ensemble: Ensemble, nodes: Sequence[int]) -> None:
        self._ensemble, self._order = ensemble, itertools.cycle(nodes)
        self.node = nodes[0]

    def __call__(self, _node: str) -> EnsembleSession:
        """Connect to the next."""
        self.node = next(self._order)
        return self._ensemble.session(self.node)
