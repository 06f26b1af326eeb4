"""A primary fails, and a controller with our detector, or Sentinel, sees to it that writing goes on."""

from __future__ import annotations

import asyncio
import contextlib
import math
import threading
import time
import typing
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final, Literal, NamedTuple, Protocol

from accrual.detectors import NS, Detector, parse_detector
from accrual.lab import Lack, Scene, lab
from accrual.monitor import State
from accrual.recovery.controller import FailoverController
from accrual.recovery.driver import drive
from accrual.recovery.labs.proxy import Proxy
from accrual.recovery.labs.resp import encoded
from accrual.recovery.labs.servers import lacking
from accrual.recovery.labs.stores import Sentinel, Trio
from accrual.recovery.labs.writes import Writer, account, gap

if TYPE_CHECKING:
    from collections.abc import Hashable

__all__ = ["failover"]

Kind = Literal["valkey", "redis"]
Fault = Literal["kill", "power", "stop"]
Fence = Literal["network", "power", "none"]

_WARM: Final = 15  # heartbeats before the fault: windows of the detectors fill
_PATIENCE: Final = 30.0  # for a failover [s]; Sentinel takes 2.8 s, on a machine with nothing else to do
_AFTER: Final = 0.5  # of writing when all is well [s]
_ASLEEP: Final = 0.5  # of the old primary, when the new one writes already [s]
_AWAKE: Final = 1.0  # of the old primary, at the least, for clients to find it [s]
_LOOK: Final = 0.01  # how often Sentinel is asked [s]


def _lacking(system: str = "valkey", **_: Any) -> list[Lack]:
    return lacking(system)


@lab("failover", lacking=_lacking, limit=120.0)
def failover(
    scene: Scene,
    *,
    system: Kind = "valkey",
    detector: str = "phi:min_deviation=0.05 fixed",
    threshold: float | None = None,
    fault: Fault = "kill",
    fence: Fence = "network",
    min_replicas: int = 0,
    sentinel: bool = True,
    down_after: float = 1.0,
    period: float = 0.1,
    delay: float = 0.02,
    rate: float = 500.0,
    watch: float = 12.0,
) -> dict[str, Any]:
    """The primary of Valkey or Redis fails: how soon our detectors or Sentinel bring writing back, and what is lost.

    For each detector anew, and for three Sentinels: a primary ``a`` and the replicas ``b`` and ``c``; a client writes.
    A `FailoverController` hears the answers to a PING each `period` from each node; it fences the old primary,
    promotes the replica that has received most, redirects the client, and takes the old one back as a replica when it
    is heard again. With the fault ``stop``, a second client knows nothing of all that and goes on with the old
    primary, which wakes up half a second after writing goes on elsewhere: a zombie.

    Parameters
    ----------
    system : {"valkey", "redis"}
        What fails over.
    detector : str
        Detectors as ``accrual replay`` takes them, with blanks between.
    threshold : float, optional
        Of each of them; by default what is common for it.
    fault : {"kill", "power", "stop"}
        Of the primary: kill its process (what it sent still arrives), take its machine's power (that is lost too), or
        stop it for a while.
    fence : {"network", "power", "none"}
        How the controller keeps an old primary from serving: cut it off from clients and replicas, kill it, or not.
    min_replicas : int
        0 to 2; min-replicas-to-write, with min-replicas-max-lag 1 s: a primary without so many replicas refuses.
    sentinel : bool
        Compare with Sentinel.
    down_after : float
        Sentinel's down-after-milliseconds [s], 0.1 to 5.
    period : float
        Between the PINGs of our controller [s], 0.01 to 1.
    delay : float
        Between the nodes, each way [s], 0 to 1.
    rate : float
        Writes per second of each client [1/s].
    watch : float
        How long to watch a woken primary that is not demoted [s], 1 to 15.

    Returns
    -------
    dict
        A row for each detector and Sentinel, times from the fault on [s]: ``detection``, ``promotion``, ``writable``
        (the first acknowledgement of a write that began after the fault); writes of all clients; the zombie's part of
        them, and how long after it woke up it was ``demoted``; ``needless`` failovers beside the one that the fault
        asks for, each of which loses what was under way to the replicas.
    """
    chosen: list[tuple[str, str, Any]] = [("system", system, Kind), ("fault", fault, Fault), ("fence", fence, Fence)]
    for name, choice, kinds in chosen:
        if choice not in typing.get_args(kinds):
            raise ValueError(f"{name} must be one of {', '.join(typing.get_args(kinds))}, got {choice!r}")
    for name, value, least, most in (
        ("min_replicas", min_replicas, 0, 2),
        ("down_after", down_after, 0.1, 5),
        ("period", period, 0.01, 1),
        ("delay", delay, 0, 1),
        ("rate", rate, 1, 10_000),
        ("watch", watch, 1, 15),
    ):
        if not least <= value <= most:
            raise ValueError(f"{name} must be from {least} to {most}, got {value!r}")
    if threshold is not None and not 0 <= threshold < math.inf:
        raise ValueError(f"threshold must be a finite number from 0 on, got {threshold!r}")
    drivers: list[tuple[str, _Make]] = []
    for text in detector.split():
        ours = parse_detector(text, period)
        at = ours.typical_threshold if threshold is None else threshold
        drivers.append((f"{ours}, {ours.threshold_name} = {at:g}", _ours(ours, at, period, fence)))
    if sentinel:
        drivers.append((f"sentinel, down-after = {down_after:g}", _sentinels(system, down_after)))
    if not drivers:
        raise ValueError("detector must name one, or sentinel be true: nobody would fail over")
    options: dict[str, object] = {}
    if min_replicas:
        options = {"min-replicas-to-write": min_replicas, "min-replicas-max-lag": 1}
    rows = []
    for name, make in drivers:
        proxy = Proxy(scene)
        trio = Trio(scene, system, proxy, delay, options)
        version = trio.nodes["a"].version()
        rows.append({"driver": name} | _trial(scene, name, trio, proxy, make, fault, rate, watch))
        trio.remove()
        proxy.close()
    return {"rows": rows, "facts": {"server": f"{system} {version}", "rate_times_delay": rate * delay}}


class _Driver(Protocol):
    """Who decides on a failover; runs in a thread of its own between start and stop."""

    warm: float
    """How long it has to run before the fault [s]."""

    @property
    def primary(self) -> str:
        """Who it is."""

    def start(self) -> None: ...
    def stop(self) -> None: ...
    def failovers(self) -> int:
        """How many it has made."""

    def times(self, fault: float) -> _Times:
        """When, on the monotonic clock, it noticed a fault and had promoted another; the fault's, if it was at it."""


class _Times(NamedTuple):
    detected: float
    promoted: float


_Redirect = Callable[[str], None]
_Make = Callable[[Scene, Trio, Proxy, _Redirect], _Driver]


def _trial(
    scene: Scene,
    name: str,
    trio: Trio,
    proxy: Proxy,
    make: _Make,
    fault: Fault,
    rate: float,
    watch: float,
) -> dict[str, Any]:
    name = name.partition(",")[0].partition(":")[0]
    client = Writer(trio.session, "a", "client", rate)
    driver = make(scene, trio, proxy, client.redirect)
    driver.start()
    client.start()
    writers = [client]
    scene.tell("client", f"{name}: begins to write, to a")
    try:
        _pause(scene, driver.warm)
        victim = driver.primary
        if fault == "stop":
            writers.append(Writer(trio.session, victim, "stale client", rate).start())
            scene.wait_until(lambda: writers[1].acknowledged(), _PATIENCE, "a first write of the stale client")
        at = _strike(scene, name, trio, proxy, victim, fault)

        def writes_again() -> bool:
            return driver.primary != victim and client.acknowledged(driver.primary, since=at) > 0

        scene.wait_until(writes_again, _PATIENCE, f"{name}: writes on another node")
        times = driver.times(at)
        scene.tell(name, f"suspects {victim}", scene.since_start(times.detected))
        scene.tell(name, f"has promoted {driver.primary}", scene.since_start(times.promoted))
        demoted, woken = None, math.inf
        if fault == "stop" and trio.nodes[victim].alive():
            _pause(scene, _ASLEEP)
            demoted, woken = _wake(scene, name, trio, victim, watch)
        _pause(scene, _AFTER)
    finally:
        driver.stop()
    told = [writer.stop() for writer in writers]
    found = gap(told[0], at)
    assert found is not None  # it wrote before the fault, and was waited for after it
    scene.tell("client", f"{name}: writes to {driver.primary}", scene.since_start(found[1]))
    every = account([write for writes in told for write in writes], trio.nodes[driver.primary].keys())
    until = math.inf if demoted is None else woken + demoted
    zombies = sum(writer.acknowledged(victim, since=woken, until=until) for writer in writers)
    scene.tell("client", f"{name}: {every.lost:,} of {every.acknowledged:,} acknowledged writes are lost")
    return {
        "detection": round(times.detected - at, 3),
        "promotion": round(times.promoted - at, 3),
        "writable": round(found[1] - at, 3),
        "acknowledged": every.acknowledged,
        "failed": every.failed,
        "unknown": every.unknown,
        "lost": every.lost,
        "zombie_accepted": zombies if fault == "stop" else None,
        "demoted": None if demoted is None else round(demoted, 3),
        "needless": driver.failovers() - 1,
    }


def _pause(scene: Scene, seconds: float) -> None:
    end = scene.now() + seconds
    scene.wait_until(lambda: scene.now() >= end, math.inf, "time")


def _strike(scene: Scene, name: str, trio: Trio, proxy: Proxy, victim: str, fault: Fault) -> float:
    """Do it; gives when [s], on the monotonic clock."""
    at = time.monotonic()
    if fault == "stop":
        trio.nodes[victim].stop()
    else:
        if fault == "power":
            proxy.drop(f"[abc] to {victim}")
            proxy.cut(f"client to {victim}")  # nobody tells the client that its packets go nowhere
        trio.nodes[victim].kill()
    what = {"stop": "stopped (SIGSTOP)", "kill": "killed (SIGKILL)", "power": "its machine loses its power"}[fault]
    scene.tell(victim, f"{name}: {what}", scene.since_start(at))
    return at


def _wake(scene: Scene, name: str, trio: Trio, victim: str, watch: float) -> tuple[float | None, float]:
    """Wake a stopped primary and watch it until it is demoted; gives after how long that was, and when it woke."""
    woken = time.monotonic()
    trio.nodes[victim].wake()
    scene.tell(victim, f"{name}: wakes up (SIGCONT)", scene.since_start(woken))
    demoted = None
    while time.monotonic() < woken + watch and demoted is None:
        with contextlib.suppress(OSError):
            if trio.nodes[victim].replication()["role"] == "slave":
                demoted = time.monotonic() - woken
        time.sleep(_LOOK)
    if demoted is None:
        scene.tell(victim, f"{name}: still takes itself for a primary")
    else:
        scene.tell(victim, f"{name}: is a replica now", scene.since_start(woken + demoted))
    _pause(scene, max(0.0, woken + _AWAKE - time.monotonic()))
    return demoted, woken


# ---- our controller ------------------------------------------------------------------------------------------------


def _ours(detector: Detector, threshold: float, period: float, fence: Fence) -> _Make:
    return lambda scene, trio, proxy, redirect: _Ours(scene, trio, proxy, redirect, detector, threshold, period, fence)


class _Ours:
    """A `FailoverController` under asyncio in a thread, that hears PONGs and acts by proxy and REPLICAOF."""

    def __init__(
        self,
        scene: Scene,
        trio: Trio,
        proxy: Proxy,
        redirect: _Redirect,
        detector: Detector,
        threshold: float,
        period: float,
        fence: Fence,
    ) -> None:
        self._trio, self._proxy, self._redirect = trio, proxy, redirect
        self._scene, self._period, self._fence_by = scene, period, fence
        self.warm = _WARM * period
        self._out: set[str] = set()  # whom it fenced and has not taken back
        self.controller = FailoverController(
            list(trio.nodes),
            "a",
            detector=detector,
            threshold=threshold,
            fence=self._fence,
            promote=self._promote,
            redirect=self._lead_on,
            rejoin=self._rejoin,
            choose=self._most_received,
            retry_after=0.2,
        )
        self._loop = asyncio.new_event_loop()
        self._main: asyncio.Task[None] | None = None
        self._thread = threading.Thread(target=self._run, name="controller", daemon=True)
        self._error: BaseException | None = None

    @property
    def primary(self) -> str:
        return str(self.controller.primary)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        main = self._main
        if main is not None:
            with contextlib.suppress(RuntimeError):  # its loop has ended: an error, raised below
                self._loop.call_soon_threadsafe(main.cancel)
        self._thread.join(_PATIENCE)
        if self._error is not None:
            raise self._error

    def failovers(self) -> int:
        return self.controller.failovers

    def times(self, fault: float) -> _Times:
        first: dict[str, float] = {}
        for entry in tuple(self.controller.log):
            if entry.at / NS >= fault:
                first.setdefault(entry.event, entry.at / NS)
        return _Times(first.get("primary suspected", fault), first.get("promoted", fault))

    def _run(self) -> None:
        try:
            self._loop.run_until_complete(self._all())
        except asyncio.CancelledError:
            pass
        except BaseException as error:  # raised by stop()
            self._error = error
        finally:
            self._loop.close()

    async def _all(self) -> None:
        self._main = asyncio.current_task()
        async with asyncio.TaskGroup() as group:
            for name, node in self._trio.nodes.items():
                group.create_task(self._heartbeats(name, node.port))
            group.create_task(drive(self.controller))

    async def _heartbeats(self, name: str, port: int) -> None:
        """PING each period; each answer is a heartbeat. A connection that breaks is none, and is made again."""
        while True:
            with contextlib.suppress(OSError):
                reader, writer = await asyncio.open_connection("127.0.0.1", port)
                pinging = asyncio.create_task(self._ping(writer))
                try:
                    while await reader.readline():
                        self.controller.heartbeat(name)
                finally:
                    pinging.cancel()
                    writer.transport.abort()
            await asyncio.sleep(self._period)

    async def _ping(self, writer: asyncio.StreamWriter) -> None:
        due = self._loop.time()
        while True:
            writer.write(encoded("PING"))
            due = max(due + self._period, self._loop.time())
            await asyncio.sleep(due - self._loop.time())

    # What the controller decides is done here: each is idempotent, and done when it returns.

    async def _fence(self, old: Hashable, term: int) -> None:
        """Keep it from acknowledging anything, also when it is stopped now and wakes up later."""
        self._out.add(str(old))
        if self._fence_by == "network":
            self._proxy.drop(f"* to {old}")
        elif self._fence_by == "power":
            await asyncio.to_thread(self._trio.nodes[str(old)].kill)
        self._scene.tell("controller", f"fences {old}: {self._fence_by}")

    def _most_received(self, candidates: tuple[Hashable, ...]) -> Hashable | None:
        received = {}
        for node in candidates:
            with contextlib.suppress(OSError):
                received[node] = self._trio.nodes[str(node)].offset()
        return max(received, key=lambda node: received[node], default=None)

    async def _promote(self, new: Hashable, term: int) -> None:
        await asyncio.to_thread(self._trio.nodes[str(new)].promote)

    async def _lead_on(self, new: Hashable, term: int) -> None:
        """Redirect the client, then the backups."""
        self._redirect(str(new))
        for node in self._trio.nodes.keys() - self._out - {new}:
            if self.controller.verdict(node) is State.TRUSTED:
                await asyncio.to_thread(self._trio.follow, node, str(new))

    async def _rejoin(self, old: Hashable, new: Hashable | None, term: int) -> None:
        """Make it a replica, which refuses writes; only then let clients reach it."""
        if new is None:  # the lab strikes one of three: where all were fenced something else is wrong
            raise RuntimeError(f"{old} has nobody to follow")
        await asyncio.to_thread(self._trio.follow, str(old), str(new))
        self._proxy.heal(f"* to {old}")
        self._out.discard(str(old))
        self._scene.tell("controller", f"takes {old} back as a replica of {new}")


# ---- Sentinel ------------------------------------------------------------------------------------------------------


def _sentinels(system: str, down_after: float) -> _Make:
    return lambda scene, trio, _proxy, redirect: _Sentinels(scene, trio, redirect, system, down_after)


class _Sentinels:
    """Three Sentinels, and a client's library that asks them where the primary is."""

    def __init__(self, scene: Scene, trio: Trio, redirect: _Redirect, system: str, down_after: float) -> None:
        self._redirect = redirect
        self.primary, self.warm = "a", _AFTER
        self._names = {str(node.port): name for name, node in trio.nodes.items()}
        port = trio.nodes["a"].port
        self._sentinels = [Sentinel(scene, system, f"sentinel-{k}", port, down_after) for k in range(3)]
        scene.wait_until(lambda: all(s.knows_all() for s in self._sentinels), _PATIENCE, "Sentinels that know all")
        scene.tell("sentinel", "sentinel: three know the trio and each other")
        self._suspected: list[float] = []
        self._promoted: list[float] = []
        self._end = threading.Event()
        self._thread = threading.Thread(target=self._run, name="sentinel's client", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        self._end.set()
        self._thread.join(_PATIENCE)
        for one in self._sentinels:
            one.kill()

    def failovers(self) -> int:
        return len(self._promoted)

    def times(self, fault: float) -> _Times:
        return _Times(*(next((at for at in e if at >= fault), fault) for e in (self._suspected, self._promoted)))

    def _run(self) -> None:
        suspected = False
        while not self._end.wait(_LOOK):
            try:
                states = [one.state() or {} for one in self._sentinels]
            except OSError:
                continue
            down = any("s_down" in state.get("flags", "") for state in states)
            if down and not suspected:
                self._suspected.append(time.monotonic())
            suspected = down
            # The latest: the others hear of it from the one that led the failover.
            latest = max(states, key=lambda state: int(state.get("config-epoch", 0)))
            primary = self._names.get(latest.get("address", ""), self.primary)
            if primary != self.primary:
                self._promoted.append(time.monotonic())
                self.primary = primary
                self._redirect(primary)
