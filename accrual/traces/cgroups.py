"""Control groups (Linux, version 1 or 2) with limits, made below one that this user may write to.

A recorder's has a limit of processor time, and a name with the recorder's process id and start time, so that whoever
comes next can tell one that was left behind, by a recorder and a helper that were both killed, from one in use.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Final, NamedTuple

from accrual.traces.child import UnavailableError

_PREFIX: Final = "accrual-"
_PROC: Final = Path("/proc")
_IN_VERSION_1: Final = {"io": "blkio"}
_OPTIONAL: Final = ("memory.memsw.limit_in_bytes", "memory.swap.max")


class Group(NamedTuple):
    """The version of its interface, 1 or 2, and where it is."""

    version: int
    directory: Path


def find(proc: Path = _PROC) -> Group:
    """Find the group below which others with a limit of processor time can be made.

    Raises
    ------
    UnavailableError
        There is none; says what is missing and how to get it.
    """
    return find_all(("cpu",), "cpu-quota", "accrual record ...", proc)["cpu"]


def find_all(controllers: Sequence[str], who: str, command: str, proc: Path = _PROC) -> dict[str, Group]:
    """Find the groups below which others with these controllers can be made.

    Version 1, for each controller that is mounted so: our own group there. Version 2, for all others: the nearest group
    upwards from our own that hands them down; ours cannot, as it has processes.

    Parameters
    ----------
    controllers : sequence of str
        ``"cpu"``, ``"memory"``, ``"pids"``, ``"freezer"``, ``"io"``; the last is called blkio in version 1, and in
        version 2 every group has a freezer.
    who : str
        Who needs them, for the messages.
    command : str
        What the user should run once more.
    proc : Path
        Where the kernel tells what is mounted and where we are.

    Returns
    -------
    dict
        The group for each controller.

    Raises
    ------
    UnavailableError
        There is none for some of them; says what is missing and how to get it.
    """
    try:
        mounts = (proc / "self" / "mountinfo").read_text(encoding="utf-8", errors="surrogateescape").splitlines()
        groups = (proc / "self" / "cgroup").read_text(encoding="utf-8", errors="surrogateescape").splitlines()
    except OSError:
        raise UnavailableError(f"{who} needs control groups, which Linux has") from None
    ours: dict[str, str] = {}
    for line in groups:
        _, names, path = line.split(":", 2)
        ours |= dict.fromkeys(names.split(","), path)  # no name: version 2
    found: dict[str, Group] = {}
    chain_of_2: list[Path] = []
    for line in mounts:
        before, _, after = line.partition(" - ")
        root, place = before.split()[3:5]
        kind, _, *options = after.split()
        mounted = {"cgroup": options[-1].split(","), "cgroup2": [""]}.get(kind, [])
        for name in {_IN_VERSION_1.get(one, one) for one in controllers} | {""}:
            if name not in mounted or name not in ours:
                continue
            top = Path(place.encode().decode("unicode_escape"))  # blanks are \040 there
            # What lies outside of what is mounted, as seen from inside a container, has to do without.
            inside = os.path.relpath(ours[name], root)
            own = top if inside.startswith("..") else top / inside
            chain = [own, *(above for above in own.parents if above.is_relative_to(top))]
            if name:
                found[name] = Group(1, next(group for group in chain if group.is_dir() or group == top))
            else:
                chain_of_2 = chain
    found = {one: found[_IN_VERSION_1.get(one, one)] for one in controllers if _IN_VERSION_1.get(one, one) in found}
    rest = [one for one in controllers if one not in found]
    handed = [one for one in rest if one != "freezer"]
    for group in chain_of_2 if rest else ():
        if _hands_down(group, handed):
            found |= dict.fromkeys(rest, Group(2, group))
            break
    else:
        if rest:
            raise UnavailableError(
                f"{who} needs a control group with the {' and '.join(rest)} controller{'s' * (len(rest) > 1)}: "
                f"as root, echo {' '.join(f'+{one}' for one in handed)} > /sys/fs/cgroup/cgroup.subtree_control"
            )
    for parent in found.values():
        if not os.access(parent.directory, os.W_OK):
            raise UnavailableError(
                f"{who} may not write to {parent.directory}: run it as root, or where systemd manages your session "
                f"systemd-run --user --scope -p Delegate=yes {command}"
            )
    return found


def _hands_down(group: Path, controllers: Iterable[str]) -> bool:
    with suppress(OSError):
        handed = (group / "cgroup.subtree_control").read_text(encoding="ascii").split()
        return set(controllers) <= set(handed)
    return False


def new(parent: Group) -> Path:
    """Name a group below `parent`, which is not made yet, and remove those that recorders left behind."""
    sweep(parent.directory)
    return parent.directory / f"{_PREFIX}{os.getpid()}-{_start_time(os.getpid())}-{os.urandom(4).hex()}"


def cpu_settings(version: int, share: float, period: float) -> dict[str, str]:
    """What is to be written to which file so that a group gets `share` of one processor in each `period` [s].

    Examples
    --------
    >>> cpu_settings(1, 0.2, 0.1)
    {'cpu.cfs_period_us': '100000', 'cpu.cfs_quota_us': '20000'}
    >>> cpu_settings(2, 0.2, 0.1)
    {'cpu.max': '20000 100000'}
    """
    quota, length = round(share * period * 1e6), round(period * 1e6)
    if version == 1:
        return {"cpu.cfs_period_us": str(length), "cpu.cfs_quota_us": str(quota)}
    return {"cpu.max": f"{quota} {length}"}


def memory_settings(version: int, most: int) -> dict[str, str]:
    """The same for `most` bytes of memory, swap included: what has to go to the disk is no limit but a slowness.

    The file for swap is not there where the kernel does not count it.

    Examples
    --------
    >>> memory_settings(2, 2**26)
    {'memory.max': '67108864', 'memory.swap.max': '0'}
    """
    if version == 1:
        return {"memory.limit_in_bytes": str(most), "memory.memsw.limit_in_bytes": str(most)}
    return {"memory.max": str(most), "memory.swap.max": "0"}


def pids_settings(_version: int, most: int) -> dict[str, str]:
    """The same for `most` processes and threads."""
    return {"pids.max": str(most)}


def write_settings(version: int, device: str, rate: int) -> dict[str, str]:
    """The same for writing to a disk, ``MAJOR:MINOR``, `rate` bytes a second."""
    if version == 1:
        return {"blkio.throttle.write_bps_device": f"{device} {rate}"}
    return {"io.max": f"{device} wbps={rate}"}


def freeze_settings(version: int, frozen: bool) -> dict[str, str]:
    """The same for stopping all members, or letting them go on."""
    if version == 1:
        return {"freezer.state": "FROZEN" if frozen else "THAWED"}
    return {"cgroup.freeze": str(int(frozen))}


def apply(group: Path, settings: Mapping[str, str]) -> None:
    """Write settings to a group.

    Raises
    ------
    UnavailableError
        The system refuses; the file for swap may be missing.
    """
    for name, value in settings.items():
        file = group / name
        if name in _OPTIONAL and not file.exists():
            continue
        try:
            file.write_text(value, encoding="ascii")
        except OSError as error:
            raise UnavailableError(f"{file} does not take {value!r}: {error.strerror}") from None


def count(group: Path, version: int, what: str) -> int:
    """How often a group met its limit, as the kernel counts it.

    Parameters
    ----------
    group : Path
    version : int
    what : str
        ``"oom_kill"``: members killed for want of memory. ``"nr_throttled"``: periods in which the processor time was
        used up. ``"max"``: forks that were refused.

    Examples
    --------
    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     group = Path(folder)
    ...     _ = (group / "memory.events").write_text("low 0\\noom 1\\noom_kill 1\\n")
    ...     count(group, 2, "oom_kill")
    1
    """
    file = {"oom_kill": ("memory.oom_control", "memory.events")[version - 1], "max": "pids.events"}
    words = (group / file.get(what, "cpu.stat")).read_text(encoding="ascii").split()
    return int(dict(zip(words[::2], words[1::2], strict=True)).get(what, 0))


def limit(group: Path, version: int, share: float, period: float, members: Iterable[int]) -> None:
    """Make a group whose members together get `share` of one processor in each `period` [s].

    Raises
    ------
    UnavailableError
        The system refuses.
    """
    try:
        group.mkdir()
        try:
            for name, value in cpu_settings(version, share, period).items():
                (group / name).write_text(value, encoding="ascii")
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
