"""Levels of isolation for real: each knows how to start the service program there.

A *unit* is what has one fate: a process, a container, a machine, with one service in it or several. A level that is
added gives a name and `start`; what else differs there it overrides:

    class Sandbox(Level):
        name = "container"

        def start(self, scene, unit):
            return scene.spawn(["bwrap", ..., *command(unit.configuration)], unit.name)
"""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar, Final

from accrual.isolation.labs import service as program
from accrual.isolation.labs.load import Load
from accrual.isolation.shop import LEVELS
from accrual.lab import Lack, Scene

__all__ = ["Level", "ProcessLevel", "ThreadLevel", "Unit", "command"]

_PATIENCE: Final = 20.0  # for a unit to be up [s]
_MIB: Final = 1 << 20


def command(configuration: Mapping[str, Any], python: str = sys.executable, path: str = program.__file__) -> list[str]:
    """What runs the service program, here or, with its interpreter and the program's path there, somewhere else."""
    return [python, "-IS", path, json.dumps(configuration)]


@dataclass(kw_only=True)
class Unit:
    """What has one fate: a process, a container, a machine, with what runs inside.

    Attributes
    ----------
    name : str
        Of this unit, different from all others of the lab.
    services : tuple of str
    configuration : dict
        What the service program is given.
    addresses : dict of str to str
        Where the lab reaches each service: ``unix:PATH`` or ``tcp:HOST:PORT``.
    inside : dict of str to str
        Where the other services reach it.
    process : Popen or None
        Of the lab's machine, when it is up: what ends when the unit does.
    starts : int
        How often it was started.
    ends : list of str
        What each of its ends was: ``SIGSEGV``, ``exit status 70``.
    """

    name: str
    services: tuple[str, ...]
    configuration: dict[str, Any]
    addresses: dict[str, str]
    inside: dict[str, str]
    process: subprocess.Popen[Any] | None = None
    starts: int = 0
    ends: list[str] = field(default_factory=list)

    def ended(self) -> bool:
        """Whether it has ended by itself; notes how."""
        if self.process is None:
            return True
        code = self.process.poll()
        if code is None:
            return False
        self.process = None
        self.ends.append(_how(code))
        return True


def _how(code: int) -> str:
    """An exit status in words; 128 + a signal's number is how a shell or bubblewrap passes a signal on."""
    number = -code if code < 0 else code - 128
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"exit status {code}"


class Level:
    """A level of isolation: how to start a unit there, and which services share one.

    A subclass gives `name` and `start`; what else differs there it overrides.
    """

    name: ClassVar[str]
    """One of `accrual.isolation.LEVELS`."""

    at_once: int = 3
    """How many trials may run at the same time; one, where they would be in each other's way."""

    patience: float = _PATIENCE
    """For a unit to be up [s]."""

    @property
    def title(self) -> str:
        """What people call it."""
        return LEVELS[self.name].title

    def lacking(self) -> list[Lack]:
        """What this machine lacks for it, said quickly."""
        return []

    def groups(self, services: Sequence[str]) -> list[tuple[str, ...]]:
        """The services of each unit: here each has its own."""
        return [(service,) for service in services]

    def addresses(self, name: str, services: Sequence[str]) -> tuple[dict[str, str], dict[str, str], dict[str, str]]:
        """Where services of a unit listen, where the lab reaches them, and where other services do.

        Paths are relative to the lab's folder, where it runs and starts its processes: a socket's path must be short.
        """
        found = {service: f"unix:{name}-{service}.socket" for service in services}
        return found, found, found

    def caps(self, load: Load) -> int | None:
        """Memory that a process may take beyond what it has [bytes]; None where something else caps it, or nothing."""
        # Other systems have no such limit, or do not keep it.
        return load.headroom * _MIB or None if sys.platform == "linux" else None

    def unit(self, name: str, services: Sequence[str], load: Load) -> Unit:
        """Describe a unit; it is not up yet."""
        listens, outside, inside = self.addresses(name, services)
        configuration = {
            "services": {service: load.services[service].work for service in services},
            "listen": listens,
            "workers": load.workers // len(load.services),
            "shared": False,
            "headroom": self.caps(load),
            "most": 256 * _MIB,
        }
        return Unit(name=name, services=tuple(services), configuration=configuration, addresses=outside, inside=inside)

    def start(self, scene: Scene, unit: Unit) -> subprocess.Popen[Any]:
        """Start it; need not wait until it is up."""
        raise NotImplementedError

    def kill(self, unit: Unit) -> bool:
        """Kill it from outside, for the fault of that name; False where it must do so itself."""
        if unit.process is not None:
            unit.process.kill()
        return True

    def stop(self, unit: Unit) -> None:
        """End it and wait for that."""
        if unit.process is not None:
            unit.process.kill()
            unit.process.wait(10.0)
            unit.process = None

    def memory(self, unit: Unit) -> int | None:
        """What it takes of the host's memory [bytes], pages that it shares in part; None if nobody can tell."""
        return _proportional(unit.process.pid) if unit.process is not None else None


class ProcessLevel(Level):
    """A process for each service."""

    name = "process"

    def start(self, scene: Scene, unit: Unit) -> subprocess.Popen[Any]:
        """Start a Python."""
        return scene.spawn(command(unit.configuration), unit.name)


class ThreadLevel(ProcessLevel):
    """All services in one process, each with a pool of threads, or with one pool for all.

    Parameters
    ----------
    shared : bool
        Whether all share one pool.
    """

    name = "thread"

    def __init__(self, shared: bool = False) -> None:
        self.shared = shared

    def groups(self, services: Sequence[str]) -> list[tuple[str, ...]]:
        """All in one."""
        return [tuple(services)]

    def unit(self, name: str, services: Sequence[str], load: Load) -> Unit:
        """A shared pool has all the workers."""
        found = super().unit(name, services, load)
        if self.shared:
            found.configuration |= {"shared": True, "workers": load.workers}
        return found


def _proportional(pid: int) -> int | None:
    """Proportional set size of a process and those below it [bytes]: pages shared by n count 1/n each."""
    total, pids = 0, [pid]
    for one in pids:  # it grows meanwhile
        try:
            rollup = Path(f"/proc/{one}/smaps_rollup").read_text(encoding="ascii")
            total += next(int(line.split()[1]) for line in rollup.splitlines() if line.startswith("Pss:")) * 1024
            for task in Path(f"/proc/{one}/task").iterdir():
                pids += map(int, (task / "children").read_text(encoding="ascii").split())
        except (OSError, StopIteration):
            if one == pid:
                return None
    return total
