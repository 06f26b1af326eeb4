"""The threshold at which a detector has a wanted detection time: what makes detectors comparable.

The mean and the 99 % quantile of the detection time never fall while the threshold rises, so a bracket closes on the
threshold; each step asks the real curve, and nothing is interpolated in the end.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Final, NamedTuple

import numpy as np

from accrual.qos import QoS, Scoring

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence


__all__ = ["AT", "Matched", "as_times", "match"]

AT: Final = {"mean": "detection_time", "p99": "detection_time_p99"}
"""What can be made equal, and the field of QoS that holds it."""

EXACT: Final = 1e-9
"""How near, as a share of it, a detection time is to the wanted one where the curve has no steps."""

NEAR: Final = 0.005
"""How near it has to be where there are: a share of a window's intervals has as many thresholds as intervals."""

_LARGEST: Final = 1e300  # of a threshold, on the way to a bracket
_ROUNDS: Final = 200  # of the search; a bisection of all doubles takes 64


class Matched(NamedTuple):
    """A threshold with a wanted detection time, or why there is none."""

    wanted: float
    threshold: float
    qos: QoS | None
    refused: str = ""


def as_times(name: str, times: object) -> list[float]:
    """Check one or more durations in s, all above 0; repeated ones once, in rising order."""
    try:
        array = np.atleast_1d(np.asarray(times))
        if array.dtype.kind not in "iuf" or array.ndim != 1:
            raise TypeError
        values = array.astype(np.float64)
    except (TypeError, ValueError):
        values = np.empty(0)
    if not len(values) or not ((values > 0) & np.isfinite(values)).all():
        raise ValueError(f"{name} must be one or more numbers of seconds above 0, got {times!r}")
    return np.unique(values).tolist()  # type: ignore[no-any-return]


def match(
    scoring: Scoring, wanted: Sequence[float], at: str = "mean", progress: Callable[[str], None] | None = None
) -> list[Matched]:
    """Find the thresholds at which a detector has the wanted detection times [s].

    Where nothing but a standing suspicion is so fast, there is none: half of the heartbeats at least must end one.

    Examples
    --------
    >>> import accrual as ac
    >>> scoring = Scoring(ac.Trace([0, 10**8, 2 * 10**8, 4 * 10**8]), ac.FixedTimeout(period=0.1))
    >>> [found] = match(scoring, [0.15])
    >>> found.threshold, found.qos.detection_time, found.qos.mistakes
    (1.5, 0.15, 1)
    """
    return _Search(scoring, at, progress).find(wanted)


class _Search:
    """One call of match: what was asked of the curve so far."""

    def __init__(self, scoring: Scoring, at: str, progress: Callable[[str], None] | None) -> None:
        self.scoring, self.field, self.tell = scoring, AT[at], progress or (lambda step: None)
        self.known: dict[float, QoS] = {}
        # Of shares of a window only the multiples of 1 / window differ.
        compiled = scoring.detector.compiled
        self.grid = compiled.window if compiled.sample else None

    def ask(self, thresholds: Sequence[float]) -> None:
        """Have these points of the curve known."""
        new = sorted({t for t in thresholds if t not in self.known})
        if new:
            self.tell(f"threshold {len(self.known) + len(new)}")
            points = self.scoring.curve(np.array(new), quantiles=self.field != "detection_time").points
            self.known.update(zip(new, points, strict=True))

    def time(self, threshold: float) -> float:
        """The detection time at a threshold."""
        self.ask([threshold])
        return float(getattr(self.known[threshold], self.field))

    def find(self, wanted: Sequence[float]) -> list[Matched]:
        """The thresholds, one for each."""
        low, high = self.ends(min(wanted), max(wanted))
        brackets = [_Bracket(w, self.grid) for w in wanted]
        for _ in range(_ROUNDS):
            for bracket in brackets:
                for threshold in self.known:
                    bracket.narrow(threshold, self.time(threshold))
            candidates = [c for bracket in brackets if (c := bracket.candidate()) is not None]
            if not candidates:
                break
            self.ask(candidates)
        return [self.judged(bracket, low, high) for bracket in brackets]

    def ends(self, fast: float, slow: float) -> tuple[float, float]:
        """Thresholds faster than the fastest and slower than the slowest that is wanted, as far as there are."""
        detector = self.scoring.detector
        if self.grid is not None:
            self.ask([1 / self.grid, 1.0])
            return 1 / self.grid, 1.0
        low = 0.0
        if detector.law == "linear":
            step = max(1e-3, abs(detector.typical_threshold))
            while self.time(low) > fast and step < _LARGEST:
                # Behind every expectation a suspicion stands, and no time is left to save.
                low, before = low - step, self.time(low)
                step *= 4
                if self.time(low) >= before:
                    break
        self.ask([low])
        high = max(1e-3, abs(detector.typical_threshold))
        while self.time(high) < slow and high < _LARGEST:
            high *= 4
        return low, high

    def judged(self, bracket: _Bracket, low: float, high: float) -> Matched:
        """What came of a search."""
        wanted, below, above = bracket.wanted, bracket.below, bracket.above
        unit = f"{self.scoring.detector.threshold_name} ="
        near = sorted((abs(time - wanted), t) for t, time in filter(None, (below, above)))
        if not near:
            return Matched(wanted, math.nan, None, "no level is known")
        distance, threshold = near[0]
        qos = self.known[threshold]
        if distance > NEAR * wanted:
            if below is None:
                refused = f"cannot be so fast: {self.time(low):.4g} s at {unit} {low:.4g}"
            elif above is None:
                refused = f"cannot be so slow: {self.time(high):.4g} s at {unit} {high:.4g}"
            else:
                refused = f"cannot be set so: {below[1]:.4g} s at {unit} {below[0]:.4g}, next {above[1]:.4g} s"
        elif qos.standing > 0.5:
            refused = f"cannot be so fast: {qos.standing:.0%} of the heartbeats would not end its suspicion"
        else:
            return Matched(wanted, threshold, qos)
        return Matched(wanted, math.nan, None, refused)


class _Bracket:
    """Two thresholds round the one that is sought: twice the false position, the third time the middle, and again."""

    def __init__(self, wanted: float, grid: int | None) -> None:
        self.wanted, self.grid = wanted, grid
        self.below: tuple[float, float] | None = None  # threshold and time: the highest that is not too slow
        self.above: tuple[float, float] | None = None  # the lowest that is not too fast
        self.round = 0

    def narrow(self, threshold: float, time: float) -> None:
        """Take in a point of the curve."""
        if time <= self.wanted and (self.below is None or threshold > self.below[0]):
            self.below = (threshold, time)
        if time >= self.wanted and (self.above is None or threshold < self.above[0]):
            self.above = (threshold, time)

    def candidate(self) -> float | None:
        """Where to look next; None where the search is over."""
        if self.below is None or self.above is None:
            return None
        (low, fast), (high, slow) = self.below, self.above
        if min(self.wanted - fast, slow - self.wanted) <= EXACT * self.wanted:
            return None
        self.round += 1
        share = 0.5
        if self.round % 3 and math.isfinite(slow):
            share = (self.wanted - fast) / (slow - fast)
            # Never so near an end that the other stays where it is for ever.
            share = min(max(share, 1e-3), 1 - 1e-3) if self.round % 3 == 2 else share
        middle = low + share * (high - low)
        if self.grid is not None:
            step = round(low * self.grid), round(high * self.grid)
            middle = min(max(round(middle * self.grid), step[0] + 1), step[1] - 1) / self.grid
        return middle if low < middle < high else None
