"""Aligned tables and numbers of three significant digits, as text."""

from __future__ import annotations

import math
import textwrap
from typing import TYPE_CHECKING

from agent.runtime.console import printable_line

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

_PREFIXES = ("p", "n", "µ", "m", "", "k", "M", "G", "T")
_PLAIN = _PREFIXES.index("")
_GAP = "  "
_ASYMMETRIC = 0.25
"""The share by which the sides of an interval may differ before both of its ends are shown."""
_MIN_PLAIN = 1e-5
"""Below this value `plain` uses the scientific notation."""


def table(columns: Sequence[str], rows: Iterable[Sequence[str]], width: int | None = None) -> str:
    """Return rows under their headings; a heading that ends in `>` is right-aligned.

    A table wider than `width` characters continues below itself, with its first column repeated.
    """
    headings = [column.removesuffix(">") for column in columns]
    lines = [headings, *([printable_line(cell) for cell in row] for row in rows)]
    widths = [max(map(len, cells)) for cells in zip(*lines, strict=True)]
    padded = [
        [
            cell.rjust(size) if column.endswith(">") else cell.ljust(size)
            for cell, column, size in zip(line, columns, widths, strict=True)
        ]
        for line in lines
    ]
    return "\n\n".join(
        "\n".join(_GAP.join(line[index] for index in block).rstrip() for line in padded)
        for block in _blocks(widths, width)
    )


def titled_table(title: str, columns: Sequence[str], rows: Iterable[Sequence[str]], width: int) -> str:
    """Return a table below a sentence."""
    return f"{wrapped(title, width, 0)}\n{table(columns, rows, width)}"


def _blocks(widths: Sequence[int], width: int | None) -> Iterator[list[int]]:
    """Yield the columns of each part of a table, by their positions; the first column is in every part."""
    block, used = [0], widths[0]
    for index, size in enumerate(widths[1:], 1):
        if width is not None and len(block) > 1 and used + len(_GAP) + size > width:
            yield block
            block, used = [0], widths[0]
        block.append(index)
        used += len(_GAP) + size
    yield block


def wrapped(text: str, width: int, indent: int, label: str = "") -> str:
    """Return a paragraph that begins with `label`, in lines of `width` characters, all but the first indented.

    A line does not begin with `%`.
    """
    whole = textwrap.fill(
        printable_line(text).replace(" %", "\xa0%"),
        width,
        initial_indent=label.ljust(indent) if label else "",
        subsequent_indent=" " * indent,
        break_long_words=False,
        break_on_hyphens=False,
    )
    return whole.replace("\xa0", " ")


def number(value: float | None, unit: str = "", digits: int = 3) -> str:
    """Return a number with an SI prefix, `-` if there is none: 0.00123 J is `1.23 mJ`."""
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


def plain(value: float | None) -> str:
    """Return a number of three significant digits without a prefix, `-` if there is none: `0.627`, `1,550`."""
    if value is None or math.isnan(value):
        return "-"
    if not value:
        return "0"
    if math.isinf(value) or abs(value) < _MIN_PLAIN:
        return f"{value:.2e}"
    rounded = float(f"{value:.2e}")
    decimals = max(0, 2 - math.floor(math.log10(abs(rounded)) + 1e-9))
    return f"{rounded:,.{decimals}f}"


def spread(mean: float, lower: float | None, upper: float | None) -> str:
    """Return the bounds of a mean: `±12 %`, or both ends if the sides differ: `0 to 0.0074`."""
    if upper is None:
        return "" if lower is None else f"{plain(lower)} or more"
    if lower is None:
        return f"up to {plain(upper)}"
    below, above = mean - lower, upper - mean
    wider = max(below, above)
    if mean and min(below, above) >= 0 and wider < abs(mean) and abs(below - above) <= _ASYMMETRIC * wider:
        half = wider / abs(mean)
        return f"±{percent(max(half, 0.001) if half else 0.0)}"
    return f"{plain(lower)} to {plain(upper)}"


def percent(share: float) -> str:
    """Return a share as a percentage of two digits, three next to 100 %, `0 %` and `100 %` only for 0 and 1.

    `< 0.1 %`, `1.2 %`, `12 %`, `99.5 %`, `> 99.9 %`.
    """
    shown = share * 100
    if 0 < shown < 0.05:  # noqa: PLR2004  it rounds to 0
        return "< 0.1 %"
    if 99.95 <= shown < 100:  # noqa: PLR2004  it rounds to 100
        return "> 99.9 %"
    if 0 < shown < 9.95 or 99 < shown < 100:  # noqa: PLR2004  two digits, or those that matter
        return f"{shown:.1f} %"
    return f"{shown:.0f} %"
