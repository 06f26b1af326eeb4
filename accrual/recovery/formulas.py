"""Closed forms: split votes, quorums, k of n, lost writes, and how long to wait before a backup is promoted."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from accrual.tables import as_html, figure

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

__all__ = ["Overlap", "Waiting", "k_of_n", "lost_writes", "overlap", "split_vote", "waiting_cost"]


def split_vote(nodes: int, up: int, latency: float) -> float:
    """The probability that a first vote of Raft's elects nobody (Ongaro 2014, 9.3).

    Parameters
    ----------
    nodes, up : int
        Of the cluster, and of these those that run; more than half.
    latency : float
        One way, as a share of the range of the election timeouts; 0 to 1.

    Raises
    ------
    ValueError
        If less than a majority is up, or latency is not a share.

    Examples
    --------
    >>> round(split_vote(nodes=5, up=4, latency=0.1), 4)
    0.0523
    """
    if not (nodes >= 1 and nodes // 2 < up <= nodes):
        raise ValueError(f"up must be a majority of the nodes, {nodes // 2 + 1} to {nodes}, got {up!r}")
    if not 0 <= latency <= 1:
        raise ValueError(f"latency must be from 0 to 1 of the timeouts' range, got {latency!r}")
    return _at_least(up - nodes // 2, up, latency)


def k_of_n(k: int, n: int, available: float) -> float:
    """The probability that k of n or more work, each by itself with the same probability.

    Raises
    ------
    ValueError
        If k is not from 0 to n, or `available` is no probability.

    Examples
    --------
    >>> round(k_of_n(2, 3, 0.99), 6)
    0.999702
    """
    if not 0 <= k <= n:
        raise ValueError(f"k must be from 0 to n = {n}, got {k!r}")
    if not 0 <= available <= 1:
        raise ValueError(f"available must be from 0 to 1, got {available!r}")
    return _at_least(k, n, available)


def _at_least(k: int, n: int, p: float) -> float:
    return math.fsum(math.comb(n, i) * p**i * (1 - p) ** (n - i) for i in range(k, n + 1))


@dataclass(frozen=True, kw_only=True)
class Overlap:
    """What quorums promise.

    Attributes
    ----------
    reads_see_writes : bool
        R + W > n: each read asks a node that has the last write.
    writes_see_writes : bool
        2 W > n: no two writes can both succeed without a node in common.
    writes_stand, reads_stand : int
        So many nodes may be down.
    """

    reads_see_writes: bool
    writes_see_writes: bool
    writes_stand: int
    reads_stand: int


def overlap(n: int, reads: int, writes: int) -> Overlap:
    """What reading from R and writing to W of n nodes promises.

    Raises
    ------
    ValueError
        If a quorum is not from 1 to n.

    Examples
    --------
    >>> overlap(n=3, reads=1, writes=2)
    Overlap(reads_see_writes=False, writes_see_writes=True, writes_stand=1, reads_stand=2)
    """
    for name, value in (("reads", reads), ("writes", writes)):
        if not 1 <= value <= n:
            raise ValueError(f"{name} must be a quorum of the nodes, 1 to {n}, got {value!r}")
    return Overlap(
        reads_see_writes=reads + writes > n,
        writes_see_writes=2 * writes > n,
        writes_stand=n - writes,
        reads_stand=n - reads,
    )


def lost_writes(rate: float, delay: float, wait: float = 0.0) -> float:
    """How many acknowledged writes die with the primary's machine on average: those told OK before they had arrived.

    Parameters
    ----------
    rate : float
        Acknowledged writes per second [1/s].
    delay : float
        From the primary taking a write in until it is safe on the backup that will be promoted [s].
    wait : float
        From the primary taking it in until it tells the client OK [s].

    Raises
    ------
    ValueError
        If one of them is negative or not finite.

    Examples
    --------
    >>> lost_writes(rate=1000, delay=0.02), round(lost_writes(rate=100, delay=0.1, wait=0.04), 9)
    (20.0, 6.0)
    >>> lost_writes(rate=100, delay=0.02, wait=0.04)  # the backup itself was waited for
    0.0
    """
    for name, value in (("rate", rate), ("delay", delay), ("wait", wait)):
        if not 0 <= value < math.inf:
            raise ValueError(f"{name} must be 0 or more, and finite, got {value!r}")
    return rate * max(0.0, delay - wait)


@dataclass(frozen=True, eq=False, repr=False)
class Waiting:
    """The expected cost of an outage by how long one waits before a backup is promoted.

    Attributes
    ----------
    waits : float64 array [s]
    cost : float64 array [s]
        In seconds of outage; what a failover costs besides is counted in them, too.
    promoted : float64 array
        The share of the outages that end in a failover.
    best : float [s]
        The cheapest of the waits, the shortest of equals.
    """

    waits: NDArray[np.float64]
    cost: NDArray[np.float64]
    promoted: NDArray[np.float64]

    @property
    def best(self) -> float:
        """The cheapest wait [s]."""
        return float(self.waits[int(np.argmin(self.cost))])

    def to_dict(self) -> dict[str, Any]:
        """Lists by name, as JSON has them."""
        return {
            "wait": self.waits.tolist(),
            "cost": [None if math.isinf(cost) else cost for cost in self.cost.tolist()],
            "promoted": self.promoted.tolist(),
            "best": self.best,
        }

    def __repr__(self) -> str:
        cost = figure(float(self.cost.min()))
        return (
            f"Waiting({len(self.waits)} waits from {self.waits.min():g} s: the best is {self.best:g} s, cost {cost} s)"
        )

    def _repr_html_(self) -> str:
        rows = [
            (figure(wait), figure(cost), f"{share:.1%}")
            for wait, cost, share in zip(self.waits, self.cost, self.promoted, strict=True)
        ]
        return as_html("Wait, or promote?", [("wait [s]", "expected cost [s]", "promoted"), *rows])


def waiting_cost(
    outages: ArrayLike,
    waits: ArrayLike,
    *,
    failover: float,
    penalty: float = 0.0,
    permanent: float = 0.0,
) -> Waiting:
    """What an outage costs on average if a backup is promoted once it has lasted `wait`.

    An outage of D is over by itself at D <= wait, and has cost D; else it costs wait + failover + penalty. Where the
    chance that it ends soon falls with the time it has lasted (most real ones: many short, some very long), some wait
    is best; where it stays the same (exponential), one should promote at once or never.

    Parameters
    ----------
    outages : array of float, shape (n,) [s]
        How long temporary ones last, from the suspicion on: measured, or drawn.
    waits : array of float, shape (m,) [s]
    failover : float
        Election, promotion and redirect [s].
    penalty : float
        What else a failover costs (lost writes, cold caches, a resynchronisation), in seconds of outage.
    permanent : float
        The share of outages that never end by themselves.

    Raises
    ------
    ValueError
        If there are no outages or waits, a time is negative or not finite, or `permanent` is no share.

    Examples
    --------
    >>> waiting_cost([1, 1, 1, 60], waits=[0, 1, 2], failover=5, penalty=5)
    Waiting(3 waits from 0 s: the best is 1 s, cost 3.5 s)
    """
    lasts, when = (_times(name, values) for name, values in (("outages", outages), ("waits", waits)))
    for name, value in (("failover", failover), ("penalty", penalty)):
        if not 0 <= value < math.inf:
            raise ValueError(f"{name} must be 0 s or more, got {value!r}")
    if not 0 <= permanent <= 1:
        raise ValueError(f"permanent must be from 0 to 1, got {permanent!r}")
    lasts = np.sort(lasts)
    sums = np.concatenate([[0.0], np.cumsum(lasts)])
    over = np.searchsorted(lasts, when, side="right")  # so many are over by then
    promoted = permanent + (1 - permanent) * (1 - over / len(lasts))
    cost = (1 - permanent) * sums[over] / len(lasts) + promoted * (when + failover + penalty)
    return Waiting(waits=when, cost=cost, promoted=promoted)


def _times(name: str, values: ArrayLike) -> NDArray[np.float64]:
    array = np.asarray(values, dtype=np.float64)
    if array.ndim != 1 or not len(array) or not (np.isfinite(array) & (array >= 0)).all():
        raise ValueError(f"{name} must be one or more times of 0 s or more, got {values!r}")
    return array
