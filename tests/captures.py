"""Captures made byte by byte, from the formats' descriptions: what tests read as if tcpdump had written it."""

import ipaddress
import struct

MAGIC = {1_000: 0xA1B2C3D4, 1: 0xA1B23C4D}


def udp(payload, source="192.0.2.1", destination="192.0.2.2", sport=5000, dport=7007):
    """An IP packet, version 4 or 6 as the addresses are."""
    data = struct.pack("!HHHH", sport, dport, 8 + len(payload), 0) + payload
    return ip(17, data, source, destination)


def ip(protocol, data, source="192.0.2.1", destination="192.0.2.2", fragment=0, options=b""):
    ends = ipaddress.ip_address(source).packed + ipaddress.ip_address(destination).packed
    if len(ends) == 32:
        return struct.pack("!IHBB", 6 << 28, len(data), protocol, 64) + ends + data
    words = 5 + len(options) // 4
    head = struct.pack("!BBHHHBBH", 4 << 4 | words, 0, 4 * words + len(data), 1, fragment, 64, protocol, 0)
    return head + ends + options + data


def ethertype(packet):
    return 0x0800 if packet[0] >> 4 == 4 else 0x86DD


def ethernet(packet, *tags):
    """A frame, with the ethertypes of VLAN tags before the packet's own; padded to the shortest that there is."""
    vlan = b"".join(struct.pack("!HH", tag, 42) for tag in tags)
    return (b"\2\0\0\0\0\1\2\0\0\0\0\2" + vlan + struct.pack("!H", ethertype(packet)) + packet).ljust(60, b"\0")


def cooked(packet):
    return struct.pack("!HHH8sH", 0, 1, 6, b"\2\0\0\0\0\1\0\0", ethertype(packet)) + packet


def cooked2(packet):
    return struct.pack("!HHIHBB8s", ethertype(packet), 0, 2, 1, 0, 6, b"\2\0\0\0\0\1\0\0") + packet


def pcap(packets, order="<", unit=1_000, link=1, snaplen=65_535, version=2):
    """A capture of (time in ns, frame) pairs, cut to `snaplen`."""
    text = [struct.pack(order + "IHHiIII", MAGIC[unit], version, 4, 0, 0, snaplen, link)]
    for time, frame in packets:
        kept = frame[:snaplen]
        text.append(struct.pack(order + "IIII", time // 10**9, time % 10**9 // unit, len(kept), len(frame)) + kept)
    return b"".join(text)


def block(kind, body, order="<"):
    body += b"\0" * (-len(body) % 4)
    size = struct.pack(order + "I", 12 + len(body))
    return struct.pack(order + "I", kind) + size + body + size


def option(code, value, order="<"):
    return struct.pack(order + "HH", code, len(value)) + value + b"\0" * (-len(value) % 4)


def section(order="<"):
    return block(0x0A0D0D0A, struct.pack(order + "IHHq", 0x1A2B3C4D, 1, 0, -1), order)


def interface(link=1, resolution=None, offset=None, order="<"):
    options = option(2, b"eth0", order)
    if resolution is not None:
        options += option(9, bytes([resolution]), order)
    if offset is not None:
        options += option(14, struct.pack(order + "q", offset), order)
    return block(1, struct.pack(order + "HHI", link, 0, 0) + options + option(0, b"", order), order)


def enhanced(ticks, frame, number=0, order="<", snaplen=65_535):
    kept = frame[:snaplen]
    head = struct.pack(order + "IIIII", number, ticks >> 32, ticks & 0xFFFFFFFF, len(kept), len(frame))
    padded = kept + b"\0" * (-len(kept) % 4)
    return block(6, head + padded + option(1, b"a comment", order), order)


def pcapng(packets, order="<", link=1, resolution=9):
    """A capture of (time in ns, frame) pairs on one interface."""
    unit = 10 ** (9 - resolution)
    body = b"".join(enhanced(time // unit, frame, order=order) for time, frame in packets)
    return section(order) + interface(link, resolution, order=order) + body
