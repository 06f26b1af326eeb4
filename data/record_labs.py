"""Record what labs find on this machine, for those on which they cannot run.

python data/record_labs.py NAME [OPTION...] [--as OTHER]

runs ``accrual lab NAME OPTION... --json``, writes what it prints to ``data/labs/NAME.json``, or OTHER.json, and puts it
into the manifest beside it. Record on a quiet machine, or below `nice -n -15`, which the manifest
then says; that is for the lab's sessions, too, where the kernel groups processes by session.
"""

from __future__ import annotations

import contextlib
import datetime
import hashlib
import json
import os
import shlex
import subprocess
import sys
import tempfile
import time
from dataclasses import asdict
from pathlib import Path

from accrual.lab.recordings import FOLDER, Recording

HERE = Path(__file__).parent / FOLDER


def _lift(pid: int) -> None:
    """Give the sessions of a process and those below it our own niceness: Linux ranks sessions, not processes."""
    pids = [pid]
    for one in pids:  # it grows meanwhile
        with contextlib.suppress(OSError):
            if os.getpriority(os.PRIO_PROCESS, 0) < 0:
                Path(f"/proc/{one}/autogroup").write_text(str(os.getpriority(os.PRIO_PROCESS, 0)), encoding="ascii")
            pids += map(int, Path(f"/proc/{one}/task/{one}/children").read_text(encoding="ascii").split())


def record(arguments: list[str]) -> None:
    """Run one lab and keep what it found."""
    name = arguments[0]
    if "--as" in arguments:
        place = arguments.index("--as")
        name = arguments[place + 1]
        del arguments[place : place + 2]
    command = ["accrual", "lab", *arguments, "--json"]
    shown = shlex.join(command)
    with tempfile.TemporaryFile("w+", encoding="utf-8") as said:
        ran = subprocess.Popen([sys.executable, "-m", *command], stdout=said)  # noqa: S603
        while ran.poll() is None:
            _lift(ran.pid)
            time.sleep(0.05)
        if ran.returncode:
            sys.exit(ran.returncode)  # it has said why
        said.seek(0)
        found = json.load(said)
    text = json.dumps(found, indent=1) + "\n"
    HERE.mkdir(exist_ok=True)
    (HERE / f"{name}.json").write_text(text, encoding="utf-8")
    row = Recording(
        name=name,
        file=f"{name}.json",
        sha256=hashlib.sha256(text.encode()).hexdigest(),
        command=f"nice -n {niceness} {shown}" if (niceness := os.nice(0)) else shown,
        date=datetime.datetime.now(datetime.UTC).date().isoformat(),
        machine=found["machine"],
    )
    manifest = HERE / "manifest.json"
    rows = json.loads(manifest.read_text(encoding="utf-8")) if manifest.exists() else []
    rows = sorted([one for one in rows if one["name"] != name] + [asdict(row)], key=lambda one: one["name"])
    manifest.write_text(json.dumps(rows, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    if len(sys.argv) < 2:
        sys.exit(__doc__)
    record(sys.argv[1:])
