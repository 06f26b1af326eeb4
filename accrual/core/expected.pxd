# cython: cdivision=True
# Directives hold for one file: without cdivision here, bodies inlined elsewhere would keep a zero-division branch.
"""The estimators of the next arrival: heartbeats and their numbers -> (location, scale).

A schedule says when the heartbeat after the last one is to be expected. It knows no instants, only what came between:
`interval` ns and `steps` numbers from each heartbeat to the next. So what it says does not change when the receiver's
clock steps, and a trace may be cut wherever the window reaches back. What it says (`sums`: sum is the location,
squares hold the scale) is in 256ths of a ns, the unit in which the quality of service adds up.

    EXPECTED, LATER   Chen: mean over the window of (arrival - period * number) + period * next number
    MARGIN            Bertier: the same, and a margin after Jacobson
    TRACKED           this project: the phase of the schedule as a mean that forgets fast and distrusts outliers
"""

from libc.math cimport copysign, fabs, fmax, fmin, llrint, rint
from libc.stdint cimport int32_t, int64_t, uint64_t
from libc.string cimport memset

from accrual.core.estimators cimport LATER, MARGIN, TRACKED, double_as_squares, estimator, sums, u128

cdef extern from *:
    """
    /* Both are words of arrays that NumPy aligns to 8 bytes. */
    typedef unsigned __int128 u128_word __attribute__((aligned(8)));

    typedef struct { /* over a window of heartbeats; distances are to the last of them */
        uint64_t span;      /* of the first of them, ns */
        int64_t steps;      /* of the first, in numbers */
        int64_t sum_steps;  /* of all */
        u128_word sum_span;
    } lookback;

    typedef struct {
        int64_t ahead; /* numbers taken for granted since the last heartbeat that came with one */
        union {
            struct {
                lookback back;
                union {
                    struct { u128_word products, squares; }; /* sums of span * steps, steps^2: for the slope */
                    lookback brief;                          /* LATER: over the short window */
                    struct { double error, deviation; };     /* MARGIN: means of the error and of its size, ns */
                };
            };
            struct { /* TRACKED, ns */
                double location;   /* of the next arrival */
                double period;
                double fast, slow; /* means of |error|, clipped */
                double outlier;    /* the last error, if it was one, or 0 */
                double first, second; /* the first intervals, of which the median begins a period */
                int32_t agreeing;  /* how many outliers agree */
                int32_t worsening; /* how many grow, on one side */
                int32_t seeds;     /* how many intervals the period began with: up to 3 */
                int32_t known;     /* errors so far, up to MOST_KNOWN */
            };
        };
    } schedule;

    /* What a location and a scale are cut to, in units: 2^54 ns, 208 days, beyond which no interval is scored. */
    #define LONGEST_UNITS 0x1p62

    /* (256 * (period * steps - span) + extra) / heartbeats; the integers are exact, the rest is not cancelled. */
    static inline double units_of(int64_t period, u128 steps, u128 span, double extra, int64_t heartbeats) {
        i128 sum = (i128)(steps * (u128)period) - (i128)span;
        i128 whole = sum / heartbeats;
        return (double)whole * 256 + ((double)(int64_t)(sum - whole * heartbeats) * 256 + extra) / heartbeats;
    }
    """
    ctypedef struct lookback:
        uint64_t span
        int64_t steps, sum_steps
        u128 sum_span
    ctypedef struct schedule:
        int64_t ahead
        lookback back, brief
        u128 products, squares
        double error, deviation
        double location, period, fast, slow, outlier, first, second
        int32_t agreeing, worsening, seeds, known
    const double LONGEST_UNITS
    double units_of(int64_t period, u128 steps, u128 span, double extra, int64_t heartbeats) nogil

cdef enum:
    UNITS = 256            # in a ns: 1 << FIXED_BITS
    SCHEDULE_WORDS = 11
    MOST_KNOWN = 1000
    WARM = 4               # errors before one can be an outlier
    SEEDS = 3
    MOST_WORSENING = 12    # outliers after which an estimated period is given up


cdef inline void begin_phase(schedule *s, double period) noexcept nogil:
    s.location = s.period = period
    s.fast = s.slow = 0.05 * period
    s.outlier = 0
    s.agreeing = s.worsening = s.known = 0


cdef inline void begin_schedule(const estimator *e, schedule *s, sums *w) noexcept nogil:
    """Know one heartbeat."""
    memset(s, 0, sizeof(schedule))
    w.n = 0
    if e.kind == TRACKED:
        begin_phase(s, e.period + e.period_rest)
    read_schedule(e, s, w)


cdef inline bint estimated(const estimator *e) noexcept nogil:
    """Whether the period is not given."""
    return e.period == 0 and e.period_rest == 0


cdef inline int64_t steps_of(double period, int64_t interval) noexcept nogil:
    """How many numbers a heartbeat without one is from the one before, if they come every `period` ns (0: unknown)."""
    cdef double steps = rint(interval / period) if period > 0 else 1
    return <int64_t> fmax(1, fmin(steps, 1e18))


cdef inline bint follows(const estimator *e, int64_t interval, uint64_t steps) noexcept nogil:
    """Whether a heartbeat can be of the same schedule: not after 104 days, nor with a number from elsewhere.

    A rule that looks at nothing else, so that it holds wherever a trace is cut. Within it no sum outgrows its bits
    while a window spans less than 2^64 ns: 584 years, which only a clock that goes back by centuries could make more.
    """
    return interval < (1LL << 53) and 0 < steps <= <uint64_t> e.most_steps


# ---- windows --------------------------------------------------------------------------------------------------------

cdef inline void drop_first(lookback *b, int64_t interval, int64_t steps) noexcept nogil:
    """The first heartbeat leaves; the second came `interval` and `steps` after it."""
    b.sum_span -= b.span
    b.sum_steps -= b.steps
    b.span -= <uint64_t> interval
    b.steps -= steps


cdef inline void append(lookback *b, int64_t heartbeats, int64_t interval, int64_t steps) noexcept nogil:
    """One more comes, `interval` and `steps` after the last of these `heartbeats`."""
    if heartbeats:
        b.sum_span += <u128> heartbeats * <u128> interval
        b.sum_steps += heartbeats * steps
        b.span += <uint64_t> interval
        b.steps += steps


cdef inline double nominal(const estimator *e, const lookback *b, int64_t heartbeats) noexcept nogil:
    """When the next is expected after the last, in units."""
    cdef int64_t steps = b.sum_steps + heartbeats
    return units_of(e.period, steps, b.sum_span, e.period_rest * steps * UNITS, heartbeats)


cdef inline double fitted(const schedule *s, int64_t heartbeats) noexcept nogil:
    """The same where the period is the slope of the least squares line through the window (two heartbeats or more)."""
    cdef u128 h = <u128> heartbeats, steps = <u128> s.back.sum_steps
    # Products of sums of distances >= 0; both differences are exact, and >= 0 (Chebyshev; Cauchy and Schwarz).
    cdef double slope = (<double> (h * s.products - s.back.sum_span * steps)
                         / <double> (h * s.squares - steps * steps))
    return (slope * <double> (s.back.sum_steps + heartbeats) - <double> s.back.sum_span) / heartbeats * UNITS


cdef inline double expected(const estimator *e, const schedule *s, int64_t n) noexcept nogil:
    """When the next heartbeat is expected after the last, in units; n: intervals in the window."""
    cdef double first
    if estimated(e):
        return fitted(s, n + 1) if n else 0
    first = nominal(e, &s.back, n + 1)
    return fmax(first, nominal(e, &s.brief, min(n, e.short_window) + 1)) if e.kind == LATER else first


# ---- push and read --------------------------------------------------------------------------------------------------

cdef inline void follow_window(const estimator *e, schedule *s, int64_t n, int64_t interval, int64_t steps,
                               const int64_t *oldest, const int64_t *oldest_brief) noexcept nogil:
    cdef int64_t stay = n + (n < e.window)  # heartbeats of the window that stay
    cdef int64_t brief = min(n, e.short_window)
    cdef bint slope = estimated(e)
    if n == e.window > 0:
        if slope:
            s.products -= <u128> s.back.span * <u128> s.back.steps
            s.squares -= <u128> s.back.steps * <u128> s.back.steps
        drop_first(&s.back, oldest[0], oldest[1])
    if slope:
        s.products += (s.back.sum_span * <u128> steps + <u128> interval * <u128> s.back.sum_steps
                       + <u128> stay * <u128> interval * <u128> steps)
        s.squares += <u128> steps * (<u128> (2 * s.back.sum_steps) + <u128> stay * <u128> steps)
    append(&s.back, stay, interval, steps)
    if e.kind == LATER:
        if brief == e.short_window > 0:
            drop_first(&s.brief, oldest_brief[0], oldest_brief[1])
        append(&s.brief, brief + (brief < e.short_window), interval, steps)


cdef inline void follow_phase(const estimator *e, schedule *s, int64_t interval, int64_t steps) noexcept nogil:
    """After reference/expected-arrival.md, section 5, one level; what differs says why."""
    cdef double one = fmax(<double> interval / steps, 1), late, taken, limit, weight
    cdef bint free = estimated(e), same, drains = False
    if free and s.seeds < SEEDS:  # the running median of three: one odd interval at the start does no harm
        s.seeds += 1
        if s.seeds == 1:
            s.first = one
            begin_phase(s, one)
            return
        if s.seeds == 2:
            s.second = one
            s.period = fmin(s.first, one)
        else:
            s.period = fmax(fmin(s.first, s.second), fmin(fmax(s.first, s.second), one))
    s.known += s.known < MOST_KNOWN
    late = taken = interval - s.location - s.period * (steps - 1)
    limit = e.clip * fmax(s.slow, 5e-4 * s.period)
    if s.known <= WARM or fabs(late) <= limit:
        s.outlier = 0
        s.agreeing = s.worsening = 0
    else:
        same = late * s.outlier > 0
        s.agreeing = s.agreeing + 1 if same and fabs(late - s.outlier) <= limit else 1
        s.worsening = min(s.worsening + 1, <int32_t> MOST_WORSENING) if same and fabs(late) >= fabs(s.outlier) else 1
        # A queue that comes out: each is less late than the one before. It says nothing about the schedule, and where
        # senders catch up after stalls it would wind up the errors (up to a tenth of the mistakes there).
        drains = same and fabs(late) < fabs(s.outlier) and s.agreeing == 1
        s.outlier = late
        taken = copysign(limit, late)
    if free and s.worsening >= MOST_WORSENING:  # not only the phase is wrong
        s.seeds = 1
        s.first = one
        begin_phase(s, one)
    elif s.agreeing >= e.agree:  # the schedule has moved: it begins here, and nothing else is learned
        s.location = s.period
        s.outlier = 0
        s.agreeing = s.worsening = 0
    elif drains:
        s.location = s.period - late
    else:
        weight = 1 / (s.known + 1.0)
        if free and s.seeds == SEEDS and s.known > WARM:
            s.period = fmax(s.period + fmax(0.002, weight) * taken / steps, 1)
        s.location = s.period + e.gain * taken - late
        s.fast += fmax(0.1, weight) * (fabs(taken) - s.fast)
        s.slow += fmax(0.01, weight) * (fabs(taken) - s.slow)


cdef inline void next_arrival(const estimator *e, schedule *s, sums *w, int64_t interval, int64_t steps,
                              const int64_t *oldest, const int64_t *oldest_brief) noexcept nogil:
    """Take in a heartbeat that `follows` the last one.

    `oldest` is interval and steps that leave the window if it is full, `oldest_brief` those that leave the short one.
    """
    cdef double period = e.period + e.period_rest, error = 0
    if e.kind == MARGIN:
        error = interval - expected(e, s, w.n) / UNITS - (steps - 1) * period - s.error
    if e.kind == TRACKED:
        follow_phase(e, s, interval, steps)
    else:
        follow_window(e, s, w.n, interval, steps, oldest, oldest_brief)
    if e.kind == MARGIN:
        s.error += e.gamma * error
        s.deviation += e.gamma * (fabs(error) - s.deviation)
    w.n += w.n < e.window
    read_schedule(e, s, w)


cdef inline void read_schedule(const estimator *e, const schedule *s, sums *w) noexcept nogil:
    """Location and scale, in units."""
    cdef double units, width = e.scale * UNITS
    if e.kind == TRACKED:
        units = s.location * UNITS
        if e.share >= 0:
            width = (fmax(s.fast, s.slow) + e.share * s.period) * UNITS
    else:
        units = expected(e, s, w.n)
        if e.kind == MARGIN:
            units += (e.beta * s.error + e.phi * s.deviation) * UNITS
    w.sum = llrint(fmax(-LONGEST_UNITS, fmin(units, LONGEST_UNITS)))
    w.squares = double_as_squares(fmax(UNITS, fmin(width, LONGEST_UNITS)))
