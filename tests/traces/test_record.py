import contextlib
import json
import os
import pty
import re
import select
import signal
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path

import numpy as np
import pytest

from accrual.cli import main
from accrual.traces import import_trace, journal, parquet, read_trace, wire
from accrual.traces.disturb import Contention, Pause
from accrual.traces.record import record, recover
from accrual.traces.trace import TraceError

PATIENCE = 60.0  # s; a deadline for what takes milliseconds

pytestmark = pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="looks for processes in /proc")


def until(condition):
    """Wait for a condition and return what it gave."""
    end = time.monotonic() + PATIENCE
    while not (value := condition()):
        assert time.monotonic() < end, "waited in vain"
        time.sleep(0.005)
    return value


def helpers(parent):
    """State of every helper process of a recorder, by process id: R, S, T (stopped), Z."""
    found = {}
    for stat in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):  # ended meanwhile
            state, its_parent = stat.read_text().rpartition(")")[2].split()[:2]
            if int(its_parent) == parent and re.search(rb"(wire|helper)\.py", (stat.parent / "cmdline").read_bytes()):
                found[int(stat.parent.name)] = state
    return found


def is_running(pid):
    try:
        return (Path("/proc") / str(pid) / "stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


@pytest.fixture(autouse=True)
def _attentive(monkeypatch):
    """Let the recorder look up often, so that what waits for its progress does not wait long."""
    monkeypatch.setattr("accrual.traces.record._LOOK_UP", 0.01)
    monkeypatch.setattr("accrual.traces.record._TELL", 0.01)


@pytest.fixture(autouse=True)
def _nothing_stays_behind():
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)}
    yield
    assert helpers(os.getpid()) == {}
    assert {number: signal.getsignal(number) for number in before} == before


def accrual_record(*words):
    return main(["record", *map(str, words)])


def accrual_send(*words):
    return main(["send", *map(str, words)])


@pytest.fixture
def knock(monkeypatch):
    """Do something with the recorder's port after it is taken and before anything is read from it."""

    def arrange(visit):
        class Visited(wire.Receiver):
            def __init__(self, *address):
                super().__init__(*address)
                visit(self.port)

        monkeypatch.setattr(wire, "Receiver", Visited)

    return arrange


# What is recorded


@pytest.mark.parametrize("name", ["x.parquet", "x.csv.gz"])
def test_a_recording(tmp_path, name):
    before = time.monotonic_ns()
    trace = record(tmp_path / name, period=0.002, count=100, title="two words")
    after = time.monotonic_ns()
    assert len(trace) == 100
    np.testing.assert_array_equal(trace.sequence, np.arange(100))
    assert (trace.sent <= trace.arrivals).all()
    assert (np.diff(trace.sent) > 0).all()
    assert before < trace.sent[0]
    assert trace.arrivals[-1] < after
    assert trace.sent_remote is None
    assert len(set(trace.epoch)) == 1
    assert trace.period == 0.002

    about = trace.about
    assert about["title"] == "two words"
    assert about["command"].endswith(f"accrual record {tmp_path / name} --period 0.002 --count 100 --title 'two words'")
    assert about["disturbance"] == "none"
    assert about["ended"] == "count"
    assert about["ignored_malformed"] == about["ignored_foreign"] == 0
    assert about["sender"]["heartbeats"] >= 100
    assert about["timestamps"] == ("kernel" if sys.platform == "linux" else "process")
    assert {"date", "kernel", "cpu", "clock", "source", "unstamped"} <= about.keys()

    assert read_trace(tmp_path / name) == trace
    assert os.listdir(tmp_path) == [name]


def test_duration_ends_a_recording(tmp_path, knock):
    knock(lambda port: wire.send(("127.0.0.1", port), 1e-3, 1))
    trace = record(tmp_path / "x.csv", duration=0.01, listen=("127.0.0.1", 0))
    assert trace.about["ended"] == "duration"
    assert len(trace) == 1


def test_over_ipv6(tmp_path):
    try:
        trace = record(tmp_path / "x.csv", period=0.001, count=20, ipv6=True)
    except OSError as error:
        pytest.skip(f"no IPv6 here: {error}")
    assert " --ipv6 " in trace.about["command"]
    np.testing.assert_array_equal(trace.sequence, np.arange(20))


def test_two_recordings_have_two_boot_ids(tmp_path):
    first, second = (record(tmp_path / f"{i}.csv", period=0.001, count=1) for i in range(2))
    assert first.epoch[0] != second.epoch[0]


def test_pauses_are_seen(tmp_path, monkeypatch):
    sent, states = [], set()

    class Watched(wire.Receiver):
        def receive(self, timeout):
            datagram = super().receive(timeout)
            sent.extend([wire.decode(datagram.data).sent] if datagram else [])
            return datagram

    def end_after_a_pause(heartbeats, seconds):
        states.update(helpers(os.getpid()).values())
        if "T" in states and (np.diff(sent) >= 100_000_000).any():
            os.kill(os.getpid(), signal.SIGINT)

    monkeypatch.setattr(wire, "Receiver", Watched)
    pause = Pause(every=0.02, median=0.1, sigma=0)
    trace = record(tmp_path / "x.csv", period=0.001, disturb=[pause], seed=1, progress=end_after_a_pause)
    assert trace.about["disturbance"] == "pause:every=0.02,median=0.1,sigma=0"
    assert trace.about["command"].endswith(" --disturb pause:every=0.02,median=0.1,sigma=0 --seed 1")
    assert trace.about["pauses"] >= 1
    assert trace.about["paused"] > 0
    assert trace.about["sender"]["restarts"] >= 1
    # No hole in the numbers: a pause is not made up for.
    np.testing.assert_array_equal(np.diff(trace.sequence), 1)


def test_contention_computes_beside(tmp_path):
    trace = record(tmp_path / "x.csv", period=0.001, count=50, disturb=[Contention(processes=2), Pause()])
    assert trace.about["disturbance"] == "contention:processes=2 pause:every=5.0,median=0.135,sigma=0.8"
    assert re.search(r" --disturb contention:processes=2 --disturb pause:\S+ --seed \d+$", trace.about["command"])


def test_what_is_not_for_us_is_counted_and_ignored(tmp_path, knock):
    def visit(port):
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as out:
            for data in (b"", b"GET / HTTP/1.1", bytes(wire.SIZE), os.urandom(60_000)):
                out.sendto(data, ("127.0.0.1", port))
        wire.send(("127.0.0.1", port), 1e-6, 3)

    knock(visit)
    trace = record(tmp_path / "x.csv", period=0.001, count=20)
    np.testing.assert_array_equal(trace.sequence, np.arange(20))
    assert trace.about["ignored_malformed"] == 4
    assert trace.about["ignored_foreign"] == 3


def test_heartbeats_from_elsewhere(tmp_path, knock):
    def visit(port):
        wire.send(("127.0.0.1", port), 1e-6, 5, epoch=7)
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as other:
            other.bind(("127.0.0.2", 0))
            other.sendto(wire.encode(wire.Heartbeat(1, 2, 3, 4)), ("127.0.0.1", port))
        wire.send(("127.0.0.1", port), 2e-6, 5, epoch=8)

    knock(visit)
    trace = record(tmp_path / "x.csv", count=10, listen=("127.0.0.1", 0))
    assert trace.sequence.tolist() == [0, 1, 2, 3, 4] * 2
    assert trace.epoch.tolist() == [7] * 5 + [8] * 5
    assert trace.sent is None
    assert (np.diff(trace.sent_remote) > 0).all()
    assert trace.period == 2e-6
    assert trace.about["command"].endswith(f"accrual record {tmp_path}/x.csv --listen 127.0.0.1:0 --count 10")
    assert trace.about["ignored_foreign"] == 1
    assert "sender" not in trace.about


# How it ends


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_signal_keeps_what_has_arrived(tmp_path, number):
    def end(heartbeats, seconds):
        if heartbeats:
            os.kill(os.getpid(), number)
            os.kill(os.getpid(), number)  # the impatient press twice

    previous = signal.signal(number, signal.default_int_handler)  # where the tests themselves run in the background
    try:
        trace = record(tmp_path / "x.parquet", period=0.001, progress=end)
    finally:
        signal.signal(number, previous)
    assert trace.about["ended"] == "signal"
    assert parquet.read(tmp_path / "x.parquet") == trace


def test_a_signal_that_is_ignored_stays_so(tmp_path):
    previous = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        trace = record(
            tmp_path / "x.csv", period=0.001, count=5, progress=lambda *_: os.kill(os.getpid(), signal.SIGHUP)
        )
    finally:
        signal.signal(signal.SIGHUP, previous)
    assert trace.about["ended"] == "count"


def test_in_a_thread_signals_are_left_alone(tmp_path):
    traces = []
    thread = threading.Thread(target=lambda: traces.append(record(tmp_path / "x.csv", period=0.001, count=10)))
    thread.start()
    thread.join(PATIENCE)
    assert len(traces[0]) == 10


def test_a_sender_that_dies_ends_the_recording(tmp_path, monkeypatch, capsys):
    def kill(heartbeats, seconds):
        if heartbeats:
            for pid in helpers(os.getpid()):
                os.kill(pid, signal.SIGKILL)

    monkeypatch.setattr("accrual.traces.record._progress_line", lambda: contextlib.nullcontext(kill))
    out = tmp_path / "x.parquet"
    assert accrual_record(out, "--period", "0.001") == 1
    assert "the sender ended before" in capsys.readouterr().err
    trace = parquet.read(out)
    assert trace.about["ended"] == "sender"
    np.testing.assert_array_equal(trace.sequence, np.arange(len(trace)))


RECORDER = """
import signal, sys
from accrual.cli import main
signal.signal(signal.SIGINT, signal.default_int_handler)  # who runs the tests may ignore it, as shells do for "&",
signal.signal(signal.SIGHUP, signal.SIG_DFL)  # and this one, as nohup does
sys.exit(main(["record", *sys.argv[1:]]))
"""


def recorder(*words, **options):
    return subprocess.Popen([sys.executable, "-c", RECORDER, *map(str, words)], **options)


@pytest.fixture
def terminal():
    """Both ends of a terminal, of which a test may close the first."""
    master, slave = (os.fdopen(end, "rb", buffering=0) for end in pty.openpty())
    with master, slave:
        yield master, slave


def wait_for_progress(master):
    shown = b""

    def heartbeats_shown():
        nonlocal shown
        if select.select([master], (), (), 0)[0]:
            shown += master.read(1000)
        return re.search(rb"\r[1-9]\d* heartbeats in ", shown)

    until(heartbeats_shown)


def test_ctrl_c_in_a_terminal(tmp_path, terminal):
    out = tmp_path / "x.parquet"
    master, slave = terminal
    with recorder(out, "--period", "0.001", stdout=subprocess.PIPE, stderr=slave) as process:
        wait_for_progress(master)
        children = helpers(process.pid)
        assert len(children) == 1
        process.send_signal(signal.SIGINT)
        said, _ = process.communicate(timeout=PATIENCE)
    assert process.returncode == 0
    trace = parquet.read(out)
    assert trace.about["ended"] == "signal"
    assert said.decode().startswith(f"{out}: {len(trace)} heartbeats in ")
    assert not any(is_running(pid) for pid in children)
    assert os.listdir(tmp_path) == [out.name]


def test_a_closed_terminal_loses_nothing(tmp_path, terminal):
    out = tmp_path / "x.csv"
    master, slave = terminal
    with recorder(out, "--period", "0.001", stdout=subprocess.PIPE, stderr=slave) as process:
        wait_for_progress(master)
        master.close()
        process.send_signal(signal.SIGHUP)
        process.communicate(timeout=PATIENCE)
    assert out.exists()


def test_nothing_outlives_a_recorder_that_is_killed(tmp_path):
    out = tmp_path / "x.parquet"
    # Stopped for good, as far as this test goes: it cannot see its recorder go.
    words = ["--disturb", "pause:every=1e-3,median=1e6", "--disturb", "contention:processes=1"]
    with recorder(out, "--period", "0.001", *words) as process:
        try:
            until(lambda: "T" in helpers(process.pid).values())
            children = helpers(process.pid)
            assert len(children) == 3
        finally:
            process.kill()
    until(lambda: not any(is_running(pid) for pid in children))
    assert os.listdir(tmp_path) in ([], ["x.parquet.part"])


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells a child that its parent died")
def test_a_stopped_sender_does_not_outlive_those_who_could_wake_it(tmp_path):
    with recorder(tmp_path / "x.csv", "--period", "0.001", "--disturb", "pause:every=1e-3,median=1e6") as process:
        try:
            until(lambda: "T" in helpers(process.pid).values())
            children = helpers(process.pid)
            for pid, state in children.items():
                if state != "T":
                    os.kill(pid, signal.SIGKILL)
        finally:
            process.kill()
    until(lambda: not any(is_running(pid) for pid in children))


# After a crash


@pytest.fixture
def crashed(tmp_path, terminal):
    """What a recorder that was killed in the middle of its work left behind, and how many heartbeats it had seen."""
    out = tmp_path / "x.parquet"
    master, slave = terminal
    with recorder(out, "--period", "0.001", "--title", "crashed", stderr=slave) as process:
        try:
            wait_for_progress(master)
            until(lambda: len(import_trace(f"{out}.part")[0]) >= 100)
            seen = len(import_trace(f"{out}.part")[0])
        finally:
            process.kill()
    return Path(f"{out}.part"), seen


def test_kill_9_loses_at_most_the_last_second(crashed, capsys):
    part, seen = crashed
    until(lambda: not journal.in_use(part))
    assert main(["record", "--recover", str(part)]) == 0
    trace = parquet.read(part.with_suffix(""))
    # All that was there to be seen before, nothing missing in between.
    np.testing.assert_array_equal(trace.sequence, np.arange(len(trace)))
    assert len(trace) >= seen
    assert trace.period == 0.001
    assert trace.about["title"] == "crashed"
    assert trace.about["ended"] == "unfinished"
    assert trace.about["ignored_foreign"] == 0
    assert capsys.readouterr().out.startswith(f"{part.with_suffix('')}: {len(trace)} heartbeats in ")
    assert os.listdir(part.parent) == ["x.parquet"]


def test_a_journal_is_a_trace_like_others(crashed, capsys):
    part, seen = crashed
    assert main(["import", str(part), f"{part.parent}/y.csv", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)[0]["heartbeats"] >= seen
    assert part.exists()


def test_what_was_left_behind_is_not_overwritten(crashed, capsys):
    part, _ = crashed
    before = part.read_bytes()
    assert accrual_record(part.with_suffix(""), "--force", "--count", "1") == 1
    reason = "a recording that was not finished: accrual record --recover it, or remove it"
    assert capsys.readouterr().err == f"accrual: {part}: {reason}\n"
    assert part.read_bytes() == before


def test_a_recording_that_goes_on_is_not_recovered(tmp_path):
    out = tmp_path / "x.csv"

    def try_to_recover(heartbeats, seconds):
        if heartbeats:
            with pytest.raises(OSError, match="the recording still goes on"):
                recover(f"{out}.part")
            os.kill(os.getpid(), signal.SIGINT)

    previous = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        record(out, period=0.001, progress=try_to_recover)
    finally:
        signal.signal(signal.SIGINT, previous)
    assert os.listdir(tmp_path) == ["x.csv"]


@pytest.mark.parametrize(
    ("words", "status", "complaint"),
    [
        (["--recover", "none.part"], 1, "none.part: No such file or directory"),
        (["--recover", "taken.csv"], 2, "a journal's name ends in .part, or the file needs to be named: 'taken.csv'"),
        (["x.csv", "--recover", "taken.csv"], 1, "taken.csv: no journal of a recording"),
        (["taken.csv", "--recover", "x.part"], 1, "taken.csv: exists already, only force overwrites it"),
        (["missing/x.csv", "--recover", "x.part"], 1, "missing/x.csv: cannot be written: No such file or directory"),
        (["--recover", "x.part"], 2, "path must end in .parquet, .csv or .csv.gz, is 'x'"),
        (["y.csv", "--recover", "empty.part"], 1, "empty.part: no heartbeat in it, nothing is written"),
        ([], 2, "record needs the name of a file: .parquet, .csv or .csv.gz"),
    ],
)
def test_what_cannot_be_recovered(tmp_path, monkeypatch, capsys, words, status, complaint):
    monkeypatch.chdir(tmp_path)
    Path("taken.csv").write_text("mine")
    columns = "arrival_ns", "sequence", "sent_ns", "epoch"
    with journal.Journal(Path("empty.part"), columns) as kept:
        whole = Path("empty.part").read_bytes()
    with journal.Journal(Path("x.part"), columns) as kept:
        kept.append(1, 2, 3, 4)
        kept.flush()
    Path("empty.part").write_bytes(whole)
    assert accrual_record(*words) == status
    assert capsys.readouterr().err == f"accrual: {complaint}\n"
    assert sorted(os.listdir()) == ["empty.part", "taken.csv", "x.part"]
    assert Path("taken.csv").read_text() == "mine"


# The disk


def limited(size, out):
    """A recorder whose files cannot grow beyond so many bytes."""
    program = f"import resource; resource.setrlimit(resource.RLIMIT_FSIZE, ({size}, {size}))\n{RECORDER}"
    words = [sys.executable, "-c", program, str(out), "--period", "0.001", "--json"]
    return subprocess.run(words, capture_output=True, text=True, timeout=PATIENCE)


def test_a_disk_that_takes_no_more_ends_the_recording(tmp_path):
    out = tmp_path / "x.csv.gz"  # a sixth of the journal
    done = limited(20_000, out)
    assert done.returncode == 1
    complaint = "the disk took no more and that ended the recording; what had arrived is written"
    assert done.stderr == f"accrual: {complaint}\n"
    trace = read_trace(out)
    np.testing.assert_array_equal(trace.sequence, np.arange(len(trace)))
    assert len(trace) == json.loads(done.stdout)["heartbeats"]
    assert trace.about["ended"] == "disk"
    assert os.listdir(tmp_path) == [out.name]


@pytest.fixture
def small_disk(tmp_path):
    """A file system of 192 KiB."""
    folder = tmp_path / "disk"
    folder.mkdir()
    if os.geteuid() or subprocess.run(["mount", "-t", "tmpfs", "-o", "size=192k", "none", folder]).returncode:
        pytest.skip("only root can mount a small disk")
    yield folder
    subprocess.run(["umount", folder], check=True)


def test_a_full_disk_keeps_what_arrived_before(tmp_path, small_disk):
    out = small_disk / "x.csv"
    words = [sys.executable, "-c", RECORDER, str(out), "--period", "0.0005"]
    done = subprocess.run(words, capture_output=True, text=True, timeout=PATIENCE)
    assert done.returncode == 1
    reason = f"what arrived is in {out}.part, which accrual record --recover finishes"
    assert done.stderr == f"accrual: {out}: No space left on device; {reason}\n"
    assert os.listdir(small_disk) == ["x.csv.part"]
    trace = recover(f"{out}.part", tmp_path / "x.csv")
    np.testing.assert_array_equal(trace.sequence, np.arange(len(trace)))
    assert len(trace) > 3000  # of 32 bytes each
    assert os.listdir(small_disk) == []


# Hostile senders


def test_invented_restarts_are_bounded(tmp_path, monkeypatch, capsys, knock):
    monkeypatch.setattr("accrual.traces.record._MOST_EPOCHS", 10)

    def visit(port):
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as out:
            for epoch in [*range(50), 0, 0]:
                out.sendto(wire.encode(wire.Heartbeat(epoch, 5, 0, 1)), ("127.0.0.1", port))

    knock(visit)
    assert accrual_record(tmp_path / "x.csv", "--listen", "127.0.0.1:0", "--duration", "0.1", "--json") == 0
    summary = json.loads(capsys.readouterr().out)
    assert (summary["heartbeats"], summary["ignored_foreign"], summary["lost"]) == (12, 40, 0)


def test_replayed_and_wild_numbers_are_recorded_as_they_came(tmp_path, capsys, knock):
    far = 2**63 - 1

    def visit(port):
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as out:
            for epoch, number in ((1, 0), (1, 0), (1, far), (2, far), (2, 0), (1, 0)):
                out.sendto(wire.encode(wire.Heartbeat(epoch, number, 0, far)), ("127.0.0.1", port))

    knock(visit)
    assert accrual_record(tmp_path / "x.csv", "--listen", "127.0.0.1:0", "--count", "6", "--json") == 0
    assert json.loads(capsys.readouterr().out)["lost"] == 2 * (far - 1)


def test_memory_does_not_grow_with_the_recording(tmp_path):
    """What has been written is forgotten."""
    with journal.Journal(tmp_path / "x.part", ["arrival_ns"]) as kept:
        for number in range(5):
            for k in range(1000):
                kept.append(k)
            kept.tick(kept._due, dict)
            assert len(kept._rows) == len(kept._unwritten) == 0
            assert kept.heartbeats == 1000 * (number + 1)


# The command


def test_summary(tmp_path, capsys):
    out = tmp_path / "x.csv"
    assert accrual_record(out, "--period", "0.001", "--count", "20", "--json") == 0
    summary = json.loads(capsys.readouterr().out)
    assert summary["file"] == str(out)
    assert summary["heartbeats"] == 20
    assert summary["lost"] == 0
    assert summary["period"] == 0.001
    assert summary["ended"] == "count"


def test_losses_are_counted_in_each_epoch(tmp_path, knock, capsys):
    def visit(port):
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as out:
            for epoch, number in ((1, 10), (1, 13), (1, 12), (1, 13), (2, 0), (2, 2)):
                out.sendto(wire.encode(wire.Heartbeat(epoch, number, 0, 1)), ("127.0.0.1", port))

    knock(visit)
    assert accrual_record(tmp_path / "x.csv", "--listen", "127.0.0.1:0", "--count", "6") == 0
    assert capsys.readouterr().out == f"{tmp_path}/x.csv: 6 heartbeats in 0.0 s, 2 lost\n"


@pytest.mark.parametrize(
    ("words", "status", "complaint"),
    [
        (["missing/x.parquet"], 1, "missing/x.parquet: cannot be written: No such file or directory"),
        (["taken/x.parquet"], 1, "taken/x.parquet: cannot be written: Not a directory"),
        (["."], 1, ".: Is a directory"),
        ([".", "--force"], 1, ".: Is a directory"),
        (["taken"], 1, "taken: exists already, only force overwrites it"),
        (["x.txt"], 2, "path must end in .parquet, .csv or .csv.gz, is 'x.txt'"),
        (["x.csv", "--period", "0"], 2, "period must be from 1e-9 to 86400 s, is 0.0"),
        (["x.csv", "--count", "0"], 2, "count must be at least 1, is 0"),
        (["x.csv", "--duration", "nan"], 2, "duration must be positive and finite, is nan s"),
        (["x.csv", "--seed", "-1"], 2, "seed must be at least 0, is -1"),
        (
            ["x.csv", "--disturb", "storm"],
            2,
            "no disturbance 'storm'; there are contention, pause, gc, cpu-quota, path",
        ),
        (
            ["x.csv", "--listen", "here"],
            2,
            "an address is HOST:PORT or [IPV6]:PORT with a port up to 65535, not 'here'",
        ),
        (
            ["x.csv", "--listen", "[::1]:0", "--disturb", "pause"],
            2,
            "disturb needs the own sender, which listen does without",
        ),
        (["x.csv", "--listen", "[::1]:0", "--ipv6"], 2, "ipv6 is for the own sender; listen has an address of its own"),
        (["x.csv", "--disturb", "path", "--disturb", "path:loss=0.1"], 2, "disturb: path can be there once only"),
        (["x.csv", "--listen", "192.0.2.77:7"], 1, "192.0.2.77:7: Cannot assign requested address"),
        (["x.csv", "--listen", "127.0.0.1:0", "--duration", "0.01"], 1, "x.csv: no heartbeat came, nothing is written"),
    ],
)
def test_what_cannot_be_done(tmp_path, monkeypatch, capsys, words, status, complaint):
    monkeypatch.chdir(tmp_path)
    Path("taken").write_text("mine")
    assert accrual_record(*words) == status
    said = capsys.readouterr()
    assert said.err == f"accrual: {complaint}\n"
    assert said.out == ""
    assert os.listdir() == ["taken"]
    assert Path("taken").read_text() == "mine"


def test_a_port_in_use(tmp_path, capsys):
    with wire.Receiver() as taken:
        assert accrual_record(tmp_path / "x.csv", "--listen", f"127.0.0.1:{taken.port}") == 1
    assert capsys.readouterr().err == f"accrual: 127.0.0.1:{taken.port}: Address already in use\n"
    assert os.listdir(tmp_path) == []


def test_force_overwrites(tmp_path):
    out = tmp_path / "x.parquet"
    out.write_text("old")
    assert accrual_record(out, "--period", "0.001", "--count", "5", "--force") == 0
    assert len(parquet.read(out)) == 5


def test_no_heartbeat_is_a_trace_error(tmp_path):
    with pytest.raises(TraceError, match="no heartbeat came"):
        record(tmp_path / "x.csv", duration=0.01, listen=("127.0.0.1", 0))


def test_send(capsys):
    with wire.Receiver() as receiver:
        address = f"127.0.0.1:{receiver.port}"
        assert accrual_send(address, "--period", "0.001", "--count", "3") == 0
        assert accrual_send(address, "--period", "0.001", "--count", "2", "--json") == 0
        sequence = [wire.decode(receiver.receive(PATIENCE).data).sequence for _ in range(5)]
    assert sequence == [0, 1, 2, 0, 1]
    first, second = capsys.readouterr().out.splitlines()
    assert re.fullmatch(r"3 heartbeats sent, 0 refused, \d pauses", first)
    assert json.loads(second)["heartbeats"] == 2


@pytest.mark.parametrize("host", ["127.0.0.1", "[::1]"])
def test_from_one_command_to_the_other(tmp_path, capsys, host):
    """As between two machines: neither knows more of the other than an address."""
    try:
        with wire.Receiver(host.strip("[]")) as free:
            address = f"{host}:{free.port}"
    except OSError as error:
        pytest.skip(f"no IPv6 here: {error}")
    out = tmp_path / "x.csv"
    with recorder(out, "--listen", address, "--count", "30", stdout=subprocess.DEVNULL) as process:
        until(lambda: Path(f"{out}.part").exists() or process.poll() is not None)
        assert accrual_send(address, "--period", "0.001", "--count", "30") == 0
        assert process.wait(PATIENCE) == 0
    trace = read_trace(out)
    np.testing.assert_array_equal(trace.sequence, np.arange(30))
    assert (np.diff(trace.sent_remote) > 0).all()
    assert trace.period == 0.001
    assert capsys.readouterr().out.startswith("30 heartbeats sent, 0 refused")


@pytest.mark.parametrize(
    ("words", "status", "complaint"),
    [
        (["nowhere"], 2, "HOST:PORT"),
        (["127.0.0.1:0"], 1, "127.0.0.1:0: Invalid argument"),
        (["127.0.0.1:7", "--period", "-1"], 2, "period must be from"),
    ],
)
def test_what_cannot_be_sent(capsys, words, status, complaint):
    assert accrual_send(*words) == status
    said = capsys.readouterr().err
    assert said.startswith("accrual: ")
    assert complaint in said
    assert said.count("\n") == 1
