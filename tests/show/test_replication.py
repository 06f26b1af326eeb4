"""What the widgets of lesson 10 show, against other roads to the same numbers."""

import json
import math

import pytest
from traitlets import TraitError

from accrual.lab import recorded
from accrual.recovery import Cluster, Crash, lost_writes, simulate
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
    assert asynchronous.lost == asynchronous.measured_lost == (20, 100)
    assert one.acknowledged == pytest.approx(100)  # four clients, 25 a second each
    assert one.lost[1] == pytest.approx(100 * 0.06)


def test_widgets():
    widget = CommitCosts()
    widget.round_trip, widget.backups, widget.acks = 0.03, 3, 9
    assert (widget.round_trip, widget.backups, widget.cost.acks) == (0.02, 2, 2)
    assert "waiting for 2 of 2 backups (synchronous)" in widget.describe()
    fallback = Fallback()
    fallback.timeout, fallback.outage = 1.9, 7
    assert (fallback.timeout, fallback.outage) == (2, 6)
    assert "120 acknowledged and lost" in fallback.describe()
    fallback.timeout = replication.NEVER
    assert "falls back never" in fallback.describe()
    assert " 0 acknowledged and lost" in fallback.describe()
    servers = RealServers()
    servers.shown, servers.far = "PostgreSQL", True
    assert "on 3 (computed 6)" in servers.describe()
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
