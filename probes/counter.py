"""Undoes what hardware counters do: they wrap at their own range, and they start again after a reset."""

from __future__ import annotations


class Counter:
    """Turns the raw readings of one hardware counter into a total that never falls.

    `range_units` is the count at which the hardware wraps to 0 (powercap's `max_energy_range_uj`), 0 if it does not
    wrap. `most_units_per_second` is the fastest it can plausibly grow, 0 if unknown: a fall that would mean a faster
    growth than that is a reset. Units are the counter's own integers, so nothing is lost to rounding.
    """

    __slots__ = ("_last", "_last_ns", "_most", "_range", "total")

    def __init__(self, range_units: int = 0, most_units_per_second: float = 0.0) -> None:
        self._range = range_units
        self._most = most_units_per_second
        self._last = -1
        self._last_ns = 0
        self.total = 0

    def advance(self, raw: int, at_ns: int) -> bool:
        """Take the reading `raw` made at `at_ns` (any monotonic clock) into `total`.

        The first reading sets `total` to it, so a counter that never wraps keeps its own value. Returns False if the
        counter was reset since the previous reading: what it counted in between is lost, `total` stays, and counting
        goes on from `raw`.
        """
        last, elapsed_ns = self._last, at_ns - self._last_ns
        self._last, self._last_ns = raw, at_ns
        if last < 0:
            self.total = raw
            return True
        step = raw - last
        if step < 0:
            step += self._range
            if step < 0 or not self._range or self._faster_than_possible(step, elapsed_ns):
                return False
        self.total += step
        return True

    def _faster_than_possible(self, step: int, elapsed_ns: int) -> bool:
        return self._most > 0 and step * 1e9 > self._most * max(elapsed_ns, 1_000_000)
