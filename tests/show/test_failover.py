"""What the widgets of lesson 9 show, against other roads to the same numbers."""

import json
import math
from pathlib import Path

import numpy as np
import pytest
from scipy import stats
from traitlets import TraitError

from accrual.detectors import FixedTimeout, PhiNormal
from accrual.lab import recorded
from accrual.recovery import Cluster, Crash, simulate
from accrual.show import failover
from accrual.show.failover import NeedlessFailovers, SplitVotes, WaitOrPromote


@pytest.mark.parametrize("seed", range(3))
def test_writable_again(seed):
    """The first OK of a node that the old primary is not, operation by operation."""
    run = simulate(Cluster(nodes=5, clients=3), [Crash(at=1.23)], seconds=4, seed=seed)
    ends = [o.end for o in run.operations if o.kind == "write" and o.status == "ok" and o.node != 0]
    assert failover.writable_again(run) == min(ends) - 1.23
    assert failover.writable_again(run) >= run.outcome.detection + run.outcome.election
    assert math.isnan(failover.writable_again(simulate(Cluster(nodes=1), [Crash(at=1)], seconds=3)))


@pytest.mark.parametrize("name", ["failover", "failover-stop"])
def test_each_trial_of_the_lab_is_a_story_of_its_own(name):
    result = recorded(name)
    seen = 0
    stories = failover.trials(result).found
    assert list(stories) == ["phi-normal", "fixed-timeout", "sentinel"]
    for row, (driver, told) in zip(result.rows, stories.items(), strict=True):
        assert row["driver"].startswith(driver)
        assert not any(event.what.startswith(driver) for event in told.events)
        assert told.states(told.begin) == {"a": "primary", "b": "backup", "c": "backup"} | dict.fromkeys(
            list(told.lanes)[3:], ""
        )
        assert told.states(told.end)["a"] == ("down" if name == "failover" else "backup")
        assert "primary" in (told.states(told.end)["b"], told.states(told.end)["c"])
        struck = next(event.at for event in told.events if "SIG" in event.what)
        assert struck == 0
        promoted = next(event.at for event in told.events if event.what.startswith("has promoted"))
        assert promoted - struck == pytest.approx(row["promotion"], abs=0.002)
        seen += len(told.events)
    assert 0 < seen <= len(result.events)
    with pytest.raises(ValueError, match="driver must be one of phi-normal, fixed-timeout, sentinel, got 'x'"):
        failover.story_of_trial(result, "x")


def test_a_fenced_primary_that_wakes_up_is_no_second_one():
    """Sentinel fences nobody: there the old primary is one again, until it is told."""
    for driver, told in failover.trials(recorded("failover-stop")).found.items():
        awake, replica = (
            next(event.at for event in told.events if words in event.what) for words in ("wakes up", "is a replica")
        )
        assert told.states(0)["a"] == "primary, paused"
        assert told.states(awake)["a"] == ("primary" if driver == "sentinel" else "fenced")
        assert told.states(replica)["a"] == "backup"


def prose(name):
    """A lesson's words, without the signs of a comment."""
    source = Path(__file__).parents[2] / "lessons" / "source" / name
    return " ".join(source.read_text(encoding="utf-8").replace("\n# ", " ").split())


def test_the_lesson_tells_what_was_recorded():
    words = prose("09_failover.py")
    phi, fixed, sentinel = recorded("failover").rows
    assert (
        f"φ had writes back after {phi['writable']:.2f} s, k × T after {fixed['writable']:.2f} s, "
        f"Sentinel after {sentinel['writable']:.2f} s: of these {sentinel['detection']:.2f} s for detection, as "
        f"`down-after` says, and {sentinel['promotion'] - sentinel['detection']:.2f} s more until"
    ) in words
    failed = [10 * round(row["failed"] / 10) for row in (phi, fixed, sentinel)]
    assert "Some {}, {} and {} writes failed, and none".format(*failed) in words
    assert not any(row["lost"] for row in (phi, fixed, sentinel))
    # What is said of phi's wait and the timeout's: the difference is in the recording, too.
    least = 0.1 + stats.norm.isf(1e-8) * 0.05
    assert f"Φ = 8 is {least:.2f} s after the last answer; k = 5 is 0.50 s after it" in words
    assert fixed["detection"] - phi["detection"] == pytest.approx(0.5 - least, abs=0.02)

    zombie = recorded("failover-stop").rows[-1]
    assert f"it told the zombie {zombie['demoted']:.1f} s after it woke" in words
    assert f"had taken {zombie['zombie_accepted']:,} writes, told OK, and lost every one" in words
    assert zombie["lost"] == zombie["zombie_accepted"]
    assert not any(row["lost"] or row["zombie_accepted"] for row in recorded("failover-stop").rows[:-1])

    gaps = {
        fault: sorted(row["write_gap"] for row in recorded("election-zookeeper").rows if row["fault"] == fault)
        for fault in ("stopped", "killed")
    }
    said = "a *{}* leader cost {:.1f} to {:.1f} s", "a *{}* one cost {:.1f} to {:.1f} s"
    for words_of, (fault, found) in zip(said, gaps.items(), strict=True):
        assert words_of.format(fault, found[0], found[-1]) in words


def test_the_lesson_tells_what_false_suspicions_cost():
    words = prose("09_failover.py")
    phi = PhiNormal(window=100)
    alone, patient = (failover.price(phi, threshold, "one backup") for threshold in (1.0, 2.0))
    together = failover.price(phi, 1.0, "a majority")
    assert f"φ makes {alone.needless} needless failovers at Φ = 1" in words
    assert f"With a majority Φ = 1 makes {together.needless}. It decides" in words
    later = 1e3 * (together.detection - alone.detection)
    assert f"{later:.0f} ms later, at {together.detection:.3f} s instead of {alone.detection:.3f} s" in words
    assert f"with Φ = 2, still makes {patient.needless}" in words
    assert patient.detection >= together.detection
    assert f"**{alone.lost} acknowledged writes are gone**" in words


@pytest.mark.parametrize(
    ("detector", "threshold"), [(FixedTimeout(period=0.1), 3.0), (PhiNormal(window=100), 8.0)], ids=str
)
def test_decisions_are_those_of_the_model(detector, threshold):
    """A crash in the cluster itself, after its windows have filled. Who decides, stands for election at once."""
    expected = failover.decided_after(detector, threshold, seed=3)
    for who, election in failover.DECIDES.items():
        cluster = Cluster(
            detector=detector, threshold=threshold, election=election, election_timeout=(0.15, 0.15), rate=0,
            loss=failover.LOSS, jitter=failover.JITTER,
        )  # fmt: skip
        found = []
        for seed in range(80):
            at = 14 + 0.1 * (seed + 0.5) / 80
            run = simulate(cluster, [Crash(at=at)], seconds=16, seed=seed)
            stood = [happening.time for happening in run.timeline if happening.what == "stands"]
            if stood[0] > at:  # no needless failover came before
                found.append(stood[0] - at)
        if len(found) > 30:
            assert expected[who] == pytest.approx(np.mean(found), abs=4 * np.std(found) / len(found) ** 0.5)
        assert len(found) > 30 or who == "one backup"
    assert expected["one backup"] < expected["a majority"] < expected["one backup"] + 0.06


def test_split_votes_are_ongaros():
    """By the binomial law of scipy, and by what was measured: within what chance allows."""
    for ms in (20, 50):
        found = failover.split_votes(ms, runs=200)
        expected = stats.binom.sf(1, 4, 5 / ms)  # two of four or more within one message's way
        assert found.formula == pytest.approx(expected)
        assert stats.binomtest(found.split, 200, expected).pvalue > 1e-4
        assert found.elections == sorted(found.elections)


def test_needless_failovers_become_fewer_with_patience_and_company():
    widget = NeedlessFailovers()
    for found in widget.found.values():
        for rows in found.values():
            assert rows[0].needless > rows[-1].needless
            assert [row.detection for row in rows] == sorted(row.detection for row in rows)
    alone, together = widget.found.values()
    for name in ("phi", "fixed"):
        assert sum(row.needless for row in together[name]) < sum(row.needless for row in alone[name]) / 2
    assert json.loads(json.dumps(widget.prices)) == widget.prices
    widget.k, widget.phi, widget.decides = 1.4, 0, "a majority"
    assert repr(widget).startswith("NeedlessFailovers(a majority decides; Phi = 1: detection in 0.109 s, 10 needless")
    with pytest.raises(TraitError, match="decides must be one of one backup, a majority, got 'me'"):
        widget.decides = "me"
    with pytest.raises(TraitError, match="k must be a finite number, got inf"):
        widget.k = math.inf


def test_split_votes_widget():
    widget = SplitVotes(runs=5)
    widget.range = 70
    assert widget.range == 50
    assert repr(widget).startswith("SplitVotes(timeouts within 50 ms: ")
    assert [row["range"] for row in widget.splits] == failover.RANGES


def test_wait_or_promote_against_a_loop():
    mine = [0.5, 2.0, 7.0, 300.0]
    widget = WaitOrPromote(mine, failover=3.0)
    for penalty in failover.PENALTIES:
        for permanent in failover.PERMANENT:
            handed = widget.curves["your outages"][failover.PENALTIES.index(penalty)][
                failover.PERMANENT.index(permanent)
            ]
            for wait, cost in zip(failover.WAITS, handed["cost"], strict=True):
                ends = [outage if outage <= wait else wait + 3 + penalty for outage in mine]
                expected = (1 - permanent) * np.mean(ends) + permanent * (wait + 3 + penalty)
                assert cost == pytest.approx(expected)
    widget.wait, widget.penalty, widget.permanent = 2.1, 31, 0.11
    assert (widget.penalty, widget.permanent) == (30, 0.1)
    assert "a failover costs 3 s and 30 s more, 10% never end" in repr(widget)
    with pytest.raises(TraitError, match="wait must be a finite number, got nan"):
        widget.wait = math.nan
    with pytest.raises(TraitError, match="shown must be one of your outages, got 'x'"):
        widget.shown = "x"
    with pytest.raises(ValueError, match="lasts must be one or more, got none"):
        WaitOrPromote({})
