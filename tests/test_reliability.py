"""Promises of thresholds against closed forms (theory.md 5.1) and against counting by hand."""

import functools
import json
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats
from strategies import detectors, traces

import accrual as ac

MS = 1_000_000


@functools.cache
def normal_arrivals(n):
    return np.cumsum(np.round(np.random.default_rng(2004).normal(1e8, 1e7, n + 1)).astype(np.int64))


def student_of(phi, n):
    """The share of late heartbeats at a plug-in Phi (divisor n) with n normal intervals: exact."""
    return stats.t.sf(stats.norm.isf(10.0**-phi) * math.sqrt((n - 1) / (n + 1)), n - 1)


def test_the_collapse_of_small_windows():
    """With 20 intervals a Phi of 8 is really 4.73, and 12 is 5.97."""
    found = ac.calibration(normal_arrivals(2_000_000), ac.PhiNormal(window=20), [1, 3, 5, 8, 12])
    exact = [student_of(phi, 20) for phi in (1, 3, 5, 8, 12)]
    assert -np.log10(exact) == pytest.approx([0.92, 2.38, 3.47, 4.73, 5.97], abs=5e-3)
    assert found.verdicts == ["more"] * 4 + ["cannot tell"]  # one heartbeat, or none
    assert ((found.low <= exact) & (exact <= found.high)).all()
    assert found.effective[:4] == pytest.approx([0.92, 2.38, 3.47, 4.73], abs=0.2)


def test_the_repair_by_student():
    """The same heartbeats, the same window: each promise that they can tell about is kept."""
    found = ac.calibration(normal_arrivals(500_000), ac.PhiStudent(window=20), [0.5, 1, 2, 3, 4, 8])
    assert found.verdicts == ["kept"] * 5 + ["cannot tell"]
    assert found.share[:4] == pytest.approx([10**-0.5, 0.1, 0.01, 0.001], rel=0.1)
    assert found.high[-1] == 3.0 / found.heartbeats


def test_exponential_intervals_with_an_estimated_mean():
    """(1 + Phi ln 10 / n)^-n."""
    arrivals = np.cumsum(np.random.default_rng(5).exponential(1e8, 400_000)).astype(np.int64)
    found = ac.calibration(arrivals, ac.PhiExponential(window=20), [1, 2, 3])
    exact = (1 + np.array([1, 2, 3]) * math.log(10) / 20) ** -20.0
    assert ((found.low <= exact) & (exact <= found.high)).all()
    assert found.verdicts == ["more"] * 3


def test_order_statistics_keep_their_promise_whatever_the_law():
    arrivals = np.cumsum(np.random.default_rng(6).pareto(1.5, 200_000) * 1e8).astype(np.int64)
    found = ac.calibration(arrivals, ac.Empirical(window=100), [0.5, 0.9, 0.99, 1.0])
    assert found.promised == pytest.approx([51 / 101, 11 / 101, 2 / 101, 1 / 101])
    assert found.verdicts == ["kept"] * 4


@given(detectors, st.lists(st.integers(MS, 900 * MS), min_size=30, max_size=60), st.sampled_from([0.37, 1.1, 2.3]))
@settings(max_examples=60)
def test_late_heartbeats_are_those_whose_level_is_reached(detector, intervals, phi):
    arrivals = np.cumsum(intervals)
    try:
        found = ac.calibration(arrivals, detector, [phi], skip=15)
    except ValueError as error:
        assert detector.law == "linear" or detector.name == "empirical" or isinstance(error, ac.TraceError)  # noqa: PT017
        return
    levels = ac.levels(arrivals, detector)[16:]
    expected = np.count_nonzero(levels >= phi) if detector.name != "empirical" else None
    assert expected is None or found.late.tolist() == [expected]
    assert found.heartbeats == np.count_nonzero(~np.isnan(levels))


@given(traces(st.integers(-(10**9), 3 * 10**9), min_size=1, max_size=60), detectors, st.none() | st.integers(0, 70))
@settings(max_examples=100)
def test_whatever_befell_the_trace(trace, detector, skip):
    try:
        found = ac.calibration(trace, detector, skip=skip)
    except ValueError as error:  # a TraceError, or a detector that promises nothing
        assert len(str(error).splitlines()) == 1  # noqa: PT017
        return
    json.dumps(found.to_dict(), allow_nan=False)
    assert (found.late <= found.heartbeats).all()
    assert (np.diff(found.late) <= 0).all()


def test_default_thresholds():
    assert ac.calibration(normal_arrivals(5000), ac.PhiNormal(window=100)).thresholds.tolist()[:3] == [0.5, 1.0, 1.5]
    assert ac.calibration(normal_arrivals(5000), ac.Empirical(window=100)).thresholds[-1] == 1


def test_forms():
    pytest.importorskip("pandas")
    found = ac.calibration(normal_arrivals(20_000), ac.PhiNormal(window=100), [1, 3, 9])
    as_dict = json.loads(json.dumps(found.to_dict(), allow_nan=False))
    assert as_dict["late"] == found.late.tolist()
    assert as_dict["effective"][-1] is None  # infinite
    assert as_dict["verdict"] == found.verdicts
    assert found.to_pandas()["threshold"].tolist() == [1, 3, 9]
    assert "phi-normal:window=100: 19,900 heartbeats" in repr(found)
    assert f"< {3.0 / 19900:.4g}" in repr(found)
    assert "<table>" in found._repr_html_()
    assert (
        found.to_dict()
        == ac.calibration(normal_arrivals(20_000), ac.PhiNormal(window=100), [1, 3, 9], threads=3).to_dict()
    )


@pytest.mark.parametrize(
    "detector",
    [ac.FixedTimeout(period=0.1), ac.Chen(), ac.Bertier(period=0.1), ac.ExpectedArrival(), ac.Empirical(stretch=1.5)],
    ids=str,
)
def test_detectors_that_promise_nothing(detector):
    with pytest.raises(ValueError, match="detector must be one whose threshold is a probability"):
        ac.calibration(normal_arrivals(5000), detector)


@pytest.mark.parametrize("thresholds", [[], [math.nan], "1", [[1]], [True], None.__class__])
def test_thresholds_that_are_none(thresholds):
    with pytest.raises(ValueError, match="thresholds must be one or more numbers"):
        ac.calibration(normal_arrivals(5000), ac.PhiNormal(window=100), thresholds)


@pytest.mark.parametrize(
    ("options", "message"),
    [({"skip": -1}, "skip must be"), ({"seed": "x"}, "seed must be"), ({"block": -1}, "block must be")],
)
def test_options_that_are_none(options, message):
    with pytest.raises(ValueError, match=message):
        ac.calibration(normal_arrivals(5000), ac.PhiNormal(window=100), **options)


@pytest.mark.parametrize("n", [0, 1, 2, 100])
def test_traces_too_short(n):
    with pytest.raises(ac.TraceError):
        ac.calibration(normal_arrivals(5000)[:n], ac.PhiNormal(window=100))
    with pytest.raises(ac.TraceError, match="nothing to score"):
        ac.calibration(normal_arrivals(5000), ac.PhiNormal(window=100), skip=10**7)


def test_no_level_is_known():
    restarts = ac.Trace(normal_arrivals(5000)[:100], epoch=np.arange(100))
    with pytest.raises(ac.TraceError, match="no level is known"):
        ac.calibration(restarts, ac.PhiNormal(window=5), skip=0)
