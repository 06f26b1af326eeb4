"""What a lab found: a table, figures, and what happened when."""

from __future__ import annotations

import math
import os
import platform
import sys
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, Final, Self

from accrual._version import __version__
from accrual.tables import aligned, as_html, figure

__all__ = ["Event", "LabResult", "this_machine"]


@dataclass(frozen=True)
class Event:
    """Something that happened in a lab.

    Attributes
    ----------
    at : float
        Since the lab began [s].
    who : str
        Which of its actors: a server, a client, a detector, the lab itself.
    what : str
        In a few words.
    """

    at: float
    who: str
    what: str


@dataclass(frozen=True)
class LabResult:
    """What a lab did and measured. It goes to JSON and back, so that a recorded result can be shown where no lab runs.

    Attributes
    ----------
    lab : str
        Its name.
    parameters : dict
        What it was called with, defaults included.
    rows : list of dict
        The table; each row has the same keys, values are JSON's.
    facts : dict
        Figures of the whole, by name.
    events : list of Event
        In order of time.
    seconds : float
        How long it took, cleaning included.
    machine : dict
        Where it was measured: system, processors, versions.
    recorded : str
        Of a recorded result when it was recorded, and why it is shown; nothing of one that was measured just now.

    Examples
    --------
    >>> found = LabResult("threads", {"rate": 120}, [{"service": "order", "failed": 0.5}], {"requests": 12})
    >>> print(found)
    threads: rate=120
    service  failed
    order       0.5
    requests: 12
    >>> LabResult.from_dict(found.to_dict()) == found
    True
    """

    lab: str
    parameters: dict[str, Any]
    rows: list[dict[str, Any]]
    facts: dict[str, Any] = field(default_factory=dict)
    events: list[Event] = field(default_factory=list)
    seconds: float = math.nan
    machine: dict[str, Any] = field(default_factory=dict)
    recorded: str = ""

    def to_dict(self) -> dict[str, Any]:
        """All of it as JSON has it."""
        found = asdict(self)
        return found | {"seconds": None if math.isnan(self.seconds) else self.seconds}

    @classmethod
    def from_dict(cls, found: Mapping[str, Any]) -> Self:
        """Read what `to_dict` gave."""
        seconds = found.get("seconds")
        return cls(
            lab=found["lab"],
            parameters=dict(found["parameters"]),
            rows=[dict(row) for row in found["rows"]],
            facts=dict(found.get("facts", {})),
            events=[Event(**event) for event in found.get("events", ())],
            seconds=math.nan if seconds is None else seconds,
            machine=dict(found.get("machine", {})),
            recorded=found.get("recorded", ""),
        )

    def __eq__(self, other: object) -> bool:
        return isinstance(other, LabResult) and self.to_dict() == other.to_dict()

    __hash__ = None  # type: ignore[assignment]  # it holds lists

    def to_pandas(self) -> Any:
        """The table as a DataFrame; needs pandas."""
        import pandas as pd

        return pd.DataFrame(self.rows)

    def _table(self) -> list[list[str]]:
        if not self.rows:
            return []
        names = list(self.rows[0])
        head = [name.replace("_", " ") for name in names]
        table = [head, *([_cell(row[name]) for name in names] for row in self.rows)]
        widths = (max(map(len, column)) + 2 for column in zip(*table, strict=True))
        # Few things with many properties: a column for each thing, so that a terminal has room for it.
        turned = len(self.rows) < len(names) and sum(widths) > _WIDE
        return [list(column) for column in zip(*table, strict=True)] if turned else table

    def _heading(self) -> str:
        said = f"{self.lab}: {', '.join(f'{name}={_cell(value)}' for name, value in self.parameters.items())}"
        return f"{said} [recorded {self.recorded}]" if self.recorded else said

    def __repr__(self) -> str:
        table = self._table()
        lines = [self._heading().removesuffix(": "), *([aligned(table, names=True)] if table else [])]
        return "\n".join(lines + [f"{name.replace('_', ' ')}: {_cell(value)}" for name, value in self.facts.items()])

    def _repr_html_(self) -> str:
        facts = [[name.replace("_", " "), _cell(value)] for name, value in self.facts.items()]
        tables = [as_html(self._heading(), self._table())] if self.rows else []
        return "".join([*tables, *([as_html("", [["figure", ""], *facts])] if facts else [])])


_WIDE: Final = 120  # a table that is wider is turned, if this makes it narrower [characters]


def _cell(value: Any) -> str:
    if value is None:
        return "-"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return figure(value)
    if isinstance(value, int):
        return f"{value:,}"
    if isinstance(value, list | tuple):
        return ", ".join(map(_cell, value)) or "-"
    return str(value)


def this_machine() -> dict[str, Any]:
    """What a measurement should say of where it was made; no name of the machine or of its user."""
    return {
        "system": f"{platform.system()} {platform.release()}",
        "machine": platform.machine(),
        "processors": len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count(),
        "python": ".".join(map(str, sys.version_info[:3])),
        "accrual": __version__,
    }
