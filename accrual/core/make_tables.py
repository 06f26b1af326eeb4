"""Computes ``special_tables.h`` from definitions, with mpmath; nothing imports this at run time.

``python accrual/core/make_tables.py`` rewrites the header; a test runs it and compares.

Levels, -log10 of an upper tail, as polynomials:

* cells: for |v| <= 8, one row for each cell of width 1/32, degree 7 in t = 32 v - k, |t| <= 1/2. A row of
  eight doubles is one cache line; interpolation at Chebyshev nodes is within a hair of the best polynomial.
  The normal law's v is z itself, the logistic law's is x / 8 with x = z (1.5976 + 0.070566 z^2).
* far tail of the normal law: for z > 8, level * ln 10 = z^2/2 + ln z + P(1/z^2), degree 9.

Student's law takes the coefficients of (s / (1 - e^-s))^(1/2).
"""

from pathlib import Path

import mpmath as mp

CELL, EDGE, DEGREE, FAR_DEGREE, STUDENT_TERMS = 32, 8, 7, 9, 22
LN10 = mp.log(10)


def normal_level(z):
    """-log10 of the probability that a standard normal variable exceeds z."""
    tail = mp.erfc(abs(z) / mp.sqrt(2)) / 2
    return -(mp.log(tail) if z >= 0 else mp.log1p(-tail)) / LN10


def logistic_level(v):
    """-log10 of 1 / (1 + exp(x)), which is softplus(x) / ln 10, at x = 8 v."""
    x = 8 * v
    return (max(x, 0) + mp.log1p(mp.exp(-abs(x)))) / LN10


def far_rest(w):
    """What z^2/2 + ln z leaves of the level * ln 10, as a function of w = 1/z^2."""
    if w == 0:
        return mp.log(2 * mp.pi) / 2
    z = 1 / mp.sqrt(w)
    return -mp.log(mp.erfc(z / mp.sqrt(2)) / 2) - z * z / 2 - mp.log(z)


def interpolate(function, low, high, degree):
    """Coefficients, constant first, in x = (2 u - low - high) / (high - low), from Chebyshev nodes of [low, high]."""
    count = degree + 1
    nodes = [mp.cos(mp.pi * (mp.mpf(2 * k + 1) / (2 * count))) for k in range(count)]
    values = [function((low + high) / 2 + (high - low) / 2 * x) for x in nodes]
    vandermonde = mp.matrix([[x**j for j in range(count)] for x in nodes])
    return list(mp.lu_solve(vandermonde, mp.matrix(values)))


def cell_row(level, k):
    """The eight coefficients in t of a level's cell round v = k/32."""
    centre = mp.mpf(k) / CELL
    half = mp.mpf(1) / (2 * CELL)
    return [c * 2**j for j, c in enumerate(interpolate(level, centre - half, centre + half, DEGREE))]


def far_row():
    """The ten coefficients in w = 1/z^2 of the far tail, which begins at z = 8."""
    high = mp.mpf(1) / (EDGE * EDGE - 1)  # a little beyond the edge, so that z = 8 lies well inside
    in_x = interpolate(far_rest, mp.mpf(0), high, FAR_DEGREE)
    in_w = [mp.mpf(0)] * (FAR_DEGREE + 1)
    for i, c in enumerate(in_x):  # x = 2 w / high - 1
        for j in range(i + 1):
            in_w[j] += c * mp.binomial(i, j) * (2 / high) ** j * (-1) ** (i - j)
    return in_w


def student_series():
    """The coefficients of (s / (1 - e^-s))^(1/2): the series of (1 - e^-s) / s to the power -1/2, by Miller's rule."""
    base = [mp.mpf(-1) ** n / mp.factorial(n + 1) for n in range(STUDENT_TERMS + 1)]
    series = [mp.mpf(1)]
    for n in range(1, STUDENT_TERMS + 1):
        series.append(sum((mp.mpf(k) / 2 - n) * base[k] * series[n - k] for k in range(1, n + 1)) / n)
    return series


def header():
    """The text of ``special_tables.h``."""
    with mp.workdps(60):

        def row(numbers):
            return "{" + ", ".join(float(x).hex() for x in numbers) + "}"

        def cells(level):
            rows = ",\n".join("    " + row(cell_row(level, k)) for k in range(-EDGE * CELL, EDGE * CELL + 1))
            return (
                f"static const double {level.__name__.replace('level', 'cells')}[{2 * EDGE * CELL + 1}][{DEGREE + 1}] "
                f"__attribute__((aligned(64))) = {{\n{rows}}};\n"
            )

        return (
            "/* Made by make_tables.py with mpmath; do not edit. */\n"
            f"{cells(normal_level)}"
            f"static const double normal_far[{FAR_DEGREE + 1}] = {row(far_row())};\n"
            f"{cells(logistic_level)}"
            f"#define STUDENT_TERMS {STUDENT_TERMS}\n"
            f"static const double student_series[STUDENT_TERMS + 1] = {row(student_series())};\n"
        )


if __name__ == "__main__":
    Path(__file__).with_name("special_tables.h").write_text(header())
