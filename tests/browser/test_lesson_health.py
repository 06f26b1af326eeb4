"""Lesson 12 in JupyterLab, in a real browser: the indicators' widget steps through each fault as the library says."""

import math

import pytest

from accrual.show.health import INDICATORS, SymptomsOfFaults

pytestmark = pytest.mark.browser


@pytest.fixture(scope="module")
def lesson(open_lesson):
    lesson = open_lesson("12_health_and_capstone.ipynb")
    lesson.cells = lesson.run_all()
    return lesson


def test_every_cell_ran(lesson):
    assert all(cell["count"] for cell in lesson.cells)
    assert not [output for cell in lesson.cells for output in cell["outputs"] if output["output_type"] == "error"]


def test_each_fault_in_each_indicator(lesson):
    ours, widget = SymptomsOfFaults(), lesson.widget("symptoms")
    for name, found in ours.found.items():
        widget.root.locator("select").select_option(name)
        for key in ("Home", "End", "ArrowLeft"):
            widget.press("at", key)
            at = widget["at"]
            assert at == {"Home": 0, "End": 15, "ArrowLeft": ours.stops[-2]}[key]
            moved = {k: when for k, when in found.moved().items() if when <= at + 1e-9}
            assert widget["moves"] == len(moved)
            assert widget.text("shown") == name
            assert all(INDICATORS[k].title.lower() in widget.spoken("at").lower() for k in moved)
        moves = sorted({when for when in found.moved().values() if math.isfinite(when) and when > 0})
        widget.press("at", "Home")
        for when in moves[:3]:
            widget.root.get_by_label("To the next move").press("Enter")
            assert widget["at"] == pytest.approx(when, abs=0.051)


def test_screenshots(lesson, artefacts):
    lesson.screenshots(artefacts)


def test_nothing_on_the_console_and_nothing_from_elsewhere(lesson):
    """The last test: of all that was done before."""
    lesson.was_quiet()
