"""Traces larger than memory: a handle on a Parquet file that gives its heartbeats piece by piece."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable, Iterator
from typing import Any, Final

from accrual.traces import parquet
from accrual.traces.files import sha256_of
from accrual.traces.stored import COLUMNS, Ledger
from accrual.traces.trace import Trace, TraceError

_ERASE: Final = "\r\x1b[K"  # the line of a terminal
_BAR: Final = 30  # characters
_REFRESH: Final = 0.1  # s


class ScannedTrace:
    """A trace on disk, read in pieces; made by :func:`scan_trace`, and taken wherever a trace is.

    `accrual.levels`, `accrual.qos`, `accrual.curve` and `accrual.describe` go through it in bounded memory, with the
    bits that the trace in memory gives. What holds as much as the trace itself (`accrual.replay`) reads it whole.

    Attributes
    ----------
    path : str
        The file.
    columns : tuple of str
        Which of ``arrivals``, ``sequence``, ``sent``, ``sent_remote``, ``epoch`` it has.
    period, about
        As of `accrual.Trace`.
    in_order : bool or None
        Whether the file says that arrivals never fall, sequence numbers rise and the epoch stays; None where it,
        another program's, says nothing. :meth:`verify` finds out whether that is true.
    """

    def __init__(
        self,
        path: str | os.PathLike[str],
        rows: int | None = None,
        progress: bool | Callable[[int, int], object] = False,
    ) -> None:
        if rows is not None and (isinstance(rows, bool) or not isinstance(rows, int) or rows < 1):
            raise ValueError(f"rows must be a whole number, 1 or more, got {rows!r}")
        self.path: Final = os.fspath(path)
        self._rows = rows
        self._progress = _Bar(self.path) if progress is True else progress or None
        if not parquet.is_parquet(path):
            raise TraceError("no Parquet, which is what can be read in pieces; accrual import writes it", path)
        with parquet.Reader(path) as reader:
            self._length = reader.rows
            self._noted = reader.noted
            self._about: Final = reader.trace_of({name: [] for name in reader.columns})  # checks the metadata
            self.columns: Final = tuple(COLUMNS[name] for name in reader.columns)

    @property
    def period(self) -> float | None:
        """Nominal sending interval [s]."""
        return self._about.period

    @property
    def about(self) -> dict[str, Any]:
        """What is known of the recording."""
        return self._about.about

    @property
    def in_order(self) -> bool | None:
        """Whether the file says that everything in it is in order."""
        return None if self._noted is None else all(column["in_order"] for column in self._noted.values())

    def __len__(self) -> int:
        """Count the heartbeats."""
        return self._length

    def pieces(self, least: int = 0) -> Iterator[Trace]:
        """Read the trace in pieces that make it up, of 2**20 heartbeats or `least`, the last one of less.

        One of a trace without heartbeats has none; no other is empty.

        Raises
        ------
        TraceError
            The file is damaged, or is no longer the one that was opened.
        """
        rows = self._rows or max(parquet.ROW_GROUP, least)
        done = 0
        with parquet.Reader(self.path) as reader:
            if reader.rows != self._length:
                raise TraceError(f"has {reader.rows:,} heartbeats, had {self._length:,} when it was opened", self.path)
            try:
                for columns in reader.batches(rows):
                    piece = reader.trace_of(columns)
                    done += len(piece)
                    yield piece
                    if self._progress:
                        self._progress(done, self._length)
            finally:
                if isinstance(self._progress, _Bar):
                    self._progress.clear()
        if done != self._length:
            raise TraceError(f"has {done:,} heartbeats, and says that it has {self._length:,}", self.path)
        if not self._length:
            yield self._about

    def read(self) -> Trace:
        """Read the whole trace into memory, 8 bytes a heartbeat and column."""
        return parquet.read(self.path)

    def sha256(self) -> str:
        """Hash the file, as sha256sum does."""
        return sha256_of(self.path)

    def verify(self) -> bool:
        """Read every heartbeat, and check what the file says about its columns: their sha256, and whether in order.

        Returns
        -------
        bool
            False where the file, another program's or of an older version, says nothing.

        Raises
        ------
        TraceError
            It says something else than is true.
        """
        ledger = Ledger()
        for piece in self.pieces():
            ledger.add(piece)
        return self.agrees_with(ledger)

    def agrees_with(self, ledger: Ledger) -> bool:
        """Whether the file says of its columns what was found in them, see `verify`."""
        if self._noted is None:
            return False
        found = ledger.noted()
        wrong = [name for name in found if found[name] != self._noted.get(name)]
        if wrong:
            raise TraceError(f"column {wrong[0]} is not the one that was written", self.path)
        return True

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickle the name of the file; without the progress, which belongs to a terminal."""
        return ScannedTrace, (self.path, self._rows)

    def __repr__(self) -> str:
        """Say what can be told without reading."""
        parts = [f"{self.path!r}, {len(self):,} heartbeat{'' if len(self) == 1 else 's'}"]
        if self.period is not None:
            parts.append(f"period {self.period:g} s")
        if len(self.columns) > 1:
            parts.append("with " + " and ".join(self.columns[1:]))
        return f"ScannedTrace({', '.join(parts)})"


class _Bar:
    """A line that fills, on standard error where that is a terminal."""

    def __init__(self, name: str) -> None:
        self._name = "".join(c if c.isprintable() else "?" for c in os.path.basename(name))
        self._shown = 0.0

    def __call__(self, done: int, total: int) -> None:
        now = time.monotonic()
        if not sys.stderr.isatty() or now - self._shown < _REFRESH:
            return
        self._shown = now
        full = _BAR * done // total
        text = f"{self._name} [{'#' * full}{'.' * (_BAR - full)}] {done:,} of {total:,}"
        print(f"{_ERASE}{text}", end="", file=sys.stderr, flush=True)

    def clear(self) -> None:
        """Leave the line empty."""
        if self._shown:
            print(_ERASE, end="", file=sys.stderr, flush=True)
            self._shown = 0.0


def scan_trace(
    path: str | os.PathLike[str],
    rows: int | None = None,
    progress: bool | Callable[[int, int], object] = False,
) -> ScannedTrace:
    """Open a trace on disk without reading its heartbeats, to go through it in bounded memory.

    Parameters
    ----------
    path : path
        A Parquet file with the columns that `accrual.read_trace` takes: one of ``Trace.write``, or another program's.
    rows : int, optional
        Heartbeats to hold at a time; by default 2**20, or four windows of the detector if that is more.
    progress : bool or function(done, total)
        True draws a bar on standard error, if that is a terminal; a function is told after each piece how many
        heartbeats of how many were gone through.

    Returns
    -------
    ScannedTrace
        Accepted wherever a trace is.

    Raises
    ------
    TraceError
        Not Parquet, cut off, with other columns; what is damaged inside is found when it is read.
    OSError
        The file cannot be read.
    ImportError
        pyarrow is missing.

    Examples
    --------
    >>> import tempfile
    >>> import accrual as ac
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     ac.Trace([0, 10, 20, 31, 40], period=1e-8).write(f"{folder}/beats.parquet")
    ...     scan = ac.scan_trace(f"{folder}/beats.parquet")
    ...     ac.qos(scan, ac.FixedTimeout(period=1e-8), threshold=1.05).mistakes
    1
    """
    return ScannedTrace(path, rows, progress)
