"""The steps that commands share: read the configuration, find the probes, write a file, end with an error."""

from __future__ import annotations

import errno
from contextlib import contextmanager
from typing import TYPE_CHECKING, BinaryIO, NoReturn, TypeVar

from agent.runtime.console import ExitCode, print_err, print_error

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    import typer

    from agent.config import Config
    from probes.registry import Discovery

_Value = TypeVar("_Value")
JSON_HELP = "Print one JSON document on standard output; everything else goes to standard error."

_DISK_ERRORS = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO}
"""Not the user's choice of path is wrong then, but the disk."""


def configuration(context: typer.Context) -> Config:
    """Return the configuration of this call: command line and environment over the file over the defaults."""
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
