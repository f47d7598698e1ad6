"""Reads whole tables row by row, in transactions short enough to leave the write-ahead log small."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from sqlalchemy import String, select, tuple_

from store import schema
from store.codec.checksums import types_match
from store.damage import Damage, RowVerifier, wrong_length
from store.engines import snapshot_engine
from store.records import RunStatus

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from sqlalchemy import Connection, Engine, RowMapping, Table

_BATCH_ROWS = 500
_CHECKED = tuple(table for table in schema.metadata.sorted_tables if "checksum" in table.c)


def damaged_rows(engine: Engine) -> Iterator[str | Damage]:
    """Yield the damaged rows of all tables except the chunks, parents first, and a sentence for any other problem.

    A row is damaged if its checksum is wrong, or if it has none and its content is invalid.
    """
    for table in _CHECKED:
        if table is not schema.chunks:
            yield from _damaged_rows_of_table(engine, table)


def _damaged_rows_of_table(engine: Engine, table: Table) -> Iterator[str | Damage]:
    last: tuple[Any, ...] | None = None
    while True:
        found: list[Damage] = []
        with snapshot_engine(engine).connect() as connection:
            rows = _next(connection, table, last)
            verifier = RowVerifier(connection, found.append)
            lengths = _lengths(connection, rows) if table is schema.ticks else {}
            for row in rows:
                if verifier.is_intact(table, row) and (cause := _fault(table, row, lengths)):
                    verifier.report_damage(table, key_of(table, row), cause)
        yield from found
        if not rows:
            return
        following = key_of(table, rows[-1])
        if last is not None and not following > last:
            yield f"The rows of {table.name} are out of order after {following}"
            return
        last = following


def key_of(table: Table, row: RowMapping) -> tuple[Any, ...]:
    """Return the primary key of a row."""
    return tuple(row[column.name] for column in table.primary_key)


def _next(connection: Connection, table: Table, last: tuple[Any, ...] | None) -> Sequence[RowMapping]:
    """Return the rows after a key; all at once for a table with texts in its key, which is small."""
    wanted = select(table).order_by(*table.primary_key)
    if any(isinstance(column.type, String) for column in table.primary_key):
        return [] if last is not None else connection.execute(wanted).mappings().all()
    if last is not None:
        wanted = wanted.where(tuple_(*table.primary_key) > last)
    return connection.execute(wanted.limit(_BATCH_ROWS)).mappings().all()


def _lengths(connection: Connection, ticks: Sequence[RowMapping]) -> dict[int, int]:
    """Return the number of bytes of a tick's readings by layout, without damaged layouts."""
    wanted = select(schema.layouts).where(schema.layouts.c.id.in_({row["layout_id"] for row in ticks}))
    rows = connection.execute(wanted).mappings().all()
    channels = {row["id"]: channels_of(connection, row) for row in rows}
    return {number: 8 * len(numbers) for number, numbers in channels.items() if numbers is not None}


def channels_of(connection: Connection, layout: RowMapping) -> list[int] | None:
    """Return the ids of a layout's channels, None if the layout is damaged."""
    if RowVerifier(connection, None).fault(schema.layouts, layout):
        return None
    return parse_channel_ids(layout["channel_ids"])


def parse_channel_ids(text: str) -> list[int] | None:
    """Return the list of numbers in a JSON text, None for any other content."""
    found = _json(text)
    return found if isinstance(found, list) and all(type(number) is int for number in found) else None


def _json(text: str) -> Any:
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return None


def _fault(table: Table, row: RowMapping, lengths: dict[int, int]) -> str:
    """Return the cause if the values of a row are invalid, else nothing; their types are checked first."""
    return _content_fault(table, row, lengths) if types_match(table, row) else "it holds a value of the wrong type"


def _content_fault(table: Table, row: RowMapping, lengths: dict[int, int]) -> str:
    """Return the cause if the content of a row is invalid, else nothing."""
    if table is schema.ticks:
        length = lengths.get(row["layout_id"])
        return wrong_length(row["readings"], length) if length not in {None, len(row["readings"])} else ""
    if table is schema.layouts and parse_channel_ids(row["channel_ids"]) is None:
        return "its channels are not a list of numbers"
    if table is schema.runs and row["status"] not in set(RunStatus):
        return f"{row['status']!r} is not a status of a run"
    if table is schema.profiles and not isinstance(_json(row["document"]), dict):
        return "its document is not a JSON object"
    if table is schema.windows and (len(row["latencies"]) % 8 or len(row["steps"]) % 8):
        return "its times are not whole numbers"
    return ""
