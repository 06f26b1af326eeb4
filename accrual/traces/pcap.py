"""Captures of tcpdump, Wireshark and others, pcap and pcapng: the packets that a filter selects are heartbeats.

The records are read here, in a hundred lines, after the libraries that read them were tried (November 2026): with dpkt
and scapy's raw readers a capture that is cut or damaged simply ends, which a strict reader has to tell from a whole
one; dpkt gives the times of pcapng as floats, 238 ns apart, by the clock of the first interface only; cypcap gives
floats, pcapy-ng microseconds; python-pcapng reads no pcap; and scapy is GPL-2.0 only. They serve the tests as oracles.
"""

from __future__ import annotations

import ipaddress
import os
import struct
from collections import Counter
from collections.abc import Iterator
from typing import BinaryIO, Final, NamedTuple

from accrual.traces import wire
from accrual.traces.files import MOST_PEERS, Source
from accrual.traces.gather import Peers, instants_inside
from accrual.traces.trace import Trace, TraceError

_PCAP: Final = {  # magic -> byte order, and ns in the unit of the fraction of a second
    b"\xd4\xc3\xb2\xa1": ("<", 1_000),
    b"\xa1\xb2\xc3\xd4": (">", 1_000),
    b"\x4d\x3c\xb2\xa1": ("<", 1),
    b"\xa1\xb2\x3c\x4d": (">", 1),
}
_PCAPNG: Final = b"\x0a\x0d\x0d\x0a"
_ORDERS: Final = {b"\x4d\x3c\x2b\x1a": "<", b"\x1a\x2b\x3c\x4d": ">"}

_LONGEST: Final = 262_144  # libpcap's bound on a captured packet [bytes]; a record that says more is damaged
_LONGEST_BLOCK: Final = 2**24  # of pcapng, where a comment or the keys of a capture may be long

_INTERFACE, _OLD_PACKET, _SIMPLE_PACKET, _PACKET = 1, 2, 3, 6

PROTOCOLS: Final = {"icmp": 1, "tcp": 6, "udp": 17, "icmp6": 58}
_NAMES: Final = {number: name for name, number in PROTOCOLS.items()}


def recognise(head: bytes) -> bool:
    """Tell a capture by its magic number."""
    return head[:4] in _PCAP or head[:4] == _PCAPNG


# ---- which packets ----


class Endpoint(NamedTuple):
    """An address and a port, 0 where the protocol has none."""

    address: bytes
    port: int

    def __str__(self) -> str:
        address = str(ipaddress.ip_address(self.address))
        return wire.format_address((address, self.port)) if self.port else address


class Flow(NamedTuple):
    """Who sends to whom."""

    protocol: int
    source: Endpoint
    destination: Endpoint

    def __str__(self) -> str:
        return f"{_NAMES.get(self.protocol, f'ip {self.protocol}')} {self.source} > {self.destination}"


class Filter:
    """A choice of packets, in a small part of tcpdump's language.

    Parameters
    ----------
    text : str
        Terms joined by ``and``: ``udp``, ``tcp``, ``icmp``, ``icmp6``; ``[src|dst] host ADDRESS``; ``[src|dst] port
        NUMBER``. Addresses are numeric: nothing is looked up.

    Raises
    ------
    ValueError
        Any other text.

    Examples
    --------
    >>> flow = Flow(17, Endpoint(bytes([192, 0, 2, 1]), 5000), Endpoint(bytes([192, 0, 2, 2]), 7007))
    >>> Filter("udp and src host 192.0.2.1 and port 7007").matches(flow)
    True
    >>> Filter("dst port 5000").matches(flow)
    False
    """

    def __init__(self, text: str) -> None:
        """Read the terms."""
        self._protocol: int | None = None
        self._terms: list[tuple[tuple[int, ...], int, bytes | int]] = []  # which ends, their address or port, its value
        for term in " ".join(text.lower().split()).split(" and "):
            match term.split():
                case [name] if name in PROTOCOLS and self._protocol in (None, PROTOCOLS[name]):
                    self._protocol = PROTOCOLS[name]
                case [*side, "host", address] if tuple(side) in _ENDS and (packed := _packed(address)):
                    self._terms.append((_ENDS[tuple(side)], 0, packed))
                case [*side, "port", port] if tuple(side) in _ENDS and port.isascii() and port.isdigit():
                    self._terms.append((_ENDS[tuple(side)], 1, int(port[:6])))
                case _:
                    raise ValueError(
                        f"filter: {term!r} is none of udp, tcp, icmp, icmp6, [src|dst] host ADDRESS and [src|dst] port "
                        "NUMBER, joined by 'and'; names are not looked up"
                    )

    def matches(self, flow: Flow) -> bool:
        """Whether a packet from there to there is chosen."""
        return self._protocol in (None, flow.protocol) and all(
            any(flow[end][part] == value for end in ends)  # type: ignore[index]
            for ends, part, value in self._terms
        )


_ENDS: Final[dict[tuple[str, ...], tuple[int, ...]]] = {("src",): (1,), ("dst",): (2,), (): (1, 2)}


def _packed(address: str) -> bytes | None:
    try:
        return ipaddress.ip_address(address).packed
    except ValueError:
        return None


# ---- records ----


class _Record(NamedTuple):
    """A packet as it was captured."""

    time: int  # ns since 1970
    link: int  # which kind of network
    data: bytes
    length: int  # on the wire


class _BrokenError(Exception):
    """A capture that cannot be read on from here."""


def _exactly(stream: BinaryIO, size: int) -> bytes:
    data = stream.read(size)
    if len(data) < size:
        raise _BrokenError("the capture is cut")
    return data


def _records(stream: BinaryIO) -> Iterator[_Record | str]:
    """Each packet, or what is wrong with it where one can read on."""
    magic = _exactly(stream, 4)
    if magic == _PCAPNG:
        yield from _pcapng(stream)
    elif magic in _PCAP:
        yield from _pcap(stream, *_PCAP[magic])
    else:
        raise _BrokenError("expected a capture, pcap or pcapng")


def _pcap(stream: BinaryIO, order: str, unit: int) -> Iterator[_Record | str]:
    major, link = struct.unpack(order + "H14xI", _exactly(stream, 20))
    if major != 2:
        raise _BrokenError(f"expected pcap of version 2, got {major}")
    record = struct.Struct(order + "IIII")
    while head := stream.read(record.size):
        if len(head) < record.size:
            raise _BrokenError("the capture is cut")
        seconds, fraction, captured, length = record.unpack(head)
        if captured > _LONGEST:
            raise _BrokenError(f"expected at most {_LONGEST} bytes in a packet, got {captured}: the capture is damaged")
        data = _exactly(stream, captured)
        if fraction * unit >= 1_000_000_000:
            yield f"expected a fraction of a second, got {fraction} x {unit} ns"
        else:
            # The upper half of the link type tells whether frames end in a checksum.
            yield _Record(seconds * 1_000_000_000 + fraction * unit, link & 0xFFFF, data, length)


class _Interface(NamedTuple):
    """Where packets of a pcapng were captured, and how their times count."""

    link: int
    ticks: int  # a second
    offset: int  # [s]


def _pcapng(stream: BinaryIO) -> Iterator[_Record | str]:
    kind = _PCAPNG
    order = "<"
    interfaces: list[_Interface] = []
    while True:
        size = _exactly(stream, 4)
        start = b""
        if kind == _PCAPNG:  # the same in either byte order, which its body tells
            start = _exactly(stream, 4)
            if start not in _ORDERS:
                raise _BrokenError("expected the byte order of a section of pcapng: the capture is damaged")
            order = _ORDERS[start]
            interfaces = []
        [length] = struct.unpack(order + "I", size)
        if length % 4 or not 12 + len(start) <= length <= _LONGEST_BLOCK:
            raise _BrokenError(f"expected a block of pcapng, got one of {length} bytes: the capture is damaged")
        body = _exactly(stream, length - 12 - len(start))
        if _exactly(stream, 4) != size:
            raise _BrokenError("a block of pcapng ends in another length than it begins: the capture is damaged")
        if kind != _PCAPNG:
            [number] = struct.unpack(order + "I", kind)
            if number == _INTERFACE:
                interfaces.append(_interface(body, order))
                if len(interfaces) > MOST_PEERS:
                    raise _BrokenError(f"more than {MOST_PEERS:,} interfaces")
            elif number == _SIMPLE_PACKET:
                yield "a packet without a time (a Simple Packet Block)"
            elif number in (_PACKET, _OLD_PACKET):
                yield _enhanced(body, order, "I" if number == _PACKET else "Hxx", interfaces)
        kind = stream.read(4)
        if not kind:
            return
        if len(kind) < 4:
            raise _BrokenError("the capture is cut")


def _interface(body: bytes, order: str) -> _Interface:
    if len(body) < 8:
        raise _BrokenError("an interface of pcapng in less than 8 bytes: the capture is damaged")
    [link] = struct.unpack_from(order + "H", body)
    ticks, offset = 1_000_000, 0
    place = 8
    while place + 4 <= len(body):
        code, length = struct.unpack_from(order + "HH", body, place)
        value = body[place + 4 : place + 4 + length]
        if code == 9 and len(value) == length == 1:  # if_tsresol
            ticks = (2 if value[0] & 128 else 10) ** (value[0] & 127)
        elif code == 14 and len(value) == length == 8:  # if_tsoffset
            [offset] = struct.unpack(order + "q", value)
        elif code == 0:
            break
        place += 4 + length + -length % 4
    return _Interface(link, ticks, offset)


def _enhanced(body: bytes, order: str, which: str, interfaces: list[_Interface]) -> _Record | str:
    layout = struct.Struct(order + which + "IIII")
    if len(body) < layout.size:
        return f"expected a packet in a block of at least {layout.size} bytes, got {len(body)}"
    number, high, low, captured, length = layout.unpack_from(body)
    if number >= len(interfaces):
        return f"a packet of interface {number}, of which there are {len(interfaces)}"
    if captured > len(body) - layout.size:
        return f"expected {captured} bytes of a packet, got {len(body) - layout.size}"
    interface = interfaces[number]
    time = (high << 32 | low) * 1_000_000_000 // interface.ticks + interface.offset * 1_000_000_000
    return _Record(time, interface.link, body[layout.size : layout.size + captured], length)


# ---- headers ----


class _Packet(NamedTuple):
    """What the headers of a packet say."""

    flow: Flow
    payload: bytes  # as far as it was captured
    size: int  # of the payload on the wire


_ETHERTYPES: Final = {0x0800: 4, 0x86DD: 6}
_TAGS: Final = (0x8100, 0x88A8, 0x9100)  # of a VLAN, which may lie in another
_EXTENSIONS: Final = (0, 43, 60, 135)  # of IPv6, each with its own length
_FRAGMENT: Final = 44

# Link type -> where the ethertype is (None: the IP header itself comes first), and where what it tells of begins.
_LINKS: Final[dict[int, tuple[int | None, int]]] = {
    1: (12, 14),  # Ethernet
    113: (14, 16),  # Linux cooked, as tcpdump -i any wrote it
    276: (0, 20),  # and as it does now
    0: (None, 4),  # BSD loopback
    108: (None, 4),
    12: (None, 0),  # IP alone, in four numbers
    101: (None, 0),
    228: (None, 0),
    229: (None, 0),
}


def _decode(record: _Record) -> _Packet | None:
    """The headers of a UDP, TCP or other IP packet; None for any other, and for all but the first of its fragments.

    Raises struct.error where the data end before their headers do.
    """
    data = record.data
    ethertype, place = _LINKS[record.link]
    if ethertype is not None:
        [kind] = struct.unpack_from("!H", data, ethertype)
        while kind in _TAGS:
            [kind] = struct.unpack_from("!H", data, place + 2)
            place += 4
        if kind not in _ETHERTYPES:
            return None
    [version] = struct.unpack_from("!B", data, place)
    if version >> 4 == 4:
        total, fragment, protocol, source, destination = struct.unpack_from("!2xH2xHxB2x4s4s", data, place)
        if fragment & 0x1FFF or version & 15 < 5:
            return None
        end = place + total
        place += 4 * (version & 15)
    elif version >> 4 == 6:
        total, protocol, source, destination = struct.unpack_from("!4xHBx16s16s", data, place)
        place += 40
        end = place + total
        while protocol in (*_EXTENSIONS, _FRAGMENT):
            following, size, fragment = struct.unpack_from("!BBH", data, place)
            if protocol == _FRAGMENT and fragment >> 3:
                return None
            place += 8 if protocol == _FRAGMENT else 8 * (size + 1)
            protocol = following
    else:
        return None
    ports = (0, 0)
    if protocol in (PROTOCOLS["udp"], PROTOCOLS["tcp"]):
        ports = struct.unpack_from("!HH", data, place)
    if protocol == PROTOCOLS["udp"]:
        [size] = struct.unpack_from("!4xHxx", data, place)
        place, end = place + 8, place + max(8, size)
    flow = Flow(protocol, Endpoint(source, ports[0]), Endpoint(destination, ports[1]))
    return _Packet(flow, data[place:end], end - place)


# ---- heartbeats ----


def read(path: str | os.PathLike[str], lenient: bool = False, filter: Filter | None = None) -> list[Trace]:  # noqa: A002
    """Import a capture, one trace for each flow: protocol, source and destination, each with its port.

    Parameters
    ----------
    path : path
        A capture, pcap or pcapng, of any byte order and resolution, plain or packed: of Ethernet (VLANs, too), Linux
        cooked, loopback or IP.
    lenient : bool, default False
        Skip packets that were captured too short to tell, and keep what comes before damage, where strict raises.
    filter : Filter, optional
        Which packets are heartbeats. By default those that `accrual send` sends.

    Returns
    -------
    list of Trace
        Arrivals are the times of capture. Of heartbeats of `accrual send` also `sequence`, `sent_remote`, `epoch` and
        `period`. ``about`` has `source`, `format`, `sha256`, `session` (from 1), `peer` (the flow), `clock`, and in the
        first `skipped` (packets) and `truncated` where lenient.

    Raises
    ------
    TraceError
        No capture, damage, a packet whose time or headers are not there; without a filter, no heartbeat of accrual's:
        with the file and the packet, as from 1.
    OSError
        The file cannot be read.
    """
    with Source(path, lenient) as source:
        peers = Peers(source)
        others: Counter[Flow] = Counter()
        number = 0
        with source.unpacked() as stream:
            try:
                for number, record in enumerate(_records(stream), start=1):
                    problem = record if isinstance(record, str) else _take(record, filter, peers, others)
                    if problem:
                        source.reject(f"packet {number}: {problem}")
            except _BrokenError as error:
                source.end_early(f"after packet {number}: {error}" if number else str(error))
        if not peers:
            raise TraceError(_nothing(number, filter, others), path)
        return peers.traces(format="pcap", clock="unix")


def _nothing(packets: int, filter_: Filter | None, others: Counter[Flow]) -> str:
    """Say why there is no heartbeat, and of what one could choose."""
    if filter_ is not None:
        return f"none of {packets:,} packets passes the filter"
    seen = ", ".join(f"{flow} ({count:,})" for flow, count in others.most_common(3))
    return f"no heartbeat of accrual's among {packets:,} packets: choose by a filter" + (f" of {seen}" if seen else "")


def _take(record: _Record, filter_: Filter | None, peers: Peers, others: Counter[Flow]) -> str | None:
    """Append the heartbeat in a packet, if it is one; say what is wrong with it, if something is."""
    if record.link not in _LINKS:
        return f"expected a capture of Ethernet, Linux cooked, loopback or IP, got link type {record.link}"
    try:
        packet = _decode(record)
    except struct.error:
        if len(record.data) == record.length:
            return None  # so it was sent
        return f"only {len(record.data)} of {record.length} bytes were captured, too few for its headers"
    if packet is None or not (filter_ is None or filter_.matches(packet.flow)):
        return None
    flow = packet.flow
    heartbeat = wire.decode(packet.payload)
    if heartbeat is None and wire.could_begin(packet.payload, packet.size):
        return f"a heartbeat of which only {len(packet.payload)} of {packet.size} bytes were captured"
    if heartbeat is None and filter_ is None:
        if flow in others or len(others) < MOST_PEERS:
            others[flow] += 1
        return None
    if not instants_inside(record.time):
        return "more than 146 years from 1970"
    peer = peers.get(flow)
    if peer is None:
        peer = peers.introduce(flow, _COLUMNS if heartbeat else _COLUMNS[:1], peer=str(flow))
        peer.period = heartbeat.period / 1e9 if heartbeat else None
    if (heartbeat is not None) != (len(peer.columns) > 1):
        return f"{'a' if heartbeat else 'no'} heartbeat of accrual's, unlike those before it"
    values = (heartbeat.sequence, heartbeat.sent, heartbeat.epoch) if heartbeat else ()
    peer.add((record.time, *values))
    return None


_COLUMNS: Final = ("arrivals", "sequence", "sent_remote", "epoch")
