"""The tariff: the prices of energy and machine, each given by the user or a labelled default."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from difflib import get_close_matches
from typing import TYPE_CHECKING, Any, Literal

import msgspec

from agent.runtime.text_input import TextInputError, named, quoted, read_toml

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

Origin = Literal["given", "default"]


class TariffError(ValueError):
    """A tariff is invalid: the message names the file, the field, its value and the allowed range."""


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


@dataclass(frozen=True, slots=True)
class _Range:
    low: float
    high: float
    allowed: str
    low_excluded: bool = False

    def contains(self, value: float) -> bool:
        return self.low <= value <= self.high and not (self.low_excluded and value == self.low)


_AMOUNT = _Range(0, sys.float_info.max, "0 or more")
_POSITIVE = _Range(0, sys.float_info.max, "more than 0", low_excluded=True)
_SHARE = _Range(0, 1, "from 0 to 1 (0.05 is 5 %)")
_PART = _Range(0, 1, "more than 0 and at most 1 (0.3 is 30 %)", low_excluded=True)
_OVERHEAD = _Range(1, sys.float_info.max, "1 or more")

_RANGES: Mapping[str, _Range] = {
    "price_per_kwh": _AMOUNT,
    "pue": _OVERHEAD,
    "carbon_intensity_g_per_kwh": _AMOUNT,
    "capital": _AMOUNT,
    "life_years": _POSITIVE,
    "residual_share": _SHARE,
    "discount_rate": _SHARE,
    "maintenance_share": _SHARE,
    "licences_per_year": _AMOUNT,
    "facility_per_kw_month": _AMOUNT,
    "provisioned_watts": _POSITIVE,
    "utilization": _PART,
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
            _check_number(name, getattr(self, name), allowed)
        if self.currency is not None:
            _check_currency(self.currency)
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


def _check_number(name: str, value: object, allowed: _Range) -> None:
    if value is None and name not in {default.name for default in DEFAULTS}:
        return
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise TariffError(f"{name} = {quoted(value)} is not a number: it must be {allowed.allowed}")
    if not allowed.contains(value):
        raise TariffError(f"{name} = {quoted(value)} is out of range: it must be {allowed.allowed}")


def _check_currency(value: object) -> None:
    if not isinstance(value, str) or not value.strip() or not value.isprintable():
        raise TariffError(f"currency = {quoted(value)} is not the name of a currency: it must be a text such as EUR")
