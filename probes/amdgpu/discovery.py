"""Finds AMD's GPUs, and the sensors of each that hwmon lacks.

A card split into partitions (CPX) has several DRM devices and one PCI device, whose sensors are read once.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, replace
from functools import partial
from operator import attrgetter
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from probes.amdgpu.metrics_table import MOST_BYTES, MetricsTable, decode
from probes.amdgpu.probe import AmdGpuProbe, TableReader
from probes.amdgpu.sensors import (
    BASEBOARD,
    BASEBOARD_FILE,
    Place,
    ReducedTime,
    attributes,
    baseboard_power,
    table_sensors,
)
from probes.attributes import UNSUPPORTED, open_attributes, open_file
from probes.deadline import NoAnswerError, within
from probes.errors import ProbeUnavailableError
from probes.fdinfo import ClientShares
from probes.hwmon import chips
from probes.model import Device, DiscoveryResult, Kind, Problem, Roots
from probes.pci import PciDevice, nearest_package, pci_devices
from probes.plausibility import PLAUSIBLE_LIMIT_FACTOR, highest_limit_watts
from probes.remedies import remedy_for
from probes.settings import ALL_SENSORS, SensorSettings
from probes.sysfs import no_answer, read_int, read_label

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from probes.attributes import OpenAttribute

    _Opened = tuple[AmdGpuProbe | None, frozenset[str], list[Problem]]

T = TypeVar("T")
_VENDOR = 0x1002
_DRIVER = "amdgpu"
_HEADER_BYTES = 4
CARD_SECONDS = 2.0
"""A card whose files cannot be read within this time counts as hanging and delays no other."""


@dataclass(frozen=True, slots=True)
class _Card:
    """One card: its place, its table, the problems with it, and whether it shows the power of its baseboard."""

    pci: PciDevice
    place: Place
    table: MetricsTable | None = None
    problems: tuple[Problem, ...] = ()
    shows_baseboard: bool = False


def discover(roots: Roots, settings: SensorSettings = ALL_SENSORS) -> DiscoveryResult:
    """Find the cards of the driver amdgpu, and test each file with one read.

    The files of a suspended or excluded card are not read. Raises ProbeUnavailableError if there is no such card.
    """
    sysfs = Path(roots.sysfs)
    listed = [pci for pci in pci_devices(sysfs, _VENDOR) if pci.driver == _DRIVER]
    if not listed:
        raise ProbeUnavailableError(f"no PCI device below {sysfs}/bus/pci/devices has the driver {_DRIVER}")
    excluded: frozenset[str] = frozenset()
    problems: list[Problem] = []
    cards: list[_Card] = []
    for pci in listed:
        entries = settings.exclusions(_name(pci), pci.address)
        excluded |= entries
        if not entries and (card := _within(partial(_survey, sysfs, pci, settings), pci, problems, _nothing_open)):
            cards.append(card)
    probes = []
    for card in _with_baseboards(cards):
        found = _within(partial(_opened, card, roots, settings), card.pci, problems, _close)
        if found:
            probe, entries, failed = found
            excluded |= entries
            problems += failed
            probes += [probe] if probe else []
    return DiscoveryResult(tuple(probes), tuple(problems), excluded)


def _name(pci: PciDevice) -> str:
    return f"amdgpu/{pci.address}"


def _within(call: Callable[[], T], pci: PciDevice, problems: list[Problem], discard: Callable[[T], object]) -> T | None:
    """Return the result of a call, None with a problem if the card does not answer in time."""
    try:
        return within(CARD_SECONDS, call, f"open-{pci.address}", discard)
    except NoAnswerError:
        reason = f"its files did not answer within {CARD_SECONDS:g} s"
        problems.append(Problem(_name(pci), reason, remedy_for(no_answer())))
        return None


def _nothing_open(_: _Card) -> None:
    """A survey leaves nothing open."""


def _close(found: _Opened) -> None:
    if found[0]:
        found[0].close()


def _survey(sysfs: Path, pci: PciDevice, settings: SensorSettings) -> _Card:
    """Read the table of a card once, unless it sleeps, and determine the extent of its power."""
    asleep = pci.is_suspended
    raw, problems = (b"", ()) if asleep else _table(pci)
    table = decode(raw)
    chip = next((at for at in sorted(pci.folder.glob("hwmon/hwmon*")) if read_label(at / "name") == _DRIVER), None)
    label = read_label(chip / "in1_label") if chip else ""
    named = chips.full_name(_DRIVER, label, pci.device, raw[2] if len(raw) >= _HEADER_BYTES else None)
    where = chips.place(named, "", "package", (nearest_package(sysfs, pci.folder) or 0,))
    powers = [chip / f"power1_{form}" for form in ("input", "average")] if chip else []
    has_power = not settings.excludes(f"hwmon/{pci.address}") and any(path.exists() for path in powers)
    limits = [read_int(chip / f"power1_{limit}") for limit in ("cap", "cap_max")] if chip and not asleep else []
    limit = PLAUSIBLE_LIMIT_FACTOR * highest_limit_watts(limits, 1_000_000, Kind.GPU)
    place = Place(
        device=_device(pci, has_chip=bool(chip)),
        domain=where.domain,
        outer=where.outer,
        pci_device=pci.device,
        chip=f"hwmon/{chip.name}" if chip else "",
        has_power=has_power,
        limit_watts=limit,
    )
    watts = None if asleep else read_int(pci.folder / BASEBOARD_FILE)
    return _Card(pci, place, table, problems, bool(watts and watts > 0))


def _device(pci: PciDevice, *, has_chip: bool) -> Device:
    """Return the same device as hwmon for this card."""
    known = {
        "driver": pci.driver,
        "pci_address": pci.address,
        "chip": _DRIVER if has_chip else "",
        "unique_id": read_label(pci.folder / "unique_id"),
    }
    name = read_label(pci.folder / "product_name") or _DRIVER
    return Device(pci.address, Kind.GPU, name, tuple((key, value) for key, value in known.items() if value))


def _table(pci: PciDevice) -> tuple[bytes, tuple[Problem, ...]]:
    """Return the contents of the table, empty with a problem if a table that exists cannot be read or decoded."""
    path = pci.folder / "gpu_metrics"
    try:
        with path.open("rb", buffering=0) as file:
            raw = file.read(MOST_BYTES) or b""
    except OSError as error:
        if error.errno in UNSUPPORTED:
            return b"", ()
        reason = f"its table gpu_metrics cannot be read ({error.strerror}), so its energy is not measured"
        return b"", (Problem(_name(pci), reason, remedy_for(error)),)
    if decode(raw) or len(raw) < _HEADER_BYTES:
        return raw, ()
    reason = f"its table gpu_metrics has the unknown format {raw[2]}.{raw[3]} of {len(raw)} bytes, so it is not read"
    remedy = "nothing to do: hwmon reads its power; report this line to have the format added"
    return raw, (Problem(_name(pci), reason, remedy, is_unreadable=False),)


def _with_baseboards(cards: Iterable[_Card]) -> list[_Card]:
    """Place the cards of an MI350 baseboard into it, and let the first card that shows its power publish it.

    Without the energy of each card the power of the baseboard would be added to that of the cards, which hwmon reads,
    so it is left out.
    """
    models: dict[int, list[_Card]] = defaultdict(list)
    for card in cards:
        models[card.pci.device].append(card)
    found: list[_Card] = []
    for members in models.values():
        first = next((card for card in members if card.shows_baseboard), None)
        if first is None or not all(card.table and card.table.energy for card in members):
            found += [replace(card, shows_baseboard=False) for card in members]
            continue
        board = (first.pci.address, BASEBOARD)
        for card in members:
            place = replace(card.place, outer=(board, *card.place.outer))
            found.append(replace(card, place=place, shows_baseboard=card is first))
    return sorted(found, key=lambda card: card.pci.address)


def _opened(card: _Card, roots: Roots, settings: SensorSettings) -> _Opened:
    """Open the files of a card; return its probe (None without a channel), the exclusions in effect, the problems."""
    name, problems = _name(card.pci), list(card.problems)
    wanted = [*attributes(card.place), *([baseboard_power(card.place.device)] if card.shows_baseboard else [])]
    kept, excluded = settings.select(name, wanted, attrgetter("channel"))
    opened = open_attributes(card.pci.folder, kept, problems, prove=not card.pci.is_suspended)
    table, entries = _table_reader(card, settings, opened, problems)
    if not table and not opened:
        return None, excluded | entries, problems
    kfd = Path(roots.sysfs) / "class/kfd/kfd/proc"
    users = ClientShares(Path(roots.procfs), card.pci.address, kfd)
    probe = AmdGpuProbe(name, card.place.device, table, opened, card.pci.runtime_status, users)
    return probe, excluded | entries, problems


def _table_reader(
    card: _Card, settings: SensorSettings, opened: Sequence[OpenAttribute], problems: list[Problem]
) -> tuple[TableReader | None, frozenset[str]]:
    if card.table is None:
        return None, frozenset()
    shown = {(each.attribute.channel.domain, each.attribute.channel.metric) for each in opened}
    has_activity = (card.place.domain, "utilization_ratio") in shown
    wanted = table_sensors(card.place, card.table, has_activity=has_activity)
    sensors, excluded = settings.select(_name(card.pci), wanted, attrgetter("channel"))
    reduced = ReducedTime(card.place.device) if card.table.cycles is not None else None
    if not sensors and not reduced:
        return None, excluded
    file = open_file(card.pci.folder / "gpu_metrics", MOST_BYTES, problems, prove=False)
    return (TableReader(file, sensors, reduced) if file else None), excluded
