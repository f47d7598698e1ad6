"""Stores the accumulated value of each counter over restarts and reboots, one row a counter."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from sqlalchemy import Connection, bindparam, delete, select

from probes.model import Source
from store import schema
from store.codec.checksums import NAME, ChecksumAppender
from store.records import Total
from store.rows import insert_all, storable_text

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from store.damage import RowVerifier

_COLUMNS = Total._fields
_KEY = _COLUMNS[:6]
_STORED = (*_COLUMNS, NAME)
_OLD = tuple(f"old_{name}" for name in _KEY)
_DELETE_KEYS = delete(schema.totals).where(*(schema.totals.c[name] == bindparam(f"old_{name}") for name in _KEY))
REPLACE_TOTALS = (
    f"INSERT INTO totals ({', '.join(_STORED)}) VALUES ({', '.join('?' * len(_STORED))}) "  # noqa: S608  our own names
    f"ON CONFLICT ({', '.join(_KEY)}) DO UPDATE SET {', '.join(f'{name} = excluded.{name}' for name in _STORED[6:])}"
)
_append_checksums = ChecksumAppender(schema.totals, _COLUMNS)


def rows_of(totals: Iterable[Total]) -> list[tuple[Any, ...]]:
    """Return the rows of totals, each with its checksum, in the order of `REPLACE_TOTALS`."""
    return _append_checksums((*map(storable_text, total[:7]), *total[7:]) for total in totals)


def replace_totals(connection: Connection, totals: Sequence[Total]) -> None:
    """Insert totals, replacing those of the same counters."""
    if connection.dialect.name == "sqlite":
        connection.exec_driver_sql(REPLACE_TOTALS, rows_of(totals))
        return
    connection.execute(_DELETE_KEYS, [dict(zip(_OLD, total, strict=False)) for total in totals])
    insert_all(connection, schema.totals, _STORED, rows_of(totals))


def load_totals(connection: Connection, host_id: str, verifier: RowVerifier) -> tuple[Total, ...]:
    """Return every intact total of a host."""
    table = schema.totals
    found = connection.execute(select(table).where(table.c.host_id == host_id).order_by(*table.primary_key))
    rows = [row for row in found if verifier.is_intact(table, row._mapping)]  # noqa: SLF001  SQLAlchemy's public name
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
