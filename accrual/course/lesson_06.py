"""The questions of lesson 6: threads and processes."""

from __future__ import annotations

import threading
from concurrent.futures import Executor
from typing import Any, Final

from accrual.course.checking import Hint, called, close, number, question
from accrual.isolation import SHOP, place
from accrual.lab import recorded
from accrual.show.pools import RATES, rush

PATIENCE: Final = 5.0
"""How long an order waits for a free thread before it is said to be stuck [s]; one that is free answers at once."""

_ASKED: Final = 40.0  # payments a second
_BUSY: Final = 0.8  # threads that orders and deliveries keep on average: 80 a second for 10 ms


@question("06.1")
def _timeout(answer: Any) -> str:
    """Little's law: so many calls a second, times how long each keeps its thread. How many may be kept at most?"""
    given, right = number(answer), (12 - _BUSY) / _ASKED
    if close(given, 1000 * right, 0.02) or close(given, 300, 0.001):
        raise Hint("The number looks like milliseconds; the answer is wanted in seconds.")
    if close(given, 12 / _ASKED, 0.001):
        raise Hint("Nearly: 12 / 40 leaves no thread to orders and deliveries. They keep 0.8 on average.")
    if close(given, 12 / 120, 0.001):
        raise Hint("Only payments hang, and they are 40 of the 120 requests a second.")
    if not close(given, right, 0.02):
        raise Hint(f"{given:.3g} s times 40 calls a second keeps {given * _ASKED:.3g} threads, and there are 12.")
    return "With the sliders: at 0.2 s all orders get through, at 0.3 s most do not. That is an average, so stay below."


@question("06.2")
def _bulkheads(answer: Any) -> str:
    """For each name a ThreadPoolExecutor of its own, in a dict."""
    for names, workers in ((["order", "payment", "delivery"], 4), (["search", "booking"], 1)):
        pools = called(answer, names, workers)
        if not isinstance(pools, dict) or set(pools) != set(names):
            raise Hint("A dict is asked for, with a pool for each name.")
        made = list(pools.values())
        if not all(isinstance(pool, Executor) for pool in made):
            raise Hint("Each value should be an executor: ThreadPoolExecutor(max_workers=...).")
        try:
            if len({id(pool) for pool in made}) < len(made):
                raise Hint("It is one pool for all: the same object under each name. Make a new one each time.")
            _hang(pools[names[-1]], pools[names[0]], workers)
        finally:
            for pool in made:
                pool.shutdown(wait=False, cancel_futures=True)
    return "With one hung to its last thread, the other answered. Nobody had to notice, or to do anything."


def _hang(struck: Executor, other: Executor, workers: int) -> None:
    """Occupy one pool for good, and see whether the other answers."""
    over, entered = threading.Event(), threading.Semaphore(0)

    def hung() -> None:
        entered.release()
        over.wait()

    try:
        for _ in range(workers + 4):
            struck.submit(hung)
        for _ in range(workers):
            if not entered.acquire(timeout=PATIENCE):
                raise Hint(f"Each pool is to have {workers} threads; this one has fewer.")
        if entered.acquire(timeout=0.05):
            raise Hint(f"Each pool is to have {workers} threads; this one has more.")
        try:
            other.submit(int).result(timeout=PATIENCE)
        except TimeoutError:
            raise Hint("With one pool hung, the other does not answer either.") from None
    finally:
        over.set()


@question("06.3")
def _crossing(answer: Any) -> str:
    """Go through the rates of the slider, and compare `rush(..., shared=True)` with `shared=False`."""
    given = number(answer)
    if given not in RATES:
        raise Hint(f"One of the slider's rates is asked for: {', '.join(map(str, RATES))}.")
    right = next(rate for rate in RATES if _lost(rate, shared=True) > _lost(rate, shared=False))
    if given < right:
        raise Hint(
            f"At {given:g} a second one pool fails {_lost(given, shared=True):.0f} requests, and bulkheads "
            f"{_lost(given, shared=False):.0f}: that is more."
        )
    if given > right:
        raise Hint("There the bulkheads are better, but at a lower rate of the slider they are already.")
    return "Below, the shared pool is better: its idle threads help out. Above, it drowns with all hands."


def _lost(rate: float, *, shared: bool) -> float:
    every = rush("shop", rate, shared=shared).every
    return every.failing * every.requests


@question("06.4")
def _suspects(answer: Any) -> str:
    """For each service: if the fault were in it, would it take just those that fail?"""
    for level, fault, failing in (
        ("thread", "segfault", ["order", "payment", "delivery"]),
        ("process", "segfault", ["payment"]),
        ("process", "kernel-panic", ["order", "payment", "delivery"]),
        ("thread", "hang", ["delivery"]),
        ("container", "bridge", ["order", "payment", "delivery"]),
        ("vm", "kernel-panic", ["order"]),
        ("process", "segfault", ["order", "delivery"]),
    ):
        given = called(answer, level, fault, list(failing))
        if isinstance(given, str) or not hasattr(given, "__iter__"):
            raise Hint("A list of names is asked for.")
        if sorted(given) != sorted(_explaining(level, fault, failing)):
            raise Hint(f"{fault} at level {level}, {', '.join(failing)} failing: you suspect {list(given)}.")
    return "Where everything fails together, everybody is a suspect. A boundary also says where to look."


def _explaining(level: str, fault: str, failing: list[str]) -> list[str]:
    shop = place(level, list(SHOP))
    return [name for name in SHOP if sorted(of.service for of in shop.reach(fault, name)) == sorted(failing)]


@question("06.5")
def _questions(answer: Any) -> str:
    """How often does the median of a remote procedure call, `rungs["remote procedure call"]`, go into 0.1 s?"""
    given = number(answer)
    trip = {row["rung"]: row["p50"] for row in recorded("ladder").rows}
    right = int(0.1 / trip["remote procedure call"])
    if right and close(given, 0.1 / trip["remote procedure call"], 1e-6) and given != right:
        raise Hint("Whole questions only: round down.")
    if given in (int(0.1 / trip["pipe"]), int(0.1 / trip["function call"])):
        raise Hint("That is for another rung of the ladder; take the remote procedure call.")
    if given != right:
        raise Hint(f"{given:g} questions take {given * trip['remote procedure call']:.3g} s in all.")
    return (
        f"As function calls it would be {0.1 / trip['function call']:,.0f}. Who splits a program counts its questions."
    )
