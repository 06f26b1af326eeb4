"""Heartbeats, who watches whom, and the fixed timeout k x T: the widgets of lesson 2.

Numbers, picture and widget are kept apart as in `accrual.show.phi`. Nothing here asks the kernel while a slider moves.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import numpy as np
from traitlets import Dict, Float, Int, List, TraitError, Unicode, validate

from accrual.detectors import FixedTimeout
from accrual.monitor import Monitor
from accrual.qos import curve
from accrual.replay import replay
from accrual.show.own import heartbeats, nominal_period
from accrual.show.phi import METRICS, NS, timeline
from accrual.show.widget import Widget, source
from accrual.traces import Trace

if TYPE_CHECKING:
    from collections.abc import Sequence

    from accrual.qos import Curve

__all__ = [
    "TOPOLOGIES",
    "CrashTimeline",
    "KTimesT",
    "Topologies",
    "Topology",
    "Watched",
    "crash",
    "crash_bounds",
    "thinned",
    "topology",
]

# ---- numbers --------------------------------------------------------------------------------------------------------


class Watched(NamedTuple):
    """A sender that crashes, and what its watcher makes of it; all in s, from the first heartbeat's sending on.

    Attributes
    ----------
    crash : float
        When it crashes. A heartbeat that is due at this very time is still sent.
    sent, arrived : list of float
        Its heartbeats, and when they reach the watcher.
    suspected : float
        When the watcher suspects it; inf if never.
    detection_time : float
        From the crash until then.
    """

    crash: float
    sent: list[float]
    arrived: list[float]
    suspected: float
    detection_time: float


def crash(at: float, period: float, k: float, transit: float = 0.0) -> Watched:
    """Let a sender crash `at` some time and tell what a timeout k x period makes of it.

    Parameters
    ----------
    at : float
        The crash, 0 or later [s]; the first heartbeat is sent at 0.
    period : float
        Between heartbeats [s].
    k : float
        Periods of silence until the suspicion.
    transit : float
        How long each heartbeat is under way [s].

    Examples
    --------
    >>> just_after_a_heartbeat = crash(at=1.0, period=0.2, k=5, transit=0.03)
    >>> just_after_a_heartbeat.detection_time, crash(1.19, 0.2, 5, transit=0.03).detection_time
    (1.03, 0.84)
    """
    for name, value, least in (("at", at, 0.0), ("period", period, 1e-9), ("k", k, 0.0), ("transit", transit, 0.0)):
        if not least <= value < math.inf:
            raise ValueError(f"{name} must be a finite number, {least:g} or more, got {value!r}")
    step, under_way, end = (round(value * NS) for value in (period, transit, at))
    sent = range(0, end + 1, step)
    watcher = Monitor(FixedTimeout(period=period), threshold=k)
    for instant in sent:
        watcher.heartbeat(now=instant + under_way)
    deadline = watcher.deadline()
    suspected = math.inf if deadline is None else deadline  # of a patience beyond int64 there is no deadline
    return Watched(
        crash=end / NS,
        sent=[instant / NS for instant in sent],
        arrived=[(instant + under_way) / NS for instant in sent],
        suspected=suspected / NS,
        detection_time=(suspected - end) / NS,
    )


def crash_bounds(period: float, k: float, transit: float = 0.0) -> tuple[float, float]:
    """Detection time in the worst case, and for a crash at any time alike [s]: what `accrual.qos` calls them.

    Examples
    --------
    >>> crash_bounds(0.2, 5, transit=0.03)
    (1.03, 0.93)
    """
    sent = np.arange(3) * round(period * NS)
    beats = Trace(sent + round(transit * NS), sent=sent, period=period)
    found = curve(beats, FixedTimeout(period=period), [k])[0]
    return found.detection_time, found.detection_time_uniform


TOPOLOGIES: Final = {
    "push": "all send to one",
    "pull": "one asks all",
    "ring": "each sends to the next",
    "mesh": "each sends to all",
    "gossip": "each sends to two at random",
}
FANOUT: Final = 2
"""To how many a member gossips in a period."""


@dataclass(frozen=True)
class Topology:
    """Who sends heartbeats to whom, and what it costs; everything per period.

    Attributes
    ----------
    name : str
        One of `TOPOLOGIES`.
    nodes : int
        How many there are; node 0 is the watcher where there is only one.
    edges : list of (int, int)
        From whom to whom a message goes.
    busiest : int
        Messages that the busiest node sends or receives.
    watchers : int
        How many nodes notice by themselves that the last node is silent.
    rounds : int
        Periods until the last node's heartbeat has reached all that watch it.
    """

    name: str
    nodes: int
    edges: list[tuple[int, int]]
    busiest: int
    watchers: int
    rounds: int

    @property
    def messages(self) -> int:
        """How many there are in a period."""
        return len(self.edges)


def topology(name: str, nodes: int, seed: int = 58) -> Topology:
    """Lay out who sends heartbeats to whom.

    Parameters
    ----------
    name : str
        One of `TOPOLOGIES`.
    nodes : int
        How many, 3 or more.
    seed : int
        For gossip, which is by chance.

    Examples
    --------
    >>> [topology(name, 10).messages for name in TOPOLOGIES]
    [9, 18, 10, 90, 20]
    """
    if name not in TOPOLOGIES:
        raise ValueError(f"name must be one of {', '.join(TOPOLOGIES)}, got {name!r}")
    if nodes <= FANOUT:
        raise ValueError(f"nodes must be {FANOUT + 1} or more, got {nodes!r}")
    members, watchers, rounds = range(1, nodes), 1, 1
    if name == "push":
        edges = [(member, 0) for member in members]
    elif name == "pull":
        edges = [(0, member) for member in members] + [(member, 0) for member in members]
    elif name == "ring":
        edges = [(member, (member + 1) % nodes) for member in range(nodes)]
    elif name == "mesh":
        edges = [(a, b) for a in range(nodes) for b in range(nodes) if a != b]
        watchers = nodes - 1
    else:
        chance = np.random.default_rng(seed)
        edges = _gossip(nodes, chance)
        watchers, heard, rounds = nodes - 1, {nodes - 1}, 0
        talk = edges
        while len(heard) < nodes:
            heard |= {b for a, b in talk if a in heard}
            talk = _gossip(nodes, chance)
            rounds += 1
    load = np.bincount(np.array(edges).ravel(), minlength=nodes)
    return Topology(name, nodes, edges, int(load.max()), watchers, rounds)


def _gossip(nodes: int, chance: np.random.Generator) -> list[tuple[int, int]]:
    """One period: each tells two others, by chance, what it knows of everybody."""
    return [
        (a, int(b) + (int(b) >= a))  # the others are numbered without oneself
        for a in range(nodes)
        for b in chance.choice(nodes - 1, FANOUT, replace=False)
    ]


def thinned(trace: Trace, every: int) -> Trace:
    """What would have been recorded, had the sender sent only each `every`-th of its heartbeats.

    By sequence number where there are some, so that a lost heartbeat stays a lost one; else by count.

    Examples
    --------
    >>> beats = Trace([0, 10, 21, 40, 50], sequence=[0, 1, 2, 4, 5], period=1e-8)
    >>> slower = thinned(beats, 2)
    >>> slower.arrivals, slower.sequence, slower.period
    (array([ 0, 21, 40]), array([0, 1, 2]), 2e-08)
    """
    if isinstance(every, bool) or not isinstance(every, int | np.integer) or every < 1:
        raise ValueError(f"every must be a whole number, 1 or more, got {every!r}")
    numbers = np.arange(len(trace)) if trace.sequence is None else trace.sequence
    kept = numbers % every == 0
    columns = {name: getattr(trace, name) for name in ("sequence", "sent", "sent_remote", "epoch")}
    columns = {name: None if column is None else column[kept] for name, column in columns.items()}
    if columns["sequence"] is not None:
        columns["sequence"] = columns["sequence"] // every
    period = None if trace.period is None else round(trace.period * every, 12)
    return Trace(trace.arrivals[kept], **columns, period=period, **trace.about)


# ---- widgets --------------------------------------------------------------------------------------------------------


def _nearest(choices: Sequence[float], proposal: dict[str, Any]) -> Any:
    """The stop of a slider that is nearest to what was asked for."""
    if not 0 < proposal["value"] < math.inf:
        raise TraitError(f"{proposal['trait'].name} must be more than 0, got {proposal['value']!r}")
    return min(choices, key=lambda choice: abs(math.log(choice / proposal["value"])))


class CrashTimeline(Widget):
    """Heartbeats on their way to a watcher, a crash that can be dragged, and when it is noticed.

    Parameters
    ----------
    transit : float
        How long a heartbeat is under way [s].

    Attributes
    ----------
    k, period : float, float [s]
        Where the sliders are. Set one, and it goes to the nearest stop.
    stop : int
        When the crash is, in twentieths of a period after the third heartbeat.

    Examples
    --------
    >>> CrashTimeline()
    CrashTimeline(5 x 0.2 s = 1 s: crash 0 s after a heartbeat was sent, suspected 1.03 s later)
    """

    _esm = source("controls.js", "crash_timeline.js")
    _css = source("phi.css", "fixed.css")

    PERIODS: Final = (0.1, 0.2, 0.5, 1.0)
    BEATS: Final = tuple(range(1, 11))
    STOPS: Final = 40
    PARTS: Final = 20  # of a period

    stop = Int(0).tag(sync=True)
    k = Int(5).tag(sync=True)
    period = Float(0.2).tag(sync=True)
    stops = Dict().tag(sync=True)
    transit = Float().tag(sync=True)
    stories: List[Any] = List().tag(sync=True)

    def __init__(self, transit: float = 0.03) -> None:
        self._stories = [[self._story(period, k, transit) for k in self.BEATS] for period in self.PERIODS]
        super().__init__(
            transit=transit,
            stops={"period": list(self.PERIODS), "k": list(self.BEATS), "stop": list(range(self.STOPS + 1))},
            stories=self._stories,
        )

    def _story(self, period: float, k: int, transit: float) -> dict[str, Any]:
        """All crashes of one timeout. The heartbeats of the last of them are those of all, as far as they go."""
        crashes = [crash((2 + stop / self.PARTS) * period, period, k, transit) for stop in range(self.STOPS + 1)]
        worst, uniform = crash_bounds(period, k, transit)
        return {
            "sent": crashes[-1].sent,
            "arrived": crashes[-1].arrived,
            "crash": [one.crash for one in crashes],
            "last": [len(one.sent) - 1 for one in crashes],
            "suspected": [one.suspected for one in crashes],
            "detection_time": [one.detection_time for one in crashes],
            "worst": worst,
            "uniform": uniform,
        }

    @validate("k", "period")
    def _at_a_stop(self, proposal: dict[str, Any]) -> Any:
        return _nearest(self.BEATS if proposal["trait"].name == "k" else self.PERIODS, proposal)

    @validate("stop")
    def _within(self, proposal: dict[str, Any]) -> int:
        return int(min(max(proposal["value"], 0), self.STOPS))

    def describe(self) -> str:
        """What the widget shows now, in words."""
        story = self._stories[self.PERIODS.index(self.period)][self.BEATS.index(self.k)]
        at = story["crash"][self.stop]
        return (
            f"{self.k} x {self.period:g} s = {self.k * self.period:g} s: crash "
            f"{at - story['sent'][story['last'][self.stop]]:.3g} s after a heartbeat was sent, "
            f"suspected {story['detection_time'][self.stop]:.3g} s later"
        )


class Topologies(Widget):
    """Who watches whom, and how many messages that takes.

    Attributes
    ----------
    arrangement : str
        One of `TOPOLOGIES`.
    nodes : int
        Where the slider is. Set it, and it goes to the nearest stop.

    Examples
    --------
    >>> Topologies()
    Topologies(10 nodes, all send to one: 9 messages a period, 9 at the busiest node)
    """

    _esm = source("controls.js", "choices.js", "topologies.js")
    _css = source("phi.css", "fixed.css")

    NODES: Final = (3, 5, 10, 20, 50)
    PERIOD: Final = 0.2

    arrangement = Unicode("push").tag(sync=True)
    nodes = Int(10).tag(sync=True)
    stops = Dict().tag(sync=True)
    kinds = Dict().tag(sync=True)

    def __init__(self) -> None:
        self._kinds = {name: [topology(name, nodes) for nodes in self.NODES] for name in TOPOLOGIES}
        super().__init__(
            stops={"nodes": list(self.NODES)},
            kinds={
                name: {
                    "title": TOPOLOGIES[name],
                    "sizes": [
                        {
                            "edges": kind.edges,
                            "messages": kind.messages,
                            "busiest": kind.busiest,
                            "watchers": kind.watchers,
                            "rounds": kind.rounds,
                            "rate": round(kind.messages / self.PERIOD, 9),
                        }
                        for kind in kinds
                    ],
                }
                for name, kinds in self._kinds.items()
            },
        )

    @validate("arrangement")
    def _known(self, proposal: dict[str, Any]) -> Any:
        if proposal["value"] not in TOPOLOGIES:
            raise TraitError(f"arrangement must be one of {', '.join(TOPOLOGIES)}, got {proposal['value']!r}")
        return proposal["value"]

    @validate("nodes")
    def _at_a_stop(self, proposal: dict[str, Any]) -> Any:
        return _nearest(self.NODES, proposal)

    def describe(self) -> str:
        """What the widget shows now, in words."""
        kind = self._kinds[self.arrangement][self.NODES.index(self.nodes)]
        return (
            f"{self.nodes} nodes, {TOPOLOGIES[self.arrangement]}: {kind.messages:,} messages a period, "
            f"{kind.busiest:,} at the busiest node"
        )


FIELDS: Final = (*METRICS, "detection_time_uniform")


class KTimesT(Widget):
    """A fixed timeout k x T over a recorded trace: its mistakes and its detection time.

    A longer period T is what the same sender would have sent, had it sent each second heartbeat, each fifth, and so on.

    Parameters
    ----------
    trace : Trace
        With a period, or the median interval stands in for it. At least 100 heartbeats.

    Attributes
    ----------
    k, period : int, float [s]
        Where the sliders are. Set one, and it goes to the nearest stop.
    curves : list of Curve
        FixedTimeout at all stops of k, for each stop of T.
    """

    _esm = source("controls.js", "tradeoff.js", "k_times_t.js")
    _css = source("phi.css", "fixed.css")

    BEATS: Final = (*range(1, 11), 12, 15, 20, 25, 30, 40, 50, 75, 100)
    EVERY: Final = (1, 2, 5, 10, 20, 50)

    k = Int(5).tag(sync=True)
    period = Float().tag(sync=True)
    stops = Dict().tag(sync=True)
    about = Dict().tag(sync=True)
    tables: List[Any] = List().tag(sync=True)

    def __init__(self, trace: Trace) -> None:
        trace = heartbeats(trace)
        arrivals = np.maximum.accumulate(trace.arrivals)
        nominal = nominal_period(trace)
        slower = [(every, thinned(trace, every)) for every in self.EVERY]
        slower = [(every, beats) for every, beats in slower if every == 1 or len(beats) >= 20]
        self._every = [every for every, _ in slower]
        self._periods = [round(every * nominal, 12) for every in self._every]
        self.span = float(arrivals[-1] - arrivals[0]) / NS
        self.curves: list[Curve] = []
        tables = []
        for period, (every, beats) in zip(self._periods, slower, strict=True):
            detector = FixedTimeout(period=period)
            found = curve(beats, detector, self.BEATS)
            self.curves.append(found)
            table = found.to_dict()
            span = float(beats.arrivals.max() - beats.arrivals[0]) / NS
            tables.append(
                {name: table[name] for name in FIELDS}
                | {
                    "every": every,
                    "rate": round(1 / period, 9),
                    "observed": float(found[0].observed),
                    "silence": timeline(replay(beats, detector), 0, span).silence.tolist(),
                    "span": span,
                }
            )
        super().__init__(
            stops={"k": list(self.BEATS), "period": self._periods},
            about={"name": str(trace.about.get("title", "The trace")), "nominal": nominal},
            tables=tables,
            period=self._periods[0],
        )

    @validate("k", "period")
    def _at_a_stop(self, proposal: dict[str, Any]) -> Any:
        return _nearest(self.BEATS if proposal["trait"].name == "k" else self._periods, proposal)

    def describe(self) -> str:
        """What the widget shows now, in words."""
        found = self.curves[self._periods.index(self.period)][self.BEATS.index(self.k)]
        return (
            f"{self.k} x {self.period:g} s = {self.k * self.period:g} s: {found.mistakes:,} mistakes in "
            f"{found.observed:.0f} s, detection in {found.detection_time:.3g} s"
        )
