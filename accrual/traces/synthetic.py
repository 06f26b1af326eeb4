"""Synthetic traces: heartbeats with a sender, a path and clocks of which everything is known.

A `Specification` says what a trace is made of and makes it; `synthesize` is its public face, `RECIPES` have names that
people know. The parts, and how to add one, are in `accrual.traces.parts`.

Every part draws from a stream of its own, so that turning one on or off leaves what the others draw as it was. The
streams are NumPy's PCG64, seeded through SeedSequence: the same specification and seed give the same bits with the same
NumPy on the same machine. NumPy may change how it draws from a law in another version, and the mathematical library of
another machine may round otherwise; a trace that must stay is a trace that is kept as a file.
"""

from __future__ import annotations

import dataclasses
import difflib
import secrets
import shlex
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

import numpy as np

from accrual._version import __version__
from accrual.traces.parts import (
    LAWS,
    LOSSES,
    BoolArray,
    Clock,
    Crashes,
    Diurnal,
    Drift,
    Float64Array,
    Int64Array,
    Law,
    Loss,
    Part,
    Regimes,
    Stalls,
    flag,
    part,
    within,
)
from accrual.traces.trace import INSTANT_LIMIT, Trace

LONGEST_DELAY: Final = 86_400.0
"""A heartbeat that is under way longer than a day [s] counts as lost."""

# In this order they number their streams: a new one goes to the end, or the seeds of old traces change their meaning.
_STREAMS: Final = ("jitter", "stalls", "delay", "regimes", "drift", "loss", "clock", "sender_clock", "crashes")


_ALWAYS: Final = ("heartbeats", "period", "seed")  # in a specification's dictionary, whatever their values


@dataclass(frozen=True, kw_only=True)
class Specification(Part):
    """What a trace is made of: the parameters of `synthesize`, all but the first three of which may be off."""

    name = ""

    heartbeats: int = within("[1, 1e8]", 100_000, says="how many are sent")
    period: float = within("[1e-9, 86400] s", 0.1, says="sending interval")
    seed: int = within("[0, 1e38]", 0, says="what chance begins with; drawn and told if not given")
    jitter: Law | None = part(LAWS, None, says="of the sender, at each heartbeat")
    sleeping: bool = flag(says="the sender sleeps a period after each heartbeat, so that its jitter and stalls add up")
    stalls: Stalls | None = part(Stalls, None, says="the sender is held up now and then")
    crashes: Crashes | None = part(Crashes, None, says="the sender crashes, is silent, and begins anew")
    base: float = within("[0, 86400] s", 0.0, says="the part of the delay that never changes")
    delay: Law | None = part(LAWS, None, says="the part of the delay that is drawn for each heartbeat")
    regimes: Regimes | None = part(Regimes, None, says="another law of the delay from time to time")
    diurnal: Diurnal | None = part(Diurnal, None, says="the drawn delay, times up to peak in the course of a day")
    drift: Drift | None = part(Drift, None, says="a part of the delay that wanders slowly (Ornstein-Uhlenbeck)")
    loss: Loss | None = part(LOSSES, None, says="which heartbeats never arrive")
    clock: Clock | None = part(Clock, None, says="the receiver's clock: error of its rate, steps")
    sender_clock: Clock | None = part(Clock, None, says="the sender's clock, by which it sends")

    def __post_init__(self) -> None:
        """Check also what the parts are to the whole."""
        super().__post_init__()
        for name in ("stalls", "crashes"):
            events = getattr(self, name)
            if events is not None and events.every < self.period:
                raise ValueError(f"{name}: every must be at least the period = {self.period} s, is {events.every}")
        if self.heartbeats * self.period >= INSTANT_LIMIT / 4e9:
            raise ValueError(
                f"{self.heartbeats:,} heartbeats every {self.period:g} s last longer than a trace can, 36 years"
            )

    def to_dict(self) -> dict[str, Any]:
        """Give it as JSON can hold it: what is not off, by name, the parts as texts.

        Examples
        --------
        >>> Specification(heartbeats=10, loss="independent:loss=0.1").to_dict()
        {'heartbeats': 10, 'period': 0.1, 'seed': 0, 'loss': 'independent:loss=0.1'}
        """
        values = {field.name: getattr(self, field.name) for field in dataclasses.fields(self)}
        kept = {name: value for name, value in values.items() if name in _ALWAYS or value not in (None, False, 0.0)}
        return {name: str(value) if isinstance(value, Part) else value for name, value in kept.items()}

    def command(self, out: str) -> str:
        """Spell the command line that makes it."""
        recipe = recipe_of(self)
        words = ["accrual", "synthesize"]
        if recipe is not None:
            words += ["--recipe", recipe, "--seed", str(self.seed)]
        else:
            for name, value in self.to_dict().items():
                words += [f"--{name.replace('_', '-')}"] + ([] if value is True else [str(value)])
        return shlex.join([*words, "-o", out])

    def generate(self, progress: Callable[[str], None] | None = None) -> Trace:
        """Make the trace. `progress` is told the name of each step before it is taken."""
        tell = progress or (lambda step: None)
        tell("sending")
        due, sent, epoch, sequence = self._send()
        tell("delays")
        arrived, lost = self._travel(sent)
        tell("losses")
        if self.loss is not None:
            lost |= self.loss.draw(self._chance("loss"), self.heartbeats)
        tell("order of arrival")
        kept = np.flatnonzero(~lost)
        if (np.diff(arrived[kept]) < 0).any():
            kept = kept[np.argsort(arrived[kept], kind="stable")]
        arrived, sent, sequence = arrived[kept], sent[kept], sequence[kept]
        tell("clocks")
        columns: dict[str, Int64Array] = {"arrivals": arrived, "sequence": sequence, "sent": sent}
        if self.crashes is not None:
            columns["epoch"] = epoch[kept]
        if self.clock is not None:
            last = max(int(arrived.max(initial=0)), int(sent.max(initial=0)))
            steps = self.clock.draw(self._chance("clock"), last / 1e9)
            columns |= {name: self.clock.read(columns[name], steps) for name in ("arrivals", "sent")}
        if self.sender_clock is not None:
            steps = self.sender_clock.draw(self._chance("sender_clock"), int(due[-1]) / 1e9)
            columns["sent_remote"] = self.sender_clock.stepped(due, steps)[kept]
        return Trace(**columns, period=self.period, **self._about())

    def _chance(self, stream: str) -> np.random.Generator:
        return np.random.Generator(
            np.random.PCG64(np.random.SeedSequence(self.seed, spawn_key=(_STREAMS.index(stream),)))
        )

    def _send(self) -> tuple[Int64Array, Int64Array, Int64Array, Int64Array]:
        """When each is sent, by the sender's clock (without its steps) and in truth [ns]; its epoch and number."""
        count, period = self.heartbeats, self.period
        steps = np.full(count, round(period * 1e9), dtype=np.int64)
        steps[0] = 0
        late: Int64Array | None = None
        if self.jitter is not None:
            late = _ns(self.jitter.draw(self._chance("jitter"), count))
        if self.stalls is not None:
            stalled, length = self.stalls.draw(self._chance("stalls"), count, period)
            held = np.maximum(_ns(length), 0)
            late = np.zeros(count, dtype=np.int64) if late is None else late
            restarts = held > round(period * 1e9)  # the schedule begins anew from there
            steps[stalled[restarts]] += held[restarts]
            late[stalled[~restarts]] += held[~restarts]
        if late is not None and self.sleeping:
            steps[1:] = np.maximum(steps[1:] + late[1:], 0)
            late = None
        epoch = sequence = np.arange(count)
        if self.crashes is not None:
            first, silence = self.crashes.draw(self._chance("crashes"), count, period)
            steps[first] = np.maximum(_ns(silence), 0)
            births = np.zeros(count, dtype=np.int64)
            births[first] = 1
            epoch = np.cumsum(births)
            sequence = sequence - np.concatenate([[0], first])[epoch]
        if steps.sum(dtype=np.float64) >= INSTANT_LIMIT / 4:
            raise ValueError("the sender is held up or silent longer than a trace can last, 36 years")
        due = np.cumsum(steps, out=steps)
        if late is not None:
            due += late
            np.maximum.accumulate(due, out=due)  # what is late holds up those behind it
        if self.sender_clock is None or not self.sender_clock.rate:
            return due, due, epoch, sequence
        rate = self.sender_clock.rate
        return due, due - np.rint(due * (rate / (1 + rate))).astype(np.int64), epoch, sequence

    def _travel(self, sent: Int64Array) -> tuple[Int64Array, BoolArray]:
        """When each arrives, in truth [ns], and which are under way too long to count."""
        count = self.heartbeats
        delay = np.zeros(count) if self.delay is None else self.delay.draw(self._chance("delay"), count)
        if self.regimes is not None:
            chance = self._chance("regimes")
            other = self.regimes.draw(chance, sent / 1e9)
            delay[other] = self.regimes.delay.draw(chance, int(np.count_nonzero(other)))
        if self.diurnal is not None:
            delay *= self.diurnal.factor(sent / 1e9)
        if self.drift is not None:
            delay += self.drift.draw(self._chance("drift"), count, self.period)
        delay += self.base
        lost = ~(delay <= LONGEST_DELAY)
        np.clip(delay, 0.0, LONGEST_DELAY, out=delay)  # nothing arrives before it is sent
        return sent + _ns(delay), lost

    def _about(self) -> dict[str, Any]:
        recipe = recipe_of(self)
        about: dict[str, Any] = {"title": RECIPES[recipe].title, "recipe": recipe} if recipe else {}
        return about | {
            "source": "synthetic",
            "synthetic": self.to_dict(),
            "clock": "simulated",
            "made_by": f"accrual {__version__}, NumPy {np.__version__}",
        }


def _ns(seconds: Float64Array) -> Int64Array:
    """Round to whole nanoseconds, in place; 36 years stand for everything longer."""
    seconds *= 1e9
    np.rint(seconds, out=seconds)
    np.clip(seconds, -INSTANT_LIMIT / 4, INSTANT_LIMIT / 4, out=seconds)
    return seconds.astype(np.int64)


def synthesize(
    heartbeats: int | None = None,
    *,
    recipe: str | None = None,
    period: float | str | None = None,
    seed: int | None = None,
    jitter: Law | str | None = None,
    sleeping: bool | None = None,
    stalls: Stalls | str | None = None,
    crashes: Crashes | str | None = None,
    base: float | str | None = None,
    delay: Law | str | None = None,
    regimes: Regimes | str | None = None,
    diurnal: Diurnal | str | None = None,
    drift: Drift | str | None = None,
    loss: Loss | str | None = None,
    clock: Clock | str | None = None,
    sender_clock: Clock | str | None = None,
) -> Trace:
    """Make a synthetic trace: heartbeats through a path of which everything is known.

    Parts are given as objects of `accrual.traces.parts` or as the command line writes them; ``"none"`` takes one out of
    a recipe. Laws of a duration are ``constant``, ``normal``, ``lognormal``, ``exponential``, ``pareto`` and
    ``gamma``, as in ``"lognormal:mean=50ms,deviation=20ms"``. Durations are in s, or texts with a unit.

    Parameters
    ----------
    heartbeats : int
        How many are sent, 100,000,000 at most (120 bytes of memory each); 100,000 if neither this nor a recipe says.
    recipe : str, optional
        A name of `RECIPES` that says what the other parameters leave open, the seed too.
    period : float
        Sending interval, s; 0.1 if nobody says.
    seed : int, optional
        What chance begins with; drawn if not given, and in any case part of ``about``.
    jitter : law
        Lateness of the sender at each heartbeat, s. It may be negative; heartbeats stay in order.
    sleeping : bool
        Whether the sender sleeps for a period after each heartbeat, so that jitter and stalls add up; otherwise it
        keeps a schedule, as `accrual.traces.wire.send` does.
    stalls : Stalls
        The sender is held up: ``"every=30,length=exponential:mean=0.2"``.
    crashes : Crashes
        It crashes and begins anew, with the next epoch: ``"every=1h,silence=lognormal:mean=30,deviation=20"``.
    base, delay : float, law
        The delay of a heartbeat: what never changes and what is drawn for each, s. It is at least 0 in all, and what
        would take longer than a day is lost. Heartbeats whose delays differ by more than a period overtake one another.
    regimes : Regimes
        The path changes: ``"every=10min,lasts=1min,delay=gamma:mean=0.2,deviation=0.1"``.
    diurnal : Diurnal
        Day and night: ``"peak=4"``.
    drift : Drift
        The delay wanders: ``"deviation=5ms,time=60"``.
    loss : Loss
        ``"independent:loss=0.01"``, ``"gilbert:loss=0.004,burst=3"``, ``"pareto:loss=0.004,shape=1.5"``, ``"mixed"``.
    clock, sender_clock : Clock
        The receiver's and the sender's clock: ``"rate=5e-5,step=-0.2,every=1h"``. The sender sends by its own.

    Returns
    -------
    Trace
        What arrived, in that order, with `sequence`, with `sent` on the receiver's clock, with `epoch` where there are
        crashes and `sent_remote` where the sender has a clock of its own. ``about["synthetic"]`` are the keyword
        arguments that make it again.

    Raises
    ------
    ValueError
        A parameter out of bounds or unknown: names it, its bounds and the value.

    Examples
    --------
    >>> trace = synthesize(1000, delay="lognormal:mean=50ms,deviation=20ms", loss="gilbert:loss=0.01,burst=3", seed=7)
    >>> trace.about["synthetic"]["delay"]
    'lognormal:mean=0.05,deviation=0.02'
    >>> synthesize(**trace.about["synthetic"]) == trace
    True
    """
    given = {name: value for name, value in locals().items() if name != "recipe" and value is not None}
    return specify(recipe, **given).generate()


def specify(recipe: str | None = None, **given: Any) -> Specification:
    """Make a specification from a recipe and what is given beside it; without either's seed one is drawn.

    Raises
    ------
    ValueError
        As `synthesize`.

    Examples
    --------
    >>> specify("bursty", heartbeats=100).to_dict()["heartbeats"]
    100
    """
    fields = [field.name for field in dataclasses.fields(Specification)]
    for name in given:
        if name not in fields:
            raise ValueError(f"a specification has no {name!r}: it has {', '.join(fields)}")
    if recipe is None:
        return Specification(**({"seed": secrets.randbits(32)} | given))
    if recipe not in RECIPES:
        close = difflib.get_close_matches(str(recipe), RECIPES, n=1)
        hint = f"did you mean {close[0]!r}? " if close else ""
        raise ValueError(f"there is no recipe {recipe!r}: {hint}there are {', '.join(RECIPES)}")
    return dataclasses.replace(RECIPES[recipe].specification, **given)


@dataclass(frozen=True)
class Recipe:
    """A specification with a name that people know: what it is called, and what is in it."""

    title: str
    specification: Specification


def _recipe(title: str, **parameters: Any) -> Recipe:
    return Recipe(title, Specification(**parameters))


RECIPES: Final = {
    "stationary": _recipe(
        "A quiet path on which nothing changes",
        heartbeats=100_000,
        period=0.1,
        seed=1,
        jitter="exponential:mean=0.2ms",
        base=0.02,
        delay="lognormal:mean=5ms,deviation=4ms",
        loss="independent:loss=0.002",
    ),
    "bursty": _recipe(
        "The same path, which loses heartbeats in bursts of five",
        heartbeats=100_000,
        period=0.1,
        seed=2,
        jitter="exponential:mean=0.2ms",
        base=0.02,
        delay="lognormal:mean=5ms,deviation=4ms",
        loss="gilbert:loss=0.01,burst=5",
    ),
    "regime-switching": _recipe(
        "A path that changes its delay and jitter every ten minutes, for two",
        heartbeats=100_000,
        period=0.1,
        seed=3,
        jitter="exponential:mean=0.2ms",
        base=0.02,
        delay="lognormal:mean=5ms,deviation=4ms",
        regimes="every=10min,lasts=2min,delay=gamma:mean=60ms,deviation=20ms",
        loss="independent:loss=0.002",
    ),
    "diurnal": _recipe(
        "Three days of one heartbeat a second, busy by day",
        heartbeats=259_200,
        period=1.0,
        seed=4,
        jitter="exponential:mean=1ms",
        base=0.04,
        delay="gamma:mean=10ms,deviation=7ms",
        diurnal="peak=20",
        drift="deviation=5ms,time=10min",
        loss="independent:loss=0.001",
    ),
    "heavy-tail": _recipe(
        "Delays without a deviation, in which heartbeats overtake one another",
        heartbeats=100_000,
        period=0.1,
        seed=5,
        jitter="exponential:mean=0.2ms",
        base=0.02,
        delay="pareto:least=2ms,shape=1.5",
        loss="pareto:loss=0.004,shape=1.5,longest=300",
    ),
    "crash": _recipe(
        "A sender that crashes every quarter of an hour, comes back, and stalls in between",
        heartbeats=100_000,
        period=0.1,
        seed=6,
        jitter="exponential:mean=0.2ms",
        stalls="every=2min,length=lognormal:mean=0.2,deviation=0.2",
        crashes="every=15min,silence=lognormal:mean=20,deviation=15",
        base=0.02,
        delay="lognormal:mean=5ms,deviation=4ms",
        loss="independent:loss=0.002",
    ),
    # After what is told of Hayashibara's WAN week at second hand, not checked against the paper. Losses and bursts have
    # its numbers; the delays are a model with its mean and deviation, and the time of their drift is a choice. The
    # period is the interval that was measured, 103.501 ms; the target was 100 ms.
    "paper-week": _recipe(
        "A week after what is told of the phi paper's: its loss, bursts and deviation, not its data",
        heartbeats=5_845_713,
        period=0.103501,
        seed=2004,
        jitter="normal:mean=0,deviation=0.189ms",
        sleeping=True,
        base=0.13,
        delay="normal:mean=0,deviation=11ms",
        drift="deviation=16ms,time=30",
        loss="mixed",
    ),
}
"""Specifications with a name; `accrual.load` makes the trace of each by ``synthetic-`` and this name."""


def recipe_of(specification: Specification) -> str | None:
    """Find the recipe that this is, whatever its seed."""
    for name, recipe in RECIPES.items():
        if dataclasses.replace(recipe.specification, seed=specification.seed) == specification:
            return name
    return None
