"""Hearing the heartbeats of many senders in a lab, and what detectors make of them."""

from __future__ import annotations

import itertools
import threading
from typing import Self

import numpy as np

from accrual.detectors import Detector
from accrual.replay import replay
from accrual.traces import wire
from accrual.traces.trace import Trace

__all__ = ["Hearing", "mistakes_between"]

_LOOK_UP = 0.05  # how long the listener does not look whether it shall end [s]


class Hearing:
    """Listens on 127.0.0.1 until the ``with`` block ends; senders are told apart by the epoch that they were given.

    Attributes
    ----------
    port : int
    """

    def __init__(self) -> None:
        self._receiver = wire.Receiver()
        self.port = self._receiver.port
        self._epochs = itertools.count(1)
        self._heard: dict[int, list[tuple[int, int]]] = {}
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._listen)

    def new_sender(self) -> int:
        """An epoch for one more."""
        epoch = next(self._epochs)
        self._heard[epoch] = []
        return epoch

    def _listen(self) -> None:
        while not self._over.is_set():
            datagram = self._receiver.receive(_LOOK_UP)
            heartbeat = datagram and wire.decode(datagram.data)
            if datagram and heartbeat and heartbeat.epoch in self._heard:
                self._heard[heartbeat.epoch].append((datagram.arrival, heartbeat.sequence))

    def __enter__(self) -> Self:
        """Begin to listen."""
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        """Give the port back."""
        self._over.set()
        self._thread.join()
        self._receiver.__exit__()

    def count(self, sender: int) -> int:
        """How many of its heartbeats came."""
        return len(self._heard[sender])

    def trace(self, sender: int) -> Trace:
        """What came from it so far."""
        heard = np.array(list(self._heard[sender]), np.int64).reshape(-1, 2)
        return Trace(heard[:, 0], sequence=heard[:, 1])


def mistakes_between(trace: Trace, detector: Detector, threshold: float, start: int, end: int) -> int:
    """How many suspicions of a peer that was alive began in [start, end) [ns]; what came before is the past."""
    starts = replay(trace, detector).mistakes(threshold).start
    return int(((start <= starts) & (starts < end)).sum())
