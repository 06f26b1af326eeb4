"""The README's examples run and print what it says."""

import importlib.util
import itertools
import json
import re
import shlex
from pathlib import Path

import pytest

from accrual.cli import _parser
from accrual.isolation.shop import FAULTS
from accrual.lab import recorded

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text()
BLOCKS = re.findall(r"```python\n(.*?)```", README, re.DOTALL)


def test_five_lines(capsys):
    exec(BLOCKS[0], {})
    assert f"prints `{capsys.readouterr().out.strip()}`" in README


def test_a_trace_and_its_curve():
    pytest.importorskip("pyarrow", reason="pip install accrual[traces]")
    found = {}
    exec("import accrual as ac\n" + BLOCKS[1], found)
    assert len(found["levels"]) == len(found["trace"]) > 100_000
    assert len(found["curve"]) == 4


def cells(mark):
    """Of a Markdown table whose head holds the mark: the rows, each a list of cells."""
    lines = README.splitlines()
    [start] = [number for number, line in enumerate(lines) if line.startswith("|") and mark in line]
    rows = itertools.takewhile(lambda line: line.startswith("|"), lines[start + 2 :])
    return [[cell.strip() for cell in row.strip("|").split("|")] for row in rows]


def test_failover_is_as_recorded():
    killed, stopped = recorded("failover").rows, recorded("failover-stop").rows
    assert {row["lost"] for row in killed} == {0}
    expected = [
        [
            f"{one['writable']:.2f} s",
            f"{two['writable']:.2f} s",
            f"{two['lost']:,} of {two['acknowledged']:,}" if two["lost"] else "0",
        ]
        for one, two in zip(killed, stopped, strict=True)
    ]
    shown = cells("a Valkey primary fails")
    assert [row[1:] for row in shown] == expected
    names = [row["driver"].partition(":")[0].partition(",")[0] for row in killed]
    assert names == ["phi-normal", "fixed-timeout", "sentinel"]
    assert stopped[2]["lost"] == stopped[2]["zombie_accepted"]
    assert f"its zombie is demoted after {stopped[2]['demoted']:.0f} s" in README


def test_blast_radius_is_as_recorded():
    rows = {row["level"]: row for row in recorded("compare").rows}
    named = {
        "a hang, a slow call (each service has a pool of its own)": ["hang", "slow"],
        "CPU hog": ["cpu-hog"],
        "exception": ["exception"],
        "segmentation fault, kill, memory hog, GIL held, corrupt memory, poison request": [
            *("segfault", "kill", "memory-hog", "hold-gil", "corrupt", "poison")
        ],
    }
    shown = {row[0]: row[1:] for row in cells("takes along | threads")}
    assert shown.keys() == named.keys()
    for name, faults in named.items():
        for fault in faults:
            assert shown[name] == [f"{rows[level][fault]}" for level in ("thread", "process", "container", "host")]
    assert sum(map(len, named.values())) == len(FAULTS)


def test_benchmarks_are_those_of_the_results():
    """What `make bench` wrote: the README has the first two tables and the setting, docs/benchmarks.md all."""
    spec = importlib.util.spec_from_file_location("bench_run", ROOT / "tests" / "bench" / "run.py")
    bench = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(bench)
    every = bench.tables(json.loads(bench.RESULTS.read_text()))
    page = (ROOT / "docs" / "benchmarks.md").read_text()
    assert all(part in page for part in every)
    assert all(part in README for part in (*every[:2], every[-1]))
    assert every[2] not in README


COMMANDS = re.findall(r"^    (accrual [^#\n]*)", README, re.MULTILINE) + re.findall(r"`(accrual [a-z][^`…]*)`", README)


@pytest.mark.parametrize("command", COMMANDS)
def test_commands_are_well_formed(command):
    """The parser takes them: no option of another name, no value that it refuses."""
    _parser().parse_args(shlex.split(command)[1:])
