"""The lecture's table of isolation levels, with what this machine measures in it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from accrual.isolation.labs.coarser import ContainerLevel, HostLevel, VmLevel
from accrual.isolation.labs.levels import Level, ProcessLevel, ThreadLevel
from accrual.isolation.labs.load import Load
from accrual.isolation.labs.threads import FaultChoice, ScenarioChoice, chosen
from accrual.isolation.labs.trials import Cost, Trial, cost, trials
from accrual.lab import Lack, Scene, lab

__all__ = ["REAL", "STAND_INS", "Measured", "compare", "comparison", "measure"]

REAL: Final[tuple[Level, ...]] = (ThreadLevel(), ProcessLevel(), ContainerLevel(), VmLevel(), HostLevel())
"""The levels that this package can start for real, from the finest to the coarsest."""

STAND_INS: Final = frozenset({"host"})
"""Levels for which something cheaper stands in: a host is a network namespace. Faults end there as at a real one, but
what a namespace costs is not what a machine costs."""

USES: Final[Mapping[str, tuple[str, str, str]]] = {
    "thread": ("a pool of threads", "variables, queues in memory", "one program, many kinds of requests"),
    "process": ("memory and a process", "pipes, shared memory, sockets", "services of one team, workers of a server"),
    "container": ("a view of the system, and caps", "a virtual network", "services of many teams on one cluster"),
    "vm": ("a kernel, fixed memory and processors", "a virtual network", "tenants that do not trust each other"),
    "host": ("a machine", "a network", "a database, what must not share its disks"),
}
"""Of each level: what a service has to itself there, how services talk, and where it is used. Said, not measured."""


@dataclass(frozen=True, kw_only=True)
class Measured:
    """What one level does about each fault, and what it costs.

    Attributes
    ----------
    level : str
    trials : sequence of Trial
    cost : Cost
    """

    level: str
    trials: Sequence[Trial]
    cost: Cost


def measure(scene: Scene, level: Level, faults: Sequence[str], load: Load) -> Measured:
    """Run the list of faults at a level and measure what a service costs there."""
    starts = 1 if level.slow else 3
    return Measured(level=level.name, trials=trials(scene, level, faults, load), cost=cost(scene, level, load, starts))


def comparison(measured: Sequence[Measured]) -> list[dict[str, Any]]:
    """The table: a row for each level.

    Its columns: the level, what a service has to itself; for each fault how many services it hurt; the share of the
    requests that went bad after a fault, on average over the faults; until a further service answers [s]; the memory
    that it takes [MB]; a question from one service to another and its answer, half of them at most [s]; how they talk,
    and where this is used.
    """
    rows = []
    for one in measured:
        own, talk, use = USES[one.level]
        rows.append(
            {
                "level": one.level,
                "own": own,
                **{found.fault: len(found.hurt) for found in one.trials},
                "bad": round(sum(found.bad for found in one.trials) / len(one.trials), 4),
                "start": round(one.cost.start, 6),
                "memory": one.cost.megabytes,
                "round_trip": round(one.cost.round_trip, 9),
                "talk": talk,
                "use": use,
            }
        )
    return rows


def _chosen(levels: str) -> list[Level]:
    by_name = {level.name: level for level in REAL}
    quick = [level.name for level in REAL if not level.slow]
    names = quick if levels == "all" else [name.strip() for name in levels.split(",")]
    for name in names:
        if name not in by_name:
            raise ValueError(f"levels must be all or some of {','.join(by_name)}, got {levels!r}")
    return [by_name[name] for name in dict.fromkeys(names)]


def _lacks(*, levels: str, **_: object) -> list[Lack]:
    """What is asked for by name must be there; of all levels those are shown that can be."""
    if levels == "all":
        return []
    return [lack for level in _chosen(levels) for lack in level.lacking()]


@lab("compare", lacking=_lacks, limit=200.0)
def compare(
    scene: Scene,
    *,
    levels: str = "all",
    fault: FaultChoice = "all",
    scenario: ScenarioChoice = "shop",
    struck: str = "payment",
    rate: float = 120.0,
    workers: int = 12,
    seconds: float = 1.5,
    seed: int = 1,
) -> dict[str, Any]:
    """The table of isolation levels, measured: the same faults at each level that this machine has.

    Containers share a folder, and talk by a socket in it; a host is a network namespace with a wire to a bridge, below
    the one kernel that there is. A column for each fault says how many services it hurt. Start [s], memory [MB] and
    round trip [s] are of a further service; ``bad`` is the share of the requests after a fault that went bad, on
    average over the faults. A CPU hog is tried three times, for what it does depends on what else the machine does: the
    middle of the three counts, and ``unsure`` says where they differed.

    Parameters
    ----------
    levels : str
        Names with commas between them, or all that this machine has but for vm, whose boots take minutes.
    fault : str
        What goes wrong, or all of them one by one.
    scenario : str
        Whose services.
    struck : str
        Which of them goes wrong.
    rate : float
        Requests to all services together [1/s].
    workers : int
        Threads in all, divided among the services.
    seconds : float
        That customers come after the fault.
    seed : int
        Of the times at which customers come.
    """
    load = Load(scenario=scenario, struck=struck, rate=rate, seconds=seconds, workers=workers, seed=seed)
    faults = chosen(fault)
    measured, without = [], []
    for level in _chosen(levels):
        lacks = level.lacking()
        if lacks:
            without += [f"{level.name}: {'; '.join(f'{lack.what} ({lack.remedy})' for lack in lacks)}"]
        else:
            measured.append(measure(scene, level, faults, load))
    return {
        "rows": comparison(measured),
        "facts": {
            "services": len(load.services),
            "faults": len(faults),
            "not_on_this_machine": without,
            "unsure": [
                f"{one.level}: {found.fault} hurt {', '.join(map(str, found.tries))} services"
                for one in measured
                for found in one.trials
                if not found.sure
            ],
        },
    }
