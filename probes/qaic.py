"""Qualcomm Cloud AI 100 cards through their program `qaic-util`.

An Ultra card has four chips. Each is a PCI device, and each reports the power of the whole board beside its own.
Source of the format: tools/qaic-util of Qualcomm's open runtime, and outputs of SDK 1.18 and later.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from probes.errors import ReadError
from probes.family import Family, ServiceNeeds
from probes.model import Device, DiscoveryResult, Kind, Roots
from probes.pci import pci_devices
from probes.printed import quantity
from probes.printed_cards import CardProgram, PrintedCard, discover_cards
from probes.settings import ALL_SENSORS, SensorSettings
from probes.text import one_line

if TYPE_CHECKING:
    from collections.abc import Mapping

FAMILY = Family(
    "qaic",
    "Qualcomm Cloud AI 100 cards",
    (Kind.ACCELERATOR,),
    reads="power of the board and of each chip, memory, temperature",
    method="the program qaic-util",
    refresh="1 s",
    privilege="root, or the group qaic",
    remedy="install Qualcomm's platform SDK in /opt/qti-aic, and add this user to the group qaic",
    service=ServiceNeeds(devices=("char-accel rw",), groups=("qaic", "render")),
    tested_on=("text of the documented fields, with values of a capture of an Ultra card, printed by a script",),
)
_VENDOR = 0x17CB
_QID = re.compile(r"QID (\d{1,6})")
_ADDRESS = re.compile(r"[0-9a-f]{4,8}:[0-9a-f]{2}:[0-9a-f]{2}\.[0-7]")


@dataclass(slots=True)
class _Chip:
    """One chip (QID): its texts by the names that qaic-util prints."""

    texts: dict[str, str] = field(default_factory=dict)

    @property
    def address(self) -> str:
        """The PCI address, empty if it is not printed."""
        address = self.texts.get("PCI Address", "").lower()
        return address if _ADDRESS.fullmatch(address) else ""

    def number(self, *names: str, unit: str) -> float | None:
        """Return the first of several printed quantities in SI units, None if there is none."""
        found = (quantity(self.texts.get(name), unit) for name in names)
        return next((number for number in found if number is not None), None)


def parse_query(text: str, switches: Mapping[str, str]) -> tuple[PrintedCard, ...]:
    """Return the chips that `qaic-util -q` prints; the first chip of each board has the power of the board.

    `switches` maps the address of each chip to that of the PCI switch two bridges above it: the chips of an Ultra card
    without a serial number share it. Raises ReadError if the text has no chip with an address.
    """
    chips = [chip for chip in _chips(text) if chip.address]
    if not chips:
        raise ReadError("qaic-util printed no chip with a PCI address")
    boards: dict[str, list[_Chip]] = {}
    for chip in chips:
        boards.setdefault(_board_of(chip, switches), []).append(chip)
    return tuple(_card(chip, min(each.address for each in board), board) for board in boards.values() for chip in board)


def _chips(text: str) -> list[_Chip]:
    chips: list[_Chip] = []
    for line in text.splitlines():
        if _QID.fullmatch(line.strip()):
            chips.append(_Chip())
        elif chips:
            name, found, value = line.strip().partition(":")
            if found:
                chips[-1].texts.setdefault(name, one_line(value))
    return chips


def _board_of(chip: _Chip, switches: Mapping[str, str]) -> str:
    serial = chip.texts.get("Board serial", "")
    if serial.strip("0x- "):
        return f"serial {serial}"
    is_ultra = "ultra" in chip.texts.get("Sku Type", "").lower()
    return (is_ultra and switches.get(chip.address)) or chip.address


def _card(chip: _Chip, first: str, board: list[_Chip]) -> PrintedCard:
    """Return a chip; that with the address `first` has the power of the board, the highest that its chips report.

    A board at 0 W is one whose meter does not answer.
    """
    total, free = (_memory(chip.texts.get(f"Dram {name}")) for name in ("Total", "Free"))
    values = {
        ("soc", "power_watts"): chip.number("SOC power(Watts)", unit="W"),
        ("soc", "temperature_celsius"): chip.number("SoC temperature(degree C)", unit="C"),
        ("memory", "memory_total_bytes"): total,
        ("memory", "memory_used_bytes"): None if total is None or free is None else total - free,
    }
    limits = {"soc": chip.number("SOC TDP Cap(Watts)", unit="W") or 0.0}
    if chip.address == first:
        powers = [each.number("Board power(Watts)", unit="W") for each in board]
        values["board", "power_watts"] = max((watts for watts in powers if watts), default=None)
        limits["board"] = chip.number("Board TDP Cap(Watts)", "TDP Cap(Watts)", unit="W") or 0.0
    has_board = any(each.number("Board power(Watts)", unit="W") for each in board)
    outer = {"soc": ((first, "board"),)} if has_board else {}
    attributes = (("driver", "qaic"), ("pci_address", chip.address), ("serial", chip.texts.get("Board serial", "")))
    device = Device(chip.address, Kind.ACCELERATOR, chip.texts.get("Sku Type", ""), attributes)
    return PrintedCard(device, values, limits, outer)


def _memory(text: str | None) -> float | None:
    """Return an amount in bytes; qaic-util prints kibibytes as KB."""
    return quantity((text or "").replace(" KB", " KiB"), "KiB")


def discover(roots: Roots, settings: SensorSettings = ALL_SENSORS) -> DiscoveryResult:
    """Find the cards that qaic-util prints. Raises ProbeUnavailableError without a card."""
    chips = pci_devices(Path(roots.sysfs), _VENDOR)
    switches = {chip.address: chip.folder.parent.parent.name for chip in chips if chip.bridge}
    program = CardProgram(
        "qaic",
        Kind.ACCELERATOR,
        _VENDOR,
        "qaic-util",
        ("/opt/qti-aic/tools",),
        ("-q",),
        partial(parse_query, switches=switches),
        FAMILY.remedy,
    )
    return discover_cards(program, roots, settings)
