"""Heartbeat failure detection that you can measure, embed and learn from."""

import importlib
from types import ModuleType

from accrual import presets
from accrual._version import __version__
from accrual.detectors import DETECTORS, FixedTimeout, PhiExponential, PhiLogistic, PhiNormal, PhiStudent
from accrual.monitor import Bank, Change, ManualClock, Monitor, State
from accrual.qos import Curve, QoS, curve, qos
from accrual.replay import Mistakes, Replay, levels, replay
from accrual.traces import Outages, Trace, TraceError, datasets, import_trace, load, outages, read_trace

__all__ = [
    "DETECTORS",
    "Bank",
    "Change",
    "Curve",
    "FixedTimeout",
    "ManualClock",
    "Mistakes",
    "Monitor",
    "Outages",
    "PhiExponential",
    "PhiLogistic",
    "PhiNormal",
    "PhiStudent",
    "QoS",
    "Replay",
    "State",
    "Trace",
    "TraceError",
    "__version__",
    "curve",
    "datasets",
    "import_trace",
    "levels",
    "load",
    "outages",
    "presets",
    "qos",
    "read_trace",
    "replay",
]


def __getattr__(name: str) -> ModuleType:
    if name == "aio":  # on demand: asyncio is a third of a light import
        return importlib.import_module("accrual.aio")
    raise AttributeError(f"module 'accrual' has no attribute {name!r}")
