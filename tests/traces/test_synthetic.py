"""Whole synthetic traces: what each part does to one, by definition and by slow twins; any specification works."""

import dataclasses
import json
import math
import re

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import accrual as ac
from accrual.traces import parts
from accrual.traces.synthetic import LONGEST_DELAY, RECIPES, Specification, recipe_of, specify

NS = 1_000_000_000
LOGNORMAL = "lognormal:mean=50ms,deviation=20ms"


def by_sequence(trace, column):
    """A column in the order of sending, by its heartbeat's number."""
    return dict(zip(trace.sequence.tolist(), getattr(trace, column).tolist(), strict=True))


def test_without_parts_heartbeats_are_on_time():
    trace = ac.synthesize(1000, period="67ms", seed=1)
    assert trace.arrivals.tolist() == [k * 67_000_000 for k in range(1000)]
    assert (trace.sent == trace.arrivals).all()
    assert trace.sequence.tolist() == list(range(1000))
    assert (trace.period, trace.sent_remote, trace.epoch) == (0.067, None, None)
    assert ac.synthesize().arrivals[-1] == 99_999 * NS // 10


def test_a_trace_says_how_to_make_it_again(tmp_path):
    trace = ac.synthesize(
        500, delay=LOGNORMAL, sleeping=True, jitter="exponential:mean=1ms", loss=parts.Independent(loss=0.1), base=0.01
    )
    assert trace.about["source"] == "synthetic"
    assert trace.about["synthetic"] == {
        "heartbeats": 500,
        "period": 0.1,
        "seed": trace.about["synthetic"]["seed"],
        "jitter": "exponential:mean=0.001",
        "sleeping": True,
        "base": 0.01,
        "delay": "lognormal:mean=0.05,deviation=0.02",
        "loss": "independent:loss=0.1",
    }
    assert np.__version__ in trace.about["made_by"]
    trace.write(tmp_path / "t.csv")
    read = ac.read_trace(tmp_path / "t.csv")
    assert read == trace == ac.synthesize(**json.loads(json.dumps(read.about["synthetic"])))


def test_seeds():
    """Bits are compared with those of a second run: other versions of NumPy may draw others."""
    first, again, other = (ac.synthesize(2000, delay=LOGNORMAL, seed=seed) for seed in (5, 5, 6))
    assert first == again
    assert not (first.arrivals == other.arrivals).any()
    drawn = {ac.synthesize(1).about["synthetic"]["seed"] for _ in range(4)}
    assert len(drawn) > 1  # 32 bits each


PARTS = {
    "jitter": "exponential:mean=5ms",
    "stalls": "every=10,length=exponential:mean=0.3",
    "crashes": "every=1min,silence=exponential:mean=5",
    "base": 0.02,
    "delay": LOGNORMAL,
    "regimes": "every=20,lasts=20,delay=gamma:mean=0.1,deviation=0.05",
    "diurnal": "peak=3,day=60",
    "drift": "deviation=5ms,time=10",
    "loss": "gilbert:loss=0.05,burst=3",
    "clock": "rate=1e-4,step=-1,every=30",
    "sender_clock": "rate=-1e-4,step=2,every=30",
}


@pytest.mark.parametrize("name", PARTS)
def test_a_part_leaves_what_the_others_draw(name, monkeypatch):
    """Turning it off changes no draw of another part: their streams give the same numbers in the same order."""
    drawn = {}

    def note(kind):
        original = kind.draw

        def draw(self, chance, count):
            found = original(self, chance, count)
            drawn[str(self)] = found.copy()
            return found

        monkeypatch.setattr(kind, "draw", draw)

    for kind in (*parts.LAWS.values(), *parts.LOSSES.values()):
        note(kind)
    ac.synthesize(3000, seed=9, **PARTS)
    whole = dict(drawn)
    drawn.clear()
    ac.synthesize(3000, seed=9, **{key: value for key, value in PARTS.items() if key != name})
    assert len(drawn) >= len(whole) - 1
    for text, values in drawn.items():
        n = min(len(values), len(whole[text]))  # stays in a regime may become longer or shorter
        assert (values[:n] == whole[text][:n]).all()


def test_parts_do_not_draw_the_same():
    trace = ac.synthesize(10_000, seed=1, jitter="exponential:mean=1ms", delay="exponential:mean=1ms")
    late = trace.sent - trace.sequence * (NS // 10)
    assert abs(np.corrcoef(late, trace.arrivals - trace.sent)[0, 1]) < 5 / 100


def test_losses_are_those_of_the_part_and_nothing_else():
    whole, thinned = (
        ac.synthesize(5000, seed=3, delay=LOGNORMAL, loss=loss) for loss in (None, "independent:loss=0.2")
    )
    arrived = by_sequence(whole, "arrivals")
    assert by_sequence(thinned, "arrivals").items() < arrived.items()
    assert len(thinned) == pytest.approx(4000, abs=5 * math.sqrt(5000 * 0.16))


# ---- the sender ----


def sent_by_hand(period, jitter, held, sleeping):
    """The sender step by step, in ns."""
    sent, due = [], 0
    for k, late in enumerate(jitter):
        hold = held.get(k, 0)
        if sleeping:
            due += max(period + late + hold, 0) if k else 0
            sent.append(due)
            continue
        due += period if k else 0
        if hold > period:  # a schedule that begins anew
            due, hold = due + hold, 0
        sent.append(max([due + late + hold, *sent[-1:]]))
    return sent


@pytest.mark.parametrize("sleeping", [False, True])
@pytest.mark.parametrize("jitter", ["exponential:mean=20ms", "normal:mean=0,deviation=10ms"])
def test_the_sender_step_by_step(sleeping, jitter, monkeypatch):
    noted = {}

    def note(name, kind):
        original = kind.draw

        def draw(self, *arguments):
            found = original(self, *arguments)
            noted[name] = np.array(found)
            return found

        monkeypatch.setattr(kind, "draw", draw)

    note("jitter", type(parts.parse(jitter, parts.LAWS)))
    note("stalls", parts.Stalls)
    stalls = "every=1,length=lognormal:mean=0.15,deviation=0.2"
    trace = ac.synthesize(3000, seed=4, jitter=jitter, stalls=stalls, sleeping=sleeping)
    hit, length = noted["stalls"]
    held = dict(zip(hit.astype(int).tolist(), np.rint(length * 1e9).astype(int).tolist(), strict=True))
    assert 200 < len(held) < 400
    late = np.rint(noted["jitter"] * 1e9).astype(int).tolist()
    assert trace.sent.tolist() == sent_by_hand(NS // 10, late, held, sleeping)


def test_jitter_adds_up_only_for_a_sleeper():
    jitter = "normal:mean=3.5ms,deviation=1ms"
    kept, slept = (ac.synthesize(10_000, seed=5, jitter=jitter, sleeping=sleeping) for sleeping in (False, True))
    intervals = np.diff(kept.sent) / 1e9
    assert intervals.mean() == pytest.approx(0.1, abs=1e-6)
    assert intervals.std() == pytest.approx(0.001 * math.sqrt(2), rel=0.05)
    intervals = np.diff(slept.sent) / 1e9
    assert intervals.mean() == pytest.approx(0.1035, abs=5 * 0.001 / 100)
    assert intervals.std() == pytest.approx(0.001, rel=5 / math.sqrt(2 * 10_000))


def test_crashes_are_silences_and_epochs():
    trace = ac.synthesize(20_000, seed=6, crashes="every=1min,silence=constant:value=7", delay=LOGNORMAL)
    starts = np.flatnonzero(np.diff(trace.epoch)) + 1
    assert len(starts) == pytest.approx(33, abs=5 * math.sqrt(33))
    assert trace.epoch.tolist() == np.searchsorted(starts, np.arange(20_000), side="right").tolist()
    assert (trace.sequence[starts] == 0).all()
    assert set(np.diff(trace.sequence)[np.diff(trace.epoch) == 0].tolist()) <= {1, -1, 2, 3}  # but for overtakers
    steps = np.diff(trace.sent[np.lexsort((trace.sequence, trace.epoch))])
    assert sorted(set(steps.tolist())) == [NS // 10, 7 * NS]
    assert (steps == 7 * NS).sum() == len(starts)


# ---- the path ----


def test_delays_are_what_the_law_draws_and_overtakers_arrive_first():
    trace = ac.synthesize(50_000, seed=7, delay="exponential:mean=80ms", base="30ms")
    delays = (trace.arrivals - trace.sent) / 1e9
    assert delays.min() >= 0.03
    assert delays.mean() == pytest.approx(0.11, abs=5 * 0.08 / math.sqrt(50_000))
    assert (np.diff(trace.arrivals) >= 0).all()
    assert sorted(trace.sequence.tolist()) == list(range(50_000))
    # The next one overtakes if this delay is the longer one by a period: half exp(-period / mean) of all.
    overtaken = np.diff(delays[np.argsort(trace.sequence)]) < -0.1
    expected = math.exp(-0.1 / 0.08) / 2
    assert overtaken.mean() == pytest.approx(expected, abs=5 * math.sqrt(2 * expected / 50_000))
    assert (np.diff(trace.sequence) < 0).any()


def test_nothing_arrives_before_it_is_sent_or_after_a_day():
    trace = ac.synthesize(10_000, seed=8, delay="normal:mean=0,deviation=1", drift="deviation=1,time=5")
    assert (trace.arrivals >= trace.sent).all()
    assert 0.3 < (trace.arrivals == trace.sent).mean() < 0.7
    trace = ac.synthesize(10_000, seed=8, delay=f"normal:mean={LONGEST_DELAY},deviation=1")
    assert len(trace) == pytest.approx(5000, abs=5 * 50)
    assert (trace.arrivals - trace.sent).max() <= LONGEST_DELAY * NS
    assert len(ac.synthesize(10, delay="constant:value=1e8")) == 0
    assert len(ac.synthesize(10, delay="constant:value=1e8", loss="independent:loss=0")) == 0


def test_what_arrives_at_one_instant_keeps_its_order():
    trace = ac.synthesize(
        5000,
        seed=8,
        jitter="normal:mean=0,deviation=1",  # who is early waits for the late one before, and both leave at once
        delay="constant:value=0.5",
        regimes="every=50,lasts=50,delay=constant:value=0.1",
    )
    together = (np.diff(trace.arrivals) == 0) & (np.diff(trace.sent) == 0)
    assert together.sum() > 1000
    assert (np.diff(trace.sequence) < 0).any()
    assert (np.diff(trace.sequence)[together] > 0).all()


def test_regimes_and_days_and_drift_in_a_trace():
    delays = {}
    for name, part in {"regimes": "every=100,lasts=50,delay=constant:value=0.5", "diurnal": "peak=3,day=100"}.items():
        trace = ac.synthesize(20_000, seed=9, base=0.01, delay="constant:value=0.1", **{name: part})
        order = np.argsort(trace.sequence)
        delays[name] = np.round((trace.arrivals - trace.sent)[order] / 1e9, 9)
    assert set(delays["regimes"].tolist()) == {0.11, 0.51}
    assert 5 < np.count_nonzero(np.diff(delays["regimes"])) < 50
    instants = np.arange(20_000) * 0.1
    assert delays["diurnal"] == pytest.approx(0.01 + 0.1 * (2 - np.cos(2 * np.pi * instants / 100)), abs=2e-9)
    trace = ac.synthesize(20_000, seed=9, base=0.5, drift="deviation=10ms,time=2")
    drift = (trace.arrivals - trace.sent) / 1e9 - 0.5
    assert np.mean(drift[:-20] * drift[20:]) / 1e-4 == pytest.approx(math.exp(-1), abs=0.1)


# ---- clocks ----


def test_the_receivers_clock():
    plain = ac.synthesize(50_000, seed=10, delay=LOGNORMAL)
    fast = ac.synthesize(50_000, seed=10, delay=LOGNORMAL, clock="rate=50e-6")
    for column in ("arrivals", "sent"):
        true = getattr(plain, column)
        assert np.abs(getattr(fast, column) - true - true * 50 // 1_000_000).max() <= 1
    slope = np.polyfit(plain.arrivals / 1e9, fast.arrivals / 1e9, 1)[0]
    assert slope == pytest.approx(1 + 50e-6, abs=1e-12)
    back = ac.synthesize(50_000, seed=10, delay=LOGNORMAL, clock="step=-2,every=500")
    behind = plain.arrivals - back.arrivals
    assert set(behind.tolist()) == {2 * NS * k for k in range(int(behind[-1]) // (2 * NS) + 1)}
    assert (np.diff(back.arrivals) < 0).sum() == np.count_nonzero(np.diff(behind)) > 3
    assert (np.diff(behind) >= 0).all()


def test_the_senders_clock():
    trace = ac.synthesize(50_000, seed=11, sender_clock="rate=0.035")
    assert (np.diff(trace.sent_remote) == NS // 10).all()
    assert np.abs(trace.sent - trace.sent_remote / 1.035).max() <= 1
    stepped = ac.synthesize(50_000, seed=11, sender_clock="step=-3,every=500")
    assert (stepped.sent == stepped.sequence * (NS // 10)).all()
    ahead = stepped.sent - stepped.sent_remote
    assert (np.diff(ahead) >= 0).all()
    assert set(ahead.tolist()) == {3 * NS * k for k in range(int(ahead[-1]) // (3 * NS) + 1)}
    assert len(set(ahead.tolist())) > 3


# ---- any specification ----

_lengths = st.floats(1e-9, 5)
_laws = st.one_of(
    st.builds(parts.Constant, value=_lengths),
    st.builds(parts.Normal, mean=st.floats(-1, 1), deviation=_lengths),
    st.builds(parts.Lognormal, mean=_lengths, deviation=_lengths),
    st.builds(parts.Exponential, mean=_lengths),
    st.builds(parts.Pareto, least=_lengths, shape=st.floats(1.001, 9)),
    st.builds(parts.Gamma, mean=_lengths, deviation=_lengths),
)
_shares = st.floats(0, 0.9)
_losses = st.one_of(
    st.builds(parts.Independent, loss=st.floats(0, 1)),
    st.builds(parts.Gilbert, loss=_shares, burst=st.floats(9, 100)),
    st.builds(parts.Gilbert, loss=st.floats(0.1, 0.3), burst=st.floats(9, 20), good=_shares.map(lambda x: x / 9)),
    st.builds(parts.ParetoBursts, loss=st.floats(0, 0.5), shape=st.floats(0.01, 9), longest=st.integers(1, 50)),
)
_every = st.floats(1, 1e8)
_clocks = st.builds(parts.Clock, rate=st.floats(-0.5, 1), step=st.floats(-100, 100), every=_every)
_specifications = st.fixed_dictionaries(
    {"heartbeats": st.integers(1, 300), "seed": st.integers(0, 2**64)},
    optional={
        "period": st.floats(1e-3, 1),
        "jitter": _laws,
        "sleeping": st.booleans(),
        "stalls": st.builds(parts.Stalls, every=_every, length=_laws),
        "crashes": st.builds(parts.Crashes, every=_every, silence=_laws),
        "base": st.floats(0, 10),
        "delay": _laws,
        "regimes": st.builds(parts.Regimes, every=_every, lasts=_every, delay=_laws),
        "diurnal": st.builds(parts.Diurnal, peak=st.floats(0, 9), day=st.floats(1, 1e5)),
        "drift": st.builds(parts.Drift, deviation=_lengths, time=_lengths),
        "loss": _losses,
        "clock": _clocks,
        "sender_clock": _clocks,
    },
)


@settings(max_examples=200, deadline=None)
@given(_specifications)
def test_any_specification_gives_a_valid_trace(given):
    specification = Specification(**given)
    trace = specification.generate()
    assert Specification(**specification.to_dict()) == specification
    assert specify(**trace.about["synthetic"]).generate() == trace
    assert len(trace) <= specification.heartbeats
    epoch = np.zeros(len(trace), dtype=int) if trace.epoch is None else trace.epoch
    assert (trace.epoch is not None) == ("crashes" in given)
    assert (trace.sent_remote is not None) == ("sender_clock" in given)
    assert len(set(zip(epoch.tolist(), trace.sequence.tolist(), strict=True))) == len(trace)
    assert (trace.sequence >= 0).all()
    assert (trace.sequence < specification.heartbeats).all()
    in_order = np.lexsort((trace.sequence, epoch))
    if "clock" not in given or given["clock"].step >= 0:
        assert (trace.sent <= trace.arrivals).all()
        assert (np.diff(trace.sent[in_order]) >= 0).all()
        assert (np.diff(trace.arrivals) >= 0).all()
    replayed = ac.replay(trace, ac.PhiNormal(window=10))  # and the detectors take it
    assert len(replayed.levels) == len(trace)


# ---- recipes ----


@pytest.mark.parametrize("name", [name for name in RECIPES if name != "paper-week"])
def test_a_recipe_is_labelled_and_long(name):
    trace = ac.synthesize(recipe=name)
    assert (trace.about["source"], trace.about["recipe"]) == ("synthetic", name)
    assert trace.about["title"] == RECIPES[name].title
    assert len(trace) > 95_000
    assert recipe_of(specify(**trace.about["synthetic"])) == name
    other = ac.synthesize(recipe=name, seed=99)
    assert (other.about["recipe"], other.about["synthetic"]["seed"]) == (name, 99)
    changed = ac.synthesize(100, recipe=name)
    assert "recipe" not in changed.about
    assert "title" not in changed.about


def test_recipes_show_what_they_are_called():
    loaded = {name: ac.synthesize(recipe=name) for name in RECIPES if name != "paper-week"}
    gaps = {name: np.diff(np.sort(trace.sequence)) - 1 for name, trace in loaded.items() if trace.epoch is None}
    assert gaps["stationary"].sum() == pytest.approx(200, abs=5 * math.sqrt(200))
    assert gaps["stationary"].max() <= 2
    assert gaps["bursty"].sum() == pytest.approx(1000, abs=5 * math.sqrt(1000 * 9))
    assert gaps["bursty"].max() > 10
    assert gaps["heavy-tail"].max() > 15
    assert (np.diff(loaded["heavy-tail"].sequence) < 0).sum() > 100
    assert loaded["crash"].epoch.max() > 5
    delays = {name: (trace.arrivals - trace.sent) / 1e9 for name, trace in loaded.items()}
    hour = loaded["diurnal"].sent // (3600 * NS) % 24
    assert delays["diurnal"][hour == 12].std() > 10 * delays["diurnal"][hour == 0].std()
    share = (delays["regime-switching"] > 0.05).mean()
    assert 0.02 < share < 0.4


@pytest.fixture(scope="module")
def week():
    return ac.synthesize(recipe="paper-week")


def test_the_week_has_the_marginals_that_are_told(week):
    """The acceptance tests of the recipe: the figures are its parameters, reached."""
    gaps = np.diff(week.sequence) - 1
    assert (len(week), gaps.sum(), np.count_nonzero(gaps), gaps.max()) == (5_822_521, 23_192, 814, 1093)
    assert round(100 * gaps.sum() / (len(week) + gaps.sum()), 3) == 0.397
    intervals = np.diff(week.arrivals) / 1e6
    assert round(intervals.mean(), 2) == 103.91
    assert intervals.std() == pytest.approx(104, abs=2)
    sending = np.diff(week.sent)[gaps == 0] / 1e6
    assert (sending.mean(), sending.std()) == pytest.approx((103.501, 0.189), abs=5e-4)
    delays = (week.arrivals - week.sent) / 1e6
    assert (delays.mean(), delays.std()) == pytest.approx((130, math.sqrt(11**2 + 16**2)), rel=0.02)
    assert (week.arrivals[-1] - week.arrivals[0]) / 1e9 == pytest.approx(7 * 86_400, rel=1e-3)


def test_the_weeks_mistakes_have_their_plateau(week):
    """Between the jitter and two periods a timeout meets the bursts alone: 814 in a week, 1.35e-3 a second."""
    curve = ac.curve(week, ac.FixedTimeout(period=week.period), [1.7, 10.5, 100.5])
    assert curve.mistake_rate[0] == pytest.approx(1.35e-3, rel=0.02)
    gaps = np.diff(week.sequence) - 1
    for point, length in ((1, 10), (2, 100)):
        assert curve[point].mistakes == pytest.approx((gaps >= length).sum(), abs=1)
    phi = ac.curve(week, ac.PhiNormal(window=1000), [0.5, 2, 5, 8, 12])
    assert phi.mistake_rate == pytest.approx([2.9, 9.3e-2, 1.37e-3, 1.16e-3, 7.8e-4], rel=0.15)  # theory.md 2.2


def test_bursts_are_a_timeouts_mistakes():
    """With delays that never change, a timeout of j + 1/2 periods makes a mistake at each burst of j losses or more."""
    trace = ac.synthesize(200_000, base=0.05, loss="gilbert:loss=0.02,burst=4", seed=12)
    gaps = np.diff(trace.sequence) - 1
    lengths = [1, 2, 3, 5, 10, 20]
    curve = ac.curve(trace, ac.FixedTimeout(period=0.1), [length + 0.5 for length in lengths])
    assert [curve[i].mistakes for i in range(len(lengths))] == [(gaps >= length).sum() for length in lengths]


# ---- bad input ----


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ({"heartbeats": 0}, "heartbeats must be in [1, 1e8], is 0"),
        ({"heartbeats": 1.5}, "heartbeats must be a whole number, is 1.5"),
        ({"period": 0}, "period must be in [1e-9, 86400] s, is 0.0"),
        ({"period": "fast"}, "period must be a number of seconds, or one with a unit such as 50ms, is 'fast'"),
        ({"heartbeats": 10**8, "period": 86_400}, "100,000,000 heartbeats every 86400 s last longer than a trace can"),
        ({"seed": -1}, "seed must be in [0, 1e38], is -1"),
        ({"sleeping": "yes"}, "sleeping must be true or false, is 'yes'"),
        ({"delay": "lognormal"}, "delay: lognormal needs mean, deviation, as in lognormal:mean=S,deviation=S"),
        ({"delay": 0.05}, "delay must be a text such as constant:value=S or what it stands for, is 0.05"),
        ({"loss": 0.05}, "loss must be a text such as independent:loss=X or what it stands for, is 0.05"),
        ({"loss": "normal:mean=1,deviation=1"}, "loss: there is no 'normal': there are independent, gilbert, "),
        ({"regimes": "every=1,lasts=1"}, "regimes: regimes needs delay, as in every=S,lasts=S,delay=LAW"),
        (
            {"stalls": "every=1ms,length=constant:value=1"},
            "stalls: every must be at least the period = 0.1 s, is",
        ),
        ({"crashes": "every=99ms,silence=constant:value=1"}, "crashes: every must be at least the period = 0.1 s, is"),
        ({"crashes": "every=1,silence=constant:value=1e8"}, "silent longer than a trace can last, 36 years"),
        ({"heartbeats": 10, "loss": "mixed"}, "mixed: 814 bursts need at least 24007 heartbeats, there are 10"),
        ({"recipe": "burst"}, "there is no recipe 'burst': did you mean 'bursty'? there are stationary, bursty, "),
    ],
)
def test_a_bad_specification_is_answered(given, says):
    with pytest.raises(ValueError, match=re.escape(says)) as caught:
        ac.synthesize(**given)
    assert "\n" not in str(caught.value)


def test_an_unknown_parameter():
    with pytest.raises(
        ValueError, match=r"^a specification has no 'delays': it has heartbeats, period, seed, jitter, "
    ):
        specify(delays=1)


def test_none_takes_a_part_out_of_a_recipe():
    assert specify("bursty", loss="none").loss is None
    assert specify("bursty", sleeping=True).sleeping
    assert dataclasses.replace(RECIPES["bursty"].specification, loss=None) == specify("bursty", loss="none")


def test_the_command_makes_it_again():
    assert specify("bursty").command("a b.csv") == "accrual synthesize --recipe bursty --seed 2 -o 'a b.csv'"
    assert specify(heartbeats=5, seed=1, sleeping=True, sender_clock="rate=0.01").command("x.csv") == (
        "accrual synthesize --heartbeats 5 --period 0.1 --seed 1 --sleeping --sender-clock rate=0.01,step=0,every=3600"
        " -o x.csv"
    )


def test_progress_is_told():
    steps = []
    Specification(heartbeats=10).generate(steps.append)
    assert steps == ["sending", "delays", "losses", "order of arrival", "clocks"]
