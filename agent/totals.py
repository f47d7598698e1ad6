"""Keeps counters from falling when the service looks at the host anew."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from probes.model import METRICS, Form

if TYPE_CHECKING:
    from probes.model import Probe

Totals = dict[tuple[str, ...], float]
"""The last value of each counter, by its probe's name and its channel's key."""


class Ongoing:
    """A probe whose counters go on from `totals`, where they are lower now, and are kept there.

    A hardware counter that wrapped starts anew from its raw value whenever its probe is made anew, and a modelled one
    from 0; a counter that fell would look to whoever reads it like one that counted all of that once more. What was
    consumed in between is not known then, and not made up.
    """

    def __init__(self, probe: Probe, totals: Totals) -> None:
        self.name = probe.name
        self.channels = probe.channels
        self.files_only = probe.files_only
        self.rejections = probe.rejections
        self._probe = probe
        self._totals = totals
        self._counters = [
            (position, (probe.name, *channel.key))
            for position, channel in enumerate(probe.channels)
            if METRICS[channel.metric].form is Form.COUNTER
        ]
        self._ahead: dict[int, float] = {}

    def read(self, at_ns: int) -> list[float]:
        """Return the probe's values; raises as it does."""
        values = list(self._probe.read(at_ns))
        for position, key in self._counters:
            value = values[position]
            if math.isnan(value):
                continue
            if position not in self._ahead:
                self._ahead[position] = max(0.0, self._totals.get(key, 0.0) - value)
            values[position] = self._totals[key] = value + self._ahead[position]
        return values

    def close(self) -> None:
        """Close the probe."""
        self._probe.close()
