r"""Results of RIPE Atlas ``ping`` measurements, as its API delivers them: an array of JSON objects, or one a line.

A result is a burst, by default of three packets 1 s apart, of which the probe tells the second in which it began and
each packet's round-trip time. So packet k is taken as sent k s after that second began, and its reply as arrived
``rtt`` ms later: on one clock, the probe's, right to a second across bursts and to the round-trip time within one.

What this reader knows of the objects it has from the documentation of RIPE Atlas, firmware 4400 to 5080.
"""

from __future__ import annotations

import os
from decimal import Decimal
from typing import Any, Final

from accrual.traces.gather import Peers, instants_inside
from accrual.traces.json_file import Objects
from accrual.traces.trace import Trace, TraceError

_SPACING: Final = 1_000_000_000  # between the packets of a burst [ns]; a result does not tell another
_LATEST: Final = 2**33  # a timestamp [s] beyond which no instant fits into a Trace anyway
_LONGEST: Final = 86_400_000  # a round-trip time [ms]; a probe waits for seconds


def recognise(first: dict[str, Any]) -> bool:
    """Tell a result of RIPE Atlas by its keys."""
    return "prb_id" in first and ("msm_id" in first or "fw" in first)


def read(path: str | os.PathLike[str], lenient: bool = False) -> list[Trace]:
    """Import results of RIPE Atlas ping measurements, one trace for each measurement, probe and target.

    Parameters
    ----------
    path : path
        One JSON object a line, or an array of them; plain or packed.
    lenient : bool, default False
        Skip what is no result of a ping, where strict raises.

    Returns
    -------
    list of Trace
        Each with `sequence`, which counts the packets that the probe says it has sent, and `sent`. `period` is the
        step of measurements of one packet; bursts have none. ``about`` has `source`, `format`, `sha256`, `session`
        (from 1), `measurement`, `probe`, `target`, `packets` (sent), `burst` (the most packets in one), `step`
        (between bursts [s], where the results tell it), `lts` (the longest time [s] since the probe's clock was known
        to be right; -1: at times unknown), `clock`; the first has `skipped` and `truncated` of the whole file where
        lenient.

    Raises
    ------
    TraceError
        Not JSON, another measurement than ping, firmware 1 (which tells only means), no result at all, damage.
    OSError
        The file cannot be read.
    """
    with Objects(path, lenient) as objects:
        peers = Peers(objects)
        for result in objects.objects():
            if problem := _take(result, peers):
                objects.reject(problem)
        if not peers:
            raise TraceError("no result of a RIPE Atlas ping" if objects.number else "the file is empty", path)
        return peers.traces(format="atlas", clock="unix")


def _take(result: dict[str, Any], peers: Peers) -> str | None:
    """Append the replies of a result, or say why not."""
    if result.get("type", "ping") != "ping":
        return f"expected a result of type ping, got {str(result['type'])[:60]!r}"
    packets, timestamp = result.get("result"), result.get("timestamp")
    key = result.get("msm_id"), result.get("prb_id"), result.get("dst_name") or result.get("dst_addr")
    if not isinstance(packets, list):
        return "expected a list of packets under result: firmware 1 tells only means"
    if type(timestamp) is not int or not 0 <= timestamp < _LATEST:
        return f"expected seconds since 1970 under timestamp, got {str(timestamp)[:60]}"
    if type(key[1]) is not int or not isinstance(key[0], int | None) or not isinstance(key[2], str | None):
        return "expected numbers under prb_id and msm_id, and text under dst_addr"
    replies = []
    number = -1
    for packet in packets:
        if not isinstance(packet, dict):
            return f"expected an object for each packet, got {str(packet)[:60]}"
        # A duplicate is listed after the packet that it answers, or after the * of one that it answers too late.
        number = max(0, number) if "dup" in packet else number + 1
        if "rtt" in packet:
            rtt = packet["rtt"]
            if type(rtt) not in (int, Decimal) or not -_LONGEST <= rtt <= _LONGEST:
                return f"expected a round-trip time in ms under rtt, got {str(rtt)[:60]}"
            sent = timestamp * 1_000_000_000 + number * _SPACING
            replies.append((sent + round(rtt * 1_000_000), number, sent))
        elif not packet.keys() & {"x", "error", "late"}:
            return "expected rtt, x, error or late for each packet"
    if not instants_inside(*(arrival for arrival, _, _ in replies)):
        return "a reply more than 146 years away"
    peer = peers.get(key) or peers.introduce(
        key, ("arrivals", "sequence", "sent"), measurement=key[0], probe=key[1], target=key[2], packets=0, burst=0
    )
    about = peer.about
    for arrival, place, sent in sorted(replies):  # as listed they are in the order of sending
        peer.add((arrival, about["packets"] + place, sent))
    about["packets"] += number + 1
    about["burst"] = max(about["burst"], number + 1)
    for name in ("step", "lts"):
        if type(value := result.get(name)) is int and -1 <= value < _LATEST:
            known = about.get(name, value)
            about[name] = -1 if -1 in (value, known) else max(value, known)
    peer.regular = False  # the interval between most neighbours is that inside a burst
    peer.period = about["step"] if about["burst"] == 1 and about.get("step", -1) > 0 else None
    return None
