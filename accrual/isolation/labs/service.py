"""One service of the shop, or several in one process: the program that runs at every level of isolation.

It uses the standard library only and is run by its path, so that it starts fast and needs no more than a Python in a
container or a virtual machine:

    python -IS service.py CONFIGURATION

The configuration is a JSON object: ``services``, name to seconds of work for a request; ``listen``, name to an address,
``unix:PATH`` or ``tcp:HOST:PORT``; ``workers``, threads of a pool; ``shared``, whether all services have one pool;
``headroom``, memory that it may take beyond what it has when it is up [bytes], or null for no cap of its own; ``most``,
where a memory hog without any cap stops [bytes].

It takes lines of JSON and answers each with one: ``{"id": 7, "do": "work"}`` gets ``{"id": 7, "price": 100}`` or
``{"id": 7, "error": "KeyError"}``. To ``do``: ``work``; ``fault``, with ``fault`` a name of `accrual.isolation.FAULTS`;
``ping``, which only goes through the pool; ``trip``, `count` pings to the service ``to``, at the address ``at`` or, if
it is in the same process, through its queue; ``stats``, answered even where the pool is stuck.
"""

from __future__ import annotations

import contextlib
import errno
import json
import mmap
import os
import queue
import selectors
import socket
import sys
import threading
import time
from collections.abc import Callable
from typing import Any, Final

PRICE: Final = 100
"""What every answer must say: read from a variable that all services of a process share."""

SLOW: Final = 50.0
"""How many times as long a slow service takes: 10 ms become half a second, the client's deadline."""

_BASKET: Final = 1 << 20  # what a request needs while it is served [bytes]
_PIECE: Final = 1 << 20  # what a memory hog takes at a time [bytes]
_FOREVER: Final = 3600.0  # longer than any lab [s]

Answer = Callable[[dict[str, Any]], None]
Job = Callable[[], None]

_SHOP: Final = {"price": PRICE}
_LEAK: Final[list[mmap.mmap]] = []


def family(address: str) -> tuple[socket.AddressFamily, Any]:
    """What a socket needs for an address, ``unix:PATH`` or ``tcp:HOST:PORT``."""
    kind, _, where = address.partition(":")
    if kind == "unix":
        return socket.AF_UNIX, where
    if kind == "tcp":
        host, _, port = where.rpartition(":")
        return socket.AF_INET, (host, int(port))
    raise ValueError(f"address must begin with unix: or tcp:, got {address!r}")


def listen(address: str) -> socket.socket:
    """Listen there, also where an earlier process that was killed has left its socket."""
    kind, where = family(address)
    listening = socket.socket(kind, socket.SOCK_STREAM)
    if kind == socket.AF_UNIX:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(where)
    else:
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    listening.bind(where)
    listening.listen(64)
    return listening


class Pool:
    """Threads that take jobs from one queue, first come, first served."""

    def __init__(self, workers: int) -> None:
        self._jobs: queue.SimpleQueue[Job] = queue.SimpleQueue()
        for _ in range(workers):
            threading.Thread(target=self._serve, daemon=True).start()

    def submit(self, job: Job) -> None:
        """Have it done by the next free worker."""
        self._jobs.put(job)

    def _serve(self) -> None:
        while True:
            job = self._jobs.get()
            # The client is gone, or there is no memory to tell it anything.
            with contextlib.suppress(OSError, MemoryError):
                job()


class Service:
    """What answers the requests of one kind.

    Parameters
    ----------
    work : float
        That a request keeps a worker busy [s].
    pool : Pool
    most : int
        Where a memory hog without a cap stops [bytes].
    capped : bool
        Whether the process has a cap on its address space.
    """

    def __init__(self, work: float, pool: Pool, most: int, capped: bool) -> None:
        self.pool = pool
        self._work, self._most, self._capped = work, most, capped
        self._hanging = False

    def handle(self, request: dict[str, Any], answer: Answer) -> None:
        """Do what a request wants, in one of the pool's workers."""
        try:
            found = getattr(self, "do_" + request["do"])(request)
        except Exception as error:  # caught where the request began: the worker serves the next one
            found = {"error": type(error).__name__}
        answer({"id": request["id"], **found})

    def do_work(self, _request: dict[str, Any]) -> dict[str, Any]:
        """Serve a customer: some memory, some time, and a price."""
        if self._hanging:
            time.sleep(_FOREVER)
        basket = _memory(_BASKET)
        try:
            time.sleep(self._work)  # what a database or another service takes
            return {"price": _SHOP["price"]}
        finally:
            basket.close()

    def do_ping(self, _request: dict[str, Any]) -> dict[str, Any]:
        """Answer."""
        return {}

    def do_fault(self, request: dict[str, Any]) -> dict[str, Any]:
        """Go wrong."""
        fault = request["fault"]
        if fault == "exception":
            raise KeyError("a customer without a name")
        if fault == "hang":
            self._hanging = True
            time.sleep(_FOREVER)
        elif fault == "slow":
            self._work *= SLOW
        elif fault == "memory-hog":
            self._take_memory()
        elif fault == "cpu-hog":
            _take_cores()
        elif fault == "segfault":
            import ctypes

            ctypes.string_at(0)
        elif fault == "hold-gil":
            import re

            # Each further "a" doubles the ways in which this cannot match; the matcher is C and keeps the lock.
            re.match(r"(a+)+$", "a" * 64 + "b")
        elif fault == "kill":
            import signal

            os.kill(os.getpid(), signal.SIGKILL)
        elif fault == "corrupt":
            _SHOP["price"] = -999_999
        elif fault == "poison":
            os._exit(70)
        else:
            raise ValueError(f"fault {fault!r} is not one of this program")
        return self.do_work(request)

    def _take_memory(self) -> None:
        """Take what others give back, too, and never let go."""
        while len(_LEAK) * _PIECE < self._most:
            try:
                piece = _memory(_PIECE)
                if not self._capped:  # address space is taken now; a control group counts what is written to
                    piece.write(b"\x01" * _PIECE)
                _LEAK.append(piece)
            except MemoryError:
                time.sleep(0.001)


def _memory(size: int) -> mmap.mmap:
    """Pages from the kernel: malloc would use again what it has kept, and a cap would not show."""
    try:
        return mmap.mmap(-1, size)
    except OSError as error:
        if error.errno != errno.ENOMEM:
            raise
        raise MemoryError(f"{size} bytes") from error


def _take_cores() -> None:
    """Compute without end: in Python, which keeps taking the interpreter's lock, and in C without it on each core."""

    def in_python() -> None:
        while True:
            pass

    def in_c() -> None:
        import hashlib

        while True:
            hashlib.pbkdf2_hmac("sha256", b"", b"", 200_000)

    for body in [in_python] + [in_c] * (os.cpu_count() or 1):
        threading.Thread(target=body, daemon=True).start()


def trip(pings: int, ask: Callable[[], object]) -> dict[str, Any]:
    """Ask that often, one after the other; half of the answers took up to ``p50``, 99 in 100 up to ``p99`` [s]."""
    took = []
    for _ in range(pings):
        began = time.perf_counter()
        ask()
        took.append(time.perf_counter() - began)
    took.sort()
    return {"p50": took[len(took) // 2], "p99": took[min(len(took) - 1, len(took) * 99 // 100)]}


class Program:
    """The process: reads requests in its main thread, and has pools do them."""

    def __init__(self, configuration: dict[str, Any]) -> None:
        names = list(configuration["services"])
        workers, most = configuration["workers"], configuration["most"]
        began = time.perf_counter()
        shared = Pool(workers) if configuration["shared"] else None
        pools = {name: shared or Pool(workers) for name in names}
        self._stats = {"pid": os.getpid(), "pool": (time.perf_counter() - began) / (1 if shared else len(names))}
        capped = configuration["headroom"] is not None
        self._services = {
            name: Service(work, pools[name], most, capped) for name, work in configuration["services"].items()
        }
        self._ready = selectors.DefaultSelector()
        for name in names:
            self._ready.register(listen(configuration["listen"][name]), selectors.EVENT_READ, (name, None))
        _no_core_dumps()
        if capped:
            cap_memory(configuration["headroom"])

    def run(self) -> None:
        """Serve until killed."""
        while True:
            for key, _ in self._ready.select():
                name, reader = key.data
                try:
                    if reader is None:
                        connection, _address = key.fileobj.accept()  # type: ignore[union-attr]  # it listens
                        self._ready.register(connection, selectors.EVENT_READ, (name, _Reader(connection)))
                    else:
                        for request in reader.requests():
                            self._take(name, request, reader.answer)
                except MemoryError:
                    time.sleep(0.001)  # what came is still in the socket
                except OSError:
                    self._ready.unregister(key.fileobj)

    def _take(self, name: str, request: dict[str, Any], answer: Answer) -> None:
        service = self._services[name]
        if request["do"] == "stats":
            answer({"id": request["id"], **self._stats})
        elif request["do"] == "trip":
            # In a thread of its own: a worker that waits for its own pool may wait for itself.
            threading.Thread(target=self._trip, args=(request, answer), daemon=True).start()
        else:
            service.pool.submit(lambda: service.handle(request, answer))

    def _trip(self, request: dict[str, Any], answer: Answer) -> None:
        try:
            if request["to"] in self._services:
                found = self._trip_inside(self._services[request["to"]], request["count"])
            else:
                found = _trip_outside(request["at"], request["count"])
        except OSError as error:
            found = {"error": str(error)}
        answer({"id": request["id"], **found})

    def _trip_inside(self, other: Service, count: int) -> dict[str, Any]:
        replies: queue.SimpleQueue[dict[str, Any]] = queue.SimpleQueue()

        def ask() -> None:
            other.pool.submit(lambda: other.handle({"id": 0, "do": "ping"}, replies.put))
            replies.get()

        return trip(count, ask)


def _trip_outside(address: str, count: int) -> dict[str, Any]:
    kind, where = family(address)
    with socket.socket(kind, socket.SOCK_STREAM) as connection:
        connection.settimeout(10.0)
        connection.connect(where)
        if kind == socket.AF_INET:
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        with connection.makefile("rwb") as stream:

            def ask() -> None:
                stream.write(b'{"id": 0, "do": "ping"}\n')
                stream.flush()
                stream.readline()

            return trip(count, ask)


class _Reader:
    """A client's connection: lines in, lines out."""

    def __init__(self, connection: socket.socket) -> None:
        self._connection, self._read, self._lock = connection, b"", threading.Lock()
        if connection.family == socket.AF_INET:
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def requests(self) -> list[dict[str, Any]]:
        """Those that are complete; raises OSError when the client is gone."""
        got = self._connection.recv(4096)
        if not got:
            self._connection.close()
            raise ConnectionResetError
        *lines, self._read = (self._read + got).split(b"\n")
        return [json.loads(line) for line in lines]

    def answer(self, found: dict[str, Any]) -> None:
        """Send an answer, from whatever thread."""
        line = json.dumps(found).encode() + b"\n"
        with self._lock:
            self._connection.sendall(line)


def cap_memory(headroom: int) -> None:
    """Let this process have no more memory than that beyond what it has [bytes]: what any user may do to itself."""
    import resource

    with open("/proc/self/statm", encoding="ascii") as pages:
        size = int(pages.read().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (size + headroom, size + headroom))


def _no_core_dumps() -> None:
    import resource

    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


if __name__ == "__main__":
    Program(json.loads(sys.argv[1])).run()
