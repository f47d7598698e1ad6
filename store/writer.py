"""Writes to the store: samples in batches of one transaction, derived records one by one."""

from __future__ import annotations

import json
import os
import struct
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from sqlalchemy import delete, select
from sqlalchemy.exc import IntegrityError

from store import schema
from store.accumulators import REPLACE_TOTALS, replace_totals, rows_of
from store.codec.checksums import NAME, ChecksumAppender, packed_tick
from store.damage import RowVerifier
from store.engines import durable, write_engine
from store.error_messages import translate_errors
from store.errors import StoreError, UnstorableError
from store.fast_writer import SQLiteConnection
from store.inventory import host_row, upsert_channels
from store.profile_points import replace_points
from store.records import Layout
from store.rows import insert_all, insert_row, insert_statement, pack, upsert
from store.serving_hours import replace_hours
from store.url import display

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from sqlalchemy import Engine

    from probes.model import Channel
    from store.records import Host, Profile, Run, ServingHour, Tick, Total, Window

_TRIES = 3
TICK_COLUMNS = ("layout_id", "start_ns", "end_ns", "readings", NAME)
_REJECTION_COLUMNS = ("layout_id", "position", "at_ns", "reason")
REJECTION_COLUMNS = (*_REJECTION_COLUMNS, NAME)
_append_rejection_checksums = ChecksumAppender(schema.rejections, _REJECTION_COLUMNS)
_INSERT_TICKS = insert_statement(schema.ticks, TICK_COLUMNS)
_INSERT_REJECTIONS = insert_statement(schema.rejections, REJECTION_COLUMNS)


class Writer:
    """The write access of one process; every method is one transaction and raises StoreError if it fails.

    `recording` numbers this process's samples, so that two programs that sample one host at once never mix. Any of its
    threads may write. `verify` is called before samples are appended, and raises if they must not be.
    """

    def __init__(self, engine: Engine, verify: Callable[[], object] = lambda: None) -> None:
        self._verify = verify
        self._engine = write_engine(engine)
        self._durable = durable(engine)
        self._sqlite_connection = SQLiteConnection(engine) if engine.dialect.name == "sqlite" else None
        self.recording = 0

    def register(
        self, host: Host, probes: Sequence[tuple[str, tuple[Channel, ...]]], program: str, started_ns: int
    ) -> tuple[Layout, ...]:
        """Store the host, its devices and channels, open a recording, and return one layout a probe."""
        with translate_errors(self._engine):
            for _ in range(_TRIES - 1):
                with suppress(IntegrityError):  # on a server another process may register this host at the same moment
                    return self._register(host, probes, program, started_ns)
            return self._register(host, probes, program, started_ns)

    def _register(
        self, host: Host, probes: Sequence[tuple[str, tuple[Channel, ...]]], program: str, started_ns: int
    ) -> tuple[Layout, ...]:
        with self._engine.begin() as connection:
            upsert(connection, schema.hosts, host.id, host_row(host))
            opened = {"host_id": host.id, "boot_id": host.boot_id, "program": program, "process_id": os.getpid()}
            recording = insert_row(connection, schema.recordings, {**opened, "started_ns": started_ns})
            ids = upsert_channels(connection, host.id, [channel for _, channels in probes for channel in channels])
            layouts = []
            for probe, channels in probes:
                numbers = json.dumps([ids[channel.key] for channel in channels])
                row = {"recording_id": recording, "probe": probe, "channel_ids": numbers}
                layouts.append(Layout(insert_row(connection, schema.layouts, row), probe, channels))
        self.recording = recording
        return tuple(layouts)

    def append(self, ticks: Sequence[Tick], totals: Sequence[Total] = ()) -> None:
        """Append ticks and their rejections, and the totals of counters: everything, or nothing if it raises."""
        if not ticks and not totals:
            return
        rows, rejected = self._rows(ticks)
        self._verify()
        with translate_errors(self._engine):
            if self._sqlite_connection:
                with self._sqlite_connection.transaction() as fast:
                    fast.executemany(_INSERT_TICKS, rows)
                    if rejected:
                        fast.executemany(_INSERT_REJECTIONS, rejected)
                    if totals:
                        fast.executemany(REPLACE_TOTALS, rows_of(totals))
                return
            with self._engine.begin() as connection:
                insert_all(connection, schema.ticks, TICK_COLUMNS, rows)
                insert_all(connection, schema.rejections, REJECTION_COLUMNS, rejected)
                if totals:
                    replace_totals(connection, totals)

    def _rows(self, ticks: Sequence[Tick]) -> tuple[list[tuple[Any, ...]], list[tuple[Any, ...]]]:
        """Return the rows of ticks and of rejections, with checksums. Raises UnstorableError for an impossible time."""
        try:
            rows = [packed_tick(tick.layout, tick.start_ns, tick.end_ns, tick.values) for tick in ticks]
        except struct.error as error:
            cause = f"a sample's time does not fit 64 bits of nanoseconds ({error})"
            raise UnstorableError(display(self._engine.url), cause, "Set the host's clock") from error
        refused = (
            (tick.layout, each.channel, tick.start_ns, each.reason.value) for tick in ticks for each in tick.rejections
        )
        return rows, _append_rejection_checksums(refused)

    def save_totals(self, totals: Sequence[Total]) -> None:
        """Store the totals of counters, replacing those of the same ones."""
        self.append((), totals)

    def save_serving_hours(self, hours: Sequence[ServingHour]) -> None:
        """Store hours of the traffic of inference servers, replacing those of the same hour and model."""
        self._verify()
        with translate_errors(self._engine), self._engine.begin() as connection:
            replace_hours(connection, hours)

    def save_run(self, run: Run) -> None:
        """Store the current state of a run: a new one, or the new status and end of a known one."""
        row = {
            "host_id": run.host_id,
            "recording_id": run.recording,
            "workload": run.workload,
            "settings": run.settings,
            "status": run.status.value,
            "started_ns": run.started_ns,
            "ended_ns": run.ended_ns,
        }
        with translate_errors(self._engine), self._engine.begin() as connection:
            upsert(connection, schema.runs, run.id, row)

    def save_window(self, window: Window) -> None:
        """Store one complete window of a run."""
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
            "requests_in_window": window.requests_in_window,
            "load": window.load,
        }
        with translate_errors(self._engine), self._engine.begin() as connection:
            insert_row(connection, schema.windows, row)

    def save_profile(self, profile: Profile) -> bool:
        """Store a finished profile with the rows of its points; return whether it is new.

        It is on the disk at return, even after a power cut.
        """
        row = {
            "run_id": profile.run_id,
            "created_ns": profile.created_ns,
            "workload": profile.workload,
            "document": profile.document,
        }
        if profile.tag is not None:
            row["tag"] = profile.tag
        with translate_errors(self._durable), self._durable.begin() as connection:
            is_new = upsert(connection, schema.profiles, profile.id, row)
            replace_points(connection, profile.id, profile.created_ns, profile.document)
        return is_new

    def tag_profile(self, profile_id: str, tag: str | None) -> bool:
        """Set, replace or remove (None) the tag of a profile; return whether the profile exists.

        Raises StoreError if another profile has the tag.
        """
        table = schema.profiles
        with translate_errors(self._durable), self._durable.begin() as connection:
            row = connection.execute(select(table).where(table.c.id == profile_id)).mappings().first()
            holder = select(table.c.id).where(table.c.tag == tag, table.c.id != profile_id)
            if tag is not None and (other := connection.execute(holder).scalar()):
                remedy = "Remove it from that one first, or choose another tag"
                raise StoreError(display(self._engine.url), f"profile {other} already has the tag {tag!r}", remedy)
            if row is None:
                return False
            RowVerifier(connection, None).is_intact(table, row)  # a new checksum would make a damaged row look intact
            upsert(connection, table, profile_id, {"tag": tag})
        return True

    def delete_run(self, run_id: str) -> None:
        """Delete a run with its windows and its profiles, if it is stored."""
        profiles, runs, windows = schema.profiles, schema.runs, schema.windows
        with translate_errors(self._engine), self._engine.begin() as connection:
            for table in (profiles, windows):
                connection.execute(delete(table).where(table.c.run_id == run_id))
            connection.execute(delete(runs).where(runs.c.id == run_id))

    def delete_profile(self, profile_id: str) -> bool:
        """Delete a profile, and its run with the windows if no other profile uses it; return whether it existed.

        The samples of the run are pruned like all others from then on.
        """
        profiles, runs, windows = schema.profiles, schema.runs, schema.windows
        with translate_errors(self._durable), self._durable.begin() as connection:
            run = connection.execute(select(profiles.c.run_id).where(profiles.c.id == profile_id)).scalar()
            if run is None:
                return False
            connection.execute(delete(profiles).where(profiles.c.id == profile_id))
            if connection.execute(select(profiles.c.id).where(profiles.c.run_id == run)).first() is None:
                connection.execute(delete(windows).where(windows.c.run_id == run))
                connection.execute(delete(runs).where(runs.c.id == run))
        return True
