"""Sums the samples of channels up minute by minute; pure."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from itertools import groupby, pairwise
from typing import TYPE_CHECKING

from store.records import Rollup

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

MINUTE_NS = 60 * 10**9
LONGEST_GAP_NS = MINUTE_NS
"""Power is not integrated over a longer time without a sample; a counter has counted all the same."""

Sample = tuple[int, float]
"""The middle of a read in nanoseconds of Unix time, and the value, which is finite."""


@dataclass(frozen=True, slots=True)
class Subject:
    """Whose samples are summed up: ids of the store, and the metric."""

    channel_id: int
    recording_id: int
    metric: str


def finite(times_ns: Sequence[int], values: Sequence[float]) -> list[Sample]:
    """Return the samples without those that are no number, or no finite one."""
    return [sample for sample in zip(times_ns, values, strict=True) if math.isfinite(sample[1])]


def roll_up(subject: Subject, samples: Sequence[Sample], before: Sample | None) -> Iterator[Rollup]:
    """Return a roll-up for each minute with samples, which are in time order; `before` is the sample before the first.

    The energy of a minute is what came since the last sample of an earlier one, so that minutes add up without loss:
    the difference of a counter of joules (a fall counts nothing), the trapezoids under watts.
    """
    for minute, group in groupby(samples, lambda sample: sample[0] // MINUTE_NS):
        of_minute = list(group)
        values = [value for _, value in of_minute]
        joules = _joules(subject.metric, of_minute if before is None else [before, *of_minute])
        low, high = min(values), max(values)
        mean = min(max(sum(values) / len(values), low), high)
        yield Rollup(minute, subject.channel_id, subject.recording_id, len(values), low, high, mean, joules)
        before = of_minute[-1]


def together(one: Rollup, other: Rollup) -> Rollup:
    """Return the roll-up of a minute of which two parts were summed up apart."""
    samples = one.samples + other.samples
    low, high = min(one.lowest, other.lowest), max(one.highest, other.highest)
    mean = one.mean * (one.samples / samples) + other.mean * (other.samples / samples)
    joules = [each for each in (one.energy_joules, other.energy_joules) if each is not None]
    return replace(
        one,
        samples=samples,
        lowest=low,
        highest=high,
        mean=min(max(mean, low), high),
        energy_joules=sum(joules) if joules else None,
    )


def _joules(metric: str, samples: Sequence[Sample]) -> float | None:
    if metric == "energy_joules":
        parts = [max(0.0, after - value) for (_, value), (_, after) in pairwise(samples)]
    elif metric == "power_watts":
        parts = [
            (value + after) / 2 * (until_ns - at_ns) / 1e9
            for (at_ns, value), (until_ns, after) in pairwise(samples)
            if 0 <= until_ns - at_ns <= LONGEST_GAP_NS
        ]
    else:
        return None
    joules = math.fsum(parts) if parts and all(map(math.isfinite, parts)) else math.nan
    return joules if math.isfinite(joules) else None
