"""A trace as Parquet: the archive format, about 3 bytes for a heartbeat with jitter, written whole or not at all.

Instants that hardly vary in their distances are what DELTA_BINARY_PACKED was made for; zstd then takes what the packing
of whole miniblocks leaves. Readable by anything that reads Parquet. pyarrow is imported when it is needed: it is an
extra, and takes longer to import than this whole package.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from types import ModuleType
from typing import Any, Final

from accrual.traces.arrow import KEY, Batches, import_pyarrow, to_table
from accrual.traces.files import Source, replacing
from accrual.traces.selection import Selection
from accrual.traces.stored import check_columns, trace_from
from accrual.traces.trace import Trace, TraceError

MAGIC: Final = b"PAR1"
ROW_GROUP: Final = 2**20
"""Heartbeats in a row group, the piece in which a reader can stream: 8 MiB a column in memory."""


def _pyarrow() -> tuple[ModuleType, ModuleType]:
    pa = import_pyarrow("Parquet")
    import pyarrow.parquet as pq

    return pa, pq


def write(trace: Trace, path: str | os.PathLike[str]) -> None:
    """Write a trace as Parquet; see `Trace.write`."""
    _, pq = _pyarrow()
    table = to_table(trace)
    with replacing(path) as stream:
        pq.write_table(
            table,
            stream,
            row_group_size=ROW_GROUP,
            compression="zstd",
            use_dictionary=False,  # it would take precedence over the encoding
            column_encoding=dict.fromkeys(table.column_names, "DELTA_BINARY_PACKED"),
            write_page_checksum=True,  # neither the encoding nor zstd would notice a flipped bit
        )


def read(path: str | os.PathLike[str]) -> Trace:
    """Read a trace from Parquet.

    Parameters
    ----------
    path : path
        A file with an int64 column ``arrival_ns`` and any of ``sequence``, ``sent_ns``, ``sent_remote_ns``, ``epoch``.

    Returns
    -------
    Trace
        With what was written about it; a file of another program has nothing but its columns.

    Raises
    ------
    TraceError
        Not Parquet, cut off, damaged, or with other columns.
    OSError
        The file cannot be read.
    ImportError
        pyarrow is missing.
    """
    pa, _ = _pyarrow()
    with _opened(path) as file:
        check_columns(file.schema_arrow.names, path)
        table = file.read(use_threads=False)  # five columns are read before threads have started
    for field, column in zip(table.schema, table.columns, strict=True):
        if field.type != pa.int64() or column.null_count:
            holes = f" with {column.null_count} empty values" if column.null_count else ""
            raise TraceError(f"column {field.name} is {field.type}{holes}; expected int64", path)
    columns = {name: column.to_numpy() for name, column in zip(table.column_names, table.columns, strict=True)}
    return trace_from(columns, (table.schema.metadata or {}).get(KEY, b""), path)


@contextlib.contextmanager
def _opened(path: str | os.PathLike[str]) -> Iterator[Any]:
    """A Parquet file to read from; damage is a TraceError."""
    pa, pq = _pyarrow()
    with open(path, "rb") as stream:
        try:
            yield pq.ParquetFile(stream, page_checksum_verification=True)
        except TraceError:
            raise
        except (pa.ArrowException, OSError, UnicodeDecodeError) as error:  # the last of a damaged column name
            if isinstance(error, OSError) and error.errno:
                raise  # of the operating system; damage comes as OSError without a number
            raise TraceError(f"not a whole Parquet file: {error}", path) from error


def read_table(path: str | os.PathLike[str], lenient: bool, selection: Selection) -> list[Trace]:
    """Import a table of another program, one trace for each peer.

    Parameters
    ----------
    path : path
        A Parquet file with columns of integers, floats or timestamps; others are not read.
    lenient : bool
        Skip rows with an empty value, where strict raises.
    selection : Selection
        Which columns, and their units.

    Returns
    -------
    list of Trace
        ``about`` has `source`, `format`, `sha256`, `session` (from 1), `peer` (if there is such a column), and in the
        first `skipped` where lenient.

    Raises
    ------
    TraceError
        Not Parquet, cut off, damaged, no such columns, a value that is no number: with the file.
    OSError
        The file cannot be read.
    ImportError
        pyarrow is missing.
    """
    with Source(path, lenient) as source:
        about = {"source": os.path.basename(path), "format": "parquet", "sha256": source.sha256()}
    pa, _ = _pyarrow()
    with _opened(path) as file:
        try:
            gathered = Batches(file.schema_arrow, selection, lenient)
            for batch in file.iter_batches(columns=gathered.names, use_threads=False):
                gathered.take(batch)
            traces = gathered.traces(**about)
        except ValueError as error:
            if isinstance(error, pa.ArrowException):
                raise  # of damage
            raise TraceError(str(error), path) from None
    if not any(map(len, traces)):
        raise TraceError("no heartbeat", path)
    return traces
