"""A network of TCP links with a bad day: delay, stalls, cuts and lost machines, without root and on any system.

`Proxy` starts this file as a program of its own (standard library only, so that it is there in some 50 ms and does not
share an interpreter with the clients that a lab measures) and steers it over its standard input and output, one JSON
object a line each way. Each link is a port of 127.0.0.1 whose connections are carried on to another port.

A byte stream has no packets to lose. Below it a lost segment is sent again after a timeout, and what came behind it
waits: that is what `loss` does here, a `stall` of all that follows in that direction. A cut that heals delivers what
was sent meanwhile, as TCP does; a machine that loses its power (`drop`) takes what was under way with it.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import math
import os
import random
import sys
import threading
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    import subprocess

    from accrual.lab.scene import Scene

__all__ = ["STALL", "Proxy"]

_MOST: Final = 1 << 16  # of a connection's bytes at a time
STALL: Final = 0.2
"""After how long a piece that was lost arrives [s]: Linux' shortest time until a segment is sent again, TCP_RTO_MIN."""


class Proxy:
    """The links of a lab.

    Parameters
    ----------
    scene : Scene
        Ends it with the lab.
    name : str
        Of the process, for its log.
    seed : int
        Of jitter and loss.

    Examples
    --------
    .. code-block:: python

        proxy = Proxy(scene)
        port = proxy.link("b to a", to=6379)  # whoever connects to this port talks to 6379
        proxy.set("b to a", delay=0.02)
        proxy.cut("b to a")
        proxy.heal("b to a")
        proxy.drop("b to a")
    """

    def __init__(self, scene: Scene, name: str = "proxy", seed: int = 1) -> None:
        import subprocess

        command = [sys.executable, "-IS", os.path.abspath(__file__), str(seed)]
        self._scene, self._name = scene, name
        self._process: subprocess.Popen[str] = scene.spawn(
            command, name, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, bufsize=1
        )
        self._lock = threading.Lock()
        self.ports: dict[str, int] = {}

    def link(self, name: str, to: int, listen: int = 0, delay: float = 0.0) -> int:
        """Make a link to a port of this machine; gives the port it listens on.

        Parameters
        ----------
        name : str
            For the other calls, which take a pattern too, as ``"* to a"``.
        to : int
            Port; nobody need listen there yet: connections to the link are closed then.
        listen : int
            Port of the link; 0: any that is free.
        delay : float
            Each way [s].

        Raises
        ------
        ValueError
            For a name that is taken, or a delay that is none.
        LabError
            The port is taken.
        """
        if name in self.ports:
            raise ValueError(f"name must be new, got {name!r} again")
        _check("delay", delay)
        port: int = self._say(link=name, to=to, listen=listen, settings={"delay": delay})["port"]
        self.ports[name] = port
        return port

    def set(self, name: str, **settings: float) -> None:
        """Change links, for what comes from now on.

        Parameters
        ----------
        name : str
            A link's, or a pattern of several.
        **settings : float
            ``delay`` and ``jitter`` [s]: each way, the latter the deviation of a normal law, order kept; ``loss``, the
            probability from 0 to 1 that a piece of up to 64 KiB is delayed by ``stall`` [s], 0.2 by default.
        """
        for what, value in settings.items():
            if what not in ("delay", "jitter", "loss", "stall"):
                raise ValueError(f"a link has delay, jitter, loss and stall, not {what!r}")
            _check(what, value)
            if what == "loss" and value > 1:
                raise ValueError(f"loss must be from 0 to 1, got {value!r}")
        self._say(set=name, settings=settings)

    def cut(self, name: str, *, forward: bool = True, backward: bool = True) -> None:
        """Let nothing through until `heal`: as TCP, it delivers all of it then.

        `forward` is what the side that opened the connection sends, `backward` what it gets. Also a new connection is
        accepted and hears nothing.
        """
        self._say(set=name, settings={"forward": not forward, "backward": not backward})

    def heal(self, name: str) -> None:
        """Undo `cut` and `drop`; what was dropped is lost."""
        self._say(heal=name)

    def drop(self, name: str) -> None:
        """Break the connections, forget what is under way, refuse new ones: the machine at one end lost its power."""
        self._say(drop=name)

    def carried(self, name: str) -> dict[str, int]:
        """How many bytes went ``forward`` and ``backward``, of all links of that pattern together."""
        found = self._say(carried=name)
        return {"forward": found["forward"], "backward": found["backward"]}

    def close(self) -> None:
        """End it, and all connections with it."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        with contextlib.suppress(BrokenPipeError):
            self._process.stdin.close()
        self._process.stdout.close()
        self._process.wait(10)

    def _say(self, **command: Any) -> dict[str, Any]:
        from accrual.lab.scene import LabError

        assert self._process.stdin is not None
        assert self._process.stdout is not None
        try:
            with self._lock:
                self._process.stdin.write(json.dumps(command) + "\n")
                self._process.stdin.flush()
                answer = json.loads(self._process.stdout.readline())
        except (BrokenPipeError, ValueError):
            raise LabError(f"the {self._name} has ended: {self._scene.log_of(self._name)}") from None
        if "error" in answer:
            raise LabError(f"the {self._name}: {answer['error']}")
        return dict(answer)


def _check(what: str, value: float) -> None:
    if not 0 <= value < math.inf:
        raise ValueError(f"{what} must be a finite number from 0 on, got {value!r}")


# ---- the program ---------------------------------------------------------------------------------------------------


class _Link:
    """One link; all of its connections have the same settings."""

    server: asyncio.Server  # while it is not dropped

    def __init__(self, to: int, draw: random.Random) -> None:
        self.to, self.draw = to, draw
        self.delay = self.jitter = self.loss = 0.0
        self.stall = STALL
        self.forward = self.backward = True
        self.dropped = False
        self.carried = {"forward": 0, "backward": 0}
        self.open: set[asyncio.StreamWriter] = set()
        self.news = asyncio.Condition()

    async def change(self, settings: dict[str, Any]) -> None:
        for name, value in settings.items():
            setattr(self, name, value)
        async with self.news:
            self.news.notify_all()

    async def listen(self, port: int) -> int:
        """Take connections; gives the port."""
        self.server = await asyncio.start_server(self.carry, "127.0.0.1", port)
        return int(self.server.sockets[0].getsockname()[1])

    async def heal(self, port: int) -> None:
        if self.dropped:
            await self.listen(port)
        await self.change({"forward": True, "backward": True, "dropped": False})

    def drop(self) -> None:
        self.dropped = True
        self.server.close()
        for writer in self.open:
            writer.transport.abort()

    def latency(self) -> float:
        late = self.delay + (self.draw.gauss(0, self.jitter) if self.jitter else 0.0)
        return max(0.0, late) + (self.stall if self.loss and self.draw.random() < self.loss else 0.0)

    async def carry(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if self.dropped:  # accepted just before
            writer.transport.abort()
            return
        self.open.add(writer)
        try:
            try:
                far_reader, far_writer = await asyncio.open_connection("127.0.0.1", self.to)
            except OSError:
                return
            self.open.add(far_writer)
            try:
                if self.dropped:  # meanwhile
                    return
                await asyncio.gather(
                    self.pump(reader, far_writer, "forward"), self.pump(far_reader, writer, "backward")
                )
            finally:
                self.open.discard(far_writer)
                far_writer.transport.abort()
        finally:
            self.open.discard(writer)
            writer.close()

    async def pump(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, way: str) -> None:
        """Carry bytes one way: each piece is due a latency after it came, and none before the one ahead of it."""
        loop = asyncio.get_running_loop()
        under_way: asyncio.Queue[tuple[float, bytes]] = asyncio.Queue(1 << 12)

        async def take() -> None:
            last = 0.0
            while True:
                try:
                    piece = await reader.read(_MOST)
                except OSError:
                    piece = b""
                last = max(last, loop.time() + self.latency())
                await under_way.put((last, piece))
                if not piece:
                    return

        taking = loop.create_task(take())
        try:
            while True:
                due, piece = await under_way.get()
                await asyncio.sleep(due - loop.time())
                if not getattr(self, way):
                    async with self.news:
                        await self.news.wait_for(lambda: getattr(self, way))
                if self.dropped:
                    writer.transport.abort()
                    return
                if not piece:
                    with contextlib.suppress(OSError, RuntimeError):
                        writer.write_eof()
                    return
                self.carried[way] += len(piece)
                writer.write(piece)
                await writer.drain()
        except OSError:
            writer.transport.abort()
        finally:
            taking.cancel()


async def _serve(seed: int) -> None:
    from fnmatch import fnmatchcase

    links: dict[str, _Link] = {}
    ports: dict[str, int] = {}
    draw = random.Random(seed)  # noqa: S311  # a network's whims
    orders = asyncio.StreamReader()
    await asyncio.get_running_loop().connect_read_pipe(lambda: asyncio.StreamReaderProtocol(orders), sys.stdin)

    async def obey(order: dict[str, Any]) -> dict[str, int]:
        if "link" in order:
            link = _Link(order["to"], random.Random(draw.random()))  # noqa: S311
            await link.change(order["settings"])
            name = order["link"]
            ports[name] = await link.listen(order["listen"])
            links[name] = link
            return {"port": ports[name]}
        [pattern] = [order[verb] for verb in ("set", "heal", "drop", "carried") if verb in order]
        named = {name: link for name, link in links.items() if fnmatchcase(name, pattern)}
        if not named:
            raise LookupError(f"no link is named {pattern!r}, there are {', '.join(links) or 'none'}")
        for name, link in named.items():
            if "set" in order:
                await link.change(order["settings"])
            elif "heal" in order:
                await link.heal(ports[name])
            elif "drop" in order:
                link.drop()
        return {way: sum(link.carried[way] for link in named.values()) for way in ("forward", "backward")}

    while line := await orders.readline():
        order = json.loads(line)
        answer: dict[str, Any]
        try:
            answer = await obey(order)
        except OSError as error:
            answer = {"error": f"port {order.get('listen', 'of a link')}: {error.strerror}"}
        except LookupError as error:
            answer = {"error": str(error)}
        print(json.dumps(answer), flush=True)


if __name__ == "__main__":
    asyncio.run(_serve(int(sys.argv[1])))
