"""How many traces a second a study does, on threads and on local Dask workers: ``python tests/bench/scaling.py``.

Synthetic traces as Parquet files in a temporary folder; each is hashed, read, and scored by three detectors at 50
thresholds each. Prints a Markdown table. No rival here: the line to compare with is one thread.
"""

import os
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

import accrual as ac

DETECTORS = [ac.PhiNormal(window=1000), ac.FixedTimeout(period=0.1), ac.Chen(period=0.1)]
THRESHOLDS = np.geomspace(0.1, 12, 50)
ROUNDS = 3


def write_traces(folder, count, heartbeats):
    """Jitter, and one heartbeat in a hundred lost."""
    for k in range(count):
        rng = np.random.default_rng(k)
        sequence = np.flatnonzero(rng.random(heartbeats) > 0.01)
        arrivals = sequence * 100_000_000 + rng.gamma(4, 2e6, len(sequence)).astype(np.int64)
        ac.Trace(np.maximum.accumulate(arrivals), sequence=sequence, period=0.1).write(folder / f"{k:04}.parquet")
    return sorted(folder.glob("*.parquet"))


def rate(paths, **who):
    """Traces a second, the best of some rounds, and the bytes of the table."""
    best, table = 0.0, ""
    for _ in range(ROUNDS):
        begin = time.perf_counter()
        found = ac.study(paths, DETECTORS, THRESHOLDS, **who)
        best = max(best, len(paths) / (time.perf_counter() - begin))
        table = repr(found.to_dict()["table"])
    return best, table


def main():
    import distributed

    print(f"{os.cpu_count()} processors, load {os.getloadavg()[0]:.1f} at the start; best of {ROUNDS}\n")
    print("| traces of | 1 thread | 2 threads | 4 threads | 1 worker | 2 workers | 4 workers |")
    print("|---|---|---|---|---|---|---|")
    for count, heartbeats in ((400, 10_000), (40, 100_000), (6, 2_000_000)):
        with tempfile.TemporaryDirectory() as name:
            paths = write_traces(Path(name), count, heartbeats)
            measured = [rate(paths, threads=threads) for threads in (1, 2, 4)]
            for workers in (1, 2, 4):
                with (
                    distributed.LocalCluster(
                        n_workers=workers, threads_per_worker=1, dashboard_address=None, silence_logs="CRITICAL"
                    ) as cluster,
                    distributed.Client(cluster) as client,
                ):
                    measured.append(rate(paths, client=client))
        if len({table for _, table in measured}) > 1:
            sys.exit("the tables differ")
        print(f"| {heartbeats:,} heartbeats |", " | ".join(f"{found:.3g}/s" for found, _ in measured), "|", flush=True)


if __name__ == "__main__":
    main()
