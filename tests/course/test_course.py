"""Checks of exercises: right by any road, a hint where wrong, the answer never given away, nothing ever raised.

Answers to a lesson's questions, right and wrong, lie in lesson_NN.py beside this file.
"""

import importlib
from pathlib import Path

import pytest

from accrual.course import check
from accrual.course.checking import questions

LESSONS = [importlib.import_module(f"course.{path.stem}") for path in sorted(Path(__file__).parent.glob("lesson_*.py"))]
RIGHT, WRONG, GIVEN_AWAY = (
    {question: answers for lesson in LESSONS for question, answers in getattr(lesson, name).items()}
    for name in ("RIGHT", "WRONG", "GIVEN_AWAY")
)


def verdict(capsys, question, *answer):
    assert check(question, *answer) is None
    return " ".join(capsys.readouterr().out.split())


def test_every_question_is_tested_here():
    assert set(RIGHT) == set(WRONG) == set(questions())


@pytest.mark.parametrize(("question", "answer"), [(q, a) for q, answers in RIGHT.items() for a in answers])
def test_right_by_any_road(capsys, question, answer):
    assert verdict(capsys, question, answer).startswith(f"{question} ✓ right.")


@pytest.mark.parametrize(("question", "answer"), [(q, a) for q, answers in WRONG.items() for a in answers])
def test_wrong_gets_a_hint(capsys, question, answer):
    said = verdict(capsys, question, answer)
    assert said.startswith(f"{question} ✗ not yet. ")
    assert len(said) > 40


@pytest.mark.parametrize("question", WRONG)
@pytest.mark.parametrize("nothing", [(), (None,), (...,)], ids=str)
def test_no_answer_yet_is_no_mistake(capsys, question, nothing):
    assert verdict(capsys, question, *nothing).startswith(f"{question} … no answer yet. ")


@pytest.mark.parametrize(("question", "given_away"), GIVEN_AWAY.items())
def test_hints_do_not_give_the_answer_away(capsys, question, given_away):
    for answer in [None, *WRONG[question]]:
        assert given_away not in verdict(capsys, question, answer).removeprefix(question).replace(str(answer), "")


@pytest.mark.parametrize("question", ["03.99", "", None, 3.1, ["03.1"]])
def test_an_unknown_question_lists_those_there_are(capsys, question):
    assert "03.1" in verdict(capsys, question, 9)


def test_the_next_hint_after_a_naive_tail(capsys):
    naive, careful = RIGHT["03.3"][1], RIGHT["03.3"][0]
    assert "returns 0" in verdict(capsys, "03.3", naive)
    assert "returns 0" not in verdict(capsys, "03.3", careful)
