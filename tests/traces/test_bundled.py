"""The traces that come with the package: found in a checkout and in a wheel, whole or refused."""

import dataclasses
import hashlib
import importlib
import json
import sys
from pathlib import Path

import pytest

from accrual.traces import Dataset, Trace, TraceError, bundled, datasets, load, synthetic

pytest.importorskip("pyarrow")


@pytest.fixture
def data(tmp_path):
    """Two traces and their manifest."""
    entries = []
    for name, title in (("idle", "An idle machine"), ("contended", "A <busy> machine")):
        path = tmp_path / f"{name}.parquet"
        trace = Trace([0, 10**10], sequence=[0, 1], period=10, source="recorded")
        trace.write(path)
        entries.append(
            Dataset(
                name=name,
                title=title,
                heartbeats=2,
                duration=10.0,
                period=10.0,
                kind="recorded",
                file=path.name,
                sha256=hashlib.sha256(path.read_bytes()).hexdigest(),
                command="by hand",
                date="2026-01-01",
                kernel="6.1",
                cpu="a CPU",
                disturbance="none",
                clock="monotonic",
                timestamps="kernel",
                licence="CC0-1.0",
            )
        )
    (tmp_path / "manifest.json").write_text(json.dumps({"datasets": [dataclasses.asdict(entry) for entry in entries]}))
    return tmp_path


@pytest.fixture
def bundle(data, monkeypatch):
    monkeypatch.setattr(bundled, "data_root", lambda: data)
    monkeypatch.setattr(synthetic, "RECIPES", {})
    return data


def test_the_table_is_the_text(bundle):
    assert list(datasets()) == ["idle", "contended"]
    assert datasets()["idle"].title == "An idle machine"
    assert repr(datasets()) == (
        "name       kind      heartbeats  duration  period  title\n"
        "idle       recorded           2      10 s    10 s  An idle machine\n"
        "contended  recorded           2      10 s    10 s  A <busy> machine"
    )
    page = datasets()._repr_html_()
    assert page.count("<tr>") == 3
    assert "A &lt;busy&gt; machine" in page


def test_a_trace_is_loaded_by_name(bundle):
    assert load("idle") == Trace([0, 10**10], sequence=[0, 1], period=10, source="recorded")


def test_a_wrong_name_is_answered_with_the_right_ones(bundle):
    with pytest.raises(
        ValueError, match=r"^there is no dataset 'idel': did you mean 'idle'\? there are contended, idle$"
    ):
        load("idel")
    with pytest.raises(ValueError, match=r"^there is no dataset 'x': there are contended, idle$"):
        load("x")
    with pytest.raises(KeyError):
        datasets()["idel"]


def test_a_changed_or_missing_file_is_refused(bundle):
    Trace([0, 1]).write(bundle / "idle.parquet")
    with pytest.raises(TraceError, match=rf"^{bundle}/idle.parquet: .*its sha256 is not the manifest's$"):
        load("idle")
    (bundle / "idle.parquet").unlink()
    with pytest.raises(TraceError, match=rf"^{bundle}/idle.parquet: missing: the installation is not complete$"):
        load("idle")


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"datasets": [{"name": "idle"}]}', '{"datasets": [{}]}', "\0"])
def test_a_damaged_manifest_is_refused(bundle, text):
    (bundle / "manifest.json").write_text(text)
    with pytest.raises(TraceError, match=f"^{bundle}/manifest.json: no manifest: "):
        datasets()


def test_no_manifest(bundle):
    (bundle / "manifest.json").unlink()
    with pytest.raises(TraceError, match=f"^{bundle}/manifest.json: missing"):
        load("idle")


def test_a_wheel_has_the_data_as_a_package(data, monkeypatch):
    """The folder as setuptools installs it: a package without an __init__.py."""
    monkeypatch.syspath_prepend(data.parent)
    monkeypatch.setitem(sys.modules, "accrual.data", importlib.import_module(data.name))
    assert load("contended") == Trace([0, 10**10], sequence=[0, 1], period=10, source="recorded")


REAL = Path(bundled.__file__).resolve().parents[2] / "data" / "manifest.json"


@pytest.mark.skipif(not REAL.exists(), reason="an installed package")
def test_the_real_ones_are_as_their_manifest_says():
    recorded = {name: dataset for name, dataset in datasets().items() if dataset.kind == "recorded"}
    assert len(recorded) >= 2
    for name, dataset in recorded.items():
        trace = load(name)
        assert (len(trace), trace.period) == (dataset.heartbeats, dataset.period)
        assert (trace.arrivals.max() - trace.arrivals.min()) / 1e9 == pytest.approx(dataset.duration, abs=1e-3)
        assert (REAL.parent / dataset.file).stat().st_size <= 1.5 * 2**20


def test_synthetic_ones_stand_beside_the_recordings(data, monkeypatch):
    monkeypatch.setattr(bundled, "data_root", lambda: data)
    known = datasets()
    assert list(known) == ["idle", "contended", *(f"synthetic-{name}" for name in synthetic.RECIPES)]
    for name, dataset in known.items():
        assert (dataset.kind == "synthetic") == name.startswith("synthetic-") == (dataset.specification is not None)
    bursty = known["synthetic-bursty"]
    assert (bursty.heartbeats, bursty.duration, bursty.period) == (100_000, 10_000, 0.1)
    assert bursty.command == "accrual synthesize --recipe bursty --seed 2 -o synthetic-bursty.parquet"
    assert bursty.specification["loss"] == "gilbert:loss=0.01,burst=5,good=0,bad=1"
    assert "synthetic-bursty" in repr(known)
    json.dumps([dataclasses.asdict(dataset) for dataset in known.values()])


def test_a_synthetic_one_is_made_when_it_is_loaded():
    trace = load("synthetic-bursty")
    assert trace == synthetic.synthesize(recipe="bursty")
    assert (trace.about["source"], trace.about["recipe"]) == ("synthetic", "bursty")
    assert len(trace) == pytest.approx(datasets()["synthetic-bursty"].heartbeats, rel=0.02)
    with pytest.raises(ValueError, match=r"^there is no dataset 'bursty': .*synthetic-bursty"):
        load("bursty")
