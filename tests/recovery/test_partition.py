"""Recognition of faults from suspicions, against faults that were made and against brute force."""

import itertools
import re

import numpy as np
import pytest
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
    assert (found.kind, set(found.down), found.could_be) == ("node fault", dead, ("whole",))
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
