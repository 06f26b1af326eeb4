"""What the widgets of lesson 2 show, against other roads to the same numbers."""

import json
import math
import re

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from traitlets import TraitError

import accrual as ac
from accrual.show import fixed
from accrual.show.fixed import CrashTimeline, KTimesT, Topologies

# ---- numbers ----


@given(st.integers(0, 3000), st.integers(1, 400), st.integers(1, 12), st.integers(0, 500))
def test_a_crash_by_looking_every_millisecond(at, period, k, transit):
    story = fixed.crash(at / 1000, period / 1000, k, transit / 1000)
    arrivals = [sent + transit for sent in range(0, at + 1, period)]
    silent_since = max(arrivals)
    now = silent_since
    while now - silent_since < k * period:
        now += 1
    assert story.suspected == pytest.approx(now / 1000, abs=1e-9)
    assert story.detection_time == pytest.approx((now - at) / 1000, abs=1e-9)
    assert story.sent == pytest.approx([sent / 1000 for sent in range(0, at + 1, period)])
    assert story.arrived == pytest.approx([arrival / 1000 for arrival in arrivals])


def test_the_lectures_second_is_longer():
    just_after, just_before = (fixed.crash(at, 0.2, 5, transit=0.03) for at in (1.0, 1.199999999))
    assert just_after.detection_time == 1.03 > 5 * 0.2
    assert just_before.detection_time == pytest.approx(0.83)
    crashes = np.arange(10_000, 12_000) / 10_000  # over one period, all alike
    times = [fixed.crash(at, 0.2, 5, transit=0.03).detection_time for at in crashes]
    worst, uniform = fixed.crash_bounds(0.2, 5, transit=0.03)
    assert max(times) == worst
    assert np.mean(times) == pytest.approx(uniform, abs=1e-4)


def test_a_patience_beyond_all_clocks():
    assert fixed.crash(1, 1, 1e300).suspected == math.inf


@pytest.mark.parametrize(
    ("name", "value"), [("at", -1), ("at", math.nan), ("period", 0), ("k", -1), ("transit", math.inf)]
)
def test_crashes_that_cannot_be(name, value):
    with pytest.raises(ValueError, match=f"{name} must be a finite number"):
        fixed.crash(**{"at": 1, "period": 1, "k": 1, "transit": 0} | {name: value})


@pytest.mark.parametrize("nodes", [3, 4, 10, 37])
def test_topologies(nodes):
    kinds = {name: fixed.topology(name, nodes) for name in fixed.TOPOLOGIES}
    assert {name: kind.messages for name, kind in kinds.items()} == {
        "push": nodes - 1,
        "pull": 2 * (nodes - 1),
        "ring": nodes,
        "mesh": nodes * (nodes - 1),
        "gossip": 2 * nodes,
    }
    for name, kind in kinds.items():
        assert len(set(kind.edges)) == kind.messages
        assert all(a != b and 0 <= a < nodes and 0 <= b < nodes for a, b in kind.edges)
        touched = [sum(node in edge for edge in kind.edges) for node in range(nodes)]
        assert kind.busiest == max(touched)
        heard_of_directly = {b for a, b in kind.edges if a == nodes - 1}
        if name != "gossip":
            assert (kind.watchers, kind.rounds) == (len(heard_of_directly), 1)
        else:
            # A rumour that reaches three times as many in each period at most.
            assert kind.watchers == nodes - 1
            assert kind.rounds >= math.log(nodes, 3) - 1e-9
            assert all(sum(a == node for a, _ in kind.edges) == 2 for node in range(nodes))


def test_gossip_is_the_same_for_the_same_seed():
    assert fixed.topology("gossip", 20, seed=1) == fixed.topology("gossip", 20, seed=1)
    assert fixed.topology("gossip", 20, seed=1) != fixed.topology("gossip", 20, seed=2)


def test_topologies_that_cannot_be():
    with pytest.raises(ValueError, match="name must be one of push, pull, ring, mesh, gossip, got 'star'"):
        fixed.topology("star", 10)
    with pytest.raises(ValueError, match="nodes must be 3 or more, got 2"):
        fixed.topology("ring", 2)


def test_a_slower_sender():
    """What is left out is what a sender with that period would not have sent: another recording of the same path."""
    fast = ac.synthesize(2000, period=0.1, delay="gamma:mean=30ms,deviation=20ms", loss="independent:loss=0.1", seed=5)
    slow = fixed.thinned(fast, 5)
    assert slow.period == 0.5
    kept = {n: (a, s) for n, a, s in zip(fast.sequence.tolist(), fast.arrivals, fast.sent, strict=True) if n % 5 == 0}
    assert slow.sequence.tolist() == [n // 5 for n in kept]
    assert slow.arrivals.tolist() == [a for a, _ in kept.values()]
    assert slow.sent.tolist() == [s for _, s in kept.values()]
    assert slow.about == fast.about
    assert fixed.thinned(fast, 1) == fast


def test_a_slower_sender_without_numbers():
    slow = fixed.thinned(ac.Trace([0, 10, 20, 30, 40], period=1e-8), 2)
    assert (slow.arrivals.tolist(), slow.sequence, slow.period) == ([0, 20, 40], None, 2e-8)
    assert fixed.thinned(ac.Trace([0, 10]), 2).period is None


@pytest.mark.parametrize("every", [0, -1, 1.5, True, "2"])
def test_a_sender_that_leaves_out_what(every):
    with pytest.raises(ValueError, match="every must be a whole number, 1 or more"):
        fixed.thinned(ac.Trace([0, 10]), every)


# ---- widgets ----


def test_crash_timeline_holds_what_the_library_computes():
    widget = CrashTimeline(transit=0.05)
    for period, stories in zip(widget.PERIODS, widget.stories, strict=True):
        for k, story in zip(widget.BEATS, stories, strict=True):
            assert story["detection_time"][0] == story["worst"] == pytest.approx(k * period + 0.05)
            for at, last, suspected in zip(story["crash"], story["last"], story["suspected"], strict=True):
                assert story["sent"][last] <= at < story["sent"][last] + period * (1 + 1e-9)
                assert suspected == pytest.approx(story["arrived"][last] + k * period)
    json.dumps(widget.get_state(), allow_nan=False, default=str)


def test_crash_timeline_widget():
    widget = CrashTimeline()
    assert repr(widget) == (
        "CrashTimeline(5 x 0.2 s = 1 s: crash 0 s after a heartbeat was sent, suspected 1.03 s later)"
    )
    widget.stop, widget.k, widget.period = 99, 40, 0.4
    assert (widget.stop, widget.k, widget.period) == (40, 10, 0.5)
    widget.stop = 10
    assert "crash 0.25 s after a heartbeat was sent, suspected 4.78 s later" in repr(widget)
    for name in ("k", "period"):
        with pytest.raises(TraitError, match=f"{name} must be more than 0"):
            setattr(widget, name, 0)


def test_topologies_widget():
    widget = Topologies()
    widget.nodes, widget.arrangement = 45, "mesh"
    assert repr(widget) == "Topologies(50 nodes, each sends to all: 2,450 messages a period, 98 at the busiest node)"
    assert widget.kinds["mesh"]["sizes"][-1]["rate"] == 2450 / 0.2
    with pytest.raises(TraitError, match="arrangement must be one of push"):
        widget.arrangement = "star"


def beats(n=6000, **about):
    return ac.synthesize(n, period=0.01, delay="gamma:mean=3ms,deviation=2ms", loss="gilbert:loss=0.02,burst=4", seed=3)


def test_k_times_t_holds_what_the_library_computes():
    trace = beats()
    widget = KTimesT(trace)
    assert widget.stops["period"] == [0.01, 0.02, 0.05, 0.1, 0.2, 0.5]
    for period, every, table in zip(widget.stops["period"], widget.EVERY, widget.tables, strict=True):
        slower = fixed.thinned(trace, every)
        for field in fixed.FIELDS:
            expected = getattr(ac.curve(slower, ac.FixedTimeout(period=period), widget.BEATS), field)
            np.testing.assert_array_equal(np.array(table[field], float), expected)
        assert max(table["silence"]) == np.diff(slower.arrivals).max() / 1e9
    widget.k, widget.period = 13, 0.018
    assert (widget.k, widget.period) == (12, 0.02)
    found = ac.qos(fixed.thinned(trace, 2), ac.FixedTimeout(period=0.02), 12)
    assert f"12 x 0.02 s = 0.24 s: {found.mistakes} mistakes" in repr(widget)


@pytest.mark.filterwarnings("ignore:the median interval is")  # of the mistaken one, and rightly
@pytest.mark.parametrize(
    "trace",
    [
        ac.Trace(np.arange(100) * 10_000_000),  # no period, no mistake
        ac.Trace(np.append(np.arange(150) * 10**9, 10**15)),  # one long silence, open to the end
        ac.Trace(np.arange(100) * 10_000_000, period=10),  # a period that is not its own
        np.arange(200) * 10**9,  # arrivals and no more
        ac.Trace(np.append(np.arange(150), np.arange(140, 200)) * 10**7),  # a clock that went back
    ],
    ids=["steady", "silent", "mistaken", "bare", "back"],
)
def test_odd_traces(trace):
    widget = KTimesT(trace)
    assert len(widget.tables) >= 2
    json.dumps(widget.get_state(), allow_nan=False, default=str)


def test_a_trace_without_a_story_says_so():
    with pytest.raises(ValueError, match="at least 100 heartbeats, has 99"):
        KTimesT(beats()[:99])
    with pytest.raises(ValueError, match="no period and a median interval of 0"):
        KTimesT(ac.Trace(np.zeros(100, int)))


@pytest.mark.parametrize("widget", [CrashTimeline, Topologies, KTimesT])
def test_nothing_is_fetched(widget):
    text = widget._esm._contents if hasattr(widget._esm, "_contents") else str(widget._esm)
    addresses = set(re.findall(r"https?://[^\s\"'`]+", text + str(widget._css)))
    assert addresses <= {"http://www.w3.org/2000/svg"}  # a name, not an address
    assert not re.search(r"\b(import|fetch|XMLHttpRequest|WebSocket)\b", re.sub(r"//.*|/\*.*?\*/", "", text))
