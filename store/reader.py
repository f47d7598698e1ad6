"""Asks the store typed questions; a reader never waits for the writer, nor the writer for it."""

from __future__ import annotations

import json
from contextlib import contextmanager
from typing import TYPE_CHECKING

from sqlalchemy import select

from probes.model import METRICS
from store import schema
from store.engines import reading
from store.explain import explained
from store.hardware import channel_of
from store.records import Layout, Profile, Recording, Rollup, Run, RunStatus, Window
from store.rows import unpack
from store.stream import has_samples, series_of
from store.totals import totals_of

if TYPE_CHECKING:
    from collections.abc import Callable, Container, Iterator

    from sqlalchemy import Connection, Engine

    from probes.model import Channel
    from store.records import Series, Total


class Reader:
    """Reads records back; every method raises StoreError if the database cannot be read."""

    def __init__(self, engine: Engine) -> None:
        self._engine = reading(engine)

    @contextmanager
    def _looking(self) -> Iterator[Connection]:
        """Open one transaction, which sees one state of the store."""
        with explained(self._engine), self._engine.connect() as connection:
            yield connection

    def layouts(self, recording: int) -> tuple[Layout, ...]:
        """Return the layouts of one recording."""
        with self._looking() as connection:
            return _layouts(connection, recording)

    def series(
        self,
        recording: int,
        start_ns: int,
        end_ns: int,
        metrics: Container[str] = METRICS,
        where: Callable[[Channel], bool] = lambda _: True,
    ) -> tuple[Series, ...]:
        """Return the samples of a recording from `start_ns` to `end_ns`, both included, however long they are kept.

        Of the metrics named, and of the channels for which `where` is true.
        """
        found: list[Series] = []
        with self._looking() as connection:
            for layout in _layouts(connection, recording):
                each = enumerate(layout.channels)
                wanted = [i for i, channel in each if channel.metric in metrics and where(channel)]
                if wanted:
                    found.extend(series_of(connection, layout, wanted, start_ns, end_ns))
        return tuple(found)

    def recordings(self, start_ns: int, end_ns: int, host: str | None = None) -> tuple[Recording, ...]:
        """Return the recordings with samples from `start_ns` to `end_ns`, both included, the oldest first.

        Of every host, or of the one whose id is given.
        """
        table, layouts = schema.recordings, schema.layouts
        wanted = select(table).order_by(table.c.started_ns, table.c.id)
        if host is not None:
            wanted = wanted.where(table.c.host_id == host)
        with self._looking() as connection:
            rows = connection.execute(wanted).all()
            known = connection.execute(select(layouts.c.recording_id, layouts.c.id)).all()
            sampled = {recording for recording, layout in known if has_samples(connection, layout, start_ns, end_ns)}
        return tuple(
            Recording(row.id, row.host_id, row.boot_id, row.program, row.process_id, row.started_ns)
            for row in rows
            if row.id in sampled
        )

    def totals(self, host: str) -> tuple[Total, ...]:
        """Return what the counters of a host have come to."""
        with self._looking() as connection:
            return totals_of(connection, host)

    def rollups(self, recording: int, start_minute: int, end_minute: int) -> tuple[Rollup, ...]:
        """Return the one-minute roll-ups of a recording between two minutes of Unix time, both included."""
        table = schema.rollups
        asked = select(table).where(table.c.recording_id == recording)
        asked = asked.where(table.c.minute.between(start_minute, end_minute)).order_by(*table.primary_key)
        with self._looking() as connection:
            return tuple(Rollup(*row) for row in connection.execute(asked))

    def run(self, run_id: str) -> Run | None:
        """Return one run, or None."""
        with self._looking() as connection:
            row = connection.execute(select(schema.runs).where(schema.runs.c.id == run_id)).one_or_none()
        if row is None:
            return None
        return Run(
            row.id,
            row.host_id,
            row.recording_id,
            row.workload,
            row.settings,
            RunStatus(row.status),
            row.started_ns,
            row.ended_ns,
        )

    def windows(self, run_id: str) -> tuple[Window, ...]:
        """Return the windows of a run in the order they were made."""
        table = schema.windows
        with self._looking() as connection:
            rows = connection.execute(select(table).where(table.c.run_id == run_id).order_by(table.c.id)).all()
        return tuple(
            Window(
                row.run_id,
                row.point,
                row.phase,
                row.repeat,
                row.start_ns,
                row.end_ns,
                row.iterations,
                row.inferences,
                row.input_tokens,
                row.output_tokens,
                unpack(row.latencies),
                unpack(row.steps),
            )
            for row in rows
        )

    def profiles(self) -> tuple[Profile, ...]:
        """Return every profile, newest first."""
        table = schema.profiles
        with self._looking() as connection:
            rows = connection.execute(select(table).order_by(table.c.created_ns.desc(), table.c.id)).all()
        return tuple(Profile(row.id, row.run_id, row.created_ns, row.workload, row.document) for row in rows)


def _layouts(connection: Connection, recording: int) -> tuple[Layout, ...]:
    query = select(schema.layouts).where(schema.layouts.c.recording_id == recording)
    found = connection.execute(query.order_by(schema.layouts.c.id)).all()
    numbers = {number for row in found for number in json.loads(row.channel_ids)}
    joined = schema.channels.join(schema.devices)
    query = select(schema.channels, schema.devices).select_from(joined).where(schema.channels.c.id.in_(numbers))
    channels = {row.id: channel_of(row) for row in connection.execute(query).all()}
    return tuple(
        Layout(row.id, row.probe, tuple(channels[number] for number in json.loads(row.channel_ids))) for row in found
    )
