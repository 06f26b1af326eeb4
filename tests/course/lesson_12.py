"""Answers to the questions of lesson 12. Those in RIGHT take other roads than the library."""

import math

import numpy as np

import accrual as ac
from accrual.recovery import FailoverController

TRACE = ac.load("paused")
FIXED = ac.FixedTimeout(period=0.01)


def by_loop(operations, survivors):
    first, last = math.inf, -math.inf
    for o in operations:
        if o.kind == "write" and o.status == "ok" and o.number not in survivors:
            first, last = min(first, o.start), max(last, o.end)
    return max(0.0, last - first)


def without_ends(operations, survivors):
    lost = [o.start for o in operations if o.kind == "write" and o.number not in survivors]
    return max(lost) - min(lost) if lost else 0


def building(wait, detector=FIXED, threshold=50):
    def build(fence, promote):
        return FailoverController(
            ["primary", "backup"], "primary", detector=detector, threshold=threshold,
            wait_before_promote=wait, fence=fence, promote=promote,
        )  # fmt: skip

    return build


RIGHT = {
    "12.1": ["in_flight"],
    "12.2": [
        lambda mtbf, detect, repair: 1 - (detect + repair) / mtbf,
        lambda mtbf, detect, repair: np.float64(mtbf - detect - repair) / mtbf,
    ],
    "12.3": [by_loop],
    "12.4": [(TRACE, FIXED, 50), [TRACE, ac.PhiExponential(window=1000), 19.5]],
    "12.5": [(TRACE, FIXED, 50, 2.3), (TRACE, FIXED, 50, np.float64(1.8))],
    "12.6": [(TRACE, building(2.3))],
}

WRONG = {
    "12.1": ["p99", "silence", "latency", 1, [], math.nan],
    "12.2": [
        0.99,
        lambda mtbf, detect, repair: 1 - repair / mtbf,
        lambda mtbf, detect, repair: mtbf / (mtbf + detect + repair),
        lambda mtbf, detect, repair: math.nan,
        lambda mtbf: 1,
    ],
    "12.3": [4.01, without_ends, lambda operations, survivors: 4.0105, lambda operations, survivors: 0],
    "12.4": [
        FIXED,
        (TRACE, FIXED),
        (TRACE, FIXED, math.nan),
        (TRACE, FIXED, 200),
        (TRACE, FIXED, 1.5),
        (TRACE, ac.FixedTimeout, 50),
        (TRACE, "phi", 50),
        ([1.5, 2.5], FIXED, 50),
        (TRACE[:100], FIXED, 50),
    ],
    "12.5": [
        (TRACE, FIXED, 50, 0),
        (TRACE, FIXED, 50, 0.3),
        (TRACE, FIXED, 50, 5.1),
        (TRACE, FIXED, 50, -1),
        (TRACE, FIXED, 50, "long"),
        2,
    ],
    "12.6": [(TRACE, building(0)), (TRACE, lambda fence, promote: None), (TRACE, lambda: 1), building],
}

GIVEN_AWAY = {"12.1": "in_flight moves"}
"""What no hint may say."""
