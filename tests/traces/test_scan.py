"""A trace on disk: what is told of it, how it is read, and that damage is named."""

import io
import json
import pickle

import numpy as np
import pytest

import accrual as ac
from accrual.traces import Trace, TraceError, parquet, scan_trace

pa = pytest.importorskip("pyarrow")
pq = pytest.importorskip("pyarrow.parquet")


@pytest.fixture
def trace():
    rng = np.random.default_rng(1)
    arrivals = np.arange(5000) * 10**9 + rng.integers(0, 10**6, 5000)
    return Trace(arrivals, sequence=np.arange(5000), period=1, source="by hand")


@pytest.fixture
def path(tmp_path, trace):
    path = tmp_path / "beats.parquet"
    trace.write(path)
    return path


def columns(trace):
    return {name: getattr(trace, name).tolist() for name in trace.columns}


def test_what_is_told_without_reading(path, trace):
    scan = scan_trace(path)
    assert (len(scan), scan.period, scan.about) == (5000, 1.0, {"source": "by hand"})
    assert scan.columns == trace.columns == ("arrivals", "sequence")
    assert scan.in_order is True
    assert repr(scan) == f"ScannedTrace('{path}', 5,000 heartbeats, period 1 s, with sequence)"
    assert repr(pickle.loads(pickle.dumps(scan))) == repr(scan)
    assert scan.read() == trace


@pytest.mark.parametrize("group", [1, 3, 700, 5000])
@pytest.mark.parametrize("rows", [1, 2, 699, 701, 5000, 9999])
def test_pieces_make_it_up(path, trace, rows, group):
    trace = trace[: 50 if rows == 1 or group == 1 else None]
    pq.write_table(pa.table({"arrival_ns": trace.arrivals, "sequence": trace.sequence}), path, row_group_size=group)
    pieces = list(scan_trace(path, rows=rows).pieces())
    assert {len(piece) for piece in pieces[:-1]} <= {rows}
    assert 0 < len(pieces[-1]) <= rows
    assert np.concatenate([piece.arrivals for piece in pieces]).tolist() == trace.arrivals.tolist()
    assert np.concatenate([piece.sequence for piece in pieces]).tolist() == trace.sequence.tolist()


def test_pieces_are_long_enough_for_who_asks(path):
    assert [len(piece) for piece in scan_trace(path).pieces()] == [5000]
    assert [len(piece) for piece in scan_trace(path, rows=4000).pieces(4500)] == [4000, 1000]  # who told so decides


def test_no_heartbeats_are_one_piece_of_none(tmp_path):
    path = tmp_path / "none.parquet"
    Trace([], sequence=[], period=2).write(path)
    [piece] = scan_trace(path).pieces()
    assert (len(piece), piece.period, piece.columns) == (0, 2.0, ("arrivals", "sequence"))


@pytest.mark.parametrize("rows", [0, -1, 1.5, True, "2"])
def test_rows_that_are_none(path, rows):
    with pytest.raises(ValueError, match=r"^rows must be a whole number, 1 or more, got"):
        scan_trace(path, rows=rows)


# ---- progress --------------------------------------------------------------------------------------------------------


def test_progress_is_told(path):
    told = []
    ac.levels(scan_trace(path, rows=2000, progress=lambda done, total: told.append((done, total))), ac.PhiNormal())
    assert told == [(2000, 5000), (4000, 5000), (5000, 5000)]


class Terminal(io.StringIO):
    def isatty(self):
        return True


def test_a_bar_is_drawn_on_a_terminal_only_and_wiped(path, monkeypatch):
    for screen in (Terminal(), io.StringIO()):
        monkeypatch.setattr("sys.stderr", screen)
        ac.levels(scan_trace(path, rows=1250, progress=True), ac.PhiNormal())
        shown = screen.getvalue()
        if not screen.isatty():
            assert shown == ""
            continue
        assert "beats.parquet [#######.......................] 1,250 of 5,000" in shown
        assert shown.endswith("\r\x1b[K")


# ---- checks ----------------------------------------------------------------------------------------------------------


def rewritten(path, **changes):
    """The file with other values in its columns, and what was said of the old ones."""
    table, noted = pq.read_table(path), pq.ParquetFile(path).metadata.metadata[b"accrual.columns"]
    arrays = [pa.array(changes.get(name, table[name].to_numpy())) for name in table.column_names]
    with pq.ParquetWriter(path, table.schema) as writer:
        writer.write_table(pa.Table.from_arrays(arrays, schema=table.schema))
        writer.add_key_value_metadata({"accrual.columns": noted})


def test_columns_are_those_that_were_written(path, trace):
    assert scan_trace(path, rows=999).verify() is True
    rewritten(path)
    assert scan_trace(path).verify() is True
    number = trace.sequence.copy()
    number[4321] += 1
    rewritten(path, sequence=number)
    for check in (scan_trace(path).verify, lambda: ac.describe(scan_trace(path))):
        with pytest.raises(TraceError, match=rf"^{path}: column sequence is not the one that was written$"):
            check()


def test_other_programs_say_nothing_of_columns(path):
    pq.write_table(pa.table({"arrival_ns": [1, 2]}), path)
    scan = scan_trace(path)
    assert scan.in_order is None
    assert scan.verify() is False


@pytest.mark.parametrize("noted", ["{", "[]x", "7", '{"arrival_ns": {}}', '{"arrival_ns": 1}', b"\xff"])
def test_damaged_notes_are_refused(path, noted):
    with pq.ParquetWriter(path, pa.schema([("arrival_ns", pa.int64())])) as writer:
        writer.write_table(pa.table({"arrival_ns": [1]}))
        writer.add_key_value_metadata({"accrual.columns": noted})
    with pytest.raises(TraceError, match=f"^{path}: no trace: accrual.columns is damaged: "):
        scan_trace(path)


@pytest.mark.parametrize(
    ("columns", "ordered"),
    [
        ({"arrivals": [0, 5, 5]}, True),
        ({"arrivals": [0, 5, 4]}, False),
        ({"arrivals": [0, 1, 2], "sequence": [0, 1, 1]}, False),
        ({"arrivals": [0, 1, 2], "sequence": [-5, 1, 7], "epoch": [3, 3, 3]}, True),
        ({"arrivals": [0, 1, 2], "epoch": [3, 3, 4]}, False),
        ({"arrivals": [0, 1, 2], "sent": [0, 0, -1]}, False),
    ],
)
@pytest.mark.parametrize("size", [1, 2, 3])
def test_what_is_in_order(tmp_path, columns, ordered, size):
    """Whether the disorder is in a piece or between two."""
    with parquet.Writer(tmp_path / "a.parquet") as writer:
        for start in range(0, 3, size):
            writer.write(Trace(**columns)[start : start + size])
    scan = scan_trace(tmp_path / "a.parquet")
    assert scan.in_order is ordered
    assert scan.verify() is True


# ---- damage ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kept", [0.999, 0.5, 5])
def test_a_file_cut_short_is_refused(path, kept):
    whole = path.read_bytes()
    path.write_bytes(whole[: int(len(whole) * kept) if kept < 1 else kept])
    with pytest.raises(TraceError, match=f"^{path}: not a whole Parquet file: "):
        scan_trace(path)


@pytest.mark.parametrize("content", [b"", b"arrival_ns\n1\n"])
def test_what_is_no_parquet_is_refused(path, content):
    path.write_bytes(content)
    with pytest.raises(TraceError, match=f"^{path}: no Parquet, .* accrual import writes it$"):
        scan_trace(path)


def test_a_missing_file_is_missing(path):
    with pytest.raises(FileNotFoundError):
        scan_trace(path.with_name("other.parquet"))


@pytest.mark.parametrize(
    ("table", "message"),
    [
        ({"time": [1]}, "expected columns arrival_ns and any of sequence, .*; found time"),
        ({"arrival_ns": [1.5]}, "column arrival_ns is double; expected int64"),
    ],
)
def test_wrong_columns_are_refused(path, table, message):
    pq.write_table(pa.table(table), path)
    with pytest.raises(TraceError, match=f"^{path}: {message}"):
        scan_trace(path)


def test_empty_values_and_instants_outside_are_found_when_they_are_read(path):
    for values, message in (([1, 2, None], "with 1 empty values"), ([1, 2, 2**62], r"no trace: arrivals\[0\] = 46")):
        pq.write_table(pa.table({"arrival_ns": pa.array(values, pa.int64())}), path)
        pieces = scan_trace(path, rows=2).pieces()
        assert next(pieces).arrivals.tolist() == [1, 2]
        with pytest.raises(TraceError, match=f"^{path}: .*{message}"):
            next(pieces)


def test_a_flipped_bit_in_a_later_row_group_is_found_there(path):
    trace = Trace(np.cumsum(np.random.default_rng(3).integers(1, 10**6, 4000)))
    pq.write_table(
        pa.table({"arrival_ns": trace.arrivals}),
        path,
        row_group_size=1000,
        write_page_checksum=True,
        use_dictionary=False,
    )
    place = pq.ParquetFile(path).metadata.row_group(2).column(0).data_page_offset + 500
    whole = path.read_bytes()
    path.write_bytes(whole[:place] + bytes([whole[place] ^ 4]) + whole[place + 1 :])
    pieces = scan_trace(path, rows=1000).pieces()
    assert [next(pieces).arrivals[0] for _ in range(2)] == [trace.arrivals[0], trace.arrivals[1000]]
    with pytest.raises(TraceError, match=f"^{path}: not a whole Parquet file: "):
        next(pieces)


def test_a_file_that_was_replaced_is_no_longer_the_one(path, trace):
    scan = scan_trace(path)
    trace[:4000].write(path)
    with pytest.raises(TraceError, match=f"^{path}: has 4,000 heartbeats, had 5,000 when it was opened"):
        ac.qos(scan, ac.PhiNormal(), 8)
    path.unlink()
    with pytest.raises(FileNotFoundError):
        ac.qos(scan, ac.PhiNormal(), 8)


def test_metadata_of_another_kind_is_refused(path):
    schema = pa.schema([("arrival_ns", pa.int64())], metadata={"accrual": json.dumps({"period": -1})})
    pq.write_table(pa.table({"arrival_ns": [1]}, schema=schema), path)
    with pytest.raises(TraceError, match=f"^{path}: no trace: period"):
        scan_trace(path)
