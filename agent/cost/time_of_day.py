"""Prices of energy by the hour of the week."""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING, Any, Literal

import msgspec

from agent.cost.limits import AMOUNT, Range, TariffError, check_number
from agent.runtime.text_input import quoted

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

HOURS_PER_DAY = 24
HOURS_PER_WEEK = 168
_MOST_PERIODS = 100
_WEEKEND = (5, 6)
_HOUR = Range(0, HOURS_PER_DAY, "from 0 to 24")
_DAYS: dict[str, tuple[int, ...]] = {"all": (0, 1, 2, 3, 4, 5, 6), "weekdays": (0, 1, 2, 3, 4), "weekend": _WEEKEND}


class PricePeriod(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The price of a kilowatt-hour from one hour of the day to another, of which it is the night if it is earlier.

    Hours are those of the local clock: 7.5 is half past seven. Raises TariffError if a value is out of range.
    """

    from_hour: float
    until_hour: float
    price_per_kwh: float
    days: Literal["all", "weekdays", "weekend"] = "all"

    def __post_init__(self) -> None:
        check_number("from_hour", self.from_hour, _HOUR)
        check_number("until_hour", self.until_hour, _HOUR)
        check_number("price_per_kwh", self.price_per_kwh, AMOUNT)
        if self.days not in _DAYS:
            raise TariffError(f'days = {quoted(self.days)} is not "all", "weekdays" or "weekend"')

    def contains(self, hour_of_week: float) -> bool:
        """Return whether an hour of the week is in the period; 0 is the midnight before Monday."""
        day, hour = divmod(hour_of_week, HOURS_PER_DAY)
        if self.from_hour < self.until_hour:
            return self.from_hour <= hour < self.until_hour and int(day) in _DAYS[self.days]
        if hour >= self.from_hour:
            return int(day) in _DAYS[self.days]
        return hour < self.until_hour and (int(day) - 1) % 7 in _DAYS[self.days]  # the night of the day before


def read_periods(tables: object) -> tuple[PricePeriod, ...]:
    """Return the periods of the tables `[[time_of_day]]` of a tariff. Raises TariffError, which names the table."""
    if not isinstance(tables, list) or not all(isinstance(each, dict) for each in tables):
        raise TariffError("time_of_day is not a list of tables: begin each period with a line [[time_of_day]]")
    if len(tables) > _MOST_PERIODS:
        raise TariffError(f"{len(tables)} tables time_of_day are too many: give at most {_MOST_PERIODS}")
    return tuple(_period(number, table) for number, table in enumerate(tables, 1))


def _period(number: int, table: dict[str, Any]) -> PricePeriod:
    known = PricePeriod.__struct_fields__
    if unknown := [key for key in table if key not in known]:
        raise TariffError(f"time_of_day {number}: unknown key {quoted(unknown[0])}: the keys are {', '.join(known)}")
    if missing := [key for key in known[:3] if key not in table]:
        raise TariffError(f"time_of_day {number}: {missing[0]} is not given")
    try:
        return PricePeriod(**table)
    except TariffError as error:
        raise TariffError(f"time_of_day {number}: {error}") from None


def price_at(periods: Sequence[PricePeriod], base: float, hour_of_week: float) -> float:
    """Return the price of a kilowatt-hour at an hour of the week, `base` outside every period.

    Raises TariffError if two periods contain the hour.
    """
    found = [period.price_per_kwh for period in periods if period.contains(hour_of_week % HOURS_PER_WEEK)]
    if len(found) > 1:
        day, hour = divmod(hour_of_week % HOURS_PER_WEEK, HOURS_PER_DAY)
        raise TariffError(f"two periods time_of_day contain hour {hour:g} of day {day + 1:.0f} of the week")
    return found[0] if found else base


def mean_price(periods: Sequence[PricePeriod], base: float) -> float:
    """Return the mean price over a week, for a load that is the same at every hour.

    Raises TariffError if two periods overlap.
    """
    if not periods:
        return base
    paid = sum((end - start) * price_at(periods, base, (start + end) / 2) for start, end in _segments(periods))
    return paid / HOURS_PER_WEEK


def price_day(periods: Sequence[PricePeriod], base: float) -> tuple[tuple[float, float, float], ...]:
    """Return the parts of a mean day: their first and last hour, and the price in them over the mean of the week.

    Raises TariffError if two periods overlap. Without a price the parts cost the same.
    """
    mean = mean_price(periods, base)
    day = [(start, end) for start, end in _segments(periods) if end <= HOURS_PER_DAY]
    prices = [
        sum(price_at(periods, base, (start + end) / 2 + first) for first in range(0, HOURS_PER_WEEK, HOURS_PER_DAY)) / 7
        for start, end in day
    ]
    return tuple((start, end, price / mean if mean else 1.0) for (start, end), price in zip(day, prices, strict=True))


def _segments(periods: Sequence[PricePeriod]) -> Iterator[tuple[float, float]]:
    """Yield the parts of the week in which no period begins or ends."""
    edges = {0.0, float(HOURS_PER_DAY), *(hour for each in periods for hour in (each.from_hour, each.until_hour))}
    day = sorted(edges)
    for first in range(0, HOURS_PER_WEEK, HOURS_PER_DAY):
        yield from ((first + start, first + end) for start, end in pairwise(day))
