"""Which detector makes the fewest mistakes at equal detection time, against a fixed timeout tuned on the trace itself?

    python examples/which_detector.py                     # on every recording that comes with the package
    python examples/which_detector.py ping.log mine.csv   # on these as well
    python examples/which_detector.py --only mine.csv     # on these alone

prints two Markdown tables for equal mean and two for equal p99 of the detection time: what each detector makes of all
traces, and of each. Detection times are those at which the fixed timeout errs on 5 %, 1 % and 0.1 % of the heartbeats.
The fixed timeout is an oracle: it is tuned on the heartbeats that it is judged by, as all the others are.
"""

import argparse
import math
import sys

import numpy as np

import accrual as ac

SHORTEST = 300  # heartbeats: fewer have no block that could say anything
MARKS = {"fewer": "**↓**", "more": "↑", "no difference": "", "too short": "?", "": ""}


def lineup(trace):
    """The detectors by the names they go by here: what is published, and this project's, windows as long as pays."""
    long = min(1000, max(len(trace) // 8, 20))
    short = min(100, long)
    period = trace.period or float(np.median(np.diff(trace.arrivals))) / 1e9
    return {
        "k x mean": ac.PhiExponential(window=long),
        "phi 1000": ac.PhiNormal(window=long),
        "phi 100": ac.PhiNormal(window=short),
        "Satzger": ac.Empirical(window=long),
        "Chen": ac.Chen(period=period, window=short),
        "Chen, slope": ac.Chen(window=short),
        "2W-FD": ac.TwoWindow(period=period, long=long),
        "Bertier": ac.Bertier(period=period, window=long),
        "ExpectedArrival": ac.ExpectedArrival(),
    }


def recordings(names, only):
    """Label and trace of each recording: the bundled ones and the sessions of files."""
    if not only:
        for dataset in ac.datasets().values():
            if dataset.kind == "recorded":
                yield dataset.name, ac.load(dataset.name)
    for name in names:
        sessions = ac.import_trace(name, lenient=True)
        for number, trace in enumerate(sessions, 1):
            label = name.rpartition("/")[2].partition(".")[0]
            yield f"{label} {number}" if len(sessions) > 1 else label, trace


def answer(trace, at):
    """Detection times, and for each detector what became of it at each of them."""
    detectors = lineup(trace)
    found = ac.compare(trace, list(detectors.values()), at=at)
    rows = {(row.detector, row.wanted): row for row in found.rows}
    return found.detection_times, {
        name: [rows[detector, time] for time in found.detection_times] for name, detector in detectors.items()
    }


def cell(row):
    """Mistakes over the fixed timeout's, and whether that is a difference."""
    return "-" if row.qos is None else f"{row.ratio:.2g}{MARKS[row.verdict]}"


def summary(answers):
    """One row for each detector: verdicts over all traces, and the mean ratio, in which each trace weighs the same."""
    lines = ["| detector | mean ratio | fewer | no difference | more | cannot be set so |", "|---|---|---|---|---|---|"]
    ranked = []
    for name in next(iter(answers.values()))[1]:
        rows = [found[name] for _, found in answers.values()]
        logs = [[math.log(row.ratio) for row in trace if row.qos is not None] for trace in rows]
        means = [sum(trace) / len(trace) for trace in logs if trace]
        ratio = math.exp(sum(means) / len(means)) if means else math.nan
        verdicts = [row.verdict if row.qos is not None else "cannot" for trace in rows for row in trace]
        kinds = (["fewer"], ["no difference", "too short"], ["more"], ["cannot"])
        counts = [sum(verdict in kind for verdict in verdicts) for kind in kinds]
        ranked.append((ratio, f"| {name} | {ratio:.2f} | {' | '.join(map(str, counts))} |"))
    return "\n".join(lines + [line for _, line in sorted(ranked)])


def details(answers):
    """One row for each trace: the ratios at its detection times."""
    names = list(next(iter(answers.values()))[1])
    lines = [f"| trace | detection times, ms | {' | '.join(names)} |", "|---" * (len(names) + 2) + "|"]
    for label, (times, found) in answers.items():
        shown = " / ".join(f"{1000 * time:.4g}" for time in times)
        lines.append(f"| {label} | {shown} | {' | '.join(' / '.join(map(cell, found[name])) for name in names)} |")
    return "\n".join(lines)


def main(arguments=None):
    """Print the tables."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("traces", nargs="*", metavar="TRACE", help="files that accrual import reads")
    parser.add_argument("--only", action="store_true", help="leave out the recordings that come with the package")
    options = parser.parse_args(arguments)
    if options.only and not options.traces:
        parser.error("--only needs a TRACE")
    traces = []
    for label, trace in recordings(options.traces, options.only):
        if len(trace) < SHORTEST:
            print(f"{label}: {len(trace)} heartbeats are too few, left out", file=sys.stderr)
        else:
            traces.append((label, trace))
    if not traces:
        print("no trace is left", file=sys.stderr)
        return 1
    for at, words in (("mean", "mean"), ("p99", "99 % quantile of the")):
        answers = {}
        for label, trace in traces:
            print(f"{at}: {label}, {len(trace):,} heartbeats", file=sys.stderr)
            answers[label] = answer(trace, at)
        points = sum(len(times) for times, _ in answers.values())
        print(f"## Equal {words} detection time: {len(answers)} traces, {points} detection times\n")
        print(summary(answers) + "\n")
        print(details(answers) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
