"""State machines as tables: what runs is what is drawn."""

from __future__ import annotations

import html
import math
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any, Final

from accrual.tables import aligned, as_html

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["Machine", "Transition"]

_PICTURE: Final = (760.0, 560.0)  # width and height [px]
_BOX: Final = (118.0, 30.0)  # width and height of a state [px]


@dataclass(frozen=True)
class Transition:
    """One row: in a state, something happens, and what comes of it.

    Attributes
    ----------
    source, event, target : str
    does : str
        What is done on the way, in words; empty where nothing is.
    """

    source: str
    event: str
    target: str
    does: str = ""


@dataclass(frozen=True, repr=False)
class Machine:
    """A state machine: its name, where it starts, and its table.

    Parameters
    ----------
    name : str
    initial : str
        One of the states.
    rows : tuple of Transition
        No two for the same state and event. What is not there does not happen: the event is ignored in that state.

    Raises
    ------
    ValueError
        If two rows contradict, or the machine cannot get from its initial state to each other one.

    Examples
    --------
    >>> door = Machine("door", "shut", (Transition("shut", "push", "open"), Transition("open", "pull", "shut")))
    >>> door.target("shut", "push"), door.target("shut", "pull")
    ('open', None)
    >>> door
    door, starting at shut
    state  event  becomes  doing
    shut   push   open
    open   pull   shut
    """

    name: str
    initial: str
    rows: tuple[Transition, ...]

    def __post_init__(self) -> None:
        seen: dict[tuple[str, str], Transition] = {}
        for row in self.rows:
            if seen.setdefault((row.source, row.event), row) is not row:
                raise ValueError(f"{self.name}: two rows for event {row.event!r} in state {row.source!r}")
        reached, todo = {self.initial}, [self.initial]
        while todo:
            state = todo.pop()
            new = {row.target for row in self.rows if row.source == state} - reached
            reached |= new
            todo += new
        lost = [state for state in self.states if state not in reached]
        if lost:
            raise ValueError(f"{self.name}: no way from {self.initial!r} to {', '.join(lost)}")

    @property
    def states(self) -> tuple[str, ...]:
        """All states, in the order in which the table names them; the initial one first."""
        return tuple(dict.fromkeys([self.initial, *(state for row in self.rows for state in (row.source, row.target))]))

    @cached_property
    def table(self) -> Mapping[tuple[str, str], Transition]:
        """The row for a state and an event."""
        return {(row.source, row.event): row for row in self.rows}

    def target(self, state: str, event: str) -> str | None:
        """The state after the event; None where the event is ignored."""
        row = self.table.get((state, event))
        return None if row is None else row.target

    def to_dict(self) -> dict[str, Any]:
        """The table as JSON has it."""
        return {
            "name": self.name,
            "initial": self.initial,
            "rows": [{"source": r.source, "event": r.event, "target": r.target, "does": r.does} for r in self.rows],
        }

    def dot(self) -> str:
        """The diagram in Graphviz' language, an edge for each pair of states that events connect."""
        lines = [f"digraph {_quoted(self.name)} {{", "  rankdir=LR; node [shape=box, style=rounded];"]
        lines += [f"  {_quoted(state)}{' [peripheries=2]' if state == self.initial else ''};" for state in self.states]
        lines += [
            f"  {_quoted(source)} -> {_quoted(target)} [label={_quoted(label)}];"
            for (source, target), label in self._edges().items()
        ]
        return "\n".join([*lines, "}"])

    def svg(self, current: str | None = None) -> str:
        """The diagram as SVG: states on a circle, clockwise in the table's order, `current` filled.

        Raises
        ------
        ValueError
            If `current` is no state.
        """
        states = self.states
        if current is not None and current not in states:
            raise ValueError(f"current must be one of {', '.join(states)}, got {current!r}")
        (side_x, side_y), (width, height) = _PICTURE, _BOX
        turns = {state: 2 * math.pi * k / len(states) - math.pi / 2 for k, state in enumerate(states)}
        outwards = {state: (math.cos(turn), math.sin(turn)) for state, turn in turns.items()}
        radius_x, radius_y = side_x / 2 - width - 40, side_y / 2 - height - 36
        places = {state: (side_x / 2 + radius_x * x, side_y / 2 + radius_y * y) for state, (x, y) in outwards.items()}
        parts = [
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {side_x:g} {side_y:g}" width="{side_x:g}" '
            'font-family="sans-serif" font-size="11" role="img">',
            f"<title>{html.escape(self.name)}: state machine</title>",
            '<defs><marker id="tip" viewBox="0 0 8 8" refX="8" refY="4" markerWidth="8" markerHeight="8" '
            'orient="auto"><path d="M0 0L8 4L0 8z" fill="#555"/></marker></defs>',
        ]
        labels = []
        for (source, target), label in self._edges().items():
            (x1, y1), (x2, y2) = places[source], places[target]
            if source == target:  # a loop on the outer side
                x, y = outwards[source]
                reach = min(width / 2 / max(abs(x), 1e-9), height / 2 / max(abs(y), 1e-9))
                x1, y1 = x1 + reach * x, y1 + reach * y
                (x2, y2), across = (x1 + 44 * x, y1 + 44 * y), (-10 * y, 10 * x)
                path = (
                    f"M{x1 - across[0]:.1f} {y1 - across[1]:.1f}C{x2 - 2.4 * across[0]:.1f} {y2 - 2.4 * across[1]:.1f} "
                    f"{x2 + 2.4 * across[0]:.1f} {y2 + 2.4 * across[1]:.1f} {x1 + across[0]:.1f} {y1 + across[1]:.1f}"
                )
                at = (x1 + 38 * x, y1 + 38 * y + 4)
            else:
                length = math.hypot(x2 - x1, y2 - y1)
                along = ((x2 - x1) / length, (y2 - y1) / length)
                # Bent to the right of its way, so that there and back do not lie on each other.
                bend = (-along[1] * 34, along[0] * 34)
                x1, y1 = _edge_of_box(x1, y1, along)
                x2, y2 = _edge_of_box(x2, y2, (-along[0], -along[1]))
                turn = ((x1 + x2) / 2 + bend[0], (y1 + y2) / 2 + bend[1])
                path = f"M{x1:.1f} {y1:.1f}Q{turn[0]:.1f} {turn[1]:.1f} {x2:.1f} {y2:.1f}"
                # On the curve, nearer to where it comes from: the middle of the picture is where all ways cross.
                t = 0.38
                one, two, three = (1 - t) ** 2, 2 * t * (1 - t), t**2
                at = (one * x1 + two * turn[0] + three * x2, one * y1 + two * turn[1] + three * y2)
            parts.append(f'<path d="{path}" fill="none" stroke="#555" marker-end="url(#tip)"/>')
            for k, line in enumerate(label.split(" | ")):
                labels.append(
                    f'<text x="{at[0]:.1f}" y="{at[1] + 12 * k:.1f}" text-anchor="middle" stroke="#fff" '
                    f'stroke-width="3" paint-order="stroke">{html.escape(line)}</text>'
                )
        for state, (x, y) in places.items():
            fill = "#ffd166" if state == current else "#eef3fb"
            edge = 2.5 if state == self.initial else 1
            parts.append(
                f'<rect x="{x - width / 2:.1f}" y="{y - height / 2:.1f}" width="{width:g}" height="{height:g}" rx="8" '
                f'fill="{fill}" stroke="#334" stroke-width="{edge}"/>'
                f'<text x="{x:.1f}" y="{y + 4:.1f}" text-anchor="middle" font-weight="bold">{html.escape(state)}</text>'
            )
        return "".join([*parts, *labels, "</svg>"])

    def _edges(self) -> dict[tuple[str, str], str]:
        """The events on each way from state to state."""
        edges: dict[tuple[str, str], str] = {}
        for row in self.rows:
            before = edges.get((row.source, row.target))
            edges[row.source, row.target] = row.event if before is None else f"{before} | {row.event}"
        return edges

    def _rows(self) -> list[tuple[str, str, str, str]]:
        return [
            ("state", "event", "becomes", "doing"),
            *((row.source, row.event, row.target, row.does) for row in self.rows),
        ]

    def __repr__(self) -> str:
        rows = self._rows()
        widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
        padded = [tuple(cell.ljust(width) for cell, width in zip(row, widths, strict=True)) for row in rows]
        return f"{self.name}, starting at {self.initial}\n{aligned(padded, names=True)}"

    def _repr_html_(self) -> str:
        return self.svg() + as_html(f"{self.name}, starting at {self.initial}", self._rows())


def _quoted(text: str) -> str:
    escaped = text.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'


def _edge_of_box(x: float, y: float, along: tuple[float, float]) -> tuple[float, float]:
    """Where a line from a box's middle leaves the box."""
    width, height = _BOX
    reach = min(
        width / 2 / abs(along[0]) if along[0] else math.inf,
        height / 2 / abs(along[1]) if along[1] else math.inf,
    )
    return x + along[0] * reach, y + along[1] * reach
