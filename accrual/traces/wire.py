"""Heartbeats on the wire: the datagram, the process that sends it and the socket that says when it arrived.

Nothing here needs more than the standard library: the recorder starts this very file as its sender, and a sender
that first imported NumPy would spend longer on starting than on ten heartbeats.
"""

from __future__ import annotations

import gc
import json
import math
import os
import random
import secrets
import select
import signal
import socket
import struct
import sys
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Final, NamedTuple, Self

_LAYOUT: Final = struct.Struct("!6sHqqqq")  # magic, version, epoch, sequence, sent, period; network order, no padding
_MAGIC: Final = b"accrHB"
_VERSION: Final = 1

SIZE: Final = _LAYOUT.size
"""Length of a heartbeat [bytes]; a datagram of any other length is none."""

_TIMES: Final = 400  # as in accrual.traces.helper, which a process that runs this file by its path cannot import

LONGEST_PERIOD: Final = 86_400.0
"""Longest period that a sender accepts [s]; a day between heartbeats is no failure detection any more."""

# What a field can hold. 63 bits keep a number positive in int64; instants have 62, as in a Trace, which takes them as
# they are: one wild instant from the network must not make a whole recording invalid.
_BOUNDS: Final = {"epoch": (0, 2**63), "sequence": (0, 2**63), "sent": (0, 2**62), "period": (1, 2**63)}

# Linux's number (asm-generic/socket.h), for Pythons whose socket module does not name it.
_SO_TIMESTAMPNS: int | None = getattr(socket, "SO_TIMESTAMPNS", 35 if sys.platform == "linux" else None)
_SO_RXQ_OVFL: int | None = getattr(socket, "SO_RXQ_OVFL", 40 if sys.platform == "linux" else None)
_SO_RCVBUFFORCE: Final = 33  # Linux; beyond the system's limit, for root
_TIMESPEC: Final = struct.Struct("@ll")
_COUNT: Final = struct.Struct("@I")
_ANCILLARY: Final = socket.CMSG_SPACE(_TIMESPEC.size) + socket.CMSG_SPACE(_COUNT.size)

_QUEUE: Final = 2**23
"""Room for datagrams that wait to be read [bytes]: at one a millisecond, for which Linux counts 768 bytes, 10 s of it.

The usual 208 KiB are full after 0.3 s, a time for which a busy machine may well leave a recorder alone."""


@dataclass(frozen=True)
class Heartbeat:
    """One heartbeat: who sends it, which one it is, when it left and when the next is due.

    Parameters
    ----------
    epoch : int
        Boot id: drawn at random when the sender starts, so that another value means a restart.
    sequence : int
        Its number: 0 for the first datagram of the epoch, one more for each that is sent.
    sent : int
        Instant at which it was handed to the system, ns on the *sender's* monotonic clock.
    period : int
        Sending interval, ns; at least 1.

    Raises
    ------
    ValueError
        If a number is negative, `sent` reaches 2**62 or another 2**63, or the period is 0.
    """

    epoch: int
    sequence: int
    sent: int
    period: int

    def __post_init__(self) -> None:
        """Refuse what the other side would not decode."""
        for name, (low, high) in _BOUNDS.items():
            value = getattr(self, name)
            if not low <= value < high:
                raise ValueError(f"{name} must be in [{low}, {high}), is {value}")


def encode(heartbeat: Heartbeat) -> bytes:
    """Write a heartbeat as the `SIZE` bytes of its datagram.

    Examples
    --------
    >>> encode(Heartbeat(epoch=7, sequence=0, sent=1_000, period=10_000_000))[:8]
    b'accrHB\\x00\\x01'
    """
    return _LAYOUT.pack(_MAGIC, _VERSION, heartbeat.epoch, heartbeat.sequence, heartbeat.sent, heartbeat.period)


def decode(data: bytes) -> Heartbeat | None:
    """Read the heartbeat in a datagram, or None where there is none.

    Anyone who reaches the port can send anything to it, so rubbish is no exceptional event: it is counted and
    forgotten. None says so in the type, where a checker sees a receiver that forgot it; an exception would not.

    Examples
    --------
    >>> decode(encode(Heartbeat(epoch=7, sequence=0, sent=1_000, period=10_000_000)))
    Heartbeat(epoch=7, sequence=0, sent=1000, period=10000000)
    >>> decode(b"GET / HTTP/1.1") is None
    True
    """
    if len(data) != SIZE:
        return None
    magic, version, *numbers = _LAYOUT.unpack(data)
    if (magic, version) != (_MAGIC, _VERSION):
        return None
    try:
        return Heartbeat(*numbers)
    except ValueError:
        return None


def could_begin(data: bytes, size: int) -> bool:
    """Whether `data` may be the beginning of a heartbeat's datagram of `size` bytes, the rest of which is missing.

    Examples
    --------
    >>> could_begin(b"accrHB", 40), could_begin(b"accrHB", 41), could_begin(b"DNS", 40)
    (True, False, False)
    """
    return len(data) < size == SIZE and data[: len(_MAGIC)] == _MAGIC[: len(data)]


def parse_address(text: str) -> tuple[str, int]:
    """Split ``HOST:PORT`` or ``[HOST]:PORT``, the latter for IPv6 addresses.

    Raises
    ------
    ValueError
        If there is no host, or no port from 0 to 65535.

    Examples
    --------
    >>> parse_address("192.0.2.1:7007"), parse_address("[::1]:7007")
    (('192.0.2.1', 7007), ('::1', 7007))
    """
    host, _, port = text.rpartition(":")
    bare = host.removeprefix("[").removesuffix("]")
    if not bare or (":" in bare) != (host != bare) or not (port.isascii() and port.isdigit() and int(port) < 2**16):
        raise ValueError(f"an address is HOST:PORT or [IPV6]:PORT with a port up to 65535, not {text!r}")
    return bare, int(port)


def format_address(address: tuple[str, int]) -> str:
    """Write an address as `parse_address` reads it."""
    host, port = address
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def period_ns(period: float) -> int:
    """Convert a sending interval in seconds to whole nanoseconds.

    Raises
    ------
    ValueError
        If it is not a number from 1e-9 to `LONGEST_PERIOD` s.
    """
    if not 1e-9 <= period <= LONGEST_PERIOD:
        raise ValueError(f"period must be from 1e-9 to {LONGEST_PERIOD:.0f} s, is {period}")
    return round(period * 1e9)


class Sent(NamedTuple):
    """What a sender did: heartbeats sent, restarts of its schedule, and sends that the system refused."""

    heartbeats: int
    restarts: int
    failed: int


def _sleep(seconds: float) -> bool:
    time.sleep(seconds)
    return False


def send(
    address: tuple[str, int],
    period: float,
    count: int | None = None,
    *,
    epoch: int | None = None,
    clock: Callable[[], int] = time.monotonic_ns,
    wait: Callable[[float], bool] = _sleep,
) -> Sent:
    """Send heartbeats to an address until their number is reached, `wait` says so, or Ctrl-C.

    Heartbeat k is due k periods after the first, whatever the ones before it took, so that lateness does not add up.
    **A pause is not made up for:** a sender that finds itself more than one period late (it was stopped, starved or
    suspended) sends one heartbeat at once and starts its schedule anew from there; up to one period late, it keeps the
    schedule. So a pause never ends in a burst, and as the sequence numbers count the datagrams sent, it leaves no hole
    in them: a hole is a loss.

    Parameters
    ----------
    address : tuple of str and int
        Host (name, IPv4 or IPv6 address) and UDP port.
    period : float
        Sending interval, s.
    count : int, optional
        How many to send, at least 1; without it, no end.
    epoch : int, optional
        Boot id; drawn at random (63 bits) if not given.
    clock : callable
        Gives the instant, ns.
    wait : callable
        Sleeps for a number of seconds and says whether sending shall end.

    Returns
    -------
    Sent
        What was done.

    Raises
    ------
    ValueError
        If the period, the count or the epoch is out of bounds.
    OSError
        If the address does not resolve or the first heartbeat cannot be sent. Later refusals (no route, a full queue)
        are what networks do: they are counted, and to the receiver such a heartbeat is lost.
    """
    step = period_ns(period)
    if count is not None and count < 1:
        raise ValueError(f"count must be at least 1, is {count}")
    if epoch is None:
        epoch = secrets.randbits(63)
    sequence = restarts = failed = 0
    family, resolved = _resolve(address)
    with socket.socket(family, socket.SOCK_DGRAM) as out:
        due = clock()
        try:
            while sequence != count and not wait(max(0, due - clock()) / 1e9):
                now = clock()
                if now - due > step:
                    due = now
                    restarts += 1
                try:
                    out.sendto(encode(Heartbeat(epoch, sequence, now, step)), resolved)
                except OSError as error:
                    if sequence == 0:
                        raise OSError(error.errno, error.strerror, format_address(address)) from error
                    failed += 1
                sequence += 1
                due += step
        except KeyboardInterrupt:
            pass  # the usual end of a sender without a count, as of ping
    return Sent(sequence, restarts, failed)


class Datagram(NamedTuple):
    """What arrived: the bytes, when (ns on this machine's monotonic clock) and from which host."""

    data: bytes
    arrival: int
    host: str


class Receiver:
    """A UDP socket that tells when each datagram reached the machine, not when this process got round to reading it.

    Under load the two differ by milliseconds, which are the receiver's and not the heartbeat's. Where the system stamps
    datagrams on arrival (Linux, SO_TIMESTAMPNS), that stamp counts. It is on CLOCK_REALTIME; instants here are on
    CLOCK_MONOTONIC. The two run at the same rate and differ by an offset that moves only when somebody *steps* the
    real-time clock, so the offset is measured at each datagram, as the tightest of a few readings of both clocks, and
    taken off the stamp. A step between stamp and measurement would shift the result: it is therefore believed only
    if it lies between two instants that no step can touch, the last time that the socket was seen empty and the
    return of the read. Where it does not, or where there is no stamp, the arrival is the instant at which the datagram
    was read, and `unstamped` counts it.

    Parameters
    ----------
    host : str
        Address to listen on; the default is reached from this machine only.
    port : int
        UDP port; 0 for any that is free.

    Attributes
    ----------
    port : int
        The port in use.
    stamped : bool
        Whether the system stamps datagrams on arrival.
    unstamped : int
        Datagrams so far whose arrival is the instant at which they were read, though the system stamps.
    overflowed : int
        Datagrams so far that reached the machine and were lost there, as nobody had read those before them: the
        receiver's losses, not the network's. Known with the next datagram; 0 where the system does not count.

    Raises
    ------
    OSError
        If the address does not resolve, is not this machine's, or its port is in use.

    Examples
    --------
    >>> with Receiver() as receiver:
    ...     send(("127.0.0.1", receiver.port), period=10.0, count=1, epoch=7)
    ...     decode(receiver.receive(timeout=10).data).sequence
    Sent(heartbeats=1, restarts=0, failed=0)
    0
    """

    def __init__(self, host: str = "127.0.0.1", port: int = 0) -> None:
        """Take the address."""
        family, address = _resolve((host, port))
        self._socket = socket.socket(family, socket.SOCK_DGRAM)
        self._socket.setblocking(False)
        self.stamped = _ask(self._socket, _SO_TIMESTAMPNS)
        _ask(self._socket, _SO_RXQ_OVFL)
        _widen(self._socket)
        self._empty = time.monotonic_ns()  # nothing can arrive before the address is ours
        try:
            self._socket.bind(address)
        except OSError as error:
            self._socket.close()
            raise OSError(error.errno, error.strerror, format_address((host, port))) from error
        self._ready = select.poll()
        self._ready.register(self._socket, select.POLLIN)
        self.port: int = self._socket.getsockname()[1]
        self.unstamped = self.overflowed = 0

    def __enter__(self) -> Self:
        """Enter a with statement that gives the port back."""
        return self

    def __exit__(self, *_: object) -> None:
        """Give the port back."""
        self._socket.close()

    def receive(self, timeout: float) -> Datagram | None:
        """Wait up to `timeout` seconds for a datagram; None if there was none."""
        asked = time.monotonic_ns()
        if not self._ready.poll(0):
            self._empty = asked
            self._ready.poll(math.ceil(timeout * 1e3))
        try:
            # One byte more than a heartbeat has: whatever is too long still is so when cut.
            data, ancillary, _, source = self._socket.recvmsg(SIZE + 1, _ANCILLARY)
        except BlockingIOError:
            return None
        read = time.monotonic_ns()
        for level, kind, value in ancillary:
            if level == socket.SOL_SOCKET and kind == _SO_RXQ_OVFL and len(value) == _COUNT.size:
                (self.overflowed,) = _COUNT.unpack(value)
        return Datagram(data, self._arrival(ancillary, read) if self.stamped else read, source[0])

    def _arrival(self, ancillary: list[tuple[int, int, bytes]], read: int) -> int:
        for level, kind, value in ancillary:
            if level == socket.SOL_SOCKET and kind == _SO_TIMESTAMPNS and len(value) == _TIMESPEC.size:
                seconds, nanoseconds = _TIMESPEC.unpack(value)
                offset, error = _realtime_offset()
                arrival: int = seconds * 1_000_000_000 + nanoseconds - offset
                if self._empty - error <= arrival <= read + error:
                    return arrival
        self.unstamped += 1
        return read


def _ask(receiver: socket.socket, option: int | None) -> bool:
    if option is None:
        return False
    try:
        receiver.setsockopt(socket.SOL_SOCKET, option, 1)
    except OSError:
        return False
    return True


def _widen(receiver: socket.socket) -> None:
    """Give the socket's queue as much room as the system lets this user have."""
    for option in (_SO_RCVBUFFORCE,) if sys.platform == "linux" else ():
        with suppress(OSError):
            receiver.setsockopt(socket.SOL_SOCKET, option, _QUEUE)
            return
    with suppress(OSError):  # systems without that option refuse, not cut, what is too much
        receiver.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _QUEUE)


def _realtime_offset() -> tuple[int, int]:
    """CLOCK_REALTIME minus CLOCK_MONOTONIC and how far off that may be, both in ns."""
    readings = []
    # Being preempted between two readings spoils them by a time slice; five times in a row hardly ever happens.
    for _ in range(5):
        before, real, after = time.monotonic_ns(), time.time_ns(), time.monotonic_ns()
        readings.append((after - before, real - (before + after) // 2))
        if after - before <= 1_000:
            break
    width, offset = min(readings)
    return offset, width


def _resolve(address: tuple[str, int]) -> tuple[socket.AddressFamily, Any]:
    try:
        family, _, _, _, resolved = socket.getaddrinfo(*address, type=socket.SOCK_DGRAM)[0]
    except OSError as error:
        raise OSError(error.errno, error.strerror, format_address(address)) from error
    return family, resolved


def _die_with(parent: int) -> None:
    """Have Linux kill this process when its parent goes: one that is stopped would not see its input end."""
    with suppress(ImportError, OSError, AttributeError):
        import ctypes

        pr_set_pdeathsig = 1
        ctypes.CDLL(None).prctl(pr_set_pdeathsig, signal.SIGKILL)
    if os.getppid() != parent:  # too late
        sys.exit(1)


def _heap(objects: int) -> list[list[Any]]:
    """So many lists, all of them in one circle, so that a collector has to go through them to see that it may not."""
    heap: list[list[Any]] = [[]]
    gc.disable()  # from now on at our own times only
    for _ in range(objects - 1):
        heap.append([heap[-1]])
    heap[0].append(heap)
    return heap


def _collect(every: float, seed: int, report: dict[str, Any]) -> None:
    """Go through the heap now and then, in which time no other thread runs."""
    chance = random.Random(seed)  # noqa: S311  # repeatable, not secret
    while True:
        time.sleep(chance.expovariate(1 / every))
        start = time.monotonic_ns()
        gc.collect()
        end = time.monotonic_ns()
        report["collections"] += 1
        report["collected"] += (end - start) / 1e9
        if len(report["collections_at"]) < _TIMES:
            report["collections_at"].append((start, end))


def _main(parent: str, host: str, port: str, period: str, epoch: str, *collection: str) -> None:
    """Send until standard input ends: the recorder holds its other end, and with the recorder it closes."""
    _die_with(int(parent))
    report: dict[str, Any] = {}
    heap: list[list[Any]] = []
    if collection:
        objects, every, seed = collection
        report = {"collections": 0, "collected": 0.0, "collections_at": []}
        heap = _heap(int(objects))
        threading.Thread(target=_collect, args=(float(every), int(seed), report), daemon=True).start()
    sent = send(
        (host, int(port)),
        float(period),
        epoch=int(epoch),
        wait=lambda seconds: bool(select.select([sys.stdin], (), (), seconds)[0]),
    )
    with suppress(BrokenPipeError):  # the recorder is gone
        os.write(sys.stdout.fileno(), json.dumps(sent._asdict() | report).encode())
    if heap:
        os._exit(0)  # taking a heap of millions of objects to pieces takes seconds


if __name__ == "__main__":
    _main(*sys.argv[1:])
