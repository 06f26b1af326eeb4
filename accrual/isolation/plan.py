"""``accrual plan``: sizes of pools and shards for engineers, from the command line."""

from __future__ import annotations

import argparse
import json
from typing import TYPE_CHECKING, Final

from accrual.isolation.queueing import plan_pools
from accrual.isolation.result import as_count, as_positive
from accrual.isolation.sharding import plan_shards
from accrual.traces.parts import UNITS, parse_seconds

if TYPE_CHECKING:
    from accrual.isolation.result import Result

__all__ = ["configure_plan", "run_plan"]

_MOST: Final = 10_000  # pools: a table that nobody reads


def configure_plan(parser: argparse.ArgumentParser) -> None:
    """Give a parser the arguments of ``accrual plan``."""
    parser.description = "Size pools of workers by Erlang's formulas, or tell what shards of customers keep apart."
    plans = parser.add_subparsers(metavar="WHAT", required=True)
    _configure_pools(plans.add_parser("pools", help="one pool for all against a bulkhead for each", allow_abbrev=False))
    _configure_shards(plans.add_parser("shards", help="whom one poison customer takes along", allow_abbrev=False))


def _configure_pools(parser: argparse.ArgumentParser) -> None:
    parser.description = (
        "Size one pool for all services, and a bulkhead for each: the difference is the price of isolation. Requests "
        "are taken to come at random; plan for the peak."
    )
    parser.set_defaults(plan=_plan_pools)
    add = parser.add_argument
    add("--rate", type=float, metavar="R", help="requests a second, of all services together")
    add("--latency", type=_seconds, metavar="T", help="mean time that a request keeps a worker, such as 50ms or 0.05")
    add("--pools", type=int, metavar="N", help="services that share the rate equally (default: 3)")
    add(
        "--service",
        type=_service,
        action="append",
        dest="services",
        metavar="NAME:RATE:LATENCY",
        help="instead of these three: a service, such as payment:40:50ms; may be repeated",
    )
    add(
        "--reject",
        type=_share,
        default=0.01,
        metavar="P",
        help="share of requests that may be refused, or wait too long, such as 0.01 or 1%% (default: 0.01)",
    )
    add("--wait", type=_seconds, metavar="T", help="have a queue, in which requests may wait for so long")
    add("--workers", type=int, metavar="N", help="tell what so many workers come to, instead of how many are needed")
    add("--hang", metavar="NAME", help="tell also what is refused while this service hangs")
    add("--timeout", type=_seconds, default=1.0, metavar="T", help="of a hung call (default: 1s)")
    add("--json", action="store_true", help="print JSON")


def _configure_shards(parser: argparse.ArgumentParser) -> None:
    parser.description = (
        "Tell how many customers are cut off when one customer's poison request ends every worker that the customer "
        "reaches: with all workers shared, with shards, and with shuffle shards."
    )
    parser.set_defaults(plan=_plan_shards)
    add = parser.add_argument
    add("--customers", type=int, required=True, metavar="N", help="how many there are")
    add("--workers", type=int, required=True, metavar="W", help="how many there are")
    add("--shard-size", type=int, required=True, metavar="K", help="workers that each customer may reach")
    add("--needs", type=int, default=1, metavar="R", help="workers of these that must be left (default: 1)")
    add("--json", action="store_true", help="print JSON")


def run_plan(args: argparse.Namespace) -> int:
    """Run ``accrual plan`` and return the exit status; what goes wrong is raised."""
    found: Result = args.plan(args)
    print(json.dumps(found.to_dict()) if args.json else found)
    return 0


def _plan_pools(args: argparse.Namespace) -> Result:
    if args.services:
        if not (args.rate is None and args.latency is None and args.pools is None):
            raise ValueError("--service says all that --rate, --latency and --pools would: give either")
        services = {name: (rate, latency) for name, rate, latency in args.services}
        if len(services) < len(args.services):
            raise ValueError("each --service must have a name of its own")
    elif args.rate is None or args.latency is None:
        raise ValueError("give --rate and --latency, or --service for each service")
    else:
        pools = as_count("pools", 3 if args.pools is None else args.pools, 1, _MOST)
        rate, latency = (
            as_positive("rate", args.rate, "requests a second"),
            as_positive("latency", args.latency, "seconds"),
        )
        services = {f"service-{n}": (rate / pools, latency) for n in range(1, pools + 1)}
    return plan_pools(
        services, reject=args.reject, wait=args.wait, workers=args.workers, hang=args.hang, timeout=args.timeout
    )


def _plan_shards(args: argparse.Namespace) -> Result:
    return plan_shards(args.customers, args.workers, args.shard_size, args.needs)


def _seconds(text: str) -> float:
    """Read ``50ms``, and ``0.05`` as seconds."""
    try:
        return parse_seconds(text)
    except ValueError:
        units = ", ".join(filter(None, UNITS))
        raise argparse.ArgumentTypeError(f"must be a time such as 0.05 or 50ms ({units}), got {text!r}") from None


def _share(text: str) -> float:
    """Read ``0.01`` and ``1%``."""
    try:
        return float(text[:-1]) / 100 if text.endswith("%") else float(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"must be a share such as 0.01 or 1%, got {text!r}") from None


def _service(text: str) -> tuple[str, float, float]:
    """Read ``payment:40:50ms``."""
    try:
        name, rate, latency = text.split(":")
        return name, float(rate), parse_seconds(latency)
    except ValueError:
        raise argparse.ArgumentTypeError(f"must be NAME:RATE:LATENCY such as payment:40:50ms, got {text!r}") from None
