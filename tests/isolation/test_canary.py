"""A canary release: against closed forms of who gets hurt, and when a fixed timeout must take it back."""

import json
import math

import numpy as np
import pytest
from scipy import stats

import accrual as ac
from accrual.isolation import release

FIXED = ac.FixedTimeout(period=1.0)


def mean_and_reach(sample, chance=0.999):
    sample = np.asarray(sample)
    return sample.mean(), stats.t.ppf(0.5 + chance / 2, len(sample) - 1) * stats.sem(sample)


def test_a_bug_that_hits_all_is_suspected_k_periods_after_the_last_good_check():
    """Released at 60 s, at a check: the next ones all fail, so silence begins at 60."""
    for seed in range(10):
        found = release(FIXED, threshold=3, bug=1.0, errors=0.0, delay=0.0, share=0.3, rollback=2.0, seed=seed)
        assert found.suspected == pytest.approx(63.0)
        assert found.rolled_back == pytest.approx(65.0)
        assert found.detection_time == pytest.approx(3.0)
        assert found.failed == found.requests
        assert not found.false_alarm


@pytest.mark.parametrize(("share", "bug"), [(0.05, 1.0), (0.2, 1.0), (0.2, 0.6)])
def test_who_is_hurt(share, bug):
    """Each user fails at rate * bug / users; hurt is who has had it once before the release is taken back."""
    hurt, expected = [], []
    for seed in range(60):
        found = release(FIXED, threshold=3, bug=bug, errors=0.0, share=share, users=2000, rate=300, seed=seed)
        exposed = found.rolled_back - found.released
        hurt.append(found.hurt)
        expected.append(found.users * -math.expm1(-300 / 2000 * bug * exposed))
    middle, reach = mean_and_reach(np.array(hurt) - np.array(expected))
    assert reach < 0.1 * np.mean(expected)
    assert middle == pytest.approx(0, abs=reach)


def test_a_user_stays_with_a_version():
    shares = [release(FIXED, 3, share=share, users=20_000).users / 20_000 for share in (0.0, 0.05, 0.5, 1.0)]
    assert shares == pytest.approx([0.0, 0.05, 0.5, 1.0], abs=0.01)
    assert shares[0] == 0
    assert shares[-1] == 1


def test_a_larger_canary_hurts_more_and_a_watched_one_fewer():
    watched, unwatched = (
        [release(FIXED, threshold, share=share, seed=1).hurt for share in (0.02, 0.1, 0.5)] for threshold in (3, 1e9)
    )
    assert watched == sorted(watched)
    assert unwatched == sorted(unwatched)
    assert all(a < b for a, b in zip(watched, unwatched, strict=True))


def test_a_version_without_a_bug_is_kept():
    for detector, threshold in ((FIXED, 3), (ac.PhiNormal(window=50, min_deviation=0.3), 8)):
        found = release(detector, threshold, bug=0.001, errors=0.001, share=0.2)
        assert found.suspected == math.inf
        assert not found.false_alarm
        assert found.rolled_back == found.duration


@pytest.mark.parametrize("share", [0.0, 0.2])
def test_nothing_failed_is_well_where_nothing_may_fail(share):
    found = release(FIXED, 3, bug=0.0, errors=0.0, allowed=0.0, share=share)
    assert len(found.heartbeats) == 120
    assert found.suspected == math.inf


def test_a_hasty_detector_takes_back_what_is_sound():
    found = release(ac.FixedTimeout(period=0.9), 1.0, bug=0.001, errors=0.001)
    assert found.false_alarm
    assert "a false alarm" in repr(found)


def test_a_bug_below_what_is_allowed_goes_unseen():
    found = release(FIXED, 3, bug=0.05, errors=0.0, allowed=0.3, share=0.5)
    assert found.suspected == math.inf
    assert found.hurt > 0


def test_results():
    found = release(FIXED, 3, seed=5)
    assert release(FIXED, 3, seed=5).to_dict() == found.to_dict()
    assert json.loads(json.dumps(found.to_dict()))["hurt"] == found.hurt
    assert found.to_pandas()["hurt"].tolist() == [found.hurt]
    assert "<table>" in found._repr_html_()


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"share": 1.5}, r"share must be a share from 0 to 1 \(1 is 100 %\), got 1.5"),
        ({"share": -0.1}, "share must be a share from 0 to 1"),
        ({"bug": 2}, "bug must be a share from 0 to 1"),
        ({"released": 120}, "released must be before the end of the run at 120 s, got 120"),
        ({"period": 0}, "period must be a number of seconds above 0, got 0"),
        ({"users": 0}, "users must be a whole number of 1 or more, got 0"),
        ({"rate": 1e9}, r"requests \(rate times duration\) must be at most 10,000,000"),
        ({"period": 1e-9}, r"heartbeats \(duration over period\) must be at most 10,000,000"),
        ({"rate": 0}, "rate must be a number of requests a second above 0, got 0"),
    ],
)
def test_bad_input(options, words):
    with pytest.raises(ValueError, match=words):
        release(FIXED, 3, **options)
