"""Answers to the questions of lesson 3. Those in RIGHT take other roads than the library."""

import math
import statistics
import sys
from decimal import Decimal
from fractions import Fraction

import numpy as np
from scipy import stats

import accrual as ac


def by_hand(intervals):
    mean = sum(intervals) / len(intervals)
    return [mean, (sum((x - mean) ** 2 for x in intervals) / len(intervals)) ** 0.5]


def from_the_density(t, mean, deviation):
    """By the trapezoidal rule, out to 12 deviations."""
    x = np.linspace(t, mean + 12 * deviation, 200_001)
    density = np.exp(-(((x - mean) / deviation) ** 2) / 2) / (deviation * math.sqrt(2 * math.pi))
    return np.trapezoid(density, x)


def threshold_for(rate):
    curve = ac.curve(ac.load("contended"), ac.PhiNormal(window=1000), np.geomspace(0.5, 1000, 500), skip=5000)
    return curve.thresholds[curve.mistake_rate <= rate][0]


RIGHT = {
    "03.1": [9, 9.0, np.int64(9), np.array(9), Fraction(9), Decimal(9), "9"],
    "03.2": [
        by_hand,
        lambda x: (np.mean(x), np.std(x)),
        lambda x: np.array([x.mean(), x.var() ** 0.5]),
        lambda x: (statistics.fmean(x), statistics.pstdev(x)),
        lambda x: (np.mean(x), math.sqrt(np.mean(x * x) - np.mean(x) ** 2)),
    ],
    "03.3": [
        lambda t, m, s: 0.5 * math.erfc((t - m) / (s * math.sqrt(2))),
        lambda t, m, s: 1 - 0.5 * (1 + math.erf((t - m) / s / math.sqrt(2))),
        lambda t, m, s: 1 - statistics.NormalDist(m, s).cdf(t),
        stats.norm.sf,
        from_the_density,
    ],
    "03.4": [10**-2.5, 0.0032, 0.00316, np.float32(0.00316)],
    "03.5": [1.95, 2, 1.8, Fraction(39, 20)],
    "03.6": [threshold_for(0.1), float(threshold_for(0.1)), threshold_for(0.1) * 1.1],
}

WRONG = {
    "03.1": [10, 8, 11, 1, 0, -9, 9.5, math.nan, math.inf, "nine", [9, 9], {}, print, 9j],
    "03.2": [
        3,
        (1, 2),
        lambda x: None,
        lambda x: 0,
        lambda x: (0, 0),
        lambda x: (1, 2, 3),
        lambda x: ("a", "b"),
        lambda x: (x.mean(), x.std(ddof=1)),
        lambda x: (x.mean(), x.var()),
        lambda x: (x.std(), x.mean()),
        lambda x: (x.mean(), x.mean()),
        lambda: 1,
        lambda x: 1 / 0,
        lambda x: sys.exit(),
    ],
    "03.3": [
        0.5,
        lambda t, m, s: 0.5,
        lambda t, m, s: 0.5 * (1 + math.erf((t - m) / s / math.sqrt(2))),
        lambda t, m, s: math.erfc((t - m) / s),
        lambda t, m, s: ...,
        lambda t, m, s: math.nan,
        lambda t: t,
    ],
    "03.4": [0.1, 0.316, 316, math.exp(-2.5), 2.5, -0.00316, 0.005, (1, 2)],
    "03.5": [1, 0.001, 4.2, 0.00195, 0.195, 1.2, math.nan, "two"],
    "03.6": [
        0,
        -1,
        math.nan,
        math.inf,
        1e-3,
        1e6,
        None.__class__,
        "high",
        threshold_for(0.1) / 1.5,
        threshold_for(0.1) * 1.5,
    ],
}

GIVEN_AWAY = {"03.1": "9", "03.4": "0.003", "03.5": "1.9"}
"""What no hint may say."""
