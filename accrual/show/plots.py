"""Static pictures: curves of quality of service, comparisons, promises of thresholds, the intervals of a trace.

With each go the sentences that say the same to those who cannot see it.

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
    from collections.abc import Callable, Sequence

    from matplotlib.axes import Axes
    from matplotlib.axis import Axis
    from matplotlib.figure import Figure
    from numpy.typing import ArrayLike, NDArray

    from accrual.comparison import Comparison
    from accrual.qos import Curve
    from accrual.reliability import Calibration
    from accrual.traces.description import Description

__all__ = [
    "FORMATS",
    "curves_figure",
    "curves_svg",
    "describe_calibrations",
    "describe_comparison",
    "describe_curves",
    "draw_calibrations",
    "draw_comparison",
    "draw_curves",
    "picture_svg",
    "trace_figure",
    "write_calibrations",
    "write_comparison",
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


def _draw_bounds(
    ax: Axes, time: ArrayLike, bound: ArrayLike, colour: str, label: str = "_", side_by_side: bool = False
) -> None:  # fmt: skip
    ax.plot(
        time,
        bound,
        color=colour,
        linestyle="none",
        marker="v",
        fillstyle="none",
        markersize=6,
        markevery=None if side_by_side else _SPACING,
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
    return _picture(lambda ax: draw_curves(ax, curves), title)


def _picture(draw: Callable[[Axes], None], title: str) -> Figure:
    figure = _figure()
    ax = figure.subplots()
    draw(ax)
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


def write_picture(path: str | os.PathLike[str], draw: Callable[[Axes], None], title: str, text: str) -> None:
    """Write what `draw` draws to a file, whole or not at all, with `text` as its alternative; see `write_curves`."""
    _check_format(path)
    _write(path, _picture(draw, title), title, text)


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
    return picture_svg(lambda ax: draw_curves(ax, curves), title, describe_curves(curves))


def picture_svg(draw: Callable[[Axes], None], title: str, text: str) -> bytes:
    """The SVG that `write_picture` writes, for what has it inside."""
    stream = io.BytesIO()
    _save(_picture(draw, title), stream, ".svg", title, text)
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


# ---- detectors at equal detection time ----


def draw_comparison(ax: Axes, comparison: Comparison) -> None:
    """Draw the mistake rates of detectors at equal detection times, with their 95 % intervals.

    A group for each detection time, in which the detectors stand side by side, in the order of the table; rates on a
    logarithmic scale. Where no mistake was seen, an open triangle points down from the upper bound, 3.0 / observed;
    what cannot be set so is not there.

    Parameters
    ----------
    ax : matplotlib.axes.Axes
        What to draw into.
    comparison : Comparison
        As `accrual.compare` gives it.
    """
    bounds = drawn = False
    count = len(comparison.detectors)
    for k, (detector, colour, marker) in enumerate(
        zip(comparison.detectors, cycle(_COLOURS), cycle(_MARKERS), strict=False)
    ):
        rows = [row for row in comparison.rows if row.detector == detector and row.qos is not None]
        place = np.array([comparison.detection_times.index(row.wanted) for row in rows])
        place = place + 0.7 * (k / max(count - 1, 1) - 0.5)
        rate = np.array([row.qos.mistake_rate for row in rows if row.qos is not None])
        low, high = (np.array([getattr(row, name) for row in rows]) for name in ("rate_low", "rate_high"))
        seen = rate > 0
        reach = np.stack([rate - low, high - rate])[:, seen]
        ax.errorbar(
            place[seen], rate[seen], yerr=np.nan_to_num(np.maximum(reach, 0)), color=colour,
            marker=marker, markersize=5, linestyle="none", capsize=2, label=str(detector),
        )  # fmt: skip
        _draw_bounds(ax, place[~seen], high[~seen], colour, side_by_side=True)
        bounds |= not seen.all()
        drawn |= len(rows) > 0
    if bounds:
        _draw_bounds(ax, [], [], "0.3", label="no mistake seen: 95 % upper bound")
    kind = {"mean": "mean", "p99": "99 % quantile"}[comparison.at]
    ax.set(xlabel=f"detection time $T_D$, {kind}, worst case [s]", ylabel=r"mistake rate $\lambda_M$ [1/s]")
    ax.set_xticks(range(len(comparison.detection_times)), [f"{time:.4g}" for time in comparison.detection_times])
    if drawn:  # matplotlib cannot draw a logarithmic scale of nothing
        ax.set_yscale("log")
    ax.grid(color="0.9", axis="y")
    ax.set_axisbelow(True)
    ax.legend(frameon=False, fontsize="small")


def describe_comparison(comparison: Comparison) -> str:
    """Say in words what `draw_comparison` shows: the text alternative of the picture."""
    sentences = [f"Mistake rates at {comparison.title()}."]
    for time in comparison.detection_times:
        parts = []
        for row in comparison.at_time(time):
            if row.qos is None:
                parts.append(f"{row.detector} {row.refused}")
            elif not row.qos.mistakes:
                parts.append(f"{row.detector} below {row.rate_high:.3g}")
            else:
                verdict = f", {row.verdict}" if row.verdict else ""
                parts.append(
                    f"{row.detector} {row.qos.mistake_rate:.3g} ({row.rate_low:.3g} to {row.rate_high:.3g}){verdict}"
                )
        sentences.append(f"At {time:.4g} s: {'; '.join(parts)}.")
    return " ".join(sentences)


def write_comparison(path: str | os.PathLike[str], comparison: Comparison, title: str) -> None:
    """Write a picture of a comparison to a file, as `write_curves` does."""
    write_picture(path, lambda ax: draw_comparison(ax, comparison), title, describe_comparison(comparison))


# ---- promises ----


def draw_calibrations(ax: Axes, calibrations: Sequence[Calibration]) -> None:
    """Draw the share of late heartbeats against what the thresholds promise: a reliability plot.

    Both scales are logarithmic; on the dashed diagonal a promise is kept, above it more heartbeats are late than
    promised. Bars are 95 % intervals. Thresholds that no heartbeat was later than are open triangles at 3.0 /
    heartbeats; promises that are beyond what the trace can tell are left out.

    Parameters
    ----------
    ax : matplotlib.axes.Axes
        What to draw into.
    calibrations : sequence of Calibration
        As `accrual.calibration` gives them.
    """
    bounds = drawn = False
    ends = [1.0]
    for found, colour, marker in zip(calibrations, cycle(_COLOURS), cycle(_MARKERS), strict=False):
        seen, told = found.late > 0, found.promised * found.heartbeats >= 0.1
        shown = seen & (found.promised > 0)
        reach = np.stack([found.share - found.low, found.high - found.share])[:, shown]
        ax.errorbar(
            found.promised[shown], found.share[shown], yerr=np.nan_to_num(np.maximum(reach, 0)), color=colour,
            marker=marker, markersize=5, capsize=2, label=str(found.detector),
        )  # fmt: skip
        _draw_bounds(ax, found.promised[~seen & told], found.high[~seen & told], colour, side_by_side=True)
        bounds |= bool((~seen & told).any())
        drawn |= bool(shown.any())
        ends += found.promised[shown].tolist()
    if bounds:
        _draw_bounds(ax, [], [], "0.3", label="none was late: 95 % upper bound")
    ax.plot([min(ends), 1], [min(ends), 1], color="0.5", linestyle="--", label="promise kept")
    ax.set(xlabel="share of late heartbeats that is promised", ylabel="share that was late")
    if drawn:
        ax.set(xscale="log", yscale="log")
    ax.grid(color="0.9")
    ax.set_axisbelow(True)
    ax.legend(frameon=False, fontsize="small")


def describe_calibrations(calibrations: Sequence[Calibration]) -> str:
    """Say in words what `draw_calibrations` shows: the text alternative of the picture."""
    sentences = ["Share of late heartbeats against the share that thresholds promise, on logarithmic scales."]
    for found in calibrations:
        name = found.detector.threshold_name
        parts = [
            f"{name} = {threshold:g} promises {promised:.3g}, {share:.3g} were late"
            for threshold, promised, share in zip(found.thresholds, found.promised, found.share, strict=True)
        ]
        sentences.append(f"{found.detector}: {'; '.join(parts)}.")
    return " ".join(sentences)


def write_calibrations(path: str | os.PathLike[str], calibrations: Sequence[Calibration], title: str) -> None:
    """Write a reliability plot to a file, as `write_curves` does."""
    write_picture(path, lambda ax: draw_calibrations(ax, calibrations), title, describe_calibrations(calibrations))
