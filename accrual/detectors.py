"""Every detector: its parameters, their units and defaults, its source. A new one is one class here.

A detector is an estimator times a law. It holds no threshold (that belongs to the question), no clock and no state:
:class:`accrual.Monitor` and :func:`accrual.levels` bring those. Its command-line name, its place in menus and its
tests follow from :data:`DETECTORS`.
"""

from __future__ import annotations

import dataclasses
import math
import operator
import re
import sys
from dataclasses import dataclass
from decimal import Decimal
from fractions import Fraction
from functools import cached_property
from typing import ClassVar

import numpy as np

from accrual.core import engine

__all__ = [
    "DETECTORS",
    "Bertier",
    "Chen",
    "Detector",
    "Empirical",
    "ExpectedArrival",
    "FixedTimeout",
    "PhiExponential",
    "PhiLogistic",
    "PhiNormal",
    "PhiStudent",
    "TwoWindow",
    "parse_detector",
]

NS = 1_000_000_000
LARGEST_WINDOW = engine.LARGEST_WINDOW
LARGEST_SCHEDULE = 2**16
LEAST = math.ulp(0.0)
LONGEST_SECONDS = 2**53 / NS  # 104 days: beyond it a double no longer tells one ns from the next

DETECTORS: dict[str, type[Detector]] = {}
"""Every detector class by its command-line name."""

SHORT_NAMES = {"phi": "phi-normal", "fixed": "fixed-timeout"}


@dataclass(frozen=True, kw_only=True)
class Detector:
    """What all detectors share. Not a detector itself."""

    name: ClassVar[str]
    """The command-line name: the class's in kebab case."""
    law: ClassVar[str]
    """The law that turns lateness into a level."""
    threshold_name: ClassVar[str]
    """What its threshold is called in tables, plots and sliders."""
    thresholds: ClassVar[np.ndarray]
    """Where a curve is drawn when nobody says."""
    typical_threshold: ClassVar[float]
    """Where users commonly set it."""

    def __init_subclass__(cls) -> None:
        cls.name = re.sub(r"(?<=[a-z])(?=[A-Z])", "-", cls.__name__).lower()
        DETECTORS[cls.name] = cls

    @cached_property
    def compiled(self) -> engine.Detector:
        """The same detector for the core."""
        raise TypeError("Detector is what detectors share; use one of " + ", ".join(DETECTORS))

    @property
    def memory(self) -> int | None:
        """How many accepted intervals back a level can depend on; None where there is no bound.

        So far a piece of a trace must reach back to have the levels of the whole.
        """
        return self.compiled.memory

    def __getstate__(self) -> dict[str, object]:
        return {field.name: getattr(self, field.name) for field in dataclasses.fields(self)}

    def __str__(self) -> str:
        chosen = ",".join(
            f"{field.name}={str(getattr(self, field.name)).removesuffix('.0')}"
            for field in dataclasses.fields(self)
            if field.default is dataclasses.MISSING or getattr(self, field.name) != field.default
        )
        return f"{self.name}:{chosen}" if chosen else self.name


@dataclass(frozen=True, kw_only=True)
class FixedTimeout(Detector):
    """The fixed timeout k x T: suspect a peer after k periods of silence.

    level = elapsed / period, in periods (the linear law; location 0, scale `period`). Its threshold is k, the number
    of heartbeats missed in a row, and need not be whole.

    Used by Redis Sentinel (``down-after-milliseconds``) and Kubernetes leases. Where heartbeats come regularly and
    the link is known it is hard to beat. The level is known from the first heartbeat on.

    Parameters
    ----------
    period : float
        Sending interval T, s; 1e-9 to 9.0e6 (104 days).

    Source
    ------
    Lecture 31; the timeout detectors of Chandra and Toueg (1996).

    Examples
    --------
    >>> import accrual as ac
    >>> ac.levels([0, 200_000_000, 450_000_000], ac.FixedTimeout(period=0.2))
    array([ nan, 1.  , 1.25])
    """

    period: float

    law: ClassVar[str] = "linear"
    threshold_name: ClassVar[str] = "k"
    thresholds: ClassVar[np.ndarray] = np.round(1 + np.geomspace(0.002, 19, 96), 4)  # dense above 1 period
    typical_threshold: ClassVar[float] = 5.0

    def __post_init__(self) -> None:
        _seconds(self, "period", least=1 / NS)

    @cached_property
    def compiled(self) -> engine.Detector:
        """The same detector for the core."""
        return engine.Detector(law=self.law, scale=_in_ns(self.period))


@dataclass(frozen=True, kw_only=True)
class PhiNormal(Detector):
    """Phi accrual: how unlikely so long a silence is, if the intervals are normally distributed.

    level = phi = -log10 P(interval > elapsed), with the mean and the deviation (divisor n) of the last `window`
    intervals. Its threshold Phi means, where the normal law and a large window hold, one mistake in 10^Phi heartbeats;
    lesson 5 shows where they do not.

    The statistics are exact: integers up to one final rounding, whatever came before. The level is NaN (unknown)
    below `min_samples` intervals. Sequence gaps are not looked at: a lost heartbeat is a long interval.

    Parameters
    ----------
    window : int
        Sampling window, intervals; 1 to 2**24. 1000 in the paper and in Akka and Cassandra.
    min_samples : int
        Intervals needed before a level is known; 1 to `window`.
    min_deviation : float
        Floor of the deviation, s. 0 in the paper (then 1 ns), 0.1 in Akka and Hazelcast.
    pause : float
        Acceptable heartbeat pause, s, added to the mean. 0 in the paper, 3 in an Akka cluster.

    Source
    ------
    Hayashibara, Defago, Yared and Katayama, "The phi accrual failure detector", SRDS 2004.

    Examples
    --------
    >>> import accrual as ac
    >>> ac.levels([0, 10, 22, 33, 50], ac.PhiNormal(window=1000)).round(3)
    array([  nan,   nan,   nan, 0.301, 9.006])
    """

    window: int = 1000
    min_samples: int = 2
    min_deviation: float = 0.0
    pause: float = 0.0

    law: ClassVar[str] = "normal"
    threshold_name: ClassVar[str] = "Phi"
    thresholds: ClassVar[np.ndarray] = np.round(np.arange(0.5, 16.25, 0.25), 2)
    typical_threshold: ClassVar[float] = 8.0

    def __post_init__(self) -> None:
        _check_window(self)
        _seconds(self, "min_deviation")
        _seconds(self, "pause")

    @cached_property
    def compiled(self) -> engine.Detector:
        """The same detector for the core."""
        return engine.Detector(
            law=self.law,
            kind="window",
            window=self.window,
            min_samples=self.min_samples,
            pause=_ns(self.pause),
            floor=_in_ns(self.min_deviation),
        )


@dataclass(frozen=True, kw_only=True)
class PhiLogistic(Detector):
    """Phi accrual as Akka computes it: a logistic curve in the place of the normal tail.

    level = phi = -log10 of 1 / (1 + exp(y (1.5976 + 0.070566 y^2))), y the lateness in deviations, with the mean (plus
    `pause`) and the deviation (divisor n) of the last `window` intervals. The curve follows the normal tail up to a
    phi of about 3 and then runs ahead of it: its 8 is reached at 5.226 deviations, where the normal phi is 7.06, its 12
    at 6.292, where that is 9.81. Thresholds that were found with Akka, Pekko or their many ports mean this phi.

    The defaults are those of the paper, as :class:`PhiNormal`'s; Akka's own are :func:`accrual.presets.akka`.

    Parameters
    ----------
    window : int
        Sampling window, intervals; 1 to 2**24. 1000 in an Akka or Pekko cluster, 200 in their remote death watch and
        in Hazelcast.
    min_samples : int
        Intervals needed before a level is known; 1 to `window`.
    min_deviation : float
        Floor of the deviation, s. 0.1 in Akka, Pekko, Hazelcast and GreptimeDB. At most 1 ns is 1 ns.
    pause : float
        Acceptable heartbeat pause, s, added to the mean. 3 in an Akka cluster, 10 in its death watch and GreptimeDB.
    first_interval : float, optional
        What the interval is taken to be at the first heartbeat, s, above 0: two samples, a quarter less and a quarter
        more than it, which count and leave the window as all others do. 1 in Akka.
    learn_below : float, optional
        A level above 0: an interval at whose end the level was as high or higher is not learned, so an outage teaches
        nothing. Akka's threshold, 8 in a cluster. Such a detector depends on all the past (`memory` is None).

    Source
    ------
    Akka's and Pekko's PhiAccrualFailureDetector.scala (apache/pekko at 9d97713).

    Examples
    --------
    >>> import accrual as ac
    >>> m = ac.Monitor(ac.PhiLogistic(first_interval=1.0, min_deviation=0.1), threshold=8)
    >>> m.heartbeat(now=0)
    True
    >>> [round(m.level(now=s * 10**9), 3) for s in (1, 2, 3)]
    [0.301, 4.737, 21.242]
    """

    window: int = 1000
    min_samples: int = 2
    min_deviation: float = 0.0
    pause: float = 0.0
    first_interval: float | None = None
    learn_below: float | None = None

    law: ClassVar[str] = "logistic"
    threshold_name: ClassVar[str] = "Phi"
    thresholds: ClassVar[np.ndarray] = PhiNormal.thresholds
    typical_threshold: ClassVar[float] = 8.0

    def __post_init__(self) -> None:
        _check_window(self)
        _seconds(self, "min_deviation")
        _seconds(self, "pause")
        _seconds(self, "first_interval", least=1 / NS, optional=True)
        _number(self, "learn_below", LEAST, sys.float_info.max, "above 0, and finite", optional=True)

    @cached_property
    def compiled(self) -> engine.Detector:
        """The same detector for the core."""
        first = _ns(self.first_interval or 0)
        return engine.Detector(
            law=self.law,
            kind="window",
            window=self.window,
            min_samples=self.min_samples,
            pause=_ns(self.pause),
            floor=_in_ns(self.min_deviation),
            seeds=(first - first // 4, first + first // 4) if first else (),
            unlearned=math.inf if self.learn_below is None else self.learn_below,
        )


@dataclass(frozen=True, kw_only=True)
class PhiExponential(Detector):
    """Phi accrual of Cassandra: how unlikely so long a silence is, if heartbeats come at random.

    level = phi = -log10 P(interval > elapsed) = 0.4343 elapsed / mean, with the mean of the last `window` intervals:
    a timeout of 2.303 Phi means, whatever the deviation. Its 8 is 18.42 means of silence.

    Parameters
    ----------
    window : int
        Sampling window, intervals; 1 to 2**24. 1000 in Cassandra and chitchat, 250 in Atomix.
    min_samples : int
        Intervals needed before a level is known; 1 to `window`. 1 in Cassandra, 25 in Atomix.
    max_interval : float, optional
        Longer intervals are not learned, s. 2 in Cassandra, 10 in chitchat.
    first_interval : float, optional
        What the interval is taken to be at the first heartbeat, s, above 0: one sample, which counts and leaves the
        window as all others do, or with `prior_weight` the mean that is expected. 2 in Cassandra, 5 in chitchat.
    prior_weight : float
        How many intervals the expectation is worth; 0 to 1e9. With weight w the mean is
        (sum + w first_interval) / (n + w), for ever. 5 in chitchat. Needs `first_interval` unless 0.

    Source
    ------
    Cassandra's FailureDetector (CASSANDRA-2597); additive smoothing from chitchat (quickwit-oss/chitchat). As ED-FD,
    with the threshold 1 - 10^-Phi: Xiong, Defago and others, 2007.

    Examples
    --------
    >>> import accrual as ac
    >>> ac.levels([0, 100, 200, 300, 540], ac.PhiExponential(window=1000)).round(3)
    array([  nan,   nan, 0.434, 0.434, 1.042])
    """

    window: int = 1000
    min_samples: int = 1
    max_interval: float | None = None
    first_interval: float | None = None
    prior_weight: float = 0.0

    law: ClassVar[str] = "exponential"
    threshold_name: ClassVar[str] = "Phi"
    thresholds: ClassVar[np.ndarray] = PhiNormal.thresholds
    typical_threshold: ClassVar[float] = 8.0

    def __post_init__(self) -> None:
        _check_window(self)
        _seconds(self, "max_interval", optional=True)
        _seconds(self, "first_interval", least=1 / NS, optional=True)
        _number(self, "prior_weight", 0.0, 1e9, "0 to 1e+09")
        if self.prior_weight and self.first_interval is None:
            raise ValueError(f"first_interval must be given for a prior_weight of {self.prior_weight:g}, got None")

    @cached_property
    def compiled(self) -> engine.Detector:
        """The same detector for the core."""
        first = _ns(self.first_interval or 0)
        return engine.Detector(
            law=self.law,
            kind="mean",
            window=self.window,
            min_samples=self.min_samples,
            weight=self.prior_weight,
            prior=self.prior_weight * first,
            seeds=(first,) if first and not self.prior_weight else (),
            longest=engine.NEVER if self.max_interval is None else _ns(self.max_interval),
        )


@dataclass(frozen=True, kw_only=True)
class PhiStudent(Detector):
    """Phi accrual that keeps its promise at any n: the tail of the *next* interval, given those that were seen.

    level = phi = -log10 P(interval > elapsed) where mean and deviation are not known but estimated from n normal
    intervals: Student's t with n - 1 degrees of freedom at (elapsed - mean - pause) / (s (1 + 1/n)^(1/2)), s the
    deviation with divisor n - 1. A threshold Phi then means one mistake in 10^Phi heartbeats from the second interval
    on, where :class:`PhiNormal`'s 8 means one in 10^4.7 with 20 intervals and in 10^7.9 with 1000. The price is
    patience at the beginning: 8 is 9.4 deviations at n = 20, 5.7 at n = 1000, and 3 * 10^7 at n = 2.

    A level costs about 0.2 us, 60 times PhiNormal's. While the window grows a threshold's lateness grows
    less with each interval, so a curve is not one pass over the trace but one for each threshold; waits of more than
    208 days count as 208 days there.

    Parameters
    ----------
    window : int
        Sampling window, intervals; 2 to 2**24. 1000 as in the phi paper.
    min_samples : int
        Intervals needed before a level is known; 2 to `window`.
    min_deviation : float
        Floor of the scale s (1 + 1/n)^(1/2), s. 0 is 1 ns.
    pause : float
        Acceptable heartbeat pause, s, added to the mean.

    Source
    ------
    This project; the prediction interval of a normal sample.

    Examples
    --------
    >>> import accrual as ac
    >>> ac.levels([0, 10, 22, 33, 50], ac.PhiStudent(window=1000)).round(3)
    array([  nan,   nan,   nan, 0.301, 1.756])
    """

    window: int = 1000
    min_samples: int = 2
    min_deviation: float = 0.0
    pause: float = 0.0

    law: ClassVar[str] = "student"
    threshold_name: ClassVar[str] = "Phi"
    thresholds: ClassVar[np.ndarray] = PhiNormal.thresholds
    typical_threshold: ClassVar[float] = 8.0

    def __post_init__(self) -> None:
        _count(self, "window", 2, LARGEST_WINDOW)
        _count(self, "min_samples", 2, self.window)
        _seconds(self, "min_deviation")
        _seconds(self, "pause")

    @cached_property
    def compiled(self) -> engine.Detector:
        """The same detector for the core."""
        return engine.Detector(
            law=self.law,
            kind="prediction",
            window=self.window,
            min_samples=self.min_samples,
            pause=_ns(self.pause),
            floor=_in_ns(self.min_deviation),
        )


@dataclass(frozen=True, kw_only=True)
class Empirical(Detector):
    """The share of the last intervals that the silence has outlived: no law of the intervals is assumed.

    level = #{x in the window: x * stretch <= elapsed} / n, from 0 to 1. With U the smallest share that is suspected, a
    peer is suspected after `stretch` times that quantile of its last `window` intervals; where they come independently
    of one law, the next one exceeds the k-th smallest of n in (n + 1 - k) of n + 1 cases, whatever the law. Beyond the
    longest interval of the window there is no resolution: the level is 1, and all that is left is to stretch it.

    A level costs a look at the whole window: some 0.1 us for 1000 intervals, a deadline 1.5 us. There is no location
    and no scale, so a curve is not one pass over the trace but one for each threshold.

    Parameters
    ----------
    window : int
        Sampling window, intervals; 1 to 2**24. 1000 in the paper's npm port.
    min_samples : int
        Intervals needed before a level is known; 1 to `window`.
    stretch : float
        What an interval is multiplied by before it is compared; 1 to 1000. The npm port's scaling factor 0.9 is a
        stretch of 1 / 0.9.

    Source
    ------
    Satzger, Pietzowski, Trumler and Ungerer, "A new adaptive accrual failure detector for dependable distributed
    systems", SAC 2007.

    Examples
    --------
    >>> import accrual as ac
    >>> ac.levels([0, 10, 22, 33, 44], ac.Empirical(window=1000)).round(3)
    array([  nan,   nan, 1.   , 0.5  , 0.667])
    """

    window: int = 1000
    min_samples: int = 1
    stretch: float = 1.0

    law: ClassVar[str] = "share"
    threshold_name: ClassVar[str] = "U"
    thresholds: ClassVar[np.ndarray] = np.round(
        np.append(np.arange(0.5, 0.99, 0.01), np.arange(0.99, 1.0005, 0.001)), 3
    )
    typical_threshold: ClassVar[float] = 0.99

    def __post_init__(self) -> None:
        _check_window(self)
        _number(self, "stretch", 1.0, 1000.0, "1 to 1000")

    @cached_property
    def compiled(self) -> engine.Detector:
        """The same detector for the core."""
        return engine.Detector(
            law=self.law,
            kind="sample",
            window=self.window,
            min_samples=self.min_samples,
            stretch=Fraction(repr(self.stretch)).as_integer_ratio(),
        )


MARGINS = np.round(np.geomspace(0.001, 10, 81), 5)


@dataclass(frozen=True, kw_only=True)
class Chen(Detector):
    """Chen's NFD-E: how late the next heartbeat is, by the mean offset of the last ones from the sender's schedule.

    level = now - expected arrival, in seconds and negative before it (the linear law), where

        expected arrival = mean over the window of (arrival - period * number) + period * (last number + 1)

    Its threshold is the safety margin alpha. It looks at sequence numbers, so a lost heartbeat does not disturb it; in
    a trace without, heartbeats are counted by the time between them. A heartbeat that comes after its successor was
    due does not end a suspicion.

    A period that is wrong by a share e moves the expected arrival by e * period * (window + 1) / 2: a timer of 103.5 ms
    that is called 100 ms, with a window of 1000, is suspected for ever. `period=None` takes the slope of the least
    squares line through the window instead.

    Parameters
    ----------
    period : float, optional
        The sender's interval, s; 1e-9 to 9.0e6. None: estimated, from the second heartbeat on.
    window : int
        Heartbeats that count; 1 to 2**16, and 2 or more where the period is estimated. 32 and more did as well as known
        delays in the paper; comparisons use 1000.

    Source
    ------
    Chen, Toueg and Aguilera, "On the quality of service of failure detectors", IEEE Transactions on Computers 2002.

    Examples
    --------
    >>> import accrual as ac
    >>> seconds = [0, 1, 2.1, 3, 5]
    >>> ac.levels([round(t * 10**9) for t in seconds], ac.Chen(period=1, window=2)).round(3)
    array([  nan,  0.  ,  0.1 , -0.05,  0.95])
    """

    period: float | None = None
    window: int = 100

    law: ClassVar[str] = "linear"
    threshold_name: ClassVar[str] = "margin [s]"
    thresholds: ClassVar[np.ndarray] = MARGINS
    typical_threshold: ClassVar[float] = 0.5

    def __post_init__(self) -> None:
        _seconds(self, "period", least=1 / NS, optional=True)
        _count(self, "window", 2 if self.period is None else 1, LARGEST_SCHEDULE)

    @cached_property
    def compiled(self) -> engine.Detector:
        """The same detector for the core."""
        return _scheduled(self, "expected", window=self.window - 1)


@dataclass(frozen=True, kw_only=True)
class TwoWindow(Detector):
    """2W-FD: the later of two of Chen's expected arrivals, by a short window and by a long one.

    level = now - the later expected arrival, in seconds. The short window follows a jump of the delay at once, the long
    one keeps what is normal in mind; at equal margin it suspects when both detectors do, and so makes no more mistakes
    than either, and detects no sooner. See :class:`Chen` for what else holds.

    Parameters
    ----------
    period : float
        The sender's interval, s; 1e-9 to 9.0e6.
    short, long : int
        Heartbeats that count; 1 to `long`, and `short` to 2**16. 1 and 1000 in the paper.

    Source
    ------
    Tomsic, Sens, Garcia, Arantes and Sopena, "2W-FD: a failure detector algorithm with QoS", IPDPS 2015.

    Examples
    --------
    >>> import accrual as ac
    >>> seconds = [0, 1, 2.1, 3, 5]
    >>> ac.levels([round(t * 10**9) for t in seconds], ac.TwoWindow(period=1, short=1, long=3)).round(3)
    array([   nan,  0.   ,  0.1  , -0.1  ,  0.967])
    """

    period: float
    short: int = 1
    long: int = 1000

    law: ClassVar[str] = "linear"
    threshold_name: ClassVar[str] = "margin [s]"
    thresholds: ClassVar[np.ndarray] = MARGINS
    typical_threshold: ClassVar[float] = 0.5

    def __post_init__(self) -> None:
        _seconds(self, "period", least=1 / NS)
        _count(self, "long", 1, LARGEST_SCHEDULE)
        _count(self, "short", 1, self.long)

    @cached_property
    def compiled(self) -> engine.Detector:
        """The same detector for the core."""
        return _scheduled(self, "later", window=self.long - 1, short_window=self.short - 1)


@dataclass(frozen=True, kw_only=True)
class Bertier(Detector):
    """Bertier's: Chen's expected arrival, and a safety margin that follows the errors as TCP's timeout does.

    level = now - (expected arrival + beta * delay + phi * deviation), in seconds, where with each heartbeat

        error = arrival - its expected arrival - delay
        delay += gamma * error,  deviation += gamma * (|error| - deviation)

    Its threshold is meant to be 0; another is a margin beside its own. It is quick, and made for a local network:
    losses and large fluctuations make it err. See :class:`Chen` for what else holds; it depends on all the past
    (`memory` is None).

    Parameters
    ----------
    period : float
        The sender's interval, s; 1e-9 to 9.0e6.
    window : int
        Heartbeats that count; 1 to 2**16.
    beta, phi : float
        Weights of delay and deviation; 0 to 1000. 1 and 4 in the paper, as in Jacobson's estimator.
    gamma : float
        What share a new error has in both; 0 to 1. 0.1 in the paper.

    Source
    ------
    Bertier, Marin and Sens, "Implementation and performance evaluation of an adaptable failure detector", DSN 2002.

    Examples
    --------
    >>> import accrual as ac
    >>> seconds = [0, 1, 2.1, 3, 5]
    >>> ac.levels([round(t * 10**9) for t in seconds], ac.Bertier(period=1, window=2)).round(3)
    array([   nan,  0.   ,  0.1  , -0.1  ,  0.886])
    """

    period: float
    window: int = 1000
    beta: float = 1.0
    phi: float = 4.0
    gamma: float = 0.1

    law: ClassVar[str] = "linear"
    threshold_name: ClassVar[str] = "margin [s]"
    thresholds: ClassVar[np.ndarray] = np.append(0.0, MARGINS)
    typical_threshold: ClassVar[float] = 0.0

    def __post_init__(self) -> None:
        _seconds(self, "period", least=1 / NS)
        _count(self, "window", 1, LARGEST_SCHEDULE)
        _number(self, "beta", 0.0, 1000.0, "0 to 1000")
        _number(self, "phi", 0.0, 1000.0, "0 to 1000")
        _number(self, "gamma", 0.0, 1.0, "0 to 1")

    @cached_property
    def compiled(self) -> engine.Detector:
        """The same detector for the core."""
        return _scheduled(self, "margin", window=self.window - 1, beta=self.beta, phi=self.phi, gamma=self.gamma)


@dataclass(frozen=True, kw_only=True)
class ExpectedArrival(Detector):
    """This project's: how late the next heartbeat is, by a schedule that follows the arrivals but not the odd ones.

    level = now - expected arrival, in seconds and negative before it; with `scale` in units of

        max(fast, slow) + scale * period

    where fast and slow are means of the clipped |error|. With each heartbeat

        error = arrival - expected arrival,  cut to +-clip times `slow`
        expected arrival + = period + gain * error

    An error beyond the cut is an outlier, whose excess is not believed, until `agree` of them agree: then the schedule
    has moved, and begins anew there. Outliers each less late than the one before are a queue that comes out, and teach
    nothing. Lost heartbeats are known by the sequence numbers; without, each heartbeat is taken for the next. It
    depends on all the past (`memory` is None), in constant memory.

    Measured at equal mean detection time against a fixed timeout tuned on the same trace (docs/which-detector.md):

    - **wins** where the margin lies within the jitter, and after queues and outages: on 28 recordings of others (ping
      over the Internet, PlanetLab, sensors) half as many mistakes, fewer at 17 of 41 detection times and more at one;
      fewer than :class:`Chen` and :class:`PhiNormal` nearly everywhere. Part of it is that a stale arrival leaves it
      suspicious, which counts as detected.
    - **ties** on average on the nine recordings of this project, most of which are disturbed on purpose, and beyond the
      jitter everywhere, where only losses, outages and pauses are left: no detector that looks at arrivals alone can
      gain there.
    - **loses** where the delay itself wanders (`jittery`, 2 to 3 times as many) or the processor comes in slices
      (`cpu-quota`, up to 9 times), by 3 % to 20 % on an idle loopback at 10 ms, and by a third at two to three periods
      where senders pause often: it forgets pauses, and a timeout does not. The time under suspicion is no shorter.

    `scale=0.02` is for one threshold over many peers: up to 1.2 periods it then makes 2 to 6 times fewer mistakes than
    a fixed k x T; from 1.5 on, and where heartbeats are often lost, it is worse.

    Parameters
    ----------
    period : float, optional
        The sender's interval, s; 1e-9 to 9.0e6. Give it only where the sender keeps it to 0.1 %: off by 3.5 % the gain
        is lost. None: estimated, from the second heartbeat on, as good as the true one.
    gain : float
        What share of an error the schedule follows; 0 to 1. 0.15 to 0.35 do alike.
    clip : float
        Beyond how many mean errors one is an outlier; 1 to 1000. 3 to 6 do alike.
    agree : int
        How many outliers in a row make a new schedule; 1 to 1000.
    scale : float, optional
        What share of the period the scale is at least; 0 to 1000. None: the level is in seconds.

    Source
    ------
    This project, after a study on 35 traces; one of its four phase levels has most of the gain.

    Examples
    --------
    >>> import accrual as ac
    >>> seconds = [0, 1, 2.1, 3, 4, 5, 6, 8.5, 9, 10]
    >>> levels = ac.levels([round(t * 10**9) for t in seconds], ac.ExpectedArrival(period=1))
    >>> levels.round(3)
    array([   nan,  0.   ,  0.1  , -0.025, -0.019, -0.014, -0.011,  1.492,
            0.961,  0.961])
    """

    period: float | None = None
    gain: float = 0.25
    clip: float = 4.0
    agree: int = 2
    scale: float | None = None

    law: ClassVar[str] = "linear"
    threshold_name: ClassVar[str] = "margin"
    thresholds: ClassVar[np.ndarray] = MARGINS
    typical_threshold: ClassVar[float] = 0.5

    def __post_init__(self) -> None:
        _seconds(self, "period", least=1 / NS, optional=True)
        _number(self, "gain", 0.0, 1.0, "0 to 1")
        _number(self, "clip", 1.0, 1000.0, "1 to 1000")
        _count(self, "agree", 1, 1000)
        _number(self, "scale", 0.0, 1000.0, "0 to 1000", optional=True)

    @cached_property
    def compiled(self) -> engine.Detector:
        """The same detector for the core."""
        return _scheduled(
            self,
            "tracked",
            window=1000,
            gain=self.gain,
            clip=self.clip,
            agree=self.agree,
            share=-1.0 if self.scale is None else self.scale,
        )


def _scheduled(
    detector: Chen | TwoWindow | Bertier | ExpectedArrival, kind: str, **parameters: float
) -> engine.Detector:
    """A detector that expects an arrival, for the core: levels in seconds, from the first heartbeat with a period."""
    return engine.Detector(
        law=detector.law,
        kind=kind,
        min_samples=detector.period is None,
        scale=float(NS),
        period=_in_ns(detector.period or 0),
        **parameters,  # type: ignore[arg-type]
    )


def _ns(seconds: float) -> int:
    return round(seconds * NS)


def _check_window(detector: Detector) -> None:
    """Check `window` and `min_samples`."""
    _count(detector, "window", 1, LARGEST_WINDOW)
    window, given, default = detector.window, detector.min_samples, type(detector).min_samples  # type: ignore[attr-defined]
    if isinstance(given, int) and given == default > window:
        raise ValueError(f"min_samples must be 1 to {window}, got {given}, the default: give min_samples={window}")
    _count(detector, "min_samples", 1, window)


def _in_ns(seconds: float) -> float:
    """Nanoseconds of a duration as its decimals say it: 0.067 s are 67,000,000, where 0.067 * 1e9 is an ulp more."""
    return float(Decimal(repr(seconds)).scaleb(9))


def _count(detector: Detector, name: str, least: int, most: int) -> None:
    """Check a whole-number parameter and store it as a plain int."""
    value = getattr(detector, name)
    try:
        number = operator.index(value)
    except TypeError:
        number = None
    if number is None or isinstance(value, bool | np.bool_) or not least <= number <= most:
        raise ValueError(f"{name} must be a whole number from {least} to {most}, got {value!r}")
    object.__setattr__(detector, name, number)


def _number(
    detector: Detector, name: str, least: float, most: float, bounds: str, unit: str = "", optional: bool = False
) -> None:
    """Check a parameter that is a real number, or None where that may be, and store it as a plain float."""
    value = getattr(detector, name)
    if not (optional and value is None):
        bounds = f"{'None or ' * optional}{bounds}{unit}"
        object.__setattr__(detector, name, _as_number(name, value, least, most, bounds))


def _seconds(detector: Detector, name: str, least: float = 0.0, optional: bool = False) -> None:
    """Check a duration and store it as a plain float."""
    _number(detector, name, least, LONGEST_SECONDS, *_bounds(least), optional)


def seconds(name: str, value: object) -> float:
    """Check a duration, which ValueError calls by name, and give it as a plain float."""
    return _as_number(name, value, 0.0, LONGEST_SECONDS, "".join(_bounds(0.0)))


def _bounds(least: float) -> tuple[str, str]:
    return f"{least:g} to {LONGEST_SECONDS:.0f}", " seconds"


def _as_number(name: str, value: object, least: float, most: float, bounds: str) -> float:
    try:
        number = float(value)  # type: ignore[arg-type]
    except (TypeError, ValueError, OverflowError):
        number = math.nan
    wrong_kind = isinstance(value, bool | np.bool_ | str | bytes)
    if wrong_kind or not least <= number <= most:
        raise ValueError(f"{name} must be {bounds}, got {value!r}")
    return number


def as_detector(detector: Detector) -> Detector:
    """Check that a detector is one."""
    if not isinstance(detector, Detector):
        raise TypeError(f"detector must be one of accrual's (accrual.PhiNormal(), ...), got {detector!r}")
    return detector


def parse_detector(text: str, period: float | None = None) -> Detector:
    """Read a detector as the command line writes it.

    Parameters
    ----------
    text : str
        ``name`` or ``name:parameter=value,parameter=value``; ``phi`` and ``fixed`` for short.
    period : float, optional
        Sending interval, s, for detectors that need one and are not given it.

    Raises
    ------
    ValueError
        If the name, a parameter or a value is not one that there is.

    Examples
    --------
    >>> parse_detector("phi:window=100,min_deviation=0.01")
    PhiNormal(window=100, min_samples=2, min_deviation=0.01, pause=0.0)
    >>> print(parse_detector("fixed", period=0.1))
    fixed-timeout:period=0.1
    """
    name, _, rest = text.partition(":")
    cls = DETECTORS.get(SHORT_NAMES.get(name, name))
    if cls is None:
        raise ValueError(f"detector must be one of {', '.join([*DETECTORS, *SHORT_NAMES])}, got {name!r}")
    fields = {field.name: field for field in dataclasses.fields(cls)}
    arguments: dict[str, int | float | None] = {}
    for part in filter(None, rest.split(",")):
        parameter, _, value = part.partition("=")
        if parameter not in fields:
            raise ValueError(f"{cls.name} has the parameters {', '.join(fields)}, not {parameter!r}")
        try:
            kind = str(fields[parameter].type)
            arguments[parameter] = (
                None if value == "none" and "None" in kind else (int if kind == "int" else float)(value)
            )
        except ValueError:
            raise ValueError(f"{cls.name}: {parameter} must be a number, got {value!r}") from None
    if "period" in fields and "period" not in arguments and period is not None:
        arguments["period"] = period
    missing = [f for f, field in fields.items() if field.default is dataclasses.MISSING and f not in arguments]
    if missing:
        raise ValueError(
            f"{cls.name} needs {', '.join(missing)}, which the trace does not tell: {cls.name}:{missing[0]}=..."
        )
    return cls(**arguments)
