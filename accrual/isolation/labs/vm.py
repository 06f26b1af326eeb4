"""``accrual lab vm``: a kernel for each service; one panics, and the others and the host do not even notice."""

from __future__ import annotations

import subprocess
import threading
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from accrual.detectors import PhiNormal
from accrual.isolation.labs import guest
from accrual.isolation.labs.actor import command
from accrual.isolation.labs.hearing import Hearing
from accrual.isolation.shop import SHOP
from accrual.lab import LabError, Scene, lab
from accrual.monitor import Monitor

__all__ = ["vm"]

MEMORY: Final = 96
"""Of each guest [MiB]; its kernel and its world take half of it."""

_PATIENCE: Final = 120.0  # three boots at once take 6 s on an idle machine with two cores, 26 where it was busy [s]
_HEARD: Final = 15  # heartbeats before anything goes wrong, and of the others after it

# Heartbeats come from a loop of their own, orders are taken by another.
INIT: Final = """
export PATH=/bin
exec </dev/ttyS1 >/dev/ttyS1
busybox stty raw -echo
( n=0; while :; do echo "beat $n"; n=$((n + 1)); busybox usleep {period}; done ) &
while read -r order; do
    case $order in
        memory-hog) busybox tail /dev/zero 2>/dev/null & ;;
        cpu-hog) while :; do :; done & ;;
        panic) echo c >/proc/sysrq-trigger ;;
    esac
done
busybox poweroff -f
"""


class _Machine:
    """A virtual machine that sends heartbeats through its serial port, and the monitor that hears them."""

    def __init__(self, scene: Scene, name: str, period: float, threshold: float) -> None:
        self._scene, self.name = scene, name
        self.console = scene.folder / f"{name}-console.log"
        image = guest.kernel()
        if image is None:
            raise LabError("the kernel is gone")  # it was there a moment ago
        self.monitor = Monitor(PhiNormal(window=100, min_deviation=period / 4), threshold)
        self.began = time.monotonic()
        self.process = scene.spawn(
            guest.machine(image.image, scene.folder / "initrd", self.console, MEMORY),
            name,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=(scene.folder / f"{name}.log").open("wb"),
        )
        self.first: float | None = None
        self.ended: float | None = None
        self._thread = threading.Thread(target=self._hear, daemon=True)
        self._thread.start()

    def _hear(self) -> None:
        assert self.process.stdout is not None  # for it is a pipe
        for line in self.process.stdout:
            now = time.monotonic_ns()
            if line.startswith(b"beat"):
                self.first = self.first or now / 1e9
                self.monitor.heartbeat(now=now)
        self.process.wait()
        self.ended = time.monotonic()

    def order(self, what: str) -> None:
        assert self.process.stdin is not None  # for it is a pipe
        self.process.stdin.write(what.encode() + b"\n")
        self.process.stdin.flush()

    def heard(self) -> int:
        return self.monitor.accepted

    def console_says(self, what: str) -> bool:
        return what in self.said()

    def said(self) -> str:
        """What the guest's kernel wrote to its console."""
        return self.console.read_text(encoding="utf-8", errors="replace") if self.console.exists() else ""

    def suspected_at(self) -> float | None:
        deadline = self.monitor.deadline()
        return None if deadline is None else deadline / 1e9

    def memory(self) -> int:
        """What it takes of the host's [bytes]."""
        status = Path(f"/proc/{self.process.pid}/status").read_text(encoding="ascii")
        return next(int(line.split()[1]) for line in status.splitlines() if line.startswith("VmRSS:")) * 1024

    def stop(self) -> None:
        self.process.kill()
        self._thread.join()


@lab("vm", lacking=lambda **_: guest.lacking(), limit=180.0)
def vm(scene: Scene, *, period: float = 0.1, threshold: float = 8.0) -> Mapping[str, Any]:
    """Give each service of the shop a virtual machine, and let kernels panic.

    Each guest is a Linux kernel with one program, under qemu, which interprets it (TCG): no hardware for it and no
    rights are needed. It sends heartbeats through its serial port. In payment's, a process takes all memory (the
    guest's kernel kills it), one computes without end, and the kernel panics; delivery's qemu is killed from outside.
    A process of the host sends heartbeats all the while, and order's machine is never touched.

    Parameters
    ----------
    period : float
        Heartbeats come so often [s], and a little: a guest that is interpreted is slow. 0.05 to 0.5.
    threshold : float
        Phi from which on a machine is suspected, 0.5 to 16.
    """
    for name, value, least, most in (("period", period, 0.05, 0.5), ("threshold", threshold, 0.5, 16)):
        if not least <= value <= most:
            raise ValueError(f"{name} must be from {least} to {most}, got {value!r}")
    guest.initrd(scene.folder / "initrd", INIT.format(period=round(period * 1e6)))
    with Hearing() as hearing:
        host = hearing.new_sender()
        beside = scene.spawn(command("beat", "127.0.0.1", hearing.port, period, host), "host")
        machines = {name: _Machine(scene, name, period, threshold) for name in SHOP}
        scene.tell("lab", f"three virtual machines are started, {MEMORY} MiB each")
        for name, one in machines.items():
            _until(scene, one, lambda one=one: one.first is not None, f"the first heartbeat of {name}")
            scene.tell(name, "the first heartbeat", at=scene.since_start(one.first or 0.0))
        boots = {name: (one.first or 0.0) - one.began for name, one in machines.items()}
        memory = max(one.memory() for one in machines.values())
        for one in machines.values():
            _until(scene, one, lambda one=one: one.heard() >= _HEARD, f"heartbeats of {one.name}")
        rows = []
        alive = dict(machines)
        for fault, struck in (
            ("memory-hog", "payment"),
            ("cpu-hog", "payment"),
            ("panic", "payment"),
            ("kill", "delivery"),
        ):
            rows.append(_strike(scene, fault, machines[struck], alive, hearing, host))
            alive = {name: one for name, one in alive.items() if one.ended is None}
        for one in machines.values():
            one.stop()
        beside.kill()
        beside.wait()
    image = guest.kernel()
    facts = {
        "boot": round(sorted(boots.values())[len(boots) // 2], 3),
        "memory_of_one": memory,
        "kernel": image.image.name.removeprefix("vmlinuz-") if image else None,
    }
    return {"rows": rows, "facts": facts}


def _until(scene: Scene, one: _Machine, condition: Any, what: str) -> None:
    """Wait for that, and no longer when the machine has ended."""
    scene.wait_until(lambda: condition() or one.ended is not None, _PATIENCE, what)
    if not condition():
        raise LabError(f"{what}: {one.name}'s machine ended; {scene.log_of(one.name)} {one.said()[-300:]}".strip())


def _strike(
    scene: Scene, fault: str, struck: _Machine, alive: Mapping[str, _Machine], hearing: Hearing, host: int
) -> dict[str, Any]:
    before, heard = {name: one.heard() for name, one in alive.items()}, hearing.count(host)
    at = time.monotonic()
    scene.tell("lab", f"{fault} in the machine of {struck.name}")
    if fault == "kill":
        struck.process.kill()
    else:
        struck.order(fault)
    others = {name: one for name, one in alive.items() if one is not struck}
    if fault == "memory-hog":
        scene.wait_until(lambda: struck.console_says("Out of memory: Killed"), _PATIENCE, "the guest's out-of-memory")
        what = "the guest's kernel killed the hog"
    elif fault == "cpu-hog":
        what = "the machine is busy"
    else:
        scene.wait_until(lambda: struck.ended is not None, _PATIENCE, f"the end of {struck.name}'s machine")
        what = f"the machine ended, exit status {struck.process.returncode}"
        if fault == "panic" and struck.console_says("Kernel panic"):
            what = "kernel panic, the machine ended"
    # Everybody who still runs is heard again: time enough to see who does not.
    survivors = {name: one for name, one in alive.items() if one.ended is None}
    scene.wait_until(
        lambda: (
            all(one.heard() >= before[name] + _HEARD or one.ended is not None for name, one in survivors.items())
            and hearing.count(host) >= heard + _HEARD
        ),
        _PATIENCE,
        "heartbeats after the fault",
    )
    lost = [name for name, one in alive.items() if one.ended is not None]
    suspected = struck.suspected_at() if struck.name in lost else None
    if suspected is not None:
        scene.tell("detector", f"suspects {struck.name}", at=scene.since_start(suspected))
    scene.tell(struck.name, what)
    return {
        "fault": fault,
        "machine": struck.name,
        "what_happened": what,
        "suspected_after": None if suspected is None else round(suspected - at, 3),
        "ended_after": None if struck.ended is None else round(struck.ended - at, 3),
        "machines_lost": len(lost),
        "others_lost": sum(name in lost for name in others),
        "others": len(others),
        "host_harmed": hearing.count(host) < heard + _HEARD,
    }
