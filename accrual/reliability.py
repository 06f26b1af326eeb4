"""Whether a threshold keeps its promise: Phi = 3 says that one heartbeat in a thousand comes later than that.

Detectors of one ranking may differ in this alone: it says what a threshold means, not which detector is better.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from accrual.blocks import FEWEST, Blocks, as_seed
from accrual.detectors import Detector, Empirical, as_detector
from accrual.qos import Scoring, as_thresholds
from accrual.replay import Replay, as_trace, full_from
from accrual.tables import aligned, as_html, figure, plain
from accrual.traces.trace import Trace, TraceError

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

__all__ = ["Calibration", "calibration"]

PHIS: Final = (0.5, 1.0, 1.5, 2.0, 2.5, 3.0, 3.5, 4.0, 5.0, 6.0, 8.0)
SHARES: Final = (0.5, 0.8, 0.9, 0.95, 0.98, 0.99, 0.995, 0.999, 1.0)


@dataclass(frozen=True, eq=False, repr=False, kw_only=True)
class Calibration:
    """How many heartbeats came later than the thresholds, and how many those promise.

    Attributes
    ----------
    detector : Detector
    heartbeats : int
        Intervals that were scored and had a level.
    thresholds : float64 array
    promised : float64 array
        The share of the heartbeats that a threshold promises to be later: 10^-Phi, or (n + 1 - k) / (n + 1) of the k-th
        of n intervals.
    late : int64 array
        How many were.
    share : float64 array
        What share that is.
    low, high : float64 arrays
        Its 95 % interval, from blocks of time; from 0 to 3.0 / heartbeats where none was late, nan where the trace has
        too few blocks.
    """

    detector: Detector
    heartbeats: int
    thresholds: NDArray[np.float64]
    promised: NDArray[np.float64]
    late: NDArray[np.int64]
    share: NDArray[np.float64]
    low: NDArray[np.float64]
    high: NDArray[np.float64]
    blocks: Blocks

    @property
    def effective(self) -> NDArray[np.float64]:
        """The phi that the thresholds are really: -log10 of the share of late heartbeats; inf where none was."""
        with np.errstate(divide="ignore"):
            return -np.log10(self.share) + 0.0

    @property
    def verdicts(self) -> list[str]:
        """``kept``, or ``more`` or ``fewer`` are late than promised; ``cannot tell`` where the trace is too short."""
        words = []
        for promised, low, high in zip(self.promised, self.low, self.high, strict=True):
            if math.isnan(high) or (low == 0 and promised <= high):
                words.append("cannot tell")
            else:
                words.append("more" if promised < low else "fewer" if promised > high else "kept")
        return words

    def title(self) -> str:
        """What was calibrated, and on how much."""
        few = "" if self.blocks.enough else f"; {self.blocks.count} blocks, {FEWEST} are needed for intervals"
        return f"{self.detector}: {self.heartbeats:,} heartbeats{few}"

    def table(self) -> list[list[str]]:
        """A row for each threshold as texts, under a head."""
        rows = [[self.detector.threshold_name, "promised", "late", "share [95 %]", "really phi", "promise"]]
        for k, verdict in enumerate(self.verdicts):
            share = f"{figure(self.share[k])} [{figure(self.low[k])}, {figure(self.high[k])}]"
            really = f"{self.effective[k]:.2f}"
            if not self.late[k]:
                share, really = f"< {figure(3.0 / self.heartbeats)}", f"> {-math.log10(3.0 / self.heartbeats):.2f}"
            rows.append(
                [f"{self.thresholds[k]:g}", figure(self.promised[k]), f"{self.late[k]:,}", share, really, verdict]
            )
        return rows

    def __repr__(self) -> str:
        """The table."""
        return f"{self.title()}\n{aligned(self.table())}"

    def _repr_html_(self) -> str:
        return as_html(self.title(), self.table())

    def _columns(self) -> dict[str, list[Any]]:
        names = ("thresholds", "promised", "late", "share", "low", "high", "effective")
        columns = {name.removesuffix("s"): getattr(self, name).tolist() for name in names}
        return columns | {"verdict": self.verdicts}

    def to_dict(self) -> dict[str, Any]:
        """Plain values; lists by column."""
        columns = {name: [plain(value) for value in column] for name, column in self._columns().items()}
        about = {"detector": str(self.detector), "heartbeats": self.heartbeats}
        return about | columns | self.blocks.to_dict()

    def to_pandas(self):  # type: ignore[no-untyped-def]
        """A DataFrame, one row for each threshold."""
        import pandas as pd

        return pd.DataFrame(self._columns())


def calibration(
    trace: Trace | ArrayLike,
    detector: Detector,
    thresholds: ArrayLike | None = None,
    *,
    skip: int | None = None,
    block: float | None = None,
    seed: int = 0,
    threads: int = 1,
) -> Calibration:
    """Ask a trace whether a detector's thresholds keep what they promise.

    Each late heartbeat counts, also where several belong to one mistake.

    Parameters
    ----------
    trace : Trace or array of int64, shape (n,)
        Arrivals in ns.
    detector : Detector
        Whose threshold is a probability: phi detectors, and `Empirical` with a stretch of 1.
    thresholds : array, optional
        In any order.
    skip : int, optional
        Observation starts at this arrival; by default where the window is full.
    block, seed, threads
        As :func:`accrual.compare`.

    Raises
    ------
    ValueError, TraceError
        As :func:`accrual.compare`; or the detector promises nothing.

    Examples
    --------
    >>> import accrual as ac
    >>> arrivals = [n * 10**8 + n * n % 37 * 10**6 for n in range(5000)]
    >>> found = ac.calibration(arrivals, ac.PhiNormal(window=100), [0.5, 1, 2])
    >>> found.late, found.effective.round(2), found.verdicts
    (array([1720,  662,    0]), array([0.45, 0.87,  inf]), ['more', 'more', 'fewer'])
    """
    trace, detector, seed = as_trace(trace), as_detector(detector), as_seed(seed)
    own = SHARES if isinstance(detector, Empirical) else PHIS
    asked = as_thresholds(own if thresholds is None else thresholds)
    promised = _promised(detector, asked)
    first = full_from(trace, [detector]) if skip is None else skip
    scoring = Scoring(trace, detector, first, 0.0, threads)
    blocks = Blocks(scoring, block, seed)
    replay = Replay(trace, detector, threads, scoring.chain)
    scored = slice(scoring.low, scoring.high)
    heartbeats = int(np.count_nonzero(replay.known()[scored]))
    if not heartbeats:
        raise TraceError("nothing to calibrate: no level is known")
    counts = [blocks.counts(replay.late(threshold)[scored]) for threshold in asked.tolist()]
    late = np.array([count.sum() for count in counts])
    low, high = np.array([blocks.interval(count) for count in counts]).T / heartbeats
    return Calibration(
        detector=detector,
        heartbeats=heartbeats,
        thresholds=asked,
        promised=promised,
        late=late,
        share=late / heartbeats,
        low=low,
        high=np.minimum(high, 1.0),
        blocks=blocks,
    )


def _promised(detector: Detector, thresholds: NDArray[np.float64]) -> NDArray[np.float64]:
    """The share of late heartbeats that the thresholds promise."""
    if isinstance(detector, Empirical) and detector.stretch == 1:
        rank = np.clip(np.ceil(thresholds * detector.window - 1e-9), 0, detector.window + 1)
        return (detector.window + 1 - rank) / (detector.window + 1)
    if detector.threshold_name != "Phi":
        raise ValueError(f"detector must be one whose threshold is a probability, got {detector}")
    with np.errstate(over="ignore"):
        return np.minimum(10.0**-thresholds, 1.0)
