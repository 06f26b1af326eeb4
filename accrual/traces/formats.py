"""Which format a file has, judged by what is in it, and who reads it."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Final

from accrual.traces.files import UTF16_MARKS, Source
from accrual.traces.selection import Selection
from accrual.traces.trace import Trace, TraceError

FORMATS: Final = ("parquet", "csv", "jsonl", "ping", "atlas", "pcap", "journal")


def _head(path: str | os.PathLike[str]) -> bytes:
    with Source(path, lenient=False) as source:
        return source.head()


def _sniff(path: str | os.PathLike[str], tabular: bool = False) -> str:
    """The format of a file; text that is none other's is a table, where the caller knows what its columns are."""
    # Here, as below: together the readers take a quarter of accrual's import time, and a service needs none of them.
    from accrual.traces import atlas, csv_file, journal, json_file, parquet, pcap, ping, tables

    head = _head(path)
    if not head:
        raise TraceError("the file is empty", path)
    if head.startswith(parquet.MAGIC):
        return "parquet"
    if head.startswith(journal.MAGIC):
        return "journal"
    if pcap.recognise(head):
        return "pcap"
    if head.startswith(UTF16_MARKS):
        raise TraceError("UTF-16 text, expected UTF-8: iconv -f UTF-16 -t UTF-8", path)
    first = json_file.first_object(head)
    if first is not None:
        return "atlas" if atlas.recognise(first) and not tabular else "jsonl"
    if csv_file.recognise(head):
        return "csv"
    if ping.recognise(head):
        return "ping"
    if tabular or tables.recognise(head.partition(b"\n")[0]):
        return "csv"
    raise TraceError(
        "no trace: expected Parquet, CSV with a column arrival_ns, JSON lines, results of RIPE Atlas, a capture (pcap, "
        "pcapng), or a log of ping",
        path,
    )


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
    from accrual.traces import csv_file, journal, parquet

    found = _sniff(path)
    if found == "parquet":
        return parquet.read(path)
    if found == "csv":
        return csv_file.read(path)
    if found == "journal":
        return journal.read(path)
    raise TraceError(f"a file of {found} may hold several traces: use import_trace, or `accrual import`", path)


def import_trace(
    path: str | os.PathLike[str],
    format: str | None = None,  # noqa: A002  # the public face's name for it
    lenient: bool = False,
    *,
    columns: Mapping[str, str | int] | None = None,
    unit: str | Mapping[str, str] | None = None,
    filter: str | None = None,  # noqa: A002  # what tcpdump and Wireshark call it
) -> list[Trace]:
    r"""Import heartbeats that another program recorded.

    Parameters
    ----------
    path : path
        The file, plain or packed by gzip or xz (by zstd from Python 3.14 on).
    format : {"parquet", "csv", "jsonl", "ping", "atlas", "pcap", "journal"}, optional
        Without it the content of the file decides.
    lenient : bool, default False
        Skip what does not belong and count it in ``about``, where strict raises.
    columns : mapping of str to str or int, optional
        Of a table (Parquet, CSV, JSON lines): ``arrivals`` and any of ``sequence``, ``sent``, ``sent_remote``,
        ``epoch`` and ``peer`` (who sent it: a trace for each) -> the column's name, or its number from 1 in a CSV file
        without a header. By default these names themselves, instants with their unit behind them: ``arrival_ms``, ...
    unit : {"s", "ms", "us", "ns"} or mapping of str to str, optional
        Of all instants of a table, or of each by the names above. By default what the column's name ends in, or the one
        in which the first value is a Unix time of 2001 to 2033. Dates as in ISO 8601 need none.
    filter : str, optional
        Which packets of a capture are heartbeats, such as ``udp and src host 192.0.2.1 and dst port 7007``. By default
        those of `accrual send`.

    Returns
    -------
    list of Trace
        One for each session and peer, in file order.

    Raises
    ------
    TraceError
        The file is not what it should be: with the file, the line if it has lines, and what was expected.
    ValueError
        An unknown format, column, unit or filter, or one that is of no use for this format.
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
    >>> with tempfile.NamedTemporaryFile("w") as table:
    ...     _ = table.write("node;time\na;17,5\nb;17,9\na;18,5\n")
    ...     table.flush()
    ...     a, b = import_trace(table.name, columns={"arrivals": "time", "peer": "node"}, unit="s")
    >>> a.arrivals, a.about["peer"]
    (array([17500000000, 18500000000]), 'a')
    """
    from accrual.traces import atlas, csv_file, journal, parquet, pcap, ping, tables

    if format is not None and format not in FORMATS:
        raise ValueError(f"format must be one of {', '.join(FORMATS)}, is {format!r}")
    asked = columns is not None or unit is not None
    selection = Selection(columns, unit)
    chosen = None if filter is None else pcap.Filter(filter)
    found = format or _sniff(path, asked)
    if asked and found not in ("parquet", "csv", "jsonl"):
        raise ValueError(f"columns and unit are for tables, {os.fspath(path)} is of format {found}")
    if chosen is not None and found != "pcap":
        raise ValueError(f"filter is for captures, {os.fspath(path)} is of format {found}")
    match found:
        case "pcap":
            return pcap.read(path, lenient, chosen)
        case "ping":
            return ping.read(path, lenient)
        case "atlas":
            return atlas.read(path, lenient)
        case "jsonl":
            return tables.read_jsonl(path, lenient, selection)
        case "csv" if asked or not csv_file.is_own(_head(path)):
            return tables.read_csv(path, lenient, selection)
        case "csv":
            return [csv_file.read(path, lenient)]
        case "journal":
            return [journal.read(path, lenient)]
    return [parquet.read(path)] if not asked else parquet.read_table(path, lenient, selection)
