"""Results as tables: for a terminal, and for a notebook."""

from __future__ import annotations

import html
import math
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["aligned", "as_html", "figure", "plain"]


def aligned(rows: Sequence[Sequence[str]], names: bool = False) -> str:
    """Lines whose columns line up, figures to the right; with `names` the first column to the left.

    Examples
    --------
    >>> print(aligned([("k", "mistakes"), ("1.5", "12"), ("10", "3")]))
      k  mistakes
    1.5        12
     10         3
    """
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return "\n".join(
        "  ".join(
            cell.ljust(width) if names and k == 0 else cell.rjust(width)
            for k, (cell, width) in enumerate(zip(row, widths, strict=True))
        ).rstrip()
        for row in rows
    )


def as_html(caption: str, rows: Sequence[Sequence[str]]) -> str:
    """A table for a notebook; the first row is the head."""
    head, *body = [[html.escape(cell) for cell in row] for row in rows]
    lines = ["<tr>" + "".join(f"<th>{cell}</th>" for cell in head) + "</tr>"]
    lines += ["<tr>" + "".join(f"<td>{cell}</td>" for cell in row) + "</tr>" for row in body]
    return f"<table><caption>{html.escape(caption)}</caption>{''.join(lines)}</table>"


def figure(value: float) -> str:
    """Four digits of a number; a dash where there is none.

    Examples
    --------
    >>> figure(0.0123456), figure(float("nan"))
    ('0.01235', '-')
    """
    return "-" if math.isnan(value) else f"{value:.4g}"


def plain(value: object) -> object:
    """A value as JSON has it: None for a number that is not finite."""
    return None if isinstance(value, float) and not math.isfinite(value) else value
