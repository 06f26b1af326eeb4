"""Phi against k x T at equal detection time, and what a mistake may cost: the widgets of lesson 4.

Numbers, picture and widget are kept apart as in `accrual.show.phi`. Nothing here asks the kernel while a slider moves.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import numpy as np
from traitlets import Float, TraitError, validate

from accrual.detectors import FixedTimeout, PhiNormal
from accrual.qos import Curve, curve
from accrual.show.own import heartbeats, nominal_period
from accrual.show.phi import METRICS, THRESHOLDS, stops
from accrual.show.widget import Gallery, source

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import ArrayLike, NDArray

    from accrual.traces import Trace

__all__ = ["PRICES", "EqualDetection", "Matched", "PriceOfMistakes", "cheapest", "cost", "matched"]

# ---- numbers --------------------------------------------------------------------------------------------------------


class Matched(NamedTuple):
    """Two detectors that notice a crash equally fast, threshold by threshold.

    Attributes
    ----------
    phi : Curve
        PhiNormal, by rising Phi.
    fixed : Curve
        FixedTimeout with the k that makes its mean detection time that of phi.
    """

    phi: Curve
    fixed: Curve


def matched(trace: Trace | ArrayLike, thresholds: Sequence[float] = THRESHOLDS, window: int = 1000) -> Matched:
    """Phi at some thresholds over a trace, and the fixed timeout of the same mean detection time for each.

    Both are scored from the heartbeat on at which the window is full.

    Parameters
    ----------
    trace : Trace or array of int64
        With a period, or the median interval stands in for it. At least 100 heartbeats.
    thresholds : sequence of float
        Of phi.
    window : int
        Of phi [intervals]; a quarter of the trace at most.

    Raises
    ------
    ValueError
        Too few heartbeats, or neither a period nor a median interval above 0.

    Examples
    --------
    >>> import accrual as ac
    >>> beats = ac.synthesize(2000, period=0.1, delay="gamma:mean=20ms,deviation=10ms", seed=4)
    >>> pair = matched(beats, thresholds=[1, 3], window=100)
    >>> bool(np.allclose(pair.phi.detection_time, pair.fixed.detection_time, rtol=1e-9))
    True
    """
    trace = heartbeats(trace)
    period = nominal_period(trace)
    skip = min(window, len(trace) // 4)
    phi = curve(trace, PhiNormal(window=skip), thresholds, skip=skip)
    one_period = FixedTimeout(period=period)
    # A timeout's detection time is the timeout and the mean time under way, whatever the timeout.
    under_way = curve(trace, one_period, [1], skip=skip)[0].detection_time - period
    return Matched(phi, curve(trace, one_period, (phi.detection_time - under_way) / period, skip=skip))


def cost(points: Curve, mistake: float, crashes: float = 1.0) -> NDArray[np.float64]:
    """What a detector costs in an hour, at each threshold of a curve, in seconds of an undetected crash.

    Mistakes are counted, however long they last: a threshold that suspects without end looks cheap here.

    Parameters
    ----------
    points : Curve
        As `accrual.curve` gives it.
    mistake : float
        What one mistake costs: as much as so many seconds of a crash that nobody has noticed.
    crashes : float
        How many crashes there are in an hour, at any time alike.

    Examples
    --------
    >>> import accrual as ac
    >>> beats = [0, 100_000_000, 200_000_000, 450_000_000, 550_000_000]
    >>> cost(ac.curve(beats, ac.FixedTimeout(period=0.1), [2, 3]), mistake=0.001).round(3)
    array([6.677, 0.231])
    """
    for name, value in (("mistake", mistake), ("crashes", crashes)):
        if not 0 <= value < math.inf:
            raise ValueError(f"{name} must be a finite number, 0 or more, got {value!r}")
    return np.asarray(3600 * points.mistake_rate * mistake + crashes * points.detection_time_uniform)


def cheapest(points: Curve, mistake: float, crashes: float = 1.0) -> int:
    """Which point of a curve costs least, as `cost` counts; of several, the one that detects soonest.

    Examples
    --------
    >>> import accrual as ac
    >>> beats = [0, 100_000_000, 200_000_000, 450_000_000, 550_000_000]
    >>> cheapest(ac.curve(beats, ac.FixedTimeout(period=0.1), [2, 3, 4]), mistake=0.001)
    1
    """
    return int(np.lexsort((points.detection_time, cost(points, mistake, crashes)))[0])


# ---- widgets --------------------------------------------------------------------------------------------------------

PRICES: Final = stops(1e-5, 100, (1, 3))
"""What one mistake may cost [s of an undetected crash]."""


def _table(points: Curve) -> dict[str, Any]:
    table = points.to_dict()
    return {"threshold": table["threshold"], **{name: table[name] for name in METRICS}}


class _OverTraces(Gallery):
    """One or more traces by name, one of which is shown.

    Parameters
    ----------
    traces : mapping of str to Trace, or Trace
        As `matched` wants them.
    window : int
        Of phi, as `matched` wants it.

    Attributes
    ----------
    shown : str
        Which trace is.
    pairs : dict of str to Matched
        Both detectors over each trace.
    """

    def __init__(self, traces: Mapping[str, Trace] | Trace, window: int = 1000) -> None:
        self.pairs = self.look_at(traces, lambda trace: matched(trace, window=window))
        super().__init__(
            traces={name: self._for_the_browser(pair) for name, pair in self.pairs.items()},
            stops={"threshold": THRESHOLDS, "price": PRICES},
            shown=next(iter(self.pairs)),
        )

    def _for_the_browser(self, pair: Matched) -> dict[str, Any]:
        phi, fixed = pair
        assert isinstance(phi.detector, PhiNormal)  # matched made them
        assert isinstance(fixed.detector, FixedTimeout)
        return {
            "phi": _table(phi),
            "fixed": _table(fixed),
            "observed": float(phi[0].observed),
            "window": phi.detector.window,
            "period": fixed.detector.period,
        }

    @validate("threshold", "price")
    def _nearest(self, proposal: dict[str, Any]) -> float:
        choices = THRESHOLDS if proposal["trait"].name == "threshold" else PRICES
        if not 0 < proposal["value"] < math.inf:
            raise TraitError(f"{proposal['trait'].name} must be more than 0, got {proposal['value']!r}")
        return min(choices, key=lambda choice: abs(math.log(choice / proposal["value"])))


class EqualDetection(_OverTraces):
    """Phi and the fixed timeout that notices a crash equally fast: which one is wrong less often?

    Parameters
    ----------
    traces : mapping of str to Trace, or Trace
        At least 100 heartbeats each.
    window : int
        Of phi [intervals]; a quarter of a trace at most.

    Attributes
    ----------
    threshold : float
        Phi. Set it, and it goes to the nearest stop.
    shown : str
        Which trace is.
    """

    _esm = source("controls.js", "choices.js", "tradeoff.js", "equal_detection.js")
    _css = source("phi.css", "tradeoff.css")

    threshold = Float(8.0).tag(sync=True)

    def describe(self) -> str:
        """What the widget shows now, in words."""
        phi, fixed = (points[THRESHOLDS.index(self.threshold)] for points in self.pairs[self.shown])
        return (
            f"{self.shown}, detection in {phi.detection_time:.3g} s: {phi.mistakes:,} mistakes with "
            f"Phi = {self.threshold:g}, {fixed.mistakes:,} with k x T"
        )


class PriceOfMistakes(_OverTraces):
    """What phi and the fixed timeout cost in an hour with one crash, and where each is cheapest.

    Parameters
    ----------
    traces : mapping of str to Trace, or Trace
        At least 100 heartbeats each.
    window : int
        Of phi [intervals]; a quarter of a trace at most.

    Attributes
    ----------
    price : float
        What one mistake costs [s of an undetected crash]. Set it, and it goes to the nearest stop.
    shown : str
        Which trace is.
    """

    _esm = source("controls.js", "choices.js", "tradeoff.js", "price_of_mistakes.js")
    _css = source("phi.css", "tradeoff.css")

    price = Float(1e-3).tag(sync=True)

    def _for_the_browser(self, pair: Matched) -> dict[str, Any]:
        return super()._for_the_browser(pair) | {
            "cost": {
                name: [cost(points, price).tolist() for price in PRICES] for name, points in pair._asdict().items()
            },
            "cheapest": {
                name: [cheapest(points, price) for price in PRICES] for name, points in pair._asdict().items()
            },
        }

    def describe(self) -> str:
        """What the widget shows now, in words."""
        parts = []
        for name, points in self.pairs[self.shown]._asdict().items():
            best = cheapest(points, self.price)
            parts.append(
                f"{name} costs {cost(points, self.price)[best]:.3g} s an hour, "
                f"detection in {points[best].detection_time:.3g} s"
            )
        return f"{self.shown}, a mistake costs {self.price:g} s: {'; '.join(parts)}"
