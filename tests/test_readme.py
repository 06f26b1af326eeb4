"""The README's examples run and print what it says."""

import re
from pathlib import Path

import pytest

README = (Path(__file__).parents[1] / "README.md").read_text()
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
