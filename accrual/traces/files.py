"""Files in and out: text lines that are bounded, numbered and perhaps damaged; writing whole or not at all."""

from __future__ import annotations

import contextlib
import gzip
import hashlib
import os
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO, Final

from accrual.traces.trace import TraceError

MAX_LINE: Final = 65536
"""Longest line of a text file [bytes]: what is longer is no heartbeat, and must not fill the memory."""


def is_gzip(head: bytes) -> bool:
    """Tell gzip by its magic bytes; names of log files lie."""
    return head.startswith(b"\x1f\x8b")


def excerpt(line: bytes) -> str:
    """Quote the beginning of a line, printable whatever its bytes are."""
    return repr(line[:60].decode("utf-8", "backslashreplace").strip())


def printable(text: str) -> str:
    """Escape what is no character of a line: names of files may hold anything, and reach terminals and titles."""
    return "".join(c if c.isprintable() else ascii(c)[1:-1] for c in text)


class Lines:
    """The lines of a plain or gzip file, one pass, with the strict and the lenient way to deal with damage.

    Parameters
    ----------
    path : path
        The file. One that cannot be opened raises what `open` raises.
    lenient : bool
        Count what is wrong and go on, where strict raises `TraceError`.

    Attributes
    ----------
    number : int
        Line that was read last, from 1.
    skipped : int
        Lines rejected so far.
    truncated : bool
        The gzip data ended early or were damaged; what came before was read.
    """

    def __init__(self, path: str | os.PathLike[str], lenient: bool) -> None:
        """Open the file."""
        self.path = path
        self.number = 0
        self.skipped = 0
        self.truncated = False
        self._lenient = lenient
        self._file = open(path, "rb")  # noqa: SIM115  # closed by __exit__

    def __enter__(self) -> Lines:
        """Enter a with statement that closes the file."""
        return self

    def __exit__(self, *error: object) -> None:
        """Close the file."""
        self._file.close()

    def sha256(self) -> str:
        """Hash the bytes of the file as they lie on the disk, compressed or not."""
        self._file.seek(0)
        return hashlib.file_digest(self._file, "sha256").hexdigest()

    def __iter__(self) -> Iterator[bytes]:
        r"""Yield each line with its ``\n``, which only a last line can lack; a line beyond `MAX_LINE` is rejected."""
        self._file.seek(0)
        compressed = is_gzip(self._file.peek(2)[:2])
        stream: BinaryIO = gzip.GzipFile(fileobj=self._file) if compressed else self._file  # type: ignore[assignment]
        try:
            while line := stream.readline(MAX_LINE + 1):
                self.number += 1
                if len(line) <= MAX_LINE:
                    yield line
                    continue
                self.reject(f"a line longer than {MAX_LINE // 1024} KiB")
                while line and not line.endswith(b"\n"):
                    line = stream.readline(MAX_LINE)
        except (EOFError, zlib.error, gzip.BadGzipFile) as error:
            self.truncated = True
            if not self._lenient:
                raise TraceError(f"damaged gzip data: {error}", self.path, self.number + 1) from None

    def reject(self, problem: str, number: int | None = None) -> None:
        """Raise `TraceError` at the current line, or at that of `number`; count it where lenient."""
        if not self._lenient:
            raise TraceError(problem, self.path, number or self.number)
        self.skipped += 1


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
        if isinstance(error, OSError) and error.filename == os.fspath(beside):
            error.filename, error.filename2 = os.fspath(path), None  # the only name that the caller knows
        raise
    # The new name is safe when its folder is, on those file systems that sync folders; Windows opens none.
    with contextlib.suppress(OSError):
        folder = os.open(target.parent, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)
