"""Stores the traffic of inference servers, one row for each model and hour."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from sqlalchemy import ColumnElement, Connection, and_, delete, func, select

from store import schema
from store.records import SERVING_HOUR_COLUMNS, ServingHour
from store.rows import insert_row, storable_text

if TYPE_CHECKING:
    from collections.abc import Sequence

    from store.damage import RowVerifier

_table = schema.serving_hours
HOUR_NS = 3600 * 10**9


def replace_hours(connection: Connection, hours: Sequence[ServingHour]) -> None:
    """Insert hours, each replacing the stored one of the same model."""
    for each in hours:
        row: dict[str, Any] = asdict(each)
        key = (_table.c[column.name] == storable(row[column.name]) for column in _table.primary_key)
        connection.execute(delete(_table).where(and_(*key)))
        insert_row(connection, _table, row)


def storable(value: Any) -> Any:
    """Return a value of a key as the database has it."""
    return storable_text(value) if isinstance(value, str) else value


def load_hours(connection: Connection, since_ns: int, until_ns: int, verifier: RowVerifier) -> tuple[ServingHour, ...]:
    """Return the intact hours that overlap a time, the oldest first."""
    wanted = select(_table).where(_table.c.hour >= since_ns // HOUR_NS, _table.c.hour * HOUR_NS < until_ns)
    rows = connection.execute(wanted.order_by(_table.c.hour, _table.c.server, _table.c.model)).mappings()
    return tuple(
        ServingHour(*(row[name] for name in SERVING_HOUR_COLUMNS)) for row in rows if verifier.is_intact(_table, row)
    )


def count_before(connection: Connection, before_ns: int) -> int:
    """Return the number of hours that began before a moment."""
    return connection.execute(select(func.count()).where(_is_before(before_ns))).scalar_one()


def delete_before(connection: Connection, before_ns: int) -> int:
    """Delete the hours that began before a moment; return their number."""
    return connection.execute(delete(_table).where(_is_before(before_ns))).rowcount


def _is_before(before_ns: int) -> ColumnElement[bool]:
    return _table.c.hour < before_ns // HOUR_NS
