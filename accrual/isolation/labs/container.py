"""A container without software round it: processes that see little (bubblewrap) and may use little (cgroups)."""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from subprocess import Popen
from typing import Any, Final

from accrual.lab import Lack, Scene, UnavailableError
from accrual.traces import cgroups
from accrual.traces.cgroups import Group

__all__ = ["Container", "disk_of", "lacking", "parents"]

# It joins its groups before it becomes the container's first process: nothing of it is ever outside. 0 is who writes.
_JOIN: Final = 'while [ "$1" != -- ]; do echo 0 > "$1/cgroup.procs" || exit 125; shift; done; shift; exec "$@"'


def parents(*controllers: str) -> dict[str, Group]:
    """The groups below which containers get theirs; `UnavailableError` says what is missing."""
    return cgroups.find_all(controllers, "the lab containers", "accrual lab containers")


def lacking(*controllers: str) -> list[Lack]:
    """What this machine lacks for containers with these caps."""
    if sys.platform != "linux":
        return [Lack("Linux", "containers are the Linux kernel's: run it in a virtual machine with Linux")]
    lacks = []
    if shutil.which("bwrap") is None:
        lacks.append(Lack("the program bwrap", "install bubblewrap; Debian: apt install bubblewrap"))
    try:
        parents(*controllers)
    except UnavailableError as error:
        what, _, remedy = str(error).removeprefix("the lab containers ").partition(": ")
        if not what.startswith("needs "):  # "may not write to ...": what it needs is to be told of, in "needs ..."
            what = f"control groups, and {what}"
        lacks.append(Lack(what.removeprefix("needs "), remedy))
    return lacks


def disk_of(folder: str | os.PathLike[str]) -> str | None:
    """The whole disk that a folder is on, ``MAJOR:MINOR``, which a cap is for; None where it is on none.

    Memory (tmpfs), a network or an overlay have no disk of their own.
    """
    device = os.stat(folder).st_dev
    place = Path(f"/sys/dev/block/{os.major(device)}:{os.minor(device)}")
    if not place.exists():
        return None
    place = place.resolve()
    whole = place.parent if (place / "partition").exists() else place
    return (whole / "dev").read_text(encoding="ascii").strip()


class Container:
    """A container with a name and caps; its groups are made now, its processes when `spawn` is called.

    Parameters
    ----------
    scene : Scene
    name : str
    memory : int, optional
        Bytes at most, swap included.
    cpu : float, optional
        Processors at most: 0.2 is a fifth of one.
    period : float
        Over which that is counted [s]; the kernel's own choice is 0.1.
    processes : int, optional
        Processes and threads at most, the container's own first two included.
    disk : tuple of str and int, optional
        A disk, ``MAJOR:MINOR``, and how many bytes a second may be written to it.

    Raises
    ------
    UnavailableError
        The machine lacks what the caps need.
    """

    def __init__(
        self,
        scene: Scene,
        name: str,
        *,
        memory: int | None = None,
        cpu: float | None = None,
        period: float = 0.1,
        processes: int | None = None,
        disk: tuple[str, int] | None = None,
    ) -> None:
        self.scene, self.name = scene, name
        settings: dict[str, Callable[[int], dict[str, str]]] = {}
        if memory is not None:
            settings["memory"] = lambda version: cgroups.memory_settings(version, memory)
        if cpu is not None:
            settings["cpu"] = lambda version: cgroups.cpu_settings(version, cpu, period)
        if processes is not None:
            settings["pids"] = lambda version: cgroups.pids_settings(version, processes)
        if disk is not None:
            settings["io"] = lambda version: cgroups.write_settings(version, *disk)
        settings["freezer"] = lambda version: {}
        self.groups: dict[str, Group] = {}
        for controller, parent in parents(*settings).items():
            # In version 2 one group for all of them, in version 1 one each.
            group = parent.directory / f"{scene.folder.name}-{name}"
            if not group.exists():
                scene.will_make_group(group)
                try:
                    group.mkdir()
                except OSError as error:
                    raise UnavailableError(f"no control group {group}: {error.strerror}") from None
            self.groups[controller] = Group(parent.version, group)
            cgroups.apply(group, settings[controller](parent.version))

    def command(self, program: Sequence[str], *, inside: Sequence[str] = (), share: Path | None = None) -> list[str]:
        """What starts a program in the container.

        Parameters
        ----------
        program : sequence of str
        inside : sequence of str
            What is to be entered before: the command prefix of a network namespace.
        share : path, optional
            The one folder that it may write to, and sees under the same name.
        """
        directories = dict.fromkeys(str(group.directory) for group in self.groups.values())
        return [
            *("/bin/sh", "-c", _JOIN, "container", *directories, "--", *inside),
            *("bwrap", "--die-with-parent", "--unshare-pid", "--unshare-ipc", "--unshare-uts", "--hostname", self.name),
            *("--ro-bind", "/", "/", "--dev", "/dev", "--proc", "/proc", "--tmpfs", "/run"),
            *(() if share is None else ("--bind", str(share), str(share))),
            *program,
        ]

    def spawn(
        self, program: Sequence[str], *, inside: Sequence[str] = (), share: Path | None = None, **options: Any
    ) -> Popen[Any]:
        """Start it; what it says is in the log of this name."""
        return self.scene.spawn(self.command(program, inside=inside, share=share), self.name, **options)

    def count(self, what: str) -> int:
        """How often it met a limit, as the kernel counts: see `accrual.traces.cgroups.count`."""
        group = self.groups[{"oom_kill": "memory", "max": "pids", "nr_throttled": "cpu"}[what]]
        return cgroups.count(group.directory, group.version, what)

    def members(self) -> list[int]:
        """The processes in it."""
        said = (self.groups["freezer"].directory / "cgroup.procs").read_text(encoding="ascii")
        return [int(pid) for pid in said.split()]

    def freeze(self, frozen: bool = True) -> None:
        """Stop all its processes at once, or let them go on: a container's SIGSTOP, of which they learn nothing."""
        group = self.groups["freezer"]
        cgroups.apply(group.directory, cgroups.freeze_settings(group.version, frozen))
