"""The carbon of an inference, by the Software Carbon Intensity of ISO/IEC 21031: operation and manufacture."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from agent.cost.interval import Interval  # noqa: TC001  the profile's schema is made from the annotations
from agent.cost.lines import HOURS_PER_YEAR

if TYPE_CHECKING:
    from agent.cost.tariff import Tariff

_JOULES_PER_KWH = 3.6e6
_SECONDS_PER_HOUR = 3600
_GRAMS_PER_KILOGRAM = 1000


class CarbonBreakdown(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Grams of CO2 equivalent from operation and from manufacture (embodied); None if its input is not given."""

    operational: Interval | None
    embodied: Interval | None

    @property
    def total(self) -> Interval | None:
        """The sum of both parts, the SCI score."""
        if self.operational is None or self.embodied is None:
            return None
        return self.operational.plus(self.embodied)


def carbon(tariff: Tariff, joules: Interval | None, seconds: Interval) -> CarbonBreakdown | None:
    """Return the carbon of work that takes `joules` of measured energy and `seconds` of a machine, idle time included.

    SCI = (E I + M) / R: energy with its overhead times the intensity of the grid, and the share of the embodied carbon
    that the seconds have in the life of the machine. None if the tariff gives neither.
    """
    intensity, embodied = tariff.carbon_intensity_g_per_kwh, tariff.embodied_kg_co2e
    if intensity is None and embodied is None:
        return None
    life_seconds = tariff.life_years * HOURS_PER_YEAR * _SECONDS_PER_HOUR
    return CarbonBreakdown(
        None if joules is None or intensity is None else joules.times(tariff.overhead * intensity / _JOULES_PER_KWH),
        None if embodied is None else seconds.times(embodied * _GRAMS_PER_KILOGRAM / life_seconds),
    )
