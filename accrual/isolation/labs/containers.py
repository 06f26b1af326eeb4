"""``accrual lab containers``: caps that hold, a network that is shared all the same, and the hog next door."""

from __future__ import annotations

import json
import os
import shutil
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from subprocess import Popen
from typing import Any, Final, Literal

import numpy as np

from accrual.detectors import FixedTimeout, PhiNormal
from accrual.isolation.labs import container, network
from accrual.isolation.labs.actor import command
from accrual.isolation.labs.container import Container, disk_of
from accrual.isolation.labs.hearing import Hearing, mistakes_between
from accrual.isolation.shop import SHOP
from accrual.lab import Lack, Scene, lab

__all__ = ["containers"]

Part = Literal["all", "memory", "cpu", "pids", "disk", "freeze", "network", "hog"]

_NEEDS: Final[dict[str, tuple[str, ...]]] = {
    "memory": ("memory", "freezer"),
    "cpu": ("cpu", "freezer"),
    "pids": ("pids", "freezer"),
    "disk": ("freezer",),
    "freeze": ("freezer",),
    "network": ("freezer",),
    "hog": ("cpu", "freezer"),
}

MEMORY: Final = 64 * 2**20
"""The memory cap [bytes]: a Python with what it needs takes 10 MiB."""
SHARE: Final = 0.2
"""The cap on processor time: a fifth of one processor."""
QUOTA: Final = 0.02
"""Over which it is counted [s], a fifth of the kernel's own choice: the hog runs for 4 ms at a time, not for 20."""
PROCESSES: Final = 8
RATE: Final = 2 * 2**20
"""The cap on writing [bytes/s]."""
_WRITTEN: Final = 4  # MiB; two seconds at that rate

_BEAT: Final = 0.05  # of neighbours [s]
_PATIENCE: Final = 20.0  # for what takes a fraction of a second on an idle machine [s]


def _lacking(*, part: str = "all", **_: Any) -> list[Lack]:
    wanted = dict.fromkeys(need for one in _parts(part) for need in _NEEDS.get(one, ()))
    return [*container.lacking(*wanted), *(network.lacking() if "network" in _parts(part) else ())]


def _parts(part: str) -> list[str]:
    return list(_NEEDS) if part == "all" else [part]


@lab("containers", lacking=_lacking, limit=60.0)
def containers(
    scene: Scene, *, part: Part = "all", seconds: float = 3.0, period: float = 0.01, hogs: int = 8
) -> Mapping[str, Any]:
    """Run the shop's services in containers, let payment go wrong, and see who else suffers.

    A container is a process that sees little (namespaces, by bubblewrap) and may use little (control groups, version 1
    or 2). Each cap is met once: memory, processor time, number of processes, writing to disk; and one is frozen and
    thawed, which is silent like a dead one. What is not capped is shared: the bridge that joins the containers'
    networks goes down, and both are cut off. And a service with a hog next door sends heartbeats, which say what its
    neighbour does to it: alone, beside a hog without a cap, beside one with a cap.

    Parameters
    ----------
    part : str
        Which of it.
    seconds : float
        How long each of the three phases of the hog next door lasts [s], 1 to 8.
    period : float
        The victim's heartbeats come so often [s], 0.002 to 0.1.
    hogs : int
        Processes that compute without end, 1 to 64.
    """
    for name, value, least, most in (("seconds", seconds, 1, 8), ("period", period, 0.002, 0.1), ("hogs", hogs, 1, 64)):
        if not least <= value <= most:
            raise ValueError(f"{name} must be from {least} to {most}, got {value!r}")
    rows: list[dict[str, Any]] = []
    facts: dict[str, Any] = {}
    with Hearing() as hearing:
        caps = [one for one in _parts(part) if one in _CAPS]
        if caps:
            neighbours = _Neighbours(scene, hearing)
            for one in caps:
                rows.append(_CAPS[one](scene, neighbours))
            neighbours.end()
            facts |= neighbours.facts
        if "network" in _parts(part):
            rows.append(_bridge(scene))
        if "hog" in _parts(part):
            phases, throttled = _hog(scene, hearing, seconds, period, hogs)
            for phase, found in phases.items():
                cap = f"cpu {SHARE:g}" if phase == "capped" else "none"
                what = f"victim's deviation {1e3 * found['deviation']:.2f} ms"
                harmed, counted = int(found["fixed_mistakes"] > 0), throttled if phase == "capped" else None
                rows.append(_row(cap, "none" if phase == "alone" else "hog next door", what, counted, harmed, 1, None))
                facts |= {f"{phase}_{name}": value for name, value in found.items()}
    return {"rows": rows, "facts": facts}


def _row(
    cap: str, fault: str, what: str, counted: int | None, harmed: int, of: int, took: float | None
) -> dict[str, Any]:
    return {
        "cap": cap,
        "fault": fault,
        "what_happened": what,
        "kernel_counted": counted,
        "neighbours_harmed": harmed,
        "neighbours": of,
        "took": took,
    }


class _Neighbours:
    """Order and delivery, each in a container, sending heartbeats; payment is the one that goes wrong."""

    NAMES: Final = tuple(name for name in SHOP if name != "payment")

    def __init__(self, scene: Scene, hearing: Hearing) -> None:
        self._scene, self.hearing = scene, hearing
        self._senders = {name: hearing.new_sender() for name in self.NAMES}
        self._processes: dict[str, Popen[Any]] = {}
        began = time.monotonic()
        for name, sender in self._senders.items():
            program = command("beat", "127.0.0.1", hearing.port, _BEAT, sender)
            self._processes[name] = Container(scene, name).spawn(program)
        scene.wait_until(lambda: all(map(hearing.count, self._senders.values())), _PATIENCE, self._said())
        self.facts = {"seconds_to_first_heartbeat": round(time.monotonic() - began, 3)}
        scene.tell("lab", f"{' and '.join(self.NAMES)} run in containers and send heartbeats")

    def _said(self) -> str:
        said = "; ".join(filter(None, map(self._scene.log_of, self.NAMES)))
        return f"the first heartbeats of containers{': ' * bool(said)}{said}"

    def harmed(self) -> list[str]:
        """Who has ended, or sends no heartbeats any more."""
        before = {name: self.hearing.count(sender) for name, sender in self._senders.items()}
        end = time.monotonic() + _PATIENCE
        silent = set(before)
        while silent and time.monotonic() < end:
            silent = {name for name in silent if self.hearing.count(self._senders[name]) < before[name] + 3}
            time.sleep(_BEAT / 5)
        return sorted(silent | {name for name, process in self._processes.items() if process.poll() is not None})

    def end(self) -> None:
        for process in self._processes.values():
            process.kill()  # bubblewrap, whose child dies with it
            process.wait()


def _last(scene: Scene, name: str) -> dict[str, Any]:
    """What an actor said last."""
    for line in reversed(scene.log_of(name, lines=3).splitlines()):
        if line.startswith("{") and line.endswith("}"):
            found: dict[str, Any] = json.loads(line)
            return found
    return {}


def _memory(scene: Scene, neighbours: _Neighbours) -> dict[str, Any]:
    payment = Container(scene, "payment-memory", memory=MEMORY)
    began = time.monotonic()
    process = payment.spawn(command("hog-memory", 4 * MEMORY // 2**20))
    scene.tell("payment", f"takes memory without end, may have {MEMORY // 2**20} MiB")
    scene.wait_until(lambda: process.poll() is not None, _PATIENCE, "the end of the memory hog")
    took = time.monotonic() - began
    killed, taken = payment.count("oom_kill"), _last(scene, payment.name).get("taken", 0)
    harmed = neighbours.harmed()
    scene.tell("payment", f"killed by the kernel after {taken} MiB")
    what = f"killed after {taken} MiB" if killed else f"ended with {process.returncode}, not killed"
    return _row(
        f"memory {MEMORY // 2**20} MiB", "memory-hog", what, killed, len(harmed), len(neighbours.NAMES), round(took, 3)
    )


def _cpu(scene: Scene, neighbours: _Neighbours) -> dict[str, Any]:
    payment = Container(scene, "payment-cpu", cpu=SHARE, period=QUOTA)
    process = payment.spawn(command("hog-cpu", os.cpu_count() or 1))
    scene.tell("payment", f"computes on all processors, may have {SHARE:g} of one")
    scene.wait_until(lambda: payment.count("nr_throttled") >= 3, _PATIENCE, "being throttled")
    before, began = _used(payment), time.monotonic()
    harmed = neighbours.harmed()
    time.sleep(max(0.0, began + 1.0 - time.monotonic()))
    share = (_used(payment) - before) / (time.monotonic() - began)
    throttled = payment.count("nr_throttled")
    process.kill()
    process.wait()
    scene.tell("payment", f"got {share:.2f} of a processor, was held back in {throttled} periods")
    what = f"got {share:.2f} of a processor"
    return _row(f"cpu {SHARE:g}", "cpu-hog", what, throttled, len(harmed), len(neighbours.NAMES), None)


def _used(one: Container) -> float:
    """Processor time that a container's processes have used [s]."""
    ticks = 0
    for pid in one.members():
        try:
            said = Path(f"/proc/{pid}/stat").read_text(errors="replace").rpartition(")")[2].split()
        except OSError:
            continue
        ticks += int(said[11]) + int(said[12])
    return ticks / os.sysconf("SC_CLK_TCK")


def _pids(scene: Scene, neighbours: _Neighbours) -> dict[str, Any]:
    payment = Container(scene, "payment-pids", processes=PROCESSES)
    began = time.monotonic()
    process = payment.spawn(command("fork", 4 * PROCESSES))
    scene.wait_until(lambda: _last(scene, payment.name), _PATIENCE, "what came of forking")
    took, said = time.monotonic() - began, _last(scene, payment.name)
    refused, harmed = payment.count("max"), neighbours.harmed()
    process.kill()
    process.wait()
    what = f"fork {said['started'] + 1} refused: {said['refused']}" if said["refused"] else "all forks allowed"
    scene.tell("payment", what)
    return _row(
        f"{PROCESSES} processes", "fork-bomb", what, refused, len(harmed), len(neighbours.NAMES), round(took, 3)
    )


def _disk(scene: Scene, neighbours: _Neighbours) -> dict[str, Any]:
    cap = f"disk {RATE // 2**20} MiB/s"
    disk = disk_of(scene.folder)
    try:
        if disk is None:
            raise OSError("the folder for temporary files is on no disk of its own")
        payment = Container(scene, "payment-disk", disk=(disk, RATE))
    except OSError as error:  # version 2 hands it down to few users
        scene.tell("lab", f"no cap on the disk: {error}")
        return _row(cap, "disk-hog", f"not tried: {error}", None, 0, 0, None)
    share = scene.folder / "payment"
    share.mkdir()
    process = payment.spawn(command("write", share / "data", _WRITTEN), share=share)
    scene.tell("payment", f"writes {_WRITTEN} MiB, may write {RATE // 2**20} MiB/s")
    scene.wait_until(lambda: process.poll() is not None, _PATIENCE, "the end of writing")
    said, harmed = _last(scene, payment.name), neighbours.harmed()
    if "seconds" not in said:
        return _row(
            cap, "disk-hog", f"not tried: {scene.log_of(payment.name, 1)}", None, len(harmed), len(harmed), None
        )
    what = f"wrote {_WRITTEN / said['seconds']:.2f} MiB/s"
    scene.tell("payment", what)
    return _row(cap, "disk-hog", what, None, len(harmed), len(neighbours.NAMES), round(said["seconds"], 3))


def _freeze(scene: Scene, neighbours: _Neighbours) -> dict[str, Any]:
    """Stop a whole container for a while, as for a migration: it is silent, and yet it is not dead."""
    payment, sender = Container(scene, "payment-freeze"), neighbours.hearing.new_sender()
    process = payment.spawn(command("beat", "127.0.0.1", neighbours.hearing.port, _BEAT, sender))
    scene.wait_until(lambda: neighbours.hearing.count(sender) >= 3, _PATIENCE, "payment's heartbeats")
    payment.freeze()
    scene.tell("payment", "frozen")
    time.sleep(2 * _BEAT)  # one may be under way
    before, began = neighbours.hearing.count(sender), time.monotonic()
    harmed = neighbours.harmed()
    time.sleep(max(0.0, began + 10 * _BEAT - time.monotonic()))
    silent, alive = neighbours.hearing.count(sender) == before, process.poll() is None
    payment.freeze(False)
    scene.wait_until(lambda: neighbours.hearing.count(sender) >= before + 3, _PATIENCE, "heartbeats after the thaw")
    took = time.monotonic() - began
    process.kill()
    process.wait()
    what = f"{'silent' if silent else 'not silent'}, {'alive' if alive else 'dead'}, then as before"
    scene.tell("payment", what)
    return _row("freezer", "pause", what, None, len(harmed), len(neighbours.NAMES), round(took, 3))


_CAPS: Final[dict[str, Callable[[Scene, _Neighbours], dict[str, Any]]]] = {
    "memory": _memory,
    "cpu": _cpu,
    "pids": _pids,
    "disk": _disk,
    "freeze": _freeze,
}


def _bridge(scene: Scene) -> dict[str, Any]:
    """Two containers on one bridge, which goes down: what a client on the host sees of both."""
    names = ("order", "delivery")
    net = network.Network(scene, "bridge")
    inside = {name: net.add_host(name) for name in names}
    running = {
        name: Container(scene, f"{name}-net").spawn(
            command("serve", one.address, network.PORT), inside=net.prefix(name)
        )
        for name, one in inside.items()
    }
    net.spawn(None, command("ask", 0.05, 0.3, *(f"{one.address}:{network.PORT}" for one in inside.values())), "asking")
    answers = network.Answers(scene, "asking", {one.address: name for name, one in inside.items()})
    scene.wait_until(lambda: all(answers.answered(name) >= 3 for name in names), _PATIENCE, "answers over the bridge")
    scene.tell("client", "both containers answer over the bridge")
    cut = time.monotonic()
    net.bridge_down()
    down = time.monotonic()  # what was asked while it went down may still have been answered
    scene.tell("lab", "the bridge goes down")
    scene.wait_until(lambda: all(answers.failed(name, down) >= 2 for name in names), _PATIENCE, "failures")
    took = time.monotonic() - cut
    alive = [name for name, process in running.items() if process.poll() is None]
    cut_off = [name for name in names if answers.answered(name, down) == 0]
    scene.tell("client", f"no answer from {' and '.join(cut_off)}; their processes run on")
    what = f"both cut off, {len(alive)} of 2 processes run on" if len(cut_off) == 2 else f"{cut_off} cut off"
    for process in running.values():
        process.kill()
        process.wait()
    net.end()
    return _row("none: one bridge", "bridge-down", what, None, len(cut_off), len(names), round(took, 3))


PHASES: Final = ("alone", "hog", "capped")


def _hog(
    scene: Scene, hearing: Hearing, seconds: float, period: float, hogs: int
) -> tuple[dict[str, dict[str, Any]], int]:
    """The victim's heartbeats while it is alone, beside hogs, and beside hogs with a cap, all on one processor."""
    processor = min(os.sched_getaffinity(0))
    pin = ["taskset", "--cpu-list", str(processor)] if shutil.which("taskset") else []
    sender = hearing.new_sender()
    work = period / 5
    victim = Container(scene, "victim")
    victim.spawn([*pin, *command("beat", "127.0.0.1", hearing.port, period, sender, work)])
    scene.wait_until(lambda: hearing.count(sender) >= 20, _PATIENCE, f"the victim: {scene.log_of('victim')}")
    spans: dict[str, tuple[int, int]] = {}
    throttled = 0
    told = {
        "alone": "is alone",
        "hog": f"has {hogs} hogs in its own group, without a cap",
        "capped": f"has the same hogs next door, which may have {SHARE:g} of a processor",
    }
    for phase in PHASES:
        scene.tell("victim", told[phase])
        process, neighbour = None, victim
        if phase != "alone":
            if phase == "capped":
                neighbour = Container(scene, "hog", cpu=SHARE, period=QUOTA)
            before = len(neighbour.members())
            process = scene.spawn(neighbour.command([*pin, *command("hog-cpu", hogs)]), f"hog-{phase}")
            scene.wait_until(lambda: len(neighbour.members()) >= before + hogs, _PATIENCE, "the hogs")  # noqa: B023
        start = time.monotonic_ns()
        time.sleep(seconds)
        spans[phase] = (start, time.monotonic_ns())
        if process is not None:
            if phase == "capped":
                throttled = neighbour.count("nr_throttled")
            process.kill()
            process.wait()
            scene.wait_until(lambda: len(neighbour.members()) <= before, _PATIENCE, "the end of the hogs")  # noqa: B023
    trace = hearing.trace(sender)
    found: dict[str, Any] = {}
    for phase, (start, end) in spans.items():
        arrivals = trace.arrivals[(start <= trace.arrivals) & (trace.arrivals < end)]
        intervals = np.diff(arrivals) / 1e9
        found[phase] = {
            "heartbeats": len(arrivals),
            "mean": round(float(intervals.mean()), 6),
            "deviation": round(float(intervals.std()), 6),
            "longest": round(float(intervals.max()), 6),
            "fixed_mistakes": mistakes_between(trace, FixedTimeout(period=period), 3.0, start, end),
            "phi_mistakes": mistakes_between(trace, PhiNormal(window=100), 8.0, start, end),
        }
        scene.tell("victim", f"{phase}: deviation {1e3 * found[phase]['deviation']:.2f} ms")
    return found, throttled
