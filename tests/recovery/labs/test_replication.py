"""On real servers: what is promised is kept, and what is not promised is lost when there is a delay."""

import tempfile

import pytest
from lab_tools import living_in, run

from accrual.lab import Scene
from accrual.recovery.labs import replication

STORE_MODES = ["asynchronous", "WAIT 1", "WAIT 2"]
SECONDS = 1.5
"""Several round trips to the far replica, also on a busy machine."""
POSTGRES_MODES = ["off", "local", "on", "remote_apply"]


@pytest.fixture(autouse=True)
def _nothing_left(monkeypatch, tmp_path):
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr(tempfile, "tempdir", None)
    yield
    assert list(tmp_path.iterdir()) == []
    assert living_in(tmp_path) == []


def judge(found, safe, unsafe, delay):
    rows = {row["mode"]: row for row in found.rows}
    assert list(rows) == unsafe + safe
    for mode in safe:
        assert rows[mode]["acknowledged"] > 0, mode
        assert rows[mode]["lost"] == 0, mode
        assert rows[mode]["p50_ms"] >= 2e3 * delay, mode  # there and back
    for mode in unsafe:
        assert rows[mode]["acknowledged"] > rows[mode]["lost"] > 0, mode
        # The one with less has less.
        assert rows[mode]["lost_on_other"] >= rows[mode]["lost"], mode
    dead = [event for event in found.events if event.who == "a"]
    assert len(dead) == len(rows)


@pytest.mark.parametrize("system", ["valkey", "redis"])
def test_wait_keeps_its_promise_and_asynchronous_loses(system):
    found = run(replication, system=system, delay=0.05, far=0.3, rate=400.0, seconds=SECONDS)
    judge(found, STORE_MODES[1:], STORE_MODES[:1], 0.05)
    assert found.facts["server"].startswith(f"{system} ")
    waited = {row["mode"]: row for row in found.rows}
    assert waited["WAIT 1"]["promoted"] == "b"
    # Acknowledged by b after 0.1 s and by c only after 0.6 s: with c promoted they are gone.
    assert waited["WAIT 1"]["lost_on_other"] > 0
    assert waited["WAIT 2"]["p50_ms"] >= 600


def test_levels_of_synchronous_commit():
    found = run(replication, system="postgresql", delay=0.05, far=0.3, rate=400.0, seconds=SECONDS)
    judge(found, POSTGRES_MODES[2:], POSTGRES_MODES[:2], 0.05)


@pytest.mark.parametrize(
    ("parameters", "says"),
    [
        ({"delay": -0.1}, r"delay must be from 0 to 1, got -0\.1"),
        ({"delay": float("nan")}, "delay must be from 0 to 1, got nan"),
        ({"far": 2.0}, r"far must be from 0 to 1, got 2\.0"),
        ({"loss": 1.1}, r"loss must be from 0 to 1, got 1\.1"),
        ({"rate": 0.0}, r"rate must be above 0 and at most 100000, got 0\.0"),
        ({"seconds": 60.0}, r"seconds must be above 0 and at most 5, got 60\.0"),
        ({"clients": 0}, "clients must be from 1 to 16, got 0"),
        ({"system": "mysql"}, "system must be one of valkey, redis, postgresql, got 'mysql'"),
    ],
)
def test_bad_input_is_told(parameters, says, tmp_path):
    with pytest.raises(ValueError, match=says):
        replication.function(Scene(tmp_path), **parameters)
