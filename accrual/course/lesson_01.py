"""The questions of lesson 1: faults, and what they look like."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, Final

from accrual.course.checking import Hint, called, close, number, question
from accrual.show.faults import availability, stories, time_to_outage


@question("01.1")
def _availability(answer: Any) -> str:
    """Out of one round, an MTTF and an MTTR: for how much of it does the thing work?"""
    for mttf, mttr in ((30.0, 1.0), (1.0, 1.0), (0.5, 8.0)):
        given, right = number(called(answer, mttf, mttr)), availability(mttf, mttr).share
        if close(given, 1 - right) and not close(given, right):
            raise Hint("That is the share of the time that it does not work.")
        if close(given, 100 * right):
            raise Hint("As a share of 1, please, not in per cent.")
        if close(given, 1 - mttr / mttf) and not close(given, right):
            raise Hint("Nearly, where repairs are short: but a round takes MTTF and MTTR.")
        if not close(given, right):
            raise Hint(f"Working for {mttf:g} days and then in repair for {mttr:g}: {given:.3g} of the time?")
    return "Only the ratio of the two counts, so the unit does not matter."


@question("01.2")
def _time_to_repair(answer: Any) -> str:
    """Four nines are an availability of 99.99 %; solve the formula for MTTR."""
    week, wanted, given = 7 * 86_400, 0.9999, number(answer)
    right = week * (1 - wanted) / wanted
    if close(given, right / 60, 0.02) or close(given, right / 3600, 0.02):
        raise Hint("Your figure is right in another unit: in seconds, please.")
    if close(given, 10 * right, 0.02):
        raise Hint("With so much time it would be three nines.")
    if close(given, right / 10, 0.02):
        raise Hint("With so little time it would be five nines.")
    if not close(given, right, 0.02):
        raise Hint("Nines of the Nines widget, with MTTF at 7 days: between which two stops of MTTR does it reach 4?")
    return "And the detection time comes out of it first."


@question("01.3")
def _in_one_piece(answer: Any) -> str:
    """It works while all three work, and they fail independently."""
    each, given = 0.999, number(answer)
    if close(given, 100 * each**3, 1e-4):
        raise Hint("As a share of 1, please, not in per cent.")
    if close(given, each, 1e-6):
        raise Hint("That is one of them. The shop needs all three at the same time.")
    if close(given, 1 - (1 - each) ** 3, 1e-9):
        raise Hint("That is the chance that at least one of them works. The shop needs all three.")
    if not abs(given - each**3) < 1e-4:
        raise Hint("The chance that independent things all work is a product.")
    return "Three parts in one piece: nearly three times the downtime."


_PLACES: Final = ("node", "network")
_KINDS: Final = ("physical", "software")
_CARDS: Final = {
    "disk": ("node", "physical", "Is the disk of one machine, or what lies between two?"),
    "memory": ("node", "physical", "What would you have to take into your hands to repair it?"),
    "cable": ("network", "physical", "Both halls are well; what is not?"),
    "overload": ("node", "software", "Nothing is broken in the hardware of C, and the requests do get there."),
    "DNS": ("network", "software", "D is well, and no cable is cut; what is lost is the way to it."),
    "bug": ("node", "software", "Would new hardware help?"),
    "router": ("network", "physical", "The racks are well; what lies between them is not."),
    "firewall": ("network", "software", "Both racks are well, and so is every cable; a rule is in the way."),
}


@question("01.4")
def _sorted_cards(answer: Any) -> str:
    """For each card: is it one machine that fails, or the way between two? And would a new part mend it?"""
    if not isinstance(answer, Mapping):
        raise Hint("A dict is asked for: each card's name with its pair.")
    if not any(answer.values()):
        raise Hint('No card is sorted yet. Begin with the disk: is it ("node", "physical")?')
    missing = [card for card in _CARDS if not answer.get(card)]
    if missing:
        raise Hint(f"These cards are still to be sorted: {', '.join(missing)}.")
    for card, (place, kind, hint) in _CARDS.items():
        given = answer[card]
        if not isinstance(given, (tuple, list)) or len(given) != 2:
            raise Hint(f"{card}: two words are asked for, {' or '.join(_PLACES)} and {' or '.join(_KINDS)}.")
        words = [str(word).strip().lower() for word in given]
        if words == [kind, place]:
            words.reverse()
        if words[0] not in _PLACES or words[1] not in _KINDS:
            raise Hint(f"{card}: {given!r} is not one of {' or '.join(_PLACES)} with {' or '.join(_KINDS)}.")
        if words != [place, kind]:
            raise Hint(f"{card}: {hint}")
    return "The firewall's card is a one-way cut: one side hears the other and thinks that all is well."


@question("01.5")
def _silent(answer: Any) -> str:
    """Two reasons for silence: the machine is down, or the link between it and the observer is cut."""
    machines = set("ABCDE")
    for observer, down, cut, wanted in (
        ("A", set(), set(), set()),
        ("A", {"B"}, set(), {"B"}),
        ("A", set(), {("A", "B")}, {"B"}),
        ("B", set(), {("A", "B")}, {"A"}),
        ("C", set(), {("A", "B")}, set()),
        ("C", {"E"}, {("C", "D"), ("A", "B"), ("E", "C")}, {"D", "E"}),
    ):
        asked = set(machines), set(down), set(cut)
        given = called(answer, observer, *asked)
        case = f"{observer} looks, down are {sorted(down) or 'none'}, cut are {sorted(cut) or 'none'}"
        if asked != (machines, down, cut):
            raise Hint("Your function changes the sets that it is given; make a new one.")
        try:
            found = set(given)
        except TypeError:
            raise Hint("Return a set of names, an empty one where nobody is silent.") from None
        if observer in found:
            raise Hint(f"{case}: nobody is silent to himself.")
        if found == wanted:
            continue
        if found - wanted:
            raise Hint(f"{case}: why should {sorted(found - wanted, key=str)[0]} be silent?")
        raise Hint(f"{case}: {len(wanted - found)} missing. A link may be given in either order.")
    return "One observer, one set; it takes several of them to tell a node from a link."


@question("01.6")
def _never_told_apart(answer: Any) -> str:
    """Play all five cases to the end: in which of them does nothing ever come again?"""
    names = [story.name for story in stories()]
    if isinstance(answer, str):
        raise Hint("Two names are asked for, in a set.")
    try:
        given = {str(name).strip().lower() for name in answer}
    except TypeError:
        raise Hint("A set of two names is asked for.") from None
    if not given <= set(names):
        raise Hint(f"The names are {', '.join(names)}.")
    if len(given) != 2:
        raise Hint(f"Two names are asked for, these are {len(given)}.")
    returning = [story.name for story in stories() if story.name in given and len(story.seen(60)) > len(story.seen(20))]
    if returning:
        raise Hint(f"After 'wait until 60 s', something does come again with: {', '.join(returning)}.")
    return "One of the two is alive, and may well be writing to your disk."


@question("01.7")
def _nodes_for_a_year(answer: Any) -> str:
    """Add 30 days, 15 days, 10 days ... in a loop, until it is enough."""
    mttf, wanted, given = 30.0, 365.0, number(answer)
    if not 1 <= given < 1e7 or not math.isclose(given, round(given)):
        raise Hint("A number of nodes is asked for, such as 3, which last 55 days.")
    nodes = round(given)
    lasts, less = (time_to_outage(max(n, 1), mttf, math.inf) for n in (nodes, round(nodes * 0.99) - 1))
    if nodes == 13 or nodes == 12:
        raise Hint("So many nodes would do if they failed one after the other. All of them age at the same time.")
    if lasts < wanted:
        raise Hint(f"{nodes:,} nodes last {lasts:.1f} days. More!")
    if less >= wanted:
        raise Hint(f"{nodes:,} nodes last {lasts:.1f} days; fewer would do.")
    return "Each time you want 30 days more, it takes 2.7 times as many. Three nodes and repairs are cheaper."
