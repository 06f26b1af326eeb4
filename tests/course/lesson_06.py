"""Answers to the questions of lesson 6. Those in RIGHT take other roads than the library."""

import math
import sys
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from fractions import Fraction

import numpy as np

from accrual.lab import recorded


def lazily(names, workers):
    pools = {}
    for name in names:
        pools[name] = ThreadPoolExecutor(max_workers=workers, thread_name_prefix=name)
    return pools


BOUNDARIES = {"hang": 0, "segfault": 1, "bridge": 3, "kernel-panic": 4}  # counted from the inside out, by hand
WALLS = {"thread": 0, "process": 1, "container": 2, "vm": 4}


def by_walls(level, fault, failing):
    """A fault is alone if it stops at a wall that each has to itself; else it takes all, and may be anywhere."""
    alone = BOUNDARIES[fault] <= WALLS[level]
    everybody = ["order", "payment", "delivery"]
    if alone:
        return list(failing) if len(failing) == 1 else []
    return everybody if len(failing) == len(everybody) else []


TRIP = {row["rung"]: row["p50"] for row in recorded("ladder").rows}["remote procedure call"]
CALLS = math.floor(Fraction(1, 10) / Fraction(TRIP))

RIGHT = {
    "06.1": [0.28, 11.2 / 40, Fraction(28, 100), "0.28", np.float64(0.28)],
    "06.2": [
        lazily,
        lambda names, workers: {name: ThreadPoolExecutor(workers) for name in names},
        lambda names, workers: dict(zip(names, (ThreadPoolExecutor(workers) for _ in names), strict=True)),
    ],
    "06.3": [180, 180.0, np.int64(180), "180"],
    "06.4": [by_walls, lambda *of: tuple(by_walls(*of)), lambda *of: set(by_walls(*of))],
    "06.5": [CALLS, float(CALLS), np.int64(CALLS)],
}

WRONG = {
    "06.1": [280, 300, 0.3, 0.1, 5, 0.2, 0, -0.28, math.nan, math.inf, "soon", [0.28]],
    "06.2": [
        4,
        lambda names, workers: None,
        lambda names, workers: ...,
        lambda names, workers: [ThreadPoolExecutor(workers) for _ in names],
        lambda names, workers: dict.fromkeys(names, ThreadPoolExecutor(workers)),
        lambda names, workers: dict.fromkeys(names, workers),
        lambda names, workers: {name: ThreadPoolExecutor(workers + 1) for name in names},
        lambda names, workers: {},
        lambda names, workers: {name: ProcessPoolExecutor(workers) for name in names} and {},
        lambda names, workers: 1 / 0,
        lambda names, workers: sys.exit(),
        lambda names: {},
    ],
    "06.3": [60, 120, 150, 240, 720, 200, 0, -180, math.nan, math.inf, "later"],
    "06.4": [
        "payment",
        lambda level, fault, failing: None,
        lambda level, fault, failing: failing,
        lambda level, fault, failing: failing[:1],
        lambda level, fault, failing: "payment",
        lambda level, fault, failing: 3,
        lambda level, fault, failing: ["order", "payment", "delivery"],
        lambda level, fault, failing: [],
        lambda level, fault, failing: {}["culprit"],
    ],
    "06.5": [CALLS + 1, CALLS - 1, 0.1 / TRIP, 0, -CALLS, 1000, math.nan, math.inf, "some", [CALLS]],
}

GIVEN_AWAY = {"06.1": "0.28", "06.3": "180 a second"}
"""What no hint may say."""
