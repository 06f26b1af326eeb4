"""Nothing of a lab is left behind, however it ends."""

import json
import os
import signal
import subprocess
import sys
import tempfile
import threading
from pathlib import Path

import pytest
import sample_labs

from accrual.lab import LabError, UnavailableError, keeper

linux = pytest.mark.skipif(sys.platform != "linux", reason="subreapers are Linux's")


@pytest.fixture(autouse=True)
def _findable(monkeypatch, tmp_path):
    """The labs of the tests are importable in their own processes, which have a place of their own for folders."""
    monkeypatch.setenv("PYTHONPATH", sample_labs.PATH)
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr(tempfile, "tempdir", None)


def running(argument):
    """Processes that have it as one of their command line's words."""
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                if argument.encode() in (entry / "cmdline").read_bytes().split(b"\0"):
                    found.append(int(entry.name))
            except OSError:
                continue
    return found


def alive(pid):
    return keeper.start_time(pid) is not None


@pytest.fixture
def sleepers():
    """How many of the sleepers of the tests run; there is none before."""
    program = sample_labs.SLEEPER[-1]
    assert running(program) == []
    yield lambda: running(program)
    assert running(program) == []


def test_result(tmp_path):
    seen = []
    found = sample_labs.sample(rate=3, on_event=seen.append)
    assert found.rows == [{"kind": "plain", "twice": 6, "peers": None}]
    assert found.parameters == {"rate": 3, "kind": "plain", "peers": None}
    assert sorted(seen, key=lambda event: event.at) == found.events
    assert [(event.who, event.what) for event in found.events] == [("lab", "began"), ("peer", "ended")]
    assert found.seconds > 0
    assert found.machine["python"] == sys.version.split()[0]
    assert Path(found.facts["folder"]).parent == tmp_path
    assert list(tmp_path.iterdir()) == []


def test_what_is_wrong_with_parameters_is_said():
    with pytest.raises(ValueError, match="rate must be above 0, got -1"):
        sample_labs.sample(rate=-1)
    with pytest.raises(TypeError, match="no parameter speed"):
        sample_labs.sample(speed=1)
    with pytest.raises(UnavailableError, match=r"wanting needs a unicorn \(look in the woods\)"):
        sample_labs.wanting()


@pytest.mark.parametrize(
    ("how", "says"),
    [
        ("segfault", "ended without a result, exit status -11$"),
        ("kill", "ended without a result, exit status -9$"),
        ("wait", "the end of time: not within 0 s"),
        ("raise", "RuntimeError: a bug"),
        ("error", "it did not work"),
        ("full", "No space left on device"),
        ("sleep", "took longer than 8 s"),
    ],
)
def test_bad_ends_are_told(how, says, tmp_path):
    with pytest.raises(LabError, match=says):
        sample_labs.ending(how=how)
    assert list(tmp_path.iterdir()) == []


@linux
def test_nothing_is_left_after_a_return(sleepers, tmp_path):
    folder = tmp_path / "undone"
    found = sample_labs.leaving(marker=str(folder))
    assert sleepers() == []
    assert [path.name for path in tmp_path.iterdir()] == ["undone"]  # what the undoing made
    assert not any(map(alive, map(int, found.events[0].what.split())))


HANGING = "import sample_labs as s; s.leaving(then='hang', marker={!r}, on_event=lambda e: print(e.what, flush=True))"


def hanging(marker):
    """A script that runs the lab which does not end, as a kernel or a command would."""
    command = [sys.executable, "-c", HANGING.format(str(marker))]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)


@linux
@pytest.mark.parametrize("sign", [signal.SIGKILL, signal.SIGINT, signal.SIGTERM])
def test_nothing_is_left_after_the_caller_is_gone(sign, sleepers, tmp_path):
    undone = tmp_path / "undone"
    with hanging(undone) as caller:
        pids = [int(pid) for pid in caller.stdout.readline().split()]
        keepers = [pid for pid in running(keeper.__file__) if str(caller.pid) == parent(pid)]
        assert len(pids) == 3
        assert all(map(alive, pids))
        wait_for(lambda: len(sleepers()) == 3)
        caller.send_signal(sign)
        caller.stdout.read()
    wait_for(lambda: not any(map(alive, keepers)))
    assert not any(map(alive, pids))
    assert [path.name for path in tmp_path.iterdir()] == ["undone"]


@linux
def test_a_killed_caller_leaves_its_terminal_in_peace(tmp_path):
    """The keeper cannot tell what it cleared away any more, and says nothing of that."""
    with (tmp_path / "errors").open("w+") as errors:
        command = [sys.executable, "-c", HANGING.format(str(tmp_path / "undone"))]
        with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=errors) as caller:
            caller.stdout.readline()
            keepers = [pid for pid in running(keeper.__file__) if str(caller.pid) == parent(pid)]
            caller.kill()
            caller.stdout.read()
        assert keepers
        wait_for(lambda: not any(map(alive, keepers)))
        errors.seek(0)
        assert errors.read() == ""


@linux
def test_no_place_for_a_folder_is_told(tmp_path):
    """As on a full disk: one line of JSON, and no traceback."""
    program = (
        "import json, sys, tempfile; sys.path.insert(0, sys.argv[1]); import keeper\n"
        "def full(**_): raise OSError(28, 'No space left on device')\n"
        "tempfile.mkdtemp = full\n"
        "print(json.dumps(keeper.keep(5.0, 1, ['true'])))"
    )
    command = [sys.executable, "-c", program, str(Path(keeper.__file__).parent)]
    done = subprocess.run(command, capture_output=True, text=True, stdin=subprocess.DEVNULL, check=True)
    assert json.loads(done.stdout) == {
        "why": "no folder", "code": 1, "said": "no folder can be made for it: No space left on device"
    }  # fmt: skip
    assert done.stderr == ""


def parent(pid):
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1]


def wait_for(condition, patience=30):
    done = threading.Event()
    for _ in range(patience * 100):
        if condition():
            return
        done.wait(0.01)
    raise AssertionError("it did not come about")


@linux
def test_nothing_is_left_after_it_was_stopped(sleepers, tmp_path):
    undone = tmp_path / "undone"
    stop, seen = threading.Event(), []

    def hear(event):
        seen.append(event)
        stop.set()

    with pytest.raises(LabError, match=r"^the lab leaving was stopped$"):
        sample_labs.leaving(then="hang", marker=str(undone), on_event=hear, stop=stop)
    assert sleepers() == []
    assert not any(map(alive, map(int, seen[0].what.split())))
    assert [path.name for path in tmp_path.iterdir()] == ["undone"]


def test_one_that_is_to_stop_before_it_begins_leaves_nothing(tmp_path):
    stop = threading.Event()
    stop.set()
    with pytest.raises(LabError, match="was stopped"):
        sample_labs.ending(how="sleep", stop=stop)
    assert list(tmp_path.iterdir()) == []


@linux
def test_the_next_keeper_sweeps_up_after_a_killed_one(sleepers, tmp_path):
    with hanging(tmp_path / "undone") as caller:
        caller.stdout.readline()
        [kept] = [pid for pid in running(keeper.__file__) if str(caller.pid) == parent(pid)]
        os.kill(kept, signal.SIGKILL)
        os.kill(caller.pid, signal.SIGKILL)
        caller.stdout.read()
    wait_for(lambda: not alive(kept))
    assert any(path.name.startswith(keeper.PREFIX) for path in tmp_path.iterdir())
    # The one that left its environment behind is out of reach then: it is the price of killing the keeper.
    orphans = [pid for pid in sleepers() if not Path(f"/proc/{pid}/environ").read_bytes()]
    sample_labs.sample()
    assert [path.name for path in tmp_path.iterdir()] == ["undone"]
    assert sleepers() == orphans
    for pid in orphans:
        os.kill(pid, signal.SIGKILL)
    wait_for(lambda: not any(map(alive, orphans)))


def writable_group():
    for place in ("/sys/fs/cgroup/pids", "/sys/fs/cgroup"):
        if os.path.exists(f"{place}/cgroup.procs") and os.access(place, os.W_OK):
            return place
    return None


@linux
@pytest.mark.skipif(writable_group() is None, reason="needs a control group that this user may write to")
def test_control_groups_are_removed(sleepers, tmp_path):
    group = f"{writable_group()}/accrual-test-{os.getpid()}"
    sample_labs.leaving(group=group, marker=str(tmp_path / "undone"))
    assert not os.path.exists(group)


def test_a_lab_can_be_run_by_another_command():
    assert sample_labs.dressed().facts == {"dress": "red"}


def test_labs_can_run_at_the_same_time(tmp_path):
    found = []
    threads = [threading.Thread(target=lambda: found.append(sample_labs.sample())) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len({one.facts["folder"] for one in found}) == 3
    assert list(tmp_path.iterdir()) == []


def test_result_round_trips():
    found = sample_labs.sample()
    assert type(found).from_dict(json.loads(json.dumps(found.to_dict()))) == found
    assert "kind" in found._repr_html_()
