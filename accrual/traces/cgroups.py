"""A control group (Linux, version 1 or 2) with a limit of processor time, made below one that this user may write to.

Its name has the recorder's process id and start time, so that whoever comes next can tell one that was left behind, by
a recorder and a helper that were both killed, from one in use.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path
from typing import Final, NamedTuple

from accrual.traces.child import UnavailableError

_PREFIX: Final = "accrual-"
_PROC: Final = Path("/proc")


class Group(NamedTuple):
    """The version of its interface, 1 or 2, and where it is."""

    version: int
    directory: Path


def find(proc: Path = _PROC) -> Group:
    """Find the group below which others with a limit of processor time can be made.

    Version 1, if its cpu controller is mounted: our own group there. Version 2: the nearest group upwards from our own
    that hands the cpu controller down; ours cannot, as it has processes.

    Parameters
    ----------
    proc : Path
        Where the kernel tells what is mounted and where we are.

    Raises
    ------
    UnavailableError
        There is none; says what is missing and how to get it.
    """
    try:
        mounts = (proc / "self" / "mountinfo").read_text(encoding="utf-8", errors="surrogateescape").splitlines()
        groups = (proc / "self" / "cgroup").read_text(encoding="utf-8", errors="surrogateescape").splitlines()
    except OSError:
        raise UnavailableError("cpu-quota needs control groups, which Linux has") from None
    ours = {}
    for line in groups:
        _, controllers, path = line.split(":", 2)
        version = 1 if "cpu" in controllers.split(",") else 2 if not controllers else 0
        ours[version] = path
    found: list[Group] = []
    for line in mounts:
        before, _, after = line.partition(" - ")
        root, place = before.split()[3:5]
        kind, _, *options = after.split()
        version = {"cgroup": 1, "cgroup2": 2}.get(kind, 0)
        if version not in ours or (version == 1 and "cpu" not in options[-1].split(",")):
            continue
        top = Path(place.encode().decode("unicode_escape"))  # blanks are \040 there
        # What lies outside of what is mounted, as seen from inside a container, has to do without.
        inside = os.path.relpath(ours[version], root)
        own = top if inside.startswith("..") else top / inside
        chain = [own, *(above for above in own.parents if above.is_relative_to(top))]
        if version == 1:
            found.append(Group(1, next(group for group in chain if group.is_dir() or group == top)))
        else:
            found += [Group(2, group) for group in chain if _hands_down_cpu(group)][:1]
    if not found:
        raise UnavailableError(
            "cpu-quota needs a control group with the cpu controller: as root, "
            "echo +cpu > /sys/fs/cgroup/cgroup.subtree_control"
        )
    group = min(found)
    if not os.access(group.directory, os.W_OK):
        raise UnavailableError(
            f"cpu-quota may not write to {group.directory}: run it as root, or where systemd manages your session "
            "systemd-run --user --scope -p Delegate=yes accrual record ..."
        )
    return group


def _hands_down_cpu(group: Path) -> bool:
    with suppress(OSError):
        return "cpu" in (group / "cgroup.subtree_control").read_text(encoding="ascii").split()
    return False


def new(parent: Group) -> Path:
    """Name a group below `parent`, which is not made yet, and remove those that recorders left behind."""
    sweep(parent.directory)
    return parent.directory / f"{_PREFIX}{os.getpid()}-{_start_time(os.getpid())}-{os.urandom(4).hex()}"


def limit(group: Path, version: int, share: float, period: float, members: Iterable[int]) -> None:
    """Make a group whose members together get `share` of one processor in each `period` [s].

    Raises
    ------
    UnavailableError
        The system refuses.
    """
    quota, length = round(share * period * 1e6), round(period * 1e6)
    try:
        group.mkdir()
        try:
            if version == 1:
                (group / "cpu.cfs_period_us").write_text(str(length), encoding="ascii")
                (group / "cpu.cfs_quota_us").write_text(str(quota), encoding="ascii")
            else:
                (group / "cpu.max").write_text(f"{quota} {length}", encoding="ascii")
            for pid in members:
                (group / "cgroup.procs").write_text(str(pid), encoding="ascii")
        except BaseException:
            sweep(group.parent, only=group)
            raise
    except OSError as error:
        raise UnavailableError(f"cpu-quota: {error.filename or group}: {error.strerror}") from None


def sweep(parent: Path, only: Path | None = None) -> None:
    """Remove the groups below `parent` whose recorder is gone, or just the one named, after moving its members out."""
    for group in [only] if only else parent.glob(f"{_PREFIX}*-*-*"):
        pid, start = group.name.removeprefix(_PREFIX).split("-")[:2]
        if only is None and pid.isdigit() and _start_time(int(pid)) == start:
            continue
        with suppress(OSError):  # somebody else's, or gone meanwhile
            for member in (group / "cgroup.procs").read_text(encoding="ascii").split():
                (parent / "cgroup.procs").write_text(member, encoding="ascii")
            group.rmdir()


def _start_time(pid: int) -> str | None:
    """When a process began, in ticks since the boot, or None: process ids are used again, this tells them apart."""
    with suppress(OSError):
        return (_PROC / str(pid) / "stat").read_text(errors="replace").rpartition(")")[2].split()[19]
    return None
