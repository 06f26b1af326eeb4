"""Watching one peer, one heartbeat at a time."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from accrual.core import engine
from accrual.replay import as_detector

if TYPE_CHECKING:
    from collections.abc import Callable

    from accrual.detectors import Detector

__all__ = ["Monitor"]


class Monitor(engine.Peer):
    """Says of one peer how suspicious its silence is, and whether that is too much.

    Instants are int64 nanoseconds of one clock; every `now` defaults to the clock's reading. What a network or a
    clock can deliver (late, duplicate, reordered heartbeats, time going back) is counted, never an error.

    Parameters
    ----------
    detector : Detector
        For instance ``accrual.PhiNormal(window=1000)``.
    threshold : float
        The level from which on the peer is suspected. ``monitor.threshold`` may be changed at any time.
    clock : callable
        Gives the present instant, ns. The default, ``time.monotonic_ns``, stands still on Linux while the machine
        is suspended.

    Attributes
    ----------
    threshold : float
    accepted, ignored, clock_steps, restarts, unlearned : int
        Heartbeats that counted; that did not (late, duplicate, reordered); at which the clock had gone back; that
        began a new epoch; whose interval was too long for the window's exact sums (centuries, or months many times).
    last : int or None
        Arrival of the last accepted heartbeat, ns.
    samples : int
        Intervals in the window.

    Examples
    --------
    >>> import accrual as ac
    >>> m = ac.Monitor(ac.FixedTimeout(period=0.1), threshold=3)
    >>> m.heartbeat(now=1_000_000_000)
    True
    >>> m.level(now=1_150_000_000), m.suspected(now=1_150_000_000), m.deadline()
    (1.5, False, 1300000000)
    """

    def __init__(
        self, detector: Detector, threshold: float = 8.0, clock: Callable[[], int] = time.monotonic_ns
    ) -> None:
        super().__init__(as_detector(detector).compiled, threshold, clock)
        self.detector = detector
