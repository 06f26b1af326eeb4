"""A report is one file for everyone: structure for screen readers, nothing to fetch, nothing that names can break."""

import base64
import json
import os
import re
import xml.etree.ElementTree as ET
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest

import accrual as ac
from accrual.cli import main
from accrual.show.report import Subject, make_report

pytest.importorskip("matplotlib", reason="pip install accrual[lessons]")

HOSTILE = '"><script>alert(1)</script><img src=x onerror=alert(2)>&amp;$x_1$\x1b[31m\udcff'
VOID = {"meta", "img", "br", "link", "input"}


class Document(HTMLParser):
    """A document as a list of elements, each with its attributes, its ancestors and the text right in it."""

    def __init__(self, text):
        super().__init__()
        self.elements, self._open = [], []
        self.feed(text)
        self.close()
        assert self._open == [], "elements that are not closed"

    def handle_starttag(self, tag, attributes):
        element = {"tag": tag, "in": [outer["tag"] for outer in self._open], "text": "", **dict(attributes)}
        self.elements.append(element)
        if tag not in VOID:
            self._open.append(element)

    def handle_endtag(self, tag):
        assert self._open.pop()["tag"] == tag

    def handle_data(self, data):
        for element in self._open:
            element["text"] += data

    def all(self, *tags):
        return [element for element in self.elements if element["tag"] in tags]


@pytest.fixture(scope="module")
def trace():
    intervals = np.random.default_rng(7).normal(0.1, 0.01, 2000)
    intervals[[500, 1500]] += 0.45
    arrivals = np.cumsum(np.round(intervals * 1e9).astype(np.int64))
    return ac.Trace(arrivals, sequence=np.arange(2000), period=0.1, synthetic={"seed": 7}, place="here")


@pytest.fixture(scope="module")
def made(trace):
    subjects = [Subject("first", "a.csv", 1, "abc123", trace), Subject("short", "b.csv", 1, "def456", trace[:20])]
    return make_report(subjects, ["phi:window=100", "fixed", "chen:window=50"], [1.5, 2, 3, 5])


@pytest.fixture(scope="module")
def document(made):
    return Document(made.to_html())


def test_detectors_are_compared_at_equal_detection_time(made, document, trace):
    [chapter] = made.chapters
    found = ac.compare(trace, [curve.detector for curve in chapter.curves], skip=chapter.skip)
    assert chapter.to_dict()["comparison"] == found.to_dict()
    captions = [element["text"] for element in document.all("caption")]
    assert [found.title(time) for time in found.detection_times] == [c for c in captions if c.startswith("equal mean")]
    cells = [element["text"] for element in document.all("td")]
    for row in found.rows:
        assert (row.refused if row.qos is None else f"{row.qos.mistakes:,}") in cells


def test_where_there_is_nothing_to_compare_the_curves_stand(made):
    [chapter] = make_report([Subject("still", "b.csv", 1, "", ac.Trace([5] * 300))], ["phi:window=100"]).chapters
    assert isinstance(chapter.comparison, str)
    assert len(chapter.curves) == 1


@pytest.fixture
def accrual(capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)

    def run(*arguments):
        status = main(["report", *map(str, arguments)])
        return status, *capsys.readouterr()

    return run


def test_structure_for_those_who_listen(document):
    [page] = document.all("html")
    assert page["lang"] == "en"
    assert document.all("title")[0]["text"] == "Failure detectors on first"
    levels = [int(heading["tag"][1]) for heading in document.all("h1", "h2", "h3")]
    assert levels.count(1) == levels[0] == 1
    assert max(np.diff(levels)) == 1  # none is left out
    assert len(document.all("table")) == len(document.all("caption")) >= 5
    assert {cell["scope"] for cell in document.all("th")} == {"col", "row"}
    for cell in document.all("th"):
        assert cell["scope"] == ("col" if "thead" in cell["in"] else "row")
    ids = [element["id"] for element in document.elements if "id" in element]
    assert len(set(ids)) == len(ids)
    assert {link["href"] for link in document.all("a")} <= {f"#{name}" for name in ids}


def test_pictures_are_inside_and_have_words(document, made):
    [picture] = document.all("img")
    kind, _, data = picture["src"].partition(",")
    assert kind == "data:image/svg+xml;base64"
    assert ET.fromstring(base64.b64decode(data)).tag.endswith("svg")
    assert picture["alt"].startswith("Mistake rate against mean worst-case detection time")
    for curve in made.chapters[0].curves:
        assert f"{curve.detector}: " in picture["alt"]


def test_nothing_is_fetched_and_nothing_runs(document, made):
    assert document.all("script", "link", "iframe", "object", "form") == []
    assert not re.search(r"""(?:src|href|url\()\s*=?\s*["']?\s*(?:https?:|//)""", made.to_html())
    policy = [meta["content"] for meta in document.all("meta") if meta.get("http-equiv") == "Content-Security-Policy"]
    assert policy == ["default-src 'none'; img-src data:; style-src 'unsafe-inline'"]


def test_figures_are_those_of_curve(document, made, trace):
    expected = ac.curve(trace, ac.PhiNormal(window=100), [1.5, 2, 3, 5], skip=100)
    [chapter] = made.chapters
    assert chapter.skip == 100
    assert chapter.curves[0].to_dict() == expected.to_dict()
    rows = [row["text"] for row in document.all("tr") if "tbody" in row["in"]]
    assert any(row.startswith(f"1.5{expected.detection_time[0]:#.4g}{expected.mistakes[0]}") for row in rows)
    assert "@media print" in made.to_html()


def test_no_mistake_is_no_rate_of_zero(document, made):
    [chapter] = made.chapters
    upper = 3 / chapter.typical[0][0].observed
    fixed = next(row["text"] for row in document.all("tr") if row["text"].startswith("fixed-timeout:period=0.1k = 5"))
    assert (chapter.typical[1].mistakes[0] == 0) == ("< " in fixed)
    rows = [row["text"] for row in document.all("tr") if f"< {upper:#.4g}" in row["text"]]
    assert rows


def test_what_it_rests_on_is_told(document, made, trace):
    terms = dict(zip((e["text"] for e in document.all("dt")), (e["text"] for e in document.all("dd")), strict=True))
    assert terms["SHA-256"] == "abc123"
    assert (terms["seed"], terms["place"]) == ("7", "here")
    assert (terms["accrual"], terms["NumPy"]) == (ac.__version__, np.__version__)
    assert terms["detectors"] == '["phi:window=100", "fixed", "chen:window=50"]'
    assert terms["thresholds"] == "[1.5, 2.0, 3.0, 5.0]"
    assert terms["skip"] == "where the windows of all detectors are full"
    known = json.loads(json.dumps(made.to_dict(), allow_nan=False))
    assert known["traces"][0]["sha256"] == "abc123"
    assert known["traces"][0]["about"] == trace.about
    assert known["failures"] == [
        {"trace": "short", "reason": "too short: 20 heartbeats never fill the window of phi-normal:window=100"}
    ]
    failed = next(row["text"] for row in document.all("tr") if row["text"].startswith("short"))
    assert "too short" in failed


def test_equal_input_makes_equal_files(made):
    assert made.to_html() == made.to_html()


def test_names_are_never_markup(trace, tmp_path):
    """Of a trace, of what it says about itself, whatever they hold."""
    hostile = ac.Trace(trace.arrivals, period=0.1, **{HOSTILE: HOSTILE, "title": HOSTILE, "deep": {HOSTILE: [HOSTILE]}})
    made = make_report([Subject(HOSTILE, HOSTILE, 1, HOSTILE, hostile)], ["phi:window=100"], [2, 5])
    made.write(tmp_path / "r.html")
    text = (tmp_path / "r.html").read_text(encoding="utf-8")
    document = Document(text)
    assert document.all("script") == []
    assert len(document.all("img")) == 1
    assert not any(name.startswith("on") for element in document.elements for name in element)
    assert "\x1b" not in text
    assert "<script>alert(1)</script>" in document.all("h2")[1]["text"]  # to be read, as it is written
    json.dumps(made.to_dict())


def test_long_words_of_a_trace_are_cut(trace):
    endless = ac.Trace(trace.arrivals, period=0.1, noise="x" * 100_000)
    made = make_report([Subject("t", "t", 1, "", endless)], ["phi:window=100"], [2])
    assert "(100,000 characters)" in made.to_html()
    assert "x" * 1000 not in made.to_html()


def test_the_command(accrual, trace):
    trace.write("a.csv")
    trace[:1500].write("b.csv")
    arguments = ("a.csv", "b.csv", "--detector", "phi:window=100", "--detector", "fixed", "-o", "r.html")
    status, out, err = accrual(*arguments, "--data", "r.json")
    assert (status, out, err) == (0, "r.html: 2 traces, 2 detectors\n", "")
    assert [h["text"] for h in Document(Path("r.html").read_text()).all("h2")][1:3] == ["a.csv", "b.csv"]
    known = json.loads(Path("r.json").read_text())
    assert [entry["heartbeats"] for entry in known["traces"]] == [2000, 1500]
    found = ac.study("a.csv", ["phi:window=100"], threads=1)
    assert known["traces"][0]["sha256"] == found.scores[0].sha256
    assert known["traces"][0]["curves"][0]["mistakes"] == found.scores[0].points["mistakes"]
    before = Path("r.html").read_bytes()
    assert json.loads(accrual(*arguments, "--json")[1]) == known
    assert Path("r.html").read_bytes() == before


def test_the_command_on_a_session_and_a_dataset(accrual):
    pytest.importorskip("pyarrow")
    reply = "64 bytes from 192.0.2.1: icmp_seq={} ttl=64 time=12.5 ms\n"
    Path("ping.log").write_text(("PING host (192.0.2.1): 56 data bytes\n" + "".join(map(reply.format, range(90)))) * 2)
    status, _, err = accrual("ping.log", "idle", "--detector", "fixed", "--thresholds", "2,3", "-o", "r.html")
    assert (status, err) == (0, "")
    heads = [h["text"] for h in Document(Path("r.html").read_text()).all("h2")]
    assert heads[1:4] == ["ping.log session 1", "ping.log session 2", "idle"]
    assert ac.datasets()["idle"].sha256 in Path("r.html").read_text()


def test_one_bad_trace_does_not_stop_the_report(accrual, trace):
    trace.write("a.csv")
    trace[:9].write("short.csv")
    Path("rubbish.csv").write_text("rubbish")
    arguments = ("--detector", "phi:window=100", "--thresholds", "2", "-o", "r.html")
    status, out, err = accrual("rubbish.csv", "a.csv", "missing", "short.csv", *arguments)
    assert (status, out) == (1, "r.html: 1 trace, 1 detector\n")
    assert len(err.splitlines()) == 3
    before = Path("r.html").read_bytes()
    status, out, err = accrual("missing", *arguments)
    assert (status, out, len(err.splitlines())) == (1, "", 1)
    assert Path("r.html").read_bytes() == before


def test_bad_usage(accrual, trace):
    trace.write("a.csv")
    for arguments, word in (
        (("a.csv",), "--out"),
        (("a.csv", "-o", "r.pdf"), "r.pdf"),
        (("a.csv", "-o", "r.html", "--data", "r.txt"), "r.txt"),
        (("a.csv", "-o", "r.html", "--thresholds", "nan"), "nan"),
        (("a.csv", "-o", "r.html", "--skip", "-1"), "skip"),
        (("a.csv", "-o", "r.html", "--detector", "nonsense"), "nonsense"),
    ):
        status, out, err = accrual(*arguments)
        assert (status, out, len(err.splitlines())) == (2, "", 1)
        assert word in err
    assert accrual("a.csv", "--detector", "fixed", "-o", "nowhere/r.html")[0] == 1
    assert os.listdir() == ["a.csv"]
