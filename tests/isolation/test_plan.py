"""``accrual plan`` as a user has it: what it prints, and how it refuses."""

import json

import pytest

from accrual.cli import main
from accrual.isolation import plan_pools, plan_shards


def ask(capsys, *words):
    status = main(["plan", *words])
    out, err = capsys.readouterr()
    return status, out, err


def test_pools(capsys):
    status, out, err = ask(capsys, "pools", "--rate", "120", "--latency", "50ms", "--reject", "1%")
    assert (status, err) == (0, "")
    assert out.splitlines()[0] == "6 busy workers on average: one pool of 13, or 3 bulkheads of 21 in all (+8)"
    services = {f"service-{n}": (40.0, 0.05) for n in (1, 2, 3)}
    assert out == f"{plan_pools(services)}\n"


def test_pools_by_service(capsys):
    words = ("--service", "order:40:50ms", "--service", "payment:10:0.2", "--hang", "payment", "--timeout", "2s")
    status, out, _ = ask(capsys, "pools", *words, "--wait", "100ms", "--workers", "12", "--json")
    assert status == 0
    plan = plan_pools({"order": (40, 0.05), "payment": (10, 0.2)}, wait=0.1, workers=12, hang="payment", timeout=2)
    assert json.loads(out) == json.loads(json.dumps(plan.to_dict()))


def test_shards(capsys):
    words = ("--customers", "1000", "--workers", "8", "--shard-size", "2")
    status, out, _ = ask(capsys, "shards", *words)
    assert status == 0
    assert out == f"{plan_shards(1000, 8, 2)}\n"
    status, out, _ = ask(capsys, "shards", *words, "--needs", "2", "--json")
    assert json.loads(out)["shuffled"] == plan_shards(1000, 8, 2, needs=2).shuffled


@pytest.mark.parametrize(
    ("words", "complaint"),
    [
        ("pools --rate -1 --latency 0.05", "rate must be a number of requests a second above 0, got -1.0"),
        ("pools --rate 1 --latency 0", "latency must be a number of seconds above 0, got 0.0"),
        ("pools --rate 1 --latency soon", "must be a time such as 0.05 or 50ms"),
        ("pools --rate 1 --latency 1 --pools 0", "pools must be a whole number from 1 to 10,000, got 0"),
        ("pools --rate 1 --latency 1 --workers 0", "workers must be a whole number from 3 to 1,000,000, got 0"),
        (
            "pools --rate 1 --latency 1 --reject 150%",
            "reject must be a share above 0 and below 1 (1 is 100 %), got 1.5",
        ),
        ("pools --rate 1 --latency 1 --reject some", "must be a share such as 0.01 or 1%, got 'some'"),
        (
            "pools --rate 9 --latency 1 --workers 9 --wait 1",
            "must be below its 3 workers, got 3 busy workers: the queue",
        ),
        ("pools --rate 9 --latency 1 --hang x", "hang must be one of service-1, service-2, service-3, got 'x'"),
        ("pools", "give --rate and --latency, or --service for each service"),
        ("pools --rate 1 --service a:1:1s", "--service says all that --rate, --latency and --pools would"),
        ("pools --service a:1:1s --service a:2:1s", "each --service must have a name of its own"),
        ("pools --service a:1", "must be NAME:RATE:LATENCY such as payment:40:50ms, got 'a:1'"),
        ("pools --service a:-1:1s", "rate of a must be a number of requests a second above 0, got -1.0"),
        ("shards --customers 5 --workers 3 --shard-size 4", "shard_size must be at most the 3 workers, got 4"),
        ("shards --customers 0 --workers 3 --shard-size 1", "customers must be a whole number of 1 or more, got 0"),
        ("shards --customers 5 --workers 3", "required: --shard-size"),
        ("", "required: WHAT"),
    ],
)
def test_refusals_are_one_line(capsys, words, complaint):
    status, out, err = ask(capsys, *words.split())
    assert (status, out) == (2, "")
    assert complaint in err
    assert err.count("\n") == 1
