"""Shows the accelerators in the metrics of NVIDIA's dcgm-exporter, for programs that read only those.

Names, units, labels and number formats: dcgm-exporter 4.8 (`default-counters.csv` and the template of its GPU metrics).
"""

from __future__ import annotations

import platform
from dataclasses import dataclass
from typing import TYPE_CHECKING

from probes.model import ENERGY_METRICS, Kind, MetricType, Source

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence

    from probes.model import Channel, Device

    Key = tuple[str, str, str, str]
    WattsAndJoules = Callable[[Key], tuple[float | None, float | None]]

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
_KINDS = frozenset({Kind.GPU, Kind.NPU, Kind.FPGA, Kind.ACCELERATOR})
_WITH_OTHERS = frozenset({"module", "socket", "baseboard"})
"""The domains of an accelerator that also cover the processor beside it (Grace Hopper, APUs, MI300A) or other cards."""
_PART = "MIG-"
"""Starts the domain of a part of a split GPU."""
_WHOLE = ("board", "card", "package")
"""The domains that cover a whole accelerator, the widest first."""
_TEMPERATURES = ("core", "edge", "package", "junction")
"""The domains of a temperature, the best first; any other follows."""
_MIB = 1 << 20


@dataclass(frozen=True, slots=True)
class _Field:
    """One metric, and the text of its value, which is given in SI units."""

    name: str
    type: MetricType
    help: str
    text: Callable[[float], str]


_TEMPERATURE = _Field("DCGM_FI_DEV_GPU_TEMP", MetricType.GAUGE, "Temperature (C).", lambda celsius: f"{celsius:.0f}")
_POWER = _Field("DCGM_FI_DEV_POWER_USAGE", MetricType.GAUGE, "Power (W).", lambda watts: f"{watts:.6f}")
_ENERGY = _Field(
    "DCGM_FI_DEV_TOTAL_ENERGY_CONSUMPTION", MetricType.COUNTER, "Energy (mJ).", lambda joules: f"{joules * 1000:.0f}"
)
_UTILIZATION = _Field(
    "DCGM_FI_DEV_GPU_UTIL", MetricType.GAUGE, "Share of time in use (%).", lambda ratio: f"{ratio * 100:.0f}"
)
_MEMORY = _Field("DCGM_FI_DEV_FB_USED", MetricType.GAUGE, "Memory in use (MiB).", lambda used: f"{used / _MIB:.0f}")


@dataclass(frozen=True, slots=True)
class _Accelerator:
    """One accelerator: its labels in the text format, and its channels; None for one that it lacks."""

    labels: str
    power: Key | None
    energy: Key | None
    temperature: Key | None
    utilization: Key | None
    memory: Key | None

    def values(self, latest: Mapping[Key, float], measured: WattsAndJoules) -> Iterator[tuple[_Field, float | None]]:
        """Yield each field with its value, None if it has none now; a channel never replaces another one."""
        yield _TEMPERATURE, latest.get(self.temperature) if self.temperature else None
        yield _UTILIZATION, latest.get(self.utilization) if self.utilization else None
        yield _MEMORY, latest.get(self.memory) if self.memory else None
        if self.power:
            yield _POWER, latest.get(self.power)
        elif self.energy and self.energy in latest:
            yield _POWER, measured(self.energy)[0]
        if self.energy:
            yield _ENERGY, latest.get(self.energy)
        elif self.power and self.power in latest:
            yield _ENERGY, measured(self.power)[1]


class DcgmView:
    """The page of the accelerators among `devices`; `channels` are all that are exported, each once.

    `watts_and_joules` returns, for the key of a channel, its mean power and its energy since the start of this process:
    the power of an accelerator that has only a counter, and the energy of one that has only a power.
    """

    def __init__(
        self,
        devices: Iterable[Device],
        channels: Iterable[Channel],
        watts_and_joules: WattsAndJoules,
        hostname: str = platform.node(),
    ) -> None:
        self._watts_and_joules = watts_and_joules
        own: dict[str, list[Channel]] = {}
        for channel in channels:
            if channel.source is Source.MEASURED and channel.device.kind in _KINDS:
                own.setdefault(channel.device.id, []).append(channel)
        found = [device for device in devices if device.id in own]
        self._accelerators = tuple(
            _accelerator(_labels(number, device, hostname), own[device.id]) for number, device in enumerate(found)
        )

    def page(self, latest: Mapping[Key, float]) -> str:
        """Return the page for the latest values by channel key; empty without an accelerator."""
        lines: dict[_Field, list[str]] = {}
        for each in self._accelerators:
            for field, value in each.values(latest, self._watts_and_joules):
                if value is not None:
                    lines.setdefault(field, []).append(f"{field.name}{{{each.labels}}} {field.text(value)}\n")
        return "".join(
            f"# HELP {field.name} {field.help}\n# TYPE {field.name} {field.type}\n{''.join(lines[field])}"
            for field in (_TEMPERATURE, _POWER, _ENERGY, _UTILIZATION, _MEMORY)
            if field in lines
        )


def _accelerator(labels: str, channels: Sequence[Channel]) -> _Accelerator:
    def key(metric: str, domains: Sequence[str | None], *, others: bool = False) -> Key | None:
        own = (channel for channel in channels if channel.metric == metric and not channel.domain.startswith(_PART))
        by_domain = {channel.domain: channel.key for channel in own}
        known = [by_domain[domain] for domain in domains if domain in by_domain]
        return next(iter((*known, *(by_domain.values() if others else ()))), None)

    whole = _whole_domain([channel for channel in channels if channel.metric in ENERGY_METRICS])
    return _Accelerator(
        labels,
        key("power_watts", (whole,)),
        key("energy_joules", (whole,)),
        key("temperature_celsius", _TEMPERATURES, others=True),
        key("utilization_ratio", _WHOLE, others=True),
        key("memory_used_bytes", ("memory",)),
    )


def _whole_domain(channels: Collection[Channel]) -> str | None:
    """Return the domain that covers this accelerator and nothing else, None if no sensor does."""
    own = [channel for channel in channels if channel.domain not in _WITH_OTHERS]
    places = {channel.place for channel in own}
    outermost = {channel.domain for channel in own if places.isdisjoint(channel.contained_in)}
    known = [domain for domain in _WHOLE if domain in outermost]
    return known[0] if known else next(iter(outermost)) if len(outermost) == 1 else None


def _labels(number: int, device: Device, hostname: str) -> str:
    attributes = dict(device.attributes)
    bus, _, place = attributes.get("pci_address", "").partition(":")
    labels = {
        "gpu": str(number),
        "UUID": device.id,
        "pci_bus_id": f"{bus:0>8}:{place}".upper() if place else "",
        "device": f"{attributes.get('driver') or device.kind}{number}",
        "modelName": device.name,
        "Hostname": hostname,
    }
    return ",".join(f'{name}="{_escaped(value)}"' for name, value in labels.items())


def _escaped(value: str) -> str:
    return value.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
