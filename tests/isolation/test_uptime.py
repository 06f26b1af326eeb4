"""Availability in a row and beside each other, against counting all states, exact fractions and known figures."""

import itertools
import math
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from accrual.isolation import availability, k_of_n, series

shares = st.floats(0, 1)


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
