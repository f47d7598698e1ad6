"""Determines the device of hwmon chips, and the attributes that are channels.

Interface: the kernel's Documentation/hwmon/sysfs-interface.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from probes.hwmon import chips as rules
from probes.hwmon.folders import IIO_MONITOR
from probes.model import ENERGY_METRICS, Channel, Device, Kind
from probes.pci import nearest_package
from probes.plausibility import PLAUSIBLE_LIMIT_FACTOR, highest_limit_watts
from probes.sysfs import read_int, read_label

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence
    from pathlib import Path

    from probes.hwmon.folders import Chip

_ORDER = ("energy_joules", "power_watts", "temperature_celsius")  # counters are read before gauges
_LIMITS = ("cap", "cap_max", "max", "rated_max")
_METRICS_HEADER_BYTES = 4
_INPUTS = ("dc_input", "module")  # the outer one first
_LONGEST_AVERAGE_MS = 3_600_000
"""The longest plausible averaging time: firmware states all ones for an unknown one."""
_SI_UNITS = frozenset({"watts", "w", "celsius", "c"})


@dataclass(frozen=True, slots=True)
class SensorDraft:
    """A channel whose files are not open yet: one, or a voltage and a current, whose product / `divisor` is SI."""

    channel: Channel
    paths: tuple[Path, ...]
    divisor: float


def describe(sysfs: Path, members: Sequence[Chip]) -> list[SensorDraft]:
    """Return the channels of one bus device's chips, counters first; [] if none measures power or energy."""
    ordered = sorted(members, key=lambda chip: (chip.name, chip.number))
    model = read_label(sysfs / "firmware/devicetree/base/model")
    device = _device(ordered, model)
    drafts: list[SensorDraft] = []
    for position, chip in enumerate(ordered):
        drafts += _ChipReader(chip, device, _sockets(sysfs, chip, position), model).drafts()
    if not any(draft.channel.metric in ENERGY_METRICS for draft in drafts):
        return []
    drafts.sort(key=lambda draft: _ORDER.index(draft.channel.metric))
    return _contained(ordered[0].name, _distinct(drafts))


def within_input(drafts: Mapping[str, Sequence[SensorDraft]]) -> dict[str, list[SensorDraft]]:
    """Add the meter of a Jetson's input to the containers of the rails that its other chips measure."""
    own = [draft.channel for each in drafts.values() for draft in each if _is_of_jetson(draft.channel)]
    inputs = [channel.place for domain in _INPUTS for channel in own if channel.domain == domain]
    found = {}
    for name, each in drafts.items():
        found[name] = list(each)
        for at, draft in enumerate(each):
            channel = draft.channel
            outer = [place for place in inputs[:1] if place[0] != channel.device.id and _is_of_jetson(channel)]
            if outer:
                nested = replace(channel, contained_in=(*channel.contained_in, *outer))
                found[name][at] = replace(draft, channel=nested)
    return found


def _is_of_jetson(channel: Channel) -> bool:
    is_chip = rules.is_jetson(dict(channel.device.attributes).get("chip", ""))
    return channel.metric in ENERGY_METRICS and is_chip


class _ChipReader:
    """Writes the drafts of one chip."""

    def __init__(self, chip: Chip, device: Device, sockets: Sequence[int], model: str) -> None:
        self._chip = chip
        self._model = model
        self._device = device
        self._sockets = sockets
        self._awake = (
            not chip.is_suspended
        )  # limits and intervals of a suspended device stay unknown: a driver may ask the device for them

    def drafts(self) -> Iterator[SensorDraft]:
        for number in self._chip.indices("energy"):
            stem = f"energy{number}"
            if not rules.is_ignored(self._chip.name, self._label(stem)):
                yield self._single(stem, "input", "energy_joules", "counter")
        yield from self._powers() if self._chip.indices("power") else self._products()
        for number in self._chip.indices("temp"):
            if self._is_si(f"temp{number}"):
                yield self._single(f"temp{number}", "input", "temperature_celsius", "instant")

    def _powers(self) -> Iterator[SensorDraft]:
        for stem in (f"power{number}" for number in self._chip.indices("power")):
            battery = self._chip.number_in(f"{stem}_is_battery") == 1
            if self._is_si(stem) and not battery and not rules.is_ignored(self._chip.name, self._label(stem)):
                averages = self._averages(stem)
                form, method = ("average", "average") if averages else ("input", "instant")
                yield self._single(stem, form, "power_watts", method)

    def _averages(self, stem: str) -> bool:
        """Return whether to take the average of a sensor that has both readings.

        An average includes power between two reads, which an instant reading misses. An average over an unknown or long
        time has no usable time stamp, and the ABI lets a driver average since it was loaded.
        """
        files = self._chip.files
        if f"{stem}_average" not in files or f"{stem}_input" not in files:
            return f"{stem}_average" in files
        return f"{stem}_average_interval" in files or rules.averages_briefly(self._chip.name)

    def _products(self) -> Iterator[SensorDraft]:
        voltages = {number: self._label(f"in{number}") for number in self._chip.indices("in")}
        currents = {number: self._label(f"curr{number}") for number in self._chip.indices("curr")}
        for pair in rules.pairs(self._chip.name, voltages, currents):
            if rules.is_ignored(self._chip.name, pair.label):
                continue
            stems = (f"in{pair.voltage}", f"curr{pair.current}")
            channel = self._channel(pair.label, f"power{pair.current}", "power_watts")
            paths = tuple(self._chip.files[f"{stem}_input"] for stem in stems)
            yield SensorDraft(replace(channel, method="volts*amperes"), paths, 1e6)

    def _single(self, stem: str, form: str, metric: str, method: str) -> SensorDraft:
        channel = replace(self._channel(self._label(stem), stem, metric), method=method)
        path = self._chip.files[f"{stem}_{form}"]
        exponent = self._chip.number_in(f"{stem}_unitm")
        if exponent is not None:  # XRT's `max` is the highest reading, not a limit
            return SensorDraft(replace(channel, resolution=10.0**exponent), (path,), 10.0**-exponent)
        if metric == "power_watts" and self._awake:
            interval = (form == "average" and self._chip.number_in(f"{stem}_average_interval")) or 0
            refresh = interval / 1e3 if 0 < interval <= _LONGEST_AVERAGE_MS else channel.refresh_seconds
            channel = replace(channel, max_plausible=self._limit_watts(stem), refresh_seconds=refresh)
        in_milliunits = metric == "temperature_celsius" or self._chip.name == IIO_MONITOR
        return SensorDraft(channel, (path,), 1e3 if in_milliunits else 1e6)

    def _channel(self, label: str, fallback: str, metric: str) -> Channel:
        refresh = ((self._chip.number_in("update_interval") or 0) if self._awake else 0) / 1e3
        if metric not in ENERGY_METRICS:
            domain = rules.plain_domain(self._chip.name, label, "temperature")
            return Channel(self._device, domain, metric, refresh_seconds=refresh)
        pci_device = read_int(self._chip.pci / "device") if self._chip.pci else None
        table = _metrics_format(self._chip.pci) if self._awake and self._chip.name == "amdgpu" else None
        name = rules.full_name(self._chip.name, self._chip.text("in1_label"), pci_device, table, self._model)
        where = rules.place(name, label, fallback, self._sockets)
        device = replace(self._device, id=where.device, kind=where.kind) if where.device else self._device
        return Channel(device, where.domain, metric, refresh_seconds=refresh, contained_in=where.outer)

    def _limit_watts(self, stem: str) -> float:
        known = (self._chip.number_in(f"{stem}_{name}") for name in _LIMITS)
        return PLAUSIBLE_LIMIT_FACTOR * highest_limit_watts(known, 1_000_000, self._device.kind)

    def _label(self, stem: str) -> str:
        return self._chip.text(f"{stem}_label") or self._chip.text(f"{stem}_oem_info")

    def _is_si(self, stem: str) -> bool:
        """Return whether the unit is known: the ABI's own, or in XRT's tables the one beside its exponent."""
        return f"{stem}_unitm" not in self._chip.files or self._chip.text(f"{stem}_units").lower() in _SI_UNITS


def _metrics_format(pci: Path | None) -> int | None:
    """Return the format in the header of amdgpu's `gpu_metrics`: size (2 bytes), format, content revision."""
    if pci is None:
        return None
    try:
        with (pci / "gpu_metrics").open("rb") as file:
            header = file.read(_METRICS_HEADER_BYTES)
    except OSError:
        return None
    return header[2] if len(header) == _METRICS_HEADER_BYTES else None


def _device(members: Sequence[Chip], model: str) -> Device:
    chip = members[0]
    machine = model if rules.is_jetson(chip.name) and "Jetson" in model else ""
    home = chip.pci or chip.bus
    links = [at / "driver" for at in (home, chip.bus) if (at / "driver").is_symlink()]
    driver = links[0].readlink().name if links else ""
    vendor, pci_class = (read_int(home / name) or 0 for name in ("vendor", "class"))
    kinds = (rules.kind_of(member.name, driver, vendor, pci_class) for member in members)
    known = {
        "driver": driver,
        "pci_address": chip.id if chip.pci else "",
        "chip": ", ".join(dict.fromkeys(member.name for member in members)),
        "unique_id": read_label(home / "unique_id"),
    }
    return Device(
        chip.id,
        next((kind for kind in kinds if kind is not Kind.BOARD), Kind.BOARD),
        read_label(home / "product_name")
        or read_label(home / "device_type")
        or machine
        or chip.text("label")
        or chip.name,
        tuple((name, value) for name, value in known.items() if value),
    )


def _sockets(sysfs: Path, chip: Chip, position: int) -> tuple[int, ...]:
    """Return the packages of the processors that a chip belongs to, as `rules.place` expects them."""
    if chip.name in {"amd_energy", "zenergy"}:
        labels = [chip.text(f"energy{number}_label") for number in chip.indices("energy")]
        packages = [_package_of(sysfs, core) for core in range(sum(label.startswith("Ecore") for label in labels))]
        known = tuple(package for package in packages if package is not None)
        return known if len(known) == len(packages) else rules.even_sockets(labels)
    if chip.name == "amd_hsmp_hwmon":
        # Each socket is one ACPI device with the UID "ID00"; the older platform driver registers its sockets in order.
        uid = read_label(chip.bus / "firmware_node/uid") or read_label(chip.bus / "uid") or chip.bus.name
        match = re.search(r"(?:ID|:)(\d+)$", uid)
        return (int(match[1]) if match else position,)
    return (nearest_package(sysfs, chip.pci or chip.bus) or 0,)


def _package_of(sysfs: Path, cpu: int) -> int | None:
    return read_int(sysfs / f"devices/system/cpu/cpu{cpu}/topology/physical_package_id")


def _distinct(drafts: Iterable[SensorDraft]) -> list[SensorDraft]:
    """Number the domains of sensors that are otherwise equal."""
    named: dict[tuple[str, str, str, str], SensorDraft] = {}
    for draft in drafts:
        channel, copy = draft.channel, 1
        while channel.key in named:
            copy += 1
            channel = replace(draft.channel, domain=f"{draft.channel.domain}-{copy}")
        named[channel.key] = replace(draft, channel=channel)
    return list(named.values())


def _contained(chip: str, drafts: Sequence[SensorDraft]) -> list[SensorDraft]:
    """Add the domains of the same device whose energy includes that of a sensor."""
    energetic = [draft.channel for draft in drafts if draft.channel.metric in ENERGY_METRICS]
    nested = []
    for draft in drafts:
        device, outer = draft.channel.device, draft.channel.contained_in
        if draft.channel.metric in ENERGY_METRICS:
            present = {channel.domain for channel in energetic if channel.device == device}
            within = rules.outer_domains(chip, draft.channel.domain, present)
            outer = (*((device.id, domain) for domain in within), *outer)
        nested.append(replace(draft, channel=replace(draft.channel, contained_in=outer)))
    return nested
