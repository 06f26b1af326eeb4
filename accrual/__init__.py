"""Heartbeat failure detection that you can measure, embed and learn from."""

import importlib
from typing import TYPE_CHECKING, Any

from accrual import presets
from accrual._version import __version__
from accrual.detectors import (
    DETECTORS,
    Bertier,
    Chen,
    Empirical,
    ExpectedArrival,
    FixedTimeout,
    PhiExponential,
    PhiLogistic,
    PhiNormal,
    PhiStudent,
    TwoWindow,
)
from accrual.monitor import Bank, Change, ManualClock, Monitor, State
from accrual.qos import Curve, QoS, curve, qos
from accrual.replay import NEVER, Mistakes, Replay, levels, replay
from accrual.study import Study, study
from accrual.traces import (
    Outages,
    ScannedTrace,
    Trace,
    TraceError,
    datasets,
    import_trace,
    load,
    outages,
    read_trace,
    scan_trace,
)

if TYPE_CHECKING:
    from accrual.traces.description import Description, describe
    from accrual.traces.synthetic import synthesize

__all__ = [
    "DETECTORS",
    "NEVER",
    "Bank",
    "Bertier",
    "Change",
    "Chen",
    "Curve",
    "Description",
    "Empirical",
    "ExpectedArrival",
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
    "ScannedTrace",
    "State",
    "Study",
    "Trace",
    "TraceError",
    "TwoWindow",
    "__version__",
    "curve",
    "datasets",
    "describe",
    "import_trace",
    "levels",
    "load",
    "outages",
    "presets",
    "qos",
    "read_trace",
    "replay",
    "scan_trace",
    "study",
    "synthesize",
]


def __getattr__(name: str) -> Any:
    if name == "aio":  # on demand: asyncio is a third of a light import
        return importlib.import_module("accrual.aio")
    if name == "synthesize":  # and its parts, each a dataclass, a tenth
        return importlib.import_module("accrual.traces.synthetic").synthesize
    if name in ("Description", "describe"):
        return getattr(importlib.import_module("accrual.traces.description"), name)
    raise AttributeError(f"module 'accrual' has no attribute {name!r}")
