"""Pictures of what happened in a lab: a lane for each of its actors."""

from __future__ import annotations

from typing import TYPE_CHECKING

from accrual.show import plots

if TYPE_CHECKING:
    import os

    from matplotlib.axes import Axes

    from accrual.lab import LabResult

__all__ = ["describe_events", "draw_events", "write_events"]


def draw_events(ax: Axes, result: LabResult) -> None:
    """Draw the events of a lab along the time, a lane for each actor, in the order in which they first appear.

    Numbers stand beside the marks; what they mean is the key below.
    """
    lanes = list(dict.fromkeys(event.who for event in result.events))
    for number, event in enumerate(result.events, 1):
        lane = lanes.index(event.who)
        ax.plot([event.at], [lane], "o", color="#0072B2", markersize=5)
        ax.annotate(str(number), (event.at, lane), (0, 5), textcoords="offset points", ha="center", fontsize="x-small")
    ax.set_yticks(range(len(lanes)), lanes)
    ax.set_ylim(len(lanes) - 0.5, -0.6)
    ax.grid(axis="y", alpha=0.3)
    key = "\n".join(f"{number}. {event.at:.2f} s  {event.what}" for number, event in enumerate(result.events, 1))
    ax.set_xlabel(f"time [s]\n\n{key}", loc="left", fontsize="small", parse_math=False)


def describe_events(result: LabResult) -> str:
    """The same in words, and the lab's table: the picture's text alternative."""
    return "\n".join([repr(result), *(f"{event.at:.3f} s  {event.who}: {event.what}" for event in result.events)])


def write_events(path: str | os.PathLike[str], result: LabResult) -> None:
    """Write a picture of a lab's events to a file, whole or not at all."""
    title = f"accrual lab {result.lab}"
    plots.write_picture(path, lambda ax: draw_events(ax, result), title, describe_events(result))
