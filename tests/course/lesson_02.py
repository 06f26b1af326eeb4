"""Answers to the questions of lesson 2. Those in RIGHT take other roads than the library."""

import math
import sys
from decimal import Decimal
from fractions import Fraction

import numpy as np

import accrual as ac


def by_events(after, k, period, transit):
    """Heartbeats by hand, the crash between the fourth and the fifth."""
    sent = [i * period for i in range(4)]
    return max(instant + transit for instant in sent) + k * period - (sent[-1] + after)


def rarely_wrong():
    """By counting long intervals."""
    intervals = np.diff(ac.load("contended").arrivals)
    return next(k for k in range(1, 1000) if np.sum(intervals > k * 10**7) / (intervals.sum() / 1e9) <= 1 / 60)


RIGHT = {
    "02.1": [49_500, 49_500.0, np.int64(49_500), Decimal(49_500), "49500"],
    "02.2": [
        by_events,
        lambda after, k, period, transit: transit + k * period - after,
        lambda a, k, t, d: np.float64(k * t - (a - d)),
        lambda a, k, t, d: float(Fraction(d) + k * Fraction(t) - Fraction(a)),
    ],
    "02.3": [9, 9.0, np.int64(9), Fraction(9), "9"],
    "02.4": [rarely_wrong(), float(rarely_wrong()), np.int64(rarely_wrong())],
    "02.5": [2.6, 78 / 30, Fraction(78, 30), np.float32(2.6)],
}

WRONG = {
    "02.1": [9_900, 50_000, 24_750, 1_980, 500, 0, -49_500, math.nan, math.inf, "many", [49_500], print, 9j],
    "02.2": [
        1.03,
        lambda a, k, t, d: None,
        lambda a, k, t, d: ...,
        lambda a, k, t, d: k * t,
        lambda a, k, t, d: k * t - a,
        lambda a, k, t, d: k * t + d,
        lambda a, k, t, d: k * t + d + a,
        lambda a, k, t, d: (k + 1) * t + d - a,
        lambda a, k, t, d: math.nan,
        lambda a, k, t, d: 1 / 0,
        lambda a, k, t, d: sys.exit(),
        lambda a: a,
    ],
    "02.3": [10, 8, 5, 0, -9, 9.5, 9.7, math.nan, math.inf, 1e300, "nine", (9,)],
    "02.4": [
        43,
        50,
        100,
        5,
        1,
        0,
        -44,
        46.5,
        math.nan,
        math.inf,
        1e300,
        "many",
        rarely_wrong() - 1,
        rarely_wrong() + 1,
    ],
    "02.5": [30 / 78, 48, 20, 1, 78, 2.0, -2.6, math.nan, "more", None.__class__],
}

GIVEN_AWAY = {"02.1": "49,500", "02.3": "9", "02.5": "2.6"}
"""What no hint may say."""
