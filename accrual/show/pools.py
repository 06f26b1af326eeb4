"""Strategies of isolation, pools, processes and what they cost: the widgets of lesson 6.

Numbers, picture and widget are kept apart as in `accrual.show.phi`. Only `Pools` asks the kernel while a slider moves.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from traitlets import Bool, Dict, Float, Int, List, TraitError, Unicode, observe, validate

from accrual.isolation import FAULTS, LEVELS, OUTAGES, RULES, SCENARIOS, SHOP, compare_levels, place, simulate
from accrual.isolation.labs.compare import STAND_INS
from accrual.isolation.placement import DOMAINS, Instance, Placement
from accrual.lab import LabResult, recorded
from accrual.show.widget import Widget, source

if TYPE_CHECKING:
    from collections.abc import Mapping

    from accrual.isolation import Run

__all__ = [
    "DESIGNS",
    "LAYOUTS",
    "Blast",
    "Design",
    "Ladder",
    "Layout",
    "Pools",
    "Rush",
    "Strategies",
    "TwoAxes",
    "pools",
    "rush",
    "taken",
]

# ---- numbers --------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, kw_only=True)
class Design:
    """A way to keep things apart, and where it belongs on the lecture's two axes.

    Attributes
    ----------
    text : str
        What was built.
    axis : str
        What is divided: ``"function"``, the work; or ``"resource"``, what it works with.
    level : str
        One of `accrual.isolation.LEVELS`: the boundary between the parts.
    why : str
    """

    text: str
    axis: str
    level: str
    why: str


DESIGNS: Final = (
    Design(
        text="In the shop's one program: 4 threads take orders, 4 payments, 4 deliveries",
        axis="function",
        level="thread",
        why="Each kind of work has its own pool; memory, process and machine are shared.",
    ),
    Design(
        text="Order, payment and delivery are three programs on one server",
        axis="function",
        level="process",
        why="Each kind of work has a process. Nothing keeps one of them from taking all the memory of the server.",
    ),
    Design(
        text="Each service gets 1 core and 512 MB, enforced by the kernel that all of them share",
        axis="resource",
        level="container",
        why="Cores and memory are divided, and cgroups enforce it. The kernel is shared.",
    ),
    Design(
        text="One big server, cut into four with 8 GB and a kernel each, rented to four firms",
        axis="resource",
        level="vm",
        why="The hardware is divided, each part with a kernel of its own; the plug is shared.",
    ),
    Design(
        text="The database has a machine to itself, since it uses up every disk that it is given",
        axis="resource",
        level="host",
        why="It shares a machine with nobody. The network switch it does share.",
    ),
    Design(
        text="Everything stands twice, in two cities",
        axis="resource",
        level="datacenter",
        why="Buildings and power are divided; each city can do all kinds of work.",
    ),
)
"""What the map of strategies asks to be placed."""


@dataclass(frozen=True, kw_only=True)
class Layout:
    """Where the services of the shop run.

    Attributes
    ----------
    name, title : str
    machines : tuple
        Of each machine its processes, of each process its services.
    recording : str
        The level of the lab that did it for real; empty where none did.
    """

    name: str
    title: str
    machines: tuple[tuple[tuple[str, ...], ...], ...]
    recording: str = ""

    @property
    def placement(self) -> Placement:
        """The same as the model has it."""
        instances = []
        for machine, processes in enumerate(self.machines, 1):
            for process, services in enumerate(processes, 1):
                for service in services:
                    domains = dict.fromkeys(DOMAINS, "all")
                    domains |= dict.fromkeys(("network", "vm", "host"), f"machine-{machine}")
                    domains |= dict.fromkeys(("process", "container"), f"process-{machine}-{process}")
                    instances.append(Instance(service=service, copy=0, domains=domains | {"pool": service}))
        return Placement(instances=tuple(instances), capped=False)


LAYOUTS: Final = {
    layout.name: layout
    for layout in (
        Layout(
            name="threads",
            title="one process, three pools of threads",
            machines=((("order", "payment", "delivery"),),),
            recording="thread",
        ),
        Layout(
            name="processes",
            title="three processes on one machine",
            machines=((("order",), ("payment",), ("delivery",)),),
            recording="process",
        ),
        Layout(
            name="two machines",
            title="three processes on two machines",
            machines=((("order",), ("payment",)), (("delivery",),)),
        ),
        Layout(
            name="three machines",
            title="a machine for each",
            machines=((("order",),), (("payment",),), (("delivery",),)),
        ),
    )
}
"""What the picture of processes chooses among."""


def taken(layout: Layout, fault: str, struck: str) -> list[str]:
    """Which services a fault in one of them takes along, by the rules of `accrual.isolation`; the struck one, too.

    Examples
    --------
    >>> taken(LAYOUTS["threads"], "segfault", "payment")
    ['order', 'payment', 'delivery']
    >>> taken(LAYOUTS["processes"], "segfault", "payment")
    ['payment']
    >>> taken(LAYOUTS["two machines"], "plug", "payment")
    ['order', 'payment']
    """
    return [instance.service for instance in layout.placement.reach(fault, struck)]


STRIKES: Final = 5.0
LASTS: Final = 10.0
DURATION: Final = 20.0
"""The runs of this lesson: how long they are, and from when to when the fault is there [s]."""


def pools(sizes: Mapping[str, int], *, shared: bool, struck: str = "payment", timeout: float = 5.0) -> Run:
    """The shop while calls of one service hang, with a pool for each service, or with one of as many threads.

    Parameters
    ----------
    sizes : mapping of str to int
        Threads of each service's pool; the shared pool has their sum.
    shared : bool
    struck : str
        Whose calls hang.
    timeout : float
        After so long a hung call is given up, and its thread is free again [s].

    Examples
    --------
    >>> run = pools({"order": 4, "payment": 4, "delivery": 4}, shared=True)
    >>> [(of.service, round(of.failing, 2)) for of in run.services]
    [('order', 0.98), ('payment', 1.0), ('delivery', 0.96)]
    """
    return simulate(
        "shop",
        fault="hang",
        service=struck,
        shared_pool=shared,
        workers=sum(sizes.values()) if shared else sizes,
        hang=timeout,
        duration=DURATION,
        strikes=STRIKES,
        lasts=LASTS,
    )


def rush(scenario: str, rate: float, *, shared: bool) -> Run:
    """A sale at some rate [requests/s] while payments take 20 times as long as usual; 12 threads in all.

    Examples
    --------
    >>> [round(rush("shop", rate, shared=True).blast, 2) < 0.1 for rate in (120, 240)]
    [True, False]
    """
    return simulate(
        scenario, fault="slow", shared_pool=shared, rate=rate, duration=DURATION, strikes=STRIKES, lasts=LASTS
    )


# ---- widgets --------------------------------------------------------------------------------------------------------


class TwoAxes(Widget):
    """The map of strategies: what is divided, and at which boundary. Designs are to be placed on it.

    Attributes
    ----------
    design : int
        Which one is to be placed next, from 0.
    placed : dict
        Of each design, by number, where it was put: ``"function:thread"``.

    Examples
    --------
    >>> TwoAxes()
    TwoAxes(0 of 6 designs placed, 0 of them right)
    """

    _esm = source("controls.js", "choices.js", "two_axes.js")
    _css = source("phi.css", "pools.css")

    designs: List[Any] = List().tag(sync=True)
    levels: List[Any] = List().tag(sync=True)
    design = Int(0).tag(sync=True)
    placed = Dict().tag(sync=True)

    def __init__(self) -> None:
        super().__init__(
            designs=[vars(design) for design in DESIGNS],
            levels=[
                {
                    "name": level.name,
                    "title": level.title,
                    "takes": {fault: len(place(level.name, list(SHOP)).reach(fault, "payment")) for fault in _SHOWN},
                }
                for level in LEVELS.values()
            ],
        )

    @validate("design")
    def _within(self, proposal: dict[str, Any]) -> int:
        return int(min(max(proposal["value"], 0), len(DESIGNS) - 1))

    @validate("placed")
    def _known(self, proposal: dict[str, Any]) -> dict[str, str]:
        cells = {f"{axis}:{level}" for axis in ("function", "resource") for level in LEVELS}
        for design, cell in proposal["value"].items():
            if design not in map(str, range(len(DESIGNS))) or cell not in cells:
                raise TraitError(f"placed must be designs 0 to {len(DESIGNS) - 1} on cells of the map, got {cell!r}")
        return dict(proposal["value"])

    def describe(self) -> str:
        """What the widget shows now, in words."""
        right = sum(f"{DESIGNS[int(k)].axis}:{DESIGNS[int(k)].level}" == cell for k, cell in self.placed.items())
        return f"{len(self.placed)} of {len(DESIGNS)} designs placed, {right} of them right"


THREADS: Final = (3, 6, 12, 18, 24, 36, 48, 72)
"""Stops for the threads of all pools together, which are divided evenly."""
TIMEOUTS: Final = (0.1, 0.2, 0.3, 0.5, 1.0, 2.0, 5.0, 10.0)
"""Stops for when a hung call is given up [s]."""


CONTROLS: Final = ("shared", "struck", "threads", "timeout")


class Pools(Widget):
    """The shop in one process, while the calls of one service hang: one pool of threads, or one for each.

    Parameters
    ----------
    *controls : str
        What can be moved in the picture: ``"shared"`` and ``"struck"`` by default, ``"threads"``, ``"timeout"``.

    Attributes
    ----------
    shared : bool
        One pool for all, or one for each service, of as many threads in all.
    threads : int
        In all. Set it, and it goes to the nearest stop.
    timeout : float
        After so long a hung call is given up [s].
    struck : str
        The service whose calls hang.
    run : Run
        What `pools` says to it.

    Examples
    --------
    >>> Pools()
    Pools(one pool of 12, payment hangs: 97.8 % of order, 100 % of payment and 96.2 % of delivery fail)
    """

    _esm = source("controls.js", "choices.js", "pools.js")
    _css = source("phi.css", "pools.css")

    stops = Dict().tag(sync=True)
    about = Dict().tag(sync=True)
    controls: List[Any] = List().tag(sync=True)
    shared = Bool(default_value=True).tag(sync=True)
    threads = Int(12).tag(sync=True)
    timeout = Float(5.0).tag(sync=True)
    struck = Unicode("payment").tag(sync=True)
    found = Dict().tag(sync=True)

    def __init__(self, *controls: str) -> None:
        if not set(controls) <= set(CONTROLS):
            raise ValueError(f"controls must be some of {', '.join(CONTROLS)}, got {', '.join(map(repr, controls))}")
        super().__init__(
            controls=list(controls or CONTROLS[:2]),
            stops={"threads": THREADS, "timeout": TIMEOUTS},
            about={
                "services": {name: service.title for name, service in SHOP.items()},
                "strikes": STRIKES,
                "lasts": LASTS,
                "duration": DURATION,
            },
        )
        self._simulate()

    @validate("threads", "timeout")
    def _nearest(self, proposal: dict[str, Any]) -> float:
        name, value = proposal["trait"].name, proposal["value"]
        if not 0 < value < math.inf:
            raise TraitError(f"{name} must be more than 0, got {value!r}")
        return min(TIMEOUTS if name == "timeout" else THREADS, key=lambda stop: abs(math.log(stop / value)))

    @validate("struck")
    def _known(self, proposal: dict[str, Any]) -> str:
        if proposal["value"] not in SHOP:
            raise TraitError(f"struck must be one of {', '.join(SHOP)}, got {proposal['value']!r}")
        return str(proposal["value"])

    @observe(*CONTROLS)
    def _simulate(self, _change: object = None) -> None:
        asked = {name: getattr(self, name) for name in CONTROLS}
        sizes = dict.fromkeys(SHOP, self.threads // len(SHOP))
        self.run = pools(sizes, shared=self.shared, struck=self.struck, timeout=self.timeout)
        timeline = self.run.timeline(0.5)
        self.found = {
            "asked": asked,
            "failing": {of.service: of.failing for of in self.run.services},
            "requests": {of.service: of.requests for of in self.run.services},
            "timeline": {name: timeline[name].round(4).tolist() for name in SHOP},
            "blast": self.run.blast,
            "utilisation": self.run.utilisation,
            "recovery": self.run.every.recovery if math.isfinite(self.run.every.recovery) else None,
        }

    def describe(self) -> str:
        """What the widget shows now, in words."""
        one = self.threads // len(SHOP)
        layout = f"one pool of {self.threads}" if self.shared else f"pools of {one}, {one} and {one}"
        shares = [f"{100 * of.failing:.3g} % of {of.service}" for of in self.run.services]
        return f"{layout}, {self.struck} hangs: {shares[0]}, {shares[1]} and {shares[2]} fail"


RATES: Final = (60, 120, 150, 180, 240, 360, 480, 720)
"""Stops for the rate of a sale [requests/s]."""


class Rush(Widget):
    """The night of the great sale: more and more requests, while payments are slow. With and without a bulkhead.

    Attributes
    ----------
    scenario : str
        ``shop`` or ``tickets``.
    rate : int
        Requests a second. Set it, and it goes to the nearest stop.

    Examples
    --------
    >>> Rush()
    Rush(shop at 120 requests/s: 51 requests lost with one pool, 408 with bulkheads)
    """

    _esm = source("controls.js", "choices.js", "rush.js")
    _css = source("phi.css", "pools.css")

    stops: List[Any] = List().tag(sync=True)
    scenarios = Dict().tag(sync=True)
    scenario = Unicode("shop").tag(sync=True)
    rate = Int(120).tag(sync=True)

    def __init__(self) -> None:
        self.runs = {
            name: {
                kind: [rush(name, rate, shared=shared) for rate in RATES]
                for kind, shared in (("shared", True), ("own", False))
            }
            for name in SCENARIOS
        }
        super().__init__(
            stops=list(RATES),
            scenarios={
                name: {kind: [_lost(run) for run in runs] for kind, runs in kinds.items()}
                for name, kinds in self.runs.items()
            },
        )

    @validate("rate")
    def _nearest(self, proposal: dict[str, Any]) -> int:
        if not proposal["value"] > 0:
            raise TraitError(f"rate must be more than 0, got {proposal['value']!r}")
        return min(RATES, key=lambda rate: abs(math.log(rate / proposal["value"])))

    @validate("scenario")
    def _known(self, proposal: dict[str, Any]) -> str:
        if proposal["value"] not in SCENARIOS:
            raise TraitError(f"scenario must be one of {', '.join(SCENARIOS)}, got {proposal['value']!r}")
        return str(proposal["value"])

    def describe(self) -> str:
        """What the widget shows now, in words."""
        shared, own = (_lost(runs[RATES.index(self.rate)])["lost"] for runs in self.runs[self.scenario].values())
        return (
            f"{self.scenario} at {self.rate} requests/s: {shared:,} requests lost with one pool, {own:,} with bulkheads"
        )


def _lost(run: Run) -> dict[str, Any]:
    """How many requests a run lost while the fault was there, of all and of each service."""
    return {
        "lost": round(run.every.failing * run.every.requests),
        "asked": run.every.requests,
        "services": {of.service: round(of.failing * of.requests) for of in run.services},
        "workers": dict(run.workers),
    }


_BLASTS: Final = ("exception", "hang", "corrupt", "segfault", "kill", "hold-gil", "memory-hog", "kernel-panic", "plug")


class Blast(Widget):
    """What a fault takes with it, in four layouts of the shop: by the rules, and in the lab where it was done.

    Attributes
    ----------
    arrangement : str
        One of `LAYOUTS`.
    fault : int
        Which fault, from 0.
    struck : str
        The service that it is in.

    Examples
    --------
    >>> Blast()
    Blast(segfault in payment, one process, three pools of threads: takes order, payment, delivery)
    """

    _esm = source("controls.js", "choices.js", "blast.js")
    _css = source("phi.css", "pools.css")

    layouts: List[Any] = List().tag(sync=True)
    faults: List[Any] = List().tag(sync=True)
    services: List[Any] = List().tag(sync=True)
    arrangement = Unicode("threads").tag(sync=True)
    fault = Int(_BLASTS.index("segfault")).tag(sync=True)
    struck = Unicode("payment").tag(sync=True)

    def __init__(self) -> None:
        measured = {row["level"]: row for row in recorded("compare").rows}
        super().__init__(
            layouts=[
                {
                    "name": layout.name,
                    "title": layout.title,
                    "machines": layout.machines,
                    "taken": {fault: {struck: taken(layout, fault, struck) for struck in SHOP} for fault in _BLASTS},
                    # The lab struck payment.
                    "measured": {
                        fault: measured[layout.recording][fault]
                        for fault in _BLASTS
                        if layout.recording in measured and fault in measured[layout.recording]
                    },
                }
                for layout in LAYOUTS.values()
            ],
            faults=[
                {
                    "name": name,
                    "title": (FAULTS | OUTAGES)[name].title,
                    "why": RULES[name].why,
                    "effect": _EFFECTS[RULES[name].effect],
                }
                for name in _BLASTS
            ],
            services=list(SHOP),
        )

    @validate("arrangement", "struck")
    def _known(self, proposal: dict[str, Any]) -> str:
        name = proposal["trait"].name
        known = LAYOUTS if name == "arrangement" else SHOP
        if proposal["value"] not in known:
            raise TraitError(f"{name} must be one of {', '.join(known)}, got {proposal['value']!r}")
        return str(proposal["value"])

    @validate("fault")
    def _within(self, proposal: dict[str, Any]) -> int:
        return int(min(max(proposal["value"], 0), len(_BLASTS) - 1))

    def describe(self) -> str:
        """What the widget shows now, in words."""
        layout, fault = LAYOUTS[self.arrangement], _BLASTS[self.fault]
        reached = ", ".join(taken(layout, fault, self.struck))
        return f"{fault} in {self.struck}, {layout.title}: takes {reached}"


_EFFECTS: Final = {
    "errors": "some requests fail",
    "holds": "threads are kept",
    "drags": "slow",
    "slows": "slow",
    "freezes": "stands still",
    "lies": "wrong answers",
    "ends": "gone",
    "cuts": "cut off",
}

QUESTIONS: Final = (1, 2, 5, 10, 20, 50, 100, 200, 500, 1000)
"""Stops for how many questions the parts of a program ask each other for one order."""


class Ladder(Widget):
    """What a question and its answer take, rung by rung: from a function call to a remote procedure.

    Parameters
    ----------
    found : LabResult, optional
        Of the lab `ladder`; the recorded one by default.

    Attributes
    ----------
    questions : int
        That the parts of the shop ask each other for one order. Set it, and it goes to the nearest stop.
    """

    _esm = source("controls.js", "ladder.js")
    _css = source("phi.css", "pools.css")

    stops: List[Any] = List().tag(sync=True)
    rungs: List[Any] = List().tag(sync=True)
    about = Unicode().tag(sync=True)
    questions = Int(1).tag(sync=True)

    def __init__(self, found: LabResult | None = None) -> None:
        found = recorded("ladder") if found is None else found
        if found.lab != "ladder" or not found.rows:
            raise ValueError(f"found must be a result of the lab ladder, got one of {found.lab!r}")
        self.result = found
        machine = f"{found.machine.get('processors', '?')} cores, Python {found.machine.get('python', '?')}"
        super().__init__(
            stops=list(QUESTIONS),
            rungs=[
                {name: row[name] for name in ("rung", "between", "p50", "p99")}
                | {"order": [row["p50"] * questions for questions in QUESTIONS]}
                for row in found.rows
            ],
            about=f"recorded {found.recorded} on {machine}" if found.recorded else f"measured here, {machine}",
        )

    @validate("questions")
    def _nearest(self, proposal: dict[str, Any]) -> int:
        if not proposal["value"] > 0:
            raise TraitError(f"questions must be more than 0, got {proposal['value']!r}")
        return min(QUESTIONS, key=lambda stop: abs(math.log(stop / proposal["value"])))

    def describe(self) -> str:
        """What the widget shows now, in words."""
        first, last = self.result.rows[0], self.result.rows[-1]
        return (
            f"{self.questions} question{'s' * (self.questions > 1)} an order: "
            f"{1e3 * self.questions * first['p50']:.3g} ms by {first['rung']}, "
            f"{1e3 * self.questions * last['p50']:.3g} ms by {last['rung']}"
        )


_SHOWN: Final = ("segfault", "kernel-panic", "plug", "blackout")
_OWN: Final = {
    "thread": ("a pool of threads", "one program, many kinds of requests"),
    "process": ("memory, and a process", "services of one team, workers of a server"),
    "container": ("caps, and its own view of the system", "microservices"),
    "vm": ("a kernel", "tenants who do not trust each other"),
    "host": ("a machine, with its plug", "databases, and what needs all of a machine"),
    "cluster": ("a network, and who runs it", "test beside production, region beside region"),
    "datacenter": ("a building, and its power", "fire, flood, power cuts"),
}
"""Of each level what a part has to itself, and what it is used for."""


class Strategies(Widget):
    """The lecture's table of strategies, to be filled in first and then revealed.

    Parameters
    ----------
    found : LabResult, optional
        Of the lab `compare`; the recorded one by default. Levels that it measured show its figures, but for a host, for
        which it has a stand-in.

    Attributes
    ----------
    guesses : dict
        ``"thread:plug"`` to how many of the three services the fault takes: 1 or 3.
    revealed : bool

    Examples
    --------
    >>> Strategies()
    Strategies(0 of 28 filled in, not revealed)
    """

    _esm = source("controls.js", "choices.js", "strategies.js")
    _css = source("phi.css", "pools.css")

    faults: List[Any] = List().tag(sync=True)
    levels: List[Any] = List().tag(sync=True)
    guesses = Dict().tag(sync=True)
    revealed = Bool(default_value=False).tag(sync=True)

    def __init__(self, found: LabResult | None = None) -> None:
        found = recorded("compare") if found is None else found
        if found.lab != "compare":
            raise ValueError(f"found must be a result of the lab compare, got one of {found.lab!r}")
        measured = {row["level"]: row for row in found.rows if row["level"] not in STAND_INS}
        self._levels = [_strategy(row, measured.get(row.level)) for row in compare_levels().rows]
        super().__init__(
            faults=[{"name": name, "title": (FAULTS | OUTAGES)[name].title} for name in _SHOWN], levels=self._levels
        )

    @validate("guesses")
    def _known(self, proposal: dict[str, Any]) -> dict[str, int]:
        cells = {f"{level}:{fault}" for level in LEVELS for fault in _SHOWN}
        for cell, guess in proposal["value"].items():
            if cell not in cells or guess not in (1, 3):
                raise TraitError(f"guesses must be 1 or 3 for a level and a fault of the table, got {cell}: {guess!r}")
        return dict(proposal["value"])

    def describe(self) -> str:
        """What the widget shows now, in words."""
        said = f"{len(self.guesses)} of {len(LEVELS) * len(_SHOWN)} filled in"
        if not self.revealed:
            return f"{said}, not revealed"
        truth = {f"{level['name']}:{fault}": takes for level in self._levels for fault, takes in level["takes"].items()}
        right = sum(truth[cell] == guess for cell, guess in self.guesses.items())
        return f"{said}, {right} right: " + "; ".join(
            f"{level['title']} {', '.join(f'{name} {takes}' for name, takes in level['takes'].items())}"
            for level in self._levels
        )


def _strategy(row: Any, measured: Mapping[str, Any] | None) -> dict[str, Any]:
    """A level's line of the table: measured figures where a lab has some, else the model's."""
    own, use = _OWN[row.level]
    return {
        "name": row.level,
        "title": LEVELS[row.level].title,
        "own": own,
        "use": use,
        "talk": row.cost.talk.partition(";")[0],
        "takes": {fault: round(row.taken[fault] * len(SHOP)) for fault in _SHOWN},
        "start": measured["start"] if measured else row.cost.start,
        "memory": measured["memory"] if measured else row.cost.memory,
        "round_trip": measured["round_trip"] if measured else row.cost.round_trip,
        "measured": measured is not None,
    }
