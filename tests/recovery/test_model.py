"""The simulated cluster: what must never happen, what does where it may, and the arithmetic of its results."""

import dataclasses
import json
import math
import re

import pytest
from hypothesis import Phase, assume, find, given, settings
from hypothesis import strategies as st
from hypothesis.errors import NoSuchExample

import accrual as ac
from accrual.recovery import (
    MACHINES,
    ClockError,
    Cluster,
    Crash,
    Cut,
    Partition,
    Pause,
    SlowDisk,
    simulate,
)

ISOLATED = Partition(at=5, until=15, groups=((0, "c0"), (1, 2, "c1")))
WITH_CLIENTS = {"clients": 2, "delay": 0.01}


# Found is enough: shrinking a schedule runs the cluster hundreds of times.
FIRST_FOUND = settings(max_examples=500, derandomize=True, database=None, phases=[Phase.generate])

# ---- schedules -------------------------------------------------------------------------------------------------------


@st.composite
def spans(draw):
    at = draw(st.integers(10, 100)) / 10
    return {"at": at, "until": at + draw(st.integers(1, 60)) / 10}


@st.composite
def schedules(draw, nodes, clients=2, clocks=False):
    """A few faults of every kind; clients are on either side of partitions."""

    def side():
        return [*range(nodes), *(f"c{k}" for k in range(clients))]

    faults = []
    kinds = ["crash", "pause", "partition", "cut", "one-way", "disk"] + (["clock"] if clocks else [])
    for kind in draw(st.lists(st.sampled_from(kinds), min_size=1, max_size=4)):
        span, node = draw(spans()), draw(st.just("primary") | st.integers(0, nodes - 1))
        if kind == "crash":
            faults.append(Crash(node=node, power=draw(st.booleans()), **span))
        elif kind == "pause":
            faults.append(Pause(node=node, **span))
        elif kind == "disk":
            faults.append(SlowDisk(node=node, takes=0.05, **span))
        elif kind == "clock":
            faults.append(ClockError(node=node, drift=draw(st.sampled_from([-0.5, 1.0])), **span))
        elif kind == "partition":
            one = draw(st.sets(st.sampled_from(side()), min_size=1).filter(lambda s: any(m in s for m in range(nodes))))
            rest = [m for m in side() if m not in one]
            assume(any(m in rest for m in range(nodes)))
            faults.append(Partition(groups=(tuple(m for m in side() if m in one), tuple(rest)), **span))
        else:
            a, b = draw(st.sampled_from([(a, b) for a in range(nodes) for b in range(nodes) if a != b]))
            faults.append(Cut(a=(a,), b=(b,), one_way=kind == "one-way", **span))
    return faults


SAFE = st.fixed_dictionaries(
    {
        "nodes": st.sampled_from([3, 5]),
        "replication": st.just("quorum"),
        "election": st.sampled_from(["raft", "majority", "zab"]),
        "fencing": st.sampled_from(["terms", "stonith"]),
        "prevote": st.booleans(),
        "clients": st.just(2),
        "rate": st.just(50.0),
        "delay": st.sampled_from([0.001, 0.02]),
        "jitter": st.sampled_from([0.0, 0.01]),
        "loss": st.sampled_from([0.0, 0.2]),
        "threshold": st.sampled_from([2.0, 5.0]),
        "patience": st.sampled_from([0.1, 1.0]),
    }
)


@given(parameters=SAFE, data=st.data(), seed=st.integers(0, 5))
def test_with_terms_majorities_and_quorums_nothing_acknowledged_is_lost(parameters, data, seed):
    faults = data.draw(schedules(parameters["nodes"]))
    parameters = {**parameters, "prevote": parameters["prevote"] and parameters["election"] == "raft"}
    run = simulate(Cluster(**parameters), faults, seconds=20, seed=seed)
    assert run.outcome.lost_writes == 0, (faults, run)
    assert run.outcome.phantom_reads == 0, (faults, run)
    terms = [h.detail for h in run.timeline if h.what in ("elected", "promoted")]
    assert len(terms) == len(set(terms)), "two primaries in a term"


@given(data=st.data(), seed=st.integers(0, 5), election=st.sampled_from(["raft", "majority", "zab"]))
def test_with_leases_and_clocks_within_the_bound_there_is_one_primary_at_a_time(data, seed, election):
    cluster = Cluster(replication="quorum", election=election, lease=0.4, clients=2, rate=50.0, threshold=3.0)
    run = simulate(cluster, data.draw(schedules(3)), seconds=20, seed=seed)
    assert run.outcome.split_brain == 0
    assert run.outcome.stale_reads == 0


@given(data=st.data(), seed=st.integers(0, 5), election=st.sampled_from(["raft", "bully", "majority", "zab"]))
def test_with_power_off_there_is_one_primary_at_a_time(data, seed, election):
    cluster = Cluster(fencing="stonith", election=election, clients=2, rate=20.0)
    assert simulate(cluster, data.draw(schedules(3)), seconds=20, seed=seed).outcome.split_brain == 0


@pytest.mark.parametrize(
    "parameters",
    [
        {"replication": "async", "fencing": "terms"},
        {"replication": "quorum", "acks": 1, "fencing": "terms"},
        {"replication": "quorum", "policy": "ap", "fencing": "terms"},
        {"replication": "quorum", "election": "bully", "policy": "ap", "fencing": "none"},
    ],
)
def test_without_one_of_them_a_schedule_is_found_that_loses_writes(parameters):
    """The counter-examples: hypothesis finds them, or this fails."""
    cluster = Cluster(**parameters, **WITH_CLIENTS, rate=50.0)
    faults = find(
        schedules(3),
        lambda faults: simulate(cluster, faults, seconds=20).outcome.lost_writes > 0,
        settings=FIRST_FOUND,
    )
    run = simulate(cluster, faults, seconds=20)
    (example,) = run.smallest(lambda found: found.lost)
    assert (example.kind, example.status) == ("write", "ok")
    assert example.number not in run.survivors


@pytest.mark.parametrize("fencing", ["none", "terms"])
def test_without_power_off_or_lease_two_primaries_are_found(fencing):
    cluster = Cluster(fencing=fencing, rate=5.0, clients=2)
    faults = find(
        schedules(3),
        lambda faults: simulate(cluster, faults, seconds=20).outcome.split_brain > 0.5,
        settings=FIRST_FOUND,
    )
    assert faults


def test_a_lease_is_broken_by_a_clock_beyond_its_bound():
    """The holder's clock goes at half the rate: it stops late. With the bound set accordingly it does not."""
    faults = [ClockError(at=1, node=0, drift=-0.5), Cut(at=5, until=15, a=(0,), b=(1, 2))]
    common = {"lease": 1.0, "threshold": 3.0, "replication": "quorum"}
    assert simulate(Cluster(**common), faults, seconds=20).outcome.split_brain > 0.3
    assert simulate(Cluster(**common, drift_bound=0.5), faults, seconds=20).outcome.split_brain == 0
    assert simulate(Cluster(**common), faults[1:], seconds=20).outcome.split_brain == 0


# ---- replication (theory.md 5.5) -------------------------------------------------------------------------------------


def test_asynchronous_loses_what_was_under_way():
    """Acknowledged within the last one-way delay before the crash, as the labs measured: about rate x delay."""
    lost = [
        simulate(
            Cluster(rate=1000, reads=0.0, delay=0.02, keys=1), [Crash(at=2 + k / 997)], seconds=4, seed=k
        ).outcome.lost_writes
        for k in range(10)
    ]
    assert all(17 <= n <= 21 for n in lost), lost
    process = simulate(Cluster(rate=1000, reads=0.0, delay=0.02, keys=1), [Crash(at=2, power=False)], seconds=4)
    assert process.outcome.lost_writes == 0


@pytest.mark.parametrize("wait_point", ["before commit", "after commit"])
def test_semi_synchronous_without_timeout_loses_nothing_acknowledged(wait_point):
    phantoms = 0
    for k in range(8):
        # No client tries again: or what others have read is written once more, and lasts.
        cluster = Cluster(
            replication="semi-sync",
            wait_point=wait_point,
            fallback_after=None,
            rate=500,
            delay=0.02,
            keys=2,
            patience=1.0,
        )
        outcome = simulate(cluster, [Crash(at=2 + k / 997)], seconds=4, seed=k).outcome
        assert outcome.lost_writes == 0
        phantoms += outcome.phantom_reads
    # Others may read what the failover then loses only if the wait comes after the commit.
    assert (phantoms > 0) == (wait_point == "after commit")


@pytest.mark.parametrize(
    "given",
    [
        {"replication": "async", "disk": 0.01},
        {"replication": "semi-sync", "wait_point": "after commit"},
        {"replication": "semi-sync", "wait_point": "before commit"},
        {"replication": "semi-sync", "wait_point": "before commit", "fallback_after": 0.5},
        {"replication": "quorum"},
    ],
    ids=lambda given: " ".join(map(str, given.values())),
)
def test_who_reads_from_the_primary_never_goes_back(given):
    """Writes are numbered as they are sent, and all arrive in that order: nothing is lost, nobody tries again."""
    cluster = Cluster(
        rate=500, delay=0.02, keys=2, patience=100.0, request_timeout=100.0, wait_before_promote=1000.0, **given
    )
    cuts = [Cut(at=0.5, a=(0,), b=(1, 2), until=1.5)] if "fallback_after" in given else []
    run = simulate(cluster, cuts, seconds=2)
    assert run.outcome.fallbacks == len(cuts)
    for key in range(2):
        read = [o.value for o in run.operations if o.kind == "read" and o.key == key and o.value is not None]
        assert len(set(read)) > 20
        assert read == sorted(read)


def test_semi_synchronous_that_fell_back_loses_acknowledged_writes():
    faults = [Cut(at=5, a=(0,), b=(1, 2), until=9.9), Crash(at=9.5)]
    cluster = Cluster(replication="semi-sync", fallback_after=1.0, threshold=80.0)
    run = simulate(cluster, faults, seconds=25)
    assert run.outcome.fallbacks == 1
    assert run.outcome.lost_writes > 100
    kept = simulate(dataclasses.replace(cluster, fallback_after=None), faults, seconds=25)
    assert (kept.outcome.fallbacks, kept.outcome.lost_writes) == (0, 0)


def test_semi_synchronous_returns_when_a_backup_is_back():
    faults = [Cut(at=5, a=(0,), b=(1, 2), until=9)]
    run = simulate(Cluster(replication="semi-sync", fallback_after=1.0, threshold=1000.0), faults, seconds=20)
    said = [h.what for h in run.timeline if h.node == 0]
    assert said[-2:] == ["falls back to asynchronous", "semi-synchronous again"]


def test_commit_latency_is_what_the_mode_waits_for():
    """One way there, to disk, the slowest that counts, and back: by hand."""
    delay, disk = 0.01, 0.002
    wait = {"async": disk, "semi-sync": 2 * delay + disk, "sync": 2 * delay + disk, "quorum": 2 * delay + disk}
    for replication, takes in wait.items():
        outcome = simulate(Cluster(nodes=5, replication=replication, delay=delay, disk=disk), seconds=5).outcome
        assert outcome.commit_latency == pytest.approx(2 * delay + takes)
    slow = [SlowDisk(at=0, node=4, takes=0.005)]
    for replication, takes in {**wait, "sync": 2 * delay + 0.005}.items():
        outcome = simulate(Cluster(nodes=5, replication=replication, delay=delay, disk=disk), slow, seconds=5).outcome
        assert outcome.commit_latency == pytest.approx(2 * delay + takes, rel=2e-3)


def test_synchronous_stands_still_with_one_backup_dead_and_a_quorum_does_not():
    faults = [Crash(at=5, until=10, node=2)]
    sync = simulate(Cluster(replication="sync"), faults, seconds=20).outcome
    assert sync.unavailability == pytest.approx(5, abs=0.3)
    assert simulate(Cluster(replication="quorum"), faults, seconds=20).outcome.unavailability == 0


def test_a_slow_disk_of_the_primary_queues():
    outcome = simulate(Cluster(reads=0.0), [SlowDisk(at=5, until=6, node=0, takes=0.02)], seconds=20).outcome
    # 100 writes of 10 ms each cannot be taken in by a disk that takes 20: the last waits a second, then all drain.
    assert outcome.slow + outcome.unknown > 0
    assert outcome.failed == 0


# ---- failover --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("election", list(MACHINES))
def test_every_election_replaces_a_crashed_primary(election):
    run = simulate(Cluster(election=election), [Crash(at=5, until=12)], seconds=20)
    outcome = run.outcome
    assert (outcome.failovers, outcome.needless_failovers, outcome.split_brain) == (1, 0, 0)
    # Heartbeats at 0, 0.1, ...: the last was at 4.9 or 5.0, and 5 periods of silence are waited for.
    assert 0.4 <= outcome.detection <= 0.502
    assert outcome.election < 0.5
    assert outcome.unavailability == pytest.approx(outcome.detection + outcome.election, abs=0.25)
    assert run.states(at=20).count("primary") == 1
    assert run.states(at=20)[0] == "backup"


@pytest.mark.parametrize("election", list(MACHINES))
def test_every_state_change_is_a_row_of_the_table(election):
    faults = [Crash(at=3, until=6), ISOLATED, Pause(at=16, until=18)]
    run = simulate(Cluster(election=election, clients=2), faults, seconds=30)
    states = ["backup"] * 3
    states[0] = "primary"
    changes = [h for h in run.timeline if h.state not in (None, "paused", "resumed") and h.time > 0]
    assert len(changes) > 5
    for change in changes:
        states[change.node] = run.machine.target(states[change.node], change.what)
        assert states[change.node] == change.state
        later = [h for h in changes if h.node == change.node and h.time == change.time]
        assert run.states(at=change.time)[change.node].removesuffix(", paused") == later[-1].state


def test_bully_is_the_highest_number_and_a_longest_log_wins_elsewhere():
    behind = [SlowDisk(at=0, until=4.9, node=2, takes=2.0), Crash(at=5)]
    winners = {
        election: simulate(Cluster(election=election), behind, seconds=20).states(at=20).index("primary")
        for election in MACHINES
    }
    assert winners == {"bully": 2, "raft": 1, "majority": 1, "zab": 1}


def test_a_zombie_primary():
    """Paused, replaced, and back: without fencing it acknowledges until it is demoted, and all that is lost."""
    faults = [Pause(at=5, until=8)]
    cluster = Cluster(fencing="none", patience=1.0, clients=2, demote_after=4.0)
    alone = simulate(cluster, faults, seconds=30)
    assert alone.outcome.split_brain == pytest.approx(4.0, abs=0.01)
    assert alone.outcome.lost_writes > 100
    terms = simulate(dataclasses.replace(cluster, fencing="terms"), faults, seconds=30).outcome
    assert terms.split_brain < 0.2
    assert terms.lost_writes < alone.outcome.lost_writes
    for fenced in ({"fencing": "stonith"}, {"lease": 0.4}):
        outcome = simulate(dataclasses.replace(cluster, **{"fencing": "terms", **fenced}), faults, seconds=30).outcome
        assert outcome.split_brain < 0.002
    assert simulate(cluster, faults, seconds=7).states(at=6)[0] == "primary, paused"


def test_who_was_elected_and_stands_still_is_powered_off_too():
    """It waits for the old primary's power-off and is paused; going on, it would be a second primary."""
    cluster = Cluster(fencing="stonith", stonith_time=0.5)
    first = next(h for h in simulate(cluster, [Crash(at=5)], seconds=10).timeline if h.what == "elected")
    faults = [Crash(at=5), Pause(at=first.time - 0.1, until=9, node=first.node)]
    # The third node alone is no majority, so the old primary comes back to vote.
    run = simulate(cluster, [dataclasses.replace(faults[0], until=6), faults[1]], seconds=15)
    assert any(h.node == first.node and h.what == "power-off" for h in run.timeline)
    assert run.outcome.split_brain == 0
    assert run.states(at=15).count("primary") == 1


def test_waiting_spares_a_failover_for_a_temporary_fault_and_costs_for_a_permanent_one():
    short, long = [Pause(at=5, until=6.5)], [Crash(at=5)]
    eager, patient = Cluster(), Cluster(wait_before_promote=3.0)
    assert simulate(eager, short, seconds=20).outcome.failovers == 1
    assert simulate(patient, short, seconds=20).outcome.failovers == 0
    costs = [simulate(cluster, long, seconds=20).outcome.unavailability for cluster in (eager, patient)]
    assert costs[1] - costs[0] == pytest.approx(3.0, abs=0.2)


def test_a_needless_failover_is_counted():
    """One backup alone hears nothing: Raft-like it deposes a healthy primary, a majority would not have agreed."""
    faults = [Cut(at=5, until=10, a=(0,), b=(1,), one_way=True)]
    assert simulate(Cluster(election="raft"), faults, seconds=9).outcome.needless_failovers >= 1
    assert simulate(Cluster(election="majority"), faults, seconds=9).outcome.failovers == 0


def test_with_prevote_who_was_cut_off_deposes_nobody():
    """It asks in vain, in the same term, until the network heals: then it follows."""
    faults = [Partition(at=5, until=11, groups=((0, "c0"), (1, 2, "c1")))]
    cluster = Cluster(replication="quorum", lease=0.5, **WITH_CLIENTS)
    without, asking = (simulate(c, faults, seconds=20) for c in (cluster, dataclasses.replace(cluster, prevote=True)))
    assert (without.outcome.failovers, without.outcome.needless_failovers) == (2, 1)
    assert (asking.outcome.failovers, asking.outcome.needless_failovers) == (1, 0)
    healed = asking.upto(11)
    assert [h.what for h in asking.timeline[:healed] if h.node == 0].count("asks before it stands") > 10
    assert not [h for h in asking.timeline[healed:] if h.what in ("stands", "elected", "newer term")]
    assert asking.outcome.unavailability < without.outcome.unavailability
    # One backup that alone does not hear the primary.
    deaf = [Cut(at=5, until=10, a=(0,), b=(1,), one_way=True)]
    assert simulate(Cluster(prevote=True), deaf, seconds=12).outcome.failovers == 0


@pytest.mark.parametrize("fault", [Crash(at=5), Crash(at=5, until=8), Pause(at=5, until=9), ISOLATED])
def test_with_prevote_a_dead_primary_is_replaced_as_soon(fault):
    """Asking first takes one round trip more, if nobody else still hears it."""
    runs = [simulate(Cluster(prevote=asks, clients=2), [fault], seconds=20) for asks in (False, True)]
    found = [run.outcome.detection + run.outcome.election for run in runs]
    assert found[1] < found[0] + 0.35, found
    assert runs[1].states(at=20).count("primary") == 1


@pytest.mark.parametrize("election", ["raft", "majority", "zab"])
@pytest.mark.parametrize("fencing", ["terms", "stonith"])
def test_an_election_ends_where_its_timeouts_are_well_above_a_round_trip(election, fencing):
    """Raft's timing requirement: a candidate that stands again before its votes are there wins nothing."""
    delay, disk = 0.005, 0.001

    def elected(low):
        cluster = Cluster(
            election=election, fencing=fencing, election_timeout=(low, 2 * low), delay=delay, disk=disk, rate=1.0
        )
        return simulate(cluster, [Crash(at=2)], seconds=8).outcome.failovers

    assert elected(10 * (2 * delay + disk)) == 1
    assert elected(0.0005) == 0


def test_heavy_jitter_and_a_short_timeout_suspect_wrongly_and_phi_less():
    common = {"jitter": 0.05, "loss": 0.1, "election": "majority"}
    fixed = simulate(Cluster(threshold=1.5, **common), seconds=60)
    phi = simulate(Cluster(detector=ac.PhiNormal(window=100), threshold=8.0, **common), seconds=60)
    suspicions = [sum(h.what == "suspects" for h in run.timeline) for run in (fixed, phi)]
    assert suspicions[0] > 10 * max(1, suspicions[1])


# ---- partitions ------------------------------------------------------------------------------------------------------


def test_cp_refuses_in_the_minority_and_loses_nothing():
    run = simulate(Cluster(replication="quorum", lease=0.4, **WITH_CLIENTS), [ISOLATED], seconds=30)
    assert (run.outcome.lost_writes, run.outcome.stale_reads, run.outcome.split_brain) == (0, 0, 0)
    minority = [o for o in run.operations if o.client == 0 and 6 < o.start < 13.5]
    majority = [o for o in run.operations if o.client == 1 and 7 < o.start < 15]
    assert {o.status for o in minority} <= {"failed", "unknown"}
    assert {o.status for o in majority} == {"ok"}


@pytest.mark.parametrize("heal", ["truncate", "last-writer-wins"])
def test_ap_answers_on_both_sides_and_pays_at_the_heal(heal):
    cluster = Cluster(policy="ap", fencing="terms", heal=heal, keys=1000, **WITH_CLIENTS)
    run = simulate(cluster, [ISOLATED], seconds=30)
    assert run.outcome.split_brain > 9
    assert {o.status for o in run.operations if 6 < o.start < 15} == {"ok"}
    written = [o for o in run.operations if o.kind == "write" and o.node == 0 and 5.02 < o.start < 15]
    lost = {o.number for o in run.findings.lost}
    if heal == "truncate":
        assert {o.number for o in written} <= lost
    else:  # a key's last writer wins: lost is only what was beaten by the other side
        last = {}
        for o in run.operations:
            if o.kind == "write" and 5.02 < o.start < 15:
                last[o.key] = o.node
        theirs = {o.key for o in run.operations if o.kind == "write" and o.node != 0 and o.start > 5}
        assert len(lost) < len(written) / 2
        assert all(o.key in theirs for o in run.findings.lost)


def test_a_wrong_clock_lets_an_older_write_win():
    cluster = Cluster(policy="ap", heal="last-writer-wins", keys=2, fencing="terms", **WITH_CLIENTS)
    # The isolated side's client is cut off at 10 s; the other goes on to the heal, so its writes are the last.
    faults = [ISOLATED, Cut(at=10, until=15, a=("c0",), b=(0, 1, 2))]
    right = simulate(cluster, faults, seconds=15.5)
    wrong = simulate(cluster, [*faults, ClockError(at=1, node=0, offset=3600.0)], seconds=15.5)
    assert [(o.key, o.node) for o in sorted(right.findings.lost, key=lambda o: o.key)] == [(0, 0), (1, 0)]
    assert {o.key for o in wrong.findings.lost} == {0, 1}
    assert all(o.node != 0 and o.start > 14 for o in wrong.findings.lost)


@pytest.mark.parametrize("offset", [0.0, -3.0, 3.0, 0.4])
@pytest.mark.parametrize("seed", range(3))
def test_of_each_key_that_both_sides_wrote_the_last_writer_wins(offset, seed):
    """From what the clients saw, key by key: of each side the last write, and of the two the later stamp."""
    cluster = Cluster(policy="ap", heal="last-writer-wins", keys=8, **WITH_CLIENTS)
    faults = [ISOLATED, *([ClockError(at=1, node=0, offset=offset)] if offset else [])]
    run = simulate(cluster, faults, seconds=20, seed=seed)
    merged = next(h.time for h in run.timeline if "merged" in h.detail)
    last = {"here": {}, "there": {}}
    for o in run.operations:
        # Taken in by then; the answer is with the client a write and a way later.
        taken_in = o.end - cluster.disk - cluster.delay
        if o.kind == "write" and o.status == "ok" and ISOLATED.at < o.start and taken_in < merged:
            by_key = last["here" if o.node == 0 else "there"]
            by_key[o.key] = max(by_key.get(o.key, (0.0, 0)), (o.end + (offset if o.node == 0 else 0.0), o.number))
    both = last["here"].keys() & last["there"].keys()
    assert len(both) == 8
    assert {o.number for o in run.findings.lost} == {min(side[key] for side in last.values())[1] for key in both}


def test_reads_from_anywhere_are_stale_sometimes():
    behind = [SlowDisk(at=1, until=2, node=2, takes=0.02)]
    assert simulate(Cluster(keys=2), behind, seconds=5).outcome.stale_reads == 0
    assert simulate(Cluster(keys=2, read_from="any"), behind, seconds=5).outcome.stale_reads > 0


# ---- results ---------------------------------------------------------------------------------------------------------


def test_the_same_seed_gives_the_same_run_and_another_another():
    faults = [Crash(at=5, until=8), ISOLATED]
    cluster = Cluster(clients=2, jitter=0.01, loss=0.05)
    runs = [simulate(cluster, faults, seconds=20, seed=seed).to_dict(operations=True) for seed in (1, 1, 2)]
    assert runs[0] == runs[1]
    assert runs[0]["timeline"] != runs[2]["timeline"]
    json.dumps(runs[0], allow_nan=False)


def test_a_timeline_can_be_walked_both_ways():
    run = simulate(Cluster(), [Crash(at=5, until=8)], seconds=10)
    times = [h.time for h in run.timeline]
    assert times == sorted(times)
    forwards = [run.states(at=t) for t in times]
    assert [run.states(at=t) for t in reversed(times)] == forwards[::-1]
    assert run.upto(5) == 2
    assert run.states(at=5)[0] == "down"
    with pytest.raises(ValueError, match="at must be within the run, 0 to 10 s, got 11"):
        run.states(at=11)
    assert "elected" in repr(run)
    assert run._repr_html_().count("<table>") == 2


def test_all_nodes_dead():
    run = simulate(Cluster(), [Crash(at=5, node=k) for k in range(3)], seconds=10)
    assert run.states(at=10) == ("down",) * 3
    assert math.isnan(run.outcome.election)
    assert run.outcome.failovers == 0
    assert run.outcome.unavailability == pytest.approx(5, abs=0.2)
    back = simulate(Cluster(), [Crash(at=5, until=8, node=k) for k in range(3)], seconds=20)
    assert back.states(at=20).count("primary") == 1


def test_one_node_alone_and_even_numbers():
    alone = simulate(Cluster(nodes=1), [Crash(at=5, until=8)], seconds=20)
    assert alone.states(at=20) == ("primary",)
    four = simulate(Cluster(nodes=4, replication="quorum"), [Crash(at=5), Crash(at=5, node=1)], seconds=20)
    assert four.outcome.failovers == 0  # two of four are no majority
    assert Cluster(nodes=4).explain() == "4 nodes: a majority is 3, so 1 may fail; 3 nodes stand as many."


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"nodes": 0}, "nodes must be a whole number from 1 to 15, got 0"),
        ({"replication": "quorum", "acks": 4}, "acks must be a whole number from 1 to 3, got 4"),
        ({"replication": "sync", "acks": 1}, "acks is for semi-sync and quorum, replication is 'sync'"),
        ({"delay": -0.1}, "delay must be from 0 to 1e+06, got -0.1"),
        ({"jitter": math.nan}, "jitter must be from 0"),
        ({"election": "paxos"}, "election must be one of raft, bully, majority, zab, got 'paxos'"),
        ({"election_timeout": (0.3, 0.1)}, "election_timeout[1] must be from 0.3"),
        ({"lease": 0.0}, "lease must be from 0.0001"),
        ({"election": "zab", "prevote": True}, "prevote must be False, or True for raft, got True for zab"),
        ({"prevote": 1}, "prevote must be False, or True for raft, got 1 for raft"),
        ({"nodes": 1, "replication": "semi-sync"}, "semi-sync needs a backup: nodes must be 2 or more, got 1"),
        ({"threshold": math.nan}, "threshold must be a number, got nan"),
        ({"election_timeout": 0.3}, "election_timeout must be two times, got 0.3"),
    ],
)
def test_bad_clusters(parameters, message):
    with pytest.raises(ValueError, match=re.escape(message)):
        Cluster(**parameters)


def test_bad_faults():
    with pytest.raises(
        ValueError, match=re.escape("until must be after at, 5 s: it cannot end before it begins, got 3")
    ):
        Partition(at=5, until=3, groups=((0,), (1, 2)))
    with pytest.raises(ValueError, match="at must be from 0"):
        Crash(at=-1)
    with pytest.raises(ValueError, match="node must be a whole number from 0 to 2, got 7"):
        simulate(Cluster(), [Crash(at=1, node=7)])
    with pytest.raises(ValueError, match="groups must be two or more, each node in one"):
        simulate(Cluster(), [Partition(at=1, groups=((0,), (1,)))])
    with pytest.raises(ValueError, match="a member must be a node 0 to 2, or c0, got 'c9'"):
        simulate(Cluster(), [Cut(at=1, a=("c9",), b=(1,))])
    with pytest.raises(ValueError, match="a and b must be two sets with nobody in both"):
        simulate(Cluster(), [Cut(at=1, a=(1,), b=(1,))])
    with pytest.raises(ValueError, match="seconds must be above 0, got 0"):
        simulate(Cluster(), seconds=0)
    with pytest.raises(TypeError, match="faults must be of Crash"):
        simulate(Cluster(), ["crash"])


def test_find_would_say_so():
    """That the searches above can fail: a safe cluster has no such schedule."""
    cluster = Cluster(replication="quorum", rate=20.0, clients=2)
    with pytest.raises(NoSuchExample):
        find(
            schedules(3),
            lambda faults: simulate(cluster, faults, seconds=20).outcome.lost_writes > 0,
            settings=settings(FIRST_FOUND, max_examples=30),
        )
