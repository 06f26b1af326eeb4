"""Results of RIPE Atlas, as its API delivers them (addresses replaced), whole and broken."""

import gzip
import json
import random

import pytest

from accrual.traces import TraceError, import_trace

NS = 10**9

# Three results: only replies; a packet lost, two late answers to it and an error; a reply after its successor's.
FIRST = (
    '{"fw":5020,"mver":"2.2.1","lts":43,"dst_name":"192.0.2.85","af":4,"dst_addr":"192.0.2.85","src_addr":"10.0.0.6",'
    '"proto":"ICMP","ttl":55,"size":48,"result":[{"rtt":31.469868},{"rtt":31.909145},{"rtt":32.286958}],"dup":0,'
    '"rcvd":3,"sent":3,"min":31.469868,"max":32.286958,"avg":31.888657,"msm_id":41688561,"prb_id":1000650,'
    '"timestamp":1654959318,"msm_name":"Ping","from":"192.0.2.125","type":"ping","group_id":41688561,"step":240,'
    '"stored_timestamp":1654959319}'
)
OTHER = (
    '{"af":4,"avg":27.768000000000001,"dst_addr":"192.0.2.24","dst_name":"host.example","dup":2,"from":"192.0.2.40",'
    '"fw":4610,"lts":38,"max":27.768000000000001,"min":27.768000000000001,"msm_id":1000192,"msm_name":"Ping",'
    '"prb_id":1216,"proto":"ICMP","rcvd":1,"result":[{"srcaddr":"10.0.0.130","x":"*"},'
    '{"dup":1,"rtt":36.454000000000001,"ttl":54},{"dup":1,"rtt":37.756},{"rtt":27.768000000000001},'
    '{"error":"sendto failed: Network is unreachable"}],"sent":2,"size":12,"src_addr":"10.0.0.130","step":360,'
    '"timestamp":1395277728,"ttl":54,"type":"ping"}'
)
SECOND = (
    '{"fw":5020,"lts":-1,"dst_name":"192.0.2.85","af":4,"dst_addr":"192.0.2.85","proto":"ICMP","size":48,"result":'
    '[{"x":"*"},{"rtt":1531.9},{"rtt":32.286958}],"dup":0,"rcvd":2,"sent":3,"msm_id":41688561,"prb_id":1000650,'
    '"timestamp":1654959558,"type":"ping","step":240}'
)
RESULTS = [FIRST, OTHER, SECOND]
FORMS = {
    "lines": "\n".join(RESULTS) + "\n",
    "array": "[" + ",".join(RESULTS) + "]",
    "pretty": json.dumps([json.loads(one) for one in RESULTS], indent=2),
    "lines of an array": "[\n" + ",\n".join(RESULTS) + "\n]\n",
}


@pytest.fixture
def results(tmp_path):
    """Write results and return their path."""

    def write(content):
        path = tmp_path / "results.json"
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        return path

    return write


def result(**changes):
    return json.dumps(json.loads(FIRST) | changes)


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("packing", [bytes, gzip.compress], ids=["plain", "gzip"])
def test_a_trace_for_each_probe_and_target(results, form, packing):
    one, other = import_trace(results(packing(FORMS[form].encode())))
    assert one.arrivals.tolist() == [
        1654959318_031469868,
        1654959319_031909145,
        1654959320_032286958,
        1654959560_032286958,
        1654959560_531900000,  # as it arrived, behind its successor
    ]
    assert one.sequence.tolist() == [0, 1, 2, 5, 4]
    assert one.sent.tolist() == [1654959318 * NS + k * NS for k in (0, 1, 2, 242, 241)]
    assert one.period is None
    about = {
        name: one.about[name] for name in ("format", "session", "measurement", "probe", "target", "packets", "burst")
    }
    assert about == {
        "format": "atlas", "session": 1, "measurement": 41688561, "probe": 1000650, "target": "192.0.2.85",
        "packets": 6, "burst": 3,
    }  # fmt: skip
    assert (one.about["step"], one.about["lts"], one.about["clock"]) == (240, -1, "unix")
    # Duplicates answer the packet before them, here one that was given up for lost.
    assert other.sequence.tolist() == [0, 0, 1]
    assert (other.arrivals - 1395277728 * NS).tolist() == [36_454_000, 37_756_000, 1_027_768_000]
    assert (other.about["packets"], other.about["lts"], other.about["target"]) == (3, 38, "host.example")


def test_one_packet_at_a_time_has_a_period(results):
    text = "\n".join(result(timestamp=1000 + 60 * k, step=60, result=[{"rtt": 1}]) for k in range(4))
    [trace] = import_trace(results(text))
    assert trace.period == 60.0
    assert trace.sequence.tolist() == [0, 1, 2, 3]


def test_measurements_probes_and_targets_are_kept_apart(results):
    text = [result(), result(msm_id=2), result(prb_id=3), result(dst_name=None, dst_addr="2001:db8::1"), result()]
    traces = import_trace(results("\n".join(text)))
    assert [len(trace) for trace in traces] == [6, 3, 3, 3]
    assert traces[3].about["target"] == "2001:db8::1"


def test_a_probe_that_never_got_an_answer_is_a_trace_without_heartbeats(results):
    [trace] = import_trace(results(result(result=[{"x": "*"}, {"error": "dns resolution failed"}])))
    assert (len(trace), trace.about["packets"]) == (0, 2)


def test_time_that_goes_back_is_kept(results):
    [trace] = import_trace(results(result(timestamp=2000) + "\n" + result(timestamp=1000)))
    assert (trace.arrivals // NS).tolist() == [2000, 2001, 2002, 1000, 1001, 1002]


@pytest.mark.parametrize(
    ("broken", "message"),
    [
        ("hello", "expected a JSON object, got 'hello'"),
        ("[]", "expected a JSON object, got '\\[\\]'"),
        ("7", "expected a JSON object"),
        (FIRST[:200], 'expected a JSON object, got \'{"fw":5020'),
        (FIRST.replace("31.469868", "NaN"), "expected a JSON object"),
        ("[" * 30_000, "expected a JSON object"),
        ('{"a":' * 9_000, "expected a JSON object"),
        ('"\udcff"', "expected a JSON object"),
        ("x" * 70_000, "a line longer than 64 KiB"),
        (result(type="traceroute"), "expected a result of type ping, got 'traceroute'"),
        (result(result=None), "expected a list of packets under result: firmware 1 tells only means"),
        (result(timestamp="1654959318"), "expected seconds since 1970 under timestamp, got 1654959318"),
        (result(timestamp=-1), "expected seconds since 1970 under timestamp, got -1"),
        (result(timestamp=True), "expected seconds since 1970"),
        (result(timestamp=2**34), "expected seconds since 1970"),
        (result(timestamp=2**33 - 1), "a reply more than 146 years away"),
        (result(prb_id="x"), "expected numbers under prb_id and msm_id"),
        (result(msm_id=[]), "expected numbers under prb_id and msm_id"),
        (result(dst_name=["x"]), "expected numbers under prb_id and msm_id, and text under dst_addr"),
        (result(result=["x"]), "expected an object for each packet, got x"),
        (result(result=[{"rtt": "1"}]), "expected a round-trip time in ms under rtt, got 1"),
        (FIRST.replace("31.469868", "1e999999999"), "expected a round-trip time in ms under rtt"),
        (result(result=[{"rtt": 10**9}]), "expected a round-trip time in ms under rtt"),
        (result(result=[{}]), "expected rtt, x, error or late for each packet"),
    ],
)
def test_what_is_no_result_is_an_error_or_skipped(results, broken, message):
    lines = results((FIRST + "\n" + broken + "\n" + SECOND + "\n").encode("utf-8", "surrogateescape"))
    with pytest.raises(TraceError, match=f"^{lines}:2: {message}"):
        import_trace(lines)
    [trace] = import_trace(lines, lenient=True)
    assert (len(trace), trace.about["skipped"]) == (5, 1)


@pytest.mark.parametrize(
    ("text", "message", "heartbeats"),
    [
        (f"[{FIRST},\n{SECOND}", "2: the file ends inside its array, in '{\"fw\"", 3),
        (f"[{FIRST},\n{SECOND[:300]}", "2: the file ends inside its array", 3),
        (f"[{FIRST}\n,\n7,{SECOND}]", "3: expected a JSON object, got '7'", 5),
        (f"[{FIRST},\n\n,{SECOND}]", "3: expected a JSON object, got ''", 5),
        (f"[{FIRST},{SECOND}]\n[]", "1: expected nothing after the end of the array", 5),
        (f"\n [{FIRST},\n{{\"x\":\"{'y' * 70_000}\"}},{SECOND}]", "3: an object longer than 64 KiB", 5),
        (f"[{FIRST},{{\"a\\\\\\\"]\":1}},{SECOND}]", "1: expected a list of packets", 5),
    ],
)  # fmt: skip
def test_a_broken_array(results, text, message, heartbeats):
    path = results(text)
    with pytest.raises(TraceError, match=f"^{path}:{message}"):
        import_trace(path, format="atlas")
    [trace] = import_trace(path, format="atlas", lenient=True)
    assert len(trace) == heartbeats


@pytest.mark.parametrize("size", [1, 2, 3, 7, 64, 1000])
def test_pieces_do_not_matter(results, size, monkeypatch):
    """Wherever the pieces in which a file is read end: in a string, after a backslash, between two results."""
    text = FORMS["array"].replace("192.0.2.85", '\\\\\\"]},{\\u00e9')
    expected = import_trace(results(text))
    monkeypatch.setattr("accrual.traces.json_file._CHUNK", size)
    assert import_trace(results(text)) == expected
    assert expected[0].about["target"] == '\\"]},{é'


@pytest.mark.parametrize("text", ["", "[]", "[ ]\n", "\n"])
def test_nothing(results, text):
    path = results(text)
    with pytest.raises(TraceError, match=f"^{path}: (no result of a RIPE Atlas ping|the file is empty)"):
        import_trace(path, format="atlas")


@pytest.mark.parametrize("text", [b"\xff\xfe[\0]\0", b"\xfe\xff\0["])
def test_utf_16_says_so(results, text):
    with pytest.raises(TraceError, match="UTF-16 text, expected UTF-8"):
        import_trace(results(text))


def test_a_byte_order_mark_of_utf_8_is_no_matter(results):
    for form in FORMS.values():
        assert len(import_trace(results(b"\xef\xbb\xbf" + form.encode()))) == 2


def test_too_many_peers(results, monkeypatch):
    monkeypatch.setattr("accrual.traces.gather.MOST_PEERS", 2)
    path = results("\n".join(result(prb_id=k) for k in range(3)))
    with pytest.raises(TraceError, match=f"^{path}:3: more than 2 peers"):
        import_trace(path)


def test_a_short_round_of_fuzzing(results):
    """Seeded; a long one was run by hand."""
    rng = random.Random(4)
    tokens = [b'"', b"{", b"}", b"[", b"]", b",", b":", b"\\", b"\n", b"-1", b"1e99999", b"null", b"\xff", b"9" * 5000]
    for form in FORMS.values():
        for _ in range(150):
            text = bytearray(form.encode())
            for _ in range(rng.choice([1, 1, 3])):
                place = rng.randrange(len(text))
                text[place : place + rng.choice([0, 1, 9])] = rng.choice(tokens)
            path = results(bytes(text))
            for lenient in (False, True):
                try:
                    traces, refusal = import_trace(path, format="atlas", lenient=lenient), ""
                except TraceError as error:
                    traces, refusal = [], str(error)
                assert traces or refusal.startswith(f"{path}:")
