"""One peer: what a service calls, and what a network or a clock can do to it."""

import copy
import dataclasses
import itertools
import json
import math
import pickle
import statistics
import sys
import threading
from random import Random

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

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


# ---- states ---------------------------------------------------------------------------------------------------------

UNKNOWN, TRUSTED, SUSPECTED = ac.State


def fixed(threshold=3, **arguments):
    """A period of 1 ms on a clock moved by hand; the clock."""
    clock = ac.ManualClock()
    return ac.Monitor(ac.FixedTimeout(period=0.001), threshold=threshold, clock=clock, **arguments), clock


def test_unknown_trusted_suspected():
    m, clock = fixed()
    assert m.state() is UNKNOWN
    m.heartbeat()
    assert m.state() is TRUSTED
    clock.set(3 * MS - 1)
    assert m.state() is TRUSTED
    clock.set(3 * MS)
    assert m.state() is SUSPECTED
    m.heartbeat()
    assert m.state() is TRUSTED


def test_a_peer_that_never_spoke_can_be_expected():
    m = monitor()
    m.expect(by=5 * MS)
    assert (m.deadline(), m.deadline(threshold=99)) == (5 * MS, 5 * MS)
    assert [m.state(now=5 * MS - 1), m.state(now=5 * MS)] == [UNKNOWN, SUSPECTED]
    assert [m.suspected(now=5 * MS - 1), m.suspected(now=5 * MS), m.suspected(5 * MS, 99)] == [False, True, True]
    assert math.isnan(m.level(now=9 * MS))
    for now in (6 * MS, 7 * MS):  # two heartbeats, one interval: still no level
        m.heartbeat(now=now)
        assert m.suspected(now=now)
    m.heartbeat(now=8 * MS)
    assert m.state(now=8 * MS) is TRUSTED
    m.expect(by=1)  # the level speaks for itself
    assert not m.suspected(now=8 * MS)
    m.heartbeat(now=9 * MS, epoch=1)
    m.heartbeat(now=9 * MS, epoch=2)
    assert m.state(now=10**15) is UNKNOWN  # and what was expected before is forgotten
    m.expect(by=10**15)
    m.reset()
    assert m.state(now=10**15) is UNKNOWN


def test_unknown_after_expects_by_itself():
    m = ac.Monitor(ac.PhiNormal(window=3), threshold=1, unknown_after=0.5)
    assert m.deadline() is None  # nothing was heard that could be followed
    m.heartbeat(now=0)
    assert m.deadline() == 500 * MS
    m.heartbeat(now=100 * MS)
    assert m.deadline() == 600 * MS
    m.heartbeat(now=90 * MS)  # a clock step learns nothing
    assert m.deadline() == 590 * MS
    m.heartbeat(now=200 * MS)
    assert m.deadline() < 590 * MS
    m.heartbeat(now=300 * MS, epoch=1)
    m.heartbeat(now=400 * MS, epoch=2)
    assert (m.deadline(), m.state(now=900 * MS)) == (900 * MS, SUSPECTED)


def test_stable_after_delays_only_the_return_to_trust():
    m, _ = fixed(stable_after=0.010)
    m.heartbeat(now=0)
    m.heartbeat(now=5 * MS)  # 2 ms late; nobody had asked meanwhile
    assert (m.suspected(now=5 * MS), m.deadline()) == (False, 8 * MS)
    for now in range(7 * MS, 15 * MS, 2 * MS):
        m.heartbeat(now=now)
        assert m.state(now=now) is SUSPECTED
    assert [m.state(now=15 * MS - 1), m.state(now=15 * MS)] == [SUSPECTED, TRUSTED]
    m.heartbeat(now=20 * MS)  # 4 ms late: it begins anew
    m.heartbeat(now=21 * MS)
    m.heartbeat(now=25 * MS)
    m.heartbeat(now=27 * MS)
    assert m.state(now=29 * MS) is SUSPECTED
    year = 365 * 24 * 3600 * 10**9
    m.heartbeat(now=-year)
    assert [m.state(now=-year), m.state(now=-year + 2 * MS)] == [SUSPECTED] * 2
    for now in range(2 * MS, 12 * MS, 2 * MS):
        m.heartbeat(now=now - year)
    assert m.state(now=10 * MS - year) is TRUSTED  # not held for a year


# ---- transitions ----------------------------------------------------------------------------------------------------


def recorded(changes):
    return [(change.old, change.new, change.at) for change in changes]


def test_transitions_are_told_with_the_instant_at_which_they_came_to_be():
    changes = []
    m, clock = fixed(on_change=changes.append)
    m.heartbeat()
    clock.set(10 * MS)
    m.heartbeat()
    m.state(now=10 * MS)
    assert recorded(changes) == [
        (UNKNOWN, TRUSTED, 0),
        (TRUSTED, SUSPECTED, 3 * MS),
        (SUSPECTED, TRUSTED, 10 * MS),
    ]
    assert [change.level for change in changes] == [0.0, 3.0, 0.0]
    assert {(change.monitor, change.name) for change in changes} == {(m, None)}


def test_changes_by_hand_count_from_when_they_are_noticed():
    changes = []
    m, clock = fixed(on_change=changes.append)
    m.heartbeat()
    clock.set(2 * MS)
    m.state()
    m.threshold = 1
    assert len(changes) == 1
    clock.set(5 * MS // 2)
    assert m.state() is SUSPECTED
    m.threshold = 9
    m.state()
    m.reset()
    m.state()
    m.expect(by=clock() + MS)
    clock.advance(1)
    m.state()
    m.heartbeat()
    at = 5 * MS // 2
    assert recorded(changes)[1:] == [
        (TRUSTED, SUSPECTED, at),
        (SUSPECTED, TRUSTED, at),
        (TRUSTED, UNKNOWN, at),
        (UNKNOWN, SUSPECTED, at + MS),
        (SUSPECTED, TRUSTED, clock()),
    ]


def test_a_question_about_the_past_notices_nothing():
    changes = []
    m, _ = fixed(on_change=changes.append)
    m.heartbeat(now=0)
    assert [m.state(now=4 * MS), m.state(now=MS)] == [SUSPECTED, TRUSTED]
    assert len(changes) == 2
    m.heartbeat(now=2 * MS)  # a heartbeat is news whenever it was
    assert recorded(changes)[2:] == [(SUSPECTED, TRUSTED, 2 * MS)]


@st.composite
def lives(draw):
    """Heartbeats (ns apart, with an epoch) of a peer with a period of 4 ns, and the instants at which someone asks."""
    beats, now, epoch = [], 0, 0
    for step, restart in draw(st.lists(st.tuples(st.integers(0, 25), st.integers(0, 9)), min_size=1, max_size=25)):
        now += step
        epoch += restart == 0
        beats.append((now, epoch))
    return beats, draw(st.sets(st.integers(0, now + 60), max_size=20)) | {now + 60}


detectors = st.sampled_from(
    [
        ac.FixedTimeout(period=4e-9),
        ac.PhiNormal(window=3),
        ac.PhiNormal(window=9, pause=2e-9),
        ac.PhiLogistic(window=4, first_interval=4e-9, learn_below=2),
        ac.PhiExponential(window=3, max_interval=9e-9, first_interval=4e-9, prior_weight=2),
        ac.PhiStudent(window=5),
        ac.Empirical(window=4, stretch=1.5),
        ac.Chen(period=4e-9, window=3),
        ac.Chen(window=4),
        ac.TwoWindow(period=4e-9, short=2, long=5),
        ac.Bertier(period=4e-9, window=3),
        ac.ExpectedArrival(period=4e-9),
        ac.ExpectedArrival(scale=0.02),
    ]
)


@given(lives(), detectors, st.sampled_from([0.0, 1.0, 2.5]), st.integers(0, 30), st.integers(0, 30) | st.none())
def test_what_is_told_does_not_depend_on_when_one_asks(life, detector, threshold, stable, patience):
    """Against a model that looks at every nanosecond and remembers only raw suspicions."""
    beats, asked = life
    changes, m = [], None

    def new(on_change=None, stable_after=0.0):
        patient = None if patience is None else patience * 1e-9
        return ac.Monitor(detector, threshold, lambda: 0, stable_after, patient, on_change)

    m, raw = new(changes.append, stable * 1e-9), new()
    expected, state, held_until = [], UNKNOWN, -1
    for now in range(max(asked) + 1):
        asking = [("beat", *beat) for beat in beats if beat[0] == now] + [("ask",)] * (now in asked)
        # Silence up to now, then what happens now.
        for event in [("silence",), *asking]:
            if event[0] == "beat":
                late = raw.suspected(now=now)
                raw.heartbeat(now=now, epoch=event[2])
                m.heartbeat(now=now, epoch=event[2])
                held_until = now + stable if late else held_until
            elif event[0] == "ask":
                m.state(now=now)
            unknown = math.isnan(raw.level(now=now))
            held_until = -1 if unknown else held_until
            if raw.suspected(now=now) or (not unknown and now < held_until):
                after = SUSPECTED
            else:
                after = UNKNOWN if unknown else TRUSTED
            if after is not state:
                expected.append((state, after, now))
                state = after
    assert recorded(changes) == expected


@given(lives(), detectors)
def test_what_is_told_is_what_a_replay_finds(life, detector):
    trace = ac.Trace(np.array([now for now, _ in life[0]]))
    changes = []
    m = ac.Monitor(detector, 2.5, clock=lambda: 0, on_change=changes.append)
    for now in trace.arrivals:
        m.heartbeat(now=now)
    mistakes = ac.replay(trace, detector).mistakes(2.5)
    starts = [change.at for change in changes if change.new is SUSPECTED]
    ends = [change.at for change in changes if change.old is SUSPECTED]
    lasting = [(a, b) for a, b in itertools.zip_longest(starts, ends, fillvalue=trace.arrivals[-1]) if b > a]
    assert lasting == [(a, b) for a, b in zip(mistakes.start.tolist(), mistakes.end.tolist(), strict=True) if b > a]


def test_a_callback_that_raises_is_logged_and_the_next_is_told(caplog):
    told = []

    def on_change(change):
        told.append(change.new)
        raise RuntimeError("no network, no pager")

    m, clock = fixed(on_change=on_change)
    assert m.heartbeat()
    clock.advance(1)
    assert m.state() is SUSPECTED
    assert told == [TRUSTED, SUSPECTED]
    assert [(record.name, record.levelname) for record in caplog.records] == [("accrual", "ERROR")] * 2
    assert "no pager" in caplog.text


def test_a_callback_may_use_the_monitor():
    told = []

    def on_change(change):
        told.append(change.new)
        if change.new is SUSPECTED:
            m.heartbeat()
            assert m.state() is TRUSTED
            assert told[-1] is SUSPECTED  # one at a time: what this caused comes after it

    m, clock = fixed(on_change=on_change)
    m.heartbeat()
    clock.advance(1)
    m.state()
    assert told == [TRUSTED, SUSPECTED, TRUSTED]


def test_eight_threads_on_one_monitor():
    changes = []
    ticks = itertools.count()
    m = ac.Monitor(
        ac.PhiNormal(window=50),
        threshold=2,
        clock=lambda: next(ticks) * 1000,
        stable_after=3e-5,
        unknown_after=1e-4,
        on_change=changes.append,
    )
    started = threading.Barrier(8)
    accepted = [0] * 8
    failures = []

    def work(k):
        random = Random(k)
        try:
            started.wait()
            for i in range(1500):
                accepted[k] += m.heartbeat(sequence=random.randrange(10**6) if i % 3 else None, epoch=i // 1400)
                m.state(), m.level(), m.deadline(), m.stats(), m.samples
                if i % 50 == k:
                    m.threshold = random.choice([0.5, 2, 8])
                    ac.Monitor.restore(m.snapshot())  # consistent at any moment
                if i % 500 == k:
                    m.detector = ac.PhiNormal(window=random.randrange(2, 90))
                    m.reset()
                    m.expect(by=m.clock() + 10)
        except Exception as error:
            failures.append(error)

    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    try:
        threads = [threading.Thread(target=work, args=(k,)) for k in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    finally:
        sys.setswitchinterval(interval)
    assert failures == []
    assert m.accepted == sum(accepted)
    assert m.accepted + m.ignored == 8 * 1500
    m.state()
    assert [change.old for change in changes] == [UNKNOWN, *(change.new for change in changes[:-1])]
    assert all(change.old is not change.new for change in changes)


# ---- the manual clock -----------------------------------------------------------------------------------------------


def test_a_clock_moved_by_hand():
    clock = ac.ManualClock(5)
    assert clock() == 5
    assert clock.advance(1.5) == 1_500_000_005
    assert clock.advance(ns=-10) == 1_499_999_995
    assert clock.advance(-1, ns=5) == 500_000_000 == clock()
    assert clock.set(np.int64(-7)) == -7
    assert (repr(clock), pickle.loads(pickle.dumps(clock))()) == ("ManualClock(-7)", -7)
    for wrong in (math.nan, math.inf):
        with pytest.raises(ValueError, match="seconds must be finite"):
            clock.advance(wrong)
    with pytest.raises(TypeError, match=r"now must be a whole number, got 1\.5"):
        clock.set(1.5)
    with pytest.raises(ValueError, match=r"now must lie within 2\*\*62 ns"):
        clock.advance(1e30)
    assert clock() == -7


# ---- statistics, another detector -----------------------------------------------------------------------------------


def test_statistics():
    m = monitor()
    assert (m.stats().n, m.stats().last) == (0, None)
    assert math.isnan(m.stats().mean)
    assert math.isnan(m.stats().deviation)
    for i, now in enumerate((0, 1 * MS, 3 * MS, 6 * MS, 10 * MS)):
        m.heartbeat(now=now, sequence=i)
    m.heartbeat(now=10 * MS, sequence=2)
    stats = m.stats()
    assert (stats.n, stats.mean, stats.last, stats.accepted, stats.ignored) == (3, 0.003, 10 * MS, 5, 1)
    assert stats.deviation == pytest.approx(statistics.pstdev([0.002, 0.003, 0.004]), rel=1e-15)
    with pytest.raises(dataclasses.FrozenInstanceError):
        stats.n = 4
    m, _ = fixed()
    m.heartbeat(now=7)
    assert (m.stats().n, m.stats().last) == (0, 7)


def test_another_detector_learns_what_the_window_holds():
    arrivals = np.cumsum([0, 10, 12, 9, 14, 8, 11])
    m = ac.Monitor(ac.PhiNormal(window=5), threshold=1)
    for now in arrivals:
        m.heartbeat(now=now)
    for window in (3, 20, 4):
        m.detector = ac.PhiNormal(window=window)
        assert m.detector.window == window
        assert (m.samples, m.threshold) == (min(3, window), 1.0)
        fresh = ac.Monitor(ac.PhiNormal(window=3), threshold=1)
        for now in arrivals:
            fresh.heartbeat(now=now)
        assert (m.level(now=80), m.deadline()) == (fresh.level(now=80), fresh.deadline())
    m.detector = ac.FixedTimeout(period=1e-9)
    assert m.deadline() == m.last + 1
    with pytest.raises(TypeError, match="detector must be one of accrual's"):
        m.detector = "phi"
    assert m.deadline() == m.last + 1


def test_another_detector_begins_with_its_first_interval_where_the_window_holds_none():
    logistic = ac.PhiLogistic(window=10, first_interval=1)
    m, fresh = ac.Monitor(ac.FixedTimeout(period=1), threshold=1), ac.Monitor(logistic, threshold=1)
    m.heartbeat(now=0)
    fresh.heartbeat(now=0)
    m.detector = logistic
    assert (m.samples, m.deadline()) == (2, fresh.deadline())
    narrow = ac.Monitor(ac.PhiExponential(window=1, first_interval=1), threshold=1)  # a ring of one interval
    narrow.heartbeat(now=0)
    narrow.detector = logistic
    narrow.heartbeat(now=5, epoch=1)
    narrow.heartbeat(now=0, epoch=2)
    assert (narrow.samples, narrow.deadline()) == (2, fresh.deadline())
    assert ac.Monitor.restore(m.snapshot()).deadline() == ac.Monitor.restore(narrow.snapshot()).deadline()


def test_another_detector_takes_over_the_schedule():
    """Intervals and numbers go along; where there were no numbers, they are guessed from the intervals."""
    m = ac.Monitor(ac.Chen(period=1e-8, window=9), threshold=1e-8)
    numbered = [(0, 0), (11, 1), (19, 2), (41, 4), (50, 5)]
    for now, sequence in numbered:
        m.heartbeat(now=now, sequence=sequence)
    for detector in (ac.Chen(window=5), ac.TwoWindow(period=1e-8, short=1, long=3), ac.Bertier(period=1e-8, window=5)):
        m.detector = detector
        fresh = ac.Monitor(detector, threshold=1e-8)
        for now, sequence in numbered[-m.samples - 1 :]:
            fresh.heartbeat(now=now, sequence=sequence)
        assert m.deadline() == fresh.deadline()
    m.heartbeat(now=60)
    m.detector = ac.Bertier(period=1e-8, window=9)  # 6 was counted along, and 7 is the next
    m.heartbeat(now=70, sequence=7)
    assert m.snapshot()["schedule"]["steps"][-2:] == [1, 1]
    m = ac.Monitor(ac.Chen(period=1e-8, window=9), threshold=1e-8)
    for now, sequence in numbered:
        m.heartbeat(now=now, sequence=sequence)
    m.detector = ac.PhiNormal(window=9)
    assert m.snapshot()["intervals"] == [11, 8, 22, 9][-m.samples :]
    m.detector = ac.Chen(period=1e-8, window=9)
    assert m.snapshot()["schedule"]["steps"] == [1, 1, 2, 1][-m.samples :]


def test_numbers_that_fail_to_come_are_counted_along():
    """Two heartbeats without a number between 1 and 5: they were 2 and 3 or 4, and 5 is 5 all the same."""
    m = ac.Monitor(ac.Chen(period=1e-8, window=9), threshold=0)
    for now, sequence in ((0, 0), (10, 1), (20, None), (40, None), (50, 5), (60, 6)):
        m.heartbeat(now=now, sequence=sequence)
    assert m.snapshot()["schedule"]["steps"] == [1, 1, 2, 1, 1]
    assert m.deadline() == 70


def test_numbers_are_counted_along_through_a_silence_of_104_days():
    """The heartbeat that ends it came without one: the next schedule begins there, and its numbers go on."""
    m = ac.Monitor(ac.Chen(period=1, window=9), threshold=0)
    for second, sequence in ((0, 0), (1, 1), (200 * 86400, None), (200 * 86400 + 1, 200 * 86400 + 1)):
        m.heartbeat(now=second * 10**9, sequence=sequence)
    assert (m.unlearned, m.snapshot()["schedule"]["steps"]) == (1, [1])
    assert m.deadline() == m.last + 10**9


@pytest.mark.parametrize(
    "detector",
    [ac.ExpectedArrival(period=6000), ac.Bertier(period=6000), ac.Bertier(period=9e6, window=1, gamma=1)],
    ids=str,
)
def test_a_number_may_jump_as_far_as_it_is_believed_and_the_state_is_kept_all_the_same(detector):
    """What the jump leaves behind, centuries of error, is what heartbeats can leave: it goes through every file."""
    m = ac.Monitor(detector, threshold=0)
    far = detector.compiled.parameters["window"] + 1
    for i in range(20):
        m.heartbeat(now=i * 10**9, sequence=i * (2**33 // far))
    assert m.unlearned == 0
    assert ac.Monitor.restore(json.loads(json.dumps(m.snapshot()))).snapshot() == m.snapshot()


def test_what_is_expected_beyond_208_days_is_expected_then():
    m = ac.Monitor(ac.Chen(period=9e6, window=9), threshold=0)
    m.heartbeat(now=0, sequence=0)
    m.heartbeat(now=1, sequence=10**6)
    assert m.deadline() == m.last + 2**54
    m = ac.Monitor(ac.ExpectedArrival(period=9e6, scale=1000), threshold=1)
    m.heartbeat(now=0)
    assert m.level(now=9 * 10**15 + 2**54) == 1


def test_a_schedule_that_has_known_thousands_of_heartbeats_is_kept():
    m = ac.Monitor(ac.ExpectedArrival(), threshold=0)
    for i in range(2500):
        m.heartbeat(now=i * 10**8 + i % 7)
    assert ac.Monitor.restore(m.snapshot()).snapshot() == m.snapshot()
    assert m.samples == 1000


def test_statistics_of_centuries():
    """A clock that goes back again and again lets a window of expected arrivals hold more than 64 bits of them."""
    m = ac.Monitor(ac.Chen(period=1, window=2000), threshold=0)
    for i in range(1100):
        m.heartbeat(now=0, sequence=2 * i)
        m.heartbeat(now=2**53 - 1, sequence=2 * i + 1)
    assert (m.stats().n, m.clock_steps) == (1100, 1099)
    assert math.isnan(m.stats().mean)
    assert math.isnan(m.stats().deviation)


def test_an_interval_that_takes_longer_than_there_is_to_outlive_is_never_outlived():
    m = ac.Monitor(ac.Empirical(window=3, stretch=1000), threshold=1)
    bank = ac.Bank(m.detector, peers=1, threshold=1)
    for now in (0, 5, 10**16):  # 116 days, times 1000
        m.heartbeat(now=now)
        bank.heartbeat(0, now=now)
    assert m.deadline() is None
    assert m.deadline(threshold=0.5) == 10**16 + 5000
    assert bank.deadlines.tolist() == [ac.NEVER]
    assert ac.replay([0, 5, 10**16], m.detector).deadlines(1).tolist() == [ac.NEVER, 5005, ac.NEVER]


def test_every_order_statistic_of_a_window_in_any_order():
    for intervals in itertools.product([3, 7, 7 * 2**40, 1], repeat=4):
        m = ac.Monitor(ac.Empirical(window=4), threshold=1)
        for now in (0, *itertools.accumulate(intervals)):
            m.heartbeat(now=now)
        assert [m.deadline(threshold=k / 4) - m.last for k in (1, 2, 3, 4)] == sorted(intervals)


def test_a_schedule_goes_on_up_to_a_jump_of_2_33_by_the_window():
    for jump, unlearned in ((2**33 // 9, 0), (2**33 // 9 + 1, 1)):
        m = ac.Monitor(ac.Chen(period=1e-8, window=9), threshold=0)
        m.heartbeat(now=0, sequence=0)
        m.heartbeat(now=10, sequence=jump)
        assert m.unlearned == unlearned


def test_a_number_from_elsewhere_begins_another_schedule():
    """A jump of the number, or a silence of 104 days, says nothing about the period: known is one heartbeat."""
    for now, sequence in ((20, 2**62), (2**53 + 10, 2)):
        m = ac.Monitor(ac.Chen(period=1e-8, window=9), threshold=0)
        m.heartbeat(now=0, sequence=0)
        m.heartbeat(now=10, sequence=1)
        m.heartbeat(now=now, sequence=sequence)
        assert (m.unlearned, m.samples, m.deadline()) == (1, 0, now + 10)
        m.heartbeat(now=now + 10, sequence=sequence + 1)
        assert m.deadline() == now + 20


def test_students_threshold_moves_with_the_number_of_intervals():
    """The lateness that belongs to it depends on n: on the way up, after a restart, and at a threshold of its own."""
    m = ac.Monitor(ac.PhiStudent(window=4), threshold=2)
    beats = [(0, 0), (10, 0), (25, 0), (31, 0), (44, 0), (52, 0), (60, 1), (71, 1), (80, 1), (94, 1)]
    for now, epoch in beats:
        m.heartbeat(now=now, epoch=epoch)
        if m.deadline() is not None:
            for threshold in (None, 1.0, 3.0):
                by, least = m.deadline(threshold), 2.0 if threshold is None else threshold
                assert m.level(now=by) >= least > m.level(now=by - 1)
                assert m.suspected(now=by, threshold=threshold)
                assert not m.suspected(now=by - 1, threshold=threshold)
            assert m.state(now=m.deadline()) is SUSPECTED


# ---- snapshots ------------------------------------------------------------------------------------------------------

settings = st.fixed_dictionaries(
    {
        "threshold": st.sampled_from([0.5, 3.0, 8.0, math.inf]),
        "stable_after": st.sampled_from([0.0, 1 / 3e7, 5e-9]),
        "unknown_after": st.sampled_from([None, 0.0, 2e-8]),
    }
)
events = st.lists(
    st.tuples(st.integers(-3, 40), st.integers(0, 50) | st.none(), st.sampled_from([None, 0, 0, 0, 1])), max_size=30
)


def feed(m, events, now=0):
    """Heartbeats and questions; everything that can be seen meanwhile."""
    seen = []
    for step, sequence, epoch in events:
        now += step
        seen.append((m.state(now=now), repr(m.level(now=now)), m.suspected(now=now), m.deadline(), m.deadline(1.5)))
        seen.append((m.heartbeat(now=now, sequence=sequence, epoch=epoch), m.state(now=now), m.stats()))
    return repr(seen), now


@given(
    detectors | st.just(ac.PhiNormal(window=90)) | st.just(ac.PhiExponential(window=1, first_interval=1e-9)),
    settings,
    events,
    events,
)
def test_a_restored_monitor_goes_on_with_equal_bits(detector, settings, before, after):
    changes, later = [], []
    m = ac.Monitor(detector, **settings, on_change=changes.append)
    m.expect(by=30)
    _, now = feed(m, before)
    del changes[:]
    text = json.dumps(m.snapshot(), allow_nan=False)
    again = ac.Monitor.restore(json.loads(text), on_change=later.append)
    assert json.dumps(again.snapshot(), allow_nan=False) == text
    assert (again.detector, again.threshold, again.on_change) == (detector, m.threshold, later.append)
    assert feed(again, after, now) == feed(m, after, now)
    assert again.snapshot() == m.snapshot()
    assert repr(later) == repr(changes)  # as text, in which NaN equals NaN


@pytest.mark.parametrize("twin", [copy.copy, copy.deepcopy, lambda m: pickle.loads(pickle.dumps(m))])
def test_pickle_and_copy(twin):
    m = ac.Monitor(ac.PhiNormal(window=3), 2.0, ac.ManualClock(), 0.5, 1.5, on_change=repr)
    for now in (0, 10, 22, 33):
        m.heartbeat(now=now)
    again = twin(m)
    assert again is not m
    assert again.snapshot() == m.snapshot()
    assert (again.on_change, again.clock()) == (repr, 0)
    assert (again.clock is m.clock) == (twin is copy.copy)
    again.heartbeat(now=50)
    assert (m.accepted, again.accepted) == (4, 5)


def test_pickle_says_what_it_cannot_carry():
    with pytest.raises((pickle.PicklingError, AttributeError), match="lambda"):
        pickle.dumps(ac.Monitor(ac.PhiNormal(), clock=lambda: 0))


def used(detector=None):
    m = ac.Monitor(detector or ac.PhiNormal(window=3), 2.0, stable_after=0.5, unknown_after=1.5)
    for i, now in enumerate((0, 10, 22, 33)):
        m.heartbeat(now=now, sequence=i, epoch=5)
    return m.snapshot()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"version": 2}, "version 1, got 'accrual.Monitor', version 2"),
        ({"format": "accrual.Bank"}, "must be of accrual.Monitor, version 1, got 'accrual.Bank'"),
        ({"detector": "phi-cauchy"}, "does not know 'phi-cauchy'"),
        ({"detector": ["phi-normal"]}, "wrong value"),
        ({"detector": "fixed-timeout", "parameters": {"period": 1.0}}, "inconsistent in intervals"),
        ({"parameters": {"window": 3}}, "inconsistent in parameters"),
        ({"parameters": {"window": 2, "min_samples": 2, "min_deviation": 0.0, "pause": 0.0}}, "in intervals"),
        ({"parameters": {"window": 10**12}}, "window must be a whole number"),
        ({"threshold": math.nan}, "threshold must be a number, got nan"),
        ({"threshold": None}, "wrong value"),
        ({"threshold": 10**400}, "wrong value"),
        ({"stable_after": -1.0}, "stable_after must be 0 to"),
        ({"unknown_after": "1"}, "unknown_after must be 0 to"),
        ({"last": 2**62}, r"last must lie within 2\*\*62 ns"),
        ({"last": 1.5}, "last must be a whole number"),
        ({"last": None}, "inconsistent in intervals"),
        ({"sequence": 2**63}, "sequence must fit into 64 bits"),
        ({"epoch": "a"}, "epoch must be a whole number"),
        ({"intervals": [1, 2, 3, 4]}, "inconsistent in intervals"),
        ({"intervals": [1, -2]}, "intervals must be 0 to"),
        ({"intervals": [2**62 - 1, 5]}, "inconsistent in intervals"),
        ({"intervals": [1, None]}, "intervals must be a whole number"),
        ({"intervals": None}, "wrong value"),
        ({"intervals": "123"}, "intervals must be a whole number"),
        ({"expected": 5}, "inconsistent in expected"),
        ({"held_until": 2**64}, "held_until must fit into 64 bits"),
        ({"seen": 3}, "seen must be a state's number"),
        ({"seen": -(2**63)}, "seen must be a state's number"),
        ({"noticed": True}, "noticed must be a whole number"),
        ({"counters": {"accepted": 1}}, "lacks or does not know 'ignored'"),
        ({"counters": []}, "wrong value"),
        ({"surprise": 1}, "inconsistent in surprise"),
        ({"schedule": {"n": 3, "ahead": 0, "steps": [1, 1, 1], "values": []}}, "inconsistent in schedule"),
    ],
)
def test_wrong_snapshots(change, message):
    with pytest.raises(ValueError, match=message):
        ac.Monitor.restore({**used(), **change})


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (None, "schedule is missing"),
        ([], "wrong value"),
        ({"steps": [1, 1]}, "not as many steps as there are intervals"),
        ({"steps": [1, 0, 1]}, "inconsistent in schedule"),
        ({"steps": [1, 2**40, 1]}, "inconsistent in"),
        ({"ahead": -1}, "ahead must be 0 to"),
        ({"n": 4}, "inconsistent in schedule"),
        ({"values": [1.0]}, "wrong value"),
        ({"values": [math.nan, 0.0]}, "schedule must hold finite numbers of ns"),
        ({"values": [0.0, -1.0]}, "schedule must hold finite numbers of ns"),
        ({"values": None}, "wrong value"),
    ],
)
def test_wrong_schedules_in_snapshots(change, message):
    snapshot = used(ac.Bertier(period=1e-8, window=9))
    snapshot["schedule"] = {**snapshot["schedule"], **change} if isinstance(change, dict) else change
    with pytest.raises(ValueError, match=message):
        ac.Monitor.restore(snapshot)


def test_truncated_snapshots():
    for key in used():
        snapshot = used()
        del snapshot[key]
        with pytest.raises(ValueError, match=r"snapshot (lacks|must be of)"):
            ac.Monitor.restore(snapshot)
    for key in ("accepted", "ignored", "clock_steps", "restarts", "unlearned"):
        snapshot = used()
        snapshot["counters"][key] = 2**62
        with pytest.raises(ValueError, match=f"{key} must be 0 to"):
            ac.Monitor.restore(snapshot)
    for wrong in (None, [], "{}"):
        with pytest.raises(TypeError, match="snapshot must be a mapping"):
            ac.Monitor.restore(wrong)


scalars = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.sampled_from([0, 1, -1, 2**31, 2**62 - 1, 2**63 - 1, -(2**63), 2**63, 2**64])
    | st.floats()
    | st.text(max_size=5)
)
values = scalars | st.lists(scalars, max_size=6) | st.dictionaries(st.text(max_size=5), scalars, max_size=3)


@given(st.data())
def test_hostile_snapshots_are_refused_or_harmless(data):
    snapshot = used(data.draw(detectors))
    for key in data.draw(st.sets(st.sampled_from(sorted(snapshot)), min_size=1, max_size=4)):
        inner = snapshot[key]
        if isinstance(inner, dict) and data.draw(st.booleans()):
            inner[data.draw(st.sampled_from(sorted(inner)))] = data.draw(values)
        elif isinstance(inner, list) and inner and data.draw(st.booleans()):
            inner[data.draw(st.integers(0, len(inner) - 1))] = data.draw(values)
        else:
            snapshot[key] = data.draw(values)
    try:
        m = ac.Monitor.restore(snapshot, clock=lambda: 0, on_change=repr)
    except ValueError:
        return
    feed(m, [(5, None, None), (5, 2**63 - 1, -(2**63)), (2**61, 3, 5), (-(2**61), None, None)] * 3)
    assert m.snapshot()["version"] == 1


# ---- bad input ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["sequence", "epoch"])
@pytest.mark.parametrize("wrong", [2**63, -(2**63) - 1, 2**100])
def test_numbers_beyond_64_bits_are_refused_by_name(name, wrong):
    m = monitor()
    with pytest.raises(ValueError, match=f"{name} must fit into 64 bits with its sign, got {wrong}"):
        m.heartbeat(now=0, **{name: wrong})
    assert (m.accepted, m.last) == (0, None)


@pytest.mark.parametrize("name", ["now", "sequence", "epoch"])
@pytest.mark.parametrize("wrong", [True, np.True_, 1.0, np.float64(1), math.nan, "1", b"1", [1], np.array([1, 2]), 1j])
def test_what_is_no_whole_number_is_refused_by_name(name, wrong):
    m = monitor()
    with pytest.raises(TypeError, match=f"{name} must be a whole number, got"):
        m.heartbeat(**{"now": 0, name: wrong})
    assert (m.accepted, m.last) == (0, None)


@pytest.mark.parametrize("wrong", [None, True, 1.5, "5"])
def test_expect_takes_an_instant(wrong):
    with pytest.raises(TypeError, match="by must be a whole number"):
        monitor().expect(by=wrong)
    with pytest.raises(ValueError, match=r"by must lie within 2\*\*62 ns"):
        monitor().expect(by=2**62)


@pytest.mark.parametrize("wrong", [True, np.True_, "8", None, 1j, [8]])
def test_thresholds_are_numbers(wrong):
    m = monitor()
    for attempt in (
        lambda: ac.Monitor(ac.PhiNormal(), threshold=wrong),
        lambda: setattr(m, "threshold", wrong),
        *((lambda: m.deadline(threshold=wrong), lambda: m.suspected(threshold=wrong)) if wrong is not None else ()),
    ):
        with pytest.raises(TypeError, match="threshold must be a number, got"):
            attempt()
    with pytest.raises(ValueError, match="threshold must fit into a double"):
        m.threshold = 10**400
    assert m.threshold == 1.0
    m.threshold = np.float32(0.5)
    assert (m.threshold, m.suspected(now=0, threshold=np.int64(3))) == (0.5, False)


@pytest.mark.parametrize("name", ["stable_after", "unknown_after"])
@pytest.mark.parametrize("wrong", [-1e-9, math.nan, math.inf, True, "1", 1e10])
def test_durations_are_seconds(name, wrong):
    with pytest.raises(ValueError, match=f"{name} must be 0 to 9007199 seconds, got"):
        ac.Monitor(ac.PhiNormal(), **{name: wrong})


def test_what_must_be_callable():
    with pytest.raises(TypeError, match="clock must be callable, got 5"):
        ac.Monitor(ac.PhiNormal(), clock=5)
    with pytest.raises(TypeError, match="on_change must be callable or None, got 0"):
        ac.Monitor(ac.PhiNormal(), on_change=0)
    with pytest.raises(TypeError, match="clock must be callable, got None"):
        ac.Monitor.restore(used(), clock=None)
    with pytest.raises(TypeError, match=r"now must be a whole number, got 1\.5"):
        ac.Monitor(ac.PhiNormal(), clock=lambda: 1.5).heartbeat()


class Meddler:
    """A whole number whose conversion sends a heartbeat of its own."""

    def __init__(self, monitor):
        self.monitor = monitor

    def __index__(self):
        self.monitor.heartbeat(now=50, sequence=1)
        return 2


class Parting(ac.FixedTimeout):
    """A detector whose last reference, when it goes, sends heartbeats."""

    def __del__(self):
        for _ in range(200):
            PARTED.heartbeat(now=PARTED.last + 1)


PARTED = ac.Monitor(ac.PhiNormal(window=300), clock=lambda: 0)
del ac.DETECTORS["parting"]


def test_a_destructor_finds_a_consistent_monitor():
    for window in (1, 300):
        for now in range(300):
            PARTED.heartbeat(now=now)
        PARTED.detector = Parting(period=1.0)
        PARTED.detector = ac.PhiNormal(window=window, min_samples=1)
        assert PARTED.samples == min(window, 200)
        assert PARTED.stats().mean == 1e-9


def test_conversions_of_arguments_come_first():
    m = monitor()
    m.heartbeat(now=0, sequence=0)
    m.heartbeat(now=60, sequence=Meddler(m))
    assert m.snapshot()["intervals"] == [50, 10]


@given(st.lists(st.tuples(st.integers(-(2**61), 2**61), *[st.none() | st.integers(-(2**63), 2**63 - 1)] * 2)))
def test_a_network_can_deliver_anything(deliveries):
    m = ac.Monitor(ac.PhiNormal(window=3), stable_after=1.0, unknown_after=1.0, on_change=repr)
    for now, sequence, epoch in deliveries:
        m.heartbeat(now=now, sequence=sequence, epoch=epoch)
        m.state(now=now), m.level(now=now), m.deadline()
    assert m.accepted + m.ignored == len(deliveries)


def test_a_sender_that_restarts_with_sequence_0():
    m = monitor()
    for i in range(4):
        m.heartbeat(now=i * MS, sequence=1000 + i)
    assert not m.heartbeat(now=4 * MS, sequence=0)  # without an epoch it cannot be told from a late one
    m.reset()
    assert m.heartbeat(now=5 * MS, sequence=0)
