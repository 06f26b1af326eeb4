"""The timeline that can be stepped through: what it shows against the run's own account, forwards and back."""

import itertools
import json
import math
import random

import pytest
from traitlets import TraitError

from accrual.lab import Event, LabResult
from accrual.recovery import Cluster, Crash, Partition, Pause, simulate
from accrual.show.scrubber import NETWORK, Scrubber, Span, Story, as_story, story_of_lab, story_of_run

RUNS = {
    "crash": simulate(Cluster(), [Crash(at=2, until=4)], seconds=6, seed=3),
    "zombie": simulate(Cluster(fencing="none", demote_after=1), [Pause(at=2, until=4)], seconds=7, seed=3),
    "cut": simulate(Cluster(nodes=5, clients=2), [Partition(at=1, until=3, groups=((0, 1), (2, 3, 4)))], seconds=5),
}


@pytest.mark.parametrize("run", RUNS.values(), ids=RUNS)
def test_states_are_the_runs_own_at_any_time_and_in_any_order(run):
    told = story_of_run(run)
    edges = [happening.time for happening in run.timeline]
    times = [*edges, *(random.Random(5).uniform(0, run.seconds) for _ in range(200)), run.seconds]
    random.Random(6).shuffle(times)
    for at in times:
        states = told.states(at)
        assert tuple(states[f"node {k}"] for k in range(run.cluster.nodes)) == run.states(at)
        assert len(told.upto(at)) == run.upto(at)


@pytest.mark.parametrize("run", RUNS.values(), ids=RUNS)
def test_the_clients_lane_adds_up_to_the_outcome(run):
    """Requests counted one by one, not by the lanes."""
    told = story_of_run(run)
    found = dict.fromkeys(("answered", "slow", "failed", "unknown", "lost"), 0)
    for operation in run.operations:
        lane = "client" if run.cluster.clients == 1 else f"client {operation.client}"
        found[told.states(operation.start)[lane]] += 1
    assert found["lost"] == run.outcome.lost_writes
    assert (found["failed"], found["unknown"]) == (run.outcome.failed, run.outcome.unknown)
    lost_and_slow = sum(o.end - o.start > run.cluster.patience for o in run.findings.lost)
    assert found["slow"] + lost_and_slow == run.outcome.slow
    assert sum(found.values()) == run.outcome.requests


def test_the_network_has_a_lane_only_where_it_is_cut():
    assert NETWORK not in story_of_run(RUNS["crash"]).lanes
    told = story_of_run(RUNS["cut"])
    assert told.lanes[NETWORK] == [Span(0, 1, "whole"), Span(1, 3, "cut"), Span(3, 5, "whole")]
    assert [event.what.split(" (")[0] for event in told.events if event.who == NETWORK] == [
        "partition",
        "network heals",
    ]
    for_good = simulate(Cluster(), [Partition(at=1, groups=((0,), (1, 2)))], seconds=2)
    assert story_of_run(for_good).lanes[NETWORK] == [Span(0, 1, "whole"), Span(1, 2, "cut")]


def test_a_part_of_a_run_knows_what_came_before():
    run = RUNS["crash"]
    part = story_of_run(run, begin=3, end=3.5)
    assert tuple(part.states(3)[f"node {k}"] for k in range(3)) == run.states(3)
    assert all(3 <= event.at <= 3.5 for event in part.events)
    assert part.stops[0] == 3
    assert part.stops[-1] == 3.5
    assert all(3 <= span.begin < span.end <= 3.5 for spans in part.lanes.values() for span in spans)


def test_the_story_of_a_lab():
    events = [Event(3, "b", "promoted"), Event(1, "a", "killed"), Event(2, "watcher", "suspects a")]
    result = LabResult("pair", {}, [], events=events)
    plain = story_of_lab(result)
    assert list(plain.lanes) == ["a", "watcher", "b"]
    assert [event.at for event in plain.events] == [1, 2, 3]
    assert set(plain.states(2).values()) == {""}
    words = {"killed": {"a": "down"}, "promoted": {"b": "primary"}}
    told = story_of_lab(
        result, lambda event: words.get(event.what, {}), start={"a": "primary", "b": "backup"}, begin=0, end=5
    )
    assert told.states(0.5) == {"a": "primary", "b": "backup", "watcher": ""}
    assert told.states(1) == {"a": "down", "b": "backup", "watcher": ""}
    assert told.states(5) == {"a": "down", "b": "primary", "watcher": ""}
    late = story_of_lab(result, lambda event: words.get(event.what, {}), start={"a": "primary"}, begin=2.5)
    assert late.states(2.5)["a"] == "down"
    assert as_story(result).events == plain.events
    with pytest.raises(ValueError, match="events must be one or more, the result of pair has none"):
        story_of_lab(LabResult("pair", {}, []))
    with pytest.raises(TypeError, match="a Story, a Run or a LabResult is asked for, got int"):
        as_story(3)


@pytest.mark.parametrize(
    ("lanes", "events", "end", "said"),
    [
        ({"a": []}, [], 0, "end must be after begin"),
        ({"a": []}, [], math.inf, "end must be after begin"),
        ({"a": []}, [Event(1, "b", "x")], 2, "who must be a lane, a, got 'b'"),
        ({"a": [Span(0, 2, "x"), Span(1, 3, "y")]}, [], 3, "in order and not overlap"),
        ({"a": [Span(2, 1, "x")]}, [], 3, "in order and not overlap"),
    ],
)
def test_stories_that_are_none(lanes, events, end, said):
    with pytest.raises(ValueError, match=said):
        Story(lanes, events, 0, end)


def test_steps_go_there_and_back():
    widget = Scrubber(RUNS, choice="Fault")
    assert widget.shown == "crash"
    stops = widget.story.stops
    assert widget.at == stops[0] == 0
    seen = [widget.describe()]
    for _ in stops[1:]:
        widget.step()
        seen.append(widget.describe())
    assert len(set(seen)) == len(stops)
    widget.step(5)  # beyond the end
    assert widget.describe() == seen[-1]
    for words in reversed(seen[:-1]):
        widget.step(-1)
        assert widget.describe() == words
    widget.step(3)
    assert widget.at == stops[3]


def test_the_widget_hands_over_what_it_knows_and_refuses_what_is_none():
    widget = Scrubber(RUNS)
    assert json.loads(json.dumps(widget.stories)) == widget.stories
    for name, run in RUNS.items():
        handed = widget.stories[name]
        assert len(handed["events"]) == len(run.timeline)
        assert all(one < two for one, two in itertools.pairwise(handed["stops"]))
    widget.shown = "zombie"
    widget.at = 1e9
    assert widget.describe().startswith("zombie; 7 s, ")
    with pytest.raises(TraitError, match="shown must be one of crash, zombie, cut, got 'x'"):
        widget.shown = "x"
    with pytest.raises(TraitError, match="at must be a finite number, got nan"):
        widget.at = math.nan
    with pytest.raises(ValueError, match="stories must be one or more, got none"):
        Scrubber({})
    assert repr(Scrubber(RUNS["crash"])).startswith("Scrubber(0 s, 1 of 9 events; node 0 primary, node 1 backup")
