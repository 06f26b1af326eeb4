"""A client that writes and keeps account: what was acknowledged, refused, or left unknown, and what of it survived."""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from typing import Final, Literal, Protocol

import numpy as np

from accrual.recovery.history import Operation, check

__all__ = ["Account", "RefusedError", "Session", "Write", "Writer", "account", "gap", "latencies", "operations"]

_AGAIN: Final = 0.01  # after a failure, the next try [s]


class RefusedError(RuntimeError):
    """The server answered that it did not write: failed for sure."""


class Session(Protocol):
    """A connection that can write; other errors than `RefusedError` leave unknown whether it did."""

    def write(self, key: str) -> None:
        """Write the key and return once that is acknowledged."""

    def close(self) -> None:
        """Close it."""


Outcome = Literal["acknowledged", "failed", "unknown"]


@dataclass(frozen=True)
class Write:
    """One try to write.

    Attributes
    ----------
    key : str
        Nobody else's.
    node : str
        To whom.
    began, ended : float
        On the clock of ``time.monotonic()`` [s].
    outcome : {"acknowledged", "failed", "unknown"}
        Failed: refused, or there was no connection to write on. Unknown: it broke or there was no answer in time; the
        write may have happened, or happen yet.
    """

    key: str
    node: str
    began: float
    ended: float
    outcome: Outcome


class Writer:
    """Writes one key after the other from a thread of its own, at a steady rate or as fast as it is answered.

    Parameters
    ----------
    connect : callable
        ``connect(node)`` gives a `Session`.
    node : str
        To whom at first.
    name : str
        Begins its keys: ``name:0``, ``name:1``, ...
    rate : float, optional
        Writes per second; what is late is not made up for. None: one upon the other.
    """

    def __init__(
        self, connect: Callable[[str], Session], node: str, name: str = "w", rate: float | None = None
    ) -> None:
        self._connect, self._node, self._name = connect, node, name
        self._pause = 0.0 if rate is None else 1 / rate
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name=f"writer {name}", daemon=True)
        self._error: BaseException | None = None
        self.writes: list[Write] = []
        """All so far, in order; only ever appended to."""

    def start(self) -> Writer:
        """Begin; gives itself."""
        self._thread.start()
        return self

    def redirect(self, node: str) -> None:
        """Write to another node from the next write on."""
        self._node = node

    def stop(self, patience: float = 10.0) -> list[Write]:
        """End after the write that is under way; gives all writes.

        Raises
        ------
        TimeoutError
            That write took longer than `patience` [s].
        """
        self._stop.set()
        self._thread.join(patience)
        if self._error is not None:
            raise self._error
        if self._thread.is_alive():
            raise TimeoutError(f"the writer {self._name} did not end within {patience:g} s")
        return self.writes

    def acknowledged(self, node: str | None = None, since: float = 0.0, until: float = math.inf) -> int:
        """How many writes were so far: by that node, and answered from `since` until `until`."""
        found = [write for write in tuple(self.writes) if write.outcome == "acknowledged"]
        return sum(node in (None, write.node) and since <= write.ended <= until for write in found)

    def _run(self) -> None:
        session: Session | None = None
        connected = ""
        number = 0
        due = time.monotonic()
        try:
            while not self._stop.is_set():
                node = self._node
                key = f"{self._name}:{number}"
                number += 1
                began = time.monotonic()
                outcome: Outcome = "acknowledged"
                try:
                    if session is None or connected != node:
                        outcome = "failed"  # it was not sent
                        if session is not None:
                            session.close()
                            session = None
                        session, connected = self._connect(node), node
                        outcome, began = "acknowledged", time.monotonic()
                    session.write(key)
                except RefusedError:
                    outcome = "failed"
                except OSError:
                    if session is not None:
                        outcome = "unknown"
                        session.close()
                        session = None
                self.writes.append(Write(key, node, began, time.monotonic(), outcome))
                due = max(due + self._pause, time.monotonic() if outcome == "acknowledged" else began + _AGAIN)
                self._stop.wait(max(0.0, due - time.monotonic()))
        except BaseException as error:  # told by stop()
            self._error = error
        finally:
            if session is not None:
                session.close()


@dataclass(frozen=True)
class Account:
    """What became of writes.

    Attributes
    ----------
    acknowledged, failed, unknown : int
        What the client knows.
    lost : int
        Acknowledged, and not there in the end.
    appeared : int
        Unknown to the client, and there in the end; or, worse, failed.
    """

    acknowledged: int
    failed: int
    unknown: int
    lost: int
    appeared: int


def account(writes: Sequence[Write], found: Collection[str]) -> Account:
    """Compare what a client was told with the keys that are found in the end.

    Examples
    --------
    >>> told = ["acknowledged", "acknowledged", "unknown", "failed"]
    >>> account([Write(f"w:{k}", "a", k, k + 0.1, how) for k, how in enumerate(told)], {"w:1", "w:2"})
    Account(acknowledged=2, failed=1, unknown=1, lost=1, appeared=1)
    """
    kept = set(found)
    survivors = {number for number, write in enumerate(writes) if write.key in kept}
    outcomes = [write.outcome for write in writes]
    return Account(
        acknowledged=outcomes.count("acknowledged"),
        failed=outcomes.count("failed"),
        unknown=outcomes.count("unknown"),
        lost=len(check(operations(writes), survivors).lost),
        appeared=sum(outcomes[number] != "acknowledged" for number in survivors),
    )


def operations(writes: Sequence[Write]) -> list[Operation]:
    """Give the same as the history of a client, numbered from 0, for `accrual.recovery.check`."""
    return [
        Operation(
            number=number,
            client=0,
            kind="write",
            key=number,
            start=write.began,
            end=write.ended if write.outcome == "acknowledged" else math.nan,
            status="ok" if write.outcome == "acknowledged" else write.outcome,
        )
        for number, write in enumerate(writes)
    ]


def gap(writes: Sequence[Write], fault: float) -> tuple[float, float] | None:
    """Find how long a client went without an acknowledgement round a fault: from its last before to its first after.

    Only a write that *began* after the fault counts as the first after. None: there is no such on one of the sides.

    Examples
    --------
    >>> told = [Write("w:0", "a", 0, 0.1, "acknowledged"), Write("w:1", "a", 1, 2, "unknown"),
    ...         Write("w:2", "b", 3, 3.5, "acknowledged")]
    >>> gap(told, fault=0.5)
    (0.1, 3.5)
    """
    told = [write for write in writes if write.outcome == "acknowledged"]
    before = [write.ended for write in told if write.began <= fault]
    after = [write.ended for write in told if write.began > fault]
    return (max(before), min(after)) if before and after else None


def latencies(writes: Sequence[Write], *levels: float) -> list[float] | None:
    """Give quantiles of how long acknowledged writes took [s]; None where there are none."""
    took = [write.ended - write.began for write in writes if write.outcome == "acknowledged"]
    return [float(value) for value in np.quantile(took, levels)] if took else None
