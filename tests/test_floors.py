"""The house has floors (design.md, section 4): a module imports from its own and from lower ones only."""

import ast
import subprocess
import sys
from pathlib import Path

import accrual

PACKAGE = Path(accrual.__file__).parent
FLOORS = [
    ["core", "_version"],
    ["detectors"],
    ["presets", "monitor", "aio", "traces"],
    ["replay"],
    ["qos", "matching", "blocks", "tables", "comparison", "tuning", "configuring", "reliability"],
    ["crew", "study"],
    ["lab"],
    ["isolation", "recovery"],
    ["show"],
    ["course"],
    ["cli"],
    ["__init__", "__main__"],
]
FLOOR = {room: number for number, rooms in enumerate(FLOORS) for room in rooms}


def imports(path):
    """The rooms of accrual that a module imports, anywhere in it, but for names that only type checkers need."""
    tree = ast.parse(path.read_text())
    for node in ast.walk(tree):
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test):
            node.body = []
    for node in ast.walk(tree):
        names = []
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative import"
            names = [node.module] if node.module != "accrual" else [f"accrual.{alias.name}" for alias in node.names]
        for name in names:
            parts = name.split(".")
            if parts[0] == "accrual":
                yield parts[1] if len(parts) > 1 else "__init__"


def test_no_upward_import():
    upward = []
    for path in sorted(PACKAGE.rglob("*.py")):
        inside = path.relative_to(PACKAGE).parts
        room = inside[0].removesuffix(".py")
        if inside[:2] == ("core", "make_tables.py"):
            continue
        assert room in FLOOR, f"{path} has no floor: give it one in {__file__}"
        upward += [f"{'/'.join(inside)} imports {other}" for other in imports(path) if FLOOR[other] > FLOOR[room]]
    assert upward == []


def test_import_is_light():
    """`import accrual` brings NumPy and nothing else that is not the standard library's."""
    program = "import sys, accrual; print(*{name.partition('.')[0] for name in sys.modules})"
    shown = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    extras = {
        "scipy",
        "pyarrow",
        "pandas",
        "polars",
        "matplotlib",
        "ipywidgets",
        "anywidget",
        "IPython",
        "mpmath",
        "dask",
        "distributed",
    }
    assert not extras & set(shown.stdout.split())
