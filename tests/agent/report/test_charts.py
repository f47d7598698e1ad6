"""Charts as records, as figures of Plotly, and as images."""

from __future__ import annotations

import re
from xml.etree import ElementTree as ET

import pytest

from agent.report.chart import Axis, Bars, Chart, Line, Marker, bounds_of, columns, log_ticks
from agent.report.content import charts_of
from agent.report.interactive import figure, plotly_text, short
from agent.report.palette import LIGHT
from agent.report.static_image import image, inline_svg
from report_views import two_views, view

pytestmark = pytest.mark.system

LOG = Chart(
    "log",
    "Title",
    "Summary.",
    Axis("load", log=True),
    Axis("seconds", log=True),
    (Line("a", (1.0, 100.0), (0.02, None), "blue", (0.01, None), (0.03, None)),),
    markers=(Marker("limit", 0.5, vertical=False), Marker("here", 10.0)),
)
BARS = Chart(
    "bars",
    "Title",
    "Summary.",
    Axis("EUR", from_zero=True),
    Axis("", ("first", "second")),
    bars=(Bars("energy", (1.0, None), "orange"), Bars("capital", (2.0, 3.0), "blue", (1.0, 2.0), (3.0, 4.0))),
    horizontal=True,
)


@pytest.mark.parametrize(
    ("values", "ticks", "ends"),
    [
        ((3.0, 40.0), (2, 5, 10, 20, 50), (2, 50)),
        ((1.0, 100.0), (1, 2, 5, 10, 20, 50, 100), (1, 100)),
        ((0.013, 2400.0), (0.01, 0.1, 1, 10, 100, 1000), (0.01, 5000)),
        ((7.0,), (5, 10), (5, 10)),
    ],
)
def test_a_logarithmic_axis_has_round_ticks_and_ends_around_the_values(values, ticks, ends) -> None:
    assert log_ticks((*values, None, 0.0, -1.0)) == (pytest.approx(ticks), pytest.approx(ends))


def test_a_logarithmic_axis_needs_a_positive_value() -> None:
    assert log_ticks((None, 0.0, -3.0)) is None
    assert figure(Chart("k", "t", "s", Axis("x"), Axis("y", log=True)))["layout"]["yaxis"].get("type") is None


def test_error_bars_end_at_the_bounds_and_never_turn_around() -> None:
    assert bounds_of((2.0, 2.0, None), (1.5, 2.5, 1.0), (3.0, None, 4.0)) == ((0.5, 0.0, None), (1.0, None, None))


def test_the_table_of_a_chart_has_a_row_for_each_position() -> None:
    assert columns(LOG) == (("load", "a"), [(1.0, 0.02), (100.0, None)])
    assert columns(BARS) == (("", "energy", "capital"), [("first", 1.0, 2.0), ("second", None, 3.0)])


def test_a_figure_of_plotly_has_the_values_and_the_names_of_colors() -> None:
    found = figure(LOG)
    [line] = found["data"]
    assert (line["x"], line["y"]) == ([1.0, 100.0], [0.02, None])
    assert (line["error_y"]["array"], line["error_y"]["arrayminus"]) == ([0.01, None], [0.01, None])
    assert line["line"]["color"] == "var(--blue)"
    assert found["layout"]["yaxis"]["range"] == pytest.approx([-2.04, -0.26], abs=0.01)  # 0.01 to 0.5
    assert [shape["xref"] for shape in found["layout"]["shapes"] if "xref" in shape] == ["paper"]


def test_the_first_bar_of_a_horizontal_chart_is_on_top() -> None:
    found = figure(BARS)
    assert found["layout"]["yaxis"]["range"] == [1.5, -0.5]
    assert [bars["x"] for bars in found["data"]] == [[1.0, None], [2.0, 3.0]]


def test_plotly_shows_a_text_without_interpreting_it() -> None:
    assert plotly_text('<b>a</b> & $x$ "\u202e') == '&lt;b&gt;a&lt;/b&gt; &amp; &#36;x&#36; "\\u202e'
    assert short("n" * 40) == "n" * 27 + "…"


@pytest.mark.parametrize("chart", [LOG, BARS])
def test_an_image_is_svg_with_its_title_or_png(chart: Chart) -> None:
    svg = image(chart, "svg")
    assert ET.fromstring(svg).tag.endswith("svg")
    assert b">Title</text>" in svg
    assert image(chart, "png").startswith(b"\x89PNG")
    assert image(chart, "svg") == svg


def test_the_image_in_a_page_has_the_colors_of_its_theme_and_ids_of_its_own() -> None:
    svg = inline_svg(LOG)
    ET.fromstring(svg)
    assert svg.startswith("<svg")
    assert "var(--blue)" in svg
    assert not [color for color in LIGHT.values() if color in svg]
    assert {each[:4] for each in re.findall(r'(?:\bid="|url\(#|href="#)(.{4})', svg)} == {"log-"}


def test_every_chart_of_a_report_is_drawn_alike_as_image_and_as_figure() -> None:
    for views in ((view(),), two_views()):
        for chart in (chart for charts in charts_of(views).values() for chart in charts):
            texts = "".join(ET.fromstring(inline_svg(chart)).itertext())
            names = [bars.name for bars in chart.bars] + [line.name for line in chart.lines]
            assert [trace["name"] for trace in figure(chart)["data"]][: len(names)] in (
                names,
                names[::-1],
                [line.name for line in chart.lines] + [bars.name for bars in chart.bars],
            )
            if len(names) > 1:
                assert [name for name in names if short(name) not in texts] == []
