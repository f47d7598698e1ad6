"""Furiosa NPUs through their program `furiosa-smi`.

Source of the format: the documentation of furiosa-smi 2025.1 to 2026.1. Its power has a step of 1 W.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from probes.errors import ReadError
from probes.family import Family, ServiceNeeds
from probes.model import Device, DiscoveryResult, Kind, Roots
from probes.printed import json_in, quantity
from probes.printed_cards import CardProgram, PrintedCard, discover_cards
from probes.settings import ALL_SENSORS, SensorSettings
from probes.text import one_line

if TYPE_CHECKING:
    from collections.abc import Iterator

_REMEDY = "install the package furiosa-smi"
FAMILY = Family(
    "furiosa",
    "Furiosa NPUs",
    (Kind.NPU,),
    reads="power, clock, temperature",
    method="the program furiosa-smi",
    refresh="1 s",
    service=ServiceNeeds(devices=tuple(f"/dev/rngd/npu{number}mgmt rw" for number in range(8))),
    tested_on=("text in the documented format, with values of a capture of an RNGD, printed by a script",),
)


def parse_cards(text: str) -> tuple[PrintedCard, ...]:
    """Return the cards of `furiosa-smi info --format json`. Raises ReadError if the text has no list of them."""
    found = json_in(text)
    if not isinstance(found, list):
        raise ReadError("furiosa-smi printed no list of devices")
    return tuple(card for each in found if isinstance(each, dict) for card in _card(each))


def _card(each: dict[str, Any]) -> Iterator[PrintedCard]:
    texts = {key: one_line(value) for key, value in each.items() if isinstance(value, str)}
    if not texts.get("device_uuid"):
        return
    attributes = (
        ("pci_address", texts.get("pci_bdf", "").lower()),
        ("serial", texts.get("device_sn", "")),
        ("firmware", texts.get("firmware", "")),
    )
    yield PrintedCard(
        Device(texts["device_uuid"], Kind.NPU, texts.get("arch", ""), attributes),
        {
            ("card", "power_watts"): quantity(each.get("power"), "W"),
            ("core", "frequency_hertz"): quantity(each.get("core_clock"), "MHz"),
            ("core", "temperature_celsius"): quantity(each.get("temperature"), "C"),
        },
    )


PROGRAM = CardProgram(
    "furiosa",
    Kind.NPU,
    0x1ED2,
    "furiosa-smi",
    ("/usr/bin",),
    ("info", "--format", "json"),
    parse_cards,
    _REMEDY,
    version=("version",),
)


def discover(roots: Roots, settings: SensorSettings = ALL_SENSORS) -> DiscoveryResult:
    """Find the cards that furiosa-smi prints. Raises ProbeUnavailableError without a card."""
    return discover_cards(PROGRAM, roots, settings)
