"""The report for tickets and programs: Markdown, CSV and JSON."""

from __future__ import annotations

import json
from io import StringIO
from typing import TYPE_CHECKING, Any

from agent.exports.tables import escaped, points_table, write_csv, write_markdown
from agent.report.chart import columns
from agent.report.content import answers_of, sections_of
from agent.report.honesty import origins
from agent.runtime.console import printable

if TYPE_CHECKING:
    from collections.abc import Sequence

    from agent.report.view import View

SCHEMA = "inferometer.report"


def json_report(views: Sequence[View], created: str) -> dict[str, Any]:
    """Return the sentences, the key figures, the origins, the points and the values of the charts of a report."""
    profiles = [
        {
            "id": view.document.id,
            "name": answer.label,
            "sentence": answer.sentence,
            "qualifications": list(answer.qualifications),
            "point": view.point.name if view.point else None,
            "key_figures": [{"name": name, "value": value, "unit": unit} for name, value, unit in answer.tiles],
            "origins": dict(origins(view)),
        }
        for view, answer in zip(views, answers_of(views), strict=True)
    ]
    table = points_table([view.plain for view in views])
    headings = [column.heading for column in table.columns]
    charts = []
    for chart in (chart for section in sections_of(views) for chart in section.charts):
        names, rows = columns(chart)
        about = {"key": chart.key, "title": chart.title, "summary": chart.summary}
        charts.append({**about, "columns": list(names), "rows": [list(row) for row in rows]})
    return {
        "schema": SCHEMA,
        "created": created,
        "profiles": profiles,
        "points": [dict(zip(headings, row, strict=True)) for row in table.rows],
        "charts": charts,
    }


def json_text(views: Sequence[View], created: str) -> str:
    """Return the report as JSON text."""
    return f"{json.dumps(json_report(views, created), indent=2, allow_nan=False)}\n"


def csv_text(views: Sequence[View], created: str) -> str:  # noqa: ARG001  a format as the others
    """Return the points of all profiles as CSV, whose cells no spreadsheet computes."""
    stream = StringIO()
    write_csv(points_table([view.plain for view in views]), stream)
    return stream.getvalue()


def markdown_text(views: Sequence[View], created: str) -> str:
    """Return sentences, key figures, points and warnings as Markdown."""
    stream = StringIO()
    for view, answer in zip(views, answers_of(views), strict=True):
        stream.write(f"## {escaped(answer.label)}\n\n**{escaped(answer.sentence)}**\n\n")
        stream.write(f"{escaped(' '.join(answer.qualifications))}\n\n")
        stream.writelines(f"- {name}: {escaped(value)} {escaped(unit)}\n" for name, value, unit in answer.tiles)
        for heading, lines in origins(view):
            stream.write(f"\n### {heading}\n\n")
            stream.writelines(f"- {escaped(line)}\n" for line in lines)
        stream.write("\n")
    stream.write("## Points\n\n")
    write_markdown(points_table([view.plain for view in views]), stream)
    stream.write(f"\nMade {created} by Inferometer.\n")
    return printable(stream.getvalue())
