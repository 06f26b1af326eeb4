"""What the tests of labs with servers share: to run one where its programs are, and to see what it left."""

import os
from pathlib import Path

import pytest


def runnable(lab, **parameters):
    """Skip, saying what to install, where a lab cannot run; in CI that is a failure of tests/system-packages."""
    lacks = lab.lacking(**lab.bound(parameters))
    if lacks:
        said = "; ".join(f"{lack.what}: {lack.remedy}" for lack in lacks)
        if os.environ.get("CI") == "true":
            pytest.fail(said)
        pytest.skip(said)


def processes(folder):
    """Processes that were started in a lab whose folder is below this one, as their environment says."""
    mark = f"ACCRUAL_LAB_FOLDER={folder}".encode()
    found = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                if any(word.startswith(mark) for word in (entry / "environ").read_bytes().split(b"\0")):
                    found[int(entry.name)] = os.readlink(entry / "ns/net")
            except OSError:
                continue
    return found


def namespaces():
    """Every network namespace in which something runs."""
    found = set()
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                found.add(os.readlink(entry / "ns/net"))
            except OSError:
                continue
    return found
