"""What all widgets share: JavaScript out of the files beside this one, a stylesheet, and what they show in words."""

from __future__ import annotations

from pathlib import Path

import anywidget

__all__ = ["Widget", "source"]


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
