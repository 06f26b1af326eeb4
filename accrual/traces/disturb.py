"""What disturbs a recorded sender.

A disturbance is a small frozen object: its parameters, and `during`, which disturbs a running sender for as long as a
``with`` block lasts and then reports what it did. To add one, write the class, its program in `accrual.traces.helper`
if it needs one, and enter it in `DISTURBANCES`: the recorder, the command line and the metadata of the trace know it
from there.
"""

from __future__ import annotations

import math
import os
from abc import ABC, abstractmethod
from collections.abc import Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import asdict, dataclass, fields
from typing import Any, ClassVar, Final, NamedTuple

from accrual.traces import cgroups, helper
from accrual.traces.child import Child, Report, helping
from accrual.traces.namespaces import Link, Loopback


class Scene(NamedTuple):
    """What a disturbance works on: the sender's process id, a seed, and the network between sender and receiver."""

    sender: int
    seed: int
    network: Loopback


@dataclass(frozen=True, kw_only=True)
class Disturbance(ABC):
    """Something that happens to a sender while it is recorded."""

    name: ClassVar[str]
    """On the command line and in the metadata."""

    @abstractmethod
    def during(self, scene: Scene) -> AbstractContextManager[Report]:
        """Disturb the sender for a ``with`` block; its end fills the report.

        Raises
        ------
        UnavailableError
            This machine or this user lacks what that needs.
        """

    def sender_arguments(self, seed: int) -> tuple[object, ...]:
        """What the sender itself is told when it starts, see `accrual.traces.wire`; nothing but for `Collection`."""
        return ()

    def __str__(self) -> str:
        """Spell it as `parse` reads it, with every option."""
        options = ",".join(f"{key}={value}" for key, value in asdict(self).items())
        return f"{self.name}:{options}" if options else self.name


@dataclass(frozen=True, kw_only=True)
class Contention(Disturbance):
    """Processes that compute without end, so that the sender has to wait for its turn.

    Parameters
    ----------
    processes : int
        How many; by default three for each processor, under which a heartbeat every 10 ms suffers visibly.

    Raises
    ------
    ValueError
        If it is not from 1 to 1024.
    """

    name = "contention"

    processes: int = 3 * (os.cpu_count() or 1)

    def __post_init__(self) -> None:
        """Check the bounds."""
        if not 1 <= self.processes <= 1024:
            raise ValueError(f"contention: processes must be from 1 to 1024, is {self.processes}")

    @contextmanager
    def during(self, scene: Scene) -> Iterator[Report]:
        """Compute beside the sender; nothing is left to chance and there is nothing to report."""
        with ExitStack() as children:
            for _ in range(self.processes):
                children.enter_context(Child(helper.__file__, "compute"))
            yield {}


@dataclass(frozen=True, kw_only=True)
class Pause(Disturbance):
    """Stop the sender (SIGSTOP) at random times for random whiles, as a collector, a hypervisor or a full disk would.

    The time from the end of a pause to the start of the next is exponential, so that pauses come independently of one
    another; lengths are lognormal: most are short, a few are very long.

    Parameters
    ----------
    every : float
        Mean time from the end of a pause to the start of the next, s.
    median : float
        Median length, s.
    sigma : float
        Standard deviation of the natural logarithm of the length.

    Raises
    ------
    ValueError
        If `every` or `median` is not positive and finite, or `sigma` is not in [0, 4].

    Examples
    --------
    >>> str(Pause(every=2.5))
    'pause:every=2.5,median=0.135,sigma=0.8'
    """

    name = "pause"

    every: float = 5.0
    median: float = 0.135
    sigma: float = 0.8

    def __post_init__(self) -> None:
        """Check the bounds."""
        _check_duration(self, "every", "median")
        if not 0 <= self.sigma <= 4:
            raise ValueError(f"pause: sigma must be in [0, 4], is {self.sigma}")

    @contextmanager
    def during(self, scene: Scene) -> Iterator[Report]:
        """Pause the sender; the report has the ``pauses``, the time ``paused`` in all [s], and when (``pauses_at``)."""
        with helping("pause", scene.sender, self.every, self.median, self.sigma, scene.seed) as report:
            yield report


@dataclass(frozen=True, kw_only=True)
class Collection(Disturbance):
    """Let the sender itself collect garbage: a full collection of a large heap, during which nothing else in it runs.

    These are stalls as services with a stop-the-world collector know them, and real ones: Python's own. Three million
    objects take 0.14 s to go through; more take longer in proportion.

    Parameters
    ----------
    objects : int
        Objects that are alive, each of which every collection looks at. Each takes some 100 bytes.
    every : float
        Mean time from the end of a collection to the start of the next, s; exponential.

    Raises
    ------
    ValueError
        If `objects` is not from 1 to 100 million, or `every` not positive and finite.
    """

    name = "gc"

    objects: int = 3_000_000
    every: float = 5.0

    def __post_init__(self) -> None:
        """Check the bounds."""
        if not 1 <= self.objects <= 100_000_000:
            raise ValueError(f"gc: objects must be from 1 to 100,000,000, is {self.objects}")
        _check_duration(self, "every")

    def sender_arguments(self, seed: int) -> tuple[object, ...]:
        """Tell the sender its heap and its habits; its own report has the ``collections``."""
        return self.objects, self.every, seed

    @contextmanager
    def during(self, scene: Scene) -> Iterator[Report]:
        """Do nothing more: the sender collects by itself."""
        yield {}


@dataclass(frozen=True, kw_only=True)
class CpuQuota(Disturbance):
    """Put the sender into a control group with a limit of processor time, beside processes that use it up.

    So does a container with a CPU limit: once the group has had its share of a period, all of it stands still until the
    next, the thread that sends heartbeats too. Linux, root or a group that was delegated to this user.

    Parameters
    ----------
    share : float
        Processor time that the group may use, in processors.
    period : float
        Time over which that is counted, s; the kernel's own choice, and Kubernetes', is 0.1.
    processes : int
        Processes in the group that compute without end.

    Raises
    ------
    ValueError
        If `period` is not from 0.001 to 1 s, `share` is not below `processes` or less than a millisecond a period, or
        `processes` not from 1 to 1024.
    """

    name = "cpu-quota"

    share: float = 0.5
    period: float = 0.1
    processes: int = 1

    def __post_init__(self) -> None:
        """Check the bounds, which are the kernel's."""
        if not 0.001 <= self.period <= 1:
            raise ValueError(f"cpu-quota: period must be from 0.001 to 1 s, is {self.period} s")
        if not 1 <= self.processes <= 1024:
            raise ValueError(f"cpu-quota: processes must be from 1 to 1024, is {self.processes}")
        if not 0.001 / self.period <= self.share < self.processes:
            raise ValueError(
                f"cpu-quota: share must be at least 1 ms a period, here {0.001 / self.period:g}, and below processes, "
                f"here {self.processes}, is {self.share}"
            )

    @contextmanager
    def during(self, scene: Scene) -> Iterator[Report]:
        """Limit the sender; the report has the ``throttles`` and the time ``throttled`` in all [s]."""
        parent = cgroups.find()
        with ExitStack() as stack:
            busy = [stack.enter_context(Child(helper.__file__, "compute")) for _ in range(self.processes)]
            members = [scene.sender, *(one.pid for one in busy)]
            group = cgroups.new(parent)
            stack.callback(cgroups.sweep, parent.directory, only=group)  # if the helper could not
            # Before there is a group, so that there is none without a helper, whenever this process is killed.
            report = stack.enter_context(helping("quota", group, parent.directory))
            cgroups.limit(group, parent.version, self.share, self.period, members)
            yield report


@dataclass(frozen=True, kw_only=True)
class Path(Disturbance):
    """Let the heartbeats take a network path with delay, jitter, loss and partitions. Linux, root.

    Sender and receiver get a network namespace each, and a process between them carries the packets. That needs no
    netem, and is as punctual as the scheduler: within a fraction of a millisecond on an idle machine. A path never
    reorders. It is closed until its process runs: the first heartbeats may be lost.

    Parameters
    ----------
    delay : float
        Time under way at least, s.
    jitter : float
        Mean, and standard deviation, of the time in a queue on top, s: exponential.
    correlation : float
        Of the delays of one heartbeat and the next (of the normal numbers behind them), in [0, 1).
    loss : float
        Share of heartbeats lost, in [0, 0.5].
    burst : float
        Mean number of heartbeats lost one after the other (Gilbert's model), at least 1, which means never two.
    partition_every : float
        Mean time from the end of a partition to the start of the next, s, exponential; 0 for none.
    partition : float
        Mean length of a partition, in which all is lost, s, exponential.

    Raises
    ------
    ValueError
        If one is out of bounds.

    Examples
    --------
    >>> str(Path(delay=0.02, loss=0.05, burst=3))
    'path:delay=0.02,jitter=0.0,correlation=0.0,loss=0.05,burst=3,partition_every=0.0,partition=5.0'
    """

    name = "path"

    delay: float = 0.05
    jitter: float = 0.0
    correlation: float = 0.0
    loss: float = 0.0
    burst: float = 1.0
    partition_every: float = 0.0
    partition: float = 5.0

    def __post_init__(self) -> None:
        """Check the bounds."""
        for name in ("delay", "jitter", "partition_every"):
            if not 0 <= getattr(self, name) < math.inf:
                raise ValueError(f"path: {name} must be at least 0 and finite, is {getattr(self, name)} s")
        _check_duration(self, "partition")
        if not 0 <= self.correlation < 1:
            raise ValueError(f"path: correlation must be in [0, 1), is {self.correlation}")
        if not 0 <= self.loss <= 0.5:
            raise ValueError(f"path: loss must be in [0, 0.5], is {self.loss}")
        if not 1 <= self.burst < math.inf:
            raise ValueError(f"path: burst must be at least 1 and finite, is {self.burst}")

    @contextmanager
    def during(self, scene: Scene) -> Iterator[Report]:
        """Carry; the report has the packets ``forwarded`` and ``dropped``, and the ``partitions`` with their times."""
        assert isinstance(scene.network, Link)  # as the recorder saw to
        files = scene.network.sender, scene.network.receiver
        with helping("forward", *files, *asdict(self).values(), scene.seed, files=files) as report:
            yield report


def _check_duration(disturbance: Disturbance, *names: str) -> None:
    for name in names:
        if not 0 < getattr(disturbance, name) < math.inf:
            raise ValueError(
                f"{disturbance.name}: {name} must be positive and finite, is {getattr(disturbance, name)} s"
            )


DISTURBANCES: Final[dict[str, type[Disturbance]]] = {
    kind.name: kind for kind in (Contention, Pause, Collection, CpuQuota, Path)
}
"""Every disturbance by its name."""


def parse(text: str) -> Disturbance:
    """Read a disturbance as it is written on the command line, ``NAME`` or ``NAME:OPTION=VALUE,...``.

    Raises
    ------
    ValueError
        If the name, an option or a value is wrong; says what there is.

    Examples
    --------
    >>> parse("pause:every=2.5")
    Pause(every=2.5, median=0.135, sigma=0.8)
    """
    name, _, options = text.partition(":")
    if name not in DISTURBANCES:
        raise ValueError(f"no disturbance {name!r}; there are {', '.join(DISTURBANCES)}")
    # Every option is a number, and of the type of its default.
    kinds: dict[str, type[Any]] = {field.name: type(field.default) for field in fields(DISTURBANCES[name])}
    values = {}
    for option in options.split(",") if options else ():
        key, _, value = option.partition("=")
        if key not in kinds:
            raise ValueError(f"{name} has no option {key!r}; there are {', '.join(kinds)}")
        try:
            values[key] = kinds[key](value)
        except ValueError:
            raise ValueError(f"{name}: {key} must be of type {kinds[key].__name__}, is {value!r}") from None
    return DISTURBANCES[name](**values)
