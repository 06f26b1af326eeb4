"""What is simulated: a cluster, its policies, and the faults that strike it."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final, Literal

from accrual.core import engine
from accrual.detectors import Detector, FixedTimeout, as_detector

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["FAULTS", "ClockError", "Cluster", "Crash", "Cut", "Fault", "Partition", "Pause", "SlowDisk"]

ELECTIONS: Final = ("raft", "bully", "majority", "zab")
REPLICATIONS: Final = ("async", "semi-sync", "sync", "quorum")
CHOICES: Final = {
    "election": ELECTIONS,
    "replication": REPLICATIONS,
    "wait_point": ("before commit", "after commit"),
    "fencing": ("none", "terms", "stonith"),
    "policy": ("cp", "ap"),
    "heal": ("truncate", "last-writer-wins"),
    "read_from": ("primary", "any"),
}
LONGEST: Final = 1e6  # of any duration in here [s]: eleven days


@dataclass(frozen=True, kw_only=True)
class Cluster:
    """One primary and its backups, with clients: node 0 is the primary at the start.

    Parameters
    ----------
    nodes : int
        1 to 15. An even number is allowed and buys nothing: 4 nodes stand the loss of 1, as 3 do (see `explain`).
    clients : int
        Who take turns in sending requests.
    rate, reads, keys : float, float, int
        Requests a second, of all clients; the share that are reads; how many keys there are.
    read_from : {"primary", "any"}
        Where reads go; "any" node may be behind.
    detector, threshold, period : Detector, float, float
        What each backup watches the primary with, and how often that beats [s].
    delay, jitter, loss : float
        One way [s], to which an exponential time of mean `jitter` is added; the share of heartbeats that are lost.
    disk : float
        Time of a durable write [s].
    election : {"raft", "bully", "majority", "zab"}
        See `accrual.recovery.election`.
    election_timeout : (float, float)
        Raft-like and majority: after a suspicion a random time from 0 to high - low, then from low to high. Bully: low
        is how long answers are waited for, high how long for the winner. ZAB-like: low is the wait before the best
        stands (200 ms in ZooKeeper) [s]. Low must be well above a round trip and a durable write (Raft's timing
        requirement): else the next term begins before the votes of this one are there, perhaps for ever.
    prevote : bool
        Raft-like: before it raises the term, whoever would stand asks who would vote for it; nobody would that hears a
        primary (Ongaro 2014, 9.6). A node that was cut off then deposes nobody when it is back.
    replication : {"async", "semi-sync", "sync", "quorum"}
        When the client is told OK: once the primary has the write; once `acks` backups have it too; all of them; once
        `acks` nodes have it, the primary included.
    acks : int, optional
        By default 1 (semi-sync), a majority (quorum).
    wait_point : {"before commit", "after commit"}
        Semi-sync: whether others can read the write only after the backup has it (MySQL's AFTER_SYNC), or before.
    fallback_after : float, optional
        Semi-sync: a wait so long, s, turns replication asynchronous, silently (10 s in MySQL); None: never.
    fencing : {"none", "terms", "stonith"}
        What stops an old primary: nothing, until `demote_after`; the newer term that it hears of; power-off before
        anybody is promoted, `stonith_time` after the election.
    lease : float, optional
        The primary stops so long, s, after it last sent a heartbeat that a majority answered; nobody votes before the
        leases that it granted are over.
    drift_bound : float
        How wrong a clock's rate may be at most, as a share; leases allow for it.
    policy : {"cp", "ap"}
        Whether an election needs a majority of all nodes, or of those that can be reached.
    heal : {"truncate", "last-writer-wins"}
        What becomes of writes that only a demoted primary has.
    wait_before_promote : float
        So long after a suspicion nobody stands for election [s].
    demote_after, restart_after : float
        Without fencing an old primary that meets the new one goes on for so long (10 s with Redis Sentinel); a node
        that was powered off comes back after so long [s].
    patience, request_timeout : float
        A client tries another node after so long without an answer, and gives up after so long [s]. A request that
        took longer than `patience` is slow.
    """

    nodes: int = 3
    clients: int = 1
    rate: float = 100.0
    reads: float = 0.5
    keys: int = 16
    read_from: str = "primary"
    detector: Detector = field(default_factory=lambda: FixedTimeout(period=0.1))
    threshold: float = 5.0
    period: float = 0.1
    delay: float = 0.001
    jitter: float = 0.0
    loss: float = 0.0
    disk: float = 0.0005
    election: str = "raft"
    election_timeout: tuple[float, float] = (0.15, 0.3)
    prevote: bool = False
    replication: str = "async"
    acks: int | None = None
    wait_point: str = "before commit"
    fallback_after: float | None = 10.0
    fencing: str = "terms"
    stonith_time: float = 0.2
    lease: float | None = None
    drift_bound: float = 0.0
    policy: str = "cp"
    heal: str = "truncate"
    wait_before_promote: float = 0.0
    demote_after: float = 10.0
    restart_after: float = 5.0
    patience: float = 0.1
    request_timeout: float = 1.0

    def __post_init__(self) -> None:
        as_detector(self.detector)
        _whole("nodes", self.nodes, 1, 15)
        _whole("clients", self.clients, 1, 100)
        _whole("keys", self.keys, 1, 10**6)
        for name, allowed in CHOICES.items():
            if getattr(self, name) not in allowed:
                raise ValueError(f"{name} must be one of {', '.join(allowed)}, got {getattr(self, name)!r}")
        _between("rate", self.rate, 0.0, 1e5)
        for name in ("reads", "loss"):
            _between(name, getattr(self, name), 0.0, 1.0)
        _between("drift_bound", self.drift_bound, 0.0, 0.5)
        engine.as_threshold(self.threshold)
        for name in ("delay", "jitter", "disk", "stonith_time", "wait_before_promote", "demote_after", "restart_after"):
            _between(name, getattr(self, name), 0.0, LONGEST)
        for name in ("period", "patience", "request_timeout"):
            _between(name, getattr(self, name), 1e-4, LONGEST)
        for name in ("lease", "fallback_after"):
            if getattr(self, name) is not None:
                _between(name, getattr(self, name), 1e-4, LONGEST)
        try:
            low, high = self.election_timeout
        except (TypeError, ValueError):
            raise ValueError(f"election_timeout must be two times, got {self.election_timeout!r}") from None
        _between("election_timeout[0]", low, 1e-4, LONGEST)
        _between("election_timeout[1]", high, low, LONGEST)
        if not isinstance(self.prevote, bool) or (self.prevote and self.election != "raft"):
            raise ValueError(f"prevote must be False, or True for raft, got {self.prevote!r} for {self.election}")
        if self.acks is not None:
            most = {"semi-sync": self.nodes - 1, "quorum": self.nodes}.get(self.replication)
            if most is None:
                raise ValueError(f"acks is for semi-sync and quorum, replication is {self.replication!r}")
            _whole("acks", self.acks, 1, most)
        if self.replication == "semi-sync" and self.nodes < 2:
            raise ValueError("semi-sync needs a backup: nodes must be 2 or more, got 1")

    @property
    def majority(self) -> int:
        """The least number of nodes that are more than half."""
        return self.nodes // 2 + 1

    @property
    def backups_needed(self) -> int:
        """How many backups must have a write before the client is told OK."""
        if self.replication == "quorum":
            return (self.majority if self.acks is None else self.acks) - 1
        if self.replication == "semi-sync":
            return 1 if self.acks is None else self.acks
        return self.nodes - 1 if self.replication == "sync" else 0

    def explain(self) -> str:
        """What its numbers come to, in words.

        Examples
        --------
        >>> Cluster(nodes=4).explain()
        '4 nodes: a majority is 3, so 1 may fail; 3 nodes stand as many.'
        """
        may_fail = self.nodes - self.majority
        text = f"{self.nodes} nodes: a majority is {self.majority}, so {may_fail} may fail"
        return f"{text}; {self.nodes - 1} nodes stand as many." if self.nodes % 2 == 0 else f"{text}."

    def to_dict(self) -> dict[str, Any]:
        """Its parameters as JSON has them."""
        named = {f.name: getattr(self, f.name) for f in dataclasses.fields(self)}
        return {**named, "detector": str(self.detector), "election_timeout": list(self.election_timeout)}


@dataclass(frozen=True, kw_only=True)
class Fault:
    """What faults share: from when to when [s]; without an end, for good."""

    at: float
    until: float | None = None

    def __post_init__(self) -> None:
        _between("at", self.at, 0.0, LONGEST)
        if self.until is not None and not self.at < self.until <= LONGEST:
            raise ValueError(
                f"until must be after at, {self.at!r} s: it cannot end before it begins, got {self.until!r}"
            )

    def check(self, cluster: Cluster) -> None:
        """Raise ValueError if it does not fit the cluster."""

    def to_dict(self) -> dict[str, Any]:
        """Its kind and parameters as JSON has them."""
        return {"fault": type(self).__name__, **dataclasses.asdict(self)}


Whose = int | Literal["primary"]


@dataclass(frozen=True, kw_only=True)
class _OfNode(Fault):
    """A fault of one node: by number, or of whoever is primary then."""

    node: Whose = "primary"

    def check(self, cluster: Cluster) -> None:
        if self.node != "primary":
            _whole("node", self.node, 0, cluster.nodes - 1)


@dataclass(frozen=True, kw_only=True)
class Crash(_OfNode):
    """A node stops; at `until` it starts again with what its disk has.

    With `power` what it had sent and what had not arrived yet is lost with it (a host that loses power); without, only
    the process dies, and its system still delivers that.
    """

    power: bool = True


@dataclass(frozen=True, kw_only=True)
class Pause(_OfNode):
    """A node stands still and does not know it: at `until` it goes on where it was (a zombie, if it was primary)."""


@dataclass(frozen=True, kw_only=True)
class Partition(Fault):
    """Groups that do not hear each other, each node in one: ``((0, "c0"), (1, 2))``.

    A client, "c0", "c1", ..., that is named reaches its own group only; one that is not reaches all.
    """

    groups: tuple[tuple[int | str, ...], ...]

    def check(self, cluster: Cluster) -> None:
        """Raise ValueError if it does not fit the cluster."""
        named = [member for group in self.groups for member in group]
        for member in named:
            _member(member, cluster)
        missing = [node for node in range(cluster.nodes) if node not in named]
        if len(set(named)) != len(named) or missing or len(self.groups) < 2:
            raise ValueError(f"groups must be two or more, each node in one, got {self.groups!r}")


@dataclass(frozen=True, kw_only=True)
class Cut(Fault):
    """Links between those in `a` and those in `b`, nodes or clients ("c0"); `one_way`: only what `a` sends is lost."""

    a: tuple[int | str, ...]
    b: tuple[int | str, ...]
    one_way: bool = False

    def check(self, cluster: Cluster) -> None:
        """Raise ValueError if it does not fit the cluster."""
        for member in (*self.a, *self.b):
            _member(member, cluster)
        if not self.a or not self.b or set(self.a) & set(self.b):
            raise ValueError(f"a and b must be two sets with nobody in both, got {self.a!r} and {self.b!r}")


@dataclass(frozen=True, kw_only=True)
class SlowDisk(_OfNode):
    """A durable write takes so long [s]."""

    takes: float = 0.1

    def check(self, cluster: Cluster) -> None:
        """Raise ValueError if it does not fit the cluster."""
        super().check(cluster)
        _between("takes", self.takes, 0.0, LONGEST)


@dataclass(frozen=True, kw_only=True)
class ClockError(_OfNode):
    """A clock is `offset` wrong [s], and runs `drift` too fast (a share; negative: too slow)."""

    offset: float = 0.0
    drift: float = 0.0

    def check(self, cluster: Cluster) -> None:
        """Raise ValueError if it does not fit the cluster."""
        super().check(cluster)
        _between("offset", self.offset, -LONGEST, LONGEST)
        _between("drift", self.drift, -0.9, 9.0)


FAULTS: Final = {kind.__name__: kind for kind in (Crash, Pause, Partition, Cut, SlowDisk, ClockError)}
"""Every kind of fault by name."""


def member_number(member: int | str, cluster: Cluster) -> int:
    """A node's number; a client's counts on from the nodes'."""
    return member if isinstance(member, int) else cluster.nodes + int(member[1:])


def check_faults(faults: Sequence[Fault], cluster: Cluster) -> tuple[Fault, ...]:
    """All of them, if they fit."""
    for fault in faults:
        if not isinstance(fault, Fault):
            raise TypeError(f"faults must be of {', '.join(FAULTS)}, got {fault!r}")
        fault.check(cluster)
    return tuple(faults)


def _member(member: object, cluster: Cluster) -> None:
    clients = [f"c{k}" for k in range(cluster.clients)]
    if isinstance(member, bool) or member not in (*range(cluster.nodes), *clients):
        raise ValueError(f"a member must be a node 0 to {cluster.nodes - 1}, or {', '.join(clients)}, got {member!r}")


def _between(name: str, value: object, least: float, most: float) -> None:
    if isinstance(value, bool) or not isinstance(value, int | float) or not least <= value <= most:
        raise ValueError(f"{name} must be from {least:g} to {most:g}, got {value!r}")


def _whole(name: str, value: object, least: int, most: int) -> None:
    if isinstance(value, bool) or not isinstance(value, int) or not least <= value <= most:
        raise ValueError(f"{name} must be a whole number from {least} to {most}, got {value!r}")
