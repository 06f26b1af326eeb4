"""Elections of a new leader, by etcd and by ZooKeeper, after the old one was killed or stopped."""

from __future__ import annotations

import signal
import statistics
from typing import Any, Final, Literal

from accrual.lab import LabError, Lack, Scene, lab
from accrual.recovery.labs.ensemble import Ensemble, NotTakenError, UnknownOutcomeError, Writer, check_size, on_loopback, pause
from accrual.recovery.labs.etcd import Etcd
from accrual.recovery.labs.zookeeper import ZooKeeper

__all__ = ["election"]

System = Literal["etcd", "zookeeper"]

_BEFORE: Final = 0.3  # of undisturbed writes before each fault [s]
_AFTER: Final = 0.2  # and after its end
_FAULTS: Final = {"killed": signal.SIGKILL, "stopped": signal.SIGSTOP}
_SYSTEMS: Final[dict[str, type[Ensemble]]] = {"etcd": Etcd, "zookeeper": ZooKeeper}


def _lacking(system: str = "etcd", **_: Any) -> list[Lack]:
    return _SYSTEMS[system].lacking() if system in _SYSTEMS else []


@lab("election", lacking=_lacking, limit=75.0)
def election(
    scene: Scene,
    *,
    system: System = "etcd",
    nodes: int = 3,
    trials: int = 3,
    heartbeat: float = 0.1,
    election: float = 1.0,
    tick: float = 0.5,
    sync_limit: int = 4,
) -> dict[str, Any]:
    """Kill or stop the leader of etcd or ZooKeeper: time to a new one, the gap in writes, and what was lost.

    Parameters
    ----------
    system : str
        Which servers.
    nodes : int
        How many: 3, 5 or 7.
    trials : int
        How often the leader is killed, and how often stopped, 1 to 10.
    heartbeat : float
        etcd: interval of the leader's heartbeats [s].
    election : float
        etcd: election timeout, at least 5 heartbeats [s].
    tick : float
        ZooKeeper: tickTime [s].
    sync_limit : int
        ZooKeeper: ticks after which a silent leader is given up.
    """
    check_size(nodes)
    if not 1 <= trials <= 10:
        raise ValueError(f"trials must be from 1 to 10, got {trials!r}")
    places = on_loopback(nodes)
    if system == "etcd":
        ensemble: Ensemble = Etcd(scene, places, heartbeat, election)
    elif system == "zookeeper":
        ensemble = ZooKeeper(scene, places, tick, sync_limit)
    else:
        raise ValueError(f"system must be {' or '.join(_SYSTEMS)}, got {system!r}")
    leader = ensemble.start()
    began = scene.now()
    scene.tell(system, f"{nodes} servers, leader {places[leader].name} after {began:.1f} s")
    rows = [
        {"fault": fault, "trial": trial + 1} | _trial(scene, ensemble, fault, f"{fault}{trial + 1}")
        for trial in range(trials)
        for fault in _FAULTS
    ]
    facts: dict[str, Any] = {"version": ensemble.version(), "started_after": round(began, 3)}
    for fault in _FAULTS:
        for figure in ("new_leader", "write_gap"):
            values = [row[figure] for row in rows if row["fault"] == fault]
            facts[f"{fault}_{figure}_median"] = round(statistics.median(values), 3)
    facts |= {figure: sum(row[figure] for row in rows) for figure in ("acknowledged", "unknown", "refused", "lost")}
    return {"rows": rows, "facts": facts}


def _trial(scene: Scene, ensemble: Ensemble, fault: str, name: str) -> dict[str, Any]:
    """Fault, election, end of the fault; and what became of the writes meanwhile."""
    everybody = range(len(ensemble.places))
    old = ensemble.wait_for_leader(everybody)
    before = ensemble.term(old)
    others = [node for node in everybody if node != old]
    with Writer(scene, name, ensemble.client, [old, *others]) as writer:
        scene.wait_until(lambda: len(writer.keys("acknowledged")) >= 10, 10.0, "ten acknowledged writes")
        pause(scene, _BEFORE)
        at = scene.now()
        ensemble.signal(old, _FAULTS[fault])
        scene.tell(ensemble.places[old].name, f"the leader is {fault}", at)
        new = ensemble.wait_for_leader(others)
        elected = scene.now()
        after = ensemble.term(new)
        scene.tell(ensemble.places[new].name, f"leads, term {after}", elected)
        scene.wait_until(lambda: writer.acknowledged_since(at), 15.0, "a write after the election")
        first = writer.acknowledged_since(at)
        assert first is not None
        scene.tell("client", f"writes again, at {ensemble.places[first.node].name}", first.ended)
        if fault == "killed":
            ensemble.revive(old)
        else:
            ensemble.signal(old, signal.SIGCONT)
        scene.tell(ensemble.places[old].name, "is started again" if fault == "killed" else "goes on")
        scene.wait_until(lambda: _follows(ensemble, old, others), 20.0, "the old leader to follow")
        pause(scene, _AFTER)
    kept = survivors(ensemble, new)
    acknowledged, unknown = writer.keys("acknowledged"), writer.keys("unknown")
    gap = writer.gap_at(at)
    return {
        "old": ensemble.places[old].name,
        "new": ensemble.places[new].name,
        "terms": f"{before} to {after}",
        "new_leader": round(elected - at, 3),
        "write_gap": None if gap is None else round(gap, 3),
        "acknowledged": len(acknowledged),
        "unknown": len(unknown),
        "unknown_kept": len(unknown & kept),
        "refused": len(writer.keys("refused")),
        "lost": len(acknowledged - kept),
    }


def _follows(ensemble: Ensemble, old: int, others: list[int]) -> bool:
    """Whether the old leader knows of the present term, and leads no more unless it was elected anew."""
    ensemble.check()
    terms = {ensemble.term(node) for node in [old, *others]}
    return len(terms) == 1 and None not in terms


def survivors(ensemble: Ensemble, node: int) -> set[str]:
    """All keys that are there, by a read that asks the majority; tried again while an election is on."""
    said = ""

    def read() -> list[set[str]]:
        nonlocal said
        client = ensemble.client(node)
        try:
            return [client.read(5.0)]
        except (NotTakenError, UnknownOutcomeError) as error:
            said = str(error)
            return []
        finally:
            client.close()

    with ensemble.places[node].inside:
        try:
            [keys] = scene_wait(ensemble, read)
        except LabError as error:
            raise LabError(f"{error}: {said}") from None
    return keys


def scene_wait(ensemble: Ensemble, read: Any) -> list[set[str]]:
    """Wait for a read."""
    found: list[set[str]] = ensemble.scene.wait_until(read, 15.0, f"{ensemble.system}: a read of all keys")
    return found
