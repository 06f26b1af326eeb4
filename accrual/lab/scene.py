"""Where a lab happens: its folder, its processes, what it tells. The keeper (`accrual.lab.keeper`) clears it away."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import IO, Any, Final, TypeVar

from accrual.lab import keeper
from accrual.lab.result import Event

__all__ = ["LabError", "Scene"]

Found = TypeVar("Found")

_LOOK: Final = 0.005  # how often to look whether something has come about [s]


class LabError(RuntimeError):
    """A lab could not do what it set out to do; the text says what failed."""


class Scene:
    """What a lab's function is given.

    Whatever a lab starts is a descendant of the keeper and ends with it; what lies in `folder` is deleted. Only what
    the kernel or a program keeps elsewhere must be registered *before* it is made: control groups (`will_make_group`)
    and everything else that a command can undo (`will_need`).

    Parameters
    ----------
    folder : path
        For this lab alone.
    tell : callable
        Takes each event as it happens.
    """

    def __init__(self, folder: str | os.PathLike[str], tell: Callable[[Event], object] = lambda _event: None) -> None:
        self.folder = Path(folder)
        self.events: list[Event] = []
        self._start = time.monotonic()
        self._tell = tell

    def now(self) -> float:
        """Seconds since the lab began, on the monotonic clock."""
        return time.monotonic() - self._start

    def since_start(self, monotonic: float) -> float:
        """The same of an instant that was read from ``time.monotonic()``."""
        return monotonic - self._start

    def tell(self, who: str, what: str, at: float | None = None) -> Event:
        """Put on record that something happened, by default now; whoever called the lab sees it at once."""
        event = Event(round(self.now() if at is None else at, 6), who, what)
        self.events.append(event)
        self._tell(event)
        return event

    def spawn(
        self,
        command: Sequence[str | os.PathLike[str]],
        name: str,
        environment: Mapping[str, str] | None = None,
        **options: Any,
    ) -> subprocess.Popen[Any]:
        """Start a process of the lab.

        Parameters
        ----------
        command : sequence of str
        name : str
            What it says goes to ``<name>.log`` in the folder, unless `options` say otherwise.
        environment : mapping, optional
            Variables beside those of this process.
        **options
            As of `subprocess.Popen`.
        """
        log: IO[bytes] | None = None
        if not {"stdout", "stderr"} <= options.keys():
            log = (self.folder / f"{name}.log").open("ab")
        try:
            options = {"stdin": subprocess.DEVNULL, "stdout": log, "stderr": log, "cwd": self.folder} | options
            process: subprocess.Popen[Any] = subprocess.Popen(  # noqa: S603  # a lab runs what it says
                [os.fspath(part) for part in command], env=os.environ | dict(environment or {}), **options
            )
            return process
        finally:
            if log is not None:
                log.close()  # the child has its own

    def log_of(self, name: str, lines: int = 5) -> str:
        """The last lines that a spawned process wrote."""
        try:
            said = (self.folder / f"{name}.log").read_text(encoding="utf-8", errors="replace")
        except FileNotFoundError:
            return ""
        return "\n".join(said.splitlines()[-lines:])

    def will_make_group(self, directory: str | os.PathLike[str]) -> None:
        """Register a control group, before it is made: its members are killed and it is removed at the end."""
        self._note({"group": os.fspath(directory)})

    def will_need(self, *undo: str) -> None:
        """Register a command that undoes what the lab is about to do; run at the end, latest first, failing quietly."""
        self._note({"undo": undo})

    def _note(self, entry: dict[str, Any]) -> None:
        with (self.folder / keeper.REGISTRY).open("a", encoding="utf-8") as notes:
            notes.write(json.dumps(entry) + "\n")

    def wait_until(self, condition: Callable[[], Found], patience: float, what: str) -> Found:
        """Wait until `condition` gives something true, and return it.

        Raises
        ------
        LabError
            It did not within `patience` [s]; `what` was waited for.
        """
        end = time.monotonic() + patience
        while True:
            found = condition()
            if found:
                return found
            if time.monotonic() > end:
                raise LabError(f"{what}: not within {patience:g} s")
            time.sleep(_LOOK)


def free_port() -> int:
    """A port of 127.0.0.1 that nobody listens on now; who is quicker than the caller may still take it."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        port: int = taken.getsockname()[1]
    return port
