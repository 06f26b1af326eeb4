"""What all widgets share: JavaScript out of the files beside this one, a stylesheet, and what they show in words."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import anywidget
from traitlets import Dict, TraitError, Unicode, validate

from accrual.show.own import heartbeats

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import ArrayLike

    from accrual.traces import Trace

__all__ = ["Gallery", "Widget", "source"]

Found = TypeVar("Found")


def source(*names: str) -> str:
    """The text of files beside this one: an anywidget is one module, and fetches nothing."""
    return "\n".join((Path(__file__).parent / name).read_text(encoding="utf-8") for name in names)


class Widget(anywidget.AnyWidget):
    """A widget of a lesson. Where no front end draws it, its text says what it would show."""

    _css = source("phi.css")

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.describe()})"

    def describe(self) -> str:
        """What the widget shows now, in words."""
        raise NotImplementedError


class Gallery(Widget):
    """A widget over one or more traces by name, one of which is shown.

    Attributes
    ----------
    shown : str
        Which trace is.
    traces : dict of str to dict
        What the browser draws of each.
    """

    shown = Unicode().tag(sync=True)
    stops = Dict().tag(sync=True)
    traces = Dict().tag(sync=True)

    @staticmethod
    def look_at(traces: Mapping[str, Trace] | Trace | ArrayLike, look: Callable[[Trace], Found]) -> dict[str, Found]:
        """What `look` finds in each trace, by name. One that cannot be shown is named."""
        if not isinstance(traces, Mapping):
            trace = heartbeats(traces)
            traces = {str(trace.about.get("title", "your trace")): trace}
        if not traces:
            raise ValueError("traces must be one or more, got none")
        found = {}
        for name, trace in traces.items():
            try:
                found[name] = look(trace)
            except ValueError as error:
                raise ValueError(f"{name}: {error}") from None
        return found

    @validate("shown")
    def _known(self, proposal: dict[str, Any]) -> Any:
        if proposal["value"] not in self.traces:
            raise TraitError(f"shown must be one of {', '.join(self.traces)}, got {proposal['value']!r}")
        return proposal["value"]
