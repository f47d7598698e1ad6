"""`inferometer db`: status, compaction, pruning, checks, upgrade and copies of the store."""

from __future__ import annotations

import time
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from agent.cli.arguments import SHARED
from agent.cli.db_size import compact, prune
from agent.cli.options import JSON_HELP, configuration, fail, fail_with, refuse_foreign_link
from agent.cli.stores import opened
from agent.runtime.console import ExitCode, print_err, print_json, print_out

app = typer.Typer(
    no_args_is_help=True,
    help="Maintain the store: status, compaction, pruning, checks, upgrade and copies.\n\n"
    "Samples are first stored as rows. Compaction turns rows into chunks of a tenth of the size, and makes "
    "one-minute roll-ups. "
    "Pruning removes samples by age or size. The daemon does both automatically. These commands work while the daemon "
    "runs, and change no runs or profiles.",
    rich_markup_mode=None,
)
_Json = Annotated[bool, typer.Option("--json", help=JSON_HELP)]


@app.command(epilog=SHARED)
def status(context: typer.Context, as_json: _Json = False) -> None:
    """Show size and contents of the store.

    The output includes the number of rows that can be compacted.

    Example: inferometer db status
    """
    from agent.render.store_text import status_text, time_text
    from store.maintenance.status import status as status_of

    with opened(context) as engine:
        found = status_of(engine)
    if as_json:
        print_json({**asdict(found), "oldest": time_text(found.oldest_ns), "newest": time_text(found.newest_ns)})
        return
    print_out(status_text(found))


@app.command(epilog=SHARED)
def upgrade(context: typer.Context, as_json: _Json = False) -> None:
    """Upgrade the tables of an older store.

    A SQLite file is first copied within its folder. Every command and the daemon do this when they open an older store.
    The service runs this command before the daemon, which then needs less memory. A missing or current store is not
    changed, and the exit code is 0. If the upgrade fails, the store is unchanged and the exit code is 1. Remove the
    copy once the new version works. Copy a PostgreSQL database with pg_dump first.

    Example: inferometer db upgrade
    """
    from agent.render.store_text import upgrade_text
    from agent.runtime.signals import interruptible
    from store.database import upgrade_database
    from store.errors import MissingDatabaseError, StoreError

    database = configuration(context).database
    try:
        with interruptible():
            done = upgrade_database(database, print_err)
    except MissingDatabaseError as error:
        print_err(f"{error.database}: there is no database to upgrade")
        done = None
    except StoreError as error:
        fail_with(error)
    if as_json:
        copy = str(done.copy) if done and done.copy else None
        print_json({"before": done and done.before, "after": done and done.after, "copy": copy})
    elif done:
        print_out(upgrade_text(done))


app.command(epilog=SHARED)(compact)
app.command(epilog=SHARED)(prune)


@app.command(epilog=SHARED)
def check(
    context: typer.Context,
    repair: Annotated[
        bool,
        typer.Option("--repair", help="Move damaged rows to the table `quarantine`, which stores their bytes."),
    ] = False,
    as_json: _Json = False,
) -> None:
    """Read the whole store and report damage.

    The exit code is 0 if there is none, else 1. The check covers the file itself, the checksum of every row, the
    content of every chunk against its row and its roll-ups, and duplicate samples.

    --repair moves damaged rows to the table `quarantine` and prints each. The exit code is then 0 if nothing else is
    damaged. It repairs neither the file itself nor a row that other rows refer to.

    Example: inferometer db check

    Example: inferometer db check --repair
    """
    from agent.render.store_text import check_text, problem_text
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
                print_out(problem_text(problem, moved=moved))
    left = sum(not each["quarantined"] for each in found)
    if as_json:
        print_json({"sound": not left, "problems": found})
    else:
        print_out(check_text(left, len(found) - left))
    if left:
        raise typer.Exit(ExitCode.FAILURE)


@app.command(epilog=SHARED)
def backup(
    context: typer.Context,
    to: Annotated[
        Path,
        typer.Argument(metavar="PATH", help="Path of the copy, or its folder; no file is replaced."),
    ],
    force: Annotated[bool, typer.Option("--force", help="Copy the store even if it is damaged.")] = False,
    as_json: _Json = False,
) -> None:
    """Copy a SQLite store while it is in use.

    The command first checks that the copy can be written and fits on the disk, and that the store is sound, like
    `inferometer db check`. If not, nothing is copied; the exit code is 2 for the path, and 1 otherwise. A copy in a
    folder is named after the store and the time. To use a copy, stop the service and replace the database by it, or
    name it with --database.

    Example: inferometer db backup /var/backups

    Example: inferometer db backup before-upgrade.db --force
    """
    from agent.render.store_text import backup_text
    from agent.runtime.signals import interruptible
    from store.backup import backup as copied
    from store.backup import check_target, target
    from store.maintenance.integrity import check as problems_of
    from store.url import display

    refuse_foreign_link(to)
    with interruptible(), opened(context) as engine:
        to = target(engine, to, time.gmtime())
        check_target(engine, to)
        if not force:
            print_err("reading every row")
            if problems := problems_of(engine):
                remedy = "see `inferometer db check`, or copy it with --force"
                fail(f"{display(engine.url)}: it is damaged, nothing was copied ({problems[0]}); {remedy}")
        print_err(f"copying to {to}")
        size = copied(engine, to)
    if as_json:
        print_json({"file": str(to.absolute()), "bytes": size})
    else:
        print_out(backup_text(to, size))
