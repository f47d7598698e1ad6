"""Asks the store typed questions; a reader never waits for the writer, nor the writer for it."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from sqlalchemy import select

from probes.model import METRICS
from store import schema
from store.accumulators import totals_of
from store.codec.checksums import NAME
from store.damage import Damage, Inspection
from store.engines import reading
from store.error_messages import explained
from store.layouts import layouts_of
from store.records import ROLLUP_COLUMNS, Profile, Recording, Rollup, Run, RunStatus, Window
from store.rows import unpack
from store.series_query import has_samples, series_of

if TYPE_CHECKING:
    from collections.abc import Callable, Container, Iterator

    from sqlalchemy import Connection, Engine, RowMapping, Select, Table

    from probes.model import Channel
    from store.damage import Report
    from store.records import Layout, Series, Total


_WINDOW_COLUMNS = tuple(column.name for column in schema.windows.c if column.name not in {"id", NAME})


class Reader:
    """Reads records back; every method raises StoreError if the database cannot be read.

    Damaged rows are left out, and each goes to `report` once. Without `report` the first raises DamagedError.
    """

    def __init__(self, engine: Engine, report: Report | None = None) -> None:
        self._engine = reading(engine)
        self._report = None if report is None else self._once(report)

    @staticmethod
    def _once(report: Report) -> Report:
        seen: set[Damage] = set()

        def report_once(damage: Damage) -> None:
            if damage not in seen:
                seen.add(damage)
                report(damage)

        return report_once

    @contextmanager
    def _looking(self) -> Iterator[tuple[Connection, Inspection]]:
        """Open one transaction, which sees one state of the store."""
        with explained(self._engine), self._engine.connect() as connection:
            yield connection, Inspection(connection, self._report)

    def _sound(self, query: Select[Any], table: Table) -> list[RowMapping]:
        """Return the sound rows of a query that selects all columns of one table."""
        with self._looking() as (connection, inspection):
            return [row for row in connection.execute(query).mappings() if inspection.sound(table, row)]

    def layouts(self, recording: int) -> tuple[Layout, ...]:
        """Return the layouts of one recording."""
        with self._looking() as (connection, inspection):
            return layouts_of(connection, recording, inspection)

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
        with self._looking() as (connection, inspection):
            for layout in layouts_of(connection, recording, inspection):
                each = enumerate(layout.channels)
                wanted = [i for i, channel in each if channel.metric in metrics and where(channel)]
                if wanted:
                    found.extend(series_of(connection, layout, wanted, (start_ns, end_ns), inspection))
        return tuple(found)

    def recordings(self, start_ns: int, end_ns: int, host: str | None = None) -> tuple[Recording, ...]:
        """Return the recordings with samples from `start_ns` to `end_ns`, both included, the oldest first.

        Of every host, or of the one whose id is given.
        """
        table, layouts = schema.recordings, schema.layouts
        wanted = select(table).order_by(table.c.started_ns, table.c.id)
        if host is not None:
            wanted = wanted.where(table.c.host_id == host)
        with self._looking() as (connection, inspection):
            rows = [row for row in connection.execute(wanted).mappings() if inspection.sound(table, row)]
            known = connection.execute(select(layouts.c.recording_id, layouts.c.id)).all()
            sampled = {recording for recording, layout in known if has_samples(connection, layout, start_ns, end_ns)}
        return tuple(
            Recording(*(row[name] for name in ("id", "host_id", "boot_id", "program", "process_id", "started_ns")))
            for row in rows
            if row["id"] in sampled
        )

    def totals(self, host: str) -> tuple[Total, ...]:
        """Return what the counters of a host have come to."""
        with self._looking() as (connection, inspection):
            return totals_of(connection, host, inspection)

    def rollups(self, recording: int, start_minute: int, end_minute: int) -> tuple[Rollup, ...]:
        """Return the one-minute roll-ups of a recording between two minutes of Unix time, both included."""
        table = schema.rollups
        asked = select(table).where(table.c.recording_id == recording)
        asked = asked.where(table.c.minute.between(start_minute, end_minute)).order_by(*table.primary_key)
        return tuple(Rollup(*(row[each] for each in ROLLUP_COLUMNS)) for row in self._sound(asked, table))

    def run(self, run_id: str) -> Run | None:
        """Return one run, or None."""
        rows = self._sound(select(schema.runs).where(schema.runs.c.id == run_id), schema.runs)
        for row in rows:
            return Run(
                row["id"],
                row["host_id"],
                row["recording_id"],
                row["workload"],
                row["settings"],
                RunStatus(row["status"]),
                row["started_ns"],
                row["ended_ns"],
            )
        return None

    def windows(self, run_id: str) -> tuple[Window, ...]:
        """Return the windows of a run in the order they were made."""
        table = schema.windows
        rows = self._sound(select(table).where(table.c.run_id == run_id).order_by(table.c.id), table)
        found = []
        for row in rows:
            values = [row[each] for each in _WINDOW_COLUMNS]
            found.append(Window(*values[:-2], *map(unpack, values[-2:])))
        return tuple(found)

    def profiles(self) -> tuple[Profile, ...]:
        """Return every profile, newest first."""
        table = schema.profiles
        rows = self._sound(select(table).order_by(table.c.created_ns.desc(), table.c.id), table)
        columns = ("id", "run_id", "created_ns", "workload", "document", "tag")
        return tuple(Profile(*(row[each] for each in columns)) for row in rows)
