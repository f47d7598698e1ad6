"""Finds what no measurement can have: figures with which no cost can be computed, and a point that occurs twice."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from agent.profiling.document.moment import moment_of

if TYPE_CHECKING:
    from collections.abc import Iterator

    from agent.cost.interval import Interval
    from agent.profiling.records import Document, Point, UncertainValue

_LARGEST = 1e15
"""More than any power, energy or rate, and small enough that no sum of them overflows."""
_LEAST_RATE, _ROUNDING = 1e-9, 1e-9
_YEARS = (1970, 2100)


class Impossible(NamedTuple):
    """A place in a document, as a JSONPath such as `$.points[0].repeats`, and the reason."""

    path: str
    reason: str


def impossible_figures(document: Document) -> Iterator[Impossible]:
    """Yield the places of impossible figures: the time, powers, energies and rates; and of points that occur twice."""
    try:
        year = moment_of(document.created).year
    except (ValueError, OverflowError):
        year = 0
    if not _YEARS[0] <= year < _YEARS[1]:
        yield Impossible("$.created", "it is not a time from 1970 to 2099")
    for number, baseline in enumerate(document.baselines):
        if baseline.watts is not None:
            yield from _amount(f"$.baselines[{number}].watts", baseline.watts)
    first: dict[frozenset[tuple[str, object]], int] = {}
    for number, point in enumerate(document.points):
        earlier = first.setdefault(frozenset(point.parameters.items()), number)
        if earlier != number:
            yield Impossible(f"$.points[{number}]", f"the point {point.name} is already $.points[{earlier}]")
        yield from _of_point(f"$.points[{number}]", point)


def _of_point(path: str, point: Point) -> Iterator[Impossible]:
    """Yield the impossible figures of a point; one without energy may have no requests."""
    goodput = point.serving.goodput if point.serving else None
    if goodput is not None and not 0 <= goodput.attained <= 1:
        yield Impossible(f"{path}.serving.goodput.attained", "it is not a share from 0 to 1")
    if goodput is not None and goodput.met and not goodput.attained:
        yield Impossible(f"{path}.serving.goodput.met", "no request met the service level")
    if point.power is not None:
        yield from _amount(f"{path}.power.mean_watts", point.power.mean_watts)
    if point.energy is None:
        return
    yield from _amount(f"{path}.energy.joules_per_inference.total", point.energy.joules_per_inference.total)
    if not 0 < point.energy.repeats.count <= _LARGEST:
        yield Impossible(f"{path}.energy.repeats.count", "an energy has at least one repeat")
    if not _LEAST_RATE <= point.inferences_per_second.mean <= _LARGEST:
        yield Impossible(f"{path}.inferences_per_second.mean", "work with energy has a rate from 1e-9 to 1e15")
    rates: tuple[tuple[str, Interval | None], ...] = (
        ("input_tokens_per_second", point.input_tokens_per_second),
        ("output_tokens_per_second", point.output_tokens_per_second),
    )
    for name, rate in rates:
        if rate is not None and not 0 <= rate.mean <= _LARGEST:
            yield Impossible(f"{path}.{name}.mean", "it is not from 0 to 1e15")


def _amount(path: str, amount: UncertainValue) -> Iterator[Impossible]:
    slack = _ROUNDING * amount.mean
    if not (0 <= amount.lower <= amount.mean + slack and amount.mean - slack <= amount.upper <= _LARGEST):
        yield Impossible(path, "lower, mean and upper do not rise from 0 to 1e15")
