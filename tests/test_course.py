"""Checks of exercises: right by any road, a hint where wrong, the answer never given away, nothing ever raised."""

import math
import statistics
import sys
from decimal import Decimal
from fractions import Fraction

import numpy as np
import pytest
from scipy import stats

import accrual as ac
from accrual import course
from accrual.course import check


def verdict(capsys, question, *answer):
    assert check(question, *answer) is None
    return " ".join(capsys.readouterr().out.split())


def by_hand(intervals):
    mean = sum(intervals) / len(intervals)
    return [mean, (sum((x - mean) ** 2 for x in intervals) / len(intervals)) ** 0.5]


def from_the_density(t, mean, deviation):
    """By the trapezoidal rule, out to 12 deviations."""
    x = np.linspace(t, mean + 12 * deviation, 200_001)
    density = np.exp(-(((x - mean) / deviation) ** 2) / 2) / (deviation * math.sqrt(2 * math.pi))
    return np.trapezoid(density, x)


def threshold_for(rate):
    curve = ac.curve(ac.load("contended"), ac.PhiNormal(window=1000), np.geomspace(0.5, 1000, 500), skip=5000)
    return curve.thresholds[curve.mistake_rate <= rate][0]


RIGHT = {
    "03.1": [9, 9.0, np.int64(9), np.array(9), Fraction(9), Decimal(9), "9"],
    "03.2": [
        by_hand,
        lambda x: (np.mean(x), np.std(x)),
        lambda x: np.array([x.mean(), x.var() ** 0.5]),
        lambda x: (statistics.fmean(x), statistics.pstdev(x)),
        lambda x: (np.mean(x), math.sqrt(np.mean(x * x) - np.mean(x) ** 2)),
    ],
    "03.3": [
        lambda t, m, s: 0.5 * math.erfc((t - m) / (s * math.sqrt(2))),
        lambda t, m, s: 1 - 0.5 * (1 + math.erf((t - m) / s / math.sqrt(2))),
        lambda t, m, s: 1 - statistics.NormalDist(m, s).cdf(t),
        stats.norm.sf,
        from_the_density,
    ],
    "03.4": [10**-2.5, 0.0032, 0.00316, np.float32(0.00316)],
    "03.5": [1.95, 2, 1.8, Fraction(39, 20)],
}
WRONG = {
    "03.1": [10, 8, 11, 1, 0, -9, 9.5, math.nan, math.inf, "nine", [9, 9], {}, print, 9j],
    "03.2": [
        3,
        (1, 2),
        lambda x: None,
        lambda x: 0,
        lambda x: (0, 0),
        lambda x: (1, 2, 3),
        lambda x: ("a", "b"),
        lambda x: (x.mean(), x.std(ddof=1)),
        lambda x: (x.mean(), x.var()),
        lambda x: (x.std(), x.mean()),
        lambda x: (x.mean(), x.mean()),
        lambda: 1,
        lambda x: 1 / 0,
        lambda x: sys.exit(),
    ],
    "03.3": [
        0.5,
        lambda t, m, s: 0.5,
        lambda t, m, s: 0.5 * (1 + math.erf((t - m) / s / math.sqrt(2))),
        lambda t, m, s: math.erfc((t - m) / s),
        lambda t, m, s: ...,
        lambda t, m, s: math.nan,
        lambda t: t,
    ],
    "03.4": [0.1, 0.316, 316, math.exp(-2.5), 2.5, -0.00316, 0.005, (1, 2)],
    "03.5": [1, 0.001, 4.2, 0.00195, 0.195, 1.2, math.nan, "two"],
    "03.6": [0, -1, math.nan, math.inf, 1e-3, 1e6, None.__class__, "high"],
}


def test_every_question_is_tested_here():
    assert set(WRONG) == set(course._QUESTIONS)
    assert set(RIGHT) | {"03.6"} == set(WRONG)


@pytest.mark.parametrize(("question", "answer"), [(q, a) for q, answers in RIGHT.items() for a in answers])
def test_right_by_any_road(capsys, question, answer):
    assert verdict(capsys, question, answer).startswith(f"{question} ✓ right.")


@pytest.mark.parametrize(("question", "answer"), [(q, a) for q, answers in WRONG.items() for a in answers])
def test_wrong_gets_a_hint(capsys, question, answer):
    said = verdict(capsys, question, answer)
    assert said.startswith(f"{question} ✗ not yet. ")
    assert len(said) > 40


@pytest.mark.parametrize("question", WRONG)
@pytest.mark.parametrize("nothing", [(), (None,), (...,)], ids=str)
def test_no_answer_yet_is_no_mistake(capsys, question, nothing):
    assert verdict(capsys, question, *nothing).startswith(f"{question} … no answer yet. ")


def test_the_smallest_threshold_on_the_recording(capsys):
    smallest = threshold_for(0.1)
    for answer in (smallest, float(smallest), smallest * 1.1):
        assert "✓" in verdict(capsys, "03.6", answer)
    for answer in (smallest / 1.5, smallest * 1.5):
        assert "✗" in verdict(capsys, "03.6", answer)


@pytest.mark.parametrize(("question", "given_away"), [("03.1", "9"), ("03.4", "0.003"), ("03.5", "1.9")])
def test_hints_do_not_give_the_answer_away(capsys, question, given_away):
    for answer in [None, *WRONG[question]]:
        assert given_away not in verdict(capsys, question, answer).removeprefix(question).replace(str(answer), "")


@pytest.mark.parametrize("question", ["03.99", "", None, 3.1, ["03.1"]])
def test_an_unknown_question_lists_those_there_are(capsys, question):
    assert "03.1" in verdict(capsys, question, 9)


def test_the_next_hint_after_a_naive_tail(capsys):
    naive, careful = RIGHT["03.3"][1], RIGHT["03.3"][0]
    assert "returns 0" in verdict(capsys, "03.3", naive)
    assert "returns 0" not in verdict(capsys, "03.3", careful)
