"""Prints a benchmark's table and its bars with their verdicts, and writes the same as a JSON file."""

from __future__ import annotations

import argparse
import json
import os
import platform
import sys
import time
from dataclasses import asdict, dataclass
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Sequence

RESULTS = Path(__file__).parent / "results"


class Verdict(StrEnum):
    """`not resolved`: the spread of the figure is wider than its distance from the bar."""

    MET = "met"
    MISSED = "missed"
    NOT_RESOLVED = "not resolved"


@dataclass(frozen=True, slots=True)
class Bar:
    """One figure and its limit; `lower` and `upper` are its spread if it has one, `note` is the reason."""

    name: str
    figure: float
    limit: float
    unit: str = ""
    at_least: bool = False
    lower: float | None = None
    upper: float | None = None
    note: str = ""

    @property
    def verdict(self) -> Verdict:
        """Whether the limit holds."""
        low = self.figure if self.lower is None else self.lower
        high = self.figure if self.upper is None else self.upper
        if low < self.limit < high:
            return Verdict.NOT_RESOLVED
        met = self.figure >= self.limit if self.at_least else self.figure <= self.limit
        return Verdict.MET if met else Verdict.MISSED


def arguments(description: str) -> argparse.Namespace:
    """Return the options of a benchmark: `--quick` for a short trial, `--json FILE` for the output file."""
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("--quick", action="store_true", help="fewer repeats: a trial without reliable figures")
    parser.add_argument("--json", type=Path, default=RESULTS / f"{Path(sys.argv[0]).stem}.json", metavar="FILE")
    return parser.parse_args()


def table(title: str, columns: Sequence[str], rows: Sequence[Sequence[object]]) -> None:
    """Print rows under their headings; a heading that ends in `>` is right-aligned."""
    lines = [[column.removesuffix(">") for column in columns], *([_cell(cell) for cell in row] for row in rows)]
    widths = [max(map(len, cells)) for cells in zip(*lines, strict=True)]
    print(f"\n{title}")
    for line in lines:
        cells = (
            cell.rjust(width) if column.endswith(">") else cell.ljust(width)
            for cell, column, width in zip(line, columns, widths, strict=True)
        )
        print("  " + "  ".join(cells).rstrip())


def finish(to: Path, figures: dict[str, Any], bars: Sequence[Bar]) -> None:
    """Print every bar with its verdict, and write figures, bars and their machine as JSON."""
    if bars:
        rows = [
            (
                bar.name,
                _with_unit(bar.figure, bar),
                f"{'>=' if bar.at_least else '<='} {_with_unit(bar.limit, bar)}",
                bar.verdict.value,
                bar.note,
            )
            for bar in bars
        ]
        table("Bars", ("BAR", "FIGURE>", "LIMIT>", "VERDICT", "NOTE"), rows)
    to.parent.mkdir(parents=True, exist_ok=True)
    machine = {
        "cpu": _cpu_model(), "cores": os.cpu_count(), "kernel": platform.release(), "python": platform.python_version(),
        "at": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
    }  # fmt: skip
    document = {
        "machine": machine,
        "figures": figures,
        "bars": [{**asdict(bar), "verdict": bar.verdict.value} for bar in bars],
    }
    to.write_text(json.dumps(document, indent=2, allow_nan=False) + "\n", encoding="utf-8")
    print(f"\nwritten to {to}", flush=True)


def _with_unit(value: float, bar: Bar) -> str:
    return f"{value:.3g} {bar.unit}".rstrip()


def _cell(cell: object) -> str:
    return f"{cell:.3g}" if isinstance(cell, float) else str(cell)


def _cpu_model() -> str:
    lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    return next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), "")
