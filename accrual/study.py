"""Many traces, many detectors, many thresholds: on threads, or unchanged on a Dask cluster.

Paths travel to whoever works, not arrays. A long trace is cut into pieces where the detector's memory is finite; their
sums are of integers, so a result has the same bits on any number of threads and workers, in pieces of any length. What
is done lies in a folder, by the content of the trace and by all that was asked, so that a study goes on where it was.
"""

from __future__ import annotations

import functools
import hashlib
import itertools
import json
import math
import operator
import os
import queue
import sys
import threading
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, Final, NamedTuple

import numpy as np

from accrual._version import __version__
from accrual.crew import first_line, gather
from accrual.detectors import Detector, as_detector, parse_detector, seconds
from accrual.qos import QoS, as_skip, as_thresholds, curve
from accrual.replay import Chain, full_from
from accrual.traces import Trace, TraceError, datasets, import_trace, load
from accrual.traces.files import replacing

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from numpy.typing import ArrayLike

    from accrual.crew import Crew, Future

__all__ = ["FIELDS", "FORMATS", "Failure", "Scores", "Study", "content_sha256", "study"]

FIELDS: Final = tuple(
    name for name in QoS.__dataclass_fields__ if name not in ("detection_time_p99", "detection_time_max")
)
"""The figures of a study: those of a `QoS` that add up over pieces of a trace, so not the order statistics."""

FORMATS: Final = (".csv", ".json", ".jsonl", ".parquet")
"""What the name of a table can end in."""

PIECE: Final = 1 << 20
"""Intervals in a piece of a long trace, if nobody says; only the last traces of a study are cut."""

_AHEAD: Final = 4  # jobs handed out for each worker: enough that none waits, few enough that all stay in memory
_SHOWN: Final = 100  # rows in a notebook's table

_BAD_DATA: Final = (OSError, ValueError, MemoryError)
"""What a trace can be to blame for."""

_COLUMNS: Final = ("trace", "session", "detector", "threshold", "skip", *FIELDS)


# ---- what a study gives ----


@dataclass(frozen=True, kw_only=True)
class Scores:
    """What one detector did over one trace.

    Attributes
    ----------
    trace : str
        As it was given: the name of a file or a dataset.
    session : int
        Which of the traces in that file, from 1.
    sha256 : str
        Of the file's bytes; of a dataset's; of the columns, the period and what is known of a `Trace`.
    heartbeats : int
        In the whole trace.
    skip : int
        The arrival at which observation starts, the same for all detectors.
    detector : str
        As the command line writes it.
    thresholds : list of float
    points : dict
        For each of `FIELDS` a list: the figures at these thresholds.
    """

    trace: str
    session: int
    sha256: str
    heartbeats: int
    skip: int
    detector: str
    thresholds: list[float]
    points: dict[str, list[float | int]]


class Failure(NamedTuple):
    """A trace that could not be scored, and why."""

    trace: str
    reason: str


@dataclass(frozen=True, eq=False, repr=False)
class Study:
    """The quality of service of many detectors over many traces: a long table, a row for each threshold.

    The columns are trace, session, detector, threshold, skip and `FIELDS`; rows come in the order in which traces,
    detectors and thresholds were given, whatever was ready first.

    Attributes
    ----------
    scores : list of Scores
        The table in pieces of one trace and one detector.
    failures : list of Failure
        The traces, or the detectors on them, that could not be scored.
    found : int
        How many of the scores were in the folder already.
    """

    scores: list[Scores]
    failures: list[Failure]
    found: int = 0

    def __len__(self) -> int:
        """Count the rows."""
        return sum(len(scores.thresholds) for scores in self.scores)

    @property
    def summary(self) -> str:
        """How many traces, detectors, rows and failures there are."""
        traces, detectors = len(self._traces()), len({scores.detector for scores in self.scores})
        failed = f", {_count(len(self.failures), 'failure')}" if self.failures else ""
        return f"{_count(traces, 'trace')}, {_count(detectors, 'detector')}, {_count(len(self), 'row')}{failed}"

    def __repr__(self) -> str:
        return f"Study({self.summary})"

    def columns(self) -> dict[str, list[Any]]:
        """The table as a list for each column; nan where there is nothing to tell."""
        table: dict[str, list[Any]] = {name: [] for name in _COLUMNS}
        for scores in self.scores:
            rows = len(scores.thresholds)
            for name in ("trace", "session", "detector", "skip"):
                table[name] += [getattr(scores, name)] * rows
            table["threshold"] += scores.thresholds
            for name in FIELDS:
                table[name] += scores.points[name]
        return table

    def rows(self) -> Iterator[dict[str, Any]]:
        """The table row by row, None (JSON null) for what is no finite number."""
        for values in zip(*self.columns().values(), strict=True):
            yield dict(zip(_COLUMNS, map(_plain, values), strict=True))

    def _traces(self) -> list[dict[str, Any]]:
        names = ("trace", "session", "sha256", "heartbeats", "skip")
        known = {tuple(getattr(scores, name) for name in names): None for scores in self.scores}
        return [dict(zip(names, values, strict=True)) for values in known]

    def to_dict(self) -> dict[str, Any]:
        """The version, the traces with their hashes, the failures, and the table as a list for each column."""
        return {
            "version": __version__,
            "traces": self._traces(),
            "failures": [failure._asdict() for failure in self.failures],
            "table": {name: [_plain(value) for value in values] for name, values in self.columns().items()},
        }

    def to_pandas(self):  # type: ignore[no-untyped-def]
        """A DataFrame, a row for each trace, detector and threshold."""
        import pandas as pd

        return pd.DataFrame(self.columns())

    def write(self, path: str | os.PathLike[str]) -> None:
        """Write the table to a file, whole or not at all.

        Parameters
        ----------
        path : path
            A name that ends in ``.csv``; in ``.json``, which holds what `to_dict` gives; in ``.jsonl``, a row a line;
            or in ``.parquet`` (needs ``pip install accrual[traces]``).

        Raises
        ------
        ValueError
            Another ending.
        OSError
            The file cannot be written.
        """
        ending = os.path.splitext(path)[1]
        if ending not in FORMATS:
            raise ValueError(f"path must end in {', '.join(FORMATS)}, is {os.fspath(path)!r}")
        if ending == ".parquet":
            self._write_parquet(path)
            return
        with replacing(path) as stream:
            for line in self._lines(ending):
                stream.write(line.encode())

    def _lines(self, ending: str) -> Iterator[str]:
        if ending == ".json":
            yield json.dumps(self.to_dict(), allow_nan=False) + "\n"
        elif ending == ".jsonl":
            for row in self.rows():
                yield json.dumps(row, allow_nan=False) + "\n"
        else:
            import csv
            import io

            line = io.StringIO()
            writer = csv.writer(line, lineterminator="\n")
            for values in itertools.chain([_COLUMNS], (row.values() for row in self.rows())):
                writer.writerow(values)  # None, what is no number, as nothing
                yield line.getvalue()
                line.seek(0)
                line.truncate()

    def _write_parquet(self, path: str | os.PathLike[str]) -> None:
        try:
            import pyarrow as pa
            import pyarrow.parquet as pq
        except ImportError as error:
            raise ImportError("Parquet needs pyarrow: pip install accrual[traces]") from error
        columns = self.columns()
        integers = {"session", "skip", "mistakes", "heartbeats", "lost"}
        if max(columns["lost"], default=0) >= 2**63:  # numbers that jump by more than any column of integers holds
            integers.remove("lost")
            columns["lost"] = list(map(float, columns["lost"]))
        types = {name: pa.int64() if name in integers else pa.float64() for name in _COLUMNS}
        types |= dict.fromkeys(("trace", "detector"), pa.string())
        arrays = [pa.array(columns[name], kind, from_pandas=True) for name, kind in types.items()]
        with replacing(path) as stream:
            pq.write_table(pa.Table.from_arrays(arrays, names=list(types)), stream, compression="zstd")

    def _repr_html_(self) -> str:
        import html

        head = "".join(f'<th scope="col">{name}</th>' for name in _COLUMNS)
        body = "".join(
            "<tr>" + "".join(f"<td>{html.escape(_cell(value))}</td>" for value in row.values()) + "</tr>"
            for row in itertools.islice(self.rows(), _SHOWN)
        )
        more = f", the first {_SHOWN} rows" if len(self) > _SHOWN else ""
        caption = html.escape(f"{self!r}{more}")
        return f"<table><caption>{caption}</caption><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"


def _count(number: int, thing: str) -> str:
    return f"{number:,} {thing}{'' if number == 1 else 's'}"


def _plain(value: Any) -> Any:
    return None if isinstance(value, float) and not math.isfinite(value) else value


def _cell(value: Any) -> str:
    return "" if value is None else f"{value:.6g}" if isinstance(value, float) else str(value)


# ---- the work, wherever it is done ----


@dataclass(frozen=True)
class _Source:
    """Where a trace is. This travels to whoever scores it."""

    label: str
    path: str | None = None  # absolute: workers have other working directories
    dataset: str | None = None
    trace: Trace | None = None
    lenient: bool = False

    def digest(self) -> str:
        """The SHA-256 of the content."""
        if self.path is not None:
            with open(self.path, "rb") as file:
                return hashlib.file_digest(file, "sha256").hexdigest()
        if self.dataset is not None:
            known = datasets()[self.dataset]
            return known.sha256 or _digest_of(known.specification)
        trace = self.trace
        assert trace is not None
        columns = {name: getattr(trace, name) for name in ("arrivals", "sequence", "sent", "sent_remote", "epoch")}
        hashes = {name: hashlib.sha256(c).hexdigest() for name, c in columns.items() if c is not None}
        return _digest_of([hashes, trace.period, trace.about])

    def read(self, sha256: str) -> list[Trace]:
        """The traces in it, if it still has that content."""
        if self.path is not None:
            found = import_trace(self.path, lenient=self.lenient)
            if self.digest() != sha256:
                raise TraceError("the file changed while it was studied", self.path)
            return found
        if self.dataset is not None:
            return [load(self.dataset)]
        assert self.trace is not None
        return [self.trace]

    def called(self, session: int | None, several: bool) -> str:
        """What to call one of its traces."""
        return f"{self.label} session {session}" if several else self.label

    def reason(self, error: Exception) -> str:
        """What is wrong, without the name of the file."""
        if isinstance(error, OSError) and error.strerror:
            return error.strerror
        text = str(error) or type(error).__name__
        return text.removeprefix(f"{self.path}").removeprefix(":").lstrip()


def _digest_of(value: Any) -> str:
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()


class _Asked(NamedTuple):
    """A detector, or the text of one that may need the trace's period, and its thresholds."""

    detector: Detector | str
    thresholds: tuple[float, ...]

    def resolved(self, period: float | None) -> Detector:
        """The detector for a trace with that period."""
        return parse_detector(self.detector, period) if isinstance(self.detector, str) else self.detector


@dataclass(frozen=True)
class _Question:
    """What is asked of every trace."""

    asked: tuple[_Asked, ...]
    skip: int | None
    transit: float
    piece: int
    version: str = __version__


class _Piece(NamedTuple):
    """Heartbeats start ... end - 1, observed from the arrival `seam` on."""

    start: int
    seam: int
    end: int


class _Session(NamedTuple):
    """What a trace is, and how it is scored: the same for all who ask the same of the same content."""

    heartbeats: int
    skip: int
    detectors: tuple[str, ...]
    error: str | None = None


@dataclass
class _Report:
    """What a job found."""

    sessions: list[_Session]
    points: dict[tuple[int, int], dict[str, list[float | int]]] = field(default_factory=dict)
    pieces: dict[tuple[int, int], list[_Piece]] = field(default_factory=dict)  # yet to be scored
    errors: dict[tuple[int, int], str] = field(default_factory=dict)


def _survey(trace: Trace, question: _Question) -> tuple[_Session, list[Detector]]:
    """Settle the detectors and where observation starts."""
    try:
        detectors = [asked.resolved(trace.period) for asked in question.asked]
        skip = full_from(trace, detectors) if question.skip is None else question.skip
    except ValueError as error:
        return _Session(len(trace), 0, (), str(error)), []
    return _Session(len(trace), skip, tuple(map(str, detectors))), detectors


def _pieces(trace: Trace, detector: Detector, skip: int, size: int) -> list[_Piece]:
    """Cut a trace so that its pieces add up to the whole: each reaches back as far as the detector remembers."""
    whole = [_Piece(0, skip, len(trace))]
    if detector.memory is None or len(trace) - skip <= size:
        return whole
    chain = Chain(trace, detector.compiled)
    accepted = np.arange(len(trace)) if chain.accepted is None else chain.accepted
    low = max(int(np.searchsorted(accepted, skip, side="right")) - 1, 0)
    seams = [*range(low, len(accepted) - 1, size), len(accepted) - 1]
    # Whether a suspicion goes on over a seam is up to the heartbeat before it.
    return [
        _Piece(
            chain.reach_back(int(accepted[max(seam - 1, 0)]), detector.memory + 1),
            int(accepted[seam]),
            int(accepted[end]) + 1,
        )
        for seam, end in itertools.pairwise(seams)
    ] or whole


def _score_piece(trace: Trace, asked: _Asked, question: _Question, piece: _Piece) -> list[QoS]:
    detector = asked.resolved(trace.period)
    part = trace if (piece.start, piece.end) == (0, len(trace)) else trace[piece.start : piece.end]
    return curve(part, detector, asked.thresholds, piece.seam - piece.start, question.transit).points


def _points_of(qos: Sequence[QoS]) -> dict[str, list[float | int]]:
    return {name: [getattr(point, name) for point in qos] for name in FIELDS}


class _Unreadable(NamedTuple):
    """Why a trace could not be read: nothing to keep, for the next reading may fare better."""

    reason: str


def _work(
    source: _Source, sha256: str, question: _Question, wanted: frozenset[tuple[int, int]] | None, cut: bool
) -> _Report | _Unreadable:
    """Score a trace, or all in its file; or say in which pieces it is to be done, if it may be cut.

    `wanted`: pairs of session and detector, by their numbers; None for all.
    """
    _check_version(question)
    try:
        traces = source.read(sha256)
        report = _report(traces, question, wanted, question.piece if cut else sys.maxsize)
    except _BAD_DATA as error:
        return _Unreadable(source.reason(error))
    if report.pieces:
        _shelf.put(source, sha256, traces)
    return report


def _report(traces: list[Trace], question: _Question, wanted: frozenset[tuple[int, int]] | None, size: int) -> _Report:
    report = _Report([])
    for number, trace in enumerate(traces):
        session, detectors = _survey(trace, question)
        report.sessions.append(session)
        for index, detector in enumerate(detectors):
            key = number, index
            if wanted is not None and key not in wanted:
                continue
            try:
                pieces = _pieces(trace, detector, session.skip, size)
                if len(pieces) > 1:
                    report.pieces[key] = pieces
                else:
                    report.points[key] = _points_of(_score_piece(trace, question.asked[index], question, pieces[0]))
            except TraceError as error:
                report.errors[key] = str(error)
    return report


def _work_on_piece(
    source: _Source, sha256: str, question: _Question, key: tuple[int, int], piece: _Piece
) -> list[QoS] | str | _Unreadable:
    """Score a piece; or say what forbids it."""
    _check_version(question)
    session, index = key
    try:
        trace = _shelf.get(source, sha256)[session]
        try:
            return _score_piece(trace, question.asked[index], question, piece)
        except TraceError as error:
            return str(error)
    except _BAD_DATA as error:
        return _Unreadable(source.reason(error))


class _Shelf:
    """The traces that are scored in pieces, at hand for those who score the next one."""

    def __init__(self) -> None:
        self._reading = threading.Lock()  # several threads want the same trace at once, and one reading is enough
        self._traces: dict[tuple[str, str], list[Trace]] = {}

    def put(self, source: _Source, sha256: str, traces: list[Trace]) -> None:
        """Keep them, and the ones before; of any others the memory is worth more."""
        kept = list(self._traces.items())[-1:]
        self._traces = dict([*kept, ((source.label, sha256), traces)])

    def get(self, source: _Source, sha256: str) -> list[Trace]:
        """Take them from the shelf, or read them."""
        with self._reading:
            traces = self._traces.get((source.label, sha256))
            if traces is None:
                traces = source.read(sha256)
                self.put(source, sha256, traces)
            return traces

    def clear(self) -> None:
        """Forget all."""
        self._traces = {}


_shelf = _Shelf()


def _check_version(question: _Question) -> None:
    if question.version != __version__:
        raise ImportError(f"a worker has accrual {__version__}, the study {question.version}: install the same")


# ---- the folder ----


class _Folder:
    """What is done, each in a file of its own that was written beside and renamed; one study at a time is at work."""

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.path = Path(path)
        self._lock: IO[str] | None = None

    def __enter__(self) -> _Folder:
        for part in ("traces", "scores"):
            (self.path / part).mkdir(parents=True, exist_ok=True)
        self._lock = open(self.path / "study.lock", "a+", encoding="ascii")  # held until the end
        try:
            self._take(self._lock)
        except BaseException:
            self._lock.close()
            raise
        for part in ("traces", "scores"):
            for left in (self.path / part).glob(".accrual-*.part"):  # of a run that was killed
                left.unlink(missing_ok=True)
        return self

    def _take(self, lock: IO[str]) -> None:
        try:
            import fcntl
        except ImportError:  # Windows; nothing is lost there but the warning, for writes are whole
            return
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)  # the kernel lets go of it however the process ends
        except BlockingIOError as error:
            lock.seek(0)
            holder = lock.read(20).strip() or "unknown"
            raise BlockingIOError(
                error.errno, f"another study is at work in this folder (process {holder})", str(self.path)
            ) from None
        lock.truncate(0)
        lock.write(f"{os.getpid()}\n")
        lock.flush()

    def __exit__(self, *error: object) -> None:
        if self._lock is not None:
            self._lock.close()

    def get(self, part: str, of: dict[str, Any]) -> Any:
        """What is known of that; None where it is nothing, or damaged."""
        try:
            found = json.loads((self.path / part / f"{_digest_of(of)}.json").read_bytes())
        except (OSError, ValueError, RecursionError):
            return None
        return found.get("is") if isinstance(found, dict) and found.get("of") == of else None

    def put(self, part: str, of: dict[str, Any], known: Any) -> None:
        """Keep it. NaN and Infinity stay what they are: this file is for us, and bits are to come back."""
        with replacing(self.path / part / f"{_digest_of(of)}.json") as stream:
            stream.write(json.dumps({"of": of, "is": known}).encode())


class _Nowhere(_Folder):
    """For a study that keeps nothing."""

    def __init__(self) -> None:
        super().__init__(".")

    def __enter__(self) -> _Folder:
        return self

    def get(self, part: str, of: dict[str, Any]) -> Any:
        """Nothing."""

    def put(self, part: str, of: dict[str, Any], known: Any) -> None:
        """Forget it."""


# ---- the study ----


@dataclass
class _Entry:
    """A source on its way."""

    source: _Source
    sha256: str = ""
    sessions: list[_Session] = field(default_factory=list)
    points: dict[tuple[int, int], dict[str, list[float | int]]] = field(default_factory=dict)
    errors: dict[tuple[int, int], str] = field(default_factory=dict)
    parts: dict[tuple[int, int], list[list[QoS] | str | None]] = field(default_factory=dict)
    failure: str | None = None
    waiting: int = 0  # jobs


class _Running:
    """One call of `study`: what is handed out, and what comes back."""

    def __init__(self, entries: list[_Entry], question: _Question, folder: _Folder, crew: Crew) -> None:
        self.entries, self.question, self.folder, self.crew = entries, question, folder, crew
        self.found = self.pending = 0
        self._back: queue.SimpleQueue[tuple[Future, _Entry, Callable[[Any], None]]] = queue.SimpleQueue()

    def run(self, progress: Callable[[int, int], None]) -> None:
        """Score all."""
        try:
            self._run(progress)
        except Exception:
            self.crew.check()  # what it says is plainer than what comes of it
            raise

    def _run(self, progress: Callable[[int, int], None]) -> None:
        ahead = iter(self.entries)
        begun = done = 0
        more = True
        progress(0, len(self.entries))
        while more or self.pending:
            while more and self.pending < _AHEAD * self.crew.workers:
                entry = next(ahead, None)
                more = entry is not None
                if entry is not None:
                    begun += 1
                    # Where whole traces are enough to keep all busy, pieces would only cost readings.
                    self._begin(entry, cut=len(self.entries) - begun < self.crew.workers)
                    if not entry.waiting:
                        done += 1
                        progress(done, len(self.entries))
            if self.pending and not self._take_back().waiting:
                done += 1
                progress(done, len(self.entries))

    def _take_back(self) -> _Entry:
        """Wait for one job."""
        while True:
            try:
                future, entry, take = self._back.get(timeout=1)
                break
            except queue.Empty:
                self.crew.check()
        self.pending -= 1
        entry.waiting -= 1
        try:
            found = future.result()
        except self.crew.lost as error:
            entry.failure = f"no worker survived it: {first_line(error)}"
            return entry
        take(found)
        return entry

    def _submit(self, entry: _Entry, take: Callable[[Any], None], work: Callable[..., Any], *arguments: Any) -> None:
        entry.waiting += 1
        self.pending += 1
        future = self.crew.submit(work, entry.source, entry.sha256, self.question, *arguments)
        future.add_done_callback(lambda future: self._back.put((future, entry, take)))

    def _begin(self, entry: _Entry, cut: bool) -> None:
        """Look what is known of a source, and hand out the rest."""
        try:
            entry.sha256 = entry.source.digest()
        except OSError as error:
            entry.failure = entry.source.reason(error)
            return
        known = self.folder.get("traces", self._of_trace(entry))
        wanted = None
        if known is not None:
            entry.sessions = [_Session(n, skip, tuple(detectors), error) for n, skip, detectors, error in known]
            keys = [(n, k) for n, session in enumerate(entry.sessions) for k in range(len(session.detectors))]
            missing = [key for key in keys if not self._known(entry, key)]
            self.found += len(keys) - len(missing)
            if not missing:
                return
            wanted = frozenset(missing)
        self._submit(entry, lambda report: self._take_report(entry, report, known is None), _work, wanted, cut)

    def _known(self, entry: _Entry, key: tuple[int, int]) -> bool:
        found = self.folder.get("scores", self._of_scores(entry, key))
        if found is not None:
            self._enter(entry, key, found)
        return found is not None

    def _take_report(self, entry: _Entry, report: _Report | _Unreadable, new: bool) -> None:
        if isinstance(report, _Unreadable):
            entry.failure = report.reason
            return
        entry.sessions = report.sessions
        if new:
            self.folder.put("traces", self._of_trace(entry), report.sessions)
        for key in [*report.points, *report.errors]:
            self._settle(entry, key, report.points[key] if key in report.points else report.errors[key])
        for key, pieces in report.pieces.items():
            entry.parts[key] = [None] * len(pieces)
            for number, piece in enumerate(pieces):
                take = functools.partial(self._take_piece, entry, key, number)
                self._submit(entry, take, _work_on_piece, key, piece)

    def _take_piece(
        self, entry: _Entry, key: tuple[int, int], number: int, scored: list[QoS] | str | _Unreadable
    ) -> None:
        if isinstance(scored, _Unreadable):
            entry.failure = scored.reason
            return
        parts = entry.parts[key]
        parts[number] = scored
        if any(part is None for part in parts):
            return
        del entry.parts[key]
        errors = [part for part in parts if isinstance(part, str)]
        if errors:
            self._settle(entry, key, errors[0])
            return
        points = [part for part in parts if isinstance(part, list)]
        self._settle(entry, key, _points_of([functools.reduce(operator.add, at) for at in zip(*points, strict=True)]))

    def _settle(self, entry: _Entry, key: tuple[int, int], found: dict[str, list[float | int]] | str) -> None:
        self._enter(entry, key, found)
        self.folder.put("scores", self._of_scores(entry, key), found)

    def _enter(self, entry: _Entry, key: tuple[int, int], found: dict[str, list[float | int]] | str) -> None:
        if isinstance(found, str):
            entry.errors[key] = found
        else:
            entry.points[key] = found

    def _of_trace(self, entry: _Entry) -> dict[str, Any]:
        question = self.question
        return {
            "version": question.version,
            "sha256": entry.sha256,
            "lenient": entry.source.lenient,
            "detectors": [str(asked.detector) for asked in question.asked],
            "skip": question.skip,
        }

    def _of_scores(self, entry: _Entry, key: tuple[int, int]) -> dict[str, Any]:
        number, index = key
        return {
            "version": self.question.version,
            "sha256": entry.sha256,
            "lenient": entry.source.lenient,
            "session": number + 1,
            "detector": entry.sessions[number].detectors[index],
            "thresholds": [repr(threshold) for threshold in self.question.asked[index].thresholds],
            "skip": entry.sessions[number].skip,
            "transit": self.question.transit,
        }

    def study(self) -> Study:
        """What came of it."""
        scores: list[Scores] = []
        failures: list[Failure] = []
        for entry in self.entries:
            source, several = entry.source, len(entry.sessions) > 1
            if entry.failure is not None:
                failures.append(Failure(source.label, entry.failure))
            for number, session in enumerate(entry.sessions):
                label = source.called(number + 1, several)
                if session.error is not None:
                    failures.append(Failure(label, session.error))
                for index, detector in enumerate(session.detectors):
                    key = number, index
                    if key in entry.errors:
                        failures.append(Failure(label, f"{detector}: {entry.errors[key]}"))
                    elif key in entry.points:
                        scores.append(
                            Scores(
                                trace=source.label,
                                session=number + 1,
                                sha256=entry.sha256,
                                heartbeats=session.heartbeats,
                                skip=session.skip,
                                detector=detector,
                                thresholds=list(self.question.asked[index].thresholds),
                                points=entry.points[key],
                            )
                        )
        return Study(scores, failures, self.found)


def _source(trace: str | os.PathLike[str] | Trace, number: int, lenient: bool) -> _Source:
    """What was given as a trace; a file comes before a dataset of its name."""
    if isinstance(trace, Trace):
        title = trace.about.get("title")
        return _Source(title if isinstance(title, str) else f"trace {number}", trace=trace)
    name = os.fsdecode(trace)
    if isinstance(trace, str) and not os.path.lexists(name) and name in datasets():
        return _Source(name, dataset=name)
    return _Source(name, path=os.path.abspath(name), lenient=lenient)


def content_sha256(trace: str | os.PathLike[str] | Trace) -> str:
    """The SHA-256 of a file's bytes, of a dataset, or of a trace's columns and what is known of it; as in `Scores`."""
    return _source(trace, 1, False).digest()


def _asked(detectors: Sequence[Detector | str], thresholds: Any) -> tuple[_Asked, ...]:
    """Check detectors and thresholds before anything is read."""
    found = []
    for detector in detectors:
        known = parse_detector(detector, period=1.0) if isinstance(detector, str) else as_detector(detector)
        own = thresholds
        if isinstance(thresholds, Mapping):
            if detector not in thresholds:
                raise ValueError(f"thresholds has none for {detector}")
            own = thresholds[detector]
        own = as_thresholds(known.thresholds if own is None else own)
        found.append(_Asked(detector, tuple(own.tolist())))
    if not found:
        raise ValueError("detectors must be one or more, there is none")
    if len({asked.detector for asked in found}) < len(found):
        raise ValueError(f"detectors must differ, got {', '.join(str(asked.detector) for asked in found)}")
    return tuple(found)


def study(
    traces: Iterable[str | os.PathLike[str] | Trace],
    detectors: Iterable[Detector | str],
    thresholds: ArrayLike | Mapping[Any, ArrayLike] | None = None,
    client: Any = None,
    threads: int | None = None,
    *,
    out: str | os.PathLike[str] | None = None,
    skip: int | None = None,
    transit: float = 0.0,
    lenient: bool = False,
    piece: int = PIECE,
    progress: Callable[[int, int], None] | None = None,
) -> Study:
    """Score many detectors at many thresholds over many traces.

    Parameters
    ----------
    traces : path, name of a dataset, Trace, or many of them
        Paths travel to the workers, who must see the same files; a Trace travels whole. A file may hold several.
    detectors : sequence of Detector, or texts as the command line writes them
        A text's period may come from each trace.
    thresholds : array, or mapping from a detector to an array, optional
        By default each detector's own.
    client : distributed.Client, or str, optional
        A Dask cluster to work on: a client, a scheduler's address (``"tcp://..."``), or ``"local"`` for processes on
        this machine. Without it threads work.
    threads : int, optional
        How many threads, or local processes; by default as many as there are processors.
    out : path, optional
        The study's folder: what is in it already is not done again, and what gets done is in it at once.
    skip : int, optional
        Observation starts at this arrival; by default at the first after which the windows of all detectors are full.
    transit : float
        As :func:`accrual.qos` [s].
    lenient : bool
        As :func:`accrual.import_trace`.
    piece : int
        How many intervals of a long trace make a piece; never changes a bit of the result.
    progress : callable, optional
        Called with the number of traces done and of all.

    Returns
    -------
    Study
        A long table. A trace that cannot be scored is in its ``failures``, and spoils no other.

    Raises
    ------
    ValueError
        A parameter out of bounds.
    ConnectionError
        No scheduler answers, or it goes away; what was done is in the folder.
    BlockingIOError
        Another study is at work in the folder.
    ImportError
        Dask or pyarrow is missing where it is needed.

    Examples
    --------
    >>> import accrual as ac
    >>> s = ac.study("synthetic-bursty", ["phi:window=100", "fixed"], [1, 2, 5], threads=1)
    >>> s
    Study(1 trace, 2 detectors, 6 rows)
    >>> s.columns()["mistakes"]
    [6610, 1929, 460, 49548, 174, 86]
    """
    given = [traces] if isinstance(traces, str | os.PathLike | Trace) else list(traces)
    wanted = [detectors] if isinstance(detectors, str | Detector) else list(detectors)
    if isinstance(piece, bool) or not isinstance(piece, int | np.integer) or piece < 1:
        raise ValueError(f"piece must be a whole number of intervals, 1 or more, got {piece!r}")
    question = _Question(
        _asked(wanted, thresholds),
        None if skip is None else as_skip(skip),
        seconds("transit", transit),
        int(piece),
    )
    entries = [_Entry(_source(trace, number, lenient)) for number, trace in enumerate(given, 1)]
    with (
        _Nowhere() if out is None else _Folder(out) as folder,
        gather(client, threads, _shelf.clear) as crew,
    ):
        running = _Running(entries, question, folder, crew)
        running.run(progress or (lambda done, total: None))
        return running.study()
