"""The reports of `inferometer db` as text."""

from __future__ import annotations

from typing import TYPE_CHECKING

from agent.render.quantities import rfc3339
from agent.render.tables import number

if TYPE_CHECKING:
    from pathlib import Path

    from store.maintenance.compaction import Compaction
    from store.maintenance.retention import PruneResult
    from store.maintenance.status import StoreStatus
    from store.upgrade import Upgrade


def status_text(found: StoreStatus) -> str:
    """Return size and contents of the store, one topic a line."""
    per_sample = f", {found.bytes_per_sample:.3g} bytes per sample" if found.bytes_per_sample else ""
    log = f", including {number(found.log_bytes, 'B')} of write-ahead log" if found.log_bytes else ""
    lines = [
        f"{found.path}, schema {found.schema_revision}",
        f"  size       {number(found.bytes, 'B')}{log}{per_sample}",
        f"  samples    {found.samples:,} in {found.recordings:,} recordings{_period(found)}",
        f"  stored as  {found.hot_ticks:,} rows, {found.chunks:,} chunks, {found.rollups:,} one-minute roll-ups",
        f"  waiting    {found.waiting_ticks:,} rows can be compacted (inferometer db compact)",
        f"  runs       {found.runs:,} with {found.profiles:,} profiles",
    ]
    if found.unchecked:
        lines.append("  checksums  rows of an older version have none; `inferometer db compact` adds them")
    if found.quarantined:
        lines.append(f"  damaged    {found.quarantined} rows are in the table quarantine")
    return "\n".join(lines)


def _period(found: StoreStatus) -> str:
    """Return the times of the first and the last sample to the second, nothing without samples."""
    if found.oldest_ns is None or found.newest_ns is None:
        return ""
    first, last = (f"{rfc3339(at_ns)[:19]}Z" for at_ns in (found.oldest_ns, found.newest_ns))
    return f", {first} to {last}"


def time_text(at_ns: int | None) -> str | None:
    """Return a Unix time by RFC 3339, None for an unknown one."""
    return None if at_ns is None else rfc3339(at_ns)


def upgrade_text(done: Upgrade) -> str:
    """Return the result of an upgrade."""
    if done.before == done.after:
        return f"the store is up to date (schema {done.after})"
    return f"upgraded from schema {done.before} to {done.after}; copy: {done.copy or 'none'}"


def problem_text(problem: object, *, moved: bool) -> str:
    """Return a problem of the store, and whether its row is in quarantine now."""
    return f"{problem}{' (moved to quarantine)' if moved else ''}"


def check_text(left: int, moved: int) -> str:
    """Return the result of a check: the number of problems that are left, and of the rows moved to quarantine."""
    if left:
        return f"{left} problems; move damaged rows to quarantine with --repair, or restore a copy"
    return f"sound, with {moved} rows moved to quarantine" if moved else "sound"


def compaction_text(done: Compaction) -> str:
    """Return the number of rows, samples and chunks of a compaction."""
    if not done.chunks:
        return "nothing to compact"
    return f"{done.ticks:,} rows, {done.samples:,} samples: {done.chunks:,} chunks, {number(done.bytes, 'B')}"


def backup_text(copy: Path, size: int) -> str:
    """Return the path of a copy of the store and its bytes."""
    return f"copied to {copy} ({number(size, 'B')})"


def prune_text(done: PruneResult, *, dry_run: bool) -> str:
    """Return the rows that pruning removed, or would remove, and the space that they take."""
    would = "would be removed" if dry_run else "removed"
    about = "about " if dry_run else ""
    rows = (
        f"{done.ticks:,} rows, {done.chunks:,} chunks, {done.rejections:,} rejections, {done.rollups:,} roll-ups, "
        f"{done.serving_hours:,} hours of traffic"
    )
    return f"{would}: {rows}; {about}{number(done.freed_bytes, 'B')} of disk"


def prune_notes(done: PruneResult) -> list[str]:
    """Return a line for each reason why the file is still large."""
    lines = []
    if done.too_large:
        lines.append(
            "the store is still larger than the limit: the remaining data is newer than 2 h, part of a stored run, or "
            "not sample data"
        )
    if done.needs_vacuum:
        lines.append("the file cannot shrink yet; run once: inferometer db compact --vacuum")
    return lines
