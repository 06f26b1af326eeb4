"""The shapes that a reproduction of the phi paper must show, on a tenth of the synthetic week.

Each falsifies something: a wrong count of mistakes, a tail that breaks down, observation that starts elsewhere.
"""

import importlib.util
import sys
import xml.etree.ElementTree as ET
from pathlib import Path

import numpy as np
import pytest

import accrual as ac

pytest.importorskip("matplotlib", reason="pip install accrual[lessons]")

SCRIPT = Path(__file__).parents[2] / "examples" / "hayashibara_2004.py"


def imported():
    spec = importlib.util.spec_from_file_location("hayashibara_2004", SCRIPT)
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # its dataclasses look themselves up
    spec.loader.exec_module(module)
    return module


example = imported()


@pytest.fixture(scope="module")
def short_week():
    """With a tenth of the week's bursts and losses, and the same shape of them; the longest is as much shorter."""
    loss = "mixed:bursts=81,lost=2319,squares=404000,longest=346,short=0.69,mean=1.3,least=26,exponent=2.105"
    return ac.synthesize(recipe="paper-week", heartbeats=584_571, loss=loss)


@pytest.fixture(scope="module")
def found(short_week):
    return example.measure(short_week, "short")


def at(line, field, time):
    """A figure at a detection time, between two thresholds."""
    return np.exp(np.interp(time, line.time, np.log(getattr(line, field))))


def test_mistake_rate_falls_to_a_plateau_and_over_a_step(found):
    """To as many mistakes as there are bursts; then, where 2 periods are outlasted, to those of two losses and more."""
    phi = found.phi[example.WINDOW]
    rate = dict(zip(phi.threshold.tolist(), phi.rate, strict=True))
    assert (np.diff(phi.rate) <= 0).all()
    assert rate[0.5] > 1000 * rate[6]
    assert found.plateau == pytest.approx(80 / found.observed, rel=0.03)
    assert rate[6] == pytest.approx(found.plateau, rel=0.1)
    # The fall by decades ends at 5; over 8 to 12 there is another, of what single losses cost.
    assert rate[5] / rate[8] < 1.25 < rate[8] / rate[12]


def test_detection_time_is_concave(found):
    """The quantile of the normal law is; a knee would be a tail that breaks down."""
    phi = found.phi[example.WINDOW]
    assert (np.diff(phi.time) > 0).all()
    assert (np.diff(phi.time, 2) < 0).all()
    # About as the root of Phi where it is large.
    growth = (phi.time[-1] - phi.time[0]) / (phi.time[15] - phi.time[0])
    assert 1.2 < growth < np.sqrt(phi.threshold[-1] / phi.threshold[15]) + 0.2


@pytest.mark.parametrize("threshold", example.FIXED_PHI)
def test_a_longer_window_errs_less_and_detects_later(found, threshold):
    k = int(np.flatnonzero(threshold == example.PHI)[0])
    rates, times = np.array([(line.rate[k], line.time[k]) for line in found.phi.values()]).T
    assert (np.diff(rates) <= 0.02 * rates[:-1]).all()  # no two windows see the same intervals
    assert rates[-1] < rates[0]
    assert (np.diff(times) > 0).all()


def test_at_equal_detection_time_a_longer_window_errs_more(found):
    """Bursts of losses make the deviation, and so the timeout: the third experiment is not a matched comparison."""
    rates = [at(found.phi[window], "rate", 0.3) for window in (100, 1000, 10_000)]
    assert rates[0] < rates[1] < rates[2]


def test_phi_and_chen_fall_and_meet_beyond_two_periods(found):
    """Where nothing but bursts is left to err on, all detectors count the same."""
    phi = found.phi[example.WINDOW]
    assert at(found.chen, "rate", 0.28) < at(phi, "rate", 0.28)
    assert at(found.chen, "rate", 0.45) < found.plateau
    assert at(phi, "rate", 0.46) == pytest.approx(at(found.chen, "rate", 0.46), rel=0.5)
    assert at(phi, "rate", 0.28) > 20 * at(phi, "rate", 0.46)


def test_bertier_is_a_quick_point_that_errs_often(found):
    assert len(found.bertier.rate) == 1
    assert found.bertier.time[0] < 0.3
    assert found.bertier.rate[0] > 5 * found.plateau


def test_mistakes_that_are_left_are_long(found):
    """The mean duration rises with Phi, for only long silences remain: the rate alone flatters a high threshold."""
    phi = found.phi[example.WINDOW]
    assert phi.duration[-1] > phi.duration[15] > phi.duration[7] > phi.duration[0]


def test_what_is_drawn_says_what_it_is(found, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(example, "measure", lambda trace, name: example.Experiments(**(vars(found) | {"name": name})))
    monkeypatch.setattr(ac, "load", lambda name: ac.Trace([0, 1], source="synthetic"))
    example.main(["synthetic-paper-week", "-o", str(tmp_path / "week.svg")])
    text = " ".join(ET.parse(tmp_path / "week.svg").getroot().itertext())
    assert "synthetic, not the paper's data" in text
    assert "no fair comparison" in text
    assert "synthetic, not the paper's data" in capsys.readouterr().out


def test_on_a_recording(tmp_path, capsys):
    pytest.importorskip("pyarrow")
    example.main(["idle", "-o", str(tmp_path / "idle.png")])
    assert (tmp_path / "idle.png").stat().st_size > 50_000
    assert "idle (recorded)" in capsys.readouterr().out
    ac.load("idle")[:5000].write(tmp_path / "short.csv")
    with pytest.raises(SystemExit):
        example.main([str(tmp_path / "short.csv")])
    assert "5,000 heartbeats are too few" in capsys.readouterr().err
