"""Lesson 11 in JupyterLab, in a real browser: policies chosen, time moved, numbers compared with the library's."""

import pytest

from accrual.lab import recorded
from accrual.show import partition

pytestmark = pytest.mark.browser


@pytest.fixture(scope="module")
def lesson(open_lesson):
    lesson = open_lesson("11_partition.ipynb")
    lesson.cells = lesson.run_all()
    return lesson


def test_every_cell_ran(lesson):
    assert all(cell["count"] for cell in lesson.cells)
    assert not any(output.get("name") == "stderr" for cell in lesson.cells for output in cell["outputs"])


def test_the_cut_network(lesson):
    widget = lesson.widget("cut-network")
    for name, run in partition.policies().items():
        widget.root.get_by_role("button", name=f"Policy: {name}").click()
        for key in ("Home", "ArrowRight", "End", "PageDown"):
            widget.press("time", key)
            [found] = partition.tally(run, [widget["time"]])
            assert tuple(widget[field] for field in found._fields) == found
            assert f"{found.stale:,} stale read" in widget.spoken("time")
            assert widget.text("states") == " | ".join(run.states(widget["time"]))


def test_the_cut_is_a_button(lesson):
    """What a student sees first, by keyboard alone: a whole network; then it is cut, and healed."""
    widget = lesson.widget("cut-network")
    for name, run in partition.policies().items():
        widget.root.get_by_role("button", name=f"Policy: {name}").press("Enter")
        for how, at in (("whole", 2.75), ("cut", 8.75), ("healed", 14.0)):
            button = widget.root.get_by_role("button", name=f"Network: {how}")
            button.press("Enter")
            assert button.get_attribute("aria-pressed") == "true"
            assert (widget["time"], widget.text("network")) == (at, how)
            times = [k / 4 for k in range(57)]
            fares = partition.served(run, times)[times.index(at)]
            assert widget.text("served") == " | ".join(fares)
            words = {"answered": "is answered", "stale": "reads what is stale", "refused": "is refused"}
            assert f"Client 0 {words[fares[0]]}." in widget.spoken("time")


def test_real_servers(lesson):
    """The recorded results stand there, and a button; it is not pressed here, for the lab takes 20 s."""
    lab = lesson.page.locator('[data-widget="run-lab"][data-lab="partition"]')
    assert lab.get_attribute("data-phase") in ("ready", "lacking")
    assert lab.get_attribute("data-recorded") == "true"
    widget = lesson.widget("scrubber", 1)
    for name, result in partition.real_servers().items():
        widget.root.get_by_label("Servers").select_option(name)
        told = partition.story_of_servers(result)
        for key, at in (("End", told.end), ("Home", told.begin)):
            widget.press("at", key)
            states = told.states(at)
            assert [widget.text(f"state-{k}") for k in range(len(states))] == list(states.values())
    widget.root.get_by_label("Servers").select_option("Redis")
    for _ in range(10):
        widget.root.get_by_role("button", name="One event on").press("Enter")
    assert (widget.text("state-0"), widget.text("state-1"), widget.text("state-4")) == ("primary", "primary", "lost")


def test_recognition(lesson):
    lab = lesson.page.locator('[data-widget="run-lab"][data-lab="recognition"]')
    assert lab.get_attribute("data-recorded") == "true"
    said = partition.verdicts(recorded("recognition"))
    shown = lesson.page.get_by_text("node fault  after").inner_text()
    for fault, rows in said.items():
        for at, kind in rows:
            assert any(line.startswith(fault) and f"after {at:.2f} s: {kind}" in line for line in shown.splitlines())


def test_dead_or_cut(lesson):
    widget = lesson.widget("dead-or-cut")
    for k, case in enumerate(partition.CASES):
        widget.root.get_by_role("button", name=f"Round: {k + 1}").click()
        assert (widget.text("guess"), widget.text("right")) == ("none", "hidden")
        widget.root.get_by_role("button", name=f"It is: {case.kind}").click()
        assert widget.text("right") == "true"
        assert case.truth in widget.root.inner_text()
    # What nobody can know gets no cross: in round 7 d and e are dead, and might be cut off.
    verdict = widget.root.locator(".verdict")
    for guess, mark in (("whole", "◐"), ("link fault", "✗"), ("node fault", "✓")):
        widget.root.get_by_role("button", name=f"It is: {guess}").press("Enter")
        assert verdict.inner_text().startswith(mark)


def test_screenshots(lesson, artefacts):
    lesson.screenshots(artefacts)


def test_nothing_on_the_console_and_nothing_from_elsewhere(lesson):
    """The last test: of all that was done before."""
    lesson.was_quiet()
