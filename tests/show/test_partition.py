"""The widgets of lesson 11, against other roads to the same numbers."""

import dataclasses
import itertools
import json
import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from traitlets import TraitError

from accrual.lab import Event, LabResult, recorded
from accrual.recovery import ClockError, Cluster, Crash, Partition, simulate
from accrual.show.partition import (
    BASE,
    CASES,
    CUT,
    NODES,
    POLICIES,
    SERVERS,
    STRATEGIES,
    CutNetwork,
    DeadOrCut,
    acted_wrongly,
    goes_on,
    policies,
    real_servers,
    served,
    step_by_step,
    story_of_servers,
    table_of_servers,
    tally,
    verdicts,
    wrongly_lost,
)

# ---- CAP -------------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def runs():
    return policies()


def test_the_counters_end_at_what_the_run_came_to(runs):
    for run in runs.values():
        [found] = tally(run, [run.seconds])
        outcome = run.outcome
        assert found == (outcome.requests, outcome.failed + outcome.unknown, outcome.stale_reads, outcome.lost_writes)
        [half] = tally(run, [5.0])
        assert half.sent == sum(o.start <= 5.0 for o in run.operations)
    cp, ap = (run.outcome for run in runs.values())
    assert (cp.stale_reads, cp.lost_writes, cp.split_brain) == (0, 0, 0)
    assert ap.failed + ap.unknown == 0 < min(ap.stale_reads, ap.lost_writes)


def test_the_widget_holds_the_counters(runs):
    widget = CutNetwork(runs)
    for name, run in runs.items():
        for k, at in enumerate(widget.times):
            assert (
                tuple(widget.runs[name][field][k] for field in ("sent", "refused", "stale", "lost"))
                == tally(run, [at])[0]
            )
            assert widget.runs[name]["states"][k] == list(run.states(at))
            assert widget.runs[name]["served"][k] == list(served(run, widget.times)[k])
    # Nothing is given away before somebody has cut the network.
    assert widget.time == 2.75
    assert all(found["refused"][11] == found["stale"][11] == found["lost"][11] == 0 for found in widget.runs.values())
    widget.policy, widget.time = "AP", 6.1
    assert widget.time == 6.0
    assert "AP at 6 s" in repr(widget)
    assert repr(widget).endswith("client 0: stale, client 1: stale)")
    json.dumps(widget.get_state(), allow_nan=False, default=str)
    with pytest.raises(TraitError, match="policy must be one of CP, AP"):
        widget.policy = "CA"
    with pytest.raises(TraitError, match="time must be from 0 to 14 s"):
        widget.time = 15
    with pytest.raises(ValueError, match="one Partition into two groups"):
        CutNetwork({"crash": simulate(POLICIES["CP"], [Crash(at=1)], seconds=2)})
    with pytest.raises(ValueError, match="runs must be one or more"):
        CutNetwork({})
    assert (BASE["nodes"], CUT.until) == (3, 9.0)


def test_how_a_client_fares_is_the_worst_of_what_it_asked_since(runs):
    times = [2.0, 3.5, 4.0, 8.0, 9.5, 14.0]
    for run in runs.values():
        found = served(run, times)
        stale = {id(read) for read, _ in run.findings.stale}
        for (since, at), words in zip(itertools.pairwise([-1.0, *times]), found, strict=True):
            for client, word in enumerate(words):
                asked = [o for o in run.operations if o.client == client and since < o.start <= at]
                if word == "refused":
                    assert any(o.status != "ok" for o in asked)
                else:
                    assert all(o.status == "ok" for o in asked)
                    assert (word == "stale") == any(id(o) in stale for o in asked)
    assert served(runs["CP"], times)[3] == ("refused", "answered")
    assert served(runs["AP"], times)[3] == ("stale", "stale")


@pytest.mark.parametrize("offset", [-5.0, -0.5, 0.5, 5.0])
@pytest.mark.parametrize("seed", [1, 2, 3])
def test_which_lost_writes_were_the_later_ones(offset, seed):
    """By the two sides' last writes of each key: a wrong clock makes the wrong one stay."""
    right = simulate(POLICIES["AP"], [CUT], seconds=14, seed=seed)
    wrong = simulate(POLICIES["AP"], [CUT, ClockError(at=0.5, until=13, node=0, offset=offset)], seconds=14, seed=seed)
    assert wrongly_lost(right) == []
    merged = next(h.time for h in wrong.timeline if "merged" in h.detail)
    last = {0: {}, 1: {}}
    for o in wrong.operations:
        if o.kind == "write" and o.status == "ok" and o.start > CUT.at and o.end - 0.0015 < merged:
            last[int(o.node != 0)][o.key] = o
    expected = set()
    for key in last[0].keys() & last[1].keys():
        here, there = last[0][key], last[1][key]
        loser, winner = (here, there) if here.end + offset < there.end else (there, here)
        if loser.end > winner.end:
            expected.add(loser.number)
            assert (loser.node == 0) == (offset < 0)
    assert {o.number for o in wrongly_lost(wrong)} == expected


def test_nothing_is_wrongly_lost_where_nothing_is_merged(runs):
    assert wrongly_lost(runs["CP"]) == []
    assert wrongly_lost(simulate(dataclasses.replace(POLICIES["AP"], heal="truncate"), [CUT], seconds=14, seed=1)) == []


# ---- dead, or cut off? -----------------------------------------------------------------------------------------------


def test_what_the_game_says_could_be_has_the_same_matrix():
    widget = DeadOrCut()
    assert len({case.kind for case in CASES}) == 5
    for k, (case, found) in enumerate(zip(CASES, widget.found, strict=True)):
        assert case.kind in (found.kind, *found.could_be)
        twins = [
            other.kind
            for other, sent in zip(CASES, widget.cases, strict=True)
            if sent["matrix"] == widget.cases[k]["matrix"]
        ]
        assert set(twins) <= {found.kind, *found.could_be}
    assert widget.cases[4]["matrix"] == widget.cases[6]["matrix"]
    widget.case = 1
    assert "b suspects d" in repr(widget)
    assert CASES[1].truth not in repr(widget)
    widget.guess = "whole"
    assert CASES[1].truth in repr(widget)
    with pytest.raises(TraitError, match="case must be from 0 to 6"):
        widget.case = 7
    with pytest.raises(TraitError, match="guess must be one of"):
        widget.guess = "gremlins"


# ---- who goes on? ----------------------------------------------------------------------------------------------------


@given(st.lists(st.integers(0, 2), min_size=1, max_size=6), st.data())
def test_who_goes_on_as_each_node_sees_it(side_of, data):
    """Node by node: whom it reaches, what it may do. A side goes on if its living nodes do."""
    names = "abcdef"[: len(side_of)]
    sides = [[name for name, side in zip(names, side_of, strict=True) if side == k] for k in range(3)]
    dead = data.draw(st.sets(st.sampled_from(names)))
    lease = data.draw(st.none() | st.integers(0, 2))
    alone = {
        "nothing": lambda reached, side: True,
        "majority": lambda reached, side: len(reached) > len(names) - len(reached),
        "witness": lambda reached, side: side == lease,
        "oldest": lambda reached, side: "a" in reached,
        "stop all": lambda reached, side: False,
    }
    assert alone.keys() == STRATEGIES.keys()
    for strategy, may in alone.items():
        going = set()
        for name, side in zip(names, side_of, strict=True):
            reached = {other for other in sides[side] if other not in dead}
            if name not in dead and may(reached, side):
                going.add(name)
        found = goes_on(strategy, sides, tuple(dead), lease)
        assert sorted(itertools.chain(*found)) == sorted(going)
        assert len(found) == len({side_of[names.index(name)] for name in going})
        assert len(found) <= 1 or strategy == "nothing"


def test_two_majorities_never_go_on():
    for mask in range(1, 2 ** len(NODES) - 1):
        one = [name for k, name in enumerate(NODES) if mask >> k & 1]
        two = [name for name in NODES if name not in one]
        for strategy in ("majority", "oldest", "witness", "stop all"):
            assert len(goes_on(strategy, [one, two])) == (0 if strategy == "stop all" else 1)
        assert len(goes_on("nothing", [one, two])) == 2
    with pytest.raises(ValueError, match="strategy must be one of"):
        goes_on("hope", ["a", "b"])


# ---- how long to wait ------------------------------------------------------------------------------------------------


def test_verdicts_of_a_timeline_written_by_hand():
    def result(*rows):
        return LabResult("recognition", {}, [], events=[Event(at, who, what) for at, who, what in rows])

    found = verdicts(
        result(
            (0.5, "recogniser", "whole: before anything happened"),
            (1.0, "network", "partial: n1-n2, n3-n4 cut"),
            (1.75, "recogniser", "one-way: n1 does not hear n2"),
            (2.0, "recogniser", "sound"),
            (2.25, "recogniser", "partial: both"),
            (3.0, "network", "healed"),
            (3.5, "recogniser", "whole: after the heal"),
            (4.0, "network", "node fault: n4 is killed"),
            (4.5, "recogniser", "node fault: n4 down"),
            (5.0, "network", "n4 is started again"),
            (6.0, "network", "whole: nobody says anything of it"),
        )
    )
    assert found == {
        "partial": [(0.75, "one-way"), (1.25, "partial")],
        "node fault": [(0.5, "node fault")],
        "whole": [],
    }
    assert verdicts(result((1.0, "recogniser", "whole: n1 | n2"))) == {}


KINDS_SAID = st.sampled_from(["partial", "one-way", "whole"])


@given(st.lists(st.tuples(st.integers(1, 8), KINDS_SAID), max_size=6), st.integers(0, 10))
def test_who_acts_wrongly_by_waiting_tick_by_tick(rows, stable_after):
    at, said = 0, []
    for gap, kind in rows:
        at += gap
        said.append((float(at), kind))
    acted = None
    standing, since = None, 0
    for now in range(at + 11):  # the last verdict stands for ever
        if acted is None and standing is not None and now - since >= stable_after:
            acted = standing
        for when, kind in said:
            if when == now:
                standing, since = kind, now
                if acted is None and stable_after == 0:
                    acted = kind
    wrong = acted not in (None, "partial")
    assert acted_wrongly({"partial": said}, float(stable_after)) == (["partial"] if wrong else [])
    assert acted_wrongly({"whole": [(1.0, "whole")], "partial": said}, float(stable_after)) == (
        ["partial"] if wrong else []
    )


# ---- real servers ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", SERVERS)
def test_the_story_of_real_servers(name):
    result = real_servers()[name]
    told = story_of_servers(result)
    assert list(told.lanes)[:6] == ["n1", "n2", "n3", "network", "minority", "majority"]
    assert {told.states(0.1)[node] for node in ("n1", "n2", "n3")} == {"primary", "backup"}
    assert (told.states(-0.1)["network"], told.states(3)["network"], told.states(7)["network"]) == (
        "whole", "cut", "whole",
    )  # fmt: skip
    # The lab added up for how long two led, look by look.
    leading = [span for node in ("n1", "n2", "n3") for span in told.lanes[node] if span.state == "primary"]
    both = sum(max(0.0, min(a.end, b.end) - max(a.begin, b.begin)) for a, b in itertools.combinations(leading, 2))
    assert both == pytest.approx(result.facts["two_leaders"], abs=0.1)
    minority, majority = result.rows
    assert told.states(5.9)["minority"] == {"Redis": "lost", "Redis, min-replicas": "failed"}.get(name, "unknown")
    assert told.states(5.9)["majority"] == "answered"
    lost = sum(
        span.end - max(span.begin, 6.0) for span in told.lanes["minority"] if span.state == "lost" and span.end > 6
    )
    assert (lost > 1) == (minority["lost_after_heal"] > 0)
    assert majority["lost"] == 0


def test_a_result_of_ones_own_takes_the_place_of_the_recorded_one():
    ours = dataclasses.replace(recorded("partition-redis"), recorded="")
    found = real_servers(redis=ours)
    assert list(found) == list(SERVERS)
    assert found["Redis"] is ours
    assert real_servers()["Redis"].recorded
    widget = step_by_step(found)
    widget.shown = "Redis"
    assert "n1 primary, n2 backup" in repr(widget)
    lines = table_of_servers(found).splitlines()
    assert len(lines) == 9
    assert len({line.rindex("  ") for line in lines}) == 1  # one column below the other
    assert re.match(r"Redis, minority +1202 +0 +1202 +2055  314 missing$", lines[5])
    partial = dataclasses.replace(ours, rows=[{**ours.rows[0], "lost": 7}, ours.rows[1]])
    assert story_of_servers(partial).states(3)["minority"] == "answered"  # some were lost, not all


# ---- the lesson's figures --------------------------------------------------------------------------------------------


def test_the_prose_has_the_figures_of_this_code_and_of_these_recordings(runs):
    source = Path(__file__).resolve().parents[2] / "lessons" / "source" / "11_partition.py"
    prose = " ".join(line.removeprefix("# ") for line in source.read_text().splitlines() if line.startswith("# "))
    found = real_servers()
    redis, narrow = found["Redis"].rows[0], found["Redis, min-replicas"].rows[0]
    etcd = found["etcd"]
    ap = {
        offset: simulate(POLICIES["AP"], [CUT, ClockError(at=0.5, until=13, node=0, offset=offset)], seconds=14, seed=1)
        for offset in (0.0, -5.0, 5.0, -0.5, 0.5)
    }
    cp, demoted = runs["CP"].outcome, found["Redis"].facts["old_leader_gave_up"] - 6
    later = {offset: len(wrongly_lost(run)) for offset, run in ap.items()}
    own = sum(o.node == 0 for o in ap[0.0].findings.lost)
    quorum = simulate(Cluster(**BASE, replication="quorum"), [CUT], seconds=14, seed=1).outcome
    cut_log = simulate(dataclasses.replace(POLICIES["AP"], heal="truncate"), [CUT], seconds=14, seed=1).outcome
    unleased = dataclasses.replace(POLICIES["CP"], lease=None)
    short = [
        simulate(
            dataclasses.replace(cluster, wait_before_promote=wait),
            [Partition(at=3, until=3 + length, groups=CUT.groups)],
            seconds=8 + length,
            seed=1,
        ).outcome
        for cluster, length in ((POLICIES["CP"], 1), (unleased, 2))
        for wait in (0.0, 2.0)
    ]
    refused = [outcome.failed + outcome.unknown for outcome in short]
    asked_first = simulate(dataclasses.replace(POLICIES["CP"], prevote=True), [CUT], seconds=14, seed=1).outcome
    assert (cp.failovers, asked_first.failovers) == (2, 1)
    assert [outcome.failovers for outcome in short] == [1, 1, 1, 0]
    partial = verdicts(recorded("recognition"))["partial"]
    for sentence in (
        f"CP: {cp.failed + cp.unknown} refused or unanswered, no stale read, nothing lost. AP: none refused, "
        f"{runs['AP'].outcome.stale_reads} stale reads, and {runs['AP'].outcome.lost_writes} writes",
        f"{asked_first.failed + asked_first.unknown} are refused or unanswered, not {cp.failed + cp.unknown}",
        f"but {quorum.stale_reads} of its reads are stale",
        f"all {cut_log.lost_writes} are lost. Merged, {ap[-5.0].outcome.lost_writes} are lost",
        f"{own} times node 0's and {ap[0.0].outcome.lost_writes - own} times the other side's",
        f"and {later[-5.0]} times its write was the later one",
        f"and {later[5.0]} times against a later one",
        f"spoil {later[-0.5]} (slow) or {later[0.5]} (fast)",
        f"Redis acknowledges {redis['lost']} writes on the side of the minority, and **none** survives",
        f"demoted only {demoted:.0f} s *after* the heal",
        f"until then, {redis['lost_after_heal']} writes, is lost",
        f"{narrow['lost']} were lost until then, and none after the heal",
        f"for {etcd.facts['two_leaders']:.2f} s *two* nodes",
        f"missed {etcd.rows[0]['local_read'].removesuffix(' missing')} writes",
        f"etcd {etcd.facts['version']}, ZooKeeper {found['ZooKeeper'].facts['version']}, "
        f"Redis {found['Redis'].facts['version']}",
        f"It was right {partial[1][0] - partial[0][0]:.2f} s later",
        f"{refused[0]} refused become {refused[1]}",
        f"after 2 s of cut {refused[3]} requests are refused for that instead of {refused[2]}",
        f"Real Redis lost {redis['lost']} writes of the cut, and {redis['lost_after_heal']} acknowledged after it",
    ):
        assert sentence in prose, sentence
    assert redis["acknowledged"] == redis["lost"]
    assert narrow["lost_after_heal"] == 0
    assert [kind for _, kind in partial] == ["one-way", "partial"]
