"""Lesson 4 in JupyterLab, in a real browser: traces chosen, sliders moved, numbers compared with the library's."""

import pytest
from browser.scores import shows

import accrual as ac
from accrual.course.lesson_04 import whole_day
from accrual.show import tradeoff
from accrual.show.phi import THRESHOLDS

pytestmark = pytest.mark.browser


@pytest.fixture(scope="module")
def lesson(open_lesson):
    lesson = open_lesson("04_tradeoff.ipynb")
    lesson.cells = lesson.run_all()
    return lesson


def choose(widget, name):
    widget.root.locator('[data-choice="shown"]').select_option(name)
    assert widget.text("shown") == name


def test_every_cell_ran(lesson):
    lesson.check_every_cell_ran()


def test_equal_detection(lesson):
    widget = lesson.widget("equal-detection")
    where = None
    for name in ("idle", "synthetic-regime-switching", "contended"):
        choose(widget, name)
        phi, fixed = tradeoff.matched(ac.load(name))
        for key, threshold in (
            ("Home", 0.5),
            ("ArrowRight", 0.6),
            ("End", 1000),
            ("ArrowLeft", 900),
            ("PageDown", None),
        ):
            widget.press("threshold", key)
            where = where or lesson.active_cell()
            at = THRESHOLDS.index(widget["phi-threshold"])
            assert threshold in (None, THRESHOLDS[at])
            assert shows(widget, "phi", phi[at])
            assert shows(widget, "fixed", fixed[at])
            assert widget["fixed-threshold"] == fixed.thresholds[at]
            assert f"{phi[at].mistakes:,} mistake" in widget.spoken("threshold")
            assert f"against {fixed[at].mistakes:,}" in widget.spoken("threshold")
        assert widget["fixed-detection-time"] == pytest.approx(widget["phi-detection-time"], rel=1e-9)
    assert lesson.active_cell() == where  # no key went to the notebook

    # The list by keyboard, too.
    widget.root.locator('[data-choice="shown"]').focus()
    lesson.page.keyboard.press("ArrowDown")
    names = list(ac.datasets())
    assert widget.text("shown") == names[names.index("contended") + 1]
    choose(widget, "synthetic-diurnal")
    widget.press("threshold", "Home", *["ArrowRight"] * THRESHOLDS.index(3))


def test_the_price_of_mistakes(lesson):
    widget = lesson.widget("price-of-mistakes")
    for name in ("bursty", "diurnal"):
        choose(widget, name)
        pair = tradeoff.matched(ac.load(f"synthetic-{name}"))
        for key, price in (("Home", 1e-5), ("ArrowRight", 3e-5), ("End", 100), ("ArrowLeft", 30), ("PageDown", None)):
            widget.press("price", key)
            assert price in (None, widget["price"])
            for detector, points in pair._asdict().items():
                best = tradeoff.cheapest(points, widget["price"])
                assert widget[f"{detector}-threshold"] == points.thresholds[best]
                assert widget[f"{detector}-cost"] == tradeoff.cost(points, widget["price"])[best]
                assert widget[f"{detector}-mistakes"] == points[best].mistakes
                assert widget[f"{detector}-detection-time"] == points[best].detection_time
    assert "φ is cheaper" in widget.spoken("price") or "k × T is cheaper" in widget.spoken("price")
    widget.press("price", "Home", *["ArrowRight"] * tradeoff.PRICES.index(0.01))
    assert "φ is cheaper, by 12 %" in widget.spoken("price")


def test_the_hidden_day_is_hidden_until_there_is_a_choice(lesson):
    days = lesson.page.locator('[data-widget="equal-detection"]')
    assert days.count() == 2
    assert lesson.widget("equal-detection", 1)["phi-detection-time"] < 1.2  # the night only
    outputs = lesson.page.evaluate(
        """async () => {
            const notebook = window.jupyterapp.shell.currentWidget.content;
            const asks = notebook.widgets.findIndex(cell => cell.model.sharedModel.source.includes('check("04.4"'));
            notebook.widgets[asks].model.sharedModel.setSource(
                'choice = (ac.FixedTimeout(period=1), 1.1)\\ncheck("04.4", choice)');
            notebook.activeCellIndex = asks;
            await window.jupyterapp.commands.execute("notebook:run-all-below");
            return notebook.widgets.slice(asks).map(cell => JSON.stringify(cell.model.toJSON().outputs ?? [])).join();
        }"""
    )
    assert "04.4 ✗ not yet. 11,660 mistakes" in outputs
    assert "You paid 2653.01 s an hour." in outputs

    day = lesson.widget("equal-detection", 2)
    phi, fixed = tradeoff.matched(whole_day())
    at = THRESHOLDS.index(8)
    assert shows(day, "phi", phi[at])
    assert shows(day, "fixed", fixed[at])
    assert day["phi-mistakes"] < day["fixed-mistakes"]


def test_screenshots(lesson, artefacts):
    lesson.screenshots(artefacts)


def test_nothing_on_the_console_and_nothing_from_elsewhere(lesson):
    """The last test: of all that was done before."""
    lesson.was_quiet()
