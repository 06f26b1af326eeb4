/* Special functions of the laws, scalar and over arrays, and the machinery that makes them fast.
 *
 * Rules of this file.
 * 1. Plain multiply and add, no FMA, no libm but sqrt (IEEE 754 rounds it correctly): every x86-64 CPU and every
 *    tier below then give the same bits. FMA would save 0.15 ns of 2.5 ns a heartbeat.
 * 2. A level never falls while z rises, bit by bit: a deadline is a point, not a fuzzy zone. Where the error of the
 *    evaluation could exceed the step between neighbouring z, z is first rounded to a grid (see near_level).
 * 3. No Python, no field names, no state but the tier.
 */
#ifndef ACCRUAL_SPECIAL_H
#define ACCRUAL_SPECIAL_H

#include <math.h>
#include <stdint.h>
#include <string.h>

#include "special_tables.h"

/* ---- tiers: one body, compiled for each level of x86-64 ------------------------------------------------------------
 * Explicit function pointers by tier instead of target_clones: they need no ifunc (so glibc and musl alike, and
 * AddressSanitizer, whose runtime is not up yet when ifuncs resolve), and a test can choose the tier by name.
 * ACCRUAL_NO_CLONES leaves the plain body alone, for the test that says they are equal; so do other CPUs, and GCC on
 * Windows, where the stack is aligned to 16 bytes and GCC spills 32-byte registers as if it were to 32 (its bug 54412). */
#if defined(__x86_64__) && defined(__GNUC__) && !defined(ACCRUAL_NO_CLONES) && (!defined(_WIN32) || defined(__clang__))
#define ACCRUAL_CLONES 1
#include <immintrin.h>
#define ACCRUAL_V3 __attribute__((target("arch=x86-64-v3")))
/* 512-bit registers must be asked for: GCC prefers 256 for most v4 CPUs, which costs a quarter of the speed. */
#if defined(__clang__)
#define ACCRUAL_V4 __attribute__((target("arch=x86-64-v4")))
#define ACCRUAL_KNOWS_LEVELS 0 /* an unknown name is an error to clang, and not all versions know the levels */
#else
#define ACCRUAL_KNOWS_LEVELS (__GNUC__ >= 12)
#define ACCRUAL_V4 __attribute__((target("arch=x86-64-v4,prefer-vector-width=512")))
#endif
#else
#define ACCRUAL_CLONES 0
#endif

#define LOG10_E 0.43429448190325182765

#define ACCRUAL_INLINE static inline __attribute__((always_inline))

enum { TIER_BASE = 0, TIER_V3 = 3, TIER_V4 = 4 };
static int accrual_tier = TIER_BASE;

/* The best tier that this CPU (and this build) has. */
static int best_tier(void) {
#if ACCRUAL_CLONES
    __builtin_cpu_init();
    /* All that the compiler may use for the levels, not only what it does use today. */
#if ACCRUAL_KNOWS_LEVELS
    int v3 = __builtin_cpu_supports("x86-64-v3"), v4 = __builtin_cpu_supports("x86-64-v4");
#else
    int v3 = __builtin_cpu_supports("sse4.2") && __builtin_cpu_supports("popcnt") && __builtin_cpu_supports("avx2") &&
             __builtin_cpu_supports("bmi") && __builtin_cpu_supports("bmi2") && __builtin_cpu_supports("fma");
    int v4 = v3 && __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
             __builtin_cpu_supports("avx512cd") && __builtin_cpu_supports("avx512dq") &&
             __builtin_cpu_supports("avx512vl");
#endif
    return v4 ? TIER_V4 : v3 ? TIER_V3 : TIER_BASE;
#else
    return TIER_BASE;
#endif
}

/* TIERED(result, name, (parameters), (arguments)): `name` calls name_base, name_v3 or name_v4. The bodies may differ
 * (a hand-written gather) or be one inline body (TIERED_BODY). */
#if ACCRUAL_CLONES
#define TIERED(result, name, parameters, arguments)                                                                    \
    static result name parameters {                                                                                    \
        if (accrual_tier == TIER_V4) return name##_v4 arguments;                                                       \
        if (accrual_tier == TIER_V3) return name##_v3 arguments;                                                       \
        return name##_base arguments;                                                                                  \
    }
#define TIERED_BODY(result, name, parameters, arguments)                                                               \
    static result name##_base parameters { return name##_body arguments; }                                             \
    ACCRUAL_V3 static result name##_v3 parameters { return name##_body arguments; }                                    \
    ACCRUAL_V4 static result name##_v4 parameters { return name##_body arguments; }                                    \
    TIERED(result, name, parameters, arguments)
#else
#define TIERED(result, name, parameters, arguments)                                                                    \
    static result name parameters { return name##_base arguments; }
#define TIERED_BODY(result, name, parameters, arguments)                                                               \
    static result name##_base parameters { return name##_body arguments; }                                             \
    TIERED(result, name, parameters, arguments)
#endif

/* ---- bits ----------------------------------------------------------------------------------------------------------
 * AVX2 has no conversion between int64 and double; adding 1.5 * 2^52 puts the integer into the low bits. */
#define MAGIC 0x1.8p52
#define MAGIC_BITS 0x4338000000000000LL

/* The integer v as a double; exact for |v| < 2^51. */
ACCRUAL_INLINE double small_to_double(int64_t v) {
    double d;
    v += MAGIC_BITS;
    memcpy(&d, &v, 8);
    return d - MAGIC;
}

/* The unsigned v as a double; exact for v < 2^52. */
ACCRUAL_INLINE double small_unsigned_to_double(uint64_t v) {
    double d;
    v |= 0x4330000000000000ULL;
    memcpy(&d, &v, 8);
    return d - 0x1p52;
}

/* The double x + MAGIC back to the integer nearest to x (ties to even); |x| < 2^51. */
ACCRUAL_INLINE int64_t magic_to_small(double shifted) {
    int64_t v;
    memcpy(&v, &shifted, 8);
    return v - MAGIC_BITS;
}

/* Doubles and integers in the same order: equal steps of the integer visit every finite double once. */
ACCRUAL_INLINE double ordered_to_double(int64_t key) {
    double d;
    key ^= (int64_t)((uint64_t)(key >> 63) >> 1);
    memcpy(&d, &key, 8);
    return d;
}

/* Which of the z exceed a bound: their indices, without a branch (mispredictions cost three times the loop). */
ACCRUAL_INLINE int64_t indices_above(const double *restrict z, double bound, int32_t *restrict index, int64_t count) {
    int64_t found = 0;
    for (int64_t j = 0; j < count; j++) {
        index[found] = (int32_t)j;
        found += z[j] > bound;
    }
    return found;
}

/* ---- natural logarithm ---------------------------------------------------------------------------------------------
 * For normal positive x. Exponent split at sqrt(1/2), then 2 atanh((m-1)/(m+1)) by its series to q^25. Good to two units
 * in the last place, of which z^2/2 leaves nothing: the accuracy that counts is that of the level below. */
ACCRUAL_INLINE double plain_log(double x) {
    uint64_t bits, power;
    double m;
    memcpy(&bits, &x, 8);
    power = (bits - 0x3FE6A09E667F3BCDULL + (1024ULL << 52)) >> 52; /* binary exponent + 1024 */
    bits -= (power << 52) - (1024ULL << 52);
    memcpy(&m, &bits, 8); /* in [sqrt(1/2), sqrt(2)) */
    double q = (m - 1.0) / (m + 1.0), q2 = q * q;
    double p = 1.0 / 25;
    p = p * q2 + 1.0 / 23;
    p = p * q2 + 1.0 / 21;
    p = p * q2 + 1.0 / 19;
    p = p * q2 + 1.0 / 17;
    p = p * q2 + 1.0 / 15;
    p = p * q2 + 1.0 / 13;
    p = p * q2 + 1.0 / 11;
    p = p * q2 + 1.0 / 9;
    p = p * q2 + 1.0 / 7;
    p = p * q2 + 1.0 / 5;
    p = p * q2 + 1.0 / 3;
    p = p * q2 + 1.0;
    return (small_unsigned_to_double(power) - 1024.0) * 0.69314718055994530942 + 2.0 * q * p;
}

/* ln(1 + x) for x > -1: the logarithm of the rounded sum, and what the rounding left out. */
ACCRUAL_INLINE double plain_log1p(double x) {
    double sum = 1.0 + x;
    return plain_log(sum) + (x - (sum - 1.0)) / sum;
}

/* e^x for x <= 0 (below -700 that of -700): Taylor's polynomial of degree 13 on |x| <= ln 2 / 2, times a power of two.
 * domain       trials   peak      rms        (a test recomputes this table)
 * -700 .. 0    20000    2.0e-16   1e-16  */
ACCRUAL_INLINE double plain_exp(double x) {
    x = x > -700.0 ? x : -700.0;
    double shifted = x * 1.44269504088896340736 + MAGIC, k = shifted - MAGIC;
    double r = (x - k * 0x1.62e42feep-1) - k * 0x1.a39ef35793c76p-33, p = 1.0 / 13, scale; /* ln 2 in two parts */
    for (int j = 12; j >= 1; j--) p = (1.0 + r * p) / j;
    int64_t bits = (magic_to_small(shifted) + 1023) << 52;
    memcpy(&scale, &bits, 8);
    return (1.0 + r * p) * scale;
}

/* ---- cells: the near form of a law ---------------------------------------------------------------------------------
 * A law's level as a table: cells of width 1/32 on [-8, 8] of its argument v, each a polynomial of degree 7 (Estrin's
 * scheme). Never -log10(1 - cdf), which is wrong in the third digit at z = 8 and infinite from z = 8.3 on.
 *
 * v is first rounded to a multiple of 2^-47. One step of that grid moves the level of each law below by at least 2.9
 * times the error of its evaluation, so the level rises with v bit by bit; the price is the peak of their tables. */
#define CELL_EDGE 8.0
#define CELL_GRID 48.0 /* 48 + v lies in [40, 56], where doubles are multiples of 2^-47 */
typedef const double cell_table[2 * 8 * 32 + 1][8];

/* Works for double and for GCC's vectors of doubles alike: the polynomial is written once. */
#define CELL_LEVEL(t, t2, c0, c1, c2, c3, c4, c5, c6, c7)                                                              \
    ((((c0) + (c1) * t) + t2 * ((c2) + (c3) * t)) + (t2 * t2) * (((c4) + (c5) * t) + t2 * ((c6) + (c7) * t)))

/* The level at v in [-8, 8], to the last digits but not in order. */
ACCRUAL_INLINE double cell_level(cell_table cells, double v) {
    double x = v * 32.0, shifted = x + MAGIC, t = x - (shifted - MAGIC), t2 = t * t;
    const double *c = cells[magic_to_small(shifted) + 256];
    return CELL_LEVEL(t, t2, c[0], c[1], c[2], c[3], c[4], c[5], c[6], c[7]);
}

ACCRUAL_INLINE double near_level(cell_table cells, double v) {
    v = v > -CELL_EDGE ? v : -CELL_EDGE; /* this way round a NaN, too, reads inside the table */
    v = v < CELL_EDGE ? v : CELL_EDGE;
    return cell_level(cells, (v + CELL_GRID) - CELL_GRID);
}

/* Levels of n values, near form; gives how many lie beyond the edge. A row of the table is one cache line: the
 * vector tiers load the rows whole and transpose them in registers, which is three times faster than gathers
 * (0.9 against 2.8 ns a value on v4). */
static int64_t near_levels_base(cell_table cells, const double *restrict z, double *restrict out, int64_t n) {
    int64_t far = 0;
    for (int64_t i = 0; i < n; i++) {
        out[i] = near_level(cells, z[i]);
        far += z[i] > CELL_EDGE;
    }
    return far;
}

#if ACCRUAL_CLONES
ACCRUAL_V3 static int64_t near_levels_v3(cell_table cells, const double *restrict z, double *restrict out, int64_t n) {
    const __m256d low = _mm256_set1_pd(-CELL_EDGE), high = _mm256_set1_pd(CELL_EDGE);
    int64_t i = 0, far = 0, cell[4] __attribute__((aligned(32)));
    for (; i + 4 <= n; i += 4) {
        __m256d v = _mm256_loadu_pd(z + i);
        far += __builtin_popcount(_mm256_movemask_pd(_mm256_cmp_pd(v, high, _CMP_GT_OQ)));
        v = _mm256_min_pd(_mm256_max_pd(v, low), high);
        __m256d x = ((v + CELL_GRID) - CELL_GRID) * 32.0, shifted = x + MAGIC, t = x - (shifted - MAGIC), t2 = t * t;
        _mm256_store_si256((__m256i *)cell, _mm256_sub_epi64((__m256i)shifted, _mm256_set1_epi64x(MAGIC_BITS - 256)));
        const double *r0 = cells[cell[0]], *r1 = cells[cell[1]];
        const double *r2 = cells[cell[2]], *r3 = cells[cell[3]];
        __m256d c[8];
        for (int h = 0; h < 8; h += 2) { /* columns h and h + 1 of four rows */
            __m256d even = _mm256_insertf128_pd(_mm256_castpd128_pd256(_mm_load_pd(r0 + h)), _mm_load_pd(r2 + h), 1);
            __m256d odd = _mm256_insertf128_pd(_mm256_castpd128_pd256(_mm_load_pd(r1 + h)), _mm_load_pd(r3 + h), 1);
            c[h] = _mm256_unpacklo_pd(even, odd);
            c[h + 1] = _mm256_unpackhi_pd(even, odd);
        }
        _mm256_storeu_pd(out + i, CELL_LEVEL(t, t2, c[0], c[1], c[2], c[3], c[4], c[5], c[6], c[7]));
    }
    _mm256_zeroupper(); /* GCC 12 forgets it here, and dirty upper halves slow the plain SSE code that follows */
    return far + near_levels_base(cells, z + i, out + i, n - i);
}

ACCRUAL_V4 static int64_t near_levels_v4(cell_table cells, const double *restrict z, double *restrict out, int64_t n) {
    const __m512d low = _mm512_set1_pd(-CELL_EDGE), high = _mm512_set1_pd(CELL_EDGE);
    const __m512i first = _mm512_setr_epi64(0, 1, 8, 9, 4, 5, 12, 13), second = _mm512_setr_epi64(2, 3, 10, 11, 6, 7, 14, 15);
    int64_t i = 0, far = 0, cell[8] __attribute__((aligned(64)));
    for (; i + 8 <= n; i += 8) {
        __m512d v = _mm512_loadu_pd(z + i);
        far += __builtin_popcount(_mm512_cmp_pd_mask(v, high, _CMP_GT_OQ));
        v = _mm512_min_pd(_mm512_max_pd(v, low), high);
        __m512d x = ((v + CELL_GRID) - CELL_GRID) * 32.0, shifted = x + MAGIC, t = x - (shifted - MAGIC), t2 = t * t;
        _mm512_store_si512((__m512i *)cell, _mm512_sub_epi64((__m512i)shifted, _mm512_set1_epi64(MAGIC_BITS - 256)));
        const double *r0 = cells[cell[0]], *r1 = cells[cell[1]], *r2 = cells[cell[2]];
        const double *r3 = cells[cell[3]], *r4 = cells[cell[4]], *r5 = cells[cell[5]];
        const double *r6 = cells[cell[6]], *r7 = cells[cell[7]];
        __m512d c[8];
#define TWO_ROWS(a, b) _mm512_mask_broadcast_f64x4(_mm512_castpd256_pd512(_mm256_load_pd(a)), 0xF0, _mm256_load_pd(b))
        for (int h = 0; h < 8; h += 4) { /* columns h to h + 3 of eight rows */
            __m512d a0 = TWO_ROWS(r0 + h, r4 + h), a1 = TWO_ROWS(r1 + h, r5 + h);
            __m512d a2 = TWO_ROWS(r2 + h, r6 + h), a3 = TWO_ROWS(r3 + h, r7 + h);
            __m512d u0 = _mm512_unpacklo_pd(a0, a1), u1 = _mm512_unpackhi_pd(a0, a1);
            __m512d u2 = _mm512_unpacklo_pd(a2, a3), u3 = _mm512_unpackhi_pd(a2, a3);
            c[h] = _mm512_permutex2var_pd(u0, first, u2);
            c[h + 1] = _mm512_permutex2var_pd(u1, first, u3);
            c[h + 2] = _mm512_permutex2var_pd(u0, second, u2);
            c[h + 3] = _mm512_permutex2var_pd(u1, second, u3);
        }
#undef TWO_ROWS
        _mm512_storeu_pd(out + i, CELL_LEVEL(t, t2, c[0], c[1], c[2], c[3], c[4], c[5], c[6], c[7]));
    }
    _mm256_zeroupper(); /* GCC 12 forgets it here, and dirty upper halves slow the plain SSE code that follows */
    return far + near_levels_base(cells, z + i, out + i, n - i);
}
#endif

TIERED(int64_t, near_levels, (cell_table cells, const double *restrict z, double *restrict out, int64_t n),
       (cells, z, out, n))

/* ---- normal level: -log10 of the upper tail ------------------------------------------------------------------------
 * The cells of z on [-8, 8]; beyond 8 an asymptotic form; below -8 the value at -8 (2.7e-16). The far form needs no
 * grid: z * z rises by at least one unit in the last place for each z, and what is added to it wavers by less. Without
 * the grid the peaks in the cells would be 8.4e-15 and, for z > 0, 4e-16.
 * domain       trials   peak      rms        (a test recomputes this table)
 * -8 .. 0      20000    3.8e-14   1.1e-14
 *  0 .. 8      20000    4.4e-15   1.2e-15
 *  8 .. 1e6    20000    3.1e-16   8.5e-17  */
#define NORMAL_LAST 0x1p498 /* about 1e150: z * z stays finite */

/* What z^2 / 2 leaves of the level * ln 10, for z > 8. */
ACCRUAL_INLINE double normal_far_rest(double z) {
    double w = 1.0 / (z * z), p = normal_far[9];
    for (int k = 8; k >= 0; k--) p = p * w + normal_far[k];
    return plain_log(z) + p;
}

ACCRUAL_INLINE double normal_far_level(double z) {
    z = z > NORMAL_LAST ? NORMAL_LAST : z;
    double level = (z * z * 0.5 + normal_far_rest(z)) * LOG10_E;
    double edge = normal_cells[512][0]; /* the level at z = 8: the two forms must not cross there */
    return level < edge ? edge : level;
}

/* The level of one z. */
ACCRUAL_INLINE double normal_level(double z) { return z > CELL_EDGE ? normal_far_level(z) : near_level(normal_cells, z); }

ACCRUAL_INLINE void normal_far_levels_body(double *z, int64_t n) {
    for (int64_t i = 0; i < n; i++) z[i] = normal_far_level(z[i]);
}
TIERED_BODY(void, normal_far_levels, (double *z, int64_t n), (z, n))

/* Levels of n values. The far form is rare (z > 8), so it goes over the block a second time; what it concerns is packed
 * first, so that it fills the vectors. When all are far, as in an outage that hits everybody, a value takes 3.2, 4.9 and
 * 7.2 ns on v4, v3 and the baseline, against 11.2, 11.7 and 10.8 one by one; with fewer than one in 64 nothing changes. */
static void normal_levels(const double *restrict z, double *restrict out, int64_t n) {
    if (!near_levels(normal_cells, z, out, n)) return;
    int32_t index[256];
    double far[256];
    for (int64_t start = 0; start < n; start += 256) {
        int64_t found = indices_above(z + start, CELL_EDGE, index, n - start < 256 ? n - start : 256);
        for (int64_t j = 0; j < found; j++) far[j] = z[start + index[j]];
        normal_far_levels(far, found);
        for (int64_t j = 0; j < found; j++) out[start + index[j]] = far[j];
    }
}

/* ---- logistic level: Akka's approximation of the normal one ----------------------------------------------------------
 * softplus(x) / ln 10 with x = z (1.5976 + 0.070566 z^2), in the cells of v = x / 8; beyond x = 64 it is x / ln 10 to
 * the last bit, and below x = -64 (z = -9.04) the value there (7e-29). x rises with z bit by bit: it is odd, and for
 * z > 0 each of its roundings keeps the order.
 * domain       trials   peak      rms        (a test recomputes this table)
 * -8 .. 0      20000    5.4e-14   1.8e-14
 *  0 .. 8      20000    3.8e-14   4.7e-15
 *  8 .. 1e6    20000    1.0e-15   1.1e-16  */
#define LOGISTIC_LAST 0x1p1010 /* what v is cut to, about 1e304: from z = 2e102 on the level rises no more */

ACCRUAL_INLINE double logistic_argument(double z) { return z * (1.5976 / 8 + (0.070566 / 8) * (z * z)); }

ACCRUAL_INLINE void logistic_arguments_body(const double *restrict z, double *restrict v, int64_t n) {
    for (int64_t i = 0; i < n; i++) v[i] = logistic_argument(z[i]);
}
TIERED_BODY(void, logistic_arguments, (const double *restrict z, double *restrict v, int64_t n), (z, v, n))

ACCRUAL_INLINE double logistic_far_level(double v) {
    double level = (v < LOGISTIC_LAST ? v : LOGISTIC_LAST) * (8 * LOG10_E);
    double edge = logistic_cells[512][0]; /* as for the normal level */
    return level < edge ? edge : level;
}

/* The level of one z. */
ACCRUAL_INLINE double logistic_level(double z) {
    double v = logistic_argument(z);
    return v > CELL_EDGE ? logistic_far_level(v) : near_level(logistic_cells, v);
}

/* Levels of n values, by the same road as the normal ones. */
static void logistic_levels(const double *restrict z, double *restrict out, int64_t n) {
    double v[256];
    for (int64_t start = 0; start < n; start += 256) {
        int64_t count = n - start < 256 ? n - start : 256;
        logistic_arguments(z + start, v, count);
        if (near_levels(logistic_cells, v, out + start, count))
            for (int64_t i = 0; i < count; i++)
                if (v[i] > CELL_EDGE) out[start + i] = logistic_far_level(v[i]);
    }
}

/* ---- exponential level: -log10 exp(-z) ---------------------------------------------------------------------------------
 * domain       trials   peak      rms        (a test recomputes this table)
 *  0 .. 8      20000    1.5e-16   5.4e-17
 *  8 .. 1e6    20000    1.5e-16   5.4e-17  */
ACCRUAL_INLINE double exponential_level(double z) { return z > 0 ? z * LOG10_E : 0.0; }

/* ---- Student's level: -log10 of the upper tail of t with df degrees of freedom -----------------------------------------
 * One road for every z and df. With a = df / 2 and xi = ln(1 + z^2 / df) the tail beyond z > 0 is
 *
 *     T(a) = 1 / (2 B(a, 1/2)) * integral from xi to infinity of e^(-a s) (1 - e^-s)^(-1/2) ds.
 *
 * 1. With s = r^2 / df it is C * integral from u on of phi(r) h(r^2 / df) dr, where u^2 = df xi and
 *    h(s) = (s / (1 - e^-s))^(1/2) = 1 + s/4 + s^2/96 - ...: the normal tail, nearly (Wallace's transformation). Term
 *    by term that is J_0 = Q(u), J_j = ((2j - 1) J_(j-1) + phi(u) u xi^(j-1)) / df, all of them positive; C follows from
 *    T = 1/2 at z = 0. Up to xi = 1 and from 30 degrees of freedom on, 22 terms are enough.
 * 2. Fewer degrees: T(a) = T(a + 1) + (1 - e^-xi)^(1/2) e^(-a xi) / (2 a B(a, 1/2)), in steps down from 30. Nothing but
 *    positive terms again.
 * 3. Beyond xi = 1 each such step divides what was wrong at its beginning by e: 32 steps down from the sum of a
 *    geometric series.
 *
 * All tails are scaled by e^(a xi), so none underflows. Before that z is rounded to a grid on which the level rises by
 * 1.0e-14 of itself or more from step to step, against 2.3e-15 that the evaluation may err by: that grid is all of the
 * peak below. Some 0.2 us a level.
 * 1 to 2^24 degrees of freedom, drawn evenly in their logarithm:
 * domain       trials   peak      rms        (a test recomputes this table)
 * -8 .. 0      2000     6.8e-14   2.2e-14
 *  0 .. 8      2000     3.4e-14   1.1e-14
 *  8 .. 1e6    2000     2.9e-14   9.1e-15  */
#define STUDENT_ENOUGH 30 /* degrees of freedom, even */
#define STUDENT_STEPS 32

/* e^(u^2 / 2) Q(u) for u >= 0. */
ACCRUAL_INLINE double normal_scaled_tail(double u) {
    return plain_exp(u > CELL_EDGE ? -normal_far_rest(u) : u * u * 0.5 - cell_level(normal_cells, u) * 2.30258509299404568402);
}

/* e^(a xi) T(a), with x = e^-xi and y = 1 - x. */
static double student_scaled_tail(double df, double xi, double x, double y) {
    const double phi0 = 0.39894228040143267794;
    int far = xi > 1.0, steps = far ? STUDENT_STEPS : 0;
    if (!far && df < STUDENT_ENOUGH) steps = (int)(STUDENT_ENOUGH + 1 - df) / 2;
    double top = df + 2 * steps, share = 1.0 / top, a = 0.5 * top, whole = 1.0, j0 = 1.0; /* whole: 1 / C */
    for (int j = 1; j <= STUDENT_TERMS; j++) {
        j0 *= (2 * j - 1) * share;
        whole += student_series[j] * j0;
    }
    double step = sqrt(y) * phi0 / (whole * sqrt(top)), tail; /* y^(1/2) / (2 a B(a, 1/2)) */
    if (far) {
        tail = step / (1.0 - x * (a + 0.5) / (a + 1.0));
    } else {
        double u = sqrt(top * xi), part = phi0 * u * share, ju = normal_scaled_tail(u);
        tail = ju;
        for (int j = 1; j <= STUDENT_TERMS; j++) {
            ju = (2 * j - 1) * share * ju + part;
            part *= xi;
            tail += student_series[j] * ju;
        }
        tail /= whole;
    }
    for (int k = 0; k < steps; k++) {
        step *= a / (a - 0.5);
        a -= 1.0;
        tail = x * tail + step;
    }
    return tail;
}

/* z to the nearest of a grid of powers of two. In the binade [b, 2b) of |z| (and on [0, 1)) the level rises by about
 * `steep` of itself where z rises by b: a step is 2^-45 b over `steep`, but never finer than 2^-50 b. */
ACCRUAL_INLINE double student_grid(double z, double df) {
    double binade, step;
    uint64_t bits, ratio;
    memcpy(&bits, &z, 8);
    bits &= 0x7FF0000000000000ULL;
    memcpy(&binade, &bits, 8);
    if (!(binade > 1.0)) binade = 1.0;
    double w = binade * binade / df, steep = (df + 1.0) * w / (1.0 + w);
    if (z > 0) steep /= 1.0 + 0.5 * (df + 1.0) * plain_log1p(w);
    if (steep > 32.0) steep = 32.0;
    memcpy(&bits, &binade, 8);
    memcpy(&ratio, &steep, 8);
    bits -= ((ratio >> 52) - 1023 + 45) << 52;
    memcpy(&step, &bits, 8);
    return (z + MAGIC * step) - MAGIC * step;
}

/* The level of one z; df from 1 to 2^24. */
static double student_level(double z, int64_t degrees) {
    double df = (double)degrees;
    z = z < NORMAL_LAST ? z : NORMAL_LAST;
    z = z > -CELL_EDGE ? z : -CELL_EDGE; /* below -8 the value there, as for the normal law */
    z = student_grid(z, df);
    double w = z * z / df, xi = plain_log1p(w);
    double tail = student_scaled_tail(df, xi, 1.0 / (1.0 + w), w / (1.0 + w));
    if (z >= 0) return (0.5 * df * xi - plain_log(tail)) * LOG10_E;
    return plain_log1p(-tail * plain_exp(-0.5 * df * xi)) * -LOG10_E;
}

#endif
