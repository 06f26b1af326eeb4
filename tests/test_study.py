"""Many traces at once: the bits of one at a time, whoever does it, and nothing lost when somebody is killed."""

import contextlib
import csv
import html
import importlib
import io
import json
import math
import os
import pickle
import re
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from strategies import detectors, traces

import accrual as ac
from accrual.cli import main
from accrual.replay import Chain
from accrual.study import FIELDS, _pieces, _Shelf, _Source

MS = 1_000_000
SEED = 2004
DETECTORS = [ac.PhiNormal(window=50), ac.FixedTimeout(period=0.1), ac.Bertier(period=0.1, window=30)]
THRESHOLDS = [0.3, 1.0, 2.5]

steps = st.one_of(st.integers(5 * 10**7, 3 * 10**8), st.sampled_from([10**8, 10**8, 7 * 10**9 + 1, 0, -(10**9)]))


def need(module):
    """Import what an extra brings; on CI it has to be there."""
    if os.environ.get("CI") == "true":
        return importlib.import_module(module)
    return pytest.importorskip(module, reason="pip install accrual[dask]")


def trace_of(heartbeats, seed=SEED):
    """Heartbeats 0.1 s apart with jitter, losses, a duplicate and a restart."""
    rng = np.random.default_rng(seed)
    arrivals = np.cumsum(rng.gamma(9, 11 * MS, heartbeats).astype(np.int64))
    sequence = np.cumsum(rng.choice([1, 1, 1, 1, 1, 1, 1, 4], heartbeats))
    sequence[heartbeats // 3] -= 5
    return ac.Trace(arrivals, sequence=sequence, epoch=np.arange(heartbeats) // (heartbeats // 2 + 1), period=0.1)


@pytest.fixture
def files(tmp_path):
    """Six traces, the last long enough to be cut into pieces."""
    paths = [tmp_path / f"{k}.csv" for k in range(6)]
    for seed, path in enumerate(paths):
        trace_of(3000 if seed == 5 else 400, seed).write(path)
    return paths


def by_hand(paths, asked=DETECTORS, thresholds=THRESHOLDS):
    """What curve gives, trace by trace: (file's name, detector, threshold, figures)."""
    rows = []
    for path in paths:
        trace = ac.read_trace(path)
        skip = max(Chain(trace, detector.compiled).full_from() for detector in asked)
        for detector in asked:
            for threshold, point in zip(thresholds, ac.curve(trace, detector, thresholds, skip=skip), strict=True):
                row = {"trace": str(path), "session": 1, "detector": str(detector), "threshold": threshold}
                figures = point.to_dict()
                rows.append(row | {"skip": skip} | {name: figures[name] for name in FIELDS})
    return rows


# ---- equal bits ----


@given(
    traces(steps, min_size=4, max_size=60, period=lambda arrivals: st.none() | st.just(0.1)),
    detectors,
    st.integers(1, 12),
    st.integers(0, 20),
)
def test_pieces_of_any_length_add_up_to_the_whole(trace, detector, piece, skip):
    found = ac.study(trace, [detector], [0.0, 0.17, 0.7321, 2.718], threads=1, piece=piece, skip=skip)
    try:
        whole = ac.curve(trace, detector, [0.0, 0.17, 0.7321, 2.718], skip=skip)
    except ac.TraceError as error:
        assert [reason for _, reason in found.failures] == [f"{detector}: {error}"]  # noqa: PT017
        return
    assert found.failures == []
    for name in FIELDS:
        np.testing.assert_array_equal(found.columns()[name], getattr(whole, name))


def test_long_traces_are_cut_where_memory_is_finite():
    trace = trace_of(1000)
    for detector, pieces in ((ac.PhiNormal(window=50), 9), (ac.Bertier(period=0.1), 1), (ac.ExpectedArrival(), 1)):
        assert len(_pieces(trace, detector, 100, 100)) == pieces
    for piece in _pieces(trace, ac.PhiNormal(window=50), 100, 100):
        assert piece.end - piece.start < 100 + 50 + 10  # not from the beginning each time


@pytest.mark.parametrize("threads", [1, 8])
@pytest.mark.parametrize("piece", [77, 1000, 1 << 20])
def test_threads_and_pieces_change_nothing(files, threads, piece):
    found = ac.study(files, DETECTORS, THRESHOLDS, threads=threads, piece=piece)
    assert list(found.rows()) == by_hand(files)
    assert found.failures == []


# ---- where observation starts ----


def test_observation_starts_when_all_windows_are_full():
    trace = ac.Trace(np.cumsum(np.full(100, 100 * MS)), period=0.1)
    for asked, skip in (
        ([ac.FixedTimeout(period=0.1)], 0),
        ([ac.FixedTimeout(period=0.1), ac.PhiNormal(window=10), ac.PhiStudent(window=30)], 30),
        ([ac.PhiLogistic(window=10, first_interval=0.1)], 8),  # which brings two
        ([ac.Chen(window=20)], 19),  # of arrivals, not of intervals
    ):
        [first, *_] = ac.study(trace, asked, [2.0], threads=1).scores
        assert first.skip == skip


def test_a_window_is_not_full_across_a_restart():
    """Nor does what is ignored fill it; what a detector does not learn neither."""
    arrivals = np.cumsum(np.full(100, 100 * MS))
    detector = ac.PhiNormal(window=10)

    def skip(detector=detector, **columns):
        return ac.study(ac.Trace(arrivals, **columns), [detector], [2.0], threads=1).scores[0].skip

    assert skip(epoch=np.minimum(np.arange(100) // 7, 1)) == 17
    assert skip(sequence=[0, 0, 0, *range(1, 98)]) == 12
    arrivals = np.cumsum([100 * MS] * 5 + [5000 * MS] * 3 + [100 * MS] * 92)
    assert skip(ac.PhiExponential(window=10, max_interval=2.0)) == 13


def test_a_trace_that_never_fills_the_window_is_a_failure():
    found = ac.study(
        [trace_of(40), trace_of(400)], [ac.PhiNormal(window=60), ac.FixedTimeout(period=0.1)], [2], threads=1
    )
    assert [scores.trace for scores in found.scores] == ["trace 2"] * 2
    assert found.failures == [("trace 1", "too short: 40 heartbeats never fill the window of phi-normal:window=60")]


# ---- what is taken ----


def test_every_kind_of_trace(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    trace_of(200).write("a.csv")
    reply = "64 bytes from 192.0.2.1: icmp_seq={} ttl=64 time=12.5 ms\n"
    session = "PING host (192.0.2.1): 56 data bytes\n" + "".join(map(reply.format, range(90)))
    Path("ping.log").write_text(session * 2)
    found = ac.study(["a.csv", Path("ping.log"), "synthetic-bursty", trace_of(300)], ["phi:window=50", "fixed"], [3])
    assert [(s.trace, s.session, s.detector) for s in found.scores] == [
        (name, session, f"{detector}")
        for name, session, period in (
            ("a.csv", 1, 0.1), ("ping.log", 1, 1), ("ping.log", 2, 1), ("synthetic-bursty", 1, 0.1), ("trace 4", 1, 0.1)
        )
        for detector in (ac.PhiNormal(window=50), ac.FixedTimeout(period=period))
    ]  # fmt: skip
    assert found.failures == []
    assert len({scores.sha256 for scores in found.scores}) == 4


def test_one_trace_needs_no_list(files):
    assert len(ac.study(files[0], DETECTORS[0], 3.0 * np.ones(1), threads=1)) == 1
    assert len(ac.study(str(files[0]), "phi:window=50", [3], threads=1)) == 1


def test_thresholds_for_each_detector(files):
    phi, fixed = DETECTORS[:2]
    found = ac.study(files[0], [phi, fixed], {phi: [1, 2], fixed: [1.5]}, threads=1)
    assert found.columns()["threshold"] == [1.0, 2.0, 1.5]
    own = ac.study(files[0], [phi, "fixed"], threads=1)
    assert own.columns()["threshold"] == [*phi.thresholds, *fixed.thresholds]
    with pytest.raises(ValueError, match="thresholds has none for fixed-timeout:period"):
        ac.study(files[0], [phi, fixed], {phi: [1, 2]})


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"thresholds": []}, "thresholds must be one or more numbers"),
        ({"thresholds": [1, math.nan]}, "thresholds must be one or more numbers"),
        ({"detectors": []}, "detectors must be one or more"),
        ({"detectors": ["fixed", "fixed"]}, "detectors must differ"),
        ({"detectors": ["nonsense"]}, "detector must be one of"),
        ({"detectors": ["phi:window=0"]}, "window"),
        ({"threads": 0}, "threads must be"),
        ({"piece": 0}, "piece must be"),
        ({"skip": -1}, "skip must be"),
        ({"transit": -1.0}, "transit must be"),
    ],
)
def test_bad_usage_costs_nothing(tmp_path, arguments, message):
    given = {"traces": tmp_path / "missing", "detectors": DETECTORS, "thresholds": [1]} | arguments
    with pytest.raises(ValueError, match=message):
        ac.study(**given)
    assert os.listdir(tmp_path) == []


def test_broken_files_are_told_and_the_rest_is_done(files, tmp_path):
    """And told again, with the same words, by a study that goes on."""
    (tmp_path / "rubbish.csv").write_bytes(b"\x00\x01rubbish")
    (tmp_path / "cut.csv").write_text("arrival_ns\n1\n2\nx\n")
    trace_of(20).write(tmp_path / "short.csv")
    bad = [tmp_path / name for name in ("rubbish.csv", "cut.csv", "short.csv", "missing.csv")]
    for _ in range(2):
        found = ac.study([bad[0], *files[:2], *bad[1:]], DETECTORS, THRESHOLDS, out=tmp_path / "out", threads=2)
        assert list(found.rows()) == by_hand(files[:2])
        assert [failure.trace for failure in found.failures] == list(map(str, bad))
        assert found.failures[0].reason.startswith("no trace: expected")
        assert found.failures[1].reason.startswith("4: ")  # the line
        assert found.failures[2].reason.startswith("too short: 20 heartbeats")
        assert found.failures[3].reason == "No such file or directory"


def test_a_detector_that_cannot_be_scored_spoils_no_other(tmp_path):
    trace = ac.Trace(np.cumsum([100 * MS] * 90), period=None)
    found = ac.study(trace, ["phi:window=50", "fixed"], [1], threads=1)
    assert "needs period" in found.failures[0].reason
    year = 366 * 86_400 * 10**9  # beyond the 208 days of one interval
    trace = ac.Trace(np.cumsum([0, *[100 * MS] * 60, year, *[100 * MS] * 9]))
    found = ac.study(trace, DETECTORS[:2], [1], threads=1)
    assert {failure.trace for failure in found.failures} == {"trace 1"}
    assert "208 days" in found.failures[0].reason


# ---- the folder ----


def test_a_study_goes_on_where_it_was(files, tmp_path):
    out = tmp_path / "out"
    first = ac.study(files[:4], DETECTORS[:2], THRESHOLDS, out=out, threads=2, piece=500)
    assert first.found == 0
    again = ac.study(files[:4], DETECTORS[:2], THRESHOLDS, out=out, threads=2)
    assert (again.found, again.to_dict()) == (8, first.to_dict())
    # Two more traces, then another detector: what it does not change is there.
    assert ac.study(files, DETECTORS[:2], THRESHOLDS, out=out, threads=2).found == 8
    more = ac.study(files, DETECTORS, THRESHOLDS, out=out, threads=2)
    assert more.found == 0
    assert list(more.rows()) == by_hand(files)
    assert ac.study(files, DETECTORS, [1.0], out=out, threads=2).found == 0
    assert ac.study(files, DETECTORS, THRESHOLDS, out=out, threads=2, transit=0.1).found == 0
    assert ac.study(files, DETECTORS, THRESHOLDS, out=out, threads=2, skip=60).found == 0


def test_contents_count_not_names(files, tmp_path):
    out = tmp_path / "out"
    first = ac.study(files[0], DETECTORS, THRESHOLDS, out=out, threads=1)
    renamed = files[0].rename(tmp_path / "renamed.csv")
    again = ac.study(renamed, DETECTORS, THRESHOLDS, out=out, threads=1)
    assert again.found == 3
    assert again.to_dict()["table"] | {"trace": None} == first.to_dict()["table"] | {"trace": None}
    trace_of(400, seed=99).write(renamed)
    assert ac.study(renamed, DETECTORS, THRESHOLDS, out=out, threads=1).found == 0


def test_bits_come_back_from_the_folder(tmp_path):
    """Also those that JSON has no words for: infinite times, and what is not a number."""
    for _ in range(2):
        found = ac.study(trace_of(300), DETECTORS[:1], [1.0, math.inf], threads=1, out=tmp_path)
    assert found.found == 1
    times = found.columns()["detection_time"]
    assert (times[0] < 1, times[1]) == (True, math.inf)
    assert math.isnan(found.columns()["mistake_duration"][1])


def test_damaged_and_left_over_files_are_no_harm(files, tmp_path):
    out = tmp_path / "out"
    first = ac.study(files[:2], DETECTORS, THRESHOLDS, out=out, threads=1)
    kept = sorted((out / "scores").iterdir())
    kept[0].write_bytes(kept[0].read_bytes()[:100])
    kept[1].write_bytes(b"")
    kept[2].write_bytes(kept[3].read_bytes())  # of something else
    (out / "scores" / ".accrual-0123456789abcdef.part").write_bytes(b"{")
    again = ac.study(files[:2], DETECTORS, THRESHOLDS, out=out, threads=1)
    assert (again.found, again.to_dict()) == (3, first.to_dict())
    assert sorted((out / "scores").iterdir()) == kept
    for path in (out / "traces").iterdir():
        path.write_text("[" * 100_000)
    assert ac.study(files[:2], DETECTORS, THRESHOLDS, out=out, threads=1).to_dict() == first.to_dict()


def test_a_folder_is_for_one_study_at_a_time(files, tmp_path):
    pytest.importorskip("fcntl")
    out = tmp_path / "out"

    def meanwhile(done, total):
        if done == 1:
            with pytest.raises(
                BlockingIOError, match=rf"another study is at work .* \(process {os.getpid()}\)"
            ) as held:
                ac.study(files[0], DETECTORS, THRESHOLDS, out=out, threads=1)
            assert held.value.filename == str(out)

    ac.study(files[:2], DETECTORS, THRESHOLDS, out=out, threads=1, progress=meanwhile)
    assert ac.study(files[:2], DETECTORS, THRESHOLDS, out=out, threads=1).found == 6


def test_no_room_for_what_was_found_is_not_the_traces_fault(files, tmp_path, monkeypatch):
    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(sys.modules["accrual.study"], "replacing", full)
    with pytest.raises(OSError, match="No space left"):
        ac.study(files, DETECTORS, THRESHOLDS, out=tmp_path / "out", threads=2)


KILLED = """
import os, signal, sys
import accrual as ac

def progress(done, total):
    if done == 3:
        os.kill(os.getpid(), signal.SIGKILL)

ac.study(sys.argv[2:], ["phi:window=50", "fixed"], [1, 2], out=sys.argv[1], threads=1, progress=progress)
"""


def test_a_killed_run_goes_on_where_it_was(files, tmp_path):
    out = tmp_path / "out"
    done = subprocess.run([sys.executable, "-c", KILLED, out, *files], check=False)
    assert done.returncode == -signal.SIGKILL
    found = ac.study(files, ["phi:window=50", "fixed"], [1, 2], out=out, threads=1)
    assert found.found == 6
    assert list(found.rows()) == by_hand(files, DETECTORS[:2], [1.0, 2.0])


@pytest.mark.parametrize("readings", [1, 2])
def test_a_file_that_changes_meanwhile_is_told(files, tmp_path, monkeypatch, readings):
    """When it is scored whole or surveyed, or later, when its pieces are read; and the next study asks it again."""
    truth = [_Source("", path=str(files[-1])).digest()] * readings + ["another"] * 100
    monkeypatch.setattr(_Source, "digest", lambda source: truth.pop(0))
    monkeypatch.setattr(_Shelf, "put", lambda *_: None)  # as if each piece were another worker's
    found = ac.study(files[-1], DETECTORS[:2], THRESHOLDS, threads=1, piece=1000, out=tmp_path / "out")
    assert (found.scores, found.failures) == ([], [(str(files[-1]), "the file changed while it was studied")])
    monkeypatch.undo()
    found = ac.study(files[-1], DETECTORS[:2], THRESHOLDS, threads=1, out=tmp_path / "out")
    assert list(found.rows()) == by_hand(files[-1:], DETECTORS[:2])


# ---- forms of the result ----


@pytest.fixture
def some(files, tmp_path):
    return ac.study([*files[:2], tmp_path / "missing"], DETECTORS[:2], [1, 1000], threads=2)


def test_tables(some, tmp_path):
    pandas = pytest.importorskip("pandas")
    frame = some.to_pandas()
    assert frame.shape == (8, 5 + len(FIELDS))
    assert frame["mistake_duration"].isna().tolist() == [False, True] * 4
    for name in ("study.csv", "study.json", "study.jsonl"):
        some.write(tmp_path / name)
    rows = list(some.rows())
    assert [json.loads(line) for line in (tmp_path / "study.jsonl").read_text().splitlines()] == rows
    with open(tmp_path / "study.csv", newline="") as stream:
        texts = list(csv.DictReader(stream))
    assert texts == [{name: "" if value is None else str(value) for name, value in row.items()} for row in rows]
    known = json.loads((tmp_path / "study.json").read_text())
    assert known == some.to_dict()
    assert [entry["sha256"] for entry in known["traces"]] == list(dict.fromkeys(s.sha256 for s in some.scores))
    assert known["failures"] == [{"trace": str(tmp_path / "missing"), "reason": "No such file or directory"}]
    pytest.importorskip("pyarrow")
    some.write(tmp_path / "study.parquet")
    pandas.testing.assert_frame_equal(pandas.read_parquet(tmp_path / "study.parquet"), frame, check_dtype=False)
    with pytest.raises(ValueError, match=r"path must end in .csv, .json, .jsonl, .parquet, is 'x.txt'"):
        some.write("x.txt")


def test_losses_beyond_64_bits_fit_into_every_table(tmp_path):
    pytest.importorskip("pyarrow")
    jumps = np.array([0, 2**62, 1, 2**62, 1, 2**62])
    trace = ac.Trace(np.arange(6) * 100 * MS, sequence=jumps, epoch=np.arange(6) // 2)
    found = ac.study(trace, [ac.FixedTimeout(period=0.1)], [2], threads=1)
    assert found.columns()["lost"][0] > 2**63
    for ending in ("csv", "json", "jsonl", "parquet"):
        found.write(tmp_path / f"t.{ending}")


def test_how_it_shows(some, files):
    assert repr(some) == "Study(2 traces, 2 detectors, 8 rows, 1 failure)"
    shown = some._repr_html_()
    assert shown.count("<tr>") == 9
    assert '<th scope="col">mistake_rate</th>' in shown
    assert pickle.loads(pickle.dumps(some)).to_dict() == some.to_dict()


def test_names_of_traces_are_no_markup():
    trace = ac.Trace(trace_of(300).arrivals, title="<script>alert(1)</script>")
    shown = ac.study(trace, DETECTORS[:1], [1], threads=1)._repr_html_()
    assert "<script" not in shown
    assert html.escape("<script>") in shown


def test_progress(files):
    told = []
    ac.study(files, DETECTORS, THRESHOLDS, threads=2, piece=300, progress=lambda *done: told.append(done))
    assert told == [(done, 6) for done in range(7)]


# ---- on the command line ----


@pytest.fixture
def accrual(capsys, tmp_path, monkeypatch):
    """Run the command in the files' folder and return its status, output and complaints."""
    monkeypatch.chdir(tmp_path)

    def run(*arguments):
        status = main(["study", *map(str, arguments)])
        return status, *capsys.readouterr()

    return run


def test_the_command_writes_tables_and_goes_on(accrual, files):
    arguments = ("*.csv", "--detector", "phi:window=50", "--detector", "fixed", "--thresholds", "1,2.5", "--out", "out")
    status, out, err = accrual(*arguments)
    assert (status, err) == (0, "")
    assert out == "out: 6 traces, 2 detectors, 24 rows; the table is in study.csv and study.json\n"
    names = [path.name for path in files]
    expected = [row | {"trace": name} for row, name in zip(
        by_hand(files, DETECTORS[:2], [1.0, 2.5]), np.repeat(names, 4).tolist(), strict=True)]  # fmt: skip
    table = json.loads(Path("out/study.json").read_text())["table"]
    assert [dict(zip(table, row, strict=True)) for row in zip(*table.values(), strict=True)] == expected
    assert len(Path("out/study.csv").read_text().splitlines()) == 25
    assert "(12 of 12 scores were there)" in accrual(*arguments, "--threads", 2)[1]
    shown = json.loads(accrual(*arguments, "--json")[1])
    assert shown == json.loads(Path("out/study.json").read_text())


def test_a_folder_of_traces_without_the_study_in_it(accrual, files):
    for _ in range(2):
        status, out, err = accrual(".", "--detector", "phi:window=50", "--thresholds", "1", "--out", "results")
        assert (status, err) == (0, "")
        assert out.startswith("results: 6 traces, 1 detector, 6 rows")


def test_thresholds_of_each_detector(accrual, files):
    detectors = ("--detector", "phi:window=50", "--detector", "fixed")
    given = ("0.csv", *detectors, "--thresholds", "1,2", "--thresholds", "3", "--out", "out", "--json")
    assert json.loads(accrual(*given)[1])["table"]["threshold"] == [1, 2, 3]
    assert len(json.loads(accrual("0.csv", *detectors, "--out", "out", "--json")[1])["table"]["threshold"]) > 100


def test_the_command_tells_what_failed_and_keeps_the_rest(accrual, files):
    Path("rubbish.csv").write_bytes(b"rubbish\x1b[31m")
    os.mkdir("empty")
    arguments = ("--detector", "phi:window=50", "--out", "out")
    status, out, err = accrual("0.csv", "rubbish.csv", "missing", "no*.csv", *arguments)
    assert status == 1
    assert "1 trace, 1 detector" in out
    assert len(err.splitlines()) == 3
    assert "\x1b" not in err
    assert Path("out/study.csv").exists()
    for wrong, word, status in (
        (("empty",), "no .parquet", 1),
        (("0.csv", "--thresholds="), "thresholds", 2),
        (("0.csv", "--thresholds", "nan"), "nan", 2),
        (("0.csv", "--threads", "0"), "threads", 2),
        (("0.csv", "--thresholds", "1", "--thresholds", "2", "--thresholds", "3"), "--thresholds", 2),
    ):
        found, out, err = accrual(*wrong, *arguments)
        assert (found, out, len(err.splitlines())) == (status, "", 1)
        assert word in err


def test_help_knows_every_detector(accrual):
    shown = accrual("--help")[1]
    for name in ac.DETECTORS:
        assert f"\n  {name}:" in shown


def test_the_command_needs_a_folder(accrual, files):
    assert "--out" in accrual("0.csv")[2]
    assert accrual("0.csv", "--out", "1.csv")[0] == 1  # a file
    assert files[1].exists()


def test_progress_on_a_terminal(files, tmp_path, monkeypatch):
    class Terminal(io.StringIO):
        def isatty(self):
            return True

    monkeypatch.setattr(sys, "stderr", terminal := Terminal())
    assert main(["study", *map(str, files), "--out", str(tmp_path / "out"), "--detector", "phi:window=50"]) == 0
    assert "\r\x1b[K3 of 6 traces" in terminal.getvalue()
    assert terminal.getvalue().endswith("\r\x1b[K")


# ---- on a Dask cluster ----

# What Dask and its like say about themselves is not ours to mend.
quiet = pytest.mark.filterwarnings("ignore")


@contextlib.contextmanager
def cluster(workers):
    distributed = need("distributed")
    with (
        distributed.LocalCluster(
            n_workers=workers, threads_per_worker=1, dashboard_address="127.0.0.1:0", silence_logs="CRITICAL"
        ) as local,
        distributed.Client(local) as client,
    ):
        yield client


@quiet
def test_a_killed_worker_costs_nothing(files, tmp_path):
    """SIGKILL to one of two processes, mid-way and with jobs in its hands: the results are the threads', bit by bit."""
    more = [tmp_path / f"more{k}.csv" for k in range(24)]
    for seed, path in enumerate(more):
        trace_of(400, 100 + seed).write(path)
    files = [*more, *files]  # the long one last, where it is cut into pieces
    killed = []

    with cluster(2) as client:
        processes = client.run(os.getpid)

        def kill(done, total):
            if done == 5:
                pid = next(iter(processes.values()))
                os.kill(pid, signal.SIGKILL)
                killed.append(pid)

        found = ac.study(files, DETECTORS, THRESHOLDS, client=client, out=tmp_path / "out", piece=300, progress=kill)
        assert killed
        client.wait_for_workers(2, timeout=30)
        assert killed[0] not in client.run(os.getpid).values()
        # The same cluster, threads, and what lies in the folder agree.
        assert (
            ac.study(files[-7:], DETECTORS, THRESHOLDS, client=client).to_dict()["table"]
            == (ac.study(files[-7:], DETECTORS, THRESHOLDS, threads=8, piece=77).to_dict()["table"])
        )
    assert found.failures == []
    assert list(found.rows()) == by_hand(files)
    assert ac.study(files, DETECTORS, THRESHOLDS, out=tmp_path / "out").found == len(files) * 3


@quiet
def test_four_workers_by_the_address_of_their_scheduler(files, tmp_path):
    """Traces in memory travel too, and a broken file does not stop them."""
    (tmp_path / "rubbish.csv").write_bytes(b"rubbish")
    with cluster(4) as client:
        address = client.scheduler.address
        given = [*files, tmp_path / "rubbish.csv", trace_of(350)]
        found = ac.study(given, DETECTORS, THRESHOLDS, client=address, piece=1000)
        with pytest.raises(ValueError, match="threads is for this machine"):
            ac.study(given, DETECTORS, THRESHOLDS, client=address, threads=2)
    assert found.to_dict() == ac.study(given, DETECTORS, THRESHOLDS, threads=1).to_dict()
    assert len(found.failures) == 1


@quiet
def test_local_workers_and_one_that_is_too_little(files, tmp_path):
    need("distributed")
    found = ac.study(files, DETECTORS, THRESHOLDS, client="local", threads=1, piece=500)
    assert list(found.rows()) == by_hand(files)


@quiet
def test_no_scheduler(files, tmp_path):
    need("distributed")
    with pytest.raises(ConnectionError, match=r"tcp://127.0.0.1:9: no Dask scheduler answers there"):
        ac.study(files, DETECTORS, THRESHOLDS, client="tcp://127.0.0.1:9", out=tmp_path / "out")
    with pytest.raises(ValueError, match="a scheduler is tcp://host:port, or local, got 'nonsense'"):
        ac.study(files, DETECTORS, THRESHOLDS, client="nonsense")


@quiet
def test_a_scheduler_that_goes_away(files, tmp_path):
    """What came back before is in the folder."""
    with cluster(1) as client:
        found = []

        def close(done, total):
            found.append(done)
            if done == 2:
                client.close()

        with pytest.raises(ConnectionError, match="the Dask scheduler went away"):
            ac.study(files, DETECTORS, THRESHOLDS, client=client, out=tmp_path / "out", progress=close)
    assert found == [0, 1, 2]
    assert ac.study(files, DETECTORS, THRESHOLDS, out=tmp_path / "out", threads=1).found == 6


def test_without_dask(files, monkeypatch):
    monkeypatch.setitem(sys.modules, "distributed", None)
    with pytest.raises(ImportError, match=re.escape("pip install accrual[dask]")):
        ac.study(files, DETECTORS, THRESHOLDS, client="local")
