"""Shelly: the first generation by /status, the others by RPC (shelly-api-docs.shelly.cloud).

The first generation counts a plug in watt-minutes and a clamp (`emeters`) in watt-hours, the others in watt-hours.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from probes.errors import ProbeUnavailableError
from probes.meters.json_body import inner, json_object, number, scaled, text
from probes.meters.probe import Quantity, Reading
from probes.meters.units import JOULES
from probes.plugs.requests import Plug

if TYPE_CHECKING:
    from collections.abc import Mapping

    from probes.settings import MeterConfig

POWER_SECONDS = 1.0
ENERGY_SECONDS = 60.0
"""The longest time between two values of the counter: it is stated per minute (`by_minute`, `counters`)."""
_POWER_STEP_WATTS = 0.1
_PART = re.compile(r"(?:([a-z0-9]{1,16}):)?(\d{1,3})")
_FIRST: Mapping[str, tuple[str, float]] = {"meter": ("meters", JOULES["Wmin"]), "emeter": ("emeters", JOULES["Wh"])}
"""The list and the joules of a unit, for each kind of component of the first generation."""
_LATER: Mapping[str, tuple[str, str, tuple[str, ...]]] = {
    **{name: ("apower", name, ("aenergy", "total")) for name in ("switch", "pm1", "light", "cover")},
    "em1": ("act_power", "em1data", ("total_act_energy",)),
    "em": ("total_act_power", "emdata", ("total_act",)),
}
"""The key of the power, and the component and the path of the energy, for each component of the later generations."""


@dataclass(frozen=True, slots=True)
class Identity:
    """The answer to /shelly, which needs no login: the generation, model, MAC address and firmware."""

    generation: int
    model: str
    serial: str
    firmware: str


def parse_identity(body: bytes, sender: str = "the device") -> Identity:
    """Return the identity of a Shelly. Raises ReadError if it is none."""
    found = json_object(body, sender)
    generation = number(found.get("gen"))
    model = text(found.get("model")) or text(found.get("type"))
    firmware = text(found.get("ver")) or text(found.get("fw"))
    return Identity(int(generation or 1), model, text(found.get("mac")), firmware)


def parse_part(part: str) -> tuple[str, int]:
    """Return the kind, empty for any, and the number of a component such as "switch:1" or "1". Raises ValueError."""
    match = _PART.fullmatch(part or "0")
    if match is None:
        raise ValueError(f"{part!r} is not a component such as switch:0")
    return match[1] or "", int(match[2])


def parse_first(status: Mapping[str, Any], kind: str, number_of: int) -> tuple[float | None, float | None] | None:
    """Return watts and joules of a component by the /status of the first generation, None if it has none."""
    for name, (key, joules) in _FIRST.items():
        entry = inner(status, key, number_of)
        if kind in {"", name} and isinstance(entry, dict):
            if entry.get("is_valid") is False:
                return None, None
            return number(entry.get("power")), scaled(entry.get("total"), joules)
    return None


def parse_later(status: Mapping[str, Any], kind: str, number_of: int) -> tuple[float | None, float | None] | None:
    """Return watts and joules of a component by Shelly.GetStatus, None if it has none."""
    for name, (power, counter, path) in _LATER.items():
        entry = status.get(f"{name}:{number_of}")
        if kind in {"", name} and isinstance(entry, dict) and power in entry:
            return number(entry[power]), scaled(inner(status, f"{counter}:{number_of}", *path), JOULES["Wh"])
    return None


class Shelly:
    """One component of a Shelly."""

    interval_seconds = POWER_SECONDS

    def __init__(self, meter: MeterConfig, plug: Plug, identity: Identity) -> None:
        self._plug = plug
        self._kind, self._number = parse_part(meter.part)
        is_first = identity.generation == 1
        self._path, self._parse = ("/status", parse_first) if is_first else ("/rpc/Shelly.GetStatus", parse_later)
        self.reported = {"model": identity.model, "serial": identity.serial, "firmware": identity.firmware}
        step = JOULES["Wmin"] if is_first else JOULES["Wh"] / 1000
        self.quantities = (
            Quantity("energy_joules", "counter", meter.refresh_seconds or ENERGY_SECONDS, step),
            Quantity("power_watts", "instant", POWER_SECONDS, _POWER_STEP_WATTS),
        )
        self._part = meter.part or "0"

    def read(self) -> Reading:
        """Return the power and the count. Raises ReadError, or ProbeUnavailableError if it has no such component."""
        answer = self._plug.get(self._path)
        found = self._parse(json_object(answer.body, self._plug.name), self._kind, self._number)
        if found is None:
            remedy = "set part of the meter to a component that measures, such as switch:0, pm1:0 or em:0"
            raise ProbeUnavailableError(f"{self._plug.name} has no component {self._part} with a power", remedy)
        return Reading(*found, (answer.sent_ns, answer.received_ns))

    def close(self) -> None:
        """Close the connection."""
        self._plug.close()


def connect(meter: MeterConfig) -> Shelly:
    """Return the source of a Shelly. Raises ProbeUnavailableError or ReadError."""
    plug = Plug(meter)
    try:
        return Shelly(meter, plug, parse_identity(plug.get("/shelly").body, meter.url))
    except ValueError as error:
        plug.close()
        raise ProbeUnavailableError(f"part = {error}", "set part of the meter to a component") from error
    except BaseException:
        plug.close()
        raise
