"""A lesson in Notebook 7, whose shortcuts take arrow keys, Enter and Space away from what does not hold on to them."""

import pytest

from accrual.show import faults

pytestmark = pytest.mark.browser


@pytest.fixture(scope="module")
def lesson(open_lesson):
    pytest.importorskip("notebook")
    lesson = open_lesson("01_faults.ipynb", classic=True)
    lesson.own = list(lesson.errors)  # Notebook 7.6 misses a schema of its own, on any page
    lesson.cells = lesson.run_all()
    return lesson


def test_it_runs(lesson):
    assert all(cell["count"] for cell in lesson.cells)
    assert not any(output["output_type"] == "error" for cell in lesson.cells for output in cell["outputs"])
    assert lesson.page.evaluate("() => window.jupyterapp.name") == "Jupyter Notebook"


def test_arrow_keys_move_sliders_and_not_the_notebook(lesson):
    widget = lesson.widget("nines")
    widget.slider("mttf").focus()
    where = lesson.active_cell()
    widget.press("mttf", "Home")
    for stop, (mttf, _) in enumerate(faults._FAILURE_TIMES):
        assert (widget["mttf"], lesson.active_cell()) == (mttf, where), stop
        widget.press("mttf", "ArrowRight" if stop % 2 else "ArrowUp")
    found = faults.availability(widget["mttf"], widget["mttr"])
    assert widget["share"] == pytest.approx(found.share, rel=1e-12)
    widget.press("mttf", "ArrowLeft", "ArrowDown")
    assert widget["mttf"] == faults._FAILURE_TIMES[-3][0]


def test_nothing_more_on_the_console_and_nothing_from_elsewhere(lesson, artefacts):
    lesson.page.locator('[data-widget="nines"]').screenshot(path=artefacts / "notebook-7.png")
    lesson.page.screenshot(path=artefacts / "notebook-7-page.png")
    assert lesson.errors == lesson.own
    assert lesson.strangers == []
