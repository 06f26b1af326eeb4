"""A partition of real servers: who answers on which side, what is refused, stale or lost, and what the heal does."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any, Final, Literal, Protocol

from accrual.lab import LabError, Lack, Scene, lab
from accrual.recovery.labs.ensemble import Ensemble, Rotation, check_size
from accrual.recovery.labs.etcd import Etcd
from accrual.recovery.labs.network import Network, Place, as_root_of_its_own, between, lacking_network
from accrual.recovery.labs.sentinels import Sentinels
from accrual.recovery.labs.servers import lacking
from accrual.recovery.labs.suspicions import Suspicions
from accrual.recovery.labs.writes import Session, Write, Writer, account
from accrual.recovery.labs.zookeeper import ZooKeeper
from accrual.recovery.partition import recognise

__all__ = ["partition"]

System = Literal["etcd", "redis", "valkey", "zookeeper"]

_RATE: Final = 200.0  # writes per second of each client
_SETTLED: Final = 30.0  # until writes are taken on both sides again [s]; Sentinel demotes after 10 s
_AFTER: Final = 0.5  # of writes after that [s]
_READ: Final = 1.0  # how long a reader waits for an answer [s]
_ENSEMBLES: Final[dict[str, type[Ensemble]]] = {"etcd": Etcd, "zookeeper": ZooKeeper}
_STORES: Final = ("redis", "valkey")


def _lacking(system: str = "etcd", **_: Any) -> list[Lack]:
    servers = _ENSEMBLES[system].lacking() if system in _ENSEMBLES else lacking(system)
    return servers + lacking_network()


class _Servers(Protocol):
    """What the lab asks of a system."""

    def leads(self, node: int) -> bool:
        """Whether a node takes itself for the leader, or primary."""

    def connect(self, nodes: list[int]) -> Callable[[str], Session]:
        """Connections for a client that can reach, or asks, these nodes."""

    def read(self, node: int, stale: bool) -> set[str]:
        """All keys, as that node gives them to a client beside it; OSError: refused, or no answer."""

    def keys(self, node: int) -> set[str]:
        """All keys in the end, when all is well again."""

    def version(self) -> str:
        """Of the servers."""


class _Consistent:
    """etcd or ZooKeeper."""

    def __init__(self, ensemble: Ensemble) -> None:
        self._ensemble = ensemble
        self.first = ensemble.start()
        self.leads, self.keys, self.version = ensemble.is_leader, ensemble.keys, ensemble.version

    def connect(self, nodes: list[int]) -> Callable[[str], Session]:
        return Rotation(self._ensemble, nodes)

    def read(self, node: int, stale: bool) -> set[str]:
        with self._ensemble.members[node].place.inside():
            session = self._ensemble.session(node)
            try:
                return session.read(_READ, stale)
            finally:
                session.close()


class _Available:
    """Redis or Valkey with Sentinel. A server answers reads alone; there is no other kind of read."""

    def __init__(self, servers: Sentinels) -> None:
        self._servers = servers
        self.first = 0
        self.leads, self.keys, self.version = servers.is_primary, self._keys, servers.stores[0].version

    def connect(self, nodes: list[int]) -> Callable[[str], Session]:
        return lambda _node: self._servers.session(nodes[0])

    def read(self, node: int, stale: bool) -> set[str]:
        return self._keys(node)

    def _keys(self, node: int) -> set[str]:
        return self._servers.stores[node].keys()


def _started(
    scene: Scene, system: str, places: list[Place], election: float, down_after: float, min_replicas: int
) -> _Consistent | _Available:
    if system == "etcd":
        return _Consistent(Etcd(scene, places, election / 10, election))
    if system == "zookeeper":
        return _Consistent(ZooKeeper(scene, places))
    options = {"min-replicas-to-write": min_replicas, "min-replicas-max-lag": 1} if min_replicas else {}
    return _Available(Sentinels(scene, system, places, down_after, options))


@lab("partition", lacking=_lacking, limit=90.0, within=as_root_of_its_own)
def partition(
    scene: Scene,
    *,
    system: System = "etcd",
    nodes: int = 3,
    cut_at: float = 1.0,
    heal_at: float = 7.0,
    election: float = 1.0,
    down_after: float = 1.0,
    min_replicas: int = 0,
) -> dict[str, Any]:
    """Cut the leader off from the majority, with a client on each side: refused, stale, lost; and the heal.

    Parameters
    ----------
    system : str
        Which servers: etcd and zookeeper keep consistent, redis and valkey (with Sentinel) available.
    nodes : int
        How many: 3, 5 or 7. The leader is cut off, with so many others that it is still in the minority.
    cut_at : float
        When the network is cut, from when clients write [s].
    heal_at : float
        When it is healed, from then too [s].
    election : float
        etcd: election timeout, 0.05 to 5 s; its heartbeats come ten times as often.
    down_after : float
        Sentinel: how long a primary may be silent, 0.05 to 5 s.
    min_replicas : int
        Redis and Valkey: replicas without which a primary refuses writes after a second; 0: it never does.
    """
    check_size(nodes)
    if system not in (*_ENSEMBLES, *_STORES):
        raise ValueError(f"system must be one of {', '.join((*_ENSEMBLES, *_STORES))}, got {system!r}")
    if not 0.1 <= cut_at <= 10:
        raise ValueError(f"cut_at must be from 0.1 to 10 s, got {cut_at!r}")
    if not cut_at < heal_at <= cut_at + 20:
        raise ValueError(f"heal_at must be after cut_at, {cut_at:g} s, and at most 20 s after it, got {heal_at!r}")
    for name, value in (("election", election), ("down_after", down_after)):
        if not 0.05 <= value <= 5:
            raise ValueError(f"{name} must be from 0.05 to 5 s, got {value!r}")
    if not 0 <= min_replicas < nodes:
        raise ValueError(f"min_replicas must be from 0 to {nodes - 1}, got {min_replicas!r}")
    with Network(nodes) as network, Suspicions(scene, network.places) as watch:
        servers = _started(scene, system, network.places, election, down_after, min_replicas)
        scene.wait_until(watch.ready, 10.0, "heartbeats between all nodes")
        old = servers.first
        scene.tell(network.places[old].name, "leads")
        return _Drama(scene, network, watch, servers, *sides(nodes, old)).played(cut_at, heal_at)


def sides(nodes: int, leader: int) -> tuple[list[int], list[int]]:
    """Split nodes into the largest minority that has the leader, which comes first, and the others.

    Examples
    --------
    >>> sides(5, leader=2)
    ([2, 0], [1, 3, 4])
    """
    others = [node for node in range(nodes) if node != leader]
    company = (nodes - 1) // 2 - 1
    return [leader, *others[:company]], others[company:]


class _Drama:
    """Cut and heal with a client on each side.

    Sides are called after where they are; a client stays on its side, as a user in that data centre would.
    """

    def __init__(
        self,
        scene: Scene,
        network: Network,
        watch: Suspicions,
        servers: _Consistent | _Available,
        minority: list[int],
        majority: list[int],
    ) -> None:
        self._scene, self._network, self._watch, self._servers = scene, network, watch, servers
        self._sides = {"minority": minority, "majority": majority}
        self._leading: set[int] = set()
        self._both_lead = 0.0
        self._looked = time.monotonic()
        self._leaders: list[tuple[float, int]] = []
        self._gave_up: float | None = None
        self._writers: dict[str, Writer] = {}
        self._read_so_far = dict.fromkeys(self._sides, 0)
        self._taken = dict.fromkeys(self._sides, True)

    def _name(self, node: int) -> str:
        return self._network.places[node].name

    def _look(self) -> None:
        """Tell who leads and what the suspicions show, when it changes."""
        self._watch.look()
        now = time.monotonic()
        leading = {node for side in self._sides.values() for node in side if self._servers.leads(node)}
        for node in sorted(leading ^ self._leading):
            what = "leads" if node in leading else "leads no more"
            self._scene.tell(self._name(node), what, self._scene.since_start(now))
            if node in leading:
                self._leaders.append((now, node))
            elif node == self._sides["minority"][0]:
                self._gave_up = now
        if len(self._leading) > 1:
            self._both_lead += now - self._looked
        self._leading, self._looked = leading, now
        for side, writer in self._writers.items():
            self._tell_of(side, writer)

    def _tell_of(self, side: str, writer: Writer) -> None:
        """Tell when a client's writes cease to be acknowledged, and when they are again."""
        count = len(writer.writes)
        for write in writer.writes[self._read_so_far[side] : count]:
            taken = write.outcome == "acknowledged"
            if taken != self._taken[side]:
                self._taken[side] = taken
                what = {"failed": "a write is refused", "unknown": "a write is not answered"}
                said = "writes are acknowledged again" if taken else what[write.outcome]
                self._scene.tell(f"client, {side}", said, self._scene.since_start(write.ended))
        self._read_so_far[side] = count

    def _pass(self, until: float) -> None:
        while time.monotonic() < until:
            self._look()
            time.sleep(0.02)

    def _wait(self, condition: Callable[[], object], patience: float, what: str) -> None:
        def met() -> object:
            self._look()
            return condition()

        self._scene.wait_until(met, patience, what)

    def played(self, cut_at: float, heal_at: float) -> dict[str, Any]:
        """All of it; rows and facts."""
        writers = self._writers
        began = time.monotonic()
        self._leading = {self._sides["minority"][0]}
        for side, nodes in self._sides.items():
            with self._network.places[nodes[0]].inside():  # a thread begins where it was started
                writers[side] = Writer(self._servers.connect(nodes), side, side, _RATE).start()
        self._wait(lambda: all(w.acknowledged() for w in writers.values()), 10.0, "acknowledged writes on both sides")
        self._pass(began + cut_at)
        self._network.cut(between(*self._sides.values()))
        cut = time.monotonic()  # when it works, as below before the heal does: what began between the two was cut off
        self._leaders.clear()
        sides = " | ".join(" ".join(map(self._name, nodes)) for nodes in self._sides.values())
        self._scene.tell("network", f"cut: {sides}", self._scene.since_start(cut))
        self._pass(cut + (heal_at - cut_at) * 0.8)
        during = self._watch.recognised
        from_majority = self._from_majority()
        reads = {side: self._reads(side, writers) for side in self._sides}
        self._pass(cut + heal_at - cut_at)
        heal = time.monotonic()
        self._network.heal()
        new_leaders = [(at, node) for at, node in self._leaders if node in self._sides["majority"]]
        self._scene.tell("network", "healed", self._scene.since_start(heal))
        self._wait(
            lambda: self._settled(writers, heal), _SETTLED, "one leader, and writes on both sides after the heal"
        )
        [final] = self._leading
        self._pass(time.monotonic() + _AFTER)
        writes = {side: writer.stop() for side, writer in writers.items()}
        kept = self._servers.keys(final)
        rows = [self._row(side, writes[side], cut, heal, kept) | reads[side] for side in self._sides]
        facts: dict[str, Any] = {
            "version": self._servers.version(),
            "recognised": None if during is None else during.kind,
            "recognised_after": self._recognised_after(cut),
            "seen_from_the_majority": from_majority,
            "new_leader": round(new_leaders[0][0] - cut, 3) if new_leaders else None,
            "old_leader_gave_up": None if self._gave_up is None else round(self._gave_up - cut, 3),
            "two_leaders": round(self._both_lead, 3),
            "lost": sum(row[key] for row in rows for key in ("lost_before", "lost", "lost_after_heal")),
        }
        return {"rows": rows, "facts": facts}

    def _settled(self, writers: dict[str, Writer], heal: float) -> bool:
        """Whether there is one leader, and each client's latest write was acknowledged, after the heal."""
        last = [writer.writes[-1] for writer in writers.values()]
        return len(self._leading) == 1 and all(w.outcome == "acknowledged" and w.began > heal for w in last)

    def _recognised_after(self, cut: float) -> float | None:
        since = self._scene.since_start(cut)
        return next((round(at - since, 3) for at, kind in self._watch.history if at > since and kind == "whole"), None)

    def _from_majority(self) -> str:
        """What the majority can know, which has no reports from the other side."""
        matrix = self._watch.judged
        found = recognise(matrix, nodes=list(matrix), silent=[self._name(node) for node in self._sides["minority"]])
        return " or ".join([found.kind, *found.could_be])

    def _reads(self, side: str, writers: dict[str, Writer]) -> dict[str, Any]:
        """What readers get on a side: up to date, or refused; and from one server alone, and how much is missing."""
        node = self._sides[side][0]
        known = {w.key for writer in writers.values() for w in list(writer.writes) if w.outcome == "acknowledged"}
        found: dict[str, Any] = {}
        for kind, stale in (("read", False), ("local_read", True)):
            try:
                keys = self._servers.read(node, stale)
                missing = len(known - keys)
                found[kind] = f"{missing:,} missing" if missing else "complete"
                self._scene.tell(f"reader, {side}", f"{kind.replace('_', ' ')}: {found[kind]}")
            except (OSError, LabError) as error:
                found[kind] = "refused"
                self._scene.tell(f"reader, {side}", f"{kind.replace('_', ' ')} refused: {error}")
        return found

    def _row(self, side: str, writes: list[Write], cut: float, heal: float, kept: set[str]) -> dict[str, Any]:
        during = [w for w in writes if cut <= w.began < heal]
        told = account(during, kept)
        before = account([w for w in writes if w.began < cut], kept)
        after = account([w for w in writes if w.began >= heal], kept)
        good = [w.began for w in writes if w.outcome == "acknowledged"]
        last = max((at for at in good if cut <= at < heal), default=None)
        first = min((at for at in good if at >= heal), default=None)
        return {
            "side": side,
            "nodes": " ".join(map(self._name, self._sides[side])),
            "acknowledged": told.acknowledged,
            "failed": told.failed,
            "unknown": told.unknown,
            "appeared": told.appeared,
            "lost_before": before.lost,
            "lost": told.lost,
            "lost_after_heal": after.lost,
            "acknowledged_until": None if last is None else round(last - cut, 3),
            "writes_after_heal": None if first is None else round(first - heal, 3),
        }
