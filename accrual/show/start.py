"""Does it work here? The widget that says so by itself, in lesson 0."""

from __future__ import annotations

from typing import Any

from traitlets import Int

from accrual.show.widget import Widget, source

__all__ = ["SelfTest"]


class SelfTest(Widget):
    """Ask the kernel from the browser, and say how long the answer took.

    All that the lessons' widgets need is on the way: the package in the kernel, the connection between kernel and
    page, the front end's part of anywidget.

    Attributes
    ----------
    answered : int
        Questions that have arrived here.

    Examples
    --------
    >>> SelfTest()
    SelfTest(no browser has asked yet)
    """

    _esm = source("controls.js", "self_test.js")

    answered = Int(0)

    def __init__(self) -> None:
        super().__init__()
        self.on_msg(self._answer)

    def _answer(self, _widget: object, content: Any, _buffers: object) -> None:
        if isinstance(content, dict) and "ask" in content:
            self.answered += 1
            self.send({"answer": content["ask"]})

    def describe(self) -> str:
        """What has happened so far, in words."""
        return f"answered {self.answered} times" if self.answered else "no browser has asked yet"
