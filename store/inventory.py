"""Stores the devices and channels of a host, each under a permanent id, with their latest properties."""

from __future__ import annotations

import json
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from sqlalchemy import ColumnElement, Connection, RowMapping, Table, select, update

from probes.model import Channel, Device, Kind, Source
from store import schema
from store.rows import insert_row, stored_row

if TYPE_CHECKING:
    from collections.abc import Iterable

    from store.records import Host

ChannelKey = tuple[str, str, str, str]


def host_row(host: Host) -> dict[str, Any]:
    """Return the row of a host without its id."""
    return {
        "name": host.name,
        "kernel": host.kernel,
        "operating_system": host.operating_system,
        "cpu_model": host.cpu_model,
        "microarchitecture": host.microarchitecture,
        "cpu_flags": " ".join(host.cpu_flags),
        "cores": host.cores,
        "memory_bytes": host.memory_bytes,
        "virtual": host.virtual,
    }


def upsert_channels(connection: Connection, host_id: str, channels: Iterable[Channel]) -> dict[ChannelKey, int]:
    """Insert the channels and their devices, or update their changed properties; return the channels' ids by `key`."""
    unique = {channel.key: channel for channel in channels}
    devices = {channel.device.id: channel.device for channel in unique.values()}
    own = schema.devices.c.host_id == host_id
    rows = [_device_row(host_id, device) for device in devices.values()]
    device_ids = dict(zip(devices, _upsert_rows(connection, schema.devices, ("key",), own, rows), strict=True))
    own = schema.channels.c.device_id.in_(select(schema.devices.c.id).where(own))
    rows = [_channel_row(device_ids[channel.device.id], channel) for channel in unique.values()]
    names = ("device_id", "domain", "metric", "source")
    return dict(zip(unique, _upsert_rows(connection, schema.channels, names, own, rows), strict=True))


def _upsert_rows(
    connection: Connection, table: Table, names: tuple[str, ...], own: ColumnElement[bool], rows: list[dict[str, Any]]
) -> list[int]:
    """Insert or update rows of a table, identified by the columns `names` among `own`; return their ids.

    A damaged row of the same names is replaced, because its checksum differs.
    """
    found = connection.execute(select(table).where(own)).mappings()
    known = {tuple(row[name] for name in names): dict(row) for row in found}
    ids = []
    for row in (stored_row(table, each) for each in rows):
        key = tuple(row[name] for name in names)
        if key not in known:
            known[key] = {**row, "id": insert_row(connection, table, row)}
        elif any(known[key][name] != value for name, value in row.items()):
            connection.execute(update(table).where(table.c.id == known[key]["id"]).values(**row))
        ids.append(known[key]["id"])
    return ids


def _device_row(host_id: str, device: Device) -> dict[str, Any]:
    return {
        "host_id": host_id,
        "key": device.id,
        "kind": device.kind.value,
        "name": device.name,
        "attributes": json.dumps(device.attributes),
    }


def _channel_row(device_id: int, channel: Channel) -> dict[str, Any]:
    return {
        "device_id": device_id,
        "domain": channel.domain,
        "metric": channel.metric,
        "source": channel.source.value,
        "method": channel.method,
        "refresh_seconds": channel.refresh_seconds,
        "resolution": channel.resolution,
        "contained_in": json.dumps(channel.contained_in),
        "power_limit": channel.max_plausible,
        "uncertainty": channel.uncertainty,
        "wraps_at": channel.wraps_at,
        "observed_refresh_seconds": channel.observed_refresh_seconds,
        "read_seconds": channel.read_seconds,
        "aliased": channel.aliased,
    }


@lru_cache(4096)
def _pairs(text: str) -> tuple[tuple[str, str], ...]:
    return tuple((one, other) for one, other in json.loads(text))


def channel_of(row: RowMapping, device: RowMapping) -> Channel:
    """Return the channel of an intact row of channels and the row of its device."""
    return Channel(
        Device(device["key"], Kind(device["kind"]), device["name"], _pairs(device["attributes"])),
        row["domain"],
        row["metric"],
        Source(row["source"]),
        row["method"],
        row["refresh_seconds"],
        row["resolution"],
        _pairs(row["contained_in"]),
        row["power_limit"],
        row["uncertainty"],
        row["wraps_at"],
        row["observed_refresh_seconds"],
        row["read_seconds"],
        row["aliased"],
    )
