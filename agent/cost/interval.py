"""A number with its uncertainty, and the propagation through sums and products."""

from __future__ import annotations

import math

import msgspec


class Interval(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A mean with its bounds; a bound is None if that side is unbounded.

    Raises ValueError if a number is not finite or the three are not in order.
    """

    mean: float
    lower: float | None = None
    upper: float | None = None

    def __post_init__(self) -> None:
        mean, lower, upper = self.mean, self.lower, self.upper
        bounds = (0.0 if lower is None else lower, 0.0 if upper is None else upper)
        if not (math.isfinite(mean) and math.isfinite(bounds[0]) and math.isfinite(bounds[1])):
            raise ValueError(f"{self} is not finite")
        if (lower is not None and lower > mean) or (upper is not None and upper < mean):
            raise ValueError(f"{self} is out of order")

    @classmethod
    def exact(cls, value: float) -> Interval:
        """Return the interval of an exact number."""
        return cls(value, value, value)

    def times(self, factor: float) -> Interval:
        """Return it times a factor from 0 on."""
        return Interval(self.mean * factor, _product(self.lower, factor), _product(self.upper, factor))

    def shifted(self, by: float) -> Interval:
        """Return it with all three moved by a number, the lower bound at most to 0 and none above the mean."""
        mean = self.mean + by
        lower = None if self.lower is None else min(mean, max(0.0, self.lower + by))
        return Interval(mean, lower, None if self.upper is None else max(mean, self.upper + by))

    def multiplied_by(self, other: Interval) -> Interval:
        """Return the product with another interval, neither below 0, with the bounds of the worst case."""
        return Interval(
            self.mean * other.mean,
            None if other.lower is None else _product(self.lower, other.lower),
            None if other.upper is None else _product(self.upper, other.upper),
        )

    def plus(self, other: Interval) -> Interval:
        """Return the sum, with the bounds of the worst case."""
        return Interval(self.mean + other.mean, _sum(self.lower, other.lower), _sum(self.upper, other.upper))


def _product(bound: float | None, factor: float) -> float | None:
    return None if bound is None else bound * factor


def _sum(one: float | None, other: float | None) -> float | None:
    return None if one is None or other is None else one + other
