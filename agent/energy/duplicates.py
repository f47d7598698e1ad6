"""Which sensors show one and the same counter or meter under several names, told by what they showed; pure.

Firmware and drivers do that: a memory-mapped twin of a register, one meter that is listed for two devices. Equal
steps prove it only if they are uneven: two processors at rest count alike for a while, and so do counters of coarse
steps, but not in ten steps of different size.
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
"""How many different sizes of equal steps tell a mirror."""
_EQUAL_SHARE = 0.9
"""How many steps have to be equal: two reads of one counter are not at the same moment, so it may move in between."""
_SPOT_CHECKS, _SPOT_CHECK_SHARE = 16, 0.5
_MICRO = 1e6
_NEAR_SHARE, _APART_SHARE, _APART_READS = 0.5, 0.2, 20
_FINE_STEPS = 1000


def find_duplicates(series: Sequence[Series], containers: Containment) -> Mapping[Key, Key]:
    """Return which (device, domain) shows what another before it shows, and which that is.

    A domain may well equal one that holds it, and is no mirror of it. Power supplies that share the load may show the
    same watts, so only their counters are compared.
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
    """Tell whether two measured series moved by the same uneven steps, at the same reads or one value after another."""
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
    """Compare a few moments, which spares most pairs the comparison of thousands."""
    moments = range(0, len(one.values), max(1, len(one.values) // _SPOT_CHECKS))
    steps, others = (_steps([each.values[at] for at in moments]) for each in (one, other))
    return sum(a == b for a, b in zip(steps, others, strict=True)) >= _SPOT_CHECK_SHARE * len(steps)


def _steps(values: Sequence[float]) -> list[int]:
    """Return the differences of neighbours in millionths, the finest that sensors have."""
    return [round((after - before) * _MICRO) for before, after in pairwise(values)]


def _same_steps(steps: Sequence[int], others: Sequence[int]) -> bool:
    moved = [(a, b) for a, b in zip(steps, others, strict=True) if a or b]
    equal = [a for a, b in moved if a == b]
    return len(set(equal)) >= MIN_DISTINCT_STEPS and len(equal) >= _EQUAL_SHARE * len(moved)


def _same_values(one: Series, other: Series) -> bool:
    """Compare two series read at different moments by the values that follow one another, their ends aside."""
    if max(one.values) != max(other.values) and min(one.values) != min(other.values):
        return False  # which spares most pairs the rest
    mine, its = _changes(one.values), _changes(other.values)
    for shift in (-1, 0, 1):
        pairs = list(zip(mine[max(shift, 0) :], its[max(-shift, 0) :], strict=False))
        equal = {a for a, b in pairs if a == b}
        if len(equal) >= MIN_DISTINCT_STEPS and sum(a == b for a, b in pairs) >= _EQUAL_SHARE * len(pairs):
            return True
    return False


def _same_moments(one: Series, other: Series) -> bool:
    """Compare two series read at different moments by what both showed at about the same time.

    A gauge that changes faster than it is read shows other values to one than to the other, but often the same. Meters
    of coarse steps show equal values under equal loads, so only fine ones are compared; and two reads that are a while
    apart must be equal far less often.
    """
    every = max(1, len(one.values) // _SPOT_CHECKS)
    if len(_shared_values(one, other, 0, every)) * every < _NEAR_SHARE / 2 * len(one.values):
        return False  # which spares most pairs the rest
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
    """Return the values that the other showed too, in the reads about that moment, or so many reads later."""
    found = []
    for at_ns, value in zip(one.times_ns[::every], one.values[::every], strict=True):
        near = bisect_left(other.times_ns, at_ns) + shift
        if value in other.values[max(0, near - 1) : max(0, near + 2)]:
            found.append(value)
    return found


def _same_constant(one: Series, other: Series) -> bool:
    """Compare two series that never changed: two drivers that show one fine value of one domain read one meter."""
    a, b, value = one.channel.device, other.channel.device, one.values[0]
    drivers = [dict(device.attributes).get("chip") for device in (a, b)]
    if a.kind is not b.kind or None in drivers or drivers[0] == drivers[1] or value != other.values[0]:
        return False
    # Two meters do not show the same fraction of a watt by chance.
    return {*one.values, *other.values} == {value} and not value.is_integer()


def _changes(values: Sequence[float]) -> list[float]:
    return [value for before, value in zip((None, *values), values, strict=False) if value != before]
