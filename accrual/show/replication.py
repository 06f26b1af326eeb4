"""What the widgets of lesson 10 show: what a commit costs and what it is worth, in the model and on real servers."""

from __future__ import annotations

import math
import statistics
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from traitlets import Bool, Dict, Float, Int, List, TraitError, Unicode, validate

from accrual.lab import Event, recorded
from accrual.recovery import Cluster, Crash, Cut, lost_writes, simulate
from accrual.recovery.labs.proxy import STALL
from accrual.show.scrubber import Story, story_of_run
from accrual.show.widget import Widget, source

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

    from accrual.lab import LabResult
    from accrual.recovery import Operation, Run

__all__ = [
    "CommitCosts",
    "Costs",
    "Fallback",
    "Mode",
    "RealServers",
    "costs",
    "cut_off",
    "dies_while_it_waits",
    "fates",
    "over_a_lossy_link",
    "side_by_side",
    "with_requests",
]

# ---- what clients saw, on the timeline ------------------------------------------------------------------------------


def with_requests(run: Run, requests: Sequence[Operation], begin: float, end: float) -> Story:
    """A run's story, to which some requests are added: when each was sent, and what its client was told when.

    Parameters
    ----------
    run : Run
    requests : sequence of Operation
        Of the run.
    begin, end : float
        What is shown [s].

    Examples
    --------
    >>> run = simulate(Cluster(rate=10, reads=0), seconds=1)
    >>> [(e.at, e.who, e.what) for e in with_requests(run, run.operations[3:4], 0.1, 1).events]
    [(0.3, 'client', 'writes 3 to key 4'), (0.3025, 'client', 'is told OK: write 3')]
    """
    told = story_of_run(run, begin=begin, end=end)
    events = list(told.events)
    for request in requests:
        who = "client" if run.cluster.clients == 1 else f"client {request.client}"
        asks = f"writes {request.number} to" if request.kind == "write" else "reads"
        events.append(Event(request.start, who, f"{asks} key {request.key}"))
        if request.status == "ok":
            got = "nothing" if request.value is None else request.value
            says = (
                f"is told OK: write {request.number}"
                if request.kind == "write"
                else f"gets {got}, of key {request.key}"
            )
            events.append(Event(request.end, who, says))
    return Story(told.lanes, events, begin, end)


# ---- what each number of acknowledgements costs ---------------------------------------------------------------------

ROUND_TRIPS: Final = [0.001, 0.005, 0.02, 0.05, 0.1]  # [s]
BACKUPS: Final = [1, 2, 4]
RATE: Final = 500.0  # writes per second
DEATH: Final = 0.6  # when the primary's machine dies [s]
SETTLED: Final = (0.2, 0.4)  # writes that were sent then are timed: all of them are answered [s]
SEEDS: Final = (1, 2, 3)


@dataclass(frozen=True, kw_only=True)
class Costs:
    """What waiting for so many backups costs and is worth.

    Attributes
    ----------
    acks : int
        So many backups must have a write before the client is told OK.
    mode : str
        What that is called.
    latency : float
        Median time from the primary taking a write in until it tells the client OK [s].
    lost : tuple of int
        Acknowledged writes that were lost when the primary's machine died, in each run.
    may_die, may_lack : int
        So many machines, the primary among them, may die at once without an acknowledged write being lost; so many
        backups may be away, and writes still go on.
    """

    acks: int
    mode: str
    latency: float
    lost: tuple[int, ...]
    may_die: int
    may_lack: int


def a_cluster(round_trip: float, backups: int, acks: int) -> Cluster:
    """A cluster of this lesson: messages take half a round trip, and on the way out some more, by chance.

    Semi-synchronous replication never falls back here.
    """
    mode = "async" if not acks else "sync" if acks == backups else "semi-sync"
    return Cluster(
        nodes=backups + 1,
        replication=mode,
        acks=acks if mode == "semi-sync" else None,
        fallback_after=None,
        delay=round_trip / 2,
        jitter=round_trip / 4,
        reads=0.0,
        rate=RATE,
        patience=60.0,
        request_timeout=60.0,
    )


@cache
def costs(round_trip: float, backups: int) -> list[Costs]:
    """What each number of acknowledgements costs, none to all.

    Parameters
    ----------
    round_trip : float
        Between any two machines, at the least [s]; 0.1 s at most.
    backups : int
    """
    if not 0 < round_trip <= ROUND_TRIPS[-1]:  # longer, and writes of SETTLED would not be answered by DEATH
        raise ValueError(f"round_trip must be above 0 and at most {ROUND_TRIPS[-1]} s, got {round_trip!r}")
    found = []
    for acks in range(backups + 1):
        cluster = a_cluster(round_trip, backups, acks)
        runs = [simulate(cluster, [Crash(at=DEATH)], seconds=DEATH + 3 * round_trip, seed=seed) for seed in SEEDS]
        found.append(
            Costs(
                acks=acks,
                mode=mode_of(acks, backups),
                latency=statistics.median(took for run in runs for took in commit_times(run)),
                lost=tuple(run.outcome.lost_writes for run in runs),
                may_die=acks,
                may_lack=backups - acks,
            )
        )
    return found


def commit_times(run: Run) -> list[float]:
    """Of the writes of the settled time: from the primary taking one in until it tells the client OK [s]."""
    travelled = 2 * run.cluster.delay  # the client's own way there and back
    begin, end = SETTLED
    return [o.end - o.start - travelled for o in run.operations if begin <= o.start < end and o.status == "ok"]


def mode_of(acks: int, backups: int) -> str:
    """What it is called to wait for so many of the backups.

    Examples
    --------
    >>> [mode_of(acks, 4) for acks in range(5)]
    ['asynchronous', 'semi-synchronous', 'semi-synchronous, quorum', 'semi-synchronous, quorum', 'synchronous']
    """
    if not acks:
        return "asynchronous"
    if acks == backups:
        return "synchronous"
    return "semi-synchronous, quorum" if acks + 1 >= (backups + 1) // 2 + 1 else "semi-synchronous"


# ---- a link that loses packets --------------------------------------------------------------------------------------


def over_a_lossy_link(
    loss: float,
    backups: int,
    acks: int = 1,
    *,
    round_trip: float = 0.02,
    rate: float = 100.0,
    stall: float = STALL,
    commits: int = 100_000,
    seed: int = 1,
) -> NDArray[np.float64]:
    """How long commits take where packets get lost, each write and each answer one packet.

    A stream keeps its order: a packet that is lost comes later, as TCP sends it again, and what is behind it waits for
    it. That is the rule of the labs' links, too.

    Parameters
    ----------
    loss : float
        The share of the packets that get lost, 0 to 1.
    backups, acks : int
        How many there are, each on a link of its own, and how many are waited for.
    round_trip : float
        Without loss [s].
    rate, commits : float, int
        Writes per second [1/s], evenly spaced, and how many.
    stall : float
        How much later a lost packet comes [s]; by default TCP's timeout, as on the labs' links.
    seed : int

    Returns
    -------
    float64 array
        From the primary sending a write until it may tell the client OK [s].

    Examples
    --------
    >>> over_a_lossy_link(0.0, backups=1, commits=3)
    array([0.02, 0.02, 0.02])
    """
    if not 0 <= loss <= 1:
        raise ValueError(f"loss must be from 0 to 1, got {loss!r}")
    if not 1 <= acks <= backups:
        raise ValueError(f"acks must be from 1 to {backups}, the backups, got {acks!r}")
    draw = np.random.default_rng(seed)
    sent = np.arange(commits) / rate

    def carried(at: NDArray[np.float64]) -> NDArray[np.float64]:
        late = round_trip / 2 + stall * (draw.random(commits) < loss)
        return np.maximum.accumulate(at + late)

    answers = np.sort([carried(carried(sent)) for _ in range(backups)], axis=0)
    took: NDArray[np.float64] = answers[acks - 1] - sent
    return took


# ---- who may read a write before it is safe -------------------------------------------------------------------------


@cache
def dies_while_it_waits(wait_point: str, seed: int) -> Run:
    """A primary dies while writes wait for its backups: semi-synchronous, and never falls back.

    Clients give up before there is a new primary, so that no write is sent once more: what others have read would be
    written anew, and last.

    Parameters
    ----------
    wait_point : {"before commit", "after commit"}
        Whether a write may be read only once a backup has it, or at once.
    seed : int
    """
    cluster = Cluster(
        nodes=3,
        replication="semi-sync",
        wait_point=wait_point,
        fallback_after=None,
        delay=0.02,
        rate=500.0,
        keys=4,
        clients=2,
        patience=0.4,
        request_timeout=0.5,
    )
    return simulate(cluster, [Crash(at=2)], seconds=3.2, seed=seed)


# ---- semi-synchronous replication that falls back -------------------------------------------------------------------

NEVER: Final = 1e6
"""A timeout that never comes [s]. MySQL has no other way to say so, either: its users set one as large as can be."""
TIMEOUTS: Final = [0.5, 1.0, 2.0, 5.0, 10.0, NEVER]  # [s]
OUTAGES: Final = [0.25, 0.75, 1.5, 3.0, 6.0, 12.0]  # [s]
CUT: Final = 2.0  # when the link is cut [s]
SLOW_RATE: Final = 20.0  # writes per second


@cache
def cut_off(timeout: float, outage: float, heals_after: float | None = None) -> Run:
    """A primary with one backup, whose link is cut; so long afterwards [s] the primary's machine dies.

    Parameters
    ----------
    timeout : float
        After which semi-synchronous replication turns asynchronous [s].
    outage : float
        From the cut to the death [s].
    heals_after : float, optional
        From the cut until the link is whole again [s]; None: it stays cut.
    """
    heals = None if heals_after is None else CUT + heals_after
    cluster = Cluster(
        nodes=2,
        replication="semi-sync",
        fallback_after=timeout,
        delay=0.01,
        reads=0.0,
        rate=SLOW_RATE,
        wait_before_promote=1000.0,  # the backup is promoted by hand, when all is over
        patience=100.0,
        request_timeout=100.0,
    )
    faults = [Cut(at=CUT, until=heals, a=(0,), b=(1,)), Crash(at=CUT + outage)]
    return simulate(cluster, faults, seconds=CUT + outage + 0.5)


def fates(run: Run) -> list[tuple[float, float | None, str]]:
    """Of each write that was sent before the primary's death: when, how long its client waited [s], and its fate.

    The fate is "safe", "lost" (told OK, and gone), or "unanswered".
    """
    death = run.faults[-1].at
    lost = {write.number for write in run.findings.lost}
    found: list[tuple[float, float | None, str]] = []
    for write in run.operations:
        if write.start + run.cluster.delay < death:
            if write.status != "ok":
                found.append((write.start, None, "unanswered"))
            else:
                found.append((write.start, write.end - write.start, "lost" if write.number in lost else "safe"))
    return found


def fell_back(run: Run) -> float | None:
    """When replication turned asynchronous [s], if it did."""
    return next((h.time for h in run.timeline if h.what == "falls back to asynchronous"), None)


# ---- real servers ---------------------------------------------------------------------------------------------------

SYSTEMS: Final = {"Valkey": "replication", "PostgreSQL": "replication-postgresql"}
"""Recorded results by the servers' names."""
WAITS_FOR: Final = {"asynchronous": 0, "WAIT 1": 1, "WAIT 2": 2, "off": 0, "local": 0, "on": 1, "remote_apply": 1}
"""How many of the two replicas each mode of the lab waits for."""
WAL_WRITER_DELAY: Final = 0.2
"""PostgreSQL's default [s]; with synchronous_commit off a commit is on the primary's disk after three of them at the
latest (its manual says so of that setting), and it is sent no sooner than that."""


@dataclass(frozen=True, kw_only=True)
class Mode:
    """A mode of replication, as computed and as measured.

    Attributes
    ----------
    mode : str
        As the server calls it.
    acks : int
        How many replicas it waits for.
    latency, measured_latency : float
        Of a commit [s]: the round trip waited for, without the server's own time; the median measured, None where no
        write was acknowledged.
    acknowledged, measured_acknowledged : float
        Writes per second: as many as are offered, or as the clients get done one upon the other.
    lost, measured_lost : tuple of float, float
        Acknowledged writes that the near and the far replica do not have. An upper bound with `off`.
    bound : bool
        Whether `lost` is no more than a bound.
    """

    mode: str
    acks: int
    latency: float
    measured_latency: float | None
    acknowledged: float
    measured_acknowledged: float
    lost: tuple[float, float]
    measured_lost: tuple[int, int]
    bound: bool


def side_by_side(result: LabResult) -> list[Mode]:
    """What a replication lab measured, beside what its parameters alone say.

    Parameters
    ----------
    result : LabResult
        Of the lab `replication`, with the near replica promoted in each row.
    """
    given = result.parameters
    ways = sorted((given["delay"], given["far"]))  # one way, to the near and the far replica
    found = []
    for row in result.rows:
        acks = WAITS_FOR[row["mode"]]
        wait = 2 * ways[acks - 1] if acks else 0.0
        rate = min(given["rate"], given["clients"] / wait) if wait else given["rate"]
        late = 3 * WAL_WRITER_DELAY if row["mode"] == "off" else 0.0  # so late it may be sent
        near, far = (lost_writes(rate, late + way, wait) for way in ways)
        lost_near, lost_far = row["lost"], row["lost_on_other"]
        if (row["promoted"] == "b") != (given["delay"] <= given["far"]):
            lost_near, lost_far = lost_far, lost_near
        found.append(
            Mode(
                mode=row["mode"],
                acks=acks,
                latency=wait,
                measured_latency=None if row["p50_ms"] is None else row["p50_ms"] / 1e3,
                acknowledged=rate,
                measured_acknowledged=row["acknowledged"] / given["seconds"],
                lost=(near, far),
                measured_lost=(lost_near, lost_far),
                bound=row["mode"] == "off",
            )
        )
    return found


# ---- widgets --------------------------------------------------------------------------------------------------------


def _nearest(stops: Sequence[float], name: str, wanted: float) -> float:
    if not math.isfinite(wanted):
        raise TraitError(f"{name} must be a finite number, got {wanted!r}")
    return min(stops, key=lambda stop: abs(stop - wanted))


def _validator(name: str, stops: Sequence[float]) -> Any:
    return validate(name)(lambda self, proposal: _nearest(stops, name, proposal["value"]))


class CommitCosts(Widget):
    """What a commit costs and what it is worth, by how many backups it waits for: a row for each number of them.

    Attributes
    ----------
    round_trip : float
        Between any two machines, at the least [s]. Set it, and it goes to the nearest stop; so does the other.
    backups : int
        How many there are.
    found : dict of (float, int) to list of Costs
        By round trip and number of backups.
    """

    _esm = source("controls.js", "commit_costs.js")
    _css = source("phi.css", "tradeoff.css", "replication.css")

    round_trip = Float(0.02).tag(sync=True)
    backups = Int(1).tag(sync=True)
    stops = Dict().tag(sync=True)
    about = Dict().tag(sync=True)
    costs: List[Any] = List().tag(sync=True)

    def __init__(self) -> None:
        self.found = {(trip, backups): costs(trip, backups) for trip in ROUND_TRIPS for backups in BACKUPS}
        super().__init__(
            stops={"round_trip": ROUND_TRIPS, "backups": BACKUPS},
            about={"rate": RATE, "runs": len(SEEDS)},
            costs=[
                [[{**vars(cost), "lost": list(cost.lost)} for cost in self.found[trip, backups]] for backups in BACKUPS]
                for trip in ROUND_TRIPS
            ],
        )

    _trip_stop = _validator("round_trip", ROUND_TRIPS)
    _backups_stop = _validator("backups", BACKUPS)

    @property
    def rows(self) -> list[Costs]:
        """What is shown now."""
        return self.found[self.round_trip, self.backups]

    def describe(self) -> str:
        """What the widget shows now, in words."""
        rows = "; ".join(
            f"waiting for {cost.acks} ({cost.mode}) a commit takes {1e3 * cost.latency:.3g} ms, and "
            f"{', '.join(map(str, cost.lost))} acknowledged writes were lost when the primary's machine died"
            for cost in self.rows
        )
        return f"round trip {1e3 * self.round_trip:g} ms, {self.backups} backup{'s' * (self.backups > 1)}: {rows}"


class Fallback(Widget):
    """Semi-synchronous replication whose backup is cut off: what its timeout does to the promise.

    Attributes
    ----------
    timeout : float
        After which it turns asynchronous [s]; `NEVER` does not come. Set it, and it goes to the nearest stop.
    outage : float
        From the cut until the primary's machine dies [s]; likewise.
    found : dict of (float, float) to Run
        By timeout and outage.
    """

    _esm = source("controls.js", "fallback.js")
    _css = source("phi.css", "tradeoff.css", "replication.css")

    timeout = Float(10.0).tag(sync=True)
    outage = Float(3.0).tag(sync=True)
    stops = Dict().tag(sync=True)
    about = Dict().tag(sync=True)
    runs: List[Any] = List().tag(sync=True)

    def __init__(self) -> None:
        self.found = {(timeout, outage): cut_off(timeout, outage) for timeout in TIMEOUTS for outage in OUTAGES}
        super().__init__(
            stops={"timeout": TIMEOUTS, "outage": OUTAGES},
            about={"cut": CUT, "rate": SLOW_RATE, "never": NEVER},
            runs=[
                [
                    {
                        "writes": [
                            [round(sent, 4), None if waited is None else round(waited, 4), fate]
                            for sent, waited, fate in fates(self.found[timeout, outage])
                        ],
                        "fell": fell_back(self.found[timeout, outage]),
                    }
                    for outage in OUTAGES
                ]
                for timeout in TIMEOUTS
            ],
        )

    _timeout_stop = _validator("timeout", TIMEOUTS)
    _outage_stop = _validator("outage", OUTAGES)

    @property
    def run(self) -> Run:
        """What is chosen now."""
        return self.found[self.timeout, self.outage]

    def describe(self) -> str:
        """What the widget shows now, in words."""
        told = [fate for _, _, fate in fates(self.run)]
        after = "never" if self.timeout == NEVER else f"after {self.timeout:g} s"
        return (
            f"falls back {after}, the primary's machine dies {self.outage:g} s after the link: "
            f"{told.count('safe')} writes acknowledged and safe, {told.count('lost')} acknowledged and lost, "
            f"{told.count('unanswered')} unanswered"
        )


class RealServers(Widget):
    """Real servers beside what the parameters alone say: time of a commit, and acknowledged writes lost.

    Parameters
    ----------
    results : mapping of str to LabResult, optional
        Of the lab `replication`, by name; by default those that are shipped.

    Attributes
    ----------
    shown : str
        Which server is.
    far : bool
        Whether the far replica is promoted instead of the near one.
    found : dict of str to list of Mode
    """

    _esm = source("controls.js", "real_servers.js")
    _css = source("phi.css", "tradeoff.css", "replication.css")

    shown = Unicode().tag(sync=True)
    far = Bool(False).tag(sync=True)
    servers = Dict().tag(sync=True)

    def __init__(self, results: Mapping[str, LabResult] | None = None) -> None:
        if results is None:
            results = {name: recorded(file) for name, file in SYSTEMS.items()}
        if not results:
            raise ValueError("results must be one or more, got none")
        self.found = {name: side_by_side(result) for name, result in results.items()}
        super().__init__(
            servers={
                name: {
                    "version": results[name].facts["server"].partition(" ")[2],
                    "parameters": {key: results[name].parameters[key] for key in ("delay", "far", "rate", "clients")},
                    "modes": [
                        {**vars(mode), "lost": list(mode.lost), "measured_lost": list(mode.measured_lost)}
                        for mode in modes
                    ],
                }
                for name, modes in self.found.items()
            },
            shown=next(iter(self.found)),
        )

    @validate("shown")
    def _known(self, proposal: dict[str, Any]) -> Any:
        if proposal["value"] not in self.found:
            raise TraitError(f"shown must be one of {', '.join(self.found)}, got {proposal['value']!r}")
        return proposal["value"]

    def describe(self) -> str:
        """What the widget shows now, in words."""
        said = ", ".join(
            f"{mode.mode} {mode.measured_lost[self.far]} (computed{' at most' * mode.bound} {mode.lost[self.far]:.3g})"
            for mode in self.found[self.shown]
        )
        return f"{self.shown}, the {'far' if self.far else 'near'} replica promoted: lost {said}"
