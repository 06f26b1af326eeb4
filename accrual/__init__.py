"""Heartbeat failure detection that you can measure, embed and learn from."""

from accrual import presets
from accrual._version import __version__
from accrual.detectors import DETECTORS, FixedTimeout, PhiExponential, PhiLogistic, PhiNormal, PhiStudent
from accrual.monitor import Monitor
from accrual.qos import Curve, QoS, curve, qos
from accrual.replay import Mistakes, Replay, levels, replay
from accrual.traces import Trace, TraceError, datasets, import_trace, load, read_trace

__all__ = [
    "DETECTORS",
    "Curve",
    "FixedTimeout",
    "Mistakes",
    "Monitor",
    "PhiExponential",
    "PhiLogistic",
    "PhiNormal",
    "PhiStudent",
    "QoS",
    "Replay",
    "Trace",
    "TraceError",
    "__version__",
    "curve",
    "datasets",
    "import_trace",
    "levels",
    "load",
    "presets",
    "qos",
    "read_trace",
    "replay",
]
