"""What the widgets of lesson 10 show, against other roads to the same numbers."""

import dataclasses
import json
import math
import random

import numpy as np
import pytest
from traitlets import TraitError

from accrual.lab import recorded
from accrual.recovery import Cluster, Crash, lost_writes, simulate
from accrual.recovery.labs.proxy import STALL
from accrual.show import replication
from accrual.show.replication import CommitCosts, Fallback, RealServers


@pytest.mark.parametrize("delay", [0.01, 0.02, 0.05])
@pytest.mark.parametrize("rate", [200.0, 1000.0])
def test_lost_writes_by_simulation(delay, rate):
    """A write is on the backup's disk after the delay and its disk; told OK after the primary's own."""
    for acks, wait in ((0, 0.0005), (1, 2 * delay + 0.0005)):
        mode = "semi-sync" if acks else "async"
        cluster = Cluster(nodes=2, replication=mode, fallback_after=None, delay=delay, rate=rate, reads=0.0)
        run = simulate(cluster, [Crash(at=1)], seconds=1.2)
        assert abs(run.outcome.lost_writes - lost_writes(rate, delay + 0.0005, wait)) <= 1


@pytest.mark.parametrize("bad", [{"rate": -1}, {"delay": math.nan}, {"wait": math.inf}])
def test_lost_writes_refuses(bad):
    with pytest.raises(ValueError, match=f"{next(iter(bad))} must be 0 or more"):
        lost_writes(**{"rate": 1.0, "delay": 1.0, **bad})


def test_costs():
    found = replication.costs(0.02, 4)
    assert [cost.acks for cost in found] == [cost.may_die for cost in found] == [4 - cost.may_lack for cost in found]
    latencies = [cost.latency for cost in found]
    assert latencies == sorted(latencies)
    assert latencies[0] == pytest.approx(0.0005, abs=1e-9)  # the primary's own disk
    assert all(latency > 0.02 for latency in latencies[1:])  # no sooner than a round trip
    assert all(found[0].lost)
    assert not any(lost for cost in found[1:] for lost in cost.lost)
    assert latencies[1] < replication.costs(0.02, 1)[1].latency  # the first of four, and the only one


@pytest.mark.parametrize("bad", [0, -1, 0.2, math.nan])
def test_costs_refuse(bad):
    with pytest.raises(ValueError, match=r"round_trip must be above 0 and at most 0\.1 s"):
        replication.costs(bad, 1)


def test_requests_are_told_on_the_timeline():
    run = replication.dies_while_it_waits("after commit", 2)
    write, read = run.smallest(lambda found: found.phantom)
    told = replication.with_requests(run, [write, read], 1.95, 2.03)
    said = [(event.at, event.who, event.what) for event in told.events if event.who.startswith("client")]
    assert said == [
        (1.964, "client 0", "writes 982 to key 1"),
        (1.966, "client 1", "reads key 1"),
        (pytest.approx(2.006), "client 1", "gets 982, of key 1"),  # and nobody told client 0 anything
    ]
    assert told.states(2.01)["node 0"] == "down"
    later = replication.with_requests(run, [write, read], 1.97, 2.0)
    assert not [event for event in later.events if event.who.startswith("client")]


@pytest.mark.parametrize(("loss", "backups", "acks"), [(0.05, 1, 1), (0.02, 3, 1), (0.02, 3, 2), (1.0, 2, 2)])
def test_a_lossy_link_packet_by_packet(loss, backups, acks):
    """Each packet carried by itself, in exact steps of a millisecond, with the same losses."""
    commits, every, way, stall = 400, 10, 10, 200
    draw = np.random.default_rng(7)
    lost = [[draw.random(commits) < loss for _ in range(2)] for _ in range(backups)]
    answered = []
    for forth, back in lost:
        there = here = 0
        answered.append([])
        for k in range(commits):
            there = max(there, every * k + way + stall * forth[k])
            here = max(here, there + way + stall * back[k])
            answered[-1].append(here - every * k)
    expected = [sorted(row)[acks - 1] / 1000 for row in zip(*answered, strict=True)]
    took = replication.over_a_lossy_link(loss, backups, acks, commits=commits, seed=7)
    assert took == pytest.approx(expected)


@pytest.mark.parametrize("wait_point", ["before commit", "after commit"])
def test_requests_stand_at_their_numbers(wait_point):
    """The lesson takes those of one run by the numbers that they have in the other."""
    run = replication.dies_while_it_waits(wait_point, 2)
    assert [operation.number for operation in run.operations] == list(range(len(run.operations)))


def test_a_lossy_link_by_its_formula():
    """Sparse commits are held up by their own two packets alone; dense ones also by those of the stall before them."""
    sparse = replication.over_a_lossy_link(0.01, 1, rate=1.0)
    assert np.mean(sparse > 0.021) == pytest.approx(1 - 0.99**2, abs=4 * math.sqrt(0.02 / len(sparse)))
    assert set(np.round(sparse, 6)) == {0.02, 0.22, 0.42}
    one = np.mean(replication.over_a_lossy_link(0.01, 1) > 0.021)
    two = np.mean(replication.over_a_lossy_link(0.01, 2) > 0.021)
    assert one == pytest.approx(1 - 0.99**40, rel=0.1)
    assert two == pytest.approx(one**2, rel=0.1)
    assert STALL == 0.2
    assert np.all(replication.over_a_lossy_link(0.0, 2, 2, commits=100) == pytest.approx(0.02))


@pytest.mark.parametrize(
    ("bad", "says"),
    [
        ({"loss": -0.1, "backups": 1}, "loss must be from 0 to 1, got -0.1"),
        ({"loss": math.nan, "backups": 1}, "loss must be from 0 to 1"),
        ({"loss": 0.1, "backups": 2, "acks": 3}, "acks must be from 1 to 2, the backups, got 3"),
        ({"loss": 0.1, "backups": 0}, "acks must be from 1 to 0"),
    ],
)
def test_a_lossy_link_refuses(bad, says):
    with pytest.raises(ValueError, match=says):
        replication.over_a_lossy_link(**bad)


def test_only_waiting_after_the_commit_shows_what_is_lost():
    """Found by another road than the checker's: who had read each write that is gone."""
    for seed in range(1, 6):
        for wait_point in ("before commit", "after commit"):
            run = replication.dies_while_it_waits(wait_point, seed)
            gone = {o.number for o in run.operations if o.kind == "write"} - run.survivors
            assert gone
            assert not any(o.status == "ok" for o in run.operations if o.number in gone)
            assert run.outcome.failovers == 1
            readers = [o for o in run.operations if o.value in gone]
            assert len(readers) == run.outcome.phantom_reads
            assert not readers or wait_point == "after commit"


def test_a_link_that_heals_in_time_loses_nothing():
    healed, cut = replication.cut_off(1.0, 3.0, heals_after=2.0), replication.cut_off(1.0, 3.0)
    assert (healed.outcome.lost_writes, cut.outcome.lost_writes) == (0, 60)
    assert healed.outcome.acknowledged_writes == cut.outcome.acknowledged_writes == 100
    assert healed.outcome.fallbacks == cut.outcome.fallbacks == 1
    what = [happening.what for happening in healed.timeline]
    assert what.index("falls back to asynchronous") < what.index("catches up") < what.index("semi-synchronous again")
    too_late = replication.cut_off(1.0, 3.0, heals_after=5.0)
    assert too_late.outcome.lost_writes == 60


@pytest.mark.parametrize("timeout", replication.TIMEOUTS)
@pytest.mark.parametrize("outage", replication.OUTAGES)
def test_a_fallback_loses_all_since_the_cut_or_nothing(timeout, outage):
    run = replication.cut_off(timeout, outage)
    told = [fate for _, _, fate in replication.fates(run)]
    since_the_cut = replication.SLOW_RATE * outage
    lost, unanswered = (since_the_cut, 0) if outage > timeout else (0, since_the_cut)
    assert abs(told.count("lost") - lost) <= 1
    assert abs(told.count("unanswered") - unanswered) <= 1
    assert told.count("lost") == run.outcome.lost_writes
    assert run.outcome.fallbacks == (outage > timeout) == (replication.fell_back(run) is not None)


def test_side_by_side():
    for name, waits in (("replication", [0, 0.04, 0.2]), ("replication-postgresql", [0, 0, 0.04, 0.04])):
        result = recorded(name)
        found = replication.side_by_side(result)
        assert [mode.latency for mode in found] == pytest.approx(waits)
        for mode, row in zip(found, result.rows, strict=True):
            assert mode.measured_latency >= mode.latency  # nothing is faster than its links
            assert mode.measured_lost == (row["lost"], row["lost_on_other"])
            if mode.bound:
                assert max(mode.measured_lost) <= min(mode.lost)
            if mode.acks:
                assert mode.measured_lost[0] == mode.lost[0] == 0
    asynchronous, one, _ = replication.side_by_side(recorded("replication"))
    assert asynchronous.lost == (20, 100)
    assert asynchronous.measured_lost == pytest.approx(asynchronous.lost, abs=5)  # what the text tells of it
    assert one.acknowledged == pytest.approx(100)  # four clients, 25 a second each
    assert one.lost[1] == pytest.approx(100 * 0.06)


def test_side_by_side_of_any_result():
    """A machine so slow that nothing was acknowledged; the far replica named first."""
    result = recorded("replication")
    rows = [{**row, "p50_ms": None, "acknowledged": 0, "promoted": "c"} for row in result.rows]
    swapped = {**result.parameters, "delay": 0.1, "far": 0.02}
    odd = dataclasses.replace(result, rows=rows, parameters=swapped)
    found = replication.side_by_side(odd)
    assert [mode.measured_latency for mode in found] == [None] * 3
    assert [mode.measured_lost for mode in found] == [(row["lost"], row["lost_on_other"]) for row in result.rows]
    assert [mode.lost for mode in found] == [mode.lost for mode in replication.side_by_side(result)]
    assert "WAIT 1 0 (computed 0)" in RealServers({"Valkey": odd}).describe()
    json.dumps(RealServers({"Valkey": odd}).servers, allow_nan=False)


def test_what_the_lesson_tells_of_the_recordings():
    """Its prose was written beside these figures: who records anew reads it again."""
    valkey, postgresql = recorded("replication"), recorded("replication-postgresql")
    lost = {row["mode"]: (row["lost"], row["lost_on_other"]) for row in (*valkey.rows, *postgresql.rows)}
    assert lost == {
        "asynchronous": (21, 101),
        "WAIT 1": (0, 4),
        "WAIT 2": (0, 0),
        "off": (139, 139),
        "local": (22, 102),
        "on": (0, 4),
        "remote_apply": (0, 4),
    }
    assert [round(row["p50_ms"]) for row in valkey.rows] == [0, 43, 203]


def test_clients_in_step_lose_all_or_none_of_a_round():
    """Four writes each time, told OK 43 ms later, and 100 ms until they are far away: 4 are lost or 8, seldom 8."""
    wait, away, draw = 0.0428, 0.1, random.Random(1)
    found = []
    for _ in range(2000):
        death = 1 + draw.random() * wait
        found.append(4 * sum(k * wait + wait <= death < k * wait + away for k in range(60)))
    assert set(found) == {4, 8}
    assert found.count(8) / len(found) == pytest.approx((away - 2 * wait) / wait, abs=0.05)
    assert sum(found) / len(found) == pytest.approx(lost_writes(4 / wait, away, wait), rel=0.05)


def test_widgets():
    widget = CommitCosts()
    widget.round_trip, widget.backups = 0.03, 3
    assert (widget.round_trip, widget.backups) == (0.02, 2)
    assert [cost.acks for cost in widget.rows] == [0, 1, 2]
    assert "2 backups: waiting for 0 (asynchronous) a commit takes 0.5 ms" in widget.describe()
    assert "waiting for 2 (synchronous)" in widget.describe()
    fallback = Fallback()
    fallback.timeout, fallback.outage = 1.9, 7
    assert (fallback.timeout, fallback.outage) == (2, 6)
    assert "120 acknowledged and lost" in fallback.describe()
    fallback.timeout = replication.NEVER
    assert "falls back never" in fallback.describe()
    assert " 0 acknowledged and lost" in fallback.describe()
    servers = RealServers()
    servers.shown, servers.far = "PostgreSQL", True
    assert "on 4 (computed 6)" in servers.describe()
    for one in (widget, fallback, servers):
        json.dumps(
            {name: getattr(one, name) for name in one.traits(sync=True) if name[0] != "_"}, allow_nan=False, default=str
        )
    with pytest.raises(TraitError, match="round_trip must be a finite number"):
        widget.round_trip = math.nan
    with pytest.raises(TraitError, match="shown must be one of Valkey, PostgreSQL"):
        servers.shown = "etcd"
    with pytest.raises(ValueError, match="results must be one or more"):
        RealServers({})
