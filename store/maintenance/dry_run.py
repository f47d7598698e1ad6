"""Estimates the result of pruning, without removing anything."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sqlalchemy import func, select

from store import schema, serving_hours, sqlite
from store.engines import snapshot_engine
from store.error_messages import translate_errors
from store.maintenance.retention import MIN_AGE_NS, PruneResult, belongs_to_run
from store.maintenance.rollup import MINUTE_NS

if TYPE_CHECKING:
    from sqlalchemy import Connection, Engine, Select, Table

    from store.maintenance.retention import Retention

_layouts, _chunks, _ticks = schema.layouts, schema.chunks, schema.ticks
_ROW_BYTES = 40
"""The bytes of a row beside its readings: its times, its ids and its index entry."""
_ROLLUP_BYTES = 50
"""The bytes of a roll-up, which has only numbers."""


def estimate_prune(engine: Engine, retention: Retention, now_ns: int) -> PruneResult:
    """Return what `prune` would remove: exact rows by age, an estimate by size.

    `freed_bytes` is an estimate for samples and roll-ups; `recordings` are not estimated. Raises StoreError.
    """
    on_file = engine.dialect.name == "sqlite"
    size = sqlite.size(engine) if on_file else None
    with translate_errors(engine), snapshot_engine(engine).connect() as connection:
        oldest_ns = 0 if retention.seconds is None else now_ns - round(retention.seconds * 1e9)
        chunks, chunk_bytes = _old(connection, _chunks, "packed", oldest_ns)
        ticks, tick_bytes = _old(connection, _ticks, "readings", oldest_ns)
        rejections = connection.execute(
            select(func.count()).select_from(_orphaned_rows(schema.rejections, "at_ns", "at_ns", oldest_ns).subquery())
        ).scalar_one()
        rollups = _old_rollups(connection, retention, now_ns)
        hours = _old_hours(connection, retention, now_ns)
        freed = chunk_bytes + tick_bytes + rollups * _ROLLUP_BYTES
        if retention.bytes is not None and on_file:
            excess, newest_prunable_ns = (
                sqlite.used_bytes(engine) - retention.bytes,
                now_ns - MIN_AGE_NS,
            )  # the log is cut first
            more = _until(connection, _chunks, "packed", (oldest_ns, newest_prunable_ns), excess - freed)
            chunks, freed = chunks + more[0], freed + more[1]
            more = _until(connection, _ticks, "readings", (oldest_ns, newest_prunable_ns), excess - freed)
            ticks, freed = ticks + more[0], freed + more[1]
            old = _rollups_before(connection, newest_prunable_ns // MINUTE_NS) - rollups
            more_rollups = max(0, min(old, -(-(excess - freed) // _ROLLUP_BYTES)))
            rollups, freed = rollups + more_rollups, freed + more_rollups * _ROLLUP_BYTES
    too_large = retention.bytes is not None and on_file and sqlite.used_bytes(engine) - freed > retention.bytes
    return PruneResult(
        ticks,
        chunks,
        rejections,
        rollups,
        freed_bytes=freed,
        size_bytes=size,
        too_large=too_large,
        serving_hours=hours,
    )


def _orphaned_rows(table: Table, start: str, end: str, before_ns: int) -> Select[tuple[int]]:
    """Return the older rows that no run needs."""
    joined = select(table.c.id).join(_layouts, _layouts.c.id == table.c.layout_id)
    return joined.where(~belongs_to_run(table.c[start], table.c[end]), table.c[end] < before_ns)


def _old(connection: Connection, table: Table, blob: str, before_ns: int) -> tuple[int, int]:
    size = func.coalesce(func.sum(func.length(table.c[blob]) + _ROW_BYTES), 0)
    wanted = table.c.id.in_(_orphaned_rows(table, "start_ns", "end_ns", before_ns))
    count, total = connection.execute(select(func.count(), size).where(wanted)).one()
    return count, int(total)


def _until(
    connection: Connection, table: Table, blob: str, between_ns: tuple[int, int], most_bytes: int
) -> tuple[int, int]:
    """Return the number of oldest rows between two moments that free the given bytes, and their size."""
    count = freed = 0
    rows = select(func.length(table.c[blob])).join(_layouts, _layouts.c.id == table.c.layout_id)
    since_ns, before_ns = between_ns
    rows = rows.where(table.c.end_ns >= since_ns, table.c.end_ns < before_ns).order_by(table.c.end_ns)
    rows = rows.where(~belongs_to_run(table.c.start_ns, table.c.end_ns))
    if most_bytes > 0:
        for length in connection.execute(rows).scalars():
            count, freed = count + 1, freed + length + _ROW_BYTES
            if freed >= most_bytes:
                break
    return count, freed


def _old_rollups(connection: Connection, retention: Retention, now_ns: int) -> int:
    if retention.rollup_seconds is None:
        return 0
    return _rollups_before(connection, (now_ns - round(retention.rollup_seconds * 1e9)) // MINUTE_NS)


def _old_hours(connection: Connection, retention: Retention, now_ns: int) -> int:
    if retention.rollup_seconds is None:
        return 0
    return serving_hours.count_before(connection, now_ns - round(retention.rollup_seconds * 1e9))


def _rollups_before(connection: Connection, minute: int) -> int:
    return connection.execute(select(func.count()).where(schema.rollups.c.minute < minute)).scalar_one()
