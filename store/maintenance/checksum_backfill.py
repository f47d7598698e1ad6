"""Adds checksums to rows of an older version, a few hundred in a transaction."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sqlalchemy import and_, delete, select, update

from store import schema
from store.codec.checksums import NAME, checksum, types_match
from store.damage import KEYS
from store.engines import write_engine

if TYPE_CHECKING:
    from collections.abc import Callable

    from sqlalchemy import Connection, Engine

_BATCH_ROWS = 500
_MAX_BATCHES = 200
"""The number of transactions in one call, which bounds its time; the next call continues."""


def backfill_checksums(engine: Engine, pause: Callable[[], object]) -> bool:
    """Add checksums to rows; return False if `pause` ended it.

    The table `unchecked` records the progress, so a call continues where the previous one ended. A row with a value of
    the wrong type gets no checksum, and counts as damaged. No other check is made: readers and `check` find a chunk
    that cannot be unpacked, with or without a checksum.
    """
    for _ in range(_MAX_BATCHES):
        with write_engine(engine).begin() as connection:
            name = connection.execute(select(schema.unchecked.c.table_name)).scalar()
            if name is None:
                return True
            _backfill_batch(connection, name)
        if pause():
            return False
    return True


def _backfill_batch(connection: Connection, name: str) -> None:
    """Add checksums to the next rows of a table; remove the table from the list after its last row."""
    table, mine = schema.metadata.tables[name], schema.unchecked.c.table_name == name
    key = table.c[KEYS[name]]
    place = connection.execute(select(schema.unchecked).where(mine)).one()
    waiting = select(table).where(key > place.done_key, key <= place.last_key)
    rows = connection.execute(waiting.order_by(key).limit(_BATCH_ROWS)).mappings().all()
    if rows:
        last = rows[-1][KEYS[name]]  # all roll-ups of a minute belong to one step
        rows = connection.execute(waiting.where(key <= last)).mappings().all()
    for row in rows:
        if row[NAME] is None and types_match(table, row):
            this = and_(*(column == row[column.name] for column in table.primary_key))
            connection.execute(update(table).where(this).values(**{NAME: checksum(table, row)}))
    if rows:
        connection.execute(update(schema.unchecked).where(mine).values(done_key=last))
    else:
        connection.execute(delete(schema.unchecked).where(mine))
