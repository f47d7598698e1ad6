"""The options that come from the table of settings, and the order of the words of a command line."""

from __future__ import annotations

import inspect
from typing import TYPE_CHECKING, Annotated, Any

import typer

from agent.config.table import SETTINGS

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from agent.config.setting import Setting

SHARED_SETTINGS = tuple(setting for setting in SETTINGS if setting.option and not setting.command)
DAEMON_SETTINGS = tuple(setting for setting in SETTINGS if setting.option and setting.command == "daemon")
GLOBAL_OPTIONS: Mapping[str, bool] = {
    "--config": True,
    **{name: bool(s.type.metavar) for s in SHARED_SETTINGS for name in s.option.split("/")},
}
"""The name of each option that every command takes, and whether a value follows it."""
_WITH_VALUE: Mapping[str, bool] = {**GLOBAL_OPTIONS, "--duration": True, "--tolerance": True}
PROGRAM_FLAGS = frozenset(
    [
        "--quick",
        "--standard",
        "--rigorous",
        "--force",
        "--require-energy",
        "--no-store",
        "--json",
        "--ignore-failure",
        "--no-ignore-failure",
        "--show-output",
        "--no-show-output",
        "--help",
    ]
)
"""The options of `profile command` that no value follows; the first word that is neither is the program."""
SHARED = "The options of `inferometer --help` (--database, --exclude, ...) are valid here too."
"""The last line of every command's help."""


def with_settings(settings: Sequence[Setting]) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Add an option for each setting to a command, which gets the values as `given`, by the names of the settings."""

    def add(command: Callable[..., None]) -> Callable[..., None]:
        own = [p for p in inspect.signature(command, eval_str=True).parameters.values() if p.name != "given"]
        parameters = [*own, *map(_parameter, settings)]
        command.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
        command.__annotations__ = {parameter.name: parameter.annotation for parameter in parameters}
        return command

    return add


def _parameter(setting: Setting) -> inspect.Parameter:
    """Return the parameter that Typer makes the option from."""
    is_list = isinstance(setting.default, tuple)
    option = typer.Option(
        setting.option,
        metavar=setting.type.metavar or None,
        help=f"{setting.help} [variable: {setting.variable}; default: {default_text(setting)}]",
        show_default=False,
    )
    value: Any = (list[str] if is_list else str) if setting.type.metavar else bool
    return inspect.Parameter(
        setting.name, inspect.Parameter.KEYWORD_ONLY, default=None, annotation=Annotated[value | None, option]
    )


def default_text(setting: Setting) -> str:
    """Return the default of a setting in words."""
    if isinstance(setting.default, bool):
        return "yes" if setting.default else "no"
    if isinstance(setting.default, tuple):
        return ", ".join(setting.default) or "none"
    return setting.default_text or str(setting.default)


def move_globals_first(arguments: Sequence[str]) -> list[str]:
    """Move shared options to the front, so that they may also follow the command's name.

    Words after `--`, and the program that `measure` and `profile command` run, stay in place. A shared option without
    its value is returned alone, since the parser would use any following word as the value.
    """
    front, rest, others = _split_arguments(arguments)
    return others if others and others[0] in GLOBAL_OPTIONS else [*front, *rest, *others]


def asks_for_json(arguments: Sequence[str]) -> bool:
    """Return whether --json is among the words of this program; the command that `measure` runs does not count."""
    return "--json" in _split_arguments(arguments)[1]


def own_words(arguments: Sequence[str]) -> list[str]:
    """Return the words of this program that are no shared options; the first is the command's name, if correct."""
    return _split_arguments(arguments)[1]


def _split_arguments(arguments: Sequence[str]) -> tuple[list[str], list[str], list[str]]:
    """Return the shared options, the other words of this program, and the words of another program."""
    front: list[str] = []
    rest: list[str] = []
    waiting = list(arguments)
    while waiting:
        name, equals, _ = waiting[0].partition("=")
        is_option, of_program = name.startswith("-"), rest[:2] == ["profile", "command"]
        with_value = _WITH_VALUE.get(name, of_program and is_option and name not in PROGRAM_FLAGS)
        takes = 2 if with_value and not equals else 1
        if name == "--" or (not is_option and (of_program or rest[:1] == ["measure"])):
            break
        if name in GLOBAL_OPTIONS and takes > len(waiting):
            break
        (front if name in GLOBAL_OPTIONS else rest).extend(waiting[:takes])
        del waiting[:takes]
    return front, rest, waiting
