"""The questions of lesson 12: indicators of health, and choices for a trace that are judged by its second half."""

from __future__ import annotations

import math
import os
import warnings
from typing import Any, Final

import numpy as np

from accrual.comparison import compare
from accrual.course.checking import Hint, called, close, number, question
from accrual.detectors import Detector, FixedTimeout, PhiNormal
from accrual.isolation import availability
from accrual.qos import QoS, qos
from accrual.recovery import Cluster, Crash, FailoverController, Partition, simulate, waiting_cost
from accrual.recovery import Run as Recovery
from accrual.show.health import INDICATORS, incidents, outages, rehearse, symptoms
from accrual.show.own import heartbeats, nominal_period
from accrual.show.report import Subject
from accrual.study import content_sha256
from accrual.traces import Trace, load, read_trace
from accrual.tuning import Tuned, tune

__all__ = [
    "FAILOVER",
    "LEAST",
    "PENALTY",
    "PERMANENT",
    "WAITS",
    "WARM",
    "chosen",
    "three_faults",
    "to_tune_on",
    "wanted",
]

FAILOVER: Final = 0.5
"""Election, promotion and redirect in the capstone [s]."""
PENALTY: Final = 10.0
"""What else a failover costs there, in seconds of outage: cold caches, lost writes, a resynchronisation."""
PERMANENT: Final = 0.05
"""The share of outages there that never end by themselves."""
WAITS: Final = tuple(round(0.1 * k, 1) for k in range(51))
"""The waits to choose among there [s]."""
LEAST: Final = 4000
"""Heartbeats that a trace of one's own needs there."""
SURPRISES: Final = 0.1
"""Share of the suspicions of the second half that may end in a needless failover: outages longer than any before."""
WARM: Final = 1000
"""Of these the first so many fill the detectors' windows, and do not count."""
NEAR: Final = 1.25
"""A choice is good if it costs at most so many times what the best candidate does."""


def three_faults(seed: int = 12) -> Recovery:
    """A cluster of three for two minutes: a crash, a partition that cuts the primary off with its client, a crash.

    Examples
    --------
    >>> three_faults().outcome.failovers
    3
    """
    faults = [
        Crash(at=20, until=40),
        Partition(at=60, until=64, groups=((2, "c0"), (0, 1))),
        Crash(at=90, until=110),
    ]
    return simulate(Cluster(nodes=3, delay=0.005), faults, seconds=120, seed=seed)


def wanted(trace: Trace) -> float:
    """The detection time asked for in the capstone: fifty periods [s].

    Examples
    --------
    >>> import accrual as ac
    >>> wanted(ac.load("paused"))
    0.5
    """
    return 50 * nominal_period(trace)


def to_tune_on(
    mine: str | os.PathLike[str] | Trace | None, name: str = "My system", otherwise: str = "paused"
) -> Subject:
    """A student's own trace for the capstone, or a recorded one where there is none, or none that can be used.

    Says in words what cannot be used, and why; never raises.

    Parameters
    ----------
    mine : path or Trace, optional
        A file that `accrual.read_trace` reads.
    name : str
        What the system is called.
    otherwise : str
        The dataset that is taken else.

    Examples
    --------
    >>> to_tune_on(None).name
    'paused'
    >>> to_tune_on("nowhere.parquet").name
    nowhere.parquet cannot be used: No such file or directory.
    The recorded trace 'paused' is taken instead.
    'paused'
    """
    if mine is not None:
        file = None if isinstance(mine, Trace) else str(mine)
        label = "a trace of yours" if file is None else file
        try:
            with warnings.catch_warnings(record=True) as told:
                warnings.simplefilter("always")
                trace = heartbeats(mine if isinstance(mine, Trace) else read_trace(mine), LEAST)
                compare(
                    trace[: len(trace) // 2], [FixedTimeout(period=nominal_period(trace))], detection_time=wanted(trace)
                )
            for one in told:
                print(f"{label}: {one.message}")
            return Subject(name, label, 1, content_sha256(trace if file is None else file), trace)
        except (OSError, ImportError, TypeError, ValueError) as error:
            said = str(error).removeprefix(f"{file}: ").replace(f"{file}:", "line ", 1)
            why = error.strerror if isinstance(error, OSError) and error.strerror else said
            print(f"{label} cannot be used: {why}.\nThe recorded trace {otherwise!r} is taken instead.")
    return Subject(name, otherwise, 1, content_sha256(otherwise), load(otherwise))


def chosen(detector: Any, threshold: Any, wait: Any = 0) -> bool:
    """Whether there is a choice that the capstone's next step can go on with.

    Examples
    --------
    >>> chosen(FixedTimeout(period=1), 3), chosen(FixedTimeout(period=1), math.nan), chosen(None, None)
    (True, False, False)
    """
    try:
        held, limit = float(wait), float(threshold)
    except (TypeError, ValueError):
        return False
    return isinstance(detector, Detector) and math.isfinite(limit) and 0 <= held < math.inf


@question("12.1")
def _first(answer: Any) -> str:
    """The name of an indicator, as `INDICATORS` has it. What does a request do that waits?"""
    moved = symptoms(fault="hang", shared_pool=True).moved()
    if answer not in moved:
        raise Hint(f"One of {', '.join(INDICATORS)} is asked for.")
    soonest = min(moved.values())
    if math.isinf(moved[answer]):
        raise Hint("That one never moves: the process lives, and beats on. The fault is in what it is asked.")
    if moved[answer] > soonest + 1e-9:
        raise Hint(
            f"That one moves {moved[answer]:.1f} s after the strike. Another moves sooner: look before answers come."
        )
    return f"It moves after {moved[answer]:.1f} s; the 99 % latency after {moved['p99']:.1f} s."


@question("12.2")
def _availability(answer: Any) -> str:
    """The share of the time that is good: between two failures, how long is it bad?"""
    for mtbf, detect, repair in ((2_592_000, 10, 5), (100.0, 0.0, 25.0), (3600, 30, 0)):
        right = availability(mtbf - detect - repair, detect + repair).share
        given = number(called(answer, mtbf, detect, repair))
        if close(given, right):
            continue
        if close(given, availability(mtbf - repair, repair).share) and detect:
            raise Hint("Nobody repairs before the failure is noticed: that time is bad, too.")
        if close(given, mtbf / (mtbf + detect + repair)):
            raise Hint("MTBF counts from failure to failure, so the bad time is in it already.")
        raise Hint(f"With {mtbf:g} s between failures, {detect:g} s to detect and {repair:g} s to repair "
                   f"{right:.6f} was expected; you give {given:.6f}.")  # fmt: skip
    return "Detection is a part of every repair."


@question("12.3")
def _recovery_point(answer: Any) -> str:
    """Which writes were told OK, and are not there in the end? From the first's start to the last's end."""
    for run in (three_faults(), three_faults(seed=3), simulate(Cluster(nodes=3), [Crash(at=5)], seconds=10)):
        right = sum(incident.lost_span for incident in incidents(run))
        given = number(called(answer, run.operations, run.survivors))
        if close(given, right):
            continue
        if not right:
            raise Hint(f"In one run nothing was lost: 0 s was expected, you give {given:g} s.")
        missing = [o for o in run.operations if o.kind == "write" and o.number not in run.survivors]
        if close(given, max(o.start for o in missing) - min(o.start for o in missing)):
            raise Hint("Up to the last one's end, not its start; and only writes whose client was told OK.")
        raise Hint(f"{right:.4g} s was expected, you give {given:.4g} s. Are there only writes among yours, told OK?")
    return "Set beside the time to recover: how much is gone, and how long nobody was served."


def _choice(answer: Any, size: int, what: str) -> tuple[Any, ...]:
    try:
        parts = tuple(answer)
    except TypeError:
        parts = ()
    if len(parts) != size:
        raise Hint(f"({what}) is asked for.")
    return parts


def _beats(trace: Any) -> Trace:
    try:
        return heartbeats(trace, LEAST)
    except (TypeError, ValueError) as error:
        raise Hint(f"The trace: {error}.") from None


def _detector(trace: Any, detector: Any, threshold: Any) -> tuple[Trace, Detector, float, QoS]:
    """A choice, and what it does on the second half."""
    beats = _beats(trace)
    if isinstance(detector, type):
        raise Hint(f"{detector.__name__} is a kind of detector; make one: {detector.__name__}(...).")
    if not isinstance(detector, Detector):
        raise Hint("The second is to be a detector, such as ac.PhiNormal(window=1000).")
    limit = number(threshold)
    if not math.isfinite(limit):
        raise Hint("The threshold is no number: what `ac.tune` cannot meet has none. Read its verdict.")
    return beats, detector, limit, qos(beats, detector, limit, skip=len(beats) // 2)


@question("12.4")
def _detect(answer: Any) -> str:
    """(trace, detector, threshold). Tune on the first half; it is judged by the second."""
    trace, detector, threshold, found = _detector(*_choice(answer, 3, "trace, detector, threshold"))
    most = wanted(trace)
    if found.detection_time > 1.05 * most:
        raise Hint(
            f"A crash is noticed after {found.detection_time:.3g} s on the second half; {most:.3g} s were asked for."
        )
    period = nominal_period(trace)
    candidates = (FixedTimeout(period=period), PhiNormal(window=1000))
    tuned = [tune(trace, one, detection_time=most, skip=WARM) for one in candidates]
    best = min((made.judged.mistakes for made in tuned if made.judged is not None), default=found.mistakes)
    if found.mistakes > NEAR * best + 2 and not _good_so_far(trace, detector, threshold, tuned):
        raise Hint(
            f"{found.mistakes:,} mistakes on the second half; a detector of this course makes {best:,} at the "
            f"detection time that was asked for. Yours takes {found.detection_time:.3g} s of {most:.3g} s."
        )
    return f"On the second half: detection in {found.detection_time:.3g} s, {found.mistakes:,} mistakes."


def _good_so_far(trace: Trace, detector: Detector, threshold: float, tuned: list[Tuned]) -> bool:
    """Whether the first half spoke for the choice: on a short trace the second may bring something else."""
    learnt = qos(trace[: len(trace) // 2], detector, threshold, skip=WARM).mistakes
    best = min((made.learnt.mistakes for made in tuned if made.learnt is not None), default=learnt)
    return learnt <= NEAR * best + 2


@question("12.5")
def _wait(answer: Any) -> str:
    """(trace, detector, threshold, wait). How long did the outages of the first half last?"""
    *chosen, wait = _choice(answer, 4, "trace, detector, threshold, wait")
    trace, detector, threshold, _ = _detector(*chosen)
    held = number(wait)
    if not 0 <= held <= WAITS[-1]:
        raise Hint(f"The wait is to be from 0 to {WAITS[-1]:g} s, got {held:g}.")
    half = len(trace) // 2
    learnt = outages(trace[:half], detector, threshold, skip=WARM)
    lasted = outages(trace, detector, threshold, skip=half)
    halves = [_cost_of(held, found) for found in (learnt, lasted) if len(found)]
    if not halves:
        does = f"all that the wait does is to delay a real failover by {held:g} s" if held else "nothing to wait for"
        return f"No false suspicion in either half: {does}."
    # Good by what could be known, or by what came: neither an outage longer than any before nor caution is held against
    # anyone; and who had nothing to learn from cannot be wrong.
    if len(learnt) and not any(yours <= NEAR * best for yours, best in halves):
        yours, judged, where = halves[-1][0], lasted if len(lasted) else learnt, "second" if len(lasted) else "first"
        over = float(np.mean(judged <= held))
        why = "Too many are promoted that would have come back" if over < 0.9 else "You wait longer than it pays"
        raise Hint(f"{why}: {yours:.3g} s an outage on the {where} half. {over:.0%} of its outages are over by then.")
    if not len(lasted):
        return "The second half has no false suspicion: this time nothing came of the wait."
    yours, best = halves[-1]
    return f"{yours:.3g} s an outage on the second half; whoever knew it would have paid {best:.3g} s."


def _cost_of(held: float, lasted: Any) -> tuple[float, float]:
    """What an outage costs with this wait, and with the best one [s]."""
    costs = waiting_cost(lasted, [*WAITS, held], failover=FAILOVER, penalty=PENALTY, permanent=PERMANENT).cost
    return float(costs[-1]), float(costs.min())


@question("12.6")
def _controller(answer: Any) -> str:
    """(trace, build), where build(fence, promote) gives a FailoverController of "primary" and "backup"."""
    trace, build = _choice(answer, 2, "trace, build")
    beats = _beats(trace)
    given: list[FailoverController] = []

    def keep(fence: Any, promote: Any) -> FailoverController:
        made = called(build, fence, promote)
        if not isinstance(made, FailoverController):
            raise Hint(f"build gives a {type(made).__name__}; a FailoverController is asked for.")
        given.append(made)
        return made

    done = rehearse(keep, beats[len(beats) // 2 :])
    if done.needless > max(2, SURPRISES * (done.needless + done.averted)):
        most = "20 or more" if math.isnan(done.promoted_after) else str(done.needless)
        raise Hint(f"{most} needless failovers on the second half, while the primary lived. Wait before you promote.")
    if math.isinf(done.promoted_after):
        raise Hint("Then the primary crashes, and ten minutes later nobody has been promoted.")
    if done.order[:2] != ("fence", "promote"):
        raise Hint(
            f"It called {', '.join(done.order) or 'nothing'}: give it the fence and the promote that it is handed."
        )
    if done.promoted_after > wanted(beats) + WAITS[-1]:
        raise Hint(f"A backup is promoted only {done.promoted_after:.3g} s after the crash.")
    return (
        f"{done.needless} needless failovers, {done.averted} averted; after the crash first the fence, and a backup "
        f"promoted in {done.promoted_after:.2f} s."
    )
