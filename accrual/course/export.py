"""``accrual lessons export --html``: a lesson as one web page that needs neither Python nor a network.

The lesson is run here; its widgets go into the page with the numbers that they had, so that all that the browser
computes still works. Formulas become pictures, for there is nobody to fetch MathJax from.
"""

from __future__ import annotations

import base64
import contextlib
import html
import io
import json
import os
import re
import subprocess
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Final

from accrual.course import syllabus

__all__ = ["export", "page"]

_WIDGET: Final = "application/vnd.jupyter.widget-view+json"
_STATE: Final = "application/vnd.jupyter.widget-state+json"


def export(folder: str | os.PathLike[str], names: Sequence[str] = ()) -> Iterator[str]:
    """Write lessons as web pages, one file each; yields their paths as they are done.

    Parameters
    ----------
    folder : path
        Made where it is missing. Pages of an earlier export are replaced.
    names : sequence of str
        Which lessons; all that are written if there are none.

    Raises
    ------
    ValueError
        No such lesson.
    """
    there = syllabus.notebooks()
    for name in names:
        if name not in there:
            raise ValueError(f"there is no lesson {name!r}; there are {', '.join(there)}")
    target = Path(folder)
    target.mkdir(parents=True, exist_ok=True)
    for name in names or there:
        file = target / f"{name}.html"
        made = page(name, there[name])
        with tempfile.NamedTemporaryFile("w", encoding="utf-8", dir=target, delete=False) as unfinished:
            unfinished.write(made)
        os.replace(unfinished.name, file)
        os.chmod(file, 0o644)
        yield str(file)


def page(name: str, notebook: bytes) -> str:
    """Run a notebook and make a page of it."""
    import nbformat
    from nbclient import NotebookClient

    from accrual.show.widget import source

    run = nbformat.reads(notebook.decode(), as_version=4)  # type: ignore[no-untyped-call]
    with tempfile.TemporaryDirectory(prefix="accrual-") as folder, _one_line(name):
        NotebookClient(run, timeout=600, resources={"metadata": {"path": folder}}).execute(stderr=subprocess.DEVNULL)
    models = run.metadata.get("widgets", {}).get(_STATE, {}).get("state", {})
    shown: dict[str, dict[str, Any]] = {}
    body = "\n".join(_cell(cell, models, shown) for cell in run.cells)
    title = syllabus.LESSONS[name].title if name in syllabus.LESSONS else name
    # "</" inside a script would end it.
    data = json.dumps(shown).replace("</", "<\\/")
    return _PAGE.format(
        title=html.escape(title),
        style=_style(),
        body=re.sub(r'href="(\d\d_\w+)\.ipynb', r'href="\1.html', body),
        data=data,
        runtime=source("page.js"),
    )


@contextlib.contextmanager
def _one_line(name: str) -> Iterator[None]:
    """A lesson that stops, or a kernel that does not start, is told in a line."""
    try:
        yield
    except Exception as error:  # nbclient has its own, and raises RuntimeError besides
        # The traceback of a kernel is coloured for terminals; its last line says what it was.
        said = [line for line in re.sub(r"\x1b\[[\d;]*m", "", str(error)).splitlines() if line.strip()]
        raise OSError(f"lesson {name} does not run here: {said[-1] if said else type(error).__name__}") from None


def _cell(cell: Any, models: dict[str, Any], shown: dict[str, dict[str, Any]]) -> str:
    if cell.cell_type == "markdown":
        return f'<section class="text">{_markdown(cell.source)}</section>'
    from nbconvert.filters.highlight import Highlight2HTML

    code = Highlight2HTML(pygments_lexer="ipython3")(cell.source)  # type: ignore[no-untyped-call]
    outputs = "".join(_output(output, models, shown) for output in cell.outputs)
    return f'<section class="code">{code}<div class="output">{outputs}</div></section>'


def _output(output: Any, models: dict[str, Any], shown: dict[str, dict[str, Any]]) -> str:
    if output.output_type == "stream":
        return f"<pre>{html.escape(output.text)}</pre>"
    if output.output_type == "error":
        return f"<pre>{html.escape(f'{output.ename}: {output.evalue}')}</pre>"
    data = output.data
    if _WIDGET in data:
        drawn = _drawn(data[_WIDGET]["model_id"], data["text/plain"], models, shown)
        if drawn:
            return drawn
    if "text/html" in data:
        return str(data["text/html"])
    if "image/png" in data:
        return f'<img src="data:image/png;base64,{data["image/png"].strip()}" alt="">'
    return f"<pre>{html.escape(data.get('text/plain', ''))}</pre>"


def _drawn(model: str, said: str, models: dict[str, Any], shown: dict[str, dict[str, Any]]) -> str:
    """A place for a widget of ours, or for those in a box; nothing for others, which this page cannot draw."""
    state = models.get(model, {}).get("state", {})
    if "_esm" in state:
        shown[model] = {key: value for key, value in state.items() if key[0] != "_" or key in ("_esm", "_css")}
        return f'<div data-model="{html.escape(model)}"><pre>{html.escape(said)}</pre></div>'
    inside = [child.removeprefix("IPY_MODEL_") for child in state.get("children", ())]
    return "".join(_drawn(child, said, models, shown) for child in inside)


def _markdown(source: str) -> str:
    from nbconvert.filters.markdown_mistune import IPythonRenderer, MarkdownWithMath

    made: str = MarkdownWithMath(renderer=IPythonRenderer(escape=False, exclude_anchor_links=True)).render(source)
    made = re.sub(r"<h(\d)>(.*?)</h\1>", _heading, made)
    made = re.sub(r"\$\$(.+?)\$\$", lambda found: _formula(found[1], display=True), made, flags=re.DOTALL)
    return re.sub(r"(?<![\\$])\$([^$\n]+?(?:\n[^$\n]+?)?)\$(?!\d)", lambda found: _formula(found[1]), made)


def _heading(found: re.Match[str]) -> str:
    """A heading with the anchor that Jupyter would give it."""
    text = html.unescape(re.sub(r"<[^>]*>", "", found[2])).strip()
    return f'<h{found[1]} id="{html.escape(text.replace(" ", "-"))}">{found[2]}</h{found[1]}>'


def _formula(tex: str, display: bool = False) -> str:
    """A formula as a picture, its TeX as the text instead; or the TeX, if matplotlib cannot set it."""
    from matplotlib import mathtext
    from matplotlib.font_manager import FontProperties

    plain = " ".join(html.unescape(tex).split())
    for word, known in ((r"\tfrac12", r"\frac{1}{2}"), (r"\tfrac", r"\frac"), (r"\,", r"\/")):
        plain = plain.replace(word, known)
    if display:
        plain = re.sub(r"(?<!\{-)\\frac", r"\\dfrac", plain)  # not in an exponent
    drawn = io.BytesIO()
    try:
        depth = mathtext.math_to_image(f"${plain}$", drawn, dpi=72, format="svg", prop=FontProperties(size=13))
    except ValueError:
        return f"<code>{html.escape(plain)}</code>"
    picture = base64.b64encode(drawn.getvalue()).decode("ascii")
    style = "display: block; margin: 0.6rem auto" if display else f"vertical-align: {-depth:.1f}pt"
    return f'<img class="formula" style="{style}" alt="{html.escape(plain)}" src="data:image/svg+xml;base64,{picture}">'


def _style() -> str:
    from pygments.formatters import HtmlFormatter  # type: ignore[import-untyped]

    from accrual.show.widget import source

    return str(HtmlFormatter().get_style_defs(".highlight")) + source("page.css")


_PAGE: Final = """<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{title}</title>
<style>{style}</style>
</head>
<body>
{body}
<script type="application/json" id="models">{data}</script>
<script type="module">{runtime}</script>
</body>
</html>
"""
