"""Control groups with a limit of processor time: found in what a kernel tells, made, used and removed for real."""

import os
import signal
import subprocess
import sys
import time

import pytest

from accrual.traces import cgroups
from accrual.traces.cgroups import Group
from accrual.traces.child import Child, UnavailableError, helping
from accrual.traces.disturb import CpuQuota, Pause
from accrual.traces.record import record

PATIENCE = 60.0  # s; a deadline for what takes milliseconds


# What a kernel tells


@pytest.fixture
def kernel(tmp_path):
    """A /proc and a tree of version 2 groups, of which some hand down the cpu controller."""

    def make(mounts, groups, hand_down=()):
        (tmp_path / "self").mkdir()
        (tmp_path / "self" / "mountinfo").write_text(mounts.format(tmp_path))
        (tmp_path / "self" / "cgroup").write_text(groups)
        for group in hand_down:
            folder = tmp_path / group
            folder.mkdir(parents=True, exist_ok=True)
            (folder / "cgroup.subtree_control").write_text("cpuset cpu memory\n")
        return tmp_path

    return make


V1 = "30 25 0:27 / {0}/cpu rw,relatime - cgroup cgroup rw,cpu,cpuacct\n"
MEMORY = "31 25 0:28 / {0}/memory rw - cgroup cgroup rw,memory\n"
V2 = "32 25 0:29 / {0}/two rw,nosuid shared:4 - cgroup2 cgroup2 rw,nsdelegate\n"


def test_version_1(kernel):
    root = kernel(MEMORY + V1, "4:memory:/deep/inside\n1:cpu,cpuacct:/job\n0::/\n")
    (root / "cpu" / "job").mkdir(parents=True)
    assert cgroups.find(root) == Group(1, root / "cpu" / "job")


def test_version_1_wins_where_it_has_the_controller(kernel):
    root = kernel(V2 + V1, "1:cpu,cpuacct:/\n0::/\n", ["two"])
    (root / "cpu").mkdir()
    assert cgroups.find(root) == Group(1, root / "cpu")


def test_version_1_in_a_container_that_sees_a_part_of_it(kernel):
    root = kernel(V1.replace(" / ", " /docker/abc "), "1:cpu,cpuacct:/docker/abc/job\n")
    (root / "cpu" / "job").mkdir(parents=True)
    assert cgroups.find(root) == Group(1, root / "cpu" / "job")


def test_version_1_in_a_container_that_is_elsewhere(kernel):
    root = kernel(V1, "1:cpu,cpuacct:/../other\n")
    (root / "cpu").mkdir()
    assert cgroups.find(root) == Group(1, root / "cpu")


def test_version_2_takes_the_nearest_that_hands_the_controller_down(kernel):
    user = "two/user.slice/user-1000.slice"
    root = kernel(V2, f"0::/{user[4:]}/session-1.scope\n", ["two", "two/user.slice", user])
    (root / user / "session-1.scope").mkdir()
    assert cgroups.find(root) == Group(2, root / user)


@pytest.mark.parametrize(
    ("mounts", "groups"), [("", "0::/\n"), (V2, "0::/\n"), (MEMORY, "4:memory:/\n"), (V1, "0::/\n")]
)
def test_no_group_with_the_controller(kernel, mounts, groups):
    with pytest.raises(UnavailableError, match=r"cpu-quota needs a control group .* echo \+cpu >"):
        cgroups.find(kernel(mounts, groups))


def test_another_system(tmp_path):
    with pytest.raises(UnavailableError, match="cpu-quota needs control groups, which Linux has"):
        cgroups.find(tmp_path / "none")


def test_a_group_of_somebody_else(kernel, monkeypatch):
    root = kernel(V2, "0::/\n", ["two"])
    monkeypatch.setattr(os, "access", lambda path, mode: False)
    with pytest.raises(UnavailableError, match=f"cpu-quota may not write to {root}/two: run it as root, or .*systemd"):
        cgroups.find(root)


def test_version_2_is_limited_in_one_file(tmp_path):
    (tmp_path / "cgroup.procs").touch()
    group = cgroups.new(Group(2, tmp_path))
    cgroups.limit(group, 2, 0.25, 0.02, [7])
    assert (group / "cpu.max").read_text() == "5000 20000"
    assert (group / "cgroup.procs").read_text() == "7"
    assert group.parent == tmp_path


def controllers(root, version_1=("memory", "pids", "cpu", "blkio", "freezer")):
    """A kernel of version 1 as Debian mounts it, one controller a folder."""
    (root / "self").mkdir()
    mounts = [f"30 25 0:{k} / {root}/{name} rw - cgroup cgroup rw,{name}\n" for k, name in enumerate(version_1)]
    (root / "self" / "mountinfo").write_text("".join(mounts))
    (root / "self" / "cgroup").write_text("".join(f"{k}:{name}:/\n" for k, name in enumerate(version_1)) + "0::/\n")
    for name in version_1:
        (root / name).mkdir()


def test_many_controllers_of_version_1(tmp_path):
    controllers(tmp_path)
    found = cgroups.find_all(("memory", "io", "freezer"), "the lab", "accrual lab", tmp_path)
    assert found == {
        "memory": Group(1, tmp_path / "memory"),
        "io": Group(1, tmp_path / "blkio"),
        "freezer": Group(1, tmp_path / "freezer"),
    }


def test_many_controllers_of_version_2_need_one_group_that_hands_all_down(kernel):
    root = kernel(V2, "0::/user/session\n", ["two", "two/user"])
    (root / "two" / "user" / "cgroup.subtree_control").write_text("memory pids\n")
    assert cgroups.find_all(("memory", "freezer"), "x", "y", root)["memory"] == Group(2, root / "two" / "user")
    both = cgroups.find_all(("memory", "cpu", "freezer"), "x", "y", root)
    assert set(both.values()) == {Group(2, root / "two")}


def test_both_versions_at_once(kernel):
    """As systemd mounts them in its hybrid mode, with some controllers moved over."""
    root = kernel(MEMORY + V2, "4:memory:/\n0::/\n", ["two"])
    (root / "memory").mkdir()
    found = cgroups.find_all(("cpu", "memory"), "x", "y", root)
    assert found == {"memory": Group(1, root / "memory"), "cpu": Group(2, root / "two")}


def test_controllers_that_nobody_hands_down_are_named(kernel):
    root = kernel(V2, "0::/\n", ["two"])
    with pytest.raises(
        UnavailableError, match=r"the lab needs .* the memory and io controllers: .* echo \+memory \+io"
    ):
        cgroups.find_all(("memory", "io"), "the lab", "accrual lab", root)


def test_delegation_is_the_remedy(kernel, monkeypatch):
    root = kernel(V2, "0::/\n", ["two"])
    monkeypatch.setattr(os, "access", lambda path, mode: False)
    with pytest.raises(UnavailableError, match="systemd-run --user --scope -p Delegate=yes accrual lab containers"):
        cgroups.find_all(("memory",), "the lab", "accrual lab containers", root)


@pytest.mark.parametrize("version", [1, 2])
def test_settings_are_written_and_counts_are_read(tmp_path, version):
    """A folder for a group: any file can be written there, so it is the names and values that count."""
    cgroups.apply(tmp_path, cgroups.pids_settings(version, 5))
    cgroups.apply(tmp_path, cgroups.memory_settings(version, 2**26))
    cgroups.apply(tmp_path, cgroups.write_settings(version, "254:0", 2**20))
    cgroups.apply(tmp_path, cgroups.freeze_settings(version, True))
    found = {path.name: path.read_text() for path in tmp_path.iterdir()}
    expected = {
        1: {
            "memory.limit_in_bytes": "67108864",
            "blkio.throttle.write_bps_device": "254:0 1048576",
            "freezer.state": "FROZEN",
        },
        2: {"memory.max": "67108864", "io.max": "254:0 wbps=1048576", "cgroup.freeze": "1"},
    }
    assert found == expected[version] | {"pids.max": "5"}  # and none for swap, which is not counted here
    (tmp_path / ("memory.oom_control" if version == 1 else "memory.events")).write_text("oom 1\noom_kill 2\n")
    (tmp_path / "pids.events").write_text("max 3\n")
    (tmp_path / "cpu.stat").write_text("nr_periods 9\nnr_throttled 4\n")
    assert [cgroups.count(tmp_path, version, what) for what in ("oom_kill", "max", "nr_throttled")] == [2, 3, 4]


def test_a_setting_that_is_refused_is_told(tmp_path):
    (tmp_path / "pids.max").mkdir()
    with pytest.raises(UnavailableError, match=r"pids.max does not take '5': Is a directory"):
        cgroups.apply(tmp_path, {"pids.max": "5"})


# The real thing


@pytest.fixture
def parent():
    try:
        found = cgroups.find()
    except UnavailableError as error:
        pytest.skip(str(error))
    before = groups_in(found)
    yield found
    assert groups_in(found) == before


def groups_in(parent):
    return set(parent.directory.glob("accrual-*"))


def test_a_sender_under_a_quota(tmp_path, parent):
    quota = CpuQuota(share=0.2)

    def look(heartbeats, seconds):
        # For three periods at least, whatever else the machine does.
        [group] = [group for group in groups_in(parent) if f"accrual-{os.getpid()}-" in group.name]
        stat = (group / "cpu.stat").read_text().split()
        if heartbeats and int(stat[stat.index("nr_throttled") + 1]) >= 3:
            os.kill(os.getpid(), signal.SIGINT)

    previous = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        trace = record(tmp_path / "x.csv", period=0.001, disturb=[quota, Pause(every=60)], seed=1, progress=look)
    finally:
        signal.signal(signal.SIGINT, previous)
    assert trace.about["throttles"] >= 3
    assert trace.about["throttled"] > 0
    assert " --disturb cpu-quota:share=0.2,period=0.1,processes=1 " in trace.about["command"]


RECORDER = "import sys; from accrual.cli import main; sys.exit(main(['record', *sys.argv[1:]]))"


@pytest.mark.parametrize("members", [0, 2])
def test_a_killed_recorder_leaves_no_group(tmp_path, parent, members):
    words = [sys.executable, "-c", RECORDER, str(tmp_path / "x.csv"), "--disturb", "cpu-quota"]
    with subprocess.Popen(words) as process:
        try:
            ours = f"accrual-{process.pid}-*/cgroup.procs"
            wait(lambda: any(len(procs.read_text().split()) >= members for procs in parent.directory.glob(ours)))
        finally:
            process.kill()
    wait(lambda: not list(parent.directory.glob(f"accrual-{process.pid}-*")))


def wait(condition):
    until = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < until, "waited in vain"
        time.sleep(0.005)


def test_groups_left_behind_are_removed_at_the_next_start(tmp_path, parent):
    """As if recorder and helper had both been killed, one of them while its sender was in the group."""
    left = parent.directory / "accrual-1-12345-00000000"  # process 1 began at another time
    left.mkdir()
    script = tmp_path / "child.py"
    script.write_text("import sys; sys.stdin.read()")
    with Child(str(script)) as orphan:
        (left / "cgroup.procs").write_text(str(orphan.pid))
        group = cgroups.new(parent)
        assert not left.exists()
        cgroups.limit(group, parent.version, 0.5, 0.1, [orphan.pid])
        assert groups_in(parent) >= {group}
        cgroups.sweep(parent.directory)  # it is in use: by us
        assert group.exists()
        with helping("quota", group, parent.directory) as report:
            pass
        assert not group.exists()
    assert set(report) == {"throttles", "throttled"}


def test_what_the_kernel_refuses_is_told(parent):
    with pytest.raises(UnavailableError, match=r"cpu-quota: .*: No such process"):
        cgroups.limit(cgroups.new(parent), parent.version, 0.5, 0.1, [2**22 + 1])
