"""Erlang's formulas and pools of a plan, against the stationary law of a chain, golden figures and simulated queues."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from accrual.isolation.model import serve
from accrual.isolation.queueing import divide, erlang_b, erlang_c, plan_pools, queue, waiting_longer, workers_for

SHOP = {"order": (40, 0.05), "payment": (40, 0.05), "delivery": (40, 0.05)}


def stationary(workers, places, rate, latency):
    """Of the chain that counts requests in the pool: its generator's null vector."""
    states = workers + places + 1
    rates = np.zeros((states, states))
    for n in range(states):
        if n + 1 < states:
            rates[n, n + 1] = rate
        if n:
            rates[n, n - 1] = min(n, workers) / latency
    balance = (rates - np.diag(rates.sum(axis=1))).T
    balance[-1] = 1.0
    return np.linalg.solve(balance, np.eye(states)[-1])


@pytest.mark.parametrize(
    ("workers", "load", "share"),
    [(10, 6, 0.0431418), (10, 8, 0.1216611), (20, 12, 0.0097956), (5, 3, 0.1100543), (10, 30, 0.6813359)],
)
def test_erlang_b_as_tables_have_it(workers, load, share):
    assert erlang_b(workers, load) == pytest.approx(share, rel=1e-5)


def test_erlang_b_of_a_pool_that_is_large_enough():
    assert erlang_b(10, 1.2) == pytest.approx(5.139e-7, rel=1e-3)


@pytest.mark.parametrize(("workers", "load", "share"), [(10, 6, 0.1012993), (10, 8, 0.4091802), (20, 16, 0.2560778)])
def test_erlang_c_as_tables_have_it(workers, load, share):
    assert erlang_c(workers, load) == pytest.approx(share, rel=1e-5)


@pytest.mark.parametrize(("load", "places", "share"), [(8, 5, 0.0300380), (8, 10, 0.0091072), (12, 5, 0.2033)])
def test_a_queue_with_an_end_as_tables_have_it(load, places, share):
    assert queue(10, places, rate=load, latency=1.0).refused == pytest.approx(share, rel=3e-4)


@given(st.integers(1, 200), st.floats(1e-3, 500))
def test_erlang_b_is_a_truncated_poisson_law(workers, load):
    # P(N = c | N <= c) for a Poisson N of that mean
    expected = math.exp(stats.poisson.logpmf(workers, load) - stats.poisson.logcdf(workers, load))
    assert erlang_b(workers, load) == pytest.approx(expected, rel=1e-8, abs=1e-290)


@pytest.mark.parametrize("workers", [1, 2, 7])
@pytest.mark.parametrize("places", [0, 1, 6])
@pytest.mark.parametrize("load", [0.3, 2.0, 9.0])
def test_a_queue_against_its_chain(workers, places, load):
    rate, latency = 40.0, load / 40.0
    chance = stationary(workers, places, rate, latency)
    n = np.arange(len(chance))
    found = queue(workers, places, rate, latency)
    let_in = 1 - chance[-1]
    assert found.refused == pytest.approx(chance[-1])
    assert found.waiting == pytest.approx(chance[workers:-1].sum() / let_in, rel=1e-9, abs=1e-12)
    assert found.length == pytest.approx(np.maximum(n - workers, 0) @ chance, rel=1e-9, abs=1e-12)
    assert found.wait == pytest.approx(np.maximum(n - workers, 0) @ chance / (rate * let_in), rel=1e-9, abs=1e-12)
    assert found.utilisation == pytest.approx(rate * let_in * latency / workers)  # what goes in comes out


def test_a_queue_without_end_is_the_limit_of_long_ones():
    endless, long = queue(4, None, 40, 0.08), queue(4, 400, 40, 0.08)
    for name in ("refused", "waiting", "wait", "length", "utilisation"):
        assert getattr(endless, name) == pytest.approx(getattr(long, name), rel=1e-9, abs=1e-12)


def test_a_large_pool_fits_into_floats():
    found = queue(3000, 50, rate=2950, latency=1.0)
    assert found.refused < erlang_b(3000, 2950)
    assert queue(3000, 0, 2950, 1.0).refused == pytest.approx(erlang_b(3000, 2950))


@given(st.floats(1e-3, 300), st.floats(1e-6, 0.9))
def test_the_fewest_workers(load, reject):
    workers = workers_for(load, reject)
    assert erlang_b(workers, load) <= reject
    assert workers == 1 or erlang_b(workers - 1, load) > reject


@given(st.integers(3, 60), st.lists(st.floats(1e-3, 50), min_size=1, max_size=3))
def test_workers_are_divided_without_rest(workers, loads):
    sizes = divide(workers, {str(n): load for n, load in enumerate(loads)})
    assert sum(sizes.values()) == workers
    assert all(size >= 1 for size in sizes.values())
    spare = workers - len(loads)
    for n, load in enumerate(loads):
        assert abs(sizes[str(n)] - 1 - spare * load / sum(loads)) < 1


# ---- against queues that are played through ----


def replications(workers, places, rate, latency, law, runs=30, requests=8000):
    """Of each run: the share refused, the mean wait of those let in, the share of these that wait longer than 20 ms."""
    found = []
    for seed in range(runs):
        random = np.random.default_rng(seed)
        arrivals = np.cumsum(random.exponential(1 / rate, requests))
        begun, _ = serve(arrivals, latency * law(random, requests), workers, places)
        settled = slice(requests // 4, None)
        wait = (begun - arrivals)[settled]
        let_in = wait[~np.isnan(wait)]
        found.append((np.isnan(wait).mean(), let_in.mean(), (let_in > 0.02).mean()))
    return np.array(found)


def covers(sample, truth):
    """Whether the 99.9 % interval of a mean, by Student, holds the truth."""
    middle, error = sample.mean(), stats.sem(sample)
    reach = stats.t.ppf(0.9995, len(sample) - 1) * error
    assert error < 0.05 * truth, "too few runs to say anything"
    return abs(middle - truth) <= reach


def exponential(random, number):
    return random.standard_exponential(number)


def test_played_through_without_a_queue_it_is_erlang_b_whatever_the_law():
    laws = {
        "exponential": exponential,
        "fixed": lambda random, number: np.ones(number),
        "two kinds": lambda random, number: np.where(random.random(number) < 0.1, 5.5, 0.5),
    }
    for name, law in laws.items():
        refused = replications(10, 0, rate=120, latency=8 / 120, law=law)[:, 0]
        assert covers(refused, erlang_b(10, 8)), name


def test_played_through_with_an_endless_queue_it_is_erlang_c():
    _, wait, longer = replications(4, None, rate=40, latency=0.075, law=exponential).T
    assert covers(wait, queue(4, None, 40, 0.075).wait)
    assert covers(longer, waiting_longer(4, 3.0, 0.075, 0.02))


def test_played_through_with_a_short_queue_it_is_m_m_c_k():
    refused, wait, _ = replications(4, 3, rate=40, latency=0.1, law=exponential).T
    closed = queue(4, 3, 40, 0.1)
    assert covers(refused, closed.refused)
    assert covers(wait, closed.wait)


def played(arrivals, work, workers, places):
    """The slow twin of `serve`: events in turn, and a list of those who wait."""
    begun, ended = [math.nan] * len(arrivals), [math.nan] * len(arrivals)
    waiting, working = [], []
    events = list(enumerate(arrivals))
    while events or working:
        # What ends at the instant of an arrival makes room for it.
        if working and (not events or min(working)[0] <= events[0][1]):
            now, _ = done = min(working)
            working.remove(done)
            if waiting:
                k = waiting.pop(0)
                begun[k], ended[k] = now, now + work[k]
                working.append((ended[k], k))
            continue
        k, now = events.pop(0)
        if len(working) < workers:
            begun[k], ended[k] = now, now + work[k]
            working.append((ended[k], k))
        elif places is None or len(waiting) < places:
            waiting.append(k)
    return begun, ended


@given(
    st.lists(st.tuples(st.integers(0, 20), st.integers(1, 30)), max_size=40),
    st.integers(1, 4),
    st.none() | st.integers(0, 3),
)
def test_serve_against_its_slow_twin(requests, workers, places):
    arrivals = np.cumsum([gap for gap, _ in requests]).astype(float)
    work = np.array([work for _, work in requests], dtype=float)
    begun, ended = serve(arrivals, work, workers, places)
    expected = played(arrivals.tolist(), work.tolist(), workers, places)
    np.testing.assert_array_equal([begun, ended], expected)


# ---- plans ----


def test_the_price_of_a_bulkhead():
    """Erlang's own economy of scale: one pool of 20, two of 10, four of 5, for a load of 12."""
    for parts, share in ((1, 0.0098), (2, 0.0431), (4, 0.110)):
        plan = plan_pools({str(n): (12 / parts, 1.0) for n in range(parts)}, workers=20)
        assert plan.missed == pytest.approx(share, rel=5e-3)
        assert plan.shared.missed == pytest.approx(0.0098, rel=5e-3)
    assert plan.price == 0


def test_a_plan_keeps_its_promise_and_no_worker_too_many():
    plan = plan_pools(SHOP, reject=0.01)
    for pool in (plan.shared, *plan.bulkheads):
        assert pool.missed <= 0.01 < erlang_b(pool.workers - 1, pool.load)
    assert plan.price == sum(pool.workers for pool in plan.bulkheads) - plan.shared.workers > 0


@pytest.mark.parametrize("wait", [0, 0.001, 0.05, 0.5])
@pytest.mark.parametrize("reject", [0.3, 0.01, 1e-4])
def test_a_plan_with_a_queue(wait, reject):
    plan = plan_pools(SHOP, reject=reject, wait=wait)
    for pool in (plan.shared, *plan.bulkheads):
        assert pool.missed <= reject
        assert pool.missed == pytest.approx(waiting_longer(pool.workers, pool.load, 0.05, wait))
        fewer = pool.workers - 1
        assert fewer <= pool.load or waiting_longer(fewer, pool.load, 0.05, wait) > reject


def test_a_hang_stays_in_its_bulkhead():
    plan = plan_pools({"sound": (30, 0.04), "hung": (30, 0.04)}, workers=20, hang="hung", timeout=1.0)
    sound, hung = plan.bulkheads
    assert sound.stuck == sound.missed == pytest.approx(5.139e-7, rel=1e-3)
    assert hung.stuck == pytest.approx(0.6813359)  # 30 calls a second of a second on ten workers
    assert plan.shared.stuck == pytest.approx(erlang_b(20, 31.2))
    queued = plan_pools({"sound": (30, 0.04), "hung": (30, 0.04)}, workers=20, wait=0.1, hang="hung")
    assert [pool.stuck for pool in (queued.shared, queued.bulkheads[1])] == [1.0, 1.0]
    assert queued.bulkheads[0].stuck == queued.bulkheads[0].missed < 1e-6


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: erlang_b(0, 1), "workers must be a whole number from 1 to 1,000,000, got 0"),
        (lambda: erlang_b(2.5, 1), "workers must be a whole number from 1 to 1,000,000, got 2.5"),
        (lambda: erlang_b(2, -1), "load must be a number of busy workers of 0 or more, got -1"),
        (lambda: erlang_c(2, 2), "load must be below the 2 workers of a pool with a queue, got 2 busy workers"),
        (lambda: queue(1, None, 10, 0.2), "load must be below the 1 worker of a pool with a queue, got 2 busy"),
        (lambda: queue(1, -1, 10, 0.2), "places must be a whole number from 0 to 1,000,000, got -1"),
        (lambda: queue(1, 0, -10, 0.2), "rate must be a number of requests a second above 0, got -10"),
        (lambda: workers_for(2, 1.5), r"reject must be a share above 0 and below 1 \(1 is 100 %\), got 1.5"),
        (lambda: workers_for(2e6, 0.01), "load must be at most what 1,000,000 workers can do, got 2e"),
        (lambda: plan_pools({}), "services must have one at least, got none"),
        (lambda: plan_pools({"a": (-1, 1)}), "rate of a must be a number of requests a second above 0, got -1"),
        (lambda: plan_pools({"a": (1, math.nan)}), "latency of a must be a number of seconds above 0, got nan"),
        (lambda: plan_pools(SHOP, workers=0), "workers must be a whole number from 3 to 1,000,000, got 0"),
        (
            lambda: plan_pools(SHOP, workers=7, wait=1),
            "load of payment must be below its 2 workers, got 2 busy workers",
        ),
        (lambda: plan_pools(SHOP, hang="search"), "hang must be one of order, payment, delivery, got 'search'"),
        (lambda: plan_pools(SHOP, reject=0), "reject must be a share above 0"),
        (lambda: plan_pools(SHOP, timeout=0), "timeout must be a number of seconds above 0, got 0"),
    ],
)
def test_bad_input(call, words):
    with pytest.raises(ValueError, match=words):
        call()
