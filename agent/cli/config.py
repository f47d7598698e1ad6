"""`inferometer config`: check a configuration file before a service reads it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from agent.cli.options import JSON_HELP, ExitCode, fail, print_json, print_out

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

app = typer.Typer(no_args_is_help=True, help="Check the configuration file.")


@app.callback()
def group() -> None:
    """Check the configuration file."""


@app.command()
def check(
    context: typer.Context,
    file: Annotated[
        Path | None, typer.Argument(help="The file. [default: what --config or the user's own says]")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help=JSON_HELP)] = False,
) -> None:
    """Read a configuration file, name its first error or show what it sets.

    Example: inferometer config check /etc/inferometer/config.toml
    """
    from agent.config import ConfigError, default_file, load
    from store.errors import StoreError
    from store.url import display, parse

    path = file or context.obj.config_file or default_file()
    try:
        loaded = load(path)
        database = display(parse(loaded.database)) if loaded.database else None
    except ConfigError as error:
        fail(str(error), ExitCode.USAGE)
    except StoreError as error:
        fail(f"{path}: database: {error}", ExitCode.USAGE)
    found = {**loaded.tables(), "database": database}
    if as_json:
        print_json({"file": str(path) if path else None, "config": found})
        return
    print_out(f"{path}: fine" if path else "no configuration file; these are the defaults")
    for line in _lines(found):
        print_out(f"  {line}")


def _lines(table: Mapping[str, Any], prefix: str = "") -> Iterator[str]:
    """Return a table's keys with their values as a file has them, and each table in it with its whole name."""
    for key, value in table.items():
        if isinstance(value, dict):
            yield from _lines(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key} = {json.dumps(value, ensure_ascii=False)}"
