"""Lesson 8 in JupyterLab, in a real browser: sliders moved by the keyboard, numbers compared with the library's."""

import math

import numpy as np
import pytest

import accrual as ac
import accrual.isolation as iso
from accrual.show import users

pytestmark = pytest.mark.browser


@pytest.fixture(scope="module")
def lesson(open_lesson):
    lesson = open_lesson("08_users_and_shards.ipynb")
    lesson.cells = lesson.run_all()
    return lesson


def test_every_cell_ran(lesson):
    lesson.check_every_cell_ran()


def test_who_is_hit(lesson):
    widget = lesson.widget("who-is-hit")
    for name, keys, at, after in (
        (None, (), 10.0, math.inf),
        ("time", ["End"], 60.0, math.inf),
        ("ejected", ["Home"], 60.0, 0.3),
        ("ejected", ["ArrowRight"], 60.0, 1.0),
        ("time", ["Home", "ArrowRight"], 0.5, 1.0),
        ("ejected", ["End"], 0.5, math.inf),
        ("time", ["PageUp"], 6.5, math.inf),
    ):
        if name:
            widget.press(name, *keys)
        assert widget["at"] == at
        assert widget.text("after") == ("nan" if after == math.inf else f"{after:g}")
        for ours, route in (("turns", "round-robin"), ("sticky", "sticky")):
            run = users.first_failures(route, after)
            hit = sum(when is not None and when <= at for when in run["first"])
            assert widget[f"{ours}-users"] == hit
            failed, asked = (sum(when <= at for when in run[kind]) for kind in ("failed", "asked"))
            assert widget[f"{ours}-failed"] == failed
            assert widget[f"{ours}-share"] == pytest.approx(failed / asked)
        shown = widget.root.locator("circle.hit").count()
        assert shown == widget["turns-users"] + widget["sticky-users"]
        if name:
            assert "users of 1,000 hit" in widget.spoken(name)
    active = lesson.active_cell()
    widget.root.get_by_label("half a second back").click()
    assert widget["at"] == 6.0
    widget.root.get_by_label("half a second on").focus()
    lesson.page.keyboard.press("Enter")
    assert widget["at"] == 6.5
    assert lesson.active_cell() == active  # no key went to the notebook
    widget.press("time", "End")


def test_shards(lesson):
    widget = lesson.widget("shard-load")
    for name, keys in (
        (None, ()),
        ("killed", ["End"]),
        ("shards", ["End"]),
        ("killed", ["End"]),
        ("skew", ["Home"]),
        ("shards", ["Home"]),
        ("shards", ["ArrowRight"] * 7),
        ("skew", ["ArrowRight"] * 2),
        ("killed", ["Home"]),
    ):
        if name:
            widget.press(name, *keys)
        n, skew = int(widget["n"]), widget["skew"]
        spread = iso.assign("shards", 1000, n)
        asked = spread.load(iso.activity(1000, skew))
        order = np.argsort(-asked, kind="stable")
        killed = int(widget["killed"])
        ended = np.arange(n) == order[killed]
        assert widget["cut"] == len(spread.cut_off(ended))
        assert widget["lost"] == pytest.approx(asked[ended][0])
        assert widget["hottest"] == pytest.approx(asked.max())
        assert widget["fullest"] == pytest.approx(1000 * spread.load().max())
        if name:
            assert f"{len(spread.cut_off(ended)):,} user" in widget.spoken(name)
    assert (n, skew, killed) == (20, 1.0, 0)
    assert round(100 * widget["lost"], 1) == 16.6  # as the text says


def test_shuffle_shards(lesson):
    widget = lesson.widget("shuffle-shards")
    for name, keys in (
        (None, ()),
        ("needs", ["ArrowRight"]),
        ("workers", ["ArrowRight"] * 2),
        ("size", ["End"]),
        ("needs", ["End"]),
        ("workers", ["End"]),
        ("size", ["Home"]),
        ("workers", ["Home"]),
        ("size", ["ArrowRight"]),
        ("needs", ["Home"]),
    ):
        if name:
            widget.press(name, *keys)
        n, size, needs = (int(widget[of]) for of in ("n", "size", "needs"))
        assert needs <= size
        plan = iso.plan_shards(1000, n, size, needs)
        counts = users.overlap_counts(n, size)
        assert widget["combinations"] == math.comb(n, size)
        assert widget["plain"] == pytest.approx(plan.others_plain)
        assert widget["shuffled"] == pytest.approx(plan.others_shuffled)
        assert widget["counted"] == pytest.approx(counts[size - needs + 1 :].sum() / counts.sum() * 999)
        assert widget["same-counted"] == counts[-1]
        assert widget["same"] == pytest.approx(1 / math.comb(n, size))
        if name:
            assert "shuffle shards" in widget.spoken(name)
    assert (n, size, needs) == (8, 2, 1)


def test_canaries(lesson):
    widget = lesson.widget("canaries")
    for name, keys in (
        (None, ()),
        ("share", ["Home"]),
        ("bug", ["ArrowLeft"] * 4),
        ("share", ["End"]),
        ("bug", ["Home"]),
        ("bug", ["End"]),
        ("share", ["ArrowLeft"] * 4),
    ):
        if name:
            widget.press(name, *keys)
        found = users.canaries(widget["share"], widget["bug"])
        assert widget["hurt"] == pytest.approx(found["mean"])
        assert widget["taken-back"] == found["taken_back"]
        if found["detection"] is None:
            assert widget.text("detection") == "nan"
        else:
            assert widget["detection"] == pytest.approx(found["detection"])
        assert widget["alone"] == pytest.approx(users.canaries(widget["share"], widget["bug"], 1e9)["mean"])
        if name:
            assert "users hurt on average" in widget.spoken(name)


def test_ejection(lesson):
    widget = lesson.widget("ejection")
    for fleet in users.FLEETS:
        widget.root.locator('[data-choice="shown"]').select_option(fleet)
        for key in ("Home", "End", *["ArrowLeft"] * 10):
            widget.press("threshold", key)
        assert widget.text("shown") == fleet
        found = users.ejections(fleet, [widget["threshold"]])
        assert widget["threshold"] == 8
        for name, value in (("detection", "detection_time"), ("k", "k"), ("phi", "phi"), ("fixed", "fixed")):
            assert widget[name] == pytest.approx(found[value][0])
        assert widget["k"] == pytest.approx(widget["detection"] / 0.1)
        assert "server-hours" in widget.spoken("threshold")
    one = ac.qos(iso.heartbeats(3600, delay=0.002, pauses=0.005), ac.PhiNormal(window=1000), 8, skip=1000)
    assert widget["near"] == pytest.approx(one.detection_time)


def test_screenshots(lesson, artefacts):
    lesson.screenshots(artefacts)


def test_nothing_on_the_console_and_nothing_from_elsewhere(lesson):
    """The last test: of all that was done before."""
    lesson.was_quiet()
