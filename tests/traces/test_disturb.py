import os
import signal

import numpy as np
import pytest

from accrual.traces import child
from accrual.traces.child import Child
from accrual.traces.disturb import DISTURBANCES, Collection, Contention, Pause, Scene, parse
from accrual.traces.namespaces import Loopback
from accrual.traces.record import record


@pytest.mark.parametrize("kind", DISTURBANCES.values())
def test_what_is_spelt_is_read_back(kind):
    assert parse(str(kind())) == parse(kind.name) == kind()


def test_options():
    assert parse("contention:processes=3") == Contention(processes=3)
    assert parse("pause:every=2,sigma=0") == Pause(every=2.0, sigma=0.0)


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("", "no disturbance ''; there are contention, pause, gc, cpu-quota, path"),
        ("storm", "no disturbance 'storm'"),
        ("pause:often=1", "pause has no option 'often'; there are every, median, sigma"),
        ("pause:every", "pause: every must be of type float, is ''"),
        ("contention:processes=1.5", "contention: processes must be of type int, is '1.5'"),
        ("contention:processes=0", "contention: processes must be from 1 to 1024, is 0"),
        ("contention:processes=1025", "contention: processes must be from 1 to 1024, is 1025"),
        ("pause:every=0", "pause: every must be positive and finite, is 0.0 s"),
        ("pause:median=inf", "pause: median must be positive and finite, is inf s"),
        ("pause:median=nan", "pause: median must be positive and finite, is nan s"),
        ("gc:objects=0", "gc: objects must be from 1 to 100,000,000, is 0"),
        ("gc:every=-1", "gc: every must be positive and finite, is -1.0 s"),
        ("cpu-quota:period=2", "cpu-quota: period must be from 0.001 to 1 s, is 2.0 s"),
        ("cpu-quota:share=0.005", r"cpu-quota: share must be at least 1 ms a period, here 0.01, .* is 0.005"),
        ("cpu-quota:share=1", r"cpu-quota: share must be .* below processes, here 1, is 1.0"),
        ("cpu-quota:share=nan", "cpu-quota: share must be"),
        ("cpu-quota:processes=0", "cpu-quota: processes must be from 1 to 1024, is 0"),
        ("path:delay=-1", "path: delay must be at least 0 and finite, is -1.0 s"),
        ("path:jitter=nan", "path: jitter must be at least 0 and finite, is nan s"),
        ("path:correlation=1", r"path: correlation must be in \[0, 1\), is 1.0"),
        ("path:loss=0.6", r"path: loss must be in \[0, 0.5\], is 0.6"),
        ("path:burst=0.5", "path: burst must be at least 1 and finite, is 0.5"),
        ("path:partition_every=inf", "path: partition_every must be at least 0 and finite, is inf s"),
        ("path:partition=0", "path: partition must be positive and finite, is 0.0 s"),
        ("pause:sigma=-1", r"pause: sigma must be in \[0, 4\], is -1.0"),
        ("pause:sigma=nan", r"pause: sigma must be in \[0, 4\], is nan"),
    ],
)
def test_what_cannot_be_read(text, complaint):
    with pytest.raises(ValueError, match=complaint):
        parse(text)


def is_gone(pid):
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return True
    return False


@pytest.fixture
def script(tmp_path):
    def write(text):
        path = tmp_path / "child.py"
        path.write_text(text)
        return str(path)

    return write


def test_a_child_ends_with_its_input_and_reports(script):
    with Child(script("import sys; sys.stdin.read(); print('done', sys.argv[1])"), 7) as child:
        assert not child.ended()
    assert child.report == "done 7\n"
    assert is_gone(child.pid)


def test_a_stopped_child_ends_too(script):
    with Child(script("import sys; sys.stdin.read(); print('done')")) as child:
        os.kill(child.pid, signal.SIGSTOP)
        os.waitid(os.P_PID, child.pid, os.WSTOPPED | os.WNOWAIT)
    assert child.report == "done\n"
    assert is_gone(child.pid)


def test_a_child_that_does_not_end_is_killed(script, monkeypatch):
    monkeypatch.setattr(Child, "PATIENCE", 0.1)
    with Child(script("import time; time.sleep(3600)")) as child:
        pass
    assert child.report == ""
    assert is_gone(child.pid)


def test_a_child_that_was_killed_has_ended_and_reports_nothing(script):
    with Child(script("import sys; sys.stdin.read(); print('done')")) as child:
        os.kill(child.pid, signal.SIGKILL)
        os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)
        assert child.ended()
    assert child.report == ""


def test_contention_runs_its_processes_and_ends_them():
    with Contention(processes=2).during(Scene(0, 0, Loopback())) as report:
        pass
    assert report == {}


def test_a_helper_that_is_killed_is_reported(monkeypatch):
    started = []

    class Watched(Child):
        def __init__(self, *arguments, **options):
            super().__init__(*arguments, **options)
            started.append(self.pid)

    monkeypatch.setattr(child, "Child", Watched)
    with child.helping("pause", 0, 1e9, 1, 0, 0) as report:
        os.kill(started[0], signal.SIGKILL)
        os.waitid(os.P_PID, started[0], os.WEXITED | os.WNOWAIT)
    assert report == {"pause_died": True}


def test_a_helper_reports():
    with child.helping("pause", 0, 1e9, 1, 0, 0) as report:
        pass
    assert report == {"pauses": 0, "paused": 0.0, "pauses_at": []}


# Collecting garbage


def test_the_sender_collects_garbage(tmp_path):
    def look(heartbeats, seconds):
        if heartbeats >= 500:
            os.kill(os.getpid(), signal.SIGINT)

    previous = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        collection = Collection(objects=200_000, every=0.02)
        trace = record(tmp_path / "x.csv", period=0.001, disturb=[collection], seed=1, progress=look)
    finally:
        signal.signal(signal.SIGINT, previous)
    sender = trace.about["sender"]
    assert sender["collections"] >= 2
    assert len(sender["collections_at"]) == min(sender["collections"], 400)
    assert sender["collected"] > 0
    # While one goes on, nothing is sent, but for a moment before it has the interpreter and one after it gave it back.
    at_once = [((trace.sent > start) & (trace.sent < end)).sum() for start, end in sender["collections_at"]]
    assert np.median(at_once) <= 3
    np.testing.assert_array_equal(np.diff(trace.sequence), 1)
