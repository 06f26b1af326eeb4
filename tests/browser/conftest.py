"""JupyterLab and a browser for the lessons, with nothing but 127.0.0.1 to talk to."""

import ctypes
import json
import os
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path
from urllib.parse import urlsplit

import pytest

ROOT = Path(__file__).resolve().parents[2]
CHROMIUM = Path("/usr/bin/chromium")

# No news, and the whole notebook in the page, not just the cells in view: tests look at all of them.
SETTINGS = {
    "@jupyterlab/apputils-extension:notification": {"fetchNews": "false"},
    "@jupyterlab/notebook-extension:tracker": {"windowingMode": "none"},
}


def end_with_us():
    """In a child: SIGTERM when the tests die, however they die."""
    pr_set_pdeathsig = 1
    ctypes.CDLL(None).prctl(pr_set_pdeathsig, signal.SIGTERM)


class Lab:
    """A JupyterLab server of our own: copies of lessons, no settings of the user's, a free port, a token.

    With `classic` it is Notebook 7: the same server, another front end.
    """

    def __init__(self, folder, *lessons, classic=False):
        self.tree, app = ("notebooks", "JupyterNotebookApp") if classic else ("lab/tree", "LabApp")
        self.lessons = folder / "lessons"
        self.lessons.mkdir()
        for lesson in lessons:
            shutil.copy(ROOT / "lessons" / lesson, self.lessons)
        config = folder / "config"
        (config / "labconfig").mkdir(parents=True)
        (config / "labconfig" / "default_setting_overrides.json").write_text(json.dumps(SETTINGS))
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
        self.token = secrets.token_hex(16)
        self.url = f"http://127.0.0.1:{port}"
        self.log = folder / "jupyter.log"
        folders = {f"JUPYTER_{kind}_DIR": str(folder / kind.lower()) for kind in ("CONFIG", "DATA", "RUNTIME")}
        with self.log.open("wb") as log:
            self.process = subprocess.Popen(
                [
                    sys.executable, "-m", "notebook" if classic else "jupyterlab", "--no-browser", "--allow-root",
                    f"--ServerApp.root_dir={self.lessons}", "--ServerApp.ip=127.0.0.1",
                    f"--ServerApp.port={port}", "--ServerApp.port_retries=0",
                    f"--IdentityProvider.token={self.token}", f"--{app}.expose_app_in_browser=True",
                ],
                env=os.environ | folders | {"IPYTHONDIR": str(folder / "ipython")},
                stdin=subprocess.DEVNULL, stdout=log, stderr=subprocess.STDOUT,
                start_new_session=True, preexec_fn=end_with_us,
            )  # fmt: skip

    def wait(self, patience=60):
        """Until it answers."""
        until = time.monotonic() + patience
        while True:
            try:
                return urllib.request.urlopen(f"{self.url}/api", timeout=5).close()
            except (urllib.error.URLError, ConnectionError, TimeoutError):
                if self.process.poll() is not None or time.monotonic() > until:
                    raise AssertionError(f"JupyterLab did not start:\n{self.log.read_text()[-4000:]}") from None
                time.sleep(0.1)

    def end(self):
        """SIGTERM ends the server and, through it, its kernels; what is left after that is killed."""
        for sign in (signal.SIGTERM, signal.SIGKILL):
            try:
                os.killpg(self.process.pid, sign)
                self.process.wait(timeout=20)
            except (ProcessLookupError, subprocess.TimeoutExpired):
                continue


class Lesson:
    """A lesson in the browser, and what the page did meanwhile."""

    def __init__(self, lab, page, name):
        self.page, self.name = page, name
        self.errors, self.strangers = [], []
        page.on("console", lambda message: message.type == "error" and self.errors.append(message.text))
        page.on("pageerror", lambda error: self.errors.append(str(error)))
        page.on("request", lambda request: self._look_at(request.url))
        page.goto(f"{lab.url}/{lab.tree}/{name}?token={lab.token}")
        page.wait_for_function(
            """() => {
                const panel = window.jupyterapp?.shell.currentWidget;
                return panel?.content?.model?.cells?.length > 1
                    && panel.sessionContext?.session?.kernel?.status === "idle";
            }""",
            timeout=60_000,
        )

    def _look_at(self, url):
        where = urlsplit(url)
        if where.scheme not in ("data", "blob") and where.hostname != "127.0.0.1":
            self.strangers.append(url)

    def run_all(self):
        """Run all cells; the outputs, as a list for each cell."""
        self.page.evaluate("() => window.jupyterapp.commands.execute('notebook:run-all-cells')")
        return self.page.evaluate(
            """() => [...window.jupyterapp.shell.currentWidget.content.model.cells]
                .map(cell => cell.toJSON()).filter(cell => cell.cell_type === "code")
                .map(cell => ({source: cell.source, outputs: cell.outputs, count: cell.execution_count}))"""
        )

    def check_every_cell_ran(self):
        """Of `cells`, what the last `run_all` gave: each ran, and gave text and widgets, no warning and no error."""
        assert all(cell["count"] for cell in self.cells)
        kinds = [(output["output_type"], output.get("name")) for cell in self.cells for output in cell["outputs"]]
        assert {kind for kind, _ in kinds} == {"stream", "execute_result"}
        assert not any(name == "stderr" for _, name in kinds)

    def command(self, name, **arguments):
        """One of JupyterLab's own commands."""
        self.page.evaluate("([name, args]) => window.jupyterapp.commands.execute(name, args)", [name, arguments])

    def widget(self, name, number=0):
        """One of its widgets, by the name that it gives itself."""
        return Widget(self, name, number)

    def active_cell(self):
        return self.page.evaluate("() => window.jupyterapp.shell.currentWidget.content.activeCellIndex")

    def screenshots(self, folder):
        """Kept to be looked at: the whole lesson, light and dark, and each widget."""
        page, stem = self.page, self.name.removesuffix(".ipynb")
        panel = page.locator(".jp-NotebookPanel-notebook .jp-WindowedPanel-outer")
        height = panel.evaluate("panel => panel.querySelector('.jp-WindowedPanel-inner').offsetHeight")
        for theme in ("Light", "Dark"):
            self.command("apputils:change-theme", theme=f"JupyterLab {theme}")
            page.wait_for_function(
                "light => document.body.dataset.jpThemeLight === light", arg="true" if theme == "Light" else "false"
            )
            page.set_viewport_size({"width": 1280, "height": height + 200})
            panel.evaluate("panel => panel.scrollTo(0, 0)")
            page.screenshot(path=folder / f"{stem}-{theme.lower()}.png")
            page.set_viewport_size({"width": 1280, "height": 1000})
            for number, widget in enumerate(page.locator("[data-widget]").all()):
                widget.screenshot(path=folder / f"{stem}-{theme.lower()}-{number}.png")

    def was_quiet(self):
        """Nothing on the console, and nothing from elsewhere."""
        assert self.errors == []
        assert self.strangers == []


class Widget:
    """A widget of a lesson: its sliders, and the numbers that it mirrors in its data attributes."""

    def __init__(self, lesson, name, number=0):
        self.page = lesson.page
        self.root = self.page.locator(f'[data-widget="{name}"]').nth(number)
        self.root.wait_for()

    def text(self, name):
        return self.root.get_attribute(f"data-{name}")

    def __getitem__(self, name):
        return float(self.text(name).replace("false", "0").replace("true", "1"))

    def slider(self, name):
        return self.root.locator(f'[data-slider="{name}"]')

    def press(self, name, *keys):
        self.slider(name).focus()
        for key in keys:
            self.page.keyboard.press(key)

    def spoken(self, name):
        return self.slider(name).get_attribute("aria-valuetext")

    def wait(self, name, value):
        """Until the kernel's answer is there."""
        self.page.wait_for_function(
            "([root, name, value]) => root.dataset[name] === value && root.dataset.busy === 'false'",
            arg=[self.root.element_handle(), name, str(value)],
            timeout=20_000,
        )


@pytest.fixture(scope="session")
def artefacts():
    """Where screenshots are kept."""
    folder = ROOT / "artefacts"
    folder.mkdir(exist_ok=True)
    return folder


@pytest.fixture(scope="module")
def browser():
    """Debian's Chromium. Not for longer than a module: playwright's event loop would stand in asyncio tests' way."""
    if not CHROMIUM.exists():
        missing = f"{CHROMIUM} is missing: apt-get install chromium"
        if os.environ.get("CI") == "true":
            pytest.fail(missing)
        pytest.skip(missing)
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(
            executable_path=CHROMIUM,
            args=[
                "--host-resolver-rules=MAP * ~NOTFOUND , EXCLUDE 127.0.0.1",
                "--disable-background-networking",
                "--disable-component-update",
                *(["--no-sandbox"] if os.geteuid() == 0 else []),
            ],
        )
        yield chromium
        chromium.close()


@pytest.fixture(scope="module")
def open_lesson(browser, tmp_path_factory):
    """A function that opens a lesson, by its file's name, in a JupyterLab of its own; others lie beside it.

    A whole path opens another notebook than a lesson.
    """
    ours = []

    def opened(name, *others, classic=False):
        lab = Lab(tmp_path_factory.mktemp("lab"), name, *others, classic=classic)
        ours.append(lab)
        lab.wait()
        return Lesson(lab, browser.new_page(viewport={"width": 1280, "height": 1000}), Path(name).name)

    yield opened
    for lab in ours:
        lab.end()
