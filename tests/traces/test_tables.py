"""Tables of other programs: CSV with any columns, JSON lines, Parquet."""

import datetime
import json
import random
from decimal import Decimal

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from accrual.traces import TraceError, import_trace
from accrual.traces.selection import UNITS, as_instant, as_integer, unit_of

NS = 10**9

# Wireless sensors, the first lines of a log of 2006: ms, node, number, decimal commas, no header.
SENSORS = """\
1163438041250 20 1 21,21 2,81 51,53 22,08 20 28
1163438041468 10 1 20,07 3 51,46 22,3 2 2
1163438101250 20 2 21,21 2,81 51,53 22,08 20 28
1163438161281 20 1\xa0003 21,21 2,81 51,53 22,08 20 28
"""
# What a node of PlanetLab wrote down of its own sending.
PLANETLAB = """\
numseq,timestamp_start_send,timestamp_end_send
0,47816110278831392,47816110278976942
1,47816110378879849,47816110378996625
2,47816110479988717,47816110480120648
"""
SENT = {"arrivals": "timestamp_start_send", "sequence": "numseq"}


@pytest.fixture
def table(tmp_path):
    """Write a table and return its path."""

    def write(content, name="table.txt"):
        path = tmp_path / name
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        return path

    return write


@pytest.mark.parametrize("encoding", ["utf-8", "latin-1"])
def test_columns_by_number_in_a_log_of_many_nodes(table, encoding):
    path = table(SENSORS.encode(encoding))
    first, second = import_trace(path, columns={"arrivals": 1, "peer": 2, "sequence": 3}, unit="ms")
    assert first.arrivals.tolist() == [1163438041250 * 10**6, 1163438101250 * 10**6, 1163438161281 * 10**6]
    assert first.sequence.tolist() == [1, 2, 1003]
    assert (first.about["peer"], second.about["peer"], len(second)) == ("20", "10", 1)
    assert (first.about["format"], first.about["unit"], first.about["session"]) == ("csv", "ms", 1)


def test_columns_by_name(table):
    [trace] = import_trace(table(PLANETLAB), columns=SENT, unit="ns")
    assert trace.arrivals.tolist() == [47816110278831392, 47816110378879849, 47816110479988717]
    assert trace.sequence.tolist() == [0, 1, 2]
    assert trace.period == pytest.approx(0.1, abs=1e-3)
    assert trace.about["period_from"] == "the median interval"


@pytest.mark.parametrize(
    ("text", "columns"),
    [
        ("ts;who\n1767225600,5;a b\n1767225601,25;a b\n", {}),
        ("ts\twho\n1767225600.5\ta b\n1767225601.25\ta b\n", {}),
        ('who,ts\r\n"a b",1767225600.5\r\n"a b","1767225601.25"\r\n', {}),
        ("# a comment\n\nts , who\n1767225600.5 , a b\n\n1.76722560125e9, a b\n", {}),
        ("ts,who\n2026-01-01T00:00:00.5Z,a b\n2026-01-01 01:00:01.25+01:00,a b\n", {}),
        ("ts;who\n2026-01-01 00:00:00,5;a b\n2025-12-31 18:00:01.25 -0600;a b\n", {}),
        ("\ufeffts,who\n1767225600.5,a b\n1767225601.25,a b\n", {}),
        ("1767225600.5,a b\n1767225601.25,a b\n", {"arrivals": 1, "peer": 2}),
        ("a b;1767225600,5\na b;1767225601,25\n", {"arrivals": 2, "peer": 1}),
        ("1767225600.5, a b\n1767225601.25, a b\n", {"arrivals": 1, "peer": 2}),
        ("2026-01-01 00:00:00.5,a b\n2026-01-01 00:00:01.25,a b\n", {"arrivals": 1, "peer": 2}),
    ],
)
def test_delimiters_decimal_marks_dates_and_headers(table, text, columns):
    [trace] = import_trace(table(text), columns=columns or {"arrivals": "ts", "peer": "who"})
    assert trace.arrivals.tolist() == [1767225600_500000000, 1767225601_250000000]
    assert trace.about["peer"] == "a b"
    assert (trace.about["unit"], trace.about["clock"]) == ("s", "unix")


def test_names_of_ours_need_no_telling(table):
    text = "arrival_ms,sequence,sent_s,epoch,peer,else\n1.5,1,0.001,7,a,x\n2.5,2,0.002,7,a,x\n"
    [trace] = import_trace(table(text))
    assert trace.arrivals.tolist() == [1_500_000, 2_500_000]
    assert trace.sent.tolist() == [10**6, 2 * 10**6]
    assert (trace.sequence.tolist(), trace.epoch.tolist()) == ([1, 2], [7, 7])


@pytest.mark.parametrize("unit", UNITS)
def test_a_unix_time_tells_its_unit(table, unit):
    value = 1767225600 * (NS // UNITS[unit])
    [trace] = import_trace(table(f"ts\n{value}\n"), columns={"arrivals": "ts"})
    assert trace.arrivals.tolist() == [1767225600 * NS]
    assert (trace.about["unit"], trace.about["unit_from"]) == (unit, "the first value, as a Unix time")


def test_a_unit_that_nobody_tells_is_asked_for(table):
    for lenient in (False, True):
        with pytest.raises(
            TraceError, match=r":2: the unit of column ts is not known \(12\.5 in the first row\): unit=.*--unit ns"
        ):
            import_trace(table("ts\n12.5\n"), columns={"arrivals": "ts"}, lenient=lenient)


def test_each_column_may_have_its_own_unit(table):
    text = "got,sent\n5,4000\n"
    columns = {"arrivals": "got", "sent": "sent"}
    [trace] = import_trace(table(text), columns=columns, unit={"arrivals": "s", "sent": "ms"})
    assert (trace.arrivals.tolist(), trace.sent.tolist()) == ([5 * NS], [4 * NS])


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"columns": {"arrival": "ts"}}, "columns are arrivals, sequence, .*, not 'arrival'"),
        ({"columns": {"sequence": "ts"}}, "columns must say which one holds the arrivals"),
        ({"columns": {"arrivals": 0}}, "column of arrivals must be a name, or a number from 1, is 0"),
        ({"columns": {"arrivals": None}}, "column of arrivals must be a name"),
        ({"columns": {"arrivals": 1, "peer": "a"}}, "columns must all be names, or all be numbers"),
        ({"unit": "min"}, "unit must be one of s, ms, us, ns"),
        (
            {"unit": {"sequence": "s"}},
            "unit must be one of s, ms, us, ns for arrivals, sent, sent_remote, is 's' for 'seq",
        ),
    ],
)
def test_options_that_say_nothing(table, options, message):
    with pytest.raises(ValueError, match=f"^{message}") as refusal:
        import_trace(table("ts\n1\n"), **options)
    assert not isinstance(refusal.value, TraceError)


@pytest.mark.parametrize(
    ("text", "columns", "message"),
    [
        ("time,n\n1,2\n", {"arrivals": "ts"}, ":1: expected columns ts; found 'time,n'"),
        ("ts,ts\n1,2\n", {"arrivals": "ts"}, ":1: expected columns ts; found 'ts,ts'"),
        ("ts,n\n1,2\n", {"arrivals": 1}, ":1: expected columns 1; found 'ts,n'"),
        ("1,2\n", {"arrivals": 3}, ":1: expected columns 3; found '1,2'"),
        ("ts\n", {"arrivals": "ts"}, ": no heartbeat"),
        ("# nothing\n", {"arrivals": "ts"}, ": no row"),
        ("\n\n", {"arrivals": "ts"}, ": no row"),
        ("", {"arrivals": "ts"}, ": the file is empty"),
        ("\0\1\2\3\4", {"arrivals": "ts"}, ":1: expected columns ts; found "),
        ("ts\n1\n".encode("utf-16"), {"arrivals": "ts"}, ": UTF-16 text, expected UTF-8"),
    ],
)
def test_what_is_no_such_table(table, text, columns, message):
    path = table(text)
    with pytest.raises(TraceError, match=f"^{path}{message}"):
        import_trace(path, columns=columns, unit="s")


def test_lenient_finds_the_first_row_that_has_the_columns(table):
    path = table("ts,n\n1,2\n")
    [trace] = import_trace(path, columns={"arrivals": 1}, unit="s", lenient=True)
    assert (trace.arrivals.tolist(), trace.about["skipped"]) == ([NS], 1)


BAD_ROWS = [
    ("x;2;a", "expected an instant in s in column ts, got 'x'"),
    ("", None),
    ("# a comment", None),
    (";2;a", "expected an instant in s in column ts, got ''"),
    ("nan;2;a", "expected an instant in s"),
    ("inf;2;a", "expected an instant in s"),
    ("1e400;2;a", "expected an instant in s"),
    ("0x10;2;a", "expected an instant in s"),
    ("5000000000;2;a", "expected an instant in s"),
    ("2026-13-01T00:00:00;2;a", "expected an instant in s"),
    ("2026-01-01T25:00:00;2;a", "expected an instant in s"),
    ("1.767.225;2;a", "expected an instant in s"),
    ("5;2.5;a", "expected a whole number in column n, got '2.5'"),
    ("5;99999999999999999999;a", "expected a whole number"),
    ("5;9223372036854775808;a", "expected a whole number"),
    ("5;1 2;a", "expected a whole number"),
    ("5;2;", "expected a name in column who, got ''"),
    ("5;2", "expected 3 cells, got '5;2'"),
    ("5;2;a;b", "expected 3 cells, got '5;2;a;b'"),
    ('5;2;"a', "expected 3 cells, got '5;2;\"a'"),
    ("x" * 70_000, "a line longer than 64 KiB"),
]


@pytest.mark.parametrize(("row", "message"), BAD_ROWS, ids=[row[:20] for row, _ in BAD_ROWS])
def test_a_row_that_is_no_heartbeat_is_an_error_or_skipped(table, row, message):
    path = table(f"ts;n;who\n1;1;a\n{row}\n9;9;a\n")
    options = {"columns": {"arrivals": "ts", "sequence": "n", "peer": "who"}, "unit": "s"}
    if message is None:
        assert import_trace(path, **options)[0].sequence.tolist() == [1, 9]
        return
    with pytest.raises(TraceError, match=f"^{path}:3: {message}"):
        import_trace(path, **options)
    [trace] = import_trace(path, lenient=True, **options)
    assert trace.sequence.tolist() == [1, 9]
    assert trace.about["skipped"] == 1


def test_a_last_line_that_is_cut_is_no_row(table):
    path = table("ts,n\n1,1\n2,2\n3,33")
    with pytest.raises(TraceError, match=f"^{path}:4: the last line is cut: '3,33'"):
        import_trace(path, columns={"arrivals": "ts", "sequence": "n"}, unit="s")
    [trace] = import_trace(path, columns={"arrivals": "ts", "sequence": "n"}, unit="s", lenient=True)
    assert (trace.sequence.tolist(), trace.about["skipped"]) == ([1, 2], 1)


def test_an_order_that_no_clock_should_give_is_kept(table):
    [trace] = import_trace(table("ts,n\n5,1\n4,3\n4,2\n9,2\n"), columns={"arrivals": "ts", "sequence": "n"}, unit="s")
    assert trace.arrivals.tolist() == [5 * NS, 4 * NS, 4 * NS, 9 * NS]
    assert trace.sequence.tolist() == [1, 3, 2, 2]


def test_what_stays_ours_is_read_as_ours(table):
    with pytest.raises(TraceError, match="expected columns arrival_ns and any of"):
        import_trace(table("arrival_ns,sequnce\n1,1\n"))
    [trace] = import_trace(table("arrival_ns,sequnce\n1,1\n"), columns={"arrivals": "arrival_ns"})
    assert trace.arrivals.tolist() == [1]


# ---- JSON lines ----

ROWS = [
    {"t": 1767225600.5, "n": 1, "node": "a"},
    {"node": "b", "n": "2", "t": "1767225601.123456789", "more": {"x": [1]}},
    {"t": "2026-01-01T00:00:02Z", "n": 3.0, "node": "a"},
]
KEYS = {"arrivals": "t", "sequence": "n", "peer": "node"}


@pytest.mark.parametrize("array", [False, True])
def test_json_objects(table, array):
    text = json.dumps(ROWS) if array else "\n\n".join(map(json.dumps, ROWS))
    a, b = import_trace(table(text), columns=KEYS)
    assert a.arrivals.tolist() == [1767225600_500000000, 1767225602 * NS]
    assert (a.sequence.tolist(), b.sequence.tolist()) == ([1, 3], [2])
    assert b.arrivals.tolist() == [1767225601_123456789]
    assert (a.about["format"], a.about["unit"]) == ("jsonl", "s")


def test_json_with_names_of_ours(table):
    [trace] = import_trace(table('{"arrival_us": 1.5, "sequence": 4}\n{"sequence": 5, "arrival_us": 2}\n'))
    assert (trace.arrivals.tolist(), trace.sequence.tolist()) == ([1500, 2000], [4, 5])


@pytest.mark.parametrize(
    ("broken", "message"),
    [
        ('{"n": 2}', "expected an instant in s in column t, got 'None'"),
        ('{"t": true, "n": 2}', "expected an instant in s in column t, got 'True'"),
        ('{"t": [1], "n": 2}', "expected an instant in s"),
        ('{"t": 1e999999999, "n": 2}', "expected an instant in s"),
        ('{"t": 5, "n": 1e999999999}', "expected a whole number in column n"),
        ('{"t": 5, "n": 1e-999999999}', "expected a whole number in column n"),
        ('{"t": 5, "n": 2.5}', "expected a whole number in column n, got '2.5'"),
        ('{"t": 5, "n": ' + "9" * 5000 + "}", "expected a JSON object"),
        ('{"t": 5, "n": 2', "expected a JSON object"),
        ("t,n", "expected a JSON object"),
    ],
)
def test_an_object_that_is_no_heartbeat(table, broken, message):
    path = table('{"t": 1, "n": 1}\n' + broken + '\n{"t": 9, "n": 9}\n')
    options = {"columns": {"arrivals": "t", "sequence": "n"}, "unit": "s"}
    with pytest.raises(TraceError, match=f"^{path}:2: {message}"):
        import_trace(path, **options)
    [trace] = import_trace(path, lenient=True, **options)
    assert (trace.sequence.tolist(), trace.about["skipped"]) == ([1, 9], 1)


def test_json_of_something_else(table):
    path = table('{"a": 1}\n')
    with pytest.raises(TraceError, match=f"^{path}:1: expected arrivals in a column arrival_ns, .* found a$"):
        import_trace(path)
    with pytest.raises(TraceError, match=f"^{path}:1: expected columns t; found a$"):
        import_trace(path, columns={"arrivals": "t"})
    with pytest.raises(TraceError, match=f"^{path}:1: expected columns 1; found a$"):
        import_trace(path, columns={"arrivals": 1})


# ---- values ----


@given(st.integers(-(2**62) + 1, 2**62 - 1), st.sampled_from(list(UNITS)))
def test_instants_go_through_text_to_the_nanosecond(instant, unit):
    text = format(Decimal(instant) / UNITS[unit], "f")
    assert as_instant(text, unit) == instant
    assert as_instant(text.replace(".", ","), unit) == instant
    assert as_instant(Decimal(text), unit) == instant


@given(st.datetimes(min_value=datetime.datetime(1830, 1, 1), max_value=datetime.datetime(2110, 1, 1)))
def test_dates_are_what_numpy_takes_them_for(date):
    assert as_instant(date.isoformat(timespec="microseconds"), "s") == np.datetime64(date, "ns").astype(int)


@given(st.integers(-(2**63), 2**63 - 1), st.sampled_from(["", " ", "'", "\xa0", "\u202f"]))
def test_whole_numbers_with_thousands_marks(number, mark):
    assert as_integer(f"{number:,}".replace(",", mark)) == number


def test_units_do_not_overlap():
    for value in (17.5, -1767225600, 5e9, "x", None, True):
        assert unit_of(value if not isinstance(value, float) else Decimal(value)) is None


def test_a_short_round_of_fuzzing(table):
    """Seeded; a long one was run by hand."""
    rng = random.Random(4)
    cases = [
        (SENSORS, {"columns": {"arrivals": 1, "peer": 2, "sequence": 3}, "unit": "ms", "format": "csv"}),
        (PLANETLAB, {"columns": SENT, "unit": "ns", "format": "csv"}),
        ("\n".join(map(json.dumps, ROWS)), {"columns": KEYS, "format": "jsonl"}),
    ]
    tokens = [b'"', b";", b",", b"\n", b"\0", b"\xff", b"-", b"1e99", b"\xa0", b"9" * 30, b"{", b"\t", b"#", b" "]
    for text, options in cases:
        for _ in range(200):
            mutated = bytearray(text.encode())
            for _ in range(rng.choice([1, 1, 3])):
                place = rng.randrange(len(mutated))
                mutated[place : place + rng.choice([0, 1, 9])] = rng.choice(tokens)
            path = table(bytes(mutated))
            for lenient in (False, True):
                try:
                    traces, refusal = import_trace(path, lenient=lenient, **options), ""
                except TraceError as error:
                    traces, refusal = [], str(error)
                assert traces or refusal.startswith(f"{path}:")
