"""The steps that commands share: read the configuration, find the probes, write a file, end with an error."""

from __future__ import annotations

from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, BinaryIO, NoReturn, TypeVar

import typer

from agent.runtime.console import ExitCode, print_err, print_error

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from agent.config import Config
    from probes.registry import Discovery

_Value = TypeVar("_Value")


def file_or_none(path: Path | None) -> Path | None:
    """Return None, which is standard output, for the path `-`."""
    return None if path == Path("-") else path


def _output_or_none(context: typer.Context, path: Path | None) -> Path | None:
    """Return the file of `--output`, None for standard output; one that cannot be written ends the command at once."""
    path = file_or_none(path)
    if path is not None and not context.resilient_parsing:  # the completion of a shell parses, too
        check_output_path(path)
    return path


OutputFile = Annotated[
    Path | None,
    typer.Option(
        "--output",
        "-o",
        metavar="FILE",
        callback=_output_or_none,
        help="File to write; - is standard output. [default: standard output]",
    ),
]
JSON_HELP = "Print one JSON document on standard output; messages go to standard error."


def configuration(context: typer.Context) -> Config:
    """Return the configuration of options, environment and file; an error in it ends the command."""
    from agent.config import ConfigError, resolve_config

    try:
        config = resolve_config(context.obj)
    except ConfigError as error:
        fail(str(error), ExitCode.USAGE)
    for warning in config.warnings:
        print_err(f"warning: {warning}")
    return config


@contextmanager
def discovered(config: Config) -> Iterator[Discovery]:
    """Find the host's probes and close them after the block; their faults are logged."""
    from agent.runtime.closing import close_probes
    from agent.runtime.logs import configure
    from probes.registry import discover

    configure("warning")
    found = discover(config.roots, config.sensors)
    try:
        yield found
    finally:
        close_probes(found)


def fail(message: str, code: ExitCode = ExitCode.FAILURE) -> NoReturn:
    """End the command with an error, which names the object, the cause and the remedy."""
    print_error(message, code)
    raise typer.Exit(int(code))


def fail_with(error: Exception) -> NoReturn:
    """End the command with an error of a store or of a fleet; a path or a URL that cannot be used is a wrong use."""
    fail(str(error), code_of(error))


def code_of(error: Exception) -> ExitCode:
    """Return the exit code of an error of a store or of a fleet."""
    from agent.fleet.errors import UnusablePlaceError
    from store.errors import UnusablePathError

    return ExitCode.USAGE if isinstance(error, UnusablePathError | UnusablePlaceError) else ExitCode.FAILURE


def option_value(option: str, text: str, parse: Callable[[str], _Value]) -> _Value:
    """Parse the text of an option; end the command with an error that names the option if it is not valid."""
    try:
        return parse(text)
    except ValueError as error:
        fail(f"{option}: {error}", ExitCode.USAGE)


def is_default(context: typer.Context, name: str) -> bool:
    """Return whether a parameter has its default, because the user did not give it."""
    source = context.get_parameter_source(name)
    return source is not None and source.name == "DEFAULT"


@contextmanager
def writing(path: Path, option: str = "--output") -> Iterator[BinaryIO]:
    """Open the file of an option; if it cannot be written, end the command with an error that names both."""
    from agent.runtime.output import output

    try:
        with output(path) as stream:
            yield stream
    except BrokenPipeError:
        raise
    except OSError as error:
        _refuse(path, option, error)


def check_output_path(path: Path, option: str = "--output") -> None:
    """End the command, before its work, if the file of an option cannot be written."""
    from agent.runtime.output import check_output

    try:
        check_output(path)
    except OSError as error:
        _refuse(path, option, error)


def _refuse(path: Path, option: str, error: OSError) -> NoReturn:
    from agent.runtime.output import DISK_ERRORS

    cause = f"{path}: it cannot be written ({error.strerror or error})"
    if error.errno in DISK_ERRORS:
        fail(f"{cause}; free some space, or choose another path with {option}")
    fail(f"{cause}; choose another path with {option}", ExitCode.USAGE)


def refuse_foreign_link(path: Path) -> None:
    """End the command if `path` contains a link that another user may have planted; the caller opens it by name."""
    from agent.runtime.path_walk import ForeignLinkError, resolved

    try:
        with resolved(path):
            pass
    except ForeignLinkError as error:
        fail(f"{path}: this path is refused ({error.strerror}); choose another one", ExitCode.USAGE)
    except OSError:
        return  # the code that opens the path reports the cause
