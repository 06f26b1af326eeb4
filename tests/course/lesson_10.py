"""Answers to the questions of lesson 10. Those in RIGHT take other roads than the library."""

import math
import sys


def by_counting(rate, delay, wait):
    """Write by write: which are told OK, and not yet there, when the primary dies at 0?"""
    sent = [-(k + 0.5) / rate for k in range(2000)]
    return sum(t + wait <= 0 < t + delay for t in sent)


def gone(run):
    """From the lost writes to those who read them, last first."""
    numbers = [o.number for o in run.operations if o.kind == "write"]
    lost = {number for number in numbers if number not in run.survivors}
    return tuple(o.number for o in reversed(run.operations) if o.value in lost)


RIGHT = {
    "10.1": [
        lambda rate, delay, wait: rate * max(0, delay - wait),
        lambda rate, delay, wait: 0 if wait >= delay else rate * delay - rate * wait,
        by_counting,
    ],
    "10.2": [2, 2.0, "2"],
    "10.3": [
        lambda run: [
            o.number
            for o in run.operations
            if o.kind == "read" and o.status == "ok" and o.value is not None and o.value not in run.survivors
        ],
        gone,
        lambda run: {read for read, _ in run.findings.phantom},
    ],
    "10.4": [
        lambda rate, outage, timeout: rate * outage if outage > timeout else 0,
        lambda rate, outage, timeout: rate * outage * (timeout < outage),
    ],
}

WRONG = {
    "10.1": [
        20,
        lambda rate, delay, wait: rate * (delay - wait),
        lambda rate, delay, wait: rate * delay,
        lambda rate, delay, wait: rate * abs(delay - wait),
        lambda rate, delay, wait: 0,
        lambda rate, delay, wait: None,
        lambda rate, delay, wait: math.nan,
        lambda rate: 0,
        lambda rate, delay, wait: sys.exit(),
    ],
    "10.2": [0, 1, 3, 4, 5, -2, 2.5, math.nan, math.inf, "two", [2], print],
    "10.3": [
        2,
        "two",
        lambda run: 1,
        lambda run: [],
        lambda run: None,
        lambda run: [None],
        lambda run: [o.number for o in run.operations if o.value not in run.survivors],
        lambda run: [o.number for o in run.operations if o.kind == "write" and o.number not in run.survivors],
        lambda run: [o.number for o in run.operations if o.kind == "read" and o.value not in run.survivors],
        lambda run: [
            o.number
            for o in run.operations
            if o.kind == "read" and o.status == "ok" and o.value not in run.survivors  # not even None
        ],
        lambda run: [read.number for read, _ in run.findings.phantom][:1],
        lambda run: [write.number for _, write in run.findings.phantom],
        lambda run, more: [],
    ],
    "10.4": [
        120,
        lambda rate, outage, timeout: rate * max(0, outage - timeout),
        lambda rate, outage, timeout: rate * outage,
        lambda rate, outage, timeout: rate * min(outage, timeout),
        lambda rate, outage, timeout: rate * timeout if outage > timeout else 0,
        lambda rate, outage, timeout: None,
        lambda rate, outage, timeout: "all",
        lambda rate, outage: 0,
    ],
}

GIVEN_AWAY = {}
"""What no hint may say."""
