"""Comparison at equal detection time against brute force, closed forms and the coverage of its intervals."""

import functools
import json
import math

import numpy as np
import oracle
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from strategies import detectors, traces

import accrual as ac
from accrual.blocks import Blocks, poisson_interval
from accrual.matching import match
from accrual.qos import Scoring
from accrual.replay import full_from

MS = 1_000_000


@functools.cache
def bursty():
    """20,000 heartbeats 0.1 s apart, 1 % lost in bursts of five, exponential delays."""
    return ac.synthesize(20_000, delay="exponential:mean=10ms", loss="gilbert:loss=0.01,burst=5", seed=7)


ALL = [
    ac.PhiNormal(window=200),
    ac.PhiLogistic(window=200),
    ac.PhiStudent(window=50),
    ac.Chen(period=0.1),
    ac.Chen(window=50),
    ac.TwoWindow(period=0.1, long=200),
    ac.Bertier(period=0.1, window=200),
    ac.ExpectedArrival(),
]


# ---- the search ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("at", ["mean", "p99"])
def test_every_detector_has_the_wanted_detection_time(at):
    name = {"mean": "detection_time", "p99": "detection_time_p99"}[at]
    found = ac.compare(bursty(), ALL, [0.13, 0.25, 1.0], at=at)
    assert len(found.rows) == 3 * 10
    for row in found.rows:
        assert row.refused == ""
        assert getattr(row.qos, name) == pytest.approx(row.wanted, rel=2e-9)
        again = ac.qos(bursty(), row.detector, row.threshold, skip=found.skip)
        assert row.qos == again  # the figures are those of the real curve


def test_a_share_has_only_the_thresholds_that_its_window_has():
    found = ac.compare(bursty(), [ac.Empirical(window=50)], np.linspace(0.1, 1, 50))
    rows = [row for row in found.rows if row.detector.name == "empirical"]
    times = ac.curve(bursty(), ac.Empirical(window=50), np.arange(1, 51) / 50, skip=found.skip).detection_time
    for row in rows:
        nearest = times[np.argmin(abs(times - row.wanted))]
        if row.refused:
            assert "cannot be" in row.refused
            assert row.qos is None
        else:
            assert row.qos.detection_time == nearest == pytest.approx(row.wanted, rel=0.005)
    assert {bool(row.refused) for row in rows} == {True, False}
    assert "cannot be so slow" in rows[-1].refused


def test_a_standing_suspicion_is_no_fast_detection():
    """Half a millisecond after the mean delay: a timeout can, an expectation can only by never trusting."""
    found = ac.compare(bursty(), [ac.Chen(period=0.1)], detection_time=[0.005, 0.0105])
    assert {row.refused.partition(":")[0] for row in found.at_time(0.005)} == {"cannot be so fast"}
    fixed, _, chen = found.at_time(0.0105)
    assert fixed.qos.mistakes > 0.99 * fixed.qos.heartbeats
    assert chen.qos is None
    assert math.isnan(chen.threshold)
    assert "of the heartbeats would not end its suspicion" in chen.refused
    assert chen.refused in repr(found)


@given(detectors, st.lists(st.integers(MS, 900 * MS), min_size=60, max_size=90), st.floats(0.01, 3.0))
@settings(max_examples=60)
def test_the_search_against_the_oracle(detector, intervals, wanted):
    """Where it finds a threshold, the definitions give that detection time; a little more or less is not nearer."""
    trace = ac.Trace(np.cumsum(intervals))
    try:
        [point] = match(Scoring(trace, detector, skip=40), [wanted])
    except ac.TraceError:
        return
    if point.qos is None:
        assert point.refused
        return
    if detector.law != "linear" and detector.compiled.inverse(point.threshold, 4) < -8:
        return  # below, no law promises digits: a pause of 2.5 s and 2 s wanted are a level of 1e-300
    truth = oracle.qos(trace, detector, point.threshold, skip=40)
    near = 0.005 if detector.name == "empirical" else 1e-8
    assert float(truth.detection_time) == pytest.approx(wanted, rel=near)
    assert point.qos.mistakes == truth.mistakes


def test_default_detection_times_are_the_fixed_timeouts_error_shares():
    found = ac.compare(bursty(), [ac.PhiNormal(window=200)])
    fixed = [row for row in found.rows if row.detector.name == "fixed-timeout"]
    shares = [row.qos.mistakes / row.qos.heartbeats for row in fixed]
    assert shares == pytest.approx([0.05, 0.01, 0.001], abs=2e-4)
    [row] = [r for r in ac.compare(bursty()[:450], [ac.PhiNormal(window=200)]).rows if r.detector == fixed[0].detector]
    assert row.qos.mistakes / row.qos.heartbeats == pytest.approx(0.05, abs=4e-3)  # 1 % of 250 would be 2 mistakes


# ---- figures ---------------------------------------------------------------------------------------------------------


def test_independent_loss():
    """Between the jitter and two periods a fixed timeout errs at every burst: p (1 - p) / period (theory.md 5.1)."""
    trace = ac.synthesize(200_000, delay="exponential:mean=1ms", loss="independent:loss=0.02", seed=3)
    [fixed, multiple, *_] = ac.compare(trace, [ac.PhiNormal(window=100)], detection_time=0.15).rows
    expected = 0.02 * 0.98 / 0.1
    assert fixed.rate_low < expected < fixed.rate_high
    assert fixed.rate_high / fixed.rate_low < 1.1
    assert multiple.verdict == "no difference"
    assert fixed.dispersion == pytest.approx(1, abs=0.3)


def test_mistakes_in_bursts_have_longer_intervals():
    """Two minutes of jitter in an hour: the mistakes of 100 blocks are far from independent."""
    chance = np.random.default_rng(5)
    jitter = np.where(np.arange(36_000) % 12_000 < 400, 0.03, 0.001)
    arrivals = np.cumsum(np.round(chance.normal(0.1, jitter) * 1e9).astype(np.int64))
    [row, *_] = ac.compare(arrivals, [ac.FixedTimeout(period=0.1)], detection_time=0.12).rows
    low, high = poisson_interval(row.qos.mistakes)
    assert row.dispersion > 20
    assert row.rate_high - row.rate_low > 3 * (high - low) / row.qos.observed


def test_a_trace_without_a_mistake():
    arrivals = np.arange(10_001) * 100 * MS
    found = ac.compare(arrivals, [ac.FixedTimeout(period=0.1)], detection_time=0.2)
    for row in found.rows:
        assert row.qos.mistakes == 0
        assert row.rate_low == 0
        assert row.rate_high == row.qos.mistake_rate_upper == 3.0 / row.qos.observed
    assert [row.verdict for row in found.rows] == ["", "no difference"]
    assert f"< {3.0 / found.observed:.4g}" in repr(found)
    assert found.rows[0].to_dict()["mistake_duration"] is None


def test_counts_of_the_blocks_are_the_mistakes():
    found = ac.compare(bursty(), [*ALL, ac.Empirical(window=50)], [0.13, 0.16, 0.5])
    for row in found.rows:
        if row.qos is not None:
            assert found._counts[row.detector, row.wanted].sum() == row.qos.mistakes


def test_difference_of_any_two():
    chen, normal = ac.Chen(period=0.1), ac.PhiNormal(window=200)
    found = ac.compare(bursty(), [chen, normal], 0.13)
    fixed = found.detectors[0]
    [row] = [row for row in found.rows if row.detector == chen]
    assert found.difference(chen, fixed, 0.13) == (row.ratio, row.ratio_low, row.ratio_high)
    ratio, low, high = found.difference(chen, normal, 0.13)
    assert low < ratio < high < 1
    assert found.difference(chen, chen, 0.13) == (1, 1, 1)
    mistakes = {row.detector: row.qos.mistakes for row in found.rows}
    assert ratio == (mistakes[chen] + 0.5) / (mistakes[normal] + 0.5)
    with pytest.raises(ValueError, match=r"one of 0\.13, got 0\.14"):
        found.difference(chen, normal, 0.14)
    with pytest.raises(ValueError, match="one of those compared, got bertier"):
        found.difference(chen, ac.Bertier(period=0.1), 0.13)


def test_fixed_timeout_and_multiple_of_the_mean_are_always_there():
    names = [d.name for d in ac.compare(bursty(), ac.Chen(window=50), 0.15).detectors]
    assert names == ["fixed-timeout", "phi-exponential", "chen"]
    mine = [ac.PhiExponential(window=30), ac.FixedTimeout(period=7.0)]
    assert ac.compare(bursty(), [*mine, *mine], 0.15).detectors == mine[::-1]
    bare = ac.Trace(bursty().arrivals)  # which does not tell its period
    assert ac.compare(bare, ac.Chen(), 0.15).detectors[0].period == pytest.approx(0.1, rel=0.1)


def test_observation_starts_where_all_windows_are_full():
    found = ac.compare(bursty(), [ac.PhiNormal(window=300), ac.PhiStudent(window=50)], 0.15)
    assert found.skip == full_from(bursty(), [ac.PhiNormal(window=300)]) == 300
    assert ac.compare(bursty(), [ac.PhiNormal(window=300)], 0.15, skip=500).skip == 500
    swapped = np.arange(1000) * 100 * MS
    trace = ac.Trace(swapped, sequence=[0, 2, 1, *range(3, 1000)])
    assert full_from(trace, [ac.PhiNormal(window=10)]) == 11  # one of them does not count
    assert full_from(trace, [ac.Chen(period=0.1, window=10)]) == 10  # ten heartbeats have nine intervals
    assert full_from(trace, [ac.ExpectedArrival()]) == 0  # which has no window
    assert full_from(trace, [ac.PhiExponential(window=10, first_interval=1.0)]) == 10  # and here one is given


def test_a_level_that_stops_learning_is_compared_and_named():
    found = ac.compare(bursty(), [ac.PhiLogistic(window=100, learn_below=8.0)], 0.15)
    assert "phi-logistic learns below a level of 8, whatever its threshold here" in found.notes


def test_the_law_is_no_ranking():
    """Normal, logistic and Student over the same full window: three scales of one detector (theory.md 2.3)."""
    laws = [ac.PhiNormal(window=200), ac.PhiLogistic(window=200), ac.PhiStudent(window=200)]
    found = ac.compare(bursty(), laws, [0.12, 0.15, 0.3])
    for time in found.detection_times:
        normal, *others = [row for row in found.at_time(time) if row.detector in laws]
        for row in others:
            assert row.qos.mistakes == normal.qos.mistakes
            assert row.threshold != normal.threshold
            assert row.qos.query_accuracy == pytest.approx(normal.qos.query_accuracy, rel=1e-9)


# ---- chance ----------------------------------------------------------------------------------------------------------


def test_the_same_seed_gives_the_same_and_threads_change_nothing():
    first = ac.compare(bursty(), ALL, 0.15, seed=3)
    assert first.to_dict() == ac.compare(bursty(), ALL, 0.15, seed=3, threads=4).to_dict()
    other = ac.compare(bursty(), ALL, 0.15, seed=4)
    assert first.rows[2].qos == other.rows[2].qos
    assert first.rows[2].ratio == other.rows[2].ratio
    assert first.rows[2].ratio_high != other.rows[2].ratio_high


def test_intervals_of_the_rate_hold_the_truth():
    """Bursts of mistakes at random: their true rate is in 95 % of the intervals, of Poisson's in far fewer."""
    held = naive = 0
    trials, blocks = 300, 60
    chance = np.random.default_rng(11)
    scoring = Scoring(ac.Trace(np.arange(blocks * 100 + 1) * MS), ac.FixedTimeout(period=0.001))
    cut = Blocks(scoring, length=0.1)
    assert cut.count == blocks
    for _ in range(trials):
        counts = chance.poisson(0.5, blocks) * 8  # half a burst of eight in each block
        low, high = cut.interval(counts)
        held += low <= 0.5 * 8 * blocks <= high
        low, high = poisson_interval(int(counts.sum()))
        naive += low <= 0.5 * 8 * blocks <= high
    assert held / trials > 0.91
    assert naive / trials < 0.6


@pytest.mark.parametrize("regimes", [None, "every=30,lasts=10,delay=exponential:mean=60ms"])
def test_intervals_of_synthetic_traces_hold_the_truth(regimes):
    """Bursts of losses, whose rate is known, and jitter that comes for ten seconds, whose rate a long trace tells."""
    path = {"loss": "gilbert:loss=0.02,burst=5", "base": 0.01, "regimes": regimes}
    fixed, truth = ac.FixedTimeout(period=0.1), 0.02 / 5 / 0.1
    if regimes is not None:
        truth = ac.qos(ac.synthesize(1_000_000, seed=0, **path), fixed, 1.5).mistake_rate
    held = 0
    for seed in range(1, 81):
        trace = ac.synthesize(12_000, seed=seed, **path)
        row = ac.compare(ac.Trace(trace.arrivals, trace.sequence), [fixed], detection_time=0.15, block=60).rows[0]
        held += row.rate_low <= truth <= row.rate_high
    assert held >= 80 * 0.9


def test_two_of_a_kind_seldom_differ():
    """Two detectors with the same law of mistakes: 5 % of the verdicts may be wrong; of few mistakes fewer are."""
    chance = np.random.default_rng(12)
    cut = Blocks(Scoring(ac.Trace(np.arange(6001) * MS), ac.FixedTimeout(period=0.001)), length=0.1)
    for rate, most in ((0.02, 0.02), (0.2, 0.07), (2.0, 0.08)):
        wrong = 0
        for _ in range(400):
            _, low, high = cut.ratio(chance.poisson(rate, 60) * 3, chance.poisson(rate, 60) * 3)
            wrong += not low <= 1 <= high
        assert wrong / 400 <= most


def test_half_the_mistakes_are_told():
    chance = np.random.default_rng(13)
    cut = Blocks(Scoring(ac.Trace(np.arange(6001) * MS), ac.FixedTimeout(period=0.001)), length=0.1)
    some = chance.poisson(2, 60)
    ratio, low, high = cut.ratio(chance.binomial(some, 0.5), some)
    assert low < ratio < high < 1
    assert low < 0.5 < high


def test_five_blocks_that_differ_are_no_difference():
    cut = Blocks(Scoring(ac.Trace(np.arange(6001) * MS), ac.FixedTimeout(period=0.001)), length=0.1)
    few, more = np.zeros(60, int), np.zeros(60, int)
    more[:5] = 9
    assert cut.ratio(few, more)[2] == 1
    more[5] = 9
    assert cut.ratio(few, more)[2] < 1


def test_poisson_interval():
    """Garwood's, as tables have it."""
    assert poisson_interval(0) == (0, pytest.approx(3.689, abs=1e-3))
    assert poisson_interval(3) == (pytest.approx(0.619, abs=1e-3), pytest.approx(8.767, abs=1e-3))


def test_blocks_are_longer_than_the_longest_outage():
    arrivals = np.arange(30_000) * 100 * MS
    arrivals[15_000:] += 20_000 * MS
    blocks = Blocks(Scoring(ac.Trace(arrivals), ac.FixedTimeout(period=0.1)))
    assert blocks.longest == pytest.approx(20.1)
    assert 20.1 < blocks.length < 3020 / 10
    assert blocks.index[0] == 0
    assert blocks.index[-1] == blocks.count - 1
    assert np.bincount(blocks.index, minlength=blocks.count).min() > 0


def test_one_enormous_outage_leaves_no_blocks():
    arrivals = np.arange(2000) * 100 * MS
    arrivals[1000:] += 3_600_000 * MS
    found = ac.compare(arrivals, [ac.PhiNormal(window=50)], 0.15)
    assert not found.blocks.enough
    assert found.rows[0].qos.mistakes == 1
    assert math.isnan(found.rows[0].rate_high)
    assert found.rows[1].verdict == "too short"
    assert any("no intervals" in note for note in found.notes)


# ---- forms -----------------------------------------------------------------------------------------------------------


def test_forms_of_a_comparison():
    pytest.importorskip("pandas")
    found = ac.compare(bursty(), [ac.PhiNormal(window=200)], [0.11, 0.15])
    as_dict = json.loads(json.dumps(found.to_dict(), allow_nan=False))
    assert [row["detector"] for row in as_dict["rows"]][:2] == [
        "fixed-timeout:period=0.1",
        "phi-exponential:window=200",
    ]
    assert as_dict["reference"] == "fixed-timeout:period=0.1"
    assert as_dict["rows"][0]["mistakes"] == found.rows[0].qos.mistakes
    frame = found.to_pandas()
    assert len(frame) == 6
    assert frame["wanted"].tolist() == [0.11] * 3 + [0.15] * 3
    text = repr(found)
    for word in ("equal mean detection time 0.11 s", "phi-normal:window=200", "no difference", "blocks of"):
        assert word in text
    assert "<table>" in found._repr_html_()
    assert [row.wanted for row in found.at_time(0.15)] == [0.15] * 3


def test_progress_is_told():
    steps = []
    ac.compare(bursty(), [ac.Chen(period=0.1)], 0.15, progress=steps.append)
    assert steps[0].startswith("1 of 3: fixed-timeout:period=0.1, threshold ")
    assert steps[-1].startswith("3 of 3: chen:period=0.1, threshold ")


@given(
    traces(st.integers(-(10**9), 3 * 10**9), min_size=1, max_size=60), detectors, st.sampled_from([0.07, 1.3, 9.0]),
    st.sampled_from(["mean", "p99"]), st.none() | st.integers(0, 70),
)  # fmt: skip
@settings(max_examples=150)
def test_whatever_befell_the_trace(trace, detector, wanted, at, skip):
    """Clocks set back, restarts, duplicates, losses: figures that agree with qos, or a TraceError."""
    try:
        found = ac.compare(trace, detector, wanted, at=at, skip=skip)
    except ac.TraceError as error:
        assert len(str(error).splitlines()) == 1  # noqa: PT017
        return
    json.dumps(found.to_dict(), allow_nan=False)
    assert found.heartbeats >= 1
    for row in found.rows:
        if row.qos is None:
            assert row.refused
            continue
        assert row.qos == ac.qos(trace, row.detector, row.threshold, skip=found.skip)
        assert found._counts[row.detector, row.wanted].sum() == row.qos.mistakes


# ---- bad input -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("times", [[], [0.1, math.nan], -1, 0, "0.1", [[0.1]], math.inf, None.__class__, True])
def test_detection_times_that_are_none(times):
    with pytest.raises(ValueError, match="detection_time must be one or more numbers of seconds above 0"):
        ac.compare(bursty(), [ac.PhiNormal()], times)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"at": "median"}, "at must be mean or p99"),
        ({"seed": -1}, "seed must be"),
        ({"seed": 1.5}, "seed must be"),
        ({"threads": 0}, "threads must be"),
        ({"skip": -1}, "skip must be"),
        ({"transit": -1}, "transit must be"),
        ({"block": 0.01}, "block must be longer than the longest interval"),
        ({"block": math.nan}, "block must be"),
    ],
)
def test_options_that_are_none(options, message):
    with pytest.raises(ValueError, match=message):
        ac.compare(bursty(), [ac.PhiNormal(window=50)], 0.15, **options)


@pytest.mark.parametrize("wrong", [[], ["phi-normal"], [8], [ac.PhiNormal]])
def test_detectors_that_are_none(wrong):
    with pytest.raises((TypeError, ValueError), match=r"detectors? must be"):
        ac.compare(bursty(), wrong, 0.15)


@pytest.mark.parametrize("n", [0, 1, 2, 50])
def test_traces_shorter_than_the_window(n):
    with pytest.raises(ac.TraceError, match=r"never fill|nothing to"):
        ac.compare(bursty()[:n], [ac.PhiNormal(window=50)])


def test_skip_beyond_the_end():
    with pytest.raises(ac.TraceError, match="nothing to score"):
        ac.compare(bursty(), [ac.PhiNormal(window=50)], skip=10**6)


def test_equal_instants():
    with pytest.raises(ac.TraceError, match="no time passes"):
        ac.compare(np.zeros(2000, int), [ac.PhiNormal(window=50)])
    with pytest.raises(ac.TraceError, match="no time passes"):
        ac.compare(ac.Trace(np.zeros(2000, int), period=1), [ac.PhiNormal(window=50)], 0.5)


def test_a_window_that_a_rule_never_fills():
    with pytest.raises(ac.TraceError, match="never fill"):
        ac.compare(bursty(), [ac.PhiExponential(window=50, max_interval=0.0)], 0.15)
