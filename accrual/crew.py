"""Who does the jobs of a study: threads of this process, or the workers of a Dask cluster."""

from __future__ import annotations

import contextlib
import os
import re
from typing import TYPE_CHECKING, Any, Final, Protocol

from accrual.replay import as_threads

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

__all__ = ["Crew", "Future", "first_line", "gather"]

_PATIENCE: Final = 5.0  # for a scheduler to answer, s
_WORKERS_PATIENCE: Final = 30.0  # for the first worker of a scheduler that answers, s


class Future(Protocol):
    """What becomes of a job, as `concurrent.futures` and Dask have it."""

    def result(self) -> Any:
        """Wait for it; raises what the job raised."""

    def add_done_callback(self, call: Callable[[Any], object]) -> Any:
        """Call when it is done, on any thread."""


class Crew(Protocol):
    """Whoever takes jobs."""

    lost: tuple[type[Exception], ...]
    """What a job ends in that no worker survived."""

    workers: int
    """How many jobs they do at once."""

    def submit(self, work: Callable[..., Any], *arguments: Any) -> Future:
        """Hand out a job."""

    def check(self) -> None:
        """Raise ConnectionError if nobody works any more."""


class _Threads:
    """Threads of this process."""

    lost: tuple[type[Exception], ...] = ()

    def __init__(self, pool: Any, workers: int) -> None:
        self._pool, self.workers = pool, workers

    def submit(self, work: Callable[..., Any], *arguments: Any) -> Future:
        future: Future = self._pool.submit(work, *arguments)
        return future

    def check(self) -> None:
        pass


class _Cluster:
    """The workers of a Dask cluster."""

    def __init__(self, client: Any) -> None:
        from distributed.scheduler import KilledWorker

        self._client = client
        self.lost: tuple[type[Exception], ...] = (KilledWorker,)
        self._futures: set[Any] = set()
        self.workers = 1
        self.check()

    def submit(self, work: Callable[..., Any], *arguments: Any) -> Future:
        # Not pure: a key made of the arguments would have to hash a trace, and finds nothing that the folder does not.
        future = self._client.submit(work, *arguments, pure=False)
        self._futures.add(future)
        future.add_done_callback(self._futures.discard)
        return future  # type: ignore[no-any-return]

    def check(self) -> None:
        try:
            threads = self._client.nthreads()  # of all workers, who may come and go
        except Exception as error:  # of many kinds: closed, lost, cancelled
            raise ConnectionError(f"the Dask scheduler went away: {first_line(error)}") from None
        self.workers = max(sum(threads.values()), 1)

    def cancel(self) -> None:
        with contextlib.suppress(Exception):  # what is to be told is why the study ends
            self._client.cancel(list(self._futures))


@contextlib.contextmanager
def gather(client: Any, threads: int | None, after: Callable[[], object]) -> Iterator[Crew]:
    """Gather who works, and let them go.

    Parameters
    ----------
    client : distributed.Client, str or None
        A cluster, a scheduler's address, ``"local"``, or threads.
    threads : int or None
        How many threads or local processes; None for one for each processor.
    after : callable
        Called when the threads of this process are done.
    """
    if client is None:
        from concurrent.futures import ThreadPoolExecutor

        number = _processors() if threads is None else as_threads(threads)
        pool = ThreadPoolExecutor(number)
        try:
            yield _Threads(pool, number)
        finally:
            pool.shutdown(cancel_futures=True)
            after()
        return
    if threads is not None and client != "local":
        raise ValueError("threads is for this machine: a client brings its own workers")
    try:
        import distributed
    except ImportError as error:
        raise ImportError("a study on a cluster needs Dask: pip install accrual[dask]") from error
    with contextlib.ExitStack() as stack:
        if isinstance(client, str):
            client = stack.enter_context(_connected(client, threads, distributed))
        cluster = _Cluster(client)
        try:
            yield cluster
        finally:
            cluster.cancel()


@contextlib.contextmanager
def _connected(address: str, threads: int | None, distributed: Any) -> Iterator[Any]:
    """A client of the scheduler at that address, or of a cluster of processes on this machine."""
    if address == "local":
        number = _processors() if threads is None else as_threads(threads)
        with (
            distributed.LocalCluster(
                n_workers=number, threads_per_worker=1, dashboard_address="127.0.0.1:0", silence_logs="CRITICAL"
            ) as cluster,
            distributed.Client(cluster) as client,
        ):
            yield client
        return
    if not re.fullmatch(r"\w+://.+:\d+", address):
        raise ValueError(f"a scheduler is tcp://host:port, or local, got {address!r}")
    import logging

    for name in ("distributed.comm", "distributed.client", "distributed.core"):
        logging.getLogger(name).setLevel(logging.CRITICAL)  # they tell at length what is raised anyway
    try:
        client = distributed.Client(address, timeout=_PATIENCE, set_as_default=False)
    except OSError as error:
        raise ConnectionError(f"{address}: no Dask scheduler answers there: {first_line(error)}") from None
    with client:
        try:
            client.wait_for_workers(1, timeout=_WORKERS_PATIENCE)
        except TimeoutError:
            raise ConnectionError(f"{address}: the Dask scheduler has no worker") from None
        yield client


def first_line(error: Exception) -> str:
    """What an error says, as far as a line goes."""
    return (str(error) or type(error).__name__).splitlines()[0]


def _processors() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
