"""The widgets of lesson 8, against closed forms, counting, and the library by another road."""

import math

import numpy as np
import pytest
from scipy import stats
from traitlets import TraitError

import accrual as ac
import accrual.isolation as iso
from accrual.show import users


@pytest.fixture(scope="module")
def ejection():
    return users.Ejection()


@pytest.mark.parametrize("t", [5.0, 20.0, 60.0])
def test_who_is_hit_against_the_law_of_rare_events(t):
    """In turn each of 1,000 users meets errors at 120 / 1000 / 8 a second; sticky an eighth of them at 120 / 1000."""
    laws = {"round-robin": (1.0, 0.015), "sticky": (1 / 8, 0.12)}
    for route, (whom, rate) in laws.items():
        runs = [users.first_failures(route, math.inf, seed=seed) for seed in range(12)]
        hit = [sum(at is not None and at <= t for at in run["first"]) for run in runs]
        expected = 1000 * whom * -math.expm1(-rate * t)
        assert np.mean(hit) == pytest.approx(expected, abs=4.4 * stats.sem(hit))  # 99.9 % with 11 degrees of freedom
        assert stats.sem(hit) < 0.1 * expected


def test_the_first_error_is_the_first():
    run = users.first_failures("round-robin", 3.0)
    first = sorted(at for at in run["first"] if at is not None)
    assert first[0] == run["failed"][0]
    assert set(first) <= set(run["failed"])
    assert max(run["failed"]) < run["detection_time"] <= 3.0  # nothing fails once it is ejected
    assert len(run["asked"]) == pytest.approx(120 * 60, rel=0.05)


def test_the_widget_of_who_is_hit():
    widget = users.WhoIsHit()
    widget.time, widget.ejected = 1000, -1
    assert (widget.time, widget.ejected) == (120, 0)
    for runs in widget.runs:
        for run in runs.values():
            assert run["users"] == sorted(run["users"])
            assert run["users"][-1] == sum(at is not None for at in run["first"])
            assert run["failed"][-1] >= run["users"][-1]
    never = widget.runs[-1]
    assert never["round-robin"]["users"][-1] > 4 * never["sticky"]["users"][-1]
    soon = widget.runs[0]
    assert abs(soon["round-robin"]["users"][-1] - soon["sticky"]["users"][-1]) < 5
    widget.time = 120
    assert repr(widget).startswith("WhoIsHit(60 s after the death, ejected with a timeout of 0.3 s: in turn ")


def test_shards_against_counting():
    widget = users.ShardLoad()
    for number, row in zip(widget.numbers, widget.loads, strict=True):
        home = iso.assign("shards", 1000, number).reach[:, 0]
        for stop, load in zip(widget.skews, row, strict=True):
            asks = np.arange(1, 1001) ** -stop["skew"]
            by_hand = sorted((asks[home == shard].sum() / asks.sum() for shard in range(number)), reverse=True)
            assert load["requests"] == pytest.approx(by_hand)
            assert sorted(load["users"]) == sorted(np.bincount(home, minlength=number))
            assert sum(load["users"]) == 1000
            assert load["requests"][0] >= stop["most"] == pytest.approx(asks.max() / asks.sum())
    widget.shards, widget.skew, widget.killed = 0, 99, 30
    assert repr(widget).startswith("ShardLoad(1 shard, number 1 by requests dies: 1000 of 1,000 users cut off, 100 %")
    widget.shards, widget.killed = 99, 99
    assert widget.killed == 49


def test_pairs_are_counted_rightly():
    reach = iso.assign("shuffle", 60, 8, 3, seed=5).reach
    expected = np.zeros(4, dtype=int)
    for one in range(60):
        for other in range(one):
            expected[len(set(reach[one].tolist()) & set(reach[other].tolist()))] += 1
    np.testing.assert_array_equal(users.overlap_counts(8, 3, customers=60, seed=5), expected)


def test_shuffle_shards_against_combinatorics():
    widget = users.ShuffleShards()
    for workers, row in zip(widget.numbers, widget.plans, strict=True):
        for size, plan in zip(widget.sizes, row, strict=True):
            pairs = sum(plan["counts"])
            assert pairs == 1000 * 999 // 2
            for shared, counted in enumerate(plan["counts"]):
                chance = stats.hypergeom.pmf(shared, workers, size, size)
                # Two pairs with a customer in common are independent all the same: draws are uniform.
                reach = stats.norm.isf(5e-5) * math.sqrt(pairs * chance * (1 - chance)) + 1
                assert counted == pytest.approx(pairs * chance, abs=reach)
                assert plan["law"][shared] == pytest.approx(chance)
            for needs in range(1, size + 1):
                assert plan["shuffled"][needs - 1] == pytest.approx(
                    999 * stats.hypergeom.sf(size - needs, workers, size, size)
                )
                assert plan["plain"][needs - 1] == pytest.approx(999 * size / workers)
    widget.size, widget.needs = 0, 4
    assert "1 each, 1 needed: cut off 124.9 by shards, 124.9 by shuffle" in repr(widget)
    widget.needs, widget.workers, widget.size = -3, 99, 99
    assert (widget.needs, widget.workers, widget.size) == (1, 4, 2)


def test_shuffle_shards_are_worse_where_all_are_needed():
    plans = users.ShuffleShards().plans
    assert plans[0][1]["shuffled"][0] < plans[0][1]["plain"][0] < plans[0][1]["shuffled"][1]


def test_canaries_against_the_law_of_who_is_hurt():
    """A bug in every request is suspected 3 s after the release, and taken back a second later."""
    found = users.canaries(share=0.2, bug=1.0, runs=20)
    assert found["taken_back"] == 20
    assert found["detection"] == pytest.approx(3.0, abs=0.1)
    expected = found["exposed"] * -math.expm1(-0.12 * (found["detection"] + 1.0))
    assert found["mean"] == pytest.approx(expected, abs=4 * stats.sem(found["hurt"]))
    unwatched = users.canaries(share=0.2, bug=1.0, threshold=1e9, runs=20)
    assert (unwatched["taken_back"], unwatched["detection"]) == (0, None)
    assert unwatched["mean"] == pytest.approx(unwatched["exposed"] * -math.expm1(-0.12 * 60), rel=0.02)


def test_the_widget_of_canaries():
    widget = users.Canaries()
    for bug, row in enumerate(widget.watched):
        for share, found in enumerate(row):
            assert len(found["hurt"]) == widget.RUNS
            assert found["mean"] == pytest.approx(np.mean(found["hurt"]))
            assert found["mean"] <= widget.unwatched[bug][share]["mean"]  # the same runs, only longer
    # What the lesson says: no false alarm, a small canary slow, a large one blind to a small bug.
    assert [found["taken_back"] for found in widget.watched[0]] == [0] * 8
    blatant, small = widget.watched[-1], widget.watched[1]
    assert blatant[0]["detection"] > 2 * blatant[3]["detection"]
    assert small[-1]["taken_back"] == 0
    assert small[3]["taken_back"] > widget.RUNS / 2
    widget.share, widget.bug = 99, 1
    assert repr(widget).endswith(f"taken back in 0 of {widget.RUNS} runs)")


def test_ejections_at_equal_detection_time_against_qos(ejection):
    for name, (delays, pauses) in users.FLEETS.items():
        found = ejection.fleets[name]
        arrivals = [iso.heartbeats(3600, delay=delay, pauses=pauses, seed=n) for n, delay in enumerate(delays)]
        for index in (3, 7):
            phi, fixed = (
                [ac.qos(trace, detector, threshold, skip=users.WINDOW) for trace in arrivals]
                for detector, threshold in (
                    (ac.PhiNormal(window=users.WINDOW), ejection.stops[index]),
                    (ac.FixedTimeout(period=0.1), found["k"][index]),
                )
            )
            assert np.mean([of.detection_time for of in phi]) == pytest.approx(found["detection_time"][index])
            assert np.mean([of.detection_time for of in fixed]) == pytest.approx(found["detection_time"][index])
            assert sum(of.mistakes for of in phi) == found["phi"][index]
            assert sum(of.mistakes for of in fixed) == found["fixed"][index]


def test_what_the_lesson_says_of_the_fleets(ejection):
    alike, unlike, both = (ejection.fleets[name] for name in users.FLEETS)
    assert all(phi >= fixed for phi, fixed in zip(alike["phi"], alike["fixed"], strict=True))
    assert all(phi <= fixed for phi, fixed in zip(unlike["phi"], unlike["fixed"], strict=True))
    rows = zip(both["phi"], both["fixed"], both["apart"], strict=True)
    sign = [int(np.sign(fixed - phi)) if apart else 0 for phi, fixed, apart in rows]
    assert sign == sorted(sign, reverse=True)
    assert set(sign) == {1, 0, -1}


def test_the_widget_of_ejection(ejection):
    ejection.threshold = 7.2
    assert ejection.threshold == 8.0
    ejection.shown = "four near, four far"
    assert "four near, four far: the dead out after 0.238 s; wrongly by Phi = 8: 27 times, by k = 2.38: 542" in repr(
        ejection
    )
    with pytest.raises(TraitError, match="shown must be one of eight alike, that pause; four near, four far; "):
        ejection.shown = "mine"
    ejection.shown = "eight alike, that pause"


@pytest.mark.parametrize(("few", "many", "apart"), [(0, 4, False), (0, 5, True), (100, 128, False), (100, 131, True)])
def test_two_deviations_of_chance(few, many, apart):
    assert users.told_apart(few, many) is users.told_apart(many, few) is apart
