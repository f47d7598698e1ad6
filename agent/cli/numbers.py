"""Options that take a number or a word of a few: their metavar, the range in the help, the errors of a wrong value."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any, get_args

import typer

from agent.runtime.numbers import range_text, real_number, whole_number

if TYPE_CHECKING:
    from collections.abc import Callable


def whole(help_text: str, least: int | None = None, most: int | None = None, name: str = "") -> Any:
    """Return an option that takes a whole number in a range."""
    return _option(help_text, partial(whole_number, least=least, most=most), range_text(least, most), "N", name)


def real(
    help_text: str, least: float | None = None, most: float | None = None, metavar: str = "NUMBER", name: str = ""
) -> Any:
    """Return an option that takes a finite number in a range."""
    return _option(help_text, partial(real_number, least=least, most=most), range_text(least, most), metavar, name)


def choice(kind: Any, help_text: str, name: str = "") -> Any:
    """Return an option that takes one word of a Literal or of an enumeration of words."""
    words = "|".join(map(str, get_args(kind) or kind))
    return typer.Option(*([name] if name else []), metavar=words, help=help_text)


def _option(help_text: str, parse: Callable[[object], float], limits: str, metavar: str, name: str) -> Any:
    def parsed(value: str) -> float:
        try:
            return parse(value)
        except ValueError as error:
            raise typer.BadParameter(str(error)) from None

    text = f"{help_text} [{limits}]" if limits else help_text
    return typer.Option(*([name] if name else []), parser=parsed, metavar=metavar, help=text)
