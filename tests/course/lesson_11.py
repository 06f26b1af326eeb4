"""Answers to the questions of lesson 11. Those in RIGHT take other roads than the lesson."""

import math
import sys

from accrual.lab import recorded
from accrual.recovery import Cluster
from accrual.show.partition import BASE


def by_going_through_the_keys(one, two):
    lost = set()
    for key in {key for _, key, _ in [*one, *two]}:
        here = max((write for write in one if write[1] == key), default=None)
        there = max((write for write in two if write[1] == key), default=None)
        if here and there:
            lost.add(here[2] if here[0] < there[0] else there[2])
    return lost


def by_replaying(one, two):
    """All in the order of time: who of the two sides' last ones does not stand in the end?"""
    stands, last = {}, set()
    for _, key, number in sorted(one + two):
        stands[key] = number
    for side in (one, two):
        last |= set({key: number for _, key, number in sorted(side)}.values())
    return sorted(last - set(stands.values()))


def everything_that_does_not_stand(one, two):
    stands = {key: number for _, key, number in sorted(one + two)}
    return {number for _, _, number in one + two} - set(stands.values())


def from_the_events():
    """How long the wrong verdict on the partial partition stood, from the lab's own events."""
    events = recorded("recognition").events
    began = next(k for k, event in enumerate(events) if event.what.startswith("partial: n1-n2"))
    wrong, right = [event.at for event in events[began + 1 :] if event.who == "recogniser"][:2]
    return right - wrong


RIGHT = {
    "11.1": [
        Cluster(**BASE, replication="quorum", lease=0.3),
        Cluster(**BASE, replication="quorum", fencing="stonith", lease=1.0),
        Cluster(**BASE, replication="semi-sync", fallback_after=None, lease=0.5),
    ],
    "11.2": [by_going_through_the_keys, by_replaying],
    # The lesson shows hundredths of a second: their difference may be a little short.
    "11.3": [from_the_events() + 0.001, f"{from_the_events() + 0.05:.3f}", from_the_events() - 0.009],
    "11.4": [
        lambda reached, nodes: reached >= nodes // 2 + 1,
        lambda reached, nodes: reached > nodes - reached,
        lambda reached, nodes: int(2 * reached > nodes),
    ],
}

WRONG = {
    "11.1": [
        "quorum",
        Cluster(),
        Cluster(**BASE),
        Cluster(**BASE, replication="quorum"),
        Cluster(**BASE, lease=0.5),
        Cluster(**BASE, replication="sync", lease=0.5),
        Cluster(**BASE | {"rate": 0.0}, replication="quorum", lease=0.5),
        Cluster(**BASE | {"reads": 1.0}, replication="quorum", lease=0.5),
    ],
    "11.2": [
        {3, 5, 8},
        everything_that_does_not_stand,
        lambda one, two: {2, 6, 4},
        lambda one, two: {5, 3, 8},
        lambda one, two: set(),
        lambda one, two: {number for _, _, number in one},
        lambda one, two: 3,
        lambda one, two: None,
        lambda one, two: sys.exit(),
        lambda one: {1},
    ],
    "11.3": [0, 0.1, 0.3, from_the_events() - 0.011, 0.6, 20, -1, math.nan, math.inf, "long", [0.41], print],
    "11.4": [
        3,
        lambda reached, nodes: True,
        lambda reached, nodes: reached >= nodes / 2,
        lambda reached, nodes: reached == nodes,
        lambda reached, nodes: reached >= nodes // 2,
        lambda reached, nodes: None,
        lambda reached, nodes: 1 / 0,
        lambda nodes: True,
    ],
}

GIVEN_AWAY = {"11.3": "0.4"}
"""What no hint may say."""
