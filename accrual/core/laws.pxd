# cython: cdivision=True
# Directives hold for one file: without cdivision here, bodies inlined elsewhere would keep a zero-division branch.
"""The laws: normalised lateness z -> suspicion level, and back. One body each.

A law is a number here and an `if` below, chosen once for a block of values, never a call through a pointer for each.
"""

from libc.math cimport INFINITY
from libc.stdint cimport int64_t

cdef extern from "special.h" nogil:
    double normal_level(double z)
    void normal_levels(const double *z, double *out, int64_t n)
    double logistic_level(double z)
    void logistic_levels(const double *z, double *out, int64_t n)
    double exponential_level(double z)
    double student_level(double z, int64_t df)
    double ordered_to_double(int64_t key)

cdef enum law:
    LINEAR  # level = z: periods missed, or seconds past the expected arrival
    NORMAL  # level = -log10 of the upper tail of the standard normal law
    LOGISTIC  # level = -log10 of what Akka takes for that tail
    EXPONENTIAL  # level = -log10 exp(-z)
    STUDENT  # level = -log10 of the upper tail of Student's t with n - 1 degrees of freedom
    SHARE  # level = z / n: the share of n intervals that the silence has outlived

# The ordered integers of the largest and the smallest finite double.
cdef extern from *:
    """
    #define LARGEST_DOUBLE 0x7FEFFFFFFFFFFFFFLL
    #define SMALLEST_DOUBLE (-0x7FEFFFFFFFFFFFFFLL - 1)
    """
    const int64_t LARGEST_DOUBLE, SMALLEST_DOUBLE


cdef inline bint asks(law kind) noexcept nogil:
    """Whether a level depends on how many intervals are known, too."""
    return kind == STUDENT or kind == SHARE


cdef inline double level_of(law kind, double z, int64_t df) noexcept nogil:
    """The level at z (never NaN); df: degrees of freedom, n - 1, for those that ask."""
    if kind == LINEAR:
        return z
    if kind == LOGISTIC:
        return logistic_level(z)
    if kind == EXPONENTIAL:
        return exponential_level(z)
    if kind == STUDENT:
        return student_level(z, max(df, 1))
    if kind == SHARE:
        return z / (df + 1)
    return normal_level(z)


cdef inline void levels_of(law kind, const double *z, double *out, int64_t n, int64_t df, int64_t most) noexcept nogil:
    """The levels at n values of z, bit for bit those of level_of; df grows by one with each, up to `most`."""
    cdef int64_t i
    if kind == LINEAR:
        for i in range(n):
            out[i] = z[i]
    elif kind == LOGISTIC:
        logistic_levels(z, out, n)
    elif kind == EXPONENTIAL:
        for i in range(n):
            out[i] = exponential_level(z[i])
    elif asks(kind):
        for i in range(n):
            out[i] = level_of(kind, z[i], min(df + i, most))
    else:
        normal_levels(z, out, n)


cdef inline double inverse_of(law kind, double level, int64_t df) noexcept nogil:
    """The smallest double z whose level is >= level: -inf when all are, inf when none is.

    Bisection over the doubles in order, 64 steps for any law whose level never falls. So z >= inverse(level) and
    level(z) >= level are the same statement, bit for bit, and no law needs a quantile function of its own.
    """
    cdef int64_t low = SMALLEST_DOUBLE, high = LARGEST_DOUBLE, middle
    if kind == LINEAR:
        return level
    if level_of(kind, ordered_to_double(low), df) >= level:
        return -INFINITY
    if level_of(kind, ordered_to_double(high), df) < level:
        return INFINITY
    while high - 1 > low:  # level(low) < level <= level(high)
        middle = (low >> 1) + (high >> 1) + (low & high & 1)
        if level_of(kind, ordered_to_double(middle), df) >= level:
            high = middle
        else:
            low = middle
    return ordered_to_double(high)
