"""A failover controller under asyncio."""

from __future__ import annotations

import asyncio
import inspect
from typing import TYPE_CHECKING, NoReturn

from accrual.detectors import NS, seconds

if TYPE_CHECKING:
    from accrual.recovery.controller import Action, FailoverController

__all__ = ["drive"]


async def drive(controller: FailoverController, *, timeout: float = 10.0) -> NoReturn:
    """Run a controller until cancelled; its callbacks may be coroutine functions.

    Heartbeats come from the same loop (`FailoverController.heartbeat`). It sleeps until the controller's deadline or
    until news brings that nearer. A callback that takes longer than `timeout` is cancelled and counts as failed; one
    that is no coroutine function blocks the loop, and cannot be cut short. Cancelled during a callback, it counts that
    as failed too, and leaves nothing behind.

    Parameters
    ----------
    controller : FailoverController
        Its clock must run as the loop's does (``time.monotonic_ns``, the default).
    timeout : float
        For each call of a callback [s]; above 0.

    Raises
    ------
    ValueError
        If timeout is no duration above 0.
    """
    if not seconds("timeout", timeout):
        raise ValueError(f"timeout must be above 0 s, got {timeout!r}")
    news = asyncio.Event()
    controller._wakers.append(news.set)
    try:
        while True:
            news.clear()
            while (action := controller.poll()) is not None:
                await _carry_out(controller, action, timeout)
            due = controller.deadline()
            wait = None if due is None else max(0, due - controller.clock()) / NS
            try:
                async with asyncio.timeout(wait):
                    await news.wait()
            except TimeoutError:
                pass
    finally:
        controller._wakers.remove(news.set)


async def _carry_out(controller: FailoverController, action: Action, timeout: float) -> None:
    try:
        answer = controller.call(action)
        if inspect.isawaitable(answer):
            async with asyncio.timeout(timeout):
                await answer
    except BaseException as error:
        controller.failed(action, error)
        # What the callback awaited may have been cancelled, and not we: that is its failure, and no reason to stop.
        task = asyncio.current_task()
        theirs = isinstance(error, asyncio.CancelledError) and task is not None and not task.cancelling()
        if not isinstance(error, Exception) and not theirs:
            raise
    else:
        controller.done(action)
