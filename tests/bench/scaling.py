"""How many traces a second a study does, on threads and on local Dask workers: ``python tests/bench/scaling.py``.

Synthetic traces as Parquet files in a temporary folder; each is hashed, read, and scored by three detectors at 50
thresholds each. Prints a Markdown table. No rival here: the line to compare with is one thread.
"""

import contextlib
import os
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

import accrual as ac

DETECTORS = [ac.PhiNormal(window=1000), ac.FixedTimeout(period=0.1), ac.Chen(period=0.1)]
THRESHOLDS = np.geomspace(0.1, 12, 50)
ROUNDS = 5


def write_traces(folder, count, heartbeats):
    """Jitter, and one heartbeat in a hundred lost."""
    for k in range(count):
        rng = np.random.default_rng(k)
        sequence = np.flatnonzero(rng.random(heartbeats) > 0.01)
        arrivals = sequence * 100_000_000 + rng.gamma(4, 2e6, len(sequence)).astype(np.int64)
        ac.Trace(np.maximum.accumulate(arrivals), sequence=sequence, period=0.1).write(folder / f"{k:04}.parquet")
    return sorted(folder.glob("*.parquet"))


def measure(paths, crews):
    """Traces a second of each crew, the best of some rounds in which all take their turn; all give one table."""
    best, tables = dict.fromkeys(crews, 0.0), set()
    for _ in range(ROUNDS):
        for name, who in crews.items():
            begin = time.perf_counter()
            found = ac.study(paths, DETECTORS, THRESHOLDS, **who)
            best[name] = max(best[name], len(paths) / (time.perf_counter() - begin))
            tables.add(repr(found.to_dict()["table"]))
    if len(tables) > 1:
        sys.exit("the tables differ")
    return best


def main():
    import distributed

    crews = {f"{n} thread{'s' * (n > 1)}": {"threads": n} for n in (1, 2, 4)}
    with contextlib.ExitStack() as stack:
        for n in (1, 2, 4):
            cluster = distributed.LocalCluster(
                n_workers=n, threads_per_worker=1, dashboard_address="127.0.0.1:0", silence_logs="CRITICAL"
            )
            client = distributed.Client(stack.enter_context(cluster), set_as_default=False)
            crews[f"{n} worker{'s' * (n > 1)}"] = {"client": stack.enter_context(client)}
        print(f"{os.cpu_count()} processors, load {os.getloadavg()[0]:.1f} at the start; best of {ROUNDS}\n")
        print("| traces of |", " | ".join(crews), "|\n" + "|---" * (len(crews) + 1) + "|", flush=True)
        for count, heartbeats in ((200, 10_000), (20, 100_000), (6, 2_000_000)):
            with tempfile.TemporaryDirectory() as name:
                best = measure(write_traces(Path(name), count, heartbeats), crews)
            print(f"| {heartbeats:,} heartbeats |", " | ".join(f"{r:.3g}/s" for r in best.values()), "|", flush=True)


if __name__ == "__main__":
    main()
