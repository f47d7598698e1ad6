"""Decides during a run, from stored samples, which points need further repeats, and when idle power is known."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from agent.host.records import WindowKey, window_key
from agent.profiling.analysis.equivalence import equivalent_to_best
from agent.profiling.analysis.metrics import Sensors, joules_per_inference, seconds_per_inference, sensor_windows
from agent.profiling.analysis.precision import is_converged, sequential_half_width
from agent.profiling.analysis.sequential import next_check
from agent.profiling.plan import IDLE_PARTS
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
    """Compares the intervals of a run with its tolerance; reads the samples of each repeat once.

    `read` returns the series of the given metrics between two times. `wait` returns when every sensor has refreshed
    after the last window. The recorder stores once a second, so the rule waits a little for missing samples; it
    therefore computes the intervals seldom. With a margin of equivalence, a share, points that are equivalent to the
    best one need no further repeat; `equivalent` has the best one for each of them, both by their encoded points.
    """

    def __init__(
        self,
        read: Callable[[int, int, frozenset[str]], tuple[Series, ...]],
        wait: Callable[[], None],
        phases: Sequence[str],
        tolerance: float,
        equivalence: float | None = None,
        longest_wait_seconds: float = _LONGEST_WAIT_SECONDS,
    ) -> None:
        self.equivalent: dict[str, str] = {}
        self._read = read
        self._wait = wait
        self._phases = tuple(phases)
        self._tolerance = tolerance
        self._equivalence = equivalence
        self._longest_wait = longest_wait_seconds
        self._joules: dict[WindowKey, float | None] = {}
        self._next_checks: dict[str, int] = {}

    def unfinished(self, windows: Sequence[Window], points: Sequence[str]) -> set[str]:
        """Return those of the encoded `points` that need a further repeat.

        The interval is of the energy per inference, or of the rate if no repeat has an energy. A point without an
        interval needs one.
        """
        count = max((window.repeat for window in windows if window.point in points), default=0)
        if count < min(self._next_checks.get(point, 0) for point in points):
            return set(points)
        self._next_checks.update(dict.fromkeys(points, next_check(count)))
        self._wait()
        deadline = time.monotonic() + self._longest_wait
        energies, rates = self._figures(windows, deadline)
        unfinished = {point for point in points if not self._is_finished(energies.get(point) or rates.get(point) or {})}
        if self._equivalence is not None and unfinished:
            figures = energies if all(energies.values()) else rates
            others = {point: own for point, own in figures.items() if point not in self.equivalent}
            found = equivalent_to_best(others, self._equivalence, least=figures is energies)
            self.equivalent |= {point: best for point, best in found.items() if point in unfinished}
        return unfinished - self.equivalent.keys()

    def is_idle_known(self, start_ns: int, end_ns: int, part_seconds: float) -> bool:
        """Return whether the idle power since `start_ns` is known to within the tolerance, from parts of its window.

        Its interval is that of the mean power of the parts whose samples are stored. Without a sensor there is nothing
        to learn from more than a few parts.
        """
        length_ns = round(part_seconds * 1e9)
        edges = range(start_ns, end_ns - length_ns + 1, length_ns)
        if len(edges) < IDLE_PARTS:
            return False
        sensors = Sensors.of(self._read(start_ns - AROUND_NS, end_ns, ENERGY_METRICS), 0.0)
        parts = [[each.between(edge, edge + length_ns).energy for each in sensors.included] for edge in edges]
        watts = [sum(energy.joules for energy in part if energy) for part in parts if all(part)]
        half = sequential_half_width(watts) if len(watts) >= IDLE_PARTS else None
        return not sensors.included or (half is not None and half <= self._tolerance)

    def _is_finished(self, figures: dict[int, float]) -> bool:
        return is_converged(list(figures.values()), self._tolerance)

    def _figures(
        self, windows: Sequence[Window], deadline: float
    ) -> tuple[dict[str, dict[int, float]], dict[str, dict[int, float]]]:
        """Return joules per inference and rates of every point, by repeat; a repeat without joules is left out."""
        energies: dict[str, dict[int, float]] = {}
        rates: dict[str, dict[int, float]] = {}
        for point in dict.fromkeys(window.point for window in windows if window.point):
            repeats = complete_repeats([window for window in windows if window.point == point], self._phases)
            joules = {repeat[0].repeat: self._joules_of(repeat, deadline) for repeat in repeats}
            energies[point] = {repeat: value for repeat, value in joules.items() if value is not None}
            rates[point] = {repeat[0].repeat: 1 / seconds_per_inference(repeat) for repeat in repeats}
        return energies, rates

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
