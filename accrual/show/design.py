"""The page that shows a design of detection and recovery: what was chosen, what came of it, and what it rests on.

Every figure of it is taken on the second half of a trace, of which the choice is to know nothing; behind it stands the
report that `accrual report` makes of the same trace.
"""

from __future__ import annotations

import dataclasses
import math
import os
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from accrual.detectors import Detector, FixedTimeout, PhiNormal
from accrual.qos import QoS, qos
from accrual.recovery import Waiting, waiting_cost
from accrual.show import plots
from accrual.show.health import Rehearsal, outages
from accrual.show.own import nominal_period
from accrual.show.report import Front, Report, Subject, escaped, listing, make_report, picture, table

if TYPE_CHECKING:
    from collections.abc import Sequence

    from matplotlib.axes import Axes

__all__ = ["Design", "make_design"]

HOUR: Final = 3600.0
"""[s]"""

_GUARANTEES: Final = (
    "Nobody is promoted before the fence of the old primary has returned. If that fence is true (once it returns, the "
    "old primary acknowledges nothing any more) and lasting (until it rejoins), there are never two primaries.",
    "Where the fence fails, nobody is promoted, however long that takes: safety before availability.",
    "Terms only grow, and in a term only one node is ever promoted.",
)
_NO_GUARANTEES: Final = (
    "Acknowledged writes that the backup never received are lost at a failover. How many is replication's part, and "
    "none of it is measured here: set a recovery point (RPO), and choose the mode of replication by it.",
    "A suspicion may be wrong. The fence then stops a healthy primary.",
    "Two controllers at once may promote two nodes: let them hold a lock, or elect one.",
    "The fence is yours, and so is its test: pull it in an exercise, before an outage does.",
)


@dataclass(frozen=True, eq=False, kw_only=True)
class Design:
    """A detector, a threshold and a wait for a system, and what they do on the second half of its trace.

    Attributes
    ----------
    subject : Subject
        The trace, and where it comes from. Its label is the system's name.
    detector : Detector
    threshold : float
    wait : float
        How long the primary is suspected before a backup is promoted [s].
    wanted : float or None
        The detection time that was asked for [s].
    failover, penalty : float
        What a failover takes, and what it costs besides, in seconds of outage [s]; assumed.
    permanent : float
        The share of outages that never end by themselves; assumed.
    rehearsal : Rehearsal
        Of the controller, on the second half.
    judged : QoS
        Of the detector, on the second half.
    lasted : tuple of float64 array
        The outages of the first half, and of the second [s].
    """

    subject: Subject
    detector: Detector
    threshold: float
    wait: float
    wanted: float | None
    failover: float
    penalty: float
    permanent: float
    rehearsal: Rehearsal
    judged: QoS
    lasted: tuple[Any, Any]

    @property
    def recovery(self) -> float:
        """From a crash until users are served again, on average [s]: detection, wait, failover."""
        return self.judged.detection_time + self.wait + self.failover

    @property
    def recovery_p99(self) -> float:
        """The same with the 99 % detection time [s]."""
        return self.judged.detection_time_p99 + self.wait + self.failover

    def costs(self, waits: Sequence[float]) -> dict[str, Waiting]:
        """What an outage costs by the wait, on each half that has any."""
        assumed = {"failover": self.failover, "penalty": self.penalty, "permanent": self.permanent}
        halves = zip(("first half, chosen on", "second half, judged by"), self.lasted, strict=True)
        return {name: waiting_cost(found, waits, **assumed) for name, found in halves if len(found)}

    def report(self) -> Report:
        """The page: the design first, then what detectors do on its trace, as `accrual report` has it."""
        usual: list[Detector] = [FixedTimeout(period=nominal_period(self.subject.trace)), PhiNormal(window=1000)]
        made = make_report([self.subject], [self.detector, *(one for one in usual if one != self.detector)])
        return dataclasses.replace(made, front=self._front())

    def write(self, path: str | os.PathLike[str]) -> None:
        """Write the page as one HTML file, whole or not at all.

        Raises
        ------
        ImportError
            matplotlib is missing.
        OSError
            The file cannot be written.
        """
        self.report().write(path)

    def to_dict(self) -> dict[str, Any]:
        """The choice and its figures as JSON can hold them."""
        values: dict[str, Any] = {
            "detector": str(self.detector),
            **{
                name: getattr(self, name)
                for name in ("threshold", "wait", "wanted", "failover", "penalty", "permanent")
            },
            "judged": self.judged.to_dict(),
            "rehearsal": {**vars(self.rehearsal), "order": list(self.rehearsal.order)},
        }
        after = self.rehearsal.promoted_after
        values["rehearsal"]["promoted_after"] = after if math.isfinite(after) else None
        return values

    def in_short(self) -> str:
        """The design in four sentences."""
        detector, done = self.judged, self.rehearsal
        begin = (
            f"When the primary crashes, it is suspected after {_seconds(detector.detection_time)} on average"
            f" (99 %: {_seconds(detector.detection_time_p99)}). A backup is promoted"
            f" {f'{_seconds(self.wait)} later' if self.wait else 'at once'}, when the old primary is fenced, and users"
            f" are served again some {_seconds(self.recovery)} after the crash."
        )
        suspicions = done.averted + done.needless
        passed = f"{done.averted:,} of {suspicions:,} suspicions passed while the controller waited; "
        price = (
            f" The price of being so quick: {_rate(detector.mistakes, detector.observed, 'mistake')}."
            f" In the rehearsal: {passed if suspicions else ''}"
            f"{_rate(done.needless, done.observed, 'needless failover')}."
        )
        if math.isnan(done.promoted_after):
            price += " The rehearsal was broken off there: this design is not ready."
        elif math.isinf(done.promoted_after):
            price += " After a real crash nobody was promoted: this design is not ready."
        return begin + price

    def _front(self) -> Front:
        sections = [
            ("In short", f"<p>{escaped(self.in_short())}</p>\n{self._chosen()}\n{self._found()}"),
            ("What it rests on", listing(self._assumptions())),
            ("Why this wait", self._waiting()),
            (
                "What the fence guarantees",
                f"{_bullets(_GUARANTEES)}\n<h3>And what it does not</h3>\n{_bullets(_NO_GUARANTEES)}",
            ),
            (
                "Evidence",
                "<p>From here on: what <code>accrual report</code> makes of the whole trace, with the chosen detector "
                "beside a fixed timeout and φ.</p>",
            ),
        ]
        return Front(f"{self.subject.label}: detection and recovery", sections, self.to_dict())

    def _chosen(self) -> str:
        rows = [
            ("detector", str(self.detector)),
            ("threshold", f"{self.detector.threshold_name} = {self.threshold:.6g}"),
            ("wait before a backup is promoted", _seconds(self.wait)),
            ("order", ", then ".join(self.rehearsal.order) or "nothing was called"),
        ]
        return table("The choice", ("part", "choice"), rows, text=2)

    def _found(self) -> str:
        found, done = self.judged, self.rehearsal
        asked = "" if self.wanted is None else f" ({_seconds(self.wanted)} asked for)"
        after = done.promoted_after
        rows = [
            ("detection time, mean", _seconds(found.detection_time) + asked),
            ("detection time, 99 %", _seconds(found.detection_time_p99)),
            ("mistakes of the detector", _rate(found.mistakes, found.observed)),
            ("a mistake lasts", _seconds(found.mistake_duration) if found.mistakes else "none was seen"),
            ("failovers without need, rehearsed", _rate(done.needless, done.observed)),
            ("suspicions that the wait averted, rehearsed", f"{done.averted:,}"),
            (
                "last heartbeat to promotion, rehearsed",
                _seconds(after) if math.isfinite(after) else "broken off" if math.isnan(after) else "never",
            ),
            ("crash until served again, expected mean", _seconds(self.recovery)),
            ("crash until served again, expected 99 %", _seconds(self.recovery_p99)),
        ]
        return table("What it does on heartbeats that it was not chosen on", ("figure", "value"), rows, text=2)

    def _assumptions(self) -> dict[str, str]:
        trace, half = self.subject.trace, len(self.subject.trace) // 2
        return {
            "heartbeats": f"{len(trace):,} of {self.subject.name}, every {nominal_period(trace):g} s. The choice is to "
            f"be made on the first {half:,}; the figures above are those of the rest.",
            "the sender": "Was never dead while it was recorded: each suspicion there is a mistake.",
            "tomorrow": "Is like the recording. Record again when the machine, the network or the load changes.",
            "a failover": f"Takes {_seconds(self.failover)}, and costs as much as {_seconds(self.penalty)} of outage "
            "besides. Assumed, not measured: rehearse one.",
            "lasting outages": f"{self.permanent:.0%} of all outages never end by themselves. Assumed.",
            "the backup": "Is heard in time, and one observer decides. A partition between the two is not in these "
            "figures: let several observers vote.",
            "detection time": "Counts from a crash just after a heartbeat was sent, the worst case.",
        }

    def _waiting(self) -> str:
        if not any(map(len, self.lasted)):
            return (
                "<p>The detector made no mistake in either half, so no outage passed by itself, and there was nothing "
                "to wait for. A longer recording may say otherwise.</p>"
            )
        waits = [round(0.1 * k, 1) for k in range(51)]
        costs = self.costs(waits)
        counts = [f"{len(found):,} outages" for found in self.lasted if len(found)]
        told = "; ".join(f"{name}: {count}" for name, count in zip(costs, counts, strict=True))
        words = _describe_waiting(costs, self.wait)
        image = plots.picture_svg(lambda ax: _draw_waiting(ax, costs, self.wait), "What an outage costs", words)
        caption = f"The vertical line is the wait that was chosen. Seen on the {told}."
        return picture(image, words, caption) + self._cheapest(costs)

    def _cheapest(self, costs: dict[str, Waiting]) -> str:
        rows = [
            (
                name,
                _seconds(float(found.cost[0])),
                _seconds(float(np.interp(self.wait, found.waits, found.cost))),
                f"{_seconds(float(found.cost.min()))}, with a wait of {_seconds(found.best)}",
            )
            for name, found in costs.items()
        ]
        return table(
            "What an outage costs", ("on the", "without a wait", "with the wait chosen", "at best"), rows, text=4
        )


def make_design(
    subject: Subject,
    detector: Detector,
    threshold: float,
    wait: float,
    rehearsal: Rehearsal,
    *,
    failover: float,
    penalty: float,
    permanent: float,
    wanted: float | None = None,
    warm: int = 1000,
) -> Design:
    """Judge a choice by the second half of its trace.

    Parameters
    ----------
    subject, detector, threshold, wait, rehearsal, failover, penalty, permanent, wanted
        As `Design` has them.
    warm : int
        Outages of the first half count from this arrival on.

    Raises
    ------
    ValueError
        A threshold that is no number, a wait that is negative or not finite, or as `waiting_cost`.

    Examples
    --------
    >>> import accrual as ac
    >>> from accrual.show.health import rehearse
    >>> trace = ac.load("paused")
    >>> detector = ac.FixedTimeout(period=0.01)
    >>> done = Rehearsal(needless=0, averted=23, promoted_after=2.8, order=("fence", "promote"), observed=281.0)
    >>> made = make_design(
    ...     Subject("My system", "paused", 1, "", trace), detector, 50, 2.3, done,
    ...     failover=0.5, penalty=10, permanent=0.05,
    ... )
    >>> made.judged.mistakes, round(made.recovery, 3)
    (23, 3.3)
    """
    if not 0 <= wait < math.inf:
        raise ValueError(f"wait must be 0 s or more, and finite, got {wait!r}")
    trace, half = subject.trace, len(subject.trace) // 2
    lasted = (outages(trace[:half], detector, threshold, skip=warm), outages(trace, detector, threshold, skip=half))
    return Design(
        subject=subject,
        detector=detector,
        threshold=float(threshold),
        wait=float(wait),
        wanted=wanted,
        failover=failover,
        penalty=penalty,
        permanent=permanent,
        rehearsal=rehearsal,
        judged=qos(trace, detector, threshold, skip=half),
        lasted=lasted,
    )


# ---- words and pictures ---------------------------------------------------------------------------------------------


def _seconds(value: float) -> str:
    return f"{value:.3g} s"


def _rate(count: int, observed: float, noun: str = "") -> str:
    """How often something was seen, an hour; where it never was, below what rate it is."""
    seen = f"{count:,}" if not noun else f"{count:,} {noun}{'' if count == 1 else 's'}" if count else f"no {noun}"
    if not count:  # the rule of three
        return f"{seen} in {observed:.0f} s, so fewer than {HOUR * 3 / observed:.3g} an hour (95 %)"
    return f"{seen} in {observed:.0f} s, {HOUR * count / observed:.3g} an hour"


def _bullets(lines: Sequence[str]) -> str:
    return "<ul>\n" + "\n".join(f"<li>{escaped(one)}</li>" for one in lines) + "\n</ul>"


def _draw_waiting(ax: Axes, costs: dict[str, Waiting], wait: float) -> None:
    for (name, found), colour, style in zip(costs.items(), ("#0072B2", "#D55E00"), ("-", "--"), strict=False):
        ax.plot(found.waits, found.cost, color=colour, linestyle=style, label=name)
    ax.axvline(wait, color="0.2", linewidth=1)
    ax.set(xlabel="wait before a backup is promoted [s]", ylabel="expected cost of an outage [s]")
    ax.set_ylim(bottom=0)
    ax.grid(color="0.9")
    ax.set_axisbelow(True)
    ax.legend(frameon=False, fontsize="small")


def _describe_waiting(costs: dict[str, Waiting], wait: float) -> str:
    told = [
        f"On the {name}: {_seconds(float(found.cost[0]))} without a wait, "
        f"{_seconds(float(np.interp(wait, found.waits, found.cost)))} with {_seconds(wait)}, at best "
        f"{_seconds(float(found.cost.min()))} with {_seconds(found.best)}."
        for name, found in costs.items()
    ]
    return " ".join(["The expected cost of an outage by the wait before a backup is promoted.", *told])
