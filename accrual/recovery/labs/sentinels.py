"""Valkey or Redis with Sentinel on a network of their own: on each node a server and a Sentinel, as is recommended."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

from accrual.lab import Scene
from accrual.recovery.labs.ensemble import STALE
from accrual.recovery.labs.network import Place
from accrual.recovery.labs.resp import Client, ReplyError
from accrual.recovery.labs.stores import Sentinel, Store
from accrual.recovery.labs.writes import RefusedError

__all__ = ["SentinelSession", "Sentinels"]

_PATIENCE: Final = 25.0  # for replication, and for the Sentinels to have met [s]; three seconds are the rule


class Sentinels:
    """A primary on the first node, replicas on the others, a Sentinel on each.

    Parameters
    ----------
    scene : Scene
    system : {"valkey", "redis"}
    places : list of Place
        Nodes of a `Network`.
    down_after : float
        Sentinel's timeout [s].
    options : mapping
        Of the servers, set when replication runs.
    """

    def __init__(
        self,
        scene: Scene,
        system: str,
        places: Sequence[Place],
        down_after: float = 1.0,
        options: Mapping[str, object] | None = None,
    ) -> None:
        self.places = list(places)
        self.stores: list[Store] = []
        for place in places:
            # Nobody but the lab's own nodes is on that network; protected, they would talk to themselves only.
            open_to_it = {"bind": place.host, "protected-mode": "no"}
            primary = (places[0].host, self.stores[0].port) if self.stores else None
            name = f"{system}-{place.name}"
            store = Store(
                scene, system, name, primary=primary, options=open_to_it, host=place.host, inside=place.inside
            )
            self.stores.append(store)
        scene.wait_until(self._streaming, _PATIENCE, f"{system}: replicas that stream")
        for store in self.stores:
            for option, value in (options or {}).items():
                store.ask("CONFIG", "SET", option, value)
        # Started earlier they would find no replicas, and look again only 10 s later.
        first = (places[0].host, self.stores[0].port)
        quorum = len(places) // 2 + 1
        self.sentinels = [
            Sentinel(
                scene,
                system,
                f"sentinel-{place.name}",
                first,
                down_after,
                quorum,
                host=place.host,
                inside=place.inside,
            )
            for place in places
        ]
        scene.wait_until(self._met, _PATIENCE, "Sentinels that know each other and the replicas")

    def _streaming(self) -> bool:
        """Whether all replicas get what the primary writes.

        A link that is up does not mean that yet: a primary streams after the replica's first acknowledgement only.
        """
        with self.stores[0].client() as client:
            found = client.info("replication")
            replicas = len(self.stores) - 1
            return all("state=online" in found.get(f"slave{k}", "") for k in range(replicas)) and (
                client("WAIT", replicas, 1) >= replicas
            )

    def _met(self) -> bool:
        others = len(self.places)
        return all(sentinel.knows_all(others - 1, others) for sentinel in self.sentinels)

    def is_primary(self, node: int) -> bool:
        """Whether a server takes itself for a primary."""
        try:
            return self.stores[node].replication().get("role") == "master"
        except (OSError, ReplyError):
            return False

    def session(self, node: int) -> SentinelSession:
        """A client that asks the Sentinel of a node who is primary, from wherever the calling thread is."""
        return SentinelSession(self, node)


class SentinelSession:
    """Writes to whom a Sentinel names, and asks it again after a refusal.

    Raises
    ------
    OSError
        The Sentinel does not answer, or whom it names does not.
    """

    def __init__(self, servers: Sentinels, node: int) -> None:
        self._sentinel = servers.sentinels[node]
        self._client: Client | None = None
        self._connect()

    def _connect(self) -> Client:
        with self._sentinel.client(STALE) as sentinel:
            try:
                host, port = sentinel("SENTINEL", "GET-MASTER-ADDR-BY-NAME", "trio")
            except (ReplyError, TypeError) as error:
                raise ConnectionError(f"the Sentinel names no primary: {error}") from None
        self._client = Client(int(port), STALE, host)
        return self._client

    def write(self, key: str) -> None:
        """Write a key."""
        try:
            client = self._client or self._connect()
        except OSError as error:
            raise RefusedError(f"no primary: {error}") from None
        try:
            client("SET", key, 1)
        except ReplyError as error:
            self.close()
            raise RefusedError(str(error)) from None

    def close(self) -> None:
        """Close the connection."""
        if self._client is not None:
            self._client.close()
        self._client = None
