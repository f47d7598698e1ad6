"""The fields of a tariff without a value, and the effect of each on a cost."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

if TYPE_CHECKING:
    from agent.cost.tariff import Tariff


class MissingInput(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A tariff field without a value, and its effect on the figures."""

    name: str
    effect: str


_REQUIRED = (
    MissingInput("price_per_kwh", "no energy part and no total"),
    MissingInput("capital", "no capital part and no total"),
    MissingInput("utilization", "no allocation basis: the cost of idle time is unknown"),
    MissingInput("carbon_intensity_g_per_kwh", "no carbon"),
)
_OPTIONAL = (
    MissingInput("maintenance_share", "the capital part excludes maintenance"),
    MissingInput("licences_per_year", "the capital part excludes licences"),
    MissingInput("staff_per_year", "the capital part excludes staff"),
    MissingInput("facility_per_kw_month", "the capital part excludes the facility"),
)
_NO_IDLE = MissingInput("idle_watts", "no energy part and no total on the allocation basis")


def missing_inputs(tariff: Tariff, *, has_idle: bool) -> tuple[MissingInput, ...]:
    """Return the inputs that a cost lacks; `has_idle` states whether the idle power with the model loaded is known."""
    candidates = _REQUIRED if tariff.capital is None else _REQUIRED + _OPTIONAL
    replaced = {"capital"} if tariff.price_per_hour is not None else set()
    replaced |= {"price_per_kwh"} if tariff.includes_power else set()
    missing = [each for each in candidates if getattr(tariff, each.name) is None and each.name not in replaced]
    idles = tariff.utilization is not None and tariff.utilization < 1 and not tariff.includes_power
    return (*missing, _NO_IDLE) if idles and not has_idle else tuple(missing)
