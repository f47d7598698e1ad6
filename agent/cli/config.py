"""`inferometer config`: write a configuration file, and check it before the service reads it."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from agent.cli.arguments import DAEMON_SETTINGS, SHARED, with_settings
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
@with_settings(DAEMON_SETTINGS)
def check(
    context: typer.Context,
    file: Annotated[
        Path | None,
        typer.Argument(metavar="[FILE]", help="File to check. [default: the file of --config, else the user's own]"),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help=JSON_HELP)] = False,
    **given: str | list[str] | bool | None,
) -> None:
    """Check the configuration and show the source of each setting.

    Variables override the file, and options override both. The output is TOML; the comment of a line is the source: the
    file, a variable, an option, or `default`. The command prints the first error instead, if there is one.

    Example: inferometer config check

    Example: inferometer config check /etc/inferometer/config.toml

    Example: inferometer config check --exclude nvml --json
    """
    from agent.config import ConfigError, SharedOptions, effective_config
    from agent.render.config_text import config_text, document
    from store.engines import create_store_engine
    from store.errors import StoreError
    from store.url import display, parse

    shared: SharedOptions = context.obj
    options = SharedOptions(file or shared.config_file, {**shared.given, **given}, shared.variables)
    try:
        effective = effective_config(options)
    except ConfigError as error:
        fail(str(error), ExitCode.USAGE)
    database = effective.config.database
    try:
        if database:
            create_store_engine(parse(database), 0).dispose()
    except StoreError as error:
        source = effective.sources["database"]
        fail(f"{source}: {'database: ' * (source == str(effective.file))}{error}", ExitCode.USAGE)
    for warning in effective.config.warnings:
        print_err(f"warning: {warning}")
    shown = document(effective, display(parse(database)) if database else None)
    if as_json:
        print_json(shown)
    else:
        print_out(config_text(shown))
