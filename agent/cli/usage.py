"""Usage errors of the command line, and help texts that work under `python -OO`."""

from __future__ import annotations

import ast
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

if TYPE_CHECKING:
    from collections.abc import Callable

UsageError = typer.BadParameter.__bases__[0]
ClickException: type[Exception] = UsageError.__bases__[0]
"""The errors of the parser. Newer versions of Typer contain their own Click, so nothing is imported from Click."""


def format_usage_error(error: Any) -> str:
    """Return the error of a command line as a sentence, with the help to read."""
    message = str(error.format_message()).rstrip(".")
    if type(error).__name__ == "NoArgsIsHelpError":
        return "no command is given:\n\n" + message
    context = getattr(error, "ctx", None)
    command = context.command_path if context else "inferometer"
    see = " See" if message.endswith("?") else "; see"
    return f"{message[:1].lower()}{message[1:]}{see} `{command} --help`"


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
