"""The widgets of lesson 6 against the library by other roads, what the lesson's prose says, and bad input."""

import json
import re

import numpy as np
import pytest
from traitlets import TraitError

import accrual.isolation as iso
from accrual.lab import LabResult, recorded
from accrual.show import pools
from accrual.show.pools import Blast, Ladder, Pools, Rush, Strategies, TwoAxes

WIDGETS = [TwoAxes, Pools, Rush, Blast, Ladder, Strategies]
EVEN = dict.fromkeys(iso.SHOP, 4)


# ---- the map ----


def test_the_map_of_strategies():
    widget = TwoAxes()
    widget.placed = {str(k): f"{design.axis}:{design.level}" for k, design in enumerate(pools.DESIGNS)}
    assert repr(widget) == "TwoAxes(6 of 6 designs placed, 6 of them right)"
    widget.placed = {"0": "resource:thread", "5": "resource:datacenter"}
    assert repr(widget) == "TwoAxes(2 of 6 designs placed, 1 of them right)"
    widget.design = 99
    assert widget.design == 5
    table = {row.level: row.taken for row in iso.compare_levels().rows}
    for level in widget.levels:
        assert level["takes"] == {fault: round(3 * table[level["name"]][fault]) for fault in level["takes"]}
    for placed in ({"6": "function:thread"}, {"0": "colour:thread"}, {"x": "function:thread"}):
        with pytest.raises(TraitError, match="placed must be designs 0 to 5 on cells of the map"):
            widget.placed = placed


def test_the_lecture_has_every_design_on_its_axis():
    for design in pools.DESIGNS:
        assert design.axis == ("function" if design.level in ("thread", "process") else "resource")


# ---- pools ----


def test_one_pool_is_full_when_so_many_calls_hang():
    """By hand: with n threads and 40 hanging calls a second, orders fail from n / 40 s on, to the end."""
    for threads in (12, 24):
        sizes = dict.fromkeys(iso.SHOP, threads // 3)
        run = pools.pools(sizes, shared=True, timeout=60)
        arrivals, failed = run.arrivals, run.outcome != 0
        orders = failed & (run.service == 0) & (arrivals > pools.STRIKES)
        first = arrivals[orders][0] - pools.STRIKES
        assert abs(first - threads / 40) < 4 * np.sqrt(threads) / 40 + 0.1
        later = (run.service == 0) & (arrivals > pools.STRIKES + first) & (arrivals < pools.STRIKES + pools.LASTS)
        assert failed[later].mean() > 0.98


def test_the_widget_shows_what_the_library_says():
    widget = Pools()
    for shared, struck, threads, timeout in ((False, "order", 6, 0.2), (True, "delivery", 36, 1.0)):
        widget.shared, widget.struck, widget.timeout, widget.threads = shared, struck, timeout, threads
        run = iso.simulate(
            fault="hang",
            service=struck,
            shared_pool=shared,
            workers=threads if shared else dict.fromkeys(iso.SHOP, threads // 3),
            hang=timeout,
            duration=20,
            strikes=5,
            lasts=10,
        )
        assert widget.found["failing"] == {of.service: of.failing for of in run.services}
        assert widget.found["asked"]["struck"] == struck
        for number, name in enumerate(iso.SHOP):
            failed = (run.outcome != 0) & (run.service == number)
            counts = [
                np.histogram(run.arrivals[which], bins=40, range=(0, 20))[0]
                for which in (failed, run.service == number)
            ]
            assert widget.found["timeline"][name] == pytest.approx((counts[0] / counts[1]).tolist(), abs=1e-4)
        assert repr(widget).startswith(f"Pools({'one pool of 36' if shared else 'pools of 2, 2 and 2'}, {struck} hangs")


def test_pools_go_to_stops_and_refuse_nonsense():
    widget = Pools()
    widget.threads, widget.timeout = 100, 0.01
    assert (widget.threads, widget.timeout) == (72, 0.1)
    for name, value in (("threads", 0), ("timeout", -1.0), ("timeout", float("nan")), ("timeout", float("inf"))):
        with pytest.raises(TraitError, match=f"{name} must be more than 0, got"):
            setattr(widget, name, value)
    with pytest.raises(TraitError, match="struck must be one of order, payment, delivery, got 'search'"):
        widget.struck = "search"


def test_pools_show_a_few_controls_at_a_time():
    assert Pools().controls == ["shared", "struck"]
    assert Pools("threads", "timeout").controls == ["threads", "timeout"]
    with pytest.raises(ValueError, match="controls must be some of shared, struck, threads, timeout, got 'size'"):
        Pools("size")


def test_threads_are_divided_evenly():
    assert all(threads % len(iso.SHOP) == 0 for threads in pools.THREADS)


def test_what_the_lesson_says_of_pools():
    def order(threads, timeout):
        sizes = dict.fromkeys(iso.SHOP, threads // 3)
        return pools.pools(sizes, shared=True, timeout=timeout).services[0].failing

    assert order(12, 5) == pytest.approx(0.98, abs=0.005)
    assert order(72, 5) > 0.8  # more threads buy time: 72 / 40 = 1.8 of 10 s
    assert order(12, 0.2) == 0
    assert order(12, 0.3) > 0.5
    own = [pools.pools(EVEN, shared=False, struck=struck) for struck in iso.SHOP]
    assert [[of.failing for of in run.services] for run in own] == np.eye(3).tolist()


# ---- the rush ----


def test_what_the_lesson_says_of_the_rush():
    widget = Rush()
    lost = {
        scenario: {
            rate: tuple(kinds[kind][k]["lost"] for kind in ("shared", "own")) for k, rate in enumerate(pools.RATES)
        }
        for scenario, kinds in widget.scenarios.items()
    }
    assert lost["shop"][120] == (51, 408)
    assert lost["shop"][240] == (2240, 827)
    assert lost["tickets"][480] == (3828, 254)
    assert [rate for rate, (shared, own) in lost["shop"].items() if own < shared] == [180, 240, 360, 480, 720]
    # Bulkheads lose payments alone.
    for kind in widget.scenarios["shop"]["own"]:
        assert kind["services"]["order"] == kind["services"]["delivery"] == 0


@pytest.mark.parametrize("scenario", ["shop", "tickets"])
def test_what_is_lost_is_counted_request_by_request(scenario):
    widget = Rush()
    for kind in ("shared", "own"):
        for run, told in zip(widget.runs[scenario][kind], widget.scenarios[scenario][kind], strict=True):
            bad = (run.arrivals >= 5) & (run.arrivals < 15) & (run.outcome != 0)
            assert told["lost"] == np.count_nonzero(bad) == sum(told["services"].values())
    widget.scenario, widget.rate = scenario, 9999
    assert widget.rate == 720
    assert f"{scenario} at 720" in repr(widget)
    with pytest.raises(TraitError, match="rate must be more than 0, got 0"):
        widget.rate = 0
    with pytest.raises(TraitError, match="scenario must be one of shop, tickets, got 'bank'"):
        widget.scenario = "bank"


# ---- what a fault takes ----


@pytest.mark.parametrize("layout", pools.LAYOUTS.values(), ids=lambda layout: layout.name)
def test_who_is_taken_by_walls(layout):
    """By the picture: all that is in the same process, or on the same machine, and nothing else."""
    machine = {name: m for m, processes in enumerate(layout.machines) for process in processes for name in process}
    process = {
        name: (m, p)
        for m, processes in enumerate(layout.machines)
        for p, names in enumerate(processes)
        for name in names
    }
    inside = {
        "exception": lambda a, b: a == b,
        "hang": lambda a, b: a == b,
        "memory-hog": lambda a, b: machine[a] == machine[b],
        "kernel-panic": lambda a, b: machine[a] == machine[b],
        "plug": lambda a, b: machine[a] == machine[b],
    }
    widget = Blast()
    sent = next(one for one in widget.layouts if one["name"] == layout.name)
    for fault in widget.faults:
        together = inside.get(fault["name"], lambda a, b: process[a] == process[b])
        for struck in iso.SHOP:
            assert sent["taken"][fault["name"]][struck] == [name for name in iso.SHOP if together(struck, name)]


def test_rules_and_lab_agree_where_both_speak():
    """But for a single exception, which hurts no service, and for a hog: in the lab each process had a cap."""
    spoken = 0
    for layout in Blast().layouts:
        for fault, measured in layout["measured"].items():
            if fault not in ("exception", "memory-hog"):
                assert measured == len(layout["taken"][fault]["payment"]), (layout["name"], fault)
                spoken += 1
    assert spoken == 10


def test_blast_in_words_and_bad_input():
    widget = Blast()
    widget.arrangement, widget.fault = "two machines", 99
    assert repr(widget) == "Blast(plug in payment, three processes on two machines: takes order, payment)"
    with pytest.raises(TraitError, match="arrangement must be one of threads, processes, two machines, three machines"):
        widget.arrangement = "cloud"
    with pytest.raises(TraitError, match="struck must be one of order, payment, delivery"):
        widget.struck = "search"


# ---- the ladder and the table ----


def test_what_the_lesson_says_of_the_ladder():
    trip = {row["rung"]: row["p50"] for row in recorded("ladder").rows}
    call, rpc = trip["function call"], trip["remote procedure call"]
    assert 1000 < rpc / call < 100_000
    assert rpc / call == pytest.approx(2500, rel=0.1)
    assert rpc / trip["loopback TCP"] == pytest.approx(22, rel=0.1)
    assert trip["shared memory and semaphores"] == pytest.approx(trip["queue"], rel=0.1)
    assert trip["queue"] == pytest.approx(13e-6, rel=0.1)
    assert trip["shared variable and events"] == pytest.approx(36e-6, rel=0.1)
    spread = {row["rung"]: row["p99"] / row["p50"] for row in recorded("ladder").rows}
    assert spread.pop("remote procedure call") == pytest.approx(4, rel=0.1)
    assert 1.6 < min(spread.values()) < max(spread.values()) < 2.4


def test_the_ladder_shows_a_result():
    found = recorded("ladder")
    widget = Ladder()
    widget.questions = 90
    assert widget.questions == 100
    for rung, row in zip(widget.rungs, found.rows, strict=True):
        assert rung["order"][pools.QUESTIONS.index(100)] == pytest.approx(100 * row["p50"], rel=1e-12)
    assert found.recorded in widget.about
    here = LabResult.from_dict(found.to_dict() | {"recorded": ""})
    assert Ladder(here).about.startswith("measured here")
    with pytest.raises(ValueError, match="found must be a result of the lab ladder, got one of 'threads'"):
        Ladder(recorded("threads"))
    with pytest.raises(TraitError, match="questions must be more than 0, got -1"):
        widget.questions = -1


def test_the_table_of_strategies():
    widget = Strategies()
    assert repr(widget) == "Strategies(0 of 28 filled in, not revealed)"
    measured = {row["level"]: row for row in recorded("compare").rows}
    assert {"thread", "process", "host"} <= set(measured)
    del measured["host"]  # a network namespace: no machine starts in 0.1 s
    for level in widget.levels:
        source = measured.get(level["name"])
        cost = iso.COSTS[level["name"]]
        assert level["measured"] == (source is not None)
        for name in ("start", "memory", "round_trip"):
            assert level[name] == (source[name] if source else getattr(cost, name))
    widget.guesses, widget.revealed = {"thread:plug": 3, "host:plug": 3}, True
    assert repr(widget).startswith("Strategies(2 of 28 filled in, 1 right: Threads segfault 3, kernel-panic 3, plug 3")
    for guesses in ({"thread:flood": 1}, {"moon:plug": 1}, {"thread:plug": 2}):
        with pytest.raises(TraitError, match="guesses must be 1 or 3 for a level and a fault of the table"):
            widget.guesses = guesses
    with pytest.raises(ValueError, match="found must be a result of the lab compare, got one of 'ladder'"):
        Strategies(recorded("ladder"))


def test_what_the_lesson_says_of_the_bill():
    levels = {level["name"]: level for level in Strategies().levels}
    assert 30 < levels["process"]["memory"] / levels["thread"]["memory"] < 300
    for cost in ("memory", "start"):
        assert 3 <= np.log10(levels["datacenter"][cost] / levels["process"][cost]) < 4.5


def test_what_the_lesson_says_of_the_labs():
    hurt = {row["level"]: row for row in recorded("compare").rows}
    for fault in ("memory-hog", "segfault", "hold-gil", "kill", "corrupt", "poison"):
        assert (hurt["thread"][fault], hurt["process"][fault]) == (3, 1)
    for fault in ("hang", "slow"):
        assert (hurt["thread"][fault], hurt["process"][fault]) == (1, 1)
    for row in recorded("threads").rows:
        if row["fault"] == "hang":
            assert row["bad_payment"] > 0.9
            assert (row["bad_order"] > 0.6) == (row["pool"] == "shared")


# ---- all of them ----


@pytest.mark.parametrize("widget", WIDGETS)
def test_all_of_it_is_json_and_has_words(widget):
    made = widget()
    json.dumps(made.get_state(), allow_nan=False, default=str)
    assert made.describe() in repr(made)


@pytest.mark.parametrize("widget", WIDGETS)
def test_nothing_is_fetched(widget):
    text = widget._esm._contents if hasattr(widget._esm, "_contents") else str(widget._esm)
    addresses = set(re.findall(r"https?://[^\s\"'`]+", text + str(widget._css)))
    assert addresses <= {"http://www.w3.org/2000/svg"}  # a name, not an address
    assert not re.search(r"\b(import|fetch|XMLHttpRequest|WebSocket)\b", re.sub(r"//.*|/\*.*?\*/", "", text))


@pytest.mark.parametrize("widget", WIDGETS)
def test_no_trait_has_the_name_of_one_of_the_front_end(widget):
    """A trait called `layout` would be taken for the style of the box, with an error in the browser's console."""
    import anywidget

    assert not set(vars(widget)) & {name for name in anywidget.AnyWidget.class_trait_names() if name[0] != "_"}
