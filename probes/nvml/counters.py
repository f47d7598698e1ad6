"""The counters of an NVIDIA GPU beside its energy: the time for which it was throttled, and the bytes over its links.

Fields, scopes and meanings of the numbers: NVIDIA's NVML API Reference Guide, field value enums and
nvmlPerfPolicyType_t; the throttled times are in nanoseconds (nvmlViolationTime_t).
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from probes.counter import Counter
from probes.model import Channel
from probes.nvml.queries import Sensor, SensorQuery, exists

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from probes.nvml.queries import GpuInfo

    Field = tuple[int, int]

_ALL_LINKS = 0xFFFFFFFF
_THROTTLED: Mapping[str, Field] = {"power-cap": (74, 0), "thermal": (75, 0)}
"""The causes of throttling whose counters have the same number in every driver.

Those of the hardware's slowdowns are 252 and 253 in some drivers and 270 and 271 in others, where the first numbers are
settings, so they are not read.
"""
_LINKS: Mapping[str, Field] = {"nvlink-transmitted": (138, _ALL_LINKS), "nvlink-received": (139, _ALL_LINKS)}
"""The direction of each link, and its field.

The counters of PCIe (197 and 198) have 32 bits of bytes, which a fast link fills in 70 ms, so they are not read.
"""
_STEP_BYTES = 1024
_REFRESH_SECONDS = 1.0
_MOST_BYTES_PER_SECOND = 4e12
"""Above the 1.8 TB/s of the fastest NVLink, both directions together."""
_SECOND_NS = 1_000_000_000


def counters(one: GpuInfo) -> list[SensorQuery]:
    """Return the queries of the throttled times, by cause, and of the bytes over the links, by direction."""
    causes = [(_throttled(one, cause), field) for cause, field in _THROTTLED.items()]
    links = [(_link(one, link), field) for link, field in _LINKS.items()]
    return [*_together(one, causes), *_together(one, links)]


def _together(one: GpuInfo, wanted: Sequence[tuple[Sensor, Field]]) -> list[SensorQuery]:
    """Return one query of those fields that exist, none without any."""
    found = [(sensor, field) for sensor, field in wanted if exists(partial(one.gpu.field, *field))]
    if not found:
        return []
    sensors, fields = zip(*found, strict=True)
    return [SensorQuery(sensors, partial(one.gpu.fields, fields), seldom=True)]


def _throttled(one: GpuInfo, cause: str) -> Sensor:
    channel = Channel(one.device, cause, "throttled_seconds", method="counter", resolution=1e-9, max_plausible=1.0)
    return Sensor(channel, over=_SECOND_NS, counter=Counter(0, _SECOND_NS, _REFRESH_SECONDS))


def _link(one: GpuInfo, link: str) -> Sensor:
    step, most = _STEP_BYTES, _MOST_BYTES_PER_SECOND
    channel = Channel(one.device, link, "link_bytes", method="counter", resolution=float(step), max_plausible=most)
    return Sensor(channel, times=step, counter=Counter(0, most / step, _REFRESH_SECONDS))
