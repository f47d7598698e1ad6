"""All commands, by the words that call them."""

from __future__ import annotations

from functools import cache
from typing import Any

import typer

from agent.cli.main import command_line


@cache
def commands_of() -> dict[str, Any]:
    """Return every command and group by its words; the program itself has no words."""
    found: dict[str, Any] = {}
    waiting = [("", typer.main.get_command(command_line()))]
    for words, command in waiting:
        found[words] = command
        waiting += [(f"{words} {name}".strip(), each) for name, each in getattr(command, "commands", {}).items()]
    return found


LEAVES = tuple(words for words, command in commands_of().items() if not hasattr(command, "commands"))
"""The commands that are not groups."""
