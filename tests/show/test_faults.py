"""The stories and widgets of lesson 1, against closed forms and what a story must be."""

import numpy as np
import pytest

from accrual.show import faults


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
        # of two, each down with this chance by itself: fails once in 720 h, repaired in 1 h
        1 - ((1 - np.exp(-24 * np.array(widget.days) * 721 / 720)) / 721) ** 2,
        abs=1e-12,
    )
    assert widget.isolated[1]["outage"] == pytest.approx(45 * 86_400)
    widget.nodes, widget.repair = 0, 100
    assert (widget.nodes, widget.repair) == (1, len(widget.repairs) - 1)
    assert repr(widget) == (
        "Recovery(1 node, repaired in 30 days: after a year 50 % in service, isolated only 0.00052 %)"
    )
