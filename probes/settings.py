"""The settings of sensor discovery, which every family receives."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from probes.model import Channel

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class MeterConfig:
    """One meter outside of the host that the configuration names; empty texts are not set.

    `kind` is the device or its protocol (`shelly`, `snmp`, ...). `host` is the name of the host that it supplies. It
    `feeds` that `host`, one `supply` of several, or the `rack`. `part` selects a part of the device: an outlet, a
    chassis, a Modbus unit. `topic` is that of MQTT. `power` and `energy` are the places of the values: a path in a
    message, a register, a query; `preset` has those of a usual device, and `energy_unit` is the unit of the energy.
    `snmp_auth` is the hash of SNMPv3. `refresh_seconds` is the longest time between two new values, 0 for that of the
    kind. `password_file` holds the secret, `ca_file` the certificates to trust, and `fingerprint` is the SHA-256 of the
    only certificate to trust, in lower case. `model`, `accuracy_class`, `range`, `serial` and `calibration_date`
    (ISO 8601) describe the meter.
    """

    name: str
    kind: str
    url: str
    host: str = ""
    feeds: str = "host"
    part: str = ""
    topic: str = ""
    preset: str = ""
    power: str = ""
    energy: str = ""
    energy_unit: str = ""
    snmp_auth: str = ""
    refresh_seconds: float = 0.0
    user: str = ""
    password_file: str = ""
    ca_file: str = ""
    fingerprint: str = ""
    model: str = ""
    accuracy_class: str = ""
    range: str = ""
    serial: str = ""
    calibration_date: str = ""


@dataclass(frozen=True, slots=True)
class SensorSettings:
    """Selects the sensors that discovery sets up.

    `estimates` allows modelled power on a host without a sensor of its processors. An entry of `exclude` names a family
    (`hwmon`), a device (`package-0`), the part of a device that one family reads (`hwmon/0000:03:00.0`) or one domain
    of a device (`package-0/dram`). `meters` are the meters outside of the host.
    """

    estimates: bool = True
    exclude: tuple[str, ...] = ()
    meters: tuple[MeterConfig, ...] = ()

    def exclusions(self, probe: str, device: str, domain: str = "") -> frozenset[str]:
        """Return the entries of `exclude` that name this device or domain of a probe."""
        family = probe.partition("/")[0]
        names = {probe, device, f"{family}/{device}", f"{device}/{domain}"}
        return frozenset(self.exclude) & names

    def excludes(self, probe: str) -> bool:
        """Return whether an entry names this probe of another family, or that family."""
        return not {probe, probe.partition("/")[0]}.isdisjoint(self.exclude)

    def select(
        self, probe: str, sensors: Iterable[T], channel_of: Callable[[T], Channel]
    ) -> tuple[list[T], frozenset[str]]:
        """Return the sensors of a probe that no entry of `exclude` names, and the entries that name the others."""
        kept: list[T] = []
        in_effect: set[str] = set()
        for sensor in sensors:
            channel = channel_of(sensor)
            entries = self.exclusions(probe, channel.device.id, channel.domain)
            in_effect |= entries
            if not entries:
                kept.append(sensor)
        return kept, frozenset(in_effect)


ALL_SENSORS = SensorSettings()
"""The default: estimates if nothing is measured, and no exclusion."""
