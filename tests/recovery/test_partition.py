"""Recognition of faults from suspicions, against faults that were made and against brute force."""

import functools
import itertools
import re

import numpy as np
import pytest
import scipy.optimize
from hypothesis import given
from hypothesis import strategies as st

from accrual.recovery.partition import KINDS, recognise


def suspicions(n, broken=(), dead=()):
    """What n nodes suspect when (sender, receiver) in `broken` do not get through; `dead` ones do not report."""
    return {o: {p: p in dead or (p, o) in broken for p in range(n) if p != o} for o in range(n) if o not in dead}


def both(pairs):
    return {direction for a, b in pairs for direction in ((a, b), (b, a))}


@given(n=st.integers(2, 8), data=st.data())
def test_dead_nodes(n, data):
    dead = data.draw(st.sets(st.integers(0, n - 1), min_size=1, max_size=n - 1))
    found = recognise(suspicions(n, dead=dead), nodes=range(n))
    # They may be cut off, or not be heard only. One who is alone cannot tell all others' death from one's and a cut.
    could_be = ("link fault",) * (len(dead) == n - 1) + ("whole", "one-way")
    assert (found.kind, set(found.down), found.could_be) == ("node fault", dead, could_be)
    living = tuple(sorted(set(range(n)) - dead))
    assert found.majority == (living if len(living) > n / 2 else None)


@given(n=st.integers(2, 8), data=st.data())
def test_whole_partitions(n, data):
    side = data.draw(st.sets(st.integers(0, n - 1), min_size=1, max_size=n - 1))
    cross = both((a, b) for a in side for b in set(range(n)) - side)
    found = recognise(suspicions(n, cross))
    assert found.kind == "whole"
    assert set(map(frozenset, found.groups)) == {frozenset(side), frozenset(range(n)) - side}
    assert found.majority == next((group for group in found.groups if len(group) > n / 2), None)
    assert found.could_be == (("link fault",) if n == 2 else ())
    # The same, seen from one side alone, is dead nodes: nobody there can tell.
    seen = recognise({o: row for o, row in suspicions(n, cross).items() if o in side}, nodes=range(n))
    assert seen.kind == "node fault"
    assert set(seen.down) == set(range(n)) - side
    assert "whole" in seen.could_be
    # ... unless a witness knows that they live.
    witnessed = recognise(
        {o: row for o, row in suspicions(n, cross).items() if o in side}, nodes=range(n), alive=set(range(n)) - side
    )
    assert witnessed.kind == "whole"
    assert "node fault" not in witnessed.could_be


@given(n=st.integers(3, 8), data=st.data())
def test_link_fault(n, data):
    pair = tuple(sorted(data.draw(st.sets(st.integers(0, n - 1), min_size=2, max_size=2))))
    found = recognise(suspicions(n, both([pair])))
    assert (found.kind, found.cut, found.could_be, len(found.groups)) == ("link fault", (pair,), (), 1)


@given(n=st.integers(3, 8), data=st.data())
def test_partial_partitions(n, data):
    """Two groups do not hear each other, a third reaches both (Alfatafta et al., OSDI 2020)."""
    sides = data.draw(st.lists(st.sampled_from("abc"), min_size=n, max_size=n))
    sides[0], sides[1], sides[2] = "abc"
    a, b = ([k for k in range(n) if sides[k] == side] for side in "ab")
    pairs = list(itertools.product(a, b))
    found = recognise(suspicions(n, both(pairs)))
    assert found.kind == ("partial" if len(pairs) > 1 else "link fault")
    assert set(found.cut) == {tuple(sorted(pair)) for pair in pairs}
    assert len(found.groups) == 1


@given(n=st.integers(2, 8), data=st.data())
def test_one_way(n, data):
    pairs = list(itertools.permutations(range(n), 2))
    broken = data.draw(st.sets(st.sampled_from(pairs), min_size=1))
    broken -= {(b, a) for a, b in broken if a < b}
    found = recognise(suspicions(n, broken))
    assert (found.kind, set(found.one_way), found.cut) == ("one-way", broken, ())


# ---- what else it could be: all faults of a few nodes, tried one by one ----------------------------------------------


def faults(n):
    """Every fault of n nodes: who is dead, which directions between the living are broken, and what kinds that is."""
    for dead in (set(some) for size in range(n + 1) for some in itertools.combinations(range(n), size)):
        living = [k for k in range(n) if k not in dead]
        ways = list(itertools.permutations(living, 2))
        for broken in (set(some) for size in range(len(ways) + 1) for some in itertools.combinations(ways, size)):
            yield dead, broken, kinds(living, dead, broken)


def kinds(living, dead, broken):
    """What `KINDS` says of a fault, the worst first; of two nodes a cut is both a link fault and whole."""
    if any((b, a) not in broken for a, b in broken):
        return {"one-way"}
    sides = (some for size in range(1, len(living)) for some in itertools.combinations(living, size))
    if any(all((a, b) in broken for a in side for b in living if b not in side) for side in sides):
        return {"whole", "link fault"} if len(living) == 2 else {"whole"}
    if broken:
        return {"link fault"} if len(broken) == 2 else {"partial"}
    return {"node fault"} if dead else {"sound"}


def fits(matrix, dead, broken, alive=()):
    """Whether a fault gives a matrix, known as far as it is."""
    return not dead & set(alive) and all(
        observer not in dead and suspects == (peer in dead or (peer, observer) in broken)
        for observer, row in matrix.items()
        for peer, suspects in row.items()
        if suspects is not None
    )


def agrees(matrix, n, possible, alive=()):
    found = recognise(matrix, nodes=range(n), alive=alive)
    assert found.kind in possible, (matrix, found, possible)
    assert set(found.could_be) == possible - {found.kind}, (matrix, found, possible)


def test_could_be_is_what_it_could_be_of_three_nodes():
    """Each of the 729 matrices, and whoever is known to live: against all 80 faults."""
    everything = list(faults(3))
    ways = list(itertools.permutations(range(3), 2))
    for entries in itertools.product([None, False, True], repeat=len(ways)):
        matrix = {o: {p: entry for (a, p), entry in zip(ways, entries, strict=True) if a == o} for o in range(3)}
        for alive in ((), (0,), (1, 2), (0, 1, 2)):
            possible = set().union(*(is_ for dead, broken, is_ in everything if fits(matrix, dead, broken, alive)))
            if possible:  # a node that is heard and known to live cannot be contradicted by three
                agrees(matrix, 3, possible, alive)


def test_could_be_is_what_it_could_be_of_four_nodes():
    """Whatever 4381 faults give, whoever of those that live is silent: each of these matrices has all kinds named."""
    possible = {}
    for dead, broken, are in faults(4):
        for silent in (set(some) for size in range(5) for some in itertools.combinations(range(4), size)):
            if dead <= silent:
                rows = tuple(
                    () if o in silent else tuple((p, p in dead or (p, o) in broken) for p in range(4) if p != o)
                    for o in range(4)
                )
                possible.setdefault(rows, set()).update(are)
    assert len(possible) > 6000
    for rows, are in possible.items():
        agrees({o: dict(row) for o, row in enumerate(rows)}, 4, are)


ALL_FAULTS = functools.cache(lambda: list(faults(4)))


@given(entries=st.lists(st.sampled_from([None, None, False, True]), min_size=12, max_size=12))
def test_could_be_where_some_entries_are_not_known(entries):
    ways = itertools.permutations(range(4), 2)
    matrix = {o: {} for o in range(4)}
    for (o, p), entry in zip(ways, entries, strict=True):
        matrix[o][p] = entry
    agrees(matrix, 4, set().union(*(are for dead, broken, are in ALL_FAULTS() if fits(matrix, dead, broken))))


# ---- the majority ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("ring", "rings"), [(2, 31), (3, 15), (4, 15), (5, 10), (6, 10), (7, 9)])
def test_a_majority_among_rings_that_do_not_hear_each_other(ring, rings):
    """Largest sets beyond counting (of 21 triangles 3^21): of each ring every second, and all who are in none."""
    deaf = {(a, b) for a in range(ring * rings) for b in range(ring * rings) if a // ring == b // ring}
    deaf = {(a, b) for a, b in deaf if (a - b) % ring in (1, ring - 1)}
    expected = [a for a in range(64) if a >= ring * rings or (a % ring % 2 == 0 and a % ring < ring - 1)]
    found = recognise(suspicions(64, deaf), nodes=range(64)).majority
    assert found == (tuple(expected) if len(expected) > 32 else None)


@pytest.mark.parametrize("degree", [2.0, 3.0, 4.0, 6.0, 10.0, 20.0, 32.0, 50.0])
def test_the_majority_of_the_largest_networks_is_that_of_integer_programming(degree):
    chance = np.random.default_rng(int(degree))
    pairs = [pair for pair in itertools.combinations(range(64), 2) if chance.random() < degree / 63]
    apart = np.zeros((len(pairs), 64))
    for row, pair in zip(apart, pairs, strict=True):
        row[list(pair)] = 1
    solved = scipy.optimize.milp(
        -np.ones(64), constraints=scipy.optimize.LinearConstraint(apart, ub=1), integrality=1, bounds=(0, 1)
    )
    found = recognise(suspicions(64, both(pairs)), nodes=range(64)).majority
    assert (0 if found is None else len(found)) == (round(-solved.fun) if solved.fun < -32 else 0)
    assert not any(a in (found or ()) and b in (found or ()) for a, b in pairs)


@given(n=st.integers(1, 7), data=st.data())
def test_majority_against_brute_force(n, data):
    pairs = list(itertools.permutations(range(n), 2))
    broken = data.draw(st.sets(st.sampled_from(pairs))) if pairs else set()
    found = recognise(suspicions(n, broken), nodes=range(n))
    fits = (
        some
        for size in range(n, 0, -1)
        for some in itertools.combinations(range(n), size)
        if not any(a in some and b in some for a, b in broken)
    )
    best = next(fits)
    assert found.majority == (best if len(best) > n / 2 else None)
    assert found.kind in KINDS
    assert found.advice


def test_arrays_names_and_silent_rows():
    matrix = np.array([[0, 1, 1], [1, 0, 0], [1, 0, 0]], bool)
    assert recognise(matrix, nodes="xyz").groups == (("y", "z"), ("x",))
    assert recognise(matrix, nodes="xyz", silent="x").down == ("x",)
    unknown = np.array([[np.nan, 0, 1], [0, np.nan, 1], [np.nan] * 3])
    assert recognise(unknown).down == (2,)
    assert recognise(np.zeros((3, 3))).kind == "sound"


def test_a_dead_node_and_a_partition_of_the_rest():
    found = recognise(suspicions(5, both([(0, 2), (0, 3), (1, 2), (1, 3)]), dead={4}), nodes=range(5))
    assert (found.kind, found.down, found.groups, found.majority) == ("whole", (4,), ((0, 1), (2, 3)), None)
    assert "Nobody has a majority" in found.advice


def test_one_report_of_a_pair_stands_for_both():
    found = recognise({"a": {"b": False, "c": True}, "b": {"c": False, "a": False}})
    assert (found.kind, found.cut) == ("link fault", (("a", "c"),))


def test_nobody_reports():
    assert recognise({}, nodes="abc").kind == "sound"
    assert recognise(np.ones((2, 2)), silent=(0, 1)).kind == "sound"


def test_to_dict_and_tables():
    found = recognise(suspicions(3, both([(0, 1), (0, 2)])))
    assert found.to_dict()["groups"] == [[1, 2], [0]]
    assert "whole" in repr(found)
    assert found._repr_html_().startswith("<table>")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (([[0, 1]],), "matrix must be square, got the shape (1, 2)"),
        (([[0, 1], [0]],), "matrix must be square, got the shape (0,)"),
        (([[0, 2], [0, 0]],), "matrix[0][1] must be True, False or None, got"),
        (({},), "nodes must be from 1 to 64, each once, got 0"),
    ],
)
def test_bad_matrices(arguments, message):
    with pytest.raises(ValueError, match=re.escape(message)):
        recognise(*arguments)


def test_strangers():
    with pytest.raises(ValueError, match="the matrix names 'z', which is not among the nodes"):
        recognise({"a": {"z": True}}, nodes="a")
    with pytest.raises(ValueError, match="alive and silent must name nodes, got 'z'"):
        recognise({"a": {"b": True}}, alive="z")
    with pytest.raises(ValueError, match="nodes must be as many as the matrix has rows, 2, got 3"):
        recognise(np.zeros((2, 2)), nodes="abc")
