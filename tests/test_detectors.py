"""Detectors: parameters checked, names derived, the command line's spelling read back."""

import copy
import pickle

import numpy as np
import pytest

import accrual as ac
from accrual.detectors import Detector, parse_detector

EXAMPLES = {
    "fixed-timeout": ac.FixedTimeout(period=0.2),
    "phi-normal": ac.PhiNormal(window=20, min_deviation=0.01),
    "phi-logistic": ac.PhiLogistic(window=20, pause=0.1, first_interval=0.1, learn_below=8),
    "phi-student": ac.PhiStudent(window=20, pause=0.1),
    "phi-exponential": ac.PhiExponential(window=20, max_interval=10, first_interval=5, prior_weight=5),
    "empirical": ac.Empirical(window=20, stretch=1 / 0.9),
    "chen": ac.Chen(period=0.1, window=20),
    "two-window": ac.TwoWindow(period=0.1, short=2, long=20),
    "bertier": ac.Bertier(period=0.1, window=20),
    "expected-arrival": ac.ExpectedArrival(period=0.1, scale=0.02),
}


def test_every_detector_is_listed_and_has_an_example_here():
    assert set(ac.DETECTORS) == set(EXAMPLES)


@pytest.mark.parametrize("detector", EXAMPLES.values(), ids=str)
def test_every_detector(detector):
    assert ac.DETECTORS[detector.name] is type(detector)
    assert parse_detector(str(detector)) == detector
    assert pickle.loads(pickle.dumps(detector)) == copy.deepcopy(detector) == detector
    assert hash(copy.copy(detector)) == hash(detector)
    assert (np.diff(detector.thresholds) > 0).all()
    assert detector.thresholds[0] <= detector.typical_threshold < detector.thresholds[-1]
    assert "Source" in type(detector).__doc__
    assert ">>>" in type(detector).__doc__
    with pytest.raises(AttributeError):
        detector.window = 3
    with pytest.raises(TypeError):
        type(detector)(7)  # keywords only


def test_a_description_keeps_every_digit():
    for detector in (ac.FixedTimeout(period=0.1234567890123456), ac.PhiNormal(window=1234567, pause=1 / 3)):
        assert parse_detector(str(detector)) == detector


@pytest.mark.parametrize("window", [0, -1, 2**40, 2**24 + 1, 10.0, np.nan, "10", True, None, np.float64(5)])
def test_windows_that_are_none(window):
    with pytest.raises(ValueError, match=r"window must be a whole number from 1 to 16777216, got "):
        ac.PhiNormal(window=window)


@pytest.mark.parametrize("window", [np.int32(10), np.uint8(10), 10])
def test_windows_of_other_integer_types(window):
    assert ac.PhiNormal(window=window) == ac.PhiNormal(window=10)


def test_min_samples_lies_within_the_window():
    assert ac.PhiNormal(window=1, min_samples=1).memory == 1
    with pytest.raises(ValueError, match="min_samples must be 1 to 1, got 2, the default: give min_samples=1"):
        ac.PhiNormal(window=1)
    with pytest.raises(ValueError, match="min_samples must be a whole number from 1 to 3, got 4"):
        ac.PhiNormal(window=3, min_samples=4)


@pytest.mark.parametrize("name", ["min_deviation", "pause"])
@pytest.mark.parametrize("value", [-1e-9, np.nan, np.inf, 1e9, "1", True, None, 10**400])
def test_durations_that_are_none(name, value):
    with pytest.raises(ValueError, match=rf"{name} must be 0 to 9007199 seconds, got "):
        ac.PhiNormal(**{name: value})


@pytest.mark.parametrize(("cls", "name"), [(ac.PhiLogistic, "first_interval"), (ac.PhiExponential, "first_interval")])
@pytest.mark.parametrize("value", [0, 1e-10, -1, np.nan, np.inf, "1", True])
def test_first_intervals_that_are_none(cls, name, value):
    with pytest.raises(ValueError, match=rf"{name} must be None or 1e-09 to 9007199 seconds, got "):
        cls(**{name: value})


@pytest.mark.parametrize("value", [0, -1, np.nan, np.inf, "8", True, [8]])
def test_levels_to_learn_below_that_are_none(value):
    with pytest.raises(ValueError, match="learn_below must be None or above 0, and finite, got "):
        ac.PhiLogistic(learn_below=value)


def test_a_detector_that_refuses_to_learn_remembers_for_ever():
    assert ac.PhiLogistic(window=7).memory == ac.PhiExponential(window=7, max_interval=1, first_interval=1).memory == 7
    assert ac.PhiLogistic(window=7, learn_below=8).memory is None


@pytest.mark.parametrize("value", [-1e-9, np.nan, np.inf, "1", True, None])
def test_weights_that_are_none(value):
    with pytest.raises(ValueError, match=r"prior_weight must be 0 to 1e\+09, got "):
        ac.PhiExponential(prior_weight=value, first_interval=1)


def test_a_weight_needs_an_interval():
    with pytest.raises(ValueError, match="first_interval must be given for a prior_weight of 5, got None"):
        ac.PhiExponential(prior_weight=5)


@pytest.mark.parametrize("value", [-1, np.nan, 1e9, "1", True])
def test_longest_intervals_that_are_none(value):
    with pytest.raises(ValueError, match="max_interval must be None or 0 to 9007199 seconds, got "):
        ac.PhiExponential(max_interval=value)


@pytest.mark.parametrize("period", [0, -1, np.nan, 1e-10, 1e10])
def test_periods_that_are_none(period):
    with pytest.raises(ValueError, match="period must be 1e-09 to 9007199 seconds, got "):
        ac.FixedTimeout(period=period)


def test_detector_itself_is_none():
    with pytest.raises(TypeError, match="use one of fixed-timeout, phi-normal, phi-"):
        ac.levels([0, 1], Detector())
    with pytest.raises(TypeError, match=r"detector must be one of accrual's .* got 'phi'"):
        ac.levels([0, 1], "phi")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("chi", f"detector must be one of {', '.join(ac.DETECTORS)}, phi, fixed, got 'chi'"),
        ("phi:size=3", "phi-normal has the parameters window, min_samples, min_deviation, pause, not 'size'"),
        ("phi:window=ten", "phi-normal: window must be a number, got 'ten'"),
        ("phi:window=1.5", "phi-normal: window must be a number, got '1.5'"),
        ("phi:window=0", "window must be a whole number"),
        ("chen:window=1", "window must be a whole number from 2 to 65536, got 1"),
        ("fixed", "fixed-timeout needs period"),
    ],
)
def test_descriptions_that_are_wrong(text, message):
    with pytest.raises(ValueError, match=message.replace(".", r"\.")):
        parse_detector(text)


@pytest.mark.parametrize("milliseconds", [67, 134, 200, 1001])
@pytest.mark.parametrize("k", [1, 2, 3, 5])
def test_k_periods_are_k_periods_to_the_nanosecond(milliseconds, k):
    monitor = ac.Monitor(ac.FixedTimeout(period=milliseconds / 1000), threshold=k)
    monitor.heartbeat(now=0)
    assert monitor.deadline() == k * milliseconds * 1_000_000
