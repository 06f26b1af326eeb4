"""The numbers behind the widgets of lesson 1, against generator matrices, fractions and what a story must be."""

import math
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.linalg import expm

from accrual.show import faults

times = st.floats(1e-3, 1e9)


@given(times, times)
def test_availability(mttf, mttr):
    found = faults.availability(mttf, mttr)
    share = Fraction(mttf) / (Fraction(mttf) + Fraction(mttr))
    assert found.share == pytest.approx(float(share), rel=1e-15)
    assert found.unavailability == pytest.approx(float(1 - share), rel=1e-15)
    assert 10**-found.nines == pytest.approx(found.unavailability, rel=1e-12)
    assert found.downtime == pytest.approx(faults.YEAR * found.unavailability)
    assert found.failures * mttr == pytest.approx(found.downtime)


def test_the_nines_that_everybody_knows():
    """99.9, 99.99 and 99.999 % are 526, 52.6 and 5.26 minutes a year."""
    for nines, minutes in ((3, 526), (4, 52.6), (5, 5.26)):
        found = faults.availability(mttf=10**nines - 1, mttr=1)
        assert found.nines == pytest.approx(nines)
        assert found.downtime / 60 == pytest.approx(minutes, rel=1e-3)


@pytest.mark.parametrize("bad", [0, -1, math.nan, math.inf])
def test_a_time_must_be_one(bad):
    with pytest.raises(ValueError, match=r"mttf must be a time above 0"):
        faults.availability(bad, 1)
    with pytest.raises(ValueError, match=r"mttr must be a time above 0"):
        faults.availability(1, bad)
    with pytest.raises(ValueError, match=r"mttf must be a time above 0"):
        faults.service(3, bad, 1, [1])


def generator(nodes, mttf, mttr):
    """The rates between 0, 1, ... nodes at work, each failing and repaired by itself."""
    rates = np.zeros((nodes + 1, nodes + 1))
    for working in range(nodes + 1):
        if working > 0:
            rates[working, working - 1] = working / mttf
        if working < nodes:
            rates[working, working + 1] = (nodes - working) / mttr
    return rates - np.diag(rates.sum(axis=1))


@pytest.mark.parametrize("nodes", [1, 2, 3, 5])
@pytest.mark.parametrize("mttr", [0.5, 7.0, 30.0, math.inf])
def test_service_and_time_to_outage_against_the_generator(nodes, mttr):
    rates = generator(nodes, 30.0, mttr)
    at = [0.0, 0.1, 3.0, 30.0, 365.0]
    found = faults.service(nodes, 30.0, mttr, at)
    assert found == pytest.approx([1 - expm(rates * t)[nodes, 0] for t in at], abs=1e-12)
    outage = np.linalg.solve(-rates[1:, 1:], np.ones(nodes))[-1]
    assert faults.time_to_outage(nodes, 30.0, mttr) == pytest.approx(outage, rel=1e-9)


def test_a_pair_under_repair():
    """MTTF^2 / (2 MTTR) where repairs are short."""
    assert faults.time_to_outage(2, 1000, 1) == pytest.approx(1000**2 / 2, rel=0.01)


@pytest.mark.parametrize(
    ("nodes", "mttr", "says"), [(0, 1, "nodes"), (-2, 1, "nodes"), (2, 0, "mttr"), (2, -1, "mttr")]
)
def test_a_cluster_must_be_one(nodes, mttr, says):
    with pytest.raises(ValueError, match=f"{says} must be"):
        faults.time_to_outage(nodes, 30, mttr)


def test_silence_looks_alike_until_it_ends():
    told = faults.stories()
    names = [story.name for story in told]
    for story in told:
        assert [n for n, _, _ in story.heartbeats] == list(range(1, len(story.heartbeats) + 1))
        assert all(arrives is None or arrives > sent for _, sent, arrives in story.heartbeats)
        assert story.seen(faults.STRIKES) == [(n + 0.04, n) for n in range(1, 11)]
        for at in np.arange(0, faults.ENDS, 0.5):
            assert faults.fitting(told, story, at) == names
    ends = {story.name: faults.fitting(told, story, 60) for story in told}
    assert ends.pop("crash") == ends.pop("cut cable") == ["crash", "cut cable"]
    assert ends == {name: [name] for name in ends}


def test_what_gives_a_peer_away():
    told = {story.name: story for story in faults.stories()}
    after = {name: [seen for seen in story.seen(60) if seen[0] > faults.ENDS] for name, story in told.items()}
    assert after["crash"] == after["cut cable"] == []
    assert after["partition"][0][1] == 31  # a hole in the numbers
    assert after["pause"][0] == after["slow network"][0] == (pytest.approx(faults.ENDS + 0.04), 11)
    pause, slow = (np.diff([at for at, _ in after[name]]) for name in ("pause", "slow network"))
    assert pause == pytest.approx(np.ones(len(pause)))
    assert slow[:15] == pytest.approx(np.full(15, 0.05))  # a queue empties
    assert [n for _, n in after["slow network"]] == list(range(11, 60))
    # Half a second in which even the return leaves two explanations.
    assert faults.fitting(list(told.values()), told["pause"], 30.5) == ["pause", "slow network"]


def test_the_nines_widget():
    widget = faults.Nines()
    for row, (mttf, _) in zip(widget.table, faults._FAILURE_TIMES, strict=True):
        for found, (mttr, _) in zip(row, faults._REPAIR_TIMES, strict=True):
            assert found["unavailability"] == pytest.approx(mttr / (mttf + mttr))
    widget.mttf, widget.mttr = 99, -5
    assert (widget.mttf, widget.mttr) == (len(widget.stops["mttf"]) - 1, 0)
    assert repr(widget).startswith("Nines(works for 10 years, repaired in 1 s: 100 % available")


def test_the_game_has_every_case_once():
    for seed in range(3):
        widget = faults.WhichFailed(seed=seed)
        assert sorted(case["name"] for case in widget.cases) == sorted(widget.names)
    widget.case, widget.stop = 7, 1000
    assert (widget.case, widget.times[widget.stop]) == (4, 60)
    widget.stop = 0
    assert repr(widget) == "WhichFailed(case 5 of 5 after 0 s: 0 heartbeats, 5 explanations fit)"


def test_the_recovery_widget():
    widget = faults.Recovery()
    widget.nodes, widget.repair = 2, 1
    assert widget.recovered[1][1]["service"] == pytest.approx(
        1 - np.array([expm(generator(2, 30 * 24, 1) * day * 24)[2, 0] for day in widget.days]), abs=1e-12
    )
    assert widget.isolated[1]["outage"] == pytest.approx(45 * 86_400)
    widget.nodes, widget.repair = 0, 100
    assert (widget.nodes, widget.repair) == (1, len(widget.repairs) - 1)
    assert repr(widget) == (
        "Recovery(1 node, repaired in 30 days: after a year 50 % in service, isolated only 0.00052 %)"
    )
