"""The parts of `inferometer fleet` for the owner of its database: tables, scripts, and the id of a host."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from agent.cli.options import JSON_HELP, OutputFile, configuration, fail, fail_with, writing
from agent.runtime.console import ExitCode, print_json, print_out


class ScriptName(StrEnum):
    """The scripts of a fleet's database."""

    ROLES = "roles"
    HOST = "host"
    SECURITY = "security"


def init(
    context: typer.Context,
    to: Annotated[
        str | None,
        typer.Option("--to", metavar="URL", help="PostgreSQL URL, with the owner of the tables as its user."),
    ] = None,
    password_file: Annotated[
        Path | None, typer.Option("--password-file", metavar="FILE", help="File with the password, of mode 0600.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help=JSON_HELP)] = False,
) -> None:
    """Make or upgrade the tables of a fleet's database.

    Their row-level security is applied as well. Run it as the owner of the tables, the first time after `inferometer
    fleet sql roles`, and again after each upgrade of Inferometer on the hosts. Pushes never change tables: they fail
    until the owner has upgraded them. A directory needs no init.

    Example: inferometer fleet init --to postgresql://inferometer_owner@db.example.com/fleet --password-file owner.txt
    """
    from agent.fleet.errors import FleetError
    from agent.fleet.security import initialize
    from agent.fleet.target import target_of
    from agent.runtime.signals import interruptible
    from store.errors import StoreError
    from store.schema import REVISION

    text = to or configuration(context).fleet.to
    if not text:
        fail("no database: name one with --to", ExitCode.USAGE)
    try:
        target = target_of(text, password_file)
    except (FleetError, StoreError) as error:
        fail(str(error), ExitCode.USAGE)
    try:
        with interruptible():
            initialize(target)
    except (FleetError, StoreError) as error:
        fail_with(error)
    if as_json:
        print_json({"database": str(target), "schema": REVISION})
    else:
        print_out(f"{target}: the tables have schema {REVISION}, with row-level security")


def sql(
    name: Annotated[
        ScriptName,
        typer.Argument(
            metavar="roles|host|security",
            help="The roles of the database; the login of a host; the row-level security, which `init` applies.",
        ),
    ],
    output: OutputFile = None,
) -> None:
    """Write the scripts that set up a fleet's database.

    They protect the hosts of the fleet from one another. The head of each script states how to run it.

    Example: inferometer fleet sql roles -o roles.sql

    Example: inferometer fleet sql host -o host.sql
    """
    from agent.fleet.security import script

    text = script(name.value)
    if output is None:
        print_out(text.rstrip("\n"))
        return
    with writing(output) as stream:
        stream.write(text.encode())


def own_id(as_json: Annotated[bool, typer.Option("--json", help=JSON_HELP)] = False) -> None:
    """Print the id of this host in a fleet.

    The database maps the login of the host to it. The id is a keyed hash of the machine id. It is no secret: profiles
    have it, too.

    Example: inferometer fleet id
    """
    from agent.host.inventory import host_id

    if as_json:
        print_json({"id": host_id()})
    else:
        print_out(host_id())
