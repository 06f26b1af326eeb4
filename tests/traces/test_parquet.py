"""Parquet: small, exact, whole or absent, and never wrong numbers from a damaged file."""

import hashlib
import json
import sys

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from accrual._version import __version__
from accrual.traces import Trace, TraceError, parquet, read_trace

pa = pytest.importorskip("pyarrow")
pq = pytest.importorskip("pyarrow.parquet")

INT64 = st.integers(-(2**63), 2**63 - 1)
INSTANTS = st.integers(-(2**62) + 1, 2**62 - 1)


@st.composite
def traces(draw):
    n = draw(st.integers(0, 20))
    instants, integers = st.lists(INSTANTS, min_size=n, max_size=n), st.lists(INT64, min_size=n, max_size=n)
    return Trace(
        draw(instants),
        sequence=draw(st.none() | integers),
        sent=draw(st.none() | instants),
        sent_remote=draw(st.none() | instants),
        epoch=draw(st.none() | integers),
        period=draw(st.none() | st.floats(1e-9, 1e9)),
        **draw(st.dictionaries(st.sampled_from(["source", "clock", "tool"]), st.none() | st.text() | st.integers())),
    )


@pytest.fixture
def jittered():
    """100,000 heartbeats 1 s apart, with a jitter of 1 ms and sequence numbers."""
    rng = np.random.default_rng(1)
    n = 100_000
    return Trace(np.arange(n) * 10**9 + rng.normal(0, 1e6, n).astype(int), sequence=np.arange(n), period=1, source="a")


@pytest.fixture
def path(tmp_path):
    return tmp_path / "beats.parquet"


@given(trace=traces())
@settings(max_examples=50)
def test_what_is_written_is_read(tmp_path_factory, trace):
    path = tmp_path_factory.mktemp("round") / "beats.parquet"
    trace.write(path)
    assert read_trace(path) == trace


def test_a_heartbeat_takes_three_bytes(jittered, path):
    jittered.write(path)
    assert path.stat().st_size / len(jittered) < 3.1
    column = pq.ParquetFile(path).metadata.row_group(0).column(0)
    assert "DELTA_BINARY_PACKED" in column.encodings
    assert column.compression == "ZSTD"


def test_a_long_trace_has_row_groups_to_stream(path):
    trace = Trace(np.arange(2**20 + 1))
    trace.write(path)
    metadata = pq.ParquetFile(path).metadata
    assert [metadata.row_group(i).num_rows for i in range(metadata.num_row_groups)] == [2**20, 1]
    assert read_trace(path) == trace


def test_other_programs_find_columns_and_metadata(jittered, path):
    jittered.write(path)
    table = pq.read_table(path)
    assert table.schema.names == ["arrival_ns", "sequence"]
    assert table.column("arrival_ns").to_numpy().tolist() == jittered.arrivals.tolist()
    assert json.loads(table.schema.metadata[b"accrual"]) == {
        "tool": "accrual",
        "version": __version__,
        "period": 1.0,
        "about": {"source": "a"},
    }


def test_the_files_of_other_programs_are_read(path):
    pq.write_table(pa.table({"sequence": [7, 8], "arrival_ns": [1, 2]}), path)
    assert read_trace(path) == Trace([1, 2], sequence=[7, 8])


@pytest.mark.parametrize(
    ("table", "message"),
    [
        ({"time": [1]}, "expected columns arrival_ns and any of sequence, sent_ns, .*; found time"),
        ({"arrival_ns": [1], "sequnce": [1]}, "expected columns .*; found arrival_ns, sequnce"),
        ({"arrival_ns": [1.5]}, "column arrival_ns is double; expected int64"),
        ({"arrival_ns": [1, None]}, "column arrival_ns is int64 with 1 empty values; expected int64"),
        ({"arrival_ns": ["a"]}, "column arrival_ns is string"),
        ({"arrival_ns": [2**62]}, r"no trace: arrivals\[0\] = 4611686018427387904 ns is not inside"),
    ],
)
def test_wrong_columns_are_refused(path, table, message):
    pq.write_table(pa.table(table), path)
    with pytest.raises(TraceError, match=f"^{path}: {message}"):
        read_trace(path)


@pytest.mark.parametrize(
    "metadata",
    ["{", "[]", "[" * 60_000, '{"period": -1}', '{"about": 1}', '{"about": {"period": 1}}', '{"period": "1"}', b"\xff"],
)
def test_damaged_metadata_are_refused(path, metadata):
    schema = pa.schema([("arrival_ns", pa.int64())], metadata={"accrual": metadata})
    pq.write_table(pa.table({"arrival_ns": [1]}, schema=schema), path)
    with pytest.raises(TraceError, match=f"^{path}: no trace: "):
        read_trace(path)


def test_a_damaged_column_name_is_refused(path):
    Trace([1, 2, 3]).write(path)
    path.write_bytes(path.read_bytes().replace(b"arrival_ns", b"arriv\xb0l_ns"))
    with pytest.raises(TraceError, match=f"^{path}: "):
        read_trace(path)


def test_a_missing_file_is_missing(path):
    with pytest.raises(FileNotFoundError):
        read_trace(path)
    with pytest.raises(FileNotFoundError):
        parquet.read(path)


@pytest.mark.parametrize("kept", [0.999999, 0.5, 0.00002])
def test_a_truncated_file_is_refused(jittered, path, kept):
    jittered.write(path)
    whole = path.read_bytes()
    path.write_bytes(whole[: int(len(whole) * kept)])
    with pytest.raises(TraceError, match=f"^{path}: not a whole Parquet file: "):
        read_trace(path)


def test_no_flipped_bit_in_the_data_goes_unnoticed(jittered, path):
    jittered[:2000].write(path)
    whole = path.read_bytes()
    column = pq.ParquetFile(path).metadata.row_group(0).column(0)
    rng = np.random.default_rng(2)
    last = column.data_page_offset + column.total_compressed_size
    for place in rng.integers(last - 1000, last, size=100):
        path.write_bytes(whole[:place] + bytes([whole[place] ^ 1 << rng.integers(8)]) + whole[place + 1 :])
        with pytest.raises(TraceError, match=f"^{path}: not a whole Parquet file: "):
            read_trace(path)


def test_without_pyarrow_the_error_says_what_to_install(path, monkeypatch):
    path.write_bytes(b"PAR1")
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    for attempt in (lambda: read_trace(path), lambda: Trace([1]).write(path)):
        with pytest.raises(ImportError, match=r"pip install accrual\[traces\]"):
            attempt()


# ---- piece by piece --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("sizes", [[1], [0], [3, 0, 4], [100, 1, 1, 2**20 + 5]])
def test_pieces_make_one_file(path, sizes):
    rng = np.random.default_rng(4)
    trace = Trace(rng.integers(0, 10**12, sum(sizes)), sequence=rng.integers(0, 9, sum(sizes)), source="a")
    with parquet.Writer(path) as writer:
        for size, end in zip(sizes, np.cumsum(sizes), strict=True):
            writer.write(trace[end - size : end])
    assert read_trace(path) == trace


def test_the_columns_are_noted_as_others_can_check_them(jittered, path):
    jittered.write(path)
    noted = json.loads(pq.ParquetFile(path).metadata.metadata[b"accrual.columns"])
    assert noted == {
        "arrival_ns": {"sha256": hashlib.sha256(jittered.arrivals.tobytes()).hexdigest(), "in_order": True},
        "sequence": {"sha256": hashlib.sha256(jittered.sequence.tobytes()).hexdigest(), "in_order": True},
    }


class Interrupt(BaseException):
    pass


def write_pieces(path, *pieces):
    """Write pieces; one that is an exception is raised."""
    with parquet.Writer(path) as writer:
        for piece in pieces:
            if not isinstance(piece, Trace):
                assert list(path.parent.glob(".accrual-*.part"))
                raise piece
            writer.write(piece)


@pytest.mark.parametrize("before", [None, Trace([1, 2])])
@pytest.mark.parametrize(
    ("pieces", "error"),
    [
        ([Trace([1], sequence=[0]), Interrupt], Interrupt),
        ([Trace([1], sequence=[0]), Trace([3])], ValueError),
        ([Interrupt], Interrupt),
        ([], ValueError),
    ],
)
def test_half_a_file_never_appears(path, before, pieces, error):
    """An interrupt between two pieces, a piece of another trace, nothing written at all: what was there stays."""
    if before is not None:
        before.write(path)
    with pytest.raises(error):
        write_pieces(path, *pieces)
    assert [file.name for file in path.parent.iterdir()] == ([] if before is None else [path.name])
    if before is not None:
        assert read_trace(path) == before


def test_pieces_of_another_trace_are_refused(path):
    for other in (Trace([3]), Trace([3], sequence=[1], period=2), Trace([3], sequence=[1], clock="another")):
        with pytest.raises(ValueError, match="is none of the trace with"):
            write_pieces(path, Trace([1], sequence=[0]), other)


def test_a_writer_that_nothing_was_given_says_so(path):
    with pytest.raises(ValueError, match="nothing was written, not even a piece without heartbeats"):
        write_pieces(path)


def test_a_folder_that_is_not_there(tmp_path):
    with pytest.raises(FileNotFoundError):
        write_pieces(tmp_path / "none" / "a.parquet", Trace([1]))
