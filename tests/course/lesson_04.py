"""Answers to the questions of lesson 4. Those in RIGHT take other roads than the library."""

import math
import sys

import numpy as np

import accrual as ac


def equally_quick(target=3):
    """By bisection."""
    trace = ac.load("synthetic-regime-switching")
    wanted = ac.qos(trace, ac.PhiNormal(window=1000), target, skip=1000).detection_time
    low, high = 1.0, 3.0
    while high - low > 1e-4:
        middle = (low + high) / 2
        sooner = ac.qos(trace, ac.FixedTimeout(period=0.1), middle, skip=1000).detection_time < wanted
        low, high = (middle, high) if sooner else (low, middle)
    return low


def by_sorting(curve, mistake_rate):
    points = sorted(zip(curve.detection_time, curve.thresholds, curve.mistake_rate, strict=True))
    return next(threshold for _, threshold, rate in points if rate <= mistake_rate)


def by_pandas(curve, mistake_rate):
    table = curve.to_pandas()
    return table[table.mistake_rate <= mistake_rate].sort_values("detection_time").threshold.iloc[0]


def first_allowed(curve, mistake_rate):
    """Right only where thresholds rise."""
    return curve.thresholds[curve.mistake_rate <= mistake_rate][0]


RIGHT = {
    "04.1": [equally_quick(), np.float64(equally_quick()), f"{equally_quick():.3f}"],
    "04.2": [
        by_sorting,
        by_pandas,
        lambda curve, rate: min(curve.thresholds[curve.mistake_rate <= rate]),  # both detectors slow down as it rises
    ],
    "04.3": [
        lambda found, mistake, crashes: 3600 * found.mistake_rate * mistake + crashes * found.detection_time_uniform,
        lambda f, m, c: f.mistakes / f.observed * 3600 * m + c * f.detection_time_uniform,
        lambda f, m, c: np.dot([3600 * f.mistake_rate, f.detection_time_uniform], [m, c]),
    ],
    "04.4": [
        (ac.PhiNormal(window=1000), 12),
        [ac.PhiNormal(window=100), 9.0],
        (ac.PhiStudent(window=100), np.float64(8)),
        (ac.FixedTimeout(period=1), 2.0),  # who guesses that well may
        (ac.Chen(window=100), 1.0),
    ],
}

WRONG = {
    "04.1": [0.164, 1.64, 0.1323, 1, 2, 3, 0, -1, math.nan, math.inf, "three", [1.3], print],
    "04.2": [
        5,
        first_allowed,
        lambda curve, rate: None,
        lambda curve, rate: curve.thresholds[0],
        lambda curve, rate: curve.detection_time.min(),
        lambda curve, rate: max(curve.thresholds),
        lambda curve, rate: min(curve.thresholds),
        lambda curve, rate: "low",
        lambda curve, rate: 1 / 0,
        lambda curve, rate: sys.exit(),
        lambda curve: 1,
    ],
    "04.3": [
        1.0,
        lambda f, m, c: ...,
        lambda f, m, c: 3600 * f.mistake_rate * m + c * f.detection_time,
        lambda f, m, c: f.mistake_rate * m + c * f.detection_time_uniform,
        lambda f, m, c: f.mistakes * m + c * f.detection_time_uniform,
        lambda f, m, c: 3600 * f.mistake_rate * m + f.detection_time_uniform,
        lambda f, m, c: 3600 * f.mistake_rate * m,
        lambda f, m, c: math.nan,
        lambda f: 0,
    ],
    "04.4": [
        8,
        "phi",
        ("phi", 8),
        (8, ac.PhiNormal()),
        (ac.PhiNormal, 8),
        (ac.PhiNormal(), None),
        (ac.PhiNormal(), math.nan),
        (ac.PhiNormal(), "high"),
        (ac.PhiNormal(), 1),
        (ac.PhiNormal(), 900),
        (ac.FixedTimeout(period=1), 1.1),
        (ac.FixedTimeout(period=1), 10),
        (ac.FixedTimeout(period=1), 2, 3),
        (ac.FixedTimeout(period=1), -1),
    ],
}

GIVEN_AWAY = {"04.1": "1.32"}
"""What no hint may say."""
