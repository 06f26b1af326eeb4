"""The phi paper's four experiments, on a synthetic week or on a recorded trace of your own.

    python examples/hayashibara_2004.py                        # the synthetic week: about half a minute
    python examples/hayashibara_2004.py contended -o own.svg   # a dataset, or any trace that accrual reads

Hayashibara, Defago, Yared and Katayama (2004) replayed a week of heartbeats between Switzerland and Japan. That
recording is not public: the synthetic week has the losses and the deviation that are told of it at second hand, so its
*shapes* can be compared with the paper's, its numbers cannot. The paper's third experiment compares windows at equal
thresholds. That is no fair comparison, for the detection time grows with the window; so it is drawn beside, and the
last panel compares the same windows at equal detection time.
"""

from __future__ import annotations

import argparse
import os
from dataclasses import dataclass

import numpy as np
from matplotlib import rc_context
from matplotlib.figure import Figure

import accrual as ac

PHI = np.arange(0.5, 16.25, 0.5)
MARGINS = np.geomspace(1e-3, 10, 60)  # Chen's, s
WINDOWS = (20, 50, 100, 200, 500, 1000, 2000, 5000, 10_000)
WINDOW = 1000  # of the comparison
FIXED_PHI = (1, 3, 5)  # of the window experiment
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#000000")  # Okabe and Ito


@dataclass(frozen=True)
class Line:
    """A detector's figures at its thresholds."""

    threshold: np.ndarray
    rate: np.ndarray  # mistakes a second
    time: np.ndarray  # detection time, s
    duration: np.ndarray  # of a mistake, s


@dataclass(frozen=True)
class Experiments:
    """What was measured: phi by its window, Chen and Bertier; all observed from the same heartbeat on."""

    name: str
    phi: dict[int, Line]
    chen: Line
    bertier: Line | None  # needs a period
    bursts: int  # of lost heartbeats, where they are numbered
    observed: float  # s

    @property
    def plateau(self) -> float:
        """The mistake rate of any timeout that outlasts jitter and no loss: a mistake for each burst."""
        return self.bursts / self.observed


def measure(trace: ac.Trace, name: str) -> Experiments:
    """Run all experiments on a trace."""
    windows = [window for window in WINDOWS if window <= len(trace) // 10]
    if WINDOW not in windows:
        raise ValueError(f"{name}: {len(trace):,} heartbeats are too few, the experiments want {10 * WINDOW:,}")
    phi = {window: ac.PhiNormal(window=window) for window in windows}
    thresholds = dict.fromkeys(phi.values(), PHI) | {ac.Chen(window=WINDOW): MARGINS}
    if trace.period is not None:
        thresholds[ac.Bertier(period=trace.period, window=WINDOW)] = [0.0]
    found = ac.study(trace, list(thresholds), thresholds)
    if found.failures:
        raise ValueError(f"{name}: {found.failures[0].reason}")
    fields = ("mistake_rate", "detection_time", "mistake_duration")
    lines = [Line(np.array(s.thresholds), *(np.array(s.points[field]) for field in fields)) for s in found.scores]
    bursts = 0
    if trace.sequence is not None:
        bursts = int(np.count_nonzero(np.diff(trace.sequence[found.scores[0].skip :]) > 1))
    return Experiments(
        name=name,
        phi=dict(zip(windows, lines, strict=False)),
        chen=lines[len(windows)],
        bertier=lines[-1] if trace.period is not None else None,
        bursts=bursts,
        observed=found.scores[0].points["observed"][0],
    )


def draw(found: Experiments) -> Figure:
    """Draw them: six panels."""
    figure = Figure(figsize=(10, 12), dpi=120, layout="constrained")
    axes = figure.subplots(3, 2)
    figure.suptitle(f"{found.name}: observed for {found.observed:,.0f} s", parse_math=False)
    phi = found.phi[WINDOW]

    ax = axes[0, 0]
    ax.set(title=f"1. Mistake rate against Φ, window {WINDOW}", xlabel="threshold Φ", yscale="log")
    plot(ax, phi.threshold, phi.rate, COLOURS[0])
    if found.bursts:
        ax.axhline(found.plateau, color="0.4", linestyle="--", linewidth=1)
        where = {"xy": (PHI[-1], found.plateau), "ha": "right", "va": "bottom", "fontsize": "small"}
        ax.annotate(f"{found.bursts:,} bursts of losses / T", **where)

    ax = axes[0, 1]
    ax.set(title=f"2. Detection time against Φ, window {WINDOW}", xlabel="threshold Φ")
    plot(ax, phi.threshold, phi.time, COLOURS[0])

    for ax, field in ((axes[1, 0], "rate"), (axes[1, 1], "time")):
        for threshold, colour in zip(FIXED_PHI, COLOURS, strict=False):
            at = int(np.flatnonzero(threshold == PHI)[0])
            values = [getattr(line, field)[at] for line in found.phi.values()]
            plot(ax, list(found.phi), values, colour, f"Φ = {threshold}")
        ax.set(xlabel="window [intervals]", xscale="log")
        ax.legend(frameon=False, fontsize="small")
    axes[1, 0].set(title="3. Windows at equal Φ: no fair comparison,", yscale="log")
    axes[1, 1].set(title="for the detection time is not equal")

    ax = axes[2, 0]
    ax.set(title=f"4. Phi, Chen, Bertier, window {WINDOW}", yscale="log")
    plot(ax, phi.time, phi.rate, COLOURS[0], "phi")
    near = found.chen.time <= 1.1 * phi.time[-1]  # its margins go on to 10 s
    plot(ax, found.chen.time[near], found.chen.rate[near], COLOURS[1], "Chen")
    if found.bertier is not None:
        ax.plot(found.bertier.time, found.bertier.rate, "D", color=COLOURS[4], label="Bertier")

    ax = axes[2, 1]
    ax.set(title="3, fairly: windows at equal detection time", yscale="log")
    chosen = [window for window in (20, 100, 1000, 10_000) if window in found.phi]
    for window, colour in zip(chosen, COLOURS, strict=False):
        plot(ax, found.phi[window].time, found.phi[window].rate, colour, f"window {window:,}")

    for ax in axes.flat:
        ax.grid(color="0.9")
        ax.set_axisbelow(True)
    for ax in (axes[0, 0], axes[1, 0], *axes[2]):
        ax.set_ylabel(r"mistake rate $\lambda_M$ [1/s]")
    for ax in (axes[0, 1], axes[1, 1]):
        ax.set_ylabel("detection time $T_D$ [s]")
    for ax in axes[2]:
        ax.set_xlabel("detection time $T_D$, mean, worst case [s]")
        ax.legend(frameon=False, fontsize="small")
    return figure


def plot(ax, x, y, colour: str, label: str | None = None) -> None:
    """A line; what a logarithmic scale has no room for, no mistake at all, is left out."""
    x, y = np.asarray(x, float), np.asarray(y, float)
    some = y > 0
    ax.plot(x[some], y[some], marker="o", markersize=3, linewidth=1.2, color=colour, label=label)


def main(argv: list[str] | None = None) -> None:
    """Read, measure, draw."""
    parser = argparse.ArgumentParser(description="The phi paper's four experiments.")
    parser.add_argument("trace", nargs="?", default="synthetic-paper-week", help="a file or a dataset")
    parser.add_argument("-o", "--out", default="hayashibara_2004.png", help="a name that ends in .png or .svg")
    args = parser.parse_args(argv)
    trace = ac.import_trace(args.trace)[0] if os.path.exists(args.trace) else ac.load(args.trace)
    kind = "synthetic, not the paper's data" if trace.about.get("source") == "synthetic" else "recorded"
    try:
        found = measure(trace, f"{args.trace} ({kind})")
    except ValueError as error:
        parser.error(str(error))
    with rc_context({"svg.fonttype": "none", "svg.hashsalt": "accrual"}):
        draw(found).savefig(args.out, metadata={"Title": found.name, "Description": __doc__})
    line = found.phi[WINDOW]
    print(f"{found.name}: window {WINDOW}\n{'Φ':>5} {'mistakes/s':>11} {'T_D [s]':>8}")
    for row in zip(line.threshold, line.rate, line.time, strict=True):
        print("{:5g} {:11.3g} {:8.4f}".format(*row))
    if found.bursts:
        print(f"{found.bursts:,} bursts of losses / T = {found.plateau:.3g} a second")
    print(f"drawn in {args.out}")


if __name__ == "__main__":
    main()
