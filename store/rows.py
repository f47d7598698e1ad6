"""Inserts rows with portable SQL, and many rows fast."""

from __future__ import annotations

import struct
from functools import cache, lru_cache
from typing import TYPE_CHECKING, Any

from sqlalchemy import Connection, Table, delete, insert, select, update

from store.codec.checksums import checksummed_columns, with_checksum

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence


@cache
def _doubles(count: int) -> struct.Struct:
    return struct.Struct(f"<{count}d")


def pack(values: Sequence[float]) -> bytes:
    """Pack floats as little-endian doubles, 8 bytes each."""
    return _doubles(len(values)).pack(*values)


def unpack(packed: bytes) -> tuple[float, ...]:
    """Return the floats that `pack` packed."""
    return _doubles(len(packed) // 8).unpack(packed)


def insert_statement(table: Table, columns: tuple[str, ...]) -> str:
    """Return the SQL that inserts a row of these columns, in the form of SQLite's driver."""
    places = ", ".join("?" * len(columns))
    return f"INSERT INTO {table.name} ({', '.join(columns)}) VALUES ({places})"  # noqa: S608  our own names


def insert_all(connection: Connection, table: Table, columns: tuple[str, ...], rows: Sequence[tuple[Any, ...]]) -> None:
    """Insert rows, their values in the order of `columns`. SQLite's driver receives them directly, which is fast."""
    if not rows:
        return
    if connection.dialect.name == "sqlite":
        connection.exec_driver_sql(insert_statement(table, columns), list(rows))
    else:
        connection.execute(insert(table), [dict(zip(columns, row, strict=True)) for row in rows])


def delete_ids(connection: Connection, table: Table, ids: Sequence[int]) -> int:
    """Delete the rows with these ids; return the number of deleted rows."""
    if connection.dialect.name == "sqlite":
        words = f"DELETE FROM {table.name} WHERE id = ?"  # noqa: S608  our own names
        return connection.exec_driver_sql(words, [(number,) for number in ids]).rowcount
    return connection.execute(delete(table).where(table.c.id.in_(ids))).rowcount


def storable_row(row: Mapping[str, Any]) -> dict[str, Any]:
    """Return the row with question marks for invalid Unicode (a file name in another encoding), and without NULs.

    SQLite refuses the former and PostgreSQL both, which must not cost a run its profile.
    """
    return {name: storable_text(value) if isinstance(value, str) else value for name, value in row.items()}


@lru_cache(4096)
def storable_text(text: str) -> str:
    """Return one text in the form of `storable_row`."""
    return text.encode("utf-8", "replace").decode().replace("\0", "")


def stored_row(table: Table, row: Mapping[str, Any]) -> dict[str, Any]:
    """Return a row in its stored form: with its checksum, and NULL for missing columns."""
    absent = dict.fromkeys(column.name for column in checksummed_columns(table))
    return with_checksum(table, storable_row({**absent, **row}))


def insert_row(connection: Connection, table: Table, row: Mapping[str, Any]) -> Any:
    """Insert a row and return its id."""
    return connection.execute(insert(table).values(**stored_row(table, row))).inserted_primary_key[0]  # type: ignore[index]


def upsert(connection: Connection, table: Table, key: str, row: Mapping[str, Any]) -> bool:
    """Update the row with the id `key`, or insert it; return whether it is new.

    On SQLite the caller's transaction holds the write lock.
    """
    known = connection.execute(select(table).where(table.c.id == key)).mappings().first()
    if known is None:
        insert_row(connection, table, {"id": key, **row})
    else:
        changed = stored_row(table, {**known, **row})
        connection.execute(update(table).where(table.c.id == key).values(**changed))
    return known is None
