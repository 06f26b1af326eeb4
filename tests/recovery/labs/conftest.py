"""A place for the labs of a test, and a look at what is left in it."""

import sys
import tempfile

import pytest
from clusters import processes


@pytest.fixture
def tidy(tmp_path, monkeypatch):
    """A folder for labs; nothing is in it afterwards, and nothing that was started in it runs."""
    if sys.platform != "linux":
        pytest.skip("looks at /proc")
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr(tempfile, "tempdir", None)
    yield tmp_path
    assert processes(tmp_path) == {}
    assert list(tmp_path.iterdir()) == []
