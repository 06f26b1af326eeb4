"""Lesson 2 in JupyterLab, in a real browser: sliders moved by the keyboard, numbers compared with the library's."""

import pytest
from browser.scores import shows

import accrual as ac
from accrual.show import fixed

pytestmark = pytest.mark.browser


@pytest.fixture(scope="module")
def lesson(open_lesson):
    lesson = open_lesson("02_fixed_timeout.ipynb")
    lesson.cells = lesson.run_all()
    return lesson


def test_every_cell_ran(lesson):
    lesson.check_every_cell_ran()


def test_a_crash_by_keyboard_and_by_hand(lesson):
    widget = lesson.widget("crash-timeline")
    transit = 0.03

    def is_noticed():
        story = fixed.crash(widget["crash"], widget["period"], widget["k"], transit)
        assert widget["heartbeats"] == len(story.sent)
        assert widget["suspected"] == pytest.approx(story.suspected, abs=1e-9)
        assert widget["detection"] == pytest.approx(story.detection_time, abs=1e-9)
        worst, uniform = fixed.crash_bounds(widget["period"], widget["k"], transit)
        assert (widget["worst"], widget["uniform"]) == (worst, uniform)
        return widget["detection"]

    where = None
    assert is_noticed() == 1.03
    for name, keys, expected in (
        ("stop", ["ArrowRight"] * 19, 0.84),
        ("stop", ["ArrowRight"], 1.03),  # just after the next heartbeat
        ("k", ["ArrowLeft"] * 2, 0.63),
        ("period", ["End"], 3.03),
        ("period", ["Home"], 0.33),
        ("k", ["End"], 1.03),
        ("stop", ["ArrowLeft"], 0.935),
    ):
        widget.press(name, *keys)
        where = where or lesson.active_cell()
        assert is_noticed() == pytest.approx(expected)
        assert "detected in" in widget.spoken(name)
    assert lesson.active_cell() == where  # no key went to the notebook

    picture = widget.root.locator("svg.crashing")
    picture.scroll_into_view_if_needed()
    box = picture.bounding_box()
    widget.press("stop", "Home")
    before = widget["crash"]
    page = lesson.page
    page.mouse.move(box["x"] + box["width"] * 0.2, box["y"] + box["height"] * 0.2)
    page.mouse.down()
    page.mouse.move(box["x"] + box["width"] * 0.33, box["y"] + box["height"] * 0.2, steps=5)
    page.mouse.up()
    assert widget["crash"] > before
    is_noticed()
    dragged = widget["crash"]
    page.mouse.move(box["x"] + box["width"] * 0.2, box["y"] + box["height"] * 0.2)  # no button: no drag
    assert widget["crash"] == dragged


def test_topologies(lesson):
    widget = lesson.widget("topologies")
    for name in fixed.TOPOLOGIES:
        widget.root.locator(f'[data-choice="arrangement"][value="{name}"]').check()
        widget.press("nodes", "End", "ArrowLeft")
        kind = fixed.topology(name, 20)
        assert widget.text("arrangement") == name
        assert widget["nodes"] == 20
        assert (widget["messages"], widget["busiest"]) == (kind.messages, kind.busiest)
        assert (widget["watchers"], widget["rounds"]) == (kind.watchers, kind.rounds)
        assert widget["rate"] == kind.messages / 0.2
        assert fixed.TOPOLOGIES[name] in widget.spoken("nodes")
    widget.root.locator('[data-choice="arrangement"][value="gossip"]').focus()
    lesson.page.keyboard.press("ArrowUp")
    assert widget.text("arrangement") == "mesh"
    widget.press("nodes", "Home", "ArrowRight", "ArrowRight")


def test_k_and_the_period_on_a_recording(lesson):
    widget = lesson.widget("k-times-t")
    contended = ac.load("contended")
    for name, key in (
        (None, None),
        ("k", "ArrowRight"),
        ("k", "Home"),
        ("period", "ArrowRight"),
        ("k", "End"),
        ("period", "End"),
        ("k", "ArrowLeft"),
        ("period", "Home"),
    ):
        if key:
            widget.press(name, key)
        k, period, every = widget["fixed-k"], widget["fixed-period"], int(widget["every"])
        assert period == pytest.approx(0.01 * every)
        found = ac.qos(fixed.thinned(contended, every), ac.FixedTimeout(period=period), k)
        assert shows(widget, "fixed", found)
        assert widget["fixed-detection-time-uniform"] == found.detection_time_uniform
        assert widget["fixed-timeout"] == k * period
        assert widget["rate"] == pytest.approx(1 / period)
        if name:
            assert f"{found.mistakes:,} mistake" in widget.spoken(name)
    assert (k, period) == (75, 0.01)
    widget.press("k", "Home", *["ArrowRight"] * 9)
    widget.press("period", *["ArrowRight"] * 3)
    assert widget["fixed-timeout"] == 1


def test_screenshots(lesson, artefacts):
    lesson.screenshots(artefacts)


def test_nothing_on_the_console_and_nothing_from_elsewhere(lesson):
    """The last test: of all that was done before."""
    lesson.was_quiet()
