"""The laws against mpmath: accuracy, order, inverse, and the tables that they rest on."""

import json
import math
import re
from pathlib import Path

import mpmath as mp
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from oracle import normal_level

from accrual.core import engine

HERE = Path(__file__).parent
SOURCE = HERE.parents[1] / "accrual" / "core"
NORMAL = engine.Detector(law="normal", window=10, min_samples=1)
LINEAR = engine.Detector(law="linear", scale=1e9)


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


@pytest.mark.parametrize(("low", "high", "trials", "peak", "rms"), stated_accuracy("normal_far_level"))
def test_normal_accuracy_is_as_stated(low, high, trials, peak, rms):
    rng = np.random.default_rng(20041018)
    trials = int(trials) // 10  # the comment's table is from ten times as many
    points = np.exp(rng.uniform(math.log(low), math.log(high), trials)) if low > 0 else rng.uniform(low, high, trials)
    errors = np.array([float(NORMAL.level(z) / normal_level(z) - 1) for z in points])
    print(f"{low:g} .. {high:g}: peak {abs(errors).max():.2g}, rms {np.sqrt(np.mean(errors**2)):.2g}")
    assert abs(errors).max() <= peak < 1e-13
    assert np.sqrt(np.mean(errors**2)) <= rms * 1.1


def test_normal_golden():
    rows = json.loads((HERE.parent / "golden" / "tail.json").read_text())["level"]
    assert len(rows) > 10
    for row in rows:
        if row["z"] >= -8:
            assert NORMAL.level(row["z"]) == pytest.approx(float(row["level"]), rel=1e-13), row["z"]


def test_normal_is_finite_and_flat_beyond_its_domain():
    assert NORMAL.level(-1e300) == NORMAL.level(-8.0) > 0
    assert math.isfinite(NORMAL.level(1e308))
    assert math.isnan(NORMAL.level(math.nan))


@given(st.floats(-9, 9) | st.floats(-1e300, 1e300) | st.sampled_from([k / 32 + 1 / 64 for k in range(-256, 256)]))
def test_normal_never_falls(z):
    levels = [NORMAL.level(x) for x in neighbours(z, 50)]
    assert levels == sorted(levels)


def test_normal_never_falls_from_cell_to_cell_of_its_grid():
    """The tightest places: cell boundaries and the edge to the far form, step by step of the grid."""
    for boundary in [*(np.arange(-255.5, 256) / 32), 8.0]:
        z = boundary + np.arange(-40, 41) * 2.0**-47
        levels = [NORMAL.level(x) for x in z]
        assert (np.diff(levels) >= 0).all(), boundary


@given(st.floats(1e-15, 1e290))
def test_inverse_is_the_first_z_that_reaches_the_level(level):
    z = NORMAL.inverse(level)
    below = math.nextafter(z, -math.inf)
    assert NORMAL.level(z) >= level > NORMAL.level(below)


@given(st.floats(-7.9, 1e6))
def test_inverse_undoes_level(z):
    assert NORMAL.inverse(NORMAL.level(z)) == pytest.approx(z, rel=1e-12, abs=1e-12)


def test_inverse_golden():
    for row in json.loads((HERE.parent / "golden" / "tail.json").read_text())["inverse"]:
        assert NORMAL.inverse(row["level"]) == pytest.approx(float(row["z"]), rel=1e-13)


def test_inverse_where_every_or_no_level_reaches():
    assert NORMAL.inverse(0.0) == NORMAL.inverse(-3.0) == -math.inf
    assert NORMAL.inverse(math.inf) == math.inf
    with pytest.raises(ValueError, match="threshold must be a number, got nan"):
        NORMAL.inverse(math.nan)


@given(st.floats(allow_nan=False))
def test_linear_is_lateness_itself(z):
    assert LINEAR.level(z) == LINEAR.inverse(z) == z


def test_tables_are_what_their_script_makes(tmp_path):
    namespace = {"__name__": "make_tables"}
    exec(compile((SOURCE / "make_tables.py").read_text(), "make_tables.py", "exec"), namespace)
    assert namespace["header"]() == (SOURCE / "special_tables.h").read_text()
    assert mp.mp.dps < 60  # the script left the precision as it was
