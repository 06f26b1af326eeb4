"""Watching under asyncio, in an event loop whose time is a number: nothing sleeps."""

import asyncio
import contextlib
import gc
import logging
import threading

import pytest
from virtual_loop import VirtualLoop

import accrual as ac

UNKNOWN, TRUSTED, SUSPECTED = ac.State
S = 10**9


def run(scenario):
    loop = VirtualLoop()

    async def main():
        try:
            await scenario(loop)
        finally:
            others = asyncio.all_tasks() - {asyncio.current_task()}
            for task in others:
                task.cancel()
            await asyncio.gather(*others, return_exceptions=True)

    try:
        loop.run_until_complete(main())
    finally:
        loop.close()


def fixed(loop, threshold=3, **arguments):
    return ac.Monitor(ac.FixedTimeout(period=1), threshold=threshold, clock=loop.now, **arguments)


class Watch:
    """A task that writes down all changes, as (name, new, at [s])."""

    def __init__(self, monitors, **arguments):
        self.changes = []
        self.task = asyncio.create_task(self.read(ac.aio.watch(monitors, **arguments)))

    async def read(self, changes):
        async for change in changes:
            self.changes.append(change)

    @property
    def heard(self):
        return [(change.name, change.new, change.at / S) for change in self.changes]


async def beat(monitors, at):
    """Heartbeats at instants of the loop's time [s]."""
    for when in at:
        await asyncio.sleep(when - asyncio.get_running_loop().time())
        for monitor in monitors:
            monitor.heartbeat()


def test_a_deadline_is_reported_when_it_passes():
    async def scenario(loop):
        m = fixed(loop)
        m.heartbeat()
        async for change in ac.aio.watch({"db": m}):
            assert loop.time() == pytest.approx(3, abs=1e-6)
            assert (change.name, change.monitor, change.old, change.new) == ("db", m, TRUSTED, SUSPECTED)
            assert (change.at, change.level) == (3 * S, 3.0)
            return

    run(scenario)


def test_changes_of_many_come_in_order():
    async def scenario(loop):
        monitors = {k: fixed(loop, threshold=k) for k in (5, 3, 9)}
        watch = Watch(monitors)
        await beat(monitors.values(), [0, 1])
        await beat([monitors[3]], [2, 8])
        await asyncio.sleep(20)
        assert watch.heard == [
            *((k, TRUSTED, 0) for k in (5, 3, 9)),
            (3, SUSPECTED, 5),
            (5, SUSPECTED, 6),
            (3, TRUSTED, 8),
            (9, SUSPECTED, 10),
            (3, SUSPECTED, 11),
        ]

    run(scenario)


def test_one_timer_and_no_polling():
    """1000 monitors, each heard 100 times: the watch wakes when a deadline that it waits for passes, not more."""

    async def scenario(loop):
        monitors = [fixed(loop) for _ in range(1000)]
        watch = Watch(monitors)
        await beat(monitors, [0])
        await asyncio.sleep(0.5)
        loop.wakes = 0
        await beat(monitors, range(1, 101))
        assert loop.wakes < 100 + 60  # the sleeps of this test; a deadline in 2 s, again and again
        assert len(watch.heard) == 1000

    run(scenario)


def test_a_deadline_that_comes_nearer_wakes_the_watch():
    async def scenario(loop):
        m = ac.Monitor(ac.PhiNormal(window=10, pause=1.0), threshold=8, clock=loop.now)
        await beat([m], [0, 5, 20, 25, 40])  # irregular: the deadline is far away
        watch = Watch([m])
        await asyncio.sleep(0)
        far = m.deadline()
        await beat([m], [40 + i for i in range(1, 14)])  # regular: soon it is near
        assert m.deadline() < 56 * S < far
        await asyncio.sleep(4)
        assert watch.heard == [(None, SUSPECTED, m.deadline() / S)]

    run(scenario)


def test_changes_by_hand_wake_the_watch():
    async def scenario(loop):
        m = fixed(loop)
        watch = Watch({"m": m})
        await asyncio.sleep(1)
        m.expect(by=2 * S)
        await asyncio.sleep(2)
        m.heartbeat()
        m.threshold = 1
        await asyncio.sleep(1.5)
        m.threshold = 9
        await asyncio.sleep(0.5)
        m.reset()
        await asyncio.sleep(0.5)
        assert watch.heard == [
            ("m", SUSPECTED, 2),
            ("m", TRUSTED, 3),
            ("m", SUSPECTED, 4),
            ("m", TRUSTED, 4.5),
            ("m", UNKNOWN, 5),
        ]

    run(scenario)


def test_the_return_to_trust_has_a_timer_too():
    async def scenario(loop):
        m = fixed(loop, stable_after=2.0)
        watch = Watch({"m": m})
        await beat([m], [0, 5])
        await asyncio.sleep(2.5)
        assert watch.heard == [("m", TRUSTED, 0), ("m", SUSPECTED, 3), ("m", TRUSTED, 7)]

    run(scenario)


def test_who_is_suspected_already_is_reported_first():
    async def scenario(loop):
        told = []
        new, noticed, trusted = fixed(loop), fixed(loop, on_change=told.append), fixed(loop, threshold=99)
        await beat([new, noticed, trusted], [0])
        loop.stall(5)
        assert noticed.state() is SUSPECTED
        watch = Watch({"new": new, "noticed": noticed, "trusted": trusted, "silent": fixed(loop)})
        await asyncio.sleep(1)
        assert sorted(watch.heard) == [("new", SUSPECTED, 3), ("noticed", SUSPECTED, 5)]
        assert [change.new for change in told] == [TRUSTED, SUSPECTED]

    run(scenario)


def test_a_watch_takes_nothing_from_others():
    """Two watches and an on_change on one monitor: each is told everything."""

    async def scenario(loop):
        told = []
        m = fixed(loop, on_change=told.append)
        one, two = Watch([m]), Watch({"a": m, "b": m})
        await beat([m], [0, 5])
        await asyncio.sleep(0.5)
        two.task.cancel()
        await beat([m], [9])
        await asyncio.sleep(1)
        assert [(change.new, change.at / S) for change in told] == [heard[1:] for heard in one.heard]
        assert one.heard == [
            (None, new, at) for new, at in zip([TRUSTED, SUSPECTED] * 5, [0, 3, 5, 8, 9], strict=False)
        ]
        assert two.heard == [(name, new, at) for _, new, at in one.heard[:3] for name in ("a", "b")]

    run(scenario)


# ---- the local pause -------------------------------------------------------------------------------------------------


def test_who_stalled_convicts_nobody(caplog):
    """The loop is blocked for 10 s; the heartbeats of the living wait in a socket meanwhile, the dead one's do not."""

    async def scenario(loop):
        dead, alive, slow = (fixed(loop) for _ in range(3))
        watch = Watch({"dead": dead, "alive": alive, "slow": slow}, lateness=0.5, grace=2.0)
        await beat([dead, alive, slow], [0, 1])
        del watch.changes[:]
        loop.call_soon(loop.stall, 10)
        loop.call_soon(alive.heartbeat)  # what was waiting comes before the late timer
        await beat([slow], [12])
        assert watch.heard == []
        assert dead.level() == pytest.approx(11)  # levels and states are untouched
        assert dead.state() is SUSPECTED
        await beat([alive, slow], [12.5])
        assert watch.heard == []
        await asyncio.sleep(0.6)
        assert watch.heard == [("dead", SUSPECTED, pytest.approx(13))]
        assert watch.changes[0].level == pytest.approx(12)
        await asyncio.sleep(5)
        assert watch.heard[1:] == [("alive", SUSPECTED, 15.5), ("slow", SUSPECTED, 15.5)]

    with caplog.at_level(logging.WARNING, logger="accrual"):
        run(scenario)
    assert [record.getMessage() for record in caplog.records] == [
        "local pause: a timer came 8.000 s late, so nobody is suspected for 2.000 s"
    ]


def test_a_stall_that_reaches_no_deadline_is_none():
    async def scenario(loop):
        m = fixed(loop)
        watch = Watch({"m": m})
        await beat([m], [0])
        await asyncio.sleep(0.1)
        loop.stall(2.5)
        await asyncio.sleep(0)
        await asyncio.sleep(1)
        assert watch.heard == [("m", TRUSTED, 0), ("m", SUSPECTED, 3)]

    run(scenario)


def test_a_slow_reader_is_no_stall():
    async def scenario(loop):
        monitors = {k: fixed(loop, threshold=k) for k in (1, 2, 3, 4)}
        seen = []
        for m in monitors.values():
            m.heartbeat()
        async with contextlib.aclosing(ac.aio.watch(monitors)) as changes:
            async for change in changes:
                await asyncio.sleep(7)
                seen.append((change.name, change.at / S))
                if len(seen) == 4:
                    break
        assert seen == [(1, 1), (2, 2), (3, 3), (4, 4)]

    run(scenario)


# ---- threads, clocks, cleaning up ------------------------------------------------------------------------------------


def test_heartbeats_from_other_threads_wake_the_loop():
    """A real loop on real time: without the wake the last line would wait for an hour."""
    clock = ac.ManualClock()
    monitors = {k: ac.Monitor(ac.FixedTimeout(period=3600), clock=clock) for k in range(8)}

    async def scenario():
        changes = ac.aio.watch(monitors)
        first = asyncio.ensure_future(anext(changes))
        await asyncio.sleep(0)
        threads = [threading.Thread(target=m.heartbeat) for m in monitors.values()]
        for thread in threads:
            thread.start()
        heard = {(await first).name} | {(await anext(changes)).name for _ in range(7)}
        assert heard == set(monitors)
        clock.set(monitors[0].deadline())
        assert {(await anext(changes)).new for _ in range(8)} == {SUSPECTED}
        await changes.aclose()

    asyncio.run(scenario())


def test_cancelling_leaves_nothing_behind():
    async def scenario(loop):
        clock = ac.ManualClock()
        m = ac.Monitor(ac.FixedTimeout(period=1), clock=clock)
        m.heartbeat()
        watch = Watch([m])
        await asyncio.sleep(0)
        assert (len(m._listeners), len(m._waiters), len(clock._moved), len(loop._scheduled)) == (1, 1, 1, 1)
        watch.task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await watch.task
        assert (m._listeners, m._waiters, clock._moved) == ([], [], [])
        assert all(timer.cancelled() for timer in loop._scheduled)
        clock.advance(100)
        m.heartbeat()
        assert watch.changes == []

    run(scenario)
    gc.collect()


def test_a_clock_that_fails_fails_the_watch():
    async def scenario(loop):
        readings = iter([0, 0, 0, 0])
        m = ac.Monitor(ac.FixedTimeout(period=1), threshold=3, clock=lambda: next(readings))
        m.heartbeat()
        with pytest.raises(RuntimeError, match="StopIteration"):
            async for _ in ac.aio.watch([m]):
                pass
        assert m._listeners == []

    run(scenario)


def test_nobody_to_watch_ends_at_once():
    async def scenario(loop):
        assert [change async for change in ac.aio.watch({})] == []

    run(scenario)


def test_wrong_arguments_are_refused_before_the_first_change():
    m = ac.Monitor(ac.PhiNormal())
    with pytest.raises(TypeError, match=r"monitors must be accrual\.Monitor objects, got 'x'"):
        ac.aio.watch({"a": m, "b": "x"})
    with pytest.raises(TypeError, match="not iterable"):
        ac.aio.watch(m)
    with pytest.raises(ValueError, match="monitors must have one clock, got"):
        ac.aio.watch([m, ac.Monitor(ac.PhiNormal(), clock=ac.ManualClock())])
    for name in ("lateness", "grace"):
        with pytest.raises(ValueError, match=f"{name} must be 0 to"):
            ac.aio.watch([m], **{name: -1})
