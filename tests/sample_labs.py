"""Labs of the tests: one for each way in which a lab can end."""

import ctypes
import os
import subprocess
import sys
import time
from typing import Literal

from accrual.lab import LabError, Lack, Scene, lab

# Where a lab's own process finds this module, also by the name that pytest gives it when it looks for doctests here.
PATH = os.pathsep.join([os.path.dirname(__file__), os.path.dirname(os.path.dirname(__file__))])
SLEEPER = [sys.executable, "-IS", "-c", "import sys, time; print('up', flush=True); time.sleep(1000)"]
ORPHAN = f"""
import os, subprocess, sys
if os.fork():
    sys.exit()
os.setsid()
subprocess.Popen({SLEEPER!r}, env={{}}, stdout=subprocess.DEVNULL)
"""


@lab("sample")
def sample(scene: Scene, *, rate: float = 2.0, kind: Literal["plain", "odd"] = "plain", peers: int | None = None):
    """Do next to nothing.

    Parameters
    ----------
    rate : float
        Of nothing [1/s], 100 %
        or less.
    kind : str
        Which.
    """
    if not rate > 0:
        raise ValueError(f"rate must be above 0, got {rate!r}")
    scene.tell("lab", "began")
    scene.tell("peer", "ended", at=0.5)
    return {"rows": [{"kind": kind, "twice": 2 * rate, "peers": peers}], "facts": {"folder": str(scene.folder)}}


@lab("ending", limit=8.0)
def ending(scene: Scene, *, how: str = "segfault"):
    """End in some way that is none."""
    if how == "segfault":
        ctypes.string_at(0)
    elif how == "kill":
        os.kill(os.getpid(), 9)
    elif how == "wait":
        scene.wait_until(lambda: False, 0.0, "the end of time")
    elif how == "raise":
        raise RuntimeError("a bug")
    elif how == "error":
        raise LabError("it did not work")
    elif how == "full":
        with open("/dev/full", "w") as file:
            file.write("x" * 100_000)
    else:
        time.sleep(1000)


@lab("leaving", limit=60.0)
def leaving(scene: Scene, *, then: str = "return", group: str = "", marker: str = ""):
    """Start a process, one that left its parent, session and environment behind, and a stopped one."""
    if group:
        scene.will_make_group(group)
        os.mkdir(group)
    scene.will_need("touch", marker)
    plain = scene.spawn(SLEEPER, "plain")
    stopped = scene.spawn(SLEEPER, "stopped")
    os.kill(stopped.pid, 19)
    subprocess.run([sys.executable, "-c", ORPHAN], check=True)
    scene.wait_until(lambda: scene.log_of("plain"), 10, "the sleeper")
    me = os.getpid()
    scene.tell("lab", f"{me} {plain.pid} {stopped.pid}")
    if then == "hang":
        time.sleep(1000)
    return {"rows": []}


@lab("wanting", lacking=lambda **_: [Lack("a unicorn", "look in the woods")])
def wanting(scene: Scene):
    """Need what is not there."""


@lab("dressed", within=lambda: ["/usr/bin/env", "ACCRUAL_TEST_DRESS=red"])
def dressed(scene: Scene):
    """Say what it wears."""
    return {"facts": {"dress": os.environ["ACCRUAL_TEST_DRESS"]}}
