"""Tables for people: plain columns, whole words, and numbers with three or four significant digits."""

from __future__ import annotations

import math
import sys
from typing import TYPE_CHECKING

from agent.runtime.console import printable_line

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from typing import TextIO

_PREFIXES = ("p", "n", "µ", "m", "", "k", "M", "G", "T")
_PLAIN = _PREFIXES.index("")
_GAP = "  "
_ASYMMETRIC = 0.25
"""The share by which the sides of an interval may differ before both of its ends are shown."""


def show(columns: Sequence[str], rows: Iterable[Sequence[str]], stream: TextIO | None = None) -> None:
    """Print rows under their headings; a heading that ends in `>` is right-aligned."""
    headings = [column.removesuffix(">") for column in columns]
    lines = [headings, *([printable_line(cell) for cell in row] for row in rows)]
    widths = [max(map(len, cells)) for cells in zip(*lines, strict=True)]
    for line in lines:
        cells = (
            cell.rjust(width) if column.endswith(">") else cell.ljust(width)
            for cell, column, width in zip(line, columns, widths, strict=True)
        )
        print(_GAP.join(cells).rstrip(), file=stream or sys.stdout)


def number(value: float | None, unit: str = "", digits: int = 3) -> str:
    """Return a number with an SI prefix, `-` where there is none: 0.00123 J is `1.23 mJ`."""
    if value is None or math.isnan(value):
        return "-"
    if not value:
        return f"0 {unit}".strip()  # for -0.0 as well
    if math.isinf(value):
        return f"{value:g} {unit}".strip()
    rounded = float(f"{value:.{digits - 1}e}")  # first, so that 999.96 is 1 k and not 1000
    step = math.floor(math.log10(abs(rounded)) / 3 + 1e-9)  # the nudge for powers of ten that log10 puts just below
    if not -_PLAIN <= step < len(_PREFIXES) - _PLAIN:
        return f"{rounded:g} {unit}".strip()
    return f"{rounded / 1000.0**step:.{digits}g} {_PREFIXES[step + _PLAIN]}{unit}".strip()


def spread(mean: float, lower: float | None, upper: float | None, unit: str = "") -> str:
    """Return the bounds of a mean as people read them: `±12 %`, or both ends where the sides differ: `0 to 7.4 mJ`."""
    if lower is None or upper is None:
        known = number(lower if upper is None else upper, unit)
        return "" if lower is upper else f"{known} or more" if upper is None else f"up to {known}"
    below, above = mean - lower, upper - mean
    wider = max(below, above)
    if mean and min(below, above) >= 0 and wider < abs(mean) and abs(below - above) <= _ASYMMETRIC * wider:
        return f"±{percent(wider / abs(mean))}"
    return f"{number(lower, unit)} to {number(upper, unit)}"


def percent(share: float) -> str:
    """Return a share as a percentage of two digits, never 0 for what is not: `12 %`, `1.2 %`, `0.1 %`."""
    shown = share * 100
    if shown >= 9.95 or not shown:  # noqa: PLR2004  two digits are enough
        return f"{shown:.0f} %"
    return f"{max(shown, 0.1):.1f} %"
