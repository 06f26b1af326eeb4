"""What the widgets of lesson 3 show, against other roads to the same numbers."""

import json
import math
import re
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.special import log_ndtr
from traitlets import TraitError

import accrual as ac
from accrual.show import phi
from accrual.show.phi import PhiAgainstFixed, SamplingWindow, Tail

HOUR = 3600 * 10**9


def trace(n=6000, seed=1):
    """Heartbeats of 10 ms with jitter, and now and then a stop."""
    rng = np.random.default_rng(seed)
    intervals = rng.normal(10e6, 0.5e6, n)
    intervals[rng.random(n) < 0.002] += 200e6
    return ac.Trace(np.cumsum(intervals).astype(np.int64), period=0.01)


def deviation(intervals):
    """To all digits before the root."""
    mean = Fraction(sum(intervals), len(intervals))
    return math.sqrt(sum((x - mean) ** 2 for x in intervals) / len(intervals))


# ---- numbers ----


def test_slider_stops_are_numbers_that_people_can_say():
    assert phi.stops(0.5, 3, (1, 1.5, 2)) == [1.0, 1.5, 2.0]
    assert phi.stops(10, 5000, (1, 2, 5)) == [10, 20, 50, 100, 200, 500, 1000, 2000, 5000]
    assert {1, 2, 3, 8, 12, 100} <= set(phi.THRESHOLDS)
    assert sorted(phi.THRESHOLDS) == phi.THRESHOLDS


@given(st.lists(st.integers(0, 10**9), min_size=1, max_size=30), st.integers(1, 12))
def test_window_statistics(intervals, window):
    known = phi.window_statistics(np.append(0, np.cumsum(intervals)), window)
    assert known.samples.tolist() == [min(n, window) for n in range(len(intervals) + 1)]
    assert math.isnan(known.mean[0])
    assert math.isnan(known.deviation[0])
    for n in range(1, len(intervals) + 1):
        own = intervals[max(n - window, 0) : n]
        assert known.mean[n] == pytest.approx(sum(own) / len(own) / 1e9, rel=1e-15)
        assert known.deviation[n] == pytest.approx(max(deviation(own), 1) / 1e9, rel=1e-14)


def test_window_statistics_forget_an_hour():
    intervals = [10_000_000 + k % 3 for k in range(300)]
    intervals[100] = HOUR
    known = phi.window_statistics(np.append(0, np.cumsum(intervals)), 50)
    assert known.deviation[150] > 100
    assert known.deviation[151] == pytest.approx(1e-9, rel=1e-12)  # below a nanosecond
    assert known.mean[300] == pytest.approx(np.mean(intervals[-50:]) / 1e9, rel=1e-15)


def test_window_statistics_at_ignored_heartbeats():
    known = phi.window_statistics(ac.Trace([0, 10, 11, 20], sequence=[0, 1, 1, 2]), 5)
    assert known.samples.tolist() == [0, 1, 1, 2]
    assert known.mean[3] == 10e-9


def test_the_lectures_ten_slots():
    steps = phi.sampling_window(phi.EXAMPLE)
    full, eleventh = steps[9], steps[10]
    assert (full.arrived, full.slots, full.evicted) == (10, list(range(1, 11)), None)
    assert (eleventh.arrived, eleventh.slots, eleventh.evicted) == (11, [11, *range(2, 11)], 1)
    assert len(full.intervals) == len(eleventh.intervals) == 9
    seconds = np.array(phi.EXAMPLE) / 1e9
    assert eleventh.intervals == pytest.approx(np.diff(seconds[1:11]))  # t3 - t2 ... t11 - t10
    assert eleventh.mean == pytest.approx(np.mean(eleventh.intervals), rel=1e-14)
    assert eleventh.deviation == pytest.approx(np.std(eleventh.intervals), rel=1e-12)
    assert (steps[0].intervals, steps[0].mean, steps[0].deviation) == ([], None, None)


@given(st.integers(2, 6), st.integers(1, 15))
def test_a_ring_of_any_size(slots, beats):
    for step in phi.sampling_window(np.arange(beats) * 10**9, slots):
        held = sorted(t for t in step.slots if t is not None)
        assert held == list(range(max(step.arrived - slots, 0) + 1, step.arrived + 1))
        assert len(step.intervals) == len(held) - 1
        assert step.evicted == (step.arrived - slots if step.arrived > slots else None)


@pytest.mark.parametrize("slots", [1, 0, -1])
def test_a_ring_of_one_slot_knows_no_interval(slots):
    with pytest.raises(ValueError, match=rf"slots must be 2 or more, got {slots}"):
        phi.sampling_window(phi.EXAMPLE, slots)


def test_tail():
    intervals = np.rint(np.random.default_rng(2).normal(10e6, 0.5e6, 300)).astype(np.int64)
    beats = np.append(0, np.cumsum(intervals))
    numbers = phi.tail(beats)
    assert numbers.intervals == 300
    assert numbers.mean == pytest.approx(intervals.mean() / 1e9)
    assert numbers.deviation == pytest.approx(intervals.std() / 1e9)
    z = (numbers.elapsed - numbers.mean) / numbers.deviation
    assert z == pytest.approx(np.arange(len(z)) / 10 + z[0], abs=3e-6)
    assert numbers.phi == pytest.approx(-log_ndtr(-z) / math.log(10), rel=1e-9)
    assert numbers.later == pytest.approx(10**-numbers.phi)
    assert (np.diff(numbers.phi) >= 0).all()
    assert numbers.outlived.tolist() == [int((intervals > round(t * 1e9)).sum()) for t in numbers.elapsed]
    assert numbers.counts.sum() + numbers.beyond == 300
    # The law's share of all bins but for the tails outside, stop by stop: bins overlap by half.
    assert numbers.expected.sum() / 2 == pytest.approx(300, rel=1e-5)


def test_tail_begins_at_silence_zero_where_the_deviation_is_large():
    numbers = phi.tail(np.cumsum([0, 1_000_000, 100_000_000, 1_000_000, 50_000_000]))
    assert 0 <= numbers.elapsed[0] < 1e-6 + numbers.deviation / 10
    assert np.isfinite(numbers.phi).all()


def test_tail_needs_two_intervals():
    with pytest.raises(ValueError, match="arrivals must be 3 or more, got 2"):
        phi.tail([0, 10])


@st.composite
def short_traces(draw):
    intervals = draw(st.lists(st.integers(0, 40), min_size=3, max_size=25))
    return np.append(0, np.cumsum(intervals)) + draw(st.integers(-50, 50))


@given(short_traces(), st.integers(1, 30), st.booleans())
def test_timeline_against_every_single_nanosecond(beats, columns, adaptive):
    span = int(beats[-1] - beats[0])
    if span == 0:
        return
    detector = ac.PhiNormal(window=4) if adaptive else ac.FixedTimeout(period=1e-8)
    seen = phi.timeline(ac.replay(beats, detector), 0, span / 1e9, columns)

    edges = beats[0] + np.rint(np.linspace(0, span / 1e9 * phi.NS, columns + 1)).astype(np.int64)
    monitor, taken_in = ac.Monitor(detector), 0
    level, silence = np.full(columns, np.nan), np.zeros(columns)
    for now in range(int(beats[0]), int(beats[-1]) + 1):
        column = int(np.searchsorted(edges[1:], now))
        while True:  # what is seen just before each heartbeat of this nanosecond, and after the last of them
            if monitor.last is not None and now > beats[0]:
                level[column] = np.fmax(level[column], monitor.level(now=now))
                silence[column] = max(silence[column], now - monitor.last)
            if taken_in == len(beats) or beats[taken_in] > now:
                break
            monitor.heartbeat(now=int(beats[taken_in]))
            taken_in += 1
    wide = np.diff(edges) > 0  # a column narrower than a nanosecond shows its end
    np.testing.assert_array_equal(seen.level[wide], level[wide])
    np.testing.assert_array_equal(seen.silence[wide], silence[wide] / 1e9)


def test_timeline_of_a_trace_with_all_that_a_network_delivers():
    beats = ac.Trace(
        np.array([0, 10, 20, 20, 15, 40, 38, 50]) * 1_000_000,
        sequence=[0, 1, 2, 2, 3, 4, 5, 6],
        epoch=[0, 0, 0, 0, 0, 0, 1, 1],
    )
    seen = phi.timeline(ac.replay(beats, ac.FixedTimeout(period=0.01)), 0, 0.05, columns=5)
    assert seen.silence.max() == pytest.approx(0.025)  # from the step back to 15 until 40
    assert (seen.level >= 0).all()


def test_a_peak_is_never_lost():
    beats = trace(20_000)
    story = ac.replay(beats, ac.PhiNormal(window=100))
    whole = phi.timeline(story, 0, (beats.arrivals[-1] - beats.arrivals[0]) / 1e9)
    assert np.nanmax(whole.level) == np.nanmax(story.levels)
    assert whole.silence.max() == np.diff(beats.arrivals).max() / 1e9
    zoomed = phi.timeline(story, 100, 101)
    assert zoomed.level.max() <= np.nanmax(whole.level)


def test_telling_timeouts_draw_the_whole_curve():
    beats = trace()
    intervals = np.diff(beats.arrivals)
    timeouts = phi.telling_timeouts(beats.arrivals)
    found = ac.curve(beats, ac.FixedTimeout(period=1), timeouts, skip=0)
    assert found.mistakes.tolist() == [int((intervals > round(t * 1e9)).sum()) for t in timeouts]
    few = found.mistakes[found.mistakes < 10]
    assert few.tolist() == list(range(9, -1, -1))
    assert found.mistakes[0] == len(intervals) - 1


# ---- widgets ----


def test_sampling_window_widget():
    widget = SamplingWindow()
    widget.arrived = 11
    assert repr(widget) == "SamplingWindow(11 heartbeats arrived: 10 times, 9 intervals)"
    assert widget.steps[10]["evicted"] == 1
    widget.arrived = 99
    assert widget.arrived == len(phi.EXAMPLE)
    widget.arrived = 0
    assert widget.arrived == 1


def test_tail_widget():
    widget = Tail(phi.EXAMPLE)
    assert "P_later = 0.5, phi = 0.301" in repr(widget)
    widget.stop = 10**6
    assert widget.stop == len(widget.numbers["phi"]) - 1


def test_against_fixed_holds_what_the_library_computes():
    beats = trace()
    widget = PhiAgainstFixed(beats)
    skip = widget.about["skip"]
    assert skip == max(widget.stops["window"]) == 1000  # of 6000 heartbeats, a quarter at most
    assert widget.window == 1000
    for field in phi.METRICS:
        expected = getattr(ac.curve(beats, ac.PhiNormal(window=1000), phi.THRESHOLDS, skip=skip), field)
        np.testing.assert_array_equal(np.array(widget.phi_curve[field], float), expected)
        for period, curve in zip(widget.stops["period"], widget.fixed_curves, strict=True):
            expected = getattr(ac.curve(beats, ac.FixedTimeout(period=period), phi.BEATS, skip=skip), field)
            np.testing.assert_array_equal(np.array(curve[field], float), expected)
    seen = phi.timeline(ac.replay(beats, ac.PhiNormal(window=1000)), 0, widget.span)
    np.testing.assert_array_equal(np.array(widget.columns["phi"], float), seen.level)
    assert widget.columns["silence"] == seen.silence.tolist()


def test_the_window_replays():
    widget = PhiAgainstFixed(trace())
    widget.window = 100
    expected = ac.curve(widget.trace, ac.PhiNormal(window=100), phi.THRESHOLDS, skip=1000)
    assert widget.phi_curve["window"] == widget.columns["window"] == 100
    assert widget.phi_curve["mistakes"] == expected.mistakes.tolist()


def test_sliders_go_to_the_nearest_stop():
    widget = PhiAgainstFixed(trace())
    widget.threshold, widget.window, widget.k, widget.period = 7.7, 90, 4.6, 0.019
    assert (widget.threshold, widget.window, widget.k, widget.period) == (8, 100, 5, 0.02)
    for name in ("threshold", "window", "k", "period"):
        with pytest.raises(TraitError, match=f"{name} must be more than 0"):
            setattr(widget, name, 0)


def test_a_stretch_stays_inside_the_trace():
    widget = PhiAgainstFixed(trace())
    widget.stretch = [1, 2]
    assert widget.columns["stretch"] == [1, 2]
    assert len(widget.columns["phi"]) == phi.COLUMNS
    widget.stretch = [-5, 5]
    assert widget.stretch == [0, 10]
    widget.stretch = [50, 1e9]
    assert widget.stretch == [0, widget.span]
    with pytest.raises(TraitError, match="a start and a later end"):
        widget.stretch = [2, 1]


@pytest.mark.filterwarnings("ignore:the median interval is")  # of the mistaken one, and rightly
@pytest.mark.parametrize(
    "beats",
    [
        ac.Trace(np.arange(100) * 10_000_000),  # no period, no deviation, no mistake
        ac.Trace(np.append(np.arange(150) * 10**9, 10**15)),  # one long silence, open to the end
        ac.Trace(np.arange(100) * 10_000_000, period=10),  # a period that is not its own
    ],
    ids=["steady", "silent", "mistaken"],
)
def test_odd_traces(beats):
    widget = PhiAgainstFixed(beats)
    assert widget.window == widget.stops["window"][-1] == 20
    json.dumps(widget.get_state(), allow_nan=False, default=str)


def test_a_trace_without_a_story_says_so():
    with pytest.raises(ValueError, match="at least 100 heartbeats, has 99"):
        PhiAgainstFixed(trace(99))
    with pytest.raises(ValueError, match="no period and a median interval of 0"):
        PhiAgainstFixed(ac.Trace(np.zeros(100, int)))


def test_the_text_instead_of_the_picture():
    widget = PhiAgainstFixed(trace())
    found = ac.qos(widget.trace, ac.PhiNormal(window=1000), 8, skip=1000)
    assert f"Phi = 8, window 1000: {found.mistakes} mistakes" in repr(widget)
    assert "5 x 0.01 s: " in repr(widget)


@pytest.mark.parametrize("widget", [SamplingWindow, Tail, PhiAgainstFixed])
def test_nothing_is_fetched(widget):
    text = widget._esm._contents if hasattr(widget._esm, "_contents") else str(widget._esm)
    addresses = set(re.findall(r"https?://[^\s\"'`]+", text + str(widget._css)))
    assert addresses <= {"http://www.w3.org/2000/svg"}  # a name, not an address
    assert not re.search(r"\b(import|fetch|XMLHttpRequest|WebSocket)\b", re.sub(r"//.*|/\*.*?\*/", "", text))
