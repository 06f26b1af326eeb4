"""Customers to come, and what serves them: what all trials of a comparison have in common."""

from __future__ import annotations

import random
from dataclasses import dataclass

from accrual.isolation.shop import SCENARIOS, Service

__all__ = ["Load"]


@dataclass(frozen=True, kw_only=True)
class Load:
    """Customers, and what serves them.

    Attributes
    ----------
    scenario : str
        ``shop`` or ``tickets``.
    struck : str
        The service that goes wrong.
    rate : float
        Requests to all services together [1/s].
    before, seconds : float
        How long they come until the fault, and from then on [s].
    deadline : float
        A customer waits that long [s].
    workers : int
        Threads in all, divided among the services where each has its own pool.
    headroom : int
        Memory that a process may take beyond what it has when it is up [MiB]; 0 for no cap of its own.
    seed : int
        Of the times at which customers come.

    Raises
    ------
    ValueError
        With name, bound and value.
    """

    scenario: str = "shop"
    struck: str = "payment"
    rate: float = 120.0
    before: float = 0.5
    seconds: float = 1.5
    deadline: float = 0.5
    workers: int = 12
    headroom: int = 64
    seed: int = 1

    def __post_init__(self) -> None:
        if self.scenario not in SCENARIOS:
            raise ValueError(f"scenario must be one of {', '.join(SCENARIOS)}, got {self.scenario!r}")
        if self.struck not in self.services:
            raise ValueError(f"struck must be one of {', '.join(self.services)}, got {self.struck!r}")
        for name, least, most in (("rate", 1, 2000), ("before", 0.1, 60), ("seconds", 0.1, 60), ("deadline", 0.01, 60)):
            if not least <= getattr(self, name) <= most:
                raise ValueError(f"{name} must be from {least:g} to {most:g}, got {getattr(self, name)!r}")
        if not len(self.services) <= self.workers <= 256:
            raise ValueError(f"workers must be from {len(self.services)}, one a service, to 256, got {self.workers!r}")
        if not (self.headroom == 0 or 16 <= self.headroom <= 1024):
            raise ValueError(f"headroom must be 0 or from 16 to 1024, got {self.headroom!r}")

    @property
    def services(self) -> dict[str, Service]:
        """The scenario's."""
        return SCENARIOS[self.scenario]

    @property
    def total(self) -> float:
        """How long customers come in all [s]."""
        return self.before + self.seconds

    def arrivals(self) -> list[tuple[float, str]]:
        """When each customer comes and what for: a Poisson stream, drawn from the seed."""
        source = random.Random(self.seed)  # noqa: S311  # no secret
        names, shares = list(self.services), [one.share for one in self.services.values()]
        at = 0.0
        found: list[tuple[float, str]] = []
        while True:
            at += source.expovariate(self.rate)
            if at >= self.total:
                return found
            found.append((at, source.choices(names, shares)[0]))
