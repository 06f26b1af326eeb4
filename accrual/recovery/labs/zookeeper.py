"""ZooKeeper: an ensemble that elects by ZAB, as Debian packages it, and a client of the few requests that a lab needs.

The protocol is that of ZooKeeper 3.4 and later (zookeeper.jute): a length, a header, a record, big-endian. Its library
for Python, kazoo, reconnects and repeats by itself, in threads: what became of one write, and how long a client was
without an answer, is easier to say of a socket.
"""

from __future__ import annotations

import re
import socket
import struct
from collections.abc import Sequence
from pathlib import Path
from typing import ClassVar, Final

from accrual.lab import Lack, Scene
from accrual.recovery.labs.ensemble import STALE, Ensemble
from accrual.recovery.labs.network import Place, program
from accrual.recovery.labs.servers import lacking

__all__ = ["ZooKeeper"]

_JARS: Final = Path("/usr/share/java")
_JAR: Final = _JARS / "zookeeper.jar"
_LONGEST: Final = 5.0  # until a silent leader is given up [s]
_ASK: Final = 0.5  # for a server's own status, which takes a millisecond unless the machine is busy [s]
_SESSION: Final = 10_000  # timeout asked for [ms]; a session of a lab lives as long as its connection
_CREATE, _CHILDREN, _SYNC = 1, 8, 9
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
        A tick below 1 ms, a limit below 2, or more than 5 s in all, for which no lab waits.
    """

    system: ClassVar[str] = "zookeeper"
    ports_each: ClassVar[int] = 3

    def __init__(self, scene: Scene, places: Sequence[Place], tick: float = 0.5, sync_limit: int = 4) -> None:
        if not tick >= 0.001:
            raise ValueError(f"tick must be at least 0.001 s, got {tick!r}")
        if not sync_limit >= 2:
            raise ValueError(f"sync_limit must be at least 2, got {sync_limit!r}")
        if not tick * sync_limit <= _LONGEST:
            raise ValueError(f"tick times sync_limit must be at most 5 s, got {tick!r} times {sync_limit!r}")
        super().__init__(scene, places)
        self._tick, self._sync_limit = tick, sync_limit

    @staticmethod
    def lacking() -> list[Lack]:
        """Java and ZooKeeper, as Debian has them; no wheel ships either."""
        lacks = lacking("zookeeper")
        if not lacks and not _JAR.exists():
            lacks.append(Lack(f"{_JAR}, as in Debian's package", "apt install zookeeper"))
        if program("java") is None:
            lacks.append(Lack("Java", "apt install openjdk-17-jre-headless"))
        return lacks

    def version(self) -> str:
        """As in the name of the link that Debian has beside the library."""
        names = [re.fullmatch(r"zookeeper-([\d.]+)\.jar", path.name) for path in _JARS.glob("zookeeper-*.jar")]
        return next((name[1] for name in names if name), "unknown")

    def revive(self, node: int) -> None:
        """Start a server, with the data that it has."""
        member = self.members[node]
        place, folder = member.place, member.folder
        (folder / "myid").write_text(f"{node + 1}\n", encoding="ascii")
        lines = {
            "tickTime": max(1, round(self._tick * 1e3)),
            "initLimit": 20,
            "syncLimit": self._sync_limit,
            "dataDir": folder,
            "clientPort": member.port,
            "clientPortAddress": place.host,
            "admin.enableServer": "false",
            "4lw.commands.whitelist": "srvr",
            "standaloneEnabled": "false",
        }
        for i, other in enumerate(self.members, 1):
            lines[f"server.{i}"] = f"{other.place.host}:{other.ports[1]}:{other.ports[2]}"
        settings = folder / "zoo.cfg"
        settings.write_text("".join(f"{name}={value}\n" for name, value in lines.items()), encoding="utf-8")
        (folder / "log4j.properties").write_text(
            "log4j.rootLogger=WARN, out\nlog4j.appender.out=org.apache.log4j.ConsoleAppender\n"
            "log4j.appender.out.layout=org.apache.log4j.PatternLayout\n"
            "log4j.appender.out.layout.ConversionPattern=%p %m%n\n",
            encoding="ascii",
        )
        # Serial collector, first compiler only: three servers on a student's machine, up after a second.
        options = ["-Xmx96m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-XX:-UsePerfData"]
        words = [program("java") or "java", *options, "-cp", f"{folder}:{_JAR}"]
        words += ["org.apache.zookeeper.server.quorum.QuorumPeerMain", str(settings)]
        member.spawn(words)

    def session(self, node: int) -> ZooKeeperSession:
        """A session with that server."""
        member = self.members[node]
        return ZooKeeperSession(member.place.host, member.port)

    def _status(self, node: int) -> dict[str, str]:
        """What it says to ``srvr``, in lines of "name: value"; empty while it is not in service."""
        said = b""
        member = self.members[node]
        with member.place.inside():
            try:
                with socket.create_connection((member.place.host, member.port), _ASK) as connection:
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


class ZooKeeperSession:
    """A session with one server, over one connection; the leader has to agree to it.

    Raises
    ------
    OSError
        There is none; or, of requests, there was no good answer: what became of a write is unknown.
    """

    def __init__(self, host: str, port: int, patience: float = STALE) -> None:
        self._number = 0
        self._socket = socket.create_connection((host, port), patience)
        try:
            self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self._send(struct.pack("!iqiqi16s", 0, 0, _SESSION, 0, 16, b""))
            self._receive()
        except OSError:
            self.close()
            raise

    def _send(self, body: bytes) -> None:
        self._socket.sendall(struct.pack("!i", len(body)) + body)

    def _receive(self) -> bytes:
        [length] = struct.unpack("!i", self._exactly(4))
        if not 0 <= length <= _MOST:
            raise ConnectionError(f"an answer of {length} bytes")
        return self._exactly(length)

    def _exactly(self, length: int) -> bytes:
        data = b""
        while len(data) < length:
            part = self._socket.recv(length - len(data))
            if not part:
                raise ConnectionError("closed by the server")
            data += part
        return data

    def _ask(self, kind: int, body: bytes, patience: float) -> bytes:
        self._socket.settimeout(patience)
        self._number += 1
        self._send(struct.pack("!ii", self._number, kind) + body)
        answer = self._receive()
        if len(answer) < 16:
            raise ConnectionError(f"an answer of {len(answer)} bytes")
        number, _transaction, error = struct.unpack("!iqi", answer[:16])
        if number != self._number or error:
            raise ConnectionError(f"answer {number} to request {self._number}, error {error}")
        return answer[16:]

    def write(self, key: str) -> None:
        """Create a node of that name."""
        self._ask(_CREATE, _text(f"/{key}") + _text("1") + _ANYONE + struct.pack("!i", 0), STALE)

    def read(self, patience: float, stale: bool = False) -> set[str]:
        """All nodes; unless `stale`, after this server has caught up with the leader (ZooKeeper: sync)."""
        if not stale:
            self._ask(_SYNC, _text("/"), patience)
        data = self._ask(_CHILDREN, _text("/") + b"\0", patience)
        try:
            return _names(data) - {"zookeeper"}
        except (struct.error, UnicodeDecodeError) as error:
            raise ConnectionError(f"an answer that is no list of names: {error}") from None

    def close(self) -> None:
        """Close the connection; the session ends by itself."""
        self._socket.close()


def _text(text: str) -> bytes:
    data = text.encode()
    return struct.pack("!i", len(data)) + data


def _names(data: bytes) -> set[str]:
    """Strings, each with its length before it, and their number before all."""
    [count] = struct.unpack_from("!i", data)
    at, names = 4, set()
    for _ in range(count):
        [length] = struct.unpack_from("!i", data, at)
        [name] = struct.unpack_from(f"!{max(0, length)}s", data, at + 4)
        names.add(name.decode())
        at += 4 + length
    return names
