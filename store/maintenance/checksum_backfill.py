"""Gives checksums to rows that an older version wrote, a few hundred in a transaction."""

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
"""Transactions in one call: it bounds the time, and the next call goes on."""


def backfill_checksums(engine: Engine, pause: Callable[[], object]) -> bool:
    """Give rows their checksums; return whether no `pause` ended it.

    The table `unchecked` says how far this got, so it begins where it ended before. A row with a
    value of the wrong type gets none, and counts as damaged. The rows are not examined further: a chunk that cannot be
    unpacked is found by its readers and by a check, with a checksum or without.
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
    """Give the next rows of a table their checksums; forget the table once there are no more."""
    table, mine = schema.metadata.tables[name], schema.unchecked.c.table_name == name
    key = table.c[KEYS[name]]
    place = connection.execute(select(schema.unchecked).where(mine)).one()
    waiting = select(table).where(key > place.done_key, key <= place.last_key)
    rows = connection.execute(waiting.order_by(key).limit(_BATCH_ROWS)).mappings().all()
    if rows:
        last = rows[-1][KEYS[name]]  # of a minute, all roll-ups belong to one step
        rows = connection.execute(waiting.where(key <= last)).mappings().all()
    for row in rows:
        if row[NAME] is None and types_match(table, row):
            this = and_(*(column == row[column.name] for column in table.primary_key))
            connection.execute(update(table).where(this).values(**{NAME: checksum(table, row)}))
    if rows:
        connection.execute(update(schema.unchecked).where(mine).values(done_key=last))
    else:
        connection.execute(delete(schema.unchecked).where(mine))
