r"""Logs of ``ping``: replies are heartbeats, of which there is one trace for each session in the file.

Two kinds of log, told apart by the first reply of each session:

- ``ping -D`` (Linux) prints the time before each line; that is the arrival, on the ``unix`` clock.
- Without ``-D``, and on macOS, there is no time that could serve (what wrappers put in front has a resolution of 1 s).
  But heartbeat k was sent at k x 1 s and took ``time=`` ms, so both instants are known on a clock that starts with the
  session: ``synthetic``. Lines are printed as replies arrive, yet k x 1 s + time goes back a little now and then, for
  a second is not kept to the microsecond and of queued replies two may be swapped; the arrival is the running maximum.

What this reader knows of the lines was read off iputils' and Apple's sources and off recorded logs.
"""

from __future__ import annotations

import os
import re
from array import array
from functools import partial
from itertools import pairwise
from typing import Any, Final

from accrual.traces.files import MOST_PEERS, Lines, excerpt
from accrual.traces.gather import median_interval
from accrual.traces.trace import INSTANT_LIMIT, Trace, TraceError

_EXPECTED: Final = "expected lines of ping, such as '64 bytes from 192.0.2.1: icmp_seq=1 ttl=64 time=0.045 ms'; got"
_PERIOD: Final = 1_000_000_000  # ping's default interval [ns]; -i leaves no mark in a log

_MAX_BACK: Final = 4096
"""icmp_seq has 16 bits. One that lies at most this far behind the newest is late; any other is ahead of it, perhaps
across a wrap. Late replies are few (a minute at 15 ms), lost ones may be many (an outage of 17 h at 1 s)."""

# -D's [seconds.microseconds], or the wall clock that a wrapper put there.
_PREFIX: Final = rb"(?:\[(\d{1,10})\.(\d{1,9})\] |\d{4}-\d\d-\d\d \d\d:\d\d:\d\d \| )?"
_HOST: Final = rb"([^\s(]+)"

_without_prefix: Final = partial(re.compile(_PREFIX).sub, b"", count=1)  # it matches at the start, if with nothing

_reply: Final = re.compile(
    _PREFIX + rb"\d+ bytes from " + _HOST + rb"(?: \([^)]*\))?[:,] (?:icmp_)?(?:seq|req)=(\d{1,9})"
    rb"(?: (?:ttl|hlim|ident)=\d+)*(?: time=(-?)(\d{1,12})(?:[.,](\d{1,6}))? ms)?(?: tc=\d+)?((?: \([A-Z !]+\))*)\s*"
).fullmatch

_loss: Final = re.compile(
    rb"(?:Request timeout for icmp_seq |no answer yet for icmp_seq=|From .*icmp_seq=)(\d{1,18})\b.*\s*"
).fullmatch

_header: Final = re.compile(
    rb"PING " + _HOST + rb" ?\(.*(?:bytes of data\.?|data bytes)\s*|PING6\(.*\) \S+ --> (\S+)\s*"
).fullmatch

# A wrapper's frame: a ruler, what happened to which host, any text, a ruler.
_banner: Final = re.compile(rb"PING (STARTED|STOPPED) (\S+)\s*").fullmatch
_ruler: Final = re.compile(rb"=+\s*").fullmatch
_time_of_day: Final = re.compile(rb"\d\d:\d\d:\d\d").search

# What else ping prints: errors without a number, packets quoted in them, damage to a packet, statistics.
_other: Final = re.compile(
    rb"(?:ping6?: |(?i:warning): |PATTERN: 0x|wrong (?:data byte|total length) |Vr HL TOS "
    rb"|\d+ bytes from [^=]*: (?:Dest|Time|Frag|frag|Source|Redirect|Communication|Parameter)"
    rb"| +\d+ +\d+ +[0-9a-f]{2} [0-9a-f]{4} "
    rb"|(?:\^C)?--- .* ping6? statistics ---|\d+ packets transmitted, |\r?\d+/\d+ packets"
    rb"|(?:rtt|round-trip) min/avg/max|(?:, )?pipe \d).*\s*|(?:\^C)?\s*"
).fullmatch


class _Session:
    """One run of ping.

    Parameters
    ----------
    target : bytes
        Whom it pings; empty: the host that replies first.
    skipped_before : int
        Lines of the file that were skipped before it.
    begun : bool
        Whether more than a wrapper's banner has been seen of it.
    """

    def __init__(self, target: bytes, skipped_before: int, begun: bool = True) -> None:
        """Begin with nothing."""
        self.target = target
        self.skipped_before = skipped_before
        self.begun = begun
        self.started: bytes | None = None
        self.timeouts = 0
        self._stamped: bool | None = None  # by -D; unknown before the first reply
        self._host = b""
        self._newest: int | None = None
        self._arrivals, self._sequence, self._sent = (array("q") for _ in range(3))

    def lose(self, number: int) -> None:
        """Take in a line that says that a heartbeat is missing."""
        self.begun = True
        self.timeouts += 1
        self._unwrap(number)

    def take(self, reply: re.Match[bytes]) -> str | None:
        """Append a heartbeat, or say why not."""
        self.begun = True
        seconds, fraction, host, number, minus, ms, ms_fraction, marks = reply.groups()
        self.target = self.target or host
        stamped = seconds is not None
        if self._stamped not in (stamped, None):
            return f"{'with' if stamped else 'without'} the time in front, unlike the replies before"
        self._host = self._host or host
        if host != self._host and not marks:  # a ping of many marks what is not the first answer
            return f"from {host.decode('utf-8', 'backslashreplace')} in a session of another host: two logs in one"
        if not stamped and ms is None:
            return "neither time= nor the time in front"
        sequence = self._unwrap(int(number))
        if stamped:
            sent = arrival = int(seconds) * 1_000_000_000 + int(fraction.ljust(9, b"0"))
        else:
            sent = sequence * _PERIOD
            delay = int(ms) * 1_000_000 + int((ms_fraction or b"").ljust(6, b"0"))
            arrival = sent - delay if minus else sent + delay
            if self._arrivals:
                arrival = max(arrival, self._arrivals[-1])
        if not (-INSTANT_LIMIT < arrival < INSTANT_LIMIT and -INSTANT_LIMIT < sent < INSTANT_LIMIT):
            return "more than 146 years away"
        self._stamped = stamped
        self._arrivals.append(arrival)
        self._sequence.append(sequence)
        self._sent.append(sent)
        return None

    def _unwrap(self, number: int) -> int:
        if self._newest is None:
            self._newest = number
        number = self._newest + (number - self._newest + _MAX_BACK) % 65536 - _MAX_BACK
        self._newest = max(self._newest, number)
        return number

    def trace(self, **about: Any) -> Trace:
        """Turn what was taken in into a trace."""
        about["target"] = self.target.decode("utf-8", "backslashreplace")
        about["timeouts"] = self.timeouts
        if self.started is not None:
            about["started"] = self.started.decode("utf-8", "backslashreplace").strip()
        if self._stamped is None:
            return Trace([], [], **about)
        if self._stamped:
            about |= {"clock": "unix", "period_from": "the median interval"}
            interval = median_interval(self._arrivals, self._sequence) or 0.0
            return Trace(self._arrivals, self._sequence, period=round(interval, 3) or None, **about)  # -i takes ms
        about |= {"clock": "synthetic", "period_from": "ping's default"}
        return Trace(self._arrivals, self._sequence, self._sent, period=_PERIOD / 1e9, **about)


def recognise(head: bytes) -> bool:
    """Tell a log of ping by the first bytes of its text."""
    for line in head.splitlines():
        body = _without_prefix(line)
        if _reply(line) or _loss(body) or _header(body) or _banner(body):
            return True
    return False


def read(path: str | os.PathLike[str], lenient: bool = False) -> list[Trace]:
    """Import a log of ping, one trace for each session.

    A session begins where ping says so (``PING host (address) ...``), at the ``PING STARTED host`` that a wrapper put
    in front of that, or with the first reply of a log that has neither. A session without a reply is a trace without
    heartbeats, so that the n-th trace is the n-th session. Replies marked ``(DUP!)`` are heartbeats, replies with a
    ``(BAD CHECKSUM!)`` are not.

    Parameters
    ----------
    path : path
        The log, plain or gzip, whatever its name; ping in English (``LC_ALL=C ping ...``).
    lenient : bool, default False
        Skip the lines that no ping prints and keep what can be read of damaged gzip data, where strict raises.

    Returns
    -------
    list of Trace
        Each with `sequence`, unwrapped; without ``-D`` also with `sent`. `period` is ping's default of 1 s then, and
        with ``-D`` the median interval, to the millisecond. ``about`` has `source`, `format`, `sha256` (of the file),
        `session` (from 1), `target`, `started` (as a wrapper's banner says it), `clock`, `period_from`, `timeouts`
        (lines that call a heartbeat missing; it may still come), and where lenient `skipped` (lines) and `truncated`
        (gzip data that end early or are damaged).

    Raises
    ------
    TraceError
        No session; a line that no ping prints, a last line that is cut, damaged gzip data, each with file and line.
    OSError
        The file cannot be read.

    Examples
    --------
    >>> import tempfile
    >>> with tempfile.NamedTemporaryFile() as log:
    ...     _ = log.write(b"[1767225600.123456] 64 bytes from 192.0.2.1: icmp_seq=7 ttl=64 time=0.045 ms")
    ...     log.flush()
    ...     read(log.name)[0].arrivals
    array([1767225600123456000])
    """
    with Lines(path, lenient) as lines:
        sha256 = lines.sha256()
        sessions = _sessions(lines)
    if not sessions:
        raise TraceError("no session of ping" if lines.number else "the file is empty", path)
    traces = []
    borders = [0, *(session.skipped_before for session in sessions[1:]), lines.skipped]
    for number, (session, (before, after)) in enumerate(zip(sessions, pairwise(borders), strict=True), start=1):
        trace = session.trace(source=os.path.basename(path), format="ping", sha256=sha256, session=number)
        if lenient:
            trace.about["skipped"] = after - before
        traces.append(trace)
    if lines.truncated:
        traces[-1].about["truncated"] = True
    return traces


def _sessions(lines: Lines) -> list[_Session]:
    sessions: list[_Session] = []
    banner = b""  # the one that we are in: its text is free

    def begin(target: bytes, begun: bool = True) -> None:
        if len(sessions) == MOST_PEERS:
            raise TraceError(f"more than {MOST_PEERS:,} sessions", lines.path, lines.number)
        sessions.append(_Session(target, lines.skipped if sessions else 0, begun))

    for line in lines:
        whole = line.endswith(b"\n")
        reply = _reply(line)
        if reply is not None and (whole or reply[6] is not None):  # a line that is cut may have lost its time=
            banner = b""
            if b"CHECKSUM" in reply[8]:
                continue
            if not sessions:
                begin(b"")
            if problem := sessions[-1].take(reply):
                lines.reject(f"a reply {problem}: {excerpt(line)}")
            continue
        body = _without_prefix(line)
        if match := _loss(body):
            banner = b""
            if not sessions:
                begin(b"")
            sessions[-1].lose(int(match[1]))
        elif match := _header(body):
            banner = b""
            if not sessions or sessions[-1].begun:
                begin(match[1] or match[2])
            sessions[-1].begun = True
        elif match := _banner(body):
            banner = match[1]
            if banner == b"STARTED":
                begin(match[2], begun=False)
        elif _ruler(body):
            banner = b""
        elif _other(body):
            continue
        elif banner:
            if banner == b"STARTED" and _time_of_day(body):
                sessions[-1].started = body
        else:
            lines.reject(f"{_EXPECTED if whole else 'the last line is cut:'} {excerpt(line)}")
    return sessions
