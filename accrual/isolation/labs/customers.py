"""Customers of the shop: an open loop of requests, and what became of each.

They come at their times, whatever became of those before them. A request that gets no answer within the deadline is
late, one whose connection breaks or that gets an error has failed, one that gets a wrong price is wrong.
"""

from __future__ import annotations

import json
import math
import selectors
import socket
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from accrual.isolation.labs import service as program
from accrual.isolation.labs.load import Load
from accrual.lab import LabError

__all__ = ["Counts", "Customers", "Request", "count"]

_AGAIN: Final = 0.01  # between two attempts to connect [s]


@dataclass(frozen=True, kw_only=True)
class Counts:
    """What became of the requests for one service in a time.

    Attributes
    ----------
    requests, ok, failed, late, wrong : int
        All; answered in time; broken off or answered with an error; not answered in time; answered with nonsense.
    p50, p99 : float or None
        Half, and 99 of 100, got a good answer within that time [s]; None if fewer got any.
    """

    requests: int
    ok: int
    failed: int
    late: int
    wrong: int
    p50: float | None
    p99: float | None

    @property
    def bad(self) -> float:
        """The share that did not get what it came for; 0 of none."""
        return 1 - self.ok / self.requests if self.requests else 0.0


@dataclass
class Request:
    """A customer: when it came and for what, and what became of it."""

    at: float  # when it came, on the monotonic clock
    service: str
    outcome: str = ""
    took: float = math.inf
    after: bool = False  # the fault came before its outcome


def count(requests: Sequence[Request]) -> Counts:
    """Count what became of them."""

    took = sorted(one.took if one.outcome == "ok" else math.inf for one in requests)

    def within(share: float) -> float | None:
        found = took[min(len(took) - 1, math.ceil(share * len(took)) - 1)] if took else math.inf
        return round(found, 6) if found < math.inf else None

    outcomes = [one.outcome for one in requests]
    return Counts(
        requests=len(outcomes),
        p50=within(0.5),
        p99=within(0.99),
        **{outcome: outcomes.count(outcome) for outcome in ("ok", "failed", "late", "wrong")},
    )


class _Line:
    """The connection to one service; tries again whenever it breaks."""

    def __init__(self, address: str, watcher: selectors.BaseSelector) -> None:
        self._kind, self._where = program.family(address)
        self._watcher = watcher
        self._socket: socket.socket | None = None
        self._read, self._unsent = b"", b""
        self._number = 0
        self.up = False
        self.pending: dict[int, Request | None] = {}
        self.answers: dict[int, dict[str, Any]] = {}
        self.next_attempt = 0.0

    def connect(self, now: float) -> None:
        """Try to; it shows later whether that worked."""
        self.next_attempt = now + _AGAIN
        self._socket = socket.socket(self._kind, socket.SOCK_STREAM)
        self._socket.setblocking(False)
        try:
            self._socket.connect(self._where)
        except BlockingIOError:
            pass
        except OSError:
            self._socket.close()
            self._socket = None
            return
        self._watcher.register(self._socket, selectors.EVENT_READ | selectors.EVENT_WRITE, self)

    @property
    def trying(self) -> bool:
        """Whether it is connected or about to be."""
        return self._socket is not None

    def send(self, request: Request | None, **what: Any) -> int:
        """Send it; the number by which its answer will be known."""
        self._number += 1
        self.pending[self._number] = request
        self._unsent += json.dumps({"id": self._number, **what}).encode() + b"\n"
        self._flush()
        return self._number

    def _flush(self) -> None:
        if self._socket is None or not self.up:
            return
        try:
            self._unsent = self._unsent[self._socket.send(self._unsent) :]
        except BlockingIOError:
            pass
        except OSError:
            self.close()
            return
        wanted = selectors.EVENT_READ | (selectors.EVENT_WRITE if self._unsent else 0)
        self._watcher.modify(self._socket, wanted, self)

    def turn(self, events: int, now: float) -> None:
        """Do what the connection is ready for."""
        assert self._socket is not None
        if not self.up:
            if self._socket.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR):
                self.close()
                return
            if events & selectors.EVENT_WRITE:
                self.up = True
        if events & selectors.EVENT_READ:
            try:
                got = self._socket.recv(65536)
            except BlockingIOError:
                return
            except OSError:
                got = b""
            if not got:
                self.close()
                return
            *lines, self._read = (self._read + got).split(b"\n")
            for line in lines:
                self._settle(json.loads(line), now)
        if self.up:
            self._flush()

    def _settle(self, answer: dict[str, Any], now: float) -> None:
        number = answer["id"]
        request = self.pending.pop(number, None)
        if request is None:
            self.answers[number] = answer
        elif not request.outcome:
            request.took = now - request.at
            if "error" in answer:
                request.outcome = "failed"
            else:
                request.outcome = "ok" if answer.get("price") == program.PRICE else "wrong"

    def close(self) -> None:
        """Whatever was asked will not be answered."""
        if self._socket is not None:
            self._watcher.unregister(self._socket)
            self._socket.close()
        self._socket, self.up, self._read, self._unsent = None, False, b"", b""
        for request in self.pending.values():
            if request is not None and not request.outcome:
                request.outcome = "failed"
        self.pending.clear()


class Customers:
    """Connections to all services, in one thread.

    Parameters
    ----------
    addresses : mapping
        Service to address.
    """

    def __init__(self, addresses: Mapping[str, str]) -> None:
        self._watcher = selectors.DefaultSelector()
        self._lines = {service: _Line(address, self._watcher) for service, address in addresses.items()}

    def __enter__(self) -> Customers:
        return self

    def __exit__(self, *_: object) -> None:
        for line in self._lines.values():
            line.close()
        self._watcher.close()

    def _turn(self, until: float) -> None:
        """Take what comes up to an instant, and connect again what broke."""
        while True:
            now = time.monotonic()
            for line in self._lines.values():
                if not line.trying and now >= line.next_attempt:
                    line.connect(now)
            for key, events in self._watcher.select(max(0.0, min(until - now, _AGAIN))):
                key.data.turn(events, time.monotonic())
            if time.monotonic() >= until:
                return

    def ask(
        self, service: str, patience: float, gone: Callable[[], bool] = lambda: False, **what: Any
    ) -> dict[str, Any]:
        """Ask one service something and wait for its answer; not after it is `gone`.

        Raises
        ------
        LabError
            It could not be reached, broke off, or did not answer within `patience` [s].
        """
        line, end, number = self._lines[service], time.monotonic() + patience, 0
        while time.monotonic() < end and not gone():
            self._turn(time.monotonic() + 0.001)
            if line.up and not number:
                number = line.send(None, **what)
            elif number in line.answers:
                return line.answers.pop(number)
            elif number and number not in line.pending:
                raise LabError(f"{service} broke off when asked to {what['do']}")
        raise LabError(f"{service} did not answer within {patience:g} s when asked to {what['do']}")

    def shop(
        self, load: Load, strike: Callable[[Callable[..., None]], object], look: Callable[[], object]
    ) -> list[Request]:
        """Send customers; at the time of the fault `strike` is called, with what sends a request to the struck service.

        Every hundredth of a second `look` is called.
        """
        begin = time.monotonic()
        requests = [Request(begin + at, service) for at, service in load.arrivals()]
        fault, struck = begin + load.before, False
        looked = 0.0

        def send(**what: Any) -> None:
            found = Request(time.monotonic(), load.struck, after=True)
            requests.append(found)
            self._send(found, **what)

        for request in list(requests):
            while True:
                now = time.monotonic()
                if not struck and now >= fault:
                    struck = True
                    for one in requests:
                        one.after = not one.outcome
                    strike(send)
                if now - looked >= _AGAIN:
                    looked = now
                    look()
                if now >= request.at:
                    break
                self._turn(min(request.at, max(now, fault) if not struck else math.inf, now + _AGAIN))
            self._send(request, do="work")
            self._give_up(requests, load.deadline)
        while any(not request.outcome for request in requests):
            self._turn(time.monotonic() + _AGAIN)
            look()
            self._give_up(requests, load.deadline)
        return requests

    def _send(self, request: Request, **what: Any) -> None:
        line = self._lines[request.service]
        if line.up:
            line.send(request, **what)
        else:
            request.outcome = "failed"

    def _give_up(self, requests: Sequence[Request], deadline: float) -> None:
        now = time.monotonic()
        for request in requests:
            if not request.outcome and now - request.at > deadline:
                request.outcome = "late"

    def up(self, service: str) -> bool:
        """Whether there is a connection to it now."""
        return self._lines[service].up

    def send(self, service: str, **what: Any) -> None:
        """Ask one service something and want no answer."""
        self._lines[service].send(None, **what)
