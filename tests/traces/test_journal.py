"""The journal of a recording: what is in it after a crash, after damage and on a full disk."""

import errno
import os
import resource

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from accrual.traces import Trace, TraceError, import_trace, journal, read_trace
from accrual.traces.journal import Journal

COLUMNS = "arrival_ns", "sequence", "sent_ns", "epoch"


def no_counts():
    return {}


@pytest.fixture
def path(tmp_path):
    return tmp_path / "x.parquet.part"


def take(kept, number):
    """Take in a heartbeat that can be told from others in each of its columns."""
    kept.append(1000 + number, number, 500 + number, 7)


def journal_of(path, *blocks):
    """The bytes of a journal with so many heartbeats in each block."""
    with Journal(path, COLUMNS, source="recorded") as kept:
        number = 0
        for count in blocks:
            for _ in range(count):
                take(kept, number)
                number += 1
            kept.flush()
    return path.read_bytes()


def test_what_is_written_is_read_back(path):
    with Journal(path, COLUMNS, source="recorded", title="two words") as kept:
        kept.note(period=0.01)
        for number in range(3):
            take(kept, number)
        kept.note(ended="count")
        kept.note(ended="count", pauses=2)
        kept.flush()
        trace = kept.trace()
    assert trace == Trace(
        [1000, 1001, 1002],
        sequence=[0, 1, 2],
        sent=[500, 501, 502],
        epoch=[7, 7, 7],
        period=0.01,
        source="recorded",
        title="two words",
        ended="count",
        pauses=2,
    )
    assert journal.read(path) == read_trace(path) == trace
    assert import_trace(path, format="journal") == [trace]


def test_every_heartbeat_is_in_the_file_half_a_second_later(path):
    with Journal(path, COLUMNS) as kept:
        start = kept._due - journal.FLUSH
        for number in range(40):  # each 0.1 s
            take(kept, number)
            kept.tick(start + number / 10, no_counts)
            assert len(journal.read(path)) >= number - 5


def test_counts_are_noted_with_what_they_count(path):
    with Journal(path, COLUMNS) as kept:
        take(kept, 0)
        kept.tick(kept._due, lambda: {"ignored_foreign": 3})
        assert journal.read(path).about == {"ended": "unfinished", "ignored_foreign": 3}


def test_what_is_not_in_the_file_is_in_the_trace(path):
    with Journal(path, COLUMNS) as kept:
        take(kept, 0)
        kept.flush()
        take(kept, 1)
        assert kept.trace().sequence.tolist() == [0, 1]
        assert journal.read(path).sequence.tolist() == [0]


def test_a_long_recording_has_many_blocks(path, monkeypatch):
    monkeypatch.setattr(journal, "_LONGEST", 100)  # three heartbeats
    assert journal_of(path, 10).count(b"beat") == 4
    assert journal.read(path).sequence.tolist() == list(range(10))


def test_a_journal_is_never_overwritten(path):
    path.write_bytes(b"mine")
    with pytest.raises(FileExistsError):
        Journal(path, COLUMNS)
    assert path.read_bytes() == b"mine"


def test_a_journal_without_heartbeats_leaves_nothing(path):
    with Journal(path, COLUMNS):
        assert path.exists()
    assert not path.exists()


def test_in_use(path):
    with Journal(path, COLUMNS) as kept:
        assert journal.in_use(path)
        take(kept, 0)
    assert not journal.in_use(path)


# Damage


@given(st.data())
def test_cut_anywhere_it_gives_whole_blocks(tmp_path_factory, data):
    path = tmp_path_factory.mktemp("cut") / "x.part"
    whole = journal_of(path, 3, 1, 5)
    first = whole.index(b"beat")
    end = data.draw(st.integers(first, len(whole)))
    zeros = bytes(data.draw(st.sampled_from([0, 0, 1, 11, 12, 13, 4096])))
    path.write_bytes(whole[:end] + zeros)
    # The zeros may happen to be what was cut off.
    end = next((n for n in range(len(whole), end, -1) if (whole[:end] + zeros)[:n] == whole[:n]), end)
    lost = len(whole) - end
    count = 9 if not lost else 4 if lost <= 5 * 32 + 12 else 3 if lost <= 6 * 32 + 24 else 0
    assert journal.read(path).sequence.tolist() == list(range(count))


@given(st.data())
def test_damage_is_told_or_skipped(tmp_path_factory, data):
    path = tmp_path_factory.mktemp("damage") / "x.part"
    whole = bytearray(journal_of(path, 3, 1, 5))
    place = data.draw(st.integers(whole.index(b"beat"), len(whole) - 1))
    whole[place] ^= data.draw(st.integers(1, 255))
    path.write_bytes(whole)
    lenient = journal.read(path, lenient=True)
    assert set(lenient.sequence.tolist()) <= set(range(9))
    assert len(lenient) < 9
    try:
        strict = journal.read(path)
    except TraceError:
        assert lenient.about["skipped"] >= 1
    else:  # the last block, which need not be whole, was hit, or a length that leads beyond the end
        assert strict.sequence.tolist() == list(range(len(strict)))
        assert len(strict) < 9
        assert strict.about["cut_bytes"] > 0


def test_the_blocks_after_a_damaged_one_are_read_leniently(path):
    whole = bytearray(journal_of(path, 3, 1, 5))
    whole[whole.index(b"beat") + 20] ^= 1
    path.write_bytes(whole)
    assert journal.read(path, lenient=True).sequence.tolist() == [3, 4, 5, 6, 7, 8]
    assert journal.read(path, lenient=True).about["skipped"] == 1


@given(st.binary(max_size=200), st.booleans())
def test_rubbish_is_no_journal(tmp_path_factory, rubbish, lenient):
    path = tmp_path_factory.mktemp("rubbish") / "x.part"
    for data in (rubbish, journal.MAGIC + rubbish):
        path.write_bytes(data)
        with pytest.raises(TraceError, match=f"^{path}: "):
            journal.read(path, lenient)


@pytest.mark.parametrize(
    "notes",
    [
        b"[]",
        b"{}",
        b"7",
        b"\xff",
        b"[" * 100_000,
        b'{"columns": "arrival_ns"}',
        b'{"columns": [[]]}',
        b'{"columns": ["sequence"]}',
        b'{"columns": ["arrival_ns", "heart"]}',
        b'{"columns": ["arrival_ns"], "period": -1}',
    ],
    ids=range(10),
)
def test_notes_that_are_none(path, notes):
    header = journal._HEADER.pack(b"note", len(notes), journal._checksum(b"note", notes))
    path.write_bytes(journal.MAGIC + header + notes)
    with pytest.raises(TraceError, match=f"^{path}: "):
        journal.read(path)


def test_rows_that_are_not_whole(path):
    whole = journal_of(path, 3)
    body = bytes(8)
    path.write_bytes(whole + journal._HEADER.pack(b"beat", 8, journal._checksum(b"beat", body)) + body)
    with pytest.raises(TraceError, match="expected rows of 4 numbers, found 13 numbers"):
        journal.read(path)


# The disk


def test_a_file_that_cannot_grow_loses_nothing(path):
    """The limit of a file's size stands for the disk's."""
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    with Journal(path, COLUMNS) as kept:
        for number in range(100):
            take(kept, number)
        resource.setrlimit(resource.RLIMIT_FSIZE, (1000, limits[1]))
        try:
            with pytest.raises(OSError, match=str(path)) as caught:
                kept.flush()
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, limits)
        assert caught.value.errno == errno.EFBIG
        assert os.path.getsize(path) == 1000
        np.testing.assert_array_equal(kept.trace().sequence, np.arange(100))
        assert len(journal.read(path)) == 0  # half a block
        kept.flush()
        assert len(journal.read(path)) == 100
