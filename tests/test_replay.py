"""Levels and replays of whole traces: the arrays that go in, and those that come out."""

import numpy as np
import pytest

import accrual as ac
from accrual.replay import NEVER

ARRIVALS = np.cumsum([0, 10, 12, 11, 17, 9, 30])
DETECTOR = ac.PhiNormal(window=3)
EXPECTED = ac.levels(ARRIVALS, DETECTOR)


@pytest.mark.parametrize(
    "arrivals",
    [
        ARRIVALS.tolist(),
        ARRIVALS.astype(np.int32),
        ARRIVALS.astype(np.uint64),
        ARRIVALS.astype(float),
        ARRIVALS.astype(">i8"),
        np.repeat(ARRIVALS, 2)[::2],
        ac.Trace(ARRIVALS),
    ],
    ids=["list", "int32", "uint64", "float", "big-endian", "strided", "Trace"],
)
def test_arrays_that_are_exact_are_taken(arrivals):
    np.testing.assert_array_equal(ac.levels(arrivals, DETECTOR), EXPECTED)


def test_read_only_arrays_stay_as_they_are():
    arrivals = ARRIVALS.copy()
    arrivals.setflags(write=False)
    np.testing.assert_array_equal(ac.levels(arrivals, DETECTOR), EXPECTED)
    writeable = ARRIVALS.copy()
    ac.levels(writeable, DETECTOR)
    assert writeable.flags.writeable


@pytest.mark.parametrize(
    "arrivals",
    [[0.5, 1.0], [0.0, np.nan], [0.0, 1e300], [[0, 1]], ["0"], [True, False], [None], [0, 2**63], [0, 2**62]],
    ids=str,
)
def test_arrays_that_are_not_exact_are_refused_by_name(arrivals):
    with pytest.raises(ValueError, match="arrivals"):
        ac.levels(arrivals, DETECTOR)


def test_empty_and_one_heartbeat():
    assert ac.levels([], DETECTOR).shape == (0,)
    assert np.isnan(ac.levels([5], DETECTOR)).all()
    for arrivals in ([], [5]):
        replayed = ac.replay(arrivals, DETECTOR)
        assert len(replayed.levels) == len(arrivals)
        assert replayed.deadlines(8).tolist() == [NEVER] * len(arrivals)
        assert len(replayed.mistakes(8)) == 0


def test_a_window_larger_than_the_trace():
    np.testing.assert_array_equal(
        ac.levels(ARRIVALS, ac.PhiNormal(window=10_000)), ac.levels(ARRIVALS, ac.PhiNormal(window=6))
    )


def test_out_is_used_and_checked():
    out = np.empty(len(ARRIVALS))
    assert ac.levels(ARRIVALS, DETECTOR, out=out) is out
    np.testing.assert_array_equal(out, EXPECTED)
    read_only = np.empty(len(ARRIVALS))
    read_only.setflags(write=False)
    for wrong in (np.empty(3), np.empty(7, np.float32), np.empty((7, 2))[:, 0], [0.0] * 7, read_only):
        with pytest.raises(ValueError, match="out must be a writeable, contiguous float64 array"):
            ac.levels(ARRIVALS, DETECTOR, out=wrong)


def test_mistakes():
    found = ac.replay(np.array([0, 10, 20, 45, 50, 60, 99]), ac.FixedTimeout(period=1e-8)).mistakes(2)
    assert (found.start.tolist(), found.end.tolist()) == ([40, 80], [45, 99])
    assert len(found) == 2
    assert found.to_dict() == {"start": [40, 80], "end": [45, 99]}
    assert found.to_pandas().end.tolist() == [45, 99]


def test_a_suspicion_that_never_ends_is_one_mistake():
    """At a threshold that every level reaches the peer is suspected from the first known level on, to the end."""
    found = ac.replay(ARRIVALS, DETECTOR).mistakes(0.0)
    assert (found.start.tolist(), found.end.tolist()) == ([22], [NEVER])
    assert ac.qos(ARRIVALS, DETECTOR, 0.0).mistakes == 1
