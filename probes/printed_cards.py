"""Discovers the cards whose readings a program of their vendor prints: one probe for all cards of one program."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING

from probes.commands import CommandProbe, Program, find
from probes.errors import ProbeUnavailableError, ReadError
from probes.model import Channel, Device, DiscoveryResult, Problem
from probes.pci import pci_devices
from probes.plausibility import PLAUSIBLE_LIMIT_FACTOR
from probes.printed import Printed
from probes.text import one_line

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable, Mapping, Sequence

    from probes.model import Kind, Roots
    from probes.pci import PciDevice
    from probes.settings import SensorSettings

RUN_SECONDS = 5.0
"""The time limit of each run; the programs take 0.1 to 2 s."""
_RESOLUTIONS = {"utilization_ratio": 0.001, "temperature_celsius": 0.01}


@dataclass(frozen=True, slots=True)
class PrintedCard:
    """A device and its values in SI units by (domain, metric), None for each that is not available now.

    `limits` are the power limits of domains in watts; `outer` are the (device, domain) pairs that contain a domain.
    """

    device: Device
    values: Mapping[tuple[str, str], float | None]
    limits: Mapping[str, float] = field(default_factory=dict)
    outer: Mapping[str, tuple[tuple[str, str], ...]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class CardProgram:
    """The program of a vendor: family and kind of its cards, PCI vendor number, name, folders, arguments, parser.

    `parse` is pure and raises only ReadError. `version` are the arguments that print the version, () if none do.
    `interval_seconds` is the shortest time between two runs, each of which costs CPU time. `remedy` is the way to let
    this user run it.
    """

    family: str
    kind: Kind
    vendor: int
    name: str
    folders: tuple[str, ...]
    arguments: tuple[str, ...]
    parse: Callable[[str], Sequence[PrintedCard]]
    remedy: str
    version: tuple[str, ...] = ()
    interval_seconds: float = 1.0


def discover_cards(program: CardProgram, roots: Roots, settings: SensorSettings) -> DiscoveryResult:
    """Run the program once if a card of its vendor is on the PCI bus.

    Raises ProbeUnavailableError without a card. A missing or failing program is a problem of each card.
    """
    cards = pci_devices(Path(roots.sysfs), program.vendor)
    if not cards:
        raise ProbeUnavailableError(f"no card of the PCI vendor {program.vendor:#06x} is installed")
    if asleep := [card for card in cards if card.is_suspended]:
        reason = f"it sleeps, and {program.name} would wake it"
        problems = (
            replace(_problem(program, card, reason), remedy="use the card, and search again") for card in asleep
        )
        return DiscoveryResult(problems=tuple(problems))
    try:
        found = Program(find(roots, program.name, *program.folders), RUN_SECONDS)
        printed = program.parse(found.run(*program.arguments))
    except (ProbeUnavailableError, ReadError) as error:
        return DiscoveryResult(problems=tuple(_problem(program, card, str(error)) for card in cards))
    version = version_of(found, program.version)
    listed = [each for card in printed for each in _channels(program, card, version)]
    kept, excluded = settings.select(program.family, listed, lambda each: each.channel)
    if not kept:
        found.close()
        none = () if excluded else tuple(_problem(program, card, f"{program.name} prints no value") for card in cards)
        return DiscoveryResult(problems=none, excluded=excluded)
    statuses = [card.runtime_status for card in cards]
    parse, interval_seconds = _by_key(program.parse), program.interval_seconds
    probe = CommandProbe(
        program.family, found, program.arguments, parse, kept, interval_seconds, runtime_statuses=statuses
    )
    return DiscoveryResult((probe,), excluded=excluded)


def _by_key(parse: Callable[[str], Sequence[PrintedCard]]) -> Callable[[str], Mapping[Hashable, float | None]]:
    """Return a parser to one mapping of all values, by (device id, domain, metric)."""

    def parsed(text: str) -> Mapping[Hashable, float | None]:
        return {
            (card.device.id, domain, metric): value
            for card in parse(text)
            for (domain, metric), value in card.values.items()
        }

    return parsed


def _channels(program: CardProgram, card: PrintedCard, version: str) -> list[Printed]:
    """Return the channels of the values that a card has now."""
    attributes = (*card.device.attributes, *((("tool", f"{program.name} {version}"),) if version else ()))
    device = replace(card.device, attributes=tuple((name, value) for name, value in attributes if value))
    return [
        Printed(
            Channel(
                device,
                domain,
                metric,
                method="instant" if metric == "power_watts" else "",
                refresh_seconds=program.interval_seconds,
                resolution=_RESOLUTIONS.get(metric, 0.0),
                contained_in=card.outer.get(domain, ()) if metric == "power_watts" else (),
                max_plausible=PLAUSIBLE_LIMIT_FACTOR * card.limits.get(domain, 0.0) if metric == "power_watts" else 0.0,
            ),
            (device.id, domain, metric),
        )
        for (domain, metric), value in card.values.items()
        if value is not None
    ]


def version_of(program: Program, arguments: tuple[str, ...]) -> str:
    """Return the first line of the program's version, empty if it prints none."""
    with suppress(ReadError):
        if arguments:
            return one_line(program.run(*arguments).strip().partition("\n")[0])
    return ""


def _problem(program: CardProgram, card: PciDevice, reason: str) -> Problem:
    device = Device(card.address, program.kind, "", (("driver", card.driver), ("pci_address", card.address)))
    return Problem(
        f"{program.family}/{card.address}", reason, program.remedy, device=Channel(device, "card", "utilization_ratio")
    )
