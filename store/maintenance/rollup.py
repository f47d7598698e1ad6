"""Aggregates the samples of channels by minute; pure."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from itertools import compress, groupby, pairwise
from operator import add, le, mul, sub
from typing import TYPE_CHECKING

from store.records import Rollup

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

MINUTE_NS = 60 * 10**9
MAX_GAP_NS = MINUTE_NS
"""The longest gap between samples over which power is integrated; a counter has counted across any gap."""

Sample = tuple[int, float]
"""The middle of a read in nanoseconds of Unix time, and the value, which is finite."""


@dataclass(frozen=True, slots=True)
class RollupKey:
    """The owner of aggregated samples: ids of the store, and the metric."""

    channel_id: int
    recording_id: int
    metric: str


@dataclass(frozen=True, slots=True)
class SampleTimes:
    """The times of reads in order: (minute, first position, position after the last), and seconds between two reads.

    The seconds are 0 if the gap is too long for the power in it to be known, and if the clock stepped back.
    """

    times_ns: Sequence[int]
    minutes: tuple[tuple[int, int, int], ...]
    seconds: Sequence[float]

    @classmethod
    def of(cls, times_ns: Sequence[int]) -> SampleTimes:
        """Return the moments of the middles of reads, in nanoseconds of Unix time."""
        minutes, start = [], 0
        for minute, group in groupby(times_ns, MINUTE_NS.__rfloordiv__):
            stop = start + len(list(group))
            minutes.append((minute, start, stop))
            start = stop
        steps = map(sub, times_ns[1:], times_ns)
        return cls(times_ns, tuple(minutes), [step / 1e9 if 0 < step <= MAX_GAP_NS else 0.0 for step in steps])


def canonical_channels(layouts: Iterable[Sequence[int]]) -> list[list[bool]]:
    """Return the ids of the channels that each layout of a recording aggregates: those that no earlier layout has.

    Two probes may read the same quantity of a device. Each has all of it: adding both would double the energy.
    """
    taken: set[int] = set()
    found = []
    for layout in layouts:
        own = []
        for channel in layout:
            own.append(channel not in taken)
            taken.add(channel)
        found.append(own)
    return found


def roll_up(
    subject: RollupKey, moments: SampleTimes, values: Sequence[float], before: Sample | None
) -> tuple[list[Rollup], Sample | None]:
    """Return a roll-up for each minute with finite samples, and the last sample; `before` is the one before the first.

    The energy of a minute counts from the last sample of the previous one, so that minutes add up without loss: the
    difference of a counter of joules (a fall counts nothing), the trapezoids under watts. The ticks of a layout must be
    in time order, as a sampling thread reads them: energy across a tick that is stored late is not corrected.
    """
    if not all(map(math.isfinite, values)):
        finite = [math.isfinite(value) for value in values]
        moments, values = SampleTimes.of(list(compress(moments.times_ns, finite))), list(compress(values, finite))
    found = []
    for minute, start, stop in moments.minutes:
        part = values[start:stop]
        low, high = min(part), max(part)
        mean = min(max(sum(part) / len(part), low), high)
        joules = _joules(subject.metric, part, (moments.times_ns[start], moments.seconds[start : stop - 1]), before)
        found.append(Rollup(minute, subject.channel_id, subject.recording_id, len(part), low, high, mean, joules))
        before = (moments.times_ns[stop - 1], part[-1])
    return found, before


def merge_rollups(one: Rollup, other: Rollup) -> Rollup:
    """Return the roll-up of a minute from two parts that were aggregated separately."""
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


def _joules(
    metric: str, values: Sequence[float], times: tuple[int, Sequence[float]], before: Sample | None
) -> float | None:
    """Return the energy from the sample `before` to the last of `values`; `times`: the first's, and seconds between."""
    first_ns, seconds = times
    if before is not None:
        elapsed_ns = first_ns - before[0]
        seconds = [elapsed_ns / 1e9 if 0 < elapsed_ns <= MAX_GAP_NS else 0.0, *seconds]
        values = [before[1], *values]
    if len(values) == 1:
        return None
    if metric == "energy_joules":
        joules = _counter_increase(values)
    elif metric == "power_watts":
        joules = sum(map(mul, map(add, values, values[1:]), seconds)) / 2
    else:
        return None
    return joules if math.isfinite(joules) else None


def _counter_increase(values: Sequence[float]) -> float:
    if all(map(le, values, values[1:])):
        return values[-1] - values[0]
    return sum(max(0.0, after - value) for value, after in pairwise(values))
