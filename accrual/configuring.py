"""Heartbeats and timeouts from what is wanted and known of the path, before there is a trace.

Chen's configurator: the period and the margin of his detectors. And the timeout that loses the least time.
"""

from __future__ import annotations

import dataclasses
import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, Protocol

import numpy as np

from accrual.detectors import Chen
from accrual.tables import as_html, figure, plain

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["ChenTuned", "Law", "optimal_timeout", "tune_chen"]

_GRID: Final = 257  # periods tried between two jumps of the recurrence
_MOST: Final = 5000  # heartbeats in a detection time: beyond, nobody would send


class Law(Protocol):
    """A law of a duration [s], as frozen distributions of scipy.stats are."""

    def sf(self, x: Any) -> Any:
        """Pr(X > x)."""

    def mean(self) -> Any:
        """E(X)."""


@dataclass(frozen=True, kw_only=True)
class ChenTuned:
    """How to set Chen's detectors.

    Attributes
    ----------
    period : float [s]
        Of the heartbeats; nan where what is wanted cannot be met.
    shift : float [s]
        NFD-S: heartbeat i, sent at i * period, is due at i * period + shift. nan where the clocks are apart.
    margin : float [s]
        NFD-U and NFD-E (:class:`accrual.Chen`): the threshold, after the expected arrival. nan where no delay is known.
    recurrence : float [s]
        The mean time between mistakes that this promises at least.
    verdict : str
        ``met`` or why it cannot be.
    """

    period: float
    shift: float
    margin: float
    recurrence: float
    verdict: str

    @property
    def detector(self) -> Chen:
        """The detector with that period; its threshold is `margin`."""
        return Chen(period=self.period)

    def to_dict(self) -> dict[str, Any]:
        """Plain values."""
        return {name: plain(value) for name, value in dataclasses.asdict(self).items()}

    def _repr_html_(self) -> str:
        rows = [[name, value if isinstance(value, str) else f"{figure(value)} s"] for name, value in vars(self).items()]
        return as_html("Chen's configurator", [["", ""], *rows])


def tune_chen(
    *,
    detection_time: float,
    mistake_recurrence: float,
    mistake_duration: float,
    loss: float,
    delay: Law | None = None,
    delay_mean: float | None = None,
    delay_deviation: float | None = None,
    clocks_apart: bool = False,
) -> ChenTuned:
    """Chen's configurator: the longest period of heartbeats that does what is wanted, and the margin that goes with it.

    With the law of the delay the answer is exact: if there is none, no detector can do it on such a path. With its mean
    and deviation alone it holds for every law that has them (Cantelli's inequality). Losses and delays have to be
    independent, which they are less and less the faster heartbeats come.

    Parameters
    ----------
    detection_time : float [s]
        At most, from a crash until the suspicion. Where `clocks_apart`, beyond the mean delay.
    mistake_recurrence : float [s]
        Mean time between mistakes, at least.
    mistake_duration : float [s]
        Mean time that one takes, at most.
    loss : float
        Probability that a heartbeat is lost; 0 to below 1.
    delay : law, optional
        Such as ``scipy.stats.expon(scale=0.02)``.
    delay_mean, delay_deviation : float, optional [s]
        In the place of `delay`. Where `clocks_apart` the mean is not needed.
    clocks_apart : bool
        NFD-U: the sender's clock is not the receiver's, and arrivals are expected by those before.

    Raises
    ------
    ValueError
        If a parameter is out of bounds, or it takes another one.

    Examples
    --------
    >>> import accrual as ac
    >>> month, wanted = 30 * 86400, {"detection_time": 30, "mistake_duration": 60, "loss": 0.01}
    >>> found = ac.tune_chen(mistake_recurrence=month, delay_mean=0.02, delay_deviation=0.02**0.5 , **wanted)
    >>> round(found.period, 2), round(found.shift, 2)  # the example of Chen's paper
    (9.71, 20.29)
    """
    time = _number("detection_time", detection_time, 0, math.inf)
    recurrence = _number("mistake_recurrence", mistake_recurrence, 0, math.inf)
    duration = _number("mistake_duration", mistake_duration, 0, math.inf)
    if isinstance(loss, bool) or not isinstance(loss, int | float | np.number) or not 0 <= loss < 1:
        raise ValueError(f"loss must be a probability from 0 to below 1, got {loss!r}")
    moments = delay_mean, delay_deviation
    if (delay is None) == (delay_deviation is None) or (delay is not None and delay_mean is not None):
        raise ValueError(f"delay, or delay_mean and delay_deviation, must be given, got {delay!r} and {moments}")
    if delay is not None:
        mean = float(delay.mean())
        budget, reach = time, time + mean if clocks_apart else time

        def late(rest: NDArray[np.float64]) -> NDArray[np.float64]:
            return loss + (1 - loss) * np.asarray(delay.sf(rest + mean if clocks_apart else rest), float)

        heard = (1 - loss) * (1 - float(delay.sf(reach)))
        longest, first = min(heard * duration, budget), heard
    else:
        deviation = _number("delay_deviation", delay_deviation, 0, math.inf, least_included=True)
        if delay_mean is None and not clocks_apart:
            raise ValueError("delay_mean must be given where clocks_apart is not, got None")
        mean = math.nan if delay_mean is None else _number("delay_mean", delay_mean, 0, math.inf, least_included=True)
        variance, budget = deviation**2, time if clocks_apart else time - mean

        def late(rest: NDArray[np.float64]) -> NDArray[np.float64]:
            with np.errstate(invalid="ignore"):  # 0 / 0: a delay without a deviation, on time to the last bit
                return np.nan_to_num((variance + loss * rest**2) / (variance + rest**2), nan=1.0)

        heard = (1 - loss) * budget**2 / (variance + budget**2) if budget > 0 else 0.0
        longest, first = min(heard * duration, budget), 1.0
    period, promised = _longest_period(budget, longest, first, recurrence, late)
    if math.isnan(period):
        return ChenTuned(
            period=period,
            shift=period,
            margin=period,
            recurrence=promised,
            verdict="cannot be met" if delay is not None else "cannot be met whatever the law of the delay",
        )
    if clocks_apart:
        return ChenTuned(period=period, shift=math.nan, margin=time - period, recurrence=promised, verdict="met")
    shift = time - period
    return ChenTuned(period=period, shift=shift, margin=shift - mean, recurrence=promised, verdict="met")


def _longest_period(
    budget: float, longest: float, first: float, recurrence: float, late: Any
) -> tuple[float, float]:  # fmt: skip
    """The largest period up to `longest` whose mistakes recur as seldom as wanted, and how seldom that is; or nan.

    The recurrence jumps where one heartbeat more fits into the detection time, and rises and falls between: it is
    searched from above, jump by jump, on a grid and then by bisection.
    """
    if not longest > 0 or not first > 0:
        return math.nan, math.nan

    def lasts(periods: NDArray[np.float64], more: int) -> NDArray[np.float64]:
        rest = budget - np.outer(periods, np.arange(1, more + 1))
        with np.errstate(divide="ignore"):
            return periods / (first * np.prod(late(np.maximum(rest, 0.0)), axis=1))  # type: ignore[no-any-return]

    best = 0.0
    for more in range(max(math.ceil(budget / longest) - 1, 0), _MOST):
        # So many heartbeats after the first are sent within the detection time.
        low, high = budget / (more + 1), min(budget / more if more else math.inf, longest)
        if low > high:
            continue
        periods = np.linspace(low, high, _GRID)
        if high < longest:
            periods[-1] = math.nextafter(high, 0)  # at the jump itself one less fits
        promised = lasts(periods, more)
        best = max(best, float(promised.max()))
        good = np.flatnonzero(promised >= recurrence)
        if not len(good):
            continue
        k = int(good[-1])
        left = float(periods[k])
        right = float(periods[min(k + 1, _GRID - 1)])
        for _ in range(100):
            middle = (left + right) / 2
            left, right = (middle, right) if lasts(np.array([middle]), more)[0] >= recurrence else (left, middle)
        return left, float(lasts(np.array([left]), more)[0])
    return math.nan, best


def optimal_timeout(intervals: Law, time_to_failure: float, failover: float) -> float:
    """The timeout [s] that loses the least time, from the law of the intervals.

    Minimises timeout / time_to_failure + failover * Pr(interval > timeout) / mean, which is where the density of the
    intervals is mean / (time_to_failure * failover). What "Phi = 8" leaves unsaid.

    Parameters
    ----------
    intervals : law
        Of the time between heartbeats, such as ``scipy.stats.norm(0.1, 0.0165)``.
    time_to_failure : float [s]
        Mean time between crashes of the peer.
    failover : float [s]
        Lost with each mistake.

    Examples
    --------
    >>> from scipy import stats
    >>> round(optimal_timeout(stats.norm(0.1, 0.0165), time_to_failure=30 * 86400, failover=10), 3)
    0.211
    """
    time_to_failure = _number("time_to_failure", time_to_failure, 0, math.inf)
    failover, mean = _number("failover", failover, 0, math.inf), float(intervals.mean())
    if not 0 < mean < math.inf:
        raise ValueError(f"intervals must have a mean above 0, got {mean!r}")

    def lost(timeout: NDArray[np.float64]) -> NDArray[np.float64]:
        return timeout / time_to_failure + failover / mean * np.asarray(intervals.sf(timeout), float)

    # No timeout beyond this can be worth it: it alone costs as much as a mistake at every heartbeat.
    grid = np.append(0.0, np.geomspace(mean * 1e-6, time_to_failure * failover / mean, 4097))
    for _ in range(6):
        k = int(np.argmin(lost(grid)))
        grid = np.linspace(grid[max(k - 1, 0)], grid[min(k + 1, len(grid) - 1)], 129)
    return float(grid[int(np.argmin(lost(grid)))])


def _number(name: str, value: Any, low: float, high: float, least_included: bool = False) -> float:
    number = math.nan
    if not isinstance(value, bool) and isinstance(value, int | float | np.number):
        number = float(value)
    if not (low < number < high or (least_included and number == low)):
        raise ValueError(f"{name} must be a number {'of at least' if least_included else 'above'} {low}, got {value!r}")
    return number
