"""Reads the layouts of a recording with their channels, leaving out those that cannot be trusted."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from sqlalchemy import select

from store import schema
from store.inventory import channel_of
from store.records import Layout
from store.scan import numbers_of

if TYPE_CHECKING:
    from sqlalchemy import Connection, RowMapping, Table

    from probes.model import Channel
    from store.damage import Inspection


def layouts_of(connection: Connection, recording: int, inspection: Inspection) -> tuple[Layout, ...]:
    """Return the layouts of a recording of which the row and every channel are sound; the others are reported."""
    table = schema.layouts
    query = select(table).where(table.c.recording_id == recording).order_by(table.c.id)
    found = []
    for row in connection.execute(query).mappings().all():
        numbers = channel_ids(row, inspection)
        if numbers is None:
            continue
        known = _channels(connection, numbers, inspection)
        missing = [number for number in numbers if number not in known]
        if missing:
            inspection.found(table, (row["id"],), f"its channels {missing} are damaged or gone")
        else:
            found.append(Layout(row["id"], row["probe"], tuple(known[number] for number in numbers)))
    return tuple(found)


def channel_ids(row: RowMapping, inspection: Inspection) -> list[int] | None:
    """Return the ids of a layout's channels; None if the layout is damaged, which is reported."""
    if not inspection.sound(schema.layouts, row):
        return None
    numbers = numbers_of(row["channel_ids"])
    if numbers is None:
        inspection.found(schema.layouts, (row["id"],), "its channels are no list of numbers")
    return numbers


def _channels(connection: Connection, numbers: list[int], inspection: Inspection) -> dict[int, Channel]:
    channels, devices = schema.channels, schema.devices
    rows = _by_id(connection, channels, set(numbers), inspection)
    owners = _by_id(connection, devices, {row["device_id"] for row in rows.values()}, inspection)
    return {
        number: channel_of(row, owners[row["device_id"]]) for number, row in rows.items() if row["device_id"] in owners
    }


def _by_id(connection: Connection, table: Table, numbers: set[Any], inspection: Inspection) -> dict[int, RowMapping]:
    rows = connection.execute(select(table).where(table.c.id.in_(numbers))).mappings()
    return {row["id"]: row for row in rows if inspection.sound(table, row)}
