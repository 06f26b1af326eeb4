"""What is in a trace: against a description that keeps everything and counts one by one."""

import json
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from strategies import traces

import accrual as ac
from accrual.traces import Trace, description

pq = pytest.importorskip("pyarrow.parquet")

NS = 10**9
steps = st.one_of(
    st.integers(5 * 10**7, 3 * 10**8), st.sampled_from([0, 1, 10**8, 7 * 10**9 + 1]), st.integers(-(10**9), -1)
)


def delayed(arrivals):
    delays = st.integers(-(10**6), 10**7)
    return st.none() | st.lists(delays, min_size=len(arrivals), max_size=len(arrivals)).map(lambda d: arrivals - d)


any_trace = traces(steps, min_size=1, max_size=60, sent=delayed)


def quantiles(values):
    """The smallest value that a share of all do not exceed."""
    if not values:
        return {}
    ordered = sorted(values)
    found = {"mean": sum(ordered) / len(ordered) / NS}
    for name, share in description.QUANTILES.items():
        found[name] = next(x for k, x in enumerate(ordered, 1) if k >= share * len(ordered)) / NS
    return found | {"max": ordered[-1] / NS}


def counted(trace):
    """The definitions of semantics.md, one heartbeat at a time, with a set of all numbers that came."""
    found = dict.fromkeys(["accepted", "lost", "reordered", "duplicates", "restarts", "clock_steps"], 0)
    intervals, gaps, steps_back, bursts = [], [], [], []
    last = largest = lowest = epoch = None
    came = set()

    def end_of_epoch():
        if came:
            missing = [k for k in range(lowest, largest + 1) if k not in came]
            found["lost"] += len(missing)
            for k in missing:
                if k - 1 in missing:
                    bursts[-1] += 1
                else:
                    bursts.append(1)

    for i, arrival in enumerate(trace.arrivals.tolist()):
        number = None if trace.sequence is None else int(trace.sequence[i])
        restarted = trace.epoch is not None and epoch is not None and int(trace.epoch[i]) != epoch
        epoch = None if trace.epoch is None else int(trace.epoch[i])
        if restarted:
            end_of_epoch()
            found["restarts"] += 1
            came, largest = set(), None
        if number is not None and largest is not None and number <= largest:
            found["duplicates" if number in came else "reordered"] += 1
            came.add(number)
            continue
        found["accepted"] += 1
        if last is not None and not restarted:
            if arrival < last:
                found["clock_steps"] += 1
                steps_back.append((arrival - last, i, last))
            else:
                intervals.append(arrival - last)
                gaps.append((last - arrival, i, last))
        if number is not None:
            lowest = number if largest is None else lowest
            largest = number
            came.add(number)
        last = arrival
    end_of_epoch()
    first = int(trace.arrivals[0])

    def listed(all_of_them):
        return [(number, (at - first) / NS, -by / NS) for by, number, at in sorted(all_of_them)[:10]]

    found |= {"intervals": quantiles(intervals), "gaps": listed(gaps), "steps": listed(steps_back)}
    found |= {"bursts": len(bursts), "burst_longest": max(bursts, default=None)}
    found["delays"] = None if trace.sent is None else quantiles((trace.arrivals - trace.sent).tolist())
    if trace.sequence is None:
        found |= dict.fromkeys(["lost", "bursts", "burst_longest", "reordered", "duplicates"])
    return found


@given(any_trace, st.integers(1, 25))
def test_everything_is_what_counting_one_by_one_gives(tmp_path_factory, trace, rows):
    """In memory and on disk, in pieces of any size."""
    path = tmp_path_factory.mktemp("described") / "beats.parquet"
    trace.write(path)
    expected = counted(trace)
    # A late number below the first of its epoch was never missing; if it comes again in another piece, nobody knows.
    first = trace.epoch is None or len(set(trace.epoch.tolist())) == 1
    for given_one in (trace, ac.scan_trace(path, rows=rows)):
        described = ac.describe(given_one)
        found = {name: getattr(described, name) for name in expected}
        if trace.sequence is not None and not (first and trace.sequence.min() == trace.sequence[0]):
            late = found["reordered"] + found["duplicates"]
            assert late == expected["reordered"] + expected["duplicates"]
            found["reordered"], found["duplicates"] = expected["reordered"], expected["duplicates"]
        means = [values.pop("mean", 0) for one in (found, expected) for values in [dict(one["intervals"])]]
        assert means[0] == pytest.approx(means[1], rel=1e-12)
        assert found == expected
        assert described.heartbeats == len(trace)
        assert described.duration == (int(trace.arrivals.max()) - int(trace.arrivals.min())) / NS
        if trace.sequence is not None:
            assert described.loss == described.lost / (described.lost + described.accepted + described.reordered)
            assert described.burst_mean == (described.lost / described.bursts if described.bursts else None)


def test_a_description_of_a_file_is_that_of_the_trace(tmp_path):
    rng = np.random.default_rng(9)
    n = 30_000
    number = np.cumsum(rng.choice([1, 1, 1, 2, 5, 0, -2], n))
    arrivals = np.cumsum(rng.gamma(9, 11e6, n).astype(int))
    trace = Trace(arrivals, sequence=number, sent=arrivals - rng.integers(0, 10**7, n), epoch=np.arange(n) // 9000)
    trace.write(tmp_path / "beats.parquet")
    whole, pieces = ac.describe(trace), ac.describe(ac.scan_trace(tmp_path / "beats.parquet", rows=777))
    assert pieces.sha256 == ac.scan_trace(tmp_path / "beats.parquet").sha256()
    assert pieces.verified is True
    assert pieces.to_dict() | {"sha256": None, "verified": None} == whole.to_dict()
    for name in ("time", "least", "most", "lengths", "counts"):
        np.testing.assert_array_equal(getattr(pieces.picture, name), getattr(whole.picture, name))
    np.testing.assert_allclose(pieces.picture.mean, whole.picture.mean, rtol=1e-12)


def test_a_picture_holds_every_interval():
    arrivals = np.cumsum(np.random.default_rng(9).integers(10**8, 10**9, 20_000))
    arrivals[9000:] += 77 * NS
    picture = ac.describe(arrivals).picture
    intervals = np.diff(arrivals) / NS
    assert picture.counts.sum() == 19_999
    assert (picture.least.min(), picture.most.max()) == (intervals.min(), intervals.max())
    assert len(picture.time) == 1000
    assert picture.time[0] == 0
    assert np.argmax(picture.most) == 450
    inside = np.histogram(intervals, picture.lengths)[0]
    np.testing.assert_array_equal(inside, picture.counts)


def test_numbers_almost_2_to_the_64_apart():
    described = ac.describe(Trace([0, 1, 2], sequence=[-(2**63), 2**63 - 1, 0]))
    assert (described.lost, described.reordered, described.duplicates) == (2**64 - 3, 1, 0)
    assert (described.bursts, described.burst_longest) == (2, 2**63 - 1)


def test_what_waits_for_late_heartbeats_is_bounded(monkeypatch, tmp_path):
    """Of 50 bursts the last 10 wait; a late heartbeat of an earlier one is taken for a duplicate."""
    monkeypatch.setattr(description, "_MOST_OPEN", 10)
    number = np.concatenate([np.arange(0, 102, 2), [1, 99]])
    Trace(np.arange(53), sequence=number).write(tmp_path / "a.parquet")
    described = ac.describe(ac.scan_trace(tmp_path / "a.parquet", rows=51))
    assert (described.lost, described.reordered, described.duplicates) == (49, 1, 1)


def test_delays_that_span_everything():
    top = 2**62 - 1
    described = ac.describe(Trace([top, -top, 0], sent=[-top, top, 0]))
    assert described.delays["p1"] == -2 * top / NS
    assert described.delays["p50"] == 0.0
    assert described.delays["max"] == 2 * top / NS


def test_nothing_and_one_heartbeat():
    for arrivals in ([], [5]):
        described = ac.describe(arrivals)
        assert (described.heartbeats, described.intervals, described.gaps) == (len(arrivals), {}, [])
        assert (described.lost, described.delays, described.duration) == (None, None, 0.0)
        assert described.to_dict()["bursts"] is None
        assert f"heartbeats   {len(arrivals)}, of which {len(arrivals)} count" in repr(described)


def test_forms_of_a_description():
    trace = Trace([0, NS, 2 * NS, NS, 9 * NS, 9 * NS + 1], sequence=[0, 1, 2, 3, 9, 4], epoch=[0] * 6)
    described = ac.describe(trace)
    plain = json.loads(json.dumps(described.to_dict(), allow_nan=False))
    assert plain["steps"] == [{"number": 3, "start": 2.0, "duration": 1.0}]
    assert plain["gaps"][0] == {"number": 4, "start": 1.0, "duration": 8.0}
    assert "picture" not in plain
    lines = dict(line.split("  ", 1) for line in repr(described).splitlines())
    assert lines["clock steps"].strip() == "1, largest 1 s at 2.0 s"
    assert lines["bursts of losses"].strip() == "1, mean 4, longest 4"
    assert lines["in order"].strip() == "all but arrival_ns, sequence"
    shown = described._repr_html_()
    assert shown.count("<tr>") == len(lines)
    assert "<th>duplicates</th><td>0</td>" in shown


@pytest.mark.parametrize("wrong", [[0.5], "beats.parquet", None])
def test_what_is_no_trace(wrong):
    with pytest.raises(ValueError, match="arrivals"):
        ac.describe(wrong)


def test_the_mean_of_what_a_double_cannot_hold():
    assert math.isclose(ac.describe([-(2**62) + 1, 2**62 - 1]).intervals["mean"], 2**63 / NS)
