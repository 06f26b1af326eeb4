"""What the recorder's helper processes run: each a program of its own, started as ``python helper.py PROGRAM ...``.

Only the standard library is used, and nothing of this package, so that a helper starts in some 40 ms. Each ends when
its standard input does, which is a pipe that only the recorder holds: no helper outlives it, killed or not. What a
helper prints at its end is its report, one JSON object.
"""

from __future__ import annotations

import json
import math
import os
import random
import select
import signal
import sys
import time
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any, Final

_TIMES: Final = 400
"""How many disturbances a report gives start and end of: it becomes metadata, of which a CSV file holds 64 KiB."""

_UDP: Final = 17  # in the header of an IP packet
_PACKET: Final = 65_536  # the longest


class _Random(random.Random):
    def lognormal(self, median: float, sigma: float) -> float:
        return self.lognormvariate(math.log(median), sigma)

    def exponential(self, mean: float) -> float:
        return self.expovariate(1 / mean)


class _Spells:
    """Times at which something was going on, for a report: how many, how long, and when, on CLOCK_MONOTONIC."""

    def __init__(self) -> None:
        self._count = self._total = 0
        self._times: list[tuple[int, int]] = []

    def add(self, start: int) -> None:
        """Note one that began then and ends now."""
        end = time.monotonic_ns()
        self._count += 1
        self._total += end - start
        if len(self._times) < _TIMES:
            self._times.append((start, end))

    def report(self, plural: str, participle: str) -> dict[str, Any]:
        """Say how many, for how long [s], and when [ns]."""
        return {plural: self._count, participle: self._total / 1e9, f"{plural}_at": self._times}


def _recorder_ends(seconds: float) -> bool:
    """Wait that long; at once True when the recorder has closed our standard input or is gone."""
    return bool(select.select([sys.stdin], (), (), seconds)[0])


def _tell(report: dict[str, Any]) -> None:
    with suppress(BrokenPipeError):  # the recorder is gone
        os.write(sys.stdout.fileno(), json.dumps(report).encode())


def _compute() -> None:
    while not _recorder_ends(0.0):
        for _ in range(100_000):  # a few milliseconds
            pass


def _pause(sender: str, every: str, median: str, sigma: str, seed: str) -> None:
    chance = _Random(int(seed))
    pauses = _Spells()
    while not _recorder_ends(chance.exponential(float(every))):
        start = time.monotonic_ns()
        os.kill(int(sender), signal.SIGSTOP)
        _recorder_ends(chance.lognormal(float(median), float(sigma)))
        os.kill(int(sender), signal.SIGCONT)  # also when the recorder is gone: only a running sender notices
        pauses.add(start)
    _tell(pauses.report("pauses", "paused"))


def _hold_quota(group: str, home: str) -> None:
    """Wait for the end, then empty and remove a control group, if it was made, and tell how often it was throttled."""
    while not _recorder_ends(3600.0):
        pass
    if not os.path.exists(group):
        return
    said = Path(group, "cpu.stat").read_text(encoding="ascii").split()
    stat = {name: int(value) for name, value in zip(said[::2], said[1::2], strict=True)}
    end = time.monotonic() + 5
    while True:
        for pid in Path(group, "cgroup.procs").read_text(encoding="ascii").split():
            with suppress(OSError):  # ended meanwhile
                Path(home, "cgroup.procs").write_text(pid, encoding="ascii")
        try:
            os.rmdir(group)
            break
        except OSError:  # busy until the kernel has let go of who was in it
            if time.monotonic() > end:
                raise
            time.sleep(0.01)
    throttled = stat.get("throttled_time", 1000 * stat.get("throttled_usec", 0))  # in cgroup v1, in v2
    _tell({"throttles": stat["nr_throttled"], "throttled": throttled / 1e9})


def _queued(slowness: float) -> float:
    """The exponential quantile at the rank of a normal number: correlated as these are, skewed as queues are."""
    return -math.log(0.5 * math.erfc(slowness / math.sqrt(2)))


def _forward(
    source: str,
    target: str,
    delay: str,
    jitter: str,
    correlation: str,
    loss: str,
    burst: str,
    partition_every: str,
    partition: str,
    seed: str,
) -> None:
    """Carry IP packets from one TUN device to another as a network would; see `accrual.traces.disturb.Path`."""
    # Of their own, so that the loss of one parameter set does not depend on the delays of another.
    losses, delays, partitions = (_Random(f"{name} {seed}") for name in ("loss", "delay", "partition"))
    here, there = int(source), int(target)
    to_good = 1 / float(burst)
    to_bad = to_good * float(loss) / (1 - float(loss))
    share, rest = float(correlation), math.sqrt(1 - float(correlation) ** 2)
    every = float(partition_every)
    under_way: deque[tuple[float, bytes]] = deque()
    bad = False
    slowness = delays.gauss(0.0, 1.0)
    cut: int | None = None  # since when
    cuts = _Spells()
    counts = {"forwarded": 0, "dropped": 0, "dropped_in_partitions": 0}
    start = time.monotonic()
    turn = start + partitions.exponential(every) if every else math.inf

    with suppress(BlockingIOError):  # what was sent before the path opened
        while True:
            os.read(here, _PACKET)
    while True:
        now = time.monotonic()
        while under_way and under_way[0][0] <= now:
            with suppress(OSError):  # a full queue at the other end loses packets, as anywhere
                os.write(there, under_way.popleft()[1])
        if now >= turn:
            if cut is None:
                cut = time.monotonic_ns()
            else:
                cuts.add(cut)
                cut = None
            turn = now + partitions.exponential(every if cut is None else float(partition))
        wake = min(turn, under_way[0][0] if under_way else math.inf, now + 3600)
        ready = select.select([sys.stdin, here], (), (), max(0.0, wake - now))[0]
        if sys.stdin in ready:
            break
        if here not in ready:
            continue
        packet = os.read(here, _PACKET)
        now = time.monotonic()
        if packet[6 if packet[0] >> 4 == 6 else 9] != _UDP:
            continue  # what a kernel says by itself on a new device
        bad = losses.random() >= to_good if bad else losses.random() < to_bad
        slowness = share * slowness + rest * delays.gauss(0.0, 1.0)
        if cut is not None:
            counts["dropped_in_partitions"] += 1
        elif bad:
            counts["dropped"] += 1
        else:
            counts["forwarded"] += 1
            due = now + float(delay) + float(jitter) * _queued(slowness)
            # In order: a queue does not overtake itself.
            under_way.append((max(due, under_way[-1][0]) if under_way else due, packet))
    if cut is not None:
        cuts.add(cut)
    _tell(counts | cuts.report("partitions", "partitioned"))


PROGRAMS: Final[dict[str, Callable[..., None]]] = {
    "compute": _compute,
    "pause": _pause,
    "quota": _hold_quota,
    "forward": _forward,
}

if __name__ == "__main__":
    PROGRAMS[sys.argv[1]](*sys.argv[2:])
