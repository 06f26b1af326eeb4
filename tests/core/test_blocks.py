"""Where blocks may go through 64 bits, and where they may not: at the edges of what window.h proves."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import accrual as ac
from accrual.core import engine

TIERS = [name for name, number in engine.TIERS.items() if number <= engine.TIERS[engine.tier()]]
SUM_LIMIT = engine.INSTANT_LIMIT
SIZES = [2**26, 2**27, 2**28, 2**29, 2**30, 2**31 - 9, 2**31 - 1, 2**31, 2**31 + 1, 3 * 2**30, 2**32, 2**33]


def one_at_a_time(arrivals, detector):
    monitor = ac.Monitor(detector, threshold=1.0)
    levels = []
    for now in arrivals.tolist():
        levels.append(monitor.level(now))
        monitor.heartbeat(now)
    return levels, monitor


def on_each_tier(call):
    before, found = engine.tier(), []
    try:
        for tier in TIERS:
            engine.tier(tier)
            found.append(call())
    finally:
        engine.tier(before)
    return found


@st.composite
def strained(draw):
    """Intervals about 17 s with some that lie about 2^31 ns off, where the squares of a block come near 2^63."""
    rng = np.random.default_rng(draw(st.integers(0, 2**32)))
    n = draw(st.integers(100, 1300))
    intervals = 2**34 + rng.integers(-(10**4), 10**4, n)
    far = draw(st.lists(st.sampled_from(SIZES), min_size=1, max_size=3))
    places = rng.random(n) < draw(st.sampled_from([0.002, 0.02, 0.2, 1.0]))
    intervals[places] = 2**34 + rng.choice(far, places.sum()) * rng.choice([-1, 1], places.sum())
    return np.cumsum([-(2**60), *intervals])


@given(strained(), st.sampled_from([1, 2, 50, 400]), st.sampled_from([0.0, 8.5]), st.sampled_from([0.0, 0.3]))
def test_blocks_near_their_bounds_have_the_bits_of_the_stream(arrivals, window, pause, min_deviation):
    detector = ac.PhiNormal(window=window, min_samples=1, pause=pause, min_deviation=min_deviation)
    expected, _ = one_at_a_time(arrivals, detector)
    for levels in on_each_tier(lambda: ac.levels(arrivals, detector)):
        np.testing.assert_array_equal(levels, expected)


@pytest.mark.parametrize("far", SIZES)
@pytest.mark.parametrize("sign", [1, -1])
@pytest.mark.parametrize("count", [1, 2, 3, 30])
def test_a_few_outliers_in_a_block_have_the_bits_of_the_stream(far, sign, count):
    """Blocks begin with a calm window at 512 and 1024: what they take in decides."""
    intervals = 2**34 + np.arange(1500) % 7
    intervals[700 : 700 + count] += sign * far
    arrivals = np.cumsum([-(2**60), *intervals])
    detector = ac.PhiNormal(window=50, min_samples=1, min_deviation=0.01)
    expected, _ = one_at_a_time(arrivals, detector)
    for levels in on_each_tier(lambda: ac.levels(arrivals, detector)):
        np.testing.assert_array_equal(levels, expected)


@pytest.mark.parametrize(("window", "pause", "floor"), [((1 << 21) + 1, 8.5, 10.0), ((1 << 19) - 1, 600.0, 700.0)])
def test_long_windows_with_long_pauses_have_numerators_beyond_a_double(window, pause, floor):
    """n * (elapsed - pause) - sum is above 2^53 here: the integers decide, rounded once, and no block may take part."""
    arrivals = np.cumsum(np.random.default_rng(9).integers(10**6, 10**6 + 1000, window + 1100))
    detector = ac.PhiNormal(window=window, pause=pause, min_deviation=floor)
    intervals, scale = np.diff(arrivals), window * (floor * 1e9)
    total = int(intervals[:window].sum())
    expected = []
    for k in range(window, len(intervals)):
        numerator = window * (int(intervals[k]) - int(pause * 1e9)) - total
        expected.append(detector.compiled.level(float(numerator) / scale))
        total += int(intervals[k]) - int(intervals[k - window])
    assert abs(numerator) > 2**53
    for levels in on_each_tier(lambda: ac.levels(arrivals, detector)):
        np.testing.assert_array_equal(levels[window + 1 :], expected)


def test_a_window_that_grows_beyond_146_years_is_refused_inside_a_block():
    """Intervals that rise by 10 us: the squares fit 64 bits from the mean, the sum creeps past 2^62.

    It does so after instant 1024, where a block begins and the window is full.
    """
    window = 600
    intervals = SUM_LIMIT // window + 10**4 * (np.arange(1190) - 800)
    arrivals = np.cumsum([-SUM_LIMIT + 1, *intervals])
    detector = ac.PhiNormal(window=window, min_samples=1)
    _, monitor = one_at_a_time(arrivals, detector)
    assert monitor.unlearned > 0
    first = next(k for k in range(window, 1190) if intervals[k + 1 - window : k + 1].sum() >= SUM_LIMIT)
    assert first > 1024
    for threads in (1, 2):
        with pytest.raises(ac.TraceError, match=f"interval {first} of the heartbeats that count, 7.68614e"):
            ac.levels(arrivals, detector, threads=threads)


def test_offsets_that_wrap():
    """After steps back the chain's instants go on, past the end of 64 bits and round: only differences are used."""
    longest = SUM_LIMIT - 1
    arrivals = np.array([-longest, longest] * 5)
    detector = ac.FixedTimeout(period=1.0)
    expected = [np.nan, *[2 * longest / 1e9, 0.0] * 4, 2 * longest / 1e9]
    np.testing.assert_array_equal(ac.levels(arrivals, detector), expected)
    levels, _ = one_at_a_time(arrivals, detector)
    np.testing.assert_array_equal(levels, expected)
