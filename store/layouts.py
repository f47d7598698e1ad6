"""Reads the layouts of a recording with their channels, without damaged ones."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from sqlalchemy import select

from store import schema
from store.inventory import channel_of
from store.records import Layout
from store.scan import parse_channel_ids

if TYPE_CHECKING:
    from sqlalchemy import Connection, RowMapping, Table

    from probes.model import Channel
    from store.damage import RowVerifier


def load_layouts(connection: Connection, recording: int, verifier: RowVerifier) -> tuple[Layout, ...]:
    """Return the layouts of a recording whose row and channels are all intact; report the others."""
    table = schema.layouts
    query = select(table).where(table.c.recording_id == recording).order_by(table.c.id)
    found = []
    for row in connection.execute(query).mappings().all():
        numbers = channel_ids(row, verifier)
        if numbers is None:
            continue
        known = _channels(connection, numbers, verifier)
        missing = [number for number in numbers if number not in known]
        if missing:
            verifier.report_damage(table, (row["id"],), f"its channels {missing} are damaged or missing")
        else:
            found.append(Layout(row["id"], row["probe"], tuple(known[number] for number in numbers)))
    return tuple(found)


def channel_ids(row: RowMapping, verifier: RowVerifier) -> list[int] | None:
    """Return the ids of a layout's channels, or None after reporting a damaged layout."""
    if not verifier.is_intact(schema.layouts, row):
        return None
    numbers = parse_channel_ids(row["channel_ids"])
    if numbers is None:
        verifier.report_damage(schema.layouts, (row["id"],), "its channels are not a list of numbers")
    return numbers


def _channels(connection: Connection, numbers: list[int], verifier: RowVerifier) -> dict[int, Channel]:
    channels, devices = schema.channels, schema.devices
    rows = _by_id(connection, channels, set(numbers), verifier)
    owners = _by_id(connection, devices, {row["device_id"] for row in rows.values()}, verifier)
    return {
        number: channel_of(row, owners[row["device_id"]]) for number, row in rows.items() if row["device_id"] in owners
    }


def _by_id(connection: Connection, table: Table, numbers: set[Any], verifier: RowVerifier) -> dict[int, RowMapping]:
    rows = connection.execute(select(table).where(table.c.id.in_(numbers))).mappings()
    return {row["id"]: row for row in rows if verifier.is_intact(table, row)}
