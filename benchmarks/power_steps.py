"""Records the steps of the power on a page that programs share, so that the energy of any period is known.

The page is that of steps.h. It needs only Python's own library: the peers' environments load it too.
"""

from __future__ import annotations

import mmap
import struct
import time
from itertools import pairwise
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

_COUNT, _STEP = struct.Struct("=QQ"), struct.Struct("=qd")
MOST_STEPS = 4095


class Steps:
    """The steps of power so far: each holds from its time on CLOCK_MONOTONIC, in ns, to the next; watts."""

    def __init__(self, path: Path) -> None:
        with path.open("r+b") as file:
            self._page = mmap.mmap(file.fileno(), _COUNT.size + MOST_STEPS * _STEP.size)

    @classmethod
    def create(cls, path: Path, watts: float) -> Steps:
        """Make the page with this power, from this moment on."""
        path.write_bytes(bytes(_COUNT.size + MOST_STEPS * _STEP.size))
        steps = cls(path)
        steps.draw(watts, time.monotonic_ns())
        return steps

    def draw(self, watts: float, at_ns: int) -> None:
        """Draw this power from that moment on; raises struct.error when the page is full."""
        count, _ = _COUNT.unpack_from(self._page)
        _STEP.pack_into(self._page, _COUNT.size + count * _STEP.size, at_ns, watts)
        _COUNT.pack_into(self._page, 0, count + 1, 0)

    def all(self) -> list[tuple[int, float]]:
        """Return every step: its start in ns, and its watts."""
        count, _ = _COUNT.unpack_from(self._page)
        end = _COUNT.size + count * _STEP.size
        return list(_STEP.iter_unpack(self._page[_COUNT.size : end]))

    def joules(self, start_ns: int, end_ns: int) -> float:
        """Return the energy between two times, the first of them not before the first step."""
        steps = [*self.all(), (end_ns, 0.0)]
        spans = ((max(start_ns, a), min(end_ns, b), watts) for (a, watts), (b, _) in pairwise(steps))
        return sum(watts * (b - a) for a, b, watts in spans if b > a) / 1e9

    def play(self, stretches: list[tuple[float, float]]) -> tuple[int, int]:
        """Draw each (watts, seconds) in turn, then the earlier power; return the start and the end in ns."""
        start = end = time.monotonic_ns()
        before = self.all()[-1][1]
        for watts, seconds in stretches:
            self.draw(watts, end)
            end += round(seconds * 1e9)
            time.sleep(max(0.0, (end - time.monotonic_ns()) / 1e9))
        end = time.monotonic_ns()
        self.draw(before, end)
        return start, end
