"""Chen's configurator and the cheapest timeout, against worked examples, brute force, closed forms and simulation."""

import math

import numpy as np
import pytest
from scipy import stats

import accrual as ac

MONTH = 30 * 86400
WORKED = {"detection_time": 30, "mistake_recurrence": MONTH, "mistake_duration": 60, "loss": 0.01}


def test_worked_example_with_the_law():
    found = ac.tune_chen(**WORKED, delay=stats.expon(scale=0.02))
    assert (round(found.period, 3), round(found.shift, 3), found.verdict) == (9.976, 20.024, "met")
    assert found.margin == pytest.approx(20.004, abs=1e-3)
    assert found.recurrence == pytest.approx(MONTH, rel=1e-6)
    assert found.detector == ac.Chen(period=found.period)


@pytest.mark.parametrize(("variance", "period"), [(0.02, 9.710), (0.0004, 9.954)])
def test_worked_example_with_moments(variance, period):
    found = ac.tune_chen(**WORKED, delay_mean=0.02, delay_deviation=math.sqrt(variance))
    assert found.period == pytest.approx(period, abs=1e-3)
    assert found.shift == 30 - found.period


def test_clocks_apart():
    """NFD-U: as with a mean of 0, relative to the expected arrival; and the law, from the mean on."""
    apart = ac.tune_chen(**WORKED, delay_deviation=0.02**0.5, clocks_apart=True)
    same = ac.tune_chen(**WORKED, delay_mean=0.0, delay_deviation=0.02**0.5)
    assert (apart.period, apart.margin) == (same.period, same.shift)
    assert math.isnan(apart.shift)
    law = ac.tune_chen(**WORKED, delay=stats.expon(scale=0.02), clocks_apart=True)
    moved = ac.tune_chen(**WORKED, delay=stats.expon(loc=-0.02, scale=0.02))
    assert law.period == pytest.approx(moved.period, rel=1e-9)
    assert law.margin == 30 - law.period


def recurrence(period, time, loss, delay):
    """f(period), from the formula in theory.md 1.1."""
    heard = (1 - loss) * delay.cdf(time)
    product = math.prod(loss + (1 - loss) * delay.sf(time - j * period) for j in range(1, math.ceil(time / period)))
    return period / (heard * product)


@pytest.mark.parametrize(
    ("time", "wanted", "duration", "loss", "delay"),
    [
        (1.0, 50.0, 60.0, 0.05, stats.expon(scale=0.1)),
        (1.0, 1e6, 60.0, 0.05, stats.expon(scale=0.1)),
        (2.0, 3600.0, 0.3, 0.2, stats.gamma(2, scale=0.05)),
        (3.0, 500.0, 9.0, 0.3, stats.lognorm(1.0, scale=0.2)),
        (1.0, 30.0, 9.0, 0.0, stats.uniform(0.2, 0.5)),
    ],
)
def test_no_longer_period_would_do(time, wanted, duration, loss, delay):
    found = ac.tune_chen(
        detection_time=time, mistake_recurrence=wanted, mistake_duration=duration, loss=loss, delay=delay
    )
    longest = min((1 - loss) * delay.cdf(time) * duration, time)
    assert found.verdict == "met"
    assert found.period <= longest
    assert recurrence(found.period * (1 - 1e-12), time, loss, delay) >= wanted * (1 - 1e-6)
    longer = np.linspace(found.period * (1 + 1e-6), longest, 5000) if found.period < longest * (1 - 1e-5) else []
    assert all(recurrence(period, time, loss, delay) < wanted for period in longer)


def test_the_promise_is_kept_by_simulation():
    """NFD-S as defined: at the i-th freshness point the peer is trusted iff heartbeat i or a later one is there."""
    wanted = {"detection_time": 0.5, "mistake_recurrence": 20.0, "mistake_duration": 5.0, "loss": 0.05}
    found = ac.tune_chen(**wanted, delay=stats.expon(scale=0.05))
    chance, n = np.random.default_rng(4), 2_000_000
    arrived = np.arange(n) * found.period + chance.exponential(0.05, n)
    arrived[chance.random(n) < 0.05] = np.inf
    due = np.arange(n) * found.period + found.shift
    there = np.minimum.accumulate(arrived[::-1])[::-1]  # since when heartbeat i or a later one is
    begins = (there[1:] > due[1:]) & (there[:-1] <= due[1:])
    assert n * found.period / np.count_nonzero(begins) == pytest.approx(found.recurrence, rel=0.03)
    # And the detector of this package, which has to estimate when a heartbeat is expected.
    trace = ac.synthesize(
        200_000, period=found.period, delay="exponential:mean=50ms", loss="independent:loss=0.05", seed=4
    )
    q = ac.qos(trace, found.detector, found.margin, skip=1000)
    assert q.mistake_recurrence == pytest.approx(found.recurrence, rel=0.15)
    assert q.mistake_duration < 5.0
    assert q.detection_time <= 0.5 * 1.01


def test_what_cannot_be_met():
    slow = {"detection_time": 0.1, "mistake_recurrence": 1e9, "mistake_duration": 1.0, "loss": 0.1}
    never = ac.tune_chen(**slow, delay=stats.uniform(0.2, 0.1))  # nothing arrives in time
    assert (never.verdict, never.to_dict()["period"]) == ("cannot be met", None)
    assert "whatever the law" in ac.tune_chen(**slow, delay_mean=0.2, delay_deviation=0.1).verdict
    assert math.isnan(ac.tune_chen(**slow, delay_mean=0.05, delay_deviation=1e9).period)
    assert "cannot be met" in never._repr_html_()


def test_a_path_without_chance():
    found = ac.tune_chen(
        detection_time=1, mistake_recurrence=1e9, mistake_duration=1, loss=0, delay_mean=0.1, delay_deviation=0
    )
    assert found.period < 0.9
    assert found.recurrence == math.inf
    assert found.to_dict()["recurrence"] is None


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"detection_time": 0}, "detection_time must be"),
        ({"detection_time": math.nan}, "detection_time must be"),
        ({"detection_time": "30"}, "detection_time must be"),
        ({"mistake_recurrence": -1}, "mistake_recurrence must be"),
        ({"mistake_duration": True}, "mistake_duration must be"),
        ({"loss": 1}, "loss must be"),
        ({"loss": -0.1}, "loss must be"),
        ({"loss": math.nan}, "loss must be"),
        ({"delay_mean": 0.02}, "delay, or delay_mean"),
        ({"delay_deviation": 0.02}, "delay, or delay_mean"),
        ({"delay": None}, "delay, or delay_mean"),
        ({"delay": None, "delay_mean": 0.1}, "delay, or delay_mean"),
        ({"delay": None, "delay_deviation": 0.1}, "delay_mean must be given"),
        ({"delay": None, "delay_mean": -1, "delay_deviation": 0.1}, "delay_mean must be"),
        ({"delay": None, "delay_mean": 0.1, "delay_deviation": -1}, "delay_deviation must be"),
    ],
)
def test_bad_input(change, message):
    with pytest.raises(ValueError, match=message):
        ac.tune_chen(**{**WORKED, "delay": stats.expon(scale=0.02), **change})


# ---- the cheapest timeout (theory.md 5.1) ----------------------------------------------------------------------------


def test_the_cheapest_timeout_of_exponential_intervals():
    for mean in (0.1, 2.0):
        closed = mean * math.log(MONTH * 10 / mean**2)
        assert ac.optimal_timeout(stats.expon(scale=mean), MONTH, 10) == pytest.approx(closed, rel=1e-6)
    assert round(0.1 * math.log(MONTH * 10 / 0.1**2), 2) == 2.17


@pytest.mark.parametrize(("mean", "deviation", "timeout"), [(0.1, 0.0165, 0.211), (1.0, 0.1, 1.61)])
def test_the_cheapest_timeout_of_normal_intervals(mean, deviation, timeout):
    law = stats.norm(mean, deviation)
    found = ac.optimal_timeout(law, MONTH, 10)
    assert found == pytest.approx(timeout, abs=5e-3)
    assert law.pdf(found) == pytest.approx(mean / (MONTH * 10), rel=1e-3)


def test_failovers_that_cost_nothing():
    assert ac.optimal_timeout(stats.expon(scale=0.1), 1e-3, 1e-3) == 0


@pytest.mark.parametrize("value", [0, -1, math.nan, math.inf, "1"])
def test_cheapest_timeout_of_bad_input(value):
    with pytest.raises(ValueError, match="time_to_failure must be"):
        ac.optimal_timeout(stats.expon(), value, 1)
    with pytest.raises(ValueError, match="failover must be"):
        ac.optimal_timeout(stats.expon(), 1, value)
    with pytest.raises(ValueError, match="intervals must have a mean"):
        ac.optimal_timeout(stats.cauchy(), 1, 1)
