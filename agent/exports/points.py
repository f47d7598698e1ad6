"""The points of profiles as a table, for spreadsheets and analysis tools: CSV and Parquet."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING

import msgspec

from agent.exports.records import Exported, Exporter
from agent.exports.tables import points_table, write_csv, write_parquet

if TYPE_CHECKING:
    from agent.exports.records import ExportRequest
    from agent.exports.tables import Table


def _table(request: ExportRequest) -> Table:
    return points_table([msgspec.to_builtins(each) for each in request.documents])


def _csv(request: ExportRequest) -> Exported:
    stream = io.StringIO()
    write_csv(_table(request), stream)
    return Exported({"points.csv": stream.getvalue().encode()})


def _parquet(request: ExportRequest) -> Exported:
    stream = io.BytesIO()
    write_parquet(_table(request), stream)
    return Exported({"points.parquet": stream.getvalue()})


CSV = Exporter("csv", "a row for each point with the units in the headings, as CSV", _csv)
PARQUET = Exporter("parquet", "the same table as Parquet", _parquet, binary=True)
