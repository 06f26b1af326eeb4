# cython: cdivision=True
# Directives hold for one file: without cdivision here, bodies inlined elsewhere would keep a zero-division branch.
"""The estimators: heartbeats -> (location, scale). Push and read of each, one body each.

Every estimator but one is read through three numbers, a whole number `parts`, `located` and a denominator:

    z(elapsed) = (parts * (elapsed - pause) - located) / denominator
    location   = located / parts + pause,   scale = denominator / parts

For those of a window `parts` is n, the intervals that it holds, and `located` their sum, or 0 for those that count from
the last heartbeat. A constant is a window that never learns: n = 1, denominator = scale. Those that expect an arrival
(expected.pxd) give location and scale in 256ths of a ns. The one is SAMPLE, which keeps no statistics: its z is the
number of the window's intervals that the silence has outlived.
"""

from libc.math cimport INFINITY, sqrt
from libc.stdint cimport INT64_MAX, int64_t

cdef extern from "window.h" nogil:
    ctypedef unsigned long long u128  # unsigned __int128: the C compiler knows
    u128 square(int64_t x)
    double exact_spread(int64_t n, int64_t sum, u128 squares)
    double exact_numerator(int64_t n, int64_t sum, int64_t elapsed, int64_t pause)
    int64_t exact_mean_fixed(int64_t n, int64_t sum, int bits)
    u128 double_as_squares(double x)
    double squares_as_double(u128 squares)
    int64_t product_over(int64_t x, int64_t top, int64_t bottom, int bits)

cdef extern from "order.h" nogil:
    int64_t count_at_most(const int64_t *x, int64_t n, int64_t limit)
    int64_t kth_smallest(const int64_t *x, int64_t n, int64_t k)
    int64_t rank_at_most(const int64_t *ascending, int64_t n, int64_t limit)
    void sorted_insert(int64_t *ascending, int64_t n, int64_t value)
    void sorted_remove(int64_t *ascending, int64_t n, int64_t value)

cdef enum:
    MOST_SEEDS = 2

cdef enum estimator_kind:
    CONSTANT  # location 0, a scale that is given
    WINDOW    # location mean + pause, scale the deviation with divisor n
    PREDICTION  # the same, but the deviation of the next interval from the mean: s (1 + 1/n)^(1/2), s with n - 1
    MEAN      # location 0, scale the mean, smoothed by `weight` intervals that add up to `prior`
    SAMPLE    # the window itself
    # From here on the location is that of the arrival which is expected next: see expected.pxd.
    EXPECTED  # by the mean offset of a window of heartbeats from the schedule
    LATER     # the later of two such, by a long window and a short one
    MARGIN    # the same as EXPECTED, and a margin that follows the errors of the expectation
    TRACKED   # by a phase that follows the arrivals, but not the odd ones

ctypedef struct estimator:  # parameters; they never change
    estimator_kind kind
    int64_t window       # intervals that count at most
    int64_t min_samples  # intervals below which there is no level
    int64_t pause        # ns
    double floor         # smallest scale, ns, at least 1
    double scale         # of a constant, ns
    double weight, prior
    int64_t seeds        # how many samples the first heartbeat brings
    int64_t seed[2]      # which, ns
    int64_t longest      # intervals longer than this are not learned, ns
    double z_unlearned   # nor those at whose end the lateness was this or more
    u128 squares_limit   # sums of squares stay below it, so that n * squares fits 128 bits
    int64_t top, bottom  # SAMPLE: an interval is outlived after top / bottom times its length
    # Those that expect an arrival; their window counts the intervals between the heartbeats that count.
    int64_t period       # the schedule's, whole ns, and what is left of it; 0: to be estimated
    double period_rest
    int64_t short_window  # LATER: of the intervals of the short window
    double beta, phi, gamma  # MARGIN: beta * mean error + phi * mean |error|, each moved by a share gamma
    double gain, clip, share  # TRACKED
    int64_t agree
    int64_t most_steps   # more numbers than this from one heartbeat to the next begin another schedule

ctypedef struct sums:  # what the window knows of its intervals
    int64_t n
    int64_t sum
    u128 squares

cdef extern from *:
    """
    /* 2^62 ns = 146 years: two of them, and any difference of instants, fit int64. */
    #define SUM_LIMIT (1LL << 62)
    /* Fixed point of expected arrivals, and of the sums behind the quality of service: 2^-8 ns = 4 ps. */
    #define FIXED_BITS 8
    #define FIXED_LIMIT (1LL << 54)
    """
    const int64_t SUM_LIMIT, FIXED_LIMIT
    const int FIXED_BITS


cdef inline sums nothing_known(const estimator *e) noexcept nogil:
    cdef sums w
    w.n = 1 if e.kind == CONSTANT else 0
    w.sum = 0
    w.squares = 0
    return w


cdef inline bint learn(const estimator *e, sums *w, int64_t interval, int64_t oldest) noexcept nogil:
    """Take in an interval (>= 0); `oldest` is the one that leaves a full window.

    False, and nothing changes, where the sums would outgrow their bits: at a window that spans 146 years, or at
    intervals whose squares do (the 1,000 of a window may be 53 days each, one alone 18 years).
    """
    cdef int64_t n = w.n, total = w.sum
    cdef u128 squares = w.squares
    if e.kind == CONSTANT:
        return True
    if n == e.window:
        n -= 1
        total -= oldest
        squares -= square(oldest)
    if interval >= SUM_LIMIT - total or square(interval) >= e.squares_limit - squares:
        return False
    w.n = n + 1
    w.sum = total + interval
    w.squares = squares + square(interval)
    return True


cdef inline bint known(const estimator *e, int64_t n) noexcept nogil:
    return n >= e.min_samples


cdef inline bint scheduled(const estimator *e) noexcept nogil:
    """Whether it expects an arrival, and so looks at sequence numbers."""
    return e.kind >= EXPECTED


cdef inline int64_t parts(const estimator *e, int64_t n) noexcept nogil:
    """What location and scale were multiplied by."""
    return 1 << FIXED_BITS if scheduled(e) else n


cdef inline int64_t located(const estimator *e, const sums *w) noexcept nogil:
    """parts * (location - pause) in ns."""
    return 0 if e.kind == MEAN or e.kind == SAMPLE else w.sum


cdef inline double widening(const estimator *e, int64_t n) noexcept nogil:
    """What the population deviation of n intervals is to be multiplied by."""
    return sqrt((n + 1.0) / (n - 1.0)) if e.kind == PREDICTION and n > 1 else 1.0


cdef inline double denominator(const estimator *e, const sums *w) noexcept nogil:
    """parts * scale in ns; at least parts * floor, so nothing divides by zero."""
    cdef double width, n = <double> (w.n if w.n else 1)
    if e.kind == CONSTANT:
        return e.scale
    if scheduled(e):
        return squares_as_double(w.squares)
    if e.kind == SAMPLE:
        return 1
    if e.kind == MEAN:
        width = (w.sum + e.prior) * (n / (n + e.weight))
    else:
        width = sqrt(exact_spread(w.n, w.sum, w.squares)) * widening(e, w.n)
    return width if width > n * e.floor else n * e.floor


cdef inline double lateness(const estimator *e, int64_t n, int64_t total, double denominator,
                            int64_t elapsed) noexcept nogil:
    """z: how late, in units of scale; never falls while elapsed rises."""
    return exact_numerator(parts(e, n), total, elapsed, e.pause) / denominator


cdef inline bint welcome(const estimator *e, const sums *w, int64_t interval) noexcept nogil:
    """Whether the estimator's own rules let it learn an interval; to be asked before the heartbeat counts."""
    if interval > e.longest:
        return False
    return not (e.z_unlearned < INFINITY and known(e, w.n)
                and lateness(e, w.n, located(e, w), denominator(e, w), interval) >= e.z_unlearned)


cdef inline int64_t first_elapsed(const estimator *e, int64_t n, int64_t total, double denominator,
                                  double z) noexcept nogil:
    """The first whole ns >= 0 whose lateness is >= z; INT64_MAX where there is none within 146 years.

    A guess in doubles, which nearly always is right, then a bisection round it: the answer is exact whatever the guess.
    """
    cdef double guess = e.pause + (total + z * denominator) / parts(e, n)
    cdef int64_t low, high, middle, margin
    if not guess < SUM_LIMIT:
        return INT64_MAX
    if guess < 0:
        guess = 0
    high = <int64_t> guess
    high += high < guess
    if lateness(e, n, total, denominator, high) >= z and (
            high == 0 or not lateness(e, n, total, denominator, high - 1) >= z):
        return high
    margin = 2 + <int64_t> (guess * 1e-15)
    low = <int64_t> guess - margin
    high = <int64_t> guess + margin
    while low >= 0 and lateness(e, n, total, denominator, low) >= z:
        margin *= 2
        high = low
        low -= margin
    while high <= SUM_LIMIT and not lateness(e, n, total, denominator, high) >= z:
        margin *= 2
        low = high
        high += margin
    if high > SUM_LIMIT:
        return INT64_MAX
    if low < -1:
        low = -1
    while high - low > 1:  # z is not yet reached at low (or low is -1), and is at high
        middle = low + (high - low) // 2
        if lateness(e, n, total, denominator, middle) >= z:
            high = middle
        else:
            low = middle
    return high


cdef inline int64_t location_fixed(const estimator *e, int64_t n, int64_t total) noexcept nogil:
    """The location in units of 2^-8 ns, rounded down."""
    return exact_mean_fixed(parts(e, n), total, FIXED_BITS) + (e.pause << FIXED_BITS)


# ---- the window itself ----------------------------------------------------------------------------------------------

cdef inline int64_t longest_outlived(const estimator *e, int64_t elapsed) noexcept nogil:
    """The longest interval x with x * stretch <= elapsed."""
    return product_over(elapsed, e.bottom, e.top, 0)


cdef inline int64_t outlived_after(const estimator *e, int64_t interval) noexcept nogil:
    """The first whole ns after which an interval is outlived: interval * stretch, rounded up; INT64_MAX: none."""
    cdef int64_t wait = product_over(interval, e.top, e.bottom, 0)
    return wait + (wait < INT64_MAX and longest_outlived(e, wait) < interval)


cdef inline int64_t outlived_after_fixed(const estimator *e, int64_t interval) noexcept nogil:
    """interval * stretch in units of 2^-8 ns, rounded down."""
    return product_over(interval, e.top, e.bottom, FIXED_BITS)
