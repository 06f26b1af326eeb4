"""A trace as CSV, plain or gzip: a first line ``# accrual {json}``, a header, integers.

The format to look at and to exchange with what reads no Parquet; six times its size. Named so that it does not hide the
standard library's ``csv``, of which a table of integers needs nothing.
"""

from __future__ import annotations

import contextlib
import gzip
import os
import re
from collections.abc import Iterator
from itertools import islice
from typing import BinaryIO, Final

import numpy as np

from accrual.traces.files import MAX_LINE, Lines, excerpt, replacing
from accrual.traces.stored import COLUMNS, check_columns, columns_of, metadata_of, trace_from
from accrual.traces.trace import Int64Array, Trace, TraceError

_COMMENT: Final = b"# accrual "
_BLOCK: Final = 4096  # rows that are text at a time


def recognise(head: bytes) -> bool:
    """Tell a CSV trace by the first bytes of its text: our comment, or a header with one of our columns."""
    header = rb"(?:#[^\n]*\n)*[\w,]*\b(?:" + "|".join(COLUMNS).encode() + rb")\b"
    return head.startswith(_COMMENT) or re.match(header, head) is not None


def is_own(head: bytes) -> bool:
    """Tell a CSV trace from another table whose columns have names like ours."""
    return head.startswith(_COMMENT) or re.match(rb"(?:#[^\n]*\n)*[\w,]*\barrival_ns\b", head) is not None


def write(trace: Trace, path: str | os.PathLike[str]) -> None:
    """Write a trace as CSV, gzip where the name says so; see `Trace.write`."""
    columns = columns_of(trace)
    comment = _COMMENT + metadata_of(trace).encode() + b"\n"
    if len(comment) > MAX_LINE:
        raise ValueError(f"about takes {len(comment)} bytes, CSV has {MAX_LINE}: write Parquet")
    row = ",".join(["%d"] * len(columns)) + "\n"
    with replacing(path) as stream, _compressed(stream, path) as text:
        text.write(comment + ",".join(columns).encode() + b"\n")
        for start in range(0, len(trace), _BLOCK):
            block = zip(*(values[start : start + _BLOCK].tolist() for values in columns.values()), strict=True)
            text.write("".join(map(row.__mod__, block)).encode())


@contextlib.contextmanager
def _compressed(stream: BinaryIO, path: str | os.PathLike[str]) -> Iterator[BinaryIO]:
    if os.fspath(path).endswith(".gz"):
        # No name and no time inside, so that equal traces are equal files.
        with gzip.GzipFile(filename="", fileobj=stream, mode="wb", compresslevel=6, mtime=0) as packed:
            yield packed  # type: ignore[misc]
    else:
        yield stream


def read(path: str | os.PathLike[str], lenient: bool = False) -> Trace:
    """Read a trace from CSV, plain or gzip.

    Parameters
    ----------
    path : path
        A file with a header that names ``arrival_ns`` and any of ``sequence``, ``sent_ns``, ``sent_remote_ns``,
        ``epoch``, in any order, and a row of integers for each heartbeat. Every row ends its line: a last one that does
        not may have lost digits.
    lenient : bool, default False
        Skip rows that are not so. ``about`` then has their number as ``skipped``, and ``truncated`` where gzip data end
        early.

    Returns
    -------
    Trace
        With what the first line says about it, if it does.

    Raises
    ------
    TraceError
        A row that is not integers, with file and line; a wrong header; damaged gzip data.
    OSError
        The file cannot be read.
    """
    with Lines(path, lenient) as lines:
        rows = iter(lines)
        metadata = b""
        header = next(rows, None)
        while header is not None and header.startswith(b"#"):
            metadata = header.removeprefix(_COMMENT) if header.startswith(_COMMENT) else metadata
            header = next(rows, None)
        if header is None:
            raise TraceError("no header: the file is empty", path)
        names = header.decode("ascii", "replace").strip().split(",")
        check_columns(names, path, lines.number)

        rows_of_integers = re.compile(b"(?:" + b",".join([rb"[+-]?\d{1,19}"] * len(names)) + rb"\r?\n)*+").fullmatch

        def integers(text: bytes) -> Int64Array | None:
            if rows_of_integers(text) is None:
                return None
            try:
                return np.array([int(digits) for digits in text.replace(b"\n", b",").split(b",")[:-1]], dtype=np.int64)
            except OverflowError:
                return None

        pieces = [np.empty(0, dtype=np.int64)]
        while block := list(islice(rows, _BLOCK)):
            values = integers(b"".join(block))
            if values is not None:
                pieces.append(values)
                continue
            # Some row is not as it should be: which one is known row by row, at half the speed.
            for number, row in enumerate(block, start=lines.number - len(block) + 1):
                values = integers(row)
                if values is not None:
                    pieces.append(values)
                elif row.endswith(b"\n"):
                    lines.reject(f"expected {len(names)} integers of 64 bits, got {excerpt(row)}", number)
                else:
                    lines.reject(f"the last line is cut: {excerpt(row)}", number)
    table = np.concatenate(pieces).reshape(-1, len(names))
    trace = trace_from({name: table[:, i] for i, name in enumerate(names)}, metadata, path)
    trace.about.update(lines.about())
    return trace
