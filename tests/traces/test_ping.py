"""Logs of ping, as Linux and macOS print them, whole and broken."""

import gzip
import hashlib
import re
import tracemalloc
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from accrual.traces import TraceError, import_trace, read_trace

RECORDED = Path(__file__).parents[3] / "shared" / "traces" / "ping"

LINUX = """\
PING host.example (192.0.2.1) 56(84) bytes of data.
[1767225600.123456] 64 bytes from host.example (192.0.2.1): icmp_seq=1 ttl=57 time=11.3 ms
[1767225601.124999] 64 bytes from host.example (192.0.2.1): icmp_seq=2 ttl=57 time=104 ms
[1767225603.100001] no answer yet for icmp_seq=3
[1767225604.100002] no answer yet for icmp_seq=4
[1767225604.200000] 64 bytes from host.example (192.0.2.1): icmp_seq=4 ttl=57 time=1098 ms
[1767225604.200000] 64 bytes from host.example (192.0.2.1): icmp_seq=4 ttl=57 time=1098 ms (DUP!)
[1767225605.131000] 64 bytes from host.example (192.0.2.1): icmp_seq=5 ttl=57 time=0.045 ms
From 198.51.100.7 icmp_seq=6 Destination Host Unreachable
ping: sendmsg: Network is unreachable
[1767225609.131000] 64 bytes from host.example (192.0.2.1): icmp_seq=9 ttl=57

--- host.example ping statistics ---
9 packets transmitted, 5 received, +1 duplicates, +1 errors, 44.4444% packet loss, time 8013ms
rtt min/avg/max/mdev = 0.045/302.669/1098.000/459.873 ms, pipe 2
"""

MACOS = """\
PING host.example (192.0.2.1): 56 data bytes
64 bytes from 192.0.2.1: icmp_seq=0 ttl=115 time=12.103 ms
Request timeout for icmp_seq 1
Request timeout for icmp_seq 2
64 bytes from 192.0.2.1: icmp_seq=2 ttl=115 time=2010.500 ms
64 bytes from 192.0.2.1: icmp_seq=1 ttl=115 time=3005.000 ms
64 bytes from 192.0.2.1: icmp_seq=4 ttl=115 time=-3.250 ms
92 bytes from 198.51.100.7: Destination Host Unreachable
Vr HL TOS  Len   ID Flg  off TTL Pro  cks      Src      Dst
 4  5  00 5400 6f59   0 0000  3f  01 5bfc 192.0.2.9  192.0.2.1 

ping: sendto: No route to host
64 bytes from 192.0.2.1: icmp_seq=6 ttl=115 time=10.000 ms (DUP!)
^C
--- host.example ping statistics ---
7 packets transmitted, 5 packets received, 28.6% packet loss
round-trip min/avg/max/stddev = -3.250/1006.871/3005.000/1227.2 ms
"""  # noqa: W291  # the quoted header does end in a blank

MACOS_ARRIVALS = [12_103_000, 4_010_500_000, 4_010_500_000, 4_010_500_000, 6_010_000_000]

BANNERS = """\

============================
PING STARTED host.example
↓
Fri May 10 13:06:54 IST 2024
============================

2024-05-10 13:06:54 | PING host.example (192.0.2.1): 56 data bytes
2024-05-10 13:06:54 | 64 bytes from 192.0.2.1: icmp_seq=0 ttl=115 time=12.103 ms
2024-05-10 13:06:56 | Request timeout for icmp_seq 1

============================
PING STOPPED host.example
↓
Fri May 10 14:13:00 IST 2024
============================


============================
PING STARTED unreachable.example
room 12
Fri May 10 14:13:13 IST 2024
============================

ping: cannot resolve unreachable.example: Unknown host

============================
PING STARTED 192.0.2.2
Fri May 10 15:00:00 IST 2024
============================

PING 192.0.2.2 (192.0.2.2): 56 data bytes
64 bytes from 192.0.2.2: icmp_seq=0 ttl=115 time=0.500 ms
64 bytes from 192.0.2.2: icmp_seq=1 ttl=115 time=0.500 ms
"""


@pytest.fixture
def log(tmp_path):
    """Write a log and return its path."""

    def write(content, name="ping.log"):
        path = tmp_path / name
        path.write_bytes(content.encode() if isinstance(content, str) else content)
        return path

    return write


def replies(numbers, form="64 bytes from 192.0.2.1: icmp_seq={} ttl=64 time=0.5 ms\n"):
    return "".join(map(form.format, numbers))


def attempt(path, lenient):
    """Import and return the traces, or why there are none."""
    try:
        return import_trace(path, format="ping", lenient=lenient), ""
    except TraceError as error:
        return [], str(error)


def test_linux_with_times_in_front(log):
    path = log(LINUX)
    [trace] = import_trace(path)
    assert trace.arrivals.tolist() == [
        1767225600_123456000,
        1767225601_124999000,
        1767225604_200000000,
        1767225604_200000000,
        1767225605_131000000,
        1767225609_131000000,
    ]
    assert trace.sequence.tolist() == [1, 2, 4, 4, 5, 9]
    assert trace.sent is None
    assert trace.period == 1.001  # 0.931, 4 / 4, 1.001543, 3.075001 / 2
    assert trace.about == {
        "source": "ping.log",
        "format": "ping",
        "sha256": hashlib.sha256(path.read_bytes()).hexdigest(),
        "session": 1,
        "target": "host.example",
        "timeouts": 3,
        "clock": "unix",
        "period_from": "the median interval",
    }


def test_macos_and_linux_without_times(log):
    path = log(MACOS)
    [trace] = import_trace(path)
    assert trace.sequence.tolist() == [0, 2, 1, 4, 6]
    assert trace.sent.tolist() == [0, 2 * 10**9, 10**9, 4 * 10**9, 6 * 10**9]
    assert trace.arrivals.tolist() == MACOS_ARRIVALS
    assert trace.period == 1.0
    assert trace.about["timeouts"] == 2
    assert (trace.about["clock"], trace.about["period_from"]) == ("synthetic", "ping's default")

    [linux] = import_trace(log(re.sub(r"^\[.*?\] |.*ttl=57\n", "", LINUX, flags=re.M)))
    assert linux.sent.tolist() == [10**9, 2 * 10**9, 4 * 10**9, 4 * 10**9, 5 * 10**9]
    assert (linux.arrivals - linux.sent).tolist() == [11_300_000, 104_000_000, 1_098_000_000, 1_098_000_000, 98_000_000]


def test_sessions_begin_at_banners_and_at_headers_but_not_twice(log):
    first, empty, last = import_trace(log(BANNERS))
    assert [len(first), len(empty), len(last)] == [1, 0, 2]
    assert [t.about["session"] for t in (first, empty, last)] == [1, 2, 3]
    assert [t.about["target"] for t in (first, empty, last)] == ["host.example", "unreachable.example", "192.0.2.2"]
    assert [t.about["started"][11:19] for t in (first, empty, last)] == ["13:06:54", "14:13:13", "15:00:00"]
    assert first.arrivals.tolist() == [12_103_000]
    assert "clock" not in empty.about

    assert [len(t) for t in import_trace(log(LINUX + MACOS + LINUX))] == [6, 5, 6]
    assert [len(t) for t in import_trace(log("PING a (192.0.2.1): 56 data bytes\n" * 2))] == [0, 0]


def test_a_ping_of_many_has_answers_of_many(log):
    others = replies([1], "64 bytes from 192.0.2.7: icmp_seq={} ttl=64 time=0.7 ms (DUP!)\n")
    [trace] = import_trace(log(replies([1]) + others + replies([2])))
    assert trace.sequence.tolist() == [1, 1, 2]


def test_a_log_without_a_header_is_one_session(log):
    [trace] = import_trace(log(replies([7, 8])))
    assert trace.about["target"] == "192.0.2.1"
    assert trace.sequence.tolist() == [7, 8]


@pytest.mark.parametrize(
    ("printed", "meant"),
    [
        ([65534, 65535, 0, 1], [65534, 65535, 65536, 65537]),
        ([65535, 1, 0, 65534, 2], [65535, 65537, 65536, 65534, 65538]),  # late ones from both sides of the wrap
        ([3, 2, 65535, 4], [3, 2, -1, 4]),
        ([10, 10 + 40_000, 20], [10, 40_010, 65_556]),  # an outage of 11 h, then one of 7 h
        (list(range(0, 65536, 2**14)) * 3, list(range(0, 3 * 65536, 2**14))),
    ],
)
def test_sequence_numbers_go_on_where_16_bits_end(log, printed, meant):
    [trace] = import_trace(log(replies(printed)))
    assert trace.sequence.tolist() == meant
    assert trace.sent.tolist() == [k * 10**9 for k in meant]


def test_losses_carry_sequence_numbers_across_the_wrap(log):
    """Reported losses bridge more than 16 bits; macOS does not wrap their numbers, Linux does."""
    for form in ("Request timeout for icmp_seq {}\n", "no answer yet for icmp_seq={}\n"):
        wrap = 65536 if "no answer" in form else 2**40
        losses = "".join(form.format(k % wrap) for k in range(6, 150_000, 1000))
        [trace] = import_trace(log(replies([5]) + losses + replies([150_000 % 65536])))
        assert trace.sequence.tolist() == [5, 150_000]
        assert trace.about["timeouts"] == 150


def test_a_fractional_second_never_passes_through_a_float(log):
    [trace] = import_trace(log("[1767225600.123456789] 64 bytes from a: icmp_seq=1 ttl=64 time=1 ms\n"))
    assert trace.arrivals.tolist() == [1767225600_123456789]


@pytest.mark.parametrize(
    "line",
    [
        "64 bytes from 192.0.2.1: seq=0 ttl=64 time=0.5 ms",  # BusyBox
        "64 bytes from 192.0.2.1: icmp_req=0 ttl=64 time=0.5 ms",  # iputils before 2012
        "64 bytes from host.example (2001:db8::1): icmp_seq=0 ttl=64 time=0.500 ms",
        "64 bytes from 2001:db8::1%eth0: icmp_seq=0 hlim=64 time=0.5 ms",
        "16 bytes from fe80::1%en0, icmp_seq=0 hlim=64 time=0.500 ms",  # macOS ping6
        "64 bytes from 192.0.2.1: icmp_seq=0 ttl=64 time=0,5 ms (DUP!) (DIFFERENT ADDRESS!)",
        "64 bytes from 192.0.2.1: icmp_seq=0 ident=7 ttl=64 time=0.5 ms\r",
    ],
)
def test_replies_of_many_pings(log, line):
    [trace] = import_trace(log(line + "\n"))
    assert (trace.sequence.tolist(), trace.arrivals.tolist()) == ([0], [500_000])


@pytest.mark.parametrize(
    "line",
    [
        "PING 192.0.2.1 (192.0.2.1) from 192.0.2.9 eth0: 56(84) bytes of data.",
        "PING host.example(host.example (2001:db8::1)) 56 data bytes",
        "PING6(56=40+8+8 bytes) 2001:db8::9 --> 2001:db8::1",
    ],
)
def test_headers_of_many_pings(log, line):
    [first, second] = import_trace(log(replies([1]) + line + "\n" + replies([1, 2])))
    assert (len(first), len(second)) == (1, 2)
    assert second.about["target"] in line


def test_what_ping_says_beside_replies_is_no_heartbeat_and_no_error(log):
    lines = [
        "64 bytes from 192.0.2.1: icmp_seq=2 ttl=64 time=0.5 ms (BAD CHECKSUM!)",
        "From 192.0.2.1: icmp_seq=2 Redirect Host(New nexthop: 192.0.2.7)",
        "36 bytes from 192.0.2.1: Time to live exceeded",
        "ping: Warning: time of day goes back (-3 s), taking countermeasures",
        "Warning: time of day goes back (-4us), taking countermeasures.",
        "wrong total length 92 instead of 84",
        "PATTERN: 0xff",
        "\r3/3 packets, 0% loss, min/avg/ewma/max = 0.031/0.035/0.033/0.042 ms",
        "pipe 4",
        "^C--- 192.0.2.1 ping statistics ---",
    ]
    [trace] = import_trace(log(replies([1]) + "\n".join(lines) + "\n" + replies([3])))
    assert trace.sequence.tolist() == [1, 3]


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("hello", r"expected lines of ping, such as '64 bytes .*'; got 'hello'$"),
        ("64 Bytes von 192.0.2.1: icmp_seq=1 ttl=64 Zeit=0.5 ms", "expected lines of ping"),
        ("64 bytes from 192.0.2.1: icmp_seq=1 ttl=64", "a reply neither time= nor the time in front: "),
        ("[1.5] 64 bytes from a: icmp_seq=1 ttl=64 time=1 ms", "a reply with the time in front, unlike the replies"),
        ("64 bytes from 192.0.2.9: icmp_seq=1 ttl=64 time=1 ms", "a reply from 192.0.2.9 in a session of another host"),
        ("64 bytes from 192.0.2.1: icmp_seq=-1 ttl=64 time=1 ms", "expected lines of ping"),
        ("64 bytes from 192.0.2.1: icmp_seq=1 ttl=64 time=nan ms", "expected lines of ping"),
        ("64 bytes from 192.0.2.1: icmp_seq=1 ttl=64 time=1e3 ms", "expected lines of ping"),
        ("\0\0\0\x1b[2J", r"expected lines of ping, .*; got '\\x00\\x00\\x00\\x1b\[2J'$"),
        ("x" * 70_000, "a line longer than 64 KiB$"),
        ("PING STARTED", "expected lines of ping"),
    ],
)
def test_an_unknown_line_is_an_error_or_skipped(log, line, message):
    path = log(replies([0]) + line + "\n" + replies([2]))
    with pytest.raises(TraceError, match=f"^{path}:2: {message}"):
        import_trace(path)
    [trace] = import_trace(path, lenient=True)
    assert trace.sequence.tolist() == [0, 2]
    assert trace.about["skipped"] == 1


def test_skipped_lines_count_for_the_session_in_which_they_stand(log):
    path = log("?\n" + MACOS + "?\n?\n" + LINUX + "?\n" + MACOS)
    traces = import_trace(path, lenient=True)
    assert [t.about["skipped"] for t in traces] == [3, 1, 0]
    assert [len(t) for t in traces] == [5, 6, 5]
    assert [t.about["skipped"] for t in import_trace(log(MACOS), lenient=True)] == [0]


def test_an_instant_beyond_all_clocks_is_an_error(log):
    path = log(replies([1], "[9999999999.0] 64 bytes from 192.0.2.1: icmp_seq={} ttl=64 time=1 ms\n"))
    with pytest.raises(TraceError, match=f"^{path}:1: a reply more than 146 years away"):
        import_trace(path)
    assert len(import_trace(path, lenient=True)[0]) == 0


@pytest.mark.parametrize("text", [LINUX, MACOS, BANNERS], ids=["linux", "macos", "banners"])
def test_a_log_may_end_anywhere(log, text):
    """Cut at every byte: what is told apart from a whole log is an error there, what is not has lost no number."""
    known = {tuple(row) for t in import_trace(log(text)) for row in np.c_[t.arrivals, t.sequence].tolist()}
    for end in range(1, len(text)):
        path = log(text[:end])
        last = text[:end].count("\n") + 1
        for lenient in (False, True):
            traces, refusal = attempt(path, lenient)
            assert not refusal or refusal.startswith((f"{path}:{last}: the last line is cut: ", f"{path}: no session"))
            assert {tuple(row) for t in traces for row in np.c_[t.arrivals, t.sequence].tolist()} <= known


def test_a_pasted_log_without_a_last_newline_is_whole(log):
    assert len(import_trace(log(replies([1, 2]).rstrip("\n")))[0]) == 2


@pytest.mark.parametrize("text", [LINUX, MACOS, BANNERS], ids=["linux", "macos", "banners"])
def test_gzip_is_recognised_by_its_bytes(log, text):
    plain = import_trace(log(text))
    packed = import_trace(log(gzip.compress(text.encode()), "ping.txt"))
    assert [t.arrivals.tolist() for t in plain] == [t.arrivals.tolist() for t in packed]
    assert plain[0].about["sha256"] != packed[0].about["sha256"]


def test_truncated_and_damaged_gzip(log):
    rng = np.random.default_rng(4)
    lines = (f"64 bytes from a: icmp_seq={k} ttl=64 time={rng.random():.6f} ms\n" for k in range(9999))
    whole = gzip.compress("".join(lines).encode())
    middle = len(whole) // 2
    for damaged in (whole[:-1], whole[:middle], whole[:middle] + bytes([whole[middle] ^ 255]) + whole[middle + 1 :]):
        path = log(damaged)
        with pytest.raises(TraceError, match=rf"^{path}:\d+: (damaged gzip data|expected lines of ping)"):
            import_trace(path)
        [trace] = import_trace(path, lenient=True)
        assert trace.about["truncated"] is True
        assert len(trace) > 4000
        assert (np.diff(trace.arrivals) >= 0).all()
    with pytest.raises(TraceError, match="damaged gzip data"):
        import_trace(log(whole[:12]))


@pytest.mark.parametrize("content", ["", gzip.compress(b"")], ids=["plain", "gzip"])
def test_an_empty_file(log, content):
    for format_ in (None, "ping"):
        with pytest.raises(TraceError, match=r"the file is empty$"):
            import_trace(log(content), format=format_)


def test_a_file_of_something_else(log):
    for content in (bytes(range(256)) * 500, "hello\n" * 3, "\n\n", "\x1f"):
        path = log(content)
        with pytest.raises(TraceError, match=f"^{path}: no trace: expected Parquet, CSV .*, or a log of ping$"):
            import_trace(path)
        for lenient in (False, True):
            with pytest.raises(TraceError, match=f"^{path}:"):
                import_trace(path, format="ping", lenient=lenient)


def test_a_line_without_end_does_not_fill_the_memory(log):
    packed = gzip.compress(replies([1]).encode() + b"(" * 2**26 + b"\n" + replies([2]).encode(), compresslevel=1)
    path = log(packed)
    tracemalloc.start()
    try:
        [trace] = import_trace(path, lenient=True)
        assert tracemalloc.get_traced_memory()[1] < 8e6
    finally:
        tracemalloc.stop()
    assert trace.sequence.tolist() == [1, 2]


@pytest.mark.parametrize("start", ["PING ", "64 bytes from ", "92 bytes from a: ", "From ", "[1.1] ", "--- ", " 4 5 "])
@pytest.mark.parametrize("filler", ["(", " (", "a:", " ", "icmp_seq=", "a "])
def test_no_line_takes_the_patterns_long(log, start, filler):
    """A pattern that looked for its end from every byte would take minutes here."""
    long = (start + filler * 65_000)[:65_000]
    assert import_trace(log(replies([1]) + f"{long}!\n" * 20), lenient=True)


def test_a_log_is_imported_and_not_read(log):
    with pytest.raises(TraceError, match="use import_trace"):
        read_trace(log(MACOS))
    with pytest.raises(ValueError, match=r"^format must be one of parquet, .*, ping, .*, is 'xml'$"):
        import_trace(log(MACOS), format="xml")
    with pytest.raises(FileNotFoundError):
        import_trace("nowhere.log")


def test_what_was_imported_can_be_kept(log, tmp_path):
    [trace] = import_trace(log(MACOS))
    trace.write(tmp_path / "ping.csv")
    assert import_trace(tmp_path / "ping.csv") == [trace]


@given(st.lists(st.sampled_from((LINUX + MACOS + BANNERS).splitlines(keepends=True)) | st.text("[]0159.: =\n-ms\x00é")))
@settings(max_examples=200)
def test_any_mixture_of_lines_imports_or_says_why_not(tmp_path_factory, lines):
    path = tmp_path_factory.mktemp("mixture") / "ping.log"
    path.write_text("".join(lines), encoding="utf-8")
    for lenient in (False, True):
        traces, refusal = attempt(path, lenient)
        assert traces or refusal.startswith(f"{path}:")


@pytest.mark.skipif(not RECORDED.is_dir(), reason="the recordings of others are not part of the repository")
@pytest.mark.parametrize("path", sorted(RECORDED.glob("*")), ids=lambda path: path.name)
def test_recorded_logs_have_as_many_heartbeats_as_replies(path):
    raw = path.read_bytes()
    text = (gzip.decompress(raw) if raw[:2] == b"\x1f\x8b" else raw).decode()
    traces = import_trace(path)
    assert len(traces) == text.count("PING STARTED")
    assert sum(map(len, traces)) == text.count(" bytes from ")
    assert sum(t.about["timeouts"] for t in traces) == text.count("Request timeout")
    for trace, session in zip(traces, text.split("PING STARTED")[1:], strict=True):
        assert trace.sequence.tolist() == [int(k) for k in re.findall(r"icmp_seq=(\d+)", session)]
        assert (np.diff(trace.arrivals) >= 0).all()
        assert np.diff(trace.arrivals).max() < 17e9
        assert trace.about["started"] in session
