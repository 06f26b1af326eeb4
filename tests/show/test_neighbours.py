"""What the widgets of lesson 7 show, against other roads to the same numbers."""

import json
import math
import re

import numpy as np
import pytest
from scipy import stats
from traitlets import TraitError

import accrual as ac
import accrual.isolation as iso
from accrual.lab import LabResult, recorded
from accrual.show import neighbours
from accrual.show.neighbours import (
    Distance,
    Fate,
    HogNextDoor,
    Quota,
    Utilisation,
    levels,
    nest,
    patience,
    phases,
    room,
    rungs,
    sent,
)

WIDGETS = [HogNextDoor, Quota, Fate, Distance, Utilisation]

# ---- numbers ----


def test_the_recorded_hog_harms_without_a_cap_only():
    """What must be so of any recording that the lesson speaks about, not of its figures."""
    alone, hog, capped = phases(recorded("containers"))
    assert hog.deviation > 2 * max(alone.deviation, capped.deviation)
    assert hog.fixed_mistakes > 10 * max(1, hog.phi_mistakes)
    assert capped.phi_mistakes == 0 < alone.phi_mistakes  # it is touchy where it is quiet
    assert (alone.fixed_mistakes, capped.fixed_mistakes) == (0, 0)
    assert hog.heartbeats < alone.heartbeats / 2


def test_patience_by_the_tail_of_the_normal_law():
    for phase in phases(recorded("containers")):
        for threshold in neighbours.PHIS:
            wait = patience(phase, threshold)
            assert stats.norm.sf(wait, phase.mean, phase.deviation) == pytest.approx(10**-threshold, rel=1e-6)


def test_patience_is_what_a_detector_comes_to():
    """Fed with intervals of that mean and deviation, phi has that deadline."""
    hog = phases(recorded("containers"))[1]
    drawn = np.random.default_rng(7).normal(size=100)
    drawn = (drawn - drawn.mean()) / drawn.std()
    intervals = np.rint(1e9 * (hog.mean + hog.deviation * drawn)).astype(np.int64)
    arrivals = np.concatenate([[0], np.cumsum(intervals)])
    waits = ac.replay(arrivals, ac.PhiNormal(window=100)).deadlines(8) - arrivals
    assert waits[-1] / 1e9 == pytest.approx(patience(hog, 8), rel=1e-6)


@pytest.mark.parametrize("part", ["memory", "network"])
def test_a_result_without_the_hog_is_none(part):
    with pytest.raises(ValueError, match="of the lab containers with the part hog, got one of 'containers'"):
        phases(LabResult("containers", {"part": part}, [], {}))
    with pytest.raises(ValueError, match="got one of 'vm'"):
        HogNextDoor(recorded("vm"))


def by_clock(share, quota, period, duration):
    """Microsecond by microsecond: whoever is due and may run sends, and is due at the next multiple of the period."""
    share_of_quota, found, due = share * quota, [], 0
    for now in range(duration):
        if now >= due and now % quota < share_of_quota:
            found.append(now)
            due = now - now % period + period
    return found


@pytest.mark.parametrize(
    ("share", "quota", "period"),
    [(0.2, 1000, 100), (0.2, 1000, 70), (0.5, 130, 100), (0.05, 100, 20), (1.0, 500, 100), (0.9, 70, 333)],
)
def test_a_quota_microsecond_by_microsecond(share, quota, period):
    expected = by_clock(share, quota, period, 10_000)
    found = sent(share, quota / 1e6, period / 1e6, 0.01)
    assert [round(1e6 * at) for at in found] == expected
    assert max(np.diff(found)) <= (quota * (1 - share) + period) / 1e6 + 1e-12


def test_the_recorded_quota_has_the_gaps_that_the_closed_form_has():
    """`cpu-quota` had 0.2 of each 0.1 s: its long gaps do not exceed the bound, but for the stops of the machine."""
    gaps = np.diff(ac.load("cpu-quota").arrivals) / 1e9
    held = gaps[gaps > 0.05]
    bound = 0.1 * (1 - 0.2) + 0.01
    assert len(held) > 2000
    assert np.mean(held <= bound) > 0.98


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((0, 0.1, 0.01), "share, quota and period must be above 0"),
        ((1.2, 0.1, 0.01), "share must be a share from 0 to 1"),
        ((0.2, -1, 0.01), "quota must be a number of seconds above 0, got -1"),
        ((0.2, 0.1, math.nan), "period must be a number of seconds above 0, got nan"),
        ((0.2, 1e-9, 0.01), "share, quota and period must be above 0"),
        ((0.2, 0.1, 0.01, 0), "duration must be a number of seconds above 0, got 0"),
    ],
)
def test_quotas_that_cannot_be(arguments, message):
    with pytest.raises(ValueError, match=message):
        sent(*arguments)


def test_rungs_hold_what_the_library_says_of_their_traces():
    by_level = {rung.level: rung for rung in rungs()}
    for level, name in (("process", "idle"), ("container", "cpu-quota"), ("vm", "vm"), ("datacenter", "jittery")):
        rung, trace = by_level[level], ac.load(name)
        assert rung.source.startswith("recorded")
        intervals = np.diff(trace.arrivals) / 1e9
        assert rung.deviation == pytest.approx(math.sqrt(np.mean(intervals**2) - intervals.mean() ** 2), rel=1e-3)
        late = [np.sum(intervals[1000:] > timeout) for timeout in neighbours.TIMEOUTS]
        minutes = intervals[1000:].sum() / 60
        np.testing.assert_allclose(rung.fixed_rate, np.array(late) / minutes, rtol=0.01)
        assert rung.needs == next(t for t, count in zip(neighbours.TIMEOUTS, late, strict=True) if count <= minutes)
    for level, delay, deviation in (("host", 0.25e-3, 0.1e-3), ("cluster", 0.5e-3, 0.3e-3)):
        rung = by_level[level]
        assert rung.source.startswith("assumed")
        assert 2 * delay == pytest.approx(iso.COSTS[level].round_trip)
        # An interval has the difference of two delays in it.
        assert rung.deviation == pytest.approx(math.sqrt(2) * deviation, rel=0.05)
    assert max(by_level.values(), key=lambda rung: rung.needs).level == "vm"


@pytest.mark.parametrize(("services", "load", "machine"), [(3, 6.0, 8), (12, 4.0, 8), (1, 1.0, 2), (16, 96.0, 8)])
def test_rooms_by_the_recursion_of_erlang(services, load, machine):
    def refused(workers, load):
        blocking = 1.0
        for n in range(1, workers + 1):
            blocking = load * blocking / (n + load * blocking)
        return blocking

    def fewest(load):
        return next(n for n in range(1, 1000) if refused(n, load) <= 0.01)

    machines, bulkheads, pool = room(services, load, machine)
    each = load / services
    assert pool.workers == fewest(load)
    assert bulkheads.workers == services * fewest(each)
    assert machines.workers == services * machine * -(-fewest(each) // machine)
    stuck = each / 0.05  # a second for each call
    for one, groups in ((machines, services), (bulkheads, services), (pool, 1)):
        size = one.workers // groups
        assert one.utilisation == pytest.approx(load / groups * (1 - refused(size, load / groups)) / size)
        hung = refused(size, stuck if groups > 1 else load - each + stuck)
        expected = (hung + (groups - 1) * refused(size, each)) / groups
        assert one.refused == pytest.approx(expected)
    assert machines.utilisation <= bulkheads.utilisation <= pool.utilisation


def test_rooms_that_cannot_be():
    with pytest.raises(ValueError, match="services must be a whole number from 1 to 1,000, got 0"):
        room(0, 1.0)
    with pytest.raises(ValueError, match="load must be a number of busy workers above 0, got -1"):
        room(2, -1)
    with pytest.raises(ValueError, match="machine must be a whole number of 1 or more, got 0"):
        room(2, 1.0, 0)


# ---- the table of strategies ----


def test_what_was_measured_is_in_the_table():
    table = levels()
    for row in recorded("compare").rows:
        for fault in ("hang", "segfault", "memory-hog", "kill"):
            assert table.taken[row["level"]][fault] == (row[fault], True)
        if row["level"] == "host":  # a network namespace: no machine starts in 0.1 s
            assert table.start["host"] == (iso.COSTS["host"].start, False)
        else:
            assert table.start[row["level"]] == (row["start"], True)
    assert table.taken["container"]["bridge"] == (3, True)
    assert table.taken["vm"]["kernel-panic"] == (1, True)
    assert table.taken["host"]["plug"] == (1, True)
    assert table.taken["datacenter"]["blackout"] == (1, False)
    assert "3*" in repr(table)
    assert "<td>3*</td>" in table._repr_html_()
    json.dumps(table.to_dict(), allow_nan=False)


def test_without_results_it_is_the_model():
    table = levels([])
    for row in iso.compare_levels().rows:
        for fault, (count, measured) in table.taken[row.level].items():
            assert count == round(3 * row.taken[fault])
            assert not measured
        assert table.round_trip[row.level] == (row.cost.round_trip, False)
    assert "*" not in repr(table).partition("\n")[2]


def test_labs_and_model_agree_where_both_have_something_to_say():
    """But for memory: the model's thread and process are without a cap, the lab's have one (an rlimit)."""
    for level, faults in levels().taken.items():
        for fault, (count, measured) in faults.items():
            if measured and (level, fault) != ("process", "memory-hog"):
                assert count == levels([]).taken[level][fault][0], (level, fault)


def test_a_neighbour_that_was_harmed_is_counted():
    row = {"fault": "memory-hog", "neighbours_harmed": 1, "neighbours": 2}
    cut = {"fault": "bridge-down", "neighbours_harmed": 1, "neighbours": 2}
    table = levels([LabResult("containers", {}, [row, cut], {})])
    assert table.taken["container"]["memory-hog"] == (2, True)
    assert table.taken["container"]["bridge"] == (3, False)  # one of two says nothing of three
    with pytest.raises(ValueError, match="results must be of the labs vm, hosts, containers, compare, got ladder"):
        levels([recorded("ladder")])


# ---- widgets ----


def test_each_fault_reaches_as_far_as_its_box():
    kinds = ("container", "network", "vm", "host", "cluster", "datacenter")
    widget = Fate()
    where = {service["name"]: service["where"] for service in widget.services}
    for k, fault in enumerate(widget.faults):
        at = kinds.index(fault["domain"])
        assert fault["taken"] == [name for name, boxes in where.items() if boxes[at] == where["payment"][at]]
        widget.fault = k
        assert f"takes {', '.join(fault['taken'])} of 6" in repr(widget)
    assert [len(nest().reach(fault, "payment")) for fault in neighbours.FATES] == [1, 1, 2, 2, 3, 4, 5]
    widget.fault = 99
    assert widget.fault == len(neighbours.FATES) - 1


@pytest.mark.parametrize(
    ("widget", "name", "given", "stop"),
    [
        (HogNextDoor, "k", 4, 4),
        (HogNextDoor, "k", 99, 10),
        (HogNextDoor, "threshold", 7.5, 8),
        (Quota, "share", 0.21, 0.2),
        (Quota, "quota", 1, 0.5),
        (Distance, "timeout", 0.09, 0.1),
        (Utilisation, "services", 5, 6),
        (Utilisation, "load", 5.5, 6),
    ],
)
def test_values_go_to_the_nearest_stop(widget, name, given, stop):
    made = widget()
    setattr(made, name, given)
    assert getattr(made, name) == stop
    with pytest.raises(TraitError, match=f"{name} must be more than 0, got 0"):
        setattr(made, name, 0)


def test_widgets_hold_what_the_library_computes():
    hog, quota, distance, use = HogNextDoor(), Quota(), Distance(), Utilisation()
    for one, phase in zip(hog.phases, phases(recorded("containers")), strict=True):
        assert one["patience"] == [patience(phase, threshold) for threshold in neighbours.PHIS]
    for i, share in enumerate(neighbours.SHARES):
        for j, over in enumerate(neighbours.QUOTAS):
            found = quota.found[i][j]
            assert found["longest"] == pytest.approx(np.diff(sent(share, over, 0.01, 3.0)).max())
            assert (found["k"] - 1) * 0.01 < found["longest"] <= found["k"] * 0.01 + 1e-9
    assert [rung["needs"] for rung in distance.rungs] == [rung.needs for rung in rungs()]
    assert [one["workers"] for one in use.found[2][3]] == [one.workers for one in room(3, 6.0)]


@pytest.mark.parametrize("widget", WIDGETS)
def test_it_goes_to_the_browser_and_says_itself_in_words(widget):
    made = widget()
    json.dumps(made.get_state(), allow_nan=False, default=str)
    assert made.describe() in repr(made)


@pytest.mark.parametrize("widget", WIDGETS)
def test_nothing_is_fetched(widget):
    text = widget._esm._contents if hasattr(widget._esm, "_contents") else str(widget._esm)
    addresses = set(re.findall(r"https?://[^\s\"'`]+", text + str(widget._css)))
    assert addresses <= {"http://www.w3.org/2000/svg"}  # a name, not an address
    assert not re.search(r"\b(import|fetch|XMLHttpRequest|WebSocket)\b", re.sub(r"//.*|/\*.*?\*/", "", text))
