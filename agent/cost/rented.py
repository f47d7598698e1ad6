"""Rented work: the price of a request, and the hours for which instances that follow a demand are billed."""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING

from agent.cost.limits import TariffError
from agent.cost.lines import HOURS_PER_YEAR

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from agent.cost.demand import Demand
    from agent.cost.offers import Offer

SECONDS_PER_HOUR = 3600
_PRICED_TOKENS = 1e6
_EPSILON, _RELATIVE_EPSILON = 1e-9, 1e-12


class UnsuitableOfferError(TariffError):
    """An offer cannot be compared with this profile: the message names the missing value."""


@dataclass(frozen=True, slots=True)
class Mix:
    """The mean tokens of a request, None for work without such tokens; cached input tokens are among the input."""

    input_tokens: float | None = None
    cached_input_tokens: float = 0.0
    output_tokens: float | None = None


@dataclass(frozen=True, slots=True)
class Rental:
    """An offer in requests. `price_per_request` is None for instances that follow the demand.

    `capacity` is the requests per second of an instance; None for an API.
    """

    offer: Offer
    price_per_request: float | None
    capacity: float | None

    def at_full_use(self) -> float:
        """Return the price of a request on an instance that is always busy, or of an API."""
        if self.price_per_request is not None:
            return self.price_per_request
        assert self.capacity is not None  # noqa: S101  an instance has one
        return (self.offer.price_per_hour or 0.0) / (SECONDS_PER_HOUR * self.capacity)


@dataclass(frozen=True, slots=True)
class RentedYear:
    """The rented part of a year: its cost, the share of all requests, billed hours and instances at the peak.

    Hours and instances are None for an API.
    """

    cost: float
    share: float
    hours: float | None = None
    instances: int | None = None


def rental(offer: Offer, mix: Mix) -> Rental:
    """Return an offer in requests of this mix. Raises UnsuitableOfferError if its values do not suffice."""
    if not offer.is_hourly:
        return Rental(offer, _token_price(offer, mix), None)
    capacity = offer.requests_per_second
    if capacity is None:
        assert offer.output_tokens_per_second is not None  # noqa: S101  an instance has one of the two
        if not mix.output_tokens:
            raise UnsuitableOfferError(
                f"offer {offer.name}: its throughput is in output tokens, and the profile has none: give "
                "requests_per_second"
            )
        capacity = offer.output_tokens_per_second / mix.output_tokens
    if offer.utilization is None:
        return Rental(offer, None, capacity)
    price = (offer.price_per_hour or 0.0) / (SECONDS_PER_HOUR * capacity * offer.utilization)
    return Rental(offer, price, capacity)


def _token_price(offer: Offer, mix: Mix) -> float:
    if mix.input_tokens is None and mix.output_tokens is None:
        raise UnsuitableOfferError(f"offer {offer.name}: it has prices of tokens, and the profile has no tokens")
    cached = min(mix.cached_input_tokens, mix.input_tokens or 0.0)
    uncached_price = offer.price_per_million_input_tokens
    cached_price = offer.price_per_million_cached_input_tokens
    amounts = (
        ("input", (mix.input_tokens or 0.0) - cached, uncached_price),
        ("cached_input", cached, uncached_price if cached_price is None else cached_price),
        ("output", mix.output_tokens or 0.0, offer.price_per_million_output_tokens),
    )
    for name, tokens, price in amounts:
        if tokens and price is None:
            raise UnsuitableOfferError(f"offer {offer.name}: price_per_million_{name}_tokens is not given")
    return math.fsum(tokens * (price or 0.0) for _, tokens, price in amounts) / _PRICED_TOKENS


def whole(amount: float) -> int:
    """Return the least whole number that is not below an amount, which may have a rounding error."""
    return math.ceil(amount - max(_EPSILON, _RELATIVE_EPSILON * amount))


@dataclass(frozen=True, slots=True)
class RentedWork:
    """The demand above any level, on one rental, for a year.

    An instance that is rented when the demand exceeds a level is billed as `billed_seconds` of the demand's whole; this
    is computed once for each level, as the instances of all owned fleets need no other.
    """

    rental: Rental
    demand: Demand
    billed_seconds: tuple[float, ...]

    def above(self, owned: float) -> RentedYear:
        """Return the year in which owned machines do up to `owned` requests per second and the rest is rented."""
        levels = self.demand.levels
        rate = math.fsum(share * max(0.0, each - owned) for each, share in levels)
        work = rate * SECONDS_PER_HOUR * HOURS_PER_YEAR
        part = rate / self.demand.mean
        if self.rental.price_per_request is not None:
            return RentedYear(work * self.rental.price_per_request, part)
        counts = [self._instances(each, owned) for each, _ in levels]
        billed = math.fsum(
            (more - fewer) * seconds
            for (fewer, more), seconds in zip(pairwise([0, *counts]), self.billed_seconds, strict=True)
        )
        hours = billed / self.demand.seconds * HOURS_PER_YEAR
        return RentedYear(hours * (self.rental.offer.price_per_hour or 0.0), part, hours, counts[-1])

    def _instances(self, rate: float, owned: float) -> int:
        """Return the instances for the part of a rate above the owned one; a rounding error needs none."""
        assert self.rental.capacity is not None  # noqa: S101  an instance has one
        excess = rate - owned
        return max(1, whole(excess / self.rental.capacity)) if excess > _RELATIVE_EPSILON * rate else 0


def rented_work(rental: Rental, demand: Demand) -> RentedWork:
    """Return the work that a rental can take over from owned machines."""
    if rental.price_per_request is not None:
        return RentedWork(rental, demand, ())
    step, load = rental.offer.step_seconds, rental.offer.load_seconds or 0.0
    levels = [rate for rate, _ in demand.levels]
    return RentedWork(
        rental,
        demand,
        tuple(min(demand.seconds, _billed(_spans(demand, rate), step, load)) for rate in levels),
    )


def _spans(demand: Demand, level: float) -> list[tuple[float, float]]:
    """Return the times in which the demand reaches a level, from the start of the longest time below it."""
    spans: list[tuple[float, float]] = []
    start = 0.0
    for step in demand.steps:
        end = start + step.seconds
        if step.rate >= level:
            if spans and spans[-1][1] == start:
                spans[-1] = (spans[-1][0], end)
            else:
                spans.append((start, end))
        start = end
    return _rotated(spans, demand.seconds)


def _rotated(spans: Sequence[tuple[float, float]], whole_seconds: float) -> list[tuple[float, float]]:
    """Return spans of a time that repeats, beginning after the longest gap; a span over its end is one span."""
    following = [*spans[1:], (spans[0][0] + whole_seconds, 0.0)]
    gaps = [after[0] - span[1] for span, after in zip(spans, following, strict=True)]
    first = (gaps.index(max(gaps)) + 1) % len(spans)
    order = [*spans[first:], *((start + whole_seconds, end + whole_seconds) for start, end in spans[:first])]
    joined = order[:1]
    for start, end in order[1:]:
        if start == joined[-1][1]:
            joined[-1] = (joined[-1][0], end)
        else:
            joined.append((start, end))
    return joined


def _billed(spans: Iterable[tuple[float, float]], step: float, load: float) -> float:
    """Return the billed time of one instance: rented `load` before a span, for whole steps, kept if that is not dearer.

    The choice is optimal: if two ways cost the same, the one that is paid for longer is never worse later.
    """
    total, paid_until = 0.0, -math.inf
    for start, end in spans:
        begin = start - load
        new = whole((end - begin) / step) * step
        more = max(0, whole((end - paid_until) / step)) * step if paid_until > -math.inf else math.inf
        if (more, -(paid_until + more)) <= (new, -(begin + new)):
            total, paid_until = total + more, paid_until + more
        else:
            total, paid_until = total + new, begin + new
    return total
