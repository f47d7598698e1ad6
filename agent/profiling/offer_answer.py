"""The answer about the offers of a tariff for a profile, as a document; pure."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import msgspec

from agent.cost.decision import decide, sized
from agent.cost.rent_years import rent_years
from agent.cost.rented import rental, rented_work
from agent.profiling.cost_inputs import machine_inputs
from agent.profiling.offer_inputs import machine_of, mix_of, usual_demand
from agent.profiling.pricing import sustained_point

if TYPE_CHECKING:
    from agent.cost.decision import Decision
    from agent.cost.demand import Demand
    from agent.cost.hybrid import Machine
    from agent.cost.rent_years import RentYears
    from agent.cost.rented import Mix
    from agent.cost.requirements import Requirements
    from agent.cost.tariff import Tariff
    from agent.cost.uncertain import MachineInputs
    from agent.profiling.records import Document


def answer(
    document: Document, tariff: Tariff, demand: Demand | None, required: Requirements, years: int | None = None
) -> dict[str, Any]:
    """Return the options, the break-even loads and their inputs; without a demand, for the usual one of the tariff.

    With `years` each offer has its rents of these years.

    Needs NumPy for a demand. Raises NoCostError if the profile or the tariff has no cost, TariffError if an offer is in
    another currency, and DemandError if the demand needs too many machines.
    """
    point, _ = sustained_point(document)
    mix = mix_of(point)
    machine = machine_of(document, point, tariff, sized_for_peaks=demand is None or len(demand.steps) == 1)
    sizes = _sizes(machine)
    if demand is None and (usual := usual_demand(machine, tariff)):
        demand, machine, sizes = usual, replace(machine, headroom=0.0, spares=0, peak_factor=1.0), []
    decision = decide(machine, demand, tariff.offers, mix, required, tariff.currency)
    if demand is not None:
        decision = _with_chances(decision, machine, demand, tariff, machine_inputs(document, point))
    return {
        "profile": document.id,
        "point": point.name,
        "capacity_requests_per_second": machine.model.capacity,
        "tokens_per_request": {
            "input": mix.input_tokens,
            "cached_input": mix.cached_input_tokens,
            "output": mix.output_tokens,
        },
        "life_years": machine.life_years if machine.capital else None,
        "headroom": machine.headroom,
        "spares": machine.spares,
        "peak_factor": machine.peak_factor,
        "demand": demand and _demand_document(demand),
        "offers": msgspec.to_builtins(tariff.offers),
        "requirements": msgspec.to_builtins(required),
        **msgspec.to_builtins(decision),
        "rents": msgspec.to_builtins(_rents(decision, machine, demand, tariff, mix, years)),
        "notes": [*sizes, *_prices_of_hours(tariff, demand), *_premises(tariff, required), *_price_changes(tariff)],
    }


def _rents(
    decision: Decision, machine: Machine, demand: Demand | None, tariff: Tariff, mix: Mix, years: int | None
) -> list[RentYears]:
    """Return the rents of the compared offers over some years, the lowest present value first."""
    if demand is None or not years:
        return []
    compared = {each.offer for each in decision.break_even}
    rentals = [sized(rental(offer, mix), machine) for offer in tariff.offers if offer.name in compared]
    growth, rate = tariff.demand_growth_per_year or 0.0, tariff.discount_rate
    found = [rent_years(rented_work(each, demand), years, growth, rate) for each in rentals]
    return sorted(found, key=lambda each: each.net_present_value)


def _with_chances(
    decision: Decision, machine: Machine, demand: Demand, tariff: Tariff, inputs: MachineInputs
) -> Decision:
    """Return the decision with the share of draws in which owning is cheaper than each offer."""
    from agent.cost.chances import owned_cost, owning_wins  # noqa: PLC0415  NumPy is slow to import
    from agent.cost.draws import Draws  # noqa: PLC0415  same

    rents = {option.offer: option.cost for option in decision.options if option.offer and not option.machines}
    wins = owning_wins(owned_cost(machine, Draws().machine(tariff, inputs), demand), rents)
    found = tuple(msgspec.structs.replace(each, owning_wins=wins[each.offer]) for each in decision.break_even)
    return msgspec.structs.replace(decision, break_even=found)


def _demand_document(demand: Demand) -> dict[str, Any]:
    return {
        "origin": demand.origin,
        "mean_requests_per_second": demand.mean,
        "peak_requests_per_second": demand.peak,
        "notes": list(demand.notes),
    }


def _sizes(machine: Machine) -> list[str]:
    parts = []
    if machine.headroom:
        parts.append(f"{100 * machine.headroom:g} % of each own machine stays free at the peak")
    if machine.spares:
        parts.append(f"spares: {machine.spares}")
    if machine.peak_factor > 1:
        parts.append(f"machines and instances are sized for {machine.peak_factor:g} times the demand")
    return parts or ["own machines are fully used at the peak: the tariff has no headroom, spares or peak_factor"]


def _prices_of_hours(tariff: Tariff, demand: Demand | None) -> list[str]:
    if not tariff.price_periods or demand is None or tariff.includes_power:
        return []
    if demand.price_factors:
        return ["energy has the price of its time of the day, as the mean of the days of a week"]
    return ["energy has the mean price of a week, as the hours of the demand are unknown or all alike"]


def _premises(tariff: Tariff, required: Requirements) -> list[str]:
    if not required.given:
        return []
    if tariff.price_per_hour is not None:
        return ["the own machine is a rented one: check that it meets the requirements"]
    return ["own machines are assumed to meet the requirements"]


def _price_changes(tariff: Tariff) -> list[str]:
    return [
        f"the price of {offer.name} changes by {100 * offer.price_change_per_year:+g} % a year: the options have the "
        "price of the first year, and the payback time has the change"
        for offer in tariff.offers
        if offer.price_change_per_year
    ]
