"""`inferometer db compact` and `inferometer db prune`: the size of the store."""

from __future__ import annotations

import time
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated

import typer

from agent.cli.options import JSON_HELP, configuration, fail, option_value
from agent.cli.stores import opened
from agent.runtime.console import ExitCode, print_err, print_json, print_out

if TYPE_CHECKING:
    from collections.abc import Callable

    from store.maintenance.retention import Retention

_Json = Annotated[bool, typer.Option("--json", help=JSON_HELP)]
_PROGRESS_INTERVAL_SECONDS = 2.0


def compact(
    context: typer.Context,
    vacuum: Annotated[
        bool, typer.Option("--vacuum", help="Also rewrite the SQLite file, which blocks the writes of other programs.")
    ] = False,
    as_json: _Json = False,
) -> None:
    """Compress older samples into chunks.

    Samples older than about ten minutes become chunks and one-minute roll-ups. No sample is lost or changed. After an
    interruption the finished chunks remain. The daemon compacts automatically; run this if profiles were made without a
    daemon.

    Example: inferometer db compact

    Example: inferometer db compact --vacuum
    """
    from agent.render.store_text import compaction_text
    from store.maintenance.compaction import compact as compacted

    with opened(context) as engine:
        if vacuum and engine.dialect.name != "sqlite":
            fail("--vacuum works on a SQLite file only; a server has its own VACUUM", ExitCode.USAGE)
        done = compacted(engine, time.time_ns(), pause=_chunk_progress())
        if vacuum:
            from store.sqlite import vacuum as rewrite

            print_err("rewriting the file")
            rewrite(engine)
    for damage in done.damaged:
        print_err(f"warning: {damage}; it is not changed")
    if as_json:
        print_json({**asdict(done), "damaged": [str(damage) for damage in done.damaged]})
    else:
        print_out(compaction_text(done))


def prune(
    context: typer.Context,
    older_than: Annotated[
        str | None, typer.Option(metavar="AGE", help="Remove samples older than this: 12h, 30d, 4w.")
    ] = None,
    larger_than: Annotated[
        str | None, typer.Option(metavar="SIZE", help="Remove the oldest samples until the store has this size: 2GiB.")
    ] = None,
    rollups_older_than: Annotated[
        str | None, typer.Option(metavar="AGE", help="Remove one-minute roll-ups older than this.")
    ] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Print the plan and remove nothing.")] = False,
    yes: Annotated[
        bool, typer.Option("--yes", help="Without other options, remove the samples beyond the limits of [retention].")
    ] = False,
    as_json: _Json = False,
) -> None:
    """Remove samples by age or size.

    The limits are the options, or [retention] of the configuration if there are none. Samples of a stored run stay as
    long as the run. Samples younger than two hours always stay; if the store is still too large, the oldest roll-ups
    are removed. Removal cannot be undone: use --dry-run first, and copy the store with `inferometer db backup`.

    Without options the plan of [retention] is printed, nothing is removed, and the exit code is 2; --yes removes.

    Example: inferometer db prune --older-than 30d --dry-run

    Example: inferometer db prune --larger-than 2GiB
    """
    from agent.render.store_text import prune_notes, prune_text
    from store.maintenance.dry_run import estimate_prune
    from store.maintenance.retention import prune as pruned

    retention = _retention(context, older_than, larger_than, rollups_older_than)
    asks = not (yes or dry_run) and older_than is larger_than is rollups_older_than is None
    with opened(context) as engine:
        plans = dry_run or asks
        if not plans:
            print_err("removing samples")
        done = (estimate_prune if plans else pruned)(engine, retention, time.time_ns())
    if as_json:
        print_json({"dry_run": plans, **asdict(done)})
    else:
        print_out(prune_text(done, dry_run=plans))
        for note in prune_notes(done):
            print_err(note)
    if asks:
        fail("nothing was removed: this is the plan of [retention]; --yes carries it out", ExitCode.USAGE)


def _retention(context: typer.Context, older: str | None, larger: str | None, rollups: str | None) -> Retention:
    from agent.daemon.maintenance import retention_of
    from agent.render.quantities import bytes_of, seconds_of
    from store.maintenance.retention import Retention

    if older is larger is rollups is None:
        configured = retention_of(configuration(context).retention_config)
        if configured == Retention():
            fail("there is no limit: give --older-than or --larger-than, or set [retention]", ExitCode.USAGE)
        return configured
    return Retention(
        None if older is None else option_value("--older-than", older, seconds_of),
        None if larger is None else option_value("--larger-than", larger, bytes_of),
        None if rollups is None else option_value("--rollups-older-than", rollups, seconds_of),
    )


def _chunk_progress() -> Callable[[], None]:
    """Return a function to call after every chunk, which prints their number from time to time."""
    chunks, printed = 0, time.monotonic()

    def count() -> None:
        nonlocal chunks, printed
        chunks += 1
        if time.monotonic() - printed > _PROGRESS_INTERVAL_SECONDS:
            printed = time.monotonic()
            print_err(f"{chunks} chunks made")

    return count
