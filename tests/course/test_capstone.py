"""The capstone of lesson 12: any file as one's own trace, and answers that are half there."""

import importlib.util
import math
import re
from pathlib import Path

import numpy as np
import pytest

import accrual as ac
from accrual.course import check
from accrual.course.lesson_12 import LEAST, chosen, to_tune_on, wanted
from accrual.recovery import FailoverController

FIXED = ac.FixedTimeout(period=0.1)


def beats(gaps=(), n=LEAST):
    """A heartbeat every 100 ms, with longer gaps before some [s]."""
    steps = np.full(n, 10**8, np.int64)
    for at, extra in gaps:
        steps[at] += round(extra * 10**9)
    return ac.Trace(np.cumsum(steps), period=0.1)


def test_a_trace_of_ones_own(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    beats().write("mine.csv")
    for mine in ("mine.csv", Path("mine.csv")):
        system = to_tune_on(mine, "The till")
        assert (system.label, system.name, len(system.trace)) == ("The till", "mine.csv", LEAST)
        assert len(system.sha256) == 64
    assert to_tune_on(beats()).name == "a trace of yours"
    assert to_tune_on(None).name == "paused"
    assert capsys.readouterr() == ("", "")


def shuffled(n):
    return np.random.default_rng(1).permutation(n) * 10**7


BAD = {
    "none.csv": (None, "No such file or directory"),
    "text.csv": ("Dear diary, today my primary died.\n", "no trace: expected"),
    "empty.csv": ("", "the file is empty"),
    "one.csv": ("arrival_ns\n1000\n", "at least 4000 heartbeats, has 1"),
    "short.csv": (
        "arrival_ns\n" + "".join(f"{k * 10**7}\n" for k in range(3999)),
        "at least 4000 heartbeats, has 3999",
    ),
    "seconds.csv": (
        "arrival_ns\n" + "".join(f"{k / 100}\n" for k in range(5000)),
        "used: line 2: expected 1 integers of 64 bits",
    ),
    "still.csv": ("arrival_ns\n" + "5\n" * 5000, "median interval of 0"),
    "unsorted.csv": ("arrival_ns\n" + "".join(f"{at}\n" for at in shuffled(5000)), "median interval of 0"),
}


@pytest.mark.parametrize("name", BAD)
def test_what_cannot_be_used_is_said_in_words(tmp_path, monkeypatch, capsys, name):
    monkeypatch.chdir(tmp_path)
    content, why = BAD[name]
    if content is not None:
        Path(name).write_text(content)
    system = to_tune_on(name)
    out, err = capsys.readouterr()
    assert system.name == "paused"
    assert out.startswith(f"{name} cannot be used: ")
    assert out.count(name) == 1
    assert why in out
    assert out.endswith("The recorded trace 'paused' is taken instead.\n")
    assert err == ""


def test_what_is_odd_is_said_and_taken(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    arrivals = np.arange(5000) * 10**7
    arrivals[1000:1200:2] += 15 * 10**6  # each of these after the next one
    ac.Trace(arrivals, period=0.01).write("odd.csv")
    assert to_tune_on("odd.csv").name == "odd.csv"
    assert "100 of 5,000 heartbeats arrived before the one before them" in capsys.readouterr().out


def test_whether_one_can_go_on():
    assert chosen(FIXED, 5)
    assert chosen(FIXED, "5", np.float64(2.5))
    for answer in ((None, None), (FIXED, None), (FIXED, math.nan), (FIXED, "x"), ("phi", 8), (ac.FixedTimeout, 8),
                   (FIXED, 5, None), (FIXED, 5, -1), (FIXED, 5, math.inf)):  # fmt: skip
        assert not chosen(*answer)


def verdict(capsys, question, answer):
    check(question, answer)
    return " ".join(capsys.readouterr().out.split())


def test_who_learnt_from_the_first_half_is_not_blamed_for_the_second(capsys):
    """12.5: outages that were longer than any before, or did not come at all, are nobody's mistake."""
    before = [(at, 1.0) for at in range(1100, 2000, 200)]
    after = [(at, 3.0) for at in range(2100, 4000, 200)]
    surprised = beats([*before, *after])
    assert "✓ right. 11.1 s an outage on the second half" in verdict(capsys, "12.5", (surprised, FIXED, 5, 0.6))
    assert "✓ right. 3.12 s" in verdict(capsys, "12.5", (surprised, FIXED, 5, 2.6))  # who was more careful
    assert "✗ not yet." in verdict(capsys, "12.5", (surprised, FIXED, 5, 0))
    spared = beats(before)
    assert "✓ right. The second half has no false suspicion" in verdict(capsys, "12.5", (spared, FIXED, 5, 0.6))
    assert "s an outage on the first half" in verdict(capsys, "12.5", (spared, FIXED, 5, 0))
    untaught = beats(after)
    assert "✓ right. 10.5 s an outage on the second half" in verdict(capsys, "12.5", (untaught, FIXED, 5, 0))
    for wait, said in ((0, "nothing to wait for"), (3, "delay a real failover by 3 s")):
        given = verdict(capsys, "12.5", (beats(), FIXED, 5, wait))
        assert "✓ right. No false suspicion in either half: " in given
        assert said in given


def test_a_detector_that_the_first_half_spoke_for_is_not_blamed_for_the_second(capsys):
    """12.4: at an equal detection time, 10 mistakes against 0 are too many if the first half said so, too."""
    gaps = [(at, 3.0) for at in range(2100, 4000, 200)]
    hasty, patient = (beats(gaps), FIXED, 20), (beats(gaps), FIXED, 50)
    assert "✓ right. On the second half: detection in 2 s, 10 mistakes" in verdict(capsys, "12.4", hasty)
    assert "✓ right. On the second half: detection in 5 s, 0 mistakes" in verdict(capsys, "12.4", patient)
    told = beats([*gaps, *((at, 3.0) for at in range(1100, 2000, 200))])
    assert "✗ not yet. 10 mistakes on the second half" in verdict(capsys, "12.4", (told, FIXED, 20))


def test_one_surprise_in_ten_is_no_mistake_of_the_controller(capsys):
    """12.6: three needless failovers are too many of six suspicions, and not of thirty."""

    def build(fence, promote):
        return FailoverController(
            ["primary", "backup"], "primary", detector=FIXED, threshold=5, wait_before_promote=1, fence=fence,
            promote=promote,
        )  # fmt: skip

    long = [(5200, 4.0), (6200, 4.0), (7200, 4.0)]
    for short, said in ((3, "✗ not yet. 3 needless failovers"), (30, "✓ right. 3 needless failovers, 30 averted")):
        gaps = [*long, *((5210 + 20 * k, 0.6) for k in range(short))]
        assert said in verdict(capsys, "12.6", (beats(gaps, 8000), build))


def test_asked_for_is_fifty_periods():
    assert wanted(beats()) == pytest.approx(5)
    assert wanted(ac.Trace(beats().arrivals)) == pytest.approx(5)


# ---- the lesson's own cells, from the capstone on -----------------------------------------------------------------

LESSONS = Path(__file__).resolve().parents[2] / "lessons"


def cells(solutions):
    """The code of lesson 12 that imports, and all from the capstone on."""
    spec = importlib.util.spec_from_file_location("build", LESSONS / "build.py")
    build = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(build)
    made = build.notebook(LESSONS / "source" / "12_health_and_capstone.py", solutions).cells
    begin = next(k for k, cell in enumerate(made) if cell.source.startswith("## Capstone"))
    code = [cell.source for cell in made[begin:] if cell.cell_type == "code"]
    return [next(cell.source for cell in made if cell.cell_type == "code"), *code]


def run(solutions, mine, answers=()):
    """Execute them with a trace of one's own and answers instead of those of the lesson; the page, if there is one."""
    space = {}
    for code in cells(solutions):
        code = code.replace('NAME, MINE = "My system", None', f'NAME, MINE = "The till", {mine!r}')
        for before, after in answers:
            code = code.replace(before, after)
        exec(code, space)
    page = Path("my-system.html")
    return page.read_text(encoding="utf-8") if page.exists() else None


def paused(gaps):
    """A trace of one's own that varies a little, as real ones do."""
    jitter = np.random.default_rng(12).normal(0, 2e-4, 5000)
    steps = 0.01 + np.diff(jitter, prepend=0)
    for at, extra in gaps:
        steps[at] += extra
    return ac.Trace(np.round(np.cumsum(steps) * 1e9).astype(np.int64), period=0.01, place="my machine")


@pytest.mark.parametrize("gaps", [(), tuple((at, 1.2) for at in range(1200, 5000, 300))], ids=["quiet", "paused"])
def test_the_whole_way_with_a_trace_of_ones_own(tmp_path, monkeypatch, capsys, gaps):
    monkeypatch.chdir(tmp_path)
    paused(gaps).write("mine.csv")
    page = run(True, "mine.csv")
    out, err = capsys.readouterr()
    assert err == ""
    assert re.findall(r"^12.\d .", out, re.MULTILINE) == ["12.4 ✓", "12.5 ✓", "12.6 ✓"]
    assert "<h1>The till: detection and recovery</h1>" in page
    assert "5,000 of mine.csv, every 0.01 s" in page
    assert ("Nothing passed by itself" in out) == (not gaps)
    assert ("A longer recording may say otherwise" in page) == (not gaps)


def test_the_whole_way_with_a_file_that_is_none(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    Path("diary.txt").write_text("Dear diary")
    page = run(True, "diary.txt")
    assert "diary.txt cannot be used: no trace" in capsys.readouterr().out
    assert "54,482 of paused, every 0.01 s" in page


@pytest.mark.parametrize(
    "answers",
    [
        [],
        [("detector, threshold = None, None", "detector, threshold = ac.FixedTimeout(period=0.01), None")],
        [("detector, threshold = None, None", "detector, threshold = ac.PhiNormal(window=1000), float('nan')")],
        [("detector, threshold = None, None", "detector, threshold = 'phi', 8"), ("wait = None", "wait = 1")],
        [
            ("detector, threshold = None, None", "detector, threshold = ac.FixedTimeout(period=0.01), 50"),
            ("wait = None", "wait = -1"),
        ],
        [
            ("detector, threshold = None, None", "detector, threshold = ac.FixedTimeout(period=0.01), 50"),
            ("wait = None", "wait = 1"),
        ],
    ],
    ids=["nothing", "no threshold", "nan", "a name", "a wait below 0", "nothing built"],
)
def test_whoever_has_not_answered_it_all_runs_it_all(tmp_path, monkeypatch, capsys, answers):
    monkeypatch.chdir(tmp_path)
    paused([(at, 1.2) for at in range(1200, 5000, 300)]).write("mine.csv")
    assert run(False, "mine.csv", answers) is None
    out, err = capsys.readouterr()
    assert "There is nothing to rehearse yet" in out
    assert err == ""


def test_the_page_is_of_what_was_chosen(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    paused([(at, 1.2) for at in range(1200, 5000, 300)]).write("mine.csv")
    answers = [
        ("best.detector, best.threshold", "ac.PhiExponential(window=500), 12.5"),
        ("wait = costs.best if chosen(detector, threshold) and len(learnt) else 0.0", "wait = 1.7"),
    ]
    page = run(True, "mine.csv", answers)
    for words in ("phi-exponential:window=500", "Phi = 12.5", "1.7 s"):
        assert f"<td class=text>{words}</td>" in page
