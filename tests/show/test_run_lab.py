"""A lab with a button, without a browser: what it says in each phase, what follows from its result, nothing left."""

import argparse
import dataclasses
import json
import os
import shlex
import signal
import subprocess
import sys
import tempfile
import threading
from pathlib import Path

import pytest
import sample_labs
from ipywidgets import Widget as AnyWidget
from lab_tools import wait_for
from leftovers import Leftovers

from accrual.isolation.labs import ladder
from accrual.lab import LABS, Lack, recorded, recordings
from accrual.lab.command import configure_lab
from accrual.recovery.labs import failover
from accrual.show.failover import story_of_trial
from accrual.show.pools import Ladder
from accrual.show.run_lab import Following, RunLab, Words
from accrual.show.scrubber import Scrubber

linux = pytest.mark.skipif(sys.platform != "linux", reason="processes are counted in /proc")


@pytest.fixture(autouse=True)
def _findable(monkeypatch, tmp_path):
    """The labs of the tests are importable in their own processes, which have a place of their own for folders."""
    monkeypatch.setenv("PYTHONPATH", sample_labs.PATH)
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr(tempfile, "tempdir", None)


@pytest.fixture
def left(tmp_path):
    return Leftovers(tmp_path)


@pytest.fixture
def made():
    """Labs with buttons, ended after the test whatever came of it."""
    ours = []

    def make(*args, **keywords):
        ours.append(RunLab(*args, **keywords))
        return ours[-1]

    yield make
    for one in ours:
        one.close()


def says(lab, **content):
    """What a page says to the kernel."""
    lab._handle_custom_msg({"view": "a", **content}, [])


def hanging(made, tmp_path):
    """One that has started processes, and hangs."""
    lab = made(sample_labs.leaving, then="hang", marker=str(tmp_path / "undone"))
    says(lab, do="run")
    wait_for(lambda: lab.events)
    return lab


# ---- before it runs ----


def test_until_it_has_run_there_is_the_recorded_result(made):
    lab = made(ladder)
    assert (lab.phase, lab.words, lab._thread) == ("ready", "", None)
    assert lab.result == recorded("ladder")
    assert lab.shown["recorded"] == recorded("ladder").recorded
    assert lab.shown["rows"] == len(recorded("ladder").rows)
    assert [tuple(event) for event in lab.events] == [(e.at, e.who, e.what) for e in recorded("ladder").events]
    assert lab.about["seconds"] == recorded("ladder").seconds
    told = repr(lab)
    assert told.startswith("RunLab(accrual lab ladder: ready, takes about 2 s\nrecorded 20")
    assert repr(recorded("ladder")) in told


def test_by_name_and_with_another_recording(made):
    lab = made("failover", recording="failover-stop", fault="stop")
    assert lab.lab is failover
    assert lab.result == recorded("failover-stop")
    assert lab.parameters["fault"] == "stop"
    assert lab.command == "accrual lab failover --fault stop"


def test_of_one_that_was_never_recorded_there_is_no_result(made):
    lab = made(sample_labs.sample)
    assert (lab.result, lab.shown, lab.events) == (None, {}, [])
    assert lab.about["seconds"] is None
    assert lab.describe() == "accrual lab sample: ready"


@pytest.mark.parametrize(
    ("name", "keywords", "error", "says"),
    [
        ("nonesuch", {}, ValueError, "lab must be one of .*failover.*, got 'nonesuch'"),
        ("ladder", {"recording": "nonesuch"}, ValueError, "name must be one of .*, got 'nonesuch'"),
        ("ladder", {"recording": "threads"}, ValueError, "recording must be one of the lab ladder, got 'threads'"),
        ("ladder", {"speed": 1}, TypeError, "the lab ladder has no parameter speed"),
    ],
)
def test_what_is_wrong_is_said_at_once(name, keywords, error, says):
    with pytest.raises(error, match=says):
        RunLab(name, **keywords)


@pytest.mark.parametrize("name", [*sorted(recordings()), None])
def test_its_command_does_the_same(made, name):
    """The command line's own parser reads it."""
    if name is None:
        lab = made(failover, fence="none", sentinel=False, min_replicas=1, detector="phi fixed-timeout:period=0.1")
    else:
        lab = made(recorded(name).lab, recording=name, **recorded(name).parameters)
    parser = argparse.ArgumentParser()
    configure_lab(parser)
    program, command, *arguments = shlex.split(lab.command)
    assert (program, command) == ("accrual", "lab")
    read = vars(parser.parse_args(arguments))
    assert {parameter: read[parameter] for parameter in lab.parameters} == lab.parameters


# ---- running ----


def test_a_run(made, tmp_path, left):
    lab = made(sample_labs.sample, rate=3)
    phases, results = [], []
    lab.observe(lambda change: phases.append(change["new"]), "phase")
    lab.observe(lambda change: results.append((change["new"], lab.phase)), "result")
    says(lab, do="run")
    lab.wait()
    assert phases == ["running", "done"]
    assert results == [(lab.result, "running")]  # whoever sees that it is done sees what follows from it, too
    assert lab.result.rows == [{"kind": "plain", "twice": 6, "peers": None}]
    assert lab.result.recorded == lab.shown["recorded"] == ""
    assert lab.events == [[e.at, e.who, e.what] for e in lab.result.events]
    assert [event[2] for event in lab.events] == ["began", "ended"]
    assert lab.shown["origin"].startswith("just now: ended at ")
    assert "<td>6</td>" in lab.shown["table"]
    assert "run here just now" in lab.describe()
    left.check()
    lab.start()
    lab.wait()
    assert phases == ["running", "done"] * 2


def test_events_are_seen_while_it_runs(made, tmp_path):
    lab = hanging(made, tmp_path)
    assert lab.phase == "running"
    assert lab.events[0][1] == "lab"
    assert "run other cells" in lab.words
    lab.look()  # is not for now
    lab.start()
    assert lab.phase == "running"


@linux
def test_stopping_leaves_nothing(made, tmp_path, left):
    lab = hanging(made, tmp_path)
    assert len(left.processes()) >= 3
    says(lab, do="stop")
    lab.wait()
    assert lab.phase == "stopped"
    assert lab.words == "It was stopped, and what it had started is cleared away."
    assert (lab.said, lab.result) == ("", None)
    assert left.processes() == []
    assert [path.name for path in tmp_path.iterdir()] == ["undone"]
    says(lab, do="stop")  # in vain
    assert lab.phase == "stopped"
    says(lab, do="run")  # and again
    wait_for(lambda: lab.events)
    assert lab.phase == "running"


@pytest.mark.parametrize(
    ("how", "says", "more"),
    [
        ("segfault", "the lab ending ended without a result", ""),
        ("kill", "the lab ending ended without a result", ""),
        ("wait", "the end of time: not within 0 s.", ""),
        ("error", "It did not work: it did not work.", ""),
        ("full", "No space left on device", ""),
        ("raise", "the lab ending ended without a result", "RuntimeError: a bug"),
    ],
)
def test_bad_ends_are_told_in_a_sentence(made, how, says, more, left):
    lab = made(sample_labs.ending, how=how)
    lab.start()
    lab.wait()
    assert lab.phase == "failed"
    assert says in lab.words
    assert "\n" not in lab.words
    assert "Traceback" not in lab.words
    assert lab.said.endswith(more)
    assert bool(lab.said) == bool(more)
    assert lab.result is None
    left.check()


def test_after_a_failure_the_earlier_result_stands(made):
    lab = made(ladder, trips=1)
    lab.start()
    lab.wait()
    assert lab.phase == "failed"
    assert "trips must be" in lab.words
    assert lab.result == recorded("ladder")
    assert lab.shown["recorded"]


def test_what_the_system_refuses_is_told(made, monkeypatch):
    def refuse(*_args, **_keywords):
        raise OSError("no more processes")

    monkeypatch.setattr(subprocess, "Popen", refuse)
    lab = made(sample_labs.sample)
    lab.start()
    lab.wait()
    assert (lab.phase, lab.words.partition(". ")[0]) == ("failed", "It did not work: OSError: no more processes")


def test_what_is_lacking_is_told_and_looked_for_again(made):
    there = []
    wanting = dataclasses.replace(sample_labs.wanting, lacking=lambda: [] if there else [Lack("a unicorn", "look")])
    lab = made(wanting)
    assert (lab.phase, lab.lacks) == ("lacking", [["a unicorn", "look"]])
    assert "lacks a unicorn (look)" in lab.describe()
    says(lab, do="run")
    assert (lab.phase, lab._thread) == ("lacking", None)
    there.append("a unicorn")
    says(lab, do="look")
    assert (lab.phase, lab.lacks, lab.words) == ("ready", [], "")
    there.clear()
    says(lab, do="run")  # it has gone meanwhile
    assert (lab.phase, lab._thread) == ("lacking", None)


def test_two_at_once_are_refused(made, tmp_path):
    first = hanging(made, tmp_path)
    second = made(sample_labs.sample)
    says(second, do="run")
    assert (second.phase, second._thread) == ("ready", None)
    assert second.words.startswith("Not started: the lab leaving is running in this notebook")
    first.stop()
    first.wait()
    assert second.words == ""  # that was so then
    says(second, do="run")
    second.wait()
    assert second.phase == "done"


def test_it_is_stopped_when_the_last_view_is_gone(made, tmp_path):
    lab = hanging(made, tmp_path)
    says(lab, view="b")
    says(lab, gone=True)
    assert lab.phase == "running"
    says(lab, view="b", gone=True)
    lab.wait()
    assert lab.phase == "stopped"


@pytest.mark.parametrize("content", [None, "run", {}, {"do": None}, {"do": ["run"]}, {"do": "rm"}, {"view": 10**100}])
def test_rubbish_is_ignored(made, content):
    lab = made(sample_labs.sample)
    lab._handle_custom_msg(content, [])
    assert (lab.phase, lab._thread) == ("ready", None)


def test_each_question_is_answered(made, monkeypatch):
    sent = []
    lab = made(sample_labs.wanting)
    monkeypatch.setattr(RunLab, "send", lambda _self, content: sent.append(content))
    says(lab, do="look")
    says(lab, do="run")
    assert sent == [{"answered": True}] * 2


# ---- nothing is left of a kernel that ends ----

KERNEL = """
import sample_labs, sys, threading, time
from accrual.show.run_lab import RunLab
lab = RunLab(sample_labs.leaving, then="hang", marker={!r})
lab.start()
while not lab.events:
    time.sleep(0.01)
print(lab.events[0][2], flush=True)
sys.stdin.read()
"""


@linux
@pytest.mark.parametrize("end", ["end", signal.SIGKILL, signal.SIGTERM])
def test_nothing_is_left_of_a_kernel_that_ends(tmp_path, left, end):
    command = [sys.executable, "-c", KERNEL.format(str(tmp_path / "undone"))]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as kernel:
        pids = [int(pid) for pid in kernel.stdout.readline().split()]
        assert len(pids) == 3
        assert set(pids) <= set(left.processes())
        if end == "end":
            kernel.stdin.close()
        else:
            kernel.send_signal(end)
        kernel.wait(60)
    wait_for(lambda: left.processes() == [] and [path.name for path in tmp_path.iterdir()] == ["undone"])
    for pid in pids:
        with pytest.raises(ProcessLookupError):
            os.kill(pid, 0)


# ---- what follows from a result ----


def test_the_picture_below_follows_the_result(made):
    lab = made(ladder, trips=100)
    following = lab.then(Ladder)
    before = following.made
    assert isinstance(before, Ladder)
    assert repr(following) == repr(before)
    assert before.rungs[0]["p50"] == recorded("ladder").rows[0]["p50"]
    lab.start()
    lab.wait()
    assert following.made is not before
    assert [rung["p50"] for rung in following.made.rungs] == [row["p50"] for row in lab.result.rows]
    assert before.comm is None  # the old one is closed
    assert list(following.children) == [following.made]


def test_a_scrubber_can_follow(made):
    lab = made(failover)
    following = lab.then(lambda result: Scrubber(story_of_trial(result, "sentinel")))
    first = following.made.story.end
    lab.result = recorded("failover-stop")  # as if it had been run
    assert following.made.story.end == story_of_trial(recorded("failover-stop"), "sentinel").end != first


def test_text_and_tables_can_follow(made):
    lab = made(ladder)
    text = lab.then(lambda result: f"{len(result.rows)} rungs < 10")
    assert repr(text) == "9 rungs < 10"
    assert text.made.html == "<pre>9 rungs &lt; 10</pre>"
    assert lab.then(lambda result: result).made.html == recorded("ladder")._repr_html_()
    assert lab.then(lambda result: 3).made.describe() == "3"


def test_before_there_is_a_result_nothing_is_made(made):
    lab = made(sample_labs.sample)
    following = lab.then(lambda result: result.rows[0]["twice"])
    assert repr(following) == "Nothing to show yet: the lab has not run."
    lab.start()
    lab.wait()
    assert repr(following) == "4.0"


def test_what_cannot_be_made_of_a_result_is_said_in_its_place(made):
    lab = made(sample_labs.sample)
    wrong = lab.then(lambda result: result.rows[7])
    right = lab.then(lambda result: len(result.rows))
    lab.start()
    lab.wait()
    assert lab.phase == "done"
    assert repr(wrong) == "This cannot be made of the new result. IndexError: list index out of range"
    assert repr(right) == "1"
    with pytest.raises(IndexError):  # where somebody asks for it, in a cell, it is an error like others
        lab.then(lambda result: result.rows[7])


def test_an_observer_that_fails_is_told(made):
    lab = made(sample_labs.sample)
    lab.observe(lambda change: 1 / 0, "result")
    lab.start()
    lab.wait()
    assert lab.phase == "done"
    assert lab.words == "What follows from the result failed: ZeroDivisionError: division by zero"
    assert lab.result.rows


def test_what_goes_to_the_page_is_json(made):
    for name in LABS:
        if name in recordings():
            state = made(name).get_state()
            assert json.loads(json.dumps({key: state[key] for key in ("about", "shown", "events", "lacks")}))
    assert issubclass(Words, AnyWidget)
    assert issubclass(Following, AnyWidget)


def test_close_ends_it(tmp_path, left):
    lab = RunLab(sample_labs.leaving, then="hang", marker=str(tmp_path / "undone"))
    lab.start()
    wait_for(lambda: lab.events)
    lab.close()
    assert left.processes() == []
    assert not any(thread.name.startswith("accrual-lab") for thread in threading.enumerate())
    assert [path.name for path in Path(tmp_path).iterdir()] == ["undone"]
