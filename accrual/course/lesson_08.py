"""The questions of lesson 8: users and shards."""

from __future__ import annotations

import math
from typing import Any

from accrual.course.checking import Hint, called, close, number, question
from accrual.detectors import PhiNormal
from accrual.isolation import assign, heartbeats, plan_shards, shuffle_shards
from accrual.qos import curve


@question("08.1")
def _share_hit(answer: Any) -> str:
    """How often does a user meet the dead server, in errors a second? Then the chance of none in t seconds."""
    for t, users, rate, servers in ((10.0, 1000, 120, 8), (60.0, 1000, 120, 8), (5.0, 200, 300, 4), (0.0, 50, 10, 2)):
        given = number(called(answer, t, users, rate, servers))
        errors = rate / users / servers * t
        right = -math.expm1(-errors)
        # One request after the other, each of 1 user and 1 server in so many, comes to the same within a hundredth.
        if math.isclose(given, right, rel_tol=0.01, abs_tol=1e-9):
            continue
        case = f"t={t:g}, users={users}, rate={rate}, servers={servers}"
        if close(given, 1 - right):
            raise Hint(f"With {case} you give the share who have had none.")
        if close(given, errors):
            raise Hint(f"With {case} you give the mean number of errors. It has no bound; a share cannot be above 1.")
        if close(given, -math.expm1(-errors * servers)):
            raise Hint("That is who has asked at all. Only one request in so many meets the dead server.")
        if close(given, -math.expm1(-errors * servers) / servers):
            raise Hint("That is for sticky users: one server's users only. Here every server is everybody's.")
        if close(given, right * users):
            raise Hint("A share is asked for, not a number of users.")
        raise Hint(
            f"With {case} you give {given:.4g}. The chance of no event in t seconds is exp(-events a second × t)."
        )
    return "It tends to 1: wait long enough, and everybody is hit."


@question("08.2")
def _smallest_number(answer: Any) -> str:
    """Try one number after the other, and ask for the largest share, not for the average."""
    most, users, given = 0.05, 1000, number(answer)
    if not (1 <= given <= users and given == int(given)):
        raise Hint("A number of shards is a whole one, from 1 to the number of users.")

    def fullest(shards: int) -> float:
        return float(assign("shards", users, shards).load().max())

    shards = int(given)
    if close(given, 1 / most):
        raise Hint(f"That is so on average. The fullest of them has {fullest(shards):.1%} of the users.")
    if fullest(shards) > most:
        raise Hint(f"The fullest of {shards} shards has {fullest(shards):.1%} of the users.")
    if any(fullest(fewer) <= most for fewer in range(1, shards)):
        raise Hint(f"It keeps the promise, with {fullest(shards):.1%} in the fullest; but fewer shards do, too.")
    return f"The fullest has {fullest(shards):.1%}; the average of a shard is {1 / shards:.1%}."


@question("08.3")
def _share_all(answer: Any) -> str:
    """How many sets can the second customer draw, and how many of them are the first one's?"""
    for workers, size in ((8, 2), (6, 1), (5, 5), (32, 4), (100, 5)):
        given = number(called(answer, workers, size))
        right = 1 / shuffle_shards(workers, size)
        if close(given, right):
            continue
        case = f"workers={workers}, shard_size={size}"
        if close(given, 1 / right):
            raise Hint(f"With {case} you give how many sets there are. The chance is of one of these.")
        if close(given, 1 / math.perm(workers, size)):
            raise Hint(f"With {case} you count 3, 5 and 5, 3 as two sets. The order does not matter.")
        if close(given, workers**-size):
            raise Hint(f"With {case} a worker may come twice in your set. Drawn is without putting back.")
        if close(given, size / workers):
            raise Hint(f"With {case} you give the chance with plain shards.")
        raise Hint(f"With {case} you give {given:.4g}. Write down all sets for 4 workers and 2 each, by hand.")
    return "With 100 workers and 5 each there are 75,287,520 shards, on 100 machines."


@question("08.4")
def _smallest_size(answer: Any) -> str:
    """Go up from 1 and look at the column of others cut off, in the row of shuffle shards."""
    customers, workers, given = 5000, 32, number(answer)
    if not (1 <= given <= workers and given == int(given)):
        raise Hint("A shard size is a whole number, from 1 to the number of workers.")
    size = int(given)
    others = plan_shards(customers, workers, size).others_shuffled
    if others >= 1:
        near = "Very near, but no: " if others < 1.1 else ""
        raise Hint(f"{near}{others:.4g} others are cut off with shards of {size}, on average.")
    if plan_shards(customers, workers, size - 1).others_shuffled < 1:
        raise Hint(f"Few enough ({others:.2g}); but a smaller size would do. Each worker more is one more to poison.")
    plain = plan_shards(customers, workers, size).others_plain
    return f"{others:.2g} instead of {plain:.0f} with plain shards of that size. That is, if the clients try again."


@question("08.5")
def _users_hurt(answer: Any) -> str:
    """Take one user of the canary: how often does it meet the bug in a second? Then the chance of at least once."""
    for share, bug, exposed, users, rate in (
        (0.05, 1.0, 4.0, 1000, 120),
        (0.2, 0.5, 4.0, 1000, 120),
        (1.0, 0.1, 60.0, 500, 300),
        (0.5, 0.2, 0.0, 100, 10),
    ):
        given = number(called(answer, share, bug, exposed, users, rate))
        met = rate / users * bug * exposed
        right = users * share * -math.expm1(-met)
        # As in 08.1: one request after the other comes to the same.
        if math.isclose(given, right, rel_tol=0.01, abs_tol=1e-9):
            continue
        case = f"share={share:g}, bug={bug:g}, exposed={exposed:g}, users={users}, rate={rate}"
        if close(given, users * share * met):
            raise Hint(f"With {case} you count failed requests. One user may have several, and is hurt once.")
        if close(given, users * -math.expm1(-met)):
            raise Hint(f"With {case} you have everybody meet the bug, not only the users of the canary.")
        if close(given, right / users):
            raise Hint("That is a share of all users; how many are they?")
        if close(given, users * share * math.exp(-met)):
            raise Hint(f"With {case} you give who got away.")
        raise Hint(
            f"With {case} you give {given:.4g}. How many users are in the canary, and which share of them met it?"
        )
    return "With a canary of 5 %, a bug in every request and 4 s, that is 19; the widget's runs have 19.5 on average."


@question("08.6")
def _k_as_soon(answer: Any) -> str:
    """First the detection time of phi; then, which k gives k × T the same? T is 100 ms."""
    given, period, window = number(answer), 0.1, 100
    arrivals = heartbeats(3600, period=period, pauses=0.05)
    detection = float(curve(arrivals, PhiNormal(window=window), [8], skip=window).detection_time[0])
    right = detection / period
    if close(given, detection, 0.01):
        raise Hint("That is the detection time, in seconds. How many periods of 100 ms is it?")
    if close(given, 1000 * detection, 0.01):
        raise Hint("That is the detection time, in milliseconds. How many periods of 100 ms is it?")
    if close(given, 3):
        raise Hint("That k detects later than this Φ: it was the comparison that did not hold.")
    if close(given, math.ceil(right)) or close(given, math.floor(right)):
        raise Hint("Nearly; but then the two are not equally fast. k need not be a whole number.")
    if not close(given, right, 0.02):
        raise Hint("k × T detects after k × T. Set this equal to the detection time of φ, and solve for k.")
    return "So Φ = 8 is a short timeout here; no wonder that it was quick."
