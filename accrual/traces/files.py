"""Files in and out: text lines that are bounded, numbered and perhaps damaged; writing whole or not at all."""

from __future__ import annotations

import contextlib
import gzip
import hashlib
import io
import lzma
import os
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, BinaryIO, Final, Self

from accrual.traces.trace import TraceError

MAX_LINE: Final = 65536
"""Longest line of a text file [bytes]: what is longer is no heartbeat, and must not fill the memory."""


MOST_PEERS: Final = 65_536
"""Most sessions or peers in one file: what has more is no recording of heartbeats, and must not fill the memory."""

_GZIP: Final = b"\x1f\x8b"
_XZ: Final = b"\xfd7zXZ\0"
_ZSTD: Final = b"\x28\xb5\x2f\xfd"
_XZ_MEMORY: Final = 128 * 2**20  # what xz -9 needs is half of it; a file may ask for 4 GiB
_CHUNK: Final = 65_536

_UTF8_MARK: Final = b"\xef\xbb\xbf"
UTF16_MARKS: Final = (b"\xff\xfe", b"\xfe\xff")


class _DamageError(Exception):
    """Packed data that do not unpack."""


class _Unpacked(io.RawIOBase):
    """What a decompressor makes of a file, in pieces as large as somebody asks for and no larger."""

    def __init__(self, file: BinaryIO, new: Callable[[], Any], damage: type[Exception]) -> None:
        self._file, self._new, self._damage, self._decompressor = file, new, damage, new()

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        while True:
            data = b""
            if self._decompressor.eof:  # zeros may follow, as padding, and another stream
                data = self._decompressor.unused_data.lstrip(b"\0")
                while not data:
                    if not (chunk := self._file.read(_CHUNK)):
                        return 0
                    data = chunk.lstrip(b"\0")
                self._decompressor = self._new()
            elif self._decompressor.needs_input:
                data = self._file.read(_CHUNK)
                if not data:
                    raise EOFError("Compressed file ended before the end-of-stream marker was reached")
            try:
                unpacked = self._decompressor.decompress(data, len(buffer))
            except self._damage as error:
                raise _DamageError(error) from None
            if unpacked:
                buffer[: len(unpacked)] = unpacked
                return len(unpacked)


def _unpacked(file: BinaryIO, path: str | os.PathLike[str]) -> tuple[BinaryIO, str]:
    """The text of a file and how it is packed, judged by its first bytes: names of log files lie."""
    head = file.peek(6)[:6]  # type: ignore[attr-defined]
    stream: Any = file
    packing = ""
    if head.startswith(_GZIP):
        stream, packing = gzip.GzipFile(fileobj=file), "gzip"
    elif head.startswith(_XZ):
        stream = _Unpacked(file, lambda: lzma.LZMADecompressor(memlimit=_XZ_MEMORY), lzma.LZMAError)
        stream, packing = io.BufferedReader(stream, _CHUNK), "xz"
    elif head.startswith(_ZSTD):
        try:
            from compression import zstd  # type: ignore[import-not-found]
        except ImportError:
            raise TraceError("zstd data need Python 3.14 or newer: unpack them first", path) from None
        stream = io.BufferedReader(_Unpacked(file, zstd.ZstdDecompressor, zstd.ZstdError), _CHUNK)
        packing = "zstd"
    return stream, packing


def excerpt(line: bytes) -> str:
    """Quote the beginning of a line, printable whatever its bytes are."""
    return repr(line[:60].decode("utf-8", "backslashreplace").strip())


class Source:
    """A file that is being read, plain or packed, with the strict and the lenient way to deal with damage.

    Parameters
    ----------
    path : path
        The file. One that cannot be opened raises what `open` raises.
    lenient : bool
        Count what is wrong and go on, where strict raises `TraceError`.

    Attributes
    ----------
    number : int
        Line that was read last, from 1; 0 where there are no lines.
    skipped : int
        Lines, rows or packets rejected so far.
    truncated : bool
        The data ended early or are damaged from somewhere on; what came before was read.
    """

    def __init__(self, path: str | os.PathLike[str], lenient: bool) -> None:
        """Open the file."""
        self.path = path
        self.number = 0
        self.skipped = 0
        self.truncated = False
        self.lenient = lenient
        self._file = open(path, "rb")  # noqa: SIM115  # closed by __exit__

    def __enter__(self) -> Self:
        """Enter a with statement that closes the file."""
        return self

    def __exit__(self, *error: object) -> None:
        """Close the file."""
        self._file.close()

    def sha256(self) -> str:
        """Hash the bytes of the file as they lie on the disk, packed or not."""
        self._file.seek(0)
        return hashlib.file_digest(self._file, "sha256").hexdigest()

    @contextlib.contextmanager
    def unpacked(self) -> Iterator[BinaryIO]:
        """Read the file from its beginning, unpacked where it is packed; damage ends it, where strict with an error."""
        self._file.seek(0)
        stream, packing = _unpacked(self._file, self.path)
        try:
            yield stream
        except (EOFError, zlib.error, gzip.BadGzipFile, _DamageError) as error:
            self.end_early(f"damaged {packing} data: {error}", self.number and self.number + 1)

    def head(self) -> bytes:
        """The first bytes of what is in the file, at most `MAX_LINE`; none of damaged data, where lenient."""
        with self.unpacked() as stream:
            head: bytes = stream.read1(MAX_LINE)  # type: ignore[attr-defined]
            return head.removeprefix(_UTF8_MARK)
        return b""

    def reject(self, problem: str, number: int | None = None) -> None:
        """Raise `TraceError` at the current line, or at that of `number`; count it where lenient."""
        if not self.lenient:
            raise TraceError(problem, self.path, number or self.number or None)
        self.skipped += 1

    def end_early(self, problem: str, number: int | None = None) -> None:
        """Raise `TraceError`, or where lenient note that nothing can be read from here on."""
        self.truncated = True
        if not self.lenient:
            raise TraceError(problem, self.path, number or None)

    def about(self) -> dict[str, Any]:
        """What was skipped, for the first trace of the file; empty where strict."""
        about: dict[str, Any] = {"skipped": self.skipped} if self.lenient else {}
        return about | ({"truncated": True} if self.truncated else {})


class Lines(Source):
    """The lines of a text file, one pass."""

    def __iter__(self) -> Iterator[bytes]:
        r"""Yield each line with its ``\n``, which only a last line can lack; a line beyond `MAX_LINE` is rejected."""
        with self.unpacked() as stream:
            while line := stream.readline(MAX_LINE + 1):
                self.number += 1
                if self.number == 1:
                    if line.startswith(UTF16_MARKS):
                        raise TraceError("UTF-16 text, expected UTF-8: iconv -f UTF-16 -t UTF-8", self.path, 1)
                    line = line.removeprefix(_UTF8_MARK)
                if len(line) <= MAX_LINE:
                    yield line
                    continue
                self.reject(f"a line longer than {MAX_LINE // 1024} KiB")
                while line and not line.endswith(b"\n"):
                    line = stream.readline(MAX_LINE)


@contextlib.contextmanager
def replacing(path: str | os.PathLike[str]) -> Iterator[BinaryIO]:
    """Write a file beside `path` and put it in its place when all of it is on the disk; on any failure remove it."""
    target = Path(path).resolve()  # a symbolic link stays one, and its target is replaced
    beside = target.with_name(f".accrual-{os.urandom(8).hex()}.part")
    try:
        # Not tempfile, whose files stay closed to the group and the world after the rename.
        with open(beside, "xb") as stream:
            yield stream
            stream.flush()
            os.fsync(stream.fileno())
        os.replace(beside, target)
    except BaseException as error:
        with contextlib.suppress(OSError):  # it may never have come to be
            beside.unlink()
        if isinstance(error, OSError) and error.filename in (None, os.fspath(beside)):  # None: of a disk that is full
            error.filename, error.filename2 = os.fspath(path), None  # the only name that the caller knows
        raise
    # The new name is safe when its folder is, on those file systems that sync folders; Windows opens none.
    with contextlib.suppress(OSError):
        folder = os.open(target.parent, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)
