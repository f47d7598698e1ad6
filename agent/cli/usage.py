"""Usage errors of the command line, and help texts that work under `python -OO`."""

from __future__ import annotations

import ast
import re
import sys
from difflib import get_close_matches
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from agent.cli.arguments import GLOBAL_OPTIONS

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

_EXTRA = re.compile(r"Got unexpected extra arguments?(?:\(s\))? \((.*)\)", re.DOTALL)
UsageError = typer.BadParameter.__bases__[0]
ClickException: type[Exception] = UsageError.__bases__[0]
"""The errors of the parser. Newer versions of Typer contain their own Click, so nothing is imported from Click."""


def format_usage_error(error: Any, program: Any, words: Sequence[str]) -> str:
    """Return the error of a command line as a sentence, with the help to read."""
    kind, message = type(error).__name__, str(error.format_message()).rstrip(".")
    if kind == "NoArgsIsHelpError":
        return "no command is given:\n\n" + message
    context = getattr(error, "ctx", None)
    command = context.command_path if context else _command_path(program, words)
    sentence = _sentence(kind, error, message)
    see = " See" if sentence.endswith("?") else "; see"
    return f"{sentence}{see} `{command} --help`"


def _command_path(command: Any, words: Sequence[str]) -> str:
    """Return the command that the first words name, for the errors of the parser that do not name it."""
    path = "inferometer"
    for word in words:
        command = getattr(command, "commands", {}).get(word)
        if command is None:
            break
        path += f" {word}"
    return path


def _sentence(kind: str, error: Any, message: str) -> str:
    """Return the cause in our words, by the kind of the error; the parser's own words for the other kinds."""
    if kind == "MissingParameter":
        return f"{_name(error.param)} is missing"
    if kind == "BadParameter" and error.param is not None:
        return f"{_name(error.param)}: {error.message.rstrip('.')}"
    if kind == "NoSuchOption":
        known = {name for each in error.ctx.command.params for name in each.opts if name.startswith("--")}
        near = get_close_matches(error.option_name, sorted({*known, *GLOBAL_OPTIONS}), 1)
        return f"there is no option {error.option_name}" + (f"; did you mean {near[0]}?" if near else "")
    if kind == "BadOptionUsage":
        lacks = "does not take" not in message
        return f"{error.option_name} {'needs a value' if lacks else 'takes no value'}"
    if extra := _EXTRA.fullmatch(message):
        return f"unexpected argument: {extra[1]}"
    return f"{message[:1].lower()}{message[1:]}"


def _name(parameter: Any) -> str:
    """Return a parameter as a user types it: the longest name of an option, the metavar of an argument."""
    if parameter.param_type_name == "option":
        return str(max(parameter.opts, key=len))
    return str(parameter.metavar or parameter.human_readable_name)


def restore_help(app: typer.Typer) -> None:
    """Read the help of every command from its source if Python drops docstrings (`-OO`)."""
    if sys.flags.optimize < 2:  # noqa: PLR2004  the level that drops docstrings
        return
    for command in app.registered_commands:
        if command.callback and not command.help:
            command.help = _docstring(command.callback)
    for group in app.registered_groups:
        if group.typer_instance:
            restore_help(group.typer_instance)


def _docstring(function: Callable[..., Any]) -> str | None:
    path = getattr(sys.modules[function.__module__], "__file__", None)
    if path is None:
        return None
    for node in ast.walk(ast.parse(Path(path).read_text(encoding="utf-8"))):
        if isinstance(node, ast.FunctionDef) and node.name == function.__name__:
            return ast.get_docstring(node)
    return None
