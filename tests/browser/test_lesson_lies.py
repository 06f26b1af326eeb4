"""Lesson 5 in JupyterLab, in a real browser: traces chosen, sliders moved, numbers compared with the library's."""

import math

import pytest

import accrual as ac
from accrual.show import lies

pytestmark = pytest.mark.browser


@pytest.fixture(scope="module")
def lesson(open_lesson):
    lesson = open_lesson("05_when_phi_lies.ipynb")
    lesson.cells = lesson.run_all()
    return lesson


def choose(widget, name):
    widget.root.locator('[data-choice="shown"]').select_option(name)
    assert widget.text("shown") == name


def same(shown, found):
    return shown == found or (math.isnan(shown) and math.isnan(found))


def test_every_cell_ran(lesson):
    lesson.check_every_cell_ran()


def test_small_windows(lesson):
    widget = lesson.widget("small-windows")
    trace = lies.normal_intervals()
    where = None
    for window_key, window in (("Home", 5), ("ArrowRight", 10), ("ArrowRight", 20), ("End", 1000)):
        widget.press("window", window_key)
        where = where or lesson.active_cell()
        assert widget["window"] == window
        for key, threshold in (("Home", 0.5), ("ArrowRight", 1), ("End", 8), ("ArrowLeft", 7.5)):
            widget.press("threshold", key)
            assert widget["threshold"] == threshold
            assert widget["really"] == lies.really(threshold, window)
            for name, detector in (("phi", ac.PhiNormal(window=window)), ("student", ac.PhiStudent(window=window))):
                found = ac.calibration(trace, detector, [threshold], skip=1000)
                assert widget[f"{name}-late"] == found.late[0]
                assert widget[f"{name}-share"] == found.share[0]
            assert f"really {lies.really(threshold, window):.3g}" in widget.spoken("threshold")
    assert lesson.active_cell() == where  # no key went to the notebook
    widget.press("window", "Home", "ArrowRight", "ArrowRight")
    widget.press("threshold", "Home", *["ArrowRight"] * lies.PHIS.index(3))
    assert "1 in 238 by theory" in widget.root.locator("p").first.inner_text()


def test_promises(lesson):
    widget = lesson.widget("promises")
    for name in ("idle", "paused"):
        choose(widget, name)
        found = lies.promise(ac.load(name))
        for key, threshold in (("Home", 0.5), ("ArrowRight", 1), ("End", 8), ("ArrowLeft", 7.5), ("PageDown", None)):
            widget.press("threshold", key)
            at = lies.PHIS.index(widget["threshold"])
            assert threshold in (None, lies.PHIS[at])
            assert widget["late"] == found.phi.late[at]
            assert widget["share"] == found.phi.share[at]
            assert widget.text("verdict") == found.phi.verdicts[at]
            sampled = found.sample.share[at] if at < len(found.sample.share) else math.nan
            assert same(widget["sample-share"], sampled)
            assert "promised" in widget.spoken("threshold")
    # The list by keyboard, too.
    choose(widget, "idle")
    widget.root.locator('[data-choice="shown"]').focus()
    lesson.page.keyboard.press("ArrowDown")
    assert widget.text("shown") == "contended"
    choose(widget, "single losses")
    widget.press("threshold", "Home", *["ArrowRight"] * lies.PHIS.index(3))


def test_repairs(lesson):
    widget = lesson.widget("repairs")
    for name, trace in (("lossy", ac.load("lossy")), ("cpu-quota", ac.load("cpu-quota"))):
        choose(widget, name)
        found = lies.equal_time(trace)
        for key, at in (("Home", 0), ("ArrowRight", 1), ("End", 2)):
            widget.press("time", key)
            assert widget["time"] == at
            assert widget["wanted"] == found.detection_times[at]
            for row in found.at_time(found.detection_times[at]):
                if row.detector.name != "phi-exponential":
                    assert same(widget[f"{row.detector.name}-ratio"], row.ratio)
                    assert same(widget[f"{row.detector.name}-threshold"], row.threshold)
                    assert same(widget[f"{row.detector.name}-mistakes"], row.qos.mistakes if row.qos else math.nan)
            assert f"k × T {found.at_time(found.detection_times[at])[0].qos.mistakes:,}" in widget.spoken("time")
    choose(widget, "bursts of losses")
    widget.press("time", "Home")


def test_the_watchers_own_pause(lesson):
    widget = lesson.widget("own-pause")
    guard = widget.root.locator('[data-switch="guarded"]')
    for guarded in (False, True):
        for key, length in (("Home", 0), ("ArrowRight", 0.05), ("End", 5), ("ArrowLeft", 2)):
            widget.press("length", key)
            assert widget["length"] == length
            reports = lies.own_pause(length, guarded)
            assert widget["reported"] == len(reports)
            assert widget["wrong"] == sum(not report.true for report in reports)
            assert widget["found"] == next(report.at for report in reports if report.true)
            assert "wrong suspicion" in widget.spoken("length")
        where = lesson.active_cell()
        guard.press("Space")
        assert widget["guarded"] == (not guarded)
        assert lesson.active_cell() == where
    widget.press("length", "Home", *["ArrowRight"] * lies.LENGTHS.index(1))


def test_copy_as_code(lesson):
    """What a figure gives to be copied runs, and gives the figure's numbers."""
    for name, trace in (
        ("small-windows", lies.normal_intervals()),
        ("promises", lies.single_causes()["single losses"]),
    ):
        widget = lesson.widget(name)
        code = widget.root.locator("pre").text_content().splitlines()[0]
        found = eval(code, {"ac": ac, "trace": trace})
        assert found.share[0] == widget["phi-share" if name == "small-windows" else "share"]
    widget = lesson.widget("repairs")
    trace = lies.single_causes()["bursts of losses"]
    found = eval(widget.root.locator("pre").text_content(), {"ac": ac, "trace": trace})
    [row] = [row for row in found.rows if row.detector.name == "expected-arrival"]
    assert row.ratio == widget["expected-arrival-ratio"]


def test_screenshots(lesson, artefacts):
    lesson.screenshots(artefacts)


def test_nothing_on_the_console_and_nothing_from_elsewhere(lesson):
    """The last test: of all that was done before."""
    lesson.was_quiet()
