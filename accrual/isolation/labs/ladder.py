"""The ladder of latency: what a question and its answer take, from a call to a remote procedure."""

from __future__ import annotations

import mmap
import multiprocessing
import os
import queue
import socket
import threading
import xmlrpc.client
import xmlrpc.server
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from multiprocessing.context import ForkContext
from multiprocessing.process import BaseProcess
from typing import Any, Final

from accrual.isolation.labs.service import trip
from accrual.lab import LabError, Lack, Scene, lab

__all__ = ["ladder"]

Ask = Callable[[bytes], bytes]
"""Sends a message and gives what came back."""

_WARM: Final = 20  # questions before those that count
_RPC_SHARE: Final = 10  # a remote procedure call takes so long that a tenth of them must do


def _lacks(**_: object) -> list[Lack]:
    if hasattr(os, "fork"):
        return []
    return [Lack("a system that can fork a process", "run it on Linux or a Mac")]


@lab("ladder", lacking=_lacks, limit=60.0)
def ladder(scene: Scene, *, trips: int = 2000, size: int = 64) -> dict[str, Any]:
    """Round trips by a variable, queues, pipes, shared memory, sockets and a remote procedure: the ladder of latency.

    Each rung sends a message to another thread, or to another process, which sends it back. Times are in seconds: of
    half of the round trips and of 99 in 100 at most. Nobody polls: each waits as a server would.

    Parameters
    ----------
    trips : int
        On each rung; of remote procedure calls a tenth.
    size : int
        Of a message [bytes].
    """
    for name, value, least, most in (("trips", trips, 100, 100_000), ("size", size, 1, 65_536)):
        if not least <= value <= most:
            raise ValueError(f"{name} must be from {least} to {most:,}, got {value!r}")
    message = b"x" * size
    rows = []
    for rung, between, opened in (
        ("function call", "one thread", _call),
        ("shared variable and events", "threads", _variable),
        ("queue", "threads", _thread_queue),
        ("pipe", "processes", _pipe),
        ("shared memory and semaphores", "processes", _shared_memory),
        ("message queue", "processes", _process_queue),
        ("Unix socket", "processes", _unix_socket),
        ("loopback TCP", "processes", _loopback),
        ("remote procedure call", "processes, loopback", _remote_procedure),
    ):
        with opened(scene, size) as ask:
            for _ in range(_WARM):
                if ask(message) != message:
                    raise LabError(f"{rung} changed the message")
            count = trips // _RPC_SHARE if opened is _remote_procedure else trips
            found = trip(count, lambda ask=ask: ask(message))  # type: ignore[misc]
        scene.tell(rung, f"{found['p50'] * 1e6:.1f} us")
        rows.append({"rung": rung, "between": between, "trips": count, **found})
    return {"rows": rows, "facts": {"times_of_a_call": rows[-1]["p50"] / rows[0]["p50"]}}


@contextmanager
def _call(_scene: Scene, _size: int) -> Iterator[Ask]:
    yield lambda message: message


# ---- between threads ------------------------------------------------------------------------------------------------


@contextmanager
def _threaded(serve: Callable[[], None], end: Callable[[], None]) -> Iterator[None]:
    thread = threading.Thread(target=serve, daemon=True)
    thread.start()
    try:
        yield
    finally:
        end()
        thread.join()


@contextmanager
def _variable(_scene: Scene, _size: int) -> Iterator[Ask]:
    asked, answered = threading.Event(), threading.Event()
    variable: dict[str, bytes | None] = {}

    def serve() -> None:
        while True:
            asked.wait()
            asked.clear()
            message = variable["question"]
            if message is None:
                return
            variable["answer"] = message
            answered.set()

    def ask(message: bytes) -> bytes:
        variable["question"] = message
        asked.set()
        answered.wait()
        answered.clear()
        return variable["answer"] or b""

    def end() -> None:
        variable["question"] = None
        asked.set()

    with _threaded(serve, end):
        yield ask


@contextmanager
def _thread_queue(_scene: Scene, _size: int) -> Iterator[Ask]:
    questions: queue.SimpleQueue[bytes | None] = queue.SimpleQueue()
    answers: queue.SimpleQueue[bytes] = queue.SimpleQueue()

    def serve() -> None:
        while (message := questions.get()) is not None:
            answers.put(message)

    def ask(message: bytes) -> bytes:
        questions.put(message)
        return answers.get()

    with _threaded(serve, lambda: questions.put(None)):
        yield ask


# ---- between processes ----------------------------------------------------------------------------------------------


def _context() -> ForkContext:
    """Fork: the other process has what this one has, and no name in the system would outlast a kill."""
    return multiprocessing.get_context("fork")


@contextmanager
def _forked(serve: Callable[[], object]) -> Iterator[None]:
    child: BaseProcess = _context().Process(target=serve, daemon=True)
    child.start()
    try:
        yield
    finally:
        child.kill()
        child.join()


@contextmanager
def _pipe(_scene: Scene, _size: int) -> Iterator[Ask]:
    here, there = _context().Pipe()

    def serve() -> None:
        while True:
            there.send_bytes(there.recv_bytes())

    def ask(message: bytes) -> bytes:
        here.send_bytes(message)
        return here.recv_bytes()

    with here, there, _forked(serve):
        yield ask


@contextmanager
def _shared_memory(_scene: Scene, size: int) -> Iterator[Ask]:
    # Memory without a name: multiprocessing.shared_memory's would stay in /dev/shm if this process were killed.
    memory = mmap.mmap(-1, size)
    asked, answered = _context().Semaphore(0), _context().Semaphore(0)

    def serve() -> None:
        while True:
            asked.acquire()
            memory[:] = memory[:]
            answered.release()

    def ask(message: bytes) -> bytes:
        memory[:] = message
        asked.release()
        answered.acquire()
        return memory[:]

    with closing(memory), _forked(serve):
        yield ask


@contextmanager
def _process_queue(_scene: Scene, _size: int) -> Iterator[Ask]:
    questions: Any = _context().Queue()
    answers: Any = _context().Queue()

    def serve() -> None:
        while True:
            answers.put(questions.get())

    def ask(message: bytes) -> bytes:
        questions.put(message)
        found: bytes = answers.get()
        return found

    with _forked(serve):
        yield ask
    for one in (questions, answers):
        one.close()
        one.join_thread()


@contextmanager
def _sockets(here: socket.socket, there: socket.socket, size: int) -> Iterator[Ask]:
    def serve() -> None:
        while True:
            there.sendall(_exactly(there, size))

    def ask(message: bytes) -> bytes:
        here.sendall(message)
        return _exactly(here, size)

    with here, there, _forked(serve):
        yield ask


def _exactly(connection: socket.socket, size: int) -> bytes:
    got = connection.recv(size)
    while len(got) < size:
        more = connection.recv(size - len(got))
        if not more:
            raise EOFError("the other side is gone")
        got += more
    return got


@contextmanager
def _unix_socket(_scene: Scene, size: int) -> Iterator[Ask]:
    here, there = socket.socketpair(socket.AF_UNIX, socket.SOCK_STREAM)
    with _sockets(here, there, size) as ask:
        yield ask


@contextmanager
def _loopback(_scene: Scene, size: int) -> Iterator[Ask]:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        here = socket.create_connection(listening.getsockname())
        there, _ = listening.accept()
    for one in (here, there):
        one.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    with _sockets(here, there, size) as ask:
        yield ask


class _Quiet(xmlrpc.server.SimpleXMLRPCRequestHandler):
    """Keeps the connection: what is measured is the call."""

    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True


@contextmanager
def _remote_procedure(_scene: Scene, _size: int) -> Iterator[Ask]:
    server = xmlrpc.server.SimpleXMLRPCServer(
        ("127.0.0.1", 0), requestHandler=_Quiet, logRequests=False, use_builtin_types=True
    )
    server.register_function(_back, "back")
    host, port = server.socket.getsockname()
    proxy = xmlrpc.client.ServerProxy(f"http://{host}:{port}", use_builtin_types=True)
    with server, _forked(server.serve_forever), proxy:

        def ask(message: bytes) -> bytes:
            found = proxy.back(message)
            assert isinstance(found, bytes)
            return found

        yield ask


def _back(message: Any) -> Any:
    return message
