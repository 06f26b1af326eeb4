"""The laws against mpmath: accuracy, order, inverse, and the tables that they rest on."""

import json
import math
import re
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import NamedTuple

import mpmath
import numpy as np
import oracle
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from oracle import mp
from scipy import stats

from accrual.core import engine

HERE = Path(__file__).parent
SOURCE = HERE.parents[1] / "accrual" / "core"
LINEAR, NORMAL, LOGISTIC, EXPONENTIAL, STUDENT, SHARE = (
    engine.Detector(law=law) for law in ("linear", "normal", "logistic", "exponential", "student", "share")
)


def neighbours(z, count):
    """`count` doubles on either side of z, in order."""
    below, above = [z], [z]
    for _ in range(count):
        below.append(math.nextafter(below[-1], -math.inf))
        above.append(math.nextafter(above[-1], math.inf))
    return below[:0:-1] + above


def stated_accuracy(function):
    """The rows (low, high, trials, peak, rms) of the table above a function in special.h."""
    comment = (SOURCE / "special.h").read_text().split(f"{function}(double")[0].rsplit("/* ----", 1)[1]
    rows = re.findall(r"^ \*\s+(\S+) \.\. (\S+)\s+(\d+)\s+(\S+)\s+([0-9.e+-]+)", comment, re.MULTILINE)
    assert rows
    return [tuple(float(x) for x in row) for row in rows]


class Law(NamedTuple):
    """A curved law: compiled, by the oracle, the function in special.h above which its accuracy stands, its bend."""

    compiled: engine.Detector
    truth: Callable
    function: str
    low: float  # from here on levels rise
    edge: float  # where the near form meets the far one


class Student(NamedTuple):
    """Student's law, compiled, with given degrees of freedom."""

    df: int

    def level(self, z):
        return STUDENT.level(z, self.df)

    def inverse(self, level):
        return STUDENT.inverse(level, self.df)


DEGREES = [1, 2, 3, 4, 9, 28, 29, 30, 31, 99, 999, 10**5, 2**24]
CURVED = {
    "normal": Law(NORMAL, oracle.normal_level, "normal_far_level", -8.0, 8.0),
    "logistic": Law(LOGISTIC, oracle.logistic_level, "logistic_argument", -8.0, 8.9),
    "exponential": Law(EXPONENTIAL, oracle.exponential_level, "exponential_level", 0.0, 1.0),
    **{
        f"student-{df}": Law(Student(df), partial(oracle.student_level, df=df), "student_grid", -8.0, 8.0)
        for df in DEGREES
    },
}


@pytest.fixture(params=CURVED)
def law(request):
    return CURVED[request.param]


@pytest.mark.parametrize(
    ("name", "low", "high", "trials", "peak", "rms"),
    [(name, *row) for name, law in CURVED.items() if "student" not in name for row in stated_accuracy(law.function)],
)
def test_accuracy_is_as_stated(name, low, high, trials, peak, rms):
    rng = np.random.default_rng(20041018)
    trials = int(trials) // 10  # the comment's table is from ten times as many
    points = np.exp(rng.uniform(math.log(low), math.log(high), trials)) if low > 0 else rng.uniform(low, high, trials)
    law = CURVED[name]
    errors = np.array([float(law.compiled.level(z) / law.truth(mp.mpf(z)) - 1) for z in points])
    print(f"{name} {low:g} .. {high:g}: peak {abs(errors).max():.2g}, rms {np.sqrt(np.mean(errors**2)):.2g}")
    assert abs(errors).max() <= peak < 1e-13
    assert np.sqrt(np.mean(errors**2)) <= rms * 1.1


def test_every_law_is_tested_here():
    assert {name.split("-")[0] for name in CURVED} | {"linear", "share"} == set(engine.LAWS)


@pytest.mark.parametrize(("low", "high", "trials", "peak", "rms"), stated_accuracy("student_scaled_tail"))
def test_student_accuracy_is_as_stated(low, high, trials, peak, rms):
    rng = np.random.default_rng(1908)
    trials = int(trials) // 10
    points = np.exp(rng.uniform(math.log(low), math.log(high), trials)) if low > 0 else rng.uniform(low, high, trials)
    degrees = np.floor(np.exp(rng.uniform(0, math.log(2**24), trials))).astype(int)
    pairs = zip(points.tolist(), degrees.tolist(), strict=True)
    errors = np.array([float(STUDENT.level(z, df) / oracle.student_level(mp.mpf(z), df) - 1) for z, df in pairs])
    print(f"student {low:g} .. {high:g}: peak {abs(errors).max():.2g}, rms {np.sqrt(np.mean(errors**2)):.2g}")
    assert abs(errors).max() <= peak < 1e-13
    assert np.sqrt(np.mean(errors**2)) <= rms * 1.1


@pytest.mark.parametrize("df", [1, 2, 4, 7, 19, 100, 5000])
@pytest.mark.parametrize("z", [-7.5, -1.0, 0.0, 1e-9, 1.7, 6.0, 30.0])
def test_student_against_scipy(df, z):
    assert STUDENT.level(z, df) == pytest.approx(-stats.t.logsf(z, df) / math.log(10), rel=1e-9)


@pytest.mark.parametrize(("n", "deviations"), [(20, 9.42), (100, 6.14), (1000, 5.66)])
def test_student_price(n, deviations):
    """theory.md 5.1: what a Phi of 8 costs, in deviations s."""
    assert STUDENT.inverse(8, n - 1) * math.sqrt(1 + 1 / n) == pytest.approx(deviations, abs=6e-3)


@pytest.mark.parametrize("df", [0, -1, 2**24 + 1])
def test_degrees_of_freedom_that_are_none(df):
    with pytest.raises(ValueError, match="df must be 1 to 16777216 for Student's law, got "):
        STUDENT.level(1.0, df)
    with pytest.raises(ValueError, match="df must be 1 to 16777216 for Student's law, got "):
        STUDENT.inverse(1.0, df)


@given(st.integers(1, 2**24) | st.integers(1, 40), st.floats(-9, 9) | st.floats(9, 1e6) | st.floats(-1e300, 1e300))
def test_student_never_falls_step_by_step_of_its_grid(df, z):
    step = max(abs(z), 1.0) * 2.0**-48
    levels = [STUDENT.level(z + k * step, df) for k in range(-60, 61)]
    assert levels == sorted(levels)


@pytest.mark.parametrize("df", DEGREES)
def test_student_never_falls_where_its_ways_meet(df):
    """From the near way to the far one, at 0, and from binade to binade of the grid."""
    for z in [math.sqrt(df * (math.e - 1)), 0.0, *(s * 2.0**k for s in (-1, 1) for k in range(-1, 24))]:
        step = max(abs(z), 1.0) * 2.0**-47
        levels = [STUDENT.level(z + k * step, df) for k in range(-60, 61)]
        assert levels == sorted(levels), z


@pytest.mark.parametrize(("name", "table"), [("normal", "level"), ("logistic", "logistic")])
def test_golden(name, table):
    rows = json.loads((HERE.parent / "golden" / "tail.json").read_text())[table]
    assert len(rows) > 10
    for row in rows:
        if row["z"] >= -8:
            assert CURVED[name].compiled.level(row["z"]) == pytest.approx(float(row["level"]), rel=1e-13), row["z"]


def test_finite_beyond_the_domain(law):
    level = law.compiled.level
    assert level(-1e300) == level(-1e3) >= 0
    assert math.isfinite(level(1.7e308))
    assert math.isnan(level(math.nan))


cells = st.sampled_from([k / 32 + 1 / 64 for k in range(-256, 256)])


@given(st.sampled_from([*CURVED]), st.floats(-9.1, 9.1) | st.floats(-1e300, 1e300) | st.floats(0.9, 1e6) | cells)
def test_levels_never_fall(name, z):
    levels = [CURVED[name].compiled.level(x) for x in neighbours(z, 50)]
    assert levels == sorted(levels)


@pytest.mark.parametrize("name", ["normal", "logistic"])
def test_levels_never_fall_from_cell_to_cell_of_the_grid(name):
    """The tightest places: cell boundaries and the edge to the far form, step by step of the grid."""
    for boundary in [*(np.arange(-255.5, 256) / 32), 8.0]:
        arguments = [boundary + k * 2.0**-47 for k in range(-40, 41)]
        if name == "logistic":
            arguments = [float(oracle.logistic_argument_inverse(8 * mp.mpf(v))) for v in arguments]
        assert (np.diff([CURVED[name].compiled.level(z) for z in arguments]) >= 0).all(), boundary


@given(st.sampled_from([*CURVED]), st.floats(1e-15, 1e290))
def test_inverse_is_the_first_z_that_reaches_the_level(name, level):
    compiled = CURVED[name].compiled
    assume(compiled.level(-8.0) < level < compiled.level(1.7e308))  # Student's stops at 10^150 deviations
    z = compiled.inverse(level)
    assert compiled.level(z) >= level > compiled.level(math.nextafter(z, -math.inf))


@given(st.sampled_from([*CURVED]), st.floats(-7.9, 1e6))
def test_inverse_undoes_level(name, z):
    compiled = CURVED[name].compiled
    z = max(z, CURVED[name].low)
    assume(compiled.level(z) > 0)
    assert compiled.inverse(compiled.level(z)) == pytest.approx(z, rel=1e-12, abs=1e-12)


def test_inverse_golden():
    for row in json.loads((HERE.parent / "golden" / "tail.json").read_text())["inverse"]:
        assert NORMAL.inverse(row["level"]) == pytest.approx(float(row["z"]), rel=1e-13)


@pytest.mark.parametrize(("threshold", "z"), [(8, 5.22599), (10, 5.79902), (12, 6.29212)])
def test_logistic_trips_where_akka_does(threshold, z):
    assert LOGISTIC.inverse(threshold) == pytest.approx(z, abs=5e-6)


def test_cassandra_trips_after_18_means():
    assert EXPONENTIAL.inverse(8) == pytest.approx(18.4207, abs=5e-5)


def test_inverse_where_every_or_no_level_reaches(law):
    inverse = law.compiled.inverse
    assert inverse(0.0) == inverse(-3.0) == -math.inf
    assert inverse(math.inf) == math.inf
    with pytest.raises(ValueError, match="threshold must be a number, got nan"):
        inverse(math.nan)


@given(st.floats(allow_nan=False))
def test_linear_is_lateness_itself(z):
    assert LINEAR.level(z) == LINEAR.inverse(z) == z


@given(st.integers(1, 2000), st.floats(1e-300, 1) | st.fractions(0, 1, max_denominator=2000).map(float))
def test_a_share_is_reached_by_whole_intervals(n, level):
    """The least count whose share, as a double, is the level or more."""
    enough = next(k for k in range(n + 1) if k / n >= level)
    z = SHARE.inverse(level, n - 1)
    assert enough - 1 < z <= enough
    assert SHARE.level(enough, n - 1) == enough / n
    assert SHARE.level(z, n - 1) >= level > SHARE.level(math.nextafter(z, -math.inf), n - 1)


def test_tables_are_what_their_script_makes(tmp_path):
    namespace = {"__name__": "make_tables"}
    exec(compile((SOURCE / "make_tables.py").read_text(), "make_tables.py", "exec"), namespace)
    assert namespace["header"]() == (SOURCE / "special_tables.h").read_text()
    assert mpmath.mp.dps < 60  # the script left the precision as it was
