"""A cut network: CAP with two counters, and a matrix of suspicions to guess from: the widgets of lesson 11.

Numbers and widgets are kept apart as in `accrual.show.phi`. All is computed beforehand; a slider asks no kernel.
"""

from __future__ import annotations

import itertools
import math
from bisect import bisect_left, bisect_right
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from traitlets import Dict, Float, Int, List, TraitError, Unicode, validate

from accrual.lab import Event, LabResult, recorded
from accrual.recovery import Cluster, Operation, Partition, Recognised, Run, recognise, simulate
from accrual.recovery.partition import KINDS
from accrual.show.scrubber import Scrubber, Story, story_of_lab
from accrual.show.widget import Widget, source

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = [
    "BASE",
    "CASES",
    "CUT",
    "POLICIES",
    "SERVERS",
    "STRATEGIES",
    "Case",
    "CutNetwork",
    "DeadOrCut",
    "Tally",
    "acted_wrongly",
    "goes_on",
    "policies",
    "real_servers",
    "served",
    "step_by_step",
    "story_of_servers",
    "suspicions",
    "table_of_servers",
    "tally",
    "verdicts",
    "wrongly_lost",
]

# ---- numbers: CAP ---------------------------------------------------------------------------------------------------

BASE: Final[dict[str, Any]] = {"nodes": 3, "clients": 2, "rate": 100.0, "reads": 0.5, "keys": 16}
"""The workload of the lesson: one client on each side of the cut, who take turns."""

CUT: Final = Partition(at=3.0, until=9.0, groups=((0, "c0"), (1, 2, "c1")))
"""The old primary and client 0 on one side, two backups and client 1 on the other, for six seconds."""

POLICIES: Final[dict[str, Cluster]] = {
    "CP": Cluster(**BASE, policy="cp", replication="quorum", lease=1.0),
    "AP": Cluster(**BASE, policy="ap", replication="async", heal="last-writer-wins"),
}
"""Consistent: a majority has each write, and a primary that reaches no majority stops. Available: each side answers."""


def policies(length: float | None = None, seed: int = 1) -> dict[str, Run]:
    """The same workload and the same cut under both policies.

    Parameters
    ----------
    length : float, optional
        How long the network is cut, above 0 [s]; by default that of `CUT`. The run goes on for 5 s after the heal.
    seed : int

    Examples
    --------
    >>> runs = policies()
    >>> runs["CP"].outcome.stale_reads, runs["AP"].outcome.failed
    (0, 0)
    """
    assert CUT.until is not None  # see above
    until = CUT.until if length is None else CUT.at + length
    cut = Partition(at=CUT.at, until=until, groups=CUT.groups)
    return {name: simulate(cluster, [cut], seconds=until + 5, seed=seed) for name, cluster in POLICIES.items()}


class Tally(NamedTuple):
    """What a run's clients have seen by a time; each request counts from when it was sent.

    Attributes
    ----------
    sent : int
        Requests.
    refused : int
        Those refused or never answered.
    stale : int
        Reads that gave less than what had been acknowledged before they began.
    lost : int
        Acknowledged writes that are gone in the end.
    """

    sent: int
    refused: int
    stale: int
    lost: int


def tally(run: Run, times: Sequence[float]) -> list[Tally]:
    """The counters of a run at some times [s].

    Examples
    --------
    >>> [tally(run, [3.0])[0].refused for run in policies().values()]
    [0, 0]
    """
    sent = [operation.start for operation in run.operations]
    refused = [operation.start for operation in run.operations if operation.status != "ok"]
    stale = [read.start for read, _ in run.findings.stale]
    lost = sorted(write.start for write in run.findings.lost)
    return [Tally(*(bisect_right(starts, at) for starts in (sent, refused, stale, lost))) for at in times]


def served(run: Run, times: Sequence[float]) -> list[tuple[str, ...]]:
    """How each client fared in the time up to each of some ascending times [s], since the one before: in a word.

    ``"refused"`` if a request sent then was refused or never answered; ``"stale"`` if none was, but a read was stale;
    else ``"answered"``.

    Examples
    --------
    >>> {name: served(run, [2.0, 8.0, 8.5])[-1] for name, run in policies().items()}
    {'CP': ('refused', 'answered'), 'AP': ('stale', 'stale')}
    """
    stale = {read.number for read, _ in run.findings.stale}
    worst: dict[tuple[int, int], int] = {}
    for operation in run.operations:
        k = bisect_left(times, operation.start)
        how = 2 if operation.status != "ok" else int(operation.number in stale)
        worst[k, operation.client] = max(how, worst.get((k, operation.client), 0))
    words = ("answered", "stale", "refused")
    clients = range(run.cluster.clients)
    return [tuple(words[worst.get((k, client), 0)] for client in clients) for k in range(len(times))]


def wrongly_lost(run: Run) -> list[Operation]:
    """The lost writes that were later than the write which stayed in their place when two sides were merged.

    With clocks that are right there are none: the last writer wins. A write counts by when its client was told OK.

    Examples
    --------
    >>> wrongly_lost(policies()["AP"])
    []
    """
    merged = next((happening.time for happening in run.timeline if "merged" in happening.detail), -math.inf)
    answer = run.cluster.disk + run.cluster.delay  # from when the primary takes a write in until its client knows
    stayed: dict[int, float] = {}
    for o in run.operations:
        if o.kind == "write" and o.status == "ok" and o.end - answer < merged and o.number in run.survivors:
            stayed[o.key] = max(o.end, stayed.get(o.key, -math.inf))
    return [write for write in run.findings.lost if write.end > stayed.get(write.key, math.inf)]


# ---- numbers: dead, or cut off? -------------------------------------------------------------------------------------


@dataclass(frozen=True, kw_only=True)
class Case:
    """What is really the matter in a cluster, and who is asked about it.

    Attributes
    ----------
    kind : str
        One of `accrual.recovery.partition.KINDS`.
    truth : str
        In a sentence.
    dead : tuple of str
        Nodes that are dead.
    cut : tuple of (sender, receiver)
        Directions in which nothing arrives.
    asker : str or None
        The node at which the reports are put together: it has those that reach it, also through others. None: somebody
        who reaches every living node by another road.
    """

    kind: str
    truth: str
    dead: tuple[str, ...] = ()
    cut: tuple[tuple[str, str], ...] = ()
    asker: str | None = "a"


NODES: Final = ("a", "b", "c", "d", "e")


def suspicions(case: Case, nodes: Sequence[str] = NODES) -> dict[str, dict[str, bool | None]]:
    """The matrix of suspicions that the asker gets: of each observer whom it suspects, None where no report arrives.

    Examples
    --------
    >>> suspicions(Case(kind="node fault", truth="c is dead", dead=("c",)), nodes="abc")["a"]
    {'b': False, 'c': True}
    """
    passes = {
        (one, two)
        for one, two in itertools.permutations(nodes, 2)
        if one not in case.dead and two not in case.dead and (one, two) not in case.cut
    }
    reporting = {node for node in nodes if node not in case.dead}
    if case.asker is not None:
        near, reporting = {case.asker}, set()
        while near:
            reporting |= near
            near = {one for one, two in passes if two in near} - reporting
    return {
        observer: {
            peer: (peer, observer) not in passes if observer in reporting else None
            for peer in nodes
            if peer != observer
        }
        for observer in nodes
    }


def _both(*pairs: str) -> tuple[tuple[str, str], ...]:
    """Both directions of links that are written as ``"ab"``."""
    return tuple(way for pair in pairs for way in ((pair[0], pair[1]), (pair[1], pair[0])))


CASES: Final = (
    Case(kind="node fault", truth="d is dead.", dead=("d",)),
    Case(kind="link fault", truth="The link between b and d is cut; all nodes are well.", cut=_both("bd")),
    Case(
        kind="whole",
        truth="The network is cut between a b c and d e, and somebody outside sees both sides.",
        cut=_both("ad", "ae", "bd", "be", "cd", "ce"),
        asker=None,
    ),
    Case(kind="one-way", truth="What e sends does not reach b; the way back is well.", cut=(("e", "b"),)),
    Case(
        kind="whole",
        truth="The network is cut between a b c and d e, and you stand at a: the reports of d and e do not reach you.",
        cut=_both("ad", "ae", "bd", "be", "cd", "ce"),
    ),
    Case(kind="partial", truth="The links a-d and b-e are cut; c reaches everybody.", cut=_both("ad", "be")),
    Case(kind="node fault", truth="d and e are dead, both at once.", dead=("d", "e")),
)
"""The rounds of the game."""


# ---- numbers: who goes on? ------------------------------------------------------------------------------------------

STRATEGIES: Final = {
    "nothing": "each side goes on",
    "majority": "who reaches more than half of all nodes, itself included",
    "witness": "who gets the lease of a witness, which it gives to one side only",
    "oldest": "who has the oldest node",
    "stop all": "nobody: all stop and are started again",
}
"""What a side of a cut network may do without asking the other."""


def goes_on(
    strategy: str, sides: Sequence[Sequence[str]], dead: Sequence[str] = (), witness_reaches: int | None = 0
) -> list[tuple[str, ...]]:
    """Which sides of a cut network go on, each deciding for itself.

    Parameters
    ----------
    strategy : str
        One of `STRATEGIES`.
    sides : sequence of sequences of str
        All nodes, by the side on which they are; names in the order of age.
    dead : sequence of str
        Nodes that are not cut off but dead; no other node can tell.
    witness_reaches : int or None
        Number of the side that gets the witness's lease; None if the witness is gone.

    Raises
    ------
    ValueError
        If there is no such strategy.

    Examples
    --------
    >>> goes_on("majority", ["ab", "cd"])
    []
    >>> goes_on("oldest", ["ab", "cd"])
    [('a', 'b')]
    """
    if strategy not in STRATEGIES:
        raise ValueError(f"strategy must be one of {', '.join(STRATEGIES)}, got {strategy!r}")
    everybody = sorted(itertools.chain(*sides))
    found = []
    for number, side in enumerate(sides):
        may = {
            "nothing": True,
            "majority": 2 * len([node for node in side if node not in dead]) > len(everybody),
            "witness": number == witness_reaches,
            "oldest": everybody[0] in side and everybody[0] not in dead,
            "stop all": False,
        }[strategy]
        if may and (running := tuple(node for node in side if node not in dead)):
            found.append(running)
    return found


# ---- real servers ---------------------------------------------------------------------------------------------------

SERVERS: Final = {
    "etcd": "partition",
    "ZooKeeper": "partition-zookeeper",
    "Redis": "partition-redis",
    "Redis, min-replicas": "partition-redis-min-replicas",
}
"""Whom the lab ``partition`` was recorded with, and the recordings' names."""


def real_servers(redis: LabResult | None = None) -> dict[str, LabResult]:
    """What the lab ``partition`` found, by system; `redis` in the place of the recorded one."""
    found = {name: recorded(recording) for name, recording in SERVERS.items()}
    return found if redis is None else {**found, "Redis": redis}


def table_of_servers(results: Mapping[str, LabResult]) -> str:
    """What clients on both sides of a cut got, side by side.

    Examples
    --------
    >>> print(table_of_servers({"etcd": recorded("partition")}).splitlines()[0].strip())
    told OK  refused  lost  lost after heal  local read
    """
    lines = [f"{'':31}{'told OK':>8}{'refused':>9}{'lost':>6}{'lost after heal':>17}  local read"]
    for name, result in results.items():
        for row in result.rows:
            lines.append(
                f"{name + ', ' + row['side']:31}{row['acknowledged']:8}{row['failed'] + row['unknown']:9}"
                f"{row['lost']:6}{row['lost_after_heal']:17}  {row['local_read']}"
            )
    return "\n".join(lines)


def story_of_servers(result: LabResult) -> Story:
    """The story of the lab ``partition``, from a second before the cut, which is at 0 s.

    It tells which node leads, and on each side what becomes of the client's writes: answered, refused, not answered, or
    lost, where all that were acknowledged there during the cut are gone in the end.
    """
    nodes = sorted(name for row in result.rows for name in row["nodes"].split())
    cut = next(event.at for event in result.events if event.who == "network")
    words = {
        "leads": "primary",
        "leads no more": "backup",
        "a write is refused": "failed",
        "a write is not answered": "unknown",
        "writes are acknowledged again": "answered",
    }
    sides = {f"{who}, {row['side']}": row["side"] for row in result.rows for who in ("client", "reader")}
    events = [Event(round(event.at - cut, 2), sides.get(event.who, event.who), event.what) for event in result.events]
    during = {row["side"] for row in result.rows if 0 < row["acknowledged"] == row["lost"]}
    after = {row["side"] for row in result.rows if row["lost_after_heal"]}
    taken = {row["side"] for row in result.rows}  # sides whose client's writes are acknowledged, at that event

    def state(event: Event) -> dict[str, str]:
        if event.who == "network":
            word, lost = ("cut", during) if event.what.startswith("cut") else ("whole", after)
            return {"network": word} | {side: "lost" if side in lost else "answered" for side in sorted(taken)}
        word = words.get(event.what, "")
        if event.who in sides.values() and word:
            (taken.add if word == "answered" else taken.discard)(event.who)
        return {event.who: word} if word else {}

    start = dict.fromkeys(nodes, "backup") | {"network": "whole"} | {row["side"]: "answered" for row in result.rows}
    return story_of_lab(result, state, events=events, start=start, begin=-1.0)


def step_by_step(results: Mapping[str, LabResult]) -> Scrubber:
    """Their stories to step through."""
    return Scrubber({name: story_of_servers(result) for name, result in results.items()}, choice="Servers")


# ---- numbers: how long to wait --------------------------------------------------------------------------------------


def verdicts(result: LabResult) -> dict[str, list[tuple[float, str]]]:
    """What the recogniser of the lab ``recognition`` said of each fault, and when, from the fault on [s].

    That all is sound is left out: nobody acts on it.

    Examples
    --------
    >>> from accrual.lab import recorded
    >>> [kind for _, kind in verdicts(recorded("recognition"))["partial"]]
    ['one-way', 'partial']
    """
    found: dict[str, list[tuple[float, str]]] = {}
    began, said = 0.0, None
    for event in result.events:
        kind = event.what.partition(":")[0]
        if event.who == "network":
            said = None
            if kind in KINDS:
                began, said = event.at, found.setdefault(kind, [])
        elif said is not None and kind != "sound":
            said.append((event.at - began, kind))
    return found


def acted_wrongly(said: Mapping[str, Sequence[tuple[float, str]]], stable_after: float) -> list[str]:
    """On which faults somebody acts on a wrong verdict who acts once one has stood for so long [s].

    Examples
    --------
    >>> acted_wrongly({"partial": [(0.6, "one-way"), (1.0, "partial")]}, stable_after=0.1)
    ['partial']
    """
    wrong = []
    for fault, rows in said.items():
        ends = [*(at for at, _ in rows), math.inf][1:]  # none, if nothing was said
        acted = next((kind for (at, kind), end in zip(rows, ends, strict=True) if end - at >= stable_after), fault)
        if acted != fault:
            wrong.append(fault)
    return wrong


# ---- widgets --------------------------------------------------------------------------------------------------------


class CutNetwork(Widget):
    """One workload and one cut under several policies: what is refused, and what is stale.

    It begins just before the cut; what comes of it is seen when the network is cut, and healed.

    Parameters
    ----------
    runs : mapping of str to Run, optional
        By policy; by default `policies()`. All with the same `Partition` of two groups, and as long as each other.

    Attributes
    ----------
    policy : str
        Which is shown.
    time : float
        The time that is shown [s]. Set it, and it goes to the nearest stop.
    found : dict of str to Run

    Raises
    ------
    ValueError
        If there is no run, or they differ in their faults or length, or have others than one cut into two.
    """

    _esm = source("controls.js", "cut_network.js")
    _css = source("phi.css", "faults.css", "partition.css")

    policy = Unicode().tag(sync=True)
    time = Float(0.0).tag(sync=True)
    times: List[Any] = List().tag(sync=True)
    runs: Dict[Any, Any] = Dict().tag(sync=True)
    cut: Dict[Any, Any] = Dict().tag(sync=True)

    def __init__(self, runs: Mapping[str, Run] | None = None) -> None:
        self.found = dict(policies() if runs is None else runs)
        if not self.found:
            raise ValueError("runs must be one or more, got none")
        first = next(iter(self.found.values()))
        if any((run.faults, run.seconds) != (first.faults, first.seconds) for run in self.found.values()):
            raise ValueError("runs must have the same faults and the same length")
        cuts = first.faults
        if len(cuts) != 1 or not isinstance(cuts[0], Partition) or len(cuts[0].groups) != 2:
            raise ValueError(f"runs must have one Partition into two groups, and no other fault, got {cuts!r}")
        step = first.seconds / 56
        cut_off = cuts[0].at
        times = [round(k * step, 9) for k in range(57)]
        super().__init__(
            runs={
                name: {
                    "states": [list(run.states(at)) for at in times],
                    "served": [list(words) for words in served(run, times)],
                    **dict(zip(Tally._fields, map(list, zip(*tally(run, times), strict=True)), strict=True)),
                }
                for name, run in self.found.items()
            },
            cut={
                "at": cut_off,
                "until": first.seconds if cuts[0].until is None else cuts[0].until,
                "groups": [[str(member) for member in group] for group in cuts[0].groups],
            },
            times=times,
            policy=next(iter(self.found)),
            time=max(at for at in times if at < cut_off or at == 0),
        )

    @validate("policy")
    def _known(self, proposal: dict[str, Any]) -> Any:
        if proposal["value"] not in self.found:
            raise TraitError(f"policy must be one of {', '.join(self.found)}, got {proposal['value']!r}")
        return proposal["value"]

    @validate("time")
    def _nearest(self, proposal: dict[str, Any]) -> float:
        value = proposal["value"]
        if not 0 <= value <= self.times[-1]:
            raise TraitError(f"time must be from 0 to {self.times[-1]:g} s, got {value!r}")
        return float(min(self.times, key=lambda stop: abs(stop - value)))

    def describe(self) -> str:
        """What the widget shows now, in words."""
        run = self.found[self.policy]
        [found] = tally(run, [self.time])
        clients = served(run, self.times)[self.times.index(self.time)]
        return (
            f"{self.policy} at {self.time:g} s: of {found.sent:,} requests {found.refused:,} refused or unanswered, "
            f"{found.stale:,} stale reads, {found.lost:,} acknowledged writes that will be lost; "
            + ", ".join(f"client {client}: {how}" for client, how in enumerate(clients))
        )


class DeadOrCut(Widget):
    """A game: what kind of fault does a matrix of suspicions show?

    Parameters
    ----------
    cases : sequence of Case
        By default `CASES`.

    Attributes
    ----------
    case : int
        Which round, from 0.
    guess : str
        One of the kinds, or empty.
    found : list of Recognised
        What `accrual.recovery.recognise` says of each.
    """

    _esm = source("controls.js", "choices.js", "dead_or_cut.js")
    _css = source("phi.css", "faults.css", "partition.css")

    case = Int(0).tag(sync=True)
    guess = Unicode("").tag(sync=True)
    cases: List[Any] = List().tag(sync=True)
    kinds: List[Any] = List().tag(sync=True)
    nodes: List[Any] = List().tag(sync=True)

    def __init__(self, cases: Sequence[Case] = CASES) -> None:
        if not cases:
            raise ValueError("cases must be one or more, got none")
        matrices = [suspicions(case) for case in cases]
        self.asked = tuple(cases)
        self.found: list[Recognised] = [recognise(matrix, nodes=NODES) for matrix in matrices]
        super().__init__(
            cases=[
                {
                    "kind": case.kind,
                    "truth": case.truth,
                    "asker": case.asker,
                    "matrix": [[matrix[one].get(two) for two in NODES] for one in NODES],
                    "recognised": found.kind,
                    "could_be": list(found.could_be),
                    "advice": found.advice,
                }
                for case, matrix, found in zip(cases, matrices, self.found, strict=True)
            ],
            kinds=[kind for kind in KINDS if kind != "sound"],
            nodes=list(NODES),
        )

    @validate("case")
    def _in_range(self, proposal: dict[str, Any]) -> Any:
        if not 0 <= proposal["value"] < len(self.found):
            raise TraitError(f"case must be from 0 to {len(self.found) - 1}, got {proposal['value']!r}")
        return proposal["value"]

    @validate("guess")
    def _a_kind(self, proposal: dict[str, Any]) -> Any:
        if proposal["value"] not in ("", *KINDS):
            raise TraitError(f"guess must be one of {', '.join(KINDS)}, or empty, got {proposal['value']!r}")
        return proposal["value"]

    def describe(self) -> str:
        """What the widget shows now, in words; the solution once somebody has guessed."""
        matrix = suspicions(self.asked[self.case])
        rows = []
        for observer, row in matrix.items():
            suspected = [peer for peer, suspects in row.items() if suspects]
            silent = all(suspects is None for suspects in row.values())
            rows.append(
                f"{observer} {'does not report' if silent else 'suspects ' + (' '.join(suspected) or 'nobody')}"
            )
        told = f"; {self.asked[self.case].truth} Recognised: {self.found[self.case].kind}" if self.guess else ""
        return f"round {self.case + 1}: {', '.join(rows)}{told}"
