"""Availability: how much of the time something works, alone, in a row, or beside others of its kind.

All of it takes things to fail independently. Domains that share a fate (a kernel, a host, a building) do away with
that: `accrual.isolation.placement` says which do.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np

from accrual.isolation.result import as_count, as_share

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import ArrayLike, NDArray

__all__ = ["YEAR", "Availability", "availability", "k_of_n", "series", "service", "time_to_outage"]

YEAR: Final = 365.25 * 86_400.0
"""Of 365.25 days [s]."""


@dataclass(frozen=True)
class Availability:
    """What mean times to failure and to repair come to in the long run.

    Attributes
    ----------
    share : float
        Of the time that the thing works.
    unavailability : float
        The rest; not computed as 1 - share, which would lose its digits.
    nines : float
        -log10 of that: 99.9 % are 3 nines.
    failures : float
        A year, on average.
    downtime : float
        A year, on average [s].
    """

    share: float
    unavailability: float
    nines: float
    failures: float
    downtime: float


def availability(mttf: float, mttr: float) -> Availability:
    """Availability of what works for `mttf` on average and is then repaired for `mttr`; any unit, both in the same.

    Failures and downtime are given for a year and take both for seconds.

    Examples
    --------
    >>> found = availability(mttf=999 * 3600, mttr=3600)
    >>> found.share, round(found.nines, 6), round(found.downtime / 3600, 2)
    (0.999, 3.0, 8.77)
    """
    for name, value in (("mttf", mttf), ("mttr", mttr)):
        if not 0 < value < math.inf:
            raise ValueError(f"{name} must be a time above 0, got {value!r}")
    unavailability = mttr / (mttf + mttr)
    return Availability(
        share=mttf / (mttf + mttr),
        unavailability=unavailability,
        nines=-math.log10(unavailability),
        failures=YEAR / (mttf + mttr),
        downtime=YEAR * unavailability,
    )


def series(shares: Sequence[float]) -> float:
    """The share of the time that all of some things work: what needs each of them.

    Parameters
    ----------
    shares : sequence of float
        Of the time that each works, from 0 to 1.

    Examples
    --------
    >>> round(series([0.99, 0.99, 0.999]), 6)
    0.97912
    """
    return math.prod(as_share("shares", share) for share in shares)


def k_of_n(k: int, n: int, share: float) -> float:
    """The share of the time that at least `k` of `n` equal things work: a majority, or with `k` = 1 any.

    Parameters
    ----------
    k, n : int
        0 <= k <= n.
    share : float
        Of the time that each works, from 0 to 1.

    Examples
    --------
    >>> round(k_of_n(2, 3, 0.99), 6), round(k_of_n(1, 2, 0.99), 6)
    (0.999702, 0.9999)
    """
    n = as_count("n", n)
    k = as_count("k", k, 0, n)
    up = as_share("share", share)
    return math.fsum(math.comb(n, works) * up**works * (1 - up) ** (n - works) for works in range(k, n + 1))


def service(nodes: int, mttf: float, mttr: float, at: ArrayLike) -> NDArray[np.float64]:
    """The chance that at least one of some equal nodes works, all of them new at 0.

    Nodes fail and are repaired independently, with exponential times. That independence is what a shared power
    supply, or the same bug in each, does away with.

    Parameters
    ----------
    nodes : int
        1 or more.
    mttf, mttr : float
        Means of a node's times to failure and to repair; `mttr` may be ``inf``: failed nodes are isolated and stay so.
    at : array
        Times, in the same unit.

    Examples
    --------
    >>> service(3, mttf=30, mttr=float("inf"), at=[0, 30, 365]).round(6)
    array([1.0000e+00, 7.4742e-01, 1.6000e-05])
    >>> service(3, mttf=30, mttr=1, at=[365]).round(6)
    array([0.999966])
    """
    _check_cluster(nodes, mttf, mttr)
    failing, repairing = 1 / mttf, 1 / mttr
    both = failing + repairing
    # A node is down with this chance; expm1 keeps the digits of a node that is nearly always up.
    down = -failing / both * np.expm1(-both * np.asarray(at, dtype=float))
    return np.asarray(1 - down**nodes)


def time_to_outage(nodes: int, mttf: float, mttr: float) -> float:
    """The mean time until the first moment at which no node works, all of them new at 0; in the unit of the means.

    Examples
    --------
    >>> round(time_to_outage(3, mttf=30, mttr=float("inf")))
    55
    >>> round(time_to_outage(3, mttf=30, mttr=1) / 365.25)
    28
    """
    _check_cluster(nodes, mttf, mttr)
    total = step = 0.0
    for working in range(nodes, 0, -1):
        # From `working` nodes to one less: the next failure, or a repair and then two steps down.
        step = (1 + (nodes - working) / mttr * step) * mttf / working
        total += step
    return total


def _check_cluster(nodes: int, mttf: float, mttr: float) -> None:
    if nodes < 1:
        raise ValueError(f"nodes must be 1 or more, got {nodes!r}")
    if not 0 < mttf < math.inf:
        raise ValueError(f"mttf must be a time above 0, got {mttf!r}")
    if not mttr > 0:
        raise ValueError(f"mttr must be a time above 0, or inf, got {mttr!r}")
