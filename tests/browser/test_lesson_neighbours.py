"""Lesson 7 in JupyterLab, in a real browser: sliders moved, numbers compared with the library's."""

import numpy as np
import pytest

import accrual as ac
import accrual.isolation as iso
from accrual.lab import recorded
from accrual.show import neighbours

pytestmark = pytest.mark.browser


@pytest.fixture(scope="module")
def lesson(open_lesson):
    lesson = open_lesson("07_containers_and_beyond.ipynb")
    lesson.cells = lesson.run_all()
    return lesson


def test_every_cell_ran(lesson):
    lesson.check_every_cell_ran()


def test_the_hog_next_door(lesson):
    widget = lesson.widget("hog-next-door")
    facts = recorded("containers").facts
    where = None
    for key, k in (("Home", 1), ("ArrowRight", 2), ("End", 10), *(("ArrowLeft", k) for k in range(9, 2, -1))):
        widget.press("k", key)
        where = where or lesson.active_cell()
        assert widget["k"] == k
        late = [name for name in ("alone", "hog", "capped") if facts[f"{name}_longest"] > k * 0.01]
        assert widget.text("late").split() == late
    assert "30 ms in every phase; some heartbeat came later in “hogs beside it, no cap”." in widget.spoken("k")
    for key, threshold in (("Home", 1), ("End", 12), ("ArrowLeft", 8)):
        widget.press("threshold", key)
        assert widget["threshold"] == threshold
        for name in ("alone", "hog", "capped"):
            z = (widget[f"{name}-patience"] - facts[f"{name}_mean"]) / facts[f"{name}_deviation"]
            assert ac.PhiNormal().compiled.level(z) == pytest.approx(threshold)
    assert lesson.active_cell() == where  # no key went to the notebook


def test_the_lab_is_there_to_be_run(lesson):
    widget = lesson.widget("run-lab")
    assert (widget.text("lab"), widget.text("recorded")) == ("containers", "true")
    assert widget.text("phase") in ("ready", "lacking")
    assert lesson.widget("hog-next-door", 1)["k"] == 3  # of the recording, until it has run


def test_the_quota(lesson):
    widget = lesson.widget("quota")
    assert (widget["share"], widget["quota"], widget["longest"], widget["k"]) == (0.2, 0.1, 0.09, 9)
    for name, keys in (("quota", ("Home", "ArrowRight", "End", "ArrowLeft")), ("share", ("Home", "End", "ArrowLeft"))):
        for key in keys:
            widget.press(name, key)
            gaps = np.diff(neighbours.sent(widget["share"], widget["quota"], 0.01, 2.0))
            assert widget["longest"] == pytest.approx(gaps.max())
            assert f"k = {int(widget['k'])} or more" in widget.spoken(name)
    widget.press("share", "Home", "ArrowRight", "ArrowRight")
    widget.press("quota", "End", "ArrowLeft", "ArrowLeft")


def test_shared_fate(lesson):
    widget = lesson.widget("fate")
    widget.press("fault", "Home")
    seen = [(widget.text("fault"), widget["taken"])]
    for _ in neighbours.FATES[1:]:
        widget.root.get_by_role("button", name="the next fault").click()
        seen.append((widget.text("fault"), widget["taken"]))
    assert seen == [(fault, len(neighbours.nest().reach(fault, "payment"))) for fault in neighbours.FATES]
    for _ in range(4):
        widget.root.get_by_role("button", name="the fault before").click()
    assert widget.text("fault") == "bridge"
    assert "2 of 2 processes run on" in widget.spoken("fault")


def test_distance(lesson):
    widget = lesson.widget("distance")
    for key, timeout in (("Home", 0.025), ("End", 3), ("PageDown", None)):
        widget.press("timeout", key)
        assert timeout in (None, widget["timeout"])
        for level, name in (("container", "cpu-quota"), ("vm", "vm"), ("datacenter", "jittery")):
            trace = ac.load(name)
            found = ac.qos(trace, ac.FixedTimeout(period=trace.period), widget["timeout"] / trace.period, skip=1000)
            assert widget[f"{level}-rate"] == pytest.approx(60 * found.mistake_rate)
    widget.press("timeout", "Home", "ArrowRight")
    assert widget["timeout"] == 0.03
    assert "More than one mistake in a minute: container, vm, datacenter." in widget.spoken("timeout")


def test_utilisation(lesson):
    widget = lesson.widget("utilisation")
    for name, keys in (("services", ("Home", "End", "ArrowLeft")), ("load", ("Home", "End", "ArrowLeft"))):
        for key in keys:
            widget.press(name, key)
            services, load = int(widget["services"]), widget["load"]
            assert widget["pool-workers"] == iso.workers_for(load, 0.01)
            assert widget["bulkheads-workers"] == services * iso.workers_for(load / services, 0.01)
            assert widget["machines-workers"] >= widget["bulkheads-workers"] >= widget["pool-workers"]
    widget.press("services", "Home", "ArrowRight", "ArrowRight")
    widget.press("load", "Home", "ArrowRight", "ArrowRight", "ArrowRight")
    assert "containers are 28.5 % busy" in widget.spoken("load")


def test_screenshots(lesson, artefacts):
    lesson.screenshots(artefacts)


def test_nothing_on_the_console_and_nothing_from_elsewhere(lesson):
    """The last test: of all that was done before."""
    lesson.was_quiet()
