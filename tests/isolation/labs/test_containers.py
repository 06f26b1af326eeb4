"""Containers for real: what a cap does, what none does, and that nothing is left."""

import json
import os
import signal
import tempfile
import threading

import pytest
from leftovers import Leftovers, end_while_it_runs, require

from accrual.isolation.labs import containers
from accrual.isolation.labs.container import Container, disk_of
from accrual.lab import Scene, UnavailableError
from accrual.traces import cgroups


@pytest.fixture(autouse=True)
def place(monkeypatch, tmp_path):
    """A place of its own for the labs' folders."""
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr(tempfile, "tempdir", None)
    return tmp_path


@pytest.fixture
def left(place):
    found = Leftovers(place)
    yield found
    found.check()


def run(**parameters):
    require(containers, **parameters)
    return containers(**parameters)


def only_row(found):
    [row] = found.rows
    return row


def test_a_memory_hog_is_killed_and_nobody_else(left):
    row = only_row(run(part="memory"))
    assert row["kernel_counted"] == 1
    assert row["what_happened"].startswith("killed after ")
    assert 0 < int(row["what_happened"].split()[2]) < 64  # MiB
    assert (row["neighbours_harmed"], row["neighbours"]) == (0, 2)


def test_a_cpu_hog_is_held_back(left):
    row = only_row(run(part="cpu"))
    assert row["kernel_counted"] >= 3
    assert float(row["what_happened"].split()[1]) <= 0.3  # of a processor; 0.2 and a period's rounding
    assert row["neighbours_harmed"] == 0


def test_a_fork_is_refused(left):
    row = only_row(run(part="pids"))
    # The cap is 8: bubblewrap is two, the program one.
    assert row["what_happened"] == f"fork 6 refused: {os.strerror(11)}"
    assert row["kernel_counted"] >= 1
    assert row["neighbours_harmed"] == 0


def test_a_disk_hog_is_slowed(left, place):
    row = only_row(run(part="disk"))
    assert row["neighbours_harmed"] == 0
    if row["what_happened"].startswith("not tried"):
        pytest.skip(row["what_happened"])
    assert disk_of(place) is not None
    # 4 MiB at 2 MiB a second; the kernel lets the beginning through and counts in slices of a tenth of a second.
    assert row["took"] >= 1.5


def test_a_frozen_container_is_silent_and_not_dead(left):
    row = only_row(run(part="freeze"))
    assert row["what_happened"] == "silent, alive, then as before"
    assert row["neighbours_harmed"] == 0


def test_the_bridge_is_shared(left):
    row = only_row(run(part="network"))
    assert (row["neighbours_harmed"], row["neighbours"]) == (2, 2)
    assert row["what_happened"] == "both cut off, 2 of 2 processes run on"


def test_the_hog_next_door(left):
    found = run(part="hog", seconds=2.0, hogs=8)
    facts = found.facts
    # Nine want one processor: a fifth of a period's work takes nine fifths. A cap of a fifth leaves four to the victim.
    assert facts["hog_mean"] > 1.5 * facts["capped_mean"]
    assert facts["hog_deviation"] > facts["capped_deviation"]
    # Counted by heartbeat: beside a hog there are fewer of them in the same time.
    wrong = {phase: facts[f"{phase}_fixed_mistakes"] / facts[f"{phase}_heartbeats"] for phase in ("hog", "capped")}
    assert wrong["hog"] > wrong["capped"]
    assert facts["hog_phi_mistakes"] < facts["hog_fixed_mistakes"]
    capped = found.rows[-1]
    assert (capped["cap"], capped["fault"]) == ("cpu 0.2", "hog next door")
    assert capped["kernel_counted"] > 0


@pytest.mark.parametrize("sign", [signal.SIGKILL, signal.SIGINT])
@pytest.mark.parametrize(
    ("part", "until"),
    [("hog", "same hogs"), ("network", "both containers answer"), ("memory", "takes memory"), ("freeze", "frozen")],
)
def test_nothing_is_left_when_the_caller_is_gone(place, part, until, sign):
    require(containers, part=part)
    groups = end_while_it_runs(place, containers, until, sign, part=part, seconds=1.0)
    assert groups  # there were some to remove


def test_two_at_once(left):
    require(containers, part="memory")
    found = []
    threads = [threading.Thread(target=lambda: found.append(containers(part="memory"))) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [only_row(one)["kernel_counted"] for one in found] == [1, 1]


@pytest.mark.parametrize(
    ("parameters", "says"),
    [
        ({"seconds": 0}, "seconds must be from 1 to 8, got 0"),
        ({"period": float("nan")}, "period must be from 0.002 to 0.1, got nan"),
        ({"hogs": 65}, "hogs must be from 1 to 64, got 65"),
    ],
)
def test_bad_parameters(parameters, says, left):
    require(containers)
    with pytest.raises(ValueError, match=says):
        containers(**parameters)


@pytest.mark.parametrize("version", [1, 2])
def test_what_is_written_for_a_container(monkeypatch, tmp_path, version):
    """In a tree that only looks like the kernel's: one group in version 2, one for each controller in version 1."""
    proc, tree, folder = tmp_path / "proc" / "self", tmp_path / "tree", tmp_path / "accrual-lab-1-2-x"
    for made in (proc, tree, folder):
        made.mkdir(parents=True)
    names = ("memory", "cpu", "pids", "freezer")
    if version == 1:
        (proc / "mountinfo").write_text("".join(f"1 2 0:3 / {tree}/{n} rw - cgroup cgroup rw,{n}\n" for n in names))
        (proc / "cgroup").write_text("".join(f"1:{n}:/\n" for n in names))
        for name in names:
            (tree / name).mkdir()
    else:
        (proc / "mountinfo").write_text(f"1 2 0:3 / {tree} rw - cgroup2 cgroup2 rw\n")
        (proc / "cgroup").write_text("0::/\n")
        (tree / "cgroup.subtree_control").write_text("memory cpu pids\n")
    monkeypatch.setattr(cgroups.find_all, "__defaults__", (proc.parent,))
    scene = Scene(folder)
    box = Container(scene, "pay", memory=2**26, cpu=0.2, period=0.02, processes=8)
    box.freeze()
    written = {str(path.relative_to(tree)): path.read_text() for path in tree.rglob("*/*") if path.is_file()}
    group = "accrual-lab-1-2-x-pay"
    if version == 1:
        assert written == {
            f"memory/{group}/memory.limit_in_bytes": str(2**26),
            f"cpu/{group}/cpu.cfs_period_us": "20000",
            f"cpu/{group}/cpu.cfs_quota_us": "4000",
            f"pids/{group}/pids.max": "8",
            f"freezer/{group}/freezer.state": "FROZEN",
        }
    else:
        assert written == {
            f"{group}/memory.max": str(2**26),
            f"{group}/cpu.max": "4000 20000",
            f"{group}/pids.max": "8",
            f"{group}/cgroup.freeze": "1",
        }
    registered = [json.loads(line)["group"] for line in (folder / "registry").read_text().splitlines()]
    assert sorted(registered) == sorted({str(one.directory) for one in box.groups.values()})
    joined = box.command(["true"])
    assert [word for word in joined if group in word] == list(
        dict.fromkeys(str(g.directory) for g in box.groups.values())
    )


def test_no_programs(monkeypatch):
    monkeypatch.setenv("PATH", "")
    with pytest.raises(UnavailableError) as caught:
        containers()
    said = str(caught.value)
    for program, package in (("bwrap", "bubblewrap"), ("ip", "iproute2"), ("nsenter", "util-linux")):
        assert f"the program {program} (install {package}; Debian: apt install {package})" in said


def test_no_permission(monkeypatch):
    monkeypatch.setattr(os, "access", lambda path, mode, **_: False)
    lacks = containers.lacking(part="memory")
    [lack] = [lack for lack in lacks if "write" in lack.what]
    assert lack.what.startswith("control groups, and may not write to /")
    assert lack.remedy.endswith("systemd-run --user --scope -p Delegate=yes accrual lab containers")


@pytest.mark.parametrize("mounted", ["", "32 25 0:29 / /sys/fs/cgroup rw - cgroup2 cgroup2 rw\n"])
def test_no_control_groups(monkeypatch, tmp_path, mounted):
    """None at all, or version 2 that hands nothing down."""
    (tmp_path / "self").mkdir()
    (tmp_path / "self" / "mountinfo").write_text(mounted)
    (tmp_path / "self" / "cgroup").write_text("0::/nowhere\n")
    monkeypatch.setattr(cgroups.find_all, "__defaults__", (tmp_path,))
    lacks = containers.lacking(part="memory")
    assert any(lack.what == "a control group with the memory and freezer controllers" for lack in lacks)


def test_another_system(monkeypatch):
    monkeypatch.setattr("sys.platform", "darwin")
    assert {lack.what for lack in containers.lacking(part="network")} == {"Linux"}
