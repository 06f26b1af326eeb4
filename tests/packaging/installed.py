"""What an installed copy can do: ``python installed.py``, by its own interpreter, away from the checkout.

With ``traces`` as argument the extra of that name is there, too. test_dist.py runs this, and so does cibuildwheel.
"""

import importlib.resources
import json
import math
import subprocess
import sys
import sysconfig
from pathlib import Path


def accrual(*arguments):
    """What the installed command prints; it must end well and without complaint."""
    command = Path(sysconfig.get_path("scripts")) / "accrual"
    done = subprocess.run([command, *arguments], capture_output=True, text=True, encoding="utf-8")
    assert (done.returncode, done.stderr) == (0, ""), done
    return done.stdout


def main(extras):
    import accrual as ac
    from accrual.core import engine

    for module in (ac, engine):
        assert Path(module.__file__).resolve().is_relative_to(Path(sys.prefix).resolve()), module.__file__

    # Intervals of 1 s and 3 s: mean 2 s, deviation 1 s. 7 s later it is 5 deviations late, and the digits are mpmath's.
    monitor = ac.Monitor(ac.PhiNormal(window=10), threshold=8)
    for second in (0, 1, 4):
        monitor.heartbeat(now=second * 10**9)
    assert math.isclose(monitor.level(now=11 * 10**9), 6.5426456723906545, rel_tol=1e-13)

    assert "datasets" in accrual("--help")
    assert accrual("--version") == f"accrual {ac.__version__}\n"

    lessons = [file for file in importlib.resources.files("accrual.lessons").iterdir() if file.name.endswith(".ipynb")]
    assert lessons
    assert all(json.loads(lesson.read_text(encoding="utf-8"))["cells"] for lesson in lessons)

    datasets = ac.datasets()
    assert {dataset["name"] for dataset in json.loads(accrual("datasets", "--json"))} == set(datasets) != set()
    if "traces" in extras:
        from accrual.course import check

        for name, dataset in datasets.items():
            assert dataset.kind == "synthetic" or len(ac.load(name)) == dataset.heartbeats, name
        assert len(ac.load("synthetic-crash")) > 0
        assert len(json.loads(accrual("replay", "idle", "--threshold", "8", "--json"))) == 1
        check("03.1", 9)
    else:
        try:
            raise AssertionError(f"pyarrow is here, so the argument should be traces: {ac.load('idle')}")
        except ImportError as error:
            said = str(error)
        assert "pip install accrual[traces]" in said
    print(f"accrual {ac.__version__} works in {sys.prefix} with {engine.tier()} and the extras {extras}")


if __name__ == "__main__":
    main(sys.argv[1:])
