"""The energy of windows whose time is uncertain: its bounds contain the energy at every possible time; pure."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from agent.energy.bounds import Energy
from agent.energy.window import SeriesEnergy

if TYPE_CHECKING:
    from collections.abc import Mapping

    from agent.energy.window import WindowEnergy
    from store.records import Series


class UncertainTimeEnergy(SeriesEnergy):
    """The energies of windows that can lie earlier or later than stated, by up to `halves_ns`, by (start, end).

    Power is not negative, so no possible window has less energy than the part that all of them share, nor more than
    the time that they span.
    """

    def __init__(self, series: Series, halves_ns: Mapping[tuple[int, int], int]) -> None:
        super().__init__(series)
        self._halves_ns = halves_ns

    def between(self, start_ns: int, end_ns: int) -> WindowEnergy:
        """Return the energy of [start_ns, end_ns) with the wider bounds; None if the samples do not span them."""
        stated, half_ns = super().between(start_ns, end_ns), self._halves_ns.get((start_ns, end_ns), 0)
        if not half_ns or stated.energy is None:
            return stated
        spanned = super().between(start_ns - half_ns, end_ns + half_ns)
        if spanned.energy is None:
            return replace(stated, energy=None, mean_watts=None, peak_watts=None, reasons=spanned.reasons)
        lower = 0.0
        if end_ns - start_ns > 2 * half_ns:
            shared = super().between(start_ns + half_ns, end_ns - half_ns).energy
            lower = shared.lower if shared else 0.0
        joules = stated.energy.joules
        return replace(stated, energy=Energy(joules, min(lower, joules), max(spanned.energy.upper, joules)))
