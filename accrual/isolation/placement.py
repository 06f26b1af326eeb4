"""What a fault takes with it: services placed on domains that share a fate, and which boundary stops which fault.

Nothing here is written level by level. A *level* only says what each service has to itself (`place`); a *rule* says of
a fault at which boundary it ends, and why (`RULES`). A fault in one service reaches all that sits inside the same
boundary of that kind (`Placement.reach`). The table of the lecture follows (`compare_levels`).

Domains, from the inside out: a pool of workers, a process, a container, a network (the bridge that containers of one
kernel share), a virtual machine (a kernel; a host without any counts as one), a host, a cluster, a datacenter.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from accrual.isolation.result import Result, as_count, as_name, as_share
from accrual.isolation.shop import FAULTS, LEVELS, SCENARIOS, Fault
from accrual.tables import figure

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

__all__ = [
    "COSTS",
    "DOMAINS",
    "OUTAGES",
    "RULES",
    "Cost",
    "Instance",
    "LevelComparison",
    "LevelRow",
    "Placement",
    "Rule",
    "compare_levels",
    "place",
]

DOMAINS: Final = ("pool", "process", "container", "network", "vm", "host", "cluster", "datacenter")
"""Kinds of domains, from the inside out; whatever shares an outer one may still be apart in the inner ones."""

# What a level gives to each service as its own: from which domain on, outwards, things are shared.
_SHARED_FROM: Final = {
    "thread": "process",
    "process": "container",
    "container": "network",
    "vm": "host",
    "host": "cluster",
    "cluster": "datacenter",
    "datacenter": None,
}
_CAPPED: Final = frozenset(LEVELS) - {"thread", "process"}
"""Levels at which memory and CPU are capped, if nothing else is said: a container's caps, a machine's own size."""

OUTAGES: Final[dict[str, Fault]] = {
    name: Fault(name=name, title=title, about=about)
    for name, title, about in (
        ("bridge", "Bridge down", "The bridge that the containers of one kernel share passes nothing on."),
        ("kernel-panic", "Kernel panic", "The kernel stops, and with it all processes and containers on it."),
        ("plug", "Plug pulled", "A host has no power."),
        ("switch", "Switch down", "A cluster's network passes nothing on."),
        ("blackout", "Blackout", "A datacenter has no power."),
    )
}
"""What may go wrong below a service, by name: the fault is in the domain that the struck service sits in."""


@dataclass(frozen=True, kw_only=True)
class Rule:
    """What a fault does, and where it ends.

    Attributes
    ----------
    effect : str
        On what it reaches: ``errors`` (the struck service's requests fail at once), ``holds`` (they keep their workers
        for long), ``drags`` (they take longer), ``slows`` (all requests take longer), ``freezes`` (nothing goes on),
        ``lies`` (answers are wrong), ``ends`` (it is gone until it is started again), ``cuts`` (nobody gets there).
    stopped_by : str
        The kind of domain that it stays in; ``request`` if it stays in its own request.
    uncapped : str or None
        That where memory and CPU have no cap, if this makes a difference.
    once : bool
        It strikes at one instant, and what it ended can be started again at once; else it lasts.
    copies : bool
        It also takes the copies of the service in other domains.
    why : str
    """

    effect: str
    stopped_by: str
    uncapped: str | None = None
    once: bool = False
    copies: bool = False
    why: str


RULES: Final[dict[str, Rule]] = {
    "exception": Rule(
        effect="errors",
        stopped_by="request",
        why="It is caught where the request began; the thread serves the next one.",
    ),
    "hang": Rule(effect="holds", stopped_by="pool", why="Only workers of the same pool can be kept by hung calls."),
    "slow": Rule(effect="drags", stopped_by="pool", why="Only workers of the same pool are busy for longer."),
    "memory-hog": Rule(
        effect="ends",
        stopped_by="process",
        uncapped="vm",
        once=True,
        why="A cap ends what exceeds it (a cgroup), or makes an exception of it (an rlimit). Without one the machine "
        "runs out: the kernel may end the hog alone, or others first; this takes the worst case.",
    ),
    "cpu-hog": Rule(
        effect="slows", stopped_by="process", uncapped="vm", why="A quota is for a process; else all share the cores."
    ),
    "segfault": Rule(
        effect="ends", stopped_by="process", once=True, why="The kernel ends the process, threads and all."
    ),
    "hold-gil": Rule(effect="freezes", stopped_by="process", why="Each process has its own lock of the interpreter."),
    "kill": Rule(effect="ends", stopped_by="process", once=True, why="A signal is for a process."),
    "corrupt": Rule(effect="lies", stopped_by="process", why="Threads share variables, processes do not."),
    "poison": Rule(
        effect="ends",
        stopped_by="process",
        once=True,
        copies=True,
        why="The process that handles it ends; and then the next one, as the client tries again.",
    ),
    "bridge": Rule(effect="cuts", stopped_by="network", why="Containers of one kernel share a bridge by default."),
    "kernel-panic": Rule(effect="ends", stopped_by="vm", once=True, why="Each virtual machine has its own kernel."),
    "plug": Rule(effect="ends", stopped_by="host", why="Each host has its own plug."),
    "switch": Rule(effect="cuts", stopped_by="cluster", why="Each cluster has its own network."),
    "blackout": Rule(effect="ends", stopped_by="datacenter", why="Each datacenter has its own power."),
}
"""Where each fault and outage ends, by name."""


@dataclass(frozen=True, kw_only=True)
class Cost:
    """What a service's own domain costs; orders of magnitude, of which the labs give this machine's own.

    Attributes
    ----------
    start : float
        To start one [s]; also what a restart takes.
    memory : float
        Taken by one that does nothing [MB].
    round_trip : float
        A question and its answer between two of them [s].
    talk : str
        How they talk.
    source : str
        Where the figures are from.
    """

    start: float
    memory: float
    round_trip: float
    talk: str
    source: str


_LAB = "the project's machine (2 cores, Debian 12, Python 3.11)"
COSTS: Final[dict[str, Cost]] = {
    "thread": Cost(
        start=0.0001, memory=0.1, round_trip=0.00001, talk="shared variables", source="assumed; the labs measure it"
    ),
    "process": Cost(
        start=0.066,
        memory=10.0,
        round_trip=0.00005,
        talk="pipes, queues, shared memory, loopback",
        source=f"start by spawn: {_LAB}; else assumed, the labs measure it",
    ),
    "container": Cost(
        start=0.2,
        memory=12.0,
        round_trip=0.0001,
        talk="a bridge network",
        source=f"start by podman 4.3 with runc (runc alone 0.045, bubblewrap 0.009): {_LAB}; else assumed",
    ),
    "vm": Cost(
        start=1.8,
        memory=128.0,
        round_trip=0.0002,
        talk="a virtual network",
        source=f"start by qemu without KVM, 1.6 to 2.1: {_LAB}; else assumed",
    ),
    "host": Cost(
        start=120.0,
        memory=1024.0,
        round_trip=0.0005,
        talk="a network",
        source="assumed; 0.5 ms: Dean 2009, same datacenter",
    ),
    "cluster": Cost(start=300.0, memory=4096.0, round_trip=0.001, talk="a network, across switches", source="assumed"),
    "datacenter": Cost(
        start=600.0,
        memory=16384.0,
        round_trip=0.05,
        talk="long lines; Dean 2009: 150 ms from California to the Netherlands and back",
        source="assumed",
    ),
}
"""Of each level; parameters to replace by what you measure."""


@dataclass(frozen=True, kw_only=True)
class Instance:
    """A copy of a service, and the domains that it is in.

    Attributes
    ----------
    service : str
    copy : int
        From 0.
    domains : mapping of str to str
        Kind to name.
    """

    service: str
    copy: int
    domains: Mapping[str, str]


@dataclass(frozen=True, kw_only=True)
class Placement:
    """Where the copies of all services are.

    Attributes
    ----------
    instances : tuple of Instance
    capped : bool
        Whether processes, or what is around them, have caps on memory and CPU.
    """

    instances: tuple[Instance, ...]
    capped: bool

    @property
    def services(self) -> tuple[str, ...]:
        """Their names, each once."""
        return tuple(dict.fromkeys(instance.service for instance in self.instances))

    def stopped_by(self, fault: str) -> str:
        """The kind of domain that the fault stays in, here: one of `DOMAINS`, or ``request``."""
        rule = RULES[as_name("fault", fault, list(RULES))]
        return rule.stopped_by if self.capped or rule.uncapped is None else rule.uncapped

    def reach(self, fault: str, service: str, copy: int = 0) -> tuple[Instance, ...]:
        """Whatever a fault in that copy of the service takes with it: the copy, and all in the same domain.

        A bug that is in the code of all copies strikes each of them; this is about one.

        Examples
        --------
        >>> shop = place("process", ["order", "payment", "delivery"])
        >>> [instance.service for instance in shop.reach("segfault", "payment")]
        ['payment']
        >>> [instance.service for instance in shop.reach("kernel-panic", "payment")]
        ['order', 'payment', 'delivery']
        """
        kind = self.stopped_by(fault)
        as_name("service", service, self.services)
        struck = [
            instance
            for instance in self.instances
            if instance.service == service and (instance.copy == copy or RULES[fault].copies)
        ]
        if not struck:
            raise ValueError(f"copy must be one of the copies of {service}, got {copy!r}")
        if kind == "request":
            return tuple(struck)
        domains = {instance.domains[kind] for instance in struck}
        return tuple(instance for instance in self.instances if instance.domains[kind] in domains)

    def available(self, shares: Mapping[str, float]) -> dict[str, float]:
        """The share of the time that each service has a copy at work, and that all of them do (``all``).

        Parameters
        ----------
        shares : mapping
            Kind of domain to the share of the time that one works; kinds that are missing always do. Pools and networks
            do not count. Domains fail independently of each other, but whatever is inside one that failed is down.

        Examples
        --------
        Two copies on one host are worth little more than one; on two hosts they are:

        >>> for level in ("process", "host"):
        ...     twins = place(level, ["order"], copies=2)
        ...     print(level, round(twins.available({"process": 0.99, "host": 0.999})["order"], 6))
        process 0.9989
        host 0.999879
        """
        kinds = [kind for kind in reversed(DOMAINS) if kind not in ("pool", "network")]
        for kind, share in shares.items():
            as_name("shares", kind, kinds)
            as_share(f"share of {kind}", share)
        chances = _works(self.instances, kinds, shares)
        everything = frozenset(self.services)
        found = {service: sum(chance for up, chance in chances.items() if service in up) for service in self.services}
        return found | {"all": chances.get(everything, 0.0)}


def _works(
    inside: Sequence[Instance], kinds: Sequence[str], shares: Mapping[str, float]
) -> dict[frozenset[str], float]:
    """The chance of each set of services that work, out of instances that share all domains further out."""
    if not kinds:
        return {frozenset(instance.service for instance in inside): 1.0}
    kind, *finer = kinds
    found: dict[frozenset[str], float] = {frozenset(): 1.0}
    for domain in dict.fromkeys(instance.domains[kind] for instance in inside):
        up = shares.get(kind, 1.0)
        part = _works([instance for instance in inside if instance.domains[kind] == domain], finer, shares)
        part = {services: up * chance for services, chance in part.items()}
        part[frozenset()] = part.get(frozenset(), 0.0) + 1 - up
        both: dict[frozenset[str], float] = {}
        for one, chance in found.items():
            for other, also in part.items():
                both[one | other] = both.get(one | other, 0.0) + chance * also
        found = both
    return found


def place(
    level: str,
    services: Sequence[str],
    *,
    copies: int = 1,
    shared_pool: bool = False,
    own_network: bool = False,
    capped: bool | None = None,
) -> Placement:
    """Place services at a level of isolation: each has its own domain of that kind, and everything inside it.

    Parameters
    ----------
    level : str
        One of `LEVELS`.
    services : sequence of str
    copies : int
        Of each service. The copies are apart like different services are; threads have theirs in further processes,
        which hold one copy of each.
    shared_pool : bool
        At level ``thread``: one pool of workers for all, which is no isolation at all.
    own_network : bool
        At level ``container``: a network for each, instead of the default bridge.
    capped : bool, optional
        Whether memory and CPU are capped; by default from containers on.

    Raises
    ------
    ValueError
        With name, bound and value.

    Examples
    --------
    >>> shop = place("thread", ["order", "payment", "delivery"])
    >>> [(kind, len({i.domains[kind] for i in shop.instances})) for kind in ("pool", "process", "host")]
    [('pool', 3), ('process', 1), ('host', 1)]
    """
    as_name("level", level, list(LEVELS))
    copies = as_count("copies", copies)
    if not services:
        raise ValueError("services must have one at least, got none")
    if len(set(services)) < len(services):
        raise ValueError(f"services must have different names, got {', '.join(services)}")
    if shared_pool and level != "thread":
        raise ValueError(f"shared_pool must be False at level {level}: a pool of threads is inside one process")
    if own_network and level != "container":
        raise ValueError(f"own_network must be False at level {level}: it is for containers")
    outer = _SHARED_FROM[level]
    shared = DOMAINS[DOMAINS.index(outer) :] if outer is not None else ()
    instances = []
    for copy in range(copies):
        for service in services:
            own = f"{service}-{copy}"
            # Copies are apart, too; copies of threads are in further processes, whose machine is shared.
            domains = {kind: "all" if kind in shared else own for kind in DOMAINS}
            if level == "thread":
                domains["process"] = f"copy-{copy}"
                if shared_pool:
                    domains["pool"] = f"copy-{copy}"
            if own_network:
                domains["network"] = own
            instances.append(Instance(service=service, copy=copy, domains=domains))
    return Placement(instances=tuple(instances), capped=level in _CAPPED if capped is None else capped)


# ---- the table of the lecture ---------------------------------------------------------------------------------------


@dataclass(frozen=True, kw_only=True)
class LevelRow:
    """A level of isolation.

    Attributes
    ----------
    level : str
    taken : mapping of str to float
        Fault to the share of the services that it takes when it strikes one.
    cost : Cost
    """

    level: str
    taken: Mapping[str, float]
    cost: Cost


@dataclass(frozen=True, kw_only=True, repr=False)
class LevelComparison(Result):
    """The levels side by side: what each fault takes, and what the level costs.

    Attributes
    ----------
    services : tuple of str
    struck : str
        The service that the fault is in.
    rows : tuple of LevelRow
    """

    services: tuple[str, ...]
    struck: str
    rows: tuple[LevelRow, ...]

    def title(self) -> str:
        """What is compared."""
        return f"services taken by a fault in {self.struck}, of {len(self.services)}"

    def table(self) -> list[list[str]]:
        """A row for each fault and each cost, a column for each level, as texts under a head."""
        rows = [["", *(row.level for row in self.rows)]]
        number = len(self.services)
        for fault in self.rows[0].taken:
            rows.append([fault, *(str(round(row.taken[fault] * number)) for row in self.rows)])
        rows.append(["start [s]", *(figure(row.cost.start) for row in self.rows)])
        rows.append(["memory [MB]", *(f"{row.cost.memory:,g}" for row in self.rows)])
        rows.append(["round trip [ms]", *(figure(1000 * row.cost.round_trip) for row in self.rows)])
        return rows

    def records(self) -> list[dict[str, Any]]:
        """A row for each level."""
        return [
            {"level": row.level}
            | dict(row.taken)
            | {"start": row.cost.start, "memory": row.cost.memory, "round_trip": row.cost.round_trip}
            for row in self.rows
        ]


def compare_levels(scenario: str = "shop", service: str = "payment", *, outages: bool = True) -> LevelComparison:
    """Hold the levels of isolation side by side, by the rules.

    Parameters
    ----------
    scenario : str
        ``shop`` or ``tickets``.
    service : str
        The one that the fault is in.
    outages : bool
        Show them, too.

    Examples
    --------
    >>> compare_levels(outages=False)
    services taken by a fault in payment, of 3
                     thread  process  container   vm   host  cluster  datacenter
    exception             1        1          1    1      1        1           1
    hang                  1        1          1    1      1        1           1
    slow                  1        1          1    1      1        1           1
    memory-hog            3        3          1    1      1        1           1
    cpu-hog               3        3          1    1      1        1           1
    segfault              3        1          1    1      1        1           1
    hold-gil              3        1          1    1      1        1           1
    kill                  3        1          1    1      1        1           1
    corrupt               3        1          1    1      1        1           1
    poison                3        1          1    1      1        1           1
    start [s]        0.0001    0.066        0.2  1.8    120      300         600
    memory [MB]         0.1       10         12  128  1,024    4,096      16,384
    round trip [ms]    0.01     0.05        0.1  0.2    0.5        1          50
    """
    services = list(SCENARIOS[as_name("scenario", scenario, list(SCENARIOS))])
    as_name("service", service, services)
    rows = []
    for level in LEVELS:
        placed = place(level, services)
        taken = {
            fault: len({instance.service for instance in placed.reach(fault, service)}) / len(services)
            for fault in (*FAULTS, *(OUTAGES if outages else ()))
        }
        rows.append(LevelRow(level=level, taken=taken, cost=COSTS[level]))
    return LevelComparison(services=tuple(services), struck=service, rows=tuple(rows))
