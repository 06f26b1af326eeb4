"""Elections of a new leader, by etcd and by ZooKeeper, after the old one was killed or stopped."""

from __future__ import annotations

import statistics
import time
from typing import Any, Final, Literal

from accrual.lab import Lack, Scene, lab
from accrual.recovery.labs.ensemble import Ensemble, Rotation, check_size, on_loopback
from accrual.recovery.labs.etcd import Etcd
from accrual.recovery.labs.writes import Write, Writer, account, gap
from accrual.recovery.labs.zookeeper import ZooKeeper

__all__ = ["election"]

System = Literal["etcd", "zookeeper"]

_BEFORE: Final = 0.3  # of undisturbed writes before each fault [s]
_AFTER: Final = 0.2  # and after its end
_RATE: Final = 200.0  # writes per second; as fast as they go they would load the machine that elects
_FAULTS: Final = ("killed", "stopped")
_SYSTEMS: Final[dict[str, type[Ensemble]]] = {"etcd": Etcd, "zookeeper": ZooKeeper}


def _lacking(system: str = "etcd", **_: Any) -> list[Lack]:
    return _SYSTEMS[system].lacking() if system in _SYSTEMS else []


@lab("election", lacking=_lacking, limit=90.0)
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
        How often the leader is killed, and how often stopped, 1 to 5.
    heartbeat : float
        etcd: interval of the leader's heartbeats [s].
    election : float
        etcd: election timeout, from 5 heartbeats to 5 s [s].
    tick : float
        ZooKeeper: tickTime [s].
    sync_limit : int
        ZooKeeper: ticks after which a silent leader is given up.
    """
    check_size(nodes)
    if not 1 <= trials <= 5:
        raise ValueError(f"trials must be from 1 to 5, got {trials!r}")
    places = on_loopback(nodes)
    if system == "etcd":
        ensemble: Ensemble = Etcd(scene, places, heartbeat, election)
    elif system == "zookeeper":
        ensemble = ZooKeeper(scene, places, tick, sync_limit)
    else:
        raise ValueError(f"system must be {' or '.join(_SYSTEMS)}, got {system!r}")
    leader = ensemble.start()
    began = scene.now()
    scene.tell(system, f"{nodes} servers, leader {ensemble.name(leader)} after {began:.1f} s")
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
    facts |= {
        figure: sum(row[figure] for row in rows) for figure in ("acknowledged", "failed", "unknown", "appeared", "lost")
    }
    return {"rows": rows, "facts": facts}


def _trial(scene: Scene, ensemble: Ensemble, fault: str, name: str) -> dict[str, Any]:
    """Fault, election, end of the fault; and what became of the writes meanwhile."""
    everybody = range(len(ensemble.members))
    old = ensemble.wait_for_leader(everybody)
    before = ensemble.term(old)
    others = [node for node in everybody if node != old]
    rotation = Rotation(ensemble, [old, *others])
    writer = Writer(rotation, "any", name, _RATE).start()
    scene.wait_until(lambda: writer.acknowledged() >= 10, 10.0, "ten acknowledged writes")
    time.sleep(_BEFORE)
    at = time.monotonic()
    if fault == "killed":
        ensemble.members[old].kill()
    else:
        ensemble.members[old].stop()
    scene.tell(ensemble.name(old), f"the leader is {fault}", scene.since_start(at))
    new = ensemble.wait_for_leader(others)
    elected = time.monotonic()
    after = ensemble.term(new)
    scene.tell(ensemble.name(new), f"leads, term {after}", scene.since_start(elected))
    scene.wait_until(lambda: gap(writer.writes, at), 15.0, "a write after the election")
    found = gap(writer.writes, at)
    assert found is not None
    scene.tell("client", f"writes again, at {ensemble.name(rotation.node)}", scene.since_start(found[1]))
    if fault == "killed":
        ensemble.revive(old)
    else:
        ensemble.members[old].wake()
    scene.tell(ensemble.name(old), "is started again" if fault == "killed" else "goes on")
    scene.wait_until(lambda: _agree(ensemble), 20.0, "the old leader to follow")
    time.sleep(_AFTER)
    writes: list[Write] = writer.stop()
    kept = account(writes, ensemble.keys(new))
    return {
        "old": ensemble.name(old),
        "new": ensemble.name(new),
        "terms": f"{before} to {after}",
        "new_leader": round(elected - at, 3),
        "write_gap": round(found[1] - found[0], 3),
        "acknowledged": kept.acknowledged,
        "failed": kept.failed,
        "unknown": kept.unknown,
        "appeared": kept.appeared,
        "lost": kept.lost,
    }


def _agree(ensemble: Ensemble) -> bool:
    """Whether all are in service, in the same term."""
    ensemble.check()
    terms = {ensemble.term(node) for node in range(len(ensemble.members))}
    return len(terms) == 1 and None not in terms
