"""Hosts on one bridge, without hosts: network namespaces, each with a wire to a bridge in one more.

A namespace has no name and no file here, only a process that does nothing but hold it; with it, it is gone, and with
the namespace its wires and its bridge. So the keeper, who ends all processes, leaves none. Who is not root gets them in
a user namespace in which he is, where the system allows that; nothing outside is touched either way.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from subprocess import Popen
from typing import Any, Final, NamedTuple

from accrual.lab import LabError, Lack, Scene

__all__ = ["PORT", "Answers", "Host", "Network", "address", "lacking"]

PORT: Final = 7007
"""Of every service: in a network of its own there is nobody to quarrel with."""

_NET: Final = "192.0.2"  # set aside for documentation; nothing real has it
_MOST: Final = 253  # hosts; 254 is the bridge
_BRIDGE: Final = "bridge0"
_PATIENCE: Final = 30.0  # for what takes milliseconds [s]


def _as_root_inside() -> list[str]:
    return [] if os.geteuid() == 0 else ["--user", "--map-root-user"]


def lacking() -> list[Lack]:
    """What this machine lacks for it."""
    if sys.platform != "linux":
        return [Lack("Linux", "network namespaces are the Linux kernel's: run it in a virtual machine with Linux")]
    packages = {"ip": "iproute2", "unshare": "util-linux", "nsenter": "util-linux"}
    lacks = [
        Lack(f"the program {program}", f"install {package}; Debian: apt install {package}")
        for program, package in packages.items()
        if shutil.which(program) is None
    ]
    if not lacks:
        # A bridge as well, for its kernel module may be missing.
        attempt = ["unshare", *_as_root_inside(), "--net", "ip", "link", "add", _BRIDGE, "type", "bridge"]
        done = subprocess.run(attempt, capture_output=True, text=True, timeout=_PATIENCE)  # noqa: S603
        if done.returncode:
            said = " ".join(done.stderr.split())
            remedy = (
                "modprobe bridge veth; in a container, --cap-add NET_ADMIN --cap-add SYS_ADMIN"
                if os.geteuid() == 0
                else "run it as root, or let users have user namespaces: sysctl kernel.unprivileged_userns_clone=1 on "
                "Debian, kernel.apparmor_restrict_unprivileged_userns=0 on Ubuntu"
            )
            lacks.append(Lack(f"network namespaces with a bridge, which this system refuses: {said}", remedy))
    return lacks


def address(number: int) -> str:
    """Of the host with that number, from 1 to 253.

    Raises
    ------
    ValueError
        There is none.
    """
    if not 1 <= number <= _MOST:
        raise ValueError(f"a bridge has hosts 1 to {_MOST}, got {number}")
    return f"{_NET}.{number}"


class Host(NamedTuple):
    """A network namespace that is on the bridge: who holds it, its address, and its wire's other end."""

    holder: Popen[Any]
    address: str
    port: str


class Network:
    """A bridge, and hosts that are added to it.

    Attributes
    ----------
    address : str
        Of the bridge itself, where the host of all containers is.
    """

    def __init__(self, scene: Scene, name: str) -> None:
        self._scene, self._name = scene, name
        self._hosts: dict[str, Host] = {}
        self.address = f"{_NET}.{_MOST + 1}"
        self._holder = self._hold([], "bridge")
        self._ip(
            self._holder,
            f"link add {_BRIDGE} type bridge",
            f"addr add {self.address}/24 dev {_BRIDGE}",
            f"link set {_BRIDGE} up",
        )

    def _hold(self, prefix: list[str], name: str) -> Popen[Any]:
        """A process in a new namespace that says when it is there, and does nothing."""
        become_root = [] if prefix else _as_root_inside()
        log = f"{self._name}-{name}-holder"
        command = [*prefix, "unshare", *become_root, "--net", "sh", "-c", "echo there; exec sleep infinity"]
        holder = self._scene.spawn(command, log)
        self._scene.wait_until(
            lambda: self._scene.log_of(log) == "there" or holder.poll() is not None, _PATIENCE, "a network namespace"
        )
        if holder.poll() is not None:
            raise LabError(f"no network namespace: {self._scene.log_of(log)}")
        return holder

    def _enter(self, holder: Popen[Any]) -> list[str]:
        return [
            "nsenter",
            "--target",
            str(holder.pid),
            *(["--user"] if os.geteuid() else []),
            "--preserve-credentials",
            "--net",
        ]

    def _ip(self, holder: Popen[Any], *lines: str) -> None:
        """Have ``ip`` do what the lines say, in one process: each takes longer to start than to do it."""
        done = subprocess.run(  # noqa: S603
            [*self._enter(holder), "ip", "-batch", "-"],
            input="\n".join(lines),
            capture_output=True,
            text=True,
            timeout=_PATIENCE,
        )
        if done.returncode:
            raise LabError(f"ip {'; '.join(lines)}: {' '.join(done.stderr.split())}")

    def add_host(self, name: str, given: str | None = None) -> Host:
        """Add one, with a wire to the bridge; with the next address unless one is given."""
        number = len(self._hosts) + 1
        # In the bridge's user namespace, in which we are root.
        prefix = [word for word in self._enter(self._holder) if word != "--net"]
        holder = self._hold(prefix, name)
        host = self._hosts[name] = Host(holder, given or address(number), f"port{number}")
        self._ip(
            self._holder,
            f"link add {host.port} type veth peer name eth0 netns {holder.pid}",
            f"link set {host.port} master {_BRIDGE} up",
        )
        self._ip(holder, f"addr add {host.address}/24 dev eth0", "link set lo up", "link set eth0 up")
        return host

    def prefix(self, name: str | None) -> list[str]:
        """What a command begins with to run on a host, or where the bridge is."""
        return self._enter(self._holder if name is None else self._hosts[name].holder)

    def spawn(self, name: str | None, command: Sequence[str], log: str, **options: Any) -> Popen[Any]:
        """Start a process there; what it says is in the log of that name."""
        return self._scene.spawn([*self.prefix(name), *command], log, **options)

    def bridge_down(self) -> None:
        """Take down what all share."""
        self._ip(self._holder, f"link set {_BRIDGE} down")

    def pull_plug(self, name: str) -> None:
        """Take down one host's wire, at the bridge's end: the host's own device sees that its carrier is gone."""
        self._ip(self._holder, f"link set {self._hosts[name].port} down")

    def put_plug_back(self, name: str) -> None:
        """The other way."""
        self._ip(self._holder, f"link set {self._hosts[name].port} up")

    def end(self) -> None:
        """Let go of all of it; it is gone when the last process in it has ended."""
        for holder in (*(host.holder for host in self._hosts.values()), self._holder):
            holder.kill()
            holder.wait()

    def end_host(self, name: str) -> None:
        """End what holds a host; when its other processes have ended as well, its network is gone."""
        host = self._hosts.get(name)
        if host is not None:
            host.holder.kill()
            host.holder.wait()


class Answers:
    """What a client (`accrual.isolation.labs.actor`, program ask) says of the servers it asks.

    Parameters
    ----------
    scene : Scene
    log : str
    names : mapping
        From the servers' addresses to their names.
    """

    def __init__(self, scene: Scene, log: str, names: Mapping[str, str]) -> None:
        self._file = Path(scene.folder, f"{log}.log")
        self._names = names

    def all(self, name: str, since: float = 0.0, until: float = float("inf")) -> list[dict[str, Any]]:
        """Outcomes of one server's questions that were asked in [since, until), on the monotonic clock."""
        found = []
        for line in self._file.read_text(encoding="utf-8", errors="replace").split("\n")[:-1]:
            if line.startswith("{"):
                one = json.loads(line)
                if self._names[one["server"].rpartition(":")[0]] == name and since <= one["at"] < until:
                    found.append(one)
        return found

    def answered(self, name: str, since: float = 0.0) -> int:
        """How many were answered."""
        return sum(one["outcome"] == "answered" for one in self.all(name, since))

    def failed(self, name: str, since: float = 0.0) -> int:
        """How many were not."""
        return sum(one["outcome"] != "answered" for one in self.all(name, since))

    def outcomes(self, name: str, since: float = 0.0, until: float = float("inf")) -> Counter[str]:
        """How often what came of it."""
        return Counter(one["outcome"] for one in self.all(name, since, until))
