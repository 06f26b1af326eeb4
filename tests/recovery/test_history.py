"""The checker of histories, against brute force over all orders, and its smallest examples."""

import contextlib
import itertools
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from accrual.recovery import Operation, check, smallest


def write(number, start, end, status="ok", key=0, client=0):
    end = end if status == "ok" else math.nan
    return Operation(number=number, client=client, kind="write", key=key, start=start, end=end, status=status)


def read(number, start, end, value, key=0, client=1):
    return Operation(number=number, client=client, kind="read", key=key, start=start, end=end, status="ok", value=value)


def linearizable(operations):
    """Whether some order of a register's operations keeps real time and gives what the reads gave: all are tried."""
    unknown = [o for o in operations if o.status != "ok"]
    sure = [o for o in operations if o.status == "ok"]
    for k in range(len(unknown) + 1):
        for happened in itertools.combinations(unknown, k):
            for order in itertools.permutations([*sure, *happened]):
                ends = [o.end if o.status == "ok" else math.inf for o in order]
                if any(ends[j] < order[i].start for i in range(len(order)) for j in range(i + 1, len(order))):
                    continue
                value = None
                for o in order:
                    if o.kind == "write":
                        value = o.number
                    elif o.value != value:
                        break
                else:
                    return True
    return False


@st.composite
def histories(draw):
    writes = [
        write(k, start, start + draw(st.integers(1, 4)), draw(st.sampled_from(["ok", "ok", "unknown"])))
        for k, start in enumerate(draw(st.lists(st.integers(0, 8), max_size=3)))
    ]
    values = st.sampled_from([None, *(w.number for w in writes)])
    reads = [
        read(10 + k, start, start + draw(st.integers(1, 4)), draw(values))
        for k, start in enumerate(draw(st.lists(st.integers(0, 12), max_size=2)))
    ]
    return [*writes, *reads]


@given(histories())
def test_stale_is_never_a_false_alarm(operations):
    if check(operations).stale:
        assert not linearizable(operations)


@given(histories())
def test_of_one_read_and_writes_that_are_over_stale_is_all_there_is_to_find(operations):
    """With one read, and all its values written before it began, an order fails only where the read is stale."""
    reads = [o for o in operations if o.kind == "read"][:1]
    some = [o for o in operations if o.kind == "write"]
    if reads and all(w.start < reads[0].end for w in some if w.number == reads[0].value):
        assert linearizable([*some, *reads]) == (not check([*some, *reads]).stale)


@given(histories(), st.sets(st.integers(0, 3)))
def test_lost_and_phantom_by_definition(operations, survivors):
    found = check(operations, survivors)
    writes = {o.number: o for o in operations if o.kind == "write"}
    assert list(found.lost) == [w for w in writes.values() if w.status == "ok" and w.number not in survivors]
    expected = [o.number for o in operations if o.kind == "read" and o.value in writes.keys() - survivors]
    assert [o.number for o, _ in found.phantom] == expected


@given(histories(), st.sets(st.integers(0, 3)))
def test_the_smallest_is_wrong_and_nothing_of_it_can_go(operations, survivors):
    example = smallest(operations, survivors)
    if not check(operations, survivors):
        assert example == []
        return
    assert check(example, survivors)
    assert len(example) <= 3
    for k in range(len(example)):
        rest = example[:k] + example[k + 1 :]
        with contextlib.suppress(ValueError):  # a read without its write is no history
            assert not check(rest, survivors)


def test_a_stale_read_among_much_else():
    others = [write(k, k / 10, k / 10 + 0.05, key=k % 7) for k in range(500)]
    bad = [read(1000, 60, 60.1, 3, key=3)]
    example = smallest([*others, *bad], wrong=lambda found: found.stale)
    assert example[0].number == 3
    assert len(example) == 3
    assert example[-1].number == 1000


def test_words():
    found = check([write(1, 0, 1), read(2, 2, 3, None)], survivors=set())
    assert "writes 1 to key 0, told OK at 1.000 s" in repr(found)
    assert "reads key 0, gets nothing" in repr(found)
    assert found.to_dict() == {"lost": [1], "stale": [[2, 1]], "phantom": []}
    assert found._repr_html_().startswith("<table>")
    assert found.lost[0].to_dict()["value"] is None
    assert not check([])


def test_bad_histories():
    with pytest.raises(ValueError, match="two writes have the number 1"):
        check([write(1, 0, 1), write(1, 2, 3)])
    with pytest.raises(ValueError, match="read 2 gave 5, which nobody wrote"):
        check([read(2, 2, 3, 5)])


def test_a_read_of_another_keys_write():
    write = Operation(number=1, client=0, kind="write", key=0, start=0.0, end=0.1, status="ok")
    read = Operation(number=2, client=0, kind="read", key=7, start=0.2, end=0.3, status="ok", value=1)
    with pytest.raises(ValueError, match="read 2 gave 1, which nobody wrote to key 7"):
        check([write, read])
