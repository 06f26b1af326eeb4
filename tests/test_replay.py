"""Levels and replays of whole traces: the arrays that go in, and those that come out."""

import itertools
import json
import math
import sys

import numpy as np
import oracle
import pytest
from hypothesis import given
from hypothesis import strategies as st
from strategies import DETECTORS, traces

import accrual as ac
from accrual import NEVER
from accrual.replay import full_from

ARRIVALS = np.cumsum([0, 10, 12, 11, 17, 9, 30])
DETECTOR = ac.PhiNormal(window=3)
MS = 1_000_000
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


# ---- against the oracle ----------------------------------------------------------------------------------------------

# Round numbers would let rounding decide which of two equals is larger.
steps = st.one_of(
    st.integers(5 * 10**7, 3 * 10**8), st.sampled_from([10**8 + 1, 10**8 + 3, 7 * 10**9 + 1]), st.integers(-(10**9), -1)
)


@pytest.mark.parametrize("name", DETECTORS)
@given(traces(steps, max_size=50), st.data(), st.sampled_from([-0.3, 0.17, 0.7321, 2.718]))
def test_levels_and_deadlines_are_what_the_definitions_say(name, trace, data, threshold):
    detector = data.draw(DETECTORS[name])
    # An expected arrival is rounded to half of 2^-8 ns; the error is that by the scale, which may be some us.
    fine = 4e-12 if getattr(detector, "scale", None) is None else 1e-8
    levels = [math.nan if level is None else float(level) for level in oracle.levels(trace, detector)]
    # Below z = -8, where no law promises anything, Student's level with one degree of freedom is that at -8: 0.018.
    least = 0.02 if name == "phi-student" else -math.inf
    np.testing.assert_allclose(
        np.maximum(ac.levels(trace, detector), least), np.maximum(levels, least), rtol=1e-11, atol=fine
    )
    # One in 256 expected arrivals lies so near to a whole ns that the rounding decides which is the first one after it,
    # and so it may be with 1e-13 of minutes under a curved law.
    slack = 0 if name in ("fixed-timeout", "empirical") else 1
    deadlines = [NEVER if by is None else by for by in oracle.deadlines(trace, detector, threshold)]
    np.testing.assert_allclose(
        ac.replay(trace, detector).deadlines(threshold), deadlines, rtol=1e-12 * slack, atol=slack
    )


beats = st.tuples(
    st.integers(5 * 10**7, 3 * 10**8) | st.sampled_from([0, -(10**9), 7 * 10**9 + 1, 2**53 - 1, 2**53]),
    st.sampled_from([1, 1, 1, 2, 0, 10**6, 10**10]),
    st.booleans(),
    st.sampled_from([0] * 9 + [1]),
)


@pytest.mark.parametrize("name", [name for name in DETECTORS if ac.DETECTORS[name].law == "linear"])
@given(st.lists(beats, max_size=40), st.data())
def test_numbers_that_come_and_go_are_what_the_definitions_say(name, life, data):
    """Some heartbeats carry their number and some do not; and there are jumps, silences and restarts."""
    detector = data.draw(DETECTORS[name])
    peer, monitor = oracle.fresh(detector), ac.Monitor(detector)
    now = sequence = epoch = 0
    for step, numbers, numbered, restarts in life:
        now, sequence, epoch = now + step, sequence + numbers, epoch + restarts
        expected, found = peer.level(now) if monitor.last is not None else None, monitor.level(now=now)
        # Beyond 104 days the location may be cut; 2^-8 ns is by the scale, as above.
        if expected is not None and abs(peer.location) < 2**53 and peer.scale < 2**53:
            fine = float((1e-13 * abs(peer.location) + 2**-8) / peer.scale)
            assert found == pytest.approx(float(expected), rel=1e-11, abs=1e-8 + fine)
        told = sequence if numbered else None
        assert peer.heartbeat(now, told, epoch) == monitor.heartbeat(now=now, sequence=told, epoch=epoch)
        assert peer.known == (monitor.deadline() is not None)


PLACES = [
    0,
    0,
    0,
    *(sign * place for place in (2 * MS, 2 * MS + 1, 4 * MS, 6 * MS, 300 * MS, 302 * MS) for sign in (1, -1)),
]


@pytest.mark.parametrize("agree", [1, 2, 3, 20])
@pytest.mark.parametrize("period", [1.0, None])
def test_outliers_of_every_kind_are_what_the_definitions_say(agree, period):
    """Regular heartbeats, until one is an outlier beyond 2 ms; then some that agree, or not, drain or grow."""
    rng = np.random.default_rng(agree)
    for gain, scale in itertools.product((0.0, 0.25, 1.0), (None, 0.02)):
        detector = ac.ExpectedArrival(period=period, gain=gain, agree=agree, scale=scale)
        for odd in (
            rng.choice(PLACES, 18),
            np.arange(18) * 5 * MS,
            np.arange(18)[::-1] * 30 * MS,
            rng.permutation(18) * MS,
        ):
            regular = np.zeros(int(rng.integers(1, 12)) if period is None else 110, int)
            late = np.concatenate([regular, odd, np.repeat(rng.choice(PLACES), 4), np.zeros(9, int)])
            number = np.cumsum(rng.choice([1, 1, 1, 3], len(late)))
            trace = ac.Trace(number * 10**9 + late, sequence=number)
            levels = [math.nan if level is None else float(level) for level in oracle.levels(trace, detector)]
            np.testing.assert_allclose(ac.levels(trace, detector), levels, rtol=1e-11, atol=1e-9)


@pytest.mark.parametrize(
    "seconds",
    [
        [*[1.0] * 110, *[1.05] * 12, 1.06, 1.04, *[1.05] * 12],  # given up at the twelfth outlier that grows
        [*[1.0] * 110, *[1.05] * 11, *[1.0] * 20],  # and not at the eleventh
        [*[1.0] * 340, *[1.0005, 1.0002] * 30],  # followed, a 500th at a time
        [*[1.0] * 110, *(1 + 0.01 * (-1) ** k * (2 * k + 1) for k in range(20)), *[1.0] * 9],  # kept: on both sides
        [0.0] * 40,  # never below 1 ns
    ],
    ids=["given up", "kept", "followed", "both sides", "equal instants"],
)
def test_an_estimated_period_is_what_the_definitions_say(seconds):
    trace = ac.Trace(np.cumsum(np.array([0.0, *seconds]) * 1e9).round().astype(int))
    for scale in (None, 0.0):
        detector = ac.ExpectedArrival(scale=scale)
        levels = [math.nan if level is None else float(level) for level in oracle.levels(trace, detector)]
        unit = 1e-9 if scale is None else 1.0
        np.testing.assert_allclose(ac.levels(trace, detector), levels, rtol=1e-11, atol=unit * 2**-8)


@pytest.mark.parametrize("name", DETECTORS)
@given(traces(steps, max_size=30), st.data())
def test_a_wait_is_a_deadline_that_is_not_rounded(name, trace, data):
    replayed = ac.replay(trace, data.draw(DETECTORS[name]))
    waits, timeouts = replayed.waits(0.7), replayed.deadlines(0.7)
    state, last = np.arange(len(trace)), trace.arrivals
    if replayed.chain.state is not None:
        state, last = replayed.chain.state, last[replayed.chain.latest]
    known = timeouts < NEVER
    wait = np.maximum(waits[state], 0)[known] / 256
    np.testing.assert_allclose(wait, (timeouts - last)[known], rtol=1e-12, atol=1.01)


# ---- expected arrivals -----------------------------------------------------------------------------------------------


def by_schedule(detector, *seconds, numbers=None):
    """Levels of heartbeats at these instants, numbered by whole seconds unless told."""
    arrivals = np.rint(np.array(seconds) * 1e9).astype(np.int64)
    return ac.levels(ac.Trace(arrivals, sequence=np.floor(seconds) if numbers is None else numbers), detector)


def test_a_lost_heartbeat_leaves_the_schedule_as_it_is():
    for detector in (ac.Chen(period=1, window=9), ac.Chen(window=9), ac.ExpectedArrival(), ac.TwoWindow(period=1)):
        assert by_schedule(detector, 0, 1, 2, 5, 6)[-2:].tolist() == [2.0, 0.0]


def test_a_wrong_period_is_a_bias_and_an_estimated_one_is_none():
    """theory.md 1.1, trap (i): a timer of 103.5 ms that is called 100 ms is off by e * period * (n + 1) / 2."""
    seconds = np.arange(1500) * 0.1035
    late = by_schedule(ac.Chen(period=0.1, window=1000), *seconds, numbers=np.arange(1500))[-1]
    assert late == pytest.approx(0.0035 * 1001 / 2, rel=1e-9)
    for detector in (ac.Chen(window=1000), ac.ExpectedArrival()):
        assert by_schedule(detector, *seconds, numbers=np.arange(1500))[-1] == pytest.approx(0, abs=1e-9)


def test_a_queue_after_an_outage_moves_nothing():
    """Ten heartbeats wait for each other and come at once: the eleventh is expected when it is due."""
    seconds = [*np.arange(20.0), *np.linspace(30, 30.01, 11), *np.arange(31.0, 35)]
    levels = by_schedule(ac.ExpectedArrival(period=1), *seconds, numbers=np.arange(35))
    np.testing.assert_allclose(levels[31:], 0, atol=0.35)
    chen = by_schedule(ac.Chen(period=1, window=20), *seconds, numbers=np.arange(35))
    assert chen[31] < -2  # what the queue does to a mean


def test_a_schedule_that_moves_is_followed_at_the_second_heartbeat():
    seconds = [*np.arange(20.0), *(np.arange(20, 25) + 0.4)]
    levels = by_schedule(ac.ExpectedArrival(period=1), *seconds, numbers=np.arange(25))
    assert levels[20:].round(3).tolist() == [0.4, pytest.approx(0.4, abs=0.01), 0.0, 0.0, 0.0]


@pytest.mark.parametrize(
    "detector",
    [
        *(ac.Chen(period=0.1, window=50), ac.Chen(window=50), ac.TwoWindow(period=0.1, short=3, long=50)),
        *(ac.Bertier(period=0.1, window=50), ac.ExpectedArrival(), ac.Empirical(window=50)),
    ],
    ids=str,
)
@pytest.mark.parametrize("numbered", [True, False])
def test_threads_change_nothing(detector, numbered):
    """Pieces are 50,000 heartbeats long at least; losses, duplicates, clock steps and restarts fall into each."""
    rng = np.random.default_rng(7)
    n = 160_000
    arrivals = np.cumsum(rng.gamma(9, 11e6, n).astype(np.int64))
    arrivals[rng.integers(0, n, 30)] -= 10**10
    number = np.cumsum(rng.choice([1, 1, 1, 1, 2, 0], n)) if numbered else None
    trace = ac.Trace(arrivals, sequence=number, epoch=np.arange(n) // 70_001)
    one, three = (ac.replay(trace, detector, threads=threads) for threads in (1, 3))
    np.testing.assert_array_equal(one.levels, three.levels)
    np.testing.assert_array_equal(one.deadlines(0.9), three.deadlines(0.9))
    assert ac.curve(trace, detector, [0.5, 0.9], threads=3).to_dict() == ac.curve(trace, detector, [0.5, 0.9]).to_dict()


befallen = st.integers(5 * 10**7, 3 * 10**8) | st.sampled_from([-(10**9), 0, 3 * 10**9])
of_intervals = ["phi-normal", "phi-logistic", "phi-exponential", "phi-student", "empirical"]


@given(traces(befallen), st.sampled_from(of_intervals).flatmap(DETECTORS.get))
def test_where_a_window_is_full(trace, detector):
    """As the states tell: the first heartbeat after which as many intervals are known as ever will be."""
    replayed = ac.replay(trace, detector)
    state = np.arange(len(trace)) if replayed.chain.state is None else replayed.chain.state
    known = replayed.samples[state]
    known = np.where(known < 0, -1 - known, known)
    full = np.flatnonzero(known == detector.window)
    assert replayed.chain.full_from() == (full[0] if len(full) else None)
    asked = [detector, ac.FixedTimeout(period=0.1)]
    if len(full):
        assert full_from(trace, asked) == full[0]
    else:
        with pytest.raises(ac.TraceError, match="too short"):
            full_from(trace, asked)


@given(
    traces(befallen, min_size=2),
    st.one_of(*DETECTORS.values()).filter(lambda detector: detector.memory is not None),
    st.data(),
)
def test_a_piece_that_reaches_back_knows_what_the_whole_does(trace, detector, data):
    replayed = ac.replay(trace, detector)
    accepted = np.arange(len(trace)) if replayed.chain.accepted is None else replayed.chain.accepted
    seam = int(data.draw(st.sampled_from(accepted.tolist())))
    start = replayed.chain.reach_back(seam, detector.memory)
    assert start <= seam
    np.testing.assert_array_equal(ac.levels(trace[start:], detector)[seam - start + 1 :], replayed.levels[seam + 1 :])
