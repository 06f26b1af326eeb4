"""Quality of service against the letter of semantics.md, polling, and closed forms."""

import copy
import functools
import json
import math
import operator
import pickle
import sys
from fractions import Fraction

import numpy as np
import oracle
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from scipy import stats
from strategies import DETECTORS, detectors, traces

import accrual as ac
from accrual.core import engine
from accrual.replay import Chain

MS = 1_000_000
SEED = 1992
FIELDS = [name for name in ac.QoS.__dataclass_fields__ if name != "mistake_rate_upper"]

periods = st.sampled_from([0.1, 0.05, 2.0])
# Sub-ns differences between two roads to the same figure must not decide: instants are odd, thresholds are not round,
# and intervals so long that the 2^-8 ns of the package's sums are 1e-9 of them.
steps = st.one_of(
    st.integers(5 * 10**7, 3 * 10**8), st.sampled_from([10**8 + 1, 10**8 + 3, 7 * 10**9 + 1]), st.integers(-(10**9), -1)
)


def sending(arrivals):
    """Nothing, or instants of sending up to 0.1 s before the arrivals."""
    n = len(arrivals)
    return st.none() | st.lists(st.integers(0, 10**8), min_size=n, max_size=n).map(lambda d: arrivals - np.array(d))


any_trace = traces(steps, min_size=4, max_size=50, sent=sending, period=lambda arrivals: st.none() | periods)


def fields(qos):
    return {name: getattr(qos, name) for name in FIELDS}


def figures(found):
    """The oracle's exact figures as the package gives them.

    Where suspicions begin and end is rounded to 2^-8 ns, 4e-12 s, of the location and half of that times the lateness
    of the scale: of periods that may be short, no share of them.
    """
    return {
        name: pytest.approx(
            math.nan if value is None else float(value),
            rel=1e-9,
            abs=2e-10 if name in ("mistake_duration", "good_period") else 1e-12,
            nan_ok=True,
        )
        for name, value in ((name, getattr(found, name)) for name in FIELDS)
    }


@given(any_trace, detectors, st.sampled_from([0.17, 0.7321, 1.1234, 2.718, 7.77, 30.3]))
def test_every_field_is_what_the_definitions_say(trace, detector, threshold):
    expected = oracle.qos(trace, detector, threshold)
    assume(expected.heartbeats and expected.observed)
    # Student's detector waits for years after two intervals; where it is scored, 208 days are the longest wait.
    assume(max(expected.detection_times, default=0) < engine.SCORED_LIMIT)
    # Recurrence is measured along observed time; the oracle's raw instants differ where the clock went back.
    found = fields(ac.qos(trace, detector, threshold))
    expected = figures(expected)
    if (np.diff(trace.arrivals) < 0).any():
        for name in ("mistake_recurrence", "good_period"):
            del found[name], expected[name]
    assert found == expected


@given(any_trace, detectors, st.lists(st.floats(0.01, 40), min_size=1, max_size=30))
def test_a_curve_is_its_points(trace, detector, thresholds):
    try:
        curve = ac.curve(trace, detector, thresholds, quantiles=True)
    except ac.TraceError:  # too short to score
        return
    np.testing.assert_array_equal(curve.thresholds, thresholds)
    for point, threshold in zip(curve.points, thresholds, strict=True):
        np.testing.assert_equal(point.to_dict(), ac.qos(trace, detector, threshold).to_dict())
    np.testing.assert_array_equal(curve.mistakes, [point.mistakes for point in curve.points])


@given(any_trace, detectors, st.floats(0.31, 40) | st.sampled_from([0.5, 2 / 3, 0.75, 1.0]))
def test_mistakes_of_a_replay_are_those_of_its_qos(trace, detector, threshold):
    try:
        qos = ac.qos(trace, detector, threshold, skip=0)
    except ac.TraceError:
        return
    assert len(ac.replay(trace, detector).mistakes(threshold)) == qos.mistakes


@pytest.mark.parametrize("share", [0.5, 0.7, 0.9, 0.95, 0.999, 1.0])
def test_mistakes_of_a_replay_where_levels_have_steps(share):
    """Whole milliseconds: an interval is often as long as one of the window, and the level then exactly the share."""
    arrivals = np.cumsum(np.random.default_rng(1).integers(90, 110, 3000)) * MS
    replay, detector = ac.replay(arrivals, ac.Empirical(window=100)), ac.Empirical(window=100)
    assert len(replay.mistakes(share)) == ac.qos(arrivals, detector, share, skip=0).mistakes > 1


@given(
    st.lists(st.integers(1, 12) | st.integers(1, 200), min_size=4, max_size=60),
    st.sampled_from([ac.FixedTimeout(period=0.0101), ac.PhiNormal(window=5, min_deviation=0.0017)]),
    st.sampled_from([0.7321, 1.37, 2.718, 7.77]),
)
def test_mistakes_are_what_polling_finds(intervals, detector, threshold):
    """Ask every millisecond. Suspicions that fall between two questions go unseen, so they are left out of ours."""
    arrivals = np.cumsum([0, *intervals]) * MS
    found = ac.replay(arrivals, detector).mistakes(threshold)
    polled = oracle.poll(ac.Trace(arrivals), detector, threshold, MS)
    rounded = [(-(-start // MS) * MS, end) for start, end in zip(found.start.tolist(), found.end.tolist(), strict=True)]
    assert [(start, end) for start, end in rounded if start < end] == polled


def test_a_restart_at_the_end_ends_a_suspicion():
    """After it nothing is known, so the suspicion before it is over: its length counts in mistake_duration."""
    trace = ac.Trace(np.cumsum([0, 50, 50, 50, 100]) * MS, epoch=[0, 0, 0, 0, 1])
    assert ac.qos(trace, ac.PhiNormal(), 0.17).mistake_duration == pytest.approx((50e-3 + 2 * 0.457e-9) / 2)


# ---- closed forms (theory.md, section 5.1) ---------------------------------------------------------------------------


def normal_arrivals(n, mean=100 * MS, deviation=10 * MS):
    intervals = np.random.default_rng(SEED).normal(mean, deviation, n)
    return np.cumsum(intervals.round().astype(np.int64))


def test_mean_phi_just_before_a_heartbeat():
    """-log10 of a uniform variable has the mean 1/ln 10 when the law is right; a window of 2^17 almost knows it."""
    window, n = 1 << 17, 1 << 18
    levels = ac.levels(normal_arrivals(n), ac.PhiNormal(window=window))[window + 1 :]
    standard_error = 1 / math.log(10) / math.sqrt(len(levels))
    assert levels.mean() == pytest.approx(1 / math.log(10), abs=5 * standard_error)


@pytest.mark.parametrize(("threshold", "probability"), [(1, 0.118882), (2, 0.0196757), (3, 0.00420819)])
def test_small_windows_promise_too_much(threshold, probability):
    """Estimated mean and deviation, n = 20: the exact share of mistakes is Student's, not 10^-Phi."""
    n, count = 20, 400_000
    z = stats.norm.isf(10.0**-threshold)
    assert stats.t.sf(z * math.sqrt((n - 1) / (n + 1)), n - 1) == pytest.approx(probability, rel=1e-5)
    found = ac.qos(normal_arrivals(count), ac.PhiNormal(window=n), threshold, skip=n)
    error = math.sqrt(probability / found.heartbeats)
    assert found.mistakes / found.heartbeats == pytest.approx(probability, abs=6 * error)  # overlapping windows


def test_fixed_timeout_on_normal_intervals():
    mean, deviation, z = 0.1, 0.01, 2.0
    found = ac.qos(normal_arrivals(400_000), ac.FixedTimeout(period=mean), (mean + z * deviation) / mean)
    late, density = stats.norm.sf(z), stats.norm.pdf(z)
    assert found.mistake_rate == pytest.approx(late / mean, rel=5 / math.sqrt(found.mistakes))
    assert found.mistake_duration == pytest.approx(deviation * (density / late - z), rel=0.05)
    assert 1 - found.query_accuracy == pytest.approx(deviation * (density - z * late) / mean, rel=0.05)
    assert found.mistake_recurrence == pytest.approx(mean / late, rel=0.05)
    assert found.detection_time == pytest.approx(mean + z * deviation, rel=1e-12)


def test_fixed_timeout_on_exponential_intervals():
    mean = 0.1
    intervals = np.random.default_rng(SEED).exponential(mean * 1e9, 400_000).round().astype(np.int64)
    found = ac.qos(np.cumsum(intervals), ac.FixedTimeout(period=mean), 3)
    assert found.mistake_rate == pytest.approx(math.exp(-3) / mean, rel=0.05)
    assert found.mistake_duration == pytest.approx(mean, rel=0.05)  # memoryless
    assert 1 - found.query_accuracy == pytest.approx(math.exp(-3), rel=0.05)


def test_upper_bound_of_the_mistake_rate():
    """Garwood's bound by its definition: so few mistakes or fewer have a chance of 5 % there; 3.0 for none."""
    arrivals = np.cumsum([0, 100, 100, 250, 100, 250, 100, 100]) * MS
    three = ac.curve(arrivals, ac.FixedTimeout(period=0.1), [2, 3])
    assert three.mistakes.tolist() == [2, 0]
    assert stats.poisson.cdf(2, three.mistake_rate_upper[0] * three.observed[0]) == pytest.approx(0.05)
    assert three.mistake_rate_upper[1] * three.observed[1] == 3.0
    assert three.mistake_rate[1] == 0
    assert np.isnan([three.mistake_duration[1], three.mistake_recurrence[1], three.good_period[1]]).all()


@pytest.mark.parametrize("threshold", [1, 2, 3])
def test_an_estimated_mean_promises_too_much(threshold):
    """Exponential intervals and their own mean: the share of mistakes is (1 + Phi ln 10 / n)^-n, and not 10^-Phi."""
    n, count = 20, 400_000
    arrivals = np.cumsum(np.random.default_rng(SEED).exponential(100 * MS, count).round().astype(np.int64))
    found = ac.qos(arrivals, ac.PhiExponential(window=n), threshold, skip=n).mistakes
    scored = count - 1 - n
    p = (1 + threshold * math.log(10) / n) ** -n
    # Neighbouring windows share all but one interval, so mistakes come in clusters: the error is wider than Poisson's.
    assert found / scored == pytest.approx(p, abs=6 * math.sqrt(p / scored))


@pytest.mark.parametrize("n", [5, 20, 100])
@pytest.mark.parametrize("threshold", [1, 2, 3])
def test_student_keeps_its_promise(n, threshold):
    """theory.md 5.1: with mean and deviation estimated from n intervals the share of mistakes is 10^-Phi at any n."""
    count = 400_000
    found = ac.qos(normal_arrivals(count), ac.PhiStudent(window=n), threshold, skip=n).mistakes
    scored, p = count - 1 - n, 10.0**-threshold
    assert found / scored == pytest.approx(p, abs=6 * math.sqrt(p / scored))


# ---- one pass, threads, forms ---------------------------------------------------------------------------------------


def test_threads_change_nothing():
    arrivals = normal_arrivals(300_000)
    sent = arrivals - np.random.default_rng(SEED).integers(0, MS, len(arrivals))
    trace = ac.Trace(arrivals, sequence=np.arange(len(arrivals)) * 2, sent=sent, period=0.1)
    for detector in (ac.PhiNormal(window=1000), ac.FixedTimeout(period=0.1)):
        thresholds = np.linspace(0.1, 6, 50)
        alone = ac.curve(trace, detector, thresholds).to_dict()
        for threads in (2, 5):
            assert ac.curve(trace, detector, thresholds, threads=threads).to_dict() == alone


@pytest.mark.parametrize(
    "detector",
    [
        ac.FixedTimeout(period=0.1),
        ac.PhiNormal(window=30, min_deviation=0.001, pause=0.05),
        ac.PhiLogistic(window=30, pause=0.02),
        ac.PhiExponential(window=30),
        ac.PhiStudent(window=30),
        ac.Empirical(window=30),
    ],
    ids=lambda detector: detector.name,
)
def test_the_pass_through_blocks_is_the_one_through_states(detector, monkeypatch):
    """Also where some are late or double, and ignored, also before a level is known: every figure keeps its bits."""
    rng = np.random.default_rng(SEED)
    arrivals = np.cumsum(rng.gamma(9, 11 * MS, 5000).astype(np.int64))
    arrivals[3000:] += 7000 * MS
    number = np.arange(len(arrivals)) + np.arange(len(arrivals)) // 50  # one in fifty is lost
    after = np.sort(rng.integers(10, len(arrivals), 400))
    after[:3], after[-1] = (1, 1, 2), len(arrivals)
    late = ac.Trace(
        np.insert(arrivals, after, arrivals[after - 1] + 5),
        sequence=np.insert(number, after, number[after - 1] - rng.integers(0, 3, len(after))),
    )
    plain, thresholds = ac.Trace(arrivals, sequence=number), np.linspace(0.3, 20, 40)

    def found(trace, skip):
        return [fields(point) for point in ac.curve(trace, detector, thresholds, skip, quantiles=True).points]

    skips = [(None, None), (300, 300 + int(np.count_nonzero(after <= 300)))]
    expected = [found(plain, skip) for skip, _ in skips]
    assert [found(late, skip) for _, skip in skips] == expected
    for threshold, point in zip(thresholds[::13], expected[1][::13], strict=True):
        assert fields(ac.qos(late, detector, threshold, skip=skips[1][1])) == point
    monkeypatch.setattr(Chain, "one_to_one", False)
    assert [found(late, skip) for _, skip in skips] == expected


def test_threads_where_instants_are_equal():
    """Below z = 0 a peer is suspected as soon as heard: suspicions go on over places where no time passes."""
    intervals = np.concatenate([np.zeros(60_010, int), np.random.default_rng(1).integers(1, 2e7, 59_000)])
    arrivals, detector = np.cumsum([0, *intervals]), ac.PhiNormal(window=3, min_samples=1, min_deviation=0.01)
    for skip in (None, 59_999):
        alone = ac.curve(arrivals, detector, [0.05, 0.2, 1], skip)
        for threads in (2, 3):
            assert ac.curve(arrivals, detector, [0.05, 0.2, 1], skip, threads=threads).to_dict() == alone.to_dict()


@pytest.mark.parametrize("kind", ["clock steps", "duplicates", "epochs", "equal instants"])
def test_threads_change_nothing_whatever_befell_the_trace(kind):
    rng = np.random.default_rng(SEED)
    intervals = rng.gamma(9, 11 * MS, 150_000).astype(np.int64)
    sequence, epoch = np.arange(len(intervals)), np.zeros(len(intervals), int)
    befallen = rng.random(len(intervals)) < 0.001
    if kind == "clock steps":
        intervals[befallen] -= 10**9
    elif kind == "duplicates":
        sequence[befallen] -= 3
    elif kind == "epochs":
        epoch = np.cumsum(befallen)
    else:
        intervals[befallen | (rng.random(len(intervals)) < 0.2)] = 0
    trace = ac.Trace(np.cumsum(intervals), sequence=sequence, epoch=epoch)
    for detector in (ac.PhiNormal(window=100), ac.PhiLogistic(window=50, first_interval=0.1)):
        alone = ac.curve(trace, detector, [0.05, 0.5, 3], quantiles=True).to_dict()
        levels = ac.levels(trace, detector)
        for threads in (2, 3):
            assert ac.curve(trace, detector, [0.05, 0.5, 3], quantiles=True, threads=threads).to_dict() == alone
            np.testing.assert_array_equal(ac.levels(trace, detector, threads=threads), levels)


ADDITIVE = [name for name in ac.QoS.__dataclass_fields__ if name not in ("detection_time_p99", "detection_time_max")]


def assert_adds_up(whole, pieces):
    total = functools.reduce(operator.add, pieces)
    np.testing.assert_equal(*({name: getattr(qos, name) for name in ADDITIVE} for qos in (total, whole)))
    assert math.isnan(total.detection_time_p99)
    assert math.isnan(total.detection_time_max)


@given(any_trace, detectors, st.sampled_from([0.0, 0.05, 0.17, 0.7321, 2.718, 7.77, math.inf]), st.data())
def test_neighbouring_pieces_add_up_to_the_whole(trace, detector, threshold, data):
    """Bit for bit, wherever the seams lie: inside suspicions, at clock steps, restarts and ignored heartbeats."""
    skips = sorted(data.draw(st.sets(st.integers(0, len(trace) - 2), min_size=2, max_size=4)))
    ends = [*skips[1:], len(trace) - 1]
    try:
        pieces = [ac.qos(trace[: end + 1], detector, threshold, skip) for skip, end in zip(skips, ends, strict=True)]
    except ac.TraceError:  # a piece without an accepted heartbeat
        return
    assert_adds_up(ac.qos(trace, detector, threshold, skips[0]), pieces)


def test_pieces_of_a_long_trace_add_up_at_every_threshold():
    rng = np.random.default_rng(SEED)
    intervals = rng.gamma(9, 11 * MS, 30_000).astype(np.int64)
    intervals[rng.random(len(intervals)) < 0.2] = 0
    trace = ac.Trace(np.cumsum(intervals), period=0.1)
    detector, thresholds = ac.PhiNormal(window=100), [0.0, 0.05, 0.2, 0.5, 3, 8]
    first = ac.curve(trace[:12_346], detector, thresholds)
    second = ac.curve(trace, detector, thresholds, skip=12_345, threads=2)
    for whole, *pieces in zip(ac.curve(trace, detector, thresholds), first, second, strict=True):
        assert_adds_up(whole, pieces)
        assert_adds_up(whole, [pickle.loads(pickle.dumps(pieces[0])), copy.copy(pieces[1])])


def test_what_cannot_be_added():
    arrivals, detector = np.cumsum([0, 100, 100, 250, 100, 250, 100]) * MS, ac.FixedTimeout(period=0.1)
    first, second = ac.qos(arrivals[:4], detector, 2), ac.qos(arrivals, detector, 2, skip=3)
    assert (first + second).mistakes == 2
    with pytest.raises(
        ValueError, match=r"neighbouring pieces .* ends at the arrival 900000000, the second starts at 0"
    ):
        second + first
    for other in (ac.qos(arrivals, detector, 3, skip=3), ac.qos(arrivals, ac.FixedTimeout(period=0.2), 2, skip=3)):
        with pytest.raises(ValueError, match="same detector and threshold"):
            first + other
    with pytest.raises(ValueError, match="only what qos, curve and additions"):
        first + ac.QoS(**first.to_dict())
    with pytest.raises(TypeError):
        first + 1


def test_suspicions_that_begin_at_one_observed_time_keep_their_order():
    """As those of two intervals do, one of them of length 0: the observed time does not tell which came first."""
    arrivals = np.cumsum([0, 1000, 10, 10, 0, 1000, 10, 10, 10, 1000]) * MS
    detector = ac.PhiNormal(window=3, min_samples=3)
    alone = ac.qos(arrivals, detector, 0.075)
    expected = float(oracle.qos(ac.Trace(arrivals), detector, 0.075).mistake_recurrence)
    assert alone.mistake_recurrence == pytest.approx(expected, rel=1e-9)
    assert fields(ac.curve(arrivals, detector, [0.075, 3.0], quantiles=True)[0]) == fields(alone)


def test_lost_heartbeats_are_counted_beyond_64_bits():
    """A sender whose numbers jump over all of 64 bits, twice."""
    ends = [-(2**63), 2**63 - 1]
    trace = ac.Trace(np.arange(6) * MS, sequence=[0, 1, *ends, *ends], epoch=[0, 0, 1, 1, 2, 2])
    assert ac.qos(trace, ac.FixedTimeout(period=1), 3).lost == 2 * (2**64 - 2)


def test_detection_time_counts_from_sending_or_adds_the_transit():
    arrivals = np.arange(10) * 100 * MS
    detector = ac.FixedTimeout(period=0.1)
    assert ac.qos(arrivals, detector, 3).detection_time == pytest.approx(0.3)
    assert ac.qos(arrivals, detector, 3, transit=0.02).detection_time == pytest.approx(0.32)
    trace = ac.Trace(arrivals, sent=arrivals - 5 * MS, sent_remote=arrivals - 10**15, period=0.1)
    found = ac.qos(trace, detector, 3, transit=0.02)
    assert (found.detection_time, found.detection_time_uniform) == (pytest.approx(0.305), pytest.approx(0.255))
    assert found.detection_time_p99 == found.detection_time_max == pytest.approx(0.305)


@pytest.mark.parametrize("n", [1, 2, 99, 100, 101, 199, 200, 1000])
@pytest.mark.parametrize("at_a_time", [1, 7, 2**20])
def test_order_statistics_of_the_detection_time(n, at_a_time, monkeypatch):
    """A timeout of a second after a heartbeat that was under way for as long as it was."""
    monkeypatch.setattr(sys.modules["accrual.qos"], "AT_A_TIME", at_a_time)
    under_way = np.random.default_rng(n).permutation(n + 1) * MS
    arrivals = np.arange(n + 1) * 2000 * MS
    found = ac.qos(ac.Trace(arrivals, sent=arrivals - under_way), ac.FixedTimeout(period=1), 1, skip=0)
    times = np.sort(1 + under_way[:-1] / 1e9)
    assert found.detection_time_p99 == times[math.ceil(0.99 * n) - 1]
    assert found.detection_time_max == times[-1]


@pytest.mark.parametrize("name", DETECTORS)
@given(any_trace, st.data(), st.integers(1, 20))
def test_order_statistics_do_not_depend_on_how_many_are_looked_at_together(name, trace, data, at_a_time):
    detector = data.draw(DETECTORS[name])
    try:
        alone = repr(ac.qos(trace, detector, 0.7, skip=0))
    except ac.TraceError:  # nothing to score
        return
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys.modules["accrual.qos"], "AT_A_TIME", at_a_time)
        assert repr(ac.qos(trace, detector, 0.7, skip=0)) == alone


def test_thresholds_that_everything_or_nothing_reaches():
    curve = ac.curve(np.arange(100) * 100 * MS, ac.PhiNormal(window=10), [0.0, math.inf, 8.0], quantiles=True)
    assert curve.query_accuracy.tolist() == [0.0, 1.0, 1.0]
    assert curve.mistakes.tolist() == [1, 0, 0]
    assert curve.detection_time.tolist()[:2] == [0.0, math.inf]
    assert curve.detection_time_max.tolist()[:2] == [0.0, math.inf]


def test_forms_of_a_result():
    curve = ac.curve(np.cumsum([0, 100, 100, 250, 100]) * MS, ac.FixedTimeout(period=0.1), [3, 2])
    assert json.loads(json.dumps(curve.to_dict(), allow_nan=False))["mistake_duration"] == [None, 0.05]
    assert curve.to_pandas().mistakes.tolist() == [0, 1]
    assert curve[1].mistakes == 1
    assert len(curve) == 2
    assert repr(curve) == (
        "Curve(fixed-timeout:period=0.1, 2 thresholds: k 2 to 3, detection_time 0.2 to 0.3 s, mistakes 1 to 0)"
    )
    assert "mistake_rate" in dir(curve)
    assert "<td>2</td>" in curve._repr_html_()
    assert "mistake_rate" in curve[0]._repr_html_()
    with pytest.raises(AttributeError, match="Curve has no field 'speed'"):
        _ = curve.speed


# ---- bad input -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("n", [0, 1, 2])
def test_traces_too_short_to_score(n):
    with pytest.raises(ac.TraceError, match="nothing to score"):
        ac.qos(np.arange(n), ac.PhiNormal(), 8)


@pytest.mark.parametrize("skip", [-1, 1.5, True, "3"])
def test_skips_that_are_none(skip):
    with pytest.raises(ValueError, match="skip must be an arrival's number, 0 or more, got "):
        ac.qos(np.arange(9), ac.PhiNormal(), 8, skip=skip)


def test_skip_beyond_the_end():
    with pytest.raises(ac.TraceError, match="observation starts at number 9"):
        ac.qos(np.arange(9), ac.PhiNormal(), 8, skip=9)


COMPLEX = np.array([1j])


@pytest.mark.parametrize(
    "thresholds",
    [
        [],
        [1, math.nan],
        [[1, 2]],
        math.nan,
        ["x"],
        ["3"],
        "abc",
        [None],
        [True],
        [1j],
        COMPLEX,
        [[1], [1, 2]],
        [10**400],
    ],
    ids=str,
)
def test_thresholds_that_are_none(thresholds):
    with pytest.raises(ValueError, match="thresholds must be one or more numbers, got "):
        ac.curve(np.arange(9), ac.PhiNormal(), thresholds)


@pytest.mark.parametrize("threshold", ["x", "3", 1j, None, True, [1]])
def test_a_threshold_of_the_wrong_kind_is_named(threshold):
    for ask in (ac.qos, lambda *arguments: ac.replay(*arguments[:2]).deadlines(threshold)):
        with pytest.raises(TypeError, match="threshold must be a number, got "):
            ask(np.arange(9), ac.PhiNormal(), threshold)
    with pytest.raises(ValueError, match="threshold must be a number, got nan"):
        ac.qos(np.arange(9), ac.PhiNormal(), math.nan)


@pytest.mark.parametrize(
    "thresholds", [[3, 2], np.array([3, 2], np.int8), (np.float32(3), 2), [Fraction(3), Fraction(2)]]
)
def test_thresholds_of_any_real_kind(thresholds):
    assert ac.curve(np.arange(9) * MS, ac.PhiNormal(), thresholds).thresholds.tolist() == [3.0, 2.0]


@pytest.mark.parametrize("transit", [-0.1, math.nan, math.inf, 1e300, "abc", "1", None, 1j, True])
def test_transits_that_are_none(transit):
    with pytest.raises(ValueError, match="transit must be 0 to 9007199 seconds, got "):
        ac.qos(np.arange(9), ac.PhiNormal(), 8, transit=transit)


def test_intervals_too_long_to_score():
    year = 365 * 24 * 3600 * 10**9
    with pytest.raises(ac.TraceError, match="interval 2 of the heartbeats that count is too long to be scored"):
        ac.qos([0, 1, 2, year], ac.FixedTimeout(period=1), 8)


def test_more_time_than_can_be_observed():
    """A sender that restarts whenever the clock went back: the same years again and again, more than 64 bits hold."""
    longest = 2**62 - 1
    trace = ac.Trace([-longest, longest] * 3, epoch=range(6))
    with pytest.raises(ac.TraceError, match=r"s of observation are too long to be scored: 2\*\*62 ns, 146 years"):
        ac.qos(trace, ac.PhiNormal(window=2), 8, skip=0)
    just = np.cumsum([0, *[2**54 - 1] * 255])
    assert ac.qos(just, ac.FixedTimeout(period=1), 8).observed == 255 * (2**54 - 1) / 1e9
    with pytest.raises(ac.TraceError, match="146 years"):
        ac.qos(np.cumsum([-(2**61), *[2**54 - 1] * 257]), ac.FixedTimeout(period=1), 8)


@pytest.mark.parametrize("threads", [0, -1, 1.0, True, "2", 10**6])
def test_threads_that_are_none(threads):
    with pytest.raises(ValueError, match="threads must be a whole number from 1 to 1024, got "):
        ac.curve(np.arange(9), ac.PhiNormal(), [1], threads=threads)


@pytest.mark.parametrize(
    ("threshold", "period", "seconds"),
    [(1e308, 100, math.inf), (-1e308, 100, 0.0), (1e300, 2, 2e300), (1.5e308, 1, 1.5e308), (1.5e308, 0.01, 1.5e306)],
)
def test_thresholds_whose_waits_strain_a_double(threshold, period, seconds):
    found = ac.qos(np.arange(100) * 100 * MS, ac.FixedTimeout(period=period), threshold)
    expected = pytest.approx(seconds, rel=1e-15)
    assert (found.detection_time, found.detection_time_p99, found.detection_time_max) == (expected, expected, expected)


def test_a_student_waits_208_days_at_most_where_it_is_scored():
    found = ac.qos(np.arange(9) * 100 * MS, ac.PhiStudent(), 300)
    assert found.detection_time == found.detection_time_max == pytest.approx(engine.SCORED_LIMIT / 1e9)
