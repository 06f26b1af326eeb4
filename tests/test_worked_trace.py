"""The first test: the trace worked by hand in golden/worked_trace.md, by the oracle and by the package."""

import json
import math
from decimal import Decimal
from functools import partial
from pathlib import Path

import numpy as np
import oracle
import pytest
from golden import make_worked_trace

import accrual as ac

GOLDEN = Path(__file__).parent / "golden"
WORKED = json.loads((GOLDEN / "worked_trace.json").read_text())
TAIL = json.loads((GOLDEN / "tail.json").read_text())
ROWS = WORKED["heartbeats"]
COLUMNS = {key: [row[key] for row in ROWS] for key in ("arrival", "sequence", "epoch")}
LAST_NS = 2**63 - 1
ORACLES = {"phi-normal": oracle.PhiNormal, "fixed-timeout": oracle.FixedTimeout, "chen": oracle.Chen}
FIELDS = (
    *("detection_time", "detection_time_uniform", "detection_time_p99", "detection_time_max"),
    *("mistakes", "mistake_rate", "mistake_rate_upper", "mistake_duration", "mistake_recurrence", "good_period"),
    *("query_accuracy", "observed", "heartbeats", "lost"),
)


def near(value, rel=1e-12):
    # Below 1e-15 only the size counts: the law promises relative accuracy from z = -8 on.
    return pytest.approx(math.nan if value is None else float(value), rel=rel, abs=1e-15, nan_ok=True)


def digits(number, count=20):
    """As the golden files write a figure."""
    return None if number is None else oracle.mp.nstr(oracle.mp.mpf(number), count)


def test_page_and_figures_are_those_of_the_script():
    page = (GOLDEN / "worked_trace.md").read_text()
    assert make_worked_trace.worked() == WORKED
    assert make_worked_trace.page(WORKED, page) == page


# The oracle


@pytest.fixture(params=WORKED["detectors"])
def worked(request):
    return WORKED["detectors"][request.param]


@pytest.fixture
def reference(request, worked):
    return partial(ORACLES[request.node.callspec.params["worked"]], **worked["parameters"])


@pytest.fixture
def plain_trace():
    return oracle.Trace(COLUMNS["arrival"], COLUMNS["sequence"], COLUMNS["epoch"], period=WORKED["period"])


def test_oracle_follows_each_heartbeat(worked, reference):
    peer = reference()
    for arrived, row in zip(ROWS, worked["rows"], strict=True):
        heartbeat = arrived["arrival"], arrived["sequence"], arrived["epoch"]
        assert digits(peer.level(arrived["arrival"])) == row["level"]
        assert peer.suspected(arrived["arrival"], worked["threshold"]) == row["suspected"]
        assert peer.heartbeat(*heartbeat) == arrived["accepted"]
        assert peer.deadline(worked["threshold"]) == row["deadline"]
        if "variance" in row:
            assert peer.n == row["n"]
            if peer.n:
                assert str(peer.mean / oracle.NS) == row["mean"]
                assert str(peer.variance / oracle.NS**2) == row["variance"]


def test_oracle_finds_the_quality_of_service(worked, reference, plain_trace):
    found = oracle.qos(plain_trace, reference, worked["threshold"])
    for field, value in worked["qos"].items():
        if field == "durations":
            assert digits(found.total / oracle.NS) == digits(sum(map(oracle.mp.mpf, value)))
        elif isinstance(value, list):
            assert [digits(oracle.mp.mpf(instant) / oracle.NS) for instant in getattr(found, field)] == value
        elif isinstance(value, str):
            assert digits(getattr(found, field)) == value
        else:
            assert getattr(found, field) == value


def test_oracle_finds_the_same_suspicions_by_polling(worked, reference, plain_trace):
    step = 10**7
    found = oracle.qos(plain_trace, reference, worked["threshold"])
    starts = [math.ceil(start / step) * step for start in found.starts]
    assert oracle.poll(plain_trace, reference, worked["threshold"], step) == list(zip(starts, found.ends, strict=True))


def test_no_worked_deadline_can_be_flipped_by_rounding(plain_trace):
    reference = partial(oracle.PhiNormal, **WORKED["detectors"]["phi-normal"]["parameters"])
    waits = [row.wait for row in oracle.walk(plain_trace, reference, 1) if row.known]
    assert min(abs(wait - oracle.mp.nint(wait)) for wait in waits) > 1e-3


@pytest.mark.parametrize("row", TAIL["level"], ids=lambda row: f"z={row['z']}")
def test_oracle_normal_level(row):
    given = len(row["level"].split("e")[0].replace(".", "").lstrip("0"))
    assert digits(oracle.normal_level(oracle.real(row["z"])), given) == row["level"]


@pytest.mark.parametrize("row", TAIL["inverse"], ids=lambda row: f"level={row['level']}")
def test_oracle_normal_inverse(row):
    assert digits(oracle.normal_inverse(oracle.real(row["level"]))) == row["z"]


# The package


@pytest.fixture(params=[name for name in WORKED["detectors"] if name in ac.DETECTORS])
def case(request):
    worked = WORKED["detectors"][request.param]
    return ac.DETECTORS[request.param](**worked["parameters"]), worked


@pytest.fixture
def trace():
    arrivals, sequence, epoch = (np.array(COLUMNS[key]) for key in ("arrival", "sequence", "epoch"))
    return ac.Trace(arrivals, sequence=sequence, sent=None, epoch=epoch, period=WORKED["period"])


def test_package_has_the_detectors_of_the_spine():
    assert {"phi-normal", "fixed-timeout"} <= set(ac.DETECTORS)


def test_levels(case, trace):
    detector, worked = case
    levels = ac.levels(trace, detector)
    assert [float(level) for level in levels] == [near(row["level"]) for row in worked["rows"]]


def test_deadlines(case, trace):
    detector, worked = case
    deadlines = ac.replay(trace, detector).deadlines(worked["threshold"])
    assert deadlines.dtype == np.int64
    expected = [LAST_NS if row["deadline"] is None else row["deadline"] for row in worked["rows"]]
    assert deadlines.tolist() == expected


def test_monitor(case):
    detector, worked = case
    now = None
    monitor = ac.Monitor(detector, threshold=worked["threshold"], clock=lambda: now)
    for arrived, row in zip(ROWS, worked["rows"], strict=True):
        now = arrived["arrival"]
        assert monitor.level(now) == near(row["level"])
        assert monitor.level() == near(row["level"])
        assert monitor.suspected(now) == row["suspected"]
        monitor.heartbeat(now=now, sequence=arrived["sequence"], epoch=arrived["epoch"])
        assert monitor.deadline() == row["deadline"]


def test_quality_of_service(case, trace):
    detector, worked = case
    found = ac.qos(trace, detector, worked["threshold"])
    # semantics.md defines mistake_rate_upper only where there is no mistake, and here there are some.
    fields = [field for field in FIELDS if field != "mistake_rate_upper"]
    # 1e-11: ten times finer than the rounding of one deadline to whole ns would show.
    expected = {field: near(worked["qos"][field], rel=1e-11) for field in fields}
    assert {field: getattr(found, field) for field in fields} == expected


def test_mistakes(case, trace):
    detector, worked = case
    mistakes = ac.replay(trace, detector).mistakes(worked["threshold"])
    assert len(mistakes.start) == len(mistakes.end) == worked["qos"]["mistakes"]
    # A start is a deadline, so rounded up to the ns; all ends are arrivals, but for the one of an open suspicion.
    starts, ends = ([Decimal(second) * 10**9 for second in worked["qos"][name]] for name in ("starts", "ends"))
    assert mistakes.start.tolist() == [math.ceil(start) for start in starts]
    assert mistakes.end.tolist() == [*ends[:-1], ac.NEVER if worked["qos"]["open"] else ends[-1]]
