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
from dataclasses import dataclass
from functools import cached_property
from typing import ClassVar

import numpy as np

from accrual.core import engine

__all__ = ["DETECTORS", "Detector", "FixedTimeout", "PhiNormal", "parse_detector"]

NS = 1_000_000_000
LARGEST_WINDOW = 2**24
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
    def memory(self) -> int:
        """How many accepted intervals back a level can depend on: how far a long trace may be cut into pieces."""
        return int(self.compiled.memory)

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
        return engine.Detector(law=self.law, scale=self.period * NS)


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
        _count(self, "window", 1, LARGEST_WINDOW)
        _count(self, "min_samples", 1, self.window)
        _seconds(self, "min_deviation")
        _seconds(self, "pause")

    @cached_property
    def compiled(self) -> engine.Detector:
        """The same detector for the core."""
        return engine.Detector(
            law=self.law,
            window=self.window,
            min_samples=self.min_samples,
            pause=round(self.pause * NS),
            floor=self.min_deviation * NS,
        )


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


def _seconds(detector: Detector, name: str, least: float = 0.0) -> None:
    """Check a duration and store it as a plain float."""
    object.__setattr__(detector, name, seconds(name, getattr(detector, name), least))


def seconds(name: str, value: object, least: float = 0.0) -> float:
    """Check a duration, which ValueError calls by name, and give it as a plain float."""
    try:
        number = float(value)  # type: ignore[arg-type]
    except (TypeError, ValueError, OverflowError):
        number = math.nan
    wrong_kind = isinstance(value, bool | np.bool_ | str | bytes)
    if wrong_kind or not least <= number <= LONGEST_SECONDS:
        raise ValueError(f"{name} must be {least:g} to {LONGEST_SECONDS:.0f} seconds, got {value!r}")
    return number


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
    arguments: dict[str, int | float] = {}
    for part in filter(None, rest.split(",")):
        parameter, _, value = part.partition("=")
        if parameter not in fields:
            raise ValueError(f"{cls.name} has the parameters {', '.join(fields)}, not {parameter!r}")
        try:
            arguments[parameter] = int(value) if fields[parameter].type == "int" else float(value)
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
