"""Record what labs find on this machine, for those on which they cannot run.

python data/record_labs.py NAME [OPTION...] [--as OTHER]

runs ``accrual lab NAME OPTION... --json``, writes what it prints to ``data/labs/NAME.json``, or OTHER.json, and puts it
into the manifest beside it. Record on a quiet machine, or below `nice -n -15`, which the manifest then says.
"""

from __future__ import annotations

import datetime
import hashlib
import json
import os
import shlex
import subprocess
import sys
from dataclasses import asdict
from pathlib import Path

from accrual.lab.recordings import FOLDER, Recording

HERE = Path(__file__).parent / FOLDER


def record(arguments: list[str]) -> None:
    """Run one lab and keep what it found."""
    name = arguments[0]
    if "--as" in arguments:
        place = arguments.index("--as")
        name = arguments[place + 1]
        del arguments[place : place + 2]
    command = ["accrual", "lab", *arguments, "--json"]
    shown = shlex.join(command)
    ran = subprocess.run([sys.executable, "-m", *command], stdout=subprocess.PIPE, text=True, check=True)  # noqa: S603
    found = json.loads(ran.stdout)
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
