"""The notebooks are what their sources make, and run from top to bottom, with and without the solutions."""

import asyncio
import importlib.util
import re
import shutil
from pathlib import Path

import nbformat
import pytest
from nbclient import NotebookClient

LESSONS = Path(__file__).resolve().parents[2] / "lessons"
SOURCES = sorted((LESSONS / "source").glob("[0-9]*.py"))
ITEMS = {
    "00_start": [40, 41, 95, 96, 98],
    "01_faults": [*range(1, 8), *range(44, 57)],
    "02_fixed_timeout": [*range(54, 59), *range(89, 93)],
    "03_phi": range(59, 74),
    "04_tradeoff": [69, 72, *range(91, 95)],
    "05_when_phi_lies": [71, 93],
    "12_health_and_capstone": [42, 99],
    "06_threads_and_processes": [*range(8, 20), 34],
    "08_users_and_shards": range(35, 40),
    "07_containers_and_beyond": range(20, 35),
    "09_failover": [*range(74, 80), 88],
    "10_replication": [84, 85, 86],
    "11_partition": [*range(80, 84), 86, 87, 88, 97],
}
"""Which items of the lectures each lesson covers (the numbers of reference/course.md)."""

by_lesson = pytest.mark.parametrize("source", SOURCES, ids=lambda source: source.stem)


@pytest.fixture
def build():
    spec = importlib.util.spec_from_file_location("build", LESSONS / "build.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def printed(notebook, stream):
    return "".join(
        output.text
        for cell in notebook.cells
        for output in cell.get("outputs", ())
        if output.output_type == "stream" and output.name == stream
    )


def test_every_lesson_has_its_items():
    assert {source.stem for source in SOURCES} == set(ITEMS)


def test_the_notebooks_are_up_to_date(build):
    assert build.main(["--check"]) == 0


def test_check_says_what_is_not(build, tmp_path, capsys):
    (tmp_path / "source").mkdir()
    shutil.copy(SOURCES[0], tmp_path / "source")
    build.LESSONS = tmp_path
    assert build.main(["--check"]) == 1
    assert build.main([]) == 0
    assert build.main(["--check"]) == 0
    with (tmp_path / "source" / SOURCES[0].name).open("a") as source:
        source.write("\n# %%\nprint('one cell more')\n")
    before = capsys.readouterr()
    assert build.main(["--check"]) == 1
    assert SOURCES[0].name in before.err
    assert SOURCES[0].name in capsys.readouterr().err


@by_lesson
def test_a_new_cell_leaves_the_ids_of_the_others(build, source, tmp_path):
    longer = tmp_path / source.name
    longer.write_text(source.read_text().replace("# %%\n", "# %%\nprint('new')\n\n# %%\n", 1))
    before = [cell.id for cell in build.notebook(source).cells]
    after = [cell.id for cell in build.notebook(longer).cells]
    assert len(set(before)) == len(before)
    assert [cell for cell in after if cell in before] == before


@by_lesson
def test_what_a_student_opens(build, source):
    notebook = nbformat.read(LESSONS / f"{source.stem}.ipynb", as_version=4)
    assert notebook.metadata.kernelspec.name == "python3"
    code = [cell for cell in notebook.cells if cell.cell_type == "code"]
    assert not any(cell.outputs or cell.execution_count for cell in code)
    assert not any("# solution" in cell.source for cell in code)
    exercises = sum("# Write your code here." in cell.source for cell in code)
    assert exercises == source.read_text().count("# solution\n") > 0
    answers = [cell.source for cell in notebook.cells if "answer" in cell.metadata.get("tags", ())]
    assert len(answers) == exercises
    assert all(answer.startswith("<details>") for answer in answers)


@by_lesson
def test_prose_says_which_items_it_covers(build, source):
    prose = [
        cell
        for cell in build.notebook(source).cells
        if cell.cell_type == "markdown" and "answer" not in cell.metadata.get("tags", ())
    ]
    assert all("items" in cell.metadata for cell in prose)
    # The start page also has cells of the course's own: the self-test, how a lesson goes, the glossary.
    assert source.stem == "00_start" or all(cell.metadata["items"] for cell in prose)
    assert {item for cell in prose for item in cell.metadata["items"]} == set(ITEMS[source.stem])


@by_lesson
def test_it_runs(build, source, tmp_path):
    """With the student's cells empty and with the answers, side by side: two kernels keep two cores busy."""

    async def ran(solutions):
        notebook = build.notebook(source, solutions)
        folder = tmp_path / str(solutions)
        folder.mkdir()
        await NotebookClient(notebook, timeout=300, resources={"metadata": {"path": str(folder)}}).async_execute()
        return notebook

    async def both():
        return await asyncio.gather(ran(False), ran(True))

    asked = source.read_text().count("\ncheck(")
    for solutions, notebook in zip((False, True), asyncio.run(both()), strict=True):
        verdicts = re.findall(r"^\d\d\.\d [✓✗…].*", printed(notebook, "stdout"), re.MULTILINE)
        assert len(verdicts) == asked > 0
        assert all(("✓" in verdict) == solutions for verdict in verdicts)
        assert printed(notebook, "stderr") == ""


def test_a_function_keeps_its_head_and_loses_its_body(build):
    code, answer = build.exercise(
        'def double(x):\n    """Twice x."""\n    # solution\n    y = x + x\n    return y\n\n\ncheck("1", double)'
    )
    assert code == 'def double(x):\n    """Twice x."""\n    # Write your code here.\n    ...\n\n\ncheck("1", double)'
    assert answer == 'def double(x):\n    """Twice x."""\n    y = x + x\n    return y'


def test_a_value_loses_what_sets_it(build):
    assert build.exercise("x = None\n# solution\nx = 1\n\ncheck('1', x)") == (
        "x = None\n# Write your code here.\n\ncheck('1', x)",
        "x = 1",
    )
    assert build.exercise("# solution\nx = 1") == ("# Write your code here.", "x = 1")
    assert build.exercise("x = 1  # no solution here") == ("x = 1  # no solution here", None)


def test_a_markdown_solution_is_folded(build, tmp_path):
    source = tmp_path / "lesson.py"
    source.write_text('# %% [markdown] {"tags": ["solution"], "items": [1]}\n# Because.\n')
    [cell] = build.notebook(source).cells
    assert cell.source == "<details>\n<summary>Answer</summary>\n\nBecause.\n\n</details>"
