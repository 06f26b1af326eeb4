# cython: cdivision=True, boundscheck=False, wraparound=False, initializedcheck=False, auto_pickle=False
"""The loops: one peer, many peers, one trace.

Nothing here knows a clock, a file or a detector's name. Instants and durations are int64 nanoseconds.
"""

from cpython.number cimport PyNumber_Index
from cython cimport final
from libc.math cimport INFINITY, NAN, fabs, llrint, sqrt
from libc.stdint cimport INT64_MAX, INT64_MIN, int32_t, int64_t, uint8_t, uint32_t, uint64_t
from libc.stdlib cimport free, malloc, realloc
from libc.string cimport memcpy, memmove, memset

from numbers import Real

from accrual.core.estimators cimport (
    CONSTANT, EXPECTED, FIXED_BITS, FIXED_LIMIT, LATER, MARGIN, MEAN, MOST_SEEDS, PREDICTION, SAMPLE, SUM_LIMIT,
    TRACKED, WINDOW, count_at_most, denominator, estimator, exact_spread, first_elapsed, known, kth_smallest, lateness,
    learn, located, location_fixed, longest_outlived, nothing_known, outlived_after, outlived_after_fixed, parts,
    rank_at_most, scheduled, sorted_insert, sorted_remove, square, sums, u128, welcome, widening)
from accrual.core.expected cimport (
    MOST_KNOWN, MOST_WORSENING, SCHEDULE_WORDS, SEEDS, begin_schedule, estimated, follows, next_arrival, read_schedule,
    schedule, steps_of)
from accrual.core.laws cimport (
    EXPONENTIAL, LINEAR, LOGISTIC, NORMAL, SHARE, STUDENT, asks, inverse_of, law as law_kind, level_of, levels_of)

cdef extern from "window.h" nogil:
    const int BLOCK, TIER_BASE, TIER_V3, TIER_V4
    int accrual_tier
    int best_tier()
    ctypedef struct block_bounds:
        uint64_t bits, gain
    block_bounds window_enter(const int64_t *c, int64_t n, int64_t r, int64_t *e, int64_t *total, uint64_t *squares,
                              int64_t count)
    uint64_t running_sum(uint64_t *x, uint64_t start, int64_t count)
    bint window_block_fits(u128 squares, block_bounds bounds, int64_t count)
    void window_read(const int64_t *e, const int64_t *total, const uint64_t *squares, double n, int64_t pause,
                     double widening, double floor_n, double *z, double *denominator, int64_t count)
    ctypedef struct fixed_sums:
        int64_t location, scale
    fixed_sums window_fixed(const int64_t *total, const double *denominator, double n, double unit, int64_t *location,
                            int64_t *scale, int64_t count)
    bint falls(const int64_t *x, int64_t count)
    bint all_inside(const int64_t *x, int64_t limit, int64_t count)
    int64_t indices_above(const double *z, double bound, int32_t *index, int64_t count)

TIERS = {"base": TIER_BASE, "v3": TIER_V3, "v4": TIER_V4}
LAWS = {"linear": LINEAR, "normal": NORMAL, "logistic": LOGISTIC, "exponential": EXPONENTIAL,
        "student": STUDENT, "share": SHARE}
ESTIMATORS = {"constant": CONSTANT, "window": WINDOW, "prediction": PREDICTION, "mean": MEAN, "sample": SAMPLE,
              "expected": EXPECTED, "later": LATER, "margin": MARGIN, "tracked": TRACKED}
NEVER = INT64_MAX
INSTANT_LIMIT = SUM_LIMIT
FIXED_UNITS = 1 << FIXED_BITS
LARGEST_WINDOW = 1 << 24
accrual_tier = best_tier()


def tier(name=None):
    """The instruction set in use, 'base', 'v3' or 'v4'; with a name, use that one from now on (for tests).

    All of them give equal bits. Raises ValueError where this CPU or this build lacks it.
    """
    global accrual_tier
    if name is not None:
        if TIERS.get(name, INT64_MAX) > best_tier():
            raise ValueError(f"tier must be one that this build and CPU have, got {name!r}")
        accrual_tier = TIERS[name]
    return next(known_name for known_name, number in TIERS.items() if number == accrual_tier)


# ---- a detector, compiled -------------------------------------------------------------------------------------------

cdef class Detector:
    """An estimator's parameters and a law. Immutable; accrual.detectors makes it, and says what users may ask for.

    Here is refused what the loops could not bear, with a ValueError.

    Parameters
    ----------
    law, kind : str
        Keys of LAWS and ESTIMATORS.
    window, min_samples : int
        Intervals that count at most, and below which there is no level.
    pause : int [ns]
    floor, scale : float [ns]
        The smallest scale (1 ns at least), and that of a constant.
    weight, prior : float, float [ns]
        Intervals that a mean counts besides the window's, and their sum.
    seeds : tuple of up to two int [ns]
        Samples that the first heartbeat brings.
    longest : int [ns], unlearned : float
        Longer intervals are not learned, nor those at whose end the level was `unlearned` or more.
    stretch : (int, int)
        An interval is outlived after stretch[0] / stretch[1] times its length.
    period : float [ns]
        That of the schedule; 0 where it is to be estimated.
    short_window : int
    beta, phi, gamma, gain, clip, share : float
    agree : int
        As the detectors that expect an arrival name them.
    """

    cdef estimator e
    cdef law_kind law
    cdef readonly dict parameters

    def __cinit__(self, *, str law, str kind="constant", int64_t window=0, int64_t min_samples=0,
                  int64_t pause=0, double floor=1.0, double scale=1.0, double weight=0.0, double prior=0.0,
                  tuple seeds=(), int64_t longest=INT64_MAX, double unlearned=INFINITY, tuple stretch=(1, 1),
                  double period=0, int64_t short_window=0, double beta=0, double phi=0, double gamma=0, double gain=0,
                  double clip=0, int64_t agree=0, double share=-1):
        cdef int64_t k
        cdef bint constant = kind == "constant", expects = ESTIMATORS[kind] >= EXPECTED
        self.parameters = dict(
            law=law, kind=kind, window=window, min_samples=min_samples, pause=pause, floor=floor, scale=scale,
            weight=weight, prior=prior, seeds=seeds, longest=longest, unlearned=unlearned, stretch=stretch,
            period=period, short_window=short_window, beta=beta, phi=phi, gamma=gamma, gain=gain, clip=clip,
            agree=agree, share=share)
        self.law = LAWS[law]
        self.e.kind = ESTIMATORS[kind]
        wrong = [name for name, good in (
            ("window", (window == 0) if constant else 0 <= window < 1 << 16 if expects
             else 1 <= window <= LARGEST_WINDOW),
            # Nothing divides by n = 0, and Student's law has n - 1 degrees of freedom. (A constant's n is 1.)
            ("min_samples", min_samples >= (0 if constant or expects else 2 if law == "student" else 1)),
            ("stretch", len(stretch) == 2 and 1 <= stretch[1] <= stretch[0] < 1 << 57),
            ("period", 0 <= period <= 2.0**53 and (period > 0 or kind not in ("later", "margin"))),
            ("short_window", 0 <= short_window <= window),
            ("beta", 0 <= beta < INFINITY), ("phi", 0 <= phi < INFINITY), ("gamma", 0 <= gamma <= 1),
            ("gain", 0 <= gain <= 1), ("clip", 0 <= clip < INFINITY), ("agree", 0 <= agree <= 1000),
            ("share", share < INFINITY),
            ("pause", 0 <= pause < SUM_LIMIT),
            ("floor", floor < INFINITY), ("scale", scale < INFINITY),
            ("weight", 0 <= weight < INFINITY), ("prior", 0 <= prior < INFINITY),
            ("seeds", len(seeds) <= MOST_SEEDS and all(seed >= 0 for seed in seeds) and sum(seeds) < SUM_LIMIT),
            ("longest", longest >= 0),
            ("unlearned", unlearned == unlearned),
        ) if not good]
        if wrong:
            raise ValueError(f"Detector: {wrong[0]} is out of bounds, got {self.parameters[wrong[0]]!r}")
        self.e.window = window
        self.e.min_samples = min_samples
        self.e.pause = pause
        self.e.floor = floor if floor > 1 else 1
        self.e.scale = scale if scale > 1 else 1
        self.e.weight, self.e.prior = weight, prior
        self.e.seeds = len(seeds)
        for k in range(self.e.seeds):
            self.e.seed[k] = seeds[k]
        self.e.longest = longest
        self.e.z_unlearned = inverse_of(self.law, unlearned, 1)
        self.e.squares_limit = ~(<u128> 0) // <u128> (window if window else 1)
        self.e.top, self.e.bottom = stretch
        self.e.period = <int64_t> period
        self.e.period_rest = period - self.e.period
        self.e.short_window = short_window
        self.e.beta, self.e.phi, self.e.gamma = beta, phi, gamma
        self.e.gain, self.e.clip, self.e.share, self.e.agree = gain, clip, share, agree
        self.e.most_steps = (1LL << 33) // (window + 1)

    def __reduce__(self):
        return _detector, (self.parameters,)

    @property
    def window(self):
        """How many intervals count at most."""
        return self.e.window

    @property
    def seeds(self):
        """How many samples the first heartbeat brings."""
        return self.e.seeds

    @property
    def memory(self):
        """How many intervals back a level can depend on; None where there is no bound.

        Whether an interval is learned may depend on the level, and so on whether all those before it were. Where the
        period is the median of the window, so are the numbers of heartbeats that come without, each on its own.
        """
        if self.e.z_unlearned < INFINITY or self.sequential:
            return None
        return 2 * self.e.window if self.e.kind == EXPECTED and self.parameters["period"] == 0 else self.e.window

    @property
    def sequential(self):
        """Whether what it knows depends on all heartbeats before, so that no piece can begin within a stretch."""
        return self.e.kind == MARGIN or self.e.kind == TRACKED

    @property
    def scheduled(self):
        """Whether it expects an arrival, and so looks at sequence numbers."""
        return scheduled(&self.e)

    @property
    def columns(self):
        """How many int64 a ring holds of each interval."""
        return columns(&self.e)

    @property
    def words(self):
        """How many int64 one peer's schedule takes."""
        return SCHEDULE_WORDS if scheduled(&self.e) else 0

    @property
    def sample(self):
        """Whether it looks at the window itself, so that there is no location and no scale."""
        return self.e.kind == SAMPLE

    @property
    def min_samples(self):
        """How many intervals must be known before there is a level."""
        return self.e.min_samples

    @property
    def plain(self):
        """Whether what is learned of a trace are its intervals, all of them and nothing else."""
        return (self.e.seeds == 0 and self.e.longest == INT64_MAX and self.e.z_unlearned == INFINITY
                and not scheduled(&self.e))

    @property
    def asks(self):
        """Whether a threshold's lateness depends on how many intervals are known."""
        return asks(self.law)

    @final
    cdef double z_at(self, double threshold, int64_t n) noexcept nogil:
        """The lateness that belongs to a threshold where n intervals are known."""
        return inverse_of(self.law, threshold, n - 1)

    def level(self, double z, int64_t df=0):
        """The law's level at normalised lateness z; with df degrees of freedom where the law asks for them."""
        self.check(df)
        if z != z:
            return NAN
        return level_of(self.law, z, df)

    def inverse(self, double level, int64_t df=0):
        """The smallest z whose level is >= level; -inf when every z's is, inf when none is."""
        self.check(df)
        if level != level:
            raise ValueError("threshold must be a number, got nan")
        return inverse_of(self.law, level, df)

    cdef int check(self, int64_t df) except -1:
        if self.law == STUDENT and not 1 <= df <= LARGEST_WINDOW:
            raise ValueError(f"df must be 1 to {LARGEST_WINDOW} for Student's law, got {df}")
        if self.law == SHARE and not 0 <= df < LARGEST_WINDOW:
            raise ValueError(f"df must be 0 to {LARGEST_WINDOW - 1}, n - 1, for shares, got {df}")
        return 0


def _detector(parameters):
    return Detector(**parameters)


cdef Detector NO_DETECTOR = Detector(law="linear")


# ---- which heartbeats count -----------------------------------------------------------------------------------------

cdef enum verdict:
    FIRST      # the first of all
    COUNTS     # closes an interval
    STEP       # the clock went back: counts, closes no interval
    RESTART    # another epoch: counts, everything learned is void
    IGNORED    # late, duplicate or reordered: changes nothing
    UNLEARNED  # closes an interval that is not learned (take_in alone says so)
    VERDICTS

ctypedef struct peer_order:  # what decides that
    int64_t last, sequence, epoch
    bint heard, numbered, dated

VERDICT = dict(first=FIRST, counts=COUNTS, step=STEP, restart=RESTART, ignored=IGNORED, unlearned=UNLEARNED)


cdef inline verdict accept(peer_order *p, int64_t now, bint numbered, int64_t sequence, bint dated,
                           int64_t epoch) noexcept nogil:
    cdef verdict v
    if not p.heard:
        v = FIRST
    elif dated and p.dated and epoch != p.epoch:
        v = RESTART
        p.numbered = False
    elif numbered and p.numbered and sequence <= p.sequence:
        return IGNORED
    elif now < p.last:
        v = STEP
    else:
        v = COUNTS
    p.heard = True
    p.last = now
    if numbered:
        p.numbered = True
        p.sequence = sequence
    if dated:
        p.dated = True
        p.epoch = epoch
    return v


# ---- what callers hand in -------------------------------------------------------------------------------------------

cdef object whole_number(value, str name):
    """An int from anything that is a whole number by type: not a bool, and not a float, whatever its value."""
    try:
        if isinstance(value, bool):
            raise TypeError
        return PyNumber_Index(value)
    except TypeError:
        raise TypeError(f"{name} must be a whole number, got {value!r}") from None


cdef int refuse_instant(value, str name) except -1:
    raise ValueError(f"{name} must lie within 2**62 ns (146 years) of the clock's zero, got {value}")


cdef inline int64_t whole(value, str name) except? -1:
    try:
        return value if type(value) is int else whole_number(value, name)
    except OverflowError:
        raise ValueError(f"{name} must fit into 64 bits with its sign, got {value}") from None


cdef inline int64_t instant(value, str name) except? -1:
    cdef int64_t t
    try:
        t = value if type(value) is int else whole_number(value, name)
    except OverflowError:
        t = INT64_MAX
    if t >= SUM_LIMIT or t <= -SUM_LIMIT:
        refuse_instant(value, name)
    return t


def as_instant(value, str name):
    """An instant, ns; TypeError and ValueError call it by name."""
    return instant(value, name)


cdef int64_t natural(value, str name) except -1:
    """A whole number from 0 on, so far below the int64 limit that counting on from it never overflows."""
    cdef int64_t x = whole(value, name)
    if not 0 <= x < SUM_LIMIT:
        raise ValueError(f"{name} must be 0 to 2**62, got {x}")
    return x


cdef double real(value, str name) except? -1:
    """A double from a float, an int, or what NumPy and fractions have of the kind; not from a bool or a string."""
    if type(value) is not float:
        if isinstance(value, bool) or not isinstance(value, Real):
            raise TypeError(f"{name} must be a number, got {value!r}")
        try:
            return float(value)
        except OverflowError:
            raise ValueError(f"{name} must fit into a double, got {value}") from None
    return value


# ---- what one peer and many share -----------------------------------------------------------------------------------

cdef inline int64_t columns(const estimator *e) noexcept nogil:
    """How many int64 a ring holds of each interval: that, its steps, or neither."""
    return 0 if e.kind == CONSTANT or e.kind == TRACKED else 2 if scheduled(e) else 1


cdef struct memory:
    # What is known of one peer's heartbeats, beside its sums.
    int64_t *ring   # `room` intervals, and as many steps for those that expect an arrival
    int64_t room
    int64_t slot    # where the next one goes, over the oldest once the window is full
    schedule *plan  # of those that expect an arrival


cdef inline bint remember(const estimator *e, sums *w, memory *m, int64_t interval) noexcept nogil:
    """Learn an interval, into the sums and the ring of a window; False if the sums cannot hold it."""
    if not learn(e, w, interval, m.ring[m.slot] if w.n == e.window else 0):
        return False
    m.ring[m.slot] = interval
    m.slot = 0 if m.slot + 1 == e.window else m.slot + 1
    return True


cdef inline void remember_steps(const estimator *e, sums *w, memory *m, int64_t interval, int64_t steps) noexcept nogil:
    """Learn that the next heartbeat came `interval` ns and `steps` numbers after the last."""
    cdef int64_t[2] oldest = [0, 0], oldest_brief = [0, 0]
    cdef int64_t slot = m.slot, brief
    if columns(e) and w.n == e.window > 0:
        oldest = [m.ring[slot], m.ring[m.room + slot]]
    if 0 < e.short_window <= w.n:
        brief = slot - e.short_window if slot >= e.short_window else slot - e.short_window + e.window
        oldest_brief = [m.ring[brief], m.ring[m.room + brief]]
    next_arrival(e, m.plan, w, interval, steps, oldest, oldest_brief)
    if e.window:
        if columns(e):
            m.ring[slot] = interval
            m.ring[m.room + slot] = steps
        m.slot = 0 if slot + 1 == e.window else slot + 1


cdef inline void begin(const estimator *e, sums *w, memory *m) noexcept nogil:
    """Know only what a first heartbeat brings; there is room for MOST_SEEDS, or the window if that is less."""
    cdef int64_t k
    w[0] = nothing_known(e)
    m.slot = 0
    if scheduled(e):
        begin_schedule(e, m.plan, w)
    for k in range(e.seeds):
        remember(e, w, m, e.seed[k])


cdef inline double middle(const int64_t *intervals, int64_t n) noexcept nogil:
    """Their median; 0 where there are none."""
    cdef int64_t lower = kth_smallest(intervals, n, (n + 1) // 2) if n else 0
    return lower if n % 2 else (lower + <double> kth_smallest(intervals, n, n // 2 + 1)) / 2 if n else 0


cdef inline bint by_median(const estimator *e) noexcept nogil:
    """Whether heartbeats without numbers are counted by the window's median interval.

    TRACKED counts each as the next: rounding takes an outage for lost numbers and the queue after it for more of them,
    which cost 4 times as many mistakes on real traces.
    """
    return e.kind == EXPECTED and estimated(e)


cdef inline void take_for_granted(schedule *plan, bint numbered, int64_t steps) noexcept nogil:
    """Count along with a sender whose heartbeat came without a number, `steps` after the last."""
    plan.ahead = 0 if numbered else min(plan.ahead + steps, <int64_t> SUM_LIMIT - 1)


cdef inline uint64_t steps_to(const peer_order *before, schedule *plan, bint numbered, int64_t sequence, double period,
                              int64_t interval) noexcept nogil:
    """How many numbers a heartbeat is from the one before: by their sequence numbers, or by the time between them."""
    cdef uint64_t steps
    if not (numbered and before.numbered):
        steps = steps_of(period, interval)
        take_for_granted(plan, numbered, <int64_t> steps)
        return steps
    steps = <uint64_t> sequence - <uint64_t> before.sequence
    steps = steps - <uint64_t> plan.ahead if steps > <uint64_t> plan.ahead else 1
    plan.ahead = 0
    return steps


cdef inline verdict take_in(const estimator *e, peer_order *p, sums *w, memory *m, int64_t now,
                            bint numbered, int64_t sequence, bint dated, int64_t epoch) noexcept nogil:
    """A heartbeat, whole: does it count, and what does the window learn from it?"""
    cdef peer_order before = p[0]
    cdef verdict v = accept(p, now, numbered, sequence, dated, epoch)
    cdef int64_t interval, ahead
    cdef uint64_t steps
    cdef double period
    if v == FIRST or v == RESTART:
        begin(e, w, m)
    elif v == COUNTS and scheduled(e):
        interval = now - before.last
        period = e.period + e.period_rest if e.kind != TRACKED else 0
        if by_median(e) and not (numbered and before.numbered):
            period = middle(m.ring, w.n)
        steps = steps_to(&before, m.plan, numbered, sequence, period, interval)
        if follows(e, interval, steps):
            remember_steps(e, w, m, interval, <int64_t> steps)
        else:
            ahead = m.plan.ahead
            begin(e, w, m)
            m.plan.ahead = ahead
            return UNLEARNED
    elif v == COUNTS and e.kind != CONSTANT:
        return v if welcome(e, w, now - before.last) and remember(e, w, m, now - before.last) else UNLEARNED
    elif v == STEP and scheduled(e):
        take_for_granted(m.plan, numbered, 1)
    return v


cdef inline int64_t silence(int64_t last, int64_t now) noexcept nogil:
    """Time since the last heartbeat; a query at an instant before it is one at it."""
    return now - last if now > last else 0


cdef inline double lateness_of(const estimator *e, const sums *w, const int64_t *ring, double scale,
                               int64_t elapsed) noexcept nogil:
    """z after `elapsed` ns of silence. The level must be known."""
    if e.kind == SAMPLE:
        return count_at_most(ring, w.n, longest_outlived(e, elapsed))
    return lateness(e, w.n, located(e, w), scale, elapsed)


cdef inline int64_t silence_to_outlive(const estimator *e, const int64_t *ring, const int64_t *ascending, int64_t n,
                                       double count, int bits) noexcept nogil:
    """How long a silence outlives `count` intervals of n, in 2^-bits ns; INT64_MAX: none. By a ring, or sorted."""
    cdef int64_t k, interval
    if count <= 0:
        return 0
    if count > n:
        return INT64_MAX
    k = <int64_t> count + (<int64_t> count < count)
    interval = ascending[k - 1] if ring is NULL else kth_smallest(ring, n, k)
    return outlived_after_fixed(e, interval) if bits else outlived_after(e, interval)


cdef inline int64_t deadline_of(const estimator *e, const sums *w, const int64_t *ring, double scale,
                                int64_t last, double z) noexcept nogil:
    """The first ns at which the lateness reaches z; INT64_MAX where there is none. The level must be known."""
    cdef int64_t elapsed
    if e.kind == SAMPLE:
        elapsed = silence_to_outlive(e, ring, NULL, w.n, z, 0)
    else:
        elapsed = first_elapsed(e, w.n, located(e, w), scale, z)
    return INT64_MAX if elapsed > INT64_MAX - 1 - max(last, 0) else last + elapsed


cdef double threshold_level(value) except? -1:
    cdef double level = real(value, "threshold")
    if level != level:
        raise ValueError("threshold must be a number, got nan")
    return level


def as_threshold(value):
    """A threshold as a float; TypeError and ValueError call it by name."""
    return threshold_level(value)


cdef list schedule_values(const estimator *e, const schedule *plan):
    """What a schedule knows beside its window."""
    if e.kind == MARGIN:
        return [plan.error, plan.deviation]
    if e.kind == TRACKED:
        return [plan.location, plan.period, plan.fast, plan.slow, plan.outlier, plan.first, plan.second,
                plan.agreeing, plan.worsening, plan.seeds, plan.known]
    return []


cdef inline bint sound(const estimator *e, const schedule *plan) noexcept nogil:
    """Whether what a schedule knows beside its window are finite numbers of ns, as heartbeats can leave them."""
    # One heartbeat's error is below 2^87 ns (2^33 numbers, 104 days each), and there are not 2^41 jumps in an int64's
    # numbers. NaN fails each comparison.
    cdef double limit = 2.0**128
    if e.kind == MARGIN:
        return fabs(plan.error) < limit and 0 <= plan.deviation < limit
    if e.kind == TRACKED:
        return (fabs(plan.location) < limit and 0 <= plan.period < limit and 0 <= plan.fast < limit
                and 0 <= plan.slow < limit and fabs(plan.outlier) < limit and 0 <= plan.first < limit
                and 0 <= plan.second < limit and 0 <= plan.agreeing <= 1000 and 0 <= plan.worsening <= MOST_WORSENING
                and 0 <= plan.seeds <= SEEDS and 0 <= plan.known <= MOST_KNOWN)
    return True


cdef int load_schedule_values(const estimator *e, schedule *plan, values) except -1:
    cdef list given = list(values)
    if e.kind == MARGIN:
        plan.error, plan.deviation = given
    elif e.kind == TRACKED:
        (plan.location, plan.period, plan.fast, plan.slow, plan.outlier, plan.first, plan.second,
         plan.agreeing, plan.worsening, plan.seeds, plan.known) = given
    if not sound(e, plan):
        raise ValueError(f"schedule must hold finite numbers of ns, got {values}")
    return 0


# ---- one peer -------------------------------------------------------------------------------------------------------
#
# Rule 1: between two calls of Python code a method of Peer leaves everything consistent. The clock and the arguments'
# conversions, which may run any code and let other threads in, come first; then C alone, which the GIL makes atomic;
# then listeners, and last the destructors of what was replaced. So no call needs a lock.
#
# Rule 2: what became of a peer follows from its heartbeats alone, not from when somebody looked. In silence each state
# has one end (silence_ends) and one successor (AFTER_SILENCE):
#
#     UNKNOWN    expected     ->  SUSPECTED
#     TRUSTED    deadline     ->  SUSPECTED
#     SUSPECTED  held_until   ->  TRUSTED      where a level is known and the deadline is later
#
# A heartbeat, or a change by hand (threshold, detector, expect, reset), leads to any state: state_at says which.

cdef enum peer_state:
    NOT_SEEN = -1
    UNKNOWN
    TRUSTED
    SUSPECTED

cdef peer_state[3] AFTER_SILENCE = [SUSPECTED, SUSPECTED, TRUSTED]  # after UNKNOWN, TRUSTED, SUSPECTED

ctypedef struct transition:
    peer_state old, new
    int64_t at
    double level

ctypedef struct counters:
    int64_t accepted, ignored, clock_steps, restarts, unlearned


cdef object optional(int64_t value, int64_t absent):
    return None if value == absent else value


cdef class Peer:
    """One peer's detector, one heartbeat at a time. accrual.monitor.Monitor is its public face."""

    cdef readonly Detector compiled
    cdef readonly object clock, detector  # detector: what `compiled` was made from; here, so that both change at once
    cdef double _threshold, z  # z: the lateness at which the level reaches the threshold
    cdef int64_t z_n           # where the law asks for degrees of freedom: the n that z belongs to, -1 for none
    cdef peer_order order
    cdef sums w
    cdef memory m  # its ring grows with what is in it
    cdef schedule plan
    cdef counters count
    cdef int64_t stable_after, unknown_after  # ns; unknown_after -1: never
    cdef int64_t expected    # while the level is unknown: from when on the silence is suspect; INT64_MAX: never
    cdef int64_t held_until  # until when a suspicion that ended still shows in the state; INT64_MIN: it does not
    cdef readonly list _listeners  # who is called with each transition; without any nothing is noticed
    cdef peer_state seen     # the state that they were told last
    cdef int64_t noticed     # the instant up to which they know; INT64_MIN: none
    cdef int64_t told        # the end of `seen` that they wait for; INT64_MIN: they do not wait
    cdef transition *pending  # noticed, not yet delivered: those from `first` to `first + waiting`
    cdef int64_t pending_room, first, waiting

    def __cinit__(self, *args, **kwargs):
        self.compiled = NO_DETECTOR  # never None, whatever a subclass forgets: methods read it without a check
        self.m.plan = &self.plan
        self.z_n = self.unknown_after = -1
        self._listeners = []
        self.seen = NOT_SEEN
        self.noticed = self.told = INT64_MIN
        self.forget()

    def __init__(self, detector, threshold, clock, int64_t stable_after=0, int64_t unknown_after=-1):
        cdef Detector compiled = detector.compiled
        cdef tuple _former = (self.compiled, self.detector, self.clock)  # kept till the end: see Rule 1
        self.compiled, self.detector, self.clock = compiled, detector, clock
        self.z_n = -1
        self.stable_after = stable_after
        self.unknown_after = unknown_after
        self.drop_ring()
        self.forget()
        self.threshold = threshold

    def __dealloc__(self):
        free(self.m.ring)
        free(self.pending)

    cdef void drop_ring(self) noexcept:
        """Another detector's has other columns."""
        free(self.m.ring)
        self.m.ring = NULL
        self.m.room = 0

    cdef void forget(self) noexcept:
        self.order = peer_order(last=0, sequence=0, epoch=0, heard=False, numbered=False, dated=False)
        self.w = nothing_known(&self.compiled.e)
        self.m.slot = 0
        self.expected = INT64_MAX
        self.held_until = INT64_MIN

    def reset(self):
        """Forget heartbeats and expectations, not the counters: as after a restart, but of this side's own will."""
        self.forget()
        self.changed_by_hand()

    @property
    def threshold(self):
        """The level from which on the peer is suspected; may be changed at any time."""
        return self._threshold

    @threshold.setter
    def threshold(self, threshold):
        self._threshold = threshold_level(threshold)
        self.z_n = -1
        self.changed_by_hand()

    cdef double reached(self) noexcept:
        """The lateness at which the level reaches the threshold."""
        cdef int64_t n = self.w.n if asks(self.compiled.law) else 0
        if self.z_n != n:
            self.z = self.compiled.z_at(self._threshold, n)
            self.z_n = n
        return self.z

    cdef double reaches(self, threshold) except? -1:
        """The same for another threshold, or the peer's own for None."""
        return self.reached() if threshold is None else self.compiled.z_at(threshold_level(threshold), self.w.n)

    def expect(self, by):
        """Suspect the peer from `by` (ns) on, if no level is known by then; nothing where one is known already.

        Heartbeats that leave the level unknown do not put it off, unless there is `unknown_after`.
        """
        cdef int64_t t = instant(by, "by")
        if self.unknown():
            self.expected = t
            self.changed_by_hand()

    cdef int64_t instant(self, now) except? -1:
        return instant(self.clock() if now is None else now, "now")

    cdef int make_room(self) except -1:
        """Let the ring hold one interval more, or all seeds; it grows by doubling up to the window."""
        cdef memory *m = &self.m
        cdef int64_t *larger
        cdef int64_t window = self.compiled.e.window, wide = columns(&self.compiled.e), room
        if wide and m.room < min(window, max(m.slot + 1, <int64_t> MOST_SEEDS)):
            room = min(window, max(64, 2 * m.room))
            larger = <int64_t *> realloc(m.ring, <size_t> (room * wide) * sizeof(int64_t))
            if larger is NULL:
                raise MemoryError
            if wide > 1:  # the steps come after the intervals
                memmove(larger + room, larger + m.room, <size_t> m.room * sizeof(int64_t))
            m.ring, m.room = larger, room
        return 0

    cdef int take_in(self, int64_t t, bint numbered, int64_t sequence, bint dated, int64_t epoch) except -1:
        """A heartbeat: 1 if it was accepted."""
        cdef verdict v
        self.make_room()
        v = take_in(&self.compiled.e, &self.order, &self.w, &self.m, t, numbered, sequence, dated, epoch)
        if v == IGNORED:
            self.count.ignored += 1
            return 0
        self.count.accepted += 1
        self.count.clock_steps += v == STEP
        self.count.restarts += v == RESTART
        self.count.unlearned += v == UNLEARNED
        if not self.unknown():
            self.expected = INT64_MAX
        elif self.unknown_after >= 0:
            self.expected = t + self.unknown_after
        return 1

    def heartbeat(self, now=None, sequence=None, epoch=None):
        """Take in a heartbeat that arrived at `now` (ns; the clock's reading by default).

        Returns whether it was accepted: a late, duplicate or reordered one (by `sequence`) is counted and ignored.
        """
        cdef int64_t t = self.instant(now)
        cdef bint numbered = sequence is not None, dated = epoch is not None
        cdef int64_t number = whole(sequence, "sequence") if numbered else 0
        cdef int64_t boot = whole(epoch, "epoch") if dated else 0
        cdef bint accepted, nearer = False, late
        cdef int64_t due
        if not (self._listeners or self.stable_after):
            return <bint> self.take_in(t, numbered, number, dated, boot)
        late = self.suspected_at(t, self.reached())
        if self._listeners and t >= self.noticed:
            self.notice(t)
        accepted = self.take_in(t, numbered, number, dated, boot)
        if accepted:
            self.hold(t, late)
            if self._listeners:
                self.noticed = t
                self.notice(t)
                due = self.silence_ends(self.seen)
                nearer = due < self.told
                self.told = min(self.told, due)
        if nearer or self.waiting:
            self._tell(nearer)
        return accepted

    cdef void hold(self, int64_t t, bint late) noexcept:
        """After a heartbeat: until when the state stays SUSPECTED; `late`: the heartbeat ended a suspicion."""
        if self.unknown() or not late and self.held_until <= t or not self.stable_after:
            self.held_until = INT64_MIN
        elif late or self.held_until > t + self.stable_after:  # the latter: the clock went back
            self.held_until = t + self.stable_after

    cdef bint unknown(self) noexcept:
        return not self.order.heard or not known(&self.compiled.e, self.w.n)

    cdef double lateness_at(self, int64_t now) noexcept:
        cdef estimator *e = &self.compiled.e
        return lateness_of(e, &self.w, self.m.ring, denominator(e, &self.w), silence(self.order.last, now))

    cdef double level_at(self, int64_t t) noexcept:
        return NAN if self.unknown() else level_of(self.compiled.law, self.lateness_at(t), self.w.n - 1)

    cdef bint suspected_at(self, int64_t t, double z) noexcept:
        return t >= self.expected if self.unknown() else self.lateness_at(t) >= z

    cdef int64_t deadline_at(self, double z) noexcept:
        """The first ns of suspicion in silence; INT64_MAX: never."""
        cdef estimator *e = &self.compiled.e
        if self.unknown():
            return self.expected
        return deadline_of(e, &self.w, self.m.ring, denominator(e, &self.w), self.order.last, z)

    cdef peer_state state_at(self, int64_t t) noexcept:
        if self.suspected_at(t, self.reached()):
            return SUSPECTED
        if self.unknown():
            return UNKNOWN
        return SUSPECTED if t < self.held_until else TRUSTED

    cdef int64_t silence_ends(self, peer_state state) noexcept:
        """When the state gives way to AFTER_SILENCE[state] by itself; INT64_MAX: never."""
        if state != SUSPECTED:
            return self.deadline_at(self.reached()) if self.unknown() == (state == UNKNOWN) else INT64_MAX
        if self.held_until == INT64_MIN or self.unknown() or self.held_until >= self.deadline_at(self.reached()):
            return INT64_MAX
        return self.held_until

    def level(self, now=None):
        """The suspicion level at `now` (ns); NaN while too few intervals are known."""
        return self.level_at(self.instant(now))

    def suspected(self, now=None, threshold=None):
        """Whether the level at `now` (ns) is at or above the threshold, or a peer without a level is overdue."""
        cdef int64_t t = self.instant(now)
        cdef double z = self.reaches(threshold)
        return self.suspected_at(t, z)

    def deadline(self, threshold=None):
        """The first ns at which the peer will be suspected if it stays silent; None where there is none."""
        cdef double z = self.reaches(threshold)
        return optional(self.deadline_at(z), INT64_MAX)

    @property
    def last(self):
        """Arrival of the last accepted heartbeat, ns, or None."""
        return self.order.last if self.order.heard else None

    @property
    def samples(self):
        """How many intervals the window holds."""
        return self.w.n if self.compiled.e.kind != CONSTANT else 0

    # The transitions

    cdef int notice(self, int64_t t) except -1:
        """Follow the state up to instant t, in order."""
        cdef int64_t due = self.silence_ends(self.seen)
        cdef peer_state state
        while self.noticed < due <= t:
            self.enter(AFTER_SILENCE[<int> self.seen], due)
            due = self.silence_ends(self.seen)
        self.noticed = t
        state = self.state_at(t)
        if state != self.seen:
            self.enter(state, t)
        return 0

    cdef int enter(self, peer_state state, int64_t at) except -1:
        cdef transition *larger
        if self.waiting == 0:
            self.first = 0
        if self.first + self.waiting == self.pending_room:
            larger = <transition *> realloc(self.pending, <size_t> max(4, 2 * self.pending_room) * sizeof(transition))
            if larger is NULL:
                raise MemoryError
            self.pending = larger
            self.pending_room = max(4, 2 * self.pending_room)
        self.pending[self.first + self.waiting] = transition(old=self.seen, new=state, at=at, level=self.level_at(at))
        self.waiting += 1
        self.seen = state
        self.noticed = at
        return 0

    cdef int changed_by_hand(self) except -1:
        """No clock is read here: what the change leads to is noticed when somebody looks, and waiters are to look."""
        if self._listeners:
            self._tell(True)
        return 0

    def _look(self, now=None):
        """The state's number at `now`. Notices transitions, but for an instant before the last noticed one."""
        cdef int64_t t = self.instant(now)
        cdef int state = self.state_at(t)
        if self._listeners and t >= self.noticed:
            self.notice(t)
        if self.waiting:
            self._tell(False)
        return state

    def _listen(self, listener):
        """Call `listener` with transitions from now on; the first listener from the last heartbeat on."""
        self._listeners.append(listener)
        if self.seen == NOT_SEEN:
            self.seen = UNKNOWN if self.unknown() else TRUSTED
            self.noticed = self.order.last if self.order.heard else INT64_MIN

    def _await_change(self, now):
        """When the state at `now` ends in silence, or None; listeners are told when that comes nearer."""
        cdef int64_t t = instant(now, "now")
        self.told = self.silence_ends(self.state_at(t))
        return optional(self.told, INT64_MAX)

    @property
    def _waiting(self):
        """How many transitions are undelivered."""
        return self.waiting

    def _next_transition(self):
        """Take the oldest undelivered transition, (old, new, at, level), or None."""
        cdef transition oldest
        if self.waiting == 0:
            return None
        oldest = self.pending[self.first]
        self.first += 1
        self.waiting -= 1
        return <int> oldest.old, <int> oldest.new, oldest.at, oldest.level

    # The state, whole

    @property
    def accepted(self):
        """Heartbeats that counted."""
        return self.count.accepted

    @property
    def ignored(self):
        """Late, duplicate and reordered heartbeats."""
        return self.count.ignored

    @property
    def clock_steps(self):
        """Heartbeats at which the clock had gone back."""
        return self.count.clock_steps

    @property
    def restarts(self):
        """Heartbeats that began a new epoch."""
        return self.count.restarts

    @property
    def unlearned(self):
        """Intervals too long for the window's exact sums."""
        return self.count.unlearned

    def _stats(self):
        """Of one moment: samples, mean and deviation of their intervals [ns], last, the counters in a dict."""
        cdef counters count = self.count
        cdef peer_order order = self.order
        cdef sums w = sums(n=0, sum=0, squares=0)
        cdef int64_t n, i
        cdef int64_t *intervals = self.history(&n)
        cdef bint fits = n > 0
        for i in range(n):  # a window of expected arrivals may hold what the sums of the others cannot
            fits = fits and learn(&self.compiled.e, &w, intervals[i], 0)
        free(intervals)
        return (n, <double> w.sum / n if fits else NAN, sqrt(exact_spread(n, w.sum, w.squares)) / n if fits else NAN,
                order.last if order.heard else None, count)

    cdef int64_t *history(self, int64_t *n) except NULL:
        """The window's intervals, oldest first, then their steps if there are, in memory that the caller frees."""
        cdef int64_t newer, column, wide = columns(&self.compiled.e)
        cdef int64_t *copy
        n[0] = self.w.n if wide else 0
        copy = <int64_t *> malloc(<size_t> max(1, wide * n[0]) * sizeof(int64_t))
        if copy is NULL:
            raise MemoryError
        for column in range(wide if n[0] else 0):
            newer = n[0] - self.m.slot
            memcpy(copy + column * n[0], self.m.ring + column * self.m.room + self.m.slot,
                   <size_t> newer * sizeof(int64_t))
            memcpy(copy + column * n[0] + newer, self.m.ring + column * self.m.room,
                   <size_t> self.m.slot * sizeof(int64_t))
        return copy

    cdef int relearn(self, const int64_t *intervals, const int64_t *steps, int64_t n) except -1:
        """Know these intervals, oldest first, and no others; where there are none, what a first heartbeat brings.

        `steps` may be NULL: then they are guessed from the intervals, for those that look at them.
        """
        cdef estimator *e = &self.compiled.e
        cdef int64_t i, between
        cdef double period = e.period + e.period_rest if e.kind != TRACKED else 0
        if by_median(e):
            period = middle(intervals, n)
        self.w = nothing_known(e)
        self.m.slot = 0
        if self.order.heard and (n == 0 or scheduled(e)):
            self.make_room()
            begin(e, &self.w, &self.m)
        for i in range(n if e.kind != CONSTANT else 0):
            self.make_room()
            if not scheduled(e):
                self.count.unlearned += not remember(e, &self.w, &self.m, intervals[i])
                continue
            between = steps[i] if steps is not NULL else steps_of(period, intervals[i])
            if follows(e, intervals[i], between):
                remember_steps(e, &self.w, &self.m, intervals[i], between)
            else:
                begin(e, &self.w, &self.m)
        return 0

    def _change_detector(self, detector):
        """Go on with another detector; it learns the intervals that the window holds."""
        cdef Detector compiled = detector.compiled
        cdef tuple _former = (self.compiled, self.detector)  # kept till the end: see Rule 1
        cdef int64_t n
        cdef int64_t *intervals = self.history(&n)
        cdef bint stepped = columns(&self.compiled.e) > 1
        cdef int64_t ahead = self.plan.ahead if scheduled(&self.compiled.e) else 0
        self.compiled, self.detector = compiled, detector
        self.z_n = -1
        self.drop_ring()
        try:
            self.relearn(intervals, intervals + n if stepped else NULL, n)
        finally:
            free(intervals)
        self.plan.ahead = ahead
        if not self.unknown():
            self.expected = INT64_MAX
        self.changed_by_hand()

    def _save(self):
        """Of one moment: detector, threshold, and what a fresh peer needs to go on alike, in a dict for JSON."""
        cdef object detector = self.detector
        cdef double threshold = self._threshold
        cdef peer_order order = self.order
        cdef counters count = self.count
        cdef int64_t expected = self.expected, held_until = self.held_until, noticed = self.noticed, n, i
        cdef peer_state seen = self.seen
        cdef schedule plan = self.plan
        cdef estimator *e = &self.compiled.e
        cdef dict more = {}
        cdef int64_t *intervals = self.history(&n)
        if scheduled(e):
            more["schedule"] = {"n": self.w.n, "ahead": plan.ahead, "values": schedule_values(e, &plan),
                                "steps": [intervals[n + i] for i in range(n)]}
        try:
            return detector, threshold, {
                **more,
                "last": order.last if order.heard else None,
                "sequence": order.sequence if order.numbered else None,
                "epoch": order.epoch if order.dated else None,
                "intervals": [intervals[i] for i in range(n)],
                "expected": optional(expected, INT64_MAX),
                "held_until": optional(held_until, INT64_MIN),
                "seen": optional(seen, NOT_SEEN),
                "noticed": optional(noticed, INT64_MIN),
                "counters": count,
            }
        finally:
            free(intervals)

    def _load(self, saved):
        """Take over what _save gave. Safe with any values; the caller compares _save() to see if all were taken."""
        cdef tuple given = tuple(saved["intervals"]), steps = None
        cdef dict plan = saved.get("schedule")
        cdef peer_order order = peer_order(
            last=instant(saved["last"], "last") if saved["last"] is not None else 0,
            sequence=whole(saved["sequence"], "sequence") if saved["sequence"] is not None else 0,
            epoch=whole(saved["epoch"], "epoch") if saved["epoch"] is not None else 0,
            heard=saved["last"] is not None,
            numbered=saved["sequence"] is not None,
            dated=saved["epoch"] is not None)
        cdef int64_t expected = whole(saved["expected"], "expected") if saved["expected"] is not None else INT64_MAX
        cdef int64_t held = whole(saved["held_until"], "held_until") if saved["held_until"] is not None else INT64_MIN
        cdef int64_t noticed = whole(saved["noticed"], "noticed") if saved["noticed"] is not None else INT64_MIN
        cdef int64_t seen = whole(saved["seen"], "seen") if saved["seen"] is not None else NOT_SEEN
        cdef counters count
        cdef int64_t n = len(given), i, known_n = 0, ahead = 0
        cdef int64_t *intervals
        cdef estimator *e = &self.compiled.e
        if plan is not None:
            steps, ahead, known_n = tuple(plan["steps"]), natural(plan["ahead"], "ahead"), natural(plan["n"], "n")
        if scheduled(e) and (plan is None or len(steps) != n or known_n > e.window):
            raise ValueError("schedule is missing, or has not as many steps as there are intervals")
        if not <int64_t> NOT_SEEN <= seen <= <int64_t> SUSPECTED:  # else Cython narrows `seen` to the enum first
            raise ValueError(f"seen must be a state's number, got {seen}")
        count.accepted, count.ignored, count.clock_steps, count.restarts, count.unlearned = (
            natural(saved["counters"][name], name)
            for name in ("accepted", "ignored", "clock_steps", "restarts", "unlearned"))
        intervals = <int64_t *> malloc(<size_t> max(1, 2 * n) * sizeof(int64_t))
        if intervals is NULL:
            raise MemoryError
        try:
            for i in range(n):
                intervals[i] = natural(given[i], "intervals")
                intervals[n + i] = natural(steps[i], "steps") if scheduled(e) else 0
            self.forget()
            self.order, self.count = order, count
            if order.heard:
                self.relearn(intervals, intervals + n, n)
        finally:
            free(intervals)
        if scheduled(e) and order.heard:
            self.plan.ahead = ahead
            if e.kind == TRACKED:
                self.w.n = known_n
            load_schedule_values(e, &self.plan, plan["values"])
            read_schedule(e, &self.plan, &self.w)
        if self.unknown():
            self.expected = expected
        self.held_until, self.noticed = held, noticed
        self.seen = <peer_state> seen


# ---- many peers -----------------------------------------------------------------------------------------------------

cdef extern from *:
    """
    /* How many of n deadlines have come, for each DUE_BLOCK of them; gives how many in all. */
    enum { DUE_BLOCK = 128 };
    ACCRUAL_INLINE int64_t count_due_body(const int64_t *restrict deadline, int64_t n, int64_t now,
                                          uint8_t *restrict due) {
        int64_t all = 0;
        for (int64_t low = 0; low < n; low += DUE_BLOCK) {
            const int64_t *block = deadline + low;
            int64_t count = 0;
            if (n - low >= DUE_BLOCK)
                for (int j = 0; j < DUE_BLOCK; j++) count += block[j] <= now;
            else
                for (int j = 0; j < n - low; j++) count += block[j] <= now;
            due[low / DUE_BLOCK] = (uint8_t)count;
            all += count;
        }
        return all;
    }
    TIERED_BODY(int64_t, count_due, (const int64_t *restrict deadline, int64_t n, int64_t now, uint8_t *restrict due),
                (deadline, n, now, due))

    /* The numbers of the `due` that have come, of the block that begins at `first`. Each number is written and kept
     * only where due: no branch for the CPU to mispredict. */
    static void list_due_base(const int64_t *restrict deadline, int64_t n, int64_t now, int64_t first, int64_t due,
                              int64_t *restrict out) {
        for (int64_t m = 0; m < due; first++) {
            out[m] = first;
            m += deadline[first] <= now;
        }
    }
    #if ACCRUAL_CLONES
    #define list_due_v3 list_due_base
    ACCRUAL_V4 static void list_due_v4(const int64_t *restrict deadline, int64_t n, int64_t now, int64_t first,
                                       int64_t due, int64_t *restrict out) {
        const __m512i count = _mm512_setr_epi64(0, 1, 2, 3, 4, 5, 6, 7), limit = _mm512_set1_epi64(now);
        int64_t m = 0;
        for (; m < due && first + 8 <= n; first += 8) {
            __mmask8 come = _mm512_cmple_epi64_mask(_mm512_loadu_si512(deadline + first), limit);
            int more = __builtin_popcount(come);
            /* Not _mm512_mask_compressstoreu_epi64, which Zen does in microcode. */
            __m512i number = _mm512_maskz_compress_epi64(come, _mm512_add_epi64(_mm512_set1_epi64(first), count));
            _mm512_mask_storeu_epi64(out + m, (__mmask8)((1u << more) - 1), number);
            m += more;
        }
        _mm256_zeroupper();
        list_due_base(deadline, n, now, first, due - m, out + m);
    }
    #endif
    TIERED(void, list_due, (const int64_t *restrict deadline, int64_t n, int64_t now, int64_t first, int64_t due,
                            int64_t *restrict out), (deadline, n, now, first, due, out))

    #define prefetch(address) __builtin_prefetch(address, 1)
    """
    const int DUE_BLOCK
    int64_t count_due(const int64_t *deadline, int64_t n, int64_t now, uint8_t *due) nogil
    void list_due(const int64_t *deadline, int64_t n, int64_t now, int64_t first, int64_t due, int64_t *out) nogil
    void prefetch(const void *address) nogil

ctypedef struct account:
    # What a bank keeps of one peer beside its deadline, sequence number, epoch and ring: 48 B. All zero: never heard.
    int64_t last, sum
    uint64_t squares_low, squares_high
    double denominator
    uint32_t slot  # where in the ring the next interval goes: how many there are, until the window is full
    uint8_t full, heard, numbered, dated

ACCOUNT = [("last", "<i8"), ("sum", "<i8"), ("squares_low", "<u8"), ("squares_high", "<u8"), ("denominator", "<f8"),
           ("slot", "<u4"), ("full", "u1"), ("heard", "u1"), ("numbered", "u1"), ("dated", "u1")]

cdef enum:
    # How many heartbeats ahead an account and its deadline, and then (the slot being there) its place in the ring, are
    # asked for. A million peers fit no cache: in random order 33 ns a heartbeat with this, 400 without.
    STATE_AHEAD = 24
    RING_AHEAD = 12
    # Learned, then read, then given deadlines, so many at a time: short loops overlap (19 ns a heartbeat against 25).
    BATCH = 32
    Z_KEPT = 1024


cdef inline int64_t samples_of(const estimator *e, const account *a) noexcept nogil:
    return 1 if e.kind == CONSTANT else e.window if a.full else a.slot


cdef inline sums sums_of(const estimator *e, const account *a) noexcept nogil:
    cdef sums w = nothing_known(e)
    if e.kind != CONSTANT:
        w.n = samples_of(e, a)
        w.sum = a.sum
        w.squares = <u128> a.squares_high << 64 | a.squares_low
    return w


cdef inline void put_down(account *a, const sums *w) noexcept nogil:
    a.sum = w.sum
    a.squares_low = <uint64_t> w.squares
    a.squares_high = <uint64_t> (w.squares >> 64)


cdef inline bint level_known(const estimator *e, const account *a) noexcept nogil:
    return a.heard and known(e, samples_of(e, a))


cdef inline double denominator_for(const estimator *e, const account *a) noexcept nogil:
    cdef sums w = sums_of(e, a)
    return denominator(e, &w)


cdef class Peers:
    """Many peers' detector, heartbeats in batches. accrual.monitor.Bank is its public face, owns the arrays and locks.

    Parameters
    ----------
    compiled : Detector
    threshold : float
    accounts : ACCOUNT array, shape (peers,)
        Their sums and denominators are not believed but added up from the ring.
    deadlines : int64 array, shape (peers,)
        Filled here: INT64_MAX where there is none.
    sequences, epochs : int64 arrays, shape (peers,)
    schedules : int64 array, shape (peers, compiled.words)
        What of them follows from the ring is not believed either.
    ring : int64 array, shape (peers, compiled.columns * compiled.window)
        The intervals, then the steps; of an account whose window is not full the first `slot` count, else all.

    Raises
    ------
    ValueError
        If an account or an interval is none that heartbeats can leave behind: gives its index.
    """

    cdef readonly Detector compiled
    cdef double _threshold
    # The lateness that belongs to it with n intervals, at n % Z_KEPT (0 for laws that do not ask for n); -1: none yet.
    cdef double[1024] z
    cdef int64_t[1024] z_n
    cdef account[::1] accounts
    cdef int64_t[::1] deadlines, sequences, epochs
    cdef int64_t[:, ::1] schedules, ring
    cdef int64_t latest  # no last heartbeat is later

    def __cinit__(self, Detector compiled not None, threshold, account[::1] accounts not None,
                  int64_t[::1] deadlines not None, int64_t[::1] sequences not None, int64_t[::1] epochs not None,
                  int64_t[:, ::1] schedules not None, int64_t[:, ::1] ring not None):
        cdef Py_ssize_t k, n = accounts.shape[0]
        cdef const estimator *e = &compiled.e
        cdef account *a
        cdef bint good = True
        if not (deadlines.shape[0] == sequences.shape[0] == epochs.shape[0] == schedules.shape[0] == ring.shape[0] == n
                and ring.shape[1] == columns(e) * e.window and schedules.shape[1] == compiled.words):
            raise IndexError("Peers: arrays of the wrong shape")
        self.compiled = compiled
        self.accounts, self.deadlines, self.sequences, self.epochs, self.schedules, self.ring = (
            accounts, deadlines, sequences, epochs, schedules, ring)
        self.latest = -SUM_LIMIT
        self._threshold = threshold_level(threshold)
        memset(self.z_n, -1, sizeof(self.z_n))
        with nogil:
            for k in range(n):
                a = &accounts[k]
                deadlines[k] = INT64_MAX
                if not (a.heard or a.slot or a.full or a.numbered or a.dated):
                    continue  # not even written to: memory that no heartbeat has touched costs nothing
                good = (a.heard == 1 and a.full <= 1 and a.numbered <= 1 and a.dated <= 1
                        and (a.slot < e.window or (a.slot == e.window == 0 and not a.full))
                        and -SUM_LIMIT < a.last < SUM_LIMIT and self.add_up(k))
                if not good:
                    break
                a.denominator = denominator_for(e, a)
                deadlines[k] = self.deadline(k)
                self.latest = max(self.latest, a.last)
        if not good:
            raise ValueError(f"account {k} is none that heartbeats can leave behind")

    @property
    def threshold(self):
        """The level from which on a peer is suspected; a new one renews every deadline."""
        return self._threshold

    @threshold.setter
    def threshold(self, threshold):
        cdef Py_ssize_t k
        self._threshold = threshold_level(threshold)
        memset(self.z_n, -1, sizeof(self.z_n))
        with nogil:
            for k in range(self.accounts.shape[0]):
                self.deadlines[k] = self.deadline(k)

    @final
    cdef memory memory_of(self, Py_ssize_t k) noexcept nogil:
        cdef memory m
        m.room, m.slot = self.compiled.e.window, self.accounts[k].slot
        m.ring = &self.ring[k, 0] if self.ring.shape[1] else NULL
        m.plan = <schedule *> &self.schedules[k, 0] if self.schedules.shape[1] else NULL
        return m

    cdef bint add_up(self, Py_ssize_t k) noexcept nogil:
        """Make an account's sums anew, from its ring; False if they are none that heartbeats can leave behind."""
        cdef const estimator *e = &self.compiled.e
        cdef account *a = &self.accounts[k]
        cdef memory m = self.memory_of(k)
        cdef int64_t n = samples_of(e, a), j, at
        cdef sums w = nothing_known(e)
        cdef schedule saved
        if not scheduled(e):
            for j in range(n if e.kind != CONSTANT else 0):
                if m.ring[j] < 0 or not learn(e, &w, m.ring[j], 0):
                    return False
            put_down(a, &w)
            return True
        saved = m.plan[0]
        if not 0 <= saved.ahead < SUM_LIMIT or not sound(e, &saved):
            return False
        if e.kind == TRACKED:
            w.n = n
        else:
            begin_schedule(e, m.plan, &w)
            for j in range(n):
                at = (a.slot + j) % n if a.full else j
                if m.ring[at] < 0 or m.ring[m.room + at] < 1 or not follows(e, m.ring[at], m.ring[m.room + at]):
                    return False
                m.slot = at
                remember_steps(e, &w, &m, m.ring[at], m.ring[m.room + at])
        m.plan.ahead = saved.ahead
        if e.kind == MARGIN:
            m.plan.error, m.plan.deviation = saved.error, saved.deviation
        read_schedule(e, m.plan, &w)
        put_down(a, &w)
        return True

    @final
    cdef int64_t deadline(self, Py_ssize_t k) noexcept nogil:
        cdef const estimator *e = &self.compiled.e
        cdef const account *a = &self.accounts[k]
        cdef sums w = sums_of(e, a)
        cdef int64_t n = w.n if asks(self.compiled.law) else 0, kept = n % Z_KEPT
        if not level_known(e, a):
            return INT64_MAX
        if self.z_n[kept] != n:
            self.z[kept] = self.compiled.z_at(self._threshold, n)
            self.z_n[kept] = n
        return deadline_of(e, &w, self.memory_of(k).ring, a.denominator, a.last, self.z[kept])

    cdef int check(self, const int64_t[::1] peers) except -1:
        """Refuse numbers that no peer has."""
        cdef Py_ssize_t i, n = self.accounts.shape[0]
        cdef bint outside = False
        with nogil:
            for i in range(peers.shape[0]):
                outside |= not 0 <= peers[i] < n
        if outside:
            i = next(i for i in range(peers.shape[0]) if not 0 <= peers[i] < n)
            raise ValueError(f"peers[{i}] = {peers[i]} is no peer: there are {n}, numbered from 0")
        return 0

    def reset(self, const int64_t[::1] peers not None):
        """Forget these peers' heartbeats."""
        cdef Py_ssize_t i
        self.check(peers)
        with nogil:
            for i in range(peers.shape[0]):
                memset(&self.accounts[peers[i]], 0, sizeof(account))
                self.deadlines[peers[i]] = INT64_MAX

    def heartbeat(self, const int64_t[::1] peers not None, const int64_t[::1] now not None, const int64_t[::1] sequence,
                  const int64_t[::1] epoch, uint8_t[::1] accepted not None, int64_t[::1] counts not None):
        """Take in heartbeats in order; accepted[i]: whether that one was. Adds to `counts`, one for each verdict."""
        cdef Py_ssize_t i, k, low, high = 0, n = peers.shape[0]
        cdef estimator e = self.compiled.e
        cdef bint numbered = sequence is not None, dated = epoch is not None
        # Plain pointers: the compiler must take `accepted`, of bytes, for a name of anything behind self.
        cdef account *accounts
        cdef int64_t *deadlines
        cdef int64_t *sequences
        cdef int64_t *epochs
        cdef int64_t *ring
        cdef schedule *plans
        cdef account *a
        cdef peer_order p
        cdef sums w
        cdef memory m = memory(ring=NULL, room=self.compiled.e.window, slot=0, plan=NULL)
        cdef int64_t row = columns(&e) * e.window, latest = self.latest
        cdef verdict v
        if not (now.shape[0] == accepted.shape[0] == n and counts.shape[0] == VERDICTS
                and (not numbered or sequence.shape[0] == n) and (not dated or epoch.shape[0] == n)):
            raise IndexError("Peers.heartbeat: arrays of different lengths")
        self.check(peers)
        if n == 0:
            return
        accounts, deadlines = &self.accounts[0], &self.deadlines[0]
        sequences, epochs = &self.sequences[0], &self.epochs[0]
        ring = &self.ring[0, 0] if row else NULL
        plans = <schedule *> &self.schedules[0, 0] if scheduled(&e) else NULL
        with nogil:
            while high < n:
                low = high
                high = min(low + BATCH, n)
                for i in range(low, high):
                    if i + STATE_AHEAD < n:
                        k = peers[i + STATE_AHEAD]
                        prefetch(accounts + k)
                        prefetch(<char *> (accounts + k + 1) - 1)  # half of them lie on two cache lines
                        prefetch(deadlines + k)
                        if numbered:
                            prefetch(sequences + k)
                        if dated:
                            prefetch(epochs + k)
                        if plans is not NULL:
                            prefetch(plans + k)
                            prefetch(<char *> (plans + k + 1) - 1)
                    if row and i + RING_AHEAD < n:
                        k = peers[i + RING_AHEAD]
                        prefetch(ring + k * row + accounts[k].slot)
                    k = peers[i]
                    a = accounts + k
                    p.last, p.heard, p.numbered, p.dated = a.last, a.heard, a.numbered, a.dated
                    p.sequence = sequences[k] if p.numbered else 0
                    p.epoch = epochs[k] if p.dated else 0
                    w = sums_of(&e, a)
                    m.ring, m.slot, m.plan = ring + k * row, a.slot, plans + k if plans is not NULL else NULL
                    v = take_in(&e, &p, &w, &m, now[i], numbered, sequence[i] if numbered else 0,
                                dated, epoch[i] if dated else 0)
                    counts[<int64_t> v] += 1
                    accepted[i] = v != IGNORED
                    if v == IGNORED:
                        continue
                    a.last, a.heard, a.numbered, a.dated = p.last, p.heard, p.numbered, p.dated
                    if numbered:
                        sequences[k] = p.sequence
                    if dated:
                        epochs[k] = p.epoch
                    a.slot = <uint32_t> m.slot
                    a.full = e.window and w.n == e.window
                    put_down(a, &w)
                    latest = max(latest, p.last)
                for i in range(low, high):
                    accounts[peers[i]].denominator = denominator_for(&e, accounts + peers[i])
                for i in range(low, high):
                    deadlines[peers[i]] = self.deadline(peers[i])
        self.latest = latest

    def levels(self, now, double[::1] out not None):
        """out[k]: the level of peer k at `now`; NaN where unknown."""
        cdef int64_t t = instant(now, "now")
        cdef Py_ssize_t block, low, j, count, unknown, n = self.accounts.shape[0]
        cdef const estimator *e = &self.compiled.e
        cdef const account *a
        cdef double z[512]
        cdef sums w
        if out.shape[0] != n:
            raise IndexError("Peers.levels: arrays of different lengths")
        with nogil:
            for block in range((n + BLOCK - 1) // BLOCK):
                low = block * BLOCK
                count = min(<Py_ssize_t> BLOCK, n - low)
                unknown = 0
                for j in range(count):
                    a = &self.accounts[low + j]
                    if level_known(e, a):
                        w = sums_of(e, a)
                        z[j] = lateness_of(e, &w, self.memory_of(low + j).ring, a.denominator, silence(a.last, t))
                    else:
                        z[j] = 0
                        unknown += 1
                if asks(self.compiled.law):
                    for j in range(count):
                        out[low + j] = level_of(self.compiled.law, z[j], samples_of(e, &self.accounts[low + j]) - 1)
                else:
                    levels_of(self.compiled.law, z, &out[low], count, 0, 0)
                if unknown:
                    for j in range(count):
                        if not level_known(e, &self.accounts[low + j]):
                            out[low + j] = NAN

    cdef bint due(self, Py_ssize_t k, int64_t t) noexcept nogil:
        """Whether peer k is suspected; at an instant before its last heartbeat, as at it."""
        return self.deadlines[k] <= max(t, self.accounts[k].last)

    def suspected(self, now, allocate):
        """The peers that are suspected at `now`, ascending, in the int64 array that allocate(how many) gives."""
        cdef int64_t t = instant(now, "now")
        cdef Py_ssize_t b, k, n = self.accounts.shape[0], blocks = (n + DUE_BLOCK - 1) // DUE_BLOCK, m = 0
        cdef bint plain = t >= self.latest  # so that the deadlines alone decide
        cdef int64_t[::1] out
        cdef uint8_t *count = <uint8_t *> malloc(blocks + 1)
        if count is NULL:
            raise MemoryError
        try:
            with nogil:
                if plain and n:
                    m = count_due(&self.deadlines[0], n, t, count)
                elif n:
                    memset(count, 0, blocks)
                    for k in range(n):
                        count[k // DUE_BLOCK] += self.due(k, t)
                        m += self.due(k, t)
            out = found = allocate(m)
            m = 0
            with nogil:
                for b in range(blocks):
                    if count[b] and plain:
                        list_due(&self.deadlines[0], n, t, b * DUE_BLOCK, count[b], &out[m])
                        m += count[b]
                    elif count[b]:
                        for k in range(b * DUE_BLOCK, min((b + 1) * DUE_BLOCK, n)):
                            if self.due(k, t):
                                out[m] = k
                                m += 1
        finally:
            free(count)
        return found


# ---- one trace ------------------------------------------------------------------------------------------------------
#
# A chain is what an estimator sees of a trace: instants whose differences are the learned intervals. Where every
# heartbeat counts and is learned it is the arrivals themselves. After a clock step back, or an interval that is not
# learned, the chain goes on with an offset, so that the window slides over it as if it were not there; a restart
# begins a new stretch, and each stretch with the samples that a first heartbeat brings. So whatever a detector
# refuses to learn, what follows the chain needs to know nothing of it, and may be cut into pieces. For detectors that
# expect an arrival each instant has a number, too, whose differences are the steps.

def instants_inside(const int64_t[::1] values):
    """Whether all lie within 2^62 ns (146 years) of the clock's zero."""
    cdef bint inside = True
    if values.shape[0]:
        with nogil:
            inside = all_inside(&values[0], SUM_LIMIT, values.shape[0])
    return inside


def every_heartbeat_counts(const int64_t[::1] arrivals, const int64_t[::1] sequence, const int64_t[::1] epoch):
    """Whether no heartbeat of the trace is ignored, a clock step or a restart."""
    cdef Py_ssize_t i, n = arrivals.shape[0]
    cdef int64_t bad = 0
    if not ((sequence is None or sequence.shape[0] == n) and (epoch is None or epoch.shape[0] == n)):
        raise IndexError("every_heartbeat_counts: arrays of different lengths")
    if not n:
        return True
    with nogil:
        bad = falls(&arrivals[0], n)
        if sequence is not None and not bad:
            for i in range(1, n):
                bad |= sequence[i] <= sequence[i - 1]
        if epoch is not None and not bad:
            for i in range(1, n):
                bad |= epoch[i] != epoch[i - 1]
    return not bad


cdef inline void follow(const estimator *e, int64_t *chain, int64_t *length, sums *w, int64_t interval) noexcept nogil:
    """Continue the chain by a learned interval, and what the window knows where the next is judged by it."""
    cdef int64_t *c = chain + length[0]  # unsigned: after many steps the offsets may wrap; only differences are used
    c[0] = <int64_t> (<uint64_t> (c - 1)[0] + <uint64_t> interval)
    if e.z_unlearned < INFINITY:  # an interval that the sums refuse here they refuse again, with an error, in levels
        learn(e, w, interval,
              <int64_t> (<uint64_t> (c - w.n)[0] - <uint64_t> (c - w.n - 1)[0]) if w.n == e.window else 0)
    length[0] += 1


cdef inline int64_t up_to(const int64_t *c) noexcept nogil:
    """From the instant before to c[0]; unsigned, for after many steps of the clock a chain may wrap."""
    return <int64_t> (<uint64_t> c[0] - <uint64_t> (c - 1)[0])


cdef struct ascending:
    # The last intervals of a chain in order of size: what slides along it.
    int64_t *values
    int64_t n, window


cdef inline void slide(ascending *a, const int64_t *c) noexcept nogil:
    """Take in the interval that ends at instant c[0] of a chain; the oldest leaves a full window."""
    if a.n == a.window > 0:
        sorted_remove(a.values, a.n, up_to(c - a.n))
        a.n -= 1
    if a.window:
        sorted_insert(a.values, a.n, up_to(c))
        a.n += 1


cdef int64_t open_window(const estimator *e, const int64_t *c, int64_t start, int64_t at, sums *w) noexcept nogil:
    """What the window knows once instant `at` of a stretch that begins at `start` was taken in.

    Gives -1, or the index of an interval that the sums cannot hold.
    """
    cdef int64_t k, first = max(start, at - e.window)
    w[0] = nothing_known(e)
    if e.kind != CONSTANT:
        for k in range(first, at):
            if not learn(e, w, <int64_t> (<uint64_t> c[k + 1] - <uint64_t> c[k]), 0):
                return k
    return -1


def accept_all(Detector detector not None, const int64_t[::1] arrivals, const int64_t[::1] sequence,
               const int64_t[::1] epoch, int64_t[::1] chain, int64_t[::1] numbers not None, int64_t[::1] starts,
               int64_t[::1] state, int64_t[::1] latest, int64_t known_ones=0):
    """Sort out which heartbeats count, and which intervals the detector learns.

    The first `known_ones` heartbeats are what an earlier piece of the trace left: the last of them was accepted, and
    they left the chain, and the numbers, as the callers have put them there, which goes back as far as the window.

    Fills `chain` (instants), `numbers` (theirs, if the detector looks at them) and `starts` (where in it a stretch
    begins), of which the returned (instants, stretches) are used, and for each heartbeat, once it was taken in:
    `state`, the index of the last instant of the chain, and `latest`, the index of the last accepted heartbeat.
    `starts` has room for every restart (for every heartbeat, if the detector looks at numbers), `chain` for every
    heartbeat and every stretch's seeds. Returns (instants, stretches, ignored, steps, restarts).
    """
    cdef Py_ssize_t i, n = arrivals.shape[0]
    cdef const estimator *e = &detector.e
    cdef int64_t length = 0, stretches = 0, ignored = 0, steps = 0, restarts = 0, last_index = 0, interval, k
    cdef uint64_t between = 0
    cdef peer_order before, p = peer_order(last=0, sequence=0, epoch=0, heard=False, numbered=False, dated=False)
    cdef bint numbered = sequence is not None, dated = epoch is not None, roomy = True, begins
    cdef bint count_by_median = by_median(e) and not numbered
    cdef double period = e.period + e.period_rest if e.kind != TRACKED else 0
    cdef ascending window = ascending(values=NULL, n=0, window=e.window)
    cdef sums w = nothing_known(e)
    cdef schedule plan
    cdef verdict v
    if not (state.shape[0] == latest.shape[0] == n and 0 <= known_ones <= n and starts.shape[0] >= (known_ones > 0)
            and chain.shape[0] >= n + e.seeds * starts.shape[0]
            and (numbers.shape[0] >= chain.shape[0] or not scheduled(e))
            and (not numbered or sequence.shape[0] == n) and (not dated or epoch.shape[0] == n)):
        raise IndexError("accept_all: arrays of the wrong lengths")
    if count_by_median:
        window.values = <int64_t *> malloc(<size_t> (e.window + 1) * sizeof(int64_t))
        if window.values is NULL:
            raise MemoryError
    memset(&plan, 0, sizeof(plan))
    with nogil:
        if known_ones:
            i = known_ones - 1
            accept(&p, arrivals[i], numbered, sequence[i] if numbered else 0, dated, epoch[i] if dated else 0)
            starts[0] = 0
            stretches = 1
            length, last_index = known_ones, i
            open_window(e, &chain[0], 0, i, &w)
            for k in range(known_ones):
                state[k] = latest[k] = k
                if count_by_median and k:
                    slide(&window, &chain[k])
        for i in range(known_ones, n):
            before = p
            v = accept(&p, arrivals[i], numbered, sequence[i] if numbered else 0, dated, epoch[i] if dated else 0)
            if v == IGNORED:
                ignored += 1
            else:
                begins = v == FIRST or v == RESTART
                restarts += v == RESTART
                steps += v == STEP
                interval = arrivals[i] - before.last if v == COUNTS else 0
                if v == COUNTS and scheduled(e):
                    if count_by_median:
                        period = 0
                        if window.n:
                            period = (window.values[(window.n - 1) // 2] + <double> window.values[window.n // 2]) / 2
                    between = steps_to(&before, &plan, numbered, sequence[i] if numbered else 0, period, interval)
                    begins = not follows(e, interval, between)
                    if not begins:
                        chain[length] = <int64_t> (<uint64_t> chain[length - 1] + <uint64_t> interval)
                        numbers[length] = <int64_t> (<uint64_t> numbers[length - 1] + between)
                        if count_by_median:
                            slide(&window, &chain[length])
                        length += 1
                elif v == COUNTS and welcome(e, &w, interval):
                    follow(e, &chain[0], &length, &w, interval)
                if begins:
                    roomy = stretches < starts.shape[0]
                    if not roomy:
                        break
                    starts[stretches] = length
                    stretches += 1
                    w = nothing_known(e)
                    window.n = 0
                    chain[length] = arrivals[i]
                    if scheduled(e):
                        numbers[length] = plan.ahead = 0
                    for k in range(e.seeds):
                        chain[length] -= e.seed[k]
                    length += 1
                    for k in range(e.seeds):
                        follow(e, &chain[0], &length, &w, e.seed[k])
                last_index = i
            state[i] = length - 1
            latest[i] = last_index
    free(window.values)
    if not roomy:
        raise IndexError("accept_all: more restarts than `starts` has room for")
    return length, stretches, ignored, steps, restarts


cdef extern from *:
    """
    /* Up to BLOCK states: after instant i, i + 1, ... of the chain was taken in. Aligned to a cache line, which is
     * worth a tenth of the speed on v4. */
    typedef struct {
        double z[BLOCK];           /* lateness when the next instant of the chain comes */
        double denominator[BLOCK];
        int64_t total[BLOCK];      /* n * (location - pause) less `base`, ns */
        int64_t e[BLOCK];
        uint64_t squares[BLOCK];
        int32_t index[BLOCK];
        int64_t base, n, most;     /* state j knows min(n + j, most) intervals */
        int fits;                  /* a full window's, in 64 bits */
    } __attribute__((aligned(64))) block;
    """
    ctypedef struct block:
        double z[512]
        double denominator[512]
        int64_t total[512]
        int64_t e[512]
        uint64_t squares[512]
        int32_t index[512]
        int64_t base, n, most
        bint fits


cdef int64_t read_block(const estimator *e, const int64_t *c, int64_t i, int64_t count, sums *w,
                        block *b) noexcept nogil:
    """Read the states after instants i ... i + count - 1 and move on to i + count, which must exist.

    `w` is the state after instant i. Blocks of a full window go through 64-bit arithmetic on intervals measured from
    the window's own mean, where it is proved to fit; the rest goes one by one. Gives how many heartbeats were read:
    less than count only where the sums would outgrow their bits.
    """
    cdef int64_t j, r, n = w.n
    cdef uint64_t after
    cdef block_bounds bounds
    cdef u128 shifted
    b.n = n
    b.most = e.window if e.kind != CONSTANT else n
    b.base = 0
    b.fits = False
    if e.kind == CONSTANT:
        for j in range(count):
            b.total[j] = 0
            b.denominator[j] = e.scale
            b.z[j] = lateness(e, n, 0, e.scale, <int64_t> (<uint64_t> c[i + j + 1] - <uint64_t> c[i + j]))
        return count
    # 2^19: see window_block_fits. The last two conditions keep the numerator and what learn() guards in bounds.
    if ((e.kind == WINDOW or e.kind == PREDICTION) and n == e.window and n <= (1 << 19) and e.pause < (1LL << 33)
            and (w.sum // n + (1LL << 32)) * n < SUM_LIMIT):
        r = w.sum // n
        shifted = w.squares + <u128> n * square(r) - 2 * <u128> r * <u128> w.sum
        bounds = window_enter(c + i, n, r, b.e, b.total, b.squares, count)
        if window_block_fits(shifted, bounds, count):
            after = running_sum(b.squares, <uint64_t> shifted, count)
            window_read(b.e, b.total, b.squares, <double> n, e.pause, widening(e, n),
                        <double> n * e.floor, b.z, b.denominator, count)
            w.sum = <int64_t> (<uint64_t> c[i + count] - <uint64_t> c[i + count - n])
            w.squares = <u128> after + 2 * <u128> r * <u128> w.sum - <u128> n * square(r)
            b.base = n * r
            b.fits = True
            return count
    for j in range(count):
        b.total[j] = located(e, w)
        b.denominator[j] = denominator(e, w)
        b.e[j] = <int64_t> (<uint64_t> c[i + j + 1] - <uint64_t> c[i + j])
        b.z[j] = lateness(e, w.n, b.total[j], b.denominator[j], b.e[j])
        if not learn(e, w, b.e[j],
                     <int64_t> (<uint64_t> c[i + j - w.n + 1] - <uint64_t> c[i + j - w.n]) if w.n == e.window else 0):
            return j
    return count


def levels(Detector detector not None, const int64_t[::1] chain, int64_t start, int64_t low, int64_t high,
           double[::1] out):
    """out[k]: the level when instant k of the chain comes, for low < k <= high, in the stretch that begins at start.

    Returns -1, or the index of an interval that the sums cannot hold.
    """
    cdef estimator *e = &detector.e
    cdef const int64_t *c
    cdef int64_t i = low, j, count, done, bad
    cdef sums w
    cdef block b
    if high <= low:
        return -1
    if not (0 <= start <= low and high < chain.shape[0] and out.shape[0] == chain.shape[0]):
        raise IndexError("levels: range outside the chain")
    c = &chain[0]
    with nogil:
        bad = open_window(e, c, start, low, &w)
        if bad >= 0:
            i = -1 - bad
        while 0 <= i < high:
            count = min(<int64_t> BLOCK, high - i)
            done = read_block(e, c, i, count, &w, &b)
            levels_of(detector.law, b.z, &out[i + 1], count, b.n - 1, b.most - 1)
            for j in range(min(count, e.min_samples - b.n)):
                out[i + 1 + j] = NAN
            i = i + count if done == count else -1 - (i + done)
    return -1 if i >= 0 else -1 - i


def states(Detector detector not None, const int64_t[::1] chain, int64_t start, int64_t low, int64_t high,
           int32_t[::1] samples, int64_t[::1] total, double[::1] denominators):
    """What the estimator knows after each instant k of the chain, low <= k <= high: n, located and denominator.

    samples[k - low] is negative, -1 - n, where that is too little for a level. Returns as levels does.
    """
    cdef estimator *e = &detector.e
    cdef const int64_t *c
    cdef int64_t i = low, j, n, count, done = 0, size = high + 1 - low, bad
    cdef sums w
    cdef block b
    if high < low:
        return -1
    if not (0 <= start <= low and high < chain.shape[0] and samples.shape[0] >= size and total.shape[0] >= size
            and denominators.shape[0] >= size):
        raise IndexError("states: range outside the chain")
    c = &chain[0]
    with nogil:
        bad = open_window(e, c, start, low, &w)
        if bad >= 0:
            i = -1 - bad
        while 0 <= i < high:
            count = min(<int64_t> BLOCK, high - i)
            done = read_block(e, c, i, count, &w, &b)
            for j in range(count):
                n = min(b.n + j, b.most)
                samples[i - low + j] = <int32_t> (n if known(e, n) else -1 - n)
                total[i - low + j] = b.total[j] + b.base
            memcpy(&denominators[i - low], b.denominator, count * sizeof(double))
            i = i + count if done == count else -1 - (i + done)
        if i == high:
            samples[i - low] = <int32_t> (w.n if known(e, w.n) else -1 - w.n)
            total[i - low] = located(e, &w)
            denominators[i - low] = denominator(e, &w)
    return -1 if i >= 0 else -1 - i


cdef int check_states(const int64_t[::1] state, int64_t states, int64_t least) except -1:
    """Refuse numbers that no state has, nor -1 where `least` is that."""
    cdef Py_ssize_t i
    cdef bint outside = False
    with nogil:
        for i in range(state.shape[0]):
            outside |= (state[i] < least) | (state[i] >= states)
    if outside:
        i = next(i for i in range(state.shape[0]) if not least <= state[i] < states)
        raise IndexError(f"state[{i}] = {state[i]} is no state: there are {states}, numbered from 0")
    return 0


def expectations(Detector detector not None, const int64_t[::1] chain, const int64_t[::1] numbers, int64_t start,
                 int64_t low, int64_t high, int32_t[::1] samples, int64_t[::1] total, double[::1] denominators,
                 schedule_before=None, int64_t at=-1):
    """As `states`, for detectors that expect an arrival: the location and the scale are in 256ths of a ns.

    Returns what the schedule knew beside its window after instant `at`, or None where that is not among these;
    `schedule_before` is the same for `low`, without which sequential detectors go back to the start of the stretch.
    """
    cdef const estimator *e = &detector.e
    cdef const int64_t *c
    cdef const int64_t *q
    cdef int64_t k, eldest, brief, size = high + 1 - low, first = low - e.window
    cdef int64_t[2] oldest, oldest_brief
    cdef schedule plan, asked
    cdef bint resumes = schedule_before is not None
    cdef sums w
    if high < low:
        return None
    if detector.sequential and not resumes:
        first = start
    if not (0 <= start <= low and high < chain.shape[0] and numbers.shape[0] >= chain.shape[0]
            and samples.shape[0] >= size and total.shape[0] >= size and denominators.shape[0] >= size):
        raise IndexError("expectations: range outside the chain")
    c, q = &chain[0], &numbers[0]
    with nogil:
        begin_schedule(e, &plan, &w)
        for k in range(max(start, first), high + 1):
            if k == low and resumes:
                with gil:
                    load_schedule_values(e, &plan, schedule_before)
                read_schedule(e, &plan, &w)
            if k == at:
                asked = plan
            if k >= low:
                samples[k - low] = <int32_t> (w.n if known(e, w.n) else -1 - w.n)
                total[k - low] = w.sum
                denominators[k - low] = denominator(e, &w)
            if k < high:
                eldest, brief = k - w.n + 1, k - min(w.n, e.short_window) + 1
                oldest = [up_to(c + eldest), up_to(q + eldest)]
                oldest_brief = [up_to(c + brief), up_to(q + brief)]
                next_arrival(e, &plan, &w, up_to(c + k + 1), up_to(q + k + 1), oldest, oldest_brief)
    return schedule_values(e, &asked) if low <= at <= high else None


def levels_of_lateness(Detector detector not None, const int32_t[::1] samples, const int64_t[::1] state,
                       double[::1] z):
    """Turn z[i], in the state number state[i], into the level; NaN stays NaN."""
    cdef Py_ssize_t i
    if state.shape[0] != z.shape[0]:
        raise IndexError("levels_of_lateness: arrays of different lengths")
    check_states(state, samples.shape[0], -1)
    with nogil:
        for i in range(z.shape[0]):
            if state[i] >= 0 and z[i] == z[i]:
                z[i] = level_of(detector.law, z[i], samples[state[i]] - 1)


cdef struct walk:
    # A window that slides along the stretches of a chain.
    ascending window
    int64_t at       # the instant up to which it has slid
    int64_t stretch  # where that one's stretch begins
    int64_t next_one  # which of the starts comes after that


cdef void walk_to(walk *x, const int64_t *c, const int64_t[::1] starts, int64_t at) noexcept nogil:
    """Let the window be that after instant `at`; at once if it is far ahead, or behind."""
    cdef int64_t low = 0, high = starts.shape[0], middle
    if at < x.at or at > x.at + 2 * x.window.window or (x.next_one < starts.shape[0] and starts[x.next_one] <= at):
        while high - low > 1:
            middle = (low + high) // 2
            if starts[middle] <= at:
                low = middle
            else:
                high = middle
        x.stretch, x.next_one = starts[low], low + 1
        x.at = max(x.stretch, at - x.window.window)
        x.window.n = 0
    while x.at < at:
        x.at += 1
        slide(&x.window, c + x.at)


cdef walk *new_walk(const estimator *e) except NULL:
    cdef walk *x = <walk *> malloc(sizeof(walk) + <size_t> (e.window + 1) * sizeof(int64_t))
    if x is NULL:
        raise MemoryError
    x.window = ascending(values=<int64_t *> (x + 1), n=0, window=e.window)
    x.at, x.stretch, x.next_one = INT64_MAX, 0, 0  # nowhere yet: every instant is behind it
    return x


def outlived(Detector detector not None, const int64_t[::1] chain, const int64_t[::1] starts,
             const int64_t[::1] state, const int64_t[::1] elapsed, double[::1] out):
    """out[i]: how many of its intervals the window of state[i] is outlived by `elapsed[i]` ns; NaN where unknown."""
    cdef Py_ssize_t i, n = state.shape[0]
    cdef const estimator *e = &detector.e
    cdef walk *x
    if not (elapsed.shape[0] == out.shape[0] == n and starts.shape[0]):
        raise IndexError("outlived: arrays of different lengths")
    check_states(state, chain.shape[0], 0)
    if n == 0:
        return
    x = new_walk(e)
    with nogil:
        for i in range(n):
            walk_to(x, &chain[0], starts, state[i])
            out[i] = NAN
            if known(e, x.window.n):
                out[i] = rank_at_most(x.window.values, x.window.n, longest_outlived(e, elapsed[i]))
    free(x)


def waits(Detector detector not None, const int64_t[::1] chain, const int64_t[::1] starts, int64_t low,
          const double[::1] counts, int bits, int64_t[::1] out):
    """out[k]: how long a silence outlives counts[k] intervals of those in state low + k, in 2^-bits ns; or NEVER."""
    cdef Py_ssize_t k
    cdef const estimator *e = &detector.e
    cdef walk *x
    if not (counts.shape[0] == out.shape[0] and 0 <= low <= chain.shape[0] - out.shape[0]):
        raise IndexError("waits: arrays of different lengths")
    if out.shape[0] == 0:
        return
    x = new_walk(e)
    with nogil:
        for k in range(out.shape[0]):
            walk_to(x, &chain[0], starts, low + k)
            out[k] = INT64_MAX
            if known(e, x.window.n):
                out[k] = silence_to_outlive(e, NULL, x.window.values, x.window.n, counts[k], bits)
    free(x)


def reached(Detector detector not None, const int32_t[::1] samples, double threshold, double[::1] out):
    """out[k]: the lateness at which the level reaches the threshold in state k; NaN where unknown."""
    cdef Py_ssize_t k, n = out.shape[0]
    cdef int64_t known_n = -1
    cdef double z = NAN
    if samples.shape[0] != n:
        raise IndexError("reached: arrays of different lengths")
    with nogil:
        for k in range(n):
            if samples[k] >= 0 and (known_n < 0 or asks(detector.law) and samples[k] != known_n):
                known_n = samples[k]
                z = detector.z_at(threshold, known_n)
            out[k] = z if samples[k] >= 0 else NAN


def timeouts(Detector detector not None, const int32_t[::1] samples, const int64_t[::1] total,
             const double[::1] denominators, const double[::1] z, int64_t[::1] out):
    """out[k]: the first whole ns after the last heartbeat at which the lateness is z[k] in state k, or NEVER."""
    cdef Py_ssize_t k, n = out.shape[0]
    if not samples.shape[0] == total.shape[0] == denominators.shape[0] == z.shape[0] == n:
        raise IndexError("timeouts: arrays of different lengths")
    with nogil:
        for k in range(n):
            out[k] = INT64_MAX
            if samples[k] >= 0:
                out[k] = first_elapsed(&detector.e, samples[k], total[k], denominators[k], z[k])


def latenesses(Detector detector not None, const int32_t[::1] samples, const int64_t[::1] total,
               const double[::1] denominators, const int64_t[::1] state, const int64_t[::1] elapsed, double[::1] out):
    """out[i]: z, `elapsed[i]` ns after the last heartbeat, in the state number state[i]; NaN where unknown, or -1."""
    cdef Py_ssize_t i, n = state.shape[0]
    cdef int64_t k
    if not (elapsed.shape[0] == out.shape[0] == n and samples.shape[0] == total.shape[0] == denominators.shape[0]):
        raise IndexError("latenesses: arrays of different lengths")
    check_states(state, samples.shape[0], -1)
    with nogil:
        for i in range(n):
            k = state[i]
            out[i] = NAN
            if k >= 0 and samples[k] >= 0:
                out[i] = lateness(&detector.e, samples[k], total[k], denominators[k], elapsed[i])


# ---- quality of service ---------------------------------------------------------------------------------------------

cdef extern from *:
    """
    /* A 128-bit sum in two words of an int64 array: whatever order it is added up in, the bits are the same. */
    static inline void add_wide(int64_t *wide, i128 x) {
        u128 sum = ((u128)(uint64_t)wide[1] << 64 | (uint64_t)wide[0]) + (u128)x;
        wide[0] = (int64_t)(uint64_t)sum;
        wide[1] = (int64_t)(uint64_t)(sum >> 64);
    }
    static inline i128 wide_product(int64_t x, int64_t y) { return (i128)x * y; }
    """
    ctypedef long long i128  # __int128: the C compiler knows
    void add_wide(int64_t *wide, i128 x) nogil
    i128 wide_product(int64_t x, int64_t y) nogil

cdef enum:  # columns of Tally.late: suspicions in whose lateness a threshold was the highest one passed
    COUNT
    EXCESS            # 128 bits: the sum of interval - location
    SCALE = 3         # 128 bits: the sum of the scale
    FIRST_START = 5   # of the first that began here: a start (see below), its number -1 for none
    LAST_START = 9    # of the last that began here: the same
    LAST_UNTIL = 13   # observed time when the last interval ended
    LATE_COLUMNS

cdef enum:  # columns of Tally.early: heartbeats that leave the peer suspected, by the lateness they leave
    LOCATION = 1  # 128 bits
    WIDTH = 3     # 128 bits: the sum of the scale
    TOUCHING = 5  # how many suspicions went on across their heartbeat
    EARLY_COLUMNS

cdef enum:  # columns of Tally.resumed: one row for each threshold
    FIRST_RESUMED   # as FIRST_START and LAST_START, for suspicions that go on from the interval before at a
    LAST_RESUMED = 4  # lower threshold, but begin at this one
    LEAD = 8        # observed time until which a suspicion from before the tally goes on; -1: beyond its end
    RESUMED_COLUMNS

cdef enum:  # a start: number of the interval in which a suspicion begins (several may begin at one observed time),
    NUMBER          # observed time before it, location and scale
    SINCE
    SINCE_LOCATION
    SINCE_SCALE
    START

cdef enum:  # Tally.whole: over all scored intervals
    INTERVALS
    KNOWN
    OBSERVED      # 128 bits
    ALL_LOCATION = 4
    ALL_SCALE = 6
    WHOLE = 8

LATE = dict(count=COUNT, excess=EXCESS, scale=SCALE, first=FIRST_START, last=LAST_START, until=LAST_UNTIL,
            columns=LATE_COLUMNS)
EARLY = dict(count=COUNT, location=LOCATION, scale=WIDTH, touching=TOUCHING, columns=EARLY_COLUMNS)
RESUMED = dict(first=FIRST_RESUMED, last=LAST_RESUMED, lead=LEAD, columns=RESUMED_COLUMNS)
STARTS = START
TOTAL = dict(intervals=INTERVALS, known=KNOWN, observed=OBSERVED, location=ALL_LOCATION, scale=ALL_SCALE, columns=WHOLE)
SCORED_LIMIT = FIXED_LIMIT


cdef inline bint fixed(const estimator *e, int64_t n, int64_t total, double n_scale, int64_t *location,
                       int64_t *scale) noexcept nogil:
    """Location and scale in units of 2^-8 ns; False where they are 2^54 ns (208 days) or more."""
    cdef double width = n_scale / parts(e, n)
    if total // parts(e, n) >= FIXED_LIMIT - e.pause or width >= FIXED_LIMIT:
        return False
    location[0] = location_fixed(e, n, total)
    scale[0] = llrint(width * (1 << FIXED_BITS))
    return True


def fixed_points(Detector detector not None, const int32_t[::1] samples, const int64_t[::1] total,
                 const double[::1] denominators, int64_t[::1] locations, int64_t[::1] scales):
    """Location and scale of each state in units of 2^-8 ns; -1 where unknown or 2^54 ns and more."""
    cdef Py_ssize_t k, n = locations.shape[0]
    if not samples.shape[0] == total.shape[0] == denominators.shape[0] == scales.shape[0] == n:
        raise IndexError("fixed_points: arrays of different lengths")
    with nogil:
        for k in range(n):
            locations[k] = scales[k] = -1
            if samples[k] >= 0:
                fixed(&detector.e, samples[k], total[k], denominators[k], &locations[k], &scales[k])


cdef inline void began(int64_t *first, int64_t *last, int64_t number, int64_t elapsed, int64_t location,
                       int64_t scale) noexcept nogil:
    """Note a suspicion that begins in interval `number`, which began after `elapsed`."""
    last[NUMBER] = number
    last[SINCE] = elapsed
    last[SINCE_LOCATION] = location
    last[SINCE_SCALE] = scale
    if first[NUMBER] < 0:
        memcpy(first, last, START * sizeof(int64_t))


cdef class Tally:
    """Everything that the quality of service at any of the thresholds adds up, in one pass.

    A scored interval is late at the thresholds below its lateness; so it is put down once, at the highest of them,
    and the columns are summed from the top at the end. Row k of `late` and `early` holds what passed the first k
    thresholds and no more. All sums are integers in units of 2^-8 ns, in 128 bits.

    Parameters
    ----------
    z : float64 array, ascending
        The lateness that belongs to each threshold.
    late, early, resumed, whole : int64 arrays
        Of the shapes (z + 1, LATE columns), (z + 1, EARLY columns), (z, RESUMED columns), (TOTAL columns); zero but
        for the starts and the lead, which are -1. The enums above say what they hold.
    cells : int32 array
        Scratch: a grid over the range of z, for finding a threshold in constant time.
    number, elapsed : int
        How many intervals were observed before the first one here, and how long that was, ns. The caller sees to it
        that the time of all fits 2^62 ns.
    previous : float
        The lateness just before the first heartbeat; NaN where there is none.
    """

    cdef const double[::1] z
    cdef int64_t[:, ::1] late, early, resumed
    cdef int64_t[::1] whole
    cdef int32_t[::1] cells
    cdef double cell_scale
    cdef readonly double previous  # lateness just before the last heartbeat
    cdef int64_t number            # intervals so far
    cdef readonly int64_t elapsed  # observed time so far, ns
    cdef int64_t lead              # at how many thresholds a suspicion from before the observation still goes on

    def __cinit__(self, const double[::1] z, int64_t[:, ::1] late, int64_t[:, ::1] early, int64_t[:, ::1] resumed,
                  int64_t[::1] whole, int32_t[::1] cells, int64_t number, int64_t elapsed, double previous):
        cdef Py_ssize_t n = z.shape[0], k = 0, cell
        if not (n and cells.shape[0] and late.shape[0] == early.shape[0] == n + 1 and resumed.shape[0] == n
                and late.shape[1] == LATE_COLUMNS and early.shape[1] == EARLY_COLUMNS
                and resumed.shape[1] == RESUMED_COLUMNS and whole.shape[0] == WHOLE):
            raise IndexError("Tally: arrays of the wrong shape")
        self.z, self.late, self.early, self.resumed, self.whole, self.cells = z, late, early, resumed, whole, cells
        self.number, self.elapsed, self.previous = number, elapsed, previous
        self.lead = n  # until the first interval says otherwise
        self.cell_scale = 0
        if z[n - 1] - z[0] < INFINITY and z[n - 1] > z[0]:
            self.cell_scale = cells.shape[0] / (z[n - 1] - z[0])
        for cell in range(cells.shape[0]):
            while k < n and (z[k] - z[0]) * self.cell_scale < cell:
                k += 1
            cells[cell] = max(k - 1, 0)

    cdef int64_t passed(self, double z) noexcept nogil:
        """How many thresholds lie below z (none for NaN)."""
        cdef int64_t k = 0, n = self.z.shape[0]
        cdef double cell
        if not z > self.z[0]:
            return 0
        cell = (z - self.z[0]) * self.cell_scale
        if cell > 0:
            k = self.cells[<int64_t> min(cell, <double> (self.cells.shape[0] - 1))]
        while k < n and self.z[k] < z:
            k += 1
        return k

    cdef void lead_ends(self, int64_t above, int64_t elapsed) noexcept nogil:
        """The suspicion from before the observation ends at the thresholds from number `above` on."""
        while self.lead > above:
            self.lead -= 1
            self.resumed[self.lead, LEAD] = elapsed

    cdef void put(self, const estimator *e, int64_t n, int64_t total, double n_scale, int64_t interval, double before,
                  int64_t location, int64_t scale, int64_t number, int64_t elapsed, double previous) noexcept nogil:
        """Put down an interval with a level, the one with that number, which began after `elapsed` ns."""
        cdef int64_t k, late = self.passed(before), touching = 0
        cdef int64_t *row
        cdef double after
        if late and (self.z[0] < 0 or location < 0):  # else the peer is trusted just after its heartbeat
            after = lateness(e, n, total, n_scale, 0)
            row = &self.early[self.passed(after), 0]
            row[COUNT] += 1
            add_wide(row + LOCATION, location)
            add_wide(row + WIDTH, scale)
            touching = self.passed(after if after < previous else previous)
            self.early[touching, TOUCHING] += 1
        if self.lead > touching:
            self.lead_ends(touching, elapsed)
        if late:
            row = &self.late[late, 0]
            row[COUNT] += 1
            add_wide(row + EXCESS, (interval << FIXED_BITS) - location)
            add_wide(row + SCALE, scale)
            row[LAST_UNTIL] = elapsed + interval
            if touching == 0:
                began(row + FIRST_START, row + LAST_START, number, elapsed, location, scale)
            for k in range(touching if touching else late, late):
                row = &self.resumed[k, 0]
                began(row + FIRST_RESUMED, row + LAST_RESUMED, number, elapsed, location, scale)

    cdef bint add_one(self, const estimator *e, int64_t n, int64_t total, double n_scale,
                      int64_t interval) noexcept nogil:
        """Score an interval that follows a state (n < 0: no level); False if it is too long for that."""
        cdef int64_t location = 0, scale = 0
        cdef double before = NAN
        if n < 0:
            self.lead_ends(0, self.elapsed)
        elif interval >= FIXED_LIMIT or not fixed(e, n, total, n_scale, &location, &scale):
            return False
        else:
            self.whole[KNOWN] += 1
            add_wide(&self.whole[ALL_LOCATION], location)
            add_wide(&self.whole[ALL_SCALE], scale)
            before = lateness(e, n, total, n_scale, interval)
            self.put(e, n, total, n_scale, interval, before, location, scale, self.number, self.elapsed, self.previous)
        self.whole[INTERVALS] += 1
        add_wide(&self.whole[OBSERVED], interval)
        self.previous = before
        self.number += 1
        self.elapsed += interval
        return True

    def add(self, Detector detector not None, const int32_t[::1] samples, const int64_t[::1] total,
            const double[::1] denominators, const int64_t[::1] state, const int64_t[::1] interval):
        """Score intervals: interval[i] follows the heartbeat that left the estimator in state state[i].

        Returns -1, or the index of an interval that is too long to be scored (2^54 ns, 208 days).
        """
        cdef Py_ssize_t i, n = interval.shape[0]
        cdef int64_t k, bad = -1
        if state.shape[0] < n or not samples.shape[0] == total.shape[0] == denominators.shape[0]:
            raise IndexError("Tally.add: arrays of different lengths")
        check_states(state, samples.shape[0], 0)
        with nogil:
            for i in range(n):
                k = state[i]
                if not self.add_one(&detector.e, samples[k], total[k], denominators[k], interval[i]):
                    bad = i
                    break
        return bad

    def add_chain(self, Detector detector not None, const int64_t[::1] chain, int64_t low, int64_t high):
        """Score the intervals of a chain of one stretch that end at its instants low + 1 ... high.

        Returns (-1, 0), or the index of an interval and whether it is too long to be scored (1: 2^54 ns, 208 days) or
        for the sums (0).
        """
        cdef const estimator *e = &detector.e
        cdef const int64_t *c
        cdef int64_t i = low, j, k, n, count, done, found, shared, bad = -1
        cdef bint too_long = False
        cdef sums w
        cdef block b
        cdef fixed_sums all
        if high <= low:
            return -1, False
        if not (0 <= low and high < chain.shape[0]):
            raise IndexError("Tally.add_chain: range outside the chain")
        c = &chain[0]
        with nogil:
            bad = open_window(e, c, 0, low, &w)
            while i < high and bad < 0:
                count = min(<int64_t> BLOCK, high - i)
                done = read_block(e, c, i, count, &w, &b)
                if done < count:
                    bad = i + done
                elif not b.fits or self.lead or b.base // b.n + (1LL << 32) >= FIXED_LIMIT - e.pause or e.floor >= 1e12:
                    for j in range(count):
                        n = min(b.n + j, b.most)
                        if not self.add_one(e, n if known(e, n) else -1 - n, b.total[j] + b.base, b.denominator[j],
                                            c[i + j + 1] - c[i + j]):
                            bad = i + j
                            too_long = True
                            break
                else:
                    # The squares and the intervals are not needed any more: their place serves the fixed points.
                    all = window_fixed(b.total, b.denominator, <double> b.n, 1 << FIXED_BITS, b.e,
                                       <int64_t *> b.squares, count)
                    shared = (b.base // b.n + e.pause) << FIXED_BITS
                    self.whole[INTERVALS] += count
                    self.whole[KNOWN] += count
                    add_wide(&self.whole[OBSERVED], c[i + count] - c[i])
                    add_wide(&self.whole[ALL_LOCATION], all.location + wide_product(shared, count))
                    add_wide(&self.whole[ALL_SCALE], all.scale)
                    found = indices_above(b.z, self.z[0], b.index, count)
                    for k in range(found):
                        j = b.index[k]
                        self.put(e, b.n, b.total[j] + b.base, b.denominator[j], c[i + j + 1] - c[i + j], b.z[j],
                                 b.e[j] + shared, <int64_t> b.squares[j], self.number + j,
                                 self.elapsed + (c[i + j] - c[i]), b.z[j - 1] if j else self.previous)
                    self.previous = b.z[count - 1]
                    self.number += count
                    self.elapsed += c[i + count] - c[i]
                i += count
        return bad, too_long
