"""The tariff: the prices of energy and machine, each given by the user or a labelled default."""

from __future__ import annotations

from difflib import get_close_matches
from typing import TYPE_CHECKING, Any, Literal

import msgspec

from agent.cost.limits import AMOUNT, OVERHEAD, PART, POSITIVE, SHARE, TariffError, check_number, check_text
from agent.runtime.text_input import TextInputError, named, quoted, read_toml

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from agent.cost.limits import Range

Origin = Literal["given", "default"]


class TariffDefault(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The value of a field that the user does not give, and its source."""

    name: str
    value: float
    source: str


_PUE = TariffDefault("pue", 1.54, "average of the Uptime Institute Global Data Center Survey 2025")
_LIFE = TariffDefault("life_years", 4.0, "assumed")
_RESIDUAL = TariffDefault("residual_share", 0.0, "assumed")
_RATE = TariffDefault("discount_rate", 0.0, "assumed")
DEFAULTS = (_PUE, _LIFE, _RESIDUAL, _RATE)

_RANGES: Mapping[str, Range] = {
    "price_per_kwh": AMOUNT,
    "pue": OVERHEAD,
    "carbon_intensity_g_per_kwh": AMOUNT,
    "capital": AMOUNT,
    "life_years": POSITIVE,
    "residual_share": SHARE,
    "discount_rate": SHARE,
    "maintenance_share": SHARE,
    "licences_per_year": AMOUNT,
    "facility_per_kw_month": AMOUNT,
    "provisioned_watts": POSITIVE,
    "utilization": PART,
}


class Tariff(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The prices of a user in `currency` (None: the unit of the given prices), with life and utilization of a machine.

    `price_per_kwh` is the price of a kilowatt-hour; `pue` facility energy over machine energy;
    `carbon_intensity_g_per_kwh` grams of CO2 equivalent; `capital` the acquisition cost; `life_years` the years until
    it is written off; `residual_share` its value then, `maintenance_share` the maintenance of a year, both shares of
    `capital`; `discount_rate` the yearly interest as a share; `licences_per_year` the licences of a year;
    `facility_per_kw_month` the price of a month for each kilowatt of `provisioned_watts`; `utilization` the used share
    of the measured throughput over the life.

    None means "not given". `given` names the fields that the user set, also those set to a default. Raises TariffError
    if a value has a wrong type or is out of range, or if one half of a pair is missing.
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

    def __post_init__(self) -> None:
        for name, allowed in _RANGES.items():
            _check_given(name, getattr(self, name), allowed)
        if self.currency is not None:
            check_text("currency", self.currency, "the name of a currency: it must be a text such as EUR")
        if (self.facility_per_kw_month is None) != (self.provisioned_watts is None):
            raise TariffError("facility_per_kw_month and provisioned_watts are given together or not at all")

    def origin(self, name: str) -> Origin | None:
        """Return the origin of a field's value; None without a value. Raises AttributeError for an unknown field."""
        value = getattr(self, name)
        if value is None:
            return None
        unconfirmed = {default.name: default.value for default in DEFAULTS if default.name not in self.given}
        return "default" if unconfirmed.get(name) == value else "given"

    @property
    def assumed(self) -> tuple[TariffDefault, ...]:
        """The defaults of the fields that the user did not give."""
        return tuple(default for default in DEFAULTS if self.origin(default.name) == "default")

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
        return _override(self, {name: value for name, value in options.items() if value is not None})


def read_tariff(values: Mapping[str, Any]) -> Tariff:
    """Return the tariff of keys and values from TOML.

    Raises TariffError for an unknown key, with the nearest known one, and as the constructor does.
    """
    known = [name for name in Tariff.__struct_fields__ if name != "given"]
    for key in values:
        if key not in known:
            near = get_close_matches(key, known, n=1)
            hint = f"did you mean {near[0]}?" if near else f"the keys are {', '.join(known)}, without sections"
            raise TariffError(f"unknown key {quoted(key)}: {hint}")
    return _override(Tariff(), values)


def load_tariff(path: Path) -> Tariff:
    """Read the tariff file at `path`. Raises TariffError, starting with the path, if it is invalid."""
    try:
        return read_tariff(read_toml(path))
    except (TextInputError, TariffError) as error:
        raise TariffError(f"{named(path)}: {error}") from error


def _override(tariff: Tariff, values: Mapping[str, Any]) -> Tariff:
    given = tuple(sorted({*tariff.given, *values}))
    return msgspec.structs.replace(tariff, **values, given=given)


def _check_given(name: str, value: object, allowed: Range) -> None:
    if value is not None or name in {default.name for default in DEFAULTS}:
        check_number(name, value, allowed)
