"""What every file of a trace holds, whatever its format: named columns of int64 and one JSON object about them."""

from __future__ import annotations

import hashlib
import json
import os
from typing import Any, Final

import numpy as np

from accrual._version import __version__
from accrual.traces.trace import Int64Array, Trace, TraceError

COLUMNS: Final = {
    "arrival_ns": "arrivals",
    "sequence": "sequence",
    "sent_ns": "sent",
    "sent_remote_ns": "sent_remote",
    "epoch": "epoch",
}
"""Column in a file -> parameter of `Trace`; a file has the first and any of the others."""


def columns_of(trace: Trace) -> dict[str, Int64Array]:
    """Name the columns that a trace has as a file names them."""
    columns = {column: getattr(trace, parameter) for column, parameter in COLUMNS.items()}
    return {column: values for column, values in columns.items() if values is not None}


def metadata_of(trace: Trace) -> str:
    """Write down in one line of ASCII what a trace knows beside its columns, and which program wrote it."""
    return json.dumps({"tool": "accrual", "version": __version__, "period": trace.period, "about": trace.about})


def check_columns(names: list[str], file: str | os.PathLike[str], line: int | None = None) -> None:
    """Refuse a set of columns that is no trace's; an unknown name may be a known one misspelt."""
    if "arrival_ns" not in names or not COLUMNS.keys() >= set(names) or len(set(names)) < len(names):
        others = ", ".join(list(COLUMNS)[1:])
        raise TraceError(f"expected columns arrival_ns and any of {others}; found {', '.join(names)[:200]}", file, line)


def trace_from(columns: dict[str, Any], metadata: str | bytes, file: str | os.PathLike[str]) -> Trace:
    """Put a trace together again; empty metadata (a file of another program) is no error, damaged metadata is."""
    try:
        known = json.loads(metadata or "{}")
        return Trace(
            **{COLUMNS[name]: values for name, values in columns.items()},
            period=known.get("period"),
            **known.get("about", {}),
        )
    # Of json (nested without end, too), of Trace; metadata that is no object.
    except (ValueError, TypeError, AttributeError, RecursionError) as error:
        raise TraceError(f"no trace: {error}", file) from error


_IN_ORDER: Final = {"sequence": np.greater, "epoch": np.equal}


class Ledger:
    """What can be said of columns after one pass, piece by piece: their sha256, and whether they are in order.

    In order are arrivals and send times that never fall, sequence numbers that rise, and an epoch that stays.
    """

    def __init__(self) -> None:
        """Begin before the first heartbeat."""
        self._hashes: dict[str, Any] = {}
        self._in_order: dict[str, bool] = {}
        self._last: dict[str, Int64Array] = {}

    def add(self, piece: Trace) -> None:
        """Go on with the next heartbeats."""
        for name, values in columns_of(piece).items():
            # As any machine may write it down: little-endian.
            self._hashes.setdefault(name, hashlib.sha256()).update(values.astype("<i8", copy=False))
            steps = np.concatenate([self._last.get(name, values[:0]), values])
            good = _IN_ORDER.get(name, np.greater_equal)(steps[1:], steps[:-1]).all()
            self._in_order[name] = self._in_order.get(name, True) and bool(good)
            self._last[name] = steps[-1:]

    def noted(self) -> dict[str, dict[str, Any]]:
        """What a file says of its columns, by their names in it."""
        return {
            name: {"sha256": found.hexdigest(), "in_order": self._in_order[name]}
            for name, found in self._hashes.items()
        }
