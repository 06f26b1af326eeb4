"""A trace as Parquet: the archive format, about 3 bytes for a heartbeat with jitter, written whole or not at all.

Instants that hardly vary in their distances are what DELTA_BINARY_PACKED was made for; zstd then takes what the packing
of whole miniblocks leaves. Readable by anything that reads Parquet. pyarrow is imported when it is needed: it is an
extra, and takes longer to import than this whole package.
"""

from __future__ import annotations

import os
from types import ModuleType
from typing import Final

from accrual.traces.files import replacing
from accrual.traces.stored import check_columns, columns_of, metadata_of, trace_from
from accrual.traces.trace import Trace, TraceError

MAGIC: Final = b"PAR1"
ROW_GROUP: Final = 2**20
"""Heartbeats in a row group, the piece in which a reader can stream: 8 MiB a column in memory."""

_KEY: Final = b"accrual"  # of our JSON among the file's metadata


def _pyarrow() -> tuple[ModuleType, ModuleType]:
    try:
        import pyarrow
        import pyarrow.parquet
    except ImportError as error:
        raise ImportError("Parquet needs pyarrow: pip install accrual[traces]") from error
    return pyarrow, pyarrow.parquet


def write(trace: Trace, path: str | os.PathLike[str]) -> None:
    """Write a trace as Parquet; see `Trace.write`."""
    pa, pq = _pyarrow()
    columns = columns_of(trace)
    schema = pa.schema(
        [pa.field(name, pa.int64(), nullable=False) for name in columns], metadata={_KEY: metadata_of(trace).encode()}
    )
    table = pa.Table.from_arrays([pa.array(values) for values in columns.values()], schema=schema)
    with replacing(path) as stream:
        pq.write_table(
            table,
            stream,
            row_group_size=ROW_GROUP,
            compression="zstd",
            use_dictionary=False,  # it would take precedence over the encoding
            column_encoding=dict.fromkeys(columns, "DELTA_BINARY_PACKED"),
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
    pa, pq = _pyarrow()
    with open(path, "rb") as stream:
        try:
            file = pq.ParquetFile(stream, page_checksum_verification=True)
            check_columns(file.schema_arrow.names, path)
            table = file.read(use_threads=False)  # five columns are read before threads have started
        except (pa.ArrowException, OSError, UnicodeDecodeError) as error:  # the last of a damaged column name
            if isinstance(error, OSError) and error.errno:
                raise  # of the operating system; damage comes as OSError without a number
            raise TraceError(f"not a whole Parquet file: {error}", path) from error
    for field, column in zip(table.schema, table.columns, strict=True):
        if field.type != pa.int64() or column.null_count:
            holes = f" with {column.null_count} empty values" if column.null_count else ""
            raise TraceError(f"column {field.name} is {field.type}{holes}; expected int64", path)
    columns = {name: column.to_numpy() for name, column in zip(table.column_names, table.columns, strict=True)}
    return trace_from(columns, (table.schema.metadata or {}).get(_KEY, b""), path)
