"""For tests of real labs: whether this machine can run one, and what it has left behind."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from accrual.lab import keeper

PATIENCE = 60.0  # s; a deadline for what takes milliseconds


def require(lab, **parameters):
    """Skip where the machine lacks something; where CI has installed it all, that is a failure."""
    lacks = lab.lacking(**lab.bound(parameters))
    if lacks:
        said = "; ".join(f"{lack.what}: {lack.remedy}" for lack in lacks)
        (pytest.fail if os.environ.get("CI") == "true" else pytest.skip)(f"the lab {lab.name} needs {said}")


class Leftovers:
    """What labs with folders in one place have left: processes, control groups, folders, devices."""

    def __init__(self, place):
        self._place = Path(place)
        self._before = self._outside()

    @staticmethod
    def _outside():
        """What is not named after a lab, and must be as it was."""
        return sorted(os.listdir("/sys/class/net")), sorted(os.listdir("/run/netns")) if Path(
            "/run/netns"
        ).exists() else []

    def processes(self):
        """Those that were started by labs with their folders there."""
        mark = f"{keeper.FOLDER}={self._place}/".encode()
        found = []
        for entry in Path("/proc").iterdir():
            if entry.name.isdigit():
                try:
                    if any(word.startswith(mark) for word in (entry / "environ").read_bytes().split(b"\0")):
                        found.append(int(entry.name))
                except OSError:
                    continue
        return found

    @staticmethod
    def groups(folder):
        """Control groups that carry the name of a lab's folder."""
        return [group for group in Path("/sys/fs/cgroup").rglob(f"{folder}*") if group.is_dir()]

    def check(self, folders=()):
        """Nothing is left, of labs with these folders among others."""
        assert self.processes() == []
        assert [path.name for path in self._place.iterdir() if path.name.startswith(keeper.PREFIX)] == []
        for folder in folders:
            assert self.groups(folder) == []
        assert self._outside() == self._before


RUN = (
    "import json, sys; from accrual.isolation import labs; "
    "getattr(labs, sys.argv[1])(on_event=lambda e: print(e.what, flush=True), **json.loads(sys.argv[2]))"
)


def end_while_it_runs(place, lab, until, sign=signal.SIGKILL, **parameters):
    """Run a lab in a process of its own, end that when an event says so, and see that nothing is left."""
    left = Leftovers(place)
    command = [sys.executable, "-c", RUN, lab.name, json.dumps(parameters)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as caller:
        for line in caller.stdout:
            if until in line:
                break
        else:
            raise AssertionError(f"the lab ended before it said {until!r}")
        folders = [path.name for path in Path(place).iterdir() if path.name.startswith(keeper.PREFIX)]
        assert len(folders) == 1
        assert left.processes() != []
        groups = left.groups(folders[0])
        caller.send_signal(sign)
        caller.stdout.read()
    end = time.monotonic() + PATIENCE
    while (left.processes() or any(Path(place, folder).exists() for folder in folders)) and time.monotonic() < end:
        time.sleep(0.01)
    left.check(folders)
    return groups
