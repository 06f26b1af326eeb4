"""The page on the recovery model prints what it says; its table is that of the model and of the recorded labs."""

import doctest
import statistics
from pathlib import Path

import accrual as ac
from accrual.lab import recorded
from accrual.recovery import Cluster, Crash, Partition, Pause, simulate

PAGE = Path(__file__).parents[2] / "docs" / "recovery-model.md"
TRIO = {"nodes": 3, "reads": 0.0, "rate": 100.0}
ETCD = {**TRIO, "replication": "quorum", "threshold": 10.0, "election_timeout": (1.0, 2.0)}
SENTINEL = {"fencing": "none", "demote_after": 10.0, "detector": ac.FixedTimeout(period=1.0), "period": 1.0}


def model(cluster, fault, seconds, runs=8):
    """Medians over crashes at different times of a heartbeat's period."""
    found = []
    for k in range(runs):
        at = 3 + (k + 0.5) / runs * cluster.period
        run = simulate(cluster, [fault(at)], seconds=seconds, seed=k)
        new = [o.end for o in run.operations if o.status == "ok" and o.start >= at and o.node != 0]
        o = run.outcome
        found.append((o.detection, o.election, min(new, default=float("nan")) - at, o.lost_writes))
    return [statistics.median(column) for column in zip(*found, strict=True)]


def rows():
    """Of each row its name, and detection, election, gap and losses: measured, and the model's."""
    killed = recorded("failover").rows

    def driver(row):
        return [row["detection"], row["promotion"] - row["detection"], row["writable"], row["lost"]]

    ours = {**TRIO, "rate": 500.0, "delay": 0.02}
    kill = lambda at: Crash(at=at, power=False)  # noqa: E731
    phi = Cluster(**ours, detector=ac.PhiNormal(min_deviation=0.05), threshold=8.0)
    yield "Valkey, kill, our phi = 8", driver(killed[0]), model(phi, kill, 6)
    yield "Valkey, kill, our k = 5", driver(killed[1]), model(Cluster(**ours), kill, 6)
    sentinel = Cluster(**{**ours, **SENTINEL, "threshold": 2.0, "election": "majority"})
    yield "Valkey, kill, Sentinel", driver(killed[2]), model(sentinel, kill, 9)
    for system, kind in (("replication", "Valkey"), ("replication-postgresql", "PostgreSQL")):
        modes = ("async", "semi-sync")
        names = {"Valkey": ("asynchronous", "WAIT 1"), "PostgreSQL": ("local", "on")}[kind]
        for name, mode in zip(names, modes, strict=True):
            [row] = [row for row in recorded(system).rows if row["mode"] == name]
            cluster = Cluster(**{**ours, "rate": 1000.0}, replication=mode, fallback_after=None)
            lost = model(cluster, lambda at: Crash(at=at), 5, runs=5)[3]
            yield f"{kind}, power, {name}", [None, None, None, row["lost"]], [None, None, None, lost]
    facts = recorded("election").facts
    for word, fault in (("killed", lambda at: Crash(at=at)), ("stopped", lambda at: Pause(at=at))):
        gap = facts[f"{word}_write_gap_median"]
        yield f"etcd, leader {word}", [None, None, gap, facts["lost"]], model(Cluster(**ETCD), fault, 12)
    zab = Cluster(
        **{**TRIO, "replication": "quorum", "election": "zab", "election_timeout": (0.2, 0.4)},
        detector=ac.FixedTimeout(period=0.5), threshold=4.0, period=0.5,
    )  # fmt: skip
    facts = recorded("election-zookeeper").facts
    gap = facts["stopped_write_gap_median"]
    yield "ZooKeeper, leader stopped", [None, None, gap, facts["lost"]], model(zab, lambda at: Pause(at=at), 12)
    cut = lambda at: Partition(at=at, until=at + 6, groups=((0, "c0"), (1, 2, "c1")))  # noqa: E731
    pace = 2 * recorded("partition-redis").rows[0]["acknowledged"] / 6
    redis = Cluster(**{**TRIO, **SENTINEL, "rate": pace, "threshold": 2.0, "election": "majority"}, clients=2)
    facts = recorded("partition-redis").facts
    yield "Redis, partition", [None, None, None, facts["lost"]], model(redis, cut, 25, runs=3)
    lost = recorded("partition").facts["lost"]
    yield "etcd, partition", [None, None, None, lost], model(Cluster(**ETCD, clients=2), cut, 15, runs=3)


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
