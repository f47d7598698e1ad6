"""The TOML file of a tariff: its keys, its tables, and its sites."""

from __future__ import annotations

from difflib import get_close_matches
from typing import TYPE_CHECKING, Any

from agent.cost.limits import TariffError, check_text
from agent.cost.offers import read_offers
from agent.cost.tariff import RANGES, Tariff, ValueRange
from agent.cost.time_of_day import read_periods
from agent.runtime.text_input import TextInputError, named, quoted, read_toml

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

KEYS = tuple(name for name in Tariff.__struct_fields__ if name in {*RANGES, "currency", "facility_includes_power"})
"""The keys of a tariff, and of a site in it."""
TABLES = ("measured", "range", "time_of_day", "offer", "site")
"""The keys that are lists and tables."""
_MOST_SITES = 100


def load_tariff(path: Path, site: str | None = None) -> Tariff:
    """Read the tariff file at `path`, for one of its sites if that is given.

    Raises TariffError, starting with the path, if it is invalid or has no such site.
    """
    try:
        return read_tariff(read_toml(path), site)
    except (TextInputError, TariffError) as error:
        raise TariffError(f"{named(path)}: {error}") from error


def read_tariff(values: Mapping[str, Any], site: str | None = None) -> Tariff:
    """Return the tariff of keys and values from TOML, with those of one of its sites in place of the shared ones.

    Raises TariffError for an unknown key, with the nearest known one, for an unknown site, and as the constructor does.
    """
    sites = site_names(values)
    _check_keys(values, (*KEYS, *TABLES))
    own: Mapping[str, Any] = {}
    if site is not None:
        if site not in sites:
            found = f"its sites are {', '.join(sites)}" if sites else "it has no [[site]]"
            raise TariffError(f"there is no site {quoted(site)}: {found}")
        own = values["site"][sites.index(site)]
        place = f"site {site}"
        try:
            return _tariff({**values, **own}, site)
        except TariffError as error:
            raise TariffError(f"{place}: {error}") from None
    return _tariff(values, None)


def site_names(values: Mapping[str, Any]) -> tuple[str, ...]:
    """Return the names of the sites of a tariff file. Raises TariffError, which names the site, if one is invalid."""
    tables = values.get("site", [])
    if not isinstance(tables, list) or not all(isinstance(each, dict) for each in tables):
        raise TariffError("site is not a list of tables: begin each site with a line [[site]]")
    if len(tables) > _MOST_SITES:
        raise TariffError(f"{len(tables)} sites are too many: give at most {_MOST_SITES}")
    names: list[str] = []
    for number, table in enumerate(tables, 1):
        check_text(f"site {number}: name", table.get("name"), 'a name: write name = "Berlin", for example')
        if table["name"] in names:
            raise TariffError(f"two sites have the name {quoted(table['name'])}: give each a name of its own")
        names.append(table["name"])
        try:
            _check_keys(table, ("name", *KEYS, "measured", "range", "time_of_day"))
        except TariffError as error:
            raise TariffError(f"site {number} ({table['name']}): {error}") from None
    return tuple(names)


def check_file(path: Path) -> tuple[str, ...]:
    """Check a tariff file with each of its sites, and return the names of the sites. Raises TariffError."""
    load_tariff(path)
    names = site_names(read_toml(path))
    for name in names:
        load_tariff(path, name)
    return names


def check_key(name: str) -> None:
    """Raise TariffError unless a name is a key of a tariff."""
    _check_keys({name: None}, KEYS)


def _tariff(values: Mapping[str, Any], site: str | None) -> Tariff:
    plain = {key: values[key] for key in values if key in KEYS}
    measured = values.get("measured", [])
    if not isinstance(measured, list) or not all(isinstance(each, str) for each in measured):
        raise TariffError('measured is not a list of keys such as ["pue", "utilization"]')
    return Tariff(
        **plain,
        given=tuple(sorted(plain)),
        measured=tuple(measured),
        ranges=_ranges(values.get("range", {})),
        price_periods=read_periods(values.get("time_of_day", [])),
        offers=read_offers(values.get("offer", [])),
        site=site,
    )


def _ranges(table: object) -> tuple[ValueRange, ...]:
    if not isinstance(table, dict):
        raise TariffError("range is not a table: begin it with a line [range]")
    for name, ends in table.items():
        if not isinstance(ends, list) or len(ends) != 2 or not all(_is_number(end) for end in ends):  # noqa: PLR2004
            raise TariffError(f"range.{name} = {quoted(ends)} is not a range: write [0.25, 0.35], for example")
    return tuple(ValueRange(name, low, high) for name, (low, high) in table.items())


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _check_keys(values: Mapping[str, Any], known: tuple[str, ...]) -> None:
    for key in values:
        if key not in known:
            near = get_close_matches(key, known, n=1)
            hint = f"did you mean {near[0]}?" if near else f"the keys are {', '.join(known)}"
            raise TariffError(f"unknown key {quoted(key)}: {hint}")
