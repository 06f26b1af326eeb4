"""A cluster simulated: heartbeats, suspicion, election, replication, clients, and what faults cost.

Driven by events on a heap, in whole nanoseconds; the same seed gives the same run. A node's states are a table
(`accrual.recovery.election.MACHINES`), and an event that its table does not have in that state does not happen.

What is simplified: a replication stream is first in, first out, and stops when either direction of its link does; it
starts again with the first heartbeat that gets through, by comparing logs. Requests take no time of a processor.
"""

from __future__ import annotations

import dataclasses
import heapq
import itertools
import math
import random
from bisect import bisect_right
from collections import deque
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any, Final

from accrual.detectors import NS, seconds
from accrual.monitor import Monitor, State
from accrual.recovery.cluster import (
    ClockError,
    Cluster,
    Crash,
    Cut,
    Fault,
    Partition,
    Pause,
    SlowDisk,
    check_faults,
    member_number,
)
from accrual.recovery.election import ELECTION, MACHINES
from accrual.recovery.history import Findings, Operation, check, smallest
from accrual.tables import aligned, as_html, figure, plain

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from accrual.recovery.machine import Machine

__all__ = ["Happening", "Outcome", "Run", "simulate"]

WARM: Final = 100  # heartbeats that each backup has heard before the start
GRACE: Final = 10  # periods in which a new primary must be heard
NOBODY: Final = -1  # an entry of a new primary that writes nothing, so that it can commit what came before (Raft)

Entry = tuple[int, int, int, int]  # term, primary, request, its primary's clock [ns]


@dataclass(frozen=True, kw_only=True)
class Happening:
    """One line of a run's timeline.

    Attributes
    ----------
    time : float
        [s].
    node : int or None
        None where it is about a link, or all.
    what, detail : str
    state : str or None
        What the node's state is from then on, where it changes: of its table, or "paused" and "resumed".
    """

    time: float
    node: int | None
    what: str
    detail: str = ""
    state: str | None = None

    def __str__(self) -> str:
        who = "" if self.node is None else f"node {self.node}: "
        return f"{self.time:9.4f} s  {who}{self.what}" + (f" ({self.detail})" if self.detail else "")


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """What a run came to; nan where it did not come to that.

    Attributes
    ----------
    detection : float
        From the first fault until a backup first suspected the primary [s].
    election : float
        From that suspicion until a primary was promoted, waiting and fencing included [s].
    unavailability : float
        Time in which a write that was sent then failed, stayed unanswered, or took longer than the client's patience:
        each such write stands for the time until the next one [s].
    requests, failed, unknown, slow : int
        All; surely not done; not answered in time, and done or not; done after more than the client's patience.
    stale_reads, phantom_reads : int
        As `accrual.recovery.check`: older than what was acknowledged; of a write that did not last.
    acknowledged_writes, lost_writes : int
        Writes told OK; those of them that did not survive. What survives is what the last primary has, as if at the end
        all nodes that are up could talk; but where two sides of a partition are merged, of each key that both wrote the
        last write of one side only.
    split_brain : float
        Time in which two nodes or more, up and running, took themselves for the primary [s].
    failovers, needless_failovers : int
        Promotions; those at which the old primary was up and reached a majority.
    commit_latency : float
        Mean, of acknowledged writes [s].
    fallbacks : int
        How often semi-synchronous replication silently turned asynchronous.
    truncated : int
        Log entries that were discarded at resynchronisation, acknowledged or not.
    """

    detection: float
    election: float
    unavailability: float
    requests: int
    failed: int
    unknown: int
    slow: int
    stale_reads: int
    phantom_reads: int
    acknowledged_writes: int
    lost_writes: int
    split_brain: float
    failovers: int
    needless_failovers: int
    commit_latency: float
    fallbacks: int
    truncated: int

    def to_dict(self) -> dict[str, Any]:
        """Plain numbers by name, None (JSON null) for what is not a number."""
        return {name: plain(value) for name, value in dataclasses.asdict(self).items()}

    def _rows(self) -> list[tuple[str, str]]:
        timed = {"detection", "election", "unavailability", "split_brain", "commit_latency"}
        return [
            (name.replace("_", " "), figure(value) + (" s" if name in timed and not math.isnan(value) else ""))
            for name, value in dataclasses.asdict(self).items()
        ]

    def __repr__(self) -> str:
        return aligned(self._rows(), names=True)

    def _repr_html_(self) -> str:
        return as_html("What the run came to", [("", ""), *self._rows()])


@dataclass(frozen=True, kw_only=True, eq=False, repr=False)
class Run:
    """A simulated run.

    Attributes
    ----------
    cluster, faults, seconds, seed
        As given.
    outcome : Outcome
    timeline : tuple of Happening
        In order of time.
    operations : tuple of Operation
        What the clients saw, by the time of sending.
    survivors : frozenset of int
        Numbers of the writes that are there in the end.
    """

    cluster: Cluster
    faults: tuple[Fault, ...]
    seconds: float
    seed: int
    outcome: Outcome
    timeline: tuple[Happening, ...]
    operations: tuple[Operation, ...]
    survivors: frozenset[int]

    @property
    def machine(self) -> Machine:
        """The table of a node's states."""
        return MACHINES[self.cluster.election]

    @cached_property
    def findings(self) -> Findings:
        """What is wrong with the history."""
        return check(self.operations, self.survivors)

    def smallest(self, wrong: Callable[[Findings], object] = bool) -> list[Operation]:
        """The smallest part of the history that shows it; see `accrual.recovery.smallest`."""
        return smallest(self.operations, self.survivors, wrong)

    def states(self, at: float) -> tuple[str, ...]:
        """The state of each node at a time [s], for a scrubber: ``"primary"``, ``"primary, paused"``, ...

        Raises
        ------
        ValueError
            If `at` is not within the run.
        """
        if not 0 <= at <= self.seconds:
            raise ValueError(f"at must be within the run, 0 to {self.seconds:g} s, got {at!r}")
        roles, paused = ["backup"] * self.cluster.nodes, [False] * self.cluster.nodes
        for happening in self.timeline[: self.upto(at)]:
            if happening.node is not None and happening.state is not None:
                if happening.state in ("paused", "resumed"):
                    paused[happening.node] = happening.state == "paused"
                else:
                    roles[happening.node] = happening.state
        return tuple(f"{role}, paused" if still else role for role, still in zip(roles, paused, strict=True))

    def upto(self, at: float) -> int:
        """How many lines of the timeline have happened by then."""
        return bisect_right(self.timeline, at, key=lambda happening: happening.time)

    def to_dict(self, operations: bool = False) -> dict[str, Any]:
        """As JSON has it; the operations only where asked for."""
        found = {
            "cluster": self.cluster.to_dict(),
            "faults": [fault.to_dict() for fault in self.faults],
            "seconds": self.seconds,
            "seed": self.seed,
            "outcome": self.outcome.to_dict(),
            "timeline": [dataclasses.asdict(happening) for happening in self.timeline],
        }
        return {**found, "operations": [o.to_dict() for o in self.operations]} if operations else found

    def __repr__(self) -> str:
        return f"{self.outcome!r}\n\n" + "\n".join(map(str, self.timeline))

    def _repr_html_(self) -> str:
        rows = [(f"{h.time:.4f}", "" if h.node is None else str(h.node), h.what, h.detail) for h in self.timeline]
        return self.outcome._repr_html_() + as_html("Timeline", [("time [s]", "node", "what", ""), *rows])


def simulate(
    cluster: Cluster | None = None, faults: Sequence[Fault] = (), *, seconds: float = 60.0, seed: int = 0
) -> Run:
    """Let a cluster run through faults.

    Parameters
    ----------
    cluster : Cluster, optional
    faults : sequence of Fault
        In any order.
    seconds : float
        How long; above 0.
    seed : int
        The same seed, the same run; heartbeats, elections and clients draw from streams of their own.

    Raises
    ------
    ValueError
        If a fault does not fit the cluster, or `seconds` is not a time above 0.

    Examples
    --------
    >>> from accrual.recovery import Cluster, Crash, simulate
    >>> run = simulate(Cluster(nodes=3), [Crash(at=10)], seconds=20)
    >>> run.outcome.failovers, run.outcome.needless_failovers, run.states(at=5), run.states(at=20)[0]
    (1, 0, ('primary', 'backup', 'backup'), 'down')
    """
    cluster = Cluster() if cluster is None else cluster
    if not isinstance(cluster, Cluster):
        raise TypeError(f"cluster must be a Cluster, got {cluster!r}")
    if isinstance(seed, bool) or not isinstance(seed, int):
        raise TypeError(f"seed must be an int, got {seed!r}")
    if not _as_seconds(seconds):
        raise ValueError(f"seconds must be above 0, got {seconds!r}")
    return Simulation(cluster, check_faults(faults, cluster), seconds, seed).run()


def _as_seconds(value: float) -> float:
    return seconds("seconds", value)


class Node:
    """A node of a simulation."""

    __slots__ = (
        "acked", "acks", "answered", "began", "check", "clock", "disk", "disk_free", "fallen", "following",
        "granted_until", "heard_suspicions", "id", "inbox", "incarnation", "known", "lease_until", "log", "met",
        "monitor", "paused", "pending", "ready", "reported", "role", "round", "shown", "stash", "streams", "suspects",
        "term", "values", "voted", "votes", "would",
    )  # fmt: skip

    def __init__(self, number: int, disk: int, monitor: Monitor) -> None:
        self.id = number
        self.role = "backup"
        self.paused = False
        self.incarnation = 0  # of the process: timers of an earlier one are void
        self.stash: list[tuple[Callable[..., object], tuple[Any, ...]]] = []  # what comes while it is paused
        self.clock = (0, 0, 1.0)  # true instant, own reading then [ns], rate
        # What its disk keeps.
        self.log: list[Entry] = []
        self.values: dict[int, int] = {}  # of each key the last write that can be read
        self.shown: dict[int, int] = {}  # as a primary: of each key the index of that write in its log
        self.term = self.voted = 0
        self.known = (0, 0)  # the highest (term, primary) heard of
        # As a backup.
        self.monitor = monitor
        self.following: int | None = 0
        self.inbox: deque[tuple[int, int, Entry]] = deque()  # on its way here: arrival, durable [ns], entry
        self.disk, self.disk_free = disk, 0  # time of a write, and when the disk is free [ns]
        self.suspects = self.reported = False
        self.round = 0  # of its plans to stand for election: older ones are void
        self.check = 0  # the timer that looks at the monitor: older ones are void
        self.granted_until = 0  # by its own clock: it may not vote before [ns]
        # As a candidate.
        self.votes: dict[int, tuple[int, int]] = {}
        self.would: set[int] = set()  # who would vote for it
        self.heard_suspicions: dict[int, tuple[int, int]] = {}
        self.began = -1
        self.answered = False
        # As a primary.
        self.streams: dict[int, int] = {}  # backup: when what was sent last arrives [ns]
        self.acks: dict[int, deque[tuple[int, int, int]]] = {}  # backup: arrival, durable there [ns], index
        self.acked: dict[int, int] = {}  # backup: how many entries it has
        self.pending: deque[tuple[int, int, int, int]] = deque()  # index, request, taken in, durable here [ns]
        self.fallen = False  # semi-synchronous, but asynchronous for now
        self.ready = True  # to be read from
        self.lease_until = 0  # by its own clock [ns]
        self.met: set[int] = set()

    def local(self, now: int) -> int:
        """What its clock reads."""
        then, reading, rate = self.clock
        return reading + (now - then if rate == 1.0 else round((now - then) * rate))

    def true(self, local: int) -> int:
        """When its clock reads that."""
        then, reading, rate = self.clock
        return then + (local - reading if rate == 1.0 else math.ceil((local - reading) / rate))


class Simulation:
    """The state of a run, and its events."""

    def __init__(self, cluster: Cluster, faults: tuple[Fault, ...], seconds: float, seed: int) -> None:
        self.cluster, self.faults, self.seconds, self.seed = cluster, faults, seconds, seed
        self.end = round(seconds * NS)
        self.now = 0
        self.heap: list[tuple[int, int, Node | None, Callable[..., object], tuple[Any, ...]]] = []
        self.order = itertools.count()
        self.beats, self.chance, self.clients = (random.Random(f"{seed}/{name}") for name in ("beats", "vote", "ask"))  # noqa: S311
        self.delay, self.disk, self.period = (
            round(value * NS) for value in (cluster.delay, cluster.disk, cluster.period)
        )
        self.jitter = cluster.jitter * NS
        # Asked for at every write.
        self.backups_needed = cluster.backups_needed
        self.readable_at_once = cluster.replication in ("async", "semi-sync") and (
            not self.backups_needed or cluster.wait_point == "after commit"
        )
        self.leased = cluster.lease is not None
        members = cluster.nodes + cluster.clients
        self.cuts = [[0] * members for _ in range(members)]  # [from][to]: how many faults cut it
        self.machine = MACHINES[cluster.election]
        self.election = ELECTION[cluster.election](self)
        monitor = self.warm_monitor
        self.nodes = [Node(k, self.disk, monitor()) for k in range(cluster.nodes)]
        self.timeline: list[Happening] = []
        self.crossed: list[tuple[int, int]] = []  # when the number of running primaries changed, and to what [ns]
        self.suspected_at: list[int] = []
        self.promoted_at: list[int] = []
        self.awaiting_power_off: dict[int, int] = {}  # who was elected, and in which term
        self.last = self.nodes[0], 0  # who was promoted last, and its incarnation then
        self.needless = self.fallbacks = self.truncated = 0
        self.superseded: set[int] = set()  # writes that a later one of the same side replaced, in a merge
        self.overruled: set[int] = set()  # those that one of the other side replaced, in a merge
        self.struck: dict[Fault, tuple[Node, ...]] = {}  # whom a fault hit
        self.make_requests()

    def warm_monitor(self) -> Monitor:
        """A monitor that has heard the primary for some time."""
        cluster = self.cluster
        monitor = Monitor(cluster.detector, cluster.threshold, clock=int, unknown_after=GRACE * cluster.period)
        arrivals = (-k * self.period + self.travel(self.beats) for k in range(WARM, 0, -1))
        for arrival in sorted(arrivals):
            monitor.heartbeat(arrival)
        return monitor

    def make_requests(self) -> None:
        """All that clients will ask, with what became of it."""
        cluster, chance = self.cluster, self.clients
        n = math.ceil(self.seconds * cluster.rate)
        self.sent = [sent for k in range(n) if (sent := round(k / cluster.rate * NS)) < self.end]
        n = len(self.sent)
        self.is_read = [chance.random() < cluster.reads for _ in range(n)]
        self.keys = [chance.randrange(cluster.keys) for _ in range(n)]
        self.done: list[int | None] = [None] * n
        self.maybe = [False] * n  # whether it may have taken effect
        self.got: list[int | None] = [None] * n
        self.by: list[int | None] = [None] * n
        self.believed = [0] * cluster.clients  # whom each client takes for the primary
        self.patience, self.timeout = round(cluster.patience * NS), round(cluster.request_timeout * NS)

    # ---- events -----------------------------------------------------------------------------------------------------

    def run(self) -> Run:
        """Until the end."""
        for node in self.nodes[1:]:
            self.watch(node)
        first = self.nodes[0]
        first.role = "primary"
        first.lease_until = first.local(0) + self.lease_lasts(0)
        first.streams = {node.id: 0 for node in self.nodes[1:]}
        first.acks = {node.id: deque() for node in self.nodes[1:]}
        first.acked = dict.fromkeys(first.streams, 0)
        self.say(first, "starts as primary", state="primary")
        self.count_primaries()
        self.at(0, first, self.broadcast, first, 0)
        if self.cluster.lease is not None:
            self.at(first.true(first.lease_until), first, self.lease_timer, first, 0)
        for fault in self.faults:
            self.at(round(fault.at * NS), None, self.strike, fault)
            if fault.until is not None:
                self.at(round(fault.until * NS), None, self.ends, fault)
        heap, sent, end, delay = self.heap, self.sent, self.end, self.delay
        pop, request, requests, arrive = heapq.heappop, 0, len(sent), self.first_try
        while True:
            # A first try takes no event of its own: it arrives one delay after it was sent.
            if request < requests and (not heap or sent[request] + delay < heap[0][0]):
                self.now = sent[request] + delay
                if self.now > end:
                    break
                arrive(request)
                request += 1
                continue
            if not heap:
                break
            now, _, where, does, arguments = pop(heap)
            if now > end:
                break
            self.now = now
            if where is not None:
                if where.role in ("down", "fenced"):
                    continue
                if where.paused:
                    where.stash.append((does, arguments))
                    continue
            does(*arguments)
        self.now = end
        return self.result()

    def at(self, when: int, node: Node | None, does: Callable[..., object], *arguments: Any) -> None:
        """Plan something: at a node that is down it is void, at one that is paused it waits."""
        heapq.heappush(self.heap, (when, next(self.order), node, does, arguments))

    def after(self, wait: int, node: Node, does: Callable[..., object], *arguments: Any) -> None:
        """A timer of a node's process: void once that has crashed."""
        incarnation = node.incarnation
        self.at(self.now + wait, node, self.timer, node, incarnation, does, arguments)

    def timer(self, node: Node, incarnation: int, does: Callable[..., object], arguments: tuple[Any, ...]) -> None:
        """A timer has run out."""
        if node.incarnation == incarnation:
            does(*arguments)

    def travel(self, chance: random.Random) -> int:
        """How long a message takes [ns]."""
        return self.delay if not self.jitter else self.delay + round(chance.expovariate(1.0) * self.jitter)

    def reaches(self, a: int, b: int) -> bool:
        """Whether what a sends gets to b."""
        return not self.cuts[a][b]

    def send(self, source: Node, target: Node, does: Callable[..., object], *arguments: Any) -> None:
        """A message between nodes; what is under way when the link is cut is lost."""
        if self.reaches(source.id, target.id):
            when = self.now + self.travel(self.chance)
            self.at(when, target, self.delivered, source.id, target.id, does, arguments)

    def delivered(self, a: int, b: int, does: Callable[..., object], arguments: tuple[Any, ...]) -> None:
        """A message has arrived, if the link holds."""
        if self.reaches(a, b):
            does(*arguments)

    def say(self, node: Node | None, what: str, detail: str = "", state: str | None = None) -> None:
        """A line for the timeline."""
        number = None if node is None else node.id
        self.timeline.append(Happening(time=self.now / NS, node=number, what=what, detail=detail, state=state))

    def becomes(self, node: Node, event: str, detail: str = "") -> bool:
        """Change a node's state by its table; False where the table has no such row."""
        target = self.machine.target(node.role, event)
        if target is None:
            return False
        before, node.role = node.role, target
        self.say(node, event, detail or f"{before} -> {target}", target)
        if "primary" in (before, target):
            self.count_primaries()
        return True

    def count_primaries(self) -> None:
        """Take down how many run as primary."""
        self.crossed.append((self.now, sum(n.role == "primary" and not n.paused for n in self.nodes)))

    # ---- heartbeats and suspicion -----------------------------------------------------------------------------------

    def broadcast(self, node: Node, incarnation: int) -> None:
        """The primary beats."""
        if node.role != "primary" or node.round != incarnation:
            return
        local, leased = node.local(self.now), self.cluster.lease is not None
        answers = {node.id}
        for other in self.nodes:
            if other is node or (self.cluster.loss and self.beats.random() < self.cluster.loss):
                continue
            travel = self.travel(self.beats)
            if self.reaches(node.id, other.id):
                self.at(
                    self.now + travel, other, self.beat, other, node, node.known, local if leased else None, answers
                )
        if leased and self.cluster.nodes == 1:
            node.lease_until = local + self.lease_lasts(0)
        self.at(self.now + self.period, node, self.broadcast, node, incarnation)

    def lease_lasts(self, grants: int) -> int:
        """A lease's length on the holder's clock (0) or the granter's (1): the drift bound makes the two safe [ns]."""
        lease = self.cluster.lease or 0.0
        bound = self.cluster.drift_bound
        return round(lease * (1 + bound if grants else 1 - bound) * NS)

    def beat(self, node: Node, source: Node, ballot: tuple[int, int], leased: int | None, answers: set[int]) -> None:
        """A heartbeat has arrived."""
        if self.cuts[source.id][node.id]:
            return
        if self.cluster.fencing != "none":
            # Who has voted in a newer term takes nothing more from an older one, or what it acknowledges may be lost.
            if ballot < node.known or ballot[0] < node.term:
                self.send(node, source, self.outdated, source, node.term)
                return
        elif ballot < node.known and node.role != "primary" and node.following != source.id:
            return
        if node.role == "primary":
            if ballot <= node.known:
                return
            if self.cluster.fencing == "none":
                if source.id not in node.met:
                    node.met.add(source.id)
                    self.say(node, "meets another primary", f"node {source.id}, term {ballot[0]}")
                    self.after(round(self.cluster.demote_after * NS), node, self.demoted, node, source)
                return
            node.term = max(node.term, ballot[0])
            self.steps_down(node, "newer term")
        if ballot[0] > node.term:
            node.term = ballot[0]
        node.known = max(node.known, ballot)
        if node.following != source.id:
            self.follow(node, source)
        local = node.local(self.now)
        node.monitor.heartbeat(local)
        if node.suspects or node.role == "candidate":
            self.trusts_again(node)
        if node.id not in source.streams:
            self.send(node, source, self.resync, source, node)
        if leased is not None:
            node.granted_until = local + self.lease_lasts(1)
            self.send(node, source, self.lease_answered, source, node.id, leased, answers, ballot)

    def demoted(self, node: Node, other: Node) -> None:
        """Without fencing: the old primary is told at last."""
        node.met.discard(other.id)
        if node.role == other.role == "primary" and self.reaches(other.id, node.id) and other.known > node.known:
            self.steps_down(node, "demoted")

    def outdated(self, node: Node, term: int) -> None:
        """Somebody knows of a newer term, or of the same one's other primary."""
        if node.role == "primary" and term >= node.known[0]:
            node.term = max(node.term, term)
            self.steps_down(node, "newer term")

    def lease_answered(self, node: Node, other: int, sent: int, answers: set[int], ballot: tuple[int, int]) -> None:
        """A backup has heard a heartbeat that was sent then, by the primary's clock."""
        answers.add(other)
        if node.role == "primary" and node.known == ballot and len(answers) >= self.cluster.majority:
            node.lease_until = max(node.lease_until, sent + self.lease_lasts(0))

    def lease_timer(self, node: Node, incarnation: int) -> None:
        """The primary looks whether its lease is over."""
        if node.role != "primary" or node.round != incarnation:
            return
        if node.local(self.now) >= node.lease_until:
            self.steps_down(node, "lease over")
        else:
            self.at(max(self.now + 1, node.true(node.lease_until)), node, self.lease_timer, node, incarnation)

    def until_granted_lease_ends(self, node: Node) -> int:
        """How long a node may not vote yet [ns]."""
        if self.cluster.lease is None:
            return 0
        return max(0, node.true(node.granted_until) - self.now)

    def watch(self, node: Node) -> None:
        """Look at the monitor when it is due."""
        node.check += 1
        self.look(node, node.incarnation, node.check)

    def look(self, node: Node, incarnation: int, number: int) -> None:
        """Whether the primary is suspected."""
        if node.check != number or node.incarnation != incarnation or node.role == "primary" or node.suspects:
            return
        local = node.local(self.now)
        if node.monitor.state(local) is State.SUSPECTED:
            self.suspects(node)
            return
        deadline = node.monitor.deadline()
        when = self.now + self.period if deadline is None else max(self.now + 1, node.true(deadline))
        if when <= self.end:
            self.at(when, node, self.look, node, incarnation, number)

    def suspects(self, node: Node) -> None:
        """A backup suspects the primary."""
        node.suspects = True
        node.round += 1
        self.suspected_at.append(self.now)
        self.say(node, "suspects", "the primary" if node.following is None else f"node {node.following}")
        self.after(round(self.cluster.wait_before_promote * NS), node, self.acts, node, node.round)

    def acts(self, node: Node, round_: int) -> None:
        """It has waited long enough."""
        if node.suspects and node.round == round_:
            node.reported = True
            self.election.suspects(node)

    def trusts_again(self, node: Node) -> None:
        """The primary is heard again."""
        if node.suspects:
            self.say(node, "trusts", f"node {node.following}")
        node.suspects = False
        node.round += 1
        node.began = -1
        if node.reported:
            node.reported = False
            self.election.trusts(node)
        self.becomes(node, "hears the primary")
        self.watch(node)

    def follow(self, node: Node, source: Node) -> None:
        """Follow another primary."""
        self.leave(node)
        node.following = source.id
        node.monitor.reset()
        node.heard_suspicions.clear()
        if not node.suspects and node.role == "backup":
            self.watch(node)

    def leave(self, node: Node) -> None:
        """Take nothing more from the primary followed so far."""
        self.settle(node)
        node.inbox.clear()
        for other in self.nodes:
            if other.streams.pop(node.id, None) is not None:
                acks = other.acks[node.id]
                other.acks[node.id] = deque(ack for ack in acks if ack[1] <= self.now)

    # ---- elections --------------------------------------------------------------------------------------------------

    def position(self, node: Node) -> tuple[int, int]:
        """How far a log is: the term of its last entry, and its length."""
        self.settle(node)
        return (node.log[-1][0] if node.log else 0, len(node.log))

    def reachable(self, node: Node) -> int:
        """How many nodes it reaches and hears, itself included."""
        return sum(
            other is node
            or (
                other.role not in ("down", "fenced")
                and not other.paused
                and self.reaches(node.id, other.id)
                and self.reaches(other.id, node.id)
            )
            for other in self.nodes
        )

    def needed(self, node: Node) -> int:
        """How many must agree to an election."""
        return self.cluster.majority if self.cluster.policy == "cp" else self.reachable(node) // 2 + 1

    def promote(self, node: Node, term: int, event: str) -> None:
        """Make the elected one primary, after the old one was powered off where that is the policy."""
        if event == "promoted":
            node.term = max(node.term, term)
        needless = self.is_needless()
        if self.cluster.fencing == "stonith":
            self.awaiting_power_off[node.id] = term
            wait = round(self.cluster.stonith_time * NS)
            self.after(wait, node, self.shoot, node, term, event, needless)
            for other in self.nodes:
                if other is not node:
                    self.send(node, other, self.holds_off, other, term, wait)
        else:
            self.installed(node, term, event, needless)

    def holds_off(self, node: Node, term: int, wait: int) -> None:
        """Somebody was elected and fences: stand only if nothing has come of it by then, or elections never end."""
        if term >= node.term and node.role in ("backup", "candidate") and node.id not in self.awaiting_power_off:
            node.round += 1
            if node.suspects:
                low, high = self.election.low, self.election.high
                again = wait + self.chance.randrange(low, high + 1)
                self.after(again, node, self.election.stand, node, node.round)

    def is_needless(self) -> bool:
        """Whether the last primary is well: it runs, has not been down since, and reaches a majority."""
        old, incarnation = self.last
        well = old.incarnation == incarnation and old.role not in ("down", "fenced") and not old.paused
        return well and self.reachable(old) >= self.cluster.majority

    def shoot(self, node: Node, term: int, event: str, needless: bool) -> None:
        """Power off whoever is or may become primary: by a road that partitions and pauses do not touch."""
        if self.awaiting_power_off.get(node.id) == term:
            del self.awaiting_power_off[node.id]
        if node.term != term:
            return
        for other in self.nodes:
            # Also whoever was elected and waits or stands still: it would go on where it was.
            if other is not node and (other.role == "primary" or other.id in self.awaiting_power_off):
                self.crash(other, "power-off", power=True)
                restart = round(self.cluster.restart_after * NS)
                self.at(self.now + restart, None, self.restart, other, other.incarnation)
        self.installed(node, term, event, needless)

    def installed(self, node: Node, term: int, event: str, needless: bool) -> None:
        """It is primary from now on."""
        if node.term != term or (event == "elected" and node.role != "candidate"):
            return
        if not self.becomes(node, event, f"term {term}"):
            return
        self.promoted_at.append(self.now)
        self.needless += needless
        self.last = node, node.incarnation
        self.leave(node)
        node.known = (term, node.id)
        node.following = node.id
        node.suspects = node.reported = False
        node.round += 1
        node.heard_suspicions.clear()
        node.streams, node.acks, node.acked = {}, {}, {}
        node.pending.clear()
        node.met.clear()
        node.fallen = False
        node.values = {self.keys[entry[2]]: entry[2] for entry in node.log if entry[2] != NOBODY}
        node.shown = {}
        node.ready = not self.backups_needed
        if not node.ready:
            self.append(node, NOBODY)
        if self.cluster.lease is not None:
            node.lease_until = node.local(self.now) + self.lease_lasts(0)
            self.at(node.true(node.lease_until), node, self.lease_timer, node, node.round)
        self.broadcast(node, node.round)

    def steps_down(self, node: Node, event: str) -> None:
        """A primary or candidate is one no more."""
        was = node.role
        if not self.becomes(node, event):
            return
        if was == "candidate":
            return  # its timer goes on, as in Raft: it will stand again unless it votes or hears a primary
        node.round += 1
        if was == "primary":
            node.streams, node.acks = {}, {}
            node.following = None
            node.monitor.reset()
            self.hang_up(node)
            node.monitor.expect(node.local(self.now) + GRACE * self.period)
        node.suspects = node.reported = False
        node.began = -1
        self.watch(node)

    # ---- replication ------------------------------------------------------------------------------------------------

    def settle(self, node: Node) -> None:
        """Put what is durable by now into a backup's log."""
        inbox = node.inbox
        while inbox and inbox[0][1] <= self.now:
            entry = inbox.popleft()[2]
            node.log.append(entry)
            if entry[2] != NOBODY:
                node.values[self.keys[entry[2]]] = entry[2]

    def append(self, node: Node, request: int, stamp: int | None = None) -> None:
        """The primary takes a write in."""
        now, nodes, delay = self.now, self.nodes, self.delay
        durable = max(node.disk_free, now) + node.disk
        node.disk_free = durable
        entry = (node.known[0], node.id, request, node.local(now) if stamp is None else stamp)
        node.log.append(entry)
        index = len(node.log)
        if request != NOBODY and (self.readable_at_once or node.fallen):  # only semi-synchronous ones fall back
            self.show(node, index, request)
        if not node.pending and self.falls_back:
            self.after(self.falls_back, node, self.fall_back, node, node.round)
        node.pending.append((index, request, now, durable))
        times = []
        for number, last in node.streams.items():
            other = nodes[number]
            arrival = now + delay if not self.jitter else now + self.travel(self.chance)
            if arrival < last:
                arrival = last
            node.streams[number] = arrival
            there = max(arrival, other.disk_free) + other.disk
            other.disk_free = there
            other.inbox.append((arrival, there, entry))
            node.acks[number].append((there + delay, there, index))
            times.append(there + delay)
        needed = 0 if node.fallen else self.backups_needed
        if needed <= len(times):
            if needed:
                times.sort()
                durable = max(durable, times[needed - 1])
            self.at(durable, node, self.commit, node, node.round)

    def show(self, node: Node, index: int, request: int) -> None:
        """Let a write of the primary be read, unless a later one of its key can be already."""
        key = self.keys[request]
        if index > node.shown.get(key, 0):
            node.values[key], node.shown[key] = request, index

    @cached_property
    def falls_back(self) -> int:
        """After how long semi-synchronous replication gives up; 0: never [ns]."""
        cluster = self.cluster
        given = cluster.fallback_after if cluster.replication == "semi-sync" else None
        return 0 if given is None else round(given * NS)

    def commit(self, node: Node, round_: int) -> None:
        """See what can be acknowledged."""
        if node.role != "primary" or node.round != round_:
            return
        now, pending = self.now, node.pending
        needed = 0 if node.fallen else self.backups_needed
        if self.backups_needed:
            for number, acks in node.acks.items():
                while acks and acks[0][0] <= now:
                    node.acked[number] = acks.popleft()[2]
        upto = len(node.log)
        if needed:
            have = sorted(node.acked.values(), reverse=True)
            upto = have[needed - 1] if len(have) >= needed else 0
        while pending and pending[0][0] <= upto and pending[0][3] <= now:
            index, request, _, _ = pending.popleft()
            if request == NOBODY:
                node.ready = True
            else:
                self.show(node, index, request)
                self.answer(node, request)
        if node.fallen and node.log:
            have = sorted(node.acked.values(), reverse=True)
            if len(have) >= self.backups_needed and have[self.backups_needed - 1] >= len(node.log) - 1:
                node.fallen = False
                self.say(node, "semi-synchronous again")

    def fall_back(self, node: Node, round_: int) -> None:
        """Semi-synchronous replication has waited long: it turns asynchronous, and tells nobody but the log."""
        if node.role != "primary" or node.round != round_ or not node.pending or node.fallen:
            return
        waited = self.now - node.pending[0][2]
        if waited < self.falls_back:
            self.after(self.falls_back - waited, node, self.fall_back, node, round_)
            return
        node.fallen = True
        self.fallbacks += 1
        self.say(node, "falls back to asynchronous", f"{len(node.pending)} writes waited")
        self.commit(node, round_)

    def resync(self, node: Node, backup: Node) -> None:
        """A backup asks to be brought up to date: its log is cut where it differs, and the rest is sent."""
        if node.role != "primary" or backup.role != "backup" or backup.following != node.id:
            return
        self.settle(backup)
        backup.inbox.clear()
        mine, its = node.log, backup.log
        same = min(len(mine), len(its))
        while same and mine[same - 1] != its[same - 1]:  # equal entries have equal logs before them
            same -= 1
        other = its[same:]
        if other:
            del its[same:]
            kept = self.merge(node, other, same)
            self.truncated += len(other) - kept
            note = f"{len(other)} entries" + (f", {kept} of them merged" if kept else "")
            self.say(backup, "cuts its log", note)
        backup.values = {self.keys[entry[2]]: entry[2] for entry in its if entry[2] != NOBODY}
        missing = mine[same:]
        arrival = self.now + self.travel(self.chance)
        durable = arrival
        if missing:
            durable = max(arrival, backup.disk_free) + backup.disk
            backup.disk_free = durable
            backup.inbox.extend((arrival, durable, entry) for entry in missing)
        node.streams[backup.id] = arrival
        node.acked[backup.id] = same
        node.acks[backup.id] = deque([(durable + self.delay, durable, len(mine))])
        self.at(durable + self.delay, node, self.commit, node, node.round)
        if len(missing) > 1 or other:
            self.say(backup, "catches up", f"{len(missing)} entries from node {node.id}")

    def merge(self, node: Node, other: list[Entry], same: int) -> int:
        """Last writer wins: of the writes that only a demoted primary has, keep each key's last if it is the latest.

        Whichever side's write is beaten, its client was told OK and is not told of the other: both count as lost.
        `same`: how many entries both logs have.
        Returns how many entries did not go to waste: kept, or replaced by a later one of their own side.
        """
        if self.cluster.heal != "last-writer-wins":
            return 0
        stamps = {self.keys[request]: stamp for _, _, request, stamp in node.log if request != NOBODY}
        last = {self.keys[request]: (request, stamp) for _, _, request, stamp in other if request != NOBODY}
        replaced = [entry[2] for entry in other if entry[2] != NOBODY and last[self.keys[entry[2]]][0] != entry[2]]
        self.superseded.update(replaced)
        own = {self.keys[request]: request for _, _, request, _ in node.log[same:] if request != NOBODY}
        self.overruled.update(own[key] for key, (_, stamp) in last.items() if key in own and stamp > stamps[key])
        kept = 0
        for key, (request, stamp) in last.items():
            if key not in stamps or stamp > stamps[key]:
                self.append(node, request, stamp)
                self.show(node, len(node.log), request)
                kept += 1
        return kept + len(replaced)

    # ---- clients ----------------------------------------------------------------------------------------------------

    def first_try(self, request: int) -> None:
        """A request arrives where its client believes the primary to be."""
        client = request % self.cluster.clients
        number = self.believed[client]
        if self.cluster.read_from == "any" and self.is_read[request]:
            number = self.clients.randrange(self.cluster.nodes)
        self.arrives(request, number)

    def arrives(self, request: int, number: int) -> None:
        """A request has been sent to a node one delay ago."""
        node, client = self.nodes[number], self.cluster.nodes + request % self.cluster.clients
        if node.role in ("down", "fenced") or self.cuts[client][number]:
            self.no_answer(request, number)
        elif node.paused:
            self.maybe[request] = True
            node.stash.append((self.serve, (request, node)))
            self.no_answer(request, number)
        else:
            self.serve(request, node)

    def serve(self, request: int, node: Node) -> None:
        """A node answers, refuses, or takes a write in."""
        if self.leased and node.role == "primary" and node.local(self.now) >= node.lease_until:
            self.steps_down(node, "lease over")  # it was paused, and looks at its clock before it answers
        if self.is_read[request]:
            if node.role == "primary" and node.ready:
                self.got[request] = node.values.get(self.keys[request])
                self.answer(node, request)
                return
            if self.cluster.read_from == "any" and node.role == "backup":
                self.settle(node)
                self.got[request] = node.values.get(self.keys[request])
                self.answer(node, request)
                return
        elif node.role == "primary":
            self.maybe[request] = True
            self.append(node, request)
            return
        self.refused(request, node)

    def answer(self, node: Node, request: int) -> None:
        """The client hears that it is done, if it still waits and the link holds."""
        client = request % self.cluster.clients
        done = self.now + self.delay
        if self.done[request] is not None or done - self.sent[request] > self.timeout:
            return
        if self.cuts[node.id][self.cluster.nodes + client]:
            self.maybe[request] = True
            self.no_answer(request, node.id)
            return
        self.done[request], self.by[request] = done, node.id
        if node.role == "primary":
            self.believed[client] = node.id

    def no_answer(self, request: int, number: int) -> None:
        """The client will lose patience, and try the next node."""
        when = self.now - self.delay + self.patience
        self.at(when, None, self.again, request, (number + 1) % self.cluster.nodes, number)

    def refused(self, request: int, node: Node) -> None:
        """The node is not the primary; it may know who is."""
        client = self.cluster.nodes + request % self.cluster.clients
        if self.cuts[node.id][client]:
            self.no_answer(request, node.id)
            return
        hint = node.following
        if hint is None or hint == node.id or node.suspects:
            self.no_answer(request, node.id)
        elif self.believed[client - self.cluster.nodes] == hint:  # it comes from there
            self.no_answer(request, hint if self.nodes[hint].role in ("down", "fenced") else node.id)
        else:
            self.at(self.now + self.delay, None, self.again, request, hint, None)

    def again(self, request: int, number: int, tried: int | None) -> None:
        """The client tries another node."""
        if self.done[request] is not None or self.now - self.sent[request] >= self.timeout:
            return
        client = request % self.cluster.clients
        if tried is None or self.believed[client] == tried:
            self.believed[client] = number
        elif not self.is_read[request] or self.cluster.read_from == "primary":
            number = self.believed[client]  # another request of this client has found out meanwhile
        self.at(self.now + self.delay, None, self.arrives, request, number)

    def hang_up(self, node: Node) -> None:
        """The clients of requests that a node has not answered see the connection break."""
        for _, request, _, _ in node.pending:
            if request != NOBODY:
                self.no_answer(request, node.id)
        node.pending.clear()

    # ---- faults -----------------------------------------------------------------------------------------------------

    def whom(self, fault: Fault) -> tuple[Node, ...]:
        """Whom a fault of one node hits: the primary, if there is one that runs."""
        node = fault.node  # type: ignore[attr-defined]
        if node != "primary":
            return (self.nodes[node],)
        primaries = [n for n in self.nodes if n.role == "primary"]
        return (max(primaries, key=lambda n: n.known),) if primaries else ()

    def links(self, fault: Fault) -> Iterator[tuple[int, int]]:
        """The directions that a fault cuts."""
        if isinstance(fault, Partition):
            groups = [[member_number(member, self.cluster) for member in group] for group in fault.groups]
            for one, two in itertools.permutations(groups, 2):
                yield from itertools.product(one, two)
        elif isinstance(fault, Cut):
            a, b = ([member_number(member, self.cluster) for member in side] for side in (fault.a, fault.b))
            yield from itertools.product(a, b)
            if not fault.one_way:
                yield from itertools.product(b, a)

    def strike(self, fault: Fault) -> None:
        """A fault begins."""
        if isinstance(fault, Partition | Cut):
            shown = (
                " | ".join(" ".join(map(str, group)) for group in fault.groups)
                if isinstance(fault, Partition)
                else f"{' '.join(map(str, fault.a))} {'to' if fault.one_way else '-'} {' '.join(map(str, fault.b))}"
            )
            self.say(None, "partition" if isinstance(fault, Partition) else "link cut", shown)
            for a, b in self.links(fault):
                self.cuts[a][b] += 1
                if a < self.cluster.nodes and b < self.cluster.nodes:
                    self.stop_stream(self.nodes[a], self.nodes[b])
                    self.stop_stream(self.nodes[b], self.nodes[a])
            return
        struck = self.whom(fault)
        self.struck[fault] = struck
        for node in struck:
            if isinstance(fault, Crash):
                self.crash(node, "crash", fault.power)
            elif isinstance(fault, Pause):
                self.pause(node)
            elif isinstance(fault, SlowDisk):
                node.disk = round(fault.takes * NS)
                self.say(node, "disk slow", f"{fault.takes:g} s a write")
            elif isinstance(fault, ClockError):
                self.set_clock(node, round(fault.offset * NS), 1.0 + fault.drift)
                self.say(node, "clock wrong", f"by {fault.offset:g} s, rate {1 + fault.drift:g}")

    def ends(self, fault: Fault) -> None:
        """A fault ends."""
        if isinstance(fault, Partition | Cut):
            for a, b in self.links(fault):
                self.cuts[a][b] -= 1
            self.say(None, "network heals")
            return
        for node in self.struck.get(fault, ()):
            if isinstance(fault, Crash):
                self.restart(node, node.incarnation)
            elif isinstance(fault, Pause):
                self.resume(node)
            elif isinstance(fault, SlowDisk):
                node.disk = self.disk
                self.say(node, "disk well")
            elif isinstance(fault, ClockError):
                self.set_clock(node, -round(fault.offset * NS), 1.0)
                self.say(node, "clock rate right")

    def set_clock(self, node: Node, offset: int, rate: float) -> None:
        node.clock = (self.now, node.local(self.now) + offset, rate)
        node.check += 1  # its timers are by its clock
        self.watch(node)

    def stop_stream(self, node: Node, backup: Node, keep: bool = False) -> None:
        """What is under way from a primary to a backup is lost; acknowledgements too, but for those already sent."""
        if node.streams.pop(backup.id, None) is not None:
            self.settle(backup)
            backup.inbox.clear()
            acks = node.acks[backup.id]
            limit = 1 if keep else 0
            node.acks[backup.id] = deque(ack for ack in acks if ack[limit] <= self.now)

    def crash(self, node: Node, event: str, power: bool) -> None:
        """A node dies."""
        self.settle(node)
        was = node.role
        if not self.becomes(node, event):
            return
        if node.paused:
            node.paused = False
            self.count_primaries()
        self.awaiting_power_off.pop(node.id, None)
        node.incarnation += 1
        node.round += 1
        for does, arguments in node.stash:
            if does == self.serve:
                self.no_answer(arguments[0], node.id)
        node.stash.clear()
        node.inbox.clear()
        if was == "primary":
            # What its own disk did not have yet is gone; with the power what had not arrived, too.
            while node.pending and node.pending[-1][3] > self.now:
                index, request, _, _ = node.pending.pop()
                del node.log[index - 1 :]
                if request != NOBODY:
                    self.no_answer(request, node.id)
            for number in node.streams:
                other = self.nodes[number]
                self.settle(other)
                if power:
                    other.inbox = deque(item for item in other.inbox if item[0] <= self.now)
            self.hang_up(node)
        node.streams, node.acks = {}, {}
        for other in self.nodes:
            self.stop_stream(other, node)
        node.suspects = node.reported = False
        node.monitor.reset()

    def restart(self, node: Node, incarnation: int) -> None:
        """A dead node starts again, as a backup of whoever it hears."""
        if node.incarnation != incarnation or not self.becomes(node, "restart"):
            return
        node.following = None
        node.disk_free = self.now
        node.granted_until = node.local(self.now) + self.lease_lasts(1)  # it cannot know what it granted
        node.monitor.expect(node.local(self.now) + GRACE * self.period)
        self.watch(node)

    def pause(self, node: Node) -> None:
        """A node stands still."""
        if node.paused or node.role in ("down", "fenced"):
            return
        self.settle(node)
        node.paused = True
        self.say(node, "pauses", state="paused")
        self.count_primaries()
        for other in self.nodes:
            self.stop_stream(other, node, keep=True)

    def resume(self, node: Node) -> None:
        """It goes on, and finds what came meanwhile."""
        if not node.paused:
            return
        node.paused = False
        self.say(node, "goes on", node.role, state="resumed")
        self.count_primaries()
        waiting, node.stash = node.stash, []
        for does, arguments in waiting:
            self.at(self.now, node, does, *arguments)

    # ---- the end ----------------------------------------------------------------------------------------------------

    def surviving(self) -> frozenset[int]:
        """The writes that the last primary has, or who would be it; others that are up merge into it."""
        up = [node for node in self.nodes if node.role not in ("down", "fenced")] or self.nodes
        best = max(up, key=lambda node: (node.role == "primary", node.known if node.role == "primary" else (0, 0),
                                         self.position(node), -node.id))  # fmt: skip
        if self.cluster.heal == "last-writer-wins":
            for node in up:
                if node is not best:
                    same = min(len(best.log), len(node.log))
                    while same and best.log[same - 1] != node.log[same - 1]:
                        same -= 1
                    if other := node.log[same:]:
                        self.merge(best, other, same)
        return frozenset({entry[2] for entry in best.log} - {NOBODY} - self.overruled | self.superseded)

    def result(self) -> Run:
        """Add up."""
        survivors = self.surviving()
        operations = tuple(self.operations())
        findings = check(operations, survivors)
        first_fault = min((fault.at for fault in self.faults), default=math.nan)
        suspicion = next((at / NS for at in self.suspected_at if not at / NS < first_fault), math.nan)
        promotion = next((at / NS for at in self.promoted_at if not at / NS < suspicion), math.nan)
        writes = [o for o in operations if o.kind == "write"]
        patience = self.cluster.patience
        bad = 0.0
        until = [*(write.start for write in writes), self.seconds][1:]
        for write, after in zip(writes, until, strict=True):
            # One that was sent so near the end that nobody can tell is left out.
            late = write.status == "ok" and write.end - write.start > patience
            if late or (write.status != "ok" and write.start + patience < self.seconds):
                bad += after - write.start
        acknowledged = [w for w in writes if w.status == "ok"]
        statuses = [o.status for o in operations]
        outcome = Outcome(
            detection=suspicion - first_fault,
            election=promotion - suspicion,
            unavailability=bad,
            requests=len(operations),
            failed=statuses.count("failed"),
            unknown=statuses.count("unknown"),
            slow=sum(o.status == "ok" and o.end - o.start > patience for o in operations),
            stale_reads=len(findings.stale),
            phantom_reads=len(findings.phantom),
            acknowledged_writes=len(acknowledged),
            lost_writes=len(findings.lost),
            split_brain=self.time_of_two_primaries(),
            failovers=len(self.promoted_at),
            needless_failovers=self.needless,
            commit_latency=(
                sum(w.end - w.start for w in acknowledged) / len(acknowledged) if acknowledged else math.nan
            ),
            fallbacks=self.fallbacks,
            truncated=self.truncated,
        )
        run = Run(
            cluster=self.cluster,
            faults=self.faults,
            seconds=self.seconds,
            seed=self.seed,
            outcome=outcome,
            timeline=tuple(self.timeline),
            operations=operations,
            survivors=survivors,
        )
        run.__dict__["findings"] = findings  # known already: cached_property
        return run

    def operations(self) -> Iterable[Operation]:
        """What each client saw."""
        for request, sent in enumerate(self.sent):
            done = self.done[request]
            read = self.is_read[request]
            answered = done is not None and done <= self.end
            status = "ok" if answered else "unknown" if self.maybe[request] and not read else "failed"
            yield Operation(
                number=request,
                client=request % self.cluster.clients,
                kind="read" if read else "write",
                key=self.keys[request],
                start=sent / NS,
                end=done / NS if answered and done is not None else math.nan,
                status=status,
                value=self.got[request] if read and answered else None,
                node=self.by[request] if answered else None,
            )

    def time_of_two_primaries(self) -> float:
        """How long two or more ran as primary [s]."""
        total = 0
        ends = [at for at, _ in self.crossed[1:]] + [self.end]
        for (at, count), until in zip(self.crossed, ends, strict=True):
            total += until - at if count > 1 else 0
        return total / NS
