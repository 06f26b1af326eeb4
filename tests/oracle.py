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
import statistics
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


class Empirical(Window):
    """The share of the window that the silence has outlived. Its lateness is the silence itself, in ns."""

    number, location, scale = staticmethod(exact), 0, 1

    def __init__(self, window, min_samples=1, stretch=1.0):
        self.stretch = exact(stretch)
        super().__init__(window, min_samples)

    def law(self, z):
        return Fraction(sum(x * self.stretch <= z for x in self.intervals), self.n)

    def inverse(self, level):
        if level <= 0:
            return mp.ninf
        return min((x * self.stretch for x in self.intervals if self.law(x * self.stretch) >= level), default=mp.inf)


class Scheduled(Linear):
    """The level is the time since the next heartbeat was expected, in seconds.

    `track` keeps what a detector needs of (arrival, number) of each heartbeat that counts; `expected` is an instant.
    Without numbers heartbeats are counted along, by the nearest number of periods.
    """

    scale = Fraction(NS)
    most_steps = 2**33

    def __init__(self, period):
        self.period = None if period is None else exact(period) * NS
        super().__init__()

    @property
    def known(self):
        return self.last is not None and (self.period is not None or len(self.heartbeats) > 1)

    def forget(self):
        self.heartbeats = []
        self.count = 0
        self.clear()

    def learn(self, now, sequence, interval):
        steps = None
        if interval is not None and interval >= 0:
            if sequence is not None and self.largest is not None:
                steps = max(1, sequence - self.count)
            else:
                steps = max(1, round(interval / self.usual)) if self.usual else 1
            if interval >= 2**53 or steps > self.most_steps:  # of another schedule
                number = self.count + steps
                self.forget()
                self.count, steps = number, None
        if steps is not None:
            number = self.count + steps
            if sequence is not None:  # numbers before it that were guessed are moved to lie so far before it
                self.move(0, sequence - number)
                number = sequence
            self.heartbeats.append((now, number))
            self.track(now, number)
        elif interval is not None and interval < 0:  # so long after the last one as before, by the new time
            number = self.count + 1 if sequence is None else sequence
            self.move(interval, number - self.count)
        else:
            number = self.count if sequence is None else sequence
            self.heartbeats = [(now, number)]
            self.track(now, number)
        self.count = number

    def move(self, time, steps):
        """The receiver's clock has stepped: what is known is carried over to the new time, and to the number then."""
        self.heartbeats = [(arrival + time, number + steps) for arrival, number in self.heartbeats]

    @property
    def usual(self):
        """The period, or what stands for it."""
        intervals = [b - a for (a, _), (b, _) in pairwise(self.heartbeats)]
        return self.period if self.period is not None else Fraction(statistics.median(intervals)) if intervals else 0

    def clear(self):
        pass

    def track(self, now, number):
        pass

    @property
    def location(self):
        return self.expected - self.last


def next_on_schedule(heartbeats, period):
    """When the number after the last is expected, by the mean offset from the schedule."""
    offsets = [arrival - period * number for arrival, number in heartbeats]
    return Fraction(sum(offsets), len(offsets)) + period * (heartbeats[-1][1] + 1)


def slope(heartbeats):
    """Of the least squares line of arrivals over numbers."""
    n = len(heartbeats)
    time = Fraction(sum(arrival for arrival, _ in heartbeats), n)
    middle = Fraction(sum(number for _, number in heartbeats), n)
    top = sum((arrival - time) * (number - middle) for arrival, number in heartbeats)
    return top / sum((number - middle) ** 2 for _, number in heartbeats)


class Chen(Scheduled):
    """NFD-E."""

    def __init__(self, period=None, window=100):
        self.window = window
        self.most_steps = 2**33 // window
        super().__init__(period)

    def track(self, now, number):
        del self.heartbeats[: -self.window]

    @property
    def expected(self):
        return next_on_schedule(self.heartbeats, slope(self.heartbeats) if self.period is None else self.period)


class TwoWindow(Chen):
    """The later of two of Chen's expectations."""

    def __init__(self, period, short=1, long=1000):
        self.short = short
        super().__init__(period, long)

    @property
    def expected(self):
        return max(super().expected, next_on_schedule(self.heartbeats[-self.short :], self.period))


class Bertier(Chen):
    """Chen's expectation and Jacobson's margin."""

    def __init__(self, period, window=1000, beta=1.0, phi=4.0, gamma=0.1):
        self.beta, self.phi, self.gamma = map(exact, (beta, phi, gamma))
        super().__init__(period, window)

    def clear(self):
        self.delay = self.deviation = Fraction(0)
        self.ahead = None

    def track(self, now, number):
        if len(self.heartbeats) > 1:
            before = self.heartbeats[:-1]
            expected = next_on_schedule(before, self.period) + (number - before[-1][1] - 1) * self.period
            error = now - expected - self.delay
            self.delay += self.gamma * error
            self.deviation += self.gamma * (abs(error) - self.deviation)
        super().track(now, number)

    @property
    def expected(self):
        return super().expected + self.beta * self.delay + self.phi * self.deviation


class ExpectedArrival(Scheduled):
    """A place in the schedule that follows the arrivals, distrusts outliers, and moves to some that agree.

    Kept are instants, and a list of the outliers in a row. Without numbers each heartbeat is the next.
    """

    number = staticmethod(real)
    most_steps = 2**33 // 1001
    usual = 0

    def __init__(self, period=None, gain=0.25, clip=4.0, agree=2, scale=None):
        self.gain, self.clip, self.agree = real(gain), real(clip), agree
        self.unit = None if scale is None else real(scale)
        super().__init__(period)

    def clear(self):
        self.outliers, self.seen, self.first = [], 0, []
        if self.period is not None:
            self.begin(real(self.period))

    def begin(self, rhythm):
        """Nothing is known but the interval between two heartbeats."""
        self.rhythm, self.fast, self.slow = rhythm, rhythm / 20, rhythm / 20
        self.outliers, self.seen = [], 0

    def move(self, time, steps):
        super().move(time, steps)
        if self.known:
            self.next += time

    def track(self, now, number):
        if len(self.heartbeats) == 1:
            if self.period is not None:
                self.next = now + self.rhythm
            return
        (before, last), _ = self.heartbeats = self.heartbeats[-2:]
        steps = number - last
        each = max(mp.mpf(now - before) / steps, mp.mpf(1))
        if self.period is None and len(self.first) < 3:
            self.first.append(each)
            if len(self.first) == 1:
                self.begin(each)
                self.next = now + each
                return
            self.rhythm = min(self.first) if len(self.first) == 2 else sorted(self.first)[1]
        self.seen = min(self.seen + 1, 1000)
        late = now - (self.next + self.rhythm * (steps - 1))
        limit = self.clip * max(self.slow, self.rhythm / 2000)
        near, drains = late, False
        if self.seen <= 4 or abs(late) <= limit:
            self.outliers = []
        else:
            near = mp.sign(late) * limit
            if self.outliers and self.outliers[-1] * late < 0:
                self.outliers = []
            drains = bool(self.outliers) and abs(late) < abs(self.outliers[-1]) and not self.close(late, limit)
            self.limits = [*self.limits, limit] if self.outliers else [limit]
            self.outliers.append(late)
        if self.period is None and self.growing() >= 12:
            self.first = [each]
            self.begin(each)
            self.next = now + each
        elif self.outliers and self.alike() >= self.agree:
            self.next, self.outliers = now + self.rhythm, []
        elif drains:
            self.next += self.rhythm * steps
        else:
            place = self.next + self.rhythm * (steps - 1)
            weight = mp.mpf(1) / (self.seen + 1)
            if self.period is None and len(self.first) == 3 and self.seen > 4:
                self.rhythm = max(self.rhythm + max(mp.mpf("0.002"), weight) * near / steps, mp.mpf(1))
            self.next = place + self.gain * near + self.rhythm
            self.fast += max(mp.mpf("0.1"), weight) * (abs(near) - self.fast)
            self.slow += max(mp.mpf("0.01"), weight) * (abs(near) - self.slow)

    def close(self, late, limit):
        return abs(late - self.outliers[-1]) <= limit

    def alike(self):
        """How many of the last outliers lie within the limit, as it was, of the one before."""
        pairs = list(zip(pairwise(self.outliers), self.limits[1:], strict=True))
        return 1 + next((i for i, ((a, b), limit) in enumerate(pairs[::-1]) if abs(b - a) > limit), len(pairs))

    def growing(self):
        """How many of the last outliers are as far off as the one before, or further."""
        pairs = list(pairwise(map(abs, self.outliers)))[::-1]
        return bool(self.outliers) + next((i for i, (a, b) in enumerate(pairs) if b < a), len(pairs))

    @property
    def expected(self):
        return self.next

    @property
    def scale(self):
        if self.unit is None:
            return NS
        return max(mp.mpf(1), max(self.fast, self.slow) + self.unit * self.rhythm)


PEERS = {
    peer.__name__: peer
    for peer in (
        *(FixedTimeout, PhiNormal, PhiLogistic, PhiExponential, PhiStudent),
        *(Empirical, Chen, TwoWindow, Bertier, ExpectedArrival),
    )
}


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
