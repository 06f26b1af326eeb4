import os
import signal

import pytest

from accrual.traces.child import Child
from accrual.traces.disturb import DISTURBANCES, Contention, Pause, Scene, parse
from accrual.traces.namespaces import Loopback


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
