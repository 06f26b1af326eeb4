"""A report on detectors over traces: one HTML file that needs nothing else, for people, printers and screen readers.

Figures are pictures inside the file, each with its words; there is no script and nothing to fetch, and a policy in the
head forbids both, whatever the names of traces hold. Equal input makes equal files: there is no date in it.
"""

from __future__ import annotations

import base64
import html
import json
import math
import os
import platform
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from accrual._version import __version__
from accrual.comparison import Comparison, compare
from accrual.detectors import Detector, parse_detector
from accrual.qos import UNITS, Curve, curve
from accrual.replay import full_from
from accrual.show import plots
from accrual.traces import TraceError
from accrual.traces.files import printable, replacing

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from numpy.typing import ArrayLike

    from accrual.qos import QoS
    from accrual.traces import Trace

__all__ = [
    "Chapter",
    "Front",
    "Report",
    "Subject",
    "cell",
    "escaped",
    "listing",
    "make_report",
    "picture",
    "table",
]

_ROWS: Final = 16  # of a curve at the detector's own thresholds; the JSON has all
_TYPICAL: Final = (
    "detection_time", "detection_time_p99", "mistakes", "mistake_rate", "mistake_duration", "query_accuracy",
)  # fmt: skip
_CURVE: Final = ("detection_time", "mistakes", "mistake_rate", "mistake_duration", "query_accuracy")
_LONGEST: Final = 400  # characters of what a trace says about itself

_GLOSSARY: Final = {
    "threshold": "The level from which on a peer is suspected; what it means is each detector's own.",
    "detection time": "From a crash just after a heartbeat was sent, the worst case, until the suspicion: the mean, "
    "and (p99) what 99 % do not exceed.",
    "mistakes": "Suspicions of the peer, which was alive.",
    "mistake rate": "Mistakes in a second. Where none was seen: below 3 / observed, the 95 % bound if mistakes come "
    "independently.",
    "mistake duration": "Mean time under suspicion of a mistake.",
    "query accuracy": "The share of the time without suspicion.",
}

_STYLE: Final = """
:root { color-scheme: light; --ink: #1a1a1a; --faint: #555; --rule: #ccc; --paper: #fff; --link: #0645ad; }
@media screen and (prefers-color-scheme: dark) {
  :root { color-scheme: dark; --ink: #e6e6e6; --faint: #b0b0b0; --rule: #444; --paper: #161616; --link: #8ab4f8; }
}
body { font: 1rem/1.5 system-ui, sans-serif; color: var(--ink); background: var(--paper); max-width: 60rem;
  margin: 0 auto; padding: 1rem; }
a { color: var(--link); }
h1, h2, h3 { line-height: 1.2; }
table { border-collapse: collapse; margin: 1rem 0; font-variant-numeric: tabular-nums; }
caption { text-align: left; font-weight: bold; padding: .3rem 0; }
th, td { padding: .2rem .6rem; border-bottom: 1px solid var(--rule); text-align: right; vertical-align: top; }
th[scope=row], .text { text-align: left; overflow-wrap: break-word; }
thead th { vertical-align: bottom; border-bottom: 2px solid var(--faint); }
.unit { font-weight: normal; color: var(--faint); }
.wide { overflow-x: auto; }
figure { margin: 1rem 0; }
img { max-width: 100%; height: auto; background: #fff; }
dl { display: grid; grid-template-columns: minmax(6rem, max-content) 1fr; gap: .2rem 1.5rem; }
dt { font-weight: bold; overflow-wrap: anywhere; }
dd { margin: 0; overflow-wrap: anywhere; }
@media print {
  body { max-width: none; padding: 0; font-size: 9pt; }
  h2 { break-before: page; }
  h2, h3, caption { break-after: avoid; }
  figure, tr { break-inside: avoid; }
  thead { display: table-header-group; }
  .wide { overflow: visible; }
  table { font-size: 8pt; }
  th, td { padding: .1rem .35rem; }
  nav { display: none; }
}
"""


@dataclass(frozen=True)
class Subject:
    """A trace to report on: what it is called, and where it comes from.

    Attributes
    ----------
    label : str
        A heading.
    name : str
        The file or dataset.
    session : int
        Which of the traces in it, from 1.
    sha256 : str
        Of its content.
    trace : Trace
    """

    label: str
    name: str
    session: int
    sha256: str
    trace: Trace


@dataclass(frozen=True)
class Chapter:
    """What was found on one trace: a curve for each detector, its figures where users commonly set it, a comparison."""

    subject: Subject
    skip: int
    curves: list[Curve]
    typical: list[Curve]
    comparison: Comparison | str
    """At equal detection time; or why there is none."""

    def to_dict(self) -> dict[str, Any]:
        """All of it as JSON can hold it."""
        subject, trace = self.subject, self.subject.trace
        return {
            "trace": subject.name,
            "session": subject.session,
            "sha256": subject.sha256,
            "heartbeats": len(trace),
            "period": trace.period,
            "about": trace.about,
            "skip": self.skip,
            "curves": [found.to_dict() for found in self.curves],
            "typical": [found.to_dict() for found in self.typical],
            "comparison": self.comparison if isinstance(self.comparison, str) else self.comparison.to_dict(),
        }


@dataclass(frozen=True)
class Front:
    """What stands before the chapters: what they were looked at for.

    Attributes
    ----------
    title : str
        Of the whole page.
    sections : sequence of (str, str)
        Headings, and the HTML under each: made by `table`, `listing` and `escaped`, which take nothing for markup.
    figures : dict
        The same as JSON can hold it.
    """

    title: str
    sections: Sequence[tuple[str, str]]
    figures: dict[str, Any]


@dataclass(frozen=True)
class Report:
    """Chapters on traces, and what could not be reported; made by `make_report`."""

    chapters: list[Chapter]
    failures: list[tuple[str, str]]
    parameters: dict[str, Any]
    front: Front | None = None

    def to_dict(self) -> dict[str, Any]:
        """The figures, parameters, versions and hashes as JSON can hold them."""
        return {
            **({} if self.front is None else {"design": self.front.figures}),
            "versions": _versions(),
            "parameters": self.parameters,
            "traces": [chapter.to_dict() for chapter in self.chapters],
            "failures": [{"trace": label, "reason": reason} for label, reason in self.failures],
        }

    def to_html(self) -> str:
        """The report as one HTML document.

        Raises
        ------
        ImportError
            matplotlib is missing.
        """
        heads = [chapter.subject.label for chapter in self.chapters]
        title, ahead = f"Failure detectors on {_count(heads)}", list[tuple[str, str]]()
        in_the_bar = "Failure detectors on " + ", ".join(heads[:3]) + (" ..." if heads[3:] else "")
        if self.front is not None:
            title = in_the_bar = self.front.title
            ahead = list(self.front.sections)
        parts = [
            _contents([head for head, _ in ahead], heads),
            *(
                f'<section>\n<h2 id="part-{number}">{escaped(head)}</h2>\n{content}\n</section>'
                for number, (head, content) in enumerate(ahead, 1)
            ),
            _inputs(self.chapters),
            *(_chapter(number, chapter) for number, chapter in enumerate(self.chapters, 1)),
            _failed(self.failures),
            _method(self.parameters),
            _glossary(),
        ]
        return (
            '<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
            '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
            '<meta http-equiv="Content-Security-Policy" '
            "content=\"default-src 'none'; img-src data:; style-src 'unsafe-inline'\">\n"
            f"<title>{escaped(in_the_bar)}</title>\n"
            f"<style>{_STYLE}</style>\n</head>\n<body>\n<main>\n<h1>{escaped(title)}</h1>\n"
            + "\n".join(filter(None, parts))
            + "\n</main>\n</body>\n</html>\n"
        )

    def write(self, path: str | os.PathLike[str]) -> None:
        """Write the HTML to a file, whole or not at all."""
        document = self.to_html().encode()
        with replacing(path) as stream:
            stream.write(document)


def make_report(
    subjects: Iterable[Subject],
    detectors: Sequence[Detector | str],
    thresholds: ArrayLike | None = None,
    skip: int | None = None,
    transit: float = 0.0,
    threads: int = 1,
) -> Report:
    """Score detectors over traces, all of a trace observed from the same heartbeat on, and report it.

    Parameters
    ----------
    subjects : iterable of Subject
    detectors : sequence of Detector or str
        As the command line writes them; a period may come from the trace.
    thresholds : array, optional
        By default each detector's own.
    skip : int, optional
        Observation starts at this arrival; by default where the windows of all detectors are full.
    transit, threads
        As `accrual.curve`.

    Returns
    -------
    Report
        A trace that cannot be scored is among its failures.

    Raises
    ------
    ValueError
        A parameter out of bounds.

    Examples
    --------
    >>> import accrual as ac
    >>> trace = ac.Trace(range(0, 10**9, 10**6), period=0.001)
    >>> made = make_report([Subject("by hand", "by hand", 1, "", trace)], ["phi:window=50", "fixed"])
    >>> made.chapters[0].skip
    50
    """
    chapters, failures = [], []
    for subject in subjects:
        trace = subject.trace
        try:
            known = [d if isinstance(d, Detector) else parse_detector(d, trace.period) for d in detectors]
            begin = full_from(trace, known) if skip is None else skip
            curves = [curve(trace, d, thresholds, begin, transit, threads=threads) for d in known]
            typical = [curve(trace, d, [d.typical_threshold], begin, transit, quantiles=True) for d in known]
        except TraceError as error:
            failures.append((subject.label, str(error)))
            continue
        compared: Comparison | str
        try:
            compared = compare(trace, known, skip=begin, transit=transit, threads=threads)
        except TraceError as error:  # too short for blocks, say: the curves stand all the same
            compared = str(error)
        chapters.append(Chapter(subject, begin, curves, typical, compared))
    parameters = {
        "detectors": [str(detector) for detector in detectors],
        "thresholds": "each detector's own" if thresholds is None else np.asarray(thresholds, float).tolist(),
        "skip": "where the windows of all detectors are full" if skip is None else skip,
        "transit": transit,
    }
    return Report(chapters, failures, parameters)


def cell(field: str, value: float | int) -> str:
    """Four digits of a number, and of a share as many as it takes to tell it from 1."""
    if isinstance(value, int):
        return f"{value:,}"
    if math.isnan(value):
        return "-"
    if field == "query_accuracy":
        lack = 1 - value
        return "1" if lack <= 0 else f"{value:.{min(max(4, 1 - math.floor(math.log10(lack))), 12)}f}"
    if value == 0 or abs(value) >= 10_000:
        return f"{value:,.0f}"
    return f"{value:#.4g}".removesuffix(".")


# ---- the parts of the document ----


def escaped(value: Any) -> str:
    """Anything as text that HTML takes for nothing else."""
    return html.escape(printable(value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)))


def _count(heads: list[str]) -> str:
    return f"{len(heads):,} trace{'' if len(heads) == 1 else 's'}"


def _versions() -> dict[str, str]:
    return {"accrual": __version__, "NumPy": np.__version__, "Python": platform.python_version()}


def table(caption: str, heads: Sequence[str], rows: Iterable[Sequence[str]], text: int = 1) -> str:
    """A table whose first column heads the rows; all its content is text. `text` columns are aligned to the left."""
    left = " class=text"
    head = "".join(f'<th scope="col"{left * (k < text)}>{_head(name)}</th>' for k, name in enumerate(heads))
    body = "\n".join(
        f'<tr><th scope="row">{escaped(first)}</th>'
        + "".join(f"<td{left * (k < text)}>{escaped(value)}</td>" for k, value in enumerate(rest, 1))
        + "</tr>"
        for first, *rest in rows
    )
    return (
        f'<div class="wide" role="group" tabindex="0" aria-label="{escaped(caption)}">\n<table>\n'
        f"<caption>{escaped(caption)}</caption>\n<thead><tr>{head}</tr></thead>\n"
        f"<tbody>\n{body}\n</tbody>\n</table></div>"
    )


def _head(name: str) -> str:
    unit = f' <span class="unit">[{UNITS[name]}]</span>' if name in UNITS else ""
    return escaped(name.replace("_", " ")) + unit


def listing(entries: dict[str, Any]) -> str:
    """Names and what is to be said of each."""
    rows = "\n".join(f"<dt>{escaped(name)}</dt><dd>{_shortened(value)}</dd>" for name, value in entries.items())
    return f"<dl>\n{rows}\n</dl>"


def _shortened(value: Any) -> str:
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    return escaped(text if len(text) <= _LONGEST else f"{text[:_LONGEST]} ... ({len(text):,} characters)")


def _contents(ahead: list[str], heads: list[str]) -> str:
    first = "".join(f'<li><a href="#part-{n}">{escaped(head)}</a></li>\n' for n, head in enumerate(ahead, 1))
    entries = "\n".join(f'<li><a href="#trace-{n}">{escaped(head)}</a></li>' for n, head in enumerate(heads, 1))
    return (
        f'<nav aria-label="Contents">\n<ul>\n{first}<li><a href="#input">Input</a></li>\n'
        f'{entries}\n<li><a href="#method">Method</a></li>\n<li><a href="#words">Words</a></li>\n</ul>\n</nav>'
    )


def _inputs(chapters: list[Chapter]) -> str:
    heads = ("trace", "heartbeats", "observed from", "observed", "lost", "period")
    rows = [
        (
            chapter.subject.label,
            f"{len(chapter.subject.trace):,}",
            f"{chapter.skip:,}",
            f"{chapter.typical[0][0].observed:,.1f}",
            f"{chapter.typical[0][0].lost:,}" if chapter.subject.trace.sequence is not None else "not numbered",
            "unknown" if chapter.subject.trace.period is None else f"{chapter.subject.trace.period:g} s",
        )
        for chapter in chapters
    ]
    return f'<section>\n<h2 id="input">Input</h2>\n{table("Traces", heads, rows)}\n</section>'


def _seed(trace: Trace) -> str:
    """What chance began with, where the trace says that it is made by chance."""
    made = trace.about.get("synthetic")
    return str(made["seed"]) if isinstance(made, dict) and "seed" in made else "none told"


def _chapter(number: int, chapter: Chapter) -> str:
    label, curves = chapter.subject.label, chapter.curves
    trace = chapter.subject.trace
    known = {"SHA-256": chapter.subject.sha256, "seed": _seed(trace), **trace.about}
    parts = [
        f'<section>\n<h2 id="trace-{number}">{escaped(label)}</h2>',
        f"<h3>What is known of it</h3>\n{listing(known)}",
        "<h3>Mistake rate against detection time</h3>",
        picture(
            plots.curves_svg(curves, printable(label)),
            plots.describe_curves(curves),
            "Better is further down and to the left; both scales are logarithmic. The tables below hold the same "
            "figures.",
        ),
        "<h3>At equal detection time</h3>",
        _compared(chapter.comparison),
        "<h3>At the usual thresholds</h3>",
        _typical(chapter.typical),
        "<h3>At other thresholds</h3>",
        *(_curve(found) for found in curves),
        "</section>",
    ]
    return "\n".join(filter(None, parts))


def picture(svg: bytes, alternative: str, caption: str) -> str:
    """A picture inside the file, as an image: names in it can be no markup, and ids of several do not meet."""
    data = base64.b64encode(svg).decode("ascii")
    return (
        f'<figure>\n<img src="data:image/svg+xml;base64,{data}" width="672" height="432"\n'
        f'alt="{escaped(alternative)}">\n<figcaption>{escaped(caption)}</figcaption>\n</figure>'
    )


def _typical(found: list[Curve]) -> str:
    rows = [
        (
            str(one.detector),
            f"{one.detector.threshold_name} = {one.thresholds[0]:g}",
            *(_figure_cell(one[0], name) for name in _TYPICAL),
        )
        for one in found
    ]
    return table("Each detector where users commonly set it", ("detector", "threshold", *_TYPICAL), rows, text=2)


def _compared(found: Comparison | str) -> str:
    if isinstance(found, str):
        return f"<p>{escaped(found)}</p>"
    parts = []
    for time in found.detection_times:
        # As wide as a page; the p99 and the duration of mistakes are in the JSON beside it.
        head, units, *rows = ([*row[:3], *row[4:6], *row[7:]] for row in found.table(time))
        named = [f"{name} [{unit}]" if unit else name for name, unit in zip(head, units, strict=True)]
        named[2] = "detection time [s]"
        parts.append(table(found.title(time), named, rows, text=1))
    return "\n".join([*parts, *(f"<p>{escaped(note)}</p>" for note in found.notes)])


def _curve(found: Curve) -> str:
    step = math.ceil(len(found) / _ROWS)
    rows = [
        (f"{found.thresholds[k]:g}", *(_figure_cell(found[k], name) for name in _CURVE))
        for k in range((len(found) - 1) % step, len(found), step)
    ]
    more = f", {len(rows)} of {len(found)} thresholds" if step > 1 else ""
    return table(f"{found.detector}{more}", (found.detector.threshold_name, *_CURVE), rows, text=0)


def _figure_cell(point: QoS, name: str) -> str:
    """A figure; that no mistake was seen says only so much of the rate."""
    if name == "mistake_rate" and not point.mistakes:
        return f"< {cell(name, point.mistake_rate_upper)}"
    return cell(name, getattr(point, name))


def _failed(failures: list[tuple[str, str]]) -> str:
    if not failures:
        return ""
    return (
        '<section>\n<h2 id="failed">Not scored</h2>\n'
        + table("Traces that could not be scored", ("trace", "reason"), failures, text=2)
        + "\n</section>"
    )


def _method(parameters: dict[str, Any]) -> str:
    return (
        '<section>\n<h2 id="method">Method</h2>\n<p>All detectors are observed from the same heartbeat on. Detection '
        "times count from the instant of sending where the trace has it, else from the arrival plus the transit.</p>\n"
        f"<h3>Parameters</h3>\n{listing(parameters)}\n<h3>Versions</h3>\n{listing(_versions())}\n</section>"
    )


def _glossary() -> str:
    return f'<section>\n<h2 id="words">Words</h2>\n{listing(_GLOSSARY)}\n</section>'
