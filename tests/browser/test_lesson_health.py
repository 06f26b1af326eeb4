"""Lesson 12 in JupyterLab, in a real browser: the indicators' widget steps through each fault as the library says."""

import math

import pytest

from accrual.course.lesson_12 import three_faults
from accrual.show.health import INDICATORS, SymptomsOfFaults, share_of_detection
from accrual.show.run_lab import RunLab
from accrual.show.scrubber import story_of_run

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


def test_the_faults_of_the_cluster_are_stepped_through(lesson):
    """Forwards and back; in the partition, what the client was told OK is shown as lost."""
    run, widget = three_faults(), lesson.widget("scrubber")
    on, back = (widget.root.get_by_label(name) for name in ("One event on", "One event back"))
    for name, begin, end in (("first crash", 19.8, 21.2), ("partition", 59.5, 64.5), ("second crash", 89.8, 91.2)):
        widget.root.locator('[data-choice="shown"]').select_option(name)
        told = story_of_run(run, begin, end, reads=False)
        client = list(told.lanes).index("client")
        seen = set()
        for at in told.stops[1:]:
            on.press("Enter")
            assert widget["at"] == pytest.approx(at)
            assert widget.text(f"state-{client}") == told.states(at)["client"]
            seen.add(widget.text(f"state-{client}"))
        assert ("lost" in seen) == (name == "partition")
        back.press("Space")
        assert widget["at"] == pytest.approx(told.stops[-2])
        widget.press("at", "Home")
        assert widget["happened"] == 0


def test_the_lab_has_a_button_and_stands_in_for_itself(lesson):
    widget, ours = lesson.widget("run-lab"), RunLab("failover")
    assert widget.text("phase") == ours.phase in ("ready", "lacking")
    assert widget.text("recorded") == "true"
    first = share_of_detection(ours.result).splitlines()[0]
    assert first in lesson.page.locator(".jp-NotebookPanel-notebook").inner_text()


def test_nobody_is_told_to_be_ready_who_has_answered_nothing(lesson):
    printed = "".join(out.get("text", "") for cell in lesson.cells for out in cell["outputs"])
    assert "There is nothing to rehearse yet" in printed
    assert "my-system.html" not in printed


def test_screenshots(lesson, artefacts):
    lesson.screenshots(artefacts)


ANSWERS = {
    "detector, threshold = None, None": "detector, threshold = ac.FixedTimeout(period=0.01), 50",
    "wait = None\n# Write your code here.": "wait = 2.3",
    '    # Write your code here.\n    ...\n\n\ncheck("12.6"': """    return FailoverController(
        ["primary", "backup"], "primary", detector=detector, threshold=threshold, wait_before_promote=wait,
        fence=fence, promote=promote)


check("12.6\"""",
}


def test_the_capstone_ends_with_the_students_own_design(lesson, browser, artefacts, tmp_path):
    for before, after in ANSWERS.items():
        changed = lesson.page.evaluate(
            """([before, after]) => {
                const cells = [...window.jupyterapp.shell.currentWidget.content.model.cells].map(c => c.sharedModel)
                    .filter(cell => cell.cell_type === "code" && cell.source.includes(before));
                for (const cell of cells) cell.setSource(cell.source.replace(before, after));
                return cells.length;
            }""",
            [before, after],
        )
        assert changed == 1
    cells = lesson.run_all()
    printed = "".join(out.get("text", "") for cell in cells for out in cell["outputs"])
    for number in (4, 5, 6):
        assert f"12.{number} ✓ right." in printed
    assert "Written: my-system.html" in printed
    page = tmp_path / "my-system.html"
    asked = {"content": True, "format": "text", "type": "file"}
    content = lesson.page.evaluate(
        "async asked => (await window.jupyterapp.serviceManager.contents.get('my-system.html', asked)).content", asked
    )
    page.write_text(content, encoding="utf-8")
    colours = set()
    for scheme in ("light", "dark"):
        shown = browser.new_page(viewport={"width": 1100, "height": 900}, color_scheme=scheme)
        errors = []
        shown.on("console", lambda message, errors=errors: errors.append(message.text))
        shown.goto(page.as_uri())
        assert shown.locator("h1").inner_text() == "My system: detection and recovery"
        row = shown.locator("tr", has_text="wait before a backup is promoted")
        assert row.locator("td").inner_text() == "2.3 s"
        assert shown.evaluate("() => [...document.images].every(one => one.naturalWidth > 0)")
        colours.add(shown.evaluate("() => getComputedStyle(document.body).backgroundColor"))
        shown.screenshot(path=artefacts / f"my-system-{scheme}.png", full_page=True)
        shown.close()
        assert errors == []
    assert len(colours) == 2


def test_nothing_on_the_console_and_nothing_from_elsewhere(lesson):
    """The last test: of all that was done before."""
    lesson.was_quiet()
