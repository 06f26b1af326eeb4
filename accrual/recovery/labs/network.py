"""Nodes in network namespaces of their own, joined by a bridge in another one, whose links can be cut one by one.

The namespaces have no names and no files (see `accrual.traces.namespaces`): the kernel removes them with the last
process and open file, so nothing has to be undone however a lab ends. Who is not root is root of a user namespace.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterable
from contextlib import ExitStack
from typing import Final, NamedTuple, Self

from accrual.lab import LabError, Lack
from accrual.recovery.labs.servers import Inside
from accrual.traces.namespaces import Namespace

__all__ = ["Network", "Place", "as_root_of_its_own", "between", "lacking_network", "program"]

_SUBNET: Final = "192.0.2"  # for documentation (RFC 5737): nobody's address
LARGEST: Final = 16
"""Most nodes of a network."""

_PATIENCE: Final = 20.0  # for `ip` and `nft`, which take milliseconds [s]
_UNPRIVILEGED: Final = ["unshare", "--user", "--map-root-user", "--net"]


class Place(NamedTuple):
    """Where a node runs: its name, its address, and what gives a context in which to create processes and sockets."""

    name: str
    host: str
    inside: Inside


def program(name: str) -> str | None:
    """The path of a program, also of one that only root has on its path (Debian: /usr/sbin)."""
    return shutil.which(name, path=os.pathsep.join([os.environ.get("PATH", os.defpath), "/usr/sbin", "/sbin"]))


def _may(command: list[str]) -> bool:
    try:
        done = subprocess.run(  # noqa: S603  # unshare and true, by name
            [*command, "unshare", "--net", "true"], capture_output=True, timeout=_PATIENCE, stdin=subprocess.DEVNULL
        )
    except (OSError, subprocess.TimeoutExpired):
        return False
    return done.returncode == 0


def as_root_of_its_own() -> list[str]:
    """The command in front of a lab that makes network namespaces: none for who may, else ``unshare --user``."""
    return [] if _may([]) or not _may(_UNPRIVILEGED) else _UNPRIVILEGED


def lacking_network() -> list[Lack]:
    """What this machine lacks for a `Network`."""
    lacks = [
        Lack(f"the program {name}", f"apt install {package}")
        for name, package in (("ip", "iproute2"), ("nft", "nftables"), ("unshare", "util-linux"))
        if program(name) is None
    ]
    if not os.path.exists("/proc/self/ns/net"):
        return [Lack("Linux with network namespaces", "run it on Linux, in a virtual machine for example")]
    if not any(lack.what.endswith("unshare") for lack in lacks) and not _may([]) and not _may(_UNPRIVILEGED):
        remedy = "run it as root, or sysctl user.max_user_namespaces=15000 kernel.unprivileged_userns_clone=1"
        remedy += " kernel.apparmor_restrict_unprivileged_userns=0 where these exist"
        lacks.append(Lack("network namespaces, which this user may not make", remedy))
    return lacks


class Network:
    """A switched network of nodes n1, n2, ..., each in a network namespace of its own.

    Parameters
    ----------
    nodes : int
        How many, 1 to 16.

    Attributes
    ----------
    places : list of Place
        Where each node is.

    Raises
    ------
    ValueError
        Not so many nodes.
    LabError
        A program refused; says what it said.

    Notes
    -----
    A cut link drops Ethernet frames in the bridge (nftables, bridge family), so that neither end gets an error: packets
    vanish, as in a broken switch. Also address resolution then gets no answer, as in life.
    """

    def __init__(self, nodes: int) -> None:
        if not 1 <= nodes <= LARGEST:
            raise ValueError(f"nodes must be from 1 to {LARGEST}, got {nodes!r}")
        with ExitStack() as stack:
            self._switch = stack.enter_context(Namespace())
            spaces = [stack.enter_context(Namespace()) for _ in range(nodes)]
            self.places = [Place(f"n{i}", f"{_SUBNET}.{i}", space.inside) for i, space in enumerate(spaces, 1)]
            cables = ["link add name bridge type bridge", "link set bridge up"]
            for i, space in enumerate(spaces, 1):
                cables += [
                    f"link add name to{i} type veth peer name net netns /proc/{os.getpid()}/fd/{space.file}",
                    f"link set to{i} master bridge up",
                ]
            _run(self._switch, ["ip", "-batch", "-"], "\n".join(cables))
            for place, space in zip(self.places, spaces, strict=True):
                _run(
                    space,
                    ["ip", "-batch", "-"],
                    f"link set lo up\naddr add {place.host}/24 dev net\nlink set net up",
                )
            self.heal()
            self._namespaces = stack.pop_all()

    def __enter__(self) -> Self:
        """Enter a with statement that lets go of it."""
        return self

    def __exit__(self, *exception: object) -> None:
        """Let go of it."""
        self._namespaces.close()

    def cut(self, links: Iterable[tuple[int, int]]) -> None:
        """Cut these links and no others: what the first node of a pair sends does not reach the second any more.

        Raises
        ------
        ValueError
            A pair names a node that there is not, or one node twice.
        """
        links = list(links)
        for pair in links:
            if pair[0] == pair[1] or not all(0 <= node < len(self.places) for node in pair):
                raise ValueError(f"a link is between two of the nodes 0 to {len(self.places) - 1}, got {pair!r}")
        drops = "".join(f'iifname "to{a + 1}" oifname "to{b + 1}" drop\n' for a, b in links)
        # One transaction: the table must exist to be deleted, and no packet sees a moment without it.
        links_table = f"table bridge links {{ chain forward {{\n{_HOOK}{drops}}}\n}}\n"
        _run(self._switch, ["nft", "-f", "-"], f"table bridge links\ndelete table bridge links\n{links_table}")

    def heal(self) -> None:
        """Let everything through again."""
        self.cut([])


_HOOK: Final = "type filter hook forward priority 0;\n"


def between(one: Iterable[int], other: Iterable[int]) -> list[tuple[int, int]]:
    """Every link between two groups of nodes, in both directions."""
    one, other = list(one), list(other)
    return [pair for a in one for b in other for pair in ((a, b), (b, a))]


def _run(namespace: Namespace, command: list[str], words: str) -> None:
    path = program(command[0])
    if path is None:
        raise LabError(f"no program {command[0]}")
    with namespace.inside():
        done = subprocess.run(  # noqa: S603  # ip or nft
            [path, *command[1:]], input=words, capture_output=True, text=True, timeout=_PATIENCE
        )
    if done.returncode:
        raise LabError(f"{command[0]} refused: {(done.stderr or done.stdout).strip().splitlines()[0]}")
