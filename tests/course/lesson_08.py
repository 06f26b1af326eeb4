"""Answers to the questions of lesson 8. Those in RIGHT take other roads than the library."""

import itertools
import math
import sys
from fractions import Fraction

import numpy as np
from scipy import stats

import accrual.isolation as iso


def one_by_one(t, users, rate, servers):
    """Of so many requests each is this user's, and meets the dead server, with a chance of 1 in users * servers."""
    return 1 - (1 - 1 / (users * servers)) ** (rate * t)


def fullest(shards):
    """By counting who is where."""
    return np.bincount(iso.assign("shards", 1000, shards).reach[:, 0], minlength=shards).max()


def by_listing(workers, size):
    """All sets written down, where that can be done; else by the law of draws without putting back."""
    if math.comb(workers, size) > 50_000:
        return stats.hypergeom(workers, size, size).pmf(size)
    return 1 / sum(1 for _ in itertools.combinations(range(workers), size))


def by_windows():
    """The deadline that each window of intervals sets, by its mean and deviation; on average."""
    arrivals = iso.heartbeats(3600, pauses=0.05) / 1e9
    gaps = np.diff(arrivals)
    windows = np.lib.stride_tricks.sliding_window_view(gaps, 100)
    waits = windows.mean(axis=1) + stats.norm.isf(1e-8) * windows.std(axis=1)
    return float(waits.mean() / 0.1)


SMALLEST = next(n for n in range(1, 1001) if fullest(n) <= 50)

RIGHT = {
    "08.1": [
        one_by_one,
        lambda t, users, rate, servers: 1 - math.exp(-rate / users / servers * t),
        lambda t, u, r, s: stats.expon(scale=u * s / r).cdf(t),
    ],
    "08.2": [SMALLEST, float(SMALLEST), np.int64(SMALLEST), str(SMALLEST)],
    "08.3": [by_listing, lambda n, k: Fraction(math.factorial(k) * math.factorial(n - k), math.factorial(n))],
    "08.4": [4, 4.0, "4", next(k for k in range(1, 33) if 4999 * Fraction(1, math.comb(32, k)) < 1)],
    "08.5": [
        lambda share, bug, exposed, users, rate: users * share * (1 - math.exp(-rate / users * bug * exposed)),
        lambda s, b, e, u, r: u * s * (1 - (1 - b / u) ** (r * e)),
        lambda s, b, e, u, r: u * s * stats.poisson(r / u * b * e).sf(0),
    ],
    "08.6": [by_windows(), f"{by_windows():.2f}"],
}

WRONG = {
    "08.1": [
        0.139,
        lambda t, u, r, s: None,
        lambda t, u, r, s: ...,
        lambda t, u, r, s: math.exp(-r / u / s * t),
        lambda t, u, r, s: r / u / s * t,
        lambda t, u, r, s: 1 - math.exp(-r / u * t),
        lambda t, u, r, s: (1 - math.exp(-r / u * t)) / s,
        lambda t, u, r, s: u * (1 - math.exp(-r / u / s * t)),
        lambda t, u, r, s: 1 / s,
        lambda t, u, r, s: math.nan,
        lambda t, u, r, s: 1 / 0,
        lambda t, u, r, s: sys.exit(),
        lambda t: t,
    ],
    "08.2": [20, 1, SMALLEST - 1, SMALLEST + 1, 1000, 0, -1, 20.5, 1e300, math.nan, math.inf, "many", [25]],
    "08.3": [
        1 / 28,
        math.comb,
        lambda n, k: 1 / math.perm(n, k),
        lambda n, k: n**-k,
        lambda n, k: k / n,
        lambda n, k: 0,
        lambda n, k: None,
        lambda n, k: math.nan,
        lambda n: n,
    ],
    "08.4": [3, 2, 1, 5, 32, 0, 33, -4, 3.5, math.nan, math.inf, "four", (4,)],
    "08.5": [
        19,
        lambda s, b, e, u, r: u * s * r / u * b * e,
        lambda s, b, e, u, r: u * (1 - math.exp(-r / u * b * e)),
        lambda s, b, e, u, r: s * (1 - math.exp(-r / u * b * e)),
        lambda s, b, e, u, r: u * s * math.exp(-r / u * b * e),
        lambda s, b, e, u, r: u * s,
        lambda s, b, e, u, r: None,
        lambda s, b, e, u, r: math.nan,
        lambda s: s,
    ],
    "08.6": [
        3,
        2,
        1,
        by_windows() / 10,
        by_windows() * 100,
        1.2 * by_windows(),
        0,
        -1.9,
        math.nan,
        math.inf,
        "k",
        None.__class__,
    ],
}

GIVEN_AWAY = {"08.2": f" {SMALLEST} ", "08.4": " 4 "}
"""What no hint may say."""
