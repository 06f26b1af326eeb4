import json
import re
import runpy
from pathlib import Path

import pytest

from accrual.traces import Trace
from accrual.traces.record import record

DATA = Path(__file__).parents[2] / "data"
make = runpy.run_path(str(DATA / "make_manifest.py"))


def test_the_manifest_says_what_the_recordings_are():
    assert (DATA / "manifest.json").read_text(encoding="utf-8") == make["manifest"](DATA), "run data/make_manifest.py"


@pytest.mark.parametrize("path", sorted(DATA.glob("*.parquet")), ids=lambda path: path.stem)
def test_recordings_are_long_and_small(path):
    entry = make["entry"](path)
    assert entry["heartbeats"] >= 25_000
    assert entry["duration"] >= 500
    assert path.stat().st_size <= 2**20


def test_all_of_it_is_small():
    assert sum(path.stat().st_size for path in DATA.iterdir() if path.is_file()) <= 8 * 2**20


def test_the_readme_says_what_the_recordings_are():
    assert (DATA / "README.md").read_text(encoding="utf-8") == make["readme"](DATA), "run data/make_manifest.py"


def test_every_recording_was_looked_at():
    assert set(make["NOTES"]) == {path.stem for path in DATA.glob("*.parquet")}


def test_figures():
    """Ten heartbeats of 10 ms, of which three are lost, and a gap."""
    at = [0, 10, 20, 50, 60, 70, 1000]
    trace = Trace([1_000_000 * t for t in at], sequence=[0, 1, 2, 5, 6, 7, 9])
    expected = "Intervals: median 10.00 ms, 99 % up to 885.0 ms, the longest 930 ms; 3 lost, 2 in a row at most."
    assert make["figures"](trace) == expected


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
    assert re.fullmatch(r"none; beside whatever else ran: load average .* after", entry["disturbance"])
    assert re.fullmatch(r"Intervals: median .* none lost\.", entry["description"])
    assert entry["licence"] == "CC0-1.0"
    assert len(entry["sha256"]) == 64
