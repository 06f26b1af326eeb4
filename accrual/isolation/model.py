"""The shop at work while a fault strikes: who fails, how long answers take, and when all is well again.

Requests come at random (Poisson), each for one service, each from one of many users. A service has a pool of workers
and a queue. Which pools a fault reaches is the placement's to say (`accrual.isolation.placement`), how it acts there is
the rule's; that a hung service starves its neighbours in a shared pool is nowhere written: it comes of the queue.

The same seed brings the same requests, whatever the level, the pools and the fault: differences are theirs alone.
"""

from __future__ import annotations

import dataclasses
import heapq
import math
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from accrual.blocks import as_seed
from accrual.isolation.placement import COSTS, RULES, Placement, place
from accrual.isolation.queueing import divide
from accrual.isolation.result import Result, as_count, as_name, as_positive, as_share, check_size, percent
from accrual.isolation.shop import SCENARIOS, Service
from accrual.tables import figure

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

__all__ = ["GIL_WAIT", "LAWS", "OUTCOMES", "Run", "ServiceRun", "serve", "simulate"]

OUTCOMES: Final = ("good", "late", "refused", "wrong", "lost")
"""What became of a request: answered in time; answered after the deadline; turned away at once, by a full queue or by
a service that is down; answered with an error or with nonsense; in the works when all around it ended."""

LAWS: Final = ("exponential", "fixed")
"""How long the work of a request takes: at random, or the same for all."""

GIL_WAIT: Final = 0.0157
"""What a thread that computes adds to each request of other threads of its Python process [s]: latency rose from 0.5 to
16.2 ms in the thread lab, some three turns of the interpreter's switch interval of 5 ms."""

WELL: Final = 0.05
"""A service is well again after the last second in which a larger share of its requests failed."""

_GOOD, _LATE, _REFUSED, _WRONG, _LOST = range(len(OUTCOMES))


@dataclass(frozen=True, kw_only=True)
class ServiceRun:
    """What became of one service's requests.

    Attributes
    ----------
    service : str
    requests : int
        That came while the fault was there.
    failing : float
        The share of them that did not get a good answer in time; nan where there were none.
    late, refused, wrong, lost : float
        Its parts, by what became of them.
    failing_before : float
        That share before the fault struck.
    p50, p90, p99 : float
        Quantiles of the time to an answer, of those that were answered [s].
    p50_before, p99_before : float
        The same before the fault struck [s].
    users : float
        Of the users who asked this service for something while the fault was there, those who failed at least once.
    recovery : float
        From the strike to the last request of the last bad second (see `WELL`) [s]; 0 without any, inf where the run
        ended before. Of all services together, when the last of them is well.
    """

    service: str
    requests: int
    failing: float
    late: float
    refused: float
    wrong: float
    lost: float
    failing_before: float
    p50: float
    p90: float
    p99: float
    p50_before: float
    p99_before: float
    users: float
    recovery: float


@dataclass(frozen=True, eq=False, kw_only=True, repr=False)
class Run(Result):
    """A run of the shop.

    Attributes
    ----------
    level : str
    fault : str or None
    struck : str
        The service that the fault is in.
    shared_pool : bool
    workers : mapping of str to int
        Of the pool of each service (``shared`` is one for all), in each copy.
    duration : float
        Of the run [s].
    window : (float, float)
        From when to when the fault is there [s]: struck, and over or started again.
    services : tuple of ServiceRun
    every : ServiceRun
        All services together.
    utilisation : float
        Share of the workers' time that is spent on requests, whatever became of them.
    useful : float
        Share of their time that went into good answers.
    start : float
        To start what a service has to itself at this level [s].
    memory : float
        Of all that is placed, doing nothing [MB].
    arrivals : float64 array
        When each request came [s].
    service, user : int64 arrays
        Whose it was: the service by number, as in `services`.
    outcome : int64 array
        By number, as in `OUTCOMES`.
    latency : float64 array
        Time to the answer [s]; nan where there was none.
    """

    level: str
    fault: str | None
    struck: str
    shared_pool: bool
    workers: Mapping[str, int]
    duration: float
    window: tuple[float, float]
    services: tuple[ServiceRun, ...]
    every: ServiceRun
    utilisation: float
    useful: float
    start: float
    memory: float
    arrivals: NDArray[np.float64]
    service: NDArray[np.int64]
    user: NDArray[np.int64]
    outcome: NDArray[np.int64]
    latency: NDArray[np.float64]

    @property
    def blast(self) -> float:
        """The blast radius: share of all requests that failed while the fault was there."""
        return self.every.failing

    @property
    def collateral(self) -> float:
        """The share of the *other* services' requests that failed while the fault was there."""
        others = [run for run in self.services if run.service != self.struck and run.requests]
        asked = sum(run.requests for run in others)
        return sum(run.requests * run.failing for run in others) / asked if asked else math.nan

    def timeline(self, width: float = 1.0) -> dict[str, NDArray[np.float64]]:
        """Of each service the share of requests that failed, in stretches of `width` [s]; ``time`` is where they begin.

        A stretch in which nothing was asked has nan.
        """
        width = as_positive("width", width, "seconds")
        edges = width * np.arange(math.ceil(self.duration / width - 1e-9), dtype=np.float64)
        found = {"time": edges}
        stretch = np.minimum((self.arrivals / width).astype(np.int64), len(edges) - 1)
        for number, run in enumerate(self.services):
            mine = self.service == number
            asked = np.bincount(stretch[mine], minlength=len(edges))
            failed = np.bincount(stretch[mine & (self.outcome != _GOOD)], minlength=len(edges))
            with np.errstate(invalid="ignore"):
                found[run.service] = failed / asked
        return found

    def title(self) -> str:
        """What ran, and how far the fault reached."""
        pools = ", one pool for all" if self.shared_pool else ""
        what = f"{self.fault} in {self.struck}" if self.fault else "no fault"
        begins, ends = self.window
        return (
            f"{what} at level {self.level}{pools}, from {begins:g} to {ends:.4g} s: {percent(self.blast)} of requests "
            f"and {percent(self.every.users)} of users fail; workers busy {percent(self.utilisation)}, "
            f"usefully {percent(self.useful)}"
        )

    def table(self) -> list[list[str]]:
        """A row for each service, as texts under a head."""
        rows = [["service", "requests", "failing", "late", "refused", "wrong", "lost", "users", "p50 [ms]", "p99 [ms]"]]
        rows[0] += ["p99 before", "well after [s]"]
        for run in (*self.services, self.every):
            shares = [run.failing, run.late, run.refused, run.wrong, run.lost, run.users]
            times = [figure(1000 * time) for time in (run.p50, run.p99, run.p99_before)]
            rows.append([run.service, f"{run.requests:,}", *map(percent, shares), *times, figure(run.recovery)])
        return rows

    def records(self) -> list[dict[str, Any]]:
        """A row for each service, and one for all."""
        return [dict(vars(run)) for run in (*self.services, self.every)]

    def to_dict(self) -> dict[str, Any]:
        """Plain values, without the single requests."""
        single = ("arrivals", "service", "user", "outcome", "latency")
        found = {name: value for name, value in super().to_dict().items() if name not in single}
        return found | {"blast": self.blast, "collateral": self.collateral}


def simulate(
    scenario: str | Mapping[str, Service] = "shop",
    *,
    level: str = "thread",
    fault: str | None = None,
    service: str | None = None,
    shared_pool: bool = False,
    workers: int | Mapping[str, int] = 12,
    places: int | None = None,
    copies: int = 1,
    capped: bool | None = None,
    own_network: bool = False,
    rate: float = 120.0,
    duration: float = 60.0,
    strikes: float = 20.0,
    lasts: float = 20.0,
    deadline: float = 0.5,
    hits: float = 1.0,
    hang: float = 5.0,
    drag: float = 20.0,
    crowd: float = 2.0,
    detection: float = 1.0,
    start: float | None = None,
    users: int = 1000,
    law: str = "exponential",
    seed: int = 0,
) -> Run:
    """Run a scenario with a fault in one service, and say who failed.

    Parameters
    ----------
    scenario : str or mapping
        ``shop``, ``tickets``, or services by name, whose shares add up to 1.
    level : str
        One of `LEVELS`: what each service has to itself.
    fault : str, optional
        One of `FAULTS` or `OUTAGES`; without it all is well.
    service : str, optional
        The one that the fault is in; by default ``payment``, or the last if there is none.
    shared_pool : bool
        At level ``thread``: one pool for all services, instead of a bulkhead for each.
    workers : int or mapping of str to int
        Of all pools of one copy, in all; bulkheads get theirs by load, one at least. Or of each service's own pool.
    places : int, optional
        In the queue of each pool; 0 refuses at once what finds no free worker. By default without end.
    copies : int
        Of each service, each with its own pools; requests go to any, since nobody ejects a dead one here.
    capped, own_network
        As :func:`accrual.isolation.place`.
    rate : float
        Requests a second, of all services.
    duration, strikes : float
        How long it runs, and when the fault strikes, once [s].
    lasts : float
        How long the fault lasts [s]; one that ends a process at one instant does not.
    deadline : float
        What is answered later is late [s].
    hits : float
        The share of the struck service's requests that meet an exception, a hang or a slow call.
    hang : float
        For how long a hung call keeps its worker [s]: the timeout of the call, if it has one. Its request fails, then.
    drag : float
        So many times as long slow calls take.
    crowd : float
        So many times as long as usual work takes beside a CPU hog; 2: one hog to each worker that computes.
    detection : float
        From the end of a process, container, machine, until somebody starts it again [s].
    start : float, optional
        What starting it takes [s]; by default as `COSTS` has it.
    users : int
        Each request is one of theirs, at random.
    law : str
        One of `LAWS`.
    seed : int
        What chance begins with.

    Raises
    ------
    ValueError
        With name, bound and value.

    Notes
    -----
    A client does not take back a request that is late: its worker does the work all the same. A request that was begun
    before the strike is not hung nor slowed. All queues are first come, first served.

    Examples
    --------
    Payment hangs. In a shared pool the hung calls soon keep all workers; bulkheads keep the fault in payment:

    >>> for shared_pool in (True, False):
    ...     run = simulate(fault="hang", shared_pool=shared_pool, lasts=2)
    ...     print([(of.service, round(of.failing, 2)) for of in run.services])
    [('order', 0.87), ('payment', 1.0), ('delivery', 0.88)]
    [('order', 0.0), ('payment', 1.0), ('delivery', 0.0)]
    """
    offered = _services(scenario)
    names = list(offered)
    struck = ("payment" if "payment" in offered else names[-1]) if service is None else service
    as_name("service", struck, names)
    if fault is not None:
        as_name("fault", fault, list(RULES))
    placed = place(
        level, names, copies=copies, shared_pool=shared_pool, own_network=own_network, capped=capped
    )  # checks level and copies
    if isinstance(workers, Mapping):
        if shared_pool:
            raise ValueError(f"workers must be a number with a shared pool, got one for each service: {dict(workers)}")
        if set(workers) != set(names):
            raise ValueError(f"workers must have a number for each of {', '.join(names)}, got {', '.join(workers)}")
        workers = {name: as_count(f"workers of {name}", workers[name]) for name in names}
    else:
        workers = as_count("workers", workers, 1 if shared_pool else len(names))
    places = None if places is None else as_count("places", places, 0)
    rate = as_positive("rate", rate, "requests a second")
    duration = as_positive("duration", duration, "seconds")
    check_size("requests (rate times duration)", rate * duration)
    strikes = as_positive("strikes", strikes, "seconds", zero=True)
    if not strikes < duration:
        raise ValueError(f"strikes must be before the end of the run at {duration:g} s, got {strikes!r}")
    lasts, deadline = as_positive("lasts", lasts, "seconds"), as_positive("deadline", deadline, "seconds")
    hits = as_share("hits", hits)
    hang, drag = as_positive("hang", hang, "seconds"), as_positive("drag", drag, "times")
    crowd = as_positive("crowd", crowd, "times")
    detection = as_positive("detection", detection, "seconds", zero=True)
    users = as_count("users", users)
    as_name("law", law, LAWS)

    traffic = _Traffic(offered, rate, duration, users, copies, hits, law, as_seed(seed))
    down = _down_for(placed, level, fault, lasts, detection, start)
    window = (strikes, strikes + down) if fault is not None else (0.0, duration)
    loads = {name: rate * of.share * of.work for name, of in offered.items()}
    if isinstance(workers, Mapping):
        sizes = dict(workers)
    else:
        sizes = {"shared": workers} if shared_pool else divide(workers, loads)

    begun = np.full(len(traffic), math.nan)
    ended = np.full(len(traffic), math.nan)
    outcome = np.zeros(len(traffic), dtype=np.int64)
    given_up = np.zeros(len(traffic), dtype=np.bool_)
    reached = placed.reach(fault, struck) if fault is not None else ()
    rule = RULES[fault] if fault is not None else None
    at_domain = {} if fault is None else {(i.service, i.copy): i for i in reached}
    hit_process = {i.domains["process"] for i in reached if i.service == struck}
    for copy in range(copies):
        for pool, size in sizes.items():
            members = names if pool == "shared" else [pool]
            mine = np.flatnonzero(np.isin(traffic.service, [names.index(m) for m in members]) & (traffic.copy == copy))
            work, worse = traffic.work[mine], traffic.work[mine].copy()
            own = traffic.service[mine] == names.index(struck)
            hit = own & traffic.hit[mine]
            inside = any((member, copy) in at_domain for member in members)
            effect = rule.effect if rule is not None and inside else ""
            if effect == "errors":
                worse[hit] = 0.0
            elif effect == "holds":
                worse[hit] = hang
            elif effect == "drags":
                worse[hit] *= drag
            elif effect == "slows":
                process = at_domain[members[0], copy].domains["process"]
                neighbours = level == "thread" and process in hit_process
                worse = worse + GIL_WAIT if neighbours else worse * crowd
            begun[mine], ended[mine], outcome[mine] = _through(
                traffic.arrivals[mine], work, worse, size, places, window, effect
            )
            if effect == "holds":
                given_up[mine[hit & _within(begun[mine], window)]] = True
            if effect in ("errors", "lies"):
                bad = _within(begun[mine], window) if effect == "errors" else _within(ended[mine], window)
                outcome[mine[bad & (hit if effect == "errors" else True)]] = _WRONG
    latency = ended - traffic.arrivals
    with np.errstate(invalid="ignore"):
        outcome[(outcome == _GOOD) & (latency > deadline)] = _LATE
    outcome[(outcome == _GOOD) & given_up] = _WRONG  # what ends in time after all is its call's timeout: an error
    busy = np.nan_to_num(np.minimum(ended, duration) - np.minimum(begun, duration))
    # What is lost was worked on until all around it ended; the answer never came.
    latency[outcome == _LOST] = math.nan
    capacity = sum(sizes.values()) * copies * duration
    runs = [
        _tell(name, traffic, traffic.service == number, outcome, latency, window, duration, fault)
        for number, name in enumerate(names)
    ]
    every = _tell("all", traffic, np.ones(len(traffic), dtype=bool), outcome, latency, window, duration, fault)
    return Run(
        level=level,
        fault=fault,
        struck=struck,
        shared_pool=shared_pool,
        workers=sizes,
        duration=duration,
        window=window,
        services=tuple(runs),
        every=dataclasses.replace(every, recovery=max(run.recovery for run in runs)),
        utilisation=float(busy.sum()) / capacity,
        useful=float(busy[outcome == _GOOD].sum()) / capacity,
        start=COSTS[level].start,
        memory=_memory(placed, level, sum(sizes.values())),
        arrivals=traffic.arrivals,
        service=traffic.service,
        user=traffic.user,
        outcome=outcome,
        latency=latency,
    )


def _services(scenario: str | Mapping[str, Service]) -> Mapping[str, Service]:
    if isinstance(scenario, str):
        return SCENARIOS[as_name("scenario", scenario, list(SCENARIOS))]
    for name, service in scenario.items():
        as_share(f"share of {name}", service.share)
        as_positive(f"work of {name}", service.work, "seconds")
    total = sum(service.share for service in scenario.values())
    if not math.isclose(total, 1.0, rel_tol=1e-9):
        raise ValueError(f"shares of the services must add up to 1, got {total!r}")
    return scenario


class _Traffic:
    """All requests of a run; the same ones for one seed, whatever is made of them."""

    def __init__(
        self,
        services: Mapping[str, Service],
        rate: float,
        duration: float,
        users: int,
        copies: int,
        hits: float,
        law: str,
        seed: int,
    ) -> None:
        # A stream for each thing that is drawn: another number of copies must not change the work.
        times, kinds, works, whose, where, bad = map(np.random.default_rng, np.random.SeedSequence(seed).spawn(6))
        count = int(times.poisson(rate * duration))
        self.arrivals = np.sort(times.uniform(0.0, duration, count))
        upto = np.cumsum([service.share for service in services.values()])
        self.service = np.searchsorted(upto / upto[-1], kinds.random(count), side="right").astype(np.int64)
        mean = np.array([service.work for service in services.values()])[self.service]
        self.work = mean * works.standard_exponential(count) if law == "exponential" else mean
        self.user = whose.integers(users, size=count)
        self.copy = where.integers(copies, size=count)
        self.hit = bad.random(count) < hits

    def __len__(self) -> int:
        return len(self.arrivals)


def _down_for(
    placed: Placement, level: str, fault: str | None, lasts: float, detection: float, start: float | None
) -> float:
    """For how long the fault is there, or what it ended is gone [s]."""
    if start is not None:
        start = as_positive("start", start, "seconds", zero=True)
    if fault is None:
        return 0.0
    rule = RULES[fault]
    if rule.effect != "ends":
        return lasts
    kind = placed.stopped_by(fault)
    again = "container" if kind == "process" and level == "container" else kind
    took = COSTS[again].start if start is None else start
    return (detection if rule.once else lasts) + took


def _memory(placed: Placement, level: str, workers: int) -> float:
    """What all that is placed takes, doing nothing [MB]."""
    kind = "process" if level == "thread" else level
    domains = {instance.domains[kind] for instance in placed.instances}
    copies = 1 + max(instance.copy for instance in placed.instances)
    return len(domains) * COSTS[kind].memory + workers * copies * COSTS["thread"].memory


def _within(times: NDArray[np.float64], window: tuple[float, float]) -> NDArray[np.bool_]:
    with np.errstate(invalid="ignore"):
        return (times >= window[0]) & (times < window[1])


def _through(
    arrivals: NDArray[np.float64],
    work: NDArray[np.float64],
    worse: NDArray[np.float64],
    workers: int,
    places: int | None,
    window: tuple[float, float],
    effect: str,
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.int64]]:
    """Send requests through a pool that a fault acts on: when each was begun and ended, and what became of it."""
    strikes, over = window
    outcome = np.zeros(len(arrivals), dtype=np.int64)
    if effect in ("ends", "cuts"):
        before, after = arrivals < strikes, arrivals >= over
        begun, ended = np.full((2, len(arrivals)), math.nan)
        for part in (before, after):  # afterwards it starts afresh, with nothing in the queue
            begun[part], ended[part] = serve(arrivals[part], work[part], workers, places)
        outcome[np.isnan(begun)] = _REFUSED
        lost = before & (ended > strikes)
        outcome[lost] = _LOST
        begun[lost], ended[lost] = np.minimum(begun[lost], strikes), strikes
        return begun, ended, outcome
    if effect == "freezes":
        # On a clock that stands still during the freeze everything goes its usual way.
        standing = np.clip(arrivals - strikes, 0.0, over - strikes)
        begun, ended = serve(arrivals - standing, work, workers, places)
        begun, ended = (np.where(times > strikes, times + (over - strikes), times) for times in (begun, ended))
        begun = np.maximum(begun, arrivals)
    else:
        begun, ended = serve(arrivals, work, workers, places, worse if effect else None, window)
    outcome[np.isnan(begun)] = _REFUSED
    return begun, ended, outcome


def serve(
    arrivals: NDArray[np.float64],
    work: NDArray[np.float64],
    workers: int,
    places: int | None = None,
    worse: NDArray[np.float64] | None = None,
    window: tuple[float, float] = (math.inf, math.inf),
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Send requests through one pool, first come, first served.

    Parameters
    ----------
    arrivals : array
        When they come, in rising order [s].
    work : array
        How long each keeps a worker [s].
    workers : int
    places : int, optional
        In the queue; what finds it full is refused. Without end by default.
    worse : array, optional
        How long instead, if it is begun within `window` [s].

    Returns
    -------
    begun, ended : float64 arrays
        nan for what was refused.

    Examples
    --------
    >>> begun, ended = serve(np.array([0.0, 1.0, 2.0]), np.array([5.0, 1.0, 1.0]), workers=1, places=1)
    >>> begun, ended
    (array([ 0.,  5., nan]), array([ 5.,  6., nan]))
    """
    free = [0.0] * as_count("workers", workers)  # when each worker is free: a heap
    times, normal = arrivals.tolist(), work.tolist()
    struck = normal if worse is None else worse.tolist()
    first, last = window
    begun, ended = [math.nan] * len(times), [math.nan] * len(times)
    room = math.inf if places is None else places
    queue: deque[float] = deque()  # when those who wait will be begun: rises, since first come is first served
    for k, now in enumerate(times):
        begin = free[0]
        if begin <= now:
            begin = now
        elif places is not None:
            while queue and queue[0] <= now:
                queue.popleft()
            if len(queue) >= room:
                continue
            queue.append(begin)
        end = begin + (struck[k] if first <= begin < last else normal[k])
        heapq.heapreplace(free, end)
        begun[k], ended[k] = begin, end
    return np.array(begun), np.array(ended)


def _tell(
    name: str,
    traffic: _Traffic,
    mine: NDArray[np.bool_],
    outcome: NDArray[np.int64],
    latency: NDArray[np.float64],
    window: tuple[float, float],
    duration: float,
    fault: str | None,
) -> ServiceRun:
    """Count what became of some requests."""
    during = mine & _within(traffic.arrivals, window)
    before = mine & (traffic.arrivals < window[0])
    asked = int(np.count_nonzero(during))
    counts = np.bincount(outcome[during], minlength=len(OUTCOMES))
    late, refused, wrong, lost = counts[1:] / asked if asked else np.full(len(OUTCOMES) - 1, math.nan)
    failing = counts[1:].sum() / asked if asked else math.nan
    bad = during & (outcome != _GOOD)
    asking = len(np.unique(traffic.user[during]))
    p50, p90, p99 = _quantiles(latency[during], (0.5, 0.9, 0.99))
    p50_before, p99_before = _quantiles(latency[before], (0.5, 0.99))
    return ServiceRun(
        service=name,
        requests=asked,
        failing=float(failing),
        late=float(late),
        refused=float(refused),
        wrong=float(wrong),
        lost=float(lost),
        failing_before=float(np.mean(outcome[before] != _GOOD)) if before.any() else math.nan,
        p50=p50,
        p90=p90,
        p99=p99,
        p50_before=p50_before,
        p99_before=p99_before,
        users=len(np.unique(traffic.user[bad])) / asking if asking else math.nan,
        recovery=_recovery(traffic.arrivals[mine], outcome[mine] != _GOOD, window, duration) if fault else 0.0,
    )


def _quantiles(latency: NDArray[np.float64], levels: Sequence[float]) -> list[float]:
    answered = latency[~np.isnan(latency)]
    if not len(answered):
        return [math.nan] * len(levels)
    return [float(value) for value in np.quantile(answered, levels)]


def _recovery(
    arrivals: NDArray[np.float64], failed: NDArray[np.bool_], window: tuple[float, float], duration: float
) -> float:
    """From the strike to the last failure of the last bad second; inf where that is the last one of the run."""
    since = arrivals - window[0]
    after = since >= 0
    if not after.any():
        return 0.0
    second = since[after].astype(np.int64)
    asked, bad = np.bincount(second), np.bincount(second, weights=failed[after])
    worst = np.flatnonzero(bad > WELL * asked)
    if not len(worst):
        return 0.0
    if window[0] + worst[-1] + 1 >= duration:
        return math.inf
    return float(since[after][(second == worst[-1]) & failed[after]].max())
