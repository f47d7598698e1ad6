"""Options that every command shares, and how a command turns them into a configuration or ends with an error."""

from __future__ import annotations

import errno
from contextlib import contextmanager
from typing import TYPE_CHECKING, BinaryIO, NoReturn, TypeVar

from agent.runtime.console import ExitCode as ExitCode  # noqa: PLC0414  the commands take it from here
from agent.runtime.console import print_err, print_error, print_json, print_out

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence
    from pathlib import Path

    import typer

    from agent.config import Config
    from probes.registry import Discovery

_Value = TypeVar("_Value")
GLOBAL_OPTIONS: Mapping[str, bool] = {
    "--config": True,
    "--database": True,
    "--path.sysfs": True,
    "--path.procfs": True,
    "--path.nvml-library": True,
    "--cpu-budget": True,
    "--realtime": False,
    "--no-realtime": False,
    "--estimates": False,
    "--no-estimates": False,
}
"""Name of each shared option, and whether a value follows it."""
_WITH_VALUE: Mapping[str, bool] = {**GLOBAL_OPTIONS, "--duration": True, "--tolerance": True}
SHARED = "The options of `inferometer --help` (--database, --path.sysfs, ...) may be given here too."
"""Stands below the help of every command."""
JSON_HELP = "Print one JSON document on standard output; everything else goes to standard error."


__all__ = ["print_err", "print_json", "print_out"]
_DISK_ERRORS = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO}
"""Not the user's choice of path is wrong then, but the disk."""


def move_globals_first(arguments: Sequence[str]) -> list[str]:
    """Move shared options to the front, so that they may follow the command's name too.

    What stands after `--`, or is the command line that `measure` is to run, belongs to someone else and stays. A shared
    option whose value is missing is returned alone: anything beside it would be taken for the value.
    """
    front, rest, others = _split_arguments(arguments)
    return others if others and others[0] in GLOBAL_OPTIONS else [*front, *rest, *others]


def asks_for_json(arguments: Sequence[str]) -> bool:
    """Return whether a command line asks for JSON; one that `measure` is to run may ask for its own."""
    return "--json" in _split_arguments(arguments)[1]


def command_of(arguments: Sequence[str]) -> str | None:
    """Return the first word that is no shared option, which is a command's name if the command line is in order."""
    return next(iter(_split_arguments(arguments)[1]), None)


def _split_arguments(arguments: Sequence[str]) -> tuple[list[str], list[str], list[str]]:
    """Return the shared options, the other words of this program, and what belongs to someone else."""
    front: list[str] = []
    rest: list[str] = []
    waiting = list(arguments)
    while waiting:
        name, equals, _ = waiting[0].partition("=")
        takes = 2 if _WITH_VALUE.get(name) and not equals else 1
        if name == "--" or (rest[:1] == ["measure"] and not name.startswith("-")):
            break
        if name in GLOBAL_OPTIONS and takes > len(waiting):
            break
        (front if name in GLOBAL_OPTIONS else rest).extend(waiting[:takes])
        del waiting[:takes]
    return front, rest, waiting


def configuration(context: typer.Context) -> Config:
    """Return the configuration of this call: command line and environment over the file over the defaults."""
    from agent.config import ConfigError, resolve_config

    try:
        return resolve_config(context.obj)
    except ConfigError as error:
        fail(str(error), ExitCode.USAGE)


@contextmanager
def discovered(config: Config) -> Iterator[Discovery]:
    """Find the host's probes, and close them when the block is left; what goes wrong with one is said meanwhile."""
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
    """End the command with an error: what, why, what to do."""
    from typer import Exit

    print_error(message, code)
    raise Exit(int(code))


def option_value(option: str, text: str, parse: Callable[[str], _Value]) -> _Value:
    """Return what the text of an option says, and end the command with an error that names it if it says nothing."""
    try:
        return parse(text)
    except ValueError as error:
        fail(f"{option}: {error}", ExitCode.USAGE)


@contextmanager
def writing(path: Path) -> Iterator[BinaryIO]:
    """Open the file that a command writes, and end the command with an error that names it if it cannot be written."""
    from agent.runtime.output import output

    try:
        with output(path) as stream:
            yield stream
    except BrokenPipeError:
        raise
    except OSError as error:
        cause = f"{path}: it cannot be written ({error.strerror or error})"
        if error.errno in _DISK_ERRORS:
            fail(f"{cause}; make room, or choose another place with --output")
        fail(f"{cause}; choose another place with --output", ExitCode.USAGE)


def check_output_path(path: Path) -> None:
    """End the command if a link that another user may have planted leads to `path`, which others open by its name."""
    from agent.runtime.path_walk import ForeignLinkError, resolved

    try:
        with resolved(path):
            pass
    except ForeignLinkError as error:
        fail(f"{path}: it is not used ({error.strerror}); choose another place", ExitCode.USAGE)
    except OSError:
        return  # whoever opens the path reports why it cannot
