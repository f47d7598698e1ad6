"""The channels of one AMD GPU: those of its table `gpu_metrics`, and those of the driver's other files."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass, replace
from operator import attrgetter
from typing import TYPE_CHECKING

from probes.amdgpu.metrics_table import JOULE, LIMITS
from probes.attributes import Attribute, parse_number, parse_percent
from probes.counter import Counter
from probes.model import Channel, Device, Reason
from probes.plausibility import BLANKS, check_gauge, max_watts

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from probes.amdgpu.metrics_table import MetricsTable

    Key = tuple[str, str]

BASEBOARD = "baseboard"
BASEBOARD_FILE = "board/node_power"
_MI200 = frozenset({0x7408, 0x740C, 0x740F, 0x7410})
_ACTIVE_LEVEL = re.compile(rb"(\d{1,6})\s*mhz\s*\*", re.IGNORECASE)
_MEGAHERTZ = 1_000_000.0
_LONGEST_GAP_SECONDS = 3600.0
_NVML_BITS: Mapping[int, int] = {
    0x0000_00FF_00FF: 0x04,  # limits of power (PPT, SPL) and of current (TDC, EDC): power cap
    0x3FFF_0000_0000: 0x20,  # temperatures of the chip, its memory and its regulators: software thermal
    0xC000_0000_0000: 0x08,  # PROCHOT: hardware slowdown
}
"""The bits of a table's mask (the kernel's amdgpu_smu.h, SMU_THROTTLER_*), and the bit of nvmlClocksEventReasons."""
_FIRST_COUNTING = (1, 4)
"""The first format whose source states the unit of the accumulator; its power is that of the moment, no average."""


@dataclass(frozen=True, slots=True)
class Place:
    """The extent of a GPU's power: its device and domain, and the (device, domain) pairs that contain it.

    `pci_device` is the number of its model. `chip` is the folder of its chip of hwmon below its own, empty without one;
    `has_power` states that hwmon reads the power. `limit_watts` is the highest
    plausible power, 0 if unknown.
    """

    device: Device
    domain: str
    outer: tuple[Key, ...]
    pci_device: int
    chip: str
    has_power: bool
    limit_watts: float


@dataclass(frozen=True, slots=True)
class TableSensor:
    """One channel and its field of the table; a `counter` counts in steps of 2^-16 J."""

    channel: Channel
    field: Callable[[MetricsTable], float | None]
    counter: Counter | None = None

    def value(self, table: MetricsTable, at_ns: int) -> float | Reason:
        """Return the value in the unit of the channel, or the reason for its rejection."""
        raw = self.field(table)
        if raw is None:
            return Reason.SENTINEL
        if self.counter is None:
            return check_gauge(self.channel, raw)
        # The table has the time at which the driver took it, so a delayed read is no fast growth.
        return self.counter.advance(int(raw), table.clock_ns or at_ns) or self.counter.total / JOULE


def table_sensors(place: Place, table: MetricsTable, *, has_activity: bool) -> list[TableSensor]:
    """Return the sensors whose fields this table has, the energy first.

    Radeon cards have an accumulator too, whose unit is undocumented and which newer firmware no longer fills; that of
    the MI100 stands still. An MI250 reports the energy and the power of both dies on its first one, 0 on the second.
    `has_activity` states that the driver's own file shows the utilization.
    """
    counts = table.format >= _FIRST_COUNTING or place.pci_device in _MI200
    own = Channel(place.device, place.domain, "power_watts", contained_in=place.outer, max_plausible=place.limit_watts)
    found = []
    if counts and table.energy is not None and (table.energy or table.power):
        channel = replace(own, metric="energy_joules", method="counter", resolution=1 / JOULE)
        found.append(TableSensor(channel, attrgetter("energy"), Counter(0, max_watts(channel) * JOULE)))
    if table.power is not None and not place.has_power:
        method = "instant" if (2, 0) > table.format >= _FIRST_COUNTING else "average"
        found.append(TableSensor(replace(own, method=method), attrgetter("power")))
    if table.graphics_power is not None:
        outer = ((place.device.id, place.domain), *place.outer)
        found.append(
            TableSensor(
                replace(own, domain="graphics", method="average", contained_in=outer), attrgetter("graphics_power")
            )
        )
    if table.activity is not None and not has_activity:
        channel = Channel(place.device, place.domain, "utilization_ratio", method="average", resolution=0.01)
        found.append(TableSensor(channel, attrgetter("activity")))
    if table.throttle is not None:
        found.append(TableSensor(Channel(place.device, place.domain, "throttle_reasons"), _reasons))
    return found


def _reasons(table: MetricsTable) -> float | None:
    """Return the reasons for reduced clocks in NVML's bits, in which all families report them."""
    if table.throttle is None:
        return None
    return float(sum(nvml for mask, nvml in _NVML_BITS.items() if table.throttle & mask))


class ReducedTime:
    """The time of reduced clocks for each of `LIMITS`, from the firmware's counts of cycles.

    A share of the cycles between two tables is the same share of the time between them. The reasons overlap, so their
    times do not add up.
    """

    def __init__(self, device: Device) -> None:
        self.channels = tuple(
            Channel(device, limit, "throttled_seconds", method="counter", max_plausible=1.0) for limit in LIMITS
        )
        self._seconds = [0.0] * len(LIMITS)
        self._last: MetricsTable | None = None

    def advance(self, table: MetricsTable) -> list[float]:
        """Return the seconds since the first table for each channel, NaN without a count in this table.

        A count that restarted adds nothing.
        """
        if table.cycles is None:
            return [math.nan] * len(LIMITS)
        last, self._last = self._last, table
        cycles = table.cycles - (last.cycles or 0) if last else 0
        if last and cycles > 0:
            elapsed = ((table.clock_ns or 0) - (last.clock_ns or 0)) / 1e9
            seconds = min(max(elapsed, 0.0), _LONGEST_GAP_SECONDS)
            for at, (before, after) in enumerate(zip(last.limited, table.limited, strict=True)):
                if before is not None and after is not None and 0 <= after - before <= cycles:
                    self._seconds[at] += seconds * (after - before) / cycles
        known = zip(self._seconds, table.limited, strict=True)
        return [math.nan if count is None else seconds for seconds, count in known]


def attributes(place: Place) -> tuple[Attribute, ...]:
    """Return the files that a card may have, without that of its baseboard."""
    device = place.device
    busy = Channel(device, place.domain, "utilization_ratio", method="average", resolution=0.01)
    limit = Channel(device, place.domain, "power_limit_watts", resolution=1e-6)
    return (
        Attribute("gpu_busy_percent", busy, parse_percent),
        Attribute("mem_busy_percent", replace(busy, domain="memory"), parse_percent),
        Attribute("mem_info_vram_used", Channel(device, "memory", "memory_used_bytes"), parse_number),
        Attribute("mem_info_vram_total", Channel(device, "memory", "memory_total_bytes"), parse_number),
        Attribute("pp_dpm_sclk", Channel(device, "graphics", "frequency_hertz", resolution=_MEGAHERTZ), parse_levels),
        *((Attribute(f"{place.chip}/power1_cap", limit, parse_microwatts),) if place.chip else ()),
    )


def baseboard_power(device: Device) -> Attribute:
    """Return the file with the power of the baseboard in watts, which one of its eight MI350 cards shows."""
    return Attribute(
        BASEBOARD_FILE, Channel(device, BASEBOARD, "power_watts", method="instant", resolution=1.0), parse_number
    )


def parse_microwatts(raw: bytes) -> float | None:
    """Return a power in watts, None if there is none; all bits set is a missing value."""
    number = parse_number(raw)
    return None if number is None or number in BLANKS else number / 1e6


def parse_levels(raw: bytes) -> float | None:
    """Return the clock of the active level in hertz, such as 2.1e9 for "1: 2100Mhz *"; None if no level is active."""
    match = _ACTIVE_LEVEL.search(raw)
    return float(match[1]) * _MEGAHERTZ if match else None
