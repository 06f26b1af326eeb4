"""What kind of fault the matrix of mutual suspicions shows: a node, a link, or a partition, and of which shape."""

from __future__ import annotations

import html
import itertools
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
        Other kinds that would have given the same matrix. A silent node may be dead or cut off: nobody who is on the
        other side can tell. Empty where the matrix leaves no doubt.
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
    could be  whole
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
    clique = _largest_clique(rest, reach)
    majority = clique if 2 * len(clique) > len(names) else None
    if one_way:
        kind = "one-way"
    elif len(groups) > 1:
        kind = "whole"
    elif cut:
        kind = "link fault" if len(cut) == 1 else "partial"
    else:
        kind = "node fault" if down else "sound"
    could_be = []
    if down and kind != "whole":
        could_be.append("whole")
    if kind == "whole" and any(
        len(group) < len(rest) and not any(node in reporters for node in group) and not known_alive & set(group)
        for group in groups
    ):
        could_be.append("node fault")
    if kind == "whole" and len(names) == 2:
        could_be.append("link fault")
    return Recognised(
        kind=kind,
        nodes=tuple(names),
        down=down,
        cut=tuple(cut),
        one_way=tuple(one_way),
        groups=groups,
        majority=majority,
        could_be=tuple(could_be),
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


def _largest_clique(nodes: list[Node], reach: Mapping[tuple[Node, Node], bool]) -> tuple[Node, ...]:
    """The largest set that all hear each other directly, the first in the nodes' order (Bron and Kerbosch 1973)."""
    near = {a: {b for b in nodes if b != a and reach[a, b] and reach[b, a]} for a in nodes}
    order = {node: k for k, node in enumerate(nodes)}
    best: list[Node] = []

    def extend(chosen: list[Node], open_: set[Node], closed: set[Node]) -> None:
        nonlocal best
        if not open_ and not closed:
            ranked = sorted(chosen, key=order.__getitem__)
            if (-len(ranked), [order[n] for n in ranked]) < (-len(best), [order[n] for n in best]):
                best = ranked
            return
        pivot = max(open_ | closed, key=lambda node: (len(near[node] & open_), -order[node]))
        for node in sorted(open_ - near[pivot], key=order.__getitem__):
            extend([*chosen, node], open_ & near[node], closed & near[node])
            open_.remove(node)
            closed.add(node)

    extend([], set(nodes), set())
    return tuple(best)


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
