"""Levels of isolation: what a fault takes with it, as a model to turn; and how large pools and shards have to be.

`simulate` runs a shop with a fault in it at a level of isolation, `compare_levels` tells by the rules what each fault
takes, `plan_pools` and `plan_shards` size bulkheads and shards, `assign`, `release` and `balance` look from the users'
side. The faults, services and levels (`FAULTS`, `SHOP`, `LEVELS`) are those of the labs with real processes.

Examples
--------
>>> import accrual.isolation as iso
>>> run = iso.simulate(fault="segfault", level="process")
>>> [(of.service, of.failing) for of in run.services]
[('order', 0.0), ('payment', 1.0), ('delivery', 0.0)]
"""

import importlib
from typing import TYPE_CHECKING, Any

from accrual.isolation.shop import FAULTS, LEVELS, SCENARIOS, SHOP, TICKETS, Fault, Level, Service

if TYPE_CHECKING:
    from accrual.isolation.balancer import Balanced, balance, heartbeats
    from accrual.isolation.canary import Canary, release
    from accrual.isolation.model import Run, ServiceRun, simulate
    from accrual.isolation.placement import COSTS, OUTAGES, RULES, LevelComparison, Placement, compare_levels, place
    from accrual.isolation.queueing import PoolPlan, erlang_b, erlang_c, plan_pools, queue, workers_for
    from accrual.isolation.sharding import (
        Assignment,
        ShardPlan,
        activity,
        assign,
        overlaps,
        plan_shards,
        shuffle_shards,
    )
    from accrual.isolation.uptime import availability, k_of_n, series

# On demand, for the labs need none of it: the module that has it.
_LATE = {
    name: f"accrual.isolation.{module}"
    for module, names in {
        "uptime": ("availability", "k_of_n", "series"),
        "balancer": ("Balanced", "balance", "heartbeats"),
        "canary": ("Canary", "release"),
        "model": ("Run", "ServiceRun", "simulate"),
        "placement": ("COSTS", "OUTAGES", "RULES", "LevelComparison", "Placement", "compare_levels", "place"),
        "queueing": ("PoolPlan", "erlang_b", "erlang_c", "plan_pools", "queue", "workers_for"),
        "sharding": ("Assignment", "ShardPlan", "activity", "assign", "overlaps", "plan_shards", "shuffle_shards"),
    }.items()
    for name in names
}

__all__ = [
    "COSTS",
    "FAULTS",
    "LEVELS",
    "OUTAGES",
    "RULES",
    "SCENARIOS",
    "SHOP",
    "TICKETS",
    "Assignment",
    "Balanced",
    "Canary",
    "Fault",
    "Level",
    "LevelComparison",
    "Placement",
    "PoolPlan",
    "Run",
    "Service",
    "ServiceRun",
    "ShardPlan",
    "activity",
    "assign",
    "availability",
    "balance",
    "compare_levels",
    "erlang_b",
    "erlang_c",
    "heartbeats",
    "k_of_n",
    "overlaps",
    "place",
    "plan_pools",
    "plan_shards",
    "queue",
    "release",
    "series",
    "shuffle_shards",
    "simulate",
    "workers_for",
]


def __getattr__(name: str) -> Any:
    if name in _LATE:
        return getattr(importlib.import_module(_LATE[name]), name)
    raise AttributeError(f"module 'accrual.isolation' has no attribute {name!r}")
