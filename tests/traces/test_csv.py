"""CSV: exact integers, the line that is wrong by its number, plain or gzip."""

import gzip
import json

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from accrual.traces import Trace, TraceError, import_trace, read_trace

INT64 = st.integers(-(2**63), 2**63 - 1)
INSTANTS = st.integers(-(2**62) + 1, 2**62 - 1)


@pytest.fixture
def path(tmp_path):
    return tmp_path / "beats.csv"


@pytest.mark.parametrize("ending", [".csv", ".csv.gz"])
@given(rows=st.lists(st.tuples(INSTANTS, INT64)), note=st.text())
@example(rows=[(-(2**62) + 1, -(2**63)), (2**62 - 1, 2**63 - 1)], note="\n# accrual {}\r\n,\0")
@settings(max_examples=30)
def test_what_is_written_is_read(tmp_path_factory, ending, rows, note):
    path = tmp_path_factory.mktemp("round") / f"beats{ending}"
    arrivals, numbers = [a for a, _ in rows], [b for _, b in rows]
    trace = Trace(arrivals, numbers, arrivals, arrivals, numbers, period=0.1, note=note)
    trace.write(path)
    assert read_trace(path) == trace


def test_the_file_as_a_reader_sees_it(path):
    Trace([1, 3], sequence=[0, 1], period=0.5, clock="monotonic").write(path)
    comment, *lines = path.read_text().splitlines()
    assert lines == ["arrival_ns,sequence", "1,0", "3,1"]
    assert comment.startswith("# accrual ")
    known = json.loads(comment.removeprefix("# accrual "))
    assert known["about"] == {"clock": "monotonic"}
    assert known["period"] == 0.5


def test_equal_traces_are_equal_files(tmp_path):
    for name in ("a.csv.gz", "b.csv.gz"):
        Trace([1, 2]).write(tmp_path / name)
    assert (tmp_path / "a.csv.gz").read_bytes() == (tmp_path / "b.csv.gz").read_bytes()


@pytest.mark.parametrize(
    "text",
    [
        "arrival_ns,sequence\n1,7\n2,8\n",
        "sequence,arrival_ns\r\n7,1\r\n8,2\r\n",
        "# by another program\n# of two lines\narrival_ns,sequence\n+1,007\n2,8\n",
    ],
)
def test_the_files_of_other_programs_are_read(path, text):
    path.write_bytes(text.encode())
    assert read_trace(path) == Trace([1, 2], sequence=[7, 8])


def test_a_header_alone_is_an_empty_trace(path):
    path.write_text("arrival_ns\n")
    assert read_trace(path) == Trace([])


@pytest.mark.parametrize(
    "row",
    [
        "",
        "1",
        "1,",
        "1,2,3",
        "1,2,\n3",
        "1;2",
        "1.0,2",
        "1e3,2",
        "nan,2",
        "0x1,2",
        "1_0,2",
        " 1,2",
        "١,2",
        "a,b",
        "# 1,2",
        "\0,2",
        "9223372036854775808,2",
        "99999999999999999999,2",
    ],
)
@pytest.mark.parametrize("before", [0, 5000])
def test_a_wrong_row_is_named_or_skipped(path, row, before):
    good = [f"{i},{i}\n" for i in range(before)]
    path.write_bytes(f"# a comment\narrival_ns,sequence\n{''.join(good)}{row}\n5,6\n".encode())
    with pytest.raises(TraceError, match=f"^{path}:{before + 3}: expected 2 integers of 64 bits, got "):
        read_trace(path)
    [trace] = import_trace(path, lenient=True)
    assert trace.about == {"skipped": 1 + row.count("\n")}
    assert trace.sequence.tolist() == [*range(before), 6]


def test_a_last_line_without_an_end_may_have_lost_digits(path):
    path.write_text("arrival_ns\n100\n20")
    with pytest.raises(TraceError, match=f"^{path}:3: the last line is cut: '20'$"):
        read_trace(path)
    [trace] = import_trace(path, lenient=True)
    assert trace == Trace([100], skipped=1)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "the file is empty"),
        ("# accrual {}\n", "no header: the file is empty"),
        ("time,sequence\n1,2\n", r"expected columns arrival_ns .*; found time,sequence"),
        ("arrival_ns,sequnce\n1,2\n", "expected columns .*; found arrival_ns, sequnce"),
        ("arrival_ns,arrival_ns\n1,2\n", "expected columns "),
        ("1,2\n3,4\n", "no trace: expected Parquet, CSV with a column arrival_ns, .*, or a log of ping"),
        ("# accrual {\narrival_ns\n1\n", "no trace: "),
        ("# accrual []\narrival_ns\n1\n", "no trace: "),
        ("arrival_ns\n4611686018427387904\n", r"no trace: arrivals\[0\] = 4611686018427387904 ns is not inside"),
    ],
)
def test_what_is_no_trace_is_refused(path, text, message):
    path.write_text(text)
    with pytest.raises(TraceError, match=rf"^{path}:(1:|2:)? {message.replace(',sequence', ', sequence')}"):
        read_trace(path)


def test_a_truncated_gzip_keeps_what_came_before_where_lenient(path):
    rng = np.random.default_rng(3)
    trace = Trace(rng.integers(0, 10**15, 20_000))
    whole = path.with_suffix(".csv.gz")
    trace.write(whole)
    path.write_bytes(whole.read_bytes()[:-5000])
    with pytest.raises(TraceError, match=rf"^{path}:\d{{5}}: damaged gzip data: "):
        read_trace(path)
    [kept] = import_trace(path, lenient=True)
    assert kept.about["truncated"] is True
    assert 10_000 < len(kept) < 20_000
    assert kept.arrivals.tolist() == trace.arrivals[: len(kept)].tolist()


def test_a_long_line_does_not_fill_the_memory(path):
    with gzip.open(path, "wb") as file:
        file.write(b"arrival_ns\n1\n")
        for _ in range(64):
            file.write(b"1" * 2**20)
        file.write(b"\n2\n")
    with pytest.raises(TraceError, match=f"^{path}:3: a line longer than 64 KiB"):
        read_trace(path)
    [trace] = import_trace(path, lenient=True)
    assert trace == Trace([1, 2], skipped=1)


def test_about_that_does_not_fit_into_a_line_is_refused(path):
    with pytest.raises(ValueError, match="write Parquet"):
        Trace([1], note="x" * 70_000).write(path)
    assert not path.exists()


@given(st.binary(max_size=200))
@settings(max_examples=200)
def test_rubbish_is_a_trace_error(tmp_path_factory, rubbish):
    path = tmp_path_factory.mktemp("rubbish") / "beats.csv"
    path.write_bytes(b"arrival_ns,epoch\n1,2\n" + rubbish)
    try:
        heartbeats = len(read_trace(path))
    except TraceError as error:
        refusal = str(error)
    else:
        refusal = None
    assert refusal.startswith(f"{path}:") if refusal else heartbeats == 1 + rubbish.count(b"\n")
