"""What a commit costs, and what it is worth, when the primary's machine dies."""

from __future__ import annotations

import math
import typing
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Any, Final, Literal

from accrual.lab import Lack, Scene, lab
from accrual.recovery.labs.postgres import PostgresTrio, lacking_postgres, make_cluster
from accrual.recovery.labs.proxy import Proxy
from accrual.recovery.labs.servers import lacking
from accrual.recovery.labs.stores import StoreSession, Trio
from accrual.recovery.labs.writes import Session, Writer, account, latencies

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["replication"]

Kind = Literal["valkey", "redis", "postgresql"]

_STORE_MODES: Final = {"asynchronous": 0, "WAIT 1": 1, "WAIT 2": 2}
"""How many replicas must have a write before the client takes it as done."""
_POSTGRES_MODES: Final = ("off", "local", "on", "remote_apply")
"""Levels of synchronous_commit, with ANY 1 of the two standbys."""
_CLIENT_PATIENCE: Final = 10.0  # [s]; above WAIT's own
_MOST_CLIENTS: Final = 16


def _lacking(system: str = "valkey", **_: Any) -> list[Lack]:
    return lacking_postgres() if system == "postgresql" else lacking(system)


@lab("replication", lacking=_lacking, limit=120.0)
def replication(
    scene: Scene,
    *,
    system: Kind = "valkey",
    delay: float = 0.02,
    far: float = 0.1,
    loss: float = 0.0,
    rate: float = 1000.0,
    clients: int = 4,
    seconds: float = 1.0,
) -> dict[str, Any]:
    """What a commit costs in each mode of replication, and what is lost when the primary's machine dies.

    For each mode anew: a primary ``a``, a near replica ``b`` and a far one ``c``; clients beside the primary write for
    a while; then its machine dies, and what is under way on its links with it. The replica that has received most is
    promoted, and each acknowledged write is looked for there. ``lost_on_other`` is what promoting the wrong one would
    have lost.

    Valkey and Redis: asynchronous, and WAIT for one or both replicas. PostgreSQL: ``synchronous_commit`` off, local,
    on and remote_apply, with ``synchronous_standby_names = ANY 1 (b, c)``: off does not even wait for the primary's
    own disk, local does, on waits for one standby's disk, remote_apply until one standby shows the row.

    Parameters
    ----------
    system : {"valkey", "redis", "postgresql"}
        What replicates.
    delay : float
        From the primary to the near replica and back, each way [s].
    far : float
        The same to the far replica [s].
    loss : float
        Probability that a piece of the stream is lost and comes 0.2 s later, as TCP sends it again; 0 to 1.
    rate : float
        Writes per second of all clients together, as far as the mode lets them [1/s].
    clients : int
        How many write at once, each one write upon the other; 1 to 16.
    seconds : float
        How long they write until the machine dies [s], above 0 to 5.

    Returns
    -------
    dict
        A row for each mode: acknowledged, unknown and lost writes, quantiles of the time to the acknowledgement [ms].
    """
    if system not in typing.get_args(Kind):
        raise ValueError(f"system must be one of {', '.join(typing.get_args(Kind))}, got {system!r}")
    for name, value, most in (("delay", delay, 1.0), ("far", far, 1.0), ("loss", loss, 1.0)):
        if not 0 <= value <= most:
            raise ValueError(f"{name} must be from 0 to {most:g}, got {value!r}")
    for name, value, most in (("rate", rate, 100_000.0), ("seconds", seconds, 5.0)):
        if not 0 < value <= most:
            raise ValueError(f"{name} must be above 0 and at most {most:g}, got {value!r}")
    if not 1 <= clients <= _MOST_CLIENTS:
        raise ValueError(f"clients must be from 1 to {_MOST_CLIENTS}, got {clients!r}")
    rows = []
    version = ""
    cluster = make_cluster(scene) if system == "postgresql" else None
    for mode in _STORE_MODES if cluster is None else _POSTGRES_MODES:
        proxy = Proxy(scene)
        trio, connect = _start(scene, system, proxy, mode, cluster)
        version = trio.nodes["a"].version()
        proxy.set("b to a", delay=delay, loss=loss)
        proxy.set("c to a", delay=far, loss=loss)
        rows.append(_until_death(scene, mode, proxy, trio, connect, rate, clients, seconds))
        trio.remove()
        proxy.close()
    return {
        "rows": rows,
        "facts": {"server": f"{system} {version}", "rate_times_delay": rate * delay, "round_trip": 2 * delay},
    }


def _start(
    scene: Scene, system: str, proxy: Proxy, mode: str, cluster: Path | None
) -> tuple[Trio | PostgresTrio, Callable[[str], Session]]:
    """A trio, and how a client beside a node connects to it, past all links."""
    if cluster is None:
        trio = Trio(scene, system, proxy)
        return trio, lambda node: StoreSession(trio.nodes[node].client(_CLIENT_PATIENCE), _STORE_MODES[mode])
    postgres = PostgresTrio(scene, cluster, proxy)
    return postgres, partial(postgres.session, level=mode)


def _until_death(
    scene: Scene,
    mode: str,
    proxy: Proxy,
    trio: Trio | PostgresTrio,
    connect: Callable[[str], Session],
    rate: float,
    clients: int,
    seconds: float,
) -> dict[str, Any]:
    scene.tell("clients", f"{mode}: begin to write")
    writers = [Writer(connect, "a", f"{mode} {k}", rate / clients).start() for k in range(clients)]
    began = scene.now()
    scene.wait_until(lambda: scene.now() >= began + seconds, math.inf, "the time to write")
    proxy.drop("[bc] to a")  # first: what the process writes when it is dead to the network nobody will have
    trio.nodes["a"].kill()
    scene.tell("a", f"{mode}: its machine dies")
    writes = [write for writer in writers for write in writer.stop()]
    told = sum(write.outcome == "acknowledged" for write in writes)
    has = {name: trio.nodes[name].offset() for name in ("b", "c")}
    chosen, other = sorted(has, key=lambda name: -has[name])
    kept_by_other = trio.nodes[other].keys()
    trio.nodes[chosen].promote()
    probe = trio.session(chosen)  # that waits for nobody: it has no replicas yet
    probe.write(f"{mode} after")
    probe.close()
    scene.tell(chosen, f"{mode}: promoted, as it received {has[chosen] - has[other]:,} bytes more than {other}; writes")
    kept = trio.nodes[chosen].keys()
    found, elsewhere = account(writes, kept), account(writes, kept_by_other)
    scene.tell("clients", f"{mode}: {found.lost:,} of {told:,} acknowledged writes are lost")
    took = latencies(writes, 0.5, 0.99)
    return {
        "mode": mode,
        "acknowledged": found.acknowledged,
        "p50_ms": None if took is None else round(took[0] * 1e3, 3),
        "p99_ms": None if took is None else round(took[1] * 1e3, 3),
        "lost": found.lost,
        "promoted": chosen,
        "lost_on_other": elsewhere.lost,
        "unknown": found.unknown,
        "appeared": found.appeared,
    }
