"""Shards and shuffle shards, against counting them all, the hypergeometric law, and exact fractions."""

import itertools
import json
import math
from fractions import Fraction

import mpmath
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from accrual.isolation import activity, assign, overlaps, plan_shards, shuffle_shards
from accrual.isolation.sharding import KINDS, blast_odds


@pytest.mark.parametrize(("workers", "size"), [(1, 1), (4, 2), (8, 2), (7, 3), (6, 5), (6, 6)])
def test_overlaps_against_counting_them_all(workers, size):
    shards = list(itertools.combinations(range(workers), size))
    assert shuffle_shards(workers, size) == len(shards)
    counts = np.bincount([len(set(shards[0]) & set(other)) for other in shards], minlength=size + 1)
    np.testing.assert_array_equal(overlaps(workers, size), counts / len(shards))
    for needs in range(1, size + 1):
        cut_off = sum(size - len(set(shards[0]) & set(other)) < needs for other in shards)
        assert blast_odds(workers, size, needs) == pytest.approx(cut_off / len(shards), rel=1e-14)


@given(st.integers(1, 300).flatmap(lambda n: st.tuples(st.just(n), st.integers(1, n))))
def test_overlaps_are_hypergeometric(sizes):
    workers, size = sizes
    expected = stats.hypergeom.pmf(np.arange(size + 1), workers, size, size)
    np.testing.assert_allclose(overlaps(workers, size), expected, rtol=1e-8, atol=1e-300)


def test_figures_that_amazon_published():
    assert shuffle_shards(8, 2) == 28
    assert shuffle_shards(100, 5) == 75_287_520
    assert shuffle_shards(2048, 4) == 730_862_190_080
    assert overlaps(8, 2) == pytest.approx([0.5357, 0.4286, 0.0357], abs=1e-4)
    assert overlaps(100, 5)[:4] == pytest.approx([0.770, 0.211, 0.0184, 0.000593], rel=5e-3)
    assert overlaps(2048, 4)[0] == pytest.approx(0.992205, rel=1e-6)


@pytest.mark.parametrize("kind", KINDS)
def test_each_customer_has_workers_of_its_kind(kind):
    spread = assign(kind, customers=500, workers=12, shard_size=3, seed=4)
    assert spread.reach.shape == (500, 12 if kind == "shared" else 3)
    assert (np.diff(spread.reach, axis=1) > 0).all()  # different ones, in order
    assert spread.reach.min() >= 0
    assert spread.reach.max() < 12
    if kind in ("shards", "cells"):
        assert len(np.unique(spread.reach, axis=0)) == 4
    np.testing.assert_array_equal(spread.reach, assign(kind, 500, 12, 3, seed=4).reach)
    assert sum(row["customers"] for row in spread.records()) == spread.reach.size


def test_all_shuffle_shards_are_equally_likely():
    spread = assign("shuffle", customers=28_000, workers=8, shard_size=2, seed=1)
    _, counts = np.unique(spread.reach, axis=0, return_counts=True)
    assert len(counts) == 28
    assert stats.chisquare(counts).pvalue > 1e-3


@pytest.mark.parametrize(("kind", "needs"), [("shards", 1), ("shuffle", 1), ("shuffle", 2), ("shuffle", 3)])
def test_whom_a_poison_customer_takes_along(kind, needs):
    """The share of others cut off, against the odds, and one by one."""
    customers, workers, size = 20_000, 12, 3
    spread = assign(kind, customers, workers, size, seed=7)
    affected = spread.affected_by(0, needs)
    mine = set(spread.reach[0].tolist())
    one_by_one = [c for c, reach in enumerate(spread.reach.tolist()) if len(set(reach) - mine) < needs]
    assert affected.tolist() == one_by_one
    odds = blast_odds(workers, size, needs) if kind == "shuffle" else size / workers
    test = stats.binomtest(len(affected) - 1, customers - 1, odds)
    assert test.pvalue > 1e-3


def test_who_is_cut_off_when_workers_end():
    """Any set of workers, against asking each customer."""
    random = np.random.default_rng(2)
    for kind, size in (("shared", 1), ("shards", 2), ("shuffle", 3)):
        spread = assign(kind, 300, 8, size, seed=3)
        for _ in range(20):
            ended = random.random(8) < 0.5
            expected = [c for c, reach in enumerate(spread.reach.tolist()) if all(ended[w] for w in reach)]
            assert spread.cut_off(ended).tolist() == expected


def test_the_load_of_workers():
    spread = assign("shuffle", 200, 8, 3, seed=3)
    weights = activity(200, skew=1.3)
    expected = np.zeros(8)
    for reach, asked in zip(spread.reach.tolist(), weights.tolist(), strict=True):
        for worker in reach:
            expected[worker] += asked / 3
    np.testing.assert_allclose(spread.load(weights), expected)
    assert spread.load().sum() == pytest.approx(1)
    np.testing.assert_allclose(assign("shared", 200, 8).load(weights), 1 / 8)


def test_activity_is_zipf():
    np.testing.assert_allclose(activity(50, 2.0), stats.zipfian.pmf(np.arange(1, 51), 2.0, 50))
    np.testing.assert_allclose(activity(50, 0), 1 / 50)


def test_all_who_share_everything_fall_together():
    assert len(assign("shared", 50, 8).affected_by(3)) == 50


@pytest.mark.parametrize(
    ("customers", "workers", "size"), [(2, 8, 2), (10, 8, 2), (28, 8, 2), (29, 8, 2), (300, 20, 5)]
)
def test_twins_are_the_birthday_problem(customers, workers, size):
    number = math.comb(workers, size)
    none = math.prod(Fraction(number - taken, number) for taken in range(customers))
    assert plan_shards(customers, workers, size).twins == pytest.approx(float(1 - none), rel=1e-9)


@pytest.mark.parametrize("customers", [2, 1000, 100_000, 5_000_000])
@pytest.mark.parametrize(("workers", "size"), [(100, 5), (2048, 4), (500, 60)])
def test_twins_of_many(customers, workers, size):
    number = math.comb(workers, size)
    with mpmath.workdps(200):
        top = mpmath.mpf(number)
        log_none = mpmath.loggamma(top + 1) - mpmath.loggamma(top - customers + 1) - customers * mpmath.log(top)
        expected = float(-mpmath.expm1(log_none))
    assert plan_shards(customers, workers, size).twins == pytest.approx(expected, rel=1e-9)


def test_a_plan():
    plan = plan_shards(customers=1000, workers=8, shard_size=2)
    assert (plan.shards, plan.combinations) == (4, 28)
    assert plan.plain / plan.shuffled == pytest.approx(7)  # "seven times better"
    assert plan.others_plain == pytest.approx(999 / 4)
    assert plan.others_shuffled == pytest.approx(999 / 28)
    assert plan.anyone_shuffled == pytest.approx(1 - (27 / 28) ** 999)
    assert plan_shards(1, 8, 2).anyone_shuffled == 0
    assert plan_shards(5, 1, 1).shuffled == 1


def test_a_plan_of_numbers_with_thousands_of_digits():
    plan = plan_shards(10**7, 10_000, 5000, needs=2500)
    assert plan.shuffled == pytest.approx(float(stats.hypergeom.sf(2500, 10_000, 5000, 5000)), rel=1e-6)
    assert json.loads(json.dumps(plan.to_dict()))["combinations"] is None
    assert "10^3008" in repr(plan)
    assert "likeliest" in repr(plan)
    assert json.loads(json.dumps(plan_shards(10, 8, 2).to_dict()))["combinations"] == 28


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: plan_shards(0, 8, 2), "customers must be a whole number of 1 or more, got 0"),
        (lambda: plan_shards(10, 8, 9), "shard_size must be at most the 8 workers, got 9"),
        (lambda: plan_shards(10, 0, 1), "workers must be a whole number from 1 to 10,000, got 0"),
        (lambda: plan_shards(10, 10_001, 1), "workers must be a whole number from 1 to 10,000, got 10001"),
        (lambda: plan_shards(10, 8, 2, needs=3), "needs must be a whole number from 1 to 2, got 3"),
        (lambda: assign("shards", 10, 8, 3), "shard_size must divide the 8 workers into equal shards, got 3"),
        (lambda: assign("pods", 10, 8, 2), "kind must be one of shared, shards, shuffle, cells, got 'pods'"),
        (lambda: assign("shuffle", 10, 8, 2).affected_by(10), "customer must be a whole number from 0 to 9, got 10"),
        (lambda: assign("shuffle", 10, 8, 2, seed=-1), "seed must be"),
        (lambda: assign("shuffle", 10, 8, 2).cut_off([True]), r"ended must say of each of the 8 workers"),
        (lambda: assign("shuffle", 2, 8, 2).load([1, -1]), "weights must be 2 numbers of 0 or more"),
        (lambda: activity(3, -1), "skew must be a number of powers of 0 or more, got -1"),
    ],
)
def test_bad_input(call, words):
    with pytest.raises(ValueError, match=words):
        call()
