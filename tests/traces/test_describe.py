"""What a trace says about its peer: the gaps in it."""

import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import accrual as ac

NS = 10**9


def test_a_trace_worked_by_hand():
    #                    0  1  2   3   late  4   step back  regular  restart  regular
    arrivals = np.array([0, 1, 2, 40, 45, 80, 10, 11, 60, 61]) * NS
    sequence = [0, 1, 2, 8, 5, 9, 10, 11, 0, 1]
    epoch = [7] * 8 + [8] * 2
    gaps = ac.outages(ac.Trace(arrivals, sequence=sequence, epoch=epoch), min=30)
    assert gaps.start.tolist() == [2 * NS, 40 * NS, 11 * NS]
    assert gaps.end.tolist() == [40 * NS, 80 * NS, 60 * NS]  # the late one at 45 s ends no gap
    assert gaps.duration.tolist() == [38.0, 40.0, 49.0]
    assert gaps.lost.tolist() == [5, 0, 0]
    assert gaps.restarted.tolist() == [False, False, True]
    assert len(gaps) == 3


def test_without_numbers_nothing_is_known_to_be_lost():
    gaps = ac.outages(ac.Trace([0, 30 * NS, 61 * NS]), min=30)
    assert (gaps.lost, len(gaps)) == (None, 2)  # just as long counts
    assert len(ac.outages(ac.Trace([0, 30 * NS - 1]), min=30)) == 0
    for arrivals in ([], [5]):
        assert len(ac.outages(ac.Trace(arrivals), min=1e-9)) == 0


def slowly(trace, shortest):
    """One heartbeat after the other, as semantics.md says it."""
    found, last, epoch, number = [], None, None, None
    for i, now in enumerate(trace.arrivals.tolist()):
        boot = None if trace.epoch is None else int(trace.epoch[i])
        this = None if trace.sequence is None else int(trace.sequence[i])
        if boot == epoch and None not in (this, number) and this <= number:
            continue
        if last is not None and now - last >= shortest:
            lost = None if this is None else this - number - 1 if boot == epoch else 0
            found.append((last, now, lost, boot != epoch))
        last, epoch, number = now, boot, this
    return found


@st.composite
def traces(draw):
    n = draw(st.integers(0, 30))
    small = st.lists(st.integers(0, 20), min_size=n, max_size=n)
    columns = {"sequence": draw(st.none() | small), "epoch": draw(st.none() | small.map(lambda e: [x // 7 for x in e]))}
    return ac.Trace(draw(small), **columns)


@given(traces(), st.integers(1, 10))
def test_gaps_are_what_one_finds_one_heartbeat_after_the_other(trace, shortest):
    gaps = ac.outages(trace, min=shortest / NS)
    lost = [None] * len(gaps) if gaps.lost is None else gaps.lost.tolist()
    found = list(zip(gaps.start.tolist(), gaps.end.tolist(), lost, gaps.restarted.tolist(), strict=True))
    assert found == slowly(trace, shortest)


def test_numbers_that_lie_far_apart():
    trace = ac.Trace([0, NS, 2 * NS], sequence=[-(2**63), 0, 2**63 - 1])
    assert ac.outages(trace, min=1).lost.tolist() == [2**63 - 1, 2**63 - 2]


@pytest.mark.parametrize("shortest", [0, -1, float("nan"), float("inf"), True, "30s"])
def test_a_gap_has_a_length(shortest):
    with pytest.raises(ValueError, match=r"^min must be a finite number of seconds > 0, is "):
        ac.outages(ac.Trace([0]), min=shortest)


def test_how_it_shows():
    gaps = ac.outages(ac.Trace([0, 40 * NS, 75 * NS], sequence=[0, 3, 4]), min=30)
    assert repr(gaps) == "Outages(2, 75.000 s in all, the longest 40.000 s)"
    assert repr(ac.outages(ac.Trace([0]), min=30)) == "Outages(0, 0.000 s in all)"
    assert json.loads(json.dumps(gaps.to_dict())) == {
        "start": [0, 40 * NS],
        "end": [40 * NS, 75 * NS],
        "duration": [40.0, 35.0],
        "lost": [2, 0],
        "restarted": [False, False],
    }
    assert "<th>duration [s]</th>" in gaps._repr_html_()
    assert gaps._repr_html_().count("<tr>") == 3
    pytest.importorskip("pandas", reason="pip install pandas")
    assert gaps.to_pandas().columns.tolist() == ["start", "end", "duration", "lost", "restarted"]
    assert "lost" not in ac.outages(ac.Trace([0, 40 * NS]), min=30).to_pandas()
