"""The coarser levels of isolation for real: containers, virtual machines, hosts; see `levels` for the finer ones."""

from __future__ import annotations

import os
import shlex
import subprocess
import sys
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

from accrual.isolation.labs import container, guest, network
from accrual.isolation.labs import service as program
from accrual.isolation.labs.actor import command as actor
from accrual.isolation.labs.container import Container
from accrual.isolation.labs.levels import Level, Unit, command
from accrual.isolation.labs.load import Load
from accrual.lab import LabError, Lack, Scene
from accrual.lab.scene import free_port

__all__ = ["ContainerLevel", "HostLevel", "VmLevel"]

_MIB: Final = 1 << 20
_PYTHON: Final = 32
"""What a service takes before it serves anybody, and some more [MiB]."""
_SHARE: Final = 0.5
"""Of a processor: a service of the shop needs a hundredth."""
_PERIOD: Final = 0.02  # over which that is counted [s]
_PROCESSES: Final = 64
_GUEST: Final = 256
"""A virtual machine's memory [MiB]: its world, which has no disk, is a quarter of it."""


class ContainerLevel(Level):
    """A container for each service: bubblewrap, and caps on memory, processor time and processes by control groups."""

    name = "container"

    def __init__(self) -> None:
        self._memory: dict[str, int] = {}

    def lacking(self) -> list[Lack]:
        """What this machine lacks for it."""
        return container.lacking("memory", "cpu", "pids", "freezer")

    def caps(self, load: Load) -> int | None:
        """None: the container has one."""
        return None

    def unit(self, name: str, services: Sequence[str], load: Load) -> Unit:
        """The cap on memory is what the process level's would be."""
        found = super().unit(name, services, load)
        self._memory[name] = (_PYTHON + (load.headroom or 2 * _PYTHON)) * _MIB
        found.configuration["most"] = max(found.configuration["most"], 2 * self._memory[name])
        return found

    def start(self, scene: Scene, unit: Unit) -> subprocess.Popen[Any]:
        """Start one, which may write to the lab's folder, where the sockets are."""
        box = Container(
            scene, unit.name, memory=self._memory[unit.name], cpu=_SHARE, period=_PERIOD, processes=_PROCESSES
        )
        return box.spawn(command(unit.configuration), share=scene.folder)


# The service's end is the machine's; its first words, and that it listens, go to the first serial port.
_SERVE: Final = """
exec >/dev/ttyS1 2>&1
cd /tmp
{command} &
listens() {{ while read -r line; do case $line in *:{port:04X}*) return 0 ;; esac; done </proc/net/tcp; return 1; }}
until listens; do busybox usleep 100000; done
echo {up}
wait $!
busybox poweroff -f
"""
_UP: Final = "serving"


class VmLevel(Level):
    """A virtual machine for each service, with a kernel, this Python and nothing else, under qemu (TCG).

    Services reach one another through qemu's user network and the host's loopback interface. A boot takes seconds, so
    one trial runs at a time; and an interpreted guest is some ten times as slow as its host, which the figures show.
    """

    name = "vm"
    at_once = 1
    slow = True
    patience = 120.0

    def __init__(self) -> None:
        self._relays: dict[str, subprocess.Popen[Any]] = {}
        self._world: dict[str, bytes | Path] = {}

    def lacking(self) -> list[Lack]:
        """What this machine lacks for it."""
        found = guest.kernel()
        lacks = guest.lacking()
        if found is not None and not found.modules.exists():
            lacks.append(Lack(f"the modules of {found.image}", f"they belong to {found.modules}"))
        return lacks

    def addresses(self, name: str, services: Sequence[str]) -> tuple[dict[str, str], dict[str, str], dict[str, str]]:
        """A port of the guest, the socket of a relay that waits for the guest, and a port of the host."""
        [service] = services
        return (
            {service: f"tcp:10.0.2.15:{network.PORT}"},
            {service: f"unix:{name}.socket"},
            {service: f"tcp:10.0.2.2:{free_port()}"},
        )

    def caps(self, load: Load) -> int | None:
        """None: the machine has only so much."""
        return None

    def start(self, scene: Scene, unit: Unit) -> subprocess.Popen[Any]:
        """Boot one."""
        [service] = unit.services
        found = guest.kernel()
        if found is None:
            raise LabError("the kernel is gone")  # it was there a moment ago
        self._world = self._world or {
            **guest.python_world(program.__file__),
            **guest.network_modules(found.modules),
            "/service.py": Path(program.__file__),
        }
        python = os.path.realpath(sys.executable)
        serve = shlex.join(command(unit.configuration, python=python, path="/service.py"))
        init = guest.ONLINE + _SERVE.format(command=serve, port=network.PORT, up=_UP)
        packed, log = scene.folder / f"{unit.name}.initrd", f"{unit.name}-{unit.starts}"
        guest.initrd(packed, init, self._world)
        port = unit.inside[service].rpartition(":")[2]
        forward = f"user,model=virtio-net-pci,hostfwd=tcp:127.0.0.1:{port}-10.0.2.15:{network.PORT}"
        console = scene.folder / f"{unit.name}-console.log"
        machine = scene.spawn(guest.machine(found.image, packed, console, _GUEST, ["-nic", forward]), log)
        self._end_relay(unit)
        # qemu takes connections long before the guest could: the relay waits for the guest's word.
        relay = actor("relay", f"{unit.name}.socket", f"127.0.0.1:{port}", scene.folder / f"{log}.log", _UP)
        self._relays[unit.name] = scene.spawn(relay, f"{unit.name}-relay")
        return machine

    def stop(self, unit: Unit) -> None:
        """End it."""
        super().stop(unit)
        self._end_relay(unit)

    def _end_relay(self, unit: Unit) -> None:
        relay = self._relays.pop(unit.name, None)
        if relay is not None:
            relay.kill()
            relay.wait()


class HostLevel(Level):
    """A host for each service: a network namespace with a wire to a bridge.

    Services reach one another over the bridge. The lab is not on it: it reaches each by a relay at the bridge, so that
    a client's round trip is longer than a service's.
    """

    name = "host"

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._scene: Scene | None = None
        self._network: network.Network | None = None
        self._addresses: dict[str, str] = {}
        self._relays: dict[str, list[subprocess.Popen[Any]]] = {}

    def lacking(self) -> list[Lack]:
        """What this machine lacks for it."""
        return network.lacking()

    def addresses(self, name: str, services: Sequence[str]) -> tuple[dict[str, str], dict[str, str], dict[str, str]]:
        """A port of the host for each service, and a socket of its relay."""
        with self._lock:
            address = self._addresses.setdefault(name, network.address(len(self._addresses) + 1))
        inside = {service: f"tcp:{address}:{network.PORT + number}" for number, service in enumerate(services)}
        return inside, {service: f"unix:{name}-{service}.socket" for service in services}, inside

    def start(self, scene: Scene, unit: Unit) -> subprocess.Popen[Any]:
        """Start one, or start the service again on a host that is there."""
        with self._lock:
            if self._network is None or self._scene is not scene:
                self._scene, self._network = scene, network.Network(scene, "hosts")
            if unit.name not in self._relays:
                self._network.add_host(unit.name, self._addresses[unit.name])
                self._relays[unit.name] = [
                    self._network.spawn(
                        None,
                        actor(
                            "relay", unit.addresses[service].partition(":")[2], unit.inside[service].partition(":")[2]
                        ),
                        f"{unit.name}-relay",
                    )
                    for service in unit.services
                ]
        return self._network.spawn(unit.name, command(unit.configuration), unit.name)

    def stop(self, unit: Unit) -> None:
        """End it, and its host."""
        super().stop(unit)
        for relay in self._relays.pop(unit.name, ()):
            relay.kill()
            relay.wait()
        if self._network is not None:
            self._network.end_host(unit.name)
