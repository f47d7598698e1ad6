"""The content of a report in the order of its page: sentences, key figures, sections with charts and tables."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from agent.exports.tables import points_table
from agent.render.run_details import details
from agent.render.tables import number, percent, plain
from agent.report.cost_charts import cost_charts, million_of, total
from agent.report.decisions import Table, compared, options
from agent.report.energy_charts import energy_chart, idle_chart, idle_share
from agent.report.honesty import origins
from agent.report.loads import loads_of
from agent.report.sensitivity import sensitivity_chart
from agent.report.sentence import qualifications, sentence
from agent.report.speed_charts import latency_chart, power_chart, throughput_chart
from agent.report.view import preferred, token_energy, work_energy

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from agent.exports.tables import Cell
    from agent.report.chart import Chart
    from agent.report.view import View

_EXACT = 1e6
"""The size up to which a whole number is shown with all digits."""
_MOST_SENSITIVITIES = 3
"""The profiles of which a page shows the sensitivity."""
_NO_TRACE = "The store has no samples of this run, so there is no chart of its power over time: {labels}."


@dataclass(frozen=True, slots=True)
class Section:
    """A part of the page; `notes` follow its tables, and `lists` are headings with their lines."""

    key: str
    title: str
    paragraphs: tuple[str, ...] = ()
    charts: tuple[Chart, ...] = ()
    tables: tuple[Table, ...] = ()
    notes: tuple[str, ...] = ()
    lists: tuple[tuple[str, tuple[tuple[str, tuple[str, ...]], ...]], ...] = ()

    @property
    def has_content(self) -> bool:
        """Whether there is more than a title."""
        return bool(self.paragraphs or self.charts or self.tables or self.notes or self.lists)


@dataclass(frozen=True, slots=True)
class Answer:
    """The sentence of one profile, with its qualifications and key figures."""

    label: str
    sentence: str
    qualifications: tuple[str, ...]
    tiles: tuple[tuple[str, str, str], ...]


def answers_of(views: Sequence[View]) -> tuple[Answer, ...]:
    """Return the answer of each profile."""
    return tuple(Answer(view.label, sentence(view), tuple(qualifications(view)), tuple(_tiles(view))) for view in views)


def charts_of(views: Sequence[View]) -> dict[str, tuple[Chart, ...]]:
    """Return the charts by section."""
    loads = loads_of(views)
    charts: dict[str, list[Chart | None]] = {
        "power": [power_chart(view, at) for at, view in enumerate(views)],
        "speed": [latency_chart(views, loads), throughput_chart(views, loads)],
        "energy": [energy_chart(views, loads), idle_chart(views)],
        "cost": [*cost_charts(views, loads)],
        "sensitivity": [sensitivity_chart(view, at) for at, view in enumerate(views[:_MOST_SENSITIVITIES])],
    }
    return {key: tuple(chart for chart in found if chart) for key, found in charts.items()}


def sections_of(views: Sequence[View]) -> tuple[Section, ...]:
    """Return the sections of a page, without those that have no content."""
    charts = charts_of(views)
    untraced = [view.label for view in views if view.trace is None]
    found = (
        _comparison(views),
        Section("power", "Power over time", _untraced(untraced), charts["power"]),
        Section("speed", "Latency and throughput", charts=charts["speed"]),
        Section("energy", "Energy", _absent(charts["energy"], "energy"), charts["energy"]),
        Section("cost", "Cost", _absent(charts["cost"], "cost"), charts["cost"], tuple(_token_prices(views))),
        *_offers(views),
        Section("sensitivity", "Sensitivity", charts=charts["sensitivity"]),
        _honesty(views),
        _figures(views),
        _runs(views),
    )
    return tuple(section for section in found if section and section.has_content)


def _untraced(labels: Sequence[str]) -> tuple[str, ...]:
    return (_NO_TRACE.format(labels=", ".join(labels)),) if labels else ()


def _absent(charts: Sequence[Chart], subject: str) -> tuple[str, ...]:
    if charts:
        return ()
    remedy = " Give prices with --tariff." if subject == "cost" else ""
    return (f"No profile of this report has figures of {subject}.{remedy}",)


def _tiles(view: View) -> Iterator[tuple[str, str, str]]:
    """Yield label, value and unit of the key figures of the chosen point."""
    point = view.point
    if point is None:
        return
    if amount := total(view, preferred(point)):
        yield "Cost", plain(amount[0]), f"{view.currency} per {million_of(view)}"
    if joules := token_energy(point):
        yield "Energy", number(joules.mean, "J"), "per output token"
    elif joules := work_energy(point):
        yield "Energy", number(joules.mean, "J"), f"per {view.work}"
    if rate := point.output_tokens_per_second:
        yield "Throughput", plain(rate.mean), "output tokens/s"
    else:
        yield "Throughput", plain(point.inferences_per_second.mean), f"{view.work}s/s"
    if first := point.time_to_first_token_seconds:
        yield "First token", number(first.p50, "s"), "median"
    else:
        yield "Latency", number(point.mean_latency_seconds.mean, "s"), "mean"
    if point.power:
        yield "Power", number(point.power.mean_watts.mean, "W"), "mean at this load"
    cost = preferred(point)
    carbon = cost.carbon_grams_per_inference if cost else None
    if carbon and (grams := carbon.total or carbon.operational or carbon.embodied):
        part = "" if carbon.total else " in operation" if carbon.operational else " of manufacture"
        yield "Carbon", f"{number(grams.mean, 'g')} CO2e", f"per {view.work}{part}"
    if (share := idle_share(point)) is not None:
        yield "Idle share", percent(share), "of the energy"


def _comparison(views: Sequence[View]) -> Section | None:
    if len(views) == 1:
        return None
    found = answers_of(views)
    labels = list(dict.fromkeys(f"{name} ({unit})" for answer in found for name, _, unit in answer.tiles))
    table = []
    for label in labels:
        cells = [
            next((value for name, value, unit in answer.tiles if f"{name} ({unit})" == label), "-") for answer in found
        ]
        table.append((label, *cells))
    answers, notes = compared(views)
    points = ("point", *((view.point and view.point.name) or "-" for view in views))
    return Section(
        "comparison",
        "Comparison",
        answers,
        notes=notes,
        tables=(
            Table(
                "Key figures at the highest sustainable or measured rate",
                ("", *(view.label for view in views)),
                (points, *table),
            ),
        ),
    )


def _token_prices(views: Sequence[View]) -> Iterator[Table]:
    """Yield a table of the prices of input and output tokens, if the energy or the time of both is known."""
    rows = []
    for view in views:
        prices = view.cost.token_prices if view.cost else None
        if prices is not None:
            name, method = ("" if len(views) == 1 else f"{view.label}, "), prices.method.replace("_", " ")
            rows.append((f"{name}full use", *_pair(prices.usage), view.currency, method))
            used = view.document.tariff.utilization if view.document.tariff else None
            if prices.allocation and used:
                rows.append((f"{name}{percent(used)} utilization", *_pair(prices.allocation), view.currency, method))
    if rows:
        headings = ("at", "a million input tokens", "a million output tokens", "currency", "split by")
        yield Table("Prices of tokens", headings, tuple(rows))


def _pair(prices: tuple[float, float]) -> tuple[str, str]:
    return plain(prices[0]), plain(prices[1])


def _offers(views: Sequence[View]) -> Iterator[Section]:
    """Yield a section of own machines beside the offers of the tariff, for each profile with offers."""
    for at, view in enumerate(views):
        tables, notes = options(view)
        if tables or notes:
            title = "Own, rent, or both" if len(views) == 1 else f"Own, rent, or both: {view.label}"
            yield Section(f"offers-{at}", title, tables=tables, notes=notes)


def _honesty(views: Sequence[View]) -> Section:
    lists = tuple((view.label, tuple((heading, tuple(lines)) for heading, lines in origins(view))) for view in views)
    intro = "Every number is measured by a sensor or a clock, estimated by a model, given by the user, or assumed."
    return Section("origins", "Origin of the numbers", (intro,), lists=lists)


def _figures(views: Sequence[View]) -> Section:
    """Return a table of each profile: a row for each figure, a column for each point."""
    tables = []
    for view in views:
        table = points_table([view.plain])
        first = [column.heading for column in table.columns].index("point")
        rows = [
            (column.heading.replace("_", " "), *(_shown(row[at]) for row in table.rows))
            for at, column in enumerate(table.columns)
            if at > first and any(row[at] not in {None, ""} for row in table.rows)
        ]
        points = [point.name or "the point" for point in view.document.points]
        tables.append(Table(view.label, ("figure (unit)", *points), tuple(rows)))
    text = "Each figure of each point. The formats csv and json of this report have all digits."
    return Section("figures", "All figures", (text,), tables=tuple(tables))


def _shown(cell: Cell) -> str:
    if isinstance(cell, bool):
        return "yes" if cell else "no"
    if isinstance(cell, float) and cell.is_integer() and abs(cell) < _EXACT:
        return f"{cell:,.0f}"
    return cell or "-" if isinstance(cell, str) else plain(cell)


def _runs(views: Sequence[View]) -> Section:
    tables = tuple(
        Table(view.label, ("fact", "value"), tuple((label, text) for label, text in details(view.plain) if text))
        for view in views
    )
    return Section("runs", "The run" if len(views) == 1 else "The runs", tables=tables)
