"""Traces of heartbeats: in memory, in files, from other programs, and those that come with the package."""

from accrual.traces.bundled import Dataset, Datasets, datasets, load
from accrual.traces.describe import Outages, outages
from accrual.traces.formats import import_trace, read_trace
from accrual.traces.trace import Trace, TraceError

__all__ = [
    "Dataset",
    "Datasets",
    "Outages",
    "Trace",
    "TraceError",
    "datasets",
    "import_trace",
    "load",
    "outages",
    "read_trace",
]
