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
_LETTER: Final = (6.2, 13.0)  # width of a letter of a label, at most, and height of its line [px]
# Of the notebook that shows it, light or dark; elsewhere black on white.
_INK: Final = "var(--jp-ui-font-color1, var(--vscode-editor-foreground, #222))"
_PAPER: Final = "var(--jp-layout-color0, var(--vscode-editor-background, #fff))"


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
            f'style="color: {_INK}; background: {_PAPER}" font-family="sans-serif" font-size="11" role="img">',
            f"<title>{html.escape(self.name)}: state machine</title>",
            '<defs><marker id="tip" viewBox="0 0 8 8" refX="8" refY="4" markerWidth="8" markerHeight="8" '
            'orient="auto"><path d="M0 0L8 4L0 8z" fill="currentColor"/></marker></defs>',
        ]
        labels = []
        taken = [(x - width / 2, y - height / 2, x + width / 2, y + height / 2) for x, y in places.values()]
        for (source, target), label in self._edges().items():
            (x1, y1), (x2, y2) = places[source], places[target]
            if source == target:  # a loop above or below, whichever is the outer side
                up = 1 if outwards[source][1] > 0 else -1
                y1 += up * height / 2
                path = (
                    f"M{x1 - 10:.1f} {y1:.1f}C{x1 - 24:.1f} {y1 + up * 40:.1f} "
                    f"{x1 + 24:.1f} {y1 + up * 40:.1f} {x1 + 10:.1f} {y1:.1f}"
                )
                ways = [(x1, y1 + up * reach + 4) for reach in (34, 46, 58, 20)]
            else:
                length = math.hypot(x2 - x1, y2 - y1)
                along = ((x2 - x1) / length, (y2 - y1) / length)
                # Bent to the right of its way, so that there and back do not lie on each other.
                bend = (-along[1] * 34, along[0] * 34)
                x1, y1 = _edge_of_box(x1, y1, along)
                x2, y2 = _edge_of_box(x2, y2, (-along[0], -along[1]))
                turn = ((x1 + x2) / 2 + bend[0], (y1 + y2) / 2 + bend[1])
                path = f"M{x1:.1f} {y1:.1f}Q{turn[0]:.1f} {turn[1]:.1f} {x2:.1f} {y2:.1f}"
                # On the curve, nearer to where it comes from: the middle of the picture is where all ways cross. Where
                # many ways do, a line above or below it.
                ways = [
                    (
                        (1 - t) ** 2 * x1 + 2 * t * (1 - t) * turn[0] + t**2 * x2,
                        (1 - t) ** 2 * y1 + 2 * t * (1 - t) * turn[1] + t**2 * y2 + aside * _LETTER[1],
                    )
                    for aside in (0, -1, 1)
                    for t in (0.38, 0.3, 0.46, 0.24, 0.54, 0.18, 0.62, 0.7, 0.78)
                ]
            parts.append(f'<path d="{path}" fill="none" stroke="currentColor" opacity="0.6" marker-end="url(#tip)"/>')
            lines = label.split(" | ")
            x, y, box = _free(ways, lines, taken)
            taken.append(box)
            for k, line in enumerate(lines):
                labels.append(
                    f'<text x="{x:.1f}" y="{y + _LETTER[1] * k:.1f}" text-anchor="middle" fill="currentColor" '
                    f'style="stroke: {_PAPER}" stroke-width="3" paint-order="stroke">{html.escape(line)}</text>'
                )
        for state, (x, y) in places.items():
            fill, ink = ("#ffd166", "#222") if state == current else ("none", "currentColor")
            edge = 2.5 if state == self.initial else 1
            parts.append(
                f'<rect x="{x - width / 2:.1f}" y="{y - height / 2:.1f}" width="{width:g}" height="{height:g}" rx="8" '
                f'fill="{fill}" stroke="currentColor" stroke-width="{edge}"/>'
                f'<text x="{x:.1f}" y="{y + 4:.1f}" text-anchor="middle" fill="{ink}" font-weight="bold">'
                f"{html.escape(state)}</text>"
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


def _free(
    ways: list[tuple[float, float]], lines: list[str], taken: list[tuple[float, float, float, float]]
) -> tuple[float, float, tuple[float, float, float, float]]:
    """The first place that overlaps no box (left, top, right, bottom), or the one that overlaps least; and its box."""
    half, high, room = max(map(len, lines)) * _LETTER[0] / 2, _LETTER[1], 8
    found = []
    for x, y in ways:
        left, top, right, bottom = x - half, y - high + 3, x + half, y + high * (len(lines) - 1) + 3
        # With some room around it, or the words of two ways read as one.
        over = sum(
            max(min(right, box[2]) - max(left, box[0]) + room, 0)
            * max(min(bottom, box[3]) - max(top, box[1]) + room, 0)
            for box in taken
        )
        found.append((over, x, y, (left, top, right, bottom)))
    _, x, y, box = min(found, key=lambda place: place[0])
    return x, y, box


def _edge_of_box(x: float, y: float, along: tuple[float, float]) -> tuple[float, float]:
    """Where a line from a box's middle leaves the box."""
    width, height = _BOX
    reach = min(
        width / 2 / abs(along[0]) if along[0] else math.inf,
        height / 2 / abs(along[1]) if along[1] else math.inf,
    )
    return x + along[0] * reach, y + along[1] * reach
