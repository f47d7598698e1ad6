"""Estimates the precision of every point during a run, from the samples stored so far."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from agent.host.records import WindowKey, window_key
from agent.profiling.analysis.metrics import Sensors, joules_per_inference, seconds_per_inference, sensor_windows
from agent.profiling.analysis.precision import half_width
from agent.profiling.points import complete_repeats
from probes.model import ENERGY_METRICS

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from agent.profiling.analysis.metrics import Repeat
    from store.records import Series, Window

AROUND_NS = 5_000_000_000
"""Samples are read from this time before a window to this time after it."""
_LONGEST_WAIT_SECONDS = 5.0
_PAUSE_SECONDS = 0.1


class StoppingRule:
    """Estimates half-widths; reads the samples of each repeat once.

    `read` returns the series of the given metrics between two times. `wait` returns when every sensor has refreshed
    after the last window. The recorder stores once a second, so the rule waits a little for missing samples.
    """

    def __init__(
        self,
        read: Callable[[int, int, frozenset[str]], tuple[Series, ...]],
        wait: Callable[[], None],
        phases: Sequence[str],
        longest_wait_seconds: float = _LONGEST_WAIT_SECONDS,
    ) -> None:
        self._read = read
        self._wait = wait
        self._phases = tuple(phases)
        self._longest_wait = longest_wait_seconds
        self._joules: dict[WindowKey, float | None] = {}

    def __call__(self, windows: Sequence[Window]) -> dict[str, float | None]:
        """Return the half-width of each point's interval as a share of its mean, None if it is unknown.

        The interval is of the energy per inference, or of the rate if no repeat has an energy.
        """
        self._wait()
        deadline = time.monotonic() + self._longest_wait
        found = {}
        for point in dict.fromkeys(window.point for window in windows if window.point):
            repeats = complete_repeats([window for window in windows if window.point == point], self._phases)
            joules = [self._joules_of(repeat, deadline) for repeat in repeats]
            known = [each for each in joules if each is not None]
            found[point] = half_width(known or [1 / seconds_per_inference(repeat) for repeat in repeats])
        return found

    def _joules_of(self, repeat: Repeat, deadline: float) -> float | None:
        """Return the joules per inference of one repeat; None without a sensor, or if samples are missing."""
        key = window_key(repeat[0])
        while key not in self._joules:
            start_ns = min(window.start_ns for window in repeat) - AROUND_NS
            end_ns = max(window.end_ns for window in repeat) + AROUND_NS
            sensors = Sensors.of(self._read(start_ns, end_ns, ENERGY_METRICS), 0.0)
            totals = joules_per_inference((repeat,), sensor_windows((repeat,), sensors.included))
            if totals or not sensors.series or time.monotonic() > deadline:
                self._joules[key] = totals[0].joules if totals else None
            else:
                time.sleep(_PAUSE_SECONDS)
        return self._joules[key]
