"""One fault at one level: what it takes with it; and what a service costs there.

`trial` starts a level's units, sends customers, has one service go wrong, and counts what became of the requests before
and after. `cost` measures start-up, memory and round trip. Both know nothing of any level but what `Level` says.
"""

from __future__ import annotations

import statistics
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any, Final

from accrual.isolation.labs.customers import Counts, Customers, count
from accrual.isolation.labs.levels import Level, Unit
from accrual.isolation.labs.load import Load
from accrual.isolation.shop import FAULTS
from accrual.lab import LabError, Scene

__all__ = ["HURT", "TRIES", "Cost", "Trial", "cost", "middle", "trial", "trials"]

HURT: Final = 0.2
"""A service is hurt by a fault if more than this share of its requests after it went bad."""

TRIES: Final = 3
"""Of a fault that takes the machine's cores, where one is quick: requests to the service it is in take 0.06 to 0.45 s
of the 0.5 s that a customer waits, and a queue that tips over makes most of them late. In 11 trials in a container two
did. So one trial says little, and the middle one of some is taken."""


@dataclass(frozen=True, kw_only=True)
class Trial:
    """What one fault took with it at one level.

    Attributes
    ----------
    level, fault, struck : str
    before, after : dict of str to Counts
        By service: of the requests that were over when the fault came, and of the others.
    ends : dict of str to list of str
        What each unit that ended ended with.
    tries : tuple of int
        Where this is the middle one of several trials: how many services each of them hurt, from the fewest on.
    """

    level: str
    fault: str
    struck: str
    before: dict[str, Counts]
    after: dict[str, Counts]
    ends: dict[str, list[str]]
    tries: tuple[int, ...] = ()

    @property
    def sure(self) -> bool:
        """Whether all tries hurt as many services."""
        return len(set(self.tries)) < 2

    @property
    def hurt(self) -> list[str]:
        """The services of which more than `HURT` of the requests went bad after the fault."""
        return [service for service, counts in self.after.items() if counts.bad > HURT]

    @property
    def bad(self) -> float:
        """The share of all requests after the fault that went bad."""
        return 1 - sum(one.ok for one in self.after.values()) / max(1, sum(one.requests for one in self.after.values()))

    @property
    def others(self) -> tuple[float | None, float | None]:
        """What 99 of 100 requests to the other services took at most, before and after [s]; None if they got none."""

        def worst(counts: dict[str, Counts]) -> float | None:
            found = [one.p99 for service, one in counts.items() if service != self.struck]
            return None if None in found else max((one for one in found if one is not None), default=None)

        return worst(self.before), worst(self.after)

    def row(self) -> dict[str, Any]:
        """As a row of a table: how many services were hurt, and how much of what was bad."""
        before, after = self.others
        return {
            "fault": self.fault,
            "hurt": len(self.hurt),
            "bad": round(self.bad, 4),
            **{f"bad_{service}": round(counts.bad, 4) for service, counts in self.after.items()},
            "p99_others_before": before,
            "p99_others_after": after,
            "ended": _summary(self.ends),
        }


def _summary(ends: Mapping[str, Sequence[str]]) -> str | None:
    """Ends in a few words: ``SIGSEGV``, ``exit status 70 (27 times)``."""
    every = [how for one in ends.values() for how in one]
    kinds = dict.fromkeys(every)
    said = [how if every.count(how) == 1 else f"{how} ({every.count(how)} times)" for how in kinds]
    return ", ".join(said) or None


def trial(scene: Scene, level: Level, fault: str, load: Load) -> Trial:
    """Start the services at that level, send customers, have one go wrong, and count.

    A poison request is sent again as long as customers come, whenever whatever it ended has been started again: by a
    supervisor, which these units have for this fault only.

    Raises
    ------
    ValueError
        There is no such fault.
    LabError
        A unit did not come up.
    """
    if fault not in FAULTS:
        raise ValueError(f"fault must be one of {', '.join(FAULTS)}, got {fault!r}")
    units = [
        level.unit(_name(level, "-".join([fault, *group[:1]])), group, load) for group in level.groups([*load.services])
    ]
    of = {service: unit for unit in units for service in unit.services}
    with _up(scene, level, units) as (up, customers):
        poisoning = False

        def strike(send: Callable[..., None]) -> None:
            nonlocal poisoning
            poisoning = fault == "poison"
            if fault == "kill" and level.kill(of[load.struck]):
                return
            send(do="fault", fault=fault)

        was_up = True

        def look() -> None:
            nonlocal was_up
            if poisoning:
                up.restart()
                now_up = customers.up(load.struck)
                if now_up and not was_up:
                    customers.send(load.struck, do="fault", fault=fault)
                was_up = now_up

        requests = customers.shop(load, strike, look)
        up.note_ends()
    before, after = (
        {
            service: count([one for one in requests if one.service == service and one.after == late])
            for service in load.services
        }
        for late in (False, True)
    )
    return Trial(
        level=level.name,
        fault=fault,
        struck=load.struck,
        before=before,
        after=after,
        ends={unit.name: unit.ends for unit in units if unit.ends},
    )


_SERIAL = iter(range(10**9))
_SERIAL_LOCK = threading.Lock()


def _name(level: Level, what: str) -> str:
    """A name that no other unit of this lab has; trials run in several threads."""
    with _SERIAL_LOCK:
        return f"{level.name}-{what}-{next(_SERIAL)}"


class _Up:
    """Units that are up, until the end of a block."""

    def __init__(self, scene: Scene, level: Level, units: Sequence[Unit]) -> None:
        self._scene, self._level, self.units = scene, level, units
        self.addresses = {service: address for unit in units for service, address in unit.addresses.items()}
        self._starting: threading.Thread | None = None

    def __enter__(self) -> _Up:
        try:
            self._start_all(self.units)
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        if self._starting is not None:
            self._starting.join()
        for unit in self.units:
            self._level.stop(unit)

    def _start(self, unit: Unit) -> None:
        unit.starts += 1
        unit.process = self._level.start(self._scene, unit)

    def _start_all(self, units: Sequence[Unit]) -> None:
        for unit in units:
            self._start(unit)

    def wait(self, customers: Customers) -> None:
        """Until every service answers."""
        for unit in self.units:
            for service in unit.services:
                try:
                    customers.ask(service, self._level.patience, unit.ended, do="ping")
                except LabError as error:
                    said = [str(error), *unit.ends, self._scene.log_of(unit.name)]
                    raise LabError(f"{unit.name} did not come up: {'; '.join(filter(None, said))}") from error

    def restart(self) -> None:
        """Start again what has ended; in a thread, for customers do not wait while a machine boots."""
        if self._starting is not None and self._starting.is_alive():
            return
        ended = [unit for unit in self.units if unit.ended()]
        if ended:
            self._starting = threading.Thread(target=self._start_all, args=[ended])
            self._starting.start()

    def memory(self) -> int | None:
        """What all of them take [bytes]; None if nobody can tell."""
        found = [self._level.memory(unit) for unit in self.units]
        return None if None in found else sum(one for one in found if one is not None)

    def note_ends(self) -> None:
        """Put down which units have ended by themselves."""
        if self._starting is not None:
            self._starting.join()
        for unit in self.units:
            unit.ended()


@contextmanager
def _up(scene: Scene, level: Level, units: Sequence[Unit]) -> Iterator[tuple[_Up, Customers]]:
    """Units that answer, and who may ask them."""
    with _Up(scene, level, units) as up, Customers(up.addresses) as customers:
        up.wait(customers)
        yield up, customers


def trials(scene: Scene, level: Level, faults: Sequence[str], load: Load) -> list[Trial]:
    """One trial for each fault, several at the same time; of those that take the machine's cores the middle of some."""
    alone = [fault for fault in faults if fault == "cpu-hog"]
    found: dict[str, Trial] = {}
    with ThreadPoolExecutor(level.at_once) as crew:
        running = {crew.submit(trial, scene, level, fault, load): fault for fault in faults if fault not in alone}
        for done in as_completed(running):
            found[running[done]] = done.result()
            _report(scene, found[running[done]])
    for fault in alone:
        found[fault] = middle([trial(scene, level, fault, load) for _ in range(1 if level.slow else TRIES)])
        _report(scene, found[fault])
    return [found[fault] for fault in faults]


def middle(tried: Sequence[Trial]) -> Trial:
    """Of an odd number of trials of one fault the one in the middle, by the services hurt and then by what was bad."""
    ranked = sorted(tried, key=lambda one: (len(one.hurt), one.bad))
    return replace(ranked[len(ranked) // 2], tries=tuple(len(one.hurt) for one in ranked))


def _report(scene: Scene, one: Trial) -> None:
    hurt = ", ".join(one.hurt) or "nobody"
    unsure = "" if one.sure else f"; services hurt in {len(one.tries)} tries: {', '.join(map(str, one.tries))}"
    scene.tell(one.level, f"{one.fault} in {one.struck} hurt {hurt}{unsure}")


# ---- what a service costs -------------------------------------------------------------------------------------------


@dataclass(frozen=True, kw_only=True)
class Cost:
    """What a service costs at a level.

    Attributes
    ----------
    start : float
        Until a further service answers [s], the median of some.
    memory : float or None
        That a further service takes [bytes].
    round_trip, round_trip_p99 : float
        Of a question from one service to another and its answer [s].
    """

    start: float
    memory: float | None
    round_trip: float
    round_trip_p99: float

    @property
    def megabytes(self) -> float | None:
        """The memory in MB."""
        return None if self.memory is None else round(self.memory / 1e6, 3)


def cost(scene: Scene, level: Level, load: Load, starts: int = 3, pings: int = 2000) -> Cost:
    """Measure it: units with one service each, then all of them, and one of these asks another."""
    first, second, *_ = names = list(load.services)
    took, pools, alone, together = [], [], [], []
    trip: dict[str, Any] = {}
    for _ in range(starts):
        began = time.monotonic()
        with _up(scene, level, [level.unit(_name(level, "one"), [first], load)]) as (up, customers):
            took.append(time.monotonic() - began)
            pools.append(customers.ask(first, level.patience, do="stats")["pool"])
            alone.append(up.memory())
        units = [level.unit(_name(level, "all"), group, load) for group in level.groups(names)]
        inside = {service: address for unit in units for service, address in unit.inside.items()}
        with _up(scene, level, units) as (up, customers):
            together.append(up.memory())
            if not trip:
                trip = customers.ask(first, 60.0, do="trip", to=second, at=inside[second], count=pings)
    if "error" in trip:
        raise LabError(f"{first} could not ask {second} at level {level.name}: {trip['error']}")
    one, every = _median(alone), _median(together)
    return Cost(
        # Where services share a process, a further one is a further pool of threads.
        start=_median(took if len(units) > 1 else pools) or 0.0,
        # A pool of threads is so small that what else happens in a process may outweigh it.
        memory=None if one is None or every is None else max(0.0, (every - one) / (len(names) - 1)),
        round_trip=trip["p50"],
        round_trip_p99=trip["p99"],
    )


def _median(values: Sequence[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return statistics.median(known) if known else None
