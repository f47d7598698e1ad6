"""The tariff: the prices of energy and machine, each given by the user or a labelled default."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

import msgspec

from agent.cost.limits import (
    AMOUNT,
    OVERHEAD,
    PART,
    POSITIVE,
    SHARE,
    Range,
    TariffError,
    check_number,
    check_text,
)
from agent.cost.offers import Offer, check_currencies
from agent.cost.time_of_day import PricePeriod, mean_price, price_at
from agent.runtime.text_input import quoted

if TYPE_CHECKING:
    from collections.abc import Mapping

Origin = Literal["measured", "given", "default", "assumed"]


class TariffDefault(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The value of a field that the user does not give, and its source."""

    name: str
    value: float
    source: str

    @property
    def text(self) -> str:
        """The field with its value, and the source if there is one."""
        return f"{self.name} = {self.value:g}{'' if self.source == 'assumed' else f' ({self.source})'}"


class ValueRange(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The range in which the user expects the value of a field of a tariff."""

    name: str
    low: float
    high: float


_ASSUMED = "assumed"
_PUE = TariffDefault("pue", 1.54, "average of the Uptime Institute Global Data Center Survey 2025")
_LIFE = TariffDefault("life_years", 4.0, _ASSUMED)
_RESIDUAL = TariffDefault("residual_share", 0.0, _ASSUMED)
_RATE = TariffDefault("discount_rate", 0.0, _ASSUMED)
DEFAULTS = (_PUE, _LIFE, _RESIDUAL, _RATE)

_CHANGE = Range(-1, 10, "more than -1 and at most 10 (0.1 is 10 % more each year)", low_excluded=True)
_RATIO = Range(0, 10, "from 0 to 10 (0.3 is 30 %)")
_HEADROOM = Range(0, 0.99, "from 0 to 0.99 (0.2 is 20 %)")
_YEARS = Range(0.01, 200, "from 0.01 to 200")
_SPARES = Range(0, 1_000_000, "a whole number from 0 to 1,000,000")

RANGES: Mapping[str, Range] = {
    "price_per_kwh": AMOUNT,
    "price_per_kwh_change_per_year": _CHANGE,
    "demand_charge_per_kw_month": AMOUNT,
    "pue": OVERHEAD,
    "cooling_overhead": _RATIO,
    "distribution_loss": _RATIO,
    "wall_factor": OVERHEAD,
    "carbon_intensity_g_per_kwh": AMOUNT,
    "embodied_kg_co2e": AMOUNT,
    "capital": AMOUNT,
    "price_per_hour": AMOUNT,
    "life_years": _YEARS,
    "residual_share": SHARE,
    "discount_rate": SHARE,
    "maintenance_share": SHARE,
    "licences_per_year": AMOUNT,
    "staff_per_year": AMOUNT,
    "facility_per_kw_month": AMOUNT,
    "provisioned_watts": POSITIVE,
    "rack_watts": POSITIVE,
    "utilization": PART,
    "peak_factor": OVERHEAD,
    "headroom": _HEADROOM,
    "spares": _SPARES,
    "demand_growth_per_year": _CHANGE,
}
"""The allowed range of each number of a tariff."""
_OF_OWNERS = ("capital", "maintenance_share", "facility_per_kw_month")
"""The fields that a rented machine does not have: its price contains them."""
_PARTS = ("cooling_overhead", "distribution_loss")
"""The fields of which a PUE consists."""


class Tariff(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The prices of a user in `currency` (None: the unit of the given prices), with life and utilization of a machine.

    Energy: `price_per_kwh` is the price of a kilowatt-hour outside the `price_periods`;
    `demand_charge_per_kw_month` the price of a month for each kilowatt of the highest power; `pue` facility energy over
    machine energy, or instead of it `cooling_overhead` and `distribution_loss`, both over machine energy; `wall_factor`
    the energy at the plug over the measured energy; `carbon_intensity_g_per_kwh` grams of CO2 equivalent, and
    `embodied_kg_co2e` those of the manufacture of a machine.

    Machine: `capital` is the acquisition cost; `life_years` the years until it is written off; `residual_share` its
    value then, `maintenance_share` the maintenance of a year, both shares of `capital`; `discount_rate` the yearly
    interest as a share; `price_per_hour` the rent instead of `capital`, with its energy. `licences_per_year` and
    `staff_per_year` are the costs of a year for one machine; `facility_per_kw_month` the price of a month for each
    kilowatt of `provisioned_watts`, `facility_includes_power` whether it pays for the energy too; `rack_watts` the
    power of a rack.

    Demand: `utilization` is the used share of the measured throughput over the life; `peak_factor` the highest demand
    over the mean; `headroom` the share of a machine that is left free at the peak; `spares` the machines beyond the
    needed ones; `demand_growth_per_year` and `price_per_kwh_change_per_year` the yearly changes as shares.

    None means "not given". `given` names the fields that the user set, also those set to a default, `measured` those of
    them that the user measured; `ranges` has the ranges in which the user expects values; `site` is the chosen site.
    Raises TariffError if a value has a wrong type or is out of range, or if fields contradict one another.
    """

    price_per_kwh: float | None = None
    currency: str | None = None
    pue: float = _PUE.value
    carbon_intensity_g_per_kwh: float | None = None
    capital: float | None = None
    life_years: float = _LIFE.value
    residual_share: float = _RESIDUAL.value
    discount_rate: float = _RATE.value
    maintenance_share: float | None = None
    licences_per_year: float | None = None
    facility_per_kw_month: float | None = None
    provisioned_watts: float | None = None
    utilization: float | None = None
    given: tuple[str, ...] = ()
    price_per_hour: float | None = None
    staff_per_year: float | None = None
    facility_includes_power: bool | None = None
    cooling_overhead: float | None = None
    distribution_loss: float | None = None
    wall_factor: float | None = None
    demand_charge_per_kw_month: float | None = None
    price_per_kwh_change_per_year: float | None = None
    embodied_kg_co2e: float | None = None
    rack_watts: float | None = None
    peak_factor: float | None = None
    headroom: float | None = None
    spares: int | None = None
    demand_growth_per_year: float | None = None
    measured: tuple[str, ...] = ()
    ranges: tuple[ValueRange, ...] = ()
    price_periods: tuple[PricePeriod, ...] = ()
    offers: tuple[Offer, ...] = ()
    site: str | None = None

    def __post_init__(self) -> None:
        defaults = {default.name for default in DEFAULTS}
        for name, allowed in RANGES.items():
            value = getattr(self, name)
            if value is not None or name in defaults:
                check_number(name, value, allowed)
        if self.spares is not None and not isinstance(self.spares, int):
            raise TariffError(f"spares = {quoted(self.spares)} is out of range: it must be {_SPARES.allowed}")
        if self.currency is not None:
            check_text("currency", self.currency, "the name of a currency: it must be a text such as EUR")
        if not isinstance(self.facility_includes_power, bool | None):
            raise TariffError(f"facility_includes_power = {quoted(self.facility_includes_power)} is not true or false")
        self._check_pairs()
        self._check_ranges()
        check_currencies(self.offers, self.currency)
        if self.price_periods and self.price_per_kwh is None:
            raise TariffError("price_per_kwh is not given: time_of_day needs the price of all other hours")
        mean_price(self.price_periods, self.price_per_kwh or 0.0)

    def _check_pairs(self) -> None:
        if self.facility_per_kw_month is not None and self.provisioned_watts is None:
            raise TariffError("facility_per_kw_month is given without provisioned_watts, the power that it is paid for")
        if self.facility_includes_power and self.facility_per_kw_month is None:
            raise TariffError("facility_includes_power is given without facility_per_kw_month")
        if (self.cooling_overhead is None) != (self.distribution_loss is None):
            raise TariffError("cooling_overhead and distribution_loss are given together or not at all")
        if self.cooling_overhead is not None and "pue" in self.given:
            raise TariffError("pue is given beside cooling_overhead and distribution_loss, which are its parts")
        if self.price_per_hour is not None:
            for name in _OF_OWNERS:
                if getattr(self, name) is not None:
                    raise TariffError(f"{name} is given beside price_per_hour: a rented machine has no {name}")

    def _check_ranges(self) -> None:
        if unknown := sorted(set(self.measured) - set(self.given)):
            raise TariffError(f"measured = {quoted(unknown[0])} is not a field that the tariff gives")
        for each in self.ranges:
            value = getattr(self, each.name) if each.name in RANGES else None
            if value is None:
                raise TariffError(f"range.{each.name}: the tariff gives no number {each.name}")
            for end in (each.low, each.high):
                check_number(f"range.{each.name}", end, RANGES[each.name])
            if not each.low <= value <= each.high:
                raise TariffError(
                    f"range.{each.name} = [{each.low:g}, {each.high:g}] does not contain {each.name} = {value:g}"
                )

    def origin(self, name: str) -> Origin | None:
        """Return the origin of a field's value; None without a value. Raises AttributeError for an unknown field."""
        value = getattr(self, name)
        if value is None or value == ():
            return None
        default = next((each for each in DEFAULTS if each.name == name), None)
        if default is not None and name not in self.given and value == default.value:
            return "assumed" if default.source == _ASSUMED else "default"
        return "measured" if name in self.measured else "given"

    @property
    def assumed(self) -> tuple[TariffDefault, ...]:
        """The defaults of the fields that the user did not give; cooling and distribution replace a PUE."""
        unused = {"pue"} if self.cooling_overhead is not None else set()
        return tuple(
            default
            for default in DEFAULTS
            if default.name not in unused and self.origin(default.name) in {"default", "assumed"}
        )

    @property
    def facility_overhead(self) -> float:
        """The energy of the facility over that of its machines: the PUE, or 1 and the overheads that it consists of."""
        if self.cooling_overhead is None:
            return self.pue
        return 1 + self.cooling_overhead + (self.distribution_loss or 0.0)

    @property
    def overhead(self) -> float:
        """The energy that is paid for, over the measured energy."""
        return (self.wall_factor or 1.0) * self.facility_overhead

    @property
    def includes_power(self) -> bool:
        """Whether the price of the facility or the rent pays for the energy."""
        return bool(self.facility_includes_power) or self.price_per_hour is not None

    @property
    def energy_price(self) -> float | None:
        """The mean price of a kilowatt-hour over a week, 0 if another price pays for the energy; None without one."""
        if self.includes_power:
            return 0.0
        return None if self.price_per_kwh is None else mean_price(self.price_periods, self.price_per_kwh)

    def price_at(self, hour_of_week: float) -> float | None:
        """Return the price of a kilowatt-hour at an hour of the week, as `energy_price`; 0 is Monday's midnight."""
        if not self.price_periods or self.includes_power or self.price_per_kwh is None:
            return self.energy_price
        return price_at(self.price_periods, self.price_per_kwh, hour_of_week)

    def with_values(self, values: Mapping[str, Any]) -> Tariff:
        """Return the tariff with other values, which count as given; a PUE replaces its parts, and they replace it.

        Raises TariffError as the constructor does.
        """
        replaced: dict[str, Any] = {}
        if "pue" in values and not set(_PARTS) & values.keys():
            replaced = dict.fromkeys(_PARTS)
        elif set(_PARTS) <= values.keys() and "pue" not in values:
            replaced = {"pue": _PUE.value}
        changed = values.keys() | replaced.keys()
        measured = tuple(name for name in self.measured if name not in changed)
        ranges = tuple(each for each in self.ranges if each.name not in changed)
        given = tuple(sorted({*self.given, *values} - replaced.keys()))
        return msgspec.structs.replace(
            self, **{"measured": measured, "ranges": ranges, **values, **replaced, "given": given}
        )

    def with_options(
        self,
        *,
        price_per_kwh: float | None = None,
        currency: str | None = None,
        capital: float | None = None,
        life_years: float | None = None,
        pue: float | None = None,
        utilization: float | None = None,
    ) -> Tariff:
        """Return the tariff with the options that are not None. Raises TariffError as the constructor does."""
        options = {
            "price_per_kwh": price_per_kwh,
            "currency": currency,
            "capital": capital,
            "life_years": life_years,
            "pue": pue,
            "utilization": utilization,
        }
        return self.with_values({name: value for name, value in options.items() if value is not None})

    def rented(self, price_per_hour: float) -> Tariff:
        """Return the tariff of a machine that is rented at this price, without the costs of an owner."""
        absent = dict.fromkeys((*_OF_OWNERS, "facility_includes_power"))
        given = tuple(sorted({*self.given, "price_per_hour"} - absent.keys()))
        measured = tuple(name for name in self.measured if name in given)
        ranges = tuple(each for each in self.ranges if each.name in given)
        changes = {**absent, "price_per_hour": price_per_hour, "measured": measured, "ranges": ranges}
        return msgspec.structs.replace(self, given=given, **changes)
