"""From a key press to the changed picture, in headless Chromium: ``python tests/bench/widgets.py [heartbeats ...]``.

`PhiAgainstFixed` in JupyterLab over synthetic traces, of 10^6 and 10^7 heartbeats unless said otherwise. Measured in
the page: from the keydown event of an arrow key on a slider to the first frame after the picture has changed. On the
browser's side (threshold, k) all numbers are there; on the kernel's (window) a replay of the whole trace is between.
Prints a Markdown table, and how many new levels a second the live widget shows.
"""

import os
import platform
import secrets
import statistics
import sys
import tempfile
import time
from pathlib import Path

import nbformat
from nbformat.v4 import new_code_cell, new_notebook

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
from browser.conftest import CHROMIUM, Lab, Lesson

PRESSES = 40
WINDOWS = 12  # presses of the window slider: each is a replay

TRACES = {
    "in order": "ac.Trace(np.cumsum(np.random.default_rng(1).normal(10e6, 5e5, {n}).astype(np.int64)), period=0.01)",
    "losses, some late": (
        'ac.synthesize({n}, period=0.01, delay="gamma:mean=3ms,deviation=2ms", loss="independent:loss=0.001", seed=3)'
    ),
}

# Of one key at a time: the next press comes when the picture of the last has been painted.
MEASURE = """async ([root, slider, key, wait]) => {
    const input = root.querySelector(`[data-slider="${slider}"]`);
    input.focus();
    const shown = () => ["phiThreshold", "fixedK", "window", "busy"].map((name) => root.dataset[name]).join();
    const before = shown();
    window.pressed = new Promise((resolve) => {
        root.addEventListener("keydown", () => {
            const at = performance.now();
            const look = () => {
                const changed = shown() !== before && root.dataset.busy === "false";
                requestAnimationFrame(changed ? () => resolve(performance.now() - at) : look);
            };
            requestAnimationFrame(look);
        }, {once: true, capture: true});
    });
}"""


def press(lesson, widget, slider, key):
    """One key, and how long it took until the changed picture was painted [ms]."""
    lesson.page.evaluate(MEASURE, [widget.root.element_handle(), slider, key, 0])
    lesson.page.keyboard.press(key)
    return lesson.page.evaluate("() => window.pressed")


def row(lesson, widget, slider, presses):
    """Median and 90th percentile of so many presses, there and back, the first left out."""
    times = [press(lesson, widget, slider, "ArrowLeft" if k % 2 else "ArrowRight") for k in range(presses + 1)][1:]
    return f"{statistics.median(times):.0f} ms ({statistics.quantiles(times, n=10)[-1]:.0f})"


def frames(lesson):
    """New levels a second of the live widget while its process is paused."""
    live = lesson.widget("live-phi")
    live.root.locator('[data-action="start"]').press("Enter")
    until = "([root, condition]) => new Function('d', `return ${condition}`)(root.dataset)"
    for action, condition in ((None, "d.phi !== 'nan'"), ("pause", "d.phase === 'paused' && +d.fixed > 1")):
        if action:
            live.root.locator(f'[data-action="{action}"]').press("Enter")
        lesson.page.wait_for_function(until, arg=[live.root.element_handle(), condition], timeout=60_000)
    count = lesson.page.evaluate(
        """async root => {
            const seen = new Set();
            const begin = performance.now();
            while (performance.now() - begin < 5000) {
                await new Promise(requestAnimationFrame);
                seen.add(root.dataset.fixed);
            }
            return seen.size;
        }""",
        live.root.element_handle(),
    )
    live.root.locator('[data-action="stop"]').press("Enter")
    return count / 5


def main(sizes):
    from playwright.sync_api import sync_playwright

    print(f"{os.cpu_count()} processors ({platform.machine()}), load {os.getloadavg()[0]:.1f} at the start\n")
    print("| heartbeats | trace | Φ | k | window | made in |\n|---|---|---|---|---|---|", flush=True)
    with tempfile.TemporaryDirectory() as name, sync_playwright() as playwright:
        folder = Path(name)
        chromium = playwright.chromium.launch(
            executable_path=CHROMIUM,
            args=["--disable-background-networking", *(["--no-sandbox"] if os.geteuid() == 0 else [])],
        )
        for heartbeats in sizes:
            for kind, trace in TRACES.items():
                setup = "import numpy as np\nimport accrual as ac\nfrom accrual.show.phi import PhiAgainstFixed\n"
                cells = [f"{setup}trace = {trace.format(n=heartbeats)}", "PhiAgainstFixed(trace)"]
                lesson, lab, took = opened(chromium, folder, cells)
                try:
                    widget = lesson.widget("phi-against-fixed")
                    found = [row(lesson, widget, slider, PRESSES) for slider in ("threshold", "k")]
                    found.append(row(lesson, widget, "window", WINDOWS))
                    print(f"| {heartbeats:,} | {kind} |", " | ".join(found), f"| {took:.1f} s |", flush=True)
                finally:
                    lab.end()
        lesson, lab, _ = opened(chromium, folder, ["from accrual.show.live import LivePhi", "LivePhi()"])
        try:
            print(f"\nLivePhi: {frames(lesson):.0f} new levels a second on screen")
        finally:
            lab.end()
        chromium.close()
    print(f"\nMedian of {PRESSES} presses ({WINDOWS} of the window), 90th percentile in brackets.")


def opened(chromium, folder, cells):
    """A notebook of some cells, run in a JupyterLab of its own; and how long that took [s]."""
    place = folder / secrets.token_hex(4)
    place.mkdir()
    kernel = {"display_name": "Python 3", "language": "python", "name": "python3"}
    notebook = new_notebook(cells=[new_code_cell(cell) for cell in cells], metadata={"kernelspec": kernel})
    nbformat.write(notebook, place / "bench.ipynb")
    lab = Lab(place, place / "bench.ipynb")
    try:
        lab.wait()
        lesson = Lesson(lab, chromium.new_page(viewport={"width": 1280, "height": 1000}), "bench.ipynb")
        begin = time.perf_counter()
        lesson.run_all()
        return lesson, lab, time.perf_counter() - begin
    except BaseException:
        lab.end()
        raise


if __name__ == "__main__":
    main([int(float(size)) for size in sys.argv[1:]] or [10**6, 10**7])
