"""How a lab is declared, called, and kept.

A lab is a function of a `Scene` and keyword arguments. Calling it runs it in a process of its own below a keeper, so
that a segmentation fault, an exhausted memory or a killed caller harms nobody and leaves nothing.
"""

from __future__ import annotations

import importlib
import inspect
import json
import os
import selectors
import subprocess
import sys
import threading
import time
import typing
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final, NamedTuple

from accrual.lab import keeper
from accrual.lab.result import Event, LabResult, this_machine
from accrual.lab.scene import LabError, Scene
from accrual.traces.child import UnavailableError

__all__ = ["LABS", "Lab", "LabError", "Lack", "lab", "run_kept"]

LABS: Final[dict[str, Lab]] = {}
"""Every lab that has been imported, by name, in order."""

_ERRORS: Final = {error.__name__: error for error in (ValueError, TypeError, LabError, UnavailableError)}
_SLACK: Final = 15.0  # for the keeper to clear away, beyond a lab's own time [s]
_LOOK: Final = 0.1  # how often to look whether a lab is to be stopped [s]


class Lack(NamedTuple):
    """Something that a lab needs and this machine has not: what, and how to get it."""

    what: str
    remedy: str


@dataclass(frozen=True)
class Lab:
    """A lab: call it with its parameters and get a `LabResult`.

    Attributes
    ----------
    name : str
    summary : str
        A line.
    function : callable
        Takes a `Scene` and the parameters as keywords; returns rows and facts.
    lacking : callable
        Takes the parameters; gives what the machine lacks for them, quickly and without trying anything out at length.
    limit : float
        How long it may take [s]; it is ended then.
    within : callable
        Gives the command in front of its program, for what a program cannot do to itself: ``unshare --user`` to be
        root there. Nothing if it is empty.

    Raises
    ------
    ValueError, TypeError
        A parameter is wrong.
    UnavailableError
        The machine lacks something; says how to get it.
    LabError
        The lab could not do what it set out to do, or took too long.
    """

    name: str
    summary: str
    function: Callable[..., Mapping[str, Any]]
    lacking: Callable[..., list[Lack]]
    limit: float
    within: Callable[[], list[str]] = list

    def __call__(
        self,
        *,
        on_event: Callable[[Event], object] | None = None,
        stop: threading.Event | None = None,
        **parameters: Any,
    ) -> LabResult:
        """Run it; `on_event` is told of each event as it happens. Set `stop`, from another thread, and it is ended."""
        given = self.bound(parameters)
        lacking = self.lacking(**given)
        if lacking:
            wants = "; ".join(f"{lack.what} ({lack.remedy})" for lack in lacking)
            raise UnavailableError(f"the lab {self.name} needs {wants}")
        began = time.monotonic()
        stop = threading.Event() if stop is None else stop
        with _kept(self.within(), self.function.__module__, self.name, given, self.limit, stop) as messages:
            end: dict[str, Any] = {}
            for line in messages:
                message = json.loads(line)
                if "event" in message:
                    if on_event is not None:
                        on_event(Event(**message["event"]))
                else:
                    end = message
        error = end.get("error")
        if error:
            raise _ERRORS.get(error["type"], LabError)(error["text"])
        return LabResult.from_dict(
            end | {"seconds": round(time.monotonic() - began, 3), "parameters": given, "lab": self.name}
        )

    def bound(self, parameters: Mapping[str, Any]) -> dict[str, Any]:
        """The parameters with the defaults of those that are not given."""
        unknown = parameters.keys() - self.parameters.keys()
        if unknown:
            raise TypeError(f"the lab {self.name} has no parameter {', '.join(sorted(unknown))}")
        return {name: parameter.default for name, parameter in self.parameters.items()} | dict(parameters)

    @property
    def parameters(self) -> dict[str, inspect.Parameter]:
        """What it can be called with, each with its default and its type."""
        types = typing.get_type_hints(self.function)
        _scene, *ours = inspect.signature(self.function).parameters.values()
        return {one.name: one.replace(annotation=types[one.name]) for one in ours}

    @property
    def about(self) -> str:
        """Its documentation."""
        return inspect.getdoc(self.function) or self.summary


def lab(
    name: str,
    lacking: Callable[..., list[Lack]] = lambda **_: [],
    limit: float = 60.0,
    within: Callable[[], list[str]] = list,
) -> Callable[[Callable[..., Mapping[str, Any]]], Lab]:
    """Declare a lab.

    Its function has defaults for all parameters, of types int, float, str, bool, a Literal of str, or one of them or
    None; it returns ``{"rows": [...], "facts": {...}}``. The first line of its docstring is its summary, and a
    parameter's line below ``Parameters`` its help on the command line.
    """

    def declare(function: Callable[..., Mapping[str, Any]]) -> Lab:
        summary = (inspect.getdoc(function) or "").partition("\n")[0]
        LABS[name] = Lab(name, summary, function, lacking, limit, within)
        return LABS[name]

    return declare


@contextmanager
def _kept(
    within: list[str], module: str, name: str, parameters: dict[str, Any], limit: float, stop: threading.Event
) -> Iterator[Any]:
    """Run a lab below a keeper; the lines that it sends. Raises what is wrong with how it ended."""
    receiving, sending = os.pipe()
    try:
        try:
            command = [*within, sys.executable, "-m", "accrual.lab", str(sending), module, name, json.dumps(parameters)]
            process = subprocess.Popen(  # noqa: S603  # this interpreter, files of this package
                [sys.executable, "-IS", keeper.__file__, str(limit), str(sending), *command],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                pass_fds=[sending],
                text=True,
                process_group=0,  # Ctrl-C is for the caller, who then closes the pipe
            )
        finally:
            os.close(sending)
        lines = _Lines(receiving, stop)
        try:
            yield lines
        finally:
            # Its standard input closes, it clears away and tells; bounded, for it must not hang a notebook.
            report, _ = process.communicate(timeout=limit + _SLACK)
    finally:
        os.close(receiving)
    _judge(name, limit, json.loads(report or "{}"), lines.last, stop.is_set())


class _Lines:
    """Iterates over the lines of a pipe until it ends or `stop` is set, and keeps the last one.

    Half a line at the end is left off: whoever wrote it was killed.
    """

    def __init__(self, file: int, stop: threading.Event) -> None:
        self._file, self._stop, self.last = file, stop, ""

    def __iter__(self) -> Iterator[str]:
        with selectors.DefaultSelector() as waiting:
            waiting.register(self._file, selectors.EVENT_READ)
            rest = b""
            while not self._stop.is_set():
                if not waiting.select(_LOOK):
                    continue
                some = os.read(self._file, 1 << 16)
                if not some:
                    return
                *lines, rest = (rest + some).split(b"\n")
                for line in lines:
                    self.last = line.decode()
                    yield self.last


def _judge(name: str, limit: float, report: dict[str, Any], last: str, stopped: bool) -> None:
    if report.get("stuck"):
        raise LabError(f"the lab {name} could not be cleared away: {', '.join(report['stuck'])}")
    if report.get("why") == "too long":
        raise LabError(f"the lab {name} took longer than {limit:g} s and was ended")
    if '"event"' in last[:10] or not last:
        if stopped:
            raise LabError(f"the lab {name} was stopped")
        code, said = report.get("code"), report.get("said", "")
        status = "" if code is None else f", exit status {code}"
        raise LabError(f"the lab {name} ended without a result{status}{': ' * bool(said)}{said}")


def run_kept(file: int, module: str, name: str, parameters: dict[str, Any]) -> None:
    """Inside the keeper: run the lab and send what it tells, then what it found or what went wrong."""
    keeper.end_with_parent()
    os.set_inheritable(file, False)
    with os.fdopen(file, "w", encoding="utf-8", buffering=1) as messages:

        def send(message: dict[str, Any]) -> None:
            messages.write(json.dumps(message, allow_nan=False) + "\n")

        importlib.import_module(module)
        scene = Scene(Path(os.environ[keeper.FOLDER]), lambda event: send({"event": asdict(event)}))
        try:
            found = LABS[name].function(scene, **parameters)
        except (ValueError, TypeError, LabError, UnavailableError) as error:
            send({"error": {"type": type(error).__name__, "text": str(error)}})
        except OSError as error:
            send({"error": {"type": "LabError", "text": f"{error.strerror or error}: {error.filename or name}"}})
        else:
            events = [asdict(event) for event in sorted(scene.events, key=lambda event: event.at)]
            send({"rows": [], "facts": {}, **found, "events": events, "machine": this_machine()})
