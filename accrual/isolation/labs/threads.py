"""Threads: what a pool for each service keeps apart, and what it does not."""

from __future__ import annotations

from typing import Any, Final, Literal

from accrual.isolation.labs.levels import ThreadLevel
from accrual.isolation.labs.load import Load
from accrual.isolation.labs.trials import cost, trials
from accrual.isolation.shop import FAULTS
from accrual.lab import Scene, lab

__all__ = ["FaultChoice", "ScenarioChoice", "chosen", "threads"]

FaultChoice = Literal[
    "all",
    "exception",
    "hang",
    "slow",
    "memory-hog",
    "cpu-hog",
    "segfault",
    "hold-gil",
    "kill",
    "corrupt",
    "poison",
]
ScenarioChoice = Literal["shop", "tickets"]

_OF_POOLS: Final = ("hang", "slow")  # for the others it makes no difference whose worker they are in


def chosen(fault: str) -> list[str]:
    """The faults that a lab is to try: one, or all."""
    if fault != "all" and fault not in FAULTS:
        raise ValueError(f"fault must be all or one of {', '.join(FAULTS)}, got {fault!r}")
    return list(FAULTS) if fault == "all" else [fault]


@lab("threads", limit=60.0)
def threads(
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
    """A pool of threads for each service, or one for all: what a fault takes with it.

    All services are in one process. Customers come at random; one service goes wrong; what becomes of the requests
    before and after is counted. Faults that make calls hang or slow are tried with both kinds of pools. A CPU hog is
    tried three times, and the middle one counts: it depends on what else the machine does. Columns: the
    services that were hurt (of whose requests more than 0.2 went bad); the share of all requests after the fault that
    went bad, and of those to each service; what 99 in 100 requests to the other services took at most, before and after
    [s]; how processes ended. Figures besides: to start a pool [s], the memory that it takes [MB], and a question to
    another service's pool and its answer [s].

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
        Threads in all, divided among the services where each has its own pool.
    seconds : float
        That customers come after the fault.
    deadline : float
        That a customer waits [s].
    headroom : int
        Memory that the process may take beyond what it has when it is up [MiB]; 0 for no cap: a hog stops at 256 then.
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
    of_pools = [one for one in faults if one in _OF_POOLS]
    own = trials(scene, ThreadLevel(), faults, load)
    shared = trials(scene, ThreadLevel(shared=True), of_pools, load)
    found = cost(scene, ThreadLevel(), load)
    return {
        "rows": [{"pool": pool} | one.row() for pool, tried in (("shared", shared), ("own", own)) for one in tried],
        "facts": {
            "services": len(load.services),
            "start_of_a_pool": found.start,
            "memory_of_a_pool": found.megabytes,
            "round_trip": found.round_trip,
        },
    }
