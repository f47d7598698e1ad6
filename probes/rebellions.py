"""Rebellions NPUs through their program `rbln-stat`.

Source of the format: the JSON that `rbln-stat --json` prints for RBLN-CA22 cards (driver 3.0.0).
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

_REMEDY = "install the Rebellions driver package, which contains rbln-stat"
FAMILY = Family(
    "rebellions",
    "Rebellions NPUs",
    (Kind.NPU,),
    reads="power, utilization, memory, temperature",
    method="the program rbln-stat",
    refresh="1 s",
    service=ServiceNeeds(devices=tuple(f"/dev/rbln{number} rw" for number in range(16))),
    tested_on=("capture of two RBLN-CA22 printed by a script",),
)


def parse_stat(text: str) -> tuple[PrintedCard, ...]:
    """Return the cards that rbln-stat prints; NPUs with one serial number share their card and its power.

    Raises ReadError if the text has no list of devices.
    """
    found = json_in(text)
    devices = found.get("devices") if isinstance(found, dict) else found
    if not isinstance(devices, list):
        raise ReadError("rbln-stat printed no list of devices")
    version = _text(found, "KMD_version") if isinstance(found, dict) else ""
    cards: dict[str, str] = {}
    return tuple(card for each in devices if isinstance(each, dict) for card in _card(each, cards, version))


def _card(each: dict[str, Any], cards: dict[str, str], version: str) -> Iterator[PrintedCard]:
    """Yield an NPU with a UUID; `cards` maps a serial number to the first NPU of its card, which has the power."""
    uuid, serial = _text(each, "uuid"), _text(each, "sid")
    if not uuid:
        return
    pci, memory = each.get("pci"), each.get("memory")
    address = _text(pci, "bus_id").lower() if isinstance(pci, dict) else ""
    publishes = cards.setdefault(serial or uuid, uuid) == uuid
    device = Device(
        uuid,
        Kind.NPU,
        _text(each, "name"),
        (
            ("pci_address", address),
            ("serial", serial),
            ("driver_version", version),
            ("firmware", _text(each, "fw_ver")),
        ),
    )
    values = {
        ("card", "power_watts"): quantity(each.get("card_power"), "W") if publishes else None,
        ("card", "utilization_ratio"): quantity(each.get("util"), "%"),
        ("card", "temperature_celsius"): quantity(each.get("temperature"), "C"),
    }
    if isinstance(memory, dict):
        for which in ("used", "total"):
            values["memory", f"memory_{which}_bytes"] = quantity(memory.get(which), "B")
    yield PrintedCard(device, values)


def _text(each: dict[str, Any], key: str) -> str:
    value = each.get(key)
    return one_line(value) if isinstance(value, str) else ""


PROGRAM = CardProgram("rebellions", Kind.NPU, 0x1EFF, "rbln-stat", ("/usr/bin",), ("--json",), parse_stat, _REMEDY)


def discover(roots: Roots, settings: SensorSettings = ALL_SENSORS) -> DiscoveryResult:
    """Find the cards that rbln-stat prints. Raises ProbeUnavailableError without a card."""
    return discover_cards(PROGRAM, roots, settings)
