"""What lesson 12's indicators say, against other roads to the same numbers."""

import json
import math

import numpy as np
import pytest
from traitlets import TraitError

import accrual as ac
from accrual.course.lesson_12 import three_faults
from accrual.isolation.balancer import suspicions
from accrual.lab import LabResult, recorded
from accrual.recovery import FailoverController
from accrual.show.health import (
    INDICATORS,
    Moves,
    SymptomsOfFaults,
    incidents,
    outages,
    rehearse,
    share_of_detection,
    symptoms,
)


def test_indicators_request_by_request():
    found = symptoms(fault="hang", shared_pool=True)
    run = found.run
    for t in (15.0, 20.3, 21.0, 26.5, 40.0):
        k = int(np.argmin(np.abs(found.times - t)))
        in_flight = told = failed = 0
        latencies = []
        for at, outcome, latency in zip(run.arrivals, run.outcome, run.latency, strict=True):
            answered = not math.isnan(latency)
            in_flight += answered and at <= t < at + latency
            known = at + (min(latency, 0.5) if answered else 0.5 * (outcome == 4))
            told += t - 1 < known <= t
            failed += t - 1 < known <= t and outcome != 0
            if answered and t - 1 < at + latency <= t:
                latencies.append(1000 * latency)
        assert found.values["in_flight"][k] == pytest.approx(in_flight / run.workers["shared"])
        assert found.values["good"][k] == told - failed
        assert found.values["errors"][k] == pytest.approx(100 * failed / told)
        if latencies:
            assert found.values["p99"][k] == pytest.approx(np.quantile(latencies, 0.99))
        else:
            assert math.isnan(found.values["p99"][k])


def test_a_run_without_a_fault_moves_nothing():
    assert set(symptoms(fault=None).moved().values()) == {math.inf}


def test_silence_is_what_a_monitor_says():
    moved = symptoms(fault="segfault", level="process").moved()
    beats = np.concatenate([np.arange(0, 200), np.arange(211, 300)]) * 0.1
    [(begins, _)] = suspicions(ac.FixedTimeout(period=0.1), 5, beats, until=29.9)
    assert moved["silence"] == pytest.approx(begins - 20, abs=0.11)
    assert symptoms(fault="hang").moved()["silence"] == math.inf


def test_incidents():
    run = three_faults()
    found = incidents(run)
    assert sum(i.lost for i in found) == run.outcome.lost_writes > 0
    assert found[0].detect == pytest.approx(run.outcome.detection)
    assert [i.lost > 0 for i in found] == [False, True, False]
    assert sum(i.repair for i in found) == pytest.approx(run.outcome.unavailability, abs=0.3)


def test_outages():
    assert outages(np.array([0, 1, 5, 6, 9]) * 10**9, ac.FixedTimeout(period=1), 2).tolist() == [2, 1]
    assert outages(np.array([0, 1, 5, 6, 9]) * 10**9, ac.FixedTimeout(period=1), 2, skip=3).tolist() == [1]


def test_rehearsal():
    arrivals = np.concatenate([np.arange(50), np.arange(60, 100)]) * 10**9  # one outage: 10 s

    def build(wait):
        return lambda fence, promote: FailoverController(
            ["primary", "backup"], "primary", detector=ac.FixedTimeout(period=1), threshold=3, fence=fence,
            promote=promote, wait_before_promote=wait,
        )  # fmt: skip

    hasty, patient = (rehearse(build(wait), arrivals, warm=10) for wait in (0, 9))
    assert (hasty.needless, hasty.averted, hasty.order[:2]) == (1, 0, ("fence", "promote"))
    assert (patient.needless, patient.averted) == (0, 1)
    assert hasty.observed == 90  # from the tenth heartbeat to the last: 100 s, less 9 and the last one's
    assert str(patient) == (
        "In 90 s in which the primary lived: 0 needless failovers, 1 suspicion averted by the wait. Then it crashed: "
        "fence, then promote, 12.00 s after its last heartbeat."
    )
    assert str(rehearse(build(0), arrivals, warm=10, most=1)).endswith("It was not looked at any further.")
    assert hasty.promoted_after == pytest.approx(3, abs=0.01)
    assert patient.promoted_after == pytest.approx(12, abs=0.01)
    with pytest.raises(TypeError, match="a FailoverController was expected, got NoneType"):
        rehearse(lambda fence, promote: None, arrivals, warm=10)
    with pytest.raises(ValueError, match="more than 1,000 heartbeats, has 90"):
        rehearse(build(0), arrivals)


def test_the_widget_says_what_it_shows():
    widget = SymptomsOfFaults({"crash": {"fault": "segfault", "level": "process"}})
    assert "nothing has moved" in widget.describe()
    widget.at = 0.53
    assert widget.at == 0.5
    assert "time since the last heartbeat" in widget.describe()
    assert set(widget.scenarios["crash"]["values"]) == set(INDICATORS)
    json.dumps(widget.scenarios, allow_nan=False)
    with pytest.raises(TraitError, match="shown must be one of crash"):
        widget.shown = "fire"
    with pytest.raises(TraitError, match="a time in seconds"):
        widget.at = math.nan
    with pytest.raises(ValueError, match="one or more"):
        SymptomsOfFaults({})
    with pytest.raises(ValueError, match="strikes must be 10 s or more"):
        symptoms(fault="hang", strikes=5)


def test_all_moves_in_a_table():
    found = {"a hang": symptoms(fault="hang", shared_pool=True), "nothing": symptoms(fault=None)}
    made = Moves(found)
    head, hang, nothing = made.table()
    assert len(head) == len(set(head)) == len(INDICATORS) + 1
    assert nothing == ["nothing", *"–" * len(INDICATORS)]
    moved = found["a hang"].moved()
    for name, cell in zip(INDICATORS, hang[1:], strict=True):
        assert cell.removeprefix("▲ ") == (f"{moved[name]:.1f}" if moved[name] < math.inf else "–")
        assert cell.startswith("▲") == (moved[name] == min(moved.values()))
    assert "▲ 0.3" in repr(made)
    assert made._repr_html_().count("<th>") == len(head)


def test_what_the_lesson_says_of_the_recording():
    """Detection is nearly all of the outage where one controller decides, and half of it where three agree first."""
    phi, fixed, sentinel = recorded("failover").rows
    assert [round(row["detection"], 2) for row in (phi, fixed, sentinel)] == [0.28, 0.40, 1.02]
    assert [round(row["writable"], 2) for row in (phi, fixed, sentinel)] == [0.30, 0.41, 2.14]
    assert [f"{row['detection'] / row['writable']:.0%}" for row in (phi, fixed, sentinel)] == ["95%", "98%", "48%"]
    assert {row["lost"] for row in (phi, fixed, sentinel)} == {0}
    lines = share_of_detection(recorded("failover")).splitlines()
    assert [line.rpartition(": ")[2] for line in lines] == ["95 %", "98 %", "48 %"]


def test_an_outage_that_did_not_end_has_no_share():
    rows = [{"driver": "a", "detection": 0.5, "writable": None}, {"driver": "b", "detection": None, "writable": 2.0}]
    told = share_of_detection(LabResult("failover", {}, rows))
    assert told.count("writes did not come back while it was watched") == 2


def test_what_the_lesson_says_of_the_trace():
    trace = ac.load("paused")
    half = trace[: len(trace) // 2]
    detectors = [ac.FixedTimeout(period=0.01), ac.PhiNormal(window=1000), ac.Chen(window=1000)]
    rows = {row.detector: row.qos for row in ac.compare(half, detectors, detection_time=0.5).rows}
    assert [rows[one].mistakes for one in detectors] == [23, 36, 78]
    assert [rows[one].detection_time_p99 > 1 for one in detectors] == [False, True, True]
    tuned = ac.tune(trace, detectors[0], detection_time=0.5)
    lasted = outages(half, detectors[0], tuned.threshold, skip=1000)
    assert (len(lasted), round(max(lasted), 1)) == (23, 2.3)
