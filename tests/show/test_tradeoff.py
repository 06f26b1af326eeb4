"""What the widgets of lesson 4 show, against other roads to the same numbers."""

import json
import math
import re

import numpy as np
import pytest
from traitlets import TraitError

import accrual as ac
from accrual.show import tradeoff
from accrual.show.phi import METRICS, THRESHOLDS
from accrual.show.tradeoff import EqualDetection, PriceOfMistakes, cheapest, cost, matched


@pytest.fixture(scope="module")
def rough():
    return ac.synthesize(4400, period=0.1, delay="gamma:mean=30ms,deviation=20ms", loss="independent:loss=0.02", seed=7)


@pytest.fixture(scope="module")
def calm():
    return ac.synthesize(4400, period=0.1, delay="gamma:mean=3ms,deviation=1ms", seed=8)


# ---- numbers ----


@pytest.mark.parametrize("window", [10, 100, 1000])
def test_matched_detectors_notice_a_crash_equally_fast(rough, window):
    phi, fixed = matched(rough, [0.5, 1, 3, 8, 30], window)
    assert phi.detector == ac.PhiNormal(window=window)
    sent, arrivals = rough.sent / 1e9, rough.arrivals / 1e9
    for k, threshold in enumerate(phi.thresholds):
        found = ac.qos(rough, ac.PhiNormal(window=window), threshold, skip=window)
        assert (phi[k].mistakes, phi[k].detection_time) == (found.mistakes, found.detection_time)
        assert fixed.detection_time[k] == pytest.approx(found.detection_time, rel=1e-9)
        # From the definition: how late each deadline of the timeout is after the sending.
        timeout = fixed.thresholds[k] * 0.1
        in_order = rough.sequence == np.maximum.accumulate(rough.sequence)
        waits = (arrivals[in_order] + timeout - sent[in_order])[window:-1]
        assert np.mean(waits) == pytest.approx(found.detection_time, rel=1e-3)
        assert fixed[k].mistakes == np.sum(np.diff(arrivals[in_order])[window:] > timeout)


def test_a_short_trace_has_a_short_window(rough):
    phi, _ = matched(rough[:100])
    assert phi.detector == ac.PhiNormal(window=25)
    assert len(phi) == len(THRESHOLDS)


def test_what_cannot_be_matched():
    with pytest.raises(ValueError, match="at least 100 heartbeats, has 99"):
        matched(np.arange(99))
    with pytest.raises(ValueError, match="no period and a median interval of 0"):
        matched(np.zeros(100, int))


def test_cost_by_an_hour_of_crashes(rough):
    """A crash at any time of a period, and all mistakes of an hour, one after the other."""
    points = ac.curve(rough, ac.FixedTimeout(period=0.1), [1.5, 2, 4], skip=100)
    hours = points[0].observed / 3600
    for k, found in enumerate(points):
        late = found.detection_time - np.mean(np.linspace(0, 1, 10_001)) * 0.1
        expected = found.mistakes / hours * 0.25 + 3 * late
        assert cost(points, mistake=0.25, crashes=3)[k] == pytest.approx(expected, rel=1e-3)


def test_the_cheapest(rough):
    points = ac.curve(rough, ac.PhiNormal(window=100), THRESHOLDS[::-1], skip=100)
    best = [cheapest(points, price) for price in (0, 1e-3, 0.1, 1e6)]
    for price, k in zip((0, 1e-3, 0.1, 1e6), best, strict=True):
        assert cost(points, price)[k] == min(cost(points, price))
    assert points.thresholds[best[0]] == THRESHOLDS[0]
    assert list(points.detection_time[best]) == sorted(points.detection_time[best])
    assert points[best[-1]].mistakes == min(points.mistakes)
    # Where nothing tells them apart, the one that detects soonest.
    assert cheapest(ac.curve(rough, ac.FixedTimeout(period=0.1), [90, 80, 70]), mistake=1, crashes=0) == 2


@pytest.mark.parametrize(("name", "value"), [("mistake", -1), ("mistake", math.nan), ("crashes", math.inf)])
def test_costs_that_cannot_be(rough, name, value):
    points = ac.curve(rough, ac.FixedTimeout(period=0.1), [2])
    with pytest.raises(ValueError, match=f"{name} must be a finite number, 0 or more"):
        cost(points, **{"mistake": 1, "crashes": 1} | {name: value})


# ---- widgets ----


def test_equal_detection_holds_what_the_library_computes(rough, calm):
    widget = EqualDetection({"rough": rough, "calm": calm})
    assert widget.shown == "rough"
    for name, trace in (("rough", rough), ("calm", calm)):
        phi, fixed = matched(trace)
        sent = widget.traces[name]
        assert (sent["window"], sent["period"]) == (1000, 0.1)
        for field in METRICS:
            np.testing.assert_array_equal(np.array(sent["phi"][field], float), getattr(phi, field))
            np.testing.assert_array_equal(np.array(sent["fixed"][field], float), getattr(fixed, field))
    widget.shown, widget.threshold = "calm", 7.7
    assert widget.threshold == 8
    found = ac.qos(calm, ac.PhiNormal(window=1000), 8, skip=1000)
    assert repr(widget).startswith(
        f"EqualDetection(calm, detection in {found.detection_time:.3g} s: {found.mistakes} m"
    )
    with pytest.raises(TraitError, match="shown must be one of rough, calm, got 'wild'"):
        widget.shown = "wild"
    with pytest.raises(TraitError, match="threshold must be more than 0"):
        widget.threshold = 0


def test_price_of_mistakes_holds_what_the_library_computes(rough):
    widget = PriceOfMistakes(rough)
    pair = widget.pairs[widget.shown]
    sent = widget.traces[widget.shown]
    for k, price in enumerate(tradeoff.PRICES):
        for name, points in pair._asdict().items():
            np.testing.assert_array_equal(sent["cost"][name][k], cost(points, price))
            assert sent["cost"][name][k][sent["cheapest"][name][k]] == min(sent["cost"][name][k])
    widget.price = 0.9
    assert widget.price == 1
    assert "a mistake costs 1 s: phi costs " in repr(widget)
    with pytest.raises(TraitError, match="price must be more than 0"):
        widget.price = math.inf


@pytest.mark.filterwarnings("ignore:the median interval is")  # of the mistaken one, and rightly
@pytest.mark.parametrize("widget", [EqualDetection, PriceOfMistakes])
@pytest.mark.parametrize(
    "trace",
    [
        ac.Trace(np.arange(100) * 10_000_000),  # no period, no deviation, no mistake
        ac.Trace(np.append(np.arange(150) * 10**9, 10**15)),  # one long silence, open to the end
        ac.Trace(np.arange(100) * 10_000_000, period=10),  # a period that is not its own
        np.arange(200) * 10**9,  # arrivals and no more
    ],
    ids=["steady", "silent", "mistaken", "bare"],
)
def test_odd_traces(widget, trace):
    made = widget(trace)
    assert made.shown == "your trace"
    json.dumps(made.get_state(), allow_nan=False, default=str)


@pytest.mark.parametrize("widget", [EqualDetection, PriceOfMistakes])
def test_a_trace_without_a_story_says_so(widget, calm):
    with pytest.raises(ValueError, match="short: trace must have at least 100 heartbeats, has 99"):
        widget({"calm": calm, "short": calm[:99]})
    with pytest.raises(ValueError, match="traces must be one or more, got none"):
        widget({})


@pytest.mark.parametrize("widget", [EqualDetection, PriceOfMistakes])
def test_nothing_is_fetched(widget):
    text = widget._esm._contents if hasattr(widget._esm, "_contents") else str(widget._esm)
    addresses = set(re.findall(r"https?://[^\s\"'`]+", text + str(widget._css)))
    assert addresses <= {"http://www.w3.org/2000/svg"}  # a name, not an address
    assert not re.search(r"\b(import|fetch|XMLHttpRequest|WebSocket)\b", re.sub(r"//.*|/\*.*?\*/", "", text))
