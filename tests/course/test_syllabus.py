"""Every item of the two lectures has its place: in a lesson that is written, or in the table of those to come."""

import html
import json
import re

import pytest

from accrual.course import syllabus

LECTURES = set(range(1, 100))


def test_the_maps_name_every_item_once():
    named = [item for branches in syllabus.MAPS.values() for items in branches.values() for item in items]
    assert sorted(named) == sorted(LECTURES)
    titles = [title for branches in syllabus.MAPS.values() for items in branches.values() for title in items.values()]
    assert all(titles)


def test_the_lessons_are_to_cover_all_but_one():
    planned = set().union(*(lesson.items for lesson in syllabus.LESSONS.values()))
    assert {43} == syllabus.NOWHERE
    assert planned == LECTURES - syllabus.NOWHERE


def test_what_no_lesson_covers_yet():
    """The list that must shrink. An item that a written lesson was to bring, and does not, is missing for good."""
    written = set(syllabus.notebooks())
    assert written <= set(syllabus.LESSONS), "a lesson that is not in the table"
    uncovered = LECTURES - set(syllabus.index().covered) - syllabus.NOWHERE
    to_come = {
        name: sorted(lesson.items & uncovered)
        for name, lesson in syllabus.LESSONS.items()
        if name not in written and lesson.items & uncovered
    }
    missing = uncovered - {item for items in to_come.values() for item in items}
    assert missing == set(), f"neither covered nor to come: {sorted(missing)}"
    print(f"{len(uncovered)} of {len(LECTURES)} items are to come:")  # pytest -rP shows it
    for name, items in to_come.items():
        print(f"  {name:26} {items}")
    assert written == set(syllabus.LESSONS)
    assert uncovered == set()


def test_a_lesson_brings_what_the_table_says():
    for name, notebook in syllabus.notebooks().items():
        brought = {item for _, items in syllabus.sections(name, json.loads(notebook)) for item in items}
        assert brought >= syllabus.LESSONS[name].items - set(syllabus.index().covered)
        if name in ("00_start", "01_faults", "03_phi"):
            assert brought == syllabus.LESSONS[name].items


def cell(text, items=None, kind="markdown"):
    return {"cell_type": kind, "source": text, "metadata": {} if items is None else {"items": items}}


def test_sections_of_a_notebook():
    notebook = {
        "cells": [
            cell("# 7 · A *lesson*\n\ntext", [1]),
            cell("## One & two *(3 minutes)*\n\ntext", [2, 3]),
            cell("print('# no heading')", kind="code"),
            cell(["more\n", "text"], [4]),
            cell("## Nothing"),
            cell("### Deeper\n", [5]),
        ]
    }
    found = list(syllabus.sections("07_x", notebook))
    assert [(section.title, section.opening, items) for section, items in found] == [
        ("7 · A lesson", True, [1]),
        ("One & two", False, [2, 3]),
        ("One & two", False, [4]),
        ("Nothing", False, [5]),
    ]
    assert found[1][0].link == "07_x.ipynb#One-%26-two-%283-minutes%29"


def test_a_link_leads_past_the_opening_where_it_can():
    opening, first, second = (syllabus.Section("03_phi", heading, heading == "o") for heading in "oab")
    other = syllabus.Section("05_x", "o", opening=True)
    index = syllabus.Index({1: [opening, first, second], 2: [opening], 3: [other, first]})
    assert index.sections(1) == [first]
    assert index.sections(2) == [opening]
    assert index.sections(3) == [other, first]
    assert index.sections(4) == []


def test_the_index_says_what_is_to_come():
    index = syllabus.Index({63: [syllabus.Section("03_phi", "Step <1>", opening=False)]})
    text, page = repr(index), index._repr_html_()
    assert "63 Step 1: the sampling window (03_phi: Step <1>)" in text
    assert "11 A thread pool for each kind of request (to come: lesson 6)" in text
    assert "40 The lecture in short (to come: lesson 0)" in text
    assert "43 Comments to the lecturer (in no lesson)" in text
    assert 'title="Step &lt;1&gt;"' in page
    assert "Step <1>" not in page
    assert page.count("<li>") == 99 + sum(len(branches) for branches in syllabus.MAPS.values())


def test_the_links_of_the_index_lead_somewhere():
    """Each anchor is a heading of the notebook that it names, as Jupyter spells it."""
    from urllib.parse import unquote

    headings = {
        name: {
            re.sub(r"[*`]", "", heading).strip().replace(" ", "-")
            for c in json.loads(notebook)["cells"]
            if c["cell_type"] == "markdown"
            for heading in re.findall(r"^#+ +(.+)$", "".join(c["source"]), re.MULTILINE)
        }
        for name, notebook in syllabus.notebooks().items()
    }
    links = re.findall(r'href="([^"]+)"', syllabus.index()._repr_html_())
    assert len(links) >= 40
    for link in links:
        file, anchor = unquote(html.unescape(link)).split("#", 1)
        assert anchor in headings[file.removesuffix(".ipynb")]


def test_the_way():
    way = syllabus.Way(frozenset({"03_phi"}))
    assert "03_phi                     30 min  Phi in three steps\n" in repr(way)
    assert "Start here (to come)" in repr(way)
    page = way._repr_html_()
    assert re.findall(r'href="([^"]+)"', page) == ["03_phi.ipynb"]
    assert page.count("<i>(to come)</i>") == len(syllabus.LESSONS) - 1


def test_an_installation_without_lessons_says_so(monkeypatch, tmp_path):
    monkeypatch.setattr(syllabus, "installed", lambda: tmp_path / "nowhere")
    with pytest.raises(FileNotFoundError, match="the lessons are missing"):
        syllabus.notebooks()
    monkeypatch.setattr(syllabus, "installed", lambda: tmp_path)
    (tmp_path / "notes.ipynb").touch()
    with pytest.raises(FileNotFoundError, match="the lessons are missing"):
        syllabus.notebooks()
