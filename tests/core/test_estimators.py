"""The window's statistics against fractions: exact up to one rounding, whatever came before."""

import math
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import accrual as ac
from accrual.core import engine

HOUR, WEEK = 3600 * 10**9, 7 * 24 * 3600 * 10**9


def states(detector, arrivals):
    """n, sum and denominator after each heartbeat, from the core."""
    size = len(arrivals)
    samples, total, denominators = np.empty(size, np.int32), np.empty(size, np.int64), np.empty(size)
    assert engine.states(detector.compiled, arrivals, 0, 0, size - 1, samples, total, denominators) == -1
    return samples, total, denominators


def check_against_fractions(arrivals, window, every=1):
    detector = ac.PhiNormal(window=window, min_samples=1)
    samples, total, denominators = states(detector, arrivals)
    intervals = [int(x) for x in np.diff(arrivals)]
    for k in range(1, len(arrivals), every):
        inside = intervals[max(0, k - window) : k]
        n, mean = len(inside), Fraction(sum(inside), len(inside))
        variance = sum((x - mean) ** 2 for x in inside) / n
        assert samples[k] == n
        assert Fraction(int(total[k]), n) == mean
        # denominator = n * deviation: one rounding of n^2 variance, one of the root
        spread = n * n * variance
        assert denominators[k] == max(math.sqrt(float(spread)), n * 1.0)
        if spread == 0:
            assert denominators[k] == n  # variance exactly 0, so the floor of 1 ns


@given(
    st.lists(st.integers(0, 10**6) | st.integers(0, WEEK), min_size=1, max_size=60),
    st.integers(1, 20),
)
def test_window_is_exact(intervals, window):
    check_against_fractions(np.cumsum([0, *intervals]), window)


@pytest.mark.parametrize("gap", [HOUR, WEEK])
@pytest.mark.parametrize("jitter", [1000, 0])
def test_a_long_gap_leaves_no_trace(gap, jitter):
    """One gap, then 1 us of jitter (or none): exact while the gap is in the window and after it has left."""
    rng = np.random.default_rng(gap)
    intervals = 10**8 + rng.integers(-jitter, jitter + 1, 4000)
    intervals[1500] = gap
    check_against_fractions(np.cumsum(np.append(0, intervals)), 1000, every=7)


def test_blocks_of_every_kind_are_exact():
    """Across the edges of the 64-bit blocks: slow drift, a change of period, gaps around 2^32 ns, equal instants."""
    rng = np.random.default_rng(7)
    pieces = [
        rng.normal(10**8, 10**6, 3000),
        rng.normal(10**9, 10**3, 3000),
        np.full(2000, 5 * 10**7),
        2.0**32 + rng.integers(-3, 4, 1500),
        np.zeros(1500),
        np.linspace(10**6, 10**9, 3000),
    ]
    intervals = np.concatenate(pieces).round().astype(np.int64)
    check_against_fractions(np.cumsum(np.append(10**18, intervals)), 600, every=11)


def test_windows_beyond_the_fast_path_are_exact():
    rng = np.random.default_rng(3)
    arrivals = np.cumsum(rng.integers(1, 1000, (1 << 19) + 3000))
    window = (1 << 19) + 1
    _, total, denominators = states(ac.PhiNormal(window=window), arrivals)
    inside = np.diff(arrivals)[-window:].astype(object)
    spread = window * (inside**2).sum() - inside.sum() ** 2
    assert total[-1] == inside.sum()
    assert denominators[-1] == math.sqrt(float(spread))


def test_sums_that_would_outgrow_their_bits_are_refused_by_index():
    years = 10**9 * 3600 * 24 * 365
    arrivals = np.array([0, 1, 2, 40 * years, 40 * years + 5], np.int64)
    with pytest.raises(ac.TraceError, match=r"interval 2 .* outgrow their bits"):
        ac.levels(arrivals, ac.PhiNormal(window=1000))
    assert np.isfinite(ac.levels(arrivals, ac.PhiNormal(window=2))[-1])  # two of them fit easily
    monitor = ac.Monitor(ac.PhiNormal(window=1000), threshold=1)
    for now in arrivals.tolist():
        monitor.heartbeat(now=now)
    assert (monitor.unlearned, monitor.samples) == (1, 3)


@pytest.mark.parametrize("pause", [0.0, 3.0])
@pytest.mark.parametrize("min_deviation", [0.0, 0.1])
def test_floor_and_pause(pause, min_deviation):
    """Constant intervals: the deviation is the floor, and the mean is moved by the pause."""
    arrivals = np.arange(2000) * 10**9
    arrivals[-1] += 5 * 10**9
    detector = ac.PhiNormal(window=1000, min_deviation=min_deviation, pause=pause)
    z = (6.0 - 1.0 - pause) * 1e9 / max(min_deviation * 1e9, 1.0)
    assert ac.levels(arrivals, detector)[-1] == pytest.approx(detector.compiled.level(z), rel=1e-13)
