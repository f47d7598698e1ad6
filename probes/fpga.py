"""Reads the power of AMD Alveo cards whose driver shows none in hwmon: from its older attribute, or from xrt-smi.

The two functions of a card, management and user, show the same sensors; the user function (driver xocl) is read.
Interfaces: the source and the documentation of XRT. Altera's boards show their power in hwmon.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from probes.commands import MOST_BYTES, CommandProbe, Program, find, sleeping
from probes.driver_devices import DriverDevice, address_in, devices_of_driver
from probes.errors import ProbeUnavailableError, ReadError
from probes.family import Family, ServiceNeeds
from probes.integer_attributes import Gauge, find_attributes, merged
from probes.model import Channel, DiscoveryResult, Kind, Problem, Roots
from probes.plausibility import PLAUSIBLE_LIMIT_FACTOR
from probes.printed import Printed, json_in, quantity
from probes.settings import ALL_SENSORS, SensorSettings

if TYPE_CHECKING:
    from collections.abc import Hashable

FAMILY = Family(
    "fpga",
    "AMD Alveo cards",
    (Kind.FPGA,),
    reads="power of cards without power in hwmon",
    method="attribute of XRT's controller (xmc); xrt-smi or xbutil",
    refresh="1 s",
    privilege="access to /dev/dri for xrt-smi",
    remedy="install XRT, and let this user open /dev/dri/renderD* (group render)",
    tested_on=("tree of U200 and VCK5000", "report of xbutil in the documented form"),
    service=ServiceNeeds(devices=("char-drm rw",), groups=("render",)),
)
FOLDER = "/opt/xilinx/xrt/bin"
PROGRAMS = ("xrt-smi", "xbutil")
SECONDS = 10.0
INTERVAL_SECONDS = 2.0
"""Each report takes about a second."""


class ReportProgram(Program):
    """A program that prints its report only to a file, which must not exist yet."""

    def run(self, *arguments: str) -> str:
        """Return the report, which is written to a private folder and deleted. Raises ReadError."""
        from tempfile import TemporaryDirectory  # noqa: PLC0415 - only hosts with such a card need it

        with TemporaryDirectory(prefix="inferometer-report-") as folder:
            report = Path(folder) / "report.json"
            super().run(*arguments, "--output", str(report))
            try:
                with report.open("rb") as file:
                    content = file.read(MOST_BYTES + 1)
            except OSError as error:
                raise ReadError(f"{self.path} wrote no report: {error.strerror or error}") from error
        if len(content) > MOST_BYTES:
            raise ReadError(f"{self.path} wrote more than {MOST_BYTES} bytes")
        return content.decode(errors="replace")


def discover(roots: Roots, settings: SensorSettings = ALL_SENSORS) -> DiscoveryResult:
    """Find the cards of the driver xocl that hwmon does not read, and test each with one read."""
    sysfs = Path(roots.sysfs)
    cards = devices_of_driver(sysfs, "xocl")
    if not cards:
        raise ProbeUnavailableError(f"no Alveo card of the driver xocl below {sysfs}/bus/pci/drivers")
    management = {card.pci.address[:-2]: card for card in devices_of_driver(sysfs, "xclmgmt")}
    lacking = [card for card in cards if not _is_in_hwmon(card, management.get(card.pci.address[:-2]))]
    if not lacking:
        raise ProbeUnavailableError("hwmon reads the power of every Alveo card")
    return merged(_find(roots, card, settings) for card in lacking)


def parse(report: str) -> dict[Hashable, float | None]:
    """Return the power, and the highest power, of each card in a report, in watts by (address, name).

    Raises ReadError if the report is no JSON.
    """
    found = json_in(report)
    devices = found.get("devices") if isinstance(found, dict) else None
    values: dict[Hashable, float | None] = {}
    for device in devices if isinstance(devices, list) else ():
        electrical = device.get("electrical") if isinstance(device, dict) else None
        if isinstance(electrical, dict) and (address := address_in(str(device.get("device_id") or ""))):
            values[address, "power"] = quantity(electrical.get("power_consumption_watts"), "W")
            values[address, "highest"] = quantity(electrical.get("power_consumption_max_watts"), "W")
    return values


def _is_in_hwmon(card: DriverDevice, management: DriverDevice | None) -> bool:
    return any(each is not None and each.has_hwmon("power") for each in (card, management))


def _find(roots: Roots, card: DriverDevice, settings: SensorSettings) -> DiscoveryResult:
    channel = Channel(card.as_device(Kind.FPGA), "card", "power_watts", method="instant", refresh_seconds=1.0)
    paths = sorted(card.pci.folder.glob("xmc.*/xmc_power"))
    if paths:
        return find_attributes("fpga", card, [Gauge(channel, paths[0], over=1_000_000)], settings)
    name = f"fpga/{card.pci.address}"
    if entries := settings.exclusions(name, card.pci.address, "card"):
        return DiscoveryResult(excluded=entries)
    arguments = ("examine", "-d", card.pci.address, "-r", "electrical", "-f", "JSON")
    stand_in = Channel(channel.device, "card", "utilization_ratio")
    if card.pci.is_suspended:
        problem = replace(sleeping(name, "xrt-smi", [card.pci.address]), device=stand_in)
        return DiscoveryResult((), (problem,))
    try:
        program = ReportProgram(_program(roots), SECONDS)
        values = parse(program.run(*arguments))
    except (ProbeUnavailableError, ReadError) as error:
        return DiscoveryResult((), (Problem(name, str(error), FAMILY.remedy, device=stand_in),))
    if values.get((card.pci.address, "power")) is None:
        reason = f"{program.path.name} reports no power of this card"
        remedy = "see the output of `xrt-smi examine -r electrical`; the shell of the card may lack a controller"
        return DiscoveryResult((), (Problem(name, reason, remedy, device=stand_in),))
    limit = PLAUSIBLE_LIMIT_FACTOR * (values.get((card.pci.address, "highest")) or 0.0)
    printed = Printed(replace(channel, max_plausible=limit, aliased=True), (card.pci.address, "power"))
    probe = CommandProbe(
        name, program, arguments, parse, [printed], INTERVAL_SECONDS, runtime_statuses=[card.pci.runtime_status]
    )
    return DiscoveryResult((probe,))


def _program(roots: Roots) -> Path:
    """Return the path of xrt-smi, else of its older name. Raises ProbeUnavailableError."""
    for name in PROGRAMS[:-1]:
        try:
            return find(roots, name, FOLDER)
        except ProbeUnavailableError:
            continue
    return find(roots, PROGRAMS[-1], FOLDER)
