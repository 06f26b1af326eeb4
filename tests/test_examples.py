"""The examples run, and print what the library says."""

import importlib.util
import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import accrual as ac
from accrual.lab import UnavailableError
from accrual.recovery.labs.servers import find

EXAMPLES = Path(__file__).parents[1] / "examples"


@pytest.fixture
def which_detector():
    spec = importlib.util.spec_from_file_location("which_detector", EXAMPLES / "which_detector.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def traces(tmp_path):
    """Files of 1500 heartbeats with jitter and losses, of 1000 without a period, and of 40, too few."""
    chance = np.random.default_rng(8)
    arrivals = np.cumsum(np.round(chance.normal(0.1, 0.01, 1500) * 1e9).astype(np.int64))
    kept = chance.random(1500) > 0.02
    ac.Trace(arrivals[kept], sequence=np.flatnonzero(kept), period=0.1).write(tmp_path / "lossy-link.csv")
    ac.Trace(arrivals[:1000]).write(tmp_path / "bare.csv")
    ac.Trace(arrivals[:40], period=0.1).write(tmp_path / "short.csv")
    return [str(tmp_path / name) for name in ("lossy-link.csv", "bare.csv", "short.csv")]


def test_which_detector(which_detector, traces, capsys):
    assert which_detector.main(["--only", *traces]) == 0
    out, err = capsys.readouterr()
    assert "short: 40 heartbeats are too few, left out" in err
    assert out.count("## Equal") == 2
    assert "## Equal mean detection time: 2 traces, " in out
    trace = ac.read_trace(traces[0])
    detectors = which_detector.lineup(trace)
    [line] = [line for line in out.split("## Equal 99 %")[0].splitlines() if line.startswith("| lossy-link |")]
    cells = dict(zip(detectors, line.split(" | ")[2:], strict=True))
    found = ac.compare(trace, list(detectors.values()))
    for name in ("phi 100", "Chen", "ExpectedArrival"):
        rows = [row for row in found.rows if row.detector == detectors[name]]
        assert cells[name].removesuffix(" |") == " / ".join(map(which_detector.cell, rows))
    counts = [line.split(" | ")[2:] for line in out.splitlines() if line.startswith("| Bertier | ") and "/" not in line]
    points = sum(len(row.split(" / ")) for row in cells.values()) // len(cells)
    assert sum(int(count.removesuffix(" |")) for count in counts[0]) >= points


def test_which_detector_takes_the_recordings(which_detector):
    pytest.importorskip("pyarrow", reason="pip install accrual[traces]")
    labels = [label for label, _ in which_detector.recordings([], only=False)]
    assert labels == [name for name, dataset in ac.datasets().items() if dataset.kind == "recorded"]


def test_which_detector_without_a_trace(which_detector, traces, capsys):
    assert which_detector.main(["--only", traces[2]]) == 1
    assert capsys.readouterr().err.endswith("no trace is left\n")
    with pytest.raises(SystemExit):
        which_detector.main(["--only"])


def test_failover():
    """Real servers; its steps come in the controller's order, and the write at the end succeeds."""
    try:
        find("valkey")
    except UnavailableError as error:
        (pytest.fail if os.environ.get("CI") == "true" else pytest.skip)(str(error))
    done = subprocess.run(
        [sys.executable, str(EXAMPLES / "failover.py")], capture_output=True, text=True, timeout=120, check=False
    )
    assert done.returncode == 0, done.stderr
    said = [re.sub(r"[0-9.]+ s", "... s", line) for line in done.stdout.splitlines()]
    new = said[2][-1]
    assert new in "bc"
    assert said == [
        "a is stopped: alive, and silent",
        "term 1: kill a",
        f"term 1: promote {new}",
        f"term 1: clients and backups go to {new}",
        f"a write at {new}, ... s later: +OK",
    ]


def test_failover_without_a_server(tmp_path):
    done = subprocess.run(
        [sys.executable, str(EXAMPLES / "failover.py"), str(tmp_path / "none")],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith("failover.py: ")
    assert done.stderr.count("\n") == 1
