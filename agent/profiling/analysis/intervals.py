"""Means of repeats with their intervals; pure."""

from __future__ import annotations

from typing import TYPE_CHECKING

from agent.cost.interval import Interval
from agent.profiling.analysis.sequential import STUDENT
from agent.profiling.analysis.statistics import summarize
from agent.profiling.records import UncertainValue

if TYPE_CHECKING:
    from collections.abc import Sequence

    from agent.energy.bounds import Energy
    from agent.energy.provenance import Provenance
    from agent.profiling.analysis.sequential import Widening


def interval(values: Sequence[float], widening: Widening = STUDENT) -> Interval:
    """Return the mean of repeats with its 95 % interval; the lower bound is at least 0."""
    summary = summarize(values)
    if summary.upper is None:
        return Interval(summary.mean, None, None)
    half = widening.half_width(summary)
    return Interval(summary.mean, max(0.0, summary.mean - half), summary.mean + half)


def quantity(energies: Sequence[Energy], source: Provenance, widening: Widening = STUDENT) -> UncertainValue:
    """Return the mean of repeats with its 95 % interval, widened on each side by the mean bound of the sensors."""
    summary = summarize([energy.joules for energy in energies])
    half = widening.half_width(summary)
    below = sum(energy.joules - energy.lower for energy in energies) / len(energies)
    above = sum(energy.upper - energy.joules for energy in energies) / len(energies)
    return UncertainValue(summary.mean, max(0.0, summary.mean - half - below), summary.mean + half + above, source)


def token_rate(tokens: Sequence[float], rates: Sequence[float], widening: Widening = STUDENT) -> Interval | None:
    """Return tokens per second from the tokens of an inference and the inferences per second, by repeat.

    None for a workload without tokens.
    """
    if not any(tokens):
        return None
    return interval([count * rate for count, rate in zip(tokens, rates, strict=True)], widening)


def per_token(
    totals: Sequence[Energy], tokens: Sequence[float], source: Provenance, widening: Widening = STUDENT
) -> UncertainValue | None:
    """Return the energy per token from the energy and the tokens of an inference, by repeat; None without tokens."""
    if not all(tokens):
        return None
    return quantity([total.times(1 / count) for total, count in zip(totals, tokens, strict=True)], source, widening)
