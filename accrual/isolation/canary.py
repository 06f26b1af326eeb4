"""A canary release: the new version goes to a few users, and is taken back when its health falls silent.

Health is a heartbeat here. At the end of each period the canary's requests are looked at; if no larger share than
allowed failed, a heartbeat is sent, else none. An `accrual.Monitor` listens; when it suspects the canary, the release
is rolled back, and the users get the old version again.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from accrual.blocks import as_seed
from accrual.detectors import Detector, as_detector
from accrual.isolation.balancer import suspicions
from accrual.isolation.result import Result, as_count, as_positive, as_share, check_size, percent
from accrual.tables import figure

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["Canary", "release"]


@dataclass(frozen=True, eq=False, kw_only=True, repr=False)
class Canary(Result):
    """What a release came to.

    Attributes
    ----------
    detector : str
    threshold : float
    share : float
        Of the users who got the new version.
    bug, errors : float
        Share of requests that fail with the new version, and with the old one.
    released : float
        When [s].
    suspected : float
        When the canary was suspected [s]; inf if it never was.
    rolled_back : float
        When the last request went to the new version at the latest [s]; the end of the run without a suspicion.
    requests, failed : int
        With the new version.
    users, hurt : int
        Who got it, and of these those with a failed request since then.
    hurt_share : float
        Of all users.
    false_alarm : bool
        Whether it was suspected though the new version is no worse than the old one, or before it was released.
    duration : float
        Of the run [s].
    heartbeats : float64 array
        When the canary was found well [s].
    """

    detector: str
    threshold: float
    share: float
    bug: float
    errors: float
    released: float
    suspected: float
    rolled_back: float
    requests: int
    failed: int
    users: int
    hurt: int
    hurt_share: float
    false_alarm: bool
    duration: float
    heartbeats: NDArray[np.float64]

    @property
    def detection_time(self) -> float:
        """From the release to the suspicion [s]."""
        return self.suspected - self.released

    def title(self) -> str:
        """What came of it."""
        what = "a false alarm" if self.false_alarm else f"{percent(self.bug)} of its requests fail"
        when = (
            f"taken back {figure(self.rolled_back - self.released)} s after" if self.suspected < math.inf else "kept on"
        )
        return f"canary of {percent(self.share)}, {what}: {when}, {percent(self.hurt_share)} of all users hurt"

    def table(self) -> list[list[str]]:
        """The figures, as texts under a head."""
        head = ["share", "requests", "failed", "users", "hurt", "suspected after [s]", "taken back after [s]"]
        counts = [f"{count:,}" for count in (self.requests, self.failed, self.users, self.hurt)]
        times = [figure(self.detection_time), figure(self.rolled_back - self.released)]
        return [head, [percent(self.share), *counts, *times]]

    def records(self) -> list[dict[str, Any]]:
        """One row."""
        return [{name: value for name, value in self.to_dict().items() if name != "heartbeats"}]


def release(
    detector: Detector,
    threshold: float,
    *,
    share: float = 0.05,
    bug: float = 0.5,
    errors: float = 0.001,
    allowed: float = 0.1,
    rate: float = 120.0,
    users: int = 1000,
    duration: float = 120.0,
    released: float = 60.0,
    period: float = 1.0,
    delay: float = 0.02,
    rollback: float = 1.0,
    seed: int = 0,
) -> Canary:
    """Release a version to a share of the users, and take it back when a detector suspects it.

    Before the release the same users are watched with the old version, so that the detector has a history; a canary
    that was never well is never suspected.

    Parameters
    ----------
    detector : Detector
    threshold : float
        The level from which on the canary is taken back.
    share : float
        Of the users, from 0 to 1; a user stays with a version.
    bug, errors : float
        Share of requests that fail, with the new version and with the old one.
    allowed : float
        Up to which share of failed requests the canary is well; also where nobody asked.
    rate : float
        Requests a second, of all users.
    users : int
    duration, released : float
        How long it runs, and when the new version comes [s].
    period : float
        How often health is looked at [s].
    delay : float
        Mean of what a heartbeat then needs, exponential [s].
    rollback : float
        From the suspicion until nobody has the new version [s].
    seed : int
        What chance begins with; the same requests for each detector and share.

    Raises
    ------
    ValueError
        With name, bound and value: for instance a share above 1.

    Examples
    --------
    >>> import accrual as ac
    >>> watched = release(ac.FixedTimeout(period=1.0), threshold=3, share=0.05)
    >>> unwatched = release(ac.FixedTimeout(period=1.0), threshold=1e9, share=0.05)
    >>> watched.hurt, unwatched.hurt, watched.users
    (17, 41, 42)
    """
    detector = as_detector(detector)
    share, bug, errors = as_share("share", share), as_share("bug", bug), as_share("errors", errors)
    allowed = as_share("allowed", allowed)
    rate, users = as_positive("rate", rate, "requests a second"), as_count("users", users)
    duration = as_positive("duration", duration, "seconds")
    released = as_positive("released", released, "seconds", zero=True)
    if not released < duration:
        raise ValueError(f"released must be before the end of the run at {duration:g} s, got {released!r}")
    period, delay = as_positive("period", period, "seconds"), as_positive("delay", delay, "seconds", zero=True)
    rollback = as_positive("rollback", rollback, "seconds", zero=True)

    check_size("requests (rate times duration)", rate * duration)
    check_size("heartbeats (duration over period)", duration / period)

    times, whose, groups, luck, waits = map(np.random.default_rng, np.random.SeedSequence(as_seed(seed)).spawn(5))
    arrivals = np.sort(times.uniform(0, duration, times.poisson(rate * duration)))
    user = whose.integers(users, size=len(arrivals))
    in_canary = groups.random(users) < share
    chance = luck.random(len(arrivals))
    canary = in_canary[user]
    new = canary & (arrivals >= released)
    failed = chance < np.where(new, bug, errors)

    checks = max(int(duration / period), 1)
    check = np.minimum((arrivals[canary] / period).astype(np.int64), checks - 1)
    asked = np.bincount(check, minlength=checks)
    bad = np.bincount(check, weights=failed[canary], minlength=checks)
    well = (np.arange(1, checks + 1) * period)[bad <= allowed * asked]
    heartbeats = np.sort(well + waits.exponential(delay, checks)[bad <= allowed * asked])
    out = suspicions(detector, threshold, heartbeats, duration)
    suspected = next((start for start, end in out if end > released), math.inf)
    rolled_back = min(max(suspected, released) + rollback, duration)
    new &= arrivals < rolled_back
    hurt = len(np.unique(user[new & failed]))
    return Canary(
        detector=str(detector),
        threshold=float(threshold),
        share=share,
        bug=bug,
        errors=errors,
        released=released,
        suspected=suspected,
        rolled_back=rolled_back,
        requests=int(np.count_nonzero(new)),
        failed=int(np.count_nonzero(new & failed)),
        users=int(np.count_nonzero(in_canary)),
        hurt=hurt,
        hurt_share=hurt / users,
        false_alarm=suspected < math.inf and (bug <= errors or suspected < released),
        duration=duration,
        heartbeats=heartbeats,
    )
