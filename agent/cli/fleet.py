"""`inferometer fleet`: profiles of many hosts in one PostgreSQL database or directory."""

from __future__ import annotations

import time
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from agent.cli.arguments import SHARED
from agent.cli.fleet_database import init, own_id, sql
from agent.cli.fleet_query import query
from agent.cli.options import JSON_HELP, configuration, fail, fail_with, option_value
from agent.runtime.console import ExitCode, print_err, print_json, print_out, terminal_width

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from agent.config import FleetConfig
    from agent.fleet.place import Place, Refused

app = typer.Typer(
    no_args_is_help=True,
    rich_markup_mode=None,
    help="Collect the profiles of many hosts in one PostgreSQL database or directory, and show which hosts lack some."
    "\n\n`push` adds the profiles of this store, `pull` imports those of all hosts into this store, `status` lists the "
    "hosts. A place is postgresql://USER@HOST/DATABASE, or the directory of a shared mount, in which each profile is a "
    "bundle. The password comes from --password-file or ~/.pgpass. A server on another host must have a certificate "
    "that this host verifies. [fleet] in the configuration sets the place, and lets the service push by itself.",
)
_Json = Annotated[bool, typer.Option("--json", help=JSON_HELP)]
_PLACE = "PostgreSQL URL or directory. [default: fleet.to of the configuration]"
_Password = Annotated[
    Path | None, typer.Option("--password-file", metavar="FILE", help="File with the password, of mode 0600.")
]
_Since = Annotated[
    str | None,
    typer.Option(metavar="WHEN", help="Only profiles since an age (15m, 2d) or a time (2026-01-31T08:30:00Z)."),
]
_LONGEST_NAMES = 1 << 24


@app.command(epilog=SHARED)
def push(
    context: typer.Context,
    to: Annotated[str | None, typer.Option("--to", metavar="PLACE", help=_PLACE)] = None,
    since: _Since = None,
    imported: Annotated[
        bool, typer.Option("--imported", help="Push the profiles that this store imported from other hosts as well.")
    ] = False,
    anonymize: Annotated[
        bool, typer.Option("--anonymize", help="Push without names and identifiers, as `profiles export --anonymize`.")
    ] = False,
    password_file: _Password = None,
    as_json: _Json = False,
) -> None:
    """Push the profiles of this store to a fleet.

    A profile is pushed once, whatever the number of pushes: one that is there already is left as it is, and one of the
    same id with other content is an error. An interrupted push continues with the next one. If the database has no
    connection left or restarts, the push tries again for two minutes. Samples are not pushed.

    Example: inferometer fleet push --to postgresql://gpu1@db.example.com/fleet --password-file /etc/inferometer/fleet

    Example: inferometer fleet push --to /mnt/fleet --since 2d
    """
    from agent.cli.stored_profiles import database_path, reading
    from agent.config import default_database
    from agent.fleet.push import Pushed, Selection
    from agent.fleet.push import push as pushed_to
    from store.errors import MissingDatabaseError

    config = configuration(context)
    anonymized = anonymize or (to is None and config.fleet.anonymize)
    selection = Selection(_since_ns(since), imported, anonymized)
    with _place(config.fleet, to, password_file) as place, reading(context) as reader:
        if reader is None and config.database != default_database():
            fail(str(MissingDatabaseError(database_path(context))))
        done = pushed_to(reader, place, selection, _progress) if reader else Pushed()
    if as_json:
        print_json({"pushed": done.uids, "present": done.present, "refused": _plain(done.refused)})
    else:
        print_out(f"{len(done.uids)} pushed, {done.present} there already, {len(done.refused)} refused")
    _end(done.refused)


@app.command(epilog=SHARED)
def pull(
    context: typer.Context,
    place: Annotated[str | None, typer.Option("--from", metavar="PLACE", help=_PLACE)] = None,
    since: _Since = None,
    password_file: _Password = None,
    as_json: _Json = False,
) -> None:
    """Import the profiles of a fleet into this store.

    A profile that this store has is left as it is. `profiles list` marks imported profiles.

    Example: inferometer fleet pull --from /mnt/fleet --since 7d
    """
    from agent.cli.stores import opened
    from agent.fleet.pull import pull as pulled_from

    with _place(configuration(context).fleet, place, password_file) as source, opened(context, create=True) as engine:
        done = pulled_from(source, engine, _since_ns(since))
    if as_json:
        print_json({"pulled": done.uids, "refused": _plain(done.refused)})
    else:
        print_out(f"{len(done.uids)} pulled, {len(done.refused)} refused")
    _end(done.refused)


@app.command(epilog=SHARED)
def status(
    context: typer.Context,
    place: Annotated[str | None, typer.Option("--from", metavar="PLACE", help=_PLACE)] = None,
    stale: Annotated[
        str, typer.Option("--stale", metavar="AGE", help="Age of the newest profile beyond which a host is stale.")
    ] = "7d",
    expect: Annotated[
        Path | None,
        typer.Option("--expect", metavar="FILE", help="File with the names of hosts that must have a profile."),
    ] = None,
    password_file: _Password = None,
    as_json: _Json = False,
) -> None:
    """List the hosts of a fleet with their newest profiles.

    The command also shows which hosts are missing, stale or of another version. A host is missing if --expect names it
    (a name on each line), or if the database has a login for it, and it has no profile. Times are those of the clocks
    of the hosts; a host whose newest profile is in the future is `ahead`.

    Example: inferometer fleet status --from postgresql://alice@db.example.com/fleet --stale 2d

    Example: inferometer fleet status --from /mnt/fleet --expect hosts.txt --json
    """
    from agent.comparison.fleet_anonymous import anonymous_as_one
    from agent.comparison.fleet_hosts import fleet_state
    from agent.render.fleet_text import fleet_json, fleet_text
    from agent.render.quantities import seconds_of

    stale_seconds, names = option_value("--stale", stale, seconds_of), _names(expect)
    refused: list[Refused] = []
    with _place(configuration(context).fleet, place, password_file) as source:
        hosts, logins = source.hosts(refused.append), source.logins()
    state = fleet_state(anonymous_as_one(hosts), logins, names, time.time_ns(), stale_seconds)
    if as_json:
        print_json({**fleet_json(state), "refused": _plain(refused)})
    else:
        print_out(fleet_text(state, terminal_width()))
    _end(refused)


app.command(epilog=SHARED)(init)
app.command(epilog=SHARED)(sql)
app.command("id", epilog=SHARED)(own_id)
app.command(epilog=SHARED)(query)


@contextmanager
def _place(fleet: FleetConfig, text: str | None, password_file: Path | None) -> Iterator[Place]:
    """Open the place of an option or of the configuration; its errors end the command."""
    from agent.fleet.errors import FleetError
    from agent.fleet.opening import opened_place
    from agent.fleet.retry import Retry
    from agent.fleet.target import target_of
    from agent.runtime.signals import interruptible
    from store.errors import StoreError

    if text is None:
        text, password_file = fleet.to, password_file or (Path(fleet.password_file) if fleet.password_file else None)
    if not text:
        fail("no place of profiles: name one with --to or --from, or set fleet.to in the configuration", ExitCode.USAGE)
    try:
        target = target_of(text, password_file)
    except (FleetError, StoreError) as error:
        fail(str(error), ExitCode.USAGE)
    try:
        with interruptible(), opened_place(target, Retry(print_err)) as place:
            yield place
    except (FleetError, StoreError) as error:
        fail_with(error)


def _since_ns(text: str | None) -> int:
    from agent.render.quantities import moment_ns

    return 0 if text is None else option_value("--since", text, lambda value: moment_ns(value, time.time_ns()))


def _names(file: Path | None) -> frozenset[str]:
    """Return the lines of a file of names; empty lines and those that begin with # are none."""
    from agent.runtime.text_input import TextInputError, parser_fault, read_bytes

    if file is None:
        return frozenset()
    try:
        lines = read_bytes(file, _LONGEST_NAMES, "a text file with a name on each line").decode().splitlines()
    except (TextInputError, UnicodeDecodeError) as error:
        fail(f"--expect {file}: {parser_fault(error)}", ExitCode.USAGE)
    return frozenset(name for line in lines if (name := line.strip()) and not name.startswith("#"))


def _progress(pushed: int, left: int) -> None:
    if pushed and left:
        print_err(f"{pushed} pushed, {left} left")


def _plain(refused: Sequence[Refused]) -> list[dict[str, Any]]:
    return [{"name": each.name, "reason": each.reason} for each in refused]


def _end(refused: Sequence[Refused]) -> None:
    """Report what was left out; end the command with a failure if there is anything."""
    from agent.runtime.console import printable_line

    for each in refused:
        print_err(f"refused: {printable_line(each.name)}: {printable_line(each.reason)}")
    if refused:
        raise typer.Exit(ExitCode.FAILURE)
