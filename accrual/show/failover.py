"""What a failover costs, how long an election takes, and whether to wait: the widgets of lesson 9.

Numbers and widgets are kept apart as in `accrual.show.phi`. All is computed beforehand; a slider asks no kernel.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import numpy as np
from traitlets import Dict, Float, Int, List, TraitError, Unicode, validate

from accrual.detectors import NS, FixedTimeout, PhiNormal
from accrual.lab import Event
from accrual.recovery import Cluster, Crash, Waiting, simulate, split_vote, waiting_cost
from accrual.replay import replay
from accrual.show.scrubber import Scrubber, story_of_lab
from accrual.show.widget import Widget, source
from accrual.traces.synthetic import synthesize

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

    from accrual.detectors import Detector
    from accrual.lab import LabResult
    from accrual.recovery import Run
    from accrual.show.scrubber import Story

__all__ = [
    "NeedlessFailovers",
    "Price",
    "Split",
    "SplitVotes",
    "WaitOrPromote",
    "decided_after",
    "outages",
    "prices",
    "split_votes",
    "story_of_trial",
    "trials",
    "writable_again",
]

# ---- numbers: a failover --------------------------------------------------------------------------------------------


def writable_again(run: Run) -> float:
    """How long after its first fault a run's clients hear OK from another primary, for a write [s]; nan if never.

    Examples
    --------
    >>> round(writable_again(simulate(Cluster(), [Crash(at=2)], seconds=4)), 3)
    0.454
    """
    fault = min((fault.at for fault in run.faults), default=math.nan)
    before = {o.node for o in run.operations if o.kind == "write" and o.status == "ok" and o.end < fault}
    ends = [
        operation.end
        for operation in run.operations
        if operation.kind == "write" and operation.status == "ok" and operation.node not in before
    ]
    return min((end for end in ends if end >= fault), default=math.nan) - fault


def story_of_trial(result: LabResult, driver: str) -> Story:
    """One trial of the lab ``failover``, to step through; its time is from the fault on, and begins 0.5 s before.

    Parameters
    ----------
    result : LabResult
        Of that lab.
    driver : str
        Whose trial: ``"phi-normal"``, ``"fixed-timeout"`` or ``"sentinel"``, as far as it was there.

    Raises
    ------
    ValueError
        If there is no such trial.

    Examples
    --------
    >>> from accrual.lab import recorded
    >>> told = story_of_trial(recorded("failover"), "sentinel")
    >>> told.begin, told.states(told.begin)["a"], told.states(told.end)["a"]
    (-0.5, 'primary', 'down')
    """
    drivers = _drivers(result)
    if driver not in drivers:
        raise ValueError(f"driver must be one of {', '.join(drivers)}, got {driver!r}")
    events = sorted(result.events, key=lambda event: event.at)
    own = [event.at for event in events if event.who == "client" and event.what.startswith(f"{driver}: ")]
    told = [event for event in events if own[0] <= event.at <= own[-1]]
    struck = next(event.at for event in told if _plain(event).startswith(_FAULTS))
    told = [Event(event.at - struck, event.who, _plain(event)) for event in told]
    start = {"a": "primary", "b": "backup", "c": "backup"}
    now, changes = dict(start), {}
    for event in told:
        changes[event] = _changes(event, now)
        now |= changes[event]
    return story_of_lab(result, changes.__getitem__, events=told, start=start, begin=-0.5)


def trials(result: LabResult) -> Scrubber:
    """All trials of the lab ``failover``, to choose from and to step through.

    Examples
    --------
    >>> from accrual.lab import recorded
    >>> list(trials(recorded("failover")).found)
    ['phi-normal', 'fixed-timeout', 'sentinel']
    """
    return Scrubber({driver: story_of_trial(result, driver) for driver in _drivers(result)}, choice="Driver")


def _drivers(result: LabResult) -> list[str]:
    return [re.split("[:,]", row["driver"])[0] for row in result.rows]


_FAULTS: Final = ("killed", "stopped", "its machine loses")


def _plain(event: Event) -> str:
    """What the lab told, without the driver's name: whose trial it is, is known."""
    return event.what.partition(": ")[2] if event.who in ("a", "b", "c", "client") else event.what


def _changes(event: Event, now: Mapping[str, str]) -> dict[str, str]:
    """What the lab's words mean for the states of its nodes."""
    who, what = event.who, event.what
    if what.startswith("has promoted"):
        return {what[-1]: "primary"}
    if what.startswith("fences "):
        old = what.removeprefix("fences ").partition(":")[0]
        return {} if now[old] == "down" else {old: "fenced"}
    if what.startswith("wakes up") and now[who] == "fenced":
        return {}  # it runs, and nobody can reach it
    for words, state in (
        ("its machine loses", "down"),
        ("killed", "down"),
        ("stopped", "primary, paused"),
        ("wakes up", "primary"),
        ("is a replica", "backup"),
    ):
        if what.startswith(words):
            return {who: state}
    return {}


# ---- numbers: false suspicion ---------------------------------------------------------------------------------------

KS: Final = [1.5, 2.0, 2.5, 3.0, 4.0, 5.0]
PHIS: Final = [1.0, 2.0, 3.0, 5.0, 8.0, 12.0]
DECIDES: Final = {"one backup": "raft", "a majority": "majority"}
"""Who decides on a failover: the first backup that suspects, or so many that Sentinel's quorum is met."""
LOSS, JITTER, PERIOD, DELAY = 0.05, 0.01, 0.1, 0.001
WATCHED: Final = 300.0
"""How long a cluster without any fault is watched [s]."""


class Price(NamedTuple):
    """What a threshold costs.

    Attributes
    ----------
    threshold : float
    detection : float
        From a crash until those who decide suspect, on average [s]; see `decided_after`.
    needless : int
        Failovers in `WATCHED` seconds without any fault.
    unavailable : float
        In these, by the failovers alone [s].
    lost : int
        Acknowledged writes, likewise.
    """

    threshold: float
    detection: float
    needless: int
    unavailable: float
    lost: int


def decided_after(detector: Detector, threshold: float, heartbeats: int = 20_000, seed: int = 1) -> dict[str, float]:
    """How long after a crash it is decided that the primary is down, on average, by who decides [s].

    Two backups hear the same heartbeats on paths of their own, as bad as those of `price`. The primary crashes at any
    moment between two heartbeats. One backup decides: then it is the first that suspects. A majority decides: then it
    is the second, and not before it has heard of the first, which takes a message's mean time.

    Examples
    --------
    >>> found = decided_after(FixedTimeout(period=0.1), 3.0)
    >>> {who: round(after, 2) for who, after in found.items()}
    {'one backup': 0.25, 'a majority': 0.27}
    """
    suspected = []
    for path in range(2):
        heard = synthesize(
            heartbeats, period=PERIOD, base=DELAY, delay=f"exponential:mean={JITTER}", loss=f"independent:loss={LOSS}",
            seed=2 * seed + path,
        )  # fmt: skip
        assert heard.sequence is not None
        # Of the heartbeats sent before the crash the last to be heard is what the suspicion counts from.
        last = np.searchsorted(heard.sequence, np.arange(100, heartbeats), side="right") - 1
        suspected.append(replay(heard, detector).deadlines(threshold)[last] / NS)
    first, second = np.minimum(*suspected), np.maximum(*suspected)
    agreed = np.maximum(second, first + DELAY + JITTER)
    sent = PERIOD * np.arange(100, heartbeats)
    moments = (np.arange(20) + 0.5) / 20 * PERIOD
    return {
        who: float(np.mean([np.maximum(at - sent - moment, 0) for moment in moments]))
        for who, at in zip(DECIDES, (first, agreed), strict=True)
    }


def price(detector: Detector, threshold: float, who: str, seed: int = 1) -> Price:
    """Watch a cluster on a bad network, in which nothing fails, for `WATCHED` seconds; ``who`` decides on failovers.

    Of the heartbeats one in twenty is lost, and the others are late by an exponential time of 10 ms on average.

    Examples
    --------
    >>> found = price(FixedTimeout(period=0.1), 1.5, "one backup")
    >>> found.needless > 50 and found.lost > 0
    True
    """
    cluster = Cluster(
        detector=detector, threshold=threshold, election=DECIDES[who], delay=DELAY, loss=LOSS, jitter=JITTER, rate=20.0,
        reads=0.0,
    )  # fmt: skip
    outcome = simulate(cluster, seconds=WATCHED, seed=seed).outcome
    return Price(
        threshold,
        decided_after(detector, threshold, seed=seed)[who],
        outcome.needless_failovers,
        outcome.unavailability,
        outcome.lost_writes,
    )


def prices(seed: int = 1) -> dict[str, dict[str, list[Price]]]:
    """Who decides, by detector (``"phi"``, ``"fixed"``), threshold by threshold."""
    phi, fixed = PhiNormal(window=100), FixedTimeout(period=PERIOD)
    return {
        who: {
            "phi": [price(phi, threshold, who, seed) for threshold in PHIS],
            "fixed": [price(fixed, k, who, seed) for k in KS],
        }
        for who in DECIDES
    }


# ---- numbers: split votes -------------------------------------------------------------------------------------------

RANGES: Final = [10, 20, 50, 100, 150, 300, 600]
"""By how much the longest election timeout exceeds the shortest [ms]."""
NODES, LATENCY, SHORTEST = 5, 0.005, 0.15


class Split(NamedTuple):
    """Elections with one range of timeouts.

    Attributes
    ----------
    range : int
        [ms]
    formula : float
        The probability that the first vote elects nobody.
    split : int
        In how many runs it did.
    elections : list of float
        How long each took, in order [s].
    """

    range: int
    formula: float
    split: int
    elections: list[float]


def split_votes(range_ms: int, runs: int = 100) -> Split:
    """Crash the primary of five nodes, with seeds 0, 1, ...; a message takes 5 ms.

    Examples
    --------
    >>> found = split_votes(50, runs=20)
    >>> round(found.formula, 4), len(found.elections)
    (0.0523, 20)
    """
    cluster = Cluster(
        nodes=NODES, rate=0.0, delay=LATENCY, disk=0.0, election_timeout=(SHORTEST, SHORTEST + range_ms / 1000)
    )
    split, times = 0, []
    for seed in range(runs):
        run = simulate(cluster, [Crash(at=0.5)], seconds=10, seed=seed)
        first = next(happening for happening in run.timeline if happening.what == "elected")
        split += first.detail != "term 1"
        times.append(run.outcome.election)
    return Split(range_ms, split_vote(NODES, NODES - 1, LATENCY * 1000 / range_ms), split, sorted(times))


# ---- numbers: wait, or promote --------------------------------------------------------------------------------------

PENALTIES: Final = [0.0, 5.0, 15.0, 30.0, 60.0, 120.0, 300.0]
PERMANENT: Final = [0.0, 0.02, 0.05, 0.1, 0.3, 1.0]
FAILOVER: Final = 2.0
WAITS: Final = [0.0, *(float(f"{wait:.2g}") for wait in np.geomspace(0.1, 600, 49))]


def outages(n: int = 10_000, seed: int = 9) -> dict[str, NDArray[np.float64]]:
    """Outages that end by themselves [s]: lognormal (median 3 s), and exponential with the same mean.

    Examples
    --------
    >>> {name: round(float(np.median(found)), 1) for name, found in outages().items()}
    {'many short, a few long': 3.0, 'no memory': 6.4}
    """
    chance = np.random.default_rng(seed)
    return {
        "many short, a few long": chance.lognormal(math.log(3), 1.5, n),
        "no memory": chance.exponential(3 * math.exp(1.5**2 / 2), n),
    }


# ---- widgets --------------------------------------------------------------------------------------------------------


def _nearest(choices: list[float], name: str, wanted: float) -> float:
    if not math.isfinite(wanted):
        raise TraitError(f"{name} must be a finite number, got {wanted!r}")
    return min(choices, key=lambda choice: abs(choice - wanted))


class NeedlessFailovers(Widget):
    """Failovers of a primary that is well, against how fast a real crash is detected.

    Attributes
    ----------
    k, phi : float
        Where the sliders are. Set one, and it goes to the nearest stop.
    decides : {"one backup", "a majority"}
    found : dict of str to dict of str to list of Price
        As `prices` gives it.
    """

    _esm = source("controls.js", "needless.js")
    _css = source("phi.css", "tradeoff.css", "failover.css")

    k = Float(2.0).tag(sync=True)
    phi = Float(3.0).tag(sync=True)
    decides = Unicode("one backup").tag(sync=True)
    stops = Dict().tag(sync=True)
    prices = Dict().tag(sync=True)

    def __init__(self) -> None:
        self.found = prices()
        super().__init__(
            stops={"k": KS, "phi": PHIS},
            prices={
                who: {name: [row._asdict() for row in rows] for name, rows in found.items()}
                for who, found in self.found.items()
            },
        )

    @validate("k")
    def _stop_of_k(self, proposal: dict[str, Any]) -> float:
        return _nearest(KS, "k", proposal["value"])

    @validate("phi")
    def _stop_of_phi(self, proposal: dict[str, Any]) -> float:
        return _nearest(PHIS, "phi", proposal["value"])

    @validate("decides")
    def _known(self, proposal: dict[str, Any]) -> Any:
        if proposal["value"] not in DECIDES:
            raise TraitError(f"decides must be one of {', '.join(DECIDES)}, got {proposal['value']!r}")
        return proposal["value"]

    def describe(self) -> str:
        """What the widget shows now, in words."""
        found = self.found[self.decides]
        rows = ("Phi", found["phi"][PHIS.index(self.phi)]), ("k", found["fixed"][KS.index(self.k)])
        return f"{self.decides} decides; " + "; ".join(
            f"{name} = {row.threshold:g}: detection in {row.detection:.3f} s, {row.needless} needless failovers in "
            f"{WATCHED:g} s, {row.unavailable:.2f} s unavailable, {row.lost} acknowledged writes lost"
            for name, row in rows
        )


class SplitVotes(Widget):
    """How long an election takes, and how often its first vote elects nobody, by the range of the timeouts.

    Parameters
    ----------
    runs : int
        Crashes for each range.

    Attributes
    ----------
    range : int
        Of the election timeouts [ms]. Set it, and it goes to the nearest stop.
    found : dict of int to Split
    """

    _esm = source("controls.js", "split_votes.js")
    _css = source("phi.css", "tradeoff.css", "failover.css")

    range = Int(50).tag(sync=True)
    stops = Dict().tag(sync=True)
    splits: List[Any] = List().tag(sync=True)

    def __init__(self, runs: int = 100) -> None:
        self.found = {ms: split_votes(ms, runs) for ms in RANGES}
        super().__init__(stops={"range": RANGES}, splits=[found._asdict() for found in self.found.values()])

    @validate("range")
    def _stop(self, proposal: dict[str, Any]) -> int:
        return int(_nearest([float(ms) for ms in RANGES], "range", proposal["value"]))

    def describe(self) -> str:
        """What the widget shows now, in words."""
        found = self.found[self.range]
        return (
            f"timeouts within {self.range} ms: {found.split} of {len(found.elections)} first votes were split, the "
            f"formula says {found.formula:.1%}; an election took {np.median(found.elections):.3f} s (median), "
            f"{found.elections[-1]:.3f} s at most"
        )


class WaitOrPromote(Widget):
    """What an outage costs on average, by how long one waits before a backup is promoted.

    Parameters
    ----------
    lasts : mapping of str to array of float, or array of float, optional
        How long outages that end by themselves last [s]; by default those of `outages`.
    failover : float
        Election, promotion and redirect [s].

    Attributes
    ----------
    wait, penalty, permanent : float
        Where the sliders are [s, s, share]. Set one, and it goes to the nearest stop.
    shown : str
        Which outages are.
    found : dict of (str, float, float) to Waiting
        By outages, penalty and permanent share.
    """

    _esm = source("controls.js", "wait_or_promote.js")
    _css = source("phi.css", "tradeoff.css", "failover.css")

    wait = Float(0.0).tag(sync=True)
    penalty = Float(30.0).tag(sync=True)
    permanent = Float(0.1).tag(sync=True)
    shown = Unicode().tag(sync=True)
    failover = Float().tag(sync=True)
    stops = Dict().tag(sync=True)
    curves = Dict().tag(sync=True)

    def __init__(self, lasts: Mapping[str, ArrayLike] | ArrayLike | None = None, failover: float = FAILOVER) -> None:
        given = outages() if lasts is None else lasts
        named: Mapping[str, ArrayLike] = given if isinstance(given, Mapping) else {"your outages": given}
        if not named:
            raise ValueError("lasts must be one or more, got none")
        self.found: dict[tuple[str, float, float], Waiting] = {
            (name, penalty, permanent): waiting_cost(
                sample, WAITS, failover=failover, penalty=penalty, permanent=permanent
            )
            for name, sample in named.items()
            for penalty in PENALTIES
            for permanent in PERMANENT
        }
        super().__init__(
            stops={"wait": WAITS, "penalty": PENALTIES, "permanent": PERMANENT},
            curves={
                name: [
                    [
                        {
                            "cost": self.found[name, penalty, permanent].cost.tolist(),
                            "promoted": self.found[name, penalty, permanent].promoted.tolist(),
                            "best": self.found[name, penalty, permanent].best,
                        }
                        for permanent in PERMANENT
                    ]
                    for penalty in PENALTIES
                ]
                for name in named
            },
            shown=next(iter(named)),
            failover=failover,
        )

    @validate("wait", "penalty", "permanent")
    def _stop(self, proposal: dict[str, Any]) -> float:
        name = proposal["trait"].name
        return _nearest({"wait": WAITS, "penalty": PENALTIES, "permanent": PERMANENT}[name], name, proposal["value"])

    @validate("shown")
    def _known(self, proposal: dict[str, Any]) -> Any:
        if proposal["value"] not in self.curves:
            raise TraitError(f"shown must be one of {', '.join(self.curves)}, got {proposal['value']!r}")
        return proposal["value"]

    def describe(self) -> str:
        """What the widget shows now, in words."""
        found = self.found[self.shown, self.penalty, self.permanent]
        k = WAITS.index(self.wait)
        return (
            f"{self.shown}, a failover costs {self.failover:g} s and {self.penalty:g} s more, {self.permanent:.0%} "
            f"never end: waiting {self.wait:g} s costs {found.cost[k]:.3g} s, and {found.promoted[k]:.1%} are "
            f"promoted; the best wait is {found.best:g} s, {found.cost.min():.3g} s"
        )
