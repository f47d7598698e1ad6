"""A number with its error bar, and how the bar goes through a sum and a product."""

from __future__ import annotations

import math

import msgspec


class Interval(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A mean and what bounds it; a bound is None where nothing is known to bound that side.

    Raises ValueError if a number is not finite or the three are not in order.
    """

    mean: float
    lower: float | None = None
    upper: float | None = None

    def __post_init__(self) -> None:
        known = [value for value in (self.lower, self.mean, self.upper) if value is not None]
        if not all(map(math.isfinite, known)):
            raise ValueError(f"{self} is not finite")
        if known != sorted(known):
            raise ValueError(f"{self} is out of order")

    @classmethod
    def exact(cls, value: float) -> Interval:
        """Return the interval of a number that is taken as it is."""
        return cls(value, value, value)

    def times(self, factor: float) -> Interval:
        """Return it multiplied by a factor that is not negative."""
        return Interval(self.mean * factor, _product(self.lower, factor), _product(self.upper, factor))

    def multiplied_by(self, other: Interval) -> Interval:
        """Return the product with another interval, neither below 0, bounded by both at their worst together."""
        return Interval(
            self.mean * other.mean,
            None if other.lower is None else _product(self.lower, other.lower),
            None if other.upper is None else _product(self.upper, other.upper),
        )

    def plus(self, other: Interval) -> Interval:
        """Return the sum, bounded by both at their worst together."""
        return Interval(self.mean + other.mean, _sum(self.lower, other.lower), _sum(self.upper, other.upper))


def _product(bound: float | None, factor: float) -> float | None:
    return None if bound is None else bound * factor


def _sum(one: float | None, other: float | None) -> float | None:
    return None if one is None or other is None else one + other
