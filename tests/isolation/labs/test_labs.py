"""The labs on threads and processes: what each fault takes with it, and that nothing is left, however they end."""

import os
import signal
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

import pytest

from accrual.cli import main
from accrual.isolation import FAULTS
from accrual.isolation.labs import compare, ladder, limits, processes, threads
from accrual.isolation.labs.levels import ProcessLevel
from accrual.isolation.shop import SHOP
from accrual.lab import LabError, Lack, Scene, UnavailableError, keeper

linux = pytest.mark.skipif(sys.platform != "linux", reason="subreapers and /proc are Linux's")


@pytest.fixture(autouse=True, scope="module")
def place():
    """Folders of these labs are in a place of their own, which is empty afterwards; short, for sockets."""
    with tempfile.TemporaryDirectory() as folder, pytest.MonkeyPatch.context() as patch:
        patch.setenv("TMPDIR", folder)
        patch.setattr(tempfile, "tempdir", None)
        yield Path(folder)
        assert os.listdir(folder) == []


def members(place):
    """Processes of labs whose folders are there, as their environment says."""
    mark = f"{keeper.FOLDER}={place}/".encode()
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                if any(one.startswith(mark) for one in (entry / "environ").read_bytes().split(b"\0")):
                    found.append(int(entry.name))
            except OSError:
                continue
    return found


def named_memory():
    """What is in shared memory with a name, of this kind of program."""
    return {name for name in os.listdir("/dev/shm") if name.startswith(("psm_", "pym-", "sem.mp-"))}


@pytest.fixture(autouse=True)
def _nothing_left(place):
    yield
    if sys.platform == "linux":
        assert members(place) == []
        assert os.listdir(place) == []


@pytest.fixture(scope="module")
def of_threads(place):
    return threads(seconds=1.2)


@pytest.fixture(scope="module")
def of_processes(place):
    return processes(seconds=1.2)


def row(result, fault, **wanted):
    [found] = [one for one in result.rows if one["fault"] == fault and wanted.items() <= one.items()]
    return found


# How many of 3 services are hurt; a CPU hog's depends on the machine.
THREADS = {"exception": 0, "hang": 1, "slow": 1, "memory-hog": 3, "segfault": 3, "hold-gil": 3}
THREADS |= {"kill": 3, "corrupt": 3, "poison": 3}
PROCESSES = dict.fromkeys(THREADS, 1) | {"exception": 0}


@linux
def test_what_a_fault_takes_with_it_among_threads(of_threads):
    assert {one["fault"] for one in of_threads.rows} == set(FAULTS)
    assert {fault: row(of_threads, fault, pool="own")["hurt"] for fault in THREADS} == THREADS
    assert of_threads.facts["services"] == len(SHOP)


@linux
def test_what_a_fault_takes_with_it_among_processes(of_processes):
    assert [one["fault"] for one in of_processes.rows] == list(FAULTS)
    assert {fault: row(of_processes, fault)["hurt"] for fault in PROCESSES} == PROCESSES
    for fault in PROCESSES:
        found = row(of_processes, fault)
        assert (found["bad_payment"] > 0.2) == (fault != "exception")


@pytest.mark.parametrize("fault", ["hang", "slow"])
def test_a_shared_pool_hangs_with_the_service_that_hangs(of_threads, fault):
    """12 workers and 40 such requests a second: after 0.3 s there is none left for anybody."""
    shared, own = (row(of_threads, fault, pool=pool) for pool in ("shared", "own"))
    assert shared["hurt"] == 3
    assert min(shared["bad_order"], shared["bad_delivery"]) > 0.2 > max(own["bad_order"], own["bad_delivery"])
    assert own["bad_payment"] > 0.5


def test_an_exception_costs_one_request(of_threads, of_processes):
    for result in (of_threads, of_processes):
        found = row(result, "exception")
        assert 0 < found["bad_payment"] < 0.2
        assert found["ended"] is None


def test_how_processes_ended(of_threads, of_processes):
    for result in (of_threads, of_processes):
        ended = {one["fault"]: one["ended"] for one in result.rows}
        assert ended["segfault"] == "SIGSEGV"
        assert ended["kill"] == "SIGKILL"
        assert ended["poison"].startswith("exit status 70")
        assert ended["hang"] is ended["corrupt"] is ended["hold-gil"] is None
    # The client tries again, and whatever was started again ends, too.
    assert "times" in row(of_processes, "poison")["ended"]


def test_events_say_who_was_hurt(of_processes):
    said = [event.what for event in of_processes.events]
    assert sorted(said) == sorted(set(said))
    assert "segfault in payment hurt payment" in said
    assert "exception in payment hurt nobody" in said
    assert len(said) == len(FAULTS)


def test_starting_is_measured(of_processes):
    facts = of_processes.facts
    assert 0 < facts["start_by_fork"] < facts["start_by_spawn"]  # fork has no Python to start
    assert facts["round_trip"] > 0
    if sys.platform == "linux":
        assert facts["memory_of_a_service"] > 1  # a Python, in MB


def test_tickets():
    """Most customers only look: when the search is killed, most of all requests go bad."""
    found = processes(fault="kill", scenario="tickets", struck="search", seconds=0.5)
    [only] = found.rows
    assert only["hurt"] == 1
    assert only["bad"] > 0.5
    assert only["bad_search"] > 0.9
    assert max(only["bad_booking"], only["bad_payment"]) < 0.2


# ---- the ladder -----------------------------------------------------------------------------------------------------


def test_ladder():
    found = ladder(trips=200)
    rungs = {one["rung"]: one for one in found.rows}
    assert len(rungs) == len(found.rows) == 9
    assert all(0 < one["p50"] <= one["p99"] for one in found.rows)
    call, procedure = rungs["function call"], rungs["remote procedure call"]
    assert call["p50"] == min(one["p50"] for one in found.rows)
    assert procedure["trips"] == 20
    assert found.facts["times_of_a_call"] == pytest.approx(procedure["p50"] / call["p50"])
    assert found.facts["times_of_a_call"] > 10  # a microsecond against some hundreds


# ---- limits ---------------------------------------------------------------------------------------------------------


@linux
def test_limits():
    found = limits(seconds=0.3, headroom=32)
    rows = {(one["what"], one["limit"]): one for one in found.rows}
    free, capped = rows["memory", "none"], rows["memory", "RLIMIT_AS 32 MiB more"]
    assert free["hog_got"] == 128
    assert 0 < capped["hog_got"] <= 32
    assert capped["ended"] == "MemoryError"
    files = rows["files", "RLIMIT_NOFILE 32 more"]
    assert (files["hog_got"], files["ended"]) == (32, "EMFILE")
    assert rows["processor", "RLIMIT_CPU 1 s"]["ended"] == "SIGXCPU"
    assert 0.5 < rows["processor", "RLIMIT_CPU 1 s"]["hog_got"] < 1.5
    others = ["affinity to other cores"] if len(os.sched_getaffinity(0)) > 1 else []
    for limit in ("none", "nice 19", "SCHED_IDLE", *others):
        one = rows["processor", limit]
        assert 0 < one["victim_p50"] <= one["victim_p99"]
        assert one["hog_got"] >= 0


# ---- the table ------------------------------------------------------------------------------------------------------


@linux
def test_comparison():
    found = compare(fault="segfault", seconds=0.5)
    assert [one["level"] for one in found.rows][:2] == ["thread", "process"]
    hurt = {one["level"]: one["segfault"] for one in found.rows}
    assert (hurt["thread"], hurt["process"]) == (3, 1)
    of = {one["level"]: one for one in found.rows}
    assert of["thread"]["start"] < of["process"]["start"]
    assert of["thread"]["memory"] < of["process"]["memory"]
    assert of["thread"]["bad"] > of["process"]["bad"]
    assert all(one["round_trip"] > 0 for one in found.rows)


class Wanting(ProcessLevel):
    def lacking(self):
        return [Lack("a unicorn", "look in the woods")]


def test_levels_that_are_not_here_are_named(place, monkeypatch):
    monkeypatch.setitem(compare.function.__globals__, "REAL", (Wanting(),))
    found = compare.function(Scene(place))
    assert found["rows"] == []
    assert found["facts"]["not_on_this_machine"] == ["process: a unicorn (look in the woods)"]
    with pytest.raises(UnavailableError, match="a unicorn"):
        compare(levels="process")
    with pytest.raises(ValueError, match="levels must be all or some of process, got 'thread'"):
        compare(levels="thread")


# ---- bad input, and bad ends ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["threads", "--workers", "0"], "workers must be from 3, one a service, to 256, got 0"),
        (["threads", "--rate", "-5"], "rate must be from 1 to 2000, got -5.0"),
        (["threads", "--fault", "meteor"], "argument --fault: invalid choice: 'meteor'"),
        (["processes", "--struck", "search"], "struck must be one of order, payment, delivery, got 'search'"),
        (["ladder", "--trips", "0"], "trips must be from 100 to 100,000, got 0"),
        (["ladder", "--size", "0"], "size must be from 1 to 65,536, got 0"),
        (["limits", "--hogs", "0"], "hogs must be from 1 to 16, got 0"),
        (["limits", "--headroom", "1"], "headroom must be from 8 to 100, got 1"),
        (["compare", "--levels", "thread,balloon"], "levels must be all or some of thread,process,container,vm,host"),
    ],
)
def test_bad_usage_is_one_line(arguments, says, capsys):
    assert main(["lab", *arguments]) == 2
    err = capsys.readouterr().err
    assert says in err
    assert err.count("\n") == 1


def test_an_unknown_fault_is_refused():
    with pytest.raises(ValueError, match=r"fault must be all or one of exception, .*, got 'meteor'"):
        threads(fault="meteor")


def test_labs_can_run_at_the_same_time():
    found, wrong = [], []

    def run():
        try:
            found.append(processes(fault="kill", seconds=0.5))
        except LabError as error:
            wrong.append(error)

    crew = [threading.Thread(target=run) for _ in range(2)]
    for one in crew:
        one.start()
    for one in crew:
        one.join()
    assert wrong == []
    assert [one.rows[0]["ended"] for one in found] == ["SIGKILL", "SIGKILL"]


SCRIPT = "from accrual.isolation.labs import {0}; {0}({1})"


def wait_for(condition, patience=30):
    end = time.monotonic() + patience
    while not condition():
        assert time.monotonic() < end, "it did not come about"
        time.sleep(0.01)


@linux
@pytest.mark.parametrize(
    ("lab", "arguments", "crew", "sign"),
    [
        ("threads", "fault='hang', seconds=30", 2, signal.SIGKILL),
        ("processes", "fault='poison', seconds=30", 4, signal.SIGKILL),
        ("processes", "fault='cpu-hog', seconds=30", 4, signal.SIGINT),
        ("ladder", "trips=20_000", 2, signal.SIGKILL),
        ("limits", "seconds=10", 2, signal.SIGKILL),
    ],
)
def test_nothing_is_left_when_the_caller_is_gone(lab, arguments, crew, sign, place):
    """As soon as it has started some processes: the lab itself, and a service, another side or a hog at least."""
    named = named_memory()
    command = [sys.executable, "-c", SCRIPT.format(lab, arguments)]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as caller:
        wait_for(lambda: len(members(place)) >= crew)
        caller.send_signal(sign)
        assert caller.wait(30) != 0
    wait_for(lambda: members(place) == [] and os.listdir(place) == [])
    assert named_memory() <= named
