"""Lesson 10 in JupyterLab, in a real browser: sliders moved, numbers compared with the library's."""

import math

import pytest

from accrual.show import replication

pytestmark = pytest.mark.browser


@pytest.fixture(scope="module")
def lesson(open_lesson):
    lesson = open_lesson("10_replication.ipynb")
    lesson.cells = lesson.run_all()
    return lesson


def test_every_cell_ran(lesson):
    assert all(cell["count"] for cell in lesson.cells)
    kinds = [(output["output_type"], output.get("name")) for cell in lesson.cells for output in cell["outputs"]]
    assert {kind for kind, _ in kinds} == {"stream", "execute_result"}
    assert not any(name == "stderr" for _, name in kinds)


def test_commit_costs(lesson):
    widget = lesson.widget("commit-costs")
    for trip_key, trip in (("Home", 0.001), ("End", 0.1)):
        widget.press("round_trip", trip_key)
        for size_key, backups in (("Home", 1), ("End", 4)):
            widget.press("backups", size_key)
            for acks_key, acks in (("Home", 0), ("ArrowRight", 1), ("End", backups)):
                widget.press("acks", acks_key)
                found = replication.costs(trip, backups)[acks]
                assert (widget["round-trip"], widget["backups"], widget["acks"]) == (trip, backups, acks)
                assert math.isclose(widget["latency"], found.latency)
                assert widget["lost"] == sum(found.lost)
                assert found.mode in widget.spoken("acks")
    widget.press("round_trip", "Home", "ArrowRight", "ArrowRight")
    widget.press("acks", "Home", "ArrowRight")


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


def test_screenshots(lesson, artefacts):
    lesson.screenshots(artefacts)


def test_nothing_on_the_console_and_nothing_from_elsewhere(lesson):
    """The last test: of all that was done before."""
    lesson.was_quiet()
