"""Checksums of rows: CRC-32 over every column, so that a changed bit is found when the row is read."""

from __future__ import annotations

import struct
from functools import cache, lru_cache
from typing import TYPE_CHECKING, Any
from zlib import crc32

from sqlalchemy import Float, Integer

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from sqlalchemy import Column, RowMapping, Table

NAME = "checksum"
_INTEGER, _DOUBLE = struct.Struct("<q"), struct.Struct("<d")
_NULL = b"\xff"
_CACHED_TABLES = frozenset({"devices", "channels"})


@cache
def checksummed_columns(table: Table) -> tuple[Column[Any], ...]:
    """Return the columns that a table's checksum covers, by name: all except itself and an id assigned by the database.

    A damaged id of that kind breaks an index or a reference, which SQLite's own checks find.
    """
    given = table.c.id if "id" in table.c and isinstance(table.c.id.type, Integer) else None
    return tuple(sorted((each for each in table.c if each.name != NAME and each is not given), key=_order))


def later(column: Column[Any]) -> bool:
    """Return whether a column was added after the checksums: then NULL adds nothing, so older rows stay valid."""
    return bool(column.info.get("later"))


def _order(column: Column[Any]) -> tuple[bool, str]:
    return later(column), column.name


def checksum(table: Table, row: Mapping[str, Any] | RowMapping) -> int:
    """Return the checksum of a row, given as its values by column name."""
    return crc32(b"".join([_column_part(column, row[column.name]) for column in checksummed_columns(table)]))


def types_match(table: Table, row: Mapping[str, Any] | RowMapping) -> bool:
    """Return whether every value of a row has its column's type; SQLite stores a value of any type."""
    return all(
        row[each.name] is None or type(row[each.name]) is each.type.python_type for each in checksummed_columns(table)
    )


def stored_checksum(table: Table, row: Mapping[str, Any] | RowMapping) -> int:
    """Return the checksum of a row as it was read, in the order and with the types of the database.

    Checksums of devices and channels are cached: these rows are read again with every part of the samples.
    """
    values = tuple(row.values())
    return _cached_checksum(table, values) if table.name in _CACHED_TABLES else _of_values(table, values)


@lru_cache(4096)
def _cached_checksum(table: Table, values: tuple[Any, ...]) -> int:
    return _of_values(table, values)


def _of_values(table: Table, values: tuple[Any, ...]) -> int:
    parts = [_part(values[place]) for place in _places(table)]
    return crc32(b"".join([*parts, *(_column_part(column, values[place]) for column, place in _later_places(table))]))


@cache
def _places(table: Table) -> tuple[int, ...]:
    names = [column.name for column in table.c]
    return tuple(names.index(column.name) for column in checksummed_columns(table) if not later(column))


@cache
def _later_places(table: Table) -> tuple[tuple[Column[Any], int], ...]:
    names = [column.name for column in table.c]
    return tuple((column, names.index(column.name)) for column in checksummed_columns(table) if later(column))


def with_checksum(table: Table, row: Mapping[str, Any]) -> dict[str, Any]:
    """Return a row with its checksum."""
    return {**row, NAME: checksum(table, row)}


class ChecksumAppender:
    """Appends checksums to rows given as tuples, all of one table and in one order of columns."""

    __slots__ = ("_order",)

    def __init__(self, table: Table, columns: Sequence[str]) -> None:
        self._order = [
            (columns.index(each.name), isinstance(each.type, Float), each.name.encode() if later(each) else b"")
            for each in checksummed_columns(table)
        ]

    def __call__(self, rows: Iterable[Sequence[Any]]) -> list[tuple[Any, ...]]:
        """Return the rows, each followed by its checksum."""
        return [(*row, self.of(row)) for row in rows]

    def of(self, row: Sequence[Any]) -> int:
        """Return the checksum of one row."""
        parts = []
        for place, real, later_name in self._order:
            value = row[place]
            if later_name and value is None:
                continue
            parts.append(later_name)
            if type(value) is str:
                parts.append(_text_part(value))
            else:
                parts.append(_part(float(value) if real and isinstance(value, int) else value))
        return crc32(b"".join(parts))


def _stored(column: Column[Any], value: Any) -> Any:
    """Return a value as the database returns it: a whole number in a column of floats is a float."""
    return float(value) if isinstance(value, int) and isinstance(column.type, Float) else value


def _column_part(column: Column[Any], value: Any) -> bytes:
    if not later(column):
        return _part(_stored(column, value))
    return b"" if value is None else column.name.encode() + _part(_stored(column, value))


def _part(value: Any) -> bytes:
    """Encode one value as the database returns it: a NaN as NULL, -0.0 as 0.0; other types never encode alike."""
    if value is None or value != value:  # noqa: PLR0124  NaN is the value that differs from itself
        return _NULL
    if isinstance(value, float):
        return b"d" + _DOUBLE.pack(value + 0.0)
    if isinstance(value, str):
        return _text_part(value)
    if isinstance(value, bytes):
        return _INTEGER.pack(len(value)) + value
    return _INTEGER.pack(value)


@lru_cache(4096)
def _text_part(text: str) -> bytes:
    """Encode a text; those of totals are the same every second."""
    encoded = text.encode("utf-8", "surrogateescape")
    return b"t" + _INTEGER.pack(len(encoded)) + encoded


@cache
def _tick(count: int) -> struct.Struct:
    return struct.Struct(f"<3q{count}dq")


def packed_tick(layout: int, start_ns: int, end_ns: int, values: Sequence[float]) -> tuple[int, int, int, bytes, int]:
    """Return the row of a tick with its checksum, equal to that of `ChecksumAppender`, in a fifth of the time."""
    count = len(values)
    whole = _tick(count).pack(end_ns, layout, 8 * count, *values, start_ns)
    return layout, start_ns, end_ns, whole[24:-8], crc32(whole)


def tick_checksum(layout: int, start_ns: int, end_ns: int, readings: bytes) -> int:
    """Return the checksum of a stored tick."""
    return crc32(b"".join((struct.pack("<3q", end_ns, layout, len(readings)), readings, _INTEGER.pack(start_ns))))
