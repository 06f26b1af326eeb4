"""The parts of synthetic traces, against closed forms: each within 5 standard errors of its own, at fixed seeds."""

import dataclasses
import math
import re

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from accrual.traces import parts
from accrual.traces.parts import LAWS, LOSSES, Clock, Crashes, Diurnal, Drift, Regimes, Stalls, parse, synopsis

N = 200_000


def chance(seed=1):
    return np.random.Generator(np.random.PCG64(seed))


def gamma_of(mean, deviation):
    return stats.gamma((mean / deviation) ** 2, scale=deviation**2 / mean)


def lognormal_of(mean, deviation):
    sigma = math.sqrt(math.log(1 + deviation**2 / mean**2))
    return stats.lognorm(sigma, scale=mean * math.exp(-(sigma**2) / 2))


CLOSED_FORMS = {
    "normal:mean=50ms,deviation=20ms": stats.norm(0.05, 0.02),
    "normal:mean=-1,deviation=0.5": stats.norm(-1, 0.5),
    "lognormal:mean=50ms,deviation=20ms": lognormal_of(0.05, 0.02),
    "lognormal:mean=1,deviation=0.8": lognormal_of(1, 0.8),
    "exponential:mean=20ms": stats.expon(scale=0.02),
    "pareto:least=10ms,shape=6": stats.pareto(6, scale=0.01),
    "pareto:least=1,shape=1.5": stats.pareto(1.5, scale=1),
    "gamma:mean=10ms,deviation=7ms": gamma_of(0.01, 0.007),
    "gamma:mean=1,deviation=3": gamma_of(1, 3),
}


@pytest.mark.parametrize("text", CLOSED_FORMS)
def test_a_law_has_the_distribution_that_it_names(text):
    drawn, law = parse(text, LAWS).draw(chance(), N), CLOSED_FORMS[text]
    assert stats.kstest(drawn, law.cdf).pvalue > 1e-4


@pytest.mark.parametrize("text", [text for text in CLOSED_FORMS if "shape=1.5" not in text])
def test_a_law_has_the_moments_that_it_names(text):
    law = parse(text, LAWS)
    drawn = law.draw(chance(2), N)
    mean, variance, _, excess = map(float, CLOSED_FORMS[text].stats("mvsk"))
    assert drawn.mean() == pytest.approx(mean, abs=5 * math.sqrt(variance / N))
    assert drawn.var() == pytest.approx(variance, abs=5 * variance * math.sqrt((excess + 2) / N))
    for name, moment in (("mean", mean), ("deviation", math.sqrt(variance))):
        if hasattr(law, name):
            assert getattr(law, name) == pytest.approx(moment, rel=1e-12)


def test_every_law_is_asked():
    assert {text.partition(":")[0] for text in CLOSED_FORMS} | {"constant"} == set(LAWS)
    assert (parse("constant:value=3ms", LAWS).draw(chance(), 5) == 0.003).all()
    assert (parse("normal:mean=2,deviation=0", LAWS).draw(chance(), 5) == 2).all()


def test_a_law_of_ones_own():
    """The ten lines that the module promises."""

    @dataclasses.dataclass(frozen=True, kw_only=True)
    class Uniform(parts.Law):
        """Anything up to `most`."""

        name = "uniform"
        most: float = parts.within("(0, 1e8] s")

        def draw(self, chance, count):
            return chance.uniform(0, self.most, count)

    try:
        law = parse("uniform:most=10ms", LAWS)
        assert (law.most, str(law), synopsis(Uniform)) == (0.01, "uniform:most=0.01", "uniform:most=S")
        assert str(parse("every=5,length=uniform:most=1", Stalls)) == "every=5,length=uniform:most=1"
        with pytest.raises(ValueError, match=re.escape("uniform: most must be in (0, 1e8] s, is 0.0")):
            Uniform(most=0)
    finally:
        del LAWS["uniform"]


# ---- losses ----


def bursts_of(lost):
    """Lengths of the runs of losses."""
    edges = np.flatnonzero(np.diff(np.concatenate([[0], lost.astype(np.int8), [0]])))
    return edges[1::2] - edges[::2]


def test_independent_losses():
    lost = parse("independent:loss=0.1", LOSSES).draw(chance(), N)
    assert lost.mean() == pytest.approx(0.1, abs=5 * math.sqrt(0.09 / N))
    bursts = bursts_of(lost)
    assert bursts.mean() == pytest.approx(1 / 0.9, abs=5 * math.sqrt(0.1) / 0.9 / math.sqrt(len(bursts)))
    assert not parse("independent:loss=0", LOSSES).draw(chance(), N).any()
    assert parse("independent:loss=1", LOSSES).draw(chance(), N).all()


@pytest.mark.parametrize(("loss", "burst"), [(0.004, 3), (0.01, 10), (0.3, 2), (0.5, 1), (0.2, 1)])
def test_gilbert_loses_its_share_in_geometric_bursts(loss, burst):
    n = 2_000_000
    lost = parse(f"gilbert:loss={loss},burst={burst}", LOSSES).draw(chance(3), n)
    memory = 1 - 1 / burst - loss / (1 - loss) / burst  # the chain's second eigenvalue
    inflation = max((1 + memory) / (1 - memory), 0.01)
    assert lost.mean() == pytest.approx(loss, abs=5 * math.sqrt(loss * (1 - loss) / n * inflation))
    bursts = bursts_of(lost)
    k = len(bursts)
    assert bursts.mean() == pytest.approx(burst, abs=5 * math.sqrt(burst * (burst - 1) / k) + burst / k)
    for length in (2, 3, 5):
        expected = (1 - 1 / burst) ** (length - 1)
        assert (bursts >= length).mean() == pytest.approx(expected, abs=5 * math.sqrt(expected / k) + 1 / k)
    received = bursts_of(~lost)
    mean = burst * (1 - loss) / loss
    assert received.mean() == pytest.approx(mean, abs=5 * mean / math.sqrt(k))


def test_elliott_loses_in_both_states():
    """Loss rate and covariance of neighbours in closed form, with errors from blocks longer than the memory."""
    loss, burst, good, bad = 0.05, 20, 0.01, 0.6
    lost = parse(f"gilbert:loss={loss},burst={burst},good={good},bad={bad}", LOSSES).draw(chance(4), 4_000_000)
    share = (loss - good) / (bad - good)
    memory = 1 - 1 / burst - share / (1 - share) / burst
    neighbours = (lost[:-1] - loss) * (lost[1:] - loss)
    for values, expected in ((lost, loss), (neighbours, share * (1 - share) * (bad - good) ** 2 * memory)):
        blocks = values[: len(values) // 2000 * 2000].reshape(-1, 2000).mean(axis=1)
        assert blocks.mean() == pytest.approx(expected, abs=5 * blocks.std() / math.sqrt(len(blocks)))


def test_gilbert_is_stationary_from_the_first_heartbeat_on():
    loss = parse("gilbert:loss=0.3,burst=50", LOSSES)
    first = np.array([loss.draw(chance(seed), 1)[0] for seed in range(4000)])
    assert first.mean() == pytest.approx(0.3, abs=5 * math.sqrt(0.21 / 4000))


@pytest.mark.parametrize(("loss", "shape", "longest"), [(0.01, 1.5, 1000), (0.2, 0.5, 30), (0.001, 3, 1)])
def test_pareto_bursts(loss, shape, longest):
    part = parse(f"pareto:loss={loss},shape={shape},longest={longest}", LOSSES)
    lost = part.draw(chance(5), 4_000_000)
    bursts = bursts_of(lost)[:-1]  # the last may be cut
    end = (longest + 1) ** -shape
    survival = {k: (k**-shape - end) / (1 - end) for k in range(1, longest + 2)}
    mean = math.fsum(survival.values())
    second = math.fsum((2 * k - 1) * s for k, s in survival.items())
    k = len(bursts)
    assert part.burst == pytest.approx(mean, rel=1e-12)
    assert bursts.mean() == pytest.approx(mean, abs=5 * math.sqrt((second - mean**2) / k) + 1e-12)
    assert bursts.max() <= longest
    for length in (2, 5, 20, longest):
        expected = survival.get(length, 0)
        assert (bursts >= length).mean() == pytest.approx(expected, abs=5 * math.sqrt(expected / k) + 1e-12)
    # Renewals: losses of k bursts, and between them heartbeats that are geometric.
    between = mean * (1 - loss) / loss
    spread = math.sqrt((second - mean**2) * (1 - loss) ** 2 + between * (between - 1) * loss**2)
    assert lost.mean() == pytest.approx(loss, abs=5 * spread * math.sqrt(k) / len(lost))


@pytest.mark.parametrize("seed", range(3))
def test_mixed_bursts_are_exact(seed):
    lost = parse("mixed:", LOSSES).draw(chance(seed), 1_000_000)
    bursts = bursts_of(lost)
    assert (len(bursts), bursts.sum(), bursts.max()) == (814, 23_192, 1093)
    assert (bursts**2).sum() == pytest.approx(5.77e6, rel=0.035)
    assert (bursts == 1).mean() == pytest.approx(0.69 / 1.3, abs=5 * math.sqrt(0.25 / 814))
    assert not np.isin(bursts, range(12, 25)).any()  # between the short and the long
    assert not lost[[0, -1]].any()
    middles = np.flatnonzero(np.diff(lost.astype(np.int8)) == 1) / len(lost)
    assert stats.kstest(middles, "uniform").pvalue > 1e-4


def test_mixed_bursts_that_do_not_fit():
    with pytest.raises(ValueError, match=r"^mixed: 814 bursts need at least 24007 heartbeats, there are 24006$"):
        parse("mixed", LOSSES).draw(chance(), 24_006)
    assert parse("mixed", LOSSES).draw(chance(), 24_007).sum() == 23_192
    with pytest.raises(ValueError, match=r"^mixed: no set of bursts was found that has these sums: mixed:bursts=814,"):
        parse("mixed:squares=100", LOSSES).draw(chance(), 100_000)


# ---- senders and paths ----


@pytest.mark.parametrize(("kind", "law"), [(Stalls, "length"), (Crashes, "silence")])
def test_what_happens_to_the_sender_comes_at_random(kind, law):
    part = kind(every=20, **{law: "exponential:mean=3"})
    hit, length = part.draw(chance(6), 2_000_000, 0.1)
    gaps = np.diff(np.concatenate([[0], hit]))
    k = len(gaps)
    assert gaps.min() >= 1
    assert gaps.mean() == pytest.approx(200, abs=5 * 200 / math.sqrt(k))
    assert gaps.var() == pytest.approx(200 * 199, rel=5 * math.sqrt(8 / k))
    assert length.mean() == pytest.approx(3, abs=5 * 3 / math.sqrt(k))
    assert hit.max() < 2_000_000
    assert kind(every=0.1, **{law: "constant:value=1"}).draw(chance(), 5, 0.1)[0].tolist() == [1, 2, 3, 4]


@pytest.mark.parametrize(("time", "period"), [(10, 0.1), (1, 1), (0.01, 1)])
def test_drift_is_an_ornstein_uhlenbeck_process(time, period):
    n, deviation = 1_000_000, 0.016
    drift = Drift(deviation=deviation, time=time).draw(chance(7), n, period)
    a = math.exp(-period / time)
    error = math.sqrt((1 + a**2) / (1 - a**2) / n)  # of a correlation; Bartlett
    assert drift.mean() == pytest.approx(0, abs=5 * deviation * math.sqrt((1 + a) / (1 - a) / n))
    assert drift.var() == pytest.approx(deviation**2, rel=5 * math.sqrt(2) * error)
    for lag in (1, 10, 300):
        found = np.mean(drift[:-lag] * drift[lag:]) / deviation**2
        assert found == pytest.approx(math.exp(-lag * period / time), abs=5 * math.sqrt(2) * error)


def test_drift_begins_as_if_it_had_always_been():
    drift = Drift(deviation=2, time=100)
    first = np.array([drift.draw(chance(seed), 2, 0.1) for seed in range(4000)])
    assert first.std(axis=0) == pytest.approx(2, rel=5 / math.sqrt(8000))
    assert np.abs(first[:, 1] - first[:, 0]).max() < 6 * 2 * math.sqrt(2 * 0.1 / 100)


def test_regimes_have_their_share_and_stays():
    instants = np.arange(1_000_000) * 0.1
    other = Regimes(every=30, lasts=10, delay="constant:value=1").draw(chance(8), instants)
    assert not other[0]
    cycles = len(bursts_of(other))
    # Variance of an alternating renewal process's share: (every^2 lasts^2 + lasts^2 every^2) / (every + lasts)^3 T.
    error = math.sqrt(2 * 30**2 * 10**2 / 40**3 / 100_000)
    assert other.mean() == pytest.approx(0.25, abs=5 * error)
    assert cycles == pytest.approx(2500, abs=5 * math.sqrt(2500 * (30**2 + 10**2) / 40**2) + 20)
    stays = bursts_of(other) * 0.1
    assert stays.mean() == pytest.approx(10, abs=5 * 10 / math.sqrt(cycles) + 0.1)


def test_a_day():
    diurnal = Diurnal(peak=5, day=100)
    instants = np.linspace(0, 1000, 10_001)[:-1]
    factor = diurnal.factor(instants)
    assert factor[[0, 250, 500, 1000]] == pytest.approx([1, 3, 5, 1])
    assert (factor.mean(), factor.min(), factor.max()) == pytest.approx((3, 1, 5))
    assert Diurnal(peak=2).day == 86_400


def test_a_clock_runs_fast_and_is_stepped():
    clock = Clock(rate=50e-6, step=-2, every=100)
    steps = clock.draw(chance(9), 100_000)
    assert len(steps) == pytest.approx(1000, abs=5 * math.sqrt(1000))
    assert stats.kstest(np.diff(steps) / 1e9, stats.expon(scale=100).cdf).pvalue > 1e-4
    instants = np.arange(0, 10**14, 10**9)
    shown = clock.read(instants, steps)
    for k in (0, 999, 50_000, 99_999):
        before = sum(int(step) <= instants[k] for step in steps)
        assert shown[k] == instants[k] + round(int(instants[k]) * 50 / 1_000_000) - 2 * 10**9 * before
    assert (clock.stepped(instants, steps) - instants)[-1] == -2 * 10**9 * len(steps)
    assert len(Clock(rate=1e-3).draw(chance(), 1e6)) == 0


def test_too_many_events():
    with pytest.raises(
        ValueError, match=r"^clock: 1,000,000,000 changes in 1e\+06 s, at most 10,000,000: every is too"
    ):
        Clock(step=1, every=0.001).draw(chance(), 1e6)
    with pytest.raises(ValueError, match=r"^clock: .* steps of 1e\+06 s add up to more than a trace can hold$"):
        Clock(step=1e6, every=1).draw(chance(), 1e5)
    with pytest.raises(ValueError, match=r"^regimes: .* every is too short$"):
        Regimes(every=1e-9, lasts=1e-9, delay="constant:value=1").draw(chance(), np.array([0.0, 1.0]))


# ---- texts ----

KINDS = [(LAWS, kind) for kind in LAWS.values()] + [(LOSSES, kind) for kind in LOSSES.values()]
KINDS += [(kind, kind) for kind in (Stalls, Crashes, Regimes, Diurnal, Drift, Clock)]


@pytest.mark.parametrize(("kinds", "kind"), KINDS, ids=lambda kind: getattr(kind, "__name__", ""))
@given(data=st.data())
def test_a_part_is_what_its_text_says(kinds, kind, data):
    values = {}
    for field in dataclasses.fields(kind):
        if "kinds" in field.metadata:
            values[field.name] = parts.Exponential(mean=data.draw(st.floats(0, 1e8)))
        else:
            left, low, high, right, _ = parts._BOUNDS.fullmatch(field.metadata["bounds"]).groups()
            low, high = float(low), float(high)
            numbers = (
                st.integers(int(low), int(high))
                if field.type == "int"
                else st.floats(low, high, exclude_min=left == "(", exclude_max=right == ")")
            )
            values[field.name] = data.draw(numbers)
    try:
        part = kind(**values)
    except ValueError:
        assert kind in (parts.Gilbert, parts.ParetoBursts, parts.MixedBursts)  # whose parameters bound each other
        return
    assert parse(str(part), kinds) == part


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("50ms", 0.05),
        ("0.1", 0.1),
        ("100ms", 0.1),
        ("67 ms", 0.067),
        ("3us", 3e-6),
        ("7ns", 7e-9),
        ("1.5e-2s", 0.015),
        ("2min", 120),
        (".5h", 1800),
        ("1d", 86_400),
    ],
)
def test_units(text, seconds):
    assert parse(f"constant:value={text}", LAWS).value == seconds


@pytest.mark.parametrize(
    ("text", "kinds", "says"),
    [
        ("", LAWS, "there is no '': there are constant, normal, lognormal, exponential, pareto, gamma"),
        ("cauchy:mean=1", LAWS, "there is no 'cauchy': there are constant, normal, "),
        ("normal", LAWS, "normal needs mean, deviation, as in normal:mean=S,deviation=S"),
        ("normal:mean=1", LAWS, "normal needs deviation, as in "),
        ("normal:mean=1,deviation=1,mean=2", LAWS, "normal: mean is given twice"),
        ("normal:mean=1,sd=1", LAWS, "normal has the parameters mean, deviation, not 'sd'"),
        ("normal:mean=1,deviation=1,", LAWS, None),
        ("normal:mean=1,,deviation=1", LAWS, "normal has the parameters mean, deviation, not ',deviation'"),
        ("normal:mean=1,deviation=-1", LAWS, "normal: deviation must be in [0, 1e8] s, is -1.0"),
        ("normal:mean=nan,deviation=1", LAWS, "normal: mean must be a number of seconds, or one with a unit such as"),
        ("normal:mean=1e999,deviation=1", LAWS, "normal: mean must be in [-1e8, 1e8] s, is inf"),
        ("normal:mean=5 parsec,deviation=1", LAWS, "is '5 parsec'"),
        ("lognormal:mean=0,deviation=1", LAWS, "lognormal: mean must be in [1e-9, 1e8] s, is 0.0"),
        ("pareto:least=1,shape=1", LAWS, "pareto: shape must be in (1, 100], is 1.0"),
        ("pareto:least=1,shape=2ms", LAWS, "pareto: shape must be a number, is '2ms'"),
        ("independent:loss=1.5", LOSSES, "independent: loss must be in [0, 1], is 1.5"),
        ("gilbert:loss=0.5,burst=0.5", LOSSES, "gilbert: burst must be in [1, 1e9], is 0.5"),
        ("gilbert:loss=0.8,burst=2", LOSSES, "gilbert: burst must be at least 4 for so large a loss, is 2.0"),
        ("gilbert:loss=0.8,burst=9,bad=0.7", LOSSES, "gilbert: loss must be in [good, bad) = [0.0, 0.7), is 0.8"),
        ("pareto:loss=0.9", LOSSES, "pareto: loss must be at most 0.7"),
        ("pareto:loss=0.1,longest=2.5", LOSSES, "pareto: longest must be a whole number, is '2.5'"),
        ("mixed:least=2000", LOSSES, "mixed: least must be at most longest = 1093, is 2000"),
        ("every=1", Stalls, "stalls needs length, as in every=S,length=LAW"),
        ("every=1,length=normal", Stalls, "stalls: length: normal needs mean, deviation"),
        ("every=1,length=none", Stalls, "stalls: length: there is no 'none'"),
        ("length=constant:value=1,every=1", Stalls, "stalls needs every, as in every=S,length=LAW"),
    ],
)
def test_a_wrong_text_is_answered(text, kinds, says):
    if says is None:  # a comma at the end is harmless
        assert parse(text, kinds)
        return
    with pytest.raises(ValueError, match=re.escape(says)) as caught:
        parse(text, kinds)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("value", [True, None, [1], "", "1e5000", b"1", 1j])
def test_what_is_no_number(value):
    with pytest.raises(ValueError, match=r"^exponential: mean must be "):
        parts.Exponential(mean=value)


def test_what_is_no_part():
    with pytest.raises(ValueError, match=r"^stalls: length must be a text such as constant:value=S or .*, is 3$"):
        Stalls(every=1, length=3)
    assert parts.Exponential(mean=np.float32(0.5)) == parts.Exponential(mean=0.5)
