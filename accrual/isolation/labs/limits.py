"""Limits that anybody may set without being root: rlimit, nice, affinity; and how much they keep from a neighbour."""

from __future__ import annotations

import errno
import math
import multiprocessing
import os
import resource
import signal
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess
from typing import Any, Final

from accrual.isolation.labs.service import cap_memory
from accrual.lab import LabError, Lack, Scene, lab

__all__ = ["limits"]

_MIB: Final = 1 << 20
_UNCAPPED: Final = 128  # where a memory hog without a cap stops [MiB]
_FILES: Final = 32  # descriptors beyond those that are open
_EVERY: Final = 0.005  # the victim has a job that often [s] ...
_JOB: Final = 0.001  # ... which takes so much of a core [s]


def _lacks(**_: object) -> list[Lack]:
    if sys.platform == "linux":
        return []
    return [Lack("Linux, for affinities and caps on memory", "run it in a container or a virtual machine of Linux")]


@lab("limits", lacking=_lacks, limit=60.0)
def limits(scene: Scene, *, seconds: float = 1.0, hogs: int = 2, headroom: int = 64) -> dict[str, Any]:
    """What rlimit, nice and affinity do about a hog, without root.

    A hog takes memory, files or a processor; a victim on the same core has a job of 1 ms to do each 5 ms. Columns: what
    the hog got of it, in MiB, files, or shares of a core; when the victim's jobs were done after they were due, half of
    them and 99 of 100 [s]; how the hog ended.

    Parameters
    ----------
    seconds : float
        That the victim works, in each case.
    hogs : int
        Processes that compute without end.
    headroom : int
        Memory that a process may take under its cap [MiB].
    """
    bounds = (("seconds", seconds, 0.2, 10), ("hogs", hogs, 1, 16), ("headroom", headroom, 8, 100))
    for name, value, least, most in bounds:
        if not least <= value <= most:
            raise ValueError(f"{name} must be from {least} to {most}, got {value!r}")
    cores = sorted(os.sched_getaffinity(0))
    core, elsewhere = cores[0], cores[1:]
    rows = []

    def add(what: str, limit: str, got: float | None, ended: str | None, victim: Sequence[float] = ()) -> None:
        rows.append(
            {
                "what": what,
                "limit": limit,
                "hog_got": got,
                "victim_p50": _quantile(victim, 0.5),
                "victim_p99": _quantile(victim, 0.99),
                "ended": ended,
            }
        )
        scene.tell(what, limit)

    add("memory", "none", *_hog(_take_memory))
    add("memory", f"RLIMIT_AS {headroom} MiB more", *_hog(_take_memory, _limit_memory, headroom))
    add("files", f"RLIMIT_NOFILE {_FILES} more", *_hog(_take_files, _limit_files))
    add("processor", "RLIMIT_CPU 1 s", *_hog(_compute, _limit_seconds))
    add("processor", "no hog", None, None, _victim(core, seconds))
    for limit, setting in (
        ("none", _stay(core)),
        ("nice 19", _stay(core, lambda: os.setpriority(os.PRIO_PROCESS, 0, 19))),
        ("SCHED_IDLE", _stay(core, lambda: os.sched_setscheduler(0, os.SCHED_IDLE, os.sched_param(0)))),
        *([("affinity to other cores", lambda: os.sched_setaffinity(0, elsewhere))] if elsewhere else []),
    ):
        with _computing(hogs, setting) as crew:
            before, began = _used(crew), time.monotonic()
            victim = _victim(core, seconds)
            got = (_used(crew) - before) / (time.monotonic() - began)
        add("processor", limit, round(got, 3), None, victim)
    return {"rows": rows, "facts": {"cores": len(cores), "hogs": hogs}}


def _quantile(values: Sequence[float], share: float) -> float | None:
    """The smallest value that is not below this share of them."""
    return round(sorted(values)[max(0, math.ceil(share * len(values)) - 1)], 6) if values else None


# ---- hogs that end --------------------------------------------------------------------------------------------------


def _hog(take: Callable[[Connection], None], *limit: Any) -> tuple[float | None, str]:
    """Run a hog under a limit: how much it got, and how it ended."""
    context = multiprocessing.get_context("fork")
    here, there = context.Pipe(duplex=False)

    def body() -> None:
        here.close()
        if limit:
            limit[0](*limit[1:])
        take(there)

    child = context.Process(target=body, daemon=True)
    began = os.times().children_user
    child.start()
    there.close()
    said: tuple[float | None, str] = (None, "")
    with here, suppress(EOFError):  # ended by a signal
        said = here.recv()
    child.join(20.0)
    if child.exitcode is None:
        child.kill()
        child.join()
        raise LabError(f"a hog under {limit or 'no limit'} did not end")
    if child.exitcode < 0:
        return round(os.times().children_user - began, 2), signal.Signals(-child.exitcode).name
    return said


def _limit_memory(headroom: int) -> None:
    cap_memory(headroom * _MIB)


def _limit_files() -> None:
    count = len(os.listdir("/proc/self/fd")) - 1 + _FILES  # one is of the listing itself
    resource.setrlimit(resource.RLIMIT_NOFILE, (count, count))


def _limit_seconds() -> None:
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    resource.setrlimit(resource.RLIMIT_CPU, (1, 2))


def _take_memory(tell: Connection) -> None:
    taken: list[bytes] = []
    try:
        while len(taken) < _UNCAPPED:
            taken.append(b"x" * _MIB)
    except MemoryError:
        got = len(taken)
        taken.clear()
        tell.send((got, "MemoryError"))
    else:
        tell.send((len(taken), "stopped by itself"))


def _take_files(tell: Connection) -> None:
    got = 0
    try:
        while True:
            os.open(os.devnull, os.O_RDONLY)
            got += 1
    except OSError as error:
        tell.send((got, errno.errorcode[error.errno or 0]))


def _compute(_tell: Connection) -> None:
    while True:
        pass


# ---- a victim, and hogs beside it -----------------------------------------------------------------------------------


def _stay(core: int, then: Callable[[], object] = lambda: None) -> Callable[[], object]:
    def setting() -> None:
        os.sched_setaffinity(0, [core])
        then()

    return setting


@contextmanager
def _computing(hogs: int, setting: Callable[[], object]) -> Iterator[list[BaseProcess]]:
    """Hogs that compute until the end of the block; all of them have the setting when it begins."""
    context = multiprocessing.get_context("fork")
    ready = context.Semaphore(0)

    def body() -> None:
        setting()
        ready.release()
        while True:
            pass

    crew: list[BaseProcess] = [context.Process(target=body, daemon=True) for _ in range(hogs)]
    try:
        for one in crew:
            one.start()
        for _ in crew:
            if not ready.acquire(timeout=20.0):
                raise LabError("a hog did not begin to compute")
        yield crew
    finally:
        for one in crew:
            one.kill()
            one.join()


def _used(crew: Sequence[BaseProcess]) -> float:
    """Processor time of processes so far [s]."""
    ticks = 0
    for one in crew:
        with open(f"/proc/{one.pid}/stat", encoding="ascii") as stat:
            ticks += sum(map(int, stat.read().rpartition(")")[2].split()[11:13]))
    return ticks / os.sysconf("SC_CLK_TCK")


def _victim(core: int, seconds: float) -> list[float]:
    """Have a process do its jobs on that core; when each was done after it was due [s]."""
    context = multiprocessing.get_context("fork")
    here, there = context.Pipe(duplex=False)

    def body() -> None:
        os.sched_setaffinity(0, [core])
        there.send(_jobs(seconds))

    child = context.Process(target=body, daemon=True)
    child.start()
    there.close()
    with here:
        found: list[float] = here.recv()
    child.join()
    return found


def _jobs(seconds: float) -> list[float]:
    took, begin = [], time.monotonic()
    for number in range(int(seconds / _EVERY)):
        due = begin + number * _EVERY
        time.sleep(max(0.0, due - time.monotonic()))
        end = time.thread_time() + _JOB
        while time.thread_time() < end:
            pass
        took.append(time.monotonic() - due)
    return took
