"""Recordings of others, which are not part of the repository: as many heartbeats as a count by other means finds."""

import gzip
from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from accrual.traces import import_trace, outages

RECORDED = Path(__file__).parents[3] / "shared" / "traces"

pytestmark = pytest.mark.skipif(not RECORDED.is_dir(), reason="the recordings of others are not part of the repository")


@pytest.mark.parametrize("node", [1, 5])
def test_nodes_of_planetlab(node):
    path = RECORDED / "planetlab" / f"node{node}.csv.gz"
    columns = {"arrivals": "timestamp_start_send", "sequence": "numseq"}
    [trace] = import_trace(path, columns=columns, unit="ns")
    table = np.loadtxt(path, dtype=np.int64, delimiter=",", skiprows=1)
    assert trace.sequence.tolist() == table[:, 0].tolist()
    assert trace.arrivals.tolist() == table[:, 1].tolist()
    assert len(trace) == 100_001


def test_wireless_sensors():
    path = RECORDED / "sensors" / "library-r1.txt.gz"
    traces = import_trace(path, columns={"arrivals": 1, "peer": 2, "sequence": 3}, unit="ms")
    rows = [line.split() for line in gzip.decompress(path.read_bytes()).decode("latin-1").splitlines()]
    assert {trace.about["peer"]: len(trace) for trace in traces} == Counter(row[1] for row in rows)
    for trace in traces:
        own = [row for row in rows if row[1] == trace.about["peer"]]
        assert trace.arrivals.tolist() == [int(row[0]) * 10**6 for row in own]
        numbers = [int(row[2]) for row in own]
        assert trace.sequence.tolist() == numbers
        assert outages(trace, 1e-9).lost.sum() == numbers[-1] - numbers[0] + 1 - len(numbers)
