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
    from accrual.comparison import Comparison, compare
    from accrual.configuring import ChenTuned, optimal_timeout, tune_chen
    from accrual.reliability import Calibration, calibration
    from accrual.traces.description import Description, describe
    from accrual.traces.synthetic import synthesize
    from accrual.tuning import Tuned, tune, tune_cost

# On demand, for each costs a part of a light import: the module that has it.
_LATE = {
    "Calibration": "accrual.reliability",
    "ChenTuned": "accrual.configuring",
    "Comparison": "accrual.comparison",
    "Description": "accrual.traces.description",
    "Tuned": "accrual.tuning",
    "calibration": "accrual.reliability",
    "compare": "accrual.comparison",
    "describe": "accrual.traces.description",
    "optimal_timeout": "accrual.configuring",
    "synthesize": "accrual.traces.synthetic",
    "tune": "accrual.tuning",
    "tune_chen": "accrual.configuring",
    "tune_cost": "accrual.tuning",
}

__all__ = [
    "DETECTORS",
    "NEVER",
    "Bank",
    "Bertier",
    "Calibration",
    "Change",
    "Chen",
    "ChenTuned",
    "Comparison",
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
    "Tuned",
    "TwoWindow",
    "__version__",
    "calibration",
    "compare",
    "curve",
    "datasets",
    "describe",
    "import_trace",
    "levels",
    "load",
    "optimal_timeout",
    "outages",
    "presets",
    "qos",
    "read_trace",
    "replay",
    "scan_trace",
    "study",
    "synthesize",
    "tune",
    "tune_chen",
    "tune_cost",
]


def __getattr__(name: str) -> Any:
    if name == "aio":  # on demand: asyncio is a third of a light import
        return importlib.import_module("accrual.aio")
    if name in _LATE:
        return getattr(importlib.import_module(_LATE[name]), name)
    raise AttributeError(f"module 'accrual' has no attribute {name!r}")
