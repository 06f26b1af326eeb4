"""A load balancer that ejects: against replay, a slow router, and what a detection time must cost."""

import json
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

import accrual as ac
from accrual.isolation import balance, heartbeats
from accrual.isolation.balancer import _after, _pauses, _route, suspicions

FIXED = ac.FixedTimeout(period=0.1)
QUIET = {"pauses": 0.0, "delay": 0.0}


@pytest.mark.parametrize(
    ("detector", "threshold"), [(FIXED, 1.2), (ac.PhiNormal(window=20), 2), (ac.PhiExponential(window=20), 0.6)]
)
def test_suspicions_are_the_mistakes_of_a_replay(detector, threshold):
    random = np.random.default_rng(5)
    arrivals = np.sort(np.arange(300) * 0.1 + random.exponential(0.03, 300))
    found = suspicions(detector, threshold, arrivals, until=float(arrivals[-1]))
    trace = np.rint(arrivals * 1e9).astype(np.int64)
    expected = ac.replay(trace, detector).mistakes(threshold)
    pairs = [(start / 1e9, end / 1e9) for start, end in zip(expected.start, expected.end, strict=True)]
    assert len(found) > 5
    np.testing.assert_allclose(found, pairs)


def test_a_suspicion_that_lasts_ends_with_the_run():
    assert suspicions(FIXED, 2, np.array([0.0, 0.1]), until=5.0) == [(pytest.approx(0.3), 5.0)]
    assert suspicions(FIXED, 2, np.array([]), until=5.0) == []


@given(st.lists(st.tuples(st.floats(0, 100), st.floats(0.01, 20)), max_size=8), st.floats(0, 100))
def test_pauses_that_meet_are_one(pauses, at):
    class Told:  # what a generator would draw
        def poisson(self, mean):
            return len(pauses)

        def uniform(self, low, high, number):
            return np.array([begin for begin, _ in sorted(pauses)])

        def exponential(self, mean, number):
            return np.array([length for _, length in sorted(pauses)])

    begins, ends = _pauses(Told(), 1.0, 1.0, 100.0)
    assert (begins[1:] > ends[:-1]).all()
    expected = at
    for begin, length in sorted(pauses):  # pushed on, pause by pause
        if begin <= expected < begin + length:
            expected = begin + length
    assert _after(np.array([at]), begins, ends)[0] == expected


@given(
    st.lists(st.lists(st.integers(1, 19), min_size=0, max_size=4, unique=True), min_size=1, max_size=4),
    st.booleans(),
    st.integers(0, 5),
)
def test_routing_against_one_request_at_a_time(times, sticky, seed):
    servers = len(times)
    ejected = [[(float(a), float(b)) for a, b in zip(sorted(t)[::2], sorted(t)[1::2], strict=False)] for t in times]
    random = np.random.default_rng(seed)
    arrivals = np.sort(random.uniform(0, 20, 60))
    home = random.integers(servers, size=60)
    found = _route(arrivals, home if sticky else None, ejected, servers)
    turn = 0
    for at, mine, server in zip(arrivals, home, found, strict=True):
        there = [n for n in range(servers) if not any(a <= at < b for a, b in ejected[n])] or list(range(servers))
        if sticky:
            assert server == next(n for n in [*range(mine, servers), *range(mine)] if n in there)
        else:
            assert server == there[turn % len(there)]
            turn += 1


def test_a_dead_server_costs_its_share_for_the_detection_time():
    """With k periods of silence allowed: detection between k-1 and k periods after the death; no delay, no pauses."""
    failed, expected = 0, 0.0
    for seed in range(40):
        run = balance(FIXED, threshold=3, rate=2000, duration=20, fails=10.0, seed=seed, **QUIET)
        assert 0.2 <= run.detection_time <= 0.3
        assert run.wrongly == 0
        assert run.servers[0].failed == np.count_nonzero(run.failed)
        assert (run.server[run.arrivals > 10 + run.detection_time] != 0).all()
        failed += run.servers[0].failed
        expected += 2000 / 8 * run.detection_time
    assert stats.poisson.cdf(failed, expected) > 1e-3
    assert stats.poisson.sf(failed - 1, expected) > 1e-3


def test_heartbeats_under_way_put_a_death_off():
    """With delays of many periods some arrive after the death; the suspicion that lasts begins after the last one."""
    put_off = 0
    for seed in range(20):
        run = balance(FIXED, 2, rate=2000, duration=20, fails=10.0, pauses=0.0, delay=0.3, seed=seed)
        mine = run.arrivals[run.server == 0]
        after = mine[mine > 10]
        assert (after < 10 + run.detection_time).all()
        # While it is in service it gets a request each 4 ms: the last of them tells when it was ejected for good.
        assert after.max(initial=10) == pytest.approx(10 + run.detection_time, abs=0.05)
        put_off += run.servers[0].ejections > run.servers[0].wrongly + 1
    assert put_off > 3


def test_sticky_sessions_hurt_few_users_often_and_turns_hurt_many_once():
    options = {"rate": 2000, "users": 400, "duration": 20, "fails": 10.0, **QUIET}
    turns, sticky = (balance(FIXED, 30, route=route, **options) for route in ("round-robin", "sticky"))
    assert turns.detection_time == sticky.detection_time == pytest.approx(2.95, abs=0.05)
    assert sticky.users == pytest.approx(1 / 8, abs=0.06)
    assert turns.users > 3 * sticky.users
    assert sticky.failing == pytest.approx(turns.failing, rel=0.5)
    # Whose server it was: its users, and no others.
    homes = {int(user) for user in np.unique(sticky.server[sticky.failed])}
    assert homes == {0}


def test_a_server_that_nobody_ejects_fails_on():
    run = balance(FIXED, threshold=1e9, fails=30, **QUIET)
    assert run.detection_time == math.inf
    assert run.failing == pytest.approx(1 / 8, abs=0.01)
    assert json.loads(json.dumps(run.to_dict()))["detection_time"] is None


def test_it_comes_back_with_its_heartbeats():
    run = balance(FIXED, threshold=3, fails=10.0, lasts=5.0, duration=30, **QUIET)
    mine = run.arrivals[run.server == 0]
    assert np.count_nonzero((mine > 10.3) & (mine < 15)) == 0
    assert np.count_nonzero(mine > 15.1) > 150
    assert run.servers[0].wrongly == 0


def test_who_listens_too_closely_ejects_the_sound():
    hasty, patient = (balance(FIXED, threshold, pauses=0.2, seed=2) for threshold in (1.5, 12))
    assert hasty.detection_time < patient.detection_time
    assert hasty.wrongly > patient.wrongly
    assert sum(of.out for of in hasty.servers) > sum(of.out for of in patient.servers)


def test_the_same_seed_brings_the_same_world():
    one, other = balance(FIXED, 3, seed=9), balance(ac.PhiNormal(window=50), 8, seed=9)
    np.testing.assert_array_equal(one.arrivals, other.arrivals)
    again = balance(FIXED, 3, seed=9)
    assert again.to_dict() == one.to_dict()
    assert list(one.to_pandas()["server"]) == list(range(8))
    assert "wrong ejections" in repr(one)
    assert "<table>" in one._repr_html_()


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"servers": 0}, "servers must be a whole number of 1 or more, got 0"),
        ({"route": "random"}, "route must be one of round-robin, sticky, got 'random'"),
        ({"rate": -1}, "rate must be a number of requests a second above 0, got -1"),
        ({"fails": 60}, "fails must be before the end of the run at 60 s, got 60"),
        ({"pauses": -1}, "pauses must be a number of pauses a second of 0 or more, got -1"),
        ({"lasts": -1}, "lasts must be a number of seconds above 0, got -1"),
        ({"users": 0}, "users must be a whole number of 1 or more, got 0"),
        ({"threshold": math.nan}, "threshold"),
        ({"rate": 1e9}, r"requests \(rate times duration\) must be at most 10,000,000"),
        ({"period": 1e-9}, r"heartbeats \(servers times duration over period\) must be at most 10,000,000"),
        ({"pauses": 1e9}, r"pauses \(of all servers\) must be at most 10,000,000"),
    ],
)
def test_bad_input(options, words):
    with pytest.raises(ValueError, match=words):
        balance(FIXED, **{"threshold": 3} | options)


def test_a_detector_must_be_one():
    with pytest.raises(TypeError):
        balance("phi", 3)


def test_mistakes_of_a_fixed_timeout_against_a_closed_form():
    """A pause is a mistake if it outlasts k periods less what was gone of the period when it began."""
    k, period, rate, mean, hours = 5.0, 0.1, 0.01, 0.3, 20
    gone = np.linspace(0, period, 2001)
    share = np.trapezoid(np.exp(-(k * period - gone) / mean), gone) / period
    expected = 3600 * hours * rate * share
    found = sum(
        ac.qos(heartbeats(3600, pauses=rate, delay=0.0, seed=seed), ac.FixedTimeout(period=period), k).mistakes
        for seed in range(hours)
    )
    assert found == pytest.approx(expected, abs=3.3 * math.sqrt(expected))


def test_heartbeats_without_trouble_are_a_schedule():
    arrivals = heartbeats(10.0, period=0.5, pauses=0.0, delay=0.0, seed=3)
    assert len(arrivals) == 20
    assert (np.diff(arrivals) == 500_000_000).all()
    assert 0 <= arrivals[0] < 500_000_000
    later = heartbeats(10.0, period=0.5, pauses=0.0, delay=0.01, seed=3)
    assert (later >= arrivals).all()


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"duration": 0}, "duration must be a number of seconds above 0, got 0"),
        ({"period": -1}, "period must be a number of seconds above 0, got -1"),
        ({"delay": math.nan}, "delay must be a number of seconds of 0 or more, got nan"),
        ({"pauses": -0.1}, "pauses must be a number of pauses a second of 0 or more, got -0.1"),
        ({"pause": 0}, "pause must be a number of seconds above 0, got 0"),
        ({"period": 1e-9}, r"heartbeats \(duration over period\) must be at most 10,000,000"),
        ({"pauses": 1e9}, "pauses must be at most 10,000,000"),
    ],
)
def test_heartbeats_that_cannot_be(options, words):
    with pytest.raises(ValueError, match=words):
        heartbeats(**{"duration": 60} | options)
