"""How the recorder's helper processes live and end, and what it says when the machine lacks what they need."""

from __future__ import annotations

import json
import select
import signal
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any, ClassVar, Self, TypeAlias

from accrual.traces import helper

Report: TypeAlias = dict[str, Any]
"""What a disturbance says of itself when it is over: names and JSON values."""


class UnavailableError(OSError):
    """This machine or this user lacks what was asked for; the text says what that is and how to get it."""


class Child:
    """A helper process that does not outlive the recorder, whatever happens to either.

    It runs one file by its path with the standard library only, so that it starts in some 40 ms. Its standard input is
    a pipe that nobody writes to: it ends when the pipe does, and the pipe ends with the recorder, killed or not. What
    it prints is its report. It has a process group of its own: Ctrl-C in a terminal goes to a whole group, and the
    recorder ends its children itself, in order.

    Parameters
    ----------
    script : str
        Path of the file to run.
    *arguments : object
        Its arguments, handed over as strings.
    files : sequence of int
        Open files that it inherits, under their numbers.

    Attributes
    ----------
    pid : int
        Its process id, nobody else's inside the ``with`` block.
    report : str
        What it printed; complete after the ``with`` block, empty if it was killed.
    """

    PATIENCE: ClassVar[float] = 10.0
    """How long it may take to end by itself [s]; it is killed then. Milliseconds are the rule."""

    def __init__(self, script: str, *arguments: object, files: Sequence[int] = ()) -> None:
        """Start it."""
        self._process = subprocess.Popen(  # noqa: S603  # this interpreter, a file of this package
            # Isolated and without site: neither the modules beside the script nor a sitecustomize get in its way.
            [sys.executable, "-IS", script, *map(str, arguments)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            process_group=0,
            pass_fds=files,
        )
        self.pid = self._process.pid
        self.report = ""

    def ended(self) -> bool:
        """Tell whether it has ended by itself: only then does its output say something, or end.

        It is not waited for, so its process id stays its own and a signal to it hits nobody else.
        """
        assert self._process.stdout is not None  # for it is a pipe
        return bool(select.select([self._process.stdout], (), (), 0)[0])

    def __enter__(self) -> Self:
        """Enter a with statement that ends the process."""
        return self

    def __exit__(self, *exception: object) -> None:
        """End the process, by force if it must be, and take its report."""
        self._process.send_signal(signal.SIGCONT)  # a stopped process would not see its input end
        try:
            self.report, _ = self._process.communicate(timeout=self.PATIENCE)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.communicate()


@contextmanager
def helping(program: str, *arguments: object, files: Sequence[int] = ()) -> Iterator[Report]:
    """Run a program of `accrual.traces.helper` beside a ``with`` block, whose end fills the report.

    One that died meanwhile, and so helped for a part of the time only, is reported as ``<program>_died``.
    """
    report: Report = {}
    with Child(helper.__file__, program, *arguments, files=files) as child:
        try:
            yield report
        finally:
            died = child.ended()
    report |= {f"{program}_died": True} if died else json.loads(child.report or "{}")
