"""The views of a fleet as text: costs of machines, outliers, drift."""

from __future__ import annotations

from typing import TYPE_CHECKING

from agent.render.fleet_tables import FleetTable, cost_tables, drift_table, outlier_table
from agent.render.tables import titled_table, wrapped

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from agent.comparison.fleet_records import FleetView

_MOST_ROWS = 40
"""The rows of all tables of costs, and those of each other table, on a terminal."""


def fleet_view_text(view: FleetView, width: int) -> str:
    """Return the views of a fleet as text, in lines of up to `width` characters."""
    if not view.points:
        return wrapped(f"{view.source}: no points of profiles with these properties", width, 2)
    return "\n\n".join(
        [
            wrapped(extent(view), width, 2),
            *_texts(cost_tables(view), width),
            *_section(outlier_table(view), no_outliers(view) if view.outliers_tested else "", width),
            *_section(drift_table(view), no_drift(view) if view.drift_tested else "", width),
            "\n".join(wrapped(f"- {note}", width, 2) for note in view.notes),
        ]
    ).rstrip()


def extent(view: FleetView) -> str:
    """Return the number of hosts and points, and their days, as a sentence."""
    hosts = f"{view.hosts:,} host{'' if view.hosts == 1 else 's'}"
    days = view.first if view.first == view.last else f"{view.first} to {view.last}"
    points = f"{view.points:,} point{'' if view.points == 1 else 's'} of profiles"
    return f"{hosts}, {points}, {days}: {view.source}"


def no_outliers(view: FleetView) -> str:
    """Return the sentence for a fleet without outliers."""
    return f"No machine needs more or less energy than its siblings, in {_count(view.outliers_tested)}"


def no_drift(view: FleetView) -> str:
    """Return the sentence for a fleet without drift."""
    return f"No machine's energy changed, in {_count(view.drift_tested)}"


def _count(tests: int) -> str:
    return f"{tests:,} test{'' if tests == 1 else 's'}"


def _section(table: FleetTable, none: str, width: int) -> list[str]:
    return _texts([table], width) if table.rows else [wrapped(none, width, 2)] if none else []


def _texts(tables: Sequence[FleetTable], width: int) -> list[str]:
    """Return tables of `_MOST_ROWS` rows in all, and a sentence on those that are left out."""
    found = list(_cut(tables))
    hidden = sum(len(table.rows) for table in tables) - sum(len(table.rows) for table in found)
    more = f"{hidden:,} more rows: --json prints them, `inferometer report --fleet` shows them, --where chooses others"
    return [
        *(titled_table(table.title, [each.upper() for each in table.headings], table.rows, width) for table in found),
        *([wrapped(more, width, 2)] if hidden else []),
    ]


def _cut(tables: Sequence[FleetTable]) -> Iterator[FleetTable]:
    left = _MOST_ROWS
    for table in tables:
        if left:
            yield table._replace(rows=table.rows[:left])
        left = max(0, left - len(table.rows))
