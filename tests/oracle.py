"""Slow, exact references for the tests, written from semantics.md alone and not from the package.

Time is Python's integers, statistics are fractions, the normal tail is mpmath's: nothing here rounds where the
answer could notice. A setting such as 0.1 is read as the decimal that was written, so that 0.1 s is exactly a tenth
of a second.

    PhiNormal(window=3)                         one peer, fed one heartbeat at a time; so FixedTimeout and Chen
    levels(trace, detector)                     the same over a trace
    deadlines(trace, detector, threshold)
    qos(trace, detector, threshold)             quality of service, by a walk over the accepted heartbeats
    poll(trace, detector, threshold, step_ns)   the same suspicions, found by asking again and again

A `detector` is one of `accrual`'s descriptions, or anything that makes a new peer when called. None stands for "not
known" and for "not defined" (NaN in the package, null in JSON).
"""

import math
from collections import deque
from dataclasses import asdict, dataclass, is_dataclass
from fractions import Fraction
from functools import lru_cache
from itertools import pairwise
from typing import NamedTuple

from mpmath.ctx_mp import MPContext

NS = 10**9
LAST_NS = 2**63 - 1  # the last instant there is; a deadline beyond it is none
mp = MPContext()  # a context of our own: nobody else's precision is touched
mp.dps = 50


def exact(number):
    """The number as it was written in decimals: 0.1 is 1/10. Infinity stays a float, Fraction having none."""
    if isinstance(number, int | Fraction):
        return Fraction(number)
    return Fraction(repr(float(number))) if math.isfinite(number) else float(number)


def real(number):
    """The same as a 50-digit number."""
    return mp.mpf(exact(number))


# The normal law


def normal_level(z):
    """-log10 of the normal survival; the smaller of the two tails is computed, so that neither loses digits."""
    z = mp.mpf(z)
    if z > 0:
        return -mp.log10(mp.erfc(z / mp.sqrt(2)) / 2)
    return -mp.log1p(-mp.erfc(-z / mp.sqrt(2)) / 2) / mp.ln10


@lru_cache(maxsize=1000)
def normal_inverse(level):
    """The z at which the level is reached. Every z has a level above 0: that of 0 is reached at -infinity."""
    if level <= 0:
        return mp.ninf
    if mp.isinf(level):
        return mp.inf
    # The level runs over hundreds of powers of ten: its logarithm is what a root finder can follow.
    low = high = mp.mpf(1)
    while normal_level(low) > level:
        low = low * 2 if low < 0 else -low
    while normal_level(high) < level:
        high *= 2
    return mp.findroot(lambda z: mp.log(normal_level(z) / level), (low, high), solver="anderson", tol=mp.mpf(10) ** -90)


# The logistic law: 1 - 1/(1 + exp(-x)) in the place of the tail, and x's cubic of z solved by hyperbolic functions

SLOPE, CUBE = Fraction("1.5976"), Fraction("0.070566")


def logistic_level(z):
    return mp.log1p(mp.exp(real(SLOPE) * z + real(CUBE) * z**3)) / mp.ln10


@lru_cache(maxsize=1000)
def logistic_inverse(level):
    if level <= 0:
        return mp.ninf
    if mp.isinf(level):
        return mp.inf
    return logistic_argument_inverse(mp.log(mp.expm1(level * mp.ln10)))


def logistic_argument_inverse(x):
    """The z of an x."""
    p, q = real(SLOPE / CUBE), x / real(CUBE)  # z^3 + p z = q
    root = mp.sqrt(p / 3)
    return 2 * root * mp.sinh(mp.asinh(q / 2 / root**3) / 3)


# The exponential law


def exponential_level(z):
    return max(z, mp.mpf(0)) / mp.ln10


def exponential_inverse(level):
    return level * mp.ln10


# Student's law: the tail as a Gauss hypergeometric series, and a root finder


def student_tail(z, df):
    """The chance that Student's t exceeds z >= 0: by a series near 0, else by another, or an integral."""
    half, share, rest = mp.mpf(df) / 2, z * z / (df + z * z), df / (df + z * z)
    beta = mp.beta(half, 0.5)
    if z < 1.7:
        return mp.mpf(1) / 2 - mp.sqrt(share) * mp.hyp2f1(0.5, 1 - half, 1.5, share) / beta
    front = rest**half / beta
    if df < 1000:
        return front * mp.sqrt(share) * mp.hyp2f1(half + 0.5, 1, half + 1, rest) / (2 * half)
    unit = (df + z * z) / ((df + 1) * z)  # the density falls to 1/e within about this
    with mp.workdps(25):
        ratio = mp.quad(
            lambda t: ((df + z * z) / (df + t * t)) ** (half + 0.5),
            [z + unit * step for step in (0, 2, 6, 15, 40, 100, 400)],
        )
    return front * mp.sqrt(rest / df) * ratio


def student_level(z, df):
    z = mp.mpf(z)
    return -mp.log10(student_tail(z, df)) if z >= 0 else -mp.log1p(-student_tail(-z, df)) / mp.ln10


@lru_cache(maxsize=1000)
def student_inverse(level, df):
    if level <= 0:
        return mp.ninf
    if mp.isinf(level):
        return mp.inf
    low, high = mp.mpf(-16), mp.mpf(16)  # of asinh z, in which the level rises like a straight line in the end
    while student_level(mp.sinh(high), df) < level:
        high *= 2
    while high - low > mp.mpf(10) ** -35:
        middle = (low + high) / 2
        low, high = (middle, high) if student_level(mp.sinh(middle), df) < level else (low, middle)
    return mp.sinh(high)


# One peer


class Peer:
    """What every detector shares: which heartbeats count, when the sender restarted, and the law of the deadline.

    A detector adds `forget` and `learn`, whether a level is `known`, `location` and `scale` [ns], and its law: the
    level at a lateness (`law`), its `inverse`, and the `number` that both work with, fraction or 50 digits.
    """

    def __init__(self):
        self.last = self.epoch = self.largest = None
        self.accepted = self.ignored = 0
        self.forget()

    def heartbeat(self, now, sequence=None, epoch=None):
        """Takes one heartbeat in; says whether it was accepted."""
        started = self.last is None or (epoch is not None and epoch != self.epoch)
        if not started and sequence is not None and self.largest is not None and sequence <= self.largest:
            self.ignored += 1
            return False
        if started:
            self.forget()
            self.largest = None
        self.learn(now, sequence, None if started else now - self.last)
        self.last = now
        self.largest = self.largest if sequence is None else sequence
        self.epoch = self.epoch if epoch is None else epoch
        self.accepted += 1
        return True

    def lateness(self, elapsed):
        return (elapsed - self.location) / self.scale

    def wait(self, threshold):
        """From the last arrival to the suspicion, unrounded [ns]."""
        return max(0, self.location + self.scale * self.inverse(self.number(threshold)))

    def level(self, now):
        if not self.known:
            return None
        return self.law(self.lateness(max(0, now - self.last)))  # a query before the last arrival is one at it

    def suspected(self, now, threshold):
        return self.known and self.level(now) >= self.number(threshold)

    def deadline(self, threshold):
        """The first ns, from the last arrival on, at which the level has reached the threshold."""
        if not self.known or mp.isinf(self.wait(threshold)):
            return None
        # The inverse says where to look; the level itself decides.
        deadline = self.last + math.ceil(self.wait(threshold))
        while not self.suspected(deadline, threshold):
            deadline += 1
        while deadline > self.last and self.suspected(deadline - 1, threshold):
            deadline -= 1
        return deadline if deadline <= LAST_NS else None


class Window(Peer):
    """The last intervals, whatever their sequence numbers. A detector adds what it makes of them."""

    number = staticmethod(real)
    first = ()  # samples that the first heartbeat brings

    def __init__(self, window, min_samples=1):
        self.intervals = deque(maxlen=window)
        self.min_samples = min_samples
        super().__init__()

    def forget(self):
        self.intervals.clear()

    def learn(self, now, sequence, interval):
        if interval is None:
            self.intervals.extend(self.first)
        elif interval >= 0 and self.teaches(now, interval):  # a clock that went back says nothing about the interval
            self.intervals.append(interval)

    def teaches(self, now, interval):
        return True

    @property
    def n(self):
        return len(self.intervals)

    @property
    def mean(self):
        return Fraction(sum(self.intervals), self.n)

    @property
    def variance(self):
        return sum((interval - self.mean) ** 2 for interval in self.intervals) / self.n

    @property
    def known(self):
        return self.n >= self.min_samples


class PhiNormal(Window):
    """Mean and population deviation under the normal law."""

    law, inverse = staticmethod(normal_level), staticmethod(normal_inverse)

    def __init__(self, window, min_samples=2, min_deviation=0.0, pause=0.0):
        self.floor = max(1, exact(min_deviation) * NS)  # a scale below 1 ns is 1 ns
        self.pause = exact(pause) * NS
        super().__init__(window, min_samples)

    @property
    def location(self):
        return real(self.mean + self.pause)

    @property
    def scale(self):
        return max(mp.sqrt(real(self.variance)), real(self.floor))


class PhiLogistic(PhiNormal):
    """The same under the logistic law; two samples to begin with; an interval that ends a suspicion teaches nothing."""

    law, inverse = staticmethod(logistic_level), staticmethod(logistic_inverse)

    def __init__(self, window, min_samples=2, min_deviation=0.0, pause=0.0, first_interval=None, learn_below=None):
        if first_interval is not None:
            mean = round(exact(first_interval) * NS)
            self.first = (mean - mean // 4, mean + mean // 4)
        self.learn_below = learn_below
        super().__init__(window, min_samples, min_deviation, pause)

    def teaches(self, now, interval):
        return self.learn_below is None or not self.suspected(now, self.learn_below)


class PhiExponential(Window):
    """The mean under the exponential law; one sample to begin with, or a number of intervals for ever."""

    law, inverse = staticmethod(exponential_level), staticmethod(exponential_inverse)
    location = mp.mpf(0)

    def __init__(self, window, min_samples=1, max_interval=None, first_interval=None, prior_weight=0.0):
        self.longest = None if max_interval is None else exact(max_interval) * NS
        self.weight = exact(prior_weight)
        self.expected = 0 if first_interval is None else exact(first_interval) * NS
        if first_interval is not None and not self.weight:
            self.first = (round(self.expected),)
        super().__init__(window, min_samples)

    def teaches(self, now, interval):
        return self.longest is None or interval <= self.longest

    @property
    def scale(self):
        return max(real((sum(self.intervals) + self.weight * self.expected) / (self.n + self.weight)), mp.mpf(1))


class PhiStudent(PhiNormal):
    """The next interval given n normal ones: mean and deviation unknown, so Student's law with n - 1 degrees."""

    def law(self, z):
        return student_level(z, self.n - 1)

    def inverse(self, level):
        return student_inverse(level, self.n - 1)

    @property
    def scale(self):
        s2 = self.variance * self.n / (self.n - 1)
        return max(mp.sqrt(real(s2 * (1 + Fraction(1, self.n)))), real(self.floor))


class Linear(Peer):
    """The linear law: the level is the lateness itself, an exact fraction."""

    number, law, inverse = staticmethod(exact), staticmethod(lambda z: z), staticmethod(lambda level: level)

    @property
    def known(self):
        return self.last is not None


class FixedTimeout(Linear):
    """The level is the number of periods of silence."""

    location = 0

    def __init__(self, period):
        self.scale = exact(period) * NS
        super().__init__()

    def forget(self):
        pass

    def learn(self, now, sequence, interval):
        pass


class Chen(Linear):
    """NFD-E: the level is the time since the next heartbeat was expected, in seconds."""

    scale = Fraction(NS)

    def __init__(self, period, window):
        self.period = exact(period) * NS
        self.offsets = deque(maxlen=window)  # arrival - period * sequence
        super().__init__()

    def forget(self):
        self.offsets.clear()
        self.count = None

    def learn(self, now, sequence, interval):
        if sequence is not None:
            self.count = sequence
        elif self.count is None:
            self.count = 0
        else:  # without numbers they are counted along, by the nearest number of periods
            self.count += max(1, round(interval / self.period))
        self.offsets.append(now - self.period * self.count)

    @property
    def expected(self):
        return sum(self.offsets) / len(self.offsets) + (self.count + 1) * self.period

    @property
    def location(self):
        return self.expected - self.last


PEERS = {peer.__name__: peer for peer in (FixedTimeout, PhiNormal, PhiLogistic, PhiExponential, PhiStudent, Chen)}


def fresh(detector):
    """A new peer, for one of accrual's descriptions or from a callable."""
    return PEERS[type(detector).__name__](**asdict(detector)) if is_dataclass(detector) else detector()


# A trace


class Trace(NamedTuple):
    """The least that `qos` and `poll` need of a trace: any object with these attributes will do."""

    arrivals: list
    sequence: list | None = None
    epoch: list | None = None
    sent: list | None = None
    period: float | None = None


def heartbeats(trace):
    """(now, sequence, epoch, sent) of every heartbeat, in Python's integers."""
    blank = [None] * len(trace.arrivals)
    columns = (trace.arrivals, trace.sequence, trace.epoch, trace.sent)
    rows = zip(*(blank if column is None else column for column in columns), strict=True)
    return [tuple(None if value is None else int(value) for value in row) for row in rows]


def levels(trace, detector):
    """[i]: the level at arrival i, just before it counts."""
    peer = fresh(detector)
    result = []
    for now, sequence, epoch, _ in heartbeats(trace):
        result.append(peer.level(now))
        peer.heartbeat(now, sequence, epoch)
    return result


def deadlines(trace, detector, threshold):
    """[i]: the deadline after heartbeat i was taken in; None where there is none."""
    peer = fresh(detector)
    result = []
    for now, sequence, epoch, _ in heartbeats(trace):
        peer.heartbeat(now, sequence, epoch)
        result.append(peer.deadline(threshold))
    return result


class Accepted(NamedTuple):
    """An accepted heartbeat: its place in the trace, what it said, and what the detector made of it."""

    index: int
    arrival: int
    sequence: int | None
    epoch: int | None
    sent: int | None
    known: bool
    location: object
    scale: object
    q: object  # the lateness at which the level reaches the threshold
    wait: object

    def exceeds(self, elapsed):
        """Is the lateness > q? before(i) for the time until the next heartbeat, after(i) for 0; never where unknown."""
        return self.known and (elapsed - self.location) / self.scale > self.q


def walk(trace, detector, threshold):
    """The accepted heartbeats of a trace, each with the state of the detector after it."""
    peer = fresh(detector)
    rows = []
    for index, (now, sequence, epoch, sent) in enumerate(heartbeats(trace)):
        if peer.heartbeat(now, sequence, epoch):
            state = (None,) * 4
            if peer.known:
                state = (peer.location, peer.scale, peer.inverse(peer.number(threshold)), peer.wait(threshold))
            rows.append(Accepted(index, now, sequence, epoch, sent, peer.known, *state))
    return rows


# Quality of service


@dataclass(frozen=True)
class QoS:
    """The fields of accrual's QoS [s], then the exact material they were made of [ns]."""

    detection_time: object
    detection_time_uniform: object
    detection_time_p99: object
    detection_time_max: object
    mistakes: int
    mistake_rate: object
    mistake_rate_upper: object
    mistake_duration: object
    mistake_recurrence: object
    good_period: object
    query_accuracy: object
    observed: Fraction
    heartbeats: int
    lost: int

    starts: list
    ends: list
    open: bool  # the last suspicion goes on after the last heartbeat
    total: object  # time suspected, the open suspicion included
    total_closed: object
    detection_times: list


def ratio(a, b):
    return a / b if b else None


def mean(numbers):
    return ratio(sum(numbers), len(numbers))


def qos(trace, detector, threshold, skip=None, transit=0):
    """The definitions of semantics.md, one accepted heartbeat after the other.

    Mistakes are counted as its formula has them: a suspicion goes on across arrival i iff before(i-1) > q and
    after(i) > q. Its prose, and `poll`, differ where after(i) = q (the formula separates suspicions that touch) and
    where arrivals coincide: a suspicion that lasts no time counts, and so does a trust in between that lasts none.
    """
    rows = walk(trace, detector, threshold)
    transit = exact(transit) * NS
    if skip is None:
        skip = next((row.index for row in rows if row.known), len(trace.arrivals))

    starts, ends, detection_times = [], [], []
    heartbeats = lost = observed = 0
    total = last_run = Fraction(0)
    suspected = False  # just before the arrival of `row`
    for row, following in pairwise(rows):
        elapsed = max(0, following.arrival - row.arrival)  # a clock that went back is no observed time
        goes_on = suspected and row.exceeds(0)
        suspected = row.exceeds(elapsed)
        if following.index <= skip:
            continue
        heartbeats += 1
        observed += elapsed
        if row.sequence is not None and row.epoch == following.epoch:
            lost += following.sequence - row.sequence - 1
        if row.known:
            detection_times.append(row.wait + (transit if row.sent is None else row.arrival - row.sent))
        if suspected:
            total += elapsed - row.wait
            last_run = elapsed - row.wait + (last_run if goes_on else 0)
            if not goes_on:
                starts.append(row.arrival + row.wait)
                ends.append(row.arrival + elapsed)
            elif ends:  # else it began before the observation, and is none of its mistakes
                ends[-1] = row.arrival + elapsed

    mistakes = len(starts)
    is_open = heartbeats > 0 and suspected and rows[-1].exceeds(0)
    total_closed = total - last_run if is_open else total
    closed = mistakes - 1 if is_open and mistakes else mistakes

    seconds = Fraction(observed, NS)
    period = exact(trace.period) if trace.period is not None else ratio(seconds, heartbeats + lost)
    detection_times.sort()
    detection_time = mean([time / NS for time in detection_times])
    return QoS(
        detection_time=detection_time,
        detection_time_uniform=detection_time - period / 2 if detection_times else None,
        detection_time_p99=rank(detection_times, Fraction(99, 100)),
        detection_time_max=rank(detection_times, 1),
        mistakes=mistakes,
        mistake_rate=ratio(mistakes, seconds),
        mistake_rate_upper=ratio(3, seconds) if mistakes == 0 else None,
        mistake_duration=ratio(total_closed / NS, closed),
        mistake_recurrence=mean([(b - a) / NS for a, b in pairwise(starts)]),
        good_period=mean([(start - end) / NS for end, start in zip(ends, starts[1:], strict=False)]),
        query_accuracy=1 - total / NS / seconds if observed else None,
        observed=seconds,
        heartbeats=heartbeats,
        lost=lost,
        starts=starts,
        ends=ends,
        open=is_open,
        total=total,
        total_closed=total_closed,
        detection_times=detection_times,
    )


def rank(times, share):
    """The least of the sorted times [ns] that is not exceeded by that share of them, in seconds: an order statistic."""
    return times[math.ceil(share * len(times)) - 1] / NS if times else None


def poll(trace, detector, threshold, step_ns):
    """The suspicions, as (start, end) [ns], by asking at every step; the trace's instants are multiples of it.

    From the first to the last accepted heartbeat. A start is the first step at which the peer was suspected, so up to
    one step late; an end is exact; a suspicion between two steps goes unseen. A suspicion open at the end ends there.
    """
    peer = fresh(detector)
    runs = []
    suspected = False
    for row, following in pairwise(walk(trace, detector, threshold)):
        peer.heartbeat(row.arrival, row.sequence, row.epoch)
        for now in range(row.arrival, following.arrival, step_ns):
            before, suspected = suspected, peer.suspected(now, threshold)
            if suspected and not before:
                runs.append((now, now))
            if suspected:
                runs[-1] = (runs[-1][0], now + step_ns)
    return runs
