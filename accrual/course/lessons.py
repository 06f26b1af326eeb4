"""``accrual lessons``: the course in a folder of the student's own, and JupyterLab on top of it.

What is installed is never edited, and what the student has done is never overwritten.
"""

from __future__ import annotations

import importlib.util
import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Final

from accrual.course import syllabus

if TYPE_CHECKING:
    import argparse

__all__ = ["configure_lessons", "copy_lessons", "lab_command", "run_lessons"]

FOLDER: Final = "accrual-lessons"
"""Where the lessons go when nobody says."""

NEW, SAME, YOURS = "new", "as installed", "yours, kept"


def copy_lessons(folder: str | os.PathLike[str]) -> dict[str, str]:
    """Copy the lessons to a folder; files that are there stay as they are.

    Parameters
    ----------
    folder : path
        Made where it is missing.

    Returns
    -------
    dict of str to str
        What became of each lesson: ``"new"``, ``"as installed"`` where the same was there already, or
        ``"yours, kept"`` where another file was.

    Raises
    ------
    ValueError
        The folder is the installed one: working there would edit it.
    OSError
        The folder cannot be made or written.

    Examples
    --------
    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     first, again = copy_lessons(folder), copy_lessons(folder)
    >>> first["03_phi"], again["03_phi"]
    ('new', 'as installed')
    """
    target, source = Path(folder), syllabus.installed()
    if isinstance(source, Path) and (
        target.resolve() == source.resolve() or source.resolve() in target.resolve().parents
    ):
        raise ValueError(f"{folder} is where the lessons are installed; choose another folder")
    target.mkdir(parents=True, exist_ok=True)
    outcome = {}
    for name, content in syllabus.notebooks().items():
        file = target / f"{name}.ipynb"
        try:
            # "x": whatever has the name, a file, a link, a link to nowhere, stays.
            with open(file, "xb") as new:
                new.write(content)
            outcome[name] = NEW
        except FileExistsError:
            outcome[name] = SAME if file.is_file() and file.read_bytes() == content else YOURS
    return outcome


def lab_command(folder: str | os.PathLike[str], port: int | None = None, browser: bool = True) -> list[str]:
    """The command that starts JupyterLab on a folder, and asks the network for nothing.

    JupyterLab would look for news and for newer versions of itself. As root, in a container, it would not start.
    """
    command = [
        *(sys.executable, "-m", "jupyterlab", f"--ServerApp.root_dir={Path(folder).resolve()}"),
        *("--LabApp.check_for_updates_class=jupyterlab.NeverCheckForUpdate", "--LabApp.news_url=None"),
        f"--LabApp.default_url=/lab/tree/{next(iter(syllabus.notebooks()))}.ipynb",
    ]
    if port is not None:
        command += [f"--ServerApp.port={port}"]
    if not browser:
        command += ["--no-browser"]
    if hasattr(os, "geteuid") and os.geteuid() == 0:
        command += ["--allow-root"]
    return command


# ---- the command ----


def configure_lessons(parser: argparse.ArgumentParser) -> None:
    """Give a parser the arguments of ``accrual lessons``."""
    parser.description = (
        "Copy the lessons to a folder and open them in JupyterLab. Files that are in the folder already stay as they "
        "are; to begin a lesson anew, rename or delete yours. With export, write each lesson as one web page that "
        "needs neither Python nor a network: with the answers, the output, and all sliders that need no kernel."
    )
    add = parser.add_argument
    add("action", nargs="?", choices=("open", "copy", "list", "export"), default="open", help="default: %(default)s")
    add("--only", action="append", metavar="LESSON", help="which to export, such as 03_phi; may be repeated")
    add("--folder", metavar="FOLDER", help=f"where to copy or export to (default: {FOLDER})")
    add("--port", type=_port, metavar="N", help="of JupyterLab (default: 8888, or the next that is free)")
    add("--no-browser", action="store_true", help="print JupyterLab's address instead of opening it")
    add("--no-start", action="store_true", help="the same as copy")
    add("--html", action="store_true", help="the format to export, the only one so far")
    add("--json", action="store_true", help="print the list of lessons as JSON, and do not start anything")


def _port(text: str) -> int:
    if not re.fullmatch(r"\d{1,5}", text) or not 0 < int(text) < 65536:
        raise ValueError
    return int(text)


_port.__name__ = "port"  # argparse says: invalid port value


def run_lessons(args: argparse.Namespace) -> int:
    """Run ``accrual lessons`` and return the exit status; what goes wrong is raised."""
    folder = args.folder or FOLDER
    if args.only and args.action != "export":
        raise ValueError(f"{args.action} is for all lessons; --only goes with export")
    if args.action == "list":
        _print_lessons({}, args.json)
        return 0
    if args.action == "export":
        from accrual.course.export import export  # its needs are the extra's

        for file in export(folder, args.only or ()):
            print(file, flush=True)
        return 0
    _print_lessons(copy_lessons(folder), args.json)
    if args.json or args.no_start or args.action == "copy":
        return 0
    if importlib.util.find_spec("jupyterlab") is None:
        raise ImportError(f"the lessons are in {folder}, but JupyterLab is missing: pip install accrual[lessons]")
    print(f"\nThe lessons are in {folder}. Ctrl-C, twice, ends JupyterLab.", flush=True)
    return _run(lab_command(folder, args.port, browser=not args.no_browser))


def _print_lessons(outcome: dict[str, str], as_json: bool) -> None:
    written = syllabus.notebooks()
    rows = [
        {
            "name": name,
            "title": lesson.title,
            "minutes": lesson.minutes,
            "part": lesson.part,
            "state": outcome.get(name, "installed") if name in written else "to come",
        }
        for name, lesson in syllabus.LESSONS.items()
    ]
    if as_json:
        print(json.dumps(rows))
        return
    for row in rows:
        print(f"{row['name']:26} {row['minutes']:2} min  {row['title']:32} {row['state']}")


def _run(command: list[str]) -> int:
    """Become a command, so that whoever ends us ends it; where that cannot be, run it to its end."""
    if os.name == "posix":
        os.execv(command[0], command)  # noqa: S606  # our own Python
    return subprocess.call(command)  # noqa: S603
