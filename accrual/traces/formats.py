"""Which format a file has, judged by what is in it, and who reads it."""

from __future__ import annotations

import gzip
import os
import zlib
from collections.abc import Callable
from typing import Final, TypeAlias

from accrual.traces import csv_file, journal, parquet, ping
from accrual.traces.files import MAX_LINE, is_gzip
from accrual.traces.trace import Trace, TraceError

_Importer: TypeAlias = Callable[[str | os.PathLike[str], bool], list[Trace]]

_IMPORTERS: Final[dict[str, _Importer]] = {
    "parquet": lambda path, lenient: [parquet.read(path)],  # with checksums there is nothing to be lenient about
    "csv": lambda path, lenient: [csv_file.read(path, lenient)],
    "ping": ping.read,
    "journal": lambda path, lenient: [journal.read(path, lenient)],
}


def _sniff(path: str | os.PathLike[str]) -> str:
    with open(path, "rb") as file:
        head = file.read(MAX_LINE)
        if is_gzip(head):
            file.seek(0)
            try:
                head = gzip.GzipFile(fileobj=file).read1(MAX_LINE)
            except (EOFError, zlib.error, gzip.BadGzipFile) as error:
                raise TraceError(f"damaged gzip data: {error}", path) from None
    if not head:
        raise TraceError("the file is empty", path)
    if head.startswith(parquet.MAGIC):
        return "parquet"
    if head.startswith(journal.MAGIC):
        return "journal"
    if csv_file.recognise(head):
        return "csv"
    if ping.recognise(head):
        return "ping"
    raise TraceError("no trace: expected Parquet, CSV with a column arrival_ns, or a log of ping", path)


def read_trace(path: str | os.PathLike[str]) -> Trace:
    r"""Read a trace that `Trace.write` wrote, Parquet or CSV, or what there is of a recording that was never finished.

    Parameters
    ----------
    path : path
        The file; its content decides, not its name. Files of other programs are read too, if their columns are int64
        and named ``arrival_ns`` and any of ``sequence``, ``sent_ns``, ``sent_remote_ns``, ``epoch``.

    Returns
    -------
    Trace
        Equal to the one that was written.

    Raises
    ------
    TraceError
        Another format, other columns, damage: with the file, the line if it has lines, and what was expected.
    OSError
        The file cannot be read.
    ImportError
        Parquet without pyarrow.

    Examples
    --------
    >>> import tempfile
    >>> with tempfile.NamedTemporaryFile("w") as file:
    ...     _ = file.write("arrival_ns,sequence\n1000000000,0\n2000000000,1\n")
    ...     file.flush()
    ...     read_trace(file.name)
    Trace(2 heartbeats over 1.0 s, with sequence)
    """
    found = _sniff(path)
    if found == "ping":
        raise TraceError("a log of ping may hold several traces: use import_trace, or `accrual import`", path)
    return _IMPORTERS[found](path, False)[0]


def import_trace(
    path: str | os.PathLike[str],
    format: str | None = None,  # noqa: A002  # the public face's name for it
    lenient: bool = False,
) -> list[Trace]:
    r"""Import heartbeats that another program recorded.

    Parameters
    ----------
    path : path
        The file, gzip or plain.
    format : {"ping", "csv", "parquet", "journal"}, optional
        Without it the content of the file decides.
    lenient : bool, default False
        Skip what does not belong and count it in ``about``, where strict raises.

    Returns
    -------
    list of Trace
        One for each session and peer, in file order.

    Raises
    ------
    TraceError
        The file is not what it should be: with the file, the line if it has lines, and what was expected.
    ValueError
        An unknown format.
    OSError
        The file cannot be read.
    ImportError
        Parquet without pyarrow.

    Examples
    --------
    >>> import tempfile
    >>> with tempfile.NamedTemporaryFile("w") as log:
    ...     _ = log.write("PING a (192.0.2.1): 56 data bytes\n64 bytes from 192.0.2.1: icmp_seq=0 ttl=64 time=0.5 ms")
    ...     log.flush()
    ...     [session] = import_trace(log.name)
    >>> session.sent, session.arrivals, session.about["target"]
    (array([0]), array([500000]), 'a')
    """
    if format is not None and format not in _IMPORTERS:
        raise ValueError(f"format must be one of {', '.join(_IMPORTERS)}, is {format!r}")
    return _IMPORTERS[format or _sniff(path)](path, lenient)
