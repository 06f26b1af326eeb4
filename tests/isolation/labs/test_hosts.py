"""Hosts as network namespaces: whose plug is pulled is silent, and nobody else is."""

import os
import shutil
import signal
import subprocess
import sys
import tempfile

import pytest
from leftovers import Leftovers, end_while_it_runs, require

from accrual.isolation.labs import hosts
from accrual.lab import UnavailableError


@pytest.fixture(autouse=True)
def place(monkeypatch, tmp_path):
    """A place of its own for the labs' folders."""
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr(tempfile, "tempdir", None)
    return tmp_path


@pytest.fixture
def left(place):
    found = Leftovers(place)
    yield found
    found.check()


@pytest.mark.parametrize(
    ("fault", "sees", "others_cut_off"),
    [("process", "refused", 0), ("plug", "silence", 0), ("host", "silence", 0), ("bridge", "silence", 2)],
)
def test_what_a_client_sees(left, fault, sees, others_cut_off):
    require(hosts)
    found = hosts(fault=fault)
    [row] = found.rows
    assert (row["fault"], row["client_sees"]) == (fault, sees)
    assert (row["others_cut_off"], row["others"]) == (others_cut_off, 2)
    assert row["suspected_after"] is not None
    if fault == "plug":
        assert found.facts == {"answers_after_plug_is_back": True}
        back, again = [next(e.at for e in found.events if what in e.what) for what in ("put back", "answers again")]
        assert again > back


@pytest.mark.parametrize("sign", [signal.SIGKILL, signal.SIGINT])
def test_nothing_is_left_when_the_caller_is_gone(place, sign):
    require(hosts)
    end_while_it_runs(place, hosts, "host is pulled", sign, fault="plug")


@pytest.mark.parametrize(
    ("parameters", "says"),
    [
        ({"period": 0.001}, "period must be from 0.01 to 0.2, got 0.001"),
        ({"threshold": float("inf")}, "threshold must be from 0.5 to 16, got inf"),
    ],
)
def test_bad_parameters(parameters, says, left):
    require(hosts)
    with pytest.raises(ValueError, match=says):
        hosts(**parameters)


def test_no_programs(monkeypatch):
    monkeypatch.setenv("PATH", "")
    with pytest.raises(UnavailableError, match=r"the program ip \(install iproute2; Debian: apt install iproute2\)"):
        hosts()


@pytest.mark.skipif(shutil.which("setpriv") is None or os.geteuid() != 0, reason="needs setpriv, and rights to give up")
def test_no_rights():
    """As in a container that has been given none: root by name only."""
    program = "from accrual.isolation.labs import hosts; print(hosts.lacking())"
    command = ["setpriv", "--inh-caps=-all", "--bounding-set=-all", sys.executable, "-c", program]
    said = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    assert "network namespaces with a bridge, which this system refuses: unshare: unshare failed" in said
    assert "--cap-add NET_ADMIN" in said


@pytest.mark.skipif(shutil.which("setpriv") is None or os.geteuid() != 0, reason="needs setpriv, and rights to give up")
def test_in_a_user_namespace(left):
    """Nobody is root in a network of his own, where the system lets him."""
    require(hosts)
    nobody = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"]
    if subprocess.run(
        [*nobody, "unshare", "--user", "--map-root-user", "--net", "true"], capture_output=True
    ).returncode:
        pytest.skip("this system lets nobody have user namespaces")
    # The interpreter may be in a folder that nobody may enter, so the commands are what runs as nobody.
    program = (
        "from accrual.isolation.labs import network\n"
        "from accrual.lab import Scene\n"
        "import os, sys, tempfile\n"
        "os.setgroups([]); os.setgid(65534); os.setuid(65534)\n"
        "folder = tempfile.TemporaryDirectory(dir='/tmp')\n"
        "net = network.Network(Scene(folder.name), 'x')\n"
        "one, two = net.add_host('one'), net.add_host('two')\n"
        "net.spawn('one', ['ip', '-brief', 'address', 'show', 'eth0'], 'said').wait()\n"
        "print(Scene(folder.name).log_of('said'))\n"
        "net.end(); folder.cleanup()\n"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert done.stderr == ""
    assert "UP" in done.stdout
    assert "192.0.2.1/24" in done.stdout
