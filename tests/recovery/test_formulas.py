"""Closed forms against other roads: scipy, simulation, and the figures that the sources print."""

import math
import re

import numpy as np
import pytest
import scipy.stats

import accrual as ac
from accrual.recovery import Cluster, Crash, k_of_n, overlap, simulate, split_vote, waiting_cost
from accrual.recovery.model import NOBODY, Simulation


@pytest.mark.parametrize(
    ("nodes", "up", "latency", "expected"),
    [
        (5, 4, 0.01, 5.92e-4),
        (5, 4, 0.1, 0.0523),
        (5, 4, 0.2, 0.1808),
        (5, 3, 0.2, 0.488),
        (9, 7, 0.2, 0.148),
        (9, 6, 0.2, 0.345),
        (7, 6, 0.2, 0.0989),
        (9, 5, 0.2, 0.672),
        (9, 5, 0.1, 0.4095),
    ],
)
def test_split_votes_as_ongaro_prints_them(nodes, up, latency, expected):
    assert split_vote(nodes, up, latency) == pytest.approx(expected, rel=2e-3)


@pytest.mark.parametrize("latency", [0.1, 0.2])
def test_split_votes_as_the_simulated_election_has_them(latency):
    """A first vote of four of five, whose timeouts are uniform over a range: who is elected in a later term?"""
    spread, trials = 1.0, 250
    cluster = Cluster(
        nodes=5,
        election_timeout=(2 * spread, 3 * spread),
        delay=latency * spread,
        disk=0.0,
        rate=0.0,
        detector=ac.FixedTimeout(period=2.0),
        threshold=1.0,
        period=1.0,
    )
    split = sum(
        next(
            h.detail for h in simulate(cluster, [Crash(at=2.5)], seconds=30, seed=seed).timeline if h.what == "elected"
        )
        != "term 1"
        for seed in range(trials)
    )
    p = split_vote(5, 4, latency)
    assert abs(split / trials - p) < 3 * math.sqrt(p * (1 - p) / trials)


def downtimes(low, high, trials, delay=0.0025, disk=0.010):
    """Ongaro's experiment: 5 servers, a crash at any time of the heartbeat interval, which is half the least timeout.

    Two of the four that are left have logs too short to be elected, of different lengths. A broadcast and its answers
    take about 15 ms, most of that for writing votes to disks.
    """
    cluster = Cluster(
        nodes=5,
        election_timeout=(low, high),
        delay=delay,
        disk=disk,
        detector=ac.FixedTimeout(period=low),
        threshold=1.0,
        period=low / 2,
        rate=0.0,
    )
    chance = np.random.default_rng(1)
    found = []
    for seed in range(trials):
        at = 4 * low / 2 + chance.random() * low / 2
        simulation = Simulation(cluster, (Crash(at=at),), seconds=20, seed=seed)
        for node, length in zip(simulation.nodes, (3, 1, 2, 3, 3), strict=True):
            node.log = [(0, 0, NOBODY, k) for k in range(length)]
        run = simulation.run()
        found.append(next(h.time for h in run.timeline if h.what == "elected") - at)
    return np.array(found) * 1000


@pytest.mark.parametrize(
    ("high", "median", "p90", "mean"),
    [(155, 287, 609, 346), (175, 141, 291, 164), (200, 147, 194, 156), (300, 171, 244, 181)],
)
def test_ongaros_figure_16(high, median, p90, mean):
    """Downtime in ms for timeouts of 150 to `high`, digitised from the dissertation's vector figure (1000 trials)."""
    found = downtimes(0.150, high / 1000, trials=150)
    shown = f"median {np.median(found):.0f}, p90 {np.quantile(found, 0.9):.0f}, mean {found.mean():.0f} ms"
    assert np.median(found) == pytest.approx(median, rel=0.1), shown
    assert np.quantile(found, 0.9) == pytest.approx(p90, rel=0.15), shown
    assert found.mean() == pytest.approx(mean, rel=0.1), shown


@pytest.mark.parametrize(("k", "n", "p"), [(2, 3, 0.99), (3, 5, 0.99), (2, 3, 0.9), (0, 4, 0.3), (4, 4, 0.5)])
def test_k_of_n(k, n, p):
    assert k_of_n(k, n, p) == pytest.approx(scipy.stats.binom.sf(k - 1, n, p), rel=1e-13)


def test_majorities_as_printed():
    """theory.md 5.4."""
    assert k_of_n(2, 3, 0.99) == pytest.approx(0.999702, abs=5e-7)
    assert k_of_n(3, 5, 0.99) == pytest.approx(0.99999015, abs=5e-9)
    assert [round(k_of_n(n // 2 + 1, n, 0.9), 5) for n in (3, 5, 7)] == [0.972, 0.99144, 0.99727]
    assert k_of_n(3, 4, 0.99) < k_of_n(2, 3, 0.99)  # an even number is worse, not better


@pytest.mark.parametrize("n", [1, 2, 3, 4, 5])
def test_overlap_by_counting_sets(n):
    import itertools

    for r, w in itertools.product(range(1, n + 1), repeat=2):
        sets = {k: list(map(set, itertools.combinations(range(n), k))) for k in (r, w)}
        found = overlap(n, r, w)
        assert found.reads_see_writes == all(a & b for a in sets[r] for b in sets[w])
        assert found.writes_see_writes == all(a & b for a in sets[w] for b in sets[w])
        assert (found.reads_stand, found.writes_stand) == (n - r, n - w)


def test_waiting_against_the_definition():
    chance = np.random.default_rng(3)
    outages, waits = chance.pareto(1.2, 400), np.linspace(0, 30, 50)
    found = waiting_cost(outages, waits, failover=2.0, penalty=1.0, permanent=0.1)
    for wait, cost, share in zip(waits, found.cost, found.promoted, strict=True):
        each = [d if d <= wait else wait + 3.0 for d in outages]
        assert cost == pytest.approx(0.9 * np.mean(each) + 0.1 * (wait + 3.0), rel=1e-12)
        assert share == pytest.approx(0.1 + 0.9 * np.mean(outages > wait), rel=1e-12)


def test_waiting_for_what_forgets_its_age_is_all_or_nothing():
    """Exponential: E = m (1 - e^-w/m) + c e^-w/m, monotone: promote at once if c < m, never if c > m."""
    m, waits = 10.0, np.linspace(0, 100, 201)
    outages = -m * np.log1p(-(np.arange(100_000) + 0.5) / 100_000)
    for failover in (5.0, 15.0):
        found = waiting_cost(outages, waits, failover=failover)
        rest = np.exp(-waits / m)
        assert np.allclose(found.cost, m * (1 - rest) + failover * rest, rtol=2e-3)
        assert (found.best == 0) if failover < m else (found.best > 90)
    heavy = waiting_cost(np.random.default_rng(1).pareto(0.8, 10_000) * 0.5, waits, failover=10.0, permanent=0.05)
    assert 0 < heavy.best < 100


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: split_vote(5, 2, 0.1), "up must be a majority of the nodes, 3 to 5, got 2"),
        (lambda: split_vote(5, 4, 1.5), "latency must be from 0 to 1 of the timeouts' range, got 1.5"),
        (lambda: k_of_n(4, 3, 0.5), "k must be from 0 to n = 3, got 4"),
        (lambda: k_of_n(1, 3, -0.5), "available must be from 0 to 1, got -0.5"),
        (lambda: overlap(3, 1, 4), "writes must be a quorum of the nodes, 1 to 3, got 4"),
        (lambda: waiting_cost([], [1], failover=1), "outages must be one or more times of 0 s or more, got []"),
        (lambda: waiting_cost([1], [-1], failover=1), "waits must be one or more times of 0 s or more, got [-1]"),
        (lambda: waiting_cost([1], [1], failover=-1), "failover must be 0 s or more, got -1"),
        (lambda: waiting_cost([1], [1], failover=1, permanent=2), "permanent must be from 0 to 1, got 2"),
    ],
)
def test_bad_input(call, message):
    with pytest.raises(ValueError, match=re.escape(message)):
        call()


def test_waiting_shows_itself():
    found = waiting_cost([1, 2], [0, 1], failover=1)
    assert found.to_dict()["wait"] == [0, 1]
    assert found._repr_html_().startswith("<table>")
