"""Valkey and Redis: a primary with replicas behind links of their own, Sentinel, and what the labs ask of them."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping
from contextlib import nullcontext
from typing import TYPE_CHECKING, Final

from accrual.lab import LabError
from accrual.recovery.labs.resp import Client, ReplyError
from accrual.recovery.labs.servers import Inside, Server, find
from accrual.recovery.labs.writes import RefusedError

if TYPE_CHECKING:
    from accrual.lab import Scene
    from accrual.recovery.labs.proxy import Proxy

__all__ = ["Sentinel", "Store", "StoreSession", "Trio"]

_PATIENCE: Final = 20.0  # for replication to run [s]; 1.1 s on a machine with nothing else to do
_TIMEOUT_MS: Final = 5000  # of WAIT, which answers then how many replicas have it


class Store(Server):
    """A Valkey or Redis server without persistence: a node that restarts has lost its memory.

    Parameters
    ----------
    scene, name, port, host, inside
        As `Server`.
    system : {"valkey", "redis"}
    primary : int or (str, int), optional
        Whom it replicates from the start: a port of this machine, or host and port.
    options : mapping, optional
        Of its configuration.

    Raises
    ------
    UnavailableError, LabError
        It is not installed; it does not start.
    """

    def __init__(
        self,
        scene: Scene,
        system: str,
        name: str,
        port: int | None = None,
        primary: int | tuple[str, int] | None = None,
        options: Mapping[str, object] | None = None,
        host: str = "127.0.0.1",
        inside: Inside = nullcontext,
    ) -> None:
        program = find(system)
        super().__init__(scene, name, port, host, inside)
        settings: dict[str, object] = {
            "port": self.port,
            "bind": " ".join(dict.fromkeys([host, "127.0.0.1"])),
            "dir": self.folder,
            "save": "",
            "appendonly": "no",
            "repl-diskless-sync": "yes",
            "repl-diskless-sync-delay": 0,
            "repl-ping-replica-period": 1,
            **(options or {}),
        }
        words: list[str] = [str(word) for name, value in settings.items() for word in (f"--{name}", value)]
        if primary is not None:
            of, at = ("127.0.0.1", primary) if isinstance(primary, int) else primary
            words += ["--replicaof", of, str(at)]  # two words: Redis 6 takes no "host port" in one
        self.spawn([program, *words])
        self.wait_ready(self._is_ours)

    def _is_ours(self) -> bool:
        with self.client() as client:
            try:
                return int(client.info("server")["process_id"]) == self.process.pid
            except ReplyError:
                return False  # still loading

    def client(self, patience: float = 2.0) -> Client:
        """A connection to it, past all links."""
        with self.inside():
            return Client(self.port, patience, self.host)

    def ask(self, *words: object) -> object:
        """One command over a connection of its own."""
        with self.client() as client:
            return client(*words)

    def replication(self) -> dict[str, str]:
        """Its INFO replication."""
        with self.client() as client:
            return client.info("replication")

    def offset(self) -> int:
        """How much of the stream of writes it has [bytes]."""
        found = self.replication()
        return int(found["master_repl_offset" if found["role"] == "master" else "slave_repl_offset"])

    def promote(self) -> None:
        """Make it a primary."""
        self.ask("REPLICAOF", "NO", "ONE")

    def version(self) -> str:
        """Its version."""
        with self.client() as client:
            found = client.info("server")
        return found.get("valkey_version", found["redis_version"])

    def keys(self) -> set[str]:
        """All of its keys."""
        with self.client(20.0) as client:
            return set(client("KEYS", "*"))


class Trio:
    """A primary ``a`` with the replicas ``b`` and ``c``, and a client, each connection over a link of `proxy`.

    Links are named ``"b to a"`` (replication, as a replica connects) and ``"client to a"``; other ways between the
    nodes are made when `follow` asks for them.

    Parameters
    ----------
    scene : Scene
    system : {"valkey", "redis"}
    proxy : Proxy
    delay : float
        Of the links between nodes, each way [s]; those of the client have none.
    options : mapping, optional
        Set once replication runs, as min-replicas-to-write refuses writes until then.
    """

    def __init__(
        self, scene: Scene, system: str, proxy: Proxy, delay: float = 0.0, options: Mapping[str, object] | None = None
    ) -> None:
        self.scene, self.proxy, self.delay = scene, proxy, delay
        self.nodes = {"a": Store(scene, system, "a")}
        for name in ("b", "c"):
            port = proxy.link(f"{name} to a", self.nodes["a"].port)
            self.nodes[name] = Store(scene, system, name, primary=port)
        for name, node in self.nodes.items():
            proxy.link(f"client to {name}", node.port)
        self._wait_streaming()
        proxy.set("[abc] to [abc]", delay=delay)
        for node in self.nodes.values():
            with node.client() as client:
                for option, value in (options or {}).items():
                    client("CONFIG", "SET", option, value)

    def _wait_streaming(self) -> None:
        """Until both replicas get what the primary writes.

        The link being "up" is not enough: with a diskless sync nothing is streamed until the replica's first
        acknowledgement, up to 1 s later, and whatever is written until then would be lost with the primary.
        """
        with self.nodes["a"].client(_PATIENCE) as client:

            def both() -> bool:
                found = client.info("replication")
                return all("state=online" in found.get(f"slave{k}", "") for k in range(2))

            self.scene.wait_until(both, _PATIENCE, "two replicas online")
            client("SET", "begin", 1)
            if client("WAIT", 2, int(_PATIENCE * 1000)) < 2:
                raise LabError(f"two replicas with a first write: not within {_PATIENCE:g} s")

    def session(self, name: str, *, wait: int = 0, patience: float = 0.25) -> StoreSession:
        """A client's connection to a node, over its link; there is none before the node has answered."""
        client = Client(self.proxy.ports[f"client to {name}"], patience)
        with contextlib.suppress(ReplyError):
            client("PING")
        return StoreSession(client, wait)

    def follow(self, name: str, primary: str) -> None:
        """Make a node a replica of another: it drops what the other has not."""
        link = f"{name} to {primary}"
        if link not in self.proxy.ports:
            self.proxy.link(link, self.nodes[primary].port, delay=self.delay)
        self.nodes[name].ask("REPLICAOF", "127.0.0.1", self.proxy.ports[link])

    def remove(self) -> None:
        """Kill all nodes."""
        for node in self.nodes.values():
            node.kill()


class StoreSession:
    """Writes a key, and waits for `wait` replicas to have it if that is not 0."""

    def __init__(self, client: Client, wait: int) -> None:
        self._client = client
        self._wait: tuple[tuple[object, ...], ...] = (("WAIT", wait, _TIMEOUT_MS),) if wait else ()
        self._replicas = wait

    def write(self, key: str) -> None:
        """Write it."""
        try:
            _, *replicas = self._client.all([("SET", key, 1), *self._wait])
        except ReplyError as error:
            if str(error).startswith("UNBLOCKED"):  # of WAIT, as it became a replica: the write may be lost
                raise ConnectionAbortedError(str(error)) from None
            raise RefusedError(str(error)) from None
        if any(count < self._replicas for count in replicas):
            raise TimeoutError(f"WAIT {self._replicas}: {replicas[0]} replicas have it")

    def close(self) -> None:
        """Close the connection."""
        self._client.close()


class Sentinel(Server):
    """A Sentinel of Valkey or Redis; start them when the replicas are there, else they look again only 10 s later."""

    def __init__(
        self,
        scene: Scene,
        system: str,
        name: str,
        primary: int | tuple[str, int],
        down_after: float,
        quorum: int = 2,
        port: int | None = None,
        host: str = "127.0.0.1",
        inside: Inside = nullcontext,
    ) -> None:
        program = find(system)
        super().__init__(scene, name, port, host, inside)
        of, at = ("127.0.0.1", primary) if isinstance(primary, int) else primary
        file = self.folder / "sentinel.conf"
        file.write_text(
            f"port {self.port}\nbind {' '.join(dict.fromkeys([host, '127.0.0.1']))}\ndir {self.folder}\n"
            f"sentinel monitor trio {of} {at} {quorum}\n"
            f"sentinel down-after-milliseconds trio {round(down_after * 1000)}\n"
            "sentinel failover-timeout trio 10000\nsentinel parallel-syncs trio 2\n",
            encoding="utf-8",
        )
        self.spawn([program, file, "--sentinel"])
        self.wait_ready(lambda: self.state() is not None)

    def client(self, patience: float = 2.0) -> Client:
        """A connection to it."""
        with self.inside():
            return Client(self.port, patience, self.host)

    def state(self) -> dict[str, str] | None:
        """What it knows of the primary; ``address`` is the port that it sends clients to."""
        with self.client() as client:
            try:
                found = client("SENTINEL", "MASTER", "trio")
                _, port = client("SENTINEL", "GET-MASTER-ADDR-BY-NAME", "trio")
            except ReplyError:
                return None
        return {**dict(zip(found[::2], found[1::2], strict=True)), "address": port}

    def knows_all(self, replicas: int = 2, sentinels: int = 3) -> bool:
        """Whether it found the replicas and the other Sentinels."""
        found = self.state() or {}
        return int(found.get("num-slaves", 0)) >= replicas and int(found.get("num-other-sentinels", 0)) >= sentinels - 1
