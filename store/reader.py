"""Asks the store typed questions; a reader never waits for the writer, nor the writer for it."""

from __future__ import annotations

import json
import math
from typing import TYPE_CHECKING

from sqlalchemy import select

from probes.model import Reason
from store import schema
from store.explain import explained
from store.hardware import channel_of
from store.records import Layout, Profile, Run, RunStatus, Series, Window
from store.writer import unpack

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from sqlalchemy import Connection, Engine


class Reader:
    """Reads records back; every method raises StoreError if the database cannot be read."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def layouts(self, recording: int) -> tuple[Layout, ...]:
        """Return the layouts of one recording."""
        with explained(self._engine), self._engine.connect() as connection:
            return _layouts(connection, recording)

    def series(self, recording: int, start_ns: int, end_ns: int, metrics: frozenset[str]) -> tuple[Series, ...]:
        """Return the samples of a recording from `start_ns` to `end_ns`, both included, of the metrics named."""
        found: list[Series] = []
        with explained(self._engine), self._engine.connect() as connection:  # one transaction: one state of the store
            for layout in _layouts(connection, recording):
                wanted = [i for i, channel in enumerate(layout.channels) if channel.metric in metrics]
                if wanted:
                    found.extend(_series(connection, layout, wanted, start_ns, end_ns))
        return tuple(found)

    def run(self, run_id: str) -> Run | None:
        """Return one run, or None."""
        with explained(self._engine), self._engine.connect() as connection:
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
        with explained(self._engine), self._engine.connect() as connection:
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
        with explained(self._engine), self._engine.connect() as connection:
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


def _series(
    connection: Connection, layout: Layout, wanted: Sequence[int], start_ns: int, end_ns: int
) -> Iterator[Series]:
    """Return the series of the channels at the positions `wanted`."""
    ticks, refused = schema.ticks, schema.rejections
    rows = connection.execute(
        select(ticks.c.start_ns, ticks.c.end_ns, ticks.c.readings)
        .where(ticks.c.layout_id == layout.id, ticks.c.start_ns.between(start_ns, end_ns))
        .order_by(ticks.c.start_ns, ticks.c.id)
    ).all()
    rejected = connection.execute(
        select(refused.c.position, refused.c.at_ns, refused.c.reason)
        .where(refused.c.layout_id == layout.id, refused.c.at_ns.between(start_ns, end_ns))
        .order_by(refused.c.at_ns, refused.c.id)
    ).all()
    read = [((row.start_ns + row.end_ns) // 2, unpack(row.readings)) for row in rows]
    for position in wanted:
        given = [(at, values[position]) for at, values in read if not math.isnan(values[position])]
        yield Series(
            layout.channels[position],
            tuple(at for at, _ in given),
            tuple(value for _, value in given),
            tuple((row.at_ns, Reason(row.reason)) for row in rejected if row.position == position),
        )
