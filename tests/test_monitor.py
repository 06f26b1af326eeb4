"""One peer: what a service calls, and what a network or a clock can do to it."""

import math

import numpy as np
import pytest

import accrual as ac

MS = 1_000_000


def monitor(threshold=1.0, **parameters):
    return ac.Monitor(ac.PhiNormal(window=3, **parameters), threshold=threshold, clock=lambda: 0)


def test_a_clock_is_read_when_nobody_says_when():
    now = [0]
    m = ac.Monitor(ac.FixedTimeout(period=0.001), threshold=3, clock=lambda: now[0])
    m.heartbeat()
    now[0] = 2 * MS
    assert (m.level(), m.suspected(), m.deadline()) == (2.0, False, 3 * MS)
    now[0] = 3 * MS
    assert m.suspected()


def test_the_default_clock_is_the_monotonic_one():
    m = ac.Monitor(ac.FixedTimeout(period=3600))
    m.heartbeat()
    assert 0 <= m.level() < 1


def test_before_the_first_heartbeat_nothing_is_known():
    m = monitor()
    assert math.isnan(m.level(now=5))
    assert not m.suspected(now=10**18)
    assert m.deadline() is None
    assert m.last is None


def test_the_threshold_may_change_at_any_time():
    m = ac.Monitor(ac.FixedTimeout(period=0.001), threshold=3)
    m.heartbeat(now=0)
    m.threshold = 5
    assert (m.threshold, m.deadline(), m.deadline(threshold=2)) == (5.0, 5 * MS, 2 * MS)
    assert m.suspected(now=4 * MS, threshold=4)
    assert not m.suspected(now=4 * MS)
    with pytest.raises(ValueError, match="threshold must be a number, got nan"):
        m.threshold = math.nan
    assert m.threshold == 5.0


def test_late_duplicate_and_reordered_heartbeats_change_nothing_but_a_counter():
    m = monitor()
    for i in range(4):
        assert m.heartbeat(now=i * MS, sequence=i)
    before = (m.level(now=5 * MS), m.deadline(), m.last)
    assert not m.heartbeat(now=4 * MS, sequence=3)
    assert not m.heartbeat(now=4 * MS, sequence=-(2**63))
    assert (m.level(now=5 * MS), m.deadline(), m.last) == before
    assert (m.accepted, m.ignored) == (4, 2)


def test_a_clock_that_goes_back_is_counted_and_closes_no_interval():
    m = monitor()
    for now in (0, MS, 3 * MS):
        m.heartbeat(now=now)
    year = 365 * 24 * 3600 * 10**9
    m.heartbeat(now=3 * MS - year)
    assert (m.clock_steps, m.samples, m.last) == (1, 2, 3 * MS - year)
    m.heartbeat(now=5 * MS - year)
    assert m.samples == 3
    assert m.level(now=m.last - 10**9) == m.level(now=m.last)  # before `last`, elapsed is 0


def test_a_restart_makes_everything_learned_void():
    m = monitor()
    for i in range(5):
        m.heartbeat(now=i * MS, sequence=100 + i, epoch=7)
    assert m.heartbeat(now=90 * MS, sequence=0, epoch=8)
    assert (m.restarts, m.samples, m.deadline()) == (1, 0, None)
    assert m.heartbeat(now=91 * MS, sequence=1, epoch=8)


def test_reset_is_a_restart_by_hand():
    m = monitor()
    for i in range(5):
        m.heartbeat(now=i * MS, sequence=i)
    m.reset()
    assert math.isnan(m.level(now=9 * MS))
    assert m.heartbeat(now=9 * MS, sequence=0)


@pytest.mark.parametrize("number", [np.int64(5), np.int32(5), np.uint8(5)])
def test_numpy_integers_are_instants(number):
    m = monitor()
    m.heartbeat(now=number, sequence=number, epoch=number)
    assert m.last == 5


@pytest.mark.parametrize("now", [2**62, -(2**62), 2**63, 2**100, -(2**100)])
def test_instants_beyond_146_years_are_refused_and_change_nothing(now):
    m = monitor()
    for ask in (m.heartbeat, m.level, m.suspected):
        with pytest.raises(ValueError, match=r"now must lie within 2\*\*62 ns"):
            ask(now=now)
    assert (m.accepted, m.last) == (0, None)


@pytest.mark.parametrize("wrong", [1.5, math.nan, "5", [5], np.float64(5)])
def test_instants_of_another_type_are_refused_and_change_nothing(wrong):
    m = monitor()
    with pytest.raises(TypeError):
        m.heartbeat(now=wrong)
    with pytest.raises(TypeError):
        m.heartbeat(now=5, sequence=wrong)
    assert (m.accepted, m.last) == (0, None)


def test_wrong_detectors_and_thresholds():
    with pytest.raises(TypeError, match="detector must be one of accrual's"):
        ac.Monitor("phi")
    with pytest.raises(ValueError, match="threshold must be a number, got nan"):
        ac.Monitor(ac.PhiNormal(), threshold=math.nan)


def test_a_threshold_that_is_always_or_never_reached():
    m = monitor(threshold=0.0)
    for i in range(4):
        m.heartbeat(now=i * MS)
    assert m.deadline() == m.last
    m.threshold = math.inf
    assert m.deadline() is None
    assert not m.suspected(now=2**61)


def test_perfectly_regular_heartbeats_have_a_deviation_of_a_nanosecond():
    m = monitor(threshold=8.0)
    for i in range(10):
        m.heartbeat(now=i * MS)
    assert m.deadline() == 10 * MS + 6  # z = 5.61
