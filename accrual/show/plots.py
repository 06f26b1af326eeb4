"""Static pictures: curves of quality of service, the intervals of a trace, and the sentences that say the same to
those who cannot see them.

matplotlib is imported where it is needed, for it is an extra, and never through pyplot, whose state is not a library's
to touch.
"""

from __future__ import annotations

import io
import os
from itertools import cycle
from typing import TYPE_CHECKING, BinaryIO, Final, NamedTuple

import numpy as np

from accrual.traces.files import replacing

if TYPE_CHECKING:
    from collections.abc import Sequence

    from matplotlib.axes import Axes
    from matplotlib.axis import Axis
    from matplotlib.figure import Figure
    from numpy.typing import ArrayLike, NDArray

    from accrual.qos import Curve
    from accrual.traces.description import Description

__all__ = [
    "FORMATS",
    "curves_figure",
    "curves_svg",
    "describe_curves",
    "draw_curves",
    "trace_figure",
    "write_curves",
    "write_trace",
]

# By the ending of the name: what the format calls the two texts that travel in the file, and which entry has to be
# left out for equal figures to be equal files.
_TEXTS: Final = {
    ".png": ("Title", "Description", "Software"),
    ".svg": ("Title", "Description", "Date"),
    ".pdf": ("Title", "Subject", "CreationDate"),
}

FORMATS: Final = tuple(_TEXTS)
"""What the name of a picture can end in."""

# Okabe and Ito (2008): told apart with every colour vision. Without their yellow, too light for a line on white.
_COLOURS: Final = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")
_MARKERS: Final = ("o", "s", "D", "P", "X", "h", "*")  # no triangle: those are the bounds
_SPACING: Final = 0.04  # between the markers of a line, of the axes' diagonal


class _Points(NamedTuple):
    """What of a curve can be drawn, by rising threshold."""

    threshold: NDArray[np.float64]
    time: NDArray[np.float64]
    rate: NDArray[np.float64]
    bound: NDArray[np.float64]
    seen: NDArray[np.bool_]  # whether there was a mistake


def _points(curve: Curve) -> _Points:
    order = np.argsort(curve.thresholds, kind="stable")
    times = curve.detection_time[order]
    order = order[(times > 0) & (times < np.inf)]  # what a logarithmic scale has room for
    return _Points(
        threshold=curve.thresholds[order],
        time=curve.detection_time[order],
        rate=curve.mistake_rate[order],
        bound=curve.mistake_rate_upper[order],
        seen=curve.mistakes[order] > 0,
    )


def draw_curves(ax: Axes, curves: Sequence[Curve]) -> None:
    """Draw mistake rate against detection time, a line for each curve.

    Both scales are logarithmic; better is further down and to the left. Lines are solid, those of timeouts (the linear
    law) dashed. Where no mistake was seen, an open triangle points down from the 95 % upper bound of the rate, 3.0 /
    observed. Thresholds whose detection time is infinite or 0 are left out.

    Parameters
    ----------
    ax : matplotlib.axes.Axes
        What to draw into.
    curves : sequence of Curve
        As `accrual.curve` gives them: detection times in s, mistake rates in 1/s.

    Examples
    --------
    >>> from matplotlib.figure import Figure
    >>> import accrual as ac
    >>> ax = Figure().subplots()
    >>> draw_curves(ax, [ac.curve([0, 100, 200, 450, 500], ac.FixedTimeout(period=1e-7), [1.5, 2, 3])])
    >>> ax.get_xlabel()
    'detection time $T_D$, mean, worst case [s]'
    """
    drawn = bounds = False
    for curve, colour, marker in zip(curves, cycle(_COLOURS), cycle(_MARKERS), strict=False):
        points = _points(curve)
        line = "--" if curve.detector.law == "linear" else "-"
        ax.plot(
            points.time[points.seen],
            points.rate[points.seen],
            color=colour,
            linestyle=line,
            marker=marker,
            markersize=5,
            markevery=_SPACING,
            label=f"{curve.detector}, {_range(curve).replace('Phi', 'Φ')}",
        )
        _draw_bounds(ax, points.time[~points.seen], points.bound[~points.seen], colour)
        drawn |= points.seen.size > 0
        bounds |= not points.seen.all()
    if bounds:
        _draw_bounds(ax, [], [], "0.3", label="no mistake seen: 95 % upper bound")
    ax.set(xlabel="detection time $T_D$, mean, worst case [s]", ylabel=r"mistake rate $\lambda_M$ [1/s]")
    if drawn:  # matplotlib cannot draw a logarithmic scale of nothing
        ax.set(xscale="log", yscale="log")
        _write_plainly(ax.xaxis)
    ax.grid(color="0.9")
    ax.set_axisbelow(True)
    if curves:
        ax.legend(frameon=False, fontsize="small")


def _write_plainly(axis: Axis) -> None:
    """Write 0.02 at the ticks of a logarithmic scale, where matplotlib writes 2e-02."""
    from matplotlib.ticker import LogFormatter

    class PlainFormatter(LogFormatter):
        """Chooses the ticks as matplotlib does."""

        def __call__(self, x: float, pos: int | None = None) -> str:
            return f"{x:g}" if super().__call__(x, pos) else ""

    axis.set_major_formatter(PlainFormatter())
    axis.set_minor_formatter(PlainFormatter(minor_thresholds=(2, 0.5)))  # 2, 3 and 6 as well, up to two decades


def _draw_bounds(ax: Axes, time: ArrayLike, bound: ArrayLike, colour: str, label: str = "_") -> None:
    ax.plot(
        time,
        bound,
        color=colour,
        linestyle="none",
        marker="v",
        fillstyle="none",
        markersize=6,
        markevery=_SPACING,
        label=label,
    )


def _range(curve: Curve) -> str:
    """The thresholds of a curve, by the name that users know."""
    low, high = min(curve.thresholds), max(curve.thresholds)
    return f"{curve.detector.threshold_name} = {low:g}" + (f" to {high:g}" if high > low else "")


def describe_curves(curves: Sequence[Curve]) -> str:
    """Say in words what `draw_curves` shows: the text alternative of the picture.

    Parameters
    ----------
    curves : sequence of Curve
        As `accrual.curve` gives them.

    Returns
    -------
    str
        A sentence about the axes, and one for each curve: from where to where, and from when on without a mistake.

    Examples
    --------
    >>> import accrual as ac
    >>> text = describe_curves([ac.curve([0, 100, 200, 450, 500], ac.FixedTimeout(period=1e-7), [1.5, 2, 3])])
    >>> text.rpartition("; ")[2]
    'no mistake, so at most 6e+06 a second (95 %), from detection in 3e-07 s on, at k = 3.'
    """
    axes = "Mistake rate against mean worst-case detection time, on logarithmic scales."
    return " ".join([axes, *map(_sentence, curves)])


def _sentence(curve: Curve) -> str:
    points, name = _points(curve), curve.detector.threshold_name
    seen = np.flatnonzero(points.seen)
    clean = np.flatnonzero(~points.seen)
    clauses = [
        f"{points.rate[k]:.3g} mistakes a second with detection in {points.time[k]:.3g} s at {name} = "
        f"{points.threshold[k]:g}"
        for k in dict.fromkeys([*seen[:1], *seen[-1:]])
    ]
    if len(clean):
        first = clean[0]
        clauses.append(
            f"no mistake, so at most {points.bound[first]:.3g} a second (95 %), from detection in "
            f"{points.time[first]:.3g} s on, at {name} = {points.threshold[first]:g}"
        )
    return f"{curve.detector}: {'; '.join(clauses) or 'no detection time that is finite and above 0'}."


def curves_figure(curves: Sequence[Curve], title: str) -> Figure:
    """Make a figure of curves, with what `draw_curves` draws.

    Parameters
    ----------
    curves : sequence of Curve
        As `accrual.curve` gives them.
    title : str
        What they were measured on.

    Returns
    -------
    matplotlib.figure.Figure
        Of which pyplot knows nothing: it needs no closing.

    Raises
    ------
    ImportError
        matplotlib is missing.

    Examples
    --------
    >>> import accrual as ac
    >>> figure = curves_figure([ac.curve([0, 100, 200, 450, 500], ac.FixedTimeout(period=1e-7))], "five heartbeats")
    >>> figure.axes[0].get_title(loc="left")
    'five heartbeats'
    """
    figure = _figure()
    ax = figure.subplots()
    draw_curves(ax, curves)
    _entitle(ax, title)
    return figure


def _figure() -> Figure:
    try:
        from matplotlib.figure import Figure
    except ImportError as error:
        raise ImportError("plots need matplotlib: pip install accrual[lessons]") from error
    return Figure(figsize=(7, 4.5), dpi=150, layout="constrained")


def _entitle(ax: Axes, title: str) -> None:
    ax.set_title(title, loc="left", fontsize="medium", parse_math=False)  # a file's name may have dollar signs


def write_curves(path: str | os.PathLike[str], curves: Sequence[Curve], title: str) -> None:
    """Write a picture of curves to a file, whole or not at all.

    The title and the text of `describe_curves` are among the file's metadata. Equal curves make equal files.

    Parameters
    ----------
    path : path
        A name that ends in one of `FORMATS`.
    curves : sequence of Curve
        As `accrual.curve` gives them.
    title : str
        What they were measured on.

    Raises
    ------
    ValueError
        Another ending.
    ImportError
        matplotlib is missing.
    OSError
        The file cannot be written.

    Examples
    --------
    >>> import tempfile
    >>> import accrual as ac
    >>> curve = ac.curve([0, 100, 200, 450, 500], ac.FixedTimeout(period=1e-7))
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     write_curves(f"{folder}/curve.svg", [curve], "five heartbeats")
    ...     os.listdir(folder)
    ['curve.svg']
    """
    _check_format(path)
    _write(path, curves_figure(curves, title), title, describe_curves(curves))


def _check_format(path: str | os.PathLike[str]) -> None:
    if os.path.splitext(path)[1] not in FORMATS:
        raise ValueError(f"path must end in {', '.join(FORMATS)}, is {os.fspath(path)!r}")


def curves_svg(curves: Sequence[Curve], title: str) -> bytes:
    """The SVG that `write_curves` writes, for what has it inside.

    Examples
    --------
    >>> import accrual as ac
    >>> curve = ac.curve([0, 100, 200, 450, 500], ac.FixedTimeout(period=1e-7))
    >>> curves_svg([curve], "five heartbeats")[:5]
    b'<?xml'
    """
    stream = io.BytesIO()
    _save(curves_figure(curves, title), stream, ".svg", title, describe_curves(curves))
    return stream.getvalue()


def _write(path: str | os.PathLike[str], figure: Figure, title: str, text: str) -> None:
    """Write a figure with its text alternative."""
    with replacing(path) as stream:
        _save(figure, stream, os.path.splitext(path)[1], title, text)


def _save(figure: Figure, stream: BinaryIO, ending: str, title: str, text: str) -> None:
    from matplotlib import rc_context

    titled, described, left_out = _TEXTS[ending]
    texts = {titled: title, described: text, left_out: None}
    # Text stays text, to be found and read aloud; names inside the file do not change from run to run.
    with rc_context({"svg.fonttype": "none", "svg.hashsalt": "accrual"}):
        figure.savefig(stream, format=ending[1:], metadata=texts)


def trace_figure(description: Description, title: str) -> Figure:
    """Make a figure of the intervals of a trace: their range and mean along the time, and how often each length occurs.

    All scales but that of the time are logarithmic; what they have no room for, intervals and counts of 0, is left out.

    Parameters
    ----------
    description : Description
        As `accrual.describe` gives it.
    title : str
        What was described.

    Returns
    -------
    matplotlib.figure.Figure
        Of which pyplot knows nothing: it needs no closing.

    Raises
    ------
    ImportError
        matplotlib is missing.

    Examples
    --------
    >>> import accrual as ac
    >>> figure = trace_figure(ac.describe([0, 100, 200, 450, 500]), "five heartbeats")
    >>> [ax.get_xlabel() for ax in figure.axes]
    ['time since the first arrival [s]', 'intervals']
    """
    figure, picture = _figure(), description.picture
    along, lengths = figure.subplots(1, 2, sharey=True, width_ratios=[3, 1])
    _entitle(along, title)
    along.set(xlabel="time since the first arrival [s]", ylabel="interval [s]")
    lengths.set(xlabel="intervals")
    some = picture.most > 0
    if some.any():  # matplotlib cannot draw a logarithmic scale of nothing
        least = np.where(picture.least > 0, picture.least, np.nan)
        along.fill_between(picture.time, least, picture.most, color=_COLOURS[5], alpha=0.5, label="range")
        along.plot(picture.time, picture.mean, color=_COLOURS[0], linewidth=1, label="mean")
        along.plot(picture.time, picture.most, color=_COLOURS[1], linewidth=0.8, label="longest")
        lengths.stairs(picture.counts, picture.lengths, orientation="horizontal", fill=True, color=_COLOURS[0])
        along.set(yscale="log")
        lengths.set(xscale="log")
        _write_plainly(along.yaxis)
        along.legend(frameon=False, fontsize="small")
    for ax in (along, lengths):
        ax.grid(color="0.9")
        ax.set_axisbelow(True)
    return figure


def write_trace(path: str | os.PathLike[str], description: Description, title: str) -> None:
    """Write a picture of a trace's intervals to a file, whole or not at all; `description` is its text alternative.

    Parameters
    ----------
    path : path
        A name that ends in one of `FORMATS`.
    description : Description
        As `accrual.describe` gives it.
    title : str
        What was described.

    Raises
    ------
    ValueError, ImportError, OSError
        As `write_curves`.
    """
    _check_format(path)
    _write(path, trace_figure(description, title), title, repr(description))
