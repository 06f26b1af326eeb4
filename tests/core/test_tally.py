"""What a curve adds up: the pass through blocks against the one interval by interval, table by table."""

import math

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

import accrual as ac
from accrual.core import engine
from accrual.core.engine import EARLY, LATE, RESUMED, TOTAL

TABLES = ("late", "early", "resumed", "whole")
TIERS = [name for name, number in engine.TIERS.items() if number <= engine.TIERS[engine.tier()]]


class Tables:
    """A tally and the memory that it fills."""

    def __init__(self, z, number=0, elapsed=0, previous=math.nan):
        self.late = np.zeros((len(z) + 1, LATE["columns"]), np.int64)
        self.early = np.zeros((len(z) + 1, EARLY["columns"]), np.int64)
        self.resumed = np.zeros((len(z), RESUMED["columns"]), np.int64)
        self.whole = np.zeros(TOTAL["columns"], np.int64)
        for table, names in ((self.late, LATE), (self.resumed, RESUMED)):
            table[:, names["first"]] = table[:, names["last"]] = -1
        self.resumed[:, RESUMED["lead"]] = -1
        cells = np.zeros(64, np.int32)
        self.tally = engine.Tally(z, self.late, self.early, self.resumed, self.whole, cells, number, elapsed, previous)

    def everything(self):
        return [*(getattr(self, name) for name in TABLES), np.array([self.tally.previous, self.tally.elapsed])]


def states(compiled, arrivals):
    size = len(arrivals)
    found = np.empty(size, np.int32), np.empty(size, np.int64), np.empty(size)
    assert engine.states(compiled, arrivals, 0, 0, size - 1, *found) == -1
    return found


plain_detectors = st.one_of(
    st.builds(ac.FixedTimeout, period=st.sampled_from([0.05, 0.1, 2.0])),
    st.builds(
        ac.PhiNormal,
        window=st.sampled_from([1, 3, 40, 200]),
        min_samples=st.just(1),
        min_deviation=st.sampled_from([0.0, 0.01, 999.0, 1001.0, 9e6]),
        pause=st.sampled_from([0.0, 0.02, 8.0, 9.0]),
    ),
    st.builds(ac.PhiLogistic, window=st.sampled_from([3, 40]), pause=st.sampled_from([0.0, 0.02])),
    st.builds(ac.PhiExponential, window=st.sampled_from([3, 40])),
)
thresholds = st.lists(st.sampled_from([-1.0, 0.0, 0.05, 0.2, 0.301, 1.0, 3.0, 8.0, 40.0, math.inf]), min_size=1)
LIMIT = engine.SCORED_LIMIT
NARROW = ac.PhiNormal(window=3, min_samples=1)
RISING = np.cumsum([-(2**61), *(LIMIT - 100 + 10 * np.arange(60))])  # past what is scored, where blocks go already
WIDE = ac.PhiNormal(window=3, min_samples=1, min_deviation=9e6)


@st.composite
def arrivals(draw):
    """Blocks of them: jitter, losses, runs of equal instants; or intervals about the longest that are scored."""
    rng = np.random.default_rng(draw(st.integers(0, 2**32)))
    base = draw(st.sampled_from([10**8] * 6 + [LIMIT // 2, LIMIT - 2**32, LIMIT - 2**20, LIMIT + 2**20]))
    n = draw(st.integers(1, 1500)) if base == 10**8 else draw(st.integers(1, 200))
    intervals = base + rng.integers(-(10**5), 10**5, n)
    odd = rng.random(n)
    intervals[odd < draw(st.sampled_from([0.0, 0.01, 0.3]))] += draw(st.sampled_from([10**8, 2 * 10**9, 10**10]))
    intervals[odd > draw(st.sampled_from([1.0, 0.99, 0.5]))] = 0
    low = draw(st.integers(0, n - 1))
    cut = draw(st.integers(low, n))
    return np.cumsum([-(2**61), *intervals]), low, cut


@given(plain_detectors, arrivals(), thresholds, st.sampled_from([math.nan, -50.0, -0.5, 0.0, 3.0, math.inf]))
@example(ac.FixedTimeout(period=0.1), (np.arange(1500) * 10**8, 0, 700), [0.5, 1.0, 2.0], math.nan)
@example(NARROW, (np.arange(1500) * 10**8, 0, 700), [0.05, 3.0], math.nan)
@example(WIDE, (np.cumsum(10**8 + np.arange(1500) % 9), 600, 700), [0.301, 3.0], math.nan)
@example(NARROW, (RISING, 5, 8), [3.0], math.nan)
def test_blocks_put_down_what_single_intervals_do(detector, given_arrivals, levels, previous):
    """Row by row: counts, sums, starts, leads; and where an interval is refused, the same one, for the same reason."""
    arrivals, low, cut = given_arrivals
    compiled, high = detector.compiled, len(arrivals) - 1
    z = np.unique([compiled.inverse(level) for level in levels])
    known = states(compiled, arrivals)
    single, blocks = (Tables(z, 5, 77, previous) for _ in range(2))
    refused = single.tally.add(compiled, *known, np.arange(low, high), np.diff(arrivals[low:]))
    for piece in ((low, cut), (cut, high)):
        bad, too_long = blocks.tally.add_chain(compiled, arrivals, *piece)
        if bad >= 0:
            break
    assert (bad, too_long) == ((low + refused, True) if refused >= 0 else (-1, False))
    for one, other in zip(single.everything(), blocks.everything(), strict=True):
        np.testing.assert_array_equal(one, other)


@pytest.mark.parametrize("tier", TIERS)
def test_tables_are_those_of_single_intervals_on_every_tier(tier):
    before = engine.tier()
    rng = np.random.default_rng(5)
    intervals = rng.gamma(4, 25_000_000, 5000).astype(np.int64)
    intervals[rng.random(5000) < 0.1] = 0
    arrivals = np.cumsum(intervals)
    compiled = ac.PhiNormal(window=100, min_samples=1).compiled
    known = states(compiled, arrivals)
    z = np.linspace(-2, 2.5, 40)
    single, blocks = Tables(z), Tables(z)
    single.tally.add(compiled, *known, np.arange(4999), np.diff(arrivals))
    try:
        engine.tier(tier)
        assert blocks.tally.add_chain(compiled, arrivals, 0, 4999) == (-1, False)
    finally:
        engine.tier(before)
    assert blocks.late[1:, LATE["count"]].all()  # every row was reached
    assert blocks.early[:, EARLY["count"]].sum() > 100
    for one, other in zip(single.everything(), blocks.everything(), strict=True):
        np.testing.assert_array_equal(one, other)


def test_wide_sums_carry():
    """Location sums beyond 64 bits, which a trace of billions of long waits has."""
    compiled = ac.PhiNormal(window=2, min_samples=1).compiled
    tables = Tables(np.array([1.0]))
    n, total = 200, LIMIT - 1
    state = np.zeros(n, np.int64)
    known = np.array([1], np.int32), np.array([total]), np.array([float(2**40)])
    assert tables.tally.add(compiled, *known, state, np.full(n, 2**53)) == -1
    low, high = tables.whole[TOTAL["location"] : TOTAL["location"] + 2].tolist()
    assert (high << 64) + low % 2**64 == n * total * engine.FIXED_UNITS
    assert high > 0


# ---- bad arguments: never a crash ------------------------------------------------------------------------------------


SAMPLE = ac.Empirical(window=3).compiled


def test_numbers_of_no_state_are_refused():
    compiled = ac.PhiNormal(window=3, min_samples=1).compiled
    known, out, elapsed = states(compiled, np.arange(4) * 100), np.empty(2), np.zeros(2, np.int64)
    for wrong in (4, 2**62, -2, -(2**63)):
        state = np.array([0, wrong])
        with pytest.raises(IndexError, match=r"state\[1\] = .* is no state: there are 4, numbered from 0"):
            engine.latenesses(compiled, *known, state, elapsed, out)
        with pytest.raises(IndexError, match=r"state\[1\] = .* is no state: there are 4, numbered from 0"):
            engine.levels_of_lateness(compiled, known[0], state, out)
        with pytest.raises(IndexError, match=r"state\[1\] = .* is no state: there are 4, numbered from 0"):
            engine.outlived(SAMPLE, np.arange(4), np.zeros(1, np.int64), state, elapsed, out)
        with pytest.raises(IndexError, match=r"state\[1\] = .* is no state"):
            Tables(np.array([1.0])).tally.add(compiled, *known, state, np.ones(2, np.int64))
    with pytest.raises(IndexError, match=r"state\[0\] = -1 is no state"):
        Tables(np.array([1.0])).tally.add(compiled, *known, np.array([-1]), np.ones(1, np.int64))
    engine.latenesses(compiled, *known, np.array([-1, 3]), elapsed, out)
    assert np.isnan(out[0])
    assert not np.isnan(out[1])
    for short in range(3):
        some = [array[:1] if k == short else array for k, array in enumerate(known)]
        with pytest.raises(IndexError, match="arrays of different lengths"):
            engine.latenesses(compiled, *some, np.array([0, 3]), elapsed, out)


def test_arrays_of_expectations_and_samples_that_are_too_short_are_refused():
    chen, short, long = ac.Chen(period=1, window=3).compiled, np.zeros(3, np.int64), np.zeros(9, np.int64)
    for numbers, high in ((short, 8), (long, 9), (long, 8)):
        with pytest.raises(IndexError, match="expectations: range outside the chain"):
            engine.expectations(chen, long, numbers, 0, 0, high, np.empty(3, np.int32), short, np.empty(3))
    with pytest.raises(IndexError, match="outlived: arrays of different lengths"):
        engine.outlived(SAMPLE, long, short[:1], long, long, np.empty(3))
    for low in (-1, 7):
        with pytest.raises(IndexError, match="waits: arrays of different lengths"):
            engine.waits(SAMPLE, long, short[:1], low, np.empty(3), 0, short)
    with pytest.raises(IndexError, match="accept_all: arrays of the wrong lengths"):
        engine.accept_all(chen, long, None, None, long.copy(), short, short.copy(), long.copy(), long.copy())


def test_a_past_that_does_not_fit_is_refused():
    compiled, arrivals = ac.PhiNormal().compiled, np.arange(3)
    chain, numbers, state, latest = np.arange(9), np.empty(0, int), np.empty(3, int), np.empty(3, int)
    for known, starts in ((-1, 1), (4, 1), (1, 0)):
        with pytest.raises(IndexError, match="accept_all: arrays of the wrong lengths"):
            engine.accept_all(
                compiled, arrivals, None, None, chain, numbers, np.empty(starts, int), state, latest, known
            )
    chen, columns = ac.Bertier(period=1).compiled, (np.empty(3, np.int32), np.empty(3, int), np.empty(3))
    for schedule in ([], [0.0], [math.nan, 0.0], [0.0, -1.0]):
        with pytest.raises(ValueError):  # noqa: PT011  # of unpacking, or the schedule's own
            engine.expectations(chen, arrivals, arrivals, 0, 0, 2, *columns, schedule, 2)
    assert engine.expectations(chen, arrivals, arrivals, 0, 0, 2, *columns, None, 3) is None
    assert engine.expectations(chen, arrivals, arrivals, 0, 0, 2, *columns, [0.5, 0.25], 0) == [0.5, 0.25]


def test_columns_that_are_too_short_are_refused():
    compiled = ac.PhiNormal().compiled
    arrivals, short = np.arange(9), np.arange(3)
    for columns in ((short, None), (None, short)):
        with pytest.raises(IndexError, match="every_heartbeat_counts: arrays of different lengths"):
            engine.every_heartbeat_counts(arrivals, *columns)
        with pytest.raises(IndexError, match="accept_all: arrays of the wrong lengths"):
            engine.accept_all(compiled, arrivals, *columns, *np.empty((5, 9), int))


@pytest.mark.parametrize(
    "wrong",
    [
        *({"window": window} for window in (-1, 0, 2**24 + 1, 2**62)),
        *({"min_samples": samples} for samples in (0, -1)),
        *({"pause": pause} for pause in (-1, 2**62)),
        *({name: value} for name in ("floor", "scale", "weight", "prior") for value in (math.nan, math.inf)),
        {"weight": -1.0},
        {"prior": -1.0},
        {"seeds": (1, 2, 3)},
        {"seeds": (-1,)},
        {"seeds": (2**61, 2**61)},
        {"longest": -1},
        {"unlearned": math.nan},
        {"law": "student", "min_samples": 1},
        *({"kind": kind, "period": 0} for kind in ("later", "margin")),
    ],
    ids=str,
)
def test_parameters_that_the_loops_could_not_bear_are_refused(wrong):
    name = list(wrong)[-1]
    with pytest.raises(ValueError, match=f"Detector: {name} is out of bounds, got "):
        engine.Detector(**{"law": "normal", "kind": "window", "window": 3, "min_samples": 2, **wrong})


def test_a_constant_has_no_window():
    with pytest.raises(ValueError, match="Detector: window is out of bounds, got 3"):
        engine.Detector(law="linear", window=3)
