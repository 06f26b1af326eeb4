"""The little shop that every lesson on isolation breaks: services, faults, and levels of isolation, as data.

The model (`accrual.isolation.model`) and the labs with real threads, processes and containers run the same list, so
that what one says can be held against the other. A fault always strikes one service, ``payment`` unless told.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

__all__ = ["FAULTS", "LEVELS", "SCENARIOS", "SHOP", "TICKETS", "Fault", "Level", "Service"]


@dataclass(frozen=True, kw_only=True)
class Service:
    """A kind of request, and what serves it.

    Attributes
    ----------
    name, title, about : str
    share : float
        Of all requests, those that are for this service.
    work : float
        Mean time that a request keeps a worker busy [s].
    """

    name: str
    title: str
    about: str
    share: float
    work: float


@dataclass(frozen=True, kw_only=True)
class Fault:
    """What goes wrong in one service.

    Attributes
    ----------
    name, title, about : str
    """

    name: str
    title: str
    about: str


@dataclass(frozen=True, kw_only=True)
class Level:
    """What the services have to themselves.

    Attributes
    ----------
    name, title, about : str
    """

    name: str
    title: str
    about: str


def _services(*rows: tuple[str, str, str, float, float]) -> dict[str, Service]:
    return {
        name: Service(name=name, title=title, about=about, share=share, work=work)
        for name, title, about, share, work in rows
    }


# 10 ms of work: 40 requests a second keep 0.4 of a worker busy, so that only a fault can make a queue.
SHOP: Final[dict[str, Service]] = _services(
    ("order", "Order", "Puts what a customer wants into an order.", 1 / 3, 0.010),
    ("payment", "Payment", "Takes the money for an order that stands.", 1 / 3, 0.010),
    ("delivery", "Delivery", "Sends what is paid for, and says where it is.", 1 / 3, 0.010),
)
"""The shop of the lecture: by name, in the order of a sale."""

TICKETS: Final[dict[str, Service]] = _services(
    ("search", "Search", "Tells which trains run and which seats are free.", 0.80, 0.005),
    ("booking", "Booking", "Keeps a seat for a customer.", 0.15, 0.020),
    ("payment", "Payment", "Takes the money for a seat that is kept.", 0.05, 0.020),
)
"""The lecture's other example, a ticket sale: most requests only look."""

SCENARIOS: Final[dict[str, dict[str, Service]]] = {"shop": SHOP, "tickets": TICKETS}


FAULTS: Final[dict[str, Fault]] = {
    name: Fault(name=name, title=title, about=about)
    for name, title, about in (
        ("exception", "Exception", "The code raises an error that is caught where the request began."),
        ("hang", "Hang", "A call never answers: the thread that made it waits on."),
        ("slow", "Slow answers", "Each request takes many times as long as it should."),
        ("memory-hog", "Memory hog", "It takes memory without end."),
        ("cpu-hog", "CPU hog", "It computes without end on every core that it gets."),
        ("segfault", "Segmentation fault", "It touches memory that is not its own; the kernel ends the process."),
        ("hold-gil", "C code that holds the GIL", "A C function computes on and lets no other Python thread run."),
        ("kill", "Kill", "Somebody ends the process: kill -9, or the kernel for want of memory."),
        ("corrupt", "Corrupt data", "It writes nonsense into a variable that others read, too."),
        ("poison", "Poison request", "A request ends whatever process handles it, and the client tries again."),
    )
}
"""What may go wrong in a service, by name."""

LEVELS: Final[dict[str, Level]] = {
    name: Level(name=name, title=title, about=about)
    for name, title, about in (
        ("thread", "Threads", "A pool of threads for each service, in one process."),
        ("process", "Processes", "A process for each service, under one kernel."),
        ("container", "Containers", "A process with its own view of the system, and caps on what it may use."),
        ("vm", "Virtual machines", "A kernel and fixed resources for each service, on one host."),
        ("host", "Hosts", "A machine for each service, in one cluster."),
        ("cluster", "Clusters", "A cluster, with its own network and control, for each; in one datacenter."),
        ("datacenter", "Datacenters", "A building, with its own power, for each."),
    )
}
"""From the finest level of isolation to the coarsest, by name."""
