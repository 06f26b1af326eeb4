"""One heartbeat at a time, many peers, a whole trace, threads and instruction sets: the same bits."""

import hashlib
import itertools
import json
import math
import os
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from strategies import DETECTORS, detectors, traces

import accrual as ac
from accrual.core import engine

TIERS = [name for name, number in engine.TIERS.items() if number <= engine.TIERS[engine.tier()]]
NEVER = 2**63 - 1


def test_the_build_under_test_is_the_one_meant():
    """check-core names its build: without this, a wrong path would test the normal build three times."""
    expected = os.environ.get("ACCRUAL_BUILD")
    if expected:
        assert Path(engine.__file__).is_relative_to(Path(expected).resolve())
    if expected and expected.endswith("no-clones"):
        assert TIERS == ["base"]


@pytest.fixture(params=TIERS)
def tier(request):
    before = engine.tier()
    yield engine.tier(request.param)
    engine.tier(before)


def test_an_unknown_tier_is_refused():
    with pytest.raises(ValueError, match="tier must be one that this build and CPU have, got 'v9'"):
        engine.tier("v9")


# ---- streaming == trace --------------------------------------------------------------------------------------------

steps = st.integers(0, 10**9) | st.sampled_from([0, 1, 10**8, 2**32, 3600 * 10**9]) | st.integers(-(10**10), -1)
any_trace = traces(steps)


def test_every_detector_of_the_registry_is_drawn():
    assert set(DETECTORS) == set(ac.DETECTORS)


def one_at_a_time(trace, detector, threshold):
    """Levels and deadlines as a Monitor gives them."""
    monitor = ac.Monitor(detector, threshold=threshold)
    levels, deadlines = [], []
    for i, now in enumerate(trace.arrivals.tolist()):
        levels.append(monitor.level(now=now))
        monitor.heartbeat(
            now=now,
            sequence=None if trace.sequence is None else int(trace.sequence[i]),
            epoch=None if trace.epoch is None else int(trace.epoch[i]),
        )
        deadline = monitor.deadline()
        deadlines.append(NEVER if deadline is None else deadline)
    return levels, deadlines, monitor


each_detector = pytest.mark.parametrize("name", DETECTORS)  # so that each is drawn often, however many there are


@each_detector
@given(any_trace, st.data(), st.sampled_from([-0.5, 1e-20, 0.1, 1.0, 3.0, 8.0, 300.0]))
def test_one_at_a_time_equals_the_whole_trace(name, trace, data, threshold):
    detector = data.draw(DETECTORS[name])
    levels, deadlines, monitor = one_at_a_time(trace, detector, threshold)
    replayed = ac.replay(trace, detector)
    np.testing.assert_array_equal(ac.levels(trace, detector), levels)
    np.testing.assert_array_equal(replayed.levels, levels)
    np.testing.assert_array_equal(replayed.deadlines(threshold), deadlines)
    assert monitor.ignored == replayed.chain.ignored
    assert monitor.clock_steps == replayed.chain.clock_steps
    assert monitor.restarts == replayed.chain.restarts


@given(any_trace, detectors, st.sampled_from([0.1, 1.0, 3.0, 8.0]))
def test_a_deadline_is_the_first_ns_of_suspicion(trace, detector, threshold):
    _, _, monitor = one_at_a_time(trace, detector, threshold)
    deadline = monitor.deadline()
    if deadline is not None:
        assert monitor.suspected(now=deadline)
        assert monitor.level(now=deadline) >= threshold
        assert deadline == monitor.last or not monitor.suspected(now=deadline - 1)
        assert deadline == monitor.last or monitor.level(now=deadline - 1) < threshold


@given(any_trace, detectors, st.lists(st.integers(0, 10**12), min_size=2, max_size=20))
def test_levels_never_fall_in_silence(trace, detector, waits):
    _, _, monitor = one_at_a_time(trace, detector, 1.0)
    levels = [monitor.level(now=monitor.last + wait) for wait in sorted(waits)]
    assert (np.isnan(levels).all()) or levels == sorted(levels)


# ---- many peers == one peer, many times -----------------------------------------------------------------------------


@st.composite
def crowds(draw):
    """Heartbeats of a few peers, interleaved at random, whatever befalls each of them; cut into batches at random."""
    stories = draw(st.lists(any_trace, min_size=1, max_size=5))
    turns = draw(st.permutations([peer for peer, story in enumerate(stories) for _ in range(len(story))]))
    cuts = sorted(draw(st.sets(st.integers(1, len(turns)), max_size=5)) | {len(turns)})
    return stories, turns, cuts


def in_batches(bank, stories, turns, cuts):
    """Feed a bank, each peer's heartbeats in the order of its story; yields after every batch what it returned."""
    told, low = [0] * len(stories), 0
    for high in cuts:
        beats = []
        for peer in turns[low:high]:
            beats.append((peer, told[peer]))
            told[peer] += 1
        low = high
        # One batch has numbers, and epochs, or it has none: a batch for each kind, as they come.
        for kind, some in itertools.groupby(
            beats, lambda beat: (stories[beat[0]].sequence is None, stories[beat[0]].epoch is None)
        ):
            some = list(some)
            unnumbered, undated = kind
            yield (
                some,
                bank.heartbeat(
                    [peer for peer, _ in some],
                    [int(stories[peer].arrivals[i]) for peer, i in some],
                    None if unnumbered else [int(stories[peer].sequence[i]) for peer, i in some],
                    None if undated else [int(stories[peer].epoch[i]) for peer, i in some],
                ),
            )


def assert_alike(bank, monitors, instants):
    """Deadlines, levels and suspects of a bank are those of as many monitors, bit for bit."""
    deadlines = [NEVER if m.deadline() is None else m.deadline() for m in monitors]
    np.testing.assert_array_equal(bank.deadlines, deadlines)
    for now in instants:
        np.testing.assert_array_equal(bank.levels(now), [m.level(now=now) for m in monitors])
        suspected = bank.suspected(now)
        np.testing.assert_array_equal(suspected, [k for k, m in enumerate(monitors) if m.suspected(now=now)])
        assert suspected.dtype == np.int64


@each_detector
@given(crowds(), st.data(), st.sampled_from([-1.0, 0.0, 1e-20, 0.1, 1.0, 3.0, 8.0, 300.0, math.inf]))
def test_many_peers_equal_one_at_a_time(name, crowd, data, threshold):
    detector = data.draw(DETECTORS[name])
    stories, turns, cuts = crowd
    bank = ac.Bank(detector, peers=len(stories) + 1, threshold=threshold)  # the last one never speaks
    monitors = [ac.Monitor(detector, threshold=threshold) for _ in range(len(stories) + 1)]
    last = max(int(story.arrivals.max()) for story in stories)
    for beats, accepted in in_batches(bank, stories, turns, cuts):
        expected = [
            monitors[peer].heartbeat(
                now=int(stories[peer].arrivals[i]),
                sequence=None if stories[peer].sequence is None else int(stories[peer].sequence[i]),
                epoch=None if stories[peer].epoch is None else int(stories[peer].epoch[i]),
            )
            for peer, i in beats
        ]
        np.testing.assert_array_equal(accepted, expected)
        assert_alike(bank, monitors, [monitors[beats[0][0]].last])
    # Between the heartbeats, when some peers' last one is yet to come, and long after.
    assert_alike(bank, monitors, [last // 2, last, last + 10**8, last + 10**12])
    for name in ("accepted", "ignored", "clock_steps", "restarts", "unlearned"):
        assert getattr(bank, name) == sum(getattr(m, name) for m in monitors)
    bank.threshold = 2.0
    for m in monitors:
        m.threshold = 2.0
    assert_alike(bank, monitors, [last + 10**7])


def test_a_bank_larger_than_its_blocks_equals_replay(tier):
    """Thousands of peers, so that batches, blocks and prefetching all come round more than once."""
    arrivals = np.cumsum(long_trace()[:33_000].reshape(11, 3000) % 10**9, axis=0)  # 3,000 peers, 11 heartbeats each
    detector = ac.PhiNormal(window=7)
    bank = ac.Bank(detector, peers=3000, threshold=3.0)
    order = np.argsort(lehmer(3000))
    for row in arrivals:
        assert bank.heartbeat(order, row[order]).all()
    now = int(arrivals.max())
    replays = [ac.replay(np.append(arrivals[:, k], now), detector) for k in range(3000)]
    np.testing.assert_array_equal(bank.levels(now), [r.levels[-1] for r in replays])
    np.testing.assert_array_equal(bank.deadlines, [r.deadlines(3.0)[-2] for r in replays])
    for instant in np.quantile(bank.deadlines, [0, 0.001, 0.05, 0.5, 1]).astype(int).tolist():
        due = np.flatnonzero(bank.deadlines <= instant) if instant >= now else None
        if due is not None:
            np.testing.assert_array_equal(bank.suspected(instant), due)


@pytest.mark.parametrize("share", [0.001, 0.1, 1.0])
def test_levels_beyond_the_table_in_blocks(tier, share):
    """z > 8 takes another way, with few or with many of its kind in a block: the bits of the law's own level."""
    rng = np.random.default_rng(8)
    far = np.exp(rng.uniform(math.log(8), math.log(1e6), 3000))
    z = np.where(rng.random(3000) < share, far, rng.uniform(-2, 8, 3000))
    elapsed = ((z + 2) * 1e9).astype(np.int64)
    now = int(elapsed.max()) + 10**10
    bank = ac.Bank(ac.PhiNormal(window=2), peers=3000)
    for before in (4, 3, 0):  # intervals of 1 s and 3 s: mean 2 s, deviation 1 s
        bank.heartbeat(np.arange(3000), now - elapsed - before * 10**9)
    law = engine.Detector(law="normal")
    np.testing.assert_array_equal(bank.levels(now), [law.level((e - 2 * 10**9) / 10**9) for e in elapsed.tolist()])


# ---- blocks, threads, tiers ------------------------------------------------------------------------------------------


def lehmer(count, seed=1):
    """Uniform integers below 2^31 that no library version changes."""
    values = np.empty(count, np.int64)
    state = seed
    for i in range(count):
        state = state * 48271 % 2147483647
        values[i] = state
    return values


def long_trace():
    """40,000 heartbeats of 100 ms with jitter, gaps up to an hour, equal instants, a change of period."""
    intervals = 10**8 + lehmer(40_000) // 1000 - 10**6
    intervals[5000:5010] = [0, 1, 2, 10**9, 2**32 - 1, 2**32, 2**33, 3600 * 10**9, 0, 0]
    intervals[20_000:] //= 7
    return np.cumsum(intervals)


def digest(array):
    return hashlib.sha256(np.ascontiguousarray(array).tobytes()).hexdigest()


def test_equal_bits_on_every_tier_and_build(tier):
    """Not only equal to each other here: equal to what is written down, on any machine."""
    arrivals = long_trace()
    found = {}
    for window in (3, 100, 1000):
        replayed = ac.replay(arrivals, ac.PhiNormal(window=window))
        found[f"levels {window}"] = digest(ac.levels(arrivals, replayed.detector))
        found[f"deadlines {window}"] = digest(replayed.deadlines(8.0))
        np.testing.assert_array_equal(replayed.levels, ac.levels(arrivals, replayed.detector))
    for detector in (
        *(ac.PhiLogistic(window=100), ac.PhiExponential(window=100), ac.PhiStudent(window=100)),
        *(ac.Empirical(window=100), ac.Chen(window=100), ac.TwoWindow(period=0.1, long=100)),
        *(ac.Bertier(period=0.1, window=100), ac.ExpectedArrival(scale=0.02)),
    ):
        replayed = ac.replay(arrivals[:8000], detector)
        found[f"levels {detector}"] = digest(replayed.levels)
        found[f"deadlines {detector}"] = digest(replayed.deadlines(8.0))
        np.testing.assert_array_equal(replayed.levels, ac.levels(arrivals[:8000], detector))
    assert found == json.loads((Path(__file__).parents[1] / "golden" / "bits.json").read_text()), tier


def test_long_traces_equal_the_stream(tier):
    arrivals = long_trace()[:12_000]
    detector = ac.PhiNormal(window=700)
    levels, deadlines, _ = one_at_a_time(ac.Trace(arrivals), detector, 8.0)
    np.testing.assert_array_equal(ac.levels(arrivals, detector), levels)
    np.testing.assert_array_equal(ac.replay(arrivals, detector).deadlines(8.0), deadlines)


def test_threads_change_nothing():
    arrivals = np.concatenate([long_trace(), long_trace() + 10**15, long_trace() + 10**16, long_trace() + 2 * 10**16])
    for detector in (ac.PhiNormal(window=1000), ac.FixedTimeout(period=0.1)):
        alone = ac.levels(arrivals, detector)
        for threads in (2, 3, 8):
            np.testing.assert_array_equal(ac.levels(arrivals, detector, threads=threads), alone)


@given(st.integers(0, 39_998), st.integers(0, 39_998), st.sampled_from([2, 50, 1000]))
def test_any_piece_of_a_trace_has_the_bits_of_the_whole(a, b, window):
    low, high = min(a, b), max(a, b)
    arrivals, detector = ARRIVALS, ac.PhiNormal(window=window)
    out = np.full(len(arrivals), -1.0)
    assert engine.levels(detector.compiled, arrivals, 0, low, high, out) == -1
    np.testing.assert_array_equal(out[low + 1 : high + 1], WHOLE[window][low + 1 : high + 1])
    assert (out[: low + 1] == -1).all()
    assert (out[high + 1 :] == -1).all()


ARRIVALS = long_trace()
WHOLE = {window: ac.levels(ARRIVALS, ac.PhiNormal(window=window)) for window in (2, 50, 1000)}


def test_ranges_outside_the_arrays_are_refused():
    compiled = ac.PhiNormal().compiled
    with pytest.raises(IndexError):
        engine.levels(compiled, ARRIVALS, 0, 0, len(ARRIVALS), np.empty(len(ARRIVALS)))
    with pytest.raises(IndexError):
        engine.levels(compiled, ARRIVALS, 5, 0, 10, np.empty(len(ARRIVALS)))
    with pytest.raises(IndexError):
        engine.states(compiled, ARRIVALS, 0, 0, 10, np.empty(3, np.int32), np.empty(3, np.int64), np.empty(3))
