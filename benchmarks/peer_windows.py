"""The common part of the peers' scripts: reads the windows from the command line, prints the measurements.

    peer_NAME.py STEPS INTERVAL REPEATS OPTIONS WATTS SECONDS [WATTS SECONDS ...]

INTERVAL is in seconds, 0 for the peer's own; OPTIONS are the peer's, comma-separated, or `-`. The last line on
standard output is JSON: one object for each window with the start and end of its work, in ns of CLOCK_MONOTONIC, and
the joules by domain. Runs in the peers' environments, so it needs nothing but Python's own library.
"""

from __future__ import annotations

import json
import sys
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from power_steps import Steps

if TYPE_CHECKING:
    from collections.abc import Sequence


@dataclass(frozen=True)
class Measured:
    """A window as a peer measured it; `joules` by domain."""

    start_ns: int
    end_ns: int
    joules: dict[str, float]


@dataclass(frozen=True)
class Windows:
    """The windows to measure: `repeats` of the same `stretches` of (watts, seconds)."""

    steps: Steps
    interval_seconds: float
    repeats: int
    options: tuple[str, ...]
    stretches: list[tuple[float, float]]

    def play(self) -> tuple[int, int]:
        """Do the work of one window; return its start and end in ns of CLOCK_MONOTONIC.

        With the option `gpu` another process sets the power meanwhile.
        """
        if "gpu" not in self.options:
            return self.steps.play(self.stretches)
        start = time.monotonic_ns()
        time.sleep(sum(seconds for _, seconds in self.stretches))
        return start, time.monotonic_ns()


def wanted() -> Windows:
    """Return the windows that the command line requests."""
    page, interval, repeats, options, *stretches = sys.argv[1:]
    numbers = [float(number) for number in stretches]
    pairs = list(zip(numbers[::2], numbers[1::2], strict=True))
    return Windows(Steps(Path(page)), float(interval), int(repeats), tuple(options.split(",")), pairs)


def answer(measured: Sequence[Measured]) -> None:
    """Print the measurements."""
    print("\n" + json.dumps([asdict(window) for window in measured]), flush=True)
