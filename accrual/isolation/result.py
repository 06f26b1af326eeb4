"""What all results of this package share: a table for a terminal and for a notebook, plain values, a DataFrame.

And the checks of parameters, so that the same mistake reads the same everywhere.
"""

from __future__ import annotations

import dataclasses
import math
from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from accrual.tables import aligned, as_html, plain

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["Result", "as_count", "as_name", "as_positive", "as_share", "check_size", "percent"]

MOST: Final = 10_000_000
"""Requests or heartbeats of a simulation: a minute of work, a gigabyte."""


class Result(ABC):
    """A result that a table shows; a frozen dataclass inherits from it and says what the table is."""

    @abstractmethod
    def title(self) -> str:
        """What it is, in a line."""

    @abstractmethod
    def table(self) -> list[list[str]]:
        """Its rows as texts, under a head; names in the first column."""

    @abstractmethod
    def records(self) -> list[dict[str, Any]]:
        """Its rows as plain values by name."""

    def __repr__(self) -> str:
        """The table."""
        return f"{self.title()}\n{aligned(self.table(), names=True)}"

    def _repr_html_(self) -> str:
        return as_html(self.title(), self.table())

    def to_dict(self) -> dict[str, Any]:
        """Plain values, as JSON takes them: every field by name, None for what is not finite."""
        assert dataclasses.is_dataclass(self), "results are dataclasses"
        return {f.name: _plain(getattr(self, f.name)) for f in dataclasses.fields(self)}

    def to_pandas(self):  # type: ignore[no-untyped-def]
        """A DataFrame, a row for each row of the table."""
        import pandas as pd

        return pd.DataFrame(self.records())


def _plain(value: Any) -> Any:
    if hasattr(value, "to_dict"):
        return value.to_dict()
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {f.name: _plain(getattr(value, f.name)) for f in dataclasses.fields(value)}
    if isinstance(value, np.ndarray | np.generic):
        return _plain(value.tolist())
    if isinstance(value, dict):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple | frozenset):
        return [_plain(item) for item in (sorted(value) if isinstance(value, frozenset) else value)]
    return plain(value)


def percent(share: float) -> str:
    """A share in percent, to three digits; what rounds to 0 or to 100 % and is not says so.

    Examples
    --------
    >>> percent(0.12345), percent(0), percent(1e-9), percent(0.99999)
    ('12.3 %', '0 %', '1e-07 %', '99.999 %')
    """
    if math.isnan(share):
        return "-"
    for digits in (3, 4, 5, 6, 8, 12):
        text = f"{100 * share:.{digits}g}"
        if float(text) != 100 or share == 1:
            break
    return f"{text} %"


def as_count(name: str, value: int, least: int = 1, most: float = math.inf) -> int:
    """Check a whole number."""
    if isinstance(value, bool) or not isinstance(value, int | np.integer) or not least <= value <= most:
        upto = f"of {least} or more" if most == math.inf else f"from {least:,} to {most:,}"
        raise ValueError(f"{name} must be a whole number {upto}, got {value!r}")
    return int(value)


def as_positive(name: str, value: float, unit: str, zero: bool = False) -> float:
    """Check a finite number above 0, or from 0 on."""
    good = isinstance(value, int | float | np.number) and not isinstance(value, bool)
    if not good or not 0 <= value < math.inf or (value == 0 and not zero):
        raise ValueError(f"{name} must be a number of {unit} {'of 0 or more' if zero else 'above 0'}, got {value!r}")
    return float(value)


def as_share(name: str, value: float, *, ends: bool = True) -> float:
    """Check a share from 0 to 1, with or without its ends."""
    good = isinstance(value, int | float | np.number) and not isinstance(value, bool)
    if not good or not 0 <= value <= 1 or (not ends and value in (0, 1)):
        bounds = "from 0 to 1" if ends else "above 0 and below 1"
        raise ValueError(f"{name} must be a share {bounds} (1 is 100 %), got {value!r}")
    return float(value)


def check_size(what: str, number: float) -> None:
    """Refuse what would take the machine's memory."""
    if number > MOST:
        raise ValueError(f"{what} must be at most {MOST:,}, got {number:,.6g}")


def as_name(name: str, value: str, known: Sequence[str]) -> str:
    """Check a name against those that there are."""
    if value not in known:
        raise ValueError(f"{name} must be one of {', '.join(known)}, got {value!r}")
    return value
