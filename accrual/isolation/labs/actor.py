"""What the labs' own processes do, each a program: ``python actor.py PROGRAM ARGUMENTS...``.

Only the standard library is used and, for heartbeats, the one file that the package's recorder sends with: an actor
starts in some 40 ms, in a container and in a network namespace, too.
"""

from __future__ import annotations

import contextlib
import errno
import json
import mmap
import os
import socket
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

_MIB: Final = 2**20


def _say(**what: Any) -> None:
    os.write(1, json.dumps(what).encode() + b"\n")  # one write, so that the lines of many threads do not mix


def _beat(host: str, port: str, period: str, epoch: str, work: str = "0") -> None:
    """Send heartbeats without end, each after so much work [s]: a service's main loop, not a thread of its own."""
    sys.path.append(str(Path(__file__).parents[2] / "traces"))
    import wire  # type: ignore[import-not-found]  # this file is run by its path, without the package

    seconds, loops = float(work), 20_000

    def work_then_wait(wait: float) -> bool:
        time.sleep(wait)
        # Processor time, not time on the wall: a neighbour makes it take longer, as any work.
        end = time.thread_time() + seconds
        while time.thread_time() < end:
            sum(range(loops // 100))
        return False

    wire.send((host, int(port)), float(period), epoch=int(epoch), wait=work_then_wait)


def _listen(host: str, port: str) -> None:
    """Say when which heartbeat arrived and from where."""
    sys.path.append(str(Path(__file__).parents[2] / "traces"))
    import wire

    with wire.Receiver(host, int(port)) as receiver:
        _say(listening=receiver.port)
        while True:
            datagram = receiver.receive(timeout=60.0)
            heartbeat = datagram and wire.decode(datagram.data)
            if datagram and heartbeat:
                _say(sender=heartbeat.epoch, arrival=datagram.arrival, sequence=heartbeat.sequence)


def _relay(path: str, server: str, log: str = "", word: str = "") -> None:
    """Carry what comes to a socket in the file system to ``HOST:PORT`` and back; listen only while that does, too.

    With a log, wait until it has the word.
    """
    host, _, port = server.rpartition(":")
    while log and word not in Path(log).read_text(errors="replace"):
        time.sleep(0.01)

    def pump(source: socket.socket, target: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while data := source.recv(65536):
                target.sendall(data)
        for one in (source, target):
            with contextlib.suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)

    def there() -> socket.socket | None:
        with contextlib.suppress(OSError):
            found = socket.create_connection((host, int(port)), timeout=1.0)
            found.settimeout(None)
            found.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            return found
        return None

    while True:
        while not (probe := there()):
            time.sleep(0.005)
        probe.close()
        with contextlib.suppress(FileNotFoundError):
            os.unlink(path)
        with socket.socket(socket.AF_UNIX) as listening:
            listening.bind(path)
            listening.listen(64)
            while True:
                near, _ = listening.accept()
                far = there()
                if far is None:
                    os.unlink(path)
                    near.close()
                    break
                for pair in ((near, far), (far, near)):
                    threading.Thread(target=pump, args=pair, daemon=True).start()


def _serve(host: str, port: str) -> None:
    """Answer each line with the same line."""

    def answer(caller: socket.socket) -> None:
        with caller, caller.makefile("rwb", buffering=0) as lines:
            for line in lines:
                lines.write(line)

    with socket.create_server((host, int(port))) as server:
        _say(serving=port)
        while True:
            caller, _ = server.accept()
            threading.Thread(target=answer, args=(caller,), daemon=True).start()


def _ask(period: str, deadline: str, *servers: str) -> None:
    """Ask each server, ``HOST:PORT``, again and again, with a connection for each question, and say what came of it."""

    def ask(server: str) -> str:
        host, _, port = server.rpartition(":")
        end = time.monotonic() + float(deadline)
        try:
            with socket.create_connection((host, int(port)), timeout=float(deadline)) as asked:
                asked.sendall(b"how are you\n")
                asked.settimeout(max(end - time.monotonic(), 0.001))
                return "answered" if asked.recv(100) == b"how are you\n" else "closed"
        except TimeoutError:
            return "silence"
        except ConnectionRefusedError:
            return "refused"
        except ConnectionResetError:
            return "reset"
        except OSError as error:
            return {errno.EHOSTUNREACH: "no such host", errno.ENETUNREACH: "no network"}.get(
                error.errno or 0, str(error)
            )

    def go_on(server: str) -> None:
        while True:
            began = time.monotonic()
            outcome = ask(server)
            _say(server=server, at=began, outcome=outcome, took=time.monotonic() - began)
            time.sleep(max(0.0, began + float(period) - time.monotonic()))

    for server in servers:
        threading.Thread(target=go_on, args=(server,), daemon=True).start()
    threading.Event().wait()


def _hog_memory(most: str) -> None:
    """Take memory, a MiB at a time, up to so many; say how far it came."""
    taken = []
    for count in range(1, int(most) + 1):
        taken.append(bytearray(b"x") * _MIB)  # written to, so it is really there
        _say(taken=count)


def _hog_cpu(processes: str) -> None:
    """Compute without end in so many processes."""
    for _ in range(int(processes) - 1):
        if not os.fork():
            break
    while True:
        pass


def _fork(processes: str) -> None:
    """Start so many processes, which wait; say how many there are and what stopped it."""
    for started in range(int(processes)):
        try:
            child = os.fork()
        except OSError as error:
            _say(started=started, refused=error.strerror)
            break
        if not child:
            time.sleep(1000)
            os._exit(0)
    else:
        _say(started=int(processes), refused=None)
    time.sleep(1000)


def _write(path: str, mebibytes: str) -> None:
    """Write so much to a file, past the cache, and say how long that took [s]."""
    block = mmap.mmap(-1, _MIB)  # as aligned as the disk wants it
    block.write(b"x" * _MIB)
    flags = os.O_WRONLY | os.O_CREAT | getattr(os, "O_DIRECT", 0) | os.O_SYNC
    file = os.open(path, flags, 0o600)
    began = time.monotonic()
    for _ in range(int(mebibytes)):
        os.write(file, block)
    _say(seconds=time.monotonic() - began)


PROGRAMS: Final[dict[str, Callable[..., None]]] = {
    "ask": _ask,
    "beat": _beat,
    "fork": _fork,
    "hog-cpu": _hog_cpu,
    "hog-memory": _hog_memory,
    "listen": _listen,
    "relay": _relay,
    "serve": _serve,
    "write": _write,
}


def command(program: str, *arguments: object) -> list[str]:
    """What starts a program."""
    return [sys.executable, "-IS", __file__, program, *map(str, arguments)]


if __name__ == "__main__":
    PROGRAMS[sys.argv[1]](*sys.argv[2:])
