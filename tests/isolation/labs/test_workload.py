"""Customers, levels and trials: what all comparisons of levels are made of."""

import math
import socket
import sys
import tempfile
from types import SimpleNamespace

import numpy as np
import pytest

from accrual.isolation import SCENARIOS
from accrual.isolation.labs import service
from accrual.isolation.labs import trials as labs_trials
from accrual.isolation.labs.customers import Counts, Customers, Request, count
from accrual.isolation.labs.levels import Level, ProcessLevel, ThreadLevel
from accrual.isolation.labs.load import Load
from accrual.isolation.labs.trials import HURT, Trial, cost, middle, trial, trials
from accrual.lab import LabError, Scene
from accrual.lab.scene import free_port

SERVICES = ["order", "payment", "delivery"]


@pytest.fixture
def scene(monkeypatch):
    """A lab's folder, and this process in it as a lab's is."""
    with tempfile.TemporaryDirectory() as folder:  # not pytest's: the path of a socket must be short
        monkeypatch.chdir(folder)
        yield Scene(folder)
        monkeypatch.undo()


# ---- the load -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("wrong", "says"),
    [
        ({"rate": -1.0}, "rate must be from 1 to 2000, got -1.0"),
        ({"rate": 0.0}, "rate must be from 1"),
        ({"rate": math.nan}, "rate must be from 1"),
        ({"rate": math.inf}, "rate must be from 1"),
        ({"workers": 0}, "workers must be from 3, one a service, to 256, got 0"),
        ({"workers": 2}, "workers must be from 3"),
        ({"workers": 257}, "to 256, got 257"),
        ({"seconds": 0.0}, "seconds must be from 0.1"),
        ({"before": -2.0}, "before must be from 0.1"),
        ({"deadline": 0.0}, "deadline must be from 0.01"),
        ({"headroom": 8}, "headroom must be 0 or from 16 to 1024, got 8"),
        ({"headroom": -64}, "headroom must be 0"),
        ({"scenario": "bazaar"}, "scenario must be one of shop, tickets, got 'bazaar'"),
        ({"struck": "search"}, "struck must be one of order, payment, delivery, got 'search'"),
    ],
)
def test_a_wrong_load_is_refused(wrong, says):
    with pytest.raises(ValueError, match=says):
        Load(**wrong)


@pytest.mark.parametrize("scenario", SCENARIOS)
def test_customers_come_as_a_poisson_stream(scenario):
    """Counts of a Poisson stream have their mean as variance; shares are binomial: within 4 deviations, seeds fixed."""
    names = list(SCENARIOS[scenario])
    streams = [
        Load(scenario=scenario, struck="payment", rate=100, seconds=9.5, seed=seed).arrivals() for seed in range(50)
    ]
    counts = np.array([len(stream) for stream in streams])
    mean = 100 * 10.0
    assert abs(counts.mean() - mean) < 4 * math.sqrt(mean / 50)
    assert 0.5 < counts.var(ddof=1) / mean < 1.7  # chi-squared, 49 degrees: 4 deviations are 0.8
    for name in names:
        share = SCENARIOS[scenario][name].share
        got = sum(name == one for stream in streams for _, one in stream)
        assert abs(got - share * counts.sum()) < 4 * math.sqrt(counts.sum() * share * (1 - share))
    times = [at for at, _ in streams[0]]
    assert times == sorted(times)
    assert times[0] > 0
    assert times[-1] < 10
    assert streams[0] == Load(scenario=scenario, struck="payment", rate=100, seconds=9.5, seed=0).arrivals()


# ---- counting -------------------------------------------------------------------------------------------------------


def test_counts_against_numpy():
    took = np.random.default_rng(7).exponential(0.01, 250)
    requests = [Request(0.0, "order", outcome="ok", took=float(one)) for one in took]
    found = count(requests)
    assert found.p50 == pytest.approx(np.quantile(took, 0.5, method="inverted_cdf"), abs=1e-6)
    assert found.p99 == pytest.approx(np.quantile(took, 0.99, method="inverted_cdf"), abs=1e-6)
    assert (found.requests, found.ok, found.bad) == (250, 250, 0)


def test_what_got_no_good_answer_took_forever():
    outcomes = ["ok"] * 90 + ["failed"] * 5 + ["late"] * 3 + ["wrong"] * 2
    found = count([Request(0.0, "order", outcome=outcome, took=0.01) for outcome in outcomes])
    assert (found.ok, found.failed, found.late, found.wrong) == (90, 5, 3, 2)
    assert found.p50 == 0.01
    assert found.p99 is None
    assert found.bad == pytest.approx(0.1)
    assert count([]) == Counts(requests=0, ok=0, failed=0, late=0, wrong=0, p50=None, p99=None)
    assert count([]).bad == 0


def test_hurt_is_more_than_a_share():
    def after(bad):
        return Counts(requests=100, ok=100 - bad, failed=bad, late=0, wrong=0, p50=0.01, p99=None)

    some = {"order": after(0), "payment": after(100), "delivery": after(round(100 * HURT))}
    one = Trial(level="process", fault="kill", struck="payment", before=some, after=some, ends={"a": ["SIGKILL"] * 2})
    assert one.hurt == ["payment"]
    assert one.bad == pytest.approx(0.4)
    assert one.row()["ended"] == "SIGKILL (2 times)"
    assert one.row()["bad_delivery"] == 0.2


# ---- customers against a server of the test's own -------------------------------------------------------------------


def test_an_address_says_its_kind():
    assert service.family("unix:a/b.socket") == (socket.AF_UNIX, "a/b.socket")
    assert service.family("tcp:127.0.0.1:80") == (socket.AF_INET, ("127.0.0.1", 80))
    with pytest.raises(ValueError, match="address must begin with unix: or tcp:, got 'udp:x'"):
        service.family("udp:x")


def test_nobody_there():
    with Customers({"order": f"tcp:127.0.0.1:{free_port()}"}) as customers:
        with pytest.raises(LabError, match=r"order did not answer within 0.05 s when asked to ping"):
            customers.ask("order", 0.05, do="ping")
        load = Load(rate=200, before=0.1, seconds=0.1)
        only = Customers({name: f"tcp:127.0.0.1:{free_port()}" for name in SERVICES})
        with only:
            found = only.shop(load, lambda send: None, lambda: None)
    assert len(found) == len(load.arrivals())
    assert {one.outcome for one in found} == {"failed"}


# ---- trials ---------------------------------------------------------------------------------------------------------


def test_nonsense_spreads_among_threads_only(scene):
    load = Load(seconds=0.5)
    threads = trial(scene, ThreadLevel(), "corrupt", load)
    assert all(one.wrong == one.requests > 0 for one in (threads.after["order"], threads.after["delivery"]))
    apart = trial(scene, ProcessLevel(), "corrupt", load)
    assert apart.after["payment"].wrong > 0
    assert [apart.after[name].wrong for name in ("order", "delivery")] == [0, 0]
    assert apart.before["payment"].wrong == 0


def hurting(services, late):
    """A trial after which so many services were hurt, each with so many of ten requests late."""
    fine = Counts(requests=10, ok=10, failed=0, late=0, wrong=0, p50=0.01, p99=0.02)
    bad = Counts(requests=10, ok=10 - late, failed=0, late=late, wrong=0, p50=None, p99=None)
    after = {name: bad if k < services else fine for k, name in enumerate(("payment", "order", "delivery"))}
    return Trial(level="container", fault="cpu-hog", struck="payment", before=after, after=after, ends={})


@pytest.mark.parametrize(
    ("tried", "hurt", "bad", "tries"),
    [
        ([(0, 0), (1, 7), (0, 0)], 0, 0, (0, 0, 1)),
        ([(1, 4), (0, 0), (1, 7)], 1, 4, (0, 1, 1)),
        ([(1, 9), (1, 4), (1, 7)], 1, 7, (1, 1, 1)),
        ([(3, 5)], 3, 5, (3,)),
    ],
)
def test_the_middle_of_some_trials(tried, hurt, bad, tries):
    found = middle([hurting(*one) for one in tried])
    assert (len(found.hurt), round(10 * found.after["payment"].bad), found.tries) == (hurt, bad, tries)
    assert found.sure == (min(tries) == max(tries))


class Hogged(Level):
    """Nothing runs: each trial of a hog has the next outcome, and a slow level has one only."""

    name = "container"

    def __init__(self, slow):
        self.slow = slow


@pytest.mark.parametrize(("slow", "tries"), [(False, (0, 0, 1)), (True, (0,))])
def test_a_hog_is_tried_more_than_once_where_that_is_quick(monkeypatch, slow, tries):
    outcomes = iter([(0, 0), (1, 7), (0, 0)])
    monkeypatch.setattr(labs_trials, "trial", lambda *_: hurting(*next(outcomes)))
    told = []
    scene = SimpleNamespace(tell=lambda who, what: told.append((who, what)))
    [found] = trials(scene, Hogged(slow), ["cpu-hog"], Load())
    assert found.tries == tries
    assert told == [
        ("container", "cpu-hog in payment hurt nobody" + ("" if slow else "; services hurt in 3 tries: 0, 0, 1"))
    ]


class ByLoopback(ProcessLevel):
    """As containers and machines are reached."""

    def addresses(self, name, services):
        found = {one: f"tcp:127.0.0.1:{free_port()}" for one in services}
        return found, found, found


def test_services_can_be_reached_by_tcp(scene):
    found = trial(scene, ByLoopback(), "segfault", Load(seconds=0.5))
    assert found.hurt == ["payment"]
    assert list(found.ends.values()) == [["SIGSEGV"]]
    measured = cost(scene, ByLoopback(), Load(), starts=1, pings=100)
    assert 0 < measured.round_trip <= measured.round_trip_p99
    assert measured.start > 0
    assert measured.memory is None or measured.memory > 1e6  # a Python


def test_a_pool_of_threads_costs_less_than_a_process(scene):
    pool, process = (cost(scene, level, Load(), starts=1, pings=100) for level in (ThreadLevel(), ProcessLevel()))
    assert pool.start < process.start  # a millisecond against the start of a Python
    if process.memory is not None:
        assert pool.memory < process.memory


class Stillborn(Level):
    name = "process"

    def start(self, scene, unit):
        return scene.spawn([sys.executable, "-c", "raise SystemExit('no such luck')"], unit.name)


def test_a_unit_that_does_not_come_up_says_why(scene):
    with pytest.raises(LabError, match=r"did not come up: .*exit status 1; no such luck"):
        trial(scene, Stillborn(), "kill", Load())


def test_an_unknown_fault_is_refused(scene):
    with pytest.raises(ValueError, match=r"fault must be one of exception, .*, got 'meteor'"):
        trial(scene, ProcessLevel(), "meteor", Load())


def test_a_cpu_hog_ends_nothing(scene):
    """How much slower the others get depends on the machine; that they get answers, and no errors, does not."""
    found = trial(scene, ProcessLevel(), "cpu-hog", Load(seconds=0.3))
    assert [one.failed + one.wrong for one in found.after.values()] == [0, 0, 0]
    assert found.ends == {}
