"""Numbers in texts: parsed within a range, with one wording of the errors."""

from __future__ import annotations

import math
import re
from typing import TypeVar

_Number = TypeVar("_Number", int, float)
_WHOLE = re.compile(r"[+-]?\d{1,4000}", re.ASCII)  # Python refuses to convert more digits
_LONGEST_SHOWN = 40


def whole_number(value: object, least: int | None = None, most: int | None = None) -> int:
    """Return a whole number, given as such or as text. Raises ValueError that names the range."""
    text = str(value).strip()
    if not _WHOLE.fullmatch(text):
        raise ValueError(f"{shortened(text)!r} is not a whole number")
    return _within(int(text), text, least, most)


def real_number(value: object, least: float | None = None, most: float | None = None) -> float:
    """Return a finite number, given as such or as text. Raises ValueError that names the range."""
    text = str(value).strip()
    try:
        number = float(text)
    except ValueError:
        raise ValueError(f"{shortened(text)!r} is not a number") from None
    if not math.isfinite(number):
        raise ValueError(f"{shortened(text)} is not a finite number")
    return _within(number, text, least, most)


def _within(number: _Number, text: str, least: float | None, most: float | None) -> _Number:
    if (least is not None and number < least) or (most is not None and number > most):
        raise ValueError(f"{shortened(text)} is out of range: {range_text(least, most)}")
    return number


def range_text(least: float | None, most: float | None) -> str:
    """Return a range in words: `1 to 1000`, `1 or more`, `up to 9`, empty without limits."""
    if least is None:
        return "" if most is None else f"up to {_plain(most)}"
    return f"{_plain(least)} or more" if most is None else f"{_plain(least)} to {_plain(most)}"


def _plain(number: float) -> str:
    return str(number) if isinstance(number, int) else f"{number:.10g}"


def shortened(text: str) -> str:
    """Return a text for an error message, shortened."""
    return text if len(text) <= _LONGEST_SHOWN else f"{text[:_LONGEST_SHOWN]}..."
