"""Writes worked_trace.json and the tables of worked_trace.md: the arithmetic of a trace that was followed by hand.

What is done by hand, row by row, stands in ROWS: whether a heartbeat counts, and what each window holds after it. What
is left to the machine is the formulas of semantics.md, in fractions and mpmath. Neither accrual nor tests/oracle.py is
used: both are tested against the result.

    python tests/golden/make_worked_trace.py
"""

import json
import math
from fractions import Fraction
from itertools import pairwise
from pathlib import Path

from mpmath.ctx_mp import MPContext

HERE = Path(__file__).parent
NS = 10**9
TENTH = NS // 10  # every arrival is at a whole tenth of a second
mp = MPContext()
mp.dps = 200  # enough for 1 - 1e-133

# Arrival, intervals and offsets in tenths of a second. "intervals" is PhiNormal(window=3)'s window after the row;
# "offsets" is Chen(period=1, window=2)'s: arrival - period * sequence of the last two accepted. A step of the clock
# moves them to the new time: the next heartbeat is expected as long after the last as it was. None: as before.
ROWS = [
    # arrival, sequence, epoch, what happens, intervals, offsets
    (1000, 0, 1, "the first heartbeat", [], [1000]),
    (1010, 1, 1, "regular: the first interval", [10], [1000, 1000]),
    (1022, 2, 1, "a little late: the second interval", [10, 12], [1000, 1002]),
    (1032, 3, 1, "regular: the window of three is full", [10, 12, 10], [1002, 1002]),
    (990, 4, 1, "the receiver's clock has stepped back", [10, 12, 10], [950, 950]),
    (1000, 5, 1, "regular, on the new time", [12, 10, 10], [950, 950]),
    (1021, 7, 1, "number 6 is lost", [10, 10, 21], [950, 951]),
    (1022, 7, 1, "a duplicate", None, None),
    (1040, 9, 1, "number 9 overtakes 8", [10, 21, 19], [951, 950]),
    (1043, 8, 1, "number 8, reordered", None, None),
    (1060, 10, 1, "a second late", [21, 19, 20], [950, 960]),
    (1060, 11, 1, "at the same time as the one before", [19, 20, 0], [960, 950]),
    (1070, 12, 1, "regular", [20, 0, 10], [950, 950]),
    (1080, 13, 1, "regular", [0, 10, 10], [950, 950]),
    (1124, 14, 1, "stale: even the next one is overdue", [10, 10, 44], [950, 984]),
    (1126, 15, 1, "and the next one comes", [10, 44, 2], [984, 976]),
    (1150, 0, 2, "the sender has restarted", [], [1150]),
    (1160, 1, 2, "regular", [10], [1150, 1150]),
    (1170, 2, 2, "regular: two equal intervals", [10, 10], [1150, 1150]),
    (1185, 3, 2, "half a period late", [10, 10, 15], [1150, 1155]),
    (1195, 4, 2, "regular", [10, 15, 10], [1155, 1155]),
    (1245, 5, 2, "stale, and the last: Chen's suspicion stays open", [15, 10, 50], [1155, 1195]),
]

# Followed by hand: each suspicion as the rows in whose wait for the next it was on, and whether the last one is open.
SUSPICIONS = {
    "phi-normal": ([[5], [13], [18], [20]], False),
    "chen": ([[5], [6], [8], [13, 14], [15], [20]], True),
    "fixed-timeout": ([[5], [6], [8], [13], [15], [20]], False),
}


def normal_level(z):
    """-log10 of the normal survival, by the incomplete gamma function: not the oracle's erfc."""
    tail = mp.gammainc(mp.mpf(1) / 2, z * z / 2, regularized=True) / 2
    return -mp.log10(tail if z > 0 else 1 - tail)


class PhiNormal:
    parameters, threshold, min_samples = {"window": 3}, 1, 2

    def state(self, intervals, offsets, arrival, sequence):
        n = len(intervals)
        mean = Fraction(sum(intervals), 10 * n) if n else None
        variance = sum((Fraction(x, 10) - mean) ** 2 for x in intervals) / n if n else None
        self.known = n >= self.min_samples
        if self.known:
            self.location = mp.mpf(mean) * NS
            self.scale = max(mp.sqrt(variance) * NS, mp.mpf(1))
        return {
            "intervals": seconds(intervals),
            "n": n,
            "mean": text(mean),
            "variance": text(variance),
            "deviation": root(variance),
            "mean_digits": digits(mean),
            "deviation_digits": digits(None if variance is None else mp.sqrt(variance)),
        }

    def level(self, elapsed):
        return normal_level((elapsed - self.location) / self.scale)

    def inverse(self, threshold):
        return mp.sqrt(2) * mp.erfinv(1 - 2 * mp.mpf(10) ** -threshold)


class Linear:
    def level(self, elapsed):
        return (elapsed - self.location) / self.scale

    def inverse(self, threshold):
        return threshold


class Chen(Linear):
    parameters, threshold = {"period": 1.0, "window": 2}, Fraction(1, 2)

    def state(self, intervals, offsets, arrival, sequence):
        offset = Fraction(sum(offsets), 10 * len(offsets))
        expected = offset + sequence + 1
        self.known, self.location, self.scale = True, expected * NS - arrival, Fraction(NS)
        return {
            "offsets": seconds(offsets),
            "offset": text(offset),
            "expected": text(expected),
            "expected_digits": digits(expected),
        }


class FixedTimeout(Linear):
    parameters, threshold = {"period": 1.0}, Fraction(3, 2)

    def state(self, intervals, offsets, arrival, sequence):
        self.known, self.location, self.scale = True, 0, Fraction(NS)
        return {}


DETECTORS = {"phi-normal": PhiNormal, "chen": Chen, "fixed-timeout": FixedTimeout}


# How numbers are written: fractions as they are, roots as roots, everything else in 20 digits


def digits(number):
    return None if number is None else mp.nstr(mp.mpf(number), 20)


def seconds(tenths):
    return [digits(Fraction(x, 10)) for x in tenths]


def text(fraction):
    return None if fraction is None else str(fraction)


def root(fraction):
    if fraction is None:
        return None
    p, q = math.isqrt(fraction.numerator), math.isqrt(fraction.denominator)
    return str(Fraction(p, q)) if Fraction(p * p, q * q) == fraction else f"sqrt({fraction})"


# The table and the quality of service of one detector


def work(name):
    detector = DETECTORS[name]()
    q = detector.inverse(detector.threshold)
    rows, waits, deadline, state = [], {}, None, None
    last = None
    detector.known = False
    for i, (tenths, sequence, _, _, intervals, offsets) in enumerate(ROWS):
        arrival = tenths * TENTH
        level = detector.level(max(0, arrival - last)) if detector.known else None
        row = {"level": digits(level), "suspected": level is not None and bool(level >= detector.threshold)}
        if intervals is not None:
            state = detector.state(intervals, offsets, arrival, sequence)
            last, deadline = arrival, None
            if detector.known:
                waits[i] = max(0, detector.location + detector.scale * q)
                deadline = arrival + math.ceil(waits[i])
        rows.append(row | state | {"deadline": deadline})
    result = {"parameters": detector.parameters, "threshold": float(detector.threshold), "rows": rows}
    return result | {"qos": quality(waits, *SUSPICIONS[name])}


def quality(waits, suspicions, is_open):
    """The QoS of a detector that waits that long [ns] after each row before it suspects."""
    first = min(waits)  # the observation starts where a level is first known
    accepted = [i for i, row in enumerate(ROWS) if row[4] is not None and i >= first]
    elapsed = {i: max(0, ROWS[j][0] - ROWS[i][0]) * TENTH for i, j in pairwise(accepted)}
    observed = Fraction(sum(elapsed.values()), NS)
    detection_times = sorted(waits[i] for i in elapsed if i in waits)
    detection_time = sum(detection_times) / len(detection_times) / NS
    starts = [ROWS[run[0]][0] * TENTH + waits[run[0]] for run in suspicions]
    ends = [ROWS[run[-1]][0] * TENTH + elapsed[run[-1]] for run in suspicions]
    durations = [sum(elapsed[i] - waits[i] for i in run) / NS for run in suspicions]
    closed = durations[:-1] if is_open else durations
    return {
        "detection_time": digits(detection_time),
        "detection_time_uniform": digits(detection_time - Fraction(1, 2)),
        "detection_time_p99": digits(detection_times[math.ceil(Fraction(99, 100) * len(detection_times)) - 1] / NS),
        "detection_time_max": digits(detection_times[-1] / NS),
        "mistakes": len(suspicions),
        "mistake_rate": digits(len(suspicions) / observed),
        "mistake_rate_upper": None,  # defined without mistakes only
        "mistake_duration": digits(sum(closed) / len(closed)),
        "mistake_recurrence": digits((starts[-1] - starts[0]) / NS / (len(starts) - 1)),
        "good_period": digits(sum(b - a for a, b in zip(ends, starts[1:], strict=False)) / NS / (len(starts) - 1)),
        "query_accuracy": digits(1 - sum(durations) / observed),
        "observed": digits(observed),
        "heartbeats": len(elapsed),
        "lost": 2,  # numbers 6 and 8: the latter came, but late, and was ignored
        "open": is_open,
        "starts": [digits(start / NS) for start in starts],
        "ends": [digits(Fraction(end, NS)) for end in ends],
        "durations": [digits(duration) for duration in durations],
    }


def worked():
    """Everything, as it stands in worked_trace.json."""
    arrived = []
    epoch = None
    for tenths, sequence, row_epoch, what, intervals, _ in ROWS:
        accepted, restart = intervals is not None, epoch is not None and row_epoch != epoch
        row = {"arrival": tenths * TENTH, "sequence": sequence, "epoch": row_epoch}
        arrived.append(row | {"what": what, "accepted": accepted, "restart": restart})
        epoch = row_epoch
    return {
        "about": "A trace worked by hand, see worked_trace.md; instants in ns, figures in 20 digits, null where none",
        "period": 1.0,
        "heartbeats": arrived,
        "detectors": {name: work(name) for name in DETECTORS},
    }


# The same as tables for a reader, at the places of worked_trace.md that are marked with the table's name

TABLES = {  # name -> the key and the head of each column
    "heartbeats": {
        "arrival": "arrival [ns]",
        "sequence": "number",
        "epoch": "epoch",
        "what": "what happens",
        "accepted": "accepted",
        "restart": "restart",
    },
    "phi-normal": {
        "level": "level just before",
        "suspected": "suspected",
        "intervals": "window [s]",
        "n": "n",
        "mean": "mean [s]",
        "mean_digits": "in digits",
        "deviation": "deviation [s]",
        "deviation_digits": "in digits",
        "deadline": "deadline [ns]",
    },
    "chen": {
        "level": "level just before",
        "suspected": "suspected",
        "offsets": "arrival - number [s]",
        "offset": "mean [s]",
        "expected_digits": "next expected [s]",
        "deadline": "deadline [ns]",
    },
    "fixed-timeout": {"level": "level just before", "suspected": "suspected", "deadline": "deadline [ns]"},
}


def cell(value):
    if value is None or isinstance(value, bool):
        return "yes" if value else "-"
    return ", ".join(value) if isinstance(value, list) else str(value)


def table(head, rows):
    lines = [head, ["---"] * len(head), *([cell(value) for value in row] for row in rows)]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def tables(data):
    columns = {"heartbeats": data["heartbeats"]} | {name: part["rows"] for name, part in data["detectors"].items()}
    for name, heads in TABLES.items():
        rows = [[i, *(row[key] for key in heads)] for i, row in enumerate(columns[name])]
        yield name, table(["row", *heads.values()], rows)
    results = [part["qos"] for part in data["detectors"].values()]
    fields = [[field, *(result[field] for result in results)] for field in results[0]]
    listed = [row for row in fields if isinstance(row[1], list)]
    yield "qos", table(["", *data["detectors"]], [row for row in fields if row not in listed])
    for name, part in data["detectors"].items():
        runs = zip(*(part["qos"][field] for field in ("starts", "ends", "durations")), strict=True)
        yield f"{name} suspicions", table(["start [s]", "end [s]", "duration [s]"], runs)


def page(data, text):
    """The page with its tables renewed."""
    for name, lines in tables(data):
        mark = f"<!-- {name} -->"
        before, _, after = text.partition(mark + "\n")
        text = f"{before}{mark}\n{lines}\n{after[after.index('<!-- end -->') :]}"
    return text


def main():
    data = worked()
    (HERE / "worked_trace.json").write_text(json.dumps(data, indent=1) + "\n")
    markdown = HERE / "worked_trace.md"
    markdown.write_text(page(data, markdown.read_text()))


if __name__ == "__main__":
    main()
