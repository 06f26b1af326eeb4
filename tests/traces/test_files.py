"""How files are packed, how much memory they may take, and what room there is for new ones."""

import bz2
import gzip
import json
import lzma
import os
import resource
import subprocess
import sys
import zlib

import captures
import numpy as np
import pytest

from accrual.traces import Trace, TraceError, import_trace, read_trace
from accrual.traces.files import MAX_LINE, Lines

PING = "".join(f"64 bytes from 192.0.2.1: icmp_seq={k} ttl=64 time=0.5 ms\n" for k in range(3000)).encode()
HUNDRED = b"".join(PING.splitlines(keepends=True)[:100])
CAPTURE = captures.pcap([(k * 10**9, captures.ethernet(captures.udp(b"x"))) for k in range(3000)])


@pytest.fixture
def file(tmp_path):
    """Write a file and return its path."""

    def write(content):
        path = tmp_path / "log.txt"
        path.write_bytes(content)
        return path

    return write


@pytest.mark.parametrize(
    "packed",
    [
        gzip.compress(PING),
        gzip.compress(PING[:40_000]) + gzip.compress(PING[40_000:]),
        lzma.compress(PING),
        lzma.compress(PING[:40_000]) + bytes(8) + lzma.compress(PING[40_000:]) + bytes(200_000),
        lzma.compress(PING, preset=9),
    ],
    ids=["gzip", "gzip of two", "xz", "xz of two, padded", "xz -9"],
)
def test_packed_files_are_read_as_plain_ones(file, packed):
    [plain] = import_trace(file(PING))
    [trace] = import_trace(file(packed))
    assert trace.arrivals.tolist() == plain.arrivals.tolist()
    assert trace.about["sha256"] != plain.about["sha256"]


def test_packed_captures(file):
    for pack in (gzip.compress, lzma.compress):
        [trace] = import_trace(file(pack(CAPTURE)), filter="udp")
        assert len(trace) == 3000


@pytest.mark.parametrize("pack", [gzip.compress, lzma.compress])
@pytest.mark.parametrize("content", [PING, CAPTURE], ids=["ping", "pcap"])
def test_damaged_packed_files(file, pack, content):
    noise = np.random.default_rng(3).integers(0, 10**6, 20_000)
    if content is PING:
        content = "".join(f"64 bytes from a: icmp_seq={k} ttl=64 time={n} ms\n" for k, n in enumerate(noise)).encode()
        options = {}
    else:
        content = captures.pcap([(int(n), captures.ethernet(captures.udp(b"x"))) for n in noise], unit=1)
        options = {"filter": "udp"}
    whole = pack(content)
    middle = len(whole) // 2
    flipped = whole[:middle] + bytes([whole[middle] ^ 255]) + whole[middle + 1 :]
    for damaged in (whole[:-1], whole[:middle], flipped):
        path = file(damaged)
        with pytest.raises(TraceError, match=rf"^{path}:"):
            import_trace(path, **options)
        [trace] = import_trace(path, lenient=True, **options)
        assert trace.about["truncated"] is True
        assert 0 < len(trace) <= 20_000


def test_an_xz_file_that_asks_for_too_much_memory(file):
    data = bytearray(lzma.compress(PING))
    assert data[12:16] == b"\x02\x00\x21\x01"  # the header of a block: one filter, LZMA2, with one byte of properties
    data[16] = 40  # a dictionary of 4 GiB
    data[20:24] = zlib.crc32(data[12:20]).to_bytes(4, "little")
    with pytest.raises(TraceError, match=r"damaged xz data: Memory usage limit exceeded"):
        import_trace(file(data))


@pytest.mark.skipif(sys.version_info >= (3, 14), reason="it can")
def test_zstd_says_what_it_needs(file):
    path = file(b"\x28\xb5\x2f\xfd" + bytes(100))
    with pytest.raises(TraceError, match=f"^{path}: zstd data need Python 3.14 or newer: unpack them first$"):
        import_trace(path)


def test_what_is_packed_otherwise_is_no_trace(file):
    with pytest.raises(TraceError, match="no trace: expected "):
        import_trace(file(bz2.compress(PING)))


def test_marks_of_byte_order(file):
    assert len(import_trace(file(b"\xef\xbb\xbf" + PING))[0]) == 3000
    for encoding in ("utf-16-le", "utf-16-be"):
        path = file("\ufeff".encode(encoding) + PING.decode().encode(encoding))
        for options in ({}, {"format": "ping"}, {"format": "ping", "lenient": True}):
            with pytest.raises(TraceError, match=rf"^{path}:(1:)? UTF-16 text, expected UTF-8"):
                import_trace(path, **options)


def test_lines_are_numbered_and_bounded(file):
    path = file(b"a\n" + b"b" * MAX_LINE + b"\n" + b"c" * (MAX_LINE - 1) + b"\nd")
    with Lines(path, lenient=True) as lines:
        assert [(lines.number, len(line)) for line in lines] == [(1, 2), (3, MAX_LINE), (4, 1)]
        assert lines.skipped == 1


# ---- memory ----

MEASURE = """
import json, resource, sys
import accrual as ac
peak = lambda: resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
before = peak()
said = ""
try:
    for lenient in (False, True):
        try:
            said = str(len(ac.import_trace(sys.argv[1], sys.argv[2], lenient, **json.loads(sys.argv[3]))[0]))
        except ac.TraceError as error:
            said = str(error)
finally:
    print(peak() - before, said)
"""
TABLE = {"columns": {"arrivals": "t"}, "unit": "s"}
BOMBS = {
    "a line for ping": ("ping", HUNDRED + b"64 bytes from ", b"\n" + HUNDRED, {}, "200"),
    "a line of csv": ("csv", b"arrival_ns\n1\n", b"\n2\n", {}, "2"),
    "a row": ("csv", b"t,n\n1,1\n", b"\n2,2\n", TABLE, "2"),
    "a line of JSON": ("jsonl", b'{"t":1}\n{"t":', b'}\n{"t":2}\n', TABLE, "2"),
    "a string in an array": ("jsonl", b'[{"t":1},{"t":"', b'"},{"t":2}]', TABLE, "2"),
    "nothing but an array": ("jsonl", b'[{"t":1},', b"", TABLE, "1"),
    "a capture": ("pcap", CAPTURE, b"", {"filter": "udp"}, "3000"),
    "a block of pcapng": (
        "pcap",
        captures.pcapng([(5, captures.ethernet(captures.udp(b"x")))]) + b"\5\0\0\0\0\0\0\x7f",
        b"",
        {"filter": "udp"},
        "1",
    ),
}


@pytest.mark.parametrize("name", BOMBS)
def test_a_bomb_does_not_fill_the_memory(file, name):
    """256 MiB of it; the peak beyond the imported package stays at a few MiB, and what stands round it is read."""
    format_, before, after, options, heartbeats = BOMBS[name]
    filler = b"(" if format_ == "ping" else b"\xff" if format_ == "pcap" else b"1"
    part = gzip.compress(filler * 2**24)
    path = file(gzip.compress(before) + part * 16 + gzip.compress(after))
    command = [sys.executable, "-c", MEASURE, str(path), format_, json.dumps(options)]
    peak, said = subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip().split(" ", 1)
    assert said == heartbeats
    assert int(peak) < 32 * 1024, "KiB"


def test_many_sessions_do_not_fill_the_memory(file):
    for text in ("PING a (192.0.2.1): 56 data bytes\n", "PING STARTED a\n"):
        path = file(text.encode() * 65_537)
        for lenient in (False, True):
            with pytest.raises(TraceError, match=f"^{path}:65537: more than 65,536 sessions"):
                import_trace(path, format="ping", lenient=lenient)


# ---- writing ----


@pytest.mark.parametrize("name", ["out.csv", "out.csv.gz", "out.parquet"])
def test_a_disk_that_is_full_leaves_nothing(tmp_path, name):
    """The bound on a file's size stands in for the disk's: the write fails in the middle, as there."""
    trace = Trace(np.random.default_rng(1).integers(0, 2**60, 200_000))
    if name.endswith("parquet"):
        pytest.importorskip("pyarrow", reason="pip install accrual[traces]")
    Trace([1]).write(tmp_path / name)
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, before[1]))
    try:
        with pytest.raises(OSError, match=f"File too large: '{tmp_path / name}'"):
            trace.write(tmp_path / name)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert os.listdir(tmp_path) == [name]
    assert read_trace(tmp_path / name) == Trace([1])
