"""What the tests of labs share: whether one can run here, and what runs in a folder."""

import os
import threading
from pathlib import Path

import pytest


def runnable(lab, **parameters):
    """Skip where the machine lacks something, but in CI: there it has to be installed."""
    lacks = lab.lacking(**lab.bound(parameters))
    if lacks and os.environ.get("CI") != "true":
        pytest.skip("; ".join(f"needs {lack.what}: {lack.remedy}" for lack in lacks))


def run(lab, **parameters):
    runnable(lab, **parameters)
    return lab(**parameters)


def living_in(folder):
    """Processes whose working directory is below it, also if that is deleted: servers go to where their data is."""
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                if str((entry / "cwd").readlink()).startswith(f"{folder}/"):
                    found.append(int(entry.name))
            except OSError:
                continue
    return found


def wait_for(condition, patience=30):
    never = threading.Event()
    for _ in range(patience * 100):
        if condition():
            return
        never.wait(0.01)
    raise AssertionError("it did not come about")
