"""Finds sensors that show the same counter or meter under several names, by their values; pure.

Firmware and drivers cause this: a memory-mapped copy of a register, one meter listed for two devices. Equal steps prove
it only if they vary: two idle processors count alike for a while, and so do counters of coarse steps, but not in ten
steps of different size.
"""

from __future__ import annotations

import math
from bisect import bisect_left
from itertools import pairwise
from typing import TYPE_CHECKING

from probes.model import Kind, Source

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from agent.energy.containment import Containment, Key
    from store.records import Series

MIN_DISTINCT_STEPS = 10
"""The number of different step sizes, equal in both, that proves a duplicate."""
_EQUAL_SHARE = 0.9
"""The share of equal steps that proves a duplicate: two reads of one counter are at slightly different times."""
_SPOT_CHECKS, _SPOT_CHECK_SHARE = 16, 0.5
_MICRO = 1e6
_NEAR_SHARE, _APART_SHARE, _APART_READS = 0.5, 0.2, 20
_FINE_STEPS = 1000


def find_duplicates(series: Sequence[Series], containers: Containment) -> Mapping[Key, Key]:
    """Return the (device, domain) of each duplicate with that of its original, an earlier series.

    A domain can equal its container without being a duplicate. Power supplies that share the load can show the same
    watts, so only their counters are compared.
    """
    found: dict[Key, Key] = {}
    for position, one in enumerate(series):
        for other in series[:position]:
            mine, its = one.channel.place, other.channel.place
            nested = mine in containers.get(its, ()) or its in containers.get(mine, ())
            if mine != its and not nested and its not in found and is_duplicate(one, other):
                found[mine] = its
                break
    return found


def is_duplicate(one: Series, other: Series) -> bool:
    """Return whether two measured series changed by the same varying steps, at the same reads or in the same order."""
    a, b = one.channel, other.channel
    if a.metric != b.metric or {a.source, b.source} != {Source.MEASURED}:
        return False
    if a.metric == "power_watts" and Kind.PSU in {a.device.kind, b.device.kind}:
        return False
    if len(one.values) == len(other.values) and one.times_ns == other.times_ns:
        return _passes_spot_check(one, other) and _same_steps(_steps(one.values), _steps(other.values))
    if a.metric != "power_watts" or a.domain != b.domain:
        return False
    return _same_values(one, other) or _same_moments(one, other) or _same_constant(one, other)


def _passes_spot_check(one: Series, other: Series) -> bool:
    """Compare a few reads, which rules out most pairs without comparing thousands."""
    moments = range(0, len(one.values), max(1, len(one.values) // _SPOT_CHECKS))
    steps, others = (_steps([each.values[at] for at in moments]) for each in (one, other))
    return sum(a == b for a, b in zip(steps, others, strict=True)) >= _SPOT_CHECK_SHARE * len(steps)


def _steps(values: Sequence[float]) -> list[int]:
    """Return the differences of neighbors in millionths, the finest resolution of sensors."""
    return [round((after - before) * _MICRO) for before, after in pairwise(values)]


def _same_steps(steps: Sequence[int], others: Sequence[int]) -> bool:
    moved = [(a, b) for a, b in zip(steps, others, strict=True) if a or b]
    equal = [a for a, b in moved if a == b]
    return len(set(equal)) >= MIN_DISTINCT_STEPS and len(equal) >= _EQUAL_SHARE * len(moved)


def _same_values(one: Series, other: Series) -> bool:
    """Compare two series read at different times by the order of their values, except at their ends."""
    if max(one.values) != max(other.values) and min(one.values) != min(other.values):
        return False  # this rules out most pairs
    mine, its = _changes(one.values), _changes(other.values)
    for shift in (-1, 0, 1):
        pairs = list(zip(mine[max(shift, 0) :], its[max(-shift, 0) :], strict=False))
        equal = {a for a, b in pairs if a == b}
        if len(equal) >= MIN_DISTINCT_STEPS and sum(a == b for a, b in pairs) >= _EQUAL_SHARE * len(pairs):
            return True
    return False


def _same_moments(one: Series, other: Series) -> bool:
    """Compare two series read at different times by their values at about the same time.

    Two readers of a gauge that changes between reads get different values, but often the same. Meters of coarse steps
    show equal values under equal loads, so only fine ones are compared, and reads some time apart must be equal far
    less often.
    """
    every = max(1, len(one.values) // _SPOT_CHECKS)
    if len(_shared_values(one, other, 0, every)) * every < _NEAR_SHARE / 2 * len(one.values):
        return False  # this rules out most pairs
    step = math.gcd(*(round(value * _MICRO) for value in (*one.values, *other.values))) / _MICRO
    if step * _FINE_STEPS > max(one.values):
        return False
    now, later = (_shared_values(one, other, shift) for shift in (0, _APART_READS))
    return (
        len(set(now)) >= MIN_DISTINCT_STEPS
        and len(now) >= _NEAR_SHARE * len(one.values)
        and len(later) <= _APART_SHARE * len(now)
    )


def _shared_values(one: Series, other: Series, shift: int, every: int = 1) -> list[float]:
    """Return the values that the other series also has, in the reads at about that time, `shift` reads later."""
    found = []
    for at_ns, value in zip(one.times_ns[::every], one.values[::every], strict=True):
        near = bisect_left(other.times_ns, at_ns) + shift
        if value in other.values[max(0, near - 1) : max(0, near + 2)]:
            found.append(value)
    return found


def _same_constant(one: Series, other: Series) -> bool:
    """Compare two series that never changed: two drivers with the same fine value of one domain read one meter."""
    a, b, value = one.channel.device, other.channel.device, one.values[0]
    drivers = [dict(device.attributes).get("chip") for device in (a, b)]
    if a.kind is not b.kind or None in drivers or drivers[0] == drivers[1] or value != other.values[0]:
        return False
    # Two different meters do not show the same fraction of a watt.
    return {*one.values, *other.values} == {value} and not value.is_integer()


def _changes(values: Sequence[float]) -> list[float]:
    return [value for before, value in zip((None, *values), values, strict=False) if value != before]
