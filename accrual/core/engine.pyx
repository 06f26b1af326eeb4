# cython: cdivision=True, boundscheck=False, wraparound=False, initializedcheck=False, auto_pickle=False
"""The loops: one peer, and one trace (many peers come with the bank).

Nothing here knows a clock, a file or a detector's name. Instants and durations are int64 nanoseconds.
"""

from cpython.number cimport PyNumber_Index
from libc.math cimport INFINITY, NAN, llrint
from libc.stdint cimport INT64_MAX, int32_t, int64_t, uint64_t
from libc.stdlib cimport free, realloc
from libc.string cimport memcpy

from accrual.core.estimators cimport (
    CONSTANT, FIXED_BITS, FIXED_LIMIT, MEAN, PREDICTION, SUM_LIMIT, WINDOW, denominator, estimator, first_elapsed,
    known, lateness, learn, located, location_fixed, nothing_known, square, sums, u128, welcome, widening)
from accrual.core.laws cimport (
    EXPONENTIAL, LINEAR, LOGISTIC, NORMAL, STUDENT, inverse_of, law as law_kind, level_of, levels_of)

cdef extern from "window.h" nogil:
    const int BLOCK, TIER_BASE, TIER_V3, TIER_V4
    int accrual_tier
    int best_tier()
    uint64_t window_enter(const int64_t *c, int64_t n, int64_t r, int64_t *e, int64_t *total, uint64_t *squares,
                          int64_t count)
    uint64_t running_sum(uint64_t *x, uint64_t start, int64_t count)
    bint window_block_fits(u128 squares, uint64_t bits, int64_t count)
    void window_read(const int64_t *e, const int64_t *total, const uint64_t *squares, double n, int64_t pause,
                     double widening, double floor_n, double *z, double *denominator, int64_t count)

TIERS = {"base": TIER_BASE, "v3": TIER_V3, "v4": TIER_V4}
LAWS = {"linear": LINEAR, "normal": NORMAL, "logistic": LOGISTIC, "exponential": EXPONENTIAL,
        "student": STUDENT}
ESTIMATORS = {"constant": CONSTANT, "window": WINDOW, "prediction": PREDICTION, "mean": MEAN}
NEVER = INT64_MAX
INSTANT_LIMIT = SUM_LIMIT
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
    """An estimator's parameters and a law. Immutable; checked by accrual.detectors, which makes it.

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
    """

    cdef estimator e
    cdef law_kind law
    cdef readonly dict parameters

    def __cinit__(self, *, str law, str kind="constant", int64_t window=0, int64_t min_samples=0,
                  int64_t pause=0, double floor=1.0, double scale=1.0, double weight=0.0, double prior=0.0,
                  tuple seeds=(), int64_t longest=INT64_MAX, double unlearned=INFINITY):
        cdef int64_t k
        self.parameters = dict(
            law=law, kind=kind, window=window, min_samples=min_samples, pause=pause, floor=floor, scale=scale,
            weight=weight, prior=prior, seeds=seeds, longest=longest, unlearned=unlearned)
        self.law = LAWS[law]
        self.e.kind = ESTIMATORS[kind]
        if len(seeds) > 2 or (self.e.kind == CONSTANT) != (window == 0):
            raise ValueError("Detector: at most two seeds, and a window for all estimators but the constant one")
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

        Whether an interval is learned may depend on the level, and so on whether all those before it were.
        """
        return self.e.window if self.e.z_unlearned == INFINITY else None

    @property
    def min_samples(self):
        """How many intervals must be known before there is a level."""
        return self.e.min_samples

    @property
    def plain(self):
        """Whether what is learned of a trace are its intervals, all of them and nothing else."""
        return self.e.seeds == 0 and self.e.longest == INT64_MAX and self.e.z_unlearned == INFINITY

    @property
    def asks(self):
        """Whether the law asks for degrees of freedom, so that a threshold's lateness depends on n."""
        return self.law == STUDENT

    cdef double z_at(self, double threshold, int64_t n) noexcept nogil:
        """The lateness that belongs to a threshold where n intervals are known."""
        return inverse_of(self.law, threshold, max(n - 1, 1))

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
        if self.law == STUDENT and not 1 <= df <= 1 << 24:
            raise ValueError(f"df must be 1 to 16777216 for Student's law, got {df}")
        return 0


def _detector(parameters):
    return Detector(**parameters)


cdef Detector NO_DETECTOR = Detector(law="linear")


# ---- which heartbeats count -----------------------------------------------------------------------------------------

cdef enum verdict:
    FIRST    # the first of all
    COUNTS   # closes an interval
    STEP     # the clock went back: counts, closes no interval
    RESTART  # another epoch: counts, everything learned is void
    IGNORED  # late, duplicate or reordered: changes nothing

ctypedef struct peer_order:  # what decides that
    int64_t last, sequence, epoch
    bint heard, numbered, dated


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


# ---- one peer -------------------------------------------------------------------------------------------------------

cdef int64_t whole(value) except? -1:
    """An int64 from anything that is a whole number by type; a float is not, whatever its value."""
    return value if type(value) is int else PyNumber_Index(value)


cdef class Peer:
    """One peer's detector, one heartbeat at a time. accrual.monitor.Monitor is its public face."""

    cdef readonly Detector compiled
    cdef object clock
    cdef double _threshold, z  # z: the lateness at which the level reaches the threshold
    cdef int64_t z_n           # where the law asks for degrees of freedom: the n that z belongs to, -1 for none
    cdef peer_order order
    cdef sums w
    cdef int64_t *ring
    cdef int64_t room, slot  # room: intervals that the ring can hold now; slot: where the oldest lies once it is full
    cdef readonly int64_t accepted, ignored, clock_steps, restarts, unlearned

    def __cinit__(self, *args, **kwargs):
        self.compiled = NO_DETECTOR  # never None, whatever a subclass forgets: methods read it without a check

    def __init__(self, Detector compiled not None, double threshold, clock):
        self.compiled = compiled
        self.clock = clock
        self.threshold = threshold
        self.reset()

    def __dealloc__(self):
        free(self.ring)

    def reset(self):
        """Forget the heartbeats, not the counters: as after a restart, but of this side's own will."""
        self.order = peer_order(last=0, sequence=0, epoch=0, heard=False, numbered=False, dated=False)
        self.w = nothing_known(&self.compiled.e)
        self.slot = 0

    @property
    def threshold(self):
        """The level from which on the peer is suspected; may be changed at any time."""
        return self._threshold

    @threshold.setter
    def threshold(self, double threshold):
        if threshold != threshold:
            raise ValueError("threshold must be a number, got nan")
        self._threshold = threshold
        self.z_n = -1

    cdef double reached(self, threshold) except? -1:
        """The lateness at which the level reaches a threshold, the peer's own for None."""
        cdef int64_t n = self.w.n if self.compiled.law == STUDENT else 0
        cdef double other
        if threshold is None:
            if self.z_n != n:
                self.z = self.compiled.z_at(self._threshold, n)
                self.z_n = n
            return self.z
        other = threshold
        if other != other:
            raise ValueError("threshold must be a number, got nan")
        return self.compiled.z_at(other, n)

    cdef int64_t instant(self, now) except? -1:
        cdef int64_t t
        try:
            t = whole(self.clock() if now is None else now)
        except OverflowError:
            t = INT64_MAX
        if t >= SUM_LIMIT or t <= -SUM_LIMIT:
            raise ValueError(f"now must lie within 2**62 ns (146 years) of the clock's zero, got {now}")
        return t

    cdef int keep(self, int64_t interval) except -1:
        """Learn an interval: into the ring, which grows by doubling up to the window, and into the sums."""
        cdef estimator *e = &self.compiled.e
        cdef int64_t *larger
        cdef bint full = self.w.n == e.window
        if e.kind == CONSTANT:
            return 0
        if not full and self.w.n == self.room:
            larger = <int64_t *> realloc(self.ring, <size_t> min(e.window, max(64, 2 * self.room)) * sizeof(int64_t))
            if larger is NULL:
                raise MemoryError
            self.ring = larger
            self.room = min(e.window, max(64, 2 * self.room))
        if not learn(e, &self.w, interval, self.ring[self.slot] if full else 0):
            self.unlearned += 1
        elif full:
            self.ring[self.slot] = interval
            self.slot = 0 if self.slot + 1 == e.window else self.slot + 1
        else:
            self.ring[self.w.n - 1] = interval
        return 0

    def heartbeat(self, now=None, sequence=None, epoch=None):
        """Take in a heartbeat that arrived at `now` (ns; the clock's reading by default).

        Returns whether it was accepted: a late, duplicate or reordered one (by `sequence`) is counted and ignored.
        """
        cdef int64_t k, t = self.instant(now), last = self.order.last
        cdef bint numbered = sequence is not None, dated = epoch is not None
        cdef int64_t number = whole(sequence) if numbered else 0, boot = whole(epoch) if dated else 0
        cdef verdict v = accept(&self.order, t, numbered, number, dated, boot)
        if v == COUNTS:
            if welcome(&self.compiled.e, &self.w, t - last):
                self.keep(t - last)
            else:
                self.unlearned += 1
        elif v == IGNORED:
            self.ignored += 1
            return False
        elif v == STEP:
            self.clock_steps += 1
        else:
            self.restarts += v == RESTART
            self.w = nothing_known(&self.compiled.e)
            self.slot = 0
            for k in range(self.compiled.e.seeds):
                self.keep(self.compiled.e.seed[k])
        self.accepted += 1
        return True

    cdef bint unknown(self) noexcept:
        return not self.order.heard or not known(&self.compiled.e, self.w.n)

    cdef double lateness_at(self, int64_t now) noexcept:
        cdef estimator *e = &self.compiled.e
        cdef int64_t elapsed = now - self.order.last if now > self.order.last else 0
        return lateness(e, self.w.n, located(e, &self.w), denominator(e, &self.w), elapsed)

    def level(self, now=None):
        """The suspicion level at `now` (ns); NaN while too few intervals are known."""
        cdef int64_t t = self.instant(now)
        if self.unknown():
            return NAN
        return level_of(self.compiled.law, self.lateness_at(t), self.w.n - 1)

    def suspected(self, now=None, threshold=None):
        """Whether the level at `now` (ns) is at or above the threshold; an unknown level is not."""
        cdef int64_t t = self.instant(now)
        cdef double z = self.reached(threshold)
        return not self.unknown() and self.lateness_at(t) >= z

    def deadline(self, threshold=None):
        """The first ns at which the peer will be suspected if it stays silent; None where there is none."""
        cdef double z = self.reached(threshold)
        cdef estimator *e = &self.compiled.e
        cdef int64_t elapsed
        if self.unknown():
            return None
        elapsed = first_elapsed(e, self.w.n, located(e, &self.w), denominator(e, &self.w), z)
        if elapsed > INT64_MAX - 1 - max(self.order.last, 0):
            return None
        return self.order.last + elapsed

    @property
    def last(self):
        """Arrival of the last accepted heartbeat, ns, or None."""
        return self.order.last if self.order.heard else None

    @property
    def samples(self):
        """How many intervals the window holds."""
        return self.w.n if self.compiled.e.kind != CONSTANT else 0


# ---- one trace ------------------------------------------------------------------------------------------------------
#
# A chain is what an estimator sees of a trace: instants whose differences are the learned intervals. Where every
# heartbeat counts and is learned it is the arrivals themselves. After a clock step back, or an interval that is not
# learned, the chain goes on with an offset, so that the window slides over it as if it were not there; a restart
# begins a new stretch, and each stretch with the samples that a first heartbeat brings. So whatever a detector
# refuses to learn, what follows the chain needs to know nothing of it, and may be cut into pieces.

def every_heartbeat_counts(const int64_t[::1] arrivals, const int64_t[::1] sequence, const int64_t[::1] epoch):
    """Whether no heartbeat of the trace is ignored, a clock step or a restart."""
    cdef Py_ssize_t i, n = arrivals.shape[0]
    cdef int64_t bad = 0
    with nogil:
        for i in range(1, n):
            bad |= arrivals[i] < arrivals[i - 1]
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


def accept_all(Detector detector not None, const int64_t[::1] arrivals, const int64_t[::1] sequence,
               const int64_t[::1] epoch, int64_t[::1] chain, int64_t[::1] starts, int64_t[::1] state,
               int64_t[::1] latest):
    """Sort out which heartbeats count, and which intervals the detector learns.

    Fills `chain` (instants) and `starts` (where in it a stretch begins), of which the returned (instants, stretches)
    are used, and for each heartbeat, once it was taken in: `state`, the index of the last instant of the chain, and
    `latest`, the index of the last accepted heartbeat. `starts` has room for every restart, `chain` for every
    heartbeat and every stretch's seeds. Returns (instants, stretches, ignored, steps, restarts).
    """
    cdef Py_ssize_t i, n = arrivals.shape[0]
    cdef const estimator *e = &detector.e
    cdef int64_t length = 0, stretches = 0, ignored = 0, steps = 0, restarts = 0, last = 0, last_index = 0, k
    cdef peer_order p = peer_order(last=0, sequence=0, epoch=0, heard=False, numbered=False, dated=False)
    cdef bint numbered = sequence is not None, dated = epoch is not None, roomy = True
    cdef sums w = nothing_known(e)
    cdef verdict v
    if not (state.shape[0] == latest.shape[0] == n and chain.shape[0] >= n + e.seeds * starts.shape[0]):
        raise IndexError("accept_all: arrays of the wrong lengths")
    with nogil:
        for i in range(n):
            v = accept(&p, arrivals[i], numbered, sequence[i] if numbered else 0, dated, epoch[i] if dated else 0)
            if v == IGNORED:
                ignored += 1
            else:
                if v == COUNTS:
                    if welcome(e, &w, arrivals[i] - last):
                        follow(e, &chain[0], &length, &w, arrivals[i] - last)
                elif v == STEP:
                    steps += 1
                else:
                    restarts += v == RESTART
                    roomy = stretches < starts.shape[0]
                    if not roomy:
                        break
                    starts[stretches] = length
                    stretches += 1
                    w = nothing_known(e)
                    chain[length] = arrivals[i]
                    for k in range(e.seeds):
                        chain[length] -= e.seed[k]
                    length += 1
                    for k in range(e.seeds):
                        follow(e, &chain[0], &length, &w, e.seed[k])
                last = arrivals[i]
                last_index = i
            state[i] = length - 1
            latest[i] = last_index
    if not roomy:
        raise IndexError("accept_all: more restarts than `starts` has room for")
    return length, stretches, ignored, steps, restarts


cdef int open_window(const estimator *e, const int64_t *c, int64_t start, int64_t at, sums *w) noexcept nogil:
    """What the window knows once instant `at` of a stretch that begins at `start` was taken in; -1: refused."""
    cdef int64_t k, first = max(start, at - e.window)
    w[0] = nothing_known(e)
    if e.kind != CONSTANT:
        for k in range(first, at):
            if not learn(e, w, <int64_t> (<uint64_t> c[k + 1] - <uint64_t> c[k]), 0):
                return -1
    return 0


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
        int64_t base, n, most;     /* state j knows min(n + j, most) intervals */
    } __attribute__((aligned(64))) block;
    """
    ctypedef struct block:
        double z[512]
        double denominator[512]
        int64_t total[512]
        int64_t e[512]
        uint64_t squares[512]
        int64_t base, n, most


cdef int64_t read_block(const estimator *e, const int64_t *c, int64_t i, int64_t count, sums *w,
                        block *b) noexcept nogil:
    """Read the states after instants i ... i + count - 1 and move on to i + count, which must exist.

    `w` is the state after instant i. Blocks of a full window go through 64-bit arithmetic on intervals measured from
    the window's own mean, where it is proved to fit; the rest goes one by one. Gives how many heartbeats were read:
    less than count only where the sums would outgrow their bits.
    """
    cdef int64_t j, r, n = w.n
    cdef uint64_t bits, after
    cdef u128 shifted
    b.n = n
    b.most = e.window if e.kind != CONSTANT else n
    b.base = 0
    if e.kind == CONSTANT:
        for j in range(count):
            b.total[j] = 0
            b.denominator[j] = e.scale
            b.z[j] = <double> (c[i + j + 1] - c[i + j]) / e.scale
        return count
    # 2^19: see window_block_fits. The last two conditions keep the numerator and what learn() guards in bounds.
    if (e.kind != MEAN and n == e.window and n <= (1 << 19) and e.pause < (1LL << 33)
            and (w.sum // n + (1LL << 32)) * n < SUM_LIMIT):
        r = w.sum // n
        shifted = w.squares + <u128> n * square(r) - 2 * <u128> r * <u128> w.sum
        bits = window_enter(c + i, n, r, b.e, b.total, b.squares, count)
        if window_block_fits(shifted, bits, count):
            after = running_sum(b.squares, <uint64_t> shifted, count)
            window_read(b.e, b.total, b.squares, <double> n, e.pause, widening(e, n),
                        <double> n * e.floor, b.z, b.denominator, count)
            w.sum = <int64_t> (<uint64_t> c[i + count] - <uint64_t> c[i + count - n])
            w.squares = <u128> after + 2 * <u128> r * <u128> w.sum - <u128> n * square(r)
            b.base = n * r
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
    cdef int64_t i = low, j, count, done
    cdef sums w
    cdef block b
    if high <= low:
        return -1
    if not (0 <= start <= low and high < chain.shape[0] and out.shape[0] == chain.shape[0]):
        raise IndexError("levels: range outside the chain")
    c = &chain[0]
    with nogil:
        if open_window(e, c, start, low, &w) < 0:
            i = -1 - low
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
    cdef int64_t i = low, j, n, count, done = 0, size = high + 1 - low
    cdef sums w
    cdef block b
    if high < low:
        return -1
    if not (0 <= start <= low and high < chain.shape[0] and samples.shape[0] >= size and total.shape[0] >= size
            and denominators.shape[0] >= size):
        raise IndexError("states: range outside the chain")
    c = &chain[0]
    with nogil:
        if open_window(e, c, start, low, &w) < 0:
            i = -1 - low
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


def levels_at(Detector detector not None, const int32_t[::1] samples, const int64_t[::1] total,
              const double[::1] denominators, const int64_t[::1] state, const int64_t[::1] elapsed, double[::1] out):
    """out[i]: the level `elapsed[i]` ns after the last heartbeat, in the state number state[i]; NaN for state -1."""
    cdef Py_ssize_t i, n = state.shape[0]
    cdef int64_t k
    cdef double z
    if elapsed.shape[0] != n or out.shape[0] != n:
        raise IndexError("levels_at: arrays of different lengths")
    with nogil:
        for i in range(n):
            k = state[i]
            if k < 0 or samples[k] < 0:
                out[i] = NAN
            else:
                z = lateness(&detector.e, samples[k], total[k], denominators[k], elapsed[i])
                out[i] = level_of(detector.law, z, samples[k] - 1)


def reached(Detector detector not None, const int32_t[::1] samples, double threshold, double[::1] out):
    """out[k]: the lateness at which the level reaches the threshold in state k; NaN where unknown."""
    cdef Py_ssize_t k, n = out.shape[0]
    cdef int64_t known_n = -1
    cdef double z = NAN
    if samples.shape[0] != n:
        raise IndexError("reached: arrays of different lengths")
    with nogil:
        for k in range(n):
            if samples[k] >= 0 and (known_n < 0 or detector.law == STUDENT and samples[k] != known_n):
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
    """out[i]: z, `elapsed[i]` ns after the last heartbeat, in the state number state[i]; NaN where unknown."""
    cdef Py_ssize_t i, n = state.shape[0]
    cdef int64_t k
    if elapsed.shape[0] != n or out.shape[0] != n:
        raise IndexError("latenesses: arrays of different lengths")
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
    static inline void add_wide(int64_t *wide, int64_t x) {
        uint64_t low = (uint64_t)wide[0], sum = low + (uint64_t)x;
        wide[0] = (int64_t)sum;
        wide[1] = (int64_t)((uint64_t)wide[1] + (uint64_t)(x >> 63) + (sum < low));
    }
    """
    void add_wide(int64_t *wide, int64_t x) nogil

cdef enum:  # columns of Tally.late: suspicions in whose lateness a threshold was the highest one passed
    COUNT
    EXCESS            # 128 bits: the sum of interval - location
    SCALE = 3         # 128 bits: the sum of the scale
    FIRST_START = 5   # of the first that began here: observed time before its interval (or -1), location, scale
    LAST_START = 8    # of the last that began here: the same
    LAST_UNTIL = 11   # observed time when the last interval ended
    LATE_COLUMNS

cdef enum:  # columns of Tally.early: heartbeats that leave the peer suspected, by the lateness they leave
    LOCATION = 1  # 128 bits
    WIDTH = 3     # 128 bits: the sum of the scale
    TOUCHING = 5  # how many suspicions went on across their heartbeat
    EARLY_COLUMNS

cdef enum:  # columns of Tally.resumed: one row for each threshold
    FIRST_RESUMED   # as FIRST_START and LAST_START, for suspicions that go on from the interval before at a
    LAST_RESUMED = 3  # lower threshold, but begin at this one
    LEAD = 6        # observed time until which a suspicion from before the observation goes on
    RESUMED_COLUMNS

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
TOTAL = dict(intervals=INTERVALS, known=KNOWN, observed=OBSERVED, location=ALL_LOCATION, scale=ALL_SCALE, columns=WHOLE)
SCORED_LIMIT = FIXED_LIMIT


cdef inline bint fixed(const estimator *e, int64_t n, int64_t total, double n_scale, int64_t *location,
                       int64_t *scale) noexcept nogil:
    """Location and scale in units of 2^-8 ns; False where they are 2^54 ns (208 days) or more."""
    cdef double width = n_scale / n
    if total // n >= FIXED_LIMIT - e.pause or width >= FIXED_LIMIT:
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


cdef inline void began(int64_t *first, int64_t *last, int64_t elapsed, int64_t location,
                       int64_t scale) noexcept nogil:
    """Note a suspicion that begins in the interval after `elapsed`."""
    last[0] = elapsed
    last[1] = location
    last[2] = scale
    if first[0] < 0:
        memcpy(first, last, 3 * sizeof(int64_t))


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
        for the starts, which are -1. The enums above say what they hold.
    cells : int32 array
        Scratch: a grid over the range of z, for finding a threshold in constant time.
    elapsed : int
        Observed time before the first interval, ns.
    previous : float
        The lateness just before the first heartbeat; NaN where there is none.
    """

    cdef const double[::1] z
    cdef int64_t[:, ::1] late, early, resumed
    cdef int64_t[::1] whole
    cdef int32_t[::1] cells
    cdef double cell_scale
    cdef readonly double previous  # lateness just before the last heartbeat
    cdef readonly int64_t elapsed  # observed time so far, ns
    cdef int64_t lead              # at how many thresholds a suspicion from before the observation still goes on

    def __cinit__(self, const double[::1] z, int64_t[:, ::1] late, int64_t[:, ::1] early, int64_t[:, ::1] resumed,
                  int64_t[::1] whole, int32_t[::1] cells, int64_t elapsed, double previous):
        cdef Py_ssize_t n = z.shape[0], k = 0, cell
        if not (n and cells.shape[0] and late.shape[0] == early.shape[0] == n + 1 and resumed.shape[0] == n
                and late.shape[1] == LATE_COLUMNS and early.shape[1] == EARLY_COLUMNS
                and resumed.shape[1] == RESUMED_COLUMNS and whole.shape[0] == WHOLE):
            raise IndexError("Tally: arrays of the wrong shape")
        self.z, self.late, self.early, self.resumed, self.whole, self.cells = z, late, early, resumed, whole, cells
        self.elapsed, self.previous = elapsed, previous
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

    cdef void lead_ends(self, int64_t above) noexcept nogil:
        """The suspicion from before the observation ends at the thresholds from number `above` on."""
        while self.lead > above:
            self.lead -= 1
            self.resumed[self.lead, LEAD] = self.elapsed

    def finish(self):
        """No more intervals follow."""
        self.lead_ends(0)

    def add(self, Detector detector not None, const int32_t[::1] samples, const int64_t[::1] total,
            const double[::1] denominators, const int64_t[::1] state, const int64_t[::1] interval):
        """Score intervals: interval[i] follows the heartbeat that left the estimator in state state[i] (i if None).

        Returns -1, or the index of an interval that is too long to be scored (2^54 ns, 208 days).
        """
        cdef Py_ssize_t i, n = interval.shape[0]
        cdef const estimator *e = &detector.e
        cdef int64_t k, late, touching, location = 0, scale = 0, bad = -1
        cdef int64_t *row
        cdef double before, after, z0 = self.z[0], previous = self.previous
        if (samples.shape[0] < n if state is None else state.shape[0] < n) or not (
                samples.shape[0] == total.shape[0] == denominators.shape[0]):
            raise IndexError("Tally.add: arrays of different lengths")
        with nogil:
            for i in range(n):
                k = i if state is None else state[i]
                self.whole[INTERVALS] += 1
                add_wide(&self.whole[OBSERVED], interval[i])
                if samples[k] < 0:
                    previous = NAN
                    self.lead_ends(0)
                    self.elapsed += interval[i]
                    continue
                before = lateness(e, samples[k], total[k], denominators[k], interval[i])
                if interval[i] >= FIXED_LIMIT or not fixed(e, samples[k], total[k], denominators[k],
                                                           &location, &scale):
                    bad = i
                    break
                self.whole[KNOWN] += 1
                add_wide(&self.whole[ALL_LOCATION], location)
                add_wide(&self.whole[ALL_SCALE], scale)
                late = self.passed(before)
                touching = 0
                if late and (z0 < 0 or location < 0):  # else the peer is trusted just after its heartbeat
                    after = lateness(e, samples[k], total[k], denominators[k], 0)
                    row = &self.early[self.passed(after), 0]
                    row[COUNT] += 1
                    add_wide(row + LOCATION, location)
                    add_wide(row + WIDTH, scale)
                    touching = self.passed(after if after < previous else previous)
                    self.early[touching, TOUCHING] += 1
                if self.lead > touching:
                    self.lead_ends(touching)
                if late:
                    row = &self.late[late, 0]
                    row[COUNT] += 1
                    add_wide(row + EXCESS, (interval[i] << FIXED_BITS) - location)
                    add_wide(row + SCALE, scale)
                    row[LAST_UNTIL] = self.elapsed + interval[i]
                    if touching == 0:
                        began(row + FIRST_START, row + LAST_START, self.elapsed, location, scale)
                    for k in range(touching if touching else late, late):
                        row = &self.resumed[k, 0]
                        began(row + FIRST_RESUMED, row + LAST_RESUMED, self.elapsed, location, scale)
                previous = before
                self.elapsed += interval[i]
            self.previous = previous
        return bad
