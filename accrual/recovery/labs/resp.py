"""A client of Valkey and Redis, of the few lines that the labs need: one command, one answer, and what is unknown.

The usual clients retry and reconnect by themselves; a lab that counts what was acknowledged must see each failure.
"""

from __future__ import annotations

import socket
from typing import Any, Self

__all__ = ["Client", "ReplyError"]


class ReplyError(RuntimeError):
    """The server answered, with an error: what was asked for was not done."""


class Client:
    """A connection to a server.

    Parameters
    ----------
    port : int
    patience : float
        For the connection, and for each answer [s].
    host : str

    Raises
    ------
    OSError
        No connection, or it broke, or there was no answer in time: whether a command was carried out is unknown then.

    Examples
    --------
    .. code-block:: python

        with Client(6379) as client:
            client("SET", "k", 1)  # 'OK'
    """

    def __init__(self, port: int, patience: float = 1.0, host: str = "127.0.0.1") -> None:
        self._socket = socket.create_connection((host, port), timeout=patience)
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._file = self._socket.makefile("rb")

    def __call__(self, *words: object) -> Any:
        """Send a command and wait for its answer: str, int, None or a list of these; raises ReplyError for an error."""
        return self.all([words])[0]

    def all(self, commands: list[tuple[object, ...]]) -> list[Any]:
        """Send several commands at once and wait for all answers."""
        self._socket.sendall(b"".join(encoded(*words) for words in commands))
        answers = [self._answer() for _ in commands]
        for answer in answers:
            if isinstance(answer, ReplyError):
                raise answer
        return answers

    def _answer(self) -> Any:
        line = self._file.readline()
        if not line.endswith(b"\r\n"):
            raise ConnectionResetError("the server closed the connection")
        kind, text = line[:1], line[1:-2].decode()
        if kind == b"+":
            return text
        if kind == b"-":
            return ReplyError(text)
        if kind == b":":
            return int(text)
        if int(text) < 0:
            return None
        if kind == b"$":
            return self._file.read(int(text) + 2)[:-2].decode("utf-8", "replace")
        return [self._answer() for _ in range(int(text))]

    def info(self, section: str) -> dict[str, str]:
        """A section of INFO as a dictionary."""
        lines = self("INFO", section).splitlines()
        return dict(line.split(":", 1) for line in lines if ":" in line)

    def close(self) -> None:
        """Close the connection."""
        self._file.close()
        self._socket.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def encoded(*words: object) -> bytes:
    """Encode a command as the protocol has it.

    Examples
    --------
    >>> encoded("WAIT", 1)
    b'*2\\r\\n$4\\r\\nWAIT\\r\\n$1\\r\\n1\\r\\n'
    """
    parts = [str(word).encode() for word in words]
    return b"".join([b"*%d\r\n" % len(parts), *(b"$%d\r\n%b\r\n" % (len(part), part) for part in parts)])
