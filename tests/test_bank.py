"""Many peers: what a service calls, what files can do to it, and what is refused without changing anything."""

import json
import math
import threading
import zlib

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import accrual as ac
from accrual.core import engine
from accrual.monitor import MAGIC
from accrual.replay import NEVER

MS = 1_000_000
EXAMPLES = [
    ac.FixedTimeout(period=0.1),
    ac.PhiNormal(window=3),
    ac.PhiLogistic(window=3, first_interval=0.1, learn_below=5),
    ac.PhiExponential(window=1, first_interval=0.2, max_interval=0.15, prior_weight=2),
    ac.PhiStudent(window=5),
    ac.Empirical(window=3, stretch=2),
    ac.Chen(window=3),
    ac.TwoWindow(period=0.1, short=2, long=4),
    ac.Bertier(period=0.1, window=3),
    ac.ExpectedArrival(),
]


def test_an_example_of_every_detector_is_here():
    assert {detector.name for detector in EXAMPLES} == set(ac.DETECTORS)


def bank(peers=5, window=3, threshold=1.0, **more):
    return ac.Bank(ac.PhiNormal(window=window), peers=peers, threshold=threshold, **more)


def fed(**more):
    """Five peers: 0 with a full window, 1 and 2 with less, numbered and dated; 3 heard once; 4 never."""
    b = bank(**more)
    for i in range(6):
        b.heartbeat([0], [i * 100 * MS + i * i * MS])
    b.heartbeat([1, 2] * 3, np.arange(6) * 70 * MS, sequence=np.arange(6), epoch=[7, -8] * 3)
    b.heartbeat(3, now=5)
    return b


def state(b):
    """All that one can see of a bank."""
    return [
        b.deadlines.tolist(),
        b.levels(10**9).tolist(),
        b.suspected(10**9).tolist(),
        [b.accepted, b.ignored, b.clock_steps, b.restarts, b.unlearned],
        [len(b), b.names, b.threshold, b.detector],
    ]


def assert_same(a, b):
    np.testing.assert_equal(state(a), state(b))


def test_a_new_bank_knows_nothing():
    b = ac.Bank(ac.PhiNormal())
    assert (len(b), b.threshold, b.names) == (1_000_000, 8.0, None)
    assert np.isnan(b.levels(5)).all()
    assert len(b.suspected(10**18)) == 0
    assert (b.deadlines == NEVER).all()
    assert repr(b).startswith("Bank(PhiNormal(window=1000")


def test_a_peer_may_come_more_than_once_in_a_batch():
    b, m = bank(), ac.Monitor(ac.PhiNormal(window=3), threshold=1.0)
    now = [0, 10 * MS, 25 * MS, 31 * MS, 31 * MS, 50 * MS, 40 * MS]
    sequence = [1, 2, 3, 3, 5, 6, 7]
    accepted = b.heartbeat([2] * 7, now, sequence)
    assert accepted.dtype == np.bool_
    assert accepted.tolist() == [m.heartbeat(now=t, sequence=s) for t, s in zip(now, sequence, strict=True)]
    assert (b.deadlines[2], b.levels(60 * MS)[2]) == (m.deadline(), m.level(now=60 * MS))
    assert (b.accepted, b.ignored, b.clock_steps) == (6, 1, 1)


def test_scalars_serve_a_whole_batch():
    a, b = bank(), bank()
    a.heartbeat([0, 1, 2], now=5, sequence=9, epoch=1)
    b.heartbeat(np.array([0, 1, 2], np.int16), now=[5, 5, 5], sequence=[9, 9, 9], epoch=[1, 1, 1])
    assert_same(a, b)
    assert a.heartbeat(1, now=6, sequence=9).tolist() == [False]
    assert a.heartbeat([], now=[]).tolist() == []


def test_an_unheard_peer_among_others_is_unknown():
    levels = fed().levels(10**9)
    assert np.isnan(levels).tolist() == [False, False, False, True, True]


def test_before_the_last_heartbeat_a_query_is_one_at_it():
    """Where even a fresh heartbeat leaves the peer suspected, it is so at earlier instants, too."""
    b = ac.Bank(ac.FixedTimeout(period=0.001), peers=300, threshold=0.0)
    b.heartbeat([7, 150, 299], [10 * MS, 20 * MS, 5 * MS])
    assert b.suspected(0).tolist() == [7, 150, 299]
    b.threshold = 1.0
    assert b.suspected(7 * MS).tolist() == [299]


def test_the_threshold_may_change_at_any_time():
    b = ac.Bank(ac.FixedTimeout(period=0.001), peers=2, threshold=3)
    b.heartbeat([0], now=0)
    b.threshold = 5
    assert (b.threshold, b.deadlines.tolist()) == (5.0, [5 * MS, NEVER])
    with pytest.raises(ValueError, match="threshold must be a number, got nan"):
        b.threshold = math.nan
    assert (b.threshold, b.deadlines[0]) == (5.0, 5 * MS)
    b.threshold = math.inf
    assert (b.deadlines == NEVER).all()


def test_deadlines_are_a_view_that_cannot_be_written():
    b = fed()
    with pytest.raises(ValueError, match="read-only"):
        b.deadlines[0] = 0
    before = b.deadlines
    b.heartbeat([0], now=10**10)
    assert before[0] > 10**10


def test_reset_forgets_the_heartbeats_of_some():
    b = fed(names=list("abcde"))
    others = b.levels(10**9)[1:]
    b.reset(["a", "a"])
    assert math.isnan(b.levels(10**9)[0])
    assert b.deadlines[0] == NEVER
    np.testing.assert_array_equal(b.levels(10**9)[1:], others)
    b.reset([1, 2])
    assert b.heartbeat([1, 2], now=0, sequence=0, epoch=99).all()  # sequence and epoch are forgotten, too
    assert (b.restarts, b.clock_steps) == (0, 0)


# ---- names, growing and shrinking ------------------------------------------------------------------------------------


def test_names_and_numbers_mean_the_same():
    a, b = fed(names=list("abcde")), fed()
    a.heartbeat(["b", "a", "b"], now=10**9)
    a.heartbeat(np.array(["c"]), now=10**9)
    a.heartbeat("d", now=10**9)
    b.heartbeat([1, 0, 1, 2, 3], now=10**9)
    np.testing.assert_equal(state(a)[:4], state(b)[:4])
    assert a.names == tuple("abcde")


def test_growing_and_shrinking_keeps_who_stays():
    b, whole = fed(), fed()
    b.resize(900)
    assert len(b) == 900
    np.testing.assert_array_equal(b.levels(10**9)[:5], whole.levels(10**9))
    assert np.isnan(b.levels(10**9)[5:]).all()
    b.resize(2)
    np.testing.assert_array_equal(b.levels(10**9), whole.levels(10**9)[:2])
    assert not b.heartbeat([1], now=10**9, sequence=4, epoch=7).any()  # its sequence number went along
    b.resize(0)
    assert (len(b), b.heartbeat([], []).size, b.levels(0).size, b.suspected(0).size) == (0, 0, 0, 0)
    b.resize(3)
    assert b.heartbeat([2], now=1).all()


def test_with_names_a_peer_is_who_has_its_name():
    b, whole = fed(names=list("abcde")), fed()
    b.resize(["new", "c", "a"])
    np.testing.assert_array_equal(b.levels(10**9), whole.levels(10**9)[[4, 2, 0]])
    assert b.names == ("new", "c", "a")
    b.heartbeat("new", now=10**9)
    with pytest.raises(ValueError, match="peers must be the new names, got 3"):
        b.resize(3)
    with pytest.raises(ValueError, match=r"names\[1\] = 'c' is names\[0\] too"):
        b.resize(["c", "c"])
    assert b.names == ("new", "c", "a")


# ---- one file --------------------------------------------------------------------------------------------------------


@pytest.fixture
def path(tmp_path):
    return tmp_path / "peers.bank"


@pytest.mark.parametrize("names", [None, ["a", "b", "ü\n", "d", ""]])
@pytest.mark.parametrize("detector", [*EXAMPLES, ac.PhiNormal(window=1000)], ids=str)
def test_a_bank_comes_back_from_its_file_and_goes_on_alike(path, detector, names):
    b = ac.Bank(detector, peers=5, threshold=2.5, names=names)
    for i in range(50):
        b.heartbeat([0, 1, 1, 3], i * 10**8 + np.array([0, 5, 3 * MS, i * MS]), sequence=[i, i, i + 1, i // 2])
    b.snapshot(path)
    again = ac.Bank.restore(path, detector)
    assert_same(again, b)
    for x in (again, b):
        x.heartbeat([0, 1, 3, 4], now=60 * 10**8, sequence=100, epoch=2)
        x.heartbeat([0, 1, 3, 4], now=61 * 10**8, sequence=101, epoch=[2, 2, 2, 3])
    assert_same(again, b)
    assert [file.name for file in path.parent.iterdir()] == [path.name]


def test_an_empty_bank_has_a_file_too(path):
    bank(peers=0).snapshot(path)
    assert len(ac.Bank.restore(path)) == 0


def test_a_snapshot_that_fails_leaves_the_old_one(path, monkeypatch):
    b = fed()
    b.snapshot(path)
    before = path.read_bytes()
    monkeypatch.setattr("os.fsync", lambda _: (_ for _ in ()).throw(OSError(28, "No space left on device")))
    with pytest.raises(OSError, match="No space left"):
        b.snapshot(path)
    assert path.read_bytes() == before
    assert [file.name for file in path.parent.iterdir()] == [path.name]


def test_a_file_about_another_detector_is_refused(path):
    fed().snapshot(path)
    with pytest.raises(ValueError, match=r"peers.bank: .*about PhiNormal\(window=3.*not PhiNormal\(window=4"):
        ac.Bank.restore(path, ac.PhiNormal(window=4))


def test_a_file_cut_anywhere_is_refused(path):
    fed().snapshot(path)
    whole = path.read_bytes()
    for size in range(len(whole)):
        path.write_bytes(whole[:size])
        with pytest.raises(ValueError, match="no bank that can be restored"):
            ac.Bank.restore(path)
    path.write_bytes(whole + b"x")
    with pytest.raises(ValueError, match="checksum"):
        ac.Bank.restore(path)


def test_a_byte_changed_anywhere_is_refused(path):
    fed().snapshot(path)
    whole = path.read_bytes()
    for at in range(len(whole)):
        path.write_bytes(whole[:at] + bytes([whole[at] ^ 0x41]) + whole[at + 1 :])
        with pytest.raises(ValueError, match="no bank that can be restored"):
            ac.Bank.restore(path)


def forged(path, change=None, of=None, **about):
    """A file with other contents and a checksum that is right."""
    (of or fed()).snapshot(path)
    magic, header, body = path.read_bytes()[:-4].split(b"\n", 2)
    header = json.dumps(json.loads(header) | about).encode()
    body = bytearray(body)
    if change:
        change(body)
    data = magic + b"\n" + header + b"\n" + bytes(body)
    path.write_bytes(data + zlib.crc32(data).to_bytes(4, "little"))
    return path


@pytest.mark.parametrize(
    "about",
    [
        {"peers": 2**39}, {"peers": 2**80}, {"peers": -1}, {"peers": True}, {"peers": "5"}, {"peers": 4},
        {"detector": "no-such"}, {"detector": []}, {"parameters": {"window": 2**30}}, {"parameters": []},
        {"parameters": {"windows": 3}}, {"parameters": {"window": 2}}, {"threshold": None}, {"threshold": math.nan},
        {"names": ["a"]}, {"names": 5}, {"names": "abcde"}, {"names": ["a", "b", "c", "d", "a"]},
        {"counts": {}}, {"counts": []}, {"counts": dict.fromkeys(engine.VERDICT, 2**70)},
    ],
)  # fmt: skip
def test_a_hostile_header_is_refused(path, about):
    with pytest.raises(ValueError, match="no bank that can be restored"):
        ac.Bank.restore(forged(path, **about))


def test_a_header_of_another_kind_is_refused(path):
    for text in (b"", b"{}", b"[" * 10**5, b"5", b"\xff", b"accrual bank 2\n{}"):
        for data in (text, MAGIC + text, MAGIC + text + b"\n"):
            path.write_bytes(data)
            with pytest.raises(ValueError, match="no bank that can be restored"):
                ac.Bank.restore(path)
    with pytest.raises(FileNotFoundError):
        ac.Bank.restore(path.parent / "none")


@given(st.binary(min_size=1, max_size=8), st.integers(0, 5 * 48 - 1))
def test_hostile_accounts_never_reach_outside(tmp_path_factory, data, at):
    """Whatever an account says: it is refused, or it is one, whose sums are its intervals'."""
    path = tmp_path_factory.mktemp("hostile") / "peers.bank"

    def change(body):
        body[at : at + len(data)] = data[: 5 * 48 - at]

    try:
        b = ac.Bank.restore(forged(path, change))
    except ValueError:
        return
    b.heartbeat([0, 1, 2, 3, 4] * 5, now=2**61, sequence=5, epoch=5)
    assert len(b.levels(2**62 - 1)) == 5


@pytest.mark.parametrize("interval", [-1, -(2**63), 2**62, 2**63 - 1])
def test_a_hostile_interval_is_refused(path, interval):
    def change(body):
        body[-8:] = interval.to_bytes(8, "little", signed=True)

    with pytest.raises(ValueError, match="account 2 is none that heartbeats can leave behind"):
        ac.Bank.restore(forged(path, change))


@pytest.mark.parametrize("detector", [d for d in EXAMPLES if d.compiled.scheduled], ids=str)
@pytest.mark.parametrize("ahead", [-1, 2**62, 2**63 - 1])
def test_a_hostile_schedule_is_refused(path, detector, ahead):
    def change(body):
        start = len(b._arrays[0].tobytes()) + 2 * 8 * len(b)  # of the schedules: after accounts, sequences and epochs
        body[start : start + 8] = ahead.to_bytes(8, "little", signed=True)

    b = ac.Bank(detector, peers=1, threshold=1)
    b.heartbeat([0, 0, 0], [0, 10**8, 2 * 10**8])
    with pytest.raises(ValueError, match="account 0 is none that heartbeats can leave behind"):
        ac.Bank.restore(forged(path, change, of=b))


@pytest.mark.parametrize("detector", [ac.ExpectedArrival(period=6000), ac.Bertier(period=6000)], ids=str)
def test_a_number_that_jumps_keeps_nobody_from_growing_or_coming_back(path, detector):
    b = ac.Bank(detector, peers=1, threshold=1)
    b.heartbeat([0] * 20, np.arange(20) * 10**9, sequence=np.arange(20) * 8_500_000)
    b.resize(2)
    b.snapshot(path)
    assert_same(ac.Bank.restore(path), b)


# ---- bad input -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (([0, 1, 5], 10**9), r"peers\[2\] = 5 is no peer: there are 5, numbered from 0"),
        (([0, -1], 10**9), r"peers\[1\] = -1 is no peer"),
        (([0, 2**63], 10**9), r"peers\[1\] = 9.2"),
        (([0, 1.5], 10**9), r"peers\[1\] = 1.5"),
        (([0.0, 1.0], 10**9), "peers must hold integers, got floats"),
        ((np.array([0.0, 1.0]), 10**9), "peers must hold integers, got floats"),
        (([True], 10**9), "peers.*True"),
        ((True, 10**9), "peers.*True"),
        (([[0, 1]], 10**9), "peers must have 1 dimension"),
        ((["a"], 10**9), "peers"),
        ((None, 10**9), "peers"),
        (([0, 1], [10**9]), "now has 1 values, peers has 2"),
        (([0], []), "now has 0 values, peers has 1"),
        (([0], [math.nan]), r"now\[0\] = nan"),
        (([0], math.nan), r"now\[0\] = nan"),
        (([0], 1e9), "now must hold integers, got floats"),
        (([0, 1], [10**9, 2**62]), r"now\[1\] = 4611686018427387904 ns is not inside"),
        (([0], -(2**62)), r"now\[0\] = -4611686018427387904"),
        (([0], 2**100), "now"),
        (([0], None), "now"),
        (([0], "now"), "now"),
        (([0, 1], 10**9, [1, 2, 3]), "sequence has 3 values, peers has 2"),
        (([0, 1], 10**9, [1, 2.5]), r"sequence\[1\] = 2.5"),
        (([0, 1], 10**9, [1, 2**63]), r"sequence\[1\] = 9.2"),
        (([0, 1], 10**9, None, [1]), "epoch has 1 values, peers has 2"),
        (([0, 1], 10**9, None, math.inf), r"epoch\[0\] = inf"),
    ],
)
def test_a_batch_with_a_mistake_is_refused_whole(arguments, message):
    b = fed()
    with pytest.raises(ValueError, match=message):
        b.heartbeat(*arguments)
    assert_same(b, fed())


def test_unknown_names_are_refused_whole():
    b = fed(names=list("abcde"))
    for names, message in ((["a", "x"], r"peers\[1\] = 'x' is no name in this bank"), (["a", 1], r"peers\[1\] = 1")):
        for call in (lambda names=names: b.heartbeat(names, 10**9), lambda names=names: b.reset(names)):
            with pytest.raises(ValueError, match=message):
                call()
    with pytest.raises(ValueError, match=r"peers\[0\] = 5 is no peer"):
        b.reset([5])
    assert_same(b, fed(names=list("abcde")))


@pytest.mark.parametrize("now", [2**62, -(2**62), 2**100])
def test_queries_beyond_146_years_are_refused(now):
    for ask in (fed().levels, fed().suspected):
        with pytest.raises(ValueError, match=r"now must lie within 2\*\*62 ns"):
            ask(now)


@pytest.mark.parametrize("now", [1.5, math.nan, "5", [5], None, np.float64(5)])
def test_queries_at_no_instant_are_refused(now):
    for ask in (fed().levels, fed().suspected):
        with pytest.raises(TypeError):
            ask(now)


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"peers": -1}, "peers must be a whole number from 0 to 2"),
        ({"peers": 2**41}, "peers must be a whole number"),
        ({"peers": 1.0}, "peers must be a whole number"),
        ({"peers": True}, "peers must be a whole number"),
        ({"peers": None}, "peers must be a whole number"),
        ({"names": ["a", "b", "a"]}, r"names\[2\] = 'a' is names\[0\] too"),
        ({"names": ["a", 5]}, r"names\[1\] = 5 is no str"),
        ({"names": "abc"}, "names must be a sequence of str, got one: 'abc'"),
        ({"names": ["a"], "peers": 2}, "peers must be the number of names, 1, got 2"),
        ({"threshold": math.nan}, "threshold must be a number, got nan"),
    ],
)
def test_wrong_parameters_are_refused(parameters, message):
    with pytest.raises(ValueError, match=message):
        ac.Bank(ac.PhiNormal(), **parameters)


def test_what_is_no_detector_is_refused():
    with pytest.raises(TypeError, match="detector must be one of accrual's"):
        ac.Bank("phi")


@pytest.mark.parametrize("peers", [2**28, 2**40])
def test_windows_beyond_all_memory_are_refused(peers):
    with pytest.raises(MemoryError, match=rf"{peers} peers with a window of 16777216 need .* GiB"):
        ac.Bank(ac.PhiNormal(window=2**24), peers=peers)
    b = fed(window=2**24)
    with pytest.raises(MemoryError):
        b.resize(peers)
    assert_same(b, fed(window=2**24))


def test_eight_threads_on_one_bank():
    """Calls take turns: nothing is lost, and nobody sees half a heartbeat."""
    b = bank(peers=1000, window=5)

    def work(first):
        for i in range(200):
            b.heartbeat(np.arange(first, 1000, 8), now=i * MS)
            b.suspected(i * MS)
            b.levels(i * MS)
            if i % 50 == 0:
                b.resize(1000)

    threads = [threading.Thread(target=work, args=(k,)) for k in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert b.accepted == 200 * 1000
    assert (b.deadlines == b.deadlines[0]).all()
