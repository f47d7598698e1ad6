"""The rent of a demand over years, with the growth of the demand and the change of the price."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import TYPE_CHECKING

import msgspec

if TYPE_CHECKING:
    from agent.cost.rented import RentedWork


class RentYears(msgspec.Struct, frozen=True):
    """The rent of each year if an offer does all work, with its sum and its net present value."""

    offer: str
    payments: tuple[float, ...]
    total: float
    net_present_value: float


def rent_years(work: RentedWork, years: int, growth: float, rate: float) -> RentYears:
    """Return the rent of `years` from the demand of the first year on.

    The demand grows by `growth` and the price changes by that of the offer each year, both as shares. A rent is due at
    the end of its year and discounted by `rate`, as the payments of own machines are.
    """
    change = work.rental.offer.price_change_per_year or 0.0
    payments = []
    for year in range(years):
        grown = replace(work, demand=work.demand.times((1 + growth) ** year))  # the spans of each level stay
        payments.append(grown.above(0.0).cost * (1 + change) ** year)
    present = math.fsum(each / (1 + rate) ** year for year, each in enumerate(payments, 1))
    return RentYears(work.rental.offer.name, tuple(payments), math.fsum(payments), present)
