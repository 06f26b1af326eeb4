"""Files of JSON objects: one a line, or all in one array, which may be a single line of any length.

Read object by object, none longer than `MAX_LINE`: the file may be larger than the memory.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from decimal import Decimal
from typing import Any, Final, NoReturn

from accrual.traces.files import MAX_LINE, Lines, excerpt

_CHUNK: Final = 65_536
_BLANKS: Final = b" \t\r\n"

_outside: Final = re.compile(rb'["{}\[\],]').search  # what can end an element of an array, or hide that
_inside: Final = re.compile(rb'["\\]').search


def _no_number(name: str) -> NoReturn:
    raise ValueError(f"{name} is no number")


def _decode(text: bytes) -> dict[str, Any] | None:
    """An object, its numbers exact; None where the text is anything else."""
    try:
        value = json.loads(text, parse_float=Decimal, parse_constant=_no_number)
    except (ValueError, RecursionError, ArithmeticError):  # the first of UTF-8 and of giant integers, too
        return None
    return value if isinstance(value, dict) else None


def first_object(head: bytes) -> dict[str, Any] | None:
    """The first object of a file that begins so; None where it is not JSON, or its first object is longer."""
    text = head.lstrip(_BLANKS)
    if text.startswith(b"{"):
        return _decode(text.partition(b"\n")[0])
    if not text.startswith(b"["):
        return None
    return next((_decode(text[1 : 1 + end]) for end, _ in _Scanner().ends(text[1:])), None)


class _Scanner:
    """Where the elements of an array end, told from text that comes in pieces."""

    def __init__(self) -> None:
        self._depth = 0
        self._quoted = False
        self._escaped = False

    def ends(self, piece: bytes) -> Iterator[tuple[int, bool]]:
        """Yield the index of each comma between elements, and of the bracket that closes the array, with True."""
        place = 0
        if self._escaped and piece:
            self._escaped, place = False, 1
        while found := (_inside if self._quoted else _outside)(piece, place):
            place = found.end()
            mark = found[0]
            if mark == b"\\":
                self._escaped = place == len(piece)
                place += 1
            elif mark == b'"':
                self._quoted = not self._quoted
            elif mark in b"{[":
                self._depth += 1
            elif self._depth and mark in b"}]":
                self._depth -= 1
            elif not self._depth and mark == b"]":
                yield found.start(), True
                return
            elif not self._depth and mark == b",":
                yield found.start(), False


class Objects(Lines):
    """The JSON objects of a file, one pass; `number` is the line in which the last one began."""

    def objects(self) -> Iterator[dict[str, Any]]:
        """Yield each object; what is none is rejected."""
        in_array = self.head().lstrip(_BLANKS).startswith(b"[")
        for text in self._elements() if in_array else self._filled_lines():
            value = _decode(text)
            if value is None:
                self.reject(f"expected a JSON object, got {excerpt(text)}")
            else:
                yield value

    def _filled_lines(self) -> Iterator[bytes]:
        for line in self:
            if line.strip(_BLANKS):
                yield line

    def _elements(self) -> Iterator[bytes]:
        scanner = _Scanner()
        element = bytearray()
        with self.unpacked() as stream:
            self.number = 1
            while (start := stream.read(1)) != b"[":
                self.number += start == b"\n"
            newlines = 0  # in the element, of which no more is kept than is needed to know that it is too long
            while piece := stream.read(_CHUNK):
                begin = 0
                for end, last in scanner.ends(piece):
                    element += piece[begin:end]
                    newlines += piece.count(b"\n", begin, end)
                    yield from self._element(bytes(element), newlines, last)
                    element.clear()
                    begin, newlines = end + 1, 0
                    if last:
                        if (piece[begin:] + stream.read(_CHUNK)).strip(_BLANKS):
                            self.reject("expected nothing after the end of the array")
                        return
                newlines += piece.count(b"\n", begin)
                element += piece[begin : begin + max(0, MAX_LINE + 1 - len(element))]
            inside = bytes(element).lstrip(_BLANKS)
            self.end_early(f"the file ends inside its array, in {excerpt(inside)}", self.number + newlines)

    def _element(self, text: bytes, newlines: int, last: bool) -> Iterator[bytes]:
        """An element, with `number` the line in which it begins, and then the one in which the next may."""
        after = self.number + newlines
        inside = text.lstrip(_BLANKS)
        self.number += text.count(b"\n", 0, len(text) - len(inside))
        if len(inside) > MAX_LINE:
            self.reject(f"an object longer than {MAX_LINE // 1024} KiB")
        elif inside or not last:  # an array may be empty, or its last comma have nothing behind it
            yield inside
        self.number = after
