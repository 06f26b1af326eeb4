"""ZooKeeper: an ensemble that elects by ZAB, as Debian packages it, and a client of the few requests that a lab needs.

The protocol is that of ZooKeeper 3.4 and later (zookeeper.jute): a length, a header, a record, big-endian. Its library
for Python, kazoo, reconnects and repeats by itself, in threads: what became of one write, and how long a client was
without an answer, is easier to say of a socket.
"""

from __future__ import annotations

import re
import socket
import struct
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Any, ClassVar, Final

from accrual.lab import Lack, Scene
from accrual.recovery.labs.ensemble import STALE, Client, Ensemble, NotTakenError, UnknownOutcomeError
from accrual.recovery.labs.network import Place, found

__all__ = ["ZooKeeper"]

_JARS: Final = Path("/usr/share/java")
_JAR: Final = _JARS / "zookeeper.jar"
_ASK: Final = 0.1  # for a server's own status [s]
_SESSION: Final = 10_000  # timeout asked for [ms]; a session of a lab lives as long as its connection
_CREATE, _CHILDREN, _SYNC, _CLOSE = 1, 8, 9, -11
_ANYONE: Final = struct.pack("!ii", 1, 31) + struct.pack("!i", 5) + b"world" + struct.pack("!i", 6) + b"anyone"
_MOST: Final = 2**24  # a longer answer is none [bytes]


class ZooKeeper(Ensemble):
    """Servers of ZooKeeper.

    Parameters
    ----------
    tick : float
        Its unit of time [s]: half of it is the interval of its heartbeats.
    sync_limit : int
        Ticks after which a silent leader or follower is given up.

    Raises
    ------
    ValueError
        A tick below 1 ms, or a limit below 2.
    """

    system: ClassVar[str] = "zookeeper"
    ports_each: ClassVar[int] = 3

    def __init__(self, scene: Scene, places: Sequence[Place], tick: float = 0.5, sync_limit: int = 4) -> None:
        if not tick >= 0.001:
            raise ValueError(f"tick must be at least 0.001 s, got {tick!r}")
        if not sync_limit >= 2:
            raise ValueError(f"sync_limit must be at least 2, got {sync_limit!r}")
        super().__init__(scene, places)
        self._tick, self._sync_limit = tick, sync_limit

    @staticmethod
    def lacking() -> list[Lack]:
        """Java and ZooKeeper, as Debian has them."""
        lacks = []
        if found("java") is None:
            lacks.append(Lack("Java", "apt install openjdk-17-jre-headless"))
        if not _JAR.exists():
            lacks.append(Lack("ZooKeeper (Debian's package: no wheel ships it)", "apt install zookeeper"))
        return lacks

    def version(self) -> str:
        """Of the library, from the name of the file that Debian's link points to."""
        said = re.search(r"-([\d.]+)\.jar$", str(_JAR.resolve()))
        return said[1] if said else "unknown"

    def _spawn(self, node: int) -> subprocess.Popen[Any]:
        place, folder = self.places[node], self.folder(node)
        (folder / "myid").write_text(f"{node + 1}\n", encoding="ascii")
        lines = {
            "tickTime": max(1, round(self._tick * 1e3)),
            "initLimit": 20,
            "syncLimit": self._sync_limit,
            "dataDir": folder,
            "clientPort": self.ports[node][0],
            "clientPortAddress": place.host,
            "admin.enableServer": "false",
            "4lw.commands.whitelist": "srvr",
            "standaloneEnabled": "false",
        }
        for i, (other, ports) in enumerate(zip(self.places, self.ports, strict=True), 1):
            lines[f"server.{i}"] = f"{other.host}:{ports[1]}:{ports[2]}"
        settings = folder / "zoo.cfg"
        settings.write_text("".join(f"{name}={value}\n" for name, value in lines.items()), encoding="utf-8")
        (folder / "log4j.properties").write_text(
            "log4j.rootLogger=WARN, out\nlog4j.appender.out=org.apache.log4j.ConsoleAppender\n"
            "log4j.appender.out.layout=org.apache.log4j.PatternLayout\nlog4j.appender.out.layout.ConversionPattern=%p %m%n\n",
            encoding="ascii",
        )
        # Serial collector, first compiler only: three servers on a student's machine, up after a second.
        options = ["-Xmx96m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-XX:-UsePerfData"]
        words = [found("java") or "java", *options, "-cp", f"{folder}:{_JAR}"]
        words += ["org.apache.zookeeper.server.quorum.QuorumPeerMain", str(settings)]
        return self.scene.spawn(words, f"{self.system}-{place.name}")

    def client(self, node: int) -> ZooKeeperClient:
        """A client of that server."""
        return ZooKeeperClient(self.places[node].host, self.ports[node][0])

    def _status(self, node: int) -> dict[str, str]:
        """What it says to ``srvr``, in lines of "name: value"; empty while it is not in service."""
        said = b""
        with self.places[node].inside:
            try:
                with socket.create_connection((self.places[node].host, self.ports[node][0]), _ASK) as connection:
                    connection.sendall(b"srvr")
                    while part := connection.recv(4096):
                        said += part
            except OSError:
                return {}
        lines = (line.partition(": ") for line in said.decode(errors="replace").splitlines())
        return {name: value for name, _, value in lines}

    def is_leader(self, node: int) -> bool:
        """Whether it says that it leads."""
        return self._status(node).get("Mode") == "leader"

    def term(self, node: int) -> int | None:
        """The epoch: the upper half of its latest transaction's number."""
        status = self._status(node)
        return int(status["Zxid"], 16) >> 32 if "Mode" in status and "Zxid" in status else None


class ZooKeeperClient(Client):
    """A session with one server, over one connection; a new one after an error."""

    def __init__(self, host: str, port: int) -> None:
        self._address = (host, port)
        self._socket: socket.socket | None = None
        self._number = 0

    def _connect(self, timeout: float) -> socket.socket:
        """Open a session, which the leader has to agree to."""
        try:
            connection = socket.create_connection(self._address, timeout)
        except OSError as error:
            raise NotTakenError(f"not reached: {error}") from None
        try:
            self._socket = connection
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self._send(struct.pack("!iqiqi16s", 0, 0, _SESSION, 0, 16, b""))
            self._receive()
        except (OSError, struct.error) as error:
            self.close()
            raise NotTakenError(f"no session: {error}") from None
        return connection

    def _send(self, body: bytes) -> None:
        assert self._socket is not None
        self._socket.sendall(struct.pack("!i", len(body)) + body)

    def _receive(self) -> bytes:
        [length] = struct.unpack("!i", self._exactly(4))
        if not 0 <= length <= _MOST:
            raise ConnectionError(f"an answer of {length} bytes")
        return self._exactly(length)

    def _exactly(self, length: int) -> bytes:
        assert self._socket is not None
        data = b""
        while len(data) < length:
            part = self._socket.recv(length - len(data))
            if not part:
                raise ConnectionError("closed by the server")
            data += part
        return data

    def _ask(self, kind: int, body: bytes, timeout: float) -> bytes:
        if self._socket is None:
            self._connect(timeout)
        assert self._socket is not None
        self._socket.settimeout(timeout)
        self._number += 1
        try:
            self._send(struct.pack("!ii", self._number, kind) + body)
            answer = self._receive()
            number, _zxid, error = struct.unpack("!iqi", answer[:16])
        except (OSError, struct.error) as error_:
            self.close()
            raise UnknownOutcomeError(str(error_)) from None
        if number != self._number or error:
            self.close()
            raise UnknownOutcomeError(f"error {error}")
        return answer[16:]

    def write(self, key: str, timeout: float = STALE) -> None:
        """Create a node of that name."""
        self._ask(_CREATE, _text(f"/{key}") + _text("1") + _ANYONE + struct.pack("!i", 0), timeout)

    def read(self, timeout: float, stale: bool = False) -> set[str]:
        """All nodes; unless `stale`, after this server has caught up with the leader (ZooKeeper: sync)."""
        if not stale:
            self._ask(_SYNC, _text("/"), timeout)
        data = self._ask(_CHILDREN, _text("/") + b"\0", timeout)
        [count] = struct.unpack_from("!i", data)
        at, names = 4, set()
        for _ in range(count):
            [length] = struct.unpack_from("!i", data, at)
            names.add(data[at + 4 : at + 4 + length].decode())
            at += 4 + length
        return names - {"zookeeper"}

    def close(self) -> None:
        """Close the connection; the session ends by itself."""
        if self._socket is not None:
            self._socket.close()
        self._socket = None


def _text(text: str) -> bytes:
    data = text.encode()
    return struct.pack("!i", len(data)) + data
