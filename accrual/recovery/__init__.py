"""Recovery: failover, elections, replication and partitions; a model of them, and a controller to use."""

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from accrual.recovery.cluster import ClockError, Cluster, Crash, Cut, Fault, Partition, Pause, SlowDisk
    from accrual.recovery.controller import CONTROLLER, Action, Entry, FailoverController
    from accrual.recovery.driver import drive
    from accrual.recovery.election import MACHINES
    from accrual.recovery.formulas import Overlap, Waiting, k_of_n, lost_writes, overlap, split_vote, waiting_cost
    from accrual.recovery.history import Findings, Operation, check, smallest
    from accrual.recovery.machine import Machine, Transition
    from accrual.recovery.model import Happening, Outcome, Run, simulate
    from accrual.recovery.partition import Recognised, recognise

# On demand, so that a service that runs a controller loads no simulation.
_LATE = {
    "Action": "controller",
    "CONTROLLER": "controller",
    "ClockError": "cluster",
    "Cluster": "cluster",
    "Crash": "cluster",
    "Cut": "cluster",
    "Entry": "controller",
    "FailoverController": "controller",
    "Fault": "cluster",
    "Findings": "history",
    "Happening": "model",
    "MACHINES": "election",
    "Machine": "machine",
    "Operation": "history",
    "Outcome": "model",
    "Overlap": "formulas",
    "Partition": "cluster",
    "Pause": "cluster",
    "Recognised": "partition",
    "Run": "model",
    "SlowDisk": "cluster",
    "Transition": "machine",
    "Waiting": "formulas",
    "check": "history",
    "drive": "driver",
    "k_of_n": "formulas",
    "lost_writes": "formulas",
    "overlap": "formulas",
    "recognise": "partition",
    "simulate": "model",
    "smallest": "history",
    "split_vote": "formulas",
    "waiting_cost": "formulas",
}

__all__ = [
    "CONTROLLER",
    "MACHINES",
    "Action",
    "ClockError",
    "Cluster",
    "Crash",
    "Cut",
    "Entry",
    "FailoverController",
    "Fault",
    "Findings",
    "Happening",
    "Machine",
    "Operation",
    "Outcome",
    "Overlap",
    "Partition",
    "Pause",
    "Recognised",
    "Run",
    "SlowDisk",
    "Transition",
    "Waiting",
    "check",
    "drive",
    "k_of_n",
    "lost_writes",
    "overlap",
    "recognise",
    "simulate",
    "smallest",
    "split_vote",
    "waiting_cost",
]


def __getattr__(name: str) -> Any:
    if name in _LATE:
        return getattr(importlib.import_module(f"accrual.recovery.{_LATE[name]}"), name)
    raise AttributeError(f"module 'accrual.recovery' has no attribute {name!r}")
