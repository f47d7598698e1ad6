"""`inferometer db`: how the store stands, what it keeps, whether it is sound, and copies of it."""

from __future__ import annotations

import time
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from agent.cli.arguments import SHARED
from agent.cli.options import JSON_HELP, check_output_path, configuration, fail, option_value
from agent.cli.stores import opened
from agent.runtime.console import ExitCode, print_err, print_json, print_out

if TYPE_CHECKING:
    from collections.abc import Callable

    from store.maintenance.retention import PruneResult, Retention

app = typer.Typer(
    no_args_is_help=True,
    help="Look after the store: how it stands, what it keeps, whether it is sound, and copies of it.\n\n"
    "Samples are kept as rows at first. Compacting makes chunks of them, a tenth of the size, and one-minute roll-ups; "
    "pruning removes what is too old or too much. The daemon does both by itself. Every command here may be used while "
    "the daemon runs, and none touches runs and profiles.",
    rich_markup_mode=None,
)
_Json = Annotated[bool, typer.Option("--json", help=JSON_HELP)]
_PROGRESS_INTERVAL_SECONDS = 2.0


@app.command(epilog=SHARED)
def status(context: typer.Context, as_json: _Json = False) -> None:
    """Say how large the store is, what it holds, and what could be compacted.

    Example: inferometer db status
    """
    from agent.render.tables import number
    from store.maintenance.status import status as stands

    with opened(context) as engine:
        found = stands(engine)
    times = {"oldest": _time(found.oldest_ns), "newest": _time(found.newest_ns)}
    if as_json:
        print_json({**asdict(found), **times})
        return
    print_out(f"{found.path}, schema {found.schema_revision}")
    per_sample = f", {found.bytes_per_sample:.3g} bytes a sample" if found.bytes_per_sample else ""
    log = f", {number(found.log_bytes, 'B')} of it the write-ahead log" if found.log_bytes else ""
    print_out(f"  size       {number(found.bytes, 'B')}{log}{per_sample}")
    print_out(f"  samples    {found.samples} in {found.recordings} recordings, {times['oldest']} to {times['newest']}")
    print_out(f"  kept as    {found.hot_ticks} rows, {found.chunks} chunks, {found.rollups} one-minute roll-ups")
    print_out(f"  waiting    {found.waiting_ticks} rows could be compacted (inferometer db compact)")
    print_out(f"  runs       {found.runs} with {found.profiles} profiles")
    if found.unchecked:
        print_out("  checksums  rows of an older version get theirs with `inferometer db compact`")
    if found.quarantined:
        print_out(f"  damaged    {found.quarantined} rows are in the table quarantine")


@app.command(epilog=SHARED)
def upgrade(context: typer.Context, as_json: _Json = False) -> None:
    """Bring the tables of an older version up to date, after copying a SQLite file beside itself.

    Every command and the daemon do this when they open an older store. The service runs this command before the
    daemon, which then needs less memory. A store that is missing or up to date is left alone, and the exit code is 0.
    The exit code is 1 if the upgrade failed: the store is then as it was before. Remove the copy when the new version
    works. Copy a PostgreSQL database with pg_dump first.

    Example: inferometer db upgrade
    """
    from agent.runtime.interrupts import interruptible
    from store.database import upgrade_database
    from store.errors import MissingDatabaseError, StoreError

    database = configuration(context).database
    try:
        with interruptible():
            done = upgrade_database(database, print_err)
    except MissingDatabaseError as error:
        print_err(f"{error.database}: there is no database, so there is nothing to upgrade")
        done = None
    except StoreError as error:
        fail(str(error))
    if as_json:
        copy = str(done.copy) if done and done.copy else None
        print_json({"before": done and done.before, "after": done and done.after, "copy": copy})
    elif done and done.before == done.after:
        print_out(f"the store is up to date (schema {done.after})")
    elif done:
        print_out(f"upgraded from schema {done.before} to {done.after}; copy: {done.copy or 'none'}")


@app.command(epilog=SHARED)
def compact(
    context: typer.Context,
    vacuum: Annotated[
        bool, typer.Option("--vacuum", help="Write a SQLite file anew as well: no other program can write meanwhile.")
    ] = False,
    as_json: _Json = False,
) -> None:
    """Make chunks and one-minute roll-ups of all samples older than ten minutes or so.

    No sample is lost or changed. It may be interrupted; what is done stays done. The daemon does this by itself;
    profiles made without one leave rows that this makes small.

    Example: inferometer db compact
    """
    from store.maintenance.compaction import compact as compacted

    with opened(context) as engine:
        if vacuum and engine.dialect.name != "sqlite":
            fail("--vacuum is for a SQLite file; a server has its own VACUUM", ExitCode.USAGE)
        done = compacted(engine, time.time_ns(), pause=_chunk_progress())
        if vacuum:
            from store.sqlite import vacuum as write_anew

            print_err("writing the file anew")
            write_anew(engine)
    for damage in done.damaged:
        print_err(f"warning: {damage}; it is left as it is")
    if as_json:
        print_json({**asdict(done), "damaged": [str(damage) for damage in done.damaged]})
    elif done.chunks:
        print_out(f"{done.ticks} rows, {done.samples} samples: {done.chunks} chunks of {done.bytes} bytes")
    else:
        print_out("nothing to compact")


@app.command(epilog=SHARED)
def prune(
    context: typer.Context,
    older_than: Annotated[
        str | None, typer.Option(metavar="AGE", help="Remove samples older than this: 12h, 30d, 4w.")
    ] = None,
    larger_than: Annotated[
        str | None, typer.Option(metavar="SIZE", help="Remove the oldest samples until the store is this small: 2GiB.")
    ] = None,
    rollups_older_than: Annotated[
        str | None, typer.Option(metavar="AGE", help="Remove one-minute roll-ups older than this.")
    ] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say what would be removed, and remove nothing.")] = False,
    yes: Annotated[
        bool, typer.Option("--yes", help="Remove what [retention] does not keep, if no other option says what.")
    ] = False,
    as_json: _Json = False,
) -> None:
    """Remove what is too old or too much: by the options given, or by [retention] of the configuration if none is.

    Samples of a stored run stay as long as the run does, and what is younger than two hours however large the store is:
    the oldest roll-ups go instead. What is removed is gone: look with --dry-run first, and copy the store with
    `inferometer db backup`.

    Without any option the plan is printed, nothing is removed, and the exit code is 2; --yes carries it out.

    Example: inferometer db prune --older-than 30d --dry-run

    Example: inferometer db prune --larger-than 2GiB
    """
    from store.maintenance.dry_run import estimate_prune
    from store.maintenance.retention import prune as pruned

    retention = _retention(context, older_than, larger_than, rollups_older_than)
    asks = not (yes or dry_run) and older_than is larger_than is rollups_older_than is None
    with opened(context) as engine:
        plans = dry_run or asks
        if not plans:
            print_err("removing what is too old or too much")
        done = (estimate_prune if plans else pruned)(engine, retention, time.time_ns())
    if as_json:
        print_json({"dry_run": plans, **asdict(done)})
    else:
        _show_pruned(done, dry_run=plans)
    if asks:
        fail("nothing was removed: this is the plan of [retention]; carry it out with --yes", ExitCode.USAGE)


@app.command(epilog=SHARED)
def check(
    context: typer.Context,
    repair: Annotated[
        bool,
        typer.Option("--repair", help="Move damaged rows to the table `quarantine`, which keeps their bytes."),
    ] = False,
    as_json: _Json = False,
) -> None:
    """Read everything and say what is wrong; the exit code is 1 if anything is, else 0.

    Looks at the file itself, at the checksum of every row, whether every chunk can be read and is what its row says,
    whether the roll-ups agree with it, and that no sample is there twice.

    With --repair, damaged rows go to the table `quarantine`, each is printed, and the exit code is 0 if nothing else is
    wrong. A row that others refer to stays where it is, and so does whatever is wrong with the file itself.

    Example: inferometer db check && echo sound
    """
    from store.damage import Damage
    from store.maintenance.integrity import problems
    from store.maintenance.quarantine import quarantine

    found = []
    with opened(context) as engine:
        print_err("reading every row")
        for problem in problems(engine):
            damage = problem if isinstance(problem, Damage) else None
            moved = bool(repair and damage and quarantine(engine, damage, time.time_ns()))
            found.append({"problem": str(problem), "table": damage and damage.table, "quarantined": moved})
            if not as_json:
                print_out(f"{problem}{' (moved to quarantine)' if moved else ''}")
    left = sum(not each["quarantined"] for each in found)
    if as_json:
        print_json({"sound": not left, "problems": found})
    elif left:
        print_out(f"{left} problems; move damaged rows away with --repair, or restore a copy")
    else:
        print_out(f"sound, with {len(found)} rows moved to quarantine" if found else "sound")
    if left:
        raise typer.Exit(ExitCode.FAILURE)


@app.command(epilog=SHARED)
def backup(
    context: typer.Context,
    to: Annotated[
        Path,
        typer.Argument(metavar="PATH", help="The copy to make, or the folder for it; nothing is ever replaced."),
    ],
    force: Annotated[bool, typer.Option("--force", help="Copy a damaged store, too.")] = False,
    as_json: _Json = False,
) -> None:
    """Copy a SQLite store as it is at this moment, also while the daemon writes to it.

    Checks first that the copy can be written and fits the disk, and that the store is sound, as `inferometer db check`
    does; else nothing is copied and the exit code is 1. In a folder, the copy is named after the store and the time. To
    use the copy, stop the service and put it in the place of the database, or name it with --database.

    Example: inferometer db backup /var/backups
    """
    from agent.runtime.interrupts import interruptible
    from store.backup import backup as copied
    from store.backup import check_target, target
    from store.maintenance.integrity import check as problems_of
    from store.url import display

    check_output_path(to)
    with interruptible(), opened(context) as engine:
        to = target(engine, to, time.gmtime())
        check_target(engine, to)
        if not force:
            print_err("reading every row")
            if problems := problems_of(engine):
                remedy = "see `inferometer db check`, or copy it as it is with --force"
                fail(f"{display(engine.url)}: it is damaged, nothing was copied ({problems[0]}); {remedy}")
        print_err(f"copying to {to}")
        size = copied(engine, to)
    if as_json:
        print_json({"file": str(to.absolute()), "bytes": size})
    else:
        print_out(f"{to}: {size} bytes")


def _retention(context: typer.Context, older: str | None, larger: str | None, rollups: str | None) -> Retention:
    from agent.daemon.maintenance import retention_of
    from agent.render.quantities import bytes_of, seconds_of
    from store.maintenance.retention import Retention

    if older is larger is rollups is None:
        configured = retention_of(configuration(context).retention_config)
        if configured == Retention():
            fail("nothing says what to remove: give --older-than or --larger-than, or set [retention]", ExitCode.USAGE)
        return configured
    return Retention(
        None if older is None else option_value("--older-than", older, seconds_of),
        None if larger is None else option_value("--larger-than", larger, bytes_of),
        None if rollups is None else option_value("--rollups-older-than", rollups, seconds_of),
    )


def _show_pruned(done: PruneResult, *, dry_run: bool) -> None:
    from agent.render.tables import number

    would = "would be removed" if dry_run else "removed"
    about = "about " if dry_run else ""
    rows = f"{done.ticks} rows, {done.chunks} chunks, {done.rejections} refused readings, {done.rollups} roll-ups"
    print_out(f"{would}: {rows}; {about}{number(done.freed_bytes, 'B')} of disk")
    if done.too_large:
        print_err(
            "it stays larger than asked: the rest is younger than two hours, belongs to stored runs, or is no samples"
        )
    if done.needs_vacuum:
        print_err("the file cannot give the room back yet; once: inferometer db compact --vacuum")


def _time(at_ns: int | None) -> str | None:
    from agent.render.quantities import rfc3339

    return None if at_ns is None else rfc3339(at_ns)


def _chunk_progress() -> Callable[[], None]:
    """Return what is called after every chunk, and says now and then how many there were."""
    chunks, said = 0, time.monotonic()

    def tell() -> None:
        nonlocal chunks, said
        chunks += 1
        if time.monotonic() - said > _PROGRESS_INTERVAL_SECONDS:
            said = time.monotonic()
            print_err(f"{chunks} chunks made")

    return tell
