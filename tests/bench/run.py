"""Benchmarks with their rivals in the same run: ``make bench``.

Writes results.json beside this file, with the machine's description, and from it the tables of docs/benchmarks.md and
the README's, which are the first two; ``--table`` only renews the tables. Nothing here is a test: figures depend on the
machine and on what else it does.
Every figure is the best of several rounds, in each of which all contenders take their turn.
"""

from __future__ import annotations

import argparse
import datetime
import importlib.metadata
import json
import os
import platform
import sys
import sysconfig
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

import accrual as ac
from accrual.core import engine

HERE = Path(__file__).parent
RESULTS = HERE / "results.json"
README = HERE.parents[1] / "README.md"
PAGE = HERE.parents[1] / "docs" / "benchmarks.md"
HEARTBEATS, WINDOW, ROUNDS = 5_850_000, 1000, 7
RIVAL_PACKAGES = ["pandas", "polars", "bottleneck", "numba", "phi-accrual-failure-detector"]


def trace(n: int) -> np.ndarray:
    """Arrivals [ns] like the week of the phi paper: 100 ms with 2 ms of normal jitter."""
    rng = np.random.default_rng(2004)
    return np.cumsum(rng.normal(1e8, 2e6, n).round().astype(np.int64))


# ---- row 1 and 2: levels over a trace --------------------------------------------------------------------------------


def rival_levels() -> dict[str, Callable[[np.ndarray], np.ndarray]]:
    """The same levels by the libraries that people would reach for: rolling mean and deviation, then log_ndtr."""
    import bottleneck
    import numba
    import pandas as pd
    import polars as pl
    from scipy.special import log_ndtr

    def phi(intervals, mean, deviation):  # the state before each interval
        z = (intervals[WINDOW:] - mean[WINDOW - 1 : -1]) / deviation[WINDOW - 1 : -1]
        return log_ndtr(-z) / -np.log(10)

    def with_bottleneck(arrivals):
        x = np.diff(arrivals).astype(np.float64)
        return phi(x, bottleneck.move_mean(x, WINDOW), bottleneck.move_std(x, WINDOW))

    def with_pandas(arrivals):
        x = np.diff(arrivals).astype(np.float64)
        rolling = pd.Series(x).rolling(WINDOW)
        return phi(x, rolling.mean().to_numpy(), rolling.std(ddof=0).to_numpy())

    def with_polars(arrivals):
        x = np.diff(arrivals).astype(np.float64)
        series = pl.Series(x)
        return phi(x, series.rolling_mean(WINDOW).to_numpy(), series.rolling_std(WINDOW, ddof=0).to_numpy())

    @numba.njit(nogil=True)
    def sliding(x, window):  # running float sums round the first interval: what one would write by hand
        z = np.empty(len(x) - window)
        total = squares = 0.0
        for k in range(window):
            total += x[k] - x[0]
            squares += (x[k] - x[0]) ** 2
        for k in range(window, len(x)):
            new, old = x[k] - x[0], x[k - window] - x[0]
            mean = total / window
            z[k - window] = (new - mean) / np.sqrt(squares / window - mean * mean)
            total += new - old
            squares += new * new - old * old
        return z

    def with_numba(arrivals):
        return log_ndtr(-sliding(np.diff(arrivals).astype(np.float64), WINDOW)) / -np.log(10)

    return {"bottleneck": with_bottleneck, "pandas": with_pandas, "polars": with_polars, "numba": with_numba}


def best(contenders: dict[str, Callable[[], object]], rounds: int) -> dict[str, float]:
    """Seconds of the best round for each contender; the first, warming call does not count."""
    times = {name: [] for name in contenders}
    for contender in contenders.values():
        contender()
    for _ in range(rounds):
        for name, contender in contenders.items():
            start = time.perf_counter()
            contender()
            times[name].append(time.perf_counter() - start)
    return {name: min(taken) for name, taken in times.items()}


def bench_levels(n: int, rounds: int) -> dict:
    """Row 1, on each instruction set, and row 2."""
    arrivals, detector, out = trace(n), ac.PhiNormal(window=WINDOW), np.empty(n)
    fastest = engine.tier()

    def ours(tier=fastest, threads=1, out=out):
        def run():
            engine.tier(tier)
            ac.levels(arrivals, detector, threads=threads, out=out)

        return run

    tiers = [name for name, number in engine.TIERS.items() if number <= engine.TIERS[fastest]]
    rivals = rival_levels()
    contenders = {f"accrual {tier}": ours(tier) for tier in tiers}
    contenders |= {"accrual fresh": ours(out=None), "accrual 2 threads": ours(threads=2)}
    contenders |= {name: (lambda rival=rival: rival(arrivals)) for name, rival in rivals.items()}
    seconds = best(contenders, rounds)
    engine.tier(fastest)

    # What the others' running floats make of one outage of an hour, once it has left the window.
    short = trace(20_000)
    short[5000:] += 3600 * 10**9
    exact = ac.levels(short, detector)[1 + WINDOW :]
    after = slice(5000 + WINDOW, None)
    error = {name: float(np.nanmax(np.abs(rival(short) / exact - 1)[after])) for name, rival in rivals.items()}
    return {
        "ns_per_heartbeat": {name: s / n * 1e9 for name, s in seconds.items()},
        "tier": fastest,
        "relative_error_after_an_hours_gap": error,
        "heartbeats": n,
        "window": WINDOW,
    }


# ---- row 3: the whole curve ------------------------------------------------------------------------------------------


def bench_curve(n: int, rounds: int) -> dict:
    """1,000 thresholds in one pass, against one pass of levels."""
    arrivals, detector, out = trace(n), ac.PhiNormal(window=WINDOW), np.empty(n)
    found = {}
    for lowest in (0.5, 1.0, 3.0):
        thresholds = np.linspace(lowest, 16, 1000)
        found |= best({f"from Phi {lowest:g}": lambda t=thresholds: ac.curve(arrivals, detector, t)}, rounds)
    found |= best({"one levels pass": lambda: ac.levels(arrivals, detector, out=out)}, rounds)
    return {"ns_per_heartbeat": {name: s / n * 1e9 for name, s in found.items()}, "thresholds": 1000, "heartbeats": n}


# ---- row 4: one heartbeat at a time ----------------------------------------------------------------------------------


def bench_monitor(n: int, rounds: int) -> dict:
    """A level and a heartbeat, from a Python loop."""
    arrivals = trace(n).tolist()

    def ours():
        monitor = ac.Monitor(ac.PhiNormal(window=WINDOW), threshold=8)
        heartbeat, level = monitor.heartbeat, monitor.level
        for now in arrivals:
            level(now)
            heartbeat(now)

    def loop():
        for now in arrivals:
            now  # noqa: B018

    # The package's modules import each other by bare name from a directory that is no valid package name.
    sys.path.insert(0, str(Path(sysconfig.get_path("purelib")) / "phi-accrual-failure-detector"))
    from phi_accrual_failure_detector import PhiAccrualFailureDetector

    few = [now // 1_000_000 for now in arrivals[: n // 20]]

    def package():
        clock = iter(few)
        detector = PhiAccrualFailureDetector(
            threshold=8, max_sample_size=WINDOW, min_std_deviation_ms=1, acceptable_heartbeat_pause_ms=0,
            first_heartbeat_estimate_ms=100,
        )  # fmt: skip
        now = [0]
        PhiAccrualFailureDetector._get_time = staticmethod(lambda: now[0])  # the same instants instead of its clock
        for instant in clock:
            now[0] = instant
            detector.phi()
            detector.heartbeat()

    seconds = best({"accrual": ours, "empty loop": loop}, rounds) | best({"phi package": package}, max(rounds // 2, 1))
    counts = {"accrual": n, "empty loop": n, "phi package": len(few)}
    return {"ns_per_pair": {name: s / counts[name] * 1e9 for name, s in seconds.items()}, "window": WINDOW}


# ---- rows 5 and 6: a bank --------------------------------------------------------------------------------------------


class NumpyBank:
    """The same bank as one would write it with NumPy: rings and running float sums in arrays, a batch in whole columns.

    A peer may be only once in a batch; sequence numbers and epochs are not looked at. Its running sums drift.
    """

    def __init__(self, peers: int, window: int, z: float) -> None:
        self.ring, self.slot, self.n = np.zeros((peers, window)), np.zeros(peers, np.int64), np.zeros(peers, np.int64)
        self.last, self.heard = np.zeros(peers, np.int64), np.zeros(peers, bool)
        self.sum, self.squares = np.zeros(peers), np.zeros(peers)
        self.mean, self.deviation = np.full(peers, np.nan), np.full(peers, np.nan)
        self.deadlines = np.full(peers, np.iinfo(np.int64).max)
        self.window, self.z = window, z

    def heartbeat(self, peers: np.ndarray, now: np.ndarray) -> None:
        interval = (now - self.last[peers]).astype(np.float64)
        learned = self.heard[peers] & (interval >= 0)
        self.last[peers], self.heard[peers] = now, True
        if not learned.all():
            peers, now, interval = peers[learned], now[learned], interval[learned]
        slot = self.slot[peers]
        oldest = self.ring[peers, slot]
        self.ring[peers, slot] = interval
        self.slot[peers] = (slot + 1) % self.window
        self.n[peers] = n = np.minimum(self.n[peers] + 1, self.window)
        self.sum[peers] = total = self.sum[peers] + (interval - oldest)
        self.squares[peers] = squares = self.squares[peers] + (interval - oldest) * (interval + oldest)
        mean = total / n
        self.mean[peers] = mean
        self.deviation[peers] = deviation = np.sqrt(np.maximum(squares / n - mean * mean, 1.0))
        self.deadlines[peers] = now + np.ceil(mean + self.z * deviation).astype(np.int64)

    def levels(self, now: int) -> np.ndarray:
        from scipy.special import log_ndtr

        return log_ndtr((self.mean - np.maximum(now - self.last, 0)) / self.deviation) / -np.log(10)


def resident() -> int:
    """Memory of this process [bytes]."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def bench_bank(peers: int, rounds: int) -> dict:
    """One heartbeat of each peer, in random and in sequential order; levels of all; who is suspected; memory."""
    window, threshold = 100, 8.0
    rng = np.random.default_rng(2004)
    detector, rows = ac.PhiNormal(window=window), np.arange(peers)
    orders = {"sequential": rows, "random": rng.permutation(peers)}
    jitters = rng.integers(-2_000_000, 2_000_001, (7, peers))
    clock: dict[object, int] = {}

    def beat(bank, order):
        """The next heartbeat of each peer: 100 ms with 2 ms of jitter."""
        clock[bank] = clock.get(bank, 0) + 10**8
        bank.heartbeat(order, clock[bank] + jitters[clock[bank] // 10**8 % len(jitters)])

    before = resident()
    ours = ac.Bank(detector, peers=peers, threshold=threshold)
    for _ in range(window + 1):
        beat(ours, rows)
    memory = (resident() - before) / peers
    theirs = NumpyBank(peers, window, detector.compiled.inverse(threshold))
    for _ in range(window + 1):
        beat(theirs, rows)
    np.testing.assert_allclose(
        theirs.levels(clock[theirs] + 10**8), ours.levels(clock[ours] + 10**8), rtol=1e-4, atol=1e-9
    )

    found = {}
    for name, order in orders.items():
        found |= best({f"heartbeat, {name} order": lambda order=order: beat(ours, order),
                       f"heartbeat, {name} order, NumPy": lambda order=order: beat(theirs, order)}, rounds)  # fmt: skip
    found |= best({"levels of all": lambda: ours.levels(clock[ours] + 10**8),
                   "levels of all, NumPy": lambda: theirs.levels(clock[theirs] + 10**8)}, rounds)  # fmt: skip
    suspects, latest = {}, clock[ours] + 2_000_001
    for share in (0, 0.001, 0.05, 0.5):
        now = max(int(np.quantile(ours.deadlines, share)), latest) if share else latest
        suspects[f"{share:.1%}"] = best(
            {"accrual": lambda now=now: ours.suspected(now),
             "NumPy": lambda now=now: np.flatnonzero(ours.deadlines <= now)}, 5 * rounds)  # fmt: skip
    return {
        "ns_per_peer": {name: s / peers * 1e9 for name, s in found.items()},
        "suspected_us": {share: {name: s * 1e6 for name, s in both.items()} for share, both in suspects.items()},
        "bytes_per_peer": memory,
        "peers": peers,
        "window": window,
    }


# ---- rows 1, 4 and 5 for every detector ------------------------------------------------------------------------------


def bench_detectors(n: int, rounds: int) -> dict:
    """Of each detector: levels over a trace, one heartbeat at a time, and many peers' heartbeats and levels."""
    peers, window = max(n // 10, 10), 100
    arrivals = trace(n)
    numbered = ac.Trace(arrivals, sequence=np.arange(n), period=0.1)
    few = arrivals[: n // 10].tolist()
    rows, jitter = np.arange(peers), np.random.default_rng(5).integers(-2_000_000, 2_000_001, peers)
    detectors = [
        *(ac.FixedTimeout(period=0.1), ac.PhiNormal(window=window), ac.PhiLogistic(window=window)),
        *(ac.PhiExponential(window=window), ac.PhiStudent(window=window), ac.Empirical(window=window)),
        *(ac.Chen(period=0.1, window=window), ac.Chen(window=window), ac.TwoWindow(period=0.1, long=window)),
        *(ac.Bertier(period=0.1, window=window), ac.ExpectedArrival(period=0.1), ac.ExpectedArrival()),
    ]

    def pairs(detector):
        monitor = ac.Monitor(detector, threshold=1)
        for number, now in enumerate(few):
            monitor.level(now)
            monitor.heartbeat(now, number)

    found = {}
    for detector in detectors:
        bank, clock = ac.Bank(detector, peers=peers, threshold=1), [0]

        def beat(bank=bank, clock=clock):
            clock[0] += 1
            bank.heartbeat(rows, clock[0] * 10**8 + jitter, sequence=clock[0])

        for _ in range(window + 1):
            beat()
        seconds = best(
            {
                "levels": lambda detector=detector: ac.levels(numbered, detector),
                "level + heartbeat": lambda detector=detector: pairs(detector),
                "bank, heartbeat": beat,
                "bank, level": lambda bank=bank, clock=clock: bank.levels((clock[0] + 1) * 10**8),
            },
            rounds,
        )
        counts = {"levels": n, "level + heartbeat": len(few), "bank, heartbeat": peers, "bank, level": peers}
        found[str(detector)] = {name: taken / counts[name] * 1e9 for name, taken in seconds.items()}
    return {"ns": found, "heartbeats": n, "peers": peers, "window": window}


# ---- the machine, the file, the table --------------------------------------------------------------------------------


def machine() -> dict:
    """What the figures depend on."""
    cpu = platform.processor()
    if Path("/proc/cpuinfo").exists():
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        cpu = next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), cpu)
    return {
        "cpu": cpu,
        "cores": os.cpu_count(),
        "instruction set": engine.tier(),
        "system": f"{platform.system()} {platform.release()}",
        "python": platform.python_version(),
        "compiler": sysconfig.get_config_var("CC"),
        "load": os.getloadavg()[0],
        "date": datetime.datetime.now(datetime.UTC).date().isoformat(),
        "versions": {name: importlib.metadata.version(name) for name in ["accrual", "numpy", "scipy", *RIVAL_PACKAGES]},
    }


def rows(*cells: list[str]) -> str:
    """A table in Markdown; the first row is its head."""
    lines = ["| " + " | ".join(row) + " |" for row in cells]
    return "\n".join([lines[0], "|---" * len(cells[0]) + "|", *lines[1:]])


def tables(results: dict) -> list[str]:
    """What docs/benchmarks.md shows, and the setting as the last; the README shows the first two and the setting."""
    levels, curve, monitor = (results[name] for name in ("levels", "curve", "monitor"))
    ns, error = levels["ns_per_heartbeat"], levels["relative_error_after_an_hours_gap"]
    fastest = min(ns[name] for name in error)
    ours = [[name, f"{ns[name]:.2f}", f"{fastest / ns[name]:.1f} x", "0"] for name in ns if name not in error]
    rivals = [
        [f"{name} + `log_ndtr`", f"{ns[name]:.1f}", f"{fastest / ns[name]:.1f} x", f"{error[name]:.0e}"]
        for name in sorted(error, key=ns.get)
    ]
    head = ["`levels`, window 1000, 5.85 M heartbeats", "ns each", "fastest rival / this", "error after an hour's gap"]
    first = rows(head, *ours, *rivals)

    passes = dict(curve["ns_per_heartbeat"])
    one = passes.pop("one levels pass")
    pair = monitor["ns_per_pair"]
    rival = f"the phi package on PyPI ({pair['phi package']:.0f})"
    second = rows(
        ["work", "ns each", "against"],
        *[
            [f"`curve` at 1,000 thresholds {name}", f"{taken:.2f}", f"{taken / one:.1f} x a `levels` pass ({one:.2f})"]
            for name, taken in passes.items()
        ],
        [
            "`Monitor.level` + `heartbeat`",
            f"{pair['accrual']:.0f}",
            f"{pair['phi package'] / pair['accrual']:.0f} x {rival}",
        ],
    )
    bank = results["bank"]
    each, size = bank["ns_per_peer"], f"a `Bank` of {bank['peers']:,} peers, window {bank['window']}"
    numpy = {name: each[f"{name}, NumPy"] for name in each if not name.endswith("NumPy")}
    third = rows(
        [size, "ns a peer", "against NumPy"],
        *[[name, f"{each[name]:.1f}", f"{rival / each[name]:.1f} x ({rival:.1f})"] for name, rival in numpy.items()],
    )
    fourth = rows(
        [f"{size}: share suspected", "`suspected`", "`np.flatnonzero(deadlines <= now)`"],
        *[
            [share, f"{both['accrual']:.0f} us", f"{both['NumPy']:.0f} us"]
            for share, both in bank["suspected_us"].items()
        ],
    )
    memory = f"Memory of {size}, measured: {bank['bytes_per_peer']:.0f} B a peer."
    each_detector = results["detectors"]
    works = list(next(iter(each_detector["ns"].values())))
    fifth = rows(
        ["each detector, ns; a trace with sequence numbers", *works],
        *[[f"`{name}`", *(f"{taken[work]:.3g}" for work in works)] for name, taken in each_detector["ns"].items()],
    )
    about = results["machine"]
    setting = [about[name] for name in ("cpu", "system", "compiler", "date")]
    setting += [f"{about['cores']} cores", f"Python {about['python']}"]
    setting += [f"{name} {version}" for name, version in about["versions"].items()]
    return [first, second, third, fourth, memory, fifth, f"{', '.join(setting)}. Best of {results['rounds']} rounds."]


def write_table(results: dict) -> None:
    """Put the tables between the marks of the README and of docs/benchmarks.md."""
    begin, end = "<!-- bench: begin -->", "<!-- bench: end -->"
    every = tables(results)
    for page, shown in ((README, [*every[:2], every[-1]]), (PAGE, every)):
        before, rest = page.read_text().split(begin)
        page.write_text(before + begin + "\n" + "\n\n".join(shown) + "\n" + end + rest.split(end)[1])


def main() -> None:
    """Run, write, and show."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--table", action="store_true", help="only renew the README's table from results.json")
    parser.add_argument("--smoke", action="store_true", help="a hundredth of the size, nothing written: does it run?")
    arguments = parser.parse_args()
    if arguments.table:
        write_table(json.loads(RESULTS.read_text()))
        return
    scale, rounds = (100, 1) if arguments.smoke else (1, ROUNDS)
    results = {
        "machine": machine(),
        "rounds": rounds,
        "levels": bench_levels(HEARTBEATS // scale, rounds),
        "curve": bench_curve(HEARTBEATS // scale, rounds),
        "monitor": bench_monitor(200_000 // scale, rounds),
        "bank": bench_bank(1_000_000 // scale, rounds),
        "detectors": bench_detectors(1_000_000 // scale, rounds),
    }
    print("\n\n".join(tables(results)))
    if not arguments.smoke:
        RESULTS.write_text(json.dumps(results, indent=1) + "\n")
        write_table(results)


if __name__ == "__main__":
    main()
