"""The live widget in JupyterLab, in a real browser, with a real process: what it shows, and that nothing stays behind.

Nothing here depends on speed: waits have an end that no healthy machine comes near, and what is measured is printed.
"""

import itertools
import os
import re
import signal
import time

import nbformat
import pytest
from nbformat.v4 import new_code_cell, new_notebook

pytestmark = pytest.mark.browser

PATIENCE = 60_000  # ms


@pytest.fixture(scope="module")
def notebook(tmp_path_factory):
    """A notebook with the widget, and one cell in which it is shown again."""
    cells = [
        new_code_cell("from accrual.show.live import LivePhi\nlive = LivePhi()\nlive"),
        new_code_cell("live"),
    ]
    kernel = {"display_name": "Python 3", "language": "python", "name": "python3"}
    path = tmp_path_factory.mktemp("notebook") / "live.ipynb"
    nbformat.write(new_notebook(cells=cells, metadata={"kernelspec": kernel}), path)
    return path


@pytest.fixture(scope="module")
def lesson(open_lesson, notebook):
    lesson = open_lesson(notebook)
    lesson.run_all()
    return lesson


@pytest.fixture(scope="module")
def live(lesson):
    return lesson.widget("live-phi")


def press(live, action):
    live.root.locator(f'[data-action="{action}"]').press("Enter")


def until(live, condition, patience=PATIENCE):
    """Wait until something holds of the data attributes, which the condition calls d."""
    live.page.wait_for_function(
        f"root => {{ const d = root.dataset; return {condition}; }}", arg=live.root.element_handle(), timeout=patience
    )


def beats(live):
    """A process that has beaten for long enough that phi is known."""
    if live.text("phase") != "beating":
        press(live, "resume" if live.text("phase") in ("paused", "slowed") else "start")
    until(
        live, "d.phase === 'beating' && d.phi !== 'nan' && d.phiSuspected === 'false' && d.fixedSuspected === 'false'"
    )
    return int(live.text("pid"))


def begins_anew(live):
    """A new process: of what the last one did, and of its pauses, phi knows nothing."""
    if live.text("phase") in ("beating", "paused", "slowed"):
        press(live, "stop")
        until(live, "d.phase === 'stopped'")
    return beats(live)


def exists(pid):
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


def gone(pid, patience=60):
    """Whether a process ends."""
    end = time.monotonic() + patience
    while exists(pid) and time.monotonic() < end:
        time.sleep(0.05)
    return not exists(pid)


def test_before_it_is_started_there_is_an_example_and_no_process(lesson, live):
    assert (live.text("phase"), live.text("pid"), live.text("live")) == ("ready", "nan", "false")
    assert live["phi-suspicions"] == live["fixed-suspicions"] == live["phi-trusts"] == 1
    live.press("threshold", "End")
    until(live, "d.busy === 'false' && d.threshold === '100' && d.phiSuspicions === '0'")
    live.press("threshold", "Home", *["ArrowRight"] * 4)
    until(live, "d.busy === 'false' && d.threshold === '8' && d.phiSuspicions === '1'")


def test_pause_is_suspected_and_marked_and_taken_back(live):
    begins_anew(live)
    before = {name: live[name] for name in ("phi-suspicions", "fixed-suspicions", "phi-trusts", "fixed-trusts")}
    press(live, "pause")
    until(live, f"d.phase === 'paused' && +d.phiSuspicions > {before['phi-suspicions']}")
    until(live, f"+d.fixedSuspicions > {before['fixed-suspicions']}")
    assert live["phi"] >= 8
    assert live["fixed"] >= 5
    assert live["phi-suspected"]
    assert live["fixed-suspected"]
    assert live.root.locator("svg circle.phi.mark").count() >= 1
    assert live.root.locator("svg rect.fixed.mark").count() >= 1
    log = live.root.locator("ol.log").inner_text()
    silences = dict(re.findall(r"(φ|k × T) suspects, ([\d.]+ m?s) after", log))
    assert silences["k × T"] == "1 s"  # to the nanosecond, whenever it was noticed
    assert silences["φ"] != "1 s"  # it has an opinion of its own
    press(live, "resume")
    until(live, "d.phiSuspected === 'false' && d.fixedSuspected === 'false'")
    assert live["phi-trusts"] > before["phi-trusts"]
    assert live["fixed-trusts"] > before["fixed-trusts"]
    assert live.root.locator("svg .open").count() >= 2
    assert "trusts again" in live.root.locator("ol.log").inner_text()


def test_frames(live, capsys):
    """Levels climb in many steps, each of them a sample that the library gave; how many a second is only told."""
    beats(live)
    press(live, "pause")
    until(live, "d.phase === 'paused' && +d.fixed > 1")
    climb = live.page.evaluate(
        """async root => {
            const seen = [];
            const begin = performance.now();
            while (performance.now() - begin < 3000) {
                await new Promise(requestAnimationFrame);
                const now = {at: performance.now(), fixed: +root.dataset.fixed, phi: +root.dataset.phi};
                if (now.fixed !== seen.at(-1)?.fixed) seen.push(now);
            }
            return seen;
        }""",
        live.root.element_handle(),
    )
    for before, after in itertools.pairwise(climb):
        assert after["fixed"] > before["fixed"]
        assert after["phi"] >= before["phi"]
    steps = [1000 / (b["at"] - a["at"]) for a, b in itertools.pairwise(climb)]
    rate = 1000 * (len(climb) - 1) / (climb[-1]["at"] - climb[0]["at"])
    with capsys.disabled():
        print(f"\nlive widget: {rate:.1f} new levels a second on screen, the slowest step {min(steps):.1f}/s")
    assert len(climb) > 3


def test_slow_kill_and_restart(live):
    first = begins_anew(live)
    press(live, "slow")
    until(live, "d.phase === 'slowed'")
    press(live, "kill")
    until(live, "d.phase === 'killed' && d.pid === 'nan' && d.phiSuspected === 'true' && d.fixedSuspected === 'true'")
    assert gone(first)
    t = live["t"]
    until(live, f"+d.t > {t + 1}")
    assert live["phi-suspected"]  # and stays so
    assert live["fixed-suspected"]
    for action in ("pause", "resume", "slow", "stop", "kill"):
        assert live.root.locator(f'[data-action="{action}"]').get_attribute("aria-disabled") == "true"
        press(live, action)
    assert live.text("phase") == "killed"
    second = beats(live)
    assert second != first
    press(live, "stop")
    until(live, "d.phase === 'stopped' && d.fixedSuspected === 'true'")
    assert gone(second)


def test_killed_by_somebody_else(live):
    pid = beats(live)
    os.kill(pid, signal.SIGKILL)
    until(live, "d.phase === 'gone' && d.pid === 'nan'")
    assert gone(pid)


def test_thresholds_move_while_it_runs(live):
    beats(live)
    press(live, "pause")
    live.press("k", "End")
    until(live, "d.k === '10' && d.fixedSuspected === 'true'")
    live.press("k", "Home", *["ArrowRight"] * 4)
    until(live, "d.k === '5'")  # it is drawn with the next frame, not with the key
    press(live, "resume")
    until(live, "d.fixedSuspected === 'false'")


def test_shown_twice_there_is_one_process(lesson, live):
    pid = beats(live)
    twin = lesson.widget("live-phi", 1)
    until(twin, f"d.phase === 'beating' && d.pid === '{pid}'")
    press(twin, "pause")
    until(live, "d.phase === 'paused'")
    press(live, "resume")
    until(twin, "d.phase === 'beating'")
    assert exists(pid)


def test_pictures(lesson, live, artefacts):
    beats(live)
    press(live, "pause")
    until(live, "d.fixedSuspected === 'true'")
    press(live, "resume")
    until(live, "d.fixedSuspected === 'false'")
    lesson.screenshots(artefacts)


def test_running_the_cell_again_ends_the_first_process(lesson, live):
    pid = beats(live)
    lesson.run_all()
    assert gone(pid)
    again = lesson.widget("live-phi")
    until(again, "d.phase === 'ready'")


def test_a_restarted_kernel_leaves_no_process(lesson):
    live = lesson.widget("live-phi")
    pid = beats(live)
    press(live, "pause")  # also one that cannot see its input end
    until(live, "d.phase === 'paused'")
    lesson.page.evaluate("() => window.jupyterapp.shell.currentWidget.sessionContext.session.kernel.restart()")
    assert gone(pid)
    until(live, "d.phase === 'lost'")


def test_a_page_that_is_closed_leaves_no_process(lesson):
    lesson.page.wait_for_function(
        "() => window.jupyterapp.shell.currentWidget.sessionContext.session.kernel.status === 'idle'"
    )
    lesson.run_all()
    live = lesson.widget("live-phi")
    pid = beats(live)
    lesson.was_quiet()
    lesson.page.close()
    assert gone(pid)
