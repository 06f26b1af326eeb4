"""Presets: what others ship, in seconds of silence."""

import dataclasses
import math

import numpy as np
import pytest

import accrual as ac
from accrual.presets import PRESETS

NS = 10**9


@pytest.mark.parametrize("preset", PRESETS.values(), ids=PRESETS)
def test_every_preset(preset):
    assert getattr(ac.presets, preset.name) is preset
    detector, threshold = preset()
    assert ac.Monitor(detector, threshold=threshold).threshold == threshold
    assert preset.source
    assert preset.version
    assert preset.differs


def timeout(preset, period, heartbeats=2000):
    """Silence until the suspicion, s, after regular heartbeats."""
    detector, threshold = preset()
    arrivals = np.arange(heartbeats) * round(period * NS)
    return (ac.replay(arrivals, detector).deadlines(threshold)[-1] - arrivals[-1]) / NS


@pytest.mark.parametrize(
    ("name", "period", "seconds"),
    [
        ("akka", 1.0, 1 + 3 + 0.522599),  # peers.md 1.1: 4.52 s
        ("pekko_remote", 1.0, 11.579902),  # 11.58 s
        ("hazelcast", 5.0, 65.579902),  # 65.6 s
        ("cassandra", 1.0, 8 * math.log(10)),  # 18.42 means
        ("sentinel", 1.0, 30.0),
        ("kubernetes", 10.0, 50.0),
        ("lecture_fixed", 0.2, 1.0),
        ("lecture_phi", 0.2, 0.2 + 4e-9),  # z = 3.09 of the smallest deviation, 1 ns
    ],
)
def test_seconds_of_silence(name, period, seconds):
    assert timeout(PRESETS[name], period) == pytest.approx(seconds, abs=1e-6 if name != "lecture_phi" else 1e-12)


def test_chitchat_counts_in_means_and_smooths_for_ever():
    mean = (1000 * 1.0 + 5 * 5.0) / (1000 + 5)
    assert timeout(ac.presets.chitchat, 1.0) == pytest.approx(8 * mean, abs=2e-9)


def test_cassandra_after_its_seed_alone():
    detector, threshold = ac.presets.cassandra()
    m = ac.Monitor(detector, threshold=threshold)
    m.heartbeat(now=0)
    assert m.deadline() / NS == pytest.approx(2 * 8 * math.log(10))  # 36.8 s


@pytest.mark.parametrize(("name", "before", "after"), [("pekko_remote", 1.58, 1.58), ("hazelcast", 1.58, 25.4)])
def test_an_outage_is_learned_by_hazelcast_only(name, before, after):
    """A minute of silence after regular heartbeats, then regular ones again (peers.md, fact 5)."""
    detector, threshold = PRESETS[name]()
    intervals = np.full(400, NS)
    intervals[300] = 60 * NS
    arrivals = np.cumsum(intervals)
    found = ac.replay(arrivals, dataclasses.replace(detector, pause=0.0)).deadlines(threshold) - arrivals
    assert found[[299, 310]] / NS == pytest.approx([before, after], rel=2e-3)
