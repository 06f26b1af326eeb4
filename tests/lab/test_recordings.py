"""Recorded results of labs, and when they stand in for a lab."""

import hashlib
import json
import os
import runpy

import pytest
import sample_labs

from accrual.cli import main
from accrual.lab import LABS, LabError, LabResult, UnavailableError, recorded, recordings, run_or_recorded
from accrual.lab.recordings import FOLDER
from accrual.traces import bundled

NAMES = sorted(recordings())


@pytest.fixture(autouse=True)
def _findable(monkeypatch):
    monkeypatch.setenv("PYTHONPATH", sample_labs.PATH)


def test_every_file_is_in_the_manifest():
    files = {path.name for path in (bundled.data_root() / FOLDER).iterdir()}
    assert files == {one.file for one in recordings().values()} | {"manifest.json"}


@pytest.mark.parametrize("name", NAMES)
def test_a_recording_is_what_the_manifest_says(name):
    row = recordings()[name]
    text = (bundled.data_root() / FOLDER / row.file).read_bytes()
    assert hashlib.sha256(text).hexdigest() == row.sha256
    found = recorded(name)
    assert found.to_dict() == json.loads(text) | {"recorded": row.date}
    assert f"lab {found.lab}" in row.command
    assert row.machine == found.machine
    assert found.recorded == row.date
    assert f"[recorded {row.date}]" in repr(found)


@pytest.mark.parametrize("name", NAMES)
def test_a_recording_is_one_of_the_lab_that_there_is(name):
    """Whoever gives a lab another parameter records it anew."""
    found = recorded(name)
    assert found.parameters.keys() == LABS[found.lab].parameters.keys()
    assert found.rows
    assert found.machine["processors"] >= 1


def test_an_unknown_recording_is_refused():
    with pytest.raises(ValueError, match=r"name must be one of .*threads.*, got 'nonesuch'"):
        recorded("nonesuch")


def test_a_lab_that_can_run_runs():
    found = run_or_recorded(sample_labs.sample, "threads", rate=3)
    assert found.lab == "sample"
    assert found.recorded == ""
    assert "[recorded" not in repr(found)


@pytest.mark.parametrize(
    ("lab", "parameters", "why"),
    [
        (sample_labs.wanting, {}, "needs a unicorn (look in the woods)"),
        (sample_labs.ending, {"how": "error"}, "it did not work"),
    ],
)
def test_a_recording_stands_in_and_says_why(lab, parameters, why):
    told = []
    found = run_or_recorded(lab, "threads", on_event=told.append, **parameters)
    assert found.rows == recorded("threads").rows
    assert found.recorded.startswith(f"{recorded('threads').recorded}; not run here: ")
    assert why in found.recorded
    assert told[-len(found.events) :] == found.events
    assert LabResult.from_dict(found.to_dict()) == found


def test_without_a_recording_the_lab_says_what_is_wrong():
    with pytest.raises(UnavailableError, match="needs a unicorn"):
        run_or_recorded(sample_labs.wanting)
    with pytest.raises(LabError, match="it did not work"):
        run_or_recorded(sample_labs.ending, how="error")


@pytest.mark.skipif(not hasattr(os, "fork"), reason="the lab that is recorded needs fork")
def test_recording(tmp_path, monkeypatch, capsys):
    script = runpy.run_path(str(bundled.data_root() / "record_labs.py"))
    monkeypatch.setitem(script["record"].__globals__, "HERE", tmp_path / "labs")
    for size in ("64", "65"):
        script["record"](["ladder", "--trips", "100", "--size", size, "--as", f"ladder-{size}"])
    [one, other] = json.loads((tmp_path / "labs" / "manifest.json").read_text())
    assert [one["name"], other["name"]] == ["ladder-64", "ladder-65"]
    assert other["command"].endswith("accrual lab ladder --trips 100 --size 65 --json")
    text = (tmp_path / "labs" / other["file"]).read_bytes()
    assert hashlib.sha256(text).hexdigest() == other["sha256"]
    assert LabResult.from_dict(json.loads(text)).parameters == {"trips": 100, "size": 65}
    with pytest.raises(SystemExit, match="2"):
        script["record"](["ladder", "--trips", "1"])
    assert len(list((tmp_path / "labs").iterdir())) == 3


def test_no_recording_makes_up_for_a_wrong_parameter():
    with pytest.raises(ValueError, match="rate must be above 0"):
        run_or_recorded(sample_labs.sample, "threads", rate=-1)
    with pytest.raises(TypeError, match="no parameter speed"):
        run_or_recorded(sample_labs.sample, "threads", speed=1)


def test_what_a_lab_prints_is_a_recording(capsys):
    assert main(["lab", "sample", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert LabResult.from_dict(found).to_dict() == found


def test_a_wide_table_of_few_rows_is_turned():
    wide = {f"property_{number}": number for number in range(20)}
    lines = repr(LabResult("some", {}, [{"level": "thread"} | wide, {"level": "process"} | wide])).splitlines()
    assert lines[1].split() == ["level", "thread", "process"]
    assert lines[-1].split() == ["property", "19", "19", "19"]
    narrow = repr(LabResult("some", {}, [{"level": "thread", "hurt": 3}])).splitlines()
    assert [line.split() for line in narrow[1:]] == [["level", "hurt"], ["thread", "3"]]
