"""etcd: an ensemble that elects by Raft, spoken to over HTTP (its grpc-gateway), without a client library."""

from __future__ import annotations

import base64
import functools
import http.client
import json
import re
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Any, ClassVar, Final

from accrual.lab import Lack, Scene
from accrual.recovery.labs.ensemble import STALE, Ensemble
from accrual.recovery.labs.network import Place
from accrual.recovery.labs.servers import find, lacking

__all__ = ["Etcd"]

_LEAST: Final = (3, 4)  # the first whose gateway is at /v3
_LONGEST: Final = 5.0  # election timeout [s]
_ASK: Final = 0.5  # for a server's own status, which takes a millisecond unless the machine is busy [s]


def version_of(program: Path) -> str:
    """What ``etcd --version`` says, as "3.5.1"; "unknown" where it says nothing of the kind."""
    try:
        done = subprocess.run([program, "--version"], capture_output=True, text=True, timeout=10)  # noqa: S603
    except (OSError, subprocess.TimeoutExpired):
        return "unknown"
    said = re.search(r"etcd Version: (\d+\.\d+\.\d+)", done.stdout)
    return said[1] if said else "unknown"


class Etcd(Ensemble):
    """Servers of etcd.

    Parameters
    ----------
    heartbeat, election : float
        Its heartbeat interval and election timeout [s]; a follower that has not heard the leader for once to twice the
        latter stands for election.

    Raises
    ------
    ValueError
        A heartbeat below 1 ms, or an election timeout of less than the five heartbeats that etcd wants, or of more than
        5 s, for which no lab waits.
    """

    system: ClassVar[str] = "etcd"
    ports_each: ClassVar[int] = 2

    def __init__(self, scene: Scene, places: Sequence[Place], heartbeat: float = 0.1, election: float = 1.0) -> None:
        if not heartbeat >= 0.001:
            raise ValueError(f"heartbeat must be at least 0.001 s, got {heartbeat!r}")
        if not 5 * heartbeat <= election <= _LONGEST:
            raise ValueError(f"election must be from 5 heartbeats, {5 * heartbeat:g} s, to 5 s, got {election!r}")
        super().__init__(scene, places)
        self._heartbeat, self._election = heartbeat, election

    @staticmethod
    def lacking() -> list[Lack]:
        """The program, in a version whose HTTP interface is the one spoken here."""
        lacks = lacking("etcd")
        if lacks:
            return lacks
        program = find("etcd")
        version = version_of(program)
        if version == "unknown" or tuple(map(int, version.split(".")[:2])) < _LEAST:
            return [Lack(f"etcd 3.4 or later, not {program} of version {version}", "pip install accrual[labs]")]
        return []

    @functools.cache  # noqa: B019  # of an object that lives as long as the process
    def version(self) -> str:
        """Of the program."""
        return version_of(find("etcd"))

    def revive(self, node: int) -> None:
        """Start a server, with the data that it has."""
        member = self.members[node]
        urls = [f"http://{member.place.host}:{port}" for port in member.ports]
        cluster = ",".join(f"{one.place.name}=http://{one.place.host}:{one.ports[1]}" for one in self.members)
        options = {
            "name": member.place.name,
            "data-dir": member.folder / "data",
            "listen-client-urls": urls[0],
            "advertise-client-urls": urls[0],
            "listen-peer-urls": urls[1],
            "initial-advertise-peer-urls": urls[1],
            "initial-cluster": cluster,
            "initial-cluster-state": "new",
            "heartbeat-interval": round(self._heartbeat * 1e3),
            "election-timeout": round(self._election * 1e3),
            "log-level": "error",
            "logger": "zap",
        }
        member.spawn([find("etcd"), *(f"--{name}={value}" for name, value in options.items())])

    def session(self, node: int) -> EtcdSession:
        """A connection to that server."""
        member = self.members[node]
        return EtcdSession(member.place.host, member.port)

    def _status(self, node: int) -> dict[str, Any]:
        with self.members[node].place.inside():
            try:
                session = EtcdSession(self.members[node].place.host, self.members[node].port, _ASK)
                try:
                    return session.ask("/v3/maintenance/status", {}, _ASK)
                finally:
                    session.close()
            except OSError:
                return {}

    def is_leader(self, node: int) -> bool:
        """Whether it says that it is itself the leader."""
        status = self._status(node)
        return bool(status.get("leader", "0") == status.get("header", {}).get("member_id"))

    def term(self, node: int) -> int | None:
        """Raft's term, of a server that knows of a leader."""
        status = self._status(node)
        return int(status["raftTerm"]) if status.get("leader", "0") != "0" else None


class EtcdSession:
    """HTTP to one server, over one connection.

    Raises
    ------
    OSError
        There is none; or, of requests, there was no good answer. Also an error that the server tells may come after it
        has proposed the write: what became of it is unknown.
    """

    def __init__(self, host: str, port: int, patience: float = STALE) -> None:
        self._connection = http.client.HTTPConnection(host, port, timeout=patience)
        self._connection.connect()

    def ask(self, path: str, body: dict[str, Any], patience: float) -> dict[str, Any]:
        """Post a request."""
        if self._connection.sock is None:
            raise ConnectionError("the server closed the connection")
        self._connection.sock.settimeout(patience)
        try:
            self._connection.request("POST", path, json.dumps(body), {"Content-Type": "application/json"})
            with self._connection.getresponse() as response:
                text = response.read()
        except http.client.HTTPException as error:
            raise ConnectionError(f"no answer: {type(error).__name__}") from None
        if response.status != 200:
            raise ConnectionError(f"{response.status} {_error(text)}")
        try:
            answer: dict[str, Any] = json.loads(text)
        except ValueError:
            raise ConnectionError(f"an answer that is no JSON: {text[:40]!r}") from None
        return answer

    def write(self, key: str) -> None:
        """Put a key."""
        self.ask("/v3/kv/put", {"key": _coded(key), "value": _coded("1")}, STALE)

    def read(self, patience: float, stale: bool = False) -> set[str]:
        """All keys; etcd calls a stale read serializable."""
        # From the byte 0 to the byte 0 is all there is.
        body = {"key": "AA==", "range_end": "AA==", "keys_only": True, "serializable": stale}
        answer = self.ask("/v3/kv/range", body, patience)
        return {base64.b64decode(pair["key"]).decode() for pair in answer.get("kvs", ())}

    def close(self) -> None:
        """Close the connection."""
        self._connection.close()


def _coded(text: str) -> str:
    return base64.b64encode(text.encode()).decode()


def _error(text: bytes) -> str:
    try:
        return str(json.loads(text)["message"])
    except (ValueError, KeyError, TypeError):
        return text[:80].decode(errors="replace")
