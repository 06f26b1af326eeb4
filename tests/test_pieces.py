"""A trace on disk, gone through piece by piece: the bits of the trace in memory, wherever the seams lie."""

import json
import math
import pickle
import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from strategies import DETECTORS, traces

import accrual as ac
from accrual.traces import parquet

pa = pytest.importorskip("pyarrow")
pq = pytest.importorskip("pyarrow.parquet")

MS = 10**6
THRESHOLDS = [-0.3, 0.0, 0.05, 0.17, 0.7321, 2.718, 7.77, 20.0, math.inf]

steps = st.one_of(
    st.integers(5 * 10**7, 3 * 10**8),
    st.sampled_from([0, 10**8 + 1, 10**8 + 3, 7 * 10**9 + 1]),
    st.integers(-(10**9), -1),
)
sent = {"sent": lambda arrivals: st.none() | st.just(arrivals - 3 * MS)}
any_trace = traces(steps, min_size=1, max_size=60, **sent)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("scan")


def scanned(folder, trace, rows=None, group=2**20):
    """The trace on disk, in row groups of one size, read in pieces of another."""
    path = folder / "beats.parquet"
    columns = {"arrival_ns": trace.arrivals, "sequence": trace.sequence, "sent_ns": trace.sent, "epoch": trace.epoch}
    columns = {name: values for name, values in columns.items() if values is not None}
    metadata = {"accrual": json.dumps({"period": trace.period})}
    pq.write_table(pa.table(columns).replace_schema_metadata(metadata), path, row_group_size=group)
    return ac.scan_trace(path, rows=rows)


def outcome(call, *args, **options):
    """What comes of it, as something that can be compared; of an error what it says."""
    try:
        found = call(*args, **options)
    except ac.TraceError as error:
        return str(error)
    return found.tobytes() if isinstance(found, np.ndarray) else repr(found.points)


def assert_equal_bits(scan, trace, detector, thresholds=THRESHOLDS, **options):
    assert outcome(ac.levels, scan, detector) == outcome(ac.levels, trace, detector)
    assert outcome(ac.curve, scan, detector, thresholds, **options) == outcome(
        ac.curve, trace, detector, thresholds, **options
    )


@pytest.mark.parametrize("name", DETECTORS)
@given(any_trace, st.data(), st.integers(1, 25), st.integers(1, 7))
def test_every_bit_is_that_of_the_trace_in_memory(folder, name, trace, data, rows, group):
    """Seams in suspicions, at clock steps, restarts, duplicates, before the first level; pieces of one heartbeat."""
    detector = data.draw(DETECTORS[name])
    skip = data.draw(st.none() | st.integers(0, len(trace)))
    scan = scanned(folder, trace, rows, group)
    assert_equal_bits(scan, trace, detector, skip=skip, quantiles=data.draw(st.booleans()))


@pytest.mark.parametrize("threads", [1, 3])
@pytest.mark.parametrize(
    "detector",
    [
        *(ac.PhiNormal(window=100), ac.PhiLogistic(window=50, first_interval=0.1, learn_below=3.0)),
        *(ac.PhiStudent(window=40), ac.Empirical(window=50), ac.Chen(window=50), ac.Bertier(period=0.1)),
        ac.ExpectedArrival(),
    ],
    ids=str,
)
def test_a_long_trace_with_everything_in_it(folder, detector, threads):
    rng = np.random.default_rng(11)
    n = 400_000
    arrivals = np.cumsum(rng.gamma(9, 11 * MS, n).astype(np.int64))
    arrivals[rng.integers(0, n, 30)] -= 10**10
    number = np.cumsum(rng.choice([1, 1, 1, 1, 2, 0, -2], n))
    trace = ac.Trace(arrivals, sequence=number, epoch=np.arange(n) // 170_001)
    scan = scanned(folder, trace, rows=150_001, group=70_001)
    assert_equal_bits(scan, trace, detector, [0.5, 0.9, 3.0], threads=threads, quantiles=True)


def test_a_window_longer_than_a_piece(folder):
    trace = ac.Trace(np.cumsum(np.random.default_rng(5).integers(90 * MS, 110 * MS, 3000)))
    assert_equal_bits(scanned(folder, trace, rows=100), trace, ac.PhiNormal(window=1000))


@pytest.mark.parametrize("kind", ["restart", "clock step", "duplicate", "late", "long silence"])
@pytest.mark.parametrize("name", DETECTORS)
def test_what_befalls_a_trace_at_a_seam(folder, name, kind):
    """The heartbeat just before the seam at 20, that at it, or that after it."""
    detector = {
        "fixed-timeout": ac.FixedTimeout(period=0.1),
        "two-window": ac.TwoWindow(period=0.1, short=1, long=5),
        "bertier": ac.Bertier(period=0.1, window=5),
        "expected-arrival": ac.ExpectedArrival(),
    }.get(name) or ac.DETECTORS[name](window=5)
    for at in (19, 20, 21):
        arrivals = np.cumsum(np.random.default_rng(at).integers(80 * MS, 130 * MS, 40))
        number, epoch = np.arange(40), np.zeros(40, int)
        if kind == "restart":
            epoch[at:] = 1
        elif kind == "clock step":
            arrivals[at:] -= 10**10
        elif kind == "long silence":
            arrivals[at:] += 10**10
        else:
            number[at] -= 1 if kind == "duplicate" else 3
        trace = ac.Trace(arrivals, sequence=number, epoch=epoch)
        assert_equal_bits(scanned(folder, trace, rows=20), trace, detector, quantiles=True)


def test_clocks_near_the_ends_of_their_range(folder):
    """The past of a piece is told in instants that no clock could show: two steps back of 100 years."""
    year = 31_557_600 * 10**9
    arrivals = np.concatenate([np.arange(30) * MS + start for start in (100 * year, -140 * year, 140 * year)])
    arrivals[60:] -= 286 * year
    trace = ac.Trace(arrivals)
    for detector in (ac.PhiNormal(window=20), ac.Chen(window=20), ac.Empirical(window=20)):
        assert_equal_bits(scanned(folder, trace, rows=7), trace, detector)


def test_errors_are_those_of_the_trace_in_memory(folder):
    silent, longer = ac.Trace([0, 10, 20, 2**61, 2**61 + 5]), ac.Trace([-20, -10, 0, 2**62 - 6, 2**62 - 1])
    for trace in (silent, longer, ac.Trace([]), ac.Trace([5]), ac.Trace([5, 6])):
        scan = scanned(folder, trace)
        assert_equal_bits(scan, trace, ac.PhiNormal(window=3), skip=None)
        assert_equal_bits(scan, trace, ac.FixedTimeout(period=1), skip=1)
    with pytest.raises(ac.TraceError, match=r"^interval 2 of the heartbeats that count from number 0 on is too long"):
        ac.qos(scanned(folder, silent, rows=2), ac.FixedTimeout(period=1), 3)
    with pytest.raises(ac.TraceError, match=r"^interval 2 of the heartbeats that count from number 0 on, 4.6.* sums"):
        ac.levels(scanned(folder, longer, rows=2), ac.PhiNormal(window=3))


def test_observation_that_adds_up_to_too_much(folder):
    year = 31_557_600 * 10**9
    arrivals = np.tile(np.arange(100) * (year // 2), 4)  # the clock goes back 50 years, three times
    trace = ac.Trace(arrivals)
    message = r"s of observation are too long to be scored: 2\*\*62 ns, 146 years"
    for given_one in (trace, scanned(folder, trace, rows=100)):
        with pytest.raises(ac.TraceError, match=message):
            ac.qos(given_one, ac.FixedTimeout(period=1), 3)


def test_levels_go_where_they_are_told(folder):
    trace = ac.Trace(np.cumsum(np.random.default_rng(3).integers(90 * MS, 110 * MS, 1000)))
    scan, detector = scanned(folder, trace, rows=99), ac.PhiNormal(window=10)
    out = np.lib.format.open_memmap(folder / "levels.npy", "w+", shape=(len(scan),))
    assert ac.levels(scan, detector, out=out) is out
    out.flush()
    np.testing.assert_array_equal(np.load(folder / "levels.npy"), ac.levels(trace, detector))
    with pytest.raises(ValueError, match=r"out must be a writeable, contiguous float64 array of shape \(1000,\)"):
        ac.levels(scan, detector, out=np.empty(999))


def test_a_replay_reads_it_whole(folder):
    trace = ac.Trace(np.cumsum(np.random.default_rng(3).integers(90 * MS, 110 * MS, 1000)))
    scan, detector = scanned(folder, trace, rows=99), ac.PhiNormal(window=10)
    np.testing.assert_array_equal(ac.replay(scan, detector).deadlines(3), ac.replay(trace, detector).deadlines(3))
    assert len(ac.replay(pickle.loads(pickle.dumps(scan)), detector).levels) == 1000


# ---- memory ----------------------------------------------------------------------------------------------------------

PEAK = r"""
import re, sys
from pathlib import Path
import accrual as ac
path, kind = sys.argv[1:]
trace = ac.read_trace(path) if kind == "memory" else ac.scan_trace(path, rows=2**16)
for detector in (ac.PhiNormal(window=1000), ac.Bertier(period=0.1)):
    ac.curve(trace, detector, [1, 8])
ac.qos(trace, ac.PhiNormal(window=1000), 8)
ac.describe(trace)
# Not ru_maxrss, which begins with that of the process that started this one.
print(int(re.search(r"VmHWM:\s*(\d+) kB", Path("/proc/self/status").read_text())[1]) / 1024)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="/proc/self/status is of Linux")
def test_ten_times_the_heartbeats_take_no_more_memory(tmp_path):
    """Peaks of processes that score 300,000 and 3,000,000 heartbeats, and one that has the latter in memory."""
    path, peaks = tmp_path / "beats.parquet", []
    for pieces, kind in ((3, "scan"), (30, "scan"), (30, "memory")):
        rng = np.random.default_rng(1)
        with parquet.Writer(path) as writer:
            for k in range(pieces):
                number = np.arange(k * 100_000, (k + 1) * 100_000)
                arrivals = number * 100 * MS + rng.integers(0, 10 * MS, 100_000)
                writer.write(ac.Trace(arrivals, sequence=number, period=0.1))
        shown = subprocess.run([sys.executable, "-c", PEAK, path, kind], capture_output=True, text=True, check=True)
        peaks.append(float(shown.stdout))
    few, many, in_memory = peaks
    assert many - few < 30  # MiB; its columns alone are 46, what is known of each heartbeat on the way 100 and more
    assert in_memory - few > 100
