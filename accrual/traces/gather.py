"""Heartbeats of many peers, gathered into one trace for each: what the importers have in common."""

from __future__ import annotations

import os
from array import array
from collections.abc import Hashable, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from accrual.traces.files import MOST_PEERS, Source
from accrual.traces.trace import INSTANT_LIMIT, Trace, TraceError


def median_interval(arrivals: npt.ArrayLike, sequence: npt.ArrayLike | None = None) -> float | None:
    """Interval between neighbouring heartbeats [s], divided by the steps of their numbers; None where there is none.

    Examples
    --------
    >>> median_interval([0, 1_000_000_000, 4_000_000_000], [1, 2, 5])
    1.0
    """
    intervals = np.diff(np.asarray(arrivals, np.int64)).astype(float)
    if sequence is not None:
        steps = np.diff(np.asarray(sequence, np.int64).astype(float))
        intervals = intervals[steps > 0] / steps[steps > 0]
    return max(0.0, float(np.median(intervals)) / 1e9) or None if len(intervals) else None


def instants_inside(*instants: int) -> bool:
    """Whether a `Trace` takes all of them."""
    return all(-INSTANT_LIMIT < instant < INSTANT_LIMIT for instant in instants)


class Peer:
    """The heartbeats of one peer so far.

    Parameters
    ----------
    columns : sequence of str
        Parameters of `Trace`, in the order in which `add` takes their values.
    about : dict
        What is known of this peer alone.

    Attributes
    ----------
    period : float or None
        Sending interval [s], where it is known.
    regular : bool
        Whether the median interval may stand in for it.
    """

    __slots__ = ("about", "columns", "period", "regular")

    def __init__(self, columns: Sequence[str], about: dict[str, Any]) -> None:
        """Begin with nothing."""
        self.columns = {name: array("q") for name in columns}
        self.about = about
        self.period: float | None = None
        self.regular = True

    def add(self, values: Sequence[int]) -> None:
        """Append a heartbeat, a 64-bit number for each column; instants have passed `instants_inside`."""
        for column, value in zip(self.columns.values(), values, strict=True):
            column.append(value)

    def trace(self, **about: Any) -> Trace:
        """Turn what was taken in into a trace."""
        period = self.period
        if period is None and self.regular:
            period = median_interval(self.columns["arrivals"], self.columns.get("sequence"))
            about |= {"period_from": "the median interval"} if period else {}
        columns: dict[str, Any] = dict(self.columns)
        return Trace(**columns, period=period, **about, **self.about)


class Peers(dict[Hashable, Peer]):
    """The peers of a file, in the order in which they first spoke.

    Parameters
    ----------
    source : Source
        The file.
    """

    def __init__(self, source: Source) -> None:
        """Begin with nobody."""
        super().__init__()
        self._source = source

    def introduce(self, key: Hashable, columns: Sequence[str], **about: Any) -> Peer:
        """Make room for a peer."""
        if len(self) == MOST_PEERS:
            raise TraceError(f"more than {MOST_PEERS:,} peers", self._source.path, self._source.number or None)
        self[key] = Peer(columns, about)
        return self[key]

    def traces(self, **about: Any) -> list[Trace]:
        """A trace for each peer; how much of the file was skipped is with the first."""
        about = {"source": os.path.basename(self._source.path), **about, "sha256": self._source.sha256()}
        traces = [peer.trace(**about, session=session) for session, peer in enumerate(self.values(), start=1)]
        if traces:
            traces[0].about.update(self._source.about())
        return traces
