"""The shop with a fault in it: against the thread lab's measured figures, closed forms, and the placement's rules."""

import json
import math

import numpy as np
import pytest
from scipy import stats

from accrual.isolation import COSTS, FAULTS, LEVELS, RULES, SHOP, TICKETS, Service, erlang_b, place, queue, simulate
from accrual.isolation.model import GIL_WAIT, OUTCOMES

LASTING = [name for name, rule in RULES.items() if not rule.once]


def failing(run):
    return [of.failing for of in run.services]


def mean_and_reach(sample, chance=0.999):
    """A mean, and how far its interval by Student reaches."""
    sample = np.asarray(sample)
    return sample.mean(), stats.t.ppf(0.5 + chance / 2, len(sample) - 1) * stats.sem(sample)


# ---- what the labs measured ----


def test_a_hang_in_a_shared_pool_as_the_thread_lab_measured_it():
    """120 requests a second, 12 workers, payment hangs 5 s, deadline 0.5 s: order 0.85, delivery 0.86 with one pool."""
    shared = [simulate(fault="hang", shared_pool=True, lasts=2, duration=30, seed=seed) for seed in range(60)]
    for number, measured in ((0, 0.85), (2, 0.86)):
        middle, reach = mean_and_reach([failing(run)[number] for run in shared])
        assert reach < 0.04
        # It takes 12 hung calls at 40 a second to keep all workers, 0.3 of 2 s; from then on all are late.
        assert middle == pytest.approx(1 - 12 / 40 / 2, abs=reach + 0.01)
        single = np.std([failing(run)[number] for run in shared])
        assert abs(measured - middle) < 2 * single  # the lab ran once
    assert all(failing(run)[1] > 0.99 for run in shared)


def test_a_hang_stays_in_its_bulkhead():
    for places in (None, 0):
        run = simulate(fault="hang", lasts=2, places=places, duration=30)
        assert run.workers == {"order": 4, "payment": 4, "delivery": 4}
        assert failing(run)[1] > 0.9
        # Without a queue a bulkhead refuses what Erlang says, 0.07 % at this load; the lab saw none of some 200.
        assert run.collateral < 0.01
        assert simulate(fault="hang", lasts=2, places=places, duration=30).blast == run.blast


def test_a_call_that_is_given_up_in_time_has_failed_all_the_same():
    """A timeout frees the worker; it makes no answer of none."""
    patient, hasty = (simulate(fault="hang", shared_pool=True, hang=hang) for hang in (5.0, 0.1))
    assert failing(hasty) == [0, 1, 0]
    assert hasty.services[1].wrong == 1
    assert failing(patient)[0] > 0.9 > hasty.utilisation


def test_pools_by_hand():
    """As many workers for each as somebody gave it; the same as by load, where that gives the same."""
    even = dict.fromkeys(SHOP, 4)
    one, other = (simulate(fault="hang", workers=workers) for workers in (12, even))
    assert one.workers == other.workers == even
    assert one.outcome.tolist() == other.outcome.tolist()
    uneven = simulate(fault="slow", workers={"order": 2, "payment": 12, "delivery": 2})
    assert uneven.workers["payment"] == 12
    # 40 a second for 0.2 s keep 8 of 12 busy, and cannot be served by 4.
    assert failing(uneven)[1] < 0.3 < 0.9 < failing(simulate(fault="slow", workers=even))[1]


def test_fast_reject_answers_at_once():
    slow = simulate(fault="hang", lasts=10)
    fast = simulate(fault="hang", lasts=10, places=0)
    payment = [run.services[1] for run in (slow, fast)]
    assert payment[0].late > 0.9
    assert payment[0].refused == 0
    assert payment[1].refused > 0.9
    # And the bulkhead has no backlog to work off.
    assert payment[1].recovery < payment[0].recovery
    assert payment[0].recovery == pytest.approx(10, abs=6)


# Fault in payment -> shares of order, payment, delivery calls that fail, as threads and as processes.
MEASURED = {
    "segfault": ((1, 1, 1), (0, 1, 0)),
    "kill": ((1, 1, 1), (0, 1, 0)),
    "hold-gil": ((1, 1, 1), (0, 1, 0)),
    "cpu-hog": ((0, 0, 0), (0, 0, 0)),
}


@pytest.mark.parametrize("fault", MEASURED)
def test_faults_as_the_thread_lab_measured_them(fault):
    for level, shares in zip(("thread", "process"), MEASURED[fault], strict=True):
        run = simulate(fault=fault, level=level, lasts=10)
        assert failing(run) == pytest.approx(shares, abs=0.06)  # the last half second of a freeze is in time


def test_one_exception_fails_one_request():
    """An exception now and then fails just those requests that meet it."""
    run = simulate(fault="exception", hits=0.1, lasts=40)
    payment = run.services[1]
    assert stats.binomtest(round(payment.wrong * payment.requests), payment.requests, 0.1).pvalue > 1e-3
    assert failing(run)[0] == failing(run)[2] == 0


def test_who_computes_on_slows_its_process():
    alone = simulate(law="fixed")
    thread = simulate(law="fixed", fault="cpu-hog", level="thread")
    process = simulate(law="fixed", fault="cpu-hog", level="process", crowd=2)
    capped = simulate(law="fixed", fault="cpu-hog", level="container")
    assert thread.services[0].p50 == pytest.approx(alone.services[0].p50 + GIL_WAIT)
    assert process.services[0].p50 == pytest.approx(2 * alone.services[0].p50)
    assert capped.services[0].p50 == pytest.approx(alone.services[0].p50)
    assert capped.services[1].p50 == pytest.approx(2 * alone.services[1].p50)  # itself it slows all the same


# ---- the rules, played through ----


@pytest.mark.parametrize("level", LEVELS)
@pytest.mark.parametrize("fault", [name for name in RULES if name not in ("cpu-hog", "slow")])
def test_who_fails_is_who_the_fault_reaches(fault, level):
    run = simulate(fault=fault, level=level, rate=300, duration=50, lasts=10, workers=30)
    reached = {i.service for i in place(level, list(SHOP)).reach(fault, "payment")}
    assert {of.service for of in run.services if of.failing > 0.5} == reached
    assert {of.service for of in run.services if of.failing > 0} == reached


def test_the_same_seed_brings_the_same_requests():
    one, other = simulate(seed=3), simulate(seed=3, fault="kill", level="host", workers=3, places=1)
    for name in ("arrivals", "service", "user"):
        np.testing.assert_array_equal(getattr(one, name), getattr(other, name))
    before = other.arrivals < 19
    good = (one.outcome == 0) & (other.outcome == 0) & before
    assert good.any()
    assert not np.array_equal(one.arrivals[:10], simulate(seed=4).arrivals[:10])
    again = simulate(seed=3, fault="kill", level="host", workers=3, places=1)
    np.testing.assert_array_equal(again.latency, other.latency)


def test_a_process_that_ended_is_started_again():
    run = simulate(fault="segfault", level="process", detection=2.0, start=0.5, strikes=10)
    assert run.window == (10, 12.5)
    payment = run.services[1]
    assert payment.recovery == pytest.approx(2.5, abs=0.2)
    assert run.services[0].recovery == 0
    assert run.every.recovery == payment.recovery
    mine = (run.service == 1) & (run.arrivals >= 10)
    down = mine & (run.arrivals < 12.5)
    assert (run.outcome[down] == OUTCOMES.index("refused")).all()
    assert (run.outcome[mine & ~down] == 0).all()


@pytest.mark.parametrize(("fault", "level"), [("segfault", "process"), ("kill", "container"), ("kernel-panic", "vm")])
def test_starting_again_takes_what_starting_takes(fault, level):
    run = simulate(fault=fault, level=level, detection=1.0, strikes=5)
    assert run.window[1] - run.window[0] == pytest.approx(1.0 + COSTS[level].start)


def test_what_was_in_the_works_is_lost():
    """At a load of 0.8 a worker there are 1.6 requests in the works, and some that wait."""
    slow = {"only": Service(name="only", title="", about="", share=1.0, work=0.04)}
    lost = []
    for seed in range(200):
        run = simulate(slow, fault="kill", workers=2, rate=40, strikes=10, duration=20, deadline=9, seed=seed)
        lost.append(np.count_nonzero(run.outcome == OUTCOMES.index("lost")))
        caught = run.arrivals[run.outcome == OUTCOMES.index("lost")]
        assert (caught < 10).all()
        assert np.isnan(run.latency[run.outcome == OUTCOMES.index("lost")]).all()
    closed = queue(2, None, 40, 0.04)
    middle, reach = mean_and_reach(lost)
    assert middle == pytest.approx(closed.length + 1.6, abs=reach)


def test_a_freeze_puts_all_off_to_its_end():
    run = simulate(fault="hold-gil", level="thread", law="fixed", strikes=10, lasts=5, deadline=0.5, workers=900)
    frozen = (run.arrivals >= 10) & (run.arrivals < 15)
    np.testing.assert_allclose(run.arrivals[frozen] + run.latency[frozen], 15 + 0.010)
    before = (run.arrivals > 9.99) & (run.arrivals < 10)
    np.testing.assert_allclose((run.arrivals + run.latency)[before], run.arrivals[before] + 5 + 0.010)
    late = run.latency > 0.5
    np.testing.assert_array_equal(run.outcome == OUTCOMES.index("late"), late)


def test_wrong_answers_are_in_time():
    run = simulate(fault="corrupt", level="thread")
    assert failing(run) == pytest.approx([1, 1, 1], abs=0.01)
    assert run.every.wrong == run.every.failing
    assert run.every.p50 == pytest.approx(run.every.p50_before, rel=0.1)


def test_a_copy_more_halves_what_a_kill_takes_and_nothing_of_poison():
    runs = {
        fault: simulate(fault=fault, level="host", copies=2, rate=600, workers=60, detection=10, start=0.0, strikes=10)
        for fault in ("kill", "poison")
    }
    payment = runs["kill"].services[1]
    assert stats.binomtest(round(payment.failing * payment.requests), payment.requests, 0.5).pvalue > 1e-3
    assert runs["poison"].services[1].failing == 1
    assert runs["poison"].services[0].failing == 0


# ---- against closed forms ----


@pytest.mark.parametrize("places", [None, 2, 0])
def test_a_shop_in_which_all_is_well_is_a_queue(places):
    """Refused, and the mean time to an answer, of one service of three with its bulkhead."""
    work = 0.075
    shop = {name: Service(name=name, title="", about="", share=1 / 3, work=work) for name in SHOP}
    closed = queue(4, places, 40, work)
    runs = [simulate(shop, places=places, seed=seed, deadline=100) for seed in range(30)]
    settled = [run.arrivals > 5 for run in runs]
    middle, reach = mean_and_reach(
        [run.latency[late & ~np.isnan(run.latency)].mean() for run, late in zip(runs, settled, strict=True)]
    )
    assert reach < 0.05 * middle
    assert middle == pytest.approx(closed.wait + work, abs=reach)
    refused, reach = mean_and_reach(
        [np.isnan(run.latency[late]).mean() for run, late in zip(runs, settled, strict=True)]
    )
    assert refused == pytest.approx(closed.refused, abs=reach)
    if places == 0:
        assert refused == pytest.approx(erlang_b(4, 3.0), abs=reach)
    used, reach = mean_and_reach([run.utilisation for run in runs])
    assert used == pytest.approx(closed.utilisation, abs=reach + 0.003)  # they begin empty
    assert [run.useful for run in runs] == pytest.approx([run.utilisation for run in runs])


def test_users_who_fail_are_those_who_asked():
    """Of the users who ask at all while payment fails, those who ask payment: 1 - exp of how often they do."""
    runs = [simulate(fault="exception", users=500, lasts=10, seed=seed) for seed in range(20)]
    each = 120 * 10 / 500
    expected = -math.expm1(-each / 3) / -math.expm1(-each)
    middle, reach = mean_and_reach([run.every.users for run in runs])
    assert middle == pytest.approx(expected, abs=reach + 0.002)
    assert all(run.services[1].users == 1 for run in runs)


def test_a_second_scenario():
    run = simulate("tickets", fault="segfault", level="process", service="search")
    assert [of.service for of in run.services] == list(TICKETS)
    assert failing(run) == [1, 0, 0]
    assert run.blast == pytest.approx(0.8, abs=0.1)  # most only look
    counts = np.bincount(run.service) / len(run.service)
    assert counts == pytest.approx([0.8, 0.15, 0.05], abs=0.02)
    assert run.workers == {"search": 6, "booking": 4, "payment": 2}


# ---- results ----


def test_a_run_is_a_table():
    run = simulate(fault="hang", lasts=10)
    frame = run.to_pandas()
    assert list(frame["service"]) == [*SHOP, "all"]
    plain = json.loads(json.dumps(run.to_dict()))
    assert plain["blast"] == run.blast == run.every.failing
    assert plain["services"][1]["failing"] == run.services[1].failing
    assert "arrivals" not in plain
    assert "payment" in run._repr_html_()
    assert repr(run).startswith("hang in payment at level thread, from 20 to 30 s: ")
    for of in run.services:
        assert of.failing == pytest.approx(of.late + of.refused + of.wrong + of.lost)


def test_a_timeline_adds_up():
    run = simulate(fault="segfault", level="process", strikes=10, detection=3, start=0)
    line = run.timeline(0.5)
    down = (line["time"] >= 10) & (line["time"] < 13)
    assert (line["payment"][down] == 1).all()
    assert np.nansum(line["payment"][~down]) == 0
    assert np.nansum(line["order"]) == 0
    assert len(line["time"]) == 120


def test_a_fault_that_outlasts_the_run_has_no_recovery_yet():
    run = simulate(fault="exception", strikes=50, lasts=100)
    assert run.services[1].recovery == math.inf
    assert json.loads(json.dumps(run.to_dict()))["services"][1]["recovery"] is None


def test_costs_follow_what_is_placed():
    memory = [simulate(level=level, duration=21).memory for level in LEVELS]
    assert memory == sorted(memory)
    assert simulate(level="process", duration=21).memory == pytest.approx(3 * COSTS["process"].memory + 12 * 0.1)
    assert simulate(level="thread", duration=21).memory == pytest.approx(COSTS["process"].memory + 12 * 0.1)


def test_hardly_any_requests():
    run = simulate(rate=0.001, duration=60, seed=1)
    assert len(run.arrivals) == 0
    assert math.isnan(run.blast)
    assert run.utilisation == 0
    assert len(run.timeline()["time"]) == 60


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"scenario": "bank"}, "scenario must be one of shop, tickets, got 'bank'"),
        ({"level": "planet"}, "level must be one of thread, "),
        ({"fault": "flood"}, "fault must be one of exception, "),
        ({"service": "search"}, "service must be one of order, payment, delivery, got 'search'"),
        ({"workers": 0}, "workers must be a whole number of 3 or more, got 0"),
        ({"workers": 0, "shared_pool": True}, "workers must be a whole number of 1 or more, got 0"),
        ({"workers": {"order": 4}}, "workers must have a number for each of order, payment, delivery, got order"),
        ({"workers": dict.fromkeys(SHOP, 0)}, "workers of order must be a whole number of 1 or more"),
        ({"workers": dict.fromkeys(SHOP, 4), "shared_pool": True}, "workers must be a number with a shared pool"),
        ({"places": -1}, "places must be a whole number of 0 or more, got -1"),
        ({"rate": -5}, "rate must be a number of requests a second above 0, got -5"),
        ({"rate": 1e6}, "requests \\(rate times duration\\) must be at most 10,000,000, got 6e\\+07"),
        ({"strikes": 60}, "strikes must be before the end of the run at 60 s, got 60"),
        ({"lasts": 0}, "lasts must be a number of seconds above 0, got 0"),
        ({"deadline": math.nan}, "deadline must be a number of seconds above 0, got nan"),
        ({"hits": 1.5}, r"hits must be a share from 0 to 1 \(1 is 100 %\), got 1.5"),
        ({"users": 0}, "users must be a whole number of 1 or more, got 0"),
        ({"copies": 0}, "copies must be a whole number of 1 or more, got 0"),
        ({"law": "normal"}, "law must be one of exponential, fixed, got 'normal'"),
        ({"fault": "kill", "start": -1}, "start must be a number of seconds of 0 or more, got -1"),
        ({"seed": -1}, "seed must be"),
        ({"shared_pool": True, "level": "host"}, "shared_pool must be False at level host"),
        (
            {"scenario": {"a": Service(name="a", title="", about="", share=0.5, work=1)}},
            "shares of the services must add up to 1, got 0.5",
        ),
    ],
)
def test_bad_input(options, words):
    with pytest.raises(ValueError, match=words):
        simulate(**options)


def test_the_fault_list_is_the_agreed_one():
    assert list(FAULTS) == [
        "exception", "hang", "slow", "memory-hog", "cpu-hog", "segfault", "hold-gil", "kill", "corrupt", "poison",
    ]  # fmt: skip
    assert list(LEVELS) == ["thread", "process", "container", "vm", "host", "cluster", "datacenter"]
    assert set(LASTING) >= {"exception", "hang", "slow"}
