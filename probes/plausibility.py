"""Defines the plausible readings: the range of every metric, and the integers that drivers use for a missing value.

All families reject other readings, and power limits beyond the range; docs/sensor-faults.md lists every case.
"""

from __future__ import annotations

import math
from itertools import product
from typing import TYPE_CHECKING

from probes.model import Kind, Reason

if TYPE_CHECKING:
    from collections.abc import Iterable

    from probes.model import Channel

SENTINELS = frozenset({0xFFFFFFFF, 0xFFFFFFFFFFFFFFFF})
"""All bits set: a register that did not answer, as drivers and firmware pass it on."""
_DCGM_BLANKS = (*range(0x7FFFFFF0, 0x7FFFFFF4), *range(0x7FFFFFFFFFFFFFF0, 0x7FFFFFFFFFFFFFF4), 1 << 47)
"""The blanks of NVIDIA's DCGM: of 32 and 64 bits, and of its floating point (dcgm_fields.h)."""
BLANKS = frozenset(
    {ones * scale for ones, scale in product((*SENTINELS, 0x7FFFFFFF, 0x7FFFFFFFFFFFFFFF), (1, 1000, 1_000_000))}
) | frozenset(_DCGM_BLANKS)
"""Values that no gauge and no limit shows: all bits set, signed or not, unscaled or scaled by the driver.

ACPI's power meter answers all ones in milliwatts, which the kernel shows as 4294967295000 microwatts. A counter may
pass through most of these, so counters reject only `SENTINELS`.
"""
PLAUSIBLE_LIMIT_FACTOR = 4
"""A device may exceed its power limit for a moment; above four times the limit a reading is a fault."""
CEILING_WATTS = {
    Kind.CPU: 2_000.0,
    Kind.MEMORY: 2_000.0,
    Kind.GPU: 10_000.0,
    Kind.NPU: 10_000.0,
    Kind.FPGA: 10_000.0,
    Kind.ACCELERATOR: 10_000.0,
    Kind.BOARD: 20_000.0,
    Kind.PSU: 20_000.0,
    Kind.HOST: 20_000.0,
}
"""The highest plausible power, and power limit, of a device of each kind.

Each value leaves room above the largest product: 500 W for a processor, 3 kW for an accelerator, 15 kW for a server.
"""
NOISE_WATTS = 0.1
"""A gauge within this distance below 0 shows 0."""
_RANGES = {
    "temperature_celsius": (-100.0, 300.0),
    "frequency_hertz": (0.0, 1e11),
    "utilization_ratio": (0.0, 1.0),
    "memory_used_bytes": (0.0, 1e16),
    "memory_total_bytes": (0.0, 1e16),
}


def max_watts(channel: Channel) -> float:
    """Return the highest accepted power of a channel's sensor, in watts."""
    return channel.max_plausible or CEILING_WATTS[channel.device.kind]


def range_of(channel: Channel) -> tuple[float, float]:
    """Return the lowest and the highest accepted value of a gauge, in its unit."""
    if channel.metric == "power_watts":
        return 0.0, max_watts(channel)
    if channel.metric == "power_limit_watts":
        return 0.0, CEILING_WATTS[channel.device.kind]
    return _RANGES.get(channel.metric, (0.0, math.inf))


def check_gauge(channel: Channel, value: float) -> float | Reason:
    """Return the value of a gauge, 0 for noise around 0, or IMPOSSIBLE.

    A lower power belongs to a reverse current: a sensor wired in reverse, or a battery that is charging. It is not
    consumption, and its share of consumption is unknown.
    """
    lowest, highest = range_of(channel)
    if lowest <= value <= highest:
        return value
    return 0.0 if channel.metric == "power_watts" and -NOISE_WATTS <= value < 0 else Reason.IMPOSSIBLE


def highest_limit_watts(raw_limits: Iterable[int | None], per_watt: int, kind: Kind) -> float:
    """Return the highest power limit that is plausible for a device of this kind, in watts; 0 if there is none."""
    known = (raw / per_watt for raw in raw_limits if raw is not None and raw not in BLANKS)
    return max((watts for watts in known if 0 < watts <= CEILING_WATTS[kind]), default=0.0)
