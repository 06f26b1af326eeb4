"""Isolation from the users' side: whom a fault hits, shards, canaries, ejected servers. The widgets of lesson 8.

In three layers, as in `accrual.show.phi`: numbers from functions of plain parameters, a JavaScript file that draws
them, a class that hands them over. All of them are from `accrual.isolation`; what is drawn by chance says its seed.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from traitlets import Dict, Float, Int, List, TraitError, Unicode, validate

from accrual.detectors import FixedTimeout, PhiNormal
from accrual.isolation import activity, assign, balance, heartbeats, plan_shards, release
from accrual.qos import curve
from accrual.show.widget import Widget, source

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

__all__ = [
    "Canaries",
    "Ejection",
    "ShardLoad",
    "ShuffleShards",
    "WhoIsHit",
    "canaries",
    "ejections",
    "first_failures",
    "overlap_counts",
    "told_apart",
]

USERS: Final = 1000
"""Of each picture that shows them one by one."""


def _words(share: float) -> str:
    return f"{100 * share:.3g} %"


# ---- numbers --------------------------------------------------------------------------------------------------------


def first_failures(route: str, ejected: float, seconds: float = 60.0, seed: int = 0) -> dict[str, Any]:
    """When each of `USERS` users first gets an error, after one of eight servers dies.

    Parameters
    ----------
    route : str
        ``"round-robin"`` or ``"sticky"``.
    ejected : float
        The timeout after which the balancer ejects a server [s]; inf for never.
    seconds : float
        For how long we look on after the death.
    seed : int

    Returns
    -------
    dict
        ``first``: of each user the first error [s after the death], None without one; ``failed`` and ``asked``: the
        times of all failed requests, and of all requests [s after the death]; ``detection_time`` [s].

    Examples
    --------
    >>> found = first_failures("sticky", ejected=math.inf)
    >>> sum(at is not None for at in found["first"]), len(found["failed"])
    (114, 777)
    """
    fails, period = 10.0, 0.1
    threshold = 1e9 if ejected == math.inf else ejected / period
    run = balance(
        FixedTimeout(period=period),
        threshold,
        route=route,
        users=USERS,
        fails=fails,
        duration=fails + seconds,
        pauses=0.0,
        delay=0.0,
        seed=seed,
    )
    since = run.arrivals >= fails
    users, at, bad = run.user[since], run.arrivals[since] - fails, run.failed[since]
    hurt, index = np.unique(users[bad], return_index=True)
    first: list[float | None] = [None] * USERS
    for user, when in zip(hurt.tolist(), at[bad][index].tolist(), strict=True):
        first[user] = when
    return {
        "first": first,
        "failed": at[bad].tolist(),
        "asked": at.tolist(),
        "detection_time": run.detection_time,
    }


def overlap_counts(workers: int, shard_size: int, customers: int = USERS, seed: int = 0) -> NDArray[np.int64]:
    """How many pairs of customers share 0, 1, ... `shard_size` workers, counted one by one in an assignment.

    Examples
    --------
    >>> counts = overlap_counts(8, 2)
    >>> counts, (counts / counts.sum()).round(3)
    (array([267601, 214099,  17800]), array([0.536, 0.429, 0.036]))
    """
    reach = assign("shuffle", customers, workers, shard_size, seed=seed).reach
    member = np.zeros((customers, workers), dtype=np.float32)
    np.put_along_axis(member, reach, 1.0, axis=1)
    shared = np.rint(member @ member.T).astype(np.int64)
    counts = np.bincount(shared.ravel(), minlength=shard_size + 1)
    counts[shard_size] -= customers  # everybody with themselves
    return np.asarray(counts // 2)  # and each pair twice


def canaries(share: float, bug: float, threshold: float = 3, runs: int = 12) -> dict[str, Any]:
    """What releases of a version with a bug come to, from `runs` seeds; ``threshold`` is k, at one check a second.

    Returns
    -------
    dict
        ``hurt``: users hurt in each run; ``mean`` of these; ``taken_back``: runs in which it was suspected;
        ``detection``: median time to detect of these [s], None without any; ``exposed``: users who got it, on average.

    Examples
    --------
    >>> found = canaries(share=0.05, bug=1.0)
    >>> found["taken_back"], round(found["detection"], 2), round(found["mean"], 1)
    (12, 3.02, 19.5)
    """
    detector = FixedTimeout(period=1.0)
    found = [
        release(detector, threshold, share=share, bug=bug, released=20.0, duration=80.0, seed=seed)
        for seed in range(runs)
    ]
    waits = [run.detection_time for run in found if run.suspected < math.inf]
    hurt = [run.hurt for run in found]
    return {
        "hurt": hurt,
        "mean": float(np.mean(hurt)),
        "taken_back": len(waits),
        "detection": float(np.median(waits)) if waits else None,
        "exposed": float(np.mean([run.users for run in found])),
    }


FLEETS: Final[dict[str, tuple[Sequence[float], float]]] = {
    "eight alike, that pause": ([0.002] * 8, 0.05),
    "four near, four far": ([0.002] * 4 + [0.040] * 4, 0.0),
    "near and far, that pause": ([0.002] * 4 + [0.040] * 4, 0.005),
}
"""Fleets of eight servers: the mean delay of each one's heartbeats [s], and how often each pauses [1/s]."""
WINDOW: Final = 1000
HOUR: Final = 3600.0


def ejections(fleet: str, thresholds: Sequence[float], seed: int = 0) -> dict[str, Any]:
    """Wrong ejections of a fleet that lives, by phi and by k x T at the same mean detection time.

    One Phi, and one k, for all servers, each watched for an hour. A server that dies just after a heartbeat arrived is
    ejected after the detection time, here its mean over the fleet; k is chosen so that both have the same.

    Returns
    -------
    dict
        A list for each of ``detection_time`` [s], ``k``, ``phi`` and ``fixed`` (wrong ejections of all servers);
        ``hours``: of all servers together.

    Examples
    --------
    >>> found = ejections("four near, four far", [4.6])
    >>> [round(found[name][0], 2) for name in ("detection_time", "k", "phi", "fixed")]
    [0.2, 2.0, 272, 3668]
    """
    delays, pauses = FLEETS[fleet]
    period = 0.1
    traces = [
        heartbeats(HOUR, period=period, delay=delay, pauses=pauses, seed=seed + number)
        for number, delay in enumerate(delays)
    ]
    by_phi = [curve(trace, PhiNormal(window=WINDOW), thresholds, skip=WINDOW) for trace in traces]
    detection = np.mean([found.detection_time for found in by_phi], axis=0)
    k = detection / period
    by_k = [curve(trace, FixedTimeout(period=period), k, skip=WINDOW) for trace in traces]
    return {
        "detection_time": detection.tolist(),
        "k": k.tolist(),
        "phi": np.sum([found.mistakes for found in by_phi], axis=0).tolist(),
        "fixed": np.sum([found.mistakes for found in by_k], axis=0).tolist(),
        "near": by_phi[0].detection_time.tolist(),
        "far": by_phi[-1].detection_time.tolist(),
        "hours": sum(found[0].observed for found in by_phi) / HOUR,
    }


def told_apart(one: int, other: int) -> bool:
    """Whether two counts differ by more than two deviations of chance, were both Poisson.

    Examples
    --------
    >>> told_apart(272, 3668), told_apart(60, 52)
    (True, False)
    """
    return abs(one - other) > 2 * math.sqrt(one + other)


# ---- widgets --------------------------------------------------------------------------------------------------------


def _within(values: Sequence[Any], index: int) -> int:
    return int(min(max(index, 0), len(values) - 1))


class WhoIsHit(Widget):
    """One of eight servers dies: which of 1,000 users notice, with requests in turn and with sticky users.

    Attributes
    ----------
    time : int
        Which stop after the death is looked at.
    ejected : int
        Which stop the balancer's timeout is at.

    Examples
    --------
    >>> WhoIsHit()
    WhoIsHit(10 s after the death, never ejected: in turn 142 of 1,000 users hit, sticky 71)
    """

    _css = source("phi.css", "users.css")
    _esm = source("controls.js", "choices.js", "who_is_hit.js")

    times: List[Any] = List().tag(sync=True)
    timeouts: List[Any] = List().tag(sync=True)
    runs: List[Any] = List().tag(sync=True)
    time = Int(20).tag(sync=True)
    ejected = Int(5).tag(sync=True)

    ROUTES: Final = {"round-robin": "in turn", "sticky": "sticky"}

    def __init__(self, seed: int = 0) -> None:
        times = [stop / 2 for stop in range(121)]
        timeouts = [0.3, 1.0, 3.0, 10.0, 30.0, math.inf]
        self._runs = [{route: self._look(route, after, times, seed) for route in self.ROUTES} for after in timeouts]
        super().__init__(
            times=times,
            timeouts=[{"seconds": s if s < math.inf else None} for s in timeouts],
            runs=self._runs,
        )

    @staticmethod
    def _look(route: str, ejected: float, times: list[float], seed: int) -> dict[str, Any]:
        found = first_failures(route, ejected, times[-1], seed)
        hit = np.sort([at for at in found["first"] if at is not None])
        failed, asked = (np.searchsorted(found[name], times, side="right") for name in ("failed", "asked"))
        return {
            "first": [None if at is None else round(at, 4) for at in found["first"]],
            "users": np.searchsorted(np.round(hit, 4), times, side="right").tolist(),
            "failed": failed.tolist(),
            "asked": asked.tolist(),
            "detection": found["detection_time"] if ejected < math.inf else None,
        }

    @validate("time")
    def _some_time(self, proposal: dict[str, Any]) -> int:
        return _within(self.times, proposal["value"])

    @validate("ejected")
    def _some_timeout(self, proposal: dict[str, Any]) -> int:
        return _within(self.timeouts, proposal["value"])

    def describe(self) -> str:
        """What the widget shows now, in words."""
        after = self.timeouts[self.ejected]["seconds"]
        hit = [f"{words} {self._runs[self.ejected][route]['users'][self.time]}" for route, words in self.ROUTES.items()]
        ejection = "never ejected" if after is None else f"ejected with a timeout of {after:g} s"
        return f"{self.times[self.time]:g} s after the death, {ejection}: {hit[0]} of {USERS:,} users hit, {hit[1]}"


class ShardLoad(Widget):
    """1,000 customers on some shards: how many each has, what they ask for, and who is cut off when one dies.

    Attributes
    ----------
    shards : int
        Which stop the number of shards is at.
    skew : int
        Which stop the skew of the customers' activity is at.
    killed : int
        The shard that dies: 0 is the one with most requests.

    Examples
    --------
    >>> ShardLoad()
    ShardLoad(8 shards, number 1 by requests dies: 130 of 1,000 users cut off, 22.5 % of requests lost)
    """

    _css = source("phi.css", "users.css")
    _esm = source("controls.js", "choices.js", "shard_load.js")

    numbers: List[Any] = List().tag(sync=True)
    skews: List[Any] = List().tag(sync=True)
    loads: List[Any] = List().tag(sync=True)
    shards = Int(4).tag(sync=True)
    skew = Int(2).tag(sync=True)
    killed = Int(0).tag(sync=True)

    def __init__(self, seed: int = 0) -> None:
        numbers, skews = [1, 2, 4, 5, 8, 10, 16, 20, 32, 50], [0.0, 0.5, 1.0, 1.5]
        self._loads = []
        for number in numbers:
            spread = assign("shards", USERS, number, 1, seed=seed)
            users = np.rint(spread.load() * USERS).astype(int)
            row = []
            for skew in skews:
                asked = spread.load(activity(USERS, skew))
                order = np.argsort(-asked, kind="stable")
                row.append({"users": users[order].tolist(), "requests": asked[order].tolist()})
            self._loads.append(row)
        self._most = [float(activity(USERS, skew).max()) for skew in skews]
        super().__init__(
            numbers=numbers,
            skews=[{"skew": skew, "most": most} for skew, most in zip(skews, self._most, strict=True)],
            loads=self._loads,
        )

    @validate("shards")
    def _some_shards(self, proposal: dict[str, Any]) -> int:
        return _within(self.numbers, proposal["value"])

    @validate("skew")
    def _some_skew(self, proposal: dict[str, Any]) -> int:
        return _within(self.skews, proposal["value"])

    @validate("killed")
    def _some_shard(self, proposal: dict[str, Any]) -> int:
        return _within(range(max(self.numbers)), proposal["value"])

    def describe(self) -> str:
        """What the widget shows now, in words."""
        number = self.numbers[self.shards]
        load = self._loads[self.shards][self.skew]
        killed = min(self.killed, number - 1)
        return (
            f"{number} shard{'s' * (number > 1)}, number {killed + 1} by requests dies: {load['users'][killed]} of "
            f"{USERS:,} users cut off, {_words(load['requests'][killed])} of requests lost"
        )


class ShuffleShards(Widget):
    """How many workers two customers share, by the law and counted; and whom a poison customer takes along.

    Attributes
    ----------
    workers, size : int
        Which stop each slider is at.
    needs : int
        Of its workers, so many a customer needs; at most as many as it has.

    Examples
    --------
    >>> ShuffleShards()
    ShuffleShards(8 workers, 2 each, 1 needed: cut off 249.8 by shards, 35.68 by shuffle shards (counted 35.6))
    """

    _css = source("phi.css", "users.css")
    _esm = source("controls.js", "choices.js", "shuffle_shards.js")

    numbers: List[Any] = List().tag(sync=True)
    sizes: List[Any] = List().tag(sync=True)
    plans: List[Any] = List().tag(sync=True)
    workers = Int(0).tag(sync=True)
    size = Int(1).tag(sync=True)
    needs = Int(1).tag(sync=True)

    def __init__(self, seed: int = 0) -> None:
        numbers, sizes = [8, 16, 32, 64, 128], [1, 2, 4]
        self._plans = [[self._plan(number, size, seed) for size in sizes] for number in numbers]
        super().__init__(numbers=numbers, sizes=sizes, plans=self._plans)

    @staticmethod
    def _plan(workers: int, size: int, seed: int) -> dict[str, Any]:
        counts = overlap_counts(workers, size, seed=seed)
        plans = [plan_shards(USERS, workers, size, needs) for needs in range(1, size + 1)]
        # Of all pairs the share, times the others there are: the mean over all who might be the poison one.
        tail = np.cumsum(counts[::-1])[:size] / counts.sum() * (USERS - 1)
        return {
            "combinations": plans[0].combinations,
            "law": list(plans[0].overlap),
            "counts": counts.tolist(),
            "plain": [plan.others_plain for plan in plans],
            "shuffled": [plan.others_shuffled for plan in plans],
            "counted": tail.tolist(),
        }

    @validate("workers")
    def _some_workers(self, proposal: dict[str, Any]) -> int:
        return _within(self.numbers, proposal["value"])

    @validate("size")
    def _some_size(self, proposal: dict[str, Any]) -> int:
        return _within(self.sizes, proposal["value"])

    @validate("needs")
    def _some_needed(self, proposal: dict[str, Any]) -> int:
        return 1 + _within(range(max(self.sizes)), proposal["value"] - 1)

    def describe(self) -> str:
        """What the widget shows now, in words."""
        size = self.sizes[self.size]
        needs = min(self.needs, size)
        plan = self._plans[self.workers][self.size]
        return (
            f"{self.numbers[self.workers]} workers, {size} each, {needs} needed: cut off "
            f"{plan['plain'][needs - 1]:.4g} by shards, {plan['shuffled'][needs - 1]:.4g} by shuffle shards "
            f"(counted {plan['counted'][needs - 1]:.4g})"
        )


class Canaries(Widget):
    """A new version with a bug goes to some of 1,000 users: how many are hurt, watched and unwatched.

    Attributes
    ----------
    share, bug : int
        Which stop each slider is at.

    Examples
    --------
    >>> Canaries()
    Canaries(canary of 5 %, 100 % of its requests fail: 19.5 users hurt, taken back in 12 of 12 runs, after 3.02 s)
    """

    _css = source("phi.css", "users.css")
    _esm = source("controls.js", "choices.js", "canaries.js")

    shares: List[Any] = List().tag(sync=True)
    bugs: List[Any] = List().tag(sync=True)
    watched: List[Any] = List().tag(sync=True)
    unwatched: List[Any] = List().tag(sync=True)
    share = Int(3).tag(sync=True)
    bug = Int(5).tag(sync=True)

    RUNS: Final = 12

    def __init__(self) -> None:
        # The first is no bug: the old version fails as often.
        shares, bugs = [0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0], [0.001, 0.05, 0.1, 0.2, 0.5, 1.0]
        self._watched, self._unwatched = (
            [[canaries(share, bug, threshold, self.RUNS) for share in shares] for bug in bugs] for threshold in (3, 1e9)
        )
        super().__init__(shares=shares, bugs=bugs, watched=self._watched, unwatched=self._unwatched)

    @validate("share")
    def _some_share(self, proposal: dict[str, Any]) -> int:
        return _within(self.shares, proposal["value"])

    @validate("bug")
    def _some_bug(self, proposal: dict[str, Any]) -> int:
        return _within(self.bugs, proposal["value"])

    def describe(self) -> str:
        """What the widget shows now, in words."""
        found = self._watched[self.bug][self.share]
        after = "" if found["detection"] is None else f", after {found['detection']:.3g} s"
        return (
            f"canary of {_words(self.shares[self.share])}, {_words(self.bugs[self.bug])} of its requests fail: "
            f"{found['mean']:.1f} users hurt, taken back in {found['taken_back']} of {self.RUNS} runs{after}"
        )


class Ejection(Widget):
    """Wrong ejections by phi and by k x T at equal detection time, on three fleets of eight servers.

    Attributes
    ----------
    shown : str
        Which of `FLEETS`.
    threshold : float
        Phi; the nearest there is.

    Examples
    --------
    >>> Ejection()
    Ejection(eight alike, that pause: the dead out after 0.245 s; wrongly by Phi = 8: 773 times, by k = 2.45: 739)
    """

    _css = source("phi.css", "tradeoff.css", "users.css")
    _esm = source("controls.js", "choices.js", "tradeoff.js", "ejection.js")

    stops: List[Any] = List().tag(sync=True)
    fleets = Dict().tag(sync=True)
    shown = Unicode().tag(sync=True)
    threshold = Float(8.0).tag(sync=True)

    def __init__(self) -> None:
        stops = [1.0, 1.5, 2.0, 3.0, 4.0, 5.0, 6.0, 8.0, 10.0, 12.0, 16.0, 20.0, 30.0, 40.0, 60.0, 80.0, 120.0, 160.0]
        self._fleets = {name: ejections(name, stops) for name in FLEETS}
        for found in self._fleets.values():
            found["apart"] = [told_apart(a, b) for a, b in zip(found["phi"], found["fixed"], strict=True)]
        super().__init__(stops=stops, fleets=self._fleets, shown=next(iter(FLEETS)))

    @validate("shown")
    def _known(self, proposal: dict[str, Any]) -> Any:
        if proposal["value"] not in FLEETS:
            raise TraitError(f"shown must be one of {'; '.join(FLEETS)}, got {proposal['value']!r}")
        return proposal["value"]

    @validate("threshold")
    def _stop(self, proposal: dict[str, Any]) -> float:
        return float(min(self.stops, key=lambda stop: abs(stop - proposal["value"])))

    def describe(self) -> str:
        """What the widget shows now, in words."""
        found, index = self._fleets[self.shown], self.stops.index(self.threshold)
        return (
            f"{self.shown}: the dead out after {found['detection_time'][index]:.3f} s; wrongly by "
            f"Phi = {self.threshold:g}: {found['phi'][index]:,} times, by k = {found['k'][index]:.3g}: "
            f"{found['fixed'][index]:,}"
        )
