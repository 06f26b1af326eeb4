import dataclasses
import errno
import gzip
import hashlib
import io
import json
import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import captures
import numpy as np
import pytest

import accrual as ac
from accrual.cli import _duration, main
from accrual.traces import Dataset, parts
from accrual.traces.synthetic import RECIPES, Specification
from accrual.traces.wire import Heartbeat, encode

NS = 1_000_000_000


def reply(number, ms=12.5):
    return f"64 bytes from 192.0.2.1: icmp_seq={number} ttl=64 time={ms} ms\n"


def ping_log(*sessions):
    """A log of ping with a session for each list of numbers."""
    return "".join("PING host (192.0.2.1): 56 data bytes\n" + "".join(map(reply, numbers)) for numbers in sessions)


@pytest.fixture(autouse=True)
def _in_a_folder_of_its_own(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def trace():
    """Heartbeats 0.1 s apart with jitter, two pauses, and a loss."""
    intervals = np.random.default_rng(7).normal(0.1, 0.01, 2000)
    intervals[[500, 1500]] += 0.45
    arrivals = np.cumsum(np.round(intervals * 1e9).astype(np.int64))
    return ac.Trace(arrivals, sequence=np.arange(2000) + (np.arange(2000) > 700), period=0.1)


@pytest.fixture
def file(trace):
    trace.write("beats.csv")
    return "beats.csv"


@pytest.fixture
def log():
    Path("ping.log").write_text(ping_log(range(30), [*range(10), *range(12, 40)], range(20)))
    return "ping.log"


@pytest.fixture
def accrual(capsys):
    """Run the command and return its status, output and complaints."""

    def run(*arguments):
        status = main(list(map(str, arguments)))
        return status, *capsys.readouterr()

    return run


@pytest.fixture
def results(accrual):
    """Run the command with --json and return what it printed."""

    def run(*arguments):
        status, out, err = accrual(*arguments, "--json")
        assert (status, err) == (0, "")
        return json.loads(out)

    return run


def stdin(monkeypatch, data):
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(data)))


def columns(line):
    """Tell the words of a head or the figures of a row, which two blanks at least keep apart."""
    return [cell.strip() for cell in line.split("  ") if cell.strip()]


# ---- replay ----


@pytest.mark.parametrize(
    ("text", "detector"),
    [
        ("phi", ac.PhiNormal()),
        ("phi-normal:window=50,min_deviation=0.02", ac.PhiNormal(window=50, min_deviation=0.02)),
        ("fixed", ac.FixedTimeout(period=0.1)),
        ("fixed-timeout:period=0.2", ac.FixedTimeout(period=0.2)),
    ],
)
@pytest.mark.parametrize(
    ("options", "given"), [((), {}), (("--skip", 60, "--transit", 0.25), {"skip": 60, "transit": 0.25})]
)
def test_replay_gives_what_qos_gives(results, trace, file, text, detector, options, given):
    expected = ac.qos(trace, detector, 1.5, **given).to_dict()
    [result] = results("replay", file, "--detector", text, "--threshold", 1.5, *options)
    assert result == {"trace": file, "session": 1, "detector": str(detector), "threshold": 1.5, **expected}
    assert result["mistakes"] > 0


def test_replay_has_defaults(results, trace, file):
    [result] = results("replay", file)
    assert result["mistakes"] == ac.qos(trace, ac.PhiNormal(), ac.PhiNormal.typical_threshold).mistakes
    [result] = results("replay", file, "--detector", "fixed")
    assert result["threshold"] == ac.FixedTimeout.typical_threshold


def test_replay_on_threads(results, file):
    assert results("replay", file, "--threads", 2) == results("replay", file)


def test_replay_prints_a_row_for_each_trace(accrual, trace, file, log):
    status, out, err = accrual("replay", file, log, "--threshold", "2")
    title, heads, units, *rows = out.splitlines()
    q = ac.qos(trace, ac.PhiNormal(), 2)
    assert (status, err) == (0, "")
    assert title == "phi-normal, Phi = 2"
    assert columns(heads)[:4] == ["trace", "observed", "lost", "detection time"]
    assert columns(units)[:2] == ["s", "s"]
    assert len(set(map(len, [heads, *rows]))) == 1
    first = columns(rows[0])
    assert first[0] == file
    assert float(first[1]) == pytest.approx(q.observed, rel=1e-3)
    assert int(first[2]) == q.lost == 1
    assert int(first[6]) == q.mistakes
    assert [columns(row)[0] for row in rows[1:]] == [f"{log} session {n}" for n in (1, 2, 3)]


def test_replay_prints_a_table_for_each_detector(accrual, file, log):
    """The period comes from the trace, so that one text can be two detectors."""
    _, out, _ = accrual("replay", file, log, "--detector", "fixed")
    assert [line for line in out.splitlines() if line.startswith("fixed")] == [
        "fixed-timeout:period=0.1, k = 5",
        "fixed-timeout:period=1, k = 5",
    ]


def test_replay_of_one_session(results, log):
    [result] = results("replay", log, "--session", "2")
    assert (result["session"], result["lost"]) == (2, 2)
    assert result["mistakes"] == ac.qos(ac.import_trace(log)[1], ac.PhiNormal(), 8).mistakes


def test_replay_lists_the_mistakes(results, accrual, trace, file):
    expected = ac.replay(trace, ac.PhiNormal()).mistakes(8)
    [result] = results("replay", file, "--mistakes")
    assert result["mistake_list"] == expected.to_dict()
    assert result["mistakes"] == len(expected) > 1
    _, out, _ = accrual("replay", file, "--mistakes")
    table = out.partition(f"\n\n{file}: ")[2].splitlines()
    assert table[0] == f"{len(expected)} mistakes, times from the first arrival"
    assert len(table) == 3 + len(expected)
    start, end, duration = map(float, columns(table[-1]))
    assert start == pytest.approx((expected.start[-1] - trace.arrivals[0]) / NS, abs=1e-6)
    assert end - start == pytest.approx(duration, abs=2e-6)


def test_replay_lists_the_mistakes_that_were_scored(results, trace, file):
    found = ac.replay(trace, ac.PhiNormal()).mistakes(1)
    [result] = results("replay", file, "--mistakes", "--threshold", 1, "--skip", 1000)
    scored = found.end > trace.arrivals[1000]
    assert result["mistakes"] == scored.sum() > 1
    assert result["mistake_list"] == {"start": found.start[scored].tolist(), "end": found.end[scored].tolist()}


def test_a_mistake_that_does_not_end(results, accrual):
    # A level of 0 is reached at once, and so with every heartbeat again.
    Path("open.csv").write_text("arrival_ns\n0\n1000000000\n2000000000\n9000000000\n")
    arguments = ("replay", "open.csv", "--mistakes", "--threshold", "0", "--detector", "phi")
    [result] = results(*arguments)
    assert result["mistake_list"]["end"] == [None]
    _, out, _ = accrual(*arguments)
    assert columns(out.splitlines()[-1])[1:] == ["open", "-"]


def test_no_mistakes_to_list(results, accrual, file):
    arguments = ("replay", file, "--mistakes", "--threshold", "1000")
    [result] = results(*arguments)
    assert result["mistake_list"] == {"start": [], "end": []}
    assert result["mistake_duration"] is None
    status, out, _ = accrual(*arguments)
    assert status == 0
    assert f"{file}: 0 mistakes" in out


def test_one_bad_trace_does_not_stop_the_others(accrual, file):
    Path("short.csv").write_text("arrival_ns\n1\n")
    status, out, err = accrual("replay", "missing", file, "short.csv", "--json")
    assert status == 1
    assert [result["trace"] for result in json.loads(out)] == [file]
    missing, short = err.splitlines()
    assert missing.startswith("accrual: missing: ")
    assert short.startswith("accrual: short.csv: nothing to score")


# ---- describe ----


def test_describe_tells_what_describe_gives(accrual, results, trace, file):
    expected = ac.describe(trace)
    digest = hashlib.sha256(Path(file).read_bytes()).hexdigest()
    assert results("describe", file) == [{"trace": file, "session": 1, **expected.to_dict(), "sha256": digest}]
    status, out, err = accrual("describe", file)
    assert (status, err) == (0, "")
    assert out.startswith(f"{file}\n{repr(expected).split('in order')[0]}")
    assert f"sha256            {digest}; the file has no checksums of its columns\n" in out


def test_describe_of_every_session_of_a_log(accrual, log):
    status, out, _ = accrual("describe", log)
    assert status == 0
    assert [line for line in out.splitlines() if line.startswith("ping.log")] == [
        f"ping.log session {n}" for n in (1, 2, 3)
    ]
    assert accrual("describe", log, "--session", 2)[1].startswith("ping.log session 2\nheartbeats        38")
    status, _, err = accrual("describe", log, "--plot", "out.svg")
    assert (status, err) == (2, "accrual: ping.log has 3 sessions: choose one to plot by --session\n")


def test_a_picture_of_a_trace(accrual, file):
    pytest.importorskip("matplotlib", reason="pip install accrual[lessons]")
    assert accrual("describe", file, "--plot", "out.svg")[0] == 0
    assert "beats.csv: 2,000 heartbeats" in Path("out.svg").read_text()


@pytest.mark.parametrize(
    "command", [("replay",), ("replay", "--mistakes"), ("curve",), ("curve", "--detector", "bertier"), ("describe",)]
)
def test_parquet_is_gone_through_piece_by_piece_with_the_same_result(results, trace, file, command, monkeypatch):
    """And not read whole, but for the list of mistakes."""
    pytest.importorskip("pyarrow", reason="pip install accrual[traces]")
    trace.write("beats.parquet")
    command, *options = command
    expected = results(command, file, *options)
    if "--mistakes" not in options:
        monkeypatch.setattr("accrual.traces.parquet.read", None)
    found = results(command, "beats.parquet", *options)
    for one in (*expected, *found):
        for name in ("trace", "sha256", "verified"):
            one.pop(name, None)
    assert found == expected


def test_damage_of_a_parquet_file_is_named_once(accrual, trace):
    pytest.importorskip("pyarrow", reason="pip install accrual[traces]")
    trace.write("beats.parquet")
    content = bytearray(Path("beats.parquet").read_bytes())
    content[2000] ^= 1
    Path("beats.parquet").write_bytes(content)
    for command in ("describe", "curve", "replay"):
        status, out, err = accrual(command, "beats.parquet")
        assert (status, out) == (1, "")
        assert err.count("beats.parquet") == err.count("\n") == 1
        assert err.startswith("accrual: beats.parquet: not a whole Parquet file: ")


# ---- curve ----


def test_curve_gives_what_curve_gives(results, trace, file):
    detectors = ac.PhiNormal(), ac.FixedTimeout(period=0.1)
    expected = [{"trace": file, "session": 1, **ac.curve(trace, d).to_dict()} for d in detectors]
    assert results("curve", file) == expected


def test_curve_options(results, trace, file):
    chosen = ac.PhiNormal(window=20), ac.FixedTimeout(period=0.1), ac.PhiNormal(window=30)
    arguments = [word for d in chosen for word in ("--detector", str(d))]
    expected = [ac.curve(trace, d, [2, 1], skip=50, transit=0.5, threads=2).to_dict() for d in chosen]
    options = ("--thresholds", "2,1", "--skip", 50, "--transit", 0.5, "--threads", 2)
    found = results("curve", file, *arguments, *options)
    assert [result.items() >= one.items() for result, one in zip(found, expected, strict=True)] == [True] * 3


@pytest.mark.parametrize(
    ("text", "values"),
    [
        ("8", [8.0]),
        ("4,1e0,2.5", [4.0, 1.0, 2.5]),
        ("0.1:0.5:0.1", [0.1, 0.2, 0.3, 0.4, 0.5]),  # in binary 0.30000000000000004, and no 0.5
        ("1,2:3:0.4,8", [1.0, 2.0, 2.4, 2.8, 8.0]),
        ("3:3:1", [3.0]),
    ],
)
def test_thresholds(results, file, text, values):
    [result] = results("curve", file, "--detector", "phi", "--thresholds", text)
    assert result["threshold"] == values


def test_curve_prints_a_table_for_each_detector(accrual, trace, file):
    status, out, err = accrual("curve", file, "--thresholds", "1,2,4")
    phi, fixed = (table.splitlines() for table in out.split("\n\n"))
    assert (status, err) == (0, "")
    assert phi[0].startswith(f"{file}: phi-normal, ")
    assert fixed[0].startswith(f"{file}: fixed-timeout:period=0.1, 1,999 heartbeats in 200.0 s, 1 lost")
    assert columns(phi[1]) == [
        "Phi", "detection time", "mistakes", "mistake rate", "mistake duration", "query accuracy",
    ]  # fmt: skip
    assert columns(phi[2]) == ["s", "1/s", "s"]
    expected = ac.curve(trace, ac.PhiNormal(), [1, 2, 4])
    for k, row in enumerate(phi[3:]):
        threshold, *figures = map(float, columns(row))
        assert threshold == expected.thresholds[k]
        fields = ("detection_time", "mistakes", "mistake_rate", "mistake_duration", "query_accuracy")
        assert figures == [pytest.approx(getattr(expected[k], field), rel=6e-4) for field in fields]
    assert len(phi) == len(fixed) == 6


def test_own_thresholds_fit_on_a_screen(accrual, file):
    _, out, _ = accrual("curve", file)
    phi, fixed = (table.splitlines() for table in out.split("\n\n"))
    for lines, name, highest in ((phi, "63", "16"), (fixed, "96", "20")):
        assert len(lines) == 3 + 16 + 1
        assert columns(lines[-2])[0] == highest
        assert lines[-1].startswith(f"16 of {name} thresholds")


def test_accuracy_is_told_from_one(accrual):
    arrivals = np.arange(100_000) * NS
    arrivals[50_000:] += 1_200_000
    ac.Trace(arrivals, period=1).write("calm.csv")
    _, out, _ = accrual("curve", "calm.csv", "--detector", "fixed", "--thresholds", "1.001,1.01")
    one_mistake, none = (columns(line) for line in out.splitlines()[3:])
    assert one_mistake[-1] == "0.9999999980"  # 0.2 ms of 100,000 s
    assert none[1:] == ["1.010", "0", "0", "-", "1"]


@pytest.mark.parametrize("name", ["curves.png", "curves.svg", "curves.pdf"])
def test_plot(accrual, file, name):
    pytest.importorskip("matplotlib", reason="pip install accrual[lessons]")
    status, out, err = accrual("curve", file, "--plot", name, "--thresholds", "1,2")
    assert (status, err) == (0, "")
    assert "fixed-timeout" in out
    assert Path(name).stat().st_size > 1000
    assert sorted(os.listdir()) == sorted([file, name])


# ---- compare, tune, calibration ----


def test_compare_gives_what_compare_gives(results, trace, file):
    [found] = results("compare", file, "--detector", "phi:window=100", "--detection-time", "150ms,0.3", "--seed", 5)
    expected = ac.compare(trace, [ac.PhiNormal(window=100)], [0.15, 0.3], seed=5)
    assert found == {"trace": file, "session": 1} | json.loads(json.dumps(expected.to_dict()))


def test_compare_has_defaults(accrual, trace):
    ac.Trace(np.arange(3000) * NS // 10 + np.arange(3000) ** 2 % 37 * 10**6, period=0.1).write("long.csv")
    status, out, err = accrual("compare", "long.csv", "--at", "p99")
    assert (status, err) == (0, "")
    assert out.startswith("long.csv: 1,999 heartbeats in 199.9 s, from arrival 1,000 on; ")
    for word in (
        "equal 99 % quantile",
        "fixed-timeout:period=0.1",
        "phi-exponential",
        "phi-normal",
        "chen",
        "expected",
    ):
        assert word in out


def test_tune_gives_what_tune_gives(results, trace, file):
    [found] = results("tune", file, "--detector", "phi:window=100", "--mistake-rate", "360/h", "--share", "0.6")
    assert (
        found
        == {"trace": file, "session": 1}
        | ac.tune(trace, ac.PhiNormal(window=100), mistake_rate=0.1, share=0.6).to_dict()
    )
    [found] = results("tune", file, "--detector", "fixed", "--detection-time", "150ms", "--at", "p99")
    assert found["learnt"]["detection_time_p99"] == pytest.approx(0.15)
    [found] = results("tune", file, "--detector", "fixed", "--time-to-failure", "1h", "--failover", "10s")
    assert found["cost"] == ac.tune_cost(trace, ac.FixedTimeout(period=0.1), 3600, 10).cost


@pytest.mark.parametrize(("text", "rate"), [("1/h", 1 / 3600), ("0.5", 0.5), ("3/10min", 0.005), ("2/s", 2.0)])
def test_rates(results, file, text, rate):
    assert results("tune", file, "--detector", "fixed", "--mistake-rate", text)[0]["mistake_rate"] == rate


def test_what_cannot_be_met_is_an_answer(accrual, file):
    status, out, err = accrual("tune", file, "--detector", "empirical:window=50", "--mistake-rate", "1/h")
    assert (status, err) == (0, "")
    assert "cannot be met: " in out


def test_calibration_gives_what_calibration_gives(results, accrual, trace, file):
    detectors = [ac.PhiNormal(window=100), ac.PhiStudent(window=20)]
    arguments = [word for d in detectors for word in ("--detector", str(d))]
    found = results("calibration", file, *arguments, "--thresholds", "1,2")
    assert found == [
        {"trace": file, "session": 1} | json.loads(json.dumps(ac.calibration(trace, d, [1, 2]).to_dict()))
        for d in detectors
    ]
    status, out, _ = accrual("calibration", file)
    assert status == 0
    assert "beats.csv: phi-student: 999 heartbeats" in out


@pytest.mark.parametrize("command", ["compare", "calibration"])
def test_plots_of_them(accrual, file, command):
    pytest.importorskip("matplotlib", reason="pip install accrual[lessons]")
    status, _, err = accrual(command, file, "--detector", "phi:window=100", "--plot", "out.svg")
    assert (status, err) == (0, "")
    assert Path("out.svg").stat().st_size > 1000


def test_progress_of_a_comparison(file, monkeypatch, capsys):
    monkeypatch.setattr(sys, "stderr", terminal := Terminal())
    assert main(["compare", file, "--detector", "phi:window=100", "--detection-time", "0.2"]) == 0
    assert "\r\x1b[K3 of 3: phi-normal:window=100, threshold " in terminal.getvalue()
    assert terminal.getvalue().endswith("\r\x1b[K")


@pytest.mark.parametrize("command", ["compare", "calibration", "tune --mistake-rate 1"])
def test_traces_shorter_than_the_window(accrual, trace, command):
    trace[:50].write("short.csv")
    verb, *rest = command.split()
    status, out, err = accrual(verb, "short.csv", *rest)
    assert (status, out) == (1, "")
    assert err.startswith("accrual: short.csv: too short: 50 heartbeats never fill the window of ")
    assert len(err.splitlines()) == 1


# ---- import ----


def test_import_writes_a_file_for_each_session(accrual, log):
    status, out, err = accrual("import", log, "out.csv.gz")
    assert (status, err) == (0, "")
    assert out.splitlines() == [
        "out-1.csv.gz: 30 heartbeats in 29.0 s",
        "out-2.csv.gz: 38 heartbeats in 39.0 s",
        "out-3.csv.gz: 20 heartbeats in 19.0 s",
    ]
    assert [ac.read_trace(f"out-{n}.csv.gz") for n in (1, 2, 3)] == ac.import_trace(log)
    assert sorted(os.listdir()) == ["out-1.csv.gz", "out-2.csv.gz", "out-3.csv.gz", log]


def test_import_of_one_session(results, log):
    [summary] = results("import", log, "out.csv", "--session", 2)
    session = ac.read_trace("out.csv")
    assert session == ac.import_trace(log)[1]
    assert summary == {
        "file": "out.csv", "session": 2, "heartbeats": 38, "duration": 39.0, "period": 1.0, "about": session.about,
    }  # fmt: skip


def test_import_converts(accrual, trace, file):
    pytest.importorskip("pyarrow", reason="pip install accrual[traces]")
    assert accrual("import", file, "beats.parquet") == (0, "beats.parquet: 2,000 heartbeats in 200.0 s\n", "")
    assert accrual("import", "beats.parquet", "again.csv")[0] == 0
    assert ac.read_trace("beats.parquet") == ac.read_trace("again.csv") == trace


def test_sessions_without_a_heartbeat_are_not_written(accrual):
    Path("ping.log").write_text(ping_log(range(5), [], range(7)))
    status, _, err = accrual("import", "ping.log", "out.csv")
    assert (status, err) == (0, "accrual: ping.log session 2: no heartbeat, not written\n")
    assert sorted(os.listdir()) == ["out-1.csv", "out-3.csv", "ping.log"]


def test_lenient_says_what_was_skipped(accrual, log):
    text = Path(log).read_text()
    Path(log).write_text(text.replace(reply(3), "rubbish\n") + "64 bytes from 192.0")
    status, out, err = accrual("import", log, "out.csv")
    assert (status, out) == (1, "")
    assert err.startswith(f"accrual: {log}:5: ")
    status, out, err = accrual("import", log, "out.csv", "--lenient")
    assert (status, err) == (0, f"accrual: {log}: lines skipped: 4\n")
    assert out.startswith("out-1.csv: 29 heartbeats")


def test_lenient_says_what_was_cut(accrual, trace):
    trace.write("beats.csv.gz")
    data = Path("beats.csv.gz").read_bytes()
    Path("beats.csv.gz").write_bytes(data[: len(data) // 2])
    status, _, err = accrual("replay", "beats.csv.gz", "--lenient")
    assert status == 0
    assert "the rest is damaged" in err
    assert len(err.splitlines()) == 1


def test_what_a_file_says_was_skipped_may_be_anything(accrual, trace):
    ac.Trace(trace.arrivals, skipped=["?"], truncated={}).write("odd.csv")
    status, _, err = accrual("replay", "odd.csv", "--lenient")
    assert (status, err) == (0, "accrual: odd.csv: lines skipped: 0\n")


def test_import_overwrites_when_told(accrual, trace, file):
    Path("out.csv").write_text("precious")
    status, out, err = accrual("import", file, "out.csv")
    assert (status, out) == (1, "")
    assert err == "accrual: out.csv: exists already, only --force overwrites it\n"
    assert Path("out.csv").read_text() == "precious"
    assert accrual("import", file, "out.csv", "--force")[0] == 0
    assert ac.read_trace("out.csv") == trace


def test_nothing_is_written_where_one_of_many_exists(accrual, log):
    Path("out-2.csv").write_text("precious")
    assert accrual("import", log, "out.csv")[0] == 1
    assert sorted(os.listdir()) == ["out-2.csv", log]


# ---- synthesize ----

SPECIFIED = (
    "--heartbeats 5000 --period 100ms --delay lognormal:mean=0.05,deviation=0.02 --loss gilbert:loss=0.1,burst=3"
)


def test_synthesize_gives_what_synthesize_gives(accrual):
    status, out, err = accrual("synthesize", *SPECIFIED.split(), "--seed", 7, "-o", "out.csv.gz")
    expected = ac.synthesize(
        5000, delay="lognormal:mean=0.05,deviation=0.02", loss="gilbert:loss=0.1,burst=3", seed=7, period=0.1
    )
    assert ac.read_trace("out.csv.gz") == expected
    assert (status, err) == (0, "")
    assert re.fullmatch(rf"out.csv.gz: {len(expected):,} synthetic heartbeats in (499|500)\.\d s, seed 7\n", out)


def test_a_specification_goes_through_json(accrual, results):
    specification = results("synthesize", *SPECIFIED.split(), "--seed", 7, "--sleeping")
    assert specification["delay"] == "lognormal:mean=0.05,deviation=0.02"
    Path("s.json").write_text(json.dumps(specification | {"drift": None}))
    assert results("synthesize", "--specification", "s.json") == specification
    summary = results("synthesize", "--specification", "s.json", "--no-sleeping", "-o", "out.csv")
    assert summary["about"]["synthetic"] == {k: v for k, v in specification.items() if k != "sleeping"}
    assert summary["heartbeats"] == len(ac.read_trace("out.csv"))
    assert ac.synthesize(**summary["about"]["synthetic"]) == ac.read_trace("out.csv")


def test_synthesize_a_recipe(accrual, results):
    assert results("synthesize", "--recipe", "bursty", "--heartbeats", 300, "--loss", "none")["heartbeats"] == 300
    status, out, err = accrual("synthesize", "--recipe", "crash", "-o", "-")
    assert status == 0
    assert ": 9" in err
    Path("crash.csv").write_text(out)
    assert ac.read_trace("crash.csv") == ac.synthesize(recipe="crash")
    [result] = results("replay", "synthetic-crash")
    assert result["mistakes"] > 10


def test_synthesize_does_not_overwrite(accrual, file):
    assert accrual("synthesize", "--heartbeats", 10, "-o", file) == (
        1, "", f"accrual: {file}: exists already, only --force overwrites it\n"
    )  # fmt: skip
    assert accrual("synthesize", "--heartbeats", 10, "-o", file, "--force")[0] == 0
    assert len(ac.read_trace(file)) == 10


def test_nothing_arrives(accrual):
    status, out, err = accrual("synthesize", "--loss", "independent:loss=1", "-o", "out.csv")
    assert (status, out, err) == (1, "", "accrual: out.csv: no heartbeat arrives, nothing is written\n")
    assert os.listdir() == []


@pytest.mark.parametrize("text", ["", "{", "[1]", "7", "\x00", "[" * 100_000])
def test_what_is_no_specification(accrual, text):
    Path("s.json").write_text(text)
    status, out, err = accrual("synthesize", "--specification", "s.json", "-o", "out.csv")
    assert (status, out) == (1, "")
    assert err.startswith("accrual: s.json: expected a specification in JSON")
    assert len(err.splitlines()) == 1
    assert os.listdir() == ["s.json"]


@pytest.mark.parametrize("text", ['{"frobnicate": 1}', '{"heartbeats": "many"}', '{"delay": {"mean": 1}}'])
def test_a_wrong_specification(accrual, text):
    Path("s.json").write_text(text)
    status, out, err = accrual("synthesize", "--specification", "s.json", "-o", "out.csv")
    assert (status, out) == (1, "")
    assert err.startswith("accrual: s.json: ")
    assert len(err.splitlines()) == 1
    assert accrual("synthesize", "--specification", "missing.json", "--json")[0] == 1


def test_long_synthesis_shows_where_it_is(monkeypatch, capsys):
    monkeypatch.setattr("accrual.cli._LONG", 1000)
    monkeypatch.setattr(sys, "stderr", terminal := Terminal())
    assert main(["synthesize", "--heartbeats", "1000", "-o", "out.csv"]) == 0
    shown = terminal.getvalue().split("\r\x1b[K")
    assert shown[1] == "1,000 heartbeats: sending"
    assert shown[-2:] == ["1,000 heartbeats: writing", ""]
    terminal.seek(0)
    terminal.truncate()
    assert main(["synthesize", "--heartbeats", "999", "-o", "short.csv"]) == 0
    assert terminal.getvalue() == ""


NODES = "1163438041250 20 1 21,21\n1163438041468 10 1 20,07\n1163438101250 20 2 21,21\n"
TABLE = ("--column", "arrivals=1", "--column", "peer=2", "--column", "sequence=3")


def test_import_of_a_table(results, accrual):
    Path("nodes.txt").write_text(NODES)
    first, second = results("import", "nodes.txt", "out.csv", *TABLE, "--unit", "ms")
    assert (first["file"], first["heartbeats"], first["about"]["peer"]) == ("out-1.csv", 2, "20")
    assert (second["file"], second["heartbeats"], second["about"]["peer"]) == ("out-2.csv", 1, "10")
    assert ac.read_trace("out-1.csv").arrivals.tolist() == [1163438041250 * 10**6, 1163438101250 * 10**6]
    status, _, err = accrual("import", "nodes.txt", "again.csv", *TABLE)
    assert (status, err) == (0, "accrual: nodes.txt: instants are in ms, judged by the first value, as a Unix time\n")


def test_units_of_columns(results):
    Path("log.csv").write_text("got;made\n5;7000\n")
    columns = ("--column", "arrivals=got", "--column", "sent=made")
    results("import", "log.csv", "out.csv", *columns, "--unit", "s", "--unit", "sent=ms")
    assert ac.read_trace("out.csv").sent.tolist() == [7 * NS]


def test_import_of_a_capture(results, accrual):
    beat = captures.ethernet(captures.udp(b"alive"))
    Path("some.pcap").write_bytes(captures.pcap([(k * NS, beat) for k in range(9)]))
    [summary] = results("import", "some.pcap", "out.csv", "--filter", "udp and dst port 7007")
    assert (summary["heartbeats"], summary["about"]["peer"]) == (9, "udp 192.0.2.1:5000 > 192.0.2.2:7007")
    status, _, err = accrual("import", "some.pcap", "out.csv", "--force")
    assert (status, len(err.splitlines())) == (1, 1)
    assert "choose by a filter" in err


def test_every_format_is_told_by_its_content(results, trace):
    files = {
        "csv": b"arrival_ms\n1\n",
        "jsonl": b'{"arrival_ms": 1}\n',
        "atlas": b'[{"fw":5020,"prb_id":1,"msm_id":1,"dst_addr":"192.0.2.1","timestamp":1,"result":[{"rtt":1.5}]}]',
        "ping": ping_log([1]).encode(),
        "pcap": captures.pcapng([(0, captures.ethernet(captures.udp(encode(Heartbeat(1, 1, 1, 1)))))]),
    }
    for name, content in files.items():
        Path("file").write_bytes(content)
        [summary] = results("import", "file", "out.csv", "--force")
        assert summary["about"]["format"] == name
        assert results("import", "file", "out.csv", "--force", "--format", name) == [summary]


# ---- outages ----


def test_outages(results, accrual, trace, file):
    gaps = ac.outages(trace, 0.3)
    [result] = results("outages", file, "--min", "300ms")
    assert result == {"trace": file, "session": 1, **gaps.to_dict()}
    assert len(gaps) == 2
    status, out, err = accrual("outages", file, "--min", "0.3s")
    assert (status, err) == (0, "")
    head, names, units, *rows = out.splitlines()
    assert head == f"{file}: 2 gaps, {gaps.duration.sum():.3f} s in all, times from the first arrival"
    assert (columns(names), columns(units)) == (["start", "end", "duration", "lost"], ["s", "s", "s"])
    start, end, duration, lost = map(float, columns(rows[1]))
    assert (start, end) == pytest.approx(
        ((gaps.start[1] - trace.arrivals[0]) / NS, (gaps.end[1] - trace.arrivals[0]) / NS)
    )
    assert (duration, lost) == (pytest.approx(gaps.duration[1], abs=1e-6), 0)


def test_outages_of_sessions_and_of_what_has_none(accrual, log):
    status, out, _ = accrual("outages", log, "--min", "2.5s")
    assert status == 0
    first, second, third = out.split("\n\n")
    assert first == f"{log} session 1: 0 gaps, 0.000 s in all, times from the first arrival"
    assert columns(second.splitlines()[-1]) == ["9.000000", "12.000000", "3.000000", "2"]
    assert "session 3: 0 gaps" in third
    assert "session 2: 1 gap, 3.000 s" in second
    status, out, _ = accrual("outages", log, "--min", "1h", "--session", "2")
    assert (status, len(out.splitlines())) == (0, 1)


def test_outages_across_a_restart(accrual):
    ac.Trace([0, 9 * NS], sequence=[5, 0], epoch=[1, 2]).write("twice.csv")
    _, out, _ = accrual("outages", "twice.csv", "--min", "1s")
    assert columns(out.splitlines()[-1])[-1] == "restart"


def test_one_bad_trace_does_not_stop_the_outages_of_others(accrual, file):
    status, out, err = accrual("outages", "missing", file, "--min", "200ms", "--json")
    assert (status, len(json.loads(out)), len(err.splitlines())) == (1, 1, 1)


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("30s", 30),
        ("5min", 300),
        ("200ms", 0.2),
        ("1.5h", 5400),
        ("2d", 172_800),
        ("1us", 1e-6),
        ("1ns", 1e-9),
        ("1e1s", 10),
    ],
)
def test_durations(text, seconds):
    assert _duration(text) == seconds


# ---- standard input and output, datasets, names ----


def test_standard_input(results, trace, file, monkeypatch):
    for data in (Path(file).read_bytes(), gzip.compress(Path(file).read_bytes())):
        stdin(monkeypatch, data)
        [result] = results("replay", "-")
        assert result["trace"] == "-"
        assert result["mistakes"] == ac.qos(trace, ac.PhiNormal(), 8).mistakes


def test_standard_input_is_called_so(accrual, monkeypatch):
    stdin(monkeypatch, b"arrival_ns\n1\nx\n")
    status, _, err = accrual("curve", "-")
    assert status == 1
    assert err.startswith("accrual: standard input:3: ")
    stdin(monkeypatch, b"arrival_ns\n" + b"".join(b"%d\n" % (n * NS) for n in range(9)))
    _, out, _ = accrual("curve", "-", "--detector", "phi")
    assert out.startswith("standard input: phi-normal")


def test_standard_output(accrual, trace, file):
    status, out, err = accrual("import", file, "-")
    assert (status, out) == (0, Path(file).read_text())
    assert err == "-: 2,000 heartbeats in 200.0 s\n"
    _, again, err = accrual("import", file, "-", "--json")
    assert again == out
    assert json.loads(err)[0]["file"] == "-"
    assert os.listdir() == [file]


def test_named_pipe(accrual, file):
    os.mkfifo("pipe")
    with subprocess.Popen(["/bin/sh", "-c", f"cat {file} > pipe"]) as writer:
        status, out, _ = accrual("replay", "pipe")
    assert writer.returncode == 0
    assert (status, columns(out.splitlines()[3])[0]) == (0, "pipe")


@pytest.fixture
def _bundled(monkeypatch, trace):
    """Let there be one bundled trace, whatever comes with the package."""
    fields = dict.fromkeys(Dataset.__dataclass_fields__, "")
    known = {"calm": Dataset(**(fields | {"name": "calm", "heartbeats": len(trace), "period": trace.period}))}
    monkeypatch.setattr("accrual.cli.datasets", lambda: known)
    monkeypatch.setattr("accrual.cli.load", {"calm": trace}.__getitem__)


@pytest.mark.usefixtures("_bundled")
def test_a_dataset_by_its_name(results, trace):
    [result] = results("replay", "calm")
    assert (result["trace"], result["mistakes"]) == ("calm", ac.qos(trace, ac.PhiNormal(), 8).mistakes)


@pytest.mark.usefixtures("_bundled")
def test_a_file_comes_before_a_dataset(results, trace):
    trace[:100].write("calm.csv")
    Path("calm.csv").rename("calm")
    [result] = results("replay", "calm")
    assert result["heartbeats"] < 100


@pytest.mark.usefixtures("_bundled")
def test_neither_a_file_nor_a_dataset(accrual):
    assert accrual("replay", "clam") == (1, "", "accrual: clam: no such file, and no dataset (calm)\n")


@pytest.mark.usefixtures("_bundled")
def test_datasets(results):
    [dataset] = results("datasets")
    assert (dataset["name"], dataset["heartbeats"], dataset["period"]) == ("calm", 2000, 0.1)


def test_datasets_are_a_table(accrual):
    status, out, err = accrual("datasets")
    assert (status, out, err) == (0, f"{ac.datasets()}\n", "")


@pytest.mark.skipif(sys.platform == "darwin", reason="names are Unicode there")
def test_names_that_are_no_text(accrual, trace, file):
    name = os.fsdecode(b"we\nird\xff$.csv")
    Path(file).rename(name)
    status, out, err = accrual("replay", name)
    assert (status, err) == (0, "")
    assert r"we\nird\udcff$.csv " in out
    status, _, err = accrual("replay", name, "--session", "9")
    assert (status, len(err.splitlines())) == (2, 1)


# ---- bad input ----


def rubbish():
    return np.random.default_rng(1).bytes(5000)


BAD_DATA = {
    "empty.csv": b"",
    "empty.csv.gz": gzip.compress(b""),
    "header.csv": b"arrival_ns\n",
    "one.csv": b"arrival_ns\n5\n",
    "truncated.csv.gz": gzip.compress(b"arrival_ns\n" + b"".join(b"%d\n" % (n * NS) for n in range(999)))[:900],
    "rubbish.parquet": rubbish(),
    "rubbish.csv.gz": b"\x1f\x8b" + rubbish(),
    "cut.parquet": b"PAR1" + rubbish(),
    "columns.csv": b"time,value\n1,2\n3,4\n",
    "misspelt.csv": b"arrival_ns,sequnce\n1,2\n3,4\n",
    "letters.csv": b"arrival_ns\n1\nabc\n",
    "float.csv": b"arrival_ns\n1\n2.5\n",
    "large.csv": b"arrival_ns\n1\n9223372036854775808\n",
    "cut.csv": b"arrival_ns\n1\n2\n3",
    "metadata.csv": b"# accrual {\narrival_ns\n1\n2\n",
    "cut.log": (ping_log(range(9)) + "64 bytes from 192.0.2").encode(),
    "other.log": (ping_log(range(9)) + "what is this\n").encode(),
}


@pytest.mark.parametrize("command", [("replay",), ("curve",), ("curve", "--plot", "out.svg"), ("import", "out.csv")])
@pytest.mark.parametrize("name", BAD_DATA)
def test_bad_data(accrual, name, command):
    if name == "one.csv" and command[0] == "import":
        pytest.skip("one heartbeat is a trace, if none to be scored")
    Path(name).write_bytes(BAD_DATA[name])
    verb, *rest = command
    detector = ["--detector", "phi"] * (verb != "import")
    status, out, err = accrual(verb, name, *rest, *detector)
    assert (status, out) == (1, "")
    assert err.startswith(f"accrual: {name}:")
    assert len(err.splitlines()) == 1
    assert os.listdir() == [name]


@pytest.mark.parametrize("arguments", [("replay", "x"), ("curve", "x"), ("import", "x", "out.csv")])
def test_missing_file_and_directory(accrual, arguments):
    status, _, err = accrual(*arguments)
    assert (status, len(err.splitlines())) == (1, 1)
    assert err.startswith("accrual: x: no such file")
    os.mkdir("x")
    status, _, err = accrual(*arguments)
    assert (status, err) == (1, f"accrual: x: {os.strerror(errno.EISDIR)}\n")
    assert os.listdir() == ["x"]


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_unreadable(accrual, file):
    os.chmod(file, 0)
    assert accrual("replay", file) == (1, "", f"accrual: {file}: {os.strerror(errno.EACCES)}\n")


@pytest.mark.parametrize(
    "out", [("import", "nowhere/out.csv"), ("import", "folder.csv"), ("curve", "--plot", "nowhere/out.svg"),
            ("curve", "--plot", "folder.svg"), ("import", "/dev/full/out.csv")],
)  # fmt: skip
@pytest.mark.parametrize("force", [False, True])
def test_unwritable(accrual, file, out, force):
    if out[0] == "curve":
        pytest.importorskip("matplotlib", reason="pip install accrual[lessons]")
    os.mkdir("folder.csv")
    os.mkdir("folder.svg")
    verb, *rest = out
    status, stdout, err = accrual(verb, file, *rest, *["--force"] * (force and verb == "import"))
    assert (status, stdout) == (1, "")
    assert rest[-1] in err
    assert len(err.splitlines()) == 1
    assert sorted(os.listdir()) == sorted([file, "folder.csv", "folder.svg"])


@pytest.mark.parametrize(
    ("arguments", "word"),
    [
        ("", "COMMAND"),
        ("frobnicate", "frobnicate"),
        ("replay", "TRACE"),
        ("replay beats.csv --frobnicate", "--frobnicate"),
        ("replay beats.csv --thr 8", "--thr"),
        ("replay beats.csv --detector nonsense", "nonsense"),
        ("replay beats.csv --detector phi:windw=9", "windw"),
        ("replay beats.csv --detector phi:window=0", "window"),
        ("replay beats.csv --detector phi:window=-1", "window"),
        ("replay beats.csv --detector phi:window=1099511627776", "window"),
        ("replay beats.csv --detector phi:window=many", "many"),
        ("replay beats.csv --detector phi:min_deviation=nan", "min_deviation"),
        ("replay beats.csv --detector fixed:period=0", "period"),
        ("replay beats.csv --threshold nan", "nan"),
        ("replay beats.csv --threshold high", "high"),
        ("replay beats.csv --skip -1", "skip"),
        ("replay beats.csv --skip 1.5", "skip"),
        ("replay beats.csv --transit -1", "transit"),
        ("replay beats.csv --transit inf", "transit"),
        ("replay beats.csv --threads 0", "threads"),
        ("replay beats.csv --session 2", "--session"),
        ("replay beats.csv --session 0", "--session"),
        ("curve beats.csv beats.csv", "beats.csv"),
        ("curve ping.log", "3 sessions"),
        ("curve beats.csv --detector phi --detector nonsense", "nonsense"),
        ("curve beats.csv --thresholds nan", "nan"),
        ("curve beats.csv --thresholds 1,nan", "nan"),
        ("curve beats.csv --thresholds snan", "snan"),
        ("curve beats.csv --thresholds=", "thresholds"),
        ("curve beats.csv --thresholds 1,,2", "1,,2"),
        ("curve beats.csv --thresholds 1:2", "1:2"),
        ("curve beats.csv --thresholds 1:2:0", "1:2:0"),
        ("curve beats.csv --thresholds 2:1:1", "2:1:1"),
        ("curve beats.csv --thresholds 1:2:-1", "1:2:-1"),
        ("curve beats.csv --thresholds 1:nan:1", "1:nan:1"),
        ("curve beats.csv --thresholds 1:inf:1", "1:inf:1"),
        ("curve beats.csv --thresholds 0:1e300:1e-300", "1e300"),
        ("curve beats.csv --plot out.gif", "out.gif"),
        ("curve beats.csv --plot -", "--plot"),
        ("compare", "TRACE"),
        ("compare ping.log", "3 sessions"),
        ("compare beats.csv --detection-time 0", "0s"),
        ("compare beats.csv --detection-time soon", "soon"),
        ("compare beats.csv --detection-time 1,,2", "--detection-time"),
        ("compare beats.csv --detection-time nan", "nan"),
        ("compare beats.csv --at median", "median"),
        ("compare beats.csv --seed -1", "seed"),
        ("compare beats.csv --block 1us", "block"),
        ("compare beats.csv --detector nonsense", "nonsense"),
        ("tune beats.csv", "--mistake-rate"),
        ("tune beats.csv --mistake-rate often", "often"),
        ("tune beats.csv --mistake-rate 1/", "1/"),
        ("tune beats.csv --mistake-rate 1/0", "1/0"),
        ("tune beats.csv --mistake-rate 0", "mistake_rate"),
        ("tune beats.csv --mistake-rate nan", "mistake_rate"),
        ("tune beats.csv --failover 1s", "--time-to-failure"),
        ("tune beats.csv --failover 1s --time-to-failure 1h --mistake-rate 1", "--time-to-failure"),
        ("tune beats.csv --failover 0s --time-to-failure 1h --detector fixed", "0s"),
        ("tune beats.csv --mistake-rate 1 --share 2", "share"),
        ("calibration beats.csv --detector fixed", "probability"),
        ("calibration beats.csv --thresholds nan", "nan"),
        ("calibration beats.csv --plot out.gif", "out.gif"),
        ("calibration beats.csv --transit 1", "--transit"),
        ("import beats.csv", "OUT"),
        ("import beats.csv out.txt", "out.txt"),
        ("import beats.csv out-", "out-"),
        ("import beats.csv out.csv --format xml", "xml"),
        ("import ping.log -", "3 sessions"),
        ("synthesize", "-o"),
        ("synthesize --heartbeats 0 --json", "heartbeats"),
        ("synthesize --heartbeats many -o out.csv", "many"),
        ("synthesize --period 5parsec -o out.csv", "5parsec"),
        ("synthesize --seed -1 -o out.csv", "seed"),
        ("synthesize --delay cauchy:mean=1 -o out.csv", "cauchy"),
        ("synthesize --delay lognormal:mean=1 -o out.csv", "deviation"),
        ("synthesize --loss gilbert:loss=2,burst=1 -o out.csv", "loss"),
        ("synthesize --regimes every=1,lasts=1,delay=x -o out.csv", "regimes"),
        ("synthesize --recipe nonsense -o out.csv", "nonsense"),
        ("synthesize --recipe bursty --specification s.json -o out.csv", "--specification"),
        ("synthesize -o out.txt", "out.txt"),
        ("import beats.csv out.csv --column ts", "ROLE=NAME"),
        ("import beats.csv out.csv --column time=ts", "time=ts"),
        ("import beats.csv out.csv --column arrivals=", "arrivals="),
        ("import beats.csv out.csv --column sequence=n", "arrivals"),
        ("import beats.csv out.csv --column arrivals=a --column arrivals=b", "--column"),
        ("import beats.csv out.csv --column arrivals=1 --column sequence=n", "numbers"),
        ("import beats.csv out.csv --unit min", "min"),
        ("import beats.csv out.csv --unit sequence=s", "sequence=s"),
        ("import beats.csv out.csv --filter http", "http"),
        ("import beats.csv out.csv --filter udp", "captures"),
        ("import ping.log out.csv --unit s", "tables"),
        ("outages beats.csv", "--min"),
        ("outages beats.csv --min 30", "30"),
        ("outages beats.csv --min 0s", "0s"),
        ("outages beats.csv --min -1s", "--min"),
        ("outages beats.csv --min nans", "nans"),
        ("outages beats.csv --min 1e999s", "1e999s"),
        ("outages beats.csv --min 1e999999999s", "1e999999999s"),
        ("outages beats.csv --min s", "'s'"),
    ],
)
def test_bad_usage(accrual, file, log, arguments, word):
    status, out, err = accrual(*arguments.split())
    assert (status, out) == (2, "")
    assert err.startswith("accrual")
    assert word in err
    assert len(err.splitlines()) == 1
    assert sorted(os.listdir()) == [file, log]


def test_a_period_that_nobody_tells(accrual, trace):
    ac.Trace(trace.arrivals).write("bare.csv")
    status, _, err = accrual("curve", "bare.csv")
    assert (status, len(err.splitlines())) == (2, 1)
    assert "fixed-timeout:period=" in err
    assert accrual("curve", "bare.csv", "--detector", "fixed:period=0.1")[0] == 0


def test_infinity_is_null(results, file):
    [result] = results("replay", file, "--threshold", "inf")
    assert (result["threshold"], result["detection_time"], result["mistakes"]) == (None, None, 0)


@pytest.mark.parametrize(
    ("module", "arguments"), [("matplotlib.figure", ("curve", "--plot", "x.svg")), ("pyarrow", ("import", "x.parquet"))]
)
def test_a_missing_extra(accrual, file, monkeypatch, module, arguments):
    monkeypatch.setitem(sys.modules, module, None)
    verb, *rest = arguments
    status, out, err = accrual(verb, file, *rest)
    assert (status, out) == (1, "")
    assert "pip install accrual[" in err
    assert len(err.splitlines()) == 1
    assert os.listdir() == [file]


# ---- the terminal and the process ----


class Terminal(io.StringIO):
    def isatty(self):
        return True


def test_progress_on_a_terminal(file, monkeypatch, capsys):
    monkeypatch.setattr(sys, "stderr", terminal := Terminal())
    assert main(["replay", file, "missing", file]) == 1
    shown = terminal.getvalue()
    assert f"\r\x1b[K1 of 3: {file}\r\x1b[K2 of 3: missing" in shown
    assert shown.rpartition("\x1b[K")[2].startswith("accrual: missing: ")
    terminal.seek(0)
    terminal.truncate()
    assert main(["replay", file]) == 0
    assert terminal.getvalue() == ""


def test_help(accrual):
    status, out, err = accrual("--help")
    assert (status, err) == (0, "")
    commands = ("record", "send", "import", "synthesize", "describe", "outages", "replay", "curve", "datasets")
    for command in (*commands, "compare", "tune", "calibration", "study", "report", "lessons", "doctor"):
        assert command in out
        assert accrual(command, "--help")[0] == 0


def test_help_knows_every_detector(accrual):
    for command in ("replay", "curve", "compare", "tune", "calibration"):
        _, out, _ = accrual(command, "--help")
        for name in ac.DETECTORS:
            assert f"\n  {name}:" in out


def test_help_knows_every_law_loss_and_recipe(accrual):
    _, out, _ = accrual("synthesize", "--help")
    for name in (*parts.LAWS, *parts.LOSSES, *RECIPES):
        assert f"\n  {name}:" in out
    for field in dataclasses.fields(Specification):
        assert f"  --{field.name.replace('_', '-')}" in out


def test_record_and_send_are_there(accrual):
    assert accrual("record", "--period", "0", "out.csv")[0] == 2
    assert accrual("send", "nonsense")[0] == 2
    assert accrual("record", "--period", "0.001", "--count", "30", "out.csv")[0] == 0
    assert accrual("replay", "out.csv")[0] == 0


def python(*arguments, **options):
    command = [sys.executable, "-m", "accrual", *map(str, arguments)]
    return subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, **options)


def finish(process):
    out, err = process.communicate(timeout=60)
    return process.returncode, out.decode(), err.decode()


def test_version():
    assert finish(python("--version")) == (0, f"accrual {ac.__version__}\n", "")


def test_as_a_module(trace, file):
    status, out, err = finish(python("replay", file, "--json"))
    assert (status, err) == (0, "")
    assert json.loads(out)[0]["mistakes"] == ac.qos(trace, ac.PhiNormal(), 8).mistakes
    status, out, err = finish(python("replay", "missing"))
    assert (status, out) == (1, "")
    assert len(err.splitlines()) == 1


def test_help_needs_no_extra():
    """It is to be there at once, and that is what takes long to import."""
    heavy = {"matplotlib", "pyarrow", "pandas", "scipy.special", "IPython", "anywidget"}
    code = f"import sys; from accrual.cli import main; main(['--help']); sys.exit(str({heavy} & sys.modules.keys()))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.stderr == "set()\n"


def test_nobody_reads_on(file):
    process = python("curve", file, "--json", "--thresholds", "0.001:16:0.001", "--detector", "phi")
    process.stdout.read(10)
    process.stdout.close()
    assert process.stderr.read() == b""
    assert process.wait(60) == 141
    process.stdin.close()
    process.stderr.close()


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="needs a full device")
@pytest.mark.parametrize("arguments", ["replay beats.csv", "import beats.csv -", "--help"])
def test_no_room_for_the_output(file, arguments):
    with open("/dev/full", "wb") as full:
        command = [sys.executable, "-m", "accrual", *arguments.split()]
        done = subprocess.run(command, stdout=full, stderr=subprocess.PIPE, text=True, check=False)
    message = f"accrual: standard output: {os.strerror(errno.ENOSPC)}\n"
    assert done.returncode == 1
    assert done.stderr.endswith(message)
    assert "Traceback" not in done.stderr


def test_interrupt():
    process = python("replay", "-")
    # More than a pipe holds: when that is gone, the command runs and waits for the rest.
    process.stdin.write(b"#" * 2**20)
    process.stdin.flush()
    process.send_signal(signal.SIGINT)
    assert finish(process) == (130, "", "")
