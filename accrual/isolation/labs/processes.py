"""Processes: one for each service, what that keeps apart, and what it costs."""

from __future__ import annotations

import multiprocessing
import statistics
import time
from typing import Any

from accrual.isolation.labs.levels import ProcessLevel
from accrual.isolation.labs.load import Load
from accrual.isolation.labs.threads import FaultChoice, ScenarioChoice, chosen
from accrual.isolation.labs.trials import cost, trials
from accrual.lab import Scene, lab

__all__ = ["processes"]

_STARTS = 5


@lab("processes", limit=60.0)
def processes(
    scene: Scene,
    *,
    fault: FaultChoice = "all",
    scenario: ScenarioChoice = "shop",
    struck: str = "payment",
    rate: float = 120.0,
    workers: int = 12,
    seconds: float = 1.5,
    deadline: float = 0.5,
    headroom: int = 64,
    seed: int = 1,
) -> dict[str, Any]:
    """A process for each service: what a fault takes with it, what starting and talking cost.

    The same customers and faults as in the lab ``threads``. Figures besides: to start a process by fork, by spawn (a
    new Python), and a service until it answers [s]; the memory that a service takes [MB]; a question from one to
    another through a Unix socket and its answer [s].

    Parameters
    ----------
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
    deadline : float
        That a customer waits [s].
    headroom : int
        Memory that a process may take beyond what it has when it is up [MiB]; 0 for no cap: a hog stops at 256 then.
    seed : int
        Of the times at which customers come.
    """
    load = Load(
        scenario=scenario,
        struck=struck,
        rate=rate,
        seconds=seconds,
        deadline=deadline,
        workers=workers,
        headroom=headroom,
        seed=seed,
    )
    faults = chosen(fault)
    starts = {f"start_by_{how}": _start(how) for how in ("fork", "spawn")}
    found = trials(scene, ProcessLevel(), faults, load)
    costs = cost(scene, ProcessLevel(), load)
    return {
        "rows": [one.row() for one in found],
        "facts": {
            "services": len(load.services),
            **starts,
            "start_of_a_service": costs.start,
            "memory_of_a_service": costs.megabytes,
            "round_trip": costs.round_trip,
        },
    }


def _start(how: str) -> float:
    """From the call until the new process says something [s], the median of some."""
    context = multiprocessing.get_context(how)
    took = []
    for _ in range(_STARTS):
        here, there = context.Pipe()
        with here, there:
            began = time.perf_counter()
            # A method of the standard library: spawn has nothing else to import in the new process.
            child = context.Process(target=there.send_bytes, args=[b"up"])  # type: ignore[attr-defined]
            child.start()
            here.recv_bytes()
            took.append(time.perf_counter() - began)
            child.join()
    return statistics.median(took)
