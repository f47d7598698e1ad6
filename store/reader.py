"""Queries the store; readers and the writer never wait for each other."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from sqlalchemy import select

from probes.model import METRICS
from store import schema
from store.accumulators import load_totals
from store.codec.checksums import NAME
from store.damage import Damage, RowVerifier
from store.engines import snapshot_engine
from store.error_messages import translate_errors
from store.layouts import load_layouts
from store.records import (
    IMPORTER,
    ROLLUP_COLUMNS,
    Host,
    Profile,
    ProfileKey,
    Recording,
    RecordingSpan,
    Rollup,
    Run,
    RunStatus,
    Window,
)
from store.rows import unpack
from store.series_query import has_samples, load_series, sampled_span
from store.serving_hours import load_hours

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Container, Iterator

    from sqlalchemy import Connection, Engine, RowMapping, Select, Table

    from probes.model import Channel
    from store.damage import Report
    from store.records import Layout, Series, ServingHour, Total


_HOST_COLUMNS = tuple(column.name for column in schema.hosts.c if column.name != NAME)
_RECORDING_COLUMNS = ("id", "host_id", "boot_id", "program", "process_id", "started_ns")
_WINDOW_COLUMNS = tuple(column.name for column in schema.windows.c if column.name not in {"id", NAME})


class Reader:
    """Reads records; every method raises StoreError if the database cannot be read.

    Damaged rows are left out, and `report` receives each once. Without `report` the first one raises DamagedError.
    """

    def __init__(self, engine: Engine, report: Report | None = None) -> None:
        self._engine = snapshot_engine(engine)
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
    def _snapshot(self) -> Iterator[tuple[Connection, RowVerifier]]:
        """Open one transaction, which sees one state of the store."""
        with translate_errors(self._engine), self._engine.connect() as connection:
            yield connection, RowVerifier(connection, self._report)

    def _sound(self, query: Select[Any], table: Table) -> list[RowMapping]:
        """Return the intact rows of a query that selects all columns of one table."""
        with self._snapshot() as (connection, verifier):
            return [row for row in connection.execute(query).mappings() if verifier.is_intact(table, row)]

    def hosts(self) -> tuple[Host, ...]:
        """Return every host, ordered by name; none has a boot id, which belongs to a recording."""
        rows = self._sound(select(schema.hosts).order_by(schema.hosts.c.name, schema.hosts.c.id), schema.hosts)
        return tuple(
            Host(**{**{each: row[each] for each in _HOST_COLUMNS}, "cpu_flags": tuple(row["cpu_flags"].split())})
            for row in rows
        )

    def layouts(self, recording: int) -> tuple[Layout, ...]:
        """Return the layouts of one recording."""
        with self._snapshot() as (connection, verifier):
            return load_layouts(connection, recording, verifier)

    def series(
        self,
        recording: int,
        start_ns: int,
        end_ns: int,
        metrics: Container[str] = METRICS,
        where: Callable[[Channel], bool] = lambda _: True,
        every_ns: int = 0,
    ) -> tuple[Series, ...]:
        """Return the samples of a recording from `start_ns` to `end_ns`, both included, from chunks and rows.

        Only the given metrics, and the channels for which `where` is true, are read; with `every_ns` only the first
        tick of each such part of Unix time, which is enough for a counter.
        """
        found: list[Series] = []
        with self._snapshot() as (connection, verifier):
            for layout in load_layouts(connection, recording, verifier):
                each = enumerate(layout.channels)
                wanted = [i for i, channel in each if channel.metric in metrics and where(channel)]
                if wanted:
                    found.extend(load_series(connection, layout, wanted, (start_ns, end_ns), verifier, every_ns))
        return tuple(found)

    def recordings(self, start_ns: int, end_ns: int, host: str | None = None) -> tuple[Recording, ...]:
        """Return the recordings with samples from `start_ns` to `end_ns`, both included, the oldest first.

        They are those of every host, or of the host with the given id.
        """
        table, layouts = schema.recordings, schema.layouts
        wanted = select(table).order_by(table.c.started_ns, table.c.id)
        if host is not None:
            wanted = wanted.where(table.c.host_id == host)
        with self._snapshot() as (connection, verifier):
            rows = [row for row in connection.execute(wanted).mappings() if verifier.is_intact(table, row)]
            known = connection.execute(select(layouts.c.recording_id, layouts.c.id)).all()
            sampled = {recording for recording, layout in known if has_samples(connection, layout, start_ns, end_ns)}
        return tuple(_recording(row) for row in rows if row["id"] in sampled)

    def spans(self, host: str) -> tuple[RecordingSpan, ...]:
        """Return the recordings of a host that have samples, each with its first and last tick, the oldest first."""
        table, layouts = schema.recordings, schema.layouts
        wanted = select(table).where(table.c.host_id == host).order_by(table.c.started_ns, table.c.id)
        found = []
        with self._snapshot() as (connection, verifier):
            for row in connection.execute(wanted).mappings().all():
                own = select(layouts.c.id).where(layouts.c.recording_id == row["id"])
                span = sampled_span(connection, connection.execute(own).scalars().all())
                if span and verifier.is_intact(table, row):
                    found.append(RecordingSpan(_recording(row), *span))
        return tuple(found)

    def totals(self, host: str) -> tuple[Total, ...]:
        """Return the accumulated values of a host's counters."""
        with self._snapshot() as (connection, verifier):
            return load_totals(connection, host, verifier)

    def serving_hours(self, start_ns: int, end_ns: int) -> tuple[ServingHour, ...]:
        """Return the hours of the traffic of inference servers that overlap a time, the oldest first."""
        with self._snapshot() as (connection, verifier):
            return load_hours(connection, start_ns, end_ns, verifier)

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

    def is_measuring(self, host: str, since_ns: int) -> bool:
        """Return whether a run of a host began after a time and has not ended."""
        table = schema.runs
        running = select(table.c.id).where(table.c.host_id == host, table.c.status == RunStatus.RUNNING.value)
        with self._snapshot() as (connection, _):
            return connection.execute(running.where(table.c.started_ns > since_ns).limit(1)).first() is not None

    def windows(self, run_id: str) -> tuple[Window, ...]:
        """Return the windows of a run in the order of their creation."""
        table = schema.windows
        rows = self._sound(select(table).where(table.c.run_id == run_id).order_by(table.c.id), table)
        found = []
        for row in rows:
            values = {each: row[each] for each in _WINDOW_COLUMNS}
            latencies, steps = unpack(values.pop("latencies")), unpack(values.pop("steps"))
            found.append(Window(**values, latencies_seconds=latencies, step_seconds=steps))
        return tuple(found)

    def profiles(self, workloads: Collection[str] = ()) -> tuple[Profile, ...]:
        """Return every profile, or only those of some workloads, newest first."""
        table = schema.profiles
        query = select(table).order_by(table.c.created_ns.desc(), table.c.id)
        return self._profiles(query.where(table.c.workload.in_(workloads)) if workloads else query)

    def profile(self, profile_id: str) -> Profile | None:
        """Return the profile of an id, or None."""
        return next(iter(self._profiles(select(schema.profiles).where(schema.profiles.c.id == profile_id))), None)

    def profile_keys(self) -> tuple[ProfileKey, ...]:
        """Return the keys of all profiles, the oldest first, without reading their documents."""
        table, runs, recordings = schema.profiles, schema.runs, schema.recordings
        query = select(table.c.id, runs.c.host_id, table.c.created_ns, recordings.c.program == IMPORTER)
        query = query.select_from(table.join(runs).join(recordings)).order_by(table.c.created_ns, table.c.id)
        with self._snapshot() as (connection, _):
            return tuple(ProfileKey(*row) for row in connection.execute(query))

    def _profiles(self, query: Select[Any]) -> tuple[Profile, ...]:
        table, runs, recordings = schema.profiles, schema.runs, schema.recordings
        rows = self._sound(query, table)
        names = ("id", "run_id", "created_ns", "workload", "document", "tag")
        of_imports = select(runs.c.id).join(recordings).where(recordings.c.program == IMPORTER)
        if len(rows) == 1:  # of one profile, all others need not be read
            of_imports = of_imports.where(runs.c.id == rows[0]["run_id"])
        with self._snapshot() as (connection, _):
            imported = set(connection.execute(of_imports).scalars())
        return tuple(Profile(**{each: row[each] for each in names}, imported=row["run_id"] in imported) for row in rows)


def _recording(row: RowMapping) -> Recording:
    return Recording(*(row[name] for name in _RECORDING_COLUMNS))
