"""What other detectors get wrong in numbers, each beside this one: the failing is shown, and that it is not here."""

import math

import numpy as np
import pytest
from scipy import special

import accrual as ac

NORMAL, LOGISTIC = ac.PhiNormal().compiled, ac.PhiLogistic().compiled
HOUR = 3600 * 10**9


def naive_tail(z):
    """-log10(1 - cdf), as most write it."""
    with np.errstate(divide="ignore"):
        return float(-np.log10(1 - special.ndtr(z)))


def test_one_less_the_cdf_ends_at_sixteen():
    """The tail is a rounding error of 1 from 8.2 deviations on: wrong by 0.2 % at 8, infinite at 8.4."""
    assert naive_tail(8.0) / NORMAL.level(8.0) == pytest.approx(1 - 2e-3, abs=5e-4)
    assert naive_tail(8.4) == math.inf
    assert NORMAL.level(8.0) == pytest.approx(15.2061, abs=5e-5)
    assert NORMAL.level(8.25) == pytest.approx(16.1013, abs=5e-5)


def test_the_complementary_error_function_ends_at_three_hundred():
    assert -np.log10(special.erfc(30.0 / math.sqrt(2)) / 2) == pytest.approx(NORMAL.level(30.0), rel=1e-12)
    with np.errstate(divide="ignore"):
        assert -np.log10(special.erfc(40.0 / math.sqrt(2)) / 2) == math.inf
    assert NORMAL.level(40.0) == pytest.approx(349.437, abs=5e-4)
    assert NORMAL.level(100.0) == pytest.approx(2173.87, abs=5e-3)


def akka_tail(y):
    """As in PhiAccrualFailureDetector.scala."""
    e = math.exp(-y * (1.5976 + 0.070566 * y * y))
    with np.errstate(divide="ignore"):
        return float(-np.log10(e / (1 + e))) if y > 0 else float(-np.log10(1 - 1 / (1 + e)))


def test_akkas_own_form_ends_at_323():
    assert akka_tail(8.0) == pytest.approx(LOGISTIC.level(8.0), rel=1e-12)
    assert akka_tail(22.0) == math.inf
    assert LOGISTIC.level(21.6) == pytest.approx(323.832, abs=5e-4)
    assert LOGISTIC.level(100.0) == pytest.approx(30715.8, abs=0.05)


def test_the_lower_tail_is_no_multiple_of_a_rounding_error():
    assert abs(naive_tail(-8.0) / 2.7017e-16 - 1) > 0.05
    assert NORMAL.level(-8.0) / 2.7017e-16 == pytest.approx(1, rel=1e-4)
    assert naive_tail(-8.5) == 0 < NORMAL.level(-8.5)


def running_variance(intervals, window):
    """Sums of x and x^2 in the numbers that they are, the oldest subtracted: as ports do it."""
    total = squares = intervals[0] * 0
    for i, x in enumerate(intervals):
        total, squares = total + x, squares + x * x
        if i >= window:
            total, squares = total - intervals[i - window], squares - intervals[i - window] ** 2
    n = min(window, len(intervals))
    return squares / n - (total / n) ** 2


def deviation(intervals, window):
    """This project's, s."""
    replayed = ac.replay(np.cumsum(np.append(0, intervals)), ac.PhiNormal(window=window))
    return replayed.denominators[-1] / replayed.samples[-1] / 1e9


def test_constant_intervals_have_no_negative_variance():
    """41 % of constant intervals give one in running floats of seconds, so a root that is no number."""
    periods = np.random.default_rng(41).uniform(0.05, 5, 200).round(9)
    assert sum(running_variance([float(p)] * 10, 100) < 0 for p in periods) > 50
    for period in periods:
        assert deviation(np.full(10, round(period * 1e9)), 100) == 1e-9  # the floor of 1 ns


def test_a_week_of_silence_leaves_nothing_behind():
    """In doubles the variance is wrong for ever after, and often negative: the square of a week takes digits along."""
    rng = np.random.default_rng(7)
    intervals = 10**9 + rng.integers(-(10**6), 10**6, 3000)
    intervals[500] = 7 * 24 * HOUR
    truth = np.std(intervals[-1000:] - 10**9) / 1e9
    assert abs(running_variance((intervals / 1e9).tolist(), 1000) / truth**2 - 1) > 0.1
    assert deviation(intervals, 1000) == pytest.approx(truth, rel=1e-12)


def test_squares_of_nanoseconds_do_not_wrap():
    """int64 holds the square of 3.04 s in ns, and of a thousand intervals those of 96 ms."""
    intervals = np.full(1000, 97 * 10**6)
    intervals[::2] += 10**6
    with np.errstate(over="ignore"):
        assert (intervals**2).sum() < 0
    assert deviation(intervals, 1000) == pytest.approx(0.5e-3, rel=1e-12)


def test_regular_hourly_heartbeats_are_known_to_be_regular():
    """Pekko's sums of ms in int64, divided in doubles, are NaN under the root for one period in twelve."""
    periods = np.random.default_rng(13).integers(20 * 60_000, 3 * 3_600_000, 300).tolist()  # ms
    n = 1000
    assert sum(float(n * p * p) / n - (float(n * p) / n) ** 2 < 0 for p in periods) > 0
    for period in periods[:20]:
        assert deviation(np.full(n, period * 10**6), n) == 1e-9


def test_deviations_do_not_drift():
    """After 200,000 slides over 1 us of jitter: a fraction of a per cent in running floats, nothing here."""
    rng = np.random.default_rng(200)
    intervals = 10**9 + rng.integers(-1700, 1700, 200_000)
    truth = np.std(intervals[-1000:] - 10**9) / 1e9
    assert abs(math.sqrt(abs(running_variance((intervals / 1e9).tolist(), 1000))) / truth - 1) > 1e-5
    assert deviation(intervals, 1000) == pytest.approx(truth, rel=1e-12)


def test_a_clock_that_goes_back_teaches_nothing():
    """The phi package of PyPI learns -5 s, ports on the JVM throw, unsigned ones wrap to 584 years."""
    m = ac.Monitor(ac.PhiNormal(window=10), threshold=8)
    for now in (10, 11, 12, 13, 8, 9, 10):
        m.heartbeat(now=now * 10**9)
    assert (m.clock_steps, m.stats().mean, m.stats().deviation) == (1, 1.0, 0.0)
