"""What a trace says about its peer before any detector is asked: the gaps in it."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from accrual.core import engine
from accrual.detectors import FixedTimeout
from accrual.traces.trace import Int64Array, Trace

__all__ = ["Outages", "outages"]

NS = 1_000_000_000


@dataclass(frozen=True, eq=False, repr=False)
class Outages:
    """Gaps in a trace: from the last heartbeat before each to the first one after it.

    Attributes
    ----------
    start, end : int64 array [ns]
        Arrivals, on the receiver's clock.
    duration : float64 array [s]
        How long each is.
    lost : int64 array or None
        Sequence numbers missing in between; None where heartbeats have none. 0 across a restart, where numbers begin
        anew.
    restarted : bool array
        Whether the sender's epoch is another afterwards.
    """

    start: Int64Array
    end: Int64Array
    lost: Int64Array | None
    restarted: npt.NDArray[np.bool_]

    def __len__(self) -> int:
        """Count the gaps."""
        return len(self.start)

    @property
    def duration(self) -> npt.NDArray[np.float64]:
        """How long each is [s]."""
        return (self.end - self.start) / NS

    def to_dict(self) -> dict[str, list[Any] | None]:
        """Plain lists: instants in ns, durations in s."""
        return {
            "start": self.start.tolist(),
            "end": self.end.tolist(),
            "duration": self.duration.tolist(),
            "lost": None if self.lost is None else self.lost.tolist(),
            "restarted": self.restarted.tolist(),
        }

    def to_pandas(self):  # type: ignore[no-untyped-def]
        """A DataFrame, one row for each gap."""
        import pandas as pd

        return pd.DataFrame({name: values for name, values in self.to_dict().items() if values is not None})

    def __repr__(self) -> str:
        """Say how many and how long."""
        longest = f", the longest {self.duration.max():,.3f} s" if len(self) else ""
        return f"Outages({len(self):,}, {self.duration.sum():,.3f} s in all{longest})"

    def _repr_html_(self) -> str:
        columns = {name: values for name, values in self.to_dict().items() if values is not None}
        units = {"start": " [ns]", "end": " [ns]", "duration": " [s]"}
        head = "".join(f"<th>{name}{units.get(name, '')}</th>" for name in columns)
        rows = "".join(
            "<tr>" + "".join(f"<td>{value}</td>" for value in row) + "</tr>"
            for row in zip(*columns.values(), strict=True)
        )
        return f"<table><tr>{head}</tr>{rows}</table>"


def outages(trace: Trace, min: float) -> Outages:  # noqa: A002  # the command's --min
    """List the gaps in a trace: times of `min` seconds or more in which no heartbeat counted.

    Late and duplicate heartbeats do not count, as for a detector: a stale one ends no gap.

    Parameters
    ----------
    trace : Trace
        Heartbeats in the order in which they were received.
    min : float
        The shortest gap [s], > 0.

    Returns
    -------
    Outages
        In the order of the trace.

    Raises
    ------
    ValueError
        `min` is not a positive, finite number.

    Examples
    --------
    >>> trace = Trace([0, 1_000_000_000, 41_000_000_000, 42_000_000_000], sequence=[0, 1, 41, 42])
    >>> gaps = outages(trace, min=30)
    >>> gaps, gaps.lost
    (Outages(1, 40.000 s in all, the longest 40.000 s), array([39]))
    """
    if isinstance(min, bool | str) or not 0 < min < math.inf:
        raise ValueError(f"min must be a finite number of seconds > 0, is {min!r}")
    counts = _accepted(trace)
    arrivals = trace.arrivals[counts]
    before = np.flatnonzero(np.diff(arrivals) >= round(min * NS))
    after = before + 1
    restarted = np.zeros(len(before), bool)
    if trace.epoch is not None:
        epochs = trace.epoch[counts]
        restarted = epochs[before] != epochs[after]
    lost = None
    if trace.sequence is not None:
        # Without a sign, as any two numbers may lie almost 2**64 apart.
        numbers = trace.sequence[counts].view(np.uint64)
        missing = np.minimum(numbers[after] - numbers[before] - np.uint64(1), np.uint64(2**63 - 1))
        lost = np.where(restarted, 0, missing.astype(np.int64))
    return Outages(arrivals[before], arrivals[after], lost, restarted)


def _accepted(trace: Trace) -> Int64Array:
    """Indices of the heartbeats that count (semantics.md); it is the same for every detector."""
    detector = FixedTimeout(period=1.0).compiled
    state, latest = np.empty((2, len(trace)), np.int64)
    restarts = 0 if trace.epoch is None else np.count_nonzero(np.diff(trace.epoch))
    starts = np.empty(restarts + 1, np.int64)
    chain = np.empty(len(trace) + detector.seeds * len(starts), np.int64)
    numbers = np.empty(0, np.int64)  # a timeout does not look at them
    engine.accept_all(detector, trace.arrivals, trace.sequence, trace.epoch, chain, numbers, starts, state, latest)
    return np.flatnonzero(latest == np.arange(len(trace)))
