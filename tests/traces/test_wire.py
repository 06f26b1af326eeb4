import errno
import select
import socket
import subprocess
import sys
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from accrual.traces import wire
from accrual.traces.wire import Heartbeat, Receiver, Sent, decode, encode, send

LONG = 30.0  # s; a deadline for what takes microseconds

heartbeats = st.builds(
    Heartbeat,
    epoch=st.integers(0, 2**63 - 1),
    sequence=st.integers(0, 2**63 - 1),
    sent=st.integers(0, 2**62 - 1),
    period=st.integers(1, 2**63 - 1),
)


# The datagram


@given(heartbeats)
def test_what_is_encoded_decodes(heartbeat):
    data = encode(heartbeat)
    assert len(data) == wire.SIZE
    assert decode(data) == heartbeat


@given(st.binary(max_size=2 * wire.SIZE) | st.binary(min_size=wire.SIZE, max_size=wire.SIZE))
def test_rubbish_is_no_heartbeat(data):
    assert decode(data) is None


@given(heartbeats, st.integers(0, wire.SIZE - 1), st.integers(1, 255))
def test_a_damaged_heartbeat_is_none_or_says_exactly_what_came(heartbeat, place, flip):
    data = bytearray(encode(heartbeat))
    data[place] ^= flip
    found = decode(bytes(data))
    if place < 8:  # magic and version
        assert found is None
    elif found is not None:
        assert encode(found) == data


@given(heartbeats, st.binary(min_size=1))
def test_length_is_exact(heartbeat, more):
    data = encode(heartbeat)
    assert decode(data + more) is None
    assert decode(data[:-1]) is None


@pytest.mark.parametrize("field", ["epoch", "sequence", "sent", "period"])
@pytest.mark.parametrize("value", [-1, 2**63, 2**64])
def test_numbers_out_of_bounds(field, value):
    fields = {"epoch": 1, "sequence": 1, "sent": 1, "period": 1} | {field: value}
    with pytest.raises(ValueError, match=rf"{field} must be in .* is {value}$"):
        Heartbeat(**fields)


def test_an_instant_that_no_trace_takes_is_no_heartbeat():
    data = bytearray(encode(Heartbeat(1, 2, 3, 4)))
    data[24] |= 0x40  # the highest byte of `sent`
    assert decode(bytes(data)) is None


# Addresses and periods


@pytest.mark.parametrize(
    ("text", "address"),
    [("localhost:0", ("localhost", 0)), ("192.0.2.1:65535", ("192.0.2.1", 65535)), ("[::]:7", ("::", 7))],
)
def test_addresses(text, address):
    assert wire.parse_address(text) == address
    assert wire.format_address(address) == text


@pytest.mark.parametrize(
    "text", ["", "host", ":7", "[]:7", "host:", "host:x", "host:-1", "host:65536", "::1:7", "host:²", "[a]:7"]
)
def test_what_is_no_address(text):
    with pytest.raises(ValueError, match="HOST:PORT"):
        wire.parse_address(text)


@pytest.mark.parametrize("period", [0, -1, 1e-10, 86_401, float("nan"), float("inf")])
def test_periods_out_of_bounds(period):
    with pytest.raises(ValueError, match=r"period must be from 1e-9 to 86400 s"):
        send(("127.0.0.1", 7), period)


@pytest.mark.parametrize("count", [0, -1])
def test_counts_out_of_bounds(count):
    with pytest.raises(ValueError, match=f"count must be at least 1, is {count}"):
        send(("127.0.0.1", 7), 1.0, count)


# The sender


class Time:
    """A clock that only moves while somebody waits, and then overshoots by what it is told."""

    def __init__(self, late):
        self.now = 1_000_000
        self.late = iter(late)

    def wait(self, seconds):
        self.now += round(seconds * 1e9) + next(self.late)
        return False


def sent_by(late, period):
    """Send as many heartbeats as there are delays [ns]; return what was sent, and when after the start [ns]."""
    clock = Time(late)
    with Receiver() as receiver:
        done = send(("127.0.0.1", receiver.port), period, len(late), epoch=5, clock=lambda: clock.now, wait=clock.wait)
        received = [decode(receiver.receive(LONG).data) for _ in late]
    assert [heartbeat.sequence for heartbeat in received] == list(range(len(late)))
    assert {heartbeat.epoch for heartbeat in received} == {5}
    assert {heartbeat.period for heartbeat in received} == {round(period * 1e9)}
    return done, [heartbeat.sent - 1_000_000 for heartbeat in received]


def test_the_schedule_is_absolute():
    done, at = sent_by([0, 300, 0, 200, 0], period=1e-6)
    assert at == [0, 1300, 2000, 3200, 4000]
    assert done == Sent(5, 0, 0)


def test_up_to_a_period_late_keeps_the_schedule():
    done, at = sent_by([0, 1000, 0, 0], period=1e-6)
    assert at == [0, 2000, 2000, 3000]
    assert done == Sent(4, 0, 0)


def test_a_pause_restarts_the_schedule_without_a_burst():
    done, at = sent_by([0, 0, 5500, 0, 1001, 0], period=1e-6)
    assert at == [0, 1000, 7500, 8500, 10501, 11501]
    assert done == Sent(6, 2, 0)


def test_sending_ends_when_the_wait_says_so():
    answers = iter([False, False, True])
    with Receiver() as receiver:
        address = "127.0.0.1", receiver.port
        assert send(address, 1e-3, clock=lambda: 0, wait=lambda _: next(answers)) == Sent(2, 0, 0)


def test_ctrl_c_ends_sending_with_its_result():
    def wait(seconds):
        raise KeyboardInterrupt

    assert send(("127.0.0.1", 7), 1.0, wait=wait) == Sent(0, 0, 0)


def test_boot_ids_differ():
    with Receiver() as receiver:
        for _ in range(2):
            send(("127.0.0.1", receiver.port), 1e-3, 1)
        first, second = (decode(receiver.receive(LONG).data).epoch for _ in range(2))
    assert first != second


def test_a_first_heartbeat_that_cannot_be_sent_is_an_error():
    with pytest.raises(OSError, match=r"127\.0\.0\.1:0") as caught:
        send(("127.0.0.1", 0), 1e-3, 1)
    assert caught.value.errno == errno.EINVAL


def test_later_refusals_are_counted(monkeypatch):
    class Unsteady(socket.socket):
        sends = 0

        def sendto(self, *arguments):
            Unsteady.sends += 1
            if Unsteady.sends in (2, 3):
                raise OSError(errno.ENETUNREACH, "Network is unreachable")
            return super().sendto(*arguments)

    with Receiver() as receiver:
        monkeypatch.setattr(wire.socket, "socket", Unsteady)
        assert send(("127.0.0.1", receiver.port), 1e-3, 4, clock=lambda: 0) == Sent(4, 0, 2)
        assert [decode(receiver.receive(LONG).data).sequence for _ in range(2)] == [0, 3]


# The receiver


def send_one(receiver, data=b"x"):
    """Send a datagram and wait until it lies in the receiver's queue."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as out:
        out.sendto(data, ("127.0.0.1", receiver.port))
    assert select.select([receiver._socket], (), (), LONG)[0]


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux stamps datagrams")
def test_the_arrival_is_not_the_time_of_reading():
    with Receiver() as receiver:
        before = time.monotonic_ns()
        send_one(receiver)
        after = time.monotonic_ns()
        time.sleep(0.05)
        datagram = receiver.receive(LONG)
        assert receiver.stamped
        assert receiver.unstamped == 0
    assert datagram.data == b"x"
    assert datagram.host == "127.0.0.1"
    # 10 ms for the reading of the two clocks, on a machine that does other things
    assert before - 10_000_000 < datagram.arrival < after + 10_000_000


@pytest.mark.parametrize("step", [-3_600_000_000_000, -1_000_000_000, 1_000_000_000, 3_600_000_000_000])
def test_a_step_of_the_clock_does_not_move_an_arrival(monkeypatch, step):
    true_time = time.time_ns
    with Receiver() as receiver:
        receiver.receive(0)  # seen empty
        before = time.monotonic_ns()
        send_one(receiver)
        monkeypatch.setattr(time, "time_ns", lambda: true_time() + step)
        datagram = receiver.receive(LONG)
        assert receiver.unstamped == int(receiver.stamped)
    assert before <= datagram.arrival <= time.monotonic_ns()


def test_without_stamps_the_time_of_reading_has_to_do(monkeypatch):
    monkeypatch.setattr(wire, "_SO_TIMESTAMPNS", None)
    with Receiver() as receiver:
        send_one(receiver)
        before = time.monotonic_ns()
        datagram = receiver.receive(LONG)
        assert not receiver.stamped
    assert before <= datagram.arrival <= time.monotonic_ns()


def test_silence_is_none():
    with Receiver() as receiver:
        assert receiver.receive(0) is None


def test_what_is_too_long_is_not_cut_to_a_heartbeat():
    with Receiver() as receiver:
        send_one(receiver, encode(Heartbeat(1, 2, 3, 4)) + b"x" * 5000)
        assert decode(receiver.receive(LONG).data) is None


def test_empty_datagrams_arrive():
    with Receiver() as receiver:
        send_one(receiver, b"")
        assert receiver.receive(LONG).data == b""


def test_a_port_in_use_is_named():
    with Receiver() as taken, pytest.raises(OSError, match=f"127.0.0.1:{taken.port}") as caught:
        Receiver("127.0.0.1", taken.port)
    assert caught.value.errno == errno.EADDRINUSE


def test_ipv6():
    try:
        receiver = Receiver("::1")
    except OSError as error:
        pytest.skip(f"no IPv6 here: {error}")
    with receiver:
        send(("::1", receiver.port), 1e-3, 1)
        assert receiver.receive(LONG).host == "::1"


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux counts them")
def test_what_nobody_read_in_time_is_counted(monkeypatch):
    monkeypatch.setattr(wire, "_QUEUE", 4096)
    with Receiver() as receiver:
        for _ in range(100):
            send_one(receiver)
        received = 0
        while receiver.receive(0) is not None:
            received += 1
        assert 0 < received < 100
        send_one(receiver)
        receiver.receive(LONG)
        assert receiver.overflowed == 100 - received


@pytest.mark.skipif(sys.platform != "linux", reason="other systems have other limits")
def test_the_queue_is_longer_than_usual():
    with Receiver() as receiver, socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as usual:
        size = [one.getsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF) for one in (receiver._socket, usual)]
    assert size[0] > size[1]


# The sender's process


def test_a_sender_whose_recorder_is_gone_does_not_start():
    """The recorder ended between starting its sender and the sender's asking for its parent."""
    words = [sys.executable, "-IS", wire.__file__, str(2**22 + 1), "127.0.0.1", "7", "0.001", "7"]
    done = subprocess.run(words, input="", capture_output=True, text=True, timeout=LONG)
    assert (done.returncode, done.stdout, done.stderr) == (1, "", "")
