"""What the widgets of lesson 5 show, against other roads to the same numbers."""

import contextlib
import json
import logging
import math
import re

import numpy as np
import pytest
from scipy import stats
from traitlets import TraitError

import accrual as ac
from accrual.show import lies
from accrual.show.lies import OwnPause, Promises, Repairs, SmallWindows

SEED = 20261126


@pytest.fixture(scope="module")
def bursty():
    return lies.single_causes(20_000)["bursts of losses"]


@pytest.fixture(scope="module")
def calm():
    return lies.single_causes(8_000)["steady and normal"]


# ---- small windows ----


@pytest.mark.parametrize("window", [2, 3, 5, 20, 100, 1000])
@pytest.mark.parametrize("threshold", [0.5, 1, 3, 8])
def test_what_a_small_window_really_is(threshold, window):
    """By scipy.stats: the next interval less the mean, over the deviation, is t times ((n + 1) / (n - 1))^(1/2)."""
    factor = math.sqrt((window + 1) / (window - 1))
    expected = -stats.t.logsf(stats.norm.isf(10.0**-threshold) / factor, window - 1) / math.log(10)
    assert lies.really(threshold, window) == pytest.approx(expected, rel=1e-9)
    normal, student = lies.patience(threshold, window)
    assert normal == pytest.approx(stats.norm.isf(10.0**-threshold), rel=1e-9)
    assert student == pytest.approx(factor * stats.t.isf(10.0**-threshold, window - 1), rel=1e-9)


@pytest.mark.parametrize("window", [3, 10, 50])
def test_what_a_small_window_really_is_by_trying(window):
    """Windows and next intervals drawn afresh, no trace and no library."""
    draws = np.random.default_rng(SEED).normal(1.0, 0.1, (200_000, window + 1))
    known, following = draws[:, :-1], draws[:, -1]
    for threshold in (1, 2):
        deadline = known.mean(axis=1) + known.std(axis=1) * stats.norm.isf(10.0**-threshold)
        late = np.count_nonzero(following > deadline)
        expected = 200_000 * 10 ** -lies.really(threshold, window)
        assert abs(late - expected) < 5 * math.sqrt(expected)


@pytest.mark.parametrize("function", [lies.really, lies.patience])
def test_a_window_of_one_knows_no_deviation(function):
    with pytest.raises(ValueError, match="window must be 2 or more, got 1"):
        function(3, window=1)


def test_small_windows_hold_what_the_library_computes():
    trace = lies.normal_intervals(20_000)
    widget = SmallWindows(trace)
    assert widget.stops["window"] == [5, 10, 20, 50, 100, 200, 500, 1000]
    for row, window in zip(widget.windows, lies.WINDOWS, strict=True):
        assert row["really"] == [lies.really(threshold, window) for threshold in lies.PHIS]
        for name, detector in (("phi", ac.PhiNormal(window=window)), ("student", ac.PhiStudent(window=window))):
            q = [ac.levels(trace, detector)[1001:] >= threshold for threshold in lies.PHIS]
            assert row[name]["late"] == [np.count_nonzero(late) for late in q]
            assert row["heartbeats"] == len(trace) - 1001
    widget.window, widget.threshold = 23, 2.9
    assert (widget.window, widget.threshold) == (20, 3)
    assert repr(widget).startswith("SmallWindows(window 20: Phi = 3 is really 2.38; of 18,999 heartbeats")
    with pytest.raises(TraitError, match="window must be 1 or more, got 0"):
        widget.window = 0
    with pytest.raises(TraitError, match="threshold must be a finite number, got nan"):
        widget.threshold = math.nan


# ---- the gallery ----


def test_each_cause_does_what_its_name_says():
    traces = lies.single_causes(20_000)
    interval = {name: np.diff(trace.arrivals) / 1e9 for name, trace in traces.items()}
    for name, trace in traces.items():
        assert (len(trace) < 20_000) == (name in ("single losses", "bursts of losses"))
    runs = {name: np.diff(traces[name].sequence) - 1 for name in ("single losses", "bursts of losses")}
    assert np.mean(runs["bursts of losses"][runs["bursts of losses"] > 0]) > 3
    assert np.mean(runs["single losses"][runs["single losses"] > 0]) < 1.1
    assert stats.kurtosis(interval["heavy tail"]) > 5 > 1 > abs(stats.kurtosis(interval["steady and normal"]))
    assert np.max(interval["stalls"]) > 0.5 > np.max(interval["steady and normal"])
    hours = np.array_split(interval["day and night"], 40)
    assert max(map(np.std, hours)) > 3 * min(map(np.std, hours))
    # A schedule: an early heartbeat is followed by a long interval. Without one they are independent.
    for name, correlation in (("steady and normal", -0.5), ("no schedule", 0)):
        pairs = np.corrcoef(interval[name][:-1], interval[name][1:])[0, 1]
        assert pairs == pytest.approx(correlation, abs=0.03)


def test_the_gallery_has_all_recordings():
    recorded = [name for name, about in ac.datasets().items() if about.kind == "recorded"]
    assert list(lies.gallery()) == [*lies.CAUSES, *sorted(recorded, key=list(lies.gallery()).index)]


def test_promised_and_measured(bursty):
    found = lies.promise(bursty, window=500)
    levels = ac.levels(bursty, ac.PhiNormal(window=500))
    intervals = np.diff(bursty.arrivals)
    outlived = np.array([np.count_nonzero(intervals[k - 500 : k] < intervals[k]) for k in range(500, len(intervals))])
    for k, threshold in enumerate(lies.PHIS):
        assert found.phi.late[k] == np.count_nonzero(levels[501:] >= threshold)
        assert found.phi.promised[k] == pytest.approx(10**-threshold)
    assert len(found.sample.thresholds) == 5  # 501 intervals can say one in 10^2.5 and not one in 1000
    for rank, late in zip(found.sample.thresholds * 500, found.sample.late, strict=True):
        assert late == np.count_nonzero(outlived >= round(rank))
    assert found.sample.promised == pytest.approx(10.0 ** -np.array(lies.PHIS[:5]), abs=0.5 / 501)
    assert found.notes == []
    assert found.longest.max() == intervals.max() / np.median(intervals)


def test_what_the_lesson_says_of_the_gallery():
    """The figures of its prose."""
    found = {name: lies.promise(trace) for name, trace in lies.gallery().items()}
    at = {threshold: lies.PHIS.index(threshold) for threshold in (1, 2, 3, 8)}
    phi = {name: promise.phi.share / promise.phi.promised for name, promise in found.items()}
    kept = [name for name, promise in found.items() if promise.phi.verdicts[at[3]] == "kept"]
    assert kept == ["steady and normal", "no schedule"]
    others = {name: factors[at[3]] for name, factors in phi.items() if name not in kept}
    assert 1.9 < min(others.values()) < 2
    assert max(others, key=others.get) == "cpu-quota"
    assert others["cpu-quota"] == pytest.approx(40, rel=0.02)
    assert sum(promise.phi.verdicts[at[1]] == "fewer" for promise in found.values()) == 13
    losses = found["single losses"].phi.share
    assert 1 / losses[at[2]] == pytest.approx(97, abs=0.5)
    assert [1 / losses[at[k]] for k in (3, 8)] == pytest.approx([98, 98], abs=0.5)
    for name in ("another route", "day and night"):
        assert 0.98 < phi[name][at[1]] < 1.07
        assert 1.7 < phi[name][at[2]] < 2
        assert 4 < phi[name][at[3]] < 7
    counted = [found[name].sample.share[at[k]] * 10**k for name in found for k in (1, 2, 3)]
    assert 1.56 < max(counted) < 1.57
    assert min(counted) > 1 / 1.57


def test_the_column_of_a_picture_misses_no_peak(calm):
    assert len(lies.promise(calm).longest) == 720
    assert len(lies.promise(calm[:300]).longest) == 299


def test_promises_hold_what_the_library_computes(bursty, calm):
    widget = Promises({"bursty": bursty, "calm": calm})
    assert (widget.shown, widget.threshold) == ("bursty", 3)
    for name, trace in (("bursty", bursty), ("calm", calm)):
        found, sent = ac.calibration(trace, ac.PhiNormal(window=1000), lies.PHIS, skip=1000), widget.traces[name]
        assert sent["phi"]["late"] == found.late.tolist()
        assert sent["phi"]["share"] == found.share.tolist()
        assert sent["phi"]["verdict"] == found.verdicts
    widget.shown, widget.threshold = "calm", 1.1
    late = widget.found["calm"].phi.late[1]
    assert repr(widget).startswith("Promises(calm, Phi = 1: 0.1 of the heartbeats may be late, ")
    assert f"({late} of 6,999)" in repr(widget)
    with pytest.raises(TraitError, match="shown must be one of bursty, calm, got 'wild'"):
        widget.shown = "wild"
    with pytest.raises(TraitError, match="threshold must be a finite number"):
        widget.threshold = math.inf


# ---- repairs ----


def test_repairs_detect_equally_fast(bursty):
    widget = Repairs({"bursty": bursty})
    found = widget.found["bursty"]
    for time, rows in zip(found.detection_times, widget.traces["bursty"]["rows"], strict=True):
        names = [row["name"] for row in rows]
        assert names == ["fixed-timeout", "phi-normal", "empirical", "chen", "expected-arrival"]
        for row, detector in zip(rows, [d for d in found.detectors if d.name in names], strict=True):
            assert eval(f"ac.{row['code']}") == detector
            if row["mistakes"] is None:
                assert row["ratio"] is None
                continue
            q = ac.qos(bursty, detector, row["threshold"], skip=found.skip)
            assert q.mistakes == row["mistakes"]
            assert q.detection_time == pytest.approx(time, rel=1e-3)
            assert row["ratio"] == pytest.approx((q.mistakes + 0.5) / (rows[0]["mistakes"] + 0.5))
    widget.time = 99
    assert widget.time == len(found.detection_times) - 1
    assert "mistakes of fixed-timeout" in repr(widget)
    assert "empirical cannot be set so" in repr(widget)


def test_a_schedule_is_what_expected_arrival_needs():
    traces = lies.single_causes(20_000)
    fewer = {}
    for name in ("bursts of losses", "no schedule"):
        found = lies.equal_time(traces[name])
        rows = {row.detector.name: row for row in found.at_time(found.detection_times[0])}
        fewer[name] = rows["phi-normal"].verdict, rows["expected-arrival"].verdict
    assert fewer == {"bursts of losses": ("more", "fewer"), "no schedule": ("no difference", "more")}


# ---- the watcher's own pause ----


@pytest.mark.parametrize("length", lies.LENGTHS)
def test_a_guard_spares_the_innocent(length):
    bare, guarded = lies.own_pause(length, guarded=False), lies.own_pause(length, guarded=True)
    assert {report.peer for report in bare} == ({*lies.PEERS} if length >= 0.2 else {"h"})
    [true] = [report for report in bare if report.true]
    [found] = guarded
    assert (true.peer, found.peer, found.true) == ("h", "h", True)
    assert true.until == found.until
    silence_ends = lies.own_pause(0, guarded=False)[0].at  # where h is found by a watcher that does not stall
    assert true.at == pytest.approx(max(lies.STALL + length, silence_ends), abs=1e-6)
    if length > lies.LATENESS:  # after the stall, and a grace
        assert found.at == pytest.approx(lies.STALL + length + lies.GRACE, abs=1e-6)
    else:
        assert found.at == pytest.approx(true.at, abs=1e-6)
    for report in bare:
        if report.peer != "h":
            assert report.at == report.until == pytest.approx(lies.STALL + length, abs=1e-6)


def test_when_h_is_found_without_a_stall():
    """By hand: the deadline after its last heartbeat."""
    times = lies.heartbeats_of_peers()["h"]
    last = times[times < lies.STOPPED[0]]
    known = last[-101:]
    deviation = max(np.std(np.diff(known)), 0.02)
    expected = last[-1] + np.mean(np.diff(known)) + deviation * stats.norm.isf(1e-8)
    assert lies.own_pause(0, guarded=False)[0].at == pytest.approx(expected, abs=1e-6)


def test_the_simulated_watch_keeps_its_warnings_to_itself(caplog):
    logger = logging.getLogger("accrual")
    before = list(logger.filters)
    with caplog.at_level(logging.DEBUG):
        lies.own_pause(1, guarded=True)
        assert [record for record in caplog.records if record.name == "accrual"] == []
        logger.warning("not one of its own")
    assert [record.message for record in caplog.records if record.name == "accrual"] == ["not one of its own"]
    assert logger.filters == before


@pytest.mark.parametrize("length", [-1, 11, math.nan, math.inf])
def test_a_stall_that_cannot_be(length):
    with pytest.raises(ValueError, match="length must be 0 to 10 s"):
        lies.own_pause(length, guarded=True)


def test_own_pause_holds_what_the_watch_reported():
    widget = OwnPause()
    assert repr(widget) == "OwnPause(a stall of 1 s without a guard: 8 suspicions reported, 7 wrong)"
    for k, length in enumerate(lies.LENGTHS):
        for guarded in (False, True):
            assert [(report["peer"], report["at"]) for report in widget.reports[k][guarded]] == [
                (report.peer, report.at) for report in lies.own_pause(length, guarded)
            ]
    widget.guarded, widget.length = True, 4
    assert repr(widget) == "OwnPause(a stall of 5 s with a guard: 1 suspicion reported, 0 wrong)"
    with pytest.raises(TraitError, match="length must be a finite number"):
        widget.length = math.nan


# ---- a student's own trace ----


@pytest.mark.parametrize("widget", [Promises, Repairs])
@pytest.mark.parametrize(
    ("trace", "said"),
    [
        ([], "trace must have at least 100 heartbeats, has 0"),
        (np.arange(99) * 10**9, "at least 100 heartbeats, has 99"),
        (np.zeros(500, int), "half of the intervals are 0: these are no heartbeats"),
    ],
    ids=["empty", "short", "at once"],
)
def test_a_trace_that_cannot_be_shown_says_why(widget, trace, said):
    with pytest.raises(ValueError, match=re.escape(said)):
        widget(ac.Trace(trace))


@pytest.mark.parametrize("widget", [Promises, Repairs])
@pytest.mark.parametrize(
    ("arrivals", "said"),
    [
        (np.arange(500), "the median interval is 1e-09 s"),
        (np.arange(500) * 1000 + np.arange(500) % 7, "the median interval is 1e-06 s"),
        (np.arange(600).reshape(-1, 3)[:, [0, 2, 1]].ravel() * 10**8, "are these arrival times, and in order"),
    ],
    ids=["seconds", "milliseconds", "unsorted"],
)
def test_a_trace_that_is_hardly_meant_is_shown_with_a_warning(widget, arrivals, said):
    with pytest.warns(UserWarning, match=said):
        made = widget(ac.Trace(arrivals))
    json.dumps(made.get_state(), allow_nan=False, default=str)


@pytest.mark.parametrize("widget", [Promises, Repairs])
def test_fractions_of_seconds_and_no_traces(widget, calm):
    with pytest.raises(ValueError, match=r"arrivals look like seconds"):
        widget([0.0, 0.1, 0.2])
    with pytest.raises(ValueError, match="traces must be one or more, got none"):
        widget({})
    with pytest.raises(ValueError, match="short: trace must have at least 100 heartbeats, has 99"):
        widget({"calm": calm, "short": calm[:99]})


def odd_traces():
    backward = np.arange(3000) * 10**8
    backward[2000:] -= 5 * 10**8
    return {
        "steady": ac.Trace(np.arange(100) * 10_000_000),  # no period, no deviation, no mistake
        "silent": ac.Trace(np.append(np.arange(150) * 10**9, 10**15)),  # one long silence, open to the end
        "mistaken": ac.Trace(np.arange(100) * 10_000_000, period=10),  # a period that is not its own
        "backward": ac.Trace(backward),  # a clock that was set back once
        "bare": np.cumsum(np.random.default_rng(SEED).integers(10**8, 2 * 10**8, 400)),
    }


@pytest.mark.parametrize("name", odd_traces())
@pytest.mark.parametrize("widget", [Promises, Repairs])
def test_odd_traces(widget, name):
    wonders = pytest.warns(UserWarning, match="the period 10 s") if name == "mistaken" else contextlib.nullcontext()
    with wonders:
        made = widget(odd_traces()[name])
    assert made.shown == "your trace"
    json.dumps(made.get_state(), allow_nan=False, default=str)
    assert "your trace" in repr(made)


def test_what_has_to_be_said_is_said(monkeypatch, calm):
    assert lies.promise(odd_traces()["backward"]).notes == [
        "1 arrival is earlier than the one before",
        "a window of 750, a quarter of the trace, and not of 1000",
    ]
    monkeypatch.setattr(lies, "LARGEST", 5000)
    found = lies.promise(calm)
    assert found.notes == ["the first 5,000 of 8,000 heartbeats"]
    assert found.phi.heartbeats == 5000 - 1001
    monkeypatch.setattr(lies, "COMPARED", 5000)
    widget = Repairs(calm)
    assert "the first 5,000 of 8,000 heartbeats" in widget.traces[widget.shown]["notes"]


@pytest.mark.parametrize("widget", [SmallWindows, Promises, Repairs, OwnPause])
def test_nothing_is_fetched(widget):
    text = widget._esm._contents if hasattr(widget._esm, "_contents") else str(widget._esm)
    addresses = set(re.findall(r"https?://[^\s\"'`]+", text + str(widget._css)))
    assert addresses <= {"http://www.w3.org/2000/svg"}  # a name, not an address
    assert not re.search(r"\b(import|fetch|XMLHttpRequest|WebSocket)\b", re.sub(r"//.*|/\*.*?\*/", "", text))
