"""Pools of workers in closed form: how many are refused, how many wait, and what it costs to part a pool.

The load of a pool is a = rate * latency: how many workers the requests keep busy on average, if none is refused.

- Erlang B: requests that find all workers busy are refused at once. It holds for any law of the work with that mean,
  so it also holds for a thread pool whose calls end by a timeout.
- Erlang C: they wait, in one queue without end. For exponential work; the load must be below the number of workers.
- M/M/c/K: they wait as long as there is room for K in all, and are refused after that. For exponential work.

Requests are taken to come at random (Poisson). Bursts need more.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from accrual.isolation.result import Result, as_count, as_name, as_positive, as_share, percent
from accrual.tables import figure

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = [
    "Pool",
    "PoolPlan",
    "Queue",
    "divide",
    "erlang_b",
    "erlang_c",
    "plan_pools",
    "queue",
    "waiting_longer",
    "workers_for",
]

MOST: Final = 1_000_000
"""Workers at most, and places in a queue."""


def erlang_b(workers: int, load: float) -> float:
    """The share of requests refused by a pool that has no queue.

    Parameters
    ----------
    workers : int
        1 or more.
    load : float
        Rate times mean work; may exceed the workers, then most are refused.

    Raises
    ------
    ValueError
        With name, bound and value.

    Examples
    --------
    Thirty requests a second of 40 ms hardly ever find ten workers busy. When the work hangs until a timeout of 1 s,
    two of three do:

    >>> erlang_b(10, 30 * 0.04), erlang_b(10, 30 * 1.0)  # doctest: +ELLIPSIS
    (5.139...e-07, 0.681...)
    """
    workers, load = as_count("workers", workers, 1, MOST), as_positive("load", load, "busy workers", zero=True)
    return _erlang_b(workers, load)


def _erlang_b(workers: int, load: float) -> float:
    refused = 1.0  # B(0) = 1, B(c) = a B(c-1) / (c + a B(c-1)): sums of positive terms, which keep all digits
    for c in range(1, workers + 1):
        refused = load * refused / (c + load * refused)
        if not refused:
            break
    return refused


def erlang_c(workers: int, load: float) -> float:
    """The share of requests that have to wait, where all may.

    Raises
    ------
    ValueError
        With name, bound and value; also for a load that is not below `workers`.

    Examples
    --------
    >>> round(erlang_c(10, 8), 4)
    0.4092
    """
    workers, load = as_count("workers", workers, 1, MOST), as_positive("load", load, "busy workers", zero=True)
    _check_capacity(workers, load)
    return _erlang_c(workers, load)


def _erlang_c(workers: int, load: float) -> float:
    refused = _erlang_b(workers, load)
    return refused / (1 - load / workers * (1 - refused))


def waiting_longer(workers: int, load: float, latency: float, wait: float) -> float:
    """The share of requests that wait longer than `wait` [s], where all may; `latency` is their mean work [s].

    Raises
    ------
    ValueError
        As :func:`erlang_c`.

    Examples
    --------
    >>> round(waiting_longer(10, 8, latency=0.1, wait=0.1), 4)
    0.0554
    """
    latency, wait = as_positive("latency", latency, "seconds"), as_positive("wait", wait, "seconds", zero=True)
    return erlang_c(workers, load) * math.exp(-(workers - load) * wait / latency)


@dataclass(frozen=True, kw_only=True)
class Queue:
    """A pool with a queue, in the long run.

    Attributes
    ----------
    refused : float
        Share of requests that find no room.
    waiting : float
        Share, of those let in, that have to wait.
    wait : float
        Mean wait of those let in, zeros too [s].
    length : float
        Mean number that wait.
    utilisation : float
        Share of the workers that are busy.
    """

    refused: float
    waiting: float
    wait: float
    length: float
    utilisation: float


def queue(workers: int, places: int | None, rate: float, latency: float) -> Queue:
    """M/M/c/K: what a pool of `workers` with room for `places` more comes to.

    Parameters
    ----------
    workers : int
    places : int or None
        In the queue; 0 refuses at once (Erlang B), None is without end (Erlang C).
    rate : float
        Requests a second.
    latency : float
        Mean work of a request [s].

    Raises
    ------
    ValueError
        With name, bound and value; also for a load that is not below `workers` and an endless queue.

    Examples
    --------
    >>> found = queue(10, 5, rate=80, latency=0.1)
    >>> round(found.refused, 4), round(found.utilisation, 4)
    (0.03, 0.776)
    """
    workers = as_count("workers", workers, 1, MOST)
    rate, latency = as_positive("rate", rate, "requests a second"), as_positive("latency", latency, "seconds")
    load = rate * latency
    if places is None:
        _check_capacity(workers, load)
        waiting = _erlang_c(workers, load)
        wait = waiting * latency / (workers - load)
        return Queue(refused=0.0, waiting=waiting, wait=wait, length=rate * wait, utilisation=load / workers)
    places = as_count("places", places, 0, MOST)
    # Logarithms of a^n / n!, and of a^n / (c! c^(n-c)) above c: neither factor fits a float for large pools.
    n = np.arange(workers + places + 1)
    logs = np.concatenate([[0.0], np.cumsum(math.log(load) - np.log(np.minimum(n[1:], workers)))])
    chance = np.exp(logs - logs.max())
    chance /= chance.sum()
    refused = float(chance[-1])
    length = float(np.dot(np.maximum(n - workers, 0), chance))
    let_in = float(chance[:-1].sum())
    return Queue(
        refused=refused,
        waiting=float(chance[workers:-1].sum()) / let_in,
        wait=length / (rate * let_in),
        length=length,
        utilisation=float(np.dot(np.minimum(n, workers), chance)) / workers,
    )


def workers_for(load: float, reject: float) -> int:
    """The fewest workers that refuse at most a share `reject` of the requests, without a queue.

    Raises
    ------
    ValueError
        With name, bound and value; also where a million would be too few.

    Examples
    --------
    >>> workers_for(6, reject=0.05), workers_for(6, reject=0.01)
    (10, 13)
    """
    load, reject = as_positive("load", load, "busy workers"), as_share("reject", reject, ends=False)
    return _fewest(load, reject, latency=1.0, wait=None)


def _fewest(load: float, share: float, latency: float, wait: float | None) -> int:
    """The fewest workers with at most this share refused, or, given `wait`, waiting longer than that."""
    refused = 1.0
    for c in range(1, MOST + 1):
        refused = load * refused / (c + load * refused)
        missed = refused
        if wait is not None:
            if c <= load:
                continue
            missed = refused / (1 - load / c * (1 - refused)) * math.exp(-(c - load) * wait / latency)
        if missed <= share:
            return c
    raise ValueError(f"load must be at most what {MOST:,} workers can do, got {load:.6g} busy workers")


def _check_capacity(workers: int, load: float) -> None:
    if not load < workers:
        raise ValueError(
            f"load must be below the {workers} worker{'s' * (workers > 1)} of a pool with a queue, got {load:.6g} busy "
            "workers: the queue would grow without end"
        )


# ---- a plan ---------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, kw_only=True)
class Pool:
    """One pool of a plan.

    Attributes
    ----------
    name : str
        Of the service; ``shared`` is the one pool for all.
    rate : float
        Requests a second.
    latency : float
        Mean time that a request keeps a worker busy [s].
    load : float
        The workers that keeps busy.
    workers : int
    missed : float
        Share of requests refused; with a queue, of those that wait too long.
    utilisation : float
        Share of the workers that are busy.
    stuck : float
        Share missed while one service hangs: nan where no `hang` was asked for.
    """

    name: str
    rate: float
    latency: float
    load: float
    workers: int
    missed: float
    utilisation: float
    stuck: float


@dataclass(frozen=True, kw_only=True, repr=False)
class PoolPlan(Result):
    """One pool for all, or a bulkhead for each service: sizes, and what each comes to.

    Attributes
    ----------
    reject : float
        The share of requests that may be missed.
    wait : float or None
        Without a queue (None) a request is missed when it is refused; with one, when it waits longer than this [s].
    hang : str or None
        The service that hangs in the column `stuck`.
    timeout : float [s]
        For how long a hung call then keeps its worker.
    shared : Pool
    bulkheads : tuple of Pool
    price : int
        Workers that the bulkheads need on top of the shared pool's.
    """

    reject: float
    wait: float | None
    hang: str | None
    timeout: float
    shared: Pool
    bulkheads: tuple[Pool, ...]
    price: int

    @property
    def missed(self) -> float:
        """Share of all requests that the bulkheads miss."""
        return sum(pool.rate * pool.missed for pool in self.bulkheads) / self.shared.rate

    def title(self) -> str:
        """The price, in words."""
        workers = sum(pool.workers for pool in self.bulkheads)
        return (
            f"{self.shared.load:.4g} busy workers on average: one pool of {self.shared.workers}, or "
            f"{len(self.bulkheads)} bulkhead{'s' * (len(self.bulkheads) > 1)} of {workers} in all "
            f"({self.price:+d})"
        )

    def table(self) -> list[list[str]]:
        """A row for each pool, as texts under a head."""
        missed = "refused" if self.wait is None else f"waits > {self.wait:g} s"
        rows = [["pool", "requests/s", "latency", "load", "workers", missed, "utilisation"]]
        if self.hang is not None:
            rows[0].append(f"{missed} when {self.hang} hangs")
        for pool in (self.shared, *self.bulkheads):
            cells = [pool.name, figure(pool.rate), f"{figure(pool.latency)} s", figure(pool.load), f"{pool.workers:,}"]
            cells += [percent(pool.missed), percent(pool.utilisation)]
            rows.append(cells + ([percent(pool.stuck)] if self.hang is not None else []))
        return rows

    def records(self) -> list[dict[str, Any]]:
        """A row for each pool."""
        return [dict(vars(pool)) for pool in (self.shared, *self.bulkheads)]


def plan_pools(
    services: Mapping[str, tuple[float, float]],
    *,
    reject: float = 0.01,
    wait: float | None = None,
    workers: int | None = None,
    hang: str | None = None,
    timeout: float = 1.0,
) -> PoolPlan:
    """Size one shared pool and a bulkhead for each service, by Erlang's formulas.

    Parameters
    ----------
    services : mapping
        Name to (requests a second, mean work [s]). Take the peak, and headroom on top of it.
    reject : float
        The share of requests that may be missed, above 0 and below 1.
    wait : float, optional
        With a queue: how long a request may wait [s]. Without it a request that finds no free worker is refused.
    workers : int, optional
        Instead of sizes for `reject`: what so many come to, in one pool, and divided over the services by their load.
    hang : str, optional
        The service that hangs: each of its calls then keeps a worker for `timeout` [s].

    Raises
    ------
    ValueError
        With name, bound and value; also for a load that a pool with a queue cannot carry.

    Notes
    -----
    With a queue the mixed work in the shared pool is taken for exponential with the common mean: exact where all
    services have one latency, and an estimate elsewhere. A hung service overloads a pool with a queue: then everybody
    waits too long.

    Examples
    --------
    >>> plan = plan_pools({"order": (40, 0.05), "payment": (40, 0.05), "delivery": (40, 0.05)}, hang="payment")
    >>> plan
    6 busy workers on average: one pool of 13, or 3 bulkheads of 21 in all (+8)
    pool      requests/s  latency  load  workers  refused  utilisation  refused when payment hangs
    shared           120   0.05 s     6       13  0.522 %       45.9 %                      71.3 %
    order             40   0.05 s     2        7  0.344 %       28.5 %                     0.344 %
    payment           40   0.05 s     2        7  0.344 %       28.5 %                        83 %
    delivery          40   0.05 s     2        7  0.344 %       28.5 %                     0.344 %
    """
    if not services:
        raise ValueError("services must have one at least, got none")
    known = {
        name: (
            as_positive(f"rate of {name}", rate, "requests a second"),
            as_positive(f"latency of {name}", latency, "seconds"),
        )
        for name, (rate, latency) in services.items()
    }
    reject = as_share("reject", reject, ends=False)
    wait = None if wait is None else as_positive("wait", wait, "seconds", zero=True)
    timeout = as_positive("timeout", timeout, "seconds")
    if hang is not None:
        as_name("hang", hang, list(known))
    total = sum(rate for rate, _ in known.values())
    load = sum(rate * latency for rate, latency in known.values())
    mean = load / total
    if workers is None:
        sizes = {name: _fewest(rate * latency, reject, latency, wait) for name, (rate, latency) in known.items()}
        together = _fewest(load, reject, mean, wait)
    else:
        together = as_count("workers", workers, len(known), MOST)
        sizes = divide(together, {name: rate * latency for name, (rate, latency) in known.items()})

    def pool(name: str, size: int, rate: float, latency: float, stuck: float) -> Pool:
        """A pool, and what it does with its load and with the load `stuck` [busy workers]."""
        load = rate * latency
        missed = _missed(size, load, latency, wait, name)
        used = load * (1 - missed) / size if wait is None else load / size
        hung = math.nan
        if hang is not None:
            overload = wait is not None and stuck >= size
            hung = 1.0 if overload else _missed(size, stuck, stuck / rate, wait, name)
        return Pool(
            name=name, rate=rate, latency=latency, load=load, workers=size, missed=missed, utilisation=used, stuck=hung
        )

    held = {name: rate * (timeout if name == hang else latency) for name, (rate, latency) in known.items()}
    bulkheads = tuple(pool(name, sizes[name], *known[name], held[name]) for name in known)
    shared = pool("shared", together, total, mean, sum(held.values()))
    return PoolPlan(
        reject=reject,
        wait=wait,
        hang=hang,
        timeout=timeout,
        shared=shared,
        bulkheads=bulkheads,
        price=sum(sizes.values()) - together,
    )


def _missed(workers: int, load: float, latency: float, wait: float | None, name: str) -> float:
    if wait is None:
        return _erlang_b(workers, load)
    if not load < workers:
        raise ValueError(
            f"load of {name} must be below its {workers} worker{'s' * (workers > 1)}, got {load:.6g} busy workers: the "
            "queue would grow without end"
        )
    return _erlang_c(workers, load) * math.exp(-(workers - load) * wait / latency)


def divide(workers: int, loads: Mapping[str, float]) -> dict[str, int]:
    """Share out whole workers by load, one at least for each; the largest remainders are rounded up.

    Examples
    --------
    >>> divide(12, {"search": 0.48, "booking": 0.36, "payment": 0.12})
    {'search': 6, 'booking': 4, 'payment': 2}
    """
    spare, total = workers - len(loads), sum(loads.values())
    exact = {name: spare * load / total for name, load in loads.items()}
    sizes = {name: 1 + math.floor(share) for name, share in exact.items()}
    by_remainder = sorted(exact, key=lambda name: math.floor(exact[name]) - exact[name])
    for name in by_remainder[: workers - sum(sizes.values())]:
        sizes[name] += 1
    return sizes
