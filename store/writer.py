"""Writes to the store: what is sampled in batches of one transaction, what is derived one by one."""

from __future__ import annotations

import json
import os
import struct
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from sqlalchemy import insert
from sqlalchemy.exc import IntegrityError

from store import schema
from store.database import durable, writing
from store.explain import explained
from store.hardware import keep_channels
from store.records import Layout
from store.rows import inserted, upsert

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sqlalchemy import Engine

    from probes.model import Channel
    from store.records import Host, Profile, Run, Tick, Window

_TRIES = 3


def pack(values: Sequence[float]) -> bytes:
    """Pack floats as little-endian doubles, 8 bytes each."""
    return struct.pack(f"<{len(values)}d", *values)


def unpack(packed: bytes) -> tuple[float, ...]:
    """Undo `pack`."""
    return struct.unpack(f"<{len(packed) // 8}d", packed)


class Writer:
    """One process's way into the store; every method is one transaction and raises StoreError if it fails.

    `recording` numbers this process's samples, so that two programs that sample one host at once never mix. Any of
    its threads may write.
    """

    def __init__(self, engine: Engine) -> None:
        self._engine = writing(engine)
        self._durable = durable(engine)
        self.recording = 0

    def register(
        self, host: Host, probes: Sequence[tuple[str, tuple[Channel, ...]]], program: str, started_ns: int
    ) -> tuple[Layout, ...]:
        """Keep the host, its devices and channels, open a recording, and return one layout a probe."""
        with explained(self._engine):
            for _ in range(_TRIES - 1):
                with suppress(IntegrityError):  # on a server another process may register this host at the same moment
                    return self._register(host, probes, program, started_ns)
            return self._register(host, probes, program, started_ns)

    def _register(
        self, host: Host, probes: Sequence[tuple[str, tuple[Channel, ...]]], program: str, started_ns: int
    ) -> tuple[Layout, ...]:
        with self._engine.begin() as connection:
            upsert(connection, schema.hosts, host.id, _host_row(host))
            opened = {"host_id": host.id, "boot_id": host.boot_id, "program": program, "process_id": os.getpid()}
            recording = inserted(connection, schema.recordings, {**opened, "started_ns": started_ns})
            ids = keep_channels(connection, host.id, [channel for _, channels in probes for channel in channels])
            layouts = []
            for probe, channels in probes:
                numbers = json.dumps([ids[channel.key] for channel in channels])
                row = {"recording_id": recording, "probe": probe, "channel_ids": numbers}
                layouts.append(Layout(inserted(connection, schema.layouts, row), probe, channels))
        self.recording = recording
        return tuple(layouts)

    def append(self, ticks: Sequence[Tick]) -> None:
        """Append ticks and their rejections: all of them, or none if it raises."""
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
            upsert(connection, schema.runs, run.id, row)

    def save_window(self, window: Window) -> None:
        """Keep one complete window of a run."""
        row = {
            "run_id": window.run_id,
            "point": window.point,
            "phase": window.phase,
            "repeat": window.repeat,
            "start_ns": window.start_ns,
            "end_ns": window.end_ns,
            "iterations": window.iterations,
            "inferences": window.inferences,
            "input_tokens": window.input_tokens,
            "output_tokens": window.output_tokens,
            "latencies": pack(window.latencies_seconds),
            "steps": pack(window.step_seconds),
        }
        with explained(self._engine), self._engine.begin() as connection:
            inserted(connection, schema.windows, row)

    def save_profile(self, profile: Profile) -> None:
        """Keep a finished profile; on return it is on the disk, power cut or not."""
        row = {
            "run_id": profile.run_id,
            "created_ns": profile.created_ns,
            "workload": profile.workload,
            "document": profile.document,
        }
        with explained(self._durable), self._durable.begin() as connection:
            upsert(connection, schema.profiles, profile.id, row)


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
