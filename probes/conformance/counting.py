"""Checks of counters: the wrap at the end of a range, and the reset by a driver."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from probes.conformance.bench import Bench, is_counter, key_of, needs, require

if TYPE_CHECKING:
    from probes.conformance.host import Key
    from probes.model import Channel

_CONFIRMING_READS = 4
"""A reset may need several readings at the new level."""
_TOLERANCE = 1e-6


def wraps(bench: Bench) -> str:
    """Check that a counter that wraps between two reads grows exactly as the hardware did."""
    bench.discovered()
    wrapping = {key: channel for key, channel in _counters(bench).items() if channel.wraps_at}
    needs(wrapping, "no counter states a value at which it wraps")
    bench.close_probes()
    bench.host.approach_wrap()
    bench.discovered()
    truth, first = bench.host.truth(), bench.read_all()
    bench.advance()
    later, second = bench.host.truth(), bench.read_all()
    for key, channel in wrapping.items():
        found, wanted = second[key] - first[key], later[key] - truth[key]
        slack = max(abs(wanted) * _TOLERANCE, channel.resolution)
        sentence = f"{'/'.join(key)} grew by {found} over a wrap, and the hardware by {wanted}"
        require(abs(found - wanted) <= slack, sentence)
    return f"{len(wrapping)} counters"


def resets(bench: Bench) -> str:
    """Check that a counter that starts again from 0 never falls, adds no energy, and continues."""
    bench.discovered()
    counters = _counters(bench)
    needs(counters, "no channel is a counter")
    bench.read_all()
    bench.advance()
    before = bench.read_all()
    bench.host.reset()
    truth = bench.host.truth()
    bench.advance()
    after = _read_some(bench)
    for _ in range(_CONFIRMING_READS):
        bench.advance()
        after |= {key: value for key, value in _read_some(bench).items() if not math.isnan(value)}
    later = bench.host.truth()
    for key, channel in counters.items():
        name = "/".join(key)
        require(not math.isnan(after[key]), f"{name} has no value after a reset")
        require(after[key] >= before[key], f"{name} falls from {before[key]} to {after[key]} at a reset")
        most = before[key] + later[key] - truth[key] + channel.resolution
        require(after[key] <= most * (1 + _TOLERANCE), f"{name} is {after[key]} after a reset, at most {most} is right")
        require(after[key] > before[key], f"{name} does not count after a reset")
    return f"{len(counters)} counters"


def _counters(bench: Bench) -> dict[Key, Channel]:
    channels = (channel for probe in bench.probes for channel in probe.channels if is_counter(channel))
    truth = bench.host.truth()
    return {key_of(channel): channel for channel in channels if key_of(channel) in truth}


def _read_some(bench: Bench) -> dict[Key, float]:
    """Read every probe; a read may fail while a counter restarts."""
    values: dict[Key, float] = {}
    for probe in bench.probes:
        reading = bench.read(probe)
        values.update(reading.values or dict.fromkeys(map(key_of, probe.channels), math.nan))
    return values
