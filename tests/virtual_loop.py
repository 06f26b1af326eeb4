"""An event loop whose time is a number: what would wait passes at once, and nothing sleeps."""

import asyncio
import selectors

S = 10**9


class VirtualSelector(selectors.DefaultSelector):
    """Time passes where a loop would wait."""

    elapsed = 0.0

    def select(self, timeout=None):
        ready = super().select(0)
        if not ready:
            assert timeout is not None, "the loop waits for nothing"
            self.elapsed += timeout
        return ready


class VirtualLoop(asyncio.SelectorEventLoop):
    def __init__(self):
        self.wakes = 0
        self.virtual = VirtualSelector()
        super().__init__(self.virtual)

    def time(self):
        return self.virtual.elapsed

    def now(self):
        """The monitors' clock: the same time, in ns."""
        return round(self.virtual.elapsed * S)

    def stall(self, seconds):
        """What a blocking call does to a loop."""
        self.virtual.elapsed += seconds

    def call_at(self, *args, **kwargs):
        self.wakes += 1
        return super().call_at(*args, **kwargs)
