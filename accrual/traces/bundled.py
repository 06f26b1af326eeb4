"""The traces that come with the package: recordings as files, and synthetic ones that are made when they are loaded."""

from __future__ import annotations

import difflib
import hashlib
import html
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from accrual.traces import parquet
from accrual.traces.trace import Trace, TraceError

if TYPE_CHECKING:
    from importlib.resources.abc import Traversable

    from accrual.traces.synthetic import Recipe

# importlib.resources and synthetic are imported where they are used: each takes a tenth of accrual's import time.


@dataclass(frozen=True, kw_only=True)
class Dataset:
    """A trace that comes with the package, and how it came about.

    Attributes
    ----------
    name, title, description : str
        What `load` calls it; what people call it; what there is to see, with figures.
    heartbeats : int
        How many arrived; of a synthetic trace how many are sent.
    duration : float
        From the first arrival to the last [s]; of a synthetic trace its heartbeats times the period.
    period : float
        Nominal sending interval [s].
    kind : str
        ``recorded`` or ``synthetic``.
    file : str
        Its file, beside the manifest; none of a synthetic trace.
    sha256 : str
        Of that file's bytes.
    command : str
        How it was made.
    date, kernel, cpu : str
        When, and on which machine.
    disturbance : str
        What disturbed it, as `accrual record --disturb` takes it, and how busy the machine was besides.
    clock, timestamps : str
        The receiver's clock, and who read it.
    licence : str
        SPDX identifier.
    specification : dict or None
        Of a synthetic trace what makes it: the keyword arguments of `accrual.synthesize`, seed included.

    Examples
    --------
    >>> from accrual.traces import datasets
    >>> datasets()["idle"].kind
    'recorded'
    """

    name: str
    title: str
    heartbeats: int
    duration: float
    period: float
    kind: str
    file: str
    sha256: str
    command: str
    date: str
    kernel: str
    cpu: str
    disturbance: str
    clock: str
    timestamps: str
    licence: str
    description: str = ""
    specification: dict[str, Any] | None = None


def _synthetic(recipe: str, made: Recipe) -> Dataset:
    """Describe the trace of a recipe. It has no date and no machine, and its name says what it is."""
    name = f"synthetic-{recipe}"
    specification = made.specification
    return Dataset(
        name=name,
        title=made.title,
        heartbeats=specification.heartbeats,
        duration=specification.heartbeats * specification.period,
        period=specification.period,
        kind="synthetic",
        file="",
        sha256="",
        command=specification.command(f"{name}.parquet"),
        date="",
        kernel="",
        cpu="",
        disturbance="simulated",
        clock="simulated",
        timestamps="simulated",
        licence="CC0-1.0",
        specification=specification.to_dict(),
    )


_HEADS: Final = ("name", "kind", "heartbeats", "duration", "period", "title")


def data_root() -> Traversable:
    """Find the data: in a wheel they are the package accrual.data, in a checkout they lie beside the package."""
    import importlib.resources

    try:
        return importlib.resources.files("accrual.data")
    except ModuleNotFoundError:
        return Path(__file__).resolve().parents[2] / "data"


class Datasets(Mapping[str, Dataset]):
    """The bundled traces by name; shown, they are a table."""

    def __init__(self, root: Traversable) -> None:
        """Read the manifest."""
        from accrual.traces.synthetic import RECIPES

        manifest = root / "manifest.json"
        try:
            entries = json.loads(manifest.read_text(encoding="utf-8"))["datasets"]
            recorded = {entry["name"]: Dataset(**entry) for entry in entries}
        except FileNotFoundError:
            raise TraceError("missing: the installation is not complete", str(manifest)) from None
        except (ValueError, TypeError, KeyError) as error:
            raise TraceError(f"no manifest: {error!r}", str(manifest)) from error
        synthetic = [_synthetic(name, recipe) for name, recipe in RECIPES.items()]
        self._datasets = recorded | {dataset.name: dataset for dataset in synthetic}

    def __getitem__(self, name: str) -> Dataset:
        """Look one up."""
        return self._datasets[name]

    def __iter__(self) -> Iterator[str]:
        """Name them: the recordings in the manifest's order, then the synthetic ones."""
        return iter(self._datasets)

    def __len__(self) -> int:
        """Count them."""
        return len(self._datasets)

    def _rows(self) -> list[tuple[str, ...]]:
        return [
            (d.name, d.kind, f"{d.heartbeats:,}", f"{d.duration:,.0f} s", f"{d.period:g} s", d.title)
            for d in self.values()
        ]

    def __repr__(self) -> str:
        """Show the table as text."""
        rows = [_HEADS, *self._rows()]
        widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
        lines = (
            "  ".join(
                cell.rjust(width) if head in ("heartbeats", "duration", "period") else cell.ljust(width)
                for head, cell, width in zip(_HEADS, row, widths, strict=True)
            ).rstrip()
            for row in rows
        )
        return "\n".join(lines)

    def _repr_html_(self) -> str:
        head = "".join(f'<th scope="col">{head}</th>' for head in _HEADS)
        body = "".join(f"<tr>{''.join(f'<td>{html.escape(cell)}</td>' for cell in row)}</tr>" for row in self._rows())
        return f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"


def datasets() -> Datasets:
    """List the traces that come with the package.

    Returns
    -------
    mapping of str to Dataset
        By name. Its text, and in a notebook its picture, is a table.

    Raises
    ------
    TraceError
        The installation lacks them.

    Examples
    --------
    >>> "idle" in datasets()
    True
    """
    return Datasets(data_root())


def load(name: str) -> Trace:
    """Load a trace that comes with the package, or make it where it is synthetic.

    Parameters
    ----------
    name : str
        One of `datasets`.

    Returns
    -------
    Trace
        The trace.

    Raises
    ------
    ValueError
        No such name; lists those that there are.
    TraceError
        The file is missing, or not the one that was recorded.
    ImportError
        pyarrow is missing: ``pip install accrual[traces]``.

    Examples
    --------
    >>> load("idle").period
    0.01
    >>> load("synthetic-bursty").about["source"]
    'synthetic'
    """
    import importlib.resources

    from accrual.traces.synthetic import synthesize

    root = data_root()
    known = Datasets(root)
    if name not in known:
        close = difflib.get_close_matches(str(name), known, n=1)
        hint = f"did you mean {close[0]!r}? " if close else ""
        raise ValueError(f"there is no dataset {name!r}: {hint}there are {', '.join(sorted(known))}")
    dataset = known[name]
    if dataset.specification is not None:
        return synthesize(**dataset.specification)
    with importlib.resources.as_file(root / dataset.file) as path:
        if not path.is_file():
            raise TraceError("missing: the installation is not complete", path)
        if hashlib.sha256(path.read_bytes()).hexdigest() != dataset.sha256:
            raise TraceError("the file is not the one that was recorded: its sha256 is not the manifest's", path)
        return parquet.read(path)
