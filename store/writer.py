"""Writes to the store: what is sampled in batches of one transaction, what is derived one by one."""

from __future__ import annotations

import json
import os
import struct
from typing import TYPE_CHECKING, Any

from sqlalchemy import Connection, Engine, Table, insert, select, update

from store import schema
from store.database import explained, writing
from store.records import Layout

if TYPE_CHECKING:
    from collections.abc import Sequence

    from probes.model import Channel, Device
    from store.records import Host, Profile, Run, Tick, Window


def pack(values: Sequence[float]) -> bytes:
    """Pack floats as little-endian doubles, 8 bytes each."""
    return struct.pack(f"<{len(values)}d", *values)


def unpack(packed: bytes) -> tuple[float, ...]:
    """Undo `pack`."""
    return struct.unpack(f"<{len(packed) // 8}d", packed)


class Writer:
    """One process's way into the store; every method is one transaction and raises StoreError if it fails.

    `recording` numbers this process's samples, so that two programs that sample one host at once never mix.
    """

    def __init__(self, engine: Engine) -> None:
        self._engine = writing(engine)
        self.recording = 0

    def register(
        self, host: Host, probes: Sequence[tuple[str, tuple[Channel, ...]]], program: str, started_ns: int
    ) -> tuple[Layout, ...]:
        """Keep the host, its devices and channels, open a recording, and return one layout a probe."""
        with explained(self._engine), self._engine.begin() as connection:
            _upsert(connection, schema.hosts, {"id": host.id}, _host_row(host))
            self.recording = _inserted(
                connection,
                schema.recordings,
                host_id=host.id,
                boot_id=host.boot_id,
                program=program,
                process_id=os.getpid(),
                started_ns=started_ns,
            )
            return tuple(self._layout(connection, host.id, name, channels) for name, channels in probes)

    def _layout(self, connection: Connection, host_id: str, probe: str, channels: tuple[Channel, ...]) -> Layout:
        numbers = [_channel_id(connection, host_id, channel) for channel in channels]
        number = _inserted(
            connection,
            schema.layouts,
            recording_id=self.recording,
            probe=probe,
            channel_ids=json.dumps(numbers),
        )
        return Layout(number, probe, channels)

    def append(self, ticks: Sequence[Tick]) -> None:
        """Append ticks and their rejections."""
        rows = [
            {"layout_id": tick.layout, "start_ns": tick.start_ns, "end_ns": tick.end_ns, "readings": pack(tick.values)}
            for tick in ticks
        ]
        rejected = [
            {"layout_id": tick.layout, "position": r.channel, "at_ns": tick.start_ns, "reason": r.reason.value}
            for tick in ticks
            for r in tick.rejections
        ]
        if not rows:
            return
        with explained(self._engine), self._engine.begin() as connection:
            connection.execute(insert(schema.ticks), rows)
            if rejected:
                connection.execute(insert(schema.rejections), rejected)

    def save_run(self, run: Run) -> None:
        """Keep a run as it is now: a new one, or the new status and end of a known one."""
        row = {
            "host_id": run.host_id,
            "recording_id": run.recording,
            "workload": run.workload,
            "settings": run.settings,
            "status": run.status.value,
            "started_ns": run.started_ns,
            "ended_ns": run.ended_ns,
        }
        with explained(self._engine), self._engine.begin() as connection:
            _upsert(connection, schema.runs, {"id": run.id}, row)

    def save_window(self, window: Window) -> None:
        """Keep one complete window of a run."""
        with explained(self._engine), self._engine.begin() as connection:
            _inserted(
                connection,
                schema.windows,
                run_id=window.run_id,
                point=window.point,
                phase=window.phase,
                repeat=window.repeat,
                start_ns=window.start_ns,
                end_ns=window.end_ns,
                iterations=window.iterations,
                inferences=window.inferences,
                input_tokens=window.input_tokens,
                output_tokens=window.output_tokens,
                latencies=pack(window.latencies_seconds),
                steps=pack(window.step_seconds),
            )

    def save_profile(self, profile: Profile) -> None:
        """Keep a finished profile; on return it is on the disk, power cut or not."""
        row = {
            "run_id": profile.run_id,
            "created_ns": profile.created_ns,
            "workload": profile.workload,
            "document": profile.document,
        }
        with explained(self._engine), self._engine.connect() as connection:
            sqlite = connection.dialect.name == "sqlite"
            driver = connection.connection.driver_connection if sqlite else None
            if driver is not None:
                driver.execute("PRAGMA synchronous = FULL")
            with connection.begin():
                _upsert(connection, schema.profiles, {"id": profile.id}, row)
            if driver is not None:
                driver.execute("PRAGMA synchronous = NORMAL")


def _host_row(host: Host) -> dict[str, Any]:
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


def _channel_id(connection: Connection, host_id: str, channel: Channel) -> Any:
    device_id = _device_id(connection, host_id, channel.device)
    key = {
        "device_id": device_id,
        "domain": channel.domain,
        "metric": channel.metric,
        "source": channel.source.value,
    }
    row = {
        "method": channel.method,
        "refresh_seconds": channel.refresh_seconds,
        "resolution": channel.resolution,
        "contained_in": json.dumps(channel.contained_in),
        "power_limit": channel.limit,
        "uncertainty": channel.uncertainty,
    }
    return _upsert(connection, schema.channels, key, row)


def _device_id(connection: Connection, host_id: str, device: Device) -> Any:
    row = {"kind": device.kind.value, "name": device.name, "attributes": json.dumps(device.attributes)}
    return _upsert(connection, schema.devices, {"host_id": host_id, "key": device.id}, row)


def _inserted(connection: Connection, table: Table, **row: Any) -> Any:
    return connection.execute(insert(table).values(**row)).inserted_primary_key[0]  # type: ignore[index]


def _upsert(connection: Connection, table: Table, key: dict[str, Any], row: dict[str, Any]) -> Any:
    """Update the row of `key`, or insert it; return its id. The caller's transaction holds the write lock."""
    where = [table.c[column] == value for column, value in key.items()]
    found = connection.execute(select(table.c.id).where(*where)).scalar()
    if found is None:
        return _inserted(connection, table, **key, **row)
    connection.execute(update(table).where(*where).values(**row))
    return found
