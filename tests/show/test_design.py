"""The page of the capstone: every figure on it by another road, and words for what is not ready."""

import json
import math
import re
import xml.etree.ElementTree as ET
from base64 import b64decode
from html.parser import HTMLParser

import numpy as np
import pytest

import accrual as ac
from accrual.show.design import make_design
from accrual.show.health import Rehearsal
from accrual.show.report import Subject

pytest.importorskip("matplotlib", reason="pip install accrual[lessons]")

NS = 10**9
FIXED = ac.FixedTimeout(period=0.1)
DONE = Rehearsal(needless=1, averted=3, promoted_after=1.4, order=("fence", "promote"), observed=90.0)
PRICES = {"failover": 0.5, "penalty": 10.0, "permanent": 0.05}


class Rows(HTMLParser):
    """The cells of each table row, and the text of the whole."""

    def __init__(self, text):
        super().__init__()
        self.rows, self.text, self.heads, self._in = [], "", [], ""
        self.feed(text)

    def handle_starttag(self, tag, attributes):
        self._in = tag
        if tag == "tr":
            self.rows.append([])
        if tag in ("td", "th"):
            self.rows[-1].append("")
        if tag in ("h1", "h2"):
            self.heads.append("")

    def handle_endtag(self, tag):
        self._in = ""

    def handle_data(self, data):
        self.text += data
        if self._in in ("td", "th"):
            self.rows[-1][-1] += data
        if self._in in ("h1", "h2"):
            self.heads[-1] += data

    def __getitem__(self, first):
        return next(rest[0] for name, *rest in filter(None, self.rows) if name == first)


def trace(gaps=()):
    """A heartbeat every 100 ms exactly, 4,000 of them, with longer gaps before some."""
    steps = np.full(4000, NS // 10, np.int64)
    for at, extra in gaps:
        steps[at] += round(extra * NS)
    return ac.Trace(np.cumsum(steps), period=0.1, place="here")


GAPS = ((1200, 1.0), (1500, 2.0), (2500, 1.0), (3000, 1.0), (3300, 3.0))


def design(gaps=GAPS, done=DONE, wait=1.2, label="Till", **more):
    subject = Subject(label, "till.parquet", 1, "abc", trace(gaps))
    return make_design(subject, FIXED, 5, wait, done, wanted=0.5, **(PRICES | more))


def test_figures_are_those_of_the_second_half():
    made = design()
    # Suspected once 0.5 s are over: a gap of 0.1 + x lasts x - 0.4 under suspicion.
    assert [found.tolist() for found in made.lasted] == [pytest.approx([0.6, 1.6]), pytest.approx([0.6, 0.6, 2.6])]
    assert made.judged.mistakes == 3
    assert made.recovery == pytest.approx(0.5 + 1.2 + 0.5)
    page = Rows(made.report().to_html())
    assert page.heads[0] == "Till: detection and recovery"
    assert page["detector"] == "fixed-timeout:period=0.1"
    assert page["threshold"] == "k = 5"
    assert page["wait before a backup is promoted"] == "1.2 s"
    assert page["order"] == "fence, then promote"
    assert page["detection time, mean"] == "0.5 s (0.5 s asked for)"
    seconds = made.judged.observed
    assert seconds == pytest.approx(2000 * 0.1 + 5, abs=0.2)
    assert page["mistakes of the detector"] == f"3 in {seconds:.0f} s, {3 * 3600 / seconds:.3g} an hour"
    assert page["failovers without need, rehearsed"] == "1 in 90 s, 40 an hour"
    assert page["suspicions that the wait averted, rehearsed"] == "3"
    assert page["last heartbeat to promotion, rehearsed"] == "1.4 s"
    assert page["crash until served again, expected mean"] == "2.2 s"


def test_the_cost_of_the_wait_by_hand():
    page = Rows(design().report().to_html())
    [*_, first] = [row for row in page.rows if row and row[0] == "first half, chosen on"]
    [*_, second] = [row for row in page.rows if row and row[0] == "second half, judged by"]
    at_once = 0.5 + 10
    # Of the first half's outages 0.6 s passes within 1.2 s, 1.6 s does not; 5 % never do.
    with_wait = 0.95 * (0.6 / 2 + (1.2 + at_once) / 2) + 0.05 * (1.2 + at_once)
    best = 0.95 * (0.6 + 1.6) / 2 + 0.05 * (1.6 + at_once)
    assert first[1:] == [f"{at_once:.3g} s", f"{with_wait:.3g} s", f"{best:.3g} s, with a wait of 1.6 s"]
    with_wait = 0.95 * (2 * 0.6 / 3 + (1.2 + at_once) / 3) + 0.05 * (1.2 + at_once)
    best = 0.95 * (0.6 * 2 + 2.6) / 3 + 0.05 * (2.6 + at_once)
    assert second[1:] == [f"{at_once:.3g} s", f"{with_wait:.3g} s", f"{best:.3g} s, with a wait of 2.6 s"]


def test_what_it_rests_on_and_what_the_fence_does_is_said():
    text = Rows(design().report().to_html()).text
    for words in (
        "4,000 of till.parquet, every 0.1 s",
        "the first 2,000",
        "Takes 0.5 s, and costs as much as 10 s of outage besides. Assumed",
        "5% of all outages never end by themselves",
        "there are never two primaries",
        "Where the fence fails, nobody is promoted",
        "Acknowledged writes that the backup never received are lost",
        "what accrual report makes of the whole trace",
    ):
        assert words in re.sub(r"\s+", " ", text)


def test_nothing_seen_is_no_rate_of_zero():
    quiet = Rehearsal(needless=0, averted=0, promoted_after=0.5, order=("fence", "promote"), observed=100.0)
    made = design((), quiet, wait=0)
    page = Rows(made.report().to_html())
    assert page["failovers without need, rehearsed"] == "0 in 100 s, so fewer than 108 an hour (95 %)"
    assert "so fewer than" in page["mistakes of the detector"]
    assert page["a mistake lasts"] == "none was seen"
    assert "A longer recording may say otherwise." in page.text
    assert "promoted at once" in made.in_short()
    assert "In the rehearsal: no needless failover in 100 s" in made.in_short()
    one_sided = design(((1200, 1.0),), quiet)
    assert "first half, chosen on" in one_sided.report().to_html()
    assert "second half, judged by" not in one_sided.report().to_html()


@pytest.mark.parametrize(
    ("after", "said", "row"),
    [(math.nan, "broken off there", "broken off"), (math.inf, "nobody was promoted", "never")],
)
def test_a_design_that_is_not_ready_says_so(after, said, row):
    done = Rehearsal(needless=20, averted=0, promoted_after=after, order=(), observed=50.0)
    made = design(done=done)
    assert said in made.in_short()
    assert "not ready" in made.in_short()
    page = Rows(made.report().to_html())
    assert page["last heartbeat to promotion, rehearsed"] == row
    assert page["order"] == "nothing was called"
    json.dumps(made.report().to_dict(), allow_nan=False)


def test_the_page_is_a_report_like_any_other(tmp_path):
    made = design(label='"><script>alert(1)</script>')
    made.write(tmp_path / "page.html")
    text = (tmp_path / "page.html").read_text(encoding="utf-8")
    assert "<script" not in text
    assert text == made.report().to_html()  # equal input, equal files
    known = made.report().to_dict()
    assert known["design"]["detector"] == "fixed-timeout:period=0.1"
    assert known["traces"][0]["sha256"] == "abc"
    assert [curve["detector"] for curve in known["traces"][0]["curves"]] == ["fixed-timeout:period=0.1", "phi-normal"]
    pictures = re.findall(r'src="data:image/svg\+xml;base64,([^"]+)"', text)
    assert [ET.fromstring(b64decode(one)).tag[-3:] for one in pictures] == ["svg", "svg"]
    assert text.index("In short") < text.index("What the fence guarantees") < text.index('id="input"')
    links = set(re.findall(r'href="#([^"]+)"', text))
    assert links <= set(re.findall(r'id="([^"]+)"', text))
    assert "prefers-color-scheme: dark" in text


def test_the_chosen_detector_is_among_those_of_the_evidence():
    subject = Subject("t", "t", 1, "", trace(GAPS))
    made = make_design(subject, ac.Chen(window=50), 0.4, 1, DONE, **PRICES)
    names = [one["detector"] for one in made.report().to_dict()["traces"][0]["curves"]]
    assert names == ["chen:window=50", "fixed-timeout:period=0.1", "phi-normal"]


@pytest.mark.parametrize("wait", [-1, math.nan, math.inf])
def test_bad_waits(wait):
    with pytest.raises(ValueError, match="wait must be 0 s or more"):
        design(wait=wait)


def test_other_bad_input():
    with pytest.raises(ValueError, match="threshold must be a number"):
        make_design(Subject("t", "t", 1, "", trace()), FIXED, math.nan, 1, DONE, **PRICES)
    with pytest.raises(ValueError, match="permanent must be from 0 to 1"):
        design(permanent=2).report()
