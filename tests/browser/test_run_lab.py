"""Labs with a button in JupyterLab, in a real browser, as a student presses them; and that nothing stays behind.

Nothing here depends on speed: waits have an end that no healthy machine comes near.
"""

import os
import signal
import time

import nbformat
import pytest
import sample_labs
from leftovers import Leftovers
from nbformat.v4 import new_code_cell, new_notebook

from accrual.lab import recorded

pytestmark = pytest.mark.browser

PATIENCE = 60_000  # ms
LADDER, HANGING, FAILING, WANTING, AGAIN = range(5)
"""The buttons, in order; the last is the ladder's once more."""

CELLS = """
import dataclasses, os, sys
os.environ["PYTHONPATH"], os.environ["TMPDIR"] = {path!r}, {place!r}
sys.path[:0] = {path!r}.split(os.pathsep)
import sample_labs
from accrual.show.pools import Ladder
from accrual.show.run_lab import RunLab
print(os.getpid())
---
lab = RunLab("ladder", trips=300)
lab
---
lab.then(Ladder)
---
lab.then(lambda result: result.recorded or "run here")
---
patient = dataclasses.replace(sample_labs.leaving, limit=900.0)
hanging = RunLab(patient, then="hang", marker={marker!r})
hanging
---
RunLab(sample_labs.ending, how="raise")
---
RunLab(sample_labs.wanting)
---
lab
---
print("answered")
"""


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """Where the labs have their folders."""
    return tmp_path_factory.mktemp("labs")


@pytest.fixture(scope="module")
def lesson(open_lesson, tmp_path_factory, place):
    folder = tmp_path_factory.mktemp("notebook")
    cells = CELLS.format(path=sample_labs.PATH, place=str(place), marker=str(folder / "undone"))
    kernel = {"display_name": "Python 3", "language": "python", "name": "python3"}
    made = new_notebook(
        cells=[new_code_cell(cell.strip()) for cell in cells.split("---")], metadata={"kernelspec": kernel}
    )
    nbformat.write(made, folder / "labs.ipynb")
    lesson = open_lesson(folder / "labs.ipynb")
    lesson.cells = lesson.run_all()
    return lesson


@pytest.fixture
def left(place):
    return Leftovers(place)


def button(widget, deed):
    return widget.root.locator(f'[data-do="{deed}"]')


def press(widget, deed):
    button(widget, deed).press("Enter")


def until(widget, condition, patience=PATIENCE):
    """Wait until something holds of the data attributes, which the condition calls d."""
    widget.page.wait_for_function(
        f"root => {{ const d = root.dataset; return {condition}; }}", arg=widget.root.element_handle(), timeout=patience
    )


def runs(lesson):
    """The lab that hangs, running, with its processes."""
    widget = lesson.widget("run-lab", HANGING)
    press(widget, "run")
    until(widget, "d.phase === 'running' && +d.events > 0")
    pids = [int(pid) for pid in widget.root.locator("ol.happened li").first.inner_text().split()[-3:]]
    assert all(map(exists, pids))
    return widget, pids


def exists(pid):
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


def nothing_is(left, pids, patience=60):
    """Whether all that a lab has started ends, and its folder goes."""
    end = time.monotonic() + patience
    while (any(map(exists, pids)) or left.processes()) and time.monotonic() < end:
        time.sleep(0.05)
    assert not any(map(exists, pids))
    left.check()


def test_before_a_button_is_pressed_nothing_runs(lesson, left):
    widget = lesson.widget("run-lab", LADDER)
    assert (widget.text("phase"), widget.text("recorded"), widget.text("lab")) == ("ready", "true", "ladder")
    assert widget["rows"] == len(recorded("ladder").rows)
    assert widget["events"] == len(recorded("ladder").events)
    assert button(widget, "run").get_attribute("aria-disabled") == "false"
    assert button(widget, "stop").get_attribute("aria-disabled") == "true"
    assert button(widget, "look").is_hidden()
    assert widget.root.locator("progress").is_hidden()
    assert "accrual lab ladder --trips 300" in widget.root.inner_text()
    press(widget, "stop")
    assert widget.text("phase") == "ready"
    left.check()


def test_the_button_and_the_picture_below(lesson, left):
    widget, twin, picture = lesson.widget("run-lab", LADDER), lesson.widget("run-lab", AGAIN), lesson.widget("ladder")
    was = picture["first"]
    assert was == recorded("ladder").rows[0]["p50"]
    where = lesson.active_cell()
    press(widget, "run")
    until(widget, "d.phase === 'done' && d.recorded === 'false' && d.busy === 'false'")
    assert lesson.active_cell() == where  # no key went to the notebook
    assert widget.root.locator(".badge").inner_text() == "run here"
    assert "trips=300" in widget.root.locator("caption").first.inner_text()
    assert button(widget, "run").inner_text() == "Run it again"
    assert "ladder: done" in widget.root.get_by_role("status").inner_text()
    until(twin, "d.phase === 'done' && d.recorded === 'false'")
    fresh = lesson.widget("ladder")
    assert fresh["first"] != was
    shown = widget.root.locator("tbody tr, tr").nth(1).inner_text().split("\t")
    assert fresh["first"] == pytest.approx(float(shown[-2]), rel=1e-3)
    assert lesson.widget("words").root.inner_text().strip() == "run here"
    left.check()


def test_the_kernel_stays_free_while_it_runs(lesson, left):
    widget, pids = runs(lesson)
    lesson.page.evaluate(
        """() => {
            const tools = window.jupyterapp.shell.currentWidget.content;
            tools.activeCellIndex = tools.model.cells.length - 1;
            tools.activeCell.model.clearExecution();
        }"""
    )
    lesson.command("notebook:run-cell")
    lesson.page.wait_for_function(
        """() => [...window.jupyterapp.shell.currentWidget.content.model.cells].at(-1).toJSON()
            .outputs.some(output => output.text?.includes("answered"))"""
    )
    assert widget.text("phase") == "running"
    until(widget, "+d.elapsed > 1")
    assert widget.root.locator("progress").is_visible()
    assert button(widget, "run").get_attribute("aria-disabled") == "true"
    other = lesson.widget("run-lab", LADDER)
    press(other, "run")
    until(other, "d.words.startsWith('Not started: the lab leaving is running')")
    assert other.text("phase") == "done"
    press(widget, "stop")
    until(widget, "d.phase === 'stopped'")
    assert widget.text("words") == "It was stopped, and what it had started is cleared away."
    until(other, "d.words === ''")  # that was so then
    nothing_is(left, pids)


def test_one_that_fails(lesson):
    widget = lesson.widget("run-lab", FAILING)
    press(widget, "run")
    until(widget, "d.phase === 'failed'")
    assert widget.text("words").startswith("It did not work: the lab ending ended without a result")
    said = widget.root.locator("details.said")
    assert said.get_attribute("open") is None
    assert "RuntimeError: a bug" in said.locator("pre").text_content()
    assert "Traceback" not in widget.root.inner_text()


def test_one_that_lacks_something(lesson):
    widget = lesson.widget("run-lab", WANTING)
    assert (widget.text("phase"), widget["lacks"]) == ("lacking", 1)
    assert "a unicorn: look in the woods" in widget.root.inner_text()
    assert button(widget, "run").get_attribute("aria-disabled") == "true"
    press(widget, "run")
    press(widget, "look")
    until(widget, "d.busy === 'false'")
    assert widget.text("phase") == "lacking"


def test_pictures(lesson, artefacts):
    widget, _ = runs(lesson)
    lesson.screenshots(artefacts)
    press(widget, "stop")
    until(widget, "d.phase === 'stopped'")
    lesson.was_quiet()


def test_running_the_cell_again_stops_it(lesson, left):
    _, pids = runs(lesson)
    lesson.run_all()
    nothing_is(left, pids)
    assert lesson.widget("run-lab", HANGING).text("phase") == "ready"


def test_a_page_that_is_opened_again_sees_it_run(lesson, left):
    widget, pids = runs(lesson)
    lesson.command("docmanager:save")
    lesson.page.reload()
    lesson.page.wait_for_selector('[data-widget="run-lab"][data-phase="running"]', timeout=4 * PATIENCE)
    widget = lesson.widget("run-lab", HANGING)
    assert all(map(exists, pids))
    assert widget["events"] == 1
    press(widget, "stop")
    until(widget, "d.phase === 'stopped'")
    nothing_is(left, pids)


def test_a_restarted_kernel_leaves_nothing(lesson, left):
    lesson.run_all()
    widget, pids = runs(lesson)
    lesson.page.evaluate("() => window.jupyterapp.shell.currentWidget.sessionContext.session.kernel.restart()")
    nothing_is(left, pids)
    until(widget, "d.phase === 'lost'")
    assert "Run the cell again" in widget.text("words")
    assert button(widget, "run").get_attribute("aria-disabled") == "true"


def test_a_killed_kernel_leaves_nothing(lesson, left):
    idle = "() => window.jupyterapp.shell.currentWidget.sessionContext.session.kernel.status === 'idle'"
    lesson.page.wait_for_function(idle)
    cells = lesson.run_all()
    widget, pids = runs(lesson)
    os.kill(int(cells[0]["outputs"][0]["text"]), signal.SIGKILL)
    nothing_is(left, pids)
    until(widget, "d.phase === 'lost'")
