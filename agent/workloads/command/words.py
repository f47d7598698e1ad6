"""The commands of a run, their names, and the placeholders in their words."""

from __future__ import annotations

import re
import shlex
from pathlib import PurePath
from typing import TYPE_CHECKING

from agent.runtime.console import printable_line
from agent.runtime.numbers import shortened

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from agent.workloads.point import Value

Command = tuple[str, ...]
"""A program and its arguments."""
_NAME = re.compile(r"[A-Za-z_]\w{0,39}", re.ASCII)
_LONGEST_NAME = 60
COMMAND = "command"
"""The parameter of a point that names its command."""


def parse_versus(texts: Sequence[str]) -> tuple[Command, ...]:
    """Return the commands in texts, split as a shell does, without a shell. Raises ValueError that names the option."""
    return tuple(_split("--vs", text) for text in texts)


def parse_prepare(texts: Sequence[str]) -> tuple[Command, ...]:
    """Return the commands of --prepare, as `parse_versus` does."""
    return tuple(_split("--prepare", text) for text in texts)


def _split(option: str, text: str) -> Command:
    try:
        words = tuple(shlex.split(text))
    except ValueError as error:
        raise ValueError(f"{option}: {error}; close every quotation mark") from error
    if not words:
        raise ValueError(f"{option}: there is no command in {shortened(text)!r}")
    return words


def names_of(commands: Sequence[Command], given: Sequence[str]) -> tuple[str, ...]:
    """Return a name for each command: the given ones, else those of the programs, numbered if they are equal.

    Raises ValueError that names the option.
    """
    if given:
        if len(given) != len(commands):
            raise ValueError(f"--name: {len(given)} names for {len(commands)} commands; give one for each, in order")
        if len(set(given)) < len(given) or not all(each.strip() for each in given):
            raise ValueError("--name: the names must differ and not be empty")
        return tuple(printable_line(each)[:_LONGEST_NAME] for each in given)
    programs = [printable_line(PurePath(command[0]).name)[:_LONGEST_NAME] for command in commands]
    return tuple(
        name if programs.count(name) == 1 else f"{name}#{programs[: index + 1].count(name)}"
        for index, name in enumerate(programs)
    )


def parse_parameters(texts: Sequence[str]) -> dict[str, tuple[Value, ...]]:
    """Return the values in texts such as `level=1,6,9`, by name. Raises ValueError that names the option.

    A value is a number if it is written as Python writes it, else a text: a program gets exactly the given text.
    """
    found: dict[str, tuple[Value, ...]] = {}
    for text in texts:
        name, equals, values = text.partition("=")
        parts = values.split(",")
        if not equals or not _NAME.fullmatch(name) or not all(parts):
            raise ValueError(f"--param {shortened(text)}: write it as NAME=VALUE,VALUE,...")
        if name == COMMAND:
            raise ValueError(f"--param {name}: this name is that of the commands; choose another one")
        if name in found:
            raise ValueError(f"--param {name}: it is given twice; give all values in one list")
        found[name] = tuple(dict.fromkeys(map(_value, parts)))
    return found


def _value(text: str) -> Value:
    for kind in (int, float):
        try:
            if str(kind(text)) == text and text not in {"nan", "inf", "-inf"}:
                return kind(text)
        except ValueError:
            continue
    return text


def filled(words: Sequence[str], parameters: Mapping[str, Value]) -> Command:
    """Return words with each `{NAME}` of a parameter replaced by its value; other braces stay."""
    return tuple(filled_text(word, parameters) for word in words)


def filled_text(text: str, parameters: Mapping[str, Value]) -> str:
    """Return a text with each `{NAME}` of a parameter replaced by its value."""
    for name, value in parameters.items():
        text = text.replace(f"{{{name}}}", str(value))
    return text
