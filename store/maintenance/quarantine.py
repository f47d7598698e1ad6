"""Moves damaged rows out of their tables, with all of their bytes."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from sqlalchemy import LargeBinary, and_, cast, delete, insert, select
from sqlalchemy.exc import IntegrityError

from store import schema
from store.damage import NO_CHECKSUM, WRONG_CHECKSUM, RowVerifier
from store.engines import write_engine
from store.error_messages import translate_errors

if TYPE_CHECKING:
    from sqlalchemy import Column, ColumnElement, Connection, Engine, RowMapping, Table

    from store.damage import Damage


def quarantine(engine: Engine, damage: Damage, now_ns: int) -> bool:
    """Move a damaged row to the table `quarantine`; return False if other rows refer to it, or if it is gone or intact.

    Raises StoreError.
    """
    table = schema.metadata.tables[damage.table]
    with translate_errors(engine):
        try:
            with write_engine(engine).begin() as connection:
                row = connection.execute(select(table).where(_key_is(table, damage.key))).mappings().first()
                if row is None or not _still_damaged(connection, table, row, damage):
                    return False
                move_row(connection, table, row, damage.cause, now_ns)
        except IntegrityError:
            return False
    return True


def _still_damaged(connection: Connection, table: Table, row: RowMapping, damage: Damage) -> bool:
    """Return False if an intact row replaced one with a wrong or missing checksum since it was found."""
    if damage.cause not in {WRONG_CHECKSUM, NO_CHECKSUM}:
        return True
    return bool(RowVerifier(connection, None).fault(table, row))


def move_row(connection: Connection, table: Table, row: RowMapping, cause: str, now_ns: int) -> None:
    """Move one row inside the caller's transaction. Raises IntegrityError if other rows refer to it."""
    kept = {"table_name": table.name, "found_ns": now_ns, "cause": cause, "content": _content(row)}
    connection.execute(insert(schema.quarantine).values(**kept))
    key = tuple(row[column.name] for column in table.primary_key)
    connection.execute(delete(table).where(_key_is(table, key)))


def _key_is(table: Table, key: tuple[Any, ...]) -> Any:
    return and_(*(_equals(column, value) for column, value in zip(table.primary_key, key, strict=True)))


def _equals(column: Column[Any], value: Any) -> ColumnElement[bool]:
    """Compare a column; a damaged text, which is not UTF-8, by its bytes."""
    if isinstance(value, str) and not value.isascii():
        return cast(column, LargeBinary) == value.encode("utf-8", "surrogateescape")
    same: ColumnElement[bool] = column == value
    return same


def _content(row: RowMapping) -> bytes:
    plain = {name: {"hex": value.hex()} if isinstance(value, bytes) else value for name, value in row.items()}
    return json.dumps(plain).encode()
