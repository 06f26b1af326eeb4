"""The path between two network namespaces: what its process does with packets, and real heartbeats over it."""

import json
import os
import select
import signal
import socket
import subprocess
import sys
import time
from contextlib import ExitStack
from dataclasses import asdict
from pathlib import Path as FilePath

import numpy as np
import pytest
from scipy import stats

from accrual.traces import helper, wire
from accrual.traces.child import UnavailableError, helping
from accrual.traces.disturb import Path, Pause
from accrual.traces.namespaces import Link
from accrual.traces.record import record

PATIENCE = 60.0  # s; a deadline for what takes milliseconds


# What the process between the namespaces does, with sockets for devices


class Ends:
    """Sockets in place of TUN devices, a datagram for a packet; the path waits, where a device would drop."""

    def __init__(self, path, seed=1):
        self._path, self._seed = path, seed
        self.out = []

    def __enter__(self):
        self._ours, source = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)
        target, self._end = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)
        source.setblocking(False)
        self._ours.setblocking(False)
        self._stack = ExitStack()
        for one in (self._ours, source, target, self._end):
            self._stack.enter_context(one)
        files = source.fileno(), target.fileno()
        words = *files, *asdict(self._path).values(), self._seed
        self.report = self._stack.enter_context(helping("forward", *words, files=files))
        self.flush()  # what comes before the path runs is dropped
        return self

    def __exit__(self, *exception):
        self._stack.close()

    def send(self, packet):
        while True:
            self.receive(0)
            try:
                return self._ours.send(packet)
            except BlockingIOError:
                self.receive(0.01)

    def receive(self, patience):
        while select.select([self._end], (), (), patience)[0]:
            self.out.append(self._end.recv(100))

    def flush(self):
        """Send until one gets through: all that went before has then, or never will."""
        end = time.monotonic() + PATIENCE
        mark = LAST
        while not (self.out and number_of(self.out[-1]) > LAST):
            assert time.monotonic() < end
            mark += 1
            self.send(udp(mark))
            self.receive(0.02)
        self.out[:] = [packet for packet in self.out if number_of(packet) < LAST]


def carried(path, packets):
    """Let a path carry packets; return what came out and the report."""
    with Ends(path) as ends:
        for packet in packets:
            ends.send(packet)
        ends.flush()
    return ends.out, ends.report


def udp(number):
    """A packet of which only what the path looks at is there: version and protocol."""
    return bytes([0x45, *[0] * 8, 17]) + number.to_bytes(8, "big")


def number_of(packet):
    return int.from_bytes(packet[10:], "big")


LAST = 2**62


def test_a_clear_path_carries_everything_in_order():
    out, report = carried(Path(delay=0), [udp(k) for k in range(1000)])
    assert [number_of(packet) for packet in out] == list(range(1000))
    assert report["dropped"] == report["dropped_in_partitions"] == report["partitions"] == 0


def test_only_udp_is_carried():
    others = [bytes([0x45, *[0] * 8, 1]), bytes([0x60, 0, 0, 0, 0, 0, 58, 0, 0, 0])]
    version_6 = bytes([0x60, 0, 0, 0, 0, 0, 17, 0, 0, 0]) + bytes(8)
    out, _ = carried(Path(delay=0), [*others, version_6, *others, udp(1)])
    assert out == [version_6, udp(1)]


def runs(lost):
    """Lengths of the runs of True."""
    edges = np.flatnonzero(np.diff(np.concatenate([[False], lost, [False]])))
    return edges[1::2] - edges[::2]


@pytest.mark.parametrize(("loss", "burst"), [(0.05, 1), (0.05, 4), (0.3, 10), (0.5, 2)])
def test_losses_are_gilberts(loss, burst):
    n = 20_000
    out, report = carried(Path(delay=0, loss=loss, burst=burst), [udp(k) for k in range(n)])
    lost = np.ones(n, dtype=bool)
    lost[[number_of(packet) for packet in out]] = False
    # The seed makes this the same every time, but for the few packets before the first of these.
    error = np.sqrt(2 * burst * loss / n)
    assert lost.mean() == pytest.approx(loss, abs=5 * error)
    assert runs(lost).mean() == pytest.approx(burst, rel=0.2)
    assert runs(lost).min() == 1
    if burst == 1:
        assert runs(lost).max() == 1
    assert report["dropped"] >= lost.sum()


def test_a_path_is_never_early_and_keeps_the_order():
    delays = []
    with Ends(Path(delay=0.02, jitter=0.01, correlation=0.9)) as ends:
        for k in range(100):
            start = time.monotonic()
            ends.send(udp(k))
            while k not in map(number_of, ends.out):
                ends.receive(0.001)
            delays.append(time.monotonic() - start)
    assert [number_of(packet) for packet in ends.out if number_of(packet) < LAST] == list(range(100))
    assert min(delays) >= 0.0199  # but for the reading of the clock
    assert np.mean(delays) >= 0.025


@pytest.mark.parametrize("slowness", [-8.0, -3.0, -1.0, 0.0, 0.5, 2.0, 5.0, 8.0])
def test_queueing_delays_are_exponential(slowness):
    assert helper._queued(slowness) == pytest.approx(stats.expon.isf(stats.norm.sf(slowness)), rel=1e-9, abs=1e-14)


# Real heartbeats


@pytest.fixture(scope="module", autouse=True)
def _real():
    yield
    # Nothing is left of any namespace: they have no names to begin with.
    names = "/run/netns"
    assert not os.path.exists(names) or not [name for name in os.listdir(names) if "accrual" in name]


@pytest.fixture
def _namespaces():
    try:
        with Link():
            pass
    except UnavailableError as error:
        pytest.skip(str(error))


@pytest.mark.usefixtures("_namespaces")
@pytest.mark.parametrize("ipv6", [False, True])
def test_heartbeats_over_a_path(tmp_path, ipv6):
    path = Path(delay=0.02, jitter=0.002, correlation=0.5, loss=0.1, burst=2)
    try:
        trace = record(tmp_path / "x.parquet", period=0.002, count=200, disturb=[path], ipv6=ipv6, seed=1)
    except UnavailableError as error:
        pytest.skip(str(error))
    transit = trace.arrivals - trace.sent
    assert transit.min() >= 19_900_000  # the stamp is converted between clocks
    holes = np.diff(trace.sequence) - 1
    assert (holes >= 0).all()
    assert 0 < holes.sum() <= trace.about["dropped"]
    assert trace.about["forwarded"] >= 200
    assert trace.about["disturbance"] == str(path)


@pytest.mark.usefixtures("_namespaces")
def test_partitions_come_and_heal(tmp_path):
    path = Path(delay=0, partition_every=0.05, partition=0.05)
    trace = record(tmp_path / "x.csv", period=0.001, count=300, disturb=[path, Pause(every=10)], seed=1)
    about = trace.about
    assert about["partitions"] == len(about["partitions_at"]) >= 2
    assert about["partitioned"] == pytest.approx(sum(b - a for a, b in about["partitions_at"]) / 1e9)
    holes = np.diff(trace.sequence) - 1
    assert 0 < holes.sum() <= about["dropped_in_partitions"]
    assert about["dropped"] == 0


@pytest.mark.usefixtures("_namespaces")
def test_nothing_is_reachable_from_outside(tmp_path):
    """The receiver's socket is in a namespace of its own, and no interface of it is on this machine."""

    def look(heartbeats, seconds):
        assert "path:" not in FilePath("/proc/thread-self/net/dev").read_text()
        with pytest.raises(OSError, match="Cannot assign requested address"):
            wire.Receiver("2001:db8::2")

    home = os.readlink("/proc/thread-self/ns/net")
    record(tmp_path / "x.csv", period=0.001, count=20, disturb=[Path(delay=0)], progress=look)
    assert os.readlink("/proc/thread-self/ns/net") == home


RECORDER = "import sys; from accrual.cli import main; sys.exit(main(['record', *sys.argv[1:]]))"


def namespaces():
    """Every network namespace in which something runs."""
    found = set()
    for pid in filter(str.isdigit, os.listdir("/proc")):
        try:
            found.add(os.readlink(f"/proc/{pid}/ns/net"))
        except OSError:
            continue
    return found


@pytest.mark.usefixtures("_namespaces")
def test_a_killed_recorder_leaves_no_namespace(tmp_path):
    before = namespaces()
    words = [sys.executable, "-c", RECORDER, str(tmp_path / "x.csv"), "--disturb", "path"]
    with subprocess.Popen(words) as process:
        try:
            until = time.monotonic() + PATIENCE
            while not namespaces() - before:
                assert process.poll() is None
                assert time.monotonic() < until
        finally:
            process.send_signal(signal.SIGKILL)
    until = time.monotonic() + PATIENCE
    while namespaces() - before:
        assert time.monotonic() < until


def without(capability, *words):
    done = subprocess.run(
        ["setpriv", f"--bounding-set=-{capability}", f"--inh-caps=-{capability}", *words],
        capture_output=True,
        text=True,
        timeout=PATIENCE,
    )
    if "setpriv:" in done.stderr:
        pytest.skip(done.stderr)
    return done


@pytest.mark.usefixtures("_namespaces")
def test_who_is_not_root_is_told_what_to_do(tmp_path):
    done = without("sys_admin", sys.executable, "-c", RECORDER, str(tmp_path / "x.csv"), "--disturb", "path")
    assert done.returncode == 1
    hint = "sudo accrual record ... or unshare --map-root-user --net accrual record ..."
    assert done.stderr == f"accrual: path needs root: {hint}\n"
    assert os.listdir(tmp_path) == []


@pytest.mark.usefixtures("_namespaces")
def test_a_machine_without_tun_devices(monkeypatch):
    true_open = os.open

    def absent(path, *rest):
        return true_open("/dev/net/none" if path == "/dev/net/tun" else path, *rest)

    home = os.readlink("/proc/thread-self/ns/net")
    monkeypatch.setattr(os, "open", absent)
    with pytest.raises(UnavailableError, match=r"path needs /dev/net/tun \(No such file or directory\): modprobe tun"):
        Link()
    assert os.readlink("/proc/thread-self/ns/net") == home


@pytest.mark.usefixtures("_namespaces")
def test_unprivileged_in_a_user_namespace(tmp_path):
    out = tmp_path / "x.csv"
    words = [str(out), "--count", "20", "--period", "0.001", "--disturb", "path:delay=0.01", "--json"]
    done = subprocess.run(
        ["unshare", "--map-root-user", "--net", sys.executable, "-c", RECORDER, *words],
        capture_output=True,
        text=True,
        timeout=PATIENCE,
    )
    if "unshare:" in done.stderr:
        pytest.skip(done.stderr)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["heartbeats"] == 20


def test_the_sender_cannot_reach_this_machine():
    try:
        link = Link()
    except UnavailableError as error:
        pytest.skip(str(error))
    with link, wire.Receiver() as receiver, link.at_sender(), pytest.raises(OSError, match="unreachable"):
        wire.send(("127.0.0.1", receiver.port), 1.0, 1)
