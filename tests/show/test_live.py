"""The live widget without a browser: its numbers by another road, its process by kill -0, its port under rubbish."""

import json
import math
import os
import re
import secrets
import signal
import socket
import subprocess
import sys
import textwrap
import time

import numpy as np
import pytest
from scipy.special import log_ndtr
from traitlets import TraitError

import accrual as ac
from accrual.show import live
from accrual.show.live import Beat, LivePhi, Sender, Watch
from accrual.traces import wire

PATIENCE = 60


def wait(condition, patience=PATIENCE):
    """Until something holds; how long that takes does not matter."""
    end = time.monotonic() + patience
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.01)


def exists(pid):
    """Whether there is such a process; one that has ended and was not waited for counts."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


def what(widget, who):
    return [event["what"] for event in list(widget.events) if event["who"] == who]


def both(widget):
    """What phi and k x T did last. A busy machine may make them suspect, and trust again, at any time."""
    return [(what(widget, who) or [None])[-1] for who in ("phi", "fixed")]


# ---- numbers ----


def test_samples_are_the_levels_of_the_definition():
    rng = np.random.default_rng(3)
    arrivals = np.cumsum(rng.integers(150_000_000, 250_000_000, 40))
    watch = Watch(period=0.2, threshold=8, k=5)
    piece = live._empty()
    for until in range(0, 12_000_000_000, 50_000_000):  # as in life: a little at a time
        beats = [Beat(int(a), n, 7) for n, a in enumerate(arrivals) if until - 50_000_000 < a <= until]
        watch.follow(beats, until)
        for name, values in watch.take().items():
            piece[name] += values
    assert len(piece["beats"]) == len(arrivals)
    assert piece["t"] == sorted(piece["t"])
    before = 0
    for t, phi, fixed in zip(piece["t"], piece["phi"], piece["fixed"], strict=True):
        now = round(t * 1e9)
        heard = arrivals[arrivals <= now + 500]  # times in the picture are whole microseconds
        if len(heard) < 4 or np.abs(arrivals - now).min() < 1000:  # at a heartbeat there are two samples
            continue
        window = np.diff(heard)[-50:]
        deviation = max(window.std(), 0.1e9)
        elapsed = now - heard[-1]
        assert phi == pytest.approx(-log_ndtr((window.mean() - elapsed) / deviation) / math.log(10), rel=1e-4, abs=1e-6)
        assert fixed == pytest.approx(elapsed / 0.2e9, abs=1e-4)
        before += 1
    assert before > 300
    at_beats = [i for i, t in enumerate(piece["t"]) if t == piece["beats"][20]]
    assert piece["fixed"][at_beats[-1]] == 0 < piece["fixed"][at_beats[0]]


def test_crossings_are_at_the_deadline_and_each_is_told_once():
    watch = Watch(period=0.2, threshold=8, k=5)
    twin = ac.Monitor(ac.PhiNormal(window=50, min_deviation=0.1), 8)
    for n in range(10):
        twin.heartbeat(now=n * 200_000_000)
    watch.follow([Beat(n * 200_000_000, n, 1) for n in range(10)], 1_850_000_000)
    for until in range(1_900_000_000, 4_000_000_000, 50_000_000):
        watch.follow([], until)
    watch.follow([Beat(4_000_000_000, 10, 1)], 4_100_000_000)
    events = watch.take()["events"]
    assert [(e["who"], e["what"]) for e in events] == [
        ("phi", "suspects"),
        ("fixed", "suspects"),
        ("phi", "trusts"),
        ("fixed", "trusts"),
    ]
    assert events[0]["at"] == pytest.approx(twin.deadline() / 1e9, abs=1e-6)
    assert (events[1]["at"], events[1]["silent"]) == (2.8, 1.0)
    assert events[2]["at"] == 4.0
    assert events[2]["silent"] == pytest.approx(2.2)


def test_stamps_that_go_back_are_no_trouble():
    watch = Watch(period=0.2, threshold=8, k=5)
    watch.follow([], 1_000_000_000)
    watch.follow([Beat(900_000_000, 0, 1), Beat(1_200_000_000, 2, 1), Beat(1_100_000_000, 1, 1)], 1_300_000_000)
    piece = watch.take()
    assert piece["t"] == sorted(piece["t"])
    assert watch.phi.ignored == 1


def test_the_example_has_both_suspicions():
    piece = live.example(0.2, 8, 5)
    assert [e["what"] for e in piece["events"]].count("suspects") == 2
    never = live.example(0.2, 100, 10)
    assert [e["who"] for e in never["events"] if e["what"] == "suspects"] == ["fixed"]


# ---- the process ----


@pytest.fixture
def widget():
    made = LivePhi(period=0.05)
    yield made
    made.close()


def looks(widget):
    """What a page says once a second."""
    widget._handle_custom_msg({"view": "a"}, [])


def do(widget, action, phase):
    widget._handle_custom_msg({"view": "a", "do": action}, [])
    wait(lambda: widget.phase == phase)


def test_nothing_runs_before_start(widget):
    looks(widget)
    for action in ("pause", "resume", "slow", "stop", "kill"):
        widget.do(action)
    assert (widget.phase, widget.pid, widget._thread) == ("ready", None, None)
    assert repr(widget) == (
        "LivePhi(not started; it will send a heartbeat every 0.05 s: phi against 8, beside 5 x 0.05 s)"
    )
    json.dumps({name: value for name, value in widget.get_state().items() if name != "layout"}, default=str)


def test_the_whole_story(widget):
    do(widget, "start", "beating")
    pid = widget.pid
    wait(lambda: widget._watch.phi.samples > 3)
    do(widget, "pause", "paused")
    wait(lambda: both(widget) == ["suspects", "suspects"])
    assert exists(pid)
    do(widget, "resume", "beating")
    wait(lambda: both(widget) == ["trusts", "trusts"])
    do(widget, "slow", "slowed")
    do(widget, "kill", "killed")
    wait(lambda: widget.pid is None and not exists(pid))
    wait(lambda: both(widget)[1] == "suspects")
    do(widget, "start", "beating")
    assert widget.pid != pid
    wait(lambda: both(widget)[1] == "trusts")
    assert widget._watch.phi.restarts == 1
    second = widget.pid
    do(widget, "stop", "stopped")
    wait(lambda: not exists(second))
    wait(lambda: what(widget, "you")[-1] == "stop")
    assert what(widget, "you") == ["start", "pause", "resume", "slow", "kill", "start", "stop"]
    assert "stopped: " in repr(widget)


def test_killed_by_somebody_else(widget):
    do(widget, "start", "beating")
    os.kill(widget.pid, signal.SIGKILL)
    wait(lambda: widget.phase == "gone")
    wait(lambda: what(widget, "sender") == ["gone"])


def test_who_does_not_look_has_no_process(widget, monkeypatch):
    monkeypatch.setattr(widget, "_look", ac.Monitor(ac.FixedTimeout(period=0.1), 3))
    do(widget, "start", "beating")
    pid = widget.pid
    wait(lambda: widget.phase == "ended")
    assert not exists(pid)
    assert "nobody has looked" in widget.why
    told = []
    widget.send = told.append
    looks(widget)  # the page is back
    assert (told[0]["phase"], told[0]["whole"]) == ("ended", True)
    assert told[0]["t"]


def test_the_last_view_says_goodbye(widget):
    do(widget, "start", "beating")
    pid = widget.pid
    widget._handle_custom_msg({"view": "b"}, [])
    widget._handle_custom_msg({"view": "a", "gone": True}, [])
    count = len(widget._history)
    wait(lambda: len(widget._history) > count)
    assert widget.phase == "beating"  # b still looks
    widget._handle_custom_msg({"view": "b", "gone": True}, [])
    wait(lambda: widget.phase == "ended")
    assert not exists(pid)
    do(widget, "start", "beating")  # and what was said before does not end the next one


def test_closed(widget):
    do(widget, "start", "beating")
    pid = widget.pid
    do(widget, "pause", "paused")
    widget.close()
    assert not exists(pid)


@pytest.mark.parametrize("content", [None, 3, "start", [], {"do": 3}, {"view": {}, "do": None}, {"gone": True}])
def test_what_no_page_of_ours_says(widget, content):
    widget._handle_custom_msg(content, [])
    assert widget.phase == "ready"


def test_rubbish_on_the_port(widget):
    """Datagrams of all kinds; heartbeats of another boot id; more than can be read at once."""
    do(widget, "start", "beating")
    with open(f"/proc/{os.getpid()}/net/udp", encoding="ascii") as table:
        own = {os.readlink(f"/proc/self/fd/{fd}") for fd in os.listdir("/proc/self/fd") if _is_socket(fd)}
        rows = [line.split() for line in table.readlines()[1:]]
    [port] = {int(row[1].split(":")[1], 16) for row in rows if f"socket:[{row[9]}]" in own}
    forged = wire.encode(wire.Heartbeat(epoch=1, sequence=2**62, sent=2**61, period=1))
    rng = np.random.default_rng(1)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as out:
        for k in range(3000):
            out.sendto(
                (b"", forged, forged[:20], forged + b"x", rng.bytes(46), rng.bytes(1400))[k % 6], ("127.0.0.1", port)
            )
    wait(lambda: widget.ignored > 100)
    heard = widget._watch.phi.accepted
    wait(lambda: widget._watch.phi.accepted > heard + 3)
    assert widget._watch.phi.restarts == 0
    assert widget.phase == "beating"


def _is_socket(fd):
    try:
        return os.readlink(f"/proc/self/fd/{fd}").startswith("socket:")
    except OSError:
        return False


def test_what_the_system_refuses_is_told(widget, monkeypatch):
    def refuse(*_arguments):
        raise OSError(24, "Too many open files")

    monkeypatch.setattr(live, "Sender", refuse)
    widget.do("start")
    wait(lambda: widget.phase == "ended")
    assert widget.why == "OSError: [Errno 24] Too many open files"


@pytest.mark.parametrize("last", ["os.kill(os.getpid(), signal.SIGKILL)", "sys.exit()", "raise KeyboardInterrupt"])
def test_a_kernel_that_ends_takes_its_process_along(last):
    """Killed, ended and interrupted, with the process paused: then it cannot see its input end."""
    program = f"""
        import os, signal, sys, time
        from accrual.show.live import LivePhi
        widget = LivePhi()
        widget.do("start")
        while widget.phase != "beating":
            time.sleep(0.01)
        widget.do("pause")
        while widget.phase != "paused":
            time.sleep(0.01)
        print(widget.pid, flush=True)
        {last}
    """
    done = subprocess.run([sys.executable, "-c", textwrap.dedent(program)], capture_output=True, text=True)
    wait(lambda: not exists(int(done.stdout)))
    assert "Exception in thread" not in done.stderr


def test_a_sender_by_itself():
    with wire.Receiver() as receiver:
        with Sender(receiver.port, 0.01) as sender:
            beats, until, ignored = [], 0, 0
            while len(beats) < 3:
                more, until, ignored = live._arrived(receiver, sender.epoch, 0.02)
                beats += more
            assert [beat.sequence for beat in beats] == list(range(len(beats)))
            assert beats[-1].arrival <= until
            assert ignored == 0
            assert not sender.ended()
        assert not exists(sender.pid)
        assert live._arrived(receiver, secrets.randbits(63), 0)[0] == []


# ---- the widget ----


def test_sliders():
    widget = LivePhi()
    widget.threshold, widget.k = 1000, 0.3
    assert (widget.threshold, widget.k) == (100, 1)
    assert (widget.example["threshold"], widget.example["k"]) == (100, 1)
    for name in ("threshold", "k"):
        with pytest.raises(TraitError, match=f"{name} must be more than 0"):
            setattr(widget, name, 0)


@pytest.mark.parametrize("period", [0, -1, math.nan, 0.01, 6])
def test_periods_that_are_none(period):
    with pytest.raises(ValueError, match=r"period must be from 0\.05 to 5 s"):
        LivePhi(period)


def test_an_action_that_is_none():
    with pytest.raises(ValueError, match="action must be one of start, pause, resume, slow, stop, kill, got 'reboot'"):
        LivePhi().do("reboot")


def test_nothing_is_fetched():
    text = LivePhi._esm._contents if hasattr(LivePhi._esm, "_contents") else str(LivePhi._esm)
    addresses = set(re.findall(r"https?://[^\s\"'`]+", text + str(LivePhi._css)))
    assert addresses <= {"http://www.w3.org/2000/svg"}
    assert not re.search(r"\b(import|fetch|XMLHttpRequest|WebSocket)\b", re.sub(r"//.*|/\*.*?\*/", "", text))
