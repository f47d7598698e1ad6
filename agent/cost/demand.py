"""The demand for requests over time: a number, a daily curve, or the load that a server had."""

from __future__ import annotations

import csv
import math
import re
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

DAY_SECONDS = 86_400
_FINE_SECONDS = 300
"""The longest step in which a peak cannot hide."""
_LEAST_PEAK, _LARGEST_PEAK = 1e-9, 1e15
"""Between them no cost of a request and no sum overflows."""
_SAMPLE = re.compile(r"(\d+(?:\.\d*)?(?:[eE][+-]?\d+)?)/(s|min|h|day)", re.ASCII)
_UNIT_SECONDS = {"s": 1, "min": 60, "h": 3600, "day": DAY_SECONDS}
_CLOCK = re.compile(r"(\d\d?):(\d\d)(?::(\d\d))?", re.ASCII)
_COLUMNS = {"requests_per_second": 1, "requests_per_minute": 60, "requests_per_hour": 3600}


class DemandError(ValueError):
    """A demand is invalid: the message names the place, the value and the remedy."""


@dataclass(frozen=True, slots=True)
class Step:
    """A time in which the demand is constant, in requests per second."""

    seconds: float
    rate: float


@dataclass(frozen=True)  # without slots, in which nothing can be cached
class Demand:
    """The steps of a demand in the order of time; the whole repeats. `notes` are sentences about its limits.

    `start_seconds` is the local time of the day at which the first step begins, None if the steps are not those of a
    day. `price_factors` are the prices of energy in the steps over their mean; none: the price is the same in all.
    Raises DemandError unless every step has a length above 0 and a rate from 0, and the highest
    is from 1e-9 to 1e15.
    """

    steps: tuple[Step, ...]
    origin: Literal["given", "measured", "assumed"]
    notes: tuple[str, ...] = ()
    start_seconds: int | None = None
    price_factors: tuple[float, ...] = ()

    def __post_init__(self) -> None:
        for step in self.steps:
            if not (0 < step.seconds < math.inf and 0 <= step.rate < math.inf):
                shown = f"{step.seconds:g} s with {step.rate:g} requests per second"
                raise DemandError(f"a step of {shown} has no length, or a rate that is negative or not finite")
        if not any(step.rate for step in self.steps):
            raise DemandError("the demand is 0 at all times: give at least one rate above 0")
        if not _LEAST_PEAK <= self.peak <= _LARGEST_PEAK:
            raise DemandError(f"its highest rate is {self.peak:g} requests per second: it must be from 1e-9 to 1e15")

    @cached_property
    def seconds(self) -> float:
        """The length of the whole, after which it repeats."""
        return math.fsum(step.seconds for step in self.steps)

    @cached_property
    def peak(self) -> float:
        """The highest rate, in requests per second."""
        return max(step.rate for step in self.steps)

    @cached_property
    def mean(self) -> float:
        """The mean rate, in requests per second."""
        return math.fsum(step.seconds * step.rate for step in self.steps) / self.seconds

    @cached_property
    def levels(self) -> tuple[tuple[float, float], ...]:
        """Each rate once with its share of the time, rising."""
        return self._shares([1.0] * len(self.steps))

    @cached_property
    def paid_levels(self) -> tuple[tuple[float, float], ...]:
        """Each rate once with its share of the time at the price of energy then, over the mean price, rising."""
        return self._shares(self.price_factors) if self.price_factors else self.levels

    def _shares(self, factors: Sequence[float]) -> tuple[tuple[float, float], ...]:
        shares: dict[float, float] = {}
        for step, factor in zip(self.steps, factors, strict=True):
            shares[step.rate] = shares.get(step.rate, 0.0) + step.seconds * factor
        whole = self.seconds
        return tuple((rate, shares[rate] / whole) for rate in sorted(shares))

    def times(self, factor: float) -> Demand:
        """Return the demand with all rates multiplied by a factor above 0."""
        return replace(self, steps=tuple(Step(step.seconds, step.rate * factor) for step in self.steps))


def constant(rate: float, origin: Literal["given", "assumed"] = "given", notes: tuple[str, ...] = ()) -> Demand:
    """Return a constant demand, in requests per second."""
    return Demand((Step(DAY_SECONDS, rate),), origin, notes)


def parse_rate(text: str) -> Demand:
    """Return the constant demand of a text such as 40/s, 90000/h or 2e6/day. Raises DemandError."""
    match = _SAMPLE.fullmatch(text.strip().replace(" ", ""))
    if not match:
        raise DemandError(
            f"{text[:80]!r} is not a demand: give requests such as 40/s, 90000/h or 2e6/day, a CSV file of a day, or "
            "measured:NAME for the load of a server below [[serving]]"
        )
    rate = float(match[1]) / _UNIT_SECONDS[match[2]]
    if math.isinf(rate):
        raise DemandError(f"{text[:80]!r} is too much: it must be from 1e-9 to 1e15 requests per second")
    return constant(rate)


def parse_day(text: str) -> Demand:
    """Return the demand of a day from CSV: a column `time` (08:30) and one such as `requests_per_second`.

    A rate holds until the time of the next row, the last one until the first of the next day. Raises DemandError, which
    names the line.
    """
    rows = [(number, row) for number, row in enumerate(csv.reader(text.splitlines()), 1) if any(map(str.strip, row))]
    if len(rows) < 2:  # noqa: PLR2004  the heading and a row
        raise DemandError("it has no rows: give a heading such as time,requests_per_second and one row a time")
    heading = [cell.strip().lower() for cell in rows[0][1]]
    if len(heading) != 2 or heading[0] != "time" or heading[1] not in _COLUMNS:  # noqa: PLR2004
        shown = ",".join(heading)[:80]
        raise DemandError(f"line {rows[0][0]}: {shown!r} is not time and one of {', '.join(_COLUMNS)}")
    times = [_row(number, row, _COLUMNS[heading[1]]) for number, row in rows[1:]]
    for (number, _), (before, _), (after, _) in zip(rows[2:], times, times[1:], strict=False):
        if after <= before:
            raise DemandError(f"line {number}: its time is not after that of the row before")
    ends = [*(second for second, _ in times[1:]), times[0][0] + DAY_SECONDS]
    steps = tuple(Step(end - start, rate) for (start, rate), end in zip(times, ends, strict=True))
    return Demand(steps, "given", _coarse(steps), times[0][0])


def with_prices(demand: Demand, day: Sequence[tuple[float, float, float]]) -> Demand:
    """Return the demand of a day with the prices of energy at its times; another demand is returned as it is.

    `day` has the parts of a day in order: their first and last hour, and the price in them over the mean price.
    """
    if demand.start_seconds is None or len(demand.steps) < 2:  # noqa: PLR2004  one step has the mean price
        return demand
    steps, factors, now = [], [], float(demand.start_seconds)
    for step in demand.steps:
        end = now + step.seconds
        for offset in (0, DAY_SECONDS):
            for first, last, factor in day:
                start, stop = max(now, first * 3600 + offset), min(end, last * 3600 + offset)
                if start < stop:
                    steps.append(Step(stop - start, step.rate))
                    factors.append(factor)
        now = end
    return replace(demand, steps=tuple(steps), price_factors=tuple(factors))


def _row(number: int, row: Sequence[str], unit_seconds: int) -> tuple[int, float]:
    """Return the second of the day and the rate of a row."""
    cells = [cell.strip() for cell in row]
    clock = _CLOCK.fullmatch(cells[0])
    if len(cells) != 2 or not clock:  # noqa: PLR2004
        raise DemandError(f"line {number}: {','.join(cells)[:80]!r} is not a time and a rate such as 08:30,12.5")
    hour, minute, second = int(clock[1]), int(clock[2]), int(clock[3] or 0)
    if hour >= 24 or minute >= 60 or second >= 60:  # noqa: PLR2004
        raise DemandError(f"line {number}: {cells[0]} is not a time of the day")
    try:
        rate = float(cells[1])
    except ValueError:
        raise DemandError(f"line {number}: {cells[1][:80]!r} is not a number") from None
    if not 0 <= rate < math.inf:
        raise DemandError(f"line {number}: the rate {cells[1][:80]} is negative or not finite")
    return hour * 3600 + minute * 60 + second, rate / unit_seconds


def _coarse(steps: Sequence[Step]) -> tuple[str, ...]:
    longest = max(step.seconds for step in steps)
    if longest <= _FINE_SECONDS:
        return ()
    return (f"a step of the demand lasts {longest / 60:.0f} minutes: shorter peaks do not show in it",)


def measured(hours: Sequence[Mapping[float, int]], bin_seconds: float, per_request: float = 1.0) -> Demand:
    """Return the demand of measured hours in the order of time.

    Each hour has the number of bins of `bin_seconds` by the upper limit of their rate; a rate of tokens becomes one of
    requests by the tokens `per_request`. The order of the bins within an hour is unknown: they are taken as one rise.
    Raises DemandError without a request.
    """
    steps = tuple(
        Step(hour[rate] * bin_seconds, rate / per_request) for hour in hours for rate in sorted(hour) if hour[rate]
    )
    return Demand(
        steps,
        "measured",
        (
            "rates are the upper limits of their levels, up to 9 % above the measured rate",
            "the order of rates within an hour is unknown: each hour is taken as one rise",
        ),
    )
