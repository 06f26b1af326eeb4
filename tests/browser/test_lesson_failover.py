"""Lesson 9 in JupyterLab, in a real browser: timelines stepped through, sliders moved, numbers the library's."""

import numpy as np
import pytest

from accrual.detectors import FixedTimeout
from accrual.lab import recorded
from accrual.recovery import Cluster, Crash, simulate
from accrual.show import failover
from accrual.show.scrubber import story_of_run

pytestmark = pytest.mark.browser


@pytest.fixture(scope="module")
def lesson(open_lesson):
    lesson = open_lesson("09_failover.ipynb")
    lesson.cells = lesson.run_all()
    return lesson


def test_every_cell_ran(lesson):
    lesson.check_every_cell_ran()


def test_the_timeline_goes_there_and_back(lesson):
    cluster = Cluster(nodes=4, detector=FixedTimeout(period=0.1), threshold=5, clients=4, rate=100)
    told = story_of_run(simulate(cluster, [Crash(at=2)], seconds=4, seed=1), begin=1.8, end=2.8)
    widget = lesson.widget("scrubber")
    on, back = (widget.root.get_by_label(name) for name in ("One event on", "One event back"))
    widget.press("at", "Home")
    where = lesson.active_cell()

    def as_told(at):
        assert widget["at"] == pytest.approx(at)
        assert widget["happened"] == len(told.upto(at))
        assert [widget.text(f"state-{k}") for k in range(len(told.lanes))] == list(told.states(at).values())

    for at in told.stops[1:]:
        on.press("Enter")
        as_told(at)
    on.press("Enter")  # beyond the end
    as_told(told.end)
    for at in reversed(told.stops[:-1]):
        back.press("Space")
        as_told(at)
    for key in ("End", "ArrowLeft", "PageDown", "Home", "ArrowRight"):
        widget.press("at", key)
        as_told(widget["at"])
    widget.root.locator("ol.events button").nth(3).press("Enter")
    as_told(told.events[3].at)
    assert f"{told.events[3].who}: {told.events[3].what}" in widget.spoken("at")
    assert lesson.active_cell() == where


def test_what_happened_is_said_aloud_after_a_step_alone(lesson):
    """After a slide the slider's own text says it."""
    widget = lesson.widget("scrubber")
    said = widget.root.locator("p.newest-event")
    widget.press("at", "Home")
    assert said.get_attribute("aria-live") == "off"
    widget.root.get_by_label("One event on").press("Enter")
    assert said.get_attribute("aria-live") == "polite"
    widget.press("at", "ArrowRight")
    assert said.get_attribute("aria-live") == "off"


def test_every_state_is_named_in_the_picture(lesson):
    """In a lane, where there is room, else below the lanes."""
    widget = lesson.widget("scrubber", 3)
    for name in ("quorum", "terms"):
        widget.root.locator('[data-choice="shown"]').select_option(name)
        drawn = {kind.split()[1] for kind in widget.root.locator("svg .state").evaluate_all(
            "all => all.map(one => one.getAttribute('class'))")}  # fmt: skip
        words = set(widget.root.locator("svg text").all_text_contents())
        assert drawn <= words
        assert ("unknown" if name == "quorum" else "lost") in drawn


def test_trials_of_the_lab(lesson):
    """The recorded ones: nothing has run here. Both are from the fault on."""
    button = lesson.widget("run-lab")
    assert button.text("lab") == "failover"
    assert button.text("recorded") == "true"
    assert button.text("phase") in ("ready", "lacking")
    for number, name in ((1, "failover"), (4, "failover-stop")):
        widget = lesson.widget("scrubber", number)
        for driver, told in failover.trials(recorded(name)).found.items():
            widget.root.locator('[data-choice="shown"]').select_option(driver)
            assert widget["at"] == told.begin == -0.5
            widget.root.get_by_label("To the end").press("Enter")
            assert [widget.text(f"state-{k}") for k in range(3)] == list(told.states(told.end).values())[:3]
        widget.root.locator('[data-choice="shown"]').select_option("sentinel")


def test_stories_are_chosen(lesson):
    fences = lesson.widget("scrubber", 3)
    fences.root.locator('[data-choice="shown"]').select_option("terms")
    assert fences.text("shown") == "terms"
    fences.root.get_by_label("To the end").press("Enter")
    assert fences["happened"] == fences["events"] > 5
    for name, at in (("nothing", "End"), ("quorum", "Home")):
        fences.root.locator('[data-choice="shown"]').select_option(name)
        fences.press("at", at)
        assert fences.text("shown") == name
        assert fences["at"] == {"End": 7.5, "Home": 1.5}[at]


def test_needless_failovers(lesson):
    widget = lesson.widget("needless")
    for who in failover.DECIDES:
        widget.root.locator('[data-choice="decides"]').select_option(who)
        for key, at in (("Home", 0), ("End", -1), ("ArrowLeft", -2)):
            widget.press("phi", key)
            widget.press("k", key)
            for name, detector, stops in (
                ("phi", failover.PhiNormal(window=100), failover.PHIS),
                ("fixed", failover.FixedTimeout(period=0.1), failover.KS),
            ):
                found = failover.price(detector, stops[at], who)
                assert widget[f"{name}-needless"] == found.needless
                assert widget[f"{name}-lost"] == found.lost
                assert widget[f"{name}-detection"] == pytest.approx(found.detection)
            assert "needless failover" in widget.spoken("phi")
    widget.root.locator('[data-choice="decides"]').select_option("one backup")


def test_split_votes(lesson):
    widget = lesson.widget("split-votes")
    for key, at in (("Home", 0), ("End", -1), ("ArrowLeft", -2)):
        widget.press("range", key)
        found = failover.split_votes(failover.RANGES[at])
        assert widget["range"] == found.range
        assert widget["split"] == found.split
        assert widget["median"] == pytest.approx(np.median(found.elections))
    others = widget.root.locator("svg .others").evaluate_all("all => all.map(one => getComputedStyle(one).fill)")
    assert others == ["none"] * (len(failover.RANGES) - 1)


def test_wait_or_promote(lesson):
    widget = lesson.widget("wait-or-promote")
    for name, lasts in failover.outages().items():
        widget.root.locator('[data-choice="shown"]').select_option(name)
        for key in ("End", "Home", "ArrowRight", "PageUp"):
            for slider in ("wait", "penalty", "permanent"):
                widget.press(slider, key)
            at = {"failover": 2.0, "penalty": widget["penalty"], "permanent": widget["permanent"]}
            cost = failover.waiting_cost(lasts, failover.WAITS, **at)
            assert widget["cost"] == pytest.approx(cost.cost[failover.WAITS.index(widget["wait"])])
            assert widget["best"] == cost.best
    widget.root.locator('[data-choice="shown"]').select_option("many short, a few long")
    widget.press("wait", "Home")
    assert widget.spoken("wait").startswith("Waiting 0 s: ")
    widget.press("penalty", "Home", *["ArrowRight"] * failover.PENALTIES.index(30))
    widget.press("permanent", "Home", *["ArrowRight"] * failover.PERMANENT.index(0.1))


def test_screenshots(lesson, artefacts):
    lesson.screenshots(artefacts)


def test_nothing_on_the_console_and_nothing_from_elsewhere(lesson):
    """The last test: of all that was done before."""
    lesson.was_quiet()
