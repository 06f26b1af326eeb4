"""The sdist and the wheel: what is in them, and whether they work where there is no checkout: ``make check-dist``."""

import os
import shutil
import subprocess
import sys
import sysconfig
import tarfile
import zipfile
from pathlib import Path, PurePosixPath

import pytest

from accrual import __version__

ROOT = Path(__file__).resolve().parents[2]
DIST = os.environ.get("ACCRUAL_DIST")
INSTALLED = Path(__file__).with_name("installed.py")
COMPILERS = ["cc", "gcc", "clang", "c99", "tcc", *(os.environ.get("CC") or "").split()[:1]]
COMPILERS += sysconfig.get_config_var("CC").split()[:1]

pytestmark = pytest.mark.skipif(DIST is None, reason="make check-dist builds the packages and says where they are")


@pytest.fixture(scope="module")
def wheel():
    [path] = (ROOT / DIST).glob("*.whl")
    return path


@pytest.fixture(scope="module")
def sdist():
    [path] = (ROOT / DIST).glob("*.tar.gz")
    return path


@pytest.fixture(scope="module")
def repository():
    """Its files: what git tracks, and what it soon will."""
    command = ["git", "ls-files", "--cached", "--others", "--exclude-standard", "-z"]
    listed = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout.split("\0")
    return {PurePosixPath(name) for name in listed if name and (ROOT / name).exists()}


# ---- what is in them ----


def test_the_sdist_is_the_repository(sdist, repository):
    """All that building and testing needs, and no leftovers of either."""
    with tarfile.open(sdist) as archive:
        names = [PurePosixPath(member.name) for member in archive if member.isfile()]
    files = {name.relative_to(f"accrual-{__version__}") for name in names}
    made = {file for file in files if file.parts[0] in ("PKG-INFO", "setup.cfg", "accrual.egg-info")}
    at_home = {file for file in repository if file.parts[0] in (".ci", ".gitignore")}
    assert files - made == repository - at_home


def test_the_wheel_is_the_package(wheel, repository):
    """Not what made it: no C, no tests, no scripts that write tables, manifests and notebooks."""
    package = {file for file in repository if file.parts[0] == "accrual" and file.suffix not in (".pyx", ".pxd", ".h")}
    package -= {PurePosixPath("accrual/core/make_tables.py")}
    package |= {PurePosixPath("accrual/core/engine" + sysconfig.get_config_var("EXT_SUFFIX"))}
    for pattern in ("lessons/*.ipynb", "data/*.parquet", "data/manifest.json", "data/labs/*.json"):
        package |= {"accrual" / file for file in repository if file.match(pattern)}
    about = PurePosixPath(f"accrual-{__version__}.dist-info")
    names = ["METADATA", "RECORD", "WHEEL", "entry_points.txt", "licenses/LICENSE", "top_level.txt"]
    with zipfile.ZipFile(wheel) as archive:
        assert sorted(archive.namelist()) == sorted(map(str, package | {about / name for name in names}))


def test_an_index_takes_the_metadata(wheel):
    from packaging.metadata import Metadata
    from trove_classifiers import classifiers

    with zipfile.ZipFile(wheel) as archive:
        text = archive.read(f"accrual-{__version__}.dist-info/METADATA")
    metadata = Metadata.from_email(text, validate=True)
    assert (metadata.name, str(metadata.version)) == ("accrual", __version__)
    assert set(metadata.classifiers) <= classifiers
    assert metadata.description.strip() == (ROOT / "README.md").read_text(encoding="utf-8").strip()
    assert metadata.description_content_type == "text/markdown"


# ---- whether they work ----


class Elsewhere:
    """A new virtual environment, and an empty folder to work in, far from the checkout."""

    def __init__(self, root, path):
        self.programs, self.folder = root / "venv" / "bin", root / "folder"
        self.folder.mkdir()
        subprocess.run([sys.executable, "-m", "venv", root / "venv"], check=True)
        self.path = os.pathsep.join([str(self.programs), *path])

    def run(self, program, *arguments):
        """Run one of its programs, with nothing else on the PATH but what was asked for."""
        environment = {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}
        environment["PATH"] = self.path
        command = [self.programs / program, *arguments]
        done = subprocess.run(command, cwd=self.folder, env=environment, capture_output=True, text=True)
        print(done.stdout, done.stderr)
        assert done.returncode == 0, command


def test_the_wheel_works_without_a_compiler(wheel, tmp_path):
    elsewhere = Elsewhere(tmp_path, path=[])
    assert [name for name in COMPILERS if shutil.which(name, path=elsewhere.path)] == []
    elsewhere.run("pip", "install", wheel)
    elsewhere.run("python", INSTALLED)
    elsewhere.run("pip", "install", f"{wheel}[traces]")
    elsewhere.run("python", INSTALLED, "traces")
    elsewhere.run("pip", "check")


def test_the_sdist_works_with_a_compiler(sdist, tmp_path):
    elsewhere = Elsewhere(tmp_path, path=os.environ["PATH"].split(os.pathsep))
    elsewhere.run("pip", "install", f"{sdist}[traces]")
    elsewhere.run("python", INSTALLED, "traces")
    elsewhere.run("pip", "check")
