"""Reads Tenstorrent cards: clocks from sysfs, and from tt-smi the power of chips without a sensor in hwmon.

The second chip of an n300 has no PCI function, so that tt-smi alone shows it. Its power is that of the chip, not of the
board. Interfaces: the source of the driver (tt-kmd) and of tt-smi.
"""

from __future__ import annotations

from collections import Counter
from operator import attrgetter
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from probes.commands import CommandProbe, Program, find, sleeping
from probes.driver_devices import DriverDevice, address_in, devices_of_class
from probes.errors import ProbeUnavailableError, ReadError
from probes.family import Family, ServiceNeeds
from probes.integer_attributes import Gauge, find_attributes, merged
from probes.model import Channel, Device, DiscoveryResult, Kind, Problem, Roots
from probes.printed import Printed, json_in, quantity
from probes.settings import ALL_SENSORS, SensorSettings
from probes.sysfs import read_label
from probes.text import one_line

if TYPE_CHECKING:
    from collections.abc import Hashable, Iterator, Sequence

    from probes.integer_attributes import Attribute

FAMILY = Family(
    "tenstorrent",
    "Tenstorrent accelerators",
    (Kind.ACCELERATOR,),
    reads="clock; power, clock and temperature of chips that hwmon lacks, such as the second one of an n300",
    method="attributes of the driver tenstorrent; tt-smi",
    refresh="10 s for tt-smi",
    privilege="tt-smi and access to /dev/tenstorrent",
    remedy="install tt-smi in /usr/local/bin, and let this user open /dev/tenstorrent/*",
    tested_on=("tree of n150 and p300c", "capture of tt-smi of p300c"),
    service=ServiceNeeds(devices=("char-tenstorrent rw",)),
)
DRIVERS = frozenset({"tenstorrent"})
ARGUMENTS = ("-s", "--snapshot_no_tty")
SECONDS = 10.0
INTERVAL_SECONDS = 10.0
"""Each run of tt-smi costs more than a second of CPU time."""
_UNITS = {"power": "W", "aiclk": "MHz", "asic_temperature": "C"}
_TWO_CHIPS = "n300"


class Chip(NamedTuple):
    """A chip that tt-smi prints: its PCI address, or its board and its number there, and its texts."""

    id: str
    board_id: str
    board_type: str
    telemetry: dict[str, Any]


def discover(roots: Roots, settings: SensorSettings = ALL_SENSORS) -> DiscoveryResult:
    """Find the cards of the driver tenstorrent, and run tt-smi if hwmon lacks the power of a chip."""
    sysfs = Path(roots.sysfs)
    cards = devices_of_class(sysfs, "tenstorrent", DRIVERS)
    if not cards:
        raise ProbeUnavailableError(f"no card of the driver tenstorrent below {sysfs}/class/tenstorrent")
    found = [find_attributes("tenstorrent", card, _attributes(card), settings) for card in cards]
    lacking = [card for card in cards if _text(card, "tt_card_type").startswith(_TWO_CHIPS) or not _has_power(card)]
    if not lacking:
        return merged(found)
    if asleep := [card.pci.address for card in cards if card.pci.is_suspended]:
        return merged([*found, DiscoveryResult(problems=(sleeping("tenstorrent/tt-smi", "tt-smi", asleep),))])
    return merged([*found, _find_printed(roots, settings, cards)])


def chips_in(output: str) -> list[Chip]:
    """Return the chips of a snapshot of tt-smi. Raises ReadError if there is no JSON."""
    snapshot = json_in(output)
    listed = snapshot.get("device_info") if isinstance(snapshot, dict) else None
    numbers: Counter[str] = Counter()
    chips = []
    for each in listed if isinstance(listed, list) else ():
        board, telemetry = (_part(each, name) for name in ("board_info", "telemetry"))
        board_id = one_line(str(board.get("board_id") or ""))
        own = f"{board_id}-{numbers[board_id]}" if board_id.isalnum() else ""
        numbers[board_id] += 1
        if chip_id := address_in(str(board.get("bus_id") or "")) or own:
            chips.append(Chip(chip_id, board_id, one_line(str(board.get("board_type") or "")), telemetry))
    return chips


def parse(output: str) -> dict[Hashable, float | None]:
    """Return the quantities of a snapshot by (chip, name), in SI units. Raises ReadError."""
    return {
        (chip.id, name): quantity(chip.telemetry.get(name), unit)
        for chip in chips_in(output)
        for name, unit in _UNITS.items()
    }


def _part(entry: object, name: str) -> dict[str, Any]:
    part = entry.get(name) if isinstance(entry, dict) else None
    return part if isinstance(part, dict) else {}


def _text(card: DriverDevice, name: str) -> str:
    return read_label(card.entries[0] / name)


def _has_power(card: DriverDevice) -> bool:
    return card.has_hwmon("power")


def _device(card: DriverDevice) -> Device:
    known = {name: _text(card, f"tt_{name}") for name in ("card_type", "serial", "fw_bundle_ver")}
    return card.as_device(Kind.ACCELERATOR, **known)


def _attributes(card: DriverDevice) -> Iterator[Attribute]:
    clock = Channel(_device(card), "package", "frequency_hertz", method="driver", resolution=1e6)
    yield Gauge(clock, card.entries[0] / "tt_aiclk", times=1_000_000)


def _find_printed(roots: Roots, settings: SensorSettings, cards: Sequence[DriverDevice]) -> DiscoveryResult:
    """Return the probe of tt-smi for the chips whose power hwmon does not read."""
    name = "tenstorrent/tt-smi"
    if name in settings.exclude:
        return DiscoveryResult(excluded=frozenset({name}))
    try:
        program = Program(find(roots, "tt-smi"), SECONDS)
        output = program.run(*ARGUMENTS)
        chips, values = chips_in(output), parse(output)
    except ProbeUnavailableError as error:
        reason = f"the power of a chip that hwmon does not show is not read: {error.reason}"
        return DiscoveryResult((), (Problem(name, reason, FAMILY.remedy),))
    except ReadError as error:
        return DiscoveryResult((), (Problem(name, str(error), FAMILY.remedy),))
    known = {card.pci.address: card for card in cards}
    described = [
        Printed(channel, (chip.id, key))
        for chip in chips
        if chip.id not in known or not _has_power(known[chip.id])
        for key, channel in _channels(chip, known.get(chip.id)).items()
        if values[chip.id, key] is not None and not (key == "aiclk" and chip.id in known)
    ]
    if not described:
        reason = f"tt-smi prints no power of a chip that hwmon lacks; it printed {one_line(output[:80])!r}"
        return DiscoveryResult((), (Problem(name, reason, "update tt-smi and the firmware of the card"),))
    kept, excluded = settings.select(name, described, attrgetter("channel"))
    if not kept:
        return DiscoveryResult(excluded=excluded)
    statuses = [card.pci.runtime_status for card in cards]
    probe = CommandProbe(name, program, ARGUMENTS, parse, kept, INTERVAL_SECONDS, runtime_statuses=statuses)
    return DiscoveryResult((probe,), (), excluded)


def _channels(chip: Chip, card: DriverDevice | None) -> dict[str, Channel]:
    attributes = (("driver", "tenstorrent"), ("card_type", chip.board_type), ("board_id", chip.board_id))
    device = _device(card) if card else Device(chip.id, Kind.ACCELERATOR, chip.board_type, attributes)
    return {
        "power": Channel(device, "package", "power_watts", method="instant", resolution=1.0, aliased=True),
        "aiclk": Channel(device, "package", "frequency_hertz", resolution=1e6),
        "asic_temperature": Channel(device, "package", "temperature_celsius", resolution=0.1),
    }
