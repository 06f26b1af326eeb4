"""Captures: every byte order, resolution and kind of network, whole and broken; other readers as oracles."""

import gzip
import io
import itertools
import re
import struct
from fractions import Fraction

import captures
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from accrual.traces import TraceError, import_trace
from accrual.traces.pcap import Filter
from accrual.traces.wire import SIZE, Heartbeat, encode

NS = 10**9
START = 1767225600 * NS + 123_456_789
SENT = [Heartbeat(epoch=7, sequence=k, sent=5_000 * NS + k * NS // 10, period=NS // 10) for k in range(6)]
TIMES = [START + k * NS // 10 + k**3 for k in range(6)]
BEATS = [(time, captures.ethernet(captures.udp(encode(beat)))) for time, beat in zip(TIMES, SENT, strict=True)]


@pytest.fixture
def capture(tmp_path):
    """Write a capture and return its path."""

    def write(content):
        path = tmp_path / "beats.pcap"
        path.write_bytes(content)
        return path

    return write


def attempt(path, **options):
    """Import and return the traces, or why there are none."""
    try:
        return import_trace(path, format="pcap", **options), ""
    except TraceError as error:
        return [], str(error)


def imported(path, **options):
    [trace] = import_trace(path, **options)
    return trace


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("unit", [1_000, 1])
@pytest.mark.parametrize("packing", [bytes, gzip.compress], ids=["plain", "gzip"])
def test_heartbeats_of_accrual(capture, order, unit, packing):
    trace = imported(capture(packing(captures.pcap(BEATS, order, unit))))
    assert trace.arrivals.tolist() == [time // unit * unit for time in TIMES]
    assert trace.sequence.tolist() == list(range(6))
    assert trace.sent_remote.tolist() == [beat.sent for beat in SENT]
    assert trace.epoch.tolist() == [7] * 6
    assert trace.sent is None
    assert trace.period == 0.1
    assert (trace.about["format"], trace.about["clock"]) == ("pcap", "unix")
    assert trace.about["peer"] == "udp 192.0.2.1:5000 > 192.0.2.2:7007"


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("resolution", [6, 9])
def test_pcapng(capture, order, resolution):
    trace = imported(capture(captures.pcapng(BEATS, order, resolution=resolution)))
    unit = 10 ** (9 - resolution)
    assert trace.arrivals.tolist() == [time // unit * unit for time in TIMES]
    assert trace.sequence.tolist() == list(range(6))


def test_each_interface_and_section_of_pcapng_has_its_own_clock_and_network(capture):
    packet = captures.udp(b"x")
    content = (
        captures.section()
        + captures.interface(1, None)  # microseconds, where nothing is said
        + captures.interface(101, 0x80 | 10, offset=-5)  # 1/1024 s, five seconds less
        + captures.interface(113, 3)
        + captures.block(5, b"statistics..")
        + captures.enhanced(7_000_001, captures.ethernet(packet), 0)
        + captures.enhanced(15 * 1024 + 512, packet, 1)
        + captures.enhanced(11_500, captures.cooked(packet), 2)
        + captures.section(">")
        + captures.interface(276, 12, order=">")
        + captures.enhanced(12 * 10**12 + 1_999, captures.cooked2(packet), 0, order=">")
    )
    trace = imported(capture(content), filter="udp")
    assert trace.arrivals.tolist() == [7_000_001_000, 10_500_000_000, 11_500_000_000, 12_000_000_001]


V6 = {"source": "2001:db8::1", "destination": "2001:db8::2"}


@pytest.mark.parametrize(
    ("link", "frame"),
    [
        (1, captures.ethernet),
        (1, lambda packet: captures.ethernet(packet, 0x8100)),
        (1, lambda packet: captures.ethernet(packet, 0x88A8, 0x8100)),
        (113, captures.cooked),
        (276, captures.cooked2),
        (101, bytes),
        (12, bytes),
        (0, lambda packet: b"\2\0\0\0" + packet),
        (0x10000001, captures.ethernet),  # with the length of a checksum in the upper bits
    ],
)
@pytest.mark.parametrize("ends", [{}, V6], ids=["v4", "v6"])
def test_networks(capture, link, frame, ends):
    path = capture(captures.pcap([(START, frame(captures.udp(encode(SENT[3]), **ends)))], unit=1, link=link))
    trace = imported(path)
    assert (trace.arrivals.tolist(), trace.sequence.tolist()) == ([START], [3])
    if ends:
        assert trace.about["peer"] == "udp [2001:db8::1]:5000 > [2001:db8::2]:7007"


def test_options_extensions_and_fragments(capture):
    datagram = struct.pack("!HHHH", 5000, 7007, 8 + SIZE, 0) + encode(SENT[0])
    hop = bytes([43, 0]) + bytes(6)  # hop by hop, then routing, then a first fragment, then UDP
    routing = bytes([44, 1]) + bytes(14)
    fragment = bytes([17, 0, 0, 1]) + bytes(4)
    later = bytes([17, 0, 0, 9]) + bytes(4)
    frames = [
        captures.ip(17, datagram, options=b"\1" * 8),
        captures.ip(17, datagram, fragment=0x2000),
        captures.ip(17, datagram, fragment=5),  # not the first of its fragments: no header is in it
        captures.ip(0, hop + routing + fragment + datagram, **V6),
        captures.ip(44, later + datagram, **V6),
    ]
    path = capture(captures.pcap([(k * NS, captures.ethernet(frame)) for k, frame in enumerate(frames)]))
    assert [trace.arrivals.tolist() for trace in import_trace(path)] == [[0, NS], [3 * NS]]


def test_the_padding_of_short_frames_is_no_payload(capture):
    short = captures.ethernet(captures.udp(b"hi"))
    assert len(short) == 60
    with pytest.raises(TraceError, match=r"choose by a filter of udp 192.0.2.1:5000 > 192.0.2.2:7007 \(1\)$"):
        import_trace(capture(captures.pcap([(START, short)])))


def test_two_peers_and_a_restart_are_traces_of_their_own(capture):
    pairs = [(5000, 7), (5001, 8), (5000, 7), (6000, 9), (5001, 8)]
    counts = {}
    packets = []
    for k, (port, epoch) in enumerate(pairs):
        number = counts[port] = counts.get(port, -1) + 1
        beat = encode(Heartbeat(epoch, number, k, NS))
        packets.append((k * NS, captures.ethernet(captures.udp(beat, sport=port))))
    traces = import_trace(capture(captures.pcap(packets)))
    assert [trace.arrivals.tolist() for trace in traces] == [[0, 2 * NS], [NS, 4 * NS], [3 * NS]]
    assert [trace.about["session"] for trace in traces] == [1, 2, 3]


def test_an_order_that_no_clock_should_give_is_kept(capture):
    numbers = [0, 2, 1, 1, 3]
    times = [5, 4, 4, 9, 8]
    packets = [(t * NS, captures.ethernet(captures.udp(encode(SENT[k])))) for t, k in zip(times, numbers, strict=True)]
    trace = imported(capture(captures.pcap(packets)))
    assert trace.arrivals.tolist() == [t * NS for t in times]
    assert trace.sequence.tolist() == numbers


@pytest.mark.parametrize(
    ("text", "chosen"),
    [
        ("udp", [0, 1, 2, 4]),
        ("tcp", [3]),
        ("icmp", [5]),
        ("host 192.0.2.9", [1, 2]),
        ("src host 192.0.2.9", [1]),
        ("dst host 192.0.2.9", [2]),
        ("src host 2001:db8:0::1", [4]),
        ("port 7007", [0, 1, 3, 4]),
        ("src port 7007", []),
        ("dst port 9 and  UDP", [2]),
        ("udp and src host 192.0.2.1 and dst port 7007", [0]),
        ("udp and tcp", None),
        ("", None),
        ("udp or tcp", None),
        ("src host example.org", None),
        ("host 192.0.2.300", None),
        ("port http", None),
        ("src 192.0.2.1", None),
        ("udp and", None),
        ("port -1", None),
        ("port ²", None),
    ],
)
def test_filters(capture, text, chosen):
    frames = [
        captures.udp(b"x"),
        captures.udp(b"x", source="192.0.2.9"),
        captures.udp(b"x", destination="192.0.2.9", dport=9),
        captures.ip(6, struct.pack("!HH16x", 5000, 7007)),
        captures.udp(b"x", **V6),
        captures.ip(1, b"\0" * 8),
    ]
    path = capture(captures.pcap([(k, captures.ethernet(frame)) for k, frame in enumerate(frames)], unit=1))
    if chosen is None:
        with pytest.raises(ValueError, match=r"^filter: .* is none of udp, tcp, ") as refusal:
            import_trace(path, filter=text)
        assert not isinstance(refusal.value, TraceError)
    elif not chosen:
        with pytest.raises(TraceError, match=f"^{path}: none of 6 packets passes the filter$"):
            import_trace(path, filter=text)
    else:
        assert sorted(t for trace in import_trace(path, filter=text) for t in trace.arrivals.tolist()) == chosen


def test_a_filter_that_chooses_others_takes_their_times(capture):
    path = capture(captures.pcap([(t, captures.ethernet(captures.udp(b"alive"))) for t in TIMES], unit=1))
    trace = imported(path, filter="dst port 7007")
    assert trace.arrivals.tolist() == TIMES
    assert trace.sequence is None
    assert trace.period == pytest.approx(0.1, abs=1e-6)
    assert trace.about["period_from"] == "the median interval"


@pytest.mark.parametrize("content", [captures.pcap(BEATS, unit=1), captures.pcapng(BEATS)], ids=["pcap", "pcapng"])
def test_a_capture_that_is_cut_anywhere_is_told_from_a_whole_one(capture, content):
    """What both libraries that read both formats do not."""
    whole = {len(captures.pcap(BEATS[:k], unit=1)) for k in range(7)} | {
        len(captures.pcapng(BEATS[:k])) for k in range(7)
    }
    for end in range(4, len(content)):
        path = capture(content[:end])
        if end in whole or (content[:4] == b"\n\r\r\n" and end == len(captures.section())):
            continue
        with pytest.raises(TraceError, match=rf"^{path}: (after packet \d: )?the capture is cut$"):
            import_trace(path, format="pcap")
        traces, refusal = attempt(path, lenient=True)
        assert traces or "no heartbeat of accrual's among 0 packets" in refusal
        for trace in traces:
            assert trace.about["truncated"] is True
            assert trace.arrivals.tolist() == TIMES[: len(trace)]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "the file is empty"),
        (captures.pcap([]), "no heartbeat of accrual's among 0 packets: choose by a filter"),
        (captures.section(), "no heartbeat of accrual's among 0 packets"),
        (captures.pcap(BEATS, version=3), "expected pcap of version 2, got 3"),
        (captures.pcap(BEATS, link=127), "packet 1: expected a capture of Ethernet, .*, got link type 127"),
        (captures.pcap(BEATS)[:24] + struct.pack("<IIII", 0, 0, 2**31, 2**31), "expected at most 262144 bytes"),
        (captures.pcap(BEATS)[:24] + struct.pack("<IIII", 0, 10**6, 0, 0), "packet 1: expected a fraction of a second"),
        (captures.section()[:8] + b"\1\2\3\4" + captures.section()[12:], "expected the byte order of a section"),
        (captures.section() + b"\6\0\0\0\x0b\0\0\0", "expected a block of pcapng, got one of 11 bytes"),
        (captures.section() + b"\6\0\0\0\0\0\0\x7f", "expected a block of pcapng, got one of 2130706432 bytes"),
        (captures.section() + captures.enhanced(0, b"x"), "packet 1: a packet of interface 0, of which there are 0"),
        (captures.section() + captures.interface() + captures.block(3, b"abcd"), "packet 1: a packet without a time"),
        (captures.section() + captures.block(1, b"abcd"), "an interface of pcapng in less than 8 bytes"),
        (
            captures.section() + captures.block(6, b"abcd"),
            "packet 1: expected a packet in a block of at least 20 bytes",
        ),
        (captures.section()[:-1] + b"\1", "a block of pcapng ends in another length than it begins"),
        (
            captures.section() + captures.interface(offset=2**62) + captures.enhanced(0, BEATS[0][1]),
            "packet 1: more than 146 years from 1970",
        ),
    ],
)
def test_what_is_no_capture_says_why(capture, content, message):
    path = capture(content)
    with pytest.raises(TraceError, match=rf"^{path}: {message}"):
        import_trace(path, format="pcap" if content else None)
    with pytest.raises(TraceError, match=f"^{path}: "):
        import_trace(path, lenient=True, format="pcap")


def test_damage_in_the_middle_ends_a_lenient_import(capture):
    packets = [*BEATS[:3], (START, b""), *BEATS[3:]]
    content = bytearray(captures.pcap(packets, unit=1))
    place = len(captures.pcap(BEATS[:3], unit=1))
    content[place + 8 : place + 12] = b"\xff\xff\xff\xff"
    path = capture(content)
    with pytest.raises(TraceError, match=rf"^{path}: after packet 3: expected at most"):
        import_trace(path)
    trace = imported(path, lenient=True)
    assert (len(trace), trace.about["truncated"], trace.about["skipped"]) == (3, True, 0)


@pytest.mark.parametrize("snaplen", [20, 40, 60, 81])
def test_a_snap_length_that_is_too_short(capture, snaplen):
    path = capture(captures.pcap(BEATS, snaplen=snaplen))
    message = "bytes were captured, too few for its headers" if snaplen < 42 else "a heartbeat of which only "
    with pytest.raises(TraceError, match=rf"^{path}: packet 1: .*{message}"):
        import_trace(path)
    with pytest.raises(TraceError, match=f"^{path}: no heartbeat"):
        import_trace(path, lenient=True)
    whole = BEATS[:2] + [(time, frame + b"") for time, frame in BEATS[2:]]
    mixed = captures.pcap(whole[:2]) + captures.pcap(BEATS[2:], snaplen=snaplen)[24:]
    trace = imported(capture(mixed), lenient=True)
    assert (len(trace), trace.about["skipped"]) == (2, 4)


def test_a_payload_that_was_not_captured_does_not_matter_where_only_times_count(capture):
    frames = [(t, captures.ethernet(captures.udp(b"alive" * 40))) for t in TIMES]
    assert len(imported(capture(captures.pcap(frames, snaplen=42)), filter="udp")) == 6


def test_another_datagram_among_heartbeats(capture):
    path = capture(captures.pcap([*BEATS[:2], (START, captures.ethernet(captures.udp(b"?"))), *BEATS[2:]]))
    assert len(imported(path)) == 6  # without a filter it is none of ours
    with pytest.raises(TraceError, match=rf"^{path}: packet 3: no heartbeat of accrual's, unlike those before it"):
        import_trace(path, filter="udp")
    trace = imported(path, filter="udp", lenient=True)
    assert (trace.sequence.tolist(), trace.about["skipped"]) == (list(range(6)), 1)


def test_other_packets_are_no_heartbeats_and_no_errors(capture):
    arp = b"\xff" * 12 + b"\x08\x06" + bytes(46)
    llc = b"\xff" * 12 + b"\x00\x26" + bytes(46)
    runt = captures.ethernet(captures.udp(b""))[:30]
    content = captures.pcap([(1, arp), (2, llc), *BEATS, (3, runt)])
    assert len(imported(capture(content))) == 6


def test_more_interfaces_than_there_can_be(capture):
    content = captures.section() + captures.interface() * 65_537
    with pytest.raises(TraceError, match="more than 65,536 interfaces"):
        import_trace(capture(content))


def test_options_that_are_of_no_use(capture):
    path = capture(captures.pcap(BEATS))
    for options in ({"columns": {"arrivals": "ts"}}, {"unit": "ms"}):
        with pytest.raises(ValueError, match=r"^columns and unit are for tables, .* is of format pcap$"):
            import_trace(path, **options)
    path.write_text("arrival_ns\n1\n")
    with pytest.raises(ValueError, match=r"^filter is for captures, .* is of format csv$"):
        import_trace(path, filter="udp")


FRAMES = st.lists(
    st.tuples(
        st.integers(0, 2**32 * NS - 1),
        st.binary(max_size=80).map(lambda data: captures.ethernet(captures.udp(data))),
    ),
    min_size=1,
    max_size=6,
)


@given(FRAMES, st.sampled_from("<>"), st.sampled_from([1_000, 1]))
@settings(max_examples=50)
def test_scapy_and_dpkt_see_the_same_packets(tmp_path_factory, packets, order, unit):
    scapy = pytest.importorskip("scapy.utils")
    dpkt = pytest.importorskip("dpkt")
    path = tmp_path_factory.mktemp("oracle") / "beats.pcap"
    for content, fields in (
        (captures.pcap(packets, order, unit), ("sec", "usec")),
        (captures.pcapng(packets, order, resolution=9 if unit == 1 else 6), ("tshigh", "tslow")),
    ):
        path.write_bytes(content)
        times = sorted(t for trace in import_trace(path, filter="udp") for t in trace.arrivals.tolist())
        reader = scapy.RawPcapReader(io.BytesIO(content))
        seen = [tuple(getattr(about, field) for field in fields) for _, about in reader]
        factors = (NS, unit) if fields[0] == "sec" else (2**32 * unit, unit)
        assert times == sorted(a * factors[0] + b * factors[1] for a, b in seen)
        opened = dpkt.pcap.UniversalReader(io.BytesIO(content))
        rounded = sorted(Fraction(time) * NS for time, _ in opened)
        assert all(abs(a - b) <= 300 for a, b in zip(times, rounded, strict=True))


def test_a_short_round_of_fuzzing(tmp_path):
    """Seeded; a long one was run by hand."""
    import random

    rng = random.Random(4)
    path = tmp_path / "beats.pcap"
    texts = [captures.pcap(BEATS, order, unit) for order, unit in itertools.product("<>", (1, 1_000))]
    texts += [captures.pcapng(BEATS, order) for order in "<>"]
    kinds = set()
    for _ in range(600):
        text = bytearray(rng.choice(texts))
        for _ in range(rng.choice([1, 1, 2, 5])):
            place = rng.randrange(len(text))
            text[place : place + rng.choice([0, 1, 4])] = rng.choice(
                [b"", b"\0", b"\xff\xff\xff\xff", rng.randbytes(1)]
            )
        path.write_bytes(text)
        for lenient in (False, True):
            traces, refusal = attempt(path, lenient=lenient, filter=rng.choice([None, "udp"]))
            assert traces or refusal.startswith(f"{path}: ")
            kinds.add(re.sub(r"\d+", "", refusal))
    assert len(kinds) > 10


def test_a_filter_by_itself():
    with pytest.raises(ValueError, match="names are not looked up"):
        Filter("host localhost")
