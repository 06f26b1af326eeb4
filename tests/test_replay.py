"""Levels and replays of whole traces: the arrays that go in, and those that come out."""

import json
import sys

import numpy as np
import pytest

import accrual as ac
from accrual import NEVER

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


def test_out_must_not_be_the_arrivals_themselves():
    arrivals = ARRIVALS.astype(np.int64)
    for out in (arrivals.view(np.float64), arrivals[::-1][::-1].view(np.float64)):
        with pytest.raises(ValueError, match="out must not share memory with the arrivals"):
            ac.levels(arrivals, DETECTOR, out=out)
    assert arrivals.tolist() == ARRIVALS.tolist()


def test_threads_of_any_whole_kind():
    np.testing.assert_array_equal(ac.levels(ARRIVALS, DETECTOR, threads=np.int64(2)), EXPECTED)


def test_many_small_stretches_are_few_tasks(monkeypatch):
    """A sender that restarts all the time: handing over each stretch to a thread by itself took nine times as long."""
    n = 40_000
    trace = ac.Trace(np.arange(n) * 10, epoch=np.arange(n) // 4)
    tasks = []
    replay = sys.modules["accrual.replay"]  # the function accrual.replay hides the module
    on_threads = replay.on_threads
    monkeypatch.setattr(
        replay,
        "on_threads",
        lambda work, pieces, threads: tasks.append(len(pieces)) or on_threads(work, pieces, threads),
    )
    levels = ac.levels(trace, ac.PhiNormal(window=3, min_samples=1), threads=2)
    np.testing.assert_array_equal(levels, ac.levels(trace, ac.PhiNormal(window=3, min_samples=1)))
    assert tasks[0] <= 4


@pytest.mark.parametrize("threads", [1, 2])
def test_the_interval_that_is_refused_is_the_one_named(threads):
    """Also where it lies in the window that opens the observation or a thread's piece."""
    arrivals = np.arange(120_000)
    arrivals[59_990:] += 40 * 365 * 86_400 * 10**9
    with pytest.raises(ac.TraceError, match=r"interval 59989 .* 1.26144e\+09 s, would make"):
        ac.levels(arrivals, ac.PhiNormal(window=1000), threads=threads)
    with pytest.raises(ac.TraceError, match=r"interval 59989 .* 1.26144e\+09 s, would make"):
        ac.curve(arrivals, ac.PhiNormal(window=1000), [8], skip=60_000, threads=threads)


def test_mistakes():
    found = ac.replay(np.array([0, 10, 20, 45, 50, 60, 99]), ac.FixedTimeout(period=1e-8)).mistakes(2)
    assert (found.start.tolist(), found.end.tolist()) == ([40, 80], [45, 99])
    assert len(found) == 2
    assert found.to_dict() == {"start": [40, 80], "end": [45, 99]}
    assert found.to_pandas().end.tolist() == [45, 99]
    assert "<caption>2 mistakes</caption>" in found._repr_html_()
    assert "<tr><td>80</td><td>99</td></tr>" in found._repr_html_()


def test_a_table_of_very_many_mistakes_is_cut():
    found = ac.replay(np.arange(500) * 10, ac.FixedTimeout(period=1e-9)).mistakes(2)
    assert "499 mistakes, the first 100" in found._repr_html_()
    assert found._repr_html_().count("<tr>") == 101


def test_forms_of_a_replay():
    trace = ac.Trace([0, 10, 20, 15, 30, 25], sequence=[0, 1, 2, 1, 3, 4])
    replayed = ac.replay(trace, ac.FixedTimeout(period=1e-8))
    assert repr(replayed) == (
        "Replay(fixed-timeout:period=1e-08: 6 heartbeats, 5 accepted, 1 ignored, 1 clock steps, 0 restarts)"
    )
    assert "<th>clock steps</th><td>1</td>" in replayed._repr_html_()
    found = json.loads(json.dumps(replayed.to_dict(), allow_nan=False))
    assert (found["accepted"], found["arrivals"][3], found["levels"]) == (5, 15, [None, 1.0, 1.0, 0.0, 1.0, 0.0])


def test_a_mistake_over_a_clock_step_may_end_before_it_starts():
    """As its docstring says: a suspicion that began at 22 ns, and a restart that the clock dates 8 ns ended it."""
    trace = ac.Trace([0, 10, 22, 5, 8], epoch=[0, 0, 0, 0, 1])
    found = ac.replay(trace, ac.PhiNormal(window=3)).mistakes(0.0)
    assert (found.start.tolist(), found.end.tolist()) == ([22], [8])


def test_a_suspicion_that_never_ends_is_one_mistake():
    """At a threshold that every level reaches the peer is suspected from the first known level on, to the end."""
    found = ac.replay(ARRIVALS, DETECTOR).mistakes(0.0)
    assert (found.start.tolist(), found.end.tolist()) == ([22], [NEVER])
    assert ac.qos(ARRIVALS, DETECTOR, 0.0).mistakes == 1
