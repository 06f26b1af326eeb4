"""Write manifest.json and README.md, what the package knows of its recordings, from the recordings themselves.

python data/make_manifest.py
"""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any, Final

import numpy as np

from accrual.traces import Trace, read_trace

FROM_ABOUT: Final = ("command", "date", "kernel", "cpu", "clock", "timestamps")
"""What a recording says about itself that goes into the manifest as it is."""

NOTES: Final = {
    "contended": "Every heartbeat waits for its turn; the longest gaps are the pauses, not the contention.",
    "cpu-quota": "The group has 20 ms of each 100 ms, and was throttled in 5,954 periods: 2,759 gaps of 50 to 90 ms, "
    "in phases of seconds, presumably because Linux hands the quota out core by core: while the sender is alone "
    "on one, it may go on.",
    "gc": "Each of the 88 collections is a gap of 0.4 to 1.4 s, and nothing before it tells of it.",
    "idle": "What a loopback interface and a scheduler do by themselves: the floor of all others.",
    "jittery": "The queue fills and drains within half a second: neighbouring intervals are not independent, which "
    "every window of intervals takes them for.",
    "lossy": "Intervals are multiples of the period; a detector that takes them for delays learns the losses.",
    "partitioned": "Nothing arrives while the path is cut: each of the 19 cuts is a mistake that no threshold of use "
    "avoids, and what counts is how fast trust returns.",
    "paused": "One long interval for each pause, no burst after it, and nothing before it that tells of it.",
    "vm": "The guest was stopped 48 times. Its clock stands still with it: between its sending times (`sent_remote`) "
    "there are never more than 60 ms, and the offset of the two clocks moved by 51 s.",
}
"""What there is to see in each, which figures alone do not say. Looked at, not computed."""

HEAD: Final = """\
# The recorded traces

Made by `data/make_manifest.py` from the recordings: do not edit. `record.sh` and `record_vm.py` hold the commands;
`ac.datasets()` lists what the package has, `ac.load(name)` loads it. Real heartbeats, recorded by this project and
published under CC0-1.0: do with them what you like. Instants are of the receiver's CLOCK_MONOTONIC [ns]. The columns
and what the recorder wrote down, start and end of each pause included, are in the files.

| name | what | heartbeats | minutes | period | median interval | 99 % | longest | lost |
|---|---|---:|---:|---:|---:|---:|---:|---:|
"""


def entry(path: Path) -> dict[str, Any]:
    """Describe one recording."""
    trace = read_trace(path)
    return {
        "name": path.stem,
        "title": trace.about["title"],
        "description": f"{figures(trace)} {NOTES.get(path.stem, '')}".strip(),
        "file": path.name,
        "kind": trace.about["source"],
        "heartbeats": len(trace),
        "duration": int(trace.arrivals.max() - trace.arrivals.min()) / 1e9,
        "period": trace.period,
        **{key: trace.about[key] for key in FROM_ABOUT},
        "disturbance": disturbance(trace),
        "licence": "CC0-1.0",
        "sha256": hashlib.sha256(path.read_bytes()).hexdigest(),
    }


def figures(trace: Trace) -> str:
    """Sum up the intervals and the losses in a sentence."""
    intervals = np.diff(trace.arrivals) / 1e6
    holes = np.diff(trace.sequence) - 1
    holes = holes[holes > 0]
    lost = f"{holes.sum():,} lost, {holes.max():,} in a row at most" if len(holes) else "none lost"
    return (
        f"Intervals: median {np.median(intervals):.2f} ms, 99 % up to {np.quantile(intervals, 0.99):.1f} ms, "
        f"the longest {intervals.max():,.0f} ms; {lost}."
    )


def disturbance(trace: Trace) -> str:
    """Say what disturbed it, and how busy the machine was besides."""
    text = str(trace.about["disturbance"])
    if "load_average" in trace.about:
        before, after = trace.about["load_average"]
        text += f"; beside whatever else ran: load average {before:.1f} before, {after:.1f} after"
    return text


def manifest(folder: Path) -> str:
    """Describe every recording in a folder, as the text of its manifest."""
    datasets = [entry(path) for path in sorted(folder.glob("*.parquet"))]
    return json.dumps({"datasets": datasets}, indent=2, ensure_ascii=False) + "\n"


def readme(folder: Path) -> str:
    """Describe every recording in a folder for people: a table, and what there is to know of each."""
    rows, sections = [], []
    for path in sorted(folder.glob("*.parquet")):
        known, trace = entry(path), read_trace(path)
        intervals = np.diff(trace.arrivals) / 1e6
        lost = int(np.clip(np.diff(trace.sequence) - 1, 0, None).sum())
        rows.append(
            f"| [{known['name']}](#{known['name']}) | {known['title']} | {known['heartbeats']:,} "
            f"| {known['duration'] / 60:.1f} | {known['period'] * 1e3:g} ms | {np.median(intervals):.2f} ms "
            f"| {np.quantile(intervals, 0.99):.1f} ms | {intervals.max():,.0f} ms | {lost:,} |"
        )
        stamps = "stamped by the kernel" if known["timestamps"] == "kernel" else "read by the receiving process"
        sections.append(
            f"\n## {known['name']}\n\n{known['description']}\n\n"
            f"- how: `{known['command']}`\n"
            f"- disturbance: {known['disturbance']}\n"
            f"- where and when: {known['cpu']}, {known['kernel']}, {known['date']}\n"
            f"- clock: {known['clock']}, {stamps}\n"
            f"- licence: {known['licence']}\n"
            f"- sha256: `{known['sha256']}`\n"
        )
    return HEAD + "\n".join(rows) + "\n" + "".join(sections)


if __name__ == "__main__":
    here = Path(__file__).parent
    (here / "manifest.json").write_text(manifest(here), encoding="utf-8")
    (here / "README.md").write_text(readme(here), encoding="utf-8")
