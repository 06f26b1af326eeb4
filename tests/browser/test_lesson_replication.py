"""Lesson 10 in JupyterLab, in a real browser: sliders moved, numbers compared with the library's."""

import math

import pytest

from accrual.lab import recorded
from accrual.show import replication

pytestmark = pytest.mark.browser


@pytest.fixture(scope="module")
def lesson(open_lesson):
    lesson = open_lesson("10_replication.ipynb")
    lesson.cells = lesson.run_all()
    return lesson


def test_every_cell_ran(lesson):
    lesson.check_every_cell_ran()


def test_commit_costs(lesson):
    widget = lesson.widget("commit-costs")
    for trip_key, trip in (("Home", 0.001), ("End", 0.1)):
        widget.press("round_trip", trip_key)
        for size_key, backups in (("Home", 1), ("ArrowRight", 2), ("End", 4)):
            widget.press("backups", size_key)
            assert (widget["round-trip"], widget["backups"]) == (trip, backups)
            expected = replication.costs(trip, backups)
            assert widget["rows"] == widget.root.locator("tbody tr").count() == len(expected)
            for k, (found, row) in enumerate(zip(expected, widget.root.locator("tbody tr").all(), strict=True)):
                assert math.isclose(widget[f"latency{k}"], found.latency)
                assert widget[f"lost{k}"] == sum(found.lost)
                assert found.mode in row.inner_text()
            assert ("first of 4 backups" in widget.spoken("backups")) == (backups == 4)
    widget.press("round_trip", "Home", "ArrowRight", "ArrowRight")
    widget.press("backups", "End")


def test_the_lost_write_on_the_timeline(lesson):
    """Step by step with the keyboard: written, told OK, and gone; and back again."""
    widget = lesson.widget("scrubber", 0)
    on = widget.root.get_by_role("button", name="One event on")
    seen = []
    while widget["happened"] < widget["events"]:
        on.press("Enter")
        seen.append((widget["at"], widget.text("last")))
    said = [last for _, last in seen]
    assert "client 1: writes 197 to key 1" in said
    assert "client 1: is told OK: write 197" in said
    assert said[-2:] == ["node 1: trusts (node 2)", "client 0: gets 191, of key 1"]
    assert (2, "node 0: crash (primary -> down)") in seen
    widget.root.get_by_role("button", name="To the beginning").press("Enter")
    assert widget["happened"] == 0


def test_the_read_of_what_is_gone(lesson):
    """The same two requests; what the second one gets depends on where the primary waits."""
    widget = lesson.widget("scrubber", 1)
    for point, value in (("after commit", 982), ("before commit", 961)):
        widget.root.locator('[data-choice="shown"]').select_option(point)
        widget.root.get_by_role("button", name="To the end").press("Enter")
        run = replication.dies_while_it_waits(point, 2)
        assert run.operations[983].value == value
        assert f"gets {value}, of key 1" in widget.root.inner_text()
        assert widget.text("state-0") == "down"
    widget.root.locator('[data-choice="shown"]').select_option("after commit")
    widget.root.get_by_role("button", name="To the end").press("Enter")


def test_the_link_that_heals(lesson):
    widget = lesson.widget("scrubber", 2)
    for name, heals in (("heals at 4 s", 2.0), ("does not heal", None)):
        widget.root.locator('[data-choice="shown"]').select_option(name)
        run = replication.cut_off(1.0, 3.0, heals_after=heals)
        widget.root.get_by_role("button", name="To the end").press("Enter")
        assert ("semi-synchronous again" in widget.root.inner_text()) == (heals is not None)
        assert widget.text("state-0") == "down"
        widget.press("at", "Home")
        assert widget["at"] == 1.5
        assert widget.text("state-0") == "primary"
        assert run.outcome.lost_writes == (60 if heals is None else 0)


def test_fallback(lesson):
    widget = lesson.widget("fallback")
    for timeout_key, timeout in (("Home", 0.5), ("ArrowRight", 1.0), ("End", replication.NEVER), ("ArrowLeft", 10.0)):
        widget.press("timeout", timeout_key)
        for outage_key, outage in (("Home", 0.25), ("End", 12.0), ("ArrowLeft", 6.0)):
            widget.press("outage", outage_key)
            assert (widget["timeout"], widget["outage"]) == (timeout, outage)
            run = replication.cut_off(timeout, outage)
            assert widget["lost"] == run.outcome.lost_writes
            assert widget["safe"] + widget["lost"] == run.outcome.acknowledged_writes
            assert f"{run.outcome.lost_writes} acknowledged writes lost" in widget.spoken("outage")
    widget.press("timeout", "Home", "ArrowRight", "ArrowRight")


def test_real_servers(lesson):
    widget = lesson.widget("real-servers")
    far = widget.root.locator('[data-switch="far"]')
    for name, modes in replication.RealServers().found.items():
        widget.root.locator('[data-choice="shown"]').select_option(name)
        for which in (0, 1):
            assert widget["far"] == which
            for k, mode in enumerate(modes):
                assert widget[f"lost{k}"] == mode.measured_lost[which]
                assert math.isclose(widget[f"computed{k}"], mode.lost[which], abs_tol=1e-9)
            far.press("Space")
    far.press("Space")


def test_labs_wait_for_their_buttons(lesson):
    """Recorded until then, and each with the picture of its result below it."""
    for k, (recording, name) in enumerate((("replication", "Valkey"), ("replication-postgresql", "PostgreSQL"))):
        button = lesson.widget("run-lab", k)
        assert button.text("phase") in ("ready", "lacking")
        assert button.text("recorded") == "true"
        assert button["rows"] == len(recorded(recording).rows)
        below = lesson.widget("real-servers", k + 1)
        assert below.text("shown") == name
        assert below.root.locator('[data-choice="shown"]').count() == 0  # one server: nothing to choose


def test_screenshots(lesson, artefacts):
    lesson.screenshots(artefacts)


def test_nothing_on_the_console_and_nothing_from_elsewhere(lesson):
    """The last test: of all that was done before."""
    lesson.was_quiet()
