"""Tables for people: plain columns, whole words, and numbers with three or four significant digits."""

from __future__ import annotations

import math
import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from typing import TextIO

_WIDE = 220
_PREFIXES = ((1e9, "G"), (1e6, "M"), (1e3, "k"), (1.0, ""), (1e-3, "m"), (1e-6, "µ"), (1e-9, "n"))


def show(columns: Sequence[str], rows: Iterable[Sequence[str]], stream: TextIO | None = None) -> None:
    """Print rows under their headings; a heading that ends in `>` is right-aligned."""
    from rich.console import Console
    from rich.table import Table

    stream = stream or sys.stdout
    table = Table(box=None, pad_edge=False, header_style="bold", padding=(0, 2, 0, 0))
    for column in columns:
        right = column.endswith(">")
        table.add_column(column.removesuffix(">"), justify="right" if right else "left", overflow="fold")
    for row in rows:
        table.add_row(*row)
    width = None if stream.isatty() else _WIDE
    Console(file=stream, width=width, highlight=False, markup=False, emoji=False).print(table, soft_wrap=False)


def number(value: float | None, unit: str = "", digits: int = 3) -> str:
    """Return a number with an SI prefix, `-` for none: 0.00123 J is `1.23 mJ`."""
    if value is None:
        return "-"
    if not value or not math.isfinite(value):
        return f"{value:g} {unit}".strip()
    scale, prefix = next(((s, p) for s, p in _PREFIXES if abs(value) >= s * 0.9995), _PREFIXES[-1])
    shown = f"{value / scale:.{digits}g}"
    if "e" in shown:
        shown = f"{value / scale:.0f}"
    return f"{shown} {prefix}{unit}".strip()


def spread(mean: float, lower: float | None, upper: float | None) -> str:
    """Return how far the bounds are from the mean: `±12 %`, or `-5/+30 %` where they differ much."""
    if lower is None or upper is None or not mean:
        return ""
    below, above = (mean - lower) / abs(mean), (upper - mean) / abs(mean)
    if abs(below - above) <= 0.1 * max(below, above, 1e-12):
        return f"±{_percent(max(below, above))} %"
    return f"-{_percent(below)}/+{_percent(above)} %"


def _percent(share: float) -> str:
    percent = share * 100
    return f"{percent:.0f}" if percent >= 9.95 else f"{percent:.1f}"  # noqa: PLR2004  two digits are enough
