"""Compares `inferometer profile` with a plain loop of the same engine, in interleaved pairs."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING, Any

from reporting import Bar, table

if TYPE_CHECKING:
    from collections.abc import Callable

PAIRS, QUICK_PAIRS = 5, 1
MOST_DIFFERENCE = 0.03
LOOPS = Path(__file__).with_name("engine_loops")
"""The plain loops: scripts that import the engine, but nothing of this project, and print one JSON value."""
_LIMIT_SECONDS = 900.0


@dataclass(frozen=True, slots=True)
class Pairs:
    """The same quantity measured by this project and by the other side, once each in every pair."""

    quantity: str
    ours: tuple[float, ...]
    theirs: tuple[float, ...]

    @property
    def ratio(self) -> float:
        """The ratio of the medians."""
        return median(self.ours) / median(self.theirs)

    @property
    def ratios(self) -> tuple[float, ...]:
        """The ratio of each pair."""
        return tuple(one / two for one, two in zip(self.ours, self.theirs, strict=True))

    def bar(self, most_difference: float = MOST_DIFFERENCE) -> Bar:
        """Return the bar on the difference of the medians."""
        spread = f"ratio {self.ratio:.3f}, of the pairs {min(self.ratios):.3f} to {max(self.ratios):.3f}"
        return Bar(f"{self.quantity}, difference of the medians", abs(self.ratio - 1), most_difference, note=spread)


def interleaved(quantity: str, ours: Callable[[], float], theirs: Callable[[], float], pairs: int = PAIRS) -> Pairs:
    """Measure both sides in the order ABBA, and print each pair."""
    found: tuple[list[float], list[float]] = ([], [])
    for number in range(pairs):
        sides = (0, 1) if number % 2 == 0 else (1, 0)
        for side in sides:
            found[side].append((ours, theirs)[side]())
        mine, other = found[0][-1], found[1][-1]
        print(f"{quantity}, pair {number + 1} of {pairs}: {mine:.4g} and {other:.4g}", file=sys.stderr, flush=True)
    result = Pairs(quantity, tuple(found[0]), tuple(found[1]))
    rows = [(n + 1, *values) for n, values in enumerate(zip(result.ours, result.theirs, result.ratios, strict=True))]
    rows.append(("median", median(result.ours), median(result.theirs), result.ratio))
    table(quantity, ("PAIR", "INFEROMETER>", "OTHER>", "RATIO>"), rows)
    return result


def profiled(environment: Path, *arguments: str | Path) -> dict[str, Any]:
    """Return the document of `inferometer profile ARGUMENTS` in an environment; nothing is stored."""
    program = environment / "bin/inferometer"
    document: dict[str, Any] = json.loads(_output(program, "profile", *arguments, "--force", "--no-store", "--json"))
    return document


def looped(environment: Path, script: str, *arguments: str | Path) -> Any:
    """Return the JSON value that a script of `engine_loops` prints; it runs in a process of its own."""
    return json.loads(_output(environment / "bin/python", "-I", LOOPS / f"{script}.py", *arguments))


def _output(*command: str | Path) -> str:
    line = [*map(str, command)]
    own = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    done = subprocess.run(line, capture_output=True, text=True, timeout=_LIMIT_SECONDS, check=False, env=own)
    if done.returncode:
        raise SystemExit(f"{' '.join(line)} ended with {done.returncode}:\n{(done.stdout + done.stderr)[-3000:]}")
    return done.stdout
