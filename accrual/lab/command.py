"""``accrual lab``: what labs there are and what this machine lacks for them; and running one."""

from __future__ import annotations

import json
import re
import sys
import types
import typing
from typing import TYPE_CHECKING, Any, Final

from accrual.lab.running import LABS, Lab

if TYPE_CHECKING:
    import argparse
    from collections.abc import Callable

    from accrual.lab.result import Event, LabResult

__all__ = ["configure_lab", "run_lab"]

_OURS: Final = "lab_options"


def configure_lab(parser: argparse.ArgumentParser, picture: Callable[[str], str] = str) -> None:
    """Give a parser a command for each lab that has been imported, with an option for each of its parameters.

    `picture` checks the name of a picture: a lab takes half a minute, which a slip should not cost.
    """
    parser.add_argument("--json", action="store_true", help="print the list as JSON")
    commands = parser.add_subparsers(metavar="LAB", dest="lab")
    for name, lab in LABS.items():
        helps = _helps(lab.about)
        described = lab.about.partition("\nParameters\n")[0].strip()
        one = commands.add_parser(name, help=lab.summary, description=described, allow_abbrev=False)
        for parameter, wanted in lab.parameters.items():
            option = "--" + parameter.replace("_", "-")
            default = "none" if wanted.default is None else f"{wanted.default}".lower()
            text = f"{helps.get(parameter, '')} (default: {default})".strip().replace("%", "%%")
            one.add_argument(option, dest=parameter, default=wanted.default, help=text, **_kind(wanted.annotation))
        one.add_argument("--json", action="store_true", help="print the result as one JSON document")
        one.add_argument("--plot", type=picture, metavar="FILE", help="draw what happened: a .png, .svg or .pdf")
        one.set_defaults(**{_OURS: tuple(lab.parameters)})


def _helps(about: str) -> dict[str, str]:
    """The first sentence on each parameter, of a docstring in NumPy's form."""
    section = about.partition("\nParameters\n")[2]
    found = re.findall(r"^(\w+) : .*\n((?:    .*\n?)+)", section, re.MULTILINE)
    return {name: " ".join(text.split()) for name, text in found}


def _kind(annotation: Any) -> dict[str, Any]:
    """What argparse is to do with a parameter of that type."""
    if typing.get_origin(annotation) in (typing.Union, types.UnionType):
        [annotation] = [one for one in typing.get_args(annotation) if one is not type(None)]
    if annotation is bool:
        import argparse

        return {"action": argparse.BooleanOptionalAction}
    if typing.get_origin(annotation) is typing.Literal:
        return {"choices": typing.get_args(annotation)}
    return {"type": annotation, "metavar": {int: "N", float: "X"}.get(annotation, "TEXT")}


def run_lab(args: argparse.Namespace, draw: Callable[[str, LabResult], object]) -> int:
    """List the labs, or run one; `draw` makes its picture."""
    if args.lab is None:
        return _list(args.json)
    lab = LABS[args.lab]
    found = lab(on_event=_progress, **{name: getattr(args, name) for name in getattr(args, _OURS)})
    print(json.dumps(found.to_dict(), indent=2, allow_nan=False) if args.json else found)
    if args.plot:
        draw(args.plot, found)
    return 0


def _progress(event: Event) -> None:
    print(f"{event.at:8.3f} s  {event.who}: {event.what}", file=sys.stderr, flush=True)


def _list(as_json: bool) -> int:
    rows = [(lab, lab.lacking(**lab.bound({}))) for lab in LABS.values()]
    if as_json:
        found = [_row(lab) | {"lacks": [lack._asdict() for lack in lacks]} for lab, lacks in rows]
        print(json.dumps(found, indent=2))
        return 0
    width = max(len(lab.name) for lab, _ in rows)
    for lab, lacks in rows:
        print(f"{lab.name.ljust(width)}  {'lacks' if lacks else 'ready'}  {lab.summary}")
    for lab, lacks in rows:
        for lack in lacks:
            print(f"{lab.name} needs {lack.what}: {lack.remedy}")
    return 0


def _row(lab: Lab) -> dict[str, Any]:
    return {"lab": lab.name, "summary": lab.summary, "parameters": {n: p.default for n, p in lab.parameters.items()}}
