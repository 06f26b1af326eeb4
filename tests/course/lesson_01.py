"""Answers to the questions of lesson 1. Those in RIGHT take other roads than the library."""

import math
from decimal import Decimal
from fractions import Fraction

import numpy as np

SORTED = {
    "disk": ("node", "physical"),
    "memory": ("node", "physical"),
    "cable": ("network", "physical"),
    "overload": ("node", "software"),
    "DNS": ("network", "software"),
    "bug": ("node", "software"),
    "router": ("network", "physical"),
    "firewall": ("network", "software"),
}


def by_asking_each(observer, machines, down, cut):
    found = []
    for machine in machines:
        if machine == observer:
            continue
        if machine in down or {machine, observer} in [set(link) for link in cut]:
            found.append(machine)
    return found


def spoils_its_arguments(observer, machines, down, cut):
    for a, b in cut:
        if observer in (a, b):
            down.add(b if a == observer else a)
    return down - {observer}


HARMONIC = np.cumsum(30 / np.arange(1, 200_001))
NODES = int(np.argmax(HARMONIC >= 365)) + 1  # 30 + 15 + 10 + ... reaches 365 days

RIGHT = {
    "01.1": [
        lambda f, r: 1 / (1 + r / f),
        lambda f, r: Fraction(f) / (Fraction(f) + Fraction(r)),
        lambda mttf, mttr: 1 - mttr / (mttr + mttf),
    ],
    "01.2": [604_800 / 9999, 60, 60.49, Decimal("60.5"), "60.5", np.float32(60.4)],
    "01.3": [0.997002999, 0.997, np.prod([0.999] * 3), Fraction(999, 1000) ** 3],
    "01.4": [
        SORTED,
        {card: list(pair) for card, pair in SORTED.items()},
        {card: (kind.upper(), f" {place}") for card, (place, kind) in SORTED.items()},
    ],
    "01.5": [
        by_asking_each,
        lambda observer, machines, down, cut: (
            (down | {m for link in cut if observer in link for m in link}) - {observer}
        ),
        lambda o, m, d, c: frozenset(x for x in m if x != o and (x in d or (o, x) in c or (x, o) in c)),
    ],
    "01.6": [{"crash", "cut cable"}, ["cut cable", "crash"], ("Crash", " cut cable"), {"crash": 1, "cut cable": 2}],
    "01.7": [NODES, float(NODES), np.int64(NODES), round(NODES * 1.005)],
}

WRONG = {
    "01.1": [
        0.97,
        lambda f, r: r / (f + r),
        lambda f, r: 100 * f / (f + r),
        lambda f, r: 1 - r / f,
        lambda f, r: f / r,
        lambda f, r: f - r,
        lambda f: f,
        lambda f, r: None,
        lambda f, r: 1 / 0,
        lambda f, r: math.nan,
    ],
    "01.2": [1.008, 0.0168, 605, 6.05, 55, 70, math.nan, math.inf, -60, "a minute"],
    "01.3": [0.999, 99.7003, 1 - 0.001**3, 0.9, 0.9999, 2.997, math.nan, "most of the time"],
    "01.4": [
        dict.fromkeys(SORTED),
        {},
        "node",
        17,
        SORTED | {"bug": None},
        SORTED | {"bug": "node"},
        SORTED | {"bug": ("node",)},
        SORTED | {"bug": ("node", "hardware")},
        *(
            SORTED | {card: (place, kind)}
            for card in SORTED
            for place in ("node", "network")
            for kind in ("physical", "software")
            if SORTED[card] != (place, kind)
        ),
    ],
    "01.5": [
        {"B"},
        lambda observer, machines, down, cut: set(),
        lambda observer, machines, down, cut: down,
        lambda observer, machines, down, cut: machines,
        lambda observer, machines, down, cut: 3,
        lambda observer, machines, down, cut: down | {b for a, b in cut if a == observer},
        lambda observer, machines, down, cut: down | {m for link in cut for m in link} - {observer},
        lambda observer, machines, down, cut: None,
        lambda observer: set(),
        spoils_its_arguments,
    ],
    "01.6": [
        "crash",
        {"crash"},
        {"crash", "pause"},
        {"partition", "slow network"},
        {"crash", "cut cable", "pause"},
        {"crash", "fire"},
        {1, 2},
        7,
        [[], {}],
    ],
    "01.7": [0, -3, 3, 12, 13, 1000, NODES - 1, NODES * 2, 2.5, math.nan, math.inf, 1e9, "many"],
}

GIVEN_AWAY = {"01.2": "60", "01.3": "0.997", "01.7": f"{NODES:,}"}
"""What no hint may say."""
