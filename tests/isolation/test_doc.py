"""The page on the model prints what it says, and its tables of measured and modelled figures are those of the model."""

import doctest
import re
from pathlib import Path

import numpy as np

from accrual.isolation import simulate

PAGE = Path(__file__).parents[2] / "docs" / "isolation-model.md"


def test_the_page_runs():
    found = doctest.testfile(str(PAGE), module_relative=False)
    assert found.attempted > 8
    assert found.failed == 0


def test_the_table_of_hangs():
    [row] = re.findall(r"^\| one pool, model.*", PAGE.read_text(), re.MULTILINE)
    runs = [simulate(fault="hang", shared_pool=True, lasts=2, duration=30, seed=seed) for seed in range(60)]
    shares = np.array([[of.failing for of in run.services] for run in runs])
    told = [f"{middle:.2f} ± {spread:.2f}" for middle, spread in zip(shares.mean(0), shares.std(0), strict=True)]
    told[1] = f"{shares[:, 1].mean():.1f}"
    assert [cell.strip() for cell in row.split("|")[2:5]] == told


def test_the_table_of_faults():
    names = {"segmentation fault": "segfault", "kill -9": "kill", "C code that": "hold-gil", "Python code": "cpu-hog"}
    rows = [line.split("|") for line in PAGE.read_text().splitlines() if line.count("/ ") == 8]
    assert len(rows) == len(names)
    for row in rows:
        [fault] = [fault for title, fault in names.items() if title in row[1]]
        for level, cell in (("thread", row[3]), ("process", row[5])):
            run = simulate(fault=fault, level=level, lasts=10)
            assert cell.strip() == " / ".join(f"{of.failing:.0f}" for of in run.services)
