"""``accrual lab hosts``: a host for each service, and what a client sees when one's plug is pulled."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final, Literal

import numpy as np

from accrual.detectors import PhiNormal
from accrual.isolation.labs import network
from accrual.isolation.labs.actor import command
from accrual.isolation.shop import SHOP
from accrual.lab import Scene, lab
from accrual.monitor import Monitor

__all__ = ["hosts"]

Fault = Literal["all", "process", "plug", "host", "bridge"]

STRUCK: Final = "payment"
FAULTS: Final = {
    "process": "payment's processes are killed, its host runs on",
    "plug": "the plug of payment's host is pulled",
    "host": "payment's host loses power",
    "bridge": "the bridge that joins all hosts goes down",
}

_PATIENCE: Final = 20.0  # for what takes a fraction of a second on an idle machine [s]
_DEADLINE: Final = 0.25  # of a client's question [s]
_EVERY: Final = 0.05  # its questions [s]


@lab("hosts", lacking=lambda **_: network.lacking(), limit=60.0)
def hosts(scene: Scene, *, fault: Fault = "all", period: float = 0.05, threshold: float = 8.0) -> Mapping[str, Any]:
    """Give each service of the shop a host of its own, pull one's plug, and see what a client sees.

    A host is a network namespace with a wire to a bridge. On each runs a service, which sends heartbeats; a client on
    one more host asks each again and again, and listens. A killed process is refused at once, by the kernel that
    outlived it; a host that is gone, or whose plug is pulled, is silent, and only time tells. Which of the two it
    was, the client cannot tell: the plug is put back, and the host answers as if nothing had been.

    Parameters
    ----------
    fault : str
        What goes wrong with payment's host.
    period : float
        Heartbeats come so often [s], 0.01 to 0.2.
    threshold : float
        Phi from which on a host is suspected, 0.5 to 16.
    """
    for name, value, least, most in (("period", period, 0.01, 0.2), ("threshold", threshold, 0.5, 16)):
        if not least <= value <= most:
            raise ValueError(f"{name} must be from {least} to {most}, got {value!r}")
    rows = []
    facts: dict[str, Any] = {}
    for one in FAULTS if fault == "all" else (fault,):
        row, found = _trial(scene, one, period, threshold)
        rows.append(row)
        facts |= found
    return {"rows": rows, "facts": facts}


def _trial(scene: Scene, fault: str, period: float, threshold: float) -> tuple[dict[str, Any], dict[str, Any]]:
    began = time.monotonic()
    net = network.Network(scene, fault)
    client = net.add_host("client")
    heard = f"{fault}-heard"
    running = [net.spawn("client", command("listen", client.address, network.PORT), heard)]
    scene.wait_until(lambda: scene.log_of(heard), _PATIENCE, "the listener")
    services = {name: net.add_host(name) for name in SHOP}
    for number, (name, host) in enumerate(services.items()):
        for what in (("serve", host.address, network.PORT), ("beat", client.address, network.PORT, period, number)):
            running.append(net.spawn(name, command(*what), f"{fault}-{name}-{what[0]}"))
    servers = [f"{host.address}:{network.PORT}" for host in services.values()]
    running.append(net.spawn("client", command("ask", _EVERY, _DEADLINE, *servers), f"{fault}-asked"))
    answers = network.Answers(scene, f"{fault}-asked", {host.address: name for name, host in services.items()})

    def up() -> bool:
        return all(answers.answered(name) >= 5 and len(_arrivals(scene, heard, k)) >= 20 for k, name in enumerate(SHOP))

    scene.wait_until(up, _PATIENCE, "answers and heartbeats of all hosts")
    ready = time.monotonic() - began
    others = [name for name in SHOP if name != STRUCK]
    scene.tell("lab", f"all hosts answer; now {FAULTS[fault]}")
    cut = time.monotonic()
    if fault in ("plug", "host"):  # a host without power says no farewell, as a dying process does
        net.pull_plug(STRUCK)
    if fault in ("process", "host"):
        at = 1 + 2 * list(SHOP).index(STRUCK)
        for process in running[at : at + 2]:
            process.kill()
    if fault == "host":
        net.end_host(STRUCK)
    elif fault == "bridge":
        net.bridge_down()
    done = time.monotonic()

    def enough() -> bool:
        return all(len(answers.all(name, done)) >= 4 for name in SHOP)

    scene.wait_until(enough, _PATIENCE, "what the client sees")
    outcomes = answers.outcomes(STRUCK, done)
    sees = outcomes.most_common(1)[0][0]
    failures = [one["at"] + one["took"] for one in answers.all(STRUCK, cut) if one["outcome"] != "answered"]
    known = min(failures) - cut if failures else None
    suspected = _deadline(scene, heard, list(SHOP).index(STRUCK), period, threshold) - cut
    cut_off = [name for name in others if not answers.answered(name, done)]
    scene.tell("client", f"{STRUCK}: {sees}", at=None if known is None else scene.since_start(cut + known))
    scene.tell("detector", f"suspects {STRUCK}", at=scene.since_start(cut + suspected))
    facts: dict[str, Any] = {}
    if fault == "plug":
        net.put_plug_back(STRUCK)
        back = time.monotonic()
        scene.tell("lab", "the plug is put back")
        scene.wait_until(lambda: answers.answered(STRUCK, back), _PATIENCE, "an answer after the plug is back")
        scene.tell("client", f"{STRUCK} answers again: it had been running all the while")
        facts["answers_after_plug_is_back"] = True
    for process in running:
        process.kill()
        process.wait()
    net.end()
    return {
        "fault": fault,
        "client_sees": sees,
        "known_after": None if known is None else round(known, 3),
        "suspected_after": round(suspected, 3),
        "others_cut_off": len(cut_off),
        "others": len(others),
        "hosts_ready_after": round(ready, 3),
    }, facts


def _arrivals(scene: Scene, log: str, sender: int) -> list[int]:
    """When heartbeats of one sender arrived, as the listener wrote it [ns]."""
    found = []
    for line in Path(scene.folder, f"{log}.log").read_text(encoding="utf-8").split("\n")[:-1]:
        heartbeat = json.loads(line)
        if heartbeat.get("sender") == sender:
            found.append(heartbeat["arrival"])
    return found


def _deadline(scene: Scene, log: str, sender: int, period: float, threshold: float) -> float:
    """When a monitor began to suspect the sender for good [s], on the monotonic clock."""
    monitor = Monitor(PhiNormal(window=100, min_deviation=period / 10), threshold)
    for arrival in _arrivals(scene, log, sender):
        monitor.heartbeat(now=arrival)
    deadline = monitor.deadline()
    return float(np.nan if deadline is None else deadline) / 1e9
