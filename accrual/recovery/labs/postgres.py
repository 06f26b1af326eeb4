"""PostgreSQL: a primary with two standbys behind links, and what the labs ask of them."""

from __future__ import annotations

import functools
import importlib.util
import os
import shutil
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from accrual.lab import LabError, Lack
from accrual.recovery.labs.servers import Server, complaint, find, lacking
from accrual.recovery.labs.writes import RefusedError

if TYPE_CHECKING:
    import psycopg

    from accrual.lab import Scene
    from accrual.recovery.labs.proxy import Proxy

__all__ = ["PostgresSession", "PostgresTrio", "lacking_postgres", "make_cluster"]

_PATIENCE: Final = 20.0  # for a standby to stream [s]; 0.3 s on a machine with nothing else to do
_USER: Final = "lab"

_SETTINGS: Final[Mapping[str, object]] = {
    "listen_addresses": "127.0.0.1",
    "unix_socket_directories": "",
    "shared_buffers": "16MB",
    "max_connections": 20,
    "max_wal_senders": 4,
    "autovacuum": "off",
    "wal_keep_size": "128MB",  # else a segment may be removed before a standby has it
    "wal_receiver_status_interval": "1s",
    "wal_retrieve_retry_interval": "200ms",
}

# The databases that nobody connects to go: two thirds of the files that are copied for each server.
_COMMANDS: Final = b"""update pg_database set datistemplate = false
drop database template0
drop database template1
create table writes (key text primary key)
"""

# PostgreSQL refuses to run as root. In a user namespace of its own, in which root is mapped to an ordinary user, it is
# none, and yet reads its programs and writes its files where only root may.
_AS_NOBODY: Final = ("unshare", "--user", "--map-user=1000", "--map-group=1000")


def _as_user() -> tuple[str, ...]:
    return _AS_NOBODY if hasattr(os, "geteuid") and os.geteuid() == 0 else ()


@functools.cache
def _may_run() -> bool:
    """Whether we are an ordinary user, or can become one."""
    command = _as_user()
    if not command:
        return True
    try:
        done = subprocess.run([*command, "true"], check=False, capture_output=True, timeout=10)  # noqa: S603
    except (OSError, subprocess.TimeoutExpired):
        return False
    return done.returncode == 0


def lacking_postgres() -> list[Lack]:
    """What this machine lacks to run PostgreSQL and to talk to it."""
    lacks = lacking("postgresql")
    if importlib.util.find_spec("psycopg") is None:
        lacks.append(Lack("psycopg", "pip install accrual[labs]"))
    if not _may_run():
        lacks.append(Lack("a user who is not root", "PostgreSQL refuses root, and unshare --user is not allowed here"))
    return lacks


def _run(scene: Scene, name: str, command: list[str | Path], **options: Any) -> None:
    process = scene.spawn([*_as_user(), *command], name, **options)
    if process.stdin:
        process.communicate(_COMMANDS, timeout=60)
    if process.wait(60) != 0:
        raise LabError(f"{name}: {complaint(scene, name)}")


def make_cluster(scene: Scene) -> Path:
    """Make a database with an empty table ``writes``, cleanly shut down: its copies are primary and standbys.

    Raises
    ------
    UnavailableError, LabError
        PostgreSQL is not installed; or could not make it, as where the disk is full.
    """
    programs = find("postgresql").parent
    folder = scene.folder / "cluster"
    _run(
        scene,
        "initdb",
        [programs / "initdb", "-D", folder, "-U", _USER, "-A", "trust", "-E", "UTF8", "--locale=C", "--no-sync",
         "--wal-segsize=4", "--no-instructions"],
    )  # fmt: skip
    # Before the table is made: a standby wants no fewer connections than the cluster has noted that it ran with.
    with (folder / "postgresql.conf").open("a", encoding="utf-8") as file:
        file.writelines(f"{option} = '{value}'\n" for option, value in _SETTINGS.items())
    # A single process that takes commands from its standard input, for half a second less than a start and a stop.
    _run(scene, "make-table", [programs / "postgres", "--single", "-D", folder, "postgres"], stdin=subprocess.PIPE)
    return folder


class Postgres(Server):
    """A PostgreSQL server on a copy of a cluster.

    Parameters
    ----------
    scene, name, port
        As `Server`.
    cluster : path
        What `make_cluster` gave.
    primary : int, optional
        Port of whom it replicates. It is not waited for then: several can start at once.
    options : mapping, optional
        Of its configuration.
    """

    def __init__(
        self,
        scene: Scene,
        name: str,
        cluster: Path,
        port: int | None = None,
        primary: int | None = None,
        options: Mapping[str, object] | None = None,
    ) -> None:
        super().__init__(scene, name, port)
        self.folder.rmdir()
        shutil.copytree(cluster, self.folder)
        settings: dict[str, object] = {"port": self.port, "cluster_name": name, **(options or {})}
        if primary is not None:
            (self.folder / "standby.signal").touch()
            settings["primary_conninfo"] = f"host=127.0.0.1 port={primary} user={_USER} application_name={name}"
        words = [word for option, value in settings.items() for word in ("-c", f"{option}={value}")]
        self.spawn([*_as_user(), find("postgresql"), "-D", self.folder, *words])
        if primary is None:
            self.wait_ready(self.is_ours)

    def is_ours(self) -> bool:
        """Whether it answers, and not another one at its port."""
        with self.connect() as connection:
            [(name,)] = connection.execute("show data_directory").fetchall()
        return Path(name) == self.folder

    def connect(self) -> psycopg.Connection[Any]:
        """A connection that commits each statement; raises OSError where there is none."""
        import psycopg

        where = f"host=127.0.0.1 port={self.port} dbname=postgres user={_USER} connect_timeout=2"
        try:
            return psycopg.connect(where, autocommit=True)
        except psycopg.OperationalError as error:
            raise ConnectionError(str(error)) from None

    def offset(self) -> int:
        """How much of the log it got as a standby [bytes]."""
        [(position,)] = self._ask("select coalesce(pg_wal_lsn_diff(pg_last_wal_receive_lsn(), '0/0'), 0)")
        return int(position)

    def promote(self) -> None:
        """Make it a primary; returns when it is one."""
        [(done,)] = self._ask("select pg_promote(true, 20)")
        if not done:
            raise LabError(f"{self.name} did not become a primary within 20 s: {self.scene.log_of(self.name)}")

    def version(self) -> str:
        """Its version."""
        [(version,)] = self._ask("show server_version")
        return str(version).partition(" ")[0]

    def keys(self) -> set[str]:
        """All keys that were written."""
        return {key for (key,) in self._ask("select key from writes")}

    def _ask(self, query: str) -> list[tuple[Any, ...]]:
        with self.connect() as connection:
            return connection.execute(query).fetchall()


class PostgresTrio:
    """A primary ``a`` with the standbys ``b`` and ``c``, over links of `proxy` named ``"b to a"`` and ``"c to a"``.

    Parameters
    ----------
    scene : Scene
    cluster : path
        What `make_cluster` gave.
    proxy : Proxy
    delay : float
        Of the links, each way [s].
    """

    def __init__(self, scene: Scene, cluster: Path, proxy: Proxy, delay: float = 0.0) -> None:
        # Standbys must not wait for standbys of their own once they are promoted: only the primary is told of them.
        names = {"synchronous_standby_names": "ANY 1 (b, c)"}
        self.nodes = {"a": Postgres(scene, "a", cluster, options=names)}
        for name in ("b", "c"):
            port = proxy.link(f"{name} to a", self.nodes["a"].port)
            self.nodes[name] = Postgres(scene, f"{name}", cluster, primary=port)
        for name in ("b", "c"):
            self.nodes[name].wait_ready(self.nodes[name].is_ours)
        with self.nodes["a"].connect() as connection:
            count = "select count(*) = 2 from pg_stat_replication where state = 'streaming'"
            scene.wait_until(
                lambda: connection.execute(count).fetchall() == [(True,)], _PATIENCE, "two standbys streaming"
            )
        proxy.set("[bc] to a", delay=delay)

    def session(self, name: str, level: str = "local") -> PostgresSession:
        """A client's connection to a node that commits at a level of synchronous_commit."""
        return PostgresSession(self.nodes[name].connect(), level)

    def remove(self) -> None:
        """Kill all of it and give its space back."""
        for node in self.nodes.values():
            node.kill()
            shutil.rmtree(node.folder)


class PostgresSession:
    """Commits a row with the key."""

    def __init__(self, connection: psycopg.Connection[Any], level: str) -> None:
        self._connection = connection
        connection.execute(f"set synchronous_commit = {level}")

    def write(self, key: str) -> None:
        """Write it."""
        import psycopg

        try:
            self._connection.execute("insert into writes values (%s)", (key,), prepare=True)
        except psycopg.OperationalError as error:  # also what the server says of its end while it commits
            raise ConnectionError(str(error)) from None
        except psycopg.Error as error:
            raise RefusedError(str(error)) from None

    def close(self) -> None:
        """Close the connection."""
        self._connection.close()
