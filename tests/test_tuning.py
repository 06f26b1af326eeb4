"""Tuning: thresholds against brute force, judgements on heartbeats that were not learnt from."""

import functools
import json
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from strategies import detectors, traces

import accrual as ac

MS = 1_000_000


@functools.cache
def bursty(n=20_000):
    return ac.synthesize(n, delay="exponential:mean=10ms", loss="gilbert:loss=0.01,burst=5", seed=7)


DETECTORS = [
    ac.FixedTimeout(period=0.1),
    ac.PhiNormal(window=200),
    ac.PhiStudent(window=50),
    ac.Empirical(window=100),
    ac.Chen(period=0.1),
    ac.Bertier(period=0.1, window=200),
    ac.ExpectedArrival(),
]


# ---- a mistake rate --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("detector", DETECTORS, ids=str)
def test_the_fastest_threshold_that_keeps_to_a_rate(detector):
    tuned = ac.tune(bursty(), detector, mistake_rate=0.2)
    observed = tuned.learnt.observed
    assert tuned.learnt.mistakes <= 0.2 * observed
    assert tuned.learnt.mistakes > 0.2 * observed - (60 if detector.name == "empirical" else 2)
    # What was learnt and what was judged is what qos says of the two parts.
    learn = bursty()[: tuned.cut + 1]
    assert tuned.learnt == ac.qos(learn, detector, tuned.threshold, skip=tuned.skip)
    assert tuned.judged == ac.qos(bursty(), detector, tuned.threshold, skip=tuned.cut)
    # Any lower, and there are too many.
    lower = tuned.threshold - np.geomspace(1e-4, 0.05, 30) * min(abs(tuned.threshold), 1)
    if detector.name == "empirical":
        lower = np.arange(70, round(100 * tuned.threshold)) / 100
    assert ac.curve(learn, detector, lower, skip=tuned.skip).mistakes.min() > 0.2 * observed


@given(detectors, st.lists(st.integers(MS, 900 * MS), min_size=40, max_size=60), st.sampled_from([0.3, 1.0]))
@settings(max_examples=40)
def test_it_keeps_to_the_rate_whatever_the_trace(detector, intervals, rate):
    trace = ac.Trace(np.cumsum(intervals))
    try:
        tuned = ac.tune(trace, detector, mistake_rate=rate, skip=15)
    except ac.TraceError:
        return
    if tuned.learnt is None:
        assert tuned.verdict.startswith("cannot be met")
        assert detector.name == "empirical"  # whose highest threshold is 1
    else:
        assert tuned.learnt.mistakes <= rate * tuned.learnt.observed


def test_what_the_rest_says():
    steady = ac.synthesize(100_000, delay="exponential:mean=10ms", seed=1)
    fixed = ac.FixedTimeout(period=0.1)
    tuned = ac.tune(steady, fixed, mistake_rate=0.5, share=0.3)
    assert tuned.met is None  # tuned to the edge, the interval holds what is wanted
    assert tuned.rate_low < 0.5 < tuned.rate_high
    assert "to" in tuned.verdict
    worse = ac.Trace(np.concatenate([steady.arrivals[:50_000], bursty().arrivals + steady.arrivals[50_000]]))
    tuned = ac.tune(worse, fixed, mistake_rate=0.01, share=0.7)
    assert tuned.met is False
    assert tuned.verdict.startswith("not met")
    calm = ac.Trace(np.arange(100_000) * 100 * MS)
    tuned = ac.tune(calm, fixed, mistake_rate=0.01)
    assert (tuned.met, tuned.verdict) == (True, "met")
    assert tuned.judged.mistakes == 0


def test_what_a_trace_is_too_short_to_tell():
    calm = ac.Trace(np.arange(2000) * 100 * MS)
    tuned = ac.tune(calm, ac.FixedTimeout(period=0.1), mistake_rate=1e-3)
    assert tuned.judged.mistakes == 0
    assert tuned.met is None  # 100 s without a mistake are no promise of one in 1000 s
    assert tuned.rate_high == 3.0 / tuned.judged.observed
    assert tuned.verdict.startswith("met as far as it goes")
    assert tuned.verdict.endswith("; learnt from 100 s, where 3000 s would show such a rate")


def test_a_share_that_no_threshold_keeps_to():
    tuned = ac.tune(bursty(), ac.Empirical(window=50), mistake_rate=1e-4)
    assert math.isnan(tuned.threshold)
    assert tuned.met is False
    assert tuned.judged is None
    assert tuned.verdict.startswith("cannot be met: ")
    assert tuned.to_dict()["threshold"] is None


# ---- a detection time ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("at", "name"), [("mean", "detection_time"), ("p99", "detection_time_p99")])
def test_a_detection_time(at, name):
    tuned = ac.tune(bursty(), ac.PhiNormal(window=200), detection_time=0.2, at=at)
    assert getattr(tuned.learnt, name) == pytest.approx(0.2, rel=1e-8)
    taken = getattr(tuned.judged, name)
    assert tuned.met == (taken <= 0.202)
    refused = ac.tune(bursty(), ac.Chen(period=0.1), detection_time=0.001, at=at)
    assert refused.met is False
    assert "cannot be met: cannot be so fast" in refused.verdict


def test_a_detection_time_that_the_rest_does_not_keep():
    arrivals = np.cumsum(np.r_[np.tile([90, 110], 5000), np.tile([60, 140], 5000)]) * MS
    tuned = ac.tune(arrivals, ac.PhiNormal(window=100), detection_time=0.13)
    assert tuned.judged.detection_time > 0.15
    assert tuned.met is False
    assert tuned.verdict.startswith("not met: detection in 0.")


def test_both():
    fixed = ac.FixedTimeout(period=0.1)
    assert not math.isnan(ac.tune(bursty(), fixed, mistake_rate=0.1, detection_time=0.3).threshold)
    tuned = ac.tune(bursty(), fixed, mistake_rate=0.001, detection_time=0.12)
    assert math.isnan(tuned.threshold)
    assert "mistakes/s at that detection time" in tuned.verdict


# ---- the cost --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("detector", DETECTORS, ids=str)
@pytest.mark.parametrize(("failure", "failover"), [(3600.0, 1.0), (300.0, 0.05), (1e7, 30.0)])
def test_no_threshold_costs_less(detector, failure, failover):
    trace = bursty(4000)
    tuned = ac.tune_cost(trace, detector, failure, failover)
    learn = trace[: tuned.cut + 1]
    low, high = (0.01, 1) if detector.name == "empirical" else (-0.05 if detector.law == "linear" else 0.05, 60)
    curve = ac.curve(learn, detector, np.linspace(low, high, 300 if detector.compiled.asks else 3000), skip=tuned.skip)
    costs = curve.detection_time / failure + curve.mistake_rate * failover
    costs = costs[[q.standing <= 0.5 for q in curve.points]]
    least = tuned.learnt.detection_time / failure + tuned.learnt.mistake_rate * failover
    assert least <= costs.min() * (1 + 1e-9)
    assert tuned.cost == tuned.judged.detection_time / failure + tuned.judged.mistake_rate * failover


def test_the_cost_optimum_of_exponential_intervals():
    """m ln(MTTF T_F / m^2), theory.md 5.1."""
    arrivals = np.cumsum(np.random.default_rng(2).exponential(0.1, 400_000) * 1e9).astype(np.int64)
    tuned = ac.tune_cost(arrivals, ac.FixedTimeout(period=0.1), time_to_failure=100, failover=0.1)
    assert tuned.threshold * 0.1 == pytest.approx(0.1 * math.log(100 * 0.1 / 0.1**2), rel=0.05)


@given(
    traces(st.integers(-(10**9), 3 * 10**9), min_size=1, max_size=60), detectors, st.sampled_from([0.07, 1.3, 9.0]),
    st.none() | st.integers(0, 70),
)  # fmt: skip
@settings(max_examples=100)
def test_whatever_befell_the_trace(trace, detector, wanted, skip):
    """Clocks set back, restarts, duplicates, losses: an answer that qos bears out, or a TraceError of one line."""
    tunings = [
        lambda: ac.tune(trace, detector, mistake_rate=wanted, skip=skip),
        lambda: ac.tune(trace, detector, detection_time=wanted, skip=skip),
        lambda: ac.tune_cost(trace, detector, 100, wanted, skip=skip),
    ]
    for tuning in tunings:
        try:
            tuned = tuning()
        except ac.TraceError as error:
            assert len(str(error).splitlines()) == 1  # noqa: PT017
            continue
        json.dumps(tuned.to_dict(), allow_nan=False)
        if tuned.judged is not None:
            assert tuned.judged == ac.qos(trace, detector, tuned.threshold, skip=tuned.cut)


# ---- forms and bad input ---------------------------------------------------------------------------------------------


def test_forms():
    tuned = ac.tune(bursty(), ac.PhiNormal(window=200), mistake_rate=0.2)
    as_dict = json.loads(json.dumps(tuned.to_dict(), allow_nan=False))
    assert as_dict["detector"] == "phi-normal:window=200"
    assert as_dict["learnt"]["mistakes"] == tuned.learnt.mistakes
    assert as_dict["cost"] is None
    for word in ("phi-normal:window=200, Phi = ", "learnt", "judged", "mistakes"):
        assert word in repr(tuned)
    assert "<table>" in tuned._repr_html_()
    assert tuned == ac.tune(bursty(), ac.PhiNormal(window=200), mistake_rate=0.2, threads=3)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({}, "mistake_rate or detection_time must be given"),
        ({"mistake_rate": 0}, "mistake_rate must be"),
        ({"mistake_rate": math.nan}, "mistake_rate must be"),
        ({"mistake_rate": "1/h"}, "mistake_rate must be"),
        ({"mistake_rate": True}, "mistake_rate must be"),
        ({"detection_time": -1}, "detection_time must be"),
        ({"detection_time": [0.1, 0.2]}, "detection_time must be"),
        ({"detection_time": math.inf}, "detection_time must be"),
        ({"detection_time": 0.1, "at": "max"}, "at must be"),
        ({"detection_time": 0.1, "share": 0}, "share must be"),
        ({"detection_time": 0.1, "share": 1}, "share must be"),
        ({"detection_time": 0.1, "share": "half"}, "share must be"),
        ({"detection_time": 0.1, "skip": -1}, "skip must be"),
        ({"detection_time": 0.1, "skip": 0.5}, "skip must be"),
        ({"detection_time": 0.1, "seed": -1}, "seed must be"),
        ({"detection_time": 0.1, "transit": math.nan}, "transit must be"),
        ({"detection_time": 0.1, "threads": 0}, "threads must be"),
    ],
)
def test_options_that_are_none(options, message):
    with pytest.raises(ValueError, match=message):
        ac.tune(bursty(), ac.FixedTimeout(period=0.1), **options)


@pytest.mark.parametrize("name", ["time_to_failure", "failover"])
@pytest.mark.parametrize("value", [0, -1, math.nan, math.inf, "1", [1, 2]])
def test_costs_that_are_none(name, value):
    with pytest.raises(ValueError, match=f"{name} must be"):
        ac.tune_cost(bursty(), ac.FixedTimeout(period=0.1), **{"time_to_failure": 1, "failover": 1, name: value})


@pytest.mark.parametrize("n", [0, 1, 2, 3, 51, 52])
def test_traces_too_short(n):
    with pytest.raises(ac.TraceError, match=r"never fill|nothing to"):
        ac.tune(bursty()[:n], ac.PhiNormal(window=50), mistake_rate=1)


def test_equal_instants():
    with pytest.raises(ac.TraceError, match="no time passes"):
        ac.tune(np.zeros(500, int), ac.FixedTimeout(period=0.1), mistake_rate=1)


def test_a_detector_that_is_none():
    with pytest.raises(TypeError, match="detector must be one of"):
        ac.tune(bursty(), "phi-normal", mistake_rate=1)
