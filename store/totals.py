"""Keeps what each counter has come to over restarts and reboots, one row a counter."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sqlalchemy import Connection, bindparam, delete, select

from probes.model import Source
from store import schema
from store.records import Total
from store.rows import insert_all

if TYPE_CHECKING:
    from collections.abc import Sequence

_COLUMNS = Total._fields
_KEY = _COLUMNS[:6]
_OLD = tuple(f"old_{name}" for name in _KEY)
_FORGET = delete(schema.totals).where(*(schema.totals.c[name] == bindparam(f"old_{name}") for name in _KEY))
REPLACE_TOTALS = (
    f"INSERT INTO totals ({', '.join(_COLUMNS)}) VALUES ({', '.join('?' * len(_COLUMNS))}) "  # noqa: S608  our own names
    f"ON CONFLICT ({', '.join(_KEY)}) DO UPDATE SET {', '.join(f'{name} = excluded.{name}' for name in _COLUMNS[6:])}"
)


def replace_totals(connection: Connection, totals: Sequence[Total]) -> None:
    """Put totals in the place of what was known of the same counters."""
    if connection.dialect.name == "sqlite":
        connection.exec_driver_sql(REPLACE_TOTALS, list(totals))
        return
    connection.execute(_FORGET, [dict(zip(_OLD, total, strict=False)) for total in totals])
    insert_all(connection, schema.totals, _COLUMNS, totals)


def totals_of(connection: Connection, host_id: str) -> tuple[Total, ...]:
    """Return every total of a host."""
    table = schema.totals
    rows = connection.execute(select(table).where(table.c.host_id == host_id).order_by(*table.primary_key)).all()
    return tuple(
        Total(
            row.host_id,
            row.probe,
            row.device,
            row.domain,
            row.metric,
            Source(row.source),
            row.boot_id,
            row.raw,
            row.total,
            row.at_ns,
        )
        for row in rows
    )
