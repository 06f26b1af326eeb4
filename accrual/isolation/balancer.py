"""A load balancer that ejects a server when it is suspected: what a dead server costs, and what a mistake costs.

Each server sends heartbeats to the balancer; a `accrual.Monitor` for each says when it is suspected. While it is, it
gets no requests. Fast detection saves requests from a dead server; a detector that misfires puts the load of a sound
server on the others. Servers also pause, as a noisy neighbour or a garbage collector makes them: requests wait, and
heartbeats come late.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from accrual.blocks import as_seed
from accrual.detectors import NS, Detector, as_detector
from accrual.isolation.result import Result, as_count, as_name, as_positive, check_size, percent
from accrual.monitor import Monitor, State
from accrual.tables import figure

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from accrual.monitor import Change

__all__ = ["ROUTES", "Balanced", "ServerRun", "balance", "heartbeats", "suspicions"]

ROUTES: Final = ("round-robin", "sticky")
"""Requests go to the servers in turn; or those of a user to one server, and to the next one while that is ejected."""


@dataclass(frozen=True, kw_only=True)
class ServerRun:
    """One server behind the balancer.

    Attributes
    ----------
    server : int
    requests : int
        That it was sent.
    failed, late : int
        Of these, sent while it was dead; or answered after the deadline, since it paused.
    ejections : int
        How often it was ejected.
    wrongly : int
        How often while it was not dead.
    out : float
        For how long, wrongly [s].
    """

    server: int
    requests: int
    failed: int
    late: int
    ejections: int
    wrongly: int
    out: float


@dataclass(frozen=True, eq=False, kw_only=True, repr=False)
class Balanced(Result):
    """A run of a balancer.

    Attributes
    ----------
    detector : str
    threshold : float
    route : str
    fails : float
        When server 0 died [s].
    detection_time : float
        Until it was ejected [s]; inf if it never was, 0 if it was out just then.
    failing : float
        Share of all requests that failed or were late, from the death on.
    users : float
        Share of the users who asked since then and failed at least once.
    servers : tuple of ServerRun
    arrivals : float64 array
        Of the requests [s].
    user : int64 array
        Whose each was.
    server : int64 array
        Where each was sent.
    failed : bool array
        Whether it failed or was late.
    """

    detector: str
    threshold: float
    route: str
    fails: float
    detection_time: float
    failing: float
    users: float
    servers: tuple[ServerRun, ...]
    arrivals: NDArray[np.float64]
    user: NDArray[np.int64]
    server: NDArray[np.int64]
    failed: NDArray[np.bool_]

    @property
    def wrongly(self) -> int:
        """How often a server was ejected that was not dead."""
        return sum(run.wrongly for run in self.servers)

    def title(self) -> str:
        """The detector, and what came of it."""
        return (
            f"{self.detector} at {self.threshold:g}, {self.route}: server 0 is ejected {figure(self.detection_time)} s "
            f"after its death, {self.wrongly} wrong ejections; {percent(self.failing)} of requests and "
            f"{percent(self.users)} of users fail"
        )

    def table(self) -> list[list[str]]:
        """A row for each server, as texts under a head."""
        rows = [["server", "requests", "failed", "late", "ejections", "wrongly", "out wrongly [s]"]]
        for run in self.servers:
            counts = (run.requests, run.failed, run.late, run.ejections, run.wrongly)
            rows.append([str(run.server), *(f"{count:,}" for count in counts), figure(run.out)])
        return rows

    def records(self) -> list[dict[str, Any]]:
        """A row for each server."""
        return [dict(vars(run)) for run in self.servers]

    def to_dict(self) -> dict[str, Any]:
        """Plain values, without the single requests."""
        single = ("arrivals", "user", "server", "failed")
        found = {name: value for name, value in super().to_dict().items() if name not in single}
        return found | {"wrongly": self.wrongly}


def balance(
    detector: Detector,
    threshold: float,
    *,
    servers: int = 8,
    route: str = "round-robin",
    rate: float = 120.0,
    duration: float = 60.0,
    fails: float = 30.0,
    lasts: float = math.inf,
    period: float = 0.1,
    delay: float = 0.002,
    pauses: float = 0.05,
    pause: float = 0.3,
    deadline: float = 0.5,
    users: int = 1000,
    seed: int = 0,
) -> Balanced:
    """Let a balancer eject by a detector while server 0 dies.

    The same seed brings the same heartbeats, pauses and requests, whatever the detector.

    Parameters
    ----------
    detector : Detector
        For instance ``accrual.PhiNormal(window=100, min_deviation=0.01)`` or ``accrual.FixedTimeout(period=0.1)``.
    threshold : float
        The level from which on a server is ejected; it comes back with its next heartbeat.
    servers : int
    route : str
        One of `ROUTES`.
    rate : float
        Requests a second, of all.
    duration, fails : float
        How long it runs, and when server 0 dies [s].
    lasts : float
        After which it is back [s]; never, by default.
    period : float
        Of heartbeats [s].
    delay : float
        Mean of their delay on the network, exponential [s].
    pauses : float
        How often a server pauses [1/s]; 0 for never.
    pause : float
        For how long on average, exponential [s].
    deadline : float
        What is answered later is late [s].
    users : int
    seed : int

    Raises
    ------
    ValueError
        With name, bound and value.

    Examples
    --------
    >>> import accrual as ac
    >>> fixed = balance(ac.FixedTimeout(period=0.1), threshold=3)
    >>> phi = balance(ac.PhiNormal(window=100), threshold=8)
    >>> [(round(of.detection_time, 2), of.wrongly) for of in (fixed, phi)]
    [(0.27, 13), (0.08, 23)]
    """
    detector = as_detector(detector)
    servers = as_count("servers", servers)
    as_name("route", route, ROUTES)
    rate, duration = as_positive("rate", rate, "requests a second"), as_positive("duration", duration, "seconds")
    fails = as_positive("fails", fails, "seconds", zero=True)
    if not fails < duration:
        raise ValueError(f"fails must be before the end of the run at {duration:g} s, got {fails!r}")
    lasts = lasts if lasts == math.inf else as_positive("lasts", lasts, "seconds")
    period, delay = as_positive("period", period, "seconds"), as_positive("delay", delay, "seconds", zero=True)
    pauses, pause = as_positive("pauses", pauses, "pauses a second", zero=True), as_positive("pause", pause, "seconds")
    deadline = as_positive("deadline", deadline, "seconds")
    users = as_count("users", users)
    check_size("requests (rate times duration)", rate * duration)
    check_size("heartbeats (servers times duration over period)", servers * duration / period)
    check_size("pauses (of all servers)", servers * duration * pauses)

    times, whose, homes, *of_servers = np.random.SeedSequence(as_seed(seed)).spawn(3 + servers)
    back = fails + lasts
    standing, ejected, alive = [], [], []
    for number, stream in enumerate(of_servers):
        random = np.random.default_rng(stream)
        begins, ends = _pauses(random, pauses, pause, duration)
        dies, returns = (fails, back) if number == 0 else (math.inf, math.inf)
        arrived = _heartbeats(random, begins, ends, duration, period, delay, dies, returns)
        standing.append((begins, ends))
        ejected.append(suspicions(detector, threshold, arrived, duration))
        alive.append((dies, returns))

    random = np.random.default_rng(times)
    arrivals = np.sort(random.uniform(0, duration, random.poisson(rate * duration)))
    user = np.random.default_rng(whose).integers(users, size=len(arrivals))
    home = np.random.default_rng(homes).integers(servers, size=users)[user]
    server = _route(arrivals, home if route == "sticky" else None, ejected, servers)
    dead = (server == 0) & (arrivals >= fails) & (arrivals < back)
    late = np.zeros(len(arrivals), dtype=bool)
    for number, (begins, ends) in enumerate(standing):
        mine = server == number
        late[mine] = _after(arrivals[mine], begins, ends) - arrivals[mine] > deadline
    failed, late = dead | late, late & ~dead
    since = arrivals >= fails
    runs = []
    for number, out in enumerate(ejected):
        mine = server == number
        dies, returns = alive[number]
        wrong = [(start, end) for start, end in out if not dies <= start < returns]
        runs.append(
            ServerRun(
                server=number,
                requests=int(np.count_nonzero(mine)),
                failed=int(np.count_nonzero(mine & dead)),
                late=int(np.count_nonzero(mine & late)),
                ejections=len(out),
                wrongly=len(wrong),
                out=math.fsum(min(end, dies) - start if start < dies else end - start for start, end in wrong),
            )
        )
    asking = len(np.unique(user[since]))
    return Balanced(
        detector=str(detector),
        threshold=float(threshold),
        route=route,
        fails=fails,
        detection_time=_detected(ejected[0], fails, back),
        failing=float(np.mean(failed[since])) if since.any() else math.nan,
        users=len(np.unique(user[since & failed])) / asking if asking else math.nan,
        servers=tuple(runs),
        arrivals=arrivals,
        user=user,
        server=server,
        failed=failed,
    )


def heartbeats(
    duration: float,
    *,
    period: float = 0.1,
    delay: float = 0.002,
    pauses: float = 0.05,
    pause: float = 0.3,
    seed: int = 0,
) -> NDArray[np.int64]:
    """When the heartbeats of one server that lives arrive at the balancer: what `balance` ejects by, for a study.

    Parameters
    ----------
    duration : float
        For how long [s].
    period, delay, pauses, pause : float
        As in `balance`.
    seed : int

    Returns
    -------
    int64 array
        Arrivals, in order [ns]: what `accrual.curve` and `accrual.compare` take.

    Raises
    ------
    ValueError
        With name, bound and value.

    Examples
    --------
    >>> import accrual as ac
    >>> day = heartbeats(86_400, pauses=0.01)  # 864 pauses; exp(-1.5) of them outlast 5 periods less half a one
    >>> len(day), ac.qos(day, ac.FixedTimeout(period=0.1), 5).mistakes
    (864000, 187)
    """
    duration, period = as_positive("duration", duration, "seconds"), as_positive("period", period, "seconds")
    delay = as_positive("delay", delay, "seconds", zero=True)
    pauses, pause = as_positive("pauses", pauses, "pauses a second", zero=True), as_positive("pause", pause, "seconds")
    check_size("heartbeats (duration over period)", duration / period)
    check_size("pauses", duration * pauses)
    random = np.random.default_rng(as_seed(seed))
    begins, ends = _pauses(random, pauses, pause, duration)
    arrived = _heartbeats(random, begins, ends, duration, period, delay)
    return np.rint(arrived * NS).astype(np.int64)


def _heartbeats(
    random: np.random.Generator,
    begins: NDArray[np.float64],
    ends: NDArray[np.float64],
    duration: float,
    period: float,
    delay: float,
    dies: float = math.inf,
    returns: float = math.inf,
) -> NDArray[np.float64]:
    """When the heartbeats of a server with these pauses arrive; it sends none from `dies` to `returns` [s]."""
    sent = _after(np.arange(random.uniform(0, period), duration, period), begins, ends)
    sent = sent[(sent < dies) | (sent >= returns)]
    return np.sort(sent + random.exponential(delay, len(sent)))


def suspicions(
    detector: Detector, threshold: float, arrivals: NDArray[np.float64], until: float
) -> list[tuple[float, float]]:
    """From when to when a monitor suspects who sent these heartbeats, up to `until` [s].

    Examples
    --------
    >>> import accrual as ac
    >>> suspicions(ac.FixedTimeout(period=1.0), 2, np.array([0.0, 1.0, 5.0]), until=9.0)
    [(3.0, 5.0), (7.0, 9.0)]
    """
    changes: list[Change] = []
    monitor = Monitor(detector, threshold, clock=lambda: 0, on_change=changes.append)
    for now in np.rint(arrivals * NS).astype(np.int64).tolist():
        monitor.heartbeat(now)
    monitor.state(round(until * NS))
    found: list[tuple[float, float]] = []
    since: float | None = None
    for change in changes:
        if change.new is State.SUSPECTED:
            since = change.at / NS
        elif since is not None:
            found.append((since, change.at / NS))
            since = None
    return found if since is None else [*found, (since, until)]


def _pauses(
    random: np.random.Generator, rate: float, mean: float, duration: float
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """When pauses begin and end; those that meet are one."""
    begins = np.sort(random.uniform(0, duration, random.poisson(rate * duration)))
    ends = np.maximum.accumulate(begins + random.exponential(mean, len(begins)))
    apart = np.concatenate([[True], begins[1:] > ends[:-1]]) if len(begins) else np.zeros(0, dtype=bool)
    last = np.concatenate([apart[1:], [True]]) if len(begins) else apart
    return begins[apart], ends[last]


def _after(times: NDArray[np.float64], begins: NDArray[np.float64], ends: NDArray[np.float64]) -> NDArray[np.float64]:
    """The times, but what falls into a pause is put off to its end."""
    if not len(begins):
        return times
    pause = np.searchsorted(begins, times, side="right") - 1
    return np.where(pause >= 0, np.maximum(times, ends[pause]), times)


def _route(
    arrivals: NDArray[np.float64],
    home: NDArray[np.int64] | None,
    ejected: list[list[tuple[float, float]]],
    servers: int,
) -> NDArray[np.int64]:
    """Where each request goes; if all servers are ejected, then as if none were."""
    events = sorted(
        (at, number, back)
        for number, out in enumerate(ejected)
        for pair in out
        for at, back in zip(pair, (0, 1), strict=True)
    )
    inside = np.ones(servers, dtype=bool)
    server = np.empty(len(arrivals), dtype=np.int64)
    first, turn = 0, 0
    for at, number, back in [*events, (math.inf, 0, 1)]:
        last = int(np.searchsorted(arrivals, at))
        if last > first:
            there = np.flatnonzero(inside) if inside.any() else np.arange(servers)
            if home is None:
                server[first:last] = there[(turn + np.arange(last - first)) % len(there)]
                turn += last - first
            else:
                place = np.searchsorted(there, home[first:last])
                server[first:last] = there[place % len(there)]
            first = last
        inside[number] = bool(back)
    return server


def _detected(out: list[tuple[float, float]], fails: float, back: float) -> float:
    """Until the ejection that lasts: a heartbeat that was under way at the death may end an earlier one."""
    while_dead = [start for start, _ in out if fails <= start < back]
    if while_dead:
        return max(while_dead) - fails
    return 0.0 if any(start < fails < end for start, end in out) else math.inf
