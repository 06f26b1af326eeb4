"""The widgets of lesson 11, against other roads to the same numbers."""

import json

import pytest
from traitlets import TraitError

from accrual.recovery import Crash, simulate
from accrual.show.partition import BASE, CASES, CUT, NODES, POLICIES, CutNetwork, DeadOrCut, goes_on, policies, tally


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
    widget.policy, widget.time = "AP", 6.1
    assert widget.time == 6.0
    assert "AP at 6 s" in repr(widget)
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


def test_two_majorities_never_go_on():
    for mask in range(1, 2 ** len(NODES) - 1):
        one = [name for k, name in enumerate(NODES) if mask >> k & 1]
        two = [name for name in NODES if name not in one]
        for strategy in ("majority", "oldest", "witness", "stop all"):
            assert len(goes_on(strategy, [one, two])) == (0 if strategy == "stop all" else 1)
        assert len(goes_on("nothing", [one, two])) == 2
    with pytest.raises(ValueError, match="strategy must be one of"):
        goes_on("hope", ["a", "b"])
