"""What the two lectures hold, item by item, and which section of which lesson covers it.

The lessons say so themselves: each of their text cells carries its items as metadata. Here are only the items' names,
in the order of the lectures' two mind maps, and the lessons in theirs, also those that are still to come.
"""

from __future__ import annotations

import functools
import html
import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import quote

if TYPE_CHECKING:
    from importlib.resources.abc import Traversable

__all__ = ["LESSONS", "MAPS", "NOWHERE", "Index", "Lesson", "Section", "Way", "index", "installed", "to_come", "way"]


@dataclass(frozen=True)
class Lesson:
    """A lesson, written or still to come.

    Attributes
    ----------
    name : str
        Its file's, without ending.
    title : str
    minutes : int
    part : str
        Of the course.
    items : frozenset of int
        What it is to cover; what it does cover, its notebook says.
    """

    name: str
    title: str
    minutes: int
    part: str
    items: frozenset[int]


def _items(text: str) -> frozenset[int]:
    """Read ``1-7, 44-56``."""
    ends = [[int(end) for end in part.split("-")] for part in text.split(",")]
    return frozenset(item for end in ends for item in range(end[0], end[-1] + 1))


_ONE, _TWO, _THREE = "Faults, heartbeats, phi", "Isolation", "Recovery"

LESSONS: Final = {
    lesson.name: lesson
    for lesson in (
        Lesson("00_start", "Start here", 15, _ONE, _items("40-41, 95-96, 98")),
        Lesson("01_faults", "Faults, and what they look like", 30, _ONE, _items("1-7, 44-56")),
        Lesson("02_fixed_timeout", "The fixed timeout", 30, _ONE, _items("54-58, 89-92")),
        Lesson("03_phi", "Phi in three steps", 30, _ONE, _items("59-73")),
        Lesson("04_tradeoff", "The trade-off", 30, _ONE, _items("69, 72, 91-92, 94")),
        Lesson("05_when_phi_lies", "When phi lies", 30, _ONE, _items("71, 93")),
        Lesson("06_threads_and_processes", "Threads and processes", 30, _TWO, _items("8-19, 34")),
        Lesson("07_containers_and_beyond", "Containers and beyond", 30, _TWO, _items("20-34")),
        Lesson("08_users_and_shards", "Users and shards", 30, _TWO, _items("35-39")),
        Lesson("09_failover", "Failover", 35, _THREE, _items("74-79, 88")),
        Lesson("10_replication", "Replication", 30, _THREE, _items("84-86")),
        Lesson("11_partition", "Partitions", 35, _THREE, _items("80-83, 86-88, 97")),
        Lesson("12_health_and_capstone", "Health, and your own system", 30, _THREE, _items("42, 99")),
    )
}
"""The course, in order. A lesson is written when its notebook is there; until then its items are to come."""

NOWHERE: Final = frozenset({43})
"""What no lesson will cover: the lecturer's invitation to leave comments."""

MAPS: Final[dict[str, dict[str, dict[int, str]]]] = {
    "Fault isolation (lecture 30)": {
        "Why": {
            1: "Reliable and available",
            2: "The night of the great sale",
            3: "What isolation is",
            4: "The car on the hard shoulder",
            5: "Designed beforehand",
            6: "It limits the loss",
            7: "It shows where the fault is",
        },
        "Two axes": {
            8: "By function or service",
            9: "By resource",
            10: "Own resources, no contention",
        },
        "Threads": {
            11: "A thread pool for each kind of request",
            12: "Order, payment, delivery: three pools",
            13: "Where threads are enough",
            14: "Shared variables",
        },
        "Processes": {
            15: "Splitting the monolith",
            16: "On several machines",
            17: "Order, payment, delivery: three processes",
            18: "How processes talk: IPC and RPC",
            19: "Shops and train tickets",
        },
        "Resources": {
            20: "Each module its share",
            21: "Utilisation and upkeep",
            22: "Microservices",
            23: "Mesos and Kubernetes",
            24: "A service, a container, a process",
            25: "Order, payment, delivery: three containers",
            26: "Is a container a process?",
            27: "Caps on CPU and memory",
            28: "The shipping box",
            29: "Docker and cgroups",
            30: "Networks of containers",
            31: "Virtual machines",
            32: "Whole hosts",
            33: "Clusters and datacenters",
            34: "All strategies compared",
        },
        "Users": {
            35: "From the user's side",
            36: "A fault for some, not for all",
            37: "Canary releases",
            38: "Sharded data",
            39: "Balanced load",
        },
        "Afterwards": {
            40: "The lecture in short",
            41: "This map",
            42: "Question: what shows a system's health?",
            43: "Comments to the lecturer",
        },
    },
    "Fault recovery (lecture 31)": {
        "Faults": {
            44: "Isolation is not enough",
            45: "Physical faults",
            46: "Software faults",
            47: "Node or network",
            48: "Whose job software faults are",
            49: "A node fails",
            50: "What makes a node fail",
            51: "What a failed node looks like",
            52: "A network fails",
            53: "What makes a network fail",
        },
        "Detection": {
            54: "Alarms, in time and false",
            55: "Symptoms instead of hardware",
            57: "Heartbeats: fixed or predicted",
            58: "Centralised and decentralised liveness",
        },
        "Fixed timeout": {
            89: "k × T",
            90: "Detection within a second",
            91: "Too short a timeout",
            92: "More patience, fewer mistakes",
        },
        "Phi": {
            59: "Intervals assumed normal",
            60: "Why the logarithm",
            61: "The threshold Φ",
            62: "Three steps",
            63: "Step 1: the sampling window",
            64: "Ten slots, the eleventh heartbeat",
            65: "Mean and variance",
            66: "Step 2: P_later",
            67: "The cumulative distribution",
            68: "Step 3: φ",
            69: "History against misjudgement",
            70: "The φ accrual failure detector",
            71: "10 %, 1 %, 0.1 %?",
            72: "Tuning by Φ",
            73: "Akka",
            93: "Steady or bursty",
            94: "Which one when",
        },
        "Recovery of a node": {
            56: "Know the error, correct it",
            74: "Two kinds of recovery",
            75: "Primary and backup",
            76: "The backup takes over",
            77: "Does the user notice?",
            78: "Election",
            79: "Redis and ZooKeeper",
            88: "Wait, or promote?",
        },
        "Recovery of a network": {
            80: "C, A and P",
            81: "Answer in time: AP",
            82: "Banks: CP",
            83: "After the network heals",
            84: "Synchronous, asynchronous, semi-synchronous",
            85: "Is semi-synchronous safe?",
            86: "Replication for recovery",
            87: "A dead node or a dead link",
        },
        "Afterwards": {
            95: "The lecture in short",
            96: "This map",
            97: "Question: how do you recognise a partition?",
            98: "What the lectures presuppose",
            99: "Your own system",
        },
    },
}
"""The two mind maps of the lectures: branches, and on them the items by number."""


# ---- what the notebooks say ----


@dataclass(frozen=True)
class Section:
    """A section of a lesson.

    Attributes
    ----------
    lesson : str
        The lesson's name.
    heading : str
        As it is shown, with the minutes that it takes.
    opening : bool
        Whether this is what stands under the lesson's own title.
    """

    lesson: str
    heading: str
    opening: bool

    @property
    def link(self) -> str:
        """Where it is, beside the other lessons: a notebook, and the heading as Jupyter's anchors are spelt."""
        return f"{self.lesson}.ipynb#{quote(self.heading.replace(' ', '-'))}"

    @property
    def title(self) -> str:
        """The heading without its minutes."""
        return re.sub(r" \(\d+ minutes?\)$", "", self.heading)


def installed() -> Traversable:
    """Where the notebooks are: in a wheel the package accrual.lessons, in a checkout a folder beside the package."""
    import importlib.resources

    try:
        root = importlib.resources.files("accrual.lessons")
    except ModuleNotFoundError:
        return Path(__file__).resolve().parents[2] / "lessons"
    # A package without __init__ may lie in several folders, and comes as something that is no path; ours is in one.
    file = next(root.iterdir(), None)
    return file.parent if isinstance(file, Path) else root


def notebooks() -> dict[str, bytes]:
    """The lessons that are written, by name and in order, as their files are.

    Raises
    ------
    FileNotFoundError
        The installation lacks them.
    """
    root = installed()
    found = {}
    if root.is_dir():
        for file in sorted(root.iterdir(), key=lambda file: file.name):
            if re.fullmatch(r"\d\d_\w+\.ipynb", file.name):
                found[file.name.removesuffix(".ipynb")] = file.read_bytes()
    if not found:
        raise FileNotFoundError(f"the lessons are missing from this installation (looked in {root})")
    return found


def sections(name: str, notebook: dict[str, Any]) -> Iterator[tuple[Section, list[int]]]:
    """The sections of a notebook, each time a cell names its items."""
    section = Section(name, name, opening=True)
    for cell in notebook["cells"]:
        if cell["cell_type"] != "markdown":
            continue
        text = "".join(cell["source"])
        heading = re.search(r"^(##?) +(.+)$", text, re.MULTILINE)
        if heading:
            # Jupyter makes its anchors from the text as it is shown, without the marks of emphasis.
            section = Section(name, re.sub(r"[*`]", "", heading[2]).strip(), opening=heading[1] == "#")
        if items := cell["metadata"].get("items"):
            yield section, items


@functools.cache
def index() -> Index:
    """Which sections cover each item of the lectures, from the lessons as they are installed."""
    covered: dict[int, list[Section]] = {}
    for name, text in notebooks().items():
        for section, items in sections(name, json.loads(text)):
            for item in items:
                if section not in covered.setdefault(item, []):
                    covered[item].append(section)
    return Index(covered)


def to_come(written: set[str]) -> dict[int, str]:
    """The items that no written lesson has been asked for, each with the first lesson that will bring it."""
    asked = frozenset[int]().union(*(lesson.items for lesson in LESSONS.values() if lesson.name in written))
    found: dict[int, str] = {}
    for lesson in LESSONS.values():
        for item in sorted(lesson.items - asked):
            found.setdefault(item, lesson.name)
    return found


@dataclass(frozen=True)
class Index:
    """The two mind maps of the lectures, each item with the sections of the lessons that cover it.

    In a notebook, a tree to click through; elsewhere a list.

    Attributes
    ----------
    covered : dict of int to list of Section
    """

    covered: dict[int, list[Section]]

    def sections(self, item: int) -> list[Section]:
        """One section of each lesson that covers an item: the first that is not its opening, if there is one."""
        chosen: dict[str, Section] = {}
        for section in self.covered.get(item, ()):
            if section.lesson not in chosen or chosen[section.lesson].opening > section.opening:
                chosen[section.lesson] = section
        return list(chosen.values())

    def __repr__(self) -> str:
        lines = []
        for title, branches in MAPS.items():
            lines.append(title)
            for branch, items in branches.items():
                lines.append(f"  {branch}")
                for item, name in items.items():
                    where = ", ".join(f"{section.lesson}: {section.title}" for section in self.sections(item))
                    lines.append(f"    {item:2} {name} ({where or self._lack(item)})")
        return "\n".join(lines)

    def _repr_html_(self) -> str:
        """Lists within lists, which keyboards and screen readers know their way through; the style draws the map."""
        trees = []
        for title, branches in MAPS.items():
            limbs = []
            for branch, items in branches.items():
                there = sum(item in self.covered for item in items)
                leaves = "".join(f"<li>{self._leaf(item, name)}</li>" for item, name in items.items())
                limbs.append(
                    f"<li><details><summary>{html.escape(branch)} "
                    f"<small>{there} of {len(items)}</small></summary><ul>{leaves}</ul></details></li>"
                )
            trees.append(f"<div><b>{html.escape(title)}</b><ul>{''.join(limbs)}</ul></div>")
        return f'<style>{_STYLE}</style><div class="accrual-map">{"".join(trees)}</div>'

    def _leaf(self, item: int, name: str) -> str:
        links = [
            f'<a href="{section.link}" title="{html.escape(section.title)}">{int(section.lesson[:2])}</a>'
            for section in self.sections(item)
        ]
        where = f"lesson {' '.join(links)}" if links else f"<i>{html.escape(self._lack(item))}</i>"
        return f"<span>{item}</span> {html.escape(name)}: {where}"

    def _lack(self, item: int) -> str:
        written = {section.lesson for found in self.covered.values() for section in found}
        lesson = to_come(written).get(item)
        return f"to come: lesson {int(lesson[:2])}" if lesson else "in no lesson"


_STYLE: Final = """
.accrual-map { display: grid; grid-template-columns: repeat(auto-fit, minmax(20rem, 1fr)); gap: 1rem 2rem; }
.accrual-map ul { list-style: none !important; margin: 0 0 0 0.5rem; padding: 0; }
.accrual-map li { position: relative; margin: 0; padding: 0.12rem 0 0.12rem 1.1rem;
  border-left: 2px solid var(--jp-border-color1, #bdbdbd); }
.accrual-map li:last-child { border-left-color: transparent; }
.accrual-map li::before { content: ""; position: absolute; left: -2px; top: 0; width: 0.9rem; height: 0.85rem;
  border: 2px solid var(--jp-border-color1, #bdbdbd); border-width: 0 0 2px 2px; border-bottom-left-radius: 6px; }
.accrual-map summary { cursor: pointer; }
.accrual-map summary:focus-visible, .accrual-map a:focus-visible { outline: 2px solid currentColor; }
.accrual-map a { padding: 0 0.25rem; text-decoration: underline; }
.accrual-map small, .accrual-map span, .accrual-map i { color: var(--jp-ui-font-color2, #616161); }
.accrual-map span { display: inline-block; min-width: 1.4rem; text-align: right; font-variant-numeric: tabular-nums; }
"""


@dataclass(frozen=True)
class Way:
    """The lessons in order; in a notebook a table with links."""

    written: frozenset[str]

    def __repr__(self) -> str:
        return "\n".join(
            f"{lesson.name:26} {lesson.minutes:2} min  {lesson.title}{'' if name in self.written else ' (to come)'}"
            for name, lesson in LESSONS.items()
        )

    def _repr_html_(self) -> str:
        rows, part = [], ""
        for name, lesson in LESSONS.items():
            first = f'<th scope="row">{html.escape(lesson.part)}</th>' if lesson.part != part else "<th></th>"
            part = lesson.part
            title = html.escape(f"{int(name[:2])} · {lesson.title}")
            there = f'<a href="{name}.ipynb">{title}</a>' if name in self.written else f"{title} <i>(to come)</i>"
            left = 'style="text-align: left"'
            rows.append(f"<tr>{first}<td {left}>{there}</td><td>{lesson.minutes} min</td></tr>")
        head = "".join(f'<th scope="col">{text}</th>' for text in ("part", "lesson", "time"))
        return f"<table><thead><tr>{head}</tr></thead><tbody>{''.join(rows)}</tbody></table>"


def way() -> Way:
    """The way through the lessons, from those that are installed.

    Examples
    --------
    >>> "03_phi" in repr(way())
    True
    """
    return Way(frozenset(notebooks()))
