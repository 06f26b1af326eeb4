"""Containers, hosts and virtual machines as levels of the comparison: the same faults, the same workload."""

import os
import tempfile

import pytest
from leftovers import Leftovers

from accrual.isolation.labs import compare
from accrual.isolation.labs.coarser import ContainerLevel, HostLevel, VmLevel
from accrual.isolation.labs.load import Load
from accrual.isolation.labs.network import address
from accrual.isolation.labs.trials import trials
from accrual.lab import Scene, lab


@lab("level-of-tests", limit=120.0)
def one_level(scene: Scene, *, level: str = "container", faults: str = "segfault"):
    """Some faults at one level, several at once, as in a comparison."""
    chosen = {one.name: one for one in (ContainerLevel(), HostLevel(), VmLevel())}[level]
    found = trials(scene, chosen, faults.split(","), Load(seconds=0.7))
    return {
        "rows": [
            {"fault": one.fault, "hurt": one.hurt, "ends": [how for ends in one.ends.values() for how in ends]}
            for one in found
        ]
    }


@pytest.fixture(autouse=True)
def left(monkeypatch, tmp_path):
    """A place of its own for the labs' folders, of which nothing is left; and this file is importable there."""
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr(tempfile, "tempdir", None)
    found = Leftovers(tmp_path)
    yield found
    found.check()


def here(level):
    lacks = level.lacking()
    if lacks:
        said = "; ".join(f"{lack.what}: {lack.remedy}" for lack in lacks)
        (pytest.fail if os.environ.get("CI") == "true" else pytest.skip)(f"the level {level.name} needs {said}")
    return level


# What each fault takes with it, and what ended: the hog by the kernel, for the container is what caps it.
EXPECTED = {
    "container": {
        "exception": ([], []),
        "segfault": (["payment"], ["SIGSEGV"]),
        "memory-hog": (["payment"], ["SIGKILL"]),
        "kill": (["payment"], ["SIGKILL"]),
        "corrupt": (["payment"], []),
    },
    "host": {
        "exception": ([], []),
        "segfault": (["payment"], ["SIGSEGV"]),
        "kill": (["payment"], ["SIGKILL"]),
        "hang": (["payment"], []),
    },
}


@pytest.mark.parametrize("level", [ContainerLevel, HostLevel])
def test_blast_radius(level, monkeypatch):
    here(level())
    tests = os.path.dirname(__file__)
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([tests, os.path.dirname(os.path.dirname(tests))]))
    expected = EXPECTED[level.name]
    monkeypatch.setattr(one_level.function, "__module__", "test_coarser")  # as its own process imports it
    found = one_level(level=level.name, faults=",".join(expected))
    assert {row["fault"]: (row["hurt"], row["ends"]) for row in found.rows} == expected


def test_they_are_in_the_comparison():
    for level in (ContainerLevel(), HostLevel()):
        here(level)
    found = compare(levels="container,host", fault="segfault", seconds=0.5)
    assert [(row["level"], row["segfault"]) for row in found.rows] == [("container", 1), ("host", 1)]
    assert all(row["round_trip"] > 0 and row["memory"] > 0 and row["start"] > 0 for row in found.rows)


def test_a_bridge_has_so_many_hosts():
    assert (address(1), address(253)) == ("192.0.2.1", "192.0.2.253")
    for number in (0, 254):
        with pytest.raises(ValueError, match=f"a bridge has hosts 1 to 253, got {number}"):
            address(number)
