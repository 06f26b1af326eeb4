"""The page on the recovery model prints what it says; its table is that of the model and of the recorded labs."""

import doctest
import statistics
from pathlib import Path

import accrual as ac
from accrual.lab import recorded
from accrual.recovery import Cluster, Crash, Cut, Partition, Pause, simulate

PAGE = Path(__file__).parents[2] / "docs" / "recovery-model.md"
TRIO = {"nodes": 3, "reads": 0.0, "rate": 100.0}
ETCD = {**TRIO, "replication": "quorum", "threshold": 10.0, "election_timeout": (1.0, 2.0)}
ZOOKEEPER = {
    **TRIO, "replication": "quorum", "election": "zab", "election_timeout": (0.2, 0.4),
    "detector": ac.FixedTimeout(period=0.5), "threshold": 4.0, "period": 0.5,
}  # fmt: skip
SENTINEL = {"fencing": "none", "demote_after": 10.0, "detector": ac.FixedTimeout(period=1.0), "period": 1.0}


def model(cluster, *faults, seconds, runs=8):
    """Medians over faults at different times of a heartbeat's period; each of `faults` makes one from the time."""
    found = []
    for k in range(runs):
        at = 3 + (k + 0.5) / runs * cluster.period
        run = simulate(cluster, [fault(at) for fault in faults], seconds=seconds, seed=k)
        new = [o.end for o in run.operations if o.status == "ok" and o.start >= at and o.node != 0]
        o = run.outcome
        detection = min(fault.at for fault in run.faults) + o.detection - at
        first = min(new, default=float("nan")) - at
        found.append((detection, detection + o.election, first, o.lost_writes))
    return [statistics.median(column) for column in zip(*found, strict=True)]


def rows():
    """Of each row its name, and detection, promotion, first write and losses: measured, and the model's."""
    yield from failovers()
    yield from replications()
    yield from elections()
    yield from partitions()


def failovers():
    ours = {**TRIO, "rate": 500.0, "delay": 0.02, "disk": 0.0}  # Valkey waits for no disk
    phi = {"detector": ac.PhiNormal(min_deviation=0.05), "threshold": 8.0}
    sentinel = {**SENTINEL, "threshold": 2.0, "election": "majority"}
    drivers = [("our phi = 8", phi), ("our k = 5", {}), ("Sentinel", sentinel)]
    for kind in ("kill", "stop"):
        measured = recorded("failover" if kind == "kill" else "failover-stop").rows
        for (name, policy), row in zip(drivers, measured, strict=True):
            lab = [row["detection"], row["promotion"], row["writable"], row["lost"]]
            if kind == "kill":
                found = model(Cluster(**{**ours, **policy}), lambda at: Crash(at=at, power=False), seconds=7)
            else:
                # Two clients, of which one knows no other node. The old primary wakes up half a second after the other
                # one writes elsewhere; our controller's fence is a proxy that takes no time.
                fence = {} if name == "Sentinel" else {"fencing": "stonith", "stonith_time": 0.0}
                wakes = row["writable"] + 0.5
                found = model(
                    Cluster(**{**ours, **policy, **fence, "rate": 1000.0, "clients": 2}),
                    lambda at: Cut(at=0, a=("c1",), b=(1, 2)),
                    lambda at, wakes=wakes: Pause(at=at, until=at + wakes),
                    seconds=18.5 if name == "Sentinel" else 5,
                    runs=3,
                )
            yield f"Valkey, {kind}, {name}", lab, found


def replications():
    modes = {
        "replication": ("Valkey", {"asynchronous": "async", "WAIT 1": "semi-sync", "WAIT 2": "sync"}),
        "replication-postgresql": (
            "PostgreSQL",
            {"off": None, "local": "async", "on": "semi-sync", "remote_apply": "semi-sync"},
        ),
    }
    for lab, (system, names) in modes.items():
        for row in recorded(lab).rows:
            mode = names[row["mode"]]
            found = [None] * 4
            if mode is not None:
                cluster = Cluster(**TRIO | {"rate": 1000.0, "delay": 0.02}, replication=mode, fallback_after=None)
                found = [None] * 3 + [model(cluster, lambda at: Crash(at=at), seconds=5, runs=5)[3]]
            yield f"{system}, power, {row['mode']}", [None, None, None, row["lost"]], found


def elections():
    for lab, system, cluster in (("election", "etcd", ETCD), ("election-zookeeper", "ZooKeeper", ZOOKEEPER)):
        facts = recorded(lab).facts
        for word, fault in (("killed", lambda at: Crash(at=at)), ("stopped", lambda at: Pause(at=at))):
            measured = [None, facts[f"{word}_new_leader_median"], facts[f"{word}_write_gap_median"], facts["lost"]]
            yield f"{system}, leader {word}", measured, model(Cluster(**cluster), fault, seconds=9)


def partitions():
    cut = lambda at: Partition(at=at, until=at + 6, groups=((0, "c0"), (1, 2, "c1")))  # noqa: E731
    redis = {**TRIO, **SENTINEL, "threshold": 2.0, "election": "majority"}
    for lab, name, parameters in (
        ("partition-redis", "Redis", redis),
        ("partition-valkey", "Valkey", redis),
        ("partition-redis-min-replicas", "Redis, min-replicas 1", {**redis, "lease": 2.0}),
        ("partition", "etcd", ETCD),
        ("partition-zookeeper", "ZooKeeper", ZOOKEEPER),
    ):
        found = recorded(lab)
        minority = found.rows[0]
        if minority["acknowledged"]:  # the pace at which the lab's client really wrote; there are two of them
            parameters = {**parameters, "rate": 2 * minority["acknowledged"] / minority["acknowledged_until"]}
        measured = [None, found.facts["new_leader"], None, found.facts["lost"]]
        yield f"{name}, partition", measured, model(Cluster(**parameters, clients=2), cut, seconds=22, runs=3)


def table():
    def cell(value, k):
        return "–" if value is None else f"{value:,.0f}" if k == 3 else f"{value:.2f}"

    for name, lab, ours in rows():
        yield f"| {name} | " + " | ".join(f"{cell(lab[k], k)} / {cell(ours[k], k)}" for k in range(4)) + " |"


def test_the_page_runs():
    found = doctest.testfile(str(PAGE), module_relative=False)
    assert found.attempted > 4
    assert found.failed == 0


def test_the_table_is_that_of_the_labs_and_the_model():
    shown = [line for line in PAGE.read_text(encoding="utf-8").splitlines() if line.startswith("| ") and " / " in line]
    assert shown == list(table())
