"""Intervals for counts that come in bursts: the observed time cut into blocks, and blocks drawn again (bootstrap).

Mistakes cluster, so a Poisson interval is too short. Blocks that are longer than the longest outage are nearly
independent of one another; drawing them with replacement says how much chance there is in a sum over them.
"""

from __future__ import annotations

import math
from functools import cached_property
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from accrual.detectors import NS, seconds
from accrual.traces.trace import TraceError

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from accrual.qos import Scoring

__all__ = ["FEWEST", "Blocks", "as_seed", "poisson_interval"]

FEWEST: Final = 10
"""Blocks that an interval takes: what fewer say of themselves is not to be believed."""

MOST: Final = 100
DRAWS: Final = 4000
TAILS: Final = (0.025, 0.975)
DISCORDANT: Final = 6  # blocks: of 5 that all lean to one side no paired test says so at 5 %, for 2 / 2**5 > 0.05


def as_seed(seed: int) -> int:
    """Check what chance begins with."""
    if isinstance(seed, bool) or not isinstance(seed, int | np.integer) or seed < 0:
        raise ValueError(f"seed must be a whole number, 0 or more, got {seed!r}")
    return int(seed)


def poisson_interval(count: int) -> tuple[float, float]:
    """The 95 % interval of the mean of a Poisson count (Garwood 1936)."""
    from scipy.special import gammaincinv  # here, for it takes longer to import than all of accrual

    low = float(gammaincinv(count, TAILS[0])) if count else 0.0
    return low, float(gammaincinv(count + 1, TAILS[1]))


class Blocks:
    """The scored intervals of a trace, cut into blocks of equal observed time; the same for every detector.

    Parameters
    ----------
    scoring : Scoring
        Of any detector: what is scored is the same for all with the same `skip`.
    length : float, optional
        Of a block, s; by default ten times the longest interval, at least a hundredth and at most a twentieth of the
        observed time, and longer than the longest interval in any case. Give a longer one where the jitter changes more
        slowly: with blocks of half a cycle of good and bad times, 90 of 100 intervals held the truth instead of 95.
    seed : int
        What chance begins with. The same seed draws the same blocks, for every detector and every call.

    Attributes
    ----------
    count : int
        Of blocks. Below `FEWEST` there are no intervals.
    length, longest : float [s]
        Of a block, and of the longest interval.
    index : int64 array
        The block in which each scored interval begins.
    """

    def __init__(self, scoring: Scoring, length: float | None = None, seed: int = 0) -> None:
        intervals = np.maximum(np.diff(scoring.arrivals[scoring.low : scoring.high + 1]), 0)
        begun = np.cumsum(intervals) - intervals
        observed = int(begun[-1] + intervals[-1])
        if observed == 0:
            raise TraceError("nothing to compare: no time passes between the heartbeats")
        self.longest, self.observed = int(intervals.max()) / NS, observed / NS
        if length is None:
            length = min(max(10 * self.longest, self.observed / MOST), self.observed / 20)
            length = max(length, 1.001 * self.longest)
        elif not seconds("block", length) > self.longest:
            raise ValueError(f"block must be longer than the longest interval, {self.longest:g} s, got {length!r}")
        self.count = max(int(self.observed / length), 1)
        self.length = self.observed / self.count
        self.index = np.minimum((begun / observed * self.count).astype(np.int64), self.count - 1)
        self.seed = seed
        self._weights: NDArray[np.float64] | None = None

    @cached_property
    def tails(self) -> tuple[float, float]:
        """The quantiles of sums drawn again that bound 95 %: wider than 2.5 and 97.5 %, for blocks are few.

        Sums over K blocks drawn again have (K - 1) / K of the variance, with K - 1 degrees of freedom (Hesterberg).
        """
        from scipy.special import ndtr, stdtrit

        low = float(ndtr(stdtrit(self.count - 1, TAILS[0]) * math.sqrt(self.count / (self.count - 1))))
        return low, 1 - low

    @property
    def enough(self) -> bool:
        """Whether there are enough of them for intervals."""
        return self.count >= FEWEST

    def counts(self, events: NDArray[np.bool_]) -> NDArray[np.int64]:
        """How many of the scored intervals have it, by block."""
        return np.bincount(self.index[events], minlength=self.count)

    def sums(self, counts: NDArray[np.int64]) -> NDArray[np.float64]:
        """What the blocks add up to each time that they are drawn again."""
        if self._weights is None:
            chance = np.random.default_rng(self.seed)
            drawn = chance.multinomial(self.count, np.full(self.count, 1 / self.count), DRAWS)
            self._weights = drawn.astype(np.float64)
        return self._weights @ counts

    def interval(self, counts: NDArray[np.int64]) -> tuple[float, float]:
        """The 95 % interval of a sum: that of the blocks, and nowhere narrower than independent events would have it.

        nan where there are too few blocks. From zero to 3.0 where nothing happened, the field's rule of three.
        """
        total = int(counts.sum())
        if total == 0:
            return 0.0, 3.0
        if not self.enough:
            return np.nan, np.nan
        low, high = np.quantile(self.sums(counts), self.tails)
        least, most = poisson_interval(total)
        return min(float(low), least), max(float(high), most)

    def ratio(self, counts: NDArray[np.int64], others: NDArray[np.int64]) -> tuple[float, float, float]:
        """The ratio of two sums over the same blocks, and its 95 % interval; half an event is added to each.

        The interval holds 1 where fewer blocks differ than any paired test needs, and is nan where there are too few.
        """
        ratio = (float(counts.sum()) + 0.5) / (float(others.sum()) + 0.5)
        if not self.enough:
            return ratio, np.nan, np.nan
        low, high = np.quantile((self.sums(counts) + 0.5) / (self.sums(others) + 0.5), self.tails)
        if np.count_nonzero(counts != others) < DISCORDANT:
            low, high = min(low, 1.0), max(high, 1.0)
        return ratio, float(min(low, ratio)), float(max(high, ratio))

    def dispersion(self, counts: NDArray[np.int64]) -> float:
        """Variance over mean of the blocks' counts: 1 for independent events, more where they cluster."""
        return float(counts.var(ddof=1) / counts.mean()) if counts.any() and self.count > 1 else np.nan

    def to_dict(self) -> dict[str, Any]:
        """What a reader needs to judge the intervals."""
        return {"blocks": self.count, "block_length": self.length, "longest_interval": self.longest, "seed": self.seed}
