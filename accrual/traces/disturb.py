"""What disturbs a recorded sender, and how the recorder's helper processes live and end.

A disturbance is a small frozen object: its parameters, and `during`, which disturbs a running sender for as long as a
``with`` block lasts and then reports what it did. To add one, write the class and enter it in `DISTURBANCES`: the
recorder, the command line and the metadata of the trace know it from there.

Only the standard library is used, and nothing of this package: the recorder runs this very file as the disturber.
"""

from __future__ import annotations

import json
import math
import os
import random
import select
import signal
import subprocess
import sys
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import asdict, dataclass, fields
from typing import Any, ClassVar, Final, Self, TypeAlias

Report: TypeAlias = dict[str, Any]
"""What a disturbance says of itself when it is over: names and JSON values."""


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

    Attributes
    ----------
    pid : int
        Its process id, nobody else's inside the ``with`` block.
    report : str
        What it printed; complete after the ``with`` block, empty if it was killed.
    """

    PATIENCE: ClassVar[float] = 10.0
    """How long it may take to end by itself [s]; it is killed then. Milliseconds are the rule."""

    def __init__(self, script: str, *arguments: object) -> None:
        """Start it."""
        self._process = subprocess.Popen(  # noqa: S603  # this interpreter, a file of this package
            # Isolated and without site: neither the modules beside the script nor a sitecustomize get in its way.
            [sys.executable, "-IS", script, *map(str, arguments)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            process_group=0,
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


@dataclass(frozen=True, kw_only=True)
class Disturbance(ABC):
    """Something that happens to a sender while it is recorded."""

    name: ClassVar[str]
    """On the command line and in the metadata."""

    @abstractmethod
    def during(self, sender: int, seed: int) -> AbstractContextManager[Report]:
        """Disturb the sender with this process id for a ``with`` block; its end fills the report."""

    def __str__(self) -> str:
        """Spell it as `parse` reads it, with every option."""
        options = ",".join(f"{key}={value}" for key, value in asdict(self).items())
        return f"{self.name}:{options}" if options else self.name


@dataclass(frozen=True, kw_only=True)
class Contention(Disturbance):
    """Processes that compute without end, so that the sender has to wait for its turn.

    Parameters
    ----------
    processes : int
        How many; by default three for each processor, under which a heartbeat every 10 ms suffers visibly.

    Raises
    ------
    ValueError
        If it is not from 1 to 1024.
    """

    name = "contention"

    processes: int = 3 * (os.cpu_count() or 1)

    def __post_init__(self) -> None:
        """Check the bounds."""
        if not 1 <= self.processes <= 1024:
            raise ValueError(f"contention: processes must be from 1 to 1024, is {self.processes}")

    @contextmanager
    def during(self, sender: int, seed: int) -> Iterator[Report]:
        """Compute beside the sender; nothing is left to chance and there is nothing to report."""
        with ExitStack() as children:
            for _ in range(self.processes):
                children.enter_context(Child(__file__, self.name))
            yield {}


@dataclass(frozen=True, kw_only=True)
class Pause(Disturbance):
    """Stop the sender (SIGSTOP) at random times for random whiles, as a collector, a hypervisor or a full disk would.

    The time from the end of a pause to the start of the next is exponential, so that pauses come independently of one
    another; lengths are lognormal: most are short, a few are very long.

    Parameters
    ----------
    every : float
        Mean time from the end of a pause to the start of the next, s.
    median : float
        Median length, s.
    sigma : float
        Standard deviation of the natural logarithm of the length.

    Raises
    ------
    ValueError
        If `every` or `median` is not positive and finite, or `sigma` is not in [0, 4].

    Examples
    --------
    >>> str(Pause(every=2.5))
    'pause:every=2.5,median=0.135,sigma=0.8'
    """

    name = "pause"

    every: float = 5.0
    median: float = 0.135
    sigma: float = 0.8

    def __post_init__(self) -> None:
        """Check the bounds."""
        for name in ("every", "median"):
            if not 0 < getattr(self, name) < math.inf:
                raise ValueError(f"pause: {name} must be positive and finite, is {getattr(self, name)} s")
        if not 0 <= self.sigma <= 4:
            raise ValueError(f"pause: sigma must be in [0, 4], is {self.sigma}")

    @contextmanager
    def during(self, sender: int, seed: int) -> Iterator[Report]:
        """Pause the sender; the report has the number of ``pauses`` and the time ``paused`` in all [s]."""
        report: Report = {}
        with Child(__file__, self.name, sender, self.every, self.median, self.sigma, seed) as child:
            yield report
        if child.report:
            report |= json.loads(child.report)


DISTURBANCES: Final[dict[str, type[Disturbance]]] = {kind.name: kind for kind in (Contention, Pause)}
"""Every disturbance by its name."""


def parse(text: str) -> Disturbance:
    """Read a disturbance as it is written on the command line, ``NAME`` or ``NAME:OPTION=VALUE,...``.

    Raises
    ------
    ValueError
        If the name, an option or a value is wrong; says what there is.

    Examples
    --------
    >>> parse("pause:every=2.5")
    Pause(every=2.5, median=0.135, sigma=0.8)
    """
    name, _, options = text.partition(":")
    if name not in DISTURBANCES:
        raise ValueError(f"no disturbance {name!r}; there are {', '.join(DISTURBANCES)}")
    # Every option is a number, and of the type of its default.
    kinds: dict[str, type[Any]] = {field.name: type(field.default) for field in fields(DISTURBANCES[name])}
    values = {}
    for option in options.split(",") if options else ():
        key, _, value = option.partition("=")
        if key not in kinds:
            raise ValueError(f"{name} has no option {key!r}; there are {', '.join(kinds)}")
        try:
            values[key] = kinds[key](value)
        except ValueError:
            raise ValueError(f"{name}: {key} must be of type {kinds[key].__name__}, is {value!r}") from None
    return DISTURBANCES[name](**values)


def _recorder_ends(seconds: float) -> bool:
    """Wait that long; at once True when the recorder has closed our standard input or is gone."""
    return bool(select.select([sys.stdin], (), (), seconds)[0])


def _compute() -> None:
    while not _recorder_ends(0.0):
        for _ in range(100_000):  # a few milliseconds
            pass


def _pause(sender: str, every: str, median: str, sigma: str, seed: str) -> None:
    chance = random.Random(int(seed))  # noqa: S311  # repeatable, not secret
    pauses = paused = 0
    while not _recorder_ends(chance.expovariate(1 / float(every))):
        start = time.monotonic_ns()
        os.kill(int(sender), signal.SIGSTOP)
        _recorder_ends(chance.lognormvariate(math.log(float(median)), float(sigma)))
        os.kill(int(sender), signal.SIGCONT)  # also when the recorder is gone: only a running sender notices
        pauses += 1
        paused += time.monotonic_ns() - start
    print(json.dumps({"pauses": pauses, "paused": paused / 1e9}))


_PROGRAMS: Final[dict[str, Callable[..., None]]] = {Contention.name: _compute, Pause.name: _pause}

if __name__ == "__main__":
    _PROGRAMS[sys.argv[1]](*sys.argv[2:])
