"""Own machines, an offer, or both: the cost of a year of each option, and the loads at which one becomes cheaper."""

from __future__ import annotations

from dataclasses import replace
from itertools import zip_longest
from typing import TYPE_CHECKING

import msgspec

from agent.cost.break_even import (
    Range,
    break_even_utilizations,
    cheaper_demands,
    payback_years,
    searched_demand,
)
from agent.cost.hybrid import Split, best_split, machines_for, owned_alone, owned_year
from agent.cost.lines import HOURS_PER_YEAR
from agent.cost.offers import check_currencies, check_names
from agent.cost.rented import SECONDS_PER_HOUR, UnsuitableOfferError, rental, rented_work

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from agent.cost.demand import Demand
    from agent.cost.hybrid import Machine
    from agent.cost.offers import Offer
    from agent.cost.rented import Mix, Rental, RentedWork
    from agent.cost.requirements import Requirements

_MILLION = 1e6


class Option(msgspec.Struct, frozen=True):
    """One way to serve the demand for a year; `offer` is None without rented work.

    `rented_hours` and `rented_instances` (at the peak) are None for an API, and `per_million_output_tokens` for work
    without output tokens. `objections` are the requirements that the option does not meet.
    """

    machines: int
    offer: str | None
    cost: float
    owned_capital: float
    owned_energy: float
    rented_cost: float
    rented_share: float
    rented_hours: float | None
    rented_instances: int | None
    per_request: float
    per_million_output_tokens: float | None
    objections: tuple[str, ...] = ()


class BreakEven(msgspec.Struct, frozen=True):
    """The loads at which own machines are cheaper than one offer.

    `price_per_request` is that of the offer, on an instance that is always busy unless its utilization is given, and
    `utilizations` those of one machine at which it costs less. `demands` are constant demands in requests per second
    that whole machines, without spares, serve cheaper, searched up to `searched_demand`. `payback_years` is the time in
    which the saved rent pays the machines for the demand, without interest; None: not within their life, no demand, or
    no acquisition cost. `hours_per_year` are the rented hours of an instance that cost as much as a year of one own
    machine at full use; None for an API or a price of 0. `owning_wins` is the share of the draws of uncertain inputs in
    which the machines for the demand cost less than renting all of it; None without a demand or draws. `objections` are
    the requirements that the offer does not meet.
    """

    offer: str
    price_per_request: float
    price_per_million_output_tokens: float | None
    utilizations: tuple[Range, ...]
    demands: tuple[Range, ...]
    searched_demand: float
    payback_years: float | None
    hours_per_year: float | None
    owning_wins: float | None = None
    objections: tuple[str, ...] = ()


class LeftOut(msgspec.Struct, frozen=True):
    """An offer that cannot be compared, with the reason."""

    offer: str
    reason: str


class Decision(msgspec.Struct, frozen=True):
    """The options for a demand, the cheapest first, and the break-even loads of each offer.

    Without a demand there are no options. `cheapest` is the first option that meets the requirements; None if none
    does. `sovereignty_per_year` is the difference of its cost to that of the cheapest of all; None without
    requirements. `assumptions` are the values that an offer does not give.
    """

    currency: str | None
    options: tuple[Option, ...]
    cheapest: Option | None
    sovereignty_per_year: float | None
    break_even: tuple[BreakEven, ...]
    left_out: tuple[LeftOut, ...]
    assumptions: tuple[LeftOut, ...]


def decide(
    machine: Machine,
    demand: Demand | None,
    offers: Sequence[Offer],
    mix: Mix,
    requirements: Requirements,
    currency: str | None,
) -> Decision:
    """Return the options and break-even loads of a machine and offers in one currency, for requests of one mix.

    Raises TariffError if an offer is in another currency or two have one name, and DemandError if the demand needs too
    many machines.
    """
    check_names(offers)
    check_currencies(offers, currency)
    rentals: list[Rental] = []
    left_out: list[LeftOut] = []
    for offer in offers:
        try:
            rentals.append(rental(offer, mix))
        except UnsuitableOfferError as error:
            left_out.append(LeftOut(offer.name, str(error)))
    works = [] if demand is None else [rented_work(sized(each, machine), demand) for each in rentals]
    found = [] if demand is None else _options(machine, demand, works, mix, requirements)
    options = tuple(sorted(found, key=lambda option: (option.cost, option.machines)))
    cheapest = next((option for option in options if not option.objections), None)
    return Decision(
        currency=currency,
        options=options,
        cheapest=cheapest,
        sovereignty_per_year=cheapest.cost - options[0].cost if cheapest and requirements.given else None,
        break_even=tuple(
            _break_even(machine, each, mix, work, requirements) for each, work in zip_longest(rentals, works)
        ),
        left_out=tuple(left_out),
        assumptions=tuple(LeftOut(each.offer.name, text) for each in rentals for text in each.offer.assumptions),
    )


def _options(
    machine: Machine, demand: Demand, works: Sequence[RentedWork], mix: Mix, requirements: Requirements
) -> Iterator[Option]:
    """Yield own machines alone, and for each rental it alone and its best splits with and without the requirements."""
    own = owned_alone(machine, demand)
    yield _option(own, None, demand, mix, ())
    for work in works:
        offer = work.rental.offer
        least = machines_for(requirements.owned_share(offer) * demand.peak, machine.usable)
        splits = {0: Split(owned_year(machine, demand, 0), work.above(0.0))}
        for lower in {0, least}:
            split = best_split(machine, demand, work, lower)
            splits[split.owned.machines] = split
        objections = requirements.objections(offer)
        for machines, split in splits.items():
            if machines == own.owned.machines:
                continue  # own machines alone are not dearer
            kept = machines - machine.spares if machines else 0
            more = () if kept >= least else (_share_objection(requirements),)
            yield _option(split, offer.name, demand, mix, (*objections, *more))


def _share_objection(requirements: Requirements) -> str:
    return f"less than the confidential {100 * requirements.confidential_share:g} % stays on the premises"


def _option(split: Split, offer: str | None, demand: Demand, mix: Mix, objections: tuple[str, ...]) -> Option:
    per_request = split.cost / (demand.mean * SECONDS_PER_HOUR * HOURS_PER_YEAR)
    rented = split.rented
    return Option(
        machines=split.owned.machines,
        offer=offer,
        cost=split.cost,
        owned_capital=split.owned.fixed,
        owned_energy=split.owned.energy,
        rented_cost=rented.cost if rented else 0.0,
        rented_share=rented.share if rented else 0.0,
        rented_hours=rented.hours if rented else None,
        rented_instances=rented.instances if rented else None,
        per_request=per_request,
        per_million_output_tokens=_per_million(per_request, mix),
        objections=objections,
    )


def sized(each: Rental, machine: Machine) -> Rental:
    """Return a rental whose instances are sized for the peaks within a step, as own machines are."""
    return replace(each, capacity=each.capacity and each.capacity / machine.peak_factor)


def _break_even(
    machine: Machine, each: Rental, mix: Mix, work: RentedWork | None, requirements: Requirements
) -> BreakEven:
    price, hour = each.at_full_use(), each.offer.price_per_hour
    whole = sized(each, machine)
    return BreakEven(
        offer=each.offer.name,
        price_per_request=price,
        price_per_million_output_tokens=_per_million(price, mix),
        utilizations=break_even_utilizations(machine.model, price),
        demands=cheaper_demands(machine.model, whole, machine.usable),
        searched_demand=searched_demand(whole, machine.usable),
        payback_years=None if work is None else _payback(machine, work),
        hours_per_year=HOURS_PER_YEAR * machine.model.per_hour(1.0) / hour if hour else None,
        objections=requirements.objections(each.offer),
    )


def _payback(machine: Machine, work: RentedWork) -> float | None:
    """Return the payback time of the machines that do all work against renting all of it; None without capital."""
    own = owned_alone(machine, work.demand).owned
    if not machine.capital:
        return None
    return payback_years(
        own.machines * machine.capital,
        work.above(0.0).cost,
        own.cost - own.machines * machine.recovery_per_year,
        machine.life_years,
        work.rental.offer.price_change_per_year or 0.0,
    )


def _per_million(per_request: float, mix: Mix) -> float | None:
    return per_request / mix.output_tokens * _MILLION if mix.output_tokens else None
