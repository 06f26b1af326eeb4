"""A student's own heartbeats: whatever they are, a widget shows them or says in words what to do."""

import re

import numpy as np
import pandas as pd
import pytest

import accrual as ac
from accrual.show.fixed import KTimesT
from accrual.show.own import heartbeats, nominal_period
from accrual.show.phi import PhiAgainstFixed, SamplingWindow, Tail
from accrual.show.tradeoff import EqualDetection, PriceOfMistakes

WHOLE_TRACE = [KTimesT, PhiAgainstFixed, EqualDetection, PriceOfMistakes]
ALL = [SamplingWindow, Tail, *WHOLE_TRACE]
SECONDS = np.cumsum(np.random.default_rng(6).normal(0.01, 0.0005, 300))
NS = np.rint(SECONDS * 1e9).astype(np.int64)


@pytest.mark.parametrize("widget", ALL)
@pytest.mark.parametrize("nothing", [[], np.array([], np.int64), ac.Trace([])], ids=["list", "array", "trace"])
def test_empty(widget, nothing):
    with pytest.raises(ValueError, match=r"trace must have at least \d+ heartbeats?, has 0"):
        widget(nothing)


@pytest.mark.parametrize("widget", ALL)
@pytest.mark.parametrize("begin", [0, 1.7e9], ids=["from 0", "epoch"])
def test_seconds_as_floats_come_with_what_helps(widget, begin):
    with pytest.raises(ValueError, match="arrivals look like seconds") as caught:
        widget(begin + SECONDS)
    remedy = re.search(r"np\.rint.*int64\)", str(caught.value))[0]
    widget(eval(remedy, {"np": np, "arrivals": begin + SECONDS}))


@pytest.mark.parametrize("widget", ALL)
@pytest.mark.parametrize(("unit", "factor"), [(1_000, "1_000"), (1_000_000, "1_000_000")])
def test_other_units_as_whole_numbers_are_shown_and_wondered_at(widget, unit, factor):
    with pytest.warns(UserWarning, match=rf"the median interval is .*multiplied by .*\b{factor}\b"):
        widget(NS // unit)


def test_a_period_that_is_another_units():
    for period in (0.01, 0.2, 0.0005):
        heartbeats(ac.Trace(NS, period=period))
    for period, told in ((10, "10 s"), (1e-5, "1e-05 s")):
        trace = ac.Trace(NS, period=period)
        with pytest.warns(UserWarning, match=rf"the median interval is 0\.0\d+ s, and the period {told}:"):
            heartbeats(trace)


def test_what_may_be_meant_is_taken_silently():
    heartbeats(NS)
    heartbeats(NS.tolist())
    heartbeats(NS.astype(float))  # whole numbers, read from some file as floats
    heartbeats(pd.Series(NS))
    heartbeats(np.append(NS, NS[-50:] + 1_000))  # a clock that went back, once
    heartbeats(np.zeros(100, np.int64))
    assert heartbeats(trace := ac.Trace(NS)) == trace
    assert nominal_period(ac.Trace(NS, period=0.5)) == 0.5
    assert nominal_period(ac.Trace(NS)) == np.median(np.diff(NS)) / 1e9


def test_unsorted():
    shuffled = np.random.default_rng(1).permutation(NS)
    words = r"of 300 heartbeats arrived before the one before them.*np\.sort"
    with pytest.warns(UserWarning, match=words):
        Tail(shuffled)
    # Nothing can be scored where most intervals are none.
    with pytest.warns(UserWarning, match=words), pytest.raises(ValueError, match="a median interval of 0"):
        EqualDetection(shuffled)


@pytest.mark.parametrize("widget", ALL)
@pytest.mark.parametrize(
    ("thing", "words"),
    [
        ("mine.parquet", r"got a file's name: ac\.read_trace\('mine\.parquet'\) reads it"),
        (None, "got NoneType"),
        (12, "got int"),
        (NS.reshape(2, -1), "got ndarray"),
        (pd.DataFrame({"arrivals": NS, "sequence": range(len(NS))}), "got DataFrame"),
        ([ac.Trace(NS)], r"take one of them, as in traces\[0\]"),
    ],
    ids=["name", "None", "number", "2d", "frame", "list"],
)
def test_what_is_no_trace(widget, thing, words):
    with pytest.raises(TypeError, match=words):
        widget(thing)


def test_too_large_for_a_picture_of_each():
    with pytest.raises(ValueError, match=r"arrivals must be 1000 or fewer, got 1,001: show some, as arrivals\[:100\]"):
        SamplingWindow(np.arange(1001) * 10**9)


def test_too_large_for_the_browser_is_made_smaller():
    """Numbers for the page do not grow with the trace: curves at the sliders' stops, and columns of a picture."""
    small, large = (
        {
            widget: len(str({k: v for k, v in widget(trace).get_state().items() if k[0] != "_"}))
            for widget in WHOLE_TRACE
        }
        for trace in (ac.load("idle")[:20_000], ac.load("idle")[:100_000])
    )
    for widget in WHOLE_TRACE:
        assert large[widget] < 1.3 * small[widget] < 300_000


@pytest.mark.parametrize("widget", WHOLE_TRACE)
def test_a_window_larger_than_the_trace(widget):
    shown = widget(NS[:100])
    if hasattr(shown, "window"):
        shown.window = 5000
        assert shown.window <= 25
    assert repr(shown)


@pytest.mark.parametrize("name", ["threshold", "window", "k", "period"])
@pytest.mark.parametrize("value", [1, 10**6])
def test_the_ends_of_all_sliders(name, value):
    shown = PhiAgainstFixed(NS)
    setattr(shown, name, value)
    stops = shown.stops[name]
    assert getattr(shown, name) == (min(stops, key=lambda stop: abs(stop / value - 1)) if value == 1 else stops[-1])
    assert "nan" not in repr(shown)
