"""Lesson 11 in JupyterLab, in a real browser: policies chosen, time moved, numbers compared with the library's."""

import pytest

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


def test_dead_or_cut(lesson):
    widget = lesson.widget("dead-or-cut")
    for k, case in enumerate(partition.CASES):
        widget.root.get_by_role("button", name=f"Round: {k + 1}").click()
        assert (widget.text("guess"), widget.text("right")) == ("none", "hidden")
        widget.root.get_by_role("button", name=f"It is: {case.kind}").click()
        assert widget.text("right") == "true"
        assert case.truth in widget.root.inner_text()


def test_screenshots(lesson, artefacts):
    lesson.screenshots(artefacts)


def test_nothing_on_the_console_and_nothing_from_elsewhere(lesson):
    """The last test: of all that was done before."""
    lesson.was_quiet()
