"""The views of a fleet as one HTML page, as Markdown and as CSV."""

from __future__ import annotations

from collections import Counter
from io import StringIO
from typing import TYPE_CHECKING

import msgspec

from agent.exports.csv_file import csv_file
from agent.exports.tables import escaped
from agent.render.fleet_tables import FleetTable, cost_tables, drift_table, outlier_table, shared_names, work_name
from agent.render.fleet_view_text import extent, no_drift, no_outliers
from agent.report.chart import Axis, Chart, Line, series_color
from agent.report.content import Answer, Section
from agent.report.decisions import Table
from agent.report.page import html_page

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from agent.comparison.fleet_records import FleetView, MachineCost, WorkCosts

_TITLE = "Inference cost of a fleet"
_MOST_CHARTS, _MOST_LINES, _FEWEST_DATES = 3, 8, 2
_COLUMNS = ("cost", "cost_lower", "cost_upper", "joules", "joules_lower", "joules_upper")


def fleet_page(view: FleetView, created: str) -> bytes:
    """Return the page in HTML, made at `created`. Raises ImportError without the extra."""
    return html_page(_TITLE, (_answer(view),), _sections(view), created)


def fleet_markdown(view: FleetView, created: str) -> str:
    """Return the tables as Markdown."""
    stream = StringIO()
    stream.write(f"# {_TITLE}\n\n{escaped(extent(view))}\n")
    for section in _sections(view):
        stream.write(f"\n## {section.title}\n")
        stream.writelines(f"\n{escaped(each)}\n" for each in section.paragraphs)
        for table in section.tables:
            stream.write(f"\n### {escaped(table.title)}\n\n")
            for row in (table.headings, ("---",) * len(table.headings), *table.rows):
                stream.write(f"| {' | '.join(cell if cell == '---' else escaped(cell) for cell in row)} |\n")
        stream.writelines(f"\n- {escaped(each)}\n" for each in section.notes)
    stream.write(f"\nMade {created} by Inferometer.\n")
    return stream.getvalue()


def fleet_csv(view: FleetView) -> bytes:
    """Return the costs and the energies of machines as CSV, a row for each group of machines and work."""
    names = ("work", "workload", "model", "precision", "point", "unit")
    facts = ("hosts", "profiles", "currency", "cost_basis", "boundary", "energy_source")
    rows = [
        (
            *(getattr(work, name) for name in names),
            *machine.group.values(),
            *(getattr(machine, name) for name in facts),
            *(
                getattr(value, end) if value else None
                for value in (machine.cost, machine.joules)
                for end in ("mean", "lower", "upper")
            ),
        )
        for work in view.costs
        for machine in work.machines
    ]
    return csv_file((*names, *view.group_by, *facts, *_COLUMNS), rows)


def fleet_json(view: FleetView) -> bytes:
    """Return the views as JSON."""
    return msgspec.json.format(msgspec.json.encode(view), indent=2) + b"\n"


def _answer(view: FleetView) -> Answer:
    tiles = (
        ("Hosts", f"{view.hosts:,}", ""),
        ("Points", f"{view.points:,}", "of profiles"),
        ("Outliers", f"{len(view.outliers):,}", f"of {view.outliers_tested:,} tests"),
        ("Drift", f"{len(view.drift):,}", f"of {view.drift_tested:,} tests"),
    )
    return Answer("", extent(view), view.notes, tiles)


def _sections(view: FleetView) -> tuple[Section, ...]:
    outliers, drift = outlier_table(view), drift_table(view)
    return (
        Section(
            "cost",
            "Cost and energy by machine",
            ("The mean of the hosts. Its interval has the bounds of the profiles and the scatter of hosts (95 %).",),
            tuple(chart for at, work in enumerate(view.costs[:_MOST_CHARTS]) if (chart := _chart(at, work, view))),
            tuple(map(_table, cost_tables(view))),
        ),
        Section("outliers", "Outliers", () if outliers.rows else (f"{no_outliers(view)}.",), tables=_tables(outliers)),
        Section("drift", "Drift", () if drift.rows else (f"{no_drift(view)}.",), tables=_tables(drift)),
        Section("notes", "Notes", notes=view.notes),
    )


def _chart(at: int, work: WorkCosts, view: FleetView) -> Chart | None:
    """Return the cost of one work over time, a line for each group of machines; None without two dates and costs."""
    time = next((name for name in ("day", "month") if name in view.group_by), None)
    priced = [each for each in work.machines if each.cost]
    hosts = Counter[str]()
    for each in priced:
        hosts[each.currency] += each.hosts
    currency = max(hosts, key=hosts.__getitem__, default="")  # one axis has one currency; the tables have all
    known = [each for each in priced if each.currency == currency]
    dates = sorted({each.group[time] for each in known}) if time else []
    if time is None or len(dates) < _FEWEST_DATES:
        return None
    lines: dict[tuple[str, ...], dict[str, MachineCost]] = {}
    for machine in known:
        others = tuple(value or "-" for name, value in machine.group.items() if name != time)
        own = (machine.cost_basis, machine.boundary, machine.energy_source)
        lines.setdefault((*others, *own), {})[machine.group[time]] = machine
    shown = sorted(lines.items(), key=lambda each: -sum(one.hosts for one in each[1].values()))[:_MOST_LINES]
    return Chart(
        key=f"fleet-cost-{at}",
        title=work_name(work, shared_names(view)),
        summary=f"The cost of a million {work.unit}s by {time}, for the {len(shown)} groups of the most hosts.",
        x=Axis(time, names=tuple(dates)),
        y=Axis(f"{currency or 'cost'} per million {work.unit}s", from_zero=True),
        lines=tuple(_line(at, " ".join(filter(None, name)), dates, own) for at, (name, own) in enumerate(shown)),
    )


def _line(at: int, name: str, dates: Sequence[str], own: Mapping[str, MachineCost]) -> Line:
    costs = [own[date].cost if date in own else None for date in dates]
    ends = [tuple(getattr(cost, end) if cost else None for cost in costs) for end in ("mean", "lower", "upper")]
    return Line(name, tuple(map(float, range(len(dates)))), ends[0], series_color(at), ends[1], ends[2])


def _tables(table: FleetTable) -> tuple[Table, ...]:
    return (_table(table),) if table.rows else ()


def _table(table: FleetTable) -> Table:
    return Table(table.title, tuple(each.removesuffix(">") for each in table.headings), table.rows)
