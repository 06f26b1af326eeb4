"""Who becomes primary: four elections, each a table of states and the messages between nodes."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, Final

from accrual.recovery.machine import Machine, Transition

if TYPE_CHECKING:
    from accrual.recovery.model import Node, Simulation

__all__ = ["ELECTION", "MACHINES", "Bully", "Majority", "Raft", "Zab"]

_COMMON: Final = (
    Transition("candidate", "hears the primary", "backup"),
    Transition("candidate", "newer term", "backup", "its own election is over"),
    Transition("candidate", "elected", "primary", "heartbeats at once"),
    Transition("primary", "newer term", "backup", "with fencing by terms or power-off"),
    Transition("primary", "lease over", "backup", "no majority answered in time"),
    Transition("primary", "demoted", "backup", "without fencing: demote_after it met the new one"),
    Transition("backup", "crash", "down"),
    Transition("candidate", "crash", "down"),
    Transition("primary", "crash", "down"),
    Transition("backup", "power-off", "fenced"),
    Transition("candidate", "power-off", "fenced"),
    Transition("primary", "power-off", "fenced", "with stonith, before the next is promoted"),
    Transition("down", "power-off", "fenced"),
    Transition("down", "restart", "backup", "its disk's log"),
    Transition("fenced", "restart", "backup", "its disk's log"),
)


def _node(election: str, *rows: Transition) -> Machine:
    return Machine(f"node, {election}", "backup", (*rows, *_COMMON))


_SPLIT: Final = Transition("candidate", "stands", "candidate", "the vote was split: a new term after a random time")

MACHINES: Final = {
    "raft": _node(
        "Raft-like election",
        Transition("backup", "stands", "candidate", "after a random time; a new term, asks all for votes"),
        _SPLIT,
    ),
    "bully": _node(
        "bully election",
        Transition("backup", "stands", "candidate", "asks those with higher numbers whether they live"),
        Transition("candidate", "stands", "candidate", "one answered, and nobody took over"),
    ),
    "majority": _node(
        "election after a majority's suspicion",
        Transition("backup", "stands", "candidate", "a majority suspects; asks all for votes"),
        _SPLIT,
        Transition("backup", "promoted", "primary", "it has the longest log of those that voted"),
        Transition("candidate", "promotes another", "backup", "that has a longer log"),
    ),
    "zab": _node(
        "ZAB-like election",
        Transition("backup", "stands", "candidate", "a majority looks, none has a longer log: a new epoch"),
        Transition("candidate", "stands", "candidate", "no majority followed"),
    ),
}
"""The table of a node's states for each kind of election; a simulation runs on it."""


class Raft:
    """Ongaro and Ousterhout (2014): random timeouts, a vote a term, only for logs at least as long."""

    kind: ClassVar[str] = "raft"
    looks_at_logs: ClassVar[bool] = True

    def __init__(self, sim: Simulation) -> None:
        self.sim = sim
        low, high = sim.cluster.election_timeout
        self.low, self.high = round(low * 1e9), round(high * 1e9)

    def suspects(self, node: Node) -> None:
        """A node has suspected the primary, and waited as long as it was told to."""
        self.begin(node)

    def trusts(self, node: Node) -> None:
        """A node takes its suspicion back."""

    def begin(self, node: Node) -> None:
        """Stand after a random time: with the timeout before the suspicion that is uniform, as in Raft."""
        self.sim.after(self.sim.chance.randrange(self.high - self.low + 1), node, self.stand, node, node.round)

    def stand(self, node: Node, round_: int) -> None:
        """Ask for votes; with PreVote, ask first whether one would get them."""
        if self.is_too_early(node, round_):
            return
        if not self.sim.cluster.prevote:
            self.ask(node, round_)
            return
        node.would = {node.id}
        self.sim.say(node, "asks before it stands", f"for term {node.term + 1}")
        for other in self.sim.nodes:
            if other is not node:
                self.sim.send(node, other, self.sounded, other, node, round_, node.term + 1, self.sim.position(node))
        self.sim.after(self.sim.chance.randrange(self.low, self.high + 1), node, self.stand, node, round_)
        self.would_win(node, round_)

    def is_too_early(self, node: Node, round_: int) -> bool:
        """Whether it may not stand: not any more, or not before the leases that it granted are over."""
        if node.round != round_ or node.role not in ("backup", "candidate"):
            return True
        wait = self.sim.until_granted_lease_ends(node)
        if wait > 0:
            self.sim.after(wait, node, self.stand, node, round_)
        return wait > 0

    def sounded(self, node: Node, candidate: Node, round_: int, term: int, position: tuple[int, int]) -> None:
        """A node is asked whether it would vote: not while it hears a primary. It promises nothing."""
        sim = self.sim
        would = node.suspects and term > node.term and position >= sim.position(node)
        sim.send(node, candidate, self.would_vote, candidate, node.id, round_, would, node.term)

    def would_vote(self, node: Node, voter: int, round_: int, would: bool, term: int) -> None:
        """The answer. A newer term is taken over, or one that has missed some would ask for an old one for ever."""
        if term > node.term:
            node.term = term
            if node.role == "candidate":
                self.sim.steps_down(node, "newer term")
        elif would and node.round == round_:
            node.would.add(voter)
            self.would_win(node, round_)

    def would_win(self, node: Node, round_: int) -> None:
        """Stand once enough would vote."""
        if len(node.would) >= self.sim.needed(node) and node.role in ("backup", "candidate"):
            node.round += 1  # instead of asking again
            self.ask(node, node.round)

    def ask(self, node: Node, round_: int) -> None:
        """Ask for votes in a new term."""
        sim = self.sim
        sim.leave(node)
        node.term += 1
        node.voted = node.term
        sim.becomes(node, "stands", f"term {node.term}")
        position = sim.position(node)
        node.votes = {node.id: position}
        for other in sim.nodes:
            if other is not node:
                sim.send(node, other, self.asked, other, node, node.term, position)
        sim.after(sim.chance.randrange(self.low, self.high + 1), node, self.stand, node, round_)
        self.count(node)

    def asked(self, node: Node, candidate: Node, term: int, position: tuple[int, int]) -> None:
        """A node is asked for its vote."""
        sim = self.sim
        if sim.cluster.fencing == "none" and node.role == "primary":
            return  # nothing tells an old primary that its time is over
        if term > node.term:
            node.term = term
            if node.role in ("primary", "candidate"):
                sim.steps_down(node, "newer term")
        self.vote(node, candidate, term, position)

    def vote(self, node: Node, candidate: Node, term: int, position: tuple[int, int]) -> None:
        """Give it, or not; once the leases that were granted are over."""
        sim = self.sim
        if term < node.term or node.voted >= term or not self.may_vote(node):
            return
        if self.looks_at_logs and position < sim.position(node):
            return
        wait = sim.until_granted_lease_ends(node)
        if wait > 0:
            sim.after(wait, node, self.vote, node, candidate, term, position)
            return
        node.voted = term
        sim.leave(node)
        node.round += 1
        if node.suspects:  # its own turn is put off
            sim.after(sim.chance.randrange(self.low, self.high + 1), node, self.stand, node, node.round)
        # A vote is on the disk before it is told, or a restart would give a second one.
        sim.after(node.disk, node, sim.send, node, candidate, self.given, candidate, node, term, sim.position(node))

    def may_vote(self, node: Node) -> bool:
        """Whether it votes at all."""
        return True

    def given(self, candidate: Node, voter: Node, term: int, position: tuple[int, int]) -> None:
        """A vote has come."""
        if candidate.role == "candidate" and candidate.term == term:
            candidate.votes[voter.id] = position
            self.count(candidate)

    def count(self, candidate: Node) -> None:
        """See whether the votes are enough."""
        if len(candidate.votes) >= self.sim.needed(candidate):
            self.won(candidate)

    def won(self, candidate: Node) -> None:
        """What the winner does."""
        candidate.round += 1  # it stands no more
        self.sim.promote(candidate, candidate.term, "elected")


class Majority(Raft):
    """As Redis Sentinel: first a majority must suspect, then one is voted for, and promotes the longest log."""

    kind = "majority"
    looks_at_logs = False

    def suspects(self, node: Node) -> None:
        """Tell all, and see whether enough say so."""
        for other in self.sim.nodes:
            if other is not node:
                self.sim.send(node, other, self.told, other, node, False)
        self.agree(node)

    def told(self, node: Node, other: Node, answer: bool) -> None:
        """Another one suspects, too."""
        node.heard_suspicions[other.id] = self.sim.position(other)
        if node.suspects and not answer:
            self.sim.send(node, other, self.told, other, node, True)
        self.agree(node)

    def trusts(self, node: Node) -> None:
        """Tell all that it is over."""
        for other in self.sim.nodes:
            if other is not node:
                self.sim.send(node, other, self.withdrawn, other, node)

    def withdrawn(self, node: Node, other: Node) -> None:
        """Another one suspects no more."""
        node.heard_suspicions.pop(other.id, None)

    def agree(self, node: Node) -> None:
        """Begin once enough suspect."""
        suspecting = len(node.heard_suspicions) + 1
        if node.suspects and node.began != node.round and suspecting >= self.sim.needed(node):
            node.began = node.round
            self.begin(node)

    def won(self, candidate: Node) -> None:
        """Promote whoever has the longest log among those that voted."""
        sim = self.sim
        best = max(candidate.votes, key=lambda voter: (candidate.votes[voter], voter == candidate.id, -voter))
        candidate.round += 1
        if best == candidate.id:
            sim.promote(candidate, candidate.term, "elected")
        else:
            sim.becomes(candidate, "promotes another")
            node = sim.nodes[best]
            sim.send(candidate, node, sim.promote, node, candidate.term, "promoted")
            # If that is lost, somebody has to try again.
            sim.after(self.high, candidate, self.stand, candidate, candidate.round)


class Zab(Majority):
    """As ZooKeeper: who looks for a primary tells its log; the longest stands for a new epoch after a short wait."""

    kind = "zab"
    looks_at_logs = True

    def agree(self, node: Node) -> None:
        """The best of a majority stands."""
        suspecting = len(node.heard_suspicions) + 1
        if node.suspects and suspecting >= self.sim.needed(node) and self.is_best(node) and node.began != node.round:
            node.began = node.round
            self.sim.after(self.low, node, self.stand_if_best, node, node.round)

    def is_best(self, node: Node) -> bool:
        """Whether nobody who looks has a longer log, or the same and a higher number."""
        own = (self.sim.position(node), node.id)
        return all((position, other) < own for other, position in node.heard_suspicions.items())

    def stand_if_best(self, node: Node, round_: int) -> None:
        """Stand, unless a better one has turned up."""
        if self.is_best(node):
            self.stand(node, round_)
        elif node.round == round_:
            node.began = -1

    def may_vote(self, node: Node) -> bool:
        """Only who looks, too."""
        return node.suspects

    def won(self, candidate: Node) -> None:
        """The best is it itself."""
        Raft.won(self, candidate)


class Bully(Raft):
    """Garcia-Molina (1982): the highest number that lives. It asks for no votes: sides of a partition each get one."""

    kind = "bully"

    def begin(self, node: Node) -> None:
        """No random time: numbers decide."""
        self.stand(node, node.round)

    def stand(self, node: Node, round_: int) -> None:
        """Ask those above."""
        sim = self.sim
        if self.is_too_early(node, round_):
            return
        node.answered = False
        sim.becomes(node, "stands", "asks the higher numbers")
        for other in sim.nodes[node.id + 1 :]:
            sim.send(node, other, self.alive, other, node)
        sim.after(self.low, node, self.heard_nobody, node, round_)

    def alive(self, node: Node, asking: Node) -> None:
        """A lower one asks: answer, and stand oneself."""
        self.sim.send(node, asking, self.answer, asking)
        if node.suspects and node.role == "backup":
            self.stand(node, node.round)

    def answer(self, node: Node) -> None:
        """A higher one lives."""
        node.answered = True

    def heard_nobody(self, node: Node, round_: int) -> None:
        """The time for answers is over."""
        sim = self.sim
        if node.round != round_ or node.role != "candidate":
            return
        if node.answered:
            sim.after(self.high, node, self.stand, node, round_)
        elif sim.reachable(node) < sim.needed(node):
            sim.say(node, "no majority", "it does not take over")
            sim.after(self.high, node, self.stand, node, round_)
        else:
            node.round += 1
            node.term = max(node.term, node.known[0]) + 1
            sim.promote(node, node.term, "elected")


ELECTION: Final[dict[str, type[Raft]]] = {kind.kind: kind for kind in (Raft, Bully, Majority, Zab)}
"""The elections by name."""
