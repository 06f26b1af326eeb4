/* The sliding window's exact arithmetic: one heartbeat at a time in 128 bits, and blocks of heartbeats in 64.
 *
 * A full window of n intervals d has sum = Sum d and squares = Sum d^2. What a level needs is
 *
 *     N = n * squares - sum^2 = n^2 * variance      (an integer)
 *     numerator = n * (elapsed - pause) - sum       (an integer)
 *     z = numerator / max(sqrt(N), n * floor)       (three roundings, five with the conversions)
 *
 * so a value has one set of bits, whichever way the integers came about. Both N and the numerator stay the same
 * when every interval is measured from a reference r, which keeps the blocks within 64 bits (see window_block_fits).
 */
#ifndef ACCRUAL_WINDOW_H
#define ACCRUAL_WINDOW_H

#ifndef __SIZEOF_INT128__
#error "accrual needs 128-bit integers: GCC or Clang, on a 64-bit machine (on Windows MinGW's GCC)"
#endif

#include "special.h"

typedef unsigned __int128 u128;
typedef __int128 i128;

/* ---- one heartbeat at a time ------------------------------------------------------------------------------------ */

ACCRUAL_INLINE u128 square(int64_t x) { return (u128)((i128)x * x); }

/* These three go through 64 bits where that fits, which is nearly always; the bits are the same (one rounding of the
 * same integer), and a curve takes half the time. */

/* N = n * squares - sum^2, correctly rounded; never negative (Cauchy and Schwarz). */
ACCRUAL_INLINE double exact_spread(int64_t n, int64_t sum, u128 squares) {
    u128 spread = (u128)n * squares - square(sum);
    return spread >> 63 ? (double)spread : (double)(int64_t)spread;
}

ACCRUAL_INLINE double exact_numerator(int64_t n, int64_t sum, int64_t elapsed, int64_t pause) {
    int64_t product, numerator;
    if (!__builtin_mul_overflow(n, elapsed - pause, &product) && !__builtin_sub_overflow(product, sum, &numerator))
        return (double)numerator;
    return (double)((i128)n * (elapsed - pause) - sum);
}

/* The largest integer <= 2^bits * sum / n, for sums of any sign. */
ACCRUAL_INLINE int64_t exact_mean_fixed(int64_t n, int64_t sum, int bits) {
    int64_t scaled;
    if (!__builtin_mul_overflow(sum, (int64_t)1 << bits, &scaled)) return scaled / n - (scaled % n < 0);
    i128 wide = (i128)sum * ((i128)1 << bits);
    return (int64_t)(wide / n - (wide % n < 0));
}

/* A double where the squares of a window would be: what expects an arrival has none. */
ACCRUAL_INLINE u128 double_as_squares(double x) {
    uint64_t bits;
    memcpy(&bits, &x, 8);
    return bits;
}

ACCRUAL_INLINE double squares_as_double(u128 squares) {
    uint64_t bits = (uint64_t)squares;
    double x;
    memcpy(&x, &bits, 8);
    return x;
}

/* The largest integer <= 2^bits * x * top / bottom, at most INT64_MAX. 0 <= x < 2^62, 0 <= top < 2^57, bits <= 8. */
ACCRUAL_INLINE int64_t product_over(int64_t x, int64_t top, int64_t bottom, int bits) {
    u128 quotient = top == bottom ? (u128)x << bits : ((u128)x * (u128)top << bits) / (u128)bottom;
    return quotient > INT64_MAX ? INT64_MAX : (int64_t)quotient;
}

/* ---- blocks ------------------------------------------------------------------------------------------------------
 * Four short loops through the first-level cache are faster than one long one (1.85 against 2.6 ns a heartbeat on
 * Zen 5): their iterations overlap. */
enum { BLOCK = 512 };
_Static_assert(BLOCK <= 1 << 9, "window_block_fits is proved for blocks of 2^9");

/* Intervals that enter, measured from r, the sums of the windows before they enter, and what each adds to the sum of
 * squares. c points at the heartbeat that closes the first window, c[-n] at the one that opens it; c[count] exists.
 * Gives two bounds for window_block_fits. Unsigned arithmetic: wrapping is well defined. */
typedef struct {
    uint64_t bits; /* -bits - 1 <= e <= bits, for every e of the block */
    uint64_t gain; /* the sum of e^2 / 2^9, each rounded down; its meaning needs bits < 2^31 */
} block_bounds;

ACCRUAL_INLINE block_bounds window_enter_body(const int64_t *restrict c, int64_t n, int64_t r, int64_t *restrict e,
                                              int64_t *restrict sum, uint64_t *restrict squares, int64_t count) {
    const uint64_t *close = (const uint64_t *)c, *open = close - n;
    uint64_t bits = 0, gain = 0, nr = (uint64_t)n * (uint64_t)r;
    for (int64_t j = 0; j < count; j++) {
        int64_t in = (int64_t)(close[j + 1] - close[j] - (uint64_t)r);
        int64_t out = (int64_t)(open[j + 1] - open[j] - (uint64_t)r);
        e[j] = in;
        sum[j] = (int64_t)(close[j] - open[j] - nr);
        uint64_t square_in = (uint64_t)in * (uint64_t)in;
        bits |= (uint64_t)(in ^ (in >> 63));
        gain += square_in >> 9;
        squares[j] = square_in - (uint64_t)out * (uint64_t)out;
    }
    return (block_bounds){bits, gain};
}
TIERED_BODY(block_bounds, window_enter,
            (const int64_t *restrict c, int64_t n, int64_t r, int64_t *restrict e, int64_t *restrict sum,
             uint64_t *restrict squares, int64_t count),
            (c, n, r, e, sum, squares, count))

/* Turns differences into the running sum before each, from `start` on; gives the sum after all. */
static uint64_t running_sum_base(uint64_t *restrict x, uint64_t start, int64_t count) {
    for (int64_t j = 0; j < count; j++) {
        uint64_t step = x[j];
        x[j] = start;
        start += step;
    }
    return start;
}
#if ACCRUAL_CLONES
#define running_sum_v3 running_sum_base /* lanes of four gain nothing over the scalar chain */
ACCRUAL_V4 static uint64_t running_sum_v4(uint64_t *restrict x, uint64_t start, int64_t count) {
    const __m512i zero = _mm512_setzero_si512(), last = _mm512_set1_epi64(7);
    __m512i carry = _mm512_set1_epi64((int64_t)start);
    int64_t j = 0;
    for (; j + 8 <= count; j += 8) {
        __m512i step = _mm512_loadu_si512(x + j), s = step;
        s = _mm512_add_epi64(s, _mm512_alignr_epi64(s, zero, 7));
        s = _mm512_add_epi64(s, _mm512_alignr_epi64(s, zero, 6));
        s = _mm512_add_epi64(s, _mm512_alignr_epi64(s, zero, 4));
        _mm512_storeu_si512(x + j, _mm512_add_epi64(carry, _mm512_sub_epi64(s, step)));
        carry = _mm512_add_epi64(carry, _mm512_permutexvar_epi64(last, s));
    }
    start = (uint64_t)_mm_cvtsi128_si64(_mm512_castsi512_si128(carry));
    return running_sum_base(x + j, start, count - j);
}
#endif
TIERED(uint64_t, running_sum, (uint64_t *restrict x, uint64_t start, int64_t count), (x, start, count))

/* May a block of `count` <= 2^9 go through 64 bits? `squares` is the window's before the block, measured from r, the
 * bounds come from window_enter. Proof that it may:
 * - bits < 2^31 makes |e| <= 2^31, so each e^2 <= 2^62 was exact in 64 bits, and `gain`, at most 2^9 * 2^53, did not wrap.
 * - e^2 < (floor(e^2 / 2^9) + 1) * 2^9, so all of the block add up to less than (gain + count) * 2^9. A window inside
 *   the block holds some of them and some of what `squares` holds; so every true sum of squares is below 2^63, and its
 *   low 64 bits, which running_sum gives, are it (what leaves was there before, so no true sum is negative).
 * - By Cauchy and Schwarz sum^2 <= n * squares: with n <= 2^19, |sum| < 2^41. With 0 <= pause < 2^33 the numerator
 *   n * (e - pause) - sum is below 2^19 * (2^31 + 2^33) + 2^41 < 2^53, so exact in a double.
 * One bound for all, count * (bits + 1)^2, would refuse whole blocks for one interval 0.13 s off the mean: on a
 * contended machine's trace that took 6 ns a heartbeat in the place of 3. */
ACCRUAL_INLINE int window_block_fits(u128 squares, block_bounds bounds, int64_t count) {
    return bounds.bits < (1ULL << 31) && squares < ((u128)1 << 63) &&
           squares + ((u128)(bounds.gain + (uint64_t)count) << 9) < ((u128)1 << 63);
}

/* N = n * squares - sum^2, correctly rounded, in doubles alone (SSE2 has no 64-bit multiply): all is exact but the
 * last add, since high and low are integers below 2^53. squares < 2^63, n <= 2^19, sum^2 <= n * squares. */
ACCRUAL_INLINE double block_spread(uint64_t squares, int64_t sum, double n) {
    uint64_t size = (uint64_t)(sum < 0 ? -sum : sum);
    double a = small_unsigned_to_double(size >> 16), b = small_unsigned_to_double(size & 0xffff);
    double square_high = small_unsigned_to_double(squares >> 32);
    double square_low = small_unsigned_to_double(squares & 0xffffffffULL);
    double cross = a * b * 0x1p-15; /* 2ab in units of 2^32, split into an integer and the rest */
    double cross_high = (cross + MAGIC) - MAGIC, cross_low = cross - cross_high;
    double high = (n * square_high - a * a) - cross_high;
    double low = (n * square_low - b * b) - cross_low * 0x1p32;
    return high * 0x1p32 + low;
}

/* z and the denominator max(sqrt(N) * widening, n * floor) of each heartbeat of a block that fits. */
ACCRUAL_INLINE void window_read_body(const int64_t *restrict e, const int64_t *restrict sum,
                                     const uint64_t *restrict squares, double n, int64_t pause, double widening,
                                     double floor_n, double *restrict z, double *restrict denominator, int64_t count) {
    for (int64_t j = 0; j < count; j++) {
        double numerator = n * small_to_double(e[j] - pause) - small_to_double(sum[j]);
        double deviation = sqrt(block_spread(squares[j], sum[j], n)) * widening;
        double d = deviation > floor_n ? deviation : floor_n;
        denominator[j] = d;
        z[j] = numerator / d;
    }
}
TIERED_BODY(void, window_read,
            (const int64_t *restrict e, const int64_t *restrict sum, const uint64_t *restrict squares, double n,
             int64_t pause, double widening, double floor_n, double *restrict z, double *restrict denominator,
             int64_t count),
            (e, sum, squares, n, pause, widening, floor_n, z, denominator, count))

/* Location (less what all share: 2^bits * (r + pause)) and scale of each heartbeat of a block that fits, in units of
 * 2^-bits ns; the first rounded down like exact_mean_fixed, the second to nearest like llrint. Gives their sums.
 * bits <= 8 and a floor below 2^42 ns keep all of it exact in doubles. */
typedef struct {
    int64_t location, scale;
} fixed_sums;

ACCRUAL_INLINE fixed_sums window_fixed_body(const int64_t *restrict sum, const double *restrict denominator, double n,
                                            double unit, int64_t *restrict location, int64_t *restrict scale,
                                            int64_t count) {
    fixed_sums all = {0, 0};
    for (int64_t j = 0; j < count; j++) {
        double x = small_to_double(sum[j]) * unit, nearest = x / n + MAGIC, rest = x - (nearest - MAGIC) * n;
        location[j] = magic_to_small(nearest) - (rest < 0);
        scale[j] = magic_to_small(denominator[j] / n * unit + MAGIC);
        all.location += location[j];
        all.scale += scale[j];
    }
    return all;
}
TIERED_BODY(fixed_sums, window_fixed,
            (const int64_t *restrict sum, const double *restrict denominator, double n, double unit,
             int64_t *restrict location, int64_t *restrict scale, int64_t count),
            (sum, denominator, n, unit, location, scale, count))

/* ---- whole traces ------------------------------------------------------------------------------------------------
 * Questions about every instant, as sign bits that are or-ed: SSE2 cannot compare 64-bit integers. */

/* Does x fall anywhere? Differences must fit int64. */
ACCRUAL_INLINE int falls_body(const int64_t *restrict x, int64_t count) {
    uint64_t bits = 0;
    for (int64_t j = 0; j + 1 < count; j++) bits |= (uint64_t)x[j + 1] - (uint64_t)x[j];
    return (int)(bits >> 63);
}
TIERED_BODY(int, falls, (const int64_t *restrict x, int64_t count), (x, count))

/* Do all x lie strictly between -limit and limit? limit <= 2^62. */
ACCRUAL_INLINE int all_inside_body(const int64_t *restrict x, int64_t limit, int64_t count) {
    uint64_t bits = 0, most = (uint64_t)limit - 1;
    for (int64_t j = 0; j < count; j++) bits |= (most + (uint64_t)x[j]) | (most - (uint64_t)x[j]);
    return !(bits >> 63);
}
TIERED_BODY(int, all_inside, (const int64_t *restrict x, int64_t limit, int64_t count), (x, limit, count))

#endif
