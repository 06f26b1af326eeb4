"""``accrual lab``, with the labs of the tests among the others."""

import json

import pytest
import sample_labs

from accrual.cli import main
from accrual.lab import LABS


@pytest.fixture(autouse=True)
def _findable(monkeypatch):
    monkeypatch.setenv("PYTHONPATH", sample_labs.PATH)


def test_list(capsys):
    assert main(["lab", "--json"]) == 0
    rows = {row["lab"]: row for row in json.loads(capsys.readouterr().out)}
    assert rows.keys() == LABS.keys()
    assert rows["wanting"]["lacks"] == [{"what": "a unicorn", "remedy": "look in the woods"}]
    assert rows["sample"]["parameters"] == {"rate": 2.0, "kind": "plain", "peers": None}
    assert main(["lab"]) == 0
    said = capsys.readouterr().out
    assert "wanting needs a unicorn: look in the woods" in said
    assert "Do next to nothing." in said


def test_run(capsys, tmp_path):
    picture = tmp_path / "lab.svg"
    assert main(["lab", "sample", "--rate", "4", "--kind", "odd", "--json", "--plot", str(picture)]) == 0
    out, err = capsys.readouterr()
    found = json.loads(out)
    assert found["rows"] == [{"kind": "odd", "twice": 8.0, "peers": None}]
    assert "lab: began" in err
    drawn = picture.read_text()
    assert "began" in drawn
    assert "ended" in drawn


@pytest.mark.parametrize(
    ("arguments", "status", "says"),
    [
        (["sample", "--rate", "0"], 2, "rate must be above 0, got 0.0"),
        (["sample", "--rate", "x"], 2, "argument --rate: invalid float value: 'x'"),
        (["sample", "--rate", "-5ms"], 2, "one that begins with - is written as in --option=-1s"),
        (["sample", "--kind", "third"], 2, "argument --kind"),
        (["sample", "--rate", "-1e3"], 2, "one that begins with - is written as in --option=-1s"),
        (["sample", "--rate=-1e3"], 2, "rate must be above 0, got -1000.0"),
        (["sample", "--plot", "lab.txt"], 2, "argument --plot: must end in .png or .svg or .pdf, is 'lab.txt'"),
        (["nonesuch"], 2, "nonesuch"),
        (["wanting"], 1, "needs a unicorn"),
        (["ending", "--how", "error"], 1, "it did not work"),
    ],
)
def test_bad_usage_is_one_line(arguments, status, says, capsys):
    assert main(["lab", *arguments]) == status
    err = capsys.readouterr().err
    assert says in err
    assert err.count("\n") == 1


def test_help_comes_from_the_docstring(capsys):
    assert main(["lab", "sample", "--help"]) == 0
    said = " ".join(capsys.readouterr().out.split())
    assert "Of nothing [1/s], 100 % or less. (default: 2.0)" in said
    assert "(default: none)" in said
