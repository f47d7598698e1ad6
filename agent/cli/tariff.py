"""`inferometer tariff`: write a tariff, check it, and show its values with their origins."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from agent.cli.arguments import SHARED
from agent.cli.options import JSON_HELP, check_output_path, fail, file_or_none, writing
from agent.runtime.console import ExitCode, print_err, print_json, print_out

if TYPE_CHECKING:
    from agent.cost.tariff import Tariff

app = typer.Typer(no_args_is_help=True, help="Write, check or show a tariff, the file of prices.")

_File = Annotated[Path, typer.Argument(metavar="FILE", help="The tariff, a TOML file.")]


@app.callback()
def group() -> None:
    """Write, check or show a tariff, the file of prices."""


@app.command(epilog=SHARED)
def init(
    output: Annotated[
        Path | None,
        typer.Option(
            "--output",
            "-o",
            metavar="FILE",
            callback=file_or_none,
            help="File to write; - is standard output. [default: tariff.toml on a terminal, else standard output]",
        ),
    ] = None,
    force: Annotated[bool, typer.Option("--force", help="Replace a file that exists.")] = False,
) -> None:
    """Write a tariff file.

    On a terminal the command asks for the most important values and writes them to tariff.toml; an empty answer leaves
    a value out. With --output, or without a terminal, it writes the file with every key as a comment, to be edited.

    Example: inferometer tariff init

    Example: inferometer tariff init -o tariff.toml
    """
    from agent.cost.tariff_template import template

    if output is None and not _on_terminal():
        print_out(template({}).rstrip("\n"))
        return
    interactive = output is None
    path = output or Path("tariff.toml")
    if not force and (path.is_file() or (path.is_symlink() and not path.exists())):
        fail(f"{path}: it exists and was not changed; --force replaces it", ExitCode.USAGE)
    check_output_path(path)
    try:
        text = template(_asked() if interactive else {})
    except typer.Abort:
        print_err("")  # ends the line of the question
        fail("the input ended before the last answer; nothing was written", ExitCode.USAGE)
    with writing(path) as stream:
        stream.write(text.encode())
    entered = "" if interactive else "enter your prices, then "
    print_err(f"wrote {path}; {entered}price a profile with: inferometer cost latest --tariff {path}")


def _on_terminal() -> bool:
    return sys.stdin.isatty() and sys.stdout.isatty()


def _asked() -> dict[str, str | float]:
    """Ask for the values of the template on the terminal, each until it is valid; return those that were given."""
    from agent.cost.limits import TariffError
    from agent.cost.tariff_file import read_tariff
    from agent.cost.tariff_template import QUESTIONS, value_of

    found: dict[str, str | float] = {}
    for name, question in QUESTIONS.items():
        while answer := typer.prompt(question, default="", show_default=False).strip():
            try:
                value = value_of(name, answer)
                read_tariff({name: value})
            except TariffError as error:
                print_err(f"{error}")
            else:
                found[name] = value
                break
    return found


@app.command(epilog=SHARED)
def check(file: _File, as_json: Annotated[bool, typer.Option("--json", help=JSON_HELP)] = False) -> None:
    """Check a tariff file with each of its sites.

    An error names the key, its value and the allowed values.

    Example: inferometer tariff check tariff.toml
    """
    from agent.cost.limits import TariffError
    from agent.cost.tariff_file import check_file

    try:
        sites = check_file(file)
    except TariffError as error:
        fail(str(error), ExitCode.USAGE)
    if as_json:
        print_json({"file": str(file), "valid": True, "sites": list(sites)})
    else:
        print_out(f"{file} is valid" + (f", with the sites {', '.join(sites)}" if sites else ""))


@app.command(epilog=SHARED)
def show(
    file: _File,
    site: Annotated[str | None, typer.Option(metavar="NAME", help="The site whose values are shown.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help=JSON_HELP)] = False,
) -> None:
    """Show the values of a tariff with their origins.

    A value is measured by you, given by you, a default with a source, or assumed. Keys without a value are listed with
    the effect of their absence.

    Example: inferometer tariff show tariff.toml --site Berlin
    """
    from agent.cost.limits import TariffError
    from agent.cost.tariff_file import load_tariff
    from agent.render.tariff_text import tariff_document, tariff_text

    try:
        tariff: Tariff = load_tariff(file, site)
    except TariffError as error:
        fail(str(error), ExitCode.USAGE)
    if as_json:
        print_json(tariff_document(tariff))
    else:
        print_out(tariff_text(tariff))
