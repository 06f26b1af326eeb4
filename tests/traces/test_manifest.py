import json
import runpy
from pathlib import Path

import pytest

from accrual.traces.record import record

DATA = Path(__file__).parents[2] / "data"
make = runpy.run_path(str(DATA / "make_manifest.py"))


def test_the_manifest_says_what_the_recordings_are():
    assert (DATA / "manifest.json").read_text(encoding="utf-8") == make["manifest"](DATA), "run data/make_manifest.py"


@pytest.mark.parametrize("path", sorted(DATA.glob("*.parquet")), ids=lambda path: path.stem)
def test_recordings_are_long_and_small(path):
    assert make["entry"](path)["heartbeats"] >= 100_000
    assert path.stat().st_size <= 1.5 * 2**20


def test_an_entry(tmp_path):
    record(tmp_path / "short.parquet", period=0.001, count=10, title="A short one")
    (entry,) = json.loads(make["manifest"](tmp_path))["datasets"]
    assert entry["name"] == "short"
    assert entry["file"] == "short.parquet"
    assert entry["title"] == "A short one"
    assert entry["kind"] == "recorded"
    assert entry["heartbeats"] == 10
    assert entry["duration"] > 0
    assert entry["period"] == 0.001
    assert entry["disturbance"] == "none"
    assert entry["licence"] == "CC0-1.0"
    assert len(entry["sha256"]) == 64
