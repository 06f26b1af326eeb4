"""State machines as tables, and their pictures."""

import itertools
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
    assert all(0 <= float(number) <= 760 for number in numbers)


@pytest.mark.parametrize("machine", ALL, ids=lambda machine: machine.name)
def test_no_words_lie_on_others(machine):
    """A letter of 11 px is 5.5 px wide on average, and 8 px high above its line."""
    svg = ElementTree.fromstring(machine.svg())
    boxes = []
    for element in svg.iter("{http://www.w3.org/2000/svg}text"):
        x, y, half = float(element.get("x")), float(element.get("y")), 5.5 * len(element.text) / 2
        boxes.append((element.text, x - half, y - 8, x + half, y))
    for one, two in itertools.combinations(boxes, 2):
        apart = one[3] <= two[1] or two[3] <= one[1] or one[4] <= two[2] or two[4] <= one[2]
        assert apart, (one, two)


@pytest.mark.parametrize("machine", ALL, ids=lambda machine: machine.name)
def test_every_arrow_begins_and_ends_at_a_box(machine):
    svg = ElementTree.fromstring(machine.svg())
    boxes = [
        [float(element.get(name)) for name in ("x", "y", "width", "height")]
        for element in svg.iter("{http://www.w3.org/2000/svg}rect")
    ]

    def touches(x, y):
        for left, top, width, height in boxes:
            sides = min(abs(x - left), abs(x - left - width)), min(abs(y - top), abs(y - top - height))
            if left - 0.2 <= x <= left + width + 0.2 and top - 0.2 <= y <= top + height + 0.2 and min(sides) < 0.2:
                return True
        return False

    arrows = [element.get("d") for element in svg.findall("{http://www.w3.org/2000/svg}path")]
    assert len(arrows) == len({(row.source, row.target) for row in machine.rows})
    for arrow in arrows:
        numbers = [float(number) for number in re.findall(r"-?\d+\.\d", arrow)]
        assert touches(*numbers[:2]), arrow
        assert touches(*numbers[-2:]), arrow


@pytest.mark.parametrize("machine", ALL, ids=lambda machine: machine.name)
def test_the_picture_takes_the_colours_of_the_page(machine):
    """Ink and paper of a notebook's theme, dark or light: no colour is fixed but that of the state one is in."""
    assert set(re.findall(r'(?:fill|stroke)="([^"]*)"', machine.svg())) == {"none", "currentColor"}
    assert set(re.findall(r'(?:fill|stroke)="(#[^"]*)"', machine.svg(current=machine.initial))) == {"#ffd166", "#222"}


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
