"""Trace: what it takes exactly, what it refuses, and that it stays as it is."""

import copy
import errno
import json
import os
import pickle
import resource
import sys
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from accrual.traces import Trace, TraceError, read_trace
from accrual.traces.trace import INSTANT_LIMIT, as_instants, as_int64, exact_sum

UNITS = ("Y", "M", "W", "D", "h", "m", "s", "ms", "us", "ns", "ps", "fs", "as")
READ_ONLY = np.arange(3)
READ_ONLY.flags.writeable = False


@pytest.mark.parametrize(
    "values",
    [
        [0, 1, 2],
        (0, 1, 2),
        range(3),
        [0.0, 1.0, 2.0],
        memoryview(np.arange(3)),
        READ_ONLY,
        np.arange(6)[::2] // 2,
        np.arange(3)[::-1][::-1],
        *(np.arange(3, dtype=code) for code in ("i1", "u1", "<i4", ">i4", ">i8", "u8", "f2", "f4", ">f8", "g")),
    ],
    ids=repr,
)
def test_exact_integers_are_taken(values):
    exact = as_int64(values, "sequence")
    assert exact.tolist() == [0, 1, 2]
    assert exact.dtype == np.int64
    assert exact.dtype.isnative
    assert exact.flags.c_contiguous
    assert not exact.flags.writeable


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ([0, 0.5], r"x\[1\] = 0.5 is not a whole number"),
        ([0, float("nan")], r"x\[1\] = nan is not finite"),
        ([0, float("-inf")], r"x\[1\] = -inf is not finite"),
        ([0, 2.0**53], r"x\[1\] = 9007199254740992.0 is a float beyond 2\*\*53"),
        ([0, -(2.0**53)], r"x\[1\] = -9007199254740992.0 is a float beyond"),
        ([0.5, 2**53 + 1], r"x\[0\] = 0.5"),
        ([2**63], r"x\[0\] = 9223372036854775808 does not fit into 64 bits"),
        ([0, 2**63], r"x\[1\] = 9223372036854775808 does not fit into 64 bits"),  # which NumPy makes a float of
        ([0.0, -(2**63)], r"x\[1\] = .* beyond 2\*\*53"),
        ([0, 2**64], r"x\[1\] = 18446744073709551616 does not fit into 64 bits"),
        ([0, -(2**63) - 1], r"x\[1\] = -9223372036854775809 does not fit into 64 bits"),
        (np.array([1, 2**63], np.uint64), r"x\[1\] = 9223372036854775808 does not fit"),
        ([True, False], r"x\[0\] = .*True.* is no integer \(dtype bool\)"),
        (np.array([], bool), r"x must hold integers, has dtype bool"),
        ([1, None], r"x\[1\] = None is no integer"),
        (np.array([1, 2], object), r"x must hold integers, has dtype object"),
        (["1"], r"x\[0\] = .*'1'.* is no integer"),
        ([b"1"], r"x\[0\] = .*b'1'.* is no integer"),
        ([1 + 0j], r"x\[0\] = .* is no integer \(dtype complex128\)"),
        (np.array([1], "m8[ns]"), r"x\[0\] = .* is no integer \(dtype timedelta64"),
        (np.array([1], "M8[ns]"), r"x\[0\] = .* is no integer \(dtype datetime64"),
        ([[1, 2]], r"x must have 1 dimension, has 2 \(shape \(1, 2\)\)"),
        (1, r"x must have 1 dimension, has 0"),
        ({1, 2}, r"x must have 1 dimension, has 0"),
        ([[1], [1, 2]], r"x is no array of integers: .*inhomogeneous"),
        (np.ma.array([1, 2], mask=[False, True]), r"x\[1\] is masked"),
    ],
)
def test_what_is_no_integer_is_refused_with_the_reason(values, message):
    with pytest.raises(ValueError, match=f"^{message}"):
        as_int64(values, "x")


@given(hnp.arrays(st.sampled_from([np.float64, np.float32, np.uint64, np.int16, ">i8"]), st.integers(0, 5)))
def test_a_number_is_taken_exactly_or_not_at_all(values):
    try:
        exact = as_int64(values, "x")
    except ValueError:
        assert any(not np.isfinite(v) or v != np.trunc(v) or abs(v) >= 2**53 for v in values.astype(np.longdouble))
    else:
        assert [Fraction(v) for v in values.tolist()] == exact.tolist()


@given(st.sampled_from(UNITS), st.integers(-(2**63) + 1, 2**63 - 1))
def test_a_date_of_any_unit_is_taken_exactly_or_not_at_all(unit, count):
    date = np.array([count], f"M8[{unit}]")
    per_unit = {"s": 10**9, "ms": 10**6, "us": 1000, "ns": 1, "ps": Fraction(1, 1000)}.get(unit)
    try:
        [exact] = as_instants(date, "arrivals").tolist()
    except ValueError:
        assert per_unit is None or (count * per_unit) % 1 or abs(count * per_unit) >= INSTANT_LIMIT
    else:
        assert np.datetime64(exact, "ns").astype(date.dtype) == date[0]
        assert per_unit is None or exact == count * per_unit


def test_instants_stay_where_differences_fit_64_bits():
    edge = [-INSTANT_LIMIT + 1, INSTANT_LIMIT - 1]
    assert as_instants(edge, "arrivals").tolist() == edge
    for outside in (-INSTANT_LIMIT, INSTANT_LIMIT):
        with pytest.raises(ValueError, match=rf"^arrivals\[1\] = {outside} ns is not inside"):
            as_instants([0, outside], "arrivals")
    with pytest.raises(ValueError, match=r"^arrivals\[1\] = NaT is no time"):
        as_instants(np.array(["2026-01-01", "NaT"], "M8[s]"), "arrivals")
    assert as_int64([-(2**63), 2**63 - 1], "epoch").tolist() == [-(2**63), 2**63 - 1]


def test_pandas_polars_and_arrow_columns_are_arrays():
    pandas = pytest.importorskip("pandas")
    arrow = pytest.importorskip("pyarrow")
    dates = pandas.Series(pandas.to_datetime(["1970-01-01 00:00:01"]))
    for unit in ("s", "ms", "us", "ns"):
        assert Trace(dates.astype(f"datetime64[{unit}]")).arrivals.tolist() == [10**9]
    assert Trace(pandas.Series([1, 2])) == Trace(arrow.chunked_array([[1], [2]])) == Trace([1, 2])
    with pytest.raises(ValueError, match=r"^arrivals\[1\]"):
        Trace(pandas.array([1, None], dtype="Int64"))


def test_the_callers_array_keeps_its_flags_and_the_trace_cannot_be_written():
    mine = np.arange(4)
    trace = Trace(mine, sequence=mine, sent=mine[::2].repeat(2))
    assert mine.flags.writeable
    assert np.shares_memory(trace.arrivals, mine)
    for column in (trace.arrivals, trace.sequence, trace.sent):
        with pytest.raises(ValueError, match="read-only"):
            column[0] = 1


@given(st.lists(st.integers(-INSTANT_LIMIT + 1, INSTANT_LIMIT - 1)))
def test_any_order_is_kept(arrivals):
    assert Trace(arrivals).arrivals.tolist() == arrivals


@pytest.mark.parametrize("name", ["sequence", "sent", "sent_remote", "epoch"])
def test_columns_are_named_in_errors(name):
    with pytest.raises(ValueError, match=f"^{name} has 1 values, arrivals has 2$"):
        Trace([1, 2], **{name: [1]})
    with pytest.raises(ValueError, match=rf"^{name}\[0\] = 0.5"):
        Trace([1, 2], **{name: [0.5, 1]})


@pytest.mark.parametrize("period", [0, -1, float("nan"), float("inf"), "1", True, 10**400, [1], 1j])
def test_a_period_is_positive_and_finite(period):
    with pytest.raises(ValueError, match=r"^period must be a finite number of seconds > 0, is "):
        Trace([1], period=period)


def test_a_period_is_seconds():
    assert Trace([1], period=np.float32(0.5)).period == 0.5
    assert Trace([1]).period is None


def test_about_is_a_copy_of_what_json_holds():
    mine = {"host": ["a", ("b", 1)]}
    trace = Trace([1], where=mine)
    mine["host"].append("c")
    assert trace.about == {"where": {"host": ["a", ["b", 1]]}} == json.loads(json.dumps(trace.about))
    for bad in (object(), float("nan"), {1, 2}, np.int64(1), b"a"):
        with pytest.raises(ValueError, match=r"^thing = .* cannot be held by JSON"):
            Trace([1], thing=bad)


def test_equality_is_by_content():
    trace = Trace([1, 2], [3, 4], period=1, source="a")
    assert trace == Trace(np.array([1, 2], ">i4"), [3.0, 4.0], period=1.0, source="a")
    others = [
        Trace([1, 3], [3, 4], period=1, source="a"),
        Trace([1, 2], period=1, source="a"),
        Trace([1, 2], [3, 4], period=2, source="a"),
        Trace([1, 2], [3, 4], period=1, source="b"),
        Trace([1, 2], sent=[3, 4], period=1, source="a"),
        "a trace",
    ]
    assert all(trace != other for other in others)
    with pytest.raises(TypeError, match="unhashable"):
        hash(trace)


def test_slices_keep_every_column_and_what_is_known():
    trace = Trace(range(5), range(5, 10), range(10, 15), range(15, 20), range(20, 25), period=2, source="a")
    assert trace[1:4:2] == Trace([1, 3], [6, 8], [11, 13], [16, 18], [21, 23], period=2, source="a")
    assert len(trace[9:]) == 0
    assert trace[:] == trace
    assert trace[::-1].arrivals.tolist() == [4, 3, 2, 1, 0]
    with pytest.raises(TypeError, match=r"cut by slices, as in trace\[10:20\], not by 3"):
        trace[3]


@pytest.mark.parametrize("clone", [copy.copy, copy.deepcopy, lambda t: pickle.loads(pickle.dumps(t))])
def test_copies_are_equal_and_read_only(clone):
    trace = Trace([1, 2], epoch=[0, 1], period=0.1, clock="monotonic")
    assert clone(trace) == trace
    assert not clone(trace).arrivals.flags.writeable


def test_repr():
    assert repr(Trace([])) == "Trace(0 heartbeats over 0.0 s)"
    assert repr(Trace([5])) == "Trace(1 heartbeat over 0.0 s)"
    second = Trace(np.arange(100_001) * 10**7, sequence=np.arange(100_001), period=0.01, source="a.log")
    assert repr(second) == "Trace(100,001 heartbeats over 1,000.0 s, period 0.01 s, with sequence, source='a.log')"
    assert "over 3.0 s" in repr(Trace([2 * 10**9, -(10**9), 0]))
    assert "over 9,223,372,036.9 s" in repr(Trace([-INSTANT_LIMIT + 1, INSTANT_LIMIT - 1]))


def test_an_unknown_ending_is_refused(tmp_path):
    with pytest.raises(ValueError, match=r"^path must end in .parquet, .csv or .csv.gz, is '.*beats.txt'"):
        Trace([1]).write(tmp_path / "beats.txt")
    assert list(tmp_path.iterdir()) == []


@pytest.fixture
def long():
    """Enough heartbeats to fill any buffer on the way."""
    return Trace(np.random.default_rng(1).integers(0, 10**15, 20_000))


@pytest.mark.parametrize("ending", [".parquet", ".csv", ".csv.gz"])
class TestWritingIsWholeOrNotAtAll:
    """The same for every format: an old file stays, a new one does not appear, nothing is left beside it."""

    @pytest.fixture(params=[True, False], ids=["over-an-old-file", "new"])
    def target(self, request, tmp_path, ending):
        if ending == ".parquet":
            pytest.importorskip("pyarrow")
        path = tmp_path / f"beats{ending}"
        if request.param:
            path.write_bytes(b"old")
        yield path
        assert [p.name for p in tmp_path.iterdir()] == ([path.name] if request.param else [])
        assert not request.param or path.read_bytes() == b"old"

    @pytest.mark.parametrize("error", [OSError(errno.ENOSPC, "No space left on device"), KeyboardInterrupt()])
    def test_when_the_disk_refuses(self, target, long, monkeypatch, error):
        def refuse(descriptor):
            raise error

        monkeypatch.setattr(os, "fsync", refuse)
        with pytest.raises(type(error)):
            long.write(target)

    @pytest.mark.skipif(sys.platform != "linux", reason="sets a limit of the system")
    def test_when_the_file_cannot_grow(self, target, long):
        soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
        resource.setrlimit(resource.RLIMIT_FSIZE, (10_000, hard))
        try:
            with pytest.raises(OSError, match=r"too large") as caught:
                long.write(target)
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
        assert caught.value.errno == errno.EFBIG


def test_a_file_is_replaced_and_a_link_stays_one(long, tmp_path):
    path, link = tmp_path / "beats.csv", tmp_path / "link.csv"
    path.write_bytes(b"old")
    link.symlink_to(path)
    long.write(link)
    assert link.is_symlink()
    assert read_trace(path) == long
    os.umask(mask := os.umask(0))
    assert path.stat().st_mode & 0o777 == 0o666 & ~mask


def test_a_folder_that_cannot_be_opened_is_written_to(long, tmp_path, monkeypatch):
    """Windows opens no folder, and one with the rights -wx opens for nobody but root."""

    def refuse(path, *_):
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), path)

    monkeypatch.setattr(os, "open", refuse)
    long.write(tmp_path / "beats.csv")
    assert read_trace(tmp_path / "beats.csv") == long


def test_a_missing_folder_is_named_as_the_caller_named_it(long, tmp_path):
    with pytest.raises(FileNotFoundError, match=r"nowhere/beats.csv"):
        long.write(tmp_path / "nowhere" / "beats.csv")


def test_trace_errors_say_where():
    assert str(TraceError("bad")) == "bad"
    assert str(TraceError("bad", "a.csv")) == "a.csv: bad"
    error = TraceError("bad", "a.csv", 3)
    assert (str(error), error.file, error.line) == ("a.csv:3: bad", "a.csv", 3)
    assert isinstance(error, ValueError)
    again = pickle.loads(pickle.dumps(error))
    assert (str(again), again.file, again.line) == ("a.csv:3: bad", "a.csv", 3)


@given(hnp.arrays(st.sampled_from([np.int64, np.uint64]), st.integers(0, 9)))
def test_sums_beyond_64_bits(values):
    assert exact_sum(values) == sum(values.tolist())
