"""What a student hands to a widget as heartbeats: taken as it is where that can be meant, and explained where not."""

from __future__ import annotations

import os
import warnings
from collections.abc import Mapping, Sequence
from typing import Any, Final

import numpy as np

from accrual.detectors import NS
from accrual.replay import as_trace
from accrual.traces import Trace
from accrual.traces.scan import ScannedTrace

__all__ = ["heartbeats", "nominal_period"]

_SOONEST: Final = 1e-4
"""A median interval below which hardly anybody sends heartbeats [s]: 10,000 a second."""
_MANY_TIMES: Final = 50
"""The median interval and the period of a trace may differ by losses and thinning; hardly by so much."""
_BACKWARD: Final = 0.01
"""Share of arrivals before the one before them, from which on it is no clock that went back but a shuffled trace."""

_HOW: Final = "arrival times are whole nanoseconds"


def heartbeats(trace: Any, least: int = 100) -> Trace:
    """A trace, or the one of some arrival times; says what else it looks like.

    Parameters
    ----------
    trace : Trace or array of int64
        Arrivals in ns.
    least : int
        Heartbeats that have to be there.

    Raises
    ------
    TypeError, ValueError
        It is no trace, or too short a one. The text says what helps.

    Warns
    -----
    UserWarning
        It may be meant, but looks like times in another unit, or in no order.

    Examples
    --------
    >>> heartbeats([0.01, 0.02, 0.031], least=3)  # doctest: +NORMALIZE_WHITESPACE
    Traceback (most recent call last):
    ...
    ValueError: arrivals look like seconds (0.01 to 0.031): arrival times are whole nanoseconds, which
    np.rint(np.asarray(arrivals) * 1e9).astype(np.int64) makes of them
    """
    if isinstance(trace, str | os.PathLike):
        name = os.fspath(trace)
        raise TypeError(f"trace must be a Trace or arrival times, got a file's name: ac.read_trace({name!r}) reads it")
    if not isinstance(trace, Trace | ScannedTrace):
        kind = type(trace).__name__
        if isinstance(trace, Sequence) and any(isinstance(one, Trace) for one in trace):
            raise TypeError(f"trace must be one Trace, got a {kind} of some: take one of them, as in traces[0]")
        if isinstance(trace, Mapping) or np.ndim(trace) != 1:
            raise TypeError(f"trace must be a Trace or a row of arrival times in ns, got {kind}")
        _refuse_fractions(np.asarray(trace))
    made = as_trace(trace)
    if len(made) < least:
        raise ValueError(f"trace must have at least {least} heartbeat{'s' * (least > 1)}, has {len(made)}")
    _wonder(made)
    return made


def nominal_period(trace: Trace) -> float:
    """The period of a trace, or the median interval where it has none [s].

    Raises
    ------
    ValueError
        Neither is above 0.

    Examples
    --------
    >>> import accrual as ac
    >>> nominal_period(ac.Trace([0, 10_000_000, 30_000_000, 41_000_000]))
    0.011
    """
    period = trace.period or _median_interval(trace)
    if not period:
        raise ValueError("trace has no period and a median interval of 0: give it a period")
    return period


def _median_interval(trace: Trace) -> float:
    return float(np.median(np.diff(np.maximum.accumulate(trace.arrivals)))) / NS


def _refuse_fractions(values: np.ndarray[Any, Any]) -> None:
    """Say what floats look like; those that are whole numbers may be meant."""
    if values.dtype.kind != "f" or not np.isfinite(values).all() or (values == np.rint(values)).all():
        return
    raise ValueError(
        f"arrivals look like seconds ({values.min():g} to {values.max():g}): {_HOW}, which "
        "np.rint(np.asarray(arrivals) * 1e9).astype(np.int64) makes of them"
    )


def _wonder(trace: Trace) -> None:
    """Warn of what is hardly meant."""
    backward = np.count_nonzero(np.diff(trace.arrivals) < 0)
    if len(trace) > 1 and backward > _BACKWARD * len(trace):
        warnings.warn(
            f"{backward:,} of {len(trace):,} heartbeats arrived before the one before them: are these arrival times, "
            "and in order? np.sort(arrivals) sorts them",
            stacklevel=4,
        )
        return
    median = _median_interval(trace) if len(trace) > 1 else 0.0
    told = [f"the median interval is {median:.3g} s"]
    if median and trace.period and not 1 / _MANY_TIMES < median / trace.period < _MANY_TIMES:
        told.append(f"the period {trace.period:g} s")
    elif not 0 < median < _SOONEST:
        return
    warnings.warn(
        f"{', and '.join(told)}: {_HOW}, are these? Times in µs are to be multiplied by 1_000, "
        "in ms by 1_000_000, in s by 1_000_000_000",
        stacklevel=4,
    )
