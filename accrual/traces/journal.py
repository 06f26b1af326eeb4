"""A recording while it is made: a file that grows by a block at a time, of which a crash loses only what was not in it.

Parquet and gzip are whole or nothing, so a recorder writes this first, beside the file that it will become. It begins
with a magic line; blocks follow: a header with the block's kind, length and CRC-32, then notes (a JSON object, of which
later ones amend earlier ones) or heartbeats (rows of little-endian int64, named by the first notes). What comes after
the last whole block, such as half a block or the zeros that a file system leaves after a power cut, is cut off.
"""

from __future__ import annotations

import json
import os
import struct
import time
import zlib
from array import array
from collections.abc import Callable, Iterable
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Self

import numpy as np

from accrual.traces.stored import COLUMNS, trace_from
from accrual.traces.trace import Trace, TraceError

if TYPE_CHECKING:
    from concurrent.futures import Future

MAGIC: Final = b"accrual journal 1\n"
ENDING: Final = ".part"
"""What is appended to the name of the file that a journal will become."""

FLUSH: Final = 0.5
"""Time after which what has arrived is in the file [s]: half a second is left for what a busy machine adds."""

_HEADER: Final = struct.Struct("<4sII")  # kind, length of the body, CRC-32 of kind, length and body
_NOTES, _HEARTBEATS = b"note", b"beat"
_LONGEST: Final = 2**24  # of a block [bytes]; a length beyond it is damage, not a reason to ask for memory


class Journal:
    """A recording that is being made.

    Parameters
    ----------
    path : Path
        The file, which must not exist yet: a recording that was left behind is never overwritten.
    columns : iterable of str
        What `append` is given, by the names of `stored.COLUMNS`.
    **about
        What is known already.

    Attributes
    ----------
    path : Path
        The file.
    heartbeats : int
        How many so far.

    Raises
    ------
    FileExistsError
        The file exists.
    OSError
        It cannot be written. `tick` and `note` raise that too, and lose nothing: `trace` still has all.
    """

    def __init__(self, path: Path, columns: Iterable[str], **about: Any) -> None:
        """Create the file."""
        from concurrent.futures import ThreadPoolExecutor  # here: it takes a tenth of accrual's import time

        self.path = path
        self.heartbeats = 0
        self._rows = array("q")
        self._unwritten = bytearray(MAGIC)
        self._noted: dict[str, Any] = {}
        self._written = 0
        self._due = time.monotonic() + FLUSH
        self._file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o666)
        _lock(self._file)
        # The disk may take its time, during which heartbeats would queue up: it is waited for in a thread.
        self._pool = ThreadPoolExecutor(1, "journal")
        self._synced: Future[None] | None = None
        try:
            self.note(columns=list(columns), **about)
            self.flush()
        except BaseException:
            self.__exit__()
            raise

    def __enter__(self) -> Self:
        """Enter a with statement that closes the file, and removes it if there is no heartbeat in it."""
        return self

    def __exit__(self, *exception: object) -> None:
        """Close the file."""
        self._pool.shutdown()
        os.close(self._file)
        if not self.heartbeats:
            self.remove()

    def remove(self) -> None:
        """Remove the file, when the recording is safe elsewhere."""
        self.path.unlink(missing_ok=True)

    def append(self, *row: int) -> None:
        """Take in a heartbeat: a number for each column."""
        self._rows.extend(row)
        self.heartbeats += 1

    def note(self, **about: Any) -> None:
        """Take in what is known of the recording, if it was not."""
        news = {name: value for name, value in about.items() if name not in self._noted or self._noted[name] != value}
        if news:
            self._pack_rows()
            self._noted |= news
            self._pack(_NOTES, json.dumps(news).encode())

    def tick(self, now: float, state: Callable[[], dict[str, Any]]) -> None:
        """Write to the file what has come if it is time, at `now` [s] on CLOCK_MONOTONIC, and note the state."""
        if now >= self._due:
            self.note(**state())
            self.flush()
            self._due = now + FLUSH

    def flush(self) -> None:
        """Write to the file what has come."""
        self._pack_rows()
        try:
            while self._unwritten:
                count = os.pwrite(self._file, self._unwritten, self._written)
                self._written += count
                del self._unwritten[:count]
        except OSError as error:
            raise OSError(error.errno, error.strerror, str(self.path)) from error
        if self._synced is None or self._synced.done():
            if self._synced is not None:
                self._synced.result()
            self._synced = self._pool.submit(_sync, self._file)

    def trace(self) -> Trace:
        """Make a trace of all of it, be it in the file or not."""
        self._pack_rows()
        return _parse(self.path.read_bytes()[: self._written] + self._unwritten, self.path, lenient=False)

    def _pack_rows(self) -> None:
        width = self._rows.itemsize
        step = _LONGEST // width // len(COLUMNS) * len(COLUMNS) if self._rows else 0
        while self._rows:
            self._pack(_HEARTBEATS, np.array(self._rows[:step], dtype="<i8").tobytes())
            self._rows = self._rows[step:]

    def _pack(self, kind: bytes, body: bytes) -> None:
        self._unwritten += _HEADER.pack(kind, len(body), _checksum(kind, body)) + body


def _checksum(kind: bytes, body: bytes) -> int:
    return zlib.crc32(body, zlib.crc32(kind + len(body).to_bytes(4, "little")))


def _sync(file: int) -> None:
    with suppress(AttributeError):  # macOS, where only the process and not the machine may crash then
        os.fdatasync(file)


def _lock(file: int) -> None:
    """Show that the file is in use, or raise `BlockingIOError` if it is."""
    import fcntl  # here, for systems without it can read journals

    fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)


def in_use(path: str | os.PathLike[str]) -> bool:
    """Tell whether a recorder is still writing it."""
    file = os.open(path, os.O_RDONLY)
    try:
        _lock(file)
    except BlockingIOError:
        return True
    finally:
        os.close(file)
    return False


def read(path: str | os.PathLike[str], lenient: bool = False) -> Trace:
    """Read a recording that is being made, or that was never finished.

    Parameters
    ----------
    path : path
        The file.
    lenient : bool, default False
        Skip blocks that are damaged; ``about`` then has their number as ``skipped``.

    Returns
    -------
    Trace
        All that is in whole blocks. Its ``about`` has ``ended``, which is ``unfinished`` where the recorder could not
        say better, and ``cut_bytes`` where it was writing a block.

    Raises
    ------
    TraceError
        No journal, or one with damage before its end.
    OSError
        The file cannot be read.
    """
    return _parse(Path(path).read_bytes(), path, lenient)


def _parse(data: bytes, file: str | os.PathLike[str], lenient: bool) -> Trace:
    if not data.startswith(MAGIC):
        raise TraceError("no journal of a recording", file)
    known: dict[str, Any] = {}
    pieces: list[bytes] = []
    skipped = 0
    place = len(MAGIC)
    end = len(data.rstrip(b"\0"))
    while place + _HEADER.size <= len(data):
        kind, length, checksum = _HEADER.unpack_from(data, place)
        body = data[place + _HEADER.size : place + _HEADER.size + length] if length <= _LONGEST else b""
        sane = kind in (_NOTES, _HEARTBEATS) and length <= _LONGEST
        if not sane or len(body) < length or _checksum(kind, body) != checksum:
            if place + _HEADER.size + (length if sane else 0) >= end:
                break  # the last block, of which not all came to the disk
            if not lenient:
                raise TraceError(f"damaged at byte {place}: expected a block of notes or heartbeats", file)
            skipped += 1
            place = _next_block(data, place + 1)
            continue
        if kind == _HEARTBEATS:
            pieces.append(body)
        else:
            try:
                known |= json.loads(body)
            except (ValueError, TypeError, RecursionError) as error:
                raise TraceError(f"damaged at byte {place}: {error}", file) from None
        place += _HEADER.size + length
    columns = known.pop("columns", None)
    if not isinstance(columns, list) or not columns or not set(map(str, columns)) <= COLUMNS.keys():
        raise TraceError(f"expected columns of {', '.join(COLUMNS)}; found {str(columns)[:200]}", file)
    numbers = np.frombuffer(b"".join(pieces), dtype="<i8").astype(np.int64)
    if len(numbers) % len(columns):
        raise TraceError(f"expected rows of {len(columns)} numbers, found {len(numbers)} numbers", file)
    table = numbers.reshape(-1, len(columns))
    known.setdefault("ended", "unfinished")
    if place < len(data):
        known["cut_bytes"] = len(data) - place
    if lenient:
        known["skipped"] = skipped
    metadata = json.dumps({"period": known.pop("period", None), "about": known})
    return trace_from({name: table[:, i] for i, name in enumerate(columns)}, metadata, file)


def _next_block(data: bytes, place: int) -> int:
    """Where the next block may begin, after damage."""
    places = [data.find(kind, place) for kind in (_NOTES, _HEARTBEATS)]
    return min((found for found in places if found >= 0), default=len(data))
