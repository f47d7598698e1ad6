"""Reads Huawei Ascend NPUs from npu-smi: power of each card; utilization, memory and temperature of each chip.

Interface: Huawei's command reference of npu-smi, whose tables differ between versions; a row of an unknown layout is
left out. A card with two chips has one power, which the table prints in the row of its first chip. Cards whose power
the table lacks (310P) show that of their controller (`mcu`) instead.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from operator import attrgetter
from pathlib import Path
from typing import TYPE_CHECKING

from probes.commands import CommandProbe, Program, find
from probes.driver_devices import address_in
from probes.errors import ProbeUnavailableError, ReadError
from probes.family import Family, ServiceNeeds
from probes.integer_attributes import merged
from probes.model import Channel, Device, DiscoveryResult, Kind, Problem, Roots
from probes.printed import Printed, quantity
from probes.settings import ALL_SENSORS, SensorSettings
from probes.text import one_line

if TYPE_CHECKING:
    from collections.abc import Hashable, Iterator, Sequence

_CARDS = tuple(f"davinci{number}" for number in range(16))
FAMILY = Family(
    "ascend",
    "Huawei Ascend NPUs",
    (Kind.NPU,),
    reads="power of each card; utilization, memory and temperature of each chip",
    method="npu-smi",
    refresh="2 s",
    privilege="root, or the group HwHiAiUser",
    remedy="run as root or as a member of the group HwHiAiUser; install the driver with npu-smi",
    tested_on=("captures of npu-smi of 910 and 310P",),
    service=ServiceNeeds(
        devices=tuple(f"/dev/{node} rw" for node in ("davinci_manager", "devmm_svm", "hisi_hdc", *_CARDS)),
        groups=("HwHiAiUser",),
    ),
)
SECONDS = 10.0
INTERVAL_SECONDS = 2.0
"""Each run of npu-smi takes a large part of a second."""
TABLE = ("info",)
_LIBRARIES = "/usr/local/Ascend/driver/lib64"
_ENVIRONMENT = {"LD_LIBRARY_PATH": ":".join((_LIBRARIES, f"{_LIBRARIES}/common", f"{_LIBRARIES}/driver"))}
_POWER_LABELS = frozenset({"NPU Real-time Power(W)", "Power Dissipation(W)"})
_CELLS = 3


@dataclass(frozen=True, slots=True)
class Chip:
    """A chip of the table: its identity, the number and the first chip of its card, and its values in SI units.

    `version` is that of the program.
    """

    id: str
    card: str
    first: str
    name: str
    address: str
    version: str
    values: dict[str, float | None]


def discover(roots: Roots, settings: SensorSettings = ALL_SENSORS) -> DiscoveryResult:
    """Find the chips that npu-smi lists, and test it with one run."""
    if not any(Path(roots.dev).glob("davinci[0-9]*")):
        raise ProbeUnavailableError(f"no {roots.dev}/davinci*, the device of an Ascend NPU")
    if FAMILY.name in settings.exclude:
        return DiscoveryResult(excluded=frozenset({FAMILY.name}))
    try:
        program = Program(find(roots, "npu-smi"), SECONDS, _ENVIRONMENT)
        chips = chips_in(output := program.run(*TABLE))
    except ProbeUnavailableError as error:
        return DiscoveryResult((), (Problem("ascend/npu-smi", error.reason, FAMILY.remedy),))
    except ReadError as error:
        return DiscoveryResult((), (Problem("ascend/npu-smi", str(error), FAMILY.remedy),))
    if not chips:
        reason = f"npu-smi lists no chip in a known layout; it printed {one_line(output[:80])!r}"
        return DiscoveryResult((), (Problem("ascend/npu-smi", reason, "report the output of `npu-smi info`"),))
    kept, excluded = settings.select("ascend/npu-smi", list(_described(chips)), attrgetter("channel"))
    probes = (CommandProbe("ascend/npu-smi", program, TABLE, parse, kept, INTERVAL_SECONDS),) if kept else ()
    found = DiscoveryResult(probes, (), excluded)
    without_power = [chip for chip in chips if chip.id == chip.first and chip.values["power"] is None]
    return merged([found, *(_card(roots, chip, settings) for chip in without_power)])


def chips_in(output: str) -> list[Chip]:
    """Return the chips of the table of `npu-smi info`: two lines each, the second one with the address."""
    chips: list[Chip] = []
    first: dict[str, str] = {}
    above: list[list[str]] = []
    version = re.search(r"npu-smi +(\S{1,32})", output, re.IGNORECASE)
    for line in output.splitlines():
        cells = [cell.split() for cell in line.strip().strip("|").split("|")] if line.lstrip().startswith("|") else []
        address = address_in(cells[1][0]) if len(cells) == _CELLS and len(cells[1]) == 1 else ""
        if address and _is_first_line(above) and cells[0] and _is_load(cells[2]):
            (card, *name), _, (watts, degrees, *_) = above
            is_shared = any(chip.address == address for chip in chips)
            chip_id = f"{address}-{one_line(cells[0][0])}" if is_shared else address
            values = {"power": quantity(watts, "W"), "celsius": quantity(degrees, "C"), **_load(cells[2])}
            facts = (one_line(" ".join(name)), address, one_line(version[1]) if version else "")
            chips.append(Chip(chip_id, card, first.setdefault(card, chip_id), *facts, values))
        above = cells
    return chips


def parse(output: str) -> dict[Hashable, float | None]:
    """Return the quantities of the table by (chip, name), in SI units."""
    return {(chip.id, name): value for chip in chips_in(output) for name, value in chip.values.items()}


def parse_common(output: str) -> dict[Hashable, float | None]:
    """Return the power of a card in `npu-smi info -t common`: that of its one chip, else that of its controller.

    The controller shows another view of the same power, so that both are never added. It is None if several chips have
    one, as their relation to the card is unknown.
    """
    of_chips: list[float | None] = []
    of_controller: list[float | None] = []
    values = of_chips
    for line in output.splitlines():
        label, _, text = (part.strip() for part in line.partition(":"))
        if label == "Chip Name":
            values = of_controller if text.lower() == "mcu" else []
        elif label == "Chip ID":
            values = of_chips
        elif label in _POWER_LABELS:
            values.append(quantity(text, "W"))
    found = of_chips or of_controller
    return {"power": found[0] if len(found) == 1 else None}


def _is_first_line(cells: Sequence[Sequence[str]]) -> bool:
    """Return whether these are the cells of a chip's first line: number and name, health, `178.5  36  0 / 0`.

    A missing word would move the others into its place, so that the number of words is checked.
    """
    if len(cells) != _CELLS or len(cells[0]) < 2 or not cells[0][0].isdigit():  # noqa: PLR2004 - number and name
        return False
    return len(cells[2]) == 5 and cells[2][3] == "/"  # noqa: PLR2004 - power, temperature and two huge pages


def _is_load(words: Sequence[str]) -> bool:
    """Return whether this is `0  839 / 15170` or `0  0 / 0  3416 / 65536`: utilization and one or two memories."""
    return len(words) in {4, 7} and set(words[2::3]) == {"/"}


def _load(cells: Sequence[str]) -> dict[str, float | None]:
    """Return utilization and memory of `0  0 / 0  3416 / 65536`: that on the chip if there are two."""
    numbers = [cell for cell in cells[1:] if cell != "/"]
    pairs = list(zip(numbers[::2], numbers[1::2], strict=False))
    known = [(quantity(used, "MiB"), quantity(total, "MiB")) for used, total in pairs]
    used, total = next(((used, total) for used, total in reversed(known) if total), (None, None))
    return {"aicore": quantity(cells[0], "%"), "used": used, "total": total}


def _described(chips: Sequence[Chip]) -> Iterator[Printed]:
    for chip in chips:
        device, card = _device(chip), ((chip.first, "card"),)
        if chip.id == chip.first and chip.values["power"] is not None:
            yield Printed(_power(device), (chip.id, "power"))
        channels = {
            "aicore": Channel(device, "chip", "utilization_ratio", resolution=0.01, contained_in=card),
            "used": Channel(device, "chip", "memory_used_bytes", resolution=2.0**20, contained_in=card),
            "total": Channel(device, "chip", "memory_total_bytes", resolution=2.0**20, contained_in=card),
            "celsius": Channel(device, "chip", "temperature_celsius", resolution=1.0, contained_in=card),
        }
        yield from (
            Printed(channel, (chip.id, name)) for name, channel in channels.items() if chip.values[name] is not None
        )


def _device(chip: Chip) -> Device:
    attributes = (("driver", "ascend"), ("pci_address", chip.address), ("card", chip.card), ("npu_smi", chip.version))
    return Device(chip.id, Kind.NPU, chip.name, attributes)


def _power(device: Device) -> Channel:
    return Channel(device, "card", "power_watts", method="instant", resolution=0.1, aliased=True)


def _card(roots: Roots, chip: Chip, settings: SensorSettings) -> DiscoveryResult:
    """Return the probe of a card whose power the table lacks, or its problem."""
    name = f"ascend/{chip.id}"
    if entries := settings.exclusions(name, chip.id, "card"):
        return DiscoveryResult(excluded=entries)
    arguments = ("info", "-t", "common", "-i", chip.card)
    program = Program(find(roots, "npu-smi"), SECONDS, _ENVIRONMENT)
    printed = Printed(_power(_device(chip)), "power")
    try:
        found = parse_common(program.run(*arguments))["power"]
    except ReadError as error:
        return DiscoveryResult((), (Problem(name, str(error), FAMILY.remedy, device=_stand_in(chip)),))
    if found is None:
        reason, remedy = "npu-smi shows no power of this card", "update the driver and its npu-smi"
        return DiscoveryResult((), (Problem(name, reason, remedy, device=_stand_in(chip)),))
    probe = CommandProbe(name, program, arguments, parse_common, [printed], INTERVAL_SECONDS)
    return DiscoveryResult((probe,))


def _stand_in(chip: Chip) -> Channel:
    return Channel(_device(chip), "card", "utilization_ratio")
