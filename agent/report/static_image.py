"""Charts as SVG or PNG, drawn by matplotlib, for print and for pages without script."""

from __future__ import annotations

import math
import re
import warnings
from io import BytesIO
from typing import TYPE_CHECKING, Any, Literal

from agent.report.chart import bounds_of, log_ticks
from agent.report.interactive import extent, short
from agent.report.palette import LIGHT
from agent.runtime.console import printable_line

if TYPE_CHECKING:
    from collections.abc import Sequence

    from agent.report.chart import Axis, Bars, Chart, Line, Values

WIDTH_INCHES, _PLOT_INCHES = 7.6, 2.4
_ROW_INCHES, _TITLE_INCHES = 0.19, 0.4
_LINE_CHARACTERS, _KEY_CHARACTERS = 92, 7
"""The characters in a row of the legend, and the width of the key and the gap of an entry."""
_PNG_DOTS_PER_INCH = 200
_FONT_POINTS = 9.5
_CHARACTER = 0.0095
"""The width of a character as a share of the width of a figure."""
_IDS = re.compile(r'(\bid="|url\(#|href="#)')
_COLORS = {color: f"var(--{role})" for role, color in LIGHT.items()}
_COLOR = re.compile("|".join(_COLORS))
_FONT = re.compile(r"font: ([\d.]+)px [^;\"]*")
_SETTINGS = {
    "svg.fonttype": "none",  # text remains text: smaller, and it can be searched
    "svg.hashsalt": "inferometer",  # equal charts are equal files
    "text.parse_math": False,  # a $ in a foreign name is a $
    "font.size": _FONT_POINTS,
    "font.family": "sans-serif",
    "font.sans-serif": ["DejaVu Sans"],
    "axes.unicode_minus": False,
}


def image(chart: Chart, form: Literal["svg", "png"]) -> bytes:
    """Return a chart as a file in the light theme, with its title."""
    return _drawn(chart, form, title=chart.title)


def inline_svg(chart: Chart) -> str:
    """Return a chart as an element of a page, in the colors of the page's theme and without its title."""
    text = _drawn(chart, "svg", title=None).decode()
    text = text[text.index("<svg") :]
    text = re.sub(r"<metadata>.*?</metadata>", "", text, flags=re.DOTALL)
    text = _COLOR.sub(lambda color: _COLORS[color[0]], text)
    text = _IDS.sub(rf"\g<1>{chart.key}-", text)
    text = _FONT.sub(r"font-size: \1px", text)
    return re.sub(r' width="[\d.]+pt" height="[\d.]+pt"', ' aria-hidden="true" focusable="false"', text, count=1)


def _drawn(chart: Chart, form: Literal["svg", "png"], title: str | None) -> bytes:
    import matplotlib as mpl  # noqa: PLC0415  an extra
    from matplotlib.figure import Figure  # noqa: PLC0415  same

    with mpl.rc_context(_SETTINGS), warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Glyph .* missing")  # foreign names have any script
        figure = Figure(facecolor=LIGHT["paper"])
        axes = figure.add_subplot()
        _plot(axes, chart)
        _frame(figure, axes, chart, title)
        stream = BytesIO()
        metadata = {"Date": None, "Creator": None} if form == "svg" else None
        figure.savefig(stream, format=form, dpi=_PNG_DOTS_PER_INCH, metadata=metadata, facecolor=LIGHT["paper"])
    return stream.getvalue()


def _plot(axes: Any, chart: Chart) -> None:
    for name, color in dict.fromkeys((band.name, band.color) for band in chart.bands):
        spans = [(band.start, band.end - band.start) for band in chart.bands if band.name == name]
        label, across = printable_line(name), axes.get_xaxis_transform()
        axes.broken_barh(spans, (0, 1), color=LIGHT[color], lw=0, label=label, zorder=0, transform=across)
    for line in chart.lines:
        _line(axes, line)
    starts = [0.0] * max((len(bars.values) for bars in chart.bars), default=0)
    for bars in chart.bars:
        _bars(axes, bars, starts, horizontal=chart.horizontal)
        starts = [start + (value or 0.0) for start, value in zip(starts, bars.values, strict=True)]
    for marker in chart.markers:
        _marker(axes, marker.label, marker.value, LIGHT[marker.color], vertical=marker.vertical)


def _line(axes: Any, line: Line) -> None:
    y = [float("nan") if value is None else value for value in line.y]
    style = {
        "color": LIGHT[line.color],
        "linestyle": ("--" if line.dashed else "-") if line.connected else "none",
        "linewidth": 1.6,
        "marker": "o" if line.marked else None,
        "markersize": 4.5,
        "label": printable_line(short(line.name)),
    }
    if line.lower:
        axes.errorbar(
            line.x, y, yerr=_error_lengths(line.y, line.lower, line.upper), capsize=3, elinewidth=1.2, **style
        )
    else:
        axes.plot(line.x, y, **style)


def _error_lengths(values: Sequence[float | None], lower: Values, upper: Values) -> list[list[float]]:
    return [[0.0 if length is None else length for length in ends] for ends in bounds_of(values, lower, upper)]


def _bars(axes: Any, bars: Bars, starts: Sequence[float], *, horizontal: bool) -> None:
    places, lengths = range(len(bars.values)), [value or 0.0 for value in bars.values]
    starts = bars.base or starts
    style: dict[str, Any] = {"color": LIGHT[bars.color], "label": printable_line(short(bars.name))}
    if bars.lower:
        errors = _error_lengths(bars.values, bars.lower, bars.upper)
        style |= {"xerr" if horizontal else "yerr": errors, "capsize": 3, "ecolor": LIGHT["ink"]}
    if horizontal:
        axes.barh(places, lengths, 0.6, left=starts, **style)
    else:
        axes.bar(places, lengths, 0.6, bottom=starts, **style)


def _marker(axes: Any, label: str, value: float, color: str, *, vertical: bool) -> None:
    style = {"color": color, "linestyle": ":", "linewidth": 1.3}
    text = printable_line(short(label))
    if vertical:
        axes.axvline(value, **style)
        axes.text(value, 1.01, text, transform=axes.get_xaxis_transform(), ha="center", va="bottom", color=color)
    else:
        axes.axhline(value, **style)
        axes.text(0.01, value, text, transform=axes.get_yaxis_transform(), ha="left", va="bottom", color=color)


def _frame(figure: Any, axes: Any, chart: Chart, title: str | None) -> None:
    """Size the figure and place its axes, with their ticks, titles and the legend, so that nothing overlaps."""
    places, values = extent(chart)
    _ticks(axes.xaxis, axes.set_xlim, chart.x, places)
    _ticks(axes.yaxis, axes.set_ylim, chart.y, values)
    if chart.horizontal:
        axes.invert_yaxis()
    names = chart.y.names
    left = min(0.35, 0.05 + _CHARACTER * max((len(short(name)) for name in names), default=6)) + (not names) * 0.02
    slanted = len(chart.x.names) * max((len(short(name)) for name in chart.x.names), default=0) * _CHARACTER > 1
    if slanted:
        axes.tick_params(axis="x", rotation=25)
        for label in axes.get_xticklabels():
            label.set_horizontalalignment("right")
    marked = any(marker.vertical for marker in chart.markers)
    above = _ROW_INCHES * (_legend(axes, above=marked) + marked + 0.4) + (title is not None) * _TITLE_INCHES
    below = _ROW_INCHES * (5 if slanted else 2.9)
    height = _PLOT_INCHES + above + below
    figure.set_size_inches(WIDTH_INCHES, height)
    axes.set_position((left, below / height, 0.98 - left, _PLOT_INCHES / height))
    axes.set_xlabel(printable_line(chart.x.title), color=LIGHT["muted"])
    axes.set_ylabel(printable_line(chart.y.title), color=LIGHT["muted"])
    axes.tick_params(colors=LIGHT["muted"], length=0)
    axes.grid(visible=True, axis="x" if chart.horizontal else "y", color=LIGHT["grid"], linewidth=0.8)
    axes.set_axisbelow(True)
    for side, spine in axes.spines.items():
        spine.set_visible(side == ("left" if chart.horizontal else "bottom"))
        spine.set_color(LIGHT["muted"])
    if title is not None:
        figure.suptitle(printable_line(title), x=0.02, y=1 - 0.06 / height, ha="left", color=LIGHT["ink"], fontsize=12)


def _ticks(axis: Any, set_limits: Any, record: Axis, values: Sequence[float | None]) -> None:
    if record.names:
        axis.set_ticks(range(len(record.names)), [printable_line(short(name)) for name in record.names])
        set_limits(-0.5, len(record.names) - 0.5)
    elif record.log and (scale := log_ticks(values)):
        ticks, ends = scale
        axis.axes.set_yscale("log") if axis.axis_name == "y" else axis.axes.set_xscale("log")
        axis.set_ticks(ticks, [f"{tick:g}" for tick in ticks])
        axis.set_ticks([], minor=True)
        set_limits(ends[0] * 0.92, ends[1] * 1.08)
    elif record.from_zero:
        set_limits(0, None)


def _legend(axes: Any, *, above: bool) -> int:
    """Place the legend over the plot, over the labels of markers if they are `above` it; return its rows."""
    handles, labels = axes.get_legend_handles_labels()
    if len(labels) < 2:  # noqa: PLR2004  the title names a single series
        return 0
    columns = max(1, min(len(labels), int(_LINE_CHARACTERS / (max(map(len, labels)) + _KEY_CHARACTERS))))
    axes.legend(
        handles,
        labels,
        loc="lower left",
        bbox_to_anchor=(-0.01, 1.0 + above * _ROW_INCHES / _PLOT_INCHES),
        ncols=columns,
        frameon=False,
        labelcolor=LIGHT["ink"],
        handlelength=1.4,
        columnspacing=1.2,
        borderaxespad=0.1,
    )
    return math.ceil(len(labels) / columns)
