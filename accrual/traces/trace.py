"""A trace: the heartbeats of one peer as its receiver saw them, in the order in which they came.

Everything else in this package turns something into a `Trace` or a `Trace` into something. The rules of its arrays
live here once: exact 64-bit integers, or a `ValueError` that says which value is to blame; never a rounded or wrapped
number.
"""

from __future__ import annotations

import json
import math
import os
from collections.abc import Mapping
from functools import partial
from typing import TYPE_CHECKING, Any, Final, NoReturn, TypeAlias

import numpy as np
import numpy.typing as npt

from accrual.core import engine

if TYPE_CHECKING:
    import pyarrow

Int64Array: TypeAlias = npt.NDArray[np.int64]

INSTANT_LIMIT: Final = engine.INSTANT_LIMIT
"""Instants lie strictly inside +-2**62 ns, 146 years round the clock's zero: the difference of any two fits int64."""

_FLOAT_LIMIT: Final = 2.0**53  # from here on a double skips integers, so its value may be a neighbour's


class TraceError(ValueError):
    """A file that does not hold what it should.

    Parameters
    ----------
    message : str
        What is wrong and what was expected.
    file : path, optional
        The file. The text of the error then begins with ``file: `` or ``file:line: ``.
    line : int, optional
        The line of the file, counted from 1.

    Examples
    --------
    >>> print(TraceError("expected a number", file="beats.csv", line=7))
    beats.csv:7: expected a number
    """

    def __init__(self, message: str, file: str | os.PathLike[str] | None = None, line: int | None = None) -> None:
        """Put the place before the message."""
        self.file = None if file is None else os.fspath(file)
        self.line = line
        place = "" if file is None else f"{self.file}: " if line is None else f"{self.file}:{line}: "
        # In one line, whatever names a file has for its columns and a library for its troubles.
        super().__init__(" ".join((place + message).splitlines()))


def _as_array(values: npt.ArrayLike, name: str) -> npt.NDArray[Any]:
    if np.ma.is_masked(values):  # NumPy would hand out the numbers under the mask
        raise ValueError(f"{name}[{int(np.argmax(np.ma.getmask(values)))}] is masked")
    try:
        array = np.asarray(values)
    except ValueError as error:
        raise ValueError(f"{name} is no array of integers: {error}") from None
    if array.ndim != 1:
        raise ValueError(f"{name} must have 1 dimension, has {array.ndim} (shape {array.shape})")
    if array.dtype.kind == "f" and isinstance(values, list | tuple):  # [0, 2**63] are floats to NumPy
        for index in np.flatnonzero(np.abs(array) >= 2.0**63):
            if isinstance(values[index], int) and not -(2**63) <= values[index] < 2**63:
                raise ValueError(f"{name}[{index}] = {values[index]} does not fit into 64 bits")
    return array


def _refuse(values: npt.NDArray[Any], good: npt.NDArray[np.bool_], name: str, reason: str) -> None:
    """Raise for the first value that is not good, if there is one."""
    if not good.all():
        index = int(np.argmin(good))
        raise ValueError(f"{name}[{index}] = {values[index]} {reason}")


def _refuse_type(values: npt.NDArray[Any], name: str) -> NoReturn:
    """Raise for an array whose type holds no integers, with the first value that shows it."""
    for index, value in enumerate(values):
        if type(value) is not int:
            raise ValueError(f"{name}[{index}] = {value!r} is no integer (dtype {values.dtype})")
        if not -(2**63) <= value < 2**63:
            raise ValueError(f"{name}[{index}] = {value} does not fit into 64 bits")
    raise ValueError(f"{name} must hold integers, has dtype {values.dtype}")


def _from_floats(values: npt.NDArray[Any], name: str) -> Int64Array:
    values = values.astype(np.result_type(values, np.float64), copy=False)
    _refuse(values, np.isfinite(values), name, "is not finite")
    _refuse(values, values == np.trunc(values), name, "is not a whole number")
    _refuse(values, np.abs(values) < _FLOAT_LIMIT, name, "is a float beyond 2**53, which no longer holds every integer")
    return values.astype(np.int64)


def _from_datetimes(values: npt.NDArray[Any], name: str) -> Int64Array:
    _refuse(values, ~np.isnat(values), name, "is no time")
    # NumPy casts between units without a check; what wrapped or was cut does not come back the same.
    nanoseconds = values.astype("datetime64[ns]")
    _refuse(values, nanoseconds.astype(values.dtype) == values, name, "is no whole number of ns within 64 bits")
    return nanoseconds.astype(np.int64)


def as_int64(values: npt.ArrayLike, name: str) -> Int64Array:
    """Convert to int64 exactly, or refuse.

    Parameters
    ----------
    values : array_like
        One dimension of integers of any width, sign, byte order and stride, or of floats that are whole numbers below
        2**53.
    name : str
        The parameter's name, for the error.

    Returns
    -------
    ndarray of int64
        C-contiguous, native and read-only; a view of `values` where nothing had to change. The flags of `values` itself
        stay as they are.

    Raises
    ------
    ValueError
        Anything else: names the parameter, the index and the reason.

    Examples
    --------
    >>> as_int64([3, 1, 2], "sequence")
    array([3, 1, 2])
    >>> as_int64([1.0, 2.5], "sequence")
    Traceback (most recent call last):
        ...
    ValueError: sequence[1] = 2.5 is not a whole number
    """
    array = _as_array(values, name)
    if array.dtype.kind == "f":
        array = _from_floats(array, name)
    elif array.dtype.kind not in "iu":
        _refuse_type(array, name)
    elif array.dtype.kind == "u" and array.dtype.itemsize == 8:
        _refuse(array, array < 2**63, name, "does not fit into 64 bits with a sign")
    exact = np.ascontiguousarray(array, dtype=np.int64).view()
    exact.flags.writeable = False
    return exact


def as_instants(values: npt.ArrayLike, name: str) -> Int64Array:
    """Convert instants to int64 nanoseconds exactly, or refuse.

    As `as_int64`, and ``datetime64`` of any unit becomes nanoseconds since 1970.

    Parameters
    ----------
    values : array_like
        Instants on one clock [ns], strictly inside +-2**62 ns, in any order.
    name : str
        The parameter's name, for the error.

    Returns
    -------
    ndarray of int64
        Nanoseconds; C-contiguous, native and read-only, a view of `values` where nothing had to change.

    Raises
    ------
    ValueError
        A value that is no instant: names the parameter, the index and the reason.

    Examples
    --------
    >>> as_instants(np.array(["1970-01-01T00:00:01.5"], dtype="datetime64[ms]"), "arrivals")
    array([1500000000])
    """
    array = _as_array(values, name)
    if array.dtype.kind == "M":
        array = _from_datetimes(array, name)
    instants = as_int64(array, name)
    if not engine.instants_inside(instants):
        inside = (instants > -INSTANT_LIMIT) & (instants < INSTANT_LIMIT)
        _refuse(instants, inside, name, "ns is not inside +-2**62 ns, 146 years round the clock's zero")
    return instants


def _as_about(about: dict[str, Any]) -> dict[str, Any]:
    """A deep copy of what JSON makes of it, so that a trace read back equals the one written."""
    for key, value in about.items():
        try:
            json.dumps(value, allow_nan=False)
        except (TypeError, ValueError) as error:
            raise ValueError(f"{key} = {value!r} cannot be held by JSON: {error}") from None
    copy: dict[str, Any] = json.loads(json.dumps(about))
    return copy


def _as_period(period: float | None) -> float | None:
    if period is None:
        return None
    try:
        seconds = math.nan if isinstance(period, str | bool) else float(period)
    except (TypeError, ValueError, OverflowError):
        seconds = math.nan
    if not 0 < seconds < math.inf:
        raise ValueError(f"period must be a finite number of seconds > 0, is {period!r}")
    return seconds


class Trace:
    """The heartbeats of one peer, in the order in which they were received.

    A trace never sorts and never refuses an order: late, duplicate, equal and backward instants are what a network and
    a clock deliver, and stay as they came.

    Parameters
    ----------
    arrivals : array_like
        Arrivals on the receiver's clock [ns]. This and the other columns: integers of any width and byte order, or
        floats that are whole numbers below 2**53; instants also as ``datetime64``, inside +-2**62 ns.
    sequence : array_like, optional
        The sender's sequence numbers.
    sent : array_like, optional
        Sending times on the *receiver's* clock [ns]: sender and receiver on one machine.
    sent_remote : array_like, optional
        Sending times on the *sender's own* clock [ns].
    epoch : array_like, optional
        The sender's boot ids; another one than before means that it restarted.
    period : float, optional
        Nominal sending interval [s].
    **about
        What is known of the recording (``source``, ``clock``, ...): anything that JSON can hold.

    Attributes
    ----------
    arrivals, sequence, sent, sent_remote, epoch : ndarray of int64 or None
        The columns, read-only, all of one length. Columns given as contiguous int64 are not copied: change the original
        and the trace changes.
    period : float or None
        Nominal sending interval [s].
    about : dict
        A copy of what was given as keywords.

    Raises
    ------
    ValueError
        A value that is no 64-bit integer, columns of unequal lengths, a period that is not positive and finite, a
        keyword that JSON cannot hold: names the parameter, the index and the reason.

    Examples
    --------
    >>> trace = Trace([0, 1_000_000_000, 2_500_000_000], sequence=[0, 1, 2], period=1, source="by hand")
    >>> trace
    Trace(3 heartbeats over 2.5 s, period 1 s, with sequence, source='by hand')
    >>> trace[1:].arrivals
    array([1000000000, 2500000000])
    """

    __slots__ = ("about", "arrivals", "epoch", "period", "sent", "sent_remote", "sequence")

    def __init__(
        self,
        arrivals: npt.ArrayLike,
        sequence: npt.ArrayLike | None = None,
        sent: npt.ArrayLike | None = None,
        sent_remote: npt.ArrayLike | None = None,
        epoch: npt.ArrayLike | None = None,
        period: float | None = None,
        **about: Any,
    ) -> None:
        """Convert and check every column."""
        self.arrivals: Final = as_instants(arrivals, "arrivals")
        self.sequence: Final = None if sequence is None else as_int64(sequence, "sequence")
        self.sent: Final = None if sent is None else as_instants(sent, "sent")
        self.sent_remote: Final = None if sent_remote is None else as_instants(sent_remote, "sent_remote")
        self.epoch: Final = None if epoch is None else as_int64(epoch, "epoch")
        self.period: Final = _as_period(period)
        self.about: Final = _as_about(about)
        for name, column in self._columns().items():
            if column is not None and len(column) != len(self):
                raise ValueError(f"{name} has {len(column)} values, arrivals has {len(self)}")

    def _columns(self) -> dict[str, Int64Array | None]:
        return {
            "arrivals": self.arrivals,
            "sequence": self.sequence,
            "sent": self.sent,
            "sent_remote": self.sent_remote,
            "epoch": self.epoch,
        }

    @property
    def columns(self) -> tuple[str, ...]:
        """Names of the columns that there are."""
        return tuple(name for name, column in self._columns().items() if column is not None)

    def __len__(self) -> int:
        """Count the heartbeats."""
        return len(self.arrivals)

    def __getitem__(self, index: slice) -> Trace:
        """Take a piece of the trace, with all its columns and what is known of it."""
        if not isinstance(index, slice):
            raise TypeError(f"a Trace is cut by slices, as in trace[10:20], not by {index!r}")
        columns: dict[str, Any] = {
            name: None if column is None else column[index] for name, column in self._columns().items()
        }
        return Trace(**columns, period=self.period, **self.about)

    def __eq__(self, other: object) -> bool:
        """Compare by content: columns, period and what is known of them."""
        if not isinstance(other, Trace):
            return NotImplemented
        if (self.period, self.about) != (other.period, other.about):
            return False
        pairs = zip(self._columns().values(), other._columns().values(), strict=True)
        return all(a is b or (a is not None and b is not None and np.array_equal(a, b)) for a, b in pairs)

    __hash__ = None  # type: ignore[assignment]  # what compares by content and is large is no key

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickle and copy through the constructor: an array alone would come back writable."""
        return partial(Trace, period=self.period, **self.about), tuple(self._columns().values())

    @classmethod
    def from_arrow(
        cls,
        data: Any,
        columns: Mapping[str, str] | None = None,
        unit: str | Mapping[str, str] | None = None,
        period: float | None = None,
        **about: Any,
    ) -> Trace:
        """Take a trace from a table of pyarrow, pandas, polars, DuckDB or any other that speaks Arrow.

        Parameters
        ----------
        data : object with ``__arrow_c_stream__`` or ``__arrow_c_array__``
            Its columns of timestamps, integers or floats are taken, batch by batch; the others are not looked at.
        columns : mapping of str to str, optional
            ``arrivals`` and any of ``sequence``, ``sent``, ``sent_remote``, ``epoch`` -> the column's name. By default
            these names themselves, instants with their unit behind them: ``arrival_ns``, ``sent_ms``, ...
        unit : {"s", "ms", "us", "ns"} or mapping of str to str, optional
            Of all instants that are numbers, or of each by the names above. By default what the column's name ends in,
            or the one in which the first value is a Unix time of 2001 to 2033.
        period : float, optional
            Nominal sending interval [s].
        **about
            What is known of the recording.

        Returns
        -------
        Trace
            With what `to_arrow` noted down, if that made the table. Floats are rounded to the nearest ns.

        Raises
        ------
        ValueError
            No such column, an empty value, one that is no number, a unit that nobody tells.
        TypeError
            Not a table that speaks Arrow.
        ImportError
            pyarrow is missing.

        Examples
        --------
        >>> import pyarrow as pa
        >>> table = pa.table({"received": [1767225600.5, 1767225601.5], "number": [7, 8]})
        >>> Trace.from_arrow(table, {"arrivals": "received", "sequence": "number"}, unit="s").arrivals
        array([1767225600500000000, 1767225601500000000])
        """
        from accrual.traces import arrow  # here and below, for it is built on Trace
        from accrual.traces.selection import Selection

        return arrow.from_stream(data, Selection(columns, unit), period, about)

    def to_arrow(self) -> pyarrow.Table:
        """The columns as a `pyarrow.Table`, named as in files, and what else is known among the schema's metadata.

        Raises
        ------
        ImportError
            pyarrow is missing.

        Examples
        --------
        >>> Trace([0, 10], sequence=[1, 2]).to_arrow().column_names
        ['arrival_ns', 'sequence']
        """
        from accrual.traces import arrow

        return arrow.to_table(self)

    def __arrow_c_stream__(self, requested_schema: object = None) -> object:
        """Offer the columns to anything that takes Arrow: ``polars.DataFrame(trace)``, ``pyarrow.table(trace)``."""
        return self.to_arrow().__arrow_c_stream__(requested_schema)

    def __repr__(self) -> str:
        """Say how many, how long, how often, and what else is known."""
        span = (int(self.arrivals.max()) - int(self.arrivals.min())) / 1e9 if len(self) else 0.0
        parts = [f"{len(self):,} heartbeat{'' if len(self) == 1 else 's'} over {span:,.1f} s"]
        if self.period is not None:
            parts.append(f"period {self.period:g} s")
        if len(self.columns) > 1:
            parts.append("with " + " and ".join(self.columns[1:]))
        if "source" in self.about:
            parts.append(f"source={self.about['source']!r}")
        return f"Trace({', '.join(parts)})"

    def write(self, path: str | os.PathLike[str]) -> None:
        """Write the trace to a file, whole or not at all.

        The file appears under its name only when every byte of it is on the disk: an error or an interrupt leaves what
        was there before.

        Parameters
        ----------
        path : path
            A name that ends in ``.parquet`` (needs ``pip install accrual[traces]``; about 3 bytes a heartbeat, in row
            groups of 2**20 and with the sha256 of each column, for `accrual.scan_trace`), ``.csv`` or ``.csv.gz``.

        Raises
        ------
        ValueError
            Another ending.
        OSError
            The file cannot be written.

        Examples
        --------
        >>> import tempfile
        >>> from accrual.traces import read_trace
        >>> trace = Trace([0, 10, 20], clock="monotonic")
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     trace.write(f"{folder}/beats.csv.gz")
        ...     read_trace(f"{folder}/beats.csv.gz") == trace
        True
        """
        # Here, for both are built on Trace.
        from accrual.traces import csv_file, parquet

        name = os.fspath(path)
        if name.endswith(".parquet"):
            parquet.write(self, path)
        elif name.endswith((".csv", ".csv.gz")):
            csv_file.write(self, path)
        else:
            raise ValueError(f"path must end in .parquet, .csv or .csv.gz, is {name!r}")


def taken(trace: Trace, indices: npt.NDArray[np.intp]) -> Trace:
    """Heartbeats of a trace by their indices, without what is known of it."""
    columns: dict[str, Any] = {
        name: None if column is None else column[indices] for name, column in trace._columns().items()
    }
    return Trace(**columns)


def joined(before: Trace, piece: Trace) -> Trace:
    """A piece of a trace with others of its heartbeats before it."""
    columns: dict[str, Any] = {
        name: None if column is None else np.concatenate([getattr(before, name), column])
        for name, column in piece._columns().items()
    }
    return Trace(**columns, period=piece.period)


def exact_sum(values: npt.NDArray[Any]) -> int:
    """The sum of 64-bit integers; in two halves where 64 bits might not hold it, which takes three times as long."""
    if not len(values) or max(-int(values.min()), int(values.max())) * len(values) < 1 << 63:
        return int(values.sum())
    return (int((values >> 32).sum()) << 32) + int((values & 0xFFFFFFFF).sum())
