"""The cost of an hour of a machine by its utilization, and the cost of a unit of its work."""

from __future__ import annotations

import math
from bisect import bisect_left
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

_SECONDS_PER_HOUR = 3600
_WATTS_PER_KILOWATT = 1000


@dataclass(frozen=True, slots=True)
class HourlyModel:
    """A machine at a load, as plain numbers in one currency.

    `fixed_per_hour` is the cost of an hour without energy, `overhead` the energy of the facility over that of the
    machine (PUE), `curve` the power of the machine in watts at rising utilizations from 0 (idle) to 1 (busy), linear in
    between, and `capacity` the units of work (requests, output tokens) that the machine does in a second at utilization
    1. Raises ValueError if a number is negative or not finite, the capacity is 0, the overhead less than 1, or the
    curve does not rise from utilization 0 to 1.
    """

    fixed_per_hour: float
    price_per_kwh: float
    overhead: float
    curve: tuple[tuple[float, float], ...]
    capacity: float

    def __post_init__(self) -> None:
        numbers = (self.fixed_per_hour, self.price_per_kwh, self.capacity, *(watts for _, watts in self.curve))
        if not all(0 <= number < math.inf for number in numbers):
            raise ValueError(f"{self} has a number that is negative or not finite")
        if self.capacity == 0 or not 1 <= self.overhead < math.inf:
            raise ValueError(f"{self}: the capacity must be more than 0 and the overhead 1 or more")
        loads = [load for load, _ in self.curve]
        if loads[:1] != [0] or loads[-1:] != [1] or any(a >= b for a, b in pairwise(loads)):
            raise ValueError(f"the curve {self.curve} does not rise from utilization 0 to 1")

    def watts(self, utilization: float) -> float:
        """Return the power of the machine in watts. Raises ValueError unless the utilization is from 0 to 1."""
        if not 0 <= utilization <= 1:
            raise ValueError(f"utilization = {utilization}: it must be from 0 to 1")
        return power_at(self.curve, utilization)

    def energy_per_hour(self, utilization: float) -> float:
        """Return the cost of the energy of an hour, overhead included. Raises ValueError as `watts` does."""
        return self.price_per_kwh * self.overhead * self.watts(utilization) / _WATTS_PER_KILOWATT

    def per_hour(self, utilization: float) -> float:
        """Return the cost of an hour, H(u). Raises ValueError as `watts` does."""
        return self.fixed_per_hour + self.energy_per_hour(utilization)

    def per_unit(self, utilization: float) -> float:
        """Return the cost of a unit of work, H(u) / (3600 X u). Raises ValueError unless 0 < utilization <= 1."""
        if not 0 < utilization <= 1:
            raise ValueError(f"utilization = {utilization}: it must be more than 0 and at most 1")
        return self.per_hour(utilization) / (_SECONDS_PER_HOUR * self.capacity * utilization)


def power_at(curve: Sequence[tuple[float, float]], utilization: float) -> float:
    """Return the watts of a curve of (utilization, watts) at a utilization, linear between its points."""
    above = min(max(1, bisect_left(curve, utilization, key=lambda place: place[0])), len(curve) - 1)
    (low, low_watts), (high, high_watts) = curve[above - 1 : above + 1]
    share = (utilization - low) / (high - low)
    return low_watts * (1 - share) + high_watts * share
