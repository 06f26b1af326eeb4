"""Lessons 0 and 1 in JupyterLab, in a real browser: what the sliders and buttons show against the library's numbers."""

import numpy as np
import pytest

import accrual as ac
from accrual.course.export import export
from accrual.show import faults

pytestmark = pytest.mark.browser


@pytest.fixture(scope="module")
def faults_lesson(open_lesson):
    lesson = open_lesson("01_faults.ipynb")
    lesson.cells = lesson.run_all()
    return lesson


@pytest.fixture(scope="module")
def start_lesson(open_lesson):
    lesson = open_lesson("00_start.ipynb", "01_faults.ipynb", "03_phi.ipynb")
    lesson.cells = lesson.run_all()
    return lesson


def ran(lesson):
    assert all(cell["count"] for cell in lesson.cells)
    outputs = [output for cell in lesson.cells for output in cell["outputs"]]
    assert {output["output_type"] for output in outputs} == {"stream", "execute_result"}
    assert not any(output.get("name") == "stderr" for output in outputs)


def walk(widget, name, count, look):
    """Every stop of a slider from the first to the last, by the keyboard; then somewhere in the middle."""
    widget.press(name, "Home")
    for stop in range(count):
        look(stop)
        assert widget.spoken(name)
        widget.press(name, "ArrowRight")
    look(count - 1)  # one more step goes nowhere
    widget.press(name, "Home", *["ArrowRight"] * (count // 2))
    look(count // 2)


# ---- lesson 1 ----


def test_the_faults_ran(faults_lesson):
    ran(faults_lesson)


def test_nines(faults_lesson):
    widget = faults_lesson.widget("nines")

    def look(_stop):
        found = faults.availability(widget["mttf"], widget["mttr"])
        for field in ("share", "unavailability", "nines", "failures", "downtime"):
            assert widget[field] == pytest.approx(getattr(found, field), rel=1e-12)

    walk(widget, "mttf", len(faults._FAILURE_TIMES), look)
    walk(widget, "mttr", len(faults._REPAIR_TIMES), look)
    widget.press("mttf", "Home")
    widget.press("mttr", "Home")
    assert (widget["mttf"], widget["mttr"]) == (3600, 1)


def test_recovery(faults_lesson):
    widget = faults_lesson.widget("recovery")

    def look(_stop):
        nodes, mttr = int(widget["nodes"]), faults._MTTRS[int(widget["repair"])][0]
        for way, repair in (("isolated", np.inf), ("recovered", mttr)):
            last = faults.service(nodes, faults.NODE_MTTF, repair, [365 * faults.DAY])[0]
            assert widget[f"{way}-service"] == last
            assert widget[f"{way}-outage"] == faults.time_to_outage(nodes, faults.NODE_MTTF, repair)

    walk(widget, "nodes", 5, look)
    walk(widget, "repair", len(faults._MTTRS), look)


def test_which_failed(faults_lesson):
    widget, game = faults_lesson.widget("which-failed"), faults.WhichFailed()
    told = faults.stories()
    widget.slider("stop").focus()
    where = faults_lesson.active_cell()
    for number, case in enumerate(game._cases, 1):
        widget.root.get_by_role("button", name=f"Case: {number}").press("Enter")
        assert widget["case"] == number
        assert widget.text("guess") == "none"
        assert widget.text("fitting") == widget.text("right") == "hidden"  # not to be read out of the page
        widget.press("stop", "End")
        assert widget["arrived"] == len(case.seen(60))
        widget.press("stop", "Home", *["PageUp"] * 5)
        at = widget["time"]
        assert 0 < at < 60
        assert widget["arrived"] == len(case.seen(at))
        if case.seen(at):
            assert widget["silence"] == pytest.approx(at - case.seen(at)[-1][0])
            assert widget["sequence"] == case.seen(at)[-1][1]
        for guess in ("pause", case.name):
            widget.root.get_by_role("button", name=f"It is a: {guess}").press("Space")
            assert widget.text("guess") == guess
            assert widget.text("right") == str(guess == case.name).lower()
            assert widget["fitting"] == len(faults.fitting(told, case, at))
    assert faults_lesson.active_cell() == where  # no key went to the notebook


def test_the_faults_on_screen(faults_lesson, artefacts):
    faults_lesson.screenshots(artefacts)
    faults_lesson.was_quiet()


def test_a_page_without_a_kernel(browser, tmp_path, artefacts):
    """The exported lesson: its sliders work from a file, and what only a kernel can do is said to need one."""
    [file] = export(tmp_path, ["03_phi"])
    page, errors, asked = browser.new_page(), [], []
    page.on("console", lambda message: message.type == "error" and errors.append(message.text))
    page.on("pageerror", lambda error: errors.append(str(error)))
    page.on("request", lambda request: request.url.startswith(("blob:", "data:")) or asked.append(request.url))
    page.goto(f"file://{file}")
    root = page.locator('[data-widget="phi-against-fixed"]').first
    root.wait_for()
    root.locator('[data-slider="threshold"]').press("ArrowRight")
    threshold = float(root.get_attribute("data-phi-threshold"))
    assert threshold == 9
    contended = ac.load("contended")
    found = ac.qos(contended, ac.PhiNormal(window=1000), threshold, skip=5000)
    assert float(root.get_attribute("data-phi-mistakes")) == found.mistakes
    root.locator('[data-slider="window"]').press("ArrowLeft")
    assert root.get_attribute("data-window") == "1000"
    assert root.get_attribute("data-busy") == "false"
    assert "opened in Jupyter" in page.locator(".note").inner_text()
    assert not page.locator("[data-model] > pre").count()  # every widget took the place of its text
    page.screenshot(path=artefacts / "03_phi-page.png", full_page=True)
    assert errors == []
    assert asked == [f"file://{file}"]
    page.close()


# ---- lesson 0 ----


def test_the_start_ran(start_lesson):
    ran(start_lesson)


def test_it_says_by_itself_that_it_works(start_lesson):
    widget = start_lesson.widget("self-test")
    start_lesson.page.wait_for_selector('[data-widget="self-test"][data-state="works"]')
    assert widget["rounds"] == 5
    assert 0 < widget["milliseconds"] < 20_000


def test_the_map_leads_to_the_sections(start_lesson, artefacts):
    page = start_lesson.page
    branch = page.locator(".accrual-map summary", has_text="Phi").first
    branch.focus()
    page.keyboard.press("Enter")
    start_lesson.screenshots(artefacts)
    link = page.locator(".accrual-map details li", has_text="Ten slots, the eleventh heartbeat").locator("a")
    link.focus()
    page.keyboard.press("Enter")
    page.wait_for_function("() => window.jupyterapp.shell.currentWidget?.context?.path === '03_phi.ipynb'")
    heading = page.locator(".jp-NotebookPanel:visible h2", has_text="Step 1 · The sampling window")
    heading.wait_for()
    page.wait_for_function(
        "heading => { const top = heading.getBoundingClientRect().top; return top > 0 && top < innerHeight; }",
        arg=heading.element_handle(),
    )
    start_lesson.was_quiet()
