"""Write manifest.json, what the package knows of its recordings, from the recordings themselves.

python data/make_manifest.py
"""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

from accrual.traces import read_trace

#: What a recording says about itself that goes into the manifest as it is.
FROM_ABOUT = ("command", "date", "kernel", "cpu", "disturbance", "clock", "timestamps")


def entry(path: Path) -> dict[str, Any]:
    """Describe one recording."""
    trace = read_trace(path)
    return {
        "name": path.stem,
        "title": trace.about["title"],
        "file": path.name,
        "kind": trace.about["source"],
        "heartbeats": len(trace),
        "duration": int(trace.arrivals.max() - trace.arrivals.min()) / 1e9,
        "period": trace.period,
        **{key: trace.about[key] for key in FROM_ABOUT},
        "licence": "CC0-1.0",
        "sha256": hashlib.sha256(path.read_bytes()).hexdigest(),
    }


def manifest(folder: Path) -> str:
    """Describe every recording in a folder, as the text of its manifest."""
    datasets = [entry(path) for path in sorted(folder.glob("*.parquet"))]
    return json.dumps({"datasets": datasets}, indent=2, ensure_ascii=False) + "\n"


if __name__ == "__main__":
    here = Path(__file__).parent
    (here / "manifest.json").write_text(manifest(here), encoding="utf-8")
