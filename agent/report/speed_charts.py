"""The charts of power over time, latency and throughput."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from agent.render.figures import time_unit
from agent.render.tables import number, plain
from agent.report.chart import Axis, Band, Chart, Line, series_color

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from agent.profiling.records import Point
    from agent.profiling.run_facts import LatencySummary
    from agent.report.chart import Values
    from agent.report.loads import Amount, Loads
    from agent.report.view import View

_MINUTE, _LONG_SECONDS = 60.0, 300.0


def power_chart(view: View, number_of_view: int) -> Chart | None:
    """Return the power of a run over time with its windows, None without samples."""
    trace = view.trace
    if trace is None:
        return None
    length = max(trace.seconds)
    factor, unit = (1 / _MINUTE, "minutes") if length > _LONG_SECONDS else (1.0, "seconds")
    seconds = tuple(at * factor for at in trace.seconds)
    notes = tuple(_window_at(view, at) for at in trace.seconds)
    lines = [Line("total", seconds, trace.total, view.color, notes=notes, marked=False)]
    if len(trace.sensors) > 1:
        lines += [
            Line(name, seconds, watts, series_color(position + 1 + number_of_view), marked=False)
            for position, (name, watts) in enumerate(trace.sensors)
        ]
    bands = tuple(
        Band(
            "idle baseline" if each.idle else "measured window",
            each.start * factor,
            each.end * factor,
            "idle" if each.idle else "busy",
        )
        for each in sorted(trace.windows, key=lambda each: (not each.idle, each.start))
    )
    known = [watts for watts in trace.total if watts is not None]
    mean = f", between {plain(min(known))} and {plain(max(known))} W" if known else ""
    count = len(trace.windows)
    marked = f"with {count} marked windows" if count else "without its windows, which an imported profile lacks"
    return Chart(
        f"power-{number_of_view}",
        f"Power over time: {view.label}",
        f"Power of the run over {number(length, 's')}{mean}, {marked}.",
        Axis(f"{unit} since the first {'window' if trace.windows else 'sample'}"),
        Axis("watts", from_zero=True),
        tuple(lines),
        bands=bands,
    )


def _window_at(view: View, second: float) -> str:
    if view.trace is None:
        return ""
    return next((each.name for each in view.trace.windows if each.start <= second < each.end), "between windows")


def latency_chart(views: Sequence[View], loads: Loads) -> Chart | None:
    """Return latencies over the load: all kinds of one profile, or the request and the first token of several."""
    lines = list(_latency_lines(views, loads))
    if not lines:
        return None
    factor, unit = time_unit([value for line in lines for value in (*line.y, *line.upper)])
    scaled = tuple(_scaled(line, factor) for line in lines)
    of_several = f"The mean of {views[0].work}s, and dashed the median time to the first token, of each profile"
    shown = (
        of_several if len(views) > 1 else "Means with their 95 % intervals, medians, and dashed the 99th percentiles"
    )
    return Chart(
        "latency",
        "Latency by load",
        f"{shown}, in {unit}. Lower is better.",
        loads.axis,
        Axis(f"latency, {unit} (logarithmic)", log=True),
        scaled,
    )


def _latency_lines(views: Sequence[View], loads: Loads) -> Iterator[Line]:
    several = len(views) > 1
    for view in views:
        for kind in _KINDS:
            if several and not kind.compared:
                continue
            name = kind.name.format(work=view.work)
            label, color = (f"{view.label}: {name}", view.color) if several else (name, kind.color)
            line = loads.line(view, label, color, kind.value, dashed=kind.in_several if several else kind.dashed)
            if line:
                yield line


def _mean_latency(point: Point) -> Amount:
    found = point.mean_latency_seconds
    return found.mean, found.lower, found.upper


def _percentile(latencies: LatencySummary | None, name: str) -> Amount | None:
    value = None if latencies is None else getattr(latencies, name)
    return None if value is None else (value, None, None)


@dataclass(frozen=True, slots=True)
class _Kind:
    """A kind of latency; `compared` ones are shown for several profiles, one of them dashed (`in_several`)."""

    name: str
    value: Callable[[Point], Amount | None]
    color: str
    dashed: bool = False
    compared: bool = False
    in_several: bool = False


_KINDS = (
    _Kind("{work}, mean", _mean_latency, "blue", compared=True),
    _Kind("{work}, p99", lambda point: _percentile(point.latency_seconds, "p99"), "blue", dashed=True),
    _Kind(
        "first token, p50",
        lambda point: _percentile(point.time_to_first_token_seconds, "p50"),
        "orange",
        compared=True,
        in_several=True,
    ),
    _Kind(
        "first token, p99", lambda point: _percentile(point.time_to_first_token_seconds, "p99"), "orange", dashed=True
    ),
    _Kind("next token, p50", lambda point: _percentile(point.inter_token_latency_seconds, "p50"), "green"),
)


def _scaled(line: Line, factor: float) -> Line:
    def times(values: Values) -> Values:
        return tuple(None if value is None else value * factor for value in values)

    return replace(line, y=times(line.y), lower=times(line.lower), upper=times(line.upper))


def throughput_chart(views: Sequence[View], loads: Loads) -> Chart | None:
    """Return the output tokens a second over the load, or the units of work if one profile has no tokens."""
    tokens = all(view.has_tokens or any(p.output_tokens_per_second for p in view.document.points) for view in views)
    work = views[0].work

    def rate(point: Point) -> Amount | None:
        found = point.output_tokens_per_second if tokens else point.inferences_per_second
        return None if found is None else (found.mean, found.lower, found.upper)

    lines = [loads.line(view, view.label, view.color, rate) for view in views]
    known = tuple(line for line in lines if line)
    if not known:
        return None
    unit = "output tokens" if tokens else f"{work}s"
    best = max(value or 0.0 for line in known for value in line.y)
    return Chart(
        "throughput",
        "Throughput by load",
        f"{unit.capitalize()} a second over the load, at most {plain(best)}. Higher is better.",
        loads.axis,
        Axis(f"{unit}/s", from_zero=True),
        known,
    )
