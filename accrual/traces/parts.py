"""What a synthetic trace is made of: laws of delay, losses, and what happens to senders, paths and clocks.

A part is a small frozen object: parameters with their bounds, and one method that draws. A new law takes ten lines: a
class derived from `Law` with a ``name``, a line for each parameter and ``draw``. Errors, the command line, its help and
the metadata of traces know it from there; `tests/traces/test_parts.py` asks for its closed form.

Parameters in seconds may be given as numbers or as texts with a unit: ``0.05``, ``"50ms"``, ``"2min"``.
"""

from __future__ import annotations

import dataclasses
import math
import operator
import re
from collections.abc import Callable, Mapping
from dataclasses import MISSING, dataclass
from decimal import Decimal
from typing import Any, ClassVar, Final, TypeAlias, TypeVar

import numpy as np
import numpy.typing as npt

Int64Array: TypeAlias = npt.NDArray[np.int64]
Float64Array: TypeAlias = npt.NDArray[np.float64]
BoolArray: TypeAlias = npt.NDArray[np.bool_]

LAWS: Final[dict[str, type[Law]]] = {}
"""Every law of a duration by its name."""

LOSSES: Final[dict[str, type[Loss]]] = {}
"""Every way to lose heartbeats by its name."""

UNITS: Final = {"": "1", "ns": "1e-9", "us": "1e-6", "ms": "1e-3", "s": "1", "min": "60", "h": "3600", "d": "86400"}
"""Units of time as texts have them, in seconds."""

MOST_EVENTS: Final = 10_000_000
"""Steps of a clock or changes of the regime in a trace, at most: more would be a slip, and fill the memory."""

_NUMBER: Final = re.compile(r"([+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d{1,3})?) *([a-z]*)")
_BOUNDS: Final = re.compile(r"([\[(])(\S+), (\S+)([\])])( s)?")
_PartT = TypeVar("_PartT", bound="Part")


def within(bounds: str, default: Any = MISSING, *, says: str = "") -> Any:
    """Declare a number by its bounds, ``[0, 1)`` or in seconds ``(0, 1e8] s``: errors say what is checked."""
    return dataclasses.field(default=default, metadata={"bounds": bounds, "says": says})


def flag(*, says: str = "") -> Any:
    """Declare what is on or, by default, off."""
    return dataclasses.field(default=False, metadata={"says": says})


def part(kinds: Mapping[str, type[Part]] | type[Part], default: Any = MISSING, *, says: str = "") -> Any:
    """Declare a part of a part: of a registry, where its text begins with a name, or of one class."""
    return dataclasses.field(default=default, metadata={"kinds": kinds, "says": says})


@dataclass(frozen=True, kw_only=True)
class Part:
    """What all parts share: checked parameters, and a text that `parse` reads."""

    name: ClassVar[str]
    """On the command line, in metadata and in errors."""

    def __post_init__(self) -> None:
        """Convert and check every parameter."""
        for field in dataclasses.fields(self):
            object.__setattr__(self, field.name, self._checked(field, getattr(self, field.name)))

    def _checked(self, field: dataclasses.Field[Any], value: Any) -> Any:
        label = f"{self.name}: {field.name}" if self.name else field.name
        if "kinds" in field.metadata:
            return _as_part(value, field, label)
        if "bounds" not in field.metadata:
            if not isinstance(value, bool | np.bool_):
                raise ValueError(f"{label} must be true or false, is {value!r}")
            return bool(value)
        bounds = _BOUNDS.fullmatch(field.metadata["bounds"])
        assert bounds is not None, field.metadata  # for it is written in this package
        left, low, high, right, seconds = bounds.groups()
        number: int | float
        try:
            if isinstance(value, bool | bytes):
                raise TypeError
            if isinstance(value, str):
                value = _number(value, bool(seconds), whole=field.type == "int")
            number = operator.index(value) if field.type == "int" else float(value)
        except (TypeError, ValueError, OverflowError):
            unit = " of seconds, or one with a unit such as 50ms" if seconds else ""
            kind = "a whole number" if field.type == "int" else "a number"
            raise ValueError(f"{label} must be {kind}{unit}, is {value!r}") from None
        above = float(low) <= number if left == "[" else float(low) < number
        below = number <= float(high) if right == "]" else number < float(high)
        if not (above and below):
            raise ValueError(f"{label} must be in {bounds[0]}, is {number}")
        return number

    def __str__(self) -> str:
        """Spell it as `parse` reads it, with every parameter."""
        values = ",".join(
            f"{field.name}={str(getattr(self, field.name)).removesuffix('.0')}" for field in dataclasses.fields(self)
        )
        return f"{self.name}:{values}" if type(self) in _named() else values


def _named() -> set[type[Part]]:
    """The classes of which there are several for one purpose, so that their texts begin with a name."""
    return {*LAWS.values(), *LOSSES.values()}


def _number(text: str, seconds: bool, whole: bool) -> int | float:
    found = _NUMBER.fullmatch(text.strip())
    unit = UNITS.get(found[2]) if found else None
    if found is None or unit is None or (found[2] and not seconds):
        raise ValueError
    return int(text) if whole else float(Decimal(found[1]) * Decimal(unit))  # decimal: 100ms is 0.1 to the last bit


def parse_seconds(text: str) -> float:
    """Read a duration as the command line writes it.

    Examples
    --------
    >>> parse_seconds("150ms"), parse_seconds("2 h"), parse_seconds("0.1")
    (0.15, 7200.0, 0.1)
    """
    try:
        return float(_number(text, seconds=True, whole=False))
    except ValueError:
        raise ValueError(
            f"a duration must be a number of seconds, or one with a unit such as 50ms, is {text!r}"
        ) from None


def _as_part(value: Any, field: dataclasses.Field[Any], label: str) -> Part | None:
    kinds: Mapping[str, type[Part]] | type[Part] = field.metadata["kinds"]
    if field.default is None and (value is None or value == "none"):
        return None
    if isinstance(value, str):
        try:
            return parse(value, kinds)
        except ValueError as error:
            raise ValueError(f"{label}: {error}") from None
    allowed = tuple(kinds.values()) if isinstance(kinds, Mapping) else (kinds,)
    if isinstance(value, allowed):
        return value
    raise ValueError(f"{label} must be a text such as {synopsis(allowed[0])} or what it stands for, is {value!r}")


def parse(text: str, kinds: Mapping[str, type[_PartT]] | type[_PartT]) -> _PartT:
    """Read a part as the command line and the metadata of a trace write it.

    Parameters
    ----------
    text : str
        ``parameter=value,parameter=value``, after ``name:`` where `kinds` has names. A parameter that is a law itself
        comes last, and all that follows is its own.
    kinds : mapping or class
        `LAWS`, `LOSSES` or the class of the part.

    Raises
    ------
    ValueError
        If the name, a parameter or a value is not one that there is; says what there is.

    Examples
    --------
    >>> parse("lognormal:mean=50ms,deviation=0.02", LAWS)
    Lognormal(mean=0.05, deviation=0.02)
    >>> print(parse("every=10min,lasts=60,delay=exponential:mean=0.2", Regimes))
    every=600,lasts=60,delay=exponential:mean=0.2
    """
    if isinstance(kinds, Mapping):
        name, _, text = text.partition(":")
        if name not in kinds:
            raise ValueError(f"there is no {name!r}: there are {', '.join(kinds)}")
        kind = kinds[name]
    else:
        kind = kinds
    fields = {field.name: field for field in dataclasses.fields(kind)}
    given: dict[str, str] = {}
    while text:
        key, _, rest = text.partition("=")
        if key not in fields:
            raise ValueError(f"{kind.name} has the parameters {', '.join(fields)}, not {key!r}")
        if key in given:
            raise ValueError(f"{kind.name}: {key} is given twice")
        given[key], _, text = (rest, "", "") if "kinds" in fields[key].metadata else rest.partition(",")
    missing = [key for key, field in fields.items() if field.default is MISSING and key not in given]
    if missing:
        raise ValueError(f"{kind.name} needs {', '.join(missing)}, as in {synopsis(kind)}")
    return kind(**given)


def synopsis(kind: type[Part]) -> str:
    """Show how a part is written, with its defaults: ``lognormal:mean=S,deviation=S``."""
    shown = []
    for field in dataclasses.fields(kind):
        if "kinds" in field.metadata:
            value = "LAW"
        elif field.default is not MISSING:
            value = str(field.default).removesuffix(".0")
        else:
            value = "S" if field.metadata["bounds"].endswith(" s") else "X"
        shown.append(f"{field.name}={value}")
    return f"{kind.name}:{','.join(shown)}" if kind in _named() else ",".join(shown)


# ---- laws of a duration ----


@dataclass(frozen=True, kw_only=True)
class Law(Part):
    """How long something takes: a delay, a stall, a silence. Not a law itself."""

    def __init_subclass__(cls) -> None:
        LAWS[cls.name] = cls

    def draw(self, chance: np.random.Generator, count: int) -> Float64Array:
        """Draw that many durations [s], independently."""
        raise NotImplementedError


@dataclass(frozen=True, kw_only=True)
class Constant(Law):
    """Always the same: `value` [s]."""

    name = "constant"
    value: float = within("[-1e8, 1e8] s")

    def draw(self, chance: np.random.Generator, count: int) -> Float64Array:
        """Repeat it."""
        return np.full(count, self.value)


@dataclass(frozen=True, kw_only=True)
class Normal(Law):
    """The sum of many small independent causes, with `mean` and `deviation` [s]."""

    name = "normal"
    mean: float = within("[-1e8, 1e8] s")
    deviation: float = within("[0, 1e8] s")

    def draw(self, chance: np.random.Generator, count: int) -> Float64Array:
        """Draw; below zero too."""
        return chance.normal(self.mean, self.deviation, count)


@dataclass(frozen=True, kw_only=True)
class Lognormal(Law):
    """The product of many causes: skewed, all moments finite; `mean` and `deviation` [s] of the duration itself."""

    name = "lognormal"
    mean: float = within("[1e-9, 1e8] s")
    deviation: float = within("[0, 1e8] s")

    def draw(self, chance: np.random.Generator, count: int) -> Float64Array:
        """Draw from the normal law of the logarithm that has these moments."""
        variance = math.log1p((self.deviation / self.mean) ** 2)
        return chance.lognormal(math.log(self.mean) - variance / 2, math.sqrt(variance), count)


@dataclass(frozen=True, kw_only=True)
class Exponential(Law):
    """Without memory, as the wait in a queue that empties at random; `mean` [s], which is its deviation too."""

    name = "exponential"
    mean: float = within("[0, 1e8] s")

    def draw(self, chance: np.random.Generator, count: int) -> Float64Array:
        """Draw."""
        return chance.exponential(self.mean, count)


@dataclass(frozen=True, kw_only=True)
class Pareto(Law):
    """A heavy tail: P(longer than x) = (least / x) ** shape from `least` [s] on; mean least * shape / (shape - 1).

    The deviation is infinite up to a shape of 2.
    """

    name = "pareto"
    least: float = within("[1e-9, 1e8] s")
    shape: float = within("(1, 100]")

    def draw(self, chance: np.random.Generator, count: int) -> Float64Array:
        """Draw; NumPy's own is the law of (x - least) / least."""
        return self.least * (1 + chance.pareto(self.shape, count))


@dataclass(frozen=True, kw_only=True)
class Gamma(Law):
    """The sum of several exponential waits, as over several queues; `mean` and `deviation` [s]."""

    name = "gamma"
    mean: float = within("[1e-9, 1e8] s")
    deviation: float = within("[1e-9, 1e8] s")

    def draw(self, chance: np.random.Generator, count: int) -> Float64Array:
        """Draw from the shape and scale that have these moments."""
        return chance.gamma((self.mean / self.deviation) ** 2, self.deviation / self.mean * self.deviation, count)


# ---- losses ----


@dataclass(frozen=True, kw_only=True)
class Loss(Part):
    """Which heartbeats never arrive. Not a way to lose them itself."""

    def __init_subclass__(cls) -> None:
        LOSSES[cls.name] = cls

    def draw(self, chance: np.random.Generator, count: int) -> BoolArray:
        """Tell of `count` heartbeats, in the order in which they are sent, which are lost."""
        raise NotImplementedError


@dataclass(frozen=True, kw_only=True)
class Independent(Loss):
    """Each heartbeat is lost with probability `loss`, whatever happens to the others."""

    name = "independent"
    loss: float = within("[0, 1]")

    def draw(self, chance: np.random.Generator, count: int) -> BoolArray:
        """Toss for each."""
        return chance.random(count) < self.loss


@dataclass(frozen=True, kw_only=True)
class Gilbert(Loss):
    """Gilbert and Elliott's path of two states, good and bad, that are left with a fixed probability at each heartbeat.

    `loss` is the share that is lost in the long run, `burst` the mean stay in the bad state [heartbeats], `good` and
    `bad` the probabilities of a loss in each. With the defaults (Gilbert's model) all and only those of the bad state
    are lost, so that `burst` is the mean length of a burst of losses.
    """

    name = "gilbert"
    loss: float = within("[0, 1)")
    burst: float = within("[1, 1e9]")
    good: float = within("[0, 1]", 0.0)
    bad: float = within("[0, 1]", 1.0)

    def __post_init__(self) -> None:
        """Check also what the parameters are to each other."""
        super().__post_init__()
        if not self.good <= self.loss < self.bad:
            raise ValueError(f"gilbert: loss must be in [good, bad) = [{self.good}, {self.bad}), is {self.loss}")
        if self._share_bad / (1 - self._share_bad) > self.burst:
            least = self._share_bad / (1 - self._share_bad)
            raise ValueError(f"gilbert: burst must be at least {least:g} for so large a loss, is {self.burst}")

    @property
    def _share_bad(self) -> float:
        return (self.loss - self.good) / (self.bad - self.good)

    def draw(self, chance: np.random.Generator, count: int) -> BoolArray:
        """Draw the stays in both states, which are geometric, rather than each step."""
        share = self._share_bad
        begins_bad = bool(chance.random() < share)
        if share == 0:
            bad = np.zeros(count, dtype=np.bool_)
        else:
            stay_good = self.burst * (1 - share) / share
            bad = _alternate(
                count,
                lambda runs: _geometric(chance, stay_good, runs),
                lambda runs: _geometric(chance, self.burst, runs),
                cycle=stay_good + self.burst,
                second_first=begins_bad,
            )
        if (self.good, self.bad) == (0.0, 1.0):
            return bad
        return chance.random(count) < np.where(bad, self.bad, self.good)


@dataclass(frozen=True, kw_only=True)
class ParetoBursts(Loss):
    """Bursts of losses whose lengths have a heavy tail: P(at least k) ~ k ** -shape up to `longest` [heartbeats].

    `loss` is the share that is lost in the long run; the runs between are geometric.
    """

    name = "pareto"
    loss: float = within("[0, 1)")
    shape: float = within("[0.01, 100]", 1.5)
    longest: int = within("[1, 1e6]", 1000)

    def __post_init__(self) -> None:
        """Check also what the parameters are to each other."""
        super().__post_init__()
        most = self.burst / (1 + self.burst)
        if self.loss > most:
            raise ValueError(f"pareto: loss must be at most {most:g} for bursts so short, is {self.loss}")

    @property
    def burst(self) -> float:
        """Mean length [heartbeats]: the sum of P(at least k)."""
        tail = np.arange(1, self.longest + 2) ** -self.shape
        return float((tail[:-1] - tail[-1]).sum() / (1 - tail[-1]))

    def draw(self, chance: np.random.Generator, count: int) -> BoolArray:
        """Draw runs of both kinds."""
        if self.loss == 0:
            return np.zeros(count, dtype=np.bool_)
        between = self.burst * (1 - self.loss) / self.loss
        whole = 1 - (self.longest + 1) ** -self.shape

        def lengths(runs: int) -> Int64Array:
            drawn: Float64Array = np.floor((1 - whole * chance.random(runs)) ** (-1 / self.shape))
            return np.minimum(drawn, self.longest).astype(np.int64)  # where rounding has reached the next

        return _alternate(
            count,
            lambda runs: _geometric(chance, between, runs),
            lengths,
            cycle=between + self.burst,
        )


@dataclass(frozen=True, kw_only=True)
class MixedBursts(Loss):
    """An exact number of bursts, mostly short and some long, as in the phi paper's week.

    A share `short` of the lengths is geometric with mean `mean`, the rest has probabilities ~ L ** -exponent from
    `least` to `longest`, and one burst is `longest`. Sets of lengths are drawn until one has the right sum (`lost`) and
    the right sum of squares (`squares`, within 3 %); the few heartbeats by which its sum is off (50 at most) are then
    moved, one each, to or from long bursts. The bursts lie anywhere, never touching. The defaults are what is told of
    that week (count, sum, longest; at second hand, not checked against the paper) and what the deviation of its
    intervals implies (squares).
    """

    name = "mixed"
    bursts: int = within("[1, 1e6]", 814)
    lost: int = within("[1, 1e9]", 23_192)
    squares: float = within("[1, 1e15]", 5.77e6)
    longest: int = within("[1, 1e6]", 1093)
    short: float = within("[0, 1]", 0.69)
    mean: float = within("[1, 1e6]", 1.3)
    least: int = within("[1, 1e6]", 26)
    exponent: float = within("[0, 100]", 2.105)

    def __post_init__(self) -> None:
        """Check also what the parameters are to each other."""
        super().__post_init__()
        if self.least > self.longest:
            raise ValueError(f"mixed: least must be at most longest = {self.longest}, is {self.least}")

    def draw(self, chance: np.random.Generator, count: int) -> BoolArray:
        """Draw the lengths, and the arriving heartbeats before which they lie."""
        arriving = count - self.lost
        if arriving <= self.bursts:
            needed = self.lost + self.bursts + 1
            raise ValueError(f"mixed: {self.bursts} bursts need at least {needed} heartbeats, there are {count}")
        lengths = self._lengths(chance)
        before = np.sort(chance.choice(arriving - 1, self.bursts, replace=False)) + 1
        starts = before + np.cumsum(lengths) - lengths
        change = np.zeros(count + 1, dtype=np.int8)
        change[starts] = 1
        change[starts + lengths] = -1
        return np.cumsum(change[:-1], dtype=np.int8).astype(np.bool_)

    def _lengths(self, chance: np.random.Generator) -> Int64Array:
        sizes = np.arange(self.least, self.longest + 1)
        shares = np.cumsum(sizes**-self.exponent)
        sets = max(1, 500_000 // self.bursts)
        for _ in range(16):  # the defaults hardly need a second
            shape = (sets, self.bursts)
            long = sizes[np.searchsorted(shares, chance.random(shape) * shares[-1]).clip(max=len(sizes) - 1)]
            lengths = np.where(chance.random(shape) < self.short, chance.geometric(1 / self.mean, shape), long)
            lengths[:, 0] = self.longest
            off = lengths.sum(axis=1) - self.lost
            off_squares = (lengths**2).sum(axis=1) / self.squares - 1
            for chosen in np.flatnonzero((abs(off) <= 50) & (abs(off_squares) <= 0.03)):
                row, excess = lengths[chosen], int(off[chosen])
                movable = np.flatnonzero((row > self.least) & (row < self.longest))
                if len(movable) >= abs(excess):
                    row[chance.permutation(movable)[: abs(excess)]] -= np.sign(excess)
                    drawn: Int64Array = chance.permutation(row)
                    return drawn
        raise ValueError(f"mixed: no set of bursts was found that has these sums: {self}")


def _geometric(chance: np.random.Generator, mean: float, count: int) -> Int64Array:
    """Draw numbers of heartbeats, at least 1; beyond 10^18 a mean makes no difference to a trace, but to NumPy."""
    return chance.geometric(1 / min(max(mean, 1.0), 1e18), count)


def _alternate(
    count: int,
    first: Callable[[int], Int64Array],
    second: Callable[[int], Int64Array],
    *,
    cycle: float,
    second_first: bool = False,
) -> BoolArray:
    """Runs of False and True in turn until they fill `count`; each kind's lengths are drawn many at a time."""
    pieces: list[Int64Array] = []
    filled = 0
    while filled < count:
        runs = int(1.05 * (count - filled) / cycle) + 16
        pair = (first(runs), second(runs))
        lengths = np.column_stack(pair[::-1] if second_first else pair).ravel()
        np.minimum(lengths, count, out=lengths)  # a geometric length can be nearly 2**63
        pieces.append(lengths)
        filled += int(lengths.sum())
    lengths = np.concatenate(pieces)
    return np.repeat(np.arange(len(lengths)) % 2 == (0 if second_first else 1), lengths)[:count]


# ---- the sender ----


def _hit(chance: np.random.Generator, count: int, mean: float) -> Int64Array:
    """Draw which of the heartbeats 1 ... count - 1 something happens to, on average one in `mean`."""
    pieces: list[Int64Array] = []
    last = 0
    while last < count:
        gaps = _geometric(chance, mean, int(1.05 * (count - last) / mean) + 16)
        pieces.append(last + np.cumsum(np.minimum(gaps, count)))
        last = int(pieces[-1][-1])
    hits = np.concatenate(pieces)
    return hits[hits < count]


@dataclass(frozen=True, kw_only=True)
class Stalls(Part):
    """The sender is held up, as by a garbage collector: on average `every` [s], each time for `length` (a law).

    As in `accrual.traces.wire.send`: a sender that is late by more than a period starts its schedule anew from there,
    so that heartbeats are delayed but none are missing, and none come in a heap.
    """

    name = "stalls"
    every: float = within("(0, 1e8] s")
    length: Law = part(LAWS)

    def draw(self, chance: np.random.Generator, count: int, period: float) -> tuple[Int64Array, Float64Array]:
        """Draw which heartbeats are held up and for how long [s]."""
        stalled = _hit(chance, count, self.every / period)
        return stalled, self.length.draw(chance, len(stalled))


@dataclass(frozen=True, kw_only=True)
class Crashes(Part):
    """The sender crashes, on average after a life of `every` [s], and is back after a `silence` (a law).

    The silence lasts from the last heartbeat of one life to the first of the next, which has the next epoch and
    sequence numbers from 0 on. What is under way at a crash still arrives.
    """

    name = "crashes"
    every: float = within("(0, 1e8] s")
    silence: Law = part(LAWS)

    def draw(self, chance: np.random.Generator, count: int, period: float) -> tuple[Int64Array, Float64Array]:
        """Draw which heartbeats are the first of a life and how long it was silent before [s]."""
        first = _hit(chance, count, self.every / period)
        return first, self.silence.draw(chance, len(first))


# ---- the path ----


def _times(chance: np.random.Generator, name: str, duration: float, *means: float) -> Float64Array:
    """Draw instants up to `duration`, apart by exponential times with these means in turn [s]."""
    duration = max(duration, 0.0)  # jitter can put a single heartbeat before 0
    expected = duration * len(means) / sum(means)
    if expected > MOST_EVENTS:
        raise ValueError(
            f"{name}: {expected:,.0f} changes in {duration:g} s, at most {MOST_EVENTS:,}: every is too short"
        )
    pieces: list[Float64Array] = []
    last = 0.0
    while last <= duration:
        rounds = int(1.05 * expected / len(means)) + 16
        pieces.append(last + np.cumsum(chance.exponential(np.tile(means, rounds))))
        last = float(pieces[-1][-1])
    times = np.concatenate(pieces)
    return times[times <= duration]


@dataclass(frozen=True, kw_only=True)
class Regimes(Part):
    """The path has two regimes, as when a route changes: the usual one, and one in which `delay` is the law.

    Stays are exponential, on average `every` in the usual regime, with which it begins, and `lasts` in the other [s].
    """

    name = "regimes"
    every: float = within("(0, 1e8] s")
    lasts: float = within("(0, 1e8] s")
    delay: Law = part(LAWS)

    def draw(self, chance: np.random.Generator, instants: Float64Array) -> BoolArray:
        """Tell of rising instants [s] which lie in the other regime."""
        changes = _times(chance, self.name, float(instants[-1]), self.every, self.lasts)
        other: BoolArray = np.searchsorted(changes, instants, side="right") % 2 == 1
        return other


@dataclass(frozen=True, kw_only=True)
class Diurnal(Part):
    """Day and night: the delay (not its `base`) is multiplied by 1 at the start of a day, by `peak` half a `day` later.

    Between the two the factor is a cosine. A `day` may have another length [s].
    """

    name = "diurnal"
    peak: float = within("[0, 1e6]")
    day: float = within("(0, 1e8] s", 86_400.0)

    def factor(self, instants: Float64Array) -> Float64Array:
        """Give the factor at these instants [s]."""
        return 1 + (self.peak - 1) * (1 - np.cos(2 * np.pi / self.day * instants)) / 2


@dataclass(frozen=True, kw_only=True)
class Drift(Part):
    """What is added to the delay wanders slowly round 0 (Ornstein and Uhlenbeck) with a stationary `deviation` [s].

    Two values lie exp(-apart / time) close in correlation, `time` in s. It advances by one period with each heartbeat.
    """

    name = "drift"
    deviation: float = within("[0, 1e8] s")
    time: float = within("(0, 1e8] s")

    def draw(self, chance: np.random.Generator, count: int, period: float) -> Float64Array:
        """Draw it at each heartbeat [s], from the first on as if it had always been."""
        from scipy.signal import lfilter  # here, for it takes longer to import than all of accrual

        steps = chance.normal(0.0, self.deviation, count)
        steps[1:] *= math.sqrt(-math.expm1(-2 * period / self.time))
        drift: Float64Array = lfilter([1.0], [1.0, -math.exp(-period / self.time)], steps)
        return drift


# ---- clocks ----


@dataclass(frozen=True, kw_only=True)
class Clock(Part):
    """A clock that is fast by `rate` (5e-5 are 50 ppm) and that somebody steps by `step` [s], on average `every` [s].

    A negative step sets it back, so that time goes back on it.
    """

    name = "clock"
    rate: float = within("[-0.5, 1]", 0.0)
    step: float = within("[-1e6, 1e6] s", 0.0)
    every: float = within("(0, 1e8] s", 3600.0)

    def draw(self, chance: np.random.Generator, duration: float) -> Int64Array:
        """Draw the true instants of its steps [ns]; none where a step is 0."""
        times = _times(chance, self.name, duration, self.every) if self.step else np.empty(0)
        if len(times) * abs(self.step) > 1e9:  # 32 years
            raise ValueError(f"clock: {len(times):,} steps of {self.step:g} s add up to more than a trace can hold")
        return np.rint(times * 1e9).astype(np.int64)

    def stepped(self, instants: Int64Array, steps: Int64Array) -> Int64Array:
        """Add the steps that have come by these instants [ns]."""
        if not len(steps):
            return instants
        return instants + round(self.step * 1e9) * np.searchsorted(steps, instants, side="right")

    def read(self, instants: Int64Array, steps: Int64Array) -> Int64Array:
        """Turn true instants into what it shows [ns]."""
        fast = instants + np.rint(instants * self.rate).astype(np.int64) if self.rate else instants
        return fast if not len(steps) else fast + (self.stepped(instants, steps) - instants)
