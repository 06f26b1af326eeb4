"""Where faults end: by the rules, against what was measured on threads and processes, and counted by hand."""

import itertools
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from accrual.isolation import FAULTS, LEVELS, OUTAGES, RULES, SHOP, compare_levels, k_of_n, place, series
from accrual.isolation.placement import DOMAINS

SERVICES = list(SHOP)

# Fault in payment -> services whose calls fail, in one process with three threads and in three processes, as the
# project's thread lab measured it (rc -11 for the segmentation fault, a catastrophic regex for the GIL).
MEASURED = {"segfault": (3, 1), "kill": (3, 1), "hold-gil": (3, 1)}

# The level from which on a fault no longer takes the neighbours along; what the lecture's table says.
ALONE_FROM = {
    "exception": "thread",
    "hang": "thread",
    "slow": "thread",
    "memory-hog": "container",
    "cpu-hog": "container",
    "segfault": "process",
    "hold-gil": "process",
    "kill": "process",
    "corrupt": "process",
    "poison": "process",
    "bridge": "vm",
    "kernel-panic": "vm",
    "plug": "host",
    "switch": "cluster",
    "blackout": "datacenter",
}


def taken(fault, level, **options):
    return {i.service for i in place(level, SERVICES, **options).reach(fault, "payment")}


def test_every_fault_has_a_rule_and_every_rule_a_fault():
    assert set(RULES) == set(FAULTS) | set(OUTAGES) == set(ALONE_FROM)


@pytest.mark.parametrize("fault", MEASURED)
def test_as_measured(fault):
    assert tuple(len(taken(fault, level)) for level in ("thread", "process")) == MEASURED[fault]


@pytest.mark.parametrize("level", LEVELS)
@pytest.mark.parametrize("fault", RULES)
def test_the_table_of_the_lecture(fault, level):
    levels = list(LEVELS)
    alone = levels.index(level) >= levels.index(ALONE_FROM[fault])
    assert taken(fault, level) == ({"payment"} if alone else set(SERVICES))


@pytest.mark.parametrize("fault", RULES)
def test_a_coarser_level_never_takes_more(fault):
    sizes = [len(taken(fault, level)) for level in LEVELS]
    assert sizes == sorted(sizes, reverse=True)


def test_caps_keep_hogs_in():
    for fault in ("memory-hog", "cpu-hog"):
        assert taken(fault, "process", capped=True) == {"payment"}
        assert taken(fault, "thread", capped=True) == set(SERVICES)  # the cap is round the process
        assert taken(fault, "container", capped=False) == set(SERVICES)


def test_one_pool_for_all_and_a_network_for_each():
    assert taken("hang", "thread", shared_pool=True) == set(SERVICES)
    assert taken("exception", "thread", shared_pool=True) == {"payment"}
    assert taken("bridge", "container", own_network=True) == {"payment"}


def test_copies_help_against_all_but_poison():
    placed = place("process", SERVICES, copies=3)
    assert [(i.service, i.copy) for i in placed.reach("kill", "payment", 1)] == [("payment", 1)]
    assert [(i.service, i.copy) for i in placed.reach("poison", "payment")] == [("payment", n) for n in range(3)]
    assert [(i.service, i.copy) for i in placed.reach("exception", "payment", 2)] == [("payment", 2)]
    threads = place("thread", SERVICES, copies=2)
    assert {(i.service, i.copy) for i in threads.reach("kill", "payment")} == {(name, 0) for name in SERVICES}
    assert len(threads.reach("poison", "payment")) == 6
    assert len(placed.reach("plug", "payment")) == 9


def brute_force(placed, shares):
    """Every combination of domains that work and that do not."""
    kinds = [kind for kind in DOMAINS if kind in shares]
    # A domain is named by all that it is inside of: "all" in one host is another one than "all" in the next.
    paths = {
        (kind, *(i.domains[outer] for outer in DOMAINS[DOMAINS.index(kind) :] if outer != "network"))
        for i in placed.instances
        for kind in kinds
    }
    paths = sorted(paths)
    found = dict.fromkeys([*placed.services, "all"], 0.0)
    for states in itertools.product((True, False), repeat=len(paths)):
        up = dict(zip(paths, states, strict=True))
        chance = 1.0
        for path, works in up.items():
            chance *= shares[path[0]] if works else 1 - shares[path[0]]
        serving = {
            i.service
            for i in placed.instances
            if all(
                up[(kind, *(i.domains[outer] for outer in DOMAINS[DOMAINS.index(kind) :] if outer != "network"))]
                for kind in kinds
            )
        }
        for service in serving:
            found[service] += chance
        found["all"] += chance * (serving == set(placed.services))
    return found


@pytest.mark.parametrize("copies", [1, 2])
@pytest.mark.parametrize("level", ["thread", "process", "vm", "host"])
def test_availability_against_all_combinations(level, copies):
    placed = place(level, ["order", "payment"], copies=copies)
    shares = {"process": 0.9, "vm": 0.95, "host": 0.8}
    assert placed.available(shares) == pytest.approx(brute_force(placed, shares), rel=1e-12)


@given(st.floats(0, 1), st.floats(0, 1))
def test_availability_against_the_formulas(process, host):
    """In a row, beside each other, and on a host that all share."""
    row = place("process", SERVICES).available({"process": process, "host": host})
    assert row["all"] == pytest.approx(series([process] * 3 + [host]), abs=1e-12)
    twins = place("host", ["order"], copies=3).available({"process": process, "host": host})
    assert twins["order"] == pytest.approx(k_of_n(1, 3, process * host), abs=1e-12)
    together = place("process", ["order"], copies=3).available({"process": process, "host": host})
    assert together["order"] == pytest.approx(host * k_of_n(1, 3, process), abs=1e-12)


def test_the_comparison_is_a_table():
    found = compare_levels()
    frame = found.to_pandas()
    assert list(frame["level"]) == list(LEVELS)
    assert frame["segfault"].round(6).tolist() == [1.0, *[0.333333] * 6]
    assert json.loads(json.dumps(found.to_dict()))["rows"][0]["taken"]["kill"] == 1.0
    assert "<th>datacenter</th>" in found._repr_html_()
    assert repr(found).splitlines()[1].split() == list(LEVELS)
    # Finer levels are cheaper in all that is asked of them.
    for name in ("start", "memory", "round_trip"):
        assert frame[name].is_monotonic_increasing


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: place("planet", SERVICES), "level must be one of thread, process, .*, got 'planet'"),
        (lambda: place("host", []), "services must have one at least, got none"),
        (lambda: place("host", ["a", "a"]), "services must have different names, got a, a"),
        (lambda: place("host", SERVICES, copies=0), "copies must be a whole number of 1 or more, got 0"),
        (lambda: place("host", SERVICES, shared_pool=True), "shared_pool must be False at level host"),
        (lambda: place("vm", SERVICES, own_network=True), "own_network must be False at level vm"),
        (lambda: place("vm", SERVICES).reach("flood", "order"), "fault must be one of exception, .*, got 'flood'"),
        (lambda: place("vm", SERVICES).reach("kill", "search"), "service must be one of order, .*, got 'search'"),
        (lambda: place("vm", SERVICES).reach("kill", "order", 1), "copy must be one of the copies of order, got 1"),
        (lambda: place("vm", SERVICES).available({"vm": 1.1}), "share of vm must be a share from 0 to 1"),
        (lambda: place("vm", SERVICES).available({"pool": 1}), "shares must be one of datacenter, .*, got 'pool'"),
        (lambda: compare_levels("bank"), "scenario must be one of shop, tickets, got 'bank'"),
        (lambda: compare_levels("tickets", "order"), "service must be one of search, booking, payment, got 'order'"),
    ],
)
def test_bad_input(call, words):
    with pytest.raises(ValueError, match=words):
        call()
