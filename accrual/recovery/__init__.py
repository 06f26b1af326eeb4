"""Recovery: failover, elections, replication and partitions; a model of them, and a controller to use."""

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from accrual.recovery.controller import CONTROLLER, Action, Entry, FailoverController
    from accrual.recovery.driver import drive
    from accrual.recovery.machine import Machine, Transition
    from accrual.recovery.partition import Recognised, recognise

# On demand, so that a service that runs a controller loads no simulation.
_LATE = {
    "CONTROLLER": "controller",
    "Action": "controller",
    "Entry": "controller",
    "FailoverController": "controller",
    "Machine": "machine",
    "Recognised": "partition",
    "Transition": "machine",
    "drive": "driver",
    "recognise": "partition",
}

__all__ = [
    "CONTROLLER",
    "Action",
    "Entry",
    "FailoverController",
    "Machine",
    "Recognised",
    "Transition",
    "drive",
    "recognise",
]


def __getattr__(name: str) -> Any:
    if name in _LATE:
        return getattr(importlib.import_module(f"accrual.recovery.{_LATE[name]}"), name)
    raise AttributeError(f"module 'accrual.recovery' has no attribute {name!r}")
