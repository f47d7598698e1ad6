"""Hailo accelerators through their program `hailortcli`, if the configuration names them.

A measurement takes a control channel of the device and can disturb a running job, so it is off by default. Boards
without the sensor (most M.2 modules, all Hailo-10H) refuse it.
Source of the format: hailortcli/power_measurement_command.cpp of HailoRT 4.x and 5.x.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from probes.commands import CommandProbe, Program, find
from probes.errors import ProbeUnavailableError, ReadError
from probes.family import Family, ServiceNeeds
from probes.model import Channel, Device, DiscoveryResult, Kind, Problem, Roots
from probes.printed import Printed, quantity
from probes.printed_cards import version_of
from probes.settings import ALL_SENSORS, SensorSettings

if TYPE_CHECKING:
    from collections.abc import Hashable, Mapping

_REMEDY = "install HailoRT; a board without the power sensor refuses the measurement"
FAMILY = Family(
    "hailo",
    "Hailo accelerators",
    (Kind.NPU,),
    reads="power",
    method="the program hailortcli (measure-power)",
    refresh="5 s",
    service=ServiceNeeds(devices=tuple(f"/dev/hailo{number} rw" for number in range(8))),
    tested_on=("text in the program's format printed by a script",),
    configured=True,
)
_ARGUMENTS = ("measure-power",)
_RUN_SECONDS = 5.0
_INTERVAL_SECONDS = 5.0
_DEVICE = re.compile(r"Executing on device: ([0-9a-f]{4,8}:[0-9a-f]{2}:[0-9a-f]{2}\.[0-7])", re.IGNORECASE)
_POWER = re.compile(r"Current power consumption \((\w{1,3})\): (\S{1,24})")


def parse_power(text: str) -> Mapping[str, float | None]:
    """Return the power in watts by the PCI address of each device."""
    found: dict[str, float | None] = {}
    address = ""
    for line in text.splitlines():
        if device := _DEVICE.fullmatch(line.strip()):
            address = device[1].lower()
        elif address and (power := _POWER.fullmatch(line.strip())):
            found[address] = quantity(f"{power[2]} {power[1]}", "W")
            address = ""
    return found


def discover(roots: Roots, settings: SensorSettings = ALL_SENSORS) -> DiscoveryResult:
    """Measure each device once. Raises ProbeUnavailableError if no meter of kind hailo is configured."""
    if not any(meter.kind == FAMILY.name for meter in settings.meters):
        raise ProbeUnavailableError("no meter of kind hailo is configured")
    try:
        path = find(roots, "hailortcli")
        program = Program(path, _RUN_SECONDS, {"HAILORT_LOGGER_PATH": "NONE"})
        powers = parse_power(program.run(*_ARGUMENTS))
    except (ProbeUnavailableError, ReadError) as error:
        return DiscoveryResult(problems=(Problem(FAMILY.name, str(error), _REMEDY),))
    version = version_of(program, ("--version",))
    printed = [_printed(address, version) for address, watts in powers.items() if watts is not None]
    kept, excluded = settings.select(FAMILY.name, printed, lambda each: each.channel)
    if not kept:
        problem = Problem(FAMILY.name, f"{path} prints no power", _REMEDY)
        return DiscoveryResult(problems=() if excluded else (problem,), excluded=excluded)
    probe = CommandProbe(FAMILY.name, program, _ARGUMENTS, _by_key, kept, _INTERVAL_SECONDS)
    return DiscoveryResult((probe,), excluded=excluded)


def _by_key(text: str) -> Mapping[Hashable, float | None]:
    found: dict[Hashable, float | None] = {}
    found.update(parse_power(text))
    return found


def _printed(address: str, version: str) -> Printed:
    known = (("pci_address", address), ("tool", version))
    device = Device(address, Kind.NPU, "Hailo", tuple((name, value) for name, value in known if value))
    channel = Channel(device, "card", "power_watts", method="instant", refresh_seconds=_INTERVAL_SECONDS)
    return Printed(channel, address)
