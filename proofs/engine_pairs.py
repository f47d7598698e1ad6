"""Compares `inferometer profile` with a plain loop of the same engine, in interleaved pairs."""

from __future__ import annotations

import json
import math
import os
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING, Any

from reporting import Bar, table

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from contextlib import AbstractContextManager

ROUNDS, ROUND_PAIRS, SLICE_SECONDS = 5, 20, 0.2
"""Fast iterations are compared in slices of this length: the speed of a virtual machine changes within a second. Two
processes of one program differ by some percent for all of their time, so each round has new ones."""
MOST_DIFFERENCE = 0.03
_LEAST_ROUNDS = 6
LOOPS = Path(__file__).with_name("engine_loops")
"""The plain loops: scripts that print one JSON value; of this project they import nothing but the layers on torch."""
_LIMIT_SECONDS = 900.0
REST_SECONDS = 0.25
"""The pause before a slice: threads of OpenMP spin for up to 0.2 s after their work, and slow the other side."""


@dataclass(frozen=True, slots=True)
class Pairs:
    """The same quantity measured by this project and by the other side, once each in every pair.

    `rounds` are the ratios of the rounds, each with processes of its own.
    """

    quantity: str
    ours: tuple[float, ...]
    theirs: tuple[float, ...]
    rounds: tuple[float, ...] = ()

    @property
    def ratio(self) -> float:
        """The median of the ratios of the pairs, which share the speed of the machine at their time."""
        return median(self.ratios)

    @property
    def ratios(self) -> tuple[float, ...]:
        """The ratio of each pair."""
        return tuple(one / two for one, two in zip(self.ours, self.theirs, strict=True))

    @property
    def interval(self) -> tuple[float, float] | None:
        """The 95 % interval of the median ratio of rounds, by ranks n/2 -+ 0.98 sqrt(n); fewer than six have none."""
        count = len(self.rounds)
        if count < _LEAST_ROUNDS:
            return None
        ordered, rank = sorted(self.rounds), math.floor(count / 2 - 0.98 * math.sqrt(count))
        return ordered[rank], ordered[count - 1 - rank]

    def bar(self, most_difference: float = MOST_DIFFERENCE) -> Bar:
        """Return the bar on the difference of the medians."""
        name, figure = f"{self.quantity}, difference", abs(self.ratio - 1)
        note = f"ratio {self.ratio:.3f}, of {len(self.rounds)} rounds {min(self.rounds):.3f} to {max(self.rounds):.3f}"
        if self.interval is None:
            return Bar(name, figure, most_difference, note=note)
        low, high = self.interval
        lower, upper = max(0.0, low - 1, 1 - high), max(abs(low - 1), abs(high - 1))
        return Bar(
            name, figure, most_difference, lower=lower, upper=upper, note=f"{note}, median {low:.3f} to {high:.3f}"
        )


def in_rounds(
    start: Callable[[], AbstractContextManager[Mapping[str, tuple[Callable[[], float], Callable[[], float]]]]],
    *,
    quick: bool,
    rounds: int = ROUNDS,
    pairs: int = ROUND_PAIRS,
    rest_seconds: float = REST_SECONDS,
) -> list[Pairs]:
    """Measure both sides of each quantity in slices, in several rounds; print the ratio of each round.

    `start` starts the processes of a round; its value has a function for each side, which measures one slice. The first
    pair of a round does not count.
    """
    found: dict[str, list[Pairs]] = {}
    for _ in range(1 if quick else rounds):
        with start() as sides:
            for quantity, (ours, theirs) in sides.items():
                ours(), theirs()
                measured = _slices(quantity, ours, theirs, 1 if quick else pairs, rest_seconds)
                found.setdefault(quantity, []).append(measured)
    return [joined(parts) for parts in found.values()]


def joined(rounds: Sequence[Pairs]) -> Pairs:
    """Return the pairs of all rounds of one quantity; print the ratio of each round."""
    quantity = rounds[0].quantity
    ours, theirs = (tuple(each for part in rounds for each in getattr(part, side)) for side in ("ours", "theirs"))
    found = Pairs(quantity, ours, theirs, tuple(part.ratio for part in rounds))
    rows: list[tuple[object, ...]] = [
        (number, median(part.ours), median(part.theirs), part.ratio) for number, part in enumerate(rounds, 1)
    ]
    rows.append(("all", median(ours), median(theirs), found.ratio))
    table(quantity, ("ROUND", "INFEROMETER>", "OTHER>", "RATIO>"), rows)
    return found


def _slices(
    quantity: str, ours: Callable[[], float], theirs: Callable[[], float], pairs: int, rest_seconds: float
) -> Pairs:
    """Measure pairs in the order ABBA."""
    found: tuple[list[float], list[float]] = ([], [])
    for number in range(pairs):
        for side in (0, 1) if number % 2 == 0 else (1, 0):
            time.sleep(rest_seconds)
            found[side].append((ours, theirs)[side]())
    return Pairs(quantity, tuple(found[0]), tuple(found[1]))


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
