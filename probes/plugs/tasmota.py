"""Tasmota: the command `Status 8` (tasmota.github.io/docs/Commands), which has watts and kilowatt-hours."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from probes.errors import ProbeUnavailableError
from probes.meters.json_body import inner, json_object, number, scaled, text
from probes.meters.probe import Quantity, Reading
from probes.meters.units import JOULES
from probes.plugs.requests import Plug

if TYPE_CHECKING:
    from collections.abc import Mapping

    from probes.settings import MeterConfig

REFRESH_SECONDS = 1.0
_POWER_STEP_WATTS = 1.0
_USUAL_DIGITS = 3
_TOTAL = re.compile(rb'"Total":\s*\d+\.(\d{1,6})\b')
_STATUS = "/cm?cmnd=Status%208"
_FIRMWARE = "/cm?cmnd=Status%202"


def parse_status(status: Mapping[str, Any]) -> tuple[float | None, float | None] | None:
    """Return watts and joules of `Status 8`, None without a meter; a list has one power for each phase."""
    energy = inner(status, "StatusSNS", "ENERGY")
    if not isinstance(energy, dict):
        return None
    power = energy.get("Power")
    if isinstance(power, list):
        phases = [watts for each in power if (watts := number(each)) is not None]
        power = sum(phases) if phases and len(phases) == len(power) else None
    return number(power), scaled(energy.get("Total"), JOULES["kWh"])


def step_of(body: bytes) -> float:
    """Return the step of the count in joules: Tasmota prints as many digits of kilowatt-hours as EnergyRes states."""
    match = _TOTAL.search(body)
    return JOULES["kWh"] / 10.0 ** (len(match[1]) if match else _USUAL_DIGITS)


class Tasmota:
    """One device with Tasmota."""

    interval_seconds = REFRESH_SECONDS

    def __init__(self, meter: MeterConfig, plug: Plug, firmware: str, step_joules: float) -> None:
        self._plug = plug
        self.reported = {"firmware": firmware}
        refresh = meter.refresh_seconds or REFRESH_SECONDS
        self.quantities = (
            Quantity("energy_joules", "counter", refresh, step_joules),
            Quantity("power_watts", "instant", refresh, _POWER_STEP_WATTS),
        )

    def read(self) -> Reading:
        """Return the power and the count. Raises ReadError, or ProbeUnavailableError without a meter."""
        answer = self._plug.get(_STATUS)
        found = parse_status(json_object(answer.body, self._plug.name))
        if found is None:
            raise ProbeUnavailableError(f"{self._plug.name} reports no ENERGY", "use a device with a power meter")
        return Reading(*found, (answer.sent_ns, answer.received_ns))

    def close(self) -> None:
        """Close the connection."""
        self._plug.close()


def connect(meter: MeterConfig) -> Tasmota:
    """Return the source of a Tasmota device. Raises ProbeUnavailableError or ReadError."""
    plug = Plug(meter)
    try:
        found = json_object(plug.get(_FIRMWARE).body, meter.url)
        step_joules = step_of(plug.get(_STATUS).body)
        return Tasmota(meter, plug, text(inner(found, "StatusFWR", "Version")), step_joules)
    except BaseException:
        plug.close()
        raise
