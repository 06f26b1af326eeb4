"""Recording real heartbeats: a sender process, a receiver in this one, and whatever disturbs the two.

The recorder owns everything that it starts. It ends by count, by duration or by a signal, keeps in each case what has
arrived, and its children end with it even when it is killed (see `accrual.traces.child.Child`). What has arrived is in
a journal beside the file within a second, from which `recover` makes a trace when the recorder could not.
"""

from __future__ import annotations

import argparse
import errno
import json
import math
import os
import platform
import secrets
import shlex
import signal
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

import numpy as np

from accrual.traces import disturb as disturbances
from accrual.traces import journal, wire
from accrual.traces.child import Child
from accrual.traces.disturb import Disturbance, Scene
from accrual.traces.journal import Journal
from accrual.traces.namespaces import Link, Loopback
from accrual.traces.trace import Trace, TraceError

_LOOK_UP: Final = 0.2
"""How long a silent line may keep the recorder from noticing a signal, its own end or its sender's [s]."""

_TELL: Final = 0.5
"""Time between two reports of progress [s]."""


_MOST_EPOCHS: Final = 1000
"""Restarts of one sender beyond which another boot id is no restart but somebody's invention, and ignored."""


class _Log:
    """What to take in of what arrives.

    Parameters
    ----------
    journal : Journal
        Where it goes.
    receiver : Receiver
        Where it comes from.
    epoch : int, optional
        The boot id of our own sender; no other counts. Without it the peer is the host that sent the first heartbeat:
        it may restart with another boot id, other hosts do not count.
    """

    def __init__(self, journal: Journal, receiver: wire.Receiver, epoch: int | None) -> None:
        self._journal = journal
        self._receiver = receiver
        self._own_epoch = epoch
        self._peer: str | None = None
        self._epochs: set[int] = set()
        self._period: float | None = None
        self._malformed = self._foreign = 0

    def take(self, datagram: wire.Datagram) -> None:
        """Append the heartbeat, or count why not."""
        heartbeat = wire.decode(datagram.data)
        if heartbeat is None:
            self._malformed += 1
        elif not self._expects(heartbeat, datagram.host):
            self._foreign += 1
        else:
            self._period = heartbeat.period / 1e9
            self._journal.append(datagram.arrival, heartbeat.sequence, heartbeat.sent, heartbeat.epoch)

    def _expects(self, heartbeat: wire.Heartbeat, host: str) -> bool:
        if self._own_epoch is not None:
            return heartbeat.epoch == self._own_epoch
        self._peer = self._peer or host
        if host != self._peer or (len(self._epochs) == _MOST_EPOCHS and heartbeat.epoch not in self._epochs):
            return False
        self._epochs.add(heartbeat.epoch)
        return True

    def state(self) -> dict[str, Any]:
        """What there is to say beside the heartbeats: their period, what was not for us, and how they were received."""
        return {
            "period": self._period,
            "ignored_malformed": self._malformed,
            "ignored_foreign": self._foreign,
            "timestamps": "kernel" if self._receiver.stamped else "process",
            "unstamped": self._receiver.unstamped,
            "overflowed": self._receiver.overflowed,
        }


def record(
    out: str | os.PathLike[str],
    *,
    period: float = 0.01,
    count: int | None = None,
    duration: float | None = None,
    disturb: Sequence[Disturbance] = (),
    seed: int | None = None,
    ipv6: bool = False,
    listen: tuple[str, int] | None = None,
    title: str | None = None,
    force: bool = False,
    progress: Callable[[int, float], None] | None = None,
) -> Trace:
    """Record heartbeats as they really arrive, and write them to a file.

    A sender is started as a process of its own, and its heartbeats come over the loopback interface; the trace's `sent`
    is on the receiver's clock, as all processes of a machine share CLOCK_MONOTONIC. With `listen`, heartbeats are
    awaited from ``accrual send`` elsewhere, and their sending times are `sent_remote`.

    While it runs, what has arrived is written twice a second to a journal beside the file, ``<out>.part``, which is
    removed when the file is complete. `import_trace` reads it at any time, and `recover` finishes it after a crash.

    Arrivals are the kernel's where it stamps them (see `accrual.traces.wire.Receiver`). Datagrams that are no heartbeat
    or another sender's are counted in ``about`` and otherwise ignored. Recording ends when `count` or `duration` is
    reached, when the own sender ends, or by SIGINT (Ctrl-C), SIGTERM or SIGHUP, which do nothing else meanwhile (in the
    main thread; in another, signals are not its business). What has arrived is written in each case.

    Parameters
    ----------
    out : path
        The file, ``.parquet``, ``.csv`` or ``.csv.gz``. Whether it can be written is tried before anything starts.
    period : float
        Sending interval of the own sender, s.
    count : int, optional
        Heartbeats to record.
    duration : float, optional
        Time to record, s.
    disturb : sequence of Disturbance
        What disturbs the own sender, see `accrual.traces.disturb`.
    seed : int, optional
        Seed of the disturbances, at least 0; drawn if not given, and part of the ``command`` in ``about``.
    ipv6 : bool
        Let the own sender's heartbeats go over IPv6.
    listen : tuple of str and int, optional
        Address and port of this machine on which to await heartbeats, instead of an own sender. Nothing else makes the
        recorder listen beyond the loopback interface.
    title : str, optional
        What people shall call it, kept in ``about``.
    force : bool
        Overwrite the file if it exists.
    progress : callable, optional
        Called about twice a second with the heartbeats so far and the seconds since the start.

    Returns
    -------
    Trace
        What was written. Its ``about`` has the command that repeats it, date, kernel, processor, disturbance, clock,
        who stamped the arrivals, what was ignored, what ended it, and the load averages (1 minute) before and after.

    Raises
    ------
    ValueError
        If a parameter is out of bounds or contradicts another.
    OSError
        If the file or its journal exists or cannot be written, the address is in use or not this machine's, or the
        machine lacks what a disturbance needs (`accrual.traces.child.UnavailableError`). The journal stays where it has
        heartbeats that are not in the file.
    TraceError
        If no heartbeat came; nothing is written then.

    Examples
    --------
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     trace = record(f"{folder}/short.csv", period=0.001, count=20)
    >>> trace.sequence[:3], bool((trace.sent < trace.arrivals).all())
    (array([0, 1, 2]), True)
    """
    out = Path(out)
    _check(period, count, duration, seed, disturb, ipv6, listen)
    part = _part(out)
    if part.exists():
        raise FileExistsError(
            errno.EEXIST, "a recording that was not finished: accrual record --recover it, or remove it", str(part)
        )
    _try_to_write(out, force)
    seed = secrets.randbits(32) if seed is None else seed
    about: dict[str, Any] = {} if title is None else {"title": title}
    about["source"] = "recorded"
    about["command"] = _command(out, period, count, duration, disturb, seed, ipv6, listen, title)
    about["disturbance"] = " ".join(map(str, disturb)) or "none"
    about |= _circumstances()
    load = os.getloadavg()[0]

    epoch = secrets.randbits(63) if listen is None else None
    with _signals_noted() as signalled, ExitStack() as open_files:
        with ExitStack() as stack:
            over_path = any(isinstance(one, disturbances.Path) for one in disturb)
            network = stack.enter_context(Link(ipv6) if over_path else Loopback(ipv6))
            with network.at_receiver():
                receiver = stack.enter_context(wire.Receiver(*(listen or (network.host, 0))))
            # The sender's clock is ours if the sender is.
            columns = "arrival_ns", "sequence", "sent_remote_ns" if epoch is None else "sent_ns", "epoch"
            kept = open_files.enter_context(Journal(part, columns, **about))
            sender, reports = None, []
            if epoch is not None:
                told = [word for one in disturb for word in one.sender_arguments(seed)]
                with network.at_sender():
                    sender = stack.enter_context(
                        Child(wire.__file__, os.getpid(), network.host, receiver.port, period, epoch, *told)
                    )
                # Entered after the sender and so ended before it: a sender that is being stopped could not end.
                scene = Scene(sender.pid, seed, network)
                reports = [stack.enter_context(one.during(scene)) for one in disturb]
            log = _Log(kept, receiver, epoch)
            ended = _collect(log, kept, receiver, sender, count, duration, signalled, progress)
        if not kept.heartbeats:
            raise TraceError("no heartbeat came, nothing is written", out)
        with _kept_on_failure(part, out):
            if sender is not None and sender.report:
                kept.note(sender=json.loads(sender.report))
            for report in reports:
                kept.note(**report)
            kept.note(**log.state(), ended=ended, load_average=[load, os.getloadavg()[0]])
            if ended != "disk":
                kept.flush()  # for the case that the file cannot be written
            trace = kept.trace()
            trace.write(out)
        kept.remove()
    return trace


def recover(part: str | os.PathLike[str], out: str | os.PathLike[str] | None = None, *, force: bool = False) -> Trace:
    """Finish a recording whose recorder could not: make a trace of its journal, and remove the journal.

    Parameters
    ----------
    part : path
        The journal, ``<name>.part`` beside where the file would be.
    out : path, optional
        The file; by default the journal's name without its ending.
    force : bool
        Overwrite the file if it exists.

    Returns
    -------
    Trace
        What was written: all but what arrived in the last second before the crash.

    Raises
    ------
    ValueError
        If the file's name has no known ending.
    TraceError
        If it is no journal, damaged, or without a heartbeat.
    OSError
        If the recording still goes on, or a file cannot be read or written. The journal stays.
    """
    part = Path(part)
    if out is None and part.name.removesuffix(journal.ENDING) == part.name:
        raise ValueError(f"a journal's name ends in {journal.ENDING}, or the file needs to be named: {str(part)!r}")
    out = part.with_name(part.name.removesuffix(journal.ENDING)) if out is None else Path(out)
    if journal.in_use(part):
        raise OSError(errno.EBUSY, "the recording still goes on", str(part))
    trace = journal.read(part)
    if not len(trace):
        raise TraceError("no heartbeat in it, nothing is written", part)
    _try_to_write(out, force)
    trace.write(out)
    part.unlink()
    return trace


def _part(out: Path) -> Path:
    """Where the journal is: beside the file itself, where a link leads elsewhere."""
    out = out.resolve()
    return out.with_name(out.name + journal.ENDING)


@contextmanager
def _kept_on_failure(part: Path, out: Path) -> Iterator[None]:
    """Say where the heartbeats are when they did not come into the file."""
    try:
        yield
    except OSError as error:
        reason = f"{error.strerror or error}; what arrived is in {part}, which accrual record --recover finishes"
        raise OSError(error.errno, reason, error.filename or str(out)) from error


def _check(
    period: float,
    count: int | None,
    duration: float | None,
    seed: int | None,
    disturb: Sequence[Disturbance],
    ipv6: bool,
    listen: tuple[str, int] | None,
) -> None:
    wire.period_ns(period)
    if count is not None and count < 1:
        raise ValueError(f"count must be at least 1, is {count}")
    if duration is not None and not 0 < duration < math.inf:
        raise ValueError(f"duration must be positive and finite, is {duration} s")
    if seed is not None and seed < 0:
        raise ValueError(f"seed must be at least 0, is {seed}")
    if disturb and listen is not None:
        raise ValueError("disturb needs the own sender, which listen does without")
    if ipv6 and listen is not None:
        raise ValueError("ipv6 is for the own sender; listen has an address of its own")
    for one in (disturbances.Path, disturbances.Collection, disturbances.CpuQuota):
        if sum(isinstance(other, one) for other in disturb) > 1:
            raise ValueError(f"disturb: {one.name} can be there once only")


def _try_to_write(out: Path, force: bool) -> None:
    """Find out now, not after an hour of recording, that the file cannot be written; nothing stays behind."""
    if out.is_dir():
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), str(out))
    if not force and os.path.lexists(out):
        raise FileExistsError(errno.EEXIST, "exists already, only force overwrites it", str(out))
    try:
        # Beside the file itself, where a link leads elsewhere.
        with tempfile.TemporaryDirectory(prefix=".accrual-", dir=out.resolve().parent) as folder:
            rehearsal = Path(folder, out.name)
            try:
                Trace([]).write(rehearsal)
            except ValueError as error:  # of the name, which it should call by what the user did
                raise ValueError(str(error).replace(str(rehearsal), str(out))) from None
    except OSError as error:
        raise OSError(error.errno, f"cannot be written: {error.strerror}", str(out)) from error


def _command(
    out: Path,
    period: float,
    count: int | None,
    duration: float | None,
    disturb: Sequence[Disturbance],
    seed: int,
    ipv6: bool,
    listen: tuple[str, int] | None,
    title: str | None,
) -> str:
    """Spell the command line that repeats the recording, whether it came from one or from Python."""
    nice = os.getpriority(os.PRIO_PROCESS, 0)
    words = [*(["nice", "-n", str(nice)] if nice else []), "accrual", "record", str(out)]
    if listen is None:
        words += ["--period", str(period), *(["--ipv6"] if ipv6 else [])]
    else:
        words += ["--listen", wire.format_address(listen)]
    for option, value in (("--count", count), ("--duration", duration), ("--title", title)):
        words += [option, str(value)] if value is not None else []
    for one in disturb:
        words += ["--disturb", str(one)]
    return shlex.join(words + (["--seed", str(seed)] if disturb else []))


def _circumstances() -> dict[str, str]:
    """Say when and on what we record."""
    model = platform.machine()
    with suppress(OSError):  # not Linux: the architecture has to do
        for line in Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace").splitlines():
            name, _, value = line.partition(":")
            if name.strip() == "model name":
                model = value.strip()
                break
    return {
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
        "kernel": f"{platform.system()} {platform.release()}",
        "cpu": f"{model}, {os.cpu_count()} processors",
        "clock": "CLOCK_MONOTONIC",
    }


@contextmanager
def _signals_noted() -> Iterator[Callable[[], bool]]:
    """Hold off the signals that end a program, and tell whether one came.

    An exception out of a handler could come between any two steps, also those that write the file or end the children.
    A signal that is ignored stays so: that is how nohup and background jobs ask for it.
    """
    noted: list[int] = []
    previous: dict[signal.Signals, Any] = {}
    if threading.current_thread() is threading.main_thread():
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            if signal.getsignal(number) is not signal.SIG_IGN:
                previous[number] = signal.signal(number, lambda caught, _: noted.append(caught))
    try:
        yield lambda: bool(noted)
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)


def _collect(
    log: _Log,
    kept: Journal,
    receiver: wire.Receiver,
    sender: Child | None,
    count: int | None,
    duration: float | None,
    signalled: Callable[[], bool],
    progress: Callable[[int, float], None] | None,
) -> str:
    """Fill the log, and tell what ended that: ``signal``, ``duration``, ``count``, ``sender`` or ``disk``."""
    start = tell = time.monotonic()
    while not signalled():
        datagram = receiver.receive(_LOOK_UP)
        if datagram is not None:
            log.take(datagram)
            if kept.heartbeats == count:
                return "count"
        elif sender is not None and sender.ended():
            return "sender"
        now = time.monotonic()
        if duration is not None and now - start >= duration:
            return "duration"
        try:
            kept.tick(now, log.state)
        except OSError:  # full, or gone: what is there may still find a place
            return "disk"
        if progress is not None and now >= tell:
            progress(kept.heartbeats, now - start)
            tell = now + _TELL
    return "signal"


def configure_record(parser: argparse.ArgumentParser) -> None:
    """Give a parser the arguments of ``accrual record``."""
    parser.description = (
        "Record heartbeats between two processes of this machine, or from `accrual send` elsewhere, until their number "
        "or time is reached or Ctrl-C."
    )
    add = parser.add_argument
    add("out", metavar="FILE", nargs="?", help="where to write: .parquet, .csv or .csv.gz")
    add("--period", type=float, default=0.01, metavar="S", help="sending interval, s (default: %(default)s)")
    add("--count", type=int, metavar="N", help="heartbeats to record")
    add("--duration", type=float, metavar="S", help="time to record, s")
    add(
        "--disturb",
        action="append",
        default=[],
        metavar="NAME[:OPTION=VALUE,...]",
        help=f"what disturbs the sender, may be repeated: {', '.join(disturbances.DISTURBANCES)}",
    )
    add("--seed", type=int, metavar="N", help="seed of the disturbances")
    add("--ipv6", action="store_true", help="let the heartbeats go over IPv6")
    add("--listen", metavar="HOST:PORT", help="await heartbeats here instead of sending them")
    add("--title", metavar="TEXT", help="what people shall call it")
    add(
        "--recover",
        metavar="PART",
        help="record nothing, but make FILE (default: PART without .part) of what a recorder that crashed left behind",
    )
    add("--force", action="store_true", help="overwrite the file if it exists")
    add("--json", action="store_true", help="print a summary as JSON")


def run_record(args: argparse.Namespace) -> int:
    """Run ``accrual record`` and return the exit status; what goes wrong is raised."""
    if args.recover is not None:
        trace = recover(args.recover, args.out, force=args.force)
        return _report(args.out or args.recover.removesuffix(journal.ENDING), trace, args.json)
    if args.out is None:
        raise ValueError("record needs the name of a file: .parquet, .csv or .csv.gz")
    with _progress_line() as progress:
        trace = record(
            args.out,
            period=args.period,
            count=args.count,
            duration=args.duration,
            disturb=[disturbances.parse(text) for text in args.disturb],
            seed=args.seed,
            ipv6=args.ipv6,
            listen=None if args.listen is None else wire.parse_address(args.listen),
            title=args.title,
            force=args.force,
            progress=progress,
        )
    return _report(args.out, trace, args.json)


def _report(out: str, trace: Trace, as_json: bool) -> int:
    summary = _summary(out, trace)
    if as_json:
        print(json.dumps(summary))
    else:
        print("{file}: {heartbeats} heartbeats in {duration:.1f} s, {lost} lost".format_map(summary))
    problem = {
        "sender": "the sender ended before the recording; what it sent is written",
        "disk": "the disk took no more and that ended the recording; what had arrived is written",
    }.get(summary["ended"])
    if problem:
        print(f"accrual: {problem}", file=sys.stderr)
        return 1
    return 0


def configure_send(parser: argparse.ArgumentParser) -> None:
    """Give a parser the arguments of ``accrual send``."""
    parser.description = "Send heartbeats to `accrual record --listen` until their number is reached or Ctrl-C."
    parser.add_argument("address", metavar="HOST:PORT", help="where to; an IPv6 address in brackets")
    parser.add_argument("--period", type=float, default=0.01, metavar="S", help="interval, s (default: %(default)s)")
    parser.add_argument("--count", type=int, metavar="N", help="heartbeats to send")
    parser.add_argument("--json", action="store_true", help="print a summary as JSON")


def run_send(args: argparse.Namespace) -> int:
    """Run ``accrual send`` and return the exit status; what goes wrong is raised."""
    sent = wire.send(wire.parse_address(args.address), args.period, args.count)
    if args.json:
        print(json.dumps(sent._asdict()))
    else:
        print("{heartbeats} heartbeats sent, {failed} refused, {restarts} pauses".format_map(sent._asdict()))
    return 0


@contextmanager
def _progress_line() -> Iterator[Callable[[int, float], None] | None]:
    """Show progress in one line of the terminal, if it is one, and wipe the line at the end."""
    if not sys.stderr.isatty():
        yield None
        return

    def show(text: str) -> None:
        with suppress(OSError):  # a terminal that was closed must not end the recording before it is written
            print(text, end="", file=sys.stderr, flush=True)

    try:
        yield lambda heartbeats, seconds: show(f"\r{heartbeats} heartbeats in {seconds:.0f} s, Ctrl-C ends")
    finally:
        show("\r\x1b[K")


def _summary(file: str, trace: Trace) -> dict[str, Any]:
    assert trace.sequence is not None  # a recording has both
    assert trace.epoch is not None
    order = np.lexsort((trace.sequence, trace.epoch))
    epoch, sequence = trace.epoch[order], trace.sequence[order]
    skipped = (np.diff(sequence) - 1)[np.diff(epoch) == 0]
    lost = sum(skipped[skipped > 0].tolist())  # exact, whatever numbers came
    return {
        "file": file,
        "heartbeats": len(trace),
        "lost": lost,
        "duration": int(trace.arrivals.max() - trace.arrivals.min()) / 1e9,
        "period": trace.period,
        **trace.about,
    }
