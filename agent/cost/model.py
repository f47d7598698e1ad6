"""Prices inferences and tokens: the cost of an inference and of a million tokens on a machine under a tariff."""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING

import msgspec

from agent.cost.carbon import CarbonBreakdown, carbon
from agent.cost.hourly import power_at
from agent.cost.interval import Interval
from agent.cost.lines import (
    CostLine,
    demand_charge_per_hour,
    energy_lines,
    machine_lines,
    total,
)
from agent.cost.missing import MissingInput, missing_inputs
from agent.cost.tariff import TariffDefault  # noqa: TC001  the profile's schema is made from the annotations

if TYPE_CHECKING:
    from agent.cost.tariff import Tariff

_JOULES_PER_KWH = 3.6e6
_SECONDS_PER_HOUR = 3600
_TOKENS_PRICED = 1e6


@dataclass(frozen=True, slots=True)
class PointCost:
    """The physical quantities of a point that determine its cost, of the same windows.

    `energy_joules` is the energy of the whole boundary per inference, `throughput` inferences per second. `idle_watts`
    is the power of the same boundary with the model loaded and idle, None if it was not measured. `load_watts` is its
    power at utilizations in between, rising. Tokens are per inference, None for work without tokens. Raises ValueError
    if the throughput is not above 0, another number is negative or not finite, or a utilization is not in between.
    """

    energy_joules: Interval
    throughput: Interval
    idle_watts: Interval | None = None
    input_tokens: float | None = None
    output_tokens: float | None = None
    load_watts: tuple[tuple[float, float], ...] = ()

    def __post_init__(self) -> None:
        if self.throughput.mean <= 0:
            raise ValueError(f"throughput = {self.throughput.mean} inferences/s: it must be more than 0")
        _check_not_negative("energy_joules", self.energy_joules.mean)
        if self.idle_watts is not None:
            _check_not_negative("idle_watts", self.idle_watts.lower or self.idle_watts.mean)
        for name in ("input_tokens", "output_tokens"):
            if (value := getattr(self, name)) is not None:
                _check_not_negative(name, value)
        loads = [0.0, *(load for load, _ in self.load_watts), 1.0]
        if any(low >= high for low, high in pairwise(loads)):
            raise ValueError(f"the loads {self.load_watts} do not rise between the utilizations 0 and 1")
        for _, watts in self.load_watts:
            _check_not_negative("load_watts", watts)

    @property
    def busy_watts(self) -> float:
        """Mean power at the throughput, in watts: joules per inference times inferences per second."""
        return self.energy_joules.mean * self.throughput.mean

    @property
    def curve(self) -> tuple[tuple[float, float], ...] | None:
        """The power in watts by utilization, from idle to busy; None without an idle power."""
        if self.idle_watts is None:
            return None
        return ((0.0, self.idle_watts.mean), *self.load_watts, (1.0, self.busy_watts))

    def watts(self, utilization: float) -> float | None:
        """Return the mean power at a utilization from 0 to 1, linear between measured loads; None if it is unknown."""
        if utilization == 1:
            return self.busy_watts
        return None if self.curve is None else power_at(self.curve, utilization)

    @property
    def joules(self) -> Interval:
        """The energy per inference, with a lower bound of at least 0."""
        energy = self.energy_joules
        return Interval(energy.mean, None if energy.lower is None else max(0.0, energy.lower), energy.upper)

    @property
    def seconds(self) -> Interval:
        """Machine time per inference, 1 / throughput; unbounded above if the throughput can be 0."""
        rate = self.throughput
        slowest = None if rate.lower is None or rate.lower <= 0 else 1 / rate.lower
        return Interval(1 / rate.mean, None if rate.upper is None else 1 / rate.upper, slowest)

    @property
    def total_tokens(self) -> float | None:
        """Input and output tokens per inference; None unless both are known."""
        if self.input_tokens is None or self.output_tokens is None:
            return None
        return self.input_tokens + self.output_tokens


class HourlyCost(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The cost of an hour of the machine; a part that cannot be computed is None, and with it the total.

    `lines` are the known lines of both parts, None in a profile of an earlier version.
    """

    energy: float | None
    capital: float | None
    lines: tuple[CostLine, ...] | None = None

    @property
    def total(self) -> float | None:
        """The sum of both parts."""
        return None if self.energy is None or self.capital is None else self.energy + self.capital


class CostBreakdown(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The cost of one amount of work; a part that cannot be computed is None, and with it the total.

    `energy` contains cooling, distribution and the demand charge, `capital` acquisition or rent, interest, maintenance,
    licences, staff and facility.
    """

    energy: Interval | None
    capital: Interval | None

    @property
    def total(self) -> Interval | None:
        """The sum of both parts."""
        return None if self.energy is None or self.capital is None else self.energy.plus(self.capital)

    def per_million(self, tokens: float | None) -> CostBreakdown | None:
        """Return the parts for a million tokens, given the `tokens` of this work; None without tokens."""
        if not tokens:
            return None
        factor = _TOKENS_PRICED / tokens
        return CostBreakdown(self.energy and self.energy.times(factor), self.capital and self.capital.times(factor))


class BasisCost(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The cost on one basis; `no_total_reason` names the missing input of the total, None if there is a total.

    `carbon_grams_per_inference` is None without a carbon intensity and embodied carbon.
    """

    utilization: float
    per_hour: HourlyCost
    per_inference: CostBreakdown
    per_million_output_tokens: CostBreakdown | None
    per_million_total_tokens: CostBreakdown | None
    no_total_reason: str | None
    carbon_grams_per_inference: CarbonBreakdown | None = None


class Cost(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The cost of a point under a tariff, in `currency` (None: the unit of the given prices).

    `usage` assumes a machine that is always fully used, `allocation` applies the utilization of the tariff and includes
    idle time; without a utilization it is None, with `no_allocation_reason`. `assumed` are the defaults behind the
    numbers. `carbon_grams_per_inference` is CO2 equivalent from operation alone, without manufacturing.
    """

    currency: str | None
    usage: BasisCost
    allocation: BasisCost | None
    no_allocation_reason: str | None
    carbon_grams_per_inference: Interval | None
    missing: tuple[MissingInput, ...]
    assumed: tuple[TariffDefault, ...]


def _energy_lines(tariff: Tariff, point: PointCost, utilization: float) -> tuple[CostLine, ...] | None:
    """Return the lines of the energy of an hour; None without a price or the power at this utilization."""
    watts = point.watts(utilization)
    if watts is None and not tariff.includes_power:
        return None
    return energy_lines(tariff, watts or 0.0, point.busy_watts)


def price_point(tariff: Tariff, point: PointCost) -> Cost:
    """Return the cost of one point of a sweep on both bases.

    An hour costs H(u) = capital + energy at u and gives 3600 X u inferences, so one costs H(u) / (3600 X u): with
    u = 1 on the usage basis, with the tariff's utilization on the allocation basis. Bounds of energy and of
    throughput are taken at their worst together, so a total's interval is rather too wide than too narrow.
    """
    utilization, machine = tariff.utilization, machine_lines(tariff)
    return Cost(
        currency=tariff.currency,
        usage=_prices(tariff, point, 1.0, machine),
        allocation=None if utilization is None else _prices(tariff, point, utilization, machine),
        no_allocation_reason="no utilization is given" if utilization is None else None,
        carbon_grams_per_inference=_priced(
            point.joules, tariff.carbon_intensity_g_per_kwh, tariff.overhead / _JOULES_PER_KWH
        ),
        missing=missing_inputs(tariff, has_idle=point.idle_watts is not None),
        assumed=_used_defaults(tariff),
    )


def _prices(tariff: Tariff, point: PointCost, utilization: float, machine: tuple[CostLine, ...]) -> BasisCost:
    lines = _energy_lines(tariff, point, utilization)
    energy = None if lines is None else total(lines)
    capital = total(machine) if machine else None
    seconds = point.seconds.times(1 / utilization)
    joules = _joules_with_idle(point, utilization)
    parts = CostBreakdown(
        energy=_energy(tariff, point, joules, seconds),
        capital=_priced(seconds, capital, 1 / _SECONDS_PER_HOUR),
    )
    return BasisCost(
        utilization=utilization,
        per_hour=HourlyCost(energy, capital, (*machine, *(lines or ()))),
        per_inference=parts,
        per_million_output_tokens=parts.per_million(point.output_tokens),
        per_million_total_tokens=parts.per_million(point.total_tokens),
        no_total_reason=_no_total(tariff, parts),
        carbon_grams_per_inference=carbon(tariff, joules, seconds),
    )


def _energy(tariff: Tariff, point: PointCost, joules: Interval | None, seconds: Interval) -> Interval | None:
    """Return the cost of the energy of an inference, with its share of the demand charge."""
    if tariff.includes_power:
        return Interval.exact(0.0)
    energy = _priced(joules, tariff.energy_price, tariff.overhead / _JOULES_PER_KWH)
    charge = demand_charge_per_hour(tariff, point.busy_watts)
    return energy.plus(seconds.times(charge / _SECONDS_PER_HOUR)) if energy and charge else energy


def _joules_with_idle(point: PointCost, utilization: float) -> Interval | None:
    """Return the energy of one inference and of its share of idle time, (1 - u) / u of its own time.

    Loads that were measured in between move it to the curve: by the difference of the power from the straight line.
    """
    if utilization == 1:
        return point.joules
    if point.idle_watts is None:
        return None
    linear = point.joules.plus(point.seconds.multiplied_by(point.idle_watts).times((1 - utilization) / utilization))
    straight = point.busy_watts * utilization + point.idle_watts.mean * (1 - utilization)
    difference = ((point.watts(utilization) or 0.0) - straight) * point.seconds.mean / utilization
    return linear.shifted(difference) if point.load_watts else linear


def _no_total(tariff: Tariff, parts: CostBreakdown) -> str | None:
    absent = []
    if parts.energy is None:
        absent.append("idle_watts" if tariff.energy_price is not None else "price_per_kwh")
    if parts.capital is None:
        absent.append("capital")
    return f"no total without {' and '.join(absent)}" if absent else None


def _used_defaults(tariff: Tariff) -> tuple[TariffDefault, ...]:
    has_energy = tariff.energy_price is not None and not tariff.includes_power
    has_energy = has_energy or tariff.carbon_intensity_g_per_kwh is not None
    used = {"pue"} if has_energy else set()
    used |= {"life_years", "residual_share", "discount_rate"} if tariff.capital is not None else set()
    used |= {"life_years"} if tariff.embodied_kg_co2e is not None else set()
    return tuple(default for default in tariff.assumed if default.name in used)


def _priced(amount: Interval | None, price: float | None, units: float) -> Interval | None:
    """Return the cost of an amount; `units` converts it to the unit of the price. None if either is unknown."""
    return None if amount is None or price is None else amount.times(price * units)


def _check_not_negative(name: str, value: float) -> None:
    if not 0 <= value < math.inf:
        raise ValueError(f"{name} = {value}: it must be 0 or more, and finite")
