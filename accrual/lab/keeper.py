"""The keeper of a lab: a program of its own, between who called the lab and the lab, that leaves nothing behind.

It is the parent, or on Linux the *subreaper*, of whatever the lab starts: a process whose parent dies becomes the
keeper's child, however often it forked and whatever session it opened. Its standard input is a pipe that only the
caller holds. When that ends (the caller is done, was interrupted, or was killed), or the lab ends, or takes too long,
the keeper kills its descendants until none is left, empties and removes the control groups, runs what the lab has
registered as undoing, and deletes the folder. It uses the standard library only and is run by its path.

    python keeper.py SECONDS FILE COMMAND...

FILE is an open file that the command inherits. It prints one line of JSON at the end: how the command ended, and what
was cleared away.
"""

from __future__ import annotations

import contextlib
import ctypes
import json
import os
import select
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any, Final

PREFIX: Final = "accrual-lab-"
REGISTRY: Final = "registry"
"""The file in a lab's folder that names what lies outside of the folder, a JSON object on each line."""
LOG: Final = "lab.log"
FOLDER: Final = "ACCRUAL_LAB_FOLDER"
"""The environment variable that tells a lab where its folder is."""

_PATIENCE: Final = 10.0  # for what is killed to be gone [s]; the kernel takes milliseconds, but for a full disk
_MOMENT: Final = 0.2  # from the closing of a process's files until it has ended [s]
_PR_SET_PDEATHSIG, _PR_SET_CHILD_SUBREAPER = 1, 36
_LINUX: Final = sys.platform == "linux"


def _prctl(*arguments: int) -> None:
    if _LINUX:
        ctypes.CDLL(None, use_errno=True).prctl(*arguments, 0, 0, 0)


def end_with_parent() -> None:
    """In the lab itself: die when the keeper does."""
    _prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)


def start_time(pid: int) -> str | None:
    """When a process began, in ticks since the boot; None if there is none: process ids are used again."""
    with contextlib.suppress(OSError):
        return Path(f"/proc/{pid}/stat").read_text(errors="replace").rpartition(")")[2].split()[19]
    return None


def descendants() -> list[int]:
    """The processes below this one, children before grandchildren."""
    children: dict[int, list[int]] = {}
    for entry in os.listdir("/proc"):
        if entry.isdigit():
            with contextlib.suppress(OSError):
                said = Path(f"/proc/{entry}/stat").read_text(errors="replace").rpartition(")")[2].split()
                children.setdefault(int(said[1]), []).append(int(entry))
    below = list(children.get(os.getpid(), ()))
    for pid in below:  # it grows meanwhile
        below += children.get(pid, ())
    return below


def _reap() -> None:
    """Take note of children that ended, also of those that became ours."""
    with contextlib.suppress(ChildProcessError):
        while os.waitpid(-1, os.WNOHANG)[0]:
            pass


def _kill_all(leader: int) -> int:
    """Kill whatever runs below; how many there were."""
    killed: set[int] = set()
    end = time.monotonic() + _PATIENCE
    while time.monotonic() < end:
        if _LINUX:
            below = descendants()
            killed |= {pid for pid in below if not _is_zombie(pid)}
            for pid in below:
                with contextlib.suppress(OSError):
                    os.kill(pid, signal.SIGKILL)
        else:  # no way to list them: the lab's own process group
            below = []
            with contextlib.suppress(OSError):
                os.killpg(leader, signal.SIGKILL)
        _reap()
        if not below:
            break
        time.sleep(0.002)
    return len(killed)


def _is_zombie(pid: int) -> bool:
    with contextlib.suppress(OSError):
        return Path(f"/proc/{pid}/stat").read_text(errors="replace").rpartition(")")[2].split()[0] == "Z"
    return True


def _registered(folder: Path) -> list[dict[str, Any]]:
    entries = []
    with contextlib.suppress(OSError):
        for line in (folder / REGISTRY).read_text(encoding="utf-8").splitlines():
            with contextlib.suppress(ValueError):  # half a line: what it names was not made yet
                entries.append(json.loads(line))
    return entries


def _thaw(group: Path) -> None:
    """A frozen process does not die."""
    for name, running in (("freezer.state", "THAWED"), ("cgroup.freeze", "0")):
        with contextlib.suppress(OSError):
            if (group / name).exists():
                (group / name).write_text(running, encoding="ascii")


def _empty(group: Path) -> None:
    with contextlib.suppress(OSError):
        for pid in (group / "cgroup.procs").read_text(encoding="ascii").split():
            os.kill(int(pid), signal.SIGKILL)


def _remove(group: Path) -> bool:
    """Remove a control group and those below it, as soon as the kernel has let go of their members."""
    end = time.monotonic() + _PATIENCE
    while group.exists():
        for inner in sorted((path for path in group.rglob("*") if path.is_dir()), reverse=True):
            _thaw(inner)
            _empty(inner)
            with contextlib.suppress(OSError):
                inner.rmdir()
        _empty(group)
        with contextlib.suppress(OSError):
            group.rmdir()
            return True
        if time.monotonic() > end:
            return False
        _reap()
        time.sleep(0.005)
    return True


def clear(folder: Path, leader: int = 0) -> dict[str, Any]:
    """Clear away what a lab has left; says how much, and what would not go."""
    entries = _registered(folder)
    groups = [Path(entry["group"]) for entry in entries if "group" in entry]
    for group in groups:
        _thaw(group)
    killed = _kill_all(leader) if leader else 0
    stuck = [str(group) for group in reversed(groups) if not _remove(group)]
    for entry in reversed(entries):
        if "undo" in entry:
            with contextlib.suppress(OSError, subprocess.TimeoutExpired):
                subprocess.run(  # noqa: S603  # what the lab registered, in a folder that only this user can write to
                    entry["undo"], check=False, capture_output=True, timeout=_PATIENCE, stdin=subprocess.DEVNULL
                )
    shutil.rmtree(folder, ignore_errors=True)
    return {"killed": killed, "stuck": stuck + ([str(folder)] if folder.exists() else [])}


def _marked(folder: Path) -> list[int]:
    """Processes that were started in this lab, as their environment says."""
    mark = f"{FOLDER}={folder}".encode()
    found = []
    for entry in os.listdir("/proc"):
        if entry.isdigit():
            with contextlib.suppress(OSError):
                if mark in Path(f"/proc/{entry}/environ").read_bytes().split(b"\0"):
                    found.append(int(entry))
    return found


def sweep() -> None:
    """Clear away what labs left whose keepers were killed: folders of this user, of processes that are gone."""
    for folder in Path(tempfile.gettempdir()).glob(f"{PREFIX}*-*-*"):
        pid, start = folder.name.removeprefix(PREFIX).split("-")[:2]
        with contextlib.suppress(OSError):
            ours = folder.lstat().st_uid == os.geteuid() and not folder.is_symlink()
            if ours and pid.isdigit() and start_time(int(pid)) != start:
                for member in _marked(folder):
                    os.kill(member, signal.SIGKILL)
                clear(folder)


def keep(seconds: float, file: int, command: list[str]) -> dict[str, Any]:
    """Run the command in a folder of its own until it ends, the caller is gone, or the time is up; then clear up."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, lambda *_: None)  # the end of standard input ends it, and so in order
    _prctl(_PR_SET_CHILD_SUBREAPER, 1)
    try:
        if _LINUX:
            sweep()
        folder = Path(tempfile.mkdtemp(prefix=f"{PREFIX}{os.getpid()}-{start_time(os.getpid())}-"))
    except OSError as error:  # a full disk, most likely
        return {"why": "no folder", "code": 1, "said": f"no folder can be made for it: {error.strerror or error}"}
    why, said, code, leader = "ended", "", None, 0
    try:
        with (folder / LOG).open("wb") as log:
            process = subprocess.Popen(  # noqa: S603  # what the caller says
                command,
                cwd=folder,
                env=os.environ | {FOLDER: str(folder)},
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                pass_fds=[file],
                start_new_session=True,
            )
        os.close(file)  # the lab's copy is the only one now: who reads its other end sees when the lab ends
        leader = process.pid
        end = time.monotonic() + seconds
        while process.poll() is None:
            if select.select([sys.stdin], (), (), 0.02)[0]:
                # It hears of the lab's end when a file closes, a moment before we do.
                with contextlib.suppress(subprocess.TimeoutExpired):
                    process.wait(_MOMENT)
                why = "caller gone"
                break
            if time.monotonic() > end:
                why = "too long"
                break
            if _LINUX:
                _reap_others(process.pid)
        code = process.poll()
        with contextlib.suppress(OSError):
            said = "\n".join((folder / LOG).read_text(encoding="utf-8", errors="replace").splitlines()[-12:])
    finally:
        cleared = clear(folder, leader)
    return {"why": why, "code": code, "said": said, **cleared}


def _reap_others(leader: int) -> None:
    """Zombies that became ours; the lab itself is waited for by its Popen."""
    with contextlib.suppress(ChildProcessError):
        while True:
            ended = os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT)
            if ended is None or ended.si_pid == leader:
                return
            os.waitpid(ended.si_pid, 0)


if __name__ == "__main__":
    report = json.dumps(keep(float(sys.argv[1]), int(sys.argv[2]), sys.argv[3:]))
    try:
        print(report, flush=True)
    except BrokenPipeError:  # the caller was killed; Python would try again at exit, and complain on its terminal
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
