"""A timeline to step through, forwards and back: what happened to whom, and what state each was in then.

A `Story` is what is shown: lanes of states, and events on them. `story` makes one of a model's run or of a lab's
result; a lesson may also write its own. `Scrubber` shows one story or several. The state at a time follows from the
story alone, so that going back is as good as going on.
"""

from __future__ import annotations

import itertools
import math
from bisect import bisect_right
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import singledispatch
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from traitlets import Dict, Float, TraitError, Unicode, validate

from accrual.lab import Event, LabResult
from accrual.recovery import Cut, Operation, Partition, Run
from accrual.show.widget import Widget, source

if TYPE_CHECKING:
    from collections.abc import Iterable

__all__ = ["NETWORK", "Scrubber", "Span", "Story", "as_story", "story_of_lab", "story_of_run"]

NETWORK: Final = "network"
"""The lane of what happens to links, and not to a node."""


class Span(NamedTuple):
    """A stretch of a lane in one state.

    Attributes
    ----------
    begin, end : float
        [s]
    state : str
        In a word or two. The picture knows these, and draws others plainly: primary, candidate, backup, down, fenced
        (each also ", paused"); answered, slow, failed, unknown, lost; whole, cut.
    """

    begin: float
    end: float
    state: str


@dataclass(frozen=True, eq=False, repr=False)
class Story:
    """What is shown: a lane of states for each actor, and events.

    Parameters
    ----------
    lanes : mapping of str to sequence of Span
        By actor, from top to bottom; a lane's spans in order, not overlapping. A lane may be empty, and have gaps.
    events : sequence of Event
        In any order; each with one of the actors.
    begin, end : float
        What is shown of it [s]. What lies before `begin` is left out, but for the states that it led to.

    Raises
    ------
    ValueError
        If `end` is not after `begin`, an event has no lane, or spans overlap.

    Examples
    --------
    >>> from accrual.lab import Event
    >>> one = Story({"a": [Span(0, 2, "primary"), Span(2, 5, "down")]}, [Event(2, "a", "crash")], 0, 5)
    >>> one.states(1), one.states(2), [event.what for event in one.upto(2)]
    ({'a': 'primary'}, {'a': 'down'}, ['crash'])
    """

    lanes: Mapping[str, Sequence[Span]]
    events: Sequence[Event]
    begin: float
    end: float

    def __post_init__(self) -> None:
        if not -math.inf < self.begin < self.end < math.inf:
            raise ValueError(f"end must be after begin, {self.begin!r} s, got {self.end!r}")
        for event in self.events:
            if event.who not in self.lanes:
                raise ValueError(f"an event's who must be a lane, {', '.join(self.lanes)}, got {event.who!r}")
        for actor, spans in self.lanes.items():
            for span, following in itertools.pairwise([*spans, None]):
                limit = math.inf if following is None else following.begin
                if span is not None and not span.begin <= span.end <= limit:
                    raise ValueError(f"spans of {actor} must be in order and not overlap, got {span}, {following}")
        shown = sorted((e for e in self.events if self.begin <= e.at <= self.end), key=lambda event: event.at)
        lanes = {
            actor: [
                Span(max(span.begin, self.begin), min(span.end, self.end), span.state)
                for span in spans
                if span.begin < self.end and span.end > self.begin
            ]
            for actor, spans in self.lanes.items()
        }
        object.__setattr__(self, "events", shown)
        object.__setattr__(self, "lanes", lanes)

    @property
    def stops(self) -> list[float]:
        """Where the steps stop: each time at which something happens, and both ends [s]."""
        return sorted({self.begin, *(event.at for event in self.events), self.end})

    def states(self, at: float) -> dict[str, str]:
        """Each actor's state at a time [s]; an empty word where its lane has none.

        At the end of a span it is the next one's state already.
        """
        found = {}
        for actor, spans in self.lanes.items():
            k = bisect_right(spans, at, key=lambda span: span.begin) - 1
            inside = k >= 0 and (at < spans[k].end or at == spans[k].end == self.end)
            found[actor] = spans[k].state if inside else ""
        return found

    def upto(self, at: float) -> list[Event]:
        """What has happened by then."""
        return [event for event in self.events if event.at <= at]

    def to_dict(self) -> dict[str, Any]:
        """As the browser gets it."""
        actors = list(self.lanes)
        return {
            "actors": actors,
            "spans": [[list(span) for span in spans] for spans in self.lanes.values()],
            "events": [[event.at, actors.index(event.who), event.what] for event in self.events],
            "stops": self.stops,
            "begin": self.begin,
            "end": self.end,
        }

    def __repr__(self) -> str:
        return "\n".join(f"{event.at:9.4f} s  {event.who}: {event.what}" for event in self.events)


# ---- stories of runs and labs ---------------------------------------------------------------------------------------


def story_of_run(run: Run, begin: float = 0.0, end: float | None = None, reads: bool = True) -> Story:
    """A story of a simulated run: a lane for each node, one for each client, one for the network if it was cut.

    A client's lane says what became of the request that it sent then: answered, slow, failed, unknown (nobody told
    it), or lost (told OK, and gone in the end).

    Parameters
    ----------
    run : Run
    begin, end : float
        What is shown of it [s]; by default all.
    reads : bool
        Whether the clients' lanes count reads, too.

    Examples
    --------
    >>> from accrual.recovery import Cluster, Crash, simulate
    >>> one = story_of_run(simulate(Cluster(), [Crash(at=2)], seconds=4))
    >>> one.states(2.1)
    {'node 0': 'down', 'node 1': 'backup', 'node 2': 'backup', 'client': 'slow'}
    """
    end = run.seconds if end is None else end
    nodes = [f"node {k}" for k in range(run.cluster.nodes)]
    cuts = [fault for fault in run.faults if isinstance(fault, Partition | Cut)]
    changes = sorted({0.0, *(happening.time for happening in run.timeline if happening.state is not None)})
    states = [run.states(at) for at in changes]
    ends = [*changes[1:], run.seconds]
    lanes: dict[str, Sequence[Span]] = {
        name: _merged(Span(at, until, row[k]) for at, until, row in zip(changes, ends, states, strict=True))
        for k, name in enumerate(nodes)
    }
    if cuts:
        lanes[NETWORK] = _of_network(cuts, run.seconds)
    lost = {operation.number for operation in run.findings.lost}
    for client in range(run.cluster.clients):
        asked = [o for o in run.operations if o.client == client and (reads or o.kind == "write")]
        ends = [*(operation.start for operation in asked), run.seconds][1:]
        lanes["client" if run.cluster.clients == 1 else f"client {client}"] = _merged(
            Span(operation.start, until, _became(operation, operation.number in lost, run.cluster.patience))
            for operation, until in zip(asked, ends, strict=True)
        )
    events = [
        Event(h.time, NETWORK if h.node is None else nodes[h.node], h.what + (f" ({h.detail})" if h.detail else ""))
        for h in run.timeline
    ]
    return Story(lanes, events, begin, end)


def _became(operation: Operation, lost: bool, patience: float) -> str:
    if lost:
        return "lost"
    if operation.status != "ok":
        return operation.status
    return "slow" if operation.end - operation.start > patience else "answered"


def _of_network(cuts: Sequence[Partition | Cut], seconds: float) -> list[Span]:
    """Whole, or cut: where one of the faults lasts."""
    ends = [seconds if cut.until is None else min(cut.until, seconds) for cut in cuts]
    edges = sorted({0.0, seconds, *(cut.at for cut in cuts if cut.at < seconds), *ends})
    return _merged(
        Span(one, two, "cut" if any(cut.at <= one < end for cut, end in zip(cuts, ends, strict=True)) else "whole")
        for one, two in itertools.pairwise(edges)
    )


def _merged(spans: Iterable[Span]) -> list[Span]:
    """Neighbours of one state made one; what lasts no time is left out."""
    found: list[Span] = []
    for span in spans:
        if span.end <= span.begin:
            continue
        if found and found[-1].state == span.state and found[-1].end == span.begin:
            found[-1] = found[-1]._replace(end=span.end)
        else:
            found.append(span)
    return found


def story_of_lab(
    result: LabResult,
    state: Callable[[Event], Mapping[str, str]] | None = None,
    *,
    events: Sequence[Event] | None = None,
    start: Mapping[str, str] | None = None,
    begin: float | None = None,
    end: float | None = None,
) -> Story:
    """A story of what a lab did: a lane for each of its actors, in the order in which they turn up.

    Parameters
    ----------
    result : LabResult
    state : function of Event, optional
        Which actors are in which state from that event on, as a mapping (empty: none changes). A lab tells in words
        what happened; only its lesson knows what they mean.
    events : sequence of Event, optional
        Those that are told, for instance of one trial; by default all.
    start : mapping of str to str, optional
        Actors that have a lane above the others, and their states from the beginning.
    begin, end : float, optional
        What is shown [s]; by default from a twentieth of the time before the first event to as much after the last.

    Raises
    ------
    ValueError
        If there are no events.

    Examples
    --------
    >>> from accrual.lab import Event, LabResult
    >>> found = LabResult("pair", {}, [], events=[Event(1, "a", "killed"), Event(3, "b", "promoted")])
    >>> states = {"killed": {"a": "down"}, "promoted": {"b": "primary"}}
    >>> one = story_of_lab(found, lambda event: states[event.what], start={"a": "primary", "b": "backup"})
    >>> one.states(0.95), one.states(2), one.states(3.05)
    ({'a': 'primary', 'b': 'backup'}, {'a': 'down', 'b': 'backup'}, {'a': 'down', 'b': 'primary'})
    """
    told = sorted(result.events if events is None else events, key=lambda event: event.at)
    if not told:
        raise ValueError(f"events must be one or more, the result of {result.lab} has none")
    start = {} if start is None else start
    margin = (told[-1].at - told[0].at or 1.0) / 20
    begin = told[0].at - margin if begin is None else begin
    end = told[-1].at + margin if end is None else end
    # From the very first event on, also where the story begins later.
    since, last = min(begin, told[0].at), max(end, told[-1].at)
    changes: dict[str, list[tuple[float, str]]] = {actor: [(since, word)] for actor, word in start.items()}
    for event in told:
        changes.setdefault(event.who, [])
        for actor, word in ({} if state is None else state(event)).items():
            changes.setdefault(actor, []).append((event.at, word))
    lanes = {}
    for actor, rows in changes.items():
        edges = [*rows, (last, "")]
        lanes[actor] = _merged(Span(at, until, word) for (at, word), (until, _) in itertools.pairwise(edges))
    return Story(lanes, told, begin, end)


@singledispatch
def as_story(told: object) -> Story:
    """A story as it is; a run or a lab's result as one.

    Raises
    ------
    TypeError
        If it is none of these.
    """
    raise TypeError(f"a Story, a Run or a LabResult is asked for, got {type(told).__name__}")


as_story.register(Story, lambda told: told)
as_story.register(Run, story_of_run)
as_story.register(LabResult, story_of_lab)


# ---- the widget -----------------------------------------------------------------------------------------------------


class Scrubber(Widget):
    """One story or several to step through: a slider over the time, and buttons from event to event.

    Parameters
    ----------
    stories : mapping of str to Story, Run or LabResult, or one of these
        By name.
    choice : str
        What the names are, in the list's label.

    Attributes
    ----------
    shown : str
        Which story is.
    at : float
        The time that is shown [s]. Before the story's beginning it is that, after its end that.
    found : dict of str to Story
    """

    _esm = source("controls.js", "scrubber.js")
    _css = source("phi.css", "tradeoff.css", "scrubber.css")

    shown = Unicode().tag(sync=True)
    at = Float(0.0).tag(sync=True)
    stories = Dict().tag(sync=True)
    choice = Unicode().tag(sync=True)

    def __init__(
        self, stories: Mapping[str, Story | Run | LabResult] | Story | Run | LabResult, choice: str = "Story"
    ) -> None:
        told = stories if isinstance(stories, Mapping) else {"": stories}
        if not told:
            raise ValueError("stories must be one or more, got none")
        self.found = {name: as_story(one) for name, one in told.items()}
        first = next(iter(self.found))
        super().__init__(
            stories={name: one.to_dict() for name, one in self.found.items()},
            shown=first,
            at=self.found[first].begin,
            choice=choice,
        )

    @validate("shown")
    def _known(self, proposal: dict[str, Any]) -> Any:
        if proposal["value"] not in self.found:
            raise TraitError(f"shown must be one of {', '.join(self.found)}, got {proposal['value']!r}")
        return proposal["value"]

    @validate("at")
    def _finite(self, proposal: dict[str, Any]) -> Any:
        if not math.isfinite(proposal["value"]):
            raise TraitError(f"at must be a finite number, got {proposal['value']!r}")
        return proposal["value"]

    @property
    def story(self) -> Story:
        """The one that is shown."""
        return self.found[self.shown]

    def step(self, by: int = 1) -> None:
        """Go so many events on, or back; at an end it stays."""
        stops, at = self.story.stops, min(max(self.at, self.story.begin), self.story.end)
        for _ in range(abs(by)):
            onward = [stop for stop in stops if (stop > at if by > 0 else stop < at)]
            if onward:
                at = onward[0] if by > 0 else onward[-1]
        self.at = at

    def describe(self) -> str:
        """What the widget shows now, in words."""
        one, at = self.story, min(max(self.at, self.story.begin), self.story.end)
        states = ", ".join(f"{actor} {state}" for actor, state in one.states(at).items() if state)
        happened = one.upto(at)
        last = "; ".join(f"{e.who}: {e.what}" for e in happened if e.at == happened[-1].at)
        told = f"{at:.4g} s, {len(happened)} of {len(one.events)} events"
        return "; ".join(part for part in (self.shown, told, states, last) if part)
