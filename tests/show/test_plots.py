import os
import re
import sys
import xml.etree.ElementTree as ET

import numpy as np
import pytest

import accrual as ac

pytest.importorskip("matplotlib", reason="pip install accrual[lessons]")

from matplotlib.colors import to_hex
from matplotlib.figure import Figure

from accrual.show import plots


@pytest.fixture(scope="module")
def trace():
    """Heartbeats 0.1 s apart with jitter, and two pauses."""
    intervals = np.random.default_rng(7).normal(0.1, 0.01, 2000)
    intervals[[500, 1500]] += 0.45
    return ac.Trace(np.cumsum(np.round(intervals * 1e9)), period=0.1)


@pytest.fixture(scope="module")
def curves(trace):
    thresholds = [3, 1, 5, 2, 8]  # in any order; two mistakes up to 5 periods, none at 8
    return [
        ac.curve(trace, ac.PhiNormal(window=100), [0.5, 1, 2, 4]),
        ac.curve(trace, ac.FixedTimeout(period=0.1), thresholds),
    ]


@pytest.fixture
def ax():
    return Figure().subplots()


def lines(ax, marker):
    return [line for line in ax.lines if (line.get_marker() == "v") == (marker == "v")]


def test_lines_are_the_curves_by_rising_threshold(ax, curves):
    plots.draw_curves(ax, curves)
    phi, fixed = lines(ax, "o")
    assert phi.get_xdata().tolist() == curves[0].detection_time.tolist()
    assert phi.get_ydata().tolist() == curves[0].mistake_rate.tolist()
    order = [1, 3, 0, 2]  # 1, 2, 3, 5; 8 has no mistake
    assert fixed.get_xdata().tolist() == curves[1].detection_time[order].tolist()
    assert fixed.get_ydata().tolist() == curves[1].mistake_rate[order].tolist()


def test_what_saw_no_mistake_is_an_open_triangle_at_the_bound(ax, curves):
    plots.draw_curves(ax, curves)
    *bounds, legend = lines(ax, "v")
    assert [len(line.get_xdata()) for line in bounds] == [0, 1]
    [time], [rate] = bounds[1].get_data()
    assert (time, rate) == (curves[1].detection_time[4], 3.0 / curves[1].observed[4])
    assert {line.get_fillstyle() for line in [*bounds, legend]} == {"none"}
    assert {line.get_linestyle() for line in [*bounds, legend]} == {"None"}
    assert "upper bound" in legend.get_label()


def test_scales_labels_and_legend(ax, curves):
    plots.draw_curves(ax, curves)
    assert (ax.get_xscale(), ax.get_yscale()) == ("log", "log")
    assert "[s]" in ax.get_xlabel()
    assert "[1/s]" in ax.get_ylabel()
    assert [text.get_text() for text in ax.get_legend().get_texts()] == [
        "phi-normal:window=100, Φ = 0.5 to 4",
        "fixed-timeout:period=0.1, k = 1 to 8",
        "no mistake seen: 95 % upper bound",
    ]


def test_detection_times_are_plain_numbers(ax, trace):
    plots.draw_curves(ax, [ac.curve(trace, ac.FixedTimeout(period=0.1), [0.2, 1, 3])])
    ax.figure.draw_without_rendering()
    labels = {label.get_text() for label in [*ax.get_xticklabels(), *ax.get_xticklabels(minor=True)]}
    assert labels >= {"0.02", "0.1", "0.2"}


def test_curves_differ_by_more_than_colour(ax, curves):
    plots.draw_curves(ax, [*curves, *curves])
    drawn = lines(ax, "o")
    assert [line.get_linestyle() for line in drawn] == ["-", "--", "-", "--"]
    assert len({line.get_marker() for line in drawn}) == len({to_hex(line.get_color()) for line in drawn}) == 4


def test_more_curves_than_colours(ax, curves):
    plots.draw_curves(ax, curves[:1] * 20)
    assert len(lines(ax, "o")) == 20


@pytest.mark.parametrize("thresholds", [[float("inf")], [1, float("inf")], [0, 1], [0]])
def test_what_logarithms_have_no_room_for_is_left_out(ax, trace, thresholds):
    curve = ac.curve(trace, ac.FixedTimeout(period=0.1), thresholds)
    plots.draw_curves(ax, [curve])
    ax.figure.draw_without_rendering()
    assert sum(len(line.get_xdata()) for line in ax.lines) == len(thresholds) - 1
    text = plots.describe_curves([curve])
    assert ("in 0.1 s" in text) == (1 in thresholds)
    assert ("no detection time" in text) == (1 not in thresholds)


def test_nothing_to_draw(ax):
    plots.draw_curves(ax, [])
    ax.figure.draw_without_rendering()
    assert ax.get_legend() is None


def test_description_has_the_figures(curves):
    text = plots.describe_curves(curves)
    for word in ("mistake rate", "detection time", "logarithmic", "phi-normal:window=100", "fixed-timeout:period=0.1"):
        assert word in text.lower()
    phi, fixed = curves
    assert f"{phi.mistake_rate[0]:.3g} mistakes a second with detection in {phi.detection_time[0]:.3g} s" in text
    assert f"at most {3.0 / fixed.observed[4]:.3g} a second" in text
    assert text.endswith(f"from detection in {fixed.detection_time[4]:.3g} s on, at k = 8.")


def test_description_of_one_point(trace):
    text = plots.describe_curves([ac.curve(trace, ac.FixedTimeout(period=0.1), [1])])
    assert text.count("mistakes a second") == 1


@pytest.mark.parametrize(("ending", "magic"), [(".png", b"\x89PNG"), (".svg", b"<?xml"), (".pdf", b"%PDF")])
def test_files(tmp_path, curves, ending, magic):
    first, second = tmp_path / f"first{ending}", tmp_path / f"second{ending}"
    for path in (first, second):
        plots.write_curves(path, curves, "two $ignals")
    assert first.read_bytes().startswith(magic)
    assert first.read_bytes() == second.read_bytes()
    assert sorted(os.listdir(tmp_path)) == [first.name, second.name]


def test_a_picture_carries_its_description(tmp_path, curves):
    path = tmp_path / "curves.svg"
    plots.write_curves(path, curves, "five & more")
    root = ET.parse(path).getroot()
    texts = {element.tag.rpartition("}")[2]: element.text for element in root.iter()}
    assert root.find("{http://www.w3.org/2000/svg}title").text == "five & more"
    assert texts["description"] == plots.describe_curves(curves)
    # Text is text, not outlines.
    assert any("95 % upper bound" in (element.text or "") for element in root.iter())


def test_a_failure_leaves_nothing_behind(tmp_path, curves, monkeypatch):
    path = tmp_path / "curves.png"
    path.write_bytes(b"the old one")

    def break_off(figure, stream, **kwargs):
        stream.write(b"half of it")
        raise KeyboardInterrupt

    monkeypatch.setattr(Figure, "savefig", break_off)
    with pytest.raises(KeyboardInterrupt):
        plots.write_curves(path, curves, "title")
    assert os.listdir(tmp_path) == ["curves.png"]
    assert path.read_bytes() == b"the old one"


def test_another_ending(tmp_path, curves):
    with pytest.raises(ValueError, match=re.escape(".png, .svg, .pdf")):
        plots.write_curves(tmp_path / "curves.gif", curves, "title")
    assert os.listdir(tmp_path) == []


def test_without_matplotlib(tmp_path, curves, monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    with pytest.raises(ImportError, match=re.escape("pip install accrual[lessons]")):
        plots.write_curves(tmp_path / "curves.png", curves, "title")
    assert os.listdir(tmp_path) == []


def test_pyplot_is_left_alone(tmp_path, curves, monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib.pyplot", None)  # its import would fail
    plots.write_curves(tmp_path / "curves.png", curves, "title")


# ---- the intervals of a trace ----------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def description(trace):
    return ac.describe(trace)


def test_a_picture_of_a_trace_shows_its_intervals(description, trace):
    along, lengths = plots.trace_figure(description, "a $trace").axes
    assert along.get_title(loc="left") == "a $trace"
    mean, most = along.lines
    assert mean.get_xdata().tolist() == most.get_xdata().tolist() == description.picture.time.tolist()
    assert max(most.get_ydata()) == np.diff(trace.arrivals).max() / 1e9
    [stairs] = lengths.patches
    assert stairs.get_data().values.sum() == len(trace) - 1
    assert (along.get_yscale(), lengths.get_xscale()) == ("log", "log")


@pytest.mark.parametrize("arrivals", [[], [5], [5, 5, 5], [5, 5, 9], [9, 5]])
def test_traces_that_a_logarithmic_scale_has_no_room_for(arrivals):
    plots.trace_figure(ac.describe(arrivals), "few").draw_without_rendering()


@pytest.mark.parametrize("ending", [".png", ".svg", ".pdf"])
def test_files_of_a_trace(tmp_path, description, ending):
    first, second = tmp_path / f"first{ending}", tmp_path / f"second{ending}"
    for path in (first, second):
        plots.write_trace(path, description, "two")
    assert first.read_bytes() == second.read_bytes()
    assert sorted(os.listdir(tmp_path)) == [first.name, second.name]


def test_a_picture_of_a_trace_carries_its_description(tmp_path, description):
    plots.write_trace(tmp_path / "trace.svg", description, "a trace")
    texts = {element.tag.rpartition("}")[2]: element.text for element in ET.parse(tmp_path / "trace.svg").iter()}
    assert texts["description"] == repr(description)
    with pytest.raises(ValueError, match=re.escape(".png, .svg, .pdf")):
        plots.write_trace(tmp_path / "trace.gif", description, "a trace")


# ---- comparisons and calibrations ----


@pytest.fixture(scope="module")
def comparison(trace):
    return ac.compare(trace, [ac.PhiNormal(window=100), ac.Empirical(window=100)], [0.12, 0.2, 0.9])


@pytest.fixture(scope="module")
def calibrations(trace):
    return [ac.calibration(trace, d, [1, 2, 3, 5]) for d in (ac.PhiNormal(window=20), ac.PhiStudent(window=20))]


def bars(ax):
    """Markers with their intervals."""
    return [(line.get_xydata(), np.array(list(bar[0].get_segments()))) for line, _, bar in ax.containers]


def test_a_comparison_has_each_rate_and_its_interval(ax, comparison):
    plots.draw_comparison(ax, comparison)
    for detector, (points, intervals) in zip(comparison.detectors, bars(ax), strict=True):
        rows = [r for r in comparison.rows if r.detector == detector and r.qos is not None and r.qos.mistakes]
        np.testing.assert_allclose(points[:, 1], [row.qos.mistake_rate for row in rows])
        groups = np.round(points[:, 0]).astype(int)
        assert [comparison.detection_times[k] for k in groups] == [row.wanted for row in rows]
        np.testing.assert_allclose(intervals[:, 0, 1], [row.rate_low for row in rows], atol=1e-12)
        np.testing.assert_allclose(intervals[:, 1, 1], [row.rate_high for row in rows])
    triangles = [y for line in lines(ax, "v") for y in line.get_ydata()]
    assert triangles == [row.rate_high for d in comparison.detectors for row in comparison.rows
                         if row.detector == d and row.qos is not None and not row.qos.mistakes]  # fmt: skip
    assert ax.get_yscale() == "log"
    assert [label.get_text() for label in ax.get_xticklabels()] == ["0.12", "0.2", "0.9"]


def test_a_comparison_in_words(comparison):
    text = plots.describe_comparison(comparison)
    for row in comparison.rows:
        if row.qos is None:
            assert f"{row.detector} {row.refused}" in text
        elif row.qos.mistakes:
            assert f"{row.detector} {row.qos.mistake_rate:.3g} ({row.rate_low:.3g} to {row.rate_high:.3g})" in text
        else:
            assert f"{row.detector} below {row.rate_high:.3g}" in text


def test_a_comparison_of_nothing(ax, trace):
    sent = ac.Trace(trace.arrivals, sent=trace.arrivals - 10**7)  # no detection within the time under way
    plots.draw_comparison(ax, ac.compare(sent, [ac.Empirical(window=100)], 1e-3))
    assert ax.get_yscale() == "linear"  # matplotlib cannot draw a logarithmic scale of nothing


def test_a_reliability_plot(ax, calibrations):
    plots.draw_calibrations(ax, calibrations)
    for found, (points, intervals) in zip(calibrations, bars(ax), strict=True):
        seen = found.late > 0
        np.testing.assert_allclose(points, np.stack([found.promised[seen], found.share[seen]], axis=1))
        np.testing.assert_allclose(intervals[:, 1, 1], found.high[seen])
    [diagonal] = [line for line in ax.lines if line.get_label() == "promise kept"]
    np.testing.assert_array_equal(diagonal.get_xdata(), diagonal.get_ydata())


def test_a_reliability_plot_in_words(calibrations):
    text = plots.describe_calibrations(calibrations)
    for found in calibrations:
        assert f"{found.detector}: Phi = 1 promises 0.1, {found.share[0]:.3g} were late" in text


@pytest.mark.parametrize("ending", plots.FORMATS)
def test_their_files(tmp_path, comparison, calibrations, ending):
    for write, what in ((plots.write_comparison, comparison), (plots.write_calibrations, calibrations)):
        paths = [tmp_path / f"{write.__name__}{k}{ending}" for k in range(2)]
        for path in paths:
            write(path, what, "a $ title")
        assert paths[0].read_bytes() == paths[1].read_bytes()
        assert len(paths[0].read_bytes()) > 1000
