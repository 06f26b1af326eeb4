"""A lab with a button: it runs beside the notebook, and what was recorded stands in for it until then.

The lab runs in processes of its own below its keeper, as always; here a thread waits for it, so that the notebook goes
on. When the kernel ends, in whatever way, the keeper's pipe closes and it clears everything away. When the page is
closed and the kernel lives, the lab runs to its end, which its limit bounds, and the result is there when the page is
opened again; when the output itself is removed, as by running its cell again, the lab is stopped.
"""

from __future__ import annotations

import atexit
import contextlib
import html
import shlex
import threading
import time
import weakref
from typing import TYPE_CHECKING, Any, Final

import ipywidgets
from traitlets import Dict, Instance, List, Unicode

from accrual.lab import LABS, Lab, LabError, LabResult, UnavailableError, recorded, recordings
from accrual.show.widget import Widget, source

if TYPE_CHECKING:
    from collections.abc import Callable

    from accrual.lab import Event

__all__ = ["Following", "RunLab", "Words"]

_ALL: weakref.WeakSet[RunLab] = weakref.WeakSet()
_TURN: Final = threading.RLock()
"""Whoever starts or stops a lab, or says how it ended, has it; what observes the phase may do so, too."""
_EXPECTED: Final = (LabError, UnavailableError, ValueError, TypeError)
"""What a lab raises with words for its user."""


class RunLab(Widget):
    """A lab, a button that runs it here, and its result: the recorded one until it has run.

    One lab runs at a time in a notebook, for two at once would disturb each other's measurements.

    Parameters
    ----------
    lab : Lab or str
        Or its name.
    recording : str, optional
        Which recorded result is shown until it has run; by default that of the lab's name, where there is one.
    **parameters
        Of the lab.

    Attributes
    ----------
    result : LabResult or None
        The recorded one, or what was found here. It may be observed; None if nothing was recorded.
    phase : str
        ``"ready"``, ``"lacking"`` (this machine lacks something), ``"running"``, ``"stopping"``, ``"done"``,
        ``"failed"`` or ``"stopped"``.
    words : str
        What there is to say about it, in a sentence or two.
    events : list
        What happened, of this run or of the recorded one: lists of time [s], actor, and what.

    Raises
    ------
    ValueError, TypeError
        No such lab or recording; a recording of another lab; no such parameter.

    Examples
    --------
    >>> from accrual.isolation.labs import ladder
    >>> lab = RunLab(ladder, trips=100)
    >>> lab.command, lab.result.lab
    ('accrual lab ladder --trips 100', 'ladder')
    >>> lab.start()
    >>> lab.wait()
    >>> lab.phase, lab.result.parameters["trips"], lab.result.recorded
    ('done', 100, '')
    """

    _esm = source("controls.js", "run_lab.js")
    _css = source("phi.css", "live.css", "run_lab.css")

    result = Instance(LabResult, allow_none=True)
    phase = Unicode("ready").tag(sync=True)
    words = Unicode().tag(sync=True)
    said = Unicode().tag(sync=True)
    lacks: List[Any] = List().tag(sync=True)
    events: List[Any] = List().tag(sync=True)
    about = Dict().tag(sync=True)
    shown = Dict().tag(sync=True)

    def __init__(self, lab: Lab | str, /, *, recording: str | None = None, **parameters: Any) -> None:
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None
        self.lab = lab if isinstance(lab, Lab) else _named(lab)
        self.parameters = self.lab.bound(parameters)
        found = _recorded(self.lab, recording)
        self._seconds = None if found is None else found.seconds
        self._views: set[str] = set()
        self._refused = False
        self._when = ""
        super().__init__(
            about={
                "name": self.lab.name,
                "summary": self.lab.summary,
                "command": self.command,
                "seconds": self._seconds,
                "limit": self.lab.limit,
            }
        )
        if found is not None:
            self._show(found)
        self.look()
        self.on_msg(self._heard)
        with _TURN:
            _ALL.add(self)

    @property
    def command(self) -> str:
        """The same on the command line."""
        options = []
        for name, value in self.parameters.items():
            if value != self.lab.parameters[name].default:
                option = f"--{'no-' if value is False else ''}{name.replace('_', '-')}"
                options += [option] if isinstance(value, bool) else [option, str(value)]
        return shlex.join(["accrual", "lab", self.lab.name, *options])

    # ---- what can be done ----

    def look(self) -> None:
        """See whether this machine has what the lab needs; unless it runs."""
        if self._running():
            return
        self.lacks = [list(lack) for lack in self.lab.lacking(**self.parameters)]
        if self.lacks:
            self._say("lacking", "It cannot run here: this machine lacks something.")
        elif self.phase in ("ready", "lacking"):
            self._say("ready", "")

    def start(self) -> None:
        """Run it, if it does not run yet; it goes on when this returns. Why it was not started, `words` say."""
        with _TURN:
            if self._running():
                return
            self.look()
            if self.lacks:
                return
            other = next((one for one in _ALL if one._running()), None)
            if other is not None:
                self._refused = True
                self.words = (
                    f"Not started: the lab {other.lab.name} is running in this notebook, and two at once would disturb "
                    "each other's measurements. Wait for its end, or stop it there."
                )
                return
            self._stop.clear()
            self._views.clear()  # those that look now will say so
            self.events = []
            self._say("running", "It runs here, in processes of its own. You can read on, and run other cells.")
            self._thread = threading.Thread(target=self._run, name=f"accrual-lab-{self.lab.name}", daemon=True)
            self._thread.start()

    def stop(self) -> None:
        """End it, if it runs; it is cleared away when this returns, or a moment later."""
        with _TURN:
            if self.phase == "running":
                self._stop.set()
                self._say("stopping", "It is being stopped, and what it has started is cleared away.")

    def wait(self, seconds: float | None = None) -> None:
        """Until it has come to its end, however; for so long at most [s]."""
        thread = self._thread
        if thread is not None and thread is not threading.current_thread():
            thread.join(seconds)

    def then(self, build: Callable[[LabResult], Any]) -> Following:
        """What `build` makes of the result, shown wherever you put it, and made anew whenever the result changes.

        Parameters
        ----------
        build : callable
            Takes the result; gives a widget, or anything else that a cell could show: a table, text.
        """
        return Following(self, build)

    def close(self) -> None:
        """End it, and take the widget out of the page."""
        self._stop.set()  # and no lock: the garbage collector calls this too, at any time
        self.wait()
        super().close()

    # ---- what the page says ----

    def _heard(self, _widget: object, content: Any, _buffers: object) -> None:
        if not isinstance(content, dict):
            return
        view = str(content.get("view", ""))[:40]
        if content.get("gone"):
            self._views.discard(view)
            if not self._views:
                self.stop()
            return
        deed = {"run": self.start, "stop": self.stop, "look": self.look}.get(str(content.get("do")))
        try:
            if deed is not None:
                deed()
        finally:
            self.send({"answered": True})
        if len(self._views) < 100:
            self._views.add(view)

    # ---- the thread ----

    def _running(self) -> bool:
        return self.phase in ("running", "stopping")

    def _run(self) -> None:
        phase, words, said = "done", "", ""
        try:
            found = self.lab(on_event=self._happened, stop=self._stop, **self.parameters)
        except Exception as error:  # whatever it is: it has to be seen where somebody looks
            phase, words, said = self._went_wrong(error)
        else:
            self._when = time.strftime("%H:%M:%S")
            try:
                self._show(found)
            except Exception as error:  # of whoever observes the result
                words = f"What follows from the result failed: {type(error).__name__}: {error}"
        with _TURN, contextlib.suppress(Exception):  # the connection may be what ended
            self._say(phase, words, said)
            for one in [one for one in _ALL if one._refused]:  # that was so then
                one._refused, one.words = False, ""

    def _went_wrong(self, error: Exception) -> tuple[str, str, str]:
        text = str(error) if isinstance(error, _EXPECTED) else f"{type(error).__name__}: {error}"
        if self._stop.is_set():
            return "stopped", "It was stopped, and what it had started is cleared away.", ""
        first, _, more = text.partition("\n")
        first = first.removesuffix(": Traceback (most recent call last):")
        return "failed", f"It did not work: {first}. What it had started is cleared away.", more

    def _happened(self, event: Event) -> None:
        self.events = sorted([*self.events, [event.at, event.who, event.what]], key=lambda row: row[0])

    def _show(self, found: LabResult) -> None:
        self.events = [[event.at, event.who, event.what] for event in found.events]
        self.shown = {
            "recorded": found.recorded,
            "origin": _origin(found, self._when),
            "table": found._repr_html_(),
            "rows": len(found.rows),
        }
        self.result = found

    def _say(self, phase: str, words: str, said: str = "") -> None:
        self.words, self.said, self.phase = words, said, phase

    def describe(self) -> str:
        """What the widget shows now, in words."""
        lacks = "; ".join(f"{what} ({remedy})" for what, remedy in self.lacks)
        takes = "" if self._seconds is None else f", takes about {self._seconds:.0f} s"
        told = [f"{self.command}: {self.phase}{takes}", self.words, lacks and f"lacks {lacks}", self.said]
        if self.result is not None:
            told += [f"{'recorded' if self.result.recorded else 'run here'} {self.shown['origin']}", repr(self.result)]
        return "\n".join(part for part in told if part)


def _named(name: str) -> Lab:
    """A lab by its name, for which all have to be imported."""
    import accrual.isolation.labs
    import accrual.recovery.labs  # noqa: F401  # both tell their names

    if name not in LABS:
        raise ValueError(f"lab must be one of {', '.join(sorted(LABS))}, got {name!r}")
    return LABS[name]


def _recorded(lab: Lab, recording: str | None) -> LabResult | None:
    if recording is None and lab.name not in recordings():
        return None
    found = recorded(recording or lab.name)
    if found.lab != lab.name:
        raise ValueError(f"recording must be one of the lab {lab.name}, got {recording!r}, of {found.lab}")
    return found


def _origin(found: LabResult, when: str) -> str:
    """Where a result is from, for those who see it beside one from elsewhere."""
    if not found.recorded:
        return f"just now: ended at {when}, after {found.seconds:.1f} s"
    machine = found.machine
    return (
        f"{found.recorded}, not run here: on {machine['system']}, {machine['processors']} processors, "
        f"Python {machine['python']}, in {found.seconds:.1f} s"
    )


# ---- what follows from a result -------------------------------------------------------------------------------------


class Words(Widget):
    """Text or a table, where a widget is asked for."""

    _esm = source("controls.js", "words.js")

    html = Unicode().tag(sync=True)

    def __init__(self, shown: Any) -> None:
        self._text = shown if isinstance(shown, str) else repr(shown)
        rich = getattr(shown, "_repr_html_", lambda: None)()
        super().__init__(html=f"<pre>{html.escape(self._text)}</pre>" if rich is None else rich)

    def __repr__(self) -> str:
        return self._text

    def describe(self) -> str:
        """The text."""
        return self._text


class Following(ipywidgets.VBox):  # type: ignore[misc]  # it has no types
    """What is made of a lab's result, made anew with each result; see `RunLab.then`."""

    children: Any

    def __init__(self, lab: RunLab, build: Callable[[LabResult], Any]) -> None:
        self._build = build
        super().__init__(children=[self._made(lab.result)])
        lab.observe(self._renew, "result")

    @property
    def made(self) -> Any:
        """What is shown now."""
        return self.children[0]

    def _made(self, result: LabResult | None) -> Any:
        if result is None:
            return Words("Nothing to show yet: the lab has not run.")
        made = self._build(result)
        return made if isinstance(made, ipywidgets.DOMWidget) else Words(made)

    def _renew(self, change: Any) -> None:
        try:
            made = self._made(change["new"])
        except Exception as error:
            made = Words(f"This cannot be made of the new result. {type(error).__name__}: {error}")
        old = list(self.children)
        self.children = [made]
        for one in old:
            one.close()

    def __repr__(self) -> str:
        return repr(self.made)


@atexit.register
def _end_all() -> None:
    running = [one for one in _ALL if one._running()]
    for one in running:
        one.stop()
    for one in running:
        one.wait(5)
