"""Virtual machines for real: a guest's fault ends with the guest."""

import signal
import subprocess
import tempfile

import pytest
from leftovers import Leftovers, end_while_it_runs, require

from accrual.isolation.labs import guest, vm
from accrual.lab import UnavailableError


@pytest.fixture(autouse=True)
def place(monkeypatch, tmp_path):
    """A place of its own for the labs' folders."""
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr(tempfile, "tempdir", None)
    return tmp_path


def test_a_fault_in_a_guest_is_the_guests(place):
    require(vm)
    left = Leftovers(place)
    found = vm()
    rows = {row["fault"]: row for row in found.rows}
    assert list(rows) == ["memory-hog", "cpu-hog", "panic", "kill"]
    assert {fault: row["machines_lost"] for fault, row in rows.items()} == {
        "memory-hog": 0,
        "cpu-hog": 0,
        "panic": 1,
        "kill": 1,
    }
    assert [row["others_lost"] for row in rows.values()] == [0, 0, 0, 0]
    assert not any(row["host_harmed"] for row in rows.values())
    assert rows["memory-hog"]["what_happened"] == "the guest's kernel killed the hog"
    assert rows["panic"]["what_happened"] == "kernel panic, the machine ended"
    assert rows["kill"]["what_happened"] == "the machine ended, exit status -9"
    for fault in ("panic", "kill"):
        # It is late to say so, but it says so: the monitor heard nothing but heartbeats.
        assert rows[fault]["suspected_after"] is not None
    assert found.facts["boot"] > 0
    assert found.facts["memory_of_one"] > 2**20
    left.check()


@pytest.mark.parametrize("sign", [signal.SIGKILL, signal.SIGINT])
def test_nothing_is_left_when_the_caller_is_gone(place, sign):
    require(vm)
    end_while_it_runs(place, vm, "three virtual machines", sign)


@pytest.mark.parametrize(
    ("parameters", "says"),
    [
        ({"period": 0.01}, "period must be from 0.05 to 0.5, got 0.01"),
        ({"threshold": 0}, "threshold must be from 0.5 to 16, got 0"),
    ],
)
def test_bad_parameters(parameters, says):
    require(vm)
    with pytest.raises(ValueError, match=says):
        vm(**parameters)


def test_a_guest_that_cannot_boot_is_told(place, monkeypatch):
    """Whatever calls itself a kernel and is none."""
    require(vm)
    (place / "k" / "boot").mkdir(parents=True)
    (place / "k" / "boot" / "vmlinuz-0").write_bytes(b"no kernel")
    monkeypatch.setenv("ACCRUAL_KERNEL", str(place / "k"))
    with pytest.raises(RuntimeError, match=r"machine ended; .*kernel"):
        vm()


def test_no_programs_and_no_kernel(monkeypatch, tmp_path):
    monkeypatch.setattr("platform.machine", lambda: "x86_64")
    monkeypatch.setenv("PATH", "")
    monkeypatch.setenv("ACCRUAL_KERNEL", str(tmp_path))
    with pytest.raises(UnavailableError) as caught:
        vm()
    for said in (
        "the program qemu-system-x86_64 (install qemu; Debian: apt install qemu-system-x86)",
        "the program busybox (install busybox; Debian: apt install busybox-static)",
        "a Linux kernel that you may read (Debian: apt install linux-image-cloud-amd64",
    ):
        assert said in str(caught.value)


def test_another_machine(monkeypatch):
    monkeypatch.setattr("platform.machine", lambda: "arm64")
    assert [lack.what for lack in vm.lacking()] == ["Linux on x86-64"]


def test_kernels_are_looked_for(monkeypatch, tmp_path):
    monkeypatch.delenv("ACCRUAL_KERNEL", raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    image = tmp_path / "accrual" / "kernel" / "boot" / "vmlinuz-1.2"
    image.parent.mkdir(parents=True)
    image.write_bytes(b"")
    assert guest.kernel() == (image, tmp_path / "accrual" / "kernel" / "lib" / "modules" / "1.2")


def test_the_archive_is_one(tmp_path):
    """As another program unpacks it."""
    require(vm)
    guest.initrd(tmp_path / "packed", "exit 0\n", {"/a/b/odd": b"12345", "/a/even": b"1234"})
    unpacked = tmp_path / "unpacked"
    unpacked.mkdir()
    with (tmp_path / "packed").open("rb") as packed:
        subprocess.run(["busybox", "cpio", "-i", "-d"], stdin=packed, cwd=unpacked, check=True, capture_output=True)
    assert (unpacked / "a/b/odd").read_bytes() == b"12345"
    assert (unpacked / "a/even").read_bytes() == b"1234"
    assert (unpacked / "init").read_text().splitlines()[-1] == "exit 0"
    assert (unpacked / "bin/busybox").stat().st_mode & 0o111
    assert {"proc", "dev"} <= {path.name for path in unpacked.iterdir()}
