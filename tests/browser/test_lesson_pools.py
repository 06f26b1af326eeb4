"""Lesson 6 in JupyterLab, in a real browser: designs placed, pools sized, numbers compared with the library's."""

import pytest

from accrual.isolation import LEVELS, compare_levels, simulate
from accrual.lab import recorded
from accrual.show import pools

pytestmark = pytest.mark.browser


@pytest.fixture(scope="module")
def lesson(open_lesson):
    lesson = open_lesson("06_threads_and_processes.ipynb")
    lesson.cells = lesson.run_all()
    return lesson


def choose(widget, group, value):
    widget.root.locator(f'[data-choice="{group}"][value="{value}"]').check()


def test_every_cell_ran(lesson):
    lesson.check_every_cell_ran()


def test_the_map(lesson):
    widget = lesson.widget("two-axes")
    assert (widget["placed"], widget["right"]) == (0, 0)
    for number, design in enumerate(pools.DESIGNS):
        widget.root.get_by_role("button", name=f"Design {number + 1}:", exact=False).first.click()
        cell = widget.root.locator(f'[data-cell="{design.axis}:{design.level}"]')
        cell.focus()
        lesson.page.keyboard.press("Enter")
        assert (widget["placed"], widget["right"]) == (number + 1, number + 1)
        assert widget.root.locator(".verdict").inner_text().startswith("✓")
    widget.root.locator('[data-cell="function:cluster"]').click()  # the last one, in vain
    assert (widget["placed"], widget["right"]) == (len(pools.DESIGNS), len(pools.DESIGNS) - 1)
    assert widget.root.locator(".verdict").inner_text().startswith("✗")


def test_pools(lesson):
    bulkheads, widget = lesson.widget("pools"), lesson.widget("pools", 1)
    for one, names in ((bulkheads, ["shared", "struck"]), (widget, ["threads", "timeout"])):
        found = one.root.locator("[data-slider], fieldset [data-choice]")
        shown = [at.get_attribute("data-slider") or at.get_attribute("data-choice") for at in found.all()]
        assert list(dict.fromkeys(shown)) == names
        assert one.text("shared") == "true"
    where = None
    for key, timeout in (("Home", 0.1), ("ArrowRight", 0.2), ("ArrowRight", 0.3), ("End", 10)):
        widget.press("timeout", key)
        where = where or lesson.active_cell()
        widget.wait("timeout", timeout if timeout < 1 else int(timeout))
        run = simulate(fault="hang", shared_pool=True, hang=timeout, duration=20, strikes=5, lasts=10)
        assert [widget[f"failing-{name}"] for name in ("order", "payment")] == [of.failing for of in run.services[:2]]
    widget.press("timeout", "ArrowLeft")
    widget.wait("timeout", 5)
    widget.press("threads", "End")
    widget.wait("threads", 72)
    run = simulate(fault="hang", shared_pool=True, workers=72, hang=5, duration=20, strikes=5, lasts=10)
    assert [widget[f"failing-{name}"] for name in ("order", "payment")] == [of.failing for of in run.services[:2]]
    assert "72 threads in all: One pool of 72 threads" in widget.spoken("threads")
    widget.press("threads", "Home", "ArrowRight", "ArrowRight")
    widget.wait("threads", 12)
    assert lesson.active_cell() == where  # no key went to the notebook
    choose(bulkheads, "shared", "false")
    bulkheads.wait("shared", "false")
    assert [bulkheads[f"failing-{name}"] for name in ("order", "payment", "delivery")] == [0, 1, 0]
    choose(bulkheads, "struck", "order")
    bulkheads.wait("struck", "order")
    assert [bulkheads[f"failing-{name}"] for name in ("order", "payment", "delivery")] == [1, 0, 0]
    choose(bulkheads, "struck", "payment")
    choose(bulkheads, "shared", "true")
    bulkheads.wait("shared", "true")


def test_the_rush(lesson):
    widget = lesson.widget("rush")
    for scenario in ("tickets", "shop"):
        choose(widget, "scenario", scenario)
        for key, rate in (("Home", 60), ("End", 720), ("ArrowLeft", 480)):
            widget.press("rate", key)
            assert widget["rate"] == rate
            for kind, shared in (("shared", True), ("own", False)):
                every = pools.rush(scenario, rate, shared=shared).every
                assert widget[kind] == round(every.failing * every.requests)
    assert f"{int(widget['shared']):,} fail with one pool" in widget.spoken("rate")


def test_blast(lesson):
    widget = lesson.widget("blast")
    measured = {row["level"]: row for row in recorded("compare").rows}
    for layout in pools.LAYOUTS.values():
        choose(widget, "arrangement", layout.name)
        widget.press("fault", "Home")
        for _ in range(9):
            found = pools.taken(layout, widget.text("fault"), "payment")
            assert widget.text("who").split() == found
            expected = measured.get(layout.recording, {}).get(widget.text("fault"))
            assert widget.text("measured") == ("nan" if expected is None else str(expected))
            widget.press("fault", "ArrowRight")
    choose(widget, "arrangement", "two machines")
    choose(widget, "struck", "delivery")
    assert (widget.text("fault"), widget.text("who")) == ("plug", "delivery")
    choose(widget, "arrangement", "threads")
    choose(widget, "struck", "payment")
    widget.press("fault", "Home", "ArrowRight", "ArrowRight", "ArrowRight")
    assert (widget.text("fault"), widget["taken"]) == ("segfault", 3)


def test_the_ladder(lesson):
    widget = lesson.widget("ladder")
    rows = recorded("ladder").rows
    for key, questions in (("End", 1000), ("ArrowLeft", 500), ("Home", 1)):
        widget.press("questions", key)
        assert widget["questions"] == questions
        assert widget["first"] == rows[0]["p50"] * questions
        assert widget["last"] == rows[-1]["p50"] * questions


def test_the_table(lesson):
    widget = lesson.widget("strategies")
    assert widget.root.locator("table").nth(1).is_hidden()
    for row in compare_levels().rows:
        for fault in ("segfault", "kernel-panic", "plug", "blackout"):
            for _ in range(1 if row.taken[fault] == 1 else 2):
                widget.root.locator(f'[data-cell="{row.level}:{fault}"]').click()
    widget.root.locator('[data-cell="thread:plug"]').click()  # 3 was right
    assert widget["filled"] == 28
    widget.root.get_by_role("button", name="Reveal").click()
    assert widget["right"] == 27
    costs = widget.root.locator("table").nth(1)
    assert costs.is_visible()
    assert costs.locator("tbody tr").count() == len(LEVELS)


def test_pictures_are_told_in_words(lesson):
    for name, words in (
        ("pools", "of order, 100\u00a0% of payment"),
        ("rush", "requests in ten seconds"),
        ("blast", "it takes"),
        ("ladder", "remote procedure call:"),
    ):
        assert words in lesson.widget(name).root.locator("svg").first.get_attribute("aria-label")


def test_the_labs_are_there_to_be_run(lesson):
    for number, name in enumerate(("threads", "ladder")):
        widget = lesson.widget("run-lab", number)
        assert (widget.text("lab"), widget.text("recorded"), widget.text("phase")) == (name, "true", "ready")
    widget.root.locator('[data-do="run"]').press("Enter")
    lesson.page.wait_for_function(
        "() => document.querySelectorAll('[data-lab=ladder][data-phase=done]').length", timeout=90_000
    )
    assert widget.text("recorded") == "false"
    assert lesson.widget("ladder", 1).text("questions") == "1"
    assert "Measured here" in lesson.widget("ladder", 1).root.inner_text()


def test_screenshots_and_a_quiet_console(lesson, artefacts):
    lesson.screenshots(artefacts)
    lesson.was_quiet()
