"""Tables of other programs as text: CSV with any delimiter, with a header or without, and JSON objects.

Which column is what, and in which unit, the caller says or the names do (`selection`). Row by row, so that the file may
be larger than the memory; only the heartbeats are kept, 8 bytes a number.
"""

from __future__ import annotations

import csv
import os
import re
from collections.abc import Iterator, Sequence
from typing import Any, Final

from accrual.traces.files import Lines, Source, excerpt
from accrual.traces.gather import Peers
from accrual.traces.json_file import Objects
from accrual.traces.selection import INSTANTS, Column, Selection, as_instant, as_integer, unit_of
from accrual.traces.trace import Trace, TraceError

# Of two that fit, that which is more seldom inside what it delimits: names in a header, or numbers.
_DELIMITERS: Final = ("\t", ";", ",", " ")
_OF_NUMBERS: Final = ("\t", ";", " ", ",")
_blanks: Final = re.compile(r"[ \t]+").split  # and no others: a no-break space may be inside a number
_BLANK: Final = " \t\r\n"


class _Reader:
    """Heartbeats out of rows of values.

    Parameters
    ----------
    source : Source
        The file, for its errors.
    columns : sequence of Column
        What was found in it.
    """

    def __init__(self, source: Source, columns: Sequence[Column]) -> None:
        """Sort the columns."""
        self._source = source
        self._columns = [column for column in columns if column.role != "peer"]
        self._peer = next((column for column in columns if column.role == "peer"), None)
        self._units: dict[str, str] = {column.role: column.unit for column in columns if column.unit}
        self._guessed: dict[str, str] = {}
        self.peers = Peers(source)

    def take(self, row: Sequence[Any]) -> str | None:
        """Append a row's heartbeat, or say why it is none."""
        values = []
        for role, place, name, _ in self._columns:
            cell = row[place]
            if role in INSTANTS:
                unit = self._units.get(role) or self._guess(role, name, cell)
                value = as_instant(cell, unit) if unit else None
            else:
                value = as_integer(cell)
            if value is None:
                kind = f"an instant in {self._units.get(role, 's')}" if role in INSTANTS else "a whole number"
                return f"expected {kind} in column {name}, got {str(cell)[:60]!r}"
            values.append(value)
        key = None
        if self._peer is not None:
            key = row[self._peer.place]
            if not isinstance(key, str | int) or key == "":
                return f"expected a name in column {self._peer.name}, got {str(key)[:60]!r}"
        peer = self.peers.get(key)
        if peer is None:
            about = {} if key is None else {"peer": key}
            peer = self.peers.introduce(key, [column.role for column in self._columns], **about)
        peer.add(values)
        return None

    def _guess(self, role: str, name: str, value: Any) -> str | None:
        """The unit that the first value of a column speaks for."""
        unit = unit_of(value)
        if unit is not None:
            self._units[role] = self._guessed[role] = unit
        elif as_instant(value, "ns") is not None:
            raise TraceError(
                f"the unit of column {name} is not known ({value} in the first row): unit= must say s, ms, us or ns "
                "(accrual import IN OUT --unit ns)",
                self._source.path,
                self._source.number or None,
            )
        return unit

    def traces(self, format_: str) -> list[Trace]:
        """What was gathered, with the units."""
        if not self.peers:
            raise TraceError("no heartbeat", self._source.path)
        about: dict[str, Any] = {"format": format_, "unit": self._units["arrivals"]}
        if "arrivals" in self._guessed:
            about |= {"unit_from": "the first value, as a Unix time", "clock": "unix"}
        return self.peers.traces(**about)


def _cells(line: str, delimiter: str) -> list[str] | None:
    """The cells of a line, None where its quotes do not end."""
    if delimiter == " ":
        return _blanks(line.strip(_BLANK))
    if '"' in line:
        try:
            [cells] = csv.reader([line.rstrip("\r\n")], delimiter=delimiter, strict=True)
        except (csv.Error, ValueError):
            return None
    else:
        cells = line.split(delimiter)
    return [cell.strip() for cell in cells]


def _decode(line: bytes) -> str:
    """Text whatever its bytes are: nothing that we look for lies beyond ASCII but names, and no-break spaces."""
    try:
        return line.decode()
    except UnicodeDecodeError:
        return line.decode("latin-1")


def _fits(role: str, cell: str) -> bool:
    """Whether a cell may be what a column should hold, whatever its unit."""
    if role == "peer":
        return bool(cell)
    return (as_instant(cell, "ns") if role in INSTANTS else as_integer(cell)) is not None


def _begin(lines: Lines, rows: Iterator[bytes], selection: Selection) -> tuple[str, int, list[Column], str]:
    """Delimiter, width, columns, and the first line of data of a table without a header."""
    for line in rows:
        text = _decode(line)
        if not text.strip() or text.startswith("#"):
            continue
        for alone in (False, True):  # a table of one column has no delimiter
            for delimiter in _OF_NUMBERS if selection.by_number else _DELIMITERS:
                cells = _cells(text, delimiter) or [""]
                columns = selection.find(cells) if (len(cells) == 1) == alone else None
                if columns and not selection.by_number:
                    return delimiter, len(cells), columns, ""
                if columns and all(_fits(column.role, cells[column.place]) for column in columns):
                    return delimiter, len(cells), columns, text
        problem = f"expected {selection.wanted()}; found {excerpt(line)}"
        if not selection.by_number:
            raise TraceError(problem, lines.path, lines.number)
        lines.reject(problem)
    raise TraceError("no row: the file is empty" if not lines.number else "no row", lines.path)


def read_csv(path: str | os.PathLike[str], lenient: bool, selection: Selection) -> list[Trace]:
    """Import a table in text, one trace for each peer.

    Parameters
    ----------
    path : path
        Rows with a header, or with columns given by number without; delimited by tabs, semicolons, commas or blanks.
        Lines that begin with ``#`` and empty ones do not count.
    lenient : bool
        Skip rows that hold no heartbeat, where strict raises.
    selection : Selection
        Which columns, and their units.

    Returns
    -------
    list of Trace
        ``about`` has `source`, `format`, `sha256`, `session` (from 1), `peer` (if there is such a column), `unit`,
        `unit_from` (where the values had to tell it), and in the first `skipped` and `truncated` where lenient.

    Raises
    ------
    TraceError
        No such columns, a row with a value that is none, a last line that is cut, damage: with file and line.
    OSError
        The file cannot be read.
    """
    with Lines(path, lenient) as lines:
        rows = iter(lines)
        delimiter, width, columns, first = _begin(lines, rows, selection)
        reader = _Reader(lines, sorted(columns, key=lambda column: column.role != "arrivals"))
        if first and (problem := reader.take(_cells(first, delimiter) or [])):
            lines.reject(problem)
        for line in rows:
            text = _decode(line)
            if not text.strip() or text.startswith("#"):
                continue
            cells = _cells(text, delimiter)
            if cells is None or len(cells) != width:
                whole = "" if line.endswith(b"\n") else ", and the last line is cut"
                problem = f"expected {width} cells, got {excerpt(line)}{whole}"
            elif not line.endswith(b"\n"):
                problem = f"the last line is cut: {excerpt(line)}"  # its last number may have lost digits
            else:
                problem = reader.take(cells)
            if problem:
                lines.reject(problem)
        return reader.traces("csv")


def read_jsonl(path: str | os.PathLike[str], lenient: bool, selection: Selection) -> list[Trace]:
    """Import JSON objects, one trace for each peer; as `read_csv`, with keys for columns.

    The first object tells the keys; another that lacks one of those that are wanted is no heartbeat.
    """
    with Objects(path, lenient) as objects:
        reader: _Reader | None = None
        names: list[str] = []
        for row in objects.objects():
            if reader is None:
                columns = None if selection.by_number else selection.find(list(row))
                if columns is None:
                    keys = ", ".join(row)[:200]
                    raise TraceError(f"expected {selection.wanted()}; found {keys}", path, objects.number)
                names = [column.name for column in columns]
                reader = _Reader(objects, [column._replace(place=n) for n, column in enumerate(columns)])
            if problem := reader.take([row.get(name) for name in names]):
                objects.reject(problem)
        if reader is None:
            raise TraceError("no JSON object" if objects.number else "the file is empty", path)
        return reader.traces("jsonl")


def recognise(line: bytes) -> bool:
    """Tell a table by its header, if that names its columns as we do."""
    return any((cells := _cells(_decode(line), d)) and Selection().find(cells) for d in _DELIMITERS)
