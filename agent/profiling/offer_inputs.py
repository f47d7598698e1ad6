"""From a profile document to the inputs of a decision: the machine, the tokens of a request, the usual demand; pure."""

from __future__ import annotations

from typing import TYPE_CHECKING

from agent.cost.demand import constant, with_prices
from agent.cost.hybrid import Machine
from agent.cost.lines import capital_recovery_factor
from agent.cost.rented import Mix
from agent.cost.time_of_day import price_day
from agent.profiling.pricing import hourly_model, point_cost

if TYPE_CHECKING:
    from agent.cost.demand import Demand
    from agent.cost.tariff import Tariff
    from agent.profiling.records import Document, Point


def machine_of(document: Document, point: Point, tariff: Tariff, *, sized_for_peaks: bool) -> Machine:
    """Return the machine of a document with its capacity at a point; the peak factor counts if it is `sized_for_peaks`.

    A demand that is a curve has its peaks in it. Raises NoCostError as `hourly_model` does.
    """
    model = hourly_model(document, point, tariff)
    capital = tariff.capital or 0.0
    recovery = (1 - tariff.residual_share) * capital_recovery_factor(tariff.life_years, tariff.discount_rate)
    interest = tariff.residual_share * tariff.discount_rate
    return Machine(
        model,
        capital,
        capital * (recovery + interest),
        tariff.life_years,
        tariff.headroom or 0.0,
        tariff.spares or 0,
        (tariff.peak_factor or 1.0) if sized_for_peaks else 1.0,
    )


def mix_of(point: Point) -> Mix:
    """Return the tokens of a request, in the ratio of the mean lengths of the requests.

    The output tokens are those of the windows over their requests, as in the costs of the profile; at the edges of a
    short window they differ from the mean length.
    """
    inputs = point_cost(point, ())
    mean_input, mean_output = point.input_tokens_per_inference, point.output_tokens_per_inference
    own_input = inputs.input_tokens
    if inputs.output_tokens and mean_input and mean_output:
        own_input = inputs.output_tokens * mean_input / mean_output
    rate, cached = point.input_tokens_per_second, point.serving and point.serving.cached_input_tokens_per_second
    share = min(1.0, cached / rate.mean) if cached and rate and rate.mean else 0.0
    return Mix(own_input, share * (own_input or 0.0), inputs.output_tokens)


def usual_demand(machine: Machine, tariff: Tariff) -> Demand | None:
    """Return the constant demand that uses one machine at the utilization of the tariff; None without one."""
    if tariff.utilization is None:
        return None
    share = f"{100 * tariff.utilization:g} %"
    note = f"no --demand: one machine at the utilization of the tariff, {share}, without headroom and spares"
    return constant(tariff.utilization * machine.model.capacity, "assumed", (note,))


def at_prices(demand: Demand, tariff: Tariff) -> Demand:
    """Return a demand with the prices of energy at its times, if it is a day and the tariff has such prices."""
    if not tariff.price_periods or tariff.price_per_kwh is None:
        return demand
    return with_prices(demand, price_day(tariff.price_periods, tariff.price_per_kwh))
