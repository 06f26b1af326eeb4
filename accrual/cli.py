"""The `accrual` command: verbs with files in and files out.

Results go to standard output, as tables or with ``--json`` as one JSON document; whatever else there is to say goes to
standard error, a line each. Every command raises what the library raises; `main` alone turns that into a line and an
exit status: 0 done, 1 bad data, 2 bad usage, 130 interrupted, 141 nobody reads on.
"""

from __future__ import annotations

import argparse
import contextlib
import dataclasses
import errno
import glob
import json
import math
import os
import shutil
import sys
import tempfile
from decimal import Decimal
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Generic, NamedTuple, NoReturn, TypeAlias, TypeVar

from accrual._version import __version__
from accrual.comparison import compare
from accrual.course.doctor import configure_doctor, run_doctor
from accrual.course.lessons import configure_lessons, run_lessons
from accrual.detectors import DETECTORS, SHORT_NAMES, Detector, parse_detector
from accrual.isolation import labs as _isolation_labs  # noqa: F401  # declares its labs
from accrual.isolation.plan import configure_plan, run_plan
from accrual.lab import LabError
from accrual.lab.command import configure_lab, run_lab
from accrual.matching import AT
from accrual.qos import UNITS, Curve, QoS, curve
from accrual.recovery import labs as _recovery_labs  # noqa: F401  # declares its labs
from accrual.reliability import calibration
from accrual.replay import NEVER, as_trace, replay
from accrual.show import plots
from accrual.show.lab import write_events
from accrual.show.report import Subject, make_report
from accrual.show.report import cell as _cell
from accrual.study import content_sha256, study
from accrual.tables import aligned
from accrual.traces import (
    Outages,
    ScannedTrace,
    Trace,
    TraceError,
    datasets,
    import_trace,
    load,
    outages,
    parts,
    scan_trace,
)
from accrual.traces.description import describe
from accrual.traces.files import printable as _printable
from accrual.traces.files import replacing, sha256_of
from accrual.traces.formats import FORMATS
from accrual.traces.parquet import is_parquet
from accrual.traces.record import configure_record, configure_send, run_record, run_send
from accrual.traces.selection import INSTANTS, ROLES
from accrual.traces.selection import UNITS as TIME_UNITS
from accrual.traces.synthetic import RECIPES, Specification, specify
from accrual.tuning import tune, tune_cost

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

__all__ = ["main"]

_COMPARED: Final = ("phi-normal", "fixed-timeout")
"""What `accrual curve` draws when nobody says."""

_AT_EQUAL_TIME: Final = ("phi-normal", "chen", "expected-arrival")
"""What `accrual compare` compares, beside the fixed timeout and the multiple of the mean."""

_PROMISING: Final = ("phi-normal", "phi-student")
"""What `accrual calibration` asks about."""

_REPLAY_COLUMNS: Final = (
    "observed", "lost", "detection_time", "detection_time_p99", "detection_time_max", "mistakes", "mistake_rate",
    "mistake_duration", "query_accuracy",
)  # fmt: skip
_CURVE_COLUMNS: Final = ("detection_time", "mistakes", "mistake_rate", "mistake_duration", "query_accuracy")

_ROWS: Final = 16  # of a curve at the detector's own thresholds: a screenful for two detectors, whatever their number
_MOST_THRESHOLDS: Final = 100_000  # a slip in a range should not fill the memory
_ERASE: Final = "\r\x1b[K"  # the line of a terminal
_TRACE_FILES: Final = (".parquet", ".csv", ".csv.gz")
_STUDIED: Final = (*_TRACE_FILES, ".log", ".log.gz")  # of a folder: what import_trace reads by its name
_STUDY_FILES: Final = ("study.csv", "study.json")
_OUT_HELP: Final = f"where to write: {', '.join(_TRACE_FILES)}, or - for CSV on standard output"
_LONG: Final = 2_000_000  # synthetic heartbeats that take a second to make and to write


def main(argv: Sequence[str] | None = None) -> int:
    """Run the `accrual` command.

    Parameters
    ----------
    argv : sequence of str, optional
        The arguments after the command's name; by default those of the process.

    Returns
    -------
    int
        The exit status.

    Examples
    --------
    >>> main(["--version"])  # doctest: +ELLIPSIS
    accrual ...
    0
    """
    try:
        try:
            args = _parser().parse_args(argv)
            status: int = args.run(args)
            return status
        finally:
            _finish_output()
    except SystemExit as end:  # how argparse ends after --help, --version and bad usage
        return end.code if isinstance(end.code, int) else 0
    except KeyboardInterrupt:
        return 130
    except BrokenPipeError:
        return 141
    except (OSError, ImportError, ValueError, LabError) as error:
        _complain(error)
        return 2 if isinstance(error, ValueError) and not isinstance(error, TraceError | OSError) else 1


def _finish_output() -> None:
    """Write out what was printed: Python would do it after the end, and answer an error with a traceback."""
    try:
        print(end="", flush=True)
    except OSError as error:
        with contextlib.suppress(OSError):
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        error.filename = "standard output"
        raise


def _complain(problem: Exception | str) -> None:
    """Say in one line what is wrong."""
    text = str(problem)
    if isinstance(problem, OSError) and problem.strerror:
        text = f"{problem.filename}: {problem.strerror}" if problem.filename else problem.strerror
    print(f"{_ERASE if sys.stderr.isatty() else ''}accrual: {_printable(text)}", file=sys.stderr)


# ---- what the commands take ----


class _Parser(argparse.ArgumentParser):
    """A parser whose complaint is one line."""

    def error(self, message: str) -> NoReturn:
        """End with it."""
        if message.endswith("expected one argument"):  # it may be there, and look like an option: -1s, -1e-3
            message += "; one that begins with - is written as in --option=-1s"
        self.exit(2, f"{self.prog}: {_printable(message)} ({self.prog} --help tells more)\n")


def _parser() -> argparse.ArgumentParser:
    parser = _Parser(
        prog="accrual",
        description="Heartbeat failure detection: record heartbeats, replay them, compare detectors.",
        allow_abbrev=False,
    )
    parser.add_argument("--version", action="version", version=f"accrual {__version__}")
    commands = parser.add_subparsers(metavar="COMMAND", required=True)
    for name, summary, configure, run in _COMMANDS:
        command = commands.add_parser(name, help=summary, description=summary.capitalize() + ".", allow_abbrev=False)
        configure(command)
        command.set_defaults(run=run)
    return parser


def _configure_lab(parser: argparse.ArgumentParser) -> None:
    configure_lab(parser, _named(plots.FORMATS))


def _configure_import(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add("trace", metavar="IN", help="what was recorded, of any of the formats below; - for standard input")
    add(
        "out",
        metavar="OUT",
        type=_named(_TRACE_FILES, "-"),
        help=f"{_OUT_HELP}; of many sessions the n-th goes to OUT-n",
    )
    add("--format", choices=FORMATS, help="of IN (default: judged by its content)")
    add(
        "--column",
        type=_column,
        action="append",
        dest="columns",
        metavar="ROLE=NAME",
        help=f"of a table: which column is {', '.join(ROLES)}; a number, from 1, where there is no header; may be "
        "repeated",
    )
    add(
        "--unit",
        type=_unit,
        action="append",
        dest="units",
        metavar="[ROLE=]UNIT",
        help=f"of a table's instants: {', '.join(TIME_UNITS)}",
    )
    add(
        "--filter",
        metavar="TERMS",
        help="of a capture: which packets are heartbeats, such as 'udp and src host 192.0.2.1 and dst port 7007' "
        "(default: those of accrual send)",
    )
    _add_reading(parser)
    add("--force", action="store_true", help="overwrite files that exist")
    add("--json", action="store_true", help="print a summary as JSON")


def _configure_synthesize(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    source = parser.add_mutually_exclusive_group()
    source.add_argument("--recipe", choices=RECIPES, metavar="NAME", help="a specification with a name, see below")
    source.add_argument("--specification", metavar="FILE", help="a specification as --json prints it")
    for field in dataclasses.fields(Specification):
        option, says = f"--{field.name.replace('_', '-')}", field.metadata["says"]
        kinds = field.metadata.get("kinds")
        default = "" if field.default in (None, False, 0) else f" (default: {str(field.default).removesuffix('.0')})"
        if field.type == "bool":
            add(option, action=argparse.BooleanOptionalAction, help=says)
        elif kinds is None:
            unit = "S" if field.metadata["bounds"].endswith(" s") else "N"
            add(option, metavar=unit, help=says + default)
        elif kinds in (parts.LAWS, parts.LOSSES):
            add(option, metavar="LAW" if kinds is parts.LAWS else "LOSS", help=says)
        else:
            add(option, metavar="X=Y,...", help=f"{says}: {parts.synopsis(kinds)}")
    add("-o", "--out", metavar="OUT", type=_named(_TRACE_FILES, "-"), help=_OUT_HELP)
    add("--force", action="store_true", help="overwrite a file that exists")
    add("--json", action="store_true", help="print a summary as JSON, without -o the specification alone")
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    lists = {
        f"laws (LAW), their times in s or with a unit ({', '.join(filter(None, parts.UNITS))})": parts.LAWS.values(),
        "losses (LOSS)": parts.LOSSES.values(),
    }
    shown = {head: [parts.synopsis(kind) for kind in kinds] for head, kinds in lists.items()}
    shown["recipes (NAME), changed by options, from which 'none' takes a part out"] = [
        f"{name}: {recipe.title}" for name, recipe in RECIPES.items()
    ]
    parser.epilog = "\n\n".join("\n  ".join([f"{head}:", *lines]) for head, lines in shown.items())


def _configure_replay(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("traces", nargs="+", metavar="TRACE", help=_TRACE_HELP)
    parser.add_argument(
        "--detector", type=_detector, default="phi-normal", metavar=_DETECTOR, help="default: %(default)s"
    )
    parser.add_argument("--threshold", type=float, metavar="X", help="default: what is common for the detector")
    parser.add_argument("--mistakes", action="store_true", help="list the mistakes")
    _add_scoring(parser)


def _configure_curve(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("trace", metavar="TRACE", help=_TRACE_HELP)
    _add_detectors(parser, " and ".join(_COMPARED))
    parser.add_argument(
        "--thresholds",
        type=_thresholds,
        metavar="LIST",
        help="such as 1,2,4 or 0.5:16:0.5, first:last:step (default: the detector's own)",
    )
    _add_plot(parser, "draw mistake rate against detection time")
    _add_scoring(parser)


def _configure_outages(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add("traces", nargs="+", metavar="TRACE", help=_TRACE_HELP)
    add("--min", type=_duration, required=True, metavar="T", help="the shortest gap, such as 30s, 5min, 200ms")
    _add_reading(parser)
    add("--json", action="store_true", help="print the gaps as JSON")


def _configure_describe(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("trace", metavar="TRACE", help=_TRACE_HELP)
    parser.add_argument(
        "--plot",
        type=_named(plots.FORMATS),
        metavar="FILE",
        help=f"draw the intervals, along the time and by their length: {', '.join(plots.FORMATS)}",
    )
    _add_reading(parser)
    parser.add_argument("--json", action="store_true", help="print the descriptions as JSON")


def _configure_study(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add("traces", nargs="+", metavar="TRACE", help="a file, the name of a dataset, a folder of files, or a pattern (*)")
    _add_detectors(parser, " and ".join(_COMPARED))
    add(
        "--thresholds",
        type=_thresholds,
        action="append",
        metavar="LIST",
        help="such as 1,2,4 or 0.5:16:0.5, first:last:step; once for all detectors, or once for each, in their order "
        "(default: each detector's own)",
    )
    add("--out", required=True, metavar="DIR", help="the study's folder: what is in it already is not done again")
    add(
        "--skip",
        type=int,
        metavar="N",
        help="observe from arrival N on (default: from where the windows of all detectors are full)",
    )
    add("--transit", type=float, default=0.0, metavar="S", help="time under way, s, where traces do not tell it")
    add("--threads", type=int, metavar="N", help="threads, or local processes (default: one for each processor)")
    add("--scheduler", metavar="ADDRESS", help="work on a Dask cluster: tcp://..., or local for processes here")
    add("--lenient", action="store_true", help="skip lines that do not belong")
    add("--json", action="store_true", help="print the table and the hashes of its traces as JSON")
    _list_detectors(parser)


def _configure_report(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add("traces", nargs="+", metavar="TRACE", help=_TRACE_HELP)
    add("-o", "--out", required=True, type=_named((".html",)), metavar="OUT", help="where to write: .html")
    add("--data", type=_named((".json",)), metavar="FILE", help="write the figures beside it as JSON: .json")
    _add_detectors(parser, " and ".join(_COMPARED))
    add(
        "--thresholds",
        type=_thresholds,
        metavar="LIST",
        help="such as 1,2,4 or 0.5:16:0.5, first:last:step (default: each detector's own)",
    )
    _add_scoring(parser)


def _configure_compare(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add("trace", metavar="TRACE", help=_TRACE_HELP)
    _add_detectors(parser, f"{', '.join(_AT_EQUAL_TIME)}; a fixed timeout and a multiple of the mean are always there")
    add(
        "--detection-time",
        type=_times,
        metavar="LIST",
        help="such as 150ms,0.5 (default: where the fixed timeout errs on 5, 1 and 0.1 %% of the heartbeats)",
    )
    add("--at", choices=AT, default="mean", help="which detection time is made equal (default: %(default)s)")
    add("--block", type=_time, metavar="S", help="length of the blocks that intervals come from")
    _add_plot(parser, "draw the mistake rates and their intervals")
    _add_seed(parser)
    _add_scoring(parser, skip="from where all windows are full")


def _configure_tune(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add("trace", metavar="TRACE", help=_TRACE_HELP)
    add("--detector", type=_detector, default="phi-normal", metavar=_DETECTOR, help="default: %(default)s")
    add("--mistake-rate", type=_rate, metavar="N/TIME", help="at most, such as 1/h or 0.001 (a second)")
    add("--detection-time", type=_time, metavar="S", help="wanted, such as 150ms")
    add("--at", choices=AT, default="mean", help="which detection time is meant (default: %(default)s)")
    add("--time-to-failure", type=_time, metavar="S", help="of the peer, such as 30d: the threshold that loses the")
    add("--failover", type=_time, metavar="S", help="least time, if a mistake costs this, such as 10s")
    add("--share", type=float, default=0.5, metavar="X", help="of the trace to learn from (default: %(default)s)")
    _add_seed(parser)
    _add_scoring(parser, skip="from where the window is full")


def _configure_calibration(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("trace", metavar="TRACE", help=_TRACE_HELP)
    _add_detectors(parser, " and ".join(_PROMISING))
    parser.add_argument("--thresholds", type=_thresholds, metavar="LIST", help="such as 1,2,4 or 0.5:8:0.5")
    _add_plot(parser, "draw the share of late heartbeats against the promised one")
    _add_seed(parser)
    _add_scoring(parser, skip="from where the window is full", transit=False)


def _configure_datasets(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--json", action="store_true", help="print everything known about them as JSON")


_TRACE_HELP: Final = "a file of any format that accrual import takes, the name of a dataset, or - for standard input"
_DETECTOR: Final = "NAME[:PARAMETER=VALUE,...]"


def _add_reading(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--session", type=int, metavar="N", help="only the N-th session or peer of the file")
    parser.add_argument("--lenient", action="store_true", help="skip what does not belong, and say how much")


def _add_detectors(parser: argparse.ArgumentParser, default: str) -> None:
    parser.add_argument(
        "--detector",
        type=_detector,
        action="append",
        dest="detectors",
        metavar=_DETECTOR,
        help=f"may be repeated (default: {default})",
    )


def _add_plot(parser: argparse.ArgumentParser, what: str) -> None:
    formats = ", ".join(plots.FORMATS)
    parser.add_argument("--plot", type=_named(plots.FORMATS), metavar="FILE", help=f"{what}: {formats}")


def _add_seed(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--seed", type=int, default=0, metavar="N", help="of the intervals (default: %(default)s)")


def _add_scoring(
    parser: argparse.ArgumentParser, skip: str = "from the first level that is known", transit: bool = True
) -> None:
    add = parser.add_argument
    add("--skip", type=int, metavar="N", help=f"observe from arrival N on (default: {skip})")
    if transit:
        add(
            "--transit",
            type=float,
            default=0.0,
            metavar="S",
            help="time under way, s, added to detection times where the trace does not tell it (default: %(default)s)",
        )
    add("--threads", type=int, default=1, metavar="N", help="threads to use (default: %(default)s)")
    _add_reading(parser)
    add("--json", action="store_true", help="print the results as JSON")
    _list_detectors(parser)


def _list_detectors(parser: argparse.ArgumentParser) -> None:
    parser.formatter_class = argparse.RawDescriptionHelpFormatter  # one line for each detector
    parser.epilog = "\n  ".join(["detectors:", *map(_synopsis, DETECTORS)])


def _synopsis(name: str) -> str:
    """A detector with its parameters and their defaults, as the command line writes it."""
    values = {
        field.name: "S"
        if field.default is dataclasses.MISSING
        else "..."  # none, unless one is given
        if field.default is None
        else f"{field.default:g}"
        for field in dataclasses.fields(DETECTORS[name])
    }
    parameters = ",".join(f"{name}={value}" for name, value in values.items())
    short = "".join(f" (or {short})" for short, long in SHORT_NAMES.items() if long == name)
    return f"{name}:{parameters}{short}"


def _detector(text: str) -> str:
    """Check a detector before anything is read. Its period may yet come from the trace."""
    try:
        parse_detector(text, period=1.0)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from None
    return text


def _named(endings: tuple[str, ...], *others: str) -> Callable[[str], str]:
    """Check the name of a file before anything is read."""

    def check(name: str) -> str:
        if not name.endswith(endings) and name not in others:
            raise argparse.ArgumentTypeError(f"must end in {' or '.join(endings)}, is {name!r}")
        return name

    return check


def _column(text: str) -> tuple[str, str | int]:
    """Read ``arrivals=ts`` and ``arrivals=1``."""
    role, found, name = text.partition("=")
    if role not in ROLES or not found or not name:
        raise argparse.ArgumentTypeError(f"must be ROLE=NAME with a role of {', '.join(ROLES)}, is {text!r}")
    return role, int(name) if name.isascii() and name.isdigit() and len(name) < 6 else name


def _unit(text: str) -> dict[str, str]:
    """Read ``ms`` and ``sent=ns``."""
    role, found, unit = text.rpartition("=")
    if unit not in TIME_UNITS or (found and role not in INSTANTS):
        raise argparse.ArgumentTypeError(
            f"must be {', '.join(TIME_UNITS)}, of all instants or after {', '.join(f'{role}=' for role in INSTANTS)}, "
            f"is {text!r}"
        )
    return {role: unit} if found else dict.fromkeys(INSTANTS, unit)


def _duration(text: str) -> float:
    """Read ``30s``, ``5min``, ``200ms``."""
    try:
        seconds = parts.parse_seconds(text) if text[-1:].isalpha() else 0.0
    except ValueError:
        seconds = 0.0
    if not 1e-9 <= seconds < 2**62 / 1e9:
        units = ", ".join(filter(None, parts.UNITS))
        raise argparse.ArgumentTypeError(f"must be a number of {units}, from 1ns to 146 years, is {text!r}")
    return seconds


def _time(text: str) -> float:
    """Read ``150ms``, and ``0.5`` as seconds."""
    return _duration(f"{text}s" if text[-1:].isdigit() else text)


def _times(text: str) -> list[float]:
    """Read ``150ms,0.5``."""
    return [_time(part) for part in text.split(",")]


def _rate(text: str) -> float:
    """Read ``1/h``, ``3/10min`` and ``0.001``, a second."""
    count, per, time = text.partition("/")
    try:
        unit = parts.parse_seconds(time if not time or time[0].isdigit() else f"1{time}") if per else 1.0
        return float(count) / unit
    except (ValueError, ZeroDivisionError):
        raise argparse.ArgumentTypeError(f"must be a rate such as 1/h or 0.001, got {text!r}") from None


def _thresholds(text: str) -> list[float]:
    """Read ``1,2,4`` and ``0.5:16:0.5``; in decimal, where 0.1 * 3 is 0.3 and a range ends where it says."""
    values: list[Decimal] = []
    try:
        for part in text.split(","):
            first, *rest = map(Decimal, part.split(":"))
            if not rest:
                values.append(first)
                continue
            last, step = rest
            steps = (last - first) // step
            if not 0 <= steps < _MOST_THRESHOLDS or step <= 0:
                raise ValueError
            values += [first + k * step for k in range(int(steps) + 1)]
        return [float(value) for value in values]
    except (ValueError, ArithmeticError):  # the latter is decimal's
        raise argparse.ArgumentTypeError(
            f"must be numbers or first:last:step, separated by commas, {_MOST_THRESHOLDS:,} at most, got {text!r}"
        ) from None


# ---- what they read ----


_AnyTrace = TypeVar("_AnyTrace", bound=Trace | ScannedTrace, covariant=True)


class _Recording(NamedTuple, Generic[_AnyTrace]):
    """A trace and what the user calls it."""

    name: str
    session: int
    trace: _AnyTrace
    label: str


_Opened: TypeAlias = _Recording[Trace | ScannedTrace]


def _read(name: str, args: argparse.Namespace) -> list[_Recording[Trace]]:
    """The traces of a file, of standard input or of a dataset; more than one where a file has several sessions."""
    if name != "-" and not os.path.lexists(name):
        if name not in datasets():
            raise FileNotFoundError(errno.ENOENT, f"no such file, and no dataset ({', '.join(datasets())})", name)
        traces = [load(name)]
    else:
        with _seekable(name) as path:
            traces = import_trace(path, lenient=args.lenient, **_import_options(args))
    label = "standard input" if name == "-" else _printable(name)
    if args.lenient:
        # The counts come with the file, where it is of ours, and may be anything where it is not.
        skipped = sum(n for trace in traces if isinstance(n := trace.about.get("skipped"), int))
        damaged = ", the rest is damaged" if any(trace.about.get("truncated") for trace in traces) else ""
        _complain(f"{label}: lines skipped: {skipped:,}{damaged}")
    several = len(traces) > 1
    recordings = [
        _Recording(name, n, trace, f"{label} session {n}" if several else label) for n, trace in enumerate(traces, 1)
    ]
    if args.session is None:
        return recordings
    if not 1 <= args.session <= len(recordings):
        raise ValueError(f"--session must be 1 to {len(recordings)} in {label}, is {args.session}")
    return [recordings[args.session - 1]]


def _import_options(args: argparse.Namespace) -> dict[str, Any]:
    """What `accrual import` was told about the file; nothing for other commands."""
    if not hasattr(args, "columns"):
        return {}
    columns = dict(args.columns or ())
    if len(columns) < len(args.columns or ()):
        raise ValueError("--column: a role may have one column only")
    units = {role: unit for one in args.units or () for role, unit in one.items()}
    return {"format": args.format, "columns": columns or None, "unit": units or None, "filter": args.filter}


def _open(name: str, args: argparse.Namespace) -> Sequence[_Opened]:
    """As `_read`, for what goes through traces piece by piece: a Parquet file is opened, and read when it is used."""
    if not os.path.isfile(name) or not is_parquet(name) or args.session not in (None, 1):
        return _read(name, args)
    return [_Recording(name, 1, scan_trace(name, progress=True), _printable(name))]


@contextlib.contextmanager
def _seekable(name: str) -> Iterator[str]:
    """A path that can be read twice: standard input and pipes are copied into a file first."""
    if name != "-" and not Path(name).is_fifo():
        yield name
        return
    with tempfile.TemporaryDirectory(prefix="accrual-") as folder:
        path = os.path.join(folder, "stdin" if name == "-" else "pipe")
        with contextlib.ExitStack() as stack:
            source = sys.stdin.buffer if name == "-" else stack.enter_context(open(name, "rb"))
            shutil.copyfileobj(source, stack.enter_context(open(path, "wb")))
        try:
            yield path
        except TraceError as error:
            known = "standard input" if name == "-" else name
            raise TraceError(str(error).replace(path, known, 1)) from None


# ---- what they do ----


def _run_import(args: argparse.Namespace) -> int:
    recordings = _read(args.trace, args)
    several = len(recordings) > 1
    if several and args.out == "-":
        raise ValueError(f"{args.trace} has {len(recordings)} sessions, standard output takes one: choose by --session")
    full = [recording for recording in recordings if len(recording.trace)]
    if not full:
        raise TraceError("no heartbeat, nothing is written", recordings[0].label)
    outs = [_numbered(args.out, recording.session) if several else args.out for recording in full]
    for out in outs:
        _refuse_to_overwrite(out, args.force)
    for recording, out in zip(full, outs, strict=True):
        if out == "-":
            _print_csv(recording.trace)
        else:
            recording.trace.write(out)
    for recording in recordings:
        if not len(recording.trace):
            _complain(f"{recording.label}: no heartbeat, not written")
    about = full[0].trace.about
    if about.get("format") in ("csv", "jsonl") and "unit_from" in about:
        _complain(f"{args.trace}: instants are in {about.get('unit')}, judged by {about['unit_from']}")
    summaries = [_summary(recording, out) for recording, out in zip(full, outs, strict=True)]
    # Where the trace itself takes standard output, there is no room for more.
    report = sys.stderr if args.out == "-" else sys.stdout
    if args.json:
        print(json.dumps(summaries), file=report)
    else:
        for summary in summaries:
            print("{file}: {heartbeats:,} heartbeats in {duration:,.1f} s".format_map(summary), file=report)
    return 0


def _run_synthesize(args: argparse.Namespace) -> int:
    if args.out is None and not args.json:
        raise ValueError("synthesize needs -o OUT, or --json for the specification alone")
    options = {field.name: getattr(args, field.name) for field in dataclasses.fields(Specification)}
    given = {name: value for name, value in options.items() if value is not None}
    if args.specification is None:
        specification = specify(args.recipe, **given)
    else:
        specification = dataclasses.replace(_read_specification(args.specification), **given)
    if args.out is None:
        print(json.dumps(specification.to_dict()))
        return 0
    _refuse_to_overwrite(args.out, args.force)
    shown = specification.heartbeats >= _LONG and sys.stderr.isatty()

    def tell(step: str) -> None:
        if shown:
            print(f"{_ERASE}{specification.heartbeats:,} heartbeats: {step}", end="", file=sys.stderr, flush=True)

    try:
        trace = specification.generate(tell)
        if not len(trace):
            raise TraceError("no heartbeat arrives, nothing is written", args.out)
        tell("writing")
        if args.out == "-":
            _print_csv(trace)
        else:
            trace.write(args.out)
    finally:
        if shown:
            print(_ERASE, end="", file=sys.stderr, flush=True)
    summary = _summary(_Recording(args.out, 1, trace, args.out), args.out)
    report = sys.stderr if args.out == "-" else sys.stdout
    if args.json:
        print(json.dumps(summary), file=report)
    else:
        text = "{file}: {heartbeats:,} synthetic heartbeats in {duration:,.1f} s".format_map(summary)
        print(f"{text}, seed {specification.seed}", file=report)
    return 0


def _read_specification(name: str) -> Specification:
    try:
        with open(name, encoding="utf-8") as file:
            found = json.load(file)
    except (ValueError, RecursionError) as error:
        raise TraceError(f"expected a specification in JSON: {error}", name) from None
    if not isinstance(found, dict):
        raise TraceError(f"expected a specification in JSON, an object, got {str(found)[:40]}", name)
    try:
        return specify(**{key: value for key, value in found.items() if value is not None})
    except ValueError as error:
        raise TraceError(str(error), name) from None


def _numbered(out: str, number: int) -> str:
    ending = next(ending for ending in _TRACE_FILES if out.endswith(ending))
    return f"{out.removesuffix(ending)}-{number}{ending}"


def _refuse_to_overwrite(out: str, force: bool) -> None:
    """Complain before anything is written, for what comes then may be a part of many files."""
    if out == "-":
        return
    if os.path.isdir(out):
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), out)
    if os.path.lexists(out) and not force:
        raise FileExistsError(errno.EEXIST, "exists already, only --force overwrites it", out)


def _summary(recording: _Recording[Trace], out: str) -> dict[str, Any]:
    trace = recording.trace
    return {
        "file": out,
        "session": recording.session,
        "heartbeats": len(trace),
        "duration": (int(trace.arrivals.max()) - int(trace.arrivals.min())) / 1e9,
        "period": trace.period,
        "about": trace.about,
    }


def _print_csv(trace: Trace) -> None:
    with tempfile.TemporaryDirectory(prefix="accrual-") as folder:
        path = os.path.join(folder, "out.csv")
        trace.write(path)
        with open(path, encoding="ascii") as text:
            shutil.copyfileobj(text, sys.stdout)


def _run_replay(args: argparse.Namespace) -> int:
    replays: list[_Replayed] = []
    failures: list[Exception] = []
    for name in _with_progress(args.traces):
        try:
            # The list of mistakes is as long as the trace, and takes all of it.
            for recording in (_read if args.mistakes else _open)(name, args):
                try:
                    replays.append(_replayed(recording, args))
                except TraceError as error:
                    failures.append(_of(recording, error))
        except (OSError, TraceError) as error:
            failures.append(error)  # the other traces are none the worse for it
    if args.json:
        print(json.dumps([replayed.to_dict() for replayed in replays], allow_nan=False))
    else:
        _print_replays(replays)
    for failure in failures:
        _complain(failure)
    return 1 if failures else 0


def _of(recording: _Opened, error: TraceError) -> TraceError:
    """Say whose error it is, unless that is said."""
    return error if error.file is not None else TraceError(f"{recording.label}: {error}")


class _Replayed(NamedTuple):
    """A recording, a detector at a threshold, and what came of it."""

    recording: _Opened
    curve: Curve
    mistakes: list[tuple[int, int | None]] | None  # start and end [ns]; None where still open

    def title(self) -> str:
        detector = self.curve.detector
        return f"{detector}, {detector.threshold_name} = {self.curve.thresholds[0]:g}"

    def to_dict(self) -> dict[str, Any]:
        points = self.curve.to_dict()
        result = {"trace": self.recording.name, "session": self.recording.session, "detector": points.pop("detector")}
        result |= {name: values[0] for name, values in points.items()}
        if self.mistakes is not None:
            starts, ends = zip(*self.mistakes, strict=True) if self.mistakes else ((), ())
            result["mistake_list"] = {"start": starts, "end": ends}
        return result


def _replayed(recording: _Opened, args: argparse.Namespace) -> _Replayed:
    trace = recording.trace
    detector = parse_detector(args.detector, period=trace.period)
    threshold = detector.typical_threshold if args.threshold is None else args.threshold
    scored = curve(
        trace, detector, [threshold], skip=args.skip, transit=args.transit, quantiles=True, threads=args.threads
    )
    mistakes = None
    if args.mistakes:
        found = replay(trace, detector, threads=args.threads).mistakes(threshold)
        pairs = [(a, None if b == NEVER else b) for a, b in zip(found.start.tolist(), found.end.tolist(), strict=True)]
        # Mistakes come in order, and observation goes on to the end: the scored ones are the last.
        mistakes = pairs[len(pairs) - scored[0].mistakes :]
    return _Replayed(recording, scored, mistakes)


def _print_replays(replays: list[_Replayed]) -> None:
    tables: dict[str, list[_Replayed]] = {}
    for replayed in replays:
        tables.setdefault(replayed.title(), []).append(replayed)
    for number, (title, group) in enumerate(tables.items()):
        print("\n" * bool(number) + title)
        width = max(len(r.recording.label) for r in group)  # figures are aligned to the right, names to the left
        _print_table(
            "trace".ljust(width), [(r.recording.label.ljust(width), r.curve[0]) for r in group], _REPLAY_COLUMNS
        )
        for replayed in group:
            if replayed.mistakes is not None:
                _print_mistakes(replayed.recording, replayed.mistakes)


def _print_mistakes(recording: _Opened, mistakes: list[tuple[int, int | None]]) -> None:
    print(f"\n{recording.label}: {len(mistakes):,} mistakes, times from the first arrival")
    first = int(as_trace(recording.trace).arrivals[0])
    rows = [("start", "end", "duration"), ("s", "s", "s")]
    for start, end in mistakes:
        at = f"{(start - first) / 1e9:.6f}"
        rows.append(
            (at, "open", "-") if end is None else (at, f"{(end - first) / 1e9:.6f}", f"{(end - start) / 1e9:.6f}")
        )
    print(aligned(rows))


def _with_progress(names: list[str]) -> Iterator[str]:
    """Go through traces and show which is being read, where there are several and somebody looks."""
    shown = len(names) > 1 and sys.stderr.isatty()
    try:
        for number, name in enumerate(names, 1):
            if shown:
                print(f"{_ERASE}{number} of {len(names)}: {_printable(name)}", end="", file=sys.stderr, flush=True)
            yield name
    finally:
        if shown:
            print(_ERASE, end="", file=sys.stderr, flush=True)


def _run_outages(args: argparse.Namespace) -> int:
    failures: list[Exception] = []
    results = []
    for name in args.traces:
        try:
            results += [(recording, outages(recording.trace, args.min)) for recording in _read(name, args)]
        except (OSError, TraceError) as error:
            failures.append(error)  # the other traces are none the worse for it
    if args.json:
        about = ({"trace": recording.name, "session": recording.session} for recording, _ in results)
        print(json.dumps([one | found.to_dict() for one, (_, found) in zip(about, results, strict=True)]))
    else:
        for number, (recording, found) in enumerate(results):
            print("\n" * bool(number), end="")
            _print_outages(recording, found)
    for failure in failures:
        _complain(failure)
    return 1 if failures else 0


def _print_outages(recording: _Recording[Trace], found: Outages) -> None:
    gaps = f"{len(found):,} gap{'' if len(found) == 1 else 's'}"
    print(f"{recording.label}: {gaps}, {found.duration.sum():,.3f} s in all, times from the first arrival")
    if not len(found):
        return
    first = int(recording.trace.arrivals[0])
    rows = [("start", "end", "duration", "lost"), ("s", "s", "s", "")]
    lost = ["-"] * len(found) if found.lost is None else [f"{n:,}" for n in found.lost.tolist()]
    for start, end, n, restarted in zip(found.start.tolist(), found.end.tolist(), lost, found.restarted, strict=True):
        seconds = [f"{ns / 1e9:.6f}" for ns in (start - first, end - first, end - start)]
        rows.append((seconds[0], seconds[1], seconds[2], "restart" if restarted else n))
    print(aligned(rows))


def _run_curve(args: argparse.Namespace) -> int:
    recording = _only(_open(args.trace, args), args)
    with _about(recording):
        curves = [
            curve(recording.trace, d, args.thresholds, skip=args.skip, transit=args.transit, threads=args.threads)
            for d in _detectors(args, recording, _COMPARED)
        ]
    if args.plot is not None:
        plots.write_curves(args.plot, curves, _plot_title(recording))
    if args.json:
        _print_json(recording, *(c.to_dict() for c in curves))
        return 0
    for number, c in enumerate(curves):
        print("\n" * bool(number), end="")
        _print_curve(recording, c, all_rows=args.thresholds is not None)
    return 0


def _run_compare(args: argparse.Namespace) -> int:
    recording = _read_one(args)
    detectors = _detectors(args, recording, _AT_EQUAL_TIME)
    with _about(recording), _progress() as tell:
        found = compare(
            recording.trace,
            detectors,
            args.detection_time,
            at=args.at,
            skip=args.skip,
            transit=args.transit,
            block=args.block,
            seed=args.seed,
            threads=args.threads,
            progress=tell,
        )
    if args.plot is not None:
        plots.write_comparison(args.plot, found, _plot_title(recording))
    if args.json:
        _print_json(recording, found.to_dict())
    else:
        print(f"{recording.label}: {found}")
    return 0


def _run_tune(args: argparse.Namespace) -> int:
    costs = [args.time_to_failure, args.failover]
    wanted = [args.mistake_rate, args.detection_time]
    if costs.count(None) == 1 or (costs.count(None) == 0) == (wanted.count(None) < 2):
        raise ValueError("tune needs --mistake-rate, --detection-time or both, or --time-to-failure and --failover")
    recording = _read_one(args)
    detector = parse_detector(args.detector, period=recording.trace.period)
    shared = {name: getattr(args, name) for name in ("share", "skip", "transit", "seed", "threads")}
    with _about(recording), _progress() as tell:
        if args.failover is not None:
            found = tune_cost(recording.trace, detector, args.time_to_failure, args.failover, **shared)
        else:
            found = tune(recording.trace, detector, *wanted, at=args.at, progress=tell, **shared)
    if args.json:
        _print_json(recording, found.to_dict())
    else:
        print(f"{recording.label}: {found}")
    return 0


def _run_calibration(args: argparse.Namespace) -> int:
    recording = _read_one(args)
    options = {name: getattr(args, name) for name in ("skip", "seed", "threads")}
    with _about(recording):
        found = [
            calibration(recording.trace, detector, args.thresholds, **options)
            for detector in _detectors(args, recording, _PROMISING)
        ]
    if args.plot is not None:
        plots.write_calibrations(args.plot, found, _plot_title(recording))
    if args.json:
        _print_json(recording, *(each.to_dict() for each in found))
    else:
        print("\n\n".join(f"{recording.label}: {each}" for each in found))
    return 0


def _read_one(args: argparse.Namespace) -> _Recording[Trace]:
    return _only(_read(args.trace, args), args)


def _only(recordings: Sequence[_Recording[_AnyTrace]], args: argparse.Namespace) -> _Recording[_AnyTrace]:
    if len(recordings) > 1:
        raise ValueError(f"{args.trace} has {len(recordings)} sessions: choose one by --session")
    return recordings[0]


def _detectors(args: argparse.Namespace, recording: _Opened, default: Sequence[str]) -> list[Detector]:
    return [parse_detector(text, period=recording.trace.period) for text in args.detectors or default]


@contextlib.contextmanager
def _about(recording: _Opened) -> Iterator[None]:
    """Say of which recording an error is."""
    try:
        yield
    except TraceError as error:
        raise _of(recording, error) from None


@contextlib.contextmanager
def _progress() -> Iterator[Callable[[str], None] | None]:
    """Show what is being done, where somebody looks."""
    if not sys.stderr.isatty():
        yield None
        return
    try:
        yield lambda step: print(f"{_ERASE}{_printable(step)}", end="", file=sys.stderr, flush=True)
    finally:
        print(_ERASE, end="", file=sys.stderr, flush=True)


def _plot_title(recording: _Opened) -> str:
    return f"{recording.label}: {len(recording.trace):,} heartbeats"


def _print_json(recording: _Opened, *results: dict[str, Any]) -> None:
    about = {"trace": recording.name, "session": recording.session}
    print(json.dumps([about | result for result in results], allow_nan=False))


def _print_curve(recording: _Opened, c: Curve, all_rows: bool) -> None:
    whole = c[0]
    lost = f", {whole.lost:,} lost" if "sequence" in recording.trace.columns else ""
    print(f"{recording.label}: {c.detector}, {whole.heartbeats:,} heartbeats in {whole.observed:,.1f} s{lost}")
    step = 1 if all_rows else math.ceil(len(c) / _ROWS)
    shown = range((len(c) - 1) % step, len(c), step)
    _print_table(c.detector.threshold_name, [(f"{c.thresholds[k]:g}", c[k]) for k in shown], _CURVE_COLUMNS)
    if len(shown) < len(c):
        print(f"{len(shown)} of {len(c)} thresholds; --json has all, --thresholds takes others")


def _run_describe(args: argparse.Namespace) -> int:
    recordings = _open(args.trace, args)
    if len(recordings) > 1 and args.plot is not None:
        raise ValueError(f"{args.trace} has {len(recordings)} sessions: choose one to plot by --session")
    found = []
    for number, recording in enumerate(recordings):
        described = describe(recording.trace)
        if described.sha256 is None and os.path.isfile(recording.name):
            described = dataclasses.replace(described, sha256=sha256_of(recording.name))
        found.append({"trace": recording.name, "session": recording.session} | described.to_dict())
        if args.plot is not None:
            plots.write_trace(args.plot, described, f"{recording.label}: {described.heartbeats:,} heartbeats")
        if not args.json:
            print("\n" * bool(number) + recording.label)
            print(described)
    if args.json:
        print(json.dumps(found, allow_nan=False))
    return 0


def _run_study(args: argparse.Namespace) -> int:
    detectors, lists = args.detectors or list(_COMPARED), args.thresholds or [None]
    if len(lists) not in (1, len(detectors)):
        raise ValueError(f"--thresholds must be given once or for each of the {len(detectors)} detectors")
    names = [name for given in args.traces for name in _files_of(given, args.out)]
    shown = sys.stderr.isatty()

    def tell(done: int, total: int) -> None:
        if shown:
            print(f"{_ERASE}{done:,} of {total:,} traces", end="", file=sys.stderr, flush=True)

    try:
        found = study(
            names,
            detectors,
            dict(zip(detectors, lists * len(detectors), strict=False)),  # of one list, as many as there are detectors
            client=args.scheduler,
            threads=args.threads,
            out=args.out,
            skip=args.skip,
            transit=args.transit,
            lenient=args.lenient,
            progress=tell,
        )
    finally:
        if shown:
            print(_ERASE, end="", file=sys.stderr, flush=True)
    for name in _STUDY_FILES:
        found.write(os.path.join(args.out, name))
    if args.json:
        print(json.dumps(found.to_dict(), allow_nan=False))
    else:
        already = f" ({found.found:,} of {len(found.scores):,} scores were there)" if found.found else ""
        print(f"{args.out}: {found.summary}{already}; the table is in {' and '.join(_STUDY_FILES)}")
    for failure in found.failures:
        _complain(f"{failure.trace}: {failure.reason}")
    return 1 if found.failures else 0


def _files_of(name: str, out: str) -> list[str]:
    """The traces in a folder, but for the study's own files, or that a pattern fits; any other name as it is."""
    if os.path.isdir(name):
        own = Path(out).resolve()
        inside = sorted(
            str(path)
            for path in Path(name).rglob("*")
            if path.name.endswith(_STUDIED)
            and not path.name.startswith(".")
            and path.is_file()
            and own not in path.resolve().parents
        )
        if not inside:
            raise FileNotFoundError(errno.ENOENT, f"no {', '.join(_STUDIED)} in this folder", name)
        return inside
    if glob.has_magic(name) and not os.path.lexists(name):
        return sorted(glob.glob(name, recursive=True)) or [name]
    return [name]


def _run_report(args: argparse.Namespace) -> int:
    subjects: list[Subject] = []
    failures: list[Exception] = []
    for name in _with_progress(args.traces):
        try:
            for recording in _read(name, args):
                again = name != "-" and not Path(name).is_fifo()  # what can be read but once is known by its columns
                sha256 = content_sha256(name if again else recording.trace)
                subjects.append(Subject(recording.label, _printable(name), recording.session, sha256, recording.trace))
        except (OSError, TraceError) as error:
            failures.append(error)
    made = make_report(subjects, args.detectors or _COMPARED, args.thresholds, args.skip, args.transit, args.threads)
    failures += [TraceError(f"{label}: {reason}") for label, reason in made.failures]
    if made.chapters:  # a report on nothing would replace one on something
        made.write(args.out)
        if args.data is not None:
            with replacing(args.data) as stream:
                stream.write(json.dumps(made.to_dict(), allow_nan=False).encode())
        if args.json:
            print(json.dumps(made.to_dict(), allow_nan=False))
        else:
            counts = {"trace": len(made.chapters), "detector": len(made.parameters["detectors"])}
            told = ", ".join(f"{number:,} {thing}{'' if number == 1 else 's'}" for thing, number in counts.items())
            print(f"{args.out}: {told}")
    for failure in failures:
        _complain(failure)
    return 1 if failures else 0


def _run_datasets(args: argparse.Namespace) -> int:
    if args.json:
        print(json.dumps([dataclasses.asdict(dataset) for dataset in datasets().values()]))
    else:
        print(datasets())
    return 0


# ---- tables ----


def _print_table(key: str, rows: Sequence[tuple[str, QoS]], fields: Sequence[str]) -> None:
    """Print a row of figures for each key, their units under the heads."""
    heads = [key, *(field.replace("_", " ") for field in fields)]
    units = ["", *(UNITS.get(field, "") for field in fields)]
    cells = [[name, *(_cell(f, getattr(q, f)) for f in fields)] for name, q in rows]
    print(aligned([heads, units, *cells]))


_COMMANDS: Final = (
    ("record", "record heartbeats as they really arrive", configure_record, run_record),
    ("send", "send heartbeats to a recorder", configure_send, run_send),
    ("import", "turn what other programs recorded into traces", _configure_import, _run_import),
    ("synthesize", "make heartbeats of which everything is known", _configure_synthesize, _run_synthesize),
    ("replay", "tell a detector's quality of service at a threshold", _configure_replay, _run_replay),
    ("outages", "list the gaps in traces", _configure_outages, _run_outages),
    ("curve", "tell the quality of service at many thresholds", _configure_curve, _run_curve),
    ("compare", "compare detectors at equal detection time", _configure_compare, _run_compare),
    ("tune", "find a threshold for a wanted quality of service", _configure_tune, _run_tune),
    ("calibration", "tell whether thresholds keep what they promise", _configure_calibration, _run_calibration),
    ("describe", "tell what is in a trace", _configure_describe, _run_describe),
    ("study", "score detectors over many traces, on threads or on a cluster", _configure_study, _run_study),
    ("report", "write what is to be told of detectors on traces", _configure_report, _run_report),
    ("plan", "size pools of workers and shards of customers", configure_plan, run_plan),
    ("datasets", "list the traces that come with the package", _configure_datasets, _run_datasets),
    ("lab", "run an experiment on real processes or servers", _configure_lab, partial(run_lab, draw=write_events)),
    ("lessons", "copy the lessons to a folder and open them in JupyterLab", configure_lessons, run_lessons),
    ("doctor", "look for all that the package, the lessons and the labs need", configure_doctor, run_doctor),
)
