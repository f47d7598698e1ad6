"""Charts as plain records, which `interactive` and `static_image` draw alike."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

from agent.report.palette import SERIES

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

Values = tuple[float | None, ...]
_TEN_DECADES = 10
_STEPS = (1, 2, 5)
_MOST_TICKS = 8


@dataclass(frozen=True, slots=True)
class Axis:
    """The title of an axis and its ticks.

    `names` are the labels of the positions 0, 1, 2...; without them the axis is one of numbers.
    """

    title: str
    names: tuple[str, ...] = ()
    log: bool = False
    from_zero: bool = False


@dataclass(frozen=True, slots=True)
class Line:
    """A series of points: `lower` and `upper` are the ends of error bars, `notes` the texts beside the values."""

    name: str
    x: tuple[float, ...]
    y: Values
    color: str
    lower: Values = ()
    upper: Values = ()
    notes: tuple[str, ...] = ()
    dashed: bool = False
    connected: bool = True
    marked: bool = True


@dataclass(frozen=True, slots=True)
class Bars:
    """A part of each bar, at the positions 0, 1, 2...; parts are stacked.

    A bar starts at `base` if that is given, and a table then has the values `listed` in place of the lengths.
    """

    name: str
    values: Values
    color: str
    lower: Values = ()
    upper: Values = ()
    base: tuple[float, ...] = ()
    listed: Values = ()


@dataclass(frozen=True, slots=True)
class Band:
    """A range of the horizontal axis in a background color; bands of one name share one entry of the legend."""

    name: str
    start: float
    end: float
    color: str


@dataclass(frozen=True, slots=True)
class Marker:
    """A line across the chart at one value of an axis, with its label."""

    label: str
    value: float
    vertical: bool = True
    color: str = "muted"


@dataclass(frozen=True, slots=True)
class Chart:
    """One figure of a report; `summary` says in a sentence what it shows, also for those who cannot see it.

    In a `horizontal` chart of bars, the names are on the vertical axis.
    """

    key: str
    title: str
    summary: str
    x: Axis
    y: Axis
    lines: tuple[Line, ...] = ()
    bars: tuple[Bars, ...] = ()
    bands: tuple[Band, ...] = ()
    markers: tuple[Marker, ...] = ()
    horizontal: bool = False


def series_color(number: int) -> str:
    """Return the color of the n-th series; they repeat after the last one."""
    return SERIES[number % len(SERIES)]


def log_ticks(values: Iterable[float | None]) -> tuple[tuple[float, ...], tuple[float, float]] | None:
    """Return the ticks of a logarithmic axis and its ends, which enclose the positive values; None without any.

    The ticks are 1, 2 and 5 times powers of ten, or powers of ten alone if these are many.
    """
    positive = [value for value in values if value is not None and value > 0]
    if not positive:
        return None
    smallest, largest = max(min(positive), max(positive) * 10.0**-_TEN_DECADES), max(positive)
    decades = range(math.floor(math.log10(smallest)), math.ceil(math.log10(largest)) + 1)
    found = [float(f"{step}e{decade}") for decade in decades for step in _STEPS]
    ends = (
        max((each for each in found if each <= smallest), default=found[0]),
        min((each for each in found if each >= largest), default=found[-1]),
    )
    ticks = [each for each in found if ends[0] <= each <= ends[1]]
    if len(ticks) > _MOST_TICKS:
        ticks = [each for each in ticks if f"{each:e}".startswith("1.0")]
    return tuple(ticks), ends


def columns(chart: Chart) -> tuple[tuple[str, ...], list[tuple[str | float | None, ...]]]:
    """Return the values of a chart as a table: the headings, and a row for each position."""
    axis = chart.y if chart.horizontal else chart.x
    if chart.bars:
        headings = (axis.title or "", *(bars.name for bars in chart.bars))
        rows: list[tuple[str | float | None, ...]] = [
            (name, *((bars.listed or bars.values)[at] for bars in chart.bars)) for at, name in enumerate(axis.names)
        ]
        return headings, rows
    places = sorted({x for line in chart.lines for x in line.x})
    found = [dict(zip(line.x, line.y, strict=True)) for line in chart.lines]
    return (axis.title, *(line.name for line in chart.lines)), [
        (axis.names[round(place)] if axis.names else place, *(values.get(place) for values in found))
        for place in places
    ]


def bounds_of(values: Sequence[float | None], lower: Values, upper: Values) -> tuple[Values, Values]:
    """Return the lengths of error bars below and above the values, None for an unknown end."""
    below = tuple(None if v is None or end is None else max(0.0, v - end) for v, end in zip(values, lower, strict=True))
    above = tuple(None if v is None or end is None else max(0.0, end - v) for v, end in zip(values, upper, strict=True))
    return below, above
