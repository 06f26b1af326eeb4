"""A trace as Parquet: the archive format, about 3 bytes for a heartbeat with jitter, written whole or not at all.

Instants that hardly vary in their distances are what DELTA_BINARY_PACKED was made for; zstd then takes what the packing
of whole miniblocks leaves. Readable by anything that reads Parquet. pyarrow is imported when it is needed: it is an
extra, and takes longer to import than this whole package.
"""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Iterator, Mapping
from types import ModuleType
from typing import Any, Final

from accrual.traces.arrow import KEY, Batches, import_pyarrow, to_table
from accrual.traces.files import Source, replacing
from accrual.traces.selection import Selection
from accrual.traces.stored import Ledger, check_columns, metadata_of, trace_from
from accrual.traces.trace import Int64Array, Trace, TraceError

MAGIC: Final = b"PAR1"
ROW_GROUP: Final = 2**20
"""Heartbeats in a row group, the piece in which a reader can stream: 8 MiB a column in memory."""

_NOTED: Final = b"accrual.columns"  # of what is only known at the end of a file
_BUFFER: Final = 2**18  # bytes of a column that are read at a time


def _pyarrow() -> tuple[ModuleType, ModuleType]:
    pa = import_pyarrow("Parquet")
    import pyarrow.parquet as pq

    return pa, pq


def is_parquet(path: str | os.PathLike[str]) -> bool:
    """Tell Parquet by its magic bytes."""
    with open(path, "rb") as file:
        return file.read(len(MAGIC)) == MAGIC


@contextlib.contextmanager
def _refusing(path: str | os.PathLike[str]) -> Iterator[None]:
    """Say of damage in which file it is."""
    pa, _ = _pyarrow()
    try:
        yield
    except (pa.ArrowException, OSError, UnicodeDecodeError) as error:  # the last of a damaged column name
        if isinstance(error, OSError) and error.errno:
            raise  # of the operating system; damage comes as OSError without a number
        raise TraceError(f"not a whole Parquet file: {error}", path) from error


class Writer:
    """Write a trace piece by piece, so that it may be larger than memory; the file appears whole or not at all.

    A context manager: the end of the ``with`` puts the file in its place; an error or an interrupt leaves what was
    there before.

    Parameters
    ----------
    path : path
        Where to.

    Raises
    ------
    OSError
        The file cannot be written.
    ImportError
        pyarrow is missing.

    Examples
    --------
    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     with Writer(f"{folder}/beats.parquet") as writer:
    ...         for start in range(0, 3000, 1000):
    ...             writer.write(Trace(range(start, start + 1000), clock="monotonic"))
    ...     read(f"{folder}/beats.parquet")
    Trace(3,000 heartbeats over 0.0 s)
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        """Find pyarrow."""
        _, self._pq = _pyarrow()
        self._replacing = replacing(path)
        self._writer: Any = None
        self._ledger = Ledger()
        self._kind: tuple[list[str], str] | None = None

    def __enter__(self) -> Writer:
        """Open a file beside the one that is to be."""
        self._stream = self._replacing.__enter__()
        return self

    def write(self, piece: Trace) -> None:
        """Append heartbeats, in row groups of `ROW_GROUP` and one of what is left.

        Raises
        ------
        ValueError
            Other columns than the first piece had, or something else known of it: that would be another trace.
        """
        table = to_table(piece)
        kind = table.column_names, metadata_of(piece)
        if self._kind is None:
            self._kind = kind
            self._writer = self._pq.ParquetWriter(
                self._stream,
                table.schema,
                compression="zstd",
                use_dictionary=False,  # it would take precedence over the encoding
                column_encoding=dict.fromkeys(table.column_names, "DELTA_BINARY_PACKED"),
                write_page_checksum=True,  # neither the encoding nor zstd would notice a flipped bit
            )
        elif kind != self._kind:
            raise ValueError(f"a piece with {kind} is none of the trace with {self._kind}")
        self._ledger.add(piece)
        self._writer.write_table(table, row_group_size=ROW_GROUP)

    def __exit__(self, *error: Any) -> bool | None:
        """Put the file in its place, or remove it."""
        try:
            if error[0] is None:
                if self._writer is None:
                    raise ValueError("nothing was written, not even a piece without heartbeats")
                self._writer.add_key_value_metadata({_NOTED: json.dumps(self._ledger.noted())})
            if self._writer is not None:
                self._writer.close()
        except BaseException as failure:
            self._replacing.__exit__(type(failure), failure, failure.__traceback__)
            raise
        return self._replacing.__exit__(*error)


def write(trace: Trace, path: str | os.PathLike[str]) -> None:
    """Write a trace as Parquet; see `Trace.write`."""
    with Writer(path) as writer:
        writer.write(trace)


class Reader:
    """A Parquet file of a trace, open to be read piece by piece.

    Parameters
    ----------
    path : path
        As `read` takes it.

    Attributes
    ----------
    rows : int
        How many heartbeats it says that it has.
    columns : list of str
        Their names in the file.
    noted : dict or None
        What the writer found in the columns, see `Ledger`; of a file of another program None.

    Raises
    ------
    TraceError, OSError, ImportError
        As `read`.
    """

    def __init__(self, path: str | os.PathLike[str], whole: bool = False) -> None:
        """Open the file and read what it says about itself."""
        self._pa, pq = _pyarrow()
        self._path = path
        self._stream = open(path, "rb")  # noqa: SIM115  # closed by __exit__
        try:
            with _refusing(self._path):
                # A buffer: where others wrote one row group for all, a column of it need not be in memory.
                self._file = pq.ParquetFile(
                    self._stream, page_checksum_verification=True, buffer_size=0 if whole else _BUFFER, pre_buffer=whole
                )
                schema, metadata = self._file.schema_arrow, self._file.metadata
                check_columns(schema.names, path)
                self.rows: Final[int] = metadata.num_rows
                self.columns: Final[list[str]] = schema.names
                self._about = (schema.metadata or {}).get(KEY, b"")
                self.noted = self._what_is_noted((metadata.metadata or {}).get(_NOTED))
            for field in schema:
                self._check(field.name, field.type, 0)
        except BaseException:
            self._stream.close()
            raise

    def _what_is_noted(self, text: bytes | None) -> dict[str, dict[str, Any]] | None:
        if text is None:
            return None
        try:
            noted = json.loads(text)
            return {name: {"sha256": noted[name]["sha256"], "in_order": noted[name]["in_order"]} for name in noted}
        except (ValueError, TypeError, KeyError, RecursionError) as error:
            raise TraceError(f"no trace: {_NOTED.decode()} is damaged: {error}", self._path) from None

    def __enter__(self) -> Reader:
        """Enter a with statement that closes the file."""
        return self

    def __exit__(self, *error: object) -> None:
        """Close the file."""
        self._stream.close()

    def _check(self, name: str, kind: Any, holes: int) -> None:
        if kind != self._pa.int64() or holes:
            empty = f" with {holes} empty values" if holes else ""
            raise TraceError(f"column {name} is {kind}{empty}; expected int64", self._path)

    def _arrays(self, table: Any) -> dict[str, Int64Array]:
        for name, column in zip(self.columns, table.columns, strict=True):
            self._check(name, column.type, column.null_count)
        return {name: column.to_numpy() for name, column in zip(self.columns, table.columns, strict=True)}

    def batches(self, rows: int) -> Iterator[dict[str, Int64Array]]:
        """Read columns by name, `rows` heartbeats at a time and at last what is left of them."""
        waiting: list[Any] = []  # for a batch may end with its row group
        size = 0
        with _refusing(self._path):
            for batch in self._file.iter_batches(batch_size=rows, use_threads=False):
                waiting.append(batch)
                size += len(batch)
                if size >= rows:
                    table = self._pa.Table.from_batches(waiting)
                    yield self._arrays(table.slice(0, rows))
                    waiting, size = table.slice(rows).to_batches(), size - rows
            if size:
                yield self._arrays(self._pa.Table.from_batches(waiting))

    def all(self) -> dict[str, Int64Array]:
        """Read whole columns by name."""
        with _refusing(self._path):
            table = self._file.read(use_threads=False)  # five columns are read before threads have started
        return self._arrays(table)

    def trace_of(self, columns: Mapping[str, Any]) -> Trace:
        """Put heartbeats together, with what the file says about them."""
        return trace_from(dict(columns), self._about, self._path)


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
    with Reader(path, whole=True) as reader:
        return reader.trace_of(reader.all())


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
    pa, pq = _pyarrow()
    with open(path, "rb") as stream, _refusing(path):
        try:
            file = pq.ParquetFile(stream, page_checksum_verification=True)
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
