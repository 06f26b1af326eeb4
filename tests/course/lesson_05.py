"""Answers to the questions of lesson 5. Those in RIGHT take other roads than the library."""

import math
import sys

import numpy as np
from scipy import special, stats

import accrual as ac


def by_integration(threshold, window):
    """The density of Student's t, added up."""
    n = window
    x = stats.norm.isf(10.0**-threshold) * math.sqrt((n - 1) / (n + 1))
    log_density = special.gammaln(n / 2) - special.gammaln((n - 1) / 2) - 0.5 * math.log((n - 1) * math.pi)
    u = np.linspace(0, 1, 2_000_001)[1:]  # t = x / u
    values = np.exp(log_density - n / 2 * np.log1p((x / u) ** 2 / (n - 1))) * x / u**2
    return float(np.trapezoid(np.append(0.0, values), np.append(0.0, u)))


def by_incomplete_beta(threshold, window):
    x = special.ndtri(1 - 10.0**-threshold) if threshold < 5 else -special.ndtri(10.0**-threshold)
    t2 = x**2 * (window - 1) / (window + 1)
    return 0.5 * special.betainc((window - 1) / 2, 0.5, (window - 1) / (window - 1 + t2))


def one_in_1000():
    """From the definition: phi just before each heartbeat."""
    levels = ac.levels(ac.load("lossy"), ac.PhiNormal(window=1000))[1001:]
    return np.sort(levels)[-(len(levels) // 1000) - 1] * 1.001


def after_a_loss():
    """Heartbeat by heartbeat."""
    trace = ac.load("lossy")
    levels = ac.levels(trace, ac.PhiNormal(window=1000))
    late = [k for k in range(1, len(trace)) if levels[k] >= 3]
    return sum(trace.sequence[k] - trace.sequence[k - 1] > 1 for k in late) / len(late)


def guard(due, fired, lateness=0.1, grace=1.0):
    if fired - due <= lateness:
        return None
    return fired + grace


LOSSY = ac.load("lossy")
LOST = np.diff(LOSSY.sequence) > 1
LATE = ac.levels(LOSSY, ac.PhiNormal(window=1000))[1:] >= 3

RIGHT = {
    "05.1": [
        by_integration,
        by_incomplete_beta,
        lambda phi, n: stats.t(n - 1).sf(stats.norm.isf(10.0**-phi) / math.sqrt((n + 1) / (n - 1))),
    ],
    "05.2": [one_in_1000(), np.float64(one_in_1000()), f"{one_in_1000() * 1.05:.1f}"],
    "05.3": [
        after_a_loss(),
        round(after_a_loss(), 2),
        round(100 * after_a_loss(), 1),
        np.mean(LOST[1000:][LATE[1000:]]),
    ],
    "05.4": [guard, lambda due, fired, lateness, grace: fired + grace if fired > due + lateness else None],
}

WRONG = {
    "05.1": [
        0.00421,
        lambda phi, n: 10.0**-phi,
        lambda phi, n: None,
        lambda phi, n: stats.t.sf(stats.norm.isf(10.0**-phi), n - 1),
        lambda phi, n: stats.t.sf(stats.norm.isf(10.0**-phi) * math.sqrt((n - 1) / (n + 1)), n),
        lambda phi, n: stats.t.sf(stats.norm.isf(10.0**-phi) * math.sqrt(n / (n + 1)), n - 1),
        lambda phi, n: -math.log10(by_incomplete_beta(phi, n)),
        lambda phi, n: math.nan,
        lambda phi, n: "few",
        lambda phi: 0.1,
        lambda phi, n: sys.exit(),
    ],
    "05.2": [3, 8, 20, 40, 100, 0, -3, math.nan, math.inf, "many", [57], print],
    "05.3": [
        0,
        0.5,
        np.mean(LATE[LOST]),
        np.mean(LOST & LATE),
        np.mean(LOST),
        np.count_nonzero(LOST & LATE),
        1 - after_a_loss(),
        math.nan,
        "most",
        print,
    ],
    "05.4": [
        1.0,
        lambda due, fired, lateness, grace: fired + grace,
        lambda due, fired, lateness, grace: None,
        lambda due, fired, lateness, grace: due + grace if fired - due > lateness else None,
        lambda due, fired, lateness, grace: grace if fired - due > lateness else None,
        lambda due, fired, lateness, grace: fired + grace if fired - due > 0.1 else None,
        lambda due, fired, lateness, grace: fired if fired - due > lateness else None,
        lambda due, fired, lateness, grace: "later" if fired - due > lateness else None,
        lambda due, fired: None,
        lambda *anything: 1 / 0,
    ],
}

GIVEN_AWAY = {"05.2": "56", "05.3": "0.92"}
"""What no hint may say."""
