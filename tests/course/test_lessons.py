"""``accrual lessons``: what is copied, what is left alone, and a JupyterLab that really starts."""

import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path

import pytest

import accrual as package
from accrual.cli import main
from accrual.course import lessons, syllabus


@pytest.fixture(autouse=True)
def _in_a_folder_of_its_own(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def accrual(capsys):
    """Run the command and return its status, output and complaints."""

    def run(*arguments):
        status = main(["lessons", *map(str, arguments)])
        return status, *capsys.readouterr()

    return run


def test_copy(accrual):
    status, out, err = accrual("--no-start")
    assert (status, err) == (0, "")
    for name, notebook in syllabus.notebooks().items():
        assert Path("accrual-lessons", f"{name}.ipynb").read_bytes() == notebook
        assert f"{name:26}" in out
    assert out.count("  new\n") == len(syllabus.notebooks())


def test_what_the_student_did_stays(accrual):
    accrual("copy", "--folder", "mine")
    mine = Path("mine")
    (mine / "03_phi.ipynb").write_text("my work")
    (mine / "00_start.ipynb").unlink()
    (mine / "01_faults.ipynb").unlink()
    (mine / "01_faults.ipynb").symlink_to("nowhere")
    (mine / "notes.txt").write_text("my notes")
    status, out, err = accrual("copy", "--folder", "mine", "--json")
    assert (status, err) == (0, "")
    states = {row["name"]: row["state"] for row in json.loads(out)}
    assert states["03_phi"] == states["01_faults"] == "yours, kept"
    assert states["00_start"] == "new"
    assert (mine / "03_phi.ipynb").read_text() == "my work"
    assert (mine / "01_faults.ipynb").is_symlink()
    assert not Path("nowhere").exists()
    assert (mine / "notes.txt").read_text() == "my notes"
    assert lessons.copy_lessons(mine)["00_start"] == "as installed"


def test_a_copy_can_be_written_to(accrual):
    accrual("copy")
    assert os.access("accrual-lessons/03_phi.ipynb", os.W_OK)


def test_the_installed_lessons_are_nobodys_folder(accrual):
    before = {file: file.stat().st_mtime_ns for file in syllabus.installed().rglob("*")}
    Path("link").symlink_to(syllabus.installed())
    for folder in (syllabus.installed(), syllabus.installed() / "below", "link"):
        status, out, err = accrual("copy", "--folder", folder)
        assert (status, out) == (2, "")
        assert "is where the lessons are installed" in err
        assert len(err.splitlines()) == 1
    assert {file: file.stat().st_mtime_ns for file in syllabus.installed().rglob("*")} == before


def test_the_lessons_in_a_wheel_are_nobodys_folder_either(accrual, monkeypatch, tmp_path):
    """There they are a package without __init__, which importlib gives no path of."""
    wheel = tmp_path / "wheel" / "lessons"
    shutil.copytree(syllabus.installed(), wheel, ignore=shutil.ignore_patterns("*.py", "__pycache__", ".*", "source"))
    monkeypatch.setattr(package, "__path__", [*package.__path__, str(wheel.parent)])
    try:
        assert syllabus.installed() == wheel
        assert accrual("copy")[0] == 0
        status, _, err = accrual("copy", "--folder", wheel)
        assert (status, len(err.splitlines())) == (2, 1)
    finally:
        sys.modules.pop("accrual.lessons", None)


def test_a_folder_that_is_none(accrual):
    Path("file").touch()
    status, _, err = accrual("copy", "--folder", "file")
    assert (status, err) == (1, "accrual: file: File exists\n")
    status, _, err = accrual("copy", "--folder", "file/below")
    assert (status, len(err.splitlines())) == (1, 1)


def test_list(accrual):
    status, out, _ = accrual("list")
    assert status == 0
    assert [line.split()[0] for line in out.splitlines()] == list(syllabus.LESSONS)
    assert not Path("accrual-lessons").exists()
    rows = json.loads(accrual("list", "--json")[1])
    assert {row["name"] for row in rows if row["state"] == "installed"} == set(syllabus.notebooks())


@pytest.mark.parametrize(
    "arguments",
    ["--port 0", "--port 65536", "--port x", "nonsense", "list --only 03_phi", "copy --only 03_phi", "export --only 3"],
)
def test_bad_usage(accrual, arguments):
    status, out, err = accrual(*arguments.split())
    assert (status, out) == (2, "")
    assert len(err.splitlines()) == 1
    assert not Path("accrual-lessons").exists()


def test_export(accrual):
    status, out, err = accrual("export", "--html", "--folder", "pages", "--only", "01_faults")
    assert (status, out, err) == (0, "pages/01_faults.html\n", "")
    page = Path("pages/01_faults.html").read_text()
    assert re.findall(r"https?://[^\s\"'`<]+", page.replace("http://www.w3.org/2000/svg", "")) == []
    models = json.loads(re.search(r'id="models">(.*?)</script>', page, re.DOTALL)[1])
    assert len(models) == page.count("data-model=") == 3
    assert all("render" in model["_esm"] for model in models.values())
    assert page.count("<summary>Answer</summary>") == 7
    assert 'alt="A = \\dfrac{MTTF}{MTTF + MTTR}"' in page
    assert 'id="What-breaks-(5-minutes)"' in page
    assert [file.name for file in Path("pages").iterdir()] == ["01_faults.html"]


def test_what_follows_from_a_lab_is_on_the_page(tmp_path):
    """A box with widgets in it, each drawn in its place."""
    import nbformat
    from nbformat.v4 import new_code_cell, new_notebook

    from accrual.course.export import page

    cells = [
        "from accrual.show.pools import Ladder\nfrom accrual.show.run_lab import RunLab\nlab = RunLab('ladder')\nlab",
        "lab.then(Ladder)",
        "import ipywidgets\nipywidgets.IntSlider(3)",
    ]
    made = page("made", nbformat.writes(new_notebook(cells=[new_code_cell(cell) for cell in cells])).encode())
    models = json.loads(re.search(r'id="models">(.*?)</script>', made, re.DOTALL)[1])
    places = re.findall(r'<div data-model="(\w+)">', made)
    assert len(places) == len(models) == 2
    assert models[places[0]]["about"]["name"] == "ladder"
    assert len(models[places[1]]["rungs"]) == 9
    assert "<pre>IntSlider(value=3)</pre>" in made  # what the page cannot draw stays text


def test_a_lesson_that_does_not_run_is_told_in_a_line(accrual, monkeypatch, tmp_path):
    broken = tmp_path / "broken"
    broken.mkdir()
    (broken / "anywidget.py").write_text("raise ImportError('broken on purpose')")
    monkeypatch.setenv("PYTHONPATH", str(broken), prepend=":")
    status, out, err = accrual("export", "--folder", "pages", "--only", "01_faults")
    assert (status, out) == (1, "")
    assert err == "accrual: lesson 01_faults does not run here: ImportError: broken on purpose\n"
    assert list(Path("pages").iterdir()) == []


def test_what_matplotlib_cannot_set_stays_tex():
    from accrual.course.export import _markdown

    assert "<code>\\begin{cases} 1 &amp; 2 \\end{cases}</code>" in _markdown(
        r"so $\begin{cases} 1 & 2 \end{cases}$ it is"
    )
    assert "<img" not in _markdown("it costs $5 and not $6")


def test_without_jupyterlab_the_lessons_are_there_all_the_same(accrual, monkeypatch):
    monkeypatch.setattr(lessons.importlib.util, "find_spec", lambda name: None)
    status, _, err = accrual()
    assert status == 1
    assert (
        err == "accrual: the lessons are in accrual-lessons, but JupyterLab is missing: pip install accrual[lessons]\n"
    )
    assert Path("accrual-lessons/03_phi.ipynb").exists()


def test_it_starts_and_ends(tmp_path):
    """A real JupyterLab over the copies, that serves them and ends with the command."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    folders = {f"JUPYTER_{kind}_DIR": str(tmp_path / kind.lower()) for kind in ("CONFIG", "DATA", "RUNTIME")}
    environment = os.environ | folders | {"JUPYTER_TOKEN": "secret", "IPYTHONDIR": str(tmp_path / "ipython")}
    command = [sys.executable, "-m", "accrual", "lessons", "--folder", "mine", "--port", str(port), "--no-browser"]
    log = tmp_path / "log"
    with log.open("wb") as output:
        process = subprocess.Popen(
            command, env=environment, stdin=subprocess.DEVNULL, stdout=output, stderr=output, start_new_session=True
        )
    try:
        address = f"http://127.0.0.1:{port}/api/contents?token=secret"
        until = time.monotonic() + 90
        while True:
            try:
                with urllib.request.urlopen(address, timeout=10) as answer:
                    files = {file["name"] for file in json.load(answer)["content"]}
                break
            except (urllib.error.URLError, ConnectionError, TimeoutError):
                assert process.poll() is None, log.read_text()
                assert time.monotonic() < until, log.read_text()
                time.sleep(0.1)
        assert {f"{name}.ipynb" for name in syllabus.notebooks()} <= files
        process.send_signal(signal.SIGTERM)
        process.wait(timeout=60)
        with pytest.raises(urllib.error.URLError):
            urllib.request.urlopen(address, timeout=10)
    finally:
        os.killpg(process.pid, signal.SIGKILL) if process.poll() is None else None
    said = log.read_text()
    assert "The lessons are in mine." in said
    assert "Traceback" not in said
