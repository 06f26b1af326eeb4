"""What kind of fault the matrix of mutual suspicions shows: a node, a link, or a partition, and of which shape."""

from __future__ import annotations

import html
import itertools
import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from accrual.tables import as_html

if TYPE_CHECKING:
    from collections.abc import Hashable, Sequence

    from numpy.typing import ArrayLike

    Node = Hashable

__all__ = ["KINDS", "Recognised", "recognise"]

KINDS: Final = {
    "sound": "Nobody who reports suspects anybody.",
    "node fault": "All who report suspect the same silent nodes, and nobody else.",
    "link fault": "Two nodes suspect each other; all others reach both.",
    "whole": "The nodes fall into groups that do not hear each other at all.",
    "partial": "Several pairs do not hear each other, but others reach both: nobody is cut off.",
    "one-way": "Some hear a node that does not hear them.",
}
"""What each kind of finding means."""

LARGEST: Final = 64


@dataclass(frozen=True, kw_only=True)
class Recognised:
    """What `recognise` made of a matrix.

    Attributes
    ----------
    kind : str
        One of `KINDS`, of the worst there is: where nodes are down and the rest is partitioned, that of the rest.
    nodes : tuple
        All nodes.
    down : tuple
        Those that are silent and that all who report suspect: dead, or cut off from all who report.
    cut : tuple of (a, b)
        Pairs of other nodes that do not hear each other (or of which only one reports, and does not hear the other).
    one_way : tuple of (sender, receiver)
        What `sender` says does not reach `receiver`, which it hears.
    groups : tuple of tuples
        Who can reach whom, also through others, in both directions; the largest first. Without those down.
    majority : tuple or None
        The largest set of nodes that all hear each other directly, if it is more than half of *all*: who may go on.
    could_be : tuple of str
        Every other kind of which some fault (of nodes that are dead, and directions in which nothing passes) would have
        given the same matrix. A node that is silent and that nobody hears may be dead, cut off, or only not heard: who
        is on the other side cannot tell. What nobody reports may be so or so. Empty where all report, or where what is
        reported shows a one-way fault: the worst there is, whatever else there may be.
    advice : str
        What to do, in a sentence.
    """

    kind: str
    nodes: tuple[Node, ...]
    down: tuple[Node, ...]
    cut: tuple[tuple[Node, Node], ...]
    one_way: tuple[tuple[Node, Node], ...]
    groups: tuple[tuple[Node, ...], ...]
    majority: tuple[Node, ...] | None
    could_be: tuple[str, ...]
    advice: str

    def to_dict(self) -> dict[str, Any]:
        """Lists by name, as JSON has them."""

        def listed(value: Any) -> Any:
            return [listed(item) for item in value] if isinstance(value, tuple) else value

        return {name: listed(getattr(self, name)) for name in self.__dataclass_fields__}

    def _rows(self) -> list[tuple[str, str]]:
        def names(nodes: Iterable[Node]) -> str:
            return " ".join(map(str, nodes))

        rows = [
            ("kind", self.kind),
            ("meaning", KINDS[self.kind]),
            ("down", names(self.down)),
            ("cut", ", ".join(f"{a} - {b}" for a, b in self.cut)),
            ("one way", ", ".join(f"{a} not to {b}" for a, b in self.one_way)),
            ("groups", " | ".join(map(names, self.groups))),
            ("majority", "none" if self.majority is None else names(self.majority)),
            ("could be", ", ".join(self.could_be)),
            ("advice", self.advice),
        ]
        return [(name, text) for name, text in rows if text]

    def __repr__(self) -> str:
        return "\n".join(f"{name:<9} {text}" for name, text in self._rows())

    def _repr_html_(self) -> str:
        return as_html(html.escape(self.kind), [("", "what the suspicions show"), *self._rows()])


def recognise(
    matrix: Mapping[Any, Mapping[Any, bool | None]] | ArrayLike,
    *,
    nodes: Sequence[Node] | None = None,
    silent: Iterable[Node] = (),
    alive: Iterable[Node] = (),
) -> Recognised:
    """Tell a dead node from a dead link from a partition, as far as suspicions can.

    Wait until the matrix has stood still for some time before you act on it (``stable_after``): while a partition is
    being detected some suspect and others do not yet, which looks one-way for a moment.

    Parameters
    ----------
    matrix : mapping of observer to mapping of peer to bool or None, or bool array, shape (n, n)
        ``[observer][peer]``: whether that observer suspects that peer, which is to say, does not hear it. What is
        missing or None (NaN in an array) is not known. What an observer thinks of itself does not count.
    nodes : sequence, optional
        All nodes, in order; by default all that the matrix names, or 0, 1, ... for an array.
    silent : iterable
        Observers that do not report: their rows do not count (an array has to have some).
    alive : iterable
        Nodes known to live by another road (a witness, a shared disk, the console): if they are silent and suspected
        by all, they are cut off, not dead.

    Raises
    ------
    ValueError
        If the matrix is not square or names a node that is not among `nodes`, there is none, or more than 64.

    Examples
    --------
    >>> recognise({"a": {"b": False, "c": True}, "b": {"a": False, "c": True}})
    kind      node fault
    meaning   All who report suspect the same silent nodes, and nobody else.
    down      c
    groups    a b
    majority  a b
    could be  whole, one-way
    advice    Fence c, then fail over: from here nobody can tell whether it is dead or cut off.
    >>> recognise({"a": {"b": True, "c": False}, "b": {"a": True, "c": False}, "c": {"a": False, "b": False}}).kind
    'link fault'
    >>> recognise([[False, True, True], [True, False, False], [True, False, False]]).groups
    ((1, 2), (0,))
    """
    names, hears = _hearing(matrix, nodes, set(silent))
    known_alive = set(alive)
    if stray := [node for node in (*known_alive, *set(silent)) if node not in names]:
        raise ValueError(f"alive and silent must name nodes, got {stray[0]!r}")
    reporters = [a for a in names if any((a, b) in hears for b in names)]
    down = tuple(
        p
        for p in names
        if p not in reporters
        and p not in known_alive
        and (said := [hears[o, p] for o in reporters if (o, p) in hears])
        and not any(said)
    )
    rest = [node for node in names if node not in down]
    cut, one_way, reach = [], [], {}
    for a, b in itertools.combinations(rest, 2):
        forth, back = hears.get((b, a)), hears.get((a, b))  # a's words at b, b's words at a
        # What is known of one direction only is taken for both; of a pair that nobody reports about, that it is well.
        forth_well = back is not False if forth is None else forth
        back_well = forth is not False if back is None else back
        reach[a, b], reach[b, a] = forth_well, back_well
        if not forth_well and not back_well:
            cut.append((a, b))
        elif not forth_well:
            one_way.append((a, b))
        elif not back_well:
            one_way.append((b, a))
    groups = _groups(rest, reach)
    majority = _largest_clique(rest, reach, least=len(names) // 2 + 1)
    if one_way:
        kind = "one-way"
    elif len(groups) > 1:
        kind = "whole"
    elif cut:
        kind = "link fault" if len(cut) == 1 else "partial"
    else:
        kind = "node fault" if down else "sound"
    return Recognised(
        kind=kind,
        nodes=tuple(names),
        down=down,
        cut=tuple(cut),
        one_way=tuple(one_way),
        groups=groups,
        majority=majority,
        could_be=tuple(other for other in _possible(names, hears, known_alive | set(reporters)) if other != kind),
        advice=_advice(kind, down, majority, one_way),
    )


def _hearing(
    matrix: Any, nodes: Sequence[Node] | None, silent: set[Node]
) -> tuple[list[Node], dict[tuple[Node, Node], bool]]:
    """All nodes, and of (observer, peer) whether it hears it, where that is known."""
    told: dict[tuple[Node, Node], object]
    if isinstance(matrix, Mapping):
        found = list(dict.fromkeys([*matrix, *(peer for row in matrix.values() for peer in row)]))
        names = found if nodes is None else list(nodes)
        told = {(o, p): suspects for o, row in matrix.items() for p, suspects in row.items()}
        if stray := [node for node in found if node not in names]:
            raise ValueError(f"the matrix names {stray[0]!r}, which is not among the nodes")
    else:
        try:
            array = np.asarray(matrix)
        except ValueError:  # rows of unequal lengths
            array = np.empty(0)
        if array.ndim != 2 or array.shape[0] != array.shape[1]:
            raise ValueError(f"matrix must be square, got the shape {array.shape}")
        names = list(range(len(array))) if nodes is None else list(nodes)
        if len(names) != len(array):
            raise ValueError(f"nodes must be as many as the matrix has rows, {len(array)}, got {len(names)}")
        told = {(o, p): array[i, k] for i, o in enumerate(names) for k, p in enumerate(names)}
    if not 1 <= len(names) <= LARGEST or len(set(names)) != len(names):
        raise ValueError(f"nodes must be from 1 to {LARGEST}, each once, got {len(names)}: {names!r}")
    hears = {}
    for (o, p), suspects in told.items():
        if o == p or o in silent or suspects is None or suspects != suspects:
            continue
        if suspects not in (False, True):
            raise ValueError(f"matrix[{o!r}][{p!r}] must be True, False or None, got {suspects!r}")
        hears[o, p] = not suspects
    return names, hears


def _groups(nodes: list[Node], reach: Mapping[tuple[Node, Node], bool]) -> tuple[tuple[Node, ...], ...]:
    """Strongly connected sets, by closure; the largest first, in the nodes' order."""
    reached: dict[Node, set[Node]] = {}
    for start in nodes:
        seen, todo = {start}, [start]
        while todo:
            a = todo.pop()
            new = {b for b in nodes if b not in seen and reach[a, b]}
            seen |= new
            todo += new
        reached[start] = seen
    groups: list[tuple[Node, ...]] = []
    for node in nodes:
        if not any(node in group for group in groups):
            groups.append(tuple(b for b in nodes if b in reached[node] and node in reached[b]))
    return tuple(sorted(groups, key=len, reverse=True))


def _possible(names: list[Node], hears: Mapping[tuple[Node, Node], bool], alive: set[Node]) -> list[str]:
    """Each kind of which there is a fault that gives this matrix, in the order of `KINDS`.

    A fault is: who is dead, and in which directions nothing passes between the living. What is not known may be either.
    """
    alive = alive | {peer for (_, peer), heard in hears.items() if heard}
    doubtful = [node for node in names if node not in alive]  # may be dead: nobody hears them, and they say nothing
    pairs = list(itertools.combinations(names, 2))
    told = {pair: {hears.get(pair), hears.get(pair[::-1])} for pair in pairs}
    if any({False, True} <= said for said in told.values()):
        return ["one-way"]  # there is one between two that live, and that ranks before all else
    suspicions = {pair for pair, heard in hears.items() if not heard}
    of_the_living = {pair for pair in suspicions if pair[1] in alive}
    found = set()
    if not suspicions:
        found.add("sound")
    if doubtful and not of_the_living:
        found.add("node fault")
    about = {node: {pair for pair in suspicions if pair[1] == node} for node in names}
    # All suspicions but the two of each other must be of nodes that are dead then, which these two are not.
    if any(True not in told[a, b] and of_the_living | about[a] | about[b] <= {(a, b), (b, a)} for a, b in pairs):
        found.add("link fault")
    # Nobody is heard whom nobody hears, so the doubtful only add groups and cuts: what they can make they make alive.
    joined = {pair for pair in pairs if True in told[pair]}
    count = len(_components(names, joined))
    if count > 1:
        found.add("whole")
    links = {pair for pair in pairs if False not in told[pair]}
    sides = [side for side in _components(names, links) if side & alive] or [set(names)]
    if len(sides) == 1:  # all that live can be reached; the doubtful elsewhere are dead then
        fewest = len(joined) + count - (len(names) - len(sides[0])) - 1  # links, to hold them together
        if math.comb(len(sides[0]), 2) - fewest > 1:
            found.add("partial")
    if any(None in said for said in told.values()):
        found.add("one-way")
    return [kind for kind in KINDS if kind in found]


def _components(nodes: list[Node], pairs: set[tuple[Node, Node]]) -> list[set[Node]]:
    """Who hangs together by these links."""
    found: list[set[Node]] = [{node} for node in nodes]
    for a, b in pairs:
        one, two = (next(side for side in found if node in side) for node in (a, b))
        if one is not two:
            found.remove(two)
            one |= two
    return found


def _largest_clique(nodes: list[Node], reach: Mapping[tuple[Node, Node], bool], least: int) -> tuple[Node, ...] | None:
    """The largest set that all hear each other directly, first in the nodes' order; None where below `least`."""
    bits = range(len(nodes))
    deaf = [
        sum(1 << k for k in bits if k != i and not (reach[nodes[i], nodes[k]] and reach[nodes[k], nodes[i]]))
        for i in bits
    ]
    left, chosen = (1 << len(nodes)) - 1, []
    size = _independent(deaf, left)
    if size < least:
        return None
    for i in bits:  # the first such set: who can be in one, with those chosen so far, is
        if left >> i & 1 and _independent(deaf, rest := left & ~(deaf[i] | 1 << i)) == size - 1:
            left, size = rest, size - 1
            chosen.append(nodes[i])
        else:
            left &= ~(1 << i)
    return tuple(chosen)


def _independent(near: list[int], left: int) -> int:
    """How many of `left` one can take of which no two are `near` each other; sets are the bits of numbers.

    Takes whoever has at most one neighbour, leaves out whoever has all the neighbours of one of them, and solves what
    does not hang together by itself (as Fomin, Grandoni and Kratsch 2009). Of 64 nodes the worst graphs tried, regular
    ones of degree 6, took 0.4 s.
    """
    taken = 0
    while left:
        most, pivot, changed, todo = -1, 0, False, left
        while todo:
            bit = todo & -todo
            todo ^= bit
            v = bit.bit_length() - 1
            around = near[v] & left
            degree = around.bit_count()
            if degree < 2:
                taken += 1
                left &= ~(around | bit)
                changed = True
                break
            if degree > most:
                most, pivot = degree, v
        if changed:
            continue
        side = part = left & -left
        while part:
            grown = 0
            while part:
                bit = part & -part
                part ^= bit
                grown |= near[bit.bit_length() - 1]
            part = grown & left & ~side
            side |= part
        if side != left:
            return taken + _independent(near, side) + _independent(near, left & ~side)
        if most == 2:  # a ring
            return taken + left.bit_count() // 2
        closed = near[pivot] & left | 1 << pivot
        todo = near[pivot] & left
        while todo:
            bit = todo & -todo
            todo ^= bit
            if (near[bit.bit_length() - 1] & left | bit) & ~closed == 0:
                break  # who takes the pivot could take this one
        else:
            return taken + max(1 + _independent(near, left & ~closed), _independent(near, left & ~(1 << pivot)))
        left &= ~(1 << pivot)
    return taken


def _advice(
    kind: str, down: tuple[Node, ...], majority: tuple[Node, ...] | None, one_way: list[tuple[Node, Node]]
) -> str:
    who = " ".join(map(str, majority or ()))
    if kind == "sound":
        return "Nothing to do."
    if majority is None:
        return "Nobody has a majority: refuse writes (CP), or accept that they will have to be merged (AP)."
    if kind == "node fault":
        gone, they_are = " ".join(map(str, down)), "it is" if len(down) == 1 else "they are"
        return f"Fence {gone}, then fail over: from here nobody can tell whether {they_are} dead or cut off."
    if kind == "one-way":
        deaf = " ".join(map(str, dict.fromkeys(receiver for _, receiver in one_way)))
        return f"{who} may go on; take out an end of each one-way link: {deaf} takes the living for dead."
    if kind == "whole":
        return f"{who} may go on; the others must stop writing (lease, fence) until the network heals."
    return f"Do not fail over for it: no node is cut off. Route round it, or take out whoever is not in {who}."
