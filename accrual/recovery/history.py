"""What clients saw, and what is wrong with it: lost, stale, and read though it never lasted."""

from __future__ import annotations

import dataclasses
import math
from collections import defaultdict
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from accrual.tables import as_html, plain

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Sequence

__all__ = ["Findings", "Operation", "check", "smallest"]


@dataclass(frozen=True, kw_only=True)
class Operation:
    """One request as its client saw it.

    Attributes
    ----------
    number : int
        Its own; that of a write is the value it writes.
    client : int
    kind : {"write", "read"}
    key : int
    start, end : float
        When it was sent and answered; nan where it never was [s].
    status : {"ok", "failed", "unknown"}
        Unknown: it may have taken effect.
    value : int or None
        What a read gave: the number of a write, None where there was none yet.
    node : int or None
        Who answered.
    """

    number: int
    client: int
    kind: str
    key: int
    start: float
    end: float
    status: str
    value: int | None = None
    node: int | None = None

    def __str__(self) -> str:
        who = f"client {self.client} at {self.start:.3f} s"
        if self.kind == "write":
            told = f"told {self.status.upper()}" + (f" at {self.end:.3f} s" if self.status == "ok" else "")
            by = "" if self.node is None else f" by node {self.node}"
            return f"{who}: writes {self.number} to key {self.key}, {told}{by}"
        got = "nothing" if self.value is None else str(self.value)
        by = "" if self.node is None else f" from node {self.node}"
        return f"{who}: reads key {self.key}" + (f", gets {got}{by}" if self.status == "ok" else f": {self.status}")

    def to_dict(self) -> dict[str, Any]:
        """Its fields as JSON has them."""
        return {name: plain(value) for name, value in dataclasses.asdict(self).items()}


@dataclass(frozen=True, kw_only=True)
class Findings:
    """What is wrong with a history; empty where nothing is.

    Attributes
    ----------
    lost : tuple of Operation
        Writes whose client was told OK, and which did not survive.
    stale : tuple of (Operation, Operation)
        Reads that gave a value older than a write acknowledged before they began, and that write. Older: its own write
        was over before the other began.
    phantom : tuple of (Operation, Operation or None)
        Reads of a value that did not survive, and its write.
    """

    lost: tuple[Operation, ...]
    stale: tuple[tuple[Operation, Operation], ...]
    phantom: tuple[tuple[Operation, Operation | None], ...]

    def __bool__(self) -> bool:
        return bool(self.lost or self.stale or self.phantom)

    def to_dict(self) -> dict[str, Any]:
        """Numbers of the operations, by kind."""
        return {
            "lost": [write.number for write in self.lost],
            "stale": [[read.number, write.number] for read, write in self.stale],
            "phantom": [read.number for read, _ in self.phantom],
        }

    def _rows(self) -> list[tuple[str, str, str]]:
        first = {
            "lost": "" if not self.lost else str(self.lost[0]),
            "stale": "" if not self.stale else "{}, despite {}".format(*self.stale[0]),
            "phantom": "" if not self.phantom else str(self.phantom[0][0]),
        }
        return [(name, str(len(getattr(self, name))), text) for name, text in first.items()]

    def __repr__(self) -> str:
        return "\n".join(f"{name:<8}{count:>6}  {text}".rstrip() for name, count, text in self._rows())

    def _repr_html_(self) -> str:
        return as_html("What is wrong with the history", [("", "count", "the first"), *self._rows()])


def check(operations: Sequence[Operation], survivors: Collection[int] | None = None) -> Findings:
    """Say which acknowledged writes were lost, which reads were stale, and which gave what did not last.

    Stale is judged by real time alone, so it is never a false alarm: any order of concurrent writes is granted.

    Parameters
    ----------
    operations : sequence of Operation
        In any order.
    survivors : set of int, optional
        Numbers of the writes that are there in the end; without it lost and phantom are not looked for.

    Raises
    ------
    ValueError
        If two writes have the same number, or a read gave what nobody wrote to its key.

    Examples
    --------
    >>> w1 = Operation(number=1, client=0, kind="write", key=0, start=0.0, end=0.1, status="ok")
    >>> w2 = Operation(number=2, client=0, kind="write", key=0, start=0.2, end=0.3, status="ok")
    >>> r = Operation(number=3, client=1, kind="read", key=0, start=0.4, end=0.5, status="ok", value=1)
    >>> check([w1, w2, r], survivors={1})  # doctest: +ELLIPSIS
    lost         1  client 0 at 0.200 s: writes 2 to key 0, told OK at 0.300 s
    stale        1  client 1 at 0.400 s: reads key 0, gets 1, despite client 0 at 0.200 s: writes 2 ...
    phantom      0
    """
    writes: dict[int, Operation] = {}
    by_key: dict[int, list[Operation]] = defaultdict(list)
    for operation in operations:
        if operation.kind == "write":
            if operation.number in writes:
                raise ValueError(f"two writes have the number {operation.number}")
            writes[operation.number] = operation
            if operation.status == "ok":
                by_key[operation.key].append(operation)
    # Of the writes acknowledged by a time, the one that began last: whatever was over before that began is older.
    latest: dict[int, tuple[list[float], list[Operation]]] = {}
    for key, acknowledged in by_key.items():
        ends: list[float] = []
        newest: list[Operation] = []
        for write in sorted(acknowledged, key=lambda write: write.end):
            ends.append(write.end)
            newest.append(write if not newest or write.start > newest[-1].start else newest[-1])
        latest[key] = ends, newest
    stale, phantom = [], []
    for read in operations:
        if read.kind != "read" or read.status != "ok":
            continue
        source = None if read.value is None else writes.get(read.value)
        if read.value is not None and (source is None or source.key != read.key):
            raise ValueError(f"read {read.number} gave {read.value!r}, which nobody wrote to key {read.key}")
        if survivors is not None and source is not None and source.number not in survivors:
            phantom.append((read, source))
        if read.key in latest:
            ends, newest = latest[read.key]
            k = _before(ends, read.start)
            if k:
                write = newest[k - 1]
                over = -math.inf if source is None else source.end if source.status == "ok" else math.inf
                if over < write.start:
                    stale.append((read, write))
    lost = (
        () if survivors is None else tuple(w for w in writes.values() if w.status == "ok" and w.number not in survivors)
    )
    return Findings(lost=lost, stale=tuple(stale), phantom=tuple(phantom))


def _before(ends: list[float], at: float) -> int:
    """How many of the ascending `ends` lie before `at`."""
    low, high = 0, len(ends)
    while low < high:
        middle = (low + high) // 2
        if ends[middle] < at:
            low = middle + 1
        else:
            high = middle
    return low


def smallest(
    operations: Sequence[Operation],
    survivors: Collection[int] | None = None,
    wrong: Callable[[Findings], object] = bool,
) -> list[Operation]:
    """A part of the history that is still wrong, and of which nothing can be left out; empty where all is well.

    Parameters
    ----------
    operations, survivors
        As `check`.
    wrong : callable
        What to show: of a `Findings` whether it counts, ``lambda found: found.stale`` say; by default anything.
    """

    def fails(some: list[Operation]) -> bool:
        try:
            return bool(wrong(check(some, survivors)))
        except ValueError:  # a read without its write
            return False

    kept = sorted(operations, key=lambda operation: (operation.start, operation.number))
    if not fails(kept):
        return []
    # Zeller and Hildebrandt (2002), ddmin: leave out halves, quarters, ... as long as it stays wrong.
    pieces = 2
    while len(kept) > 1:
        size = math.ceil(len(kept) / pieces)
        for low in range(0, len(kept), size):
            rest = kept[:low] + kept[low + size :]
            if fails(rest):
                kept, pieces = rest, max(pieces - 1, 2)
                break
        else:
            if size == 1:
                break
            pieces = min(2 * pieces, len(kept))
    return kept
