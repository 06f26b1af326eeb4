"""Lesson 3 in JupyterLab, in a real browser: sliders moved by the keyboard, numbers compared with the library's."""

import math

import numpy as np
import pytest

import accrual as ac
from accrual.show import phi

pytestmark = pytest.mark.browser

WINDOW, THRESHOLD, K = 1000, 8, 5  # where the widget's sliders are at first


@pytest.fixture(scope="module")
def lesson(open_lesson):
    lesson = open_lesson("03_phi.ipynb")
    lesson.cells = lesson.run_all()
    return lesson


@pytest.fixture(scope="module")
def contended():
    return ac.load("contended")


def shows(widget, detector, found):
    """Whether the numbers under `detector` are those of a QoS."""
    for field in phi.METRICS:
        shown = widget[f"{detector}-{field.replace('_', '-')}"]
        np.testing.assert_equal(shown, float(getattr(found, field)), err_msg=field)
    return True


@pytest.fixture
def against(lesson):
    """Phi against k x T on the contended recording, with the sliders where they were at first."""
    widget = lesson.widget("phi-against-fixed")
    yield widget
    stops = {"threshold": phi.THRESHOLDS, "window": phi.WINDOWS, "k": phi.BEATS, "period": phi.PERIODS}
    for name, value in (("threshold", THRESHOLD), ("window", WINDOW), ("k", K), ("period", 1)):
        widget.press(name, "Home", *["ArrowRight"] * stops[name].index(value))
    widget.wait("window", WINDOW)


def busy_kernel(lesson, seconds):
    """Keep the kernel from answering for a while: asleep with the GIL, for comms have a thread of their own."""
    lesson.page.evaluate(
        """seconds => {
            const kernel = window.jupyterapp.shell.currentWidget.sessionContext.session.kernel;
            kernel.requestExecute({code: `import ctypes; ctypes.PyDLL(None).usleep(${seconds * 1e6})`, silent: true});
        }""",
        seconds,
    )


def test_every_cell_ran(lesson):
    lesson.check_every_cell_ran()


def test_the_sampling_window_steps_forward_and_back(lesson):
    widget, steps = lesson.widget("sampling-window"), phi.sampling_window(phi.EXAMPLE)
    widget.slider("arrived").focus()
    where = lesson.active_cell()

    def is_at(arrived):
        step = steps[arrived - 1]
        assert widget["arrived"] == step.arrived
        assert widget["intervals"] == len(step.intervals)
        assert widget["evicted"] == (step.evicted or 0)
        np.testing.assert_equal(widget["mean"], math.nan if step.mean is None else step.mean)
        np.testing.assert_equal(widget["deviation"], math.nan if step.deviation is None else step.deviation)
        return True

    assert is_at(1)
    widget.press("arrived", *["ArrowRight"] * 10)
    assert is_at(11)
    assert "takes the slot of t1" in widget.spoken("arrived")
    widget.press("arrived", "ArrowLeft")
    assert is_at(10)
    widget.press("arrived", "End")
    assert is_at(14)
    widget.press("arrived", "Home")
    assert is_at(1)
    for key, title, arrived in (("Enter", "forward", 2), ("Space", "forward", 3), ("Enter", "back", 2)):
        widget.root.get_by_role("button", name=f"One heartbeat {title}").press(key)
        assert is_at(arrived)
    widget.press("arrived", *["ArrowRight"] * 9)
    assert lesson.active_cell() == where  # no key went to the notebook


def test_the_tail_and_phi(lesson):
    widget = lesson.widget("tail")
    numbers = phi.tail(ac.load("idle").arrivals[:1001])

    def is_at(stop):
        assert widget["elapsed"] == numbers.elapsed[stop]
        assert widget["later"] == numbers.later[stop]
        assert widget["phi"] == numbers.phi[stop]
        assert widget["outlived"] == numbers.outlived[stop]
        return True

    mean = int(np.argmin(np.abs(numbers.elapsed - numbers.mean)))
    assert is_at(mean)
    widget.press("stop", *["ArrowRight"] * 20)
    assert is_at(mean + 20)
    widget.press("stop", "ArrowUp")
    assert is_at(mean + 21)
    widget.press("stop", "End")
    assert is_at(-1)
    widget.press("stop", "PageDown")
    assert widget["phi"] < numbers.phi[-1]
    widget.press("stop", "Home")
    assert is_at(0)
    widget.press("stop", *["ArrowRight"] * (mean + 15))
    assert is_at(mean + 15)


def test_the_threshold(lesson, against, contended):
    skip = phi.WINDOWS[-1]
    against.slider("threshold").focus()
    where = lesson.active_cell()
    index = phi.THRESHOLDS.index(THRESHOLD)
    last = len(phi.THRESHOLDS) - 1
    for key, moved in (
        (None, index),
        ("ArrowRight", index + 1),
        ("ArrowLeft", index),
        ("ArrowUp", index + 1),
        ("End", last),
        ("ArrowLeft", last - 1),
        ("Home", 0),
        ("PageUp", None),
    ):
        if key:
            against.press("threshold", key)
        threshold = against["phi-threshold"]
        if moved is not None:
            assert threshold == phi.THRESHOLDS[moved]
        found = ac.qos(contended, ac.PhiNormal(window=WINDOW), threshold, skip=skip)
        assert shows(against, "phi", found)
        assert against.spoken("threshold").startswith(f"Phi = {threshold:,g}: {found.mistakes:,} mistake")
        assert against.spoken("threshold").endswith("min")
    assert lesson.active_cell() == where


def test_k_and_the_period(against, contended):
    skip = phi.WINDOWS[-1]
    for name, key in (
        ("k", "ArrowRight"),
        ("k", "ArrowLeft"),
        ("k", "Home"),
        ("period", "ArrowRight"),
        ("k", "PageUp"),
        ("k", "End"),
        ("period", "End"),
        ("period", "Home"),
    ):
        against.press(name, key)
        period, k = against["fixed-period"], against["fixed-k"]
        found = ac.qos(contended, ac.FixedTimeout(period=period), k, skip=skip)
        assert shows(against, "fixed", found)
        assert against["fixed-timeout"] == k * period
        assert f"{found.mistakes:,} mistake" in against.spoken(name)
    assert (period, k) == (0.005, 20)


def test_the_window_is_replayed_by_the_kernel(against, contended):
    for key, window in (("ArrowLeft", 500), ("ArrowLeft", 200), ("Home", 10), ("End", 5000)):
        against.press("window", key)
        against.wait("window", window)
        found = ac.qos(contended, ac.PhiNormal(window=window), THRESHOLD, skip=phi.WINDOWS[-1])
        assert shows(against, "phi", found)
        assert against.spoken("window").startswith(f"window = {window:,}: {found.mistakes:,} mistake")


def test_thresholds_need_no_kernel(lesson, against, contended):
    busy_kernel(lesson, seconds=3)
    against.press("threshold", "ArrowRight")
    assert against["phi-threshold"] == phi.THRESHOLDS[phi.THRESHOLDS.index(THRESHOLD) + 1]
    assert shows(
        against, "phi", ac.qos(contended, ac.PhiNormal(window=WINDOW), against["phi-threshold"], skip=phi.WINDOWS[-1])
    )
    against.press("k", "ArrowRight")
    assert against["fixed-k"] == phi.BEATS[phi.BEATS.index(K) + 1]


def test_a_busy_kernel_gets_the_last_wish_only(lesson, against):
    lesson.page.evaluate(
        """root => {
            window.seen = [];
            const watch = new MutationObserver(() => window.seen.push(root.dataset.window));
            watch.observe(root, {attributeFilter: ["data-window"]});
        }""",
        against.root.element_handle(),
    )
    busy_kernel(lesson, seconds=1)
    against.press("window", *["ArrowLeft"] * 6)
    assert against["busy"]
    assert against["window"] == WINDOW  # the numbers in the page are still those of this window
    assert "computing" in against.spoken("window")
    last = phi.WINDOWS[phi.WINDOWS.index(WINDOW) - 6]
    against.wait("window", int(last))
    replayed = {int(window) for window in lesson.page.evaluate("() => window.seen")}
    assert replayed <= {WINDOW, 500, last}  # the first was under way; those between were dropped


def test_the_timeline_zooms(against, contended):
    span = (contended.arrivals[-1] - contended.arrivals[0]) / 1e9
    assert (against["start"], against["end"]) == (0, span)
    against.root.get_by_role("button", name="Zoom in").press("Enter")
    against.wait("start", against.page.evaluate("span => String(span / 4)", span))
    assert against["end"] == pytest.approx(0.75 * span)
    against.root.get_by_role("button", name="Later").press("Enter")
    against.wait("end", span)
    against.root.get_by_role("button", name="The whole trace").press("Space")
    against.wait("start", 0)

    # A click goes to the longest silence near the pointer, eight times as close.
    lanes = against.root.locator("svg.timeline")
    lanes.scroll_into_view_if_needed()
    box = lanes.bounding_box()
    for width in (span / 8, span / 64):
        lanes.click(position={"x": box["width"] / 2, "y": box["height"] / 3})
        against.page.wait_for_function(
            """([{dataset}, width]) =>
                dataset.busy === "false" && Math.abs(dataset.end - dataset.start - width) < 1e-6""",
            arg=[against.root.element_handle(), width],
        )
    middle = (against["start"] + against["end"]) / 2
    assert abs(middle - span / 2) < span / 10
    against.root.get_by_role("button", name="The whole trace").press("Enter")
    against.wait("start", 0)


def test_screenshots(lesson, artefacts):
    lesson.screenshots(artefacts)


def test_nothing_on_the_console_and_nothing_from_elsewhere(lesson):
    """The last test: of all that was done before."""
    lesson.was_quiet()
