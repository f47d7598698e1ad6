"""Charts as figures of Plotly; a color is the name of a CSS variable, which the script of the page resolves."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from agent.report.chart import bounds_of, log_ticks
from agent.runtime.console import printable_line

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from agent.report.chart import Axis, Bars, Chart, Line, Values

_Figure = dict[str, Any]
_LONGEST_NAME = 28
_MARGIN = 0.04
"""The decades beyond the ends of a logarithmic axis."""
_MARKS = {"&": "&amp;", "<": "&lt;", ">": "&gt;", "$": "&#36;"}
"""The characters with a meaning for Plotly: tags, entities, and formulas."""


def figure(chart: Chart) -> _Figure:
    """Return the data and the layout of a chart for `Plotly.newPlot`."""
    bands = dict.fromkeys((band.name, band.color) for band in chart.bands)
    traces = [*map(_line, chart.lines), *(_bars(each, horizontal=chart.horizontal) for each in chart.bars)]
    traces += [_band_entry(name, color) for name, color in bands]
    places, values = extent(chart)
    layout: _Figure = {
        "xaxis": _axis(chart.x, places),
        "yaxis": _axis(chart.y, values),
        "barmode": "stack",
        "showlegend": len(traces) > 1,
        "shapes": [*_bands(chart), *_markers(chart)],
        "annotations": _labels(chart),
    }
    if chart.horizontal:  # the first name on top
        layout["yaxis"]["range"] = layout["yaxis"]["range"][::-1]
    layout["yaxis" if chart.horizontal else "xaxis"]["showgrid"] = False
    return {"data": traces, "layout": layout}


def extent(chart: Chart) -> tuple[list[float], list[float | None]]:
    """Return the values that the axes must cover."""
    values = [value for line in chart.lines for value in (*line.y, *line.lower, *line.upper)]
    places = [x for line in chart.lines for x in line.x]
    values += [marker.value for marker in chart.markers if not marker.vertical]
    return places + [marker.value for marker in chart.markers if marker.vertical], values


def _line(line: Line) -> _Figure:
    mode = {(True, True): "lines+markers", (True, False): "lines", (False, True): "markers"}
    trace: _Figure = {
        "type": "scatter",
        "name": plotly_text(line.name),
        "x": _rounded(line.x),
        "y": _rounded(line.y),
        "mode": mode[line.connected, line.marked],
        "line": {"color": _color(line.color), "width": 2, "dash": "dash" if line.dashed else "solid"},
        "marker": {"color": _color(line.color), "size": 7},
    }
    if line.notes:
        trace["text"] = [plotly_text(note) for note in line.notes]
    if line.lower:
        trace["error_y"] = _errors(line.y, line.lower, line.upper, line.color)
    return trace


def _bars(bars: Bars, *, horizontal: bool) -> _Figure:
    places = list(range(len(bars.values)))
    values = _rounded(bars.values)
    trace: _Figure = {
        "type": "bar",
        "name": plotly_text(bars.name),
        "x": values if horizontal else places,
        "y": places if horizontal else values,
        "orientation": "h" if horizontal else "v",
        "marker": {"color": _color(bars.color)},
        "width": 0.6,
    }
    if bars.base:
        trace["base"] = _rounded(bars.base)
    if bars.lower:
        trace["error_x" if horizontal else "error_y"] = _errors(bars.values, bars.lower, bars.upper, "ink")
    return trace


def _band_entry(name: str, color: str) -> _Figure:
    """Return an empty trace, whose entry in the legend explains a band."""
    marker = {"color": _color(color), "size": 12, "symbol": "square"}
    return {"type": "scatter", "name": plotly_text(name), "x": [None], "y": [None], "mode": "markers", "marker": marker}


def _errors(values: Sequence[float | None], lower: Values, upper: Values, color: str) -> _Figure:
    below, above = bounds_of(values, lower, upper)
    return {
        "type": "data",
        "symmetric": False,
        "array": _rounded(above),
        "arrayminus": _rounded(below),
        "color": _color(color),
        "thickness": 1.5,
        "width": 5,
    }


def _axis(axis: Axis, values: Iterable[float | None]) -> _Figure:
    found: _Figure = {"title": {"text": plotly_text(axis.title)}, "automargin": True}
    if axis.names:
        names = [plotly_text(short(name)) for name in axis.names]
        return {**found, "tickvals": list(range(len(names))), "ticktext": names, "range": [-0.5, len(names) - 0.5]}
    if axis.log and (scale := log_ticks(values)):
        ticks, ends = scale
        found |= {"type": "log", "tickvals": ticks, "ticktext": [f"{tick:g}" for tick in ticks]}
        return {**found, "range": [math.log10(ends[0]) - _MARGIN, math.log10(ends[1]) + _MARGIN]}
    return {**found, "rangemode": "tozero" if axis.from_zero else "normal"}


def _bands(chart: Chart) -> list[_Figure]:
    common = {"type": "rect", "yref": "paper", "y0": 0, "y1": 1, "layer": "below", "line": {"width": 0}}
    return [
        {**common, "x0": round(band.start, 3), "x1": round(band.end, 3), "fillcolor": _color(band.color)}
        for band in chart.bands
    ]


def _markers(chart: Chart) -> list[_Figure]:
    shapes = []
    for marker in chart.markers:
        along, across = ("x", "y") if marker.vertical else ("y", "x")
        shapes.append(
            {
                "type": "line",
                f"{along}0": marker.value,
                f"{along}1": marker.value,
                f"{across}ref": "paper",
                f"{across}0": 0,
                f"{across}1": 1,
                "line": {"color": _color(marker.color), "width": 1.5, "dash": "dot"},
            }
        )
    return shapes


def _labels(chart: Chart) -> list[_Figure]:
    found = []
    for marker in chart.markers:
        log = (chart.x if marker.vertical else chart.y).log
        at = math.log10(marker.value) if log and marker.value > 0 else marker.value
        place: _Figure = (
            {"x": at, "yref": "paper", "y": 1, "yanchor": "bottom"}
            if marker.vertical
            else {"y": at, "xref": "paper", "x": 0.01, "xanchor": "left", "yanchor": "bottom"}
        )
        text = plotly_text(short(marker.label))
        found.append({**place, "text": text, "showarrow": False, "font": {"color": _color(marker.color), "size": 12}})
    return found


def short(name: str) -> str:
    """Return a name of at most 28 characters."""
    return name if len(name) <= _LONGEST_NAME else f"{name[: _LONGEST_NAME - 1]}…"


def plotly_text(text: str) -> str:
    """Return a text that Plotly shows as it is, and not as tags, links or formulas."""
    return "".join(_MARKS.get(each, each) for each in printable_line(text))


def _color(role: str) -> str:
    return f"var(--{role})"


def _rounded(values: Iterable[float | None]) -> list[float | None]:
    return [None if value is None else float(f"{value:.5g}") for value in values]
