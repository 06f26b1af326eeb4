"""Recorded results of labs, for machines on which a lab cannot run: what it found elsewhere, and where and when."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from accrual.lab.result import LabResult
from accrual.lab.running import LabError
from accrual.traces.bundled import data_root
from accrual.traces.child import UnavailableError

if TYPE_CHECKING:
    from collections.abc import Callable

    from accrual.lab.result import Event
    from accrual.lab.running import Lab

__all__ = ["FOLDER", "Recording", "recorded", "recordings", "run_or_recorded"]

FOLDER: Final = "labs"
"""Where they are, in the package's data; made by ``data/record_labs.py``."""


@dataclass(frozen=True, kw_only=True)
class Recording:
    """How a result came about.

    Attributes
    ----------
    name : str
        What `recorded` calls it: the lab's name, if no other is needed.
    file : str
        Beside the manifest.
    sha256 : str
        Of its bytes.
    command, date : str
        What made it, and when.
    machine : dict
        Where: system, processors, versions.
    """

    name: str
    file: str
    sha256: str
    command: str
    date: str
    machine: dict[str, Any]


def recordings() -> dict[str, Recording]:
    """All that the package has, by name.

    Examples
    --------
    >>> recordings()["threads"].file
    'threads.json'
    """
    rows = json.loads((data_root() / FOLDER / "manifest.json").read_text(encoding="utf-8"))
    return {row["name"]: Recording(**row) for row in rows}


def recorded(name: str) -> LabResult:
    """A recorded result.

    Parameters
    ----------
    name : str
        One of `recordings`.

    Raises
    ------
    ValueError
        There is none of that name.

    Examples
    --------
    >>> found = recorded("threads")
    >>> found.lab, bool(found.rows), found.recorded[:2]
    ('threads', True, '20')
    """
    known = recordings()
    if name not in known:
        raise ValueError(f"name must be one of {', '.join(sorted(known))}, got {name!r}")
    text = (data_root() / FOLDER / known[name].file).read_text(encoding="utf-8")
    return LabResult.from_dict(json.loads(text) | {"recorded": known[name].date})


def run_or_recorded(
    lab: Lab, recording: str | None = None, *, on_event: Callable[[Event], object] | None = None, **parameters: Any
) -> LabResult:
    """Run a lab; where this machine cannot, show what it found elsewhere, and say so.

    Parameters
    ----------
    lab : Lab
    recording : str, optional
        Which one, by default that of the lab's name. Its parameters may be others than those asked for: it says them.
    on_event : callable, optional
        As of the lab; the events of a recording are told, too.
    **parameters
        Of the lab.

    Returns
    -------
    LabResult
        Its `recorded` is empty if it was measured just now; else it says when it was recorded, and why it is shown.

    Raises
    ------
    ValueError, TypeError
        A parameter is wrong: no recording makes up for that.
    UnavailableError, LabError
        It cannot run, and there is no recording either.
    """
    try:
        return lab(on_event=on_event, **parameters)
    except (UnavailableError, LabError) as error:
        if (recording or lab.name) not in recordings():
            raise
        found = recorded(recording or lab.name)
        for event in found.events if on_event is not None else ():
            on_event(event)  # type: ignore[misc]  # there is nobody to tell otherwise
        return LabResult.from_dict(found.to_dict() | {"recorded": f"{found.recorded}; not run here: {error}"})
