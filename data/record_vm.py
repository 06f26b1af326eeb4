"""Record heartbeats out of a virtual machine that is stopped now and then, as for a migration or a snapshot.

    python data/record_vm.py KERNEL MODULES OUT

KERNEL is a Linux image with its MODULES folder (lib/modules/VERSION/kernel; on Debian, the package
linux-image-cloud-amd64), OUT the recording. Needs qemu-system-x86_64 and busybox. The guest has nothing
but this Python and `accrual/traces/wire.py`; its clock is its own and stands still with it, so that it never learns
that it was stopped.
"""

# ruff: noqa: S603  # programs of the system, on the files of whoever runs this
from __future__ import annotations

import os
import random
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

from accrual.isolation.labs import guest
from accrual.traces import wire
from accrual.traces.record import record

PERIOD = 0.02  # s
SECONDS = 600.0
EVERY, MEDIAN, SIGMA = 15.0, 1.0, 0.5  # of the stops, as in `accrual.traces.disturb.Pause`
SEED = 20040108

SEND = """
{python} -ISc "import sys; sys.path.append('/accrual'); import wire; wire.send(('10.0.2.2', {port}), {period})"
busybox poweroff -f
"""


def initrd(target: Path, modules: Path, port: int) -> None:
    """Pack the guest's whole world."""
    send = SEND.format(python=os.path.realpath(sys.executable), port=port, period=PERIOD)
    files = {
        **guest.python_world(wire.__file__),
        **guest.network_modules(modules),
        "/accrual/wire.py": Path(wire.__file__),
    }
    guest.initrd(target, guest.ONLINE + send, files)


def main(kernel: str, modules: str, out: str) -> None:
    """Boot it, stop it now and then, and record what it sends."""
    with wire.Receiver() as free:
        port = free.port
    over = threading.Event()
    stops: list[tuple[int, int]] = []
    with tempfile.TemporaryDirectory() as folder:
        packed = Path(folder, "initrd")
        initrd(packed, Path(modules), port)
        command = [
            "qemu-system-x86_64", "-accel", "tcg", "-m", "512", "-nographic", "-serial", "null", "-monitor", "stdio",
            "-no-reboot", "-kernel", kernel, "-initrd", str(packed), "-append", "console=ttyS0 panic=-1",
            "-nic", "user,model=virtio-net-pci",
        ]  # fmt: skip
        chance = random.Random(SEED)  # noqa: S311  # repeatable, not secret
        with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, text=True) as machine:

            def tell(word: str) -> None:
                machine.stdin.write(f"{word}\n")
                machine.stdin.flush()

            def stop_now_and_then() -> None:
                while not over.wait(chance.expovariate(1 / EVERY)):
                    start = time.monotonic_ns()
                    tell("stop")
                    over.wait(MEDIAN * chance.lognormvariate(0, SIGMA))
                    tell("cont")
                    stops.append((start, time.monotonic_ns()))
                tell("quit")

            stopper = threading.Thread(target=stop_now_and_then)
            stopper.start()
            try:
                trace = record(
                    out,
                    duration=SECONDS,
                    listen=("127.0.0.1", port),
                    title="A virtual machine that is stopped now and then and does not know it",
                )
            finally:
                over.set()
                stopper.join()
    # What the recorder, which saw nothing but datagrams, could not know.
    trace.about["command"] = f"nice -n {os.nice(0)} python data/record_vm.py vmlinuz modules {out}"
    trace.about["guest"] = f"Linux {Path(modules).parent.name}, QEMU, TCG"
    trace.about["disturbance"] = f"vm:accelerator=tcg,every={EVERY},median={MEDIAN},sigma={SIGMA}"
    trace.about["pauses"], trace.about["pauses_at"] = len(stops), stops
    trace.write(out)


if __name__ == "__main__":
    main(*sys.argv[1:])
