"""The spread of a cost by draws of its uncertain inputs (Monte Carlo); needs NumPy.

The mean of repeats is drawn by Student's t, the bounds of sensors and the ranges of a tariff evenly. There is one draw
for each sensor, shared by all points and idle powers on it, and one for each range, shared by all machines under the
tariff: errors that they have in common cancel in a comparison.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from agent.cost.lines import HOURS_PER_MONTH, HOURS_PER_YEAR, WATTS_PER_KILOWATT
from agent.cost.time_of_day import mean_price

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    from agent.cost.tariff import Tariff
    from agent.cost.uncertain import MachineInputs, UncertainAmount

    Array = NDArray[np.float64]

COUNT = 100_000
_SECONDS_PER_HOUR = 3600
_EDGES = (0.025, 0.975)


@dataclass(frozen=True, slots=True)
class HourlyDraws:
    """The draws of an HourlyModel: each number is an array of draws, or a float if it is certain."""

    fixed_per_hour: Array
    price_per_kwh: Array
    overhead: Array
    loads: tuple[float, ...]
    load_watts: tuple[Array, ...]
    capacity: Array

    def watts(self, utilization: Any) -> Array:
        """Return the power at a utilization, a float or an array of draws, in watts."""
        above = np.clip(np.searchsorted(self.loads, utilization), 1, len(self.loads) - 1)
        loads, watts = np.asarray(self.loads), np.stack(np.broadcast_arrays(*self.load_watts))
        share = (utilization - loads[above - 1]) / (loads[above] - loads[above - 1])
        if np.ndim(above) == 0:
            low, high = watts[above - 1], watts[above]
        else:
            draws = np.arange(len(above))
            low, high = watts[above - 1, draws], watts[above, draws]
        return np.asarray(low * (1 - share) + high * share)

    def per_hour(self, utilization: Any) -> Array:
        """Return the cost of an hour at a utilization."""
        energy = self.price_per_kwh * self.overhead * self.watts(utilization) / WATTS_PER_KILOWATT
        return np.asarray(self.fixed_per_hour + energy)

    def per_unit(self, utilization: Any) -> Array:
        """Return the cost of a unit of work at a utilization; infinite in a draw without any capacity."""
        with np.errstate(divide="ignore"):
            units = _SECONDS_PER_HOUR * np.maximum(self.capacity, 0.0) * utilization
            return np.asarray(np.where(units > 0, self.per_hour(utilization) / units, np.inf))


@dataclass(slots=True)
class Draws:
    """The draws of all uncertain inputs of a decision, the same for every machine and option in it."""

    count: int = COUNT
    seed: int = 0
    _sensors: dict[str, Array] = field(default_factory=dict)
    _fields: dict[str, Array] = field(default_factory=dict)
    _random: np.random.Generator = field(init=False)

    def __post_init__(self) -> None:
        self._random = np.random.default_rng(self.seed)

    def amount(self, uncertain: UncertainAmount) -> Array:
        """Return the draws of a measured amount."""
        drawn = np.full(self.count, float(uncertain.mean))
        if uncertain.standard_error and uncertain.degrees:
            drawn += uncertain.standard_error * self._random.standard_t(uncertain.degrees, self.count)
        if uncertain.sensors:
            error = sum((share * self._sensor(name) for name, share in uncertain.sensors), np.zeros(self.count))
            drawn += np.where(error < 0, error * uncertain.below, error * uncertain.above)
        return drawn

    def value(self, tariff: Tariff, name: str) -> Any:
        """Return the value of a field of a tariff, as draws if it has a range; None without a value."""
        found = next((each for each in tariff.ranges if each.name == name), None)
        if found is None:
            return getattr(tariff, name)
        key = f"{tariff.site} {name}"
        if key not in self._fields:
            self._fields[key] = self._random.random(self.count)
        return found.low + (found.high - found.low) * self._fields[key]

    def machine(self, tariff: Tariff, inputs: MachineInputs) -> HourlyDraws:
        """Return the draws of a machine under a tariff with a price of energy and a capital or a rent.

        Without an idle power only full utilization has a meaning.
        """
        values = {name: self.value(tariff, name) for name in tariff.__struct_fields__}
        overhead = _overhead(values)
        capacity = self.amount(inputs.rate)
        watts = [(0.0, np.zeros(self.count) if inputs.idle_watts is None else self.amount(inputs.idle_watts))]
        watts += [(load, self.amount(power)) for load, power in inputs.loads]
        watts.append((1.0, self.amount(inputs.joules) * capacity))
        watts = [(load, np.maximum(each, 0.0)) for load, each in watts]
        charge = 0.0
        if values["demand_charge_per_kw_month"] is not None and not tariff.includes_power:
            per_watt = values["demand_charge_per_kw_month"] * overhead / WATTS_PER_KILOWATT / HOURS_PER_MONTH
            charge = per_watt * watts[-1][1]
        return HourlyDraws(
            np.asarray(_fixed(values) + charge),
            np.asarray(_energy_price(tariff, values)),
            np.asarray(overhead),
            tuple(load for load, _ in watts),
            tuple(each for _, each in watts),
            capacity,
        )

    def _sensor(self, name: str) -> Array:
        if name not in self._sensors:
            self._sensors[name] = self._random.uniform(-1, 1, self.count)
        return self._sensors[name]


def bounds(draws: Any) -> tuple[float, float | None]:
    """Return the ends of the central 95 % of draws; the upper one is None if it is infinite."""
    low, high = np.quantile(draws, _EDGES, method="nearest")
    return float(low), float(high) if np.isfinite(high) else None


def _overhead(values: Mapping[str, Any]) -> Any:
    cooling = values["cooling_overhead"]
    facility = values["pue"] if cooling is None else 1 + cooling + values["distribution_loss"]
    return facility * (1.0 if values["wall_factor"] is None else values["wall_factor"])


def _energy_price(tariff: Tariff, values: Mapping[str, Any]) -> Any:
    """Return the mean price of energy; a range of `price_per_kwh` counts at the hours outside all periods."""
    if tariff.includes_power or tariff.price_per_kwh is None:
        return tariff.energy_price or 0.0
    in_periods = mean_price(tariff.price_periods, 0.0)
    return in_periods + (mean_price(tariff.price_periods, 1.0) - in_periods) * values["price_per_kwh"]


def _fixed(values: Mapping[str, Any]) -> Any:
    """Return the cost of an hour without energy, as `machine_lines` defines it."""
    yearly = _or_zero(values["licences_per_year"]) + _or_zero(values["staff_per_year"])
    if values["price_per_hour"] is not None:
        return values["price_per_hour"] + yearly / HOURS_PER_YEAR
    rate, life, residual = values["discount_rate"], values["life_years"], values["residual_share"]
    share = (1 - residual) * _recovery(life, rate) + residual * rate + _or_zero(values["maintenance_share"])
    kilowatts = _or_zero(values["provisioned_watts"]) / WATTS_PER_KILOWATT
    facility = _or_zero(values["facility_per_kw_month"]) * kilowatts / HOURS_PER_MONTH
    return (values["capital"] * share + yearly) / HOURS_PER_YEAR + facility


def _recovery(life: Any, rate: Any) -> Any:
    """Return the capital recovery factor of arrays; 1 / life where there is no interest."""
    tiny = np.asarray(rate * (life + 1)) < np.finfo(float).eps
    safe = np.where(tiny, 1.0, rate)
    return np.where(tiny, 1 / np.asarray(life), safe / -np.expm1(-life * np.log1p(safe)))


def _or_zero(value: Any) -> Any:
    return 0.0 if value is None else value
