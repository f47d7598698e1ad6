"""The command `inferometer`: its shared options and its commands."""

from __future__ import annotations

import os
import sys
from functools import cache
from importlib import import_module
from io import TextIOWrapper
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from agent.cli.arguments import (
    SHARED,
    SHARED_SETTINGS,
    asks_for_json,
    move_globals_first,
    own_words,
    with_settings,
)
from agent.cli.usage import ClickException, format_usage_error, restore_help
from agent.runtime.console import ExitCode, print_err, print_error, printable_line, report_errors_as_json
from agent.runtime.signals import exit_line, received_signal

if TYPE_CHECKING:
    from collections.abc import Sequence

COMMANDS = {
    "measure": "Measure the energy of a command or of a period.",
    "profile": "Measure latency, energy and cost of an inference.",
    "report": "Write profiles as one page that explains them.",
    "plot": "Draw one chart of a profile as SVG or PNG.",
    "roofline": "Show the measured ceiling of this host.",
    "profiles": "List, show, export, import, tag and delete profiles.",
    "campaign": "Run the same profiles on many hosts.",
    "export": "Write the files of planners such as llm-d-planner.",
    "fleet": "Collect the profiles of many hosts in one place.",
    "compare": "Compare profiles side by side.",
    "accept": "Check claims about a machine.",
    "cost": "Price profiles without measuring again.",
    "tariff": "Write, check or show a tariff, the file of prices.",
    "devices": "List the sensors of this host.",
    "crosscheck": "Compare each meter with the sensors below it.",
    "wall": "Learn the power at the wall for the time without a meter.",
    "doctor": "Check the host and the installation.",
    "daemon": "Sample, store and export until stopped.",
    "serving": "Show the energy of production traffic.",
    "samples": "Export stored samples as CSV, JSON or Parquet.",
    "db": "Maintain the store: status, compaction, pruning, checks and copies.",
    "config": "Write or check a configuration file.",
    "service": "Run Inferometer as a systemd service.",
}
"""The short help of each command. Its module defines a function of that name, or `app` for a group."""


def command_line(name: str | None = None) -> typer.Typer:
    """Return the command line with one command, so that only its module is imported, or with all commands."""
    app = typer.Typer(
        name="inferometer",
        help="Measure the cost of an inference on this host: joules, seconds and money, each with its uncertainty.\n\n"
        "Start with `inferometer doctor`, which reports what this host can measure, then run `inferometer profile "
        "transformer`. "
        "The options below may stand before or after the command.\n\n"
        "Exit codes: 0 success, 1 failure, 2 wrong options or files, 130 interrupted; docs/exit-codes.md lists all.",
        rich_markup_mode=None,
        pretty_exceptions_enable=False,
        no_args_is_help=True,
        context_settings={"help_option_names": ["-h", "--help"]},
    )
    app.callback()(root)
    for command, short_help in COMMANDS.items() if name is None else [(name, COMMANDS[name])]:
        module = import_module(f"agent.cli.{command}")
        if group := getattr(module, "app", None):
            app.add_typer(group, name=command, short_help=short_help)
        else:
            settings = getattr(module, "CONTEXT_SETTINGS", None)
            app.command(command, context_settings=settings, epilog=SHARED, short_help=short_help)(
                getattr(module, command)
            )
    return app


def _version(wanted: bool) -> None:
    if wanted:
        from importlib.metadata import version

        print(f"inferometer {version('inferometer')}")  # noqa: T201  the output of --version
        raise typer.Exit


@with_settings(SHARED_SETTINGS)
def root(
    context: typer.Context,
    config_file: Annotated[
        Path | None,
        typer.Option(
            "--config",
            metavar="FILE",
            envvar="INFEROMETER_CONFIG",
            show_envvar=False,
            help="Configuration file (TOML). "
            "[variable: INFEROMETER_CONFIG; default: $XDG_CONFIG_HOME/inferometer/config.toml if it exists]",
        ),
    ] = None,
    _show_version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version and exit.")
    ] = False,
    **given: str | list[str] | bool | None,
) -> None:
    """Store the options that all commands share."""
    from agent.config import SharedOptions, variables_of

    context.obj = SharedOptions(config_file, given, variables_of(os.environ))


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command line and raise SystemExit; shared options may stand anywhere before a `--`."""
    for stream in (sys.stdout, sys.stderr):  # a terminal without ± or µ shows ? instead
        if isinstance(stream, TextIOWrapper):
            stream.reconfigure(errors="replace")
    words = move_globals_first(list(sys.argv[1:] if arguments is None else arguments))
    report_errors_as_json(asks_for_json(words))
    name = next(iter(own_words(words)), "")
    sys.exit(_run(_parser(name if name in COMMANDS else None), words))


@cache
def _parser(name: str | None) -> Any:
    """Return the parser of `command_line`; Typer would build it again for each command line and each error."""
    app = command_line(name)
    restore_help(app)
    return typer.main.get_command(app)


def _run(parser: Any, words: list[str]) -> int:
    """Run the command and return its exit code; report the errors that the command does not report."""
    try:
        code = parser(words, prog_name="inferometer", standalone_mode=False) or ExitCode.OK
        sys.stdout.flush()
    except BrokenPipeError:  # the reader closed the pipe, as `head` does
        return _closed_pipe()
    except SystemExit as ended:
        if isinstance(ended.__context__, BrokenPipeError):  # Typer ended the process itself
            return _closed_pipe()
        raise
    except OSError as error:  # the output cannot be written, for example to a full disk
        print_error(f"{error.filename or 'standard output'}: it cannot be written ({error.strerror or error})")
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)  # the rest of the buffer cannot be written either
        return ExitCode.FAILURE
    except UnicodeEncodeError:
        from agent.runtime.text_input import is_utf8, masked

        wrong = next((word for word in words if not is_utf8(word)), None)
        if wrong is None:
            raise
        print_error(f"{printable_line(masked(wrong))}: this is not UTF-8", ExitCode.USAGE)
        return ExitCode.USAGE
    except ClickException as error:
        print_error(format_usage_error(error, parser, own_words(words)), ExitCode.USAGE)
        return ExitCode.USAGE
    return _interrupted() or int(code)


def _interrupted() -> int:
    """Return the exit code for the signal that ended the command, 0 if none did."""
    number = received_signal()
    if number:
        print_err(exit_line(number))
    return number and 128 + number


def _closed_pipe() -> int:
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)  # discards the rest of the buffer
    return ExitCode.CLOSED_PIPE
