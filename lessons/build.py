"""Make the notebooks from their sources: ``python lessons/build.py``. With ``--check``, only say which differ.

A source is a py:percent file with solutions. Its notebook is what a student opens: no outputs, and

* a solution, the lines from ``# solution`` to the next empty one, becomes ``# Write your code here.``; it is shown in
  a folded answer under its cell;
* a markdown cell tagged ``solution`` is folded.

So there is one text, the answers run in the tests, and they cannot drift from their questions.
"""

import hashlib
import re
import sys
import textwrap
from pathlib import Path

import jupytext
import nbformat
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook

LESSONS = Path(__file__).parent
SOLUTION = re.compile(r"^(?P<indent> *)# solution\n(?P<body>(?:.+\n?)+)", re.MULTILINE)


def folded(answer):
    """Markdown that shows itself on a click."""
    return f"<details>\n<summary>Answer</summary>\n\n{answer}\n\n</details>"


def exercise(code):
    """A code cell without its solution, and the answer to it (None where there is none)."""
    found = SOLUTION.search(code)
    if found is None:
        return code, None
    indent = found["indent"]
    # A function needs a body to be one.
    blank = f"{indent}# Write your code here.\n" + (f"{indent}...\n" if indent else "")
    # An answer is what one would have typed; of a function, all of it.
    answer = code[: found.start()] + found["body"] if indent else found["body"]
    return code[: found.start()] + blank.rstrip() + code[found.end() :].join(["\n", ""]).rstrip(), answer.rstrip()


def cells_of(cell, solutions):
    """The cells of the notebook that one cell of the source becomes."""
    metadata = {key: value for key, value in cell.metadata.items() if key in ("items", "tags")}
    if cell.cell_type == "markdown":
        folds = "solution" in metadata.get("tags", ())
        yield new_markdown_cell(folded(cell.source) if folds else cell.source, metadata=metadata)
    elif solutions:
        yield new_code_cell(cell.source, metadata=metadata)
    else:
        code, answer = exercise(cell.source)
        yield new_code_cell(code, metadata=metadata)
        if answer is not None:
            yield new_markdown_cell(folded(f"```python\n{textwrap.dedent(answer)}\n```"), metadata={"tags": ["answer"]})


def notebook(source, solutions=False):
    """The notebook of a source file: what a student opens, or with the solutions in place."""
    made = new_notebook(
        metadata={
            "kernelspec": {"display_name": "Python 3 (ipykernel)", "language": "python", "name": "python3"},
            "language_info": {"name": "python"},
        }
    )
    seen = {}
    for cell in jupytext.read(source).cells:
        for one in cells_of(cell, solutions):
            # From the text, so that a new cell leaves the others' alone; counted, so that equal texts differ.
            key = hashlib.sha256(one.source.encode()).hexdigest()[:8]
            seen[key] = seen.get(key, 0) + 1
            one.id = key if seen[key] == 1 else f"{key}-{seen[key]}"
            made.cells.append(one)
    nbformat.validate(made)
    return made


def main(arguments):
    """Write the notebooks, or with --check compare them; the exit status."""
    stale = 0
    for source in sorted((LESSONS / "source").glob("[0-9]*.py")):
        target = LESSONS / f"{source.stem}.ipynb"
        text = nbformat.writes(notebook(source)) + "\n"
        if arguments != ["--check"]:
            target.write_text(text, encoding="utf-8")
        elif not target.is_file() or target.read_text(encoding="utf-8") != text:
            print(f"{target.name} is not what {source.name} makes: run python lessons/build.py", file=sys.stderr)
            stale = 1
    return stale


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
