"""Reads Intel Gaudi cards: clock and power limit from sysfs, utilization and memory from hl-smi; hwmon has their power.

Interfaces: the kernel's ABI document of habanalabs, and Intel's documentation of `hl-smi -Q`.
"""

from __future__ import annotations

from operator import attrgetter
from pathlib import Path
from typing import TYPE_CHECKING

from probes.commands import CommandProbe, Program, find, sleeping
from probes.driver_devices import DriverDevice, address_in, devices_of_class
from probes.errors import ProbeUnavailableError, ReadError
from probes.family import Family, ServiceNeeds
from probes.integer_attributes import Gauge, find_attributes, merged
from probes.model import Channel, Device, DiscoveryResult, Kind, Problem, Roots
from probes.plausibility import PLAUSIBLE_LIMIT_FACTOR
from probes.printed import Printed, quantity
from probes.settings import ALL_SENSORS, SensorSettings
from probes.sysfs import read_label
from probes.text import one_line

if TYPE_CHECKING:
    from collections.abc import Hashable, Iterator, Mapping, Sequence

    from probes.integer_attributes import Attribute

FAMILY = Family(
    "gaudi",
    "Intel Gaudi accelerators",
    (Kind.ACCELERATOR,),
    reads="utilization, memory, clock, power limit; power where hwmon lacks it",
    method="attributes of the driver habanalabs; hl-smi",
    refresh="1 s",
    privilege="hl-smi and access to /dev/accel",
    remedy="install habanalabs-firmware-tools, and let this user open /dev/accel/*",
    tested_on=("tree of Gaudi 2", "capture of hl-smi of Gaudi 3"),
    service=ServiceNeeds(devices=("char-accel rw",), groups=("render",)),
)
DRIVERS = frozenset({"habanalabs"})
SECONDS = 5.0
INTERVAL_SECONDS = 1.0
"""The utilization is that of the last second; each run of hl-smi costs CPU time."""
_UNITS = {
    "memory.total": "MiB",
    "memory.used": "MiB",
    "power.draw": "W",
    "power.max": "W",
    "temperature.aip": "C",
    "utilization.aip": "%",
}
_TEXTS = ("bus_id", "uuid", "name", "driver_version")
_COLUMNS = (*_TEXTS, *_UNITS)
ARGUMENTS = ("-Q", ",".join(_COLUMNS), "-f", "csv,noheader")


class HlSmi(Program):
    """hl-smi, which fails without a folder for its own log: each run gets a private one, which is deleted."""

    def run(self, *arguments: str) -> str:
        """Return the standard output. Raises ReadError."""
        from tempfile import TemporaryDirectory  # noqa: PLC0415 - only hosts with such a card need it

        with TemporaryDirectory(prefix="inferometer-hl-smi-") as folder:
            self._environment["HABANA_LOGS"] = folder
            return super().run(*arguments)


def discover(roots: Roots, settings: SensorSettings = ALL_SENSORS) -> DiscoveryResult:
    """Find the cards of the driver habanalabs, and test their attributes and hl-smi with one read."""
    sysfs = Path(roots.sysfs)
    cards = devices_of_class(sysfs, "accel", DRIVERS) or devices_of_class(sysfs, "habanalabs", DRIVERS)
    if not cards:
        raise ProbeUnavailableError(f"no card of the driver habanalabs below {sysfs}/class/accel")
    found = [find_attributes("gaudi", card, _attributes(card), settings) for card in cards]
    return merged([*found, _find_printed(roots, settings, cards)])


def parse(output: str) -> dict[Hashable, float | None]:
    """Return the quantities that hl-smi prints by (address, column), in SI units.

    A row of another layout is left out.
    """
    return {
        (row["bus_id"], column): quantity(row[column], unit) for row in _rows(output) for column, unit in _UNITS.items()
    }


def _rows(output: str) -> Iterator[dict[str, str]]:
    """Yield the cells of each card, its address as the kernel writes it."""
    for line in output.splitlines():
        cells = [cell.strip() for cell in line.split(",")]
        if len(cells) == len(_COLUMNS) and (address := address_in(cells[0])):
            yield {**dict(zip(_COLUMNS, cells, strict=True)), "bus_id": address}


def _attributes(card: DriverDevice) -> Iterator[Attribute]:
    """Yield the clock and the power limit, which older drivers show in the folder of the class."""
    device = _device(card)
    clock = Channel(device, "card", "frequency_hertz", method="driver", resolution=1e6)
    limit = Channel(device, "card", "power_limit_watts", method="driver", resolution=0.001)
    folder = card.pci.folder if (card.pci.folder / "clk_cur_freq_mhz").exists() else card.entries[0]
    yield Gauge(clock, folder / "clk_cur_freq_mhz", times=1_000_000)
    yield Gauge(limit, folder / "max_power", over=1000)


def _device(card: DriverDevice, **attributes: str) -> Device:
    return card.as_device(Kind.ACCELERATOR, read_label(card.pci.folder / "device_type"), **attributes)


def _find_printed(roots: Roots, settings: SensorSettings, cards: Sequence[DriverDevice]) -> DiscoveryResult:
    """Return the probe of hl-smi for the cards that are not excluded."""
    entries = {card: settings.exclusions("gaudi/hl-smi", card.pci.address) for card in cards}
    excluded = frozenset(entry for found in entries.values() for entry in found)
    wanted = [card for card in cards if not entries[card]]
    if not wanted:
        return DiscoveryResult(excluded=excluded)
    if asleep := [card.pci.address for card in cards if card.pci.is_suspended]:
        return DiscoveryResult((), (sleeping("gaudi/hl-smi", "hl-smi", asleep),), excluded)
    try:
        program = HlSmi(find(roots, "hl-smi"), SECONDS)
        output = program.run(*ARGUMENTS)
    except ProbeUnavailableError as error:
        reason = f"utilization and memory are not read: {error.reason}"
        problem = Problem("gaudi/hl-smi", reason, FAMILY.remedy, is_unreadable=False)
        return DiscoveryResult((), (problem,), excluded)
    except ReadError as error:
        return DiscoveryResult((), (Problem("gaudi/hl-smi", str(error), FAMILY.remedy),), excluded)
    rows = {row["bus_id"]: row for row in _rows(output)}
    values = parse(output)
    problems = tuple(_unlisted(card, output) for card in wanted if card.pci.address not in rows)
    described = [
        each for card in wanted if card.pci.address in rows for each in _printed(card, rows[card.pci.address], values)
    ]
    kept, others = settings.select("gaudi/hl-smi", described, attrgetter("channel"))
    if not kept:
        return DiscoveryResult((), problems, excluded | others)
    statuses = [card.pci.runtime_status for card in cards]
    probe = CommandProbe("gaudi/hl-smi", program, ARGUMENTS, parse, kept, INTERVAL_SECONDS, runtime_statuses=statuses)
    return DiscoveryResult((probe,), problems, excluded | others)


def _printed(card: DriverDevice, row: Mapping[str, str], values: Mapping[Hashable, float | None]) -> Iterator[Printed]:
    """Yield the channels of a card that hl-smi has a value for now and hwmon does not read."""
    device = _device(card, uuid=one_line(row["uuid"]), driver_version=one_line(row["driver_version"]))
    limit = PLAUSIBLE_LIMIT_FACTOR * (values[card.pci.address, "power.max"] or 0.0)
    channels = {
        "power.draw": Channel(
            device, "card", "power_watts", method="instant", resolution=1.0, max_plausible=limit, aliased=True
        ),
        "utilization.aip": Channel(
            device, "card", "utilization_ratio", method="average", refresh_seconds=INTERVAL_SECONDS, resolution=0.01
        ),
        "memory.used": Channel(device, "memory", "memory_used_bytes", resolution=2.0**20),
        "memory.total": Channel(device, "memory", "memory_total_bytes", resolution=2.0**20),
        "temperature.aip": Channel(device, "card", "temperature_celsius", resolution=1.0),
    }
    in_hwmon = {"power.draw": "power", "temperature.aip": "temp"}
    for column, channel in channels.items():
        is_read = column in in_hwmon and card.has_hwmon(in_hwmon[column])
        if values[card.pci.address, column] is not None and not is_read:
            yield Printed(channel, (card.pci.address, column))


def _unlisted(card: DriverDevice, output: str) -> Problem:
    first = one_line(output.partition("\n")[0])[:80]
    reason = f"hl-smi does not list the card {card.pci.address}; it printed {first!r}"
    return Problem(f"gaudi/{card.pci.address}", reason, "update habanalabs-firmware-tools to the version of the driver")
