"""Arrow: from and to pyarrow, pandas and polars, and Parquet files of other programs."""

import sys

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from accrual.traces import Trace, TraceError, import_trace, read_trace
from accrual.traces.parquet import read_table
from accrual.traces.selection import Selection

pa = pytest.importorskip("pyarrow")
pq = pytest.importorskip("pyarrow.parquet")

NS = 10**9
DATES = np.array(["2026-01-01T00:00:00.5", "2026-01-01T00:00:01.75"], "datetime64[ns]")
ARRIVALS = [1767225600_500000000, 1767225601_750000000]
COLUMNS = {"arrivals": "ts", "sequence": "n"}


def test_what_is_offered_is_taken():
    trace = Trace([5, 3, 8], sequence=[1, 2, 3], epoch=[7, 7, 8], period=0.5, clock="monotonic", source="ä")
    for table in (trace, trace.to_arrow(), pa.table(trace), trace.to_arrow().to_reader()):
        assert Trace.from_arrow(table) == trace
    assert Trace.from_arrow(trace, period=2, source="b") == Trace(
        [5, 3, 8], sequence=[1, 2, 3], epoch=[7, 7, 8], period=2, clock="monotonic", source="b"
    )
    assert Trace.from_arrow(Trace([])) == Trace([])


def test_the_columns_are_not_copied():
    trace = Trace(np.arange(1000))
    assert trace.to_arrow()["arrival_ns"].chunk(0).buffers()[1].address == trace.arrivals.ctypes.data


def test_pandas():
    pd = pytest.importorskip("pandas")
    for unit in ("s", "ms", "us", "ns"):
        frame = pd.DataFrame({"else": ["x", "y"], "n": [1, 2], "ts": pd.Series(DATES).astype(f"datetime64[{unit}]")})
        expected = DATES.astype(f"datetime64[{unit}]").astype("datetime64[ns]").astype(int).tolist()
        trace = Trace.from_arrow(frame, COLUMNS, room=7)
        assert (trace.arrivals.tolist(), trace.sequence.tolist(), trace.about) == (expected, [1, 2], {"room": 7})
    frame = pd.DataFrame({"ts": pd.DatetimeIndex(DATES, tz="Asia/Tokyo"), "n": [1.0, 2.0]}, index=[5, 3])
    assert Trace.from_arrow(frame, COLUMNS).arrivals.tolist() == [t - 9 * 3600 * NS for t in ARRIVALS]
    back = pd.DataFrame.from_arrow(Trace([5, 3])) if hasattr(pd.DataFrame, "from_arrow") else Trace([5, 3]).to_arrow()
    assert Trace.from_arrow(back).arrivals.tolist() == [5, 3]


def test_polars():
    pl = pytest.importorskip("polars")
    frame = pl.DataFrame({"ts": DATES, "n": [1, 2], "who": ["a", "b"]})
    assert Trace.from_arrow(frame, COLUMNS).arrivals.tolist() == ARRIVALS
    assert pl.DataFrame(Trace([5, 3], sequence=[1, 2])).to_dict(as_series=False) == {
        "arrival_ns": [5, 3],
        "sequence": [1, 2],
    }


def test_pieces_are_put_together():
    pieces = [pa.record_batch({"arrival_ms": [1, 2]}), pa.record_batch({"arrival_ms": [3]})]
    assert Trace.from_arrow(pa.Table.from_batches(pieces)).arrivals.tolist() == [10**6, 2 * 10**6, 3 * 10**6]
    assert Trace.from_arrow(pieces[0]).arrivals.tolist() == [10**6, 2 * 10**6]


@pytest.mark.parametrize(
    ("values", "unit"),
    [
        (pa.array([1767225600500, 1767225601750]), None),
        (pa.array([1767225600500, 1767225601750], pa.uint64()), "ms"),
        (pa.array([1767225600.5, 1767225601.75]), None),
        (pa.array([1767225600.5, 1767225601.75]), {"arrivals": "s"}),
        (pa.array([1767225600500, 1767225601750], pa.timestamp("ms")), "s"),
        (pa.array([1767225600500, 1767225601750]).dictionary_encode(), "ms"),
        (pa.array([1767225600500, 1767225601750], pa.duration("ms")), None),
    ],
)
def test_kinds_of_instants(values, unit):
    assert Trace.from_arrow(pa.table({"ts": values}), {"arrivals": "ts"}, unit).arrivals.tolist() == ARRIVALS


@given(st.lists(st.floats(-4e9, 4e9), min_size=1))
def test_floats_are_rounded_to_the_nearest_nanosecond_of_what_they_hold(seconds):
    from fractions import Fraction

    trace = Trace.from_arrow(pa.table({"ts": seconds}), {"arrivals": "ts"}, "s")
    exact = [Fraction(value) * NS for value in seconds]
    assert all(abs(a - b) <= Fraction(1, 2) for a, b in zip(trace.arrivals.tolist(), exact, strict=True))


@pytest.mark.parametrize(
    ("table", "columns", "unit", "message"),
    [
        ({"t": [1]}, {"arrivals": "ts"}, "s", "expected columns ts; found t$"),
        ({"t": [1]}, None, "s", "expected arrivals in a column arrival_ns, .*; found t$"),
        ({"t": [1]}, {"arrivals": 1}, "s", "expected columns 1; found t$"),
        ({"ts": [1, None]}, {"arrivals": "ts"}, "s", r"ts\[1\] is empty"),
        ({"ts": ["a"]}, {"arrivals": "ts"}, "s", "column ts is string; expected integers, floats or timestamps"),
        ({"ts": [1.0, np.nan]}, {"arrivals": "ts"}, "s", r"ts\[1\] = nan is no instant"),
        ({"ts": [-np.inf]}, {"arrivals": "ts"}, "s", r"ts\[0\] = -inf is no instant"),
        ({"ts": [2.0**61]}, {"arrivals": "ts"}, "us", r"ts\[0\] = 2.* is more than 146 years"),
        ({"ts": [2**60]}, {"arrivals": "ts"}, "us", r"ts\[0\] = 1152921504606846976 is more than 146 years"),
        ({"ts": [17]}, {"arrivals": "ts"}, None, r"the unit of column ts is not known \(17 in the first row\)"),
        ({"ts": [1], "n": [1.5]}, COLUMNS, "s", r"n\[0\] = 1.5 is not a whole number"),
        ({"ts": [1], "n": [DATES[0]]}, COLUMNS, "s", r"column n is timestamp\[ns\]; expected integers"),
        ({"ts": pa.array([10**15], pa.timestamp("s"))}, {"arrivals": "ts"}, None, "column ts: Casting from timestamp"),
        ({"ts": [1], "p": ["a"]}, {"arrivals": "ts", "peer": "p"}, "s", "a Trace has one peer"),
    ],
)
def test_what_is_no_trace(table, columns, unit, message):
    with pytest.raises(ValueError, match=f"^{message}"):
        Trace.from_arrow(pa.table(table), columns, unit)


def test_what_is_no_table():
    with pytest.raises(TypeError, match=r"^expected a table with __arrow_c_stream__ .*, got <class 'list'>$"):
        Trace.from_arrow([1, 2])


def test_metadata_of_others_and_damaged_ones_are_no_matter():
    for text in (b"{", b"[]", b'{"about": 1}', b"\xff", b"[" * 60_000):
        table = pa.table({"arrival_ns": [1]}).replace_schema_metadata({b"accrual": text})
        assert Trace.from_arrow(table) == Trace([1])


def test_without_pyarrow_the_error_says_what_to_install(monkeypatch):
    table = pa.table({"arrival_ns": [1]})
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    for attempt in (lambda: Trace.from_arrow(table), Trace([1]).to_arrow, lambda: Trace([1]).__arrow_c_stream__()):
        with pytest.raises(ImportError, match=r"^Arrow needs pyarrow: pip install accrual\[traces\]$"):
            attempt()


# ---- Parquet files of other programs ----


@pytest.fixture
def path(tmp_path):
    return tmp_path / "table.parquet"


def test_a_parquet_file_with_many_peers(path):
    table = pa.table(
        {"who": ["b", "a", "b", "b"], "ts": [1, 2, 3, 7], "n": pa.array([1, 1, 2, 4], pa.int8()), "x": [[]] * 4}
    )
    pq.write_table(table, path, row_group_size=3)
    b, a = import_trace(path, columns=COLUMNS | {"peer": "who"}, unit="s")
    assert (b.arrivals.tolist(), b.sequence.tolist()) == ([NS, 3 * NS, 7 * NS], [1, 2, 4])
    assert (b.about["peer"], b.about["session"], b.about["format"], b.period) == ("b", 1, "parquet", 2.0)
    assert (a.arrivals.tolist(), a.about["peer"], a.about["session"]) == ([2 * NS], "a", 2)


def test_empty_values_of_a_parquet_file(path):
    pq.write_table(pa.table({"ts": [1, None, 3], "n": [1, 2, None]}), path)
    with pytest.raises(TraceError, match=rf"^{path}: ts\[1\] is empty$"):
        import_trace(path, columns=COLUMNS, unit="s")
    [trace] = import_trace(path, columns=COLUMNS, unit="s", lenient=True)
    assert (trace.arrivals.tolist(), trace.about["skipped"]) == ([NS], 2)


def test_a_parquet_file_without_a_row(path):
    pq.write_table(pa.table({"ts": pa.array([], pa.int64()), "p": pa.array([], pa.string())}), path)
    for columns in ({"arrivals": "ts"}, {"arrivals": "ts", "peer": "p"}):
        with pytest.raises(TraceError, match=f"^{path}: no heartbeat$"):
            import_trace(path, columns=columns)


def test_a_damaged_parquet_file(path):
    pq.write_table(pa.table({"ts": list(range(10_000))}), path)
    whole = path.read_bytes()
    for damaged in (whole[:-100], whole[:100], whole[:400] + b"\xff" * 100 + whole[500:]):
        path.write_bytes(damaged)
        with pytest.raises(TraceError, match=f"^{path}: not a whole Parquet file: .*$"):
            import_trace(path, columns={"arrivals": "ts"}, unit="s")


def test_too_many_peers(path, monkeypatch):
    monkeypatch.setattr("accrual.traces.arrow.MOST_PEERS", 2)
    pq.write_table(pa.table({"ts": [1, 2, 3], "p": ["a", "b", "c"]}), path)
    with pytest.raises(TraceError, match=f"^{path}: more than 2 peers"):
        read_table(path, False, Selection({"arrivals": "ts", "peer": "p"}, "s"))


def test_what_is_written_stays_readable_by_both(path):
    trace = Trace([5, 3], sequence=[1, 2], period=1)
    trace.write(path)
    assert read_trace(path) == trace
    [table] = import_trace(path, columns={"arrivals": "arrival_ns"})
    assert table.arrivals.tolist() == [5, 3]


def test_a_short_round_of_fuzzing(path):
    """Seeded; a long one was run by hand."""
    import random

    rng = random.Random(4)
    pq.write_table(pa.table({"ts": list(range(40)), "p": ["a", "b"] * 20}), path)
    whole = path.read_bytes()
    for _ in range(200):
        text = bytearray(whole)
        for _ in range(rng.choice([1, 1, 3])):
            place = rng.randrange(len(text))
            text[place : place + rng.choice([0, 1, 4])] = rng.choice([b"", b"\0", b"\xff", b"\xff\xff\xff\xff"])
        path.write_bytes(text)
        try:
            import_trace(path, columns={"arrivals": "ts", "peer": "p"}, unit="s", format="parquet")
        except TraceError as error:
            refusal = str(error)
        else:
            refusal = f"{path}: "
        assert refusal.startswith(f"{path}: ")
        assert "\n" not in refusal
