"""Traces from and to tables in memory through the Arrow C interface: pyarrow, pandas, polars, DuckDB and others.

Who offers ``__arrow_c_stream__`` is read batch by batch and needs no other introduction. pyarrow, which takes the other
end, is imported when it is needed: it is an extra.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from accrual.traces.files import MOST_PEERS
from accrual.traces.gather import median_interval
from accrual.traces.selection import INSTANTS, UNITS, Column, Selection, unit_of
from accrual.traces.stored import columns_of, metadata_of
from accrual.traces.trace import Int64Array, Trace, as_int64

if TYPE_CHECKING:
    import pyarrow

KEY: Final = b"accrual"  # of our JSON among a schema's metadata


def import_pyarrow(purpose: str) -> Any:
    """pyarrow, or an ImportError that says how to get it."""
    try:
        import pyarrow
    except ImportError as error:
        raise ImportError(f"{purpose} needs pyarrow: pip install accrual[traces]") from error
    return pyarrow


def to_table(trace: Trace) -> pyarrow.Table:
    """The columns of a trace as a table, without a copy; what is known of it among the schema's metadata."""
    pa = import_pyarrow("Arrow")
    columns = columns_of(trace)
    schema = pa.schema(
        [pa.field(name, pa.int64(), nullable=False) for name in columns], metadata={KEY: metadata_of(trace).encode()}
    )
    return pa.Table.from_arrays([pa.array(values) for values in columns.values()], schema=schema)


def from_stream(data: Any, selection: Selection, period: float | None, about: dict[str, Any]) -> Trace:
    """The trace in anything that offers an Arrow stream; see `Trace.from_arrow`."""
    pa = import_pyarrow("Arrow")
    if hasattr(data, "__arrow_c_stream__"):
        reader = pa.RecordBatchReader.from_stream(data)
    elif hasattr(data, "__arrow_c_array__"):
        batch = pa.record_batch(data)
        reader = pa.RecordBatchReader.from_batches(batch.schema, [batch])
    else:
        raise TypeError(f"expected a table with __arrow_c_stream__ (pyarrow, pandas, polars, ...), got {type(data)!r}")
    known = _known(reader.schema) if selection.columns is None else {}
    gathered = Batches(reader.schema, selection)
    if gathered.peer is not None:
        raise ValueError("a Trace has one peer: filter the table, or write it to a file for import_trace")
    for batch in reader:
        gathered.take(batch)
    period = known.get("period") if period is None else period
    return Trace(**gathered.columns(), period=period, **{**known.get("about", {}), **about})


def _known(schema: pyarrow.Schema) -> dict[str, Any]:
    """What `to_table` noted down, if it was that."""
    try:
        known = json.loads((schema.metadata or {}).get(KEY, b"{}"))
    except (ValueError, RecursionError):
        return {}
    return known if isinstance(known, dict) and isinstance(known.get("about", {}), dict) else {}


class Batches:
    """Columns of int64 out of record batches.

    Parameters
    ----------
    schema : pyarrow.Schema
        Of the batches.
    selection : Selection
        Which columns, and their units.
    lenient : bool
        Leave out rows with an empty value, where strict raises.

    Attributes
    ----------
    names : list of str
        Of the columns that are wanted.
    peer : Column or None
        The one that says who sent a heartbeat.
    skipped : int
        Rows left out.
    """

    def __init__(self, schema: pyarrow.Schema, selection: Selection, lenient: bool = False) -> None:
        """Find the columns."""
        found = None if selection.by_number else selection.find(schema.names)
        if found is None:
            raise ValueError(f"expected {selection.wanted()}; found {', '.join(schema.names)[:200]}")
        self._found = [column for column in found if column.role != "peer"]
        self.peer = next((column for column in found if column.role == "peer"), None)
        self.names = [column.name for column in found]
        self.skipped = 0
        self._pieces: dict[str, list[Int64Array]] = {c.role: [np.empty(0, np.int64)] for c in self._found}
        self._peers: list[Any] = []
        self._lenient = lenient
        self._units = {column.role: column.unit for column in self._found}
        self._rows = 0

    def take(self, batch: pyarrow.RecordBatch) -> None:
        """Append a batch, or raise ValueError for the first value that is none."""
        arrays = {column: batch.column(column.name) for column in [*self._found, *([self.peer] if self.peer else [])]}
        filled = np.ones(len(batch), bool)
        for column, array in arrays.items():
            if array.null_count:
                present = array.is_valid().to_numpy(zero_copy_only=False)
                if not self._lenient:
                    raise ValueError(f"{column.name}[{self._rows + int(np.argmin(present))}] is empty")
                filled &= present
        if not filled.all():
            self.skipped += len(batch) - int(filled.sum())
            arrays = {column: array.take(np.flatnonzero(filled)) for column, array in arrays.items()}
        for column, array in arrays.items():
            if column is self.peer:
                self._peers.append(array.cast("string"))
            else:
                self._pieces[column.role].append(self._numbers(column, array))
        self._rows += len(batch)

    def _numbers(self, column: Column, array: Any) -> Int64Array:
        pa = import_pyarrow("Arrow")
        kind = array.type
        if pa.types.is_dictionary(kind):
            return self._numbers(column, array.dictionary_decode())
        if pa.types.is_timestamp(kind) or pa.types.is_duration(kind):
            if column.role not in INSTANTS:
                raise ValueError(f"column {column.name} is {kind}; expected integers")
            try:
                array = array.cast(pa.timestamp("ns", kind.tz) if pa.types.is_timestamp(kind) else pa.duration("ns"))
            except pa.ArrowInvalid as error:
                raise ValueError(f"column {column.name}: {error}") from None
            return np.asarray(array.cast(pa.int64()).to_numpy(), np.int64)
        if not (pa.types.is_integer(kind) or pa.types.is_floating(kind)):
            raise ValueError(f"column {column.name} is {kind}; expected integers, floats or timestamps")
        values = array.to_numpy()
        if column.role not in INSTANTS:
            return as_int64(values, column.name)
        unit = self._units[column.role] or (unit_of(str(values[0])) if len(values) else "ns")
        if unit is None:
            raise ValueError(
                f"the unit of column {column.name} is not known ({values[0]} in the first row): unit= must say s, ms, "
                "us or ns"
            )
        self._units[column.role] = unit
        return _in_ns(values, UNITS[unit], column)

    def columns(self) -> dict[str, Int64Array]:
        """A column for each parameter of `Trace` that there is one for."""
        return {role: np.concatenate(pieces) for role, pieces in self._pieces.items()}

    def traces(self, **about: Any) -> list[Trace]:
        """A trace for each peer, in the order in which they first spoke."""
        pa = import_pyarrow("Arrow")
        whose: Iterable[tuple[Any, Any]] = [(None, slice(None))]
        if self.peer is not None:
            encoded = pa.chunked_array(self._peers, pa.string()).combine_chunks().dictionary_encode()
            numbers = encoded.indices.to_numpy()
            if len(encoded.dictionary) > MOST_PEERS:
                raise ValueError(f"more than {MOST_PEERS:,} peers")
            order = np.argsort(numbers, kind="stable")
            pieces = np.split(order, np.flatnonzero(np.diff(numbers[order])) + 1)
            whose = zip(encoded.dictionary.to_pylist(), pieces, strict=False)  # no rows are one piece, of nobody
        traces = []
        columns = self.columns()
        for session, (peer, rows) in enumerate(whose, start=1):
            own: dict[str, Any] = {role: values[rows] for role, values in columns.items()}
            period = median_interval(own["arrivals"], own.get("sequence"))
            known = about | {"session": session} | ({} if peer is None else {"peer": peer})
            known |= {"period_from": "the median interval"} if period else {}
            traces.append(Trace(**own, period=period, **known))
        if self._lenient and traces:
            traces[0].about["skipped"] = self.skipped
        return traces


def _in_ns(values: Any, factor: int, column: Column) -> Int64Array:
    """Numbers in a unit as ns: integers exactly, floats rounded to the nearest ns of what they hold."""
    if values.dtype.kind != "f":
        whole = as_int64(values, column.name)
        rest = np.zeros(len(whole), np.int64)
    else:
        values = values.astype(np.float64)
        floor = np.floor(values)
        good = np.abs(values) < 2.0**62  # not of what is no number
        if not good.all():
            index = int(np.argmin(good))
            raise ValueError(f"{column.name}[{index}] = {values[index]} is no instant")
        whole = floor.astype(np.int64)
        rest = np.rint((values - floor) * factor).astype(np.int64)
    good = (whole > -(2**62) // factor) & (whole < 2**62 // factor)
    if not good.all():
        index = int(np.argmin(good))
        raise ValueError(f"{column.name}[{index}] = {values[index]} is more than 146 years from the clock's zero")
    return whole * factor + rest
