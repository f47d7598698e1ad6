"""Options that every command shares, and how a command turns them into a configuration or ends with an error."""

from __future__ import annotations

import json
import sys
from contextlib import contextmanager
from dataclasses import dataclass
from enum import IntEnum
from typing import TYPE_CHECKING, Any, NoReturn

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path

    import typer

    from agent.config import Config
    from probes.registry import Discovery

GLOBAL_OPTIONS: Mapping[str, bool] = {
    "--config": True,
    "--database": True,
    "--path.sysfs": True,
    "--path.procfs": True,
    "--path.nvml-library": True,
    "--estimates": False,
    "--no-estimates": False,
}
"""Name of each shared option, and whether a value follows it."""
_WITH_VALUE: Mapping[str, bool] = {**GLOBAL_OPTIONS, "--duration": True, "--tolerance": True}
SHARED = "The options of `inferometer --help` (--database, --path.sysfs, ...) may be given here too."
"""Stands below the help of every command."""
JSON_HELP = "Print one JSON document on standard output; everything else goes to standard error."


class ExitCode(IntEnum):
    """What the command's exit code tells a script."""

    OK = 0
    FAILURE = 1
    USAGE = 2
    INTERRUPTED = 130


@dataclass(frozen=True, slots=True)
class Options:
    """The shared options as given; None where they were not."""

    config_file: Path | None
    database: str | None
    sysfs: str | None
    procfs: str | None
    nvml_library: str | None
    estimates: bool | None


def hoisted(arguments: Sequence[str]) -> list[str]:
    """Move shared options to the front, so that they may follow the command's name too.

    What stands after `--`, or is the command line that `measure` is to run, belongs to someone else and stays. A shared
    option whose value is missing is returned alone: anything beside it would be taken for the value.
    """
    front: list[str] = []
    rest: list[str] = []
    waiting = list(arguments)
    while waiting:
        name, equals, _ = waiting[0].partition("=")
        takes = 2 if _WITH_VALUE.get(name) and not equals else 1
        if name == "--" or (rest[:1] == ["measure"] and not name.startswith("-")):
            break
        if name in GLOBAL_OPTIONS and takes > len(waiting):
            return waiting
        (front if name in GLOBAL_OPTIONS else rest).extend(waiting[:takes])
        del waiting[:takes]
    return [*front, *rest, *waiting]


def configuration(context: typer.Context) -> Config:
    """Return the configuration of this call: command line and environment over the file over the defaults."""
    from agent.config import ConfigError

    try:
        return configured(context.obj)
    except ConfigError as error:
        fail(str(error), ExitCode.USAGE)


def configured(options: Options, *, with_file: bool = True) -> Config:
    """Return the configuration under these options, of the defaults alone if not `with_file`. Raises ConfigError."""
    from agent.config import check_roots, default_file, load, override

    config = override(
        load((options.config_file or default_file()) if with_file else None),
        database=options.database,
        sysfs=options.sysfs,
        procfs=options.procfs,
        nvml_library=options.nvml_library,
        estimates=options.estimates,
    )
    check_roots(config.roots)
    return config


def share(text: str) -> float:
    """Return `5%` or `0.05` as a share above 0 and below 1; raises typer.BadParameter."""
    number, percent = text.strip().removesuffix("%"), text.strip().endswith("%")
    try:
        found = float(number) / (100 if percent else 1)
    except ValueError:
        found = 0.0
    if not 0 < found < 1:
        raise typer.BadParameter(f"{text!r}: give a share such as 5% or 0.05")
    return found


@contextmanager
def discovered(config: Config) -> Iterator[Discovery]:
    """Find the host's probes, and close them when the block is left; what goes wrong with one is said meanwhile."""
    from agent.log import configure
    from agent.profiling.recording import close_probes
    from probes.registry import discover

    configure("warning")
    found = discover(config.roots, estimates=config.estimates)
    try:
        yield found
    finally:
        close_probes(found)


def fail(message: str, code: ExitCode = ExitCode.FAILURE) -> NoReturn:
    """End the command with an error: what, why, what to do."""
    from typer import Exit

    say(f"error: {message}")
    raise Exit(int(code))


def say(message: str) -> None:
    """Tell the user something that is not the answer itself."""
    print(message, file=sys.stderr, flush=True)  # noqa: T201  this is how the command line speaks


def answer(text: str) -> None:
    """Print the answer of a command."""
    print(text, flush=True)  # noqa: T201  this is how the command line speaks


def answer_json(document: Any) -> None:
    """Print the answer as one JSON document."""
    answer(json.dumps(document, indent=2, allow_nan=False))
