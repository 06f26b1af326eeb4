"""A trace on disk, gone through piece by piece: the bits of the trace in memory, wherever the seams lie."""

import json
import math
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from strategies import DETECTORS, traces

import accrual as ac

pa = pytest.importorskip("pyarrow")
pq = pytest.importorskip("pyarrow.parquet")

MS = 10**6
THRESHOLDS = [-0.3, 0.0, 0.05, 0.17, 0.7321, 2.718, 7.77, 20.0, math.inf]

steps = st.one_of(
    st.integers(5 * 10**7, 3 * 10**8),
    st.sampled_from([0, 10**8 + 1, 10**8 + 3, 7 * 10**9 + 1]),
    st.integers(-(10**9), -1),
)
sent = {"sent": lambda arrivals: st.none() | st.just(arrivals - 3 * MS)}
any_trace = traces(steps, min_size=1, max_size=60, **sent)


@pytest.fixture(scope="module")
def folder():
    with tempfile.TemporaryDirectory(prefix="accrual-") as path:
        yield Path(path)


def scanned(folder, trace, rows, group=2**20):
    """The trace on disk, in row groups of one size, read in pieces of another."""
    path = folder / "beats.parquet"
    columns = {"arrival_ns": trace.arrivals, "sequence": trace.sequence, "sent_ns": trace.sent, "epoch": trace.epoch}
    columns = {name: values for name, values in columns.items() if values is not None}
    metadata = {"accrual": json.dumps({"period": trace.period})}
    pq.write_table(pa.table(columns).replace_schema_metadata(metadata), path, row_group_size=group)
    return ac.scan_trace(path, rows=rows)


def outcome(call, *args, **options):
    """What comes of it, as something that can be compared; an error by what it says up to where."""
    try:
        found = call(*args, **options)
    except ac.TraceError as error:
        return str(error)
    return found.tobytes() if isinstance(found, np.ndarray) else repr(found.points)


@pytest.mark.parametrize("name", DETECTORS)
@given(any_trace, st.data(), st.integers(1, 25), st.integers(1, 7))
def test_every_bit_is_that_of_the_trace_in_memory(folder, name, trace, data, rows, group):
    detector = data.draw(DETECTORS[name])
    skip = data.draw(st.none() | st.integers(0, len(trace)))
    quantiles = data.draw(st.booleans())
    scan = scanned(folder, trace, rows, group)
    assert outcome(ac.levels, scan, detector) == outcome(ac.levels, trace, detector)
    assert outcome(ac.curve, scan, detector, THRESHOLDS, skip=skip, quantiles=quantiles) == outcome(
        ac.curve, trace, detector, THRESHOLDS, skip=skip, quantiles=quantiles
    )
