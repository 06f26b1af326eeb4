"""What the widgets of lesson 9 show, against other roads to the same numbers."""

import json
import math

import numpy as np
import pytest
from scipy import stats
from traitlets import TraitError

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
    for row in result.rows:
        driver = row["driver"].partition(",")[0].partition(":")[0]
        told = failover.story_of_trial(result, driver)
        assert told.states(told.begin) == {"a": "primary", "b": "backup", "c": "backup"} | dict.fromkeys(
            list(told.lanes)[3:], ""
        )
        assert told.states(told.end)["a"] == ("down" if name == "failover" else "backup")
        assert "primary" in (told.states(told.end)["b"], told.states(told.end)["c"])
        struck = next(event.at for event in told.events if "SIG" in event.what)
        promoted = next(event.at for event in told.events if event.what.startswith("has promoted"))
        assert promoted - struck == pytest.approx(row["promotion"], abs=0.002)
        seen += len(told.events)
    assert seen <= len(result.events)
    with pytest.raises(ValueError, match="driver must be one of phi-normal, fixed-timeout, sentinel, got 'x'"):
        failover.story_of_trial(result, "x")


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
    assert repr(widget).startswith("NeedlessFailovers(a majority decides; Phi = 1: detection in 0.150 s, 10 needless")
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
