"""Availability, alone, in a row and beside each other: against generator matrices, all states, and fractions."""

import itertools
import math
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.linalg import expm

from accrual.isolation.uptime import YEAR, availability, k_of_n, series, service, time_to_outage

shares = st.floats(0, 1)
times = st.floats(1e-3, 1e9)


@given(times, times)
def test_availability(mttf, mttr):
    found = availability(mttf, mttr)
    share = Fraction(mttf) / (Fraction(mttf) + Fraction(mttr))
    assert found.share == pytest.approx(float(share), rel=1e-15)
    assert found.unavailability == pytest.approx(float(1 - share), rel=1e-15)
    assert 10**-found.nines == pytest.approx(found.unavailability, rel=1e-12)
    assert found.downtime == pytest.approx(YEAR * found.unavailability)
    assert found.failures * mttr == pytest.approx(found.downtime)


def test_the_nines_that_everybody_knows():
    """99.9, 99.99 and 99.999 % are 526, 52.6 and 5.26 minutes a year."""
    for nines, minutes in ((3, 526), (4, 52.6), (5, 5.26)):
        found = availability(mttf=10**nines - 1, mttr=1)
        assert found.nines == pytest.approx(nines)
        assert found.downtime / 60 == pytest.approx(minutes, rel=1e-3)


@pytest.mark.parametrize("bad", [0, -1, math.nan, math.inf])
def test_a_time_must_be_one(bad):
    with pytest.raises(ValueError, match=r"mttf must be a time above 0"):
        availability(bad, 1)
    with pytest.raises(ValueError, match=r"mttr must be a time above 0"):
        availability(1, bad)
    with pytest.raises(ValueError, match=r"mttf must be a time above 0"):
        service(3, bad, 1, [1])


def generator(nodes, mttf, mttr):
    """The rates between 0, 1, ... nodes at work, each failing and repaired by itself."""
    rates = np.zeros((nodes + 1, nodes + 1))
    for working in range(nodes + 1):
        if working > 0:
            rates[working, working - 1] = working / mttf
        if working < nodes:
            rates[working, working + 1] = (nodes - working) / mttr
    return rates - np.diag(rates.sum(axis=1))


@pytest.mark.parametrize("nodes", [1, 2, 3, 5])
@pytest.mark.parametrize("mttr", [0.5, 7.0, 30.0, math.inf])
def test_service_and_time_to_outage_against_the_generator(nodes, mttr):
    rates = generator(nodes, 30.0, mttr)
    at = [0.0, 0.1, 3.0, 30.0, 365.0]
    found = service(nodes, 30.0, mttr, at)
    assert found == pytest.approx([1 - expm(rates * t)[nodes, 0] for t in at], abs=1e-12)
    outage = np.linalg.solve(-rates[1:, 1:], np.ones(nodes))[-1]
    assert time_to_outage(nodes, 30.0, mttr) == pytest.approx(outage, rel=1e-9)


def test_a_pair_under_repair():
    """MTTF^2 / (2 MTTR) where repairs are short."""
    assert time_to_outage(2, 1000, 1) == pytest.approx(1000**2 / 2, rel=0.01)


@pytest.mark.parametrize(
    ("nodes", "mttr", "says"), [(0, 1, "nodes"), (-2, 1, "nodes"), (2, 0, "mttr"), (2, -1, "mttr")]
)
def test_a_cluster_must_be_one(nodes, mttr, says):
    with pytest.raises(ValueError, match=f"{says} must be"):
        time_to_outage(nodes, 30, mttr)


@pytest.mark.parametrize(("n", "share", "works"), [(3, 0.99, 0.999702), (5, 0.99, 0.99999015), (3, 0.9, 0.972)])
def test_majorities_as_tables_have_them(n, share, works):
    assert k_of_n(n // 2 + 1, n, share) == pytest.approx(works, abs=1e-8)


@given(st.integers(1, 7).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n))), shares)
def test_k_of_n_against_all_states(numbers, share):
    k, n = numbers
    exact = Fraction(share)
    works = sum(
        math.prod(exact if up else 1 - exact for up in state)
        for state in itertools.product((True, False), repeat=n)
        if sum(state) >= k
    )
    assert k_of_n(k, n, share) == pytest.approx(float(works), rel=1e-12, abs=1e-15)


@given(st.lists(shares, max_size=6))
def test_series(found):
    assert series(found) == pytest.approx(float(math.prod(map(Fraction, found))), rel=1e-12, abs=1e-300)
    if found:
        assert series(found) <= min(found)


def test_two_in_a_row_are_worth_their_product_and_two_beside_what_one_lacks_squared():
    one = availability(mttf=99, mttr=1).share
    assert series([one, one]) == pytest.approx(0.9801)
    assert k_of_n(1, 2, one) == pytest.approx(0.9999)


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: series([0.5, 1.5]), "shares must be a share from 0 to 1 .*, got 1.5"),
        (lambda: k_of_n(1, 0, 0.5), "n must be a whole number of 1 or more, got 0"),
        (lambda: k_of_n(4, 3, 0.5), "k must be a whole number from 0 to 3, got 4"),
        (lambda: k_of_n(1, 3, math.nan), "share must be a share from 0 to 1 .*, got nan"),
    ],
)
def test_bad_input(call, words):
    with pytest.raises(ValueError, match=words):
        call()
