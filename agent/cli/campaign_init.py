"""`inferometer campaign init`: a first campaign file."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from agent.cli.options import fail, writing
from agent.runtime.console import ExitCode, print_err


def add_to(app: typer.Typer) -> None:
    """Add the command to the group `campaign`."""
    app.command()(init)


def init(
    output: Annotated[Path, typer.Option("--output", "-o", metavar="FILE", help="File to write.")] = Path(
        "campaign.toml"
    ),
    force: Annotated[bool, typer.Option("--force", help="Replace a file that exists.")] = False,
) -> None:
    """Write a first campaign file.

    It has two hosts on this machine, and the other keys as comments.

    Example: inferometer campaign init

    Example: inferometer campaign init -o nightly.toml
    """
    from agent.campaigns.template import TEMPLATE

    if not force and (output.is_file() or (output.is_symlink() and not output.exists())):
        fail(f"{output}: it exists and was not changed; --force replaces it", ExitCode.USAGE)
    with writing(output) as stream:
        stream.write(TEMPLATE.encode())
    output.chmod(output.stat().st_mode & ~0o022)  # other users could start programs through it
    print_err(f"wrote {output}; measure with: inferometer campaign run {output}")
