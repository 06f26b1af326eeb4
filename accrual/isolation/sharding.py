"""Isolation from the users' side: who else is hit when one customer's requests end the workers that they reach.

- *shared*: each customer may reach every worker;
- *shards*: the workers are parted into shards, each customer has one of them;
- *shuffle shards*: each customer has its own draw of `shard_size` out of all workers;
- *cells*: shards that share nothing else either (no queue, no database): the fate of a cell stays in it.

In numbers, cells are shards; they differ in what else they keep apart.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from accrual.blocks import as_seed
from accrual.isolation.result import Result, as_count, as_name, as_positive, percent

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = [
    "KINDS",
    "Assignment",
    "ShardPlan",
    "activity",
    "assign",
    "blast_odds",
    "overlaps",
    "plan_shards",
    "shuffle_shards",
]

KINDS: Final = ("shared", "shards", "shuffle", "cells")
"""How customers are spread over workers."""
MOST: Final = 10_000
"""Workers at most; shards of these can be counted in whole numbers, which have up to 3,008 digits."""

_SHOWN: Final = 10  # numbers of workers shared, in the text of a plan


def shuffle_shards(workers: int, shard_size: int) -> int:
    """How many different shards of that size can be drawn.

    Examples
    --------
    >>> shuffle_shards(8, 2), shuffle_shards(2048, 4)
    (28, 730862190080)
    """
    workers, shard_size = _sizes(workers, shard_size)
    return math.comb(workers, shard_size)


def overlaps(workers: int, shard_size: int) -> list[float]:
    """The chance that two customers share 0, 1, ... `shard_size` workers: the hypergeometric law.

    Examples
    --------
    >>> [round(chance, 4) for chance in overlaps(8, 2)]
    [0.5357, 0.4286, 0.0357]
    """
    workers, shard_size = _sizes(workers, shard_size)
    every = math.comb(workers, shard_size)
    least = max(0, 2 * shard_size - workers)  # of shards of more than half, some are always the same
    found = [0.0] * least
    ways = math.comb(shard_size, least) * math.comb(workers - shard_size, shard_size - least)
    for shared in range(least, shard_size + 1):
        found.append(ways / every)  # whole numbers, divided once: exact to the last bit
        ways = ways * (shard_size - shared) ** 2 // ((shared + 1) * (workers - 2 * shard_size + shared + 1))
    return found


def blast_odds(workers: int, shard_size: int, needs: int = 1) -> float:
    """The chance that a customer is cut off when another has ended all the workers that it reaches.

    Parameters
    ----------
    workers, shard_size : int
    needs : int
        Of a customer's workers, so many must be left for its service to go on.

    Examples
    --------
    >>> round(blast_odds(8, 2), 4), round(blast_odds(8, 2, needs=2), 4)
    (0.0357, 0.4643)
    """
    workers, shard_size = _sizes(workers, shard_size)
    needs = as_count("needs", needs, 1, shard_size)
    return math.fsum(overlaps(workers, shard_size)[shard_size - needs + 1 :])


def _sizes(workers: int, shard_size: int) -> tuple[int, int]:
    workers = as_count("workers", workers, 1, MOST)
    shard_size = as_count("shard_size", shard_size)
    if shard_size > workers:
        raise ValueError(f"shard_size must be at most the {workers} worker{'s' * (workers > 1)}, got {shard_size}")
    return workers, shard_size


# ---- customers, one by one ------------------------------------------------------------------------------------------


@dataclass(frozen=True, eq=False, kw_only=True, repr=False)
class Assignment(Result):
    """Which workers each customer may reach.

    Attributes
    ----------
    kind : str
        One of `KINDS`.
    workers : int
    reach : int64 array, shape (customers, shard_size)
        Of each customer its workers, in rising order.
    """

    kind: str
    workers: int
    reach: NDArray[np.int64]

    def left(self, ended: NDArray[np.bool_]) -> NDArray[np.int64]:
        """How many of its workers each customer has left, where `ended` says of all workers which have ended."""
        ended = np.asarray(ended, dtype=bool)
        if ended.shape != (self.workers,):
            raise ValueError(f"ended must say of each of the {self.workers} workers, got an array of {ended.shape}")
        return np.asarray(np.count_nonzero(~ended[self.reach], axis=1))

    def cut_off(self, ended: NDArray[np.bool_], needs: int = 1) -> NDArray[np.int64]:
        """The customers who have fewer than `needs` workers left, where `ended` says of all workers which have ended.

        Examples
        --------
        One worker of eight is killed. Without shards nobody loses all; with shards of one, an eighth does; with two
        workers each, shards or shuffled, nobody does, as long as clients try the other one:

        >>> ended = np.arange(8) == 3
        >>> spreads = [assign("shared", 1000, 8), assign("shards", 1000, 8, 1), assign("shuffle", 1000, 8, 2)]
        >>> [len(spread.cut_off(ended)) for spread in spreads]
        [0, 114, 0]
        """
        needs = as_count("needs", needs, 1, self.reach.shape[1])
        return np.flatnonzero(self.left(ended) < needs)

    def load(self, weights: NDArray[np.float64] | None = None) -> NDArray[np.float64]:
        """The share of all requests that each worker gets; each customer spreads its own evenly over its workers.

        Parameters
        ----------
        weights : array, optional
            How much each customer asks for; `activity` makes some. By default all the same.

        Examples
        --------
        A few busy customers make a hot shard; in a pool for all the same requests are spread evenly:

        >>> busy = activity(1000, skew=1.0)
        >>> [round(float(assign(kind, 1000, 8, 2).load(busy).max()), 3) for kind in ("shared", "shards", "shuffle")]
        [0.125, 0.157, 0.192]
        """
        customers, size = self.reach.shape
        asked = np.ones(customers) if weights is None else np.asarray(weights, dtype=np.float64)
        if asked.shape != (customers,) or not (asked >= 0).all() or not 0 < asked.sum() < math.inf:
            raise ValueError(f"weights must be {customers} numbers of 0 or more, and not all 0, got {weights!r}")
        counts = np.bincount(self.reach.ravel(), np.repeat(asked, size), self.workers)
        return np.asarray(counts / (asked.sum() * size))

    def ended_by(self, customer: int) -> NDArray[np.bool_]:
        """Which workers end when that customer's poison request is tried on every worker that it reaches."""
        customer = as_count("customer", customer, 0, len(self.reach) - 1)
        ended = np.zeros(self.workers, dtype=bool)
        ended[self.reach[customer]] = True
        return ended

    def affected_by(self, customer: int, needs: int = 1) -> NDArray[np.int64]:
        """The customers, that one among them, who have fewer than `needs` workers left after its poison request."""
        return self.cut_off(self.ended_by(customer), needs)

    def title(self) -> str:
        """What it is."""
        customers, size = self.reach.shape
        return f"{self.kind}: {customers:,} customers on {self.workers:,} workers, {size:,} each"

    def table(self) -> list[list[str]]:
        """A row for each worker, as texts under a head."""
        return [["worker", "customers"]] + [[str(row["worker"]), f"{row['customers']:,}"] for row in self.records()]

    def records(self) -> list[dict[str, Any]]:
        """A row for each worker: how many customers may reach it."""
        counts = np.bincount(self.reach.ravel(), minlength=self.workers)
        return [{"worker": worker, "customers": count} for worker, count in enumerate(counts.tolist())]


def assign(kind: str, customers: int, workers: int, shard_size: int = 1, seed: int = 0) -> Assignment:
    """Spread customers over workers.

    Parameters
    ----------
    kind : str
        One of `KINDS`; ``shared`` takes no account of `shard_size`.
    customers, workers : int
    shard_size : int
        Workers of a shard; ``shards`` and ``cells`` need it to divide the workers.
    seed : int
        What chance begins with: which shard a customer gets.

    Raises
    ------
    ValueError
        With name, bound and value.

    Examples
    --------
    >>> spread = assign("shuffle", customers=1000, workers=8, shard_size=2)
    >>> spread.reach[0], len(spread.affected_by(0))
    (array([4, 5]), 49)
    >>> [len(assign(kind, 1000, 8, 2).affected_by(0)) for kind in ("shared", "shards")]
    [1000, 263]
    """
    as_name("kind", kind, KINDS)
    customers = as_count("customers", customers)
    workers, shard_size = _sizes(workers, shard_size)
    random = np.random.default_rng(as_seed(seed))
    if kind == "shared":
        reach = np.broadcast_to(np.arange(workers), (customers, workers))
    elif kind == "shuffle":
        reach = _draws(random, customers, workers, shard_size)
    else:
        number = _parts(workers, shard_size)
        first = random.integers(number, size=customers) * shard_size
        reach = first[:, np.newaxis] + np.arange(shard_size)
    return Assignment(kind=kind, workers=workers, reach=np.asarray(reach, dtype=np.int64))


def activity(customers: int, skew: float = 1.0) -> NDArray[np.float64]:
    """How much each customer asks for, as a share of all: the n-th most active asks for n^-skew of the most active.

    Parameters
    ----------
    customers : int
    skew : float
        0: all ask for the same; 1: Zipf's law.

    Examples
    --------
    >>> activity(4, skew=1.0).round(2)
    array([0.48, 0.24, 0.16, 0.12])
    """
    asked = np.arange(1, as_count("customers", customers) + 1) ** -as_positive("skew", skew, "powers", zero=True)
    return np.asarray(asked / asked.sum())


def _draws(random: np.random.Generator, customers: int, workers: int, shard_size: int) -> NDArray[np.int64]:
    """Of each customer `shard_size` different workers, all sets equally likely (Floyd's sampling, all rows at once)."""
    drawn = np.empty((customers, shard_size), dtype=np.int64)
    for column, top in enumerate(range(workers - shard_size, workers)):
        pick = random.integers(top + 1, size=customers)
        taken = (drawn[:, :column] == pick[:, np.newaxis]).any(axis=1)
        drawn[:, column] = np.where(taken, top, pick)
    return np.sort(drawn, axis=1)


def _parts(workers: int, shard_size: int) -> int:
    if workers % shard_size:
        raise ValueError(f"shard_size must divide the {workers} workers into equal shards, got {shard_size}")
    return workers // shard_size


# ---- a plan ---------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, kw_only=True, repr=False)
class ShardPlan(Result):
    """What one customer's poison request, tried on every worker that the customer reaches, takes with it.

    Attributes
    ----------
    customers, workers, shard_size, needs : int
        As given.
    shards : int
        Plain shards: so many, of `shard_size` workers or one more.
    combinations : int
        Shuffle shards that can be drawn.
    plain : float
        Chance that another given customer has the same plain shard, and is cut off.
    shuffled : float
        Chance that another given customer is cut off with shuffle shards: has fewer than `needs` workers left.
    others_plain, others_shuffled : float
        Expected number of other customers cut off.
    anyone_shuffled : float
        Chance that any other customer is cut off, with shuffle shards.
    twins : float
        Chance that any two of the customers have the very same shuffle shard.
    overlap : tuple of float
        Chance that two customers share 0, 1, ... `shard_size` workers of their shuffle shards.
    """

    customers: int
    workers: int
    shard_size: int
    needs: int
    shards: int
    combinations: int
    plain: float
    shuffled: float
    others_plain: float
    others_shuffled: float
    anyone_shuffled: float
    twins: float
    overlap: tuple[float, ...]

    def title(self) -> str:
        """What was asked."""
        return (
            f"{self.customers:,} customers on {self.workers:,} workers, {self.shard_size:,} each, {self.needs:,} needed"
            "; one of them ends all workers that it reaches"
        )

    def table(self) -> list[list[str]]:
        """A row for each way to spread customers, as texts under a head."""
        rows = [["", "shards", "chance of another's being cut off", "others cut off", "any other at all"]]
        for row in self.records():
            number = row["shards"]
            shards = f"{number:,}" if number < 10**15 else f"10^{math.log10(number):.1f}"
            cells = [row["kind"], shards, percent(row["chance"]), f"{row['others']:.4g}"]
            rows.append([*cells, percent(row["anyone"])])
        return rows

    def records(self) -> list[dict[str, Any]]:
        """A row for each way to spread customers."""
        others = self.customers - 1
        return [
            {"kind": "shared by all", "shards": 1, "chance": 1.0, "others": float(others), "anyone": float(others > 0)},
            {
                "kind": "shards or cells",
                "shards": self.shards,
                "chance": self.plain,
                "others": self.others_plain,
                "anyone": _any(self.plain, others),
            },
            {
                "kind": "shuffle shards",
                "shards": self.combinations,
                "chance": self.shuffled,
                "others": self.others_shuffled,
                "anyone": self.anyone_shuffled,
            },
        ]

    def to_dict(self) -> dict[str, Any]:
        """Plain values; what no other reader of JSON would take for a whole number is a float, or None past 1e308."""
        digits = math.log10(self.combinations)
        count = self.combinations if digits < 15 else float(self.combinations) if digits < 308 else None
        return super().to_dict() | {"combinations": count}

    def __repr__(self) -> str:
        """The table, and how far two customers' workers are the same."""
        likeliest = sorted(range(len(self.overlap)), key=lambda shared: -self.overlap[shared])[:_SHOWN]
        lines = [f"  {shared}: {percent(self.overlap[shared])}" for shared in sorted(likeliest)]
        head = "workers that two customers share, with shuffle shards" + (
            ":" if len(self.overlap) <= _SHOWN else f", the {_SHOWN} likeliest numbers:"
        )
        twins = f"chance that any two of the customers have the very same shuffle shard: {percent(self.twins)}"
        return "\n".join([super().__repr__(), head, *lines, twins])


def plan_shards(customers: int, workers: int, shard_size: int, needs: int = 1) -> ShardPlan:
    """Tell the blast radius of one poison customer, and its odds, for plain shards and for shuffle shards.

    Parameters
    ----------
    customers, workers : int
    shard_size : int
        Workers that each customer may reach.
    needs : int
        Of these, so many must be left; 1 where the client tries the next worker by itself.

    Raises
    ------
    ValueError
        With name, bound and value: for instance a shard larger than the number of workers.

    Notes
    -----
    Customers draw their shards independently. Where `shard_size` does not divide the workers, the plain shards differ
    by one worker, and customers go to shards at random.

    Examples
    --------
    >>> plan_shards(customers=1000, workers=8, shard_size=2)
    1,000 customers on 8 workers, 2 each, 1 needed; one of them ends all workers that it reaches
                     shards  chance of another's being cut off  others cut off  any other at all
    shared by all         1                              100 %             999             100 %
    shards or cells       4                               25 %           249.8             100 %
    shuffle shards       28                             3.57 %           35.68             100 %
    workers that two customers share, with shuffle shards:
      0: 53.6 %
      1: 42.9 %
      2: 3.57 %
    chance that any two of the customers have the very same shuffle shard: 100 %
    """
    customers = as_count("customers", customers)
    workers, shard_size = _sizes(workers, shard_size)
    needs = as_count("needs", needs, 1, shard_size)
    number = workers // shard_size
    chance = blast_odds(workers, shard_size, needs)
    combinations = math.comb(workers, shard_size)
    return ShardPlan(
        customers=customers,
        workers=workers,
        shard_size=shard_size,
        needs=needs,
        shards=number,
        combinations=combinations,
        plain=1 / number,
        shuffled=chance,
        others_plain=(customers - 1) / number,
        others_shuffled=(customers - 1) * chance,
        anyone_shuffled=_any(chance, customers - 1),
        twins=_twins(customers, combinations),
        overlap=tuple(overlaps(workers, shard_size)),
    )


def _any(chance: float, others: int) -> float:
    """That one of so many is hit, each with this chance; keeps the digits of small ones."""
    return float(others > 0) if chance >= 1 else -math.expm1(others * math.log1p(-chance))


def _twins(customers: int, combinations: int) -> float:
    """That any two of the customers drew the same: the birthday problem."""
    if customers > combinations:
        return 1.0
    share = customers / combinations
    if share < 1e-4:
        # The chance of none is the product of 1 - i/C; its logarithm, by powers of 1/C, to 13 digits. Whole numbers are
        # divided before they become floats: C may have thousands of digits.
        pairs = customers * (customers - 1)
        second = pairs * (2 * customers - 1) / (12 * combinations**2)
        return -math.expm1(-(pairs / (2 * combinations) + second + pairs / combinations * share * share / 12))
    if customers <= 1_000_000:
        return -math.expm1(float(np.log1p(-np.arange(customers) / combinations).sum()))
    return 1.0  # with half of 1e6 * 1e-4 in the exponent, 1 - 2e-22 at the least
