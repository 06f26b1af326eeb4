"""Answers to the questions of lesson 7. Those in RIGHT take other roads than the library."""

import math
import sys

import numpy as np

import accrual.isolation as iso
from accrual.lab import recorded
from accrual.show.neighbours import levels, sent


def by_simulation(share, quota, period):
    """The longest gap there can be: over all phases of the heartbeats, a step of time after the other."""
    steps = 1000
    return max(held_from(share, quota, period, quota * share - step / steps * period) for step in range(steps + 1))


def held_from(share, quota, period, last):
    """From the last heartbeat before being held back until the group may run again."""
    return quota - last


def by_erlang(services, load):
    """Workers one by one until 1 % is refused at most, by the recursion of Erlang's B."""

    def fewest(load):
        blocking, workers = 1.0, 0
        while blocking > 0.01:
            workers += 1
            blocking = load * blocking / (workers + load * blocking)
        return workers

    return services * fewest(load / services) - fewest(load)


def by_rules(faults):
    """From where each fault ends, not from the table."""
    order = ["request", "pool", "process", "container", "network", "vm", "host", "cluster", "datacenter"]
    needs = {"request": 0, "pool": 0, "process": 1, "container": 2, "network": 3, "vm": 3, "host": 4, "cluster": 5}
    ends = {fault: iso.RULES[fault].stopped_by for fault in faults}
    assert set(ends.values()) <= set(order)
    return list(iso.LEVELS)[max((needs | {"datacenter": 6})[end] for end in ends.values())]


TRUTH = {"a": True, "b": False, "c": True, "d": True, "e": False, "f": True}

RIGHT = {
    "07.1": [5, 5.0, "5", next(k for k in range(1, 99) if recorded("containers").facts["hog_longest"] < k * 0.01)],
    "07.2": [by_simulation, lambda share, quota, period: quota - share * quota + period],
    "07.3": [TRUTH, {**TRUTH, "b": 0, "d": 1}],
    "07.4": [(40, 55), [40.0, 55.0]],
    "07.5": [by_erlang, lambda n, load: n * iso.workers_for(load / n, 0.01) - iso.workers_for(load, 0.01)],
    "07.6": [
        by_rules,
        lambda faults: next(
            level for level in iso.LEVELS if max(levels().taken[level][fault][0] for fault in faults) == 1
        ),
    ],
}

WRONG = {
    "07.1": [3, 4, 6, 4.0012, 0, -1, "many", [8], print],
    "07.2": [
        0.09,
        lambda share, quota, period: quota * (1 - share),
        lambda share, quota, period: quota * share,
        lambda share, quota, period: quota * share + period,
        lambda share, quota, period: quota + period,
        lambda share, quota, period: quota * (1 - share) - period,
        lambda share, quota, period: max(np.diff(sent(share, quota, period, 2))),
        lambda share, quota, period: math.nan,
        lambda share, quota, period: None,
        lambda share: 1,
        lambda share, quota, period: sys.exit(),
    ],
    "07.3": [
        "abc",
        {},
        {"a": True},
        dict.fromkeys("abcdef", True),
        dict.fromkeys("abcdef", False),
        *({**TRUTH, letter: not TRUTH[letter]} for letter in TRUTH),
    ],
    "07.4": [
        50,
        (50, 60),
        (40, 50),
        (55, 40),
        (40, 60),
        (40, 65),
        (0, 55),
        (40, 70),
        (40,),
        "40 to 55",
        (math.nan, 55),
    ],
    "07.5": [
        8,
        lambda n, load: 0,
        lambda n, load: iso.workers_for(load, 0.01) - n * iso.workers_for(load / n, 0.01),
        lambda n, load: n * iso.workers_for(load / n, 0.01),
        lambda n, load: iso.workers_for(load / n, 0.01) - iso.workers_for(load, 0.01),
        lambda n, load: n * iso.workers_for(load / n, 0.05) - iso.workers_for(load, 0.05),
        lambda n, load: None,
    ],
    "07.6": [
        "vm",
        lambda faults: "process",
        lambda faults: "datacenter",
        lambda faults: 3,
        lambda faults: "pod",
        lambda faults: None,
        lambda faults: 1 / 0,
    ],
}

GIVEN_AWAY = {"07.4": "55"}
"""What no hint may say."""
