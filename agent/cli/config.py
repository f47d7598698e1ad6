"""`inferometer config`: write a configuration file, and check it before the service reads it."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from agent.cli.arguments import SHARED
from agent.cli.options import JSON_HELP, OutputFile, fail, writing
from agent.runtime.console import ExitCode, print_err, print_json, print_out

app = typer.Typer(no_args_is_help=True, help="Write or check a configuration file.")


@app.callback()
def group() -> None:
    """Write or check a configuration file."""


@app.command()
def init(
    output: OutputFile = None,
    force: Annotated[bool, typer.Option("--force", help="Replace a file that exists.")] = False,
) -> None:
    """Write a configuration file.

    The file has every setting with its explanation and its default.

    Example: inferometer config init

    Example: inferometer config init -o ~/.config/inferometer/config.toml
    """
    from agent.config.sample import sample_file

    text = sample_file()
    if output is None:
        print_out(text.rstrip("\n"))
        return
    if not force and (output.is_file() or (output.is_symlink() and not output.exists())):
        fail(f"{output}: it exists and was not changed; --force replaces it", ExitCode.USAGE)
    with writing(output) as stream:
        stream.write(text.encode())
    print_err(f"wrote {output}")


@app.command(epilog=SHARED)
def check(
    context: typer.Context,
    file: Annotated[
        Path | None,
        typer.Argument(metavar="[FILE]", help="File to check. [default: the file of --config, else the user's own]"),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help=JSON_HELP)] = False,
) -> None:
    """Check a configuration file.

    The command prints the settings of the file, or its first error.

    Example: inferometer config check

    Example: inferometer config check /etc/inferometer/config.toml
    """
    from agent.config import ConfigError, default_file, load
    from agent.config.sample import lines_of, to_tables
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
    for warning in loaded.warnings:
        print_err(f"warning: {warning}")
    tables = {**to_tables(loaded), "database": database}
    if as_json:
        print_json({"file": str(path) if path else None, "config": tables})
        return
    print_out(f"{path}: valid" if path else "no configuration file; these are the defaults")
    for line in lines_of(tables):
        print_out(f"  {line}")
