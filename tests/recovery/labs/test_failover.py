"""On real servers: our controller promotes the right one, fences the zombie, and nothing is left behind."""

import os
import signal
import subprocess
import sys
import tempfile

import pytest
from lab_tools import living_in, run, runnable, wait_for

from accrual.lab import Scene
from accrual.recovery.labs import failover, replication

PATIENT = "phi:min_deviation=0.2"
"""A detector that a busy machine does not fool: Phi = 8 is 5.6 deviations, 1.2 s."""
FIXED = "fixed:period=0.25"
"""Another: k = 5, 1.25 s."""
DOWN_AFTER = 2.0
"""And Sentinel's."""


@pytest.fixture(autouse=True)
def folder(monkeypatch, tmp_path):
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr(tempfile, "tempdir", None)
    yield tmp_path
    assert list(tmp_path.iterdir()) == []
    assert living_in(tmp_path) == []


def only(found):
    [row] = found.rows
    assert row["acknowledged"] > 0
    assert 0 < row["detection"] <= row["promotion"] <= row["writable"]
    return row


def order(found, *parts):
    """The events in whose words the parts appear come in that order."""
    at = [next(event.at for event in found.events if part in f"{event.who}: {event.what}") for part in parts]
    assert at == sorted(at)


@pytest.mark.parametrize("system", ["valkey", "redis"])
def test_killed_primary_with_our_detectors_and_sentinel(system):
    valkey = system == "valkey"
    found = run(
        failover,
        system=system,
        detector=f"{PATIENT} {FIXED}" if valkey else PATIENT,
        sentinel=not valkey,
        down_after=DOWN_AFTER,
    )
    first, second = found.rows
    assert first["driver"] == "phi-normal:min_deviation=0.2, Phi = 8"
    assert second["driver"] == ("fixed-timeout:period=0.25, k = 5" if valkey else "sentinel, down-after = 2")
    for row in found.rows:
        assert 0 < row["detection"] <= row["promotion"] <= row["writable"]
        assert row["lost"] == 0  # the kernel delivers what the killed process had sent
        assert row["zombie_accepted"] is None
    if not valkey:
        assert second["detection"] > 0.5  # its down-after, less the time from the last answer to the fault
    order(found, "a: phi-normal: killed", "suspects a", "has promoted", "client: phi-normal: writes to")


def test_a_machine_without_power_loses_what_was_under_way():
    row = only(run(failover, fault="power", detector=PATIENT, sentinel=False, delay=0.2))
    assert 0 < row["lost"] < row["acknowledged"]


@pytest.mark.parametrize("fence", ["network", "power"])
def test_a_fenced_zombie_accepts_nothing(fence):
    found = run(failover, fault="stop", fence=fence, detector=PATIENT, sentinel=False)
    row = only(found)
    assert row["zombie_accepted"] == 0
    assert row["lost"] == 0
    order(found, "a: phi-normal: stopped", "controller: fences a", "client: phi-normal: writes to")
    if fence == "network":
        assert row["demoted"] is not None
        order(found, "fences a", "wakes up", "takes a back", "client: phi-normal: 0 of")


@pytest.mark.parametrize("min_replicas", [0, 1])
def test_the_zombie_of_sentinel(min_replicas):
    """It is demoted only 10 s after it woke up: here after the end. What it acknowledges until then is lost."""
    found = run(failover, fault="stop", detector="", watch=3.0, min_replicas=min_replicas, down_after=DOWN_AFTER)
    row = only(found)
    assert row["driver"] == "sentinel, down-after = 2"
    if min_replicas:
        assert row["zombie_accepted"] == 0
        assert row["lost"] == 0
    else:
        assert row["zombie_accepted"] > 0
        assert row["lost"] >= row["zombie_accepted"] or row["demoted"] is None


def test_without_a_fence_it_is_only_demoted():
    row = only(run(failover, fault="stop", fence="none", detector=PATIENT, sentinel=False, min_replicas=1))
    assert row["demoted"] is not None
    assert row["zombie_accepted"] == 0  # min-replicas-to-write is what stops it


@pytest.mark.parametrize(
    ("lab", "words", "begun", "sign"),
    [
        (failover, ["--no-sentinel", "--detector", "fixed"], "begins to write", signal.SIGINT),
        (failover, ["--no-sentinel", "--detector", "fixed"], "begins to write", signal.SIGKILL),
        (replication, ["--system", "postgresql"], "begin to write", signal.SIGKILL),
    ],
)
def test_interrupted(lab, words, begun, sign, folder):
    runnable(lab, **({"system": "postgresql"} if lab is replication else {}))
    command = [sys.executable, "-m", "accrual", "lab", lab.name, *words]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True) as caller:
        said = ""
        while begun not in said:
            line = caller.stderr.readline()
            assert line, f"it did not begin: {said}"
            said += line
        assert len(living_in(folder)) >= 3
        os.kill(caller.pid, sign)
    wait_for(lambda: not list(folder.iterdir()) and not living_in(folder))


@pytest.mark.parametrize(
    ("parameters", "says"),
    [
        ({"detector": "psi"}, "detector must be one of"),
        ({"detector": "phi:mean=1"}, "phi-normal has the parameters"),
        ({"detector": "", "sentinel": False}, "nobody would fail over"),
        ({"threshold": -1.0}, "threshold"),
        ({"delay": -0.1}, r"delay must be from 0 to 1, got -0\.1"),
        ({"period": 0.0}, r"period must be from 0\.01 to 1, got 0\.0"),
        ({"min_replicas": 3}, "min_replicas must be from 0 to 2, got 3"),
        ({"down_after": float("nan")}, "down_after must be from 0.1 to 5, got nan"),
        ({"watch": 100.0}, r"watch must be from 1 to 15, got 100\.0"),
        ({"fault": "fire"}, "fault must be one of kill, power, stop, got 'fire'"),
        ({"fence": "wood"}, "fence must be one of network, power, none, got 'wood'"),
        ({"system": "postgresql"}, "system must be one of valkey, redis, got 'postgresql'"),
    ],
)
def test_bad_input_is_told_before_anything_starts(parameters, says, folder):
    with pytest.raises(ValueError, match=says) as told:
        failover.function(Scene(folder), **parameters)
    assert "\n" not in str(told.value)
