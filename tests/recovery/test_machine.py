"""State machines as tables, and their pictures."""

import re
from xml.etree import ElementTree

import pytest

from accrual.recovery import CONTROLLER, MACHINES, Machine, Transition

ALL = [CONTROLLER, *MACHINES.values()]


@pytest.mark.parametrize("machine", ALL, ids=lambda machine: machine.name)
def test_the_picture_has_every_state_and_event(machine):
    svg = ElementTree.fromstring(machine.svg(current=machine.initial))
    texts = [element.text for element in svg.iter("{http://www.w3.org/2000/svg}text")]
    assert set(texts) == {*machine.states, *(row.event for row in machine.rows)}
    numbers = re.findall(r"-?\d+\.\d", machine.svg())
    assert all(-60 <= float(number) <= 580 for number in numbers)


@pytest.mark.parametrize("machine", ALL, ids=lambda machine: machine.name)
def test_dot_has_every_edge(machine):
    dot = machine.dot()
    for row in machine.rows:
        assert re.search(f'"{row.source}" -> "{row.target}" .*{re.escape(row.event)}', dot)
    assert dot.count("->") == len({(row.source, row.target) for row in machine.rows})


@pytest.mark.parametrize("machine", ALL, ids=lambda machine: machine.name)
def test_table(machine):
    for row in machine.rows:
        assert machine.target(row.source, row.event) == row.target
    assert machine.target(machine.initial, "no such event") is None
    assert len(machine.to_dict()["rows"]) == len(machine.rows)
    assert len(repr(machine).splitlines()) == len(machine.rows) + 2
    assert "<svg" in machine._repr_html_()


def test_what_is_no_machine():
    with pytest.raises(ValueError, match="m: two rows for event 'go' in state 'a'"):
        Machine("m", "a", (Transition("a", "go", "b"), Transition("a", "go", "c")))
    with pytest.raises(ValueError, match="m: no way from 'a' to b"):
        Machine("m", "a", (Transition("b", "go", "a"),))
    with pytest.raises(ValueError, match="current must be one of a, b, got 'c'"):
        Machine("m", "a", (Transition("a", "go", "b"),)).svg(current="c")


def test_names_that_a_picture_must_escape():
    machine = Machine('a "b" <c>', "x<y", (Transition("x<y", 'go "on"', "z"),))
    ElementTree.fromstring(machine.svg())
    assert '"x<y" -> "z" [label="go \\"on\\""]' in machine.dot()
