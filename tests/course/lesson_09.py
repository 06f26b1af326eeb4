"""Answers to the questions of lesson 9. Those in RIGHT take other roads than the library."""

import math
import sys

import numpy as np

from accrual.recovery import Cluster


def first_ok(run):
    """Operation by operation, in the order of their ends."""
    fault, old = run.faults[0].at, None
    for operation in sorted((o for o in run.operations if o.status == "ok"), key=lambda o: o.end):
        if operation.kind == "write":
            if operation.end < fault:
                old = operation.node
            elif operation.node != old:
                return operation.end - fault
    return None


def by_node_0(run):
    ends = [o.end for o in run.operations if o.kind == "write" and o.status == "ok" and o.node != 0]
    return np.min(ends) - run.faults[0].at


def narrowest():
    """The law of Ongaro for 5 nodes of which 4 are up, spelt out and bisected: P(2 or more of 4)."""
    low, high = 5.0, 5000.0
    for _ in range(80):
        middle = (low + high) / 2
        share = 5 / middle
        split = 1 - (1 - share) ** 4 - 4 * share * (1 - share) ** 3
        low, high = (middle, high) if split > 0.01 else (low, middle)
    return high


def best_wait():
    """One outage after the other."""
    lasts = [0.4, 0.6, 1.2, 2.0, 2.5, 3.0, 4.0, 6.0, 9.0, 15.0, 40.0, 300.0]

    def cost(wait):
        paid = [outage if outage <= wait else wait + 22 for outage in lasts]
        return 0.95 * sum(paid) / len(paid) + 0.05 * (wait + 22)

    return min(lasts, key=cost)


RIGHT = {
    "09.1": [first_ok, by_node_0],
    "09.2": [20 * 98 / 6.55, 299, "299.2", np.float64(300), 20 / 0.07],
    "09.3": [narrowest(), math.ceil(narrowest()), f"{narrowest() + 0.5:.1f}"],
    "09.4": [
        Cluster(clients=4, lease=0.4, replication="quorum"),
        Cluster(clients=4, lease=0.3, replication="semi-sync", fallback_after=None),
        Cluster(clients=4, fencing="stonith", replication="quorum", election="zab"),
    ],
    "09.5": [best_wait(), best_wait() + 0.05, f"{best_wait()}"],
}

WRONG = {
    "09.1": [
        0.454,
        lambda run: None,
        lambda run: first_ok(run) + run.faults[0].at,
        lambda run: run.outcome.detection,
        lambda run: run.outcome.detection + run.outcome.election,
        lambda run: 0.05,
        lambda run: min(o.end for o in run.operations if o.status == "ok" and o.node != 0) - run.faults[0].at + 0.1,
        lambda run: math.nan,
        lambda run: "soon",
        lambda: 0.4,
        lambda run: sys.exit(),
    ],
    "09.2": [0, 20, 30, 29.9, 3.05, 0.067, 20 / (0.25 / 10), 800, 250, math.nan, math.inf, "many", print],
    "09.3": [0, -5, 5, 10, 50, 100, 600, 0.12, math.nan, math.inf, "wide", print],
    "09.4": [
        5,
        "quorum",
        Cluster,
        Cluster(lease=0.4, replication="quorum"),
        Cluster(clients=4, nodes=5, lease=0.4, replication="quorum"),
        Cluster(clients=4),
        Cluster(clients=4, fencing="none"),
        Cluster(clients=4, fencing="stonith"),
        Cluster(clients=4, lease=0.4),
        Cluster(clients=4, replication="quorum"),
        Cluster(clients=4, threshold=1000, replication="quorum"),
    ],
    "09.5": [-1, 0, 300, 9.0 + 100, math.nan, math.inf, "long", print],
}

GIVEN_AWAY = {"09.2": "299", "09.3": "119", "09.5": "15"}
"""What no hint may say."""
